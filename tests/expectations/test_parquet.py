"""How Parquet of our own is read: like Arrow's own reader, and without a thread that outlives the reading."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations import parquet

TABLE = pa.table({"id": ["a", "b", "c"], "tokens": pa.array([1, None, 3], pa.int64()), "words": [["x"], [], None]})


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=2)
    return str(tmp_path / "t.parquet")


@pytest.mark.parametrize("columns", [None, ["id"], ["words", "id"], ("tokens",), []])
@pytest.mark.parametrize("how", ["path", "mapped", "bytes", "store"])
def test_it_reads_what_arrow_reads(path: str, columns: list[str] | None, how: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    source = pa.py_buffer(pathlib.Path(path).read_bytes()) if how == "bytes" else path
    if how == "store":  # whatever is not of this machine is a file of Python's
        monkeypatch.setattr(parquet, "is_local", lambda _: False)
    expected = pq.read_table(path, columns=None if columns is None else list(columns))
    assert parquet.read(source, columns, mapped=how == "mapped").equals(expected)
    with parquet.opened(source) as file:
        assert file.metadata.num_rows == 3


@pytest.mark.parametrize("mapped", [False, True])
def test_a_name_need_not_be_utf_8(path: str, mapped: bool) -> None:
    named = pathlib.Path(path).rename(pathlib.Path(path).with_name("\udcff.parquet"))
    assert parquet.read(str(named), mapped=mapped).equals(TABLE)


def test_a_column_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(KeyError, match="links"):
        parquet.read(path, ["id", "links"])


def test_what_cannot_be_read_is_an_error_of_arrow_or_of_the_system(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        parquet.read(path + "x")
    pathlib.Path(path).write_bytes(b"PAR1 is how it begins")
    for source in (path, pa.py_buffer(b"")):
        with pytest.raises(pa.ArrowInvalid):
            parquet.read(source)
