"""The numbers that a page shows, found by name."""

from collections.abc import Callable
from typing import Any

from expectations import wording

SHOWN_FILES = 20
Few = Callable[[int], int]  # of so many rows how many are shown, so that the page stays small whatever the corpus


class Numbers:
    """The metrics of a release, by name. A missing number is None, and so is one that is not finite."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = [
            row | {name: wording.stable(row.get(name)) for name in ("value", "lower", "upper")} for row in rows
        ]
        self.unit = wording.unit_of(self.rows)
        self._at = {(row["metric"], row["stage"], row["slice_kind"], row["slice"]): row for row in self.rows}

    def row(self, metric: str, stage: str, kind: str = "overall", slice_: str = "") -> dict[str, Any]:
        """The row of a metric; without numbers if there is none."""
        nothing = {"value": None, "lower": None, "upper": None, "n": 0, "note": None}
        return self._at.get((metric, stage, kind, slice_), nothing)

    def value(self, metric: str, stage: str, kind: str = "overall", slice_: str = "") -> float | None:
        """Its value; None if it was not measured."""
        value: float | None = self.row(metric, stage, kind, slice_)["value"]
        return value

    def slices(self, metric: str, stage: str | None, kind: str) -> dict[str, float]:
        """Value by slice, largest first. Stage None: whichever stage it is told of, as for what was dropped."""
        found = {
            row["slice"]: row["value"]
            for row in self.rows
            if row["metric"] == metric and row["slice_kind"] == kind and stage in (None, row["stage"]) and row["value"]
        }
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def named(self, metric: str) -> dict[str, Any]:
        """Files by name with what is said of each, those that matter most first; `more` is how many are not shown."""
        files = [row for row in self.rows if row["metric"] == metric and row["slice_kind"] == "file"]
        files.sort(key=lambda row: (-(row["value"] or 0), row["slice"]))
        shown = [(row["slice"], row["note"] or "") for row in files[:SHOWN_FILES]]
        return {
            "files": shown,
            "total": self.total(metric) or 0,
            "more": max(0, (self.total(metric) or 0) - len(shown)),
        }

    def total(self, metric: str) -> float | None:
        """The overall value, whichever stage it is told of."""
        return next((r["value"] for r in self.rows if r["metric"] == metric and r["slice_kind"] == "overall"), None)

    def overall(self) -> list[dict[str, Any]]:
        """Every number of the whole, before and after side by side."""
        names = dict.fromkeys(row["metric"] for row in self.rows if row["slice_kind"] == "overall")
        return [
            {"metric": name, "before": self.row(name, "before"), "after": self.row(name, "after")} for name in names
        ]
