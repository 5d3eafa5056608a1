"""Numbers are said as a person says them: one file, two files; changes of shares in points; what is missing once."""

import ast
import itertools
import pathlib
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts, wording

ROOT = pathlib.Path(__file__).parents[2]
THINGS = (
    "bytes|characters|clusters|columns|documents|draws|endings|expectations|files|folders|generators|items|labels|lines|metrics"
    "|objects|places|questions|records|references|rows|rules|shards|shingles|slices|sources|splits|structures|texts|tokens|types"
    "|values|warnings|words"
)
BEHIND = re.compile(rf"(?: [a-z-]+)? (?:(?:{THINGS})\b|[a-z]+\(s\))")
CONSTANT = re.compile(r"[A-Z][A-Z_]+")  # never one


def counts_of_one(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Places where a count stands before a word that is in the plural whatever the count is."""
    for text in (node.values for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        for value, behind in itertools.pairwise(text):
            if (
                isinstance(value, ast.FormattedValue)
                and isinstance(behind, ast.Constant)
                and BEHIND.match(behind.value)
            ):
                said = ast.unparse(value.value)
                form = ast.unparse(value.format_spec) if value.format_spec else ""
                is_count = form in ("f','", "f',.0f'") or (not form and said.startswith("len("))
                if is_count and not CONSTANT.search(said):
                    yield value.lineno, said + behind.value[:20]


def test_no_count_is_followed_by_a_plural_that_is_written_out() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {said}: use wording.plural"
        for package in ("pipeline", "transforms", "expectations")
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, said in counts_of_one(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


def test_the_test_before_finds_what_it_is_about() -> None:
    assert (
        len(
            [*counts_of_one(ast.parse("f'{n:,} files' f'{len(x)} bad records' f'{row[0]:,.0f} rows' f'{n:,} page(s)'"))]
        )
        == 4
    )
    assert not [*counts_of_one(ast.parse("f'{plural(n, chr(1))} here' f'{MOST:,} files' f'{path} files'"))]


def test_no_page_counts_a_plural_that_is_written_out() -> None:
    wrong = re.compile(rf"(?:\|count|\|length) ?\}}\}}(?: [a-z-]+)? (?:{THINGS})\b")
    pages = sorted((ROOT / "expectations" / "templates").rglob("*.j2"))
    assert pages
    assert [(path.name, found[0]) for path in pages for found in wrong.finditer(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("n", "one", "many", "said"),
    [
        (1, "file", "", "1 file"),
        (0, "file", "", "0 files"),
        (1234, "row", "", "1,234 rows"),
        (2, "query", "queries", "2 queries"),
    ],
)
def test_one_is_in_the_singular(n: int, one: str, many: str, said: str) -> None:
    assert wording.plural(n, one, many) == said


def test_what_is_not_measured_is_said_once_and_not_as_a_limit() -> None:
    assert wording.estimate(0.041, 0.0499) == "4.1%, at most 4.99%"
    assert wording.estimate(None, None) == "not measured"
    assert wording.estimate(None, 0.3) == "not measured, at most 30%"
    assert wording.estimate(0.1, None) == "10%"


@pytest.mark.parametrize(
    ("change", "said"), [(0.053, "+5.3 points"), (-0.01, "-1 point"), (0.0, "0 points"), (0.00021, "+0.021 points")]
)
def test_changes_of_shares_are_in_points(change: float, said: str) -> None:
    assert wording.points(change) == said


@pytest.mark.parametrize(
    ("before", "after", "form", "said"),
    [
        (0.062, 0.115, "share", "nearly doubled, from 6.2% to 11.5%"),
        (0.062, 0.063, "share", "rose from 6.2% to 6.3%"),
        (13.003, 13.024, "number", "rose from 13 to 13.02"),
        (100, 40, "count", "more than halved, from 100 to 40"),
        (0.0, 0.1, "share", "rose from 0% to 10%"),
        (5, 5, "count", "stayed at 5"),
    ],
)
def test_how_a_number_moved_is_said_with_digits_that_differ(before: float, after: float, form: str, said: str) -> None:
    assert wording.moved(before, after, form) == said


positive = st.floats(1e-6, 1e6)


@given(positive, positive, st.sampled_from(["share", "count", "number"]))
def test_what_moved_is_never_said_to_be_the_same(before: float, after: float, form: str) -> None:
    said = wording.moved(before, after, form)
    assert (said.startswith("stayed")) == (before == after)
    if before != after:
        one, _, other = said.rpartition("from ")[2].partition(" to ")
        assert one != other


def test_a_tiny_share_is_not_said_to_nine_digits_unless_they_tell_it_from_another() -> None:
    assert wording.number(2 / 50_000, "share") == wording.number(1e-9, "share") == "less than 0.01%"
    assert wording.number(1e-4, "share") == "0.01%"
    assert wording.estimate(0.0, 3e-5) == "0%, less than 0.01%"
    assert wording.estimate(0.0, 0.02) == "0%, at most 2%"
    assert wording.told_apart(2e-5, 3e-5, "share") == ("0.002%", "0.003%")
    assert wording.comparison(2e-5, None, 1e-5, "share") == "0.002%, above the limit of 0.001%"
    assert wording.limits(None, 1e-7, "share") == "at most 0.00001%"


def test_every_reason_has_words() -> None:
    assert {"", *wording.REASONS} == set(contracts.REASONS)
