"""The swap, the lease and `clean`, cut off at every single file operation: no release is ever half there, and none is lost.

The whole program, with real kills, is in benchmarks/crash_matrix.py.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from crashes import FAULTS, GROW, Faults, Killed, injected

from pipeline.assembly import Publication, done_path
from pipeline.commands.clean import clean_output
from pipeline.places import STAGING
from pipeline.recipe import RecipeError
from pipeline.swap import releasing, store_in_use, swap
from transforms.engine import folders
from transforms.engine.folders import FolderError, Mark
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore

State = dict[str, str] | None


def build(folder: pathlib.Path, passed: bool, what: str) -> pathlib.Path:
    """A folder as the last stage of the graph leaves it."""
    folders.mark(str(folder), Mark("release" if passed else "rejection", "small"))
    names = ["ledger/ledger-00000-of-00001.parquet", "verdict.json", "recipe.yaml"]
    names += ["data/train-00000-of-00001.parquet"] if passed else []
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"{what} {name}")
    if passed:
        files = [{"path": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in names]
        manifest = {"format": "lowbackground.release/1", "release": "small", "files": files}
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    return folder


def state(folder: pathlib.Path) -> State:
    """Every file and its content."""
    if not folder.exists():
        return None
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@functools.cache
def whole(template: pathlib.Path) -> State:
    """What a template holds. Nobody writes to it."""
    return state(template)


def publication(out: pathlib.Path, attempt: int) -> Publication:
    staging = f"{out}/{STAGING}/small-{attempt:032x}"
    return Publication(str(out), "small", staging, "", "", "{}", Corpus((), (), SignalStore(f"{out}/.signals", ())))


def run(out: pathlib.Path, built: pathlib.Path, replace: bool, attempt: int, faults: Faults | None = None) -> None:
    """What `runner.run` does, with a graph that leaves `built`."""
    job = publication(out, attempt)
    with releasing(job, replace), store_in_use(str(out)):
        if faults:
            faults.paused = True
        shutil.copytree(built, f"{job.staging}/built-1")
        pathlib.Path(done_path(job)).write_text(f"{job.staging}/built-1")
        if faults:
            faults.paused = False
        swap(job, replace)


@pytest.fixture
def tmp_path(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """In memory where there is a file system in memory: a disk that is told of every file that goes is waited for."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be put on the disk is counted (see the last test), and not waited for."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def templates(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    kinds = {"old": True, "new": True, "no": False, "no again": False}
    return {what: build(tmp_path / "templates" / what, passed, what) for what, passed in kinds.items()}


# What is there, what comes, and whether --replace is said.
SCENES = {
    "first": ({}, "new", False),
    "replace": ({"small": "old"}, "new", True),
    "passed after a rejection": ({"small.rejected": "no"}, "new", False),
    "rejected": ({"small": "old"}, "no", True),
    "rejected again": ({"small": "old", "small.rejected": "no"}, "no again", True),
    "replace all": ({"small": "old", "small.rejected": "no"}, "new", True),
}


def is_right(out: pathlib.Path, scene: str, templates: dict[str, pathlib.Path], cleaned: bool) -> None:
    """Nothing half, nothing lost: each folder is what it was or what comes, or is gone if that is where it is on its way."""
    before, comes, _ = SCENES[scene]
    new = "small" if not comes.startswith("no") else "small.rejected"
    for name in ("small", "small.rejected"):
        found = state(out / name)
        allowed = [whole(templates[before[name]])] if name in before else [None]
        if name == new:
            allowed.append(whole(templates[comes]))
        if name in before and not cleaned:  # on its way: it is in the attempt's folder, whole
            old = [state(path) for path in out.glob(f"{STAGING}/*/old/{name}")]
            allowed += [None] if old == [whole(templates[before[name]])] else []
        if name == "small.rejected" and new == "small" and state(out / "small") == whole(templates[comes]):
            allowed.append(None)  # the rejection of an earlier run goes when one passed
        assert found in allowed, name


def set_up(tmp_path: pathlib.Path, scene: str, templates: dict[str, pathlib.Path]) -> pathlib.Path:
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for name, what in SCENES[scene][0].items():
        shutil.copytree(templates[what], out / name)
    return out


KILLS = [(scene, "kill") for scene in SCENES]
# The others in the two scenes that have all steps of the rest.
OTHERS = [(scene, fault) for scene in ("replace all", "rejected again") for fault in FAULTS if fault != "kill"]
OTHERS.remove(("rejected again", "EACCES"))  # as EIO, which it is not spared


@pytest.mark.parametrize(("scene", "fault"), KILLS + OTHERS)
def test_a_run_that_ends_at_any_operation_of_publishing(
    tmp_path: pathlib.Path, templates: dict[str, pathlib.Path], scene: str, fault: str
) -> None:
    _, comes, replace = SCENES[scene]
    place = "small" if not comes.startswith("no") else "small.rejected"
    for at in operations(tmp_path, templates, scene, fault):
        out = set_up(tmp_path, scene, templates)
        faults = Faults(str(out), at, fault)
        with cut_off(faults):
            run(out, templates[comes], replace, 1, faults)
        assert faults.hit
        is_right(out, scene, templates, cleaned=False)
        clean_output(str(out), signals=True)
        is_right(out, scene, templates, cleaned=True)
        assert {path.name for path in out.iterdir()} <= {"small", "small.rejected"}, faults.hit
        run(out, templates[comes], replace=True, attempt=2)
        assert state(out / place) == whole(templates[comes]), faults.hit


def operations(tmp_path: pathlib.Path, templates: dict[str, pathlib.Path], scene: str, fault: str) -> list[int]:
    """The numbers of all file operations of a run that a fault can hit."""
    _, comes, replace = SCENES[scene]
    out = set_up(tmp_path, scene, templates)
    faults = Faults(str(out))
    with injected(faults):
        run(out, templates[comes], replace, 1, faults)
    assert len(faults.log) > 100
    hit = {"torn": ("write",), "ENOSPC": GROW}.get(fault)
    return [number for number, (name, _) in enumerate(faults.log) if hit is None or name in hit]


@pytest.mark.parametrize("fault", ["kill", "EIO"])
def test_the_next_run_alone_puts_right_what_a_killed_one_left(
    tmp_path: pathlib.Path, templates: dict[str, pathlib.Path], fault: str
) -> None:
    """Without `clean`, and itself cut off at any operation: the one after it finds all there is to find."""
    # Every one would take minutes, and each is in the test above.
    for out, faults in after_kills(tmp_path, templates, fault, every=19):
        with cut_off(faults):
            run(out, templates["new"], True, 2, faults)
        run(out, templates["new"], True, 3)
        assert state(out / "small") == whole(templates["new"])
        assert {path.name for path in out.iterdir()} == {"small", ".signals"}


@pytest.mark.parametrize("fault", ["kill", "EIO"])
def test_clean_may_end_at_any_operation(tmp_path: pathlib.Path, templates: dict[str, pathlib.Path], fault: str) -> None:
    for out, faults in after_kills(tmp_path, templates, fault, every=5):
        with cut_off(faults):
            clean_output(str(out), signals=True)
        if faults.hit:
            clean_output(str(out), signals=True)
        is_right(out, "replace all", templates, cleaned=True)
        assert {path.name for path in out.iterdir()} <= {"small", "small.rejected"}, faults.hit


def after_kills(
    tmp_path: pathlib.Path, templates: dict[str, pathlib.Path], fault: str, every: int
) -> Iterator[tuple[pathlib.Path, Faults]]:
    """What each kill at a rename left, once for every so-manieth operation that comes next, and the fault to be met there."""
    for first in kills_at_renames(tmp_path, templates):
        for at in itertools.count(0, every):
            out = set_up(tmp_path, "replace all", templates)
            kill(out, templates, first)
            faults = Faults(str(out), at, fault)
            yield out, faults
            if at > faults.count:
                break


@contextlib.contextmanager
def cut_off(faults: Faults) -> Iterator[None]:
    """What is done inside may end with the fault, and for no other reason."""
    try:
        with injected(faults):
            yield
    except (Killed, OSError, RecipeError, FolderError):
        assert faults.hit


def kill(out: pathlib.Path, templates: dict[str, pathlib.Path], at: int | None) -> Faults:
    faults = Faults(str(out), at)
    try:
        with injected(faults):
            run(out, templates["new"], True, 1, faults)
    except Killed:
        pass
    return faults


def kills_at_renames(tmp_path: pathlib.Path, templates: dict[str, pathlib.Path]) -> list[int]:
    """Before each rename of folders, and after the last: all the states that a swap may be in."""
    log = kill(set_up(tmp_path, "replace all", templates), templates, None).log
    found = [number for number, (name, _) in enumerate(log) if name == "rename"]
    assert len(found) == 5  # built, release, rejection, new, old
    return [*found, found[-1] + 1, found[-1] + 20]


def test_every_file_and_folder_is_on_the_disk_before_it_takes_its_place(
    tmp_path: pathlib.Path, templates: dict[str, pathlib.Path]
) -> None:
    out = set_up(tmp_path, "replace", templates)
    synced: set[str] = set()
    faults = Faults(str(out))
    with injected(faults):
        run(out, templates["new"], True, 1, faults)
    opened = [path for name, path in faults.log if name in ("open", "fsync", "rename")]
    built = f"{out}/{STAGING}/small-{1:032x}/built-1"
    first_rename = next(n for n, entry in enumerate(faults.log) if entry == ("rename", built))
    before = faults.log[:first_rename]
    for number, (name, path) in enumerate(before[:-1]):
        if name == "open" and before[number + 1][0] == "fsync":
            synced.add(path)
    assert opened
    there = {f"{built}/{name}" for name in whole(templates["new"]) or {}}
    assert there | {str(pathlib.Path(path).parent) for path in there} <= synced
