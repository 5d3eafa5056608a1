"""Words that a year has too many of: Kobak's rule by hand, and a word that is planted."""

import numpy as np
import pyarrow as pa
import pytest

from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import diversity, vocabulary
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.kernels.text import text
from transforms.measures import excess_words as excess


def test_what_is_expected_goes_on_as_before_and_never_down() -> None:
    before, earlier = np.array([0.2, 0.1]), np.array([0.15, 0.3])
    assert excess.expected(before, earlier) == pytest.approx([0.3, 0.1])


def test_the_rule_by_hand() -> None:
    """Rare words need a large ratio, frequent ones a large difference; at p = 0.0001 the ratio must be above 2."""
    p = np.array([0.0001, 0.0001, 0.5, 0.5, 0.00005])
    q = np.array([0.000049, 0.000051, 0.489, 0.495, 0.0])
    assert excess.in_excess(p, q).tolist() == [True, False, True, False, False]


def year(texts: list[str], name: str) -> Vocabulary:
    _, tokens = text.canonicalise(pa.array(texts, pa.large_string()))
    offsets, types = diversity.sketch(*minhash.words(tokens), 1)
    return vocabulary.count(offsets, types, np.zeros(len(texts), np.int64), [(name,)])


def test_a_planted_word_is_found_and_named() -> None:
    plain = [f"the river w{n % 50}" for n in range(1200)]
    planted = [one + (" Delve!" if n % 8 == 0 else "") for n, one in enumerate(plain)]
    parts = [year(plain, "2020"), year(plain, "2021"), year(plain, "2022"), year(planted, "2023")]
    rows = list(excess.excess_rows(parts, planted[:20]))
    assert [(row["metric"], row["slice"], row["value"]) for row in rows] == [
        ("excess.words", "2023", 1.0),
        ("excess.delta_max", "2023", pytest.approx(1 / 8)),
    ]
    assert rows[0]["note"].endswith("; most: delve")
    assert list(excess.excess_rows(parts[1:], [])) == [], "too few years"
    assert list(excess.excess_rows([], [])) == []
