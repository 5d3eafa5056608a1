"""What became of the documents: where they went, by source, language and year, how long they are, what duplicates what."""

from collections.abc import Mapping, Sequence
from typing import Any

from expectations import wording
from expectations.report import figures
from expectations.report.numbers import Few, Numbers

SHOWN_SOURCES, SHOWN_SLICES, SHOWN_EXAMPLES = 150, 60, 24
PARAGRAPHS = tuple(
    f"paragraphs.{name}" for name in ("repeated_within", "repeated_across", "most_documents", "removed_tokens")
)


def flow(numbers: Numbers) -> dict[str, Any]:
    """What came in, and the parts that it fell into."""
    kept, read = numbers.value("documents", "after"), numbers.value("documents", "before")
    dropped = numbers.slices("documents.dropped", None, "reason")
    quarantined = numbers.total("documents.quarantined") or 0
    parts = [figures.Part("Kept", kept or 0, "kept")]
    parts += [figures.Part(wording.REASONS.get(reason, reason), count, "dropped") for reason, count in dropped.items()]
    if quarantined:
        parts.append(figures.Part("Quarantined", quarantined, "quarantined"))
    accounted = (kept or 0) + sum(dropped.values())
    return {
        "drawings": figures.both(figures.flow, parts),
        "parts": parts,
        "total": sum(part.count for part in parts),
        "gap": read - accounted if read is not None and read != accounted else None,
    }


def sources(numbers: Numbers, few: Few) -> dict[str, Any]:
    """One row per source, the largest first."""
    before = numbers.slices("documents", "before", "source")
    after = numbers.slices("documents", "after", "source")
    dropped = _nested(numbers.slices("documents.dropped", None, "source_reason"))
    origins = _nested(numbers.slices("documents", "after", "source_origin"))
    reasons = sorted({reason for counts in dropped.values() for reason in counts})
    names = list(dict.fromkeys([*before, *after]))
    rows = []
    for name in names[: few(SHOWN_SOURCES)]:
        read, kept = before.get(name), after.get(name, 0.0)
        rows.append(
            {
                "name": name,
                "read": read,
                "kept": kept,
                "removed": (read - kept) / read if read else None,
                "dropped": [dropped.get(name, {}).get(reason, 0) for reason in reasons],
                "origins": _split(origins.get(name, {})),
                "share": numbers.row("synthetic_share.tokens", "after", "source", name),
            }
        )
    return {
        "rows": rows,
        "reasons": [wording.REASONS.get(reason, reason) for reason in reasons],
        "more": max(0, len(names) - few(SHOWN_SOURCES)),
        "has_origins": any(row["origins"] for row in rows),
    }


def _nested(slices: dict[str, float]) -> dict[str, dict[str, float]]:
    """`"<source>/<word>"` to source, then word. A source may hold a slash, a word never does."""
    found: dict[str, dict[str, float]] = {}
    for name, value in slices.items():
        outer, _, inner = name.rpartition("/")
        found.setdefault(outer, {})[inner] = value
    return found


def _split(counts: dict[str, float]) -> list[dict[str, Any]]:
    """Human, synthetic, unknown as parts of a bar of 100 units."""
    total, x, parts = sum(counts.values()), 0.0, []
    for origin in ("human", "unknown", "synthetic"):
        width = 100 * counts.get(origin, 0) / total if total else 0
        if width:
            parts.append({"origin": origin, "x": round(x, 2), "width": round(width, 2), "share": width / 100})
        x += width
    return parts


def lengths(numbers: Numbers) -> list[tuple[str, dict[str, Any]]]:
    """Length of the documents as boxes, as read and in the release."""
    names = ("q05", "q25", "q50", "q75", "q95")
    rows = [
        {"label": label} | {name: numbers.value(f"length.{name}", stage) for name in names}
        for stage, label in (("before", "As read"), ("after", "In the release"))
    ]
    return figures.both(figures.lengths, rows)


def duplicates(numbers: Numbers, size_counts: dict[Any, Any]) -> dict[str, Any]:
    """How many are copies, and how like what they are dropped for."""
    metrics = (
        "duplicates.exact_fraction",
        "duplicates.near_fraction",
        "duplicates.removed_fraction",
        "duplicates.undecided",
        "duplicates.largest_cluster",
        "duplicates.cross_origin",
        "duplicates.cross_origin_lost",
    )
    alike = numbers.slices("duplicates.by_similarity", None, "similarity")
    found = [(metric, numbers.total(metric)) for metric in metrics]
    return {
        "metrics": [(metric, value) for metric, value in found if value is not None],
        "paragraphs": [
            (metric, before, after)
            for metric in PARAGRAPHS
            for before, after in [(numbers.value(metric, "before"), numbers.value(metric, "after"))]
            if (before, after) != (None, None)
        ],
        "drawings": figures.both(figures.cluster_sizes, size_counts),
        "alike": figures.both(figures.similarities, alike),
        "undecided": numbers.row("duplicates.undecided", "before"),
        "clusters": sum(int(count) for count in size_counts.values()),
    }


def by_slice(numbers: Numbers, kind: str, few: Few) -> dict[str, Any]:
    """Languages or years of the release, the largest first (years: the latest): documents, tokens, and the synthetic share."""
    tokens, documents = (numbers.slices(metric, "after", kind) for metric in ("tokens", "documents"))
    read = numbers.slices("documents", "before", kind)
    names = list(dict.fromkeys([*tokens, *documents, *read]))
    if kind == "year":
        names.sort(key=lambda name: (name == "unknown", name), reverse=False)
    total = sum(tokens.values())
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "read": read.get(name),
            "documents": documents.get(name),
            "tokens": tokens.get(name, 0.0),
            "part": tokens.get(name, 0.0) / total if total else None,
            "share": numbers.row("synthetic_share.tokens", "after", kind, name),
        }
        for name in names[: few(SHOWN_SLICES)]
    ]
    return {
        "rows": rows if set(names) != {"unknown"} else [],
        "more": max(0, len(names) - few(SHOWN_SLICES)),
        "has": {column: any(row[column] is not None for row in rows) for column in ("read", "documents")}
        | {"share": any(row["share"]["value"] is not None for row in rows)},
    }


def quarantine(numbers: Numbers, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What could not be read, is not what it says, or was not looked at."""
    return {
        "reasons": numbers.slices("documents.quarantined", None, "reason"),
        "examples": examples,
        "lost": numbers.named("input.unreadable_files"),
        "misnamed": numbers.named("input.misnamed_files"),
        "unread": [
            (numbers.row("input.unread_files", "before", "reason", reason)["note"], n)
            for reason, n in numbers.slices("input.unread_files", "before", "reason").items()
        ],
        "unread_examples": numbers.named("input.unread_files"),
        "not_understood": [
            (row["slice"], row["value"], row["note"] or "")
            for row in numbers.rows
            if row["metric"] == "input.not_understood" and row["slice_kind"] == "source_field"
        ],
    }


def examples(found: Sequence[Mapping[str, Any]], numbers: Numbers, few: Few) -> list[dict[str, Any]]:
    """Dropped documents by reason: how many there are, and some of them with both texts."""
    counts = numbers.slices("documents.dropped", None, "reason")
    reasons = list(dict.fromkeys(one["reason"] for one in found[: few(SHOWN_EXAMPLES)]))
    return [
        {
            "reason": reason,
            "count": counts.get(reason),
            "examples": [one for one in found if one["reason"] == reason][: few(2)],
        }
        for reason in reasons
    ]
