"""Fit the centres of topics (kernels/statistics/topics.py): k-means on rare words, without chance."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from transforms.kernels.statistics.topics import BUCKETS, Weights, buckets

ROUNDS = 30
_LARGEST = 127


def fit_topics(
    offsets: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint32],
    key: npt.NDArray[np.uint64],
    topics: int,
) -> Weights:
    """Centres of documents as unit vectors of the rarity of their words: spherical k-means (Dhillon and Modha 2001).

    It begins with the documents that come first in hash order, and ends after `ROUNDS` rounds or when nothing moves.

    Args:
      offsets, words: of the documents (`repetition.first_words`).
      key: a hash of each document.
      topics: how many centres.

    Raises:
      ValueError: there are fewer documents than centres.
    """
    document, bucket = buckets(offsets, words)
    n = len(offsets) - 1
    if len(np.unique(document)) < topics:
        raise ValueError(f"{topics} topics need as many documents, got {len(np.unique(document))}")
    documents = np.bincount(bucket, minlength=BUCKETS)
    rarity = np.log((n + 1) / (documents + 1))
    x = sparse.csr_matrix((rarity[bucket], (document, bucket)), (n, BUCKETS))
    x = _unit(x)
    order = np.argsort(key, kind="stable")
    order = order[np.diff(x.indptr)[order] > 0]
    centres = x[order[:topics]].toarray()
    before = np.full(n, -1)
    for _ in range(ROUNDS):
        nearest = np.asarray(x @ centres.T).argmax(axis=1)
        if (nearest == before).all():
            break
        before = nearest
        members = sparse.csr_matrix((np.ones(n), (nearest, np.arange(n))), (topics, n))
        sums = np.asarray((members @ x).todense())
        moved = sums.any(axis=1)
        centres[moved] = sums[moved] / np.linalg.norm(sums[moved], axis=1, keepdims=True)
    weights = (centres * rarity).T
    # The few largest are cut: one word decides nothing by itself.
    scale = _LARGEST / max(1e-12, float(np.quantile(np.abs(weights[weights != 0]), 0.999)))
    return np.clip(np.rint(weights * scale), -_LARGEST, _LARGEST).astype(np.int8)


def _unit(x: sparse.csr_matrix) -> sparse.csr_matrix:
    length = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, 1e-12)) @ x)


def shared_bits(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    """Mutual information of two labellings with numbers from 0, in bits; plug-in, so a little above 0 by chance alone."""
    joint = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(joint, (one, other), 1 / len(one))
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / apart[seen])).sum())
