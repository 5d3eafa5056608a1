"""What the addresses of `serve`'s pages say: which rows are asked for, where in a table, and what leads there."""

import math
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from expectations.errors import UserError
from pipeline.reading.release_tables import TABLES, Question, RowPlace

Query = Mapping[str, str]


class AskedWronglyError(UserError):
    """An address that no page of ours leads to. One line."""


def link(path: str, **query: Any) -> str:
    """An address of ours; what is None is not in it."""
    return f"{path}?{urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})}"


def question(query: Query) -> Question:
    """Which rows an address asks for.

    Raises:
      AskedWronglyError: there are no such rows.
    """
    table = query.get("table", "ledger")
    if table not in TABLES:
        raise AskedWronglyError(f"table: is none of {', '.join(TABLES)}")
    kind = TABLES[table]
    none = query.get("no", "").split(",")
    where = [
        (facet, None if facet in none else query[facet]) for facet in kind.facets if facet in none or facet in query
    ]
    words = query.get("words", "").strip()
    column = query.get("column", "") or kind.find[0]
    if column not in kind.find:
        raise AskedWronglyError(f"column: is none of {', '.join(kind.find)}")
    low, high = (_score(query.get(name, ""), name) for name in ("low", "high"))
    by_score = query.get("order") == "score" and kind.scored and not (words and column == "text")
    return Question(table, tuple(where), low, high, column if words else "", words, by_score)


def query_of(asked: Question) -> dict[str, Any]:
    """What `question` reads, for `link`."""
    found: dict[str, Any] = {name: value for name, value in asked.where if value is not None}
    if none := ",".join(name for name, value in asked.where if value is None):
        found["no"] = none
    found |= {"low": asked.low, "high": asked.high, "order": "score" if asked.by_score else None}
    return found | ({"column": asked.column, "words": asked.words} if asked.words else {})


def _score(text: str, name: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise AskedWronglyError(f"{name}: a score is a number from 0 to 1")
    return value


def spelled(place: RowPlace) -> str:
    """What `row_place` reads."""
    return ".".join(map(str, (place.file, place.row))) + (f"~{place.score!r}" if place.score is not None else "")


def row_place(text: str, by_score: bool = False) -> RowPlace:
    """A row of a table, as an address has it.

    Raises:
      AskedWronglyError: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,9})\.(-1|[0-9]{1,18})(?:~([0-9.e-]{1,30}))?", text)
    try:
        if found is None or (found[3] is not None) != by_score:
            raise ValueError
        return RowPlace(int(found[1]), int(found[2]), float(found[3]) if by_score else None)
    except ValueError:
        raise AskedWronglyError("there is no such place; go back to the first page") from None
