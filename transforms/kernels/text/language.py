"""In which of a few known languages a text is written, by its most frequent words.

The fifty most frequent words of a language are two fifths of its running text (for Chinese, characters: a third), and few
of another language's. That tells the few languages of a calibration apart, and from every other one, which is all that is
asked here: a score means nothing in a language in which it was not measured.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from expectations.wording import plural
from transforms.kernels.compiled import kernel
from transforms.kernels.models.linear import hash_words
from transforms.kernels.text.text import PUNCTUATION, Tokens

MOST = 32  # languages
FIRST = 200  # words of a text that are looked at
_ONE = np.uint64(1)
_LANES = 4  # languages that are counted in one number, 16 bits each


class WordLists(NamedTuple):
    """The frequent words of some languages: a table of their hashes, so thin that most are in their slot or in the next."""

    hash64: npt.NDArray[np.uint64]  # [slots + words + 1], slots a power of two
    ones: npt.NDArray[np.uint64]  # [as many, languages / _LANES] 1 in the lane of each language that has the word
    slots: int
    probes: int  # each word is fewer slots behind its own than this
    n: int  # languages


def word_lists(lists: Sequence[Sequence[str]]) -> WordLists:
    """Build the table.

    Args:
      lists: for each language its words, as tokens of canonical text.

    Raises:
      ValueError: there are more than `MOST` languages.
    """
    if len(lists) > MOST:
        raise ValueError(f"{plural(len(lists), 'language')}; at most {MOST}")
    words = list(dict.fromkeys(word for listed in lists for word in listed))
    number = {word: row for row, word in enumerate(words)}
    ones = np.zeros((len(words), -(-len(lists) // _LANES) or 1), np.uint64)
    for language, listed in enumerate(lists):
        rows = np.unique([number[word] for word in listed])
        ones[rows, language // _LANES] |= np.uint64(1) << np.uint64(16 * (language % _LANES))
    slots = 1 << (8 * len(words) + 1).bit_length()
    hash64 = np.zeros(slots + len(words) + 1, np.uint64)
    table = np.zeros((len(hash64), ones.shape[1]), np.uint64)
    probes = _fill(hash_words([word.encode() for word in words]), ones, slots, hash64, table)
    return WordLists(hash64, table, slots, probes, len(lists))


@kernel("u64[] u64[,] i64 u64[]! u64[,]!")
def _fill(hash64, ones, slots, table_hash64, table_ones):
    farthest = 0
    for i in range(len(hash64)):
        first = np.int64(hash64[i] & np.uint64(slots - 1))
        slot = first
        while table_hash64[slot]:
            slot += 1
        table_hash64[slot] = hash64[i]
        for lane in range(ones.shape[1]):
            table_ones[slot, lane] = ones[i, lane]
        farthest = max(farthest, slot - first)
    return farthest + 1


@kernel("i64[] u8[] u64[] u64[] u64[,] i64 i64 i64 f32[,]!")
def _covered(offsets, kind, hash64, table_hash64, table_ones, slots, probes, n, out):
    last = np.uint64(slots - 1)
    for d in range(len(offsets) - 1):
        for lane in range(np.uint64(table_ones.shape[1])):
            count, words = np.uint64(0), np.uint64(0)
            for t in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
                # No branch: whether a word is a frequent one is nothing that the processor could guess. A mark is no word.
                h = hash64[t]
                first = h & last
                for slot in range(first, first + np.uint64(probes)):
                    count += np.uint64(table_hash64[slot] == h) * table_ones[slot, lane]
                words += np.uint64(kind[t] != PUNCTUATION)
                if words == FIRST:
                    break
            start = np.int64(lane) * _LANES
            for number in range(start, min(start + _LANES, n) if words else start):
                out[d, number] = ((count >> np.uint64(16 * (number - start))) & np.uint64(0xFFFF)) / words


def covered(tokens: Tokens, lists: WordLists) -> npt.NDArray[np.float32]:
    """Of each document's first words and ideographs, the fraction in each language's list. float32[documents, languages]."""
    out = np.zeros((len(tokens.offsets) - 1, lists.n), np.float32)
    _covered(tokens.offsets, tokens.kind, tokens.hash64, *lists, out)
    return out


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
