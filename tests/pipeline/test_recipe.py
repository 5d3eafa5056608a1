"""What is wrong with a recipe is said in one line, with the key and what to do."""

import pathlib

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
        return str(error).removeprefix(f"{path}: ")
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
