"""The part of the report on systems of structures: who asks, why, and what became of each core, stage by stage."""

from collections.abc import Callable
from typing import Any

from expectations import wording
from expectations.report.numbers import Few
from expectations.structures.structure import Sample

SHOWN_SYSTEMS, SHOWN_STRUCTURES, SHOWN_PATTERNS = 12, 40, 12
STAGES = (("before", "As read"), ("deduplicated", "After dedup"), ("after", "In the release"))
WHOLE = ("effective_number", "expected_deviance", "deviance_variance", "core_entropy")
AGAINST = {
    "human_subset": "the human documents that dedup kept; human by declaration or evidence, not by the detector alone",
    "uniform": "the same sum of cores, spread evenly",
}
_BADNESS = ("fail", "error", "inconclusive", "pass")

Find = Callable[[str, str, str, str], dict[str, Any]]


def systems_shown(
    systems: list[dict[str, Any]], find: Find, rows: list[dict[str, Any]], verdict: Any, few: Few
) -> dict[str, Any]:
    """What the template shows of each system: those of which something does not hold are open, and before the others.

    Args:
      systems: as `structures.systems_yaml` writes them.
      find: the row of a metric, stage, slice kind and slice; one without numbers if there is none.
      rows: all rows of the metrics.
      verdict: verdict.json.
      few: how many of so many rows are shown.
    """
    outcomes = [item for item in verdict.get("expectations") or [] if item["metric"].startswith("structure.")]
    shown = [_system(system, find, rows, outcomes, few) for system in systems]
    shown.sort(key=lambda system: not system["is_open"])
    return {"shown": shown[: few(SHOWN_SYSTEMS)], "more": [system["id"] for system in shown[few(SHOWN_SYSTEMS) :]]}


def _system(
    system: dict[str, Any], find: Find, rows: list[dict[str, Any]], outcomes: list[Any], few: Few
) -> dict[str, Any]:
    name = system["id"]
    own = [item for item in outcomes if item["slice"] and item["slice"].split("/")[0] == name]
    reference = system["reference"]
    against = AGAINST.get(reference) if isinstance(reference, str) else None
    if isinstance(reference, dict):
        earlier = set(reference) == {"release"}
        against = f"the release {reference['release']}" if earlier else "the shares that the system names"
    whole = []
    for metric in WHOLE:
        ratio = find(f"structure.{metric}_ratio", "after", "system", name)
        numbers = [find(f"structure.{metric}", stage, "system", name)["value"] for stage, _ in STAGES]
        whole.append({"metric": f"structure.{metric}", "numbers": numbers, "ratio": ratio})
    patterns = [row for row in rows if row["slice_kind"] == "pattern" and row["slice"].startswith(f"{name}/")]
    patterns.sort(key=lambda row: (-(row["value"] or 0), row["slice"]))
    structures = [_structure(name, structure, find, own) for structure in system["structures"]]
    structures.sort(key=lambda one: _BADNESS.index(one["status"]) if one["status"] else len(_BADNESS))
    return system | {
        "is_open": any(item["status"] != "pass" for item in own),
        "against": against,
        "conditions": _conditions(system["slice"], wording.unit_of(rows)),
        "documents": [find("structure.documents", stage, "system", name)["value"] for stage, _ in STAGES],
        "rows": structures[: few(SHOWN_STRUCTURES)],
        "more_rows": max(0, len(structures) - few(SHOWN_STRUCTURES)),
        "whole": whole,
        "outcomes": own,
        "patterns": [row | {"slice": row["slice"].partition("/")[2]} for row in patterns[: few(SHOWN_PATTERNS)]],
        "more_patterns": max(0, len(patterns) - few(SHOWN_PATTERNS)),
    }


def _structure(name: str, structure: dict[str, Any], find: Find, own: list[Any]) -> dict[str, Any]:
    slice_ = f"{name}/{structure['id']}"
    statuses = {status for item in own if (status := _status(item, name, slice_)) is not None}
    return {
        "id": structure["id"],
        "note": structure["note"],
        "classifier": _classifier(structure),
        "cores": [find("structure.core", stage, "structure", slice_) for stage, _ in STAGES],
        "origins": [
            find("structure.core", "after", "structure_origin", f"{slice_}/{origin}")
            for origin in ("human", "synthetic")
        ],
        "reference": find("structure.reference", "after", "structure", slice_),
        "retention": find("structure.retention", "after", "structure", slice_),
        "at_mix": find("structure.retention_at_mix", "after", "structure", slice_),
        "status": next((status for status in _BADNESS if status in statuses), None),
    }


def _classifier(structure: dict[str, Any]) -> str | None:
    """What a classifier got wrong; None: the structure is no classifier's."""
    sample = structure.get("sample")
    if not sample:
        return None
    return f"By a classifier: {Sample.model_validate(sample).said()}. Shares are corrected for that."


def _status(item: dict[str, Any], name: str, slice_: str) -> str | None:
    """What an expectation says of one structure; None: nothing."""
    if item["slice_kind"] != "structure" or item["slice"] not in (slice_, f"{name}/*"):
        return None
    not_held = {one["slice"]: one["status"] for one in item["not_held"]}
    status: str = not_held.get(slice_, "pass") if item["slice"] != slice_ else item["status"]
    return status


def _conditions(slice_: dict[str, Any], unit: str) -> str:
    """Which documents a system speaks of, in words."""
    words = [f"{key} {' or '.join(slice_[key])}" for key in ("source", "language", "origin") if slice_.get(key)]
    words += [f"{key} {' or '.join(values)}" for key, values in (slice_.get("columns") or {}).items()]
    if slice_.get("min_tokens"):
        words.append(f"{wording.number(slice_['min_tokens'], 'count')} {unit} or more")
    words += [
        f"{'from' if key == 'created_from' else 'before'} {slice_[key]}"
        for key in ("created_from", "created_before")
        if slice_.get(key)
    ]
    return ", ".join(words) or "all documents"
