"""A verdict for those who read it elsewhere: lines of text, JSON, JUnit's XML, SARIF, Markdown, GitHub's workflow commands.

Names of slices come from data, so every text here is hostile: it is one line without control characters before it is
escaped for its format.
"""

import hashlib
import json
import xml.etree.ElementTree as ET  # only to write: nothing is parsed
from collections.abc import Callable
from typing import Any

from expectations.escaping import markdown
from expectations.judge.verdict import Outcome, Verdict
from expectations.wording import one_line, plural

WAIVED = "WAIV"
MARKS = {"pass": "ok  ", "fail": "FAIL", "error": "ERR ", "inconclusive": "?   "}


def as_text(verdict: Verdict) -> str:
    """One line for each expectation, what none of them looks at, then the verdict."""
    lines = [f"  {_mark(outcome)}  {one_line(outcome.message)}" for outcome in verdict.expectations]
    lines += [f"  not looked at: {one_line(words)}" for words in verdict.blind_spots]
    return "\n".join([*lines, summary(verdict)]) + "\n"


def summary(verdict: Verdict) -> str:
    """The verdict in one line: `verdict: passed (1 waived, 2 warnings)`."""
    said = [f"{len(verdict.waived)} waived"] if verdict.waived else []
    if verdict.warnings:
        said.append(plural(len(verdict.warnings), "warning"))
    return f"verdict: {verdict.status}" + (f" ({', '.join(said)})" if said else "")


def _mark(outcome: Outcome) -> str:
    if outcome.waived:
        return WAIVED
    plain = outcome.severity == "critical" or outcome.status in ("pass", "inconclusive")
    return MARKS[outcome.status] if plain else "info" if outcome.severity == "info" else "warn"


def as_json(verdict: Verdict) -> str:
    """What verdict.json of a release holds."""
    return verdict.to_json()


def as_junit(verdict: Verdict) -> str:
    """JUnit's XML: an expectation is a test case.

    Only what rejects the release is a failure (or an error, if it could not be measured), so that a tool which fails on
    failures agrees with the exit code. What does not hold and does not decide is *skipped*, with its sentence: the format
    has no warning, and it must not look as if it had passed.
    """
    counts = {"failure": 0, "error": 0, "skipped": 0}
    suite = ET.Element("testsuite", name=_xml(f"lowbackground {verdict.suite}"))
    properties = ET.SubElement(suite, "properties")
    about_it = {"verdict": verdict.status, "suite_sha256": verdict.suite_sha256, "waived": str(len(verdict.waived))}
    for name, value in about_it.items():
        ET.SubElement(properties, "property", name=name, value=_xml(value))
    for outcome in verdict.expectations:
        about = f"{outcome.key} {outcome.metric} {outcome.stage}" + _of_slice(outcome)
        case = ET.SubElement(suite, "testcase", classname=_xml(f"lowbackground.{verdict.suite}"), name=_xml(about))
        kind = _junit_kind(outcome)
        if kind:
            counts[kind] += 1
            about = f"{outcome.severity}, {'waived ' if outcome.waived else ''}{outcome.status}: {outcome.message}"
            entry = ET.SubElement(case, kind, message=_xml(about))
            if kind != "skipped":
                entry.set("type", outcome.severity)
            entry.text = _xml(outcome.notes) or None
        ET.SubElement(case, "system-out").text = _xml(outcome.message)
    totals = {"tests": len(verdict.expectations), "failures": counts["failure"], "errors": counts["error"]}
    for name, n in (totals | {"skipped": counts["skipped"]}).items():
        suite.set(name, str(n))
    root = ET.Element("testsuites", {name: str(n) for name, n in totals.items()})
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _junit_kind(outcome: Outcome) -> str:
    if outcome.rejects:
        return "failure" if outcome.status == "fail" else "error"
    return "" if outcome.status == "pass" else "skipped"


def _of_slice(outcome: Outcome) -> str:
    if outcome.slice_kind == "overall":
        return ""
    return f" {outcome.slice_kind} {'*' if outcome.slice is None else outcome.slice}"


def _xml(text: str) -> str:
    """`text` with only what XML 1.0 allows: it has no escape for control characters and lone surrogates."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def as_github(verdict: Verdict) -> str:
    """GitHub's workflow commands: an annotation for whatever does not hold, and one for the verdict.

    Nothing else is printed: a runner looks for commands in every line, also in the middle of one. It shows ten
    annotations of a kind in a step, so those that decide come first.
    """
    lines = []
    for outcome in _worst_first(verdict):
        if outcome.rejects or outcome.waived or (outcome.status != "pass" and outcome.severity != "info"):
            command = "error" if outcome.rejects else "warning"
            lines.append(_command(command, f"{outcome.key} {outcome.metric}", outcome.message))
        elif outcome.status != "pass":
            lines.append(_command("notice", f"{outcome.key} {outcome.metric}", outcome.message))
    command = "notice" if verdict.passed else "error"
    lines.insert(0, _command(command, f"lowbackground: suite {verdict.suite}", summary(verdict)))
    return "\n".join(lines) + "\n"


def _worst_first(verdict: Verdict) -> list[Outcome]:
    """What decides, then what is waived, then the rest in the order of the suite."""
    return sorted(verdict.expectations, key=lambda one: (not one.rejects, not one.waived))


def _command(command: str, title: str, message: str) -> str:
    data = one_line(message).replace("%", "%25")
    name = one_line(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{command} title={name}::{data}"


def as_markdown(verdict: Verdict) -> str:
    """A summary for a pull request or a job's page: what does not hold in a table, what holds as a number."""
    lines = [f"### Low Background: suite {markdown(verdict.suite)}", "", f"**{markdown(summary(verdict))}**", ""]
    found = [one for one in _worst_first(verdict) if one.status != "pass"]
    if found:
        lines += ["| | expectation | found |", "|---|---|---|"]
        lines += [f"| {_mark(one).strip()} | {markdown(one.metric)} | {markdown(one.message)} |" for one in found]
        lines.append("")
    held = len(verdict.expectations) - len(found)
    lines.append(f"{plural(held, 'expectation')} of {len(verdict.expectations)} held.")
    lines += [f"- Not looked at: {markdown(words)}" for words in verdict.blind_spots]
    return "\n".join(lines) + "\n"


SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(verdict: Verdict) -> str:
    """SARIF 2.1.0 (OASIS), which code scanning reads: an expectation is a rule, what does not hold is a result of it.

    Its place is `metrics.parquet` of the release, where the number stands. Only what rejects the release is an *error*.
    What is waived has a suppression that gives the reason. A result keeps its fingerprint while suite and metric stay the
    same, so it is one alert.
    """
    rules: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for outcome in verdict.expectations:
        about = f"{outcome.metric} {outcome.stage}{_of_slice(outcome)}"
        fingerprint = hashlib.sha256(f"{verdict.suite} {about} {outcome.bound}".encode("utf-8", "replace")).hexdigest()
        rule: dict[str, Any] = {"id": f"{outcome.metric}/{fingerprint[:8]}", "name": _xml(one_line(about))}
        rule["shortDescription"] = {"text": _xml(one_line(f"{about}: {outcome.threshold}"))}
        rule["defaultConfiguration"] = {"level": _LEVELS[outcome.severity]}
        if outcome.notes:
            rule["fullDescription"] = {"text": _xml(one_line(outcome.notes))}
        rules.append(rule)
        place = {"physicalLocation": {"artifactLocation": {"uri": "metrics.parquet"}}}
        result: dict[str, Any] = {"ruleId": rule["id"], "ruleIndex": len(rules) - 1, "locations": [place]}
        result["message"] = {"text": _xml(one_line(outcome.message))}
        result["partialFingerprints"] = {"expectation/v1": fingerprint}
        level = "error" if outcome.rejects else "note" if outcome.severity == "info" else "warning"
        result |= {"kind": "pass", "level": "none"} if outcome.status == "pass" else {"kind": "fail", "level": level}
        if outcome.waived:
            why = "; ".join(
                f"{one.who}, until {one.until}: {one.why}" for one in outcome.waivers if one.state == "applies"
            )
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": _xml(one_line(why))}]
        results.append(result)
    driver = {"name": "lowbackground", "rules": rules}
    properties = {"suite": _xml(verdict.suite), "suite_sha256": verdict.suite_sha256, "verdict": verdict.status}
    run = {"tool": {"driver": driver}, "results": results, "properties": properties}
    return json.dumps({"$schema": SARIF, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


_LEVELS = {"critical": "error", "warning": "warning", "info": "note"}

FORMATS: dict[str, Callable[[Verdict], str]] = {
    "text": as_text,
    "json": as_json,
    "junit": as_junit,
    "github": as_github,
    "markdown": as_markdown,
    "sarif": as_sarif,
}
