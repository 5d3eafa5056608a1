"""Texts without their repeated paragraphs against a plain reference in Python, which knows paragraphs by kernel of its own."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms import cut as documents_cut
from transforms.kernels import cut, paragraphs

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


def reference(text: str, unwanted: set[int]) -> tuple[str, int]:
    """A text without its unwanted and its repeated paragraphs, and the tokens in them."""
    kept, tokens, seen = "", 0, set()
    for whole in re.findall(r"[^\n]*\n|[^\n]+$", text):
        line = whole.removesuffix("\n")
        h = hash_of(line)
        if h is None or (h not in unwanted and h not in seen):
            kept += whole
        else:
            tokens += tokens_of(line)
        seen.add(h)
    return kept, tokens


def without(values: list[str], unwanted: set[int]) -> list[tuple[str, int]]:
    text, tokens = cut.without(pa.array(values, pa.large_string()), np.array(sorted(unwanted), np.uint64))
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
    text, tokens = cut.without(part, np.array(sorted(unwanted), np.uint64))
    assert list(zip(text.to_pylist(), tokens.tolist(), strict=True)) == want[start : start + length]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{EIGHT}\n{NINE}\n", f"{NINE}\n"),
        (f"{NINE}\n{EIGHT}", f"{NINE}\n"),
        (f"{NINE}\r\n{EIGHT}\r\n{NINE}\r\n", f"{NINE}\r\n"),
        (f"a\n\n{EIGHT}\n\nb", "a\n\n\nb"),
        (f"{EIGHT} and more", f"{EIGHT} and more"),
        (EIGHT, ""),
        ("", ""),
    ],
)
def test_what_goes_and_what_stays(text: str, left: str) -> None:
    [(found, _)] = without([text], {hash_of(EIGHT)})  # type: ignore[arg-type]
    assert found == left


def test_cutting_again_changes_nothing() -> None:
    values = [f"{EIGHT}\n{NINE}\n{IDEOGRAPHS}\n{NINE}\nx", f"x\n{IDEOGRAPHS}"]
    once = without(values, {hash_of(IDEOGRAPHS)})  # type: ignore[arg-type]
    assert [tokens for _, tokens in once] == [17, 8]
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
