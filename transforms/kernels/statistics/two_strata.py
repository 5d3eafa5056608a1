"""Exact limits of a share from labels of two strata, and how to lay them by a detector's scores so that few labels do.

A population is cut in two by score: the *top*, and the rest. Of each, documents are drawn with replacement, so the marked
draws of either are binomial, whatever the scores are worth: they decide how wide the limit is, never whether it is right.

The limit is Buehler's (1957, J. Am. Stat. Assoc. 52; Kabaila and Lloyd 2003): outcomes are ordered by an approximate upper limit,
and q is ruled out if no shares (p_top, p_rest) with w p_top + (1 - w) p_rest = q give an outcome so low a chance above alpha.
The largest such chance is never guessed: the chance of a low outcome falls with either share, so over an interval of p_top
it is at most that at the lower ends of both, and intervals are halved until that decides.

Where nothing is marked no stratification can beat a uniform draw (the worst case has one share everywhere), and this takes a
sixth more labels; where something is, and scores tell it, a quarter to a half fewer: `python -m benchmarks.audit_saving`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

from transforms.kernels.statistics import share_bound

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Pair = tuple[int, int]  # of the top, of the rest

TOP_PART, TOP_OF = 3, 20  # of so many draws, so many are of the top
SMALLEST_TOP, LARGEST_TOP = (
    0.002,
    TOP_PART / TOP_OF,
)  # of the population: the top is never drawn from less than the rest
_Z = 1.645  # of the approximate limit that orders outcomes
_PIECES, _HALVINGS = 32, 14
_FINE = 1e-5  # of a limit


def of_top(n: int) -> npt.NDArray[np.bool_]:
    """Which of n draws are of the top: three of twenty, evenly, so that a first part of the draws has its share. bool[n]."""
    at = np.arange(n + 1) * TOP_PART // TOP_OF
    return np.diff(at) > 0


def draws_of(n: int) -> Pair:
    """How many of n draws are of the top, and of the rest."""
    top = n * TOP_PART // TOP_OF
    return top, n - top


def limits(k: Pair, n: Pair, top: float, alpha: float) -> tuple[float, float]:
    """Exact one-sided limits of the share of the whole, each at level 1 - alpha.

    Args:
      k: draws with the mark.
      n: draws.
      top: the part of the whole that the top is, in (0, 1).
      alpha: chance that a limit is wrong.

    Raises:
      ValueError: the counts cannot be.
    """
    if not all(0 <= a <= b for a, b in zip(k, n, strict=True)) or not 0 < top < 1:
        raise ValueError(f"{k} of {n} draws, the top {top} of the whole")
    return 1 - _upper((n[0] - k[0], n[1] - k[1]), n, top, alpha), _upper(k, n, top, alpha)


def _upper(k: Pair, n: Pair, top: float, alpha: float) -> float:
    outcomes = _ordered(n, top)
    longest = _longest(outcomes, outcomes[k])
    if longest[-1] == n[1]:
        return 1.0  # no outcome is higher
    low, high = min(1.0, _point(k, n, top)), 1.0
    while high - low > _FINE:
        middle = (low + high) / 2
        low, high = (middle, high) if _may_be(middle, n, top, longest, alpha) else (low, middle)
    return high


def _point(k: Pair, n: Pair, top: float) -> float:
    return top * k[0] / max(1, n[0]) + (1 - top) * k[1] / max(1, n[1])


def _ordered(n: Pair, top: float) -> F64:
    """What outcomes are ordered by, float64[n_top + 1, n_rest + 1]: it never falls as either count grows."""
    parts = []
    for weight, m in zip((top, 1 - top), n, strict=True):
        k, m = np.arange(m + 1), max(1, m)
        p = (k + 0.5) / (m + 1)
        parts.append((weight * k / m, weight**2 * p * (1 - p) / m))
    (one, own), (other, others) = parts
    limit = one[:, None] + other[None, :] + _Z * np.sqrt(own[:, None] + others[None, :])
    return np.maximum.accumulate(np.maximum.accumulate(limit, axis=0), axis=1)


def _longest(outcomes: F64, value: float) -> I64:
    """For each count of the top the highest of the rest at which the outcome is not above `value`; -1: none. int64[n_top + 1]."""
    return (outcomes <= value + 1e-12).sum(axis=1).astype(np.int64) - 1


def _chance(p: F64, q: F64, n: Pair, longest: I64) -> F64:
    """Of an outcome that is not above `longest`, with shares p of the top and q of the rest."""
    k = np.flatnonzero(longest >= 0)
    gammaln, xlogy, xlog1py = scipy.special.gammaln, scipy.special.xlogy, scipy.special.xlog1py
    ways = gammaln(n[0] + 1) - gammaln(k + 1) - gammaln(n[0] - k + 1)
    of_top_ = np.exp(ways + xlogy(k, p[:, None]) + xlog1py(n[0] - k, -p[:, None]))
    of_rest = scipy.special.bdtr(longest[k].astype(np.float64), n[1], np.clip(q, 0, 1)[:, None])
    found: F64 = (of_top_ * of_rest).sum(axis=1)
    return found


def _may_be(q: float, n: Pair, top: float, longest: I64, alpha: float) -> bool:
    """Whether some shares of the strata that come to `q` give such an outcome a chance above alpha; if in doubt, yes."""
    edges = np.linspace(max(0.0, (q - (1 - top)) / top), min(1.0, q / top), _PIECES + 1)
    low, high = edges[:-1], edges[1:]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if (_chance(middle, (q - top * middle) / (1 - top), n, longest) > alpha).any():
            return True
        open_ = _chance(low, (q - top * high) / (1 - top), n, longest) > alpha * (1 - 1e-9)
        if not open_.any():
            return False
        low, middle, high = low[open_], middle[open_], high[open_]
        low, high = np.r_[low, middle], np.r_[middle, high]
    return True


class Cut(NamedTuple):
    """Where the top begins, and what is expected there."""

    at: int  # the first bin of the top
    top: float  # the part of the population that it is
    shares: tuple[float, float]  # that are expected to be marked, of the top and of the rest


def cut(weight: F64, odds: F64, unscored: float, marked: float) -> Cut | None:
    """The cut that leaves an estimate the least variance, if scores are right and so much of the population is marked.

    Args:
      weight: of the population by bin of score, [bins].
      odds: of a mark in each bin, where half of the population is marked, rising, [bins].
      unscored: weight without a score; it belongs to the rest.
      marked: the share of the population that is, in [0, 1].

    Returns:
      None: there is no part of fitting size.
    """
    total = float(weight.sum()) + unscored
    if not total:
        return None
    f = TOP_PART / TOP_OF
    above, of_them = (np.cumsum(part[::-1])[::-1] / total for part in (weight, weight * _chances(weight, odds, marked)))
    all_marked = of_them[0] + marked * unscored / total
    fits = (above >= SMALLEST_TOP) & (above <= LARGEST_TOP)
    if not fits.any():
        return None
    top, rest = np.where(fits, above, 0.5), np.where(fits, 1 - above, 0.5)
    one, other = of_them / top, (all_marked - of_them) / rest
    variance = top**2 * one * (1 - one) / f + rest**2 * other * (1 - other) / (1 - f)
    best = int(np.argmin(np.where(fits, np.round(variance, 15), np.inf)))
    shares = (min(1.0, float(one[best])), min(1.0, max(0.0, float(other[best]))))
    return Cut(best, float(above[best]), shares)


def cut_by_scores(bins: I64, unscored: int, marked: float | None = None) -> Cut | None:
    """The cut of a population whose scores are log-odds of a mark, in the bins of `share_bound.histogram`.

    Args:
      bins: weight by bin of the score.
      unscored: weight without one.
      marked: the share of the population that is; None: what its scores make of it.
    """
    middles = (
        share_bound.LOWEST
        + (np.arange(share_bound.BINS) + 0.5) * (share_bound.HIGHEST - share_bound.LOWEST) / share_bound.BINS
    )
    odds, weight = np.exp(middles), bins.astype(np.float64)
    if marked is None:
        total, marked = weight.sum(), 0.1
        for _ in range(
            200 if total else 0
        ):  # EM (Saerens et al. 2002, Neural Comput. 14): the mean of the chances is the share
            marked = float(weight @ (marked * odds / (marked * odds + 1 - marked)) / total)
    return cut(weight, odds, float(unscored), marked)


def _chances(weight: F64, odds: F64, marked: float) -> F64:
    """Of a mark in each bin, so that they come to the share `marked` of all weight."""
    wanted, low, high = marked * weight.sum(), -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        there = odds * np.exp(middle)
        low, high = (middle, high) if weight @ (there / (1 + there)) < wanted else (low, middle)
    there = odds * np.exp((low + high) / 2)
    return np.asarray(there / (1 + there))


def _up_to(laid: Cut, n: int) -> tuple[Callable[[int], I64], int]:
    """By rank of an outcome of n draws, the lowest first, all that is not above it (`_longest`); and how many ranks there are."""
    outcomes = _ordered(draws_of(n), laid.top)
    values = np.unique(outcomes)
    return lambda rank: _longest(outcomes, float(values[rank])), len(values)


def _expected(laid: Cut, n: int, longest: I64) -> float:
    """The chance of an outcome of n draws that is not above `longest`, if strata are as `laid` expects."""
    p, q = (np.array([share]) for share in laid.shares)
    return float(_chance(p, q, draws_of(n), longest)[0])


def passes(laid: Cut, n: int, limit: float, alpha: float) -> float:
    """The chance that n draws certify "at most `limit`", if strata are as `laid` expects."""
    up_to, ranks = _up_to(laid, n)
    low, high = -1, ranks - 1  # the highest outcome that certifies
    while low < high:
        middle = (low + high + 1) // 2
        out = not _may_be(limit, draws_of(n), laid.top, up_to(middle), alpha)
        low, high = (middle, high) if out else (low, middle - 1)
    return _expected(laid, n, up_to(low)) if low >= 0 else 0.0


def _likely_passes(laid: Cut, n: int, limit: float, alpha: float, likely: float) -> bool:
    """Whether `passes` is `likely` or more: where the lowest outcome certifies that has such a chance."""
    up_to, ranks = _up_to(laid, n)
    low, high = 0, ranks - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _expected(laid, n, up_to(middle)) >= likely else (middle + 1, high)
    return not _may_be(limit, draws_of(n), laid.top, up_to(low), alpha)


def labels_needed(laid: Cut, limit: float, alpha: float, likely: float, most: int) -> int | None:
    """How many draws certify "at most `limit`" with a chance of `likely`, to one in fifty; None: more than `most`.

    The chance rises with the draws, but not at every step: counts are whole.
    """
    n = (
        max(1, int(0.8 * np.log(alpha) / np.log1p(-limit))) if 0 < limit < 1 else 1
    )  # fewer never do, even if none is marked
    while n <= most:
        if _likely_passes(laid, n, limit, alpha, likely):
            return n
        n += 1 + n // 50
    return None
