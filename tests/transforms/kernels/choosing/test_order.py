"""Orders of taking documents: what each promises, and what profiles along them keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.choosing import order
from transforms.kernels.similarity.minhash import mix64

RNG = np.random.default_rng(1)


def hashes(n: int, salt: int = 0) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array([mix64(np.uint64(salt * n + i + 1)) for i in range(n)], np.uint64)


def test_thinning_keeps_with_chance_one_minus_p_to_the_beta() -> None:
    """A prefix of the order is the documents with u < (1 - p)^beta, for one beta."""
    n = 20_000
    u, p = hashes(n), RNG.uniform(0.01, 0.99, n)
    key = order.thinned(p, u, np.zeros(n, bool))
    uniform = u / 2.0**64
    for beta in (0.1, 0.7, 3.0):
        kept = uniform < (1 - p) ** beta
        assert key[kept].max() <= key[~kept].min()
        expected = ((1 - p) ** beta).sum()
        spread = np.sqrt(((1 - p) ** beta * (1 - (1 - p) ** beta)).sum())
        assert abs(kept.sum() - expected) < 4 * spread


def test_what_is_never_thinned_comes_before_all_else() -> None:
    u = hashes(1000)
    never = RNG.random(1000) < 0.5
    key = order.thinned(RNG.uniform(0, 1, 1000), u, never)
    assert key[never].max() < key[~never].min()


def test_a_weighted_sample_takes_the_first_as_often_as_its_weight_says() -> None:
    """Of n documents, the one with the smallest key is i with chance w_i / sum w (Efraimidis and Spirakis 2006)."""
    weights = np.array([0.1, 0.4, 1.0])
    first = np.zeros(3)
    trials = 6000
    u = hashes(3 * trials).reshape(trials, 3)
    for row in u:
        first[np.argmin(order.sampled(weights, row))] += 1
    expected = weights / weights.sum()
    assert np.all(np.abs(first / trials - expected) < 4 * np.sqrt(expected * (1 - expected) / trials))


def test_a_weight_of_nothing_comes_last() -> None:
    key = order.sampled(np.array([0.0, 1e-300, 1.0]), hashes(3))
    assert key[2] < key[0]
    assert key[2] < key[1]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60))
def test_levels_are_strict(levels: list[int]) -> None:
    level = np.array(levels, np.int64)
    key = order.by_level(level, hashes(len(level)))
    assert np.array_equal(level[np.argsort(key)], np.sort(level))


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 255)), min_size=1, max_size=60))
def test_ranks_are_strict_and_levels_inside_them(entries: list[tuple[int, int]]) -> None:
    rank, level = (np.array(part, np.int64) for part in zip(*entries, strict=True))
    level[rank == 0] = 0
    level[rank == 2] = 0  # a rank without levels goes in hash order
    key = order.by_rank(rank, level, hashes(len(rank)))
    at = np.lexsort((hashes(len(rank)), level, rank))
    assert np.array_equal(rank[np.argsort(key, kind="stable")], rank[at])
    assert (key[rank == 0] < order.LATE).all()
    assert np.array_equal(level[np.argsort(key)][np.sort(rank) != 0], level[at][np.sort(rank) != 0])


rows = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40), st.integers(0, 40)), max_size=50)


def some_profile(entries: list[tuple[int, int, int]]) -> order.Profile:
    bins = np.array([e[0] for e in entries], np.uint32)
    sums = np.array([[w, min(c, w) * order.UNITS, 0, 1] for _, w, c in entries], np.int64).reshape(-1, 4)
    return order.profile(bins, sums, max((w for _, w, _ in entries), default=0))


@given(rows, st.integers(0, 50))
def test_profiles_of_parts_merge_into_that_of_the_whole(entries: list[tuple[int, int, int]], at: int) -> None:
    whole = some_profile(entries)
    for parts in ([entries[:at], entries[at:]], [entries[at:], entries[:at]], [[], entries]):
        merged = order.merge([some_profile(part) for part in parts])
        assert np.array_equal(merged.bins, whole.bins)
        assert np.array_equal(merged.sums, whole.sums)
        assert merged.largest == whole.largest
    assert (np.diff(whole.bins.astype(np.int64)) > 0).all()


@given(rows)
def test_segments_rise_and_lose_nothing(entries: list[tuple[int, int, int]]) -> None:
    along = some_profile(entries)
    pieces = order.segments(along)
    assert pieces[:, 0].sum() == along.sums[:, order.WEIGHT].sum()
    assert pieces[:, 1].sum() == pytest.approx(
        along.sums[:, order.COUNTED].sum() / order.UNITS if pieces[:, 0].sum() else 0
    )
    if pieces[:, 0].sum():
        slope = pieces[:, 1] / np.maximum(pieces[:, 0], 1e-12)
        assert (np.diff(slope[pieces[:, 0] > 0]) >= -1e-12).all()
