"""Hash columns as numbers, and numbers as hash columns. No copy where there need not be one."""

import hashlib
import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.contracts import HASH
from transforms.kernels.text.blake2b import digests


def joined(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array. Arrow's own `combine_chunks` copies a column that is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def text_buffers(
    texts: pa.LargeStringArray | pa.LargeBinaryArray,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of a column of texts, and where each begins. No copy."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    values = texts.buffers()[2]
    # An empty buffer may be missing, and Numba wants an array all the same.
    data = np.frombuffer(values, np.uint8) if values is not None and values.size else np.zeros(1, np.uint8)
    return data, np.require(offsets, requirements="A")  # memory of another process may lie anywhere


def hash_texts(
    texts: pa.LargeStringArray | pa.LargeBinaryArray, heads: pa.LargeBinaryArray | None = None
) -> pa.FixedSizeBinaryArray:
    """BLAKE2b of each text, behind its head where there are `heads`, 16 bytes.

    Cryptographic, because a text must not be able to pose as another's duplicate.
    """
    found = digests(text_buffers(texts), None if heads is None else text_buffers(heads))
    return pa.FixedSizeBinaryArray.from_buffers(HASH, len(found), [None, pa.py_buffer(found.astype("<u8", copy=False))])


Number = TypeVar("Number", np.int64, np.uint32, np.uint64)
EMPTY_HASH = hashlib.blake2b(b"", digest_size=16).digest()
BYTES = pa.binary()


def halves(hashes: pa.FixedSizeBinaryArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The two halves of 16-byte hashes as numbers that sort as the bytes do. uint64[n] each."""
    pair = np.frombuffer(hashes.buffers()[1], ">u8")[2 * hashes.offset : 2 * (hashes.offset + len(hashes))]
    return pair[0::2].astype(np.uint64), pair[1::2].astype(np.uint64)


def first_half(hashes: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    """The first half of 16-byte hashes: the name of a content in the duplicate graph. uint64[n]."""
    return halves(hashes)[0]


def bytes_of(column: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """`(offsets, bytes)` of a binary column: of each row its bytes, one row after the other. The bytes are not copied."""
    if not len(column):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    bounds = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    offsets = (bounds - bounds[0]).astype(np.int64)
    if not offsets[-1]:  # the buffer may be missing
        return offsets, np.zeros(0, np.uint8)
    return offsets, np.frombuffer(column.buffers()[2], np.uint8)[bounds[0] : bounds[-1]]


def numbers(column: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`(offsets, numbers)` of a packed column: of each row its uint32s, one row after the other."""
    offsets, data = bytes_of(column)
    return offsets // 4, data.view("<u4")


def packed(
    offsets: npt.NDArray[np.int64], values: npt.NDArray[Any], dtype: pa.DataType = BYTES
) -> pa.BinaryArray | pa.LargeBinaryArray:
    """The other way round, of numbers of any kind: of each row `values[offsets[i]:offsets[i + 1]]`, as bytes that are not copied.

    Raises:
      pa.ArrowInvalid: they are more than 2 GB, and `dtype` is not `pa.large_binary()`.
    """
    buffers = [None, pa.py_buffer(values.itemsize * offsets), pa.py_buffer(values)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers).cast(dtype)


def ranges(size: npt.NDArray[np.int64], start: npt.NDArray[np.int64] | int = 0) -> npt.NDArray[np.int64]:
    """`start, start + 1, ...`, so many as `size` says, one range after the other. int64[sum of sizes]."""
    return np.arange(int(size.sum())) + np.repeat(start - (np.cumsum(size) - size), size)


def starts(rising: npt.NDArray[Number]) -> npt.NDArray[np.int64]:
    """Where in numbers that rise each different one is for the first time."""
    first = np.ones(len(rising), bool)
    np.not_equal(rising[1:], rising[:-1], out=first[1:])
    return np.flatnonzero(first)


def distinct_numbers(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The different values, rising. `numpy.unique` looks each up in a hash table: ten times as slow where most differ."""
    rising = np.sort(values)
    return rising[starts(rising)]


def distinct_rows(*columns: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The different rows of columns of small whole numbers, rising, int64[rows, columns]; and which of them each row is.

    As one number for each row, which sorts ten times as fast as `numpy.unique` sorts rows.
    """
    least = [int(column.min(initial=0)) for column in columns]
    spans = [int(column.max(initial=0)) - low + 1 for column, low in zip(columns, least, strict=True)]
    assert math.prod(spans) < 1 << 63, "the numbers of a row have to go into one"
    key = np.zeros(len(columns[0]), np.int64)
    for column, low, span in zip(columns, least, spans, strict=True):
        key = key * span + (column.astype(np.int64) - low)
    keys, which = np.unique(key, return_inverse=True)
    rows = np.stack(np.unravel_index(keys, spans), axis=1) + np.array(least, np.int64)
    return rows, which


def signatures(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint32]:
    """A signature column as uint32[documents, num_perm]."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8) if len(column) else np.zeros(0, np.uint8)
    found = data[column.offset * width : (column.offset + len(column)) * width].view("<u4").reshape(-1, width // 4)
    return np.require(found, requirements="A")


def partition(values: npt.NDArray[np.uint64], partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each value: its high bits, so it says nothing about the order inside one. int64[n]."""
    return (values >> np.uint64(32)).astype(np.int64) * partitions >> 32


def split_by(keys: npt.NDArray[np.int64], batch: pa.RecordBatch) -> list[tuple[int, pa.RecordBatch]]:
    """Cut a batch into one batch per key, ascending by key; rows keep their order inside one.

    Nothing is copied of a batch that is in order.
    """
    if (keys[1:] < keys[:-1]).any():
        order = np.argsort(keys, kind="stable")
        keys, batch = keys[order], batch.take(pa.array(order))
    bounds = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1, append=keys[-1:] + 1))
    return [
        (int(keys[start]), batch.slice(start, end - start))
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def hexadecimal(hashes: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """Hashes as hexadecimal words, two characters a byte."""
    width = hashes.type.byte_width
    data = np.frombuffer(hashes.buffers()[1], np.uint8) if len(hashes) else np.zeros(0, np.uint8)
    data = data[hashes.offset * width : (hashes.offset + len(hashes)) * width]
    digits = np.empty(2 * len(data), np.uint8)
    digits[0::2] = _DIGITS[data >> 4]
    digits[1::2] = _DIGITS[data & 15]
    offsets = np.arange(len(hashes) + 1, dtype=np.int32) * (2 * width)
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(offsets), pa.py_buffer(digits))


_DIGIT_VALUES = np.full(256, 255, np.uint8)
_DIGIT_VALUES[_DIGITS] = np.arange(16)


def from_hexadecimal(words: pa.StringArray) -> pa.FixedSizeBinaryArray:
    """The 16-byte hashes that `hexadecimal` wrote.

    Raises:
      ValueError: a word is not 32 lower-case hexadecimal digits.
    """
    offsets = np.frombuffer(words.buffers()[1], np.int32)[words.offset : words.offset + len(words) + 1]
    if not len(words):
        return pa.array([], HASH)
    if words.null_count or (np.diff(offsets) != 32).any():
        raise ValueError("not the 32 digits of a hash")
    digits = _DIGIT_VALUES[np.frombuffer(words.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]]
    if (digits == 255).any():
        raise ValueError("not hexadecimal digits")
    data = digits[0::2] << 4 | digits[1::2]
    return pa.FixedSizeBinaryArray.from_buffers(HASH, len(words), [None, pa.py_buffer(data)])
