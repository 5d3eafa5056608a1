"""(split, DECISION) -> REVIEW: documents whose evidence disagrees, for a person to look at.

Of each kind of conflict the recipe's number of documents is taken, the first in salted hash order, from those that dedup
kept: whichever files they came in, the same documents are asked about. Text is read once more of the splits that hold one which
no earlier run has shown (transforms/signals/beginnings.py). A document that a person has judged is not asked about again.
"""

import dataclasses
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.ingest.sources import InputError
from transforms.kernels.choosing import evidence
from transforms.kernels.statistics import sampling
from transforms.kernels.text.columns import halves, hexadecimal, joined
from transforms.signals.beginnings import texts_of
from transforms.signals.corpus import BySplit, Corpus
from transforms.signals.kept import Kept

DISPUTED = pa.schema(
    [
        *(contracts.DECISION.schema.field(name) for name in ("doc_id", "split", "ordinal", "source", "n_tokens")),
        *(contracts.DECISION.schema.field(name) for name in ("p_synthetic", "evidence")),
        pa.field("conflict", pa.int8(), nullable=False),  # a number in `evidence.CONFLICTS`
        pa.field("place", pa.int32(), nullable=False),  # in the queue, once that is known
    ]
)
QUEUED = pa.schema([*contracts.REVIEW.schema, DISPUTED.field("place")])


@dataclasses.dataclass(eq=False)
class Review(Stage):
    """(split, DECISION) -> one REVIEW batch."""

    corpus: Corpus
    salt: str
    most: int  # documents of each kind of conflict
    texts: Kept | None = None  # that earlier runs read

    def expand(self, decisions: beam.PCollection[tuple[int, pa.RecordBatch]]) -> beam.PCollection[pa.RecordBatch]:
        """A combine over a few narrow rows, then one reading of each split that holds one of the chosen."""
        return (
            decisions
            | "Disputed" >> beam.ParDo(_Disputed(self.salt, self.most))
            | "Choose"
            >> counted.CombineGlobally("disputed documents", FirstFn(self.salt, self.most), without_defaults=True)
            | "BySplit" >> beam.ParDo(BySplit())
            | "Spread" >> counted.Reshuffle("documents to review")
            | "ReadAgain" >> beam.ParDo(_ReadAgain(self.corpus, self.texts))
            | "Queue" >> counted.CombineGlobally("the review queue", QueueFn())
        )


@beam.typehints.with_output_types(pa.RecordBatch)
class _Disputed(Beside[tuple[int, pa.RecordBatch], pa.RecordBatch]):
    def __init__(self, salt: str, most: int) -> None:
        self.salt, self.most = salt, most

    def work(self, group: tuple[int, pa.RecordBatch], *_: object) -> tuple[pa.RecordBatch]:
        return (first(disputed(group[1]), self.salt, self.most),)


def disputed(decisions: pa.RecordBatch) -> pa.RecordBatch:
    """DECISION -> DISPUTED: those whose evidence disagrees, that no duplicate stands for and nobody has judged."""
    codes = decisions["evidence"].to_numpy()
    conflict = evidence.conflict(codes)
    looked_at = [contracts.REASONS.index(name) for name in ("", "over_synthetic_share", "over_limit")]
    open_ = evidence.said(codes, contracts.BASIS_REVIEWED) == contracts.UNKNOWN
    chosen = (conflict != 0) & np.isin(decisions["reason"].to_numpy(), looked_at) & open_
    columns = [decisions[name] for name in DISPUTED.names[:-2]]
    columns += [pa.array(conflict), pa.array(np.zeros(len(conflict), np.int32))]
    return pa.RecordBatch.from_arrays(columns, schema=DISPUTED).filter(pa.array(chosen))


def first(rows: pa.RecordBatch, salt: str, most: int) -> pa.RecordBatch:
    """DISPUTED -> DISPUTED: the first of each kind in salted hash order, in the order of the queue."""
    place = sampling.places(halves(rows["doc_id"]), salt, "review")
    kind = rows["conflict"].to_numpy()
    # Two records of the same id are told apart by where they stand, which changes nothing in what is shown.
    where = (rows["ordinal"].to_numpy(), rows["split"].to_numpy())
    order = np.lexsort((*where, place.low, place.high, place.u, kind))
    kind = kind[order]
    rank = np.arange(len(kind)) - np.searchsorted(kind, kind)  # among those of its kind
    rows = rows.take(pa.array(order[rank < most]))
    return rows.set_column(len(DISPUTED) - 1, DISPUTED[-1], pa.array(np.arange(len(rows), dtype=np.int32)))


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class FirstFn(beam.CombineFn):
    """DISPUTED -> the documents of the queue, in its order."""

    def __init__(self, salt: str, most: int) -> None:
        self.salt, self.most = salt, most

    def create_accumulator(self) -> pa.RecordBatch:
        """Nothing."""
        return pa.RecordBatch.from_pylist([], schema=DISPUTED)

    def add_input(self, rows: pa.RecordBatch, more: pa.RecordBatch) -> pa.RecordBatch:
        """The first of both."""
        return self.merge_accumulators([rows, more])

    def merge_accumulators(self, parts: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
        """The first of all."""
        return first(pa.concat_batches(list(parts)), self.salt, self.most)

    def extract_output(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """As they are."""
        return rows


@beam.typehints.with_output_types(pa.RecordBatch)
class _ReadAgain(Beside[tuple[int, pa.RecordBatch], pa.RecordBatch]):
    def __init__(self, corpus: Corpus, texts: Kept | None) -> None:
        self.corpus, self.texts = corpus, texts

    def work(self, element: tuple[int, pa.RecordBatch], *_: object) -> tuple[pa.RecordBatch]:
        number, rows = element
        split = self.corpus.split(number)
        ordinal = pa.array(rows["ordinal"].to_numpy().astype(np.int64))
        hashes = joined(self.corpus.signals(split, ["content_hash"])["content_hash"]).take(ordinal)
        try:
            text = texts_of(split, self.corpus, rows, self.texts)
        except InputError:
            raise self.corpus.changed(split) from None
        return (queued(rows, hashes, text, self.corpus.source(split).name),)


def queued(
    rows: pa.RecordBatch, content_hash: pa.FixedSizeBinaryArray, text: pa.LargeStringArray, source: str
) -> pa.RecordBatch:
    """DISPUTED and what is known beside -> QUEUED."""
    review = contracts.REVIEW.batch(
        {
            "id": hexadecimal(rows["doc_id"]),
            "content_hash": hexadecimal(content_hash),
            "source": [source] * len(rows),
            "reason": pa.array(evidence.CONFLICT_WORDS).take(pc.cast(rows["conflict"], pa.int32())),
            "evidence": evidence.in_words(rows["evidence"].to_numpy()),
            "p_synthetic": rows["p_synthetic"],
            "n_tokens": rows["n_tokens"],
            "text": text,
        }
    )
    return pa.RecordBatch.from_arrays([*review.columns, rows["place"]], schema=QUEUED)


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class QueueFn(beam.CombineFn):
    """QUEUED -> REVIEW, in the order of the queue. It is small."""

    def create_accumulator(self) -> list[pa.RecordBatch]:
        """Nothing."""
        return []

    def add_input(self, parts: list[pa.RecordBatch], part: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Keep it."""
        return [*parts, part]

    def merge_accumulators(self, accumulators: Iterable[list[pa.RecordBatch]]) -> list[pa.RecordBatch]:
        """All of them."""
        return [part for accumulator in accumulators for part in accumulator]

    def extract_output(self, parts: list[pa.RecordBatch]) -> pa.RecordBatch:
        """One batch."""
        rows = pa.concat_batches([pa.RecordBatch.from_pylist([], schema=QUEUED), *parts])
        rows = rows.take(pa.array(np.argsort(rows["place"].to_numpy())))
        return contracts.REVIEW.check(rows.select(contracts.REVIEW.schema.names))
