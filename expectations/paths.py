"""Paths of this machine and of object stores, `s3://`, `gs://` and `hf://`: how they are joined, and opened to be read."""

import posixpath
import re
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


def without_user(path: str) -> str:
    """An address without who it is for, and their password."""
    return re.sub(r"://[^/@]*@", "://", path)


def not_read(path: str) -> str:
    """What to do about an address that no file can be read from."""
    if hub := re.match(r"https?://huggingface\.co/datasets/([^/]+/[^/]+)/(?:resolve|blob|tree)/([^/]+)/?(.*)", path):
        return f"is a page of the hub; name the data set: hf://datasets/{hub[1]}@{hub[2]}/{hub[3].split('?')[0]}"
    if crawl := re.match(r"https?://data\.commoncrawl\.org/(.*)", path):
        return f"is not read over https; name it s3://commoncrawl/{crawl[1]}"
    if path.startswith(("http://", "https://")):
        return "is not read over http; fetch it first (wget -x URL, or wget -x -i LIST), and name the folder"
    return "is no address that is read; known are s3://, gs://, hf://datasets/ and paths of this machine"


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
