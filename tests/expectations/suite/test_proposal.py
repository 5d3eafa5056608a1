"""A proposed suite is read back, is passed by its references, and catches what is outside of their spread."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from expectations.judge.verdict import judge
from expectations.suite.proposal import proposals, suite_yaml, tolerance_factor
from expectations.suite.suite import load_suite, parsed


def row(metric, value, lower=None, upper=None, n=1000, stage="after"):
    return {"metric": metric, "stage": stage, "slice_kind": "overall", "slice": "", "value": value, "lower": lower,
            "upper": upper, "unit": "", "n": n, "note": None, "needed": None}  # fmt: skip


def statuses(text, rows):
    table = pa.Table.from_pylist(rows, schema=contracts.METRICS.schema)
    return [one.status for one in judge(table, load_suite(parsed(text, "s").value)).expectations]


@pytest.mark.parametrize(("n", "factor"), [(2, 26.260), (3, 7.656), (5, 4.203), (10, 2.911), (30, 2.220)])
def test_the_tolerance_factor_is_that_of_the_tables(n, factor):
    assert tolerance_factor(n) == pytest.approx(factor, abs=0.001)


def test_a_tolerance_limit_holds_as_often_as_it_says():
    """Of 2,000 sets of five references, 95 % have a limit that at least 95 % of all such releases keep."""
    draws = np.random.default_rng(7).normal(2.0, 0.1, size=(2000, 5))
    limits = [proposals([[row("repetition.compression_ratio", v)] for v in five])[0][0].max for five in draws.tolist()]
    enough = np.mean(np.array(limits) >= 2.0 + 0.1 * 1.6449)
    assert 0.94 <= enough <= 0.97


def test_several_references_give_limits_on_the_side_that_is_worse():
    tables = [[row("repetition.compression_ratio", v), row("source.effective_number", 10 + v), row("length.q50", 100 + v)]
              for v in (2.0, 2.1, 2.2)]  # fmt: skip
    found = {one.metric: one for one in proposals(tables)[0]}
    ratio, sources, length = (
        found[m] for m in ("repetition.compression_ratio", "source.effective_number", "length.q50")
    )
    assert ratio.min is None
    assert ratio.max == pytest.approx(2.1 + 7.656 * 0.1, abs=0.001)
    assert sources.max is None
    assert sources.min == pytest.approx(12.1 - 7.656 * 0.1, abs=0.01)
    assert length.min < 102 < length.max
    assert ratio.min_documents == 500


def test_one_reference_gives_its_own_noise_where_it_is_known():
    found, left_out = proposals([[
        row("input.bad_fraction", 0.05, stage="before"), row("source.effective_number", 4.0), row("documents", 9.0),
        row("lexical.entropy_1", 10.0), row("ratio.real", 5.0), row("paragraphs.removed_tokens", 0.1)]])  # fmt: skip
    assert [one.metric for one in found] == ["input.bad_fraction"]
    assert found[0].max == pytest.approx(0.05 + 3 * (2 * 0.05 * 0.95 / 1000) ** 0.5, abs=0.005)
    assert left_out == {
        "lexical.entropy_1": "it grows with the corpus",
        "source.effective_number": "one reference, and no limits, and no bound is known",
        "documents": "a count, which is what it is",
        "ratio.real": "a count, which is what it is",
        "paragraphs.removed_tokens": "nobody says which way is worse",
    }


def test_one_reference_whose_text_is_declared_leaves_room_for_another_draw():
    """The share of a quarter of a corpus is not that of the next."""
    found = proposals([[row("synthetic_share.documents", 0.2, 0.2, 0.2), row("documents", 1000.0)]])[0]
    assert 0.2 + 3 * (2 * 0.2 * 0.8 / 1000) ** 0.5 <= found[0].max < 0.27


def test_what_is_not_in_every_reference_or_could_never_fail_is_left_out():
    wide = [[row("paragraphs.repeated_within", v)] for v in (0.1, 0.9)]
    assert "no limit could fail" in proposals(wide)[1]["paragraphs.repeated_within"]
    once = [[row("repetition.compression_ratio", 2.0)], [row("documents", 1.0)]]
    assert proposals(once)[1]["repetition.compression_ratio"] == "not measured in 1 of 2"
    shares = [[row("synthetic_share.tokens", 0.1, None, v)] for v in (0.2, 0.21, 0.22)]
    assert proposals(shares)[0][0].bound == "upper"
    assert "same detector" in proposals(shares, same_detector=False)[1]["synthetic_share.tokens"]


def test_the_yaml_says_what_it_rests_on_and_hostile_names_stay_comments():
    tables = [[row("repetition.compression_ratio", v)] for v in (2.0, 2.1)]
    found, _ = proposals(tables)
    text = suite_yaml(found, {"a\nb: c": "why\n- x"}, ["one\nexpectations: []", "two"], 'n"\n')
    suite = load_suite(parsed(text, "s").value)
    assert suite.suite == 'n"\n'
    assert len(suite.expectations) == 1
    assert "Seen: 2, 2.1" in text
    assert "2 references: 95% of such releases with 95% confidence" in text


@settings(max_examples=25)
@given(
    st.lists(
        st.fixed_dictionaries({
            "repetition.compression_ratio": st.floats(1e-9, 1e9), "source.max_share": st.floats(0, 1),
            "source.effective_number": st.floats(1, 1e6), "length.q50": st.floats(0, 1e6),
            "duplicates.exact_fraction": st.floats(0, 1),
        }),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_every_reference_passes_its_own_suite(references):
    tables = [[row(metric, value) for metric, value in one.items()] for one in references]
    found, left_out = proposals(tables)
    assert {one.metric for one in found} | set(left_out) == set(references[0])
    if found:
        text = suite_yaml(found, left_out, ["r"] * len(tables), "s")
        for table in tables:
            assert set(statuses(text, table)) == {"pass"}
