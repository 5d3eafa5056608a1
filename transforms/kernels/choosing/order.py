"""In which order documents are taken, and how much weight lies along it.

Every way of choosing is a key, uint64, by which the documents of a cell are taken in ascending order until a target is
met. Less is then always a subset of more, and the same documents are taken wherever they arrive.

- `by_rank`: rank by rank; within one by level where there is one, else in hash order.
- `by_level`: strictly by level, in hash order where that is the same.
- `thinned`: a document is kept with chance (1 - p)^beta. With u in (0, 1) by hash, u < (1 - p)^beta is e > beta for
  e = ln u / ln(1 - p): one order for every beta, so that a weight can be hit exactly and a smaller one keeps a subset.
- `sampled`: weighted sampling without replacement, keys -ln(u) / w ascending (Efraimidis and Spirakis 2006, Inf. Process.
  Lett. 97).

Keys that depend on a chance hold it as a float32 in their high bits, so that the last bits of a logarithm, which differ
between machines, decide only between neighbours.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SHIFT = np.uint64(44)  # a bin is the first 20 bits of a key
LATE = np.uint64(1 << 63)
COLUMNS = ("weight", "counted", "labelled", "documents")
WEIGHT, COUNTED, LABELLED, DOCUMENTS = range(4)
UNITS = 1 << 24  # `counted` is in these parts of a token or document, rounded up

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]


class Profile(NamedTuple):
    """What lies along the order of a cell: sums by bin of the key, for the bins that have any.

    Attributes:
      bins: uint32[n], ascending.
      sums: int64[n, 4]: `COLUMNS`.
      largest: the weight of the heaviest document.
    """

    bins: npt.NDArray[np.uint32]
    sums: npt.NDArray[np.int64]
    largest: int


def nothing() -> Profile:
    """The profile of no documents."""
    return Profile(np.zeros(0, np.uint32), np.zeros((0, 4), np.int64), 0)


def bin_of(key: U64) -> npt.NDArray[np.uint32]:
    """The bin of each key."""
    return (key >> SHIFT).astype(np.uint32)


def profile(bins: npt.NDArray[np.uint32], sums: npt.NDArray[np.int64], largest: int) -> Profile:
    """Add up rows of the same bin. `bins` in any order, `sums` int64[n, 4]."""
    if not len(bins):
        return nothing()
    order = np.argsort(bins, kind="stable")
    bins = bins[order]
    starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
    return Profile(bins[starts], np.add.reduceat(sums[order], starts, axis=0), largest)


def merge(parts: list[Profile]) -> Profile:
    """The profile of all documents of some parts, in any order the same."""
    if len(parts) == 1:
        return parts[0]
    bins, sums, largest = zip(*parts, strict=True) if parts else ((), (), (0,))
    return profile(np.concatenate(bins), np.concatenate(sums), max(largest)) if parts else nothing()


def by_rank(rank: npt.NDArray[np.int64], level: npt.NDArray[np.int64], u: U64) -> U64:
    """`rank` in 0..7, low ones first; in rank 0 in hash order, below `LATE`; else by `level` in 0..255, and by hash."""
    behind = LATE | (rank.astype(np.uint64) << np.uint64(60))
    levelled = (level.astype(np.uint64) << np.uint64(52)) | (u >> np.uint64(12))
    return np.where(rank == 0, u >> np.uint64(1), behind | np.where(level == 0, u >> np.uint64(4), levelled))


def by_level(level: npt.NDArray[np.int64], u: U64) -> U64:
    """`level` in 0..255, low ones first."""
    return (level.astype(np.uint64) << np.uint64(56)) | (u >> np.uint64(8))


def level_of(p: F64) -> npt.NDArray[np.int64]:
    """The level of a chance, 1..255: steps of an eighth of its log-odds, from -16 to 15.7. int64[n]."""
    with np.errstate(divide="ignore"):
        odds = np.log(p) - np.log1p(-p)
    return 1 + np.clip(np.floor((odds + 16) * 8), 0, 254).astype(np.int64)


def thinned(p: F64, u: U64, never: npt.NDArray[np.bool_]) -> U64:
    """The order of thinning for chances `p` in (0, 1); those that are never dropped come first."""
    e = np.log(_uniform(u)) / np.log1p(-np.clip(p, 1e-9, 1 - 1e-9))
    return np.where(never, u >> np.uint64(1), LATE | _as_bits(e, descending=True) | _low(u))


def sampled(weight: F64, u: U64) -> U64:
    """The order of a weighted sample; `weight` in [0, 1], of which the largest come first the more often."""
    with np.errstate(divide="ignore", over="ignore"):
        e = -np.log(_uniform(u)) / weight
    return _as_bits(e) | _low(u)


def _uniform(u: U64) -> F64:
    return ((u >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _low(u: U64) -> U64:
    return u & np.uint64(0xFFFFFFFF)


def _as_bits(value: F64, descending: bool = False) -> U64:
    """Non-negative floats as float32 in the high half of a number; the bits of such floats sort as the floats do."""
    with np.errstate(over="ignore"):
        bits = value.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((np.uint64(0x7FFFFFFF) - bits) if descending else bits) << np.uint64(32)


def segments(along: Profile, most: int = 24) -> F64:
    """The counted share along an order as a convex, piecewise linear function. float64[n, 2]: weight and counted weight.

    Taking a weight t from the front of the order takes about sum_k sigma_k t_k of synthetic text. A linear programme may fill
    the pieces in any order, and fills them from the front only if sigma rises: so neighbours are pooled until it does (the
    greatest convex minorant, by pool adjacent violators).
    """
    weight, counted = along.sums[:, WEIGHT].astype(np.float64), along.sums[:, COUNTED] / UNITS
    if not weight.sum():
        return np.zeros((1, 2))
    # Pieces of about equal weight, cut where the counted share jumps by more than a hundredth.
    with np.errstate(invalid="ignore"):
        share = np.where(weight > 0, counted / weight, 0)
    place = np.floor((np.cumsum(weight) - weight) / weight.sum() * most) + 1000 * np.floor(share * 100)
    starts = np.flatnonzero(np.r_[True, place[1:] != place[:-1]])
    if len(starts) > 8 * most:
        place = np.floor((np.cumsum(weight) - weight) / weight.sum() * most)
        starts = np.flatnonzero(np.r_[True, place[1:] != place[:-1]])
    pieces: list[list[float]] = []
    for w, s in zip(np.add.reduceat(weight, starts), np.add.reduceat(counted, starts), strict=True):
        pieces.append([float(w), float(s)])
        while len(pieces) > 1 and pieces[-2][1] * pieces[-1][0] >= pieces[-1][1] * pieces[-2][0]:
            w_last, s_last = pieces.pop()
            pieces[-1][0] += w_last
            pieces[-1][1] += s_last
    return np.array(pieces)
