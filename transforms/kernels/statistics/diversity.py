"""Lexical diversity from document sketches: mergeable counts, then distinct-n, entropy and compression ratio.

The counting unit is the document: an n-gram counts once per document, and only the first `WINDOW` words of a document
are looked at. That makes a number depend less on a few long or bursty documents.

Two- and three-grams are sampled by type: an n-gram is counted only if its hash falls in 1/16 or 1/32 of hash space, and
then always (Gibbons 2001, distinct sampling). The ratio of types to occurrences is the same in the sample as in the
whole up to sampling error of relative size 1/sqrt(sampled types).
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.similarity.minhash import POLYNOMIAL, mix64, mixed
from transforms.kernels.text.columns import distinct_numbers

WINDOW = 300
ORDERS = (1, 2, 3)
RATES = (1, 16, 32)  # one type in so many is counted, by order; powers of two
HEAD_CHARS = 1000
_SLOTS = 1024  # a power of two, more than three times the window
SAMPLE_DOCUMENTS = 512
SAMPLE_PER_SPLIT = 2 * SAMPLE_DOCUMENTS  # more than are needed, because some of them will be dropped
_SAMPLE_SALT = np.uint64(0x6C6F776261636B67)
_SHIFT, _HALF = np.uint64(32), np.uint64(1 << 32)


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


def count(types: npt.NDArray[np.uint32]) -> TypeCounts:
    """Count the concatenated sketches of some documents."""
    found, documents = np.unique(types, return_counts=True)
    return TypeCounts(found, documents.astype(np.int64))


def merge(parts: list[TypeCounts]) -> TypeCounts:
    """The counts of all documents of the parts. Commutative and associative; `merge([])` is the empty count."""
    if not parts:
        return TypeCounts(np.zeros(0, np.uint32), np.zeros(0, np.int64))
    if len(parts) == 1:
        return parts[0]
    # Type and count as one number: numbers sort several times as fast as an order of them is found. And in one array, whatever
    # is done to it: the largest merges are where a run takes most memory.
    ends = np.cumsum([len(p.types) for p in parts])
    keys = np.empty(ends[-1], np.uint64)
    for part, end in zip(parts, ends, strict=True):
        assert not len(part.documents) or part.documents.max() < _HALF, "a type is in 2^32 documents"
        own = keys[end - len(part.types) : end]
        own[:] = part.types
        own <<= _SHIFT
        own |= part.documents.view(np.uint64)
    keys.sort()
    types = (keys >> _SHIFT).astype(np.uint32)
    is_first = np.ones(len(types), bool)
    np.not_equal(types[1:], types[:-1], out=is_first[1:])
    first = np.flatnonzero(is_first)
    keys &= _HALF - np.uint64(1)
    counts = keys.view(np.int64)
    return TypeCounts(types[first], np.add.reduceat(counts, first) if len(first) else counts)


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
