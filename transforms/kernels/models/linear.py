"""A two-class fastText classifier as what it is: a linear model over the words and word n-grams of a text.

fastText averages one vector per feature and puts the mean through a softmax of two outputs (Joulin et al. 2016,
arXiv:1607.01759). With two classes the log-odds are

    log p(machine) / p(human) = (o_machine - o_human) . mean_f v_f = mean_f w_f,   w_f = (o_machine - o_human) . v_f

so one number per feature gives the same score. The features of a text are those of fastText's own
`Dictionary::getLine`: each word of the vocabulary and the end of the line `</s>`; then each run of 2 to `word_ngrams`
consecutive tokens, known or not, by its hash.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.text.columns import text_buffers
from transforms.kernels.text.text import _FNV64_OFFSET, _FNV64_PRIME, FNV32_OFFSET, FNV32_PRIME, Tokens, hash_token

EOS = "</s>"
_EOS_HASH32 = hash_token(EOS)[1]
_NGRAM_PRIME = np.uint64(116049371)
_S32 = np.uint64(32)


class LinearModel(NamedTuple):
    """One weight per feature: how much it speaks for the machine, in log-odds.

    The vocabulary is an open-addressing table with linear probing; a slot whose weight is NaN is empty.
    """

    table_hash64: npt.NDArray[np.uint64]  # [slots], a power of two and at least one of them empty
    table_weight: npt.NDArray[np.float32]  # [slots]
    ngram_weight: npt.NDArray[np.float32]  # [buckets]; NaN: the bucket was pruned and is no feature
    word_ngrams: int  # longest n-gram, in tokens; 1: words only
    eos_weight: float  # NaN: the end of the line is not in the vocabulary


@inlined
def one_byte_on(h, byte):
    """FNV-1a of 32 bits, one byte on, with fastText's extended sign."""
    return np.uint32((h ^ np.uint32(np.int8(byte))) * FNV32_PRIME)


@kernel("u8[] i64[] u32[]!")
def _hash32(data, offsets, out):
    t = 0
    for d in range(len(offsets) - 1):
        h = FNV32_OFFSET
        for at in range(offsets[d], offsets[d + 1]):
            if data[at] == 32:
                out[t] = h
                t += 1
                h = FNV32_OFFSET
            else:
                h = one_byte_on(h, data[at])
        if offsets[d] < offsets[d + 1]:
            out[t] = h
            t += 1


def hash32(tokens: Tokens) -> npt.NDArray[np.uint32]:
    """The hash that fastText's models ask for, FNV-1a 32 with sign-extended bytes, of each token. uint32[tokens]."""
    found = np.empty(len(tokens.hash64), np.uint32)
    _hash32(*text_buffers(tokens.text), found)
    return found


@inlined
def _first_slot(hash64, mask):
    return np.int64((hash64 ^ (hash64 >> _S32)) & mask)


@kernel("u64[] f32[] u64[]! f32[]!")
def _fill(hash64, weights, table_hash64, table_weight):
    """Insert every word; returns the number of the first word whose hash was there already, or -1."""
    mask = np.uint64(len(table_hash64) - 1)
    for i in range(len(hash64)):
        slot = _first_slot(hash64[i], mask)
        while not np.isnan(table_weight[slot]):
            if table_hash64[slot] == hash64[i]:
                return i
            slot = (slot + 1) & np.int64(mask)
        table_hash64[slot] = hash64[i]
        table_weight[slot] = weights[i]
    return -1


@kernel("i64[] u64[] u32[] u64[] f32[] f32[] i64 f64 u32 f32[]!")
def _score(offsets, hash64, hashes32, table_hash64, table_weight, ngram_weight, word_ngrams, eos_weight, eos_hash, out):
    mask = np.uint64(len(table_hash64) - 1)
    buckets = np.uint64(len(ngram_weight))
    for d in range(len(out)):
        start, end = offsets[d], offsets[d + 1]
        total, count = 0.0, 0
        if not np.isnan(eos_weight):
            total, count = np.float64(eos_weight), 1
        for t in range(start, end):
            slot = _first_slot(hash64[t], mask)
            while not np.isnan(table_weight[slot]):
                if table_hash64[slot] == hash64[t]:
                    total += table_weight[slot]
                    count += 1
                    break
                slot = (slot + 1) & np.int64(mask)
            # fastText computes with int32 hashes, sign-extended, in uint64 that wraps around.
            h = np.uint64(np.int64(np.int32(hashes32[t])))
            for j in range(t + 1, min(t + word_ngrams, end + 1)):
                following = hashes32[j] if j < end else eos_hash
                h = h * _NGRAM_PRIME + np.uint64(np.int64(np.int32(following)))
                weight = ngram_weight[h % buckets]
                if not np.isnan(weight):
                    total += weight
                    count += 1
        out[d] = total / count if count > 0 else np.nan


def hash_words(words: list[bytes]) -> npt.NDArray[np.uint64]:
    """`Tokens.hash64` of each word. uint64[words]."""
    sizes = np.fromiter(map(len, words), np.int64, len(words))
    data, starts = np.frombuffer(b"".join(words), np.uint8), np.cumsum(sizes) - sizes
    out = np.full(len(words), _FNV64_OFFSET)
    left = np.arange(len(words))
    for place in range(int(sizes.max(initial=0))):  # of all words at once
        left = left[sizes[left] > place]
        out[left] = (out[left] ^ data[starts[left] + place]) * _FNV64_PRIME
    return out


def linear_model(
    words: list[bytes],
    word_weights: npt.NDArray[np.float32],
    ngram_weight: npt.NDArray[np.float32],
    word_ngrams: int,
) -> LinearModel:
    """Build the table of a vocabulary.

    Args:
      words: the vocabulary in UTF-8, `</s>` among them or not.
      word_weights: float32[words], finite.
      ngram_weight: float32[buckets], finite or NaN (pruned); not empty if `word_ngrams` > 1.
      word_ngrams: the longest n-gram, at least 1.

    Raises:
      ValueError: two words are the same or have the same 64-bit hash, or there is no bucket for the n-grams.
    """
    if word_ngrams > 1 and not len(ngram_weight):
        raise ValueError(f"word n-grams up to {word_ngrams} but no bucket for them")
    slots = 1 << (2 * len(words) + 1).bit_length()
    table_hash64, table_weight = np.zeros(slots, np.uint64), np.full(slots, np.nan, np.float32)
    twice = _fill(hash_words(words), word_weights, table_hash64, table_weight)
    if twice >= 0:
        raise ValueError(f"word number {twice} of the vocabulary is there twice")
    eos = EOS.encode()
    eos_weight = float(word_weights[words.index(eos)]) if eos in words else float("nan")
    return LinearModel(table_hash64, table_weight, np.ascontiguousarray(ngram_weight), word_ngrams, eos_weight)


def score(tokens: Tokens, model: LinearModel) -> npt.NDArray[np.float32]:
    """Log-odds of machine origin of each document, float32[documents]; NaN for a document without any feature."""
    out = np.empty(len(tokens.offsets) - 1, np.float32)
    _score(
        tokens.offsets,
        tokens.hash64,
        hash32(tokens),
        model.table_hash64,
        model.table_weight,
        model.ngram_weight,
        model.word_ngrams,
        model.eos_weight,
        _EOS_HASH32,
        out,
    )
    return out
