"""Signatures against datasketch, the oracle, and similarity against the exact Jaccard index."""

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.kernels.similarity import minhash
from transforms.kernels.text import text


def signed(values: list[str], ngram: int = 5, num_perm: int = 112) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, tokens = text.canonicalise(pa.array(values, pa.large_string()))
    offsets, shingles = minhash.shingles(*minhash.words(tokens), ngram)
    return offsets, shingles, minhash.sign(offsets, shingles, num_perm)


@settings(max_examples=50)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=30), min_size=1, max_size=4), st.integers(1, 6))
def test_equals_datasketch_bit_for_bit(documents: list[list[str]], ngram: int) -> None:
    offsets, shingles, signatures = signed([" ".join(words) for words in documents], ngram, 64)
    for d, words in enumerate(documents):
        own = shingles[offsets[d] : offsets[d + 1]]
        assert len(own) == max(0, len(words) - ngram + 1)
        oracle = MinHash(num_perm=64, seed=minhash.SEED, scheme=minhash.SCHEME, hashfunc=int)
        oracle.update_batch(own.tolist())
        assert (oracle.hashvalues == signatures[d]).all()


@given(
    st.lists(st.sampled_from("abc"), min_size=5, max_size=12), st.lists(st.sampled_from("abc"), min_size=5, max_size=12)
)
def test_shingles_are_equal_where_the_words_are(one: list[str], other: list[str]) -> None:
    offsets, shingles, _ = signed([" ".join(one), " ".join(other)], 3)
    mine, theirs = shingles[: offsets[1]].tolist(), shingles[offsets[1] :].tolist()
    for i, left in enumerate(mine):
        for j, right in enumerate(theirs):
            assert (left == right) == (one[i : i + 3] == other[j : j + 3])


def mixed(h: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ (h >> 33)) * factor % 2**64
    return h ^ (h >> 33)


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), min_size=1, max_size=4), st.integers(1, 16))
def test_a_shingle_is_a_polynomial_in_the_hashes_of_its_words(documents: list[list[int]], ngram: int) -> None:
    expected = []
    for words in documents:
        for start in range(len(words) - ngram + 1):
            h = ngram
            for word in words[start : start + ngram]:
                h = (h * int(minhash.POLYNOMIAL) + word) % 2**64
            expected.append(mixed(h) >> 32)
    word_offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
    flat = np.array([word for words in documents for word in words], np.uint64)
    offsets, found = minhash.shingles(word_offsets, flat, ngram)
    assert found.tolist() == expected
    assert offsets.tolist() == np.cumsum([0, *(max(0, len(words) - ngram + 1) for words in documents)]).tolist()


def test_punctuation_and_case_are_no_part_of_a_shingle() -> None:
    _, _, signatures = signed(["One two, three four five six.", "one TWO three; four - five six"])
    assert (signatures[0] == signatures[1]).all()


def test_a_short_document_has_no_signature() -> None:
    offsets, _, signatures = signed(["one two three four", ""])
    assert offsets.tolist() == [0, 0, 0]
    assert (signatures == 0xFFFFFFFF).all()


def test_similarity_estimates_the_exact_jaccard_index() -> None:
    """Over 200 pairs the mean error of an unbiased estimate is within 4 standard errors of zero."""
    errors, variance = [], 0.0
    for pair in range(200):
        shared = [f"s{pair}x{i}" for i in range(pair % 40 + 5)]
        one, other = ([*shared, *(f"{side}{pair}x{i}" for i in range(20))] for side in "ab")
        _, _, signatures = signed([" ".join(one), " ".join(other)], ngram=1, num_perm=128)
        exact = len(shared) / (len(shared) + 40)
        errors.append(minhash.similarity(signatures[:1], signatures[1:])[0] - exact)
        variance += exact * (1 - exact) / 128
    assert abs(np.mean(errors)) < 4 * np.sqrt(variance) / 200


def test_an_impossible_shingle_length_is_refused() -> None:
    with pytest.raises(ValueError, match="ngram must be between 1 and 16, got 0"):
        minhash.shingles(np.zeros(1, np.int64), np.zeros(0, np.uint64), 0)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_mixing_a_column_is_what_kernels_do_with_each_value(values: list[int]) -> None:
    def by_hand(h: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            h = (h ^ h >> 33) * factor % 2**64
        return h ^ h >> 33

    assert minhash.mixed(np.array(values, np.uint64)).tolist() == [by_hand(value) for value in values]
