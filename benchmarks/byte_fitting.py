"""Fit a model of bytes (kernels/models/bytes_model.py) to text: interpolated counts, pruned to a number of n-grams."""

import numpy as np
import numpy.typing as npt

from transforms.kernels.models.bytes_model import BITS, LONGEST, START, UNIFORM, Trie, bits_after, coded

DISCOUNT = 0.7  # taken from each count and given to what was not seen (absolute discounting)
_MARK = 0xFF  # between documents: no byte of UTF-8

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


def fit_bytes(texts: list[bytes], longest: int, most: int) -> Trie:
    """The model of at most `most` n-grams that says most about the texts.

    An n-gram is worth the bits that its own probability saves over backing off, times how often it occurs. Those worth most
    are kept, and with them all that they begin and end with.

    Args:
      texts: UTF-8, each a document.
      longest: n-gram, in bytes.
      most: n-grams that are kept.
    """
    if not 1 <= longest <= LONGEST:
        raise ValueError(f"longest must be between 1 and {LONGEST}, got {longest}")
    levels = _counted(texts, longest)
    worth = _worth(levels)
    low, high = 0.0, float(max([0.0, *(w.max(initial=0.0) for w in worth[1:])])) + 1
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(map(np.sum, _kept(levels, worth, middle))) <= most else (middle, high)
    return _stored(
        [(keys[chosen], p[chosen]) for (keys, _, p), chosen in zip(levels, _kept(levels, worth, high), strict=True)]
    )


def _counted(texts: list[bytes], longest: int) -> list[tuple[Keys, npt.NDArray[np.int64], Floats]]:
    """By length: the n-grams, how often they occur, and their probabilities after all but their last byte."""
    mark = bytes([_MARK])
    data = np.frombuffer(b"".join(mark + bytes([START]) + one for one in texts), np.uint8)
    levels: list[tuple[Keys, npt.NDArray[np.int64], Floats]] = []
    keys, clean = np.zeros(len(data), np.uint64), np.ones(len(data), bool)
    for length in range(1, longest + 1):
        at = length - 1
        keys[at:] = (keys[at:] if length == 1 else keys[at - 1 : -1]) << np.uint64(8) | data[at:]
        keys[:at] = 0
        clean[at:] = (clean[at:] if length == 1 else clean[at - 1 : -1]) & (data[at:] != _MARK)
        clean[:at] = False
        found, counts = np.unique(keys[clean], return_counts=True)
        prefix, suffix = found >> np.uint64(8), found & np.uint64((1 << 8 * at) - 1)
        _, parent = np.unique(prefix, return_inverse=True)
        total = np.bincount(parent, counts)[parent]
        different = np.bincount(parent)[parent]
        lower = levels[-1][2][np.searchsorted(levels[-1][0], suffix)] if levels else np.full(len(found), 1 / 256)
        p = (counts - DISCOUNT + DISCOUNT * different * lower) / total
        levels.append((found, counts.astype(np.int64), p.astype(np.float64)))
    return levels


def _worth(levels: list[tuple[Keys, npt.NDArray[np.int64], Floats]]) -> list[Floats]:
    """Bits that each n-gram saves over backing off, of all its occurrences; all single bytes are kept."""
    worth: list[Floats] = [np.full(len(levels[0][0]), np.inf)]
    for length in range(2, len(levels) + 1):
        (shorter, _, lower), (keys, counts, p) = levels[length - 2 : length]
        _, parent = np.unique(keys >> np.uint64(8), return_inverse=True)
        weight = DISCOUNT * np.bincount(parent)[parent] / np.bincount(parent, counts)[parent]
        suffix = keys & np.uint64((1 << 8 * (length - 1)) - 1)
        worth.append(counts.astype(np.float64) * np.log2(p / (weight * lower[np.searchsorted(shorter, suffix)])))
    return worth


def _kept(
    levels: list[tuple[Keys, npt.NDArray[np.int64], Floats]], worth: list[Floats], least: float
) -> list[npt.NDArray[np.bool_]]:
    """Which n-grams are worth more than `least`, or are the beginning or the end of one."""
    chosen = [w > least for w in worth]
    for length in range(len(levels) - 1, 0, -1):
        kept = levels[length][0][chosen[length]]
        for part in (kept >> np.uint64(8), kept & np.uint64((1 << 8 * length) - 1)):
            chosen[length - 1][np.searchsorted(levels[length - 1][0], part)] = True
    return chosen


def _stored(levels: list[tuple[Keys, Floats]]) -> Trie:
    """The trie, with the weights that make every context's probabilities add up to at most 1."""
    symbol, cost = np.zeros(1, np.uint8), np.zeros(1, np.uint8)
    weight, children = np.zeros(0, np.uint8), np.zeros(0, np.uint8)
    contexts: Keys = np.zeros(1, np.uint64)
    for length, (keys, p) in enumerate(levels, 1):
        codes = coded(-np.log2(p))
        at = np.searchsorted(contexts, keys >> np.uint64(8))
        here = np.bincount(at, 2.0 ** -BITS[codes], minlength=len(contexts))
        # What a shorter context says of the same bytes: the levels below are final, and so are their weights.
        below = Trie(symbol, cost, weight, children)
        shorter = keys & np.uint64((1 << 8 * (length - 1)) - 1)
        lower = bits_after(shorter, length - 1, below) if length > 1 else np.full(len(keys), UNIFORM)
        there = np.bincount(at, 2.0**-lower, minlength=len(contexts))
        with np.errstate(divide="ignore", invalid="ignore"):
            back = np.where(there < 1, (1 - here) / (1 - there), 0.0)
        weight = np.r_[weight, coded(-np.log2(np.clip(back, 1e-9, 1.0)))]
        children = np.r_[children, np.bincount(at, minlength=len(contexts)).astype(np.uint8)]
        symbol, cost = np.r_[symbol, (keys & np.uint64(255)).astype(np.uint8)], np.r_[cost, codes]
        contexts = keys
    return Trie(symbol, cost, weight, children)
