"""What is wrong with a recipe is said in one line, with the key and what to do."""

import pathlib
import re

import pytest
import yaml

from pipeline.recipe import RecipeError, load_recipe


def told(tmp_path: pathlib.Path, *overrides: str, **changes: object) -> str:
    """What loading a recipe with some changes says; empty if it is good."""
    data = {"release": "x", "sources": [{"name": "books", "path": "b"}, {"name": "web", "path": "w"}], **changes}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    try:
        load_recipe(str(path), overrides)
    except RecipeError as error:
        return re.sub(rf"^{re.escape(str(path))}(, line \d+)?: ", "", str(error))
    return ""


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (["url", "score"], ""),
        (["text"], "output.keep: a release has one column called 'text' already; leave it out"),
        (["url", "url"], "output.keep: a release has one column called 'url' already; leave it out"),
    ],
)
def test_kept_columns(tmp_path: pathlib.Path, keep: list[str], said: str) -> None:
    assert told(tmp_path, output={"keep": keep}) == said


@pytest.mark.parametrize(
    ("dedup", "said"),
    [
        ({"source_order": ["web", "books"], "survivor": ["protected", "source"]}, ""),
        ({"source_order": ["book"]}, "dedup.source_order names 'book', which is no source; did you mean 'books'?"),
        ({"source_order": ["web", "web"]}, "dedup: source_order names 'web' twice; leave one of the two out"),
        ({"source_order": "web"}, "dedup.source_order: input should be a list, as [one, another], got 'web'"),
        ({"survivor": ["longest", "longest"]}, "dedup: survivor names 'longest' twice; leave one of the two out"),
        (
            {"survivor": ["source"]},
            "dedup: survivor has 'source', but there is no source_order; say it, as source_order: [books, web]",
        ),
        ({"min_similarity": True}, "dedup.min_similarity: input should be a valid number, got True"),
        ({"min_to_survivor": False}, "dedup.min_to_survivor: input should be a valid number, got False"),
        ({"min_similarity": 1}, ""),
        ({"paragraphs": True}, "dedup.paragraphs: input should be a section with keys of its own, got True"),
        (
            {"against": None},
            "dedup.against: is empty; give it a value, or leave the line out for the default",
        ),
        (None, "dedup: is empty; give it a value, or leave the line out for the default"),
    ],
)
def test_dedup(tmp_path: pathlib.Path, dedup: object, said: str) -> None:
    assert told(tmp_path, dedup=dedup) == said


@pytest.mark.parametrize("given", [5, {"a": "b"}, [], [5]])
def test_a_key_of_more_than_one_type_says_all_of_them(tmp_path: pathlib.Path, given: object) -> None:
    """pydantic complains of each type in turn, and calls the first one by its Python name."""
    said = told(tmp_path, sources=[{"name": "web", "path": given}])
    assert said == f"sources.0.path: input should be a path, or a list of paths, got {given!r}"


def test_a_list_of_expectations_is_told_what_a_suite_is(tmp_path: pathlib.Path) -> None:
    said = told(tmp_path, expectations=["a", "b"])
    assert said.startswith("expectations: input should be the name of a preset, a file, or a suite, as {suite: mine, ")


def test_a_rule_that_does_not_exist_is_answered_with_the_nearest(tmp_path: pathlib.Path) -> None:
    assert told(tmp_path, dedup={"survivor": ["protectd"]}).endswith(", got 'protectd'; did you mean 'protected'?")


def test_an_override_that_is_not_yaml(tmp_path: pathlib.Path) -> None:
    said = told(tmp_path, "dedup.against=[a")
    assert said.startswith("--set dedup.against: '[a' is not YAML: ")
    assert "\n" not in said
