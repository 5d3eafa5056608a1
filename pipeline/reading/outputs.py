"""Files that a user asks a command to write: one rule for all of them, held before the work and again when it is written.

Never onto one of the command's inputs, whatever name it goes by; never inside of a release, a rejection or a folder that a
run works in; never over a file that is there, unless `--force` says so or it is an earlier answer of ours. What is written
takes its name when it is whole (`transforms.engine.files`).
"""

import contextlib
import glob
import json
import os
import pathlib
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from expectations.paths import is_local
from pipeline.places import STAGING, STORE
from pipeline.recipe import RecipeError
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files
from transforms.ingest.listing import list_path
from transforms.release.read_release import METRICS, VERDICT

# Formats of the JSON that `gate`, `diff` and `history` write: each can be made again from the releases.
_FORMATS = {"lowbackground.verdict/1", "lowbackground.diff/1", "lowbackground.history/1"}
# A file that is one of these from its first byte (and, of lines, to its last) was written by one of them. One that only quotes
# an answer, a log or somebody's notes, is not.
_ANSWER = re.compile(
    rb"<!doctype html>(?:(?!<body).){0,2000}?<meta name=\"generator\" content=\"lowbackground\""
    rb'|<\?xml [^>]*>\s*<testsuites [^>]*>\s*<testsuite name="lowbackground '
    rb"|::(?:notice|error) title=lowbackground%3A[^\n]*\n(?:::(?:notice|warning|error) title=[^\n]*\n)*\Z"
    rb"|(?:  (?:ok  |FAIL|ERR |\?   |WAIV|warn|info)  [^\n]*\n)*verdict: (?:passed|failed)[^\n]*\n\Z",
    re.DOTALL | re.IGNORECASE,
)
_REPORT = re.compile(rb"<title>(?:Passed|Rejected|No verdict)")  # of a release: its copy may be all that is left of one
_MOST_LOOKED_AT = 4 << 20
_GLOB = re.compile(r"[*?\[]")

Ours = Callable[[bytes], bool]


def nothing(_: bytes) -> bool:
    """No file that is there may be replaced without `--force`: people edit what this command writes, or cannot get it back."""
    return False


def an_answer(found: bytes) -> bool:
    """Whether a file is an earlier answer of ours: another run makes it again, so it is replaced."""
    if found.lstrip()[:1] == b"{":
        try:
            about = json.loads(found)
        except (ValueError, RecursionError):
            return False
        return about.get("format") in _FORMATS
    return _ANSWER.match(found) is not None and _REPORT.search(found) is None


def check_output(
    path: str,
    inputs: Sequence[str],
    force: bool,
    ours: Ours = nothing,
    option: str = "--output",
    way_out: str = "choose another name, or say --force",
) -> None:
    """Refuse a file that must not be written.

    Args:
      path: what the user named.
      inputs: files, folders and patterns that the command reads.
      force: whether a file that is there may be replaced.
      ours: whether what is in a file that is there says that it may be replaced without `force`.
      option: how the user named it.
      way_out: what to do about a file that is there.

    Raises:
      RecipeError: which rule forbids it, and what to do.
    """
    if not path or path.endswith("/"):
        raise RecipeError(f"{option} {path}: is a folder; name a file to write")
    _not_an_input(path, inputs, option)
    _not_in_a_release(path, option)
    if not is_local(path):
        if not force and files.exists(path):
            raise RecipeError(f"{option} {path}: is there already; {way_out}")
        return
    found = _look(path, option)
    if found is None or stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode):
        return
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no plain file"
        raise RecipeError(f"{option} {path}: is {what}; name a file to write")
    if not force and found.st_size and not ours(_beginning(path, option)):
        raise RecipeError(f"{option} {path}: is there already; {way_out}")


def check_folder(path: str, inputs: Sequence[str], force: bool, mark: str, option: str = "--output") -> None:
    """Refuse a folder that must not be written into: as `check_output`; one that is there must be empty, or have our mark.

    Args:
      path: what the user named.
      inputs: files, folders and patterns that the command reads.
      force: whether what is there may be replaced.
      mark: a file that a folder of this kind holds. A folder without it is never written into, unless it is empty.
      option: how the user named it.

    Raises:
      RecipeError: which rule forbids it, and what to do.
    """
    if not is_local(path):
        raise RecipeError(f"{option} {path}: must be a folder of this machine")
    _not_an_input(path, inputs, option)
    inside = os.path.join(os.path.realpath(path), "")
    for name in _local(inputs):
        if os.path.realpath(name).startswith(inside):
            raise RecipeError(f"{option} {path}: {name}, which is read, is inside of it; choose another folder")
    _not_in_a_release(path, option)
    found = _look(path, option)
    if found is None:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise RecipeError(f"{option} {path}: is a file; name a folder to write")
    if (there := sorted(os.listdir(path))) and mark not in there:
        raise RecipeError(f"{option} {path}: holds other files ({there[0]}, ...); name a new folder")
    if there and not force:
        raise RecipeError(f"{option} {path}: is there already; choose another name, or say --force")


@contextlib.contextmanager
def written(path: str) -> Iterator[IO[bytes]]:
    """A file to write that `check_output` let pass: whole or not there. A terminal, a pipe or /dev/null is written as it is.

    Raises:
      RecipeError: it cannot be written; what had the name still has it.
    """
    try:
        found = _look(path, "--output") if is_local(path) else None
        if found is not None and not stat.S_ISREG(found.st_mode):
            with open(path, "wb") as file:
                yield file
            return
        with files.whole(path) as file:
            yield file
    except OSError as error:
        raise RecipeError(f"cannot write {path}: {error.strerror or error}") from error


def save(answer: str, path: str) -> None:
    """Write `answer` to a file that `check_output` let pass, as UTF-8.

    Raises:
      RecipeError: it cannot be written; what had the name still has it.
    """
    with written(path) as file:
        file.write(answer.encode("utf-8", errors="replace"))


def _look(path: str, option: str) -> os.stat_result | None:
    """What a path leads to; None: nothing."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise RecipeError(f"{option} {path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def _beginning(path: str, option: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_LOOKED_AT)
    except OSError as error:
        raise RecipeError(f"{option} {path}: cannot be read, to see what is there: {error.strerror}") from None


def _local(inputs: Sequence[str]) -> Iterator[str]:
    """The files and folders of this machine that inputs stand for."""
    for name in inputs:
        if not is_local(name):
            continue
        if not os.path.exists(name) and "**" in name:
            # Each folder once, whatever links lead to it; one that cannot be listed is not read either.
            with contextlib.suppress(OSError):
                yield from (entry.path for entry in list_path(name).entries)
        elif not os.path.exists(name) and _GLOB.search(name):
            yield from glob.iglob(name, include_hidden=True)
        else:
            yield name


def _not_an_input(path: str, inputs: Sequence[str], option: str) -> None:
    if not is_local(path):
        folders = {f"{name.rstrip('/')}/" for name in inputs}
        if any(f"{path.rstrip('/')}/".startswith(folder) for folder in folders):
            raise RecipeError(f"{option} {path}: is read by this command; choose another name")
        return
    where = os.path.realpath(path)
    for name in _local(inputs):
        # `samefile` sees through links of both kinds, `..`, and names that differ in case where the disk ignores it.
        if os.path.exists(name) and os.path.exists(path) and os.path.samefile(name, path):
            raise RecipeError(f"{option} {path}: is read by this command ({name}); choose another name")
        if os.path.isdir(name) and _is_below(where, name):
            raise RecipeError(f"{option} {path}: is inside of {name}, which this command reads; write it elsewhere")
    for name in filter(is_local, inputs):
        if _GLOB.search(name) and pathlib.PurePath(where).match(os.path.abspath(name)):
            raise RecipeError(f"{option} {path}: would match {name}, which this command reads; write it elsewhere")


def _is_below(where: str, folder: str) -> bool:
    """Whether a path is inside of a folder, by the folders themselves and not by how they are written."""
    known = os.stat(folder)
    return any(os.path.exists(at) and os.path.samestat(os.stat(at), known) for at in _parents(where))


def _not_in_a_release(path: str, option: str) -> None:
    ways = {path} if not is_local(path) else {os.path.realpath(path), os.path.abspath(path)}
    for at in sorted({parent for way in ways for parent in [way, *_parents(way)]}):
        name = posixpath.basename(at)
        if name in (STAGING, STORE):
            raise RecipeError(f"{option} {path}: {at} belongs to runs; write it elsewhere")
        has = [one for one in (MANIFEST, VERDICT, METRICS) if files.exists(posixpath.join(at, one))]
        if MANIFEST in has or (VERDICT in has and METRICS in has):
            what = "a release" if MANIFEST in has else "a rejection"
            raise RecipeError(f"{option} {path}: {at} is {what}, and nobody writes into one; write it elsewhere")


def _parents(path: str) -> Iterator[str]:
    """The folders that a path is in, the nearest first."""
    top = path.split("://")[0] + "://" if "://" in path else ""
    while (above := posixpath.dirname(path.rstrip("/"))) not in ("", path, top, top.rstrip("/"), top[:-1]):
        yield above
        path = above
