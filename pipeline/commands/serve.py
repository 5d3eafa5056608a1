"""`serve`: releases looked at on pages of this machine: their documents, what became of each and why, what moved between them.

Pages are made here, from what `pipeline/reading/release_tables.py` answers, by the templates of the report: all text is
escaped, and no page but the labelling one has a script. Nothing is written but labels, on that page, if there is a sample.
"""

import dataclasses
import http
import os
import posixpath
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from typing import Any

from expectations import contracts, wording
from expectations.errors import UserError
from expectations.report.judgement import headline
from expectations.report.page import policy, served_page
from pipeline.advice.side_by_side import visible
from pipeline.assembly import REPORT
from pipeline.commands.diff import difference_page
from pipeline.commands.review import Session, open_session, review_site
from pipeline.commands.served_addresses import AskedWronglyError, Query, link, query_of, question, row_place, spelled
from pipeline.commands.served_texts import shown_texts
from pipeline.reading.document_fate import facts, fate_of
from pipeline.reading.duckdb_connection import SECONDS, SlowError, connect
from pipeline.reading.local_server import NOTHING, Answer, LocalServer, PageRequest, refusal
from pipeline.reading.release_tables import TENTHS, Question, ReleaseTables, RowCounts, came_and_went, stamp
from transforms.release.read_release import counts, read_metrics, read_verdict

MEMBERS = 50  # of a cluster
LONG = 10 * SECONDS  # that a comparison of two ledgers may take
VALUES = 200  # of a facet
_TITLES = {
    "reason": "Fate",
    "source": "Source",
    "origin": "Origin",
    "origin_basis": "What the origin rests on",
    "language": "Language",
    TENTHS: "Score",
}
_COLUMNS = {"id": "id", "input_id": "the input's id", "url": "address", "path": "file", "text": "text (slow)"}
_COLUMNS["detail"] = "what was wrong"


class Browsing:
    """The releases that are served. Used by many threads."""

    def __init__(self, folders: Sequence[str], session: Session | None = None, about: dict[str, Any] | None = None):
        """Look at what is there.

        Args:
          folders: of releases or rejections.
          session: a sample that is labelled beside them.
          about: what the first page says of it.

        Raises:
          ReleaseError: one of the folders is none, or DuckDB is not installed.
        """
        self.folders = [folder.rstrip("/") or folder for folder in folders]
        self.connection = connect(self.folders)
        self.session, self.about = session, about
        self.lock = threading.Lock()
        self.opened = {folder: ReleaseTables(self.connection, folder) for folder in self.folders}

    def tables(self, number: int) -> ReleaseTables:
        """Of a release as it is now: another one may have taken its name.

        Raises:
          ReleaseError: it is gone or damaged.
        """
        folder = self.folders[number]
        with self.lock:
            if self.opened[folder].stamp != stamp(folder):
                self.opened[folder] = ReleaseTables(self.connection, folder)
            return self.opened[folder]

    def answer(self, asked: PageRequest) -> Answer:
        """A page, or why there is none."""
        if self.session is not None and asked.path.startswith("/review/"):
            return review_site(self.session, dataclasses.replace(asked, path=asked.path.removeprefix("/review")))
        make = _PAGES.get(asked.path)
        if asked.body is not None or make is None:
            return refusal(http.HTTPStatus.NOT_FOUND, "there is nothing here")
        try:
            return make(self, asked.query)
        except UserError as error:
            status = http.HTTPStatus.BAD_REQUEST if isinstance(error, AskedWronglyError) else http.HTTPStatus.CONFLICT
            return _page("refusal", "There is no answer", status, why=str(error))


def _page(name: str, title: str, status: http.HTTPStatus = http.HTTPStatus.OK, **values: Any) -> Answer:
    body = served_page(f"served_{name}.html.j2", f"{title[:100]} · Low Background", **values)
    return _html(body, f"{policy(served=True, script=False)}; frame-ancestors 'none'", status)


def _html(body: str, allowed: str, status: http.HTTPStatus = http.HTTPStatus.OK) -> Answer:
    return Answer(body.encode("utf-8", "replace"), policy=allowed, status=status)


def _overview(browsing: Browsing, _: Query) -> Answer:
    shown = [_card(browsing, number) for number in range(len(browsing.folders))]
    numbers = range(len(shown))
    pairs = [
        (shown[a]["name"], shown[b]["name"], link("/compare", first=a, second=b))
        for a in numbers
        for b in numbers
        if b == a + 1 or (a == 0 and b == len(shown) - 1 and b > 1)
    ]
    return _page("overview", "Releases", releases=shown, pairs=pairs, review=browsing.about)


def _card(browsing: Browsing, number: int) -> dict[str, Any]:
    """What the first page says of a release, or what is wrong with it."""
    folder = browsing.folders[number]
    about = {"name": _name(folder), "folder": folder, "facts": [], "links": [], "look": "none"}
    try:
        tables = browsing.tables(number)
        verdict = headline(dataclasses.asdict(read_verdict(folder)))
        counted = counts(read_metrics(folder))
    except UserError as error:
        return about | {"words": str(error)}
    dropped = sum(n for name, n in counted.items() if name.startswith("dropped."))
    told = {
        "Documents in": counted.get("documents_in", 0),
        "Kept" if tables.published else "Would be kept": counted.get("kept", 0),
        "Dropped": dropped,
        "Quarantined": counted.get("quarantined", 0),
    }
    links = [(words, href) for _, words, href in _tabs(tables, number)]
    if os.path.isfile(posixpath.join(folder, REPORT)):
        links.append(("Report", link("/report", release=number)))
    look = f"{verdict['status']}{' with-waivers' if verdict['waived'] else ''}"
    return about | {"words": verdict["words"], "look": look, "facts": [*told.items()], "links": links}


def _tabs(tables: ReleaseTables, number: int) -> list[tuple[str, str, str]]:
    words = {"ledger": "Ledger: every document", "release": "Release", "quarantine": "Quarantine"}
    return [(n, words[n], link("/documents", release=number, table=n)) for n in words if tables.files[n]]


def _documents(browsing: Browsing, query: Query) -> Answer:
    number, tables = _release(browsing, query)
    asked = question(query)
    if not tables.files[asked.table]:
        raise AskedWronglyError(f"{tables.folder}: it has no files of {asked.table}")
    found = tables.find(asked, row_place(query["after"], asked.by_score) if "after" in query else None)
    counted, why = _counted(tables, asked, "count" in query)
    own = {"release": number, "table": asked.table}
    for row in found.rows:
        at = {"at": spelled(row["place"])} if asked.table == "ledger" else {"id": row.get("id")}
        row["href"] = link("/document", release=number, **at)
        if row.get("raw") is not None:
            row["raw"] = visible(row["raw"].decode("utf-8", "replace"))[:200]
        row["said"] = visible(" ".join((row.get("said") or "").split()))
    following = found.after and link("/documents", **own, **query_of(asked), after=spelled(found.after))
    what = "record" if asked.table == "quarantine" else "document"
    hidden = own | {k: v for k, v in query_of(asked).items() if k in asked.kind.facets or k == "no"}
    return _page(
        "rows",
        f"{asked.table.capitalize()} of {_name(tables.folder)}",
        release=_name(tables.folder),
        table=asked.table,
        links=_tabs(tables, number),
        asked=asked,
        hidden=[*hidden.items()],
        find=[(column, _COLUMNS[column]) for column in asked.kind.find],
        scored=asked.kind.scored,
        facets=_facets(asked, counted, own) if counted else [],
        total=None if counted is None else counted.total,
        all=counted and tables.counts(Question(asked.table)).total,
        narrowed=asked != Question(asked.table),
        clear=link("/documents", **own),
        said=why,
        count_them=link("/documents", **own, **query_of(asked), count=1) if asked.words and not counted else None,
        what=what,
        rows=found.rows,
        unit=_unit(tables.folder),
        order="The highest scores first" if asked.by_score else "In the order in which they were read",
        first=link("/documents", **own, **query_of(asked)) if "after" in query else None,
        next=following,
        unread=found.unread,
    )


def _counted(tables: ReleaseTables, asked: Question, demanded: bool) -> tuple[RowCounts | None, str]:
    """How many there are, or why nobody knows: rows that hold words are counted by reading all of them, if that is wanted."""
    if asked.column == "text":
        return None, "Texts are read one file after the other, until the page is full."
    if asked.words and not demanded:
        return None, "Rows are looked through until the page is full."
    try:
        return tables.counts(asked), ""
    except SlowError as error:
        return None, f"Not counted: {error}."


def _facets(asked: Question, counted: RowCounts, own: dict[str, Any]) -> list[dict[str, Any]]:
    """The values of each facet, how many rows have it, and where a click leads: to them, or back to all."""
    shown = []
    chosen = dict(asked.where)
    for facet, values in counted.by.items():
        found = []
        for value, n in values[:VALUES]:
            if facet == TENTHS:
                if value is None:  # no range has those without a score
                    continue
                low, high = value / 10, (value + 1) / 10
                is_chosen = (asked.low, asked.high) == (low, high)
                bounds = (None, None) if is_chosen else (low, high)
                leads = dataclasses.replace(asked, low=bounds[0], high=bounds[1])
                label = f"{low} to {high}"
            else:
                is_chosen = facet in chosen
                rest = tuple(one for one in asked.where if one[0] != facet)
                leads = dataclasses.replace(asked, where=rest if is_chosen else (*rest, (facet, value)))
                label = _label(asked.table, facet, value)
            found.append(
                {"label": label, "n": n, "chosen": is_chosen, "href": link("/documents", **own, **query_of(leads))}
            )
        if found:
            title = "Reason" if asked.table == "quarantine" and facet == "reason" else _TITLES[facet]
            shown.append({"title": title, "values": found})
    return shown


def _label(table: str, facet: str, value: str | None) -> str:
    if facet == "reason" and table == "ledger":
        return "Kept" if value is None else wording.REASONS.get(value, value)
    return {None: "not known", "": "none", "none": "nothing"}.get(value, value) or ""


def _document(browsing: Browsing, query: Query) -> Answer:
    number, tables = _release(browsing, query)
    if "at" in query:
        row = tables.row("ledger", row_place(query["at"]))
    else:
        row = next(iter(tables.rows("ledger", "id", query.get("id", ""), most=1)), None)
    if row is None:
        raise AskedWronglyError(f"{tables.folder}: its ledger has no such document")
    members = _members(tables, number, row) if row["cluster_size"] > 1 else []
    survivor = next((m for m in members if m["id"] == row["survivor_id"] and m["stage"] != "dedup"), None)
    columns = [(name, _column(value)) for name, value in row.items() if name in contracts.LEDGER.schema.names]
    fate = fate_of(row, survivor)
    return _page(
        "document",
        row["input_id"] or row["id"],
        row=row,
        release=_name(tables.folder),
        links=_tabs(tables, number),
        told_fate=f"{fate[0].upper()}{fate[1:]}.",
        facts=[*facts(row, _unit(tables.folder))],
        members=members,
        more_members=row["cluster_size"] > len(members),
        columns=[(name, value) for name, value in columns if value],
        explain=f"lowbackground explain {shlex.quote(tables.folder)} {shlex.quote(row['id'])}",
        **shown_texts(tables, number, row, survivor, "whole" in query, "read" in query),
    )


def _members(tables: ReleaseTables, number: int, row: dict[str, Any]) -> list[dict[str, Any]]:
    found = tables.rows("ledger", "cluster_id", row["cluster_id"], row["survivor_id"], MEMBERS)
    found = [one for one in found if one["reason"] not in contracts.EXCLUDED]
    for one in found:
        one["here"] = one["place"] == row["place"]
        one["href"] = link("/document", release=number, at=spelled(one["place"]))
    return found


def _column(value: Any) -> str:
    return visible(", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value))


def _compare(browsing: Browsing, query: Query) -> Answer:
    one, other = (_release(browsing, query, name) for name in ("first", "second"))
    rows = came_and_went(one[1], other[1], LONG)
    halves = []
    for came, title, empty, keeps in (
        (True, "Documents that came", "None came.", other[0]),
        (False, "Documents that went", "None went.", one[0]),
    ):
        groups = [
            (
                wording.REASONS.get(row["reason"], row["reason"]) or "Was not in what it was made from",
                row["documents"],
                [(doc_id, link("/document", release=keeps, id=doc_id)) for doc_id in row["ids"]],
            )
            for row in rows
            if row["came"] == came
        ]
        halves.append((title, empty, groups))
    names = [_name(tables.folder) for _, tables in (one, other)]
    diff = link("/diff", first=one[0], second=other[0])
    return _page("compare", " to ".join(names), first=names[0], second=names[1], halves=halves, diff=diff)


def _diff(browsing: Browsing, query: Query) -> Answer:
    folders = [_release(browsing, query, name)[1].folder for name in ("first", "second")]
    return _html(difference_page(*folders), f"{policy()}; frame-ancestors 'none'")


def _report(browsing: Browsing, query: Query) -> Answer:
    """The release's own page. Anyone may have written it, so it is of no origin: it can ask nobody for anything, us neither."""
    _, tables = _release(browsing, query)
    try:
        with open(posixpath.join(tables.folder, REPORT), "rb") as file:
            body = file.read(50_000_000)
    except OSError as error:
        raise AskedWronglyError(f"{tables.folder}: {REPORT} cannot be read: {error.strerror}") from None
    script = policy().partition("script-src ")[2].partition(";")[0]
    return Answer(body, policy=f"sandbox allow-scripts; {NOTHING}; style-src 'unsafe-inline'; script-src {script}")


_PAGES: dict[str, Callable[[Browsing, Query], Answer]] = {
    "/": _overview,
    "/documents": _documents,
    "/document": _document,
    "/compare": _compare,
    "/diff": _diff,
    "/report": _report,
}


def _name(folder: str) -> str:
    return posixpath.basename(os.path.abspath(folder))


def _unit(folder: str) -> str:
    return wording.unit_of(read_metrics(folder).to_pylist())


def _release(browsing: Browsing, query: Query, name: str = "release") -> tuple[int, ReleaseTables]:
    number = query.get(name, "")
    if not re.fullmatch("[0-9]{1,4}", number) or int(number) >= len(browsing.folders):
        raise AskedWronglyError(f"{name}: there is no such release; go back to the first page")
    return int(number), browsing.tables(int(number))


def serve_releases(
    folders: Sequence[str], sample: str | None, labels: str, port: int, say: Callable[[str], None]
) -> None:
    """Serve releases until somebody stops it.

    Raises:
      UserError: a release, the sample, the labels or the port cannot be used.
    """
    session = open_session(sample, labels, say) if sample else None
    try:
        about = {"n_items": len(session.items), "sample": sample, "labels": labels} if session else None
        server = LocalServer(Browsing(folders, session, about).answer, say, port)
        say(f"{wording.plural(len(folders), 'release')}, on this machine only, read and never changed. Ctrl-C stops.")
        server.run()
    finally:
        if session is not None:
            session.file.close()
