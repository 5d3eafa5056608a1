"""The bytes of a file, decompressed, up to where they are good."""

import gzip
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from isal import igzip, isal_zlib

from transforms.ingest.sources import Piece

READ_BYTES = 1 << 20  # per read of a stream
BOM = b"\xef\xbb\xbf"
BAD_DEFLATE: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub says that it is an instance


class DamageError(Exception):
    """A file cannot be read, or not to its end."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def open_stored(piece: Piece) -> BinaryIO:
    """Open a file as it is stored.

    Raises:
      DamageError: it is not there, or not ours to read.
    """
    try:
        return FileSystems.open(piece.path, compression_type=CompressionTypes.UNCOMPRESSED)
    except OSError as error:
        detail = f"the file cannot be opened: {error.strerror or one_line(error)}"
        raise DamageError("unreadable_file", detail) from error


def chunks(piece: Piece, size: int) -> Iterator[bytes]:
    """The content of a file without its byte order mark, at most `size` at a time; all up to a damage, then `DamageError`."""
    position = 0
    try:
        with open_stored(piece) as raw:
            stream = _fast(raw, piece.compression)
            while chunk := stream.read(READ_BYTES):  # whatever `size` is, so that it never decides how far we get
                yield from _cut(chunk if position else chunk.removeprefix(BOM), size)
                position += len(chunk)
    except (OSError, EOFError, BAD_DEFLATE) as error:
        if not is_decoders(error):
            raise
        # The failed read took good bytes with it.
        rest, damage = _to_damage(piece, position)
        yield from _cut(rest if position else rest.removeprefix(BOM), size)
        raise damage or DamageError("corrupt_file", f"the compressed file is damaged: {one_line(error)}") from error


def _cut(chunk: bytes, size: int) -> Iterator[bytes]:
    if len(chunk) <= size:
        yield chunk
        return
    for begin in range(0, len(chunk), size):
        yield chunk[begin : begin + size]


def _fast(raw: BinaryIO, compression: str) -> Any:
    """A stream of the content. ISA-L decompresses gzip some three times as fast as zlib."""
    return igzip.IGzipFile(fileobj=raw) if compression == "gzip" else _arrows(raw, compression)


def _arrows(raw: BinaryIO, compression: str) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression) if compression else raw


def _to_damage(piece: Piece, position: int) -> tuple[bytes, DamageError | None]:
    """What lies between `position` and the damage, and what it is: byte by byte, since a read gives all or nothing."""
    found = bytearray()
    with open_stored(piece) as raw:
        stream = _arrows(raw, piece.compression)
        try:
            while position and (skipped := stream.read(min(position, READ_BYTES))):
                position -= len(skipped)
            while byte := stream.read(1):
                found += byte
        except OSError as error:
            if not is_decoders(error):
                raise
            return bytes(found), _damage(error)
    return bytes(found), None


def is_decoders(error: Exception) -> bool:
    """Whether a decoder found the bytes wrong, rather than the storage failing to give them."""
    ours = (pa.ArrowException, ValueError, EOFError, gzip.BadGzipFile, BAD_DEFLATE)
    return isinstance(error, ours) or (type(error) is OSError and error.errno is None)


def _damage(error: Exception) -> DamageError:
    if "Truncated" in str(error):
        return DamageError("truncated_file", "the compressed file ends too early; fetch it again")
    return DamageError("corrupt_file", f"the compressed file is damaged: {one_line(error)}")


def one_line(error: Exception) -> str:
    """The message of an error, in one line of bounded length."""
    return " ".join(str(error).split())[:200]
