"""Whatever a data set calls a language, it is one tag."""

import pyarrow as pa
import pytest

from expectations.language_tags import is_known, normal_tag, normal_tags
from expectations.structures.system import Slice
from expectations.suite.suite import Expectation
from transforms.mixture.config import Limit

ONE = {
    "en": ["en", "EN", "eng", "eng_Latn", "en-US", "en_GB", "English", '["en"]', "['eng']", "__label__en", " en ", "en-Latn-US"],
    "zh": ["zh", "zho", "chi", "cmn", "cmn_Hani", "zho_Hans", "zh-CN", "zh-Hant-TW", "Chinese", "Mandarin"],
    "de": ["de", "deu", "ger", "DE-at", "German"],
    "ar": ["ar", "arb_Arab", "ara"],
    "es": ["spa_Latn", "es-419", "Castilian"],
    "he": ["iw", "heb", "Hebrew"],
}  # fmt: skip


@pytest.mark.parametrize("tag", ONE)
def test_all_names_of_a_language_are_one_tag(tag):
    assert {normal_tag(name) for name in ONE[tag]} == {tag}
    assert is_known(tag)


@pytest.mark.parametrize(
    "said", ["ceb", "als", "mul", "zxx", "klingon", "en/de", '["en", "de"]', "en (automatic)", "x-private"]
)
def test_what_is_in_no_table_stays_as_it_is(said):
    assert normal_tag(said) == said
    assert not is_known(said)


def test_a_column_keeps_its_rows_and_what_says_nothing_is_null():
    column = pa.array(["eng", None, "", "unknown", "und", "English", "xx-yy", "nan"])
    assert normal_tags(column).to_pylist() == ["en", None, None, None, None, "en", "xx-yy", None]
    assert normal_tags(column.slice(5, 2)).to_pylist() == ["en", "xx-yy"]
    assert normal_tags(pa.nulls(2, pa.string())).to_pylist() == [None, None]


def test_limits_rules_and_slices_of_systems_mean_the_same_language_by_any_name():
    assert Limit(language="eng_Latn", max=0.5).language == "en"
    assert Limit(language="unknown", max=0.5).language == "unknown"
    rule = {"expect": "metric_to_be_between", "metric": "tokens", "min": 1, "slice": "en-US", "slice_kind": "language"}
    assert Expectation.model_validate(rule).slice == "en"
    assert Expectation.model_validate(rule | {"slice_kind": "source"}).slice == "en-US"
    assert Slice.model_validate({"language": ["eng", "Deutsch", "ger"]}).language == ("en", "Deutsch", "de")
