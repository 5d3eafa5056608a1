"""Locality-sensitive hashing: bands of a signature, buckets of a band, candidate pairs of a bucket.

Two documents of Jaccard similarity s agree in at least one of b bands of r rows with probability 1 - (1 - s^r)^b
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4). Candidates are then verified.
"""

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.similarity.minhash import mix64, mixed

ALL_PAIRS_UP_TO = 8  # a bucket with more contents is linked by a star and a chain instead of by all its pairs


def s_curve(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair of this Jaccard similarity becomes a candidate."""
    return 1.0 - (1.0 - similarity**rows) ** bands


@inlined
def band_key(signature, band, rows):
    """The key of one band of one signature."""
    h = np.uint64(band + 1)
    for i in range(band * rows, (band + 1) * rows):
        h = mix64(h ^ np.uint64(signature[i])) + np.uint64(1)
    return h


@kernel("u32[,] i64 i64 u64[,]!")
def _band_keys(signatures, bands, rows, keys):
    for d in range(len(signatures)):
        for band in range(bands):
            keys[d, band] = band_key(signatures[d], band, rows)


def band_keys(signatures: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """One 64-bit key per band, uint64[documents, bands]; a key of one band never means the same in another.

    Raises:
      ValueError: the signature is shorter than bands x rows.
    """
    if bands * rows > signatures.shape[1]:
        raise ValueError(f"{bands} bands of {rows} rows need {bands * rows} permutations, got {signatures.shape[1]}")
    keys = np.empty((len(signatures), bands), np.uint64)
    _band_keys(np.ascontiguousarray(signatures), bands, rows, keys)
    return keys


@kernel("u8[]! u8[]! u64[] u64")
def _note(once, twice, keys, shift):
    for i in range(len(keys)):
        slot = keys[i] >> shift
        byte, bit = slot >> np.uint64(3), np.uint8(1 << (slot & np.uint64(7)))
        twice[byte] |= once[byte] & bit
        once[byte] |= bit


def no_keys(bits: int) -> npt.NDArray[np.uint8]:
    """A table of 2^bits slots that has seen no key yet: uint8[2, 2^bits / 8], a bit a slot for "once", and for "twice"."""
    return np.zeros((2, 1 << (bits - 3)), np.uint8)


def _shift(plane: npt.NDArray[np.uint8]) -> np.uint64:
    """How far a key is shifted to leave its slot."""
    return np.uint64(64 - (len(plane).bit_length() + 2))


def note_keys(seen: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint64]) -> None:
    """Note every key in its slot, in place."""
    _note(seen[0], seen[1], keys, _shift(seen[0]))


def merge_seen(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The table of both. Commutative and associative; `no_keys` is neutral."""
    return np.stack([one[0] | other[0], one[1] | other[1] | (one[0] & other[0])])


def maybe_shared(twice: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """False where a key was certainly noted once only; true for every key noted twice, and some others. bool[n].

    Args:
      twice: the second plane of a table.
      keys: band keys, uint64[n].
    """
    slot = keys >> _shift(twice)
    found = twice[slot >> np.uint64(3)] >> (slot.astype(np.uint8) & np.uint8(7)) & np.uint8(1)
    return found.view(np.bool_)


@kernel("i64[] i64[] u64[] i64[] i64[]! i64[]!")
def _pairs(starts, ends, content, order, left, right):
    n = 0
    for g in range(len(starts)):
        s, e = starts[g], ends[g]
        if e - s <= ALL_PAIRS_UP_TO:
            for i in range(s, e):
                for j in range(i + 1, e):
                    left[n], right[n] = i, j
                    n += 1
            continue
        smallest = s
        for i in range(s + 1, e):
            if content[i] < content[smallest]:
                smallest = i
        for i in range(s, e):
            if order[i] != smallest:
                left[n], right[n] = smallest, order[i]
                n += 1
            if i > s:
                left[n], right[n] = order[i - 1], order[i]
                n += 1
    return n


def salted(values: npt.NDArray[np.uint64], salt: np.uint64) -> npt.NDArray[np.uint64]:
    """Other numbers, one for each, so that they meet no key made in another way but by accident. uint64[n]."""
    return mixed(values ^ salt)


def _salted_order(
    content: npt.NDArray[np.uint64],
    key: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """The rows of every large bucket in an order salted by its key; each bucket where it was. int64[n]."""
    order = np.arange(len(content))
    sizes = ends - starts
    rows = np.flatnonzero(np.repeat(sizes > ALL_PAIRS_UP_TO, sizes))
    bucket = np.repeat(np.arange(len(sizes)), sizes)[rows]
    order[rows] = rows[np.lexsort((mixed(content[rows] ^ key[rows]), bucket))]
    return order


def candidate_pairs(
    key: npt.NDArray[np.uint64], content: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of row numbers whose contents share a bucket, each pair of contents at most once per bucket.

    In a bucket of up to `ALL_PAIRS_UP_TO` contents every pair is a candidate. In a larger one each content is paired
    with the smallest of the bucket (a star) and with its neighbour in an order salted by the bucket's key (a chain), so
    that the work is linear and the bands of one cluster chain it in different orders.

    Args:
      key: band keys, uint64[n].
      content: first half of the content hash, uint64[n]; rows with equal key and content count once.

    Returns:
      `(left, right)`, int64[pairs]: indices into the input. A function of the set of (key, content) only.
    """
    order = np.lexsort((content, key))
    k, c = key[order], content[order]
    first = np.ones(len(k), bool)
    first[1:] = (k[1:] != k[:-1]) | (c[1:] != c[:-1])
    order, k, c = order[first], k[first], c[first]
    starts = np.flatnonzero(np.r_[True, k[1:] != k[:-1]]) if len(k) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(k)] if len(k) else starts
    shared = ends - starts > 1
    size = (ends - starts)[shared]
    most = int(np.where(size <= ALL_PAIRS_UP_TO, size * (size - 1) // 2, 2 * size).sum())
    left, right = np.empty(most, np.int64), np.empty(most, np.int64)
    n = _pairs(starts[shared], ends[shared], c, _salted_order(c, k, starts, ends), left, right)
    return order[left[:n]], order[right[:n]]
