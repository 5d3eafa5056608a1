"""Split -> which paragraphs are boilerplate: those in more than so many documents of the corpus. Only if the recipe asks.

    split ─► its paragraphs, counted, in the store ─► which occur twice ─┐
                                                  └───────────────────► (hash, count) ─► [partition] ─► sums ─► the many

Square brackets are the shuffle. The text is read here once, before the survey. As with band keys (dedup/candidates.py) most
paragraphs occur once, and a table of bits keeps nearly all of those out of the shuffle. Counts are exact: of all documents
that were read and of all paragraphs, not of the report's sample.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from transforms.dedup.candidates import partitions
from transforms.dedup.seen_keys import SeenFn, bits, seen_twice
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.staged import Staged
from transforms.engine.threads import Beside, ahead
from transforms.ingest.quarantine import may_heal
from transforms.ingest.sources import Split, unchanged
from transforms.kernels.similarity import lsh
from transforms.kernels.text import paragraphs
from transforms.kernels.text.columns import partition, split_by
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, write_parquet

COUNTED = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
    ]
)


@dataclasses.dataclass(frozen=True)
class BoilerplateConfig(Staged):
    """What decides which paragraphs of a corpus are boilerplate. What the store holds does not depend on `max_documents`."""

    store: SignalStore  # of COUNTED, by split; not the corpus' own, which depends on what is found here
    max_documents: int
    few_splits: bool = False  # fewer than cores: each task then reads on a thread of its own


@dataclasses.dataclass(eq=False)
class FindBoilerplate(Stage):
    """Split -> one array: the hashes of paragraphs in more than `max_documents` documents, uint64[n], ascending."""

    config: BoilerplateConfig
    corpus: Corpus

    def expand(self, splits: beam.PCollection[Split]) -> beam.PCollection[np.ndarray]:
        """Narrow batches only; see the module's picture."""
        config = self.config
        counts = splits | "CountParagraphs" >> beam.ParDo(_CountParagraphs(config, self.corpus.without_splits()))
        seen_fn = SeenParagraphs(config.store, bits(self.corpus.n_bytes // 100))  # one in some 100 bytes in storage
        most = len(self.corpus.splits)
        seen = seen_twice(counts, "SeenParagraphs", "splits whose paragraphs were seen", seen_fn, most)
        shared = _Shared(config.store, partitions(self.corpus))
        return (
            counts
            | "Shared" >> counted.ParDo("splits to their paragraphs", shared, *seen)
            | "ByHash" >> counted.GroupByKey("paragraphs by hash")
            | "Many" >> beam.ParDo(_Many(config.max_documents))
            | "Together" >> counted.CombineGlobally("boilerplate paragraphs", SortedFn())
        )


@beam.typehints.with_output_types(Split)
class _CountParagraphs(Beside[Split, Split]):
    def __init__(self, config: BoilerplateConfig, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus

    def work(self, split: Split, *_: object) -> tuple[Split]:
        if not self.config.store.has(split):
            counts, lasts = count_split(split, self.corpus, self.config.few_splits)
            unchanged(split)
            path = self.config.store.path(split)
            write_parquet(path, [counts], COUNTED, plain=("hash",), lasts=lasts, sync=False)
        return (split,)


def count_split(split: Split, corpus: Corpus, few_splits: bool = False) -> tuple[pa.RecordBatch, bool]:
    """Read a split's text -> COUNTED: in how many of its documents each of its paragraphs is; hashes ascending.

    And whether it lasts: a file that could not be read must be tried again.
    """
    read = corpus.read(split)
    found, lasts = [np.zeros(0, np.uint64)], True
    for documents, quarantine in ahead(read) if few_splits else read:
        found.append(paragraphs.find(documents["text"], rate=1).hashes)
        lasts = lasts and not may_heal(quarantine)
    hashes, counts = np.unique(np.concatenate(found), return_counts=True)
    return pa.RecordBatch.from_arrays([pa.array(hashes), pa.array(counts.astype(np.int64))], schema=COUNTED), lasts


class SeenParagraphs(SeenFn):
    """Which paragraphs may be in two documents or more."""

    def __init__(self, store: SignalStore, bits: int | None) -> None:
        super().__init__(bits)
        self.store = store

    def keys(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """All of a split, and once more those that are in two of its documents."""
        counts = self.store.read(split, COUNTED.names)
        hashes = counts["hash"].to_numpy()
        return hashes, hashes[counts["documents"].to_numpy() > 1]


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _Shared(Beside[Split, tuple[int, pa.RecordBatch]]):
    def __init__(self, store: SignalStore, parts: int) -> None:
        self.store, self.parts = store, parts

    def work(self, split: Split, *sides: Any) -> list[tuple[int, pa.RecordBatch]]:
        counts = self.store.read(split, COUNTED.names).combine_chunks()
        hashes = counts["hash"].to_numpy()
        shared = lsh.maybe_shared(sides[0], hashes) if sides else np.ones(len(hashes), bool)
        columns = [pa.array(hashes[shared]), pa.array(counts["documents"].to_numpy()[shared])]
        return split_by(partition(hashes[shared], self.parts), pa.RecordBatch.from_arrays(columns, schema=COUNTED))


@beam.typehints.with_output_types(np.ndarray)
class _Many(Beside[tuple[int, Iterable[pa.RecordBatch]], np.ndarray]):
    def __init__(self, max_documents: int) -> None:
        self.max_documents = max_documents

    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *_: object) -> tuple[np.ndarray]:
        return (many(pa.concat_batches(list(group[1])), self.max_documents),)


def many(counts: pa.RecordBatch, max_documents: int) -> np.ndarray:
    """COUNTED of some splits, a hash once a split -> the hashes in more than `max_documents` documents, ascending."""
    hashes, index = np.unique(counts["hash"].to_numpy(), return_inverse=True)
    total = np.zeros(len(hashes), np.int64)
    np.add.at(total, index, counts["documents"].to_numpy())
    return hashes[total > max_documents]


@beam.typehints.with_input_types(np.ndarray)
@beam.typehints.with_output_types(np.ndarray)
class SortedFn(beam.CombineFn):
    """Arrays of numbers that are in one of them each -> all, ascending."""

    def create_accumulator(self) -> list[np.ndarray]:
        """No number."""
        return []

    def add_input(self, parts: list[np.ndarray], part: np.ndarray) -> list[np.ndarray]:
        """One array more."""
        return [*parts, part]

    def merge_accumulators(self, accumulators: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
        """The arrays of all."""
        return [part for parts in accumulators for part in parts]

    def extract_output(self, parts: list[np.ndarray]) -> np.ndarray:
        """All numbers, uint64[n]."""
        return np.sort(np.concatenate([np.zeros(0, np.uint64), *parts]))
