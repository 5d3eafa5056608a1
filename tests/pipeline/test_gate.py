"""`gate` on a release that the flow made: formats for CI, exit codes, and the workflow of the documentation."""

import json
import os
import pathlib
import pydoc_data.topics
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import jsonschema
import pytest
import yaml

from pipeline.recipe import RecipeError
from pipeline.schemas import schema_of

ROOT = pathlib.Path(__file__).parents[2]
WORKFLOW = ROOT / "docs" / "gate-dataset.workflow.yml"
LIMIT = {"expect": "metric_to_be_between", "metric": "documents", "min": 10}


def lowbackground(*args: object, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *map(str, args)]
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
    for name, expectations in suites.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"expectations": expectations}))
    return folder


@pytest.mark.parametrize(
    ("suite", "form", "code"),
    [("bad", "json", 1), ("wary", "github", 0), ("nowhere", "text", 2)],
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
    assert result.stdout.endswith("verdict: failed\nwritten to r.xml\n")
    assert len(list(ET.parse(folder / "r.xml").iter("failure"))) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--format", "jnit"], "did you mean 'junit'?"), (["--output", "nowhere/r.txt"], "cannot write nowhere/r.txt")],
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


def steps() -> list[dict]:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    return workflow["jobs"]["gate"]["steps"]


def test_the_workflow_is_one_that_github_reads():
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert set(workflow[True]) == {"pull_request", "push"}  # YAML 1.1 reads `on` as true, GitHub does not
    assert workflow["permissions"] == {"contents": "read"}
    assert all(("uses" in step) != ("run" in step) for step in steps())
    # What somebody else writes never becomes a part of a command.
    assert not [step for step in steps() if "${{" in step.get("run", "")]


@pytest.mark.parametrize(("suite", "code"), [("good", 0), ("bad", 1)])
def test_the_commands_of_the_workflow_run(folder, tmp_path, suite, code):
    commands = [step["run"] for step in steps() if "lowbackground gate" in step.get("run", "")]
    assert len(commands) == 2
    (tmp_path / "lowbackground").write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli "$@"\n')
    (tmp_path / "lowbackground").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "RELEASE": "release", "SUITE": f"{suite}.yaml"}
    for command in commands if code else commands[-1:]:
        result = subprocess.run(
            ["bash", "-e", "-c", command], check=False, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert result.returncode == code, result.stderr
    assert len(list(ET.parse(folder / "gate.xml").iter("testcase"))) == 4
