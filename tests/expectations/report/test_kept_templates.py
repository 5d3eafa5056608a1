"""A page is the same from templates that were kept, and nothing that is kept outlives what it was made of."""

import jinja2
import pytest

from expectations.report import kept_templates


@pytest.fixture
def render(tmp_path, monkeypatch):
    (tmp_path / "templates").mkdir()
    monkeypatch.setattr(kept_templates, "PACKAGE", tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", False)

    def rendered(text, is_loud=False):
        kept_templates._code.cache_clear()
        (tmp_path / "code.py").write_text(f"is_loud = {is_loud}")
        found = jinja2.Environment(
            loader=jinja2.DictLoader({"page": text}),
            bytecode_cache=kept_templates.KeptTemplates(),
            autoescape=True,
            finalize=str.upper if is_loud else None,
        )
        return found.get_template("page").render()

    yield rendered
    kept_templates._code.cache_clear()


def n_kept(tmp_path):
    return len([*(tmp_path / "templates" / "__pycache__").glob("*")])


def test_a_template_is_compiled_once(render, tmp_path, monkeypatch):
    assert render("{{ 'a<b' }}") == "a&lt;b"
    assert n_kept(tmp_path) == 1
    monkeypatch.setattr(jinja2.Environment, "_generate", None)  # what compiles
    assert render("{{ 'a<b' }}") == "a&lt;b"


def test_what_is_kept_is_of_the_template_and_of_our_code(render, tmp_path):
    assert render("{{ 'a' }}") == "a"
    assert render("{{ 'b' }}") == "b"
    assert render("{{ 'b' }}", is_loud=True) == "B"
    assert n_kept(tmp_path) == 1


def test_a_folder_that_cannot_be_written_is_done_without(render, tmp_path):
    (tmp_path / "templates" / "__pycache__").write_text("no folder")
    assert render("{{ 'a' }}") == "a"
