"""The cut: exact to one document, nested, and blind to order."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels import sampling

shares = st.fractions(0, 1, max_denominator=1000)


@given(st.integers(0, 10**15), shares)
def test_the_budget_is_the_largest_weight_that_keeps_the_share(other: int, share: Fraction) -> None:
    most = sampling.budget(other, share)
    if most is None:
        assert share == 1
        return
    assert most * (1 - share) <= share * other
    assert (most + 1) * (1 - share) > share * other


@given(st.integers(0, 10**15), shares)
def test_needed_is_the_other_side_of_the_budget(part: int, share: Fraction) -> None:
    least = sampling.needed(part, share)
    if least is None:
        assert share == 0
        assert part > 0
        return
    assert (most := sampling.budget(least, share)) is None or most >= part
    assert least == 0 or sampling.budget(least - 1, share) < part


def some_places(n: int, salt: str = "s") -> sampling.Place:
    numbers = np.arange(n, dtype=np.uint64)
    return sampling.places((numbers * np.uint64(0x9E3779B97F4A7C15), numbers), salt, "test")


def test_places_are_uniform_and_change_with_salt_and_purpose() -> None:
    u = some_places(20_000).u / 2.0**64
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * 20_000)
    other = some_places(20_000, "other").u / 2.0**64
    assert abs(np.corrcoef(u, other)[0, 1]) < 4 / np.sqrt(20_000)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200), st.integers(0, 5000), st.integers(0, 5000))
def test_a_prefix_in_order_fits_and_a_smaller_limit_keeps_a_subset(weights: list[int], one: int, other: int) -> None:
    place, weight = some_places(len(weights)), np.array(weights, np.int64)
    kept = [brute_force(place, weight, limit) for limit in sorted((one, other))]
    assert kept[0] <= kept[1]
    histogram = sampling.histogram(place, weight)
    for limit, expected in zip(sorted((one, other)), kept, strict=True):
        at, before = sampling.cut_bin(histogram, limit)
        assert before <= limit
        in_front = (place.u >> np.uint64(48)).astype(np.int64) < at
        assert set(np.flatnonzero(in_front)) <= expected


def brute_force(place: sampling.Place, weight: np.ndarray, limit: int) -> set[int]:
    total, kept = 0, set()
    for i in sampling.order(place):
        if total + weight[i] > limit:
            break
        total += weight[i]
        kept.add(int(i))
    return kept


def test_before_compares_the_whole_place() -> None:
    place = sampling.Place(*(np.array(part, np.uint64) for part in ([1, 1, 1, 2], [5, 5, 6, 0], [1, 2, 0, 0])))
    assert sampling.before(place, (1, 5, 2)).tolist() == [True, False, False, False]
    assert sampling.before(place, None).all()
