"""A split -> its documents, and the records that could not be read.

The same split always yields the same documents in the same order, whatever the size of batches: the second reading
finds a document by its ordinal. A bad record costs itself only, damage in a file what lies behind it, and each leaves a
quarantine record.
"""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from expectations.wording import named, plural
from transforms.ingest import archives, html, tables, warc
from transforms.ingest import columns as documents
from transforms.ingest import json_values as json_documents
from transforms.ingest.computed import is_computed
from transforms.ingest.decompress import DamageError, chunks, is_decoders, look, whole_content
from transforms.ingest.formats import FORMATS
from transforms.ingest.json_columns import Block, ColumnReader
from transforms.ingest.parquet import read_parquet
from transforms.ingest.quarantine import (
    FILE_REASONS,
    RAW_BYTES,
    REASONS,
    WHOLE_FILE,
    Bad,
    BadRows,
    Pair,
    Reading,
    SeenColumns,
    bytes_as_text,
    finish,
    joined,
    missing_text,
    no_documents,
    quarantine,
)
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece, Source, Split
from transforms.ingest.turns import COLUMNS, MOST_TURNS
from transforms.kernels.text.columns import ranges

SMALL_BYTES = 1 << 16  # files up to this size are read together with those beside them
MISSES = 3  # blocks of a file one after the other that could not be read by columns, after which no more are tried
HOPELESS = 100_000  # bad records from the start of a file, without one document, after which the rest is not read
COUNTED = 1 << 20  # bytes of a line that are looked at, to say how many values are on it
LINES = 16_384  # of a file at a time, so that many short ones do not become as many records at once

__all__ = ["FILE_REASONS", "RAW_BYTES", "REASONS", "WHOLE_FILE", "read_split"]


def read_split(
    split: Split, source: Source, limits: ReadLimits, keep: tuple[str, ...] = (), sample: SeenColumns | None = None
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield batches of documents and of quarantined records, in the order of the split.

    Args:
      split: what to read.
      source: the source it was planned from.
      limits: what a record may cost. Memory stays at a few batches, the longest line, or one row group of 128 MB.
      keep: columns of the input to add behind DOCUMENT's, as text (transforms/ingest/as_text.py).
      sample: is given the first rows.

    Yields:
      (DOCUMENT and `keep`, QUARANTINE); either may be empty, not both. `row` counts every line of a
      file, blank ones too.

    Raises:
      OSError: the storage failed while a file was being read; trying again may help, so nothing is quarantined.
    """
    documents_held: list[pa.RecordBatch] = []
    bad_held: list[Bad] = []
    held, listing = 0, BadRows()
    for batch, bad in _read_pieces(Reading(split, source, limits, keep, sample=sample)):
        if batch.num_rows:
            documents_held.append(batch)
        if source.turns == "apart":  # the rows of turns, which are beside them
            bad = [one._replace(row=one.row * MOST_TURNS) if one.row > 0 else one for one in bad]
        listed = listing.of(bad)
        bad_held += listed
        held += batch["text"].nbytes + sum(len(record.raw) for record in listed)
        if held >= limits.batch_bytes:
            yield joined(documents_held, keep), quarantine(source, bad_held)
            documents_held, bad_held, held = [], [], 0
    bad_held += listing.rest()
    if documents_held or bad_held:
        yield joined(documents_held, keep), quarantine(source, bad_held)


def _read_pieces(job: Reading) -> Iterator[Pair]:
    """Read piece after piece; small files are read in groups."""
    numbers = range(len(job.split.pieces))
    for form, group in itertools.groupby(numbers, lambda number: _in_group(job, job.split.pieces[number])):
        jobs = [dataclasses.replace(job, file=number) for number in group]
        if form == "jsonl":
            yield from _read_small_jsonl(jobs)
        elif form:
            yield from _read_texts(jobs)
        else:
            for one in jobs:
                yield from _read_whole_piece(one)


def _in_group(job: Reading, piece: Piece) -> str:
    """The format of files that are read together with those beside them, for each is too small; "": this one is not."""
    small = piece.format == "jsonl" and piece.size <= SMALL_BYTES and job.sample is None
    return piece.format if small or FORMATS[piece.format].one_document else ""


def _read_whole_piece(job: Reading) -> Iterator[Pair]:
    """The documents of a piece, and what is wrong with it as a whole."""
    try:
        job, remarks = _looked_at(job)
        yield no_documents(job), remarks
        yield from _while_hopeful(read_piece(job))
    except DamageError as damage:
        yield no_documents(job), [job.lost(damage)]
    except Exception as error:
        if not is_decoders(error):
            raise
        detail = f"it cannot be read: {named(error)}"
        yield no_documents(job), [job.lost(DamageError("corrupt_file", detail))]


def read_piece(job: Reading) -> Iterator[Pair]:
    """The documents of the piece at hand, as its format is read.

    Raises:
      DamageError: it cannot be read, or not as a whole.
    """
    return READERS[job.piece.format](job)


def _looked_at(job: Reading) -> tuple[Reading, list[Bad]]:
    """The job with the piece as its first bytes say it is, and a remark if its name says something else."""
    seen, remark = look(job.piece)
    job = job if seen == job.piece else dataclasses.replace(job, seen=seen)
    return job, [Bad(seen.path, WHOLE_FILE, "misnamed_file", remark, records=0)] if remark else []


def _while_hopeful(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """The pairs, up to `HOPELESS` bad records without one document before them. That is another kind of file.

    Raises:
      DamageError: there were so many.
    """
    n_bad, hopeful = 0, False
    for batch, bad in pairs:
        if not hopeful:
            first = batch["row"][0].as_py() if batch.num_rows else None
            before = sum(first is None or one.row < first for one in bad)
            if n_bad + before >= HOPELESS:
                shown = bad[: HOPELESS - n_bad]
                yield batch.slice(0, 0), shown
                detail = f"its first {HOPELESS:,} records hold no document, the last of them: {shown[-1].detail}"
                raise DamageError("no_documents", f"{detail}. The rest was not read")
            n_bad, hopeful = n_bad + before, bool(batch.num_rows)
        yield batch, bad


def _blocks(job: Reading) -> Iterator[tuple[int, Block, list[Bad]]]:
    """Whole lines with the number of the first; a line over the limit is cut just behind it."""
    row = 0
    tail = bytearray()
    try:
        for chunk in chunks(job.piece, job.chunk_bytes):
            end = chunk.rfind(b"\n")
            if end >= 0:
                block = Block(b"".join((tail, memoryview(chunk)[:end])))
                tail.clear()
                yield row, block, []
                row += len(block)
            tail += memoryview(chunk)[end + 1 :]
            del tail[job.limits.max_line_bytes + 1 :]
    except DamageError as damage:
        if damage.reason == "unreadable_file":
            raise
        behind = job.bad(row, damage.reason, damage.detail, bytes(tail[:RAW_BYTES]))
        yield row, Block(b""), [behind._replace(records=None, n_bytes=damage.n_bytes or 0)]
        return
    if tail:
        yield row, Block(bytes(tail)), []


def _read_small_jsonl(jobs: list[Reading]) -> Iterator[Pair]:
    """Files of a few lines as if their lines were in one; any that is odd is read by itself."""
    reader = _column_reader(jobs[0])
    held: list[tuple[Reading, bytes]] = []
    size = 0
    for job in jobs:
        content = _small_content(job)
        if content is None:
            yield from _read_together(held, reader)
            yield from _read_whole_piece(job)
            held, size = [], 0
            continue
        held.append((job, content))
        size += len(content)
        if size >= job.chunk_bytes:
            yield from _read_together(held, reader)
            held, size = [], 0
    yield from _read_together(held, reader)


def _small_content(job: Reading) -> bytes | None:
    """The lines of a small file; None: it is to be read by itself."""
    found = whole_content(job.piece, SMALL_BYTES)
    if found is None:
        return None
    content, is_json = found
    return json_documents.lines_of(content, job) if is_json else content


def _read_together(files: list[tuple[Reading, bytes]], reader: ColumnReader | None) -> Iterator[Pair]:
    """Files with their contents."""
    if not files:
        return
    job = files[0][0]
    contents = [content.removesuffix(b"\n") for _, content in files if content]
    n_lines = np.array([content.count(b"\n") + 1 for content in contents], np.int64)
    number = np.repeat(np.flatnonzero([bool(content) for _, content in files]), n_lines)  # which file a line is of
    row = ranges(n_lines)
    only_line = np.repeat(n_lines == 1, n_lines)  # it may be an object around all documents of its file
    file = np.array([one.file for one, _ in files], np.int32)
    block = Block(b"\n".join(contents))
    if not contents:
        yield no_documents(job), []
        return
    if reader and (pair := _by_columns(job, row, block, reader, file[number], only_line)):
        yield pair
        return
    at, lines, records, unparsed = _records(job, 0, block.content.split(b"\n"))
    columns, values = _json_columns(job, records, lines)
    single = np.bincount(number[at], minlength=len(files)) == 1
    odd = {int(number[bad.row]) for bad in unparsed}
    odd |= {int(i) for i, value in zip(number[at], values, strict=True) if value is None and single[i]}
    for alone, run in itertools.groupby(range(len(files)), odd.__contains__):
        chosen = list(run)
        if alone:
            for i in chosen:
                yield from _read_whole_piece(files[i][0])
            continue
        mask = (number[at] >= chosen[0]) & (number[at] <= chosen[-1])
        some = list(itertools.compress(values, mask.tolist()))
        yield _of_records(job, row[at[mask]], columns.where(mask), some, [], file[number[at[mask]]])


def _lines(first: int, block: Block, bad: list[Bad]) -> Iterator[tuple[int, list[bytes], list[Bad]]]:
    """The lines of a block, some at a time, with the number of the first."""
    lines = [] if bad else block.content.split(b"\n")
    for begin in range(0, max(1, len(lines)), LINES):
        yield first + begin, lines[begin : begin + LINES], bad


def _json_lines(job: Reading) -> Iterator[tuple[int, list[bytes], list[Bad], Pair | None]]:
    """Documents of a block of lines, read by columns; or, where it cannot be, its lines with the number of the first."""
    reader, misses = _column_reader(job), 0
    for first, block, bad in _blocks(job):
        if not bad and reader and misses < MISSES:
            if pair := _by_columns(job, np.arange(first, first + len(block), dtype=np.int64), block, reader):
                misses = 0
                yield first, [], [], pair
                continue
            misses += 1
        for begin, lines, behind in _lines(first, block, bad):
            yield begin, lines, behind, None


def _column_reader(job: Reading) -> ColumnReader | None:
    """A reader of blocks by columns; None: all of a line is asked for."""
    source = job.source
    texts = documents.names(source.fields, "text")
    plain = tuple(name for name in texts if not is_computed(name))
    if not plain or job.sample is not None or source.turns == "apart" or source.roles.said():
        return None
    return ColumnReader(plain, documents.beside_text(source, job.keep))


_CHATS = tuple(f'"{name}"'.encode() for name in COLUMNS)


def _by_columns(
    job: Reading,
    row: npt.NDArray[np.int64],
    block: Block,
    reader: ColumnReader,
    file: npt.NDArray[np.int32] | None = None,
    must_have_text: npt.NDArray[np.bool_] | None = None,
) -> Pair | None:
    """Documents of a block; None: it must be read line by line. `file` and `must_have_text`: of each line."""
    if block.longest > job.limits.max_line_bytes or (found := reader.read(block)) is None:
        return None
    text, columns = found
    if text.null_count and job.source.fields.text is None and any(name in block.content for name in _CHATS):
        return None  # what has no text may be a chat
    if must_have_text is not None and (must_have_text & text.is_null().to_numpy(zero_copy_only=False)).any():
        return None

    def explain(i: int) -> tuple[str, str, bytes]:
        line = block.line(i)
        return "missing_text", missing_text(job.source, list(orjson.loads(line))), line

    return finish(job, row, text, columns, [], explain, file)


def _read_jsonl(job: Reading) -> Iterator[Pair]:
    begun = False
    held: Bad | None = None  # an array that may be all there is
    around: tuple[Pair, str, int] | None = (
        None  # likewise an object without text that holds a list: what, where, how many
    )
    for first, lines, bad, by_columns in _json_lines(job):
        row, lines, records, unparsed = _records(job, first, lines)
        if not begun and unparsed and _spans_lines(unparsed[0], row):
            raise DamageError(
                "bad_json", f"the file is one JSON value over many lines; {_ONE_A_LINE}", raw=unparsed[0].raw
            )
        if held and (by_columns or records or unparsed or bad):
            yield no_documents(job), [held]
            held = None
        if not begun and not records and len(unparsed) == 1 and not bad and unparsed[0].raw.lstrip()[:1] == b"[":
            held, unparsed = unparsed[0], []
        if around and (by_columns or records or unparsed or bad):
            yield around[0]
            around = None
        first_of_all, begun = not begun, begun or held is not None or bool(by_columns or records or unparsed)
        if by_columns:
            yield by_columns
            continue
        columns, values = _json_columns(job, records, lines)
        pair = _of_records(job, row, columns, values, unparsed + bad)
        if (
            first_of_all
            and len(records) == 1
            and values[0] is None
            and not unparsed
            and (inside := _objects(records[0]))
        ):
            around = (pair, *inside)
            continue
        yield pair
    if around:
        (_, [bad_one]), name, n = around
        detail = f"the file is one JSON object, with a list of {plural(n, 'object')} in {name[:40]!r}; set format: json"
        raise DamageError("bad_json", f"{detail} (jq -c '.[{orjson.dumps(name[:40]).decode()}][]')", n, raw=bad_one.raw)
    if held:
        raise DamageError("bad_json", f"the file is one JSON array; {_ONE_A_LINE}", raw=held.raw)


def _json_columns(
    job: Reading, records: list[dict[str, Any]], lines: list[bytes]
) -> tuple[documents.JsonColumns, list[Any]]:
    """Objects by column, and what each has for its text, whatever its type."""
    columns = documents.JsonColumns(records, lines)
    return columns, _first_given(columns, documents.names(job.source.fields, "text"))


def _of_records(
    job: Reading,
    row: npt.NDArray[np.int64],
    columns: documents.JsonColumns,
    values: list[Any],
    bad: list[Bad],
    file: npt.NDArray[np.int32] | None = None,
) -> Pair:
    text = pa.array([v if type(v) is str else None for v in values], pa.large_string())

    def explain(i: int) -> tuple[str, str, bytes]:
        line = columns.lines[i]
        if values[i] is None:
            return "missing_text", missing_text(job.source, list(columns.records[i])), line
        return "text_not_string", f"the text is a {_KINDS.get(type(values[i]), 'number')}, not a string", line

    return finish(job, row, text, columns, bad, explain, file)


def _objects(record: dict[str, Any]) -> tuple[str, int] | None:
    """The key under which an object holds the most objects in a list, and how many; None: under no key."""
    lists = {key: value for key, value in record.items() if type(value) is list and value and type(value[0]) is dict}
    longest = max(lists, key=lambda key: len(lists[key]), default=None)
    return None if longest is None else (longest, len(lists[longest]))


_ONE_A_LINE = "set format: json, or write one object per line (jq -c '.[]' makes an array so)"
_KINDS = {dict: "object", list: "list", bool: "boolean", str: "string", type(None): "null"}


def _records(
    job: Reading, first: int, lines: list[bytes]
) -> tuple[npt.NDArray[np.int64], list[bytes], list[dict[str, Any]], list[Bad]]:
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
    bad = [record for record in found if isinstance(record, Bad)]
    return np.array(good, np.int64) + first, [lines[i] for i in good], [found[i] for i in good], bad  # type: ignore[misc]


def _record(job: Reading, row: int, line: bytes) -> dict[str, Any] | Bad | None:
    if len(line) > job.limits.max_line_bytes:
        bad = job.bad(row, *job.limits.line_too_long(), line)
        return bad._replace(records=_values(line))
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not line.strip():
            return None
        # Raw bytes that are not UTF-8, and escapes of half a pair: neither is a character.
        reason = "invalid_utf8" if "surrogate" in error.msg else "bad_json"
        bad = job.bad(row, reason, f"{error.msg}, at character {error.pos} of the line", line)
        n = _values(line) if "after document" in error.msg else 1
        return (
            bad
            if n == 1
            else bad._replace(records=n, detail=f"{n:,} JSON values on one line; write one a line (jq -c .)")
        )
    if type(record) is dict:
        return record
    bad = job.bad(row, "not_an_object", f"the line is a {_KINDS.get(type(record), 'number')}, not an object", line)
    return bad._replace(records=max(1, sum(type(one) is dict for one in record))) if type(record) is list else bad


def _values(line: bytes) -> int:
    """How many JSON values follow each other on a line; of a long line about, by those in its beginning. One at least."""
    text, at, n = line[:COUNTED].decode("utf-8", errors="replace"), 0, 0
    while (begin := _BLANK.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        try:
            _, at = _VALUE.raw_decode(text, begin)
        except (ValueError, RecursionError):  # it is cut off, or nobody can tell what it is
            break
        n += 1
    if len(line) > COUNTED:
        return max(1, n * len(line) // max(1, len(text[:at].encode())))
    return max(1, n + (begin < len(text)))


_BLANK = re.compile(r"[\s\x00\x1e]*")
_VALUE = json.JSONDecoder(parse_int=str, parse_float=str)  # numbers of any length


def _spans_lines(bad: Bad, row: npt.NDArray[np.int64]) -> bool:
    """Whether the first thing in a file is the start of a value that goes on in the next line."""
    start = bad.raw.strip()
    return bad.reason == "bad_json" and not (len(row) and row[0] < bad.row) and (start == b"{" or start[:1] == b"[")


def _first_given(columns: documents.JsonColumns, names: tuple[str, ...]) -> list[Any]:
    values: list[Any] = [None] * len(columns.records)
    for name in names:
        if None in values and (more := columns.get(name)) is not None:
            values = [b if a is None else a for a, b in zip(values, more, strict=True)]
    return values


def _read_lines(job: Reading) -> Iterator[Pair]:
    limit = job.limits.max_line_bytes
    for first, lines, bad in (part for block in _blocks(job) for part in _lines(*block)):
        row = np.arange(first, first + len(lines), dtype=np.int64)
        fits = np.array([len(line) <= limit for line in lines], bool)
        for i in np.flatnonzero(~fits).tolist():
            bad.append(job.bad(first + i, *job.limits.line_too_long(), lines[i]))
        values = pa.array([line.removesuffix(b"\r") for line in itertools.compress(lines, fits)], pa.large_binary())
        text, explain = bytes_as_text(values)
        yield finish(job, row[fits], text, documents.NO_COLUMNS, bad, explain)


def _read_texts(jobs: list[Reading]) -> Iterator[Pair]:
    """Files of one document each, about a chunk of text at a time."""
    contents: list[bytes] = []
    files: list[int] = []
    bad: list[Bad] = []
    size = 0
    for number, job in enumerate(jobs):
        try:
            small = whole_content(job.piece, min(SMALL_BYTES, job.limits.max_text_bytes))
            if small is None:
                job, remarks = _looked_at(job)
                bad += remarks
            content = _content(job) if small is None else small[0]
        except DamageError as damage:
            damage.records = 1
            bad.append(job.lost(damage))
        except Exception as error:
            if not is_decoders(error):
                raise
            detail = f"it cannot be read: {named(error)}"
            bad.append(job.lost(DamageError("corrupt_file", detail, records=1)))
        else:
            contents.append(content)
            files.append(job.file)
            size += len(content)
        if size >= job.chunk_bytes or number == len(jobs) - 1:
            as_text = html.pages_as_text if job.split.pieces[job.file].format == "html" else bytes_as_text
            text, explain = as_text(pa.array(contents, pa.large_binary()))
            row, file = np.zeros(len(files), np.int64), np.array(files, np.int32)
            yield finish(job, row, text, documents.NO_COLUMNS, bad, explain, file)
            contents, files, bad, size = [], [], [], 0


def _content(job: Reading) -> bytes:
    content = bytearray()
    for chunk in chunks(job.piece, job.chunk_bytes):
        content += chunk
        if len(content) > job.limits.max_text_bytes:
            break
    return bytes(content)


# What reads a file that is not one document; the others are read in groups.
READERS: dict[str, Callable[[Reading], Iterator[Pair]]] = {
    "jsonl": _read_jsonl,
    "json": lambda job: json_documents.read_json(job, _read_jsonl),
    "lines": _read_lines,
    "parquet": read_parquet,
    "csv": tables.read_csv,
    "arrow": tables.read_arrow,
    "orc": tables.read_orc,
    "warc": warc.read_warc,
    "tar": lambda job: archives.read_tar(job, read_piece),
    "zip": lambda job: archives.read_zip(job, read_piece),
}
