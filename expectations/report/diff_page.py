"""`diff` and `history` as one HTML page, in the style of a release's report: no request, the verdict first.

Names of releases, sources and slices come from data, so they are hostile: see `page`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from expectations import release_diff, wording
from expectations.metrics import declared
from expectations.metrics.metric import EARLY, SIGNS
from expectations.release_diff import Comparison, Movement
from expectations.report.page import page

SHOWN_SLICES, SHOWN_SOURCES = 60, 40
FATES = ("stayed", "came", "went")
WIDTH, MIDDLE, REACH = 136.0, 68.0, 60.0  # of the drawing of a change: its middle is no change
STEPS, LOW, HIGH = 120.0, 22.0, 4.0  # of the drawing of a series
STATUSES = ("worse", "better", "moved", "same", "unknown")
WORDS = {"same": "within noise", "unknown": "noise not known", "came": "new", "went": "gone", "counted": "counted"}
_LOOKS = {"worse": "failed", "better": "passed", "steady": "passed"}  # of the report's verdicts


def render_difference(
    names: Sequence[str],
    found: Sequence[Movement],
    verdict: Comparison,
    documents: Mapping[str, Any] | None,
    unit: str = wording.EITHER,
) -> str:
    """The page of `diff`.

    Args:
      names: of the two releases.
      found: what moved, early signs first.
      verdict: what it comes to.
      documents: `fates`: (fate, source, origin) -> (documents, tokens); `relabelled`: (origin before, after) -> documents.
      unit: what the releases call their tokens.

    Returns:
      A whole HTML document, the same for the same input.
    """
    return page(
        "movement.html.j2",
        title=f"{verdict.status.capitalize()}: {names[0][:60]} to {names[-1][:60]}",
        what="what moved between two releases",
        names=names,
        verdict=_headline(verdict),
        signs=_signs(found),
        documents=_documents(documents, unit) if documents else None,
        steps=[],
        unit=unit,
        **_numbers(found, None),
    )


def render_history(
    names: Sequence[str],
    found: Sequence[Movement],
    verdict: Comparison,
    series: Mapping[Movement, Sequence[float | None]],
    steps: Sequence[tuple[str, str, Comparison]],
    unit: str = wording.EITHER,
) -> str:
    """The page of `history`.

    Args:
      names: of the releases, the oldest first.
      found: what moved from the first to the last.
      verdict: what that comes to.
      series: the value of a number in each release.
      steps: the verdict from each release to the next.
    """
    return page(
        "movement.html.j2",
        title=f"{verdict.status.capitalize()}: {names[0][:60]} to {names[-1][:60]}",
        what="what moved over releases",
        names=names,
        verdict=_headline(verdict),
        signs=_signs(found),
        documents=None,
        steps=[{"from": a, "to": b, "verdict": _headline(one)} for a, b, one in steps],
        unit=unit,
        **_numbers(found, series),
    )


def _headline(verdict: Comparison) -> dict[str, Any]:
    """The verdict's line: what moved, and behind it how much was asked."""
    words, _, about = verdict.line.partition("; ")
    return {
        "look": _LOOKS.get(verdict.status, "none"),
        "status": verdict.status,
        "words": f"{words[0].upper()}{words[1:]}.",
        "about": f"{about[0].upper()}{about[1:]}." if about else "",
    }


def _signs(found: Sequence[Movement]) -> list[dict[str, Any]]:
    """How many numbers of whole releases moved which way, by sign, in the order in which signs are seen."""
    asked = [one for one in found if release_diff.decides(one)]
    rows = [
        {"name": name, "early": name in EARLY}
        | {status: sum(one.sign == name and one.status == status for one in asked) for status in STATUSES}
        for name in SIGNS
    ]
    return [row for row in rows if any(row[status] for status in STATUSES)]


def _numbers(
    found: Sequence[Movement], series: Mapping[Movement, Sequence[float | None]] | None
) -> dict[str, list[dict[str, Any]] | int]:
    """The rows of the tables: what moved, of whole releases and of slices, and what did not, or cannot be told."""
    whole = [one for one in found if release_diff.decides(one) and one.sign != "other"]
    moved = ("worse", "better", "moved")
    slices = [one for one in found if not release_diff.decides(one) and one.status in moved]

    def shown(some: Sequence[Movement]) -> list[dict[str, Any]]:
        return [_row(one, series.get(one) if series else None) for one in some]

    return {
        "moved": shown([one for one in whole if one.status in moved]),
        "slices": shown(slices[:SHOWN_SLICES]),
        "more_slices": max(0, len(slices) - SHOWN_SLICES),
        "within": shown([one for one in whole if one.status in ("same", "counted")]),
        "untold": shown([one for one in whole if one.status in ("unknown", "came", "went")]),
    }


def _row(one: Movement, values: Sequence[float | None] | None) -> dict[str, Any]:
    form = declared.find(one.metric).form
    kind = wording.SLICE_KINDS.get(one.slice_kind, one.slice_kind)
    return {
        "sign": one.sign,
        "status": one.status,
        "words": WORDS.get(one.status, one.status),
        "metric": one.metric,
        "slice": "" if one.slice_kind == "overall" else f"{kind} “{one.slice}”",
        **dict(zip(("before", "after"), release_diff.both(one), strict=True)),
        "change": None if one.change is None else release_diff.signed(one.change, form),
        "limits": None
        if one.low is None or one.high is None
        else f"{release_diff.signed(one.low, form)} to {release_diff.signed(one.high, form)}",
        "basis": one.basis,
        "drawing": _drawing(one),
        "series": _series(values) if values else None,
    }


def _drawing(one: Movement) -> dict[str, Any] | None:
    """The change and its limits about a middle that is no change, each number on a scale of its own."""
    if one.change is None or one.low is None or one.high is None:
        return None
    widest = max(abs(one.low), abs(one.high), abs(one.change))
    x = [round(MIDDLE + (REACH * value / widest if widest else 0.0), 1) for value in (one.low, one.change, one.high)]
    return {"width": WIDTH, "middle": MIDDLE, "low": x[0], "at": x[1], "high": x[2]}


def _series(values: Sequence[float | None]) -> dict[str, Any]:
    """A line from the lowest to the highest value; a gap where there is none."""
    known = [value for value in values if value is not None]
    low, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    lines: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        part = (value - low) / span if span else 0.5
        lines[-1].append((round(6 + at * (STEPS - 12) / (len(values) - 1), 1), round(LOW - part * (LOW - HIGH), 1)))
    return {"width": STEPS, "lines": [line for line in lines if line]}


def _documents(documents: Mapping[str, Any], unit: str) -> dict[str, Any]:
    fates: Mapping[tuple[str, str, str], tuple[int, int]] = documents["fates"]

    def total(at: int | None = None, name: str = "") -> dict[str, tuple[int, int]]:
        found = {}
        for fate in FATES:
            own = [n for key, n in fates.items() if key[0] == fate and (at is None or key[at] == name)]
            found[fate] = sum(n for n, _ in own), sum(tokens for _, tokens in own)
        return found

    every = total()
    human = {fate: tokens for fate, (_, tokens) in total(2, "human").items()}
    sources = sorted({key[1] for key in fates}, key=lambda name: (-sum(n for n, _ in total(1, name).values()), name))
    groups = [("All documents", every)]
    groups += [(f"Origin {name}", total(2, name)) for name in sorted({key[2] for key in fates})]
    groups += [(f"Source {name}", total(1, name)) for name in sources[:SHOWN_SOURCES]]
    had = human["stayed"] + human["went"]
    has = every["stayed"][1] + every["came"][1]
    kept, new = (human["stayed"] / had if had else None), (human["came"] / has if has else None)
    return {
        "facts": [
            *((f"Documents that {fate}", wording.number(every[fate][0], "count")) for fate in FATES),
            (f"Human {unit} of the first that the second still has", wording.number(kept, "share")),
            (f"{unit.capitalize()} of the second that are human and new", wording.number(new, "share")),
        ],
        "groups": groups,
        "more_sources": max(0, len(sources) - SHOWN_SOURCES),
        "relabelled": [(was, now, n) for (was, now), n in documents["relabelled"].items()],
    }
