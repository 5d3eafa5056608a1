"""Which document of a component stands for which: every one that is dropped resembles the one that is kept.

Similarity is not transitive, so a connected component may hold documents that have nothing in common (A like B, B like C,
...). A component is therefore covered by stars: its contents are taken in order of preference, and each joins the first
survivor that it resembles, or becomes a survivor itself. It is the greedy cover of near-duplicate search with the
transitive closure left out (leader clustering, Hartigan 1975, chapter 3).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.similarity.lsh import band_key

COMPARE_ALL_UP_TO = (
    256  # contents; in a larger component a content is compared with survivors that share a band with it
)
MAX_COMPARED = 512  # survivors that one content of a large component is compared with

SURVIVOR, SIMILAR, SAME_URL, EXEMPT = range(4)


class Nodes(NamedTuple):
    """The contents of some components; those of one component are neighbours, the preferred first.

    Attributes:
      starts: where each component begins, and the end: int64[components + 1].
      signature: uint32[n, num_perm]; any row where `signed` is false.
      signed: whether there is a signature: bool[n].
      url: hash of the address, 0 for none: uint64[n].
      exempt: contents that are never dropped: bool[n].
      set_offsets, sets: shingle sets, ascending, uint64; content i has `sets[set_offsets[i] : set_offsets[i + 1]]`. An empty
        one means that the signatures decide.
    """

    starts: npt.NDArray[np.int64]
    signature: npt.NDArray[np.uint32]
    signed: npt.NDArray[np.bool_]
    url: npt.NDArray[np.uint64]
    exempt: npt.NDArray[np.bool_]
    set_offsets: npt.NDArray[np.int64]
    sets: npt.NDArray[np.uint64]


@inlined
def jaccard_of_sorted(one, other):
    """Jaccard similarity of two ascending arrays without repeats; 0 if both are empty."""
    i, j, shared = 0, 0, 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            shared += 1
            i += 1
            j += 1
        elif one[i] < other[j]:
            i += 1
        else:
            j += 1
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0


@kernel("i64 i64 u32[,] bool[] i64[] u64[]")
def _similarity(a, b, signature, signed, set_offsets, sets):
    one = sets[set_offsets[a] : set_offsets[a + 1]]
    other = sets[set_offsets[b] : set_offsets[b + 1]]
    if len(one) and len(other):
        return jaccard_of_sorted(one, other)
    if not (signed[a] and signed[b]):
        return np.nan
    equal = 0
    for i in range(signature.shape[1]):
        equal += signature[a, i] == signature[b, i]
    return equal / signature.shape[1]


@inlined
def _survives(
    i, best, best_similarity, k, kept, signature, signed, url, exempt, set_offsets, sets, survivor, similarity, how
):
    """Whether a content survives beside the first k of its component; if not, who stands for it is written down."""
    if exempt[i]:
        how[i] = EXEMPT
        return True
    if best >= 0:
        survivor[i], similarity[i], how[i] = best, best_similarity, SIMILAR
        return False
    if url[i] != 0:
        for j in range(min(k, MAX_COMPARED)):
            if url[kept[j]] == url[i]:
                survivor[i], how[i] = kept[j], SAME_URL
                similarity[i] = _similarity(i, kept[j], signature, signed, set_offsets, sets)
                return False
    return True


@kernel("i64[] u32[,] bool[] u64[] bool[] i64[] u64[] f64 i64[]! i64[]! f64[]! i8[]!")
def _cover_small(starts, signature, signed, url, exempt, set_offsets, sets, least, kept, survivor, similarity, how):
    for c in range(len(starts) - 1):
        if starts[c + 1] - starts[c] > COMPARE_ALL_UP_TO:
            continue
        k = 0
        for i in range(starts[c], starts[c + 1]):
            best, found = -1, 0.0
            for j in range(0 if exempt[i] else k):
                found = _similarity(i, kept[j], signature, signed, set_offsets, sets)
                if found >= least:
                    best = kept[j]
                    break
            if _survives(
                i, best, found, k, kept, signature, signed, url, exempt, set_offsets, sets, survivor, similarity, how
            ):
                kept[k] = i
                k += 1


@kernel("i64[] u32[,] bool[] u64[] bool[] i64[] u64[] i64 i64 f64 i64[]! i64[]! i64[]! i64[]! i64[]! f64[]! i8[]!")
def _cover_large(
    starts,
    signature,
    signed,
    url,
    exempt,
    set_offsets,
    sets,
    bands,
    rows,
    least,
    kept,
    compared,
    heads,
    chain,
    survivor,
    similarity,
    how,
):
    for c in range(len(starts) - 1):
        s, e = starts[c], starts[c + 1]
        if e - s <= COMPARE_ALL_UP_TO:
            continue
        slots = 1
        while slots < 2 * (e - s):
            slots *= 2
        for slot in range(slots):
            heads[slot] = -1
        k = 0
        for i in range(s, e):
            best, best_similarity, tries = -1, 0.0, 0
            for band in range(bands if signed[i] and not exempt[i] else 0):
                entry = heads[band_key(signature[i], band, rows) & np.uint64(slots - 1)]
                while entry >= 0 and tries < MAX_COMPARED:
                    other = kept[entry // bands]
                    if compared[other] != i and (best < 0 or other < best):
                        compared[other] = i
                        tries += 1
                        found = _similarity(i, other, signature, signed, set_offsets, sets)
                        if found >= least:
                            best, best_similarity = other, found
                    entry = chain[entry]
            if _survives(
                i,
                best,
                best_similarity,
                k,
                kept,
                signature,
                signed,
                url,
                exempt,
                set_offsets,
                sets,
                survivor,
                similarity,
                how,
            ):
                for band in range(bands if signed[i] else 0):
                    slot = band_key(signature[i], band, rows) & np.uint64(slots - 1)
                    chain[k * bands + band] = heads[slot]
                    heads[slot] = k * bands + band
                kept[k] = i
                k += 1


def cover(
    nodes: Nodes, bands: int, rows: int, least: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Find the survivor of every content.

    Args:
      nodes: whole components.
      bands, rows: of the signatures.
      least: the smallest similarity to a survivor that drops a content, in [0, 1].

    Returns:
      `(survivor, similarity, how)`, each [n]: the survivor's place (its own, if it survives); the similarity to it (1 to
      itself, NaN where one of the two has no signature); and SURVIVOR, SIMILAR, SAME_URL, or EXEMPT for one that survives
      without being compared. A survivor is never dropped, so every component has one.
    """
    n = len(nodes.signed)
    survivor, similarity, how = np.arange(n), np.ones(n), np.zeros(n, np.int8)
    kept = np.empty(n, np.int64)
    _cover_small(*nodes, least, kept, survivor, similarity, how)
    most = int(np.diff(nodes.starts).max(initial=0))
    if most > COMPARE_ALL_UP_TO:  # seldom, and then only it is compiled
        compared = np.full(n, -1, np.int64)  # the last content compared with this one
        # For each slot the chain of its entries; an entry is a place in `kept` times bands, plus band.
        heads, chain = np.empty(2 << (2 * most).bit_length(), np.int64), np.empty(most * bands, np.int64)
        _cover_large(*nodes, bands, rows, least, kept, compared, heads, chain, survivor, similarity, how)
    return survivor, similarity, how
