"""The top of the report: the verdict in words, what to do first, and every expectation with what would mend it."""

from collections.abc import Mapping, Sequence
from typing import Any

from expectations import wording
from expectations.metrics import declared
from expectations.report.numbers import Few, Numbers
from expectations.report.page import STATUS
from expectations.wording import plural

SHOWN_EXPECTATIONS, SHOWN_WARNINGS, SHOWN_LINES = 80, 12, 60
_RANK = {"critical": 0, "warning": 1, "info": 2}

Item = Mapping[str, Any]  # an expectation of verdict.json


def headline(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict in words, before anything else on the page."""
    reasons = list(verdict.get("reasons") or [])
    status = verdict.get("status")
    asked = sum(item["severity"] == "critical" for item in verdict.get("expectations") or [])
    waived = list(verdict.get("waived") or [])
    if status == "passed" and waived:
        words = f"Passed, with waivers: {len(waived)} of {plural(len(verdict['expectations']), 'expectation')} "
        words += "does not hold and is waived." if len(waived) == 1 else "do not hold and are waived."
    elif status == "passed":
        words = f"Passed: {_critical(asked)} {'holds' if asked == 1 else 'hold'}."
    elif status == "failed" and len(reasons) == 1:
        words = f"Rejected: because {reasons[0][0].lower()}{reasons[0][1:]}"
    elif status == "failed":
        words = f"Rejected: because {len(reasons)} of {_critical(asked)} do not hold."
    else:
        words = "No verdict: this release has not been judged."
    return {"status": status or "none", "words": words, "waived": waived}


def _critical(asked: int) -> str:
    return "its critical expectation" if asked == 1 else f"its {plural(asked, 'critical expectation')}"


def summary(numbers: Numbers, passed: bool) -> str:
    """What is in the release, in a sentence or two; empty if nothing was counted."""
    read, kept = numbers.value("documents", "before"), numbers.value("documents", "after")
    if read is None or kept is None:
        return ""
    share = numbers.row("synthetic_share.tokens", "after")
    found = wording.estimate(share["value"], share["upper"])
    said = (
        f"The release {'has' if passed else 'would have'} {kept:,.0f} of the {plural(read, 'document')} that came in."
    )
    if share["value"] is None and share["upper"] is None:
        return f"{said} Its synthetic share was not measured."
    return f"{said} Its synthetic share of {numbers.unit} {'is' if passed else 'would be'} {found}."


def to_do(verdict: Mapping[str, Any], mends: Mapping[str, Sequence[str]], few: Few) -> dict[str, list[dict[str, Any]]]:
    """What does not hold, the gravest first, each with what would mend it: `first` decides, `then` does not."""
    items = [one for one in verdict.get("expectations") or [] if one["status"] != "pass" and not one.get("waived")]
    said = [
        {
            "severity": one["severity"],
            "status": one["status"],
            "message": one["message"],
            "ways": mends.get(one["key"], [])[:4],
        }
        | {"decides": one["severity"] == "critical" and one["status"] in ("fail", "error")}
        for one in sorted(items, key=lambda one: _RANK.get(one["severity"], 3))
    ]
    then = [one for one in said if not one["decides"] and one["severity"] != "info"]
    return {
        "first": [one for one in said if one["decides"]][: few(SHOWN_EXPECTATIONS)],
        "then": then[: few(SHOWN_WARNINGS)],
        "more": then[few(SHOWN_WARNINGS) :],
    }


def expectations(verdict: Mapping[str, Any], few: Few) -> dict[str, Any]:
    """Those that do not hold, the gravest first, and apart from them those that do, in the order of the suite."""
    items = [item | ({"status": "waived"} if item.get("waived") else {}) for item in verdict.get("expectations") or []]
    items.sort(key=lambda item: (item["status"] == "pass", _RANK.get(item["severity"], 3)))
    counts = {status: sum(item["status"] == status for item in items) for status in STATUS}
    shown = items[: few(SHOWN_EXPECTATIONS)]
    return {
        "open": [item for item in shown if item["status"] != "pass"],
        "holding": [item for item in shown if item["status"] == "pass"],
        "more": max(0, len(items) - few(SHOWN_EXPECTATIONS)),
        "counts": counts,
        "total": len(items),
    }


def told(lines: Sequence[str]) -> dict[str, list[str]]:
    """Lines of the terminal as sentences, items of a list and commands."""
    return {
        "sentences": [line for line in lines if not line.startswith(("- ", "lowbackground "))],
        "items": [line[2:] for line in lines if line.startswith("- ")],
        "commands": [line for line in lines if line.startswith("lowbackground ")],
    }


def facts(numbers: Numbers) -> list[tuple[str, str, str]]:
    """The numbers a reader wants first: what, how much, and a word about it."""
    read, kept = numbers.value("documents", "before"), numbers.value("documents", "after")
    tokens = numbers.value("tokens", "after")
    share = numbers.row("synthetic_share.tokens", "after")
    part = wording.number(kept / read, "share") if kept is not None and read else None
    return [
        (
            "Documents kept",
            wording.number(kept, "count"),
            f"{part} of {wording.number(read, 'count')} read" if part else "",
        ),
        (f"{numbers.unit.capitalize()} kept", wording.number(tokens, "count"), wording.of_a_model(numbers.rows)),
        (
            wording.title("synthetic_share.tokens", numbers.unit),
            wording.number(share["value"], "share"),
            "estimate, in the release",
        ),
        ("It is at most", wording.number(share["upper"], "share"), "upper bound, under the assumptions below"),
    ]


def unmeasured(numbers: Numbers, verdict: Mapping[str, Any], few: Few) -> dict[str, Any]:
    """Numbers without a value, each with its reason once, and expectations that found nothing to look at."""
    groups: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for row in numbers.rows:
        if row["metric"] in declared.METRICS and row["value"] is row["lower"] is row["upper"] is None:
            groups.setdefault((row["metric"], row.get("note")), []).append(row)
    lines = []
    for (metric, note), rows in groups.items():
        first = rows[0]
        about = wording.subject(metric, first["stage"], first["slice_kind"], first["slice"], numbers.unit)
        if len(rows) > 1:
            about = (
                f"{wording.title(metric, numbers.unit)}, in {plural(len(rows), 'stage or slice', 'stages and slices')},"
            )
        lines.append(wording.unmeasured(about, note))
    lines += [item["message"] for item in verdict.get("expectations") or [] if item["status"] == "error"]
    lines = list(dict.fromkeys(lines))
    return {"lines": lines[: few(SHOWN_LINES)], "more": max(0, len(lines) - few(SHOWN_LINES))}
