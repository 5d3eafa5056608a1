"""The matrices of a quantised fastText model (`.ftz`), read as one weight per feature.

A row of the input matrix is a norm times a vector in parts, each part one of 256 centroids (Joulin et al. 2016,
arXiv:1612.03651). The layout is that of fastText 0.9's `QuantMatrix::save`: a byte "with norms", two int64 of shape, an
int32 of code bytes, the codes, the centroids (`ProductQuantizer::save`: four int32 of sizes, then float32), and the
same for the norms. A pruned dictionary names the buckets it kept: the others are no features at all.
"""

import struct
from typing import Protocol

import numpy as np
import numpy.typing as npt

MAX_BUCKETS = 1 << 26  # a pruned file is small, whatever it says of its buckets
CENTROIDS = 256
_SHAPE, _SIZES = struct.Struct("<2q"), struct.Struct("<4i")


class Reader(Protocol):
    """What is needed of `fasttext_file`'s reader."""

    def take(self, size: int) -> memoryview:
        """The next bytes."""

    def unpack(self, layout: struct.Struct) -> tuple:
        """The next bytes as numbers."""

    def refuse(self, what: str) -> Exception:
        """An error that names the file."""


class Quantised:
    """The input matrix in codes and centroids."""

    def __init__(self, reader: Reader, rows: int, dim: int) -> None:
        with_norms = reader.take(1)[0]
        shape, n_codes = reader.unpack(_SHAPE), reader.unpack(struct.Struct("<i"))[0]
        if shape != (rows, dim):
            raise reader.refuse(f"the input matrix is {shape[0]} x {shape[1]}, the dictionary asks for {rows} x {dim}")
        codes = np.frombuffer(reader.take(n_codes), np.uint8)
        self.centroids, self.part = _centroids(reader, dim)
        if n_codes != rows * len(self.part):
            raise reader.refuse("its codes and its shape do not fit: damaged. Copy it again")
        self.codes = codes.reshape(rows, len(self.part))
        self.norms = None
        if with_norms:
            norm_codes = np.frombuffer(reader.take(rows), np.uint8)
            centroids, _ = _centroids(reader, 1)
            self.norms = centroids[norm_codes]

    def weights(self, direction: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Each row times the direction, float32[rows]."""
        total = np.zeros(len(self.codes))
        along = direction.astype(np.float64)
        at = start = 0
        with np.errstate(over="ignore", invalid="ignore"):
            for number, size in enumerate(self.part):
                block = self.centroids[at : at + CENTROIDS * size].reshape(CENTROIDS, size).astype(np.float64)
                total += (block @ along[start : start + size])[self.codes[:, number]]
                at, start = at + CENTROIDS * size, start + size
            return (total if self.norms is None else total * self.norms).astype(np.float32)

    def rows(self, dim: int) -> npt.NDArray[np.float32]:
        """The matrix, float32[rows, dim]."""
        return np.stack([self.weights(axis) for axis in np.eye(dim, dtype=np.float32)], axis=1)


def _centroids(reader: Reader, dim: int) -> tuple[npt.NDArray[np.float32], list[int]]:
    """The centroids of all parts, float32[256 * dim], and the size of each part."""
    own_dim, parts, size, last = reader.unpack(_SIZES)
    if own_dim != dim or parts < 1 or size < 1 or not 1 <= last <= size or (parts - 1) * size + last != dim:
        raise reader.refuse("its centroids make no sense: damaged. Copy it again")
    values = np.frombuffer(reader.take(4 * CENTROIDS * dim), "<f4")
    if not np.isfinite(values).all():
        raise reader.refuse("a centroid is not a number. Quantise the model again")
    return values, [size] * (parts - 1) + [last]


def kept_buckets(reader: Reader, n_pruned: int, buckets: int) -> npt.NDArray[np.int64] | None:
    """The bucket of each row after the words, int64[rows]; None: every bucket has its row."""
    if n_pruned < 0:
        return None
    pairs = np.frombuffer(reader.take(8 * n_pruned), "<i4").reshape(n_pruned, 2).astype(np.int64)
    kept = np.full(n_pruned, -1, np.int64)
    inside = (pairs >= 0).all(axis=1) & (pairs[:, 0] < buckets) & (pairs[:, 1] < n_pruned)
    if inside.all():
        kept[pairs[:, 1]] = pairs[:, 0]
    if (kept < 0).any() or len(np.unique(kept)) < n_pruned:
        raise reader.refuse("its pruned dictionary makes no sense: damaged. Copy it again")
    return kept


def spread(
    weights: npt.NDArray[np.float32], n_words: int, kept: npt.NDArray[np.int64] | None, buckets: int
) -> npt.NDArray[np.float32]:
    """Weights of words and all buckets, float32[words + buckets]; NaN for a bucket that was pruned."""
    if kept is None:
        return weights
    found = np.full(n_words + buckets, np.nan, np.float32)
    found[:n_words] = weights[:n_words]
    found[n_words + kept] = weights[n_words:]
    return found
