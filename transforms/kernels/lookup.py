"""What kernels look values up in: a set of what one document had, a column that ascends, and bits of it that are counted."""

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined

_ONE, _TWO, _FOUR, _S6, _LOW6, _S56 = (np.uint64(n) for n in (1, 2, 4, 6, 63, 56))
_PAIRS, _FOURS, _BYTES, _SUM = (
    np.uint64(n) for n in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)
)


@inlined
def is_new(table, stamp, slots, mark, first, value):
    """Whether `value` is not yet in the set that is stamped with `mark`; now it is.

    The set is an open-addressing table of `slots`, a power of two and more than it will hold. A slot counts only if it is
    stamped with `mark`, so that nothing has to be cleared for the next document. `first` is any hash of the value.
    """
    # Unsigned, so that no index can count from the end: Numba would ask at each.
    last, one = np.uint64(slots - 1), np.uint64(1)
    slot = np.uint64(first) & last
    while stamp[slot] == mark and table[slot] != value:
        slot = (slot + one) & last
    new = stamp[slot] != mark
    stamp[slot] = mark
    table[slot] = value
    return new


@inlined
def first_at_least(values, value):
    """Where `value` is in `values`, which ascend, or would be: NumPy's search takes longer to compile than most kernels."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


def as_bits(places: npt.NDArray[np.int64], size: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """A bit for each number below `size`, which says whether it is among `places`, and what `n_below` needs beside.

    Args:
      places: rising; some may be there twice.
      size: more than the last of them.

    Returns:
      uint64[size / 64, rounded up], the lowest bit first; and how many places are before each of these, uint32, as many.
    """
    is_there = np.zeros(-(-size // 64) * 64, np.uint8)
    is_there[places] = 1
    bits = np.packbits(is_there, bitorder="little").view("<u8").astype(np.uint64)
    return bits, np.searchsorted(places, 64 * np.arange(len(bits))).astype(np.uint32)


@inlined
def is_among(bits, place):
    """1 if a bit is set, else 0."""
    return (bits[place >> _S6] >> (place & _LOW6)) & _ONE


@inlined
def first_from(bits, before, values, value, place):
    """Where `value` is in `values`, which ascend, or would be; the last is no less than any value that is asked for.

    `place`, the highest bits of the value, says by the bits of all places where it may begin: mostly there.
    """
    number = n_below(bits, before, place)
    while values[number] < value:
        number += _ONE
    return number


@inlined
def n_below(bits, before, place):
    """How many places are below `place`; of the 64 about it, one that is there twice counts once.

    Takes a twentieth of the memory that an array of answers would, which is why it is quick.
    """
    return np.uint64(before[place >> _S6]) + n_set(bits[place >> _S6] & ((_ONE << (place & _LOW6)) - _ONE))


@inlined
def n_set(x):
    """How many bits of a number are set, in a form that LLVM knows: it becomes one instruction."""
    x -= (x >> _ONE) & _PAIRS
    x = (x & _FOURS) + ((x >> _TWO) & _FOURS)
    return (((x + (x >> _FOUR)) & _BYTES) * _SUM) >> _S56
