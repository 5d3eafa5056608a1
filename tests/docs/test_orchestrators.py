"""The examples for Airflow, Dagster, DVC, dbt and pre-commit, and the action for GitHub, run by those tools themselves.

They live in an environment of their own, as with whoever uses them: what Low Background needs is not what they need.
"""

import json
import os
import pathlib
import pydoc_data.topics
import shutil
import subprocess

import pytest
import warm
import yaml
from clean_environment import environment_of

pytestmark = pytest.mark.slow  # an environment of other people's tools
ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TOOLS = ("apache-airflow-task-sdk>=1.1", "check-jsonschema", "dagster>=1.9", "dbt-core>=1.10,<1.12", "dbt-duckdb", "dvc>=3",
         "pre-commit>=4", "sarif-tools>=3")  # fmt: skip
LIMIT = {"expect": "metric_to_be_between", "metric": "documents", "min": 10}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of their programs."""
    return environment_of(tmp_path_factory.mktemp("tools"), TOOLS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tools: pathlib.Path) -> pathlib.Path:
    """A folder with a recipe, a corpus and a suite, and the release that `dvc repro` made of them."""
    folder = tmp_path_factory.mktemp("project")
    texts = [text[:1500] for _, text in sorted(pydoc_data.topics.topics.items())][:60]
    (folder / "corpus").mkdir()
    lines = [json.dumps({"id": f"d{n}", "text": text, "origin": "human"}) for n, text in enumerate(texts)]
    (folder / "corpus" / "topics.jsonl").write_text("\n".join(lines))
    recipe = {"release": "v2", "sources": [{"name": "topics", "path": "corpus"}], "output": {"path": "releases"},
              "expectations": {"expectations": [LIMIT]}}  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    allow(folder, True)
    (folder / "bin").mkdir()
    warm.executable(str(folder / "bin" / "lowbackground"), "-m", "pipeline.cli")
    shutil.copy(EXAMPLES / "dvc" / "dvc.yaml", folder)
    shutil.copytree(EXAMPLES / "dbt", folder, dirs_exist_ok=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for words in (("init", "-q"), ("repro",)):
        done = call(folder, tools, "dvc", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def allow(folder: pathlib.Path, whether: bool) -> None:
    """Write a suite that the release of `made` meets, or one that it does not."""
    (folder / "suite.yaml").write_text(json.dumps({"expectations": [LIMIT | {"min": 10 if whether else 1000}]}))


def call(folder: pathlib.Path, tools: pathlib.Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "bin"), str(tools), os.environ["PATH"]])
    own = {"PATH": path, "AIRFLOW_HOME": str(folder / "airflow"), "LOWBACKGROUND_FOLDER": str(folder),
           "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "DAGSTER_DISABLE_TELEMETRY": "1", **more}  # fmt: skip
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | own
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(params=[True, False], ids=["allowed", "refused"])
def allowed(request: pytest.FixtureRequest, made: pathlib.Path) -> bool:
    allow(made, request.param)
    return bool(request.param)


def test_dvc_makes_nothing_anew_and_stops_where_the_gate_does(
    made: pathlib.Path, tools: pathlib.Path, allowed: bool
) -> None:
    again = call(made, tools, "dvc", "repro")
    assert "Stage 'release' didn't change, skipping" in again.stdout
    assert (again.returncode == 0) == allowed
    assert json.loads((made / "gate.json").read_text())["status"] == ("passed" if allowed else "failed")


AIRFLOW = """
import sys
sys.path.insert(0, sys.argv[1])
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from lowbackground_dag import dag
run, gate = dag.get_task("run"), dag.get_task("gate")
assert gate.upstream_task_ids == {"run"}
for task in (run, gate):
    task.render_template_fields({"params": {"release": "v2"}})
assert run.command[-2:] == ["release=v2", "--replace"] and gate.command[1] == "releases/v2"
for suite in ("good.yaml", "bad.yaml", "nowhere.yaml"):
    gate.command[-1] = suite
    try:
        print(gate.execute({}))
    except AirflowFailException as refused:  # which is not tried again
        print("refused", refused)
"""


def test_airflow_fails_a_task_and_does_not_try_it_again(made: pathlib.Path, tools: pathlib.Path) -> None:
    for name, whether in (("bad", False), ("good", True)):
        allow(made, whether)
        shutil.copy(made / "suite.yaml", made / f"{name}.yaml")
    done = call(made, tools, "python", "-c", AIRFLOW, str(EXAMPLES / "airflow"))
    assert done.returncode == 0, done.stderr
    passed, _, said = done.stdout.partition("refused lowbackground gate: exit code 1\n")
    assert "verdict: passed" in passed
    refused, _, broken = said.partition("refused lowbackground gate: exit code 2\n")
    assert "verdict: failed" in refused
    assert "nowhere.yaml" in broken


DAGSTER = """
import json, shutil, sys
sys.path.insert(0, sys.argv[1])
from lowbackground_assets import definitions, gate
done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
(check,) = done.get_asset_check_evaluations()
(made,) = done.get_asset_materialization_events()
shutil.copy("good.yaml", "suite.yaml")
print(json.dumps([check.passed, check.blocking, gate().passed, made.materialization.metadata["documents"].value]))
"""


def test_a_check_of_dagster_holds_back_what_depends_on_the_release(made: pathlib.Path, tools: pathlib.Path) -> None:
    allow(made, True)
    shutil.copy(made / "suite.yaml", made / "good.yaml")
    allow(made, False)
    done = call(made, tools, "python", "-c", DAGSTER, str(EXAMPLES / "dagster"))
    assert done.returncode == 0, done.stderr
    kept = json.loads((made / "releases" / "v2" / "MANIFEST.json").read_text())["counts"]["kept"]
    assert json.loads(done.stdout) == [False, True, True, kept]


def test_dbt_builds_on_a_release_that_passed_and_on_no_other(made: pathlib.Path, tools: pathlib.Path) -> None:
    built = call(made, tools, "dbt", "build", "--profiles-dir", ".")
    assert built.returncode == 0, built.stdout
    assert "PASS=4 WARN=0 ERROR=0" in built.stdout
    verdict = json.loads((made / "releases" / "v2" / "verdict.json").read_text())
    shutil.copytree(made / "releases" / "v2", made / "other")
    (made / "other" / "verdict.json").write_text(json.dumps(verdict | {"status": "failed", "reasons": ["No."]}))
    refused = call(made, tools, "dbt", "test", "--profiles-dir", ".", "--vars", "release: other")
    assert refused.returncode == 1
    assert "FAIL 1 release_passed_its_gate" in refused.stdout


def test_the_hooks_are_ones_of_pre_commit_and_stop_a_commit(
    made: pathlib.Path, tools: pathlib.Path, allowed: bool
) -> None:
    manifest = ROOT / ".pre-commit-hooks.yaml"
    valid = call(made, tools, "pre-commit", "validate-manifest", str(manifest))
    assert valid.returncode == 0, valid.stdout
    arguments = {"lowbackground-gate": ["releases/v2", "--suite", "suite.yaml"], "lowbackground-check": ["recipe.yaml"]}
    # As whoever uses them writes it; only that pip installs nothing: the command is that of this test.
    hooks = [
        hook | {"args": arguments[hook["id"]], "language": "system"} for hook in yaml.safe_load(manifest.read_text())
    ]
    config = {"repos": [{"repo": "local", "hooks": hooks}]}
    (made / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    subprocess.run(
        ["git", "add", "-f", "recipe.yaml", "releases/v2/metrics.parquet", ".pre-commit-config.yaml"],
        cwd=made,
        check=True,
    )
    done = call(made, tools, "pre-commit", "run", PRE_COMMIT_HOME=str(made / "hooks"))
    assert (done.returncode == 0) == allowed, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 1 + allowed
    assert ("verdict: failed" in done.stdout) == (not allowed)


ACTION = ROOT / ".github" / "actions" / "gate" / "action.yml"
WORKFLOW = ROOT / "docs" / "gate-dataset.workflow.yml"


@pytest.mark.parametrize(("schema", "path"), [("actions", ACTION), ("workflows", WORKFLOW)])
def test_action_and_workflow_are_what_github_reads(tools: pathlib.Path, schema: str, path: pathlib.Path) -> None:
    checked = [tools / "check-jsonschema", "--builtin-schema", f"vendor.github-{schema}", path]
    subprocess.run(checked, check=True)
    assert "${{" not in "".join(step.get("run", "") for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"])


def test_the_action_gives_the_verdict_in_every_form_that_github_shows(
    made: pathlib.Path, tools: pathlib.Path, allowed: bool, tmp_path: pathlib.Path
) -> None:
    (step,) = [step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"] if step.get("id") == "gate"]
    given = {"RELEASE": "releases/v2", "SUITE": "suite.yaml", "AUDIT": "", "CHECKSUMS": "true", "RUNNER_TEMP": str(tmp_path),
             "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_OUTPUT": str(tmp_path / "output")}  # fmt: skip
    assert step["env"].keys() <= given.keys()
    done = call(made, tools, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"], **given)
    status = "passed" if allowed else "failed"
    assert done.returncode == (0 if allowed else 1), done.stdout + done.stderr
    assert f"verdict: {status}" in done.stdout.splitlines()[0]
    assert f"**verdict: {status}" in (tmp_path / "summary").read_text()
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert outputs["verdict"] == status
    listed = call(made, tools, "sarif", "ls", outputs["sarif"])
    assert listed.returncode == 0, listed.stderr
    errors = call(made, tools, "sarif", "--check", "error", "summary", outputs["sarif"])
    assert errors.returncode == (0 if allowed else 1), errors.stdout + errors.stderr
    if allowed:
        assert call(made, tools, "bash", "-e", "-c", step["run"], **given | {"RELEASE": "nowhere"}).returncode == 2
