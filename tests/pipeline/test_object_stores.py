"""Runs from and into object stores, real servers on loopback: the same bytes as on a disk, and never a wrong release."""

import io
import json
import posixpath
import pydoc_data.topics
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stores
from rich.console import Console

from expectations import storage
from expectations.storage import StorageError
from pipeline import api, runner
from pipeline.assembly import Publication, done_path
from pipeline.commands.clean import clean_output
from pipeline.places import STAGING, STORE
from pipeline.recipe import RecipeError, load_recipe
from pipeline.swap import releasing, store_in_use, swap
from transforms.engine import files, folders
from transforms.engine.folders import HeldError
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore

QUIET = Console(file=io.StringIO())


def corpus() -> list[dict]:
    texts = [text[:900] for _, text in sorted(pydoc_data.topics.topics.items())]
    origins = ("synthetic", "human", "human")
    return [{"id": str(i), "text": text, "language": "en", "origin": origins[i % 3]} for i, text in enumerate(texts)]


def put_inputs(top: str, documents: int, release: str = "small") -> str:
    """A corpus, and a recipe beside it whose paths are relative to it. Returns the recipe's path."""
    for number in range(3):
        lines = [json.dumps(record) for record in corpus()[:documents][number::3]]
        files.write(f"{top}/corpus/part-{number}.jsonl", "\n".join(lines).encode())
    files.write(f"{top}/corpus/broken.jsonl", b'{"id": "none"}\n')
    suite = [{"expect": "metric_to_be_between", "metric": "documents", "stage": "after", "min": 1}]
    files.write(f"{top}/suite.yaml", json.dumps({"expectations": suite}).encode())
    recipe = {
        "release": release,
        "sources": [{"name": "topics", "path": "corpus/*.jsonl"}],
        "ratio": {"max_synthetic_share": 0.4},
        "ingest": {"max_bad_fraction": 0.5, "split_bytes": 1 << 16},
        "expectations": "suite.yaml",
        "output": {"path": "out", "shard_bytes": 1 << 14},
    }
    files.write(f"{top}/recipe.yaml", json.dumps(recipe).encode())
    return f"{top}/recipe.yaml"


def run(path: str, replace: bool = False, **changes: object) -> api.Release:
    return api.run(api.load(path, changes), posixpath.dirname(path), replace=replace)


def names(folder: str) -> dict[str, int]:
    return {one.path.removeprefix(f"{folder}/"): one.size for one in storage.below(folder)}


def counted(folder: str) -> dict[str, int]:
    """What the manifest of a release counts, and what is there beside it."""
    manifest = json.loads(files.read(f"{folder}/MANIFEST.json"))
    known = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    there = names(folder)
    return known | {name: there[name] for name in ("MANIFEST.json", folders.MARK)}


def rows(folder: str) -> int:
    """Documents in whatever a reader of the shards finds."""
    shards = [name for name in names(folder) if name.startswith("data/")]
    return sum(pq.read_table(pa.BufferReader(files.read(f"{folder}/{name}"))).num_rows for name in shards)


@pytest.mark.slow
def test_a_run_is_the_same_bytes_and_replacing_it_leaves_nothing_of_it(store, tmp_path):
    top = store.bucket()
    recipe = put_inputs(top, 90)
    release = run(recipe)
    assert release.folder == f"{top}/out/small"
    assert release.verdict.passed
    local = run(recipe, **{"output.path": str(tmp_path / "out")})
    there = {str(path.relative_to(local.folder)) for path in (tmp_path / "out" / "small").rglob("*") if path.is_file()}
    assert names(release.folder) == counted(release.folder)
    assert set(names(release.folder)) == there
    for name in there - {"MANIFEST.json", "recipe.yaml", "report/index.html"}:  # which say where it was put
        assert files.read(f"{release.folder}/{name}") == files.read(f"{local.folder}/{name}"), name
    assert set(folders.names_in(f"{top}/out")) == {"small", STORE}, "nothing is left of the attempt"
    for out, knows in (
        (f"{top}/out", False),
        (str(tmp_path / "out"), True),
    ):  # to read shards there costs more than the input
        assert any(".places." in name for name in folders.names_in(f"{out}/{STORE}")) == knows
    assert release.documents().count_rows() == rows(release.folder) == len(release.documents().to_table())
    assert release.quarantine().num_rows == 1
    with pytest.raises(RecipeError, match=r"small exists; choose another name .* or say --replace"):
        run(recipe)

    assert sum(name.startswith("data/") for name in there) > 1
    put_inputs(top, 30)  # which make fewer shards
    fewer = run(recipe, replace=True)
    manifest = json.loads(files.read(f"{fewer.folder}/MANIFEST.json"))
    assert names(fewer.folder) == counted(fewer.folder)
    assert rows(fewer.folder) == manifest["counts"]["kept"] < local.documents().count_rows()

    refused = run(recipe, replace=True, **{"expectations": {"expectations": [
        {"expect": "metric_to_be_between", "metric": "documents", "stage": "after", "min": 10_000}]}})  # fmt: skip
    assert refused.folder == f"{top}/out/small.rejected"
    assert names(fewer.folder) == counted(fewer.folder), "the release of before stays"
    assert not any(name.startswith("data/") for name in names(refused.folder))


def test_what_is_read_is_not_written_over(gs_store, monkeypatch):
    stores.use(gs_store, monkeypatch)
    top = gs_store.bucket()
    recipe = put_inputs(top, 6)
    files.write(f"{top}/out/small/data/train.jsonl", b'{"text": "x"}')
    with pytest.raises(RecipeError, match=r"out/small/data lies in .*out/small, which this run writes or replaces"):
        runner.prepare(api.load(recipe, {"sources": [{"name": "own", "path": "out/small/data"}]}), top)
    with pytest.raises(RecipeError, match=r"out lies in what source all reads"):
        runner.prepare(api.load(recipe, {"sources": [{"name": "all", "path": "."}]}), top)


# --- Publishing, cut off ---------------------------------------------------------------------------------------------


class Cut(BaseException):
    """The process ends here."""


def publication(out: str, attempt: int) -> Publication:
    staging = f"{out}/{STAGING}/small-{attempt:032x}"
    return Publication(out, "small", staging, "", "", "{}", Corpus((), (), SignalStore(f"{out}/{STORE}", ())))


def publish(out: str, built: dict[str, bytes], attempt: int, replace: bool, begun=lambda: None) -> None:
    """What `runner.run` does, with a graph that leaves `built`."""
    job = publication(out, attempt)
    with releasing(job, replace), store_in_use(out):
        for name, data in built.items():
            files.write(f"{job.staging}/built-1/{name}", data)
        files.write(done_path(job), f"{job.staging}/built-1".encode())
        begun()
        swap(job, replace)


def content(folder: str) -> dict[str, bytes]:
    return {name: files.read(f"{folder}/{name}") for name in names(folder)}


@pytest.fixture
def old_and_new(tmp_path):
    made = {}
    for what in ("old", "new"):
        folder = str(tmp_path / what)
        folders.mark(folder, folders.Mark("release", "small"))
        built = {"verdict.json": what.encode(), f"ledger/ledger-00000-of-0000{len(what)}.parquet": what.encode()}
        for number in range(2 if what == "old" else 1):
            built[f"data/train-0000{number}-of-0000{2 if what == 'old' else 1}.parquet"] = f"{what} {number}".encode()
        manifest = {
            "format": "lowbackground.release/1",
            "release": "small",
            "files": [{"path": name} for name in built],
        }
        built["MANIFEST.json"] = json.dumps(manifest).encode()
        made[what] = built | {folders.MARK: files.read(f"{folder}/{folders.MARK}")}
    return made["old"], made["new"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "fail"])
def test_publishing_cut_off_anywhere_is_the_old_release_or_none_and_then_the_new_one(
    gs_store, monkeypatch, old_and_new, kind
):
    stores.use(gs_store, monkeypatch)
    old, new = old_and_new
    writes = ("put", "copy", "delete", "delete_below")
    for at in range(("kill", "fail").index(kind) * 2, 40, 5):
        out = f"{gs_store.bucket()}/out"
        for name, data in old.items():
            files.write(f"{out}/small/{name}", data)
        with monkeypatch.context() as patch:
            left = [at]

            def cut(name, patch=patch, left=left):
                real = getattr(storage, name)

                def one(*words):
                    left[0] -= 1
                    if left[0] < 0:
                        raise Cut if kind == "kill" else StorageError("gone")
                    real(*words)

                patch.setattr(storage, name, one)

            try:
                publish(out, new, 2, replace=True, begun=lambda cut=cut: [cut(name) for name in writes])
                done = True
            except (Cut, StorageError):
                done = False
        found = content(f"{out}/small")
        if "MANIFEST.json" in found:
            assert found in (old, new), "where there is a manifest, there is what it counts and nothing else"
        monkeypatch.setattr(folders, "LEASE_LASTS", -1.0)  # time goes by
        clean_output(out, signals=False)
        monkeypatch.undo()
        stores.use(gs_store, monkeypatch)
        assert content(f"{out}/small") in (old, new)
        assert set(folders.names_in(out)) <= {"small", STORE}
        if done:
            break
    assert content(f"{out}/small") == new
    assert 10 < at < 39


def test_of_two_runs_one_is_refused_and_a_lease_outlives_its_owner_for_some_minutes(store, monkeypatch, old_and_new):
    out = f"{store.bucket()}/out"
    old, new = old_and_new

    def second() -> None:
        with pytest.raises(HeldError, match=r"release small in .* is in use by process \d+ on .*; wait"):
            publish(out, new, 2, replace=True)

    publish(out, old, 1, replace=False, begun=second)
    assert content(f"{out}/small") == old
    dead = f"{out}/{STAGING}/small.lease/alone-{'0' * 32}"
    files.write(dead, b'{"host": "gone", "pid": 7, "since": "today"}')
    with pytest.raises(HeldError, match=r"process 7 on gone since today.* 5 minutes after it"):
        publish(out, new, 3, replace=True)
    monkeypatch.setattr(folders, "LEASE_LASTS", 1.0)
    time.sleep(2.2)
    publish(out, new, 4, replace=True)
    assert content(f"{out}/small") == new


def test_a_run_that_was_taken_for_dead_publishes_nothing(gs_store, monkeypatch, old_and_new):
    stores.use(gs_store, monkeypatch)
    out = f"{gs_store.bucket()}/out"
    old, new = old_and_new
    publish(out, old, 1, replace=False)
    with pytest.raises(HeldError, match="was lost"):
        publish(out, new, 2, replace=True, begun=lambda: storage.delete_below(f"{out}/{STAGING}/small.lease"))
    assert content(f"{out}/small") == old


def test_what_is_no_file_of_the_release_is_not_replaced(gs_store, monkeypatch, old_and_new):
    stores.use(gs_store, monkeypatch)
    out = f"{gs_store.bucket()}/out"
    old, new = old_and_new
    publish(out, old, 1, replace=False)
    files.write(f"{out}/small/data/notes.txt", b"mine")
    with pytest.raises(RecipeError, match=r"data/notes\.txt is no file of it"):
        publish(out, new, 2, replace=True)
    assert content(f"{out}/small") == old | {"data/notes.txt": b"mine"}


# --- A whole run, harmed ---------------------------------------------------------------------------------------------

HARMS = ("503", "reset", "cut", "lost", "half")


@pytest.mark.slow
def test_a_run_whose_requests_fail_ends_right_and_says_no_secret(s3_store, monkeypatch, caplog):
    stores.use(s3_store, monkeypatch)
    top = s3_store.bucket()
    recipe = put_inputs(top, 45)

    def rule(number: int, method: str, path: str) -> str | None:
        return HARMS[number // 7 % len(HARMS)] if number % 7 == 0 else None

    with stores.harmed(s3_store, rule, monkeypatch) as proxy:
        harmed = run(recipe, release="harmed")
    assert set(proxy.done) == set(HARMS)
    assert names(harmed.folder) == counted(harmed.folder)
    assert rows(harmed.folder) == harmed.documents().count_rows()
    said = caplog.text.encode() + b"".join(content(top).values())
    assert not any(secret.encode() in said for secret in stores.KEYS.values())


def test_a_store_that_goes_away_ends_the_run_and_what_it_left_is_cleaned(s3_store, monkeypatch):
    stores.use(s3_store, monkeypatch)
    for name, value in {"PATIENCE": 1.0, "AGAIN": 0.5, "STALL": 1}.items():
        monkeypatch.setattr(storage, name, value)
    top = s3_store.bucket()
    recipe = load_recipe(put_inputs(top, 45))
    with stores.harmed(s3_store, lambda number, *_: "503" if number > 60 else None, monkeypatch):
        job = runner.prepare(recipe, top)
        with pytest.raises(
            runner.RunError, match=r"s3://bucket-\S+: the store at http://127.0.0.1:\d+ does not answer"
        ):
            runner.run(recipe, job, QUIET)
    assert not names(f"{top}/out/small")
    monkeypatch.setattr(folders, "LEASE_LASTS", -1.0)
    assert "deleted" in clean_output(f"{top}/out", signals=True)
    assert not names(f"{top}/out")
