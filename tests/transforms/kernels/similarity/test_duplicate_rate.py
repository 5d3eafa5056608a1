"""Near duplicates that are left: what a sample that keeps both of a pair says, against all pairs."""

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sets import hashed, planted, signed

from transforms.kernels.similarity import duplicate_rate
from transforms.kernels.similarity.duplicate_rate import Kin, KinByStage, Traces
from transforms.kernels.similarity.minhash import mixed

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


def flat(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, sets)]).astype(np.int64)
    return offsets, np.array([h for one in sets for h in sorted(one)], np.uint32)


def in_one_stage(some: Traces, names: np.ndarray, mark: np.ndarray) -> Kin:
    return duplicate_rate.gather(some, names, mark, np.zeros(len(names), np.int8), 1).of_stage(0)


def gathering(sets: list[set[int]]) -> Callable[[], Kin]:
    """What gathers the same documents, as often as it is called."""
    names = np.array([hashed(7, number) for number in range(len(sets))], np.uint64)
    columns, numbers = flat(sets), np.arange(len(sets), dtype=np.int32)
    return lambda: in_one_stage(duplicate_rate.traces(*columns), names, numbers)


def gathered(sets: list[set[int]]) -> Kin:
    return gathering(sets)()


def jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other)


@pytest.mark.parametrize("pairs", [0, 15, 150])
def test_a_sample_says_what_all_pairs_say(pairs: int) -> None:
    """Of 3,000 documents 512 groups are drawn, sixty times: limits hold, and the mean is right."""
    sets = planted(1, 3000, pairs)
    truth, gather, drawn = by_all_pairs(sets), gathering(sets), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicate_rate, "GROUPS", 512)
        for salt in range(60):
            patch.setattr(duplicate_rate, "_SALT", np.uint64(hashed(11, salt)))
            found = gather()
            drawn.append(duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST))
    assert all(512 <= rate.documents < 600 for rate in drawn), "few of the documents are drawn"
    assert all(rate.lower <= rate.value <= rate.upper for rate in drawn)
    assert np.mean([rate.lower <= truth for rate in drawn]) >= 0.95
    assert np.mean([truth <= rate.upper for rate in drawn]) >= 0.95
    assert np.mean([rate.value for rate in drawn]) == pytest.approx(truth, rel=0.1)


def test_what_signatures_are_wrong_about_is_counted() -> None:
    """A release in which every pair of 0.8 and more is there because its signatures said less: they would find none."""
    sets = planted(4, 4000, 2000)
    signatures = signed(sets)
    said = (signatures[0::2] == signatures[1::2]).mean(axis=1)
    true = np.array([jaccard(sets[2 * pair], sets[2 * pair + 1]) for pair in range(2000)])
    missed = np.flatnonzero(said < LEAST)
    left = [one for pair in missed.tolist() for one in sets[2 * pair : 2 * pair + 2]]
    truth = float((true[missed] >= LEAST).mean())
    assert truth == by_all_pairs(left)
    assert truth > 0.02, "or nothing is tested"
    found = gathered(left)
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST)
    assert rate.lower < truth < rate.upper
    assert rate.value == pytest.approx(truth, rel=0.35)


@pytest.mark.parametrize("n", [0, 1, 500, 513, 3000])
def test_a_trace_is_packed_and_unpacked_and_bounded(n: int) -> None:
    sets = [{hashed(n, i) for i in range(n)}, {1, 2}]
    one = duplicate_rate.traces(*flat(sets))
    (last,) = duplicate_rate.Packed.of(*duplicate_rate.packed(*flat(sets), np.array([1]))).take(np.array([1])).key
    assert last == one.key[1], "also where others have none"
    hashes = mixed(np.array(sorted(sets[0]), np.uint64) ^ duplicate_rate._OTHER) >> np.uint64(32)
    kept = {h for h in hashes.tolist() if h < 1 << 32 >> int(one.halved[0])}
    assert one.shingles[: one.size[0]].tolist() == sorted(kept)
    assert one.size[0] == n or duplicate_rate.MOST / 2 < one.size[0] * 1.2 < 1.4 * duplicate_rate.MOST
    assert one.take(np.array([1, 0])).size.tolist() == one.size[::-1].tolist()
    assert (one.key == duplicate_rate.keys(*flat(sets))).all()


def test_long_documents_are_compared_by_a_part_of_their_shingles() -> None:
    """Of 4,000 shingles, and of 2,500 that are among them."""
    long = {hashed(1, i) for i in range(4000)}
    pairs = [long, {*sorted(long)[:3600]}, long, {*sorted(long)[:2500]}]
    for one, other in (pairs[:2], pairs[2:]):
        found = gathered([{*one, 5}, {*other, 5}])
        same = in_one_stage(
            duplicate_rate.traces(*flat([one, other]))._replace(key=np.zeros(2, np.uint64)), found.member, found.mark
        )
        assert duplicate_rate.nearest(same) == pytest.approx(jaccard(one, other), abs=0.06)


def test_it_sees_both_of_a_pair_where_a_sample_of_documents_would_not() -> None:
    """One document in four is drawn, and each with its copy."""
    one = planted(1, 2000, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicate_rate, "GROUPS", 512)
        found = gathered([*one, *one])
    assert 1024 <= len(found.of) < 1034
    assert duplicate_rate.nearest(found).tolist() == [1.0] * len(found.of)


def test_boilerplate_is_no_duplicate_and_is_bounded() -> None:
    """Of 500 documents whose half is the same, many share a component: few of them are kept, and none is like another."""
    sets = planted(3, 900, 0, boilerplate=500)
    found = gathered(sets)
    assert found.documents.max() > duplicate_rate.MEMBERS, "or nothing is tested"
    assert np.bincount(np.searchsorted(found.group, found.of)).max() == duplicate_rate.MEMBERS
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST)
    assert (rate.value, rate.documents) == (0.0, 900)
    assert rate.crowded == found.documents[found.documents > duplicate_rate.MEMBERS].sum()


def test_copies_count_all_however_many_are_kept() -> None:
    sets = [*planted(5, 100, 0), *[planted(6, 1, 0)[0]] * 300]
    found = gathered(sets)
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), LEAST)
    assert rate.value == pytest.approx(300 / 400)
    assert rate.upper == 1.0, "a group is one draw, however large"


def test_some_documents_may_be_asked_about_among_all() -> None:
    """Each has its duplicate in the other source."""
    sets = planted(8, 600, 300)
    found = gathered(sets)
    similarity = duplicate_rate.nearest(found)
    first = duplicate_rate.rate(found, similarity, LEAST, found.mark % 2 == 0)
    both = duplicate_rate.rate(found, similarity, LEAST)
    assert first.documents == 300
    assert first.value == pytest.approx(both.value, rel=0.05)


def test_none_found_among_few_is_not_none() -> None:
    few, many = (
        duplicate_rate.rate(g, duplicate_rate.nearest(g), LEAST)
        for g in (gathered(planted(2, n, 0)) for n in (40, 2000))
    )
    assert (few.value, many.value) == (0.0, 0.0)
    assert few.upper > 0.1
    assert many.upper < 0.005
    nothing = duplicate_rate.merge([]).of_stage(0)
    assert np.isnan(duplicate_rate.rate(nothing, duplicate_rate.nearest(nothing), LEAST).value)


@given(
    values=st.lists(st.sets(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=30),
    least=st.floats(0.1, 1),
    asked=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_limits_are_about_the_rate(values: list[set[int]], least: float, asked: list[bool]) -> None:
    found = gathered(values)
    rate = duplicate_rate.rate(found, duplicate_rate.nearest(found), least, np.array(asked[: len(found.of)]))
    if rate.documents:
        assert 0 <= rate.lower <= rate.value + 1e-9 <= rate.upper + 2e-9 <= 1 + 1e-8
        assert rate.crowded == 0
    else:
        assert np.isnan([rate.value, rate.lower, rate.upper]).all()


@pytest.mark.parametrize(("groups", "members"), [(4096, 32), (2, 2)])
@given(
    values=st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=4), max_size=30),
    size=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_parts_and_order_change_nothing(
    groups: int, members: int, values: list[set[int]], size: int, seed: int
) -> None:
    def of(rows: list[tuple[int, set[int]]], stages: int = 3) -> KinByStage:
        names = np.array([hashed(1, number) for number, _ in rows], np.uint64)
        mark = np.array([number for number, _ in rows], np.int32)
        at = mark.astype(np.int8) % np.int8(stages)
        return duplicate_rate.gather(duplicate_rate.traces(*flat([row for _, row in rows])), names, mark, at, stages)

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
            for mine, theirs in zip(found[2:], whole[2:], strict=True):
                assert mine.tolist() == theirs.tolist()
            for stage in range(3):
                own = [row for row in rows if row[0] % 3 >= stage]
                alone = of(own, stages=1).of_stage(0)
                for mine, theirs in zip(found.of_stage(stage), alone, strict=True):
                    assert mine.tolist() == theirs.tolist()
                keys = duplicate_rate.keys(*flat([one for _, one in own])).tolist()
                assert alone.documents.sum() == sum(key in sorted(set(keys))[:groups] for key in keys)
