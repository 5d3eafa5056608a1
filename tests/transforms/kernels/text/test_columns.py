"""Hash columns as numbers."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text import columns

hashes = st.lists(st.binary(min_size=16, max_size=16), max_size=20)


@given(hashes)
def test_halves_sort_as_bytes_do(values: list[bytes]) -> None:
    column = pa.array([b"x" * 16, *values], pa.binary(16)).slice(1)
    high, low = columns.halves(column)
    order = np.lexsort((low, high))
    assert [values[i] for i in order] == sorted(values)


@given(st.lists(st.lists(st.text(max_size=3), max_size=4), max_size=3), st.integers(0, 3))
def test_a_column_of_one_array_is_that_array(parts: list[list[str]], start: int) -> None:
    column = pa.chunked_array(parts, pa.string()).slice(start)
    assert columns.joined(column).to_pylist() == column.to_pylist()
    if column.num_chunks == 1 and len(column):
        assert columns.joined(column).buffers()[1].address == column.chunk(0).buffers()[1].address


@given(hashes)
def test_hexadecimal_is_pythons(values: list[bytes]) -> None:
    column = pa.array([b"x" * 16, *values], pa.binary(16)).slice(1)
    assert columns.hexadecimal(column).to_pylist() == [value.hex() for value in values]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_split_by_loses_nothing_and_keeps_the_order(keys: list[int]) -> None:
    batch = pa.RecordBatch.from_pydict({"n": list(range(len(keys)))})
    parts = columns.split_by(np.array(keys, np.int64), batch)
    assert [key for key, _ in parts] == sorted(set(keys))
    for key, part in parts:
        assert part["n"].to_pylist() == [i for i, k in enumerate(keys) if k == key]


@given(st.lists(st.integers(0, 2**64 - 1)), st.integers(1, 100))
def test_partitions_are_in_range_and_ordered(values: list[int], partitions: int) -> None:
    found = columns.partition(np.array(values, np.uint64), partitions)
    assert ((found >= 0) & (found < partitions)).all()
    assert (np.diff(found[np.argsort(np.array(values, np.uint64))]) >= 0).all()


def _one_byte_on(buffer: pa.Buffer) -> pa.Buffer:
    return pa.py_buffer(np.frombuffer(b"\0" + buffer.to_pybytes(), np.uint8)[1:])


def test_memory_may_lie_anywhere() -> None:
    """Kernels take aligned numbers only, and what comes from another process need not be."""
    texts, signed = pa.array(["ab", "c"], pa.large_string()), pa.array([bytes(range(8))], pa.binary(8))
    _, offsets, values = texts.buffers()
    moved = pa.LargeStringArray.from_buffers(2, _one_byte_on(offsets), values)
    assert columns.hash_texts(moved).equals(columns.hash_texts(texts))
    elsewhere = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), 1, [None, _one_byte_on(signed.buffers()[1])])
    assert columns.signatures(elsewhere).flags.aligned
    assert columns.signatures(elsewhere).tolist() == columns.signatures(signed).tolist()


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5), st.integers(-128, 127)), max_size=30))
def test_different_rows_are_numpys(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, np.int64).reshape(-1, 3)
    expected, which = np.unique(table, axis=0, return_inverse=True)
    found = columns.distinct_rows(*(column.astype(np.int8) for column in table.T))
    assert found[0].tolist() == expected.tolist()
    assert found[1].tolist() == which.ravel().tolist()


@given(rows=st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=5), max_size=8))
def test_what_is_packed_is_read_back(rows: list[list[int]]) -> None:
    ends = np.cumsum([0, *map(len, rows)])
    flat = np.array([one for row in rows for one in row], np.uint32)
    column = columns.packed(ends, flat)
    assert column.to_pylist() == [np.array(row, np.uint32).tobytes() for row in rows]
    assert [found.tolist() for found in columns.numbers(column)] == [ends.tolist(), flat.tolist()]
    assert columns.packed(ends, flat, pa.large_binary()).cast(pa.binary()).equals(column)
