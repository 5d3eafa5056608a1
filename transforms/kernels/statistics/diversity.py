"""Lexical diversity from document sketches: mergeable counts, then distinct-n, entropy and compression ratio.

The counting unit is the document: an n-gram counts once per document, and only the first `WINDOW` words of a document
are looked at. That makes a number depend less on a few long or bursty documents.

Two- and three-grams are sampled by type: an n-gram is counted only if its hash falls in 1/16 or 1/32 of hash space, and
then always (Gibbons 2001, distinct sampling). The ratio of types to occurrences is the same in the sample as in the
whole up to sampling error of relative size 1/sqrt(sampled types).
"""

import heapq
import zlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64, mixed
from transforms.kernels.text.columns import distinct_numbers, starts

WINDOW = 300
ORDERS = (1, 2, 3)
RATES = (1, 16, 32)  # one type in so many is counted, by order; powers of two
HEAD_CHARS = 1000
_SLOTS = 1024  # a power of two, more than three times the window
_COUNTED_IN_TABLE = 1 << 17  # occurrences from which on they are, and slots of it
SAMPLE_DOCUMENTS = 512
SAMPLE_PER_SPLIT = 2 * SAMPLE_DOCUMENTS  # more than are needed, because some of them will be dropped
_SAMPLE_SALT = np.uint64(0x6C6F776261636B67)
_SHIFT = np.uint64(32)


class TypeCounts(NamedTuple):
    """In how many documents each n-gram type occurs."""

    types: npt.NDArray[np.uint32]  # ascending, unique hashes
    documents: npt.NDArray[np.int64]


@kernel("i64[] u64[] i64 i64 u64[]! u64[]! u32[]! i64[]!")
def _sketch(word_offsets, words, order, rate, hashes, table, out, out_offsets):
    n, others, last = np.uint64(0), np.uint64(rate - 1), np.uint64(_SLOTS - 1)
    for d in range(len(word_offsets) - 1):
        start = np.uint64(word_offsets[d])
        size = np.uint64(max(0, min(word_offsets[d + 1] - word_offsets[d], WINDOW) - order + 1))
        # Without a branch, so that LLVM makes vector loops of these.
        for t in range(size):
            hashes[t] = np.uint64(order)
        for i in range(np.uint64(order)):
            for t in range(size):
                hashes[t] = hashes[t] * POLYNOMIAL + words[start + t + i]
        for t in range(size):
            hashes[t] = mix64(hashes[t]) >> _SHIFT
        drawn = np.uint64(0)
        for t in range(size):
            hashes[drawn] = hashes[t]
            drawn += np.uint64(hashes[t] & others == 0)
        # A slot counts only if the document is in it, so that nothing has to be cleared for the next.
        mark = np.uint64(d + 1) << _SHIFT
        for t in range(drawn):
            own, slot = mark | hashes[t], (hashes[t] >> np.uint64(8)) & last
            while table[slot] != own and table[slot] >= mark:
                slot = (slot + np.uint64(1)) & last
            out[n] = hashes[t]  # written over by the next if it was there before: no branch to guess
            n += np.uint64(table[slot] != own)
            table[slot] = own
        out_offsets[d + 1] = n
    return n


def sketch(
    word_offsets: npt.NDArray[np.int64], word_hashes: npt.NDArray[np.uint64], order: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`(offsets, types)`: the sampled distinct n-grams of each document's first `WINDOW` words."""
    # The n-grams of one document, and its types: an open-addressing table.
    memory = np.empty(WINDOW + 1, np.uint64), np.zeros(_SLOTS, np.uint64)
    out, offsets = np.empty(len(word_hashes) + 1, np.uint32), np.zeros(len(word_offsets), np.int64)
    n = _sketch(word_offsets, word_hashes, order, RATES[ORDERS.index(order)], *memory, out, offsets)
    return offsets, out[:n].copy()  # a copy, for there was room for all words


@kernel("u32[] u32[]! i64[]!")
def _count(types, known, documents):
    """Count in an open-addressing table; how many different types there are, or -1: it is half full."""
    last, one, found = np.uint64(len(known) - 1), np.uint64(1), 0
    for type_ in types:
        slot = np.uint64(type_ >> np.uint32(8)) & last  # the lowest bits of a sample of types are 0
        while documents[slot] and known[slot] != type_:
            slot = (slot + one) & last
        if not documents[slot]:
            known[slot] = type_
            found += 1
            if found > len(known) // 2:
                return -1
        documents[slot] += 1
    return found


def count(types: npt.NDArray[np.uint32]) -> TypeCounts:
    """Count the concatenated sketches of some documents."""
    if len(types) >= _COUNTED_IN_TABLE:  # most of them again and again: in a third of the time that sorting takes
        known, documents = np.empty(_COUNTED_IN_TABLE, np.uint32), np.zeros(_COUNTED_IN_TABLE, np.int64)
        if _count(types, known, documents) >= 0:
            found = np.flatnonzero(documents)
            found = found[np.argsort(known[found])]
            return TypeCounts(known[found], documents[found])
    rising = np.sort(types)
    first = starts(rising)
    return TypeCounts(rising[first], np.diff(first, append=len(rising)))


@kernel("u32[] i64[] u32[] i64[] u32[]! i64[]!")
def _merge(types, documents, others, more, merged, sums):
    """Two columns of types as one; how many there are. Nothing is asked that could be guessed wrong."""
    left, right = np.uint64(len(types)), np.uint64(len(others))
    at, beside, n, one = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(1)
    while at < left and beside < right:
        mine, theirs = types[at], others[beside]
        is_mine, is_theirs = np.uint64(mine <= theirs), np.uint64(theirs <= mine)
        merged[n] = min(mine, theirs)
        sums[n] = documents[at] * np.int64(is_mine) + more[beside] * np.int64(is_theirs)
        at, beside, n = at + is_mine, beside + is_theirs, n + one
    for rest in range(at, left):
        merged[n], sums[n] = types[rest], documents[rest]
        n += one
    for rest in range(beside, right):
        merged[n], sums[n] = others[rest], more[rest]
        n += one
    return n


def merge(parts: list[TypeCounts]) -> TypeCounts:
    """The counts of all documents of the parts. Commutative and associative; `merge([])` is the empty count."""
    left = [part for part in parts if len(part.types)]
    if not left:
        return TypeCounts(np.zeros(0, np.uint32), np.zeros(0, np.int64))
    # Two at a time, the smallest first: types ascend, and to sort those of all parts again takes five times as long.
    queue = [(len(part.types), number) for number, part in enumerate(left)]
    heapq.heapify(queue)
    while len(queue) > 1:
        (_, one), (_, other) = heapq.heappop(queue), heapq.heappop(queue)
        room = len(left[one].types) + len(left[other].types)
        types, documents = np.empty(room, np.uint32), np.empty(room, np.int64)
        n = _merge(*left[one], *left[other], types, documents)
        left[one] = left[other] = TypeCounts(types[:n].copy(), documents[:n].copy())
        heapq.heappush(queue, (n, other))
    return left[queue[0][1]]


Part = TypeVar("Part")


def fewer(
    parts: list[Part], merge: Callable[[list[Part]], Part], size: Callable[[Part], int], tightly: bool
) -> list[Part]:
    """The same parts: merged if there are many or the tail outgrows the head, so that nothing is merged often; or always."""
    if len(parts) > 1 and (tightly or len(parts) > 64 or sum(map(size, parts[1:])) > 2 * size(parts[0])):
        return [merge(parts)]
    return parts


def distinct(counts: TypeCounts) -> float:
    """Types over occurrences, in (0, 1]: distinct-n (Li et al. 2016) with the document as unit. NaN if empty."""
    total = int(counts.documents.sum())
    return len(counts.types) / total if total else float("nan")


def entropy(counts: TypeCounts, one_in: float = 1.0) -> float:
    """Shannon entropy of the n-gram distribution in bits, plug-in estimate. NaN if empty.

    With one type in R = `one_in` sampled: H = log2 R - sum (c/T) log2 (c/T), T the occurrences in the sample.
    """
    total = int(counts.documents.sum())
    if not total:
        return float("nan")
    p = counts.documents / total
    return float(np.log2(one_in) - (p * np.log2(p)).sum())


def sample_keys(content: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The key that decides which documents are sampled, from the first half of the content hash. uint64[n]."""
    return mixed(content ^ _SAMPLE_SALT)


def compression_ratio(heads: list[str]) -> float:
    """Bytes over zlib-compressed bytes of the sampled heads, in the order given. NaN if there are none.

    Higher means more repetition (Shaib et al. 2024, arXiv:2403.00553). zlib sees 32 KiB at a time, so this is about
    repetition within and between neighbours. Compare only samples of similar size.
    """
    data = "\n".join(heads).encode()
    return len(data) / len(zlib.compress(data, 6)) if data else float("nan")


def quantiles(lengths: npt.NDArray[np.int64], documents: npt.NDArray[np.int64], q: list[float]) -> list[float]:
    """Exact quantiles of a length histogram: the smallest length with at least a fraction q at or below it."""
    if not len(lengths):
        return [float("nan")] * len(q)
    order = np.argsort(lengths)
    cumulative = np.cumsum(documents[order])
    return [float(lengths[order][np.searchsorted(cumulative, x * cumulative[-1])]) for x in q]


def sample_below(keys: npt.NDArray[np.uint64]) -> np.uint64:
    """The bound under which lie the `SAMPLE_PER_SPLIT` smallest keys, or all of them if there are no more."""
    smallest = distinct_numbers(keys)
    return smallest[SAMPLE_PER_SPLIT] if len(smallest) > SAMPLE_PER_SPLIT else np.uint64(2**64 - 1)
