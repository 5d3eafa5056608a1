"""What the scores of undeclared documents say of their origin: an estimate of the share, its interval, and its bound.

One place for it, because the ratio stage cuts a release to the very bound that the gate holds it to.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.detector.calibration import Band, Calibration
from transforms.kernels.statistics import share_bound

MOST_BINS = 16  # of a band: 12 gave the same bounds as 31, to a half per cent (docs/decisions/0054)
BORROWED = (
    20.0  # documents that each component gets in a band: half like itself in all bands, half like all of its side
)
# How much of a generator is what all have in common, for the estimate and for limits: a hard one alone explains much of the human
# text of a kind that nobody knows, and chance. With human text of the corpus the first is no danger.
ALIKE, ALIKE_IN_LIMITS, LESS_WITH_OWN = 0.5, 0.25, 0.25
FEWEST_OWN = 200  # documents of known human text that make a component of their own
MOSTLY = (
    0.5  # of the human side that is like the own text, where the bound rests on it: text of another kind says little
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
    """The components of one language, by cell: a merged bin of a band. Chances sum to 1 in each band."""

    bands: npt.NDArray[np.int64]  # [own bands] which
    starts: tuple[npt.NDArray[np.int64], ...]  # of the merged bins of each
    human: npt.NDArray[np.float64]  # [domains, cells]
    machine: npt.NDArray[np.float64]  # [generators, cells]
    found: npt.NDArray[np.float64]  # [generators, own bands] the part that is at or above the threshold


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
        own = np.flatnonzero(self.language_of_band == language)
        bands = [self.calibration.bands[number] for number in own]
        domains = sorted({family.name for band in bands for family in band.humans})
        generators = sorted({family.name for band in bands for family in band.families})
        if not generators:
            return None
        starts: list[npt.NDArray[np.int64]] = []
        sides: tuple[list[npt.NDArray[np.float64]], ...] = [], []
        found = np.zeros((len(generators), len(own)))
        for place, band in enumerate(bands):
            pools = [
                np.sum([f.histogram / f.n for f in side] or [np.zeros(share_bound.BINS)], axis=0)
                for side in (band.humans, band.families)
            ]
            starts.append(share_bound.merged(sum(pool / max(pool.sum(), 1e-12) for pool in pools), MOST_BINS))
            for side, names, into in (("humans", domains, sides[0]), ("families", generators, sides[1])):
                into.append(_chances(names, bands, place, side, starts[-1]))
            for row, name in enumerate(generators):
                flagged, n = (
                    sum(getattr(f, what) for f in band.families if f.name == name) for what in ("flagged", "n")
                )
                everyone = sum(f.flagged for f in band.families) / max(1, sum(f.n for f in band.families))
                found[row, place] = (flagged + BORROWED * everyone) / (n + BORROWED)
        human, machine = (np.concatenate(side, axis=1) for side in sides)
        return _Known(own, tuple(starts), human, machine, found)

    def _cells(self, known: _Known, counts: Histograms) -> npt.NDArray[np.float64]:
        parts = [
            np.add.reduceat(np.asarray(counts[band], np.float64), starts)
            for band, starts in zip(known.bands, known.starts, strict=True)
        ]
        return np.concatenate(parts)

    def _human(self, known: _Known, own: Histograms | None) -> npt.NDArray[np.float64]:
        """The human components, with that of the corpus if it has enough."""
        if own is None or own[known.bands].sum() < FEWEST_OWN:  # as `has_own`
            return known.human
        rows, at = [], 0
        pool = known.human.mean(axis=0)
        for band, starts in zip(known.bands, known.starts, strict=True):
            there = np.add.reduceat(np.asarray(own[band], np.float64), starts) + BORROWED * pool[at : at + len(starts)]
            rows.append(there / there.sum())
            at += len(starts)
        return np.concatenate([np.concatenate(rows)[None], known.human])

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
            start = _mostly_own(len(human), len(machine)) if len(human) > len(known.human) else None
            found.append((cells, human, machine, share_bound.fit(cells, human, machine, start=start)))
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
        """The limits with the allowance. That for own human text holds where most of the human side is like it."""
        allowance = self.calibration.scales[language].allowance
        if allowance.why:
            return 0.0, 1.0
        of_its_own = self.has_own(language, own) and bool(best.human[0] >= MOSTLY)
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
            mix = np.asarray(scores[known.bands], np.float64).sum(axis=1)
            n = float(mix.sum())
            rates = high.machine @ _drawn(known.found, self._alike(True, self.has_own(number, own)))
            found = high.q * float(rates @ (mix / n))  # what the bound takes to be flagged of it
            kept = 1 - min(flagged[number] / n, 1.0)
            residual[number] = min(1.0, max(0.0, upper[number] - found) / kept) if kept > 0 else 1.0
        return Bound(upper, residual)

    def posterior(self, scores: Histograms, own: Histograms | None = None) -> npt.NDArray[np.float64]:
        """The chance of machine origin in each band and bin, float64[bands, BINS], in a corpus with such scores."""
        chance = np.zeros((len(self.language_of_band), share_bound.BINS))
        for known, fitted in zip(self._known, self.fits(scores, own), strict=True):
            if known is None or fitted is None:
                continue
            _, human, machine, best = fitted
            p, q = (1 - best.q) * (best.human @ human), best.q * (best.machine @ machine)
            cells = np.split(q / (p + q), np.cumsum([len(starts) for starts in known.starts])[:-1])
            for band, starts, values in zip(known.bands, known.starts, cells, strict=True):
                chance[band] = np.repeat(values, np.diff(np.r_[starts, share_bound.BINS]))
        return chance


def _drawn(rows: npt.NDArray[np.float64], alike: float) -> npt.NDArray[np.float64]:
    """Rows that are drawn to their mean."""
    return np.asarray((1 - alike) * rows + alike * rows.mean(axis=0))


def _mostly_own(humans: int, machines: int) -> share_bound.Fit:
    """Where a fit with own human text starts: a known kind that is just like the own text takes nothing away from it."""
    human = np.full(humans, 0.1 / humans)
    human[0] += 0.9
    return share_bound.Fit(0.1, human, np.full(machines, 1 / machines), 0.0)


def _chances(
    names: list[str], bands: list[Band], place: int, side: str, starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The chance of each merged bin of a band for each component of a side, [names, bins]."""
    everywhere = np.zeros((len(names), share_bound.BINS))
    here = np.zeros((len(names), share_bound.BINS))
    for number, band in enumerate(bands):
        for family in getattr(band, side):
            everywhere[names.index(family.name)] += family.histogram
            if number == place:
                here[names.index(family.name)] += family.histogram
    likely = np.add.reduceat(everywhere, starts, axis=1) + 0.5 / len(starts)
    likely /= likely.sum(axis=1, keepdims=True)
    rows = np.add.reduceat(here, starts, axis=1) + BORROWED * (likely + likely.mean(axis=0)) / 2
    rows /= rows.sum(axis=1, keepdims=True)
    return np.asarray(rows)
