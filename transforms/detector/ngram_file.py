"""`ngrams.bin`: the table of n-grams that stands beside a fastText model, and how the two are added.

Little-endian, without padding: the magic `LBNG`; version, longest n-gram in tokens and number of n-grams n, three
uint32; bias and weight of fastText's log-odds, two float64; the hashes of the n-grams (`kernels.ngrams`), n uint64,
rising; their weights, n float32. Nothing in the file is trusted.
"""

import dataclasses
import struct

import numpy as np
import numpy.typing as npt

from transforms.detector.fasttext_file import DetectorError

MAGIC, VERSION = b"LBNG", 1
LONGEST = 8
_HEADER = struct.Struct("<4s3I2d")


@dataclasses.dataclass(frozen=True)
class NgramFile:
    """What is in the file.

    Attributes:
      hash64: of each n-gram, rising, uint64[n].
      weight: how much it speaks for the machine, float32[n].
      longest: n-gram, in tokens.
      bias: log-odds of a document that has none of them.
      fasttext_weight: what fastText's log-odds are multiplied by before they are added.
    """

    hash64: npt.NDArray[np.uint64]
    weight: npt.NDArray[np.float32]
    longest: int
    bias: float
    fasttext_weight: float


def write_ngrams(file: NgramFile) -> bytes:
    """The bytes of the file."""
    header = _HEADER.pack(MAGIC, VERSION, file.longest, len(file.hash64), file.bias, file.fasttext_weight)
    return header + np.asarray(file.hash64, "<u8").tobytes() + np.asarray(file.weight, "<f4").tobytes()


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
    _, version, longest, n, bias, fasttext_weight = _HEADER.unpack_from(data)
    if version != VERSION:
        raise DetectorError(
            f"{path}: version {version}, this program reads version {VERSION}. Train the detector again"
        )
    if len(data) != _HEADER.size + 12 * n:
        raise DetectorError(f"{path}: {len(data)} bytes, {n} n-grams take {_HEADER.size + 12 * n}: damaged. {again}")
    hash64 = np.frombuffer(data, "<u8", n, _HEADER.size)
    weight = np.frombuffer(data, "<f4", n, _HEADER.size + 8 * n)
    numbers = np.isfinite(weight).all() and np.isfinite([bias, fasttext_weight]).all()
    if not numbers or not 1 <= longest <= LONGEST or fasttext_weight < 0 or (hash64[1:] <= hash64[:-1]).any():
        raise DetectorError(f"{path}: a number is out of range: damaged. {again}")
    return NgramFile(hash64, weight, longest, bias, fasttext_weight)
