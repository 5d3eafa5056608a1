"""A critical expectation that fails, or that cannot be measured, rejects a release. Nothing else does."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts, wording
from expectations.judge.verdict import Outcome, SliceOutcome, Verdict, VerdictError, judge
from expectations.suite.suite import SuiteError, load_suite


def metrics(*rows):
    """A metrics table from (metric, slice_kind, slice, value, upper)."""
    columns = ("metric", "slice_kind", "slice", "value", "upper")
    filled = [
        {"stage": "after", "lower": None, "unit": "share", "n": 7, "note": None} | dict(zip(columns, row, strict=True))
        for row in rows
    ]
    return pa.Table.from_pylist(filled, schema=contracts.METRICS.schema)


SHARE = metrics(("synthetic_share.tokens", "overall", "", 0.2, 0.25))


def asked(**changes):
    expectation = {"expect": "metric_to_be_between", "metric": "synthetic_share.tokens", "bound": "upper", "max": 0.3}
    return load_suite({"expectations": [expectation | changes]})


@pytest.mark.parametrize(
    ("severity", "limit", "bound", "status", "verdict"),
    [
        ("critical", 0.3, "upper", "pass", "passed"),
        ("critical", 0.2, "upper", "fail", "failed"),
        ("critical", 0.3, "lower", "error", "failed"),
        ("warning", 0.2, "upper", "fail", "passed"),
        ("warning", 0.3, "lower", "error", "passed"),
        ("info", 0.2, "upper", "fail", "passed"),
    ],
)
def test_only_what_is_critical_decides(severity, limit, bound, status, verdict):
    found = judge(SHARE, asked(severity=severity, max=limit, bound=bound))
    assert (found.expectations[0].status, found.status) == (status, verdict)
    assert found.passed == (verdict == "passed")
    assert len(found.reasons) == (verdict == "failed")
    assert len(found.warnings) == (severity == "warning")


def test_an_empty_table_rejects():
    found = judge(metrics(), load_suite("strict"), {"max_synthetic_share": 0.05})
    assert not found.passed
    assert {item.status for item in found.expectations} == {"error"}


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (
            [("synthetic_share.tokens", "overall", "", 0.2, 0.25)],
            {},
            "The synthetic share of words or tokens in the release has an upper bound of 25%, and at most 30% is asked for.",
        ),
        (
            [("synthetic_share.tokens", "overall", "", 0.2, 0.30004)],
            {},
            "The synthetic share of words or tokens in the release has an upper bound of 30.004%, above the limit of 30%.",
        ),
        (
            [
                ("synthetic_share.tokens", "source", name, value, None)
                for name, value in (("a", 0.5), ("b", 0.9), ("c", 0.1))
            ],
            {"slice_kind": "source", "bound": "value"},
            'The synthetic share of words or tokens in the release (source "b") is 90%, above the limit of 30%; 1 of 3 hold.',
        ),
        (
            [("documents", "overall", "", 0.0, None)],
            {"metric": "documents", "bound": "value", "max": None, "min": 1},
            "The number of documents in the release is 0, below the limit of 1.",
        ),
        (
            [],
            {},
            "The synthetic share of words or tokens in the release could not be measured: the metrics have no such row.",
        ),
    ],
)
def test_the_message_is_a_sentence_with_the_number_and_the_limit(rows, changes, message):
    assert judge(metrics(*rows), asked(**changes)).expectations[0].message == message


def test_the_note_of_a_number_that_is_missing_is_its_reason():
    table = metrics(("generator.max_share", "overall", "", None, None))
    table = table.set_column(9, contracts.METRICS.schema.field("note"), [["no generator is declared"]])
    found = judge(table, asked(metric="generator.max_share", bound="value")).expectations[0]
    assert found.message.endswith("could not be measured: no generator is declared.")


def test_the_threshold_is_resolved_and_names_its_parameter():
    found = judge(SHARE, asked(max="$max_synthetic_share * 2"), {"max_synthetic_share": 0.1})
    outcome = found.expectations[0]
    assert (outcome.max, outcome.min) == (0.2, None)
    assert outcome.threshold == "at most 20% ($max_synthetic_share * 2)"
    assert found.params == {"max_synthetic_share": 0.1}


def test_the_worst_slice_is_told_and_the_others_counted():
    rows = [("synthetic_share.tokens", "source", f"s{place:02}", place / 100, None) for place in range(100)]
    outcome = judge(metrics(*rows), asked(slice_kind="source", bound="value", max=0.5)).expectations[0]
    assert (outcome.worst.slice, outcome.worst.observed, outcome.slices) == ("s99", 0.99, 100)
    assert [one.slice for one in outcome.not_held] == [f"s{place}" for place in range(99, 79, -1)]


def test_a_parameter_that_is_not_set_is_an_error_of_the_recipe():
    with pytest.raises(SuiteError, match=r"\$max_synthetic_share is not set"):
        judge(SHARE, load_suite("mixed"))


def test_another_table_is_refused():
    with pytest.raises(contracts.ContractError):
        judge(pa.table({"metric": ["documents"]}), asked())


def test_the_same_metrics_in_another_order_give_the_same_bytes():
    rows = [("synthetic_share.tokens", "source", name, 0.5, 0.1 + 0.2) for name in "abcde"]
    suite = asked(slice_kind="source", bound="value")
    first, second = judge(metrics(*rows), suite).to_json(), judge(metrics(*rows[::-1]), suite).to_json()
    assert first == second
    assert '"upper": 0.3,' in first


def test_the_json_is_strict_and_comes_back():
    table = metrics(("synthetic_share.tokens", "overall", "", float("nan"), float("inf")))
    found = judge(table, asked())
    text = found.to_json()
    assert Verdict.from_json(text) == found
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert "NaN" not in text
    assert "Infinity" not in text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "passed"}', "\x00", '{"status": "maybe"}'])
def test_what_is_no_verdict_is_refused_in_one_line(text):
    with pytest.raises(VerdictError) as raised:
        Verdict.from_json(text)
    assert str(raised.value).startswith("verdict.json: ")
    assert "\n" not in str(raised.value)


def test_a_verdict_with_more_than_we_know_is_refused():
    stored = json.loads(judge(SHARE, asked()).to_json()) | {"waived": True}
    with pytest.raises(VerdictError, match="waived"):
        Verdict.from_json(json.dumps(stored))


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
slices = st.builds(
    SliceOutcome, st.text(), numbers, numbers, numbers, numbers, st.integers(), st.just("fail"), st.none()
)
outcomes = st.builds(Outcome, not_held=st.tuples(slices), worst=st.none() | slices, min=numbers, max=numbers)


@given(st.builds(Verdict, expectations=st.tuples(outcomes), params=st.dictionaries(st.text(), numbers)))
def test_any_verdict_survives_its_file(verdict):
    assert Verdict.from_json(verdict.to_json()) == verdict


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.sampled_from(["share", "count", "number"]))
def test_two_numbers_that_differ_never_read_the_same(value, limit, form):
    value, limit = wording.stable(value), wording.stable(limit)
    assert (value == limit) == (len(set(wording.told_apart(value, limit, form))) == 1)


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (0.248, "share", "24.8%"),
        (1, "share", "100%"),
        (0.00061, "share", "0.061%"),
        (1234567, "count", "1,234,567"),
        (0, "number", "0"),
        (1234.5678, "number", "1,235"),
        (0.01234, "number", "0.0123"),
        (None, "share", "–"),
        (float("inf"), "number", "–"),
        (99.96, "number", "100"),
    ],
)
def test_numbers_are_written_as_a_person_writes_them(value, form, words):
    assert wording.number(value, form) == words


@pytest.mark.parametrize(
    ("severity", "warnings"),
    [("critical", 1), ("warning", 1), ("info", 0)],
)
def test_what_is_inconclusive_warns_and_never_rejects(severity, warnings):
    found = judge(SHARE, asked(severity=severity, min_documents=100))
    assert (found.status, found.expectations[0].status, len(found.warnings)) == ("passed", "inconclusive", warnings)
    assert found.expectations[0].message == (
        "The synthetic share of words or tokens in the release is inconclusive: "
        "it rests on 7 documents, and it takes 100 to judge it "
        "(seen: 20%)."
    )
    assert Verdict.from_json(found.to_json()) == found


def test_a_bound_outside_with_the_value_within_may_be_inconclusive():
    found = judge(SHARE, asked(max=0.22, unsure="inconclusive"))
    assert (found.status, found.expectations[0].message) == (
        "passed",
        "The synthetic share of words or tokens in the release is inconclusive: "
        "it is 20%, its upper bound is 25%, and at most 22% is "
        "asked for.",
    )
