"""The share of synthetic documents: exact limits, the algebra of the bound, planted mixtures, and the edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.kernels.statistics import share


def scores(mean: float, n: int = 20_000) -> np.ndarray:
    """Evenly spaced quantiles of a normal distribution with standard deviation 1: a sample without chance."""
    from scipy.stats import norm

    return (norm.ppf((np.arange(n) + 0.5) / n) + mean).astype(np.float32)


def labels_needed(k: int, limit: float) -> int:
    return next(n for n in range(k + 1, 2000) if share.clopper_pearson_upper(k, n, 0.05) <= limit)


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
    lower, upper = share.clopper_pearson_lower(k, n, alpha), share.clopper_pearson_upper(k, n, alpha)
    assert 0 <= lower <= k / n <= upper <= 1
    assert math.isclose(lower, 1 - share.clopper_pearson_upper(n - k, n, alpha), abs_tol=1e-12)


def test_with_endless_data_the_bound_is_the_share_itself():
    n, q, tpr, fpr = 10**12, 0.2, 0.6, 0.01
    flagged = round(n * (q * tpr + (1 - q) * fpr))
    families = [(round(n * tpr), n), (round(n * tpr), n)]
    q_upper, residual = share.share_upper(flagged, n, round(n * fpr), n, families, conservative=False)
    assert q_upper == pytest.approx(q, abs=1e-5)
    assert residual == pytest.approx(q * (1 - tpr) / (1 - flagged / n), abs=1e-5)


def test_the_bound_is_the_formula_of_its_limits():
    k, n, f, human_n, families, level = 300, 10_000, 50, 5_000, [(900, 1000), (400, 1000)], 0.05 / 3
    c = share.clopper_pearson_upper(k, n, level)
    f_lower = share.clopper_pearson_lower(f, human_n, level)
    t = share.clopper_pearson_lower(400, 1000, level)
    q, r = share.share_upper(k, n, f, human_n, families, conservative=False)
    assert q == pytest.approx((c - f_lower) / (t - f_lower))
    assert r == pytest.approx(q * (1 - t) / (1 - k / n))


@given(st.integers(0, 400), st.integers(0, 99))
def test_conservative_takes_no_credit_for_false_alarms(k, f):
    careful = share.share_upper(k, 10_000, f, 5_000, [(600, 1000)])
    assert careful == share.share_upper(k, 10_000, 0, 0, [(600, 1000)])
    # Up to the level, which is shared by two limits instead of three.
    assert (
        careful[0] >= share.share_upper(k, 10_000, f, 5_000, [(600, 1000)], alpha=0.075, conservative=False)[0] - 1e-12
    )


@given(st.integers(0, 399), st.integers(400, 5000))
def test_more_flagged_raises_the_bound_and_more_documents_lower_it(k, n):
    families = [(600, 1000)]
    bound = share.share_upper(k, n, 0, 100, families)[0]
    assert share.share_upper(k + 1, n, 0, 100, families)[0] >= bound
    assert share.share_upper(k, n + 1, 0, 100, families)[0] <= bound


def test_the_hardest_family_decides():
    easy, hard = (950, 1000), (100, 1000)
    assert share.share_upper(50, 10_000, 0, 0, [easy, hard]) == share.share_upper(50, 10_000, 0, 0, [hard])


@pytest.mark.parametrize(
    ("k", "n", "families", "expected"),
    [
        (0, 0, [(600, 1000)], (1.0, 1.0)),  # nothing was scored
        (0, 500, [], (1.0, 1.0)),  # no generator to compare with
        (0, 500, [(0, 1000)], (1.0, 1.0)),  # a generator that is never flagged
        (500, 500, [(600, 1000)], (1.0, 1.0)),  # nothing is below the threshold
    ],
)
def test_where_nothing_is_known_the_bound_is_one(k, n, families, expected):
    assert share.share_upper(k, n, 0, 100, families) == expected


def test_a_detector_no_better_than_its_false_alarms_bounds_nothing():
    assert share.share_upper(5, 100, 500, 1000, [(500, 1000)], conservative=False)[0] == 1.0


def test_no_flag_in_many_documents_gives_a_small_bound():
    q_upper, residual = share.share_upper(0, 100_000, 0, 0, [(600, 1000)])
    assert 0 < residual < q_upper < 0.0001


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="7 flagged of 5 documents"):
        share.share_upper(7, 5, 0, 0, [])


@pytest.mark.parametrize("planted", [0.0, 0.01, 0.05, 0.25, 0.5, 1.0])
def test_a_planted_share_is_found(planted):
    human, machine = scores(-1.5), scores(1.5)
    n = 10_000
    target = np.concatenate([scores(-1.5, round(n * (1 - planted)) or 1), scores(1.5, round(n * planted) or 1)])
    q = share.estimate_share(*(share.histogram(s) for s in (target, human, machine)))
    assert q == pytest.approx(planted, abs=0.005)


@given(st.lists(st.integers(0, 50), min_size=200, max_size=200))
def test_the_share_is_the_maximum_of_the_likelihood(counts):
    target = np.array(counts)
    human, machine = share.histogram(scores(-1)), share.histogram(scores(1))
    q = share.estimate_share(target, human, machine)
    if not target.sum():
        assert math.isnan(q)
        return
    starts = share._merge(human / human.sum() + machine / machine.sum())
    t, p, m = (np.add.reduceat(x.astype(float), starts) for x in (target, human, machine))
    p, m = (p + 0.5) / (p + 0.5).sum(), (m + 0.5) / (m + 0.5).sum()

    def likelihood(x: float) -> float:
        return float((t * np.log((1 - x) * p + x * m)).sum())

    assert all(likelihood(q) >= likelihood(x) - 1e-6 for x in np.linspace(0, 1, 101))


def test_an_empty_reference_gives_no_estimate():
    some, none = share.histogram(scores(0)), np.zeros(share.BINS, np.int64)
    assert math.isnan(share.estimate_share(some, none, some))
    assert math.isnan(share.estimate_share(some, some, none))
    assert math.isnan(share.estimate_share(none, some, some))


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True)), st.integers(0, 20))
def test_histograms_of_parts_add_up_and_count_every_score_once(values, cut):
    values = np.array(values, np.float32)
    whole = share.histogram(values)
    np.testing.assert_array_equal(share.histogram(values[:cut]) + share.histogram(values[cut:]), whole)
    assert whole.sum() == (~np.isnan(values)).sum()


def test_bins_are_a_fifth_wide_and_the_outermost_take_what_is_outside():
    counts = share.histogram(np.array([-99, -20, -19.9, 0.1, 19.9, 20, 99, np.nan], np.float32))
    assert {int(b): int(counts[b]) for b in np.flatnonzero(counts)} == {0: 3, 100: 1, 199: 3}


@given(st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_many_corpora_at_once_are_estimated_as_one_by_one(seed, n):
    draw = np.random.default_rng(seed)  # a test may draw; the product hashes
    human, machine = draw.integers(1, 90, 25).astype(float), draw.integers(1, 90, 25).astype(float)
    target = draw.integers(0, 40, (n, 25)).astype(float)
    target[0] = 0
    same = np.tile(human, (n, 1)), np.tile(machine, (n, 1))
    shares, variances = share.estimate_many(target, *same)
    assert np.isnan(shares[0])
    for one, q, variance in zip(target[1:], shares[1:], variances[1:], strict=True):
        assert q == pytest.approx(share.estimate_share(one, human, machine), abs=1e-6)
        assert variance == pytest.approx(share.estimate_variance(q, one, human, machine), rel=1e-6)
