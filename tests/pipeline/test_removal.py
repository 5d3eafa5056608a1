"""Whole runs with `dedup.paragraphs.remove`: what goes, what stays, what it is counted as, and what it does not depend on."""

import json
import pathlib
import sys
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.pipeline import PipelineVisitor
from rich.console import Console

from pipeline import engines, runner
from pipeline.commands.explain import explain_document
from pipeline.graph import build
from pipeline.recipe import RecipeError, load_recipe, parse_recipe
from transforms.dedup import repeated_paragraphs as boilerplate
from transforms.kernels.text import paragraphs
from transforms.release import released_text as emit
from transforms.signals.corpus import Corpus
from transforms.survey import text_to_signals

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
LIMIT = 6


def words(seed: int, n: int) -> str:
    """Words that no other seed has."""
    return " ".join(f"w{seed}x{i}" for i in range(n))


TOO_OFTEN, OFTEN = words(10**6, 12), words(10**6 + 1, 11)


def corpus() -> list[dict[str, str]]:
    """100 documents of five paragraphs of their own; one in LIMIT + 1 documents, one in LIMIT, repeats, copies."""
    lines = {d: [words(100 * d + p, 10 + p) for p in range(5)] for d in range(100)}
    for d in range(LIMIT + 1):
        lines[d].insert(d % 5, TOO_OFTEN if d else TOO_OFTEN.upper())
    for d in range(30, 30 + LIMIT):
        lines[d] += [OFTEN, OFTEN]  # twice in a document is one document
    for d in range(50, 60):
        lines[d] += ["too short to count", lines[d][2], "too short to count"]
    lines[60] = [TOO_OFTEN.replace(" ", "  ")]  # nothing would be left of it
    for d in range(20):  # each synthetic text is different from all others
        lines[200 + d] = [words(100 * (200 + d) + p, 12) for p in range(6)] + [lines[2][0]] * (d == 0)
    records = [
        {"id": f"d{d}", "text": "\r\n".join(own), "origin": "synthetic" if d >= 200 else "human"}
        for d, own in lines.items()
    ]
    records += [{**records[d], "id": f"copy{d}"} for d in range(40, 45)]
    return records


def cut_text(record: dict[str, str]) -> str:
    """What should be left of a document. Of d60 all, for more than half of it is what many have."""
    if record["id"] == "d60":
        return record["text"]
    left, seen = "", set()
    for line in record["text"].splitlines(keepends=True):
        form = "".join(line.lower().split())
        repeats = len(line.split()) >= paragraphs.MIN_TOKENS and form in seen
        if not repeats and form != "".join(TOO_OFTEN.split()):
            left += line
        seen.add(form)
    return left


def write(folder: pathlib.Path, records: list[dict[str, str]], files: int = 3) -> None:
    (folder / "corpus").mkdir(parents=True)
    for part in range(files):
        body = "\n".join(json.dumps(record) for record in records[part::files])
        (folder / "corpus" / f"{part}.jsonl").write_text(body)


def run(folder: pathlib.Path, remove: bool = True, **changes: Any) -> runner.Result:
    dedup = {"paragraphs": {"remove": remove, "max_documents": LIMIT}} | changes.pop("dedup", {})
    data = {
        "release": "test",
        "sources": [{"name": "planted", "path": "corpus/*"}],
        "ratio": {"max_synthetic_share": 0.1},
        "dedup": dedup,
        "ingest": {"split_bytes": 20_000},
        "expectations": {"expectations": [
            {"expect": "metric_to_be_between", "metric": "synthetic_share.tokens", "bound": "upper",
             "max": "$max_synthetic_share"},
            {"expect": "metric_to_be_between", "metric": "paragraphs.removed_tokens", "max": 0.5},
        ]},
        "output": {"path": "out"},
        **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def rows(result: runner.Result, what: str) -> list[dict[str, Any]]:
    parts = sorted(pathlib.Path(result.folder, what).glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in parts]).to_pylist()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> runner.Result:
    folder = tmp_path_factory.mktemp("removal")
    write(folder, corpus())
    return run(folder)


def test_the_released_text_is_the_cut_text_and_its_tokens_are_counted(released: runner.Result) -> None:
    assert released.exit_code == runner.PASSED
    records = {record["id"]: record for record in corpus()}
    data = rows(released, "data")
    for row in data:
        assert row["text"] == cut_text(records[row["input_id"]])
        assert row["n_tokens"] == len(row["text"].split())
    texts = [row["text"] for row in data]
    assert not any(TOO_OFTEN in text or TOO_OFTEN.upper() in text for text in texts)
    assert sum(OFTEN in text for text in texts) == LIMIT


def test_the_ledger_and_the_metrics_say_what_was_removed(released: runner.Result) -> None:
    records = {record["id"]: record for record in corpus()}
    ledger = rows(released, "ledger")
    assert len(ledger) == len(records)
    for row in ledger:
        read = records[row["input_id"]]["text"]
        assert row["n_tokens"] + row["removed_tokens"] == len(read.split())
        assert row["removed_tokens"] == len(read.split()) - len(cut_text(records[row["input_id"]]).split())
    [whole] = [row for row in ledger if row["input_id"] == "d60"]
    assert (whole["kept"], whole["n_tokens"], whole["removed_tokens"]) == (True, 12, 0)
    metrics = {
        (r["stage"], r["slice"]): r["value"]
        for r in rows_of_metrics(released)
        if r["metric"] == "paragraphs.removed_tokens"
    }
    for stage, members in (("before", ledger), ("after", [row for row in ledger if row["kept"]])):
        removed, left = (sum(row[name] for row in members) for name in ("removed_tokens", "n_tokens"))
        assert removed > 0
        assert metrics[stage, ""] == metrics[stage, "planted"] == pytest.approx(removed / (removed + left), rel=1e-12)
    page = next(pathlib.Path(released.folder, "report").glob("*.html")).read_text()
    assert "Share of words that went with removed paragraphs" in page


def rows_of_metrics(result: runner.Result) -> list[dict[str, Any]]:
    return pq.read_table(f"{result.folder}/metrics.parquet").to_pylist()


def test_the_share_is_exact_in_the_tokens_of_the_cut_texts(released: runner.Result) -> None:
    data = rows(released, "data")
    tokens = {
        origin: sum(len(r["text"].split()) for r in data if r["origin"] == origin) for origin in ("human", "synthetic")
    }
    assert tokens["synthetic"] / sum(tokens.values()) <= 0.1
    dropped = [row["n_tokens"] for row in rows(released, "ledger") if row["stage"] == "balance"]
    more = max(dropped)
    assert (tokens["synthetic"] + more) / (sum(tokens.values()) + more) > 0.1


@pytest.mark.parametrize("files", [1, 7])
def test_the_same_whatever_the_number_and_order_of_files(
    released: runner.Result, tmp_path: pathlib.Path, files: int
) -> None:
    write(tmp_path, corpus()[::-1], files)
    again = run(tmp_path, runner={"workers": 2}, ingest={"split_bytes": 5_000})
    assert kept(again) == kept(released)


def kept(result: runner.Result) -> list[tuple[str, str, int]]:
    return sorted((row["id"], row["text"], row["n_tokens"]) for row in rows(result, "data"))


def test_off_is_what_it_was_and_ids_are_the_same(released: runner.Result, tmp_path: pathlib.Path) -> None:
    write(tmp_path, corpus())
    off = run(tmp_path, remove=False)
    records = {record["id"]: record for record in corpus()}
    assert all(row["text"] == records[row["input_id"]]["text"] for row in rows(off, "data"))
    ledger = rows(off, "ledger")
    assert {row["removed_tokens"] for row in ledger} == {0}
    assert {row["input_id"]: row["id"] for row in ledger} == {
        row["input_id"]: row["id"] for row in rows(released, "ledger")
    }
    default = run(tmp_path, release="default", dedup={"paragraphs": {}})
    for what in ("data", "ledger"):
        assert rows(default, what) == rows(off, what)
    assert {r["value"] for r in rows_of_metrics(off) if r["metric"] == "paragraphs.removed_tokens"} == {0.0}


@pytest.mark.slow
def test_a_second_run_reads_text_to_write_and_for_new_files_only(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, corpus())
    reads: dict[str, int] = {"boilerplate": 0, "survey": 0, "emit": 0}

    stages = {
        module.__file__: name
        for name, module in (("boilerplate", boilerplate), ("survey", text_to_signals), ("emit", emit))
    }
    original = Corpus.read

    def read(*arguments: Any, **named: Any) -> Any:
        """Every text is read through the corpus; which stage asked is where the call stands."""
        asked = sys._getframe(1).f_code.co_filename
        if asked in stages:
            reads[stages[asked]] += 1
        return original(*arguments, **named)

    monkeypatch.setattr(Corpus, "read", read)

    def news(**changes: Any) -> dict[str, int]:
        before = dict(reads)
        run(tmp_path, **changes)
        return {name: reads[name] - before[name] for name in reads}

    splits = news()["survey"]
    assert splits > 1
    assert news(release="again", ratio={"max_synthetic_share": 0.2}) == {"boilerplate": 0, "survey": 0, "emit": splits}
    other = {"paragraphs": {"remove": True, "max_documents": 1}}
    assert news(release="stricter", dedup=other) == {"boilerplate": 0, "survey": splits, "emit": splits}
    (tmp_path / "corpus" / "zz.jsonl").write_text(
        "\n".join(json.dumps({"text": words(7, 9) + f"\n{words(9000 + i, 9)}"}) for i in range(99))
    )
    more = news(release="more")
    assert 0 < more["boilerplate"] < more["survey"]  # what is boilerplate may have changed for all


def test_exact_comparison_sees_the_cut_text(tmp_path: pathlib.Path) -> None:
    """Two documents that are alike only without what they repeat, and two only with it."""
    banners = [words(5000 + i, 33) for i in range(3)]
    alike, alone = words(1, 60), [words(9, 80) + " " + words(10 + i, 20) for i in range(2)]
    records = [
        {"id": "a", "text": alike + "\n" + "\n".join([banners[0]] + [words(77, 12)] * 30)},
        {"id": "b", "text": alike + " end\n" + words(77, 12)},
        *({"id": f"c{i}", "text": "\n".join([*banners, alone[i]])} for i in range(2)),
        *({"id": f"e{i}", "text": "\n".join([*banners, words(100 + i, 120)])} for i in range(8)),
    ]
    write(tmp_path, records)
    exact = {"verify": "exact", "min_similarity": 0.7, "bands": 50, "rows": 2}
    on = run(tmp_path, dedup=exact, ratio={"max_synthetic_share": 1.0}, expectations="mixed")
    off = run(
        tmp_path, dedup=exact, ratio={"max_synthetic_share": 1.0}, expectations="mixed", remove=False, release="off"
    )
    dropped = [{row["input_id"] for row in rows(result, "ledger") if row["stage"] == "dedup"} for result in (on, off)]
    assert len(dropped[0] & {"a", "b"}) == 1
    assert not dropped[0] & {"c0", "c1"}
    assert len(dropped[1] & {"c0", "c1"}) == 1
    [near] = [row for row in rows(on, "ledger") if row["input_id"] in dropped[0]]
    assert near["reason"] == "near_duplicate"
    assert near["similarity"] > 0.8  # of the texts as they were read it is under 0.7


def test_of_a_text_with_more_copies_than_a_paragraph_may_have_one_stays_whole(tmp_path: pathlib.Path) -> None:
    """Copies are for dedup, which keeps one; a document that only quotes from them has lost the quotation."""
    copied = "\n\n".join(words(100 + i, 40) for i in range(5)) + "\n"
    quoting = words(200, 50) + "\n" + words(101, 40)
    records = [{"id": f"copy{i}", "text": copied} for i in range(12)] + [{"id": "quoting", "text": quoting}]
    records += [{"id": f"u{i}", "text": words(i, 40)} for i in range(20)]
    write(tmp_path, [record | {"origin": "human"} for record in records])
    result = run(tmp_path, dedup={"paragraphs": {"remove": True}})
    texts = {row["input_id"]: row["text"] for row in rows(result, "data")}
    assert [text for name, text in texts.items() if name.startswith("copy")] == [copied]
    assert texts["quoting"] == words(200, 50) + "\n"
    assert result.counts["dropped.exact_duplicate"] == 11
    assert "removed     40 words" in explain_document(result.folder, "quoting", texts=False)


def stages(folder: pathlib.Path, remove: bool) -> tuple[list[str], list[str]]:
    """Labels of the graph's transforms, and the edges that have no type."""
    data = {"release": "x", "sources": [{"name": "a", "path": "corpus/*"}], "dedup": {"paragraphs": {"remove": remove}}}
    (folder / "graph.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / "graph.yaml"))
    labels: list[str] = []
    untyped: list[str] = []

    class Visitor(PipelineVisitor):
        def visit_transform(self, node: Any) -> None:
            labels.append(f"{node.full_label} {len(node.side_inputs)}")

        def visit_value(self, value: Any, producer_node: Any) -> None:
            if isinstance(value, beam.PCollection) and "Any" in str(value.element_type):
                untyped.append(f"{producer_node.full_label}: {value.element_type}")

    root = beam.Pipeline(options=engines.options(recipe, 1))
    build(root, runner.prepare(recipe, str(folder)))
    root.visit(Visitor())
    return labels, untyped


def test_the_graph_has_no_stage_more_when_it_is_off(tmp_path: pathlib.Path) -> None:
    write(tmp_path, corpus())
    off, on = stages(tmp_path, remove=False), stages(tmp_path, remove=True)
    assert off[1] == on[1] == []
    assert not any("Boilerplate" in label for label in off[0])
    assert "Survey/SurveySplit/Work 0" in off[0]
    assert "Emit/WriteShards/Work 0" in off[0]
    assert "Survey/SurveySplit/Work 1" in on[0]
    assert "Emit/WriteShards/Work 1" in on[0]


@pytest.mark.parametrize("wrong", [{"max_documents": 0}, {"removed": True}, {"remove": 3}])
def test_the_section_is_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"dedup\.paragraphs"):
        parse_recipe(
            json.dumps({"release": "x", "sources": [{"name": "a", "path": "b"}], "dedup": {"paragraphs": wrong}}), "r"
        )
