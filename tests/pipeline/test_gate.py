"""`gate` on a release that the flow made: formats for CI, exit codes, and the workflow of the documentation."""

import hashlib
import json
import os
import pathlib
import pydoc_data.topics
import shutil
import subprocess
import xml.etree.ElementTree as ET

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm
import yaml
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.schema import schema_of
from pipeline.reading.checksums import check_release
from pipeline.recipe import RecipeError
from transforms.release.read_release import ReleaseError

QUIET = Console(quiet=True)
ROOT = pathlib.Path(__file__).parents[2]
LIMIT = {"expect": "metric_to_be_between", "metric": "documents", "min": 10}


def lowbackground(*args: object, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [*warm.python(), "-m", "pipeline.cli", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a release of some 60 documents of CPython's reference, and nothing of the corpus."""
    folder = tmp_path_factory.mktemp("gate")
    texts = [text[:1500] for _, text in sorted(pydoc_data.topics.topics.items())][:60]
    lines = [json.dumps({"id": f"d{n}", "text": text, "origin": "human"}) for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    recipe = {
        "release": "one",
        "sources": [{"name": "topics", "path": "corpus.jsonl"}],
        "expectations": {"expectations": [LIMIT]},
        "output": {"path": "out"},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    ran = lowbackground("run", "recipe.yaml", cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (folder / "corpus.jsonl").unlink()
    shutil.rmtree(folder / "out" / ".signals")
    shutil.move(folder / "out" / "one", folder / "release")
    suites = {"good": [LIMIT], "bad": [LIMIT | {"min": 1000}], "wary": [LIMIT | {"min": 1000, "severity": "warning"}]}
    suites["choosy"] = [
        LIMIT,
        LIMIT | {"metric": "input.bad_fraction", "stage": "before", "min": 0.5},
    ]  # its own, no rule
    for name, expectations in suites.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"expectations": expectations}))
    return folder


@pytest.mark.parametrize(
    ("suite", "form", "code"),
    [("bad", "json", 1), ("wary", "github", 0), ("nowhere", "text", 2), ("choosy", "text", 1)],
)
def test_the_exit_code_is_of_the_verdict_and_not_of_the_format(folder, suite, form, code):
    result = lowbackground("gate", "release", "--suite", f"{suite}.yaml", "--format", form, cwd=folder)
    assert result.returncode == code, result.stderr
    assert bool(result.stdout) == (code != 2)


def test_the_answer_goes_to_a_file_and_the_text_to_the_screen(folder):
    result = lowbackground(
        "gate", "release", "--suite", "bad.yaml", "--format", "junit", "--output", "r.xml", cwd=folder
    )
    assert result.returncode == 1
    assert "FAIL  The number of documents" in result.stdout
    *_, verdict, written, last = result.stdout.splitlines()
    assert (verdict, written) == ("verdict: failed", "written to r.xml")
    assert last.startswith("failed: expectations[0] of suite bad: The number of documents")
    assert len(list(ET.parse(folder / "r.xml").iter("failure"))) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "jnit"], "did you mean 'junit'?"),
        (["--output", "good.yaml/r.txt"], "cannot write good.yaml/r.txt"),
    ],
)
def test_a_wrong_format_or_file_is_one_line_and_exit_code_2(folder, options, said):
    result = lowbackground("gate", "release", "--suite", "good.yaml", *options, cwd=folder)
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_waiver_is_held_against_the_day_that_is_given(folder):
    waiver = {"who": "Ada", "why": "a small corpus on purpose", "until": "2027-01-31"}
    (folder / "waived.yaml").write_text(json.dumps({"expectations": [LIMIT | {"min": 1000, "waivers": [waiver]}]}))
    command = ("gate", "release", "--suite", "waived.yaml", "--format", "json", "--today")
    results = [lowbackground(*command, today, cwd=folder) for today in ("2027-01-31", "2027-02-01", "tomorrow")]
    assert [result.returncode for result in results] == [0, 1, 2]
    verdict = json.loads(results[0].stdout)
    assert (verdict["judged_on"], len(verdict["waived"])) == ("2027-01-31", 1)
    assert "expired on 2027-01-31" in json.loads(results[1].stdout)["reasons"][0]
    assert results[2].stderr == "error: --today tomorrow: not a date; write it as 2027-01-31\n"


def test_schemas_are_written_for_editors(folder):
    for what in ("suite", "recipe", "structures"):
        jsonschema.Draft202012Validator.check_schema(json.loads(schema_of(what)))
    assert lowbackground("schema", "suite", "-o", "suite.schema.json", cwd=folder).returncode == 0
    validator = jsonschema.Draft202012Validator(json.loads((folder / "suite.schema.json").read_text()))
    for path in (ROOT / "expectations" / "suites").glob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text()))
    wrong = {"suite": "s", "expectations": [LIMIT | {"severity": "crit"}]}
    assert not validator.is_valid(wrong)
    jsonschema.Draft202012Validator(json.loads(schema_of("recipe"))).validate(
        yaml.safe_load((folder / "recipe.yaml").read_text())
    )
    with pytest.raises(RecipeError, match="did you mean 'suite'"):
        schema_of("suit")


@pytest.fixture
def copy(folder: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The release once more, to be damaged."""
    return pathlib.Path(shutil.copytree(folder / "release", tmp_path / "release"))


def shard(release: pathlib.Path) -> pathlib.Path:
    return next((release / "data").iterdir())


def flip_a_byte(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def other_metrics(release: pathlib.Path) -> None:
    """As good a file as the one that was published, as of a release of ten thousand documents."""
    path = release / "metrics.parquet"
    rows = [r | {"value": 10_000.0} if r["metric"] == "documents" else r for r in pq.read_table(path).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path, compression="zstd")


def rewrite_manifest(release: pathlib.Path, **changes: object) -> None:
    path = release / "MANIFEST.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def point(path: pathlib.Path, sha256: str) -> None:
    """What Git LFS leaves in a file's place."""
    size = path.stat().st_size
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n")


DAMAGE = {
    "no data": (lambda r: shutil.rmtree(r / "data"), "of-00001.parquet is gone;"),
    "a truncated shard": (lambda r: os.truncate(shard(r), 100), "of-00001.parquet has a size of 100 bytes, and"),
    "a shard too many": (lambda r: shutil.copy(shard(r), r / "data" / "more.parquet"), "more.parquet is not in the manifest"),
    "no ledger": (lambda r: shutil.rmtree(r / "ledger"), "of-00001.parquet is gone;"),
    "no manifest": (lambda r: (r / "MANIFEST.json").unlink(), "MANIFEST.json is gone, so this is no whole release"),
    "a manifest that is no JSON": (lambda r: (r / "MANIFEST.json").write_text("x"), "MANIFEST.json is damaged"),
    "a manifest of another kind": (lambda r: (r / "MANIFEST.json").write_text("[]"), "damaged (it is no mapping)"),
    "an empty manifest": (lambda r: (r / "MANIFEST.json").write_text(""), "MANIFEST.json is damaged"),
    "a manifest of nothing": (lambda r: rewrite_manifest(r, files=[]), "it does not list metrics.parquet"),
    "a manifest of other files": (
        lambda r: rewrite_manifest(r, files=[{"path": "../../../etc/passwd", "bytes": 1, "sha256": ""}]),
        "which is no file of a release",
    ),
    "metrics of another release": (other_metrics, "metrics.parquet "),
    "metrics of the same size": (
        lambda r: flip_a_byte(r / "metrics.parquet"),
        "metrics.parquet is not the file that the release was published with (its SHA-256 differs)",
    ),
    "a verdict of the same size": (lambda r: flip_a_byte(r / "verdict.json"), "verdict.json is not the file"),
    "a suite of the same size": (lambda r: flip_a_byte(r / "suite.yaml"), "suite.yaml is not the file"),
    "a recipe of the same size": (lambda r: flip_a_byte(r / "recipe.yaml"), "recipe.yaml is not the file"),
    "a pointer to another shard": (lambda r: point(shard(r), "0" * 64), "is a Git LFS pointer to another file"),
    "a pointer for the metrics": (
        lambda r: point(r / "metrics.parquet", hashlib.sha256((r / "metrics.parquet").read_bytes()).hexdigest()),
        "`git lfs pull` brings the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_its_manifest_says_is_refused(copy: pathlib.Path, damage: str) -> None:
    change, said = DAMAGE[damage]
    change(copy)
    with pytest.raises(ReleaseError) as raised:
        check_release(str(copy), False, QUIET)
    assert said in str(raised.value)
    assert "restore the release" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_damaged_release_is_one_line_and_exit_code_2(copy: pathlib.Path) -> None:
    os.truncate(shard(copy), 100)
    result = lowbackground("gate", "release", "--format", "json", cwd=copy.parent)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: release/data/")
    assert len(result.stderr.splitlines()) == 1


def test_checksums_of_all_files_are_counted(folder: pathlib.Path) -> None:
    whole = CliRunner().invoke(app, ["gate", str(folder / "release"), "--checksums"])
    files = len(json.loads((folder / "release" / "MANIFEST.json").read_text())["files"]) - 1  # all but the card
    assert (whole.exit_code, f"{files} files as the manifest says" in whole.output) == (0, True)


def test_the_card_of_a_release_may_be_written_further(copy: pathlib.Path) -> None:
    (copy / "README.md").write_text("# Ours\n\nIt is good for tales.\n")
    check_release(str(copy), True, QUIET)


@pytest.mark.parametrize("part", ["data", "ledger", "signatures"])
def test_a_changed_byte_of_a_large_file_is_found_by_its_checksum_on_request(copy: pathlib.Path, part: str) -> None:
    flip_a_byte(next((copy / part).iterdir()))
    check_release(str(copy), False, QUIET)  # shards are not read
    with pytest.raises(ReleaseError, match=rf"{part}/.* is not the file that the release was published with"):
        check_release(str(copy), True, QUIET)


def test_a_release_without_its_large_files_is_held_by_what_git_lfs_says_of_them(copy: pathlib.Path) -> None:
    point(shard(copy), hashlib.sha256(shard(copy).read_bytes()).hexdigest())
    for every_checksum in (False, True):
        check_release(str(copy), every_checksum, QUIET)


def test_a_rejection_is_judged_by_its_metrics_and_said_to_have_no_manifest(copy: pathlib.Path) -> None:
    """As the run leaves one: a verdict that failed, no shard, no manifest."""
    (copy.parent / "corpus.jsonl").write_text(json.dumps({"id": "d", "text": "a few words of text", "origin": "human"}))
    recipe = yaml.safe_load((copy / "recipe.yaml").read_text())
    recipe |= {"expectations": {"expectations": [LIMIT]}, "output": {"path": "out"}}
    (copy.parent / "recipe.yaml").write_text(json.dumps(recipe))
    assert lowbackground("run", "recipe.yaml", cwd=copy.parent).returncode == 1
    rejection = copy.parent / "out" / "one.rejected"
    assert not (rejection / "MANIFEST.json").exists()
    again = lowbackground("gate", "out/one.rejected", "--format", "json", cwd=copy.parent)
    assert (again.returncode, json.loads(again.stdout)["status"]) == (1, "failed")
    assert "out/one.rejected: a rejection has no manifest to hold its files against" in again.stderr
    for name in ("metrics.parquet", "suite.yaml", "recipe.yaml"):
        kept = (rejection / name).read_bytes()
        (rejection / name).unlink()
        with pytest.raises(ReleaseError, match=f"{name} is gone"):
            check_release(str(rejection), False, QUIET)
        (rejection / name).write_bytes(kept)
    shutil.copytree(copy / "data", rejection / "data")  # a shard makes it a release, whose manifest is gone
    with pytest.raises(ReleaseError, match="no whole release"):
        check_release(str(rejection), False, QUIET)
