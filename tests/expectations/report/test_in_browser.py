"""The pages in a real browser: axe-core finds nothing, a phone is wide enough, sorting and search work, all is there without."""

import importlib.util
import pathlib
import sys

import pytest

browsing = pytest.importorskip("browsing", reason="there is no browser")


def neighbour(name: str):
    """Another test file of this folder: what a page is made from is written down once."""
    spec = importlib.util.spec_from_file_location(f"for_browser_{name}", pathlib.Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of a report with every part filled, of one that is hostile, and of a difference."""
    report, diff = neighbour("test_report"), neighbour("test_diff_page")
    given = report.full()
    given["metrics"] += report.diverse()["metrics"] + [
        report.row("documents", "before", 5.0, "source", "wiki"),
        report.row("documents", "after", 5.0, "source", "wiki"),
        report.row("tokens", "after", 10.0, "year", "2019"),
        report.row("detector.scores", "before", 1.0, "score", "undeclared/-2"),
    ]
    given["systems"] = [
        {"id": "places", "owner": {"team": "us", "contact": ""}, "rationale": "why", "weight": "tokens", "slice": {},
         "structures": [{"id": "river", "note": ""}], "reference": "uniform"},
    ]  # fmt: skip
    given["metrics"].append(report.row("structure.documents", "before", 9.0, "system", "places"))
    texts = {
        "report": report.report.render(given),
        "hostile": report.report.render(report.full(report.SCRIPT)),
        "diff": diff.page(),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in texts}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report", "diff"])
@pytest.mark.parametrize(
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_wrong_and_nothing_is_wider_than_the_screen(browser, pages, name, options) -> None:
    page = browsing.opened(browser, pages[name], **options)
    assert browsing.barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.wrong == []
    page.context.close()


def test_hostile_text_runs_nothing(browser, pages) -> None:
    page = browsing.opened(browser, pages["hostile"])
    assert page.title() != "owned"
    assert page.locator("script").count() == 1
    assert page.wrong == []
    page.context.close()


def test_tables_are_sorted_by_keyboard_and_say_how(browser, pages) -> None:
    page = browsing.opened(browser, pages["report"])
    table = page.get_by_role("region", name="Table of sources").locator("table")
    head = table.get_by_role("columnheader", name="Read")
    first = table.locator("tbody tr").first
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert (head.get_attribute("aria-sort"), first.locator("td").first.inner_text()) == ("descending", "100")
    page.keyboard.press("Enter")
    assert (head.get_attribute("aria-sort"), first.locator("td").first.inner_text()) == ("ascending", "5")
    page.context.close()


def test_a_search_leaves_what_has_the_words_and_opens_what_is_folded(browser, pages) -> None:
    page = browsing.opened(browser, pages["report"])
    rows = page.locator("tbody tr:visible")
    before = rows.count()
    page.get_by_label("Search this page").fill("wiki")
    assert 0 < rows.count() < before
    assert "found" in page.get_by_role("status").inner_text()
    assert all("wiki" in text.lower() for text in page.locator("#sources ~ .scroll tbody tr:visible").all_inner_texts())
    page.get_by_label("Search this page").fill("")
    assert rows.count() == before
    page.context.close()


def test_without_scripts_all_is_there_but_search_and_sorting(browser, pages) -> None:
    page = browsing.opened(browser, pages["report"], java_script_enabled=False)
    assert page.get_by_label("Search this page").is_hidden()
    page.get_by_role("link", name="By source").click()
    assert page.get_by_role("heading", name="By source").is_visible()
    assert page.get_by_role("heading", level=1).is_visible()
    page.context.close()


def test_on_paper_there_is_no_search_and_no_button(browser, pages) -> None:
    page = browsing.opened(browser, pages["report"])
    page.emulate_media(media="print")
    assert page.locator(".contents").is_hidden()
    assert page.locator(".copy").first.is_hidden()
    assert page.locator(".verdict details li").first.is_visible(), "warnings are folded on a screen, and read on paper"
    page.context.close()
