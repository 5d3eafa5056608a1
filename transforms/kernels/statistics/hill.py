"""How diverse something is: Hill numbers of shares; of a vocabulary, from how many types are in how many documents.

With c_i the number of documents that type i is in, T = sum c_i, and p_i = c_i / T (Hill 1973):

- order 0: the number of types;  order 1: exp(-sum p ln p);  order 2: 1 / sum p^2;  order infinity: 1 / max p.

They grow with the corpus, so two corpora are compared at one *budget* of occurrences. If every document is taken with
chance f, c_i becomes binomial with c_i trials, since a document counts once: the expected number at the budget f T follows from
the spectrum alone, and nothing has to be drawn (sample-based rarefaction, Colwell et al. 2012, J. Plant Ecol. 5:3).

Counts of a sample of types (one in R, by hash) say the same: sums over types are R times those of the sample.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

Floats = npt.NDArray[np.float64]

ORDERS = ("0", "1", "2", "inf")
ZIPF_RANKS = (1_000, 100_000)
ZIPF_LEAST, ZIPF_TYPES = 10, 200
_EXACT, _SURE = 256, 30  # counts up to the one, and those of which fewer than the other are left, are thinned exactly


def entropy(p: Floats) -> float:
    """Shannon entropy in nats of shares, all above 0. NaN if there are none."""
    return float(-(p * np.log(p)).sum()) if len(p) else float("nan")


def of_shares(p: Floats) -> tuple[float, float, float]:
    """Hill numbers of order 1, 2 and infinity of shares that are known, all above 0. NaN if there are none."""
    if not len(p):
        return (float("nan"),) * 3
    return float(np.exp(entropy(p))), float(1 / (p * p).sum()), float(1 / p.max())


def divergence(p: Floats, q: Floats) -> float:
    """Jensen-Shannon divergence of two distributions in bits, in [0, 1]. Each may have any sum; NaN if that is 0."""
    if not p.sum() > 0 or not q.sum() > 0:
        return float("nan")
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    return float(max(0.0, sum((x[x > 0] * np.log2(x[x > 0] / m[x > 0])).sum() for x in (p, q)) / 2))


class Spectrum(NamedTuple):
    """How many types are in how many documents."""

    documents: npt.NDArray[np.int64]  # [k] ascending, at least 1
    types: npt.NDArray[np.int64]  # [k]
    one_in: float  # types are a sample of one in so many


def spectrum(documents: npt.NDArray[np.int64], one_in: float = 1.0) -> Spectrum:
    """The spectrum of types with these document counts; zeros are no types."""
    documents = documents[documents > 0]
    if len(documents) and documents.max() < 1 << 20:
        of_each = np.bincount(documents)
        values = np.flatnonzero(of_each)
        return Spectrum(values.astype(np.int64), of_each[values].astype(np.int64), one_in)
    values, types = np.unique(documents, return_counts=True)
    return Spectrum(values.astype(np.int64), types.astype(np.int64), one_in)


def occurrences(one: Spectrum) -> float:
    """Documents summed over all types, also those that were not sampled."""
    return float(one.documents @ one.types) * one.one_in


def profile(one: Spectrum, fraction: float = 1.0) -> Floats:
    """Hill numbers of `ORDERS`, float64[4], expected if each document is taken with this chance. NaN if empty."""
    c, types = one.documents.astype(np.float64), one.types.astype(np.float64)
    total = float(c @ types)
    if not total or not 0 < fraction <= 1:
        return np.full(len(ORDERS), np.nan)
    seen, log, square = _thinned(one.documents, fraction)
    t = fraction * total * one.one_in  # occurrences at the budget
    entropy = np.log(t) - one.one_in * float(log @ types) / t
    return np.array(
        [
            one.one_in * float(seen @ types),
            np.exp(entropy),
            t * t / (one.one_in * float(square @ types)),
            one.one_in * total / c.max(),
        ]
    )


def _thinned(documents: npt.NDArray[np.int64], f: float) -> tuple[Floats, Floats, Floats]:
    """P(X > 0), E[X ln X] and E[X^2] for X binomial with `documents` trials and chance f, float64[k] each."""
    c = documents.astype(np.float64)
    mean = f * c
    if f == 1:
        return np.ones_like(c), c * np.log(c), c * c
    # X ln X around its mean, to the fourth moment; exact where counts are small and this is not.
    log = mean * np.log(mean) + (1 - f) / 2 - (1 - f) * (1 - 2 * f) / (6 * mean) + (1 - f) ** 2 / (4 * mean)
    small, rare = c <= _EXACT, (c > _EXACT) & (mean < _SURE)
    x = np.arange(1.0, _EXACT + 1)
    if small.any():
        chance = _log_choose()[documents[small] - 1] + x * np.log(f) + (c[small, None] - x) * np.log1p(-f)
        log[small] = np.exp(np.minimum(chance, 0)) @ (x * np.log(x))
    if rare.any():
        gammaln, xlogy, xlog1py = scipy.special.gammaln, scipy.special.xlogy, scipy.special.xlog1py
        most = c[rare, None]
        chance = gammaln(most + 1) - gammaln(x + 1) - gammaln(most - x + 1) + xlogy(x, f) + xlog1py(most - x, -f)
        log[rare] = np.exp(chance) @ (x * np.log(x))
    return -np.expm1(c * np.log1p(-f)), log, mean * (1 - f) + mean * mean


@functools.cache
def _log_choose() -> Floats:
    """Of c and x from 1 to `_EXACT`: the logarithm of c over x, -inf where x is more."""
    c, x = np.arange(1.0, _EXACT + 1)[:, None], np.arange(1.0, _EXACT + 1)[None, :]
    gammaln = scipy.special.gammaln
    with np.errstate(invalid="ignore"):
        found = gammaln(c + 1) - gammaln(x + 1) - gammaln(np.maximum(c - x, 0) + 1)
    return np.where(x <= c, found, -np.inf)


def coverage(one: Spectrum) -> float:
    """Good-Turing: the chance that the next occurrence is of a type already seen, 1 - f1 / T. NaN if empty."""
    total = float(one.documents @ one.types)
    return 1 - float(one.types[one.documents == 1].sum()) / total if total else float("nan")


def zipf_slope(one: Spectrum) -> float:
    """The exponent of frequency against rank, in the part of the ranking from 1,000 to 100,000. NaN: too few types there.

    Maximum likelihood (Clauset et al. 2009, SIAM Rev. 51:661, in our bounds): if c falls with rank as rank^-z, the number of
    types with count c falls as c^-(1 + 1/z). Types in fewer than `ZIPF_LEAST` documents are left out.
    """
    rank = one.one_in * np.cumsum(one.types[::-1])[::-1]  # of the last type with this count
    inside = (rank >= ZIPF_RANKS[0]) & (rank <= ZIPF_RANKS[1]) & (one.documents >= ZIPF_LEAST)
    c, types = one.documents[inside].astype(np.float64), one.types[inside].astype(np.float64)
    if types.sum() < ZIPF_TYPES or len(c) < 3:
        return float("nan")
    every = np.arange(c[0], c[-1] + 1)
    mean_log = float(types @ np.log(c) / types.sum())

    log = np.log(every)
    low, high = (
        1.01,
        6.0,
    )  # the expected logarithm falls as the exponent grows; scipy.optimize takes longer to import than this
    for _ in range(40):
        middle = (low + high) / 2
        weight = np.exp(-middle * log)
        low, high = (middle, high) if weight @ log > mean_log * weight.sum() else (low, middle)
    return 1 / ((low + high) / 2 - 1)
