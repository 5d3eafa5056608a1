"""How much each cell gives: from what there is and what is asked to where the cuts are.

`aim` works on profiles alone. What it decides are whole bins of each cell's order, for which every row holds exactly; the
documents of the bins behind them are collected, and `settle` adds as many of them as the targets and the rows allow.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import scipy  # its parts load where they are used

from transforms.kernels.choosing import linear_programme, order
from transforms.mixture.cells import (
    DECLARED,
    DOUBTFUL,
    FLAGGED,
    FORCED,
    MOST_FOR_ONE,
    REAL,
    SPARED,
    Cell,
    Opinion,
    Rule,
    Weighed,
)
from transforms.mixture.limits import Constraint, Held, copies_of, lifts_of, rows_of
from transforms.mixture.ways_out import Way, auditable_of, labels_for, share, ways_out

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
GRID = 1 << 24  # targets are multiples of this part of a cell: the last bits of a solver's answer do not show
ATTEMPTS = 40
LAST_BIN = 1 << 20
LEAST_KEPT = Fraction(1, 2)  # nobody asked to lose more than half of all text for what undeclared text may hide


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
      ways: what would do, one knob at a time; also where undeclared text was left out for what it may hide.
    """

    opinion: Opinion
    weighed: Weighed
    cells: tuple[Cell, ...]
    goals: tuple[Goal, ...]
    total: I64
    rows: tuple[Constraint, ...]
    lifts: dict[str, float]
    conflict: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()


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

    def aim(
        self, goals: Sequence[Goal], conflict: Sequence[str] = (), change: Sequence[str] = (), ways: Sequence[Way] = ()
    ) -> Aim:
        return Aim(
            self.opinion,
            self.weighed,
            self.cells,
            tuple(goals),
            self.total,
            tuple(self.rows),
            self.lifts,
            tuple(conflict),
            tuple(change),
            tuple(ways),
        )

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

    # No floor: the longest prefix for which the rows hold. With `cut`, of cells in the order of their ranks.

    def by_prefix(self) -> Aim:
        if not self.cells:
            return self.aim(())
        if self.rule.config.select != "cut":
            sums, bins = self.cumulative[0], self.along[0].bins
            forced = int(np.searchsorted(bins, FORCED[self.rule.config.select]))
            at = self._last_that_holds(sums, forced)
            goals = self._prefix([0], forced if at is None else at)
            return self.aim(goals) if at is not None else self._refused(goals)
        found = self._by_rank()
        if found is not None:
            doubtful = [goal for cell, goal in zip(self.cells, found, strict=True) if cell.rank == DOUBTFUL]
            left_out = any(not goal.rounds for goal in doubtful)
            ways = ways_out(self.rule, self.weighed, self.opinion) if left_out else ()
            return self.aim(found, ways=[way for way in ways if way.knob != "cap"])  # what is left is a cap already
        labelled = (DECLARED, FLAGGED)
        goals = [
            _none() if cell.rank in labelled else _all(int(total[order.WEIGHT]))
            for cell, total in zip(self.cells, self.total, strict=True)
        ]
        return self._refused(goals)

    def _refused(self, goals: Sequence[Goal]) -> Aim:
        ways = ways_out(self.rule, self.weighed, self.opinion)
        change = [way.said for way in ways if way.knob == "limit"]
        return self.aim(goals, [self.rows[0].name], change or ["declare more human text"], ways)

    def _by_rank(self) -> list[Goal] | None:
        """What goes is flagged text; then what hides much, if that saves declared text; or else declared text alone."""
        at = {cell.rank: number for number, cell in enumerate(self.cells)}
        everything = int(self.total[:, order.WEIGHT].sum())

        def prefix(ranks: tuple[int, ...], whole: tuple[int, ...], least: Fraction) -> list[Goal] | None:
            """The longest prefix of these ranks that has all text of `whole`, and a part `least` of everything."""
            cells = [at[rank] for rank in ranks if rank in at]
            if not cells:
                return None
            sums = _joined([self.cumulative[number] for number in cells])
            start = sum(len(self.along[at[rank]].bins) for rank in whole if rank in at)
            edge = self._last_that_holds(sums, start)
            if edge is None or int(sums[edge, order.WEIGHT]) < least * everything:
                return None
            return self._prefix(cells, edge)

        known = (REAL, SPARED, DECLARED, DOUBTFUL)
        found = prefix((*known, FLAGGED), known, Fraction(0))
        if found is None and DECLARED in at:
            found = prefix(known, (REAL, SPARED), LEAST_KEPT)
        if found is None:
            found = prefix((REAL, SPARED, DOUBTFUL, DECLARED), (REAL, SPARED, DOUBTFUL), Fraction(0))
        return found

    def _prefix(self, cells: Sequence[int], edge: int) -> list[Goal]:
        """Of `cells`, one after the other, the first `edge` bins; of the others nothing."""
        goals = [_none() for _ in self.cells]
        for number in cells:
            bins, total = self.along[number].bins, int(self.total[number, order.WEIGHT])
            if edge >= len(bins):
                # All of it. With `resample` that is every copy: more than one round of the documents.
                goals[number], edge = _all(total), edge - len(bins)
                continue
            low = int(bins[edge])
            goals[number] = Goal(0, low, low + 1, self.cumulative[number][edge], total)
            break
        return goals

    def _last_that_holds(self, sums: I64, least: int) -> int | None:
        """The last edge between bins, from `least` on, at which every row holds; None if none does."""
        for at in _candidates(sums, self.rows, least):
            held_there = Held(np.zeros((len(self.cells), 4), np.int64), np.zeros(len(self.cells), np.int64))
            held_there.sums[0], held_there.distinct[0] = sums[at], sums[at, order.WEIGHT]  # rows are about all cells
            if all(row.excess(held_there) <= 0 for row in self.rows):
                return at
        return None

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
            return self.aim(all_of_it, named, model.changes(conflict), list(model.ways(conflict)))
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


def _all(weight: int) -> Goal:
    return Goal(1, 0, 0, np.zeros(4, np.int64), weight)


def _none() -> Goal:
    return Goal(0, 0, 0, np.zeros(4, np.int64), 0)


def _joined(parts: Sequence[I64]) -> I64:
    """Cumulative sums of some cells, one after the other; each begins with 0."""
    found = [parts[0]]
    for part in parts[1:]:
        found.append(part[1:] + found[-1][-1])
    return np.concatenate(found)


def _candidates(sums: I64, rows: Sequence[Constraint], least: int) -> list[int]:
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
        favour = parts.rule.config.favour
        self.lifts = np.array([parts.lifts.get(getattr(c, favour.by), 1.0) if favour else 1.0 for c in parts.cells])
        self._variables(favour.max_copies if favour else 1)
        total = parts.total.astype(np.float64)
        self.labelled = (total[:, order.LABELLED] / np.maximum(total[:, order.WEIGHT], 1))[self.cell]
        rows = [row.coefficients(self.cell, self.counted, self.labelled, self.kind > 0) for row in parts.rows]
        bounds = np.array([row.bound if row.sense == "max" else -row.bound for row in parts.rows], np.float64)
        a = scipy.sparse.csr_array(np.array(rows))
        self.programme = linear_programme.Programme(a, bounds / self.available, self.upper)
        self.own = np.maximum(total[:, order.WEIGHT], 1) / self.available * parts.copies_in_order**-1

    def _variables(self, favoured: int) -> None:
        """cell, upper, counted and kind of each variable: 0 text, 1 copies of what is favoured, 2 copies to reach a floor."""
        parts, cell, upper, counted, kind = self.parts, [], [], [], []
        for number, (along, total) in enumerate(zip(parts.along, parts.total, strict=True)):
            for weight, synthetic in order.segments(along):
                cell.append(number)
                upper.append(weight)
                counted.append(synthetic / weight if weight else 0.0)
                kind.append(0)
            mean = total[order.COUNTED] / order.UNITS / total[order.WEIGHT] if total[order.WEIGHT] else 0.0
            lift = 1.0 if parts.cells[number].labelled else min(self.lifts[number], favoured)
            for which, more in ((1, lift - 1), (2, parts.most_copies[number] - lift)):
                if more > 0:
                    cell.append(number)
                    upper.append(more * total[order.WEIGHT])
                    counted.append(mean)
                    kind.append(which)
        self.cell, self.kind, self.counted = np.array(cell), np.array(kind), np.array(counted)
        self.upper = np.array(upper, np.float64) / self.available

    def with_room(self, margins: npt.NDArray[np.float64]) -> linear_programme.Programme:
        """The programme with every row so much weight stricter."""
        return dataclasses.replace(self.programme, b=self.programme.b - margins / self.available)

    def targets(self, margins: npt.NDArray[np.float64]) -> list[int] | None:
        """The weight of each cell, copies counted; None if the rows cannot be kept with these margins."""
        v = self._solved(self.with_room(margins))
        if v is None:
            return None
        weight = self.parts.total[:, order.WEIGHT]
        taken = np.bincount(self.cell, v, len(weight)) * self.available / np.maximum(weight, 1)
        whole = np.rint(taken)
        steps = np.floor(np.where(np.abs(taken - whole) < 1e-6, whole, taken) * GRID + 1 / 16)
        return [int(step) * int(own) >> 24 for step, own in zip(steps, weight, strict=True)]

    def _solved(self, programme: linear_programme.Programme) -> F64 | None:
        """The best v, or None. What undeclared text hides is weighed as if there were no size, and then the size is kept."""
        size = [number for number, row in enumerate(self.parts.rows) if row.base == "none" and row.sense == "max"]
        worth = MOST_FOR_ONE if self.parts.rule.config.select == "cut" else 1
        if not size or worth == 1:
            return self._with_copies(programme, worth)
        found = self._with_copies(programme, 1)
        others = np.setdiff1d(np.arange(len(programme.b)), size)
        unsized = dataclasses.replace(programme, a=programme.a[others], b=programme.b[others])
        v = linear_programme.solve(unsized, self._objectives(worth)[:1], [])
        doubtful = ((self.kind == 0) & self.doubtful).astype(np.float64)
        if found is None or v is None or doubtful @ v >= doubtful @ found - 1e-6:
            return found
        less = self._with_copies(_with_rows(programme, doubtful[None], np.array([doubtful @ v])), 1)
        declared = (self.kind == 0) & (self.labelled > 0) & ~self.doubtful
        return less if less is not None and less[declared].sum() > found[declared].sum() + 1e-6 else found

    @property
    def doubtful(self) -> npt.NDArray[np.bool_]:
        """Which variables are of text that goes before declared synthetic text."""
        ranks = [cell.rank is not None and cell.rank >= DOUBTFUL for cell in self.parts.cells]
        return np.array(ranks, bool)[self.cell]

    def _with_copies(self, programme: linear_programme.Programme, worth: int) -> F64 | None:
        """The best v in which copies are there only to reach a floor: where there are copies, it is just reached."""
        v = self._favoured(programme, worth)
        if v is None:
            return None
        copies = self.kind == 2
        floors = [(number, row.members[self.cell] & copies) for number, row in enumerate(self.parts.rows) if row.copies]
        slack = programme.b - programme.a @ v
        over = [number for number, own in floors if v[own].sum() > 1e-7 and slack[number] > 1e-7]
        if not over:
            return v
        reached = np.zeros(len(v), bool)
        for number, own in floors:
            reached |= own & (number not in over)
        idle = np.logical_or.reduce([own for number, own in floors if number in over]) & ~reached
        without = dataclasses.replace(programme, upper=np.where(idle, 0.0, programme.upper))
        just = _with_rows(programme, -programme.a[over].toarray(), -programme.b[over])
        found = [one for one in (self._favoured(without, worth), self._favoured(just, worth)) if one is not None]
        first = self._objectives(worth)[0]
        return max(found, key=lambda one: round(float(first @ one), 7), default=v)

    def _favoured(self, programme: linear_programme.Programme, worth: int) -> F64 | None:
        """The best v by the weights of `favour`, by which no cell that weighs more gets less than it would without."""
        objectives = self._objectives(worth)
        if (self.lifts <= 1).all():
            return linear_programme.solve(programme, objectives, self._fair(self.lifts))
        bare = dataclasses.replace(programme, upper=np.where(self.kind == 1, 0.0, programme.upper))
        v = linear_programme.solve(bare, objectives, self._fair(np.ones(len(self.lifts))))
        if v is not None:
            more = np.flatnonzero(self.lifts > 1)
            text = (self.kind == 0) & (self.cell == more[:, None])
            kept = _with_rows(programme, -text.astype(np.float64), -(text @ v))
            found = linear_programme.solve(kept, objectives, self._fair(self.lifts))
            if found is not None:
                return found
        return linear_programme.solve(programme, objectives, self._fair(self.lifts))

    def _objectives(self, worth: int) -> list[F64]:
        """The most text, where a copy is worth making only if it brings in more than itself; of that the most real text;
        then what favour adds; and no more copies than that takes.
        """
        text = (self.kind == 0).astype(np.float64)
        real = self.labelled if self.parts.rule.config.select == "cut" else self.counted
        found = [text / np.where(self.doubtful, worth, 1) - (self.kind == 2), text * (1 - real)]
        if (self.kind == 1).any():
            found.append((self.kind == 1).astype(np.float64))
        if (self.kind > 0).any():
            found.append(-(self.kind > 0).astype(np.float64))
        return found

    def _fair(self, lifts: F64) -> list[linear_programme.Sparse]:
        """What part of each cell is taken, over its weight; then how often it is repeated."""
        found, at = [], np.arange(len(self.cell))
        for which, own in ((self.kind == 0, self.own * lifts), (self.kind > 0, -self.own)):
            if which.any():
                parts = scipy.sparse.csr_array((which.astype(float), (self.cell, at)), (len(own), len(at)))
                parts.eliminate_zeros()
                found.append(_scaled(parts, 1 / own))
        return found

    def changes(self, conflict: linear_programme.Conflict) -> list[str]:
        """The smallest change that would do, one sentence for each row that gives way."""
        words = []
        for number in np.flatnonzero(conflict.change):
            row, change = self.parts.rows[number], Fraction(float(conflict.change[number]))
            if row.base == "none":
                by = math.ceil(change * self.available * Fraction(conflict.total))
                words.append(f"“{row.name}” {self._weight_then(row, by)[1]}")
                continue
            if row.base == "labelled":
                words.append(f"“{row.name}” gives way by {share(change, 'max')} of the release")
                continue
            words.append(f"“{row.name}” becomes {share(_moved(row, change), row.sense)}")
        return words

    def ways(self, conflict: linear_programme.Conflict) -> Iterator[Way]:
        """Each row of the conflict alone; and what undeclared text may hide at most, if that would do."""
        unit = self.parts.rule.unit
        hides = self._most_hidden()
        if hides is not None:
            part, most = hides
            undeclared = sum(one.weight for one in self.parts.weighed.undeclared)
            names = [
                n for n, one in zip(self.parts.rule.sources, self.parts.weighed.undeclared, strict=True) if one.weight
            ]
            said = f"say `origin: human` of source {', '.join(names)}, if you know it: its {undeclared:,} undeclared {unit}"
            yield Way(
                "declare", ", ".join(names), undeclared, f"{said} are counted as up to {share(most, 'max')} synthetic"
            )
            asked = auditable_of(self.parts.rule, self.parts.weighed, self.parts.opinion)
            if part * most > 0 and (way := labels_for(part * most, unit, asked, self.parts.opinion.rate)) is not None:
                yield way
        for number in conflict.rows:
            found, row = linear_programme.gives_way(self.programme, number), self.parts.rows[number]
            if found is None:
                continue
            change, total = found
            if row.base == "all":
                new = _moved(row, Fraction(change))
                if 0 <= new <= 1:
                    said = f"“{row.name}” becomes {share(new, row.sense)}"
                    yield Way("limit", row.name, float(new), said)
                continue
            if row.base == "none":
                weight, said = self._weight_then(row, math.ceil(change * total * self.available))
                yield Way("limit", row.name, weight, f"“{row.name}” {said}")
                continue
            yield Way("limit", row.name, change, f"“{row.name}” gives way by {share(change, 'max')} of the release")

    def _weight_then(self, row: Constraint, by: int) -> tuple[int, str]:
        """What a weight becomes that gives way by so much, and in words."""
        unit = self.parts.rule.unit
        if row.sense == "min":
            return max(0, row.bound - by), f"gives way by {by:,} {unit}"
        largest = max(along.largest for along in self.parts.along)
        if row.bound + by < largest:  # so small a release may have room for no document at all
            return largest, f"becomes {largest:,} {unit}, which is what the largest document has"
        return row.bound + by, f"becomes {row.bound + by:,} {unit}"

    def _most_hidden(self) -> tuple[float, float] | None:
        """The largest part of what is counted of undeclared text that would do, in steps of a 256th, and what is counted.

        None: nothing is counted, or not even nothing would do.
        """
        ranks = [cell.rank in (SPARED, DOUBTFUL) for cell in self.parts.cells]
        undeclared = np.array(ranks, bool)[self.cell]
        sums = self.parts.total[np.array(ranks, bool)].sum(axis=0)
        if not sums[order.COUNTED]:
            return None

        def would_do(part: float) -> bool:
            counted = np.where(undeclared, self.counted * part, self.counted)
            rows = [row.coefficients(self.cell, counted, self.labelled, self.kind > 0) for row in self.parts.rows]
            changed = dataclasses.replace(self.programme, a=scipy.sparse.csr_array(np.array(rows)))
            return linear_programme.feasible(changed)

        if not would_do(0.0):
            return None
        low, high = 0, 256  # the least that would not do is above the first
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if would_do(middle / 256) else (low, middle)
        return low / 256, float(sums[order.COUNTED] / order.UNITS / sums[order.WEIGHT])


def _with_rows(programme: linear_programme.Programme, a: F64, b: F64) -> linear_programme.Programme:
    """The programme with rows more, that leave room for a solver's rounding."""
    both = scipy.sparse.vstack([programme.a, scipy.sparse.csr_array(a)], "csr")
    return dataclasses.replace(programme, a=both, b=np.r_[programme.b, b + linear_programme.SLACK])


def _scaled(matrix: linear_programme.Sparse, by: npt.NDArray[np.float64]) -> linear_programme.Sparse:
    return scipy.sparse.csr_array(scipy.sparse.diags_array(by) @ matrix)


def _moved(row: Constraint, change: Fraction) -> Fraction:
    return min(Fraction(1), row.share + change) if row.sense == "max" else max(Fraction(0), row.share - change)


def held(sums: I64, total: I64) -> Held:
    """What is taken of each cell. `sums` with copies, `total` without: int64[cells, 4]."""
    return Held(sums, np.minimum(sums[:, order.WEIGHT], total[:, order.WEIGHT]))


def aim(weighed: Weighed, rule: Rule, opinion: Opinion) -> Aim:
    """Where to cut, on the profiles."""
    parts = _Programme(weighed, rule, opinion)
    return parts.by_prefix() if rule.config.is_budget_only else parts.by_programme()
