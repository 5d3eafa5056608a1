"""Verdict and ledger -> shards: read the text a second time and write what was kept.

A task is a run of splits whose kept text fills about one shard (or one split that fills several). Tasks and shards
depend on the splits and the decisions only, so they come out the same whoever does the work, and in whatever order.
"""

import concurrent.futures
import dataclasses
import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from expectations import contracts
from expectations.judge.verdict import Verdict
from expectations.loading import Strict
from transforms.dedup.earlier_releases import FOLDER
from transforms.engine import counted
from transforms.engine.files import HashedFile
from transforms.engine.memory import give_back
from transforms.engine.progress import TALLY
from transforms.engine.stage import Stage
from transforms.engine.threads import spread
from transforms.ingest.paragraph_removal import MaybeUnwanted, Unwanted, as_sides
from transforms.kernels.text.columns import joined, text_buffers
from transforms.release.earlier_shards import (
    NO_FILES,
    ReleasedFiles,
    ShardFile,
    copy_file,
    forget_files,
    keep_files,
    kept_files,
)
from transforms.release.earlier_texts import EarlierTexts, TextPlace
from transforms.release.ledger import Recorded
from transforms.release.released_text import ReleasedBatch, released
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept
from transforms.signals.store import SignalStore, read_parquet

DATA = "data"
COMPRESSION = {"compression": "zstd", "compression_level": 3}
AT_ONCE_BYTES = 32_000_000  # of kept text in a split that is read as a whole


class ShardConfig(Strict):
    """What shards look like."""

    shard_bytes: int = Field(500_000_000, ge=1, description="about how much text, uncompressed, one shard holds")
    row_group_bytes: int = Field(16_000_000, ge=1, description="about how much text one row group holds, under 100 MB")
    signatures: bool = Field(
        True, description="put MinHash signatures beside the shards, for later releases to compare with"
    )
    keep: tuple[str, ...] = Field((), description="columns of the input that go into the release, as text")

    @field_validator("keep")
    @classmethod
    def _are_no_columns_of_its_own(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        taken = contracts.release(()).schema.names
        for number, name in enumerate(keep):
            if name in taken or name in keep[:number]:
                raise ValueError(f"a release has one column called {name!r} already; leave it out")
        return keep


@dataclasses.dataclass(frozen=True)
class Task:
    """Splits that one worker writes, in order."""

    number: int
    parts: tuple[Recorded, ...]

    @property
    def num_rows(self) -> int:
        """Documents to write, as the engine counts them."""
        return sum(part.kept for part in self.parts)


@dataclasses.dataclass(frozen=True)
class Shard:
    """A written file, still in the staging folder. `folder` is where it goes, `tokens` a sum, `bytes` the file's size."""

    task: int
    number: int  # within its task
    path: str
    rows: int
    tokens: int
    bytes: int
    sha256: str
    folder: str = DATA

    @property
    def num_rows(self) -> int:
        """Documents written, as the engine counts them."""
        return self.rows if self.folder == DATA else 0


@dataclasses.dataclass(frozen=True)
class EmitConfig:
    """All that a worker needs to write the shards of a corpus."""

    shards: ShardConfig
    staging: str
    num_perm: int  # of the signatures
    code: str  # a digest of what writes
    released: ReleasedFiles = NO_FILES  # that need not be written again

    def kept(self, task: Task, store: SignalStore) -> Kept | None:
        """Where it is kept what was written of a task's splits; None: a file could not be read, and may be the next time."""
        if not all(part.made_of for part in task.parts):
            return None
        asked = self.shards
        settings = [self.code, self.num_perm, asked.shard_bytes, asked.row_group_bytes, asked.signatures, asked.keep]
        parts = [part.made_of for part in task.parts]
        return _kept(store, settings, parts)

    def has_all(self, recorded: Iterable[Recorded], store: SignalStore) -> bool:
        """Whether releases say that they have the files of all tasks of a ledger."""
        found = [self.kept(task, store) for task in plan(recorded, self.shards)]
        files = [kept_files(kept) if kept else [] for kept in found]
        return all(own and all(one.sha256 in self.released.places for one in own) for own in files)


def _kept(store: SignalStore, *depends_on: object) -> Kept:
    return Kept(store, hashlib.blake2b(orjson.dumps(depends_on), digest_size=16).hexdigest())


@dataclasses.dataclass(eq=False)
class Emit(Stage):
    """(Recorded, verdict, paragraphs that are removed) -> Shard, if the verdict lets it."""

    config: EmitConfig
    corpus: Corpus

    def expand(
        self, inputs: tuple[beam.PCollection[Recorded], beam.PCollection[str], MaybeUnwanted]
    ) -> beam.PCollection[Shard]:
        """Plan on one worker, then one task after the other on any."""
        recorded, verdict, unwanted = inputs
        tasks = (
            recorded
            | "Together" >> counted.ToList("parts of the ledger")
            | "Plan"
            >> counted.ParDo("the ledger to its shards", _Plan(self.config.shards), beam.pvalue.AsSingleton(verdict))
            | "Spread" >> counted.Reshuffle("shards to write")
        )
        shards = tasks | "WriteShards" >> counted.ParDo(
            "shards to their texts", _WriteShards(self.config, self.corpus), *as_sides(unwanted)
        )
        tasks | "Kept" >> counted.RowsOf("kept documents to shards", counted.SENT)
        shards | "Written" >> counted.RowsOf("kept documents to shards", counted.ARRIVED)
        if self.config.shards.signatures:
            tasks | "Signed" >> counted.RowsOf("kept documents to signatures", counted.SENT)
            shards | "Signatures" >> counted.RowsOf("kept documents to signatures", counted.ARRIVED, signatures_in)
        return shards


def signatures_in(shard: Shard) -> int:
    """How many signatures a file holds."""
    return shard.rows if shard.folder == FOLDER else 0


class _Plan(beam.DoFn):
    """A failed gate leaves `emit` without work."""

    def __init__(self, config: ShardConfig) -> None:
        self.config = config

    def process(self, recorded: list[Recorded], verdict: str) -> Iterator[Task]:
        if Verdict.from_json(verdict).passed:
            tasks = plan(recorded, self.config)
            TALLY.add(documents_to_write=sum(part.kept for task in tasks for part in task.parts))
            yield from tasks


def plan(recorded: Iterable[Recorded], config: ShardConfig) -> list[Task]:
    """Cut the splits, in order, into tasks of about one shard each. Splits of which nothing is kept are left out.

    A task that is half full also ends before a split that may begin one: what is new or gone changes the tasks near it.
    """
    tasks: list[list[Recorded]] = []
    filled = config.shard_bytes
    for part in sorted(recorded, key=lambda part: part.split):
        if not part.kept:
            continue
        begins = part.may_begin and filled >= config.shard_bytes / 2
        if begins or filled >= config.shard_bytes or filled + part.kept_bytes > 1.25 * config.shard_bytes:
            tasks.append([])
            filled = 0
        tasks[-1].append(part)
        filled += part.kept_bytes
    return [Task(number, tuple(parts)) for number, parts in enumerate(tasks)]


class _WriteShards(beam.DoFn):
    def __init__(self, config: EmitConfig, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus

    def process(self, task: Task, *sides: Any) -> Iterator[Shard]:
        yield from write_shards(task, self.config, self.corpus, *sides)


def write_shards(task: Task, config: EmitConfig, corpus: Corpus, unwanted: Unwanted = None) -> Iterator[Shard]:
    """Write a task's documents, starting another shard whenever one is full, and their signatures; or copy all of them."""
    kept = config.kept(task, corpus.store)
    shards = _copied(task, config, kept) if kept else []
    if not shards:
        if kept:
            forget_files(kept)  # else a later run would count on them again
        made = _signatures(task, config, corpus), _written(task, config, corpus, unwanted)
        shards = [shard for part in spread(list, iter(made)) for shard in part]  # the two beside each other
        if kept and shards:
            keep_files(kept, [ShardFile(s.folder, s.rows, s.tokens, s.bytes, s.sha256) for s in shards])
    yield from shards


def _written(task: Task, config: EmitConfig, corpus: Corpus, unwanted: Unwanted) -> Iterator[Shard]:
    schema = contracts.release(config.shards.keep).schema
    writer: _ShardWriter | None = None
    shards: list[Shard] = []
    placed: list[list[Any]] = []  # of each part its batches: number, shard, first row there, ordinals
    places = _kept(corpus.store, config.code, config.shards.keep)
    earlier = EarlierTexts(places, config.released, config.shards.keep)
    parts = spread(lambda part: _released_part(part, corpus, unwanted, earlier), iter(task.parts))
    for batches in parts:
        placed.append([])
        for one in batches:
            if not one.rows.num_rows:  # nothing of it is kept, so it opens no shard
                continue
            writer = writer or _ShardWriter(task.number, len(shards), schema, config)
            placed[-1].append((one.number, len(shards), writer.rows, one.ordinals))
            writer.add(one.rows)
            TALLY.add(documents_written=one.rows.num_rows)
            if writer.text_bytes >= config.shards.shard_bytes:
                shards.append(writer.close())
                yield shards[-1]
                writer = None
    if writer is not None:
        shards.append(writer.close())
        yield shards[-1]
    for part, own in zip(task.parts, placed, strict=True):
        read = [TextPlace(number, shards[at].sha256, *rows) for number, at, *rows in own if number is not None]
        if len(read) == len(own):  # else an earlier release has as much of it, or more
            earlier.keep(corpus.split(part.split), read)


def _copied(task: Task, config: EmitConfig, kept: Kept) -> list[Shard]:
    """A task's files as an earlier release has them; none if it does not have all of them."""
    shards: list[Shard] = []
    for file in kept_files(kept):
        number = sum(shard.folder == file.folder for shard in shards)
        path = _path(config, file.folder, task.number, number)
        if not copy_file(file, config.released, path):
            return []
        shards.append(Shard(task.number, number, path, file.rows, file.tokens, file.bytes, file.sha256, file.folder))
    TALLY.add(documents_written=sum(shard.num_rows for shard in shards))
    return shards


def _path(config: EmitConfig, folder: str, task: int, number: int) -> str:
    return posixpath.join(config.staging, folder, f"task-{task:05d}-{number:05d}.parquet")


def _signatures(task: Task, config: EmitConfig, corpus: Corpus) -> Iterator[Shard]:
    """The signatures of a task's documents, in their order, as one file, if they are asked for."""
    if not config.shards.signatures:
        return
    path = _path(config, FOLDER, task.number, 0)
    file = HashedFile(path)
    schema = contracts.signed(config.num_perm).schema
    rows = 0
    with pq.ParquetWriter(file, schema, compression="NONE", use_dictionary=False, write_statistics=False) as writer:
        for part in task.parts:
            kept = joined(read_parquet(part.path, ["kept"])["kept"])
            signed = corpus.signals(corpus.split(part.split), list(contracts.SIGNED)).filter(kept)
            writer.write_table(signed)
            rows += signed.num_rows
    file.close()
    yield Shard(task.number, 0, path, rows, 0, file.size, file.sha256.hexdigest(), FOLDER)


def _released_part(
    part: Recorded, corpus: Corpus, unwanted: Unwanted, earlier: EarlierTexts
) -> Iterable[ReleasedBatch]:
    """All batches of a small split at once, so that several are read at a time; those of a large one as they come."""
    batches = released(part, corpus, unwanted, earlier)
    return list(batches) if part.kept_bytes <= AT_ONCE_BYTES else batches


class _ShardWriter:
    """One Parquet file: rows collect until a row group is full, which is written while the next is read.

    Batches that are added have rows.
    """

    def __init__(self, task: int, number: int, schema: pa.Schema, config: EmitConfig) -> None:
        self.task, self.number, self.config = task, number, config
        self.path = _path(config, DATA, task, number)
        self.rows = self.tokens = self.text_bytes = self.pending_bytes = 0
        self.pending: list[pa.RecordBatch] = []
        self.schema = schema
        self.beside = concurrent.futures.ThreadPoolExecutor(1)
        self.writing: concurrent.futures.Future[None] | None = None
        self.file = HashedFile(self.path)
        self.writer = pq.ParquetWriter(
            self.file,
            schema,
            **COMPRESSION,
            use_dictionary=["source", "language", "origin", "origin_basis", "evidence", "generator"],
            write_page_index=True,
        )

    def add(self, batch: pa.RecordBatch) -> None:
        self.pending.append(batch)
        self.rows += batch.num_rows
        begins = text_buffers(batch["text"])[1]
        size = int(begins[-1] - begins[0]) + begins.nbytes
        self.text_bytes += size
        self.pending_bytes += size
        if self.pending_bytes >= self.config.shards.row_group_bytes:
            self.flush()

    def flush(self) -> None:
        """Begin to write what is held as a row group, once the last one is; nothing is held if the last batch filled one."""
        if self.pending:
            table = pa.Table.from_batches(self.pending, self.schema)
            self.settle()
            self.writing = self.beside.submit(self.write, table)
            self.tokens += int(pa.compute.sum(table["n_tokens"]).as_py())
        self.pending, self.pending_bytes = [], 0

    def write(self, table: pa.Table) -> None:
        self.writer.write_table(table, row_group_size=table.num_rows)
        give_back()  # what was read, encoded and compressed for one is a third of what a run holds

    def settle(self) -> None:
        """Wait until what was begun is written."""
        if self.writing:
            self.writing.result()

    def close(self) -> Shard:
        self.flush()
        self.settle()
        self.beside.shutdown()
        self.writer.close()
        self.file.close()
        holds = self.rows, self.tokens, self.file.size, self.file.sha256.hexdigest()
        return Shard(self.task, self.number, self.path, *holds)
