"""Whole runs: licences by row and by source, and what goes for them; what looks personal, counted."""

import hashlib
import json
import pathlib
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.verify import examine
from pipeline.commands.withdraw import withdraw
from pipeline.recipe import RecipeError, load_recipe
from transforms.audit.draw import Design, draw

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
SAID = [
    "mit",
    "CC BY-NC 4.0",
    None,
    "all rights reserved",
    "MIT OR GPL-3.0",
    "https://creativecommons.org/licenses/by/4.0/",
]


def write(path: pathlib.Path, prefix: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": f"{prefix}{i}",
            "text": " ".join(f"{prefix}{i}x{n}" for n in range(40)),
            "origin": "human",
            "license": said,
        }
        for i, said in enumerate(SAID)
    ]
    # The same text under another licence: the one that is allowed stays, though the other has the smaller id.
    rows.append(rows[1] | {"id": f"{prefix}free", "license": "CC0"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: pathlib.Path, **licences: list[str]) -> runner.Result:
    data = {
        "release": "test",
        "sources": [{"name": "a", "path": "a.jsonl", "licence": "Apache 2.0"}, {"name": "b", "path": "b.jsonl"}],
        "expectations": {"expectations": [{"expect": "size_to_be_at_least", "min": 1}]}, "output": {"path": "out"},
        "licences": licences,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET, replace=True)


def released(result: runner.Result) -> dict[str, str]:
    parts = [pq.read_table(path) for path in sorted(pathlib.Path(result.folder, "data").glob("*.parquet"))]
    return {row["input_id"]: row["licence"] for row in pa.concat_tables(parts).to_pylist()}


@pytest.mark.slow
def test_licences_of_rows_and_sources(tmp_path: pathlib.Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.jsonl", name)
    everything = run(tmp_path)
    found = released(everything)
    assert (found["a0"], found["a2"], found["b2"], found["b3"]) == ("MIT", "Apache-2.0", "unknown", "unknown")
    assert (found["b4"], found["b5"]) == ("MIT OR GPL-3.0-only", "CC-BY-4.0")
    rows = pq.read_table(pathlib.Path(everything.folder, "metrics.parquet")).to_pylist()
    tokens = {r["slice"]: r["value"] for r in rows if (r["metric"], r["slice_kind"]) == ("tokens", "licence")}
    assert sum(tokens.values()) == 40 * len(found)
    assert tokens["Apache-2.0"] == 40
    assert tokens["unknown"] == 3 * 40
    assert "| unknown | 120 |" in pathlib.Path(everything.folder, "README.md").read_text()
    strict = run(tmp_path, allow=["MIT", "Apache-2.0", "CC*"], deny=["*-NC-*"])
    assert set(released(strict)) == {"a0", "a2", "a4", "a5", "afree", "b0", "b4", "b5", "bfree"}
    assert strict.counts["dropped.licence"] == 5
    assert strict.counts["dropped.exact_duplicate"] == 0
    lenient = run(tmp_path, deny=["unknown"])
    assert "b2" not in released(lenient)
    assert "a1" in released(lenient) or "afree" in released(lenient)
    with pytest.raises(RecipeError, match=r"licences.allow: 'MTI' is no SPDX licence"):
        run(tmp_path, allow=["MTI"])


@pytest.mark.slow
def test_what_looks_personal_is_counted_by_source(tmp_path: pathlib.Path) -> None:
    """Where it is asked for; and a suite may ask that there is none."""
    texts = ["Write to ada@example.org or bob@example.org about the lake.", "Her card is 4111 1111 1111 1111, she said.",
             "Nothing at all is in this one, but for the words."]  # fmt: skip
    for name in "ab":
        rows = [
            {"id": f"{name}{i}", "text": f"{one} {' '.join(f'{name}{i}x{n}' for n in range(20))}", "origin": "human"}
            for i, one in enumerate(texts)
        ]
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows[: 3 if name == "a" else 1])
        )

    def measured(kind: str, limit: int, asked: bool = True) -> tuple[int, dict[tuple[str, str, str], float]]:
        rule = {"expect": "metric_to_be_between", "metric": "personal.found", "slice_kind": "personal", "slice": kind}
        data = {
            "release": "test", "sources": [{"name": name, "path": f"{name}.jsonl"} for name in "ab"],
            "personal_data": asked, "output": {"path": "out"}, "expectations": {"expectations": [
                rule | {"max": limit} if asked else {"expect": "size_to_be_at_least", "min": 1}]},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(data))
        recipe = load_recipe(str(tmp_path / "recipe.yaml"))
        result = runner.run(recipe, runner.prepare(recipe, str(tmp_path)), QUIET, replace=True)
        rows = pq.read_table(pathlib.Path(result.folder, "metrics.parquet")).to_pylist()
        found = {(r["metric"], r["stage"], r["slice"]): r["value"] for r in rows if r["metric"].startswith("personal.")}
        return result.exit_code, found

    code, found = measured("card", 0)
    assert code == 1
    assert found["personal.found", "after", "email"] == 4
    assert found["personal.found", "before", "a/email"] == found["personal.found", "before", "b/email"] == 2
    assert (found["personal.found", "after", "card"], found["personal.found", "after", "b/card"]) == (1, 0)
    assert found["personal.rate", "after", "a/card"] == pytest.approx(1 / 3)
    assert found["personal.rate", "after", "b/email"] == 1
    assert measured("card", 1)[0] == 0
    assert measured("card", 0, asked=False) == (0, {})


def test_what_is_masked(tmp_path: pathlib.Path) -> None:
    """No text that leaves has it, the ledger counts what had it, `verify` proves both, and everybody knows the documents."""
    words = [f"w{n}" for n in range(60)]
    told = [
        "Write to ada@example.org or bob@example.org, or call +1-202-555-0143.",
        "Her card is 4111 1111 1111 1111, she said.",
        "Nothing at all is in this one.",
        "Her card is 4111 1111 1111 1111, he said.",
    ]
    rows = [{"id": f"d{i}", "text": f"{one} {' '.join(words[i:] + words[:i])}"} for i, one in enumerate(told)]
    rows.append(rows[0] | {"id": "again", "text": rows[0]["text"].upper()})
    rows.append({"id": "own", "text": f"They write <EMAIL> and carol@example.org there. {' '.join(words[9:30])}"})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row | {"origin": "human"}) + "\n" for row in rows))

    def run(name: str, mask: list[str], **more: object) -> runner.Result:
        rule = {
            "expect": "metric_to_be_between",
            "metric": "personal.found",
            "slice_kind": "personal",
            "slice": "email",
        }
        data = {
            "release": name, "sources": [{"name": "a", "path": "a.jsonl"}], "personal_data": {"mask": mask},
            "output": {"path": "out"}, "expectations": {"expectations": [rule | {"max": 0}]}, **more,
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(data))
        recipe = load_recipe(str(tmp_path / "recipe.yaml"))
        return runner.run(recipe, runner.prepare(recipe, str(tmp_path)), QUIET)

    result = run("masked", ["email", "card"])
    assert result.exit_code == 0  # the rule is of what is released
    folder = pathlib.Path(result.folder)
    shards = {row["input_id"]: row for row in pq.read_table(folder / "data").to_pylist()}
    assert len(shards) == 5
    kept = next(name for name in ("d0", "again") if name in shards)
    assert {name: row["masked"] for name, row in shards.items()} == {
        kept: "email:2", "d1": "card:1", "d2": None, "d3": "card:1", "own": "email:1",
    }  # fmt: skip
    assert shards["d1"]["text"] == rows[1]["text"].replace("4111 1111 1111 1111", "<CARD>")
    assert "+1-202-555-0143" in shards[kept]["text"].lower()  # a kind that was not asked for
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            assert b"example.org" not in path.read_bytes().lower(), path
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    assert manifest["masked"] == {"email": 3, "card": 2}
    assert "2 card, 3 email" in (folder / "README.md").read_text()
    table = pq.read_table(folder / "metrics.parquet").to_pylist()
    found = {(r["stage"], r["slice"]): r["value"] for r in table if r["metric"] == "personal.found"}
    assert (found["before", "email"], found["after", "email"], found["after", "phone"]) == (5, 0, 1)
    ledger = {row["input_id"]: row for row in pq.read_table(folder / "ledger").to_pylist()}
    assert {row["masked"] for row in ledger.values() if not row["kept"]} == {None}

    # The release knows its documents as they were read.
    plain = run("plain", [], dedup={"against": [str(folder)]})
    assert (plain.counts["dropped.in_earlier_release"], plain.counts["kept"]) == (6, 0)
    lines, wrong = examine(result.folder, QUIET)
    assert not wrong
    assert any(line.startswith("masked        card 2, email 3, in 4 documents") for line in lines)

    sample = draw(result.folder, Design(n=60, population="all"), None).to_pylist()
    contents = {row["content_hash"] for row in sample}
    signed = pq.read_table(folder / "signatures").to_pylist()
    assert contents == {row["content_hash"].hex() for row in signed}  # what labels are keyed by

    (tmp_path / "list.jsonl").write_text(json.dumps({"id": "own", "requested_by": "x", "requested_on": "2027-01-01"}))
    receipt = withdraw(result.folder, [str(tmp_path / "list.jsonl")], "less", QUIET, "2027-01-02")
    lines, wrong = examine(receipt.folder, QUIET)
    assert not wrong
    assert any(line.startswith("masked        card 2, email 2, in 3 documents") for line in lines)

    # And what is not as it says is seen: a ledger that counts less, a text that was not masked, one without its placeholder.
    for name, change in (("ledger", None), ("data", ("<CARD>", "4111 1111 1111 1111")), ("data", ("<CARD>", "it"))):
        damaged = tmp_path / f"{name}-{change}"
        shutil.copytree(folder, damaged)
        path = next((damaged / name).glob("*.parquet"))
        table = pq.read_table(path)
        at = table.column_names.index("masked" if change is None else "text")
        column = table.column(at)
        column = pc.replace_substring(column, *change) if change else pa.nulls(len(column), pa.string())
        pq.write_table(table.set_column(at, table.schema.field(at), column), path)
        again = json.loads((damaged / "MANIFEST.json").read_text())
        for entry in again["files"]:
            if entry["path"] == f"{name}/{path.name}":
                data = path.read_bytes()
                entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (damaged / "MANIFEST.json").write_text(json.dumps(again))
        _, wrong = examine(str(damaged), QUIET)
        said = {None: "as masked, and the manifest says", ("<CARD>", "it"): "has fewer placeholders"}
        assert any(said.get(change, "still has 2 of the kind card") in one for one in wrong), wrong
