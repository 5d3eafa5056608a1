"""JSON that is not one object a line -> JSON Lines, as a stream: arrays, objects over many lines, an object around a list."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import orjson

from expectations.wording import plural
from transforms.ingest import columns as documents
from transforms.ingest.decompress import ChunkStream, DamageError, Inside, chunks
from transforms.ingest.quarantine import Pair, Reading
from transforms.kernels.text.json_values import JsonValues

SHOWN_LINES = 3  # if one of so many is an object, the file is JSON Lines, whatever is wrong with the others
PEEK_BYTES = 1 << 20  # of a file that are looked at, to tell an object around documents from a document


def read_json(job: Reading, read_jsonl: Callable[[Reading], Iterator[Pair]]) -> Iterator[Pair]:
    """Documents of a file of JSON, whose rows are the values in it, in their order."""
    beginning = b"".join(_beginning(job))
    around = _is_around(beginning, job)
    piece = job.piece
    first_lines = beginning.lstrip().split(b"\n", SHOWN_LINES)[:-1]
    if not around and any(_parsed(line) is not None for line in first_lines):
        return read_jsonl(dataclasses.replace(job, seen=dataclasses.replace(piece, format="jsonl")))

    def opened() -> BinaryIO:
        return ChunkStream(_lines(job, around), keep_damage=False)  # type: ignore[return-value]

    fields = {field.name: getattr(piece, field.name) for field in dataclasses.fields(piece)}
    lines = Inside(**{**fields, "format": "jsonl", "compression": "", "opened": opened})
    return read_jsonl(dataclasses.replace(job, seen=lines))


def lines_of(content: bytes, job: Reading) -> bytes | None:
    """The same lines of a small file whose content is at hand; None: they end in the middle of a value."""
    around = _is_around(content, job)
    first, is_line, _ = content.lstrip().partition(b"\n")
    if not around and is_line and _parsed(first) is not None:
        return content
    values = JsonValues(around)
    lines = values.lines(content)
    return None if values.end.is_open else lines


def _beginning(job: Reading) -> Iterator[bytes]:
    """About the first `PEEK_BYTES`; damage in them is for the reader to say."""
    n = 0
    try:
        for chunk in chunks(job.piece, PEEK_BYTES):
            yield chunk
            n += len(chunk)
            if n >= PEEK_BYTES:
                return
    except DamageError:
        return


def _lines(job: Reading, around: bool) -> Iterator[bytes]:
    """The values of the file, each with a line feed.

    Raises:
      DamageError: it ends before its last bracket.
    """
    values = JsonValues(around)
    for chunk in chunks(job.piece, job.chunk_bytes):
        yield values.lines(chunk)
    end = values.end
    if end.is_open:
        share = end.n_bytes / max(1, values.n_bytes)
        whole = plural(end.values, "whole value")
        detail = f"the JSON ends in the middle, behind {whole}: a bracket is not closed; fetch it again"
        raise DamageError("truncated_file", detail, n_bytes=int(job.piece.size * share))


def _is_around(beginning: bytes, job: Reading) -> bool:
    """Whether the file is one object whose lists hold the documents, and not objects that are documents."""
    if beginning.lstrip()[:1] != b"{":
        return False
    if any(_parsed(line) is not None for line in beginning.lstrip().split(b"\n", SHOWN_LINES)[1:-1]):
        return False
    first = JsonValues(around=False).lines(beginning)
    line, ended, rest = first.partition(b"\n")
    if ended and (found := _parsed(line)) is not None:
        return not rest.strip() and _holds_documents(found, line, job)
    # It is longer than that, or wrong somewhere: what its lists hold so far.
    inside = JsonValues(around=True).lines(beginning).partition(b"\n")
    texts = [f'"{name}"'.encode() for name in documents.columns_for(job.source.fields, "text")]
    outside = beginning[: beginning.find(b"[")]
    return bool(inside[1]) and not any(text in outside for text in texts)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if type(record) is dict else None


def _holds_documents(record: dict[str, Any], line: bytes, job: Reading) -> bool:
    """Whether an object has no text of its own, and a list of objects."""
    columns = documents.JsonColumns([record], [line])
    has_text = any(columns.get(name) is not None for name in documents.names(job.source.fields, "text"))
    lists = [value for value in record.values() if type(value) is list and value]
    return not has_text and any(type(value[0]) is dict for value in lists)
