"""A file is whole or not there, and what was there stays until the new one is whole."""

import errno
import os
import pathlib

import pytest

from transforms.engine import files


def test_a_file_is_written_and_its_folder_made(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "c.json"
    files.write(str(path), b"one")
    files.write(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["c.json"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "c.json"
    files.write(str(path), b"one")
    with pytest.raises(KeyError), files.whole(str(path)) as file:  # noqa: PT012 (it is the block that fails)
        file.write(b"tw")
        raise KeyError
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path: pathlib.Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.json"
    files.write(str(path), b"one")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        files.write(str(path), b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


def test_a_name_in_the_working_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write("c.json", b"one")
    assert (tmp_path / "c.json").read_bytes() == b"one"
