"""Tables that are not Parquet -> documents: CSV and TSV, Arrow and Feather, ORC."""

import codecs
import csv
import functools
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.orc

from expectations.wording import message, plural
from transforms.ingest import columns as documents
from transforms.ingest.decompress import ChunkStream, DamageError, chunks, is_decoders, open_seekable
from transforms.ingest.parquet import first_given, joined_batches, plain, text_columns
from transforms.ingest.quarantine import Bad, Pair, Reading, finish, no_documents
from transforms.ingest.sources import Dialect, Source
from transforms.kernels.text.columns import text_buffers

SNIFFED_BYTES = 1 << 18  # of a file of CSV, by which its dialect is told
SNIFFED_ROWS = 200
DELIMITERS = (",", "\t", ";", "|")
LEAST_BLOCK = 8 << 20  # bytes of CSV that are parsed at once: no row may be longer
_ARROW_FILE = b"ARROW1"


# --- CSV ---------------------------------------------------------------------------------------------------------------


def read_csv(job: Reading) -> Iterator[Pair]:
    """Documents of a file of CSV; `row` counts its rows without the header.

    Raises:
      DamageError: the file as a whole cannot be used.
    """
    stream, beginning = _stream(job)
    style = dialect(beginning, job.source.dialect, job.piece.path)
    header = list(style.columns) or _header(beginning, style)
    if not any(header):
        raise DamageError("missing_text", "the file has no header line; name its columns in dialect.columns")
    bad: list[Bad] = []
    options = {
        "read_options": pyarrow.csv.ReadOptions(
            use_threads=False,
            block_size=_block(job),
            column_names=list(style.columns) or None,
        ),
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=style.delimiter,
            quote_char=style.quote or False,
            double_quote=bool(style.quote),
            newlines_in_values=bool(style.quote),
            invalid_row_handler=functools.partial(_invalid, job, bad, not style.columns),
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.large_binary()), strings_can_be_null=False
        ),
    }
    names = text_columns(job, pa.schema([(name, pa.large_binary()) for name in header]))
    row = 0
    try:
        for batch in _but_swallowed(job, pyarrow.csv.open_csv(stream, **options), stream, style, bad):
            nulled = _empty_is_null(batch, [name for name in names if name in batch.schema.names][-1:])
            for part in joined_batches(job, iter([nulled])):
                numbers, row = _numbers(row, part.num_rows, bad)
                ready, bad[:] = [one for one in bad if one.row < row], [one for one in bad if one.row >= row]
                columns = documents.ArrowColumns(part)
                text, explain = first_given(columns, names)
                yield finish(job, numbers, text, columns, ready, explain)
    except Exception as error:
        if not is_decoders(error):
            raise
        read = stream.given
        share = 1 - read / max(1, stream.drain())
        longest = plural(_block(job), "byte")
        detail = f"from here on it is no CSV that can be read, or a row is longer than {longest}: {message(error)}"
        lost = job.bad(row, "corrupt_file", detail)
        bad.append(lost._replace(records=None, n_bytes=max(1, int(job.piece.size * share))))
    if stream.damage is not None:
        damage = stream.damage
        behind = job.bad(row + len(bad), damage.reason, damage.detail)
        bad.append(behind._replace(records=None, n_bytes=damage.n_bytes or 0))
    if bad:
        yield no_documents(job), sorted(bad, key=lambda one: one.row)


def _block(job: Reading) -> int:
    return max(LEAST_BLOCK, 2 * job.limits.max_text_bytes)


def _but_swallowed(
    job: Reading, batches: Iterator[pa.RecordBatch], stream: ChunkStream, style: Dialect, bad: list[Bad]
) -> Iterator[pa.RecordBatch]:
    """The batches without a last row that a quote which is never closed made of all that came behind it."""
    held: pa.RecordBatch | None = None
    before = 0
    for batch in batches:
        if held is not None and held.num_rows:
            yield held
            before += held.num_rows
        held = batch
    if held is None or not held.num_rows:
        return
    last = held.columns[-1][-1].as_py() or b""
    if style.quote and b"\n" in last and not stream.tail.rstrip(b"\r\n").endswith(style.quote.encode()):
        detail = "a quote is not closed: this row and what is behind it are one value"
        row = before + held.num_rows - 1 + len({one.row for one in bad})
        lines = last.rstrip(b"\r\n").count(b"\n") + 1
        yield held.slice(0, held.num_rows - 1)
        bad.append(job.bad(row, "bad_row", detail, last)._replace(records=lines))
    else:
        yield held


def _stream(job: Reading) -> tuple[ChunkStream, bytes]:
    """The file, and its beginning."""
    source = chunks(job.piece, job.chunk_bytes)
    held: list[bytes] = []
    damage: DamageError | None = None
    try:
        while sum(map(len, held)) < SNIFFED_BYTES and (chunk := next(source, b"")):
            held.append(chunk)
    except DamageError as found:
        if not held:
            raise
        damage = found
    rest = source if damage is None else _raising(damage)
    return ChunkStream(_as_utf8(itertools.chain(held, rest))), b"".join(held)[:SNIFFED_BYTES]


def _as_utf8(source: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes with each that is not UTF-8 as a character that stands for it: Arrow gives up a file at a bad row that is not."""
    decoder = codecs.getincrementaldecoder("utf-8")(_MARKED)
    for chunk in source:
        if chunk.isascii() and not decoder.getstate()[0]:
            yield chunk
        else:
            yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", True).encode()


def _as_marks(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(_FIRST_MARK + byte) for byte in error.object[error.start : error.end]), error.end


_MARKED = "lowbackground.marked"
_FIRST_MARK = 0x10F700  # of the private use area at the end of Unicode; a byte that is not UTF-8 is 0x80 or more
_FIRST_BYTE = 0xF4  # of such a mark in UTF-8
_MARK = re.compile(rb"\xf4\x8f[\x9e\x9f][\x80-\xbf]")
codecs.register_error(_MARKED, _as_marks)


def _unmarked(value: bytes) -> bytes:
    """The bytes as they were in the file."""
    return _MARK.sub(lambda match: bytes([ord(match[0].decode()) - _FIRST_MARK]), value)


def _as_it_was(column: pa.Array) -> pa.Array:
    if not (text_buffers(column)[0] == _FIRST_BYTE).any():  # as nearly always, and told in no time
        return column
    return pa.array([None if value is None else _unmarked(value) for value in column.to_pylist()], column.type)


def _raising(damage: DamageError) -> Iterator[bytes]:
    raise damage
    yield b""


def dialect(beginning: bytes, said: Dialect, path: str = "") -> Dialect:
    """How CSV is written: the way by which most rows of its beginning have the same number of values, more than one.

    Args:
      beginning: of the file.
      said: what the recipe says of it.
      path: its name, whose ending decides where nothing else does.
    """
    text = beginning.decode("utf-8", errors="replace")
    if len(beginning) >= SNIFFED_BYTES:
        text = text.rpartition("\n")[0]
    first = "\t" if path.lower().rsplit(".gz", 1)[0].endswith((".tsv", ".tab")) else ","
    delimiters = (said.delimiter,) if said.delimiter else (first, *(one for one in DELIMITERS if one != first))
    quotes = ('"', "") if said.quote is None else (said.quote,)
    tried = [(_fit(text, delimiter, quote), delimiter, quote) for delimiter in delimiters for quote in quotes]
    (_, _), delimiter, quote = max(tried, key=lambda one: one[0])
    return Dialect(delimiter=delimiter, quote=quote, columns=said.columns)


def _fit(text: str, delimiter: str, quote: str) -> tuple[float, int]:
    """Which part of the rows has as many values as most of them, and how many those are."""
    rows, is_wrong = _rows(text, delimiter, quote)
    counts = Counter(map(len, rows))
    if not counts:
        return 0.0, 0
    most, n = max(counts.items(), key=lambda one: (one[1], one[0]))
    return (n / (counts.total() + is_wrong) if most > 1 else 0.0), most


def _rows(text: str, delimiter: str, quote: str) -> tuple[list[list[str]], bool]:
    """The first rows, and whether something stands behind a closing quote."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        strict=True,
    )
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in itertools.islice(reader, SNIFFED_ROWS) if row)
    except csv.Error as error:  # else the text ends too early, or a value is longer than it takes
        return rows, "expected after" in str(error)
    return rows, False


def _header(beginning: bytes, style: Dialect) -> list[str]:
    text = beginning.decode("utf-8", errors="surrogateescape")
    rows, _ = _rows(text, style.delimiter or ",", style.quote or "")
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in rows[0]] if rows else []


def shown_dialect(beginning: bytes, source: Source, path: str) -> str:
    """What `check` and `init` say of it."""
    style = dialect(beginning, source.dialect, path)
    delimiter = {"\t": "tabs", ",": "commas", ";": "semicolons"}.get(style.delimiter or "", repr(style.delimiter))
    return f"CSV with {delimiter} between values, {f'{style.quote} around them' if style.quote else 'no quotes'}"


def _invalid(job: Reading, bad: list[Bad], has_header: bool, row: pyarrow.csv.InvalidRow) -> str:
    raw = _unmarked(row.text.encode())
    detail = f"the row has {plural(row.actual_columns, 'value')}, and the header {row.expected_columns:,}"
    open_quote = row.text.count('"') % 2 == 1
    if open_quote:
        detail += ": a quote is not closed"
    found = job.bad((row.number or 1) - 1 - has_header, "bad_row", detail, raw)
    bad.append(found._replace(records=max(1, row.text.count("\n")) if open_quote else 1))
    return "skip"


def _numbers(first: int, n: int, bad: list[Bad]) -> tuple[np.ndarray, int]:  # type: ignore[type-arg]
    """The numbers of the next good rows, which leave out those of bad ones, and the number behind them."""
    taken = {one.row for one in bad}
    numbers = np.arange(first, first + n + len(taken), dtype=np.int64)
    numbers = numbers[~np.isin(numbers, list(taken))][:n] if taken else numbers
    end = int(numbers[-1]) + 1 if n else first
    while end in taken:
        end += 1
    return numbers, end


def _empty_is_null(batch: pa.RecordBatch, kept: list[str]) -> pa.RecordBatch:
    """A cell of CSV cannot say that it is null: an empty one says nothing, but for a text, which may be empty."""
    columns = [
        _as_it_was(column)
        if name in kept
        else pc.if_else(pc.equal(pc.binary_length(column), 0), None, _as_it_was(column))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


# --- Arrow and ORC -----------------------------------------------------------------------------------------------------


def read_arrow(job: Reading) -> Iterator[Pair]:
    """Documents of an Arrow or Feather file, or of a stream as `datasets` writes it.

    Raises:
      DamageError: the file as a whole cannot be used.
    """
    with open_seekable(job.piece, job.limits) as raw:
        is_file = raw.read(len(_ARROW_FILE)) == _ARROW_FILE
        raw.seek(0)
        yield from _table(job, _arrow_file(raw) if is_file else _arrow_stream(raw), by_itself=is_file)


def read_orc(job: Reading) -> Iterator[Pair]:
    """Documents of an ORC file, a stripe at a time.

    Raises:
      DamageError: the file as a whole cannot be used.
    """
    with open_seekable(job.piece, job.limits) as raw:
        file = pyarrow.orc.ORCFile(pa.PythonFile(raw, mode="r"))
        parts = (functools.partial(file.read_stripe, at) for at in range(file.nstripes))
        yield from _table(job, (file.schema, parts), by_itself=True)


Parts = tuple[pa.Schema, Iterator[Callable[[], pa.RecordBatch]]]


def _arrow_file(raw: BinaryIO) -> Parts:
    file = pa.ipc.open_file(pa.PythonFile(raw, mode="r"))
    return file.schema, (functools.partial(file.get_batch, at) for at in range(file.num_record_batches))


def _arrow_stream(raw: BinaryIO) -> Parts:
    stream = pa.ipc.open_stream(pa.PythonFile(raw, mode="r"))
    return stream.schema, itertools.repeat(stream.read_next_batch)


def _table(job: Reading, found: Parts, by_itself: bool) -> Iterator[Pair]:
    """Documents of record batches. One that is damaged costs itself or, where it cannot be passed over, what is behind it."""
    schema, parts = found
    names = text_columns(job, schema)
    row = 0
    for number, part in enumerate(parts):
        try:
            batch = _whole(part())
        except StopIteration:
            return
        except Exception as error:
            # A damaged length asks for more memory than there is.
            if not is_decoders(error) and not isinstance(error, MemoryError):
                raise
            detail = f"batch {number} cannot be read: {message(error)}"
            reason = "corrupt_file" if by_itself else "truncated_file"
            yield no_documents(job), [job.bad(row, reason, detail)._replace(records=None)]
            row += 1
            if not by_itself:
                return
            continue
        for some in joined_batches(job, iter([plain(batch)])):
            columns = documents.ArrowColumns(some)
            text, explain = first_given(columns, names)
            yield finish(job, np.arange(row, row + len(text), dtype=np.int64), text, columns, [], explain)
            row += len(text)


def _whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose buffers hold what its types promise: nothing in such a file says that it was changed.

    Raises:
      pa.ArrowInvalid: they do not.
    """
    columns = [_as_bytes(column) for column in batch.columns]
    whole = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    whole.validate(full=True)
    return whole


def _as_bytes(column: pa.Array) -> pa.Array:
    """Text as bytes, so that one value that is not UTF-8 costs itself only."""
    for text, data in ((pa.string(), pa.binary()), (pa.large_string(), pa.large_binary())):
        if column.type == text:
            return pa.Array.from_buffers(data, len(column), column.buffers(), column.null_count, column.offset)
    return column
