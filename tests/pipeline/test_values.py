"""Values and declarations through a whole run: what came in one spelling comes out in it (cases 06, 07, 09, 24, 56, 61)."""

import datetime
import json
import os
import pathlib
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.explain import explain_document
from pipeline.reading.summary import checked, ran
from pipeline.recipe import load_recipe

DAY = datetime.datetime(2015, 5, 5, tzinfo=datetime.UTC)
BIG = 1234567890123456789000


def text(name: str, number: int) -> str:
    """A text that no other is like."""
    words = " ".join(f"{name}{(37 * number + 11 * k * k) % 1009}" for k in range(40))
    return f"The {number}th abstract of {name} says: {words}."


def jsonl(path: pathlib.Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))


def parquet(path: pathlib.Path, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[runner.Result, str, str]:
    """The release, and what `check` and `run` say."""
    folder = tmp_path_factory.mktemp("values")
    jsonl(
        folder / "big/a.jsonl",
        [f'{{"id": {BIG + i}, "n": {BIG * 10 + i}, "text": "{text("big", i)}"}}' for i in range(20)],
    )
    ids = [uuid.UUID(int=0x4000_8000_0000_0000_0000 + i) for i in range(20)]
    parquet(
        folder / "uuids/a.parquet", id=pa.array([u.bytes for u in ids], pa.uuid()), n=pa.array([u.bytes for u in ids], pa.uuid()),
        text=[text("uuid", i) for i in range(20)],
    )  # fmt: skip
    drift = [
        (pa.array(range(20)), pa.array([DAY.replace(tzinfo=None)] * 20, pa.timestamp("ns")), pa.string()),
        (pa.array([str(i) for i in range(20, 40)]), pa.array(["2015-05-05"] * 20), pa.string()),
        (pa.array(range(40, 60), pa.float64()), pa.array([int(DAY.timestamp() * 1000)] * 20), pa.string()),
        (pa.array([str(i) for i in range(60, 80)]).dictionary_encode(), pa.array([DAY.date()] * 20), pa.large_string()),
        (pa.array([str(i) for i in range(80, 100)], pa.string_view()), pa.array([DAY] * 20), pa.string_view()),
    ]
    for number, (own, created, kind) in enumerate(drift):
        texts = pa.array([text("drift", 20 * number + i) for i in range(20)], kind)
        parquet(folder / f"drift/{number}.parquet", id=own, created=created, text=texts)
    labels = ["ai", "machine", "robotics", "optics"]
    jsonl(
        folder / "topics/a.jsonl", [json.dumps({"text": text("topic", i), "label": labels[i % 4]}) for i in range(20)]
    )
    strange = [
        {"text": text("strange", i), "by": ["human", "alien", "a\u202eb"][i % 3], "date": "soon"} for i in range(21)
    ]
    jsonl(folder / "strange/a.jsonl", [json.dumps(row) for row in strange])
    sources = [
        {"name": name, "path": name, "origin": "human"} for name in ("big", "uuids", "drift", "topics", "strange")
    ]
    sources[-1] |= {"fields": {"origin": "by"}}
    recipe = {
        "release": "r",
        "sources": sources,
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {
            "path": "out",
            "keep": ["n"],
            "row_group_bytes": 1,
        },  # every batch fills a row group, the last one too
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(folder / "recipe.yaml"))
    job = runner.prepare(loaded, str(folder))
    with open(os.devnull, "w") as nowhere:
        found = runner.run(loaded, job, Console(file=nowhere))
    return found, checked(loaded, job), ran(found, loaded)


@pytest.fixture(scope="module")
def rows(result: tuple[runner.Result, str, str]) -> list[dict]:
    return [row for path in pathlib.Path(result[0].folder, "data").iterdir() for row in pq.read_table(path).to_pylist()]


def of(rows: list[dict], source: str, column: str) -> list:
    return [row[column] for row in rows if row["source"] == source]


def test_integers_over_64_bits_have_their_digits(rows: list[dict]) -> None:
    assert sorted(of(rows, "big", "input_id")) == [str(BIG + i) for i in range(20)]
    assert sorted(of(rows, "big", "n")) == [str(BIG * 10 + i) for i in range(20)]


def test_uuids_have_no_quotation_marks(rows: list[dict]) -> None:
    assert sorted(of(rows, "uuids", "input_id")) == [f"00000000-0000-4000-8000-{i:012x}" for i in range(20)]
    assert of(rows, "uuids", "input_id") == of(rows, "uuids", "n")


def test_types_that_drift_between_shards_are_one_column(rows: list[dict]) -> None:
    assert sorted(of(rows, "drift", "input_id"), key=int) == [str(i) for i in range(100)]
    assert set(of(rows, "drift", "created")) == {DAY}


def test_explain_finds_an_id_as_people_write_it(result: tuple[runner.Result, str, str]) -> None:
    folder, at = result[0].folder, "00000000-0000-4000-8000-000000000007"
    for spelled in (at, at.replace("-", ""), f" {at.upper()} ", str(BIG + 7), "45"):
        said = explain_document(folder, spelled, texts=False).splitlines()
        assert sum(line.startswith("document ") for line in said) == 1
        assert said[1] == "  kept"


def test_a_topic_called_ai_is_no_declaration_and_check_and_run_say_so(
    rows: list[dict], result: tuple[runner.Result, str, str]
) -> None:
    assert of(rows, "topics", "origin") == ["human"] * 20
    for said in result[1:]:
        assert "source topics: column `label` is not read: the recipe says origin human" in said
    plain = "source drift: text from `text`, id from `id`, created from `created` (guessed by name)"
    assert sum(plain in said for said in result[1:]) == 1  # what changes no origin is for `check` to say


def test_values_that_are_not_understood_are_counted_and_shown(
    rows: list[dict], result: tuple[runner.Result, str, str]
) -> None:
    assert of(rows, "strange", "origin") == ["human"] * 21  # the source's, where the row's is no word for one
    metrics = pq.read_table(pathlib.Path(result[0].folder, "metrics.parquet")).to_pylist()
    counts = {row["slice"]: row["value"] for row in metrics if row["metric"] == "input.not_understood"}
    assert counts == {"": 14 + 21, "strange/origin": 14, "strange/created": 21}
    said = result[2]
    assert "source strange: 21 values of created not understood, for example 'soon'" in said
    assert "source strange: 14 values of origin not understood, for example 'a b'" in said
    report = pathlib.Path(result[0].folder, "report/index.html").read_text()
    assert "strange/origin" in report
    assert "\u202e" not in said + report
