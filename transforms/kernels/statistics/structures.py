"""What a system of structures says of many documents: core, deviance, entropy, retention (arXiv 2601.06116).

A document's *pattern* has bit i set if it complies with structure i, so its compliance is a vector of zeros and ones. With
weights w (1, or the document's tokens) over documents x, in the paper's words and our equations:

- core c_i = sum w a_i(x) / sum w: the norm (5);
- deviance d(x) = |a(x) - c|_2 / sqrt(n), in [0, 1] (8); E[d] and Var[d] are exact, from the counts of patterns;
- E[d^2] = (1/n) sum_i c_i (1 - c_i), the mean of the variances of the structures;
- core entropy H = -sum p_i ln p_i with p_i = c_i / sum c_j (14); effective numbers D1 = exp H, D2 = 1 / sum p_i^2 (Hill 1973).

A corpus is homogeneous if E[d] *and* Var[d] go to 0: Var[d] alone rises while one norm takes over.

Counts are sums by (block, pattern), so those of parts add up. A *block* is one of `BLOCKS` parts of hash space: leaving
one out at a time (the delete-a-group jackknife) says how sure a number is, with copies of a content in one block. Shares
have Wilson's limits, ratios of shares those of Zou and Donner (MOVER, Stat. Med. 2008); with tokens as weights, a share
rests on (sum w)^2 / sum w^2 documents (Kish 1965), which takes for granted that long documents comply as often as short ones.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from expectations import intervals
from transforms.kernels.statistics import hill
from transforms.kernels.statistics.hill import divergence

BLOCKS = 64
Z = 1.6448536269514722  # one-sided 95 %
POWER = 0.8416212335729143  # 80 %
IN_SLICE = np.uint16(1 << 15)  # set where the input's own columns put a document into the system's slice

Floats = npt.NDArray[np.float64]


Population = tuple[int, int, int, str]  # system, how far the documents came, whose they are, their source


class PatternCounts(NamedTuple):
    """Documents by block and pattern."""

    keys: npt.NDArray[np.uint32]  # block << 16 | pattern; ascending, unique
    sums: npt.NDArray[np.int64]  # [keys, 3]: documents, their tokens, the squares of their tokens


class Interval(NamedTuple):
    """A number with its one-sided 95 % limits. NaN: not known."""

    value: float
    lower: float
    upper: float


UNKNOWN = Interval(np.nan, np.nan, np.nan)


class Cores(NamedTuple):
    """What is known of a system in some documents; NaN where there are none."""

    n: int  # documents
    core: tuple[Interval, ...]  # by structure
    expected_deviance: Interval
    deviance_variance: float
    mean_square_deviance: float
    entropy: float  # nats
    effective_number: Interval  # order 1
    effective_number_2: float


def count(
    patterns: npt.NDArray[np.uint16], content: npt.NDArray[np.uint64], tokens: npt.NDArray[np.integer]
) -> PatternCounts:
    """Count documents. `content` names what a document says (its hash), and so its block."""
    keys = (content >> np.uint64(58)).astype(np.uint32) << np.uint32(16) | patterns.astype(np.uint32)
    weight = tokens.astype(np.int64)
    return _summed(keys, np.stack([np.ones_like(weight), weight, weight * weight], axis=1))


def merge(parts: list[PatternCounts]) -> PatternCounts:
    """The counts of all documents of the parts. Commutative and associative; `merge([])` is the empty count."""
    if not parts:
        return PatternCounts(np.zeros(0, np.uint32), np.zeros((0, 3), np.int64))
    return _summed(np.concatenate([p.keys for p in parts]), np.concatenate([p.sums for p in parts]))


def _summed(keys: npt.NDArray[np.uint32], sums: npt.NDArray[np.int64]) -> PatternCounts:
    found, index = np.unique(keys, return_inverse=True)
    total = np.zeros((len(found), 3), np.int64)
    np.add.at(total, index, sums)
    return PatternCounts(found, total)


def by_pattern(counts: PatternCounts) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """The patterns that occur, ascending, and their sums over all blocks, int64[patterns, 3]."""
    total = _summed(counts.keys & np.uint32(0x7FFF), counts.sums)
    return total.keys.astype(np.uint16), total.sums


def compliance(patterns: npt.NDArray[np.uint16], n: int) -> Floats:
    """Patterns as vectors of zeros and ones, float64[patterns, n]."""
    return ((patterns[:, None] >> np.arange(n, dtype=np.uint16)) & 1).astype(np.float64)


def summarise(counts: PatternCounts, n: int, weight: str = "docs") -> Cores:
    """Everything about `n` structures in the documents counted.

    Args:
      counts: of the documents.
      n: number of structures.
      weight: "docs" or "tokens".
    """
    patterns, sums = by_pattern(counts)
    column = 0 if weight == "docs" else 1
    weights = sums[:, column].astype(np.float64)
    documents, total = int(sums[:, 0].sum()), weights.sum()
    if not total:
        nothing = (np.nan,) * 2
        return Cores(documents, (UNKNOWN,) * n, UNKNOWN, *nothing, np.nan, UNKNOWN, np.nan)
    has = compliance(patterns, n)
    core = weights @ has / total
    effective = documents if weight == "docs" else total**2 / float(sums[:, 2].sum())
    expected, variance = deviance(weights, has)
    _, leave_out = _without_each_block(counts, patterns, column, weights)
    jackknifed = np.array([[deviance(w, has)[0], effective_numbers(w @ has)[1]] for w in leave_out])
    entropy, first, second = effective_numbers(core)
    limits = [jackknife(value, parts) for value, parts in zip((expected, first), jackknifed.T, strict=True)]
    return Cores(
        documents,
        tuple(wilson(share, effective) for share in core.tolist()),
        limits[0],
        variance,
        float((core * (1 - core)).mean()),
        entropy,
        limits[1],
        second,
    )


def deviance(weights: Floats, has: Floats) -> tuple[float, float]:
    """Mean and variance of the deviance of documents of some patterns. `has` is float64[patterns, structures]."""
    total = weights.sum()
    if not total:
        return np.nan, np.nan
    core = weights @ has / total
    distance = np.sqrt(((has - core) ** 2).mean(axis=1))
    mean = float(weights @ distance / total)
    return mean, float(weights @ (distance - mean) ** 2 / total)


def effective_numbers(core: Floats) -> tuple[float, float, float]:
    """Entropy in nats, and the effective numbers of order 1 and 2, of a core of any sum.

    Where nothing complies with anything, no structure is effectively there (0), and there is no entropy (NaN).
    """
    total = core.sum()
    if not total > 0:
        return np.nan, 0.0, 0.0
    p = core[core > 0] / total
    return (hill.entropy(p), *hill.of_shares(p)[:2])


def _without_each_block(
    counts: PatternCounts, patterns: npt.NDArray[np.uint16], column: int, weights: Floats
) -> tuple[npt.NDArray[np.uint32], Floats]:
    """The blocks that have documents, and the weights by pattern without each of them, float64[blocks, patterns]."""
    blocks, row = np.unique(counts.keys >> np.uint32(16), return_inverse=True)
    by_block = np.zeros((len(blocks), len(patterns)))
    at = np.searchsorted(patterns, (counts.keys & np.uint32(0x7FFF)).astype(np.uint16))
    np.add.at(by_block, (row, at), counts.sums[:, column])
    return blocks, weights - by_block


def jackknife(value: float, leave_out: Floats) -> Interval:
    """Limits from the value without each block: s^2 = (B - 1) / B sum (v_b - mean)^2. None from fewer than two blocks."""
    b = len(leave_out)
    if b < 2 or not np.isfinite(leave_out).all():
        return Interval(value, np.nan, np.nan)
    margin = Z * float(np.sqrt((b - 1) / b * ((leave_out - leave_out.mean()) ** 2).sum()))
    return Interval(value, max(0.0, value - margin), value + margin)


def documents_to_tell(number: Interval, n: int, change: float) -> int:
    """About how many documents it takes to see a number change by so much (power 80 %), from how sure `n` make it."""
    margins = [abs(limit - number.value) for limit in number[1:] if np.isfinite(limit)]
    if not margins or np.isnan(number.value):
        return n + 1
    return int(min(2**62, np.ceil(n * ((Z + POWER) / Z * max(margins) / change) ** 2)))


def wilson(share: float, n: float) -> Interval:
    """A share of `n` documents with Wilson's score limits (1927)."""
    if not n > 0:
        return UNKNOWN
    share = min(1.0, max(0.0, share))
    lower, upper = intervals.wilson(share, n, Z)
    # At the ends the limit is the share itself, but for the last bits.
    return Interval(share, 0.0 if share == 0 else lower, 1.0 if share == 1 else upper)


def at_mix(share: Floats, n: Floats, mix: Floats) -> Interval:
    """The share that there would be if the strata were mixed otherwise: sum W_s c_s (post-stratification).

    Its limits are Wilson's, of as many documents as would give it the variance sum W_s^2 c_s (1 - c_s) / n_s; or, where that is
    less sure, as sum W_s^2 / n_s would: a stratum of few documents that are all alike is not known to be so.

    Args:
      share: of each stratum, float64[strata].
      n: documents that it rests on.
      mix: the part of each stratum, of any sum; one with a part but no documents leaves the share unknown.
    """
    there = mix > 0
    if not there.any() or not (n[there] > 0).all():
        return UNKNOWN
    c, n, w = share[there], n[there], mix[there] / mix[there].sum()
    value = float(w @ c)
    least = 1 / float(w @ (w / n))
    variance = float((w * w * c * (1 - c) / n).sum())
    return wilson(value, min(least, value * (1 - value) / variance) if variance > 0 else least)


def ratio(one: Interval, other: Interval) -> Interval:
    """One / other, with limits from the limits of both (MOVER, Donner and Zou 2012, equations 9 and 10).

    They are exact enough for independent samples, and too wide where the two share documents. A side without limits is
    taken as known.
    """
    a, b = (Interval(x.value, *(x.value if np.isnan(limit) else limit for limit in x[1:])) for x in (one, other))
    if np.isnan(a.value) or np.isnan(b.value) or b.value <= 0:
        return UNKNOWN
    product = a.value * b.value
    low, high = b.upper * (2 * b.value - b.upper), b.lower * (2 * b.value - b.lower)
    under = product**2 - a.lower * (2 * a.value - a.lower) * low
    over = product**2 - a.upper * (2 * a.value - a.upper) * high
    lower = (product - np.sqrt(max(0.0, under))) / low if low > 0 else 0.0
    upper = (product + np.sqrt(max(0.0, over))) / high if high > 0 else np.inf
    value = a.value / b.value
    return Interval(value, float(min(value, max(0.0, lower))), float(max(value, upper)))


def divergence_from(counts: PatternCounts, n: int, column: int, group: list[int], target: Floats) -> Interval:
    """Divergence of the cores of some structures from a target, with jackknife limits.

    The point is biased upwards by about (k - 1) / (4 N ln 2) bits for k structures and N documents.
    """
    patterns, sums = by_pattern(counts)
    weights, has = sums[:, column].astype(np.float64), compliance(patterns, n)[:, group]
    _, leave_out = _without_each_block(counts, patterns, column, weights)
    return jackknife(divergence(weights @ has, target), np.array([divergence(w @ has, target) for w in leave_out]))


def given(counts: PatternCounts, condition: int, structure: int, column: int) -> tuple[int, Interval]:
    """Documents that comply with one structure, and the share of those that comply with another too."""
    patterns, sums = by_pattern(counts)
    there = (patterns >> condition) & 1 == 1
    both = there & ((patterns >> structure) & 1 == 1)
    documents, total = int(sums[there, 0].sum()), float(sums[there, column].sum())
    if not total:
        return documents, UNKNOWN
    effective = documents if column == 0 else total**2 / float(sums[there, 2].sum())
    return documents, wilson(float(sums[both, column].sum()) / total, effective)
