"""Bits per byte under a small model of bytes: a back-off n-gram model, as a trie.

A byte's probability after the bytes before it is that of the longest stored n-gram that ends with it; for each longer
context that is stored but does not go on with it, it is multiplied by that context's back-off weight (Katz 1987).
Probabilities are stored as costs in bits, rounded up, and so are weights: over all 256 bytes they add up to at most 1 after
every context, so bits are those of a real code, and no text can have too few.
"""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel

LONGEST = 7  # bytes in an n-gram: as many as a uint64 has, less one
MOST_BITS = 20.0
_STEPS = 255.0
START = ord("\n")  # a document begins as if after a line break
UNIFORM = 8.0  # bits of a byte that no context knows, before the root's weight


@dataclasses.dataclass(frozen=True)
class Trie:
    """The stored n-grams, by length and then by their bytes; the root, of no bytes, is the first.

    With an n-gram all that it begins with is stored, and all that it ends with.

    Attributes:
      symbol: last byte of each, uint8[nodes].
      cost: of that byte after the others, as `coded`, uint8[nodes].
      weight: cost of backing off from it as a context, uint8[inner], of those that are shorter than the longest.
      children: how many n-grams go on with it, uint8[inner]; text in UTF-8 has less than 256 different bytes.
    """

    symbol: npt.NDArray[np.uint8]
    cost: npt.NDArray[np.uint8]
    weight: npt.NDArray[np.uint8]
    children: npt.NDArray[np.uint8]

    @functools.cached_property
    def first(self) -> npt.NDArray[np.int32]:
        """Where the children of each inner node begin, and where the last one's end. int32[inner + 1]."""
        return np.cumsum(np.r_[1, self.children.astype(np.int64)]).astype(np.int32)

    @functools.cached_property
    def shorter(self) -> npt.NDArray[np.int32]:
        """The node of each without its first byte; the root for the root, and where there is none. int32[nodes]."""
        out = np.zeros(len(self.symbol), np.int32)
        _shorter(self.symbol, self.first, out)
        return out


def coded(bits: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Costs as one byte each, rounded up: finer where they are small, at most `MOST_BITS`."""
    steps = np.ceil(np.sqrt(np.clip(bits, 0, MOST_BITS) / MOST_BITS) * _STEPS - 1e-9)
    return np.clip(steps, 0, _STEPS).astype(np.uint8)


BITS = MOST_BITS * (np.arange(256) / _STEPS) ** 2  # what a code stands for


@inlined
def _child(symbol, first, node, byte):
    """The node of the n-gram that goes on with `byte`, or -1."""
    if node < 0 or node + 1 >= len(first):
        return -1
    low, high = first[node], first[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if symbol[middle] < byte:
            low = middle + 1
        else:
            high = middle
    return low if low < first[node + 1] and symbol[low] == byte else -1


@kernel("u8[] i32[] i32[]!")
def _shorter(symbol, first, out):
    for node in range(1, len(first) - 1):  # the children of the root have none but the root
        for child in range(first[node], first[node + 1]):
            out[child] = max(0, _child(symbol, first, out[node], symbol[child]))


@kernel("u8[] i64[] u8[] u8[] u8[] i32[] i32[] f64[] i64[]! f64[]!")
def _bits(data, offsets, symbol, cost, weight, first, shorter, table, roots, out):
    for node in range(first[0], first[1]):
        roots[symbol[node]] = node
    inner = len(weight)
    begin = roots[START] if 0 <= roots[START] < inner else 0
    for d in range(len(out)):
        start, end = offsets[d], offsets[d + 1]
        if end == start:
            continue
        context = begin  # the longest stored one: all shorter ones are what is left of it
        total = 0.0
        for t in range(start, end):
            byte = data[t]
            while True:
                child = _child(symbol, first, context, byte) if context else roots[byte]
                if child >= 0:
                    total += table[cost[child]]
                    context = child if child < inner else shorter[child]
                    break
                total += table[weight[context]]
                if not context:
                    total += UNIFORM
                    break
                context = shorter[context]
        out[d] = total / (end - start)


def bits_per_byte(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], trie: Trie) -> npt.NDArray[np.float64]:
    """Of each document, float64[documents]; NaN if it is empty.

    Args:
      data: UTF-8 of all documents.
      offsets: where each begins, and the last one's end.
      trie: the model.
    """
    out, roots = np.full(len(offsets) - 1, np.nan), np.full(256, -1)
    _bits(data, offsets, trie.symbol, trie.cost, trie.weight, trie.first, trie.shorter, BITS, roots, out)
    return out


@kernel("u64[] i64 u8[] u8[] u8[] i32[] f64[]", allocates=True)
def _after(keys, length, symbol, cost, weight, first, table):
    out = np.empty(len(keys))
    for i in range(len(keys)):
        byte = np.uint8(keys[i] & np.uint64(255))
        bits, found = 0.0, False
        for size in range(length - 1, -1, -1):  # contexts, the longest first
            node = 0
            for place in range(size, 0, -1):
                node = _child(symbol, first, node, np.uint8((keys[i] >> np.uint64(8 * place)) & np.uint64(255)))
                if node < 0:
                    break
            if node < 0:
                continue
            child = _child(symbol, first, node, byte)
            if child >= 0:
                bits += table[cost[child]]
                found = True
                break
            bits += table[weight[node]] if node < len(weight) else 0.0
        out[i] = bits if found else bits + UNIFORM
    return out


def bits_after(keys: npt.NDArray[np.uint64], length: int, trie: Trie) -> npt.NDArray[np.float64]:
    """Bits of the last byte of n-grams after their other bytes.

    Args:
      keys: n-grams as numbers, the last byte in the lowest eight bits, uint64[n].
      length: of all of them, in bytes.
      trie: the model.
    """
    return _after(keys, length, trie.symbol, trie.cost, trie.weight, trie.first, BITS)
