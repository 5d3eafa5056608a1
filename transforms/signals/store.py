"""The signal store: what the survey found, as Parquet, one file per split.

A file is named by everything its content depends on (the input's fingerprint, the source's fields, the detector, the
signature), so a second run with another ratio or suite reads no text before `emit`, and a run with new files surveys only
those. A file is written under another name and renamed: one that is there is whole.
"""

import dataclasses
import hashlib
import json
import os
import posixpath
import unicodedata
import uuid
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.ingest.sources import EARLIER, Split

HASHES = (
    "signature",
    "doc_id",
    "content_hash",
    "url_hash",
    "ngrams_1",
    "ngrams_2",
    "ngrams_3",
    "paragraphs",
    "first_words",
)
ROW_GROUP_BYTES = 8 << 20
VERSION = 12  # raise it when a kernel changes what it computes


@dataclasses.dataclass(frozen=True)
class SignalStore:
    """Where the signals of each split are.

    Attributes:
      folder: any folder of Beam's filesystems.
      depends_on: what the signals depend on beside the split: sorted pairs of name and value.
    """

    folder: str
    depends_on: tuple[tuple[str, str], ...]

    def path(self, split: Split) -> str:
        """The file of a split's signals, whether it exists or not; of an earlier release, the file itself."""
        if split.source == EARLIER:
            return split.pieces[0].path
        key = {
            "version": VERSION,
            "unicode": unicodedata.unidata_version,
            "pieces": [dataclasses.astuple(piece) for piece in split.pieces],
            **dict(self.depends_on),
            "source": dict(self.depends_on)[f"source {split.source}"],
        }
        key = {k: v for k, v in key.items() if not k.startswith("source ")}
        digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
        return posixpath.join(self.folder, digest + ".parquet")

    def has(self, split: Split) -> bool:
        """Whether the split was surveyed before."""
        return FileSystems.exists(self.path(split))

    def write(self, split: Split, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write a split's signals; they exist only once all are written."""
        write_parquet(self.path(split), batches, schema, plain=HASHES)

    def read(self, split: Split, columns: list[str]) -> pa.Table:
        """Some columns of a split's signals, in the order of its documents."""
        path = self.path(split)
        if os.path.isfile(path):  # a local file is mapped, not copied
            return pq.read_table(
                path, columns=columns, use_threads=False, pre_buffer=False, memory_map=True, partitioning=None
            )
        with open_for_reading(path) as source:
            return pq.read_table(pa.PythonFile(source, mode="r"), columns=columns, use_threads=False, pre_buffer=False)

    def count(self, split: Split) -> int:
        """How many documents the split has."""
        with open_for_reading(self.path(split)) as source:
            return pq.read_metadata(pa.PythonFile(source, mode="r")).num_rows


def open_for_reading(path: str):  # type: ignore[no-untyped-def]
    """Open a file as it is, without guessing a compression from its name."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def write_parquet(path: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema, plain: tuple[str, ...] = ()) -> int:
    """Write batches as one Parquet file, under another name first. Returns the number of rows.

    Columns in `plain` hold hashes: they do not compress.
    """
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    compression = {name: "NONE" if name in plain else "ZSTD" for name in schema.names}
    words = [f.name for f in schema if pa.types.is_string(f.type)]
    rows = 0
    with (
        FileSystems.create(partial, compression_type=CompressionTypes.UNCOMPRESSED) as raw,
        pq.ParquetWriter(raw, schema, compression=compression, use_dictionary=words, write_statistics=False) as writer,
    ):
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            rows += batch.num_rows
            if sum(one.nbytes for one in held) >= ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(held))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held))
    FileSystems.rename([partial], [path])
    return rows
