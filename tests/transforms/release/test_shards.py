"""Shards and their neighbours, whatever the sizes of batches, row groups and shards: every writer, from one byte upwards."""

import hashlib
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from transforms.engine.threads import THREADS
from transforms.ingest import readers
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, Split, plan_splits
from transforms.kernels.text.columns import hexadecimal
from transforms.release import earlier_texts
from transforms.release.earlier_shards import NO_FILES, ReleasedFiles
from transforms.release.earlier_texts import EarlierTexts
from transforms.release.ledger import Recorded
from transforms.release.shards import EmitConfig, Shard, ShardConfig, plan, write_shards
from transforms.signals import store as signals
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, write_parquet

NUM_PERM = 4


class Surveyed(NamedTuple):
    """Files of one document a line, as the survey leaves them: one split each."""

    corpus: Corpus
    documents: list[pa.RecordBatch]


def surveyed(folder: pathlib.Path, texts: list[list[str]], batch_bytes: int = 1 << 20) -> Surveyed:
    """Really written, really read."""
    (folder / "in").mkdir(parents=True)
    for number, lines in enumerate(texts):
        records = [json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(lines)]
        (folder / "in" / f"{number:03d}.jsonl").write_text("".join(records))
    source, limits = Source(name="s", path=str(folder / "in")), ReadLimits(batch_bytes=batch_bytes)
    splits = tuple(plan_splits([source], 1))
    store = SignalStore(str(folder / "signals"), (("source 0", "s"),))
    read = [pa.concat_batches([good for good, _ in read_split(split, source, limits)]) for split in splits]
    for split, documents in zip(splits, read, strict=True):
        n = documents.num_rows
        signed = contracts.signed(NUM_PERM).batch(
            {
                "doc_id": documents["doc_id"], "content_hash": documents["doc_id"], "url_hash": pa.nulls(n, pa.uint64()),
                "n_shingles": np.ones(n, np.int32), "signature": pa.array([bytes(4 * NUM_PERM)] * n, pa.binary(4 * NUM_PERM)),
            }
        )  # fmt: skip
        left = signed.append_column("language", documents["language"])
        left = left.append_column("language_confidence", pa.nulls(n, pa.float32()))
        store.write(split, [left], left.schema)
    return Surveyed(Corpus((source,), splits, store, limits), read)


def written(
    found: Surveyed, staging: pathlib.Path, kept: list[list[bool]], earlier: ReleasedFiles = NO_FILES, **shards: int
) -> list[Shard]:
    """The shards of what is kept, split by split, with a ledger as the stage before leaves it."""
    recorded = []
    for split, documents, chosen in zip(found.corpus.splits, found.documents, kept, strict=True):
        path = staging / "ledger" / f"{split.index}.parquet"
        write_parquet(str(path), [ledger(documents, chosen)], contracts.LEDGER.schema)
        size = sum(len(row["text"]) for row, k in zip(documents.to_pylist(), chosen, strict=True) if k)
        recorded.append(Recorded(split.index, str(path), documents.num_rows, sum(chosen), size))
    config = EmitConfig(ShardConfig(**shards), str(staging), NUM_PERM, "code", earlier)
    tasks = plan(recorded, config.shards)
    return [shard for task in tasks for shard in write_shards(task, config, found.corpus)]


def emitted(
    folder: pathlib.Path, texts: list[list[str]], kept: list[list[bool]], batch_bytes: int = 1 << 20, **shards: int
) -> list[pa.Table]:
    """The documents of every shard, which is what is said of it."""
    chosen = [k for lines, k in zip(texts, kept, strict=True) if lines]
    tables = []
    found = written(surveyed(folder, texts, batch_bytes), folder / "staging", chosen, **shards)
    for _, (signatures, *data) in itertools.groupby(found, key=lambda shard: shard.task):
        assert [shard.number for shard in data] == list(range(len(data)))
        assert signatures.rows == sum(shard.rows for shard in data)
        for shard in (signatures, *data):
            content = pathlib.Path(shard.path).read_bytes()
            assert (shard.bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
            assert pq.read_metadata(shard.path).num_rows == shard.rows > 0
        tables += [pq.read_table(shard.path) for shard in data]
    return tables


def ledger(documents: pa.RecordBatch, kept: list[bool]) -> pa.RecordBatch:
    """Of which only the ids and what is kept matters here."""
    n, ids = documents.num_rows, hexadecimal(documents["doc_id"])
    known = {"kept": pa.array(kept), **dict.fromkeys(("id", "survivor_id", "cluster_id"), ids)}

    def plain(field: pa.Field) -> pa.Array:
        if field.nullable:
            return pa.nulls(n, field.type)
        return pa.array(["human" if pa.types.is_string(field.type) else 1] * n, field.type)

    return contracts.LEDGER.batch(
        {f.name: known[f.name] if f.name in known else plain(f) for f in contracts.LEDGER.schema}
    )


TEXTS = [[f"text {file} {i} {'x' * (7 * i)}" for i in range(6)] for file in range(3)]
ALL = [[True] * 6] * 3


def released(tables: list[pa.Table]) -> list[str]:
    return [text for table in tables for text in table["text"].to_pylist()]


def test_a_new_split_changes_the_tasks_near_it_and_no_others() -> None:
    def tasks(splits: list[int]) -> set[tuple[int, ...]]:
        first = [hashlib.blake2b(str(split).encode()).digest()[0] < 64 for split in splits]
        parts = [Recorded(at, str(split), 1, 1, 10, may_begin=first[at]) for at, split in enumerate(splits)]
        return {tuple(int(part.path) for part in task.parts) for task in plan(parts, ShardConfig(shard_bytes=100))}

    before = tasks([*range(600)])
    for new in (0, 17, 300, 599):
        after = tasks([*range(new), 10_000, *range(new, 600)])
        assert sorted(split for task in after for split in task) == [*range(600), 10_000]
        assert len(after - before) <= 12 < len(before) / 5


@pytest.mark.parametrize("shard_bytes", [1, 2, 50, 120, 10**9])
@pytest.mark.parametrize("row_group_bytes", [1, 2, 3, 40, 41, 10**9])
def test_every_kept_document_is_in_a_shard(tmp_path: pathlib.Path, row_group_bytes: int, shard_bytes: int) -> None:
    sizes = {"row_group_bytes": row_group_bytes, "shard_bytes": shard_bytes}
    assert released(emitted(tmp_path, TEXTS, ALL, 64, **sizes)) == [text for lines in TEXTS for text in lines]


def test_a_last_batch_that_fills_a_row_group(tmp_path: pathlib.Path) -> None:
    """Case 61: the number is chosen so that nothing is left to write at the end."""
    [table] = emitted(tmp_path, [["a" * 100], ["b" * 100]], [[True], [True]], row_group_bytes=100)
    assert table["text"].to_pylist() == ["a" * 100, "b" * 100]
    assert pq.ParquetFile(next((tmp_path / "staging" / "data").iterdir())).num_row_groups == 2


def test_no_shard_is_opened_for_nothing(tmp_path: pathlib.Path) -> None:
    kept = [[True] + [False] * 5, [False] * 6, [False] * 5 + [True]]
    tables = emitted(tmp_path, TEXTS, kept, 1, shard_bytes=1)
    assert released(tables) == [TEXTS[0][0], TEXTS[2][5]]
    assert len(list((tmp_path / "staging" / "data").iterdir())) == len(tables) == 2
    assert emitted(tmp_path / "none", TEXTS, [[False] * 6] * 3) == []


@settings(max_examples=25)
@given(st.data())
def test_borders_of_batches_change_nothing(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lines = st.lists(st.text("ab ", min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=8)
    texts = data.draw(st.lists(lines, min_size=1, max_size=3))
    kept = [[data.draw(st.booleans()) for _ in some] for some in texts]
    sizes = {name: data.draw(st.integers(1, 60)) for name in ("batch_bytes", "row_group_bytes", "shard_bytes")}
    found = released(emitted(tmp_path_factory.mktemp("run"), texts, kept, **sizes))
    assert found == [
        t for some, chosen in zip(texts, kept, strict=True) for t, k in zip(some, chosen, strict=True) if k
    ]


LONG = [[f"text {file} {i} {'x' * (7 * i)}" for i in range(24)] for file in range(2)]
EVERY = [[True] * 24] * 2
MOST = [[(3 * i + file) % 7 > 0 for i in range(24)] for file in range(2)]
HALF = [[a and b % 2 > 0 for b, a in enumerate(some)] for some in MOST]
SMALL = {"row_group_bytes": 300, "shard_bytes": 1200}


class Twice(NamedTuple):
    """A corpus that a run has released most of, and the bytes that half of it are for a run that finds nothing."""

    found: Surveyed
    earlier: list[Shard]
    expected: list[bytes]

    def again(self, staging: pathlib.Path, kept: list[list[bool]]) -> list[bytes]:
        """What a later run writes, which finds the earlier one."""
        places = ReleasedFiles({shard.sha256: shard.path for shard in self.earlier})
        return contents(written(self.found, staging, kept, places, **SMALL))


def contents(shards: list[Shard]) -> list[bytes]:
    return [pathlib.Path(shard.path).read_bytes() for shard in shards]


@pytest.fixture
def twice(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Twice:
    monkeypatch.setattr(readers, "SMALL_BYTES", 0)  # so that a split is many batches
    found = surveyed(tmp_path, LONG, 256)
    expected = contents(written(found, tmp_path / "alone", HALF, **SMALL))
    earlier = written(found, tmp_path / "earlier", MOST, **SMALL)  # its places are kept over those of the other
    assert len(expected) > 3 < len(earlier)
    return Twice(found, earlier, expected)


@pytest.fixture
def from_input(monkeypatch: pytest.MonkeyPatch, twice: Twice) -> list[int]:
    """The splits whose text is read from the input."""
    numbers, reading = [], Corpus.read

    def noting(self: Corpus, split: Split, *rest: object) -> object:
        numbers.append(split.index)
        return reading(self, split, *rest)

    monkeypatch.setattr(Corpus, "read", noting)
    return numbers


def test_text_that_an_earlier_release_has_is_read_there(
    tmp_path: pathlib.Path, twice: Twice, from_input: list[int]
) -> None:
    for number in range(2):  # what the first of them keeps does not hide the one that has more
        assert twice.again(tmp_path / f"later {number}", HALF) == twice.expected
    assert from_input == []
    assert sum(map(len, twice.again(tmp_path / "more", EVERY))) > sum(shard.bytes for shard in twice.earlier)
    assert sorted(from_input) == [0, 1]  # not all of it is there


def flipped(path: pathlib.Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:90] + bytes([data[90] ^ 1]) + data[91:])


DAMAGE = {
    "gone": pathlib.Path.unlink,
    "another file": lambda path: path.write_bytes(b"PAR1"),
    "half a file": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit": flipped,
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize(
    ("which", "damage"), [*(("a shard", how) for how in DAMAGE), ("what is kept", "gone"), ("what is kept", "one bit")]
)
def test_what_is_damaged_is_read_from_the_input(
    tmp_path: pathlib.Path, twice: Twice, from_input: list[int], which: str, damage: str
) -> None:
    data = [pathlib.Path(shard.path) for shard in twice.earlier if shard.folder == "data"]
    for path in data[1:2] if which == "a shard" else (tmp_path / "signals").glob("*.places.parquet"):
        DAMAGE[damage](path)
    assert twice.again(tmp_path / "later", HALF) == twice.expected
    assert from_input


@pytest.mark.parametrize("fails_at", [0, 1, 4])
def test_a_shard_that_changes_while_it_is_read_costs_no_row_and_doubles_none(
    tmp_path: pathlib.Path, twice: Twice, from_input: list[int], fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = itertools.count()
    reading = pq.ParquetFile.iter_batches

    def touching(self: pq.ParquetFile, *rest: object, **more: object) -> Iterator[pa.RecordBatch]:
        if next(reads) == fails_at:
            for shard in twice.earlier:
                flipped(pathlib.Path(shard.path))
        return reading(self, *rest, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", touching)
    assert twice.again(tmp_path / "later", HALF) == twice.expected
    assert from_input


def test_no_split_takes_what_was_read_for_another_when_the_shard_changed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = surveyed(tmp_path, LONG)
    expected = contents(written(found, tmp_path / "alone", HALF))
    earlier = written(found, tmp_path / "earlier", EVERY)  # one row group of both
    reading = pq.ParquetFile.iter_batches
    others = []

    def of_another(self: pq.ParquetFile, *rest: object, **more: object) -> Iterator[pa.RecordBatch]:
        flipped(pathlib.Path(earlier[1].path))
        for batch in reading(self, *rest, **more):
            texts = pa.array(["?"] * batch.num_rows, pa.large_string())
            others.append(batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), texts))
            yield others[-1]

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", of_another)
    places = ReleasedFiles({shard.sha256: shard.path for shard in earlier})
    assert contents(written(found, tmp_path / "later", HALF, places)) == expected
    assert others


def test_a_task_has_few_shards_open_and_looks_once_at_a_damaged_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, looked, opened = 3 * THREADS, [], []
    found, every = surveyed(tmp_path, [[f"text {file} {i}" for i in range(3)] for file in range(n)]), [[True] * 3] * n
    looking, rows = earlier_texts.VerifiedShard, EarlierTexts._rows

    def verifying(path: str, *rest: object) -> object:
        looked.append(path)
        return looking(path, *rest)

    def noting(self: EarlierTexts, *rest: object) -> pa.Table:
        try:
            return rows(self, *rest)
        finally:
            opened.append(len(self._shards))

    monkeypatch.setattr(earlier_texts, "VerifiedShard", verifying)
    monkeypatch.setattr(EarlierTexts, "_rows", noting)
    _, *alone = written(found, tmp_path / "earlier", every, shard_bytes=1)  # a shard of each split
    alone = [shard for shard in alone if shard.folder == "data"]
    _, together = written(found, tmp_path / "later", every, ReleasedFiles({s.sha256: s.path for s in alone}))
    assert (len(looked), max(opened)) == (n, THREADS + 1)
    for path in (tmp_path / "signals").glob("*.places.parquet"):
        path.unlink()
    _, together = written(found, tmp_path / "together", every)
    pathlib.Path(together.path).write_bytes(b"PAR1")
    looked.clear()
    written(found, tmp_path / "again", every, ReleasedFiles({together.sha256: together.path}))
    assert looked == [together.path]


def test_rows_of_another_document_are_not_taken(
    tmp_path: pathlib.Path, twice: Twice, from_input: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = EarlierTexts._places
    before = lambda self, split: [one._replace(row=max(one.row - 1, 0)) for one in known(self, split)]  # noqa: E731
    monkeypatch.setattr(EarlierTexts, "_places", before)
    assert twice.again(tmp_path / "later", HALF) == twice.expected
    assert sorted(from_input) == [0, 1]


@pytest.mark.parametrize(
    "contract", [contracts.LEDGER, contracts.QUARANTINE, contracts.OFFER, contracts.METRICS, contracts.REVIEW]
)
def test_no_batches_are_a_file_without_rows(tmp_path: pathlib.Path, contract: contracts.Contract) -> None:
    path = str(tmp_path / "a.parquet")
    for batches in ([], [contract.empty()], [contract.empty()] * 3):
        assert write_parquet(path, batches, contract.schema) == 0
        assert pq.read_table(path).schema.equals(contract.schema)


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 200))
def test_batches_of_any_size_are_written_whole(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group_bytes: int
) -> None:
    schema = pa.schema([("hash", pa.uint64()), ("word", pa.string())])
    batches = [
        pa.record_batch([pa.array(range(n), pa.uint64()), pa.array(["w"] * n, pa.string())], schema) for n in sizes
    ]
    path = str(tmp_path_factory.mktemp("run") / "a.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "ROW_GROUP_BYTES", group_bytes)
        assert write_parquet(path, batches, schema, plain=("hash",)) == sum(sizes)
    assert pq.read_table(path).equals(pa.Table.from_batches(batches, schema))
