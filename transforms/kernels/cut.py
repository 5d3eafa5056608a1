"""Texts without some of their paragraphs. What a paragraph is, and when two are the same: transforms/kernels/paragraphs.py."""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.paragraphs import _FORM, _count_tokens, _is_new, _line, _room, _slots
from transforms.kernels.text import _buffers, _tables


@numba.njit(nogil=True, cache=True)
def _among(values, value):  # type: ignore[no-untyped-def]
    """Whether `value` is one of `values`, which ascend."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < len(values) and values[low] == value


@numba.njit(nogil=True, cache=True)
def _without(data, offsets, unwanted, form, classes, spelled):  # type: ignore[no-untyped-def]
    n_docs = len(offsets) - 1
    table, stamp, folded = _room(offsets)
    out = np.empty(offsets[n_docs] - offsets[0] + 1, np.uint8)  # never empty, because an Arrow buffer must not be
    n = 0
    out_offsets = np.zeros(n_docs + 1, np.int64)
    removed = np.zeros(n_docs, np.int32)
    for d in range(n_docs):
        at, end = offsets[d], offsets[d + 1]
        slots = _slots(end - at)
        keep_from = at
        while at < end:
            start = at
            stop, is_paragraph, h = _line(data, start, end, form, folded, classes, spelled)
            at = stop + 1
            if not is_paragraph or (_is_new(table, stamp, slots, d + 1, h) and not _among(unwanted, h)):
                continue
            removed[d] += _count_tokens(data, start, stop, stop - start, classes, spelled)
            out[n : n + start - keep_from] = data[keep_from:start]
            n += start - keep_from
            keep_from = min(at, end)  # behind its line feed, if it has one
        out[n : n + end - keep_from] = data[keep_from:end]
        n += end - keep_from
        out_offsets[d + 1] = n
    return out, out_offsets, removed


def without(
    text: pa.LargeStringArray, unwanted: npt.NDArray[np.uint64]
) -> tuple[pa.LargeStringArray, npt.NDArray[np.int32]]:
    """Each text without its unwanted paragraphs, and without those that it had before.

    A paragraph goes with the line feed that ends it; every other byte stays.

    Args:
      text: large_string[n], no nulls, valid UTF-8.
      unwanted: hashes of paragraphs, unique, ascending.

    Returns:
      The texts, large_string[n], and how many words and ideographs were in the paragraphs that each lost, int32[n].
    """
    classes, spelled, *_ = _tables()
    out, offsets, removed = _without(*_buffers(text), unwanted, _FORM, classes, spelled)
    if not removed.any():  # a paragraph has tokens, so nothing was removed
        return text, removed
    return pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(out)), removed
