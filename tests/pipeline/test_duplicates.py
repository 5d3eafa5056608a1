"""Duplicates through the whole flow: earlier releases, sources that go first, addresses, exact mode, alarms."""

import json
import pathlib
import pydoc_data.topics
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.explain import explain_document
from pipeline.recipe import RecipeError, load_recipe
from transforms.ingest.sources import InputError

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
TOPICS = [
    " ".join(text.split()[:150]) for _, text in sorted(pydoc_data.topics.topics.items()) if len(text.split()) > 150
]
PASSES = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}


def write(folder: pathlib.Path, source: str, *records: dict) -> None:
    (folder / source).mkdir(exist_ok=True)
    (folder / source / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def run(
    folder: pathlib.Path, release: str, *sources: str, dedup: dict | None = None, **changes: object
) -> runner.Result:
    data = {
        "release": release, "sources": [{"name": name, "path": name, "origin": "human"} for name in sources],
        "dedup": dedup or {}, "expectations": PASSES, "output": {"path": "out"}, **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def ledger(result: runner.Result) -> dict[str, dict]:
    rows = pa.concat_tables(
        [pq.read_table(path) for path in pathlib.Path(result.folder, "ledger").iterdir()]
    ).to_pylist()
    return {row["input_id"]: row for row in rows}


def documents(start: int, stop: int, **more: object) -> list[dict]:
    return [{"id": f"t{n}", "text": TOPICS[n], **more} for n in range(start, stop)]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a first release of ten documents, and some of a second. Nobody writes to it."""
    folder = tmp_path_factory.mktemp("released")
    write(folder, "old", *documents(0, 10))
    assert run(folder, "one", "old").exit_code == runner.PASSED
    changed = {"id": "near", "text": TOPICS[3] + " and a few words more"}
    copied = {"id": "copy", "text": TOPICS[4].upper()}
    write(folder, "new", *documents(10, 15), changed, copied, {"id": "twin", "text": TOPICS[11] + " with a twin"})
    return folder


@pytest.fixture
def first(released: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it."""
    return shutil.copytree(released, tmp_path / "first")


@pytest.mark.parametrize("parts", [1, 3])
def test_what_an_earlier_release_has_is_dropped(parts: int, first: pathlib.Path) -> None:
    result = run(first, "two", "new", dedup={"against": ["out/one"]}, runner={"dedup_parts": parts})
    rows = ledger(result)
    assert {name for name, row in rows.items() if row["reason"] == "in_earlier_release"} == {"near", "copy"}
    assert result.counts == {
        "documents_in": 8, "kept": 5, "quarantined": 0, "dropped.in_earlier_release": 2, "dropped.near_duplicate": 1,
        **dict.fromkeys(("dropped.empty_text", "dropped.exact_duplicate", "dropped.over_synthetic_share",
                         "dropped.same_url", "dropped.over_limit", "dropped.withdrawn", "dropped.licence",
                         "dropped.contaminated"), 0),
    }  # fmt: skip
    assert rows["copy"]["similarity"] == 1
    assert 0.8 < rows["near"]["similarity"] < 1
    said = explain_document(result.folder, "near")
    assert "an earlier release (dedup.against) has this text" in said
    assert "from the earlier release" in said
    assert re.search(
        rf"earlier +.*out/one has it as {rows['near']['earlier_id']} \(input id 't3'\)\n +source 'old', .*, row 3", said
    )
    assert "│ in the earlier release" in said
    assert "words" in said.partition("┼")[2]
    shutil.rmtree(first / "out" / "one" / "ledger")
    said = explain_document(result.folder, "near")
    assert re.search(
        rf"earlier +{rows['near']['earlier_id']}, of one of .*out/one; no ledger there has it any more", said
    )


def test_or_tagged(first: pathlib.Path) -> None:
    result = run(first, "two", "new", dedup={"against": ["out/one"], "on_match": "tag"})
    rows = ledger(result)
    assert {name for name, row in rows.items() if row["earlier_id"]} == {"near", "copy"}
    assert rows["near"]["kept"]
    assert "has it as" in explain_document(result.folder, "near")
    shard = pq.read_table(next(pathlib.Path(result.folder, "data").iterdir())).to_pylist()
    assert {row["input_id"] for row in shard if row["earlier_id"]} == {"near", "copy"}


@pytest.mark.slow
def test_a_release_against_itself_keeps_nothing_and_a_second_generation_is_compared_with_both(
    first: pathlib.Path,
) -> None:
    assert run(first, "two", "new", dedup={"against": ["out/one"]}).exit_code == runner.PASSED
    again = run(first, "again", "old", dedup={"against": ["out/one"]})
    assert again.exit_code == runner.FAILED  # an empty release is none
    assert again.counts["dropped.in_earlier_release"] == 10
    third = run(first, "three", "old", "new", dedup={"against": ["out/one", "out/two"]})
    assert third.counts["kept"] == 0


@pytest.mark.parametrize(
    ("dedup", "said"),
    [
        ({"against": ["out/none"]}, "is not a release"),
        ({"against": ["out/one"], "ngram": 4}, "made with ngram 5, those of this run with 4"),
        ({"against": ["out/one"], "bands": 15}, "made with num_perm 112, those of this run with 120"),
        ({"source_order": ["nwe"]}, "did you mean 'new'?"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(first: pathlib.Path, dedup: dict, said: str) -> None:
    with pytest.raises((InputError, RecipeError), match=said):
        run(first, "two", "new", dedup=dedup)


def test_a_release_whose_signatures_are_gone_is_refused(first: pathlib.Path) -> None:
    next((first / "out" / "one" / "signatures").iterdir()).unlink()
    with pytest.raises(InputError, match="is gone"):
        run(first, "two", "new", dedup={"against": ["out/one"]})
    (first / "out" / "one" / "MANIFEST.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        run(first, "two", "new", dedup={"against": ["out/one"]})
    bare = run(first, "bare", "old", output={"path": "out", "signatures": False})
    assert not pathlib.Path(bare.folder, "signatures").exists()
    with pytest.raises(InputError, match="without signatures"):
        run(first, "two", "new", dedup={"against": ["out/bare"]})


def test_signatures_that_are_not_those_of_the_manifest_are_refused(first: pathlib.Path) -> None:
    path = next((first / "out" / "one" / "signatures").iterdir())
    whole = path.read_bytes()
    middle = len(whole) // 2
    for other in (whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(other)
        with pytest.raises(InputError, match="SHA-256 differs"):
            run(first, "two", "new", dedup={"against": ["out/one"]})
    path.write_bytes(whole)
    assert run(first, "two", "new", dedup={"against": ["out/one"]}).counts["dropped.in_earlier_release"] == 2


@pytest.mark.parametrize(("key", "value"), [("signature", "x"), ("files", None), ("files", [{}]), ("counts", 1)])
def test_a_manifest_of_another_shape_is_damage_and_no_crash(first: pathlib.Path, key: str, value: object) -> None:
    path = first / "out" / "one" / "MANIFEST.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(InputError, match="damaged"):
        run(first, "two", "new", dedup={"against": ["out/one"]})


def test_remove_from_a_what_is_in_b(tmp_path: pathlib.Path) -> None:
    """Whatever else the policy says: a's copies are older and longer."""
    write(tmp_path, "a", *documents(0, 6, created="2001-01-01"))
    write(tmp_path, "b", *({"id": f"b{n}", "text": TOPICS[n].lower()} for n in range(3)))
    rows = ledger(run(tmp_path, "plain", "a", "b"))
    assert [rows[f"t{n}"]["kept"] for n in range(6)] == [True] * 6
    rows = ledger(run(tmp_path, "ordered", "a", "b", dedup={"source_order": ["b"]}))
    assert [rows[f"t{n}"]["kept"] for n in range(6)] == [False] * 3 + [True] * 3
    assert all(rows[f"b{n}"]["kept"] for n in range(3))


@pytest.mark.slow
def test_a_source_that_loses_much_is_named(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "a", *documents(0, 6, created="2001-01-01"))
    write(tmp_path, "b", *({"id": f"b{n}", "text": TOPICS[n] + " once more"} for n in range(6)))
    warned = run(tmp_path, "warned", "a", "b")
    assert warned.exit_code == runner.PASSED
    assert any('(source "b") is 100%, above the limit of 50%' in line for line in warned.verdict.warnings)
    failed = run(tmp_path, "failed", "a", "b", dedup={"on_source_loss": "fail"})
    assert failed.exit_code == runner.FAILED
    assert any('source "b"' in line for line in failed.verdict.reasons)
    assert run(tmp_path, "allowed", "a", "b", dedup={"on_source_loss": "fail", "max_source_loss": 1}).exit_code == 0


def test_the_same_address_is_a_duplicate_on_request(tmp_path: pathlib.Path) -> None:
    write(
        tmp_path, "a",
        {"id": "old", "text": TOPICS[0], "url": "https://www.example.org/page/", "created": "2011-01-01"},
        {"id": "new", "text": TOPICS[1], "url": "http://example.org/page#top", "created": "2015-01-01"},
        {"id": "other", "text": TOPICS[2], "url": "http://example.org/page?other"},
        {"id": "none", "text": TOPICS[3]},
        {"id": "short", "text": "Gone", "metadata": {"url": "http://example.org/page"}, "created": "2019-01-01"},
    )  # fmt: skip
    assert run(tmp_path, "texts", "a").counts["kept"] == 5
    rows = ledger(run(tmp_path, "addresses", "a", dedup={"url": True}))
    assert {name for name, row in rows.items() if row["reason"] == "same_url"} == {"new", "short"}
    assert rows["new"]["survivor_id"] == rows["short"]["survivor_id"] == rows["old"]["id"]
    assert rows["short"]["similarity"] is None  # too short to be like anything


def test_columns_that_the_reader_uses_itself_can_be_kept_as_the_input_has_them(tmp_path: pathlib.Path) -> None:
    address = "https://www.example.org/page/"
    write(tmp_path, "a", {"id": "t", "text": TOPICS[0], "url": address, "file": 7, "doc_id": "theirs"})
    keep = ["url", "file", "doc_id", "row"]
    result = run(tmp_path, "kept", "a", dedup={"url": True}, output={"path": "out", "keep": keep})
    [shard] = pathlib.Path(result.folder, "data").iterdir()
    [row] = pq.read_table(shard).select(keep).to_pylist()
    assert row == {"url": address, "file": "7", "doc_id": "theirs", "row": None}
    assert ledger(result)["t"]["kept"]


def test_exact_mode_reads_the_text_and_keeps_the_same_whatever_the_files(tmp_path: pathlib.Path) -> None:
    records = documents(0, 40) + [{"id": f"n{n}", "text": " ".join(TOPICS[n].split()[: 110 + n])} for n in range(40)]
    write(tmp_path, "whole", *records)
    (tmp_path / "cut").mkdir()
    for part in range(7):
        lines = "".join(json.dumps(record) + "\n" for record in records[part::7][::-1])
        (tmp_path / "cut" / f"{part}.jsonl").write_text(lines)
    settings = {"dedup": {"verify": "exact"}, "ingest": {"split_bytes": 20_000}}
    rows = ledger(run(tmp_path, "one", "whole", **settings))
    near = {name for name, row in rows.items() if row["reason"] == "near_duplicate"}
    assert 10 < len(near) < 40
    source = {"sources": [{"name": "whole", "path": "cut", "origin": "human"}]}
    other = ledger(run(tmp_path, "two", **settings, **source))
    assert {name: row["similarity"] for name, row in other.items()} == {
        name: row["similarity"] for name, row in rows.items()
    }
    assert {row["id"] for row in other.values() if row["kept"]} == {row["id"] for row in rows.values() if row["kept"]}


def test_the_distribution_of_likeness_and_mixed_clusters_are_in_the_metrics(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "human", *documents(0, 8))
    write(tmp_path, "machine", *({"id": f"m{n}", "text": TOPICS[n] + " as a machine says"} for n in range(4)))
    sources = [
        {"name": "human", "path": "human", "origin": "human"},
        {"name": "machine", "path": "machine", "origin": "synthetic"},
    ]
    result = run(tmp_path, "mixed", sources=sources)
    rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
    value = {(row["metric"], row["slice"]): row["value"] for row in rows}
    assert value["duplicates.cross_origin", ""] == 4
    assert value["duplicates.cross_origin_lost", ""] == 0
    assert value["duplicates.removed_fraction", "machine"] == 1
    assert sum(n for (metric, _), n in value.items() if metric == "duplicates.by_similarity") == 4
    assert 0.8 <= value["duplicates.similarity_q01", ""] <= value["duplicates.similarity_q50", ""] <= 1
