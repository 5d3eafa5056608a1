"""From release to release: what moved, which documents came and went, and a suite from what was good."""

import collections
import hashlib
import itertools
import json
import os
import pathlib
import pydoc_data.topics
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from expectations import contracts, release_diff
from expectations.suite.suite import load_suite
from pipeline import runner
from pipeline.cli import _exit_code_of, app
from pipeline.commands import diff as difference
from pipeline.commands.history import sparkline
from pipeline.commands.propose import propose
from pipeline.recipe import RecipeError, load_recipe
from transforms.release.read_release import ReleaseError

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


SIZE = {"expect": "size_to_be_at_least", "min": 150}
WAIVER = {"who": "Ada", "why": "the first is small", "until": "2027-01-31"}


def texts() -> list[str]:
    found = []
    for _, text in sorted(pydoc_data.topics.topics.items()):
        found += [text[start : start + 1000] for start in range(0, min(len(text), 6000), 1000)]
    return [text for text in found if len(text.split()) > 60][:240]


def collapsed(text: str, common: set[str]) -> str:
    """The same text with every rare word replaced: what tails look like when they are gone."""
    return " ".join(word if word in common else "thing" for word in text.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three releases of as many documents: v2 has other documents in part, v3 has lost its rare words."""
    folder = tmp_path_factory.mktemp("releases")
    corpus = texts()
    counts = collections.Counter(word for text in corpus for word in text.split())
    common = {word for word, _ in counts.most_common(150)}
    versions = {
        "v1": [(n, text, "human") for n, text in enumerate(corpus[:200])],
        "v2": [(n, text, "synthetic" if n < 12 else "human") for n, text in enumerate(corpus[:220]) if n >= 10],
        "v3": [(n, f"{n} {n * 7} {n * 11} " + collapsed(text, common), "human") for n, text in enumerate(corpus[:200])],
    }
    for name, records in versions.items():
        lines = [json.dumps({"id": f"d{n}", "text": text, "origin": origin}) for n, text, origin in records]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
        recipe = {
            "release": name,
            "sources": [{"name": "topics", "path": f"{name}.jsonl"}],
            "expectations": {"expectations": [SIZE | ({"min": 1000, "waivers": [WAIVER]} if name == "v1" else {})]},
            "output": {"path": "."},
            "dedup": {"min_similarity": 0.95},
        }
        (folder / "recipe.yaml").write_text(json.dumps(recipe))
        loaded = load_recipe(str(folder / "recipe.yaml"), [f"output.path={folder}"])
        result = runner.run(loaded, runner.prepare(loaded, str(folder), "2027-01-31"), QUIET)
        assert result.exit_code == 0, result.verdict.reasons
    return folder


def test_a_run_with_a_waiver_says_so_in_everything_it_leaves(folder: pathlib.Path) -> None:
    verdict = json.loads((folder / "v1" / "verdict.json").read_text())
    assert (verdict["status"], verdict["judged_on"], len(verdict["waived"])) == ("passed", "2027-01-31", 1)
    assert "1 of them do not hold and are waived" in (folder / "v1" / "README.md").read_text()
    assert "Waiver by Ada until 2027-01-31" in (folder / "v1" / "report" / "index.html").read_text()
    assert load_suite("suite.yaml", str(folder / "v1")).expectations[0].waivers[0].who == "Ada"
    kept_for_others = json.loads((folder / "v1" / "great_expectations" / "validation.json").read_text())
    assert kept_for_others["success"] is False
    assert json.loads((folder / "v2" / "verdict.json").read_text())["judged_on"] is None


def kept(folder: pathlib.Path) -> dict[str, dict]:
    rows = pq.read_table(sorted((folder / "ledger").glob("*.parquet"))).to_pylist()
    return {row["id"]: row for row in rows if row["kept"]}


def test_documents_that_came_went_and_stayed_are_those_of_the_ledgers(folder: pathlib.Path) -> None:
    a, b = kept(folder / "v1"), kept(folder / "v2")
    found = difference.documents_between(str(folder / "v1"), str(folder / "v2"))
    totals = collections.Counter()
    for (fate, source, _), (n, tokens) in found["fates"].items():
        assert source == "topics"
        totals[fate] += n
        totals[fate, "tokens"] += tokens
    assert (totals["stayed"], totals["came"], totals["went"]) == (
        len(a.keys() & b.keys()),
        len(b.keys() - a.keys()),
        len(a.keys() - b.keys()),
    )
    assert totals["came", "tokens"] == sum(b[i]["n_tokens"] for i in b.keys() - a.keys())
    assert totals["went"] == 10
    assert totals["came"] > 10
    assert found["relabelled"] == {("human", "synthetic"): 2}


def test_tokens_are_worth_as_many_documents_as_kish_says(folder: pathlib.Path) -> None:
    rows = pq.read_table(folder / "v1" / "metrics.parquet").to_pylist()
    (row,) = (row for row in rows if row["metric"] == "length.effective_documents")
    tokens = [one["n_tokens"] for one in kept(folder / "v1").values()]
    assert row["n"] == len(tokens)
    assert row["value"] == pytest.approx(sum(tokens) ** 2 / sum(n * n for n in tokens))
    assert row["value"] < len(tokens)


def test_diff_and_history_as_a_page_say_the_same(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run, page = CliRunner().invoke, tmp_path / "diff.html"
    found = run(app, ["diff", str(folder / "v1"), str(folder / "v3"), "--html", str(page), "--fail-on-worse"])
    assert found.exit_code == 1
    line = re.search(r"verdict: worse: ([^;]*);", found.output)
    assert line
    assert f"Worse: {line[1]}." in page.read_text()
    assert page.read_text().count('<tr class="worse">') >= 5
    steps = run(app, ["history", *(str(folder / name) for name in ("v1", "v2", "v3")), "--html", str(page)])
    assert steps.exit_code == 0
    assert "v1 → v2" in page.read_text()
    assert "Steady: nothing moved beyond noise." in page.read_text()
    made = run(app, ["diff", str(folder / "v1"), str(folder / "v2"), "--html", str(tmp_path / "new" / "page.html")])
    assert (made.exit_code, (tmp_path / "new" / "page.html").is_file()) == (0, True)


def test_diff_says_what_it_found_and_fails_only_on_request(folder: pathlib.Path) -> None:
    run = CliRunner().invoke
    same = run(app, ["diff", str(folder / "v1"), str(folder / "v1"), "--fail-on-worse"])
    assert (same.exit_code, "verdict: steady" in same.output) == (0, True)
    worse = run(app, ["diff", str(folder / "v1"), str(folder / "v3")])
    assert worse.exit_code == 0
    assert re.search(r"verdict: worse: [A-Z].* (rose|fell|doubled|halved|tripled)", worse.output)
    assert run(app, ["diff", str(folder / "v1"), str(folder / "v3"), "--fail-on-worse"]).exit_code == 1
    data = json.loads(run(app, ["diff", str(folder / "v1"), str(folder / "v2"), "--format", "json"]).output)
    assert sum(d["documents"] for d in data["documents"] if d["fate"] == "came") > 10
    assert {m["status"] for m in data["movements"]} <= {
        "worse",
        "better",
        "moved",
        "same",
        "counted",
        "unknown",
        "came",
        "went",
    }


def test_history_shows_every_release_in_its_order(folder: pathlib.Path) -> None:
    run = CliRunner().invoke
    releases = [str(folder / name) for name in ("v1", "v2", "v3")]
    told = run(app, ["history", *releases])
    assert (told.exit_code, told.output.splitlines()[0]) == (0, "v1 -> v2 -> v3")
    assert re.search(r"words +worse .*[▁-█]{3} .* lexical\.entropy_1", told.output)
    assert "step v2 -> v3: " in told.output
    assert run(app, ["history", *releases, "--fail-on-worse"]).exit_code == 1
    data = json.loads(run(app, ["history", *releases, "--format", "json"]).output)
    documents = next(one for one in data["numbers"] if one["metric"] == "documents")
    assert documents["values"] == [len(kept(folder / name)) for name in ("v1", "v2", "v3")]
    with pytest.raises(RecipeError, match="at least two"):
        run(app, ["history", releases[0]], catch_exceptions=False)


@pytest.mark.parametrize("names", [["v1"], ["v1", "v2"]])
def test_a_proposed_suite_is_passed_by_its_references_and_loads(
    folder: pathlib.Path, tmp_path: pathlib.Path, names: list[str]
) -> None:
    path = tmp_path / "mine.yaml"
    said = propose([str(folder / name) for name in names], str(path))
    assert f"{path}: " in said
    suite = load_suite("mine.yaml", str(tmp_path))
    assert suite.suite == "mine"
    assert path.read_text().startswith(
        f"# Proposed by `lowbackground propose` from {'one reference: v1' if len(names) == 1 else '2 references: v1, v2'}."
    )
    for name in names:
        result = CliRunner().invoke(app, ["gate", str(folder / name), "--suite", str(path)])
        assert (result.exit_code, "warn" in result.output, "FAIL" in result.output) == (0, False, False)
    with pytest.raises(RecipeError, match="is there already; choose another name, or say --force"):
        propose([str(folder / "v1")], str(path))


def test_a_release_that_is_given_twice_is_one_reference(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path, copy = tmp_path / "mine.yaml", tmp_path / "copy"
    shutil.copytree(folder / "v1", copy)
    said = propose([str(folder / "v1"), str(copy), f"{folder}/v1/"], str(path))
    assert path.read_text().startswith("# Proposed by `lowbackground propose` from one reference: v1.")
    assert f"{copy} counts once: it has the shards of {folder / 'v1'}" in said
    assert "its reference passes" in said


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Releases of four disjoint quarters, by hash, of one corpus in which every document says what it is."""
    folder = tmp_path_factory.mktemp("quarters")
    parts: list[list[str]] = [[] for _ in range(4)]
    for n, text in enumerate(texts()):
        digest = hashlib.blake2b(text.encode()).digest()
        # Of machines is what is longer: shares of tokens are less sure than those of documents.
        record = {"id": f"d{n}", "text": text, "origin": "synthetic" if digest[1] % 4 == 0 else "human"}
        if record["origin"] == "human":
            record["text"] = text[: 200 + 3 * digest[2]]
        parts[digest[0] % 4].append(json.dumps(record))
    for n, lines in enumerate(parts):
        (folder / f"{n}.jsonl").write_text("\n".join(lines))
        recipe = {"release": f"q{n}", "sources": [{"name": "topics", "path": f"{n}.jsonl"}],
                  "ratio": {"max_synthetic_share": 1}, "expectations": {"expectations": [SIZE | {"min": 1}]},
                  "output": {"path": "."}}  # fmt: skip
        (folder / "recipe.yaml").write_text(json.dumps(recipe))
        loaded = load_recipe(str(folder / "recipe.yaml"), [f"output.path={folder}"])
        assert runner.run(loaded, runner.prepare(loaded, str(folder)), QUIET).exit_code == 0
    return [str(folder / f"q{n}") for n in range(4)]


@pytest.mark.slow
def test_quarters_of_one_corpus_are_neither_better_nor_worse(quarters: list[str], tmp_path: pathlib.Path) -> None:
    shares = []
    for a, b in itertools.combinations(quarters, 2):
        found = difference.moved_between(difference.read_release(a), difference.read_release(b))
        assert release_diff.verdict(found).status == "steady", release_diff.as_lines(found)
        share = next(m for m in found if (m.metric, m.slice_kind) == ("synthetic_share.tokens", "overall"))
        assert share.basis == "documents as drawn, for their lengths fewer"
        shares.append(share.change)
    assert any(shares)
    propose(quarters[:1], str(tmp_path / "mine.yaml"))
    for release in quarters:
        result = CliRunner().invoke(app, ["gate", release, "--suite", str(tmp_path / "mine.yaml")])
        assert (result.exit_code, "FAIL" in result.output) == (0, False), result.output


def test_what_is_no_reference_is_refused_in_a_line(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ReleaseError, match=r"no release there \(it has no metrics.parquet\)"):
        propose([str(tmp_path / "half")], str(tmp_path / "s.yaml"))
    with pytest.raises(RecipeError, match="is inside of"):
        propose([str(tmp_path)], str(tmp_path / "s.yaml"))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "metrics.parquet").write_bytes((folder / "v1" / "metrics.parquet").read_bytes())
    with pytest.raises(RecipeError, match="is no reference"):
        propose([str(tmp_path / "half")], str(tmp_path / "s.yaml"))
    with pytest.raises(ReleaseError, match="it has no ledger"):
        difference.difference(str(tmp_path / "half"), str(folder / "v1"), "text")
    assert not (tmp_path / "s.yaml").exists()


def cut(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: pathlib.Path) -> None:
    """The footer of a Parquet file stays whole: it opens, and its pages cannot be read."""
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * (len(data) // 2) + data[4 + len(data) // 2 :])


HARM = {
    "gone": pathlib.Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "garbled": garble,
    "x": lambda path: path.write_text("x"),
    "[]": lambda path: path.write_text("[]"),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("metrics.parquet", ("gate", "diff", "diff back", "history", "propose")),
        ("MANIFEST.json", ("gate", "diff", "diff back", "history", "propose", "audit")),
        ("verdict.json", ("gate",)),
        ("ledger/ledger-00000-of-00001.parquet", ("gate", "diff", "diff back", "explain")),
        ("data/train-00000-of-00001.parquet", ("gate", "audit")),
    ],
)
def test_a_file_that_is_gone_or_damaged_is_named_by_every_command_that_needs_it(
    folder: pathlib.Path, tmp_path: pathlib.Path, harm: str, name: str, commands: tuple[str, ...]
) -> None:
    """In one line with what to do: an error of the user's to mend (exit code 2), never a bug."""
    release, good = str(shutil.copytree(folder / "v1", tmp_path / "v1")), str(folder / "v2")
    HARM[harm](tmp_path / "v1" / name)
    calls = {
        "gate": ["gate", release, "--checksums"],
        "diff": ["diff", release, good],
        "diff back": ["diff", good, release],
        "history": ["history", good, release],
        "propose": ["propose", release, "-o", str(tmp_path / "suite.yaml")],
        "explain": ["explain", release, "d1"],
        "audit": ["audit", "sample", release, "-o", str(tmp_path / "sample.parquet")],
    }
    for command in commands:
        if (harm, name) == ("gone", "MANIFEST.json") and command not in ("gate", "propose", "audit"):
            continue  # a rejection has none
        with pytest.raises((ReleaseError, RecipeError)) as raised:
            CliRunner().invoke(app, calls[command], catch_exceptions=False)
        said = str(raised.value)
        assert _exit_code_of(raised.value) == 2
        assert name.partition("/")[0] in said or "manifest" in said or "ledger" in said, said
        assert re.search("restore|give the folder|is no reference", said), said
        assert len(said.splitlines()) == 1


def test_a_part_of_the_ledger_that_is_gone_is_missed_by_the_names_of_the_others(tmp_path: pathlib.Path) -> None:
    ledger(tmp_path, {1: (True, "a", "human"), 2: (True, "a", "human")})
    for number in (0, 1):
        (tmp_path / "ledger" / f"{number}.parquet").rename(
            tmp_path / "ledger" / f"ledger-0000{number}-of-00003.parquet"
        )
    with pytest.raises(ReleaseError, match=r"ledger-00002-of-00003\.parquet is gone; restore"):
        difference.documents_between(str(tmp_path), str(tmp_path))


def ledger(path: pathlib.Path, rows: dict[int, tuple]) -> None:
    (path / "ledger").mkdir(parents=True)
    template = {f.name: None if f.nullable else "" if f.type == pa.string() else 0 for f in contracts.LEDGER.schema}
    found = []
    for n, (keep, source, origin) in rows.items():
        doc_id = f"{n * 2654435761 % 2**32:08x}" * 4
        found.append(template | {"id": doc_id, "kept": keep, "source": source, "origin": origin, "n_tokens": n})
    half = len(found) // 2
    for number, part in enumerate((found[:half], found[half:])):
        pq.write_table(
            pa.Table.from_pylist(part, schema=contracts.LEDGER.schema), path / "ledger" / f"{number}.parquet"
        )


documents = st.dictionaries(
    st.integers(0, 60), st.tuples(st.booleans(), st.sampled_from(["a", "b/c"]), st.sampled_from(["human", "unknown"]))
)


@settings(max_examples=30)
@given(documents, documents, st.sampled_from([1, 3, 7, 10**6]))
def test_fates_are_the_same_however_the_ledgers_are_cut(tmp_path_factory, first, second, part_rows) -> None:
    """Against sets."""
    folder = tmp_path_factory.mktemp("ledgers")
    for name, rows in (("a", first), ("b", second)):
        ledger(folder / name, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(difference, "PART_ROWS", part_rows)
        found = difference.documents_between(str(folder / "a"), str(folder / "b"))
    a, b = ({n: row[1:] for n, row in rows.items() if row[0]} for rows in (first, second))
    wanted: collections.Counter = collections.Counter()
    for fate, chosen, rows in (
        ("stayed", a.keys() & b.keys(), b),
        ("came", b.keys() - a.keys(), b),
        ("went", a.keys() - b.keys(), a),
    ):
        for n in chosen:
            wanted[(fate, *rows[n])] += 1
            wanted[("tokens", fate, *rows[n])] += n
    assert {key: n for key, (n, _) in found["fates"].items()} == {k: n for k, n in wanted.items() if k[0] != "tokens"}
    assert all(tokens == wanted[("tokens", *key)] for key, (_, tokens) in found["fates"].items())
    moved = collections.Counter((a[n][1], b[n][1]) for n in a.keys() & b.keys() if a[n][1] != b[n][1])
    assert found["relabelled"] == dict(moved)


def test_a_sparkline_has_a_bar_for_each_value() -> None:
    assert sparkline([0.0, 1.0, None, 0.5]) == "▁█·▅"
    assert sparkline([2.0, 2.0]) == "▄▄"
    assert sparkline([None]) == "·"
