"""The bytes of a file, decompressed, up to where they are good."""

import contextlib
import dataclasses
import gzip
import io
import lzma
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
from isal import igzip, isal_zlib

from expectations.paths import open_for_reading
from expectations.wording import message
from transforms.ingest.first_bytes import JSON, LOOK_BYTES, MAYBE_JSON, Kind, is_plain, kind_of, stood_for
from transforms.ingest.formats import FORMATS
from transforms.ingest.listing import is_regular
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece

READ_BYTES = 2 << 20  # per read of a stream
BOM = b"\xef\xbb\xbf"
TAIL_BYTES = 1024
SPOOLED_BYTES = 16 << 20  # of an unpacked file that are held in memory; more go to a temporary one
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


@dataclasses.dataclass(frozen=True)
class Inside(Piece):
    """What lies inside a file, or is made of it: read as a file of its own, and lost under the file's name.

    Attributes:
      opened: gives its bytes.
      member: what it is called inside; "": it is all of the file.
    """

    opened: Callable[[], BinaryIO] = io.BytesIO
    member: str = ""


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
        if kind.format:
            return _as_found(piece, dataclasses.replace(piece, format=kind.format, compression=""), kind, head)
        if not kind.compression:
            raise _other_format(kind.what, kind.advice, head, stood_for(kind, head))
        raw.seek(0)
        seen = dataclasses.replace(piece, compression=kind.compression)
        try:
            inner = unpacked(raw, kind.compression).read(LOOK_BYTES)
        except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
            if not is_decoders(error):
                raise
            inner = b""  # the reader finds the damage
    packed = kind_of(inner, piece.format)
    if packed is not None and packed.format:
        return _as_found(piece, dataclasses.replace(seen, format=packed.format), packed, inner)
    if packed is not None:
        what = f"{packed.what} that was compressed as a whole with {kind.what}"
        advice = f"unpack it once: {_UNPACK[kind.compression]}" if packed.compression else packed.advice
        raise _other_format(what, advice, inner)
    if FORMATS[piece.format].seeks:
        seen = dataclasses.replace(seen, format="jsonl")  # or nothing at all, as its lines will say
    return seen, "" if seen == piece else _remark(kind.what)


_UNPACK = {"gzip": "gzip -d", "zstd": "zstd -d", "bz2": "bzip2 -d", "xz": "xz -d", "lz4": "lz4 -d"}


def _as_found(piece: Piece, seen: Piece, kind: Kind, head: bytes) -> tuple[Piece, str]:
    """A file that begins like a format of ours."""
    if FORMATS[piece.format].one_document:
        raise _other_format(kind.what, f"set format: {seen.format} for it, or give it another name", head)
    if kind is MAYBE_JSON:
        return seen, "" if seen.compression == piece.compression else _remark(kind.what)
    if kind is JSON:
        is_lines = re.search(r"\.(jsonl|ndjson)(\.|$)", piece.path.lower())  # `.json` may be either
        return seen, _remark(kind.what) if is_lines or seen.compression != piece.compression else ""
    return seen, "" if seen == piece else _remark(kind.what)


def _other_format(what: str, advice: str, head: bytes, n_bytes: int | None = None) -> DamageError:
    return DamageError("other_format", f"this is {what}; {advice}", n_bytes=n_bytes, raw=head)


def _as_named(piece: Piece, head: bytes) -> tuple[Piece, str]:
    """Nothing that is known: text that has lost its compression, JSON Lines that is called Parquet, or what the name says."""
    if piece.compression and not head:
        detail = f"the file has 0 bytes, and not even the beginning of {piece.compression}; fetch it again"
        raise DamageError("truncated_file", detail, n_bytes=0)
    if piece.compression and is_plain(head, piece.format):
        return dataclasses.replace(piece, compression=""), _remark("not compressed")
    if FORMATS[piece.format].seeks and is_plain(head, "jsonl"):
        return dataclasses.replace(piece, format="jsonl"), _remark("JSON Lines")
    return piece, ""


def _remark(what: str) -> str:
    return f"the file is {what}, whatever its name says, and was read so; rename it"


def open_stored(piece: Piece) -> BinaryIO:
    """Open a file as it is stored.

    Raises:
      DamageError: it is not there, not ours to read, or no file: a FIFO is never opened.
    """
    if isinstance(piece, Inside):
        return piece.opened()
    try:
        if not is_regular(piece.place):
            raise DamageError("unreadable_file", "the file cannot be opened: it is no regular file")
        return open_for_reading(piece.place)
    except OSError as error:
        detail = f"the file cannot be opened: {error.strerror or message(error)}"
        raise DamageError("unreadable_file", detail) from error


def whole_content(piece: Piece, most: int) -> tuple[bytes, bool] | None:
    """The content of a small file, without its byte order mark, by opening it once; None: look closer.

    That is where it is not what its name says, is damaged, or has more than `most` bytes, stored or decompressed. The second
    is whether it is JSON that is not, or may not be, one object a line.
    """
    try:
        with open_stored(piece) as raw:
            stored = _up_to(raw, most)
        kind = kind_of(stored[:LOOK_BYTES], piece.format)
        content = stored
        if piece.compression:
            if kind is None or kind.compression != piece.compression:
                return None
            content = _up_to(_fast(io.BytesIO(stored), piece.compression), most)
            kind = kind_of(content[:LOOK_BYTES], piece.format)
        if max(len(stored), len(content)) > most:
            return None
        if kind in (JSON, MAYBE_JSON):
            seen = dataclasses.replace(piece, format="json")
            return None if _as_found(piece, seen, kind, content)[1] else (content.removeprefix(BOM), True)
    except DamageError:
        return None
    except Exception as error:
        if not is_decoders(error):
            raise
        return None
    return (content.removeprefix(BOM), False) if kind is None else None


def _up_to(stream: Any, most: int) -> bytes:
    """All of a stream or, where it has more than `most` bytes, some more than that. A read may give less than was asked for."""
    found = bytearray()
    while len(found) <= most and (chunk := stream.read(READ_BYTES)):
        found += chunk
    return bytes(found)


def chunks(piece: Piece, size: int) -> Iterator[bytes]:
    """The content of a file without its byte order mark, at most `size` at a time; all up to a damage, then `DamageError`."""
    position = 0
    try:
        with open_stored(piece) as raw:
            stream = _fast(raw, piece.compression)
            while chunk := stream.read(READ_BYTES):  # whatever `size` is, so that it never decides how far we get
                yield from _cut(chunk if position else chunk.removeprefix(BOM), size)
                position += len(chunk)
    except (OSError, EOFError, BAD_DEFLATE, lzma.LZMAError) as error:
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
    return igzip.IGzipFile(fileobj=raw) if compression == "gzip" else unpacked(raw, compression)


def unpacked(raw: BinaryIO, compression: str) -> Any:
    """A stream of the content that stops at a damage, wherever it is."""
    if compression == "xz":
        return lzma.LZMAFile(raw)
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression) if compression else raw


def _to_damage(piece: Piece, position: int) -> tuple[bytes, DamageError | None]:
    """What lies between `position` and the damage, and what it is: byte by byte, since a read gives all or nothing."""
    found = bytearray()
    with open_stored(piece) as raw:
        sips = _Sips(raw)
        stream = unpacked(sips, piece.compression)  # type: ignore[arg-type]
        try:
            while position and (skipped := stream.read(min(position, READ_BYTES))):
                position -= len(skipped)
            while byte := stream.read(1):
                found += byte
        except (OSError, EOFError, lzma.LZMAError) as error:
            if not is_decoders(error):
                raise
            return bytes(found), _damage(error, max(0, piece.size - sips.taken))
    return bytes(found), None


class ChunkStream(io.RawIOBase):
    """Chunks of bytes as a file, for readers that want one. A damage behind them ends it, and is kept.

    Attributes:
      damage: what ended it before its time, or None.
      given: bytes that were read of it.
      tail: the last of them, at most `TAIL_BYTES`.
      used: bytes up to the last that is not zero.
    """

    def __init__(self, source: Iterator[bytes], keep_damage: bool = True) -> None:
        self._source, self._left = source, memoryview(b"")
        self._keeps = keep_damage
        self.damage: DamageError | None = None
        self.given = self.used = 0
        self.tail = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """As of any file: at most `size` bytes, as many as that unless it ends; all with -1."""
        size = -1 if size is None else size
        parts: list[bytes] = []
        n = 0
        while size < 0 or n < size:
            if not self._left:
                try:
                    self._left = memoryview(next(self._source, b""))
                except DamageError as damage:
                    if not self._keeps:
                        if not parts:
                            raise
                        self._source = _raising(damage)
                        break
                    self.damage, self._source = damage, iter(())
                if not self._left:
                    break
            taken = self._left if size < 0 else self._left[: size - n]
            self._left = self._left[len(taken) :]
            parts.append(bytes(taken))
            n += len(taken)
        data = b"".join(parts)
        if filled := len(data.rstrip(b"\0")):
            self.used = self.given + filled
        self.given += n
        self.tail = (self.tail + data)[-TAIL_BYTES:] if n < TAIL_BYTES else data[-TAIL_BYTES:]
        return data

    def tell(self) -> int:
        """Bytes that were read."""
        return self.given

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stay here: some readers ask where they are in this way."""
        if (offset, whence) != (0, io.SEEK_CUR):
            raise io.UnsupportedOperation("a stream is read once")
        return self.given

    def drain(self) -> int:
        """Read what is left; gives the bytes of all."""
        while self.read(READ_BYTES):
            pass
        return self.given

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _raising(damage: DamageError) -> Iterator[bytes]:
    raise damage
    yield b""


@contextlib.contextmanager
def open_seekable(piece: Piece, limits: ReadLimits) -> Iterator[BinaryIO]:
    """Open a file that is read from any place: one that was compressed as a whole is unpacked first.

    Raises:
      DamageError: it is not there, or its compression is damaged: then nothing of it can be told; or it is too large.
    """
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(contextlib.closing(open_stored(piece)))
        if not piece.compression and raw.seekable():
            yield raw
            return
        spool = stack.enter_context(tempfile.SpooledTemporaryFile(SPOOLED_BYTES))
        try:
            for chunk in chunks(piece, READ_BYTES):
                spool.write(chunk)
                if spool.tell() > limits.max_unpacked_bytes:
                    raise DamageError(*limits.file_too_large())
        except DamageError as damage:
            damage.n_bytes = None  # of the whole file
            raise
        spool.seek(0)
        yield spool  # type: ignore[misc]


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
    if "Truncated" in str(error) or isinstance(error, EOFError):
        return DamageError("truncated_file", "the compressed file ends too early; fetch it again", n_bytes=n_bytes)
    if "too much memory" in str(error):
        detail = (
            "it was compressed with a long window (zstd --long), which takes too much memory; compress it again without"
        )
        return DamageError("corrupt_file", detail, n_bytes=n_bytes)
    return DamageError("corrupt_file", f"the compressed file is damaged: {message(error)}", n_bytes=n_bytes)
