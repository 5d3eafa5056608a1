"""Split -> clusters, and CANDIDATE + clusters -> DECISION: one survivor for each set of duplicates.

    split ─► which band keys occur twice ─┐
    split ───────────────────────────► band keys ─► [partition] ─► candidate pairs ─► [split of left]  ─► + its signature
          ─► [split of right] ─► verified edges ─► union-find forest ─► labels (content -> cluster)

Square brackets are shuffles. Most band keys occur once and join nothing: a table of bits, far smaller than the keys,
keeps nearly all of those out of the shuffle. A node of the duplicate graph is a *content* (the first half of a content
hash), so exact duplicates are one node from the start and cost nothing here. Signatures are not shuffled: a pair travels
to the split of its left document, takes the signature from the signal store, and travels to the split of its right one.
Every key is a partition or split number and every value a batch; sorting inside a partition is NumPy's.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from expectations import contracts
from transforms.kernels import components, lsh
from transforms.kernels.columns import first_half, halves, partition, signatures, split_by
from transforms.kernels.minhash import MAX_NGRAM, similarity
from transforms.memory import give_back
from transforms.sources import Source, Split
from transforms.store import SignalStore


def partitions(splits: int) -> int:
    """How many parts a shuffle by hash has: as many as there are splits, within limits, so that a part stays small."""
    return min(1024, max(16, splits))


class DedupConfig(BaseModel):
    """How duplicates are found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ngram: int = Field(5, ge=1, le=MAX_NGRAM, description="words (or ideographs) in a shingle")
    bands: int = Field(14, ge=1, le=512, description="bands of a signature")
    rows: int = Field(8, ge=1, le=64, description="rows of a band")
    min_similarity: float = Field(
        0.8, ge=0, le=1, description="candidates below this estimated Jaccard similarity are not joined"
    )

    @model_validator(mode="after")
    def _signature_fits(self) -> "DedupConfig":
        if self.num_perm > 2048:
            raise ValueError(
                f"bands x rows is the length of a signature, at most 2048; {self.bands} x {self.rows} is not"
            )
        return self

    @property
    def num_perm(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows


BAND = pa.schema([("key", pa.uint64()), ("content", pa.uint64()), ("split", pa.int32()), ("ordinal", pa.int32())])
LABELS = pa.schema([("content", pa.uint64()), ("cluster", pa.uint64())])
EDGE = pa.schema([("left", pa.uint64()), ("right", pa.uint64())])


@dataclasses.dataclass(eq=False)
class FindClusters(beam.PTransform):
    """Split -> one batch of labels: which contents are near-duplicates of each other."""

    config: DedupConfig
    store: SignalStore
    splits: tuple[Split, ...]

    def expand(self, surveyed: beam.PCollection[Split]) -> beam.PCollection[pa.RecordBatch]:
        """Narrow batches only; see the module's picture."""
        config = self.config
        seen = surveyed | "SeenKeys" >> beam.CombineGlobally(SeenFn(config, self.store, _bits(self.splits, config)))
        return (
            surveyed
            | "Bands"
            >> beam.ParDo(_Bands(config, self.store, partitions(len(self.splits))), beam.pvalue.AsSingleton(seen))
            | "ByPartition" >> beam.GroupByKey()
            | "CandidatePairs" >> beam.ParDo(_CandidatePairs())
            | "ByLeftSplit" >> beam.GroupByKey()
            | "AttachSignature" >> beam.ParDo(_AttachSignature(self.store, self.splits))
            | "ByRightSplit" >> beam.GroupByKey()
            | "Verify" >> beam.ParDo(_Verify(self.store, self.splits, config.min_similarity))
            | "Forest" >> beam.CombineGlobally(ForestFn())
        )


def _bits(splits: tuple[Split, ...], config: DedupConfig) -> int:
    """Size of the table of seen keys: some two slots a key for documents of 300 bytes in storage; at most 256 MiB."""
    keys = sum(split.n_bytes for split in splits) // 300 * config.bands
    return min(30, max(16, (2 * keys).bit_length()))


@beam.typehints.with_input_types(Split)
@beam.typehints.with_output_types(np.ndarray)
class SeenFn(beam.CombineFn):
    """Split -> which band keys may occur in two contents or more: one bit a slot, uint8[2^bits / 8]."""

    def __init__(self, config: DedupConfig, store: SignalStore, bits: int) -> None:
        self.config, self.store, self.bits = config, store, bits

    def create_accumulator(self) -> np.ndarray:
        """No key."""
        return lsh.no_keys(self.bits)

    def add_input(self, seen: np.ndarray, split: Split) -> np.ndarray:
        """Note the keys of a split, in place."""
        _, _, keys = distinct_keys(self.store.read(split, BANDED), self.config)
        lsh.note_keys(seen, keys.ravel())
        return seen

    def merge_accumulators(self, tables: Iterable[np.ndarray]) -> np.ndarray:
        """The table of all."""
        return functools.reduce(lsh.merge_seen, tables)

    def extract_output(self, seen: np.ndarray) -> np.ndarray:
        """One bit a slot: was it seen twice?"""
        return seen[1]


class _Bands(beam.DoFn):
    def __init__(self, config: DedupConfig, store: SignalStore, parts: int) -> None:
        self.config, self.store, self.parts = config, store, parts

    def process(self, split: Split, twice: np.ndarray) -> Iterator[tuple[int, pa.RecordBatch]]:
        bands = band_batches(self.store.read(split, BANDED), split.index, self.config, twice)
        yield from split_by(partition(bands["key"].to_numpy(), self.parts), bands)
        give_back()


BANDED = ["content_hash", "n_shingles", "signature"]


def distinct_keys(signals: pa.Table, config: DedupConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the documents that have shingles, each content once: rows, contents, and band keys, uint64[rows, bands]."""
    content = first_half(signals["content_hash"].combine_chunks())
    signed = np.flatnonzero(signals["n_shingles"].to_numpy() > 0)
    _, first = np.unique(content[signed], return_index=True)
    rows = signed[first]
    signature = signatures(signals["signature"].combine_chunks())
    return rows, content[rows], lsh.band_keys(signature[rows], config.bands, config.rows)


def band_batches(signals: pa.Table, split: int, config: DedupConfig, twice: np.ndarray) -> pa.RecordBatch:
    """SIGNALS of one split -> BAND for the keys that may be shared with another content."""
    rows, content, keys = distinct_keys(signals, config)
    shared = lsh.maybe_shared(twice, keys.ravel())
    key = keys.ravel()[shared]
    each = np.repeat(np.arange(len(rows)), config.bands)[shared]
    columns = [key, content[each], np.full(len(key), split, np.int32), rows[each].astype(np.int32)]
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=BAND)


class _CandidatePairs(beam.DoFn):
    def process(self, group: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[tuple[int, pa.RecordBatch]]:
        bands = _concat(group[1])
        content = bands["content"].to_numpy()
        left, right = lsh.candidate_pairs(bands["key"].to_numpy(), content)
        # The same pair shares many bands: once per partition is enough, and left is always the smaller content.
        swap = content[left] > content[right]
        left, right = np.where(swap, right, left), np.where(swap, left, right)
        _, first = np.unique(np.stack([content[left], content[right]]), axis=1, return_index=True)
        pairs = _side(bands, left[first], "left") | _side(bands, right[first], "right")
        if len(first):
            yield from split_by(pairs["left_split"].to_numpy().astype(np.int64), pa.RecordBatch.from_pydict(pairs))


def _side(bands: pa.RecordBatch, rows: np.ndarray, side: str) -> dict[str, pa.Array]:
    taken = bands.take(pa.array(rows))
    return {side: taken["content"], f"{side}_split": taken["split"], f"{side}_ordinal": taken["ordinal"]}


class _AttachSignature(beam.DoFn):
    def __init__(self, store: SignalStore, splits: tuple[Split, ...]) -> None:
        self.store, self.splits = store, splits

    def process(self, group: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[tuple[int, pa.RecordBatch]]:
        split, batches = group
        pairs = _distinct(_concat(batches))
        signature = self.store.read(self.splits[split], ["signature"])["signature"].combine_chunks()
        pairs = pairs.append_column("left_signature", signature.take(pairs["left_ordinal"]))
        yield from split_by(pairs["right_split"].to_numpy().astype(np.int64), pairs)


class _Verify(beam.DoFn):
    def __init__(self, store: SignalStore, splits: tuple[Split, ...], min_similarity: float) -> None:
        self.store, self.splits, self.min_similarity = store, splits, min_similarity

    def process(self, group: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        split, batches = group
        pairs = _concat(batches)
        signature = self.store.read(self.splits[split], ["signature"])["signature"].combine_chunks()
        right = signatures(signature.take(pairs["right_ordinal"]))
        similar = similarity(signatures(pairs["left_signature"]), right) >= self.min_similarity
        yield pairs.select(["left", "right"]).filter(pa.array(similar))


def _distinct(pairs: pa.RecordBatch) -> pa.RecordBatch:
    """Each pair of contents once: it may have been found in several partitions."""
    both = np.stack([pairs["left"].to_numpy(), pairs["right"].to_numpy()])
    _, first = np.unique(both, axis=1, return_index=True)
    return pairs.take(pa.array(first))


def _concat(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(list(batches))


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(pa.RecordBatch)
class ForestFn(beam.CombineFn):
    """Edges -> LABELS. The accumulator is a forest and a tail of edges, compacted when the tail outgrows it twice."""

    def create_accumulator(self) -> list[pa.RecordBatch]:
        """No edge."""
        return []

    def add_input(self, accumulator: list[pa.RecordBatch], edges: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Put a batch of edges on the tail."""
        accumulator.append(edges.rename_columns(EDGE.names))
        if sum(e.num_rows for e in accumulator[1:]) > 2 * accumulator[0].num_rows + 100_000:
            return self.compact(accumulator)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[list[pa.RecordBatch]]) -> list[pa.RecordBatch]:
        """The edges of all, as one forest."""
        return self.compact([batch for accumulator in accumulators for batch in accumulator])

    def compact(self, accumulator: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """One forest with the same components."""
        if not accumulator:
            return accumulator
        edges = pa.concat_batches(accumulator)
        labels = components.forest(edges["left"].to_numpy(), edges["right"].to_numpy())
        return [pa.RecordBatch.from_arrays([pa.array(side) for side in labels], schema=EDGE)]

    def extract_output(self, accumulator: list[pa.RecordBatch]) -> pa.RecordBatch:
        """The labels of all contents that have a duplicate, ascending by content."""
        compacted = self.compact(accumulator)
        if not compacted:
            return pa.RecordBatch.from_arrays([pa.array([], pa.uint64())] * 2, schema=LABELS)
        return pa.RecordBatch.from_arrays(compacted[0].columns, schema=LABELS)


@dataclasses.dataclass(eq=False)
class ChooseSurvivors(beam.PTransform):
    """CANDIDATE + labels -> DECISION: one document of each cluster is kept, empty texts are dropped."""

    sources: tuple[Source, ...]
    splits: tuple[Split, ...]
    labels: beam.PCollection[pa.RecordBatch]

    def expand(self, candidates: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """One shuffle, by cluster."""
        rank = tuple((source.protected, source.trust) for source in self.sources)
        return (
            candidates
            | "Label" >> beam.ParDo(_Label(partitions(len(self.splits))), beam.pvalue.AsSingleton(self.labels))
            | "ByCluster" >> beam.GroupByKey()
            | "Survivors" >> beam.ParDo(_Survivors(rank))
        )


class _Label(beam.DoFn):
    def __init__(self, parts: int) -> None:
        self.parts = parts

    def process(self, batch: pa.RecordBatch, labels: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        forest = (labels["content"].to_numpy(), labels["cluster"].to_numpy())
        cluster = components.label(first_half(batch["content_hash"]), forest)
        yield from split_by(partition(cluster, self.parts), batch.append_column("cluster", pa.array(cluster)))


class _Survivors(beam.DoFn):
    def __init__(self, rank: tuple[tuple[bool, float], ...]) -> None:
        self.rank = rank

    def process(self, group: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        yield decide(_concat(group[1]), self.rank)


def decide(candidates: pa.RecordBatch, rank: tuple[tuple[bool, float], ...]) -> pa.RecordBatch:
    """CANDIDATE with a `cluster` column, whole clusters -> DECISION.

    The survivor is the first of its cluster by: protected source, declared human, earliest date, more trusted source,
    lower p_synthetic, more tokens, smaller id. Identical records (same id, same content) are told apart by their place
    at last, which changes nothing in what is kept.

    Args:
      candidates: every member of each cluster that occurs.
      rank: whether a source is protected, and its trust, by its number.
    """
    n = candidates.num_rows
    cluster, content = candidates["cluster"].to_numpy(), first_half(candidates["content_hash"])
    id_high, id_low = halves(candidates["doc_id"])
    human = (candidates["origin"].to_numpy() == contracts.HUMAN) & (
        candidates["origin_basis"].to_numpy() == contracts.BASIS_DECLARED
    )
    created = candidates["created"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    p_synthetic = candidates["p_synthetic"].fill_null(0.5).to_numpy()
    n_tokens = candidates["n_tokens"].to_numpy()
    places = (candidates["ordinal"].to_numpy(), candidates["split"].to_numpy())
    source = candidates["source"].to_numpy()
    protected, trust = np.array([p for p, _ in rank], bool)[source], np.array([t for _, t in rank])[source]
    preference = (id_low, id_high, -n_tokens, p_synthetic, -trust, created, ~human, ~protected)
    order = np.lexsort((*places, *preference, cluster))

    starts = np.flatnonzero(np.diff(cluster[order], prepend=~cluster[order][:1]))
    sizes = np.diff(np.r_[starts, n])
    survivor = np.empty(n, np.int64)  # row number of the survivor of each row's cluster
    survivor[order] = np.repeat(order[starts], sizes)
    size = np.empty(n, np.int32)
    size[order] = np.repeat(sizes, sizes)

    empty = candidates["empty"].to_numpy(zero_copy_only=False)
    kept = (survivor == np.arange(n)) & ~empty
    reason = np.where(content == content[survivor], _reason("exact_duplicate"), _reason("near_duplicate"))
    reason = np.where(empty, _reason("empty_text"), np.where(kept, 0, reason))
    stage = np.where(empty, _stage("ingest"), np.where(kept, 0, _stage("dedup")))
    same = ("doc_id", "split", "ordinal", "source", "n_tokens", "n_bytes", "origin", "origin_basis", "p_synthetic")
    return contracts.DECISION.batch(
        {
            **{name: candidates[name] for name in same},
            "kept": kept,
            "stage": stage.astype(np.int8),
            "reason": reason.astype(np.int8),
            "cluster": cluster,
            "cluster_size": np.where(empty, 1, size).astype(np.int32),
            "survivor_id": candidates["doc_id"].take(pa.array(np.where(empty, np.arange(n), survivor))),
            "copies": kept.astype(np.int32),
        }
    )


def _reason(name: str) -> int:
    return contracts.REASONS.index(name)


def _stage(name: str) -> int:
    return contracts.STAGES.index(name)
