"""Whole runs against evaluation sets: what is found in what was read, what becomes of it, and what it does not depend on."""

import json
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.explain import explain_document
from pipeline.reading import summary
from pipeline.recipe import RecipeError, load_recipe
from transforms.ingest.sources import InputError

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


def words(seed: int, n: int) -> str:
    """Words that no other seed has."""
    return " ".join(f"w{seed}x{i}" for i in range(n))


FORM = "Read the question with care and then choose the one answer among the four that is right"
QUESTIONS = [f"{FORM}: {words(1000 + i, 20)}?" for i in range(12)]


def documents() -> list[dict[str, Any]]:
    """40 documents; d3 holds question 3, d4 question 4 in capitals and wrapped, d5 the form that all have, d6 one and two."""
    texts = [words(i, 80) for i in range(40)]
    texts[3] += "\n\n" + QUESTIONS[3]
    texts[4] += "\n" + QUESTIONS[4].upper().replace(" ", "\n", 9).replace("?", " ... ?!")
    texts[5] += "\n" + FORM
    texts[6] += f"\n{QUESTIONS[1]}\n1) {words(1, 9)}\n{QUESTIONS[2]}"
    return [{"id": f"d{i}", "text": one, "origin": "human"} for i, one in enumerate(texts)]


def write(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    write(tmp_path / "corpus" / "a.jsonl", documents())
    rows = [{"id": f"q{i}", "question": one, "answer": "B"} for i, one in enumerate(QUESTIONS)]
    write(tmp_path / "benchmarks" / "quiz.jsonl", [*rows, {"id": "short", "question": "How many?", "answer": "3"}])
    write(tmp_path / "benchmarks" / "tales.jsonl", [{"text": words(2000 + i, 30)} for i in range(3)])
    return tmp_path


QUIZ = {"name": "quiz", "path": "benchmarks/quiz.jsonl", "fields": {"text": "question"}}


def run(folder: pathlib.Path, on_match: str = "drop", release: str = "test", **changes: Any) -> runner.Result:
    section = {"against": [QUIZ, "benchmarks/tales.jsonl"], "on_match": on_match, **changes.pop("contamination", {})}
    data = {
        "release": release, "sources": [{"name": "crawl", "path": "corpus"}], "contamination": section,
        "expectations": {"expectations": [{"expect": "size_to_be_at_least", "min": 1}]}, "output": {"path": "out"}, **changes,
    }  # fmt: skip
    (folder / f"{release}.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / f"{release}.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def read(result: runner.Result, what: str) -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(path) for path in sorted(pathlib.Path(result.folder, what).glob("*.parquet"))]
    )


def measured(result: runner.Result, metric: str) -> dict[tuple[str, str], float]:
    rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
    return {(row["stage"], row["slice"]): row["value"] for row in rows if row["metric"] == metric}


HELD = {"d3": ["quiz/q3"], "d4": ["quiz/q4"], "d6": ["quiz/q1", "quiz/q2"]}


def test_what_holds_an_item_is_dropped_and_said(folder: pathlib.Path) -> None:
    result = run(folder)
    assert result.exit_code == 0
    assert result.counts["dropped.contaminated"] == 3
    ledger = {row["input_id"]: row for row in read(result, "ledger").to_pylist()}
    assert {name: row["contaminated_by"] for name, row in ledger.items() if row["contaminated_by"]} == HELD
    assert {name for name, row in ledger.items() if not row["kept"]} == set(HELD)
    assert {(ledger[name]["stage"], ledger[name]["reason"]) for name in HELD} == {("exclusions", "contaminated")}
    assert 0.2 < ledger["d3"]["contamination"] <= 1
    assert ledger["d5"]["contamination"] < 0.05  # what every item has
    assert ledger["d7"]["contamination"] == 0
    assert measured(result, "contamination.documents") == {
        ("before", ""): 3, ("before", "crawl"): 3, ("before", "quiz"): 3, ("before", "tales"): 0,
        ("after", ""): 0, ("after", "crawl"): 0, ("after", "quiz"): 0, ("after", "tales"): 0,
    }  # fmt: skip
    shares = measured(result, "contamination.items")
    assert shares["before", "quiz"] == pytest.approx(4 / 12)
    assert shares["before", ""] == pytest.approx(4 / 15)
    assert shares["before", "tales"] == shares["after", "quiz"] == 0
    assert measured(result, "contamination.too_short") == {
        ("before", ""): 1,
        ("before", "quiz"): 1,
        ("before", "tales"): 0,
    }
    by_item = measured(result, "contamination.overlap")
    assert set(by_item) == {("before", f"quiz/q{i}") for i in (1, 2, 3, 4)}
    assert set(by_item.values()) == {1.0}
    manifest = json.loads(pathlib.Path(result.folder, "MANIFEST.json").read_text())
    sets = [{"set": "quiz", "items": 13, "looked_for": 12}, {"set": "tales", "items": 3, "looked_for": 3}]
    assert manifest["contamination"]["sets"] == sets
    said = summary.ran(result, load_recipe(str(folder / "test.yaml"))).splitlines()
    short = "; too short to be looked for: 1"
    assert f"quiz          4 of 12 items in 3 documents, 0 left in the release{short}" in said
    assert "tales         0 of 3 items in 0 documents, 0 left in the release" in said


def test_or_it_is_marked(folder: pathlib.Path) -> None:
    result = run(folder, "tag")
    assert result.exit_code == 0
    released = {row["input_id"]: row for row in read(result, "data").to_pylist()}
    assert len(released) == 40
    assert {name: row["contaminated_by"] for name, row in released.items() if row["contaminated_by"]} == HELD
    assert measured(result, "contamination.items")["after", "quiz"] == pytest.approx(4 / 12)


def test_or_no_release_passes(folder: pathlib.Path) -> None:
    result = run(folder, "fail")
    assert result.exit_code == 1
    [failed] = [one for one in result.verdict.expectations if one.status == "fail"]
    assert failed.metric == "contamination.items"
    assert run(folder, "fail", contamination={"against": ["benchmarks/tales.jsonl"]}).exit_code == 0


@pytest.mark.slow
def test_nothing_is_read_again_for_another_answer(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is in the signals: dropping, marking and failing need no text. Another limit or another item does."""
    run(folder, "tag")
    surveyed = []
    monkeypatch.setattr("transforms.survey.text_to_signals.survey_split", lambda *_: surveyed.append(1))
    run(folder, "drop", release="again")
    assert surveyed == []
    for change in ({"min_overlap": 0.6}, {"ngram": 12}, {"against": ["benchmarks/tales.jsonl"]}):
        with pytest.raises(runner.RunError):
            run(folder, release="other", contamination=change)
    assert surveyed


@pytest.mark.slow
def test_a_release_does_not_depend_on_workers(folder: pathlib.Path) -> None:
    many = documents() * 30
    for number in range(6):
        rows = [{**row, "id": f"{n}-{row['id']}"} for n, row in enumerate(many[number::6])]
        write(folder / "corpus" / f"{number}.jsonl", rows)
    one = run(folder, release="one", runner={"workers": 1}, ingest={"split_bytes": 1})
    two = run(folder, release="two", runner={"workers": 4}, ingest={"split_bytes": 1})
    assert read(one, "ledger").equals(read(two, "ledger"))
    assert measured(one, "contamination.overlap") == measured(two, "contamination.overlap")


def test_explain_shows_the_item_and_the_passage(folder: pathlib.Path) -> None:
    result = run(folder)
    said = explain_document(result.folder, "d6")
    assert "dropped: it holds items of an evaluation set" in said
    assert "quiz/q1" in said
    assert "quiz/q2" in said
    assert "w1001x0 w1001x1" in said  # what of the question is in it
    assert "w6x70" not in said  # and nothing else of it


@pytest.mark.parametrize(
    ("rows", "section", "message"),
    [
        (None, {"against": ["nowhere/*.jsonl"]}, "matches no file"),
        (
            [{"question": "Why?"}],
            {"against": ["sets/one.jsonl"]},
            r"set one: .*sets/one.jsonl, row 0: .*fields: \{text",
        ),
        ([{"text": "too short"}], {"against": ["sets/one.jsonl"]}, "no item has 13 words"),
        (
            [{"text": words(1, 20)}],
            {"against": ["sets/one.jsonl", "sets/one.jsonl"]},
            "are both called 'one'; name them",
        ),
        ([{"text": words(1, 20)}], {"against": ["sets"]}, "notes.xyz: .*so its items would not be looked for"),
    ],
)
def test_a_set_that_cannot_be_looked_for_stops_the_run(
    folder: pathlib.Path, rows: list[dict[str, Any]] | None, section: dict[str, Any], message: str
) -> None:
    if rows:
        write(folder / "sets" / "one.jsonl", rows)
        (folder / "sets" / "notes.xyz").write_text("?")
    with pytest.raises(InputError, match=message):
        run(folder, contamination=section)


def test_two_sets_with_one_name_are_refused(folder: pathlib.Path) -> None:
    with pytest.raises(RecipeError, match="two sets are called 'quiz'"):
        run(folder, contamination={"against": [QUIZ, QUIZ]})
