"""Faults at one file operation, for tests: a kill, a full disk, a bad sector, a right that is gone, a torn write.

A kill is an exception that no cleaning up gets around: from there on every file operation raises it again, so the disk stays as
it was, and only locks are let go of, as when a process ends.
"""

import builtins
import errno
import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

READS = ("stat", "lstat", "listdir", "scandir", "pread")
CHANGES = ("mkdir", "rmdir", "rename", "replace", "link", "unlink", "remove", "fsync", "write", "ftruncate", "truncate")
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
GROW = ("mkdir", "link", "write", "create")  # what a full disk refuses
FAULTS = ("kill", "torn", *ERRORS)


class Killed(BaseException):
    """The process is gone."""


class Faults:
    """Counts the file operations below a folder, and lets one of them go wrong.

    Args:
      root: operations on paths elsewhere do not count.
      at: number of the operation; None: all go well.
      really: kill this process.
      fault: of `FAULTS`. ENOSPC lasts and hits what needs room; EIO and EACCES hit once; a torn write kills after half of it.
    """

    def __init__(self, root: str, at: int | None = None, fault: str = "kill", really: bool = False) -> None:
        self.root, self.at, self.fault, self.really = root, at, fault, really
        self.count, self.dead, self.paused, self.hit = 0, False, False, ""
        self.log: list[tuple[str, str]] = []

    def operation(self, name: str, path: object, data: bytes | memoryview | None = None) -> bytes | None:
        """Before an operation. Returns what is still to be written of `data`, if it is to be torn."""
        if self.paused or not (
            isinstance(path, int) or str(path).startswith(self.root) or not os.path.isabs(str(path))
        ):
            return None
        if self.dead:
            raise self.death()
        number, self.count = self.count, self.count + 1
        self.log.append((name, str(path)))
        grows = name in GROW
        if self.at is None or number < self.at or (number > self.at and not (self.fault == "ENOSPC" and grows)):
            return None
        if self.fault == "torn" and data is None:
            return None
        if self.fault == "ENOSPC" and not grows:
            return None
        self.hit = f"{self.fault} at {number}: {name} {path}"
        if self.fault in ("kill", "torn"):
            self.dead = True
            if self.fault == "torn" and data is not None:
                return bytes(data[: len(data) // 2])
            raise self.death()
        raise OSError(ERRORS[self.fault], os.strerror(ERRORS[self.fault]), str(path))

    def death(self) -> Killed:
        """What ends the process."""
        if self.really:
            os.kill(os.getpid(), signal.SIGKILL)
        return Killed()


class _File:
    """A file that is written to without a buffer, so that a kill leaves exactly what was written."""

    def __init__(self, file: Any, path: str, faults: Faults) -> None:
        self._file, self._path, self._faults = file, path, faults

    def write(self, data: bytes) -> int:
        torn = self._faults.operation("write", self._path, memoryview(data).cast("B"))
        if torn is not None:
            self._file.write(torn)
            raise self._faults.death()
        return int(self._file.write(data))

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def injected(faults: Faults) -> Iterator[Faults]:
    """Let the faults happen while the block lasts. Nothing is really put on the disk: `fsync` only counts."""
    kept = {name: getattr(os, name) for name in (*READS, *CHANGES, "open")}
    kept_open = builtins.open

    def patched(name: str, real: Any) -> Any:
        def call(path: object = ".", *args: Any, **options: Any) -> Any:
            if name == "write":
                torn = faults.operation(name, path, args[0])
                if torn is not None:
                    real(path, torn)
                    raise faults.death()
                return real(path, *args)
            if name == "open" and args and args[0] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                faults.operation("create", path)
            else:
                faults.operation(name, path)
            return None if name == "fsync" else real(path, *args, **options)

        return call

    def open_file(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if isinstance(path, int) or not str(path).startswith(faults.root):
            return kept_open(path, mode, *args, **options)
        writes = any(letter in mode for letter in "wxa+")
        faults.operation("create" if writes else "open", path)
        if not writes or "b" not in mode:
            return kept_open(path, mode, *args, **options)
        return _File(kept_open(path, mode, buffering=0), str(path), faults)

    try:
        for name, real in kept.items():
            setattr(os, name, patched(name, real))
        builtins.open = io.open = open_file  # type: ignore[assignment]
        yield faults
    finally:
        for name, real in kept.items():
            setattr(os, name, real)
        builtins.open = io.open = kept_open
