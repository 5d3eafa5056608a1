"""A whole run: sources say what their documents were made of and who accepted them, and a preset warns by it."""

import json
import pathlib

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.recipe import load_recipe

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


def text(name: str) -> str:
    return " ".join(f"{name}x{n}" for n in range(60))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> runner.Result:
    """Forty human pages, of which one was rephrased forty times; translations of rephrasings; a site that came all at once."""
    at = tmp_path_factory.mktemp("lineage")
    day = [f"{2001 + i % 20}-05-05" for i in range(1200)]
    human = [
        {"id": f"h{i}", "text": text(f"h{i}"), "url": f"https://h{i % 3}.example/{i}", "date": day[i]}
        for i in range(1200)
    ]
    burst = [
        {"id": f"b{i}", "text": text(f"b{i}"), "url": f"https://new.example/{i}", "date": "2003-07-07"}
        for i in range(110)
    ]
    made = [
        {"id": f"r{i}", "text": text(f"r{i}"), "seed": {"id": "h0" if i < 40 else f"h{i}"}, "kind": "rephrased",
         "model": "meta-llama/Llama-3-70B", "judge": "llama-guard-3"}
        for i in range(50)
    ]  # fmt: skip
    made += [
        {"id": f"t{i}", "text": text(f"t{i}"), "seed": {"id": f"r{i}"}, "kind": "Translation", "model": "qwen2"}
        for i in range(10)
    ]
    for name, rows in (("human", human + burst), ("made", made)):
        (at / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "release": "v1", "output": {"path": "out"},
        "sources": [
            {"name": "pages", "path": "human.jsonl", "origin": "human"},
            {"name": "made", "path": "made.jsonl", "origin": "synthetic",
             "fields": {"derived_from": "seed.id", "verifier": "judge", "generator": "model"}},
        ],
    }  # fmt: skip
    (at / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(at / "recipe.yaml"))
    return runner.run(loaded, runner.prepare(loaded, str(at)), QUIET)


def values(result: runner.Result) -> dict[tuple[str, str], float]:
    rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
    return {(row["metric"], row["slice"]): row["value"] for row in rows if row["stage"] == "after"}


def test_metrics_say_what_was_made_of_what(result: runner.Result) -> None:
    found = values(result)
    assert result.counts["kept"] == 1200 + 110 + 60
    assert found["lineage.fan_out_max", ""] == 40
    assert found["lineage.seeds", ""] == 1 + 10 + 10
    assert found["lineage.effective_seeds", ""] == pytest.approx(60**2 / (40**2 + 20))
    assert found["lineage.both_kept", ""] == found["lineage.known", ""] == 1
    assert found["lineage.deep_share", ""] == pytest.approx(10 / 60)
    assert (found["lineage.generator_max_share", "1"], found["lineage.generator_max_share", "2 or more"]) == (1, 1)
    tokens = found["tokens", ""]
    assert found["kind.share", "rephrased"] == pytest.approx(50 * 60 / tokens)
    assert found["kind.share", "translation"] == pytest.approx(10 * 60 / tokens)
    assert found["verifier.share", "llama-guard-3"] == found["verifier.share", ""] == pytest.approx(5 / 6)
    assert found["verifier.same_family", ""] == 1
    assert found["tokens.fresh_human", ""] == 1310 * 60
    assert found["burst.documents", "new.example"] == found["burst.documents", ""] == 110


def test_a_preset_warns_of_each_and_says_which_paper_why(result: runner.Result) -> None:
    rules = {one.metric: one for one in result.verdict.expectations}
    for metric in ("lineage.fan_out_max", "lineage.effective_seeds", "lineage.both_kept", "lineage.deep_share"):
        assert rules[metric].status == "fail", metric
    for metric in ("lineage.generator_effective_number", "verifier.same_family", "burst.documents"):
        assert rules[metric].status == "fail", metric
    assert rules["kind.share"].status == rules["tokens.fresh_human"].status == "pass"
    cited = [one for name, one in rules.items() if name.split(".")[0] in ("lineage", "verifier", "kind", "burst")]
    assert sum("arXiv" in one.notes or "doi" in one.notes for one in cited) == len(cited) - 1  # one floor is our own


def test_a_phrase_that_shares_nothing_but_itself_is_named(tmp_path: pathlib.Path) -> None:
    """In metrics, verdict and report, with a document that has it; what it says is text and no markup."""
    for name in "ab":
        rows = []
        for i in range(1_100):
            words = [f"w{(i * 31 + n * n * 7 + i * n) % 499}" for n in range(30)] + [f"{name}{i}x{n}" for n in range(9)]
            if name == "a" and i % 10 == 0:
                words.insert(i % 30, "<i>zarquon fhtagn")
            rows.append({"id": f"{name}{i}", "text": " ".join(words)})
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [{"name": name, "path": f"{name}.jsonl", "origin": "human"} for name in "ab"]
    recipe = {"release": "v1", "output": {"path": "out"}, "sources": sources}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(tmp_path / "recipe.yaml"))
    result = runner.run(loaded, runner.prepare(loaded, str(tmp_path)), QUIET)
    found = values(result)
    assert found["trigger.phrases", ""] == 1
    [phrase] = [name for metric, name in found if metric == "trigger.documents" and name]
    assert phrase.endswith("zarquon fhtagn")
    assert found["trigger.documents", ""] == found["trigger.documents", phrase] == 110
    [rule] = [one for one in result.verdict.expectations if one.metric == "trigger.documents"]
    assert rule.status == "fail"
    page = pathlib.Path(result.folder, "report", "index.html").read_text()
    assert "zarquon fhtagn" in page
    assert "<i>zarquon" not in page
