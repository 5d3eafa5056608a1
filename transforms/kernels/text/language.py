"""In which of a few known languages a text is written, by its most frequent words.

The fifty most frequent words of a language are two fifths of its running text (for Chinese, characters: a third), and few
of another language's. That tells the few languages of a calibration apart, and from every other one, which is all that is
asked here: a score means nothing in a language in which it was not measured.
"""

import itertools
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
_FACTORS = np.arange(1, 512, 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
_LANES = 4  # languages that are counted in one number, 16 bits each


class WordLists(NamedTuple):
    """The frequent words of some languages, and a table of their numbers, which are looked up by a part of their hashes."""

    hash64: npt.NDArray[np.uint64]  # [words + 1]; the last is no word
    ones: npt.NDArray[np.uint64]  # [words + 1, languages / _LANES] 1 in the lane of each language that has the word
    number: npt.NDArray[np.uint32]  # [slots + words] of the word that is there; `words`: none
    factor: np.uint64  # of a hash, before its highest bits say the slot
    shift: int  # to these
    probes: int  # each word is fewer slots behind its own than this
    n: int  # languages


def word_lists(lists: Sequence[Sequence[str]]) -> WordLists:
    """Build the table: of some sizes and factors the first at which each word has a slot of its own, so that one look is enough.

    Args:
      lists: for each language its words, as tokens of canonical text.

    Raises:
      ValueError: there are more than `MOST` languages.
    """
    if len(lists) > MOST:
        raise ValueError(f"{plural(len(lists), 'language')}; at most {MOST}")
    words = list(dict.fromkeys(word for listed in lists for word in listed))
    of_word = {word: row for row, word in enumerate(words)}
    ones = np.zeros((len(words) + 1, -(-len(lists) // _LANES) or 1), np.uint64)
    for language, listed in enumerate(lists):
        rows = np.unique([of_word[word] for word in listed])
        ones[rows, language // _LANES] |= np.uint64(1) << np.uint64(16 * (language % _LANES))
    hash64 = np.append(hash_words([word.encode() for word in words]), np.uint64(0))
    fewest = (8 * len(words) + 1).bit_length()
    for bits, factor in itertools.product(range(fewest, fewest + 4), _FACTORS):
        shift = 64 - bits
        first = hash64[:-1] * factor >> np.uint64(shift)
        if len(np.unique(first)) == len(words):
            break
    number, probes = np.full((1 << bits) + len(words), len(words), np.uint32), 1
    for row, slot in enumerate(first.tolist()):
        behind = int(np.argmax(number[slot:] == len(words)))
        number[slot + behind] = row
        probes = max(probes, behind + 1)
    return WordLists(hash64, ones, number, factor, shift, probes, len(lists))


@kernel("i64[] u8[] u64[] u64[] u64[,] u32[] u64 i64 i64 i64 f32[,]!")
def _covered(offsets, kind, hash64, known, ones, number, factor, shift, probes, n, out):
    for d in range(len(offsets) - 1):
        start, end, words = np.uint64(offsets[d]), np.uint64(offsets[d]), np.uint64(0)
        while end < np.uint64(offsets[d + 1]) and words < FIRST:
            words += np.uint64(kind[end] != PUNCTUATION)
            end += _ONE
        for lane in range(np.uint64(ones.shape[1])):
            count = np.uint64(0)
            for behind in range(np.uint64(probes)):
                # No branch: whether a word is a frequent one is nothing that the processor could guess. A mark is no word.
                for t in range(start, end):
                    found = np.uint64(number[(hash64[t] * factor >> np.uint64(shift)) + behind])
                    count += np.uint64(known[found] == hash64[t]) * ones[found, lane]
            first = np.int64(lane) * _LANES
            for place in range(first, min(first + _LANES, n) if words else first):
                out[d, place] = ((count >> np.uint64(16 * (place - first))) & np.uint64(0xFFFF)) / words


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
