"""The tables of a release, asked by DuckDB in its Parquet files: a page of rows, how many there are of each kind, one row.

Nothing is read before it is asked for, and of a question only the columns that it names. Every value is bound, never part of
the SQL; the columns are written down here.
"""

import contextlib
import dataclasses
import functools
import itertools
import os
import posixpath
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expectations import contracts
from pipeline.reading.duckdb_connection import SECONDS, Row, ask
from transforms.dedup.earlier_releases import MANIFEST
from transforms.release.read_release import (
    VERDICT,
    ReleaseError,
    files_of,
    is_there,
    ledger_files,
    opened,
    read_manifest,
)

if TYPE_CHECKING:
    import duckdb

ROWS = 40  # of a page
COUNTS_KEPT = 64  # answers of `counts` that are not asked again

_numbers = itertools.count()

Value = str | None


@dataclasses.dataclass(frozen=True)
class BrowsedTable:
    """What may be asked of a table.

    Attributes:
      folder: of the release, that holds its files.
      columns: what a row is shown by.
      facets: columns that rows are counted and chosen by.
      find: columns that words are looked for in; all of it is read.
      scored: whether rows have `p_synthetic`.
    """

    folder: str
    columns: tuple[str, ...]
    facets: tuple[str, ...]
    find: tuple[str, ...]
    scored: bool


_ABOUT = ("id", "input_id", "source", "origin", "language", "p_synthetic", "n_tokens")
TABLES = {
    "ledger": BrowsedTable(
        "ledger",
        (*_ABOUT, "path", "row", "reason", "url"),
        ("reason", "source", "origin", "origin_basis", "language"),
        ("id", "input_id", "url", "path"),
        scored=True,
    ),
    "release": BrowsedTable(
        "data", _ABOUT, ("source", "origin", "origin_basis", "language"), ("text", "id", "input_id"), True
    ),
    "quarantine": BrowsedTable(
        "quarantine",
        ("source", "path", "row", "reason", "detail", "records", "raw"),
        ("reason", "source"),
        ("path", "detail"),
        scored=False,
    ),
}
_SCHEMAS = {
    "ledger": contracts.LEDGER.schema,
    "release": contracts.release(()).schema,
    "quarantine": contracts.QUARANTINE.schema,
}
TENTHS = "tenths"  # what `counts` calls scores, by their first digit behind the point


@dataclasses.dataclass(frozen=True)
class Question:
    """Which rows of a table are asked for.

    Attributes:
      table: of `TABLES`.
      where: (facet, value); None: it has none, as the reason of a document that is kept.
      low, high: `p_synthetic` from the first on and below the second, with it where that is 1; None: whatever it is.
      column, words: the words stand in this column, as they are written; empty: whatever it says.
      by_score: the highest `p_synthetic` first, and no row without; else in the order of the files.
    """

    table: str = "ledger"
    where: tuple[tuple[str, Value], ...] = ()
    low: float | None = None
    high: float | None = None
    column: str = ""
    words: str = ""
    by_score: bool = False

    @property
    def kind(self) -> BrowsedTable:
        """Of its table."""
        return TABLES[self.table]


@dataclasses.dataclass(frozen=True)
class RowPlace:
    """A row: the number of its file, and its own in it; and what it is sorted by, if that is its score."""

    file: int
    row: int
    score: float | None = None


@dataclasses.dataclass(frozen=True)
class RowPage:
    """Some rows of a table, each with its `place`.

    Attributes:
      rows: at most `ROWS`.
      after: the place of the last one, if there are more.
      unread: files that time did not suffice for, behind `after`.
    """

    rows: list[Row]
    after: RowPlace | None
    unread: int = 0


@dataclasses.dataclass(frozen=True)
class RowCounts:
    """How many rows a question has, in all and by each value of each facet, the most frequent first."""

    total: int
    by: dict[str, list[tuple[Any, int]]]


class ReleaseTables:
    """The tables of one release or rejection, as its manifest or its folder lists their files. Used by many threads."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", folder: str) -> None:
        """List the files; none of them is opened.

        Raises:
          ReleaseError: there is no release, its manifest is damaged or names a file outside of it, or its ledger is gone.
        """
        self.connection, self.folder = connection, folder
        self.published = is_there(folder, MANIFEST)
        self.stamp = stamp(folder)
        self.files = {name: self._listed(kind.folder) for name, kind in TABLES.items()}
        self.counts = functools.lru_cache(COUNTS_KEPT)(self._counts)
        self.lock = threading.Lock()
        self.sums: dict[str, str] = {}  # table -> the one in DuckDB's memory that has its sums

    def _listed(self, below: str) -> list[str]:
        if below == "ledger":
            ledger_files(self.folder)  # says which part is gone
        if self.published:
            names = [file["path"] for file in read_manifest(self.folder)[0]["files"]]
            names = [name for name in names if name.startswith(f"{below}/") and name.endswith(".parquet")]
            return [posixpath.join(os.path.abspath(self.folder), name) for name in names]
        return files_of(os.path.abspath(self.folder), below)

    def find(self, asked: Question, after: RowPlace | None = None) -> RowPage:
        """The first rows behind a place, in the order that was asked for.

        Raises:
          SlowError: it took too long.
          ReleaseError: a file is gone or damaged.
        """
        if asked.column == "text":
            return self._look_through(asked, after)
        conditions, values = _conditions(asked)
        first = 0
        if after is not None and asked.by_score:
            behind = "(p_synthetic < ? or (p_synthetic = ? and (file_index > ? or (file_index = ? and place > ?))))"
            conditions.append(behind)
            values += [after.score, after.score, after.file, after.file, after.row]
        elif after is not None:  # files before it are not opened
            first = after.file
            conditions.append("(file_index > 0 or place > ?)")
            values.append(after.row)
        order = "p_synthetic desc, " if asked.by_score else ""
        columns = ", ".join(f'"{name}"' for name in asked.kind.columns)
        rows = self._ask(
            asked.table,
            self.files[asked.table][first:],
            f"select {columns}, file_index + {first} as file, place from rows where {_all(conditions)} "
            f"order by {order}file_index, place limit {ROWS + 1}",
            values,
        )
        return _page(rows, asked.by_score)

    def _look_through(self, asked: Question, after: RowPlace | None) -> RowPage:
        """As `find`, shard by shard until a page is full or the time is over: what is left is said, and asked for next."""
        files, until = self.files[asked.table], time.monotonic() + SECONDS / 2
        rows: list[Row] = []
        conditions, values = _conditions(asked)
        columns = ", ".join(f'"{name}"' for name in asked.kind.columns)
        cut = "substr(text, greatest(1, strpos(text, ?) - 80), 240)"
        for number in range(after.file if after else 0, len(files)):
            if rows and len(rows) > ROWS:
                break
            if time.monotonic() > until:
                return RowPage(_placed(rows), RowPlace(number, -1), len(files) - number)
            behind = after.row if after and after.file == number else -1
            rows += self._ask(
                asked.table,
                files[number : number + 1],
                f"select {columns}, {cut} as said, {number} as file, place from rows where {_all([*conditions, 'place > ?'])} "
                f"order by place limit {ROWS + 1 - len(rows)}",
                [asked.words, *values, behind],
            )
        return _page(rows, by_score=False)

    def _counts(self, asked: Question) -> RowCounts:
        """How many rows there are, in all and by each facet.

        All rows are read once, by these columns, and counted by every combination of them; a question of facets and of
        whole tenths of scores is answered from those sums. For another one they are read again.

        Raises:
          SlowError: it took too long.
          ReleaseError: a file is gone or damaged.
        """
        facets = [*asked.kind.facets, *([TENTHS] if asked.kind.scored else [])]
        named = ", ".join(facets)
        tenths = ", if(p_synthetic >= 1, 9, floor(p_synthetic * 10)::int) as tenths" if asked.kind.scored else ""
        whole = f"(select *{tenths} from rows)"
        if asked.words or not all(
            score is None or round(score * 10) / 10 == score for score in (asked.low, asked.high)
        ):
            conditions, values = _conditions(asked)
            of = f"(select {named}, 1 as n from {whole} where {_all(conditions)})"
        else:
            sums = self._summed(asked.table, f"select {named}, count(*) as n from {whole} group by all")
            conditions, values = _conditions(asked, TENTHS, 10)
            of = f"(select * from {sums} where {_all(conditions)})"
        rows = self._ask(
            asked.table,
            self.files[asked.table],
            f"select grouping_id({named}) as which, {named}, sum(n)::bigint as n from {of} "
            f"group by grouping sets ((), {', '.join(f'({name})' for name in facets)})",
            values,
        )
        nothing = (1 << len(facets)) - 1  # a bit for each facet that a row is not by, the last facet's the lowest
        which = {nothing - (1 << (len(facets) - 1 - at)): name for at, name in enumerate(facets)}
        by: dict[str, list[tuple[Any, int]]] = {name: [] for name in facets}
        for row in rows:
            if row["which"] in which:
                name = which[row["which"]]
                by[name].append((row[name], row["n"]))
        for name, found in by.items():
            found.sort(key=lambda one: (-one[1], str(one[0])) if name != TENTHS else (one[0] is None, one[0]))
        return RowCounts(next((row["n"] or 0 for row in rows if row["which"] == nothing), 0), by)

    def _summed(self, table: str, sql: str) -> str:
        """The name of a table in DuckDB's memory, made the first time that it is asked for."""
        with self.lock:
            if table not in self.sums:
                name = f"sums_{next(_numbers)}"
                sql = f"create table {name} as with rows as ({self.source(table)}) {sql}"
                ask(self.connection, self.folder, sql, [self.files[table]])
                self.sums[table] = name
            return self.sums[table]

    def row(self, table: str, place: RowPlace) -> Row | None:
        """All that a table has of one row; None: it has no such row."""
        files = self.files[table][place.file : place.file + 1]
        sql = f"select * exclude file_index, {place.file} as file from rows where place = ?"
        return next(iter(_placed(self._ask(table, files, sql, [place.row]))), None)

    def rows(self, table: str, column: str, value: str, first: str = "", most: int = 1000) -> list[Row]:
        """The rows with a value in a column: those with the id `first` before the others, what is kept before what is not."""
        sql = f'select * exclude file_index, file_index as file from rows where "{_known(table, column)}" = ?'
        sql += f" order by id <> ?, not kept, id, file, place limit {most}"
        return _placed(self._ask(table, self.files[table], sql, [value, first]))

    def text(self, doc_id: str) -> str | None:
        """The text of a document of the release; None: it is in no shard."""
        found = self._ask("release", self.files["release"], "select text from rows where id = ? limit 1", [doc_id])
        return str(found[0]["text"]) if found else None

    def _ask(self, table: str, files: list[str], sql: str, values: Sequence[Any]) -> list[Row]:
        if not files:
            return []
        return ask(self.connection, self.folder, f"with rows as ({self.source(table)}) {sql}", [files, *values])

    def source(self, table: str) -> str:
        """The columns of the contract, whatever the version that wrote the files called them; `place`: its number in its file."""
        have = self._columns(table)
        named = []
        for name in _SCHEMAS[table].names:
            stored = "doc_id" if name == "id" and "id" not in have else name
            what = f'"{stored}"' if stored in have else "null"
            named.append(f'{what}::double as "{name}"' if name == "p_synthetic" else f'{what} as "{name}"')
        return (
            f"select {', '.join(named)}, file_index, file_row_number as place from "
            "read_parquet(?, file_row_number = true, hive_partitioning = false)"
        )

    @functools.cache  # noqa: B019 (there are as many as releases that are served)
    def _columns(self, table: str) -> tuple[str, ...]:
        with opened(self.files[table][0]) as file:
            return tuple(file.schema_arrow.names)


def stamp(folder: str) -> tuple[int, ...]:
    """What changes when another release takes a folder's name.

    Raises:
      ReleaseError: there is no release any more.
    """
    for name in (MANIFEST, VERDICT):
        with contextlib.suppress(OSError):
            about = os.stat(posixpath.join(folder, name))
            return about.st_ino, about.st_mtime_ns, about.st_size
    raise ReleaseError(f"{folder}: no release there (it has no {VERDICT}); give the folder of one, or make it again")


_CAME_AND_WENT = """
with a as (select id, bool_or(kept) as kept, min(reason) as reason from ({first}) group by id),
     b as (select id, bool_or(kept) as kept, min(reason) as reason from ({second}) group by id),
     moved as (select id, coalesce(b.kept, false) as came, a.id is not null and b.id is not null as in_both,
               if(coalesce(b.kept, false), a.reason, b.reason) as reason
               from a full join b using (id) where coalesce(a.kept, false) <> coalesce(b.kept, false))
select came, if(in_both, reason, '') as reason, count(*) as documents, min(id, 5) as ids from moved group by all
order by came desc, documents desc, reason
"""


def came_and_went(first: ReleaseTables, second: ReleaseTables, seconds: float) -> list[Row]:
    """Documents that only one of two releases keeps, by what the other one says of them.

    Returns:
      `came`: the second keeps it; `reason`: why the other one does not, empty: it was not in what that was made from;
      `documents`: how many; `ids`: of some of them.

    Raises:
      SlowError: it took too long.
      ReleaseError: a file is gone or damaged.
    """
    files = [first.files["ledger"], second.files["ledger"]]
    where = f"{first.folder} or {second.folder}"
    sources = {name: one.source("ledger") for name, one in (("first", first), ("second", second))}
    return ask(first.connection, where, _CAME_AND_WENT.format(**sources), files, seconds)


def _conditions(asked: Question, score: str = "p_synthetic", scale: float = 1) -> tuple[list[str], list[Any]]:
    """What rows must be, with a question mark for each of the values; scores are in a column, `scale` times as large."""
    conditions: list[str] = []
    values: list[Any] = []
    for name, value in asked.where:
        conditions.append(f'"{_known(asked.table, name)}" is not distinct from ?')
        values.append(value)
    if asked.low is not None:
        conditions.append(f"{score} >= ?")
        values.append(asked.low * scale)
    if asked.high is not None:
        conditions.append(f"{score} <= ?" if asked.high >= 1 else f"{score} < ?")
        values.append(asked.high * scale)
    if asked.words:
        conditions.append(f'contains("{_known(asked.table, asked.column)}", ?)')
        values.append(asked.words)
    if asked.by_score:
        conditions.append(f"{score} is not null")
    return conditions, values


def _all(conditions: Sequence[str]) -> str:
    return " and ".join(conditions) or "true"


def _known(table: str, column: str) -> str:
    """A column of a contract: nothing else becomes part of SQL."""
    if column not in _SCHEMAS[table].names:
        raise KeyError(column)
    return column


def _page(rows: list[Row], by_score: bool) -> RowPage:
    _placed(rows, by_score)
    return RowPage(rows[:ROWS], rows[ROWS - 1]["place"] if len(rows) > ROWS else None)


def _placed(rows: list[Row], by_score: bool = False) -> list[Row]:
    for row in rows:
        row["place"] = RowPlace(row.pop("file"), row["place"], row["p_synthetic"] if by_score else None)
    return rows
