"""METRICS -> verdict: the suite, and the rules that no suite can leave out."""

import dataclasses
import datetime
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from expectations.judge.verdict import judge
from expectations.structures import expected
from expectations.structures.system import System
from expectations.suite.suite import Expectation, Suite, presets
from transforms.engine.stage import Stage
from transforms.engine.staged import Staged


@dataclasses.dataclass(eq=False)
class Gate(Stage):
    """METRICS -> the verdict as JSON. Great Expectations does the judging, on one worker, on one small table."""

    suite: Suite
    params: tuple[tuple[str, float], ...]
    today: datetime.date  # that waivers are held against

    def expand(self, metrics: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[str]:
        """One element in, one out."""
        return metrics | "Judge" >> beam.ParDo(_Judge(self.suite, self.params, self.today))


class _Judge(Staged, beam.DoFn):
    def __init__(self, suite: Suite, params: tuple[tuple[str, float], ...], today: datetime.date) -> None:
        self.suite, self.params, self.today = suite, params, today

    def process(self, metrics: pa.RecordBatch) -> Iterator[str]:
        yield judge(pa.Table.from_batches([metrics]), self.suite, dict(self.params), self.today).to_json()


def with_rules(
    suite: Suite,
    *,
    fail_on_shortage: bool,
    fail_on_source_loss: bool,
    has_limits: bool = False,
    has_reference: bool = False,
    has_lineage: bool = False,
    has_verifier: bool = False,
    fail_on_contamination: bool = False,
    systems: tuple[System, ...] = (),
) -> Suite:
    """The suite with the rules that hold for every release put before its own expectations, those of systems behind.

    A preset warns of what is lost against the reference, if there is one, and of what synthetic text was made of, if sources say
    it; another suite says itself what it asks.
    """
    first = rules(fail_on_shortage, fail_on_source_loss, has_limits)
    first += [NO_ITEMS] if fail_on_contamination else []
    kept: list[Expectation] = []
    if suite.suite in presets():
        asked = (REFERENCE_RULES, has_reference), (LINEAGE_RULES, has_lineage), (VERIFIER_RULES, has_verifier)
        kept = [one for rules_, applies in asked if applies for one in rules_]
    return suite.model_copy(update={"expectations": (*first, *suite.expectations, *kept, *expected.rules(systems))})


def rules(fail_on_shortage: bool, fail_on_source_loss: bool, has_limits: bool) -> list[Expectation]:
    """The rules that hold for every release, whatever its suite; they come first in a verdict."""
    found = [
        Expectation(
            expect="metric_to_be_between",
            metric="input.bad_fraction",
            stage="before",
            max="$max_bad_fraction",
            notes="Rule of every run. More bad records than this mean a wrong field mapping or a broken download.",
        ),
        Expectation(
            expect="metric_to_be_between",
            metric="input.bad_fraction",
            stage="before",
            slice_kind="source",
            max="$max_bad_fraction",
            notes="Rule of every run. A small source that is lost does not hide behind a large one.",
        ),
        Expectation(
            expect="metric_to_be_between",
            metric="documents",
            stage="before",
            slice_kind="source",
            min=1.0,
            notes="Rule of every run. A source without a document is a wrong path, a wrong field or a broken download.",
        ),
        Expectation(
            expect="metric_to_be_between",
            metric="documents",
            min=1.0,
            notes="Rule of every run. An empty release is none.",
        ),
        Expectation(
            expect="metric_to_be_between",
            metric="duplicates.removed_fraction",
            stage="before",
            slice_kind="source",
            max="$max_source_loss",
            severity="critical" if fail_on_source_loss else "warning",
            notes="Rule of every run. A source that loses so much to dedup has templates, or is another source's copy.",
        ),
    ]
    if fail_on_shortage:
        found.append(
            Expectation(
                expect="metric_to_be_between",
                metric="ratio.dropped",
                max=0.0,
                notes="ratio.on_shortage is 'fail': there must be enough real text for all synthetic text.",
            )
        )
    if has_limits:
        found.append(
            Expectation(
                expect="metric_to_be_between",
                metric="ratio.conflicts",
                max=0.0,
                notes="Rule of every run with floors or caps. Limits that cannot be kept together are not relaxed.",
            )
        )
    return found


NO_ITEMS = Expectation(
    expect="metric_to_be_between",
    metric="contamination.items",
    slice_kind="evaluation_set",
    max=0.0,
    notes="contamination.on_match is 'fail': no document of the release may hold an item of an evaluation set.",
)


def _kept(metric: str, least: float, notes: str, slice_kind: str = "overall") -> Expectation:
    return Expectation(
        expect="metric_to_be_between",
        metric=f"reference.{metric}",
        slice_kind=slice_kind,
        bound="lower",
        min=least,
        unsure="inconclusive",
        severity="warning",
        notes=notes,
    )


def _surely(metric: str, least: float, notes: str) -> Expectation:
    """By the limit that favours the release: a small loss, if it is beyond doubt. Too little data passes."""
    return Expectation(
        expect="metric_to_be_between",
        metric=f"reference.{metric}",
        bound="upper",
        min=least,
        severity="warning",
        notes=notes,
    )


_WORDS = "Measured against the reference at one number of occurrences, so that size alone changes nothing."
REFERENCE_RULES = (
    _kept("hill_0_1", 0.90, f"Fewer different words: about what a fifth of truncated-sampling text does. {_WORDS}"),
    _kept("hill_1_1", 0.90, f"Fewer words in effect: what is common takes over. {_WORDS}"),
    _surely("hill_0_1", 0.985, f"Surely fewer different words, if not many: an early sign. {_WORDS}"),
    _kept("hill_1_2", 0.90, f"Fewer word pairs in effect. {_WORDS}"),
    _kept("tail_mass", 0.90, "Rare words go first when models learn from models (Shumailov et al. 2024)."),
    _kept("tail_types", 0.90, "Rare words of the reference that are gone altogether."),
    _kept("vendi_1", 0.85, "Documents say less different things, by their words."),
    _kept("bpb_sd", 0.90, "Documents are more alike in how hard they are."),
    _kept("topic_hill_1", 0.85, "Fewer topics in effect."),
    _kept("share", 0.5, "A source of the reference is gone, or has half of its share or less.", "source"),
    _kept("share", 0.5, "A language of the reference is gone, or has half of its share or less.", "language"),
    Expectation(
        expect="metric_to_be_between",
        metric="reference.distance",
        bound="upper",
        max=0.03,
        unsure="inconclusive",
        severity="warning",
        notes="The words are others than the reference's. A new source does this too, and it need not be a loss.",
    ),
)


def _of_lineage(
    metric: str, notes: str, least: float | None = None, most: float | None = None, slice_kind: str = "overall"
) -> Expectation:
    return Expectation(
        expect="metric_to_be_between",
        metric=metric,
        slice_kind=slice_kind,
        min=least,
        max=most,
        severity="warning",
        notes=notes,
    )


LINEAGE_RULES = (
    _of_lineage(
        "lineage.fan_out_max",
        "More rephrasings of one document have not been shown to help: in pre-training the gain levels off at 32 of each (Kim et "
        "al. 2026, arXiv 2603.18534).",
        most=32,
    ),
    _of_lineage(
        "lineage.effective_seeds",
        "Rephrased text says what its sources say, however often: a thousand in effect is our own floor, and no paper's.",
        least=1000,
    ),
    _of_lineage(
        "lineage.both_kept",
        "A source and its rephrasings say the same thing twice, which dedup does not see. What a rephrasing is mixed with "
        "decides what it is worth (Niklaus et al. 2026, arXiv 2604.13977); half is our own limit.",
        most=0.5,
    ),
    _of_lineage(
        "lineage.deep_share",
        "Text made of synthetic text is where tails go first (Shumailov et al. 2024, doi 10.1038/s41586-024-07566-y).",
        most=0.0,
    ),
    _of_lineage(
        "lineage.generator_effective_number",
        "At every depth at least two generators in effect: how many distinct models serve best grows with every round of "
        "training on what they wrote (Hodel and West 2025, arXiv 2512.15011).",
        least=2,
        slice_kind="depth",
    ),
    _of_lineage(
        "kind.share",
        "Of any one kind: large comparisons end near 30% for rephrased text, and textbook-like text alone showed patterns of "
        "collapse (Kang et al. 2025, arXiv 2510.01631). `ratio.kinds` limits each.",
        most=0.3,
        slice_kind="kind",
    ),
)
VERIFIER_RULES = (
    _of_lineage(
        "verifier.same_family",
        "What a verifier accepts moves towards what the verifier knows (Yi et al. 2026, arXiv 2510.16657): one of the "
        "generator's own family knows nothing else.",
        most=0.5,
    ),
)
