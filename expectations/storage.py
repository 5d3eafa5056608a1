"""Objects in a store, `s3://` and `gs://`, and data sets of Hugging Face's hub, `hf://`, which are only read.

One library speaks to all of them: pyarrow's filesystems, which are there with pyarrow, and huggingface_hub's for the hub
(docs/decisions/0057). What writes, copies and deletes goes through `transforms/engine/files.py` and `folders.py`, which know
local files as well. Credentials come from the environment, as each store's own tools take them, and no message has them.

A request that fails is made again for a while, and what a store never says twice the same is not asked: an object is written as
a whole from a file of this machine, or not at all.
"""

import contextlib
import functools
import io
import os
import posixpath
import re
import shutil
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import IO, Any, NamedTuple, TypeVar

import pyarrow as pa
from pyarrow import fs

from expectations.errors import UserError
from expectations.paths import is_local, not_read, without_user
from expectations.store_clients import RIGHTS, SECRETS, SETTINGS, client, endpoint
from expectations.wording import plural

T = TypeVar("T")
PATIENCE = 20.0  # seconds that a store may fail every request before it counts as gone
AGAIN = 8.0  # seconds for which what took longer than that is tried again
STALL, COPY_STALL = 6, 60  # seconds without a byte after which a request counts as failed; that copies a large object
FIRST_ANSWER = 25.0  # seconds
GONE = 30.0  # seconds for which a store that counts as gone is not asked again: whoever tidies up does not wait as well
READ_BYTES = 4 << 20  # asked for at a time
HAD_WHOLE = SPOOLED = 16 << 20  # bytes that are held in memory; more are read in parts, or wait in a temporary file
_NO_RIGHT = re.compile(
    r"ACCESS_DENIED|ACCESS_KEY|SIGNATURE|_TOKEN|PERMISSION_DENIED|UNAUTHENTICATED|OAuth2|no right to it|40[13] Client Error"
    r"|HTTP status(?: code:)? 40[013]|credentials"
)
_DATA_SET = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@(refs/[a-z]+/[^/]+|[^/]+))?(/.*)?")
_NO_OBJECT = re.compile(r"NO_SUCH_KEY|The specified key does not exist")
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket")
_OTHER_REGION = re.compile(r"HTTP status 30[17]|PermanentRedirect|AuthorizationHeaderMalformed")


class StorageError(UserError):
    """A store does not answer, or does not let us. It is no OSError: what cannot be asked for is not what is not there."""


_gone: dict[tuple[str, ...], tuple[float, StorageError]] = {}


class StoredObject(NamedTuple):
    """An object, or what it is called that lies above some.

    Attributes:
      path: with its scheme.
      size: bytes.
      changed: seconds since 1970; 0 where the store does not say.
      is_folder: no object, but others have names that begin with this one.
    """

    path: str
    size: int
    changed: float
    is_folder: bool


def find(path: str) -> StoredObject | None:
    """What has this name; None: nothing.

    Raises:
      StorageError: the store cannot be asked.
    """
    system, key = _at(path)
    [info] = patiently(path, lambda: system.get_file_info([key]))
    return None if info.type == fs.FileType.NotFound else _found(path, info)


def below(folder: str) -> list[StoredObject]:
    """Every object whose name begins with a folder's, in order of names.

    Raises:
      StorageError: the store cannot be asked.
    """
    system, key = _at(folder)
    asked = fs.FileSelector(key, recursive=True, allow_not_found=True)
    top = folder.partition("://")[0] + "://"
    infos = patiently(folder, lambda: system.get_file_info(asked))
    return sorted(_found(top + info.path, info) for info in infos if info.type == fs.FileType.File)


def pinned(path: str) -> str:
    """The path at the hub's commit of today, so that all that is read is of one; any other path as it is.

    Raises:
      StorageError: the hub cannot be asked.
    """
    if not path.startswith("hf://"):
        return path
    named = _DATA_SET.fullmatch(path)
    if named is None:
        raise StorageError(
            f"{path}: of the hub data sets are read; write hf://datasets/ORGANISATION/NAME, or NAME@REVISION"
        )
    _at(path)
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=endpoint(path) or None)
    asked = urllib.parse.unquote(named[2] or "main")
    commit = patiently(path, lambda: hub.repo_info(named[1], revision=asked, repo_type="dataset").sha)
    return f"hf://datasets/{named[1]}@{commit}{named[3] or ''}".rstrip("/")


def open_object(path: str) -> IO[bytes]:
    """An object to read, from anywhere in it. Reads that fail are made again.

    Raises:
      FileNotFoundError: there is none.
      StorageError: the store cannot be asked.
    """
    raw = _Object(path)
    return io.BufferedReader(raw, max(1, min(READ_BYTES, raw.size)))


def arrow_paths(paths: list[str]) -> tuple[fs.FileSystem | None, list[str]]:
    """Arrow's filesystem of some files of one store, and what it calls them; None, and the paths, of this machine's.

    Raises:
      StorageError: the store cannot be asked.
    """
    if is_local(paths[0]):
        return None, paths
    return _at(paths[0])[0], [_at(path)[1] for path in paths]


def writing() -> Any:
    """Where an object's bytes wait until they are uploaded: a store has no half of an object."""
    return tempfile.SpooledTemporaryFile(SPOOLED)


def put(path: str, file: IO[bytes]) -> None:
    """Upload a file of this machine as an object, whole, over what is there.

    Raises:
      StorageError: it cannot be; what was there may be there still.
    """
    system, key = _at(path, writes=True)
    size = file.seek(0, os.SEEK_END)

    def upload() -> None:
        file.seek(0)
        with system.open_output_stream(key, compression=None) as out:  # Arrow compresses what is called `.gz` otherwise
            shutil.copyfileobj(file, out, READ_BYTES)
        [info] = system.get_file_info([key])
        if info.type != fs.FileType.File or info.size != size:
            raise OSError(f"{plural(info.size or 0, 'byte')} of {size:,} arrived")

    patiently(path, upload, is_put=True)


def copy(source: str, destination: str) -> None:
    """Give an object a second name. The store does it, and no byte comes here.

    Raises:
      FileNotFoundError: there is no source.
      StorageError: it cannot be.
    """
    system, key = _at(destination, writes=True, stall=COPY_STALL)
    patiently(destination, lambda: system.copy_file(_at(source)[1], key))


def delete(path: str) -> None:
    """Delete one object, by its exact name. What is gone already is no error.

    Raises:
      StorageError: it cannot be.
    """
    system, key = _at(path, writes=True)
    _until_gone(path, lambda: system.delete_file(key))


def delete_below(folder: str) -> None:
    """Delete every object below a folder, and what stores keep in place of empty folders.

    Raises:
      StorageError: it cannot be; some may be gone.
    """
    system, key = _at(folder, writes=True)
    if folder.startswith("gs://"):
        for one in below(folder):
            delete(one.path)  # pyarrow's own way takes a missing name of a folder for an error
    else:
        _until_gone(folder, lambda: system.delete_dir(key))


def _until_gone(path: str, action: Callable[[], None]) -> None:
    with contextlib.suppress(FileNotFoundError):  # or by a request whose answer was lost
        patiently(path, action)


def patiently(path: str, action: Callable[[], T], is_put: bool = False) -> T:
    """What an action on a store gives. It is done again while the store fails, for `PATIENCE` seconds at most.

    Args:
      path: what it is about, for the message.
      action: may be done more than once.
      is_put: it makes the object, so that nothing there is the bucket's fault.

    Raises:
      FileNotFoundError: there is no such object.
      StorageError: the store fails, or does not let us.
    """
    began, until, pause, store = time.monotonic(), 0.0, 0.1, (*path.split("/")[:3], endpoint(path))
    is_hub = path.startswith("hf://")
    if time.monotonic() < _gone.get(store, (0.0, None))[0]:
        raise _gone[store][1] from None
    while True:
        try:
            return action()
        except FileNotFoundError as error:
            if not is_put:
                raise FileNotFoundError(2, "No such object", path) from None
            if "UploadChunk" not in str(error):
                raise _no_bucket(path) from None
            why = str(error)  # of an upload that the store took for ended
        except Exception as error:  # a ValueError: of what Arrow has closed by itself
            if not (is_hub or isinstance(error, (OSError, ValueError, pa.ArrowException))):
                raise
            why = str(error)
            if _NO_OBJECT.search(why):  # of a copy
                raise FileNotFoundError(2, "No such object", path) from None
            if refused := _refused(path, why):
                raise refused from None
        now = time.monotonic()
        until = until or (now if is_hub else max(began + PATIENCE, now + AGAIN))  # whose library has tried again
        if now >= until:
            _gone[store] = now + GONE, _silent(path, why)
            raise _gone[store][1]
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


class _Object(io.RawIOBase):
    """An object as a raw file: each read is a request of its own, so that one that failed can be made again.

    Google's client begins to fetch all of an object when it is opened, and calls it closed once it has: small ones are had whole.
    """

    def __init__(self, path: str) -> None:
        self.path, self.at = path, 0
        self.system, self.key = _at(path)
        self.file: pa.NativeFile | None = None
        self.whole: bytes | None = None
        self.size = patiently(path, self._size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence])
        return self.at

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._next(self.size)

    def close(self) -> None:
        if self.file is not None and not self.closed:
            self.file.close()
        super().close()

    def _next(self, most: int) -> bytes:
        wanted = max(0, min(most, self.size - self.at))
        data = patiently(self.path, lambda: self._read(wanted, self.at)) if wanted else b""
        self.at += wanted
        return data

    def _size(self) -> int:
        if not self.path.startswith("gs://"):
            self.file = self.system.open_input_file(self.key)
            return int(self.file.size())
        [info] = self.system.get_file_info([self.key])
        if info.type != fs.FileType.File:
            raise FileNotFoundError
        return int(info.size)

    def _read(self, wanted: int, at: int) -> bytes:
        if self.file is None and self.size <= HAD_WHOLE:
            if self.whole is None:
                with self.system.open_input_stream(self.key, compression=None) as stream:
                    self.whole = stream.read()
            data = self.whole[at : at + wanted]
        else:
            self.file = self.file or self.system.open_input_file(self.key)
            data = self.file.read_at(wanted, at)
        if len(data) < wanted:
            self.whole = self.file = None
            raise OSError(f"{plural(len(data), 'byte')} of {wanted:,} arrived")
        return data


def _found(path: str, info: fs.FileInfo) -> StoredObject:
    return StoredObject(path, info.size or 0, (info.mtime_ns or 0) / 1e9, info.type == fs.FileType.Directory)


def _at(path: str, writes: bool = False, stall: int | None = None) -> tuple[fs.FileSystem, str]:
    """The filesystem of a path, and what it calls it. The first time, that its bucket is there and answers."""
    scheme, _, key = path.partition("://")
    bucket = key.partition("/")[0]
    if scheme not in SETTINGS:
        raise StorageError(f"{without_user(path)}: {not_read(path)}")
    if scheme == "hf" and writes:
        raise StorageError(f"{path}: nothing is written to the hub but by `lowbackground push`; name another place")
    if "@" in bucket or ":" in bucket or not bucket:
        raise StorageError(
            f"{without_user(path)}: not {scheme}://BUCKET/NAME; credentials go into the environment only"
        )
    settings = tuple(os.environ.get(name, "") for name in SETTINGS[scheme])
    if scheme != "hf":  # which has no buckets, and limits of its own
        _answers(scheme, bucket, settings)
    try:
        return client(scheme, settings, stall or STALL), key.rstrip("/")
    except ImportError:
        raise StorageError("hf:// needs huggingface_hub; pip install 'lowbackground[hf]'") from None


@functools.lru_cache(maxsize=64)
def _answers(scheme: str, bucket: str, settings: tuple[str, ...]) -> None:
    """Ask for a bucket, so that a store that is not there is known at once, and by its name.

    Raises:
      StorageError: it does not answer, or there is no such bucket.
    """
    path, said = f"{scheme}://{bucket}", []

    def ask() -> None:
        system = client(scheme, settings, STALL)
        try:
            said.append(patiently(path, lambda: system.get_file_info([bucket]))[0].type)
        except Exception as error:  # raised below, on the thread that asked
            said.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(FIRST_ANSWER)
    if not said:
        raise _silent(path, f"no answer for {FIRST_ANSWER:g} seconds")
    if isinstance(said[0], StorageError) and _NO_RIGHT.search(str(said[0])):
        return  # one may have a right to objects without one to ask for their bucket
    if isinstance(said[0], Exception):
        raise said[0]
    if said[0] == fs.FileType.NotFound:
        raise _no_bucket(path)


def _refused(path: str, said: str) -> StorageError | None:
    """The error, if asking again would not help."""
    scheme = path.partition("://")[0]
    if _NO_BUCKET.search(said):
        return _no_bucket(path)
    if _OTHER_REGION.search(said):
        return StorageError(f"{path}: the bucket is in another region; set AWS_REGION to it")
    if scheme == "hf" and "404 Client Error" in said:
        return StorageError(f"{path}: no such data set or revision, or no right to it; correct it, or set HF_TOKEN")
    if _NO_RIGHT.search(said):
        return StorageError(f"{path}: no right to it (access denied); {RIGHTS[scheme]}")
    return None


def _no_bucket(path: str) -> StorageError:
    return StorageError(f"{'/'.join(path.split('/')[:3])}: no such bucket; correct the name, or make the bucket first")


def _silent(path: str, said: str) -> StorageError:
    """Of a store that fails: which, how, and where it was asked."""
    told = re.search(
        r"HTTP status(?: code:)? \d+|curlCode: \d+, [^;]+|CURL error \[\d+\]=[\w ]+|\d[\d,]* bytes of .*", said
    )
    why = told[0] if told else posixpath.basename(said.split(". ")[0].split(": ")[-1])[:120]
    for name in SECRETS:
        if secret := os.environ.get(name):
            why = why.replace(secret, f"${name}")
    at = f" at {without_user(asked)}" if (asked := endpoint(path)) else ""
    return StorageError(f"{path}: the store{at} does not answer ({why}); try again later, or correct its address")
