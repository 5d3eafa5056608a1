"""Which documents may hold which of many strings: a quick search that finds all that do, and few others.

Every fourth place of the text is looked at. A string of seven bytes or more holds a whole aligned group of four wherever it
begins, so its first four groups go into a table; where the text has one of them, the whole string is compared. Case is
ignored by setting one bit of each byte, in strings and text alike. That makes a few other bytes equal too (`[` and `{`), so
what is found is a candidate.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import kernel
from transforms.kernels.text.columns import text_buffers

MIN_BYTES = 7
_FOLD, _FOLDS = np.uint8(0x20), np.uint32(0x20202020)
_BITS, _ONE = 15, np.uint64(1)
_MULTIPLIER, _SHIFT = np.uint32(2654435761), np.uint32(32 - _BITS)  # Knuth's multiplicative hash


class Literals(NamedTuple):
    """Strings to look for, in groups."""

    data: npt.NDArray[np.uint8]  # folded, end to end
    offsets: npt.NDArray[np.int64]  # [strings + 1]
    group: npt.NDArray[np.int64]  # [strings] which group each belongs to
    within: npt.NDArray[np.int64]  # [groups] only those count that begin so many bytes into a document
    seen: npt.NDArray[np.bool_]  # [2**_BITS] whether any four bytes of a string have this hash
    first: npt.NDArray[np.uint32]  # [2**_BITS + 1] where those that have it begin among `grams`
    grams: npt.NDArray[np.uint32]  # four bytes of a string, by their hash
    string: npt.NDArray[np.int64]  # [grams] of which string
    at: npt.NDArray[np.int64]  # [grams] how far into it


def compile_literals(groups: list[tuple[int, tuple[str, ...]]]) -> Literals:
    """Strings by group, and how far into a document they may begin, in bytes.

    Raises:
      ValueError: a string is shorter than MIN_BYTES.
    """
    strings = [(number, string.encode()) for number, (_, group) in enumerate(groups) for string in group]
    short = next((string for _, string in strings if len(string) < MIN_BYTES), None)
    if short is not None:
        raise ValueError(f"{short.decode()!r} has fewer than {MIN_BYTES} bytes")
    data = np.frombuffer(b"".join(string for _, string in strings), np.uint8) | _FOLD
    offsets = np.cumsum([0, *(len(string) for _, string in strings)])
    string = np.repeat(np.arange(len(strings)), 4)
    at = np.tile(np.arange(4), len(strings))
    start = offsets[string] + at
    grams = np.stack([data[start + i] for i in range(4)], axis=1).astype(np.uint8).reshape(-1, 4)
    words = np.ascontiguousarray(grams).view("<u4").ravel().astype(np.uint32)
    hashes = (words * _MULTIPLIER) >> _SHIFT
    order = np.argsort(hashes, kind="stable")
    first = np.searchsorted(hashes[order], np.arange((1 << _BITS) + 1)).astype(np.uint32)
    seen = first[1:] > first[:-1]
    within = np.array([limit for limit, _ in groups], np.int64)
    group = np.array([number for number, _ in strings], np.int64)
    return Literals(data, offsets, group, within, seen, first, words[order], string[order], at[order])


def search(text: pa.LargeStringArray, literals: Literals) -> npt.NDArray[np.bool_]:
    """Which documents may hold a string of which group. bool[documents, groups]."""
    found = np.zeros((len(text), len(literals.within)), np.bool_)
    if len(text) and len(literals.group):
        data, offsets = text_buffers(text)
        _search(data, data[: len(data) // 4 * 4].view(np.uint32), offsets, *literals, found)
    return found


@kernel("u8[] u32[] i64[] u8[] i64[] i64[] i64[] bool[] u32[] u32[] i64[] i64[] bool[,]!")
def _search(data, words, offsets, folded, ends, groups, within, seen, first, grams, strings, places, found):
    last = offsets[len(offsets) - 1]
    d = 0
    for i in range(np.uint64(offsets[0] // 4), np.uint64(min((last + 3) // 4, len(words)))):
        word = words[i] | _FOLDS
        place = np.uint64(np.uint32(word * _MULTIPLIER) >> _SHIFT)
        if not seen[place]:
            continue
        for n in range(np.uint64(first[place]), np.uint64(first[place + _ONE])):
            if grams[n] != word:
                continue
            base, size = ends[strings[n]], ends[strings[n] + 1] - ends[strings[n]]
            group = groups[strings[n]]
            start = np.int64(4 * i) - places[n]
            end = start + size
            if start < offsets[0] or end > last:
                continue
            while offsets[d + 1] <= start:
                d += 1
            while offsets[d] > start:  # the one before may have begun later
                d -= 1
            if end > offsets[d + 1] or start - offsets[d] >= within[group] or found[d, group]:
                continue
            same = 0
            while same < size and data[start + same] | _FOLD == folded[base + same]:
                same += 1
            found[d, group] = same == size
