"""Banding: the S-curve measured, candidate pairs against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.similarity import components, lsh, minhash

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=40)


def pairs_of(key: list[int], content: list[int]) -> set[tuple[int, int]]:
    left, right = lsh.candidate_pairs(np.array(key, np.uint64), np.array(content, np.uint64))
    return {tuple(sorted((content[i], content[j]))) for i, j in zip(left, right, strict=True)}


@given(rows)
def test_small_buckets_yield_every_pair(found: list[tuple[int, int]]) -> None:
    buckets = {key: {c for k, c in found if k == key} for key, _ in found}
    small = {key for key, contents in buckets.items() if len(contents) <= lsh.ALL_PAIRS_UP_TO}
    kept = [(k, c) for k, c in found if k in small]
    expected = {pair for key in small for pair in itertools.combinations(sorted(buckets[key]), 2)}
    assert pairs_of([k for k, _ in kept], [c for _, c in kept]) == expected


@given(rows, st.randoms(use_true_random=False))
def test_pairs_do_not_depend_on_the_order_of_rows(found: list[tuple[int, int]], random) -> None:
    mixed = list(found)
    random.shuffle(mixed)
    assert pairs_of([k for k, _ in found], [c for _, c in found]) == pairs_of(
        [k for k, _ in mixed], [c for _, c in mixed]
    )


def test_a_large_bucket_is_connected_with_linearly_many_pairs() -> None:
    content = np.arange(10_000, dtype=np.uint64) * np.uint64(7919)
    left, right = lsh.candidate_pairs(np.zeros(10_000, np.uint64), content)
    assert len(left) <= 2 * 10_000
    _, roots = components.forest(content[left], content[right])
    assert set(roots.tolist()) == {0}


def test_the_chance_of_a_candidate_is_the_s_curve() -> None:
    """2,000 pairs of signatures that agree in each row with probability s; binomial, 4 standard errors."""
    generator = np.random.default_rng(7)  # a test may draw; the product hashes
    for s in (0.5, 0.7, 0.8, 0.9):
        one = generator.integers(0, 2**32, (2000, 112), dtype=np.uint32)
        other = np.where(generator.random((2000, 112)) < s, one, one + np.uint32(1))
        found = (lsh.band_keys(one, 14, 8) == lsh.band_keys(other, 14, 8)).any(axis=1).mean()
        expected = lsh.s_curve(s, 14, 8)
        assert abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / 2000)


def test_the_curve_of_the_default_is_the_published_one() -> None:
    assert [round(lsh.s_curve(s, 14, 8), 3) for s in (0.5, 0.6, 0.7, 0.8, 0.9)] == [0.053, 0.211, 0.565, 0.924, 1.0]


def test_bands_must_fit_the_signature() -> None:
    with pytest.raises(ValueError, match="14 bands of 8 rows need 112 permutations, got 100"):
        lsh.band_keys(np.zeros((1, 100), np.uint32), 14, 8)


def test_equal_signatures_share_all_bands_and_bands_never_mix() -> None:
    keys = lsh.band_keys(np.zeros((2, 112), np.uint32), 14, 8)
    assert (keys[0] == keys[1]).all()
    assert len(set(keys[0].tolist())) == 14
    assert minhash.permutations(112)[0].dtype == np.uint32


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3).map(lambda top: top << 62), max_size=60))
def test_keys_may_be_shared_whose_slot_was_noted_twice(keys: list[int]) -> None:
    seen, column = lsh.no_keys(8), np.array(keys, np.uint64)
    lsh.note_keys(seen, column)
    slots = [key >> 56 for key in keys]
    assert lsh.maybe_shared(seen[1], column).tolist() == [slots.count(slot) > 1 for slot in slots]
