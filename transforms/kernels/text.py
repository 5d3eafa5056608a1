"""The canonical form of a text, and its tokens.

Every later kernel (signature, detector, sketches, content hash) sees a document through this one door, so that two
documents that differ only in case, spacing, quotes or invisible characters are the same everywhere.

Canonical form: NFKC; lower case; quotes and dashes folded to ASCII; invisible characters (Unicode Cf, variation
selectors, control characters) removed; cut into tokens, joined by one space. A token is

- a *word*: letters, digits and combining marks, with an apostrophe allowed between two of them (`don't`);
- an *ideograph*: one character of a script that is written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar),
  with the marks that follow it;
- *punctuation*: a run of one punctuation or symbol character, at most three long (`...`, `-`, `!`).

The tables come from `unicodedata` and so follow the Unicode version of the interpreter; code points that it does not
know count as punctuation.
"""

import functools
import unicodedata
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WORD, IDEOGRAPH, PUNCTUATION = 0, 1, 2

_SPACE, _LETTER, _SOLO, _PUNCT, _IGNORE, _MARK = range(6)
_TABLE_SIZE = 0x20000  # the BMP and the first supplementary plane; above: CJK extensions, then tags and private use
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x312F),
             (0x31A0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x1B000, 0x1B16F))  # fmt: skip
_FOLDED = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u02bc\u0060\u00b4",
    '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
}

FNV32_OFFSET, FNV32_PRIME = np.uint32(2166136261), np.uint32(16777619)
_FNV64_OFFSET, _FNV64_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)


class Tokens(NamedTuple):
    """The tokens of a batch of documents, in columns.

    Token t of document d is at positions `offsets[d] <= t < offsets[d + 1]` of the other arrays.
    """

    offsets: npt.NDArray[np.int64]  # [documents + 1]
    kind: npt.NDArray[np.uint8]  # [tokens] WORD, IDEOGRAPH or PUNCTUATION
    hash64: npt.NDArray[np.uint64]  # [tokens] FNV-1a 64 of the token's UTF-8 bytes
    hash32: npt.NDArray[np.uint32]  # [tokens] fastText's hash: FNV-1a 32 with sign-extended bytes


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Class of each code point; the ASCII byte it folds to (0: itself); whether NFKC may touch a text that has it."""
    classes = np.full(_TABLE_SIZE, _PUNCT, np.uint8)
    by_category = {"L": _LETTER, "N": _LETTER, "M": _MARK, "Z": _SPACE, "P": _PUNCT, "S": _PUNCT}
    for point in range(_TABLE_SIZE):
        category = unicodedata.category(chr(point))
        classes[point] = _IGNORE if category in ("Cf", "Cc", "Cs") else by_category.get(category[0], _PUNCT)
    for start, end in _UNSPACED:
        block = classes[start : end + 1]
        block[block == _LETTER] = _SOLO
    classes[[9, 10, 11, 12, 13, 0x85]] = _SPACE
    classes[0xFE00:0xFE10] = _IGNORE  # variation selectors are category Mn
    fold = np.zeros(_TABLE_SIZE, np.uint8)
    for ascii_char, others in _FOLDED.items():
        for char in others:
            fold[ord(char)] = ord(ascii_char)
            classes[ord(char)] = _PUNCT
    # NFKC changes a character, or composes it with the one before: marks, and the vowels and finals of Hangul.
    composes = np.zeros(_TABLE_SIZE, np.bool_)
    for point in range(0x80, _TABLE_SIZE):
        char = chr(point)
        composes[point] = unicodedata.category(char)[0] == "M" or not unicodedata.is_normalized("NFKC", char)
    composes[0x1160:0x1200] = True
    return classes, fold, composes


@numba.njit(nogil=True, cache=True, inline="always")
def _decode(data, at):  # type: ignore[no-untyped-def]
    """The code point that starts at byte `at` of valid UTF-8, and its length in bytes."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F), 2
    second = np.int64(data[at + 1]) & 0x3F
    third = np.int64(data[at + 2]) & 0x3F
    if first < 0xF0:
        return ((first & 0x0F) << 12) | (second << 6) | third, 3
    return ((first & 0x07) << 18) | (second << 12) | (third << 6) | (np.int64(data[at + 3]) & 0x3F), 4


@numba.njit(nogil=True, cache=True)
def _needs_nfkc(data, offsets, composes):  # type: ignore[no-untyped-def]
    needs = np.zeros(len(offsets) - 1, np.bool_)
    for d in range(len(needs)):
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            if data[at] < 0x80:
                at += 1
                continue
            point, size = _decode(data, at)
            if point >= _TABLE_SIZE or composes[point]:
                needs[d] = True
                break
            at += size
    return needs


@numba.njit(nogil=True, cache=True, inline="always")
def _class_of(point, classes):  # type: ignore[no-untyped-def]
    if point < _TABLE_SIZE:
        return np.int64(classes[point])
    return _SOLO if point < 0x40000 else _IGNORE


@numba.njit(nogil=True, cache=True)
def _canonicalise(data, offsets, classes, fold):  # type: ignore[no-untyped-def]  # noqa: C901 (one pass, one loop)
    n_docs = len(offsets) - 1
    n_bytes = offsets[n_docs] - offsets[0]
    # A space is written before every token but the first, so the text at most doubles. Untouched pages cost nothing.
    out = np.empty(2 * n_bytes + 1, np.uint8)
    out_offsets = np.zeros(n_docs + 1, np.int64)
    token_offsets = np.zeros(n_docs + 1, np.int64)
    kind = np.empty(n_bytes + 1, np.uint8)
    hash64 = np.empty(n_bytes + 1, np.uint64)
    hash32 = np.empty(n_bytes + 1, np.uint32)
    w = 0  # bytes written
    t = -1  # the token being written; its hashes stay in h64 and h32 until the next one opens
    h64, h32 = _FNV64_OFFSET, FNV32_OFFSET
    for d in range(n_docs):
        open_class = _SPACE  # class of the token being written; _SPACE: none
        open_point = -1
        run = 0
        at, end = offsets[d], offsets[d + 1]
        first_token = t + 1
        while at < end:
            start = at
            point = np.int64(data[at])
            size = 1
            folded = np.uint8(0)
            if point < 0x80:
                c = np.int64(classes[point])
            else:
                point, size = _decode(data, at)
                c = _class_of(point, classes)
                if point < _TABLE_SIZE:
                    folded = fold[point]
                    if folded != 0:
                        point = np.int64(folded)
            at += size
            if c == _LETTER and open_class == _LETTER:
                joins = True
            elif c == _SPACE:
                open_class = _SPACE
                continue
            elif c == _IGNORE:
                continue
            elif c == _PUNCT:
                if point == 96 or point == 39:
                    point, folded = 39, np.uint8(39)
                    if open_class == _LETTER and at < end:  # an apostrophe inside a word
                        following, _ = _decode(data, at)
                        if _class_of(following, classes) == _LETTER:
                            c = _LETTER
                joins = open_class == c and (c == _LETTER or open_point == point)
                run = run + 1 if joins else 1
                if c == _PUNCT and run > 3:
                    continue
            elif c == _MARK:
                c = _SOLO if open_class == _SOLO else _LETTER
                joins = open_class == c
            else:
                joins = False
            if not joins:
                if t >= 0:
                    hash64[t] = h64
                    hash32[t] = h32
                h64, h32 = _FNV64_OFFSET, FNV32_OFFSET
                t += 1
                if t > first_token:
                    out[w] = 32
                    w += 1
                kind[t] = 0 if c == _LETTER else (1 if c == _SOLO else 2)
                open_class = c
            open_point = point
            for i in range(1 if folded != 0 else size):
                byte = folded if folded != 0 else data[start + i]
                out[w] = byte
                w += 1
                h64 = (h64 ^ np.uint64(byte)) * _FNV64_PRIME
                h32 = np.uint32((h32 ^ np.uint32(np.int32(np.int8(byte)))) * FNV32_PRIME)
        out_offsets[d + 1] = w
        token_offsets[d + 1] = t + 1
    if t >= 0:
        hash64[t] = h64
        hash32[t] = h32
    return out[:w], out_offsets, token_offsets, kind[: t + 1], hash64[: t + 1], hash32[: t + 1]


def _buffers(text: pa.LargeStringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of a column of texts, and where each begins."""
    offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    values = text.buffers()[2]
    # An empty buffer may be missing, and Numba wants an array all the same.
    return np.frombuffer(values, np.uint8) if values is not None and values.size else np.zeros(1, np.uint8), offsets


def canonicalise(text: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Tokens]:
    """The canonical form of each text, and its tokens.

    Args:
      text: large_string, no nulls, valid UTF-8.

    Returns:
      The canonical texts (large_string, same length) and their tokens.
    """
    classes, fold, composes = _tables()
    needs_nfkc = pa.array(_needs_nfkc(*_buffers(text), composes))
    if pc.any(needs_nfkc).as_py():
        # Not pyarrow's utf8_normalize: it decomposes, whatever form is asked of it (pyarrow 25.0.1).
        normalised = [unicodedata.normalize("NFKC", value) for value in text.filter(needs_nfkc).to_pylist()]
        text = pc.replace_with_mask(text, needs_nfkc, pa.array(normalised, pa.large_string()))
    data, offsets = _buffers(pc.utf8_lower(text))
    out, out_offsets, *tokens = _canonicalise(data, offsets, classes, fold)
    canonical = pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(out_offsets), pa.py_buffer(out))
    return canonical, Tokens(*tokens)


@numba.njit(nogil=True, cache=True)
def _count_words(offsets, kind):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(offsets) - 1, np.int32)
    for d in range(len(counts)):
        for t in range(offsets[d], offsets[d + 1]):
            counts[d] += kind[t] != PUNCTUATION
    return counts


def count_words(tokens: Tokens) -> npt.NDArray[np.int32]:
    """Words and ideographs of each document: the unit called "token" in every measure and ratio. int32[documents]."""
    return _count_words(tokens.offsets, tokens.kind)


def hash_token(token: str) -> tuple[np.uint64, np.uint32]:
    """`(hash64, hash32)` of one token, as the kernel computes them."""
    h64, h32 = int(_FNV64_OFFSET), int(FNV32_OFFSET)
    for byte in token.encode():
        h64 = ((h64 ^ byte) * int(_FNV64_PRIME)) & 0xFFFFFFFFFFFFFFFF
        h32 = ((h32 ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * int(FNV32_PRIME)) & 0xFFFFFFFF
    return np.uint64(h64), np.uint32(h32)
