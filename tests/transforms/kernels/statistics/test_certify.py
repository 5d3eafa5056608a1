"""What labels certify: the published table, exact coverage, reviewers who err, reviewers who disagree."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from expectations.contracts import HUMAN, SYNTHETIC, UNKNOWN
from transforms.kernels.statistics import certify, two_strata
from transforms.kernels.statistics.certify import TwoStrata, Uniform
from transforms.kernels.statistics.share_bound import clopper_pearson_upper

# Labels that certify "at most L", with 0, 1, 2, ... synthetic ones among them.
TABLE = {
    0.01: [299, 473, 628, 773, 913, 1049],
    0.02: [149, 236, 313, 386, 456, 523],
    0.05: [59, 93, 124, 153, 181, 208],
    0.10: [29, 46, 61, 76, 89, 103],
    0.30: [9, 14, 19, 24, 28, 33],
}


@pytest.mark.parametrize("limit", TABLE)
def test_the_table_of_sample_sizes(limit):
    assert [certify.labels_needed(k, limit) for k in range(6)] == TABLE[limit]


@given(st.integers(0, 30), st.floats(0.01, 0.6), st.sampled_from([0.05, 0.025, 0.1]))
def test_one_label_fewer_is_not_enough(k, limit, alpha):
    n = certify.labels_needed(k, limit, alpha)
    assert certify.limits(k, n, alpha)[1] <= limit
    assert n == k + 1 or certify.limits(k, n - 1, alpha)[1] > limit


@pytest.mark.parametrize(
    ("limit", "true", "n", "k"),
    [
        (0.05, 0.01, 153, 3),
        (0.05, 0.02, 311, 9),
        (0.05, 0.025, 510, 17),
        (0.05, 0.03, 860, 32),
        (0.05, 0.04, 3750, 165),
        (0.10, 0.05, 239, 16),
        (0.30, 0.20, 164, 39),
        (0.01, 0.002, 780, 3),
    ],
)
def test_the_sizes_that_pass_nine_times_in_ten(limit, true, n, k):
    """The default audit is the second: 311 labels, of which 9 may be synthetic."""
    assert clopper_pearson_upper(k, n, 0.05) <= limit < clopper_pearson_upper(k + 1, n, 0.05)
    assert stats.binom.cdf(k, n, true) >= 0.9


def test_the_plan_of_two_looks():
    """Half the risk each: 110 labels pass with one found, else 338 with nine."""
    for n, k in ((110, 1), (338, 9)):
        assert certify.limits(k, n, 0.025)[1] <= 0.05 < certify.limits(k + 1, n, 0.025)[1]


@pytest.mark.parametrize("n", [1, 2, 9, 29, 59, 110, 311])
def test_the_limits_hold_as_often_as_they_say(n):
    """Every outcome weighed by its chance: no sampling, the exact coverage."""
    k = np.arange(n + 1)
    lower, upper = np.array([certify.limits(int(found), n, 0.05) for found in k]).T
    for share in np.linspace(0, 1, 201):
        chance = stats.binom.pmf(k, n, share)
        assert chance[upper < share - 1e-12].sum() <= 0.05 + 1e-9
        assert chance[lower > share + 1e-12].sum() <= 0.05 + 1e-9


@pytest.mark.parametrize(("n", "population"), [(20, 100), (59, 200), (91, 91), (30, 31), (1, 2), (50, 999)])
def test_the_limits_of_a_small_population_hold_as_often_as_they_say(n, population):
    k = np.arange(n + 1)
    lower, upper = np.array([certify.limits(int(found), n, 0.05, population) for found in k]).T
    for marked in range(population + 1):
        chance = stats.hypergeom.pmf(k, population, marked, n)
        assert chance[upper < marked / population - 1e-12].sum() <= 0.05 + 1e-9
        assert chance[lower > marked / population + 1e-12].sum() <= 0.05 + 1e-9


@given(st.integers(1, 60), st.data())
def test_a_small_population_is_searched_to_the_end(population, data):
    """Against every share there is, and scipy's own distribution."""
    n = data.draw(st.integers(math.ceil(certify.FINITE_FROM * population + 1e-9) or 1, population))
    if n <= certify.FINITE_FROM * population:
        return
    k = data.draw(st.integers(0, n))
    possible = [
        marked for marked in range(k, population - (n - k) + 1) if stats.hypergeom.cdf(k, population, marked, n) > 0.05
    ]
    assert certify.limits(k, n, 0.05, population)[1] == max(possible) / population


def test_whoever_looked_at_all_of_it_knows():
    assert certify.limits(7, 90, 0.05, 90) == (7 / 90, 7 / 90)


def test_a_large_population_is_endless():
    assert certify.limits(3, 100, 0.05, 2000) == certify.limits(3, 100, 0.05)
    assert certify.limits(3, 100, 0.05, 1999) != certify.limits(3, 100, 0.05)


@given(st.integers(0, 100), st.integers(1, 100), st.sampled_from([None, 150, 10_000]))
def test_more_found_raises_the_limits_and_they_mirror_each_other(k, n, population):
    k = min(k, n)
    lower, upper = certify.limits(k, n, 0.05, population)
    assert 0 <= lower <= k / n <= upper <= 1
    mirrored = certify.limits(n - k, n, 0.05, population)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((lower, upper), abs=1e-12)
    if k < n:
        assert certify.limits(k + 1, n, 0.05, population)[1] >= upper


@pytest.mark.parametrize(("k", "n", "population"), [(-1, 5, None), (6, 5, None), (1, 5, 4)])
def test_impossible_counts_are_refused(k, n, population):
    with pytest.raises(ValueError, match="draws"):
        certify.limits(k, n, 0.05, population)


def apparent_share(share, sensitivity, specificity):
    """What share reviewers call synthetic: L Se + (1 - L)(1 - Sp)."""
    return share * sensitivity + (1 - share) * (1 - specificity)


def test_reviewers_of_known_quality_need_the_published_sizes():
    """Sensitivity 0.90 and specificity 0.98: 5 % look like 6.4 %, so that 46, 119 and 223 labels do."""
    apparent = apparent_share(0.05, 0.90, 0.98)
    assert apparent == pytest.approx(0.064)
    assert [certify.labels_needed(k, apparent) for k in (0, 3, 8)] == [46, 119, 223]


def gold(caught, synthetic, alarmed, human):
    return (certify.Gold(caught, synthetic, alarmed, human),) * 2


def test_the_correction_is_the_apparent_limit_turned_around():
    """Passing at L is the same as the apparent limit being at most a(L), with the limits of Se and Sp."""
    known = gold(93, 100, 5, 200)
    level = 0.05 / 3
    sensitivity = 1 - clopper_pearson_upper(100 - 93, 100, level)
    specificity = clopper_pearson_upper(195, 200, level)
    for k in range(0, 40, 3):
        upper = certify.share_limits((k,), (k,), Uniform(311), 0.05, known)[1]
        apparent = clopper_pearson_upper(k, 311, level)
        assert apparent == pytest.approx(
            max(apparent_share(upper, sensitivity, specificity), apparent if upper == 0 else 0)
        )


@pytest.mark.parametrize(
    ("share", "sensitivity", "false_alarms"),
    [(0.0, 0.9, 0.02), (0.05, 0.9, 0.02), (0.2, 0.7, 0.1), (0.05, 1.0, 0.0), (0.5, 0.6, 0.3)],
)
def test_corrected_limits_hold_as_often_as_they_say(share, sensitivity, false_alarms):
    """All outcomes of 40 labels, 20 known synthetic and 25 known human items, weighed by their chance."""
    n, synthetic, human = 40, 20, 25
    apparent = apparent_share(share, sensitivity, 1 - false_alarms)
    chances = (
        stats.binom.pmf(np.arange(n + 1), n, apparent),
        stats.binom.pmf(np.arange(synthetic + 1), synthetic, sensitivity),
        stats.binom.pmf(np.arange(human + 1), human, false_alarms),
    )
    missed = np.zeros(2)
    for caught in np.flatnonzero(chances[1] > 1e-9):
        for alarmed in np.flatnonzero(chances[2] > 1e-9):
            known = gold(int(caught), synthetic, int(alarmed), human)
            for k in np.flatnonzero(chances[0] > 1e-9):
                low, high = certify.share_limits((int(k),), (int(k),), Uniform(n), 0.05, known)
                chance = chances[0][k] * chances[1][caught] * chances[2][alarmed]
                missed += chance * np.array([low > share + 1e-12, high < share - 1e-12])
    assert (missed <= 0.05 + 1e-6).all(), missed


def test_who_calls_everything_the_same_certifies_nothing():
    for known in (gold(50, 50, 100, 100), gold(0, 50, 0, 100), gold(10, 50, 60, 100)):
        assert certify.share_limits((0,), (0,), Uniform(1000), 0.05, known) == (0.0, 1.0)
    assert certify.share_point(0.3, gold(10, 50, 60, 100)[0]) is None


def test_the_point_is_rogans_and_gladens():
    assert certify.share_point(0.3, certify.Gold(90, 100, 10, 100)) == pytest.approx((0.3 - 0.1) / (0.9 - 0.1))
    assert certify.share_point(0.05, certify.Gold(90, 100, 10, 100)) == 0.0
    assert certify.share_point(0.3, None) == 0.3
    assert certify.share_point(Uniform(0).point((0,)), None) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=20))
def test_most_votes_win_and_a_tie_is_undetermined(rows):
    votes = np.array(rows, np.int64).reshape(-1, 3)
    for row, winner in zip(rows, certify.most_votes(votes).tolist(), strict=True):
        if not any(row):
            assert winner == certify.NO_VOTE
        elif sorted(row)[-1] == sorted(row)[-2]:
            assert winner == UNKNOWN
        else:
            assert row[winner] == max(row)


def test_gold_counts_undetermined_on_the_careful_side():
    known = np.array([SYNTHETIC, SYNTHETIC, SYNTHETIC, HUMAN, HUMAN, HUMAN, UNKNOWN, SYNTHETIC], np.int8)
    called = np.array([SYNTHETIC, UNKNOWN, HUMAN, HUMAN, UNKNOWN, SYNTHETIC, SYNTHETIC, certify.NO_VOTE], np.int8)
    assert certify.gold_counts(known, called) == ((1, 3, 1, 3), (2, 3, 2, 3))


def votes_of(table, values):
    """Rows are reviewers, columns items, None a missing answer."""
    counts = np.zeros((len(table[0]), len(values)), np.int64)
    for answers in table:
        for item, answer in enumerate(answers):
            if answer is not None:
                counts[item, values.index(answer)] += 1
    return counts


def test_krippendorffs_own_examples():
    """Krippendorff (2011): two observers, ten binary items; four observers, twelve items, answers missing."""
    two = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
    assert certify.agreement(votes_of(two, [0, 1])) == pytest.approx(0.095, abs=5e-4)
    _ = None
    four = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
    assert certify.agreement(votes_of(four, [1, 2, 3, 4, 5])) == pytest.approx(0.743, abs=5e-4)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=12))
def test_agreement_is_that_of_all_pairs(rows):
    """By its definition: pairs within an item that differ, each item weighed by 1 / (m - 1), against pairs of all votes."""
    items = [[value for value, times in enumerate(row) for _ in range(times)] for row in rows]
    items = [votes for votes in items if len(votes) > 1]
    everything = [vote for votes in items for vote in votes]
    n = len(everything)
    observed = sum(
        sum(a != b for i, a in enumerate(votes) for j, b in enumerate(votes) if i != j) / (len(votes) - 1)
        for votes in items
    )
    expected = sum(a != b for i, a in enumerate(everything) for j, b in enumerate(everything) if i != j)
    found = certify.agreement(np.array(rows, np.int64))
    if not expected:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(1 - (observed / n) / (expected / (n * (n - 1))))


@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_intervals_meet_or_are_apart(ends):
    one, other = sorted(ends[:2]), sorted(ends[2:])
    distance = certify.gap(tuple(one), tuple(other))
    assert (distance == 0) == (one[0] <= other[1] and other[0] <= one[1])
    assert distance == certify.gap(tuple(other), tuple(one))


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.05, 0.0), *(pytest.param(*case, marks=pytest.mark.slow) for case in [(0.0, 0.0), (0.05, 0.8), (0.2, 0.5)])],
)
def test_corrected_limits_of_two_strata_hold_too(share, told, monkeypatch):
    """A tenth of the population is the top, with `told` of what is synthetic beyond its part; reviewers err."""
    monkeypatch.setattr(two_strata, "limits", functools.cache(two_strata.limits))  # the same outcomes come again
    n, top, errors, rng = (9, 51), 0.1, (0.9, 0.05), np.random.default_rng(7)
    inside = min(share * (top + told * (1 - top)), top)
    parts = np.array([inside / top, (share - inside) / (1 - top)])
    right, drawn = np.zeros(2), TwoStrata(n, top)
    for _ in range(150):
        k = tuple(rng.binomial(n, parts * errors[0] + (1 - parts) * errors[1]).tolist())
        known = gold(int(rng.binomial(60, errors[0])), 60, int(rng.binomial(60, errors[1])), 60)
        low, high = certify.share_limits(k, k, drawn, 0.05, known)
        right += low <= share + 1e-9, high >= share - 1e-9
    assert (right >= 0.95 * 150).all()


def test_the_point_of_two_strata_is_weighed():
    assert TwoStrata((10, 90), 0.2).point((5, 9)) == pytest.approx(0.2 * 0.5 + 0.8 * 0.1)
    assert TwoStrata((0, 6), 0.2).point((0, 3)) == 0.5  # of the top nothing was drawn
