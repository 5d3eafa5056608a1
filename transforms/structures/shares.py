"""Patterns of structures -> METRICS: what a system says of what was read, of what dedup kept, and of the release.

Which documents a system speaks of is decided here, and not in the survey, so another slice reads no text.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.metrics.row import Row
from expectations.structures.expected import association_slice, documents_needed, group_slice
from expectations.structures.rules import Association, TargetDistribution
from expectations.structures.structure import Classifier
from expectations.structures.system import Slice, StructuresError, System
from transforms.kernels.statistics import classifier_correction
from transforms.kernels.statistics import structures as cores
from transforms.kernels.statistics.certify import Gold
from transforms.kernels.statistics.structures import Cores, Interval, PatternCounts, Population
from transforms.kernels.text.columns import first_half, joined
from transforms.signals.populations import EVERYONE, HUMAN, OF_ORIGIN, STAGES, how_far, textless, whose
from transforms.structures.find import Systems, unpack

NEEDED = ["content_hash", "language", "created", "compliance"]
STATED = 2**62  # documents behind a share that somebody states: it is as sure as any number could make it
CHANGE = 0.2  # of a ratio: what there must be enough documents to see, as for a single structure
LIMITS = "Wilson's limits; as if documents were drawn one by one"
CORRECTED = (
    "corrected for what the classifier gets wrong: {sample}; exact limits of all counts together; taking for granted that it "
    "errs in these documents as in that sample"
)
BY_WORD = "by the classifier's word: its errors cannot be corrected here"
AGAINST = {
    "human_subset": "against the human documents that dedup kept; human by declaration or evidence, not by the detector alone",
    "release": "against the release {release}",
    "uniform": "against the same sum spread evenly",
    "target": "against the shares that the system names",
}


def count_split(
    decisions: pa.RecordBatch, signals: pa.Table, systems: tuple[System, ...], source: str
) -> dict[Population, PatternCounts]:
    """Count the patterns of one split's documents, by (system, stage, whose, source). Those without text count for nothing.

    Args:
      decisions: DECISION for every document of the split, by ordinal.
      signals: the columns `NEEDED` of the split's signals, in the same order.
      systems: those that the signals were made with.
      source: the name of the split's source.
    """
    columns = {name: joined(signals[name]) for name in NEEDED}
    patterns = patterns_in_slice(decisions, columns, systems, source)
    content, tokens = first_half(columns["content_hash"]), decisions["n_tokens"].to_numpy()
    stage, owner, without_text = how_far(decisions), whose(decisions), textless(decisions)
    found = {}
    for number in range(len(systems)):
        inside = (patterns[:, number] >= cores.IN_SLICE) & ~without_text
        for at in range(len(STAGES)):
            for who in EVERYONE:
                rows = inside & (stage == at) & (owner == who)
                if rows.any():
                    bits = patterns[rows, number] & ~cores.IN_SLICE
                    found[number, at, who, source] = cores.count(bits, content[rows], tokens[rows])
    return found


def patterns_in_slice(
    decisions: pa.RecordBatch, columns: dict[str, pa.Array], systems: tuple[System, ...], source: str
) -> npt.NDArray[np.uint16]:
    """The patterns of one split's documents, with `IN_SLICE` where all that a slice asks is met. uint16[documents, systems].

    Args:
      decisions: DECISION, by ordinal.
      columns: `compliance`, `language` and `created` of the signals, in the same order.
      systems: those that the signals were made with.
      source: the name of the split's source.
    """
    patterns = unpack(columns["compliance"], len(systems)).copy()
    for number, system in enumerate(systems):
        outside = ~_in_slice(system.slice, decisions, columns, source)
        patterns[outside, number] &= ~cores.IN_SLICE
    return patterns


def _in_slice(
    asked: Slice, decisions: pa.RecordBatch, columns: dict[str, pa.Array], source: str
) -> npt.NDArray[np.bool_]:
    """Which documents meet the conditions that need no text and no column of the input's own."""
    inside = decisions["n_tokens"].to_numpy() >= asked.min_tokens
    if asked.source is not None and source not in asked.source:
        inside[:] = False
    if asked.language is not None:
        inside &= pc.is_in(columns["language"], value_set=pa.array(asked.language)).to_numpy(zero_copy_only=False)
    if asked.origin is not None:
        inside &= np.isin(decisions["origin"].to_numpy(), [contracts.ORIGINS.index(origin) for origin in asked.origin])
    for day, compare in ((asked.created_from, pc.greater_equal), (asked.created_before, pc.less)):
        if day is not None:
            moment = pa.scalar(day, pa.date32()).cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.int64())
            since = compare(columns["created"].cast(pa.int64()), moment)
            inside &= pc.fill_null(since, False).to_numpy(zero_copy_only=False)
    return inside


def structure_rows(patterns: dict[Population, PatternCounts], systems: Systems) -> Iterator[Row]:
    """All measures of all systems, as rows of METRICS."""
    earlier = systems.references or (None,) * len(systems.systems)
    for number, (system, reference) in enumerate(zip(systems.systems, earlier, strict=True)):
        yield from _System(system, number, patterns, reference).rows()


class _System:
    """One system, and the documents that it speaks of."""

    def __init__(
        self, system: System, number: int, patterns: dict[Population, PatternCounts], earlier: Cores | None
    ) -> None:
        self.system, self.n = system, len(system.structures)
        self.counts = {population[1:]: counts for population, counts in patterns.items() if population[0] == number}
        self.at = {stage: self.cores(self.population(stage)) for stage in STAGES}
        self.samples = [one.sample if isinstance(one, Classifier) else None for one in system.structures]
        assert all(self.samples[at] for at, name in enumerate(system.names) if name in system.classifiers), (
            "not counted"
        )
        self.is_stated = earlier is None and system.reference.kind in ("target", "uniform")
        self.reference = earlier or self._reference()

    def core(self, found: Cores, at: int) -> Interval:
        """The share that has structure number `at`, corrected if a classifier found it."""
        errors = self.errors(at)
        return found.core[at] if errors is None else classifier_correction.share(_found(found, at), errors)

    def errors(self, at: int) -> Gold | None:
        """What the classifier of a structure did on its sample; None: it has none."""
        sample = self.samples[at]
        return Gold(sample.found, sample.positives, sample.alarmed, sample.negatives) if sample else None

    def ratio(self, one: Cores, other: Cores, at: int) -> Interval:
        """How much of a structure is left. `other` is of documents, not stated."""
        errors = self.errors(at)
        if errors is None:
            return cores.ratio(one.core[at], other.core[at])
        return classifier_correction.ratio(_found(one, at), _found(other, at), errors)

    def core_note(self, at: int) -> str:
        """How sure a share is, and why."""
        sample = self.samples[at]
        return CORRECTED.format(sample=sample.said()) if sample else LIMITS

    def population(self, stage: str, whose: tuple[int, ...] = EVERYONE, source: str | None = None) -> PatternCounts:
        """The documents that came at least so far; of one source, or of all."""
        least = STAGES.index(stage)
        chosen = (
            c for (at, who, own), c in self.counts.items() if at >= least and who in whose and source in (None, own)
        )
        return cores.merge(list(chosen))

    def cores(self, counts: PatternCounts) -> Cores:
        return cores.summarise(counts, self.n, self.system.weight)

    def _reference(self) -> Cores:
        asked = self.system.reference
        if asked.kind == "human_subset":
            return self.cores(self.population("deduplicated", (HUMAN,)))
        if asked.kind == "target":
            shares = np.array([dict(asked.target)[name] for name in self.system.names])
        else:
            assert asked.kind == "uniform", asked
            shares = np.full(self.n, np.mean([self.core(self.at["after"], at).value for at in range(self.n)]))
        entropy, first, second = cores.effective_numbers(shares)
        known = [Interval(share, share, share) for share in shares.tolist()]
        return Cores(
            STATED, tuple(known), cores.UNKNOWN, np.nan, np.nan, entropy, Interval(first, first, first), second
        )

    def rows(self) -> Iterator[Row]:
        """All its rows, each without what the table's template says."""
        for stage in STAGES:
            yield from self._stage(stage)
        for stage in ("before", "after"):
            for origin, members in OF_ORIGIN.items():
                found = self.cores(self.population(stage, members))
                for at, name in enumerate(self.system.names):
                    slice_, note = f"/{name}/{origin}", self.core_note(at)
                    core = self.core(found, at)
                    yield self._row("core", "structure_origin", core, found.n, slice_, stage=stage, note=note)
        yield from self._retained()
        if self.system.reference.kind == "human_subset":
            yield from self._retained_at_mix()
        yield from self._asked()
        yield from self._patterns()

    def _row(
        self,
        metric: str,
        kind: str,
        number: Interval | float,
        n: int,
        slice_: str = "",
        *,
        stage: str = "after",
        note: str | None = None,
        needed: int | None = None,
    ) -> Row:
        value, lower, upper = number if isinstance(number, Interval) else (number, None, None)
        return {
            "metric": f"structure.{metric}",
            "slice_kind": kind,
            "slice": self.system.id + slice_,
            "stage": stage,
            "value": value,
            "lower": lower,
            "upper": upper,
            "n": n if n < STATED else 0,
            "note": note,
            "needed": needed,
        }

    def _stage(self, stage: str) -> Iterator[Row]:
        found = self.at[stage]
        definition = f"definition {self.system.definition()}"
        yield self._row("documents", "system", float(found.n), found.n, stage=stage, note=definition)
        for at, name in enumerate(self.system.names):
            note = self.core_note(at)
            yield self._row("core", "structure", self.core(found, at), found.n, f"/{name}", stage=stage, note=note)
            if self.samples[at]:
                note = "what the classifier found, not corrected"
                yield self._row("found", "structure", found.core[at], found.n, f"/{name}", stage=stage, note=note)
        jackknife = f"limits by leaving out each of {cores.BLOCKS} parts of the documents"
        alone = "rises while one norm takes over: never read it alone"
        values: list[tuple[str, Interval | float, str | None]] = [
            ("expected_deviance", found.expected_deviance, jackknife),
            ("deviance_variance", found.deviance_variance, alone),
            ("mean_square_deviance", found.mean_square_deviance, None),
            ("core_entropy", found.entropy, None),
            ("effective_number", found.effective_number, jackknife),
            ("effective_number_2", found.effective_number_2, None),
        ]
        for metric, number, said in values:
            words = "; ".join(filter(None, (said, BY_WORD))) if self.system.classifiers else said
            yield self._row(metric, "system", number, found.n, stage=stage, note=words)

    def _retained(self) -> Iterator[Row]:
        after, reference = self.at["after"], self.reference
        n = min(after.n, reference.n)
        against = AGAINST[self.system.reference.kind].format(release=self.system.reference.release)
        wide = f"{against}; limits as if the two shared no document, so rather too wide"
        for at, name in enumerate(self.system.names):
            other = reference.core[at] if self.is_stated else self.core(reference, at)
            yield self._row("reference", "structure", other, reference.n, f"/{name}", note=against)
            kept = cores.ratio(self.core(after, at), other) if self.is_stated else self.ratio(after, reference, at)
            note = f"{against}; {self.core_note(at)}" if self.samples[at] else wide
            needed = self._needed_at(at, reference.core[at], other, n)
            yield self._row("retention", "structure", kept, n, f"/{name}", note=note, needed=needed)
        for metric in ("expected_deviance", "effective_number"):
            quotient = cores.ratio(getattr(after, metric), getattr(reference, metric))
            needed = self._needed_of(quotient, n, CHANGE)
            note = f"{wide}; {BY_WORD}" if self.system.classifiers else wide
            yield self._row(f"{metric}_ratio", "system", quotient, n, note=note, needed=needed)
        for before, stage in itertools.pairwise(STAGES):
            given, left = self.at[before], self.at[stage]
            for at, name in enumerate(self.system.names):
                number = self.ratio(left, given, at)
                note = f"against {before}; {self.core_note(at)}"
                if not self.samples[at]:  # of these very documents: counted, so without limits
                    number = Interval(number.value, np.nan, np.nan)
                    note = f"against {before}; counted, not estimated"
                needed = self._needed_at(at, given.core[at], self.core(given, at), given.n)
                yield self._row(
                    "stage_retention", "structure", number, given.n, f"/{name}", stage=stage, note=note, needed=needed
                )

    def _retained_at_mix(self) -> Iterator[Row]:
        """What of a structure is left if sources were mixed as in the reference: what was lost inside of them.

        A loss that only `retention` shows comes of the mix, as when a source without the structure floods the release.
        """
        sources = sorted({source for _, _, source in self.counts})
        weight = 0 if self.system.weight == "docs" else 1
        sides = [
            [self.population(stage, whose, source) for source in sources]
            for stage, whose in (("after", EVERYONE), ("deduplicated", (HUMAN,)))
        ]
        released, mix = [self.cores(c) for c in sides[0]], np.array([float(c.sums[:, weight].sum()) for c in sides[1]])
        n = np.array([_worth(c, weight) for c in sides[0]])
        gone = [source for source, w, there in zip(sources, mix, n, strict=True) if w and not there]
        note = "at the reference's mix of sources: what a loss inside of them leaves; the limits take the mix as known"
        if gone:
            note = f"the release has nothing of {', '.join(gone[:3])}, which the reference has"
        for at, name in enumerate(self.system.names):
            if self.samples[at] is None:
                share = np.nan_to_num(np.array([one.core[at].value for one in released]))
                number = cores.ratio(cores.at_mix(share, n, mix), self.reference.core[at])
                documents = min(self.at["after"].n, self.reference.n)
                yield self._row("retention_at_mix", "structure", number, documents, f"/{name}", note=note)

    def _asked(self) -> Iterator[Row]:
        """Rows that only an expectation asks for."""
        counts, column = self.population("after"), 0 if self.system.weight == "docs" else 1
        place = self.system.names.index
        for rule in self.system.expectations:
            if isinstance(rule, TargetDistribution):
                group = [place(name) for name in rule.group]
                target = np.array(
                    [self.reference.core[i].value for i in group]
                    if rule.target == "reference"
                    else [rule.target[name] for name in rule.group]
                )
                number = cores.divergence_from(counts, self.n, column, group, target)
                n = min(self.at["after"].n, self.reference.n) if rule.target == "reference" else self.at["after"].n
                slice_ = group_slice(self.system, rule).removeprefix(self.system.id)
                needed = self._needed_of(number, n, rule.max)
                yield self._row("divergence", "group", number, n, slice_, needed=needed)
            elif isinstance(rule, Association):
                n, one = cores.given(counts, place(rule.given), place(rule.then), column)
                n_other, other = cores.given(counts, place(rule.vs_given), place(rule.then), column)
                n = min(n, n_other)
                slice_ = association_slice(self.system, rule).removeprefix(self.system.id)
                needed = _needed(other, n)
                risk = cores.ratio(one, other)
                yield self._row("association", "association", risk, n, slice_, needed=needed)

    def _needed_at(self, at: int, found: Interval, share: Interval, n: int) -> int:
        """Documents that it takes to see the loss of a structure; more, the less its classifier tells the two apart."""
        errors, needed = self.errors(at), _needed(share, n)
        if errors is None or self.is_stated or not 0 < share.value < 1:
            return needed
        # The variance of the corrected share is that of the share found over (t - f)^2.
        apart = errors.caught / errors.synthetic - errors.alarmed / errors.human
        more = found.value * (1 - found.value) / (apart**2 * share.value * (1 - share.value))
        return int(min(2**62, np.ceil(needed * max(1.0, more))))

    def _needed_of(self, number: Interval, n: int, change: float) -> int:
        """Documents that it takes to see a number of the whole system change by so much."""
        return max(self.system.min_documents, cores.documents_to_tell(number, n, change))

    def _patterns(self) -> Iterator[Row]:
        """How often each combination occurs in the release: what two structures are together, cores do not say."""
        patterns, sums = cores.by_pattern(self.population("after"))
        weights = sums[:, 0 if self.system.weight == "docs" else 1]
        for pattern, weight, n in zip(patterns.tolist(), weights.tolist(), sums[:, 0].tolist(), strict=True):
            names = [name for bit, name in enumerate(self.system.names) if pattern >> bit & 1]
            note = BY_WORD if self.system.classifiers else None
            slice_ = f"/{'+'.join(names) or '(none)'}"
            yield self._row("pattern", "pattern", weight / max(1, weights.sum()), n, slice_, note=note)


def _worth(counts: PatternCounts, weight: int) -> float:
    """How many documents of equal weight they are worth: (sum w)^2 / sum w^2 for tokens."""
    documents, tokens, squares = (float(total) for total in counts.sums.sum(axis=0))
    return documents if weight == 0 else tokens**2 / squares if squares else 0.0


def _found(found: Cores, at: int) -> classifier_correction.Found:
    """In how many documents a structure was found, of how many."""
    share = found.core[at].value
    return (0 if np.isnan(share) else round(share * found.n)), found.n


def _needed(reference: Interval, n: int) -> int:
    """Documents that it takes to see the loss of a structure; where the reference has none of it, more than there are."""
    share = reference.value
    return documents_needed(share if share > 0 else 1 / max(2, n)) if not np.isnan(share) else documents_needed(0.5)


def from_metrics(metrics: pa.RecordBatch, system: System, release: str) -> Cores:
    """What a release says of a system, from its metrics.

    Raises:
      StructuresError: it was not measured there, or with another definition.
    """
    rows = {
        (row["metric"].removeprefix("structure."), row["slice"]): row
        for row in metrics.to_pylist()
        if row["metric"].startswith("structure.") and row["stage"] == "after"
    }
    documents = rows.get(("documents", system.id))
    if documents is None:
        raise StructuresError(
            f"structures: {release} says nothing of system {system.id!r}; make that release again with this system in its recipe"
        )
    if documents["note"] != f"definition {system.definition()}":
        raise StructuresError(
            f"structures: {release} measured system {system.id!r} by other structures, slice or weight, so the two cannot be "
            "compared; make it again with these"
        )

    def interval(metric: str, slice_: str) -> Interval:
        row = rows[metric, slice_]
        return Interval(*(np.nan if row[name] is None else row[name] for name in ("value", "lower", "upper")))

    return Cores(
        documents["n"],
        tuple(
            interval("found" if name in system.classifiers else "core", f"{system.id}/{name}") for name in system.names
        ),
        interval("expected_deviance", system.id),
        interval("deviance_variance", system.id).value,
        interval("mean_square_deviance", system.id).value,
        interval("core_entropy", system.id).value,
        interval("effective_number", system.id),
        interval("effective_number_2", system.id).value,
    )
