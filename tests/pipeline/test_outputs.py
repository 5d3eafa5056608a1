"""One rule for every file that a command writes: never an input, never inside of a release, never over what is there."""

import errno
import json
import os
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from small_release import documents, write_release
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.reading import outputs
from pipeline.recipe import RecipeError

# What each command is given beside its output: files of the folder that `place` makes. A command with a new option of this
# kind must be listed here, or `test_every_command_that_writes_is_held_to_the_rule` fails.
FILES = {
    "init --output": ["init", "in/a.jsonl", "--output"],
    "gate --output": ["gate", "rel", "--suite", "suite.yaml", "--output"],
    "gate --data-docs": ["gate", "rel", "--suite", "suite.yaml", "--data-docs"],
    "diff --html": ["diff", "rel", "rel", "--html"],
    "history --html": ["history", "rel", "rel", "--html"],
    "propose --output": ["propose", "rel", "--output"],
    "schema --output": ["schema", "suite", "--output"],
    "score --output": ["score", "in/a.jsonl", "in/b.parquet", "--output"],
    "audit sample --output": ["audit", "sample", "rel", "--gold", "labelled.parquet", "--output"],
    "audit certify --output": ["audit", "certify", "sample.parquet", "labels.jsonl", "--output"],
    "audit export --output": ["audit", "export", "sample.parquet", "labels.jsonl", "--output"],
    "report-upstream --output": ["report-upstream", "rel", "s", "--output"],
    "review serve --labels": ["review", "serve", "sample.parquet", "--labels"],
    "serve --labels": ["serve", "rel", "--sample", "sample.parquet", "--labels"],
}
SERVERS = ("review serve", "serve")  # which add to a file of labels
FOLDERS = {
    "detector train --output": ["detector", "train", "labelled.parquet", "--output"],
    "detector words --output": ["detector", "words", "labelled.parquet", "--output"],
    "detector calibrate --output": ["detector", "calibrate", "model", "labelled.parquet", "--output"],
    "demo": ["demo"],
}
EACH_FILE = {"papers --output"}  # a folder whose files are held to the rule one by one: commands/test_papers.py
WRITES = ("output", "html", "data_docs", "labels")  # what such an option is called


def commands(group, name=""):
    for key, command in group.commands.items():
        full = f"{name} {key}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, full)
        else:
            yield full, command


def test_every_command_that_writes_is_held_to_the_rule():
    found = {"demo"}
    for name, command in commands(typer.main.get_command(app)):
        for option in command.params:
            if option.param_type_name == "option" and option.name in WRITES:
                found.add(f"{name} {max(option.opts, key=len)}")
                assert "force" in {one.name for one in command.params} or name in SERVERS, name
    assert found == FILES.keys() | FOLDERS.keys() | EACH_FILE


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    release = write_release(folder / "rel", documents(40))
    for name in ("metrics.parquet", "recipe.yaml", "verdict.json"):
        (folder / "rel" / name).write_bytes(b"of the release")
    (folder / "in").mkdir()
    lines = [json.dumps({"id": str(n), "text": f"Text number {n} about rivers.", "url": "u"}) for n in range(5)]
    (folder / "in" / "a.jsonl").write_text("\n".join(lines) + "\n")
    pq.write_table(pa.table({"text": ["A text."], "label": ["human"]}), folder / "in" / "b.parquet")
    texts = [f"Gold text number {n}, about nothing." for n in range(60)]
    table = pa.table({"text": texts, "label": [("human", "synthetic")[n % 2] for n in range(60)]})
    pq.write_table(table, folder / "labelled.parquet")
    drawn = CliRunner().invoke(app, ["audit", "sample", release, "--n", "5", "-o", str(folder / "sample.parquet")])
    assert drawn.exit_code == 0, drawn.output
    contents = pq.read_table(folder / "sample.parquet")["content_hash"].to_pylist()
    answers = [json.dumps({"content_hash": content, "label": "human", "reviewer": "a"}) for content in contents]
    (folder / "labels.jsonl").write_text("\n".join(answers) + "\n")
    (folder / "suite.yaml").write_text("expectations: [{expect: metric_to_be_between, metric: documents, min: 1}]\n")
    (folder / "model").mkdir()
    (folder / "model" / "calibration.json").write_text("{}")
    return folder


@pytest.fixture
def place(sampled, tmp_path, monkeypatch):
    shutil.copytree(sampled, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(place, command, *more):
    """The sentence of a command that must change nothing."""
    before = contents(place)
    result = CliRunner().invoke(app, [*command, *more])
    assert isinstance(result.exception, RecipeError), (command, result.output, result.exception)
    assert contents(place) == before
    assert "\n" not in str(result.exception)
    return str(result.exception)


def inputs_of(command):
    return [
        arg for arg in command if arg.startswith(("in/", "rel", "sample.", "labels.", "labelled", "suite.", "model"))
    ]


@pytest.mark.parametrize("name", FILES)
def test_an_input_is_never_written_whatever_it_is_called(place, name):
    command = FILES[name]
    if name == "gate --data-docs":  # it names a folder: the page in it is what is written
        pathlib.Path("docs").mkdir()
        os.link("suite.yaml", "docs/index.html")
        assert "is read by this command" in refused(place, command, "docs", "--force")
        return
    force = () if name.removesuffix(" --labels") in SERVERS else ("--force",)
    for given in inputs_of(command):
        if os.path.isdir(given):
            assert refused(place, command, given, *force)
            assert refused(place, command, f"{given}/new.json", *force)
            continue
        pathlib.Path("soft").unlink(missing_ok=True)
        pathlib.Path("hard").unlink(missing_ok=True)
        os.symlink(given, "soft")
        os.link(given, "hard")
        for way in (given, f"./{given}", f"in/../{given}", str(place / given), "soft", "hard"):
            assert "is read by this command" in refused(place, command, way, *force)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_written_into_a_release_a_rejection_or_a_runs_folder(place, name):
    force = () if name.removesuffix(" --labels") in SERVERS else ("--force",)
    shutil.copytree("rel", "other")
    os.symlink("other", "link")
    shutil.copytree("rel", "gone.rejected")
    pathlib.Path("gone.rejected/MANIFEST.json").unlink()
    pathlib.Path("out/.signals").mkdir(parents=True)
    for folder in ("other", "other/data", "link", "gone.rejected", "out/.signals", "out/.staging/x"):
        refused(place, FILES[name], f"{folder}/metrics.parquet", *force)
        refused(place, FILES[name], f"{folder}/new.json", *force)


@pytest.mark.parametrize("name", [name for name in FILES if name.removesuffix(" --labels") not in SERVERS])
def test_a_file_that_is_there_stays_without_force(place, name):
    path = "docs/index.html" if name == "gate --data-docs" else "mine.txt"
    pathlib.Path(path).parent.mkdir(exist_ok=True)
    pathlib.Path(path).write_text("a week of work")
    said = refused(place, FILES[name], path.removesuffix("/index.html"))
    assert "--force" in said
    if name != "gate --data-docs":
        assert refused(place, FILES[name], "in")  # a folder is no file


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_with_other_files_is_never_written_into(place, name):
    pathlib.Path("full").mkdir()
    pathlib.Path("full/README.md").write_text("mine")
    assert "holds other files" in refused(place, FOLDERS[name], "full", "--force")
    assert refused(place, FOLDERS[name], "rel", "--force")
    assert refused(place, FOLDERS[name], "rel/new", "--force")
    assert "is a file" in refused(place, FOLDERS[name], "suite.yaml", "--force")
    if name != "demo":
        shutil.copytree("model", "older")
        assert "--force" in refused(place, FOLDERS[name], "older")
        shutil.copy("labelled.parquet", "older")
        command = [arg.replace("labelled", "older/labelled") for arg in FOLDERS[name]]
        assert "which is read" in refused(place, command, "older", "--force")
    if name == "detector calibrate --output":
        assert "is read by this command" in refused(place, FOLDERS[name], "model", "--force")


def test_a_demo_whose_recipe_was_changed_is_not_built_again(place):
    pathlib.Path("shown").mkdir()
    pathlib.Path("shown/recipe.yaml").write_text(
        "# The recipe of `lowbackground demo`. Paths are relative to this file.\n# mine"
    )
    assert "--force" in refused(place, ["demo", "shown"])
    pathlib.Path("shown/recipe.yaml").write_text("release: mine")
    assert "is not the demo's" in refused(place, ["demo", "shown"], "--force")


def test_what_is_written_is_written_whole_or_not_at_all(place, monkeypatch):
    """A disk that fills up at the last moment leaves what was there, and no half of a file."""
    pathlib.Path("mine.parquet").write_text("a week of work")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name in (
        "score --output",
        "audit sample --output",
        "audit certify --output",
        "audit export --output",
        "schema --output",
    ):
        said = refused(place, FILES[name], "mine.parquet", "--force")
        assert said == "cannot write mine.parquet: No space left on device"


def test_with_force_a_file_is_replaced_and_a_link_is_not_written_through(place):
    pathlib.Path("target.json").write_text("a week of work")
    os.symlink("target.json", "link.json")
    result = CliRunner().invoke(app, ["schema", "suite", "-o", "link.json", "--force"])
    assert result.exit_code == 0, result.output
    assert pathlib.Path("target.json").read_text() == "a week of work"
    assert not pathlib.Path("link.json").is_symlink()
    assert "$schema" in json.loads(pathlib.Path("link.json").read_text())


def test_a_terminal_or_a_pipe_is_written_and_not_replaced(place):
    assert CliRunner().invoke(app, ["schema", "suite", "-o", "/dev/null"]).exit_code == 0
    assert not os.path.isfile("/dev/null")


def test_a_certificate_of_the_same_sample_is_made_again_and_no_other_is_replaced(place):
    certify = FILES["audit certify --output"]
    for _ in range(2):
        assert CliRunner().invoke(app, [*certify, "c.json"]).exit_code == 1  # five labels certify little
    other = json.loads(pathlib.Path("c.json").read_text()) | {"sample_sha256": "0" * 64}
    pathlib.Path("c.json").write_text(json.dumps(other, indent=2))
    assert "--force" in refused(place, certify, "c.json")


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ('{\n  "expectations": [],\n  "format": "lowbackground.verdict/1"\n}', True),
        ('<!doctype html>\n<meta name="generator" content="lowbackground">', True),
        ("  ok    The number of documents ...\nverdict: passed (1 waived)\n", True),
        ("::notice title=lowbackground%3A suite x::verdict: passed\n", True),
        ('{"format": "other/1"}', False),
        ("notes on the verdict: passed", False),
        ("my notes of the year\nverdict: passed\nmore\n", False),  # a log that shows an answer is none
        ("documents in  3\n  ok    The number ...\nverdict: passed\n", False),
        ('{"cells": ["x"], "metadata": {"format": "lowbackground.diff/1"}}', False),
        ('{"format": "lowbackground.release/1"}', False),  # somebody's copy of a manifest
        ('{"format": "lowbackground.certificate/1"}', False),  # what people's labels came to
        ('{"format": "lowbackground.diff/1", cut off', False),
        ("<html>\n<body>\n<meta name='generator' content='lowbackground'>", False),
        ('<!doctype html>\n<meta name="generator" content="lowbackground">\n<title>Passed: v1</title>', False),
        ("see\n::notice title=lowbackground%3A suite x::verdict: passed\n", False),
        ("", False),
    ],
)
def test_an_earlier_answer_is_known_by_its_mark(text, ours):
    assert outputs.an_answer(text.encode()) == ours


def test_a_pattern_is_not_written_into_what_it_matches(place):
    said = refused(place, ["score", "in/*.jsonl", "--output"], "in/scores.jsonl")
    assert "would match in/*.jsonl" in said
    assert "is inside of in" in refused(place, ["score", "in", "--output"], "in/deeper/scores.parquet")


@pytest.mark.parametrize(
    ("keep", "said"),
    [("id,url", "say --keep id --keep url"), ("ulr", "did you mean 'url'?"), ("nothing", "is no column of the input")],
)
def test_a_column_that_no_file_has_is_refused(place, keep, said):
    assert said in refused(place, ["score", "in/a.jsonl", "-o", "s.parquet", "--keep"], keep)


def test_case_58_an_input_of_scores_is_as_it_was(place):
    for path in ("in/a.jsonl", "in/b.parquet"):
        refused(place, ["score", path, "--output"], path)
