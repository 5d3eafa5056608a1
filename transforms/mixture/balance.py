"""(split, DECISION) -> (split, DECISION): what a release holds is brought to what the recipe asks of its mixture.

After dedup, because dedup changes every share. Counted as synthetic are, unless the recipe says otherwise, labelled
documents and what the others may hide: the bound that the gate will hold the release to, so that a release that is cut to
its limit also passes. The arithmetic is in `cells.py`, `limits.py`, `targets.py` and `selection.py`, which draws the
line between single documents; here is the engine's side.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa

from expectations import contracts
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside, R, T, spread
from transforms.ingest.sources import Split, Splits
from transforms.mixture.cells import Opinion, Rule, ScoreCounts, Weighed, count_scores, opinion, weigh
from transforms.mixture.left_by_dedup import offer_of
from transforms.mixture.selection import REASON_OF_LIMIT, REASON_OF_SHARE, Edges, Mixture, edges, settle, take
from transforms.mixture.targets import Aim, aim
from transforms.signals.kept import Kept

__all__ = ["Balance", "Decided", "Mixture", "OfferReader", "Rule", "mix"]

Decided = tuple[int, pa.RecordBatch]


class Balanced(NamedTuple):
    """(split, DECISION) of the mixture, and the one element that says what the mixture came to."""

    decisions: beam.PCollection[Decided]
    mixture: beam.PCollection[Mixture]


@dataclasses.dataclass(eq=False)
class Balance(Stage):
    """(split, DECISION) -> the same, and the mixture."""

    rule: Rule
    kept: Kept
    splits: Splits

    def expand(self, decided: beam.PCollection[Decided]) -> Balanced:
        """Four passes over the offers in the store; nothing but sums and the documents at the edges is shuffled."""
        at = self.rule, self.kept, self.splits
        single = beam.pvalue.AsSingleton
        numbers = decided | "Numbers" >> beam.Keys().with_output_types(
            int
        )  # what waits for an answer is kept till it comes
        thought = (
            numbers
            | "CountScores" >> beam.ParDo(_CountScores(*at))
            | "Scores" >> self._combined("scores", ScoresFn(self.rule))
            | "Opinion" >> beam.ParDo(_Think(*at))
        )
        aimed = (
            numbers
            | "Weigh" >> counted.ParDo("decisions to weigh", _Weigh(*at), single(thought))
            | "Weighed" >> self._combined("weights", WeighedFn())
            | "Aim" >> counted.ParDo("the weights to their aim", _Aim(*at), single(thought))
        )
        mixture = (
            numbers
            | "Edges" >> counted.ParDo("decisions at the edges", _FindEdges(*at), single(aimed))
            | "Together" >> self._combined("edges of the mixture", EdgesFn())
            | "Settle" >> counted.ParDo("the edges to their mixture", _Settle(*at), single(aimed))
        )
        taken = decided | "Take" >> counted.ParDo("decisions to take", _Take(*at), single(mixture))
        return Balanced(taken, mixture)

    def _combined(self, crossing: str, fn: beam.CombineFn) -> counted.CombineGlobally:
        return counted.CombineGlobally(crossing, fn, without_defaults=True, most=len(self.splits))


class _Step(beam.DoFn):
    """One of those between the passes."""

    def __init__(self, rule: Rule, kept: Kept, splits: Splits) -> None:
        self.rule, self.kept, self.splits = rule, kept, splits


class _Pass(_Step, Beside[T, R]):
    """Over the offers of all splits, on all cores."""

    def offer(self, number: int) -> pa.RecordBatch:
        return offer_of(self.kept, self.splits[number])


@beam.typehints.with_output_types(ScoreCounts)
class _CountScores(_Pass[int, ScoreCounts]):
    def work(self, number: int, *_: object) -> tuple[ScoreCounts]:
        return (count_scores(self.offer(number), self.rule),)


class _Think(_Step):
    def process(self, scores: ScoreCounts) -> Iterator[Opinion]:
        yield opinion(scores, self.rule)


@beam.typehints.with_output_types(Weighed)
class _Weigh(_Pass[int, Weighed]):
    def work(self, number: int, *sides: Opinion) -> tuple[Weighed]:
        return (weigh(self.offer(number), self.rule, *sides),)


class _Aim(_Step):
    def process(self, weighed: Weighed, thought: Opinion) -> Iterator[Aim]:
        yield aim(weighed, self.rule, thought)


@beam.typehints.with_output_types(Edges)
class _FindEdges(_Pass[int, Edges]):
    def work(self, number: int, *sides: Aim) -> tuple[Edges]:
        return (edges(self.offer(number), self.rule, *sides),)


class _Settle(_Step):
    def process(self, found: Edges, aimed: Aim) -> Iterator[Mixture]:
        yield settle(found, aimed, self.rule)


@beam.typehints.with_output_types(Decided)
class _Take(_Pass[Decided, Decided]):
    def work(self, element: Decided, *sides: Mixture) -> tuple[Decided]:
        number, decisions = element
        return ((number, taken(decisions, self.offer(number), self.rule, *sides)),)


def taken(decisions: pa.RecordBatch, offer: pa.RecordBatch, rule: Rule, mixture: Mixture) -> pa.RecordBatch:
    """DECISION of a split by ordinal, and its OFFER -> DECISION: copies of what is taken, a reason for what is not."""
    copies, for_share = take(offer, rule, mixture)
    at, gone = offer["ordinal"].to_numpy(), copies == 0
    columns = {name: decisions[name] for name in decisions.schema.names}

    def put(name: str, values: np.ndarray) -> None:
        column = columns[name].to_numpy(zero_copy_only=False).copy()
        column[at] = np.where(gone, values, column[at]) if name != "copies" else values
        columns[name] = column

    put("copies", copies)
    put("kept", np.zeros(len(at), bool))
    put("stage", np.full(len(at), contracts.STAGES.index("balance"), np.int8))
    put("reason", np.where(for_share, REASON_OF_SHARE, REASON_OF_LIMIT).astype(np.int8))
    return contracts.DECISION.batch(columns)


def mix(offers: Iterable[pa.RecordBatch], rule: Rule) -> Mixture:
    """The same mixture without an engine. `offers` is gone through three times."""
    thought = opinion(ScoreCounts.merge(count_scores(offer, rule) for offer in offers), rule)
    weighed = Weighed({})
    for offer in offers:
        weighed = Weighed.merge([weighed, weigh(offer, rule, thought)])
    aimed = aim(weighed, rule, thought)
    return settle(Edges.of(edges(offer, rule, aimed) for offer in offers), aimed, rule)


@dataclasses.dataclass(frozen=True)
class OfferReader:
    """The offers of some splits, read again every time they are gone through."""

    kept: Kept
    splits: tuple[Split, ...]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """One batch for each split."""
        return spread(functools.partial(offer_of, self.kept), iter(self.splits))


@beam.typehints.with_input_types(ScoreCounts)
@beam.typehints.with_output_types(ScoreCounts)
class ScoresFn(beam.CombineFn):
    """Scores of splits -> of the corpus."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def create_accumulator(self) -> ScoreCounts:
        """Nothing."""
        return ScoreCounts.none(self.rule)

    def add_input(self, total: ScoreCounts, part: ScoreCounts) -> ScoreCounts:
        """Add one split."""
        return ScoreCounts.merge([total, part])

    def merge_accumulators(self, totals: Iterable[ScoreCounts]) -> ScoreCounts:
        """Add all."""
        return ScoreCounts.merge(totals)

    def extract_output(self, total: ScoreCounts) -> ScoreCounts:
        """As it is."""
        return total


@beam.typehints.with_input_types(Weighed)
@beam.typehints.with_output_types(Weighed)
class WeighedFn(beam.CombineFn):
    """Weighed of splits -> of the corpus."""

    def create_accumulator(self) -> Weighed:
        """Nothing."""
        return Weighed({})

    def add_input(self, total: Weighed, part: Weighed) -> Weighed:
        """Add one split."""
        return Weighed.merge([total, part])

    def merge_accumulators(self, totals: Iterable[Weighed]) -> Weighed:
        """Add all."""
        return Weighed.merge(totals)

    def extract_output(self, total: Weighed) -> Weighed:
        """As it is."""
        return total


@beam.typehints.with_input_types(Edges)
@beam.typehints.with_output_types(Edges)
class EdgesFn(beam.CombineFn):
    """Edges of splits -> of the corpus, in their order."""

    def create_accumulator(self) -> list[Edges]:
        """Nothing."""
        return []

    def add_input(self, total: list[Edges], part: Edges) -> list[Edges]:
        """Keep it."""
        return [*total, part] if len(part.cell) else total

    def merge_accumulators(self, totals: Iterable[list[Edges]]) -> list[Edges]:
        """All of them."""
        return [part for total in totals for part in total]

    def extract_output(self, total: list[Edges]) -> Edges:
        """One, sorted."""
        return Edges.of(total)
