"""Whole runs with lists of removals: what goes, what goes with it, and that it does not come back in a later release."""

import json
import os
import pathlib
import shutil
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.diff import difference
from pipeline.commands.explain import explain_document
from pipeline.commands.verify import verify_release
from pipeline.commands.withdraw import receipt_json, receipt_text, withdraw
from pipeline.reading.pushed import note_pushed
from pipeline.recipe import RecipeError, load_recipe
from transforms.exclusions.removals import RemovalError
from transforms.release.read_release import read_manifest

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
ASKED = {"requested_by": "the author's lawyer", "requested_on": "2027-01-31"}


def words(seed: int, n: int) -> str:
    """Words that no other seed has."""
    return " ".join(f"w{seed}x{i}" for i in range(n))


def documents() -> list[dict[str, Any]]:
    """30 documents; d1 is also there as a near copy, an exact copy in capitals, and d2's copy is longer than d2."""
    rows = [
        {
            "id": f"d{i}",
            "text": words(i, 80),
            "url": f"https://site{i % 5}.org/{i}",
            "author": f"Author {i}",
            "origin": "human",
        }
        for i in range(30)
    ]
    near = {"id": "near1", "text": words(1, 80) + " and an end", "url": "https://other.org/1", "author": "Thief"}
    same = {"id": "same1", "text": words(1, 80).upper(), "url": "https://another.org/1", "author": "Other thief"}
    return [*rows, near | {"origin": "human"}, same | {"origin": "human"}]


def write(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: pathlib.Path, release: str, *requests: dict[str, Any], **changes: Any) -> runner.Result:
    data = {
        "release": release, "sources": [{"name": "web", "path": "corpus"}],
        "expectations": {"expectations": [{"expect": "size_to_be_at_least", "min": 1}]}, "output": {"path": "out"}, **changes,
    }  # fmt: skip
    if requests:
        write(folder / f"{release}.removals.jsonl", [ASKED | request for request in requests])
        data["removals"] = f"{release}.removals.jsonl"
    (folder / f"{release}.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / f"{release}.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def ledger(result: runner.Result) -> dict[str, dict[str, Any]]:
    parts = [pq.read_table(path) for path in sorted(pathlib.Path(result.folder, "ledger").glob("*.parquet"))]
    return {row["input_id"]: row for row in pa.concat_tables(parts).to_pylist()}


def reasons(result: runner.Result) -> dict[str, str]:
    return {name: row["reason"] for name, row in ledger(result).items() if not row["kept"]}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    write(tmp_path / "corpus" / "a.jsonl", documents())
    return tmp_path


def test_a_document_goes_with_all_that_is_like_it(folder: pathlib.Path) -> None:
    """Whichever of the three is named, and although another of them would have been kept."""
    for number, name in enumerate(("d1", "near1", "same1")):
        result = run(folder, f"r{number}", {"id": name}, {"domain": "site4.org"})
        withdrawn = {"d1", "near1", "same1", "d4", "d9", "d14", "d19", "d24", "d29"}
        assert reasons(result) == dict.fromkeys(withdrawn, "withdrawn")
        rows = ledger(result)
        assert {rows[one]["survivor_id"] for one in ("d1", "near1", "same1")} == {rows[name]["id"]}
        assert [(row["url"], row["host"], row["author"]) for row in rows.values() if row["reason"]] == [(None,) * 3] * 9
        assert (rows["d2"]["host"], rows["d2"]["author"]) == ("site2.org", "Author 2")
        assert result.counts["dropped.withdrawn"] == 9
        manifest, _ = read_manifest(result.folder)
        assert [one["requests"] for one in manifest["removals"]] == [{"domain": 1, "id": 1}]
        said = (
            pathlib.Path(result.folder, "MANIFEST.json").read_text()
            + pathlib.Path(result.folder, "recipe.yaml").read_text()
        )
        assert "site4.org" not in said
        assert "lawyer" not in said
        verified, good = verify_release(result.folder, QUIET)
        assert good, verified
    assert "which was withdrawn; similarity" in explain_document(result.folder, "near1")
    assert "d1" not in explain_document(result.folder, "near1").split("like  ")[1]


@pytest.mark.slow
def test_it_does_not_come_back(folder: pathlib.Path) -> None:
    """Not in a release that is held against this one, nor in one that is held against that one, whatever it calls the text."""
    first = run(folder, "first", {"author": "author 1"}, {"id": "d5"})
    assert reasons(first) == dict.fromkeys(("d1", "near1", "same1", "d5"), "withdrawn")
    write(folder / "later" / "b.jsonl", [{"id": "again", "text": words(1, 80) + " the end", "origin": "human"},
                                         {"id": "five", "text": words(5, 80), "origin": "human"},
                                         {"id": "new", "text": words(100, 80), "origin": "human"}])  # fmt: skip
    later = {"sources": [{"name": "mirror", "path": "later"}]}
    for on_match in ("drop", "tag"):
        second = run(folder, f"second-{on_match}", dedup={"against": ["out/first"], "on_match": on_match}, **later)
        assert reasons(second) == {"again": "withdrawn", "five": "withdrawn"}
        third = run(folder, f"third-{on_match}", dedup={"against": [second.folder.removeprefix(f"{folder}/")]}, **later)
        assert reasons(third) == {"again": "withdrawn", "five": "withdrawn", "new": "in_earlier_release"}
    both = run(folder, "both", dedup={"against": ["out/first", "out/second-drop"]}, **later)
    assert reasons(both)["again"] == "withdrawn"
    held = sorted(pathlib.Path(second.folder, "tombstones").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in held) == 2  # those that are named, not what is like them
    assert set(pq.read_schema(held[0]).names) == {"doc_id", "content_hash", "url_hash", "n_shingles", "signature"}


@pytest.mark.slow
def test_nothing_is_surveyed_again_for_another_list(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder, "one")
    monkeypatch.setattr(
        "transforms.survey.text_to_signals.survey_split", lambda *_: pytest.fail("the text was read again")
    )
    assert reasons(run(folder, "two", {"id": "d7"}))["d7"] == "withdrawn"
    assert reasons(run(folder, "three", {"id": "d8"}))["d8"] == "withdrawn"


def measured(folder: str, metric: str, stage: str = "after") -> dict[tuple[str, str], dict[str, Any]]:
    rows = pq.read_table(pathlib.Path(folder, "metrics.parquet")).to_pylist()
    return {(r["slice_kind"], r["slice"]): r for r in rows if (r["metric"], r["stage"]) == (metric, stage)}


def released(folder: str) -> dict[str, dict[str, Any]]:
    parts = [pq.read_table(path) for path in sorted(pathlib.Path(folder, "data").glob("*.parquet"))]
    return {row["input_id"]: row for row in pa.concat_tables(parts).to_pylist()}


def test_a_release_without_what_was_withdrawn_needs_no_corpus(folder: pathlib.Path) -> None:
    """It is as good as any by `verify`; its counts are its own; and a later run brings nothing of it back."""
    old = run(folder, "old", output={"path": "out", "shard_bytes": 4000, "row_group_bytes": 1000})
    (folder / "corpus").rename(folder / "moved")
    assert {name for name in ("d1", "near1", "same1") if name in released(old.folder)} <= {"d1", "near1", "same1"}
    [stays] = {"d1", "near1", "same1"} & set(released(old.folder))
    [dropped, _] = sorted({"d1", "near1", "same1"} - {stays})
    requests = [
        {"id": dropped},
        {"domain": "site2.org"},
        {"url": "https://www.site3.org/8#top"},
        {"author": "author 14"},
    ]
    content = pq.read_table(sorted(pathlib.Path(old.folder, "signatures").glob("*.parquet"))[0]).to_pylist()
    of_d5 = next(r["content_hash"].hex() for r in content if r["doc_id"].hex() == released(old.folder)["d5"]["id"])
    requests.append({"content_hash": of_d5})
    write(folder / "list.jsonl", [ASKED | one for one in requests])
    before = {path.name: path.read_bytes() for path in pathlib.Path(old.folder).rglob("*.parquet")}
    receipt = withdraw(old.folder, [str(folder / "list.jsonl")], "new", QUIET, "2027-02-01")
    assert {
        path.name: path.read_bytes() for path in pathlib.Path(old.folder).rglob("*.parquet")
    } == before  # it is as it was
    gone = {stays, "d2", "d7", "d12", "d17", "d22", "d27", "d8", "d14", "d5"}
    new = str(folder / "out" / "new")
    assert receipt.folder == new
    said, _ = difference(old.folder, new, "text")
    assert said.splitlines()[-1].startswith(
        "new: documents were withdrawn from it; its numbers but counts are of before"
    )
    assert json.loads(difference(old.folder, new, "json")[0])["numbers_of_before_a_withdrawal"] == ["new"]
    assert "withdrawn" not in difference(old.folder, old.folder, "text")[0]
    assert set(released(old.folder)) - set(released(new)) == gone
    assert (receipt.said["documents"], receipt.said["named"], receipt.said["like_named"]) == (10, 9, 1)
    assert receipt.said["from"]["release"] == "old"
    assert receipt.said["on"] == "2027-02-01"
    assert receipt.passed
    said, good = verify_release(new, QUIET)
    assert good, said
    for metric, unit in (("documents", lambda row: 1), ("tokens", lambda row: row["n_tokens"])):
        left = sum(unit(row) for row in released(new).values())
        for at in (("overall", ""), ("source", "web"), ("language", "unknown"), ("origin", "human"),
                   ("source_origin", "web/human"), ("origin_basis", "human/declared")):  # fmt: skip
            assert measured(new, metric)[at]["value"] == left, (metric, at)
    share, was = (measured(one, "synthetic_share.tokens")["overall", ""] for one in (new, old.folder))
    assert was["upper"] <= share["upper"] <= 1
    assert "before the withdrawal of 10 documents" in share["note"]
    rows = {row["input_id"]: row for row in pa.concat_tables(
        [pq.read_table(path) for path in sorted(pathlib.Path(new, "ledger").glob("*.parquet"))]).to_pylist()}  # fmt: skip
    assert {name for name, row in rows.items() if row["reason"] == "withdrawn"} == gone
    assert {(rows[name]["host"], rows[name]["author"], rows[name]["copies"]) for name in gone} == {(None, None, 0)}
    receipts = json.loads(pathlib.Path(new, "withdrawal.json").read_text())["withdrawals"]
    assert [one["documents"] for one in receipts] == [10]
    everything = b"".join(path.read_bytes() for path in pathlib.Path(new).rglob("*.json"))
    assert b"site2.org" not in everything
    (folder / "moved").rename(folder / "corpus")
    later = run(folder, "later", dedup={"against": ["out/new"]})
    assert {name for name, reason in reasons(later).items() if reason == "withdrawn"} == gone | {"d1", "near1", "same1"}
    assert not set(released(new)) & {name for name, reason in reasons(later).items() if reason == "withdrawn"}


def test_a_withdrawal_after_another_keeps_both_receipts_and_all_tombstones(folder: pathlib.Path) -> None:
    run(folder, "old")
    for number, (origin, name) in enumerate((("old", "d3"), ("old-withdrawn", "d4"))):
        write(folder / f"{number}.jsonl", [ASKED | {"id": name}])
        receipt = withdraw(str(folder / "out" / origin), [str(folder / f"{number}.jsonl")], None, QUIET)
        assert receipt.descent.still_there == (
            {str(folder / "out" / "old"): 1} if number else {}
        )  # the old one is as it was
    folder_ = receipt.folder
    assert folder_.endswith("old-withdrawn-withdrawn")
    assert len(json.loads(pathlib.Path(folder_, "withdrawal.json").read_text())["withdrawals"]) == 2
    tombs = [pq.read_metadata(path).num_rows for path in sorted(pathlib.Path(folder_, "tombstones").glob("*"))]
    assert tombs == [1, 1]
    assert verify_release(folder_, QUIET)[1]
    assert len(read_manifest(folder_)[0]["removals"]) == 2


# A card, by its place below the folder of models, and what is said of it; None: nothing is.
CARDS = {
    "by-name/README.md": (
        "---\nlicense: mit\ndatasets:\n- old\n- other/set\n---\n# A model\n", "`datasets` has old: the release",
    ),
    "by-hub/README.md": ("---\r\ndatasets: ORG/Laws\r\n---\r\n", "`datasets` has ORG/Laws: the release"),
    "by-address.md": (
        "---\ndatasets: [{name: https://huggingface.co/datasets/org/laws/tree/main}]\n---\n", "org/laws/tree/main: the release",
    ),
    "by-hash/README.md": ("No header, but trained on manifest HASH.\n", "its card has the hash of the release"),
    "of-child/README.md": ("---\ndatasets: [x/child]\n---\n", "`datasets` has x/child: child, made with old"),
    "of-grandchild/README.md": ("---\ndatasets: grandchild\n---\n", "grandchild, made with child"),
    "of-twin/README.md": ("---\ndatasets: twin\n---\n", "twin, which holds 1 of the documents"),
    "org/tuned/README.md": ("---\nbase_model: someone/by-name\n---\n", "`base_model` has someone/by-name: by-name"),
    "org/merged/README.md": (
        "---\nbase_model:\n- far/away\n- org/tuned@abc\nmodel-index: [{name: Merged-7B}]\n---\n",
        "`base_model` has org/tuned@abc: org/tuned",
    ),
    "circle/README.md": ("---\nbase_model: [lab/merged-7b, lab/circle]\n---\n", "`base_model` has lab/merged-7b"),
    "cache/models--lab--snap/snapshots/0ab/README.md": ("---\nbase_model: lab/circle\n---\n", "lab/circle: circle"),
    "hostile/README.md": (
        "---\ndatasets: \"evil/\\e[2J\\n  forged/old\"\n---\n", "`datasets` has evil/\ufffd[2J\ufffd  forged/old",
    ),
    "innocent/README.md": ("---\ndatasets: [org/older, lawsuit, 7, null]\nbase_model: [other/tuned/x, '']\n---\nold\n", None),
    "namesake/README.md": ("---\nbase_model: another/circle/tuned\n---\n", None),
    "alone/README.md": ("---\nbase_model: lab/alone\n---\n", None),
    "_kept/README.md": ("---\ndatasets: old\n---\n", "`datasets` has old: the release"),
    ".git/README.md": ("---\ndatasets: old\n---\n", None),
    "no-card.txt": ("---\ndatasets: old\n---\n", None),
}  # fmt: skip
SILENT = {
    "bare/README.md": (b"# A model\n", "has no header"),
    "broken/README.md": (b"---\ndatasets: [old\n---\n", "its header, line 2: not YAML"),
    "twice/README.md": (b"---\ndatasets: a\ndatasets: old\n---\n", "its header, line 2: "),
    "tagged/README.md": (b"---\ndatasets: !!python/object/apply:os.system [ls]\n---\n", "its header, line 1: "),
    "open/README.md": (b"---\ndatasets: old\n", "has no header"),
    "list/README.md": (b"---\n- old\n---\n", "has no header"),
    "latin/README.md": (b"---\ndatasets: caf\xe9\n---\n", "line 2: is not UTF-8 text"),
    "empty.md": (b"", "has no header"),
}


def test_releases_and_models_that_descend_from_it_are_named(folder: pathlib.Path) -> None:
    old = run(folder, "old").folder
    run(folder, "twin", salt="other")
    run(folder, "child", dedup={"against": ["out/old"], "on_match": "tag"})
    run(folder, "grandchild", dedup={"against": ["out/child"], "on_match": "tag"})
    write(folder / "list.jsonl", [ASKED | {"id": "d3"}])
    shutil.copytree(folder / "out" / "twin", folder / "out" / "torn")
    next((folder / "out" / "torn" / "ledger").glob("*.parquet")).unlink()
    note_pushed(old, "org/laws", "0" * 40)
    models = folder / "models"
    cards = {name: text.replace("HASH", read_manifest(old)[1]).encode() for name, (text, _) in CARDS.items()}
    for name, text in (cards | {name: text for name, (text, _) in SILENT.items()}).items():
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).write_bytes(text)
    on_another_disk = folder / "disk"
    on_another_disk.mkdir()
    for place in (folder / "out" / "twin", models / "by-name", models / "_kept"):
        place.rename(on_another_disk / place.name)
        place.symlink_to(on_another_disk / place.name)
    (folder / "out" / "latest").symlink_to("old")
    os.mkfifo(models / "waits.md")
    (models / "gone.md").symlink_to("nowhere")
    (models / "up").symlink_to(models)
    with pytest.raises(RecipeError, match="has no cards; give the folder of models"):
        withdraw(old, [str(folder / "list.jsonl")], None, QUIET, cards=str(folder / "corpus"))
    receipt = withdraw(old, [str(folder / "list.jsonl")], None, QUIET, cards=str(models))

    out, found = folder / "out", receipt.descent
    assert found.unread == (str(out / "torn"),)
    assert found.still_there == {str(out / name): 1 for name in ("twin", "child", "grandchild")}
    assert found.descend == {str(out / "child"): "old", str(out / "grandchild"): "child"}
    said = receipt_text(receipt, "out/old")
    assert "holds 1 of them as well" in said
    assert "was made with old" in said

    why = {str(pathlib.Path(one.card).relative_to(models)): one.why for one in found.models or ()}
    assert why.keys() == {name for name, (_, expected) in CARDS.items() if expected}
    for name, reason in why.items():
        assert str(CARDS[name][1]) in reason
    silent = {str(pathlib.Path(path).relative_to(models)): reason for path, reason in found.silent.items()}
    assert (silent.pop("waits.md"), silent.pop("gone.md")) == ("is a FIFO, socket or device", "is a link to nothing")
    assert silent.keys() == SILENT.keys()
    for name, reason in silent.items():
        assert SILENT[name][1] in reason
        assert "\n" not in reason
    hidden = sum(name.startswith(".") or not name.endswith(".md") for name in CARDS)
    assert found.cards == len(CARDS) + len(SILENT) - hidden + 1  # gone.md
    assert f"{len(why)} models of {found.cards} cards descend from out/old" in said
    assert "\x1b" not in said
    [kept] = json.loads(pathlib.Path(receipt.folder, "withdrawal.json").read_text())["withdrawals"]
    assert {one["name"] for one in kept["models"]} >= {"by-name", "org/tuned", "lab/snap"}
    assert (kept["releases"], kept["cards_without_a_word"]) == (["child", "grandchild", "twin"], len(SILENT) + 2)
    assert str(folder) not in json.dumps(kept)
    assert json.loads(receipt_json(receipt))["descend"] == [str(out / "child"), str(out / "grandchild")]


def test_what_cannot_be_withdrawn_is_said(folder: pathlib.Path) -> None:
    result = run(folder, "bare", output={"path": "out", "signatures": False})
    path = folder / "list.jsonl"
    for request, message in (
        ({"url": "https://site1.org/1"}, "has no signatures"),
        ({"id": "nobody"}, "name none of its documents"),
        ({"id": "d1", "source": "wbe"}, "line 1: there is no source 'wbe'"),
    ):
        write(path, [ASKED | request])
        with pytest.raises((RecipeError, RemovalError), match=message):
            withdraw(result.folder, [str(path)], None, QUIET)
    assert sorted(one.name for one in (folder / "out").iterdir() if not one.name.startswith(".")) == ["bare"]
    write(path, [ASKED | {"id": "d3"}])
    for outside in ("../x", "/x", ".x", "a/b"):
        with pytest.raises(RecipeError, match=r"--name .*must be letters"):
            withdraw(result.folder, [str(path)], outside, QUIET)
    shard = next(pathlib.Path(result.folder, "data").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(RecipeError, match="restore the release first"):
        withdraw(result.folder, [str(path)], None, QUIET)


def test_a_release_that_no_longer_passes_says_so(folder: pathlib.Path) -> None:
    run(folder, "old", expectations={"expectations": [{"expect": "size_to_be_at_least", "min": 30}]})
    write(folder / "list.jsonl", [ASKED | {"id": "d3"}])
    receipt = withdraw(str(folder / "out" / "old"), [str(folder / "list.jsonl")], None, QUIET)
    assert not receipt.passed
    assert receipt.said["suite"] == "failed"
    assert "the suite   failed" in receipt_text(receipt, "old")
