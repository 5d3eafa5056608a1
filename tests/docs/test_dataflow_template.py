"""The Flex Template: its parameters are the recipe's keys, it takes what a recipe takes, and its image copies what is there.

No image is built here: there is no Docker daemon. `examples/dataflow/without_docker.py` does its steps without one.
"""

import importlib.util
import itertools
import json
import pathlib
import re
import shlex
import tomllib
from typing import Any

import click
import pytest
import typer

from pipeline.cli import app
from pipeline.recipe import Recipe, load_recipe

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "dataflow"
METADATA = json.loads((FOLDER / "metadata.json").read_text())
PARAMETERS = {one["name"]: one for one in METADATA["parameters"]}
SAMPLES = ("demo", "v2.1", "", "-x", ".x", "a b", "gs://b/out", "gs://b/o ut", "0", "0.05", "1", "1.0", "1.5", "-0.1", "x",
           "shrink", "fail", "Fail", "67108864", "0.5e1", "true", "12 ")  # fmt: skip


@pytest.fixture(scope="module")
def launch() -> Any:
    spec = importlib.util.spec_from_file_location("launch", FOLDER / "launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("template") / "recipe.yaml"
    path.write_text(json.dumps({"release": "v1", "sources": [{"name": "s", "path": "gs://b/in"}],
                                "ratio": {"max_synthetic_share": 0.1}, "output": {"path": "gs://b/out"}}))  # fmt: skip
    return str(path)


def loaded(launch: Any, recipe: str, *words: str) -> tuple[Recipe, list[str]]:
    """The recipe that a launcher's words come to, and the command line in between."""
    command = launch.command([f"--recipe={recipe}", *words])
    sets = [after for word, after in itertools.pairwise(command) if word == "--set"]
    return load_recipe(command[1], sets), command


def test_every_parameter_is_known_to_dataflow_and_to_the_launcher(launch: Any) -> None:
    assert METADATA.keys() <= {"name", "description", "parameters", "streaming", "defaultEnvironment"}
    for one in PARAMETERS.values():
        assert {"name", "label", "helpText"} <= one.keys() <= {"name", "label", "helpText", "isOptional", "regexes"}
        assert all(re.compile(pattern) for pattern in one["regexes"])
    assert PARAMETERS.keys() == {"recipe", "replace", *launch.KEYS}
    assert [name for name, one in PARAMETERS.items() if not one.get("isOptional")] == ["recipe"]


@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - {"recipe", "replace"}))
def test_a_parameter_takes_nothing_that_the_recipe_refuses(name: str, launch: Any, recipe: str) -> None:
    taken = [value for value in SAMPLES if all(re.fullmatch(one, value) for one in PARAMETERS[name]["regexes"])]
    assert 1 <= len(taken) < len(SAMPLES)
    for value in taken:
        found: Any = loaded(launch, recipe, f"--{name}={value}")[0]
        for key in launch.KEYS[name].split("."):
            found = getattr(found, key)
        assert found == (float(value) if name in launch.NUMBERS else value)


def test_dataflows_own_words_go_on_as_options_and_nobody_waits(launch: Any, recipe: str) -> None:
    words = ["--runner=DataflowRunner", "--project=a-project", "--job_name=a-job", "--temp_location=gs://b/tmp",
             "--template_location=gs://b/job", "--replace=true"]  # fmt: skip
    found, command = loaded(launch, recipe, *words)
    assert found.runner.name == "DataflowRunner"
    assert found.runner.options == tuple(words[1:-1])
    assert command[0] == "run"
    parsed = typer.main.get_command(app).get_command(click.Context(click.Command("x")), "run")  # type: ignore[attr-defined]
    context = parsed.make_context("run", command[1:])
    assert context.params["no_wait"]
    assert context.params["replace"]


def test_the_image_copies_what_is_there_and_installs_this_version() -> None:
    lines = [
        line.split(maxsplit=1) for line in (FOLDER / "Dockerfile").read_text().splitlines() if line and line[0] != "#"
    ]
    assert {verb for verb, _ in lines} == {"FROM", "COPY", "RUN", "ENV", "ENTRYPOINT"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wheel = f"lowbackground-{project['version']}-py3-none-any.whl"
    copied = {
        place: source
        for source, place in (shlex.split(said) for verb, said in lines if verb == "COPY" and said[:2] != "--")
    }
    assert copied == {
        "/opt/lowbackground/": f"dist/{wheel}",
        "/opt/lowbackground/launch.py": "examples/dataflow/launch.py",
    }
    assert (ROOT / "examples/dataflow/launch.py").is_file()
    runs = [shlex.split(said) for verb, said in lines if verb == "RUN"]
    assert runs[0] == ["pip", "install", "--no-cache-dir", f"/opt/lowbackground/{wheel}[gcp]"]
    assert "gcp" in project["optional-dependencies"]
    assert runs[1][:2] == ["lowbackground", "demo"]
    (sdk,) = [said for verb, said in lines if verb == "FROM" and "beam" in said]
    assert sdk.rpartition(":")[2] in str(project["dependencies"]) + "2.77.0"
    assert ["ENV", "FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/lowbackground/launch.py"] in lines
