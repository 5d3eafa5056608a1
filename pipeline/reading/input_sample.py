"""Some records of every source, read through the recipe's mapping before a run: which columns there are, what comes out."""

import dataclasses
from collections.abc import Iterator, Sequence

from expectations.wording import plural
from transforms.ingest import columns
from transforms.ingest.first_rows import first_rows
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import InputError, Piece, Source, Split
from transforms.measures.unread_input import printable

FILES = 8  # of a source that are tried, the first, the last, and some between
SHOWN_COLUMNS = 20
BATCH_BYTES = 100_000


@dataclasses.dataclass
class Tried:
    """What came of some records of a source."""

    documents: int = 0
    with_id: int = 0
    bad: int = 0
    reasons: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  # by file, why the first of its bad records is bad
    columns: list[str] = dataclasses.field(default_factory=list)


def try_source(source: Source, pieces: Sequence[Piece], number: int, limits: ReadLimits) -> Tried:
    """Read the beginning of some of the files of a source."""
    some = sorted({len(pieces) * i // FILES for i in range(FILES)} | {len(pieces) - 1})
    found = Tried()
    for at in some:
        piece = pieces[at]
        found.columns += [name for name in _top(first_rows(piece, source).names) if name not in found.columns]
        alone = Split(0, number, (piece,), piece.size)
        short = dataclasses.replace(limits, batch_bytes=BATCH_BYTES)
        for documents, quarantine in read_split(alone, source, short):
            found.documents += documents.num_rows
            found.with_id += documents.num_rows - documents["id"].null_count
            wrong = [row for row in quarantine.to_pylist() if row["reason"] != "not_documents"]
            found.bad += len(wrong)
            for row in wrong[:1]:
                found.reasons.setdefault(printable(piece.path), f"{row['reason']}: {row['detail']}")
            break
    return found


def _top(names: Sequence[str]) -> list[str]:
    """Without those that are inside others."""
    return [name for name in names if name.rpartition(".")[0] not in names]


def tried(source: Source, pieces: Sequence[Piece], number: int, limits: ReadLimits) -> Iterator[str]:
    """What `check` says of some records of a source.

    Raises:
      InputError: not one of them is a document.
    """
    found = try_source(source, pieces, number, limits)
    refuse_hopeless(source, found)
    if found.columns:
        more = ", ..." if len(found.columns) > SHOWN_COLUMNS else ""
        yield f"columns: {', '.join(printable(name)[:80] for name in found.columns[:SHOWN_COLUMNS])}{more}"
        top = {name.split(".")[0] for name in found.columns} | set(found.columns)
        maps = [
            (field, [name for name in columns.names(source.fields, field) if name in top or name.split(".")[0] in top])
            for field in columns.WELL_KNOWN
        ]
        yield "read as: " + ", ".join(f"{field} from {' or '.join(names)}" for field, names in maps if names)
    yield f"tried: {plural(found.documents, 'document')}, {plural(found.bad, 'bad record')}"
    for path, reason in found.reasons.items():
        yield f"  {path}: {reason}"


def refuse_hopeless(source: Source, found: Tried) -> None:
    """Refuse a source of which nothing that was tried can be read.

    Raises:
      InputError: not one of the records is a document.
    """
    if not found.documents:
        why = next(iter(found.reasons.items()), None)
        because = f"{why[0]}: {why[1]}" if why else "there is no record in it"
        raise InputError(f"source {source.name}: of the records that were tried, none is a document ({because})")
