"""What speaks of a document's origin, as one number, and what follows from it.

`evidence` (int32) has two bits for each basis of `contracts.BASES`, at twice its number: an index into `contracts.ORIGINS`,
0 where the basis says nothing. Above them are notes that are not believed. Parts made by `say` are joined with `|`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts
from expectations.contracts import AUTHORITY, BASES, HUMAN, ORIGINS, SYNTHETIC, UNKNOWN

Codes = npt.NDArray[np.int32]

# Who can say "human". The detector cannot: it misses machine text.
HUMAN_BY = (contracts.BASIS_DECLARED, contracts.BASIS_REVIEWED, contracts.BASIS_DATE)
# Every pair of one that says human and one that says synthetic, the most telling first; number 0 is no conflict.
CONFLICTS = (
    (contracts.BASIS_NONE, contracts.BASIS_NONE),
    *((human, machine) for machine in AUTHORITY for human in HUMAN_BY if human != machine),
)
CONFLICT_WORDS = ("", *(f"{BASES[human]}/{BASES[machine]}" for human, machine in CONFLICTS[1:]))
_NOTES = (
    (contracts.CREDENTIAL_SILENT, "credential:unverified"),
    (contracts.CREDENTIAL_MALFORMED, "credential:malformed"),
    (contracts.OUT_OF_TIME, "detector:out_of_time"),
)


# What a text's content credential is, the most telling first as `kernels/text/credentials.py` finds it; "": it has none.
CREDENTIALS = ("", "malformed", "unverified", "synthetic")


class Settled(NamedTuple):
    """What a document's origin comes to rest on."""

    origin: npt.NDArray[np.int8]  # index into ORIGINS
    basis: npt.NDArray[np.int8]  # index into BASES; none where nobody says anything


def say(basis: int, origin: npt.NDArray[np.integer]) -> Codes:
    """The part of `evidence` in which a basis says these origins. int32[n]."""
    return origin.astype(np.int32) << np.int32(2 * basis)


def said(evidence: Codes, basis: int) -> npt.NDArray[np.int8]:
    """What a basis says of each document, an index into ORIGINS. int8[n]."""
    return ((evidence >> np.int32(2 * basis)) & np.int32(3)).astype(np.int8)


def settle(evidence: Codes) -> Settled:
    """The origin of each document: what the highest authority says that says anything."""
    origin = np.full(len(evidence), UNKNOWN, np.int8)
    basis = np.full(len(evidence), contracts.BASIS_NONE, np.int8)
    for one in reversed(AUTHORITY):
        speaks = (words := said(evidence, one)) != UNKNOWN
        origin[speaks] = words[speaks]
        basis[speaks] = one
    return Settled(origin, basis)


def conflict(evidence: Codes) -> npt.NDArray[np.int8]:
    """The most telling contradiction about each document, a number in CONFLICTS; 0: there is none. int8[n]."""
    found = np.zeros(len(evidence), np.int8)
    for number, (human, machine) in reversed(list(enumerate(CONFLICTS))[1:]):
        found[(said(evidence, human) == HUMAN) & (said(evidence, machine) == SYNTHETIC)] = number
    return found


def credential(evidence: Codes) -> npt.NDArray[np.int8]:
    """What content credential each text has, an index into CREDENTIALS. int8[n]."""
    found = np.zeros(len(evidence), np.int8)
    found[evidence & contracts.CREDENTIAL_MALFORMED != 0] = 1
    found[evidence & contracts.CREDENTIAL_SILENT != 0] = 2
    found[said(evidence, contracts.BASIS_CREDENTIAL) == SYNTHETIC] = 3
    return found


def in_words(evidence: Codes) -> pa.StringArray:
    """All that spoke of each document, the highest authority first: "declared:human detector:synthetic". string[n]."""
    codes, inverse = np.unique(evidence, return_inverse=True)
    words = pa.array([_words(code) for code in codes.tolist()], pa.string())
    return words.take(pa.array(inverse.ravel()))


def _words(code: int) -> str:
    parts = [f"{BASES[basis]}:{ORIGINS[code >> 2 * basis & 3]}" for basis in AUTHORITY if code >> 2 * basis & 3]
    # No signature is ever checked, and the row says so.
    parts = [part + ":unverified" if part.startswith("credential:") else part for part in parts]
    return " ".join([*parts, *(word for note, word in _NOTES if code & note)])
