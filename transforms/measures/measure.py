"""DECISION by split -> METRICS: every number that the suite is judged on and the report shows."""

import dataclasses
from collections.abc import Iterable, Iterator

import apache_beam as beam
import pyarrow as pa

from transforms.detector.detector import load_detector
from transforms.engine import counted
from transforms.engine.coders import CompressedCoder
from transforms.engine.memory import give_back
from transforms.engine.threads import Beside
from transforms.ingest.sources import Source, Split
from transforms.measures import duplicates_left as residual
from transforms.measures import sample
from transforms.measures.input_loss import NotRead, count_inputs
from transforms.measures.metrics import metrics_table
from transforms.measures.reference import NO_REFERENCE, Asked, sketches
from transforms.measures.tally import NEEDED, Tally, compact, merge, ordered, tally_split
from transforms.mixture.last_documents import Mixture
from transforms.signals.store import SignalStore
from transforms.structures import shares as cores
from transforms.structures.find import NO_SYSTEMS, Systems


@dataclasses.dataclass(eq=False)
class Measure(beam.PTransform):
    """(split, DECISION) -> one METRICS batch, and one SKETCHES batch."""

    sources: tuple[Source, ...]
    splits: tuple[Split, ...]
    store: SignalStore
    detector: str | None
    cross_check: str | None
    mixture: beam.PCollection[Mixture]
    systems: Systems = NO_SYSTEMS
    undecided_below: float = 0.0
    reference: Asked = NO_REFERENCE
    near: float = 0.8  # similarity of near duplicates
    unread: tuple[NotRead, ...] = ()  # what lies beside the input and is not read

    def expand(
        self, decisions: beam.PCollection[tuple[int, pa.RecordBatch]]
    ) -> tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]:
        """One pass over the signals, then one combine."""
        names = tuple(source.name for source in self.sources)
        tally = (
            decisions
            | "Tally" >> beam.ParDo(_TallySplit(self.store, self.splits, names, self.systems))
            | "Merge" >> counted.CombineGlobally("tallies", TallyFn(), without_defaults=True)
        )
        licences = tuple(source.licence for source in self.sources)
        metrics = _Metrics(
            names,
            self.detector,
            self.cross_check,
            self.systems,
            self.undecided_below,
            self.reference,
            licences,
            self.near,
            self.unread,
        )
        return (
            tally
            | "Metrics" >> counted.ParDo("the tally to its metrics", metrics, beam.pvalue.AsSingleton(self.mixture)),
            tally | "Sketches" >> beam.ParDo(_Sketches(names)),
        )


@beam.typehints.with_output_types(Tally)
class _TallySplit(Beside[tuple[int, pa.RecordBatch], Tally]):
    def __init__(
        self, store: SignalStore, splits: tuple[Split, ...], sources: tuple[str, ...], systems: Systems
    ) -> None:
        self.store, self.splits, self.sources, self.systems = store, splits, sources, systems

    def work(self, group: tuple[int, pa.RecordBatch], *_: object) -> tuple[Tally]:
        number, decisions = group
        split = self.splits[number]
        tally = tally_split(decisions, self.store.read(split, NEEDED))
        tally.kin = residual.count_split(decisions, self.store.read(split, residual.NEEDED))
        if self.systems.systems:
            signals = self.store.read(split, cores.NEEDED)
            tally.patterns = cores.count_split(decisions, signals, self.systems.systems, self.sources[split.source])
        bad = self.store.read_quarantine(split)
        for name, reason, records in zip(*(bad[k].to_pylist() for k in ("source", "reason", "records")), strict=True):
            tally.quarantined[name, reason] += 1 if records is None else records
        tally.inputs = count_inputs(split, self.store.read(split, ["file"])["file"], bad)
        give_back()
        return (tally,)


@beam.typehints.with_input_types(Tally)
@beam.typehints.with_output_types(Tally)
class TallyFn(beam.CombineFn):
    """Tally of splits -> Tally of the corpus."""

    def create_accumulator(self) -> Tally:
        """Nothing counted."""
        return Tally()

    def add_input(self, total: Tally, tally: Tally) -> Tally:
        """Add one split."""
        return merge([total, tally])

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        """Add all."""
        return merge(list(tallies))

    def compact(self, total: Tally) -> Tally:
        """In less space."""
        return compact(total, tightly=True)

    def get_accumulator_coder(self) -> CompressedCoder:
        """Some 350 bytes a document before, and half of that after."""
        return CompressedCoder()

    def extract_output(self, total: Tally) -> Tally:
        """In one order, its sample read once for all that look at it."""
        total = ordered(total)
        total.sampled = [sample.read(sample.merge(total.sampled))]
        return total


class _Metrics(beam.DoFn):
    def __init__(
        self,
        sources: tuple[str, ...],
        detector: str | None,
        cross_check: str | None,
        systems: Systems,
        undecided_below: float,
        reference: Asked,
        licences: tuple[str | None, ...],
        near: float,
        unread: tuple[NotRead, ...],
    ) -> None:
        self.sources, self.path, self.other, self.systems = sources, detector, cross_check, systems
        self.undecided_below, self.reference, self.licences = undecided_below, reference, licences
        self.near, self.unread = near, unread

    def setup(self) -> None:
        self.detector = load_detector(self.path)
        self.checker = load_detector(self.other) if self.other else None

    def process(self, tally: Tally, mixture: Mixture) -> Iterator[pa.RecordBatch]:
        give_back()
        reference = self.reference.found(tally, self.sources)
        yield metrics_table(
            tally,
            self.sources,
            self.detector,
            mixture,
            self.checker,
            self.systems,
            self.undecided_below,
            reference,
            self.licences,
            self.near,
            self.unread,
        )


class _Sketches(beam.DoFn):
    def __init__(self, sources: tuple[str, ...]) -> None:
        self.sources = sources

    def process(self, tally: Tally) -> Iterator[pa.RecordBatch]:
        yield sketches(tally, self.sources)
