"""What a document is about: the nearest of fixed centres, by its words, each weighed by how rare it is.

A document is the set of buckets that the hashes of its first words fall in. Its likeness to a centre is the sum of the
weights that the centre gives these buckets: whole numbers, so the nearest is the same everywhere.
"""

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.text.columns import distinct_numbers

BUCKETS = 4096  # a power of two

Weights = npt.NDArray[np.int8]  # [BUCKETS, topics]


@kernel("i64[] u32[] i8[,] i64[]! i64[]! i16[]!")
def _nearest(offsets, words, weights, stamp, sums, out):
    topics = weights.shape[1]
    for d in range(len(out)):
        for k in range(topics):
            sums[k] = 0
        for t in range(offsets[d], offsets[d + 1]):
            bucket = np.int64(words[t]) & (weights.shape[0] - 1)
            if stamp[bucket] == d:
                continue
            stamp[bucket] = d
            for k in range(topics):
                sums[k] += weights[bucket, k]
        best = np.int64(0)
        for k in range(topics):
            if sums[k] > best:
                best, out[d] = sums[k], k


def nearest(offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32], weights: Weights) -> npt.NDArray[np.int16]:
    """The topic of each document, int16[documents]; -1 where no centre has any of its words.

    Args:
      offsets: where the words of each document begin, and the last one's end.
      words: hashes of words (`repetition.first_words`).
      weights: what each centre gives each bucket.
    """
    out, stamp = np.full(len(offsets) - 1, -1, np.int16), np.full(len(weights), -1)
    _nearest(offsets, words, np.ascontiguousarray(weights), stamp, np.empty(weights.shape[1], np.int64), out)
    return out


def buckets(
    offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(document, bucket)` of every different bucket of every document, by document and bucket."""
    document = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    pairs = distinct_numbers(document * BUCKETS + (words & np.uint32(BUCKETS - 1)))
    return pairs // BUCKETS, pairs % BUCKETS
