"""Sets of types in a third of their bytes: a type that was there before is a number, and numbers that rise are small steps.

The different types of documents that come one after the other are numbered as they come. Of each document are told the types
that are *new*, as they are, and of the others the numbers, rising, as steps from one to the next: their low bytes, and apart
the high ones, which are nearly all zero. What is frequent comes early, so its numbers are near each other. A type that comes
when `MOST` have numbers gets none, and is new each time.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.lookup import n_set

MOST = (1 << 16) - 1  # types that have a number: a step has two bytes
_SLOT_BITS = 17
_TO_SLOT, _LAST_SLOT = np.uint32(32 - _SLOT_BITS), np.uint64((1 << _SLOT_BITS) - 1)
_ONE, _S6, _S8, _S12, _LOW6, _LOW8 = (np.uint64(n) for n in (1, 6, 8, 12, 63, 255))

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]


class Steps(NamedTuple):
    """The sets of types of documents that come one after the other.

    Attributes:
      new_offsets: where the new types of each document begin, and the last one's end, int64[documents + 1].
      new: types that had no number.
      offsets: where the steps of each document begin, int64[documents + 1].
      low, high: bytes of the steps.
    """

    new_offsets: I64
    new: U32
    offsets: I64
    low: U8
    high: U8


@inlined
def _lowest(bits):
    """Which bit of a number, of which some are set, is the lowest that is."""
    return n_set((bits & (~bits + _ONE)) - _ONE)


@kernel("i64[] u32[] u16[]! u32[]! u64[]! u64[]! u64 i64[]! u32[]! i64[]! u8[]! u8[]!")
def _to_steps(offsets, types, numbers, known, bits, some, n_known, new_ends, new, ends, low, high):
    n_new, n = np.uint64(0), np.uint64(0)
    for d in range(len(offsets) - 1):
        for t in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            slot = np.uint64(types[t] >> _TO_SLOT)
            while numbers[slot] and known[np.uint64(numbers[slot]) - _ONE] != types[t]:
                slot = (slot + _ONE) & _LAST_SLOT
            if numbers[slot]:
                number = np.uint64(numbers[slot]) - _ONE
                bits[number >> _S6] |= _ONE << (number & _LOW6)
                some[number >> _S12] |= _ONE << (number >> _S6 & _LOW6)
                continue
            new[n_new] = types[t]
            n_new += _ONE
            if n_known < np.uint64(MOST):
                known[n_known] = types[t]
                n_known += _ONE
                numbers[slot] = n_known
        before = np.uint64(0)
        for at in range(np.uint64(len(some))):
            words = some[at]
            some[at] = 0
            while words:
                word = (at << _S6) + _lowest(words)
                words &= words - _ONE
                left = bits[word]
                bits[word] = 0
                while left:
                    number = (word << _S6) + _lowest(left)
                    left &= left - _ONE
                    low[n], high[n] = (number - before) & _LOW8, (number - before) >> _S8
                    n += _ONE
                    before = number
        new_ends[d + 1], ends[d + 1] = n_new, n
    return n_known


class Numbering:
    """The numbers that types have so far."""

    def __init__(self) -> None:
        self.numbers = np.zeros(1 << _SLOT_BITS, np.uint16)  # one more than the number, in an open-addressing table
        self.known = np.empty(MOST, np.uint32)
        # Of the types of a document the bits of their numbers, and of these words those that are not zero: to sort them.
        self.bits, self.some = np.zeros(1 << 10, np.uint64), np.zeros(1 << 4, np.uint64)
        self.n_known = 0

    def steps(self, offsets: I64, types: U32) -> Steps:
        """The sets of the next documents: `types[offsets[d]:offsets[d + 1]]`, different ones."""
        ends, new_ends = np.zeros(len(offsets), np.int64), np.zeros(len(offsets), np.int64)
        new = np.empty(len(types), np.uint32)
        low, high = np.empty(len(types), np.uint8), np.empty(len(types), np.uint8)
        state = self.numbers, self.known, self.bits, self.some, self.n_known
        self.n_known = _to_steps(offsets, types, *state, new_ends, new, ends, low, high)
        return Steps(new_ends, new[: new_ends[-1]].copy(), ends, low[: ends[-1]].copy(), high[: ends[-1]].copy())


@kernel("i64[] u32[] i64[] u8[] u8[] u32[]!")
def _from_steps(new_offsets, new, offsets, low, high, out):
    n = np.uint64(0)
    for d in range(len(offsets) - 1):
        number = np.uint64(0)
        for i in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            number += np.uint64(low[i]) | np.uint64(high[i]) << _S8
            out[n] = new[number]
            n += _ONE
        for i in range(np.uint64(new_offsets[d]), np.uint64(new_offsets[d + 1])):
            out[n] = new[i]
            n += _ONE


def types_of(steps: Steps) -> tuple[I64, U32]:
    """`(offsets, types)` of all documents of a numbering from its first one on; in a document in another order than they were."""
    out = np.empty(len(steps.new) + len(steps.low), np.uint32)
    _from_steps(*steps, out)
    return steps.new_offsets + steps.offsets, out
