"""Shards and their neighbours, whatever the sizes of batches, row groups and shards: every writer, from one byte upwards."""

import hashlib
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits
from transforms.kernels.text.columns import hexadecimal
from transforms.release.ledger import Recorded
from transforms.release.shards import EmitConfig, ShardConfig, Task, plan, write_shards
from transforms.signals import store as signals
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, write_parquet

NUM_PERM = 4


def emitted(
    folder: pathlib.Path, texts: list[list[str]], kept: list[list[bool]], batch_bytes: int = 1 << 20, **shards: int
) -> list[pa.Table]:
    """Files of one document a line, really read; a ledger and signatures as the stages before leave them; and their shards."""
    (folder / "in").mkdir(parents=True)
    for number, lines in enumerate(texts):
        records = [json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(lines)]
        (folder / "in" / f"{number:03d}.jsonl").write_text("".join(records))
    source = Source(name="s", path=str(folder / "in"))
    splits = tuple(plan_splits([source], 1))
    store = SignalStore(str(folder / "signals"), (("source 0", "s"),))
    limits, recorded = ReadLimits(batch_bytes=batch_bytes), []
    for split, chosen in zip(splits, [k for lines, k in zip(texts, kept, strict=True) if lines], strict=False):
        documents = pa.concat_batches([good for good, _ in read_split(split, source, limits)])
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
        path = folder / "staging" / "ledger" / f"{split.index}.parquet"
        write_parquet(str(path), [ledger(documents, chosen)], contracts.LEDGER.schema)
        size = sum(len(row["text"]) for row, k in zip(documents.to_pylist(), chosen, strict=True) if k)
        recorded.append(Recorded(split.index, str(path), n, sum(chosen), size))
    config = EmitConfig(ShardConfig(**shards), str(folder / "staging"), NUM_PERM, "code")
    corpus = Corpus((source,), splits, store, limits)
    (folder / "staging" / "data").mkdir(parents=True)
    (folder / "staging" / "signatures").mkdir()
    tables = []
    for task in plan(recorded, config.shards):
        written = list(write_shards(Task(task.number, task.parts), config, corpus))
        assert [shard.number for shard in written[1:]] == list(range(len(written) - 1))
        for shard in written:
            data = pathlib.Path(shard.path).read_bytes()
            assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
            table = pq.read_table(shard.path)
            assert table.num_rows == shard.rows
            assert shard.rows
            tables += [table] if shard.folder == "data" else []
        [signed_rows] = [shard.rows for shard in written if shard.folder == "signatures"]
        assert signed_rows == sum(shard.rows for shard in written if shard.folder == "data")
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
