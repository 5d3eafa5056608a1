"""Who is drawn: the same whatever the batches, each with the chance that is claimed."""

import hashlib
import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transforms.kernels.statistics import draws, sampling


def ids(n, salt="documents"):
    digests = b"".join(hashlib.blake2b(f"{salt} {i}".encode(), digest_size=16).digest() for i in range(n))
    pair = np.frombuffer(digests, ">u8").astype(np.uint64)
    return pair[0::2], pair[1::2]


def raced(halves, weight, n_draws, cuts, salt="s"):
    best, seeds = draws.no_best(n_draws), draws.seeds(n_draws, salt)
    bounds = [0, *sorted(cuts), len(weight)]
    for start, end in itertools.pairwise(bounds):
        part = slice(start, end)
        draws.race(best, (halves[0][part], halves[1][part]), weight[part], np.arange(start, end), seeds)
    return best.at


@given(st.lists(st.integers(0, 60), max_size=4), st.permutations(range(60)))
def test_a_draw_by_tokens_does_not_depend_on_order_or_batches(cuts, order):
    halves, weight, order = ids(60), np.arange(60, dtype=float), np.array(order)
    whole = raced(halves, weight, 12, [])
    mixed = raced((halves[0][order], halves[1][order]), weight[order], 12, cuts)
    assert order[mixed].tolist() == whole.tolist()


def test_a_draw_by_tokens_has_the_chances_that_it_claims():
    """20,000 draws from seven documents against weight / total (chi-squared), and neighbouring draws are independent."""
    weight = np.array([1.0, 2, 4, 8, 16, 32, 0])
    at = raced(ids(7), weight, 20_000, [])
    counts = np.bincount(at, minlength=7)
    assert counts[6] == 0
    assert stats.chisquare(counts[:6], 20_000 * weight[:6] / weight.sum()).pvalue > 0.001
    pairs = np.zeros((6, 6))
    np.add.at(pairs, (at[:-1:2], at[1::2]), 1)
    assert stats.chi2_contingency(pairs[1:, 1:]).pvalue > 0.001


def test_nobody_is_drawn_from_nothing():
    assert (raced(ids(3), np.zeros(3), 5, []) == -1).all()


@given(st.integers(1, 40), st.integers(0, 200))
def test_the_smallest_are_those_of_a_sort(n, size):
    place = sampling.places(ids(size), "s", "audit")
    found = draws.smallest(place, n)
    assert found.tolist() == np.lexsort((place.low, place.high, place.u))[:n].tolist()


def test_audit_and_selection_are_not_correlated():
    """Whoever was kept by the cut is drawn as likely as anybody: the purposes are hashed apart."""
    halves = ids(20_000)
    cut = sampling.places(halves, "same salt", "balance").u
    audit = sampling.places(halves, "same salt", "audit").u
    assert abs(stats.spearmanr(cut, audit).statistic) < 0.03


def test_who_tells_most():
    p = np.array([0.5, 0.5, 0.5, 0.99, np.nan, 0.0, 1.0])
    size = np.array([1, 4, 1, 1, 1, 1, 1], np.int32)
    mean = np.array([0.5, 0.5, 0.1, 0.5, 0.5, 0.5, np.nan])
    found = draws.informative(p, size, mean)
    entropy = -(0.99 * np.log2(0.99) + 0.01 * np.log2(0.01))
    assert np.allclose(found, [1.0, 0.5, 1.4, entropy * 1.49, 0, 0, 0])


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=40), st.integers(1, 6))
def test_at_most_so_many_of_a_group_best_first(rows, most):
    group, score = np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.float64)
    place = np.arange(len(rows), dtype=np.uint64)
    taken: dict[int, int] = {}
    expected = []
    for i in sorted(range(len(rows)), key=lambda i: (-score[i], i)):
        if score[i] > 0 and taken.get(group[i], 0) < most:
            taken[group[i]] = taken.get(group[i], 0) + 1
            expected.append(i)
    assert draws.first_of_each(group, score, place, most).tolist() == expected
