"""The canonical form against a plain reference in Python, and the rules that the module states."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels import text

FOLD = {ord(other): ascii_char for ascii_char, others in text._FOLDED.items() for other in others}


def reference(value: str) -> list[tuple[str, int]]:
    """Tokens of a text and their kinds, one character at a time."""
    classes, _, _ = text._tables()
    value = "".join(char.lower() if char != "\u0130" else "i\u0307" for char in unicodedata.normalize("NFKC", value))
    tokens: list[list] = []
    open_class = "space"
    run = 0
    for at, char in enumerate(value):
        c = {0: "space", 1: "letter", 2: "solo", 3: "punct", 4: "ignore", 5: "mark"}[
            int(classes[ord(char)]) if ord(char) < len(classes) else (2 if ord(char) < 0x40000 else 4)
        ]
        char = FOLD.get(ord(char), char)
        if c == "ignore":
            continue
        if c == "space":
            open_class = "space"
            continue
        if char == "'" and open_class == "letter" and at + 1 < len(value):
            following = value[at + 1]
            if ord(following) < len(classes) and classes[ord(following)] == 1:
                c = "letter"
        if c == "mark":
            c = "solo" if open_class == "solo" else "letter"
            joins = open_class == c
        elif c == "punct":
            joins = open_class == "punct" and tokens[-1][0][-1] == char
            run = run + 1 if joins else 1
            if run > 3:
                continue
        else:
            joins = c == "letter" and open_class == "letter"
        if joins:
            tokens[-1][0] += char
        else:
            tokens.append([char, {"letter": 0, "solo": 1, "punct": 2}[c]])
        open_class = c
    return [(token, kind) for token, kind in tokens]


def canonical(*values: str) -> list[str]:
    return text.canonicalise(pa.array(values, pa.large_string()))[0].to_pylist()


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), min_size=1, max_size=5))
def test_equals_the_reference_on_any_text(values: list[str]) -> None:
    found, tokens = text.canonicalise(pa.array(values, pa.large_string()))
    for d, value in enumerate(values):
        expected = reference(value)
        assert found[d].as_py() == " ".join(token for token, _ in expected)
        assert tokens.kind[tokens.offsets[d] : tokens.offsets[d + 1]].tolist() == [kind for _, kind in expected]
        hashes = [text.hash_token(token) for token, _ in expected]
        assert tokens.hash64[tokens.offsets[d] : tokens.offsets[d + 1]].tolist() == [h for h, _ in hashes]
        assert tokens.hash32[tokens.offsets[d] : tokens.offsets[d + 1]].tolist() == [h for _, h in hashes]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Hello,  World!\n", "hello , world !"),
        ("Don\u2019t \u201cquote\u201d \u2014 me", 'don\'t " quote " - me'),
        ("wait.......", "wait ..."),
        ("e\u0301 = \u00e9", "\u00e9 = \u00e9"),  # one letter, composed or not
        ("\ufb01ne \u2460", "fine 1"),  # compatibility forms
        ("zero\u200bwidth and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("\u6211\u7231\u4f60", "\u6211 \u7231 \u4f60"),  # a script without spaces: a token a character
        ("\u0e44\u0e17\u0e22", "\u0e44 \u0e17 \u0e22"),
        (
            "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
            "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        ),  # right to left
        ("ok \U0001f600\U0001f600", "ok \U0001f600\U0001f600"),
        ("\uff21\uff22\uff23\uff01", "abc !"),  # full width
        (" \t\u00a0\u3000\ufeff", ""),
        ("", ""),
    ],
)
def test_rules(value: str, expected: str) -> None:
    assert canonical(value) == [expected]


def test_a_batch_is_the_sum_of_its_documents_and_slices_work() -> None:
    values = ["one two", "", "\u6211\u7231 you", "it\u2019s", "   "]
    column = pa.array(["skipped", *values], pa.large_string()).slice(1)
    together, tokens = text.canonicalise(column)
    assert together.to_pylist() == [canonical(value)[0] for value in values]
    assert tokens.offsets.tolist() == np.cumsum([0, 2, 0, 3, 1, 0]).tolist()


def test_words_are_counted_without_punctuation() -> None:
    _, tokens = text.canonicalise(pa.array(["one, two!", "\u6211\u7231", "...", ""], pa.large_string()))
    assert text.count_words(tokens).tolist() == [2, 2, 0, 0]


def test_no_document_at_all() -> None:
    found, tokens = text.canonicalise(pa.array([], pa.large_string()))
    assert len(found) == 0
    assert tokens.offsets.tolist() == [0]
