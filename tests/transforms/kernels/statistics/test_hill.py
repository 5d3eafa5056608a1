"""Hill numbers against their definitions, known limits, and documents that are really left out."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import entropy as scipy_entropy

from transforms.kernels.statistics import hill

counts = st.lists(st.integers(1, 400), min_size=1, max_size=30)


@given(counts)
def test_orders_by_their_definitions(values: list[int]) -> None:
    p = np.array(values) / sum(values)
    found = hill.profile(hill.spectrum(np.array(values)))
    assert found == pytest.approx([len(p), math.exp(scipy_entropy(p)), 1 / (p * p).sum(), 1 / p.max()])
    assert (np.diff(found) <= 1e-9 * found[:-1]).all(), "a profile falls with its order"


@given(st.integers(1, 300), st.integers(1, 1000))
def test_equal_types_count_as_many_as_they_are_whatever_the_order(types: int, each: int) -> None:
    assert hill.profile(hill.spectrum(np.full(types, each))) == pytest.approx([types] * 4)


def test_a_published_profile() -> None:
    """Hill (1973): order 1 is e to Shannon's entropy; here of p = (1/2, 1/4, 1/8, 1/8), whose entropy is 1.75 bits."""
    assert hill.profile(hill.spectrum(np.array([4, 2, 1, 1]))) == pytest.approx([4, 2**1.75, 64 / 22, 2])


@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=7), st.sampled_from([0.2, 0.5, 0.9]))
def test_a_budget_is_what_all_choices_of_documents_give_on_average(documents: list[set[int]], f: float) -> None:
    """Every subset of the documents, with its chance."""
    c = np.array([sum(t in d for d in documents) for t in range(6)])
    if not c.sum():
        return
    seen, log, square = np.zeros(6), np.zeros(6), np.zeros(6)
    for taken in itertools.product([0, 1], repeat=len(documents)):
        chance = math.prod(f if one else 1 - f for one in taken)
        x = np.array([sum(t in d for d, one in zip(documents, taken, strict=True) if one) for t in range(6)])
        seen += chance * (x > 0)
        log += chance * np.array([v * math.log(v) if v else 0 for v in x])
        square += chance * x * x
    one = hill.spectrum(c)
    thinned = hill._thinned(one.documents, f)
    for exact, own in zip((seen, log, square), thinned, strict=True):
        assert float(own @ one.types) == pytest.approx(exact.sum(), abs=1e-9)


@pytest.mark.parametrize("f", [0.001, 0.05, 0.3, 0.9, 0.999])
def test_the_thinning_of_large_counts_is_that_of_small_ones(f: float) -> None:
    c = np.array([257, 300, 1000, 30_000, 200_000])
    approximate = hill._thinned(c, f)[1]
    for value, own in zip(c.tolist(), approximate.tolist(), strict=True):
        x = np.arange(1, value + 1)
        exact = float(binom.pmf(x, value, f) @ (x * np.log(x)))
        assert own == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_a_budget_does_not_change_order_infinity_or_what_is_taken_whole() -> None:
    one = hill.spectrum(np.array([9, 5, 5, 1]))
    assert hill.profile(one, 0.3)[3] == hill.profile(one)[3]
    assert hill.profile(one, 1.0) == pytest.approx(hill.profile(one, 1 - 1e-12))


def test_more_text_of_the_same_kind_is_not_more_diverse_at_one_budget() -> None:
    expected = 200_000 / np.arange(1, 50_001)
    generator = np.random.default_rng(3)
    small, large = (hill.spectrum(generator.poisson(part * expected)) for part in (0.05, 1.0))
    assert hill.profile(large)[0] > 2 * hill.profile(small)[0]
    fraction = hill.occurrences(small) / hill.occurrences(large)
    assert hill.profile(large, fraction) == pytest.approx(hill.profile(small), rel=0.03)


def test_a_sample_of_types_says_what_all_say() -> None:
    generator = np.random.default_rng(0)
    documents = generator.geometric(0.05, 200_000)
    whole, part = hill.spectrum(documents), hill.spectrum(documents[::16], 16.0)
    for f in (1.0, 0.2):
        assert hill.profile(part, f)[:3] == pytest.approx(hill.profile(whole, f)[:3], rel=0.03)
    assert hill.coverage(part) == pytest.approx(hill.coverage(whole), rel=0.01)
    assert hill.occurrences(part) == pytest.approx(hill.occurrences(whole), rel=0.03)


def test_coverage_by_hand() -> None:
    assert hill.coverage(hill.spectrum(np.array([3, 1, 1, 5]))) == pytest.approx(1 - 2 / 10)


@pytest.mark.parametrize("slope", [0.8, 1.0, 1.3])
@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_the_slope_of_a_zipf_law_is_found(slope: float, rate: float) -> None:
    ranks = np.arange(1, 200_001)
    documents = np.random.default_rng(1).poisson(3e7 * ranks**-slope / (ranks**-slope).sum())
    sample = documents[np.random.default_rng(2).random(len(documents)) < 1 / rate]
    assert hill.zipf_slope(hill.spectrum(sample, rate)) == pytest.approx(slope, abs=0.05)


def test_nothing_is_not_a_number() -> None:
    nothing = hill.spectrum(np.zeros(3, np.int64))
    assert np.isnan(hill.profile(nothing)).all()
    assert math.isnan(hill.coverage(nothing))
    assert math.isnan(hill.zipf_slope(nothing))
    assert np.isnan(hill.profile(hill.spectrum(np.array([2])), 0.0)).all()
