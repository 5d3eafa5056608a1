"""How data crosses from one stage to the next.

`pyarrow.RecordBatch` as Arrow IPC: Beam's default pickles, and a pickled slice carries the buffers of its whole parent
(docs/decisions/0002). Importing this module registers that coder. What is large is compressed, for the local runner holds
several copies of what crosses; and what is larger yet crosses as the name of a file.
"""

import functools
import io
import pickle  # for what our own stages make, as Beam's default does; never for data that is read
import posixpath
import uuid
from typing import IO

import pyarrow as pa
import zstandard
from apache_beam import coders

from expectations.paths import open_for_reading
from transforms.engine import files


@functools.lru_cache(maxsize=64)
def _schema_bytes(schema: pa.Schema) -> bytes:
    return schema.serialize().to_pybytes()


@functools.lru_cache(maxsize=64)
def _schema(data: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(data))


# An engine holds what crosses, several times over. Only a crowd makes a batch large: documents that are like each other, and so
# are their signatures (docs/decisions/0056).
LARGE = 1 << 18  # bytes of a batch that is compressed
_IS_COMPRESSED = 1 << 31


class RecordBatchCoder(coders.Coder):
    """Length of the schema message (4 bytes, little-endian), schema message, record batch message.

    A large batch's message is compressed, which the highest bit of the length says.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Encode one batch; a slice costs what its own rows cost."""
        schema, message = _schema_bytes(value.schema), value.serialize()
        head = len(schema)
        if len(message) >= LARGE:
            head |= _IS_COMPRESSED
            message = zstandard.ZstdCompressor(1).compress(message)
        return b"".join((head.to_bytes(4, "little"), schema, message))

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Decode, a small batch without copying: its buffers point into `encoded`."""
        head = int.from_bytes(encoded[:4], "little")
        end = 4 + (head & ~_IS_COMPRESSED)
        message = pa.py_buffer(encoded).slice(end)
        if head & _IS_COMPRESSED:
            message = pa.py_buffer(zstandard.ZstdDecompressor().decompress(message))
        return pa.ipc.read_record_batch(message, _schema(encoded[4:end]))

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """For Beam's own counters, which would encode it for that."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """Equal batches may be encoded with different padding, so a batch is never a key."""
        return False

    def to_type_hint(self) -> type:
        """The type it is registered for."""
        return pa.RecordBatch


class CompressedCoder(coders.Coder):
    """Any object of ours, pickled and compressed. Its arrays go straight in and out: the pickle is nowhere whole."""

    def encode(self, value: object) -> bytes:
        """Encode."""
        out = io.BytesIO()
        _write(value, out)
        return out.getvalue()

    def decode(self, encoded: bytes) -> object:
        """Decode."""
        return _read(encoded)

    def estimate_size(self, value: object) -> int:
        """Unknown: Beam would pickle and compress a large object once more, to count its bytes."""
        return 0

    def is_deterministic(self) -> bool:
        """Equal objects may be pickled differently, so such an object is never a key."""
        return False


class FileCoder(CompressedCoder):
    """The same in a file of an attempt's folder, whose path is what crosses: neither the engine nor Beam holds any of it.

    Who reads it may have to do it again, so it is there until the folder is deleted.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def encode(self, value: object) -> bytes:
        """Write it to a file of its own."""
        path = posixpath.join(self.folder, uuid.uuid4().hex)
        with files.whole(path, sync=False) as file:
            _write(value, file)
        return path.encode()

    def decode(self, encoded: bytes) -> object:
        """Read it."""
        with open_for_reading(encoded.decode()) as file:
            return _read(file)


def _write(value: object, out: IO[bytes]) -> None:
    """With a checksum, which is looked at when it is read."""
    with zstandard.ZstdCompressor(1, write_checksum=True).stream_writer(out, closefd=False) as pickled:
        pickle.dump(value, pickled, pickle.HIGHEST_PROTOCOL)


def _read(encoded: bytes | IO[bytes]) -> object:
    with zstandard.ZstdDecompressor().stream_reader(encoded, closefd=False) as pickled:
        return pickle.load(io.BufferedReader(pickled))  # noqa: S301 (made by `_write`)


coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
