"""The report is one page that says the verdict first, fetches nothing, runs one script, and on which hostile text is text."""

import base64
import dataclasses
import hashlib
import html.parser
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.judge.verdict import Outcome, SliceOutcome, Verdict
from expectations.report import figures, report

SCRIPT = (
    "</style></title></svg><script>document.title='owned'</script><img src=x onerror=alert(1)>\"' style=x:url(//evil)"
)


def row(metric, stage, value, kind="overall", slice_="", upper=None, note=None):
    numbers = {"value": value, "lower": None, "upper": upper, "unit": "", "n": 100, "note": note}
    return {"metric": metric, "stage": stage, "slice_kind": kind, "slice": slice_, **numbers}


def outcome(status="pass", severity="critical", message="The share is fine.", notes="Because.", slice_="wiki"):
    seen = SliceOutcome(slice_, 0.2, 0.1, None, 0.2, 100, status)
    return Outcome(
        key="expectations[0]",
        metric="synthetic_share.tokens",
        stage="after",
        slice_kind="source",
        slice=None,
        bound="upper",
        min=None,
        max=0.3,
        threshold="at most 30%",
        severity=severity,
        status=status,
        message=message,
        notes=notes,
        unit="share",
        worst=seen,
        slices=2,
        not_held=(seen, seen) if status == "fail" else (),
    )


def verdict(*outcomes):
    reasons = tuple(o.message for o in outcomes if o.severity == "critical" and o.status != "pass")
    warnings = tuple(o.message for o in outcomes if o.severity == "warning" and o.status != "pass")
    made = Verdict("failed" if reasons else "passed", reasons, warnings, "mixed", "ab" * 32, {"limit": 0.3}, outcomes)
    return json.loads(made.to_json())


def full(text="plain", judged=None):
    """A report with every part filled; `text` stands wherever text comes from data or from a person."""
    rows = [
        row("documents", "before", 100.0),
        row("documents", "after", 60.0),
        row("documents.dropped", "after", 30.0, "reason", "near_duplicate"),
        row("documents.dropped", "after", 10.0, "reason", text),
        row("documents.quarantined", "before", 5.0),
        row("documents.quarantined", "before", 5.0, "reason", text),
        row("tokens", "after", 6000.0) | {"unit": "words"},
        row("synthetic_share.tokens", "before", 0.4, upper=0.5, note=text),
        row("synthetic_share.tokens", "after", 0.2, upper=0.25, note=text),
        row("documents", "before", 100.0, "source", text),
        row("documents", "after", 60.0, "source", text),
        row("documents.dropped", "after", 40.0, "source_reason", f"{text}/near_duplicate"),
        row("documents", "after", 60.0, "source_origin", f"{text}/human"),
        row("documents", "after", 60.0, "origin_basis", "human/declared"),
        *(
            row(f"length.q{q}", "after", float(v))
            for q, v in (("05", 5), ("25", 50), ("50", 90), ("75", 200), ("95", 999))
        ),
        row("duplicates.exact_fraction", "before", 0.1),
        row("generator.max_share", "after", None, note=text),
    ]
    bad = outcome("fail", message=text, notes=text, slice_=text)
    return {
        "release": text,
        "verdict": judged or verdict(outcome(), bad, outcome("error", "warning", message=text)),
        "metrics": rows,
        "quarantine": [{"path": text, "row": -1, "reason": text, "detail": text}],
        "recipe": text,
        "versions": {text: text},
        "inputs": [{"source": text, "files": 3, "bytes": 1234567, "fingerprint": text}],
        "files": [{"path": text, "what": text}],
        "assumptions": [text],
        "limit": 0.3,
        "clusters": {"size_counts": {"2": 5, "9": 1}},
        "remarks": [text],
        "help": [f"what {text}", f"- way {text}", f"lowbackground {text}"],
        "mends": {"expectations[0]": [text, "run again with --set a.b=1, `code`"]},
        "commands": [(text, text)],
        "examples": [example("near_duplicate", text), example("over_synthetic_share", text, survivor=False)],
    }


def example(reason, text, survivor=True):
    other = {"id": text, "source": text, "path": text, "row": 1, "reason": None, "text": [(text, False), (text, True)]}
    return {
        "reason": reason, "id": text, "source": text, "path": text, "row": 3, "similarity": 0.9, "n_tokens": 7,
        "p_synthetic": 0.5, "text": [(text, False), (text, True)], "survivor": other if survivor else None,
    }  # fmt: skip


VOID = {"meta", "input"}


class Page(html.parser.HTMLParser):
    """The elements of a page with their attributes, its ids and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def shape(self):
        return [(tag, sorted(attributes)) for tag, attributes in self.elements]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_the_verdict_comes_first_in_words():
    passed = Page(report.render(full(judged=verdict(outcome()))))
    assert passed.text.startswith(
        "Passed: plain Low Background report on a release plain Passed: its critical expectation"
    )
    only = outcome("fail", message="The share is 40%, above the limit of 30%.")
    assert (
        "Rejected: because the share is 40%, above the limit of 30%."
        in Page(report.render(full(judged=verdict(only)))).text
    )
    many = verdict(only, outcome("error", message="The length could not be measured."), outcome())
    assert (
        "Rejected: because 2 of its 3 critical expectations do not hold." in Page(report.render(full(judged=many))).text
    )


def test_what_does_not_hold_is_on_top_with_the_key_that_would_mend_it():
    text = Page(
        report.render(full(judged=verdict(outcome("fail", message="Too much."), outcome("fail", "warning"))))
    ).text
    top, _, rest = text.partition("Documents kept")
    assert "What to do first Too much. plain run again with --set a.b=1 , code" in top
    assert "1 warning does not decide, but should be read The share is fine." in top
    assert (
        "would have 60 of the 100 documents that came in. Its synthetic share of words would be 20%, at most 25%."
        in top
    )
    assert "Commands to copy" in rest
    assert rest.index("does not hold critical") < rest.index("Suite, sha256")


def test_what_holds_is_folded_and_what_does_not_is_not():
    judged = verdict(*[outcome()] * 7, outcome("fail", "warning"))
    page = report.render(full(judged=judged))
    folded = page.partition("7 expectations that hold")[2].partition("</details>")[0]
    assert folded.count('<tr class="pass">') == 7
    assert page.partition("7 expectations that hold")[0].rpartition("<details")[2].startswith("><summary>")


def test_what_the_suite_does_not_look_at_is_said():
    judged = verdict(outcome()) | {"blind_spots": ["Nothing looks at <web>."]}
    assert "What the suite does not look at Nothing looks at <web>." in Page(report.render(full(judged=judged))).text


def test_dropped_documents_are_shown_beside_what_stands_for_them():
    page = report.render(full())
    pair = page.partition('<div class="pair">')[2]
    assert Page(pair.partition("</article>")[0].rpartition("</div>")[0]).text.startswith(
        "Dropped plain plain Kept instead plain"
    )
    assert pair.count("<mark>plain</mark>") == 3
    assert "Near duplicate: 30 documents" in page


def test_languages_and_years_have_tables_and_an_undated_corpus_has_none():
    given_ = full()
    given_["metrics"] += [
        row("tokens", "after", 10.0, "year", "2019"),
        row("tokens", "after", 30.0, "year", "2024"),
        row("tokens", "after", 25.0, "language", "en"),
        row("documents", "after", 5.0, "language", "en"),
    ]
    text = Page(report.render(given_)).text
    assert "By date Words of the release by the year of their documents" in text
    assert "2019 10 25% 2024 30 75%" in text
    assert "en 5 25 100%" in text
    assert "By date" not in Page(report.render({"metrics": [row("tokens", "after", 9.0, "year", "unknown")]})).text


def test_scores_are_drawn_with_those_of_the_calibration():
    scores = [("undeclared/-2", 0.75), ("undeclared/1", 0.25), ("human/-2", 1.0), ("machine/3", 1.0)]
    given_ = {"metrics": [row("detector.scores", "before", value, "score", at) for at, value in scores]}
    assert "Of undeclared text that was read 25% are above 0." in report.render(given_)
    assert "Of machine text of the calibration 100% are above 0." in report.render(given_)
    assert "Scores of the detector" not in report.render({"metrics": given_["metrics"][2:]})


def test_status_and_severity_are_words_and_not_only_colours():
    judged = verdict(outcome(), outcome("fail", "warning"), outcome("error", "info"))
    page = Page(report.render(full(judged=judged)))
    for words in ("holds critical", "does not hold warning", "not measured info"):
        assert words in page.text


def test_every_picture_is_told_in_words_and_every_table_has_a_caption():
    page = Page(report.render(full()))
    pictures = [
        attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("aria-hidden") != "true"
    ]
    assert len(pictures) == 8
    assert all(attributes["role"] == "img" and attributes["aria-label"].strip() for attributes in pictures)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") >= 6
    assert tags.count("h1") == 1
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {attributes["aria-labelledby"] for tag, attributes in page.elements if tag == "section"} == ids - {"search"}
    links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert links == {f"#{id_}" for id_ in ids - {"search"}}
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_picture_of_the_share_says_estimate_bound_and_limit():
    labels = [
        attributes.get("aria-label", "") for tag, attributes in Page(report.render(full())).elements if tag == "svg"
    ]
    expected = (
        "Synthetic share of words. As read: 40% estimated, at most 50%. "
        "In the release: 20% estimated, at most 25%. The limit 30%."
    )
    assert expected in labels


def test_a_missing_document_is_shown_as_a_gap():
    given_ = full()
    assert "do not add up" not in report.render(given_)
    given_["metrics"] = [r for r in given_["metrics"] if r["slice"] != "near_duplicate"]
    assert "The counts do not add up: 30 of the documents" in report.render(given_)


@pytest.mark.parametrize(
    "text", [SCRIPT, "{{ 7 * 7 }}{% include 'x' %}", "&lt;b&gt;", "\x00\x1b[31m\ud800\u202egpj.exe", "a" * 9000]
)
def test_hostile_text_stays_text(text):
    page = report.render(full(text))
    assert Page(page).shape == Page(report.render(full())).shape
    page.encode("utf-8")
    assert not set("\x00\x1b\u202e") & set(page)


def test_hostile_text_is_shown_and_not_dropped():
    text = Page(report.render(full(SCRIPT))).text
    assert text.count("<script>document.title='owned'</script>") > 10
    assert "49" not in Page(report.render(full("{{ 7 * 7 }}"))).text


@given(st.text(min_size=1).filter(str.strip))
@settings(max_examples=60, deadline=None)
def test_no_text_changes_the_shape_of_the_page(text):
    # A reason or source that the report knows by name sorts elsewhere; what is drawn is the same.
    assert sorted(Page(report.render(full(text))).shape) == sorted(Page(report.render(full())).shape)


@pytest.mark.parametrize("given_", [{}, full(), full(SCRIPT)], ids=["empty", "full", "hostile"])
def test_the_page_makes_no_request_and_runs_nothing_but_our_script(given_):
    text = report.render(given_)
    page = Page(text)
    allowed = (
        "html head meta title style body header main section p span h1 h2 h3 ul li dl div dt dd b figure figcaption "
        "svg path rect line circle text tspan table caption thead tbody tr th td details summary pre code "
        "nav a label input script h4 article mark ol"
    )
    assert {tag for tag, _ in page.elements} <= set(allowed.split())
    names = {name for _, attributes in page.elements for name in attributes}
    assert all(a["href"].startswith("#") for _, a in page.elements if "href" in a)
    assert text.count("<script") == 1
    assert not names & {"src", "xlink:href", "srcset", "style", "action", "data", "poster", "background"}
    assert not [name for name in names if name.startswith("on")]
    style = text.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    script = text.split("<script>")[1].split("</script>")[0]
    ours = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert f"script-src 'sha256-{ours}';" in policy
    assert not [
        word for word in ("fetch(", "XMLHttp", "innerHTML", "eval(", "import(", "document.write") if word in script
    ]
    assert "unsafe" not in policy
    assert page.open == []


def test_an_empty_report_is_a_page_that_says_so():
    text = Page(report.render({})).text
    for words in ("No verdict", "No documents were counted", "No expectation was judged", "No measurement was given"):
        assert words in text
    nothing = [row("documents", stage, None) for stage in ("before", "after")]
    assert (
        "Number of documents, in 2 stages and slices, could not be measured"
        in Page(report.render({"metrics": nothing})).text
    )


def test_a_fingerprint_is_shown_with_its_input_and_is_no_missing_number():
    given_ = full()
    given_["inputs"] = [{"source": "wiki", "files": 1, "bytes": 10}]
    given_["metrics"].append(row("input.fingerprint", "before", None, "source", "wiki", note="00ff00ff"))
    text = Page(report.render(given_)).text
    assert text.count("00ff00ff") == 1
    assert "wiki 1 10 B 00ff00ff" in text


def test_what_an_estimate_leaves_undecided_is_said():
    rows = [
        row("duplicates.by_similarity", "before", 9.0, "similarity", "0.80-0.85"),
        row("duplicates.undecided", "before", 7.0, note="similarity under <0.92>"),
    ]
    page = report.render({"metrics": rows})
    assert "7 of 100 have a similarity under &lt;0.92&gt;: these are estimates" in page
    assert "these are estimates" not in report.render({"metrics": [rows[0], rows[1] | {"value": 0.0}]})


def test_origin_and_basis_are_shown_together_or_apart():
    apart = [
        row("documents", "after", 3.0, "origin", "human"),
        row("documents", "after", 3.0, "origin_basis", "declared"),
    ]
    together = [
        row("documents", "after", 2.0, "origin", "human"),
        row("documents", "after", 3.0, "origin_basis", "human/declared"),
    ]
    text = Page(report.render({"metrics": apart})).text
    assert "human any 0 3" in text
    assert "any declared 0 3" in text
    text = Page(report.render({"metrics": together})).text
    assert "human declared 0 3" in text
    assert "any 0" not in text


def test_a_large_corpus_is_still_a_small_page():
    given_ = full("x" * 3000)
    given_["metrics"] += [row("documents", "before", 1.0, "source", f"source {i} " + "y" * 500) for i in range(3000)]
    given_["metrics"] += [
        row("synthetic_share.tokens", "after", None, "source", f"{i}" + "z" * 500) for i in range(3000)
    ]
    given_["quarantine"] *= 500
    given_["recipe"] *= 100
    given_["assumptions"] *= 5
    page = report.render(given_)
    assert len(page.encode()) < 200_000
    assert "smaller sources, in metrics.parquet" in page


def test_five_hundred_sources_and_many_structures_are_under_a_megabyte():
    name = '<"&' * 20  # escaped it is five times as long
    systems, rows, outcomes = [], [], []
    for number in range(60):
        structures = [{"id": f"s{at}{name}", "note": name * 3} for at in range(80)]
        systems.append({"id": f"sys{number}", "owner": {"team": name, "contact": name}, "rationale": name * 9, "weight": "tokens",
                        "slice": {}, "structures": structures, "reference": "uniform"})  # fmt: skip
        rows += [row("structure.documents", stage, 9.0, "system", f"sys{number}") for stage in ("before", "after")]
        rows += [row("structure.pattern", "after", 0.1, "pattern", f"sys{number}/{at}{name}") for at in range(50)]
        rows += [row("structure.core", "after", 0.1, "structure", f"sys{number}/{one['id']}") for one in structures]
        about = {"metric": "structure.retention", "slice_kind": "structure"}
        failed = outcome("fail", "warning", message=name * 9, slice_=f"sys{number}/s0")
        outcomes += [dataclasses.replace(failed, slice=f"sys{number}/{at}", **about) for at in range(40)]
    given_ = full(name, verdict(*outcomes)) | {"systems": systems}
    reasons = ("empty_text", "near_duplicate", "exact_duplicate", "over_limit", "licence")
    for at in range(500):
        source = f"{name}{at}"
        rows += [row("documents", stage, 100.0 + at, "source", source) for stage in ("before", "after")]
        rows += [row("documents.dropped", "after", 5.0, "source_reason", f"{source}/{reason}") for reason in reasons]
        rows += [
            row("documents", "after", 5.0, "source_origin", f"{source}/{origin}") for origin in ("human", "synthetic")
        ]
        rows += [
            row("synthetic_share.tokens", "after", 0.5, "source", source),
            row("tokens", "after", 5.0, "language", source),
        ]
    given_["metrics"] += rows
    given_["inputs"] = [{"source": f"{name}{at}", "files": 3, "bytes": 9, "fingerprint": "f" * 16} for at in range(500)]
    given_["recipe"] = name * 20_000
    given_["mends"] = {"expectations[0]": [name * 9] * 9}
    given_["remarks"] = given_["help"] = [name * 9] * 500
    given_["examples"] = [one | {"text": [(name * 9, True)] * 90} for one in given_["examples"]] * 9
    page = report.render(given_)
    assert len(page.encode()) < 1_000_000, len(page.encode())
    assert "systems more, in metrics.parquet" in page


def test_the_same_release_gives_the_same_bytes():
    assert report.render(full()) == report.render(full())


counts = st.floats(0, 1e12)


@given(st.lists(st.tuples(counts, st.sampled_from(["kept", "dropped"])), max_size=9), st.sampled_from([340, 856]))
def test_the_flow_stays_in_its_drawing_and_loses_nothing(parts, width):
    drawing = figures.flow([figures.Part("p", count, kind) for count, kind in parts], width)
    if drawing is None:
        assert sum(count for count, _ in parts) == 0
        return
    assert len(drawing["bands"]) == len(parts)
    assert drawing["bar_height"] >= 199
    bottoms = [band["y"] + band["height"] for band in drawing["bands"]]
    tops = [band["y"] for band in drawing["bands"]]
    assert tops[0] >= 0
    assert bottoms[-1] <= drawing["height"]
    assert all(top >= bottom for bottom, top in zip(bottoms, tops[1:], strict=False))


fractions = st.none() | st.floats(0, 1)


@given(fractions, fractions, fractions)
def test_shares_stay_on_their_axis_and_in_order(value, upper, limit):
    drawing = figures.shares([{"label": "x", "value": value, "lower": None, "upper": upper}], limit, 340)
    if drawing is None:
        assert value is None
        assert upper is None
        return
    places = [tick["x"] for tick in drawing["ticks"]]
    assert places == sorted(places)
    assert 2 <= len(places) <= 8
    known = [
        (n, x)
        for n, x in [(value, drawing["rows"][0]["value_x"]), (upper, drawing["rows"][0]["upper_x"])]
        if x is not None
    ]
    if limit is not None:
        known.append((limit, drawing["limit"]["x"]))
    assert all(8 <= x <= 332 for _, x in known)
    assert [x for _, x in sorted(known)] == sorted(x for _, x in known)
    assert drawing["rows"][0]["over"] == (upper is not None and limit is not None and upper > limit)


@given(st.lists(st.floats(0, 1e7), min_size=5, max_size=5).map(sorted))
def test_lengths_stay_on_their_axis_and_in_order(quantiles):
    names = ("q05", "q25", "q50", "q75", "q95")
    drawing = figures.lengths([{"label": "x", **dict(zip(names, quantiles, strict=True))}], 340)
    places = [drawing["rows"][0][name] for name in names]
    assert places == sorted(places)
    assert 8 <= places[0] <= places[-1] <= 332


@given(st.dictionaries(st.integers(2, 10**9), st.integers(1, 10**6), max_size=50))
def test_no_cluster_is_lost_between_the_bars(size_counts):
    drawing = figures.cluster_sizes(size_counts, 340)
    shown = sum(int(bar["text"].replace(",", "")) for bar in drawing["rows"]) if drawing else 0
    assert shown == sum(size_counts.values())


def test_systems_say_what_they_speak_of_and_what_they_are_held_against():
    system = {
        "id": "places", "owner": {"team": "us", "contact": ""}, "rationale": "why", "weight": "tokens",
        "slice": {"source": ["web"], "language": ["en", "de"], "origin": None, "min_tokens": 1500,
                  "created_from": "2020-01-01", "created_before": None, "columns": {"<genre>": ["novel"]}},
        "structures": [{"id": "river", "note": ""}],
    }  # fmt: skip
    for reference, words in (
        ("uniform", "the same sum of cores, spread evenly"),
        ({"release": "old/<one>"}, "the release old/&lt;one&gt;"),
        ({"river": 0.5}, "the shares that the system names"),
    ):
        page = report.render({"systems": [system | {"reference": reference}]})
        assert words in page
        assert (
            "source web, language en or de, &lt;genre&gt; novel, 1,500 words or tokens or more, from 2020-01-01" in page
        )
        assert "by words or tokens" in page
        assert "Nothing is expected of it; it is only counted." in page
        assert "No document that was read is of this kind" in page


def diverse(text="plain"):
    """A report with what is measured of diversity: dedup takes nothing, the mixture a fifth of the topics."""

    def limited(metric, stage, value, kind="overall", slice_=""):
        return row(metric, stage, value, kind, slice_) | {"lower": 0.9 * value, "upper": 1.1 * value}

    rows = [
        row("documents", "after", 900.0, "source", text),
        row("lexical.stage_hill_1_1", "deduplicated", 1.02),
        row("lexical.stage_hill_1_1", "after", 0.97),
        row("lexical.hill_1_1", "before", 1234.0),
        limited("topic.effective_number", "deduplicated", 50.0),
        limited("topic.effective_number", "after", 40.0),
        limited("topic.effective_number", "after", 39.0, "source", text),
        limited("duplicates.residual_rate", "before", 0.25),
        limited("reference.topic_hill_1", "after", 0.85),
    ]
    return {"metrics": rows}


def test_a_reader_sees_which_step_takes_diversity() -> None:
    page = report.render(diverse())
    assert "The largest loss of a step is that of the mixture: it left 80% of what it was given" in page
    assert "Topics in effect: what the mixture left 80%, of the reference&#39;s 85%." in page
    assert "22.5% to 27.5%" in page, "the near duplicates that were read, with their limits"
    assert "Topics in effect</th>" in page
    without = [one for one in diverse()["metrics"] if not one["metric"].startswith(("reference.", "topic."))]
    page = report.render({"metrics": without})
    assert "No step took more than a twentieth" in page
    assert "Of the reference&#39;s" not in page
    assert 'id="diversity"' not in report.render({"metrics": []})


def test_the_names_of_slices_stay_text() -> None:
    page = report.render(diverse(SCRIPT))
    assert page.count("<script>") == 1
    assert "&lt;script&gt;" in page


@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 1e6), st.just(1.0)), min_size=1, max_size=6),
    width=st.sampled_from([figures.WIDE, figures.NARROW]),
)
def test_fractions_stay_inside_the_drawing(values: list[float | None], width: int) -> None:
    marks = [{"kind": "reference", "value": v or 0.0, "lower": v, "upper": v} for v in values]
    drawing = figures.fractions([{"label": "x", "marks": marks}], width)
    assert drawing is not None
    for row_ in drawing["rows"]:
        for mark in row_["marks"]:
            for x in (mark["low"], mark["high"]):
                assert x is None or 0 <= x <= width
    assert 0 < drawing["one"] < width
    assert len(drawing["ticks"]) < 25
    assert figures.fractions([{"label": "x", "marks": []}], width) is None
