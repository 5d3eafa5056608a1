"""`ngrams.bin`: a table of n-grams and what each expert makes of them.

An expert is a linear model of its own over the n-grams that it has a weight for, and was trained on the generators of one age.
Little-endian, without padding: the magic `LBNG`; version, longest n-gram in tokens, number of n-grams n, number of experts k and
bytes of their names, five uint32; weight of fastText's log-odds, float64; the experts' names in UTF-8, a line each; their biases,
k float64; the hashes of the n-grams (`kernels.ngrams`), n uint64, rising; their weights, n x k float32, 0 where an n-gram is none
of an expert's. Nothing in the file is trusted.
"""

import dataclasses
import struct

import numpy as np
import numpy.typing as npt

from expectations.wording import plural
from transforms.detector.fasttext_file import DetectorError

MAGIC, VERSION = b"LBNG", 2
LONGEST, MOST_EXPERTS, LONGEST_NAMES = 8, 32, 4096
_HEADER = struct.Struct("<4s5Id")


@dataclasses.dataclass(frozen=True)
class NgramFile:
    """What is in the file.

    Attributes:
      experts: their names.
      hash64: of each n-gram, rising, uint64[n].
      weight: how much it speaks for the machine, float32[n, experts].
      longest: n-gram, in tokens.
      bias: log-odds of a document that has none of an expert's n-grams, float64[experts].
      fasttext_weight: what fastText's log-odds are multiplied by before they are added to those of the first expert.
    """

    experts: tuple[str, ...]
    hash64: npt.NDArray[np.uint64]
    weight: npt.NDArray[np.float32]
    longest: int
    bias: npt.NDArray[np.float64]
    fasttext_weight: float


def write_ngrams(file: NgramFile) -> bytes:
    """The bytes of the file."""
    names = "\n".join(file.experts).encode()
    n, k = len(file.hash64), len(file.experts)
    return b"".join(
        (
            _HEADER.pack(MAGIC, VERSION, file.longest, n, k, len(names), file.fasttext_weight),
            names,
            np.asarray(file.bias, "<f8").tobytes(),
            np.asarray(file.hash64, "<u8").tobytes(),
            np.asarray(file.weight, "<f4").tobytes(),
        )
    )


def read_ngrams(data: bytes, path: str) -> NgramFile:
    """Read the file.

    Args:
      data: the whole file.
      path: what to call it in an error.

    Raises:
      DetectorError: it is not one, of another version, or damaged.
    """
    again = "Copy it again or train the detector again"
    if len(data) < _HEADER.size or data[:4] != MAGIC:
        raise DetectorError(f"{path}: not a table of n-grams. {again}")
    _, version, longest, n, k, n_names, fasttext_weight = _HEADER.unpack_from(data)
    if version != VERSION:
        raise DetectorError(
            f"{path}: version {version}, this program reads version {VERSION}. Train the detector again"
        )
    size = _HEADER.size + n_names + 8 * k + n * (8 + 4 * k)
    if len(data) != size:
        raise DetectorError(
            f"{path}: {plural(len(data), 'byte')}, {n} n-grams of {k} experts take {size}: damaged. {again}"
        )
    if not 1 <= k <= MOST_EXPERTS or n_names > LONGEST_NAMES or not 1 <= longest <= LONGEST:
        raise DetectorError(f"{path}: a number is out of range: damaged. {again}")
    at = _HEADER.size + n_names
    names = data[_HEADER.size : at].decode(errors="replace").split("\n")
    bias = np.frombuffer(data, "<f8", k, at)
    hash64 = np.frombuffer(data, "<u8", n, at + 8 * k)
    weight = np.frombuffer(data, "<f4", n * k, at + 8 * k + 8 * n).reshape(n, k)
    numbers = np.isfinite(weight).all() and np.isfinite(bias).all() and np.isfinite(fasttext_weight)
    if not numbers or fasttext_weight < 0 or (hash64[1:] <= hash64[:-1]).any() or len(set(names)) != k:
        raise DetectorError(f"{path}: a number is out of range: damaged. {again}")
    if not all(name.isprintable() and name for name in names):
        raise DetectorError(f"{path}: an expert has no name that can be shown: damaged. {again}")
    return NgramFile(tuple(names), hash64, weight, longest, bias, fasttext_weight)
