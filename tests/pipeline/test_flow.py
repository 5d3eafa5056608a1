"""The whole flow on a small real corpus: what it keeps, what it leaves, and what it does not depend on."""

import collections
import gzip
import hashlib
import json
import pathlib
import pydoc_data.topics
import re
import shutil

import apache_beam as beam
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.pipeline import PipelineVisitor
from rich.console import Console

from pipeline import api, engines, runner
from pipeline.commands.diff import documents_between
from pipeline.commands.explain import explain_document
from pipeline.commands.verify import verify_release
from pipeline.commands.withdraw import withdraw
from pipeline.graph import build
from pipeline.reading.ledger_lookup import find_documents
from pipeline.recipe import Recipe, RecipeError, load_recipe
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine.job_graph import JobGraph

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


def corpus() -> list[dict]:
    """Some 250 documents of CPython's own reference, a third of them called synthetic, with planted duplicates."""
    records = []
    for topic, text in sorted(pydoc_data.topics.topics.items()):
        for part, start in enumerate(range(0, min(len(text), 8000), 1000)):
            records.append({"id": f"{topic}-{part}", "text": text[start : start + 1000], "language": "en"})
    records = records[:250]
    for number, record in enumerate(records):
        record["origin"] = "synthetic" if number % 3 == 0 else "human"
        record["generator"] = "test" if number % 3 == 0 else None
    for number in range(0, 60, 6):
        original = records[number]
        records.append({**original, "id": original["id"] + "-copy", "text": "  " + original["text"].upper()})
        records.append(
            {**original, "id": original["id"] + "-near", "text": original["text"] + " One more closing remark."}
        )
    records.append({"id": "blank", "text": " \n\t", "origin": "human"})
    return records


def write(folder: pathlib.Path, records: list[dict], files: int, reverse: bool = False) -> None:
    folder.mkdir(parents=True)
    for number in range(files):
        part = records[number::files]
        lines = [json.dumps(record) for record in (part[::-1] if reverse else part)]
        name = f"part-{files - number if reverse else number:03d}.jsonl.gz"
        (folder / name).write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def recipe_in(folder: pathlib.Path, **changes: object) -> Recipe:
    data = {
        "release": "test",
        "sources": [{"name": "topics", "path": "corpus/*"}],
        "ratio": {"max_synthetic_share": 0.2},
        "expectations": {"expectations": [
            {"expect": "metric_to_be_between", "metric": "synthetic_share.tokens", "bound": "upper",
             "max": "$max_synthetic_share"}
        ]},
        "output": {"path": "out"},
        **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return load_recipe(str(folder / "recipe.yaml"))


def run(folder: pathlib.Path, **changes: object) -> runner.Result:
    recipe = recipe_in(folder, **changes)
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def read(folder: str, what: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(pathlib.Path(folder, what).glob("*.parquet"))])


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> runner.Result:
    """One run that the tests below look at from all sides."""
    folder = tmp_path_factory.mktemp("flow")
    write(folder / "corpus", corpus(), files=4)
    with open(folder / "corpus" / "broken.jsonl", "wb") as file:
        file.write(b'{"id": "bad"\n{"id": "none"}\n{"id": "number", "text": 7}\n')
    return run(folder)


def test_it_passes_and_every_record_is_accounted_for(released: runner.Result) -> None:
    assert released.exit_code == runner.PASSED
    counts = released.counts
    assert counts["documents_in"] == len(corpus())
    dropped = sum(n for name, n in counts.items() if name.startswith("dropped."))
    assert counts["kept"] + dropped == counts["documents_in"]
    assert counts["quarantined"] == 3
    assert read(released.folder, "ledger").num_rows == counts["documents_in"]
    assert read(released.folder, "data").num_rows == counts["kept"]


def test_what_was_dropped_by_language_is_one_query(released: runner.Result) -> None:
    ledger, data = read(released.folder, "ledger"), read(released.folder, "data")
    found = duckdb.sql(
        "select language, generator, reason, count(*) from ledger anti join data using (id) group by all"
    ).fetchall()
    written = {record["id"]: record for record in corpus()}
    expected = collections.Counter(
        (written[row["input_id"]].get("language"), written[row["input_id"]].get("generator"), row["reason"])
        for row in ledger.to_pylist() if not row["kept"]
    )  # fmt: skip
    assert {(language, generator, reason): n for language, generator, reason, n in found} == expected
    assert data.num_rows == duckdb.sql("select count(*) from ledger semi join data using (id)").fetchall()[0][0]


def test_a_release_whose_ledger_says_doc_id_is_read_all_the_same(
    released: runner.Result, tmp_path: pathlib.Path
) -> None:
    new = {"language", "created", "generator", "stratum", "url"}
    old = pathlib.Path(shutil.copytree(released.folder, tmp_path / "old"))
    manifest = json.loads((old / MANIFEST).read_text())
    for entry in manifest["files"]:
        if entry["path"].startswith(("ledger/", "review/")):
            path = old / entry["path"]
            table = pq.read_table(path)
            table = table.select([name for name in table.column_names if name not in new])
            pq.write_table(table.rename_columns(["doc_id" if n == "id" else n for n in table.column_names]), path)
            entry |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (old / MANIFEST).write_text(json.dumps(manifest))
    row = next(row for row in read(released.folder, "ledger").to_pylist() if row["reason"] == "near_duplicate")
    for asked in (row["id"], row["id"][:8], row["input_id"]):
        assert explain_document(str(old), asked, texts=False) == explain_document(released.folder, asked, texts=False)
    assert find_documents(str(old), None, 3)[0]["id"] == find_documents(released.folder, None, 3)[0]["id"]
    assert {fate for fate, _, _ in documents_between(str(old), released.folder)["fates"]} == {"stayed"}
    ids = api.open_release(str(old)).ledger().to_table(columns=["id"])
    assert ids.equals(api.open_release(released.folder).ledger().to_table(columns=["id"]))
    assert verify_release(str(old), QUIET)[1]
    removal = tmp_path / "removals.jsonl"
    kept = read(released.folder, "data").to_pylist()[0]
    removal.write_text(json.dumps({"id": kept["id"], "requested_by": "its author", "requested_on": "2026-11-01"}))
    withdrawn = withdraw(str(old), [str(removal)], "withdrawn", QUIET).folder
    assert verify_release(withdrawn, QUIET)[1]
    assert {row["reason"] for row in find_documents(withdrawn, None, 9, kept["id"])} == {"withdrawn"}


def test_planted_duplicates_are_found_and_one_of_each_cluster_is_kept(released: runner.Result) -> None:
    ledger = {row["input_id"]: row for row in read(released.folder, "ledger").to_pylist()}
    for number in range(0, 60, 6):
        original = corpus()[number]["id"]
        trio = [ledger[original], ledger[original + "-copy"], ledger[original + "-near"]]
        assert len({row["cluster_id"] for row in trio}) == 1
        survivors = [row for row in trio if row["stage"] != "dedup"]
        assert len(survivors) == 1
        assert {row["survivor_id"] for row in trio} == {survivors[0]["id"]}
    assert ledger["blank"]["reason"] == "empty_text"


def test_no_cluster_is_without_a_survivor(released: runner.Result) -> None:
    clusters = collections.defaultdict(list)
    for row in read(released.folder, "ledger").to_pylist():
        if row["reason"] != "empty_text":
            clusters[row["cluster_id"]].append(row)
    for members in clusters.values():
        assert sum(row["stage"] != "dedup" for row in members) == 1
        assert {row["cluster_size"] for row in members} == {len(members)}


def test_the_share_is_under_the_limit_and_off_by_less_than_one_document(released: runner.Result) -> None:
    data = read(released.folder, "data").to_pylist()
    synthetic = sum(row["n_tokens"] for row in data if row["origin"] == "synthetic")
    total = sum(row["n_tokens"] for row in data)
    assert synthetic / total <= 0.2
    dropped = [r["n_tokens"] for r in read(released.folder, "ledger").to_pylist() if r["stage"] == "balance"]
    assert dropped
    assert (synthetic + max(dropped)) / (total + max(dropped)) > 0.2


def test_a_row_of_the_release_is_the_document_that_was_read(released: runner.Result) -> None:
    texts = {record["id"]: record["text"] for record in corpus()}
    for row in read(released.folder, "data").to_pylist():
        assert row["text"] == texts[row["input_id"]]
        assert (row["generator"] == "test") == (row["origin"] == "synthetic")


def test_the_manifest_has_every_file_and_its_checksum(released: runner.Result) -> None:
    folder = pathlib.Path(released.folder)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    assert manifest["counts"] == released.counts
    listed = {entry["path"]: entry for entry in manifest["files"]}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == set(listed) | {"MANIFEST.json", ".lowbackground.json"}
    for path, entry in listed.items():
        data = (folder / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])


def test_others_can_read_the_release(released: runner.Result, tmp_path: pathlib.Path) -> None:
    files = f"{released.folder}/data/train-*.parquet"
    n = released.counts["kept"]
    assert duckdb.sql(f"select count(*) from read_parquet('{files}') where text is not null").fetchall() == [(n,)]
    assert polars.scan_parquet(files).select("id").collect().n_unique() == n
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(released.folder, cache_dir=str(tmp_path))["train"]
    assert loaded.num_rows == n
    assert set(loaded.features) >= {"id", "text", "origin", "p_synthetic"}
    assert loaded.info.splits["train"].num_examples == n  # as the card's header says


def test_quarantine_says_where_and_why(released: runner.Result) -> None:
    found = {(row["row"], row["reason"]) for row in read(released.folder, "quarantine").to_pylist()}
    assert found == {(0, "bad_json"), (1, "missing_text"), (2, "text_not_string")}


def test_explain_finds_a_document_by_either_id(released: runner.Result) -> None:
    original = corpus()[0]["id"]
    said = explain_document(released.folder, original + "-copy")
    row = next(r for r in read(released.folder, "ledger").to_pylist() if r["input_id"] == original + "-copy")
    assert "exact_duplicate" in said or "near_duplicate" in said or "kept" in said
    assert row["survivor_id"] in said
    assert row["id"] in explain_document(released.folder, row["id"])
    with pytest.raises(RecipeError, match="has no document 'nobody'"):
        explain_document(released.folder, "nobody")


def kept_texts(result: runner.Result) -> list[tuple[str, str]]:
    return sorted((row["id"], row["text"]) for row in read(result.folder, "data").to_pylist())


@pytest.mark.parametrize(("files", "reverse"), [(1, False), (7, True)])
def test_the_same_documents_are_kept_whatever_files_they_arrive_in(
    released: runner.Result, tmp_path: pathlib.Path, files: int, reverse: bool
) -> None:
    write(tmp_path / "corpus", corpus(), files, reverse)
    assert kept_texts(run(tmp_path)) == kept_texts(released)


def test_the_same_bytes_whatever_the_workers_and_with_or_without_the_store(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus(), files=4)
    digests = []
    for release, workers in (("one", 1), ("two", 2), ("three", 2)):
        if release == "two":  # survey again, on two threads; "three" takes the signals that "two" left
            for path in (tmp_path / "out" / ".signals").iterdir():
                path.unlink()
        result = run(tmp_path, release=release, ingest={"split_bytes": 20_000}, runner={"workers": workers})
        parts = [path for what in ("data", "ledger") for path in sorted(pathlib.Path(result.folder, what).iterdir())]
        digests.append([hashlib.sha256(_without_name(path)).hexdigest() for path in parts])
    assert len(digests[0]) > 3
    assert digests[0] == digests[1] == digests[2]


def _without_name(path: pathlib.Path) -> bytes:
    """A shard's footer names its release, which differs here on purpose."""
    table = pq.read_table(path).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_a_failed_gate_writes_a_report_and_a_verdict_and_no_shard(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus(), files=2)
    impossible = {"expect": "metric_to_be_between", "metric": "documents", "min": 1_000_000}
    result = run(tmp_path, expectations={"expectations": [impossible]})
    assert result.exit_code == runner.FAILED
    folder = pathlib.Path(result.folder)
    assert folder.name == "test.rejected"
    assert {path.name for path in folder.iterdir()} == {
        ".lowbackground.json",
        "great_expectations",
        "ledger",
        "metrics.parquet",
        "recipe.yaml",
        "report",
        "review",
        "suite.yaml",
        "verdict.json",
    }
    assert not (tmp_path / "out" / "test").exists()
    assert not list((tmp_path / "out").rglob("train-*"))


def test_an_unmeasurable_critical_expectation_fails(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", [{"text": "human words " * 20, "origin": "human"}], files=1)
    nothing = {"expect": "metric_to_be_between", "metric": "generator.max_share", "max": 0.99}
    assert run(tmp_path, expectations={"expectations": [nothing]}).exit_code == runner.FAILED


def test_too_many_bad_records_are_unusable_input(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", [{"text": "one good record"}, {"body": 1}, {"body": 2}], files=1)
    result = run(
        tmp_path, expectations={"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}
    )
    assert result.exit_code == runner.UNUSABLE
    assert read(result.folder, "quarantine").num_rows == 2


def test_shortage_shrinks_or_fails_as_asked(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus(), files=2)
    result = run(tmp_path, ratio={"max_synthetic_share": 0.2, "on_shortage": "fail"})
    assert result.exit_code == runner.FAILED
    dropped = next(o for o in result.verdict.expectations if o.metric == "ratio.dropped")
    assert dropped.status == "fail"
    assert run(tmp_path, ratio={"max_synthetic_share": 0.5, "on_shortage": "fail"}).exit_code == runner.PASSED


def test_a_release_is_not_overwritten_by_accident(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus(), files=1)
    run(tmp_path)
    with pytest.raises(RecipeError, match="exists; choose another name"):
        run(tmp_path)


def test_no_edge_of_the_graph_is_untyped(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """An untyped edge is pickled whole, and a wrong wiring goes unnoticed. Of the very pipeline that a run is."""
    write(tmp_path / "corpus", corpus(), files=2)
    recipe = recipe_in(tmp_path)
    untyped: list[str] = []

    class Visitor(PipelineVisitor):
        def visit_value(self, value: beam.pvalue.PValue, producer_node: object) -> None:
            if isinstance(value, beam.PCollection) and re.search("Any|None$", str(value.element_type)):
                untyped.append(f"{producer_node.full_label}: {value.element_type}")  # type: ignore[attr-defined]

    root = JobGraph(options=engines.options(recipe, 1))
    build(root, runner.prepare(recipe, str(tmp_path)))
    root.visit(Visitor())
    assert untyped == []
    # Beam says so where it does not know what to make of a type.
    assert not [record.message for record in caplog.records if "hint will be ignored" in record.message]


def test_memory_that_is_asked_for_is_asked_for_every_step_alike(tmp_path: pathlib.Path) -> None:
    """Steps with hints of their own are in an environment of their own, and Beam does not fuse across two."""
    write(tmp_path / "corpus", corpus(), files=2)
    recipe = recipe_in(tmp_path, runner={"options": ["--resource_hint=min_ram=16GB"]})
    root = beam.Pipeline(options=engines.options(recipe, 1))
    build(root, runner.prepare(recipe, str(tmp_path)))
    components = root.to_runner_api().components
    used = {step.environment_id for step in components.transforms.values() if step.environment_id}
    assert len(used) == 1
    hints = components.environments[used.pop()].resource_hints
    assert hints["beam:resources:min_ram_bytes:v1"] == b"16000000000"
