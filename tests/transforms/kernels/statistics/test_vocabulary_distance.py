"""A corpus against a reference: no loss where nothing was lost, what was lost is found, and limits mean what they say."""

import numpy as np
import pytest

from transforms.kernels.statistics import hill, vocabulary_distance
from transforms.kernels.statistics.vocabulary_distance import Side

TYPES, FOLDS = 4000, 16


def corpus(seed: int, documents: int = 600, kept: int = TYPES) -> np.ndarray:
    """Counts by fold of documents of 60 words by Zipf's law; ranks beyond `kept` become frequent ones."""
    generator = np.random.default_rng(seed)
    p = 1 / np.arange(1, TYPES + 1)
    counts = np.zeros((TYPES, FOLDS), np.int64)
    for number in range(documents):
        ranks = generator.choice(TYPES, 60, p=p / p.sum())
        counts[np.unique(np.where(ranks < kept, ranks, ranks % 40)), number % FOLDS] += 1
    return counts


REFERENCE = corpus(0)


def ratios(one: np.ndarray, other: np.ndarray = REFERENCE) -> np.ndarray:
    return vocabulary_distance.hill_ratios(one, other, 1.0)


def test_hill_ratios_by_their_definition() -> None:
    one, budget = corpus(1, 300), 0.9 * corpus(1, 300).sum()
    mine = hill.profile(hill.spectrum(one.sum(axis=1)), 0.9)
    theirs = hill.profile(hill.spectrum(REFERENCE.sum(axis=1)), budget / REFERENCE.sum())
    assert ratios(one) == pytest.approx((mine / theirs)[:3])


def test_the_same_is_the_same() -> None:
    assert ratios(REFERENCE) == pytest.approx([1, 1, 1])
    mass, covered, types = vocabulary_distance.tail(REFERENCE, REFERENCE, 1.0)
    assert types > 200
    assert (mass, covered) == (1, 1)
    assert abs(vocabulary_distance.distance(REFERENCE, REFERENCE)) < 0.02


@pytest.mark.parametrize("documents", [200, 600, 1500])
def test_neither_size_nor_chance_is_taken_for_a_loss(documents: int) -> None:
    one = corpus(7, documents)
    assert ratios(one) == pytest.approx([1, 1, 1], abs=0.06)
    mass, types, _ = vocabulary_distance.tail(one, REFERENCE, 1.0)
    assert (mass, types) == pytest.approx((1, 1), abs=0.08)
    raw = vocabulary_distance.divergence(one.sum(axis=1).astype(float), REFERENCE.sum(axis=1).astype(float))
    assert abs(vocabulary_distance.distance(one, REFERENCE)) < 0.004 < raw


def test_a_lost_tail_is_found() -> None:
    one = corpus(8, kept=300)
    mass, types, _ = vocabulary_distance.tail(one, REFERENCE, 1.0)
    assert mass < 0.9
    assert types < 0.8
    assert (ratios(one) < [0.5, 0.8, 1.0]).all()
    assert vocabulary_distance.distance(one, REFERENCE) > 0.05


@pytest.mark.slow
def test_limits_cover_what_they_promise() -> None:
    """Of 60 pairs of the same kind, the one-sided 95 % limits miss 1 on few occasions: at most 8 has a chance of 99.9 %."""
    under = over = 0
    for seed in range(100, 160):
        one, other = corpus(seed, 160), corpus(1000 + seed, 160)
        found = vocabulary_distance.jackknifed(lambda x, y: vocabulary_distance.hill_ratios(x, y, 1.0), one, other)[1]
        under += found.upper < 1
        over += found.lower > 1
    assert max(under, over) <= 8


def test_sides_are_brought_to_the_same_types() -> None:
    one = Side(np.array([1, 5], np.uint32), np.array([[1, 2], [3, 4]]), 1.0)
    other = Side(np.array([5, 9], np.uint32), np.array([[6, 7], [8, 9]]), 1.0)
    a, b = vocabulary_distance.aligned(one, other)
    assert a.types.tolist() == b.types.tolist() == [1, 5, 9]
    assert a.counts.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert b.counts.tolist() == [[0, 0], [6, 7], [8, 9]]


def test_nothing_has_no_number() -> None:
    nothing = np.zeros((3, FOLDS), np.int64)
    for one, other in ((nothing, nothing), (nothing, REFERENCE[:3]), (REFERENCE[:3], nothing)):
        assert np.isnan(ratios(one, other)).all()
        assert np.isnan(vocabulary_distance.tail(one, other, 1.0)[:2]).all()
        assert np.isnan(vocabulary_distance.distance(one, other))
        found = vocabulary_distance.jackknifed(lambda x, y: vocabulary_distance.hill_ratios(x, y, 1.0), one, other)
        assert all(np.isnan(number).all() for number in found)
