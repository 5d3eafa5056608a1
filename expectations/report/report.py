"""The report on a release: one HTML page that a person understands. Its parts are what a reader sees, from the verdict down."""

import functools
from typing import Any

from expectations.report import documents, judgement, origins
from expectations.report.diversity_report import diversity_shown
from expectations.report.numbers import SHOWN_FILES, Few, Numbers
from expectations.report.page import page
from expectations.report.structures_report import systems_shown

MOST_BYTES = 1_000_000  # of the page, whatever the corpus: where all that is shown comes to more, less of it is shown


def render(report: dict[str, Any]) -> str:
    """Render the page.

    Args:
      report: `release` (name), `verdict` (verdict.json as a dict), `metrics` (rows of `contracts.METRICS` as dicts),
        `quarantine` (examples: path, row, reason, detail), `recipe` (YAML), `versions` (name to version), `inputs`
        (source, files, bytes, and optionally fingerprint), `files` (path, what), `assumptions` (sentences), `limit` (a
        fraction or None), `clusters` (`size_counts`: cluster size to count), `systems` (of structures), `folder` (of the
        release or rejection, in commands), `remarks` and `help` (lines of the terminal), `mends` (key of an expectation to
        what would mend it), `commands` (what for, command), `examples` (of dropped documents, with their text). Every key
        may be missing or empty.

    Returns:
      A whole HTML document, the same for the same input.
    """
    text = ""
    for part in (1.0, 0.5, 0.25, 0.1, 0.04):
        text = _rendered(report, functools.partial(_part_of, part))
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def _part_of(part: float, n: int) -> int:
    return max(1, int(part * n))


def _rendered(report: dict[str, Any], few: Few) -> str:
    numbers = Numbers(report.get("metrics") or [])
    verdict = {"suite": "–", "suite_sha256": None, "params": {}} | (report.get("verdict") or {})
    release = str(report.get("release") or "release")
    headline = judgement.headline(verdict)
    return page(
        "report.html.j2",
        title=f"{headline['words'].partition(':')[0]}: {release[:100]}",
        release=release,
        verdict=verdict,
        headline=headline,
        summary=judgement.summary(numbers, headline["status"] == "passed"),
        to_do=judgement.to_do(verdict, report.get("mends") or {}, few),
        help=judgement.told((report.get("help") or [])[: few(60)]),
        remarks=(report.get("remarks") or [])[: few(60)],
        commands=report.get("commands") or [],
        facts=judgement.facts(numbers),
        expectations=judgement.expectations(verdict, few),
        flow=documents.flow(numbers),
        shares=origins.shares(numbers, report.get("limit")),
        scores=origins.scores(numbers),
        cross_check=numbers.row("synthetic_share.cross_check", "before"),
        apart=numbers.row("synthetic_share.cross_check_difference", "before"),
        assumptions=report.get("assumptions") or [],
        limit=report.get("limit"),
        sources=documents.sources(numbers, few),
        slices=[
            (word, title, documents.by_slice(numbers, kind, few))
            for kind, word, title in (("language", "Language", "By language"), ("year", "Year", "By date"))
        ],
        lengths=documents.lengths(numbers),
        duplicates=documents.duplicates(numbers, (report.get("clusters") or {}).get("size_counts") or {}),
        examples=documents.examples(report.get("examples") or [], numbers, few),
        origins=origins.origins(numbers),
        systems=systems_shown(report.get("systems") or [], numbers.row, numbers.rows, verdict, few),
        diversity=diversity_shown(numbers.row, numbers.rows),
        conflicts=origins.conflicts(numbers),
        credentials={stage: numbers.value("credentials.documents", stage) for stage in ("before", "after")},
        sites=origins.sites(numbers),
        quarantine=documents.quarantine(numbers, (report.get("quarantine") or [])[: few(SHOWN_FILES)]),
        unmeasured=judgement.unmeasured(numbers, verdict, few),
        overall=numbers.overall(),
        recipe=report.get("recipe") or "",
        versions=sorted((report.get("versions") or {}).items()),
        inputs=[
            {"fingerprint": numbers.row("input.fingerprint", "before", "source", item["source"])["note"]} | item
            for item in (report.get("inputs") or [])[: few(60)]
        ],
        files=(report.get("files") or [])[: few(60)],
        few=few,
        unit=numbers.unit,
    )
