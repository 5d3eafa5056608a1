"""The share of synthetic documents: exact limits of a fraction, planted mixtures, the likelihood's profile, the edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.kernels.statistics import climbing, share_bound


def scores(mean: float, n: int = 20_000) -> np.ndarray:
    """Evenly spaced quantiles of a normal distribution with standard deviation 1: a sample without chance."""
    from scipy.stats import norm

    return (norm.ppf((np.arange(n) + 0.5) / n) + mean).astype(np.float32)


def labels_needed(k: int, limit: float) -> int:
    return next(n for n in range(k + 1, 2000) if share_bound.clopper_pearson_upper(k, n, 0.05) <= limit)


@pytest.mark.parametrize(
    ("limit", "needed"),
    [
        (0.01, [299, 473, 628, 773, 913, 1049]),
        (0.05, [59, 93, 124, 153, 181, 208]),
        (0.10, [29, 46, 61, 76, 89, 103]),
    ],
)
def test_clopper_pearson_gives_the_published_sample_sizes(limit, needed):
    assert [labels_needed(k, limit) for k in range(6)] == needed


@given(st.integers(0, 200), st.integers(1, 200), st.sampled_from([0.001, 0.05, 0.3]))
def test_the_limits_mirror_each_other_and_hold_the_fraction(k, n, alpha):
    k = min(k, n)
    lower, upper = share_bound.clopper_pearson_lower(k, n, alpha), share_bound.clopper_pearson_upper(k, n, alpha)
    assert 0 <= lower <= k / n <= upper <= 1
    assert math.isclose(lower, 1 - share_bound.clopper_pearson_upper(n - k, n, alpha), abs_tol=1e-12)


def chances(mean: float) -> np.ndarray:
    """The chance of each of ten cells for scores around a mean."""
    counts = np.add.reduceat(share_bound.histogram(scores(mean)).astype(float), np.r_[0, 85:121:4]) + 1
    return counts / counts.sum()


HUMAN = np.stack([chances(-1.5), chances(-0.5)])
MACHINE = np.stack([chances(1.5), chances(3.0)])


def test_what_was_fitted_before_is_not_fitted_again(monkeypatch):
    target = 10_000 * HUMAN[0] + 321 * MACHINE[1]
    first = share_bound.limits(target, HUMAN, MACHINE, share_bound.fit(target, HUMAN, MACHINE), 0.05)
    monkeypatch.delattr(climbing, "climb")
    again = share_bound.limits(target.copy(), HUMAN, MACHINE, share_bound.fit(target, HUMAN, MACHINE), 0.05)
    assert again[0].q == first[0].q
    with pytest.raises(ImportError):
        share_bound.fit(target + 1, HUMAN, MACHINE)


@pytest.mark.parametrize("planted", [0.0, 0.01, 0.05, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("v", [0.0, 0.4])
def test_a_planted_share_is_found_in_whatever_proportions(planted, v):
    human, machine = np.array([1 - v, v]) @ HUMAN, np.array([0.3, 0.7]) @ MACHINE
    found = share_bound.fit(10_000 * ((1 - planted) * human + planted * machine), HUMAN, MACHINE)
    assert found.q == pytest.approx(planted, abs=0.006)
    assert found.human.sum() == pytest.approx(1)
    assert found.machine.sum() == pytest.approx(1)


@given(st.lists(st.integers(0, 50), min_size=10, max_size=10).filter(any))
@settings(max_examples=30, deadline=None)
def test_no_other_weights_explain_the_corpus_better(counts):
    from scipy.optimize import minimize

    target, parts = np.array(counts, float), np.concatenate([HUMAN, MACHINE])

    def loss(x: np.ndarray) -> float:
        weight = np.exp(x - x.max())
        return -float(target @ np.log(weight / weight.sum() @ parts))

    other = min((minimize(loss, start) for start in np.eye(4) * 4), key=lambda found: found.fun)
    assert share_bound.fit(target, HUMAN, MACHINE).log_likelihood >= -other.fun - 0.05


@given(st.lists(st.integers(0, 50), min_size=10, max_size=10).filter(any), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_share_that_is_held_explains_it_no_better(counts, q):
    target = np.array(counts, float)
    best = share_bound.fit(target, HUMAN, MACHINE)
    held = share_bound.fit(target, HUMAN, MACHINE, q)
    assert held.q == q
    assert held.log_likelihood <= best.log_likelihood + 0.05


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0.01, 0.99))
@settings(max_examples=30, deadline=None)
def test_lengths_have_shares_of_their_own_and_together_the_one_that_is_held(shares, q):
    each = [n * ((1 - s) * HUMAN[0] + s * MACHINE[1]) for n, s in zip((4000, 1000, 500), shares, strict=True)]
    target, length = np.concatenate(each), np.repeat(np.arange(3), 10)
    parts = [np.tile(side, 3) for side in (HUMAN, MACHINE)]
    best = share_bound.fit(target, *parts, length=length)
    np.testing.assert_allclose(best.shares, shares, atol=0.03)
    assert best.q == pytest.approx(np.average(shares, weights=(4000, 1000, 500)), abs=0.01)
    held = share_bound.fit(target, *parts, q, best)
    assert held.shares @ [4000, 1000, 500] == pytest.approx(5500 * q, rel=1e-3)
    assert held.log_likelihood <= best.log_likelihood + 0.05


def test_limits_hold_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(5)  # a test may draw; the product hashes
    human, machine, q = np.array([0.5, 0.5]) @ HUMAN, np.array([0.5, 0.5]) @ MACHINE, 0.1
    above = below = 0
    for _ in range(100):
        target = draw.multinomial(800, (1 - q) * human + q * machine).astype(float)
        best = share_bound.fit(target, HUMAN, MACHINE)
        low, high = share_bound.limits(target, HUMAN, MACHINE, best, 0.05, (-1, 1))
        assert low.q <= best.q + 1e-3
        assert best.q <= high.q + 1e-3
        above += high.q >= q
        below += low.q <= q
    assert min(above, below) >= 90


def test_more_documents_give_closer_limits_and_nothing_to_tell_gives_none():
    few, many = (n * (0.9 * HUMAN[0] + 0.1 * MACHINE[0]) for n in (300, 30_000))
    upper = [share_bound.limits(t, HUMAN, MACHINE, share_bound.fit(t, HUMAN, MACHINE), 0.05)[0].q for t in (few, many)]
    assert 0.1 <= upper[1] < upper[0] < 0.3
    same = 1000 * HUMAN[0]
    assert share_bound.limits(same, HUMAN, HUMAN, share_bound.fit(same, HUMAN, HUMAN), 0.05)[0].q == 1


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True)), st.integers(0, 20))
def test_histograms_of_parts_add_up_and_count_every_score_once(values, cut):
    values = np.array(values, np.float32)
    whole = share_bound.histogram(values)
    np.testing.assert_array_equal(share_bound.histogram(values[:cut]) + share_bound.histogram(values[cut:]), whole)
    assert whole.sum() == (~np.isnan(values)).sum()


def test_bins_are_a_fifth_wide_and_the_outermost_take_what_is_outside():
    counts = share_bound.histogram(np.array([-99, -20, -19.9, 0.1, 19.9, 20, 99, np.nan], np.float32))
    assert {int(b): int(counts[b]) for b in np.flatnonzero(counts)} == {0: 3, 100: 1, 199: 3}
