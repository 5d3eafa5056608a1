"""Paths of this machine and of object stores, `s3://`, `gs://` and `hf://`: how they are joined, and opened to be read."""

import posixpath
from typing import BinaryIO, cast


def is_local(path: str) -> bool:
    """Whether a path is on a file system of this machine, and not in an object store."""
    return "://" not in path


def joined(folder: str, path: str) -> str:
    """A path as seen from a folder, without `..` in it. One with a scheme or from the root is what it is."""
    if not is_local(path) or posixpath.isabs(path):
        return path
    scheme, _, rest = folder.rpartition("://")
    return (scheme and scheme + "://") + posixpath.normpath(posixpath.join(rest, path))


def open_for_reading(path: str) -> BinaryIO:
    """Open a file as it is, wherever it is, without guessing a compression from its name.

    Raises:
      OSError: it cannot be opened.
      StorageError: its store cannot be asked.
    """
    if is_local(path):
        return open(path, "rb")
    from expectations.storage import open_object  # late: the loading of YAML does not need Arrow

    return cast(BinaryIO, open_object(path))
