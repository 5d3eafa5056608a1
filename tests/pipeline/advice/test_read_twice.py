"""Files that two sources read, by whatever names."""

import pathlib

import pytest

from pipeline.advice.remarks import read_twice
from transforms.ingest.sources import Source, found_of


def said(sources: list[Source]) -> list[str]:
    return [*read_twice(sources, [found.pieces for found in found_of(sources)])]


@pytest.mark.parametrize("other", ["data", "./data", "link", "data/*.jsonl", "data/../link"])
def test_two_names_of_one_folder_are_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "data" / f"{name}.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "link").symlink_to("data")
    sources = [Source(name="one", path="data"), Source(name="two", path=other)]
    first, *_ = said(sources)
    assert first.startswith("warning: sources one (data/a.jsonl) and two (")
    assert "read the same file, and 2 more files; " in first


def test_files_of_two_sources_in_one_folder_are_not_the_same(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "b.txt").write_text("x")
    sources = [Source(name="one", path=str(tmp_path)), Source(name="two", path=str(tmp_path), format="text")]
    assert said(sources) == []
    assert said(sources[:1]) == []
