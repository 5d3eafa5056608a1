"""From labels to a certificate: what counts, what is refused, what is void, and what it says beside the metrics."""

import json
import pathlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_release import documents, write_release

from expectations import contracts
from expectations.judge.verdict import judge
from expectations.suite.suite import Suite, load_suite
from transforms.audit.against_estimate import estimated, with_audit, with_audit_rules
from transforms.audit.certificate import Certificate, Terms, Weights, make_certificate
from transforms.audit.draw import AuditError, Design, draw
from transforms.audit.gold import read_gold
from transforms.kernels.statistics import certify, two_strata
from transforms.origin.label_file import read_labels


def audit_order(sample):
    return sorted((row for row in sample.to_pylist() if row["stream"] == "audit"), key=lambda row: row["draws"])


class Panel:
    """Reviewers at work: answers go to a file as `review serve` writes them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "labels.jsonl"
        self.lines: list[str] = []

    def say(self, rows, label, reviewer="ada"):
        for row in rows:
            word = label(row) if callable(label) else label
            line = {"content_hash": row["content_hash"], "item": row["item"], "label": word, "reviewer": reviewer}
            self.lines.append(json.dumps(line))
        return self

    @property
    def labels(self):
        self.path.write_text("".join(line + "\n" for line in self.lines))
        return read_labels([str(self.path)])


@pytest.fixture
def panel(tmp_path):
    return Panel(tmp_path)


def sample_of(tmp_path, design, n=4000, gold=None, **columns):
    return draw(write_release(tmp_path / "release", documents(n, **columns)), design, gold)


def certified(sample, panel, **terms):
    return make_certificate(sample, "f" * 64, panel.labels, Terms(**terms))


@pytest.mark.parametrize(("n", "k", "passes"), [(59, 0, True), (59, 1, False), (93, 1, True), (58, 0, False)])
def test_the_smallest_audits_of_the_table(tmp_path, panel, n, k, passes):
    sample = sample_of(tmp_path, Design(n=n, active=10))
    order = audit_order(sample)
    panel.say(order[:k], "synthetic").say(order[k:], "human")
    one = certified(sample, panel)
    assert (one.n, one.synthetic, one.human) == (n, k, n - k)
    assert one.certified is passes
    assert one.share.upper == pytest.approx(certify.limits(k, n, 0.05)[1])
    assert one.share.value == pytest.approx(k / n)


def test_only_the_audit_stream_counts(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=59, active=50))
    panel.say(audit_order(sample), "human")
    panel.say([row for row in sample.to_pylist() if row["stream"] == "active"], "synthetic")
    one = certified(sample, panel)
    assert (one.synthetic, one.certified) == (0, True)


def test_undetermined_is_synthetic_in_the_bound_and_human_in_the_sensitivity_analysis(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=93, active=0))
    order = audit_order(sample)
    panel.say(order[:1], "synthetic").say(order[1:4], "undetermined").say(order[4:], "human")
    one = certified(sample, panel)
    assert (one.synthetic, one.undetermined, one.human) == (1, 3, 89)
    assert one.share.upper == pytest.approx(certify.limits(4, 93, 0.05)[1])
    assert one.undetermined_as_human.upper == pytest.approx(certify.limits(1, 93, 0.05)[1])
    assert one.share.lower == pytest.approx(certify.limits(1, 93, 0.05)[0])
    assert not one.certified
    assert one.undetermined_as_human.upper <= 0.05


def test_a_small_population_is_certified_by_fewer(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=50, active=0), n=100)
    panel.say(audit_order(sample), "human")
    assert certified(sample, panel).share.upper == certify.limits(0, 50, 0.05, 100)[1] < certify.limits(0, 50, 0.05)[1]


def test_by_tokens_a_document_counts_as_often_as_it_was_drawn(tmp_path, panel):
    lengths = [1] * 199 + [300]
    sample = sample_of(tmp_path, Design(n=80, by="tokens", active=0), n=200, n_tokens=lengths)
    long = [row for row in audit_order(sample) if row["n_tokens"] == 300]
    panel.say(audit_order(sample), "human").say(long, "synthetic")
    one = certified(sample, panel)
    assert one.synthetic == len(long[0]["draws"]) > 30
    assert one.share.upper == pytest.approx(certify.limits(one.synthetic, 80, 0.05)[1])


def test_draws_by_score_certify_with_fewer_where_scores_tell(tmp_path, panel):
    """One in fifty is a machine's, and the detector knows most of them."""
    synthetic = [i % 50 == 0 for i in range(4000)]
    scores = [(0.998 if i % 150 else 0.02) if machine else 0.1 - (i % 50) / 600 for i, machine in enumerate(synthetic)]
    sample = sample_of(tmp_path, Design(n=260, active=0, by_score=True, salt="salt"), p_synthetic=scores)
    machines = {row["id"] for row, machine in zip(documents(4000), synthetic, strict=True) if machine}
    panel.say(sample.to_pylist(), lambda row: "synthetic" if row["id"] in machines else "human")
    one = certified(sample, panel)
    top = sum(score > 0.5 for score in scores) / 4000
    assert one.top == pytest.approx(top)
    assert (one.n, one.synthetic + one.human) == (260, 260)
    assert one.synthetic >= 39  # all of the draws of the top
    assert one.certified  # a uniform draw takes 311
    assert one.share.lower < 0.02 < one.share.upper
    drawn = {row["id"]: row["draws"] for row in audit_order(sample)}
    scored = dict(zip([row["id"] for row in documents(4000)], scores, strict=True))
    turn = two_strata.of_top(260)
    assert all((scored[name] > 0.5) == turn[draw] for name, hits in drawn.items() for draw in hits)


def test_a_first_part_of_a_sample_by_score_counts_with_its_own_strata(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=100, active=0, by_score=True))
    hits = [row for row in audit_order(sample) if min(row["draws"]) < 60]
    panel.say(hits, "human")
    one = certified(sample, panel)
    assert one.n >= 60
    expected = two_strata.limits((0, 0), two_strata.draws_of(one.n), one.top, 0.05)
    assert one.share.upper == pytest.approx(expected[1])


def test_labels_that_are_no_prefix_are_refused(tmp_path, panel):
    """Who picks what to label picks the result."""
    sample = sample_of(tmp_path, Design(n=60, active=0))
    order = audit_order(sample)
    panel.say(order[:20], "human").say(order[21:40], "human")
    with pytest.raises(AuditError, match=r"draw 21 of 60 has no label.*and 19 after it have.*who picks"):
        certified(sample, panel)
    panel.say([order[20]], "undetermined")
    one = certified(sample, panel)
    assert one.n == 40
    assert any("where to stop (40 of 60 draws) was decided without a look" in line for line in one.assumptions)
    panel.say([order[0]], None)  # taken back
    with pytest.raises(AuditError, match=r"draw 1 of 60|the first of 60"):
        certified(sample, panel)


def test_two_looks_each_at_half_the_risk(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=338, first_look=110, active=0))
    order = audit_order(sample)
    panel.say(order[:2], "synthetic").say(order[2:110], "human")
    with pytest.raises(AuditError, match="drawn for two looks, after 110 draws and after all of 338"):
        certified(sample, panel)
    first = certified(sample, panel, look=1)
    assert (first.n, first.level, first.certified) == (110, 0.025, False)  # one is allowed
    with pytest.raises(AuditError, match="look 2 is after 338 draws, and the labels end at 110"):
        certified(sample, panel, look=2)
    panel.say(order[110:117], "synthetic").say(order[117:], "human")
    again = certified(sample, panel, look=1)
    assert (again.n, again.share) == (first.n, first.share)
    second = certified(sample, panel, look=2)
    assert (second.n, second.synthetic, second.certified) == (338, 9, True)


def test_a_look_that_was_not_planned_is_refused(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=59, active=0))
    panel.say(audit_order(sample), "human")
    with pytest.raises(AuditError, match="drawn for one look"):
        certified(sample, panel, look=1)


def gold_items(tmp_path, n=400):
    path = tmp_path / "gold.jsonl"
    lines = ({"text": f"gold item {i} of the test", "label": ("human", "synthetic")[i % 2]} for i in range(n))
    path.write_text("\n".join(map(json.dumps, lines)))
    return read_gold(str(path))


def test_reviewers_errors_on_gold_widen_the_bound(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=311, active=0, gold_share=0.4), gold=gold_items(tmp_path))
    order, gold = audit_order(sample), [row for row in sample.to_pylist() if row["stream"] == "gold"]
    panel.say(order[:4], "synthetic").say(order[4:], "human")
    of = {word: [row for row in gold if row["gold_label"] == word] for word in ("human", "synthetic")}
    panel.say(gold, lambda row: row["gold_label"])
    right = certified(sample, panel)
    panel.say(of["synthetic"][:20], "human").say(of["human"][:3], "synthetic").say(of["human"][3:5], "undetermined")
    wrong = certified(sample, panel)
    assert right.gold.sensitivity == right.gold.specificity == 1
    s, h = len(of["synthetic"]), len(of["human"])
    assert wrong.gold.sensitivity == pytest.approx((s - 20) / s)
    assert wrong.gold.specificity == pytest.approx((h - 5) / h)
    known = certify.Gold(s - 20, s, 3, h), certify.Gold(s - 20, s, 5, h)
    expected = certify.share_limits((4,), (4,), certify.Uniform(311), 0.05, known)
    assert (wrong.share.lower, wrong.share.upper) == pytest.approx(expected)
    # Half of the synthetic documents would have been missed: that is more than the false alarms take off.
    assert wrong.share.upper != right.share.upper > certify.limits(4, 311, 0.05)[1]
    assert not any("labels are right" in line for line in wrong.assumptions)


def test_gold_that_nobody_labelled_makes_it_void(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=59, active=0), gold=gold_items(tmp_path))
    panel.say(audit_order(sample), "human")
    one = certified(sample, panel)
    assert not one.certified
    assert "no gold item" in one.void[0]
    assert one.share.upper == 1


def at_odds(panel, rows):
    """Three reviewers who call every third, fourth and fifth item synthetic."""
    for reviewer, every in (("ada", 3), ("bob", 4), ("cyd", 5)):
        for place, row in enumerate(rows):
            panel.say([row], "human" if place % every else "synthetic", reviewer)


def test_reviewers_who_do_not_agree_make_it_void(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=60, active=0), gold=gold_items(tmp_path))
    at_odds(panel, sample.to_pylist())
    one = certified(sample, panel, limit=1.0)
    assert one.agreement < 0.6
    assert "do not agree" in one.void[0]
    assert not one.certified


def test_without_gold_low_agreement_is_a_warning(tmp_path, panel):
    """One disagreement where all else is human: alpha is about zero, and 98 % of the pairs agree."""
    sample = sample_of(tmp_path, Design(n=59, active=0))
    order = audit_order(sample)
    panel.say(order, "human", "ada").say(order, "human", "bob").say(order[:1], "synthetic", "bob")
    one = certified(sample, panel, limit=1.0)
    assert -0.05 < one.agreement < 0.05
    assert one.certified
    assert "says little" in one.warnings[0]


def test_the_most_votes_count_and_each_document_needs_its_votes(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=59, active=0))
    order = audit_order(sample)
    for reviewer in ("ada", "bob", "cyd"):
        panel.say(order, "human", reviewer)
    panel.say(order[:1], "synthetic", "ada")
    assert certified(sample, panel, votes=3).certified
    with pytest.raises(AuditError, match="too few votes"):
        certified(sample, panel, votes=4)
    panel.say(order[:1], "synthetic", "bob")
    assert certified(sample, panel, votes=3).synthetic == 1
    assert [(who.name, who.labels) for who in certified(sample, panel).reviewers] == [
        ("ada", 59),
        ("bob", 59),
        ("cyd", 59),
    ]


def test_a_tie_is_undetermined(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=59, active=0))
    order = audit_order(sample)
    panel.say(order, "human", "ada").say(order[1:], "human", "bob").say(order[:1], "synthetic", "bob")
    assert certified(sample, panel).undetermined == 1


def test_the_same_labels_give_the_same_bytes_and_it_reads_back(tmp_path, panel):
    sample = sample_of(tmp_path, Design(n=59, active=0))
    panel.say(audit_order(sample), "human")
    one = certified(sample, panel)
    assert one.to_json() == certified(sample, panel).to_json()
    assert Certificate.from_json(one.to_json(), "c") == one
    for broken in (b"{}", b"no", one.to_json().replace(b'"void"', b'"avoid"'), one.to_json().replace(b"/2", b"/9")):
        with pytest.raises(AuditError, match=r"c: (no certificate|not JSON)"):
            Certificate.from_json(broken, "c")


def metrics_of(documents, share, upper, declared=(0, 0), unit="documents", lower=None):
    """The rows that the comparison reads: `declared` is human, synthetic."""
    rows = [
        {"metric": unit, "value": documents},
        {"metric": "documents", "value": documents},
        *({"metric": name, "slice_kind": "origin_basis", "slice": f"{origin}/declared", "value": n}
          for name in {unit, "documents"} for origin, n in zip(("human", "synthetic"), declared, strict=True)),
        {"metric": f"synthetic_share.{unit}", "value": share, "lower": lower, "upper": upper},
    ]  # fmt: skip
    template = dict.fromkeys(contracts.METRICS.schema.names)
    template |= {"stage": "after", "slice_kind": "overall", "slice": "", "unit": "", "n": 1}
    rows = [template | row for row in rows]
    return pa.Table.from_batches([contracts.METRICS.batch({name: [row[name] for row in rows] for name in template})])


def about(one, audited, declared=(0, 0), **changed):
    """The certificate of a release with so much audited text and (human, synthetic) declared beside it."""
    whole = Weights(audited + sum(declared), sum(declared), declared[1], audited)
    return Certificate(**{**vars(one), "whole": whole, "documents": audited, **changed})


def compared(metrics, one):
    return {row["metric"]: row for row in with_audit(metrics, one).to_pylist() if row["metric"].startswith("audit.")}


@pytest.fixture
def audit(tmp_path, panel):
    """Ten in two hundred."""
    sample = sample_of(tmp_path, Design(n=200, active=0))
    order = audit_order(sample)
    panel.say(order[:10], "synthetic").say(order[10:], "human")
    return certified(sample, panel)


def test_audit_and_estimate_that_meet_agree(audit):
    rows = compared(metrics_of(4000, 0.04, 0.09), audit)
    assert rows["audit.share"]["value"] == pytest.approx(0.05)
    assert rows["audit.share"]["lower"] == pytest.approx(certify.limits(10, 200, 0.025)[0])
    assert rows["audit.share"]["upper"] == pytest.approx(certify.limits(10, 200, 0.025)[1])
    assert rows["audit.disagreement"]["value"] == 0


@pytest.mark.parametrize(("share", "upper", "lower"), [(0.001, 0.01, None), (0.3, 0.4, 0.2), (0.001, 0.01, 0.0005)])
def test_audit_and_estimate_that_do_not_meet_disagree_by_their_distance(audit, share, upper, lower):
    row = compared(metrics_of(4000, share, upper, lower=lower), audit)["audit.disagreement"]
    low, high = certify.limits(10, 200, 0.025)
    assert row["value"] == pytest.approx(max(low - upper, (lower or 0) - high))
    assert row["value"] > 0


def test_an_estimate_without_a_lower_limit_is_contradicted_from_above_only(audit):
    """Where nobody knows how low it may be, a low audit contradicts nothing."""
    assert compared(metrics_of(4000, 0.3, 0.4), audit)["audit.disagreement"]["value"] == 0


def test_the_lower_limit_is_that_of_the_estimates_own_interval(audit):
    metrics = metrics_of(4000, 0.3, 0.4)
    (row,) = (row for row in metrics.to_pylist() if row["metric"] == "synthetic_share.documents")
    row |= {"metric": "synthetic_share.interval.documents", "lower": 0.25, "upper": 0.35}
    metrics = pa.concat_tables([metrics, pa.Table.from_pylist([row], metrics.schema)])
    assert estimated(metrics.to_pylist(), audit)[0] == pytest.approx((0.25, 0.4))


def test_the_estimate_is_that_of_the_audited_documents(audit):
    """4,000 undeclared beside 6,000 declared ones, 1,000 of which are synthetic: 12 to 14 % of all is 5 to 10 % of them."""
    metrics = metrics_of(10_000, 0.13, 0.14, declared=(5000, 1000), lower=0.12).to_pylist()
    assert estimated(metrics, about(audit, 4000, (5000, 1000)))[0] == pytest.approx((0.05, 0.1))


def test_a_share_of_tokens_is_compared_with_a_share_of_tokens(audit):
    by_tokens = Certificate(**{**vars(audit), "by": "tokens"})
    metrics = metrics_of(4000, 0.3, 0.4, unit="tokens", lower=0.2)
    assert estimated(metrics.to_pylist(), by_tokens)[0] == pytest.approx((0.2, 0.4))
    assert compared(metrics, by_tokens)["audit.disagreement"]["value"] > 0
    assert estimated(metrics.to_pylist(), audit)[0] is None  # nobody estimated documents


def test_what_cannot_be_compared_has_no_value_and_says_why(audit):
    row = compared(metrics_of(3999, 0.05, 0.06), audit)["audit.disagreement"]
    assert row["value"] is None
    assert "3,999 documents of the audited kind, and the certificate speaks of 4,000" in row["note"]
    assert compared(metrics_of(4000, None, None), audit)["audit.disagreement"]["value"] is None
    void = Certificate(**{**vars(audit), "void": ("reviewers slept",)})
    for row in compared(metrics_of(4000, 0.05, 0.06), void).values():
        assert row["value"] is None
        assert "void: reviewers slept" in row["note"]


def test_the_rules_of_an_audit_are_put_behind_the_suite():
    suite = load_suite("mixed")
    found = with_audit_rules(suite, metrics_of(4000, 0.04, 0.09)).expectations
    assert found[: len(suite.expectations)] == suite.expectations
    assert [(one.metric, one.severity) for one in found[len(suite.expectations) :]] == [
        ("audit.share", "critical"),
        ("audit.disagreement", "critical"),
    ]


@pytest.mark.parametrize("unit", ["documents", "tokens"])
def test_the_certified_bound_is_judged_where_the_certificate_covers(audit, unit):
    """Of 4,000 documents 3,000 are undeclared and 200 are declared synthetic: at most 7.7 % of 3,000 beside them."""
    one = about(audit, 3000, (800, 200), by=unit)
    metrics = metrics_of(4000, 0.3, 0.4, declared=(800, 200), unit=unit)
    rows = {row["metric"]: row for row in with_audit(metrics, one).to_pylist() if row["slice_kind"] == "overall"}
    share = rows[f"synthetic_share.{unit}"]
    assert share["upper"] == pytest.approx((200 + one.share.upper * 3000) / 4000)
    assert share["value"] == pytest.approx((200 + 0.05 * 3000) / 4000)
    asked = {"expect": "metric_to_be_between", "metric": f"synthetic_share.{unit}", "bound": "upper", "max": 0.2}
    suite = Suite.model_validate({"suite": "s", "expectations": [asked]})
    audited = with_audit(metrics, one)
    verdict = judge(audited, with_audit_rules(suite, audited))
    assert verdict.passed
    assert (
        "(certified: people labelled 200 draws, and the rest is declared; the detector's bound was at most 40%)."
        in (verdict.expectations[0].message)
    )
    assert verdict.expectations[-1].severity == "warning"  # the detector does not fit, and nothing rests on it
    assert with_audit_rules(load_suite("mixed"), audited).expectations[-1].severity == (
        "warning" if unit == "tokens" else "critical"
    )


def of_source(metrics, *rows):
    """More rows, of slices of the release: (metric, slice kind, slice, value, upper)."""
    template = metrics.to_pylist()[0]
    more = [template | dict(zip(("metric", "slice_kind", "slice", "value", "upper"), row, strict=True)) for row in rows]
    return pa.concat_tables([metrics, pa.Table.from_pylist(more, metrics.schema)])


def rows_of(metrics, one):
    return {
        (row["metric"], row["slice"]): row
        for row in with_audit(metrics, one).to_pylist()
        if not row["slice"].count("/")
    }


def test_a_certificate_covers_text_that_is_out_of_the_detectors_time(audit):
    late = "synthetic_share.out_of_time.documents"
    metrics = of_source(metrics_of(4000, 0.01, 0.4), (late, "overall", "", 0.9, None))
    rule = {"expect": "metric_to_be_between", "metric": late, "max": 0.0}
    suite = Suite.model_validate({"suite": "s", "expectations": [rule]})
    assert not judge(metrics, suite).passed
    audited = with_audit(metrics, audit)
    assert judge(audited, with_audit_rules(suite, audited)).expectations[0].status == "pass"
    by_tokens = with_audit(metrics, Certificate(**{**vars(audit), "by": "tokens"}))
    assert judge(by_tokens, suite).expectations[0].status == "fail"  # it says nothing of documents


@pytest.mark.parametrize("others", [(1000, 1000, 100, 0), (1000, 400, 100, 600)])
def test_a_certificate_of_a_source_covers_the_source_and_the_release_if_no_other_is_undeclared(audit, others):
    """3,000 documents of web, 2,000 of them undeclared, beside 1,000 of books."""
    one = about(audit, 2000, (900, 100), source="web", others=Weights(*others))
    share, late = "synthetic_share.documents", "synthetic_share.out_of_time.documents"
    metrics = of_source(
        metrics_of(4000, 0.3, 0.4, declared=(1500, 200)),
        (share, "source", "web", 0.3, 0.5), (share, "source", "books", 0.1, 0.6),
        (late, "overall", "", 0.5, None), (late, "source", "web", 0.6, None), (late, "source", "books", 0.2, None),
    )  # fmt: skip
    rows = rows_of(metrics, one)
    assert rows[share, "web"]["upper"] == pytest.approx((100 + one.share.upper * 2000) / 3000)
    assert rows[share, "books"]["upper"] == 0.6
    assert rows[late, "web"]["value"] == 0
    assert rows[late, "books"]["value"] == 0.2
    if others[3]:
        assert rows[share, ""]["upper"] == 0.4  # 600 documents of books are only known by the detector
        assert rows[late, ""]["value"] == pytest.approx(0.5 - 0.6 * 3000 / 4000)
    else:
        assert rows[share, ""]["upper"] == pytest.approx((200 + one.share.upper * 2000) / 4000)
        assert rows[late, ""]["value"] == 0
    assert "of source web" in rows["audit.share", ""]["note"]
    assert rows["audit.disagreement", ""]["value"] is not None


def test_a_certificate_that_does_not_cover_changes_nothing(audit):
    metrics = metrics_of(4000, 0.3, 0.4)
    for one in (
        Certificate(**{**vars(audit), "by": "tokens"}),
        Certificate(**{**vars(audit), "documents": 3999}),
        Certificate(**{**vars(audit), "void": ("reviewers slept",)}),
    ):
        assert with_audit(metrics, one).to_pylist()[: metrics.num_rows] == metrics.to_pylist()


@given(st.integers(0, 60), st.floats(0, 1), st.floats(0, 1))
def test_disagreement_is_never_negative_and_zero_inside(k, share, upper):
    low, high = certify.limits(k, 60, 0.025)
    distance = certify.gap((low, high), (min(share, upper), max(share, upper)))
    assert distance >= 0
    assert (distance == 0) == (min(share, upper) <= high and max(share, upper) >= low)
