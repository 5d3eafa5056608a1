"""Which documents of a release a person looks at. Nothing is random: salted hashes of document ids decide.

Three ways to draw, each the same whatever batches the documents come in:

- *uniform*: the n with the smallest hashes, a simple random sample without replacement;
- *by tokens*: n times one document with chance n_tokens / total, independently, so with replacement: the number of draws
  that hit synthetic documents is binomial with the synthetic share of tokens, exactly;
- *informative*: those from which a reviewer's answer would tell most. Of no use for a bound.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.similarity.minhash import mix64
from transforms.kernels.statistics.sampling import Place


class Best(NamedTuple):
    """The best document so far of each draw: its key, its id, and where it is."""

    key: npt.NDArray[np.float64]
    high: npt.NDArray[np.uint64]
    at: npt.NDArray[np.int64]  # position in the population; -1: none


def no_best(draws: int) -> Best:
    """Before the first document."""
    return Best(np.full(draws, np.inf), np.zeros(draws, np.uint64), np.full(draws, -1, np.int64))


def seeds(draws: int, salt: str) -> npt.NDArray[np.uint64]:
    """What makes each draw another one. uint64[draws]."""
    digests = (hashlib.blake2b(f"tokens\0{draw}\0{salt}".encode(), digest_size=8).digest() for draw in range(draws))
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


@kernel("u64[] u64[] f64[] i64[] u64[] f64[]! u64[]! i64[]!")
def _race(high, low, weight, position, seeds, key, id_high, at):
    for i in range(len(high)):
        if weight[i] <= 0:
            continue
        for j in range(len(seeds)):
            h = mix64(mix64(high[i] ^ seeds[j]) ^ low[i])
            u = (np.float64(h >> np.uint64(12)) + 0.5) * 2.0**-52  # in (0, 1), never 0 or 1
            k = -np.log(u) / weight[i]
            if k < key[j] or (k == key[j] and high[i] < id_high[j]):
                key[j], id_high[j], at[j] = k, high[i], position[i]


def race(
    best: Best,
    ids: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]],
    weight: npt.NDArray[np.float64],
    position: npt.NDArray[np.int64],
    seeds: npt.NDArray[np.uint64],
) -> None:
    """Let the next documents take part in every draw; `best` is changed in place.

    In a draw each document has an exponential time -ln(u) / weight, u its hash, and the smallest wins. The chance of a win is
    weight / total, whatever the order, and no total need be known beforehand.

    Args:
      best: of the documents before.
      ids: halves of the document ids.
      weight: at least 0; a document of weight 0 never wins.
      position: where each document is, for `best.at`.
      seeds: one a draw.
    """
    _race(*map(np.ascontiguousarray, ids), weight, position, seeds, *best)


def smallest(place: Place, n: int) -> npt.NDArray[np.int64]:
    """The n documents that come first in hash order, in that order."""
    u = place.u
    if len(u) > 4 * n:  # most are out at a glance
        near = np.flatnonzero(u <= np.partition(u, n)[n])
        return near[np.lexsort((place.low[near], place.high[near], u[near]))[:n]]
    return np.lexsort((place.low, place.high, u))[:n]


def informative(
    p: npt.NDArray[np.float64], cluster_size: npt.NDArray[np.int32], source_mean: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How much a label of each document would tell; 0 where `p` is NaN. float64[documents].

    Binary entropy of p, in bits, x (1 + |p - mean p of its source|) x 1 / sqrt(cluster size): the detector does not know, or
    says of this document something else than of its source, and few are like it.
    """
    known = np.where(np.isnan(p), 0.0, np.clip(p, 0, 1))
    inside = np.clip(known, 1e-300, None), np.clip(1 - known, 1e-300, None)
    entropy = -(known * np.log2(inside[0]) + (1 - known) * np.log2(inside[1]))
    disagreement = np.abs(known - np.where(np.isnan(source_mean), known, source_mean))
    return entropy * (1 + disagreement) / np.sqrt(np.maximum(cluster_size, 1))


def first_of_each(
    group: npt.NDArray[np.int64], score: npt.NDArray[np.float64], place: npt.NDArray[np.uint64], most: int
) -> npt.NDArray[np.int64]:
    """The documents with the highest scores, at most `most` of a group, best first. Ties go by hash; score 0 is out."""
    order = np.lexsort((place, -score))
    order = order[score[order] > 0]
    by_group = order[np.argsort(group[order], kind="stable")]
    ordered = group[by_group]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1)) if len(ordered) else np.zeros(0, np.int64)
    rank = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
    taken = np.zeros(len(group), bool)
    taken[by_group[rank < most]] = True
    return order[taken[order]]
