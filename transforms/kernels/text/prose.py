r"""Whether a text is prose, and what it is made of if not: code, markup, data, a log, links.

Prose is words with spaces between them. What else a text is made of shows in six shares, each counted in one pass over its
first bytes; together they weigh so much against prose:

    5.5 odd + 3.5 figures + 4 symbols + quotes + min(2 ends + 1.2 indented, 8 (odd + quotes))

*odd*: bytes of words that hold marks of code (`a.b`, `f(x)`, `<p>`, `x_1`, `\alpha`), and commas without a space behind them,
of all bytes but spaces and digits. *figures*: digits, *symbols*: characters beyond the Basic Multilingual Plane, such as emoji,
*quotes*: quotation marks, of all characters but spaces. *ends*: lines that end in a mark that lines of prose do not end in, and
*indented* lines, where there are four lines and more; verse has such lines, too, but none of the rest. From 1.3 on a text is no
prose; from 1 on it is doubtful, as manuals with much code in them are: it has a score, and nothing is learned from it.
The weights are those of a logistic regression, rounded; docs/decisions/0039 says what they reach.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.text.columns import text_buffers

KINDS = ("", "code", "markup", "data", "log", "links")  # "": prose, or nothing that speaks against it
CODE, MARKUP, DATA, LOG, LINKS = range(1, len(KINDS))
FIRST = 4000  # bytes of a text that are looked at
DOUBTFUL, NO_PROSE = 1.0, 1.3  # that speaks against prose
PLAIN = 0.06  # the mean weight of a text's bytes under which nothing speaks against prose
FEWEST_LINES = 4  # that say anything
ODD, FIGURES, SYMBOLS, QUOTES, ENDS, INDENTED, LINKED, TAGS, NUMBERED, WHOLE = range(10)
_WEIGHTS = np.array([5.5, 3.5, 4.0, 1.0], np.float32)  # of the first four
_ENDS, _INDENTED, _LINES = np.float32(2.0), np.float32(1.2), np.float32(8.0)
# Of texts that are no prose: what they are called, by the first share that is so high.
_CALLED = (
    (LINKED, 0.4, LINKS),  # of the bytes, in words with `://`
    (TAGS, 0.1, MARKUP),  # words that begin with `<` or a backslash
    (NUMBERED, 0.5, LOG),  # lines that begin with a digit or a bracket and have letters
    (SYMBOLS, 0.2, DATA),
    (FIGURES, 0.2, DATA),
    (QUOTES, 0.08, DATA),
    (WHOLE, 0.5, DATA),  # of the bytes, in words of more than forty
)
_LETTER, _DIGIT, _SPACE, _QUOTE, _STOP, _MARK, _WIDE, _MORE, _OPEN = range(9)


def _classes() -> npt.NDArray[np.uint8]:
    """What each byte is; those of other scripts are letters, which is near enough."""
    found = np.full(256, _MARK, np.uint8)
    for first, last, kind in (
        (0, 32, _SPACE),
        (48, 57, _DIGIT),
        (65, 90, _LETTER),
        (97, 122, _LETTER),
        (128, 191, _MORE),
        (192, 239, _LETTER),
        (240, 242, _WIDE),
        (243, 255, _MORE),  # tags and variation selectors, which nobody sees: credentials are written in them
    ):
        found[first : last + 1] = kind
    for chars, kind in (("'\"-*", _QUOTE), (".,:;!?)", _STOP), ("(", _OPEN)):
        found[[ord(char) for char in chars]] = kind
    return found


_CLASSES = _classes()
_DOT, _COMMA, _COLON, _SEMICOLON, _LESS, _SLASH, _BACKSLASH, _HYPHEN, _STAR, _BRACKET = b".,:;</\\-*["
_LINE, _RETURN = b"\n\r"
_NO_END = np.isin(np.arange(256), list(b"{};([]>\\="))  # what lines of prose do not end in
LONG = 40  # bytes


@inlined
def _share(part, whole):
    return np.float32(part) / np.float32(max(whole, 1))


@kernel("u8[] i64[] i64 u8[] bool[] f32[,]!")
def _count(data, offsets, first, classes, no_end, out):  # noqa: C901 (one pass, one loop)
    for d in range(len(offsets) - 1):
        at, end = offsets[d], min(offsets[d + 1], offsets[d] + first)
        chars = solid = odd = figures = symbols = quotes = words = linked = tags = whole = 0
        lines = ends = indented = numbered = 0
        new_line = True
        while at < end:
            space = 0
            while at < end and classes[data[at]] == _SPACE:
                if data[at] == _LINE:
                    new_line = True
                    space = 0
                else:
                    space += 1
                at += 1
            if at == end:
                break
            if new_line:
                lines += 1
                indented += space > 0
                numbered += classes[data[at]] == _DIGIT or data[at] == _BRACKET
                new_line = False
            words += 1
            tags += data[at] == _LESS or data[at] == _BACKSLASH
            start = at
            marks = tight = digits = foreign = 0
            strange = link = False
            before = _SPACE
            while at < end:
                byte = data[at]
                kind = classes[byte]
                if kind == _SPACE:
                    break
                if kind == _MORE:
                    at += 1
                    continue
                chars += 1
                if kind == _LETTER:
                    foreign += byte >= 128
                    last = data[at - 1]
                    if before == _STOP:
                        strange |= (last == _DOT) | (last == _COLON)  # a tuple takes long to compile
                        tight += (last == _COMMA) | (last == _SEMICOLON)
                    strange |= before == _OPEN and at - start > 1
                elif kind == _DIGIT:
                    digits += 1
                    tight += (
                        before == _STOP
                        and data[at - 1] == _COMMA
                        and at - start > 1
                        and classes[data[at - 2]] == _LETTER
                    )
                elif kind == _MARK:
                    marks += 1
                    link |= byte == _SLASH and before == _MARK and at - start > 1 and data[at - 2] == _COLON
                elif kind == _WIDE:
                    symbols += 1
                elif kind == _QUOTE:
                    quotes += byte != _HYPHEN and byte != _STAR
                elif kind == _OPEN:
                    strange |= before == _LETTER
                before = kind
                at += 1
            size = at - start
            solid += size
            figures += digits
            if foreign:  # no spaces are between words of Chinese, so a mark does not make all of it odd
                odd += marks
            elif strange or marks:
                odd += size - digits
            else:
                odd += tight
            if link:
                linked += size
            if size > LONG and not foreign:
                whole += size
            if at >= end or data[at] == _LINE or data[at] == _RETURN:
                ends += no_end[data[at - 1]]
        several = lines >= FEWEST_LINES
        out[d, ODD] = _share(odd, solid - figures)
        out[d, FIGURES] = _share(figures, chars)
        out[d, SYMBOLS] = _share(symbols, chars)
        out[d, QUOTES] = _share(quotes, chars)
        out[d, ENDS] = _share(ends, lines) if several else 0
        out[d, INDENTED] = _share(indented, lines) if several else 0
        out[d, LINKED] = _share(linked, solid)
        out[d, TAGS] = _share(tags, words)
        out[d, NUMBERED] = _share(numbered, lines) if several else 0
        out[d, WHOLE] = _share(whole, solid)


def shares(texts: pa.LargeStringArray) -> npt.NDArray[np.float32]:
    """The shares that speak for or against prose, float32[texts, shares]."""
    out = np.zeros((len(texts), WHOLE + 1), np.float32)
    _count(*text_buffers(texts), FIRST, _CLASSES, _NO_END, out)
    return out


def against_prose(found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How much speaks against prose, from `shares`: see `DOUBTFUL` and `NO_PROSE`. float32[texts]."""
    lines = _ENDS * found[:, ENDS] + _INDENTED * found[:, INDENTED]
    most = _LINES * (found[:, ODD] + found[:, QUOTES])
    return np.asarray((found[:, : len(_WEIGHTS)] * _WEIGHTS).sum(axis=1) + np.minimum(lines, most))


def _weight_of_bytes() -> npt.NDArray[np.uint8]:
    """How much each byte asks for a closer look: marks of code most of all."""
    weight = np.zeros(256, np.uint8)
    for kind, worth in ((_MARK, 8), (_WIDE, 6), (_OPEN, 4), (_DIGIT, 2)):
        weight[kind == _CLASSES] = worth
    weight[list(b"\"'")] = 2
    return weight


_WEIGHT_OF_BYTES = _weight_of_bytes()


@kernel("u8[] i64[] i64 u8[] f64 bool[]!")
def _find_plain(data, offsets, first, weight, most, out):
    for d in range(len(out)):
        start, end = np.uint64(offsets[d]), np.uint64(min(offsets[d + 1], offsets[d] + first))
        total = np.uint64(0)
        for at in range(start, end):
            total += np.uint64(weight[data[at]])
        out[d] = total < most * (end - start)


def kind_of(texts: pa.LargeStringArray) -> npt.NDArray[np.int8]:
    """What each text is, index into `KINDS`, int8[texts]; 0: prose.

    Nine texts of prose in ten have so few marks and digits that they are not looked at more closely.
    """
    plain = np.zeros(len(texts), np.bool_)
    _find_plain(*text_buffers(texts), FIRST, _WEIGHT_OF_BYTES, PLAIN, plain)
    kind = np.zeros(len(texts), np.int8)
    looked_at = np.flatnonzero(~plain)
    if not len(looked_at):
        return kind
    found = shares(texts.take(pa.array(looked_at)))
    none = np.flatnonzero(against_prose(found) >= NO_PROSE)
    called = np.full(len(none), CODE, np.int8)
    for share, least, name in reversed(_CALLED):
        called[found[none, share] >= least] = name
    kind[looked_at[none]] = called
    return kind
