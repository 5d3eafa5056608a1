"""The demo corpus is what it says, and the flow finds what was planted."""

import ast
import asyncio.tasks
import collections
import dataclasses
import gzip
import html
import json
import os
import pathlib
import re
import shutil
import typing
from unittest import mock

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from expectations.metrics.declared import METRICS
from pipeline import runner
from pipeline.advice.page import joined
from pipeline.advice.remarks import hint, remarks
from pipeline.commands import demo
from pipeline.graph import Job
from pipeline.recipe import Recipe, RecipeError, load_recipe
from transforms.ingest import readers
from transforms.ingest.json_columns import ColumnReader
from transforms.release.read_release import read_metrics


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, demo.DemoDocuments]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo.build_demo(str(folder))


def machine() -> list[dict]:
    return [json.loads(line) for line in demo._machine_lines()]


def test_the_machine_written_documents_differ_and_have_a_documents_length() -> None:
    texts = [record["text"] for record in machine()]
    assert len(set(texts)) == len(texts) >= 50
    assert len({" ".join(text.split()[:4]) for text in texts}) == len(texts)
    assert all(80 <= len(text.split()) <= 220 for text in texts)
    assert {record["generator"] for record in machine()} == {"claude"}


def test_the_corpus_has_what_it_says(built: tuple[pathlib.Path, demo.DemoDocuments]) -> None:
    folder, planted = built
    corpus = folder / "corpus"
    ids = [*pq.read_table(corpus / "cpython-topics" / "topics.parquet")["id"].to_pylist()]
    for path in sorted(corpus.rglob("*.jsonl*")):
        if path.name.startswith(("broken", "truncated")):
            continue
        data = path.read_bytes()
        lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
        ids += [json.loads(line)["id"] for line in lines]
    kinds = collections.Counter(
        next(
            (k for k in ("copy-of", "near-copy", "machine-copy", "blank", "web-", "machine-") if i.startswith(k)),
            "human",
        )
        for i in ids
    )
    assert kinds["human"] == planted.human
    assert kinds["machine-"] == planted.synthetic
    assert kinds["web-"] == planted.undeclared
    assert kinds["copy-of"] == planted.exact_duplicates
    assert kinds["near-copy"] + kinds["machine-copy"] == planted.near_duplicates
    assert kinds["blank"] == planted.empty


def test_statements_are_all_that_can_hold_a_docstring_in_the_order_of_ast_walk() -> None:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for module in (ast, asyncio.tasks, collections, dataclasses, typing):
        tree = ast.parse(pathlib.Path(str(module.__file__)).read_bytes())
        walked = [node for node in ast.walk(tree) if isinstance(node, kinds)]
        assert [node for node in demo._statements(tree) if isinstance(node, kinds)] == walked
    odd = """
if a:
    try: pass
    except B:
        def one(): pass
    else:
        class Two: pass
    finally:
        with c:
            async def three(): pass
else:
    match d:
        case 1:
            def four(): pass
"""
    found = [node.name for node in demo._statements(ast.parse(odd)) if hasattr(node, "name") and node.name]
    assert found == ["Two", "one", "three", "four"]  # the deepest last


def test_building_it_again_gives_the_same_bytes(
    built: tuple[pathlib.Path, demo.DemoDocuments], tmp_path: pathlib.Path
) -> None:
    folder, planted = built
    assert demo.build_demo(str(tmp_path)) == planted
    for path in (p for p in (folder / "corpus").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()


def test_the_documents_and_bad_records_are_the_same_read_by_columns_and_line_by_line(
    built: tuple[pathlib.Path, demo.DemoDocuments],
) -> None:
    corpus = runner.prepare(load_recipe(str(built[0] / "recipe.yaml")), str(built[0])).corpus

    def read() -> list[list[dict]]:
        pairs = [pair for split in corpus.splits for pair in corpus.read(split, ("id", "url"))]
        return [[row for pair in pairs for row in pair[side].to_pylist()] for side in (0, 1)]

    by_columns = read()
    assert len(by_columns[0]) > 1000
    with (
        mock.patch.object(ColumnReader, "read", return_value=None) as asked,
        mock.patch.object(readers, "SMALL_BYTES", -1),
    ):
        assert read() == by_columns
    assert asked.called


@pytest.mark.parametrize("name", ["machine/machine.jsonl", "web-undeclared/broken.jsonl"])
def test_what_people_changed_in_a_demo_is_not_built_over(
    built: tuple[pathlib.Path, demo.DemoDocuments], tmp_path: pathlib.Path, name: str
) -> None:
    shutil.copytree(built[0], tmp_path / "d")
    ours = (tmp_path / "d" / "corpus" / name).read_bytes()
    mine = ours + b'{"id": "mine", "text": "It took me a day."}\n'
    (tmp_path / "d" / "corpus" / name).write_bytes(mine)
    (tmp_path / "d" / "corpus" / "machine" / "more.jsonl").write_bytes(mine)
    os.link(tmp_path / "d" / "corpus" / name, tmp_path / "second name")
    with pytest.raises(RecipeError, match=f"{name} is not as the demo writes it; name a new folder, or say --force"):
        demo.build_demo(str(tmp_path / "d"))
    assert (tmp_path / "d" / "corpus" / name).read_bytes() == mine
    demo.build_demo(str(tmp_path / "d"), force=True)
    assert (tmp_path / "d" / "corpus" / name).read_bytes() == ours
    assert (tmp_path / "second name").read_bytes() == mine
    assert (tmp_path / "d" / "corpus" / "machine" / "more.jsonl").read_bytes() == mine


@pytest.fixture(scope="module")
def made(built: tuple[pathlib.Path, demo.DemoDocuments]) -> tuple[runner.Result, Recipe, Job]:
    folder, _ = built
    recipe = load_recipe(str(folder / "recipe.yaml"))
    job = runner.prepare(recipe, str(folder))
    with open("/dev/null", "w") as nowhere:
        return runner.run(recipe, job, Console(file=nowhere)), recipe, job


def test_what_the_terminal_says_of_a_run_stands_in_its_report(made: tuple[runner.Result, Recipe, Job]) -> None:
    result, recipe, job = made
    page = pathlib.Path(result.folder, "report", "index.html").read_text()
    text = " ".join(html.unescape(re.sub("<[^>]+>", "", page.partition("</style>")[2])).split())
    rows = read_metrics(result.folder).to_pylist()
    helps = joined(hint(rows, result.verdict, recipe, "recipe.yaml"))
    said = [*joined(remarks(rows, recipe, job.splits)), *helps, *result.verdict.blind_spots]
    said += [one.message for one in result.verdict.expectations if one.status != "pass" and one.severity != "info"]
    assert len(said) > 8
    for line in said:
        assert " ".join(line.removeprefix("- ").replace("`", "").split()) in text, line
    assert f"lowbackground explain {result.folder} " in text


def test_the_report_shows_dropped_texts_beside_those_that_stand_for_them(
    made: tuple[runner.Result, Recipe, Job],
) -> None:
    result, _, _ = made
    page = pathlib.Path(result.folder, "report", "index.html").read_text()
    shown = re.findall(r"lowbackground explain \S+ ([0-9a-f]{32})|id <code>([0-9a-f]{32})", page)
    ledger = [r for p in pathlib.Path(result.folder, "ledger").glob("*") for r in pq.read_table(p).to_pylist()]
    reasons = {row["id"]: row["reason"] for row in ledger if row["reason"]}
    assert {reasons[one or other] for one, other in shown} == set(reasons.values())
    near = page.partition("<h3>Near duplicate: 42 documents</h3>")[2].partition("<h3>")[0]
    assert near.count('<div class="pair">') == 2
    assert "<mark>" in near
    exact = page.partition("<h3>Exact duplicate: 56 documents</h3>")[2].partition("<h3>")[0]
    assert exact.count('<div class="pair">') == 2
    assert "<mark>" not in exact, "case and spacing are no difference"


def test_the_flow_finds_what_was_planted(
    built: tuple[pathlib.Path, demo.DemoDocuments], made: tuple[runner.Result, Recipe, Job]
) -> None:
    _, planted = built
    result, _, _ = made
    assert result.exit_code == runner.PASSED
    assert result.counts["dropped.empty_text"] == planted.empty
    assert result.counts["quarantined"] == sum(planted.broken.values())
    assert result.counts["dropped.over_synthetic_share"] > 0
    ledger = [r for p in pathlib.Path(result.folder, "ledger").glob("*") for r in pq.read_table(p).to_pylist()]
    by_id = {row["input_id"]: row for row in ledger}
    for row in ledger:
        name = row["input_id"] or ""
        if name.startswith("copy-of-"):
            assert row["cluster_id"] == by_id[name.removeprefix("copy-of-")]["cluster_id"]
            assert not row["kept"]
        if name.startswith("machine-copy-of-"):  # where it is found, the human original survives
            assert row["cluster_id"] == by_id[name.removeprefix("machine-copy-of-")]["cluster_id"]
            survivor = next(r for r in ledger if r["id"] == row["survivor_id"] and r["stage"] != "dedup")
            assert (row["kept"], survivor["kept"], survivor["origin"]) == (False, True, "human")
    for row in pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist():
        if row["metric"] != "input.fingerprint":  # which has no number
            declared = METRICS[row["metric"]]
            assert declared.unit in ("", row["unit"]) or (declared.unit, row["unit"]) == ("tokens", "words"), row
