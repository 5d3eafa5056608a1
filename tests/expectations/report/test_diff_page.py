"""`diff` and `history` as a page: the verdict first, early signs before others, no request, and hostile text stays text."""

import dataclasses
import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import release_diff
from expectations.metrics import declared
from expectations.release_diff import Comparison, Movement
from expectations.report import diff_page as movement_page

SCRIPT = "</style></title></svg><script>document.title='owned'</script><img src=x onerror=alert(1)>\"' \u202egpj"
VOID = {"meta", "line", "circle", "polyline", "br", "input"}


class Page(html.parser.HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.captions = 0
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(sorted(name for name, _ in attrs))))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def moved(
    metric: str, status: str = "worse", slice_: str = "", basis: str = "limits of the numbers", **more: object
) -> Movement:
    sign = declared.find(metric).sign
    kind = more.pop("slice_kind", "source" if slice_ else "overall")
    limits = (
        (-0.3, -0.1) if status in ("worse", "better", "moved") else (-0.3, 0.2) if status == "same" else (None, None)
    )
    return Movement(sign, metric, "after", str(kind), slice_, 0.5, 0.3, -0.2, *limits, basis, status)  # type: ignore[arg-type]


FOUND = [
    moved("lexical.hill_0_1"),
    moved("repetition.template_rate", "better"),
    moved("length.q50", "moved"),
    moved("synthetic_share.tokens", "same"),
    moved("lexical.zipf_slope", "unknown", basis="grows with the corpus, and the sizes differ"),
]


def page(text: str = "plain", found: list[Movement] | None = None, **more: object) -> str:
    """A page with every part filled; `text` stands wherever text comes from data."""
    found = [*FOUND, moved("lexical.hill_1_1", "worse", text), moved("structure.core", "worse", text, slice_kind="structure"),
             moved("semantic.vendi", "unknown", basis=text)] if found is None else found  # fmt: skip
    documents = {
        "fates": {
            ("stayed", text, "human"): (80, 800),
            ("came", text, "synthetic"): (30, 200),
            ("went", "web", "human"): (20, 200),
        },
        "relabelled": {("unknown", text): 3},
    }
    verdict = Comparison("worse", f"worse: 2 moved the wrong way beyond noise, first {text}; 9 comparisons")
    return movement_page.render_difference([text, "v2"], found, verdict, documents)


def test_the_verdict_comes_first_and_early_signs_before_others() -> None:
    said = Page(page()).text
    assert said.startswith(
        "Worse: plain to v2 Low Background what moved between two releases plain → v2 Worse: 2 moved the wrong way"
    )
    signs = said.partition("Where models are trained")[2].partition("What moved beyond noise")[0]
    assert list(re.findall(r"(Tails|Words|Templates|Spread|Synthetic share)", signs.partition("known")[2])) == [
        "Tails", "Templates", "Spread", "Synthetic share"]  # fmt: skip
    assert "Tails early sign 1 0 0 0 1" in signs
    assert "Synthetic share 0 0 0 1 0" in signs
    table = said.rpartition("What moved beyond noise")[2]
    order = [
        table.index(words)
        for words in ("Number of different words", "template", "Parts of the releases", "Which documents")
    ]
    assert order == sorted(order)
    assert "-0.2 -0.3 to -0.1" in table
    assert "grows with the corpus, and the sizes differ" in table.partition("nothing is claimed")[2]


def test_documents_that_stayed_came_and_went_are_told_with_their_tokens() -> None:
    said = Page(page()).text
    assert "Documents that stayed 80 Documents that came 30 Documents that went 20" in said
    assert "Human words or tokens of the first that the second still has 80%" in said
    assert "Words or tokens of the second that are human and new 0%" in said
    assert "Source plain 80 (800) 30 (200) 0 (0)" in said
    assert "3 that stayed are now called plain, and were unknown" in said


@pytest.mark.parametrize("text", [SCRIPT, "{{ 7 * 7 }}", "a\u202eb\x1b[31m", "x" * 5000, ""])
def test_hostile_text_stays_text(text: str) -> None:
    plain, hostile = Page(page()), Page(page(text))
    assert hostile.shape == plain.shape or text == ""
    assert page(text).count("<script") == 1
    assert not set("\u202e\x1b") & set(page(text))
    assert "{{ 7 * 7 }}" in hostile.text or "{{" not in text


@given(st.text())
def test_no_text_changes_the_shape_of_the_page(text: str) -> None:
    assert Page(page("a" + text)).shape == Page(page()).shape


def test_the_page_makes_no_request_and_runs_nothing() -> None:
    said = page(SCRIPT)
    assert re.search(r"default-src &#39;none&#39;; style-src &#39;sha256-|default-src 'none'; style-src 'sha256-", said)
    tags = {tag for tag, _ in Page(said).shape}
    assert not tags & {"img", "link", "iframe", "object", "form"}
    assert said.count("<script") == 1
    assert not {
        name for _, names in Page(said).shape for name in names if name.startswith("on") or name in ("style", "src")
    }
    assert "url(" not in said.partition("</style>")[0]


def test_the_same_gives_the_same_and_nothing_gives_a_page() -> None:
    assert page() == page()
    none = movement_page.render_difference(["a", "b"], [], release_diff.verdict([]), {"fates": {}, "relabelled": {}})
    said = Page(none).text
    assert said.count("No number is in both releases.") == 1
    assert "Nothing of the releases as a whole." in said
    assert "Human words or tokens of the first that the second still has –" in said


def test_a_large_comparison_is_still_a_small_page() -> None:
    found = [*FOUND, *(moved("lexical.hill_1_1", "worse", f"source {n}") for n in range(5000))]
    said = page(found=found)
    assert len(said) < 200_000
    assert "And 4,940 more slices that moved" in Page(said).text


numbers = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(numbers, st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_change_stays_in_its_drawing_on_its_side_of_none(change: float, below: float, above: float) -> None:
    one = dataclasses.replace(moved("documents"), change=change, low=change - below, high=change + above)
    drawn = movement_page._drawing(one)
    assert drawn
    places = [drawn["low"], drawn["at"], drawn["high"]]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[2] <= drawn["width"]
    for value, x in zip((one.low, one.change, one.high), places, strict=True):
        assert value is not None
        assert (x - drawn["middle"]) * value >= -1e-6


@given(st.lists(st.none() | numbers, min_size=2, max_size=9).filter(lambda values: any(v is not None for v in values)))
def test_a_series_has_a_point_for_each_value_and_a_gap_for_none(values: list[float | None]) -> None:
    drawn = movement_page._series(values)
    points = [point for line in drawn["lines"] for point in line]
    known = [value for value in values if value is not None]
    assert len(points) == len(known)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(0 <= x <= drawn["width"] and 0 <= y <= 26 for x, y in points)
    highest = min(range(len(points)), key=lambda at: points[at][1])
    assert known[highest] == pytest.approx(max(known), abs=0.01 * (max(known) - min(known)) + 1e-9)
    runs = [len(list(run)) for run in re.findall(r"x+", "".join("." if v is None else "x" for v in values))]
    assert [len(line) for line in drawn["lines"]] == runs


def test_history_shows_each_step_and_each_value() -> None:
    series = {one: [0.5, 0.4, None, 0.3] for one in FOUND}
    steps = [
        ("a", SCRIPT, Comparison("steady", "steady: nothing moved; 3 comparisons")),
        (SCRIPT, "c", Comparison("worse", "worse: 1")),
    ]
    said = movement_page.render_history(
        ["a", SCRIPT, "b", "c"], FOUND, Comparison("worse", "worse: 1; 3 comparisons"), series, steps
    )
    assert said.count("<script") == 1
    text = Page(said).text
    assert "Steady: nothing moved." in text
    assert "3 comparisons." in text
    assert said.count("<polyline") == 2 * len(FOUND)  # a gap in each
