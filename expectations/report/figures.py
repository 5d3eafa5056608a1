"""The geometry of the report's pictures: numbers in, places in a drawing out. The template draws them.

Every picture is made twice, for a wide and for a narrow page, since letters in a shrunken drawing cannot be read.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from expectations.wording import at_most, number, plural

WIDE, NARROW = 856, 340
_EDGE = 8.0  # room left and right of an axis, so that half a tick label fits
_SLOT = 38.0  # two lines of text


def both(figure: Any, *arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    """A picture for a wide and for a narrow page; nothing if there is nothing to draw."""
    drawn = [(name, figure(*arguments, width)) for name, width in (("wide", WIDE), ("narrow", NARROW))]
    return [(name, drawing) for name, drawing in drawn if drawing is not None]


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a whole, and what it is drawn as."""

    label: str
    count: float
    kind: str  # a CSS class: kept, dropped or quarantined


def flow(parts: list[Part], width: int) -> dict[str, Any] | None:
    """Bands from one bar to the parts it falls into; None if there is nothing to draw.

    A part that would be thinner than a line is drawn as a line, so heights of tiny parts are not to scale.
    """
    total = sum(part.count for part in parts)
    if total <= 0:
        return None
    tall = 200.0
    left, right = 10.0, width * 0.42
    middle = (left + right) / 2
    heights = [max(2.0, tall * part.count / total) if part.count else 0.0 for part in parts]
    slots = [max(height, _SLOT) + 10 for height in heights]
    bands = []
    source, target = (sum(slots) - sum(heights)) / 2, 0.0
    bar_top = source
    for part, height, slot in zip(parts, heights, slots, strict=True):
        top = target + (slot - height) / 2
        path = (
            f"M{left:.1f},{source:.1f}C{middle:.1f},{source:.1f} {middle:.1f},{top:.1f} {right:.1f},{top:.1f}"
            f"V{top + height:.1f}C{middle:.1f},{top + height:.1f} {middle:.1f},{source + height:.1f} "
            f"{left:.1f},{source + height:.1f}Z"
        )
        bands.append(
            {"part": part, "path": path, "y": round(top, 1), "height": round(height, 1)}
            | {"text_y": round(target + slot / 2, 1), "share": number(part.count / total, "share")}
        )
        source, target = source + height, target + slot
    return {
        "width": width,
        "height": round(sum(slots), 1),
        "bands": bands,
        "right": round(right, 1),
        "bar_top": round(bar_top, 1),
        "bar_height": round(sum(heights), 1),
    }


def shares(rows: list[dict[str, Any]], limit: float | None, width: int) -> dict[str, Any] | None:
    """Estimates with their bounds on one axis from 0, and the limit.

    Args:
      rows: `label`, and the fractions `value`, `lower`, `upper`, each of which may be None.
      limit: the highest share allowed, or None.
      width: of the drawing, in pixels.
    """
    rows = [row for row in rows if row["value"] is not None or row["upper"] is not None]
    if not rows:
        return None
    ends = [end for row in rows for end in (row["value"], row["upper"], limit) if end is not None]
    widest = 1.1 * max(0.001, *ends)
    step = _step(widest)
    end = min(1.0, step * math.ceil(widest / step))
    scale = _linear(end, width)
    return {
        "width": width,
        "height": 64 * len(rows) + 46,
        "rows": [_share_row(row, limit, scale, 34 + 64 * place) for place, row in enumerate(rows)],
        "ticks": _ticks([step * i for i in range(round(end / step) + 1)], scale, width, "share"),
        "limit": None
        if limit is None
        else {"x": scale(limit), "text": f"limit {number(limit, 'share', 4)}"} | _anchored(scale(limit), width),
    }


def lengths(rows: list[dict[str, Any]], width: int) -> dict[str, Any] | None:
    """Quantiles (`q05` to `q95`, tokens) as boxes on a logarithmic axis."""
    rows = [row for row in rows if all(row[name] is not None for name in ("q05", "q25", "q50", "q75", "q95"))]
    if not rows:
        return None
    low = math.floor(math.log10(max(1.0, min(row["q05"] for row in rows))))
    high = math.ceil(math.log10(max(10.0, *(row["q95"] for row in rows))))
    high = max(high, low + 1)

    def scale(tokens: float) -> float:
        place = (math.log10(max(tokens, 10**low)) - low) / (high - low)
        return round(_EDGE + place * (width - 2 * _EDGE), 1)

    return {
        "width": width,
        "height": 58 * len(rows) + 28,
        "rows": [
            {"label": row["label"], "y": 18 + 58 * place, "median": number(row["q50"], "count")}
            | {name: scale(row[name]) for name in ("q05", "q25", "q50", "q75", "q95")}
            for place, row in enumerate(rows)
        ],
        "ticks": _ticks([10.0**power for power in range(low, high + 1)], scale, width, "count"),
    }


def fractions(rows: list[dict[str, Any]], width: int) -> dict[str, Any] | None:
    """Marks around 1 on one axis: what is left of each of some measures, by which step or against what.

    Args:
      rows: `label`, and `marks`: `kind` (dedup, mixture or reference), `value`, and `lower` and `upper`, which may be None.
      width: of the drawing, in pixels.
    """
    ends = [
        end
        for row in rows
        for mark in row["marks"]
        for end in (mark["value"], mark["lower"], mark["upper"])
        if end is not None
    ]
    if not ends:
        return None
    step = 0.1 if width == WIDE else 0.2
    low = max(0.0, step * math.floor(min(0.85, *ends) / step + 1e-9))
    high = min(2.0, step * math.ceil(max(1.05, *ends) / step - 1e-9))

    def scale(value: float) -> float:
        place = (min(max(value, low), high) - low) / (high - low)
        return round(_EDGE + place * (width - 2 * _EDGE), 1)

    kinds = [kind for kind in _MARKS if any(mark["kind"] == kind for row in rows for mark in row["marks"])]
    legend, x, y = [], 16.0, 12.0
    for kind in kinds:
        if width == NARROW and x > 16:
            x, y = 16.0, y + 22
        legend.append({"kind": kind, "words": _MARKS[kind], "x": x, "y": y, "path": _mark(kind, x, y)})
        x += 200
    top = y + 18
    drawn = []
    for place, row in enumerate(rows):
        text = top + 16 + 56 * place
        marks = [
            {"kind": mark["kind"], "y": text + down, "path": _mark(mark["kind"], scale(mark["value"]), text + down)}
            | {"low": None if mark["lower"] is None else scale(mark["lower"])}
            | {"high": None if mark["upper"] is None else scale(mark["upper"])}
            | {"words": f"{_MARKS[mark['kind']]} {number(mark['value'], 'share')}"}
            for mark in row["marks"]
            for down in [26 if mark["kind"] == "reference" else 12]  # below what the steps left, which have no limits
        ]
        drawn.append({"label": row["label"], "y": text, "marks": marks})
    ticks = [low + step * i for i in range(round((high - low) / step) + 1)]
    return {
        "width": width,
        "height": round(top + 56 * len(rows) + 28, 1),
        "rows": drawn,
        "legend": legend,
        "top": top,
        "one": scale(1.0),
        "ticks": _ticks(ticks, scale, width, "share"),
    }


_MARKS = {"dedup": "what dedup left", "mixture": "what the mixture left", "reference": "of the reference's"}


def _mark(kind: str, x: float, y: float) -> str:
    """A shape for each kind, so that colour is not needed: a triangle, a square, a circle."""
    if kind == "dedup":
        return f"M{x - 7:.1f},{y + 6:.1f}H{x + 7:.1f}L{x:.1f},{y - 7:.1f}Z"
    if kind == "mixture":
        return f"M{x - 5.5:.1f},{y - 5.5:.1f}h11v11h-11Z"
    return f"M{x - 6:.1f},{y:.1f}a6,6 0 1,0 12,0a6,6 0 1,0 -12,0Z"


def scores(curves: list[dict[str, Any]], width: int) -> dict[str, Any] | None:
    """Shares of documents by score as lines of steps over one axis, from the lowest to the highest that any has.

    Args:
      curves: `kind`, `words`, and `steps`: log-odds that a step of 1 begins at -> share of the documents.
      width: of the drawing, in pixels.
    """
    steps = sorted({step for curve in curves for step in curve["steps"]} | {-1, 0})
    low, high = steps[0], steps[-1] + 1
    most = max(part for curve in curves for part in curve["steps"].values())
    top, tall = 12.0 + 22 * len(curves), 150.0

    def x(score: float) -> float:
        return round(_EDGE + (score - low) / (high - low) * (width - 2 * _EDGE), 1)

    drawn = []
    for place, curve in enumerate(curves):
        path = f"M{x(low)},{top + tall}"
        for step in range(low, high):
            path += f"V{top + tall * (1 - curve['steps'].get(step, 0.0) / most):.1f}H{x(step + 1)}"
        drawn.append(
            {"kind": curve["kind"], "words": curve["words"], "path": f"{path}V{top + tall}", "y": 12 + 22 * place}
        )
    every = 5 if width == NARROW else 2
    ticks = [float(score) for score in range(low, high + 1) if score % every == 0]
    return {
        "width": width,
        "height": top + tall + 22,
        "top": top,
        "curves": drawn,
        "zero": x(0),
        "ticks": [{"x": x(score), "text": f"{score:g}"} | _anchored(x(score), width) for score in ticks],
    }


def cluster_sizes(size_counts: Mapping[Any, Any], width: int) -> dict[str, Any] | None:
    """Bars of how many clusters have 2, 3, 4 to 7, 8 to 15 ... documents; long bars are cut to the drawing."""
    bins: dict[int, int] = {}
    for size, count in size_counts.items():
        bin_ = int(size) if int(size) < 4 else 2 ** (int(size).bit_length() - 1)
        bins[bin_] = bins.get(bin_, 0) + int(count)
    if not bins:
        return None
    return _bars(
        {
            f"{plural(bin_, 'document')}" if bin_ < 4 else f"{bin_:,} to {2 * bin_ - 1:,}": bins[bin_]
            for bin_ in sorted(bins)
        },
        width,
    )


def similarities(counts: Mapping[str, float], width: int) -> dict[str, Any] | None:
    """Bars of how many near duplicates are how like their survivor; the labels are the steps, such as "0.80-0.85"."""
    return (
        _bars({label.replace("-", " to "): int(counts[label]) for label in sorted(counts)}, width) if counts else None
    )


def _bars(counts: Mapping[str, int], width: int) -> dict[str, Any]:
    """One bar a line, the longest as long as there is room."""
    most, room = max(counts.values()), width - 190
    rows = [
        {
            "label": label,
            "y": 26 * place,
            "length": round(max(2.0, room * count / most), 1),
            "text": number(count, "count"),
        }
        for place, (label, count) in enumerate(counts.items())
    ]
    return {"width": width, "height": 26 * len(rows), "rows": rows}


def _share_row(row: dict[str, Any], limit: float | None, scale: Any, y: int) -> dict[str, Any]:
    upper = row["upper"]
    return {
        "label": row["label"],
        "words": _share_words(row),
        "y": y,
        "over": limit is not None and upper is not None and upper > limit,
        "value_x": None if row["value"] is None else scale(row["value"]),
        "upper_x": None if upper is None else scale(upper),
        "from_x": scale(row["value"] if row["value"] is not None else 0.0),
    }


def _share_words(row: dict[str, Any]) -> str:
    words = []
    if row["value"] is not None:
        words.append(f"{number(row['value'], 'share')} estimated")
    words.append("no upper bound" if row["upper"] is None else at_most(row["upper"]))
    return ", ".join(words)


def _linear(end: float, width: int) -> Any:
    def scale(value: float) -> float:
        return round(_EDGE + min(value / end, 1.0) * (width - 2 * _EDGE), 1)

    return scale


def _step(end: float) -> float:
    """A round step that cuts 0..end into at most six."""
    power: float = 10.0 ** math.floor(math.log10(end / 6))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if end / (factor * power) <= 6)


def _ticks(values: list[float], scale: Any, width: int, form: str) -> list[dict[str, Any]]:
    return [{"x": scale(value), "text": number(value, form)} | _anchored(scale(value), width) for value in values]


def _anchored(x: float, width: int) -> dict[str, str]:
    """Where a label hangs on its tick, so that it stays inside the drawing."""
    return {"anchor": "start" if x < 30 else "end" if x > width - 40 else "middle"}
