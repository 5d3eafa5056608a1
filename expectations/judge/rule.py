"""How a number and its bounds stand to the limits of an expectation: arithmetic alone, to be read without an engine."""

from collections.abc import Mapping, Sequence
from typing import Any

from expectations.wording import plural, stable

Row = Mapping[str, Any]  # a row of contracts.METRICS, as a table gives it


def compare(
    rows: Sequence[Row],
    bound: str,
    low: float | None,
    high: float | None,
    min_documents: int = 0,
    unsure: str = "fail",
) -> dict[str, Any]:
    """Hold the chosen number of every row against its limits. Nothing to compare is an error, never a pass.

    A number that rests on too few documents is inconclusive, unless it fails at its better bound too. One whose bound is
    outside the limits while its value is within is what `unsure` says.
    """
    judged = []
    for row in rows:
        numbers = {name: stable(row[name]) for name in ("value", "lower", "upper")}
        observed = numbers[bound]
        status = "error" if observed is None else "pass" if _within(observed, observed, low, high) else "fail"
        needed = max(min_documents, int(stable(row.get("needed")) or 0))
        value = numbers["value"]
        if status == "fail" and value is not None and _within(value, value, low, high):
            status = unsure
        if row["n"] < needed and not _fails_clearly(numbers, low, high):
            status = "inconclusive"
        note = row["note"] if isinstance(row["note"], str) else None
        judged.append(
            {"slice": row["slice"], **numbers, "n": int(row["n"]), "unit": row["unit"], "note": note}
            | {"observed": observed, "status": status, "needed": needed}
        )
    statuses = {row["status"] for row in judged}
    worst_first = ("fail", "error", "inconclusive")
    status = next((worst for worst in worst_first if worst in statuses), "pass" if judged else "error")
    missing = [row["slice"] for row in judged if row["status"] == "error"]
    error = None
    if not judged:
        error = "the metrics have no such row"
    elif missing:
        error = f"no finite {bound} for {len(missing)} of {plural(len(judged), 'row')}"
    return {"status": status, "error": error, "rows": judged}


def _within(at_least: float, at_most: float, low: float | None, high: float | None) -> bool:
    return (low is None or at_least >= low) and (high is None or at_most <= high)


def _fails_clearly(numbers: dict[str, float | None], low: float | None, high: float | None) -> bool:
    """Whether even the bound that speaks for the release is outside the limits; a number without bounds never does."""
    lower, upper = numbers["lower"], numbers["upper"]
    return lower is not None and upper is not None and not _within(upper, lower, low, high)
