"""What moved between two releases, by how much, and whether that is more than noise. Early signs of collapse first.

The order is that in which signs of model collapse are seen in data: tails, then the diversity of words, templates,
redundancy, meaning, spread, distance (docs/decisions/0022). The noise of a difference comes from the limits that the rows
have; else from a bound that is written down here; else it is unknown, and then nothing is claimed.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from expectations import intervals, wording
from expectations.metrics import declared
from expectations.metrics.metric import DOCUMENTS, EARLY, SIGNS, SPLITS, TOKENS
from expectations.wording import plural

Row = Mapping[str, Any]
Key = tuple[str, str, str, str]  # metric, stage, slice kind, slice
Status = Literal["worse", "better", "moved", "same", "counted", "unknown", "came", "went"]
SIGMAS = 3.0  # a difference counts from three standard errors on: one false alarm in 370 comparisons, half of them bad
Z95 = 1.6449  # limits are taken as one-sided 95 %: if they are two-sided, they are used a little too wide
DOCUMENTED = (
    0.5  # relative standard deviation of Hill numbers of words x sqrt(documents): splits of English text, at most 0.47
)
ALIKE = 0.1  # relative difference of sizes up to which measures that grow with the corpus may be compared

LEADS = "synthetic share"  # of what moved this is said first, whatever else did: it is what a release is bounded by
UNEVEN = 0.25  # effective documents in one at most, where a release does not say: log-normal lengths of sigma 1.2
TEMPLATE = 5  # documents that a phrase takes to be a template: they are in it together, or none of them is


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
    tables = [{_key(row): row for row in rows} for rows in (first, second)]
    released = {key[0] for table in tables for key in table if key[1] == "after"}
    keys = {k for table in tables for k in table if k[1] == "after" or k[0] not in released}
    found = [_moved(key, tables, name, same_detector, same_unit) for key in keys]
    chosen = [one for one in found if one.before is not None or one.after is not None]
    return sorted(chosen, key=lambda one: (SIGNS.index(one.sign), one.slice_kind != "overall", *_place(one)))


def _key(row: Row) -> Key:
    return row["metric"], row["stage"], row["slice_kind"], row["slice"]


def _place(one: Movement) -> Key:
    return one.metric, one.stage, one.slice_kind, one.slice


def _moved(key: Key, tables: Sequence[Mapping[Key, Row]], name: str, same_detector: bool, same_unit: bool) -> Movement:
    about = declared.find(key[0])
    sign, worse = about.sign, about.worse
    first, second = (table.get(key) for table in tables)
    before, after = (wording.stable(row["value"]) if row else None for row in (first, second))
    if key[0].startswith("reference.") and after is not None and second is not None and _is_against(second, name):
        before, first = (0.0 if "distance" in key[0] else 1.0), None
        limits, basis = _own(None, second, before)
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


def noise_of(
    key: Key, first: Row, second: Row, tables: Sequence[Mapping[Key, Row]], same_detector: bool, same_unit: bool = True
) -> tuple[tuple[float, float] | None, str]:
    """How far below and above the change of a number its limits lie, and on what that rests.

    Args:
      key: of both rows.
      first, second: the rows; both have a value.
      tables: all rows of both releases, by key.
      same_detector: whether both were scored alike.
      same_unit: whether both were counted by the same tokenizer, or both in words.

    Returns:
      None where nothing is known; then the basis says why, and is empty for a plain count.
    """
    metric, about = key[0], declared.find(key[0])
    if metric.startswith("synthetic_share.") and not same_detector:
        return None, "not scored by the same detector"
    if about.of_tokens and not same_unit:
        return None, "not counted by the same tokenizer"
    if metric.startswith("synthetic_share.") and "cross_check" not in metric:
        return _of_share(key, (first, second), tables)
    of_reference = metric.startswith("reference.") or (
        metric.startswith("structure.") and metric.endswith(("ratio", "retention"))
    )
    if of_reference and first.get("note") != second.get("note"):
        return None, "not against the same reference"
    if len({_yardstick(row) for row in (first, second)}) > 1:
        return None, "not by the same yardstick"
    n = [int(row["n"] or 0) for row in (first, second)]
    if about.grows and (min(n) == 0 or max(n) > (1 + ALIKE) * min(n)):
        return None, "grows with the corpus, and the sizes differ"
    if metric.startswith("duplicates.") and about.grows and len({_sources(table) for table in tables}) > 1:
        return None, "depends on the sources, and they differ"
    limits, basis = _own(first, second, None)
    if limits is not None:
        return limits, basis
    pairs = list(zip((first, second), tables, strict=True))
    if about.noise == DOCUMENTS and min(n) > 0:
        worth = [m / _together(metric, table) for m, table in zip(n, tables, strict=True)]
        low, high = _mover(*(_wilson(row["value"], m) for (row, _), m in zip(pairs, worth, strict=True)))
        # A share that grows does so at most as fast as the corpus.
        growth = max(first["value"], second["value"]) * (max(n) / min(n) - 1) if about.grows else 0.0
        return (low + growth, high + growth), _as_drawn(worth, n)
    if about.noise == TOKENS and min(n) > 0:
        worth = [_worth(metric, row, table) for row, table in pairs]
        return _mover(*(_wilson(row["value"], m) for (row, _), m in zip(pairs, worth, strict=True))), (
            "documents as drawn, for their lengths fewer"
        )
    if about.noise == SPLITS:
        logs = metric.startswith("lexical.entropy")
        scale = [1 / math.log(2) if logs else row["value"] for row in (first, second)]
        spread = SIGMAS * DOCUMENTED * math.hypot(*(s / math.sqrt(m) for s, m in zip(scale, n, strict=True)))
        return (spread, spread), "documented: splits of English text"
    return None, "" if about.form == "count" else basis


def _as_drawn(worth: Sequence[float], n: Sequence[int]) -> str:
    return "documents as drawn" + (", in clusters" if any(w < m for w, m in zip(worth, n, strict=True)) else "")


def _of_share(
    key: Key, rows: Sequence[Row], tables: Sequence[Mapping[Key, Row]]
) -> tuple[tuple[float, float] | None, str]:
    """Noise of a synthetic share: that of its estimate, and that of which documents were drawn, which declared text has too.

    Undeclared documents are in both, so that the limits are a little too wide.
    """
    unit = key[0].rpartition(".")[2]
    estimates = [table.get((f"synthetic_share.interval.{unit}", *key[1:])) for table in tables]
    arms, estimated = [], False
    for row, estimate, table in zip(rows, estimates, tables, strict=True):
        share = table.get((f"synthetic_share.{unit}", *key[1:]), row)
        settled = share["upper"] is not None and wording.stable(share["upper"]) == wording.stable(share["value"])
        arm = (0.0, 0.0) if estimate is None and settled else _arm(estimate)
        n = _number(table, ("documents", *key[1:])) or float(row["n"] or 0)
        if arm is None:
            return None, "no interval of the estimate"
        if n <= 0:
            return None, "no documents"
        estimated |= max(arm) > 0
        if unit == "tokens":
            of_documents = _number(table, ("synthetic_share.documents", *key[1:]))
            n = _even(row["value"], of_documents, n, n * _kish(table))
        drawn = _wilson(row["value"], n)
        arms.append((math.hypot(arm[0], drawn[0]), math.hypot(arm[1], drawn[1])))
    drawn_as = "documents as drawn" + (", for their lengths fewer" if unit == "tokens" else "")
    return _mover(arms[0], arms[1]), ("bootstrap of the estimate, and " if estimated else "") + drawn_as


def _number(table: Mapping[Key, Row], key: Key) -> float | None:
    return wording.stable(table[key]["value"]) if key in table else None


def _kish(table: Mapping[Key, Row]) -> float:
    """How many documents of equal length one is worth, (sum w)^2 / (n sum w^2) by Kish (1965), in the whole release.

    Where a release does not say, as if lengths were log-normal: exp(-sigma^2), by their quantiles and by mean over median,
    and never more than `UNEVEN`.
    """
    names = ("length.effective_documents", "length.q50", "length.q95", "tokens", "documents")
    known, middle, long, tokens, documents = (_number(table, (name, "after", "overall", "")) for name in names)
    n = int(table[names[0], "after", "overall", ""]["n"] or 0) if known else 0
    if known and n:
        return min(1.0, known / n)
    by_quantiles = math.exp(-((math.log(long / middle) / Z95) ** 2)) if middle and long and long >= middle > 0 else 1.0
    by_mean = (middle * documents / tokens) ** 2 if middle and tokens and documents else 1.0
    return max(1e-6, min(UNEVEN, by_quantiles, by_mean))


def _even(share: float, of_documents: float | None, n: float, kish: float) -> float:
    """How many documents of equal length a share of tokens rests on: fewer if those in it have other lengths than the rest.

    Args:
      share: of the tokens.
      of_documents: the same of the documents; None: not known.
      n: documents.
      kish: what they are worth, by Kish.

    Returns:
      p(1 - p) over the linearised variance of the ratio, if lengths vary as much on both sides; never more than `kish`.
    """
    if of_documents is None or not (0 < share < 1 and 0 < of_documents < 1):
        return kish
    inside, outside = n * of_documents, n * (1 - of_documents)
    varies = (1 / kish) / (share**2 / inside + (1 - share) ** 2 / outside)
    return min(kish, 1 / (max(1.0, varies) * share * (1 - share) * (1 / inside + 1 / outside)))


def _worth(metric: str, row: Row, table: Mapping[Key, Row]) -> float:
    """How many documents of equal length a share of a release's tokens rests on."""
    kind = metric.partition(".")[0]
    slices = {
        at: {
            key[3]: float(one["value"])
            for key, one in table.items()
            if key[:3] == (at, "after", kind) and key[3] and one["value"]
        }
        for at in ("tokens", "documents")
    }
    n = sum(slices["documents"].values())
    if not metric.endswith(".max_share") or not slices["tokens"] or not n:
        return float(row["n"]) * _kish(table)
    largest = max(sorted(slices["tokens"]), key=lambda name: slices["tokens"][name])
    return _even(row["value"], slices["documents"].get(largest, 0.0) / n, n, n * _kish(table))


def _together(metric: str, table: Mapping[Key, Row]) -> float:
    """How many documents are in a fraction together: its variance over that of independent ones."""
    if metric == "repetition.template_rate":
        return TEMPLATE
    if not metric.startswith("duplicates."):
        return 1.0
    # If clusters are drawn and not documents: of one of s documents s - 1 are dropped.
    sizes = [
        (int(key[3]) - 1, float(row["value"] or 0))
        for key, row in table.items()
        if key[0] == "duplicates.clusters" and key[2] == "cluster_size" and key[3].isdigit()
    ]
    dropped = sum(size * n for size, n in sizes)
    return max(1.0, sum(size * size * n for size, n in sizes) / dropped) if dropped else 1.0


def _sources(table: Mapping[Key, Row]) -> frozenset[str]:
    return frozenset(key[3] for key in table if key[:3] == ("documents", "before", "source"))


def _yardstick(row: Row) -> str | None:
    """The yardstick that a number was taken by, if its note names one."""
    found = re.search(r"yardstick (\w+)", row.get("note") or "")
    return found[1] if found else None


def _own(first: Row | None, second: Row | None, known: float | None) -> tuple[tuple[float, float] | None, str]:
    """From the limits of both rows, or of the second if the first number is `known` exactly."""
    arms = [] if known is None else [(0.0, 0.0)]
    for row in (first, second) if known is None else (second,):
        arm = _arm(row)
        if arm is None:
            return None, "no limits, and no bound is known"
        if arm == (0.0, 0.0):
            return None, "its limits are the number itself, which is no noise"
        arms.append(arm)
    return _mover(arms[0], arms[1]), "limits of the numbers"


def _arm(row: Row | None) -> tuple[float, float] | None:
    """How far below and above a number its own limits lie, of SIGMAS standard errors."""
    numbers = [wording.stable(row[name]) if row else None for name in ("value", "lower", "upper")]
    if None in numbers:
        return None
    value, lower, upper = (float(one) for one in numbers if one is not None)
    return SIGMAS / Z95 * max(0.0, value - lower), SIGMAS / Z95 * max(0.0, upper - value)


def _mover(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Limits of a difference from those of its parts: MOVER (Zou & Donner 2008), for limits that need not be symmetric."""
    return math.hypot(second[0], first[1]), math.hypot(second[1], first[0])


def _wilson(share: float, n: float) -> tuple[float, float]:
    """How far below and above a share its limits lie, of SIGMAS standard errors (Wilson 1927)."""
    lower, upper = intervals.wilson(min(1.0, max(0.0, share)), n, SIGMAS)
    return max(0.0, share - lower), max(0.0, upper - share)


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
