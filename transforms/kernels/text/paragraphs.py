"""Paragraphs that occur again, in their own document or in others: their hashes, and mergeable counts of them.

A *paragraph* is a stretch of a document's raw text between line feeds (U+000A; a carriage return before one is spacing)
that has at least `MIN_TOKENS` words or ideographs. Shorter lines, such as headings, repeat by nature.

The *form* of a paragraph is its UTF-8 bytes with A to Z in lower case and without the bytes up to 0x20 and 0x7F: ASCII
spacing and control characters. Two paragraphs are the same if their forms have the same 64-bit hash. This folds less than
the canonical text does, so that one pass over the bytes is enough: letters beyond ASCII keep their case, and curly quotes
differ from straight ones. A repeat that differs in these is missed; different words are taken for the same only where
nothing but the spaces between their letters differs, or where hashes collide.

Across documents, paragraphs are sampled by type, as n-grams are (kernels/statistics/diversity.py): a hash counts only in
the lowest 1/`RATE` of hash space, and then in every document. A share of occurrences is the same in the sample as in the
whole up to sampling error, which is small where many paragraphs repeat a few times, and large where one line is in
half of all documents: that line is in the sample or it is not.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.lookup import is_new
from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64
from transforms.kernels.text.columns import text_buffers
from transforms.kernels.text.text import (
    _IGNORE,
    _LETTER,
    _MARK,
    _PUNCT,
    _SOLO,
    _SPACE,
    _TABLE_SIZE,
    _class_of,
    _decode,
    _tables,
)

MIN_TOKENS = 8  # a sentence; headings, names and dates are shorter
MIN_BYTES = 2 * MIN_TOKENS - 1  # of a line with so many: each takes a byte and parts from the next, or takes three
RATE = 8  # one type in so many is counted across documents
MOST_TYPES = 1 << 20  # that a count holds, at 16 bytes; of more, the lower half of hash space is kept, again and again
EVERYWHERE = 1 << 64
_APOSTROPHE = np.uint64(39 | 1 << 56)  # how text.py's table spells a curly one: its byte, and that it is one


def _table() -> npt.NDArray[np.uint8]:
    """What a byte is in the form of a paragraph; 0: left out."""
    table = np.arange(256, dtype=np.uint8)
    table[ord("A") : ord("Z") + 1] += 32
    table[:0x21] = 0
    table[0x7F] = 0
    return table


_FORM = _table()


class Paragraphs(NamedTuple):
    """The paragraphs of a batch of documents."""

    offsets: npt.NDArray[np.int64]  # [documents + 1] into `hashes`
    hashes: npt.NDArray[np.uint64]  # sampled types, each once a document, in the order in which they first occur
    n_paragraphs: npt.NDArray[np.int32]  # [documents] different ones, sampled or not
    repeated_tokens: npt.NDArray[np.int32]  # [documents] words and ideographs in those that occurred earlier in it


class ParagraphCounts(NamedTuple):
    """In how many documents each sampled paragraph occurs."""

    types: npt.NDArray[np.uint64]  # ascending, unique hashes, all under `below`
    documents: npt.NDArray[np.int64]
    below: int  # hashes from here on are not counted


@kernel("u8[] i64 i64 i64 u8[] u64[]")
def _count_tokens(data, at, end, most, classes, spelled):
    """Words and ideographs of a stretch of text, counted as in the canonical form but before NFKC; stops at `most`."""
    n = 0
    open_class = _SPACE
    while at < end and n < most:
        point, size = _decode(data, at)
        at += size
        c = _class_of(point, classes)
        if point < 0x80 and point != 39 and point != 96 and c != _IGNORE:
            n += (c == _LETTER) & (open_class != _LETTER)  # not a branch, because nobody could predict it
            open_class = c
        elif c == _LETTER:
            n += open_class != _LETTER
            open_class = _LETTER
        elif c == _SOLO:
            n += 1
            open_class = _SOLO
        elif c == _MARK:
            if open_class != _LETTER and open_class != _SOLO:
                n += 1
                open_class = _LETTER
        elif c != _IGNORE:
            apostrophe = point == 39 or (c == _PUNCT and point < _TABLE_SIZE and spelled[point] == _APOSTROPHE)
            if apostrophe and open_class == _LETTER and at < end:  # inside a word?
                following, _ = _decode(data, at)
                if _class_of(following, classes) == _LETTER:
                    continue
            open_class = c
    return n


@inlined
def _fold(data, start, end, form, folded):
    """Write the form of the line at `start` to `folded`: where the line ends, and how many bytes were written."""
    # Unsigned, so that no index can count from the end: Numba would ask at each.
    at, stop, w = np.uint64(start), np.uint64(end), np.uint64(0)
    while at < stop:
        raw = data[at]
        if raw == 10:
            break
        byte = form[raw]
        folded[w] = byte
        w += np.uint64(byte != 0)  # not a branch, because nobody could predict it
        at += np.uint64(1)
    return np.int64(at), np.int64(w)


@inlined
def _hash(folded, words, w):
    """Hash of the first `w` bytes of `folded`, eight at a time; `words` are the same memory as uint64."""
    for i in range(w, w + 8):
        folded[i] = 0
    h = np.uint64(w)
    for i in range((w + 7) // 8):
        h = (h ^ words[i]) * POLYNOMIAL
        h ^= h >> np.uint64(29)
    return mix64(h)


@inlined
def slots_for(size):
    """How many slots the set of paragraphs of a text of so many bytes has: twice what it can hold, a power of two."""
    slots = 2
    while slots < 2 * (size // MIN_BYTES + 1):
        slots *= 2
    return slots


@kernel("u8[] i64[] i64 u8[] u8[] u64[] u8[]! u64[] u64[]! i64[]! u64[]! i64[]! i32[]! i32[]!")
def _find(
    data,
    offsets,
    rate,
    form,
    classes,
    spelled,
    folded,
    words,
    table,
    stamp,
    found,
    found_offsets,
    n_paragraphs,
    repeated,
):
    n_docs = len(offsets) - 1
    sampled_below = np.uint64(0xFFFFFFFFFFFFFFFF) // np.uint64(rate)
    n = 0
    for d in range(n_docs):
        at, end = offsets[d], offsets[d + 1]
        slots = slots_for(end - at)  # for this document: a small table stays in the cache
        while at < end:
            start = at
            stop, w = _fold(data, start, end, form, folded)
            at = stop + 1
            if stop - start < MIN_BYTES or w < MIN_TOKENS:
                continue
            if _count_tokens(data, start, stop, MIN_TOKENS, classes, spelled) < MIN_TOKENS:
                continue
            h = _hash(folded, words, w)
            if not is_new(table, stamp, slots, d + 1, h, h):
                repeated[d] += _count_tokens(data, start, stop, stop - start, classes, spelled)
                continue
            n_paragraphs[d] += 1
            if h <= sampled_below:
                found[n] = h
                n += 1
        found_offsets[d + 1] = n
    return n


def find(text: pa.LargeStringArray, rate: int = RATE) -> Paragraphs:
    """The paragraphs of each text.

    Args:
      text: large_string, no nulls, valid UTF-8.
      rate: one type in so many is kept in `hashes`; 1 keeps all.

    Returns:
      Hashes of the sampled paragraphs, and counts of all.
    """
    classes, spelled, *_ = _tables()
    data, offsets = text_buffers(text)
    # The types of one document: an open-addressing table whose slots count only if stamped with the document. All arrays
    # are made for the worst case, and pages that are never touched cost nothing.
    n_docs, longest = len(text), int(np.diff(offsets).max(initial=0))
    slots = slots_for.py_func(longest)
    types = np.empty(slots, np.uint64), np.zeros(slots, np.int64)
    found = np.empty(int(offsets[-1] - offsets[0]) // MIN_BYTES + n_docs + 1, np.uint64)
    ends = np.zeros(n_docs + 1, np.int64)
    n_paragraphs, repeated = np.zeros(n_docs, np.int32), np.zeros(n_docs, np.int32)
    n = _find(
        data,
        offsets,
        rate,
        _FORM,
        classes,
        spelled,
        *room_for_lines(offsets),
        *types,
        found,
        ends,
        n_paragraphs,
        repeated,
    )
    return Paragraphs(ends, found[:n].copy(), n_paragraphs, repeated)


def room_for_lines(offsets: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
    """Memory for the form of any line of these texts, as bytes and as words."""
    words = np.empty(int(np.diff(offsets).max(initial=0)) // 8 + 2, np.uint64)
    return words.view(np.uint8), words


def count(hashes: npt.NDArray[np.uint64]) -> ParagraphCounts:
    """Count the concatenated `hashes` of some documents."""
    found, documents = np.unique(hashes, return_counts=True)
    return _bounded(found.astype(np.uint64), documents.astype(np.int64), EVERYWHERE)


def merge(parts: list[ParagraphCounts]) -> ParagraphCounts:
    """The counts of all documents of the parts; `merge([])` is the empty count.

    Commutative and associative, and never more than `MOST_TYPES` types: what is kept depends on the types alone, not on
    the parts that they came in.
    """
    if len(parts) == 1:
        return parts[0]
    below = min((part.below for part in parts), default=EVERYWHERE)
    types = np.concatenate([np.zeros(0, np.uint64), *(part.types for part in parts)])
    documents = np.concatenate([np.zeros(0, np.int64), *(part.documents for part in parts)])
    found, index = np.unique(types, return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, index, documents)
    return _bounded(found, total, below)


def _bounded(types: npt.NDArray[np.uint64], documents: npt.NDArray[np.int64], below: int) -> ParagraphCounts:
    """Cut to the largest power of two, or `below`, under which there are at most `MOST_TYPES`."""
    n = int(np.searchsorted(types, np.uint64(below - 1), "right"))
    while n > MOST_TYPES:
        below //= 2
        n = int(np.searchsorted(types, np.uint64(below - 1), "right"))
    return ParagraphCounts(types[:n], documents[:n], below)


def repeated_across(counts: ParagraphCounts) -> float:
    """Share of the occurrences, each paragraph once a document, whose paragraph is in two documents or more. NaN if empty."""
    total = int(counts.documents.sum())
    return int(counts.documents[counts.documents > 1].sum()) / total if total else float("nan")
