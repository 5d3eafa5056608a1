"""Tally -> the rows of METRICS that say how synthetic a corpus is: in all, by source and by language, before and after.

A share of synthetic text has a *point*: text whose origin is settled, plus what fits the scores of the rest best; an
*interval* of that estimate; and an *upper bound*: settled text plus the largest share of the rest that its scores do not
contradict, with the allowance of the calibration for writers and generators that it does not know (docs/GLOSSARY.md). Text
that is human by its date adds its year's prior to all of them. Gates read the bound.
"""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from expectations import contracts
from expectations.metrics.row import Row
from expectations.wording import plural
from transforms.detector.calibration import Calibration
from transforms.detector.detector import Detector
from transforms.detector.share_estimate import Bound, Composition
from transforms.kernels.statistics import share_bound
from transforms.measures.sites import Known
from transforms.measures.tally import Key, Tally, total_of, totals_by
from transforms.origin.witnesses import PRIORS

# The reasons of the documents of each population: all that was read, what dedup kept, what is released; reason 0 is kept.
REASONS_OF: dict[str, set[int]] = {
    "read": set(range(len(contracts.REASONS))) - {contracts.REASONS.index("empty_text")},
    "unique": {0, contracts.REASONS.index("over_synthetic_share"), contracts.REASONS.index("over_limit")},
    "kept": {0},
}
OF_STAGE = {"before": "read", "after": "kept"}
MIN_STRATUM = 2000  # scored documents that a stratum needs for a bound of its own; a smaller one takes the corpus'
MIN_LANGUAGE = 300  # documents; what the input calls languages may be anything
BORROWED = 500.0  # documents that the corpus' estimate weighs in that of a smaller stratum
LATE = (
    "undeclared text of a day after the newest generator that the detector knows in its language, or collected after it without "
    "a date; the bound does not vouch for it"
)
INTERVAL = (
    "95 % interval of the estimate: profile likelihood, and the calibration's allowance for new writers and generators"
)


def assumptions(detector: Detector) -> tuple[str, ...]:
    """What the upper bound of a share takes for granted; printed beside it."""
    calibration = detector.calibration
    if calibration is None:
        return ("the detector has no calibration, so all text without a declaration may be synthetic",)
    uncovered = calibration.uncovered
    names = [known.name for known in calibration.languages] or ["any language"]
    spoken = list(zip(names, calibration.scales, strict=True))
    allowed = [f"{name} {scale.allowance.wording()}" for name, scale in spoken if not scale.allowance.why]
    hopeless = [(name, scale.allowance.why) for name, scale in spoken]
    until = ", ".join(f"{name} {scale.until}" for name, scale in spoken if scale.until)
    newer = f"no undeclared text is by a generator that came out after the newest one of the calibration ({until})"
    like = f"none of it is by the like of the {plural(len(uncovered), 'generator')} that the model card lists as not covered"
    return (
        "declared origins, and others that are settled without the detector, are true",
        "of text that counts as human by its date, "
        + f"{PRIORS[0][1] / contracts.PRIOR_UNIT:.1%} to {PRIORS[-1][1] / contracts.PRIOR_UNIT:.1%} by year is a machine's",
        "writers and generators of undeclared text that the calibration does not know lie as far off as those left out of it"
        + (f" (allowance, from the limit of the likelihood to the bound: {'; '.join(allowed)})" if allowed else ""),
        *([newer] if until else []),
        *(f"in {name} all undeclared text may be synthetic: {_in_one_clause(why)}" for name, why in hopeless if why),
        *([like] if uncovered else []),
        "documents that could not be scored hold as much synthetic text as the others",
        "the rate by document also holds by token",
    )


def _in_one_clause(why: str) -> str:
    """What a calibration says of a language, as one item of a list; those of earlier versions say "1 generators"."""
    return re.sub(r"\b1 (\w+)s\b", r"1 \1", why).replace("; ", ", and ")


def cross_check(tally: Tally, sources: tuple[str, ...], detector: Detector, checker: Detector | None) -> Iterator[Row]:
    """What a second detector, that knows nothing of the first, makes of the undeclared text; in all and by source.

    Of documents that were read. A large difference says that one of the two does not fit the corpus, not which.
    """
    if checker is None or checker.calibration is None or detector.calibration is None:
        return
    compositions = Composition(detector.calibration), Composition(checker.calibration)
    for kind, name, members in (
        ("overall", "", set(range(len(sources)))),
        *(("source", s, {i}) for i, s in enumerate(sources)),
    ):
        first = np.zeros((len(detector.calibration.bands), share_bound.BINS), np.int64)
        second = np.zeros((len(checker.calibration.bands), share_bound.BINS), np.int64)
        for (source, _, reason, band), counts in tally.scores.items():
            if source in members and reason in REASONS_OF["read"]:
                first[int(band)] += counts[0]
        for (number, why, at), bins in tally.checked.items():
            if number in members and why in REASONS_OF["read"]:
                second[at] += bins
        n = int(second.sum())
        if n < (1 if kind == "overall" else MIN_STRATUM) or not first.sum():
            continue
        theirs, low_high = compositions[1].estimate(second), compositions[1].interval(second)
        row = Row(
            stage="before",
            slice_kind=kind,
            slice=name,
            unit="fraction",
            n=n,
            note=f"of undeclared documents, by {checker.name!r}",
        )
        yield row | Row(metric="synthetic_share.cross_check", value=theirs, lower=low_high[0], upper=low_high[1])
        apart = abs(theirs - compositions[0].estimate(first))
        yield row | {"metric": "synthetic_share.cross_check_difference", "value": apart}


def shares(tally: Tally, sources: tuple[str, ...], detector: Detector) -> Iterator[Row]:
    """The rows. A stratum with few scored documents borrows from the corpus, and takes its bound."""
    corpus = _Stratum(tally, {}, detector.calibration, None)
    slices = [("overall", "", corpus)]
    for number, name in enumerate(sources):
        slices.append(("source", name, _Stratum(tally, {"source": {number}}, detector.calibration, corpus)))
    for name in sorted({str(key[1]) for key in tally.groups}):
        stratum = _Stratum(tally, {"language": {name}}, detector.calibration, corpus)
        if sum(stratum.groups["documents"].values()) >= MIN_LANGUAGE:
            slices.append(("language", name, stratum))
    assumed = "95 % upper bound, assuming: " + "; ".join(assumptions(detector))
    for kind, name, stratum in slices:
        n = sum(stratum.groups["documents"].values())
        for unit in ("documents", "tokens"):
            for stage in ("before", "after"):
                row: Row = {"stage": stage, "slice_kind": kind, "slice": name, "unit": "fraction", "n": n}
                late = stratum.out_of_time(unit, stage)
                if late is not None:
                    yield row | {"metric": f"synthetic_share.out_of_time.{unit}", "value": late, "note": LATE}
                upper = stratum.upper(unit, stage)
                if upper is None and kind != "overall":
                    continue  # nothing of this stratum is left: there is no share to speak of
                value = stratum.share(unit, stage)
                yield row | {"metric": f"synthetic_share.{unit}", "value": value, "upper": upper, "note": assumed}
                if value is None:
                    continue
                ends = stratum.interval(unit)
                if np.isnan(ends).any():
                    continue  # everything is declared
                low, high = (stratum.share(unit, stage, q) for q in ends)
                yield row | Row(
                    metric=f"synthetic_share.interval.{unit}", value=value, lower=low, upper=high, note=INTERVAL
                )


def known_of(tally: Tally, detector: Detector) -> Known | None:
    """What the whole of a corpus says of a document by its score; None without a calibration."""
    if detector.calibration is None:
        return None
    corpus = _Stratum(tally, {}, detector.calibration, None)
    rate = corpus.q("read", "documents")
    return Known(corpus.posterior, 1.0 if rate is None else rate, corpus.composition, corpus.known_human["read"])


@dataclasses.dataclass(frozen=True, eq=False)
class _Stratum:
    """A part of a corpus, and what the scores of its undeclared documents say of their origin.

    Attributes:
      tally: of the whole corpus.
      where: which groups belong to it.
      calibration: of the detector.
      parent: the corpus; None if this is it.
    """

    tally: Tally
    where: dict[str, set[Any]]
    calibration: Calibration | None
    parent: "_Stratum | None"

    @functools.cached_property
    def groups(self) -> dict[str, Counter[Key]]:
        """The groups of the corpus that belong to it, by unit."""
        return {
            unit: Counter({key: n for key, n in counts.items() if self._holds(key[0], key[1])})
            for unit, counts in (("documents", self.tally.groups), ("tokens", self.tally.group_tokens))
        }

    @functools.cached_property
    def released(self) -> dict[str, Counter[Key]]:
        """The same, of which those that are kept count with every copy."""
        return {
            unit: Counter(
                {key: n for key, n in self.tally.counts(unit, "after").items() if self._holds(key[0], key[1])}
            )
            for unit in ("documents", "tokens")
        }

    @functools.cached_property
    def composition(self) -> Composition:
        assert self.calibration is not None
        return self.parent.composition if self.parent else Composition(self.calibration)

    @functools.cached_property
    def known_human(self) -> dict[str, npt.NDArray[np.int64]]:
        """Documents of the whole corpus that are known to be human, by score, int64[bands, BINS], by population."""
        if self.parent:
            return self.parent.known_human
        found = {
            name: np.zeros((len(self.composition.language_of_band), share_bound.BINS), np.int64) for name in REASONS_OF
        }
        for (reason, band), bins in self.tally.own.items():
            for name, reasons in REASONS_OF.items():
                if reason in reasons:
                    found[name][int(band)] += bins
        return found

    def scores(self, population: str) -> npt.NDArray[np.int64]:
        """Documents and tokens by score, int64[2, bands, BINS]."""
        return self._scores[population]

    @functools.cached_property
    def _scores(self) -> dict[str, npt.NDArray[np.int64]]:
        bands = len(self.calibration.bands) if self.calibration else 1
        found = {name: np.zeros((2, bands, share_bound.BINS), np.int64) for name in REASONS_OF}
        for copies, scores in ((False, self.tally.scores), (True, self.tally.more_scores)):
            for (source, language, reason, band), counts in scores.items():
                if self._holds(source, language):
                    for name, reasons in REASONS_OF.items():
                        if reason in reasons and (name == "kept" or not copies):
                            found[name][:, int(band)] += counts
        return found

    def _holds(self, source: object, language: object) -> bool:
        return source in self.where.get("source", {source}) and language in self.where.get("language", {language})

    @functools.cached_property
    def scored(self) -> int:
        """Undeclared documents with a score, before anything was dropped."""
        return int(self.scores("read")[0].sum())

    @functools.cached_property
    def borrows(self) -> bool:
        """Whether there are too few of them for a bound of its own."""
        return self.parent is not None and self.scored < MIN_STRATUM

    def q(self, population: str, unit: str) -> float | None:
        """The estimated share of machine documents (or of their tokens) among the undeclared; None: nothing is known."""
        return self._q[population, unit]

    @functools.cached_property
    def _q(self) -> dict[tuple[str, str], float | None]:
        found: dict[tuple[str, str], float | None] = {}
        for population in ("read", "unique"):
            for number, unit in enumerate(("documents", "tokens")):
                counts = self.scores(population)[number]
                theirs = self.parent.q(population, unit) if self.parent else None
                if self.calibration is None or (not counts.sum() and theirs is None):
                    found[population, unit] = None
                    continue
                own = self.composition.estimate(counts, self.known_human[population])
                found[population, unit] = self._with_parent(own, theirs)
        return found

    def _with_parent(self, own: float, theirs: float | None) -> float:
        if not self.borrows or theirs is None:
            return own
        n = self.scored
        return theirs if np.isnan(own) else (n * own + BORROWED * theirs) / (n + BORROWED)

    @functools.cached_property
    def _intervals(self) -> dict[str, tuple[float, float]]:
        found = {}
        for number, unit in enumerate(("documents", "tokens")):
            counts = self.scores("read")[number]
            if self.calibration is None or not counts.sum():
                found[unit] = (float("nan"), float("nan"))
                continue
            documents = float(counts.sum()) if unit == "documents" else self._effective(int(counts.sum()))
            ends = self.composition.interval(counts, self.known_human["read"], documents)
            parents = self.parent.interval(unit) if self.parent and self.borrows else (None, None)
            low, high = (self._with_parent(end, theirs) for end, theirs in zip(ends, parents, strict=True))
            found[unit] = (low, high)
        return found

    def _effective(self, tokens: int) -> float:
        """How many documents of equal length the tokens are worth: (sum w)^2 / sum w^2."""
        reasons = REASONS_OF["read"]
        squares = sum(
            n
            for (source, language, reason), n in self.tally.squares.items()
            if reason in reasons and self._holds(source, language)
        )
        return tokens**2 / max(1, squares)

    def interval(self, unit: str) -> tuple[float, float]:
        """Of `q` among all that was read."""
        return self._intervals[unit]

    def share(self, unit: str, stage: str, q: float | None = None) -> float | None:
        """The estimated synthetic share, in [0, 1]; None where there is nothing, or nothing is known.

        Args:
          unit: "documents" or "tokens".
          stage: "before" or "after".
          q: the machine share of the undeclared text that was read, if not the estimate.
        """
        total, settled, scored, unscored = self._weights(unit, stage)
        if not total:
            return None
        if not scored + unscored:
            return settled / total
        estimate = self.q("read", unit)
        if estimate is None:
            return None
        if stage == "before":
            return (settled + (estimate if q is None else q) * (scored + unscored)) / total
        # What was dropped was dropped for its score: the posterior of each bin says what is left.
        counts = self.scores("kept")[0 if unit == "documents" else 1]
        expected = float((counts * self.posterior).sum())
        rate = expected / scored if scored else self.q("unique", unit) or 0.0
        if q is not None and estimate:
            rate = min(1.0, rate * q / estimate)  # as many times more or less as in all that was read
        elif q is not None:
            rate = q
        return (settled + rate * (scored + unscored)) / total

    @functools.cached_property
    def posterior(self) -> npt.NDArray[np.float64]:
        """The chance of machine origin by band and bin; of a part with few documents, that of the corpus."""
        if self.borrows and self.parent is not None:
            return self.parent.posterior
        return self.composition.posterior(self.scores("unique")[0], self.known_human["unique"])

    def upper(self, unit: str, stage: str) -> float | None:
        """The upper bound of the synthetic share, in [0, 1]; None where there is nothing."""
        total, settled, scored, unscored = self._weights(unit, stage)
        if not total:
            return None
        if not scored + unscored:
            return settled / total
        bound = self._bounds
        if bound is None:
            return (settled + scored + unscored) / total  # nothing is known: all of it may be synthetic
        read, unique = bound
        if stage == "before":
            hidden = read.share @ self._by_language(unit, "read") + read.of_mix(self._mix("read")) * unscored
        else:
            flagged = self._by_language(unit, "kept", origin=contracts.SYNTHETIC)
            others = self._by_language(unit, "kept") - flagged
            hidden = flagged.sum() + unique.residual @ others + unique.of_mix(self._mix("unique")) * unscored
        return min(1.0, float(settled + hidden) / total)

    @functools.cached_property
    def _bounds(self) -> tuple[Bound, Bound] | None:
        """Among all that was read, and among what dedup kept: the same numbers as the ratio stage's."""
        if self.borrows and self.parent is not None:
            return self.parent._bounds
        if self.calibration is None:
            return None
        read, unique = (
            self.composition.bound(
                self._by_language("documents", population, origin=contracts.SYNTHETIC),
                self.scores(population)[0],
                self.known_human[population],
            )
            for population in ("read", "unique")
        )
        return read, unique

    def _mix(self, population: str) -> npt.NDArray[np.int64]:
        """Scored documents by language, of what the bound was made from."""
        holder = self.parent if self.borrows and self.parent else self
        return holder._by_language("documents", population)

    def _by_language(self, unit: str, population: str, **where: object) -> npt.NDArray[np.int64]:
        """The scored undeclared weight by language of its band, int64[languages]."""
        chosen = {**where, "reason": REASONS_OF[population], "origin_basis": contracts.BASIS_DETECTOR}
        of_band = totals_by((self.released if population == "kept" else self.groups)[unit], "detector_band", **chosen)
        bands = range(len(self.composition.language_of_band))
        return self.composition.by_language(np.array([of_band[band] for band in bands]))

    def out_of_time(self, unit: str, stage: str) -> float | None:
        """The part of the text that is later than the machines that the detector knows; None where there is nothing."""
        total, reasons = self._weights(unit, stage)[0], REASONS_OF[OF_STAGE[stage]]
        found = (
            int(sums[(0 if unit == "documents" else 1) + (2 if stage == "after" else 0)])
            for (source, language, reason), sums in self.tally.late.items()
            if reason in reasons and self._holds(source, language)
        )
        return sum(found) / total if total else None

    def _dated(self, unit: str, stage: str) -> float:
        """How much of the text that is human by its date a machine wrote all the same, by its years' priors."""
        reasons, parts = REASONS_OF[OF_STAGE[stage]], [*self.tally.dated.items()]
        if stage == "after":
            parts += self.tally.more_dated.items()
        found = (
            int(sums[0 if unit == "documents" else 1])
            for (source, language, reason), sums in parts
            if reason in reasons and self._holds(source, language)
        )
        return sum(found) / contracts.PRIOR_UNIT

    def _weights(self, unit: str, stage: str) -> tuple[int, float, int, int]:
        """In all; settled synthetic and what dates leave; the rest with a score; the rest without."""
        counts, reasons = (self.released if stage == "after" else self.groups)[unit], REASONS_OF[OF_STAGE[stage]]
        return (
            total_of(counts, reason=reasons),
            total_of(counts, reason=reasons, origin_basis=set(contracts.SETTLED), origin=contracts.SYNTHETIC)
            + self._dated(unit, stage),
            total_of(counts, reason=reasons, origin_basis=contracts.BASIS_DETECTOR),
            total_of(counts, reason=reasons, origin_basis=contracts.BASIS_NONE),
        )
