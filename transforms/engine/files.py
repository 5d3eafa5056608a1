"""Files that are whole or not there: written under another name, synced, renamed over what was there.

A reader, a killed process and a full disk all see the old file or the new one, never half of one. Every file that the
product writes and later reads back goes through here.
"""

import contextlib
import hashlib
import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator
from typing import IO

from expectations import storage
from expectations.paths import is_local, open_for_reading

PARTIAL = ".partial"  # ends the name of a file that is being written


@contextlib.contextmanager
def whole(path: str, sync: bool = True) -> Iterator[IO[bytes]]:
    """A file to write that takes its name when the block ends, and never does if the block fails.

    On this machine's file systems the bytes are on the disk before the name is, and a folder that is missing is made. In an
    object store the object appears when all of it has arrived, which is the same promise. Without `sync`, for files that are
    verified before they are used, a crash of the machine may leave a damaged one.

    Raises:
      OSError: it cannot be written; what had the name still has it.
    """
    if not is_local(path):
        with storage.writing() as file:
            yield file
            storage.put(path, file)
        return
    folder, name = posixpath.split(path)
    os.makedirs(folder or ".", exist_ok=True)
    partial = posixpath.join(folder, f"{name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    if sync:
        sync_folder(folder or ".")


class HashedFile:
    """A whole file that knows the checksum of what was written to it, so that nobody need read it again.

    It has its name once it is closed: a worker that was thought dead and writes it again never tears what was published.
    """

    def __init__(self, path: str) -> None:
        self.path, self.whole = path, whole(path)
        self.file, self.size, self.sha256 = self.whole.__enter__(), 0, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes behind those that are there."""
        self.sha256.update(data)
        self.size += len(data)
        self.file.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: it is flushed when it is closed."""

    @property
    def closed(self) -> bool:
        """Whether it is ended."""
        return bool(self.file.closed)

    def tell(self) -> int:
        """How much there is."""
        return self.size

    def close(self) -> None:
        """End it, and give it its name."""
        if not self.file.closed:
            self.whole.__exit__(None, None, None)


def write(path: str, data: bytes) -> None:
    """Write a file as a whole.

    Raises:
      OSError: it cannot be written; what had the name still has it.
    """
    with whole(path) as file:
        file.write(data)


def read(path: str) -> bytes:
    """All of a file, as it is.

    Raises:
      OSError: it cannot be read.
    """
    with open_for_reading(path) as file:
        return file.read()


def exists(path: str) -> bool:
    """Whether there is a file or a folder of this name.

    Raises:
      StorageError: its store cannot be asked.
    """
    return os.path.exists(path) if is_local(path) else storage.find(path) is not None


def size_of(path: str) -> int:
    """Bytes of a file.

    Raises:
      OSError: there is none.
      StorageError: its store cannot be asked.
    """
    if is_local(path):
        return os.path.getsize(path)
    found = storage.find(path)
    if found is None or found.is_folder:
        raise FileNotFoundError(2, "No such object", path)
    return found.size


def delete(path: str) -> None:
    """Delete one file that is ours, by its exact name. What is gone already is no error. Folders: `folders.delete`.

    Raises:
      OSError: it cannot be deleted.
      StorageError: its store cannot be asked.
    """
    if not is_local(path):
        storage.delete(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def second_name(source: str, destination: str) -> None:
    """The same file under a second name; a copy where there are none.

    Raises:
      OSError: it cannot be made.
      StorageError: its store cannot be asked.
    """
    if not is_local(destination):
        storage.copy(source, destination)
        return
    os.makedirs(posixpath.dirname(destination), exist_ok=True)
    try:
        os.link(source, destination)
    except OSError:  # a file system without second names
        with open(source, "rb") as original, whole(destination) as copy:
            shutil.copyfileobj(original, copy, 1 << 20)


def absolute(path: str) -> str:
    """The path as a worker can use it, whatever folder it works in. It is relative to this process's."""
    return os.path.abspath(path) if is_local(path) else path


def sync_folder(folder: str) -> None:
    """Put names that were made, moved or deleted in a folder of this machine on the disk, where the system can."""
    with contextlib.suppress(OSError):  # some file systems cannot; the names are right all the same
        at = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(at)
        finally:
            os.close(at)


def below(folder: str) -> list[str]:
    """Every file, link and other entry below a folder that is no folder itself, relative to it, in order.

    The path is taken as it is, whatever signs of a pattern it has, and no link is followed. A folder that is not there has
    none.

    Raises:
      OSError: it cannot be listed.
    """
    inside = folder.rstrip("/") + "/"
    if not is_local(folder):
        return [one.path.removeprefix(inside) for one in storage.below(folder)]
    names: list[str] = []

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for at, folders, others in os.walk(folder, onerror=fail):
        links = [name for name in folders if os.path.islink(posixpath.join(at, name))]
        names += [posixpath.relpath(posixpath.join(at, name), folder) for name in (*others, *links)]
    return sorted(names)
