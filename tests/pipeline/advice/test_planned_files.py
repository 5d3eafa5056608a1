"""How much of storage a source takes, and files that two sources read."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.advice.planned_files import bytes_of, planned_files, read_twice
from transforms.ingest.sources import Source, plan_splits


def test_a_file_that_is_read_in_parts_counts_once_and_whole(tmp_path: pathlib.Path) -> None:
    table = pa.table({"text": [f"text {i} " * 50 for i in range(1000)]})
    path = tmp_path / "large.parquet"
    pq.write_table(table, path, row_group_size=100, compression="none")
    splits = plan_splits([Source(name="a", path=str(path))], 100_000)
    assert len(splits) > 2
    planned = planned_files(splits, 0)
    assert [*planned] == [str(path)]
    assert path.stat().st_size - 10 <= bytes_of(planned) <= path.stat().st_size  # shares of row groups are rounded down


@pytest.mark.parametrize("other", ["data", "./data", "link", "data/*.jsonl", "data/../link"])
def test_two_names_of_one_folder_are_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "data" / f"{name}.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "link").symlink_to("data")
    sources = [Source(name="one", path="data"), Source(name="two", path=other)]
    first, *_ = read_twice(sources, plan_splits(sources))
    assert first.startswith("warning: sources one (data/a.jsonl) and two (")
    assert "read the same file, and 2 more files; " in first


def test_files_of_two_sources_in_one_folder_are_not_the_same(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "b.txt").write_text("x")
    sources = [Source(name="one", path=str(tmp_path)), Source(name="two", path=str(tmp_path), format="text")]
    assert [*read_twice(sources, plan_splits(sources))] == []
    assert [*read_twice(sources[:1], plan_splits(sources[:1]))] == []
