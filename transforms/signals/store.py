"""The signal store: what the survey found, as Parquet, one file per split.

A file is named by everything its content depends on (the input's fingerprint, the source's fields, the detector, the
signature), so a second run with another ratio or suite reads no text before `emit`, and a run with new files surveys only
those. A file is written under another name and renamed, and carries a checksum: one that is damaged, or came of a failure that
may heal, is as one that is not there (docs/decisions/0028).

What stages see are the columns of `contracts.signals`. Two of them, of words that come again and again, are stored in a form that
takes less room (docs/decisions/0089): `ngrams_1` as steps between numbers of types, and `first_words` as a list, which Parquet
keeps a dictionary of. Both are read by whole splits.
"""

import dataclasses
import hashlib
import json
import logging
import posixpath
import unicodedata
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expectations import parquet
from expectations.wording import plural
from transforms.engine import checksums, files
from transforms.ingest.sources import EARLIER, InputError, Split
from transforms.kernels.statistics.type_steps import Numbering, Steps, types_of
from transforms.kernels.text.columns import bytes_of, joined, numbers, packed

HASHES = (
    "signature",
    "doc_id",
    "content_hash",
    "url_hash",
    "ngrams_1_new",
    "ngrams_2",
    "ngrams_3",
    "paragraphs",
    "contaminated_by",
    "trace",
)
_TYPES, _STEPS = "ngrams_1", ("ngrams_1_new", "ngrams_1_low", "ngrams_1_high")  # a column, and what is stored of it
_WORDS, _LISTS = "first_words", pa.list_(pa.field("element", pa.uint32(), nullable=False))
Thinned = Callable[[pa.Table], pa.Table]
_LOG = logging.getLogger(__name__)
_LOG.setLevel(logging.WARNING)  # also where a run keeps the engines' chatter off the terminal
# So much is held: the signals of most splits are one group, and what they sample is thinned once.
ROW_GROUP_BYTES = 16 << 20
VERSION = 20  # raise it when a kernel changes what it computes


@dataclasses.dataclass(frozen=True)
class SignalStore:
    """Where the signals of each split are.

    Attributes:
      folder: of this machine, or in an object store.
      depends_on: what the signals depend on beside the split: sorted pairs of name and value.
    """

    folder: str
    depends_on: tuple[tuple[str, str], ...]

    def path(self, split: Split) -> str:
        """The file of a split's signals, whether it exists or not; of an earlier release, the file itself."""
        if split.source == EARLIER:
            return split.pieces[0].place
        key = {
            "version": VERSION,
            "unicode": unicodedata.unidata_version,
            "pieces": split.key,
            **dict(self.depends_on),
            "source": dict(self.depends_on)[f"source {split.source}"],
        }
        key = {k: v for k, v in key.items() if not k.startswith("source ")}
        digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
        return posixpath.join(self.folder, digest + ".parquet")

    def quarantine_path(self, split: Split) -> str:
        """The file of a split's records that could not be read; it is there before the signals are."""
        return self.path(split).removesuffix(".parquet") + ".quarantine.parquet"

    def has(self, split: Split) -> bool:
        """Whether the split has a file that a run may use: verified here, whatever was verified before."""
        return is_usable(self.path(split))

    def has_quarantine(self, split: Split) -> bool:
        """Whether the split has a quarantine that a run may use."""
        return is_usable(self.quarantine_path(split))

    def was_surveyed(self, split: Split, made_of: str = "") -> bool:
        """Whether the split has signals and quarantine that a run may use."""
        return self.has_quarantine(split) and is_usable(self.path(split), made_of)

    def write(
        self,
        split: Split,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        made_of: str = "",
        thinned: Thinned | None = None,
    ) -> None:
        """Write a split's signals; they exist only once all are written. `thinned`: as of `write_parquet`."""
        numbering, stored = Numbering(), _stored_schema(schema)
        coded = (_as_stored(batch, stored, numbering) for batch in batches)
        write_parquet(self.path(split), coded, stored, HASHES, made_of=made_of, sync=False, thinned=thinned)

    def forget(self, split: Split) -> None:
        """Delete a split's signals, for its files are not what they were made from: the next run makes them anew."""
        if split.source != EARLIER:
            files.delete(self.path(split))

    def read(self, split: Split, columns: list[str]) -> pa.Table:
        """Some columns of a split's signals, in the order of its documents.

        Raises:
          DamagedError: the file is not what was written.
        """
        path = self.path(split)
        if split.source != EARLIER:  # whose files are held against their manifest when the run is planned
            checksums.ensure(path)
        stored = [part for name in columns for part in (_STEPS if name == _TYPES else (name,))]
        return _as_written(_read(path, stored), columns)

    def read_quarantine(self, split: Split, columns: list[str] | None = None) -> pa.Table:
        """Some columns of a split's records that could not be read, or all.

        Raises:
          DamagedError: the file is not what was written.
        """
        return read_parquet(self.quarantine_path(split), columns)

    def count(self, split: Split) -> int:
        """How many documents the split has."""
        path = self.path(split)
        checksums.ensure(path)
        with parquet.opened(path, mapped=True) as file:
            return file.metadata.num_rows


def _stored_schema(schema: pa.Schema) -> pa.Schema:
    """Of the files of a schema of signals."""
    fields = []
    for field in schema:
        if field.name == _TYPES:
            fields += [pa.field(name, pa.binary(), nullable=False) for name in _STEPS]
        else:
            fields.append(field.with_type(_LISTS) if field.name == _WORDS else field)
    return pa.schema(fields)


def _as_stored(signals: pa.RecordBatch, schema: pa.Schema, numbering: Numbering) -> pa.RecordBatch:
    """The next documents of a split in the form that its file has."""
    columns = dict(zip(signals.schema.names, signals.columns, strict=True))
    if _TYPES in columns:
        steps = numbering.steps(*numbers(columns[_TYPES]))
        columns["ngrams_1_new"] = packed(steps.new_offsets, steps.new)
        columns["ngrams_1_low"] = packed(steps.offsets, steps.low)
        columns["ngrams_1_high"] = packed(steps.offsets, steps.high)
    if _WORDS in columns:
        offsets, words = numbers(columns[_WORDS])
        columns[_WORDS] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(words), _LISTS)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _as_written(stored: pa.Table, columns: list[str]) -> pa.Table:
    """The other way round, of a whole split."""
    if _TYPES not in columns and _WORDS not in columns:
        return stored
    found = {name: (stored.schema.field(name), stored[name]) for name in columns if name not in (_TYPES, _WORDS)}
    if _TYPES in columns:
        new, low, high = (joined(stored[name]) for name in _STEPS)
        steps = Steps(*numbers(new), *bytes_of(low), bytes_of(high)[1])
        found[_TYPES] = pa.field(_TYPES, pa.binary(), nullable=False), packed(*types_of(steps))
    if _WORDS in columns:
        lists = joined(stored[_WORDS])
        words = packed(lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy())
        found[_WORDS] = pa.field(_WORDS, pa.binary(), nullable=False), words
    fields, arrays = zip(*(found[name] for name in columns), strict=True)
    return pa.Table.from_arrays(list(arrays), schema=pa.schema(fields))


def changed(source: str, split: Split, store: SignalStore) -> InputError:
    """The error of a split that is not what the survey read, once its signals are gone: else no later run would help."""
    store.forget(split)
    more = f" or one of {plural(len(split.pieces) - 1, 'file')} beside it" if len(split.pieces) > 1 else ""
    return InputError(
        f"source {source!r}: {split.pieces[0].path}{more} is not what the survey read; run again, and it is surveyed anew"
    )


def is_usable(path: str, made_of: str = "") -> bool:
    """Whether a file of ours is there, whole, made of this, and not of a reading that failed. One that is damaged is said."""
    try:
        return checksums.verify(path, made_of)
    except FileNotFoundError:
        return False
    except checksums.DamagedError as error:
        _LOG.warning("%s", str(error).split("; ")[0] + "; it is made anew")
    return False


def read_parquet(path: str, columns: list[str] | None = None) -> pa.Table:
    """Some columns of a file that `write_parquet` wrote.

    Raises:
      DamagedError: it is not what was written.
    """
    checksums.ensure(path)
    return _read(path, columns)


def _read(path: str, columns: list[str] | None) -> pa.Table:
    table = parquet.read(path, columns, mapped=True)
    # The checksum is of that file, and a lie in another. (Of no columns Arrow would lose how many rows they have.)
    return table.replace_schema_metadata(None) if table.num_columns else table


def as_parquet(table: pa.RecordBatch | pa.Table) -> bytes:
    """A small file of Parquet."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def write_parquet(
    path: str,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    plain: tuple[str, ...] = (),
    lasts: bool = True,
    made_of: str = "",
    sync: bool = True,
    thinned: Thinned | None = None,
    group_bytes: int = ROW_GROUP_BYTES,
) -> int:
    """Write batches as one Parquet file with a checksum, under another name first. Returns the number of rows.

    Args:
      path: of the file; what is there is replaced.
      batches: of `schema`.
      schema: of the file.
      plain: columns of hashes: they do not compress.
      lasts: false if a later run must not take the file for the truth.
      made_of: a digest of what it depends on beyond its name.
      thinned: what is left of rows that are held, now that more were read: asked before they are written.
      group_bytes: so much is held, and becomes a row group; 0: each batch becomes one.
      sync: put it on the disk before it has its name; not needed for what is verified and can be made anew.
    """
    paths = {f.name: f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in schema}
    compression = {paths[name]: "NONE" if name in plain else "ZSTD" for name in schema.names}
    words = [paths[f.name] for f in schema if pa.types.is_string(f.type) or pa.types.is_list(f.type)]
    rows = size = 0
    with files.whole(path, sync) as raw:
        checked = checksums.Checked(raw)
        writer = pq.ParquetWriter(
            checked, schema, compression=compression, use_dictionary=words, write_statistics=False
        )
        try:
            held: list[pa.Table] = []
            for batch in batches:
                held.append(pa.Table.from_batches([batch]))
                rows += batch.num_rows
                size += batch.nbytes
                if size < group_bytes:
                    continue
                held = [thinned(pa.concat_tables(held))] if thinned else held
                size = sum(table.nbytes for table in held)
                if size >= group_bytes * 3 // 4:
                    writer.write_table(pa.concat_tables(held))
                    held, size = [], 0
            if held:
                writer.write_table(thinned(pa.concat_tables(held)) if thinned else pa.concat_tables(held))
        except BaseException:
            checked.abandon(writer)
            raise
        checked.finish(writer, lasts, made_of)
    checksums.remember(path)
    return rows
