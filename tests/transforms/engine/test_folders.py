"""What is deleted: our own, by its exact path, and never across a link. And who holds what."""

import ast
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from transforms.engine import folders
from transforms.engine.files import below
from transforms.engine.folders import MARK, FolderError, HeldError, Mark

ROOT = pathlib.Path(__file__).parents[3]


def test_only_what_carries_our_mark_is_deleted(tmp_path: pathlib.Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("x")
    with pytest.raises(FolderError, match="does not carry lowbackground's mark"):
        folders.delete(str(theirs), str(theirs))
    folders.mark(str(ours), Mark("staging"))
    with pytest.raises(FolderError, match="does not lie in"):
        folders.delete(str(theirs), str(ours))
    with pytest.raises(FolderError, match="does not lie in"):
        folders.delete(str(ours / "deep" / "file"), str(ours))
    folders.delete(str(ours / "deep"), str(ours))
    assert below(str(ours)) == [MARK]
    folders.delete(str(ours), str(ours))
    assert not ours.exists()
    assert below(str(theirs)) == ["deep/file"]


def test_what_a_link_leads_to_stays(tmp_path: pathlib.Path) -> None:
    disk, ours = tmp_path / "disk", tmp_path / "ours"
    disk.mkdir()
    (disk / "file").write_text("x")
    folders.mark(str(ours), Mark("staging"))
    (ours / "link").symlink_to(disk)
    (ours / "attempt").mkdir()
    (ours / "attempt" / "link").symlink_to(disk)
    assert below(str(ours)) == [MARK, "attempt/link", "link"]
    folders.delete(str(ours / "link"), str(ours))
    folders.delete(str(ours), str(ours))
    assert not ours.exists()
    assert below(str(disk)) == ["file"]
    folders.mark(str(disk), Mark("release", "r"))
    ours.symlink_to(disk)
    with pytest.raises(FolderError):  # a linked folder is not ours, whatever is in it
        folders.delete(str(ours), str(ours))
    assert (disk / "file").exists()


@pytest.mark.parametrize("name", ["[ab]", "a*", "a?", "**"])
def test_a_path_is_no_pattern(tmp_path: pathlib.Path, name: str) -> None:
    for folder in (name, "a", "ab", "b"):
        folders.mark(str(tmp_path / folder), Mark("staging"))
        (tmp_path / folder / "file").write_text(folder)
    assert below(str(tmp_path / name)) == [MARK, "file"]
    folders.delete(str(tmp_path / name / "file"), str(tmp_path / name))
    folders.delete(str(tmp_path / name), str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "ab", "b"]
    assert all((tmp_path / folder / "file").exists() for folder in ("a", "ab", "b"))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "other"}', '{"format": "lowbackground.mark/1"}', "[" * 9000]
)
def test_what_is_no_mark_is_none(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / MARK).write_text(content)
    assert folders.mark_of(str(tmp_path)) is None


def test_a_mark_is_the_same_bytes_each_time(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        folders.mark(str(tmp_path / name), Mark("release", "small"))
    assert (tmp_path / "a" / MARK).read_bytes() == (tmp_path / "b" / MARK).read_bytes()
    assert folders.mark_of(str(tmp_path / "a")) == Mark("release", "small")


def test_a_folder_of_somebody_else_is_not_claimed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "their.parquet").write_text("x")
    with pytest.raises(FolderError, match=r"holds 'their.parquet' and not the mark"):
        folders.claim(str(tmp_path), Mark("signals"), "[0-9a-f]{32}.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["their.parquet"]
    (tmp_path / "their.parquet").rename(tmp_path / ("0" * 32 + ".parquet"))  # as an earlier version left it
    folders.claim(str(tmp_path), Mark("signals"), "[0-9a-f]{32}.parquet")
    assert folders.mark_of(str(tmp_path)) == Mark("signals")


HOLD = """
import sys, time
from transforms.engine import folders
with folders.held(sys.argv[1], "the release", forget=True):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lease_is_held_until_its_owner_ends_however_it_does(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "x.lease")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True, env=env)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    said = rf"the release is in use by process {owner.pid} on .* since 20.*; wait until it is done, or stop it"
    with pytest.raises(HeldError, match=said), folders.held(path, "the release"):
        pass
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    with folders.held(path, "the release", forget=True, patience=0):
        pass
    assert not os.path.exists(path)


def test_some_may_share_what_nobody_then_holds_alone(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "x.lease")
    shared = folders.held(path, "it", shared=True), folders.held(path, "it", shared=True)
    with shared[0], shared[1], pytest.raises(HeldError), folders.held(path, "it", patience=0):
        pass
    with folders.held(path, "it", patience=0):
        pass


# Where something may be deleted, and what: the one place for folders, and the name that a whole file has while it is written.
DELETES = {"rmtree", "unlink", "remove", "rmdir", "removedirs"}
MAY = {
    "transforms/engine/folders.py": {"rmtree", "unlink", "rmdir"},
    "transforms/engine/files.py": {"unlink"},
    "transforms/engine/job_graph.py": {"rmdir"},  # the empty folder that Beam has just made, by its exact name
    "pipeline/commands/status.py": {"delete"},  # the note of a job that was sent, by its exact name
    "transforms/signals/store.py": {"delete"},  # the signals of one split, by their exact name
    "transforms/signals/kept.py": {"delete"},  # one result, by its exact name
    "transforms/detector/training/train.py": {
        "remove"
    },  # the table of the detector that is written anew, by its exact name
}


def test_nothing_is_deleted_but_in_one_place() -> None:
    found = {}
    for top in ("pipeline", "transforms", "expectations"):
        for path in sorted((ROOT / top).rglob("*.py")):
            tree = ast.parse(path.read_text())
            calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            names = {
                call.attr
                for call in calls
                if isinstance(call, ast.Attribute)
                and isinstance(call.value, ast.Name)
                and (
                    (call.value.id in ("os", "shutil") and call.attr in DELETES)
                    or (call.value.id in ("storage", "system", "files") and call.attr.startswith("delete"))
                    or call.attr in ("unlink", "rmdir")  # of a pathlib.Path
                )
            }
            if names:
                found[str(path.relative_to(ROOT))] = names
    objects = {
        "expectations/storage.py": {"delete_file", "delete_dir"},
        "transforms/engine/files.py": {"delete"},
        "transforms/engine/folders.py": {"delete", "delete_below"},
    }
    for name, allowed in found.items():
        known = MAY.get(name, set()) | objects.get(name, set())
        assert allowed <= known, f"{name} deletes by itself: {allowed - known}"
    assert found["transforms/engine/folders.py"] >= {"rmtree", "unlink", "rmdir"}  # the test finds what there is
