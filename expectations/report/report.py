"""The report: one HTML page that a person understands, with no script and no request.

All text on it is hostile: file names, sources and languages come from data that anyone may have written. Jinja escapes
every value, `_printable` makes control characters visible, and a content security policy is the last fence.
"""

import base64
import functools
import hashlib
import importlib.resources
import math
import re
import shlex
from typing import Any

import jinja2
import markupsafe

from expectations import metrics, wording
from expectations.report import figures
from expectations.report.diversity_report import diversity_shown
from expectations.report.structures_report import systems_shown
from expectations.wording import plural

RANGES = (("interval", "95% interval of the estimate"),)
SHOWN_SOURCES, SHOWN_EXPECTATIONS, SHOWN_QUARANTINED, SHOWN_LINES = 40, 80, 20, 60
PARAGRAPHS = tuple(
    f"paragraphs.{name}" for name in ("repeated_within", "repeated_across", "most_documents", "removed_tokens")
)
_RANK = {"critical": 0, "warning": 1, "info": 2}
_STATUS = {"pass": "holds", "fail": "does not hold", "inconclusive": "inconclusive", "error": "not measured"}
_STATUS |= {"waived": "waived"}
# Control characters, lone surrogates, and the marks that reverse or hide the text around them.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def render(report: dict[str, Any]) -> str:
    """Render the page.

    Args:
      report: `release` (name), `verdict` (verdict.json as a dict), `metrics` (rows of `contracts.METRICS` as dicts),
        `quarantine` (examples: path, row, reason, detail), `recipe` (YAML), `versions` (name to version), `inputs`
        (source, files, bytes, and optionally fingerprint), `files` (path, what), `assumptions` (sentences), `limit` (a
        fraction or None), `clusters` (`size_counts`: cluster size to count), `systems` (of
        structures). Every key may be missing or empty.

    Returns:
      A whole HTML document, the same for the same input.
    """
    table = _Table(report.get("metrics") or [])
    verdict = {"suite": "–", "suite_sha256": None, "params": {}} | (report.get("verdict") or {})
    release = str(report.get("release") or "release")
    return page(
        "report.html.j2",
        release=release,
        verdict=verdict,
        headline=_headline(verdict),
        expectations=_expectations(verdict),
        facts=_facts(table),
        flow=_flow(table),
        share=_share(table, report.get("limit")),
        cross_check=table.row("synthetic_share.cross_check", "before"),
        apart=table.row("synthetic_share.cross_check_difference", "before"),
        assumptions=report.get("assumptions") or [],
        limit=report.get("limit"),
        sources=_sources(table),
        lengths=_lengths(table),
        duplicates=_duplicates(table, (report.get("clusters") or {}).get("size_counts") or {}),
        origins=_origins(table),
        systems=systems_shown(report.get("systems") or [], table.row, table.rows, verdict),
        diversity=diversity_shown(table.row, table.rows),
        conflicts=_conflicts(table),
        sites=_sites(table),
        ways=[row["note"] for row in table.rows if row["metric"] == "ratio.way_out"],
        refused=next((row["note"] for row in table.rows if row["metric"] == "ratio.conflicts" and row["note"]), None),
        quarantine={
            "reasons": table.slices("documents.quarantined", None, "reason"),
            "examples": (report.get("quarantine") or [])[:SHOWN_QUARANTINED],
            "lost": table.named("input.unreadable_files"),
            "misnamed": table.named("input.misnamed_files"),
            "unread": [
                (table.row("input.unread_files", "before", "reason", reason)["note"], n)
                for reason, n in table.slices("input.unread_files", "before", "reason").items()
            ],
            "unread_examples": table.named("input.unread_files"),
        },
        not_understood=[
            (row["slice"], row["value"], row["note"] or "")
            for row in table.rows
            if row["metric"] == "input.not_understood" and row["slice_kind"] == "source_field"
        ],
        unmeasured=_unmeasured(table, verdict),
        overall=_overall(table),
        unit=table.unit,
        recipe=report.get("recipe") or "",
        versions=sorted((report.get("versions") or {}).items()),
        inputs=[
            {"fingerprint": table.row("input.fingerprint", "before", "source", item["source"])["note"]} | item
            for item in report.get("inputs") or []
        ],
        files=report.get("files") or [],
        command=f"lowbackground explain {shlex.quote(release)} DOC_ID",
    )


def _sites(table: "_Table") -> list[dict[str, Any]]:
    """The sites with the largest estimated share, largest first."""
    rows = [row for row in table.rows if row["metric"] == "site.synthetic_share.tokens"]
    return sorted(rows, key=lambda row: (-(row["value"] or 0.0), row["slice"]))


def page(template: str, **values: Any) -> str:
    """One of our pages, with the style of all of them and a policy that lets nothing else in.

    Args:
      template: its file in `templates`.
      values: what it shows; every text in them is escaped.
    """
    style = (importlib.resources.files("expectations") / "templates" / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            style=markupsafe.Markup(style),  # noqa: S704 (our own file)
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
            **values,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("expectations"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clip": _clip,
        "plural": wording.plural,
        "count": lambda value: wording.number(value, "count"),
        "share": lambda value: wording.number(value, "share"),
        "span": lambda row: wording.span(row["lower"], row["upper"], "share"),
        "said": lambda value, metric: wording.number(value, metrics.find(metric).form),
        "title_of": wording.title,
        "status": lambda status: _STATUS.get(status, status),
        "bytes": _bytes,
    }
    return environment


def _printable(value: Any) -> Any:
    """What the template prints: our own markup as it is, text with unprintable characters marked, a dash for None."""
    if isinstance(value, markupsafe.Markup | jinja2.Undefined):
        return value
    return "–" if value is None else _UNPRINTABLE.sub("\ufffd", str(value))


def _clip(value: Any, longest: int = 300) -> str:
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}… ({plural(len(text) - longest, 'more character')})"


def _bytes(value: float | None) -> str:
    if value is None:
        return "–"
    power = min(4, int(math.log10(value) // 3)) if value >= 1 else 0
    return f"{wording.plain(value / 1000**power, 3)} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


class _Table:
    """The metrics, by name. A missing number is None, and so is one that is not finite."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = [
            row | {name: wording.stable(row.get(name)) for name in ("value", "lower", "upper")} for row in rows
        ]
        self.unit = wording.unit_of(self.rows)
        self._at = {(row["metric"], row["stage"], row["slice_kind"], row["slice"]): row for row in self.rows}

    def row(self, metric: str, stage: str, kind: str = "overall", slice_: str = "") -> dict[str, Any]:
        nothing = {"value": None, "lower": None, "upper": None, "n": 0, "note": None}
        return self._at.get((metric, stage, kind, slice_), nothing)

    def value(self, metric: str, stage: str, kind: str = "overall", slice_: str = "") -> float | None:
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
        shown = [(row["slice"], row["note"] or "") for row in files[:SHOWN_QUARANTINED]]
        return {
            "files": shown,
            "total": self.total(metric) or 0,
            "more": max(0, (self.total(metric) or 0) - len(shown)),
        }

    def total(self, metric: str) -> float | None:
        """The overall value, whichever stage it is told of."""
        return next((r["value"] for r in self.rows if r["metric"] == metric and r["slice_kind"] == "overall"), None)


def _reason(reason: str) -> str:
    return wording.REASONS.get(reason, reason)


def _headline(verdict: dict[str, Any]) -> dict[str, Any]:
    """The verdict in words, before anything else on the page."""
    reasons = list(verdict.get("reasons") or [])
    warnings = [sentence for sentence in verdict.get("warnings") or [] if sentence not in reasons]
    status = verdict.get("status")
    asked = sum(item["severity"] == "critical" for item in verdict.get("expectations") or [])
    waived = list(verdict.get("waived") or [])
    if status == "passed" and waived:
        words = f"Passed, with waivers: {len(waived)} of {plural(len(verdict['expectations']), 'expectation')} "
        words += "does not hold and is waived." if len(waived) == 1 else "do not hold and are waived."
    elif status == "passed":
        words = f"Passed: {_critical(asked)} {'holds' if asked == 1 else 'hold'}."
    elif status == "failed" and len(reasons) == 1:
        words, reasons = f"Rejected: because {reasons[0][0].lower()}{reasons[0][1:]}", []
    elif status == "failed":
        words = f"Rejected: because {len(reasons)} of {_critical(asked)} do not hold."
    else:
        words = "No verdict: this release has not been judged."
    return {"status": status or "none", "words": words, "reasons": reasons, "warnings": warnings, "waived": waived}


def _critical(asked: int) -> str:
    return "its critical expectation" if asked == 1 else f"its {asked} critical expectations"


def _expectations(verdict: dict[str, Any]) -> dict[str, Any]:
    """Those that do not hold first, the gravest first; otherwise in the order of the suite."""
    items = [item | ({"status": "waived"} if item.get("waived") else {}) for item in verdict.get("expectations") or []]
    items.sort(key=lambda item: (item["status"] == "pass", _RANK.get(item["severity"], 3)))
    counts = {status: sum(item["status"] == status for item in items) for status in _STATUS}
    return {"items": items[:SHOWN_EXPECTATIONS], "more": max(0, len(items) - SHOWN_EXPECTATIONS), "counts": counts}


def _facts(table: _Table) -> list[tuple[str, str, str]]:
    """The numbers a reader wants first: what, how much, and a word about it."""
    read, kept = table.value("documents", "before"), table.value("documents", "after")
    tokens = table.value("tokens", "after")
    share = table.row("synthetic_share.tokens", "after")
    part = wording.number(kept / read, "share") if kept is not None and read else None
    return [
        (
            "Documents kept",
            wording.number(kept, "count"),
            f"{part} of {wording.number(read, 'count')} read" if part else "",
        ),
        (f"{table.unit.capitalize()} kept", wording.number(tokens, "count"), wording.of_a_model(table.rows)),
        (
            wording.title("synthetic_share.tokens", table.unit),
            wording.number(share["value"], "share"),
            "estimate, in the release",
        ),
        ("It is at most", wording.number(share["upper"], "share"), "upper bound, under the assumptions below"),
    ]


def _flow(table: _Table) -> dict[str, Any]:
    kept, read = table.value("documents", "after"), table.value("documents", "before")
    dropped = table.slices("documents.dropped", None, "reason")
    quarantined = table.total("documents.quarantined") or 0
    parts = [figures.Part("Kept", kept or 0, "kept")]
    parts += [figures.Part(_reason(reason), count, "dropped") for reason, count in dropped.items()]
    if quarantined:
        parts.append(figures.Part("Quarantined", quarantined, "quarantined"))
    accounted = (kept or 0) + sum(dropped.values())
    return {
        "drawings": figures.both(figures.flow, parts),
        "parts": parts,
        "total": sum(part.count for part in parts),
        "gap": read - accounted if read is not None and read != accounted else None,
    }


def _share(table: _Table, limit: float | None) -> list[dict[str, Any]]:
    found = []
    for unit in ("tokens", "documents"):
        stages = [("before", "As read"), ("after", "In the release")]
        rows = [{"label": label} | table.row(f"synthetic_share.{unit}", stage) for stage, label in stages]
        drawings = figures.both(figures.shares, rows, limit if unit == "tokens" else None)
        notes = {row["note"] for row in rows if row["note"]}
        if drawings:
            ranges = [(words, table.row(f"synthetic_share.{name}.{unit}", "after")) for name, words in RANGES]
            ranges = [(words, row) for words, row in ranges if _says_something(row)]
            said = table.unit if unit == "tokens" else unit
            found.append({"unit": said, "rows": rows, "drawings": drawings, "notes": sorted(notes), "ranges": ranges})
    return found


def _says_something(row: dict[str, Any]) -> bool:
    """Whether a range has two ends that differ as they are shown."""
    low, high = (wording.number(row[end], "share") for end in ("lower", "upper"))
    return row["lower"] is not None and low != high


def _sources(table: _Table) -> dict[str, Any]:
    """One row per source, the largest first."""
    before = table.slices("documents", "before", "source")
    after = table.slices("documents", "after", "source")
    dropped = _nested(table.slices("documents.dropped", None, "source_reason"))
    origins = _nested(table.slices("documents", "after", "source_origin"))
    reasons = sorted({reason for counts in dropped.values() for reason in counts})
    names = list(dict.fromkeys([*before, *after]))
    rows = []
    for name in names[:SHOWN_SOURCES]:
        read, kept = before.get(name), after.get(name, 0.0)
        rows.append(
            {
                "name": name,
                "read": read,
                "kept": kept,
                "removed": (read - kept) / read if read else None,
                "dropped": [dropped.get(name, {}).get(reason, 0) for reason in reasons],
                "origins": _split(origins.get(name, {})),
                "share": table.row("synthetic_share.tokens", "after", "source", name),
            }
        )
    return {
        "rows": rows,
        "reasons": [_reason(reason) for reason in reasons],
        "more": max(0, len(names) - SHOWN_SOURCES),
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


def _lengths(table: _Table) -> list[tuple[str, dict[str, Any]]]:
    names = ("q05", "q25", "q50", "q75", "q95")
    rows = [
        {"label": label} | {name: table.value(f"length.{name}", stage) for name in names}
        for stage, label in (("before", "As read"), ("after", "In the release"))
    ]
    return figures.both(figures.lengths, rows)


def _duplicates(table: _Table, size_counts: dict[Any, Any]) -> dict[str, Any]:
    metrics = (
        "duplicates.exact_fraction",
        "duplicates.near_fraction",
        "duplicates.removed_fraction",
        "duplicates.undecided",
        "duplicates.largest_cluster",
        "duplicates.cross_origin",
        "duplicates.cross_origin_lost",
    )
    alike = table.slices("duplicates.by_similarity", None, "similarity")
    found = [(metric, table.total(metric)) for metric in metrics]
    return {
        "metrics": [(metric, value) for metric, value in found if value is not None],
        "paragraphs": [
            (metric, before, after)
            for metric in PARAGRAPHS
            for before, after in [(table.value(metric, "before"), table.value(metric, "after"))]
            if (before, after) != (None, None)
        ],
        "drawings": figures.both(figures.cluster_sizes, size_counts),
        "alike": figures.both(figures.similarities, alike),
        "undecided": table.row("duplicates.undecided", "before"),
        "clusters": sum(int(count) for count in size_counts.values()),
    }


def _origins(table: _Table) -> list[dict[str, Any]]:
    """How many documents have which origin, and how it is known, before and after."""
    rows = []
    for kind in ("origin", "origin_basis"):
        before, after = table.slices("documents", "before", kind), table.slices("documents", "after", kind)
        for name in sorted({*before, *after}):
            origin, slash, basis = name.partition("/") if kind == "origin_basis" else (name, "", "")
            if kind == "origin_basis" and not slash:
                origin, basis = "any", name
            rows.append({"origin": origin, "basis": basis, "before": before.get(name, 0), "after": after.get(name, 0)})
    joint = any(row["origin"] != "any" and row["basis"] for row in rows)
    return [row for row in rows if row["basis"]] if joint else rows


def _conflicts(table: _Table) -> dict[str, Any]:
    """Where evidence of origin disagrees: by who says what, and by source, those that have any."""
    kinds = table.slices("origin.conflicts", "before", "conflict")
    kept = table.slices("origin.conflicts", "after", "conflict")
    sources = table.slices("origin.conflicts", "before", "source")
    rows = [
        {"name": name, "before": found, "after": table.value("origin.conflicts", "after", "source", name)}
        | {"rate": table.value("origin.conflict_rate", "before", "source", name)}
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


def _unmeasured(table: _Table, verdict: dict[str, Any]) -> dict[str, Any]:
    """Numbers without a value, and expectations that found nothing to look at: each sentence once."""
    lines = [
        wording.unmeasured(
            wording.subject(row["metric"], row["stage"], row["slice_kind"], row["slice"], table.unit), row.get("note")
        )
        for row in table.rows
        if row["metric"] in metrics.METRICS and row["value"] is row["lower"] is row["upper"] is None
    ]
    lines += [item["message"] for item in verdict.get("expectations") or [] if item["status"] == "error"]
    lines = list(dict.fromkeys(lines))
    return {"lines": lines[:SHOWN_LINES], "more": max(0, len(lines) - SHOWN_LINES)}


def _overall(table: _Table) -> list[dict[str, Any]]:
    """Every overall number, before and after side by side."""
    names = dict.fromkeys(row["metric"] for row in table.rows if row["slice_kind"] == "overall")
    return [{"metric": name, "before": table.row(name, "before"), "after": table.row(name, "after")} for name in names]
