"""The yardstick: what measures of a release that need a model of text are taken by, fitted on human text.

A folder with

- `bytes.bin`: a model of bytes (kernels/models/bytes_model.py), and what human text it was not fitted on has under it;
- `topics.bin`: the centres of topics (kernels/statistics/topics.py);
- `README.md`: its card: on what it was fitted, and what it is worth.

Both files are little-endian, without padding: a magic, version, the numbers that say how much follows, the arrays, and at last
the first 16 bytes of BLAKE2b of all before. Nothing in them is trusted.

`bytes.bin`: the magic `LBBY`; version, longest n-gram, nodes, inner nodes, languages, five uint32; symbol and cost, uint8[nodes]
each; weight and children, uint8[inner nodes] each; for each language its code, 8 bytes of ASCII filled up with zeros, and
documents, mean, standard deviation and quantiles 0.05, 0.50, 0.95 of bits per byte, six float64. The language "" is all of them.

`topics.bin`: the magic `LBTO`; version, buckets, topics, three uint32; the weights, int8[buckets, topics].
"""

import dataclasses
import hashlib
import os
import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from transforms.ingest.sources import InputError
from transforms.kernels.models.bytes_model import LONGEST, Trie
from transforms.kernels.once import once
from transforms.kernels.statistics.topics import BUCKETS, Weights

BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundled", "yardstick")
BYTES, TOPICS = "bytes.bin", "topics.bin"
VERSION = 1
MOST_TOPICS = 1024
_BYTES_HEAD, _TOPICS_HEAD, _LANGUAGE = struct.Struct("<4s5I"), struct.Struct("<4s3I"), struct.Struct("<8s6d")
_DIGEST = 16


@dataclasses.dataclass(frozen=True)
class Human:
    """Bits per byte of human text that the model was not fitted on."""

    documents: int
    mean: float
    sd: float
    q05: float
    q50: float
    q95: float


@dataclasses.dataclass(frozen=True, eq=False)
class ByteModel:
    """What is in `bytes.bin`."""

    trie: Trie
    longest: int
    human: Mapping[str, Human]  # by language; "" is all of them

    def of(self, language: str) -> Human:
        """Human text of a language; of all languages where it is not known."""
        return self.human.get(language, self.human[""])


@dataclasses.dataclass(frozen=True, eq=False)
class Yardstick:
    """Both files."""

    bytes_model: ByteModel
    topics: Weights
    number: int  # of both files, by hash: readings of two yardsticks cannot be compared

    @property
    def name(self) -> str:
        """The number as people see it."""
        return f"{self.number:015x}"[:8]


def write_bytes_model(model: ByteModel) -> bytes:
    """The bytes of `bytes.bin`."""
    trie = model.trie
    head = _BYTES_HEAD.pack(b"LBBY", VERSION, model.longest, len(trie.symbol), len(trie.weight), len(model.human))
    arrays = b"".join(array.tobytes() for array in (trie.symbol, trie.cost, trie.weight, trie.children))
    human = b"".join(
        _LANGUAGE.pack(name.encode("ascii"), *dataclasses.astuple(model.human[name])) for name in sorted(model.human)
    )
    return _sealed(head + arrays + human)


def write_topics(weights: Weights) -> bytes:
    """The bytes of `topics.bin`."""
    return _sealed(_TOPICS_HEAD.pack(b"LBTO", VERSION, *weights.shape) + weights.tobytes())


def read_bytes_model(data: bytes, path: str) -> ByteModel:
    """Read `bytes.bin`.

    Args:
      data: the whole file.
      path: what to call it in an error.

    Raises:
      InputError: it is not one, of another version, or damaged.
    """
    longest, nodes, inner, languages = _opened(data, path, b"LBBY", _BYTES_HEAD)
    at = _BYTES_HEAD.size
    if len(data) != at + 2 * (nodes + inner) + languages * _LANGUAGE.size + _DIGEST:
        raise _damaged(path, "it is longer or shorter than it says")
    sizes = (nodes, nodes, inner, inner)
    arrays = [np.frombuffer(data, np.uint8, n, at + sum(sizes[:i])) for i, n in enumerate(sizes)]
    trie = Trie(*arrays)
    if not 1 <= longest <= LONGEST or not _is_trie(trie, longest):
        raise _damaged(path, "its n-grams are no trie")
    human = {}
    for place in range(languages):
        name, *numbers = _LANGUAGE.unpack_from(data, at + sum(sizes) + place * _LANGUAGE.size)
        if not np.isfinite(numbers).all():
            raise _damaged(path, "a number is not finite")
        human[name.rstrip(b"\0").decode("ascii", "replace")] = Human(int(numbers[0]), *numbers[1:])
    if "" not in human:
        raise _damaged(path, "it does not say what human text of all languages has")
    return ByteModel(trie, longest, human)


def read_topics(data: bytes, path: str) -> Weights:
    """Read `topics.bin`.

    Raises:
      InputError: it is not one, of another version, or damaged.
    """
    rows, topics = _opened(data, path, b"LBTO", _TOPICS_HEAD)
    if rows != BUCKETS or not 1 <= topics <= MOST_TOPICS or len(data) != _TOPICS_HEAD.size + rows * topics + _DIGEST:
        raise _damaged(path, "it is longer or shorter than it says")
    return np.frombuffer(data, np.int8, rows * topics, _TOPICS_HEAD.size).reshape(rows, topics)


def _sealed(data: bytes) -> bytes:
    return data + hashlib.blake2b(data, digest_size=_DIGEST).digest()


def _opened(data: bytes, path: str, magic: bytes, head: struct.Struct) -> list[int]:
    """The numbers behind the version, of a file that is whole."""
    if len(data) < head.size + _DIGEST or data[:4] != magic:
        raise InputError(f"{path}: not a part of a yardstick. Copy it again or fit it again")
    _, version, *numbers = head.unpack_from(data)
    if version != VERSION:
        raise InputError(f"{path}: version {version}, this program reads version {VERSION}. Fit it again")
    if _sealed(data[:-_DIGEST]) != data:
        raise _damaged(path, "its checksum differs")
    return numbers


def _damaged(path: str, what: str) -> InputError:
    return InputError(f"{path}: damaged, {what}. Copy it again or fit it again")


def _is_trie(trie: Trie, longest: int) -> bool:
    """Whether each node is reached once, inner ones are shorter than the longest, siblings rise, and endings are there."""
    first = trie.first
    if not len(trie.weight) or first[-1] != len(trie.symbol):
        return False
    bounds = [0, 1]  # where the n-grams of each length begin
    for _ in range(longest):
        if bounds[-1] > len(trie.weight):
            return False
        bounds.append(int(first[bounds[-1]]))
    if bounds[-1] != len(trie.symbol) or bounds[-2] != len(trie.weight):
        return False
    rises = np.diff(trie.symbol.astype(np.int16)) > 0
    begins = np.zeros(len(trie.symbol) + 1, bool)
    begins[first] = True  # the first child of some node need not rise above the node before it
    if not (rises | begins[1 : len(trie.symbol)]).all():
        return False
    lengths = np.repeat(np.arange(longest + 1), np.diff(bounds))
    return bool((lengths[trie.shorter] == np.maximum(lengths - 1, 0)).all())


def read_yardstick(folder: str) -> Yardstick:
    """Both files of a folder.

    Raises:
      InputError: one of them is missing or damaged.
    """
    found = []
    for name in (BYTES, TOPICS):
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                found.append(file.read())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}). Install the package again") from None
    digest = hashlib.blake2b(b"".join(one[-_DIGEST:] for one in found), digest_size=8).digest()
    return Yardstick(
        read_bytes_model(found[0], os.path.join(folder, BYTES)),
        read_topics(found[1], os.path.join(folder, TOPICS)),
        int.from_bytes(digest, "big") >> 4,
    )


@once()
def bundled() -> Yardstick:
    """The one that comes with the package, read once by each process."""
    return read_yardstick(BUNDLED)


def quantiles_of(bits: npt.NDArray[np.float64]) -> Human:
    """What documents have, of those that have anything."""
    bits = bits[~np.isnan(bits)]
    q = [float(one) for one in np.quantile(bits, [0.05, 0.5, 0.95])] if len(bits) else [np.nan] * 3
    return Human(len(bits), float(bits.mean()), float(bits.std()), *q)
