"""The bytes of a file, decompressed, up to where they are good."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.sources import Piece

READ_BYTES = 1 << 20  # per read of a stream
BOM = b"\xef\xbb\xbf"


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


def _stream(raw: BinaryIO, compression: str) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression) if compression else raw


def chunks(piece: Piece, size: int) -> Iterator[bytes]:
    """The content of a file without its byte order mark; all of it up to a damage, then `DamageError`."""
    position = 0
    with open_stored(piece) as raw:
        stream = _stream(raw, piece.compression)
        while True:
            try:
                chunk = stream.read(size)
            except OSError as error:
                if not is_arrows(error):
                    raise
                # The failed read took good bytes with it.
                yield _before_damage(piece, position).removeprefix(b"" if position else BOM)
                raise _damage(error) from error
            if not chunk:
                return
            yield chunk if position else chunk.removeprefix(BOM)
            position += len(chunk)


def _before_damage(piece: Piece, position: int) -> bytes:
    """What lies between `position` and the damage: byte by byte, since a read gives all or nothing."""
    with open_stored(piece) as raw:
        stream = _stream(raw, piece.compression)
        while position and (skipped := stream.read(min(position, READ_BYTES))):
            position -= len(skipped)
        found = bytearray()
        try:
            while byte := stream.read(1):
                found += byte
        except OSError as error:
            if not is_arrows(error):
                raise
        return bytes(found)


def is_arrows(error: Exception) -> bool:
    """Whether Arrow found the bytes wrong, rather than the storage failing to give them."""
    return isinstance(error, pa.ArrowException | ValueError) or (type(error) is OSError and error.errno is None)


def _damage(error: Exception) -> DamageError:
    if "Truncated" in str(error):
        return DamageError("truncated_file", "the compressed file ends too early; fetch it again")
    return DamageError("corrupt_file", f"the compressed file is damaged: {one_line(error)}")


def one_line(error: Exception) -> str:
    """The message of an error, in one line of bounded length."""
    return " ".join(str(error).split())[:200]
