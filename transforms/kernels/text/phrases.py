"""Phrases that models leave in text ("As an AI language model, I ..."): which document has which.

All matching is RE2's, through Arrow: linear in the text, whatever the pattern. But it compiles a pattern anew for every batch,
so a quick search for strings that every match holds (`literals`) goes first; only the few texts that it finds are searched by
pattern, and only with the entries whose strings they hold.

Who writes about models quotes them. So text in quotation marks, in fenced or inline code and in block quotes is left out
first. A quotation that is opened and not closed in its paragraph goes to the paragraph's end.
"""

import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.text.literals import Literals, compile_literals, search

NONE = -1
HEAD_CHARS = 400  # in which an entry of "start" must lie
_HEAD_BYTES = 4 * HEAD_CHARS
PLACES = {"start": r"\A\s*(?:%s)", "line": r"(?m:^[ \t]*)(?:%s)", "anywhere": "(?:%s)"}
_QUOTED = (
    r"(?s:```.*?```)",
    r"(?m:^[ \t]*>[^\n]*)",
    r"`[^`\n]+`",
    r"[“„«「『‹][^”»」』›\n]*[”»」』›]?",
    r"‘(?:[^’\n]|\w’\w)*’?",
    r'"[^"\n]*"',
    r'(?m:^[ \t]*"[^"\n]*$)',
)
# A straight single mark is an apostrophe unless it stands before or behind a word.
_SINGLE = r"(^|[\s(:,])'(?:[^'\n]|\w'\w)*'([\s.,;:!?)]|$)"


class Phrase(NamedTuple):
    """One entry: what is looked for, and where."""

    id: str
    where: str  # a key of PLACES
    contains: tuple[str, ...]  # of which every match holds one, in lower case, each at least `literals.MIN_BYTES` long
    pattern: str  # RE2


class Phrases(NamedTuple):
    """Entries, and what is made from them."""

    entries: tuple[Phrase, ...]
    patterns: tuple[str, ...]  # one for each entry, with its place
    literals: Literals  # a group for each entry


def compile_phrases(entries: tuple[Phrase, ...]) -> Phrases:
    """Entries -> patterns and strings. No pattern is checked (`refused`).

    Raises:
      ValueError: a string is too short.
    """
    patterns = tuple(PLACES[entry.where] % entry.pattern for entry in entries)
    limits = (_HEAD_BYTES if entry.where == "start" else sys.maxsize for entry in entries)
    groups = [(limit, entry.contains) for limit, entry in zip(limits, entries, strict=True)]
    return Phrases(entries, patterns, compile_literals(groups))


def refused(pattern: str) -> str | None:
    """Why RE2 does not take a pattern; None if it does."""
    try:
        _where(pa.array([""], pa.large_string()), pattern)
    except pa.ArrowInvalid as error:
        return " ".join(str(error).split())
    return None


def find(text: pa.LargeStringArray, phrases: Phrases) -> npt.NDArray[np.int32]:
    """The first entry, in their order, that each text has; NONE where it has none. int32[n]."""
    found = np.full(len(text), NONE, np.int32)
    candidates = search(text, phrases.literals)
    at = np.flatnonzero(candidates.any(axis=1))
    if not len(at):
        return found
    candidates, text = candidates[at], text.take(pa.array(at))
    at_start = np.array([entry.where == "start" for entry in phrases.entries])
    elsewhere = pa.array(candidates[:, ~at_start].any(axis=1))
    whole = without_quotations(pc.if_else(elsewhere, text, pa.scalar("", text.type)))  # of few, and it takes long
    head = pc.utf8_slice_codeunits(text, 0, HEAD_CHARS)
    for number in np.flatnonzero(candidates.any(axis=0))[::-1].tolist():  # backwards: the first is written last
        rows = np.flatnonzero(candidates[:, number])
        form = head if at_start[number] else whole
        found[at[rows[_where(form.take(pa.array(rows)), phrases.patterns[number])]]] = number
    return found


def _where(text: pa.LargeStringArray, pattern: str) -> npt.NDArray[np.int64]:
    return np.flatnonzero(pc.match_substring_regex(text, pattern, ignore_case=True).to_numpy(zero_copy_only=False))


def without_quotations(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """The texts with every quotation and piece of code replaced by two quotation marks."""
    text = pc.replace_substring_regex(text, "|".join(_QUOTED), '""')
    return pc.replace_substring_regex(text, _SINGLE, r'\1""\2')
