"""Pages of this machine for the people at it: who gets in, and what every answer carries.

It listens on 127.0.0.1 only. A one-time token in the printed address becomes a cookie that no other site's request takes along;
the Host header is checked, so that no name that resolves to this machine gets in, and what changes something must be JSON
from a page of its own. What is shown is up to a site: a function from what is asked to an answer.
"""

import dataclasses
import hmac
import http
import http.server
import re
import secrets
import sys
import threading
import urllib.parse
from collections.abc import Callable, Mapping

from expectations.errors import UserError

HOST = "127.0.0.1"
MAX_BODY = 16_384
IDLE_SECONDS = 30.0
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
ASK_AGAIN = "open the address that the command printed; each works once"


class PortError(UserError):
    """The port is somebody else's. One line."""


@dataclasses.dataclass(frozen=True)
class PageRequest:
    """A request of somebody who was let in.

    Attributes:
      path: of the address, from "/".
      query: of the address; a name that is given twice has its last value.
      body: of a POST, which is JSON by its type; None: it is a GET.
    """

    path: str
    query: Mapping[str, str]
    body: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes:
      body: what is sent.
      kind: its media type.
      policy: what the page may do; by default nothing.
      status: of the answer.
    """

    body: bytes
    kind: str = "text/html; charset=utf-8"
    policy: str = NOTHING
    status: http.HTTPStatus = http.HTTPStatus.OK


Site = Callable[[PageRequest], Answer]


def refusal(status: http.HTTPStatus, why: str) -> Answer:
    """A sentence instead of a page."""
    return Answer(f"{why}\n".encode(), "text/plain; charset=utf-8", status=status)


class LocalServer(http.server.ThreadingHTTPServer):
    """One site on one port of this machine, and who was let in. Used by many threads."""

    daemon_threads = True

    def __init__(self, site: Site, say: Callable[[str], None], port: int = 0) -> None:
        """Take a port.

        Args:
          site: what answers; `PageRequest` has passed every check.
          say: what tells people at the terminal a line.
          port: 0: any that is free.

        Raises:
          PortError: it is taken.
        """
        self.site, self.say = site, say
        self.lock = threading.Lock()
        self.cookies: set[str] = set()
        self.token = secrets.token_urlsafe(32)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise PortError(f"port {port}: {error.strerror}; give another --port") from None
        self.port: int = self.server_address[1]
        self.hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}

    @property
    def cookie(self) -> str:
        """Cookies do not know ports: two servers must not take each other's."""
        return f"lowbackground_{self.port}"

    @property
    def address(self) -> str:
        """Where somebody starts."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def enter(self, token: str) -> str | None:
        """A new cookie for a token, once; the next browser gets another address."""
        with self.lock:
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                return None
            self.token = secrets.token_urlsafe(32)
            cookie = secrets.token_urlsafe(32)
            self.cookies.add(cookie)
        self.say(f"opened. For another person or browser: {self.address}")
        return cookie

    def knows(self, cookie: str) -> bool:
        """Whether a cookie was given out."""
        with self.lock:
            return any(hmac.compare_digest(cookie.encode(), known.encode()) for known in self.cookies)

    def handle_error(self, *_: object) -> None:
        """A browser that went away is nobody's business; anything else is one line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.say(f"error: a request could not be answered: {type(error).__name__}: {error}")

    def run(self) -> None:
        """Serve until somebody stops it."""
        try:
            self.say(f"open this address in a browser (it works once): {self.address}")
            self.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            self.say("stopped")
        finally:
            self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Requests of people who were let in, and nobody else's."""

    server: LocalServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lowbackground", ""
    timeout = IDLE_SECONDS

    def log_message(self, *_: object) -> None:
        """The terminal is for people."""

    def do_GET(self) -> None:
        """Something to see."""
        if not self._from_here():
            return
        url = urllib.parse.urlsplit(self.path)
        pairs = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        query = {name: values[-1] for name, values in pairs.items()}
        if url.path == "/" and "token" in query:
            self._enter(query["token"])
        elif not self._known():
            self._refuse(http.HTTPStatus.FORBIDDEN, ASK_AGAIN)
        else:
            self._send(self.server.site(PageRequest(url.path, query)))

    def do_POST(self) -> None:
        """Something to write down."""
        # Read in any case, so that a refused request's body is not taken for the next request.
        body = self._body()
        if body is None or not self._from_here():
            return
        own = {f"http://{host}" for host in self.server.hosts}
        if self.headers.get("Origin") not in own or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            self._refuse(http.HTTPStatus.FORBIDDEN, "not from this page")
        elif not self._known():
            self._refuse(http.HTTPStatus.FORBIDDEN, ASK_AGAIN)
        elif self.headers.get_content_type() != "application/json":
            self._refuse(http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not JSON")
        else:
            self._send(self.server.site(PageRequest(self.path, {}, body)))

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
        return any(name == self.server.cookie and self.server.knows(value) for name, _, value in pairs)

    def _enter(self, token: str) -> None:
        cookie = self.server.enter(token)
        if cookie is None and not self._known():
            self._refuse(
                http.HTTPStatus.FORBIDDEN, "this address was used, or is wrong; take the last one that was printed"
            )
            return
        self.send_response(http.HTTPStatus.SEE_OTHER)
        if cookie is not None:
            self.send_header("Set-Cookie", f"{self.server.cookie}={cookie}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Location", "/")  # the token leaves the address bar
        self._end(0, NOTHING)

    def _refuse(self, status: http.HTTPStatus, why: str) -> None:
        self._send(refusal(status, why))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self._end(len(answer.body), answer.policy)
        self.wfile.write(answer.body)

    def _end(self, length: int, policy: str) -> None:
        for name, value in (
            ("Content-Length", str(length)),
            ("Content-Security-Policy", policy),
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
