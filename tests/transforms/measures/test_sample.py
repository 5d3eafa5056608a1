"""The sample of documents: bottom by key whatever parts it comes in, and complete for what is asked of it."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.measures import sample

rows = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 2)), unique_by=lambda row: row[0], max_size=30)


def batch(values: list[tuple[int, int]]) -> pa.RecordBatch:
    n = len(values)
    columns = {
        "key": [key for key, _ in values],
        "at": [at for _, at in values],
        "whose": [1] * n,
        "source": [0] * n,
        "language": ["en"] * n,
        "fold": [key % 16 for key, _ in values],
        "words": [np.array([key % 7, key % 5], np.uint32).tobytes() for key, _ in values],
        "head": ["the same head"] * n,
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[f.name], f.type) for f in sample.SAMPLED], schema=sample.SAMPLED
    )


@pytest.mark.parametrize("most", [1000, 3])
@given(values=rows, size=st.integers(1, 12), seed=st.integers(0, 9))
def test_parts_and_order_change_nothing(most: int, values: list[tuple[int, int]], size: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "SAMPLE", most)
        whole = sample.merge([batch(values)])
        expected = [row for at in (1, 2) for row in sorted(v for v in values if v[1] == at)[:most]]
        assert list(zip(whole["key"].to_pylist(), whole["at"].to_pylist(), strict=True)) == expected
        shuffled = random.Random(seed).sample(values, len(values))
        parts = [batch(shuffled[at : at + size]) for at in range(0, len(values), size)]
        half = sample.merge(parts[: len(parts) // 2])
        assert sample.merge([half, *parts[len(parts) // 2 :], sample.merge([])]).equals(whole)
        assert sample.merge(sample.compact(parts[::-1], tightly=True)).equals(whole)
        one_by_one: list[pa.RecordBatch] = []
        for part in parts:
            one_by_one = sample.compact([*one_by_one, part])
            assert sum(own.num_rows for own in one_by_one) <= 3 * most + size, "as much is held, however many come"
        assert sample.merge(one_by_one).equals(whole)


def test_what_is_asked_of_it_is_a_sample_of_all_of_these_documents() -> None:
    """Of many that were dropped and few that were kept, only keys count that would be there for either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "SAMPLE", 4)
        dropped, kept = [(key, 1) for key in range(10)], [(key, 2) for key in range(100, 103)]
        whole = sample.merge([batch(dropped + kept)])
        assert sample.reached(whole, 2, 2**64 - 1)["key"].to_pylist() == [100, 101, 102]
        assert sample.reached(whole, 1, 2**64 - 1)["key"].to_pylist() == [0, 1, 2, 3]
        assert sample.reached(whole, 2, 102)["key"].to_pylist() == [100, 101], "of other splits it may not be complete"


def test_words_come_back_and_nothing_has_none() -> None:
    offsets, words = sample.words_of(batch([(8, 2), (9, 2)]).slice(1))
    assert (offsets.tolist(), words.tolist()) == ([0, 2], [2, 4])
    nothing = sample.merge([])
    offsets, words = sample.words_of(nothing)
    assert (offsets.tolist(), len(words)) == ([0], 0)
    for row in sample.sample_rows([], 2**64 - 1, ("web",)):
        assert row["n"] == 0
        assert row["value"] is None or np.isnan(row["value"])
