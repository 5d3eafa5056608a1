"""The metrics of a release without the documents that go: what is counted anew, bounded, or said to be as it was."""

import collections
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations import wording
from expectations.wording import plural
from pipeline.commands.withdrawn_files import WITHDRAWN, Withdrawn
from transforms.exclusions.personal_data import numbers_in
from transforms.measures.metrics import in_table

CREDENTIALS = "credentials.documents"


def metrics_left(metrics: pa.RecordBatch, removed: pa.Table, old: Withdrawn) -> pa.RecordBatch:
    """METRICS of what is left: counts that are exact, bounds that hold, and of the rest what it was before."""
    lost = _lost(removed)
    rows: list[dict[str, Any]] = metrics.to_pylist()
    before = {(row["metric"], row["slice_kind"], row["slice"]): row["value"] for row in rows if row["stage"] == "after"}
    note = f"of {old.manifest['release']}, before the withdrawal of {plural(removed.num_rows, 'document')}"
    dropped: dict[tuple[str, str], float] = {("overall", ""): removed.num_rows, ("reason", WITHDRAWN): removed.num_rows}
    for source, n in collections.Counter(removed["source"].to_pylist()).items():
        dropped["source_reason", f"{source}/{WITHDRAWN}"] = n
    for row in rows:
        at = row["slice_kind"], row["slice"]
        unit = row["metric"].rpartition(".")[2]
        if row["metric"] in lost and row["stage"] == "after":
            row["value"] -= lost[row["metric"]][at]
        elif row["metric"] == "documents.dropped":
            row["value"] += dropped.pop(at, 0)
        elif row["stage"] != "before":
            if row["metric"].startswith("synthetic_share.") and (whole := before.get((unit, *at))) is not None:
                _widen(row, whole, lost[unit][at])
            row["note"] = f"{note}; {row['note']}" if row["note"] else note
    sources = {tuple(at): n for at, n in dropped.items()}
    template = next(row for row in rows if row["metric"] == "documents.dropped")
    rows += [template | {"slice_kind": kind, "slice": name, "value": n} for (kind, name), n in sources.items()]
    return in_table(rows, wording.unit_of(rows))  # type: ignore[arg-type]


def _lost(removed: pa.Table) -> dict[str, collections.Counter[tuple[str, str]]]:
    """Documents, tokens, documents with a credential and what was masked that go, by the slices of these metrics."""
    found: dict[str, collections.Counter[tuple[str, str]]] = {
        name: collections.Counter() for name in ("documents", "tokens", CREDENTIALS, "personal.masked")
    }
    years = pc.fill_null(pc.year(removed["created"].cast(pa.timestamp("us"))).cast(pa.string()), "unknown")
    for row in removed.set_column(removed.column_names.index("created"), "year", years).to_pylist():
        language = row["language"] or "unknown"
        generator = (row["generator"] or "unknown") if row["origin"] == "synthetic" else ""
        slices = [
            ("overall", ""),
            ("source", row["source"]),
            ("language", language),
            ("year", row["year"]),
            ("origin", row["origin"]),
            ("source_origin", f"{row['source']}/{row['origin']}"),
            ("origin_basis", f"{row['origin']}/{row['origin_basis']}"),
            *([("generator", generator)] if generator else []),
            *([("licence", row["licence"])] if "licence" in row else []),
        ]
        for at in slices:
            found["documents"][at] += 1
            found["tokens"][at] += row["n_tokens"] * row["copies"]
        if has := re.search(r"credential:(\w+)", row.get("evidence", "")):
            found[CREDENTIALS].update([("overall", ""), ("source", row["source"]), ("credential", has[1])])
        for kind, n in numbers_in(row.get("masked")).items():
            found["personal.masked"]["personal", kind] += n
            found["personal.masked"]["source_personal", f"{row['source']}/{kind}"] += n
    return found


def _widen(row: dict[str, Any], whole: float, lost: float) -> None:
    """Bounds of a share of what is left, whatever went: all of it human for the upper one, all synthetic for the lower one."""
    left = whole - lost
    if left <= 0:
        row["value"] = row["lower"] = row["upper"] = None
        return
    if row["upper"] is not None:
        row["upper"] = min(1.0, row["upper"] * whole / left)
    if row["lower"] is not None:
        row["lower"] = max(0.0, (row["lower"] * whole - lost) / left)
