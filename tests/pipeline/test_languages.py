"""Languages and kinds of text through a whole run: found where the input says nothing, one tag; what is no prose has no score."""

import json
import os
import pathlib

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.score import score_input
from pipeline.recipe import load_recipe

GERMAN = "Der Ausschuss {n} trat am Dienstag zusammen, um über den Zustand der Brücke von Dorf {n} zu sprechen, und sperrte sie."
ENGLISH = "Committee {n} met on Tuesday to speak about the state of the bridge of village {n}, and it was decided to close it."
CODE = "def total_{n}(rows, weights=None):\n    return sum(row[{n}] * weights.get(row.key, 1.0) for row in rows)\n\n"


def documents() -> list[dict]:
    found: list[dict] = []
    for number in range(12):
        spelling = ["en", "eng_Latn", "EN-us", "English"][number % 4]
        found.append({"id": f"said {number}", "language": spelling, "text": ENGLISH.format(n=number) * 3})
        found.append({"id": f"found {number}", "text": GERMAN.format(n=number) * 3})
        found.append({"id": f"code {number}", "text": "".join(CODE.format(n=50 * number + i) for i in range(12))})
        found.append({"id": f"short {number}", "text": "zzqx " + 3 * chr(97 + number)})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("languages")
    (folder / "in").mkdir()
    (folder / "in" / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def release(folder: pathlib.Path) -> pathlib.Path:
    recipe = {
        "release": "r",
        "sources": [{"name": "web", "path": "in"}],
        "ratio": {"max_synthetic_share": 1.0},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": "out"},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(folder / "recipe.yaml"))
    with open(os.devnull, "w") as nowhere:
        found = runner.run(loaded, runner.prepare(loaded, str(folder)), Console(file=nowhere))
    assert found.folder is not None
    return pathlib.Path(found.folder)


def rows(release: pathlib.Path, part: str) -> list[dict]:
    return [row for path in sorted(release.glob(part)) for row in pq.read_table(path).to_pylist()]


def test_what_is_said_has_one_tag_and_what_is_not_is_found_with_its_confidence(release: pathlib.Path) -> None:
    known = {"said": ("en", False), "found": ("de", True), "code": (None, False)}
    kept = rows(release, "data/*.parquet")
    assert {row["input_id"].split()[0] for row in kept} == {*known, "short"}
    for row in kept:
        what = row["input_id"].split()[0]
        if what in known:
            assert (row["language"], row["language_confidence"] is not None) == known[what], row
        else:
            assert (row["language"] is None) == (row["language_confidence"] < 0.5)


def test_what_is_no_prose_is_named_and_counted_and_has_no_score(release: pathlib.Path) -> None:
    for row in rows(release, "ledger/*.parquet"):
        code = row["input_id"].startswith("code")
        assert row["text_kind"] == ("code" if code else None)
        assert not code or (row["p_synthetic"], row["origin"]) == (None, "unknown")
    metrics = {
        (r["metric"], r["stage"], r["slice_kind"], r["slice"]): r["value"] for r in rows(release, "metrics.parquet")
    }
    assert metrics["documents.no_prose", "before", "overall", ""] == 12
    assert metrics["documents.no_prose", "before", "text_kind", "code"] == 12
    assert metrics["documents.no_prose", "before", "text_kind", "log"] == 0
    read = {key[3]: n for key, n in metrics.items() if key[:3] == ("documents", "before", "language")}
    assert min(read["en"], read["de"], read["unknown"]) >= 12
    assert sum(read.values()) == 48


def test_score_says_the_same(folder: pathlib.Path) -> None:
    score_input([str(folder / "in")], str(folder / "scores.parquet"), (), None, None)
    for row in pq.read_table(folder / "scores.parquet").to_pylist():
        what = row["id"].split()[0]
        assert row["text_kind"] == ("code" if what == "code" else None)
        assert what == "short" or row["language"] == {"said": "en", "found": "de"}.get(what)
        assert what != "code" or row["p_synthetic"] is None
