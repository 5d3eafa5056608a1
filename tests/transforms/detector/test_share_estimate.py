"""The estimated share and its bound: right where the references are right, wide where little is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.detector.calibration import Band, Calibration, Counts, Family
from transforms.detector.share_estimate import (
    PERCENTILES,
    Mixture,
    Reference,
    _drawn_together,
    _ranks,
    range_over_families,
)
from transforms.kernels.statistics import share


def band(**fields) -> Band:
    others = {
        "language": 0,
        "shortest": 50,
        "threshold": 1.5,
        "human_below": -0.5,
        "log_odds": (0.0,),
        "p_synthetic": (0.5,),
    }
    return Band(**{**others, **fields})


def normal(n: int, mean: float, sd: float = 1.5) -> np.ndarray:
    """n scores at the quantiles of a normal distribution, in bins."""
    from scipy.stats import norm

    return share.histogram(norm.ppf((np.arange(n) + 0.5) / n, mean, sd).astype(np.float32))


def calibrated(*bands, languages=()) -> Calibration:
    return Calibration("", 0.01, languages, bands, (), (), "made up")


def of(language: int, shortest: int, human: float, machines: dict[str, float], n: int = 4000):
    """A band whose human and machine scores are normal."""
    families = []
    threshold = human + 2.326 * 1.5
    for name, mean in machines.items():
        scores = normal(n, mean)
        flagged = int(scores[round((threshold + 20) * 5) :].sum())
        families.append(Family(name, flagged, n, scores))
    return band(
        language=language,
        shortest=shortest,
        threshold=threshold,
        human_below=human,
        human=Counts("human", n // 100, n),
        human_histogram=normal(n, human),
        families=tuple(families),
    )


SHORT, LONG = of(0, 50, -4, {"a": 0, "b": 2}), of(0, 200, -1, {"a": 4, "b": 5})
OTHER = of(1, 50, 2, {"a": 3}, n=1000)  # another language, in which the detector is weak


def corpus(parts: list[tuple[object, int, float]], machine: str = "a") -> np.ndarray:
    """Documents by band and bin: in each band so many, of which so large a share is a machine's."""
    rows = []
    for made, n, q in parts:
        theirs = next((f for f in made.families if f.name == machine), made.families[0]).histogram
        human, k = made.human_histogram, round(n * q)
        rows.append(np.rint(human * (n - k) / human.sum() + theirs * k / theirs.sum()))
    return np.array(rows).astype(np.int64)


@given(st.lists(st.integers(0, 50), min_size=share.BINS, max_size=share.BINS).filter(any))
@settings(max_examples=50)
def test_ranks_of_human_documents_are_spread_evenly(human):
    counts = np.array(human, float)
    ranks = _ranks(counts)
    np.testing.assert_allclose(ranks.sum(axis=1), 1)
    np.testing.assert_allclose(counts / counts.sum() @ ranks, np.diff(PERCENTILES), atol=1e-9)


@pytest.mark.parametrize("q", [0.0, 0.01, 0.05, 0.25, 0.5])
@pytest.mark.parametrize("mix", [(5000, 5000), (9000, 1000), (0, 5000)])
def test_the_estimate_does_not_depend_on_the_mix_of_lengths(q, mix):
    """Short human texts score -4 here and long ones -1: pooled, a corpus of long texts would look synthetic."""
    scores = corpus([(SHORT, mix[0], q), (LONG, mix[1], q)], "a")
    only_a = Mixture(calibrated(SHORT, LONG), "a")
    assert only_a.estimate(scores) == pytest.approx(q, abs=0.01)
    pooled = SHORT.human_histogram + LONG.human_histogram
    machine = SHORT.families[0].histogram + LONG.families[0].histogram
    if mix == (0, 5000) and not q:
        assert share.estimate_share(scores.sum(axis=0), pooled, machine) > 0.05  # what this is for


def test_every_generator_weighs_the_same_however_many_documents_there_are():
    few = of(0, 50, -4, {"a": 0, "b": 2})
    many = band(**{**vars(few), "families": (few.families[0], Family("b", 0, 40_000, 10 * few.families[1].histogram))})
    scores = corpus([(few, 5000, 0.2)], "a")
    assert Mixture(calibrated(few)).estimate(scores) == pytest.approx(
        Mixture(calibrated(many)).estimate(scores), abs=1e-3
    )


def test_the_range_is_over_what_one_generator_may_have_written_it_all():
    calibration = calibrated(SHORT, LONG)
    scores = corpus([(SHORT, 5000, 0.2), (LONG, 5000, 0.2)], "a")
    low, high = range_over_families(scores, calibration)
    assert low < Mixture(calibration).estimate(scores) < high
    assert high == pytest.approx(0.2, abs=0.01)  # it was "a", the harder one
    assert np.isnan(range_over_families(np.zeros_like(scores), calibration)).all()


def test_a_language_of_which_little_is_known_borrows_and_one_that_is_known_does_not():
    calibration = calibrated(SHORT, OTHER, languages=("xx", "yy"))
    apart = corpus([(SHORT, 5000, 0.1), (OTHER, 60, 0.1)])
    apart[1] = 0
    apart[1, 130:133] = 20  # all of the sixty score like machines
    fitted = Mixture(calibration).fit(apart)
    alone = Mixture(calibration).fit(np.where(np.array([[False], [True]]), apart, 0))
    assert alone[1] > 0.9
    assert np.isnan(alone[0])
    assert fitted[0] == pytest.approx(0.1, abs=0.03)
    assert fitted[1] < alone[1]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 1)), min_size=1, max_size=5),
)
def test_drawing_together_stays_between_the_shares_and_keeps_equal_ones(parts):
    q, variance = (np.array(column) for column in zip(*parts, strict=True))
    drawn = _drawn_together(q, variance)
    assert (drawn >= q.min() - 1e-9).all()
    assert (drawn <= q.max() + 1e-9).all()
    np.testing.assert_allclose(_drawn_together(np.full(3, 0.2), np.array([0.1, 0.2, np.inf])), 0.2)


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    """Corpora and references are drawn again and again from known distributions; a test may draw, the product hashes."""
    draw = np.random.default_rng(7)
    p, r, q, runs, held = normal(100_000, -4) / 1e5, normal(100_000, 0) / 1e5, 0.1, 60, 0
    for run in range(runs):
        human, machine = draw.multinomial(1500, p), draw.multinomial(800, r)
        made = band(human=Counts("human", 15, 1500), human_histogram=human, families=(Family("a", 9, 800, machine),))
        scores = draw.multinomial(1000, (1 - q) * p + q * r)[None]
        low, high = Mixture(calibrated(made)).interval(scores, 1000, key=run)
        held += low <= q <= high
    assert held >= 0.87 * runs  # fewer with a chance of about 1 in 1000 if it is 0.95


def test_the_interval_is_the_same_every_time_and_wider_for_fewer_documents():
    mixture, scores = Mixture(calibrated(SHORT, LONG)), corpus([(SHORT, 500, 0.2), (LONG, 500, 0.2)])
    low, high = mixture.interval(scores, 1000, key=3)
    assert (low, high) == mixture.interval(scores, 1000, key=3)
    narrow, wide = high - low, np.diff(mixture.interval(scores, 50, key=3))[0]
    assert wide > 1.5 * narrow


def test_the_posterior_sums_to_the_estimate():
    mixture, scores = Mixture(calibrated(SHORT, LONG)), corpus([(SHORT, 5000, 0.2), (LONG, 3000, 0.1)])
    chance = mixture.posterior(mixture.fit(scores), scores)
    assert ((chance >= 0) & (chance <= 1)).all()
    assert (scores * chance).sum() / scores.sum() == pytest.approx(mixture.estimate(scores), abs=0.01)


def test_the_bound_is_that_of_each_language_with_its_own_generators():
    reference = Reference.of(calibrated(SHORT, OTHER, languages=("xx", "yy")))
    flagged, scored = np.array([50, 10]), np.array([5000, 1000])
    bound = reference.bound(flagged, scored)
    for number in range(2):
        alone, residual = share.share_upper(
            int(flagged[number]), int(scored[number]), 0, 0, reference.families[number], alpha=0.025
        )
        assert bound.share[number] == alone
        assert bound.residual[number] == residual
    assert bound.of_mix(scored) == pytest.approx((5 * bound.share[0] + bound.share[1]) / 6)
    only = reference.bound(np.array([50, 0]), np.array([5000, 0]))
    assert only.share[0] < bound.share[0]  # no part of the doubt is spent on a language that is not there
    assert only.share[1] == 1
    assert Reference.of(None) is None
