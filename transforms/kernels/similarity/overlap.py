"""How much of some items is in a document: distinct word n-grams, weighted by in how few items they are.

An n-gram of an item weighs round(2^20 / df), at least 1, df being how many of the items hold it: what a thousand questions
have in common (instructions, a form to fill in) hardly counts, what one alone has counts most. The overlap of a document with
an item is the weight of those of the item's n-grams that the document has, over the weight of all of them. Weights are whole
numbers and a document is looked at as a whole, so that no sum depends on batches or on their order. Inverse document
frequencies to the same end: Spärck Jones 1972; n-grams of 13 words: Brown et al. 2020, appendix C.

N-grams are named by 64 bits of hash: with 100 million of them, the chance that a place in a text is taken for one that it is
not is about 5 in 10^12.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64, shingle_sets

SCALE = 1 << 20  # the weight of an n-gram that one item alone has
PARTS = 10_000  # of an overlap, where it is kept as a whole number
BITS_A_GRAM = 16  # of the table that is asked first
_U1, _U6, _U63, _U20 = np.uint64(1), np.uint64(6), np.uint64(63), np.uint64(20)


class Grams(NamedTuple):
    """The n-grams of some items, made to be looked for.

    Attributes:
      ngram: words in one.
      hashes: of the n-grams, ascending, uint64[grams].
      offsets, items: n-gram g is in the items `items[offsets[g] : offsets[g + 1]]`, ascending: int64[grams + 1], uint32.
      weight: of each n-gram, int64[grams].
      total: of each item, the weight of its n-grams, int64[items]; 0: it has fewer words than one takes.
      bits: two bits for each n-gram, set in one word of a power of two, uint64. Of all others one in about 70 passes.
      slots: a power of two of places, each with the number of an n-gram or -1, int32: open addressing by the hash.
    """

    ngram: int
    hashes: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.uint32]
    weight: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint64]
    slots: npt.NDArray[np.int32]


class Overlaps(NamedTuple):
    """What documents have of items.

    Attributes:
      largest: of each document, its largest overlap with an item, in [0, 1], float32[documents].
      offsets, items, parts: document d has at least the asked overlap with the items `items[offsets[d] : offsets[d + 1]]`,
        ascending, and `parts` of `PARTS` of each, rounded down: int64[documents + 1], uint32, uint32.
    """

    largest: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.uint32]


@kernel("u64[] u64[]! i32[]!")
def _fill(hashes, bits, slots):
    words, places = np.uint64(len(bits) - 1), np.uint64(len(slots) - 1)
    for g in range(len(hashes)):
        h = hashes[g]
        bits[(h >> _U20) & words] |= (_U1 << (h & _U63)) | (_U1 << ((h >> _U6) & _U63))
        slot = h & places
        while slots[slot] >= 0:
            slot = (slot + _U1) & places
        slots[slot] = g


@kernel("i64[] u64[] i64 u64[] u64[] i32[] i32[]!")
def _find(word_offsets, words, ngram, hashes, bits, slots, out):
    size, power = np.uint64(ngram), np.uint64(1)
    for _ in range(ngram):
        power *= POLYNOMIAL
    out_of = size * (POLYNOMIAL - _U1)
    masks, places = np.uint64(len(bits) - 1), np.uint64(len(slots) - 1)
    for d in range(len(word_offsets) - 1):
        start, end = word_offsets[d], word_offsets[d + 1]
        for t in range(start, min(start + ngram - 1, end)):
            out[t] = -1
        h = size  # Horner's rule from this start, as for shingles
        for t in range(start, end):
            h = h * POLYNOMIAL + words[t]
            if t >= start + ngram:  # the next word came in, and the first with its power goes out
                h -= (words[t - ngram] + out_of) * power
            if t >= start + ngram - 1:
                g = mix64(h)
                mask = (_U1 << (g & _U63)) | (_U1 << ((g >> _U6) & _U63))
                found = np.int32(-1)
                if bits[(g >> _U20) & masks] & mask == mask:
                    slot = g & places
                    while slots[slot] >= 0:
                        if hashes[slots[slot]] == g:
                            found = slots[slot]
                            break
                        slot = (slot + _U1) & places
                out[t] = found


@kernel("i64[] i32[] i64[] u32[] i64[] i64[] i64[] i32[]! i64[]! u32[]! f32[]! i64[]! u32[]! u32[]!")
def _score(
    word_offsets, grams, offsets, items, weight, total, least, seen, score, touched, largest, counts, found, parts
):
    """Returns how many (document, item) there are, and writes as many as there is room for."""
    n = 0
    for d in range(len(word_offsets) - 1):
        n_touched = 0
        for t in range(word_offsets[d], word_offsets[d + 1]):
            g = grams[t]
            if g >= 0 and seen[g] != d + 1:
                seen[g] = d + 1
                for at in range(offsets[g], offsets[g + 1]):
                    item = items[at]
                    if score[item] == 0:
                        touched[n_touched] = item
                        n_touched += 1
                    score[item] += weight[g]
        best = 0.0
        for k in range(n_touched):
            item = touched[k]
            best = max(best, score[item] / total[item])
            if score[item] >= least[item]:
                if n < len(found):
                    found[n] = item
                    parts[n] = score[item] * PARTS // total[item]
                n += 1
            score[item] = 0
        largest[d] = best
        counts[d + 1] = n
    return n


def build(word_offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], ngram: int) -> Grams:
    """The n-grams of items, by the hashes of their words (`minhash.words`)."""
    of_item, sets = shingle_sets(word_offsets, words, ngram)
    n_items = len(of_item) - 1
    item = np.repeat(np.arange(n_items, dtype=np.uint32), np.diff(of_item))
    order = np.argsort(sets, kind="stable")
    hashes, first, df = np.unique(sets[order], return_index=True, return_counts=True)
    weight = np.maximum(1, (2 * SCALE + df) // (2 * df)).astype(np.int64)
    total = np.zeros(n_items, np.int64)
    np.add.at(total, item[order], np.repeat(weight, df))
    bits = np.zeros(_power_of_two(BITS_A_GRAM * len(hashes) // 64), np.uint64)
    slots = np.full(_power_of_two(2 * len(hashes)), -1, np.int32)
    _fill(hashes, bits, slots)
    return Grams(ngram, hashes, np.append(first, len(order)).astype(np.int64), item[order], weight, total, bits, slots)


def _power_of_two(least: int) -> int:
    return 1 << max(0, int(least) - 1).bit_length()


def find(word_offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], grams: Grams) -> npt.NDArray[np.int32]:
    """Which n-gram of the items ends at each word of some documents, by its number; -1: none. int32[words]."""
    out = np.empty(len(words), np.int32)
    _find(word_offsets, words, grams.ngram, grams.hashes, grams.bits, grams.slots, out)
    return out


def overlaps(
    word_offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], grams: Grams, least: float
) -> Overlaps:
    """Hold documents against items.

    Args:
      word_offsets, words: of the documents, as `minhash.words` gives them.
      grams: of the items.
      least: the overlap from which on an item is said to be in a document, in (0, 1].
    """
    at, n, n_items = find(word_offsets, words, grams), len(word_offsets) - 1, len(grams.total)
    enough = np.maximum(1, np.ceil(least * grams.total)).astype(np.int64)
    largest, counts = np.zeros(n, np.float32), np.zeros(n + 1, np.int64)
    room = 1024
    while True:
        seen, score, touched = (
            np.zeros(len(grams.hashes), np.int32),
            np.zeros(n_items, np.int64),
            np.empty(n_items, "u4"),
        )
        found, parts = np.empty(room, np.uint32), np.empty(room, np.uint32)
        needed = _score(
            word_offsets,
            at,
            grams.offsets,
            grams.items,
            grams.weight,
            grams.total,
            enough,
            seen,
            score,
            touched,
            largest,
            counts,
            found,
            parts,
        )
        if needed <= room:
            break
        room = needed
    order = np.lexsort((found[:needed], np.repeat(np.arange(n), np.diff(counts))))
    return Overlaps(largest, counts, found[order], parts[order])
