"""Verified edges -> labels: the cluster of every content that has a duplicate. In one place, or in parts.

    one part      edges ─► union-find forest ─► one batch of labels, a side input
    many parts    edges ─► forest of each batch ─► [part of node] ─► links ─► forest of each part ─► [part of node] ─► ... ─┐
                                                       └─► labels so far ──► [part of cluster] ─► ... ─► [part of cluster] ─┤
                  labels ◄─ [part of cluster] ◄─ forest of what is left, in one place ◄─────────────────────────────────────┘

Square brackets are shuffles, those of one round together. In a round each part hears from all forests what they know of its
nodes, gives each of them its smallest root, and links the other roots to that (`components.meet`), so that only roots go on: some
tenth of them, and a thirtieth of those. After `ROUNDS` what is left is linked in one place, as all is where there is one
part; so no round has to be the last one needed, and a cluster is whole or the run ends. Labels are the smallest content of their
component either way.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts
from expectations.errors import BrokenError
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.kernels.similarity import components
from transforms.kernels.similarity.minhash import mixed
from transforms.kernels.text.columns import partition, split_by
from transforms.signals.corpus import BySplit, Corpus

LABELS = pa.schema([("content", pa.uint64()), ("cluster", pa.uint64())])
EDGE = pa.schema([("left", pa.uint64()), ("right", pa.uint64())])  # or a node and its root: a forest is edges as well
ASKED = pa.schema([("content", pa.uint64()), ("split", pa.int32())])
Keyed = tuple[int, pa.RecordBatch]
Group = tuple[int, Iterable[pa.RecordBatch]]

ROUNDS = 3
MOST_LEFT = 1 << 25  # contents that one place links: some 6 GB
BYTES_OF_PART = 4 << 30  # of input
FROM_BYTES = 32 << 30  # of input: some ten million documents of it have a duplicate, and their forest takes 2 GB
MOST_PARTS = 1024


class TooManyLeftError(BrokenError):
    """What is left after the rounds is more than one worker holds. The message is one line."""


def dedup_parts(corpus: Corpus, asked: int | None) -> int:
    """In how many parts labels are made and joined: what was asked for, or by the corpus' size; 1 for all in one place."""
    size = corpus.n_bytes
    return asked or (1 if size < FROM_BYTES else min(MOST_PARTS, size // BYTES_OF_PART))


@dataclasses.dataclass(eq=False)
class LabelClusters(Stage):
    """EDGE -> LABELS. Of one part there is one batch, ascending by content; of many, a batch for each that has a label."""

    parts: int
    most: int  # batches of edges that may come

    def expand(self, edges: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """See the module's picture."""
        if self.parts == 1:
            return edges | "Forest" >> counted.CombineGlobally("edges of clusters", ForestFn(), most=self.most)
        rows = edges | "Forests" >> beam.ParDo(_Forests(self.parts))
        for number in range(ROUNDS):
            rows = (
                rows
                | f"ByNode{number}" >> counted.GroupByKey(f"labels by part, round {number + 1}")
                | f"Meet{number}" >> beam.ParDo(_Meet(self.parts, number == 0))
            )
        left = (
            rows
            | "Left" >> beam.ParDo(_Left())
            | "Forest" >> counted.CombineGlobally("edges of clusters", ForestFn(MOST_LEFT))
            | "Spread" >> beam.ParDo(_Spread(self.parts))
        )
        so_far = rows | "SoFar" >> beam.ParDo(_SoFar())
        return (
            (so_far, left)
            | "ByCluster" >> counted.GroupTogether("labels by part, the last time")
            | "Last" >> beam.ParDo(_MeetLast(self.parts, False))
        )


@dataclasses.dataclass(eq=False)
class JoinLabels(Stage):
    """(CANDIDATE of each split, LABELS) -> (split, [CANDIDATE, LABELS...]): with each split the labels of its own documents.

    CANDIDATE ─► which content is in which split ─► [part of content] ─► labels ─► [split]
    """

    parts: int

    def expand(
        self, inputs: tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]
    ) -> beam.PCollection[Group]:
        """Two shuffles."""
        candidates, labels = inputs
        asked = candidates | "Ask" >> beam.ParDo(_Ask(self.parts))
        known = labels | "ByContent" >> beam.ParDo(_ByContent(self.parts))
        told = (
            (asked, known)
            | "ByPart" >> counted.GroupTogether("contents of splits and labels by part")
            | "Tell" >> beam.ParDo(_Tell())
        )
        return (candidates | "Candidates" >> beam.ParDo(BySplit()), told) | "BySplit" >> counted.GroupTogether(
            "candidates and their labels by split"
        )


def candidates_and_labels(batches: Iterable[pa.RecordBatch]) -> tuple[pa.RecordBatch, pa.Table]:
    """What has come to one split of `JoinLabels`: CANDIDATE, and LABELS ascending by content."""
    batches = list(batches)
    schema = contracts.CANDIDATE.schema
    (candidates,) = (batch for batch in batches if batch.schema == schema)
    return candidates, _of(LABELS, batches).sort_by("content")


@beam.typehints.with_output_types(Keyed)
class _Forests(Beside[pa.RecordBatch, Keyed]):
    def __init__(self, parts: int) -> None:
        self.parts = parts

    def work(self, edges: pa.RecordBatch, *_: object) -> list[Keyed]:
        return _by(0, components.forest(*_columns(edges)), EDGE, self.parts)


@beam.typehints.with_output_types(Keyed)
class _Meet(Beside[Group, Keyed]):
    """A part: (node, root) of its nodes, and labels of its clusters so far -> labels, and (node, root) of the next graph."""

    def __init__(self, parts: int, is_first: bool) -> None:
        self.parts, self.is_first = parts, is_first

    def work(self, group: Group, *_: object) -> list[Keyed]:
        smallest, links = components.meet(*_columns(_of(EDGE, group[1])))
        if self.is_first:
            labels = smallest
        else:
            content, cluster = _columns(_of(LABELS, group[1]))
            labels = content, components.label(cluster, smallest)[0]
        return _by(1, labels, LABELS, self.parts) + _by(0, components.forest(*links), EDGE, self.parts)


@beam.typehints.with_output_types(pa.RecordBatch)
class _MeetLast(_Meet):
    def work(self, group: Group, *_: object) -> list[pa.RecordBatch]:  # type: ignore[override]
        return [labels for _, labels in super().work(group)]


@beam.typehints.with_output_types(pa.RecordBatch)
class _Left(beam.DoFn):
    def process(self, keyed: Keyed) -> Iterable[pa.RecordBatch]:
        if keyed[1].schema == EDGE:
            yield keyed[1]


@beam.typehints.with_output_types(Keyed)
class _SoFar(beam.DoFn):
    def process(self, keyed: Keyed) -> Iterable[Keyed]:
        if keyed[1].schema == LABELS:
            yield keyed


@beam.typehints.with_output_types(Keyed)
class _Ask(beam.DoFn):
    def __init__(self, parts: int) -> None:
        self.parts = parts

    def process(self, candidates: pa.RecordBatch) -> Iterable[Keyed]:
        content = np.unique(candidates["content"].to_numpy())
        split = candidates["split"].to_numpy()[:1].repeat(len(content))
        yield from by_part(
            content, pa.RecordBatch.from_arrays([pa.array(content), pa.array(split)], schema=ASKED), self.parts
        )


@beam.typehints.with_output_types(Keyed)
class _ByContent(beam.DoFn):
    def __init__(self, parts: int) -> None:
        self.parts = parts

    def process(self, labels: pa.RecordBatch) -> Iterable[Keyed]:
        yield from by_part(labels["content"].to_numpy(), labels, self.parts)


@beam.typehints.with_output_types(Keyed)
class _Tell(Beside[Group, Keyed]):
    """A part: contents of splits, and labels -> of each split those of its contents that have one."""

    def work(self, group: Group, *_: object) -> list[Keyed]:
        batches = list(group[1])
        labels = _columns(_of(LABELS, batches).sort_by("content"))
        content, split = _columns(_of(ASKED, batches))
        cluster, known = components.label(content, labels)
        told = pa.RecordBatch.from_arrays([pa.array(content[known]), pa.array(cluster[known])], schema=LABELS)
        return split_by(split[known].astype(np.int64), told)


@beam.typehints.with_output_types(Keyed)
class _Spread(beam.DoFn):
    def __init__(self, parts: int) -> None:
        self.parts = parts

    def process(self, labels: pa.RecordBatch) -> Iterable[Keyed]:
        yield from _by(0, _columns(labels), EDGE, self.parts)


Two = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def _columns(rows: pa.RecordBatch | pa.Table) -> Two:
    return rows.column(0).to_numpy(), rows.column(1).to_numpy()


def _of(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Those of one kind."""
    return pa.Table.from_batches((batch for batch in batches if batch.schema == schema), schema)


def by_part(of: npt.NDArray[np.uint64], batch: pa.RecordBatch, parts: int) -> list[Keyed]:
    """Rows to the parts of some contents or clusters. The smallest content of many is a small one, and no part may be that of all
    large clusters: hence the mix.
    """
    return split_by(partition(mixed(of), parts), batch)


def _by(place: int, columns: Two, schema: pa.Schema, parts: int) -> list[Keyed]:
    """Two columns to the parts of the first or the second."""
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
    return by_part(columns[place], batch, parts)


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class ForestFn(beam.CombineFn):
    """Edges -> LABELS. The accumulator is a forest and a tail of edges, compacted when the tail outgrows it twice.

    Args:
      most: contents that a forest may have.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most

    def create_accumulator(self) -> list[pa.RecordBatch]:
        """No edge."""
        return []

    def add_input(self, accumulator: list[pa.RecordBatch], edges: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Put a batch of edges on the tail."""
        accumulator.append(edges)
        if sum(e.num_rows for e in accumulator[1:]) > 2 * accumulator[0].num_rows + 100_000:
            return self.compact(accumulator)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[list[pa.RecordBatch]]) -> list[pa.RecordBatch]:
        """The edges of all, as one forest."""
        return self.compact([batch for accumulator in accumulators for batch in accumulator])

    def compact(self, accumulator: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """One forest with the same components.

        Raises:
          TooManyLeftError: it has too many contents.
        """
        if not accumulator:
            return accumulator
        labels = components.forest(*_columns(pa.concat_batches(accumulator)))
        if self.most is not None and len(labels[0]) > self.most:
            raise TooManyLeftError(
                f"after {ROUNDS} rounds {len(labels[0]):,} contents and more are still to be linked to their duplicates, and one "
                f"worker links {self.most:,}; raise dedup.min_similarity, or run the corpus in parts, each with "
                "dedup.against the releases of those before"
            )
        return [pa.RecordBatch.from_arrays([pa.array(side) for side in labels], schema=EDGE)]

    def extract_output(self, accumulator: list[pa.RecordBatch]) -> pa.RecordBatch:
        """The labels of all contents that have a duplicate, ascending by content."""
        compacted = self.compact(accumulator)
        if not compacted:
            return pa.RecordBatch.from_arrays([pa.array([], pa.uint64())] * 2, schema=LABELS)
        return pa.RecordBatch.from_arrays(compacted[0].columns, schema=LABELS)
