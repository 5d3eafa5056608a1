"""The labelling page in a real browser: keys, hostile text, resuming, narrow screens, contrast."""

import functools
import json
import pathlib
import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest
from small_release import documents, write_release

from pipeline.commands.review import Session, review_site
from pipeline.reading.local_server import LocalServer
from transforms.audit.draw import Design, draw

browsing = pytest.importorskip("browsing", reason="there is no browser")
expect = browsing.api.expect

HOSTILE = (
    "<script>document.title = 'stolen'</script><img src=x onerror=\"document.title = 'stolen'\"> & &amp;\n"
    "turned \u202egnirts\u202c around, a\u200bb, \x07bell, nul \x00, tags \U000e0041\U000e0041\U000e0041, family "
    "\U0001f468\u200d\U0001f469, \u0646\u0635 \u0639\u0631\u0628\u064a\n"
)


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[LocalServer]:
    sample = draw(write_release(tmp_path / "release", documents(12)), Design(n=6, active=0), None)
    texts = sample["text"].to_pylist()
    texts[1] = HOSTILE + "x" * 50_000
    texts[2] = "\u202e" * 30_000 + "end"
    sample = sample.set_column(sample.column_names.index("text"), "text", pa.array(texts, pa.large_string()))
    session = Session(sample, str(tmp_path / "labels.jsonl"), lambda _: None)
    one = LocalServer(functools.partial(review_site, session), session.say)
    one.session = session
    threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()
    one.session.file.close()


def opened(browser, server, reviewer="Ada", **options):
    """A page with a reviewer's first item; whatever goes wrong on it, or leaves this machine, is in `page.wrong`."""
    page = browsing.opened(browser, server.address, f"http://127.0.0.1:{server.port}/", **options)
    expect(page.locator("#name")).to_be_focused()
    page.locator("#name").fill(reviewer)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).not_to_be_empty()
    return page


def at(page, number):
    expect(page.locator("#place")).to_have_text(f"Item {number} of 6")
    expect(page.locator("#size")).not_to_be_empty()


def lines(server):
    return [json.loads(line) for line in pathlib.Path(server.session.file.path).read_text().splitlines()]


def test_the_keyboard_labels_moves_and_undoes(browser, server):
    page = opened(browser, server)
    assert page.url == f"http://127.0.0.1:{server.port}/"  # the token is gone from the address
    at(page, 1)
    page.keyboard.press("h")
    at(page, 2)
    page.keyboard.press("S")
    at(page, 3)
    expect(page.locator("#count")).to_have_text("2 of 6 labelled")
    page.keyboard.press("ArrowLeft")
    at(page, 2)
    expect(page.locator("#synthetic")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("u")  # changed; the next one without a label follows
    at(page, 3)
    page.keyboard.press("z")  # back to what it was
    at(page, 2)
    expect(page.locator("#synthetic")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    at(page, 3)
    page.keyboard.press("z")  # and the first answer to it taken back as well
    at(page, 2)
    expect(page.locator("#count")).to_have_text("1 of 6 labelled")
    expect(page.locator("#said")).to_have_text("Taken back. Item 2 of 6.")
    assert [line["label"] for line in lines(server)] == ["human", "synthetic", "undetermined", "synthetic", None]
    assert {line["reviewer"] for line in lines(server)} == {"Ada"}
    assert all(0 <= line["seconds"] < 60 for line in lines(server))
    assert page.wrong == []


def test_time_is_counted_while_the_item_is_in_view(browser, server):
    page = opened(browser, server)
    page.wait_for_timeout(700)
    page.keyboard.press("h")
    at(page, 2)
    assert 0.6 < lines(server)[0]["seconds"] < 10


def test_a_key_that_is_held_down_labels_one_item(browser, server):
    page = opened(browser, server)
    page.keyboard.down("h")
    for _ in range(5):
        page.keyboard.down("h")  # as a keyboard repeats it
    page.keyboard.up("h")
    at(page, 2)
    page.wait_for_timeout(200)
    assert len(lines(server)) == 1


def test_hostile_text_is_text(browser, server):
    page = opened(browser, server)
    page.keyboard.press("h")
    at(page, 2)
    shown = page.locator("#text")
    expect(shown).to_contain_text("<script>document.title = 'stolen'</script><img src=x onerror=")
    expect(shown).to_contain_text("& &amp;")
    assert page.locator("#text script, #text img").count() == 0
    assert page.title() == "Review · Low Background"
    marks = page.locator("#text .mark").all_inner_texts()
    assert marks == ["U+202E", "U+202C", "U+200B", "U+0007", "U+0000", "U+E0041 × 3"]
    expect(page.locator("#hidden")).to_have_text("8 hidden characters, shown as numbers")
    content = shown.text_content()
    assert not set("\u202e\u202c\u200b\x07\x00\U000e0041") & set(content)
    assert "\U0001f468\u200d\U0001f469" in content  # a joiner in an emoji is no trick
    assert page.wrong == []


def test_a_huge_line_is_wrapped_and_shown_in_parts(browser, server):
    page = opened(browser, server, viewport={"width": 360, "height": 700})
    page.keyboard.press("h")
    at(page, 2)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    rest = page.locator("#rest")
    expect(rest).to_contain_text("Show 20,000 more of")
    rest.click()
    rest.click()
    expect(rest).to_be_hidden()
    assert len(page.locator("#text").text_content()) > 50_000


def test_thirty_thousand_controls_are_one_mark_a_part(browser, server):
    page = opened(browser, server)
    for number in (1, 2):
        at(page, number)
        page.keyboard.press("h")
    at(page, 3)
    assert page.locator("#text .mark").all_inner_texts() == ["U+202E × 20000"]


@pytest.mark.slow
def test_one_goes_on_where_one_stopped_and_reviewers_do_not_mix(browser, server):
    page = opened(browser, server)
    for number in (1, 2):
        at(page, number)
        page.keyboard.press("h")
    at(page, 3)
    again = opened(browser, server, "Ada")
    at(again, 3)
    other = opened(browser, server, "Bob")
    at(other, 1)
    expect(other.locator("#count")).to_have_text("0 of 6 labelled")


def test_the_end_is_said(browser, server):
    page = opened(browser, server)
    for number in range(1, 7):
        at(page, number)
        page.keyboard.press("h")
    expect(page.locator("#done")).to_be_visible()
    expect(page.locator("#done")).to_be_focused()
    expect(page.locator("#said")).to_have_text("All items are labelled.")
    expect(page.locator("#human")).to_be_disabled()
    page.keyboard.press("h")  # there is nothing to label
    page.keyboard.press("ArrowLeft")
    at(page, 6)
    assert len(lines(server)) == 6


def test_a_note_is_kept_and_its_letters_are_no_answers(browser, server):
    page = opened(browser, server)
    page.keyboard.press("n")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("hush: quotes \" and 'h'")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    at(page, 2)
    expect(page.locator("#note")).to_have_value("")
    assert [(line["label"], line["note"]) for line in lines(server)] == [("synthetic", "hush: quotes \" and 'h'")]


def test_help_opens_closes_and_keeps_the_keys_to_itself(browser, server):
    page = opened(browser, server)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("h")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    at(page, 1)
    assert lines(server) == []


def test_an_answer_that_was_not_kept_is_said_and_can_be_given_again(browser, server):
    page = opened(browser, server)
    page.context.set_offline(True)
    page.keyboard.press("h")
    expect(page.locator("#alert")).to_contain_text("does not answer")
    at(page, 1)
    page.context.set_offline(False)
    page.keyboard.press("h")
    at(page, 2)
    expect(page.locator("#alert")).to_be_empty()
    assert len(lines(server)) == 1


def test_a_used_address_shows_a_sentence_and_no_page(browser, server):
    address = server.address
    opened(browser, server)
    page = browser.new_context().new_page()
    assert page.goto(address).status == 403
    expect(page.locator("body")).to_contain_text("this address was used")


def test_everything_is_reached_by_tab_and_its_focus_is_seen(browser, server):
    page = opened(browser, server)
    seen = []
    for _ in range(9):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("() => [document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]")
        )
    reached = [name for name, style in seen if style == "solid"]
    assert {"human", "synthetic", "undetermined", "forward", "help", "note"} <= set(reached)


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => { for (; node; node = node.parentElement) { const color = getComputedStyle(node).backgroundColor;
    if (rgb(color)[3] === 255) return color; } return getComputedStyle(document.documentElement).backgroundColor; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || node.closest("script, :disabled, kbd")) continue;
    const [one, two] = [light(rgb(getComputedStyle(node).color)), light(rgb(behind(node)))].sort((a, b) => b - a);
    found.push([text.data.trim().slice(0, 30), (one + 0.05) / (two + 0.05)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_what_is_behind_them(browser, server, scheme):
    """WCAG AA: 4.5 to 1, for everything on the page, with an answer pressed and with help open."""
    page = opened(browser, server, color_scheme=scheme)
    page.keyboard.press("s")
    at(page, 2)
    marked = page.evaluate(CONTRAST)
    page.keyboard.press("ArrowLeft")
    at(page, 1)
    pressed = page.evaluate(CONTRAST)
    page.keyboard.press("?")
    found = [*marked, *pressed, *page.evaluate(CONTRAST)]
    assert len(found) > 40
    assert [one for one in found if one[1] < 4.5] == []


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_narrow_screen_needs_no_sideways_scrolling_and_buttons_fit_a_thumb(browser, server, width):
    page = opened(browser, server, viewport={"width": width, "height": 640})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for name in ("human", "synthetic", "undetermined"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 640
    page.locator("#human").click()
    at(page, 2)
