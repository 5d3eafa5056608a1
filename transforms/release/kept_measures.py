"""Measures and review queue of a run, kept for one that asks another suite: a gate looks at numbers, not at documents."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa

from expectations import contracts, parquet
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.ingest.sources import Splits
from transforms.mixture.left_by_dedup import decisions_of
from transforms.mixture.selection import Mixture
from transforms.signals.kept import Kept
from transforms.signals.store import as_parquet

MEASURES = "measures"  # the kind of what is kept
FILES = pa.schema([("file", pa.string()), ("data", pa.large_binary())])


class Measures(NamedTuple):
    """What all documents together came to: one METRICS batch, a file of SKETCHES, one REVIEW batch."""

    metrics: beam.PCollection[pa.RecordBatch]
    sketches: beam.PCollection[bytes]
    review: beam.PCollection[pa.RecordBatch]


@dataclasses.dataclass(eq=False)
class KeepMeasures(Stage):
    """What was found -> nothing, once it is kept."""

    measures: Kept
    decisions: Kept
    splits: Splits

    def expand(self, found: Measures) -> beam.PCollection[None]:
        """One file."""
        keep = _Keep(self.measures, self.decisions, self.splits)
        sides = beam.pvalue.AsSingleton(found.sketches), beam.pvalue.AsSingleton(found.review)
        return found.metrics | "Keep" >> counted.ParDo("the metrics to what is kept of them", keep, *sides)


@beam.typehints.with_output_types(type(None))
class _Keep(beam.DoFn):
    def __init__(self, measures: Kept, decisions: Kept, splits: Splits) -> None:
        self.measures, self.decisions, self.splits = measures, decisions, splits

    def process(self, metrics: pa.RecordBatch, sketches: bytes, review: pa.RecordBatch) -> None:
        files = {"metrics": as_parquet(metrics), "sketches": sketches, "review": as_parquet(review)}
        rows = pa.RecordBatch.from_arrays([[*files], pa.array(files.values(), pa.large_binary())], schema=FILES)
        self.measures.write(MEASURES, rows, decisions_of(self.decisions, self.splits))


@dataclasses.dataclass(eq=False)
class MeasuredBefore(Stage):
    """What the mixture came to -> what `KeepMeasures` kept in an earlier run of the same mixture."""

    measures: Kept

    def expand(self, mixture: beam.PCollection[Mixture]) -> Measures:
        """Each read when its turn comes."""
        return Measures(
            mixture | "Metrics" >> beam.ParDo(_ReadBatch(self.measures, "metrics", contracts.METRICS)),
            mixture | "Sketches" >> beam.ParDo(_ReadFile(self.measures, "sketches")),
            mixture | "Review" >> beam.ParDo(_ReadBatch(self.measures, "review", contracts.REVIEW)),
        )


@beam.typehints.with_output_types(bytes)
class _ReadFile(beam.DoFn):
    def __init__(self, measures: Kept, name: str) -> None:
        self.measures, self.name = measures, name

    def read(self) -> bytes:
        rows = self.measures.read(MEASURES, FILES)
        return rows["data"][rows["file"].to_pylist().index(self.name)].as_py()  # type: ignore[no-any-return]

    def process(self, _: Mixture) -> Iterator[bytes]:
        yield self.read()


@beam.typehints.with_output_types(pa.RecordBatch)
class _ReadBatch(_ReadFile):
    def __init__(self, measures: Kept, name: str, contract: contracts.Contract) -> None:
        super().__init__(measures, name)
        self.contract = contract

    def process(self, _: Mixture) -> Iterator[pa.RecordBatch]:
        table = parquet.read(pa.py_buffer(self.read()))
        yield self.contract.batch({name: table[name].combine_chunks() for name in table.schema.names})
