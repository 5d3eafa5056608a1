"""Documents looked up in a release's ledger: by an id, the beginning of one, the input's own id, or why they were dropped."""

import dataclasses
import functools
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.contracts import REASONS
from expectations.loading import closest
from expectations.wording import EITHER, plural, unit_of
from pipeline.reading.answer import refuse_unknown
from pipeline.recipe import RecipeError
from transforms.release.read_release import ReleaseError, ledger_files, read_ledger, read_metrics

PREFIX = 4  # digits of an id that name a document, if no other begins so
LOOKED_AT = 5_000  # ids that are compared with one that is not known
_HEXADECIMAL = re.compile("[0-9a-fA-F]+")


@dataclasses.dataclass(frozen=True)
class LedgerTables:
    """A release's ledger."""

    release: str
    tables: list[pa.Table]

    @functools.cached_property
    def unit(self) -> str:
        """What `n_tokens` counts: words, tokens, or either where only the ledger is left."""
        try:
            return unit_of(read_metrics(self.release).to_pylist())
        except ReleaseError:
            return EITHER

    def rows(self, column: str, value: str) -> list[dict[str, Any]]:
        """The documents with a value in a column."""
        return [row for table in self.tables for row in table.filter(pc.equal(table[column], value)).to_pylist()]


def read_tables(release: str) -> LedgerTables:
    """All of a release's ledger.

    Raises:
      ReleaseError: there is none, or a part of it is gone or damaged.
    """
    return LedgerTables(release, [read_ledger(path) for path in ledger_files(release)])


def find_documents(release: str, reason: str | None, n: int, asked: str | None = None) -> list[dict[str, Any]]:
    """Rows of a ledger, in its order: the first `n` of a reason, or all that an id or the beginning of one names.

    Args:
      release: folder of a release or a rejection.
      reason: of the ledger, as near_duplicate; None: whatever the reason.
      n: rows at most.
      asked: an `id` of the ledger, the input's own id, or the first `PREFIX` digits or more of an `id`.

    Raises:
      ReleaseError: there is no ledger, or a part of it is gone or damaged.
      RecipeError: there is no such document, or the reason is unknown.
    """
    if reason is not None:
        refuse_unknown(reason, REASONS[1:], "--reason")
    ledger = read_tables(release)
    found = (
        found_by_id(ledger, asked)
        if asked is not None
        else [row for table in ledger.tables for row in _because(table, reason, n)]
    )
    rows = [row for row in found if reason is None or row["reason"] == reason][:n]
    if not rows:
        raise RecipeError(
            f"{release}: its ledger has no document" + (f" that was dropped for {reason}" if reason else "")
        )
    return rows


def _because(table: pa.Table, reason: str | None, n: int) -> list[dict[str, Any]]:
    chosen = table if reason is None else table.filter(pc.equal(table["reason"], reason))
    return list(chosen.slice(0, n).to_pylist())


def found_by_id(ledger: LedgerTables, asked: str) -> list[dict[str, Any]]:
    """The rows of one document, by its id, the input's own id, or the beginning of its id.

    Raises:
      RecipeError: there is none, or several begin so.
    """
    for column, value in _spellings(asked):
        if rows := ledger.rows(column, value):
            return rows
    where = f"{ledger.release}: its ledger has no document {asked!r}"
    if len(asked) >= PREFIX and _HEXADECIMAL.fullmatch(asked):
        begin = [t.filter(pc.starts_with(t["id"], asked.lower())) for t in ledger.tables]
        ids = list(dict.fromkeys(name for table in begin for name in table["id"].to_pylist()))
        if len(ids) == 1:
            return [row for table in begin for row in table.to_pylist()]
        if ids:
            more = ", ..." if len(ids) > 3 else ""
            several = f"{plural(len(ids), 'document')} begin with {asked}: {', '.join(ids[:3])}{more}"
            raise RecipeError(f"{ledger.release}: {several}; give more digits")
    near = _near(ledger, asked)
    hint = f"did you mean {near!r}?" if near is not None else "give its id, the beginning of one, or the input's own id"
    raise RecipeError(f"{where}; {hint}")


def _near(ledger: LedgerTables, asked: str) -> str | None:
    """An input's own id like the one that was asked for, among those that are about as long and begin or end alike."""
    for table in ledger.tables:
        ids = table["input_id"]
        alike = pc.or_(pc.starts_with(ids, asked[:3]), pc.ends_with(ids, asked[-3:]))
        some = ids.filter(pc.fill_null(alike, False)).slice(0, LOOKED_AT).to_pylist()
        if (near := closest(asked, some)) is not None:
            return near
    return None


def _spellings(doc_id: str) -> Iterator[tuple[str, str]]:
    """Columns and values to look for: the id as it was given, and a UUID or hash with its letters and hyphens as ours are."""
    yield "id", doc_id
    yield "input_id", doc_id
    bare = doc_id.strip().lower().replace("-", "")
    if re.fullmatch("[0-9a-f]{32}", bare):
        yield "id", bare
        yield "input_id", str(uuid.UUID(bare))
        yield "input_id", bare
    yield "input_id", doc_id.strip()
