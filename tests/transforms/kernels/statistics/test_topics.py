"""Topics: the nearest centre, as a matrix product finds it; and centres that tell words apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sets import hashed

from benchmarks.topic_fitting import fit_topics, shared_bits
from transforms.kernels.statistics import topics

documents = st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=20), max_size=8)


def packed(words: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, words)]).astype(np.int64), np.array([w for one in words for w in one], np.uint32)


@given(words=documents, seed=st.integers(0, 5))
def test_the_nearest_is_that_of_the_matrix_product(words: list[list[int]], seed: int) -> None:
    weights = (np.arange(topics.BUCKETS * 5).reshape(-1, 5) * (2654435761 + seed) % 255 - 127).astype(np.int8)
    expected = []
    for one in words:
        sums = weights[sorted({w % topics.BUCKETS for w in one})].astype(np.int64).sum(axis=0)
        expected.append(int(sums.argmax()) if len(one) and sums.max() > 0 else -1)
    assert topics.nearest(*packed(words), weights).tolist() == expected


@given(words=documents)
def test_buckets_are_the_different_ones_of_each_document(words: list[list[int]]) -> None:
    document, bucket = topics.buckets(*packed(words))
    expected = [(d, b) for d, one in enumerate(words) for b in sorted({w % topics.BUCKETS for w in one})]
    assert list(zip(document.tolist(), bucket.tolist(), strict=True)) == expected


def about(subject: int, number: int) -> list[int]:
    """A document with ten of the forty words of its subject, ten that all have, and three of its own."""
    own = [10 + subject * 40 + hashed(number, i) % 40 for i in range(10)]
    return [*range(10), *own, *(200 + number * 3 + i for i in range(3))]


def test_centres_find_subjects() -> None:
    subject = np.arange(400) % 4
    offsets, words = packed([about(int(s), n) for n, s in enumerate(subject)])
    key = np.array([hashed(n) for n in range(400)], np.uint64)
    weights = fit_topics(offsets, words, key, 16)
    found = topics.nearest(offsets, words, weights).astype(np.int64)
    assert shared_bits(found, subject) > 1.8, "of 2 bits"
    again = fit_topics(offsets, words, key, 16)
    assert (again == weights).all()


def test_documents_without_known_words_have_no_topic() -> None:
    offsets, words = packed([about(n % 4, n) for n in range(100)])
    weights = fit_topics(offsets, words, np.arange(100, dtype=np.uint64), 4)
    assert topics.nearest(*packed([[], [3000]]), weights).tolist() == [-1, -1]


def test_more_topics_than_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="5 topics need as many documents, got 2"):
        fit_topics(*packed([[1, 2], [3], []]), np.arange(3, dtype=np.uint64), 5)


def test_shared_bits_are_those_of_the_table() -> None:
    one = np.array([0, 0, 1, 1])
    assert shared_bits(one, one) == pytest.approx(1)
    assert shared_bits(one, np.array([0, 1, 0, 1])) == pytest.approx(0)
