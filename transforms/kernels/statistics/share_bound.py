"""The share of synthetic documents in a corpus, from the scores of an imperfect detector.

Counting flagged documents is biased: E[flagged] = q TPR + (1 - q) FPR, nine points too high at q = 0 for a good detector cut in
the middle. So the whole histogram of scores is explained: a corpus is a mixture

    (1 - q_l) sum_d v_d P_dl + q_l sum_g w_g Q_gl

of human domains d and generators g that are known, in proportions v and w that are not, with a share q_l for each range of
lengths l, because a machine's texts are seldom as long as people's (`fit`). Their mean q over documents is the share, and
`limits` are the smallest and the largest that the scores do not contradict: where the profile log-likelihood, all else chosen
best for each q, has fallen by z^2 / 2 (Wilks 1938; Venzon and Moolgavkar 1988).

What no known component looks like is not in it: a new domain of human text or a new generator. `transforms/detector` learns how
far that leads astray from domains and generators that are left out, and adds it.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

BINS, LOWEST, HIGHEST = 200, -20.0, 20.0  # log-odds
_MOST_KEPT = 512  # fits, of some hundred numbers each
_kept: dict[bytes, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}  # by what they were made from


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


class Fit(NamedTuple):
    """How known components explain a corpus."""

    q: float  # the share of machine documents
    human: npt.NDArray[np.float64]  # [human components] their weights, which sum to 1
    machine: npt.NDArray[np.float64]  # [machine components] likewise
    log_likelihood: float
    shares: npt.NDArray[np.float64]  # [lengths] of machine documents
    length: npt.NDArray[np.int64]  # [cells] which length each is of


def fit(
    target: npt.NDArray[np.float64],
    human: npt.NDArray[np.float64],
    machine: npt.NDArray[np.float64],
    q: float | None = None,
    start: Fit | None = None,
    length: npt.NDArray[np.int64] | None = None,
) -> Fit:
    """The weights that explain a corpus best, by over-relaxed EM; the same input gives the same output.

    Args:
      target: documents of the corpus by cell, [cells].
      human: the chance of each cell for documents of each human component, positive, [components, cells]. Chances sum to 1
        within each length: nothing is assumed of how many documents a length has.
      machine: likewise for machine components.
      q: the share, if it is held; in [0, 1].
      start: weights and shares to start from.
      length: of each cell, from 0, [cells]; by default that of the start, else there is one.
    """
    split = len(human)
    if length is None:
        length = start.length if start else np.zeros(len(target), np.int64)
    parts = np.concatenate([human, machine])
    v = start.human if start else np.full(split, 1 / split)
    w = start.machine if start else np.full(len(machine), 1 / len(machine))
    weight = np.maximum(np.concatenate([0.999 * v + 0.001 / split, 0.999 * w + 0.001 / len(w)]), 1e-12)
    shares = start.shares if start else np.full(int(length.max()) + 1, 0.1 if q is None else q)
    shares = np.clip(shares, *(0.001, 0.999) if q is None else (1e-9, 1 - 1e-9))
    target, parts = np.ascontiguousarray(target, np.float64), np.ascontiguousarray(parts, np.float64)
    documents = np.bincount(length, target)
    weight, shares = _climbed(target, parts, split, length, -1.0 if q is None else float(q), weight, shares)
    v, w = weight[:split] / weight[:split].sum(), weight[split:] / weight[split:].sum()
    at = shares[length]
    return Fit(
        float(documents @ shares / max(documents.sum(), 1e-300)) if q is None else q,
        v,
        w,
        float(target @ np.log((1 - at) * (v @ human) + at * (w @ machine))),
        shares,
        length,
    )


def _climbed(
    target: npt.NDArray[np.float64],
    parts: npt.NDArray[np.float64],
    split: int,
    length: npt.NDArray[np.int64],
    held: float,
    weight: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What `climb` comes to. A corpus, its one source and its one language ask the same, as does whoever judged it before."""
    hashed = hashlib.blake2b(repr((parts.shape, split, held, len(shares))).encode(), digest_size=16)
    for column in (target, parts, length, weight, shares):
        hashed.update(column.tobytes())
    key = hashed.digest()
    known = _kept.get(key)
    if known is None:
        from transforms.kernels.statistics.climbing import climb  # late: who reads a bound needs no compiled code

        known = weight.copy(), shares.copy()
        memory = [np.empty(n) for n in (len(shares), len(parts), len(target), len(target), len(target))]
        cells, documents = np.ascontiguousarray(parts.T), np.bincount(length, target)
        climb(target, parts, cells, split, length, documents, held, *known, *memory)
        for made in known:
            made.flags.writeable = False  # others will be given it
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()  # all: to look for the oldest would fail if another thread adds one
        _kept[key] = known
    return known


def limits(
    target: npt.NDArray[np.float64],
    human: npt.NDArray[np.float64],
    machine: npt.NDArray[np.float64],
    best: Fit,
    alpha: float,
    sides: tuple[int, ...] = (1,),
) -> tuple[Fit, ...]:
    """How small (side -1) or large (side 1) the share may be: where the profile likelihood has fallen too far, each at `alpha`.

    Args:
      target, human, machine: as for `fit`.
      best: their fit.
      alpha: the chance of error of one side, under one half.
      sides: which limits.
    """
    fall = float(scipy.special.ndtri(alpha)) ** 2 / 2
    found = []
    for side in sides:
        inner, outer, at = best.q, (1.0 if side > 0 else 0.0), best
        end = fit(target, human, machine, outer, best)
        if best.log_likelihood - end.log_likelihood <= fall:
            found.append(end)
            continue
        # Steps grow from the best share, because a limit is most often near it; then the interval is halved.
        step = 0.02
        while True:
            there = min(1.0, inner + step) if side > 0 else max(0.0, inner - step)
            if (there - outer) * side >= 0:
                break
            tried = fit(target, human, machine, there, at)
            if best.log_likelihood - tried.log_likelihood > fall:
                outer = there
                break
            inner, at, step = there, tried, 2 * step
        while abs(outer - inner) > 1e-3:
            middle = (inner + outer) / 2
            tried = fit(target, human, machine, middle, at)
            if best.log_likelihood - tried.log_likelihood > fall:
                outer = middle
            else:
                inner, at = middle, tried
        found.append(at._replace(q=max(inner, outer) if side > 0 else min(inner, outer)))
    return tuple(found)


def merged(mass: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.int64]:
    """Where merged bins start, at most `most`, each with about as much of the mass."""
    below = (np.cumsum(mass) - mass) / mass.sum()
    _, starts = np.unique(np.floor(below * most), return_index=True)
    return starts.astype(np.int64)


def clopper_pearson_lower(k: float, n: float, alpha: float) -> float:
    """The exact lower confidence limit of a fraction, one-sided at level 1 - alpha: B(alpha; k, n - k + 1).

    Effective counts need not be whole.
    """
    return float(scipy.special.betaincinv(k, n - k + 1, alpha)) if k > 0 else 0.0


def clopper_pearson_upper(k: float, n: float, alpha: float) -> float:
    """The exact upper confidence limit of a fraction, one-sided at level 1 - alpha: B(1 - alpha; k + 1, n - k)."""
    return float(scipy.special.betaincinv(k + 1, n - k, 1 - alpha)) if k < n else 1.0
