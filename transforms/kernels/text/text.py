"""The canonical form of a text, and its tokens.

Every later kernel (signature, detector, sketches, content hash) sees a document through this one door, so that two
documents that differ only in case, spacing, quotes or invisible characters are the same everywhere.

Canonical form, in this order:

1. Invisible characters are removed: Unicode Cf, control characters, Default_Ignorable_Code_Point (soft hyphen, joiners,
   bidirectional marks, variation selectors, the Hangul fillers, tags).
2. Quotes and dashes become ASCII: `'`, `"` and `-`; so do the backtick and the acute accent that stand for `'`.
3. Unicode's caseless form: NFKC(casefold(NFKC(casefold(NFD(x))))). Full case folding, of no language: `STRASSE` is
   `Stra\u00dfe`, the two small sigmas are one, Turkish capital dotted I is `i` with a dot above and dotless i is itself.
   Compatibility forms become plain ones (full width, half-width kana, ligatures, circled digits, superscripts).
4. It is cut into tokens, joined by one space. White space is Unicode's Z, the controls 9 to 13, and U+0085.

A token is

- a *word*: letters, digits and combining marks, with an apostrophe allowed between two of them (`don't`);
- an *ideograph*: one character of a script that is written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar,
  Tai Le, New Tai Lue, Tai Tham, Tai Viet, Balinese, Javanese), with the marks that follow it;
- *punctuation*: a run of one punctuation or symbol character; of a longer run the first three are kept (`...`, `-`, `!`).

Digits are letters, in every script and not turned into ASCII: `b2b` and `2024` are one word each, and so is an Arabic or a
Devanagari number. A full stop, comma, colon, slash, hyphen or underscore always ends a word: `3.14` is `3 . 14`, `1,000` is
`1 , 000`, `state-of-the-art` is seven tokens, `snake_case` three. An apostrophe is part of the word only when a letter or a
digit is at each side of it. `50%` is `50 %`. A vulgar fraction is what NFKC makes of it: one half is `1`, the fraction slash
U+2044, `2`; a superscript joins its word: `m\u00b2` is `m2`.

A symbol or emoji is punctuation, one token a code point: a skin tone is a token of its own, joiners and variation selectors
are gone, and so a family is its members; a keycap is its digit with the enclosing mark. A mark that follows a space or
punctuation starts a word. Hangul has spaces, so its syllables make words; jamo become syllables.

The tables come from `unicodedata` and so follow the Unicode version of the interpreter; code points that it does not
know count as punctuation.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.once import once
from transforms.kernels.text.columns import text_buffers

WORD, IDEOGRAPH, PUNCTUATION = 0, 1, 2

_SPACE, _LETTER, _SOLO, _PUNCT, _IGNORE, _MARK = range(6)
_TABLE_SIZE = 0x20000  # the BMP and the first supplementary plane; above: CJK extensions, then tags and private use


def _ranges(said: str) -> tuple[tuple[int, int], ...]:
    """Code points from-to, both included, in hexadecimal."""
    return tuple((int(start, 16), int(end, 16)) for start, end in (one.split("-") for one in said.split()))


# Of these Unicode's line breaking says that words have no space between them (classes ID, CJ, SA and, of aksaras, AK).
_UNSPACED = _ranges(
    "0E00-0EFF 1000-109F 1780-17FF 1950-19DF 1A20-1AAF 1B00-1B7F 2E80-2FDF 3005-3007 3021-312F 31A0-31FF "
    "3400-4DBF 4E00-9FFF A980-A9FF AA60-AADF F900-FAFF 1B000-1B16F"
)
_FOLDED = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u02bc\u0060\u00b4",
    '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
}
# Default_Ignorable_Code_Point that is not of category Cf: `unicodedata` does not tell it.
_INVISIBLE = _ranges("034F-034F 115F-1160 17B4-17B5 180B-180F 3164-3164 FE00-FE0F FFA0-FFA0")
_NOT_PLAIN = 255  # in Tables.order
_AT_ONCE = 256  # code points: of most such blocks nothing changes

FNV32_OFFSET, FNV32_PRIME = np.uint32(2166136261), np.uint32(16777619)
_FNV64_OFFSET, _FNV64_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
# Positions in the bytes are unsigned: Numba would test a signed one for being negative.
_ONE, _TWO, _THREE, _FOUR, _EIGHT, _SIXTEEN = (np.uint64(n) for n in (1, 2, 3, 4, 8, 16))
_APOSTROPHE, _LENGTH, _SPELLED = np.uint64(39), np.uint64(56), np.uint64((1 << 56) - 1)


class Tokens(NamedTuple):
    """The tokens of a batch of documents, in columns.

    Token t of document d is at positions `offsets[d] <= t < offsets[d + 1]` of the other arrays.
    """

    offsets: npt.NDArray[np.int64]  # [documents + 1]
    kind: npt.NDArray[np.uint8]  # [tokens] WORD, IDEOGRAPH or PUNCTUATION
    hash64: npt.NDArray[np.uint64]  # [tokens] FNV-1a 64 of the token's UTF-8 bytes
    text: pa.LargeStringArray  # [documents] the canonical form: their tokens, joined by one space


class _Tables(NamedTuple):
    """What the kernels know of each code point below `_TABLE_SIZE`."""

    classes: npt.NDArray[np.uint8]  # class of what it folds to
    spelled: npt.NDArray[np.uint64]  # what it folds to: UTF-8, first byte lowest, length in the top byte; 0: itself
    order: npt.NDArray[np.uint8]  # canonical combining class; _NOT_PLAIN: a text that has it goes through `_caseless`


@once()
def _own_classes() -> npt.NDArray[np.uint8]:
    """Class of each code point as it stands."""
    by_category = {"L": _LETTER, "N": _LETTER, "M": _MARK, "Z": _SPACE, "P": _PUNCT, "S": _PUNCT}
    by_category |= {"Cf": _IGNORE, "Cc": _IGNORE, "Cs": _IGNORE}
    known = functools.cache(lambda category: by_category.get(category, by_category.get(category[0], _PUNCT)))
    classes = np.fromiter(map(known, map(unicodedata.category, map(chr, range(_TABLE_SIZE)))), np.uint8, _TABLE_SIZE)
    for start, end in _UNSPACED:
        block = classes[start : end + 1]
        block[block == _LETTER] = _SOLO
    classes[[9, 10, 11, 12, 13, 0x85]] = _SPACE
    for start, end in _INVISIBLE:
        classes[start : end + 1] = _IGNORE
    classes[[ord(char) for others in _FOLDED.values() for char in others]] = _PUNCT
    return classes


def _composing() -> npt.NDArray[np.bool_]:
    """Whether NFKC may join a code point to the one before it."""
    joins = np.zeros(_TABLE_SIZE, np.bool_)
    joins[0x1160:0x1200] = True  # the vowels and finals of Hangul, whose decompositions are in no table
    for point, _ in _changed(functools.partial(unicodedata.normalize, "NFD"), np.arange(0xC0, _TABLE_SIZE)):
        said = unicodedata.decomposition(chr(point)).split()
        if len(said) == 2 and said[0][0] != "<":
            joins[int(said[1], 16)] = True
    return joins


@once()
def _tables() -> _Tables:
    own, composing = _own_classes(), _composing()
    classes = own.copy()
    spelled, order = np.zeros(_TABLE_SIZE, np.uint64), np.zeros(_TABLE_SIZE, np.uint8)
    to_ascii = {other: ascii_char for ascii_char, others in _FOLDED.items() for other in others}
    marks = np.flatnonzero(own == _MARK)
    order[marks] = [unicodedata.combining(chr(point)) for point in marks.tolist()]
    order[composing & (own != _IGNORE)] = _NOT_PLAIN
    folds = {ord(char): _caseless(char) for char in to_ascii} | dict(
        _changed(_caseless, np.flatnonzero(own != _IGNORE))
    )
    for point, folded in folds.items():
        char = chr(point)
        written = "".join(to_ascii.get(one, one) for one in folded).encode()
        first, *others = (int(own[ord(one)]) if ord(one) < _TABLE_SIZE else _SOLO for one in folded)
        kinds = {first, *others}
        # Plain: one character, or a letter and what belongs to its word, or an ellipsis; and less than twice as long, because
        # the kernel's output has room for twice the text, with a space before every token.
        plain = (len(folded) == 1 and first != _MARK) or (first == _LETTER and kinds <= {_LETTER, _MARK})
        plain |= kinds == {_PUNCT} and folded.isascii() and len(set(folded)) == 1
        joins = composing[point] or (ord(folded[0]) < _TABLE_SIZE and composing[ord(folded[0])])
        # The iota subscript becomes a letter, and marks that follow it come before that letter.
        moves = "\u0345" in unicodedata.normalize("NFD", char)
        if plain and not joins and not moves and len(written) < 2 * len(char.encode()) and len(written) <= 7:
            classes[point] = first
            order[point] = unicodedata.combining(folded[-1])
            spelled[point] = int.from_bytes(written, "little") | len(written) << 56
        else:
            order[point] = _NOT_PLAIN
    return _Tables(classes, spelled, order)


def _changed(change: Callable[[str], str], points: npt.NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Code points that become something else, many as one text of lines: nothing is joined to a line's end, or comes from one."""
    for start in range(0, len(points), _AT_ONCE):
        some = "".join(map(chr, points[start : start + _AT_ONCE])).replace("\n", "")
        if (found := change(lines := "\n".join(some))) != lines:
            yield from ((ord(one), new) for one, new in zip(some, found.split("\n"), strict=True) if one != new)


@once()
def _invisible() -> re.Pattern[str]:
    """One or more characters that the canonical form drops."""
    points = np.flatnonzero(_own_classes() == _IGNORE)
    runs = np.split(points, np.flatnonzero(np.diff(points) > 1) + 1)
    spans = "".join(f"{re.escape(chr(run[0]))}-{re.escape(chr(run[-1]))}" for run in runs)
    return re.compile(f"[{spans}\U00040000-\U0010ffff]+")


def _caseless(value: str) -> str:
    """Steps 1 to 3 of the canonical form, but for the quotes and dashes that NFKC leaves alone."""
    value = unicodedata.normalize("NFD", _invisible().sub("", value)).replace("\u00b4", "'").replace("\u2033", '"')
    value = unicodedata.normalize("NFKC", value.casefold())
    return unicodedata.normalize("NFKC", value.casefold())


@inlined
def _decode(data, at):
    """The code point that starts at byte `at` of valid UTF-8, and its length in bytes."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, _ONE
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[at + _ONE]) & 0x3F), _TWO
    second = np.int64(data[at + _ONE]) & 0x3F
    third = np.int64(data[at + _TWO]) & 0x3F
    if first < 0xF0:
        return ((first & 0x0F) << 12) | (second << 6) | third, _THREE
    return ((first & 0x07) << 18) | (second << 12) | (third << 6) | (np.int64(data[at + _THREE]) & 0x3F), _FOUR


@kernel("u8[] i64[] u8[] u8[] bool[]!")
def _not_plain(data, offsets, classes, order, found):
    """Which documents hold what only `_caseless` can fold: Unicode's quick check, and folds that are no table's."""
    for d in range(len(found)):
        at, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        before = np.uint8(0)  # combining class of the character before
        while at < end:
            if before == 0 and at + _SIXTEEN <= end:
                high = np.uint8(0)
                for i in range(_SIXTEEN):
                    high |= data[at + i]
                if high < 0x80:
                    at += _SIXTEEN
                    continue
            if data[at] < 0x80:
                if classes[data[at]] != _IGNORE:
                    before = np.uint8(0)
                at += _ONE
                continue
            point, size = _decode(data, at)
            at += size
            if point >= _TABLE_SIZE:
                found[d] = True
                break
            mine = order[point]
            if mine == _NOT_PLAIN or 0 < mine < before:
                found[d] = True
                break
            if classes[point] != _IGNORE:
                before = mine


@inlined
def _class_of(point, classes):
    if point < _TABLE_SIZE:
        return np.int64(classes[point])
    return _SOLO if point < 0x40000 else _IGNORE


@kernel("u8[] u64 u64 u8[]")
def _letter_follows(data, at, end, classes):
    while at < end:
        point, size = _decode(data, at)
        c = _class_of(point, classes)
        if c != _IGNORE:
            return c == _LETTER
        at += size
    return False


@kernel("u8[] u8[]! u8[]! u8[]!")
def _find_letters(text, lower, letter, follow):
    """For each byte: its lower case, whether it is an ASCII letter or digit, and how many such start here, up to eight.

    Without a branch, so that LLVM makes both loops vector ones. `lower` and `letter` have eight bytes more than `text`.
    """
    for i in range(len(text)):
        byte = text[i]
        alpha = np.uint8((byte | np.uint8(32)) - np.uint8(97)) < np.uint8(26)
        digit = np.uint8(byte - np.uint8(48)) < np.uint8(10)
        lower[i] = byte | np.uint8(32) if alpha else byte
        letter[i] = np.uint8(255) if alpha or digit else np.uint8(0)
    for i in range(len(text), len(text) + 8):
        letter[i] = 0
    for i in range(len(text)):
        n = letter[i + 7] & np.uint8(1)
        n = letter[i + 6] & np.uint8(n + 1)
        n = letter[i + 5] & np.uint8(n + 1)
        n = letter[i + 4] & np.uint8(n + 1)
        n = letter[i + 3] & np.uint8(n + 1)
        n = letter[i + 2] & np.uint8(n + 1)
        n = letter[i + 1] & np.uint8(n + 1)
        follow[i] = letter[i] & np.uint8(n + 1)


@kernel(
    "u8[] i64[] u8[] u64[] u8[]! u8[]! u8[]! u64[]! u8[]! i64[]! i64[]! u8[]! u64[]!",
)
def _canonicalise(  # noqa: C901 (one pass, one loop)
    data,
    offsets,
    classes,
    spelled,
    lower,
    letter,
    follow,
    prefix64,
    out,
    out_offsets,
    token_offsets,
    kind,
    hash64,
):
    """Bytes and tokens written. The hash of token t is at t + 1: it is stored when the next one opens."""
    n_docs = len(offsets) - 1
    w = np.uint64(0)  # bytes written
    t = np.uint64(0)  # tokens opened
    h64 = _FNV64_OFFSET
    for d in range(n_docs):
        open_class = _SPACE  # class of the token being written; _SPACE: none
        open_bytes = np.uint64(0)  # the character written last
        run = 0
        at, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        base = at
        first_token = t
        _find_letters(data[at:end], lower, letter, follow)
        while at < end:
            start = at
            byte = data[at]
            if follow[at - base] != 0:  # most of most texts: a run of ASCII letters and digits
                if open_class != _LETTER:
                    open_class = _LETTER
                    hash64[t] = h64
                    h64 = _FNV64_OFFSET
                    if t > first_token:
                        out[w] = 32
                        w += _ONE
                    kind[t] = 0
                    t += _ONE
                # Eight bytes however many are letters: a count that varies would be a branch that the processor guesses.
                n = np.uint64(follow[at - base])
                prefix64[0] = h64
                for i in range(_EIGHT):
                    byte = lower[at - base + i]
                    out[w + i] = byte  # what is past the word is written over
                    h64 = (h64 ^ np.uint64(byte)) * _FNV64_PRIME
                    prefix64[i + _ONE] = h64
                h64 = prefix64[n]
                w += n
                at += n
                continue
            if byte == 32:
                open_class = _SPACE
                at += _ONE
                continue
            point, size = _decode(data, at)
            c = _class_of(point, classes)
            at += size
            if c == _SPACE:
                open_class = _SPACE
                continue
            if c == _IGNORE:
                continue
            spelling = spelled[point] if point < _TABLE_SIZE else np.uint64(0)
            length = spelling >> _LENGTH
            if length == 0:
                length = size
                for i in range(size):
                    spelling |= np.uint64(data[start + i]) << (_EIGHT * i)
            spelling &= _SPELLED
            repeats = 1
            if c == _MARK:
                c = _SOLO if open_class == _SOLO else _LETTER
                joins = open_class == c
            elif c == _PUNCT:
                if length > 1 and spelling & np.uint64(0x80) == 0:  # ellipsis: one character that is many ASCII ones
                    repeats = np.int64(length)
                    length = _ONE
                    spelling &= np.uint64(0xFF)
                elif spelling == _APOSTROPHE and open_class == _LETTER and _letter_follows(data, at, end, classes):
                    c = _LETTER
                joins = open_class == c and (c == _LETTER or open_bytes == spelling)
                if c == _PUNCT:
                    already = run if joins else 0
                    run = already + repeats
                    repeats = min(repeats, 3 - already)
                    if repeats <= 0:
                        continue
            else:
                joins = c == _LETTER and open_class == _LETTER
            if not joins:
                hash64[t] = h64
                h64 = _FNV64_OFFSET
                if t > first_token:
                    out[w] = 32
                    w += _ONE
                kind[t] = 0 if c == _LETTER else (1 if c == _SOLO else 2)
                t += _ONE
                open_class = c
            open_bytes = spelling
            for _ in range(repeats):
                for i in range(length):
                    byte = np.uint8(spelling >> (_EIGHT * i))
                    out[w] = byte
                    w += _ONE
                    h64 = (h64 ^ np.uint64(byte)) * _FNV64_PRIME
        out_offsets[d + 1] = w
        token_offsets[d + 1] = t
    hash64[t] = h64
    return w, t


def canonicalise(text: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Tokens]:
    """The canonical form of each text, and its tokens.

    Args:
      text: large_string, no nulls, valid UTF-8.

    Returns:
      The canonical texts (large_string, same length) and their tokens.
    """
    classes, spelled, order = _tables()
    found = np.zeros(len(text), np.bool_)
    _not_plain(*text_buffers(text), classes, order, found)
    if found.any():
        not_plain = pa.array(found)
        # Not pyarrow's utf8_normalize: it decomposes, whatever form is asked of it (pyarrow 25.0.1).
        caseless = [_caseless(value) for value in text.filter(not_plain).to_pylist()]
        text = pc.replace_with_mask(text, not_plain, pa.array(caseless, pa.large_string()))
    data, offsets = text_buffers(text)
    longest = int(np.diff(offsets).max(initial=0))
    n_bytes = int(offsets[-1] - offsets[0])
    bytewise = np.zeros(longest + 8, np.uint8), np.empty(longest + 8, np.uint8), np.empty(longest, np.uint8)
    out_offsets, token_offsets = np.zeros(len(offsets), np.int64), np.zeros(len(offsets), np.int64)
    # A space is written before every token but the first, so the text at most doubles. Untouched pages cost nothing.
    out, kind = np.empty(2 * n_bytes + 8, np.uint8), np.empty(n_bytes + 1, np.uint8)
    prefix64, hash64 = np.empty(9, np.uint64), np.empty(n_bytes + 2, np.uint64)
    w, t = _canonicalise(
        data, offsets, classes, spelled, *bytewise, prefix64, out, out_offsets, token_offsets, kind, hash64
    )
    canonical = pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(out_offsets), pa.py_buffer(out[:w]))
    return canonical, Tokens(token_offsets, kind[:t], hash64[1 : t + 1], canonical)


def count_words(tokens: Tokens) -> npt.NDArray[np.int32]:
    """Words and ideographs of each document: the unit called "token" in every measure and ratio. int32[documents]."""
    before = np.r_[0, np.cumsum(tokens.kind != PUNCTUATION)]
    return np.diff(before[tokens.offsets]).astype(np.int32)


def hash_token(token: str) -> tuple[np.uint64, np.uint32]:
    """`(hash64, hash32)` of one token, as the kernels compute them."""
    h64, h32 = int(_FNV64_OFFSET), int(FNV32_OFFSET)
    for byte in token.encode():
        h64 = ((h64 ^ byte) * int(_FNV64_PRIME)) & 0xFFFFFFFFFFFFFFFF
        h32 = ((h32 ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * int(FNV32_PRIME)) & 0xFFFFFFFF
    return np.uint64(h64), np.uint32(h32)
