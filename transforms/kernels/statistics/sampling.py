"""Chance without chance: a number for every document that depends on it and a salt, and on nothing else.

u = hash(salt, id) in [0, 2^64) is the same wherever and with whatever a document arrives. What is kept is a prefix of an
order made from it (`order.py`), so a smaller budget keeps a subset of a larger one, and adding documents changes the choice
near the cut only.
"""

import hashlib
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.similarity.minhash import mixed


class Place(NamedTuple):
    """Where documents stand in the order of the cut. Three uint64 arrays, compared in this order."""

    u: npt.NDArray[np.uint64]
    high: npt.NDArray[np.uint64]  # the document's id
    low: npt.NDArray[np.uint64]


def places(id_halves: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]], salt: str, purpose: str) -> Place:
    """The place of each document. `purpose` keeps choices apart that share a recipe's salt."""
    digest = hashlib.blake2b(f"{purpose}\0{salt}".encode(), digest_size=8).digest()
    high, low = id_halves
    salted = mixed(high ^ np.uint64(int.from_bytes(digest, "little")))
    return Place(mixed(salted ^ low), high, low)


def needed(part: int, max_share: Fraction, counted: int = 0) -> int | None:
    """The least weight w that makes (part + counted) / (part + w) <= max_share. None: no weight does."""
    if max_share == 0:
        return 0 if part + counted == 0 else None
    return math.ceil((part * (1 - max_share) + counted) / max_share)
