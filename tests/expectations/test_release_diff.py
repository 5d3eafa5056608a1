"""What moved beyond noise, and what cannot be told. Noise is simulated here, not assumed."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import noise, release_diff
from expectations.metrics.declared import METRICS, find
from expectations.release_diff import Movement, as_lines, movements, verdict


def row(metric, value, lower=None, upper=None, n=1000, kind="overall", slice_="", stage="after", note=None):
    return {"metric": metric, "stage": stage, "slice_kind": kind, "slice": slice_, "value": value, "lower": lower,
            "upper": upper, "n": n, "unit": "", "note": note, "needed": None}  # fmt: skip


def one(first, second, **more) -> Movement:
    (found,) = [m for m in movements([first], [second], **more) if m.metric == second["metric"]]
    return found


@pytest.mark.parametrize(
    ("metric", "values", "status"),
    [
        ("reference.tail_mass", (1.0, 0.5), "worse"),
        ("reference.tail_mass", (0.5, 1.0), "better"),
        ("reference.tail_mass", (1.0, 0.97), "same"),
        ("repetition.compression_ratio", (2.0, 3.0), "worse"),
        ("length.q50", (100.0, 300.0), "moved"),
        ("lm.bpb_tail", (0.3, 0.05), "worse"),  # the hard tail goes
        ("lm.bpb_low", (0.05, 0.3), "worse"),  # and easy text comes
        ("lm.bpb_mean", (2.0, 3.0), "moved"),  # another kind of text is no loss
        ("topic.effective_number", (40.0, 20.0), "worse"),
        ("reference.topic_hill_1", (1.0, 0.5), "worse"),
        ("duplicates.residual_rate", (0.0, 0.4), "worse"),
        ("a_metric.of_a_later_version", (1.0, 9.0), "moved"),
    ],
)
def test_numbers_with_limits_are_told_from_noise_and_have_a_direction(metric, values, status):
    assert one(*(row(metric, value, value - 0.05, value + 0.05) for value in values)).status == status


@pytest.mark.parametrize(
    ("metric", "basis"),
    [
        ("repetition.compression_ratio", "no limits"),
        ("source.effective_number", "no limits"),
        ("any.thing", "no limits"),
    ],
)
def test_what_has_no_known_noise_is_unknown_and_never_a_finding(metric, basis):
    found = one(row(metric, 1.0), row(metric, 99.0))
    assert (found.status, found.low) == ("unknown", None)
    assert basis in found.basis
    assert one(row(metric, 1.0), row(metric, 1.0)).status == "same"
    assert verdict([found]).status == "unknown"


def test_numbers_by_two_yardsticks_are_not_compared():
    notes = ["of 900 documents; yardstick 0a1b2c3d", "of 950 documents; yardstick 0a1b2c3d", "yardstick ffffffff", None]
    first, same, other, unnamed = (row("lm.bpb_sd", 1 / (2 + n), 0.1, 0.6, note=note) for n, note in enumerate(notes))
    assert one(first, same).status == "same"
    for moved in (other, unnamed):
        found = one(first, moved)
        assert (found.status, found.basis) == ("unknown", "not by the same yardstick")


def test_counts_are_counted_and_what_only_one_has_is_said():
    assert one(row("documents", 10.0), row("documents", 20.0)).status == "counted"
    found = {m.slice: m.status for m in movements(
        [row("documents", 1.0, kind="source", slice_="a")], [row("documents", 1.0, kind="source", slice_="b")])}  # fmt: skip
    assert found == {"a": "went", "b": "came"}


def test_a_share_is_compared_by_the_interval_of_its_estimate_and_only_with_one_detector():
    def release(share):
        return [row("synthetic_share.tokens", share, None, 0.9),
                row("synthetic_share.interval.tokens", share, share - 0.01, share + 0.01)]  # fmt: skip

    def share(**more):
        return next(m for m in movements(release(0.1), release(0.2), **more) if m.metric == "synthetic_share.tokens")

    assert (share().status, share().basis) == (
        "worse",
        "bootstrap of the estimate, and documents as drawn, for their lengths fewer",
    )
    assert share(same_detector=False).status == "unknown"


def test_numbers_that_are_against_the_other_release_are_changes_themselves():
    def at(name, value=0.8):
        return row("reference.tail_mass", value, value - 0.02, value + 0.02, note=f"against {name}; limits by parts")

    against_it = one(at("older", 1.0), at("v1"), name="v1")
    assert (against_it.before, against_it.after, against_it.status) == (1.0, 0.8, "worse")
    assert one(at("older", 1.0), at("older"), name="v1").status == "worse"
    assert one(at("older", 1.0), at("v11"), name="v1").basis == "not against the same reference"


def test_measures_that_grow_with_the_corpus_are_compared_at_one_size_only():
    assert one(row("lexical.entropy_1", 10.0, n=1000), row("lexical.entropy_1", 8.0, n=1050)).status == "worse"
    found = one(row("lexical.entropy_1", 10.0, n=1000), row("lexical.entropy_1", 8.0, n=1200))
    assert (found.status, found.basis) == ("unknown", "grows with the corpus, and the sizes differ")


def test_early_signs_come_first():
    metrics = ["documents", "source.max_share", "synthetic_share.tokens", "reference.distance", "length.q50",
               "semantic.vendi_1", "repetition.compression_ratio", "repetition.template_rate", "lexical.entropy_1",
               "reference.tail_mass"]  # fmt: skip
    rows = [row(metric, 1.0) for metric in metrics]
    assert [m.metric for m in movements(rows, rows)] == metrics[::-1]
    assert [find(metric).sign for metric in metrics[::-1]][:5] == [
        "tails",
        "words",
        "templates",
        "redundancy",
        "meaning",
    ]
    assert find("structure.effective_number").sign == "meaning"  # not a concentration
    assert find("source.effective_number").sign == "concentration"


def test_the_verdict_names_the_earliest_sign_and_counts_what_it_does_not_know():
    before = [row("reference.tail_mass", 1.0, 0.98, 1.02), row("semantic.vendi_1", 9.0, 8.9, 9.1),
              row("source.effective_number", 4.0)]  # fmt: skip
    after = [
        row("reference.tail_mass", 0.7, 0.68, 0.72),
        row("semantic.vendi_1", 5.0, 4.9, 5.1),
        row("source.effective_number", 3.0),
    ]
    found = verdict(movements(before, after))
    assert found.status == "worse"
    assert found.line.startswith(
        "worse: Share of rare words as a fraction of the reference's fell from 100% to 70% (-30 points), an early sign of "
        "collapse; 1 other number moved the wrong way beyond noise; 2 comparisons"
    )
    assert found.line.endswith("1 cannot be told from noise")
    better = verdict(movements(after, before))
    assert better.status == "better"
    assert (
        "rose from 70% to 100% (+30 points); 1 other number moved the right way beyond noise; none moved" in better.line
    )
    assert verdict(movements(before, before)).status == "steady"
    assert verdict([]).status == "unknown"


def test_the_synthetic_share_leads_and_is_said_as_a_manager_says_it():
    def rows(share, words):
        return [
            row("synthetic_share.tokens", share, share - 0.001, share + 0.001),
            row("synthetic_share.interval.tokens", share, share - 0.001, share + 0.001),
            row("documents", 1e6),
            row("reference.vendi_1", words, words - 0.01, words + 0.01),
        ]

    found = verdict(movements(rows(0.062, 1.0), rows(0.115, 0.7)))
    said = "worse: Synthetic share of tokens nearly doubled, from 6.2% to 11.5% (+5.3 points); "
    assert found.line.startswith(said)


def test_numbers_that_differ_look_different():
    line = as_lines(movements([row("length.q50", 13.003, 13, 13.01)], [row("length.q50", 13.024, 13.02, 13.03)]))[0]
    assert "13 -> 13.02" in " ".join(line.split())


def test_slices_are_shown_and_do_not_decide_but_what_somebody_declared_does():
    def rows(value, kind):
        return [row("reference.tail_mass", value, value - 0.01, value + 0.01, kind=kind, slice_="x\x1b[2J")]

    assert verdict(movements(rows(1.0, "source"), rows(0.5, "source"))).status == "unknown"
    assert verdict(movements(rows(1.0, "structure"), rows(0.5, "structure"))).status == "worse"
    lines = release_diff.as_lines(movements(rows(1.0, "source"), rows(0.5, "source")))
    assert len(lines) == 1
    assert "\x1b" not in lines[0]


@pytest.mark.parametrize(("share", "n"), [(0.05, 400), (0.5, 1000), (0.001, 2000), (0.3, 50)])
def test_two_draws_of_one_share_differ_beyond_noise_less_than_one_time_in_a_hundred(share, n):
    """The binomial limits, against a simulation: three standard errors promise 1 in 370."""
    draws = np.random.default_rng(7).binomial(n, share, size=(2000, 2)) / n
    alarms = sum(
        one(row("duplicates.exact_fraction", a, n=n), row("duplicates.exact_fraction", b, n=n)).status != "same"
        for a, b in draws.tolist()
    )
    assert alarms / len(draws) <= 0.01


def test_limits_of_means_alarm_as_rarely_and_see_five_standard_errors():
    draws = np.random.default_rng(7).normal(10, 1, size=(2000, 2, 30))
    means, errors = draws.mean(axis=2), draws.std(axis=2, ddof=1) / math.sqrt(30)

    def found(shift):
        return [one(row("reference.tail_mass", a, a - 1.645 * e, a + 1.645 * e),
                    row("reference.tail_mass", b - shift, b - shift - 1.645 * f, b - shift + 1.645 * f)).status
                for (a, b), (e, f) in zip(means.tolist(), errors.tolist(), strict=True)]  # fmt: skip

    assert sum(status != "same" for status in found(0.0)) / 2000 <= 0.01
    assert found(5 * math.sqrt(2 / 30)).count("worse") / 2000 >= 0.95


def declared(machine, lengths, sources=None):
    """The rows of a release in which every document's origin is declared, as the measures of a release count them."""
    n, tokens = len(lengths), lengths.sum()
    by_documents, by_tokens = float(machine.mean()), float(lengths[machine].sum() / tokens)
    of = {f"s{at}": sources == at for at in range(3)}
    sizes = {name: (float(mask.sum()), float(lengths[mask].sum())) for name, mask in of.items()}
    rows = [row("documents", float(n), n=n), row("length.effective_documents", float(tokens**2 / (lengths**2).sum()), n=n),
            row("synthetic_share.documents", by_documents, None, by_documents, n=3 * n),  # of what was read
            row("synthetic_share.tokens", by_tokens, None, by_tokens, n=3 * n),
            row("synthetic_share.interval.tokens", by_tokens, by_tokens, by_tokens, n=3 * n),
            row("source.max_share", max(t for _, t in sizes.values()) / tokens, n=n), row("tokens", float(tokens), n=n),
            *(row(f"length.q{q}", float(np.quantile(lengths, q / 100)), n=n) for q in (50, 95))]  # fmt: skip
    for name, (documents, own) in sizes.items():
        rows += [
            row("documents", documents, kind="source", slice_=name),
            row("tokens", own, kind="source", slice_=name),
        ]
    return rows


@pytest.mark.parametrize("said", [True, False], ids=["by Kish", "by quantiles"])
@pytest.mark.parametrize(("longer", "sigma"), [(0.2, 1.0), (1.0, 1.0), (5.0, 1.0), (5.0, 1.8)])
def test_quarters_of_one_corpus_whose_text_is_declared_differ_beyond_noise_as_rarely_as_the_verdict_says(
    longer, sigma, said
):
    """Machine text as long as human text, shorter and longer; and twice as much of it is seen."""
    draws = np.random.default_rng(7)
    shares = ("synthetic_share.documents", "synthetic_share.tokens", "source.max_share")
    alarms, seen, compared = 0, 0, 0
    for _ in range(60):
        machine = draws.random(8000) < 0.2
        lengths = draws.lognormal(5, sigma, 8000) * np.where(machine, longer, 1.0)
        sources, quarter = draws.choice(3, 8000, p=(0.5, 0.3, 0.2)), draws.integers(0, 4, 8000)
        releases = [declared(machine[quarter == q], lengths[quarter == q], sources[quarter == q]) for q in range(4)]
        if not said:  # as releases of before `length.effective_documents`
            releases = [[r for r in rows if "effective" not in r["metric"]] for rows in releases]
        for a, b in itertools.combinations(releases, 2):
            found = [m for m in movements(a, b) if m.metric in shares and m.slice_kind == "overall"]
            assert all(m.low < m.high for m in found)
            compared += len(found)
            alarms += sum(m.status != "same" for m in found)
        more = machine | (draws.random(8000) < 0.25)
        half = quarter == 0
        moved = movements(releases[1], declared(more[half], lengths[half], sources[half]))
        seen += any(m.metric == "synthetic_share.documents" and m.status == "worse" for m in moved)
    assert compared == 60 * 6 * 3
    assert alarms / compared <= 0.01
    assert seen == 60


def test_what_a_release_does_not_say_of_its_lengths_is_taken_to_be_uneven():
    """Releases of before `length.effective_documents`: a quarter of the documents."""
    rows = [
        r for r in declared(np.arange(400) < 100, np.ones(400), np.arange(400) % 3) if "effective" not in r["metric"]
    ]
    share = next(m for m in movements(rows, rows) if m.metric == "synthetic_share.tokens")
    low, high = noise._wilson(0.25, 100)
    assert (share.low, share.high) == (pytest.approx(-math.hypot(low, high)), pytest.approx(math.hypot(low, high)))
    assert (share.status, share.basis) == ("same", "documents as drawn, for their lengths fewer")


def test_limits_that_are_the_number_itself_are_no_noise():
    found = one(row("reference.tail_mass", 1.0, 1.0, 1.0), row("reference.tail_mass", 0.9, 0.9, 0.9))
    assert (found.status, found.basis) == ("unknown", "its limits are the number itself, which is no noise")
    topics = one(row("topic.max_share", 1.0, 1.0, 1.0, n=50), row("topic.max_share", 0.95, 0.95, 0.95, n=50))
    assert (topics.status, topics.basis) == ("same", "documents as drawn")


@pytest.mark.parametrize(
    "metric", ["repetition.template_rate", "repetition.self_repetition", "duplicates.near_fraction"]
)
def test_repeats_of_releases_of_two_sizes_are_not_compared(metric):
    found = one(row(metric, 0.1, n=1000), row(metric, 0.5, n=2000))
    assert (found.status, found.basis) == ("unknown", "grows with the corpus, and the sizes differ")


def test_templates_are_compared_at_one_size_and_may_grow_as_fast_as_the_corpus():
    assert one(row("repetition.template_rate", 0.1), row("repetition.template_rate", 0.3)).status == "worse"
    assert one(row("repetition.template_rate", 0.9), row("repetition.template_rate", 0.99, n=1100)).status == "same"


def test_duplicates_of_other_sources_are_not_compared_and_those_of_large_clusters_vary_more():
    def release(share, source, clusters=()):
        return [row("duplicates.near_fraction", share, stage="before"),
                row("documents", 9.0, kind="source", slice_=source, stage="before"),
                *(row("duplicates.clusters", float(n), kind="cluster_size", slice_=f"{size:09d}", stage="before")
                  for size, n in clusters)]  # fmt: skip

    def status(*releases):
        return next((m.status, m.basis) for m in movements(*releases) if m.metric == "duplicates.near_fraction")

    assert status(release(0.1, "a"), release(0.2, "b")) == ("unknown", "depends on the sources, and they differ")
    pairs, crowds = [(2, 100)], [(51, 2)]
    assert status(release(0.1, "a", pairs), release(0.2, "a", pairs)) == ("worse", "documents as drawn")
    assert status(release(0.1, "a", crowds), release(0.2, "a", crowds)) == ("same", "documents as drawn, in clusters")


numbers = st.none() | st.floats(-1e6, 1e6)


@given(
    st.sampled_from([*METRICS, "other.metric"]),
    st.lists(numbers, min_size=6, max_size=6),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_any_rows_can_be_compared_and_back_again(metric, values, n, m):
    """Whatever a table holds; and the way back is the opposite."""
    a, b = row(metric, *values[:3], n=n), row(metric, *values[3:], n=m)
    there, back = movements([a], [b]), movements([b], [a])
    assert len(there) == len(back) == (values[0] is not None or values[3] is not None)
    opposite = {"worse": "better", "better": "worse", "came": "went", "went": "came"}
    for x, y in zip(there, back, strict=True):
        assert opposite.get(x.status, x.status) == y.status
        assert x.low is None or x.low <= x.change <= x.high
    release_diff.as_lines(there)
    verdict(there)
