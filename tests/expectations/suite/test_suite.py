"""Suites are read strictly: what is not understood is refused in one line, never ignored."""

import json
import pathlib
import subprocess
import sys

import jsonschema
import pytest

from expectations import wording
from expectations.metrics import declared
from expectations.suite.suite import Suite, SuiteError, load_suite, presets, suite_schema

DOCUMENTS = {"expect": "metric_to_be_between", "metric": "documents", "min": 1}


def one(**changes):
    return {"expectations": [{**DOCUMENTS, **changes}]}


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (one(serverity="info"), "expectations[0].serverity: unknown key; did you mean 'severity'?"),
        (one(severity="crit"), "expectations[0].severity: unknown value 'crit'; did you mean 'critical'?"),
        (one(bound="uper"), "expectations[0].bound: unknown value 'uper'; did you mean 'upper'?"),
        (one(stage="afer"), "expectations[0].stage: unknown value 'afer'; did you mean 'after'?"),
        (one(expect="metric_between"), "expectations[0].expect: unknown value 'metric_between'; did you mean"),
        (
            one(metric="synthetic_share.token"),
            "unknown metric 'synthetic_share.token'; did you mean 'synthetic_share.tok",
        ),
        (one(slice_kind="sorce"), "unknown slice kind 'sorce'; did you mean 'source'?"),
        (one(min=None), "expectations[0]: has neither min nor max"),
        (one(min=2, max=1), "min 2 is above max 1"),
        (one(min=float("nan")), "expectations[0].min: input should be a finite number"),
        (one(min=True), "YAML read this as true"),
        (one(min="1e-3"), "'1e-3' is neither a number nor"),
        (one(min="$a + 1"), "'$a + 1' is neither a number nor"),
        (one(slice="en"), "slice 'en' needs a slice_kind"),
        (one(slice_kind="language", slice=False), "YAML read this as false; put the word in quotes"),
        ({"expectation": [DOCUMENTS]}, "expectation: unknown key; did you mean 'expectations'?"),
        ({"expectations": []}, "expectations: is empty, so nothing would be checked"),
        ({"expectations": "documents"}, "expectations: should be a list, got 'documents'"),
        ({"expectations": [1]}, "expectations[0]: should be a mapping, got '1'"),
        ({}, "expectations: is missing"),
        ("strct", "no suite 'strct'; did you mean 'strict'?"),
        ("nowhere.yaml", "cannot read nowhere.yaml: No such file or directory"),
        (3, "got 3; write a preset (cautious, mixed, strict), a path or a mapping"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(suite, message):
    with pytest.raises(SuiteError) as raised:
        load_suite(suite)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expectations:\n  - {metric: documents, min: 1, min: 2}\n", "line 2: 'min' is given twice (first in line 2)"),
        ("expectations: [", "line 2: not YAML"),
        ("- a\n", "a suite is a mapping with the key 'expectations', got list"),
        ("", "got NoneType"),
        ("expectations: !!python/object/apply:os.system [id]\n", "is not known here"),
        ("a: " + "[" * 2000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_suite_is_refused_with_its_name_and_line(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SuiteError) as raised:
        load_suite("mine.yaml", str(tmp_path))
    assert str(raised.value).startswith(str(tmp_path / "mine.yaml"))
    assert message in str(raised.value)


SHARE = {"metric": "synthetic_share.tokens", "min": None}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            SHARE | {"max": 10},
            "expectations[0].max: a share is never above 1, so 10 could never fail; for 10 % write 0.1",
        ),
        (SHARE | {"max": 1}, "1 could never fail; write a fraction, such as 0.99 for 99 %"),
        (SHARE | {"max": -0.1}, "-0.1 is below all that a share can be, so it could never hold"),
        ({"metric": "origin.scored_fraction", "min": 80}, "it could never hold; for 80 % write 0.8"),
        ({"metric": "origin.scored_fraction", "min": 0}, "a share is never below 0, so 0 could never fail"),
        ({"min": 0}, "this number is never below 0, so 0 could never fail; the nearest that could is 1"),
        (
            {"metric": "source.effective_number", "min": 1},
            "never below 1, so 1 could never fail; the nearest that could is 1.1",
        ),
        (SHARE | {"min": -1, "max": 0.1}, "expectations[0].min: a share is never below 0"),
    ],
)
def test_a_limit_that_cannot_fail_is_refused_with_the_nearest_that_can(tmp_path, limits, message):
    with pytest.raises(SuiteError) as raised:
        load_suite(one(**limits))
    assert message in str(raised.value)
    assert load_suite(one(**limits), kept=True), "what a release keeps was good when it was made"
    (tmp_path / "mine.yaml").write_text(json.dumps(one(**limits)))
    with pytest.raises(SuiteError, match=r"mine\.yaml, line 1: expectations"):
        load_suite("mine.yaml", str(tmp_path))


def test_the_end_of_what_there_is_may_be_said_beside_another_limit_and_a_ratio_may_be_above_one():
    load_suite(one(**SHARE | {"min": 0, "max": 0.1}))
    load_suite(one(metric="reference.hill_1_1", min=None, max=1.2))
    load_suite(one(metric="repetition.compression_ratio", min=None, max=5))
    # A parameter is the recipe's business: 1 there switches the limit off on purpose.
    load_suite(one(**SHARE | {"max": "$a * 2"})).resolve({"a": 1.0})


def test_a_file_is_found_from_the_folder_of_the_recipe_and_named_by_its_stem(tmp_path):
    (tmp_path / "mine.yaml").write_text("expectations: [{expect: metric_to_be_between, metric: documents, min: 1}]")
    assert load_suite("mine.yaml", str(tmp_path)) == load_suite({"suite": "mine", **one()})


@pytest.mark.parametrize("name", ["cautious", "mixed", "strict"])
def test_every_preset_says_why_and_keeps_the_recipes_limit(name):
    suite = load_suite(name)
    assert suite.suite == name
    assert all(item.notes for item in suite.expectations)
    share = [item for item in suite.expectations if item.metric == "synthetic_share.tokens" and item.bound == "upper"]
    assert any(item.max == "$max_synthetic_share" and item.severity == "critical" for item in share)
    # Without synthetic text there is no generator to measure: that may not reject a release.
    assert not [i for i in suite.expectations if i.metric.startswith("generator.") and i.severity == "critical"]


def test_there_are_no_other_presets():
    assert presets() == ["cautious", "mixed", "strict"]


def test_the_ceilings_of_the_presets_are_those_of_the_literature():
    def ceiling(name):
        return [
            i.max
            for i in load_suite(name).expectations
            if i.metric == "synthetic_share.tokens" and i.slice_kind == "overall" and isinstance(i.max, float)
        ]

    assert [ceiling(name) for name in ("strict", "cautious", "mixed")] == [[0.05], [0.10], [0.30]]


def test_parameters_become_numbers():
    suite = load_suite(one(min="$low", max="$low * 2.5"))
    resolved = suite.resolve({"low": 2}).expectations[0]
    assert (resolved.min, resolved.max) == (2.0, 5.0)


@pytest.mark.parametrize("params", [{}, {"low": None}, {"lows": 1}])
def test_a_parameter_that_is_not_set_is_refused(params):
    with pytest.raises(SuiteError, match=r"suite recipe: expectations\[0\]\.min: parameter \$low is not set"):
        load_suite(one(min="$low")).resolve(params)


def test_parameters_that_cross_are_refused():
    with pytest.raises(SuiteError, match="min 3 is above max 2"):
        load_suite(one(min="$low", max=2)).resolve({"low": 3})


def test_the_fingerprint_is_of_the_meaning_and_not_of_the_layout(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "suite: a\nexpectations:\n- {min: 1, metric: documents, expect: metric_to_be_between}"
    )
    (tmp_path / "b.yaml").write_text(
        "# why\nsuite: a\nexpectations:\n- {expect: metric_to_be_between, metric: documents, min: 1.0}"
    )
    a, b = (load_suite(name, str(tmp_path)).sha256() for name in ("a.yaml", "b.yaml"))
    assert a == b
    assert a != load_suite({"suite": "a", **one(min=2)}).sha256()


def test_the_json_schema_takes_a_suite_without_a_name():
    jsonschema.validate(
        {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}, suite_schema()
    )


def test_the_json_schema_knows_the_names():
    schema = json.dumps(Suite.model_json_schema())
    assert all(f'"{name}"' in schema for name in [*declared.METRICS, *wording.SLICE_KINDS])
    assert '"additionalProperties": false' in schema


@pytest.mark.parametrize("module", ["suite.suite", "judge.verdict", "report.report", "wording", "judge.gx"])
def test_importing_does_not_import_great_expectations(module):
    code = f"import sys, expectations.{module}; sys.exit('great_expectations' in sys.modules)"
    root = pathlib.Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
