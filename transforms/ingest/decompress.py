"""The bytes of a file, decompressed, up to where they are good."""

import dataclasses
import gzip
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from isal import igzip, isal_zlib

from expectations.wording import message
from transforms.ingest.first_bytes import LOOK_BYTES, is_plain, kind_of, stood_for
from transforms.ingest.listing import is_regular
from transforms.ingest.sources import Piece

READ_BYTES = 1 << 20  # per read of a stream
BOM = b"\xef\xbb\xbf"
BAD_DEFLATE: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub says that it is an instance


class DamageError(Exception):
    """A file cannot be read, or not to its end.

    Attributes:
      records: how many are lost; None: nobody knows.
      n_bytes: in storage, of what is lost, about; None: as many as the file has; 0: the file does not say.
      raw: first bytes of what cannot be read.
    """

    def __init__(
        self, reason: str, detail: str, records: int | None = None, n_bytes: int | None = None, raw: bytes = b""
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.records = records
        self.n_bytes = n_bytes
        self.raw = raw


def look(piece: Piece) -> tuple[Piece, str]:
    """A piece as its first bytes say, and what to remark where its name says something else ("": nothing).

    Raises:
      DamageError: it is nothing that can be read, or cannot be opened.
    """
    with open_stored(piece) as raw:
        head = raw.read(LOOK_BYTES)
        kind = kind_of(head, piece.format)
        if kind is None:
            return _as_named(piece, head)
        if kind.format and piece.format != "text":
            seen = dataclasses.replace(piece, format=kind.format, compression="")
            return seen, "" if seen == piece else _remark(kind.what)
        if not kind.compression:
            raise _other_format(kind.what, kind.advice or "name it .parquet", head, stood_for(kind, head))
        raw.seek(0)
        seen = dataclasses.replace(piece, compression=kind.compression)
        try:
            inner = _arrows(raw, kind.compression).read(LOOK_BYTES)
        except (OSError, EOFError, ValueError) as error:
            if not is_decoders(error):
                raise
            inner = b""  # the reader finds the damage
    packed = kind_of(inner, piece.format)
    if packed is not None:
        what = f"{packed.what} that was compressed as a whole with {kind.what}"
        twice = packed.compression or packed.format
        advice = f"unpack it once: {_UNPACK[kind.compression]}" if twice else packed.advice
        raise _other_format(what, advice, inner)
    if piece.format == "parquet":
        seen = dataclasses.replace(seen, format="jsonl")  # or nothing at all, as its lines will say
    return seen, "" if seen == piece else _remark(kind.what)


_UNPACK = {"gzip": "gzip -d", "zstd": "zstd -d", "bz2": "bzip2 -d"}


def _other_format(what: str, advice: str, head: bytes, n_bytes: int | None = None) -> DamageError:
    return DamageError("other_format", f"this is {what}; {advice}", n_bytes=n_bytes, raw=head)


def _as_named(piece: Piece, head: bytes) -> tuple[Piece, str]:
    """Nothing that is known: text that has lost its compression, JSON Lines that is called Parquet, or what the name says."""
    if piece.compression and not head:
        detail = f"the file has 0 bytes, and not even the beginning of {piece.compression}; fetch it again"
        raise DamageError("truncated_file", detail, n_bytes=0)
    if piece.compression and is_plain(head, piece.format):
        return dataclasses.replace(piece, compression=""), _remark("not compressed")
    if piece.format == "parquet" and is_plain(head, "jsonl"):
        return dataclasses.replace(piece, format="jsonl"), _remark("JSON Lines")
    return piece, ""


def _remark(what: str) -> str:
    return f"the file is {what}, whatever its name says, and was read so; rename it"


def open_stored(piece: Piece) -> BinaryIO:
    """Open a file as it is stored.

    Raises:
      DamageError: it is not there, not ours to read, or no file: a FIFO is never opened.
    """
    try:
        if not is_regular(piece.place):
            raise DamageError("unreadable_file", "the file cannot be opened: it is no regular file")
        return FileSystems.open(piece.place, compression_type=CompressionTypes.UNCOMPRESSED)
    except OSError as error:
        detail = f"the file cannot be opened: {error.strerror or message(error)}"
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
        raise damage or _damage(error, 0) from error


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
        sips = _Sips(raw)
        stream = _arrows(sips, piece.compression)  # type: ignore[arg-type]
        try:
            while position and (skipped := stream.read(min(position, READ_BYTES))):
                position -= len(skipped)
            while byte := stream.read(1):
                found += byte
        except OSError as error:
            if not is_decoders(error):
                raise
            return bytes(found), _damage(error, max(0, piece.size - sips.taken))
    return bytes(found), None


class _Sips:
    """A file that gives little at a time, so that what was taken when a decoder stopped is about what it had read."""

    closed = False

    def __init__(self, raw: BinaryIO) -> None:
        self.raw, self.taken = raw, 0

    def read(self, n: int) -> bytes:
        data = self.raw.read(min(n, 4096))
        self.taken += len(data)
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def is_decoders(error: Exception) -> bool:
    """Whether the bytes are wrong, rather than the storage failing to give them or the machine out of memory."""
    if isinstance(error, OSError):
        return isinstance(error, gzip.BadGzipFile) or (type(error) is OSError and error.errno is None)
    return isinstance(error, pa.ArrowException) or not isinstance(error, MemoryError)


def _damage(error: Exception, n_bytes: int) -> DamageError:
    if "Truncated" in str(error):
        return DamageError("truncated_file", "the compressed file ends too early; fetch it again", n_bytes=n_bytes)
    if "too much memory" in str(error):
        detail = (
            "it was compressed with a long window (zstd --long), which takes too much memory; compress it again without"
        )
        return DamageError("corrupt_file", detail, n_bytes=n_bytes)
    return DamageError("corrupt_file", f"the compressed file is damaged: {message(error)}", n_bytes=n_bytes)
