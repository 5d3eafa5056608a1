"""Batches cross as they are; a large one in fewer bytes; what is larger yet as the name of a file."""

import pathlib

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from transforms.engine.coders import LARGE, CompressedCoder, FileCoder, RecordBatchCoder

WIDTH = 448


def batch(rows: int) -> pa.RecordBatch:
    """Documents that are like each other: their signatures differ in one number of 112."""
    signature = np.tile(np.arange(WIDTH // 4, dtype="<u4"), (rows, 1))
    signature[np.arange(rows), np.arange(rows) % (WIDTH // 4)] = np.arange(rows)
    rows_of = pa.FixedSizeBinaryArray.from_buffers(pa.binary(WIDTH), rows, [None, pa.py_buffer(signature)])
    return pa.RecordBatch.from_pydict({"document": np.arange(rows), "signature": rows_of})


@pytest.mark.parametrize("rows", [0, 1, 100, LARGE // WIDTH + 1, 5000])
def test_what_comes_out_is_what_went_in(rows: int) -> None:
    coder, one = RecordBatchCoder(), batch(rows)
    assert coder.decode(coder.encode(one)).equals(one)
    part = one.slice(rows // 3, rows // 3)
    assert coder.decode(coder.encode(part)).equals(part)


def test_a_crowd_crosses_in_a_fraction_of_its_bytes() -> None:
    coder, crowd = RecordBatchCoder(), batch(5000)
    assert len(coder.encode(crowd)) < crowd.nbytes / 10
    few = crowd.slice(0, 10)
    assert len(coder.encode(few)) > few.nbytes  # as it is, to be read where it lies


def test_what_crosses_is_the_name_of_a_file_that_is_there_for_whoever_reads_it_again(tmp_path: pathlib.Path) -> None:
    numbers, coder = {"a": np.arange(100_000), "b": batch(10)}, FileCoder(f"{tmp_path}/attempt/tallies")
    crossed = coder.encode(numbers)
    assert len(crossed) < 300
    assert pathlib.Path(crossed.decode()).parent == tmp_path / "attempt/tallies"
    for _ in range(2):
        found = FileCoder("of another worker").decode(crossed)
        assert isinstance(found, dict)
        assert (found["a"] == numbers["a"]).all()
        assert found["b"].equals(numbers["b"])


def test_a_damaged_file_is_not_read(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(FileCoder(str(tmp_path)).encode(np.arange(100_000) * 7919).decode())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(zstandard.ZstdError):
        FileCoder(str(tmp_path)).decode(str(path).encode())


def test_beam_is_told_a_size_without_encoding() -> None:
    assert RecordBatchCoder().estimate_size(batch(100)) == batch(100).nbytes
    assert CompressedCoder().estimate_size(object()) == 0
