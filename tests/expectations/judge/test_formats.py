"""What other programs read of a verdict: well-formed, escaped, and never greener than the verdict."""

import datetime
import json
import re
import xml.etree.ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts
from expectations.judge.formats import FORMATS, as_github, as_json, as_junit, as_markdown, as_sarif, as_text
from expectations.judge.verdict import Outcome, SliceOutcome, Verdict, judge
from expectations.suite.suite import load_suite

HOSTILE = (
    "x\n::set-env name=PATH::/evil\r##[add-path]/evil %0A::stop-commands::t\x1b[2J\x00\ud800\u202e]]></failure>&<b>\"'"
)
COMMAND = re.compile(r"::(error|warning|notice) title=[^:,\r\n]*::[^\r\n]*")


def metrics(metric, slice_kind, slice_, value):
    row = {
        "metric": metric,
        "stage": "after",
        "slice_kind": slice_kind,
        "slice": slice_,
        "value": value,
        "unit": "",
        "n": 7,
    }
    return pa.Table.from_pylist([row], schema=contracts.METRICS.schema)


def hostile(severity="critical", maximum=0.3, **more):
    table = metrics("synthetic_share.tokens", "source", HOSTILE.replace("\ud800", ""), 0.9)
    asked = {"expect": "metric_to_be_between", "metric": "synthetic_share.tokens", "slice_kind": "source"}
    suite = load_suite({"expectations": [asked | {"severity": severity, "max": maximum} | more]})
    return judge(table, suite, today=datetime.date(2026, 11, 28))


def outcomes(*pairs):
    """A verdict with an expectation for every (severity, status)."""
    found = tuple(
        Outcome(f"expectations[{at}]", "documents", "after", "overall", None, "value", 1.0, None, "at least 1", severity,
                status, f"{severity} {status}.", "Why.", None, None, 1, ())
        for at, (severity, status) in enumerate(pairs)
    )  # fmt: skip
    reasons = tuple(one.message for one in found if one.rejects)
    return Verdict("failed" if reasons else "passed", reasons, (), "s", "ab", {}, found)


EVERY = [
    (sev, status) for sev in ("critical", "warning", "info") for status in ("pass", "fail", "error", "inconclusive")
]


def test_a_test_case_fails_where_the_expectation_rejects_and_is_skipped_where_it_only_warns():
    suite = ET.fromstring(as_junit(outcomes(*EVERY)))[0]
    found = [[child.tag for child in case if child.tag != "system-out"] for case in suite.iter("testcase")]
    wanted = {("critical", "fail"): ["failure"], ("critical", "error"): ["error"]}
    assert found == [[] if pair[1] == "pass" else wanted.get(pair, ["skipped"]) for pair in EVERY]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "12",
        "1",
        "1",
        "7",
    )


def test_annotations_put_what_decides_first_and_say_nothing_of_what_holds():
    lines = as_github(outcomes(*EVERY)).splitlines()
    kinds = [line.split(" ")[0] for line in lines]
    assert kinds == ["::error"] * 3 + ["::warning"] * 4 + ["::notice"] * 3
    assert "verdict: failed" in lines[0]
    assert all("pass." not in line for line in lines)


def test_of_sarif_only_what_rejects_is_an_error_and_each_result_has_its_rule():
    (run,) = json.loads(as_sarif(outcomes(*EVERY)))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [one["ruleId"] for one in run["results"]]
    found = [result["level"] for result in run["results"]]
    other = {"critical": "warning", "warning": "warning", "info": "note"}
    assert found == [
        "none"
        if status == "pass"
        else "error"
        if severity == "critical" and status != "inconclusive"
        else other[severity]
        for severity, status in EVERY
    ]


def test_a_waiver_is_a_suppression_with_its_reason():
    waiver = {"slice": HOSTILE.replace("\ud800", ""), "who": "Ada", "why": "v2 is clean", "until": "2999-01-01"}
    verdict = hostile(waivers=[waiver])
    assert verdict.passed
    (result,) = json.loads(as_sarif(verdict))["runs"][0]["results"]
    assert result["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "Ada, until 2999-01-01: v2 is clean"}
    ]
    assert result["level"] == "warning"


def test_the_summary_puts_what_decides_first_and_counts_what_holds():
    lines = as_markdown(outcomes(*EVERY)).splitlines()
    marks = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]
    assert marks[:2] == ["FAIL", "ERR"]
    assert len(marks) == 9
    assert "3 expectations of 12 held." in lines


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_no_hostile_name_gets_out_of_its_line(severity):
    verdict = hostile(severity)
    assert all(COMMAND.fullmatch(line) for line in as_github(verdict).splitlines())
    assert len(as_text(verdict).splitlines()) == 2
    assert "\x1b" not in as_text(verdict) + as_github(verdict) + as_junit(verdict) + as_json(verdict)
    case = next(ET.fromstring(as_junit(verdict)).iter("testcase"))
    assert "]]></failure>&<b>" in case.find("system-out").text


def test_a_percent_is_escaped_as_github_reads_it():
    line = as_github(hostile()).splitlines()[1]
    assert "is 90%25, above the limit of 30%25" in line
    assert "%250A" in line  # the name's own "%0A" stays three characters


@given(st.text(), st.text(), st.text())
def test_any_text_makes_well_formed_output(name, notes, suite):
    judged = outcomes(("critical", "fail")).expectations[0]
    fields = {**vars(judged), "message": name, "notes": notes, "slice_kind": "source", "slice": name}
    fields["worst"] = SliceOutcome(name, 1.0, 1.0, None, None, 1, "fail")
    verdict = Verdict("failed", (name,), (), suite, "ab", {}, (Outcome(**fields),))
    assert len(list(ET.fromstring(as_junit(verdict)).iter("failure"))) == 1
    assert all(COMMAND.fullmatch(line) for line in as_github(verdict).split("\n")[:-1])
    assert as_text(verdict).count("\n") == 2
    assert sum(line.startswith("| FAIL |") for line in as_markdown(verdict).split("\n")) == 1
    assert json.loads(as_sarif(verdict))["runs"][0]["results"][0]["level"] == "error"
    json.loads(as_json(verdict))
    for written in FORMATS.values():
        written(verdict).encode()


def test_the_text_marks_what_warns_and_counts():
    verdict = judge(
        metrics("documents", "overall", "", 3.0),
        load_suite({"expectations": [
            {"expect": "metric_to_be_between", "metric": "documents", "min": 1},
            {"expect": "metric_to_be_between", "metric": "documents", "min": 4, "severity": "warning"},
        ]}),
    )  # fmt: skip
    assert as_text(verdict).splitlines() == [
        "  ok    The number of documents in the release is 3, and at least 1 is asked for.",
        "  warn  The number of documents in the release is 3, below the limit of 4.",
        "  not looked at: No rule looks at the synthetic share of what is released.",
        "verdict: passed (1 warning)",
    ]
