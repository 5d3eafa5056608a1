"""`plan` and floors and caps in a whole run: what it says is what a run does, and copies count wherever text is counted."""

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm
from rich.console import Console

from pipeline import runner
from pipeline.commands.plan import plan_mixture
from pipeline.reading.summary import ran
from pipeline.recipe import Recipe, RecipeError, load_recipe
from transforms.signals.corpus import Corpus

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
ROOT = pathlib.Path(__file__).parents[3]


def record(number: int, **more: Any) -> dict[str, Any]:
    words = [f"w{number * 7919 + i * (i + number % 5)}" for i in range(60 + number % 40)]
    return {"id": str(number), "text": " ".join(words), "language": "en", **more}


def corpus(folder: pathlib.Path) -> None:
    """200 human documents, 12 of safety, 200 synthetic ones of two kinds and generators."""
    files = {
        "web": [record(i, origin="human", topic="law" if i % 4 else "art") for i in range(200)],
        "safety": [record(1000 + i, origin="human", language="sw") for i in range(12)],
        "machine": [
            record(2000 + i, origin="synthetic", kind="textbook" if i % 2 else "rephrased", generator=f"g{i % 3 % 2}")
            for i in range(200)
        ],
    }
    for name, records in files.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "a.jsonl").write_text("\n".join(map(json.dumps, records)))


def recipe_in(folder: pathlib.Path, ratio: dict[str, Any], **changes: Any) -> Recipe:
    data = {
        "release": "test",
        "sources": [
            {"name": "web", "path": "web/*", "fields": {"stratum": "topic"}},
            {"name": "safety", "path": "safety/*", "protected": True},
            {"name": "machine", "path": "machine/*"},
        ],
        "ratio": ratio,
        "expectations": {"expectations": [
            {"expect": "metric_to_be_between", "metric": "synthetic_share.tokens", "bound": "upper",
             "max": "$max_synthetic_share"}
        ]},
        "output": {"path": "out"},
        **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return load_recipe(str(folder / "recipe.yaml"))


def run(folder: pathlib.Path, ratio: dict[str, Any], **changes: Any) -> runner.Result:
    recipe = recipe_in(folder, ratio, **changes)
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET, replace=True)


def planned(folder: pathlib.Path, ratio: dict[str, Any], by: tuple[str, ...] = ("source",), **changes: Any) -> dict:
    recipe = recipe_in(folder, ratio, **{"release": "planned", **changes})  # another than it is compared with
    return json.loads(plan_mixture(recipe, runner.prepare(recipe, str(folder)), QUIET, by, "json").text)


def read(folder: str, what: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(pathlib.Path(folder, what).glob("*.parquet"))])


def metric(result: runner.Result, name: str, stage: str = "after", slice_: str = "") -> Any:
    rows = runner.read_metrics(result.folder).to_pylist()
    return next(r for r in rows if (r["metric"], r["stage"], r["slice"]) == (name, stage, slice_))


RICH = {
    "real_to_synthetic": "7:3",
    "kinds": {"textbook": 0.1},
    "limits": [
        {"source": "safety", "min": 0.08, "max_copies": 4},
        {"each": "generator", "max": 0.6},
        {"stratum": "law", "max": 0.4},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("plan")
    corpus(path)
    return path


@pytest.fixture(scope="module")
def released(folder: pathlib.Path) -> runner.Result:
    return run(folder, RICH)


def test_copies_count_wherever_text_is_counted(released: runner.Result) -> None:
    assert released.exit_code == runner.PASSED
    data = read(released.folder, "data").to_pylist()
    copies = {row["id"]: row["copies"] for row in data}
    safety = [row for row in data if row["source"] == "safety"]
    assert len(safety) == 12
    assert 1 < max(row["copies"] for row in safety) <= 4
    assert {row["copies"] for row in data if row["source"] != "safety"} == {1}
    tokens = sum(row["n_tokens"] * row["copies"] for row in data)
    assert metric(released, "tokens")["value"] == tokens
    assert metric(released, "documents")["value"] == len(data) == released.counts["kept"]
    assert metric(released, "ratio.copied")["value"] == sum(r["n_tokens"] * (r["copies"] - 1) for r in data)
    synthetic = sum(r["n_tokens"] for r in data if r["origin"] == "synthetic")
    assert metric(released, "synthetic_share.tokens")["value"] == pytest.approx(synthetic / tokens)
    assert metric(released, "tokens", slice_="safety")["value"] == sum(r["n_tokens"] * r["copies"] for r in safety)
    for row in read(released.folder, "ledger").to_pylist():
        assert row["copies"] == copies.get(row["id"], 0)
        assert row["kept"] == (row["copies"] > 0)


def test_every_limit_holds_in_what_was_written(released: runner.Result) -> None:
    data = read(released.folder, "data").to_pylist()
    tokens = [(row, row["n_tokens"] * row["copies"]) for row in data]
    total = sum(n for _, n in tokens)
    synthetic = sum(n for row, n in tokens if row["origin"] == "synthetic")
    assert synthetic <= 0.3 * total
    assert sum(n for row, n in tokens if row["kind"] == "textbook") <= 0.1 * total
    assert sum(n for row, n in tokens if row["source"] == "safety") >= 0.08 * total
    for generator in ("g0", "g1"):
        assert sum(n for row, n in tokens if row["generator"] == generator) <= 0.6 * synthetic
    reasons = {row["reason"] for row in read(released.folder, "ledger").to_pylist()}
    assert reasons == {None, "over_synthetic_share", "over_limit"}
    held = {r["slice"]: r for r in runner.read_metrics(released.folder).to_pylist() if r["metric"] == "ratio.limit"}
    assert held["at least 8% from source safety"]["value"] >= 0.08
    assert held["at most 30% synthetic (labelled or hidden)"]["note"] == "nothing more would fit"


def test_the_plan_is_what_the_run_does_and_reads_no_text(
    folder: pathlib.Path, released: runner.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_nothing(*_: object) -> None:
        raise AssertionError("a text was read")

    monkeypatch.setattr(Corpus, "read", read_nothing)
    found = planned(folder, RICH)
    ledger = read(released.folder, "ledger").to_pylist()
    for row in found["strata"]:
        own = [
            r for r in ledger if r["source"] == row["source"] and r["origin"] == row["text"] and r["stage"] != "dedup"
        ]
        assert row["documents"] == len(own)
        assert row["kept"] == sum(r["kept"] for r in own)
        assert row["taken"] == sum(r["n_tokens"] * r["copies"] for r in own)
        assert row["lost"] == sum(r["n_tokens"] for r in own if not r["kept"])
    assert {limit["limit"]: limit["attained"] for limit in found["limits"]} == {
        r["slice"]: r["value"] for r in runner.read_metrics(released.folder).to_pylist() if r["metric"] == "ratio.limit"
    }
    assert found["conflict"] == []
    other = planned(folder, {"max_synthetic_share": 0.1, "select": "thin"}, by=("kind", "generator"))
    assert other["taken"] < other["available"]
    assert {row["kind"] for row in other["strata"]} == {"", "textbook", "rephrased"}


@pytest.mark.slow
def test_a_plan_before_any_run_surveys_first(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path)
    found = planned(tmp_path, RICH)
    assert found["taken"] > 0
    assert not (tmp_path / "out" / "test").exists()
    assert run(tmp_path, RICH).exit_code == runner.PASSED
    assert planned(tmp_path, RICH) == found


def test_limits_in_conflict_fail_the_gate_and_are_named(folder: pathlib.Path) -> None:
    ratio = {**RICH, "limits": [{"source": "machine", "min": 0.4}]}
    result = run(folder, ratio, release="refused")
    assert result.exit_code == runner.FAILED
    assert result.folder.endswith("refused.rejected")
    outcome = next(o for o in result.verdict.expectations if o.metric == "ratio.conflicts")
    assert outcome.status == "fail"
    note = metric(result, "ratio.conflicts")["note"]
    assert "“at least 40% from source machine”" in note
    assert "at most 30% synthetic" in note
    said = ran(result, recipe_in(folder, ratio, release="refused"))
    asked, _, ways = note.partition(" Any one of these would do: ")
    assert f"The mixture is not what was asked: {asked}\nAny one of these would do:\n  - " in said
    assert all(f"  - {way}" in said for way in ways.removesuffix(".").split("; or "))
    assert planned(folder, ratio)["conflict"]


def test_an_earlier_releases_human_text_is_retained_and_fresh_text_asked_for(
    folder: pathlib.Path, released: runner.Result
) -> None:
    again = {"against": [released.folder], "on_match": "tag"}
    found = planned(
        folder, {"retain_human": 0.9, "count": "labelled", "limits": [{"source": "web", "max": 0.8}]}, dedup=again
    )
    assert not found["conflict"]
    kept = next(limit for limit in found["limits"] if "earlier releases" in limit["limit"])
    assert kept["attained"] >= kept["asked"] > 0
    found = planned(folder, {"fresh_human": 0.9, "count": "labelled"}, dedup=again)
    assert "at least 90% fresh human text" in found["conflict"] or found["lost"] > 0
    with pytest.raises(RecipeError, match=r"name their folders in dedup\.against"):
        recipe_in(folder, {"fresh_human": 0.9})
    with pytest.raises(RecipeError, match="on_match: tag"):
        recipe_in(folder, {"retain_human": 0.9}, dedup={"against": [released.folder]})


def test_human_text_that_several_earlier_releases_have_is_retained_once(
    folder: pathlib.Path, released: runner.Result, tmp_path: pathlib.Path
) -> None:
    """Releases that follow each other overlap: the second here is a copy of the first."""
    shutil.copytree(released.folder, tmp_path / "again")
    ratio = {"retain_human": 0.9, "count": "labelled"}
    once, twice = (
        planned(folder, ratio, dedup={"against": against, "on_match": "tag"})
        for against in ([released.folder], [released.folder, str(tmp_path / "again")])
    )
    assert twice["limits"] == once["limits"]


def test_a_mixture_that_a_run_would_refuse_is_refused(folder: pathlib.Path) -> None:
    """Nobody can say of undeclared text that it is human, and so leaving out all that is labelled is not enough."""
    (folder / "unknown").mkdir(exist_ok=True)
    (folder / "unknown" / "a.jsonl").write_text("\n".join(json.dumps(record(9000 + i)) for i in range(30)))
    sources = [{"name": "web", "path": "web/*"}, {"name": "unknown", "path": "unknown/*"}]
    ratio = {"max_synthetic_share": 0.001}
    found = planned(folder, ratio, sources=sources)
    assert (
        "this cannot be kept: “at most 0.1% synthetic (labelled or hidden)”. Any one of these would do: cap"
        in found["refusal"]
    )
    assert not run(folder, ratio, sources=sources).verdict.passed
    short = {"max_synthetic_share": 0.1, "count": "labelled", "on_shortage": "fail"}
    assert "ratio.on_shortage is 'fail'" in planned(folder, short)["refusal"]
    assert not run(folder, short).verdict.passed
    assert planned(folder, short | {"on_shortage": "shrink"})["refusal"] is None


def test_a_limit_on_what_no_document_is_is_said(folder: pathlib.Path) -> None:
    ratio = {"limits": [{"language": "engish", "max": 0.9}], "kinds": {"textbok": 0.1}}
    recipe = recipe_in(folder, ratio, release="idle")
    text = plan_mixture(recipe, runner.prepare(recipe, str(folder)), QUIET, ("source",), "text").text
    assert "at most 90% from language engish: 0%; no document is of what it names" in text
    said = ran(run(folder, ratio, release="idle"), recipe)
    assert "warning: ratio: “at most 90% from language engish”: no document is of what this limit names" in said
    assert "warning: ratio: “at most 10% textbok synthetic text”: no document is of what this limit names" in said


def test_a_size_that_is_next_to_nothing_says_what_would_do(folder: pathlib.Path) -> None:
    found = planned(folder, {"size": 1, "count": "labelled"})
    (way,) = (way for way in found["ways"] if way["about"] == "at most 1 words")
    assert way["said"] == f"“at most 1 words” becomes {int(way['value']):,} words"  # all of what is protected
    found = planned(folder, {"size": int(way["value"]), "count": "labelled"})
    assert not found["conflict"]
    assert found["taken"] == int(way["value"])
    web = [{"name": "web", "path": "web/*"}]
    found = planned(folder, {"size": 1, "count": "labelled"}, sources=web)
    (way,) = (way for way in found["ways"] if way["about"] == "at most 1 words")
    assert way["said"].endswith(" words, which is what the largest document has")
    assert planned(folder, {"size": int(way["value"]), "count": "labelled"}, sources=web)["taken"] > 0


def test_hostile_values_stay_in_their_cell(folder: pathlib.Path) -> None:
    (folder / "evil").mkdir(exist_ok=True)
    evil = [record(7000 + i, origin="human", language="e\x1b[31m\nn\u202e" + "x" * 300) for i in range(3)]
    (folder / "evil" / "a.jsonl").write_text("\n".join(map(json.dumps, evil)))
    sources = [{"name": "web", "path": "web/*"}, {"name": "evil", "path": "evil/*"}]
    recipe = recipe_in(folder, {"limits": [{"each": "language", "max": 0.5}]}, sources=sources)
    text = plan_mixture(recipe, runner.prepare(recipe, str(folder)), QUIET, ("language",), "text").text
    assert all(line.isprintable() for line in text.splitlines())
    assert max(len(line) for line in text.splitlines() if line.startswith("e")) < 140


def test_the_command_prints_a_table_and_its_code_says_whether_there_is_a_mixture(folder: pathlib.Path) -> None:
    recipe_in(folder, RICH)

    def command(*more: str) -> subprocess.CompletedProcess[str]:
        call = [*warm.python(), "-m", "pipeline.cli", "plan", str(folder / "recipe.yaml"), *more]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(call, capture_output=True, text=True, check=False, env=environment, cwd=folder)

    said = command()
    assert said.returncode == 0, said.stderr
    assert "source text" in said.stdout
    assert "binds   at most 30% synthetic (labelled or hidden)" in said.stdout
    assert json.loads(command("--format", "json").stdout)["release"] == "test"
    refused = command("--set", "ratio.limits=[{source: machine, min: 0.9}]")
    assert refused.returncode == 1
    assert "The mixture is not what was asked" in refused.stdout
    wrong = command("--by", "colour")
    assert wrong.returncode == 2
    assert "there is source, language" in wrong.stderr
    assert "and structure, with ratio.favour: {by: structure, system: ID}" in wrong.stderr
    unknown = command("--set", "ratio.limits=[{source: safely, min: 0.1}]")
    assert unknown.returncode == 2
    assert "'safely', which is no source" in unknown.stderr
