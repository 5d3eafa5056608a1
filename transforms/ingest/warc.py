"""WARC and WET -> documents: pages of HTML as their text, and text as it is, with address and date.

What is no page (requests, images, redirects) is no document; a remark says how many there were of each kind.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from fastwarc.warc import ArchiveIterator

from expectations.wording import message, plural
from transforms.ingest import columns as documents
from transforms.ingest.decompress import ChunkStream, DamageError, chunks, is_decoders
from transforms.ingest.html import page_text
from transforms.ingest.quarantine import WHOLE_FILE, Bad, Pair, Reading, finish, no_documents

HTML = ("text/html", "application/xhtml+xml")
TEXT = ("text/plain",)
_ENDS = (b"\r\n\r\n", b"\n\n")
COLUMNS = ("id", "url", "date", "content_type", "content_language")  # of each record, beside its text


def read_warc(job: Reading) -> Iterator[Pair]:
    """Documents of a WARC or WET file; `row` counts its records, of every kind.

    Raises:
      DamageError: it holds no record.
    """
    stream = ChunkStream(chunks(job.piece, job.chunk_bytes))
    rows = _Rows(job)
    others: Counter[str] = Counter()
    number, position, damage = 0, 0, None
    try:
        for record in ArchiveIterator(stream, auto_decode="all", stream_detect=False):  # type: ignore[call-arg]
            position = record.stream_pos
            what = _add(rows, number, record)
            if what:
                others[what] += 1
            number += 1
            if rows.n_bytes >= job.chunk_bytes:
                yield rows.pair()
    except BaseException as error:  # FastWARC panics, which is no Exception, where it cannot go on
        if type(error).__name__ != "PanicException" and (not isinstance(error, Exception) or not is_decoders(error)):
            raise
        share = 1 - position / max(1, stream.drain())
        detail = f"behind {plural(number, 'record')} it is no WARC that can be read: {message(error)}"  # type: ignore[arg-type]
        damage = DamageError("corrupt_file", detail, n_bytes=int(job.piece.size * share))
    if stream.damage is None and damage is None and not stream.tail.endswith(_ENDS):
        damage = DamageError("truncated_file", "the file ends in the middle of a record; fetch it again", n_bytes=0)
    damage = stream.damage or damage
    if not number:
        raise damage or DamageError("corrupt_file", "it holds no record of WARC")
    if damage is not None:
        behind = job.bad(number, damage.reason, damage.detail)
        rows.bad.append(behind._replace(records=None, n_bytes=damage.n_bytes or 0))
    yield rows.pair()
    if others:
        yield no_documents(job), [not_documents(job, others, "record")]


def not_documents(job: Reading, others: Counter[str], what: str) -> Bad:
    """The remark about what in a file is no document, and no loss."""
    n = sum(others.values())
    kinds = ", ".join(
        f"{kind} {count:,}" for kind, count in sorted(others.items(), key=lambda one: (-one[1], one[0]))[:12]
    )
    detail = f"{plural(n, what)} {'is no document' if n == 1 else 'are no documents'}: {kinds}"
    return Bad(job.piece.path, WHOLE_FILE, "not_documents", detail, records=0)


class _Rows:
    """Documents that wait to be a batch."""

    def __init__(self, job: Reading) -> None:
        self.job = job
        self.bad: list[Bad] = []
        self.rows: list[int] = []
        self.texts: list[str] = []
        self.columns: list[tuple[str | None, ...]] = []
        self.n_bytes = 0

    def add(self, number: int, text: str, record: Any, content_type: str) -> None:
        """A record that is a document."""
        headers = record.headers
        values = (
            record.record_id or None,
            headers.get("WARC-Target-URI"),
            headers.get("WARC-Date"),
            content_type,
            headers.get("WARC-Identified-Content-Language"),
        )
        self.rows.append(number)
        self.texts.append(text)
        self.columns.append(values)
        self.n_bytes += len(text)

    def pair(self) -> Pair:
        """What waits, as a batch."""
        text = pa.array(self.texts, pa.large_string())
        by_column = list(zip(*self.columns, strict=True)) or [()] * len(COLUMNS)
        batch = pa.RecordBatch.from_arrays([pa.array(one, pa.string()) for one in by_column], names=list(COLUMNS))
        row = np.array(self.rows, np.int64)

        def explain(i: int) -> tuple[str, str, bytes]:  # no row is without a text
            return "missing_text", "the record holds no text", b""

        pair = finish(self.job, row, text, documents.ArrowColumns(batch), self.bad, explain)
        self.bad, self.rows, self.texts, self.columns, self.n_bytes = [], [], [], [], 0
        return pair


def _add(rows: _Rows, number: int, record: Any) -> str:
    """Take a record as a document or a bad one, or say what it is (not "")."""
    name = str(record.record_type).rpartition(".")[2]
    if name not in _WITH_TEXT:
        return name
    content_type, charset = (record.headers.get("Content-Type") or "").partition(";")[0].strip().lower(), None
    if record.is_http:
        status = record.http_headers.status_code
        if status != 200:
            return f"{name} with status {status}"
        content_type, charset = (record.http_content_type or "").lower(), record.http_charset
    if name == "conversion" and not content_type:
        content_type = TEXT[0]  # which a conversion is, whether it says so or not
    if content_type not in (*HTML, *TEXT):
        return f"{name} of {content_type[:60] or 'no type'}"
    limit = rows.job.limits.max_line_bytes
    payload = record.reader.read(limit + 1)
    said = record.headers.get("Content-Length") or ""
    if not said.strip().isdecimal() or len(payload) < min(_length(record), limit):
        detail = "the record is cut off" if said.strip().isdecimal() else "the record does not say how long it is"
        rows.bad.append(rows.job.bad(number, "truncated_file", detail, payload))
        return ""
    if len(payload) > limit:
        rows.bad.append(rows.job.bad(number, *rows.job.limits.line_too_long("record"), payload))
        return ""
    try:
        text = page_text(payload, charset) if content_type in HTML else payload.decode(charset or "utf-8")
    except (UnicodeDecodeError, LookupError) as error:
        rows.bad.append(rows.job.bad(number, "invalid_utf8", f"the text cannot be decoded: {message(error)}", payload))
        return ""
    if text is None:
        rows.bad.append(rows.job.bad(number, "missing_text", "the page shows no text", payload))
        return ""
    rows.add(number, text.encode("utf-8", "replace").decode(), record, content_type)
    return ""


def _length(record: Any) -> int:
    """Bytes that the payload must have; 0 where it was decompressed, and nobody knows."""
    coded = record.is_http and record.http_headers.get("Content-Encoding")
    chunked = record.is_http and record.http_headers.get("Transfer-Encoding")
    return 0 if coded or chunked else int(record.content_length)


_WITH_TEXT = ("response", "resource", "conversion")
