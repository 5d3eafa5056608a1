"""Repetition within and between documents, from their words: MATTR, self-repetition, shared phrases."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64, mixed
from transforms.kernels.text.columns import ranges

MOST_WORDS = 600  # of a document
MATTR_WINDOW = 500
REPEATED_WORDS, REPEATED_NGRAM = 200, 4
PHRASE_NGRAM, PHRASE_DOCUMENTS = 6, 5


def first_words(
    word_offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], chosen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`(offsets, hashes)`: the first `MOST_WORDS` words of the chosen documents, none of the others."""
    sizes = np.where(chosen, np.minimum(np.diff(word_offsets), MOST_WORDS), 0)
    offsets = np.r_[0, np.cumsum(sizes, dtype=np.int64)]
    own = words[ranges(sizes, word_offsets[:-1])]
    return offsets, (mixed(own) >> np.uint64(32)).astype(np.uint32)


@kernel("i64[] u32[] i64 i64[]! i64[]! i64[]! f64[]!")
def _mattr(offsets, words, window, before, after, last, out):
    slots = np.int64(len(last) - 1)
    for d in range(len(out)):
        first, n = offsets[d], offsets[d + 1] - offsets[d]
        if n < window:
            continue
        for i in range(n):  # where the word of each place was before, and where it is next
            before[i], after[i] = -1, n
            slot = np.int64(words[first + i]) & slots  # of a table of words; slots of earlier documents are free
            while last[slot] >= first and words[last[slot]] != words[first + i]:
                slot = (slot + 1) & slots
            if last[slot] >= first:
                before[i] = last[slot] - first
                after[before[i]] = i
            last[slot] = first + i
        types = total = 0
        for end in range(n):
            start = end - window + 1
            types += before[end] < max(0, start)
            if start > 0 and after[start - 1] >= end:
                types -= 1  # the word that left was the last of its kind
            if start >= 0:
                total += types
        out[d] = total / window / (n - window + 1)


def mattr(
    offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32], window: int = MATTR_WINDOW
) -> npt.NDArray[np.float64]:
    """Moving-average type-token ratio over `window` words (Covington and McFall 2010). NaN: a shorter document."""
    longest = int(np.diff(offsets).max(initial=1))
    before, after = np.empty(longest, np.int64), np.empty(longest, np.int64)
    last = np.full(2 << longest.bit_length(), -1, np.int64)
    out = np.full(len(offsets) - 1, np.nan)
    _mattr(offsets, words, window, before, after, last, out)
    return out


@kernel("i64[] u32[] i64 i64 u64 u64[]!")
def _ngrams(offsets, words, size, most, bits, out):
    """Each n-gram of the first words of each document: its hash, and the document in place of the lowest bits."""
    n = 0
    for d in range(len(offsets) - 1):
        end = min(offsets[d + 1], offsets[d] + most)
        for t in range(offsets[d], end - size + 1):
            h = np.uint64(size)
            for i in range(size):
                h = h * POLYNOMIAL + np.uint64(words[t + i]) + np.uint64(1)
            out[n] = (mix64(h) >> bits << bits) | np.uint64(d)
            n += 1
    return n


@kernel("u64[] u64 i64[] i64 i64[]! bool[]!")
def _others(ordered, bits, place, shared_by, others, shares):
    """For each document that has a place: the other ones that have its n-grams, summed; and whether `shared_by` have one."""
    low = (np.uint64(1) << bits) - np.uint64(1)
    start = 0
    while start < len(ordered):
        end, documents = start, 0
        while end < len(ordered) and ordered[end] >> bits == ordered[start] >> bits:
            new = end == start or ordered[end] != ordered[end - 1]
            documents += new and place[ordered[end] & low] >= 0
            end += 1
        for i in range(start, end):
            own = place[ordered[i] & low]
            if own >= 0 and (i == start or ordered[i] != ordered[i - 1]):
                others[own] += documents - 1
                shares[own] |= documents >= shared_by
        start = end


class RepeatedNgrams(NamedTuple):
    """The n-grams that documents have more than once between them.

    Attributes:
      ordered: their hashes, rising, with the document in place of the lowest bits, uint64.
      bits: how many these are.
      documents: how many there are, also those that have none.
    """

    ordered: npt.NDArray[np.uint64]
    bits: np.uint64
    documents: int

    def among(
        self, rows: npt.NDArray[np.int64], shared_by: int = 1
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Of each of some documents, what `_others` says, among these."""
        place = np.full(self.documents, -1, np.int64)
        place[rows] = np.arange(len(rows))
        others, shares = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        _others(self.ordered, self.bits, place, shared_by, others, shares)
        return others, shares


def _ngrams_of(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32], size: int, most: int) -> RepeatedNgrams:
    """The phrases of `size` words in the first `most` words of documents that are there again."""
    documents = len(offsets) - 1
    bits = np.uint64(max(1, documents).bit_length())
    ngrams = np.empty(len(words), np.uint64)
    ngrams = ngrams[: _ngrams(offsets, words, size, most, bits, ngrams)]
    ngrams.sort()  # one number for n-gram and document, because sorting pairs is slow; once, whatever documents are asked of
    again = np.zeros(len(ngrams), bool)
    np.less(ngrams[1:] ^ ngrams[:-1], np.uint64(1) << bits, out=again[1:])  # the next has the same hash
    again[:-1] |= again[1:]
    return RepeatedNgrams(ngrams[again], bits, documents)


def repeated(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]) -> RepeatedNgrams:
    """What `self_repetition` looks at."""
    return _ngrams_of(offsets, words, REPEATED_NGRAM, REPEATED_WORDS)


def templates(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]) -> RepeatedNgrams:
    """What `template_rate` looks at."""
    return _ngrams_of(offsets, words, PHRASE_NGRAM, MOST_WORDS)


def self_repetition(one: RepeatedNgrams, rows: npt.NDArray[np.int64]) -> float:
    """Mean over documents of ln(1 + other documents that have its 4-grams, summed) (Salkar et al. 2022, AACL).

    Of their first `REPEATED_WORDS` words (`repeated`). It grows with the number of documents. NaN if there are none.
    """
    return float(np.log1p(one.among(rows)[0]).mean()) if len(rows) else float("nan")


def template_rate(one: RepeatedNgrams, rows: npt.NDArray[np.int64]) -> float:
    """Share of documents with a phrase of `PHRASE_NGRAM` words that `PHRASE_DOCUMENTS` documents or more have. NaN: none.

    After Shaib et al. (2407.00211), with words in place of parts of speech (`templates`). It grows with the number of documents.
    """
    return float(one.among(rows, PHRASE_DOCUMENTS)[1].mean()) if len(rows) else float("nan")
