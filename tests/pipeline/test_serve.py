"""`serve` on real releases of hostile text: who gets in, every row met once, filters, texts, and the pages in a browser."""

import collections
import html
import http.client
import json
import pathlib
import pydoc_data.topics
import re
import shutil
import threading
import types
import urllib.parse
from collections.abc import Iterator

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from small_release import documents, write_release
from typer.testing import CliRunner

from pipeline import runner
from pipeline.cli import app
from pipeline.commands.audit import read_sample
from pipeline.commands.review import Session
from pipeline.commands.serve import Browsing
from pipeline.commands.served_texts import shown_texts
from pipeline.reading import release_tables
from pipeline.reading.duckdb_connection import SlowError, ask, connect
from pipeline.reading.local_server import LocalServer, PageRequest
from pipeline.reading.release_tables import TABLES, Question, ReleaseTables, RowPlace, came_and_went
from pipeline.recipe import load_recipe
from transforms.audit.draw import Design, draw
from transforms.release.read_release import ReleaseError

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
HOSTILE = (
    "<script>document.title = 'stolen'</script><img src=x onerror=\"document.title = 'stolen'\"> & &amp; "
    f"\u202egnirts\u202c a\u200bb \x07bell nul \x00 {'w' * 4000} \U0001f468\u200d\U0001f469 \u0646\u0635 "
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]")


def write_input(folder: pathlib.Path) -> None:
    def text(n: int) -> str:
        return f"{HOSTILE}Number {n} " + " ".join(f"word{(n * 97 + k * k) % 5003}" for k in range(120))

    rows = [
        {"id": f"<b>id {n}</b>\u202e", "text": text(n), "url": f"https://e.example/<script>?{n}&\"'"} for n in range(90)
    ]
    rows += [{"id": f"again {n}", "text": text(n).upper()} for n in range(12)]
    rows += [{"id": f"near {n}", "text": f"{text(n)} changed"} for n in range(40, 52)]
    rows += [{"id": "twice", "text": text(500)}, {"id": "twice", "text": text(500)}]
    rows += [{"id": "old", "text": "Before 2000 " + " ".join(f"plain{k}" for k in range(80)), "language": "<i>xx"}]
    prose = sorted(pydoc_data.topics.topics.values(), key=len)[-30:]
    rows += [{"id": f"prose {n}", "text": " ".join(text.split()[n : n + 200])} for n, text in enumerate(prose)]
    lines = [json.dumps(row) for row in rows] + [
        '{"id": "<script>alert(1)</script>',
        '{"id": 3, "text": ["\u202e<img>"]}',
    ]
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.jsonl").write_text("\n".join(lines[number::4]) + "\n")


def table(folder: str, name: str) -> list[dict]:
    """All rows of a table, by Arrow, in the order of its files."""
    files = sorted((pathlib.Path(folder) / TABLES[name].folder).glob("*.parquet"))
    return [
        row | {"place": (number, at)}
        for number, path in enumerate(files)
        for at, row in enumerate(pq.read_table(path).to_pylist())
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> types.SimpleNamespace:
    """A release, one that keeps less of the same, and a rejection."""
    folder = tmp_path_factory.mktemp("serve")
    write_input(folder / "in")
    suite = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}
    recipe = {
        "release": "first",
        "output": {"path": str(folder / "re[l]ease*?")},  # a name, and nobody's pattern
        "sources": [{"name": "evil", "path": str(folder / "in")}],
        "ingest": {"max_bad_fraction": 0.5, "split_bytes": 10_000},
        "ratio": {"max_synthetic_share": 1},
        "expectations": suite,
    }
    ways = {
        "first": {},
        "second": {
            "dedup": {"min_similarity": 0.97},
            "sources": [{"name": "evil", "path": str(folder / "in/[123].jsonl")}],
        },
        "third": {"expectations": {"expectations": [suite["expectations"][0] | {"min": 1000}]}},
    }
    found = {}
    for name, changes in ways.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe | {"release": name} | changes))
        loaded = load_recipe(str(folder / f"{name}.yaml"))
        found[name] = runner.run(loaded, runner.prepare(loaded, str(folder)), QUIET).folder
    assert found["third"].endswith("third.rejected")
    return types.SimpleNamespace(folder=folder, **found)


@pytest.fixture(scope="module")
def tables(made) -> ReleaseTables:
    return ReleaseTables(connect([made.first]), made.first)


@pytest.fixture(scope="module")
def browsing_all(made) -> Browsing:
    return Browsing([made.first, made.second, made.third])


def page(browsing: Browsing, address: str):
    url = urllib.parse.urlsplit(address)
    answer = browsing.answer(PageRequest(url.path, dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))))
    return answer, answer.body.decode()


def links(body: str, to: str) -> list[str]:
    return [html.unescape(one) for one in re.findall('href="([^"]*)"', body) if html.unescape(one).startswith(to)]


def walk(tables: ReleaseTables, asked: Question) -> list[dict]:
    rows, found = [], tables.find(asked)
    for _ in range(10_000):
        rows += found.rows
        if found.after is None:
            return rows
        found = tables.find(asked, found.after)
    raise AssertionError("pages without end")


def place(row: dict) -> tuple[int, int]:
    return row["place"].file, row["place"].row


# Rows.


@pytest.mark.parametrize("rows", [1, 7, 40])
@pytest.mark.parametrize("name", list(TABLES))
def test_walking_the_pages_meets_every_row_once_in_order(tables, made, monkeypatch, name, rows):
    monkeypatch.setattr(release_tables, "ROWS", rows)
    walked = walk(tables, Question(name))
    truth = table(made.first, name)
    assert [place(row) for row in walked] == [row["place"] for row in truth]
    for column in set(TABLES[name].columns) - {"p_synthetic"}:
        assert [row[column] for row in walked] == [row[column] for row in truth], column
    if name == "ledger":
        assert len({row["place"][0] for row in truth}) > 2, "of one file, nothing is proved"


@pytest.mark.parametrize("rows", [1, 7])
def test_by_score_every_scored_row_comes_once_the_highest_first(tmp_path, monkeypatch, rows):
    """Many have the same score."""
    folder = write_release(
        tmp_path / "r", documents(60, p_synthetic=[None if n % 5 == 0 else (n % 4) / 4 for n in range(60)])
    )
    monkeypatch.setattr(release_tables, "ROWS", rows)
    monkeypatch.setattr(release_tables, "ledger_files", lambda _: [])
    one = ReleaseTables(connect([folder]), folder)
    truth = [row for row in table(folder, "release") if row["p_synthetic"] is not None]
    truth.sort(key=lambda row: (-row["p_synthetic"], row["place"]))
    assert [place(row) for row in walk(one, Question("release", by_score=True))] == [row["place"] for row in truth]


VALUES = {
    "reason": [None, "near_duplicate", "exact_duplicate", "nothing like it", "' or 1=1 --"],
    "source": ["evil", "<script>"],
    "origin": ["unknown", "human"],
    "language": ["en", None, "<i>xx"],
}


@settings(max_examples=40)
@given(
    where=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}),
    low=st.sampled_from([None, 0.0, 0.1, 0.5, 0.9, 1.0]),
    high=st.sampled_from([None, 0.1, 0.5, 0.9, 1.0]),
    words=st.sampled_from(
        [("", ""), ("input_id", "again"), ("input_id", "</b>\u202e"), ("url", "%"), ("url", "<script>?1"), ("id", "a")]
    ),
)
def test_a_question_is_answered_as_by_looking_at_every_row(tables, made, where, low, high, words):
    asked = Question("ledger", tuple(where.items()), low, high, *words)
    truth = [
        row
        for row in table(made.first, "ledger")
        if all(row[name] == value for name, value in where.items())
        and (low is None or (row["p_synthetic"] is not None and row["p_synthetic"] >= low))
        and (high is None or (row["p_synthetic"] is not None and (row["p_synthetic"] < high or high == 1)))
        and (not words[1] or words[1] in (row[words[0]] or ""))
    ]
    assert [place(row) for row in walk(tables, asked)] == [row["place"] for row in truth]
    counts = tables.counts(asked)
    assert counts.total == len(truth)
    for facet in TABLES["ledger"].facets:
        assert dict(counts.by[facet]) == collections.Counter(row[facet] for row in truth)
    tenths = collections.Counter(None if (p := row["p_synthetic"]) is None else min(int(p * 10), 9) for row in truth)
    assert dict(counts.by[release_tables.TENTHS]) == tenths


def test_words_in_texts_are_found_and_what_time_did_not_suffice_for_is_gone_on_with(tables, made, monkeypatch):
    asked = Question("release", column="text", words="Number 1")
    truth = [row["id"] for row in table(made.first, "release") if "Number 1" in row["text"]]
    assert len(truth) > 5
    assert [row["id"] for row in walk(tables, asked)] == truth
    monkeypatch.setattr(release_tables, "SECONDS", -1.0)  # not even for one file
    found = tables.find(asked)
    assert (found.rows, found.unread) == ([], len(tables.files["release"]))
    monkeypatch.setattr(release_tables, "SECONDS", 20.0)
    assert [row["id"] for row in tables.find(asked, found.after).rows] == truth[:40]


def test_a_row_is_found_by_its_place_and_by_its_columns(tables, made):
    for row in table(made.first, "ledger")[::17]:
        found = tables.row("ledger", RowPlace(*row["place"]))
        assert {k: v for k, v in found.items() if k not in ("place", "created")} == {
            k: v for k, v in row.items() if k not in ("place", "created")
        }
        same = tables.rows("ledger", "cluster_id", row["cluster_id"], row["survivor_id"])
        assert sorted(place(one) for one in same) == sorted(
            one["place"] for one in table(made.first, "ledger") if one["cluster_id"] == row["cluster_id"]
        )
    assert tables.row("ledger", RowPlace(0, 10**9)) is None
    assert tables.row("ledger", RowPlace(10**6, 0)) is None


def test_what_came_and_went_is_what_the_ledgers_say(made):
    connection = connect([made.first, made.second])
    one, other = (ReleaseTables(connection, folder) for folder in (made.first, made.second))
    kept, why = [], []
    for folder in (made.first, made.second):
        rows = table(folder, "ledger")
        kept.append({row["id"] for row in rows if row["kept"]})
        why.append({row["id"]: row["reason"] for row in rows})
    truth = collections.Counter((False, why[1].get(doc_id, "")) for doc_id in kept[0] - kept[1])
    truth += collections.Counter((True, why[0].get(doc_id, "")) for doc_id in kept[1] - kept[0])
    found = came_and_went(one, other, 60)
    assert {(False, ""), (True, "near_duplicate")} <= set(truth)
    assert {(row["came"], row["reason"]): row["documents"] for row in found} == truth


# What is refused.


def test_a_manifest_that_names_a_file_outside_is_refused(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made.first, copy)
    manifest = json.loads((copy / "MANIFEST.json").read_text())
    for path in ("ledger/../../x.parquet", "/etc/ledger/x.parquet", "s3://other/ledger/x.parquet"):
        manifest["files"][0]["path"] = path
        (copy / "MANIFEST.json").write_text(json.dumps(manifest))
        with pytest.raises(ReleaseError, match="no file of a release"):
            ReleaseTables(connect([str(copy)]), str(copy))


def test_duckdb_reads_the_releases_and_nothing_else(made):
    one = ReleaseTables(connect([made.first]), made.first)
    one.files["ledger"] = ReleaseTables(connect([made.second]), made.second).files["ledger"]
    with pytest.raises(ReleaseError, match="Permission"):
        one.find(Question())
    for sql in ("set memory_limit = '9GB'", "install httpfs", "copy (select 1) to '/tmp/x.csv'", "attach '/tmp/x.db'"):
        with pytest.raises(duckdb.Error):
            one.connection.execute(sql)


def test_what_takes_too_long_is_stopped_with_a_line(tables):
    with pytest.raises(SlowError, match="took more than 0 s and was stopped; ask for less"):
        ask(tables.connection, "r", "select sum(sin(a.range)) from range(100000000000) a", [], 0.3)
    assert tables.counts(Question()).total > 0, "the others are asked on"


def test_a_damaged_file_is_a_line(made, tmp_path):
    shutil.copytree(made.first, tmp_path / "r")
    path = sorted((tmp_path / "r/ledger").glob("*"))[1]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ReleaseError, match=r"gone or damaged .*restore the release"):
        ReleaseTables(connect([str(tmp_path)]), str(tmp_path / "r")).find(Question())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["s3://bucket/r"], "of this machine; copy it"), (["nowhere"], "give the folder of"), ([], "Missing argument")],
)
def test_what_is_no_release_of_this_machine_is_refused(arguments, said):
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert said in (str(result.exception) + result.output)


def test_without_duckdb_the_way_to_it_is_named(monkeypatch, made):
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(ReleaseError, match=r"pip install 'lowbackground\[serve\]'"):
        Browsing([made.first])


@pytest.mark.parametrize(
    "address",
    ["/documents", "/documents?release=9", "/documents?release=-1", "/documents?release=0&table=x", "/document?release=0",
     "/documents?release=0&low=x", "/documents?release=0&high=1e999", "/documents?release=0&low=nan", "/compare?first=0",
     "/documents?release=0&column=raw&words=x", "/documents?release=0&after=x", "/documents?release=0&after=0.0~0.5",
     "/documents?release=0&after=0.0&order=score", "/document?release=0&at=99999.0", "/document?release=0&id='",
     "/documents?release=2&table=release"],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_a_sentence(browsing_all, address):
    answer, body = page(browsing_all, address)
    assert answer.status == 400
    assert 'role="alert"' in body


@pytest.mark.parametrize("path", ["/x", "/../MANIFEST.json", "/documents/", "/review/", "/api/state"])
def test_there_is_nothing_else(browsing_all, path):
    assert page(browsing_all, path)[0].status == 404
    assert browsing_all.answer(PageRequest("/documents", {"release": "0"}, b"{}")).status == 404


# Pages.


def test_every_page_of_the_ledger_is_reached_by_its_links(browsing_all, made):
    seen, address = [], "/documents?release=0"
    for _ in range(50):
        _, body = page(browsing_all, address)
        seen += links(body, "/document?")
        following = re.search('href="([^"]*)" rel="next"', body)
        if following is None:
            break
        address = html.unescape(following[1])
    assert len(set(seen)) == len(seen) == len(table(made.first, "ledger"))


def test_a_click_on_a_value_leads_to_as_many_rows_as_it_says(browsing_all):
    _, body = page(browsing_all, "/documents?release=0&table=ledger")
    offered = re.findall(r'<li><a href="([^"]*)">([^<]*)</a><span>([0-9,]+)</span></li>', body)
    assert {"Kept", "Near duplicate", "evil", "unknown", "&lt;i&gt;xx"} <= {words for _, words, _ in offered}
    for address, words, n in offered:
        _, there = page(browsing_all, html.unescape(address))
        assert re.search(rf"<p role=\"status\">{n} documents? of ", there) or f">{n} document" in there, words


def test_a_document_shows_its_text_and_what_stands_for_it(browsing_all, made):
    rows = table(made.first, "ledger")
    kept = next(row for row in rows if row["kept"] and row["input_id"].startswith("<b>"))
    _, body = page(browsing_all, f"/document?release=0&id={kept['id']}")
    assert "&lt;script&gt;document.title = &#39;stolen&#39;&lt;/script&gt;" in body
    assert "\\u202egnirts" in body
    assert "Show the whole text" in body
    whole = page(browsing_all, links(body, "/document?")[-1])[1]
    assert len(whole) > len(body)
    again = next(row for row in rows if row["reason"] == "exact_duplicate" and row["input_id"].startswith("again"))
    at = ".".join(map(str, again["place"]))
    _, body = page(browsing_all, f"/document?release=0&at={at}")
    for words in ("The two texts", "Survivor, kept", "From the input", "From the release", "(this one)", "Its cluster"):
        assert words in body, words
    assert f"lowbackground explain &#39;{made.first}&#39; {again['id']}" in body


def test_what_was_withdrawn_shows_no_text_and_an_input_that_is_gone_is_said(browsing_all, made, monkeypatch):
    one = browsing_all.tables(0)
    row = next(row for row in table(made.first, "ledger") if row["reason"] == "near_duplicate")
    row["place"] = RowPlace(*row["place"])
    shown = shown_texts(one, 0, row | {"reason": "withdrawn"}, None, False, True)
    assert (shown["text"], shown["pair"]) == (None, None)
    assert "withdrawn" in shown["text_from"]
    shown = shown_texts(one, 0, row | {"path": "gone.jsonl"}, None, False, False)
    assert [words for words, _ in shown["ways"]] == ["Read it from the input"]
    shown = shown_texts(one, 0, row | {"path": "gone.jsonl"}, None, False, True)
    assert "cannot be shown: no such file: gone.jsonl" in shown["text_from"]


def test_a_release_that_goes_or_changes_while_it_is_served(made, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(made.first, tmp_path / name)
    both = Browsing([str(tmp_path / "a"), str(tmp_path / "b")])
    before = page(both, "/documents?release=0")[1]
    shutil.rmtree(tmp_path / "a")
    answer, body = page(both, "/documents?release=0")
    assert answer.status == 409
    assert "no release there" in body
    assert page(both, "/documents?release=1")[0].status == 200
    assert "no release there" in page(both, "/")[1]
    shutil.copytree(made.second, tmp_path / "a")
    assert page(both, "/documents?release=0")[1] != before


def test_the_rejection_is_shown_as_one(browsing_all, made):
    _, body = page(browsing_all, "/")
    assert "Rejected: because" in body
    assert "Would be kept" in body
    total = len(table(made.third, "ledger"))
    assert f">{total} documents" in page(browsing_all, "/documents?release=2")[1]


def test_no_page_has_a_script_and_its_policy_lets_none_run(browsing_all):
    for address in ("/", "/documents?release=0", "/documents?release=0&table=quarantine", "/document?release=0&at=0.0",
                    "/compare?first=0&second=1", "/documents?release=5"):  # fmt: skip
        answer, body = page(browsing_all, address)
        assert "<script" not in body
        assert not OBEYED.search(body.replace("\n", "")), address
        assert "script-src" not in answer.policy
        assert "default-src 'none'" in answer.policy
        assert "unsafe" not in answer.policy
    for address in ("/diff?first=0&second=1", "/report?release=0"):
        assert "script-src 'sha256-" in page(browsing_all, address)[0].policy
    report = page(browsing_all, "/report?release=0")[0].policy
    assert report.startswith("sandbox allow-scripts; ")
    assert "allow-same-origin" not in report


# The server.


@pytest.fixture
def server(made, tmp_path) -> Iterator[LocalServer]:
    sample = draw(write_release(tmp_path / "to label", documents(12)), Design(n=6, active=0), None)
    pq.write_table(sample, tmp_path / "sample.parquet")
    session = Session(read_sample(str(tmp_path / "sample.parquet")), str(tmp_path / "labels.jsonl"), lambda _: None)
    about = {"n_items": len(session.items), "sample": "sample.parquet", "labels": "labels.jsonl"}
    one = LocalServer(Browsing([made.first, made.second, made.third], session, about).answer, lambda _: None)
    threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()
    session.file.close()


def test_nobody_is_shown_anything_without_a_token_or_under_another_name(server):
    def ask(path: str, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.content = answer.read()
        connection.close()
        return answer

    for path in (
        "/",
        "/documents?release=0",
        "/document?release=0&at=0.0",
        "/report?release=0",
        "/review/",
        "/compare",
    ):
        answer = ask(path)
        assert answer.status == 403
        assert b"<html" not in answer.content
    entered = ask(f"/?token={server.token}")
    cookie = entered.headers["Set-Cookie"].split(";")[0]
    assert "HttpOnly; SameSite=Strict" in entered.headers["Set-Cookie"]
    answer = ask("/documents?release=0", Cookie=cookie)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert ask("/documents?release=0", Cookie=cookie, Host="evil.example").status == 421


PAGES = ["/", "/documents?release=0", "/documents?release=0&table=release&column=text&words=script",
         "/documents?release=0&table=quarantine", "/document?release=0&at=0.1", "/compare?first=0&second=1"]  # fmt: skip
SCREENS = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 360, "height": 740}}}


@pytest.mark.slow
@pytest.mark.parametrize("screen", list(SCREENS))
def test_in_a_browser_hostile_text_is_text_and_everybody_can_read_it(browser, server, screen):
    browsing = pytest.importorskip("browsing")
    own = f"http://127.0.0.1:{server.port}/"
    opened = browsing.opened(browser, server.address, own, **SCREENS[screen])
    assert opened.url == own, "the token is gone from the address"
    for path in PAGES:
        opened.goto(own.rstrip("/") + path)
        assert "stolen" not in opened.title()
        assert opened.locator("main img, main script").count() == 0
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert browsing.barriers(opened) == [], path
    assert opened.wrong == []
    opened.context.close()


def test_in_a_browser_one_goes_from_a_release_to_a_document_and_labels_by_keyboard(browser, server):
    browsing = pytest.importorskip("browsing")
    own = f"http://127.0.0.1:{server.port}/"
    opened = browsing.opened(browser, server.address, own)
    opened.get_by_role("link", name="Ledger: every document").first.focus()
    opened.keyboard.press("Enter")
    opened.get_by_label("Words").fill("again")
    opened.get_by_label("stand in").select_option("input_id")
    opened.keyboard.press("Enter")
    opened.get_by_role("button", name="Show").click()
    opened.get_by_role("link", name="Count them").click()
    browsing.api.expect(opened.get_by_role("status")).to_contain_text("12 documents of")
    opened.get_by_role("link", name="Exact duplicate").click()
    opened.locator("tbody a").first.click()
    browsing.api.expect(opened.get_by_role("heading", name="The two texts")).to_be_visible()
    assert opened.locator("mark").count() >= 0
    opened.get_by_role("link", name="All releases").click()
    opened.get_by_role("link", name="Report").first.click()
    browsing.api.expect(opened.get_by_role("heading", level=1)).to_have_text("first")
    opened.get_by_label("Search this page").fill("evil")
    opened.goto(own)
    opened.get_by_role("link", name="Label 6 documents").click()
    opened.locator("#name").fill("Ada")
    opened.keyboard.press("Enter")
    browsing.api.expect(opened.locator("#size")).not_to_be_empty()
    opened.keyboard.press("h")
    browsing.api.expect(opened.locator("#count")).to_have_text("1 of 6 labelled")
    assert opened.wrong == []
    opened.context.close()
