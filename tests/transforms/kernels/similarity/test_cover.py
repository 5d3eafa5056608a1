"""Stars: whoever is dropped resembles the one that is kept, and the preferred one is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.similarity import cover as kernel
from transforms.kernels.similarity.cover import EXEMPT, SAME_URL, SIMILAR, SURVIVOR, Nodes, cover, jaccard_of_sorted

BANDS, ROWS = 3, 2


def nodes(signatures, starts=None, url=None, exempt=None, signed=None, sets=None):
    n = len(signatures)
    rows = np.array(signatures, np.uint32).reshape(n, BANDS * ROWS)
    sets = sets or [[] for _ in range(n)]
    return Nodes(
        np.array([0, n] if starts is None else starts, np.int64),
        rows,
        np.ones(n, bool) if signed is None else np.array(signed, bool),
        np.array(url or [0] * n, np.uint64),
        np.array(exempt or [False] * n, bool),
        np.r_[0, np.cumsum([len(one) for one in sets])].astype(np.int64),
        np.array([x for one in sets for x in sorted(one)], np.uint64),
    )


def by_the_book(signatures, least, exempt):
    """The definition: in order, each joins the first survivor that it resembles."""
    kept, survivor = [], []
    for i, own in enumerate(signatures):
        like = [k for k in kept if np.mean(np.equal(own, signatures[k])) >= least]
        survivor.append(i if exempt[i] or not like else like[0])
        if survivor[-1] == i:
            kept.append(i)
    return survivor


signature = st.lists(st.integers(0, 2), min_size=BANDS * ROWS, max_size=BANDS * ROWS)
components = st.lists(st.tuples(signature, st.booleans()), min_size=1, max_size=12)


@given(components, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_it_is_the_greedy_cover(found, least):
    signatures, exempt = [one for one, _ in found], [rare for _, rare in found]
    survivor, similarity, how = cover(nodes(signatures, exempt=exempt), BANDS, ROWS, least)
    assert survivor.tolist() == by_the_book(signatures, least, exempt)
    for i, s in enumerate(survivor.tolist()):
        assert how[i] == (EXEMPT if exempt[i] else SURVIVOR if s == i else SIMILAR)
        assert similarity[i] == pytest.approx(np.mean(np.equal(signatures[i], signatures[s])))
        assert survivor[s] == s  # a survivor is never dropped itself


@given(st.lists(components, min_size=1, max_size=4))
def test_components_know_nothing_of_each_other(several):
    signatures = [one for part in several for one, _ in part]
    starts = np.r_[0, np.cumsum([len(part) for part in several])]
    together, _, _ = cover(nodes(signatures, starts), BANDS, ROWS, 0.5)
    apart = [
        start + cover(nodes([one for one, _ in part]), BANDS, ROWS, 0.5)[0]
        for start, part in zip(starts, several, strict=False)
    ]
    assert together.tolist() == np.concatenate(apart).tolist()


def test_a_chain_does_not_swallow():
    """Each is like the next, the ends share nothing: the middle goes to the first, the end stays."""
    chain = [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 2, 2], [1, 1, 2, 2, 2, 2], [2, 2, 2, 2, 2, 2]]
    survivor, similarity, _ = cover(nodes(chain), BANDS, ROWS, 0.6)
    assert survivor.tolist() == [0, 0, 2, 2]
    assert similarity.tolist() == pytest.approx([1, 4 / 6, 1, 4 / 6])


def test_a_large_component_keeps_the_laws_and_misses_few():
    """Above COMPARE_ALL_UP_TO only contents that share a band are compared: never a wrong drop, and hardly a missed one."""
    generator = np.random.default_rng(5)
    bands, rows, n = 14, 8, 4 * kernel.COMPARE_ALL_UP_TO
    centres = generator.integers(0, 2**32, (n // 8, bands * rows), dtype=np.uint32)
    changed = generator.random((n, bands * rows)) < 0.05
    signatures = np.where(
        changed, generator.integers(0, 2**32, (n, bands * rows), dtype=np.uint32), centres[np.arange(n) % len(centres)]
    )
    many = nodes(np.zeros((n, BANDS * ROWS)))._replace(signature=signatures)
    survivor, similarity, _ = cover(many, bands, rows, 0.8)
    alike = (signatures == signatures[survivor]).mean(axis=1)
    assert (similarity == alike).all()
    assert (alike >= 0.8).all()
    assert (survivor[survivor] == survivor).all()
    assert len(centres) <= len(np.unique(survivor)) <= 1.03 * len(centres)  # the S-curve misses a few


def test_one_boilerplate_of_many_is_linear():
    """20,000 contents that all share every band but are not alike enough: bounded comparisons, all kept."""
    generator = np.random.default_rng(6)
    n = 20_000
    signatures = generator.integers(0, 2**32, (n, 112), dtype=np.uint32)
    signatures[:, :8] = 7
    many = nodes(np.zeros((n, BANDS * ROWS)))._replace(signature=signatures)
    survivor, _, _ = cover(many, 14, 8, 0.8)
    assert (survivor == np.arange(n)).all()


def test_the_same_address_is_enough_but_a_like_text_goes_first():
    same = [[1] * 6, [2] * 6, [1, 1, 1, 1, 1, 2]]
    survivor, similarity, how = cover(nodes(same, url=[0, 9, 9]), BANDS, ROWS, 0.8)
    assert (survivor.tolist(), how.tolist()) == ([0, 1, 0], [SURVIVOR, SURVIVOR, SIMILAR])
    survivor, similarity, how = cover(nodes(same, url=[9, 9, 0]), BANDS, ROWS, 0.9)
    assert (survivor.tolist(), how.tolist()) == ([0, 0, 2], [SURVIVOR, SAME_URL, SURVIVOR])
    assert similarity[1] == 0


def test_what_has_no_signature_is_like_nothing():
    survivor, similarity, how = cover(
        nodes([[1] * 6] * 3, signed=[True, False, False], url=[0, 4, 4]), BANDS, ROWS, 0.0
    )
    assert survivor.tolist() == [0, 1, 1]
    assert how.tolist() == [SURVIVOR, SURVIVOR, SAME_URL]
    assert np.isnan(similarity[2])


def test_shingle_sets_decide_where_there_are_some():
    """Equal signatures, different sets; and the other way round."""
    sets = [[1, 2, 3, 4], [1, 2, 3, 5], [9]]
    survivor, similarity, _ = cover(nodes([[1] * 6] * 3, sets=sets), BANDS, ROWS, 0.6)
    assert survivor.tolist() == [0, 0, 2]
    assert similarity[1] == pytest.approx(3 / 5)


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_jaccard_of_sorted_arrays(one, other):
    found = jaccard_of_sorted.py_func(sorted(one), sorted(other))
    assert found == (len(one & other) / len(one | other) if one | other else 0)
