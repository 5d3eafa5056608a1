"""Small row groups are decoded together; one that is damaged is lost alone."""

import pathlib
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.ingest import parquet
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits

TEXTS = [f"The text of row {i}, all of it. " * (1 + i % 5) for i in range(500)]


def written(folder: pathlib.Path, rows: int) -> pathlib.Path:
    path = folder / "a.parquet"
    table = pa.table({"text": TEXTS, "id": [str(i) for i in range(500)]})
    plain = {"compression": "NONE", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, path, row_group_size=rows, write_page_checksum=True, **plain)
    return path


def read(path: pathlib.Path) -> tuple[list[tuple[int, str]], list[dict]]:
    source = Source(name="s", path=str(path))
    pairs = [pair for split in plan_splits([source]) for pair in read_split(split, source, ReadLimits())]
    good = [(row["row"], row["text"]) for batch, _ in pairs for row in batch.to_pylist()]
    return good, [row for _, bad in pairs for row in bad.to_pylist()]


def test_a_row_a_group_is_not_a_batch_a_row(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path, 1)
    with mock.patch.object(parquet, "finish", wraps=parquet.finish) as finished:
        assert read(path) == (list(enumerate(TEXTS)), [])
    assert finished.call_count == 1


def test_damaged_groups_are_lost_alone(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path, 3)
    data = bytearray(path.read_bytes())
    for row in (7, 100, 499):
        at = data.index(TEXTS[row].encode())
        data[at] ^= 1
    path.write_bytes(data)
    good, bad = read(path)
    lost = {row for first in (6, 99, 498) for row in range(first, min(first + 3, 500))}
    assert good == [(i, text) for i, text in enumerate(TEXTS) if i not in lost]
    assert [(row["row"], row["records"], row["reason"]) for row in bad] == [
        (6, 3, "corrupt_file"),
        (99, 3, "corrupt_file"),
        (498, 2, "corrupt_file"),
    ]
    assert "row group 33 with its 3 rows" in bad[1]["detail"]


def test_runs_of_groups_cover_each_once_whatever_their_sizes(tmp_path: pathlib.Path) -> None:
    sizes = np.array([1, 10, 4_000_000, 5, 5, 1_400_000, 1_400_000, 1])
    path = tmp_path / "a.parquet"
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="NONE", use_dictionary=False) as writer:
        for size in sizes.tolist():
            writer.write_table(pa.table({"text": ["x" * size]}))
    footer = pq.read_metadata(path)
    assert list(parquet._runs(footer, 0, 8)) == [(0, 2), (2, 3), (3, 6), (6, 8)]
    assert list(parquet._runs(footer, 3, 5)) == [(3, 5)]
    assert list(parquet._runs(footer, 4, 4)) == []
