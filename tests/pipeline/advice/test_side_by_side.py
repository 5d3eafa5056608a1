"""Two texts in two columns: nothing gets lost, nothing gets through to the terminal."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.advice.side_by_side import MIN_WIDTH, UNBROKEN, side_by_side, visible

TITLES = ("this document", "survivor, kept")
# Few words, so that two texts have some in common; and now and then anything at all.
WORDS = st.sampled_from(["the", "The", "quick", "fox", "你好", "naïve", "x" * 70, "a\u0301\u0301\u0301\u0301\u0301"])
HOSTILE = st.sampled_from(
    ["\x1b[31m", "\u202e", "\x07", "\r", "\n", "\x85", "\u2028", "\u200b", "\U000e0041", "\ufe0f", "\u3164"]
)
SHORT = st.sampled_from(
    ["the", "The", "quick", "fox", "你", "naïve", "x" * 24, "\x1b[0m", "\u202e", "a" + "\u0301" * 5]
)
TEXTS = st.lists(WORDS | HOSTILE | st.text(max_size=4), max_size=40).map(" ".join) | st.text()


def columns(lines: list[str]) -> tuple[str, str]:
    """The two columns below the heading, each as one text without spaces."""
    rows = [line.partition(" │") for line in lines[lines.index(next(row for row in lines if "┼" in row)) + 1 :]]
    rows = [row for row in rows if row[1]]
    return tuple(re.sub(r"\s", "", "".join(row[n] for row in rows)) for n in (0, 2))  # type: ignore[return-value]


@given(TEXTS, TEXTS, st.integers(MIN_WIDTH, 120))
@example("\u0301a", "\u0301", 20)
@example("🇩🇪 👍🏽 👨\u200d👩\u200d👧 ☃\ufe0f", "한글 \u1112\u1161\u11ab", 20)
def test_no_line_is_too_wide_and_nothing_hostile_gets_through(one: str, other: str, width: int) -> None:
    for line in side_by_side(one, other, width, TITLES):
        assert cell_len(line) <= width
        assert line.isprintable()
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in line)


@given(st.lists(SHORT, max_size=UNBROKEN), st.lists(SHORT, max_size=UNBROKEN), st.integers(MIN_WIDTH, 120))
def test_every_word_of_short_texts_is_there_in_order(one: list[str], other: list[str], width: int) -> None:
    left, right = columns(side_by_side(" ".join(one), " ".join(other), width, TITLES))
    assert re.sub(r"\[-|-\]", "", left) == "".join(map(visible, one))
    assert re.sub(r"\{\+|\+\}", "", right) == "".join(map(visible, other))


@given(st.lists(WORDS | HOSTILE).map(" ".join), st.integers(MIN_WIDTH, 120))
def test_a_text_beside_itself_has_no_mark(text: str, width: int) -> None:
    lines = side_by_side(text, text, width, TITLES)
    assert not re.search(r"\[-|-\]|\{\+|\+\}", "".join(columns(lines)))
    assert " ".join(lines).endswith("for character.")


def test_a_changed_word_is_marked_and_what_is_equal_is_shortened() -> None:
    words = [f"w{n}" for n in range(40)]
    lines = side_by_side(" ".join(words), " ".join([*words[:20], "NEW", *words[21:]]), 100, TITLES)
    text = "\n".join(lines)
    assert lines[0].split("│")[0].strip() == "this document"
    assert "[-w20-]" in text
    assert "{+NEW+}" in text
    assert "[... 10 words ...]" in text
    assert "w0 w1 w2 w3 w4" in text
    assert "w7" not in text


def test_a_word_that_one_text_alone_has_is_marked_on_its_side_only() -> None:
    left, right = columns(side_by_side("a b c", "a c", 60, TITLES))
    assert (left, right) == ("a[-b-]c", "ac")


def test_a_copy_in_capitals_lies_beside_its_original() -> None:
    """Matched without regard to case: the word that is missing is the only one out of step."""
    lines = side_by_side("ONE TWO FOUR", "one two three four", 60, TITLES)
    assert columns(lines) == ("[-ONETWO-][-FOUR-]", "{+onetwo+}{+three+}{+four+}")


def test_line_breaks_and_odd_spaces_are_shown() -> None:
    left, right = columns(side_by_side("a\r\nb\n\nc\u2028d\u00a0e" + "\n" * 50 + "f", "a b c d e f", 80, TITLES))
    assert left == "a¶b¶¶c\\u2028de¶¶¶¶¶¶¶¶…f"
    assert right == "abcdef"
    assert "white space only" in side_by_side("a\nb", "a b", 80, TITLES)[-1]


def test_escapes_say_which_character_it_was() -> None:
    assert visible("\x1b[2J\u202e\U000e0041 é") == "\\x1b[2J\\u202e\\U000e0041 é"
    assert visible("e" + "\u0301" * 5) == "e\u0301\u0301\u0301\\u0301\\u0301"


def test_ideographs_are_words() -> None:
    left, right = columns(side_by_side("我们今天去北京", "我们明天去北京", 80, TITLES))
    assert (left, right) == ("我们[-今-]天去北京", "我们{+明+}天去北京")


def test_a_difference_far_behind_is_found_and_what_is_too_long_is_cut() -> None:
    many = [f"w{n}" for n in range(20_000)]
    far = side_by_side(" ".join(many), " ".join([*many[:-1], "end"]), 100, TITLES)
    assert "{+end+}" in "\n".join(far)
    assert "[... 19,989 words ...]" in "\n".join(far)
    other = [f"x{n}" for n in range(20_000)]
    cut = side_by_side(" ".join(many), " ".join(other), 100, TITLES)
    assert "Cut: at most 2,000 words of each text" in "\n".join(cut)
    assert "w1999" in "\n".join(cut)
    assert "w2000" not in "\n".join(cut)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a " * 2000, " ".join(f"a x{n}" for n in range(1000))),
        (" ".join(f"w{n % 100} l{n}" for n in range(1000)), " ".join(f"w{n % 100} r{n}" for n in range(1000))),
        ("x" * 5_000_000, "y" + "x" * 5_000_000),
        ("a" + " \n" * 3_000_000 + "b", "b"),
        ("你好" * 800_000, "好你" * 800_000),
    ],
)  # fmt: skip
def test_hostile_texts_cost_little(one: str, other: str) -> None:
    """Some of these would take the matcher hours; here each takes about a second."""
    begun = time.process_time()
    side_by_side(one, other, 100, TITLES)
    assert time.process_time() - begun < 20


def test_a_width_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        side_by_side("a", "b", MIN_WIDTH - 1, TITLES)
