"""Near duplicates that are left: what a sample that keeps both of a pair says, against all pairs."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sets import NUM_PERM, hashed, planted, signed

from transforms.kernels.similarity import duplicate_rate
from transforms.kernels.similarity.duplicate_rate import Kin

LEAST = 0.8


def by_all_pairs(sets: list[set[int]], least: float = LEAST) -> float:
    """The share of documents with a near duplicate, from every pair that shares a shingle."""
    having: dict[int, list[int]] = {}
    for number, one in enumerate(sets):
        for shingle in one:
            having.setdefault(shingle, []).append(number)
    shared: dict[tuple[int, int], int] = {}
    for numbers in having.values():
        for pair in itertools.combinations(numbers, 2):
            shared[pair] = shared.get(pair, 0) + 1
    found = {
        d for pair, n in shared.items() if n / (len(sets[pair[0]]) + len(sets[pair[1]]) - n) >= least for d in pair
    }
    return len(found) / len(sets)


def gathered(signatures: np.ndarray, start: int = 0) -> Kin:
    n = len(signatures)
    names = np.array([hashed(7, number) for number in range(start, start + n)], np.uint64)
    return duplicate_rate.gather(signatures, names, np.arange(start, start + n, dtype=np.int32))


@pytest.mark.parametrize("pairs", [0, 15, 150])
def test_a_sample_says_what_all_pairs_say(pairs: int) -> None:
    """Of 3,000 documents 512 groups are drawn, by each component in turn: limits hold, and the mean is right."""
    sets = planted(1, 3000, pairs)
    signatures, truth = signed(sets), by_all_pairs(sets)
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicate_rate, "GROUPS", 512)
        for first in range(NUM_PERM):
            found = gathered(np.roll(signatures, -first, axis=1))
            drawn.append(duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST))
    assert all(512 <= rate.documents < 600 for rate in drawn), "few of the documents are drawn"
    assert all(rate.lower <= rate.value <= rate.upper for rate in drawn)
    assert np.mean([rate.lower <= truth for rate in drawn]) >= 0.95
    assert np.mean([truth <= rate.upper for rate in drawn]) >= 0.95
    # A few pairs near 0.8 are on its other side by their signatures, whatever is drawn.
    assert np.mean([rate.value for rate in drawn]) == pytest.approx(truth, rel=0.15)


def test_it_sees_both_of_a_pair_where_a_sample_of_documents_would_not() -> None:
    """One document in six is drawn: of 1,000 in pairs about 150 with the other, where one by one it were 28."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicate_rate, "GROUPS", 512)
        one = signed(planted(1, 2000, 0))
        found = gathered(np.repeat(one, 2, axis=0) if len(one) < 3000 else one)
    assert duplicate_rate.nearest(found).tolist() == [1.0] * len(found.of)


def test_boilerplate_is_no_duplicate_and_is_bounded() -> None:
    """Of 500 documents whose half is the same, many share a component: few of them are kept, and none is like another."""
    sets = planted(3, 900, 0, boilerplate=500)
    found = gathered(signed(sets))
    assert found.documents.max() > duplicate_rate.MEMBERS, "or nothing is tested"
    assert np.bincount(np.searchsorted(found.group, found.of)).max() == duplicate_rate.MEMBERS
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST)
    assert (rate.value, rate.documents) == (0.0, 900)
    assert rate.crowded == found.documents[found.documents > duplicate_rate.MEMBERS].sum()


def test_copies_count_all_however_many_are_kept() -> None:
    sets = [*planted(5, 100, 0), *[planted(6, 1, 0)[0]] * 300]
    found = gathered(signed(sets))
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST)
    assert rate.value == pytest.approx(300 / 400)
    assert rate.upper == 1.0, "a group is one draw, however large"


def test_some_documents_may_be_asked_about_among_all() -> None:
    """Each has its duplicate in the other source."""
    sets = planted(8, 600, 300)
    found = gathered(signed(sets))
    similarity = duplicate_rate.nearest(found)
    first = duplicate_rate.rate(found, similarity, LEAST, found.mark % 2 == 0)
    both = duplicate_rate.rate(found, similarity, LEAST)
    assert first.documents == 300
    assert first.value == pytest.approx(both.value, rel=0.05)


def test_none_found_among_few_is_not_none() -> None:
    few, many = (
        duplicate_rate.rate(g, duplicate_rate.nearest(g), LEAST)
        for g in (gathered(signed(planted(2, n, 0))) for n in (40, 2000))
    )
    assert (few.value, many.value) == (0.0, 0.0)
    assert few.upper > 0.1
    assert many.upper < 0.005
    nothing = duplicate_rate.merge([])
    assert np.isnan(duplicate_rate.rate(nothing, duplicate_rate.nearest(nothing), LEAST).value)


@given(
    values=st.lists(st.tuples(*[st.integers(0, 2)] * 6), min_size=1, max_size=30),
    least=st.floats(0.1, 1),
    asked=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_limits_are_about_the_rate(values: list[tuple[int, ...]], least: float, asked: list[bool]) -> None:
    found = gathered(np.array(values, np.uint32))
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), least, np.array(asked[: len(found.of)]))
    if rate.documents:
        assert 0 <= rate.lower <= rate.value + 1e-9 <= rate.upper + 2e-9 <= 1 + 1e-8
        assert rate.crowded == 0
    else:
        assert np.isnan([rate.value, rate.lower, rate.upper]).all()


components = st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=30)


@pytest.mark.parametrize(("groups", "members"), [(4096, 32), (2, 2)])
@given(values=components, size=st.integers(1, 12), seed=st.integers(0, 9))
def test_parts_and_order_change_nothing(
    groups: int, members: int, values: list[tuple[int, int, int]], size: int, seed: int
) -> None:
    def of(rows: list[tuple[int, tuple[int, int, int]]]) -> Kin:
        names = np.array([hashed(1, number) for number, _ in rows], np.uint64)
        signatures = np.array([row for _, row in rows], np.uint32).reshape(-1, 3)
        return duplicate_rate.gather(signatures, names, np.array([number for number, _ in rows], np.int32))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicate_rate, "GROUPS", groups)
        patch.setattr(duplicate_rate, "MEMBERS", members)
        rows = list(enumerate(values))
        shuffled = random.Random(seed).sample(rows, len(rows))
        parts = [of(shuffled[at : at + size]) for at in range(0, len(rows), size)]
        whole = duplicate_rate.merge([of(rows)])
        first = duplicate_rate.merge(parts[: len(parts) // 2])
        for found in (
            duplicate_rate.merge([first, *parts[len(parts) // 2 :], duplicate_rate.merge([])]),
            duplicate_rate.merge(parts[::-1]),
        ):
            for mine, theirs in zip(found, whole, strict=True):
                assert mine.tolist() == theirs.tolist()
        assert whole.documents.sum() == sum(first in _smallest(values, groups) for first, *_ in values)


def _smallest(values: list[tuple[int, int, int]], groups: int) -> list[int]:
    firsts = sorted(
        {v[0] for v in values},
        key=lambda v: int(duplicate_rate._hashes(np.array([v], np.uint32))[0]),
    )
    return firsts[:groups]
