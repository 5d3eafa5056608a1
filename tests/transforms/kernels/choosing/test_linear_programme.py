"""The programme against enumeration, its uniqueness, and its explanations."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from transforms.kernels.choosing import linear_programme
from transforms.kernels.choosing.linear_programme import Programme, explain, solve

shares = st.integers(0, 20).map(lambda n: n / 20)


@st.composite
def programmes(draw: st.DrawFn, variables: int = 3) -> Programme:
    """Up to four floors and caps on sets of strata: sum of members (<= or >=) share x total."""
    upper = np.array([draw(st.integers(1, 10)) for _ in range(variables)], float)
    upper /= upper.sum()
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        members = np.array(draw(st.lists(st.booleans(), min_size=variables, max_size=variables)), float)
        sign = draw(st.sampled_from([1.0, -1.0]))
        rows.append(sign * (members - draw(shares)))
    return Programme(sparse.csr_array(np.array(rows)), np.zeros(len(rows)), upper)


def by_enumeration(found: Programme) -> float:
    """The largest total over all vertices: every choice of as many tight constraints as there are variables."""
    n = len(found.upper)
    a = np.vstack([found.a.toarray(), np.eye(n), -np.eye(n)])
    b = np.r_[found.b, found.upper, np.zeros(n)]
    best = -1.0
    for tight in itertools.combinations(range(len(b)), n):
        rows = list(tight)
        if abs(np.linalg.det(a[rows])) < 1e-9:
            continue
        v = np.linalg.solve(a[rows], b[rows])
        if (a @ v <= b + 1e-9).all():
            best = max(best, float(v.sum()))
    return best


@settings(max_examples=60, deadline=None)
@given(programmes())
def test_the_total_is_that_of_the_best_vertex(found: Programme) -> None:
    v = solve(found, [np.ones(3)], [sparse.csr_array(np.diag(1 / found.upper))])
    assert v is not None  # taking nothing keeps every share
    assert abs(v.sum() - by_enumeration(found)) < 1e-6
    assert (found.a @ v <= 1e-7).all()


@settings(max_examples=30, deadline=None)
@given(programmes(4), st.permutations(range(4)))
def test_the_answer_is_unique_whatever_the_order_of_the_strata(found: Programme, to: list[int]) -> None:
    def fair(upper: np.ndarray) -> list:
        return [sparse.csr_array(np.diag(1 / upper))]

    v = solve(found, [np.ones(4)], fair(found.upper))
    moved = Programme(sparse.csr_array(found.a.toarray()[:, to]), found.b, found.upper[to])
    w = solve(moved, [np.ones(4)], fair(moved.upper))
    assert np.abs(v[to] - w).max() < 1e-5


def test_what_is_free_is_shared_out_evenly() -> None:
    """Real text 60, synthetic 10, 20 and 30, at most a third: half of each; a cap on one gives the rest to the others."""
    upper = np.array([60, 10, 20, 30]) / 120
    synthetic = np.array([0, 1, 1, 1.0])
    rows = [synthetic - 1 / 3]
    fair = [sparse.csr_array(np.diag(1 / upper))]
    v = solve(Programme(sparse.csr_array(np.array(rows)), np.zeros(1), upper), [np.ones(4)], fair)
    assert np.abs(120 * v - [60, 5, 10, 15]).max() < 1e-4
    rows.append(np.array([0, 0, 0, 1.0]) - 6 / 90)
    v = solve(Programme(sparse.csr_array(np.array(rows)), np.zeros(2), upper), [np.ones(4)], fair)
    assert np.abs(120 * v - [60, 8, 16, 6]).max() < 1e-4


def feasible(found: Programme, rows: list[int]) -> bool:
    return linear_programme._elastic(found, np.array(rows, np.int64)) is not None if rows else True


@settings(max_examples=80, deadline=None)
@given(programmes())
def test_a_conflict_is_irreducible_and_the_change_mends_it(found: Programme) -> None:
    conflict = explain(found)
    k = len(found.b)
    if conflict is None:
        assert solve(found, [np.ones(3)], []).sum() >= linear_programme.SMALLEST - 1e-6
        return
    assert by_enumeration(found) < 1e-6
    assert not feasible(found, conflict.rows)
    for row in conflict.rows:
        assert feasible(found, [one for one in conflict.rows if one != row])
    # A share that gives way by z is a row whose coefficients are all smaller by z.
    mended = Programme(sparse.csr_array(found.a.toarray() - conflict.change[:, None] - 1e-6), found.b, found.upper)
    assert feasible(mended, list(range(k)))


@settings(max_examples=40, deadline=None)
@given(programmes(), st.integers(1, 9))
def test_no_smaller_change_would_do(found: Programme, tenths: int) -> None:
    """The same split of the changes, but less of it, mends nothing; nor does any one row's change alone, if smaller."""
    conflict = explain(found)
    if conflict is None:
        return
    less = conflict.change * tenths / 10.5
    assert not feasible(
        Programme(sparse.csr_array(found.a.toarray() - less[:, None]), found.b, found.upper), list(range(len(found.b)))
    )
    for row in range(len(found.b)):
        alone = np.zeros(len(found.b))
        alone[row] = conflict.change.sum() * 0.95
        changed = Programme(sparse.csr_array(found.a.toarray() - alone[:, None]), found.b, found.upper)
        assert not feasible(changed, list(range(len(found.b))))
