"""Rows of any format -> documents, and the record of each row that is none."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.wording import named, plural
from transforms.ingest import columns as documents
from transforms.ingest import turns
from transforms.ingest.computed import TURNS
from transforms.ingest.decompress import READ_BYTES, DamageError, is_decoders
from transforms.ingest.path_columns import PathColumns, values_of
from transforms.ingest.size_limits import FILE_TOO_LARGE, LINE_TOO_LONG, TEXT_TOO_LONG, ReadLimits
from transforms.ingest.sources import Piece, Source, Split

RAW_BYTES = 1024  # of a bad record that quarantine keeps
REASONS = (
    "bad_json",
    "not_an_object",
    "missing_text",
    "text_not_string",
    "invalid_utf8",
    TEXT_TOO_LONG,
    LINE_TOO_LONG,
    FILE_TOO_LARGE,
    "truncated_file",
    "corrupt_file",
    "unreadable_file",
    "other_format",
    "no_documents",
    "unreadable_record",
    "misnamed_file",
    "not_documents",
    "bad_row",
)
FILE_REASONS = (
    FILE_TOO_LARGE,
    "truncated_file",
    "corrupt_file",
    "unreadable_file",
    "other_format",
    "no_documents",
)  # more than one record may be lost
LISTED = 10_000  # bad records of a split that have a row of their own; more are counted, by file and reason
WHOLE_FILE = -1  # as a row: the file, not one record of it


class Bad(NamedTuple):
    """A record that could not be read, or several of them: QUARANTINE but for the source."""

    path: str
    row: int
    reason: str
    detail: str
    raw: bytes = b""
    records: int | None = 1  # that it stands for; None: nobody knows; 0: it is a remark, nothing is lost
    n_bytes: int = 0  # in storage, about, of records that nobody can count


@dataclasses.dataclass
class SeenColumns:
    """What was seen of a file's columns, as far as it was read.

    Attributes:
      schema: of a table, also of one without a text.
      columns: the first rows.
    """

    schema: pa.Schema | None = None
    columns: documents.Columns | None = None


@dataclasses.dataclass(frozen=True)
class Reading:
    """What stays the same while a split is read; `file` is the piece at hand."""

    split: Split
    source: Source
    limits: ReadLimits
    keep: tuple[str, ...]
    file: int = 0
    seen: Piece | None = None  # the piece at hand as its content says, where that is not what its name says
    sample: "SeenColumns | None" = None  # what is to be told of the columns

    @property
    def piece(self) -> Piece:
        """The piece at hand."""
        return self.seen or self.split.pieces[self.file]

    @property
    def chunk_bytes(self) -> int:
        """How much to read at once: about a batch, so that what a batch costs is paid once and nothing need be joined."""
        return max(64, min(READ_BYTES, 2 * self.limits.batch_bytes))

    def bad(self, row: int, reason: str, detail: str, raw: bytes = b"") -> Bad:
        """A bad record of this piece, with the first bytes of `raw`."""
        return Bad(self.piece.path, row, reason, detail, raw[:RAW_BYTES])

    def lost(self, damage: DamageError) -> Bad:
        """The record of this piece as a whole."""
        known = self.piece.size if damage.n_bytes is None else damage.n_bytes
        n_bytes = known if damage.records is None else 0
        return Bad(self.piece.path, WHOLE_FILE, damage.reason, damage.detail, damage.raw, damage.records, n_bytes)


Pair = tuple[pa.RecordBatch, list[Bad]]
Explain = Callable[[int], tuple[str, str, bytes]]
SEARCHED = 64  # halvings of a batch that are tried to find the rows that cannot be converted


def finish(
    job: Reading,
    row: npt.NDArray[np.int64],
    text: pa.LargeStringArray,
    columns: documents.Columns,
    bad: list[Bad],
    explain: Explain,
    file: npt.NDArray[np.int32] | None = None,
) -> Pair:
    """As `_finish`; a row whose values cannot be converted, whatever is raised, costs itself only.

    The batch is halved till such rows stand alone. Where they are many, the rest of them is one record with their number.
    """
    try:
        return _finish(job, row, text, columns, list(bad), explain, file)
    except Exception as error:
        if not is_decoders(error):
            raise
    done: list[pa.RecordBatch] = []
    left = SEARCHED
    open_ = [(0, len(row))]
    while open_:
        begin, end = open_.pop()
        part = np.zeros(len(row), bool)
        part[begin:end] = True

        def explain_part(i: int, begin: int = begin) -> tuple[str, str, bytes]:
            return explain(begin + i)

        try:
            parts = row[part], text.slice(begin, end - begin), columns.where(part)
            batch, more = _finish(job, *parts, [], explain_part, None if file is None else file[part])
            done.append(batch)
            bad = bad + more
        except Exception as error:
            if not is_decoders(error):
                raise
            left -= 1
            if end - begin > 1 and left > 0:
                middle = (begin + end) // 2
                open_ += [(middle, end), (begin, middle)]
                continue
            one = job if file is None else dataclasses.replace(job, file=int(file[begin]))
            detail = (
                f"{plural(end - begin, 'record')} from here on cannot be converted"
                if end - begin > 1
                else "it cannot be converted"
            )
            record = one.bad(int(row[begin]), "unreadable_record", f"{detail}: {named(error)}")
            bad = [*bad, record._replace(records=end - begin)]
    return joined(done, job.keep), sorted(bad, key=lambda record: (record.path, record.row))


def _finish(
    job: Reading,
    row: npt.NDArray[np.int64],
    text: pa.LargeStringArray,
    columns: documents.Columns,
    bad: list[Bad],
    explain: Explain,
    file: npt.NDArray[np.int32] | None = None,
) -> Pair:
    """Rows with their text -> documents; `explain` says of a row without one (null) the reason, the detail, the raw."""
    file = np.full(len(row), job.file, np.int32) if file is None else file
    columns = _with_path(job, columns, file)
    if job.sample is not None and job.sample.columns is None and len(row):
        job.sample.columns = columns
    good = job.limits.fits(text)
    if not good.all():
        for i in np.flatnonzero(~good).tolist():
            reason, detail, raw = explain(i)
            if text[i].is_valid:
                reason, detail = job.limits.text_too_long()
            one = dataclasses.replace(job, file=int(file[i]))
            bad.append(one.bad(int(row[i]), reason, detail, raw))
        row, file, text, columns = row[good], file[good], text.filter(pa.array(good)), columns.where(good)
        bad.sort(key=lambda record: (record.path, record.row))  # the order of the split: its paths are sorted
    if job.source.turns == "apart":
        row, file, text, columns, more = _apart(job, row, file, text, columns)
        bad += more
    return documents.build(job.source, job.keep, file, row, text, columns), bad


def _with_path(job: Reading, columns: documents.Columns, file: npt.NDArray[np.int32]) -> documents.Columns:
    """The columns, and what the paths of the files say."""
    pieces = {int(one): job.piece if one == job.file else job.split.pieces[one] for one in np.unique(file)}
    values = {one: values_of(job.source, piece) for one, piece in pieces.items()}
    return PathColumns(columns, file, values) if any(values.values()) else columns


def _apart(
    job: Reading,
    row: npt.NDArray[np.int64],
    file: npt.NDArray[np.int32],
    text: pa.LargeStringArray,
    columns: documents.Columns,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], pa.LargeStringArray, documents.Columns, list[Bad]]:
    """Each turn of a chat as a row of its own; a document that is no chat is one turn of nobody's."""
    spoken = documents.spoken_in(job.source, columns, text)
    few = np.diff(spoken.offsets) < turns.MOST_TURNS
    bad = [
        dataclasses.replace(job, file=int(file[i])).bad(
            int(row[i]), "unreadable_record", f"the chat has {turns.MOST_TURNS:,} turns or more; set turns: together"
        )
        for i in np.flatnonzero(~few)
    ]
    of = spoken.conversation
    kept = few[of]
    of, number = of[kept], spoken.number[kept]
    mask = pa.array(kept)
    apart = documents.TurnColumns(columns.take(of), spoken.role.filter(mask), number)
    return row[of] * turns.MOST_TURNS + number, file[of], spoken.content.filter(mask), apart, bad


def bytes_as_text(values: pa.Array) -> tuple[pa.LargeStringArray, Callable[[int], tuple[str, str, bytes]]]:
    """Text that came as bytes, and what to say of a row that has none."""

    def explain(i: int) -> tuple[str, str, bytes]:
        value = values[i].cast(pa.large_binary()).as_py()
        if value is None:
            return "missing_text", "the text is null", b""
        return "invalid_utf8", "the text is not valid UTF-8", value

    return documents.valid_text(values), explain


def joined(batches: list[pa.RecordBatch], keep: tuple[str, ...]) -> pa.RecordBatch:
    """Batches of documents as one; none as an empty one."""
    if len(batches) == 1:
        return batches[0]
    return pa.concat_batches(batches) if batches else pa.RecordBatch.from_pylist([], schema=documents.schema(keep))


def no_documents(job: Reading) -> pa.RecordBatch:
    """A batch of no documents."""
    return joined([], job.keep)


class BadRows:
    """Which bad records of a split get a row of their own: the first `LISTED`. Others are counted, by file and reason.

    A file of a few kilobytes may hold millions of bad records.
    """

    def __init__(self) -> None:
        self.left = LISTED
        self.more: dict[tuple[str, str], Bad] = {}

    def of(self, bad: list[Bad]) -> list[Bad]:
        """Those of the next records that are listed; they come in the order of the split."""
        shown = []
        for one in bad:
            if one.row == WHOLE_FILE:
                shown.append(one)  # there are no more of these than files
            elif self.left:
                self.left -= 1
                shown.append(one)
            else:
                key = (one.path, one.reason)
                first = self.more.get(key)
                self.more[key] = one if first is None else _both(first, one)
        return shown

    def rest(self) -> list[Bad]:
        """A record for each file and reason that has more than are listed."""
        return [
            one._replace(detail=f"{plural(one.records, 'record')} from here on, the first of them: {one.detail}")
            if one.records and one.records > 1
            else one
            for one in self.more.values()
        ]


def _both(first: Bad, one: Bad) -> Bad:
    records = None if first.records is None or one.records is None else first.records + one.records
    return first._replace(records=records, n_bytes=first.n_bytes + one.n_bytes)


def quarantine(source: Source, bad: list[Bad]) -> pa.RecordBatch:
    """Bad records -> QUARANTINE."""
    columns = dict(zip(Bad._fields, zip(*bad, strict=True), strict=True)) if bad else dict.fromkeys(Bad._fields, ())
    return contracts.QUARANTINE.batch({"source": [source.name] * len(bad), **columns})


def may_heal(quarantine: pa.RecordBatch) -> bool:
    """Whether a file could not be read, as a whole or from somewhere on: the next run must try it again."""
    return bool(pc.any(pc.is_in(quarantine["reason"], pa.array(FILE_REASONS))).as_py())


def missing_text(source: Source, found: list[str]) -> str:
    """Which columns were looked for, which are there, and which key of the recipe to set."""
    wanted = " or ".join(name.removeprefix(TURNS) for name in documents.names(source.fields, "text"))
    shown = ", ".join(name[:40] for name in found[:12]) + (", ..." if len(found) > 12 else "")
    return f"no text in {wanted} (there is: {shown or 'nothing'}); set fields.text of source {source.name}"
