"""How many documents still have a near duplicate, from a sample that keeps both of a pair.

Two documents of Jaccard J share a component of their signatures with chance J. So documents are drawn by the hash of their first
component: all that have one of the `GROUPS` smallest, in groups that share it. Of a pair, both are drawn or none with chance
J, where drawing documents alone would keep both as seldom as the rate squared. In a group J is estimated from the other
components, which say nothing of the first.

The groups with the smallest hashes of the whole are among those of every part that has them, so parts merge exactly. A group
may be as large as boilerplate makes it: it is counted whole, and `MEMBERS` of its documents are compared. Of a component
two bytes are kept: two that differ agree in them once in 65,536 times (b-bit minwise hashing, Li and Koenig 2010; with one
byte, pairs just below the limit would pass it by chance).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.similarity.minhash import mixed
from transforms.kernels.statistics.share import clopper_pearson_lower, clopper_pearson_upper

GROUPS = 4096
MEMBERS = 32
ALPHA = 0.05  # of each limit
_SALT = np.uint64(0x6B696E6472656421)


class Kin(NamedTuple):
    """Documents by groups that share the first component.

    Attributes:
      group: hashes of first components, uint64[groups], rising.
      documents: in each group, int64[groups].
      of: the group of each member that is kept, uint64[members], rising.
      member: their names, uint64[members], rising in a group.
      mark: what the caller wants to know of them, int32[members].
      rest: the lower half of their other components, uint16[members, components].
    """

    group: npt.NDArray[np.uint64]
    documents: npt.NDArray[np.int64]
    of: npt.NDArray[np.uint64]
    member: npt.NDArray[np.uint64]
    mark: npt.NDArray[np.int32]
    rest: npt.NDArray[np.uint16]


class Rate(NamedTuple):
    """The share of documents that have a near duplicate."""

    value: float
    lower: float
    upper: float
    documents: int  # that were drawn
    crowded: int  # of them, in groups of which not all were compared
    undecided: int  # compared documents whose similarity is less than two standard errors above the least


def _hashes(first: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    return mixed(first.astype(np.uint64) ^ _SALT)


def gather(signatures: npt.NDArray[np.uint32], member: npt.NDArray[np.uint64], mark: npt.NDArray[np.int32]) -> Kin:
    """The groups of some documents.

    Args:
      signatures: of documents that have shingles, uint32[documents, num_perm].
      member: names of the documents, by which those that are compared are chosen, uint64[documents].
      mark: what to remember of each, int32[documents].
    """
    of = _hashes(signatures[:, 0])
    if len(of) > GROUPS:  # so many documents have at most so many groups, or the bound below is above all of theirs
        below = np.unique(of)
        if len(below) > GROUPS:
            rows = np.flatnonzero(of < below[GROUPS])
            of, member, mark, signatures = of[rows], member[rows], mark[rows], signatures[rows]
    group, documents = np.unique(of, return_counts=True)
    rows = _few(of, member)
    rest = signatures[rows, 1:].astype(np.uint16)
    return Kin(group, documents.astype(np.int64), of[rows], member[rows], mark[rows], rest)


def _few(of: npt.NDArray[np.uint64], member: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The rows of the `MEMBERS` first members of each group, by group and member."""
    order = np.lexsort((member, of))
    place = np.arange(len(of)) - np.searchsorted(of[order], of[order])
    found: npt.NDArray[np.int64] = order[place < MEMBERS]
    return found


def merge(parts: list[Kin]) -> Kin:
    """The groups of all documents of the parts. Commutative and associative; `merge([])` has none."""
    parts = [part for part in parts if len(part.group)]
    if not parts:
        none = np.zeros(0, np.uint64)
        return Kin(none, np.zeros(0, np.int64), none, none, np.zeros(0, np.int32), np.zeros((0, 0), np.uint16))
    if len(parts) == 1:
        return parts[0]
    group, index = np.unique(np.concatenate([part.group for part in parts]), return_inverse=True)
    documents = np.zeros(len(group), np.int64)
    np.add.at(documents, index, np.concatenate([part.documents for part in parts]))
    group, documents = group[:GROUPS], documents[:GROUPS]
    of, member, mark, rest = (np.concatenate(column) for column in zip(*(part[2:] for part in parts), strict=True))
    rows = _few(of, member)
    rows = rows[of[rows] <= group[-1]]
    return Kin(group, documents, of[rows], member[rows], mark[rows], rest[rows])


@kernel("i64[] u16[,] i64[]!")
def _nearest(start, rest, best):
    width = rest.shape[1]
    for g in range(len(start) - 1):
        for i in range(start[g], start[g + 1]):
            for j in range(i + 1, start[g + 1]):
                same = 0
                for k in range(width):
                    same += rest[i, k] == rest[j, k]
                best[i] = max(best[i], same)
                best[j] = max(best[j], same)


def nearest(kin: Kin) -> npt.NDArray[np.float64]:
    """Estimated similarity of each kept member to the likest other one of its group, 0 if it is alone. float64[members]."""
    start = np.r_[np.searchsorted(kin.of, kin.group), len(kin.of)]
    best = np.zeros(len(kin.rest), np.int64)
    _nearest(start, kin.rest, best)
    found: npt.NDArray[np.float64] = best / max(1, kin.rest.shape[1])
    return found


def rate(
    kin: Kin,
    similarity: npt.NDArray[np.float64],
    least: float,
    chosen: npt.NDArray[np.bool_] | None = None,
) -> Rate:
    """The share of documents with another one at least so similar; NaN if none was drawn.

    A drawn document with one near duplicate is seen to have it with chance J, so each that is seen counts 1 / J. One that has
    several is seen more often and counts too much, by at most 1 / `least`: seen documents are a lower bound of the share, and
    `1 / least` times as many an upper one. The limits are those of Clopper and Pearson about these two, one-sided
    95 %, for as many independent documents as the groups are worth (linearised variance of a ratio; never more than half, because
    a pair is drawn together).

    Args:
      kin: the groups.
      similarity: of each kept member (`nearest`).
      least: similarity of near duplicates.
      chosen: members that are asked about, among all that they may be like; none: all. bool[members].
    """
    at = np.searchsorted(kin.group, kin.of)
    kept = np.bincount(at, minlength=len(kin.group))
    weight = (kin.documents / np.maximum(1, kept))[at]
    weight = weight if chosen is None else weight * chosen
    n = float(weight.sum())
    if not n:
        return Rate(np.nan, np.nan, np.nan, 0, 0, 0)
    seen = weight * (similarity >= least)
    share = float(seen.sum()) / n
    residual = np.bincount(at, seen - share * weight, minlength=len(kin.group))
    spread = n * share * (1 - share)
    apart = n / max(2.0, float(residual @ residual) / spread if spread > 0 else 2.0)
    effective = max(1, int(apart))
    k = share * effective
    error = 2 * np.sqrt(least * (1 - least) / max(1, kin.rest.shape[1]))
    close = (seen > 0) & (similarity < least + error)
    return Rate(
        min(1.0, float((seen / np.maximum(similarity, least)).sum()) / n),
        clopper_pearson_lower(k, effective, ALPHA),
        min(1.0, clopper_pearson_upper(k, effective, ALPHA) / least),
        round(n),
        round(float(weight[(kin.documents > kept)[at]].sum())),
        int(close.sum()),
    )
