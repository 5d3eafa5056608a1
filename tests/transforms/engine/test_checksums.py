"""A Parquet file with its checksum inside: no damage passes, and every reader still reads it."""

import os
import pathlib

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.engine import checksums
from transforms.engine.checksums import DamagedError, ensure, verify
from transforms.signals.store import is_usable, read_parquet, write_parquet

SCHEMA = pa.schema([("hash", pa.uint64()), ("word", pa.string())])
ROWS = pa.record_batch([pa.array([1, 2, 2**64 - 1], pa.uint64()), pa.array(["a", None, "c" * 50])], SCHEMA)


def written(folder: pathlib.Path, **options: object) -> pathlib.Path:
    write_parquet(str(folder / "a.parquet"), [ROWS], SCHEMA, plain=("hash",), **options)
    return folder / "a.parquet"


def test_it_is_plain_parquet_for_others_and_the_same_bytes_every_time(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path)
    assert verify(str(path))
    assert pq.read_table(path).to_pylist() == ROWS.to_pylist()
    assert duckdb.sql(f"select count(*), max(hash) from '{path}'").fetchall() == [(3, 2**64 - 1)]
    data = path.read_bytes()
    assert written(tmp_path).read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_columns_come_as_they_were_asked_for_and_say_nothing_of_their_file(tmp_path: pathlib.Path) -> None:
    """Its checksum would be a lie in another file that they are written to."""
    path = str(written(tmp_path))
    for columns in (SCHEMA.names, ["word", "hash"], ["word"], []):
        assert read_parquet(path, columns).equals(pa.table(ROWS).select(columns), check_metadata=bool(columns))
    assert read_parquet(path).schema.metadata is None


def test_every_bit_counts(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        path.write_bytes(data)
        with pytest.raises(DamagedError, match="run again") as error:
            verify(str(path))
        assert str(path) in str(error.value)
    path.write_bytes(whole)
    assert verify(str(path))


@pytest.mark.parametrize("left", [0, 1, 7, 8, 100, -1])
def test_what_is_cut_off_is_damaged(tmp_path: pathlib.Path, left: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DamagedError, match=r"empty|end|checksum|bytes"):
        verify(str(path))
    assert not is_usable(str(path))


def test_a_parquet_file_of_others_is_not_ours(tmp_path: pathlib.Path) -> None:
    pq.write_table(pa.Table.from_batches([ROWS]), tmp_path / "a.parquet")
    with pytest.raises(DamagedError, match="no checksum"):
        verify(str(tmp_path / "a.parquet"))


def test_one_that_is_not_there_is_no_damage(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not is_usable(str(tmp_path / "none.parquet"))
    assert caplog.messages == []


def test_what_does_not_last_and_what_is_made_of_another_thing_is_not_used_again(tmp_path: pathlib.Path) -> None:
    assert not is_usable(str(written(tmp_path, lasts=False)))
    assert is_usable(str(written(tmp_path, made_of="x")), "x")
    assert not is_usable(str(tmp_path / "a.parquet"), "y")
    assert not is_usable(str(tmp_path / "a.parquet"))
    assert read_parquet(str(tmp_path / "a.parquet")).num_rows == 3  # this run goes on with it


def test_a_file_is_read_once_and_again_when_it_was_touched(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    read: list[str] = []
    below = checksums._read
    monkeypatch.setattr(checksums, "_read", lambda path: read.append(path) or below(path))
    ensure(str(path))  # as it was written
    assert read == []
    assert verify(str(path))
    ensure(str(path))
    assert len(read) == 1
    before = os.stat(path)
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)  # the same size and, as a tool that restores files does, the same time of change
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DamagedError):
        ensure(str(path))
