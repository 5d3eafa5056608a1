r"""Two texts beside each other, word by word, as lines that are safe to print whatever the texts hold.

What is only here is marked `[-so-]` on the left and `{+so+}` on the right; a long stretch that both have keeps its ends,
around `[... 37 words ...]`; a line break is shown as `¶`; what a terminal would obey or hide is escaped, as `\x1b`. Words are
matched without regard to case, so that a copy in capitals still lies beside its original. In scripts without spaces
every character is a word.
"""

import collections
import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.cells import cell_len

MIN_WIDTH = 20
READ = 100_000  # words of a text that are looked at
COMPARED = 2_000  # words of a text, from the first difference on, that are matched: the cost grows faster than they do
UNBROKEN, ENDS = 12, 5  # a longer equal stretch is cut down to so many words at each end
ROW = 24  # words after which both columns begin a new line together
LONGEST = 24  # characters of a word; a longer one counts as several, so that the number of words bounds the work
COMMON = 400  # words that could be matched in more ways than this only follow others: they alone make the cost cubic
MARKS = 3  # combining marks on one character; more would paint over the lines above and below
GAP = 8  # signs shown for what stands between two words

LEFT, RIGHT = ("[-", "-]"), ("{+", "+}")
BETWEEN = " │ "
# They count as printable, and show nothing: fillers of Hangul, the blank of Braille, selectors of variants, and joiners.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class Word(NamedTuple):
    """A word as it stands in a text, and the white space before it."""

    gap: str
    text: str


class Stretch(NamedTuple):
    """Some words of each text: the same ones, or what one has instead of the other."""

    equal: bool
    left: list[Word]
    right: list[Word]


class Atom(NamedTuple):
    """What a line is made of: escaped text, and whether a space goes before it."""

    space: bool
    text: str


def side_by_side(one: str, other: str, width: int, titles: tuple[str, str]) -> list[str]:
    """Both texts in two columns, at most `width` cells wide, and a line on what was left out or hardly differs.

    Args:
      one, other: any texts.
      width: of a line, in cells of a terminal; at least `MIN_WIDTH`.
      titles: of the columns.

    Raises:
      ValueError: the width is too small.
    """
    if width < MIN_WIDTH:
        raise ValueError(f"two columns need at least {MIN_WIDTH} cells, got {width}")
    column = (width - len(BETWEEN)) // 2
    both, cut = stretches(one, other)
    lines = [*_beside(_plain(titles[0]), _plain(titles[1]), column), "─" * (column + 1) + "┼" + "─" * (column + 1)]
    for left, right in _rows(both):
        lines += _beside(left, right, column)
    for note in _notes(one, other, both, cut):
        lines += _wrapped(_plain(note), width)
    return lines


def visible(text: str) -> str:
    r"""The same text with everything escaped that a terminal would obey, reorder or not show, as `\x1b` and `\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = MARKS  # so many may not follow any more: at the start there is nothing to put a mark on
    for char in text:
        is_mark = unicodedata.category(char).startswith("M")
        marks = marks + 1 if is_mark else 0
        if char.isprintable() and marks <= MARKS and not _INVISIBLE.match(char):
            shown.append(char)
        else:
            shown.append(_escaped(char))
            marks = MARKS
    return "".join(shown)


def _escaped(char: str) -> str:
    point = ord(char)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _words(text: str) -> Iterator[Word]:
    end = 0
    for run in re.finditer(r"\S+", text):
        gap = text[end : run.start()]
        end = run.end()
        for piece in _pieces(run.group()):
            yield Word(gap, piece)
            gap = ""


def _pieces(run: str) -> Iterator[str]:
    """What stands between white space, cut where a script writes no spaces, and where it is too long."""
    begin = 0
    alone = False
    for at, char in enumerate(run):
        unspaced = _UNSPACED.match(char) is not None
        new = (unspaced or alone) and not unicodedata.category(char).startswith("M")
        if at > begin and (new or at - begin >= LONGEST):
            yield run[begin:at]
            begin = at
        alone = unspaced or (alone and not new)
    yield run[begin:]


def stretches(one: str, other: str) -> tuple[list[Stretch], bool]:
    """Two texts as stretches of words that are equal or not, in order, and whether something behind them was left out."""
    left, right = (list(itertools.islice(_words(text), READ + 1)) for text in (one, other))
    start = _common(left, right)
    cut = max(len(left), len(right)) > READ or max(len(left), len(right)) - start > COMPARED
    end = 0 if cut else _common(left[start:][::-1], right[start:][::-1])
    if cut:
        left, right = left[: start + COMPARED], right[: start + COMPARED]
    found = [Stretch(True, left[:start], right[:start])]
    found += _matched(left[start : len(left) - end], right[start : len(right) - end])
    found.append(Stretch(True, left[len(left) - end :], right[len(right) - end :]))
    return _merged(found), cut


def _common(left: list[Word], right: list[Word]) -> int:
    """How many words both begin with."""
    pairs = zip(left, right, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a.text != b.text), min(len(left), len(right)))


def _matched(left: list[Word], right: list[Word]) -> Iterator[Stretch]:
    one, other = ([word.text.casefold() for word in words] for words in (left, right))
    counts, others = collections.Counter(one), collections.Counter(other)
    matcher = difflib.SequenceMatcher(lambda word: counts[word] * others[word] > COMMON, one, other, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            yield from _short(left[a:b], right[c:d])
            continue
        pairs = zip(left[a:b], right[c:d], strict=True)
        for same, group in itertools.groupby(pairs, lambda pair: pair[0].text == pair[1].text):
            these, those = map(list, zip(*group, strict=True))
            yield from [Stretch(True, these, those)] if same else _short(these, those)


def _short(left: list[Word], right: list[Word]) -> Iterator[Stretch]:
    """A difference in parts of about a row, so that its columns stay beside each other."""
    parts = -(-max(len(left), len(right)) // ROW)
    for n in range(parts):
        yield Stretch(False, *(w[len(w) * n // parts : len(w) * (n + 1) // parts] for w in (left, right)))


def _merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Equal stretches that meet become one; empty ones go."""
    merged: list[Stretch] = []
    for one in stretches:
        if one.equal and merged and merged[-1].equal:
            merged[-1] = Stretch(True, merged[-1].left + one.left, merged[-1].right + one.right)
        elif one.left or one.right:
            merged.append(one)
    return merged


def _rows(stretches: list[Stretch]) -> Iterator[tuple[list[Atom], list[Atom]]]:
    """The atoms of both columns, cut where the columns begin a new line together."""
    row: tuple[list[Atom], list[Atom]] = ([], [])
    n = 0
    for equal, left, right in stretches:
        if n >= ROW:
            yield row
            row, n = ([], []), 0
        if equal and len(left) > UNBROKEN:
            hidden = _plain(f"[... {len(left) - 2 * ENDS:,} words ...]")
            yield row[0] + _atoms(left[:ENDS]), row[1] + _atoms(right[:ENDS])
            yield hidden, hidden
            row, n = (_atoms(left[-ENDS:]), _atoms(right[-ENDS:])), ENDS
            continue
        row[0].extend(_atoms(left, None if equal else LEFT))
        row[1].extend(_atoms(right, None if equal else RIGHT))
        n += max(len(left), len(right))
    yield row


def _atoms(words: list[Word], marks: tuple[str, str] | None = None) -> list[Atom]:
    before, behind = marks or ("", "")
    atoms: list[Atom] = []
    for n, word in enumerate(words):
        signs = _signs(word.gap)
        if signs:
            atoms.append(Atom(False, signs))
        text = (before if n == 0 else "") + visible(word.text) + (behind if n == len(words) - 1 else "")
        atoms.append(Atom(bool(word.gap), text))
    return atoms


def _signs(gap: str) -> str:
    """What of the white space before a word is shown: line breaks, and what is no space or tab."""
    if gap in ("", " "):
        return ""
    gap = gap.replace("\r\n", "\n")
    signs = [
        "¶" if char == "\n" else _escaped(char) for char in gap if char != "\t" and unicodedata.category(char) != "Zs"
    ]
    return "".join(signs[:GAP]) + ("…" if len(signs) > GAP else "")


def _plain(text: str) -> list[Atom]:
    return [Atom(True, visible(word)) for word in text.split()]


def _beside(left: list[Atom], right: list[Atom], column: int) -> Iterator[str]:
    for one, other in itertools.zip_longest(_wrapped(left, column), _wrapped(right, column), fillvalue=""):
        yield (one + " " * (column - cell_len(one)) + BETWEEN + other).rstrip()


def _wrapped(atoms: Iterable[Atom], width: int) -> Iterator[str]:
    """Lines of at most `width` cells; an atom that is wider is broken."""
    line, used = "", 0
    for space, text in atoms:
        size = cell_len(text)
        if used and used + space + size > width:
            yield line
            line, used = "", 0
        if used and space:
            line, used = line + " ", used + 1
        if size <= width:
            line, used = line + text, used + size
            continue
        for char in text:
            if used + cell_len(char) > width:
                yield line
                line, used = "", 0
            line, used = line + char, used + cell_len(char)
    if line:
        yield line


def _notes(one: str, other: str, stretches: list[Stretch], cut: bool) -> Iterator[str]:
    if one == other:
        yield "The texts are the same, character for character."
    elif cut:
        yield f"Cut: at most {COMPARED:,} words of each text are compared, from the first difference on; the rest is not shown."
    elif all(stretch.equal for stretch in stretches):
        yield "The words are the same; the texts differ in white space only."
