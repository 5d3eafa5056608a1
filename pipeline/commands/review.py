"""`review serve`: a page of this machine on which people label a sample.

It listens on 127.0.0.1 only. A one-time token in the printed address becomes a cookie; the Host header is checked, so that
no name that resolves to this machine gets in, and what changes something must be JSON from the page's own origin. The page
is sent an item's name and text and nothing else: not its stream, not its score, not what is known of it.
"""

import base64
import dataclasses
import hashlib
import hmac
import http
import http.server
import importlib.resources
import re
import secrets
import sys
import threading
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from expectations.paths import is_local
from expectations.wording import plural
from pipeline.commands.audit import read_sample
from pipeline.reading.outputs import check_output
from pipeline.recipe import RecipeError
from transforms.origin.label_file import WORDS, LabelError, LabelFile, is_name, parse_label, read_labels

HOST = "127.0.0.1"
MAX_BODY = 16_384
IDLE_SECONDS = 30.0


class Session:
    """A sample being labelled: its items, who said what so far, and who may say more. Used by many threads."""

    def __init__(self, sample: pa.Table, labels: str, say: Callable[[str], None]) -> None:
        """Open the labels file and take up where it ends.

        Raises:
          LabelError: it is no labels file.
        """
        self.texts = sample["text"]
        self.items: list[str] = sample["item"].to_pylist()
        self.contents: list[str] = sample["content_hash"].to_pylist()
        self.number = {item: place for place, item in enumerate(self.items)}
        self.file = LabelFile(labels)
        self.say = say
        self.port = 0
        self.lock = threading.Lock()
        self.cookies: set[str] = set()
        self.token = secrets.token_urlsafe(32)
        self.given: dict[str, dict[str, str]] = {}  # reviewer -> content -> label
        if self.file.cut:
            say(f"note: {self.file.cut}")
        known = read_labels([labels])
        words = {code: word for word, code in WORDS.items()}
        hashes = [content.hex() for content in known.content_hash.view("V16").tolist()]
        for reviewer, votes in known.votes.items():
            self.given[reviewer] = {hashes[at]: words[code] for at, code in np.argwhere(votes > 0).tolist()}

    @property
    def cookie(self) -> str:
        """Cookies do not know ports: two servers must not take each other's."""
        return f"lowbackground_review_{self.port}"

    @property
    def address(self) -> str:
        """Where a reviewer starts."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def enter(self, token: str) -> str | None:
        """A new cookie for a token, once; the next reviewer gets another address."""
        with self.lock:
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                return None
            self.token = secrets.token_urlsafe(32)
            cookie = secrets.token_urlsafe(32)
            self.cookies.add(cookie)
        self.say(f"opened. For another reviewer or browser: {self.address}")
        return cookie

    def knows(self, cookie: str) -> bool:
        """Whether a cookie was given out."""
        with self.lock:
            return any(hmac.compare_digest(cookie.encode(), known.encode()) for known in self.cookies)

    def state(self, reviewer: str) -> dict[str, Any]:
        """Every item's name, and what this reviewer said of it."""
        with self.lock:
            given = self.given.get(reviewer, {})
            return {"items": [{"item": item, "label": given.get(content)} for item, content in self._pairs()]}

    def _pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.items, self.contents, strict=True))

    def label(self, asked: dict[str, Any]) -> None:
        """Write an answer down.

        Raises:
          LabelError: it is none.
        """
        item = asked.get("item")
        if not isinstance(item, str) or item not in self.number:
            raise LabelError("there is no such item")
        row: dict[str, Any] = {name: asked.get(name) for name in ("item", "label", "reviewer", "seconds")} | {
            "content_hash": self.contents[self.number[item]],
            "note": asked.get("note", ""),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        parse_label(orjson.dumps(row))
        with self.lock:
            self.file.append(row)
            given = self.given.setdefault(row["reviewer"], {})
            if row["label"] is None:
                given.pop(row["content_hash"], None)
            else:
                given[row["content_hash"]] = row["label"]


@dataclasses.dataclass(frozen=True)
class Page:
    """The page, and the policy that lets nothing run but its own script."""

    body: bytes
    policy: str


def load_page() -> Page:
    """Our one static file."""
    body = (importlib.resources.files("pipeline.commands") / "review.html").read_bytes()
    script, style = (
        base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
        for found in (re.search(rb"<%b>(.*?)</%b>" % (tag, tag), body, re.DOTALL) for tag in (b"script", b"style"))
        if found
    )
    policy = (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(body, policy)


class Server(http.server.ThreadingHTTPServer):
    """One session on one port of this machine."""

    daemon_threads = True

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session, self.page = session, load_page()
        super().__init__((HOST, port), Handler)
        session.port = self.server_address[1]
        self.hosts = {f"{name}:{session.port}" for name in (HOST, "localhost")}

    def handle_error(self, *_: object) -> None:
        """A browser that went away is nobody's business; anything else is one line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.session.say(f"error: a request could not be answered: {type(error).__name__}: {error}")


class Handler(http.server.BaseHTTPRequestHandler):
    """Requests of the page, and nobody else's."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lowbackground", ""
    timeout = IDLE_SECONDS

    def log_message(self, *_: object) -> None:
        """The terminal is for people."""

    def do_GET(self) -> None:
        """The page, the state of a reviewer, or an item."""
        if not self._from_here():
            return
        url = urllib.parse.urlsplit(self.path)
        query = {name: values[-1] for name, values in urllib.parse.parse_qs(url.query).items()}
        if url.path == "/" and "token" in query:
            self._enter(query["token"])
        elif not self._known():
            self._refuse(http.HTTPStatus.FORBIDDEN, "open the address that `review serve` printed; each works once")
        elif url.path == "/":
            self._send(http.HTTPStatus.OK, self.server.page.body, "text/html; charset=utf-8")
        elif url.path == "/api/state" and is_name(query.get("reviewer")):
            self._json(self.server.session.state(query["reviewer"]))
        elif url.path.startswith("/api/item/"):
            self._item(url.path.removeprefix("/api/item/"))
        else:
            self._refuse(http.HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        """An answer."""
        # Read in any case, so that a refused request's body is not taken for the next request.
        body = self._body()
        if body is None or not self._from_here():
            return
        own = {f"http://{host}" for host in self.server.hosts}
        if self.headers.get("Origin") not in own or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            self._refuse(http.HTTPStatus.FORBIDDEN, "not from this page")
        elif not self._known():
            self._refuse(http.HTTPStatus.FORBIDDEN, "open the address that `review serve` printed; each works once")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not JSON")
        elif self.path != "/api/label":
            self._refuse(http.HTTPStatus.NOT_FOUND, "there is nothing here")
        else:
            self._label(body)

    def _body(self) -> bytes | None:
        """The request's body; None if it was refused, and the connection with it."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._refuse(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes, and say how many")
            return None
        return self.rfile.read(int(length))

    def _from_here(self) -> bool:
        if self.headers.get("Host") in self.server.hosts:
            return True
        self.close_connection = True
        self._refuse(http.HTTPStatus.MISDIRECTED_REQUEST, "this is not the machine that you meant")
        return False

    def _known(self) -> bool:
        pairs = (part.strip().partition("=") for part in self.headers.get("Cookie", "").split(";"))
        return any(name == self.server.session.cookie and self.server.session.knows(value) for name, _, value in pairs)

    def _enter(self, token: str) -> None:
        session = self.server.session
        cookie = session.enter(token)
        if cookie is None and not self._known():
            self._refuse(
                http.HTTPStatus.FORBIDDEN, "this address was used, or is wrong; take the last one that was printed"
            )
            return
        self.send_response(http.HTTPStatus.SEE_OTHER)
        if cookie is not None:
            self.send_header("Set-Cookie", f"{session.cookie}={cookie}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Location", "/")  # the token leaves the address bar
        self._end(0)

    def _item(self, item: str) -> None:
        place = self.server.session.number.get(item)
        if place is None:
            self._refuse(http.HTTPStatus.NOT_FOUND, "there is no such item")
        else:
            self._json({"item": item, "text": self.server.session.texts[place].as_py()})

    def _label(self, body: bytes) -> None:
        try:
            asked = orjson.loads(body)
            if not isinstance(asked, dict):
                raise LabelError("not an object")
            self.server.session.label(asked)
        except (orjson.JSONDecodeError, LabelError) as error:
            self._refuse(http.HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self.server.session.say(f"error: a label could not be written: {error}")
            self._refuse(http.HTTPStatus.INSUFFICIENT_STORAGE, "the label could not be written; see the terminal")
        else:
            self._json({"kept": True})

    def _json(self, value: object) -> None:
        self._send(http.HTTPStatus.OK, orjson.dumps(value), "application/json")

    def _refuse(self, status: http.HTTPStatus, why: str) -> None:
        self._send(status, f"{why}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: http.HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self._end(len(body))
        self.wfile.write(body)

    def _end(self, length: int) -> None:
        for name, value in (
            ("Content-Length", str(length)),
            ("Content-Security-Policy", self.server.page.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def serve(sample: str, labels: str, port: int, say: Callable[[str], None]) -> None:
    """Serve a sample until somebody stops it.

    Raises:
      RecipeError: the labels' file must not be written (`outputs.check_output`).
      AuditError, LabelError: the sample or the labels cannot be used, or the port is taken.
    """
    if not is_local(labels):  # a store has no way to add a line
        raise RecipeError(
            f"--labels {labels}: must be a file of this machine; copy it to the store when people are done"
        )
    check_output(labels, [sample], force=True, option="--labels")  # what is there is added to
    table = read_sample(sample)
    session = Session(table, labels, say)
    try:
        server = Server(session, port)
    except OSError as error:
        raise LabelError(f"port {port}: {error.strerror}; give another --port") from None
    try:
        say(f"{plural(table.num_rows, 'item')} of {sample}; answers go to {labels}. Ctrl-C stops, and nothing is lost.")
        say(f"open this address in a browser (it works once): {session.address}")
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        say("stopped")
    finally:
        server.server_close()
        session.file.close()
