"""The pages are true: examples print what is shown, the reference is made from the code, links lead somewhere."""

import importlib.util
import json
import pathlib
import re
import types

import pytest
import warm

ROOT = pathlib.Path(__file__).parents[2]


def load(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


examples = load("examples")
PAGES = {str(path.relative_to(ROOT)): path for path in examples.pages()}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory):
    programs = tmp_path_factory.mktemp("programs")
    warm.executable(str(programs / "lowbackground"), "-m", "pipeline.cli")
    return examples.Runner(tmp_path_factory.mktemp("pages"), tuple(warm.python()), str(programs))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, path in PAGES.items() if examples._runs(path.read_text())])
def test_examples_print_what_the_page_shows(name: str, runner) -> None:
    shown = PAGES[name].read_text(encoding="utf-8")
    now = runner.page(shown)
    if not examples.same(shown, now, examples.is_exact()):  # equal but for seconds and checksums; if not, show all
        assert now == shown, "python docs/examples.py --update"


@pytest.mark.parametrize("name", ["recipe.md", "columns.md", "metrics.md", "command-line.md"])
def test_the_reference_is_made_from_the_code(name: str) -> None:
    made = load("reference").pages()[name]
    assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == made, "python docs/reference.py"


@pytest.mark.parametrize("path", [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(path: pathlib.Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1500


def test_an_example_that_fails_shows_its_exit_code(tmp_path: pathlib.Path) -> None:
    page = "```console\n$ echo one; exit 3\nold\n```\n"
    now = examples.Runner(tmp_path).page(page)
    assert now == "```console\n$ echo one; exit 3\none\n(exit code 3)\n```\n"
    assert not examples.same(page, now, exact=True)


def test_seconds_and_checksums_are_not_compared_and_numbers_only_on_the_pages_python() -> None:
    assert examples.same("took 1.2 s, 12 of 13", "took 3.4 s, 12 of 13", exact=True)
    assert not examples.same("12 of 13", "11 of 13", exact=True)
    assert examples.same("12 of 13", "11 of 13", exact=False)
    assert not examples.same("12 of 13", "none of 13", exact=False)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = json.loads((ROOT / "examples" / "release.ipynb").read_text())["cells"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["release"].verdict.passed  # type: ignore[attr-defined]
