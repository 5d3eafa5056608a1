"""Split -> which contents may be duplicates of each other: the connected components of verified pairs.

    split ─► which band keys occur twice ─┐
    split ───────────────────────────► band keys ─► [partition] ─► candidate pairs ─► [split of left]  ─► + its signature
          ─► [splits of right] ─► verified edges ─► labels (content -> cluster): transforms/dedup/clusters.py

Square brackets are shuffles. Most band keys occur once and join nothing: a table of bits, far smaller than the keys,
keeps nearly all of those out of the shuffle. A node of the duplicate graph is a *content* (the first half of a content
hash), so exact duplicates are one node from the start and cost nothing here. Signatures are not shuffled: a pair travels
to the split of its left document, takes the signature from the signal store, and travels to the split of its right one.
Every key is a partition or split number and every value a batch; sorting inside a partition is NumPy's.

Which document of a component stays is decided in `transforms/dedup/survivors.py`. The signatures of earlier releases come as
further splits. On request, documents with one address are a pair whatever their texts.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from expectations import contracts
from expectations.loading import Strict
from transforms.dedup.clusters import EDGE, LabelClusters
from transforms.dedup.seen_keys import SeenFn, bits, seen_twice
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.ingest.paragraph_removal import ParagraphsConfig
from transforms.ingest.sources import Split
from transforms.kernels.similarity import lsh
from transforms.kernels.similarity.lsh import salted
from transforms.kernels.similarity.minhash import MAX_NGRAM, similarity
from transforms.kernels.text.columns import EMPTY_HASH, first_half, joined, partition, signatures, split_by
from transforms.signals.corpus import Corpus


def partitions(corpus: Corpus) -> int:
    """How many parts a shuffle by hash has: it grows with the splits, so that a part stays small, but slower, because the
    number of batches that are shuffled is the product of the two (docs/decisions/0082). Of very large corpora a part is of so
    many bytes.
    """
    return max(min(1024, max(8, len(corpus.splits) // 16)), corpus.n_bytes // BYTES_OF_PARTITION)


def splits_together(corpus: Corpus) -> int:
    """Of how many splits the pairs are one part of a shuffle, so that it has as many parts as one by hash."""
    return -(-len(corpus.splits) // partitions(corpus))


Rank = Literal[
    "source", "protected", "declared_human", "earliest", "latest", "trusted", "least_synthetic", "longest", "shortest"
]


class DedupConfig(Strict):
    """How duplicates are found."""

    ngram: int = Field(5, ge=1, le=MAX_NGRAM, description="words (or ideographs) in a shingle")
    bands: int = Field(14, ge=1, le=512, description="bands of a signature")
    rows: int = Field(8, ge=1, le=64, description="rows of a band")
    min_similarity: float = Field(
        0.8, ge=0, le=1, strict=True, description="least Jaccard similarity of a pair of duplicates"
    )
    min_to_survivor: float | None = Field(
        None,
        ge=0,
        le=1,
        strict=True,
        description="least Jaccard similarity of a dropped document to the kept one; empty: min_similarity",
    )
    verify: Literal["estimate", "exact"] = Field(
        "estimate",
        description="similarity from signatures, or from the texts of candidates, which are read again; of an earlier release "
        "there are only signatures",
    )
    survivor: tuple[Rank, ...] = Field(
        ("protected", "declared_human", "earliest", "trusted", "least_synthetic", "longest"),
        description="which of two duplicates is kept: the first of these that tells them apart; at last the smaller id",
    )
    source_order: tuple[str, ...] = Field(
        (), description="between duplicates of two sources the one named first here is kept, before all other rules"
    )
    url: bool = Field(False, description="documents with the same address are duplicates, whatever their texts")
    against: tuple[str, ...] = Field((), description="folders of earlier releases whose documents are not wanted again")
    on_match: Literal["drop", "tag"] = Field(
        "drop", description="what becomes of a document that an earlier release has"
    )
    paragraphs: ParagraphsConfig = ParagraphsConfig()
    max_source_loss: float = Field(
        0.5, ge=0, le=1, strict=True, description="share of a source's documents that dedup may drop unnoticed"
    )
    on_source_loss: Literal["warn", "fail"] = Field("warn", description="what happens above max_source_loss")

    @model_validator(mode="after")
    def _signature_fits(self) -> "DedupConfig":
        if self.num_perm > 2048:
            raise ValueError(
                f"bands x rows is the length of a signature, at most 2048; {self.bands} x {self.rows} is not"
            )
        return self

    @model_validator(mode="after")
    def _order_is_one(self) -> "DedupConfig":
        for key, names in (("survivor", self.survivor), ("source_order", self.source_order)):
            twice = [name for number, name in enumerate(names) if name in names[:number]]
            if twice:
                raise ValueError(f"{key} names {twice[0]!r} twice; leave one of the two out")
        if "source" in self.survivor and not self.source_order:
            raise ValueError(
                "survivor has 'source', but there is no source_order; say it, as source_order: [books, web]"
            )
        return self

    @property
    def policy(self) -> tuple[str, ...]:
        """The order of preference between duplicates, without the ids that come last."""
        return self.survivor if "source" in self.survivor or not self.source_order else ("source", *self.survivor)

    @property
    def least_to_survivor(self) -> float:
        """Least Jaccard similarity of a dropped document to the kept one."""
        return self.min_similarity if self.min_to_survivor is None else self.min_to_survivor

    @property
    def undecided_below(self) -> float:
        """Up to which similarity to the survivor an estimate does not decide: three standard errors above the limit.

        In exact mode it is 0, for texts decide.
        """
        least = self.least_to_survivor
        return 0.0 if self.verify == "exact" else least + 3 * (least * (1 - least) / self.num_perm) ** 0.5

    @property
    def least_of_pair(self) -> float:
        """Least estimated similarity that makes a pair an edge. In exact mode four standard errors less: the text decides."""
        error = 0.5 / self.num_perm**0.5 if self.verify == "exact" else 0.0
        return max(0.0, min(self.min_similarity, self.least_to_survivor) - 4 * error) if error else self.min_similarity

    @property
    def num_perm(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows


BYTES_OF_PARTITION = 1 << 30  # of input; some 500 MB of band keys, 300 MB of documents as they cross
VERIFIED = 8192  # pairs at a time
BLOCK = 8192  # documents of a split whose pairs are one group, so that a crowd is several
_BLOCK_BITS = 32
BAND = pa.schema(
    [
        ("key", pa.uint64()),
        ("content", pa.uint64()),
        ("split", pa.int32()),
        ("ordinal", pa.int32()),
        ("sure", pa.bool_()),  # sharing this key is enough to be a pair
    ]
)


@dataclasses.dataclass(eq=False)
class FindClusters(Stage):
    """Split -> labels: which contents are near-duplicates of each other. Of one part they are one batch."""

    config: DedupConfig
    corpus: Corpus  # and the splits of earlier releases
    parts: int = 1  # of the labels

    def expand(self, surveyed: beam.PCollection[Split]) -> beam.PCollection[pa.RecordBatch]:
        """Narrow batches only; see the module's picture."""
        config, corpus = self.config, self.corpus
        keys = corpus.n_bytes // 300 * config.bands  # of documents of some 300 bytes in storage
        seen_fn = SeenBands(config, corpus.without_splits(), bits(keys))
        seen = seen_twice(surveyed, "SeenKeys", "splits whose keys were seen", seen_fn, len(corpus.splits))
        bands = _Bands(config, corpus.without_splits(), partitions(corpus))
        return (
            surveyed
            | "Bands" >> counted.ParDo("splits to their band keys", bands, *seen)
            | "ByPartition" >> counted.GroupByKey("band keys by partition")
            | "CandidatePairs" >> beam.ParDo(_CandidatePairs())
            | "ByLeftSplit" >> counted.GroupByKey("pairs by left split")
            | "AttachSignature" >> beam.ParDo(_AttachSignature(corpus))
            | "ByRightSplits" >> counted.GroupByKey("pairs by right splits")
            | "Verify" >> beam.ParDo(_Verify(corpus, config.least_of_pair))
            | "Label" >> LabelClusters(self.parts, len(corpus.splits))
        )


class SeenBands(SeenFn):
    """Which band keys may occur in two contents or more."""

    def __init__(self, config: DedupConfig, corpus: Corpus, bits: int | None) -> None:
        super().__init__(bits)
        self.config, self.corpus = config, corpus

    def keys(self, split: Split) -> tuple[np.ndarray]:
        """Each content once."""
        return (keys_of(self.corpus.signals(split, BANDED), self.config)[0],)


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _Bands(Beside[Split, tuple[int, pa.RecordBatch]]):
    def __init__(self, config: DedupConfig, corpus: Corpus, parts: int) -> None:
        self.config, self.corpus, self.parts = config, corpus, parts

    def work(self, split: Split, *sides: Any) -> list[tuple[int, pa.RecordBatch]]:
        bands = band_batches(self.corpus.signals(split, BANDED), split.index, self.config, *sides)
        return split_by(partition(bands["key"].to_numpy(), self.parts), bands)


BANDED = ["content_hash", "url_hash", "n_shingles", "signature"]
_URL_SALT = np.uint64(0x75726C2D6B657973)
_EMPTY = first_half(pa.array([EMPTY_HASH], contracts.HASH))[0]


def keys_of(signals: pa.Table, config: DedupConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every key under which a document of a split is found, each content once: `(keys, rows, sure)`, [keys] each.

    A document with shingles has a key for each band. With `url`, one with an address has a key of it, and that one is sure.
    """
    content = first_half(joined(signals["content_hash"]))
    signed = np.flatnonzero(signals["n_shingles"].to_numpy() > 0)
    _, first = np.unique(content[signed], return_index=True)
    rows = signed[first]
    signature = signatures(joined(signals["signature"]))
    bands = lsh.band_keys(signature[rows], config.bands, config.rows).ravel()
    rows = np.repeat(rows, config.bands)
    if not config.url:
        return bands, rows, np.zeros(len(bands), bool)
    url = joined(signals["url_hash"])
    hashes = url.fill_null(0).to_numpy()
    has = np.flatnonzero((hashes != 0) & (content != _EMPTY))
    has = has[firsts(hashes[has], content[has])]
    keys = np.concatenate([bands, salted(hashes[has], _URL_SALT)])
    return keys, np.concatenate([rows, has]), np.arange(len(keys)) >= len(bands)


def band_batches(signals: pa.Table, split: int, config: DedupConfig, twice: np.ndarray | None = None) -> pa.RecordBatch:
    """SIGNALS of one split -> BAND for the keys that may be shared with another content: all, where no table says."""
    keys, rows, sure = keys_of(signals, config)
    shared = np.ones(len(keys), bool) if twice is None else lsh.maybe_shared(twice, keys)
    rows = rows[shared]
    content = first_half(joined(signals["content_hash"]))[rows]
    columns = [keys[shared], content, np.full(len(rows), split, np.int32), rows.astype(np.int32), sure[shared]]
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=BAND)


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _CandidatePairs(Beside[tuple[int, Iterable[pa.RecordBatch]], tuple[int, pa.RecordBatch]]):
    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *_: object) -> list[tuple[int, pa.RecordBatch]]:
        bands = _concat(group[1])
        content = bands["content"].to_numpy()
        left, right = lsh.candidate_pairs(bands["key"].to_numpy(), content)
        # The same pair shares many bands: once per partition is enough, and left is always the smaller content. Of a pair
        # that is found in both ways, the one by its address stays.
        swap = content[left] > content[right]
        smaller, larger = np.where(swap, right, left), np.where(swap, left, right)
        by_text = ~bands["sure"].to_numpy(zero_copy_only=False)[left]
        first = firsts(content[smaller], content[larger], by_text)
        sure = {"sure": bands["sure"].take(pa.array(smaller[first]))}
        pairs = _side(bands, smaller[first], "left") | _side(bands, larger[first], "right") | sure
        if not len(first):
            return []
        block = pairs["left_ordinal"].to_numpy().astype(np.int64) // BLOCK
        of = pairs.pop("left_split").to_numpy().astype(np.int64) << _BLOCK_BITS | block
        return split_by(of, pa.RecordBatch.from_pydict(pairs))


def _side(bands: pa.RecordBatch, rows: np.ndarray, side: str) -> dict[str, pa.Array]:
    taken = bands.take(pa.array(rows))
    return {side: taken["content"], f"{side}_split": taken["split"], f"{side}_ordinal": taken["ordinal"]}


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _AttachSignature(Beside[tuple[int, Iterable[pa.RecordBatch]], tuple[int, pa.RecordBatch]]):
    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *_: object) -> list[tuple[int, pa.RecordBatch]]:
        number, batches = group
        signature = _signature(self.corpus, number >> _BLOCK_BITS)
        return by_right_splits(_distinct(_concat(batches)), signature, splits_together(self.corpus))


def by_right_splits(
    pairs: pa.RecordBatch, signature: pa.FixedSizeBinaryArray, together: int
) -> list[tuple[int, pa.RecordBatch]]:
    """Pairs of one left split by so many right ones together, in whose order they are: with each right split every left document
    with its signature once, and a list of its pairs.

    In a cluster a document has some fifteen pairs, and in a star one document has as many as there are others: a signature in
    each pair was nearly all that crossed. So were, of many splits, batches of a few pairs: one for each two splits.
    """
    split, document = pairs["right_split"].to_numpy(), pairs["left_ordinal"].to_numpy()
    order = np.lexsort((document, split))
    split, document = split[order], document[order]
    first = np.flatnonzero(np.r_[True, (np.diff(split) != 0) | (np.diff(document) != 0)])
    offsets = pa.array(np.append(first, len(order)).astype(np.int32))
    pairs = pairs.take(pa.array(order))
    lists = {name: pa.ListArray.from_arrays(offsets, pairs[name]) for name in ("right", "right_ordinal", "sure")}
    left = {"left": pairs["left"].take(pa.array(first)), "left_signature": signature.take(pa.array(document[first]))}
    batch = pa.RecordBatch.from_pydict({"right_split": pa.array(split[first]), **left, **lists})
    return split_by(split[first].astype(np.int64) // together, batch)


@beam.typehints.with_output_types(pa.RecordBatch)
class _Verify(Beside[tuple[int, Iterable[pa.RecordBatch]], pa.RecordBatch]):
    def __init__(self, corpus: Corpus, least: float) -> None:
        self.corpus, self.least = corpus, least

    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *_: object) -> tuple[pa.RecordBatch]:
        return (verified(group[1], functools.partial(_signature, self.corpus), self.least),)


def verified(
    batches: Iterable[pa.RecordBatch], signature: Callable[[int], pa.FixedSizeBinaryArray], least: float
) -> pa.RecordBatch:
    """EDGE of the pairs in `by_right_splits`, of any left splits, that are similar enough, or sure.

    One right split after the other: its signatures, by ordinal, are what is held. `signature`: of a split.
    """
    of_split = collections.defaultdict(list)
    for batch in batches:
        for split, pairs in split_by(batch["right_split"].to_numpy().astype(np.int64), batch):
            of_split[split].append(pairs)
    found = []
    for split, parts in of_split.items():
        right = signatures(signature(split))
        found += [_edges(pairs, right, least) for pairs in parts]
    return _concat(found)


def _edges(by_left: pa.RecordBatch, signature: np.ndarray, least: float) -> pa.RecordBatch:
    lists = by_left["right"]
    of = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
    left, ordinal = signatures(by_left["left_signature"]), by_left["right_ordinal"].flatten().to_numpy()
    edge = by_left["sure"].flatten().to_numpy(zero_copy_only=False).copy()
    for begin in range(0, len(of), VERIFIED):
        part = slice(begin, begin + VERIFIED)
        edge[part] |= similarity(left[of[part]], signature[ordinal[part]]) >= least
    mask = pa.array(edge)
    sides = [by_left["left"].take(pa.array(of[edge])), lists.flatten().filter(mask)]
    return pa.RecordBatch.from_arrays(sides, schema=EDGE)


def _signature(corpus: Corpus, split: int) -> pa.FixedSizeBinaryArray:
    return joined(corpus.signals(corpus.split(split), ["signature"])["signature"])


def _distinct(pairs: pa.RecordBatch) -> pa.RecordBatch:
    """Each pair of contents once: it may have been found in several partitions. One that is sure in any is sure."""
    by_text = ~pairs["sure"].to_numpy(zero_copy_only=False)
    return pairs.take(pa.array(firsts(pairs["left"].to_numpy(), pairs["right"].to_numpy(), by_text)))


def firsts(one: np.ndarray, other: np.ndarray, rank: np.ndarray | None = None) -> np.ndarray:
    """Of each pair of values, ascending, the row that has it: the one of the smallest rank, and then the first. int64[n]."""
    order = np.lexsort((other, one) if rank is None else (rank, other, one))
    one, other = one[order], other[order]
    return order[np.r_[True, (one[1:] != one[:-1]) | (other[1:] != other[:-1])][: len(order)]]


def _concat(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(list(batches))
