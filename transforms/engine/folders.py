"""Folders that the product makes, their mark, and the one place that deletes anything.

The first file in a folder of ours is its mark: what it is, and of which release. Nothing is deleted but a folder that carries
our mark, or what lies right inside of one, by its exact path, never by a pattern, and never across a link (docs/decisions/0026).
"""

import contextlib
import dataclasses
import datetime
import errno
import json
import os
import posixpath
import re
import shutil
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from expectations import storage
from expectations.errors import UserError
from expectations.paths import is_local, open_for_reading
from transforms.engine import files
from transforms.engine.files import sync_folder

try:
    import fcntl
except ImportError:  # Windows: no lock, and publishing is one rename all the same
    fcntl = None  # type: ignore[assignment]

MARK = ".lowbackground.json"
FORMAT = "lowbackground.mark/1"
MARK_BYTES = 4096  # a longer file is no mark
LEASE_LASTS, LEASE_BEAT = (
    300.0,
    60.0,
)  # seconds that a lease in a store outlives its owner, and after which it is said again
_leases: dict[str, str] = {}  # held in a store -> our object below it
PATIENCE = 0.5  # seconds: whoever only tidies up is gone by then
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class FolderError(UserError):
    """A folder is not ours to write to or to delete. One line: which, why, what to do."""


class HeldError(FolderError):
    """Somebody else is at work there."""


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a folder of ours is: `release`, `rejection`, `attempt`, `staging` or `signals`; and of which release, if of one."""

    kind: str
    release: str = ""


def mark(folder: str, what: Mark) -> None:
    """Make a folder ours. It is the first file in there, and the same bytes for the same release.

    Raises:
      OSError: it cannot be written.
    """
    content = {"format": FORMAT, **dataclasses.asdict(what)}
    files.write(posixpath.join(folder, MARK), (json.dumps(content, sort_keys=True) + "\n").encode())


def mark_of(folder: str) -> Mark | None:
    """The mark of a folder; None if it has none, or the folder or the mark is a link."""
    path = posixpath.join(folder, MARK)
    try:
        if is_local(folder):
            if os.path.islink(folder) or not stat.S_ISREG(os.lstat(path).st_mode):
                return None
            with open(path, "rb") as file:
                data = file.read(MARK_BYTES + 1)
        else:
            with open_for_reading(path) as file:
                data = file.read(MARK_BYTES + 1)
        found = json.loads(data) if len(data) <= MARK_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    kind, release = found.get("kind"), found.get("release")
    return Mark(kind, release) if isinstance(kind, str) and isinstance(release, str) else None


def claim(folder: str, what: Mark, of_before: str) -> None:
    """Make sure that a folder is ours, and there.

    Args:
      folder: to be made, or there already.
      what: its mark.
      of_before: pattern of the names that an earlier version, which wrote no mark, left there. A folder without a mark is
        ours if it has no other.

    Raises:
      FolderError: it is somebody else's.
      OSError: it cannot be written.
    """
    if mark_of(folder) == what:
        return
    if is_local(folder) and (os.path.islink(folder) or (os.path.lexists(folder) and not os.path.isdir(folder))):
        raise FolderError(
            f"{folder} is a link or a file, and lowbackground needs a folder of its own there; move it away"
        )
    with contextlib.suppress(FileNotFoundError):
        for name in names_in(folder):
            if not (name.startswith(MARK) or re.fullmatch(of_before, name)):
                raise FolderError(
                    f"{folder} is not lowbackground's: it holds {name!r} and not the mark {MARK}; move it, or choose another "
                    "output.path"
                )
    mark(folder, what)


def names_in(folder: str) -> list[str]:
    """The names right in a folder, in order. In a store, a folder that is not there has none.

    Raises:
      OSError, StorageError: it cannot be listed.
    """
    if is_local(folder):
        return sorted(os.listdir(folder))
    return sorted({name.partition("/")[0] for name in files.below(folder)})


def delete(path: str, owner: str) -> None:
    """Delete a folder of ours, or a file, a link or a folder that lies right inside of one. What is gone already is no error.

    Args:
      path: exactly this.
      owner: the folder that carries our mark: `path` itself, or the one that it lies in. Its mark goes last.

    Raises:
      FolderError: the owner does not carry our mark.
      OSError: it cannot be deleted.
    """
    if path != owner and posixpath.dirname(path) != owner:
        raise FolderError(f"{path} does not lie in {owner}, so it is not deleted")
    if mark_of(owner) is None:
        raise FolderError(f"{owner} does not carry lowbackground's mark, so nothing in it is deleted")
    if not is_local(path):
        _delete_objects(path)
    elif path != owner:
        _delete_local(path)
        sync_folder(owner)
    else:
        for name in names_in(owner):
            if name != MARK:
                _delete_local(posixpath.join(owner, name))
        _delete_local(posixpath.join(owner, MARK))
        os.rmdir(owner)
        sync_folder(posixpath.dirname(owner) or ".")


def _delete_local(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)  # links in there are deleted, and not what they lead to
        else:
            os.unlink(path)


def _delete_objects(path: str) -> None:
    """Of a store: an object, or all below a folder, its mark last."""
    below = files.below(path)
    if not below:
        storage.delete(path)
        return
    for top, is_folder in sorted({(name.partition("/")[0], "/" in name) for name in below} - {(MARK, False)}):
        (storage.delete_below if is_folder else storage.delete)(posixpath.join(path, top))
    storage.delete_below(path)


@contextlib.contextmanager
def held(
    path: str, what: str, shared: bool = False, forget: bool = False, patience: float = PATIENCE
) -> Iterator[None]:
    """Hold a file for as long as the block lasts. The system lets go of it when this process ends, however it does.

    Where the file system has no locks, nobody is kept out. In a store it is a lease, which ends some minutes after a kill.

    Args:
      path: of a file; it is made if it is not there.
      what: is held, for the message.
      shared: others may share it; nobody may hold it alone.
      forget: delete the file at the end. Not with `shared`.
      patience: seconds to wait for whoever holds it.

    Raises:
      HeldError: another process, or another thread, holds it; the message says which and since when.
    """
    if not is_local(path):
        with _leased(path, what, shared):
            yield
        return
    at = _lock(path, what, shared, patience)
    try:
        if not shared:
            os.ftruncate(at, 0)
            os.write(at, _myself())
        yield
    finally:
        try:
            if forget:
                with contextlib.suppress(OSError):
                    os.unlink(path)  # ours alone: we hold it
        finally:
            os.close(at)


@contextlib.contextmanager
def _leased(path: str, what: str, shared: bool) -> Iterator[None]:
    """Hold a name in a store: by an object of our own below it, which says once a minute that we live.

    Whoever comes writes first and looks then, and a store shows at once what was written: of two that come together at most one
    stays. The times that are compared are both the store's.
    """
    own = posixpath.join(path, f"{'shared' if shared else 'alone'}-{uuid.uuid4().hex}")
    said, over = _myself(), threading.Event()
    files.write(own, said)
    try:
        _refuse_others(path, own, what, shared)
        living = threading.Thread(target=_live, args=(own, said, over), daemon=True)
        living.start()
        _leases[path] = own
        try:
            yield
        finally:
            over.set()
            living.join()
            _leases.pop(path, None)
    finally:
        with contextlib.suppress(storage.StorageError):
            storage.delete(own)


def _refuse_others(path: str, own: str, what: str, shared: bool) -> None:
    found = {one.path: one for one in storage.below(path)}
    for one in found.values():
        if one.path == own or (shared and posixpath.basename(one.path).startswith("shared-")):
            continue
        if own in found and found[own].changed - one.changed > LEASE_LASTS:
            storage.delete(one.path)
            continue
        with contextlib.suppress(FileNotFoundError):  # it ended just now
            raise HeldError(
                f"{what} is in use{_owner(files.read(one.path))}; wait until it is done, or stop it. If it was killed, this ends "
                f"{LEASE_LASTS / 60:g} minutes after it"
            )


def _live(own: str, said: bytes, over: threading.Event) -> None:
    """Say that we live, for as long as nobody can have taken us for dead."""
    last = time.time()
    while not over.wait(LEASE_BEAT) and time.time() - last < LEASE_LASTS:
        with contextlib.suppress(storage.StorageError):
            if storage.find(own) is None:
                return
            files.write(own, said)
            last = time.time()


def ensure_held(path: str) -> None:
    """Refuse to go on if what is held in a store was lost: this process was silent for too long, and another one took over.

    Raises:
      HeldError: it was. On this machine's file systems it cannot be.
    """
    if not is_local(path) and (path not in _leases or storage.find(_leases[path]) is None):
        raise HeldError(f"{path} was lost, for this run was silent too long (was the machine asleep?); run again")


def _myself() -> bytes:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now}).encode()


def _lock(path: str, what: str, shared: bool, patience: float) -> int:
    """An open file that is locked, and still has its name."""
    until = time.monotonic() + patience
    while True:
        os.makedirs(posixpath.dirname(path) or ".", exist_ok=True)
        try:
            at = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except FileNotFoundError:  # the folder was tidied away meanwhile
            continue
        locked = False
        try:
            if _take(at, shared):
                with contextlib.suppress(FileNotFoundError):  # whoever held it has deleted it
                    locked = os.path.samestat(os.fstat(at), os.stat(path))
            elif time.monotonic() >= until:
                raise HeldError(
                    f"{what} is in use{_owner(os.pread(at, MARK_BYTES, 0))}; wait until it is done, or stop it"
                )
            else:
                time.sleep(0.02)
        finally:
            if not locked:
                os.close(at)
        if locked:
            return at


def _take(at: int, shared: bool) -> bool:
    """Lock an open file, if nobody else has. Where there are no locks, it counts as locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(at, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def _owner(data: bytes) -> str:
    """Who holds a lock, as far as it says."""
    try:
        found: dict[str, Any] = json.loads(data)
        return f" by process {found['pid']} on {found['host']} since {found['since']}"
    except (ValueError, LookupError, TypeError):
        return " by another process"
