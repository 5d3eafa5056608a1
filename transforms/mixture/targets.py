"""How much each cell gives: from what there is and what is asked to where the cuts are.

`aim` works on profiles alone. What it decides are whole bins of each cell's order, for which every row holds exactly; the
documents of the bins behind them are collected, and `settle` adds as many of them as the targets and the rows allow.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

from transforms.kernels.choosing import linear_programme, order
from transforms.mixture.cells import FORCED, Cell, Opinion, Rule, Weighed
from transforms.mixture.limits import Held, Row, copies_of, lifts_of, rows_of

I64 = npt.NDArray[np.int64]
GRID = 1 << 24  # targets are multiples of this part of a cell: the last bits of a solver's answer do not show
ATTEMPTS = 40
LAST_BIN = 1 << 20


@dataclasses.dataclass(frozen=True)
class Goal:
    """What one cell gives.

    Attributes:
      rounds: how often all its documents count, before those of the round that is cut.
      low, high: in that round, bins below `low` count whole, and the cut is below `high`; equal: it is at `low`.
      whole: sums of the bins below `low`, int64[4].
      target: the weight that was aimed at, copies counted.
    """

    rounds: int
    low: int
    high: int
    whole: I64
    target: int


@dataclasses.dataclass(frozen=True)
class Aim:
    """Goals by cell, and everything that settling them needs.

    Attributes:
      cells, goals: in one order.
      total: sums of everything, once (with `resample`, every copy). int64[cells, 4].
      rows: what must hold.
      lifts: of `favour`, by stratum or structure.
      conflict: rows that cannot be kept together, in words; empty: all can.
      change: what would do, in words.
    """

    opinion: Opinion
    weighed: Weighed
    cells: tuple[Cell, ...]
    goals: tuple[Goal, ...]
    total: I64
    rows: tuple[Row, ...]
    lifts: dict[str, float]
    conflict: tuple[str, ...] = ()
    change: tuple[str, ...] = ()


def _sort_key(cell: Cell) -> tuple[str, ...]:
    return tuple("" if value is None else f"{value!s} " for value in cell)


class _Programme:
    """The cells' order, what lies along it, and the programme over it."""

    def __init__(self, weighed: Weighed, rule: Rule, opinion: Opinion) -> None:
        self.weighed, self.rule, self.opinion = weighed, rule, opinion
        self.cells = tuple(sorted(weighed.cells, key=_sort_key))
        self.along = [order.merge(weighed.cells[cell]) for cell in self.cells]
        self.total: I64 = np.array([p.sums.sum(axis=0) for p in self.along], np.int64).reshape(-1, 4)
        resampled = rule.config.select == "resample"
        self.copies_in_order = rule.config.resample.max_copies if resampled else 1
        once = self.total // self.copies_in_order
        self.rows = rows_of(rule, self.cells, Held(once, once[:, order.WEIGHT]))
        self.lifts = lifts_of(rule, self.cells, self.total[:, order.WEIGHT], opinion)
        self.cumulative = [np.vstack([np.zeros((1, 4), np.int64), np.cumsum(p.sums, axis=0)]) for p in self.along]
        self.most_copies = copies_of(rule, self.cells)

    def held(self, goals: Sequence[Goal]) -> Held:
        """What the goals' whole bins come to."""
        sums = np.array([g.rounds * t + g.whole for g, t in zip(goals, self.total, strict=True)], np.int64)
        return held(sums.reshape(-1, 4), self.total)

    def aim(self, goals: Sequence[Goal], conflict: Sequence[str] = (), change: Sequence[str] = ()) -> Aim:
        return Aim(
            self.opinion, self.weighed, self.cells, tuple(goals), self.total, tuple(self.rows), self.lifts,
            tuple(conflict), tuple(change),
        )  # fmt: skip

    def goal(self, number: int, target: int, reserve: int) -> Goal:
        """Whole bins up to a target, and the bins behind them that hold what is missing and `reserve` more."""
        total, along, sums = int(self.total[number, order.WEIGHT]), self.along[number], self.cumulative[number]
        rounds, rest = divmod(target, total) if total else (1, 0)
        if not rest:
            return Goal(rounds, 0, 0, np.zeros(4, np.int64), target)
        weight = sums[:, order.WEIGHT]
        whole = int(np.searchsorted(weight, rest, side="right")) - 1
        end = min(int(np.searchsorted(weight, rest + reserve, side="left")), len(along.bins))
        low = int(along.bins[whole]) if whole < len(along.bins) else LAST_BIN
        high = int(along.bins[end]) if end < len(along.bins) else LAST_BIN
        return Goal(rounds, low, high, sums[whole], target)

    # One cell and no floor: the longest prefix for which the rows hold.

    def by_prefix(self) -> Aim:
        if not self.cells:
            return self.aim(())
        sums, bins = self.cumulative[0], self.along[0].bins
        forced = int(np.searchsorted(bins, FORCED[self.rule.config.select]))
        at = self._last_that_holds(sums, forced)
        if at == len(bins):
            # All of it. With `resample` that is every copy: more than one round of the documents.
            return self.aim([Goal(1, 0, 0, np.zeros(4, np.int64), int(sums[-1, order.WEIGHT]))])
        edge = int(bins[at])
        return self.aim([Goal(0, edge, edge + 1, sums[at], int(sums[-1, order.WEIGHT]))])

    def _last_that_holds(self, sums: I64, least: int) -> int:
        """The last edge between bins, from `least` on, at which every row holds; `least` if none does."""
        for at in _candidates(sums, self.rows, least):
            held_there = Held(sums[at][None], sums[at, order.WEIGHT][None])
            if all(row.excess(held_there) <= 0 for row in self.rows):
                return at
        return least

    # Floors and caps: a programme.

    def by_programme(self) -> Aim:
        all_of_it = [Goal(1, 0, 0, np.zeros(4, np.int64), int(t)) for t in self.total[:, order.WEIGHT]]
        available = int(self.total[:, order.WEIGHT].sum())
        if not available:
            return self.aim(all_of_it)
        model = _Model(self)
        conflict = linear_programme.explain(model.programme)
        if conflict is not None:
            named = [self.rows[row].name for row in conflict.rows]
            return self.aim(all_of_it, named, model.changes(conflict))
        margins, broken = np.zeros(len(self.rows)), list(self.rows)
        largest = max(p.largest for p in self.along)
        for attempt in range(ATTEMPTS):
            targets = model.targets(margins)
            if targets is None:
                break
            reserve = math.ceil(margins.sum()) + largest
            goals = [self.goal(number, target, reserve) for number, target in enumerate(targets)]
            there = self.held(goals)
            excess = [row.excess(there) for row in self.rows]
            broken = [row for row, over in zip(self.rows, excess, strict=True) if over > 0]
            if not broken:
                return self.aim(goals)
            # Rounding breaks them. Ever more room than it took, or the same documents may be at the cut again.
            margins += [float(over) * 1.3**attempt + 1 if over > 0 else 0.0 for over in excess]
        conflict = linear_programme.explain(model.with_room(margins))
        rows = [self.rows[row] for row in conflict.rows] if conflict else broken
        words = "leave room for a document between them, or take more text: they can be kept only to within a document"
        return self.aim(all_of_it, [row.name for row in rows], [words])


def _candidates(sums: I64, rows: Sequence[Row], least: int) -> list[int]:
    """Edges, the last first, at which the rows may hold: in floats, with room for rounding. Exact arithmetic decides."""
    weight = sums[:, order.WEIGHT].astype(np.float64)
    may = np.ones(len(sums), bool)
    for row in rows:
        part = sums[:, order.COUNTED] / order.UNITS if row.measure == "counted" else weight
        allowed = float(row.bound) if row.base == "none" else float(row.share) * weight
        may &= part <= allowed + 1e-9 * weight[-1] + 1e-6
    found = np.flatnonzero(may)
    return found[found >= least][::-1].tolist()


class _Model:
    """The variables: for each cell the pieces of its order, then copies for `favour`, then copies to reach a floor."""

    def __init__(self, parts: _Programme) -> None:
        self.parts = parts
        self.available = int(parts.total[:, order.WEIGHT].sum())
        cell, upper, counted, kind = [], [], [], []
        lift_of = [parts.lifts.get(getattr(c, parts.rule.config.favour.by), 1.0) if parts.rule.config.favour else 1.0
                   for c in parts.cells]  # fmt: skip
        favoured = parts.rule.config.favour.max_copies if parts.rule.config.favour else 1
        for number, (along, total) in enumerate(zip(parts.along, parts.total, strict=True)):
            for weight, synthetic in order.segments(along):
                cell.append(number)
                upper.append(weight)
                counted.append(synthetic / weight if weight else 0.0)
                kind.append(0)
            mean = total[order.COUNTED] / order.UNITS / total[order.WEIGHT] if total[order.WEIGHT] else 0.0
            lift = 1.0 if parts.cells[number].labelled else min(lift_of[number], favoured)
            for which, more in ((1, lift - 1), (2, parts.most_copies[number] - lift)):
                if more > 0:
                    cell.append(number)
                    upper.append(more * total[order.WEIGHT])
                    counted.append(mean)
                    kind.append(which)
        self.cell, self.kind = np.array(cell), np.array(kind)
        self.upper, counted_part = np.array(upper, np.float64) / self.available, np.array(counted)
        total = parts.total.astype(np.float64)
        labelled = (total[:, order.LABELLED] / np.maximum(total[:, order.WEIGHT], 1))[self.cell]
        copies = self.kind > 0
        a = np.array([row.coefficients(self.cell, counted_part, labelled, copies) for row in parts.rows])
        bounds = np.array([row.bound if row.sense == "max" else -row.bound for row in parts.rows], np.float64)
        self.programme = linear_programme.Programme(scipy.sparse.csr_array(a), bounds / self.available, self.upper)
        self.counted, self.labelled = counted_part, labelled
        own = np.maximum(total[:, order.WEIGHT], 1) / self.available * parts.copies_in_order**-1
        taken = scipy.sparse.csr_array(
            ((~copies).astype(float), (self.cell, np.arange(len(cell)))), (len(own), len(cell))
        )
        repeated = scipy.sparse.csr_array(
            (copies.astype(float), (self.cell, np.arange(len(cell)))), (len(own), len(cell))
        )
        for matrix in (taken, repeated):
            matrix.eliminate_zeros()
        self.fair = [_scaled(taken, 1 / (own * np.array(lift_of)))]
        # The most text, where a copy is worth making only if it brings in more than itself; of that the most real text; then
        # what favour adds.
        self.objectives = [(~copies).astype(np.float64) - (self.kind == 2), (~copies) * (1 - counted_part)]
        if (self.kind == 1).any():
            self.objectives.append((self.kind == 1).astype(np.float64))
        if copies.any():
            self.objectives.append(-copies.astype(np.float64))
            self.fair.append(_scaled(repeated, -1 / own))

    def with_room(self, margins: npt.NDArray[np.float64]) -> linear_programme.Programme:
        """The programme with every row so much weight stricter."""
        return dataclasses.replace(self.programme, b=self.programme.b - margins / self.available)

    def targets(self, margins: npt.NDArray[np.float64]) -> list[int] | None:
        """The weight of each cell, copies counted; None if the rows cannot be kept with these margins."""
        v = linear_programme.solve(self.with_room(margins), self.objectives, self.fair)
        if v is None:
            return None
        weight = self.parts.total[:, order.WEIGHT]
        taken = np.bincount(self.cell, v, len(weight)) * self.available / np.maximum(weight, 1)
        whole = np.rint(taken)
        steps = np.floor(np.where(np.abs(taken - whole) < 1e-6, whole, taken) * GRID + 1 / 16)
        return [int(step) * int(own) >> 24 for step, own in zip(steps, weight, strict=True)]

    def changes(self, conflict: linear_programme.Conflict) -> list[str]:
        """The smallest change that would do, one sentence for each row that gives way."""
        words = []
        for number in np.flatnonzero(conflict.change):
            row, change = self.parts.rows[number], Fraction(float(conflict.change[number]))
            if row.base == "none":
                unit = self.parts.rule.config.unit
                by = math.ceil(change * self.available * Fraction(conflict.total))
                words.append(f"“{row.name}” gives way by {by:,} {unit}")
                continue
            if row.base == "labelled":
                words.append(f"“{row.name}” gives way by {_outward(float(change), 'max')} of the release")
                continue
            new = float(row.share + change) if row.sense == "max" else float(row.share - change)
            words.append(f"“{row.name}” becomes {_outward(min(1.0, max(0.0, new)), row.sense)}")
        return words


def _scaled(matrix: linear_programme.Sparse, by: npt.NDArray[np.float64]) -> linear_programme.Sparse:
    return scipy.sparse.csr_array(scipy.sparse.diags_array(by) @ matrix)


def _outward(share: float, sense: str) -> str:
    """In hundredths of a per cent, so that the change that is named surely does."""
    steps = math.ceil(share * 1e4 - 1e-4) if sense == "max" else math.floor(share * 1e4 + 1e-4)
    return f"{steps / 100:g}%"


def held(sums: I64, total: I64) -> Held:
    """What is taken of each cell. `sums` with copies, `total` without: int64[cells, 4]."""
    return Held(sums, np.minimum(sums[:, order.WEIGHT], total[:, order.WEIGHT]))


def aim(weighed: Weighed, rule: Rule, opinion: Opinion) -> Aim:
    """Where to cut, on the profiles."""
    parts = _Programme(weighed, rule, opinion)
    return parts.by_prefix() if rule.config.is_budget_only else parts.by_programme()
