"""A suite says which documents it does not look at."""

import pytest

from expectations.judge.blind_spots import blind_spots
from expectations.suite.suite import load_suite

SHARE = {"expect": "metric_to_be_between", "metric": "synthetic_share.tokens", "max": 0.1}


def row(metric, kind, slice_, value):
    return {"metric": metric, "stage": "after", "slice_kind": kind, "slice": slice_, "value": value}


ROWS = [
    row("documents", "source", "web", 90.0),
    row("documents", "source", "wiki", 10.0),
    row("documents", "language", "en", 95.0),
    row("documents", "language", "fy", 5.0),
    row("synthetic_share.tokens", "source", "web", 0.1),
    row("synthetic_share.tokens", "source", "wiki", 0.0),
    row("synthetic_share.tokens", "language", "en", 0.1),
    row("documents", "origin_basis", "human/declared", 60.0),
]


def said(*rules, rows=ROWS):
    return " ".join(blind_spots(load_suite({"expectations": rules}).expectations, rows))


def test_what_hides_in_the_average_is_named_with_how_much_of_the_release_it_is():
    words = said(SHARE)
    assert "share of 2 sources is in no rule, but only in that of the whole: web, wiki (100 documents, 100%" in words
    assert "share of 2 languages is in no rule" in words
    assert "No rule looks at" not in words


def test_a_rule_of_every_slice_leaves_out_those_without_a_number_and_a_rule_of_one_the_others():
    words = said({**SHARE, "slice_kind": "source"}, {**SHARE, "slice_kind": "language"})
    assert words == (
        "The synthetic share of 1 language has no number of its own, but only in that of the whole: fy "
        "(5 documents, 5% of the release)."
    )
    assert "share of 1 source is in no rule, but only in that of the whole: wiki (10" in said(
        {**SHARE, "slice_kind": "source", "slice": "web"}
    )


def test_nothing_about_the_share_is_said_first():
    assert said({"expect": "metric_to_be_between", "metric": "documents", "min": 1}).startswith("No rule looks at")


@pytest.mark.parametrize(
    ("n", "words"), [(1, "1 document of the release has"), (40, "40 documents of the release have")]
)
def test_documents_without_a_score_are_counted(n, words):
    assert words in said(SHARE, rows=[*ROWS, row("documents", "origin_basis", "unknown/none", float(n))])


def test_text_that_is_later_than_the_detector_is_said_unless_a_rule_asks_for_it():
    late = [row("synthetic_share.out_of_time.documents", "overall", "", 0.25)]
    assert "25% of the documents are later than the machines" in said(SHARE, rows=late)
    rule = {"expect": "metric_to_be_between", "metric": "synthetic_share.out_of_time.tokens", "max": 0}
    assert said(SHARE, rule, rows=late) == ""
