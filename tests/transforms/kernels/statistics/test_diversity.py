"""Lexical measures against direct counting, their merge laws, and known limits."""

import collections
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import diversity
from transforms.kernels.text import text

documents = st.lists(st.lists(st.sampled_from("abcdef"), max_size=20).map(" ".join), max_size=8)


def sketch(values: list[str], order: int) -> tuple[np.ndarray, np.ndarray]:
    _, tokens = text.canonicalise(pa.array(values, pa.large_string()))
    return diversity.sketch(*minhash.words(tokens), order)


@given(documents)
def test_unigrams_are_counted_once_per_document(values: list[str]) -> None:
    expected = collections.Counter(word for value in values for word in set(value.split()))
    counts = diversity.count(sketch(values, 1)[1])
    assert sorted(counts.documents.tolist()) == sorted(expected.values())
    if expected:
        assert diversity.distinct(counts) == len(expected) / sum(expected.values())
        assert diversity.entropy(counts) == pytest.approx(scipy_entropy(list(expected.values()), base=2))


@given(documents, st.integers(0, 8))
def test_merging_parts_counts_the_whole(values: list[str], at: int) -> None:
    parts = [diversity.count(sketch(part, 1)[1]) for part in (values[:at], values[at:])]
    whole = diversity.count(sketch(values, 1)[1])
    for merged in (
        diversity.merge(parts),
        diversity.merge(parts[::-1]),
        diversity.merge([*parts, diversity.merge([])]),
    ):
        assert merged.types.tolist() == whole.types.tolist()
        assert merged.documents.tolist() == whole.documents.tolist()


@pytest.mark.parametrize("different", [2, 30_000, 200_000])
def test_many_types_are_counted_as_few_are(different: int) -> None:
    """In a table; where most are seen once it fills up, and they are sorted."""
    types = np.uint32(0x9E3779B1) * (np.arange(200_000, dtype=np.uint32) % different) << np.uint32(4)
    expected, documents = np.unique(types, return_counts=True)
    counts = diversity.count(types)
    assert np.array_equal(counts.types, expected)
    assert np.array_equal(counts.documents, documents)


@given(st.lists(st.dictionaries(st.integers(0, 12), st.integers(1, 9)), max_size=7))
def test_counts_add_up_in_any_number_of_parts(parts: list[dict[int, int]]) -> None:
    columns = [
        diversity.TypeCounts(np.array(sorted(p), np.uint32), np.array([p[t] for t in sorted(p)], np.int64))
        for p in parts
    ]
    merged = diversity.merge(columns)
    expected = sum(map(collections.Counter, parts), collections.Counter())
    assert dict(zip(merged.types.tolist(), merged.documents.tolist(), strict=True)) == expected
    assert merged.types.tolist() == sorted(expected)


@pytest.mark.parametrize("order", [2, 3])
def test_sampled_orders_estimate_the_whole(order: int) -> None:
    """40,000 different words in 400 documents: every n-gram is a type of its own."""
    values = [" ".join(f"w{d}x{i}" for i in range(100)) for d in range(400)]
    counts = diversity.count(sketch(values, order)[1])
    exact = 400 * (100 - order + 1)
    rate = diversity.RATES[order - 1]
    assert abs(len(counts.types) * rate - exact) < 4 * rate * math.sqrt(exact / rate)
    assert diversity.distinct(counts) == 1.0
    assert diversity.entropy(counts, rate) == pytest.approx(math.log2(exact), abs=4 / math.sqrt(len(counts.types)))


def test_only_the_window_counts() -> None:
    long = " ".join(f"w{i}" for i in range(diversity.WINDOW + 50))
    assert len(sketch([long], 1)[1]) == diversity.WINDOW


def test_nothing_is_not_a_number() -> None:
    nothing = diversity.merge([])
    assert math.isnan(diversity.distinct(nothing))
    assert math.isnan(diversity.entropy(nothing, 1))
    assert math.isnan(diversity.compression_ratio([]))
    assert all(math.isnan(q) for q in diversity.quantiles(nothing.types, nothing.documents, [0.5]))


def test_repetition_compresses() -> None:
    varied = [f"{i:x}" * 3 + str(i**5) for i in range(200)]
    assert diversity.compression_ratio(["the same again"] * 200) > 5 * diversity.compression_ratio(varied)


@given(st.lists(st.integers(0, 100), min_size=1), st.floats(0.01, 1))
def test_quantiles_are_exact(lengths: list[int], q: float) -> None:
    counts = diversity.count(np.array(lengths, np.uint32))
    expected = sorted(lengths)[math.ceil(q * len(lengths)) - 1]
    found = diversity.quantiles(counts.types.astype(np.int64), counts.documents, [q])[0]
    assert found == expected or math.isclose(q * len(lengths), round(q * len(lengths)))
