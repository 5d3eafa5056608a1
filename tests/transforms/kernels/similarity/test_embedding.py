"""Points, and the Vendi score against its authors' own code, whichever way it is computed."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info
from vendi_score import vendi as oracle

from transforms.kernels.similarity import embedding


def points(seed: int, n: int, around: float = 0.0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(around, 1, (n, embedding.DIMENSIONS))
    return np.rint(127 * x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.int8)


def unit(one: np.ndarray) -> np.ndarray:
    return one / np.linalg.norm(one.astype(float), axis=1, keepdims=True)


def embed(*texts: str) -> np.ndarray:
    documents = [[sum(map(ord, w)) * 7919 + len(w) for w in text.split()] for text in texts]
    offsets = np.cumsum([0, *map(len, documents)])
    return embedding.embed(offsets, np.array([w for d in documents for w in d], np.uint32))


@pytest.mark.parametrize(("n", "around"), [(5, 0.0), (300, 0.0), (300, 0.5)])
def test_the_score_is_its_authors(n: int, around: float) -> None:
    """`score_K` on the n x n kernel and `score_dual` on the d x d one; the points here are rounded to int8."""
    x = points(n, n, around)
    one, infinity = embedding.vendi(embedding.sums(x))
    assert one == pytest.approx(oracle.score_dual(unit(x)), rel=1e-3)
    assert one == pytest.approx(oracle.score_K(unit(x) @ unit(x).T), rel=1e-3)
    assert infinity == pytest.approx(1 / np.linalg.eigvalsh(unit(x) @ unit(x).T / n).max(), rel=2e-3)


def test_known_scores() -> None:
    eye = (127 * np.eye(8, embedding.DIMENSIONS)).astype(np.int8)
    assert embedding.vendi(embedding.sums(eye)) == pytest.approx((8, 8))
    assert embedding.vendi(embedding.sums(np.repeat(eye[:1], 9, axis=0))) == pytest.approx((1, 1))
    assert embedding.mean_distance(embedding.sums(eye)) == pytest.approx(7 / 8)


def test_the_mean_distance_is_that_of_all_pairs() -> None:
    x = points(3, 50, 0.3)
    brute = np.mean([1 - a @ b for a in unit(x) for b in unit(x)])
    assert embedding.mean_distance(embedding.sums(x)) == pytest.approx(brute, abs=1e-4)


@given(st.integers(0, 40), st.integers(0, 9))
def test_sums_add_up_in_any_order_exactly(at: int, seed: int) -> None:
    x = points(seed, 40)
    parts = [embedding.sums(x[at:]), embedding.sums(x[:at])]
    for whole in (embedding.add(parts), embedding.add([*parts[::-1], embedding.add([])])):
        assert whole.n == 40
        assert (whole.products == x.astype(int).T @ x.astype(int)).all()
        left = embedding.less(whole, parts[0])
        assert (left.products == parts[1].products).all()


def test_points_are_near_where_words_are_shared() -> None:
    x = unit(
        embed("a river runs to the sea", "a river runs to the lake", "the to runs river a sea", "seven other things")
    )
    assert x[0] @ x[1] > x[0] @ x[2] > abs(x[0] @ x[3])
    assert (embed("a b", "a b a b")[0] != embed("b a")[0]).any(), "pairs count"


def test_a_word_counts_once_and_only_the_window_does() -> None:
    assert (embed("a a a")[0] == embed("a a")[0]).all()
    words = [f"w{'x' * i}" for i in range(400)]
    assert (embed(" ".join(words))[0] == embed(" ".join(words[:300]))[0]).all()


def test_nothing_has_no_score() -> None:
    nothing = embedding.sums(embed("", ""))
    assert nothing.n == 0
    assert np.isnan([*embedding.vendi(nothing), embedding.mean_distance(nothing)]).all()


def test_no_other_thread_lets_linear_algebra_have_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is inside when the first leaves, if it may be."""
    one, solve, calls = embedding.sums(points(1, 5)), np.linalg.eigvalsh, itertools.count()
    inside, had = threading.Event(), []
    first, second = (threading.Thread(target=embedding.vendi, args=(one,)) for _ in range(2))

    def solving(matrix: np.ndarray) -> np.ndarray:
        if next(calls) == 0:
            second.start()
            inside.wait(0.3)
        else:
            inside.set()
            first.join(60)
        had.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return solve(matrix)

    monkeypatch.setattr(np.linalg, "eigvalsh", solving)
    first.start()
    first.join(60)
    second.join(60)
    assert set(had) == {1}
    assert next(calls) == 2
