"""What of the input was not read, weighed by what is lost: a lost file counts for the records in it, and not as one.

How many those are is known from a Parquet footer. Else it is estimated: from the file's bytes, at the bytes that a record
takes in the files like it that were read; or, where not even bytes are known (a link to nothing, an error page, a Parquet
file without its footer), as many as such a file has. Of a file that was read up to where it is cut one record is known to be
lost.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from expectations.metrics.row import Row
from expectations.wording import plural
from transforms.ingest.formats import ending_of
from transforms.ingest.listing import UNREAD
from transforms.ingest.readers import FILE_REASONS, WHOLE_FILE
from transforms.ingest.sources import Found, Source, Split

SHOWN_FILES = 100  # that metrics name one by one
EXAMPLES = 5  # of entries that are not read, by source, reason and ending


class NotRead(NamedTuple):
    """Entries of a source's folders and patterns that are not read."""

    source: str
    reason: str  # of `listing.UNREAD`
    ending: str
    entries: int
    examples: tuple[str, ...]


def not_read(sources: Sequence[Source], found: Sequence[Found]) -> tuple[NotRead, ...]:
    """What is not read of each source, by reason and ending, with the first paths."""
    rows = []
    for source, files in zip(sources, found, strict=True):
        paths: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
        for one in files.unread:
            paths[one.reason, ending_of(one.path)].append(one.path)
        for (reason, ending), some in sorted(paths.items()):
            rows.append(
                NotRead(source.name, reason, printable(ending), len(some), tuple(map(printable, some[:EXAMPLES])))
            )
    return tuple(rows)


def printable(path: str) -> str:
    """A path as it can be shown and stored, whatever bytes it is of."""
    return path if path.isprintable() else ascii(path)[1:-1]


class LostFile(NamedTuple):
    """A file that was not read, or not to its end."""

    form: str  # format and compression: files of one form take about the same bytes for a record
    reason: str
    detail: str
    records: int  # that are lost, as far as they were counted
    n_bytes: int  # in storage, of those that nobody counted
    uncounted_files: int  # 1: nobody knows how long it was; then it is taken to have had as many as files like it

    def __add__(self, other: "LostFile") -> "LostFile":  # type: ignore[override]
        """Of two parts of a file."""
        first = min(self, other, key=lambda one: (one.reason, one.detail))
        return first._replace(
            records=self.records + other.records,
            n_bytes=self.n_bytes + other.n_bytes,
            uncounted_files=max(self.uncounted_files, other.uncounted_files),
        )

    @property
    def is_counted(self) -> bool:
        """Whether the number of its lost records is known."""
        return not self.n_bytes and not self.uncounted_files


@dataclasses.dataclass
class Inputs:
    """Counts of the input, mergeable in any order.

    Attributes:
      intact: by (source, form), [records, bytes, files] of pieces that were read to their end.
      bad: by source, bad records that were counted.
      lost: by (source, path), files of which something is missing that is more than single records.
      misnamed: by (source, path), what a file is whose name says something else.
      others: by (source, path), what a file holds beside documents: records of WARC that are no pages, images of an archive.
    """

    intact: dict[tuple[int, str], tuple[int, int, int]] = dataclasses.field(default_factory=dict)
    bad: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    lost: dict[tuple[int, str], LostFile] = dataclasses.field(default_factory=dict)
    misnamed: dict[tuple[int, str], str] = dataclasses.field(default_factory=dict)
    others: dict[tuple[int, str], str] = dataclasses.field(default_factory=dict)

    def update(self, other: "Inputs") -> None:
        """Add the counts of another part."""
        for key, sums in other.intact.items():
            self.intact[key] = _sum(self.intact.get(key, (0, 0, 0)), sums)
        self.bad.update(other.bad)
        for place, lost in other.lost.items():
            self.lost[place] = self.lost[place] + lost if place in self.lost else lost
        self.misnamed.update(other.misnamed)
        self.others.update(other.others)


def _sum(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def count_inputs(split: Split, file: pa.ChunkedArray, quarantine: pa.Table) -> Inputs:
    """Count one split.

    Args:
      split: what was to be read.
      file: of each document, the number of its piece.
      quarantine: QUARANTINE of the split.
    """
    found = Inputs()
    counted = pc.value_counts(file.combine_chunks())
    by_piece = dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))
    documents: collections.Counter[str] = collections.Counter()  # by path: two row groups are two pieces
    for number, piece in enumerate(split.pieces):
        documents[piece.path] += by_piece.get(number, 0)
    bad: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in quarantine.select(["path", "row", "reason", "detail", "records", "n_bytes"]).to_pylist():
        bad[row["path"]].append(row)
    seen: set[str] = set()
    for number, piece in enumerate(split.pieces):
        place, form = (split.source, piece.path), f"{piece.format} {piece.compression}"
        rows = (
            bad.get(piece.path, []) if piece.path not in seen else []
        )  # of two row groups of one file, the first has them
        seen.add(piece.path)
        n_bad, good = 0, documents[piece.path]
        lost: LostFile | None = None
        for row in rows:
            reason, detail, records, n_bytes = (row[k] for k in ("reason", "detail", "records", "n_bytes"))
            if records == 0:
                (found.misnamed if reason == "misnamed_file" else found.others)[place] = str(detail)
                continue
            n_bad += records or 0
            if row["row"] == WHOLE_FILE or reason in FILE_REASONS or records is None or not good:
                nothing = records is None and not n_bytes
                whole = int(nothing and row["row"] == WHOLE_FILE)
                more = int(nothing) - whole  # how long a file was that was cut nobody knows: one record at least
                part = LostFile(form, str(reason), str(detail), (records or 0) + more, n_bytes, whole)
                lost = part if lost is None else lost + part
                n_bad += more
        found.bad[split.source] += n_bad
        if lost is not None:
            found.lost[place] = lost
        if lost is None or lost.is_counted:
            found.intact[split.source, form] = _sum(
                found.intact.get((split.source, form), (0, 0, 0)), (by_piece.get(number, 0) + n_bad, piece.size, 1)
            )
    return found


def loss_rows(inputs: Inputs, documents: dict[int, int], sources: tuple[str, ...]) -> Iterator[Row]:
    """`input.bad_fraction` and `input.unreadable_files`, overall and by source, and the files by name.

    Args:
      inputs: counts of the whole input.
      documents: by source, how many were read.
      sources: names, by number.
    """
    before: Row = {"stage": "before"}
    estimates = {place: _lost_records(inputs, place[0], lost) for place, lost in sorted(inputs.lost.items())}
    guessed = {
        number: sum(
            estimates[place] - lost.records
            for place, lost in inputs.lost.items()
            if place[0] == number and not lost.is_counted
        )
        for number in range(len(sources))
    }
    note = "records that could not be read, of all; those of lost files by their footers, or estimated from their bytes"
    for kind, name, members in _overall_and_each(sources):
        bad = sum(inputs.bad[number] + guessed[number] for number in members)
        records = bad + sum(documents.get(number, 0) for number in members)
        part: Row = before | Row(slice_kind=kind, slice=name, n=records, note=note if any(guessed.values()) else None)
        yield {**part, "metric": "input.bad_fraction", "value": bad / records if records else None}
        lost = [place for place in estimates if place[0] in members]
        yield {**part, "metric": "input.unreadable_files", "unit": "files", "value": len(lost), "note": None}
        for metric, files in _remarks(inputs):
            yield {**part, "metric": metric, "value": sum(place[0] in members for place in files), "note": None}
    shown: set[str] = set()  # a file may be in two sources
    for place in sorted(estimates, key=lambda place: (-estimates[place], place))[:SHOWN_FILES]:
        if place[1] in shown:
            continue
        shown.add(place[1])
        one = inputs.lost[place]
        about = "" if one.is_counted else "about "
        said = f"{about}{plural(estimates[place], 'record')} of {sources[place[0]]}: {one.reason}: {one.detail}"
        yield before | Row(
            metric="input.unreadable_files",
            slice_kind="file",
            slice=printable(place[1]),
            unit="records",
            value=estimates[place],
            n=estimates[place],
            note=said,
        )
    for metric, files in _remarks(inputs):
        for path, said in {place[1]: said for place, said in sorted(files.items())[:SHOWN_FILES]}.items():
            yield before | Row(metric=metric, slice_kind="file", slice=printable(path), value=1, n=1, note=said)


def _remarks(inputs: Inputs) -> tuple[tuple[str, dict[tuple[int, str], str]], ...]:
    """The files of which something is said that is no loss, by metric."""
    return ("input.misnamed_files", inputs.misnamed), ("input.not_documents", inputs.others)


def _overall_and_each(sources: tuple[str, ...]) -> list[tuple[str, str, set[int]]]:
    return [
        ("overall", "", set(range(len(sources)))),
        *(("source", name, {number}) for number, name in enumerate(sources)),
    ]


def _lost_records(inputs: Inputs, source: int, lost: LostFile) -> int:
    """How many records a lost file takes away, about; one at least."""
    if lost.is_counted:
        return lost.records
    likes = (
        lambda key: key == (source, lost.form),
        lambda key: key[0] == source,
        lambda key: key[1] == lost.form,
        lambda _: True,
    )
    for like in likes:
        records, n_bytes, files = 0, 0, 0
        for key, sums in inputs.intact.items():
            if like(key):
                records, n_bytes, files = _sum((records, n_bytes, files), sums)
        if records and n_bytes:
            by_bytes = -(-lost.n_bytes * records // n_bytes)
            by_files = -(-lost.uncounted_files * records // files)
            return lost.records + max(1, by_bytes, by_files)
    return lost.records + 1


def unread_rows(unread: Sequence[NotRead], sources: tuple[str, ...]) -> Iterator[Row]:
    """`input.unread_files`: entries of the sources' folders and patterns that are not read."""
    row = Row(metric="input.unread_files", stage="before", n=sum(one.entries for one in unread))
    by_reason: collections.Counter[str] = collections.Counter()
    by_source: collections.Counter[str] = collections.Counter()
    by_both: collections.Counter[str] = collections.Counter()
    for one in unread:
        by_reason[one.reason] += one.entries
        by_source[one.source] += one.entries
        by_both[f"{one.source}/{one.reason}"] += one.entries
    yield {**row, "value": sum(by_reason.values())}
    for reason, words in UNREAD.items():
        yield {**row, "slice_kind": "reason", "slice": reason, "value": by_reason[reason], "note": words}
    for source in sources:
        yield {**row, "slice_kind": "source", "slice": source, "value": by_source[source]}
    for both, n in by_both.items():
        yield {**row, "slice_kind": "source_reason", "slice": both, "value": n}
    shown = [(path, one) for one in unread for path in one.examples][:SHOWN_FILES]
    for path, one in dict(shown).items():
        yield {**row, "slice_kind": "file", "slice": path, "value": 1, "n": 1, "note": UNREAD[one.reason]}
