"""DECISION -> DECISION: synthetic documents are dropped until their share is at or under the limit.

Counted are the documents labelled synthetic, and what those without a declaration may hide: the upper bound that the gate
will hold the release to, so that a release that is cut to its limit also passes.

After dedup, because dedup changes the share. Two passes: a histogram of the synthetic documents' weight by their place in
hash order finds the bin in which the budget runs out, and the documents of that one bin, sorted, find the cut. What is
kept is exact to one document, deterministic, and nested: a lower limit keeps a subset.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from expectations import contracts
from transforms.estimate import Reference
from transforms.kernels import sampling
from transforms.kernels.columns import halves
from transforms.sources import Source


class RatioConfig(BaseModel):
    """How much synthetic text a release may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_synthetic_share: float = Field(
        0.3, ge=0, le=1, strict=True, description="limit of the synthetic share of the release"
    )
    unit: Literal["tokens", "documents"] = Field("tokens", description="what the share is a share of")
    count: Literal["upper_bound", "labelled"] = Field(
        "upper_bound",
        description="what counts as synthetic: labelled documents and what the others may hide, or labelled ones only",
    )
    on_shortage: Literal["shrink", "fail"] = Field(
        "shrink", description="too little real text for all synthetic text: drop synthetic documents, or fail"
    )


@dataclasses.dataclass(frozen=True)
class Weighed:
    """What there is to balance: weights (tokens or documents) of the documents that dedup kept.

    Attributes:
      real: documents that are not labelled synthetic.
      fixed: synthetic documents of protected sources, never dropped here.
      unflagged, unscored: the parts of `real` whose origin nothing settles, those that the detector could score by language,
        int64[languages], and the others.
      dated: of the part of `real` that is human by its date, the sum of weight times `machine_prior`.
      flagged_documents, scored_documents: of those that nothing settles, whatever they weigh, int64[languages].
      bins: the other synthetic documents, by place, int64[sampling.BINS].
    """

    real: int
    fixed: int
    unflagged: np.ndarray
    unscored: int
    dated: int
    flagged_documents: np.ndarray
    scored_documents: np.ndarray
    bins: np.ndarray


def hidden(weighed: Weighed, reference: Reference | None) -> int:
    """An upper bound of the synthetic weight among the documents that are not labelled synthetic."""
    dated = -(-weighed.dated // contracts.PRIOR_UNIT)  # rounded up
    if reference is None:
        return int(weighed.unflagged.sum()) + weighed.unscored + dated
    bound = reference.bound(weighed.flagged_documents, weighed.scored_documents)
    of_unscored = bound.of_mix(weighed.scored_documents) * weighed.unscored
    return math.ceil(bound.residual @ weighed.unflagged + of_unscored) + dated


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where the synthetic documents are cut off, and the numbers behind it.

    Attributes:
      place: documents at or after this place are dropped; None: none is.
      real, available, taken: weight of real text, of synthetic text before and after the cut.
      hidden: the most that may be synthetic of the real text.
      missing: how much more real text would make room for all synthetic text; None: no amount would.
      unit: "tokens" or "documents".
    """

    place: tuple[int, int, int] | None
    real: int
    available: int
    taken: int
    hidden: int
    missing: int | None
    unit: str


@dataclasses.dataclass(eq=False)
class Balance(beam.PTransform):
    """DECISION -> (DECISION, Cut): enforce the ratio among the documents kept so far."""

    config: RatioConfig
    sources: tuple[Source, ...]
    salt: str
    reference: Reference | None

    def expand(
        self, decisions: beam.PCollection[pa.RecordBatch]
    ) -> tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[Cut]]:
        """Two small combines; the documents themselves cross no shuffle."""
        rule = Rule(self.config, tuple(source.protected for source in self.sources), self.salt, self.reference)
        weighed = decisions | "Weigh" >> beam.CombineGlobally(WeighFn(rule))
        edge = decisions | "AtTheCut" >> beam.ParDo(_AtTheCut(rule), beam.pvalue.AsSingleton(weighed))
        together = edge | "Together" >> beam.CombineGlobally(TogetherFn())
        cut = together | "Cut" >> beam.ParDo(_Cut(rule), beam.pvalue.AsSingleton(weighed))
        balanced = decisions | "Drop" >> beam.ParDo(_Drop(rule), beam.pvalue.AsSingleton(cut))
        return balanced, cut


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which documents may be cut, what they weigh and where they stand."""

    config: RatioConfig
    protected: tuple[bool, ...]
    salt: str
    reference: Reference | None

    def synthetic(self, batch: pa.RecordBatch) -> np.ndarray:
        """Whether each document is labelled synthetic. bool[rows]."""
        return batch["origin"].to_numpy() == contracts.SYNTHETIC

    def weight(self, batch: pa.RecordBatch) -> np.ndarray:
        """Tokens, or ones. int64[rows]."""
        return (
            batch["n_tokens"].to_numpy().astype(np.int64)
            if self.config.unit == "tokens"
            else np.ones(len(batch), np.int64)
        )

    def choosable(self, batch: pa.RecordBatch) -> np.ndarray:
        """Whether each document is kept so far, synthetic, and not protected. bool[rows]."""
        protected = np.array(self.protected, bool)[batch["source"].to_numpy()]
        return batch["kept"].to_numpy(zero_copy_only=False) & self.synthetic(batch) & ~protected

    def places(self, batch: pa.RecordBatch) -> sampling.Place:
        """Where each document stands in the order of the cut."""
        return sampling.places(halves(batch["doc_id"]), self.salt, "balance")

    def by_language(self, band: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Weights, or ones, of scored documents, summed by the language of their band. int64[languages]."""
        if self.reference is None:
            return np.array([len(band) if weight is None else weight.sum()], np.int64)
        found = np.zeros(self.reference.languages, np.int64)
        np.add.at(found, self.reference.language_of_band[band], 1 if weight is None else weight)
        return found

    def hidden(self, weighed: Weighed) -> int:
        """The synthetic weight that is counted beside the labelled documents."""
        return hidden(weighed, self.reference) if self.config.count == "upper_bound" else 0

    @property
    def max_share(self) -> Fraction:
        """The limit, exactly as it was written."""
        return Fraction(str(self.config.max_synthetic_share))

    def limit(self, weighed: Weighed) -> int | None:
        """How much choosable synthetic weight the real text allows; None: any."""
        total = sampling.budget(weighed.real, self.max_share, self.hidden(weighed))
        return None if total is None else max(0, total - weighed.fixed)


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(Weighed)
class WeighFn(beam.CombineFn):
    """DECISION -> Weighed."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def create_accumulator(self) -> Weighed:
        """Nothing."""
        none = self.rule.by_language(np.zeros(0, np.int8), None)
        return Weighed(0, 0, none, 0, 0, none, none, np.zeros(sampling.BINS, np.int64))

    def add_input(self, total: Weighed, batch: pa.RecordBatch) -> Weighed:
        """Add the documents of a batch."""
        rule, weight = self.rule, self.rule.weight(batch)
        kept, synthetic = batch["kept"].to_numpy(zero_copy_only=False), rule.synthetic(batch)
        choosable = rule.choosable(batch)
        place = sampling.Place(*(part[choosable] for part in rule.places(batch)))
        basis = batch["origin_basis"].to_numpy()
        scored, unscored = (kept & (basis == code) for code in (contracts.BASIS_DETECTOR, contracts.BASIS_NONE))
        band = batch["detector_band"].to_numpy()
        unflagged, flagged = scored & ~synthetic, scored & synthetic
        return Weighed(
            total.real + int(weight[kept & ~synthetic].sum()),
            total.fixed + int(weight[kept & synthetic & ~choosable].sum()),
            total.unflagged + rule.by_language(band[unflagged], weight[unflagged]),
            total.unscored + int(weight[unscored].sum()),
            total.dated + int((weight * batch["machine_prior"].to_numpy())[kept].sum()),
            total.flagged_documents + rule.by_language(band[flagged], None),
            total.scored_documents + rule.by_language(band[scored], None),
            total.bins + sampling.histogram(place, weight[choosable]),
        )

    def merge_accumulators(self, totals: Iterable[Weighed]) -> Weighed:
        """Sums."""
        parts = [dataclasses.astuple(total) for total in totals]
        return Weighed(*(sum(column[1:], column[0]) for column in zip(*parts, strict=True)))

    def extract_output(self, total: Weighed) -> Weighed:
        """As it is."""
        return total


class _AtTheCut(beam.DoFn):
    """The choosable documents of the one bin in which the budget runs out."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def process(self, batch: pa.RecordBatch, weighed: Weighed) -> Iterator[pa.RecordBatch]:
        limit = self.rule.limit(weighed)
        if limit is None:
            return
        at, _ = sampling.cut_bin(weighed.bins, limit)
        yield batch.filter(pa.array(self.rule.choosable(batch) & sampling.in_bin(self.rule.places(batch), at)))


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class TogetherFn(beam.CombineFn):
    """DECISION batches -> one. One bin of 65,536 is small."""

    def create_accumulator(self) -> list[pa.RecordBatch]:
        """No document."""
        return []

    def add_input(self, batches: list[pa.RecordBatch], batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Keep it."""
        return [*batches, batch] if batch.num_rows else batches

    def merge_accumulators(self, accumulators: Iterable[list[pa.RecordBatch]]) -> list[pa.RecordBatch]:
        """All of them."""
        return [batch for accumulator in accumulators for batch in accumulator]

    def extract_output(self, batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        """One batch, in no particular order."""
        return pa.concat_batches([contracts.DECISION.empty(), *batches])


class _Cut(beam.DoFn):
    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def process(self, batch: pa.RecordBatch, weighed: Weighed) -> Iterator[Cut]:
        yield find_cut(batch, weighed, self.rule)


def find_cut(batch: pa.RecordBatch, weighed: Weighed, rule: Rule) -> Cut:
    """Take the documents of the cut's bin, in order, as long as they fit; the cut is at the first that does not.

    Args:
      batch: DECISION, the choosable documents of the bin in which the budget runs out, in any order.
      weighed: of all documents.
      rule: whose budget.
    """
    limit, available = rule.limit(weighed), int(weighed.bins.sum())
    place, taken = None, available
    if limit is not None and available > limit:
        _, taken = sampling.cut_bin(weighed.bins, limit)
        places, weight = rule.places(batch), rule.weight(batch)
        order = sampling.order(places)
        first_out = int(np.argmin(taken + np.cumsum(weight[order]) <= limit))
        taken += int(weight[order][:first_out].sum())
        at = order[first_out]
        place = (int(places.u[at]), int(places.high[at]), int(places.low[at]))
    counted = rule.hidden(weighed)
    needed = sampling.needed(available + weighed.fixed, rule.max_share, counted)
    missing = None if needed is None else max(0, needed - weighed.real)
    totals = (weighed.real, available + weighed.fixed, taken + weighed.fixed)
    return Cut(place, *totals, counted, missing, rule.config.unit)


class _Drop(beam.DoFn):
    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def process(self, batch: pa.RecordBatch, cut: Cut) -> Iterator[pa.RecordBatch]:
        yield drop_over(batch, self.rule, cut)


def drop_over(batch: pa.RecordBatch, rule: Rule, cut: Cut) -> pa.RecordBatch:
    """DECISION -> DECISION: mark the choosable documents at and after the cut as dropped."""
    over = rule.choosable(batch) & ~sampling.before(rule.places(batch), cut.place)
    columns = {name: batch[name] for name in batch.schema.names}
    for name, value in (
        ("kept", False),
        ("stage", contracts.STAGES.index("balance")),
        ("reason", contracts.REASONS.index("over_synthetic_share")),
        ("copies", 0),
    ):
        column = columns[name].to_numpy(zero_copy_only=False)
        columns[name] = np.where(over, np.array(value, column.dtype), column)
    return contracts.DECISION.batch(columns)
