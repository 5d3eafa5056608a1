"""A lexicon finds its terms as whole tokens of the canonical text, and nothing else: held against plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text import lexicon
from transforms.kernels.text.text import canonicalise


def found(texts: list[str], lists: list[list[str]], needed: list[int] | None = None) -> list[list[bool]]:
    _, tokens = canonicalise(pa.array(texts, pa.large_string()))
    return lexicon.find(tokens, lexicon.build(lists, needed or [1] * len(lists))).tolist()


def one(text: str, *terms: str) -> bool:
    return found([text], [list(terms)])[0][0]


def slowly(texts: list[str], lists: list[list[str]], needed: list[int]) -> list[list[bool]]:
    """The same by search in the canonical text, with a space around every token."""

    def canonical(values: list[str]) -> list[str]:
        return [f" {value} " for value in canonicalise(pa.array(values, pa.large_string()))[0].to_pylist()]

    return [
        [sum(term in text for term in set(canonical(terms))) >= least for text in canonical(texts)]
        for terms, least in zip(lists, needed, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "term", "expected"),
    [
        ("She left.", "she", True),
        ("SHE LEFT", "She", True),
        ("ashes", "she", False),
        ("he\u00adr", "her", True),  # a soft hyphen is invisible
        ("a non\u2011binary person", "non-binary", True),  # any hyphen
        ("a non binary person", "non-binary", False),
        ("they/them, please", "they/them", True),
        ("don\u2019t", "don't", True),
        ("Strasse", "straße", True),
        ("彼女は来た", "彼女", True),  # no spaces: wherever the characters stand
        ("彼は女", "彼女", False),
        ("彼 女", "彼女", True),  # a space between ideographs is nothing in the canonical form
        ("", "she", False),
    ],
)
def test_what_a_term_matches(text: str, term: str, expected: bool) -> None:
    assert one(text, term) == expected


def test_a_term_does_not_cross_from_one_document_to_the_next() -> None:
    assert found(["the hawker", "centre"], [["hawker centre"]]) == [[False, False]]


def test_different_terms_are_needed_and_repeats_do_not_count() -> None:
    texts = ["flour flour flour", "flour and butter", "Flour FLOUR"]
    assert found(texts, [["flour", "butter", "Flour"]], [2]) == [[False, True, False]]


def test_an_invisible_term_is_refused() -> None:
    with pytest.raises(ValueError, match="200b"):
        lexicon.build([["she", "\u200b"]], [1])


words = st.sampled_from(["a", "b", "ab", "a-b", "a b", "b a", "女", "女性", "'", "a'b", "ß"])


@given(
    st.lists(st.lists(words, max_size=12).map(" ".join), max_size=5),
    st.lists(st.lists(words.filter(str.strip), min_size=1, max_size=5), min_size=1, max_size=4),
    st.lists(st.integers(1, 3), min_size=4, max_size=4),
)
def test_like_plain_search(texts: list[str], lists: list[list[str]], needed: list[int]) -> None:
    needed = needed[: len(lists)]
    assert found(texts, lists, needed) == slowly(texts, lists, needed)


def test_many_terms_share_a_table() -> None:
    """A table that is nearly full of chains and collisions still finds each term in its own document only."""
    terms = [f"word{i} tail{i % 7}" for i in range(500)]
    hits = np.array(found(terms, [[term] for term in terms]))
    assert (hits == np.eye(500, dtype=bool)).all()
