"""Parquet files that carry a checksum of themselves, in their footer, and stay plain Parquet for every reader.

The value of one key of the footer's metadata is the SHA-256 of all bytes of the file, taken with 64 zeros in its place. So the
file and its checksum come and go together, and no byte is outside of it: neither the footer nor a page. A file of the signal
store is read by many stages, and is verified once for each process, before its first use.
"""

import contextlib
import hashlib
import os
from typing import IO

import pyarrow.parquet as pq

from expectations.paths import is_local, open_for_reading

CHECKSUM, AGAIN, MADE_OF = (
    f"lowbackground.{name}" for name in ("checksum", "again", "made_of")
)  # keys of the metadata
_MARK, _ZEROS = b"sha256:", b"0" * 64
_CHUNK_BYTES = 1 << 22
_verified: dict[str, object] = {}  # path -> what the file was when it was found whole


class DamagedError(Exception):
    """A file that the product wrote is not what it wrote. One line: which file, what is wrong, what helps."""


class Checked:
    """A file to write Parquet into; it holds the footer back until its checksum is in it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha256, self.size = file, hashlib.sha256(), 0
        self.footer: bytearray | None = None  # None: not begun
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write on, or hold it."""
        self.size += len(data)
        if self.footer is not None:
            self.footer += data
        else:
            self.sha256.update(data)
            self.file.write(data)
        return len(data)

    def tell(self) -> int:
        """How much there is."""
        return self.size

    def flush(self) -> None:
        """Nothing: the file below is not to be seen before it is whole."""

    def close(self) -> None:
        """Nothing: `finish` ends it."""

    def abandon(self, writer: pq.ParquetWriter) -> None:
        """Close the writer after a failure, and write nothing more."""
        self.footer = bytearray()
        with contextlib.suppress(Exception):
            writer.close()

    def finish(self, writer: pq.ParquetWriter, lasts: bool = True, made_of: str = "") -> None:
        """Close the writer and write the footer.

        Args:
          writer: into this file.
          lasts: whether a later run may take the file for the truth; false after a failure that may not come again.
          made_of: a digest of what it depends on beyond its name.
        """
        about = {CHECKSUM: (_MARK + _ZEROS).decode(), MADE_OF: _made_of(made_of)}
        writer.add_key_value_metadata(about if lasts else about | {AGAIN: "a file could not be read"})
        self.footer = bytearray()
        writer.close()
        self.sha256.update(self.footer)
        start = self.footer.rindex(_MARK + _ZEROS) + len(_MARK)
        self.footer[start : start + len(_ZEROS)] = self.sha256.hexdigest().encode()
        self.file.write(self.footer)


def _made_of(digest: str) -> str:
    return f"{MADE_OF}:{digest}."


def remember(path: str) -> None:
    """Take a file that was written just now for whole."""
    _verified[path] = as_it_is(path)


def verify(path: str, made_of: str = "") -> bool:
    """Read a file and hold it against its checksum. Returns whether it lasts, and is made of this.

    Raises:
      FileNotFoundError: it is not there.
      DamagedError: it is not what was written.
    """
    _verified.pop(path, None)
    now = as_it_is(path)
    footer = _read(path)
    _verified[path] = now
    return AGAIN.encode() not in footer and _made_of(made_of).encode() in footer


def ensure(path: str) -> None:
    """Verify a file unless this process did and nothing touched it since.

    Raises:
      FileNotFoundError, DamagedError: as `verify`.
    """
    if path not in _verified or _verified[path] != as_it_is(path):
        verify(path)


def as_it_is(path: str) -> object:
    """What tells that a file was touched, without reading it; None in an object store."""
    if not is_local(path):
        return None
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def claimed(path: str) -> str | None:
    """The checksum that a file carries, which nobody has verified here; None if a later run must not take it for the truth.

    Raises:
      FileNotFoundError: it is not there.
      DamagedError: it has none.
    """
    with open_for_reading(path) as file:
        footer, start = _footer(file, path)
    return None if AGAIN.encode() in footer else footer[start : start + len(_ZEROS)].decode("ascii", "replace")


def _footer(file: IO[bytes], path: str) -> tuple[bytearray, int]:
    """A file's footer, and where in it the checksum is."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(8)[:4], "little") + 8
    if not 8 < length <= size:
        raise DamagedError(_damaged(path, "it is empty" if not size else "it has no end"))
    file.seek(size - length)
    footer = bytearray(file.read())
    start = footer.rfind(_MARK) + len(_MARK)
    if start < len(_MARK):
        raise DamagedError(_damaged(path, "it has no checksum"))
    return footer, start


def _read(path: str) -> bytes:
    digest = hashlib.sha256()
    with open_for_reading(path) as file:
        footer, start = _footer(file, path)
        left = file.seek(0, os.SEEK_END) - len(footer)
        file.seek(0)
        while left and (chunk := file.read(min(_CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
    said = bytes(footer[start : start + len(_ZEROS)])
    footer[start : start + len(_ZEROS)] = _ZEROS
    digest.update(footer)
    if digest.hexdigest().encode() != said:
        raise DamagedError(_damaged(path, "its bytes are not those that were written"))
    return bytes(footer)


def _damaged(path: str, what: str) -> str:
    return f"{path} is damaged: {what}; run again, which makes it anew, and if this comes back look at the disk"
