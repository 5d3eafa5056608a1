"""Every metric is declared once, and what is derived from the table follows it."""

from expectations import wording
from expectations.metrics import declared
from expectations.metrics.metric import EARLY, SIGNS


def test_every_metric_is_a_sign_that_is_known() -> None:
    for name, metric in declared.METRICS.items():
        assert metric.name == name
        assert metric.sign in SIGNS
        assert metric.title[:1].isupper(), name
        assert not metric.title.endswith("."), name


def test_only_what_says_which_way_is_worse_is_an_early_sign() -> None:
    undirected = {m.name for m in declared.METRICS.values() if m.sign in EARLY and not m.worse}
    assert {name.split(".")[0] for name in undirected} <= {"lm", "length", "structure"}  # "spread" goes either way


def test_signs_are_in_the_order_in_which_they_are_seen() -> None:
    ranks = [
        declared.find(name).rank for name in ("reference.tail_mass", "lexical.hill_1_1", "lexical.mattr", "tokens")
    ]
    assert ranks == sorted(ranks)


def test_a_metric_of_another_version_is_called_by_its_name_and_claims_nothing() -> None:
    one = declared.find("invented.later")
    assert (one.title, one.form, one.sign, one.worse, one.grows) == ("invented.later", "number", "other", "", False)


def test_what_an_iteration_leaves_of_nothing_is_nothing() -> None:
    assert wording.number(1.3e-15, "share") == "0%"
    assert wording.number(2e-8, "share") == "less than 0.01%"
    assert wording.told_apart(1.3e-15, 0.0, "share")[0] != wording.told_apart(1.3e-15, 0.0, "share")[1]


def test_a_range_whose_ends_read_the_same_is_one_number():
    assert wording.span(0.0448, 0.04481, "share") == "4.48%"
    assert wording.span(0.0448, 0.0512, "share") == "4.48% to 5.12%"
    assert wording.span(None, None, "share") == "–"
