"""(split, DECISION) -> the ledger: one row per input document, written for every split, passed or not."""

import dataclasses
import posixpath

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.engine import files
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.exclusions.contamination import Items, unpack_items
from transforms.exclusions.personal_data import masked_in_words, unpack
from transforms.exclusions.removals import TOMBSTONES
from transforms.ingest.sources import Split
from transforms.kernels.choosing.evidence import in_words
from transforms.kernels.text.columns import hexadecimal, joined
from transforms.kernels.text.prose import KINDS
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept, digest_of
from transforms.signals.store import write_parquet

WITHDRAWN = contracts.REASONS.index("withdrawn")
SHOWN = ("boilerplate", "watermark", "watermark_p", "contamination", "licence")
AS_SURVEYED = ("language", "created", "generator", "stratum")  # so that what was dropped can be counted by them
BEGINNINGS = 4  # one split in so many may begin a shard early
ABOUT = ("url", "host", "author")  # whose a document is: not told of what was withdrawn
PART = "ledger"  # the kind of what is kept: of a split, its part


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A split's part of the ledger.

    Attributes:
      split: its number.
      path: the part's file in the staging folder.
      documents, kept, kept_bytes: what it holds; bytes are UTF-8 bytes of kept text.
      tombstones: the file of what a list of removals names; empty: it names nothing here.
      may_begin: whether a shard may begin with the split before the last one is full: by its first document's id.
      made_of: a digest of the signals, their name and this part; empty: a file could not be read.
    """

    split: int
    path: str
    documents: int
    kept: int
    kept_bytes: int
    tombstones: str = ""
    may_begin: bool = False
    made_of: str = ""

    @property
    def num_rows(self) -> int:
        """Rows of the ledger, as the engine counts them."""
        return self.documents


@dataclasses.dataclass(eq=False)
class Record(Stage):
    """(split, DECISION) -> Recorded."""

    corpus: Corpus
    staging: str
    kept: Kept  # for a later run of the same mixture
    against: Items | None = None  # evaluation sets that were looked for

    def expand(self, decisions: beam.PCollection[tuple[int, pa.RecordBatch]]) -> beam.PCollection[Recorded]:
        """One file per split."""
        return decisions | "WriteLedger" >> beam.ParDo(_WriteLedger(self.corpus, self.staging, self.kept, self.against))


@beam.typehints.with_output_types(Recorded)
class _WriteLedger(Beside[tuple[int, pa.RecordBatch], Recorded]):
    def __init__(self, corpus: Corpus, staging: str, kept: Kept, against: Items | None) -> None:
        self.corpus, self.staging, self.kept, self.against = corpus, staging, kept, against

    def work(self, group: tuple[int, pa.RecordBatch], *_: object) -> tuple[Recorded]:
        number, decisions = group
        split = self.corpus.split(number)
        about = [
            "id",
            "file",
            "row",
            "removed_tokens",
            "contaminated_by",
            "text_kind",
            "personal",
            *ABOUT,
            *SHOWN,
            *AS_SURVEYED,
        ]
        places = self.corpus.signals(split, about)
        path = part_path(self.staging, number)
        items = self.against.names if self.against else pa.array([], pa.string())
        rows = ledger(decisions, places, split, self.corpus.names, items)
        write_parquet(path, [rows], contracts.LEDGER.schema, plain=("id",))
        kept = decisions["kept"].to_numpy(zero_copy_only=False)
        kept_bytes = int(decisions["n_bytes"].to_numpy()[kept].astype(np.int64).sum())
        buried, signals = self._bury(decisions, split), self.corpus.store.path(split)
        may_begin = len(kept) > 0 and decisions["doc_id"][0].as_py()[0] < 256 // BEGINNINGS
        if made_of := part_made_of(signals, path):
            files.second_name(path, self.kept.path(PART, split))
        return (Recorded(number, path, len(kept), int(kept.sum()), kept_bytes, buried, may_begin, made_of),)

    def _bury(self, decisions: pa.RecordBatch, split: Split) -> str:
        """Write what a later release needs to know of what was withdrawn: hashes and signatures, no text."""
        named = decisions["reason"].to_numpy() == WITHDRAWN
        named &= decisions["stage"].to_numpy() == contracts.STAGES.index("exclusions")
        if not named.any():
            return ""
        signed = self.corpus.signals(split, list(contracts.SIGNED)).filter(pa.array(named))
        path = posixpath.join(self.staging, TOMBSTONES, f"part-{split.index:05d}.parquet")
        schema = contracts.signed(signed.schema.field("signature").type.byte_width // 4).schema
        write_parquet(path, signed.combine_chunks().to_batches(), schema, plain=contracts.SIGNED)
        return path


def part_path(staging: str, number: int) -> str:
    """The file of a split's part while a release is made."""
    return posixpath.join(staging, "ledger", f"part-{number:05d}.parquet")


def part_made_of(signals: str, part: str) -> str:
    """What stands for a split's signals and its part of the ledger; empty: a file could not be read, or one is gone."""
    found = digest_of([signals, part])
    return f"{posixpath.basename(signals)} {found}" if found else ""  # the name says what was read, and how


def ledger(
    decisions: pa.RecordBatch, places: pa.Table, split: Split, sources: tuple[str, ...], items: pa.StringArray
) -> pa.RecordBatch:
    """DECISION for every document of a split, by ordinal, and where each was read -> LEDGER.

    `items` are the names of those that were looked for, by number.
    """
    paths = pa.array([piece.path for piece in split.pieces], pa.string())
    words = {
        "source": pa.array(sources, pa.string()).take(decisions["source"]),
        "stage": _word(decisions["stage"], contracts.STAGES),
        "reason": _word(decisions["reason"], contracts.REASONS),
        "origin": _word(decisions["origin"], contracts.ORIGINS),
        "origin_basis": _word(decisions["origin_basis"], contracts.BASES),
    }
    stays = pa.array(decisions["reason"].to_numpy() != WITHDRAWN)
    same = ("kept", "cluster_size", "similarity", "copies", "n_tokens", "p_synthetic")
    return contracts.LEDGER.batch(
        {
            **words,
            **{name: decisions[name] for name in same},
            "id": hexadecimal(decisions["doc_id"]),
            "input_id": joined(places["id"]),
            "survivor_id": hexadecimal(decisions["survivor_id"]),
            "earlier_id": _hexadecimal_or_null(decisions["earlier_id"]),
            "cluster_id": hexadecimal(_as_bytes(decisions["cluster"])),
            "path": paths.take(joined(places["file"])),
            "row": joined(places["row"]),
            "removed_tokens": joined(places["removed_tokens"]),
            **{name: joined(places[name]) for name in (*SHOWN, *AS_SURVEYED)},
            **{name: pc.if_else(stays, joined(places[name]), None) for name in ABOUT},
            "contaminated_by": _items(joined(places["contaminated_by"]), items),
            "evidence": in_words(decisions["evidence"].to_numpy()),
            "text_kind": _word(joined(places["text_kind"]), KINDS),
            "masked": _masked(decisions["kept"], joined(places["personal"])),
        }
    )


def _masked(kept: pa.BooleanArray, packed: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """What `emit` masks: of what is dropped there is no text."""
    figures = unpack(packed)
    return (
        pa.nulls(len(kept), pa.string()) if figures is None else pc.if_else(kept, masked_in_words(figures.masked), None)
    )


def _items(packed: pa.BinaryArray, names: pa.StringArray) -> pa.ListArray:
    """The names of the items that each document holds; null where it holds none."""
    offsets, pairs = unpack_items(packed)
    held = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), names.take(pa.array(pairs[:, 0])))
    return pc.if_else(pa.array(np.diff(offsets) > 0), held, pa.scalar(None, held.type))


def _hexadecimal_or_null(ids: pa.BinaryArray) -> pa.StringArray:
    """As `hexadecimal`, of a column that has mostly nulls."""
    if ids.null_count == len(ids):
        return pa.nulls(len(ids), pa.string())
    words = hexadecimal(ids.drop_null().cast(contracts.HASH))
    return pc.replace_with_mask(pa.nulls(len(ids), pa.string()), ids.is_valid(), words)


def _word(numbers: pa.Array, words: tuple[str, ...]) -> pa.Array:
    """The words behind small numbers; the empty word is null."""
    return pa.array([word or None for word in words], pa.string()).take(pc.cast(numbers, pa.int32()))


def _as_bytes(numbers: pa.Array) -> pa.FixedSizeBinaryArray:
    data = numbers.to_numpy().astype(">u8")
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(data), [None, pa.py_buffer(data)])
