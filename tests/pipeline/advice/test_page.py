"""What the report is told: what would mend each expectation, with keys that a recipe takes, and commands that run."""

import dataclasses
import shlex

import pyarrow as pa
import pytest

from expectations import contracts
from expectations.judge.verdict import Outcome, SliceOutcome, Verdict
from expectations.suite.suite import idle_limit
from pipeline.advice.page import Told, joined, report_input
from pipeline.advice.remedy import CAPPED, WAYS, mends
from pipeline.recipe import parse_recipe

RECIPE = """
release: mix-v1
sources: [{name: a, path: in, origin: human}]
output: {path: my releases}
"""


def outcome(
    metric: str, observed: float, low: float | None = None, high: float | None = None, **changes: object
) -> Outcome:
    seen = SliceOutcome("", observed, observed, None, None, 100, "fail")
    made = Outcome("expectations[0]", metric, "after", "overall", None, "value", low, high, "a limit", "critical", "fail",
                   "It does not hold.", "", "fraction", seen, 1, (seen,))  # fmt: skip
    return dataclasses.replace(made, **changes)


def ways(one: Outcome, **dropped: float) -> list[str]:
    return [*mends(one, "out/x.rejected", parse_recipe(RECIPE, "r"), dropped)]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (outcome("source.max_share", 0.7, high=0.5), "ratio.limits=[{each: source, max: 0.5}]"),
        (outcome("duplicates.residual_rate", 0.02, high=0.01), "dedup.bands=28"),
        (outcome("paragraphs.repeated_across", 0.4, high=0.2), "dedup.paragraphs.remove=true"),
        (outcome("contamination.items", 0.1, high=0.0), "contamination.on_match=drop"),
        (outcome("ratio.dropped", 5, high=0.0), "ratio.on_shortage=shrink"),
        (outcome("input.bad_fraction", 0.1, high=0.01, stage="before"), "quarantine/"),
        (outcome("origin.scored_fraction", 0.5, low=0.8), "it holds at `min: 0.5`"),
        (outcome("length.q50", 40.0, low=50.0), "it holds at `min: 40`"),
    ],
)
def test_each_expectation_has_a_key_and_a_value_that_would_mend_it(one: Outcome, said: str) -> None:
    assert said in " ".join(ways(one))


def test_every_key_that_is_named_is_one_that_a_recipe_takes() -> None:
    every = [outcome(metric, 0.7, high=0.5) for metric in (*CAPPED, "duplicates.residual_rate", "paragraphs.x")]
    every += [outcome(start.partition(" ")[0], 0.7, high=0.5) for start in WAYS]
    every += [outcome("synthetic_share.tokens", 0.3, high=0.1, threshold="at most 10% ($max_synthetic_share)")]
    keys = [
        shlex.split(way.partition("--set ")[2])[0].rstrip(",") for one in every for way in ways(one) if "--set " in way
    ]
    assert len(keys) > 6
    for key in keys:
        parse_recipe(RECIPE, "r", [key])


def test_no_limit_is_proposed_that_could_never_fail() -> None:
    assert idle_limit("source.max_share", "max", 1.0, False)
    assert not [way for way in ways(outcome("source.max_share", 1.0, high=0.5)) if "it holds at" in way]


def test_a_slice_can_be_answered_for() -> None:
    seen = SliceOutcome('we"b', 1.0, 1.0, None, None, 9, "fail")
    asked = "at most 10% ($max_synthetic_share * 2)"
    said = ways(outcome("synthetic_share.tokens", 1.0, high=0.1, slice_kind="source", worst=seen, threshold=asked))
    assert said == [
        'or answer for it in the suite: `waivers: [{slice: "we\\"b", who: NAME, why: REASON, until: DATE}]`'
    ]


def test_commands_are_about_the_folder_that_is_there_and_safe_to_copy() -> None:
    one = outcome("source.max_share", 0.7, high=0.5)
    failed = Verdict("failed", ("It does not hold.",), (), "s", "0" * 64, {}, (one,))
    rows = [
        {
            "metric": "documents.dropped",
            "stage": "after",
            "slice_kind": "reason",
            "slice": "near_duplicate",
            "value": 4.0,
        }
    ]
    metrics = pa.Table.from_pylist([row | {"unit": "", "n": 1} for row in rows], contracts.METRICS.schema).to_batches()[
        0
    ]
    about = {"versions": {}, "inputs": [], "limit": None}
    told = Told(recipe=RECIPE, release="mix-v1", about=about, structures="", files=(), quarantine=())
    given = report_input(told, failed, metrics)
    commands = [shlex.split(line) for _, line in given["commands"]]
    assert ["cp", "my releases/mix-v1.rejected/recipe.yaml", "recipe.yaml"] in commands
    assert ["lowbackground", "run", "recipe.yaml", "--set", "ratio.limits=[{each: source, max: 0.5}]"] in commands
    assert ["lowbackground", "explain", "my releases/mix-v1.rejected", "--reason", "near_duplicate"] in commands
    assert given["mends"]["expectations[0]"]
    passed = report_input(told, dataclasses.replace(failed, status="passed", reasons=()), metrics)
    assert ["lowbackground", "verify", "my releases/mix-v1"] in [shlex.split(line) for _, line in passed["commands"]]


def test_lines_that_go_on_are_one_and_items_and_commands_are_apart() -> None:
    lines = ["one", "  goes on", "  - an item", "  lowbackground gate x", "", "two"]
    assert joined(lines) == ["one goes on", "- an item", "lowbackground gate x", "two"]
