"""How much is synthetic, and how that is known: shares with their bounds, scores beside the calibration's, conflicts, sites."""

from typing import Any

from expectations import wording
from expectations.report import figures
from expectations.report.numbers import Numbers

RANGES = (("interval", "95% interval of the estimate"),)
SHOWN_SOURCES = 40
CURVES = (
    ("human", "before", "human text of the calibration"),
    ("machine", "before", "machine text of the calibration"),
    ("undeclared", "before", "undeclared text that was read"),
    ("undeclared", "after", "undeclared text in the release"),
)


def shares(numbers: Numbers, limit: float | None) -> list[dict[str, Any]]:
    """The synthetic share by tokens and by documents, with its bound."""
    found = []
    for unit in ("tokens", "documents"):
        stages = [("before", "As read"), ("after", "In the release")]
        rows = [{"label": label} | numbers.row(f"synthetic_share.{unit}", stage) for stage, label in stages]
        drawings = figures.both(figures.shares, rows, limit if unit == "tokens" else None)
        notes = {row["note"] for row in rows if row["note"]}
        if drawings:
            ranges = [(words, numbers.row(f"synthetic_share.{name}.{unit}", "after")) for name, words in RANGES]
            ranges = [(words, row) for words, row in ranges if _says_something(row)]
            said = numbers.unit if unit == "tokens" else unit
            found.append({"unit": said, "rows": rows, "drawings": drawings, "notes": sorted(notes), "ranges": ranges})
    return found


def _says_something(row: dict[str, Any]) -> bool:
    """Whether a range has two ends that differ as they are shown."""
    low, high = (wording.number(row[end], "share") for end in ("lower", "upper"))
    return row["lower"] is not None and low != high


def origins(numbers: Numbers) -> list[dict[str, Any]]:
    """How many documents have which origin, and how it is known, before and after."""
    rows = []
    for kind in ("origin", "origin_basis"):
        before, after = numbers.slices("documents", "before", kind), numbers.slices("documents", "after", kind)
        for name in sorted({*before, *after}):
            origin, slash, basis = name.partition("/") if kind == "origin_basis" else (name, "", "")
            if kind == "origin_basis" and not slash:
                origin, basis = "any", name
            rows.append({"origin": origin, "basis": basis, "before": before.get(name, 0), "after": after.get(name, 0)})
    joint = any(row["origin"] != "any" and row["basis"] for row in rows)
    return [row for row in rows if row["basis"]] if joint else rows


def conflicts(numbers: Numbers) -> dict[str, Any]:
    """Where evidence of origin disagrees: by who says what, and by source, those that have any."""
    kinds = numbers.slices("origin.conflicts", "before", "conflict")
    kept = numbers.slices("origin.conflicts", "after", "conflict")
    sources = numbers.slices("origin.conflicts", "before", "source")
    rows = [
        {"name": name, "before": found, "after": numbers.value("origin.conflicts", "after", "source", name)}
        | {"rate": numbers.value("origin.conflict_rate", "before", "source", name)}
        for name, found in sources.items()
    ]
    return {
        "kinds": [
            dict(zip(("human", "synthetic"), kind.split("/"), strict=True))
            | {"before": found, "after": kept.get(kind, 0)}
            for kind, found in kinds.items()
        ],
        "sources": rows[:SHOWN_SOURCES],
        "more": max(0, len(rows) - SHOWN_SOURCES),
    }


def sites(numbers: Numbers) -> list[dict[str, Any]]:
    """The sites with the largest estimated share, largest first."""
    rows = [row for row in numbers.rows if row["metric"] == "site.synthetic_share.tokens"]
    return sorted(rows, key=lambda row: (-(row["value"] or 0.0), row["slice"]))


def scores(numbers: Numbers) -> dict[str, Any]:
    """How the detector's scores lie, of the corpus and of what it was calibrated on; nothing where no text rests on it."""
    curves: list[dict[str, Any]] = []
    for name, stage, words in CURVES:
        found = numbers.slices("detector.scores", stage, "score")
        steps = {int(at.partition("/")[2]): part for at, part in found.items() if at.startswith(f"{name}/")}
        n = max(
            (
                row["n"]
                for row in numbers.rows
                if row["metric"] == "detector.scores" and row["stage"] == stage and row["slice"].startswith(f"{name}/")
            ),
            default=0,
        )
        if steps:
            above = sum(part for step, part in steps.items() if step >= 0)
            curves.append({"kind": f"{name}-{stage}", "words": words, "steps": steps, "above": above, "n": n})
    if not any(one["kind"].startswith("undeclared") for one in curves):
        return {"curves": [], "drawings": []}
    return {"curves": curves, "drawings": figures.both(figures.scores, curves)}
