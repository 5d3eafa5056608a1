"""Limits from labels of two strata: right whatever the shares of the strata are, and narrow where scores tell."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from transforms.kernels.statistics import two_strata
from transforms.kernels.statistics.share_bound import clopper_pearson_upper
from transforms.kernels.statistics.two_strata import Cut

SHARES = (0, 0.01, 0.05, 0.1, 0.25)
limits = functools.cache(two_strata.limits)


def coverage(n, top, p, q, alpha=0.05):
    """The exact chance that (lower, upper) limits hold the share: every outcome by its chance."""
    share, right = top * p + (1 - top) * q, np.zeros(2)
    for k in itertools.product(range(n[0] + 1), range(n[1] + 1)):
        chance = binom.pmf(k[0], n[0], p) * binom.pmf(k[1], n[1], q)
        if chance > 1e-7:
            low, high = limits(k, n, top, alpha)
            right += chance * np.array([low <= share + 1e-9, high >= share - 1e-9])
    return right


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("told", [0.0, 0.5, 0.9, -1.0])
def test_the_limits_hold_however_much_the_scores_tell(share, told):
    """`told` of what is marked is in the top beyond its part; 0: scores tell nothing; -1: all of it is in the rest."""
    n, top = (4, 26), 0.1
    inside = min(share * (top + told * (1 - top)), top) if told >= 0 else max(0.0, share - (1 - top))
    low, high = coverage(n, top, inside / top, (share - inside) / (1 - top))
    assert low >= 0.95 - 1e-6
    assert high >= 0.95 - 1e-6


@settings(max_examples=15, deadline=None)
@given(
    n=st.tuples(st.integers(0, 4), st.integers(1, 9)),
    top=st.floats(0.01, 0.6),
    p=st.floats(0, 1).map(lambda x: round(x, 6)),
    q=st.floats(0, 1).map(lambda x: round(x, 6)),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_the_limits_hold_for_any_design_and_any_shares(n, top, p, q, alpha):
    assert coverage(n, top, p, q, alpha).min() >= 1 - alpha - 1e-6


@settings(max_examples=25, deadline=None)
@given(n=st.tuples(st.integers(1, 9), st.integers(2, 40)), top=st.floats(0.02, 0.5), data=st.data())
def test_one_more_marked_draw_never_lowers_a_limit(n, top, data):
    k = (data.draw(st.integers(0, n[0] - 1)), data.draw(st.integers(0, n[1] - 1)))
    for more in ((k[0] + 1, k[1]), (k[0], k[1] + 1)):
        for one, other in zip(two_strata.limits(k, n, top, 0.05), two_strata.limits(more, n, top, 0.05), strict=True):
            assert one <= other + 2e-5


def test_nothing_found_costs_what_the_rest_alone_costs():
    """With no mark the worst case has none in the top: the limit of the rest, of which the top is no part."""
    upper = two_strata.limits((0, 0), (15, 85), 0.05, 0.05)[1]
    assert upper == pytest.approx(0.95 * clopper_pearson_upper(0, 85, 0.05), abs=1e-4)
    with pytest.raises(ValueError, match="draws"):
        two_strata.limits((3, 0), (2, 5), 0.1, 0.05)


def test_a_first_part_of_the_draws_has_its_part_of_the_top():
    for n in (1, 6, 7, 20, 59, 311):
        top = two_strata.of_top(311)[:n]
        assert (int(top.sum()), int((~top).sum())) == two_strata.draws_of(n)
    assert two_strata.draws_of(200) == (30, 170)


def test_labels_are_saved_where_scores_tell_and_hardly_lost_where_they_do_not():
    """At 2 % with a limit of 5 % a uniform draw takes 311 labels."""
    good = Cut(0, 0.04, (0.4, 0.004 / 0.96))
    assert two_strata.labels_needed(good, 0.05, 0.05, 0.9, 400) <= 210
    useless = Cut(0, 0.04, (0.02, 0.02))
    needed = two_strata.labels_needed(useless, 0.05, 0.05, 0.9, 600)
    assert 311 <= needed <= 400
    assert two_strata.labels_needed(useless, 0.05, 0.05, 0.9, 200) is None


@pytest.mark.parametrize("likely", [0.3, 0.9])
def test_labels_needed_are_the_first_that_pass_often_enough(likely):
    laid, limit = Cut(0, 0.1, (0.2, 0.01)), 0.08
    n = int(0.8 * np.log(0.05) / np.log1p(-limit))
    while two_strata.passes(laid, n, limit, 0.05) < likely:
        n += 1 + n // 50
    assert two_strata.labels_needed(laid, limit, 0.05, likely, 400) == n
    assert two_strata.labels_needed(laid, limit, 0.05, likely, n - 1) is None


def test_the_cut_is_where_marked_ones_gather():
    human, machine = np.array([50.0, 40, 9, 1, 0]), np.array([0.0, 1, 1, 2, 6])
    odds = machine / np.maximum(human, 0.1)
    weight = human + machine
    found = two_strata.cut(weight, odds, 0.0, 10 / 110)
    assert found.at in (3, 4)
    assert found.top == pytest.approx(weight[found.at :].sum() / 110)
    assert found.shares[0] > 0.8 > 0.1 > found.shares[1]
    assert found.top * found.shares[0] + (1 - found.top) * found.shares[1] == pytest.approx(10 / 110, abs=1e-6)
    assert two_strata.cut(np.zeros(5), odds, 7.0, 0.1) is None  # nothing has a score
