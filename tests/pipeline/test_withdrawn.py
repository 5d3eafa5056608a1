"""Whole runs with lists of removals: what goes, what goes with it, and that it does not come back in a later release."""

import json
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.explain import explain_document
from pipeline.commands.verify import verify_release
from pipeline.recipe import load_recipe
from transforms.release.read_release import read_manifest

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
ASKED = {"requested_by": "the author's lawyer", "requested_on": "2027-01-31"}


def words(seed: int, n: int) -> str:
    """Words that no other seed has."""
    return " ".join(f"w{seed}x{i}" for i in range(n))


def documents() -> list[dict[str, Any]]:
    """30 documents; d1 is also there as a near copy, an exact copy in capitals, and d2's copy is longer than d2."""
    rows = [
        {
            "id": f"d{i}",
            "text": words(i, 80),
            "url": f"https://site{i % 5}.org/{i}",
            "author": f"Author {i}",
            "origin": "human",
        }
        for i in range(30)
    ]
    near = {"id": "near1", "text": words(1, 80) + " and an end", "url": "https://other.org/1", "author": "Thief"}
    same = {"id": "same1", "text": words(1, 80).upper(), "url": "https://another.org/1", "author": "Other thief"}
    return [*rows, near | {"origin": "human"}, same | {"origin": "human"}]


def write(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: pathlib.Path, release: str, *requests: dict[str, Any], **changes: Any) -> runner.Result:
    data = {
        "release": release, "sources": [{"name": "web", "path": "corpus"}],
        "expectations": {"expectations": [{"expect": "size_to_be_at_least", "min": 1}]}, "output": {"path": "out"}, **changes,
    }  # fmt: skip
    if requests:
        write(folder / f"{release}.removals.jsonl", [ASKED | request for request in requests])
        data["removals"] = f"{release}.removals.jsonl"
    (folder / f"{release}.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / f"{release}.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def ledger(result: runner.Result) -> dict[str, dict[str, Any]]:
    parts = [pq.read_table(path) for path in sorted(pathlib.Path(result.folder, "ledger").glob("*.parquet"))]
    return {row["input_id"]: row for row in pa.concat_tables(parts).to_pylist()}


def reasons(result: runner.Result) -> dict[str, str]:
    return {name: row["reason"] for name, row in ledger(result).items() if not row["kept"]}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    write(tmp_path / "corpus" / "a.jsonl", documents())
    return tmp_path


def test_a_document_goes_with_all_that_is_like_it(folder: pathlib.Path) -> None:
    """Whichever of the three is named, and although another of them would have been kept."""
    for number, name in enumerate(("d1", "near1", "same1")):
        result = run(folder, f"r{number}", {"id": name}, {"domain": "site4.org"})
        withdrawn = {"d1", "near1", "same1", "d4", "d9", "d14", "d19", "d24", "d29"}
        assert reasons(result) == dict.fromkeys(withdrawn, "withdrawn")
        rows = ledger(result)
        assert {rows[one]["survivor_id"] for one in ("d1", "near1", "same1")} == {rows[name]["doc_id"]}
        assert [(row["host"], row["author"]) for row in rows.values() if row["reason"]] == [(None, None)] * 9
        assert (rows["d2"]["host"], rows["d2"]["author"]) == ("site2.org", "Author 2")
        assert result.counts["dropped.withdrawn"] == 9
        manifest, _ = read_manifest(result.folder)
        assert [one["requests"] for one in manifest["removals"]] == [{"domain": 1, "id": 1}]
        said = (
            pathlib.Path(result.folder, "MANIFEST.json").read_text()
            + pathlib.Path(result.folder, "recipe.yaml").read_text()
        )
        assert "site4.org" not in said
        assert "lawyer" not in said
        verified, good = verify_release(result.folder, QUIET)
        assert good, verified
    assert "which was withdrawn; similarity" in explain_document(result.folder, "near1")
    assert "d1" not in explain_document(result.folder, "near1").split("like  ")[1]


def test_it_does_not_come_back(folder: pathlib.Path) -> None:
    """Not in a release that is held against this one, nor in one that is held against that one, whatever it calls the text."""
    first = run(folder, "first", {"author": "author 1"}, {"id": "d5"})
    assert reasons(first) == dict.fromkeys(("d1", "near1", "same1", "d5"), "withdrawn")
    write(folder / "later" / "b.jsonl", [{"id": "again", "text": words(1, 80) + " the end", "origin": "human"},
                                         {"id": "five", "text": words(5, 80), "origin": "human"},
                                         {"id": "new", "text": words(100, 80), "origin": "human"}])  # fmt: skip
    later = {"sources": [{"name": "mirror", "path": "later"}]}
    for on_match in ("drop", "tag"):
        second = run(folder, f"second-{on_match}", dedup={"against": ["out/first"], "on_match": on_match}, **later)
        assert reasons(second) == {"again": "withdrawn", "five": "withdrawn"}
        third = run(folder, f"third-{on_match}", dedup={"against": [second.folder.removeprefix(f"{folder}/")]}, **later)
        assert (
            reasons(third) == {"again": "withdrawn", "five": "withdrawn", "new": "in_earlier_release"}
            or third.exit_code
        )
        assert reasons(third)["again"] == reasons(third)["five"] == "withdrawn"
    both = run(folder, "both", dedup={"against": ["out/first", "out/second-drop"]}, **later)
    assert reasons(both)["again"] == "withdrawn"
    held = sorted(pathlib.Path(second.folder, "tombstones").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in held) == 2  # those that are named, not what is like them
    assert set(pq.read_schema(held[0]).names) == {"doc_id", "content_hash", "url_hash", "n_shingles", "signature"}


def test_nothing_is_surveyed_again_for_another_list(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder, "one")
    monkeypatch.setattr("transforms.survey.survey.survey_split", lambda *_: pytest.fail("the text was read again"))
    assert reasons(run(folder, "two", {"id": "d7"}))["d7"] == "withdrawn"
    assert reasons(run(folder, "three", {"id": "d8"}))["d8"] == "withdrawn"
