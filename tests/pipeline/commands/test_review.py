"""The labelling server, spoken to as an attacker would: who gets in, what is sent, what is written."""

import functools
import http.client
import json
import pathlib
import re
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from small_release import documents, write_release

from pipeline.commands.review import Session, load_page, review_site
from pipeline.reading.local_server import MAX_BODY, LocalServer
from transforms.audit.draw import Design, draw
from transforms.audit.gold import read_gold
from transforms.origin.label_file import LabelError, read_labels


@pytest.fixture
def sample(tmp_path: pathlib.Path):
    lines = [{"text": f"gold text {i}", "label": ("human", "synthetic")[i % 2]} for i in range(20)]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, lines)))
    gold = read_gold(str(tmp_path / "gold.jsonl"))
    return draw(write_release(tmp_path / "release", documents(100)), Design(n=20, active=10), gold)


class Visitor:
    """A client of one server, with or without its cookie."""

    def __init__(self, server: LocalServer) -> None:
        self.server, self.port, self.cookie = server, server.port, ""

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None):
        given = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if body is not None:
            given |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
            given["Content-Length"] = str(len(body))
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.content = answer.read()
        connection.close()
        return answer

    def enter(self) -> "Visitor":
        answer = self.ask("GET", self.server.address.split(str(self.port), 1)[1])
        assert answer.status == 303
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        return self

    def label(self, item: str, label: str | None, **more: object):
        asked = {"item": item, "label": label, "reviewer": "ada", "seconds": 1.0, "note": ""} | more
        return self.ask("POST", "/api/label", json.dumps(asked).encode())


@pytest.fixture
def server(sample, tmp_path: pathlib.Path) -> Iterator[LocalServer]:
    said: list[str] = []
    session = Session(sample, str(tmp_path / "labels.jsonl"), said.append)
    one = LocalServer(functools.partial(review_site, session), said.append)
    one.said, one.session = said, session
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    one.session.file.close()


@pytest.fixture
def visitor(server: LocalServer) -> Visitor:
    return Visitor(server).enter()


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.address.startswith(f"http://127.0.0.1:{server.port}/?token=")


def test_a_token_works_once_and_becomes_a_cookie(server):
    path = "/?token=" + server.token
    first = Visitor(server).ask("GET", path)
    assert first.status == 303
    assert first.headers["Location"] == "/"
    assert re.fullmatch(
        rf"lowbackground_{server.port}=\S+; HttpOnly; SameSite=Strict; Path=/",
        first.headers["Set-Cookie"],
    )
    again = Visitor(server).ask("GET", path)
    assert again.status == 403
    assert b"this address was used" in again.content
    assert server.address in server.said[-1]  # for the next reviewer
    assert Visitor(server).enter().ask("GET", "/").status == 200


@pytest.mark.parametrize("path", ["/", "/api/state?reviewer=ada", "/api/item/x", "/?token=wrong", "/?token=%ff"])
def test_nobody_gets_in_without(server, path):
    answer = Visitor(server).ask("GET", path)
    assert answer.status == 403
    assert b"<html" not in answer.content


def test_a_cookie_that_was_made_up_or_is_anothers_is_none(server):
    visitor = Visitor(server)
    for cookie in (
        f"{server.cookie}=guess",
        f"other={server.token}",
        f"{server.cookie}=",
        ";;=;",
    ):
        visitor.cookie = cookie
        assert visitor.ask("GET", "/").status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", None]
)
def test_another_host_name_is_refused(visitor, host):
    """DNS rebinding: a name of the attacker's that resolves to this machine."""
    host = host and host.format(port=visitor.port)
    for method, path, body in (("GET", "/", None), ("POST", "/api/label", b"{}")):
        assert visitor.ask(method, path, body, Host=host).status == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Cookie": None}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Length": None}, 413),
        ({"Content-Length": "-5"}, 413),
        ({"Content-Length": str(MAX_BODY + 1)}, 413),
        ({"Transfer-Encoding": "chunked"}, 413),
    ],
)
def test_another_sites_post_is_refused_and_leaves_nothing(visitor, server, headers, status):
    item = server.session.items[0]
    body = json.dumps({"item": item, "label": "human", "reviewer": "ada", "seconds": 1}).encode()
    assert visitor.ask("POST", "/api/label", body, **headers).status == status
    assert pathlib.Path(server.session.file.path).read_bytes() == b""


def test_the_page_lets_nothing_run_but_its_own_script(visitor):
    answer = visitor.ask("GET", "/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    page = answer.content.decode()
    assert page == load_page().body.decode()
    for danger in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://", "onclick="):
        assert danger not in page


def test_what_reviewers_must_not_see_is_never_sent(visitor, server, sample):
    state = json.loads(visitor.ask("GET", "/api/state?reviewer=ada").content)
    assert [set(one) for one in state["items"]] == [{"item", "label"}] * sample.num_rows
    for row in sample.to_pylist():
        answer = json.loads(visitor.ask("GET", f"/api/item/{row['item']}").content)
        assert answer == {"item": row["item"], "text": row["text"]}


def test_an_answer_is_written_and_taken_up_again(visitor, server, sample, tmp_path):
    rows = sample.to_pylist()
    assert visitor.label(rows[0]["item"], "human", note="reads like Ada").status == 200
    assert visitor.label(rows[1]["item"], "synthetic").status == 200
    assert visitor.label(rows[1]["item"], "undetermined", reviewer="bob").status == 200
    assert visitor.label(rows[0]["item"], "synthetic").status == 200
    assert visitor.label(rows[1]["item"], None).status == 200  # taken back
    lines = [json.loads(line) for line in pathlib.Path(server.session.file.path).read_text().splitlines()]
    assert [line["label"] for line in lines] == ["human", "synthetic", "undetermined", "synthetic", None]
    assert lines[0]["content_hash"] == rows[0]["content_hash"]
    assert lines[0]["note"] == "reads like Ada"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", lines[0]["at"])
    assert set(lines[0]) == {"content_hash", "item", "label", "reviewer", "seconds", "at", "note"}
    later = tmp_path / "later.jsonl"
    later.write_bytes(pathlib.Path(server.session.file.path).read_bytes())
    for session in (server.session, Session(sample, str(later), print)):
        given = {one["item"]: one["label"] for one in session.state("ada")["items"]}
        assert (given[rows[0]["item"]], given[rows[1]["item"]]) == ("synthetic", None)
        assert {one["label"] for one in session.state("bob")["items"]} == {None, "undetermined"}
        assert {one["label"] for one in session.state("cyd")["items"]} == {None}


@pytest.mark.parametrize(
    "wrong",
    [{"item": "none"}, {"item": 3}, {"label": "robot"}, {"label": 1}, {"reviewer": ""}, {"reviewer": "a\u202eb"},
     {"reviewer": "x" * 65}, {"seconds": -1}, {"seconds": "long"}, {"seconds": 1e99}, {"note": "x" * 2001}, {"note": 3}],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(visitor, server, wrong):
    answer = (
        visitor.label(server.session.items[0], **({"label": "human"} | wrong))
        if "item" not in wrong
        else visitor.label(wrong["item"], "human")
    )
    assert answer.status == 400
    assert pathlib.Path(server.session.file.path).read_bytes() == b""


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"item": "\xff"}', b"[" * 5000])
def test_a_body_that_is_no_answer_is_refused(visitor, body):
    assert visitor.ask("POST", "/api/label", body).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/../labels.jsonl", 404), ("GET", "/api/item/../../x", 404), ("GET", "/api/state", 404),
     ("GET", "/api/state?reviewer=%00", 404), ("GET", "//evil.example/", 404), ("POST", "/", 404), ("PUT", "/", 501),
     ("OPTIONS", "/api/label", 501)],
)  # fmt: skip
def test_there_is_nothing_else(visitor, method, path, status):
    assert visitor.ask(method, path, b"{}" if method == "POST" else None).status == status


def test_a_client_that_says_nothing_does_not_keep_others_waiting(visitor, server):
    silent = socket.create_connection(("127.0.0.1", server.port))
    silent.sendall(b"POST /api/label HTTP/1.1\r\nContent-Length: 100\r\n\r\nab")
    assert visitor.ask("GET", "/").status == 200
    silent.close()


def test_a_browser_that_goes_away_leaves_no_trace(visitor, server, capfd):
    for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"GET"):
        gone = socket.create_connection(("127.0.0.1", server.port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
        gone.sendall(sent)
        gone.close()
    assert visitor.ask("GET", "/").status == 200
    server.session.texts = None  # a mistake of ours
    with pytest.raises(http.client.HTTPException):
        visitor.ask("GET", f"/api/item/{server.session.items[0]}")
    assert "could not be answered: TypeError" in server.said[-1]
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_is_said_and_not_taken_for_an_answer(visitor, server, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server.session.file, "append", full)
    assert visitor.label(server.session.items[0], "human").status == 507
    assert "could not be written" in server.said[-1]
    assert server.session.state("ada")["items"][0]["label"] is None


def test_many_answers_at_once_are_each_a_line(server):
    visitors = [Visitor(server).enter() for _ in range(6)]

    def work(number: int) -> None:
        for item in server.session.items[:15]:
            assert visitors[number].label(item, "human", reviewer=f"r{number}").status == 200

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    labels = read_labels([server.session.file.path])
    assert labels.warnings == ()
    assert {name: int(votes.sum()) for name, votes in labels.votes.items()} == {f"r{n}": 15 for n in range(6)}


def test_a_file_that_is_no_labels_file_is_refused(sample, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(LabelError, match="not JSON"):
        Session(sample, str(path), print)
