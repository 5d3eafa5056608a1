"""The same rows as JSONL and as Parquet are the same documents, row by row."""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits


def read(path: pathlib.Path, **source: object) -> tuple[list[dict], list[str]]:
    one = Source.model_validate({"name": "s", "path": str(path), **source})
    pairs = [pair for split in plan_splits([one]) for pair in read_split(split, one, ReadLimits())]
    rows = [{k: v for k, v in row.items() if k != "file"} for good, _ in pairs for row in good.to_pylist()]
    return rows, [reason for _, bad in pairs for reason in bad["reason"].to_pylist()]


def in_both(folder: pathlib.Path, table: pa.Table, **source: object) -> tuple[list[dict], list[str]]:
    """What is read of a table, once it is sure that both formats agree."""
    pq.write_table(table, folder / "a.parquet")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    found = read(folder / "a.parquet", **source)
    assert read(folder / "a.jsonl", **source) == found
    return found


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_half_of_the_rows_have_text_and_half_content(tmp_path: pathlib.Path, kind: pa.DataType) -> None:
    n = 100
    text = pa.array([f"row {i}" if i < n // 2 else None for i in range(n)], kind)
    content = pa.array([None if i < n // 2 else f"row {i}" for i in range(n)], kind)
    rows, bad = in_both(tmp_path, pa.table({"id": range(n), "text": text, "content": content}))
    assert [row["text"] for row in rows] == [f"row {i}" for i in range(n)]
    assert [row["id"] for row in rows] == [str(i) for i in range(n)]
    assert bad == []


def test_a_first_column_that_is_no_text_is_a_bad_record_where_it_says_something(tmp_path: pathlib.Path) -> None:
    table = pa.table({"text": [1, None, None], "content": ["a", "b", None]})
    rows, bad = in_both(tmp_path, table)
    assert [row["text"] for row in rows] == ["b"]
    assert bad == ["text_not_string", "missing_text"]


def test_a_column_that_the_recipe_names_is_alone(tmp_path: pathlib.Path) -> None:
    table = pa.table({"text": ["a", None], "content": ["c", "d"]})
    rows, bad = in_both(tmp_path, table, fields={"text": "text"})
    assert [row["text"] for row in rows] == ["a"]
    assert bad == ["missing_text"]


def test_bytes_that_are_no_text_are_not_replaced_by_another_column(tmp_path: pathlib.Path) -> None:
    pq.write_table(pa.table({"text": [b"\xff", None], "content": ["c", "d"]}), tmp_path / "a.parquet")
    rows, bad = read(tmp_path / "a.parquet")
    assert ([row["text"] for row in rows], bad) == (["d"], ["invalid_utf8"])
