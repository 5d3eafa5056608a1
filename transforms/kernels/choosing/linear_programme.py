"""Floors and caps as a linear programme: targets that are unique, and an explanation where there are none.

Variables v are weights over the weight that is available. Rows say a v <= b. Several programmes are solved one after the
other, each keeping what the ones before it reached:

1. each objective is maximised in turn;
2. what is still free is shared out fairly: the smallest of the given fractions is made as large as it can be, then the
   second smallest, and so on (max-min fairness). Over a convex set that vector is unique, so no choice of the solver's
   shows.

A programme that has no solution is explained by an irreducible set of rows (leave out any one, and the rest can be kept) by a
deletion filter (Chinneck and Dravnieks 1991, ORSA J. Comput. 3), and by the smallest sum of changes of share that would do: an
elastic programme over shares t / T, linear by Charnes and Cooper's transformation (1962, Nav. Res. Logist. Q. 9).
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

F64 = npt.NDArray[np.float64]
Sparse = Any  # scipy.sparse.csr_array
Solution = Any  # scipy.optimize.OptimizeResult
TOLERANCE = 1e-9
SLACK = 1e-8  # what a later programme may give up of an earlier one's value
STRETCH = 1e6  # no row gives way by more
SMALLEST = 1e-4  # of what is available: a release that would be smaller is none


@dataclasses.dataclass(frozen=True)
class Programme:
    """a v <= b and 0 <= v <= upper, all float64.

    Attributes:
      a: [rows, variables], sparse.
      b: [rows]; 0 where a row is about shares.
      upper: [variables].
    """

    a: Sparse
    b: F64
    upper: F64


def _minimise(c: F64, a: Sparse, b: F64, upper: F64, **more: F64 | Sparse) -> Solution | None:
    from scipy.optimize import linprog  # late: it is slow to import, and most releases ask for no limits

    bounds = np.stack([np.zeros_like(upper), upper], axis=1)
    options = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
    found = linprog(c, a, b, bounds=bounds, method="highs-ds", options=options, **more)
    if found.status == 4:  # numerical difficulties: the tolerances were too strict for it
        found = linprog(c, a, b, bounds=bounds, method="highs-ds", **more)
    return found if found.status == 0 else None


def solve(programme: Programme, objectives: list[F64], fair: list[Sparse]) -> F64 | None:
    """The unique best v, or None if the rows cannot be kept.

    Args:
      programme: what must hold.
      objectives: float64[variables] each, maximised in turn.
      fair: float64[fractions, variables] each: levelled in turn, as far as the objectives leave them free.
    """
    a, b, upper = programme.a, programme.b, programme.upper
    best = None
    for objective in objectives:
        best = _minimise(-objective, a, b, upper)
        if best is None:
            return None
        a, b = scipy.sparse.vstack([a, -objective[None]], "csr"), np.r_[b, best.fun + SLACK]
    v = best.x if best is not None else None
    for fractions in fair:
        a, b, v = _level(a, b, upper, fractions, v)
    return v


def _level(a: Sparse, b: F64, upper: F64, fractions: Sparse, v: F64 | None) -> tuple[Sparse, F64, F64 | None]:
    """Max-min fairness: raise the smallest of `fractions` that can be raised, fix those that cannot, go on."""
    free = np.flatnonzero(np.diff(fractions.indptr))
    highest = fractions.maximum(0) @ upper
    while len(free):
        # Maximise level, where every free fraction is level + (something not negative).
        ones = np.ones((len(free), 1))
        both = scipy.sparse.block_array([[a, None], [-fractions[free], np.hstack([ones, -ones])]], format="csr")
        c = np.r_[np.zeros(len(upper)), -1.0, 1.0]
        found = _minimise(c, both, np.r_[b, np.zeros(len(free))], np.r_[upper, 1e6, 1e6])
        if found is None:  # by a rounding error of an earlier step: what there is will do
            break
        v, level = found.x[: len(upper)], float(found.x[-2] - found.x[-1])
        # A positive dual proves that a fraction cannot be raised; so does its own upper bound, which degenerate duals hide.
        tight = (-found.ineqlin.marginals[len(b) :] > 1e-7) | (highest[free] <= level + SLACK)
        if not tight.any():
            break
        a = scipy.sparse.vstack([a, -fractions[free[tight]]], "csr")
        b = np.r_[b, np.full(int(tight.sum()), -level + SLACK)]
        free = free[~tight]
    return a, b, v


@dataclasses.dataclass(frozen=True)
class Conflict:
    """Why there is no solution.

    Attributes:
      rows: an irreducible set.
      change: by row, how much its share must give way, float64[rows]; 0 for most.
      total: the total weight at which the changed programme holds, over what is available.
    """

    rows: list[int]
    change: F64
    total: float


def explain(programme: Programme) -> Conflict | None:
    """None if there is a v that keeps all rows and adds up to `SMALLEST` or more."""
    elastic = _elastic(programme, np.arange(len(programme.b)), np.full(len(programme.b), STRETCH))
    assert elastic is not None, "a programme that may stretch every row always has a solution"
    n = len(programme.upper)
    change = np.maximum(elastic.x[n + 1 :], 0)
    if change.sum() <= 1e-7:
        return None
    rows = np.flatnonzero(np.abs(elastic.ineqlin.marginals[: len(programme.b)]) > 1e-9)
    if _elastic(programme, rows) is not None:
        rows = np.arange(len(programme.b))
    kept = list(rows)
    for row in rows:
        rest = [one for one in kept if one != row]
        if rest and _elastic(programme, np.array(rest, np.int64)) is None:
            kept = rest
    return Conflict([int(row) for row in kept], np.where(change > 1e-7, change, 0.0), 1 / float(elastic.x[n]))


def feasible(programme: Programme) -> bool:
    """Whether there is a v that keeps all rows and adds up to `SMALLEST` or more."""
    return _elastic(programme, np.arange(len(programme.b))) is not None


def gives_way(programme: Programme, row: int) -> tuple[float, float] | None:
    """How much the share of one row must give way, alone, and the total weight then over what is available.

    None: that alone would not do.
    """
    stretch = np.zeros(len(programme.b))
    stretch[row] = STRETCH
    found = _elastic(programme, np.arange(len(programme.b)), stretch)
    n = len(programme.upper)
    return None if found is None else (max(0.0, float(found.x[n + 1 + row])), 1 / float(found.x[n]))


def _elastic(programme: Programme, rows: npt.NDArray[np.int64], stretch: F64 | None = None) -> Solution | None:
    """Over w = v / T and tau = 1 / T, with sum w = 1: a w - b tau - z <= 0, w <= upper tau; the least sum of z.

    `stretch`: the most that each row may give way; None: nothing.
    """
    n, k = len(programme.upper), len(rows)
    parts = [
        [programme.a[rows], scipy.sparse.csr_array(-programme.b[rows][:, None]), -scipy.sparse.eye_array(k)],
        [scipy.sparse.eye_array(n), scipy.sparse.csr_array(-programme.upper[:, None]), None],
    ]
    a = scipy.sparse.block_array(parts, format="csr")
    sums_to_one = np.r_[np.ones(n), np.zeros(1 + k)][None]
    most = np.r_[np.ones(n), 1 / SMALLEST, np.zeros(k) if stretch is None else stretch]
    c = np.r_[np.zeros(n + 1), np.ones(k)]
    return _minimise(c, a, np.zeros(k + n), most, A_eq=sums_to_one, b_eq=np.ones(1))
