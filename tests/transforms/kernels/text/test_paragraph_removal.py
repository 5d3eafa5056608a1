"""Texts without their repeated paragraphs against a plain reference in Python, which knows paragraphs by kernel of its own."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.ingest import paragraph_removal as documents_cut
from transforms.kernels.text import paragraph_removal, paragraphs
from transforms.kernels.text.text import canonicalise, count_words

EIGHT = "one two three four five six seven eight"
NINE = EIGHT + " nine"
IDEOGRAPHS = "我" * 8


def hash_of(line: str) -> int | None:
    """Of a line that is a paragraph."""
    found = paragraphs.find(pa.array([line], pa.large_string()), 1)
    assert found.n_paragraphs[0] == len(found.hashes)
    return int(found.hashes[0]) if len(found.hashes) else None


def tokens_of(line: str) -> int:
    """Of a paragraph, by the kernel that counts those that repeat."""
    return int(paragraphs.find(pa.array([line + "\n" + line], pa.large_string())).repeated_tokens[0])


def tokens_in(text: str) -> int:
    """Of any text: line by line, each made a paragraph by eight words more."""
    return sum(tokens_of(f"{line} {EIGHT}") - 8 for line in text.split("\n"))


def reference(text: str, unwanted: set[int]) -> tuple[str, int]:
    """A text without its repeated paragraphs and, unless most of the rest is in them, without its unwanted ones."""
    lines = re.findall(r"[^\n]*\n|[^\n]+$", text)
    hashes = [hash_of(line.removesuffix("\n")) for line in lines]
    once = [line for i, line in enumerate(lines) if hashes[i] is None or hashes[i] not in hashes[:i]]
    less = [line for line in once if hash_of(line.removesuffix("\n")) not in unwanted]
    left = "".join(once if tokens_in("".join(once)) > 2 * tokens_in("".join(less)) else less)
    return left, tokens_in(text) - tokens_in(left)


def without(values: list[str], unwanted: set[int]) -> list[tuple[str, int]]:
    text, tokens = paragraph_removal.without(pa.array(values, pa.large_string()), np.array(sorted(unwanted), np.uint64))
    text.validate(full=True)
    return list(zip(text.to_pylist(), tokens.tolist(), strict=True))


known = st.sampled_from(
    [EIGHT, NINE, EIGHT.upper(), "  " + NINE, IDEOGRAPHS, "a b c", "", "don’t " * 9, "\u0301 é " * 8]
)
some = st.one_of(known, known, st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
ends = st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r\n\r\n", "\r", " "])
texts = st.tuples(st.lists(st.tuples(some, ends), max_size=7).map(lambda p: "".join(a + b for a, b in p)), some).map(
    "".join
)


@given(st.lists(texts, min_size=1, max_size=5), st.sets(known), st.integers(0, 5), st.integers(0, 5))
@example([EIGHT], {EIGHT}, 0, 1)
@example(["", "\n", EIGHT + "\r\n\r\n" + EIGHT], set(), 0, 3)
@example([EIGHT + "\n" + NINE + "\n" + EIGHT.upper(), NINE], {NINE}, 0, 2)
def test_equals_the_reference_wherever_the_batch_is_cut(
    values: list[str], chosen: set[str], start: int, length: int
) -> None:
    unwanted = {h for h in map(hash_of, chosen) if h is not None}
    want = [reference(value, unwanted) for value in values]
    assert without(values, unwanted) == want
    part = pa.array(["before", *values], pa.large_string()).slice(1).slice(start, length)
    text, tokens = paragraph_removal.without(part, np.array(sorted(unwanted), np.uint64))
    assert list(zip(text.to_pylist(), tokens.tolist(), strict=True)) == want[start : start + length]


@given(texts, st.sets(known))
@example(EIGHT, {EIGHT})
@example("\u0301 é " * 8 + "\n\u00ad", {"\u0301 é " * 8})
def test_what_has_a_token_keeps_one_and_a_second_cut_finds_nothing(value: str, chosen: set[str]) -> None:
    """Also by the tokens of the canonical form, which decide whether a document is empty."""
    unwanted = {h for h in map(hash_of, chosen) if h is not None}
    [(left, removed)] = without([value], unwanted)
    assert removed <= tokens_in(value)
    assert (tokens_in(left) > 0) == (tokens_in(value) > 0)
    _, tokens = canonicalise(pa.array([value, left], pa.large_string()))
    before, after = count_words(tokens)
    assert (after > 0) == (before > 0)
    assert without([left], unwanted) == [(left, 0)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{EIGHT}\n{NINE}\n", f"{NINE}\n"),
        (f"{NINE}\n{EIGHT}", f"{NINE}\n"),
        (f"{NINE}\r\n{EIGHT}\r\n{NINE}\r\n", f"{NINE}\r\n"),
        (f"a\n\n{EIGHT}\n\nb {NINE}", f"a\n\n\nb {NINE}"),
        (f"{EIGHT} and more", f"{EIGHT} and more"),
        (f"{EIGHT}\n{EIGHT}\n{EIGHT}\n{NINE}", f"{NINE}"),  # its repeats do not make it the larger part
        (f"{EIGHT}\n{' '.join('abcdefgh')}", " ".join("abcdefgh")),  # half of a text goes, more does not
        (f"{EIGHT}\na b c d e f g", f"{EIGHT}\na b c d e f g"),
        (f"{EIGHT}\na b c\n{EIGHT}", f"{EIGHT}\na b c\n"),
        (EIGHT, EIGHT),
        ("", ""),
    ],
)
def test_what_goes_and_what_stays(text: str, left: str) -> None:
    [(found, _)] = without([text], {hash_of(EIGHT)})  # type: ignore[arg-type]
    assert found == left


def test_cutting_again_changes_nothing() -> None:
    values = [f"{EIGHT}\n{NINE}\n{IDEOGRAPHS}\n{NINE}\nx", f"x\n{IDEOGRAPHS}", "\n".join([IDEOGRAPHS] * 3 + [NINE])]
    once = without(values, {hash_of(IDEOGRAPHS)})  # type: ignore[arg-type]
    assert [tokens for _, tokens in once] == [17, 0, 24]
    assert without([text for text, _ in once], {hash_of(IDEOGRAPHS)}) == [(t, 0) for t, _ in once]  # type: ignore[arg-type]


def test_a_batch_keeps_its_columns_and_without_an_order_everything() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array([1, 2]),
            "text": pa.array([EIGHT + "\n" + EIGHT, "x"], pa.large_string()),
            "z": pa.array([3, 4]),
        }
    )
    same, none = documents_cut.cut(batch, None)
    assert same is batch
    assert none.tolist() == [0, 0]
    less, tokens = documents_cut.cut(batch, np.zeros(0, np.uint64))
    assert less.to_pydict() == {"id": [1, 2], "text": [EIGHT + "\n", "x"], "z": [3, 4]}
    assert tokens.tolist() == [8, 0]
    empty, tokens = documents_cut.cut(batch.slice(2), np.zeros(0, np.uint64))
    assert (empty.num_rows, len(tokens)) == (0, 0)
