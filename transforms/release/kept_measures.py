"""Measures, review queue and ledger of a run, kept for one that asks another suite: a gate looks at numbers, not at documents.

The parts of the ledger are files of the store as they are in the release (`ledger.PART`); what is known of them is with the
measures.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from expectations import contracts, parquet
from transforms.engine import counted, files
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside, spread
from transforms.ingest.sources import InputError, Split, Splits
from transforms.kernels.text.columns import joined
from transforms.mixture.left_by_dedup import decisions_of
from transforms.release.ledger import PART, Recorded, part_made_of, part_path
from transforms.signals.kept import Kept
from transforms.signals.store import as_parquet, is_usable

MEASURES = "measures"  # the kind of what is kept
FILES = pa.schema([("file", pa.string()), ("data", pa.large_binary())])
RECORDED = pa.schema(
    [
        *((name, pa.int64()) for name in ("split", "documents", "kept", "kept_bytes")),
        ("may_begin", pa.bool_()),
        ("made_of", pa.string()),
    ]
)


class Measures(NamedTuple):
    """What all documents together came to: one METRICS batch, a file of SKETCHES, one REVIEW batch."""

    metrics: beam.PCollection[pa.RecordBatch]
    sketches: beam.PCollection[bytes]
    review: beam.PCollection[pa.RecordBatch]


class MeasuresAndLedger(NamedTuple):
    """The same, and the parts of the ledger."""

    metrics: beam.PCollection[pa.RecordBatch]
    sketches: beam.PCollection[bytes]
    review: beam.PCollection[pa.RecordBatch]
    recorded: beam.PCollection[Recorded]


@dataclasses.dataclass(eq=False)
class KeepMeasures(Stage):
    """(what was found, parts of the ledger) -> nothing, once it is kept."""

    measures: Kept
    decisions: Kept
    splits: Splits

    def expand(self, inputs: MeasuresAndLedger) -> beam.PCollection[None]:
        """One file."""
        keep = _Keep(self.measures, self.decisions, self.splits)
        parts = inputs.recorded | "Recorded" >> counted.ToList("parts of the ledger to keep")
        sides = map(beam.pvalue.AsSingleton, (inputs.sketches, inputs.review, parts))
        return inputs.metrics | "Keep" >> counted.ParDo("the metrics to what is kept of them", keep, *sides)


@beam.typehints.with_output_types(type(None))
class _Keep(beam.DoFn):
    def __init__(self, measures: Kept, decisions: Kept, splits: Splits) -> None:
        self.measures, self.decisions, self.splits = measures, decisions, splits

    def process(
        self, metrics: pa.RecordBatch, sketches: bytes, review: pa.RecordBatch, recorded: list[Recorded]
    ) -> None:
        made = {"metrics": as_parquet(metrics), "sketches": sketches, "review": as_parquet(review)}
        # Where something was withdrawn, a part has tombstones beside it: such a ledger is made in every run.
        parts = [] if any(part.tombstones for part in recorded) else [dataclasses.asdict(part) for part in recorded]
        made["recorded"] = as_parquet(pa.RecordBatch.from_pylist(parts, schema=RECORDED))
        rows = pa.RecordBatch.from_arrays([[*made], pa.array(made.values(), pa.large_binary())], schema=FILES)
        self.measures.write(MEASURES, rows, decisions_of(self.decisions, self.splits))


@dataclasses.dataclass(eq=False)
class MeasuredBefore(Stage):
    """One element -> what `KeepMeasures` kept in an earlier run of the same mixture."""

    measures: Kept

    def expand(self, once: beam.PCollection[bytes]) -> Measures:
        """Each read when its turn comes."""
        return Measures(
            once | "Metrics" >> beam.ParDo(_ReadBatch(self.measures, "metrics", contracts.METRICS)),
            once | "Sketches" >> beam.ParDo(_ReadFile(self.measures, "sketches")),
            once | "Review" >> beam.ParDo(_ReadBatch(self.measures, "review", contracts.REVIEW)),
        )


@beam.typehints.with_output_types(bytes)
class _ReadFile(beam.DoFn):
    def __init__(self, measures: Kept, name: str) -> None:
        self.measures, self.name = measures, name

    def process(self, _: bytes) -> Iterator[bytes]:
        yield _file(self.measures, self.name)


@beam.typehints.with_output_types(pa.RecordBatch)
class _ReadBatch(_ReadFile):
    def __init__(self, measures: Kept, name: str, contract: contracts.Contract) -> None:
        super().__init__(measures, name)
        self.contract = contract

    def process(self, _: bytes) -> Iterator[pa.RecordBatch]:
        table = parquet.read(pa.py_buffer(_file(self.measures, self.name)))
        yield self.contract.batch({name: joined(table[name]) for name in table.schema.names})


def _file(measures: Kept, name: str) -> bytes:
    rows = measures.read(MEASURES, FILES)
    return rows["data"][rows["file"].to_pylist().index(name)].as_py()  # type: ignore[no-any-return]


def recorded_before(measures: Kept, splits: Iterable[Split]) -> list[Recorded]:
    """What is known of all parts of the ledger of an earlier run of the same mixture.

    Nothing if a part's file is not in the store, is damaged, or is of other signals than those that are there.
    """
    parts = {part.split: part for part in _recorded(measures)}
    whole = spread(lambda split: _is_part(measures.path(PART, split), measures, split, parts), iter(splits))
    return [*parts.values()] if all(whole) else []


def _recorded(measures: Kept) -> list[Recorded]:
    """What is known of parts of the ledger; where they are is for the caller to say."""
    rows = parquet.read(pa.py_buffer(_file(measures, "recorded"))).to_pylist()
    return [Recorded(path="", **row) for row in rows]


def _is_part(path: str, measures: Kept, split: Split, parts: Mapping[int, Recorded]) -> bool:
    """Whether a file is whole, and a split's part, made of its signals."""
    signals = measures.signals.path(split)
    return split.index in parts and is_usable(path) and part_made_of(signals, path) == parts[split.index].made_of


@dataclasses.dataclass(eq=False)
class RecordedBefore(Stage):
    """Split -> Recorded, as an earlier run of the same mixture left it."""

    measures: Kept
    staging: str

    def expand(self, surveyed: beam.PCollection[Split]) -> beam.PCollection[Recorded]:
        """One file per split, copied: an edit of one release must not be one of another."""
        return surveyed | "CopyLedger" >> beam.ParDo(_CopyLedger(self.measures, self.staging))


@beam.typehints.with_output_types(Recorded)
class _CopyLedger(Beside[Split, Recorded]):
    """The launcher saw that all are there; signals that were damaged then have been made anew since."""

    def __init__(self, measures: Kept, staging: str) -> None:
        self.measures, self.staging = measures, staging

    def setup(self) -> None:
        self.parts = {part.split: part for part in _recorded(self.measures)}

    def work(self, split: Split, *_: Any) -> tuple[Recorded]:
        kept, path = self.measures.path(PART, split), part_path(self.staging, split.index)
        files.write(path, files.read(kept))
        if not _is_part(path, self.measures, split, self.parts):
            raise InputError(f"{kept} is not of the signals that {split.pieces[0].path} has now; run again")
        return (dataclasses.replace(self.parts[split.index], path=path),)
