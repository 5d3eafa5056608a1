"""A split -> its documents, and the records that could not be read.

The same split always yields the same documents in the same order, whatever the size of batches: the second reading finds
a document by its ordinal. A bad record costs itself only, damage in a file what lies behind it, and each leaves a
quarantine record.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from expectations import contracts
from transforms import documents
from transforms.sources import Piece, Source, Split

RAW_BYTES = 1024  # of a bad record that quarantine keeps
REASONS = (
    "bad_json",
    "not_an_object",
    "missing_text",
    "text_not_string",
    "invalid_utf8",
    "text_too_long",
    "line_too_long",
    "truncated_file",
    "corrupt_file",
    "unreadable_file",
)
WHOLE_FILE = -1  # as a row: the file, not one record of it

_READ_BYTES = 1 << 20  # per read of a stream
_HELD_BYTES = 128 << 20  # row groups up to this size are decoded once, larger ones twice
_BOM = b"\xef\xbb\xbf"
_PARQUET_MAGIC = b"PAR1"


@dataclasses.dataclass(frozen=True)
class ReadLimits:
    """What a record may cost.

    Attributes:
      max_text_bytes: of a document's text in UTF-8; a longer one is quarantined.
      max_line_bytes: of a line of JSON or text.
      batch_bytes: of text in a batch, about.
    """

    max_text_bytes: int = 10_000_000
    max_line_bytes: int = 64_000_000
    batch_bytes: int = 8 << 20


class _Bad(NamedTuple):
    path: str
    row: int
    reason: str
    detail: str
    raw: bytes = b""


class _DamageError(Exception):
    """A file cannot be read, or not to its end."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class _Job:
    """What stays the same while a split is read; `file` is the piece at hand."""

    split: Split
    source: Source
    limits: ReadLimits
    keep: tuple[str, ...]
    file: int = 0

    @property
    def piece(self) -> Piece:
        return self.split.pieces[self.file]

    @property
    def chunk_bytes(self) -> int:
        return max(64, min(_READ_BYTES, self.limits.batch_bytes))

    def bad(self, row: int, reason: str, detail: str, raw: bytes = b"") -> _Bad:
        return _Bad(self.piece.path, row, reason, detail, raw[:RAW_BYTES])


_Pair = tuple[pa.RecordBatch, list[_Bad]]


def read_split(
    split: Split, source: Source, limits: ReadLimits, keep: tuple[str, ...] = ()
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield batches of documents and of quarantined records, in the order of the split.

    Args:
      split: what to read.
      source: the source it was planned from.
      limits: what a record may cost. Memory stays at a few batches, the longest line, or one row group of 128 MB.
      keep: columns of the input to add behind DOCUMENT's, as strings: text as it is, other values as JSON.

    Yields:
      (DOCUMENT and `keep`, QUARANTINE); either may be empty, not both. `row` counts every line of a file, blank ones too.

    Raises:
      OSError: the storage failed while a file was being read; trying again may help, so nothing is quarantined.
    """
    documents_held: list[pa.RecordBatch] = []
    bad_held: list[_Bad] = []
    held = 0
    for batch, bad in _read_pieces(_Job(split, source, limits, keep)):
        if batch.num_rows:
            documents_held.append(batch)
        bad_held += bad
        held += batch["text"].nbytes + sum(len(record.raw) for record in bad)
        if held >= limits.batch_bytes:
            yield _joined(documents_held, keep), _quarantine(source, bad_held)
            documents_held, bad_held, held = [], [], 0
    if documents_held or bad_held:
        yield _joined(documents_held, keep), _quarantine(source, bad_held)


def _joined(batches: list[pa.RecordBatch], keep: tuple[str, ...]) -> pa.RecordBatch:
    return pa.concat_batches(batches) if batches else documents.schema(keep).empty_table().to_batches()[0]


def _quarantine(source: Source, bad: list[_Bad]) -> pa.RecordBatch:
    columns = dict(zip(_Bad._fields, zip(*bad, strict=True), strict=True)) if bad else dict.fromkeys(_Bad._fields, ())
    return contracts.QUARANTINE.batch({"source": [source.name] * len(bad), **columns})


def _read_pieces(job: _Job) -> Iterator[_Pair]:
    """Read piece after piece; files of one document each are read in groups."""
    readers = {"jsonl": _read_jsonl, "lines": _read_lines, "parquet": _read_parquet}
    numbers = range(len(job.split.pieces))
    for is_text, group in itertools.groupby(numbers, lambda number: job.split.pieces[number].format == "text"):
        jobs = [dataclasses.replace(job, file=number) for number in group]
        if is_text:
            yield from _read_texts(jobs)
            continue
        for one in jobs:
            try:
                yield from readers[one.piece.format](one)
            except _DamageError as damage:
                yield _no_documents(one), [one.bad(WHOLE_FILE, damage.reason, damage.detail)]


def _no_documents(job: _Job) -> pa.RecordBatch:
    return _joined([], job.keep)


# --- Documents of any format ------------------------------------------------------------------------------------------


def _finish(
    job: _Job,
    row: npt.NDArray[np.int64],
    text: pa.LargeStringArray,
    columns: documents.Columns,
    bad: list[_Bad],
    explain: Callable[[int], tuple[str, str, bytes]],
    file: npt.NDArray[np.int32] | None = None,
) -> _Pair:
    """Rows with their text -> documents; `explain` says of a row without one (null) the reason, the detail, the raw."""
    file = np.full(len(row), job.file, np.int32) if file is None else file
    limit = job.limits.max_text_bytes
    good = pc.fill_null(pc.less_equal(pc.binary_length(text), limit), False).to_numpy(zero_copy_only=False)
    if not good.all():
        for i in np.flatnonzero(~good).tolist():
            reason, detail, raw = explain(i)
            if text[i].is_valid:
                reason, detail = "text_too_long", f"the text is longer than {limit:,} bytes"
            one = dataclasses.replace(job, file=int(file[i]))
            bad.append(one.bad(int(row[i]), reason, detail, raw))
        row, file, text, columns = row[good], file[good], text.filter(pa.array(good)), columns.where(good)
        bad.sort(key=lambda record: record.row)  # stable: those of one row stay in their order
    return documents.build(job.source, job.keep, file, row, text, columns), bad


def _bytes_as_text(values: pa.Array) -> tuple[pa.LargeStringArray, Callable[[int], tuple[str, str, bytes]]]:
    """Text that came as bytes, and what to say of a row that has none."""

    def explain(i: int) -> tuple[str, str, bytes]:
        value = values[i].cast(pa.large_binary()).as_py()
        if value is None:
            return "missing_text", "the text is null", b""
        return "invalid_utf8", "the text is not valid UTF-8", value

    return documents.valid_text(values), explain


# --- Streams of bytes -------------------------------------------------------------------------------------------------


def _open(piece: Piece) -> BinaryIO:
    """Open a file as it is stored.

    Raises:
      _DamageError: it is not there, or not ours to read.
    """
    try:
        return FileSystems.open(piece.path, compression_type=CompressionTypes.UNCOMPRESSED)
    except OSError as error:
        detail = f"the file cannot be opened: {error.strerror or _one_line(error)}"
        raise _DamageError("unreadable_file", detail) from error


def _stream(raw: BinaryIO, compression: str) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression) if compression else raw


def _chunks(piece: Piece, size: int) -> Iterator[bytes]:
    """The content of a file without its byte order mark; all of it up to a damage, then `_DamageError`."""
    position = 0
    with _open(piece) as raw:
        stream = _stream(raw, piece.compression)
        while True:
            try:
                chunk = stream.read(size)
            except OSError as error:
                if not _is_arrows(error):
                    raise
                # The failed read took good bytes with it.
                yield _before_damage(piece, position).removeprefix(b"" if position else _BOM)
                raise _damage(error) from error
            if not chunk:
                return
            yield chunk if position else chunk.removeprefix(_BOM)
            position += len(chunk)


def _before_damage(piece: Piece, position: int) -> bytes:
    """What lies between `position` and the damage: byte by byte, since a read gives all or nothing."""
    with _open(piece) as raw:
        stream = _stream(raw, piece.compression)
        while position:
            position -= len(stream.read(min(position, _READ_BYTES)))
        found = bytearray()
        try:
            while byte := stream.read(1):
                found += byte
        except OSError as error:
            if not _is_arrows(error):
                raise
        return bytes(found)


def _is_arrows(error: Exception) -> bool:
    """Whether Arrow found the bytes wrong, rather than the storage failing to give them."""
    return isinstance(error, pa.ArrowException | ValueError) or (type(error) is OSError and error.errno is None)


def _damage(error: Exception) -> _DamageError:
    if "Truncated" in str(error):
        return _DamageError("truncated_file", "the compressed file ends too early; fetch it again")
    return _DamageError("corrupt_file", f"the compressed file is damaged: {_one_line(error)}")


def _lines(job: _Job) -> Iterator[tuple[int, list[bytes], list[_Bad]]]:
    """Whole lines with the number of the first; a line over the limit is cut just behind it."""
    row = 0
    tail = bytearray()
    try:
        for chunk in _chunks(job.piece, job.chunk_bytes):
            end = chunk.rfind(b"\n")
            if end >= 0:
                lines = (bytes(tail) + chunk[:end]).split(b"\n")
                yield row, lines, []
                row += len(lines)
                tail.clear()
            tail += chunk[end + 1 :]
            del tail[job.limits.max_line_bytes + 1 :]
    except _DamageError as damage:
        if damage.reason == "unreadable_file":
            raise
        yield row, [], [job.bad(row, damage.reason, damage.detail, bytes(tail[:RAW_BYTES]))]
        return
    if tail:
        yield row, [bytes(tail)], []


# --- JSON lines -------------------------------------------------------------------------------------------------------


def _read_jsonl(job: _Job) -> Iterator[_Pair]:
    names = documents.names(job.source.fields, "text")
    begun = False
    for first, lines, bad in _lines(job):
        row, lines, records, unparsed = _records(job, first, lines)
        if not begun and unparsed and _spans_lines(unparsed[0], row):
            detail = (
                "the file is one JSON value over many lines; write one object per line (jq -c '.[]' makes an array so)"
            )
            yield _no_documents(job), [job.bad(WHOLE_FILE, "bad_json", detail, unparsed[0].raw)]
            return
        begun = begun or bool(records or unparsed)
        columns = documents.JsonColumns(records)
        values = _first_given(columns, names)
        text = pa.array([v if type(v) is str else None for v in values], pa.large_string())

        def explain(i: int, values=values, records=records, lines=lines) -> tuple[str, str, bytes]:  # type: ignore[no-untyped-def]
            if values[i] is None:
                return "missing_text", _missing(job.source, list(records[i])), lines[i]
            return "text_not_string", f"the text is a {_KINDS.get(type(values[i]), 'number')}, not a string", lines[i]

        yield _finish(job, row, text, columns, unparsed + bad, explain)


_KINDS = {dict: "object", list: "list", bool: "boolean", str: "string", type(None): "null"}


def _records(
    job: _Job, first: int, lines: list[bytes]
) -> tuple[npt.NDArray[np.int64], list[bytes], list[dict[str, Any]], list[_Bad]]:
    """Objects with their rows and lines, and what else the lines hold. Blank lines are nothing."""
    try:
        if max(map(len, lines), default=0) <= job.limits.max_line_bytes:
            records = [orjson.loads(line) for line in lines]
            if set(map(type, records)) <= {dict}:
                return np.arange(first, first + len(lines), dtype=np.int64), lines, records, []
    except orjson.JSONDecodeError:
        pass  # one of them is bad: find out which
    found = [_record(job, first + i, line) for i, line in enumerate(lines)]
    good = [i for i, record in enumerate(found) if type(record) is dict]
    bad = [record for record in found if isinstance(record, _Bad)]
    return np.array(good, np.int64) + first, [lines[i] for i in good], [found[i] for i in good], bad  # type: ignore[misc]


def _record(job: _Job, row: int, line: bytes) -> dict[str, Any] | _Bad | None:
    if len(line) > job.limits.max_line_bytes:
        return job.bad(row, "line_too_long", f"the line is longer than {job.limits.max_line_bytes:,} bytes", line)
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not line.strip():
            return None
        # Raw bytes that are not UTF-8, and escapes of half a pair: neither is a character.
        reason = "invalid_utf8" if "surrogate" in error.msg else "bad_json"
        return job.bad(row, reason, f"{error.msg}, at character {error.pos} of the line", line)
    if type(record) is dict:
        return record
    return job.bad(row, "not_an_object", f"the line is a {_KINDS.get(type(record), 'number')}, not an object", line)


def _spans_lines(bad: _Bad, row: npt.NDArray[np.int64]) -> bool:
    """Whether the first thing in a file is the start of a value that goes on in the next line."""
    start = bad.raw.strip()
    return bad.reason == "bad_json" and not (len(row) and row[0] < bad.row) and (start == b"{" or start[:1] == b"[")


def _first_given(columns: documents.JsonColumns, names: tuple[str, ...]) -> list[Any]:
    values: list[Any] = [None] * len(columns.records)
    for name in names:
        if None in values and (more := columns.get(name)) is not None:
            values = [b if a is None else a for a, b in zip(values, more, strict=True)]
    return values


def _missing(source: Source, found: list[str]) -> str:
    wanted = " or ".join(documents.names(source.fields, "text"))
    shown = ", ".join(name[:40] for name in found[:12]) + (", ..." if len(found) > 12 else "")
    return f"no text in {wanted} (there is: {shown or 'nothing'}); set fields.text of source {source.name}"


# --- Lines and whole files of text ------------------------------------------------------------------------------------


def _read_lines(job: _Job) -> Iterator[_Pair]:
    limit = job.limits.max_line_bytes
    for first, lines, bad in _lines(job):
        row = np.arange(first, first + len(lines), dtype=np.int64)
        fits = np.array([len(line) <= limit for line in lines], bool)
        for i in np.flatnonzero(~fits).tolist():
            bad.append(job.bad(first + i, "line_too_long", f"the line is longer than {limit:,} bytes", lines[i]))
        values = pa.array([line.removesuffix(b"\r") for line in itertools.compress(lines, fits)], pa.large_binary())
        text, explain = _bytes_as_text(values)
        yield _finish(job, row[fits], text, documents.NO_COLUMNS, bad, explain)


def _read_texts(jobs: list[_Job]) -> Iterator[_Pair]:
    """Files of one document each, about a chunk of text at a time."""
    contents: list[bytes] = []
    files: list[int] = []
    bad: list[_Bad] = []
    size = 0
    for job in jobs:
        try:
            content = _content(job)
        except _DamageError as damage:
            bad.append(job.bad(WHOLE_FILE, damage.reason, damage.detail))
        else:
            contents.append(content)
            files.append(job.file)
            size += len(content)
        if size >= job.chunk_bytes or job is jobs[-1]:
            text, explain = _bytes_as_text(pa.array(contents, pa.large_binary()))
            row, file = np.zeros(len(files), np.int64), np.array(files, np.int32)
            yield _finish(job, row, text, documents.NO_COLUMNS, bad, explain, file)
            contents, files, bad, size = [], [], [], 0


def _content(job: _Job) -> bytes:
    content = bytearray()
    for chunk in _chunks(job.piece, job.chunk_bytes):
        content += chunk
        if len(content) > job.limits.max_text_bytes:
            break
    return bytes(content)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _read_parquet(job: _Job) -> Iterator[_Pair]:
    with _open(job.piece) as raw:
        file = _parquet(raw)
        name, columns = _wanted(job, file.schema_arrow)
        first, end = job.piece.row_groups or (0, file.num_row_groups)
        if end > file.num_row_groups:
            raise _DamageError("corrupt_file", "the file has fewer row groups than it had; plan the run again")
        row = sum(file.metadata.row_group(group).num_rows for group in range(first))
        for group in range(first, end):
            n_rows = file.metadata.row_group(group).num_rows
            try:
                batches = _row_group(job, file, group, columns)
            except Exception as error:
                if not _is_arrows(error):
                    raise
                detail = f"row group {group} with its {n_rows:,} rows cannot be read: {_one_line(error)}"
                yield _no_documents(job), [job.bad(row, "corrupt_file", detail)]
            else:
                yield from _row_group_documents(job, batches, name, row)
            row += n_rows


def _row_group_documents(job: _Job, batches: Iterator[pa.RecordBatch], name: str, row: int) -> Iterator[_Pair]:
    for batch in batches:
        columns = documents.ArrowColumns(batch)
        text, explain = _bytes_as_text(columns.get(name))
        yield _finish(job, np.arange(row, row + len(text), dtype=np.int64), text, columns, [], explain)
        row += len(text)


def _parquet(raw: BinaryIO) -> pq.ParquetFile:
    try:
        # Without pre-buffering a column is read as it is decoded, and not as a whole.
        file = pq.ParquetFile(
            pa.PythonFile(raw, mode="r"), buffer_size=_READ_BYTES, pre_buffer=False, page_checksum_verification=True
        )
        file.schema_arrow.names  # noqa: B018  a name that is not UTF-8 fails here
    except Exception as error:
        if not _is_arrows(error):
            raise
        raw.seek(0)
        if raw.read(4) == _PARQUET_MAGIC:
            detail = "the Parquet file has no footer: it ends too early; fetch it again"
            raise _DamageError("truncated_file", detail) from error
        raise _DamageError("corrupt_file", f"this is not a Parquet file: {_one_line(error)}") from error
    return file


def _wanted(job: _Job, schema: pa.Schema) -> tuple[str, list[str]]:
    """The text column of a file, and all columns to read."""
    fields = job.source.fields
    texts = [name for name in documents.names(fields, "text") if documents.column_type(schema, name)]
    if not texts:
        raise _DamageError("missing_text", _missing(job.source, schema.names))
    dtype = documents.column_type(schema, texts[0])
    if not documents.is_text(dtype):
        raise _DamageError("text_not_string", f"column {texts[0]} holds {dtype}, not text; set fields.text")
    others = [name for field in documents.WELL_KNOWN if field != "text" for name in documents.names(fields, field)]
    wanted = [name for name in (*others, *job.keep) if documents.column_type(schema, name)]
    return texts[0], list(dict.fromkeys([texts[0], *wanted]))


def _row_group(job: _Job, file: pq.ParquetFile, group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """All of a row group or, by its error, nothing: in a damaged one, rows before the damage may be wrong unseen."""
    footer = file.metadata.row_group(group)
    size = max(footer.total_byte_size, 1)
    n_rows = min(65_536, max(1, job.limits.batch_bytes * footer.num_rows // size))

    def batches() -> Iterator[pa.RecordBatch]:
        return file.iter_batches(batch_size=n_rows, row_groups=[group], columns=columns, use_threads=False)

    held = []
    for batch in batches():
        if size <= _HELD_BYTES:
            held.append(batch)
    return iter(held) if size <= _HELD_BYTES else batches()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
