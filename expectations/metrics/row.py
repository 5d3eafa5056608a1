"""A row of `metrics.parquet`, as the measures make it."""

from typing import TypedDict

CERTIFIED = "certified"  # how the note of a number begins that people found, and not the detector


class Row(TypedDict, total=False):
    """A row of METRICS (expectations/contracts.py), as the measures make it: what is left out is null."""

    metric: str
    stage: str  # "before" (all that was read), "deduplicated" or "after" (the release)
    slice_kind: str
    slice: str
    value: float | None
    lower: float | None
    upper: float | None
    unit: str
    n: int
    note: str | None
    needed: int | None
