"""A fastText classifier with subwords and many labels: which label fits each text best, and how surely.

A text is the mean of the vectors of its features: of each word its n-grams of `shortest` to `longest` characters, with `<`
before it and `>` behind, and the word itself where the model knows it (Bojanowski et al. 2017, arXiv:1607.04606). A pruned model
has kept some n-grams only. The labels are the leaves of a Huffman tree; each inner node has a vector, and its sigmoid is the
chance of the right child (hierarchical softmax, Joulin et al. 2016, arXiv:1607.01759). All as in fastText 0.9:
`Dictionary::getLine`, `computeSubwords` and `HierarchicalSoftmaxLoss::dfs`.
"""

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.lookup import as_bits, is_among, n_below
from transforms.kernels.models.linear import EOS, hash_words, one_byte_on
from transforms.kernels.text.columns import text_buffers
from transforms.kernels.text.text import _FNV64_OFFSET, _FNV64_PRIME, FNV32_OFFSET

_LABEL = np.uint64(int.from_bytes(b"__label_", "little"))  # a word that begins so and with one more _ is no feature
_END_OF_TEXT = np.uint64(int.from_bytes(EOS.encode(), "little"))
_SPACES = np.isin(np.arange(256), [0, *range(9, 14), 32])
_NOT_ZERO = 1e-5  # fastText's logarithm is that of x + 0.00001
_KNOWN_BITS = 14
_KNOWN = 1 << _KNOWN_BITS  # words whose sums a thread keeps
_LONGEST_KNOWN = np.uint64(16)  # bytes of such a word, which are compared
_PLACE = np.uint64(64 - _KNOWN_BITS)
_LOW32, _S32, _ONE, _EIGHT = (np.uint64(n) for n in (0xFFFFFFFF, 32, 1, 8))
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC4CEB9FE1A85EC53)  # odd
_of_thread = threading.local()


class SubwordModel(NamedTuple):
    """A model, ready to look at texts."""

    word_hash64: npt.NDArray[np.uint64]  # [slots] a power of two; 0: empty
    word_row: npt.NDArray[np.int32]  # [slots]
    bucket_kept: npt.NDArray[np.uint64]  # [buckets / 64, rounded up] a bit for each: whether its n-grams were kept
    bucket_before: npt.NDArray[np.uint32]  # [as many] how many were kept before these
    buckets: int
    n_words: int  # rows before those of n-grams, which are in the order of their buckets
    vector: npt.NDArray[np.float32]  # [rows, dim]
    eos_row: int  # of the end of the text, which every text has; -1: it is not in the vocabulary
    shortest: int  # n-gram, in characters
    longest: int
    node: npt.NDArray[np.float32]  # [labels - 1, dim] of the inner nodes
    left: npt.NDArray[np.int32]  # [labels - 1] children of the inner nodes: a label, or labels + inner node
    right: npt.NDArray[np.int32]


def subword_model(
    words: list[bytes],
    vector: npt.NDArray[np.float32],
    kept: npt.NDArray[np.int64] | None,
    buckets: int,
    shortest: int,
    longest: int,
    label_counts: list[int],
    node: npt.NDArray[np.float32],
) -> SubwordModel:
    """Build a model.

    Args:
      words: the vocabulary, in UTF-8.
      vector: float32[words + kept buckets, dim], of the words first.
      kept: the bucket of each row after the words; None: each bucket has its row.
      buckets: how many there are for n-grams.
      shortest, longest: n-grams, in characters.
      label_counts: how often each label was in the training data, falling.
      node: float32[labels, dim], of the inner nodes of the tree; the last one is not used.
    """
    slots = 1 << (2 * len(words) + 1).bit_length()
    hashes, rows = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
    for row, hash64 in enumerate(hash_words(words).tolist()):
        slot = hash64 & (slots - 1)
        while hashes[slot]:
            slot = (slot + 1) & (slots - 1)
        hashes[slot], rows[slot] = hash64, row
    order = np.arange(buckets) if kept is None else np.argsort(kept)
    bucket_kept, bucket_before = as_bits(order if kept is None else kept[order], buckets)
    vector = np.concatenate([vector[: len(words)], vector[len(words) :][order]])
    eos_row = words.index(EOS.encode()) if EOS.encode() in words else -1
    left, right = _tree(label_counts)
    inner = np.ascontiguousarray(node[: len(left)])
    return SubwordModel(
        hashes,
        rows,
        bucket_kept,
        bucket_before,
        buckets,
        len(words),
        vector,
        eos_row,
        shortest,
        longest,
        inner,
        left,
        right,
    )


def _tree(counts: list[int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The children of the inner nodes of fastText's Huffman tree over labels of falling counts; the root is the last."""
    n = len(counts)
    weight = [*counts, *[10**15] * (n - 1)]
    left, right = [], []
    leaf, node = n - 1, n
    for inner in range(n, 2 * n - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and weight[leaf] < weight[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        weight[inner] = weight[pair[0]] + weight[pair[1]]
        left.append(pair[0])
        right.append(pair[1])
    return np.array(left, np.int32), np.array(right, np.int32)


@inlined
def _bucket(h, buckets, inverse):
    """Of h % buckets, without a division (Lemire et al. 2019, arXiv:1902.01961); `inverse` is 2^64 / buckets, rounded up."""
    low = np.uint64(h) * inverse
    return ((low >> _S32) * buckets + ((low & _LOW32) * buckets >> _S32)) >> _S32


@inlined
def _first_bytes(size):
    """Of eight bytes as a number the lowest."""
    return ~np.uint64(0) if size >= _EIGHT else (_ONE << (_EIGHT * size)) - _ONE


@inlined
def _place_of(low, high):
    """Where the sum of a word is kept."""
    return ((low ^ (high >> _S32)) * _FIRST_FACTOR + high * _SECOND_FACTOR) >> _PLACE


@inlined
def _add(total, place, vector, row):
    for k in range(vector.shape[1]):
        total[place, k] += vector[row, k]


@kernel("u8[]! u64 u64[] i32[] u64[] u32[] i64 u64 u64 f32[,] i64 i64 u64[] u64[]! f32[,]! u64")
def _sum_features(  # noqa: C901 (one pass, one loop)
    word,
    size,
    word_hash64,
    word_row,
    bucket_kept,
    bucket_before,
    n_words,
    buckets,
    inverse,
    vector,
    shortest,
    longest,
    word64,
    found,
    total,
    place,
):
    """Sum the vectors of a word's features in a row of `total`: how many.

    The word is behind `<` at `_EIGHT`, and there is room for a `>`.
    """
    for k in range(total.shape[1]):
        total[place, k] = 0.0
    count, end = 0, _EIGHT + size
    hash64 = _FNV64_OFFSET
    for i in range(_EIGHT, end):
        hash64 = (hash64 ^ np.uint64(word[i])) * _FNV64_PRIME
    mask = np.uint64(len(word_hash64) - 1)
    slot = hash64 & mask
    while word_hash64[slot] and word_hash64[slot] != hash64:
        slot = (slot + _ONE) & mask
    if word_hash64[slot]:
        _add(total, place, vector, word_row[slot])
        count += 1
    elif size > _EIGHT and word64[1] == _LABEL and word[_EIGHT + _EIGHT] == 95:  # _
        return count
    first, word[end] = _EIGHT - _ONE, 62  # >
    end += _ONE
    n_found = np.uint64(0)
    for i in range(first, end):
        if (word[i] & 0xC0) == 0x80:
            continue
        h = FNV32_OFFSET
        j = i
        for n in range(1, longest + 1):
            if j == end:
                break
            h = one_byte_on(h, word[j])
            j += _ONE
            while j < end and (word[j] & 0xC0) == 0x80:
                h = one_byte_on(h, word[j])
                j += _ONE
            if n >= shortest and not (n == 1 and (i == first or j == end)):
                bucket = _bucket(h, buckets, inverse)
                found[n_found] = bucket  # written over by the next if it was pruned: no branch to guess
                n_found += is_among(bucket_kept, bucket)
    for i in range(n_found):
        _add(total, place, vector, np.uint64(n_words) + n_below(bucket_kept, bucket_before, found[i]))
    return count + np.int64(n_found)


@kernel(
    "u8[] i64[] bool[] i64 u64[] i32[] u64[] u32[] u64 i64 f32[,] i64 i64 i64 u64[] u8[]! u64[]! u64[,]! i64[]! f32[,]! "
    "f32[,]! i64[]!"
)
def _sum_texts(
    data,
    offsets,
    asked,
    first,
    word_hash64,
    word_row,
    bucket_kept,
    bucket_before,
    buckets,
    n_words,
    vector,
    eos_row,
    shortest,
    longest,
    word64,
    word,
    found,
    known,
    n_known,
    known_sum,
    total,
    count,
):
    """Sum the vectors of the features of each text, and count them."""
    inverse = ~np.uint64(0) // buckets + np.uint64(1)
    word[_EIGHT - _ONE] = 60  # <
    for d in range(len(count)):
        if not asked[d]:
            continue
        # Unsigned, so that no index can count from the end: Numba would ask at each.
        at, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        if end - at > np.uint64(first):  # to where a character ends
            end = at + np.uint64(first)
            while end > at and (data[end] & 0xC0) == 0x80:
                end -= _ONE
        while at < end:
            while at < end and _SPACES[data[at]]:
                at += _ONE
            size = np.uint64(0)
            while at < end and not _SPACES[data[at]]:
                word[_EIGHT + size] = data[at]
                size += _ONE
                at += _ONE
            low = word64[1] & _first_bytes(size)
            high = word64[2] & _first_bytes(size - min(size, _EIGHT))
            if size == 0 or (low == _END_OF_TEXT and high == 0):
                break
            place = np.uint64(_KNOWN) if size > _LONGEST_KNOWN else _place_of(low, high)
            if size > _LONGEST_KNOWN or known[place, 0] != low or known[place, 1] != high:
                known[place, 0], known[place, 1] = low, high
                n_known[place] = _sum_features(
                    word,
                    size,
                    word_hash64,
                    word_row,
                    bucket_kept,
                    bucket_before,
                    n_words,
                    buckets,
                    inverse,
                    vector,
                    shortest,
                    longest,
                    word64,
                    found,
                    known_sum,
                    place,
                )
            _add(total, d, known_sum, place)
            count[d] += n_known[place]
        if eos_row >= 0:
            _add(total, d, vector, eos_row)
            count[d] += 1


@kernel("f32[,] i64[] f32[,] i32[] i32[] i64[]! f64[]! i64[]! f32[]!")
def _best(total, count, node, left, right, waiting, chance, out, out_log):
    """The likelier child first; what is less likely than the best leaf so far is not looked at."""
    n_labels = len(left) + 1
    for d in range(len(count)):
        if count[d] == 0:
            continue
        n_waiting = 1
        waiting[0], chance[0] = 2 * n_labels - 2, 0.0
        best = -np.inf
        while n_waiting:
            n_waiting -= 1
            here, so_far = waiting[n_waiting], chance[n_waiting]
            while so_far > best:
                if here < n_labels:
                    best = so_far
                    out[d] = here
                    out_log[d] = so_far
                    break
                inner = here - n_labels
                product = np.float32(0.0)
                for k in range(total.shape[1]):
                    product += total[d, k] * node[inner, k]
                f = 1.0 / (1.0 + np.exp(-np.float64(product) / count[d]))
                here, other = (right[inner], left[inner]) if f >= 0.5 else (left[inner], right[inner])
                waiting[n_waiting] = other
                chance[n_waiting] = so_far + np.log(min(f, 1.0 - f) + _NOT_ZERO)
                n_waiting += 1
                so_far += np.log(max(f, 1.0 - f) + _NOT_ZERO)


def _memory(first: int, longest: int) -> tuple[npt.NDArray[np.generic], ...]:
    """To work in: a word, as numbers and as bytes, and its n-grams."""
    words = np.zeros(3 + first // 8 + 1, np.uint64)  # `<` in the first, at least two for the word, and room for `>`
    return words, words.view(np.uint8), np.empty((first + 2) * longest + 1, np.uint64)


def _known(model: SubwordModel) -> tuple[npt.NDArray[np.generic], ...]:
    """Words, how many features each has, and their sums. Most words were there before, in this batch or in an earlier one.

    The sum of each stays where its hash says, until another word takes the place; behind them is room for a word that is too
    long to be kept. All bytes of a word are compared: what was there before must not change what is found.
    """
    if getattr(_of_thread, "vector", None) is not model.vector:
        sums = np.empty((_KNOWN + 1, model.vector.shape[1]), np.float32)
        _of_thread.known = np.zeros((_KNOWN + 1, 2), np.uint64), np.zeros(_KNOWN + 1, np.int64), sums
        _of_thread.vector = model.vector
    known: tuple[npt.NDArray[np.generic], ...] = _of_thread.known
    return known


def best_label(
    texts: pa.LargeStringArray, model: SubwordModel, first: int, asked: npt.NDArray[np.bool_] | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The label of each text, int64[texts], and its chance, float32[texts] in [0, 1]; -1 and 0 where a text has no feature.

    Args:
      texts: as they were read; white space of any kind ends a word.
      model: of the labels.
      first: bytes of a text that are looked at.
      asked: of which texts, bool[texts]; none: of all. Of the others it is as if they had no feature.
    """
    data, offsets = text_buffers(texts)
    first = min(first, int(np.diff(offsets).max(initial=0)))
    asked = np.ones(len(texts), np.bool_) if asked is None else asked
    *features, node, left, right = model
    total, count = np.zeros((len(texts), model.vector.shape[1]), np.float32), np.zeros(len(texts), np.int64)
    _sum_texts(data, offsets, asked, first, *features, *_memory(first, model.longest), *_known(model), total, count)
    found, log_chance = np.full(len(texts), -1), np.full(len(texts), -np.inf, np.float32)
    waiting = np.zeros(len(left) + 1, np.int64), np.zeros(len(left) + 1)  # inner nodes
    _best(total, count, node, left, right, *waiting, found, log_chance)
    return found, np.minimum(np.exp(log_chance), 1).astype(np.float32)
