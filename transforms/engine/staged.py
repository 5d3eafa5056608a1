"""What workers need to know of a run, by reference: a file of the run's own folder that each process reads once.

A stage's settings travel in the job graph, pickled, once for every step that has them. What grows with the corpus must not: no
engine takes a graph of any size. A value whose class derives from `Staged` is pickled, while a run is `staging`, as the name of
a file, which is a hash of what is in it. Elsewhere it is pickled like any other.
"""

import contextlib
import contextvars
import hashlib
import pickle  # for what the launcher has made, as Beam does with stages; never for data that is read
import posixpath
import threading
from collections.abc import Iterator
from typing import Any

import zstandard

from transforms.engine import files

MOST_HELD = 64  # values: a worker of a session may serve many runs
_lock = threading.RLock()  # a value may hold another
_held: dict[str, Any] = {}  # by path


class StagedError(Exception):
    """A worker cannot read what the launcher has left for it. The message is one line."""


class Staged:
    """Derive what may be large from this: it is pickled as the name of a file while a run is `staging`."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """How it is pickled."""
        folder = _folder.get()
        if folder is None and (path := _path_of(self)):
            return load, (path,)  # a worker pickles its stages again
        if folder is None or folder.writing is self:
            return super().__reduce_ex__(protocol)
        return load, (folder.put(self),)


class _Folder:
    """Where a run leaves its values."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.known: dict[int, tuple[Any, str]] = {}  # by id: the value, which keeps its id, and its file
        self.writing: Any = None  # is pickled as it is; what it holds may be by reference

    def put(self, value: Any) -> str:
        """Write a value that has not been. Returns the path of its file."""
        if id(value) not in self.known:
            around, self.writing = self.writing, value
            try:
                data = zstandard.ZstdCompressor(1).compress(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
            finally:
                self.writing = around
            path = posixpath.join(self.path, _name_of(data))
            if path not in self.paths:
                with files.whole(path, sync=False) as file:
                    file.write(data)
                _hold(path, value)  # the workers in this process need not read it
            self.known[id(value)] = value, path
        return self.known[id(value)][1]

    @property
    def paths(self) -> set[str]:
        """The files there are."""
        return {path for _, path in self.known.values()}


_folder: contextvars.ContextVar[_Folder | None] = contextvars.ContextVar("folder", default=None)


@contextlib.contextmanager
def staging(path: str) -> Iterator[None]:
    """Whatever is pickled on this thread until the block ends, and derives from `Staged`, goes into a folder.

    Args:
      path: of the folder; its files are there for as long as the run lasts, and whoever made it deletes it.

    Raises:
      OSError: a file cannot be written.
    """
    folder = _Folder(path)
    before = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(before)
        with _lock:
            for one in folder.paths:
                _held.pop(one, None)


def is_staging() -> bool:
    """Whether what is pickled on this thread goes into a run's folder."""
    return _folder.get() is not None


def load(path: str, number: int | None = None) -> Any:
    """The value in a file, read once in a process; or what it has under a number: one function, for it stands in a job so often.

    Raises:
      StagedError: it cannot be read, or is not what the launcher wrote.
    """
    with _lock:
        if path not in _held:
            _hold(path, _read(path))
        value = _held[path]
    return value if number is None else value[number]


def _name_of(data: bytes) -> str:
    """Half of a SHA-256: the name stands in the job hundreds of times."""
    return hashlib.sha256(data).hexdigest()[:32]


def _path_of(value: Any) -> str | None:
    """The file that a value was read from, in this process."""
    with _lock:
        return next((path for path, held in _held.items() if held is value), None)


def _hold(path: str, value: Any) -> None:
    with _lock:
        while len(_held) >= MOST_HELD:
            del _held[next(iter(_held))]
        _held[path] = value


def _read(path: str) -> Any:
    try:
        data = files.read(path)
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())[:200]
        raise StagedError(
            f"a worker cannot read {path} ({why}), which the launcher has written: output.path must be where every worker sees "
            "it under the same name"
        ) from error
    if _name_of(data) != posixpath.basename(path):
        raise StagedError(f"{path} is not what the launcher wrote; run again")
    return pickle.loads(zstandard.ZstdDecompressor().decompress(data))  # noqa: S301 (its hash is in the graph)
