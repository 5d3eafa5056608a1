"""What labels of a random sample certify: exact limits of a share, corrected for reviewers who err.

A sample of n draws, of which k were called synthetic, bounds the share of the population it was drawn from. Nothing is
assumed of a detector. Three things can spoil the bound, and each has its function here: a small population (`limits`),
reviewers who err (`Gold`, `share_limits`), and reviewers who do not agree (`agreement`).

Votes are counted as int64[items, 3], the columns being `contracts.ORIGINS`: undetermined, human, synthetic.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

from expectations.contracts import HUMAN, SYNTHETIC, UNKNOWN
from transforms.kernels.statistics import two_strata
from transforms.kernels.statistics.share_bound import clopper_pearson_lower, clopper_pearson_upper

NO_VOTE = -1
Found = tuple[int, ...]  # draws with a mark, of each stratum
FINITE_FROM = 0.05  # a sample of more than this part of the population is corrected for being drawn without replacement


class Gold(NamedTuple):
    """How often reviewers called items synthetic whose origin is known."""

    caught: int  # of the synthetic ones
    synthetic: int
    alarmed: int  # of the human ones
    human: int


def limits(k: int, n: int, alpha: float, population: int | None = None) -> tuple[float, float]:
    """Exact one-sided limits of a share, each at level 1 - alpha.

    Clopper and Pearson's (1934, Biometrika 26), by inverting the binomial tests; where more than `FINITE_FROM` of the
    population was drawn, the hypergeometric ones: the shares K / N with P(X <= k) > alpha, X ~ Hypergeometric(N, K, n),
    and the same from the other side.

    Args:
      k: draws with the mark.
      n: draws.
      alpha: chance that a limit is wrong.
      population: what was drawn from without replacement; None: drawn with replacement, or from something endless.

    Raises:
      ValueError: the counts cannot be.
    """
    if not 0 <= k <= n or (population is not None and n > population):
        raise ValueError(f"{k} of {n} draws from {population}")
    if population is None or n <= FINITE_FROM * population:
        return clopper_pearson_lower(k, n, alpha), clopper_pearson_upper(k, n, alpha)
    lower = population - _most_marked(n - k, n, population, alpha)
    return lower / population, _most_marked(k, n, population, alpha) / population


def _most_marked(k: int, n: int, population: int, alpha: float) -> int:
    """The most marked ones that the population may have, if k of n were."""
    low, high = k, population - (n - k)  # P(X <= k) falls as there are more: halving finds the last one above alpha
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _at_most(k, n, middle, population) > alpha else (low, middle - 1)
    return low


def _at_most(k: int, n: int, marked: int, population: int) -> float:
    """P(X <= k) of a hypergeometric variable."""
    x = np.arange(max(0, n - (population - marked)), min(k, marked) + 1)
    if not len(x):
        return 0.0
    logs = _log_choose(marked, x) + _log_choose(population - marked, n - x) - _log_choose(population, np.array(n))
    return float(np.exp(logs).sum())


def _log_choose(n: int, k: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(scipy.special.gammaln(n + 1) - scipy.special.gammaln(k + 1) - scipy.special.gammaln(n - k + 1))


class Uniform(NamedTuple):
    """Draws from one population."""

    n: int
    population: int | None = None  # see `limits`

    def apparent(self, k: Found, alpha: float, exact: bool) -> tuple[float, float]:
        """Limits of the share that is called so. `exact`: answers do not err, so that a small population counts."""
        return limits(sum(k), self.n, alpha, self.population if exact else None)

    def point(self, k: Found) -> float:
        """The share that is called so; NaN of no draws."""
        return sum(k) / self.n if self.n else float("nan")


class TwoStrata(NamedTuple):
    """Draws from the top of a population and from the rest: `two_strata.py`."""

    n: tuple[int, int]
    top: float  # the part of the population that it is

    def apparent(self, k: Found, alpha: float, exact: bool) -> tuple[float, float]:
        """As of `Uniform`; draws are with replacement."""
        return two_strata.limits((k[0], k[1]), self.n, self.top, alpha)

    def point(self, k: Found) -> float:
        """As of `Uniform`; of a stratum without draws nothing is known, and it is left out."""
        parts = [(w, found / m) for w, found, m in zip((self.top, 1 - self.top), k, self.n, strict=True) if m]
        return sum(w * part for w, part in parts) / sum(w for w, _ in parts) if parts else float("nan")


def share_limits(
    k_low: Found, k_high: Found, drawn: Uniform | TwoStrata, alpha: float, gold: tuple[Gold, Gold] | None
) -> tuple[float, float]:
    """One-sided limits of the synthetic share, each at level 1 - alpha, corrected for what reviewers get wrong.

    Reviewers with sensitivity Se and specificity Sp call a share a = q Se + (1 - q)(1 - Sp) synthetic, so
    q = (a - (1 - Sp)) / (Se - (1 - Sp)), which falls with Se and with 1 - Sp. With exact limits of the three, each at
    alpha / 3, the upper limit of q has a's upper and the lower ones of Se and 1 - Sp; the lower limit the other way.
    With gold the limits of a are binomial also for a small population: errors are drawn anew for every item.

    Args:
      k_low: draws that were called synthetic, of each stratum.
      k_high: draws that were called synthetic or undetermined, likewise.
      drawn: how many draws there are, and of what.
      alpha: chance that a limit is wrong.
      gold: how reviewers did on known items, counted as `k_low` and as `k_high` are; None: they are taken to be right.
    """
    if gold is None:
        return drawn.apparent(k_low, alpha, True)[0], drawn.apparent(k_high, alpha, True)[1]
    level, (sure, wide) = alpha / 3, gold
    caught, alarmed = (
        clopper_pearson_upper(h, m, level) for h, m in ((sure.caught, sure.synthetic), (sure.alarmed, sure.human))
    )
    low = _corrected(drawn.apparent(k_low, level, False)[0], caught, alarmed, otherwise=0.0)
    caught, alarmed = (
        clopper_pearson_lower(h, m, level) for h, m in ((wide.caught, wide.synthetic), (wide.alarmed, wide.human))
    )
    return low, _corrected(drawn.apparent(k_high, level, False)[1], caught, alarmed, otherwise=1.0)


def share_point(apparent: float, gold: Gold | None) -> float | None:
    """The share itself, corrected (Rogan and Gladen 1978); None if nothing is known, or reviewers do not tell the two apart."""
    if np.isnan(apparent):
        return None
    if gold is None or not gold.synthetic or not gold.human:
        return apparent
    caught, alarmed = gold.caught / gold.synthetic, gold.alarmed / gold.human
    return None if caught <= alarmed else _corrected(apparent, caught, alarmed, otherwise=1.0)


def _corrected(apparent: float, caught: float, alarmed: float, otherwise: float) -> float:
    return otherwise if caught <= alarmed else min(1.0, max(0.0, (apparent - alarmed) / (caught - alarmed)))


def labels_needed(k: int, limit: float, alpha: float = 0.05) -> int:
    """The fewest labels that certify "at most `limit`" with k synthetic among them, from a large population."""
    low, high = k, k + 1
    while clopper_pearson_upper(k, high, alpha) > limit:
        low, high = high, 2 * high
    while high - low > 1:  # the limit falls with n
        middle = (low + high) // 2
        low, high = (low, middle) if clopper_pearson_upper(k, middle, alpha) <= limit else (middle, high)
    return high


def most_votes(votes: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """What each item is by the most votes, int8[items]; a tie is undetermined, `NO_VOTE` where there is none."""
    most = votes.max(axis=1, initial=0)
    tied = (votes == most[:, None]).sum(axis=1) > 1
    winner = np.where(tied, UNKNOWN, votes.argmax(axis=1))
    return np.where(most == 0, NO_VOTE, winner).astype(np.int8)


def gold_counts(known: npt.NDArray[np.int8], called: npt.NDArray[np.int8]) -> tuple[Gold, Gold]:
    """How reviewers did on known items: counting what they called synthetic, and that and undetermined.

    Args:
      known: the true origin of each item.
      called: what reviewers called it; items with `NO_VOTE` are not counted.
    """
    seen = called != NO_VOTE
    of_synthetic, of_human = seen & (known == SYNTHETIC), seen & (known == HUMAN)

    def count(marked: npt.NDArray[np.bool_]) -> Gold:
        parts = (of_synthetic & marked, of_synthetic, of_human & marked, of_human)
        return Gold(*(int(part.sum()) for part in parts))

    return count(called == SYNTHETIC), count((called == SYNTHETIC) | (called == UNKNOWN))


def agreement(votes: npt.NDArray[np.int64]) -> float:
    """Krippendorff's alpha for nominal values (2011, Computing Krippendorff's alpha-reliability).

    1 - D_o / D_e: the disagreement within items that have two votes or more, against that of votes paired at random. 1 is
    perfect, 0 is chance. NaN where no item has two votes, or all votes are the same: then nothing is known of it.

    Args:
      votes: counts, int64[items, values]. Any number of reviewers may have seen an item.
    """
    paired = votes[votes.sum(axis=1) > 1].astype(np.float64)
    per_item = paired.sum(axis=1)
    n, totals = per_item.sum(), paired.sum(axis=0)
    by_chance = (totals * (n - totals)).sum() / (n - 1) if n else 0.0
    if not by_chance:
        return float("nan")
    observed = ((paired * (per_item[:, None] - paired)).sum(axis=1) / (per_item - 1)).sum()
    return float(1 - observed / by_chance)


def gap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How far two intervals are apart; 0 if they meet."""
    return max(0.0, one[0] - other[1], other[0] - one[1])
