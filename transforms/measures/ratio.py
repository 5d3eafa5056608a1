"""What the ratio came to -> METRICS."""

from collections.abc import Iterator

from expectations.metrics.row import Row
from transforms.mixture.selection import Mixture

OF_NOTHING = "no document is of what this limit names"
UNITS_OF_WAYS = {"cap": "fraction", "limit": "fraction", "audit": "labels"}


def ratio_rows(mixture: Mixture) -> Iterator[Row]:
    """What was there, what was taken and what limits it."""
    values = {
        "real": (mixture.real, "text that is not labelled synthetic, after dedup"),
        "real_taken": (mixture.real_taken, "the same in the release, copies counted"),
        "available": (mixture.available, "labelled synthetic text after dedup"),
        "taken": (mixture.taken, "labelled synthetic text in the release, copies counted"),
        "hidden": (mixture.hidden, "the part of the real text that is counted against the limit"),
        "dropped": (max(0, mixture.available - mixture.taken), "labelled synthetic text dropped"),
        "copied": (mixture.copied, "text that is in the release more than once, without its first copy"),
        "missing": (mixture.missing, "how much more real text would make room for all synthetic text"),
    }
    row: Row = {"unit": mixture.unit, "n": 0}
    for name, (value, note) in values.items():
        yield row | {"metric": f"ratio.{name}", "value": value, "note": note}
    yield row | Row(
        metric="ratio.conflicts", unit="limits", value=len(mixture.conflict), note=mixture.refusal() or None
    )
    for way in mixture.ways:
        yield row | Row(
            metric="ratio.way_out",
            slice_kind="way_out",
            slice=f"{way.knob}/{way.about}",
            unit=UNITS_OF_WAYS.get(way.knob, mixture.unit),
            value=way.value,
            upper=way.limit,
            note=way.words(),
        )
    for limit in mixture.rows:
        asked: Row = {"upper": limit.asked} if limit.sense == "max" else {"lower": limit.asked}
        said = OF_NOTHING if limit.of_nothing else "nothing more would fit" if limit.binds else None
        yield (
            row
            | asked
            | Row(
                metric="ratio.limit",
                slice_kind="limit",
                slice=limit.name,
                unit=mixture.unit if limit.is_weight else "fraction",
                value=limit.attained,
                note=said,
            )
        )
    for stratum, lift in mixture.lifts.items():
        yield row | Row(metric="ratio.weight", unit="ratio", slice_kind="stratum", slice=stratum, value=lift)
