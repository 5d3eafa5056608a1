"""`hf://` as input, against a hub on loopback that speaks the hub's own protocol: read at one commit, which the manifest says."""

import http.server
import io
import json
import re
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from expectations import storage
from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.ingest.sources import InputError

QUIET = Console(file=io.StringIO())
OLD, NEW = "a" * 40, "b" * 40
TOKEN = "hf_a_token_that_nobody_may_see"


def lines(word: str) -> bytes:
    return b"".join(
        json.dumps({"id": f"{word}{i}", "text": f"A page about {word} number {i}, written by hand. " * 9}).encode()
        + b"\n"
        for i in range(20)
    )


class Hub(http.server.ThreadingHTTPServer):
    """A data set `org/name` with two commits; `main` is the later one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits = {
            OLD: {"README.md": b"# old", "data/one.jsonl": lines("apples")},
            NEW: {"README.md": b"# new", "data/one.jsonl": lines("pears"), "data/deep/two.jsonl": lines("plums")},
        }
        self.main = NEW
        self.asked: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, what: object, code: int = 200, headers: dict[str, str] | None = None) -> None:
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = self.server.main if revision == "main" else revision
        return (commit, self.server.commits[commit]) if commit in self.server.commits else None

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.split("?")[0]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Access to this data set is restricted"}, 401, {"X-Error-Code": "GatedRepo"})
        elif found := re.fullmatch(r"/api/datasets/org/name(?:/revision/(\w+))?", path):
            known = self.files(found[1] or "main")
            if known is None:
                self.answer({"error": "Revision not found"}, 404, {"X-Error-Code": "RevisionNotFound"})
            else:
                self.answer({"id": "org/name", "sha": known[0], "siblings": []})
        elif found := re.fullmatch(r"/api/datasets/org/name/tree/(\w+)/?(.*)", path):
            self.tree(*found.groups())
        elif found := re.fullmatch(r"/datasets/org/name/resolve/(\w+)/(.*)", path):
            self.file(*found.groups())
        else:
            self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def tree(self, revision: str, below: str) -> None:
        known = self.files(revision)
        assert known is not None
        inside = [name for name in known[1] if name.startswith(f"{below}/" if below else "")]
        if "recursive=True" not in self.path and "recursive=true" not in self.path:
            depth = below.count("/") + 1 if below else 0
            folders = {"/".join(name.split("/")[: depth + 1]) for name in inside if name.count("/") > depth}
            inside = [name for name in inside if name.count("/") == depth]
        else:
            folders = {name.rpartition("/")[0] for name in inside} - {"", below}
        found = [{"type": "directory", "path": name, "oid": "0" * 40} for name in sorted(folders)]
        found += [{"type": "file", "path": name, "size": len(known[1][name]), "oid": "1" * 40} for name in inside]
        self.answer(found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        found = re.fullmatch(r"/api/datasets/org/name/paths-info/(\w+)", self.path)
        assert found, self.path
        known = self.files(found[1])
        asked = json.loads(body)["paths"] if body.startswith("{") else re.findall(r"paths=([^&]*)", body)
        assert known is not None
        self.answer([
            {"type": "file", "path": name, "size": len(known[1][name]), "oid": "1" * 40}
            if name in known[1] else {"type": "directory", "path": name, "oid": "0" * 40}
            for name in asked
            if name in known[1] or any(other.startswith(f"{name}/") for other in known[1])
        ])  # fmt: skip

    def file(self, revision: str, name: str) -> None:
        known = self.files(revision)
        assert known is not None
        data, headers = known[1][name], {"ETag": '"x"', "X-Repo-Commit": known[0], "Accept-Ranges": "bytes"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            self.answer(data[int(found[1]) : int(found[2]) + 1], 206, headers)
        else:
            self.answer(data, 200, headers)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import HfFileSystem

    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", at)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    HfFileSystem.clear_instance_cache()
    yield server
    server.shutdown()
    server.server_close()


def recipe_of(folder, path: str):
    recipe = {
        "release": "hub",
        "sources": [{"name": "hub", "path": path, "origin": "human"}],
        "expectations": {"expectations": [
            {"expect": "metric_to_be_between", "metric": "documents", "stage": "after", "min": 1}]},
        "output": {"path": "out"},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return load_recipe(str(folder / "recipe.yaml"))


def test_a_data_set_is_read_at_the_commit_of_the_moment_which_the_manifest_says(hub, tmp_path):
    recipe = recipe_of(tmp_path, "hf://datasets/org/name/data")
    job = runner.prepare(recipe, str(tmp_path))
    hub.main = OLD  # whoever reads `main` from here on reads other documents
    result = runner.run(recipe, job, QUIET)
    manifest = json.loads((tmp_path / "out/hub/MANIFEST.json").read_text())
    assert manifest["counts"]["documents_in"] == 40
    assert manifest["inputs"][0]["revisions"] == [f"hf://datasets/org/name@{NEW}"]
    assert result.exit_code == 0
    assert not any("/resolve/main/" in asked for asked in hub.asked)
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("hf://datasets/org/name", 2),  # a README is none
        (f"hf://datasets/org/name@{OLD}", 1),
        ("hf://datasets/org/name/data/one.jsonl", 1),
        ("hf://datasets/org/name/data/*.jsonl", 1),
        ("hf://datasets/org/name/**.jsonl", 2),
    ],
)
def test_folders_files_patterns_and_revisions_are_found(hub, tmp_path, path, files):
    job = runner.prepare(recipe_of(tmp_path, path), str(tmp_path))
    found = [piece.path for split in job.splits for piece in split.pieces]
    assert len(found) == files
    assert all(f"@{OLD if OLD in path else NEW}/data/" in one for one in found)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("hf://datasets/org/other", "org/other"),
        ("hf://datasets/org/name@nowhere", "nowhere"),
        ("hf://org/model", "hf://datasets/ORGANISATION/NAME"),
        (
            "https://huggingface.co/datasets/org/name/resolve/main/data/one.jsonl",
            "hf://datasets/org/name@main/data/one.jsonl",
        ),
    ],
)
def test_what_is_not_there_is_said_in_one_line(hub, tmp_path, path, said):
    with pytest.raises(InputError, match=said) as told:
        runner.prepare(recipe_of(tmp_path, path), str(tmp_path))
    assert "\n" not in str(told.value)


def test_no_right_to_it_says_what_to_set(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(InputError, match=r"no right to it .*HF_TOKEN") as told:
        runner.prepare(recipe_of(tmp_path, "hf://datasets/org/name"), str(tmp_path))
    assert "hf_another" not in str(told.value)


def test_nothing_is_written_to_the_hub(hub):
    with pytest.raises(storage.StorageError, match="lowbackground push"):
        storage.delete("hf://datasets/org/name/x")
