"""A waiver lets one thing pass until a day, and everyone is told. An expired one counts as none, and that is said."""

import datetime
import json
import pathlib
import xml.etree.ElementTree as ET

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts
from expectations.judge.formats import as_github, as_junit, as_text
from expectations.judge.verdict import Verdict, judge
from expectations.report.report import render
from expectations.suite.suite import Suite, SuiteError, load_suite

WAIVER = {"who": "Ada", "why": "the web part is replaced in v2", "until": "2027-01-31"}
BEFORE, LAST, AFTER = (datetime.date.fromisoformat(day) for day in ("2026-12-01", "2027-01-31", "2027-02-01"))


def metrics(**values):
    """The share of each source; None could not be measured."""
    rows = [
        {"metric": "synthetic_share.tokens", "stage": "after", "slice_kind": "source", "slice": name, "value": value,
         "unit": "fraction", "n": 9}
        for name, value in values.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=contracts.METRICS.schema)


def asked(*waivers, **changes):
    expectation = {
        "expect": "metric_to_be_between",
        "metric": "synthetic_share.tokens",
        "slice_kind": "source",
        "max": 0.3,
    }
    return load_suite({"expectations": [expectation | {"waivers": list(waivers)} | changes]})


@pytest.mark.parametrize(("today", "passes"), [(BEFORE, True), (LAST, True), (AFTER, False)])
def test_a_waiver_counts_up_to_and_on_its_last_day(today, passes):
    verdict = judge(metrics(web=0.9), asked(WAIVER), None, today)
    (outcome,) = verdict.expectations
    assert (verdict.passed, outcome.waived, outcome.status) == (passes, passes, "fail")
    said = "Waived until 2027-01-31 by Ada: the web part is replaced in v2." if passes else (
        "The waiver by Ada expired on 2027-01-31.")  # fmt: skip
    assert outcome.message == (
        f'The synthetic share of words or tokens in the release (source "web") is 90%, above the limit of 30%. {said}'
    )
    assert (verdict.waived, verdict.reasons) == (((outcome.message,), ()) if passes else ((), (outcome.message,)))
    assert verdict.judged_on == str(today)
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_waiver_of_one_slice_forgives_no_other():
    waiver = WAIVER | {"slice": "web"}
    both = judge(metrics(web=0.9, books=0.4), asked(waiver), None, BEFORE)
    assert not both.passed
    assert '(source "books") is 40%' in both.reasons[0]  # what decides is told, not what is waived
    assert 'Waived for "web" until' in both.reasons[0]
    assert [(one.slice, one.waived) for one in both.expectations[0].not_held] == [("books", False), ("web", True)]
    assert judge(metrics(web=0.9, books=0.2), asked(waiver), None, BEFORE).passed
    assert not judge(metrics(web=0.2, books=0.4), asked(waiver), None, BEFORE).passed


def test_what_is_left_beside_a_waived_failure_is_judged_as_ever():
    table = metrics(web=0.9, books=0.4).set_column(8, contracts.METRICS.schema.field("n"), [[1000, 9]])
    verdict = judge(table, asked(WAIVER | {"slice": "web"}, min_documents=100), None, BEFORE)
    (outcome,) = verdict.expectations
    assert (verdict.status, outcome.status, outcome.waived, len(verdict.warnings)) == (
        "passed",
        "inconclusive",
        False,
        1,
    )


def test_a_waiver_may_speak_of_what_could_not_be_measured():
    assert judge(metrics(web=None), asked(WAIVER), None, BEFORE).expectations[0].waived
    missing = judge(metrics(), asked(WAIVER), None, BEFORE)
    assert (missing.passed, missing.expectations[0].status) == (True, "error")
    assert not judge(metrics(), asked(WAIVER | {"slice": "web"}), None, BEFORE).passed


def test_a_waiver_that_is_not_needed_changes_nothing():
    with_it = judge(metrics(web=0.1), asked(WAIVER), None, AFTER)
    assert [waiver.state for waiver in with_it.expectations[0].waivers] == ["not needed"]
    without = judge(metrics(web=0.1), asked())
    assert (with_it.status, with_it.waived, with_it.warnings) == ("passed", (), ())
    assert with_it.expectations[0].message == without.expectations[0].message
    assert (without.judged_on, judge(metrics(web=0.1), asked(), None, AFTER).judged_on) == (None, None)


@pytest.mark.parametrize("name", ["machin", "a</b>\x1b[2J"])
def test_a_waiver_of_a_slice_that_is_not_there_is_said_while_the_expectation_fails(name):
    suite = asked(WAIVER | {"slice": name})
    verdict = judge(metrics(machine=0.9), suite, None, BEFORE)
    (outcome,) = verdict.expectations
    assert (verdict.passed, outcome.waived, outcome.waivers[0].state) == (False, False, "matches nothing")
    assert f"The waiver for slice {name!r} by Ada matches nothing" in outcome.message
    assert ("did you mean 'machine'?" in outcome.message) == (name == "machin")
    assert "matches nothing" in as_text(verdict)
    assert "\x1b" not in as_text(verdict)
    page = render({"verdict": json.loads(verdict.to_json()), "metrics": metrics(machine=0.9).to_pylist()})
    assert "matches nothing on 2026-12-01" in page
    assert "a</b>" not in page
    assert Verdict.from_json(verdict.to_json()) == verdict
    held = judge(metrics(machine=0.1), suite, None, BEFORE)
    assert "matches nothing" not in as_text(held)


def test_waivers_take_a_day():
    with pytest.raises(SuiteError, match="takes a day"):
        judge(metrics(web=0.1), asked(WAIVER))


def test_no_format_lets_a_waived_failure_look_as_if_it_held():
    verdict = judge(metrics(web=0.9), asked(WAIVER), None, BEFORE)
    assert as_text(verdict).startswith("  WAIV  The synthetic share")
    assert as_text(verdict).endswith("verdict: passed (1 waived)\n")
    assert "::warning title=" in as_github(verdict)
    assert "by Ada" in as_github(verdict)
    suite = ET.fromstring(as_junit(verdict))[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    assert "waived fail" in next(suite.iter("skipped")).get("message")
    page = render({"verdict": json.loads(verdict.to_json()), "metrics": metrics(web=0.9).to_pylist()})
    assert "Passed, with waivers: 1 of 1 expectation does not hold and is waived." in page
    assert 'class="pill waived">waived<' in page
    assert "by Ada until 2027-01-31 (applies on 2026-12-01)" in page


def test_a_report_shows_who_waives_as_text():
    verdict = judge(metrics(web=0.9), asked(WAIVER | {"who": "<script>x", "why": "<img src=x>"}), None, BEFORE)
    page = render({"verdict": json.loads(verdict.to_json()), "metrics": []})
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
    assert "<img src=x>" not in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"who": ""}, "expectations[0].waivers[0].who"),
        ({"who": "  "}, "expectations[0].waivers[0].who"),
        ({"why": None}, "expectations[0].waivers[0].why"),
        ({"until": "31.1.2027"}, "is no date; write it as 2027-01-31"),
        ({"until": 20270131}, "20270131 is no date"),
        ({"till": "2027-01-31"}, "expectations[0].waivers[0].till: unknown key; did you mean 'until'?"),
    ],
)
def test_a_waiver_that_is_not_understood_is_refused(change, said):
    with pytest.raises(SuiteError) as raised:
        asked(WAIVER | change)
    assert said in str(raised.value)


@pytest.mark.parametrize("key", ["who", "why", "until"])
def test_a_waiver_without_a_name_a_reason_or_an_end_is_none(key):
    with pytest.raises(SuiteError, match=rf"waivers\[0\]\.{key}: is missing"):
        asked({name: value for name, value in WAIVER.items() if name != key})


def test_a_waiver_of_a_slice_needs_an_expectation_with_slices():
    with pytest.raises(SuiteError, match="has no slices"):
        asked(WAIVER | {"slice": "web"}, slice_kind="overall")


def test_yaml_dates_are_dates(tmp_path: pathlib.Path):
    (tmp_path / "s.yaml").write_text(
        "expectations:\n- {expect: metric_to_be_between, metric: documents, min: 1,\n"
        "   waivers: [{who: Ada, why: so, until: 2027-01-31}]}\n"
    )
    suite = load_suite("s.yaml", str(tmp_path))
    assert suite.expectations[0].waivers[0].until == LAST
    assert suite.sha256() != load_suite({"suite": "s", "expectations": [
        {"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}).sha256()  # fmt: skip
    assert Suite.model_validate_json(suite.model_dump_json()) == suite


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.1, 0.9, None])), st.sampled_from("abcd"))
def test_a_waiver_only_ever_forgives_its_own_slice(values, slice_):
    """Against judging each slice alone."""
    verdict = judge(metrics(**values), asked(WAIVER | {"slice": slice_}), None, BEFORE)
    rejected = not values or any(value != 0.1 for name, value in values.items() if name != slice_)
    assert verdict.passed == (not rejected)


def test_the_schema_for_editors_takes_what_we_take():
    good = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1, "waivers": [WAIVER]}]}
    jsonschema.validate({"suite": "s", **good}, Suite.model_json_schema())
    good["expectations"][0]["waivers"] = [{"who": "Ada"}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"suite": "s", **good}, Suite.model_json_schema())
