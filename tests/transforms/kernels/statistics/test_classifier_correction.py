"""Corrected shares and their ratios: against brute force over the corners, and how often their limits are right."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transforms.kernels.statistics import classifier_correction
from transforms.kernels.statistics import structures as cores
from transforms.kernels.statistics.certify import Gold


def exact(k: int, n: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's limits by scipy, each at this level."""
    found = stats.binomtest(k, n).proportion_ci(1 - 2 * level, "exact")
    return float(found.low), float(found.high)


@st.composite
def found(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 3000))
    return draw(st.integers(0, n)), n


@st.composite
def samples(draw: st.DrawFn) -> Gold:
    positives, negatives = draw(st.integers(1, 600)), draw(st.integers(1, 600))
    caught, alarmed = draw(st.integers(0, positives)), draw(st.integers(0, negatives))
    if caught * negatives <= alarmed * positives:
        caught, alarmed = positives, min(alarmed, negatives - 1)
    return Gold(caught, positives, alarmed, negatives)


@given(found(), samples())
def test_a_share_lies_within_limits_that_the_worst_corner_gives(seen: tuple[int, int], errors: Gold) -> None:
    value, lower, upper = classifier_correction.share(seen, errors)
    third = classifier_correction.RISK / 3
    c, t, f = (
        exact(*seen, third),
        exact(errors.caught, errors.synthetic, third),
        exact(errors.alarmed, errors.human, third),
    )
    # Every q for which some c, t, f within their limits fit c = q t + (1 - q) f: by a fine grid of q.
    q = np.linspace(0, 1, 2001)
    possible = (q * t[0] + (1 - q) * f[0] <= c[1] + 1e-12) & (q * t[1] + (1 - q) * f[1] >= c[0] - 1e-12)
    assert 0 <= lower <= value <= upper <= 1
    if possible.any() and t[0] > f[0] and t[1] > f[1]:
        assert lower == pytest.approx(q[possible].min(), abs=1e-3)
        assert upper == pytest.approx(q[possible].max(), abs=1e-3)


@given(found(), found(), samples())
def test_a_ratio_lies_within_limits_that_the_corners_give(
    one: tuple[int, int], other: tuple[int, int], errors: Gold
) -> None:
    value, lower, upper = classifier_correction.ratio(one, other, errors)
    shares = [classifier_correction.share(seen, errors).value for seen in (one, other)]
    if not shares[1]:
        assert np.isnan(value)
        return
    assert value == pytest.approx(shares[0] / shares[1])
    quarter = classifier_correction.RISK / 4
    (low_1, high_1), (low_2, high_2), alarms = (
        exact(*seen, quarter) for seen in (one, other, (errors.alarmed, errors.human))
    )
    f = np.linspace(*alarms, 401)
    assert 0 <= lower <= value <= upper
    if high_2 > alarms[1]:
        assert lower == pytest.approx(min(value, (np.maximum(0, low_1 - f) / (high_2 - f)).min()), abs=1e-6)
    if low_2 > alarms[1]:
        assert upper == pytest.approx(max(value, (np.maximum(0, high_1 - f) / (low_2 - f)).max()), rel=1e-3)
    else:
        assert upper == float("inf")


def test_without_errors_it_is_what_was_counted() -> None:
    sure = Gold(10**6, 10**6, 0, 10**6)
    value, lower, upper = classifier_correction.share((300, 1000), sure)
    assert value == 0.3
    wide = exact(300, 1000, classifier_correction.RISK / 3)
    assert (lower, upper) == pytest.approx(wide, abs=1e-5)
    assert classifier_correction.ratio((300, 1000), (600, 1000), sure).value == 0.5
    assert np.isnan(classifier_correction.share((0, 0), sure).value)
    assert np.isnan(classifier_correction.ratio((1, 2), (0, 0), sure).value)


@settings(max_examples=40)
@given(samples(), st.integers(2, 300))
def test_more_found_is_more_there(errors: Gold, n: int) -> None:
    for one, more in itertools.pairwise(classifier_correction.share((k, n), errors) for k in range(n + 1)):
        assert all(a <= b + 1e-12 for a, b in zip(one, more, strict=True))


@pytest.mark.parametrize("core", [0.02, 0.3])
@pytest.mark.parametrize(("t", "f"), [(0.9, 0.02), (0.6, 0.1)])
def test_limits_are_right_as_often_as_they_say(core: float, t: float, f: float) -> None:
    """2,000 corpora and samples are drawn; counting what is found would be wrong nearly always where the structure is rare."""
    draw = np.random.default_rng(3)  # a test may draw; the product hashes
    rounds, n, left = 2000, 2000, 0.7
    seen = draw.binomial(n, core * t + (1 - core) * f, rounds)
    fewer = draw.binomial(n, left * core * t + (1 - left * core) * f, rounds)
    errors = [
        Gold(a, 400, b, 1000)
        for a, b in zip(draw.binomial(400, t, rounds), draw.binomial(1000, f, rounds), strict=True)
    ]
    shares = np.array([classifier_correction.share((k, n), gold) for k, gold in zip(seen, errors, strict=True)])
    ratios = np.array(
        [classifier_correction.ratio((a, n), (b, n), gold) for a, b, gold in zip(fewer, seen, errors, strict=True)]
    )
    for numbers, truth in ((shares, core), (ratios[~np.isnan(ratios[:, 0])], left)):
        assert (numbers[:, 1] <= truth).mean() >= 0.95
        assert (numbers[:, 2] >= truth).mean() >= 0.95
    assert abs(np.median(shares[:, 0]) - core) < 0.02
    naive = np.array([cores.wilson(k / n, n) for k in seen])
    if core < 0.1:
        assert (naive[:, 1] <= core).mean() < 0.1  # false alarms taken for a norm
