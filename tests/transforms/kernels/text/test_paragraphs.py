"""Paragraphs against a plain reference in Python, the sample against the whole, and the laws of merging."""

import collections
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.kernels.text import paragraphs, text


def form(line: str) -> bytes:
    """What two paragraphs must have in common to be the same."""
    lowered = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in line.encode())
    return bytes(byte for byte in lowered if byte > 0x20 and byte != 0x7F)


def n_tokens(line: str) -> int:
    """By the kernel that counts the tokens of documents, which is tested against a reference of its own."""
    return int(text.count_words(text.canonicalise(pa.array([line], pa.large_string()))[1])[0])


def reference(value: str) -> tuple[list[bytes], int]:
    """The different paragraphs of a text by first occurrence, and the tokens in the others."""
    found: list[bytes] = []
    repeated = 0
    for line in value.split("\n"):
        tokens = n_tokens(line)
        if tokens < paragraphs.MIN_TOKENS:
            continue
        if form(line) in found:
            repeated += tokens
        else:
            found.append(form(line))
    return found, repeated


def find(values: list[str], rate: int = 1) -> paragraphs.Paragraphs:
    return paragraphs.find(pa.array(values, pa.large_string()), rate)


def hash_of(form_: bytes) -> int:
    """The hash as its description says, in Python's whole numbers."""
    h, mask = len(form_), 2**64 - 1
    for at in range(0, len(form_), 8):
        h = (h ^ int.from_bytes(form_[at : at + 8], "little")) * 0x9E3779B97F4A7C15 & mask
        h ^= h >> 29
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ (h >> 33)) * factor & mask
    return h ^ (h >> 33)


# Few words, so that lines repeat; all of what the kernel tells apart; no character that NFKC or lower case changes the
# number of tokens of (the counts are taken on either side of it).
words = st.sampled_from(
    ["a", "b", "B", "don't", "\u2019", "l\u2019a", "\u6211", "\u0e44\u0e49", "\u0301", "-", "!", "\u200b", "\u00e9"]
)
spaces = st.sampled_from([" ", " ", " ", "  ", "\t", "", "\x00", "\x7f", "\u00a0", "\r"])
lines = st.lists(st.tuples(words, spaces), max_size=14).map(lambda parts: "".join(w + s for w, s in parts))
ends = st.sampled_from(["\n", "\r\n", "\n\n", "\r", "\x0b", "\u2028"])
structured = st.lists(st.tuples(lines, ends), max_size=6).map(lambda parts: "".join(line + end for line, end in parts))
EIGHT = "one two three four five six seven eight"


@given(st.lists(structured, min_size=1, max_size=5))
@example([EIGHT, EIGHT + "\n" + EIGHT])
@example(["", "\n", "\r\n\r\n", EIGHT + "\r\n\r\n" + EIGHT.upper()])
@example(["\u6211" * 8 + "\n" + "\u6211" * 8, "\u6211" * 7])
def test_equals_the_reference(values: list[str]) -> None:
    found = find(values)
    for d, value in enumerate(values):
        forms, repeated = reference(value)
        hashes = found.hashes[found.offsets[d] : found.offsets[d + 1]].tolist()
        assert hashes == [hash_of(one) for one in forms]
        assert found.n_paragraphs[d] == len(forms)
        assert found.repeated_tokens[d] == repeated


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=60), min_size=1, max_size=4))
def test_any_text_and_a_batch_is_the_sum_of_its_documents(values: list[str]) -> None:
    doubled = [value + "\n" + EIGHT + "\n" + value for value in values]
    column = pa.array(["skipped " * 9, *doubled], pa.large_string()).slice(1)
    together = paragraphs.find(column, 1)
    apart = [find([value]) for value in doubled]
    assert together.hashes.tolist() == [h for one in apart for h in one.hashes.tolist()]
    assert together.offsets.tolist() == np.cumsum([0, *(len(one.hashes) for one in apart)]).tolist()
    assert together.n_paragraphs.tolist() == [one.n_paragraphs[0] for one in apart]
    assert together.repeated_tokens.tolist() == [one.repeated_tokens[0] for one in apart]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (EIGHT, EIGHT.upper(), True),
        (EIGHT, "  " + EIGHT.replace(" ", " \t") + "\r", True),
        (EIGHT, EIGHT + ".", False),
        (EIGHT, EIGHT.replace("two", "tow"), False),
        (EIGHT + " it's", EIGHT + " it\u2019s", False),  # what the form does not fold
        (EIGHT + " \u00e9", EIGHT + " \u00c9", False),
    ],
)
def test_what_is_the_same(one: str, other: str, same: bool) -> None:
    found = find([one, other])
    assert (found.hashes[0] == found.hashes[1]) == same


def test_short_lines_are_no_paragraphs() -> None:
    seven = " ".join(EIGHT.split()[:7])
    assert find([seven + "\n" + seven, EIGHT]).n_paragraphs.tolist() == [0, 1]
    assert find([seven + " - !!!"]).n_paragraphs.tolist() == [0]


def test_no_document_and_one_with_very_many_lines() -> None:
    assert find([]).offsets.tolist() == [0]
    many = "\n".join(f"{i} b c d e f g h" for i in range(20_000))
    found = find(["", many + "\n" + many, ""])
    assert found.n_paragraphs.tolist() == [0, 20_000, 0]
    assert found.repeated_tokens.tolist() == [0, 8 * 20_000, 0]


def test_the_sample_is_by_type_and_of_the_size_it_says() -> None:
    values = [f"{i} b c d e f g h" for i in range(40_000)]
    all_, sampled = find(values), find(values, paragraphs.RATE)
    assert sampled.n_paragraphs.tolist() == all_.n_paragraphs.tolist()
    assert set(sampled.hashes.tolist()) == {h for h in all_.hashes.tolist() if h < 2**64 // paragraphs.RATE}
    expected = 40_000 / paragraphs.RATE
    assert abs(len(sampled.hashes) - expected) < 4 * math.sqrt(expected)


def same(one: paragraphs.ParagraphCounts, other: paragraphs.ParagraphCounts) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# Hashes over the whole of hash space, few enough to repeat.
hashes = st.lists(st.integers(0, 30).map(lambda i: i * 0x0840000000000001 % 2**64), max_size=60)


@pytest.mark.parametrize("most", [1 << 20, 8, 1])
@given(parts=st.lists(hashes, max_size=6))
def test_merging_parts_counts_the_whole_in_any_order(most: int, parts: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paragraphs, "MOST_TYPES", most)
        counts = [paragraphs.count(np.array(part, np.uint64)) for part in parts]
        whole = paragraphs.count(np.array([h for part in parts for h in part], np.uint64))
        half = paragraphs.merge(counts[: len(counts) // 2])
        for merged in (
            paragraphs.merge(counts),
            paragraphs.merge(counts[::-1]),
            paragraphs.merge([half, *counts[len(counts) // 2 :], paragraphs.merge([])]),
        ):
            assert same(merged, whole)
        expected = collections.Counter(h for part in parts for h in part if h < whole.below)
        assert dict(zip(whole.types.tolist(), whole.documents.tolist(), strict=True)) == expected
        assert len(whole.types) <= most


def test_the_share_of_repeated_occurrences() -> None:
    counts = paragraphs.count(np.array([1, 1, 1, 2, 3, 4, 4], np.uint64))
    assert paragraphs.repeated_across(counts) == 5 / 7
    assert math.isnan(paragraphs.repeated_across(paragraphs.merge([])))


def test_the_sample_estimates_the_whole() -> None:
    """A third of 30,000 paragraphs are in two documents, so half of the occurrences are repeated."""
    lines = [f"{i} b c d e f g h" for i in range(30_000)]
    sampled = find(lines + lines[:10_000], paragraphs.RATE)
    assert paragraphs.repeated_across(paragraphs.count(find(lines + lines[:10_000]).hashes)) == 0.5
    # A type is twice in with chance 1/3; of the share that is the delta method, 2 p / (1 + p) with p = 1/3.
    types = 30_000 / paragraphs.RATE
    error = 2 / (1 + 1 / 3) ** 2 * math.sqrt(1 / 3 * 2 / 3 / types)
    assert abs(paragraphs.repeated_across(paragraphs.count(sampled.hashes)) - 0.5) < 4 * error
