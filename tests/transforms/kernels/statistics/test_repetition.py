"""MATTR, self-repetition and shared phrases against their definitions, in plain Python."""

import collections
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import repetition

documents = st.lists(st.lists(st.integers(0, 5), max_size=30), max_size=8)


def columns(values: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, values)]), np.array([w for d in values for w in d], np.uint32)


@given(documents, st.integers(1, 12))
def test_mattr_is_the_mean_over_all_windows(values: list[list[int]], window: int) -> None:
    found = repetition.mattr(*columns(values), window)
    for own, number in zip(values, found.tolist(), strict=True):
        ratios = [len(set(own[at : at + window])) / window for at in range(len(own) - window + 1)]
        assert number == pytest.approx(np.mean(ratios)) if ratios else math.isnan(number)


@given(documents, st.data())
def test_self_repetition_by_its_definition(values: list[list[int]], data: st.DataObject) -> None:
    rows = [row for row in range(len(values)) if data.draw(st.booleans())]
    grams = [{tuple(values[row][at : at + 4]) for at in range(len(values[row]) - 3)} for row in rows]
    count = collections.Counter(g for own in grams for g in own)
    expected = np.mean([math.log(1 + sum(count[g] - 1 for g in own)) for own in grams]) if rows else math.nan
    found = repetition.self_repetition(repetition.repeated(*columns(values)), np.array(rows, np.int64))
    assert found == pytest.approx(expected, nan_ok=True)


@given(documents, st.data())
def test_phrases_by_their_definition(values: list[list[int]], data: st.DataObject) -> None:
    rows = [row for row in range(len(values)) if data.draw(st.booleans())]
    grams = [{tuple(values[row][at : at + 6]) for at in range(len(values[row]) - 5)} for row in rows]
    count = collections.Counter(g for own in grams for g in own)
    expected = np.mean([any(count[g] >= 5 for g in own) for own in grams]) if rows else math.nan
    found = repetition.template_rate(repetition.templates(*columns(values)), np.array(rows, np.int64))
    assert found == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.lists(st.integers(0, 2**64 - 1), max_size=6), st.booleans()), max_size=5))
def test_first_words_are_those_of_the_chosen(documents: list[tuple[list[int], bool]]) -> None:
    words = np.array([word for own, _ in documents for word in own], np.uint64)
    ends = np.cumsum([0, *(len(own) for own, _ in documents)])
    offsets, found = repetition.first_words(ends, words, np.array([chosen for _, chosen in documents], bool))
    kept = [own if chosen else [] for own, chosen in documents]
    assert np.diff(offsets).tolist() == [len(own) for own in kept]
    mixed = minhash.mixed(np.array([word for own in kept for word in own], np.uint64))
    assert found.tolist() == [value >> 32 for value in mixed.tolist()]
