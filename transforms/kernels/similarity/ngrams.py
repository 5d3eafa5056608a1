"""A table of token n-grams: which of them to trust, how to weigh them, and the scores of several experts in one pass.

A model that gives every n-gram of the training data a say learns what a source is about as well as who wrote it.
The table holds only n-grams whose use differs between human and machine text of the same kind, over all kinds
(`separation`), and weighs them by a logistic regression (`fit`). Experts, one for each age of generators, share the table:
an n-gram has a weight for each of them, 0 where it is none of its own. To an expert a document is the vector

    x_f = 1 + ln(count of f), divided by its length ||x||

over the expert's n-grams f, and scores bias + w . x, in log-odds. Sublinear counts and unit length keep one long or
repetitive document from outweighing others (Joachims 1998; Manning et al. 2008, section 6.4).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.lookup import as_bits, first_from, is_among
from transforms.kernels.text.text import Tokens

_START, _PRIME = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC4CEB9FE1A85EC53)
_ROLL, _BACK = np.uint64(23), np.uint64(41)
MOST = 255  # a higher count counts as this
TF = np.array([0.0, *(1 + math.log(count) for count in range(1, MOST + 1))])
_SKETCH_BITS = 22
_MAYBE_BITS = 21  # 256 KB, of which 80,000 n-grams set one bit in twenty-five
_TO_BIT, _ONE, _THREE = np.uint64(64 - _MAYBE_BITS), np.uint64(1), np.uint64(3)
CONTINUITY = 0.25  # added to the variance: n-grams that are hardly there are not significant
_GRADIENT = 1e-3  # what AdaGrad's sums of squares start from


class NgramModel(NamedTuple):
    """A weight per n-gram.

    Most n-grams of a text are not in the table. A bit for the top of each hash says so without a look at the hashes, which are
    too large for the fastest memory; how many bits are set before it says where the hash would be, for they rise.
    """

    maybe: npt.NDArray[np.uint64]  # [1 << _MAYBE_BITS >> 6] bits
    before: npt.NDArray[np.uint32]  # [as many] n-grams before these
    hash64: npt.NDArray[np.uint64]  # [n-grams + 1] rising; the last is none
    weight: npt.NDArray[np.float32]  # [n-grams + 1, experts]; 0: the n-gram is none of the expert's
    longest: int  # n-gram, in tokens
    bias: npt.NDArray[np.float64]  # [experts]


class Features(NamedTuple):
    """The n-grams of documents: those of document d are at `offsets[d] <= i < offsets[d + 1]`."""

    offsets: npt.NDArray[np.int64]  # [documents + 1]
    number: npt.NDArray[np.int32]  # index into `hash64`
    tf: npt.NDArray[np.float32]  # 1 + ln(count)
    hash64: npt.NDArray[np.uint64]  # [n-grams], rising


@inlined
def _extend(h, hash64):
    return (((h << _ROLL) | (h >> _BACK)) ^ hash64) * _PRIME


@kernel("i64[] u64[] bool[] i64", allocates=True)
def _count(offsets, hash64, skipped, longest):
    n_docs = len(offsets) - 1
    ends = np.zeros(n_docs + 1, np.int64)
    found = np.empty((offsets[n_docs] - offsets[0]) * longest, np.uint64)
    counts = np.empty(len(found), np.uint8)
    written = 0
    for d in range(n_docs):
        mine = np.empty((offsets[d + 1] - offsets[d]) * longest, np.uint64)
        n = 0
        for t in range(offsets[d], offsets[d + 1]):
            h = _START
            for j in range(t, min(t + longest, offsets[d + 1])):
                if skipped[j]:
                    break
                h = _extend(h, hash64[j])
                mine[n] = h
                n += 1
        mine = np.sort(mine[:n])
        i = 0
        while i < n:
            same = i
            while same < n and mine[same] == mine[i]:
                same += 1
            found[written] = mine[i]
            counts[written] = min(same - i, MOST)
            written += 1
            i = same
        ends[d + 1] = written
    return ends, found[:written], counts[:written]


def features(
    tokens: Tokens, longest: int, min_documents: int, without: npt.NDArray[np.uint64] | None = None
) -> Features:
    """The n-grams of 1 to `longest` tokens that are in at least `min_documents` of the documents.

    Those that hold a token whose hash is one of `without` are left out.
    """
    skipped = np.isin(tokens.hash64, np.zeros(0, np.uint64) if without is None else without)
    offsets, found, counts = _count(tokens.offsets, tokens.hash64, skipped, longest)
    # Most n-grams are in one document. A sketch that never counts too few drops them before the sort.
    bucket = (found >> np.uint64(64 - _SKETCH_BITS)).astype(np.int32)
    kept = np.bincount(bucket, minlength=1 << _SKETCH_BITS)[bucket] >= min_documents
    found, counts = found[kept], counts[kept]
    offsets = np.r_[0, np.cumsum(kept)][offsets]
    hash64, number, documents = np.unique(found, return_inverse=True, return_counts=True)
    often = documents >= min_documents
    renumbered = np.where(often, np.cumsum(often) - 1, -1).astype(np.int32)
    numbers = renumbered[number]
    kept = numbers >= 0
    offsets = np.r_[0, np.cumsum(kept)][offsets]
    return Features(offsets, numbers[kept], TF[counts[kept]].astype(np.float32), hash64[often])


@kernel("i64[] i32[] i64[] i64[] bool[] i64 i64", allocates=True)
def _presence(offsets, number, documents, cell, machine, n_cells, n_features):
    counts = np.zeros((2, n_cells, n_features), np.int32)
    for d in documents:
        side = 1 if machine[d] else 0
        for i in range(offsets[d], offsets[d + 1]):
            counts[side, cell[d], number[i]] += 1
    return counts


def separation(
    data: Features,
    documents: npt.NDArray[np.int64],
    cell: npt.NDArray[np.int64],
    machine: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """How surely machine documents hold an n-gram more often (z > 0) or less often than human ones of the same cell.

    Mantel and Haenszel's statistic (1959, doi:10.1093/jnci/22.4.719): over the two-by-two tables of the cells, the sum
    of (observed - expected) machine documents that hold it, by the root of the sum of the variances. What only tells
    one cell from another has z near 0, however unevenly the classes are spread over the cells.

    Args:
      data: n-grams of all documents.
      documents: which documents to look at.
      cell: what each document is compared within, from 0. int64[documents of data].
      machine: whether it is a machine's. bool[documents of data].

    Returns:
      z, float64[n-grams]; and how many of the documents hold each, int64[n-grams].
    """
    n_cells = int(cell[documents].max(initial=0)) + 1
    counts = _presence(data.offsets, data.number, documents, cell, machine, n_cells, len(data.hash64))
    difference, variance = np.zeros(len(data.hash64)), np.zeros(len(data.hash64))
    for c in range(n_cells):
        own = documents[cell[documents] == c]
        n_machine = float(machine[own].sum())
        n = float(len(own))
        if n < 2:
            continue
        holding = counts[:, c].sum(axis=0).astype(np.float64)
        difference += counts[1, c] - holding * n_machine / n
        variance += (n - n_machine) * n_machine * holding * (n - holding) / (n * n * (n - 1))
    return difference / np.sqrt(variance + CONTINUITY), counts.sum(axis=(0, 1), dtype=np.int64)


@kernel("i64[] i32[] f32[] i64[] bool[] f64[] i64 i64 f64 f64", allocates=True)
def _adagrad(offsets, number, tf, documents, machine, importance, n_features, epochs, rate, decay):
    weight, squares = np.zeros(n_features), np.full(n_features, _GRADIENT)
    bias, bias_squares = 0.0, _GRADIENT
    mean, mean_bias, taken = np.zeros(n_features), 0.0, 0
    for epoch in range(epochs):
        for d in documents:
            norm, total = 0.0, 0.0
            for i in range(offsets[d], offsets[d + 1]):
                if number[i] >= 0:
                    norm += np.float64(tf[i]) * tf[i]
                    total += weight[number[i]] * tf[i]
            scale = 1 / np.sqrt(norm) if norm > 0 else 0.0
            p = 1 / (1 + np.exp(-(bias + total * scale)))
            error = (p - (1.0 if machine[d] else 0.0)) * importance[d]
            bias_squares += error * error
            bias -= 0.1 * rate * error / np.sqrt(bias_squares)
            for i in range(offsets[d], offsets[d + 1]):
                if number[i] >= 0:
                    step = error * tf[i] * scale + decay * weight[number[i]]
                    squares[number[i]] += step * step
                    weight[number[i]] -= rate * step / np.sqrt(squares[number[i]])
        if epoch >= epochs // 2:
            mean += weight
            mean_bias += bias
            taken += 1
    return mean / taken, mean_bias / taken


def fit(
    data: Features,
    kept: npt.NDArray[np.bool_],
    documents: npt.NDArray[np.int64],
    machine: npt.NDArray[np.bool_],
    importance: npt.NDArray[np.float64],
    epochs: int,
    rate: float,
    decay: float = 0.0,
) -> tuple[npt.NDArray[np.float32], float]:
    """Weigh n-grams by a logistic regression with AdaGrad (Duchi et al. 2011), one document after the other.

    The weights are the mean of those after each pass of the second half.

    Args:
      data: n-grams of all documents.
      kept: which n-grams have a weight, bool[n-grams].
      documents: what to train on, in this order.
      machine: bool[documents of data].
      importance: what each document's error is multiplied by, float64[documents of data].
      epochs: passes over the documents, at least 1.
      rate: AdaGrad's; the bias has a tenth of it.
      decay: how much of a weight is added to its gradient, each time that a document has the n-gram.

    Returns:
      float32[kept n-grams], and the bias.
    """
    renumbered = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    number = renumbered[data.number]
    weight, bias = _adagrad(
        data.offsets, number, data.tf, documents, machine, importance, int(kept.sum()), epochs, rate, decay
    )
    return weight.astype(np.float32), float(bias)


def ngram_model(
    hash64: npt.NDArray[np.uint64], weight: npt.NDArray[np.float32], longest: int, bias: npt.NDArray[np.float64]
) -> NgramModel:
    """Build the table of n-grams; `hash64` holds each once, rising, `weight` is float32[n-grams, experts]."""
    maybe, before = as_bits((hash64 >> _TO_BIT).astype(np.int64), 1 << _MAYBE_BITS)
    last = np.uint64(2**64 - 1)
    nothing = np.zeros((1, weight.shape[1]), np.float32)
    return NgramModel(maybe, before, np.append(hash64, last), np.concatenate([weight, nothing]), longest, bias)


@inlined
def weigh(touched, n, counts, weight, bias, d, out):
    """Row d of `out` from a document's first n n-grams of `touched` and their counts, which are 0 again afterwards."""
    for k in range(weight.shape[1]):
        total, norm = 0.0, 0.0
        for i in range(n):
            own = np.float64(weight[touched[i], k])
            tf = TF[counts[touched[i]]]
            total += own * tf
            norm += tf * tf * (own != 0)
        out[d, k] = bias[k] + total / np.sqrt(norm) if norm > 0 else bias[k]
    for i in range(n):
        counts[touched[i]] = 0


@inlined
def _propose(hash64, start, size, maybe, candidates, n):
    """Append the n-grams from a token on that may be in the table to the first n candidates: how many there are now."""
    h = _START
    for j in range(start, start + size):
        h = _extend(h, hash64[j])
        candidates[n] = h
        n += is_among(maybe, h >> _TO_BIT)
    return n


@kernel("i64[] u64[] u64[] u32[] u64[] f32[,] i64 f64[] u8[]! u64[]! u64[]! f32[,]!")
def _score(offsets, hash64, maybe, before, known, weight, longest, bias, counts, touched, candidates, out):
    for d in range(len(offsets) - 1):
        # First all that may be in the table, then the table: a branch that the processor cannot guess costs more than
        # writing down a candidate that the next one overwrites.
        n = np.uint64(0)
        end = np.uint64(offsets[d + 1])
        for start in range(np.uint64(offsets[d]), end):
            size = min(np.uint64(longest), end - start)
            if size == _THREE:  # as in the detector that is bundled: the loop over a constant is no loop
                n = _propose(hash64, start, _THREE, maybe, candidates, n)
            else:
                n = _propose(hash64, start, size, maybe, candidates, n)
        n_touched = 0
        for i in range(n):
            h = candidates[i]
            number = first_from(maybe, before, known, h, h >> _TO_BIT)
            if known[number] != h:
                continue
            count = counts[number]
            touched[n_touched] = number
            n_touched += count == 0
            counts[number] = count + (count < MOST)
        weigh(touched, n_touched, counts, weight, bias, d, out)


def score(tokens: Tokens, model: NgramModel) -> npt.NDArray[np.float32]:
    """Log-odds by each expert, float32[documents, experts]; its bias where a document has none of its n-grams."""
    most = int(np.diff(tokens.offsets).max(initial=0))
    counts, touched = np.zeros(len(model.weight), np.uint8), np.empty(len(model.weight), np.uint64)
    candidates = np.empty(most * model.longest + 1, np.uint64)
    out = np.empty((len(tokens.offsets) - 1, model.weight.shape[1]), np.float32)
    _score(tokens.offsets, tokens.hash64, *model, counts, touched, candidates, out)
    return out
