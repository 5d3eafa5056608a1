"""How diverse the text is, for the report: what each step left, by stage, against the reference, and by slice."""

from collections.abc import Callable
from typing import Any

from expectations import wording
from expectations.metrics import declared
from expectations.report import figures

Row = dict[str, Any]

# A measure, and what the release's is as a fraction of the reference's.
MEASURES = (
    ("lexical.hill_0_1", "reference.hill_0_1"),
    ("lexical.hill_1_1", "reference.hill_1_1"),
    ("lexical.hill_1_2", "reference.hill_1_2"),
    ("", "reference.tail_mass"),
    ("", "reference.tail_types"),
    ("semantic.vendi_1", "reference.vendi_1"),
    ("topic.effective_number", "reference.topic_hill_1"),
    ("topic.max_share", ""),
    ("lm.bpb_q50", ""),
    ("lm.bpb_sd", "reference.bpb_sd"),
    ("lm.bpb_tail", "reference.bpb_tail"),
    ("lexical.mattr", ""),
    ("repetition.self_repetition", ""),
    ("repetition.template_rate", ""),
    ("duplicates.residual_rate", ""),
)
# What is drawn: a name, the measure of the mixture's step (its values, or a ratio that is measured), and the reference's.
DRAWN = (
    ("Different words", "lexical.stage_hill_0_1", "reference.hill_0_1"),
    ("Words in effect", "lexical.stage_hill_1_1", "reference.hill_1_1"),
    ("Word pairs in effect", "lexical.stage_hill_1_2", "reference.hill_1_2"),
    ("Rare words of the reference", "", "reference.tail_types"),
    ("Documents in effect (Vendi)", "semantic.vendi_1", "reference.vendi_1"),
    ("Topics in effect", "topic.effective_number", "reference.topic_hill_1"),
    ("Spread of bits per byte", "lm.bpb_sd", "reference.bpb_sd"),
    ("Hard documents", "lm.bpb_tail", "reference.bpb_tail"),
)
BY_SLICE = (
    ("lexical.stage_hill_1_1", "deduplicated"),
    ("lexical.stage_hill_1_1", "after"),
    ("semantic.vendi_1", "after"),
    ("topic.effective_number", "after"),
    ("lm.bpb_sd", "after"),
    ("duplicates.residual_rate", "after"),
    ("reference.hill_1_1", "after"),
)
SHOWN_SLICES = 40
WORTH_SAYING = 0.05  # a step that takes less may be chance: of the sample nothing says how sure a step is


def diversity_shown(row: Callable[..., Row], rows: list[Row]) -> dict[str, Any]:
    """All that the section shows; empty where nothing was measured.

    Args:
      row: the metric's row of a stage, a slice kind and a slice; without numbers if there is none.
      rows: all of them.
    """
    drawn = [_drawn(row, *one) for one in DRAWN]
    drawn = [one for one in drawn if one["marks"]]
    reference = any(mark["kind"] == "reference" for one in drawn for mark in one["marks"])
    table = [_measured(row, *names) for names in MEASURES]
    table = [one for one in table if any(cell["value"] is not None for cell in one["cells"])]
    return {
        "rows": table,
        "drawings": figures.both(figures.fractions, drawn),
        "most": _most(drawn),
        "has_reference": reference,
        **_slices(row, rows),
    }


def _drawn(row: Callable[..., Row], label: str, step: str, reference: str) -> dict[str, Any]:
    marks = []
    if step.startswith("lexical.stage_"):
        marks = [
            {"kind": kind, **_limits(row(step, stage))}
            for kind, stage in (("dedup", "deduplicated"), ("mixture", "after"))
        ]
    elif step:
        given, left = (row(step, stage)["value"] for stage in ("deduplicated", "after"))
        marks = [
            {
                "kind": "mixture",
                "value": left / given if given and left is not None else None,
                "lower": None,
                "upper": None,
            }
        ]
    if reference:
        marks.append({"kind": "reference", **_limits(row(reference, "after"))})
    return {"label": label, "marks": [mark for mark in marks if mark["value"] is not None]}


def _limits(found: Row) -> Row:
    return {name: found[name] for name in ("value", "lower", "upper")}


def _measured(row: Callable[..., Row], metric: str, reference: str) -> dict[str, Any]:
    nothing: Row = {"value": None, "lower": None, "upper": None}
    stages = [row(metric, stage) if metric else nothing for stage in ("before", "deduplicated", "after")]
    against = row(reference, "after") if reference else nothing
    title = wording.title(metric or reference)
    cells = [_said(found, metric) for found in stages] + [_said(against, reference)]
    return {"title": title, "cells": cells}


def _said(found: Row, metric: str) -> dict[str, Any]:
    form = declared.find(metric).form
    limits = None
    if found["lower"] is not None and found["upper"] is not None:
        limits = wording.span(found["lower"], found["upper"], form)
    return {"value": found["value"], "text": wording.number(found["value"], form), "limits": limits}


def _most(drawn: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The step that took most of something, if any took more than next to nothing."""
    steps = [
        (mark["value"], one["label"], mark["kind"])
        for one in drawn
        for mark in one["marks"]
        if mark["kind"] != "reference"
    ]
    if not steps:
        return None
    value, label, kind = min(steps)
    name = {"dedup": "dedup", "mixture": "the mixture"}[kind]
    return {"step": name, "label": label, "value": value} if value < 1 - WORTH_SAYING else {"step": None}


def _slices(row: Callable[..., Row], rows: list[Row]) -> dict[str, Any]:
    """By origin, source and language: the release, and what the steps left of each."""
    kinds = ("origin", "source", "language")
    metrics = {metric for metric, _ in BY_SLICE}
    said = [one for one in rows if one["metric"] in metrics and one["slice_kind"] in kinds and one["value"] is not None]
    found = {(one["slice_kind"], one["slice"]) for one in said}
    columns = [
        (metric, stage)
        for metric, stage in BY_SLICE
        if any(row(metric, stage, kind, name)["value"] is not None for kind, name in found)
    ]
    order = sorted(
        found, key=lambda one: (kinds.index(one[0]), -(row("documents", "after", *one)["value"] or 0), one[1])
    )
    lines = [
        {
            "kind": kind,
            "name": name,
            "documents": row("documents", "after", kind, name)["value"],
            "cells": [_said(row(metric, stage, kind, name), metric) for metric, stage in columns],
        }
        for kind, name in order[:SHOWN_SLICES]
    ]
    titles = [_TITLES[metric] + (_STEP[stage] if "stage_" in metric else "") for metric, stage in columns]
    return {"slices": lines, "columns": titles, "more": max(0, len(order) - SHOWN_SLICES)}


_STEP = {"deduplicated": " that dedup left", "after": " that the mixture left"}
_TITLES = {
    "lexical.stage_hill_1_1": "Words in effect",
    "semantic.vendi_1": "Documents in effect",
    "topic.effective_number": "Topics in effect",
    "lm.bpb_sd": "Spread of bits per byte",
    "duplicates.residual_rate": "Near duplicates left",
    "reference.hill_1_1": "Words in effect, of the reference's",
}
