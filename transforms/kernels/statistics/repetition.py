"""Repetition within and between documents, from their words: MATTR, self-repetition, shared phrases."""

import numba
import numpy as np
import numpy.typing as npt

from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64

MOST_WORDS = 600  # of a document
MATTR_WINDOW = 500
REPEATED_WORDS, REPEATED_NGRAM = 200, 4
PHRASE_NGRAM, PHRASE_DOCUMENTS = 6, 5


@numba.njit(nogil=True, cache=True)
def _first_words(word_offsets, words, chosen):  # type: ignore[no-untyped-def]
    offsets = np.zeros(len(chosen) + 1, np.int64)
    for d in range(len(chosen)):
        own = min(MOST_WORDS, word_offsets[d + 1] - word_offsets[d]) if chosen[d] else 0
        offsets[d + 1] = offsets[d] + own
    out = np.empty(offsets[-1], np.uint32)
    for d in range(len(chosen)):
        for t in range(offsets[d + 1] - offsets[d]):
            out[offsets[d] + t] = np.uint32(mix64(words[word_offsets[d] + t]) >> np.uint64(32))
    return offsets, out


def first_words(
    word_offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], chosen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`(offsets, hashes)`: the first `MOST_WORDS` words of the chosen documents, none of the others."""
    return _first_words(word_offsets, words, chosen)


@numba.njit(nogil=True, cache=True)
def _mattr(offsets, words, window):  # type: ignore[no-untyped-def]
    out = np.full(len(offsets) - 1, np.nan)
    for d in range(len(out)):
        own = words[offsets[d] : offsets[d + 1]]
        n = len(own)
        if n < window:
            continue
        order = np.argsort(own, kind="mergesort")  # equal words in the order of their places
        before, after = np.full(n, -1), np.full(n, n)
        for i in range(1, n):
            if own[order[i]] == own[order[i - 1]]:
                before[order[i]] = order[i - 1]
                after[order[i - 1]] = order[i]
        types = total = 0
        for end in range(n):
            start = end - window + 1
            types += before[end] < max(0, start)
            if start > 0 and after[start - 1] >= end:
                types -= 1  # the word that left was the last of its kind
            if start >= 0:
                total += types
        out[d] = total / window / (n - window + 1)
    return out


def mattr(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Moving-average type-token ratio over `MATTR_WINDOW` words (Covington and McFall 2010). NaN: a shorter document."""
    return _mattr(offsets, words, MATTR_WINDOW)


@numba.njit(nogil=True, cache=True)
def _ngrams(offsets, words, size, most, bits):  # type: ignore[no-untyped-def]
    """Each n-gram of the first words of each document: its hash, and the document in place of the lowest bits."""
    out = np.empty(len(words), np.uint64)
    n = 0
    for d in range(len(offsets) - 1):
        end = min(offsets[d + 1], offsets[d] + most)
        for t in range(offsets[d], end - size + 1):
            h = np.uint64(size)
            for i in range(size):
                h = h * POLYNOMIAL + np.uint64(words[t + i]) + np.uint64(1)
            out[n] = (mix64(h) >> bits << bits) | np.uint64(d)
            n += 1
    return out[:n]


@numba.njit(nogil=True, cache=True)
def _others(ordered, bits, n_docs, shared_by):  # type: ignore[no-untyped-def]
    """For each document: the other documents that have its n-grams, summed over these; and whether `shared_by` have one."""
    others, shares = np.zeros(n_docs, np.int64), np.zeros(n_docs, np.bool_)
    low = (np.uint64(1) << bits) - np.uint64(1)
    start = 0
    while start < len(ordered):
        end, documents = start, 0
        while end < len(ordered) and ordered[end] >> bits == ordered[start] >> bits:
            documents += end == start or ordered[end] != ordered[end - 1]
            end += 1
        for i in range(start, end):
            if i == start or ordered[i] != ordered[i - 1]:
                document = np.int64(ordered[i] & low)
                others[document] += documents - 1
                shares[document] |= documents >= shared_by
        start = end
    return others, shares


def _sharing(
    offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32], size: int, most: int, shared_by: int = 1
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    bits = np.uint64(max(1, len(offsets) - 1).bit_length())
    ngrams = _ngrams(offsets, words, size, most, bits)
    ngrams.sort()  # one number for n-gram and document, because sorting pairs is slow
    return _others(ngrams, bits, len(offsets) - 1, shared_by)


def self_repetition(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]) -> float:
    """Mean over documents of ln(1 + other documents that have its 4-grams, summed) (Salkar et al. 2022, AACL).

    Of their first `REPEATED_WORDS` words. It grows with the number of documents. NaN if there are none.
    """
    if len(offsets) < 2:
        return float("nan")
    return float(np.log1p(_sharing(offsets, words, REPEATED_NGRAM, REPEATED_WORDS)[0]).mean())


def template_rate(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]) -> float:
    """Share of documents with a phrase of `PHRASE_NGRAM` words that `PHRASE_DOCUMENTS` documents or more have. NaN: none.

    After Shaib et al. (2407.00211), with words in place of parts of speech. It grows with the number of documents.
    """
    if len(offsets) < 2:
        return float("nan")
    return float(_sharing(offsets, words, PHRASE_NGRAM, MOST_WORDS, PHRASE_DOCUMENTS)[1].mean())
