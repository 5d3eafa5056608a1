"""DECISION by split -> METRICS: every number that the suite is judged on and the report shows."""

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa

from transforms.detector.detector import load_detector
from transforms.engine import counted
from transforms.engine.coders import CompressedCoder, FileCoder
from transforms.engine.memory import give_back
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.measures import duplicates_left as residual
from transforms.measures import items_found, lineage, sample, triggers
from transforms.measures.kept_vocabularies import KeepVocabularies, complete
from transforms.measures.metrics import MeasureConfig, in_table, metrics_table
from transforms.measures.ratio import ratio_rows
from transforms.measures.reference import sketches
from transforms.measures.tally import NEEDED, Tally, compact, merge, ordered, tally_split, total_of
from transforms.measures.unread_input import count_inputs
from transforms.mixture.balance import Decided
from transforms.mixture.selection import Mixture
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept
from transforms.signals.store import as_parquet
from transforms.structures import shares as cores


class Measured(NamedTuple):
    """What was measured: one METRICS batch, and a file of SKETCHES for later releases."""

    metrics: beam.PCollection[pa.RecordBatch]
    sketches: beam.PCollection[bytes]


@dataclasses.dataclass(eq=False)
class Measure(Stage):
    """((split, DECISION), what the mixture came to) -> its measures."""

    config: MeasureConfig
    corpus: Corpus
    decisions: Kept  # of dedup
    staging: str
    has_words: bool = False  # an earlier run of the same decisions left its vocabularies

    def expand(self, inputs: tuple[beam.PCollection[Decided], beam.PCollection[Mixture]]) -> Measured:
        """One pass over the signals, then one combine."""
        decisions, mixture = inputs
        merged = TallyFn(posixpath.join(self.staging, "tallies"), self.decisions if self.has_words else None)
        tally = (
            decisions
            | "Tally" >> beam.ParDo(_TallySplit(self.corpus, self.config, not self.has_words))
            | "Merge" >> counted.CombineGlobally("tallies", merged, without_defaults=True, most=len(self.corpus.splits))
        )
        if not self.has_words:
            tally | "KeepWords" >> beam.ParDo(KeepVocabularies(self.decisions, self.corpus.splits))
        looked_at = beam.pvalue.AsSingleton(tally | "Suspects" >> beam.ParDo(_Suspects()))
        neighbours = (
            decisions
            | "Beside" >> counted.ParDo("decisions to what is beside suspects", _BesideSuspects(self.corpus), looked_at)
            | "MergeBeside"
            >> counted.CombineGlobally(
                "what is beside suspects", NeighboursFn(), without_defaults=True, most=len(self.corpus.splits)
            )
        )
        # Without a side input: a DoFn that has one holds its last element until the job ends.
        metrics = tally | "Metrics" >> counted.ParDo(
            "the tally to its metrics", _Metrics(self.config, self.corpus.names)
        )
        sides = looked_at, *map(beam.pvalue.AsSingleton, (neighbours, mixture))
        rest = _WithTheRest(self.config.unit, self.corpus)
        return Measured(
            metrics | "Rest" >> counted.ParDo("the metrics to all of them", rest, *sides),
            tally | "Sketches" >> beam.ParDo(_Sketches(self.corpus.names)),
        )


for _made in (Tally, triggers.Suspects, triggers.Neighbours):
    beam.coders.registry.register_coder(_made, CompressedCoder)


@beam.typehints.with_output_types(Tally)
class _TallySplit(Beside[Decided, Tally]):
    def __init__(self, corpus: Corpus, config: MeasureConfig, words_of_all: bool) -> None:
        self.words_of_all = words_of_all
        self.corpus, self.systems, self.against, self.lineage = corpus, config.systems, config.against, config.lineage

    def work(self, group: Decided, *_: object) -> tuple[Tally]:
        number, decisions = group
        corpus, split = self.corpus, self.corpus.split(number)
        tally = tally_split(decisions, corpus.signals(split, NEEDED), self.words_of_all)
        tally.kin = residual.count_split(decisions, corpus.signals(split, residual.NEEDED))
        if self.systems.systems:
            signals = corpus.signals(split, cores.NEEDED)
            tally.patterns = cores.count_split(decisions, signals, self.systems.systems, corpus.source(split).name)
        if self.lineage:
            tally.lineage = lineage.count_split(decisions, corpus.signals(split, lineage.NEEDED))
        if self.against:
            signals = corpus.signals(split, items_found.NEEDED)
            tally.contaminated = items_found.count_split(decisions, signals, self.against.set_of)
        bad = corpus.store.read_quarantine(split)
        for name, reason, records in zip(*(bad[k].to_pylist() for k in ("source", "reason", "records")), strict=True):
            tally.quarantined[name, reason] += 1 if records is None else records
        tally.inputs = count_inputs(split, corpus.signals(split, ["file"])["file"], bad)
        give_back()
        return (tally,)


@beam.typehints.with_input_types(Tally)
@beam.typehints.with_output_types(Tally)
class TallyFn(beam.CombineFn):
    """Tally of splits -> Tally of the corpus.

    Args:
      folder: where what crosses is written, with the rest of the attempt.
      words: where the vocabularies of all documents are, if splits have but some.
    """

    def __init__(self, folder: str, words: Kept | None = None) -> None:
        self.folder, self.words = folder, words

    def create_accumulator(self) -> Tally:
        """Nothing counted."""
        return Tally()

    def add_input(self, total: Tally, tally: Tally) -> Tally:
        """Add one split."""
        return merge([total, tally])

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        """Add all."""
        give_back()
        return merge(list(tallies))

    def compact(self, total: Tally) -> Tally:
        """In less space. What it took before is given back here and below: behind each, as much is taken again."""
        total = compact(total, tightly=True)
        give_back()
        return total

    def get_accumulator_coder(self) -> FileCoder:
        """Some 170 bytes a document in the file. The local runner would hold them four times while they are merged."""
        return FileCoder(self.folder)

    def extract_output(self, total: Tally) -> Tally:
        """In one order, its sample read once for all that look at it."""
        total = ordered(complete(total, self.words) if self.words else total)
        total.sampled = [sample.read(sample.merge(total.sampled))]
        give_back()
        return total


@beam.typehints.with_output_types(triggers.Suspects)
class _Suspects(Beside[Tally, triggers.Suspects]):
    def work(self, tally: Tally, *_: object) -> tuple[triggers.Suspects]:
        return (triggers.suspects(tally.ngrams.get(1, []), total_of(tally.groups, reason=0)),)


@beam.typehints.with_output_types(triggers.Neighbours)
class _BesideSuspects(Beside[Decided, triggers.Neighbours]):
    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def work(self, group: Decided, *sides: triggers.Suspects) -> tuple[triggers.Neighbours]:
        (number, decisions), (looked_at,) = group, sides
        if not len(looked_at.types):
            return (triggers.merge([]),)
        signals = self.corpus.signals(self.corpus.split(number), triggers.NEEDED)
        return (triggers.count_split(looked_at, decisions, signals),)


@beam.typehints.with_input_types(triggers.Neighbours)
@beam.typehints.with_output_types(triggers.Neighbours)
class NeighboursFn(beam.CombineFn):
    """Neighbours in splits -> Neighbours in the corpus."""

    def create_accumulator(self) -> triggers.Neighbours:
        """Nothing."""
        return triggers.merge([])

    def add_input(self, some: triggers.Neighbours, more: triggers.Neighbours) -> triggers.Neighbours:
        """Add one split."""
        return triggers.merge([some, more])

    def merge_accumulators(self, parts: Iterable[triggers.Neighbours]) -> triggers.Neighbours:
        """Add all."""
        return triggers.merge(parts)

    def extract_output(self, whole: triggers.Neighbours) -> triggers.Neighbours:
        """As it is: its pairs are in order."""
        return whole


@beam.typehints.with_output_types(pa.RecordBatch)
class _Metrics(Beside[Tally, pa.RecordBatch]):
    """A tally -> all of METRICS that follow from it alone. Where it was merged: it goes nowhere.

    Like all that looks at the tally of a corpus, it works beside the others.
    """

    def __init__(self, config: MeasureConfig, sources: tuple[str, ...]) -> None:
        self.config, self.sources = config, sources

    def setup(self) -> None:
        self.detector = load_detector(self.config.detector)
        self.checker = load_detector(self.config.cross_check) if self.config.cross_check else None

    def work(self, tally: Tally, *_: object) -> tuple[pa.RecordBatch]:
        reference = self.config.reference.found(tally, self.sources)
        metrics = metrics_table(tally, self.sources, self.detector, self.config, self.checker, reference)
        give_back()
        return (metrics,)


@beam.typehints.with_output_types(pa.RecordBatch)
class _WithTheRest(beam.DoFn):
    """METRICS -> the same with the phrases that were found, and what the ratio came to."""

    def __init__(self, unit: str, corpus: Corpus) -> None:
        self.unit, self.corpus = unit, corpus

    def process(
        self, metrics: pa.RecordBatch, looked_at: triggers.Suspects, neighbours: triggers.Neighbours, mixture: Mixture
    ) -> Iterator[pa.RecordBatch]:
        phrases = triggers.trigger_rows(triggers.find(looked_at, neighbours), looked_at, self.corpus)
        whole = in_table([*metrics.to_pylist(), *phrases, *ratio_rows(mixture)], self.unit)
        give_back()  # before it is judged, which takes as much in another process
        yield whole


@beam.typehints.with_output_types(bytes)
class _Sketches(Beside[Tally, bytes]):
    def __init__(self, sources: tuple[str, ...]) -> None:
        self.sources = sources

    def work(self, tally: Tally, *_: object) -> tuple[bytes]:
        # A tenth of the table, and several copies of it wait for the rest.
        written = as_parquet(sketches(tally, self.sources))
        give_back()
        return (written,)
