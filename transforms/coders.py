"""Arrow IPC as the coder of `pyarrow.RecordBatch`.

Beam's default pickles, and a pickled slice carries the buffers of its whole parent (docs/decisions/0002). Importing
this module registers the coder.
"""

import functools

import pyarrow as pa
from apache_beam import coders


@functools.lru_cache(maxsize=64)
def _schema_bytes(schema: pa.Schema) -> bytes:
    return schema.serialize().to_pybytes()


@functools.lru_cache(maxsize=64)
def _schema(data: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(data))


class RecordBatchCoder(coders.Coder):
    """Length of the schema message (4 bytes, little-endian), schema message, record batch message."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Encode one batch; a slice costs what its own rows cost."""
        schema = _schema_bytes(value.schema)
        return len(schema).to_bytes(4, "little") + schema + value.serialize().to_pybytes()

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Decode without copying: the batch's buffers point into `encoded`."""
        end = 4 + int.from_bytes(encoded[:4], "little")
        return pa.ipc.read_record_batch(pa.py_buffer(encoded).slice(end), _schema(encoded[4:end]))

    def is_deterministic(self) -> bool:
        """Equal batches may be encoded with different padding, so a batch is never a key."""
        return False

    def to_type_hint(self) -> type:
        """The type it is registered for."""
        return pa.RecordBatch


coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
