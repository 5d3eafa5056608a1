"""Places by hash, and how much real text a share needs."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.statistics import sampling

shares = st.fractions(0, 1, max_denominator=1000)


def budget(other: int, share: Fraction) -> int | None:
    """The most synthetic weight beside `other` that keeps the share; None: any."""
    return None if share == 1 else math.floor(other * share / (1 - share))


@given(st.integers(0, 10**15), shares)
def test_needed_is_the_other_side_of_the_budget(part: int, share: Fraction) -> None:
    least = sampling.needed(part, share)
    if least is None:
        assert share == 0
        assert part > 0
        return
    assert (most := budget(least, share)) is None or most >= part
    assert least == 0 or budget(least - 1, share) < part


def some_places(n: int, salt: str = "s") -> sampling.Place:
    numbers = np.arange(n, dtype=np.uint64)
    return sampling.places((numbers * np.uint64(0x9E3779B97F4A7C15), numbers), salt, "test")


def test_places_are_uniform_and_change_with_salt_and_purpose() -> None:
    u = some_places(20_000).u / 2.0**64
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * 20_000)
    other = some_places(20_000, "other").u / 2.0**64
    assert abs(np.corrcoef(u, other)[0, 1]) < 4 / np.sqrt(20_000)
