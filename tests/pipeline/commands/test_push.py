"""`push` against a hub that speaks the hub's own protocol over HTTP, and keeps what it is sent."""

import base64
import hashlib
import http.server
import json
import pathlib
import pydoc_data.topics
import re
import shutil
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from expectations.wording import plural
from pipeline import runner
from pipeline.commands.push import PushError, push_release, pushed_text
from pipeline.commands.verify import verify_release
from pipeline.reading.pushed import pushed_path, read_pushed
from pipeline.recipe import RecipeError, load_recipe

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
TOKEN = "hf_a_token_that_nobody_may_see"
HUBS_OWN = {".gitattributes": b"*.parquet filter=lfs\n"}


class Hub(http.server.ThreadingHTTPServer):
    """Repositories of data sets: every revision with its files, by path; large files go another way, as on the real one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.revisions: list[tuple[str, dict[str, bytes]]] = []
        self.large: dict[str, bytes] = {}
        self.private: list[bool] = []
        self.loses = ""

    def files(self, revision: str) -> dict[str, bytes]:
        return self.revisions[-1][1] if revision == "main" else dict(self.revisions)[revision]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, what: object, code: int = 200) -> None:
        data = json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_PUT(self) -> None:
        data = self.body()
        self.server.large[hashlib.sha256(data).hexdigest()] = data
        self.answer({})

    def do_GET(self) -> None:
        revision = re.fullmatch(r"/api/datasets/org/name/tree/(\w+)", self.path.split("?")[0])
        if self.headers["Authorization"] != f"Bearer {TOKEN}" or revision is None:
            self.answer({"error": "Repository not found"}, 401 if revision is None else 404)
            return
        found = []
        for path, data in self.server.files(revision[1]).items():
            one = {"type": "file", "path": path, "size": len(data), "oid": "0" * 40}
            if path.endswith(".parquet"):
                one["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            found.append(one)
        self.answer([{"type": "directory", "path": "data", "oid": "0" * 40}, *found])

    def do_POST(self) -> None:
        data = self.body()
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer({"error": f"Invalid token {self.headers['Authorization']}"}, 401)
            return
        if self.path == "/api/repos/create":
            self.server.private.append(
                json.loads(data).get("private") or json.loads(data).get("visibility") == "private"
            )
            if not self.server.revisions:
                self.server.revisions.append(("0" * 40, dict(HUBS_OWN)))
            self.answer({"url": f"{self.server.url}/datasets/org/name", "name": "org/name"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path.startswith("/api/datasets/org/name/preupload/"):
            mode = {True: "lfs", False: "regular"}
            self.answer({"files": [
                {"path": one["path"], "uploadMode": mode[one["path"].endswith(".parquet")], "shouldIgnore": False}
                for one in json.loads(data)["files"]
            ]})  # fmt: skip
        elif self.path == "/datasets/org/name.git/info/lfs/objects/batch":
            objects = [
                one | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}
                for one in json.loads(data)["objects"]
            ]
            self.answer({"transfer": "basic", "objects": objects})
        else:
            assert self.path.startswith("/api/datasets/org/name/commit/main"), self.path
            self.commit(data)

    def commit(self, data: bytes) -> None:
        files = dict(self.server.files("main"))
        for line in map(json.loads, data.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        files.pop(self.server.loses, None)
        oid = hashlib.sha1(data).hexdigest()
        self.server.revisions.append((oid, files))
        self.answer({"commitUrl": f"{self.server.url}/datasets/org/name/commit/{oid}", "commitOid": oid})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # another protocol, of another server
        yield server
        server.shutdown()


def release_of(folder: pathlib.Path, name: str, texts: list[str], signatures: bool) -> str:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    recipe = {
        "release": name,
        "sources": [{"name": "topics", "path": f"{name}.jsonl", "origin": "human"}],
        "output": {"path": "out", "signatures": signatures},
    }
    (folder / f"{name}.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(folder / f"{name}.yaml"))
    return runner.run(loaded, runner.prepare(loaded, str(folder)), QUIET).folder


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("push")
    texts = [text[:1500] for _, text in sorted(pydoc_data.topics.topics.items())][:20]
    return release_of(folder, "v1", texts, True), release_of(folder, "v2", texts[5:], False)


def published(release: str) -> dict[str, bytes]:
    top = pathlib.Path(release)
    manifest = json.loads((top / "MANIFEST.json").read_text())
    return {name: (top / name).read_bytes() for name in ["MANIFEST.json", *(one["path"] for one in manifest["files"])]}


def test_each_release_is_a_revision_and_nothing_of_it_is_missing(
    releases: tuple[str, str], hub: Hub, tmp_path: pathlib.Path
) -> None:
    first = push_release(releases[0], "hf://datasets/org/name", QUIET)
    second = push_release(releases[1], "hf://datasets/org/name", QUIET)
    for pushed, release in zip((first, second), releases, strict=True):
        there = hub.files(pushed.revision)
        assert there == {**HUBS_OWN, **published(release)}
        assert "README.md" in there
        assert (pushed.files, pushed.bytes) == (len(published(release)), sum(map(len, published(release).values())))
        back = tmp_path / pushed.revision
        for path, data in there.items():  # what the hub put there is what a download has beside it
            (back / path).parent.mkdir(parents=True, exist_ok=True)
            (back / path).write_bytes(data)
        said, good = verify_release(str(back), QUIET)
        assert good, said
        [noted] = read_pushed(release)
        assert (noted["repository"], noted["revision"]) == ("org/name", pushed.revision)
        assert noted["manifest_sha256"] == hashlib.sha256(published(release)["MANIFEST.json"]).hexdigest()
    assert second.gone > 0
    assert f"not in it any more: {plural(second.gone, 'file')} of the revision before" in pushed_text(
        second, releases[1]
    )
    assert hub.private == [True, True]


def test_a_hub_that_loses_a_file_is_found_out(releases: tuple[str, str], hub: Hub) -> None:
    hub.loses = "verdict.json"
    with pytest.raises(PushError, match=r"has verdict\.json with None bytes"):
        push_release(releases[0], "hf://datasets/org/name", QUIET)


def test_the_token_is_never_shown(releases: tuple[str, str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another_one")
    with pytest.raises(PushError) as error:
        push_release(releases[0], "hf://datasets/org/name", QUIET)
    assert "hf_another_one" not in str(error.value)
    assert "401" in str(error.value)
    assert hub.revisions == []


def test_what_cannot_be_pushed(
    releases: tuple[str, str], hub: Hub, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in ("org/name", "hf://org/name", "hf://datasets/name", "hf://datasets/a/b/c"):
        with pytest.raises(RecipeError, match="give hf://datasets/org/name"):
            push_release(releases[0], target, QUIET)
    damaged = pathlib.Path(shutil.copytree(releases[0], tmp_path / "damaged"))
    next((damaged / "data").iterdir()).write_bytes(b"torn")
    with pytest.raises(RecipeError, match="restore the release first"):
        push_release(str(damaged), "hf://datasets/org/name", QUIET)
    notes = pathlib.Path(pushed_path(str(damaged)))
    shutil.rmtree(damaged)
    shutil.copytree(releases[0], damaged)
    for theirs in (b"my own notes\n", b'{"format": "another"}\n'):
        notes.write_bytes(theirs)
        with pytest.raises(RecipeError, match=r"damaged\.pushed\.jsonl: .*; move it away"):
            push_release(str(damaged), "hf://datasets/org/name", QUIET)
        assert notes.read_bytes() == theirs
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RecipeError, match="set the environment variable HF_TOKEN"):
        push_release(releases[0], "hf://datasets/org/name", QUIET)
    assert hub.revisions == []
