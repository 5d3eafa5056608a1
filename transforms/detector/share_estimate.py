"""What the scores of undeclared documents say of their origin: an estimate of the share, its interval, and its bound.

One place for it, because the ratio stage cuts a release to the very bound that the gate holds it to.
"""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from transforms.detector.calibration import Band, Calibration
from transforms.kernels.statistics import share

SMALLEST_FAMILY = 200  # documents that a generator needs to be the whole machine reference by itself


@dataclasses.dataclass(frozen=True)
class Bound:
    """Upper bounds of the synthetic share, that hold together with a chance of 95 %.

    Attributes:
      share: of the documents of each language, float64[languages].
      residual: of those that are not flagged, likewise.
    """

    share: npt.NDArray[np.float64]
    residual: npt.NDArray[np.float64]

    def of_mix(self, documents: npt.NDArray[np.int64]) -> float:
        """The bound of the share of documents in this mix of languages; that of an empty one is 1."""
        total = int(documents.sum())
        return float(self.share @ documents) / total if total else 1.0


@dataclasses.dataclass(frozen=True)
class Reference:
    """How the detector did on held-out documents: what a bound of the hidden share is made from. It can be pickled.

    Attributes:
      language_of_band: int64[bands].
      families: for each language, flagged and all documents of each generator.
    """

    language_of_band: npt.NDArray[np.int64]
    families: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, calibration: Calibration | None) -> "Reference | None":
        """Of a calibration, if there is one."""
        if calibration is None:
            return None
        languages = range(max(1, len(calibration.languages)))
        families = (tuple((f.flagged, f.n) for f in calibration.families(number)) for number in languages)
        return cls(calibration.language_of_band, tuple(families))

    @property
    def languages(self) -> int:
        """How many."""
        return len(self.families)

    def by_language(self, by_band: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Sums over the bands of each language. int64[languages]."""
        sums = np.zeros(self.languages, np.int64)
        np.add.at(sums, self.language_of_band, by_band)
        return sums

    def bound(self, flagged: npt.NDArray[np.int64], scored: npt.NDArray[np.int64]) -> Bound:
        """The bound of a corpus.

        Args:
          flagged: documents called synthetic, int64[languages].
          scored: all that have a score, int64[languages].
        """
        parts = list(zip(flagged.tolist(), scored.tolist(), self.families, strict=True))
        found = np.array(share.share_upper_of_parts(parts))
        return Bound(found[:, 0], found[:, 1])


# Where the bins of `Mixture` end, as fractions of human documents; the last tell most.
PERCENTILES = np.r_[np.linspace(0, 0.95, 20), 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998, 1]


class Mixture:
    """The share of machine text among scored documents, by the mixture of human and machine scores that fits best.

    Scores of different bands cannot be added up, so each becomes its rank among human documents of the band: 0.99 where one
    in a hundred of them scores higher. Human ranks are spread evenly in every band, whatever the mix of lengths; machine
    ranks are those of the references, bands weighted as in the corpus. In a band every generator weighs the same: what writes
    a corpus is not known, and how much of each is in the labelled data says nothing of it.

    Each language has a share of its own. One that the scores say little about, because it has few documents or the detector
    is weak in it, borrows from the others as far as those agree with each other (random effects: DerSimonian and Laird 1986,
    Controlled Clinical Trials 7; each share is drawn towards the mean by 1 / (1 + variance between / its variance)).
    """

    def __init__(self, calibration: Calibration, family: str | None = None) -> None:
        """Of a calibration; with `family`, as if that generator wrote all machine text."""
        self._human = np.stack([band.human_histogram for band in calibration.bands]).astype(np.float64)
        self._machine = np.stack([_equal_weights(band, family) for band in calibration.bands])
        self._ranks = np.stack([_ranks(human) for human in self._human])
        self._language_of_band = calibration.language_of_band
        self.n_machine = self._machine.sum(axis=1)

    def _counts(
        self,
        scores: npt.NDArray[np.float64],
        language: int,
        human: npt.NDArray[np.float64],
        machine: npt.NDArray[np.float64],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Corpus, human and machine counts by rank, of one language; None where there is nothing to compare."""
        there = (self._language_of_band == language) & (scores.sum(axis=1) > 0) & (machine.sum(axis=1) > 0)
        if not there.any():
            return None
        corpus, ranks = scores[there], self._ranks[there]
        weight = corpus.sum(axis=1) / corpus.sum()
        references = []
        for counts in (human[there], machine[there]):
            frequency = counts / counts.sum(axis=1, keepdims=True)
            references.append(counts.sum() * np.einsum("b,bi,bik->k", weight, frequency, ranks))
        return np.einsum("bi,bik->k", corpus, ranks), references[0], references[1]

    def fit(self, scores: share.Counts, documents: float | None = None) -> npt.NDArray[np.float64]:
        """The share in each language, float64[languages], in [0, 1]; NaN where there is nothing to tell it from.

        Args:
          scores: documents, or tokens, by band and bin of score, [bands, share.BINS].
          documents: how many documents of equal weight they are worth, (sum w)^2 / sum w^2; their sum by default.
        """
        return self._fit(scores.astype(np.float64), self._human, self._machine, documents)

    def _fit(
        self,
        scores: npt.NDArray[np.float64],
        human: npt.NDArray[np.float64],
        machine: npt.NDArray[np.float64],
        documents: float | None = None,
    ) -> npt.NDArray[np.float64]:
        n_languages = int(self._language_of_band.max()) + 1
        found, variance = np.full(n_languages, np.nan), np.full(n_languages, np.inf)
        worth = (scores.sum() if documents is None else documents) / max(scores.sum(), 1e-300)
        for language in range(n_languages):
            counts = self._counts(scores, language, human, machine)
            if counts is not None:
                found[language] = share.estimate_share(*counts)
                variance[language] = share.estimate_variance(
                    found[language], *counts, documents=worth * counts[0].sum()
                )
        return _drawn_together(found, variance)

    def estimate(self, scores: npt.NDArray[np.int64], documents: float | None = None) -> float:
        """The share in all, in [0, 1]; NaN if there is nothing to tell it from. Arguments as for `fit`."""
        return self._overall(self.fit(scores, documents), np.asarray(scores, np.float64))

    def _overall(self, by_language: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> float:
        weight = np.zeros(len(by_language))
        np.add.at(weight, self._language_of_band, scores.sum(axis=1))
        known = ~np.isnan(by_language) & (weight > 0)
        return float(np.average(by_language[known], weights=weight[known])) if known.any() else float("nan")

    def interval(self, scores: npt.NDArray[np.int64], documents: float, key: int) -> tuple[float, float]:
        """A 95 % bootstrap interval of `estimate`; what shift between corpus and references does is not in it.

        In each of 200 draws the scores of the corpus and of both references are drawn again, multinomially and together.

        Args:
          scores, documents: as for `fit`.
          key: of the random numbers (Philox, a counter-based generator): the same key, the same interval.
        """
        if np.isnan(self.estimate(scores)):
            return float("nan"), float("nan")
        draw = np.random.Generator(np.random.Philox(key=key))
        target = draw.multinomial(max(1, round(documents)), scores.ravel() / scores.sum(), DRAWS)
        target = target.reshape(DRAWS, *scores.shape).astype(np.float64)
        human, machine = self._references_drawn
        ranked = np.einsum("dbi,bik->dbk", target, self._ranks)
        weight = ranked.sum(axis=2)
        found, variance, documents_of = [], [], []
        for language in range(int(self._language_of_band.max()) + 1):
            own = np.flatnonzero((self._language_of_band == language) & (self.n_machine > 0) & (scores.sum(axis=1) > 0))
            if len(own):
                mix = weight[:, own] / np.maximum(weight[:, own].sum(axis=1, keepdims=True), 1)
                references = [
                    counts[:, own].sum(axis=(1, 2))[:, None]
                    * np.einsum("db,dbk->dk", mix, counts[:, own] / counts[:, own].sum(axis=2, keepdims=True))
                    for counts in (human, machine)
                ]
                shares, variances = share.estimate_many(ranked[:, own].sum(axis=1), *references)
                found.append(shares)
                variance.append(variances)
                documents_of.append(weight[:, own].sum(axis=1))
        q, weights = np.stack(found, axis=1), np.stack(documents_of, axis=1)
        drawn = np.stack([_drawn_together(*row) for row in zip(q, np.stack(variance, axis=1), strict=True)])
        overall = (np.where(weights > 0, drawn, 0) * weights).sum(axis=1) / weights.sum(axis=1)
        low, high = np.nanquantile(overall, [0.025, 0.975])
        return float(low), float(high)

    @functools.cached_property
    def _references_drawn(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Human and machine ranks, drawn again: one set for the intervals of all strata. Each float64[DRAWS, bands, ranks]."""
        draw = np.random.Generator(np.random.Philox(key=0))
        human, machine = (
            np.einsum("dbi,bik->dbk", _drawn_again(draw, counts), self._ranks)
            for counts in (self._human, self._machine)
        )
        return human, machine

    def posterior(self, by_language: npt.NDArray[np.float64], scores: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The chance of machine origin in each band and bin, float64[bands, BINS], in a corpus with such scores and shares."""
        chance = np.zeros((len(self._human), share.BINS))
        for language, prior in enumerate(by_language):
            counts = self._counts(np.asarray(scores, np.float64), language, self._human, self._machine)
            own = self._language_of_band == language
            if counts is not None and not np.isnan(prior):
                chance[own] = self._ranks[own] @ share.posterior(float(prior), *counts[1:])
        return chance


def _drawn_together(found: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each share, drawn towards the mean of all by how little is known of it. NaN stays NaN."""
    known = ~np.isnan(found)
    if known.sum() < 2:
        return found
    q, weight = found[known], 1 / np.clip(variance[known], 1e-12, 1e12)
    mean = float(np.average(q, weights=weight))
    spread = float(weight @ (q - mean) ** 2)
    between = max(0.0, (spread - (len(q) - 1)) / (weight.sum() - (weight**2).sum() / weight.sum()))
    mean = float(np.average(q, weights=1 / (between + 1 / weight)))
    own = between / (between + 1 / weight)
    drawn = found.copy()
    drawn[known] = own * q + (1 - own) * mean
    return drawn


DRAWS = 200


def _drawn_again(draw: np.random.Generator, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`DRAWS` times as many scores in each band as there are, drawn from them. float64[DRAWS, bands, BINS]."""
    rows = [draw.multinomial(round(row.sum()), row / max(row.sum(), 1), DRAWS) for row in counts]
    return np.stack(rows, axis=1).astype(np.float64)


def _equal_weights(band: Band, family: str | None) -> npt.NDArray[np.float64]:
    """Machine scores of a band, as many as there are, in which every generator weighs the same. float64[BINS]."""
    chosen = [f for f in band.families if family in (None, f.name)]
    total = sum(f.n for f in chosen)
    counts = np.zeros(share.BINS)
    for one in chosen:
        counts += one.histogram * (total / len(chosen) / one.n)
    return counts


def _ranks(human: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What part of each bin of scores falls into each bin of ranks, float64[BINS, ranks]; rows sum to 1."""
    ends = np.cumsum(human) / human.sum()
    starts = np.r_[0, ends[:-1]]
    low, high = PERCENTILES[:-1], PERCENTILES[1:]
    width = (ends - starts)[:, None]
    overlap = np.clip(np.minimum(ends[:, None], high) - np.maximum(starts[:, None], low), 0, None)
    at = np.clip(np.searchsorted(PERCENTILES, ends, side="right") - 1, 0, len(low) - 1)  # no human has such a score
    point = np.arange(len(low)) == at[:, None]
    return np.where(width > 1e-12, overlap / np.maximum(width, 1e-12), point)


def range_over_families(scores: npt.NDArray[np.int64], calibration: Calibration) -> tuple[float, float]:
    """The lowest and the highest estimate if all machine text were by one generator; NaN if none is large enough.

    Only generators with enough held-out documents in the bands that hold most of the corpus.
    """
    bands = scores.sum(axis=1)
    found = []
    for name in sorted({family.name for band in calibration.bands for family in band.families}):
        mixture = Mixture(calibration, name)
        if mixture.n_machine.sum() >= SMALLEST_FAMILY and bands[mixture.n_machine > 0].sum() > 0.9 * bands.sum():
            found.append(mixture.estimate(scores))
    return (min(found), max(found)) if found else (float("nan"), float("nan"))
