"""In which of a few known languages a text is written, by its most frequent words.

The fifty most frequent words of a language are two fifths of its running text (for Chinese, characters: a third), and few
of another language's. That tells the few languages of a calibration apart, and from every other one, which is all that is
asked here: a score means nothing in a language in which it was not measured.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from transforms.kernels.linear import hash_words
from transforms.kernels.text import PUNCTUATION, Tokens

MOST = 32  # languages


class WordLists(NamedTuple):
    """The frequent words of some languages: an open-addressing table of their hashes. A slot without a bit is empty."""

    hash64: npt.NDArray[np.uint64]  # [slots], a power of two and at least half of them empty
    languages: npt.NDArray[np.uint32]  # [slots] a bit for each language that has the word
    n: int  # languages


def word_lists(lists: Sequence[Sequence[str]]) -> WordLists:
    """Build the table.

    Args:
      lists: for each language its words, as tokens of canonical text.

    Raises:
      ValueError: there are more than `MOST` languages.
    """
    if len(lists) > MOST:
        raise ValueError(f"{len(lists)} languages; at most {MOST}")
    masks: dict[str, int] = {}
    for number, words in enumerate(lists):
        for word in words:
            masks[word] = masks.get(word, 0) | 1 << number
    slots = 1 << (2 * len(masks) + 1).bit_length()
    table = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32)
    _fill(hash_words([word.encode() for word in masks]), np.array(list(masks.values()), np.uint32), *table)
    return WordLists(*table, len(lists))


@numba.njit(nogil=True, cache=True)
def _fill(hash64, masks, table_hash64, table_masks):  # type: ignore[no-untyped-def]
    last = np.uint64(len(table_hash64) - 1)
    for i in range(len(hash64)):
        slot = np.int64(hash64[i] & last)
        while table_masks[slot]:
            slot = (slot + 1) & np.int64(last)
        table_hash64[slot], table_masks[slot] = hash64[i], masks[i]


@numba.njit(nogil=True, cache=True)
def _covered(offsets, kind, hash64, table_hash64, table_masks, n):  # type: ignore[no-untyped-def]
    out = np.zeros((len(offsets) - 1, n), np.float32)
    last = np.uint64(len(table_hash64) - 1)
    counts = np.zeros(n, np.int64)
    for d in range(len(offsets) - 1):
        counts[:] = 0
        words = 0
        for t in range(offsets[d], offsets[d + 1]):
            if kind[t] == PUNCTUATION:
                continue
            words += 1
            slot = np.int64(hash64[t] & last)
            while table_masks[slot]:
                if table_hash64[slot] == hash64[t]:
                    for number in range(n):
                        counts[number] += (table_masks[slot] >> np.uint32(number)) & np.uint32(1)
                    break
                slot = (slot + 1) & np.int64(last)
        if words:
            out[d] = (counts / words).astype(np.float32)
    return out


def covered(tokens: Tokens, lists: WordLists) -> npt.NDArray[np.float32]:
    """Of each document's words and ideographs, the fraction that is in each language's list. float32[documents, languages]."""
    return _covered(tokens.offsets, tokens.kind, tokens.hash64, lists.hash64, lists.languages, lists.n)


def language_of(fractions: npt.NDArray[np.float32], least: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """The language of each document, int8[documents]: whose list covers most of it, if enough; -1 where none does.

    Args:
      fractions: from `covered`.
      least: for each language the fraction that is enough.
    """
    if not fractions.shape[1]:
        return np.full(len(fractions), -1, np.int8)
    best = fractions.argmax(axis=1)
    rows = np.arange(len(fractions))
    return np.where(fractions[rows, best] >= least[best], best, -1).astype(np.int8)
