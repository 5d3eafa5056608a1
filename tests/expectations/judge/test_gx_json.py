"""Great Expectations reads what we write for it, says the same of the metrics, and shows hostile text as text."""

import datetime
import html
import html.parser
import json
import re

import pandas as pd
import pyarrow as pa
import pytest

from expectations import contracts
from expectations.judge import gx, gx_json
from expectations.judge.verdict import judge
from expectations.suite.shorthands import NAMED
from expectations.suite.suite import load_suite

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'$what{{7*7}}"
WAIVER = {"who": "Ada", "why": "so", "until": "2999-01-31"}


def row(metric="synthetic_share.tokens", kind="overall", slice_="", value=0.2, stage="after"):
    return {"metric": metric, "stage": stage, "slice_kind": kind, "slice": slice_, "value": value, "lower": value,
            "upper": value and value + 0.1, "unit": "fraction", "n": 9, "note": HOSTILE}  # fmt: skip


TABLE = pa.Table.from_pylist(
    [
        row(),
        row(kind="source", slice_="web", value=0.5),
        row(kind="source", slice_=HOSTILE, value=0.1),
        row("documents"),
    ],
    schema=contracts.METRICS.schema,
)
SUITE = load_suite({"suite": HOSTILE, "expectations": [
    {"expect": "synthetic_share_to_be_at_most", "max": 0.35, "notes": HOSTILE},
    {"expect": "synthetic_share_to_be_at_most", "max": 0.35, "slice_kind": "source", "severity": "warning"},
    {"expect": "synthetic_share_to_be_at_most", "max": 0.05, "slice_kind": "source", "slice": HOSTILE, "waivers": [WAIVER]},
    {"expect": "metric_to_be_between", "metric": "tokens", "min": 1, "severity": "info"},
    {"expect": "metric_to_be_between", "metric": "documents", "min": 0.1, "max": 3, "min_documents": 10},
]})  # fmt: skip
STATUSES = ["pass", "fail", "fail", "error", "inconclusive"]


@pytest.fixture(scope="module")
def verdict():
    return judge(TABLE, SUITE, None, datetime.date(2026, 1, 1))


@pytest.fixture(scope="module")
def batch():
    gx.register()
    import great_expectations

    context = great_expectations.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    return asset.get_batch(batch_parameters={"dataframe": TABLE.to_pandas()})


def test_great_expectations_runs_the_suite_that_is_kept_and_finds_the_same(verdict, batch):
    import great_expectations

    kept = json.loads(json.dumps(gx_json.suite(verdict), allow_nan=False))
    loaded = great_expectations.ExpectationSuite(**kept)
    assert len(loaded.expectations) == len(SUITE.expectations)
    found = {result.expectation_config.meta["key"]: result for result in batch.validate(loaded).results}
    assert [one.status for one in verdict.expectations] == STATUSES
    for outcome in verdict.expectations:
        result = found[outcome.key]
        assert result.result["details"]["status"] == outcome.status
        assert result.expectation_config.severity.value == outcome.severity


def test_the_validation_is_one_that_great_expectations_reads_and_writes_back(verdict):
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema as schema

    kept = json.loads(json.dumps(gx_json.validation(verdict), allow_nan=False))
    again = schema.load(kept).to_json_dict()
    assert set(again) == set(kept)
    assert (again["success"], again["statistics"]) == (False, kept["statistics"])
    assert kept["statistics"]["successful_expectations"] == STATUSES.count("pass")
    for ours, theirs in zip(kept["results"], again["results"], strict=True):
        assert ours["success"] == theirs["success"]
        assert ours["expectation_config"]["kwargs"] == theirs["expectation_config"]["kwargs"]
    assert kept["meta"]["lowbackground"]["verdict"] == "passed"  # a warning and a waiver do not reject


def test_every_name_is_registered_and_asks_what_the_suite_asks(batch):
    own = gx.register()
    for name, named in NAMED.items():
        made = getattr(own, gx._class_name(name))
        for of, metric in named.of.items():
            limit = 1.5 if of in ("sources", "languages", "generators", "topics") else 0.5
            written = {"expect": name, named.side: limit} | ({"of": of} if len(named.of) > 1 else {})
            item = load_suite({"expectations": [written]}).expectations[0]
            asked = made(**{f"{named.side}_value": limit, "of": of})
            assert (asked.metric, asked.stage, asked.slice_kind, asked.bound, asked.unsure) == (
                metric, item.stage, item.slice_kind, item.bound, item.unsure)  # fmt: skip
    assert batch.validate(own.ExpectSyntheticShareToBeAtMost(max_value=0.31)).success
    assert not batch.validate(own.ExpectSyntheticShareToBeAtMost(max_value=0.29)).success
    assert not batch.validate(own.ExpectSyntheticShareToBeAtMost(max_value=0.31, slice_kind="source")).success
    assert not batch.validate(own.ExpectSourceShareToBeAtMost(max_value=0.5)).success  # there is no such row


def test_a_suite_of_names_survives_its_json():
    import great_expectations

    own = gx.register()
    asked = own.ExpectSyntheticShareToBeAtMost(max_value=0.1, of="documents", slice_kind="source", severity="warning")
    suite = great_expectations.ExpectationSuite(name="theirs", expectations=[asked])
    again = great_expectations.ExpectationSuite(**json.loads(json.dumps(suite.to_json_dict())))
    assert again.expectations[0].configuration.to_json_dict() == asked.configuration.to_json_dict()


@pytest.mark.parametrize(
    "wrong", [{"max_value": 0.1, "of": "token"}, {"max_value": 0.1, "metric": "documents"}, {"of": "tokens"},
              {"max_value": 0.1, "slice_kind": "reason"}, {"max_value": 0.1, "stages": "after"}],
)  # fmt: skip
def test_a_name_is_as_strict_there(wrong):
    with pytest.raises(Exception, match=r"unknown|choose by|required|one of|not permitted"):
        gx.register().ExpectSyntheticShareToBeAtMost(**wrong)


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


def test_data_docs_show_hostile_text_as_text_and_ask_nobody(verdict):
    page = gx.data_docs(gx_json.validation(verdict))
    read = Elements()
    read.feed(page)
    assert not {"script", "img", "link", "iframe", "object"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert "default-src 'none'" in page
    text = " ".join("".join(read.text).split())
    assert "<script>document.title='owned'</script>" in text  # shown, not run
    assert "at most 35%, by the upper bound (warning)" in text
    assert "fail: 0.6" in text
    assert "fail (waived): 0.2" in text
    assert not re.search(r"expect_metric_to_be_between\(\*\*", text)
    assert html.unescape(page).count("$what: $asked") == 0


def test_the_same_table_from_parquet_can_be_asked(tmp_path, batch):
    import great_expectations
    import pyarrow.parquet as pq

    pq.write_table(TABLE, tmp_path / "metrics.parquet")
    context = great_expectations.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    read = asset.get_batch(batch_parameters={"dataframe": pd.read_parquet(tmp_path / "metrics.parquet")})
    assert read.validate(gx.register().ExpectSyntheticShareToBeAtMost(max_value=0.31)).success
