"""Phrases that models leave in text ("As an AI language model, I ..."): which document has which.

All matching is RE2's, through Arrow: linear in the text, whatever the pattern. A quick search for literal strings that every
match holds finds the few texts worth a closer look; only those are searched by pattern, entry by entry.

Who writes about models quotes them. So text in quotation marks, in fenced or inline code and in block quotes is left out
first. A quotation that is opened and not closed in its paragraph goes to the paragraph's end.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NONE = -1
HEAD_CHARS = 400  # in which an entry of `start` must lie
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
    contains: tuple[str, ...]  # of which every match holds one, in lower case; not asked for where it is "start"
    pattern: str  # RE2


class Phrases(NamedTuple):
    """Entries, and the patterns made from them."""

    entries: tuple[Phrase, ...]
    patterns: tuple[str, ...]  # one for each entry, with its place
    head: str | None  # any of the entries of "start"; None: there is none
    quick: str | None  # any of the literals of the others
    body: str | None  # any of the others


def compile_phrases(entries: tuple[Phrase, ...]) -> Phrases:
    """Entries -> patterns. None of them is checked (`refused`)."""
    patterns = tuple(PLACES[entry.where] % entry.pattern for entry in entries)
    placed = list(zip(entries, patterns, strict=True))
    starts = [pattern for entry, pattern in placed if entry.where == "start"]
    others = [pattern for entry, pattern in placed if entry.where != "start"]
    literals = sorted({literal for entry in entries if entry.where != "start" for literal in entry.contains})
    return Phrases(entries, patterns, _any_of(starts), _any_of([_literal(one) for one in literals]), _any_of(others))


def _any_of(patterns: list[str]) -> str | None:
    return "|".join(patterns) or None


def _literal(text: str) -> str:
    return re.sub(r"([\\.\[\](){}*+?|^$])", r"\\\1", text)


def refused(pattern: str) -> str | None:
    """Why RE2 does not take a pattern; None if it does."""
    try:
        pc.match_substring_regex(pa.array([""], pa.large_string()), pattern, ignore_case=True)
    except pa.ArrowInvalid as error:
        return " ".join(str(error).split())
    return None


def find(text: pa.LargeStringArray, phrases: Phrases) -> npt.NDArray[np.int32]:
    """The first entry, in their order, that each text has; NONE where it has none. int32[n]."""
    found = np.full(len(text), len(phrases.entries), np.int32)
    if phrases.head is not None:
        head = pc.utf8_slice_codeunits(text, 0, HEAD_CHARS)
        _look(found, np.arange(len(text)), head, phrases, starts=True)
    if phrases.quick is not None:
        at = _where(text, phrases.quick)
        _look(found, at, without_quotations(text.take(pa.array(at))), phrases, starts=False)
    found[found == len(phrases.entries)] = NONE
    return found


def _where(text: pa.LargeStringArray, pattern: str) -> npt.NDArray[np.int64]:
    return np.flatnonzero(pc.match_substring_regex(text, pattern, ignore_case=True).to_numpy(zero_copy_only=False))


def _look(
    found: npt.NDArray[np.int32],
    at: npt.NDArray[np.int64],
    text: pa.LargeStringArray,
    phrases: Phrases,
    starts: bool,
) -> None:
    """Note in `found` the entries that the texts of the documents `at` have: first whether any, then which."""
    hits = _where(text, (phrases.head if starts else phrases.body) or "")
    at, text = at[hits], text.take(pa.array(hits))
    for number, entry in enumerate(phrases.entries if len(at) else ()):
        if (entry.where == "start") == starts:
            hit = at[_where(text, phrases.patterns[number])]
            found[hit] = np.minimum(found[hit], number)


def without_quotations(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """The texts with every quotation and piece of code replaced by two quotation marks."""
    text = pc.replace_substring_regex(text, "|".join(_QUOTED), '""')
    return pc.replace_substring_regex(text, _SINGLE, r'\1""\2')
