"""Document counts by population: brute force, merge laws, and bounded memory that depends on nothing but what was counted."""

import collections
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.statistics import vocabulary
from transforms.kernels.statistics.vocabulary import Vocabulary

NAMES = [("a", 0), ("a", 1), ("b", 0)]
Documents = list[tuple[int, set[int]]]
documents = st.lists(st.tuples(st.integers(-1, 2), st.sets(st.integers(0, 2**32 - 1) | st.integers(0, 9))), max_size=12)


def count(values: Documents, below: int = vocabulary.EVERYWHERE) -> Vocabulary:
    types = np.array([t for _, own in values for t in own], np.uint32)
    offsets = np.cumsum([0, *(len(own) for _, own in values)])
    return vocabulary.count(offsets, types, np.array([group for group, _ in values], np.int64), NAMES, below)


def plain(one: Vocabulary) -> tuple[dict, dict, int]:
    counts = {name: dict(zip(c.types.tolist(), c.documents.tolist(), strict=True)) for name, c in one.counts.items()}
    return counts, one.documents, one.below


@given(documents, st.sampled_from([1 << 32, 1 << 30, 1 << 3]))
def test_documents_are_counted_by_population(values: Documents, below: int) -> None:
    expected = {name: collections.Counter() for name in NAMES}
    for group, own in values:
        if group >= 0:
            expected[NAMES[group]].update(t for t in own if t < below)
    counts, n, bound = plain(count(values, below))
    there = {name: sum(1 for group, own in values if group >= 0 and NAMES[group] == name and own) for name in NAMES}
    assert n == {name: number for name, number in there.items() if number}
    assert counts == {name: dict(expected[name]) for name in n}
    assert bound == below


@pytest.mark.parametrize("most", [1 << 20, 3, 0])
@given(values=documents, size=st.integers(1, 12), seed=st.integers(0, 9))
def test_order_and_parts_change_nothing(most: int, values: Documents, size: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "MOST_COUNTS", most)
        whole = plain(vocabulary.merge([count(values), vocabulary.merge([])]))
        shuffled = random.Random(seed).sample(values, len(values))
        parts = [count(shuffled[at : at + size]) for at in range(0, len(values), size)]
        half = vocabulary.merge(parts[: len(parts) // 2])
        assert plain(vocabulary.merge([half, *parts[len(parts) // 2 :]])) == whole
        assert plain(vocabulary.merge([vocabulary.merge([]), *parts[::-1]])) == whole
        assert sum(len(counts) for counts in whole[0].values()) <= max(most, len(NAMES) * (whole[2] == 1))
        packed = vocabulary.compact(vocabulary.compact(parts), tightly=True)
        assert plain(vocabulary.merge([*packed, vocabulary.merge([])])) == whole


def test_a_cut_keeps_what_is_below() -> None:
    one = count([(0, {1, 5, 2**31}), (2, {5})])
    assert plain(vocabulary.cut(one, 4)) == ({("a", 0): {1: 1}, ("b", 0): {}}, {("a", 0): 1, ("b", 0): 1}, 4)
    assert vocabulary.cut(one, 1 << 33) is one
    assert vocabulary.size(one) == 4
