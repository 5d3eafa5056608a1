"""The share of synthetic documents in a corpus, from the scores of an imperfect detector.

Counting flagged documents is biased: E[flagged] = q TPR + (1 - q) FPR, nine points too high at q = 0 for a good
detector cut in the middle. Two estimates that are not:

- a *point*, from the whole histogram of scores: the maximum-likelihood share of a two-part mixture (`estimate_share`);
- an *upper bound*, from three counts at one threshold: Rogan and Gladen's estimate (1978, Am. J. Epidemiol. 107) at the
  worst corner of exact confidence limits (`share_upper`).

Neither is free of assumptions, and each says which it makes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

BINS, LOWEST, HIGHEST = 200, -20.0, 20.0  # log-odds
MERGED_BINS = 40

Counts = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def histogram(log_odds: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Counts of scores in `BINS` equal bins from `LOWEST` to `HIGHEST`, int64[BINS].

    Scores outside fall into the outermost bins; NaN (not scorable) is not counted. The histograms of the parts of a
    corpus add up to that of the whole.
    """
    bins = bin_of(log_odds)
    return np.bincount(bins[bins >= 0], minlength=BINS).astype(np.int64)


def bin_of(log_odds: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The bin of each score, int64[documents]; -1 for NaN."""
    scores = np.asarray(log_odds, np.float64)
    known = ~np.isnan(scores)
    bins = np.floor((np.clip(np.where(known, scores, 0), LOWEST, HIGHEST) - LOWEST) * (BINS / (HIGHEST - LOWEST)))
    return np.where(known, np.minimum(bins, BINS - 1), -1).astype(np.int64)


def posterior(share: float, human: Counts, machine: Counts) -> npt.NDArray[np.float64]:
    """The chance that a document in each bin is a machine's, where a fraction `share` of all is. float64[bins].

    Bayes: q Q_b / ((1 - q) P_b + q Q_b), with the merged bins and smoothing of `estimate_share`.
    """
    starts = _merge(human / human.sum() + machine / machine.sum())
    h, m = (np.add.reduceat(counts.astype(np.float64), starts) + 0.5 for counts in (human, machine))
    p, q = (1 - share) * h / h.sum(), share * m / m.sum()
    return np.repeat(q / (p + q), np.diff(np.r_[starts, len(human)]))


def estimate_share(target: Counts, human: Counts, machine: Counts) -> float:
    """Maximum-likelihood share q of machine documents in a corpus, in [0, 1].

    With T_b, P_b, Q_b the target's counts and the human and machine references' frequencies in bin b, q maximises

        L(q) = sum_b T_b log((1 - q) P_b + q Q_b),

    which is concave: q is the root of dL/dq = sum_b T_b (Q_b - P_b) / ((1 - q) P_b + q Q_b), or the end of [0, 1] that
    the slope points to. (EM converges to the same q.) Bins are merged to at most `MERGED_BINS` of about equal reference
    mass, and 1/2 is added to every reference count, so that an empty bin is not taken for an impossible one.

    Assumes that the target's human and machine documents score as the references do. A human domain that scores higher
    than the reference's is taken for synthetic text, an unseen generator that scores lower is missed.

    Args:
      target: counts (or weights) of the corpus by bin, [bins].
      human: of human reference documents, over the same bins.
      machine: of machine reference documents, over the same bins.

    Returns:
      q; NaN if the target or a reference is empty.
    """
    if not target.sum() or not human.sum() or not machine.sum():
        return float("nan")
    starts = _merge(human / human.sum() + machine / machine.sum())
    t, h, m = (np.add.reduceat(counts.astype(np.float64), starts) for counts in (target, human, machine))
    p = (h + 0.5) / (h + 0.5).sum()
    q = (m + 0.5) / (m + 0.5).sum()

    def slope(share: float) -> float:
        return float(np.sum(t * (q - p) / ((1 - share) * p + share * q)))

    if slope(0.0) <= 0:
        return 0.0
    if slope(1.0) >= 0:
        return 1.0
    low, high = 0.0, 1.0  # the slope falls, so halving finds its root; scipy.optimize takes longer to import than this
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def estimate_variance(
    q: float, target: Counts, human: Counts, machine: Counts, documents: float | None = None
) -> float:
    """About how far `estimate_share` may be off by chance: its variance, from the Fisher information of a document.

        I = sum_b (Q_b - P_b)^2 / ((1 - q) P_b + q Q_b),   var = (1 / n + (1 - q)^2 / n_human + q^2 / n_machine) / I,

    the noise of the corpus and of both references. Large where the references hardly differ.

    Args:
      q: the estimate.
      target, human, machine: as for `estimate_share`.
      documents: how many documents the target is worth; its sum by default.
    """
    starts = _merge(human / human.sum() + machine / machine.sum())
    h, m = (np.add.reduceat(counts.astype(np.float64), starts) + 0.5 for counts in (human, machine))
    p, r = h / h.sum(), m / m.sum()
    information = float(np.sum((r - p) ** 2 / ((1 - q) * p + q * r)))
    n = float(target.sum()) if documents is None else documents
    return float((1 / n + (1 - q) ** 2 / human.sum() + q**2 / machine.sum()) / max(information, 1e-12))


def estimate_many(
    target: npt.NDArray[np.float64], human: npt.NDArray[np.float64], machine: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`estimate_share` and `estimate_variance` of many corpora at once, each with references of its own.

    Bins are merged as the mean of the references has it. A corpus without documents has a share of NaN and no information.

    Args:
      target, human, machine: float64[corpora, bins].

    Returns:
      Shares and variances, float64[corpora].
    """
    starts = _merge(human.sum(axis=0) / human.sum() + machine.sum(axis=0) / machine.sum())
    t, h, m = (np.add.reduceat(counts, starts, axis=1) for counts in (target, human, machine))
    p, r = ((counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True) for counts in (h, m))

    def rises(share: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        mixed = (1 - share[:, None]) * p + share[:, None] * r
        return np.asarray((t * (r - p) / mixed).sum(axis=1) > 0)

    low, high = np.zeros(len(t)), np.ones(len(t))
    at_zero, at_one = ~rises(low), rises(high)
    for _ in range(30):
        middle = (low + high) / 2
        up = rises(middle)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    share = np.where(at_zero, 0.0, np.where(at_one, 1.0, (low + high) / 2))
    information = ((r - p) ** 2 / ((1 - share[:, None]) * p + share[:, None] * r)).sum(axis=1)
    n = t.sum(axis=1)
    noise = 1 / np.maximum(n, 1e-9) + (1 - share) ** 2 / h.sum(axis=1) + share**2 / m.sum(axis=1)
    return np.where(n > 0, share, np.nan), noise / np.maximum(information, 1e-12)


def _merge(mass: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where each merged bin starts, so that each holds about 1 / `MERGED_BINS` of the mass."""
    below = (np.cumsum(mass) - mass) / mass.sum()
    _, starts = np.unique(np.floor(below * MERGED_BINS), return_index=True)
    return starts.astype(np.int64)


def clopper_pearson_lower(k: int, n: int, alpha: float) -> float:
    """The exact lower confidence limit of a fraction, one-sided at level 1 - alpha: B(alpha; k, n - k + 1)."""
    return float(scipy.special.betaincinv(k, n - k + 1, alpha)) if k > 0 else 0.0


def clopper_pearson_upper(k: int, n: int, alpha: float) -> float:
    """The exact upper confidence limit of a fraction, one-sided at level 1 - alpha: B(1 - alpha; k + 1, n - k)."""
    return float(scipy.special.betaincinv(k + 1, n - k, 1 - alpha)) if k < n else 1.0


def share_upper(
    k: int,
    n: int,
    human_flagged: int,
    human_n: int,
    families: Sequence[tuple[int, int]],
    alpha: float = 0.05,
    conservative: bool = True,
) -> tuple[float, float]:
    """Upper bounds of the synthetic share of a corpus, and of what is left of it below the threshold.

    With Clopper-Pearson limits, each at level alpha / 3,

        c_U = upper(k, n),  f_L = lower(human_flagged, human_n),  t_L = min over families of lower(h, n_family),
        q_U = (c_U - f_L) / (t_L - f_L), clipped to [0, 1];  1 if t_L <= f_L
        r_U = q_U (1 - t_L) / (1 - k / n), clipped to [0, 1].

    `conservative` sets f_L = 0, as if every flagged document were synthetic; two limits are left, each at alpha / 2.

    Assumes that the threshold was not chosen on this corpus; that its generators are flagged at least as often as the
    hardest reference family; and, unless `conservative`, that its humans are flagged at least as often as those of the
    reference. (If c_U < f_L that last assumption is refuted, and a bound of 0 says nothing.)

    Args:
      k: flagged documents of the corpus.
      n: scorable documents of the corpus.
      human_flagged: flagged among the held-out human documents.
      human_n: held-out human documents.
      families: flagged and all held-out documents of each generator family.
      alpha: chance that a bound is too low.
      conservative: take no credit for false alarms.

    Returns:
      `(q_U, r_U)`: of all scorable documents, and of those below the threshold.

    Raises:
      ValueError: a count is negative or above its total.
    """
    for flagged, total in [(k, n), (human_flagged, human_n), *families]:
        if not 0 <= flagged <= total:
            raise ValueError(f"{flagged} flagged of {total} documents")
    level = alpha / (2 if conservative else 3)
    c_upper = clopper_pearson_upper(k, n, level)
    f_lower = 0.0 if conservative else clopper_pearson_lower(human_flagged, human_n, level)
    t_lower = min((clopper_pearson_lower(h, m, level) for h, m in families), default=0.0)
    if t_lower <= f_lower:
        q_upper = 1.0
    else:
        q_upper = min(1.0, max(0.0, (c_upper - f_lower) / (t_lower - f_lower)))
    if k == n:  # nothing is below the threshold (or nothing was scored): nothing can be said of it
        return q_upper, 1.0
    return q_upper, min(1.0, q_upper * (1 - t_lower) / (1 - k / n))


def share_upper_of_parts(
    parts: Sequence[tuple[int, int, Sequence[tuple[int, int]]]], alpha: float = 0.05
) -> list[tuple[float, float]]:
    """`share_upper` of the parts of a corpus, such that with a chance of 1 - `alpha` all of them hold.

    Bonferroni: each part that has documents gets an equal share of `alpha`. No credit is taken for false alarms.

    Args:
      parts: flagged, all scorable documents, and the reference's families, of each part.
      alpha: chance that any of the bounds is too low.

    Returns:
      `(q_U, r_U)` of each part; `(1, 1)` for one without documents.
    """
    n_parts = max(1, sum(n > 0 for _, n, _ in parts))
    return [share_upper(k, n, 0, 0, families, alpha / n_parts) if n else (1.0, 1.0) for k, n, families in parts]
