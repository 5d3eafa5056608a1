"""Great Expectations is asked in one place. Each of its traps is reproduced here, beside what we do instead."""

import logging
import os
import pathlib
import subprocess
import sys

import pandas as pd
import pytest

from expectations.judge import gx
from expectations.suite.suite import SuiteError, load_suite

ROOT = pathlib.Path(__file__).parents[3]
COLUMNS = ["metric", "stage", "slice_kind", "slice", "value", "lower", "upper", "unit", "n", "note"]


def row(metric="documents", slice_kind="overall", slice_="", value=10.0, stage="after", **more):
    numbers = {"lower": None, "upper": None, "unit": "documents", "n": 10, "note": None} | more
    return {"metric": metric, "stage": stage, "slice_kind": slice_kind, "slice": slice_, "value": value} | numbers


def frame(*rows):
    return pd.DataFrame(list(rows), columns=COLUMNS).astype({"value": float, "lower": float, "upper": float})


def suite(*items):
    asked = [{"expect": "metric_to_be_between", "metric": "documents", **item} for item in items]
    return load_suite({"expectations": asked})


def statuses(metrics, *items):
    return [result["status"] for result in gx.validate(metrics, suite(*items))]


@pytest.fixture(scope="module")
def real():
    """Great Expectations itself, for what it does when nobody guards it."""
    gx._great_expectations()
    import great_expectations

    great_expectations.get_context(mode="ephemeral")  # some of it asks for one that somebody has made before
    return great_expectations


def bare(real, expectation_or_suite, data):
    """Validate with Great Expectations as its own documentation does."""
    context = real.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
    batch = asset.add_batch_definition_whole_dataframe("b").get_batch(batch_parameters={"dataframe": data})
    return batch.validate(expectation_or_suite)


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"min": 10}, "pass"),
        ({"min": 10.5}, "fail"),
        ({"max": 10}, "pass"),
        ({"max": 9.5}, "fail"),
        ({"min": 9, "max": 11}, "pass"),
    ],
)
def test_limits_are_inclusive(limits, status):
    assert statuses(frame(row()), limits) == [status]


@pytest.mark.parametrize(("bound", "status"), [("lower", "fail"), ("value", "pass"), ("upper", "pass")])
def test_the_chosen_bound_is_compared(bound, status):
    assert statuses(frame(row(value=10.0, lower=5.0, upper=15.0)), {"bound": bound, "min": 10}) == [status]


def test_the_last_bits_of_a_sum_do_not_decide():
    assert 0.1 + 0.2 > 0.3
    assert statuses(frame(row(value=0.1 + 0.2)), {"max": 0.3}) == ["pass"]


def test_without_a_slice_every_slice_must_hold():
    metrics = frame(row(slice_kind="source", slice_="a", value=9.0), row(slice_kind="source", slice_="b", value=1.0))
    kind = {"slice_kind": "source", "min": 5}
    assert statuses(metrics, kind, kind | {"slice": "a"}, kind | {"slice": "b"}) == ["fail", "pass", "fail"]
    assert [one["status"] for one in gx.validate(metrics, suite(kind))[0]["rows"]] == ["pass", "fail"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_there_is_an_error_and_never_a_pass(value):
    result = gx.validate(frame(row(value=value)), suite({"max": 10}))[0]
    assert (result["status"], result["error"]) == ("error", "no finite value for 1 of 1 row")
    assert result["rows"][0]["observed"] is None


def test_one_missing_slice_among_many_is_an_error():
    metrics = frame(*(row(slice_kind="source", slice_=name, value=value) for name, value in [("a", 9.0), ("b", None)]))
    assert statuses(metrics, {"slice_kind": "source", "min": 5}) == ["error"]


def test_trap_nothing_to_look_at_counts_as_success(real):
    nothing = pd.DataFrame({"value": pd.Series([], dtype=float)})
    assert bare(real, real.expectations.ExpectColumnValuesToBeBetween(column="value", min_value=1), nothing).success
    assert statuses(frame(), {"min": 1}) == ["error"]
    assert statuses(frame(row(stage="before")), {"min": 1}) == ["error"]
    assert statuses(frame(row()), {"min": 1, "slice_kind": "source", "slice": "nobody"}) == ["error"]


def test_trap_nulls_count_as_success(real):
    nulls = pd.DataFrame({"value": [None, None]}, dtype=float)
    assert bare(real, real.expectations.ExpectColumnValuesToBeBetween(column="value", min_value=1), nulls).success
    assert statuses(frame(row(value=None), row(value=None)), {"min": 1}) == ["error"]


def test_trap_an_empty_suite_succeeds(real):
    assert bare(real, real.ExpectationSuite(name="empty"), frame(row())).success
    with pytest.raises(SuiteError, match="is empty"):
        load_suite({"expectations": []})


def test_trap_a_suite_drops_what_it_does_not_know(real):
    wrong = [
        {"type": "expect_nonsense", "kwargs": {}},
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 1}, "severity": "fatal"},
    ]
    assert not real.ExpectationSuite(name="dropped", expectations=wrong).expectations
    with pytest.raises(SuiteError):
        suite({"min": 1, "severity": "fatal"})
    with pytest.raises(SuiteError):
        suite({"expect": "expect_nonsense", "min": 1})


def test_trap_equal_expectations_are_merged_and_results_come_in_another_order(real):
    equal = real.ExpectationSuite(name="equal")
    for notes in ("one", "two"):
        equal.add_expectation(real.expectations.ExpectTableRowCountToEqual(value=1, notes=notes))
    assert len(equal.expectations) == 1
    metrics = frame(row(), row(metric="tokens", value=3.0))
    asked = [{"min": 1, "notes": "one"}, {"metric": "tokens", "max": 2}, {"min": 1, "notes": "two"}, {"min": 99}] * 5
    results = gx.validate(metrics, suite(*asked))
    assert [result["key"] for result in results] == [f"expectations[{place}]" for place in range(20)]
    assert [result["status"] for result in results] == ["pass", "fail", "pass", "fail"] * 5


def test_trap_no_limits_at_all_are_accepted(real):
    assert bare(real, real.expectations.ExpectColumnMaxToBeBetween(column="value"), frame(row())).success
    with pytest.raises(SuiteError, match="neither min nor max"):
        suite({})


def test_trap_a_missing_column_is_a_failure_like_any_other(real):
    """Great Expectations reports the exception inside a failure; we call it an error and say which column."""
    assert not bare(
        real, real.expectations.ExpectColumnMaxToBeBetween(column="nobody", max_value=1), frame(row())
    ).success
    result = gx.validate(frame(row()).drop(columns="stage"), suite({"min": 1}))[0]
    assert result["status"] == "error"
    assert "stage" in result["error"]


def test_a_result_that_does_not_come_back_is_an_error():
    assert gx._plain("expectations[0]", None)["status"] == "error"


def test_slices_with_strange_names_are_compared_as_text():
    for name in ('"; DROP', "$PARAMETER", "{'a': 1}", "日本", " "):
        metrics = frame(row(slice_kind="source", slice_=name), row(slice_kind="source", slice_="other", value=0.0))
        assert statuses(metrics, {"slice_kind": "source", "slice": name, "min": 1}) == ["pass"]


GUARDED = """
import logging, socket, sys, warnings
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
def refuse(*a, **k):
    print("NETWORK", a, file=sys.stderr); raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
shown, level = warnings.showwarning, logging.getLogger().level
import pandas
from expectations.judge import gx
from expectations.suite.suite import load_suite
metrics = pandas.DataFrame([dict(metric="documents", stage="after", slice_kind="overall", slice="", value=1.0,
                                 lower=None, upper=None, unit="", n=1, note=None)])
suite = load_suite({"expectations": [dict(expect="metric_to_be_between", metric="documents", min=1),
                                     dict(expect="metric_to_be_between", metric="tokens", min=1)]})
print([result["status"] for result in gx.validate(metrics, suite)])
assert warnings.showwarning is shown and logging.getLogger().level == level
warnings.warn("a warning of the user")
logging.captureWarnings(True)  # still works for a user who asks for it
assert warnings.showwarning is not shown
"""


def run(code, folder, *options, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, *options, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_it_is_silent_offline_and_blind_to_the_project_and_cloud_around_it(tmp_path):
    """Traps: log lines, a progress bar, swallowed warnings, a `gx/` project in the folder, cloud variables."""
    (tmp_path / "gx").mkdir()
    (tmp_path / "gx" / "great_expectations.yml").write_text("config_version: 4.0\n")
    before = sorted(tmp_path.rglob("*"))
    done = run(GUARDED, tmp_path, GX_CLOUD_ACCESS_TOKEN="t", GX_CLOUD_ORGANIZATION_ID="o")
    assert done.stdout == "['pass', 'error']\n", done.stderr
    assert done.stderr.splitlines()[1:] == []
    assert "UserWarning: a warning of the user" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_it_works_where_every_warning_is_an_error(tmp_path):
    code = GUARDED.replace('warnings.warn("a warning of the user")', "")
    code = code.replace("from expectations import gx", "warnings.simplefilter('error'); from expectations import gx")
    done = run(code, tmp_path)
    assert done.stdout == "['pass', 'error']\n", done.stderr


@pytest.mark.slow
def test_trap_the_import_swallows_warnings(tmp_path):
    code = "import great_expectations, warnings; warnings.warn('a warning of the user')"
    done = run(code, tmp_path, "-W", "ignore::DeprecationWarning")
    assert "a warning of the user" not in done.stderr, "Great Expectations no longer does this: drop our guard"


def test_a_level_that_the_user_set_is_kept():
    gx._great_expectations()
    logger = logging.getLogger("great_expectations")
    before = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        with gx._quiet():
            pass
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize(
    ("row_changes", "asked", "status"),
    [
        ({"n": 10, "needed": 11}, {"min": 5}, "inconclusive"),  # never a pass
        ({"n": 11, "needed": 11}, {"min": 5}, "pass"),
        ({"n": 10, "needed": 11}, {"min": 15}, "inconclusive"),  # without bounds no failure is clear
        ({"n": 10, "needed": 11, "lower": 8.0, "upper": 12.0}, {"min": 11, "bound": "lower"}, "inconclusive"),
        ({"n": 10, "needed": 11, "lower": 8.0, "upper": 12.0}, {"min": 13, "bound": "lower"}, "fail"),  # at its best
        ({"n": 10, "needed": 11, "lower": 8.0, "upper": 12.0}, {"max": 9, "bound": "upper"}, "inconclusive"),
        ({"n": 10, "needed": 11, "lower": 8.0, "upper": 12.0}, {"max": 7, "bound": "upper"}, "fail"),
        ({"n": 10, "needed": 11, "value": None}, {"min": 5}, "inconclusive"),
        ({"n": 10, "needed": None, "value": None}, {"min": 5}, "error"),
        ({"n": 10}, {"min": 5, "min_documents": 11}, "inconclusive"),
        ({"lower": 8.0, "upper": 12.0}, {"min": 9, "bound": "lower"}, "fail"),  # a bound is a bound, unless it is said
        ({"lower": 8.0, "upper": 12.0}, {"min": 9, "bound": "lower", "unsure": "inconclusive"}, "inconclusive"),
        ({"lower": 8.0, "upper": 12.0}, {"min": 11, "bound": "lower", "unsure": "inconclusive"}, "fail"),
        ({"lower": 8.0, "upper": 12.0}, {"max": 11, "bound": "upper", "unsure": "inconclusive"}, "inconclusive"),
        ({"n": 10}, {"min": 5, "min_documents": 10}, "pass"),
    ],
)
def test_too_few_documents_make_it_inconclusive_unless_it_fails_at_its_better_bound(row_changes, asked, status):
    rows = [row(**row_changes)]
    metrics = pd.DataFrame(rows, columns=[*COLUMNS, "needed"])
    metrics = metrics.astype({"value": float, "lower": float, "upper": float, "needed": float})
    result = gx.validate(metrics, suite(asked))[0]
    assert result["status"] == status


def test_the_worst_of_several_slices_decides_and_a_star_chooses_those_under_a_name():
    few = {"slice_kind": "structure", "n": 1}
    rows = [
        row(slice_="one/a", slice_kind="structure"),
        row(slice_="one/b", **few),
        row(slice_="oneness/c", value=0.0, slice_kind="structure"),
    ]
    asked = {"slice_kind": "structure", "min": 5, "min_documents": 5}
    found = statuses(frame(*rows), asked | {"slice": "one/*"}, asked, asked | {"slice": "two/*"})
    assert found == ["inconclusive", "fail", "error"]
