"""Texts without some of their paragraphs. What a paragraph is, and when two are the same: paragraphs.py."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.lookup import first_at_least, is_new
from transforms.kernels.text.columns import text_buffers
from transforms.kernels.text.paragraphs import (
    _FORM,
    MIN_BYTES,
    MIN_TOKENS,
    _count_tokens,
    _fold,
    _hash,
    room_for_lines,
    slots_for,
)
from transforms.kernels.text.text import _tables


@inlined
def _copied(data, start, stop, out, n):
    """Copy a stretch of text to `out` from `n`; where it ends there."""
    # Unsigned, so that no index can count from the end: Numba would ask at each.
    source, target = np.uint64(start), np.uint64(n)
    for i in range(np.uint64(stop - start)):
        out[target + i] = data[source + i]
    return n + stop - start


@kernel("u8[] i64[] i64 u64[] u8[]! u64[] u8[] u8[] u64[]", allocates=True)
def _without(data, offsets, longest, unwanted, folded, words, form, classes, spelled):
    # The loop of `paragraphs._find` once more: what the two could share made that one, which is always on, 20% slower.
    n_docs = len(offsets) - 1
    table = np.empty(slots_for(longest), np.uint64)
    stamp = np.zeros(len(table), np.int64)
    going = np.empty((longest // MIN_BYTES + 1, 4), np.int64)  # of paragraphs: start, end, tokens, had it already?
    out = np.empty(offsets[n_docs] - offsets[0] + 1, np.uint8)  # never empty, because an Arrow buffer must not be
    n = 0
    out_offsets = np.zeros(n_docs + 1, np.int64)
    removed = np.zeros(n_docs, np.int32)
    for d in range(n_docs):
        at, end = offsets[d], offsets[d + 1]
        slots = slots_for(end - at)
        n_going, common, again = 0, 0, 0
        while at < end:
            start = at
            stop, w = _fold(data, start, end, form, folded)
            at = stop + 1
            if stop - start < MIN_BYTES or w < MIN_TOKENS:
                continue
            if _count_tokens(data, start, stop, MIN_TOKENS, classes, spelled) < MIN_TOKENS:
                continue
            h = _hash(folded, words, w)
            had = 0 if is_new(table, stamp, slots, d + 1, h, h) else 1
            if not had:
                place = first_at_least(unwanted, h)
                if place == len(unwanted) or unwanted[place] != h:
                    continue
            tokens = _count_tokens(data, start, stop, stop - start, classes, spelled)
            common += tokens * (1 - had)
            again += tokens * had
            going[n_going, 0], going[n_going, 1] = start, min(at, end)  # with its line feed, if it has one
            going[n_going, 2], going[n_going, 3] = tokens, had
            n_going += 1
        start = offsets[d]
        # What is left without repeats: if most of it is common, it is a copy of a text and not one with boilerplate.
        few = common == 0 or 2 * common <= _count_tokens(data, start, end, end - start, classes, spelled) - again
        for g in range(n_going):
            if going[g, 3] or few:
                removed[d] += going[g, 2]
                n = _copied(data, start, going[g, 0], out, n)
                start = going[g, 1]
        n = _copied(data, start, end, out, n)
        out_offsets[d + 1] = n
    return out, out_offsets, removed


def without(
    text: pa.LargeStringArray, unwanted: npt.NDArray[np.uint64]
) -> tuple[pa.LargeStringArray, npt.NDArray[np.int32]]:
    """Each text without the paragraphs that it had before, and without its unwanted ones if they are its smaller part.

    Where more than half of the words and ideographs that are left without repeats are in unwanted paragraphs, those stay.
    So a text that has words never loses all of them. A paragraph goes with the line feed that ends it; every other byte
    stays.

    Args:
      text: large_string[n], no nulls, valid UTF-8.
      unwanted: hashes of paragraphs, unique, ascending.

    Returns:
      The texts, large_string[n], and how many words and ideographs were in the paragraphs that each lost, int32[n].
    """
    classes, spelled, *_ = _tables()
    data, starts = text_buffers(text)
    longest = int(np.diff(starts).max(initial=0))
    out, offsets, removed = _without(data, starts, longest, unwanted, *room_for_lines(starts), _FORM, classes, spelled)
    if not removed.any():  # a paragraph has tokens, so nothing was removed
        return text, removed
    return pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(out)), removed
