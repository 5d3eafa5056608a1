"""What the scores of undeclared documents say of their origin: an estimate of the share, its interval, and its bound.

One place for it, because the ratio stage cuts a release to the very bound that the gate holds it to.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.detector.calibration import Calibration
from transforms.kernels.statistics import share_bound

MOST_BINS = 12  # of a lead: as close as 31, to a half per cent (docs/decisions/0054)
BORROWED = (
    20.0  # documents that each component gets in a band: half like itself in all bands, half like all of its side
)
# How much of a generator is what all have in common, for the estimate and for limits: a hard one alone explains much of the human
# text of a kind that nobody knows, and chance. With human text of the corpus the first is no danger.
ALIKE, ALIKE_IN_LIMITS, LESS_WITH_OWN = 0.5, 0.25, 0.25
FEWEST_OWN = 200  # documents of known human text that make a component of their own
LIKE_OWN = (
    0.4  # of the human side that is like the own text, where the bound rests on it: another kind's text is under 0.1
)
ALPHA = 0.05
Histograms = npt.NDArray[np.int64] | npt.NDArray[np.float64]  # [bands, share_bound.BINS]


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


class _Known(NamedTuple):
    """The components of one language, by cell: a merged bin of a band. Chances sum to 1 in each length."""

    bands: npt.NDArray[np.int64]  # [lengths, leads] which
    starts: tuple[npt.NDArray[np.int64], ...]  # of the merged bins of each length
    human: npt.NDArray[np.float64]  # [domains, cells]
    machine: npt.NDArray[np.float64]  # [generators, cells]
    found: npt.NDArray[np.float64]  # [generators, lengths] the part that is at or above the threshold

    @property
    def length(self) -> npt.NDArray[np.int64]:
        """Which length each cell is of, [cells]."""
        return np.repeat(np.arange(len(self.starts)), [len(starts) * self.bands.shape[1] for starts in self.starts])


class Composition:
    """What a corpus is composed of: the human domains and the generators of a calibration, in unknown proportions.

    Human text of the corpus itself, known from declarations, dates or labels, is one more domain: nothing is as much like the
    undeclared text as it. Every language is on its own.
    """

    def __init__(self, calibration: Calibration) -> None:
        """Of a calibration."""
        self.calibration = calibration
        self.language_of_band = calibration.language_of_band

    @property
    def languages(self) -> int:
        """How many."""
        return len(self.calibration.scales)

    def by_language(self, by_band: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Sums over the bands of each language. int64[languages]."""
        sums = np.zeros(self.languages, np.int64)
        np.add.at(sums, self.language_of_band, by_band)
        return sums

    @functools.cached_property
    def _known(self) -> tuple[_Known | None, ...]:
        return tuple(self._components(number) for number in range(self.languages))

    def _components(self, language: int) -> _Known | None:
        sides = [self.calibration.counts(language, side) for side in ("humans", "families")]
        if not sides[1]:
            return None
        human, machine = (np.stack(list(side.values())) for side in sides)
        lengths = [bands for bands in self.calibration.lengths if bands[0].language == language]
        starts, parts, found = [], [], np.zeros((len(machine), len(lengths)))
        for length, bands in enumerate(lengths):
            pools = [
                (side[:, length].sum(axis=1) / np.maximum(side[:, length].sum(axis=(1, 2)), 1)[:, None]).sum(axis=0)
                for side in (human, machine)
            ]
            starts.append(share_bound.merged(sum(pool / max(pool.sum(), 1e-12) for pool in pools), MOST_BINS))
            rows = _chances(machine, length, starts[-1])
            parts.append((_chances(human, length, starts[-1]), np.concatenate([rows, _mirrored(rows, len(bands))])))
            counts = np.zeros((2, len(machine)))  # flagged, of how many
            for family in (family for band in bands for family in band.families):
                counts[:, list(sides[1]).index(family.name)] += family.flagged, family.n
            everyone = counts[0].sum() / max(1, counts[1].sum())
            found[:, length] = (counts[0] + BORROWED * everyone) / (counts[1] + BORROWED)
        chances = [np.concatenate(of, axis=1) for of in zip(*parts, strict=True)]
        new = np.repeat(found.mean(axis=0, keepdims=True), len(chances[1]) - len(found), axis=0)  # mirrored ones
        own = np.flatnonzero(self.language_of_band == language).reshape(len(lengths), -1)
        return _Known(own, tuple(starts), chances[0], chances[1], np.concatenate([found, new]))

    def _cells(self, known: _Known, counts: Histograms) -> npt.NDArray[np.float64]:
        parts = [
            np.add.reduceat(np.asarray(counts[bands], np.float64), starts, axis=1).ravel()
            for bands, starts in zip(known.bands, known.starts, strict=True)
        ]
        return np.concatenate(parts)

    def _human(self, known: _Known, own: Histograms | None) -> npt.NDArray[np.float64]:
        """The human components, with that of the corpus if it has enough."""
        if own is None or own[known.bands].sum() < FEWEST_OWN:  # as `has_own`
            return known.human
        row = self._cells(known, own) + BORROWED * known.human.mean(axis=0)
        row /= np.bincount(known.length, row)[known.length]
        return np.concatenate([row[None], known.human])

    def fits(
        self,
        scores: Histograms,
        own: Histograms | None = None,
        documents: float | None = None,
        bounding: bool = False,
    ) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], share_bound.Fit] | None]:
        """For each language: its cells, its human and machine components, and how they fit; None where there is nothing.

        Args:
          scores: documents, or tokens, by band and bin of score, [bands, share_bound.BINS].
          own: known human documents of the corpus, likewise.
          documents: how many documents of equal weight the scores are worth, (sum w)^2 / sum w^2; their sum by default.
          bounding: for limits: let every generator stand more for itself.
        """
        worth = 1.0 if documents is None else documents / max(float(scores.sum()), 1e-300)
        found: list[
            tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], share_bound.Fit] | None
        ] = []
        for known in self._known:
            cells = self._cells(known, scores) * worth if known else np.zeros(0)
            if known is None or not cells.sum():
                found.append(None)
                continue
            human = self._human(known, own)
            machine = _drawn(known.machine, self._alike(bounding, of_its_own=len(human) > len(known.human)))
            start = _mostly_own(len(human), len(machine), known.length) if len(human) > len(known.human) else None
            fitted = share_bound.fit(cells, human, machine, start=start, length=known.length)
            found.append((cells, human, machine, fitted))
        return found

    def fit(self, scores: Histograms, own: Histograms | None = None) -> npt.NDArray[np.float64]:
        """The share in each language, float64[languages], in [0, 1]; NaN where there is nothing to tell it from."""
        return np.array([fitted[3].q if fitted else np.nan for fitted in self.fits(scores, own)])

    def estimate(self, scores: Histograms, own: Histograms | None = None) -> float:
        """The share in all, in [0, 1]; NaN if there is nothing to tell it from."""
        return self._overall(self.fit(scores, own), scores)

    def _overall(self, by_language: npt.NDArray[np.float64], scores: Histograms) -> float:
        weight = np.zeros(self.languages)
        np.add.at(weight, self.language_of_band, np.asarray(scores, np.float64).sum(axis=1))
        known = ~np.isnan(by_language) & (weight > 0)
        return float(np.average(by_language[known], weights=weight[known])) if known.any() else float("nan")

    def interval(
        self, scores: Histograms, own: Histograms | None = None, documents: float | None = None
    ) -> tuple[float, float]:
        """A 95 % interval of `estimate`: profile likelihood, and the allowance for writers and generators that are not known.

        Where a language has no allowance, it may hold any share.
        """
        ends = np.full((2, self.languages), np.nan)
        best = self.fit(scores, own)
        for number, fitted in enumerate(self.fits(scores, own, documents, bounding=True)):
            if fitted is not None:
                low, high = share_bound.limits(*fitted, alpha=ALPHA / 2, sides=(-1, 1))
                allowed = self._allowed(number, low.q, high.q, fitted[3], own)
                ends[:, number] = min(allowed[0], best[number]), max(allowed[1], best[number])
        low_end, high_end = (self._overall(end, scores) for end in ends)
        return low_end, high_end

    @staticmethod
    def _alike(bounding: bool, of_its_own: bool) -> float:
        return (ALIKE_IN_LIMITS if bounding else ALIKE) - (LESS_WITH_OWN if of_its_own else 0.0)

    def _allowed(
        self, language: int, low: float, high: float, best: share_bound.Fit, own: Histograms | None
    ) -> tuple[float, float]:
        """The limits with the allowance. That for own human text holds where much of the human side is like it."""
        allowance = self.calibration.scales[language].allowance
        if allowance.why:
            return 0.0, 1.0
        of_its_own = self.has_own(language, own) and bool(best.human[0] >= LIKE_OWN)
        return max(0.0, low - (0.0 if of_its_own else allowance.human)), allowance.of(high, of_its_own)

    def has_own(self, language: int, own: Histograms | None) -> bool:
        """Whether enough human text of the corpus is known in a language to be a component: it is the first one."""
        known = self._known[language]
        return own is not None and known is not None and bool(own[known.bands].sum() >= FEWEST_OWN)

    def bound(self, flagged: npt.NDArray[np.int64], scores: Histograms, own: Histograms | None = None) -> Bound:
        """The bound of a corpus.

        Args:
          flagged: documents called synthetic, int64[languages].
          scores: all that have a score, by band and bin, [bands, share_bound.BINS].
          own: known human documents of the corpus, likewise.
        """
        fits = self.fits(scores, own, bounding=True)
        level = ALPHA / max(1, sum(fitted is not None for fitted in fits))
        upper, residual = np.ones(self.languages), np.ones(self.languages)
        for number, fitted in enumerate(fits):
            if fitted is None or self.calibration.scales[number].allowance.why:
                continue
            known = self._known[number]
            assert known is not None
            (high,) = share_bound.limits(*fitted, alpha=level)
            upper[number] = self._allowed(number, high.q, high.q, fitted[3], own)[1]
            mix = np.asarray(scores[known.bands], np.float64).sum(axis=(1, 2))
            n = float(mix.sum())
            rates = high.machine @ _drawn(known.found, self._alike(True, self.has_own(number, own)))
            part = min(flagged[number] / n, 1.0)
            found = min(float(rates @ (high.shares * mix / n)), part)  # of it flagged: no more than was
            kept = 1 - part
            residual[number] = min(1.0, max(0.0, upper[number] - found) / kept) if kept > 0 else 1.0
        return Bound(upper, residual)

    def posterior(self, scores: Histograms, own: Histograms | None = None) -> npt.NDArray[np.float64]:
        """The chance of machine origin in each band and bin, float64[bands, BINS], in a corpus with such scores."""
        chance = np.zeros((len(self.language_of_band), share_bound.BINS))
        for known, fitted in zip(self._known, self.fits(scores, own), strict=True):
            if known is None or fitted is None:
                continue
            _, human, machine, best = fitted
            share = best.shares[known.length]
            p, q = (1 - share) * (best.human @ human), share * (best.machine @ machine)
            leads = known.bands.shape[1]
            cells = np.split(q / (p + q), np.cumsum([leads * len(starts) for starts in known.starts])[:-1])
            for bands, starts, values in zip(known.bands, known.starts, cells, strict=True):
                widths = np.diff(np.r_[starts, share_bound.BINS])
                chance[bands] = np.repeat(values.reshape(leads, -1), widths, axis=1)
        return chance


def _drawn(rows: npt.NDArray[np.float64], alike: float) -> npt.NDArray[np.float64]:
    """Rows that are drawn to their mean."""
    return np.asarray((1 - alike) * rows + alike * rows.mean(axis=0))


def _mostly_own(humans: int, machines: int, length: npt.NDArray[np.int64]) -> share_bound.Fit:
    """Where a fit with own human text starts: a known kind that is just like the own text takes nothing away from it."""
    human = np.full(humans, 0.1 / humans)
    human[0] += 0.9
    shares = np.full(int(length.max()) + 1, 0.1)
    return share_bound.Fit(0.1, human, np.full(machines, 1 / machines), 0.0, shares, length)


def _chances(counts: npt.NDArray[np.int64], length: int, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The chance of each cell of a length, float64[components, leads x bins], from int64[components, lengths, leads, BINS]."""
    cells = np.add.reduceat(counts, starts, axis=-1).reshape(*counts.shape[:2], -1)
    likely = cells.sum(axis=1) + 0.5 / cells.shape[2]
    likely /= likely.sum(axis=1, keepdims=True)
    rows = cells[:, length] + BORROWED * (likely + likely.mean(axis=0)) / 2
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _mirrored(rows: npt.NDArray[np.float64], leads: int) -> npt.NDArray[np.float64]:
    """A generator of an age of which none is known: each expert finds it as another one finds the known ones. [0 or 1, cells].

    Without it a corpus that only one expert finds is like nothing that is known, where that expert's own generator is left out.
    """
    if leads == 1:
        return rows[:0]
    by_expert = rows.mean(axis=0).reshape(leads // 2, -1)
    return np.mean([np.roll(by_expert, step, axis=0) for step in range(1, leads // 2)], axis=0).reshape(1, -1)
