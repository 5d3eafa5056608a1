"""From whole bins to single documents: where each cell is cut exactly, and what every document's lot is."""

import dataclasses
import itertools
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts
from expectations.wording import one_line
from transforms.kernels.choosing import order
from transforms.kernels.statistics import sampling
from transforms.kernels.text.columns import halves
from transforms.mixture.cells import Cell, Opinion, Rule, View, cells_of, sums_of
from transforms.mixture.limits import Constraint, Held
from transforms.mixture.targets import Aim, Goal, held
from transforms.mixture.ways_out import Way

I64 = npt.NDArray[np.int64]
EXTENSIONS = 3  # text of one cell may make room for text of another
Place = tuple[int, int, int]  # key and the two halves of the id: a total order


@dataclasses.dataclass(frozen=True)
class Edges:
    """Documents around the cuts: the number of their cell, their place, and `order.COLUMNS`."""

    cell: I64
    place: npt.NDArray[np.uint64]  # [documents, 3]
    sums: I64

    @classmethod
    def of(cls, parts: Iterable["Edges"]) -> "Edges":
        """All of them, in their order whatever the order of the parts."""
        none = cls(np.zeros(0, np.int64), np.zeros((0, 3), np.uint64), np.zeros((0, 4), np.int64))
        parts = [none, *parts]
        cell, place, sums = (np.concatenate([getattr(p, name) for p in parts]) for name in ("cell", "place", "sums"))
        by = np.lexsort((place[:, 2], place[:, 1], place[:, 0], cell))
        return cls(cell[by], place[by], sums[by])


@dataclasses.dataclass(frozen=True)
class ConstraintOutcome:
    """How one row came out: what it asks, what there is, and whether more text would break it."""

    name: str
    asked: float
    attained: float
    sense: str
    binds: bool
    of_share: bool
    is_weight: bool  # a weight, not a share
    of_nothing: bool  # no document is of what it names


@dataclasses.dataclass(frozen=True)
class Mixture:
    """What is taken of each cell, and the numbers behind it.

    Attributes:
      cuts: by cell, how often all its documents count, and before which place they count once more.
      unit: "documents", or what a token is called.
      real, available, taken: weight of text that is not labelled, of labelled text before and after; copies counted after.
      real_taken: as `taken`, of text that is not labelled.
      hidden: the part of the real text that is counted as synthetic.
      copied: the weight that copies add.
      missing: how much more real text would make room for all synthetic text; None: no amount would.
      rows: how every floor and cap came out.
      lifts: of `favour`, by stratum or structure.
      conflict, change: rows that cannot be kept together, and what would do; empty: they can.
      ways: what would do, one knob at a time; also where undeclared text was left out for what it may hide.
      limits: the floors and caps, by cell in the order of `cuts`, and by how much weight each is broken; below 0 is room.
    """

    cuts: dict[Cell, tuple[int, Place | None]]
    opinion: Opinion
    unit: str
    real: int
    available: int
    taken: int
    real_taken: int
    hidden: int
    copied: int
    missing: int | None
    rows: tuple[ConstraintOutcome, ...]
    lifts: dict[str, float]
    conflict: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    limits: tuple[tuple[Constraint, float], ...] = dataclasses.field(default=(), compare=False)

    def refusal(self) -> str:
        """Why there is no mixture, in a sentence; empty if there is one."""
        if not self.conflict:
            return ""
        asked = "; ".join(f"“{name}”" for name in self.conflict)
        together = "these cannot be kept together" if len(self.conflict) > 1 else "this cannot be kept"
        # Names of strata come from the data.
        if self.ways:
            ways = "; or ".join(way.words() for way in self.ways)
            return one_line(f"{together}: {asked}. Any one of these would do: {ways}.")
        return one_line(f"{together}: {asked}. The smallest change that would do: {'; '.join(self.change)}.")


def edges(offer: pa.RecordBatch, rule: Rule, aim: Aim) -> Edges:
    """The third pass over a batch: the documents between a cell's whole bins and the end of its window."""
    view = View(offer, rule)
    if not offer.num_rows or not aim.goals:
        return Edges.of(())
    cells, number = cells_of(view, aim.opinion)
    own = _numbers(aim.cells)
    goal = np.array([own[cell] for cell in cells])[number]
    low, high = (np.array([getattr(g, name) for g in aim.goals], np.int64)[goal] for name in ("low", "high"))
    keys = view.keys(aim.opinion)
    at = [np.flatnonzero((order.bin_of(key) >= low) & (order.bin_of(key) < high)) for key in keys]
    row = np.concatenate(at)
    key = np.concatenate([key[rows] for key, rows in zip(keys, at, strict=True)])
    ids = halves(offer["doc_id"])
    return Edges.of(
        [Edges(goal[row], np.stack([key, ids[0][row], ids[1][row]], axis=1), sums_of(view, aim.opinion)[row])]
    )


def _numbers(cells: Iterable[Cell]) -> dict[Cell, int]:
    return {cell: number for number, cell in enumerate(cells)}


def settle(found: Edges, aim: Aim, rule: Rule) -> Mixture:
    """Add the documents at the edges, in order, as the targets and the rows allow.

    First every cell goes to its target; if that breaks a row, every cell stays at its whole bins, for which all hold. Then
    one cell after the other is extended as far as all rows hold.
    """
    bounds = np.searchsorted(found.cell, np.arange(len(aim.cells) + 1))
    behind = [found.sums[start:end] for start, end in itertools.pairwise(bounds)]
    along = [np.vstack([np.zeros((1, 4), np.int64), np.cumsum(sums, axis=0)]) for sums in behind]
    base = np.array([g.rounds * t + g.whole for g, t in zip(aim.goals, aim.total, strict=True)], np.int64)
    base = base.reshape(-1, 4)
    state = _Settling(aim, base, along)
    at = state.at_targets()
    for _ in range(0 if aim.conflict else EXTENSIONS):
        at = state.extended(at)
    cuts: dict[Cell, tuple[int, Place | None]] = {}
    for number, (cell, goal) in enumerate(zip(aim.cells, aim.goals, strict=True)):
        cuts[cell] = (goal.rounds, _place(goal, found.place[bounds[number] : bounds[number + 1]], at[number]))
    return _summed(state.held(at), cuts, aim, rule)


def _place(goal: Goal, places: npt.NDArray[np.uint64], taken: int) -> Place | None:
    """The place that the documents of the round that is cut come before; None: no document is."""
    if goal.low == goal.high == 0:
        return None
    if taken < len(places):
        key, high, low = places[taken].tolist()
        return key, high, low
    return min(goal.high << 44, 2**64 - 1), 0, 0


class _Settling:
    """How many documents at its edge each cell takes, and what the rows say of it."""

    def __init__(self, aim: Aim, base: I64, along: list[I64]) -> None:
        self.aim, self.base, self.along = aim, base, along
        rows = aim.rows
        self.sign = np.array([1.0 if row.sense == "max" else -1.0 for row in rows])
        self.share = np.array([float(row.share) for row in rows])
        self.members = np.array([row.members for row in rows], np.float64).reshape(len(rows), len(base))

    def held(self, at: list[int]) -> Held:
        sums = self.base + np.array([a[i] for a, i in zip(self.along, at, strict=True)], np.int64).reshape(-1, 4)
        return held(sums, self.aim.total)

    def excess(self, at: list[int]) -> list[Fraction]:
        there = self.held(at)
        return [row.excess(there) for row in self.aim.rows]

    def at_targets(self) -> list[int]:
        at = []
        for goal, base, along in zip(self.aim.goals, self.base, self.along, strict=True):
            left = goal.target - int(base[order.WEIGHT])
            at.append(int(np.searchsorted(along[:, order.WEIGHT], left, side="right")) - 1)
        return at if max(self.excess(at), default=Fraction(0)) <= 0 else [0] * len(at)

    def extended(self, at: list[int]) -> list[int]:
        """Each cell in turn as far as every row holds. Floats say how far that may be, exact arithmetic decides."""
        at, now = list(at), np.array([float(over) for over in self.excess(at)])
        for number, along in enumerate(self.along):
            if at[number] == len(along) - 1 or self.aim.goals[number].rounds:
                continue  # copies are made up to the target, and not to fill a gap
            added = (along[at[number] + 1 :] - along[at[number]]).astype(np.float64)
            weight, counted = added[:, order.WEIGHT], added[:, order.COUNTED] / order.UNITS
            columns = {
                "weight": weight,
                "counted": counted,
                "distinct": weight,
                "all": weight,
                "labelled": added[:, order.LABELLED],
            }
            part = np.array([columns[row.measure] for row in self.aim.rows])
            of = np.array([columns.get(row.base, 0 * weight) for row in self.aim.rows])
            over = now[:, None] + self.sign[:, None] * (self.members[:, number, None] * part - self.share[:, None] * of)
            room = 1e-9 * float(self.base[:, order.WEIGHT].sum()) + 1e-6
            for end in np.flatnonzero((over <= room).all(axis=0))[::-1].tolist():
                longer = [*at[:number], at[number] + 1 + end, *at[number + 1 :]]
                excess = self.excess(longer)
                if max(excess, default=Fraction(0)) <= 0:
                    at, now = longer, np.array([float(one) for one in excess])
                    break
        return at


def _summed(there: Held, cuts: dict[Cell, tuple[int, Place | None]], aim: Aim, rule: Rule) -> Mixture:
    weighed, sums = aim.weighed, there.sums.sum(axis=0)
    weight, counted, labelled = (int(sums[i]) for i in (order.WEIGHT, order.COUNTED, order.LABELLED))
    available = weighed.weight - weighed.real
    hidden = -(-max(0, counted - labelled * order.UNITS) // order.UNITS)
    needed = sampling.needed(available, rule.config.max_share, -(-weighed.hidden // order.UNITS))
    missing = None if needed is None else max(0, needed - weighed.real)
    largest = max((p.largest for parts in weighed.cells.values() for p in parts), default=0)
    return Mixture(
        cuts=cuts,
        opinion=aim.opinion,
        unit=rule.unit,
        real=weighed.real,
        available=available,
        taken=labelled,
        real_taken=weight - labelled,
        hidden=hidden,
        copied=weight - int(there.distinct.sum()) if rule.config.select != "resample" else 0,
        missing=missing,
        rows=tuple(_came_out(row, there, largest) for row in aim.rows),
        lifts=aim.lifts,
        conflict=aim.conflict,
        change=aim.change,
        ways=aim.ways,
        limits=tuple((row, float(row.excess(there))) for row in aim.rows),
    )


def _came_out(row: Constraint, there: Held, largest: int) -> ConstraintOutcome:
    part, base = row.attained(there)
    is_weight = row.base == "none"
    asked = float(row.bound) if is_weight else float(row.share)
    binds = -row.excess(there) < largest
    return ConstraintOutcome(
        name=row.name,
        asked=asked,
        attained=float(part / base) if base else 0.0,
        sense=row.sense,
        binds=binds,
        of_share=row.of_share,
        is_weight=is_weight,
        of_nothing=not row.members.any(),
    )


def take(offer: pa.RecordBatch, rule: Rule, mixture: Mixture) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The fourth pass: how often each document of a batch counts, and whether it is the synthetic share that drops it.

    int32[documents]; 0: it is dropped. bool[documents].
    """
    view = View(offer, rule)
    n = offer.num_rows
    if not n:
        return np.zeros(0, np.int32), np.zeros(0, bool)
    cells, number = cells_of(view, mixture.opinion)
    keys, (high, low) = view.keys(mixture.opinion), halves(offer["doc_id"])
    cuts = [mixture.cuts[cell] for cell in cells]
    rounds = np.array([rounds for rounds, _ in cuts], np.int32)[number]
    copies = rounds * len(keys)
    at = np.array([(0, 0, 0) if cut is None else cut for _, cut in cuts], np.uint64)[number]
    for key in keys:
        before = (key < at[:, 0]) | ((key == at[:, 0]) & ((high < at[:, 1]) | ((high == at[:, 1]) & (low < at[:, 2]))))
        copies = copies + before
    own = _numbers(mixture.cuts)
    for_share = _for_share(sums_of(view, mixture.opinion), np.array([own[cell] for cell in cells])[number], mixture)
    return copies.astype(np.int32), for_share


def _for_share(sums: I64, cell: I64, mixture: Mixture) -> npt.NDArray[np.bool_]:
    """Whether a limit of synthetic text keeps each document out, and not another: the one with the least room for it.

    Room is counted in how often the document would fit in. bool[documents].
    """
    parts = {
        "weight": sums[:, order.WEIGHT],
        "distinct": sums[:, order.WEIGHT],
        "counted": sums[:, order.COUNTED] / order.UNITS,
    }
    bases = {"all": sums[:, order.WEIGHT], "labelled": sums[:, order.LABELLED], "none": 0 * sums[:, order.WEIGHT]}
    least, found = np.full(len(sums), np.inf), np.ones(len(sums), bool)
    for row, excess in mixture.limits:
        over = np.where(row.members[cell], parts[row.measure], 0) - float(row.share) * bases[row.base]
        takes = over if row.sense == "max" else -over
        times = np.where(takes > 0, -excess / np.where(takes > 0, takes, 1), np.inf)
        nearer = times < least
        least, found = np.where(nearer, times, least), np.where(nearer, row.of_share, found)
    return found


REASON_OF_SHARE, REASON_OF_LIMIT = (contracts.REASONS.index(r) for r in ("over_synthetic_share", "over_limit"))
