"""Real object stores on loopback for tests: moto's S3, an emulator of Google's, and a proxy before them that does them harm."""

import contextlib
import http.client
import http.server
import logging
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

SILENCE = 180  # seconds, after which nobody waits any more
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTSONLY00000", "AWS_SECRET_ACCESS_KEY": "a+secret/that-nobody-may-see"}


class Store:
    """A server, and a bucket of its own for each test.

    Attributes:
      scheme: s3 or gs.
      port: where it listens.
      environment: what a process needs to use it.
    """

    def __init__(self, scheme: str, port: int) -> None:
        self.scheme, self.port = scheme, port
        self.environment = self.at(port)

    def at(self, port: int) -> dict[str, str]:
        if self.scheme == "gs":
            return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1", **KEYS}

    def bucket(self) -> str:
        """The address of a new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        how = (
            ("PUT", f"/{name}", b"")
            if self.scheme == "s3"
            else ("POST", "/storage/v1/b", f'{{"name": "{name}"}}'.encode())
        )
        assert self.ask(*how)[0] == 200
        return f"{self.scheme}://{name}"

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def s3_server() -> Iterator[Store]:
    server = pytest.importorskip("moto.server", reason="moto is not installed (pip install 'lowbackground[dev]')")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    try:
        yield Store("s3", running.get_host_and_port()[1])
    finally:
        running.stop()


@contextlib.contextmanager
def gs_server() -> Iterator[Store]:
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    running = emulator.create_server("127.0.0.1", 0, in_memory=True)
    with pytest.MonkeyPatch.context() as patch:  # one request at a time would wait for a reader that waits for another
        patch.setattr("http.server.HTTPServer", http.server.ThreadingHTTPServer)
        running.start()
    while running._api._httpd is None:
        time.sleep(0.01)
    try:
        yield Store("gs", running._api._httpd.server_port)
    finally:
        running.stop()


# What may befall a request: by its number, its method and its path. None: it passes.
Rule = Callable[[int, str, str], str | None]


class Harm(http.server.ThreadingHTTPServer):
    """A proxy that passes requests on to a store, or does to them what a rule says.

    - `503`, `403`: answers so, and asks nobody;
    - `reset`: cuts the connection before the request is passed on; `lost`: after it was done;
    - `cut`: half of the answer's body, and no more;
    - `half`: passes on half of the request's body as if it were all;
    - `slow`: half a second late;
    - `silent`: never answers.
    """

    daemon_threads = True

    def __init__(self, store: Store, rule: Rule) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.store, self.rule, self.asked = store, rule, 0
        self.done: list[str] = []  # of what was done to requests
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        pass


class _Passing(http.server.BaseHTTPRequestHandler):
    server: Harm
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _pass(self) -> None:
        body = self._body()
        with self.server.lock:
            self.server.asked += 1
            what = self.server.rule(self.server.asked, self.command, self.path)
            if what:
                self.server.done.append(what)
        if what in ("503", "403"):
            self._answer(int(what), [], b"")
        elif what == "reset":
            self._cut()
        elif what == "silent":
            time.sleep(SILENCE)
            self._cut()
        else:
            if what == "slow":
                time.sleep(0.5)
            self._answer(*self._ask(body[: len(body) // 2] if what == "half" else body), harm=what)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return found

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.store.port)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("content-length", "expect", "connection", "transfer-encoding"):
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, code: int, headers: list[tuple[str, str]], body: bytes, harm: str | None = None) -> None:
        if harm == "lost":
            self._cut()
            return
        self.send_response_only(code)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of a HEAD it is that of the object
            elif name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if harm == "cut" else body)
        if harm == "cut":
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _pass


@contextlib.contextmanager
def harmed(store: Store, rule: Rule, patch: pytest.MonkeyPatch) -> Iterator[Harm]:
    """This process, and what it starts, sees a store through a proxy for as long as the block lasts."""
    proxy = Harm(store, rule)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with patch.context() as patched:
        for name, value in store.at(proxy.server_port).items():
            patched.setenv(name, value)
        try:
            yield proxy
        finally:
            proxy.shutdown()
            proxy.server_close()


def use(store: Store, patch: Any) -> None:
    """Set what this process needs to use a store."""
    for name, value in store.environment.items():
        patch.setenv(name, value)
