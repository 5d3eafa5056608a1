"""What kernels look values up in: a set of what one document had, and a column that ascends."""

import numpy as np

from transforms.kernels.compiled import inlined


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
