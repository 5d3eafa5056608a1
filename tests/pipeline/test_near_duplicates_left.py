"""Near duplicates that dedup misses are counted in the release, through the whole flow; those that it finds are not."""

import itertools
import json
import pathlib

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from small_sets import hashed

from pipeline import runner
from pipeline.recipe import load_recipe

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


def records() -> list[dict]:
    """1,000 documents of 80 words; 100 of them again, with a word in the middle another (Jaccard 71 / 81), and 50 copies."""
    texts = [[f"w{hashed(number, i) % 3000}" for i in range(80)] for number in range(1000)]
    again = [[*text[:40], "another", *text[41:]] for text in texts[:100]]
    every = [*texts, *again, *texts[100:150]]
    return [{"id": str(number), "text": " ".join(text), "origin": "human"} for number, text in enumerate(every)]


def rates(folder: pathlib.Path, name: str, dedup: dict) -> tuple[dict, dict]:
    """The rows of the rate by stage, and the outcome of the suite's expectation."""
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, records())))
    data = {
        "release": name,
        "sources": [{"name": "web", "path": "corpus.jsonl"}],
        "dedup": dedup,
        "ratio": {"max_synthetic_share": 1.0},
        "expectations": "mixed",
        "output": {"path": "out"},
    }
    (folder / f"{name}.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / f"{name}.yaml"))
    result = runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)
    rows = [r for r in runner.read_metrics(result.folder).to_pylist() if r["metric"] == "duplicates.residual_rate"]
    said = {outcome.metric: outcome for outcome in result.verdict.expectations}["duplicates.residual_rate"]
    return {row["stage"]: row for row in rows if row["slice_kind"] == "overall"}, said


def test_bands_that_see_nothing_leave_what_the_sample_sees(tmp_path: pathlib.Path) -> None:
    """One band of 64 rows finds a pair of this similarity once in five thousand times; copies it always finds."""
    found, said = rates(tmp_path, "missed", {"bands": 1, "rows": 64})
    left = found["deduplicated"]["n"] - 1000
    assert left > 80, "or nothing is tested"
    assert found["before"]["value"] == pytest.approx(300 / 1150, abs=0.02)
    for stage in ("deduplicated", "after"):
        assert found[stage]["lower"] < found[stage]["value"] < found[stage]["upper"]
        assert found[stage]["value"] == pytest.approx(2 * left / (1000 + left), abs=0.02)
    assert (said.status, said.severity) == ("fail", "warning")


def having_one(folder: pathlib.Path, name: str) -> float:
    """The share of a release's documents that have a near duplicate in it, from all pairs."""
    texts = pq.read_table(folder / "out" / name / "data")["text"].to_pylist()
    sets = [{tuple(words[at : at + 5]) for at in range(len(words) - 4)} for words in map(str.split, texts)]
    found = set()
    for (i, one), (j, other) in itertools.combinations(enumerate(sets), 2):
        if len(one & other) >= 0.8 * len(one | other):
            found |= {i, j}
    return len(found) / len(sets)


@pytest.mark.slow
def test_bands_that_see_leave_what_signatures_are_wrong_about(tmp_path: pathlib.Path) -> None:
    """A few pairs of 0.88 are under 0.8 by their signatures, which would say that none is left."""
    found, said = rates(tmp_path, "found", {})
    assert found["before"]["value"] > 0.2
    truth = having_one(tmp_path, "found")
    assert 0 < truth < 0.005
    assert found["after"]["lower"] <= truth <= found["after"]["upper"] < 0.02
    assert said.status != "pass"  # 1,000 documents do not say that it is under 1 %
