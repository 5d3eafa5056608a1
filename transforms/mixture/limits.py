"""What a mixture must keep to, as rows: `sum of members <= share x base`, checked in exact arithmetic."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from transforms.kernels.choosing import order
from transforms.mixture.cells import Cell, Opinion, Rule
from transforms.mixture.config import DIMENSIONS, Limit

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Held:
    """What is taken of each cell.

    Attributes:
      sums: int64[cells, 4], `order.COLUMNS`, copies counted.
      distinct: int64[cells], weight without copies.
    """

    sums: I64
    distinct: I64


Base = Literal["all", "labelled", "none"]


@dataclasses.dataclass(frozen=True)
class Constraint:
    """One floor or cap.

    Attributes:
      name: in words, for people.
      sense: whether `share` (or `bound`) is the most or the least.
      members: which cells it is about. bool[cells].
      measure: their weight, their counted synthetic weight, or their weight without copies.
      base: a share of all, of the labelled text, or (none) a weight of its own, `bound`.
      of_share: it limits synthetic text as such.
      copies: real documents may count more than once to reach it.
    """

    name: str
    sense: Literal["max", "min"]
    members: npt.NDArray[np.bool_]
    measure: Literal["weight", "counted", "distinct"] = "weight"
    base: Base = "all"
    share: Fraction = Fraction(0)
    bound: int = 0
    of_share: bool = False
    copies: bool = False

    def attained(self, held: Held) -> tuple[Fraction, int]:
        """The members' weight, and what it is a share of; 1 where it is no share."""
        if self.measure == "distinct":
            part = Fraction(int(held.distinct[self.members].sum()))
        else:
            column, units = (order.COUNTED, order.UNITS) if self.measure == "counted" else (order.WEIGHT, 1)
            part = Fraction(int(held.sums[self.members, column].sum()), units)
        columns = {"all": order.WEIGHT, "labelled": order.LABELLED}
        return part, int(held.sums[:, columns[self.base]].sum()) if self.base in columns else 1

    def excess(self, held: Held) -> Fraction:
        """By how much weight the row is broken; 0 or less: it holds."""
        part, base = self.attained(held)
        allowed = Fraction(self.bound) if self.base == "none" else self.share * base
        return part - allowed if self.sense == "max" else allowed - part

    def coefficients(self, cell: I64, counted: F64, labelled: F64, copies: npt.NDArray[np.bool_]) -> F64:
        """The row over variables, so that (row x variables) <= bound. float64[variables].

        Args:
          cell: of each variable.
          counted, labelled: the part of its weight that counts, and that is labelled.
          copies: whether it is about copies.
        """
        measured = {"weight": np.ones(len(cell)), "counted": counted, "distinct": (~copies).astype(np.float64)}
        part = np.where(self.members[cell], measured[self.measure], 0.0)
        base = {"all": np.ones(len(cell)), "labelled": labelled, "none": np.zeros(len(cell))}[self.base]
        over = part - float(self.share) * base
        return over if self.sense == "max" else -over


def rows_of(rule: Rule, cells: Sequence[Cell], available: Held) -> list[Constraint]:
    """Everything that a recipe asks of its mixture.

    Args:
      rule: the recipe's.
      cells: in their order.
      available: everything taken once.
    """
    config = rule.config
    everything = np.ones(len(cells), bool)
    said = {"upper_bound": "labelled or hidden", "estimate": "declared or estimated", "labelled": "labelled"}
    name = f"at most {_percent(config.max_share)} synthetic ({said[config.count]})"
    rows = [Constraint(name, "max", everything, "counted", share=config.max_share, of_share=True)]
    if config.select == "resample":
        most = math.floor(Fraction(str(config.resample.size)) * int(available.distinct.sum()))
        name = f"at most {config.resample.size:g} times what is available"
        rows.append(Constraint(name, "max", everything, base="none", bound=most))
    if config.size is not None:
        name = f"at most {config.size:,} {rule.unit}"
        rows.append(Constraint(name, "max", everything, base="none", bound=config.size))
    for kind, limit in config.kinds.items():
        name = f"at most {_percent(_exact(limit))} {kind} synthetic text"
        members = np.array([cell.kind == kind for cell in cells], bool)
        rows.append(Constraint(name, "max", members, "counted", share=_exact(limit), of_share=True))
    for item in config.limits:
        rows.extend(_of_limit(item, cells))
    if not config.is_budget_only:
        rows.extend(_of_people(rule, cells, available))
    return rows


def _of_people(rule: Rule, cells: Sequence[Cell], available: Held) -> Iterator[Constraint]:
    """Protected sources, fresh and retained human text."""
    protected = np.array([bool(cell.protected) for cell in cells], bool)
    if protected.any():
        names = ", ".join(name for name, is_so in zip(rule.sources, rule.protected, strict=True) if is_so)
        least = int(available.distinct[protected].sum())
        yield Constraint(f"all of protected {names}", "min", protected, "distinct", "none", bound=least)
    fresh, retain = rule.config.fresh_human, rule.config.retain_human
    if fresh is not None:
        members = np.array([cell.human == "fresh" for cell in cells], bool)
        yield Constraint(f"at least {_percent(_exact(fresh))} fresh human text", "min", members, share=_exact(fresh))
    if retain is not None:
        members = np.array([cell.human == "again" for cell in cells], bool)
        least = math.ceil(_exact(retain) * rule.earlier_human)
        name = f"at least {_percent(_exact(retain))} of the earlier releases' human text ({least:,} {rule.unit})"
        yield Constraint(name, "min", members, "distinct", "none", bound=least)


def _of_limit(limit: Limit, cells: Sequence[Cell]) -> Iterator[Constraint]:
    if limit.each is not None:
        values = sorted({value for cell in cells if (value := getattr(cell, limit.each))})
        groups = [{limit.each: value} for value in values]
    else:
        groups = [dict(limit.values)]
    for group in groups:
        members = np.array([all(getattr(cell, k) == v for k, v in group.items()) for cell in cells], bool)
        of_generator = "generator" in group
        what = ", ".join(f"{name} {group[name]}" for name in DIMENSIONS if name in group)
        of = " of synthetic text" if of_generator else ""
        base: Base = "labelled" if of_generator else "all"
        if limit.min is not None:
            least, copies = _exact(limit.min), limit.max_copies > 1
            name = f"at least {_percent(least)}{of} from {what}"
            yield Constraint(name, "min", members, base=base, share=least, copies=copies)
        if limit.max is not None:
            most = _exact(limit.max)
            yield Constraint(f"at most {_percent(most)}{of} from {what}", "max", members, base=base, share=most)


def _exact(share: float) -> Fraction:
    return Fraction(str(share))


def _percent(share: Fraction) -> str:
    return f"{float(100 * share):.6g}%"


def copies_of(rule: Rule, cells: Sequence[Cell]) -> I64:
    """How often the documents of each cell may count to reach a floor. int64[cells]."""
    most = np.ones(len(cells), np.int64)
    for number, cell in enumerate(cells):
        for limit in rule.config.limits:
            here = all(getattr(cell, name) == value for name, value in limit.values.items())
            if (
                here
                and limit.min is not None
                and (limit.each is None or getattr(cell, limit.each))
                and not cell.labelled
            ):
                most[number] = max(most[number], limit.max_copies)
    return most


def lifts_of(rule: Rule, cells: Sequence[Cell], weight: I64, opinion: Opinion) -> dict[str, float]:
    """How much more each stratum or structure of `favour` weighs, by its name.

    The largest stratum has 1, and so have documents without any of the structures, which are not listed.
    """
    favour = rule.config.favour
    if favour is None:
        return {}
    if rule.favoured:
        return dict(zip(rule.favoured.names, opinion.lifts.tolist(), strict=True))
    total: dict[str, int] = {}
    for cell, own in zip(cells, weight.tolist(), strict=True):
        name = getattr(cell, favour.by)
        total[name] = total.get(name, 0) + own
    most = max(total.values())
    return {
        name: min(favour.max_weight, (most / own) ** (1 - favour.power)) if own else 1.0
        for name, own in sorted(total.items())
    }
