"""What the signal store has of two columns takes less room, and a stage that reads them sees what the survey wrote."""

import functools
import itertools
import pathlib
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from transforms.ingest.sources import Split
from transforms.kernels.text.columns import numbers, packed
from transforms.signals.store import SignalStore, write_parquet

NAMES = ("content_hash", "ngrams_1", "n_words", "first_words", "head")
SCHEMA = pa.schema([contracts.signals(8).schema.field(name) for name in NAMES])
SPLIT = Split(0, 0, (), 0)
words = st.lists(st.lists(st.integers(0, 40), max_size=9), min_size=1, max_size=9)


def signals(documents: list[list[int]]) -> pa.RecordBatch:
    """Of documents by their words; those of an odd number of words are sampled."""
    types = [list(dict.fromkeys(one)) for one in documents]
    sampled = [one if len(one) % 2 else [] for one in documents]
    columns = {
        "content_hash": pa.array([bytes([len(one)] * 16) for one in documents], contracts.HASH),
        "ngrams_1": column(types),
        "n_words": pa.array([len(one) for one in documents], pa.int32()),
        "first_words": column(sampled),
        "head": pa.array([str(one) if one else None for one in sampled], pa.large_string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in NAMES], schema=SCHEMA)


def column(values: list[list[int]]) -> pa.BinaryArray:
    return packed(np.cumsum([0, *map(len, values)]), np.array([n for one in values for n in one], np.uint32))


def lists(column: pa.ChunkedArray) -> list[list[int]]:
    offsets, values = numbers(column.combine_chunks())
    return [values[start:end].tolist() for start, end in itertools.pairwise(offsets)]


@settings(max_examples=25)
@given(st.lists(words, max_size=3), st.booleans())
def test_a_stage_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[list[int]]], in_groups: bool
) -> None:
    """Whether batches are row groups or one together."""
    store = SignalStore(str(tmp_path_factory.getbasetemp() / "signals"), (("source 0", ""),))
    write = functools.partial(write_parquet, group_bytes=0) if in_groups else write_parquet
    with mock.patch("transforms.signals.store.write_parquet", write):
        store.write(SPLIT, map(signals, parts), SCHEMA)
    if in_groups:
        assert pq.read_metadata(store.path(SPLIT)).num_row_groups == len(parts)
    documents = [one for part in parts for one in part]
    whole = signals(documents)
    for asked in (list(NAMES), ["first_words"], ["head", "ngrams_1"], ["n_words"]):
        read = store.read(SPLIT, asked)
        assert read.schema == pa.schema([SCHEMA.field(name) for name in asked])
        for name in asked:
            if name == "ngrams_1":  # a set: in any order
                assert list(map(sorted, lists(read[name]))) == [sorted(set(one)) for one in documents]
            else:
                assert read[name].combine_chunks().equals(whole[name])


def test_frequent_types_take_a_byte_each(tmp_path: pathlib.Path) -> None:
    store = SignalStore(str(tmp_path), (("source 0", ""),))
    documents = [list(range(number % 7, number % 7 + 101)) for number in range(1000)]
    batch = signals(documents)
    store.write(SPLIT, [batch], SCHEMA)
    stored = pq.read_metadata(store.path(SPLIT)).row_group(0)
    sizes = {
        stored.column(at).path_in_schema: stored.column(at).total_compressed_size for at in range(stored.num_columns)
    }
    assert sum(size for name, size in sizes.items() if name.startswith("ngrams_1")) < 0.35 * batch["ngrams_1"].nbytes
    assert sizes["first_words.list.element"] < 0.35 * batch["first_words"].nbytes
