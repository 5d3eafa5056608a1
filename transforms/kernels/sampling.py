"""Which documents fit a budget: a cut in salted hash order.

Every document has a place u = hash(salt, content) in [0, 2^64), the same wherever and with whatever it arrives. What is
kept is a prefix in the order of (u, id), so a smaller budget keeps a subset of a larger one, and adding documents
changes the choice near the cut only.
"""

import hashlib
import math
from fractions import Fraction
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from transforms.kernels.minhash import mix64

BINS = 1 << 16
_BIN_SHIFT = np.uint64(48)


class Place(NamedTuple):
    """Where documents stand in the order of the cut. Three uint64 arrays, compared in this order."""

    u: npt.NDArray[np.uint64]
    high: npt.NDArray[np.uint64]  # the document's id
    low: npt.NDArray[np.uint64]


@numba.njit(nogil=True, cache=True)
def _places(high, low, salt):  # type: ignore[no-untyped-def]
    out = np.empty(len(high), np.uint64)
    for i in range(len(high)):
        out[i] = mix64(mix64(high[i] ^ salt) ^ low[i])
    return out


def places(id_halves: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]], salt: str, purpose: str) -> Place:
    """The place of each document. `purpose` keeps choices apart that share a recipe's salt."""
    digest = hashlib.blake2b(f"{purpose}\0{salt}".encode(), digest_size=8).digest()
    high, low = id_halves
    return Place(_places(high, low, np.uint64(int.from_bytes(digest, "little"))), high, low)


def histogram(place: Place, weight: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Weight by bin of u, int64[BINS]. Histograms of parts add up to the histogram of the whole."""
    total = np.zeros(BINS, np.int64)
    np.add.at(total, (place.u >> _BIN_SHIFT).astype(np.int64), weight)
    return total


def budget(other: int, max_share: Fraction, counted: int = 0) -> int | None:
    """The most weight w beside `other` that keeps (w + counted) / (w + other) <= max_share. None: no limit.

    `counted` is the part of `other` that counts as synthetic already. Negative: even w = 0 is too much.
    """
    return None if max_share >= 1 else math.floor((other * max_share - counted) / (1 - max_share))


def needed(part: int, max_share: Fraction, counted: int = 0) -> int | None:
    """The least weight w that makes (part + counted) / (part + w) <= max_share. None: no weight does."""
    if max_share == 0:
        return 0 if part + counted == 0 else None
    return math.ceil((part * (1 - max_share) + counted) / max_share)


def cut_bin(histogram: npt.NDArray[np.int64], limit: int) -> tuple[int, int]:
    """The first bin that does not fit whole, and the weight before it. `(BINS, total)` if all fit."""
    cumulative = np.cumsum(histogram)
    at = int(np.searchsorted(cumulative, limit, side="right"))
    return at, int(cumulative[at - 1]) if at else 0


def in_bin(place: Place, at: int) -> npt.NDArray[np.bool_]:
    """Whether each document is in this bin."""
    return (place.u >> _BIN_SHIFT).astype(np.int64) == at


def order(place: Place) -> npt.NDArray[np.int64]:
    """The order of the cut."""
    return np.lexsort((place.low, place.high, place.u))


def before(place: Place, cut: tuple[int, int, int] | None) -> npt.NDArray[np.bool_]:
    """Whether each document comes before the cut; all do where there is none."""
    if cut is None:
        return np.ones(len(place.u), bool)
    u, high, low = (np.uint64(part) for part in cut)
    tie = (place.u == u) & ((place.high < high) | ((place.high == high) & (place.low < low)))
    return (place.u < u) | tie
