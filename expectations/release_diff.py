"""What moved between two releases, by how much, and whether that is more than noise. Early signs of collapse first.

The order is that in which signs of model collapse are seen in data: tails, then the diversity of words, templates,
redundancy, meaning, spread, distance (docs/decisions/0022).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from expectations import wording
from expectations.metrics import declared
from expectations.metrics.metric import EARLY, SIGNS
from expectations.noise import Key, Row, key_of, noise_of, own_limits
from expectations.wording import plural

Status = Literal["worse", "better", "moved", "same", "counted", "unknown", "came", "went"]
LEADS = "synthetic share"  # of what moved this is said first, whatever else did: it is what a release is bounded by


@dataclasses.dataclass(frozen=True)
class Movement:
    """One number in two releases."""

    sign: str
    metric: str
    stage: str
    slice_kind: str
    slice: str
    before: float | None
    after: float | None
    change: float | None
    low: float | None  # limits of the change, of SIGMAS standard errors; None: unknown
    high: float | None
    basis: str  # where the limits come from, or why there are none
    status: Status

    @property
    def key(self) -> Key:
        """What names its rows in both releases."""
        return self.metric, self.stage, self.slice_kind, self.slice


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What it comes to."""

    status: Literal["worse", "better", "steady", "unknown"]
    line: str


def movements(
    first: Sequence[Row],
    second: Sequence[Row],
    name: str = "",
    same_detector: bool = True,
    same_unit: bool = True,
) -> list[Movement]:
    """What moved from one release to another.

    Args:
      first, second: rows of `contracts.METRICS`.
      name: of the first release: numbers that the second one gives against it are changes themselves.
      same_detector: whether both were scored alike; else shares of synthetic text cannot be compared.
      same_unit: whether both were counted by the same tokenizer, or both in words; else nothing in that unit can be.

    Returns:
      One for every row of either that has a value, early signs first. Of a metric that is told of several stages only
      that of the release.
    """
    tables = [{key_of(row): row for row in rows} for rows in (first, second)]
    released = {key[0] for table in tables for key in table if key[1] == "after"}
    keys = {k for table in tables for k in table if k[1] == "after" or k[0] not in released}
    found = [_moved(key, tables, name, same_detector, same_unit) for key in keys]
    chosen = [one for one in found if one.before is not None or one.after is not None]
    return sorted(chosen, key=lambda one: (SIGNS.index(one.sign), one.slice_kind != "overall", *one.key))


def _moved(key: Key, tables: Sequence[Mapping[Key, Row]], name: str, same_detector: bool, same_unit: bool) -> Movement:
    about = declared.find(key[0])
    sign, worse = about.sign, about.worse
    first, second = (table.get(key) for table in tables)
    before, after = (wording.stable(row["value"]) if row else None for row in (first, second))
    if key[0].startswith("reference.") and after is not None and second is not None and _is_against(second, name):
        before = 0.0 if "distance" in key[0] else 1.0
        limits, basis = own_limits(None, second)
    elif before is None or after is None:
        status: Status = "unknown" if (before, after) == (None, None) else "came" if before is None else "went"
        return Movement(sign, *key, before, after, None, None, None, "only one of them has it", status)
    else:
        assert first is not None and second is not None, key  # noqa: PT018
        limits, basis = noise_of(key, first, second, tables, same_detector, same_unit)
    change = after - before
    if limits is None and change == 0:
        return Movement(sign, *key, before, after, 0.0, None, None, "equal", "same")
    if limits is None:
        counted = about.form == "count" and not basis
        return Movement(sign, *key, before, after, change, None, None, basis, "counted" if counted else "unknown")
    low, high = change - limits[0], change + limits[1]
    status = "same"
    if low > 0 or high < 0:
        status = "moved" if not worse else "worse" if (low > 0) == (worse == "up") else "better"
    return Movement(
        sign, *key, before, after, wording.stable(change), wording.stable(low), wording.stable(high), basis, status
    )


def _is_against(row: Row, name: str) -> bool:
    return bool(name) and f"against {name}," in f"{row.get('note') or ''},".replace(";", ",")


def decides(one: Movement) -> bool:
    """Whether a movement counts for the verdict: whole releases, and what stakeholders declared."""
    return one.slice_kind in ("overall", "system", "structure")


def verdict(found: Sequence[Movement]) -> Comparison:
    """What the movements come to, in one line."""
    asked = [one for one in found if decides(one) and declared.find(one.metric).worse]
    known = [one for one in asked if one.low is not None]
    untold = sum(one.status == "unknown" for one in asked)
    unknown = f"; {untold} cannot be told from noise" if untold else ""
    alarms = (
        f"{plural(len(known), 'comparison')}, {len(known) * 0.00135:.2g} false alarms of this kind expected{unknown}"
    )
    if not known and not any(one.status == "same" for one in asked):
        return Comparison(
            "unknown", f"unknown: no number of the {len(asked)} that say which way is worse has known noise"
        )
    ways: dict[Literal["worse", "better"], str] = {"worse": "wrong", "better": "right"}
    for status, way in ways.items():
        moved = [one for one in known if one.status == status]
        if moved:
            first = min(moved, key=lambda one: one.sign != LEADS)
            early = ", an early sign of collapse" if first.sign in EARLY and status == "worse" else ""
            more = (
                [f"{plural(len(moved) - 1, 'other number')} moved the {way} way beyond noise"] if len(moved) > 1 else []
            )
            more += ["none moved the wrong way"] if status == "better" else []
            return Comparison(status, "; ".join([f"{status}: {in_words(first)}{early}", *more, alarms]))
    return Comparison("steady", f"steady: nothing moved beyond noise; {alarms}")


def in_words(one: Movement) -> str:
    """A movement as a person says it: "Synthetic share of tokens nearly doubled, from 6.2% to 11.5% (+5.3 points)"."""
    about = declared.find(one.metric)
    assert one.before is not None, one
    assert one.after is not None, one
    kind = wording.SLICE_KINDS.get(one.slice_kind, one.slice_kind)
    where = "" if one.slice_kind == "overall" else f' of {kind} "{wording.one_line(one.slice)}"'
    change = f" ({wording.points(one.after - one.before)})" if about.form == "share" else ""
    return f"{about.title}{where} {wording.moved(one.before, one.after, about.form)}{change}"


def _of(one: Movement) -> str:
    return "" if one.slice_kind == "overall" else f', {one.slice_kind} "{wording.one_line(one.slice)}"'


def as_lines(found: Sequence[Movement], most: int = 20) -> list[str]:
    """The movements as a table: whole releases, then slices that moved, the most at most."""
    whole = [one for one in found if decides(one) and one.sign != "other"]
    slices = [one for one in found if not decides(one) and one.status in ("worse", "better", "moved")]
    lines = []
    for one in [*whole, *slices[:most]]:
        form = declared.find(one.metric).form
        before, after = both(one)
        said = (
            one.status if one.status not in ("unknown", "same") else "?" if one.status == "unknown" else "within noise"
        )
        limits = ""
        if one.low is not None and one.high is not None and one.change is not None:
            limits = f"{signed(one.change, form)} ({signed(one.low, form)} to {signed(one.high, form)})"
        elif one.change is not None:
            limits = signed(one.change, form)
        lines.append(
            f"  {one.sign:16.16} {said:12} {before:>10} -> {after:<10} {limits:32} {one.metric}{_of(one)}"
            + (f"  [{one.basis}]" if one.basis else "")
        )
    if len(slices) > most:
        lines.append(f"  and {plural(len(slices) - most, 'more slice')} that moved, in --format json")
    return lines


def both(one: Movement) -> tuple[str, str]:
    """The number in either release, with so many digits that what differs looks different."""
    form = declared.find(one.metric).form
    if one.before is None or one.after is None:
        return wording.number(one.before, form), wording.number(one.after, form)
    return wording.told_apart(one.before, one.after, form)


def signed(value: float, form: str) -> str:
    """A change in words, with its sign; of a share in points of per cent."""
    if form == "share":
        return wording.points(value)
    return ("+" if value > 0 else "-" if value < 0 else "") + wording.number(abs(value), form, 2)
