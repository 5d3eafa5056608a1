"""BLAKE2b against the standard library's, at every length around a block, and any text."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text.blake2b import LONG
from transforms.kernels.text.columns import EMPTY_HASH, hash_texts


def digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()


@pytest.mark.parametrize("n", [0, 1, 7, 8, 63, 127, 128, 129, 255, 256, 257, 2047, 2048, LONG, LONG + 1])
def test_lengths_around_a_block(n: int) -> None:
    value = bytes(np.arange(n, dtype=np.uint32).astype(np.uint8))
    found = hash_texts(pa.array([value, b"", value], pa.large_binary())).to_pylist()
    assert found == [digest(value), EMPTY_HASH, digest(value)]


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(0, 3))
def test_any_bytes_and_a_slice_of_a_column(values: list[bytes], start: int) -> None:
    column = pa.array(values, pa.large_binary()).slice(start)
    assert hash_texts(column).to_pylist() == [digest(value) for value in values[start:]]


@pytest.mark.parametrize("n", [0, 1, 100, 127, 128, 129, 300, LONG + 1])
@pytest.mark.parametrize("head", [0, 1, 40, 127, 128, 129, 257])
def test_a_text_behind_its_head(head: int, n: int) -> None:
    heads, texts = [b"h" * head, b"", b"other"], [b"t" * n, b"t" * n, b""]
    columns = [pa.array(values, pa.large_binary()) for values in (texts, heads)]
    assert hash_texts(*columns).to_pylist() == [digest(a + b) for a, b in zip(heads, texts, strict=True)]
