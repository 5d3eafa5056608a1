"""Parquet -> documents, a row group at a time."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.wording import message, plural
from transforms.ingest import columns as documents
from transforms.ingest.computed import parts
from transforms.ingest.decompress import READ_BYTES, DamageError, is_decoders, open_seekable
from transforms.ingest.quarantine import Pair, Reading, bytes_as_text, finish, missing_text, no_documents

_HELD_BYTES = 128 << 20  # row groups of up to so much text are decoded once, larger ones twice
_DECODED_BYTES = 64 << 20  # that are decoded at once, at most
DECODED_ROWS = 256  # likewise
JOINED_ROWS = 65_536
_MAGIC = b"PAR1"


def read_parquet(job: Reading) -> Iterator[Pair]:
    """Documents of a file or of its planned row groups; a group that cannot be decoded leaves one bad record.

    Raises:
      DamageError: the file as a whole cannot be used.
    """
    with open_seekable(job.piece, job.limits) as raw:
        file = _parquet(raw)
        first, end = job.piece.row_groups or (0, file.num_row_groups)
        if end > file.num_row_groups:
            raise DamageError("corrupt_file", "the file has fewer row groups than it had; plan the run again")
        if file.metadata.num_rows != _rows(file.metadata, 0, file.num_row_groups):
            raise DamageError(
                "corrupt_file", "its footer contradicts itself: the row groups have other numbers of rows"
            )
        try:
            names, columns = _wanted(job, file.schema_arrow)
        except DamageError as damage:
            damage.records = _rows(file.metadata, first, end)
            raise
        row = _rows(file.metadata, 0, first)
        for begin, stop in _runs(file.metadata, first, end):
            n_rows = _rows(file.metadata, begin, stop)
            try:
                batches = _row_groups(job, file, range(begin, stop), columns)
            except Exception as error:
                if not is_decoders(error):
                    raise
                yield from _each_row_group(job, file, range(begin, stop), columns, names, row, error)
            else:
                yield from _row_group_documents(job, batches, names, row)
            row += n_rows


def _rows(footer: pq.FileMetaData, begin: int, stop: int) -> int:
    return sum(footer.row_group(group).num_rows for group in range(begin, stop))


def _runs(footer: pq.FileMetaData, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Row groups that are decoded at once: small ones together, up to `READ_BYTES` and `JOINED_ROWS`."""
    begin, size, rows = first, 0, 0
    for group in range(first, end):
        one = footer.row_group(group)
        if group > begin and (size + one.total_byte_size > READ_BYTES or rows + one.num_rows > JOINED_ROWS):
            yield begin, group
            begin, size, rows = group, 0, 0
        size, rows = size + max(0, one.total_byte_size), rows + max(0, one.num_rows)
    if begin < end:
        yield begin, end


def _each_row_group(
    job: Reading,
    file: pq.ParquetFile,
    groups: range,
    columns: list[str],
    names: tuple[str, ...],
    row: int,
    error: Exception,
) -> Iterator[Pair]:
    """Row groups one by one, where they cannot be decoded together: each that is damaged is one bad record."""
    for group in groups:
        n_rows = file.metadata.row_group(group).num_rows
        try:
            if len(groups) == 1:
                raise error
            batches = _row_groups(job, file, range(group, group + 1), columns)
        except Exception as why:
            if not is_decoders(why):
                raise
            detail = f"row group {group} with its {plural(n_rows, 'row')} cannot be read: {message(why)}"
            yield no_documents(job), [job.bad(row, "corrupt_file", detail)._replace(records=n_rows)]
        else:
            yield from _row_group_documents(job, batches, names, row)
        row += n_rows


def _row_group_documents(
    job: Reading, batches: Iterator[pa.RecordBatch], names: tuple[str, ...], row: int
) -> Iterator[Pair]:
    for batch in batches:
        columns = documents.ArrowColumns(batch)
        text, explain = first_given(columns, names)
        yield finish(job, np.arange(row, row + len(text), dtype=np.int64), text, columns, [], explain)
        row += len(text)


def first_given(
    columns: documents.ArrowColumns, names: tuple[str, ...]
) -> tuple[pa.LargeStringArray, Callable[[int], tuple[str, str, bytes]]]:
    """Row by row, the first column that says something, as in JSON: one that is no text then makes a bad record."""
    there = [(name, column) for name in names if (column := columns.get(name)) is not None]
    if documents.is_text(there[0][1].type) and not there[0][1].null_count:
        return bytes_as_text(there[0][1])
    rows = len(there[0][1])
    text, taken = pa.nulls(rows, pa.large_string()), pa.nulls(rows, pa.int32())  # and which column a row is from
    for number, (_, column) in enumerate(there):
        mine = pc.and_(taken.is_null(), column.is_valid())
        taken = pc.if_else(mine, pa.scalar(number, pa.int32()), taken)
        if documents.is_text(column.type):
            text = pc.if_else(mine, documents.valid_text(column), text)

    def explain(i: int) -> tuple[str, str, bytes]:
        name, column = there[taken[i].as_py() or 0]
        if taken[i].is_valid and not documents.is_text(column.type):
            return "text_not_string", f"column {name} holds {column.type}, not text; set fields.text", b""
        return (
            bytes_as_text(column)[1](i) if documents.is_text(column.type) else ("missing_text", "the text is null", b"")
        )

    return text, explain


def _parquet(raw: BinaryIO) -> pq.ParquetFile:
    try:
        # Without pre-buffering a column is read as it is decoded, and not as a whole.
        file = pq.ParquetFile(
            pa.PythonFile(raw, mode="r"), buffer_size=READ_BYTES, pre_buffer=False, page_checksum_verification=True
        )
        file.schema_arrow.names  # noqa: B018  a name that is not UTF-8 fails here
    except Exception as error:
        if not is_decoders(error):
            raise
        raw.seek(0)
        if raw.read(4) == _MAGIC:
            detail = "the Parquet file has no footer: it ends too early; fetch it again"
            raise DamageError("truncated_file", detail, n_bytes=0) from error
        raise DamageError("corrupt_file", f"this is not a Parquet file: {message(error)}") from error
    return file


def _wanted(job: Reading, schema: pa.Schema) -> tuple[tuple[str, ...], list[str]]:
    """The columns of a file that may hold its text, those that do first tried first, and all columns to read."""
    texts = text_columns(job, schema)
    if job.sample is not None:
        return texts, schema.names
    names = [part for name in texts for part in parts(name)] + [*documents.beside_text(job.source, job.keep)]
    return texts, [name for name in dict.fromkeys(names) if documents.column_type(schema, name)]


def text_columns(job: Reading, schema: pa.Schema) -> tuple[str, ...]:
    """The columns that may hold the text, those that do first tried first.

    Raises:
      DamageError: there is none.
    """
    if job.sample is not None:
        job.sample.schema = schema
    texts = [name for name in documents.names(job.source.fields, "text") if documents.column_type(schema, name)]
    if not texts and job.sample is not None and schema.names:
        return (schema.names[0],)  # so that its rows are seen
    if not texts:
        raise DamageError("missing_text", missing_text(job.source, schema.names))
    dtypes = [documents.column_type(schema, name) for name in texts]
    if not any(map(documents.is_text, dtypes)) and job.sample is None:
        raise DamageError("text_not_string", f"column {texts[0]} holds {dtypes[0]}, not text; set fields.text")
    return tuple(texts)


def _row_groups(job: Reading, file: pq.ParquetFile, groups: range, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """All of some row groups or, by its error, nothing: in a damaged one, rows before the damage may be wrong unseen.

    A value that a dictionary holds once may stand in every row, and the footer's sizes count it once: what is decoded is
    measured, and what is more than fits is decoded twice.
    """
    size = max(1, *(file.metadata.row_group(group).total_byte_size for group in groups))
    # One value is at most the size of the group; a footer may lie.
    n_rows = min(DECODED_ROWS, max(16, _DECODED_BYTES // size))

    def decoded() -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(batch_size=n_rows, row_groups=list(groups), columns=columns, use_threads=False):
            yield plain(batch)

    held: list[pa.RecordBatch] = []
    n_bytes = total = 0
    batches = decoded()
    for batch in batches:
        n_bytes, total = n_bytes + batch.nbytes, total + batch.num_rows
        if n_bytes > _HELD_BYTES:
            held.clear()
            break
        held.append(batch)
    total += sum(batch.num_rows for batch in batches)
    if total != _rows(file.metadata, groups.start, groups.stop):
        raise ValueError(f"it has {plural(total, 'row')}")
    if held:
        return joined_batches(job, iter(held))
    return joined_batches(job, decoded())


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch without dictionaries at its top. A wrong index shows itself here."""
    if not any(pa.types.is_dictionary(field.type) for field in batch.schema):
        return batch
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def joined_batches(job: Reading, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of about `batch_bytes`: small ones together, large ones in slices."""
    held: list[pa.RecordBatch] = []
    n_bytes = n_rows = 0
    for batch in batches:
        if batch.nbytes >= 2 * job.limits.batch_bytes:
            yield from _as_one(held)
            held, n_bytes, n_rows = [], 0, 0
            step = max(1, batch.num_rows * job.limits.batch_bytes // batch.nbytes)
            yield from (batch.slice(begin, step) for begin in range(0, batch.num_rows, step))
            continue
        held.append(batch)
        n_bytes, n_rows = n_bytes + batch.nbytes, n_rows + batch.num_rows
        if n_bytes >= job.limits.batch_bytes or n_rows >= JOINED_ROWS:
            yield from _as_one(held)
            held, n_bytes, n_rows = [], 0, 0
    yield from _as_one(held)


def _as_one(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    if len(batches) < 2:
        return batches
    try:
        return [pa.concat_batches(batches)]
    except pa.ArrowException:  # some nested types cannot be joined, and columns of more than 2 GB
        return batches
