"""How the vocabulary of one corpus stands to that of a reference: tails, distance, and how sure that is.

A side is counted by fold: one of `folds` parts of hash space, in which its documents lie. Leaving out a fold at a time, of either
side, gives the limits of every number (delete-a-group jackknife, one-sided 95 %), and half of the folds of a
reference against the other half is the null: what a corpus that lost nothing would show.

Both sides must be counts of the same sample of types. They are taken for independent; where they share documents, the
limits are too wide.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.statistics import hill
from transforms.kernels.statistics.hill import Floats, divergence
from transforms.kernels.statistics.structures import Interval, Z

Matrix = npt.NDArray[np.int64]

BUDGET = 0.9  # of the smaller side, so that there is enough when a fold is left out
LEAST = 5  # documents of the reference that a type must be in, or misspellings and numbers decide
HEAD_LEAST = 10  # the same for the distance
TAIL = 1e-4  # types rarer than this are the tail
SMALL = 4  # of a small reference, those in up to so many times `LEAST` documents


class Side(NamedTuple):
    """A corpus: how many documents of each fold each type is in."""

    types: npt.NDArray[np.uint32]  # [n] ascending
    counts: Matrix  # [n, folds]
    one_in: float  # types are a sample of one in so many


def aligned(one: Side, other: Side) -> tuple[Side, Side]:
    """Both over the types of either."""
    types = np.union1d(one.types, other.types)

    def spread(side: Side) -> Side:
        counts = np.zeros((len(types), side.counts.shape[1]), np.int64)
        counts[np.searchsorted(types, side.types)] = side.counts
        return Side(types, counts, side.one_in)

    return spread(one), spread(other)


def jackknifed(
    numbers: Callable[[Matrix, Matrix], Sequence[float] | Floats], one: Matrix, other: Matrix
) -> list[Interval]:
    """Numbers of two aligned sides, with limits from leaving out each fold of each; NaN where they cannot be had."""
    without: list[Sequence[Sequence[float] | Floats]] = []
    for moving, first in ((one, True), (other, False)):
        folds = np.flatnonzero(moving.any(axis=0)).tolist()
        without.append([numbers(_left(one, k), other) if first else numbers(one, _left(other, k)) for k in folds])
    return limited(np.array(numbers(one, other)), without)


def limited(values: Floats, sides: Sequence[Sequence[Sequence[float] | Floats]]) -> list[Interval]:
    """Numbers with limits from what they are without each fold of each side; NaN where a side has fewer than two."""
    variance = np.zeros(len(values))
    for without in sides:
        b = len(without)
        if b < 2:
            variance += np.nan
            continue
        left = np.array(without)
        variance += (b - 1) / b * ((left - left.mean(axis=0)) ** 2).sum(axis=0)
    margin = Z * np.sqrt(variance)
    return [Interval(v, v - m, v + m) for v, m in zip(values.tolist(), margin.tolist(), strict=True)]


def _left(counts: Matrix, fold: int) -> Matrix:
    left = counts.copy()
    left[:, fold] = 0
    return left


def hill_ratios(one: Matrix, other: Matrix, one_in: float) -> Floats:
    """Hill numbers of order 0, 1, 2 over the reference's, both at one budget. float64[3], NaN where a side is empty."""
    spectra = [hill.spectrum(side.sum(axis=1), one_in) for side in (one, other)]
    totals = [hill.occurrences(spectrum) for spectrum in spectra]
    if not min(totals):
        return np.full(3, np.nan)
    mine, theirs = (hill.profile(s, BUDGET * min(totals) / t)[:3] for s, t in zip(spectra, totals, strict=True))
    return mine / theirs


def _halves(counts: Matrix) -> tuple[Floats, Floats]:
    return counts[:, 0::2].sum(axis=1).astype(np.float64), counts[:, 1::2].sum(axis=1).astype(np.float64)


def tail(one: Matrix, other: Matrix, one_in: float, low: float = 0.0, high: float = TAIL) -> tuple[float, float, int]:
    """What is left of the reference's tail: of its mass, of its types at one budget, and how many types it has.

    Rare types are rarer in whatever was not chosen for having them: text of the very same kind seems to keep 0.88 of the mass. So
    the tail is found in one half of the folds of the reference, and the other half of both sides is held against each other,
    both ways: documents that the two share are never on the side that chose.
    """
    mass, coverage, types = [], [], 0
    for (choosing, b), (_, c) in zip(_both_ways(other), _both_ways(one), strict=True):
        if not min(choosing.sum(), b.sum(), c.sum()):
            return np.nan, np.nan, 0
        total = choosing.sum() * one_in
        most = high * total if low else max(high * total, SMALL * LEAST)
        inside = (choosing >= LEAST) & (choosing >= low * total) & (choosing < most)
        types += int(inside.sum())
        budget = BUDGET * min(b.sum(), c.sum())
        seen = [_seen(side[inside], budget / side.sum()) for side in (c, b)]
        shares = [side[inside].sum() / side.sum() for side in (c, b)]
        mass.append(shares[0] / shares[1] if shares[1] else np.nan)
        coverage.append(seen[0] / seen[1] if seen[1] else np.nan)
    return float(np.mean(mass)), float(np.mean(coverage)), types // 2


def _both_ways(counts: Matrix) -> list[tuple[Floats, Floats]]:
    halves = _halves(counts)
    return [halves, halves[::-1]]


def _seen(counts: Floats, fraction: float) -> float:
    """Types expected if each document is taken with this chance."""
    return float(-np.expm1(counts * np.log1p(-fraction)).sum()) if fraction < 1 else float((counts > 0).sum())


def distance(one: Matrix, other: Matrix) -> float:
    """Jensen-Shannon divergence from the reference in bits, without what sampling alone adds. May be a hair below 0.

    Over types that are in `HEAD_LEAST` documents of the reference, all others as one. A sample's divergence is too large by
    about b / size. Half a sample has twice that, so J(half) - J(whole) says how much it is, for either side (Quenouille 1956).
    One half of the folds of one side is held against the other half of the other, both ways: they share no document.
    """
    inside = other.sum(axis=1) >= HEAD_LEAST
    c, r = _with_rest(one, inside), _with_rest(other, inside)
    return (_corrected(c[:, 0::2], r[:, 1::2]) + _corrected(c[:, 1::2], r[:, 0::2])) / 2


def _corrected(c: Matrix, r: Matrix) -> float:
    all_c, all_r = c.sum(axis=1).astype(np.float64), r.sum(axis=1).astype(np.float64)
    halved = np.mean([divergence(half, all_r) for half in _halves(c)])
    reference_halved = np.mean([divergence(all_c, half) for half in _halves(r)])
    return float(3 * divergence(all_c, all_r) - halved - reference_halved)


def _with_rest(counts: Matrix, inside: npt.NDArray[np.bool_]) -> Matrix:
    return np.vstack([counts[inside], counts[~inside].sum(axis=0)])
