"""Structures through the whole flow: a group that a flood of synthetic text drowns is missed, and the gate says so."""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from expectations.structures.system import StructuresError
from pipeline import runner
from pipeline.commands.gate import judge_again
from pipeline.commands.plan import plan_mixture
from pipeline.recipe import RecipeError, load_recipe
from tests.pipeline.test_store import signals_in

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
HOSTILE = "<script>alert(1)</script> \u202e"


def corpus(human: int, synthetic: int, lost: bool) -> list[dict]:
    """Documents of words that no other has. A third of the human ones speak of a river; synthetic ones do if not `lost`."""
    records = []
    for number in range(human + synthetic):
        origin = "human" if number < human else "synthetic"
        speaks = number % 3 == 0 and (origin == "human" or not lost)
        words = [f"{number}w{i}" for i in range(20)] + (["the", "River,"] if speaks else ["a", "road"])
        kind = "novel" if number % 5 else "essay"
        records.append({"id": str(number), "text": " ".join(words), "origin": origin, "kind": kind, "language": "en"})
    return records


RIVER = {
    "id": "places",
    "owner": {"team": HOSTILE, "contact": "us@example.org"},
    "rationale": f"Rivers must not dry up. {HOSTILE}",
    "slice": {"language": "en", "min_tokens": 20},
    "structures": [
        {"id": "river", "kind": "lexicon", "terms_file": "river.txt", "note": HOSTILE},
        {"id": "road", "kind": "regex", "pattern": r"\bROAD\b"},
        {"id": "essay", "kind": "column", "column": "kind", "values": "essay"},
    ],
    "expectations": [
        {"kind": "retention", "structures": ["river"], "min": 0.8, "notes": HOSTILE},
        {"kind": "max_core", "max": 0.99, "severity": "warning"},
        {"kind": "stage_delta", "stage": "balance", "max_retention_loss": 0.1, "severity": "warning"},
    ],
}


def run(folder: pathlib.Path, records: list[dict] | None, system: dict | None, **changes: object) -> runner.Result:
    if records is not None:
        (folder / "corpus").mkdir()
        lines = "\n".join(map(json.dumps, records))
        (folder / "corpus" / "all.jsonl").write_text(lines)
    (folder / "river.txt").write_text("river\nrivers\n")
    (folder / "systems.yaml").write_text(yaml.safe_dump({"systems": [system]}))
    asked = [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]
    data = {
        "release": "test",
        "sources": [{"name": "web", "path": "corpus/*"}],
        "ratio": {"max_synthetic_share": 0.9},
        "expectations": {"expectations": asked},
        "output": {"path": "out"},
        **({"structures": "systems.yaml"} if system else {}),
        **changes,
    }
    (folder / "recipe.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET, replace=True)


def outcomes(result: runner.Result) -> dict:
    return {(o.metric.removeprefix("structure."), o.slice): o for o in result.verdict.expectations}


@pytest.fixture(scope="module")
def drowned(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, runner.Result]:
    """800 human documents, and 1500 synthetic ones in which there is no river."""
    folder = tmp_path_factory.mktemp("drowned")
    return folder, run(folder, corpus(800, 1500, lost=True), RIVER)


def test_a_planted_loss_is_caught_and_nothing_is_released(drowned: tuple[pathlib.Path, runner.Result]) -> None:
    _, result = drowned
    assert result.exit_code == runner.FAILED
    assert not pathlib.Path(result.folder, "data").exists()
    lost = outcomes(result)["retention", "places/river"]
    assert lost.status == "fail"
    assert lost.worst.value == pytest.approx(800 / 2300)  # as many of the documents are human
    assert lost.worst.n == 800
    assert list(result.verdict.reasons) == [lost.message]
    assert outcomes(result)["core", "places/*"].status == "pass"
    assert outcomes(result)["stage_retention", "places/*"].status == "pass"  # the ratio stage dropped nothing


def test_the_metrics_have_every_structure_by_stage_and_origin(drowned: tuple[pathlib.Path, runner.Result]) -> None:
    rows = pq.read_table(pathlib.Path(drowned[1].folder, "metrics.parquet")).to_pylist()
    core = {(r["slice"], r["stage"]): r for r in rows if r["metric"] == "structure.core"}
    assert core["places/river", "after"]["value"] == pytest.approx(267 / 2300)
    assert core["places/river/human", "after"]["value"] == pytest.approx(267 / 800)
    assert core["places/river/synthetic", "after"]["value"] == 0
    assert core["places/road", "before"]["value"] == pytest.approx(1 - 267 / 2300)
    assert core["places/essay", "deduplicated"]["value"] == pytest.approx(1 / 5)
    together = {r["slice"]: r["n"] for r in rows if r["metric"] == "structure.pattern"}
    assert set(together) == {"places/river", "places/road", "places/river+essay", "places/road+essay"}
    assert sum(together.values()) == 2300


def test_the_report_says_who_and_why_and_shows_hostile_words_as_text(
    drowned: tuple[pathlib.Path, runner.Result],
) -> None:
    page = pathlib.Path(drowned[1].folder, "report", "index.html").read_text()
    assert "What diversity means, and to whom" in page
    assert "Rivers must not dry up. &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "us@example.org" in page
    assert page.count("<script") == 1
    assert "\u202e" not in page
    assert "the human documents that dedup kept" in page


def test_the_release_says_what_was_looked_for(drowned: tuple[pathlib.Path, runner.Result]) -> None:
    stored = yaml.safe_load(pathlib.Path(drowned[1].folder, "structures.yaml").read_text())["systems"][0]
    assert stored["structures"][0]["terms"] == ["river", "rivers"]
    assert stored["owner"]["team"] == HOSTILE


def test_gate_judges_again_by_the_systems_of_the_release(
    drowned: tuple[pathlib.Path, runner.Result],
) -> None:
    folder, result = drowned
    (folder / "systems.yaml").unlink()  # whatever became of the file
    verdict, code = judge_again(result.folder, None, ())
    assert (code, verdict.reasons) == (runner.FAILED, result.verdict.reasons)


@pytest.mark.slow
def test_another_expectation_reads_no_text_and_another_word_does(
    drowned: tuple[pathlib.Path, runner.Result],
) -> None:
    folder, _ = drowned
    signals = signals_in(folder)
    relaxed = RIVER | {
        "expectations": [{"kind": "retention", "structures": ["river"], "min": 0.2}],
        "rationale": "else",
    }
    passed = run(folder, None, relaxed)
    assert passed.exit_code == runner.PASSED
    assert signals_in(folder) == signals
    manifest = json.loads(pathlib.Path(passed.folder, "MANIFEST.json").read_text())
    about = manifest["structures"][0]
    assert (about["id"], about["rationale"], len(about["definition_sha256"])) == ("places", "else", 64)
    assert "structures.yaml" in {entry["path"] for entry in manifest["files"]}
    # The release that just passed can be the next one's reference.
    next_one = relaxed | {"reference": {"release": "out/test"}}
    again = run(folder, None, next_one, release="next")
    assert outcomes(again)["retention", "places/river"].worst.value == 1
    other_words = relaxed | {"structures": [{"id": "river", "kind": "lexicon", "terms": ["brook"]}]}
    run(folder, None, other_words, release="words")
    assert len(signals_in(folder)) == 2 * len(signals)
    with pytest.raises(StructuresError, match="by other structures, slice or weight"):
        run(folder, None, other_words | {"reference": {"release": "out/test"}}, release="other")
    with pytest.raises(StructuresError, match="is not a release"):
        run(folder, None, relaxed | {"reference": {"release": "out/none"}}, release="other")


def test_what_is_not_lost_passes(tmp_path: pathlib.Path) -> None:
    result = run(tmp_path, corpus(1500, 1500, lost=False), RIVER)
    assert result.exit_code == runner.PASSED
    assert outcomes(result)["retention", "places/river"].status == "pass"
    assert not result.verdict.warnings


def test_too_little_data_is_inconclusive_and_warns(tmp_path: pathlib.Path) -> None:
    result = run(tmp_path, corpus(60, 60, lost=False), RIVER)
    assert result.exit_code == runner.PASSED
    judged = outcomes(result)["retention", "places/river"]
    assert (judged.status, judged.severity) == ("inconclusive", "critical")
    assert "it rests on 60 documents, and it takes 560 to judge it" in judged.message
    assert judged.message in result.verdict.warnings
    assert ">inconclusive</span>" in pathlib.Path(result.folder, "report", "index.html").read_text()


def test_without_structures_nothing_is_looked_for(tmp_path: pathlib.Path) -> None:
    result = run(tmp_path, corpus(30, 0, lost=False), None)
    signals = pq.read_table(next(path for path in signals_in(tmp_path) if "quarantine" not in path.name))
    if "compliance" in signals.column_names:
        assert signals["compliance"].null_count == signals.num_rows
    rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
    assert not [r for r in rows if r["metric"].startswith("structure.")]
    assert not pathlib.Path(result.folder, "structures.yaml").exists()
    assert "What diversity means" not in pathlib.Path(result.folder, "report", "index.html").read_text()


def test_a_wrong_key_or_file_is_said_before_any_work(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StructuresError, match=r"systems\[0\].colour: unknown key"):
        run(tmp_path, corpus(3, 0, lost=False), RIVER | {"colour": "blue"})
    with pytest.raises(RecipeError, match="structures"):
        run(tmp_path, None, RIVER, structures={"a": 1})
    with pytest.raises(StructuresError, match="cannot read"):
        run(tmp_path, None, RIVER, structures=["none.yaml"])
    assert not (tmp_path / "out").exists()


def test_a_rare_structure_is_favoured_in_the_release_as_planned(tmp_path: pathlib.Path) -> None:
    """Documents of the river are rare in their slice; another language is none of the system's business."""
    records = corpus(600, 300, lost=True)
    german = [
        one | {"id": f"de{one['id']}", "language": "de", "text": one["text"].replace("w", "v")} for one in records
    ]
    records += german
    favour = {"by": "structure", "system": "places", "structures": ["river"], "power": 0.4, "max_copies": 3}
    ratio = {"max_synthetic_share": 0.9, "favour": favour, "size": 12_000, "count": "labelled"}
    result = run(tmp_path, records, RIVER | {"expectations": []}, ratio=ratio)
    ledger = pq.read_table(pathlib.Path(result.folder, "ledger")).to_pylist()
    by_id = {record["id"]: record for record in records}
    left = [row | {"river": "River" in by_id[row["input_id"]]["text"] and by_id[row["input_id"]]["language"] == "en"}
            for row in ledger if row["stage"] != "dedup"]  # fmt: skip
    inside = [row for row in left if by_id[row["input_id"]]["language"] == "en"]
    share = sum(row["n_tokens"] for row in inside if row["river"]) / sum(row["n_tokens"] for row in inside)
    rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
    weights = {row["slice"]: row["value"] for row in rows if row["metric"] == "ratio.weight"}
    assert weights == {"places/river": pytest.approx(share**-0.6)}
    human = [row for row in left if row["origin"] == "human"]  # synthetic text goes first, whatever is favoured
    taken = {river: [row["copies"] for row in human if row["river"] is river] for river in (True, False)}
    mean = {river: sum(copies) / len(copies) for river, copies in taken.items()}
    assert mean[True] == pytest.approx(weights["places/river"] * mean[False], rel=0.03)
    assert sum(row["n_tokens"] * row["copies"] for row in ledger) <= 12_000

    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    plan = plan_mixture(recipe, runner.prepare(recipe, str(tmp_path)), QUIET, ("structure",), "json")
    planned = {row["structure"]: row["kept"] for row in json.loads(plan.text)["strata"] if row["text"] == "human"}
    assert planned["places/river"] == sum(copies > 0 for copies in taken[True])
    said = plan_mixture(recipe, runner.prepare(recipe, str(tmp_path)), QUIET, ("source",), "text").text
    assert said.splitlines()[-1] == f"weights of structures: places/river {weights['places/river']:.3g}"
    with pytest.raises(StructuresError, match="did you mean 'places'"):
        run(tmp_path, None, RIVER, ratio={"favour": {"by": "structure", "system": "place"}})


def test_a_classifier_is_corrected_by_its_labelled_sample_through_the_whole_flow(tmp_path: pathlib.Path) -> None:
    """Scores that err as the sample says: in the release a third of what the human documents have is left."""
    records = corpus(1200, 2400, lost=True)
    for number, record in enumerate(records):
        has = "River" in record["text"]
        record["wet"] = (0.9 if number // 3 % 10 else 0.1) if has else (0.8 if number % 20 == 1 else 0.1)
    rows = [(0.9 if i % 10 else 0.1, "wet") for i in range(1000)] + [
        (0.8 if i % 20 == 0 else 0.1, "dry") for i in range(2000)
    ]
    pq.write_table(
        pa.table({"wet": [score for score, _ in rows], "label": [label for _, label in rows]}),
        tmp_path / "labels.parquet",
    )
    wet = {"id": "wet", "kind": "classifier", "column": "wet", "threshold": 0.5,
           "labelled": {"file": "labels.parquet", "positive": "wet"}}  # fmt: skip
    asked = [
        {"kind": "retention", "structures": ["wet"], "min": 0.5},
        {"kind": "min_share", "structure": "wet", "min": 0.08},
    ]
    one = RIVER | {"structures": [*RIVER["structures"][:1], wet], "expectations": asked}
    result = run(tmp_path, records, one)
    said = outcomes(result)
    assert said["retention", "places/wet"].status == "fail"
    assert said["core", "places/wet"].status == "pass"
    rows = {(r["metric"], r["slice"]): r for r in pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
            if r["stage"] == "after"}  # fmt: skip
    truth, core = rows["structure.core", "places/river"], rows["structure.core", "places/wet"]
    assert core["value"] == pytest.approx(truth["value"], rel=0.03)
    assert core["lower"] < truth["value"] < core["upper"]
    assert rows["structure.found", "places/wet"]["value"] > 1.25 * truth["value"]  # 5 % of a flood are taken for it
    page = pathlib.Path(result.folder, "report", "index.html").read_text()
    assert "it found 900 of 1,000 that have it and 100 of 2,000 that have not" in page
    (tmp_path / "labels.parquet").unlink()  # the release holds the counts
    verdict, code = judge_again(result.folder, None, ())
    assert (code, verdict.reasons) == (runner.FAILED, result.verdict.reasons)
    with pytest.raises(StructuresError, match=r"places\.wet: .*cannot be read as Parquet"):
        run(tmp_path, None, one)


def test_a_fasttext_model_is_asked_while_the_text_is_read(tmp_path: pathlib.Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    records = corpus(300, 300, lost=True)
    lines = [f"__label__{'wet' if i % 2 else 'dry'} {'the river ,' if i % 2 else 'a road'} w{i}" for i in range(400)]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    options = {"dim": 4, "epoch": 20, "lr": 0.5, "minCount": 2, "minn": 0, "maxn": 0, "thread": 1, "verbose": 0}
    fasttext.train_supervised(str(tmp_path / "train.txt"), **options).save_model(str(tmp_path / "wet.bin"))
    spoken = [record["text"] for record in corpus(60, 0, lost=False)]

    def label(n: int) -> None:
        labels = ["River" in text for text in spoken[:n]]
        pq.write_table(pa.table({"text": spoken[:n], "label": labels}), tmp_path / "labels.parquet")

    label(30)
    wet = {"id": "wet", "kind": "classifier", "model": "wet.bin", "positive_label": "wet", "threshold": 0.5,
           "labelled": {"file": "labels.parquet", "positive": "true"}}  # fmt: skip
    one = RIVER | {"structures": [*RIVER["structures"][:1], wet], "expectations": []}

    def cores(release: str) -> dict:
        result = run(tmp_path, None if release != "one" else records, one, release=release)
        rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
        return {(row["metric"], row["slice"]): row for row in rows if row["stage"] == "after"}

    first = cores("one")
    truth = first["structure.core", "places/river"]["value"]
    assert first["structure.found", "places/wet"]["value"] == pytest.approx(truth)  # an easy one: it errs nowhere
    assert first["structure.core", "places/wet"]["value"] == pytest.approx(truth)
    signals = signals_in(tmp_path)
    label(60)
    again = cores("two")
    assert signals_in(tmp_path) == signals  # more labels read no text
    assert again["structure.core", "places/wet"]["lower"] > first["structure.core", "places/wet"]["lower"]
