"""Where a run writes: never into what it reads, never over what is not its own, and never two at a time."""

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import assembly, runner
from pipeline.assembly import Publication, done_path
from pipeline.commands.clean import clean_output
from pipeline.commands.verify import verify_release
from pipeline.recipe import RecipeError, load_recipe
from pipeline.swap import releasing, store_in_use, swap
from transforms.engine import folders
from transforms.engine.files import below
from transforms.engine.folders import FolderError, HeldError, Mark
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore

QUIET = Console(quiet=True)
WORDS = "the quick brown fox jumps over the lazy dog and runs back to its den before the rain begins to fall again "


def write_input(folder: pathlib.Path, name: str = "data") -> None:
    (folder / name).mkdir()
    lines = [json.dumps({"id": f"d{n}", "text": f"{n} {n * 7} {WORDS} {n * 13}", "origin": "human"}) for n in range(30)]
    lines += [lines[3], json.dumps({"id": "copy", "text": json.loads(lines[5])["text"]}), "not json"]
    (folder / name / "part.jsonl").write_text("\n".join(lines))


def prepare(folder: pathlib.Path, *changes: str, **recipe: object):
    size = {"expect": "metric_to_be_between", "metric": "documents", "min": 1}
    data = {
        "release": "small",
        "sources": [{"name": "data", "path": "data"}],
        "output": {"path": "out"},
        "expectations": {"expectations": [size]},
        **recipe,
    }
    (folder / "recipe.yaml").write_text(json.dumps(data))
    loaded = load_recipe(str(folder / "recipe.yaml"), changes)
    return loaded, runner.prepare(loaded, str(folder))


def run(folder: pathlib.Path, *changes: str, replace: bool = False, **recipe: object) -> runner.Result:
    loaded, job = prepare(folder, *changes, **recipe)
    return runner.run(loaded, job, QUIET, replace)


def everything(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"release": "data", "output": {"path": "."}}, r"source data: .*/data lies in .*data, which this run writes"),
        (
            {"release": "v1", "output": {"path": "."}, "sources": [{"name": "a", "path": "v1.rejected"}]},
            "which this run writes or replaces; choose another release name",
        ),
        ({"output": {"path": "data/out"}}, "lies in what source data reads .* so a later run would read this release"),
        ({"sources": [{"name": "a", "path": "."}]}, "lies in what source a reads"),
        ({"sources": [{"name": "a", "path": "**/*.parquet"}, {"name": "b", "path": "data"}]}, "what source a reads"),
        ({"sources": [{"name": "a", "path": "*/small/data/*.parquet"}]}, "what source a reads"),
        ({"sources": [{"name": "a", "path": "link"}]}, "link lies in .*out/small, which"),
        ({"sources": [{"name": "a", "path": "data/../out/small/data"}]}, "out/small/data lies in .*out/small, which"),
        ({"sources": [{"name": "a", "path": "linked.parquet"}]}, "linked.parquet lies in .*out/small, which"),
        ({"expectations": "out/small/suite.yaml"}, "expectations: .*suite.yaml lies in"),
        ({"dedup": {"against": ["out/small"]}}, "dedup.against: .*out/small lies in .*out/small, which"),
        ({"reference": "small"}, "reference: .*out/small lies in"),
        ({"release": "x.rejected"}, "is where a rejection of 'x' goes"),
        ({"release": "x" * 200}, "longer than 128 characters"),
    ],
)  # fmt: skip
def test_outputs_that_are_inputs_are_refused_before_any_work(
    published: pathlib.Path, tmp_path: pathlib.Path, recipe: dict, said: str
) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    write_input(tmp_path, "v1.rejected")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "small" / "data")
    (tmp_path / "linked.parquet").symlink_to(tmp_path / "out" / "small" / "data" / "train-00000-of-00001.parquet")
    before = everything(tmp_path)
    with pytest.raises(RecipeError, match=said):
        prepare(tmp_path, **recipe)
    (tmp_path / "recipe.yaml").unlink()
    before.pop("recipe.yaml", None)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "recipe",
    [
        {"output": {"path": "."}},
        {"sources": [{"name": "a", "path": "data/*.jsonl"}], "output": {"path": "data/releases"}},
        {"sources": [{"name": "a", "path": "*/*.jsonl"}]},
        {"release": "next", "dedup": {"against": ["out/small"]}},
        {"release": "next", "sources": [{"name": "a", "path": "out/small/data"}]},
    ],
)
def test_what_only_lies_near_is_allowed(published: pathlib.Path, tmp_path: pathlib.Path, recipe: dict) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    prepare(tmp_path, **recipe)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with input and a release `out/small`."""
    folder = tmp_path_factory.mktemp("published")
    write_input(folder)
    assert run(folder).exit_code == runner.PASSED
    return folder


def publication(out: pathlib.Path, attempt: int = 1, release: str = "small") -> Publication:
    staging = f"{out}/.staging/{release}-{attempt:032x}"
    return Publication(str(out), release, staging, "", "", "{}", Corpus((), (), SignalStore(f"{out}/.signals", ())))


def swap_in(out: pathlib.Path, built: pathlib.Path, replace: bool) -> None:
    job = publication(out)
    with releasing(job, replace):
        shutil.copytree(built, f"{job.staging}/built-1")
        pathlib.Path(done_path(job)).write_text(f"{job.staging}/built-1")
        swap(job, replace)


def test_replacing_gives_the_same_bytes_and_leaves_nothing(published: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    swap_in(tmp_path / "out", published / "out" / "small", replace=True)
    assert everything(tmp_path / "out" / "small") == everything(published / "out" / "small")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"small", ".signals"}


def their_folder(out: pathlib.Path) -> None:
    shutil.rmtree(out / "small")
    (out / "small" / "data").mkdir(parents=True)
    (out / "small" / "data" / "train-00000-of-00001.parquet").write_text("theirs")


def their_rejection(out: pathlib.Path) -> None:
    (out / "small.rejected").mkdir()
    (out / "small.rejected" / "thesis.txt").write_text("theirs")


def in_a_rejection(name: str) -> Callable[[pathlib.Path], None]:
    """What only a release has was not written into a rejection by us."""

    def harm(out: pathlib.Path) -> None:
        folders.mark(str(out / "small.rejected"), Mark("rejection", "small"))
        (out / "small.rejected" / name).parent.mkdir(exist_ok=True)
        (out / "small.rejected" / name).write_text("theirs")

    harm.__name__ = f"rejection_{name}"
    return harm


def note(out: pathlib.Path) -> None:
    (out / "small" / "note.txt").write_text("theirs")


def other_name(out: pathlib.Path) -> None:
    folders.mark(str(out / "small"), Mark("release", "another"))


def link(out: pathlib.Path) -> None:
    (out / "small").rename(out.parent / "disk")
    (out / "small").symlink_to(out.parent / "disk")


def link_inside(out: pathlib.Path) -> None:
    (out / "small" / "data").rename(out.parent / "disk")
    (out / "small" / "data").symlink_to(out.parent / "disk")


def a_file(out: pathlib.Path) -> None:
    shutil.rmtree(out / "small")
    (out / "small").write_text("theirs")


def their_store(out: pathlib.Path) -> None:
    shutil.rmtree(out / ".signals")
    (out / ".signals").mkdir()
    (out / ".signals" / "theirs").write_text("theirs")


FOREIGN = {
    their_folder: "it does not carry lowbackground's mark; move it away",
    their_rejection: "small.rejected is there, where a rejection would go: it does not carry",
    in_a_rejection("README.md"): "small.rejected/README.md is no file of it",
    in_a_rejection("MANIFEST.json"): "small.rejected/MANIFEST.json is no file of it",
    in_a_rejection("data/train-00000-of-00001.parquet"): "small.rejected/data/train-.* is no file of it",
    note: "small/note.txt is no file of it",
    other_name: "its mark says that it is the release another",
    link: "it is a link to .*disk, and nothing is deleted across a link",
    link_inside: "small/data is no file of it",
    a_file: "it is a file",
    their_store: "is not lowbackground's: it holds 'theirs'",
}


@pytest.mark.parametrize("harm", FOREIGN, ids=lambda harm: harm.__name__)
def test_what_is_not_ours_is_never_replaced(published: pathlib.Path, tmp_path: pathlib.Path, harm) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "out"
    harm(out)
    before = everything(tmp_path)
    with pytest.raises((RecipeError, FolderError), match=FOREIGN[harm]):  # noqa: SIM117
        with releasing(publication(out), True), store_in_use(str(out)):
            pytest.fail("it began")
    clean_output(str(out), signals=False)
    assert everything(tmp_path) == before


def test_a_release_is_refused_at_the_start_and_at_the_swap(published: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "out"
    with pytest.raises(RecipeError, match=r"exists; choose another name .* or say --replace"):
        swap_in(out, published / "out" / "small", replace=False)
    moved = shutil.move(out / "small", tmp_path / "kept")
    job = publication(out)
    with pytest.raises(RecipeError, match="exists; choose another name"), releasing(job, False):  # noqa: PT012
        shutil.copytree(published / "out" / "small", f"{job.staging}/built-1")
        pathlib.Path(done_path(job)).write_text("built-1")
        shutil.copytree(moved, out / "small")  # somebody else was faster
        swap(job, False)
    assert everything(out / "small") == everything(tmp_path / "kept")


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_torn_manifest_is_no_release(published: pathlib.Path, tmp_path: pathlib.Path, content: str) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "out"
    (out / "small" / "MANIFEST.json").write_text(content)
    with pytest.raises(RecipeError, match=r"is a damaged release \(MANIFEST.json cannot be read\)"):
        swap_in(out, published / "out" / "small", replace=False)
    swap_in(out, published / "out" / "small", replace=True)
    assert everything(out / "small") == everything(published / "out" / "small")


def test_a_release_of_an_earlier_version_is_known_by_its_manifest(
    published: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "out"
    (out / "small" / folders.MARK).unlink()
    (out / ".signals" / folders.MARK).unlink()
    (out / "small" / "README.md").write_text("A card that people went on writing.")
    swap_in(out, published / "out" / "small", replace=True)
    assert everything(out / "small") == everything(published / "out" / "small")
    assert clean_output(str(out), signals=True) == f"deleted {out}/.signals"


def test_two_runs_of_one_release_do_not_meet_and_of_two_do(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    with releasing(publication(out, 1), False):
        said = rf"release small in {out} is in use by process {os.getpid()} on .* since"
        with pytest.raises(HeldError, match=said), releasing(publication(out, 2), False):
            pass
        with releasing(publication(out, 3, "other"), False), store_in_use(str(out)):
            told = clean_output(str(out), signals=True)
            assert "is in use by process" in told
            assert "deleted" not in told
            assert len(list((out / ".staging").glob("*-*"))) == 2
    assert {path.name for path in out.iterdir()} == {".signals"}


def test_clean_leaves_what_only_looks_like_ours(tmp_path: pathlib.Path) -> None:
    """A data set of the Hub, downloads that go on, and a folder of the same last name elsewhere."""
    for name in (
        "hub/data/train-00000-of-00001.parquet", "hub/README.md", "download.partial", "deep/hub/data/x.partial",
        "deep/ledger/ledger-00000-of-00001.parquet", "ledger/ledger-00000-of-00001.parquet", "[a]/x", "a/x",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("theirs")
    before = everything(tmp_path)
    assert clean_output(str(tmp_path), signals=True) == f"{tmp_path}: nothing to clean"
    assert everything(tmp_path) == before
    folders.mark(str(tmp_path / ".signals"), Mark("signals"))
    (tmp_path / ".signals" / "x.partial").write_text("ours")
    folders.mark(str(tmp_path / ".staging"), Mark("staging"))
    (tmp_path / ".staging" / f"small-{'0' * 32}").mkdir()
    told = clean_output(str(tmp_path), signals=False)
    assert told.splitlines() == [
        f"deleted {tmp_path}/.staging/small-{'0' * 32}", f"deleted {tmp_path}/.signals/x.partial",
    ]  # fmt: skip
    assert everything(tmp_path).keys() - before.keys() == {f".signals/{folders.MARK}"}


@pytest.mark.parametrize("name", ["out[ab]", "out*", "o?t"])
def test_an_output_path_is_no_pattern(tmp_path: pathlib.Path, name: str) -> None:
    """The whole flow in a folder of such a name, beside folders that the name would match as a pattern."""
    write_input(tmp_path)
    for neighbour in ("outa", "outb", "out"):
        folders.mark(str(tmp_path / neighbour / "small"), Mark("release", "small"))
        (tmp_path / neighbour / "small" / "MANIFEST.json").write_text("theirs")
    neighbours = {one: everything(tmp_path / one) for one in ("outa", "outb", "out")}
    if name != "out*":  # one whole run is enough; the others go as far as it takes
        swap_in_marked(tmp_path / name)
    else:
        result = run(tmp_path, output={"path": name})
        assert result.exit_code == runner.PASSED
        assert verify_release(result.folder, QUIET)[1]
        swap_in(tmp_path / name, pathlib.Path(result.folder), replace=True)
        assert verify_release(result.folder, QUIET)[1]
    clean_output(str(tmp_path / name), signals=True)
    assert below(str(tmp_path / name))
    assert {one: everything(tmp_path / one) for one in neighbours} == neighbours


def swap_in_marked(out: pathlib.Path) -> None:
    built = out.parent / "built"
    folders.mark(str(built), Mark("rejection", "small"))
    for name in ("verdict.json", "recipe.yaml"):
        (built / name).write_text("x")
    for _ in range(2):
        swap_in(out, built, replace=True)


def test_a_bundle_that_is_processed_twice_and_a_worker_that_is_late(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both make a whole folder; one is published, and what comes after the swap changes nothing."""
    write_input(tmp_path)
    real, calls = assembly.publish, []

    def twice(*args):
        lazy = [
            not hasattr(arg, "num_rows") and hasattr(arg, "__iter__") and not isinstance(arg, bytes) for arg in args
        ]
        args = [list(arg) if is_lazy else arg for arg, is_lazy in zip(args, lazy, strict=True)]
        calls.append(args)
        first, second = real(*args), real(*args)
        assert everything(pathlib.Path(first)) == everything(pathlib.Path(second))
        return second

    monkeypatch.setattr(assembly, "publish", twice)
    loaded, job = prepare(tmp_path)
    result = runner.run(loaded, job, QUIET)
    assert verify_release(result.folder, QUIET)[1]
    after = everything(pathlib.Path(result.folder))
    with pytest.raises(OSError, match="No such file"):  # what it would publish is gone
        real(*calls[0])
    assert everything(pathlib.Path(result.folder)) == after
    assert clean_output(str(tmp_path / "out"), signals=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"small"}


def test_a_rejected_run_keeps_the_release_that_passed_before(published: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    before = everything(tmp_path / "out" / "small")
    impossible = {"expect": "metric_to_be_between", "metric": "documents", "min": 1_000_000}
    result = run(tmp_path, replace=True, expectations={"expectations": [impossible]})
    assert result.exit_code == runner.FAILED
    assert everything(tmp_path / "out" / "small") == before
    told, good = verify_release(result.folder, QUIET)
    assert good, told
    assert "a rejection has no manifest" in told


def test_verify_accounts_for_every_document(published: pathlib.Path) -> None:
    told, good = verify_release(str(published / "out" / "small"), QUIET)
    assert good, told
    assert "32  the ledger has 32, read from 32 places" in told
    assert "quarantined    1  the metrics say 1" in told
    numbers = {line.split()[0]: int(line.split()[1]) for line in told.splitlines()[2:-1] if line.split()[1].isdigit()}
    assert numbers["kept"] + numbers["dropped"] == 32
    assert numbers["released"] == numbers["kept"] > 10
    assert numbers["dropped"] >= 2


def rewrite(path: pathlib.Path, change) -> None:
    """A table that is as well made as the one before, with a manifest that agrees with it: only the counts tell."""
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    manifest = path.parents[1] / "MANIFEST.json"
    found = json.loads(manifest.read_text())
    for entry in found["files"]:
        if entry["path"] == f"{path.parent.name}/{path.name}":
            entry |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            entry |= {"rows": pq.read_metadata(path).num_rows}
            if "tokens" in entry:
                entry["tokens"] = sum(pq.read_table(path)["n_tokens"].to_pylist())
    manifest.write_text(json.dumps(found))


def flip(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


WRONG = {
    "a flipped bit": (lambda r: flip(r / "data/train-00000-of-00001.parquet"), "its SHA-256 differs"),
    "another size": (lambda r: (r / "report/index.html").write_text("x"), "has a size of 1 byte"),
    "gone": (lambda r: (r / "suite.yaml").unlink(), "suite.yaml is gone"),
    "extra": (lambda r: (r / "data/extra.txt").write_text("x"), "data/extra.txt is not in the manifest"),
    "a torn manifest": (lambda r: (r / "MANIFEST.json").write_text("{"), "MANIFEST.json is damaged"),
    "a lost row": (lambda r: rewrite(r / "data/train-00000-of-00001.parquet", lambda t: t.slice(1)),
                   "does not hold exactly the documents that the ledger keeps"),
    "a lost decision": (lambda r: rewrite(r / "ledger/ledger-00000-of-00001.parquet", lambda t: t.slice(1)),
                        "ledger has 31 documents, and 32 came in"),
    "a lost record": (lambda r: rewrite(r / "quarantine/quarantine-00000.parquet", lambda t: t.slice(1)),
                      "quarantine has 0 records, and the metrics say 1"),
    "a decision twice": (lambda r: rewrite(r / "ledger/ledger-00000-of-00001.parquet",
                                           lambda t: t.take([0, *range(t.num_rows - 1)])), "read from the place of another one"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_verify_names_what_is_wrong(published: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    release = pathlib.Path(shutil.copytree(published / "out" / "small", tmp_path / "small"))
    harm, said = WRONG[name]
    harm(release)
    told, good = verify_release(str(release), QUIET)
    assert not good
    assert said in told.replace("\n", " "), told


def test_verify_takes_a_card_that_people_edited(published: pathlib.Path, tmp_path: pathlib.Path) -> None:
    release = pathlib.Path(shutil.copytree(published / "out" / "small", tmp_path / "small"))
    (release / "README.md").write_text("Mine.")
    told, good = verify_release(str(release), QUIET)
    assert good
    assert "but README.md, which was edited since" in told
    with pytest.raises(RecipeError, match="no release there"):
        verify_release(str(tmp_path), QUIET)
