"""Documents as points, and how diverse points are: hashed words and pairs, Vendi score, remote-clique.

A document's point is the sum of a signed unit vector for each different word and pair of its first `WINDOW` words (Weinberger et
al. 2009: feature hashing), scaled to length 127 and rounded to int8. No model is needed, and the same words are the same point
everywhere. Sums of products of such points are whole numbers, so they are exact in any order.

With x the points scaled to length 1, K = x x' / n has the eigenvalues of the d x d matrix sum x'x / n. The Vendi score of
order q is the Hill number of these: order 1 exp(-sum l ln l), order infinity 1 / max l (Friedman and Dieng 2210.02410,
Pasarkar and Dieng 2310.12952). It is at most `DIMENSIONS`. The mean distance of two documents, drawn with replacement, is
1 - |mean x|^2.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from transforms.kernels.compiled import kernel
from transforms.kernels.lookup import is_new
from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64
from transforms.kernels.statistics import hill
from transforms.kernels.statistics.diversity import WINDOW

DIMENSIONS = 256
_LENGTH = 127.0
_SLOTS = 2048  # a power of two, more than three times the words and pairs of a window
_ALONE = threading.Lock()

Points = npt.NDArray[np.int8]


class Sums(NamedTuple):
    """What points add up to: exact, in any order."""

    n: int
    total: npt.NDArray[np.int64]  # [d]
    products: npt.NDArray[np.int64]  # [d, d]


@kernel("i64[] u32[] u64[]! i64[]! i64[]! i8[,]!")
def _embed(offsets, words, table, stamp, point, out):
    n = len(offsets) - 1
    for d in range(n):
        for i in range(DIMENSIONS):
            point[i] = 0
        end = min(offsets[d + 1], offsets[d] + WINDOW)
        for t in range(offsets[d], end):
            for pair in range(2):
                if pair and t + 1 >= end:
                    continue
                h = np.uint64(words[t]) + np.uint64(1)
                if pair:
                    h = h * POLYNOMIAL + np.uint64(words[t + 1]) + np.uint64(1)
                h = mix64(h * POLYNOMIAL + np.uint64(pair))
                if is_new(table, stamp, _SLOTS, d, h >> np.uint64(32), h):
                    point[h & np.uint64(DIMENSIONS - 1)] += np.int64(h >> np.uint64(19) & np.uint64(2)) - 1
        squares = 0
        for i in range(DIMENSIONS):
            squares += point[i] * point[i]
        length = np.sqrt(np.float64(squares))
        if length > 0:
            for i in range(DIMENSIONS):
                out[d, i] = np.int8(np.rint(_LENGTH * point[i] / length))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Linear algebra on this thread alone: the last digits depend on how many there are, and matrices of this size take a
    hundred times as long where other work wants the cores.

    The limit is the process's: of two threads here the first to leave would lift it for the other, so one waits.
    """
    with _ALONE, threadpool_limits(1, "blas"):
        yield


def embed(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]) -> Points:
    """The points of documents, int8[documents, DIMENSIONS]; one without words is all 0."""
    out = np.zeros((len(offsets) - 1, DIMENSIONS), np.int8)
    table, stamp = np.empty(_SLOTS, np.uint64), np.full(_SLOTS, -1, np.int64)
    _embed(offsets, words, table, stamp, np.empty(DIMENSIONS, np.int64), out)
    return out


def sums(points: Points) -> Sums:
    """Of some points. Those that are all 0 are not counted."""
    x = points.astype(np.float64)  # whole numbers below 2**53: the products are exact whoever adds them up
    n = int(points.any(axis=1).sum())
    with _one_thread():
        return Sums(n, points.sum(axis=0, dtype=np.int64), (x.T @ x).astype(np.int64))


def add(parts: list[Sums]) -> Sums:
    """The sums of all points of the parts; `add([])` is that of none."""
    nothing = Sums(0, np.zeros(DIMENSIONS, np.int64), np.zeros((DIMENSIONS, DIMENSIONS), np.int64))
    for part in parts:
        nothing = Sums(nothing.n + part.n, nothing.total + part.total, nothing.products + part.products)
    return nothing


def less(one: Sums, part: Sums) -> Sums:
    """The sums of the points that are not in the part."""
    return Sums(one.n - part.n, one.total - part.total, one.products - part.products)


def vendi(one: Sums) -> tuple[float, float]:
    """Vendi scores of order 1 and infinity, each between 1 and `DIMENSIONS`. NaN if there are no points."""
    if not one.n:
        return float("nan"), float("nan")
    with _one_thread():
        eigenvalues = np.linalg.eigvalsh(one.products.astype(np.float64))
    p = np.clip(eigenvalues, 0, None) / np.trace(one.products)
    first, _, infinite = hill.of_shares(p[p > 1e-12])
    return first, infinite


def mean_distance(one: Sums) -> float:
    """Mean cosine distance of two documents, drawn with replacement (remote-clique), in [0, 1]. NaN if there are none."""
    if not one.n:
        return float("nan")
    squared = float(np.trace(one.products)) / one.n  # mean squared length: 127^2 but for rounding
    mean = one.total / one.n
    return float(1 - (mean @ mean) / squared)
