"""About how many tokens a model would count, from words by language."""

from expectations import wording
from transforms.measures.subwords import PER_WORD, subword_rows


def test_each_language_makes_its_own_number_and_little_unknown_text_the_mean_of_the_rest() -> None:
    english, chinese = PER_WORD["en"], PER_WORD["zh"]
    (row,) = subword_rows({"after": {"en": 9_000, "zh-Hant": 1_000}}, 7)
    low, high = (9_000 * english[end] + 1_000 * chinese[end] for end in (0, 1))
    assert (row["lower"], row["upper"], row["n"]) == (round(low), round(high), 7)
    assert low < row["value"] < high
    (more,) = subword_rows({"after": {"en": 9_000, "zh-Hant": 1_000, "unknown": 500}}, 7)
    assert more["lower"] == round(low * 1.05)
    assert "en 1.23 to 1.24, zh-Hant" in str(row["note"])


def test_nothing_is_said_of_languages_that_were_not_measured() -> None:
    read, left = subword_rows({"before": {"en": 90, "xx": 10}, "after": {}}, 7)
    assert read["value"] is left["value"] is None
    assert read["note"] == "no number of tokens is known for 10 of 100 words, by their language"
    assert wording.of_a_model([dict(read, stage="after", lower=None, upper=None)]) == ""


def test_a_person_reads_three_digits() -> None:
    row = {"metric": "tokens.of_a_model", "stage": "after", "lower": 1_234_567.0, "upper": 2_345_678.0}
    assert wording.of_a_model([row]) == "about 1,230,000 to 2,350,000 tokens of a model"
    assert wording.of_a_model([row | {"upper": 1_234_568.0}]) == "about 1,230,000 tokens of a model"
