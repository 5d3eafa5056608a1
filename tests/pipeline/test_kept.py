"""What earlier runs left is used, and changes nothing: a release is the same bytes with it and without, whatever was changed."""

import json
import os
import pathlib
import shutil

import pytest
from rich.console import Console

from pipeline import dependencies, runner
from pipeline.execution import RunError
from pipeline.graph import Job, with_what_is_kept
from pipeline.recipe import Recipe, load_recipe
from transforms.detector.detector import BUNDLED
from transforms.ingest import listing
from transforms.release import released_text
from transforms.release import shards as writing
from transforms.signals import beginnings
from transforms.survey import text_to_signals

QUIET = Console(file=open(os.devnull, "w"))  # noqa: SIM115 (it lives as long as the tests)
SOME = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}


def write(folder: pathlib.Path, name: str, documents: range, origin: str = "human") -> None:
    folder.mkdir(exist_ok=True)
    texts = [" ".join(f"word{(31 * i + 7 * k + 3 * k * k) % 997}" for k in range(40)) for i in documents]
    rows = [{"id": f"d{i}", "text": text, "origin": origin} for i, text in zip(documents, texts, strict=True)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def recipe_in(folder: pathlib.Path, release: str, **changes: object) -> Recipe:
    fields = {"origin": "origin"}
    data = {
        "release": release,
        "sources": [{"name": "s", "path": "in", "fields": fields}],
        "expectations": SOME,
        "ratio": {"max_synthetic_share": 0.4},
        "ingest": {"split_bytes": 1500},
        "output": {"path": "out"},
        **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return load_recipe(str(folder / "recipe.yaml"))


def prepared(folder: pathlib.Path, release: str, **changes: object) -> tuple[Recipe, Job]:
    recipe = recipe_in(folder, release, **changes)
    return recipe, runner.prepare(recipe, str(folder), "2026-11-28")


def run(folder: pathlib.Path, release: str, **changes: object) -> dict[str, bytes]:
    """Every file of the release, or of the rejection."""
    recipe, job = prepared(folder, release, **changes)
    result = pathlib.Path(runner.run(recipe, job, QUIET, replace=True).folder)
    return {str(p.relative_to(result)): p.read_bytes() for p in sorted(result.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a corpus, a release, and what its run left."""
    folder = tmp_path_factory.mktemp("kept")
    write(folder / "in", "a.jsonl", range(24))
    write(folder / "in", "b.jsonl", range(20, 44), "synthetic")  # four of them again
    run(folder, "first")
    return folder


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What was surveyed and written anew, and which results were found."""
    noted: dict[str, list] = {"surveyed": [], "written": [], "shown": [], "found": [], "words": [], "read": []}
    survey, written, shown = text_to_signals.survey_split, writing.released, beginnings._read
    read_again = released_text.ahead

    def surveying(split, *rest):  # type: ignore[no-untyped-def]
        noted["surveyed"].append(split.index)
        return survey(split, *rest)

    def writing_(part, *rest):  # type: ignore[no-untyped-def]
        noted["written"].append(part.split)
        return written(part, *rest)

    def showing(split, *rest):  # type: ignore[no-untyped-def]
        noted["shown"].append(split.index)
        return shown(split, *rest)

    def reading(batches):  # type: ignore[no-untyped-def]
        noted["read"].append(1)
        return read_again(batches)

    def looking(job: Job) -> Job:
        job = with_what_is_kept(job)
        noted["found"].append((job.is_decided, job.is_measured, job.is_recorded, job.is_released))
        noted["words"].append(job.has_words)
        return job

    monkeypatch.setattr(text_to_signals, "survey_split", surveying)
    monkeypatch.setattr(writing, "released", writing_)
    monkeypatch.setattr(beginnings, "_read", showing)
    monkeypatch.setattr(released_text, "ahead", reading)
    monkeypatch.setattr(runner, "with_what_is_kept", looking)
    return noted


NONE, DEDUP, LEDGER, ALL = (tuple(n < number for n in range(4)) for number in (0, 1, 3, 4))
# All that comes after dedup, and what is found of the run before.
LATER = {
    "another gate": ({"expectations": "mixed", "papers": ["spdx"], "runner": {"workers": 1}}, ALL),
    "a gate that fails": ({"expectations": {"expectations": [{**SOME["expectations"][0], "min": 1000}]}}, ALL),
    "another ratio": ({"ratio": {"max_synthetic_share": 0.1}, "salt": "grain"}, DEDUP),
    "a reference": ({"reference": "human_subset"}, DEDUP),
    "other shards": (
        {"output": {"path": "out", "signatures": False, "shard_bytes": 5000, "row_group_bytes": 900}},
        LEDGER,
    ),
}


@pytest.mark.parametrize(("changes", "found"), LATER.values(), ids=LATER.keys())
def test_a_later_run_is_the_same_bytes_as_one_that_finds_nothing(
    changes: dict, found: tuple[bool, bool], before: pathlib.Path, did: dict[str, list]
) -> None:
    with_it = run(before, "later", **changes)
    assert (did["found"], did["surveyed"], did["words"]) == ([found], [], [True])
    shutil.move(before / "out", before / "aside")
    try:
        assert run(before, "later", **changes) == with_it
        assert did["found"][1:] == [NONE]
    finally:
        shutil.rmtree(before / "out")
        shutil.move(before / "aside", before / "out")


def test_another_gate_writes_no_shard_and_measures_nothing(before: pathlib.Path, did: dict[str, list]) -> None:
    again = run(before, "again", expectations="mixed")
    assert did == {"surveyed": [], "written": [], "shown": [], "found": [ALL], "words": [True], "read": []}
    shards = {name for name in again if name.startswith(("data/", "signatures/"))}
    assert len(shards) == 2
    assert all(again[name] == (before / "out" / "first" / name).read_bytes() for name in shards)


def test_what_is_not_read_is_not_verified_and_what_is_heals(before: pathlib.Path, did: dict[str, list]) -> None:
    """Signals that nobody needs are damaged; then the releases go, so that they are needed."""
    shutil.copytree(before / "out", before / "aside")
    try:
        for path in (before / "out" / ".signals").glob("*.parquet"):
            if path.name.count(".") == 1:
                path.write_bytes(b"????" + path.read_bytes()[4:])
        expected = run(before, "again")
        assert (did["found"], did["surveyed"], did["written"]) == ([ALL], [], [])
        for release in (before / "out").glob("[!.]*"):
            shutil.rmtree(release)
        assert run(before, "again") == expected
        assert did["found"][1:] == [LEDGER]
        assert did["surveyed"]
    finally:
        shutil.rmtree(before / "out")
        shutil.move(before / "aside", before / "out")


@pytest.mark.slow
def test_signals_and_shards_that_are_both_damaged_heal_when_it_is_run_again(before: pathlib.Path) -> None:
    """Nobody verified the signals, for releases said that they have the shards; then no shard was what they said."""
    shutil.copytree(before / "out", before / "aside")
    try:
        expected = run(before, "again")
        signals = [path for path in (before / "out" / ".signals").glob("*.parquet") if path.name.count(".") == 1]
        for path in [*signals, *(before / "out").glob("[!.]*/data/*.parquet")]:
            path.write_bytes(b"????" + path.read_bytes()[4:])
        with pytest.raises(RunError, match="is damaged: its bytes are not those that were written; run again"):
            run(before, "again")
        assert run(before, "again") == expected
    finally:
        shutil.rmtree(before / "out")
        shutil.move(before / "aside", before / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"expectations": "mixed"}, {"ratio": {"max_synthetic_share": 0.3}}], ids=["gate", "ratio"]
)
@pytest.mark.parametrize("meanwhile", ["replaced", "deleted", "edited"])
def test_a_release_that_goes_while_a_run_counts_on_it_changes_nothing(
    changes: dict, meanwhile: str, before: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher has looked, and the workers have not."""
    shutil.copytree(before / "in", tmp_path / "in")
    run(tmp_path, "first")
    looked: list[Job] = []

    def looking(job: Job) -> Job:
        job = with_what_is_kept(job)
        looked.append(job)
        if len(looked) == 1:  # and no other run
            if meanwhile == "replaced":
                run(tmp_path, "first", ratio={"max_synthetic_share": 0.1})
            elif meanwhile == "deleted":
                shutil.rmtree(tmp_path / "out" / "first")
            else:  # in place, as no program should
                for path in (tmp_path / "out" / "first").glob("[ds]*/*.parquet"):
                    path.write_bytes(path.read_bytes()[::-1])
        return job

    with monkeypatch.context() as patch:
        patch.setattr(runner, "with_what_is_kept", looking)
        found = run(tmp_path, "later", **changes)
    assert looked[0].is_released == ("expectations" in changes)
    shutil.rmtree(tmp_path / "out")
    assert run(tmp_path, "later", **changes) == found


def test_fewer_of_the_documents_are_written_from_the_release_that_has_more(
    before: pathlib.Path, did: dict[str, list]
) -> None:
    fewer = {"ratio": {"max_synthetic_share": 0.3}}
    with_it = run(before, "fewer", **fewer)
    assert did["written"]
    assert did["read"] == []
    releases = sorted((before / "out").glob("[!.]*"))
    (before / "aside").mkdir()
    for release in releases:
        shutil.move(release, before / "aside")
    assert run(before, "fewer", **fewer) == with_it
    assert did["read"]
    shutil.rmtree(before / "out" / "fewer")
    for release in releases:
        shutil.move(before / "aside" / release.name, release)


def test_what_is_damaged_is_made_anew(before: pathlib.Path, did: dict[str, list]) -> None:
    expected = run(before, "again")
    for number, path in enumerate(
        [*(before / "out" / ".signals").glob("*.*.parquet"), *(before / "out").glob("*/*/*.parquet")]
    ):
        data = path.read_bytes()
        path.write_bytes([data[:-900] + b"?" + data[-899:], b"", data[: len(data) // 2]][number % 3])
    did["written"].clear()
    assert run(before, "again") == expected
    assert did["found"][-1] == NONE
    assert did["written"]


@pytest.mark.slow
def test_signals_that_came_out_otherwise_leave_behind_what_was_made_of_them(
    tmp_path: pathlib.Path, did: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is edited, and its size and every time that is looked at are as they were."""
    monkeypatch.setattr(listing, "fingerprint", lambda found: f"{found.st_size}")
    write(tmp_path / "in", "a.jsonl", range(40))
    run(tmp_path, "one")
    text = (tmp_path / "in" / "a.jsonl").read_text()
    (tmp_path / "in" / "a.jsonl").write_text(text.replace("word31 ", "word97 "))
    shutil.rmtree(tmp_path / "out" / "one")  # which has the text as it was
    with pytest.raises(Exception, match="not what the survey read; run again"):
        run(tmp_path, "two", output={"path": "out", "row_group_bytes": 3000})  # emit reads it
    did["found"].clear()
    healed = run(tmp_path, "two")
    assert did["found"] == [NONE]
    shutil.rmtree(tmp_path / "out")
    assert run(tmp_path, "two") == healed


def test_a_file_that_could_not_be_read_leaves_nothing_for_later(
    tmp_path: pathlib.Path, did: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write(tmp_path / "in", f"{name}.jsonl", range(ord(name), ord(name) + 9))
    lenient = {"ingest": {"max_bad_fraction": 1}}
    from transforms.ingest import decompress

    opened = decompress.open_for_reading

    def broken(path, *rest, **more):  # type: ignore[no-untyped-def]
        if path.endswith("b.jsonl"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(decompress, "open_for_reading", broken)
        run(tmp_path, "one", **lenient)
    run(tmp_path, "two", **lenient)
    assert did["found"] == [NONE] * 2


@pytest.mark.slow
def test_an_increment_writes_the_shards_that_are_new_and_few_others(
    tmp_path: pathlib.Path, did: dict[str, list]
) -> None:
    for number in range(24):
        write(tmp_path / "in", f"{number:02}.jsonl", range(10 * number, 10 * number + 10))
    small = {"output": {"path": "out", "shard_bytes": 12_000}}
    first = run(tmp_path, "one", **small)
    did["written"].clear()
    write(tmp_path / "in", "20-new.jsonl", range(900, 910))
    second = run(tmp_path, "two", **small)
    assert 0 < len(did["written"]) < 14, "of more than twenty-four splits"
    same = set(first.values()) & {data for name, data in second.items() if name.startswith("data/")}
    assert len(same) > 1
    shutil.rmtree(tmp_path / "out")
    assert run(tmp_path, "two", **small) == second


def named(job: Job) -> tuple[str, str, str]:
    """What signals, decisions and measures are named by."""
    return job.corpus.store.path(job.splits[0]), job.decisions.depends_on, job.measures.depends_on


SIGNALS, DECIDED, MEASURED, NOTHING = range(4)  # the first that must be made anew
KEYS: dict[str, tuple[dict, int]] = {
    "release": ({"release": "x"}, NOTHING),
    "salt": ({"salt": "x"}, MEASURED),
    "sources": ({"sources": [{"name": "s", "path": "in", "fields": {"origin": "origin"}, "trust": 0.3}]}, DECIDED),
    "ingest": ({"ingest": {"split_bytes": 1500, "max_bad_fraction": 0.5}}, DECIDED),
    "evidence": ({"evidence": {"queue": 7}}, DECIDED),
    "detector": ({"detector": {"cross_check": None}}, SIGNALS),
    "review": ({"review": {"labels": ["labels.jsonl"]}}, DECIDED),
    "contamination": ({"contamination": {"against": ["items.jsonl"], "on_match": "tag"}}, SIGNALS),
    "licences": ({"licences": {"deny": ["MIT"]}}, DECIDED),
    "personal_data": ({"personal_data": True}, SIGNALS),
    "removals": ({"removals": ["removals.jsonl"]}, DECIDED),
    "dedup": ({"dedup": {"url": True}}, DECIDED),
    "ratio": ({"ratio": {"max_synthetic_share": 0.1}}, MEASURED),
    "expectations": ({"expectations": "mixed"}, NOTHING),
    "reference": ({"reference": "human_subset"}, MEASURED),
    "structures": ({"structures": ["structures.yaml"]}, SIGNALS),
    "output": ({"output": {"path": "out", "keep": ["id2"]}}, NOTHING),
    "papers": ({"papers": ["spdx"]}, NOTHING),
    "runner": ({"runner": {"workers": 1}}, NOTHING),
}
STRUCTURES = {"systems": [{"id": "own", "owner": {"team": "us"}, "rationale": "A test of what a file says, and no more.",
    "slice": {"language": "en"}, "structures": [{"id": "word", "kind": "lexicon", "terms": ["word31"]}]}]}  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, tokenizer: str) -> pathlib.Path:
    """A corpus and every file that a recipe may name."""
    tmp_path = tmp_path_factory.mktemp("asked")
    write(tmp_path / "in", "a.jsonl", range(30))
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": "i", "text": "word1 " * 30}) + "\n")
    (tmp_path / "labels.jsonl").write_text(
        json.dumps({"content_hash": "0" * 32, "label": "human", "reviewer": "a", "at": "2026-11-01T00:00:00Z"}) + "\n"
    )
    (tmp_path / "removals.jsonl").write_text(
        json.dumps({"id": "d1", "requested_by": "a", "requested_on": "2026-11-01"}) + "\n"
    )
    (tmp_path / "structures.yaml").write_text(json.dumps(STRUCTURES))
    shutil.copy(tokenizer, tmp_path / "tokenizer.json")
    shutil.copytree(BUNDLED, tmp_path / "detector")
    return tmp_path


@pytest.fixture(scope="module")
def plain(asked: pathlib.Path) -> tuple[str, str, str]:
    return named(prepared(asked, "first")[1])


@pytest.mark.parametrize("key", sorted(Recipe.model_fields))
def test_every_key_of_a_recipe_makes_anew_what_may_depend_on_it(
    key: str, asked: pathlib.Path, plain: tuple[str, str, str]
) -> None:
    """A new key fails here until somebody says what it comes before."""
    changes, first = ({"tokenizer": "tokenizer.json"}, SIGNALS) if key == "tokenizer" else KEYS[key]
    other = named(prepared(asked, **{"release": "first", **changes})[1])
    assert [a != b for a, b in zip(plain, other, strict=True)] == [False] * first + [True] * (3 - first)


CONTENTS = {
    "tokenizer.json": ({"tokenizer": "tokenizer.json"}, '"max_length": 16', '"max_length": 15'),
    "items.jsonl": ({"contamination": {"against": ["items.jsonl"]}}, "word1 ", "word2 "),
    "labels.jsonl": ({"review": {"labels": ["labels.jsonl"]}}, "0" * 32, "1" * 32),
    "removals.jsonl": ({"removals": ["removals.jsonl"]}, '"d1"', '"d2"'),
    "structures.yaml": ({"structures": ["structures.yaml"]}, '"en"', '"de"'),
    "in/a.jsonl": ({}, "word31 ", "word97 "),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_of_the_same_name_size_and_time_is_not_the_same_file(
    name: str, asked: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(asked, tmp_path, dirs_exist_ok=True)
    changes, old, new = CONTENTS[name]
    before, path = named(prepared(tmp_path, "first", **changes)[1]), tmp_path / name
    text, times = path.read_text(), path.stat()
    assert old in text
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = named(prepared(tmp_path, "first", **changes)[1])
    assert before[1] != after[1] or before[0] != after[0]
    assert before[2] != after[2] or before[0] != after[0]


def test_a_detector_that_was_trained_again_is_another(asked: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(asked, tmp_path, dirs_exist_ok=True)
    changes, card = {"detector": {"model": "detector"}}, tmp_path / "detector" / "calibration.json"
    before = named(prepared(tmp_path, "first", **changes)[1])
    card.write_text(card.read_text() + "\n")
    assert named(prepared(tmp_path, "first", **changes)[1])[0] != before[0]


def test_other_code_other_models_and_other_libraries_are_seen(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in dependencies.PACKAGES:
        (tmp_path / name / "__pycache__").mkdir(parents=True)
        (tmp_path / name / "code.py").write_text("1")
    (tmp_path / "transforms" / "model.bin").write_bytes(b"2")
    monkeypatch.setattr(dependencies, "__file__", str(tmp_path / "pipeline" / "dependencies.py"))
    code = dependencies.code.__wrapped__
    seen = [code()]
    assert code() == seen[0]
    (tmp_path / "pipeline" / "__pycache__" / "code.nbi").write_text("compiled")
    assert code() == seen[0]
    (tmp_path / "pipeline" / "code.py").write_text("3")
    seen.append(code())
    (tmp_path / "transforms" / "model.bin").write_bytes(b"4")
    seen.append(code())
    (tmp_path / "transforms" / "model.bin").rename(tmp_path / "transforms" / "other.bin")
    seen.append(code())
    version = dependencies.version
    monkeypatch.setattr(dependencies, "version", lambda name: version(name) + ("x" if name == "numpy" else ""))
    seen.append(code())
    assert len(set(seen)) == 5
