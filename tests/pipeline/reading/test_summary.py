"""What a run and a check say beyond the verdict: settings that change nothing, and what an estimate leaves undecided."""

import json
import math
import pathlib

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.advice.remarks import idle, remarks
from pipeline.reading.summary import checked, ran
from pipeline.recipe import Recipe, load_recipe

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


def words(seed: int, n: int) -> list[str]:
    return [f"w{seed}x{i}" for i in range(n)]


def recipe_of(folder: pathlib.Path, dedup: object, *records: dict) -> Recipe:
    (folder / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    data = {
        "release": "x", "sources": [{"name": "a", "path": "data.jsonl", "origin": "human"}], "dedup": dedup,
        "output": {"path": "out"},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return load_recipe(str(folder / "recipe.yaml"))


def run(folder: pathlib.Path, recipe: Recipe) -> tuple[runner.Result, str]:
    result = runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET, replace=True)
    return result, ran(result, recipe)


@pytest.mark.parametrize(
    ("dedup", "said"),
    [
        ({}, []),
        ({"on_match": "tag"}, ["dedup.on_match: tag has no effect"]),
        ({"on_match": "tag", "against": ["old"]}, []),
        ({"paragraphs": {"max_documents": 5}}, ["dedup.paragraphs.max_documents has no effect"]),
        ({"paragraphs": {"max_documents": 5, "remove": True}}, []),
        ({"paragraphs": {"max_documents": 10, "remove": False}}, []),  # as a release's own recipe has it
        ({"on_match": "tag", "paragraphs": {"max_documents": 5}}, ["dedup.on_match", "dedup.paragraphs"]),
    ],
)
def test_a_setting_that_changes_nothing_is_named(tmp_path: pathlib.Path, dedup: object, said: list[str]) -> None:
    lines = list(idle(recipe_of(tmp_path, dedup)))
    assert len(lines) == len(said)
    assert all(line.startswith(f"warning: {start}") for line, start in zip(lines, said, strict=True))


def test_check_and_run_say_so(tmp_path: pathlib.Path) -> None:
    records = [{"id": str(i), "text": " ".join(words(i, 50))} for i in range(5)]
    recipe = recipe_of(tmp_path, {"on_match": "tag", "url": True}, *records)
    assert "\nwarning: dedup.on_match: tag" in checked(recipe, runner.prepare(recipe, str(tmp_path)))
    _, said = run(tmp_path, recipe)
    assert "\nwarning: dedup.on_match: tag" in said
    assert "\nwarning: dedup.url has no effect, for no document has an address" in said
    with_one = recipe_of(tmp_path, {"url": True}, records[0] | {"url": "https://example.org/x"}, *records[1:])
    _, said = run(tmp_path, with_one)
    assert "warning: dedup" not in said
    both = recipe.model_copy(update={"sources": (*recipe.sources, recipe.sources[0].model_copy(update={"name": "b"}))})
    assert "\nwarning: sources a (" in checked(both, job := runner.prepare(both, str(tmp_path)))
    assert [line for line in remarks([], both, job.splits) if line.startswith("warning: sources a (")]


@pytest.mark.slow
def test_near_duplicates_that_an_estimate_leaves_undecided_are_counted(tmp_path: pathlib.Path) -> None:
    """A family of templates: 200 words that all have and 10 to 40 of their own, so 0.70 to 0.91 alike."""
    shared = words(0, 200)
    records = [{"id": str(i), "text": " ".join(shared + words(i, 10 + i % 31))} for i in range(1, 120)]
    result, said = run(tmp_path, recipe_of(tmp_path, {}, *records))
    ledger = pq.read_table(f"{result.folder}/ledger").to_pylist()
    near = [row["similarity"] for row in ledger if row["reason"] == "near_duplicate"]
    undecided = sum(math.floor(100 * one + 1e-4) < 92 for one in near)  # 0.8 + 3 * sqrt(0.8 * 0.2 / 112) is 0.913
    assert undecided > 20
    assert f"\n{undecided} of {len(near)} near duplicates have a similarity under 0.92, within three standard" in said
    assert "`dedup.verify: exact` compares texts" in said
    assert (
        f"{undecided} of {len(near)} have a similarity" in pathlib.Path(result.folder, "report/index.html").read_text()
    )
    result, said = run(tmp_path, recipe_of(tmp_path, {"verify": "exact"}, *records))
    assert result.counts["dropped.near_duplicate"] > 0
    assert "near duplicates have a similarity" not in said
