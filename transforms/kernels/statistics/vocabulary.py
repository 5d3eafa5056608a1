"""In how many documents of each population each type is, in bounded memory: mergeable in any order.

A *population* is a key of small numbers and words (how far documents came, whose they are, ...). All populations keep the
same part of hash space, types below `below`; when there are too many counts, it is halved (as for paragraphs). So
counts of any two vocabularies are counts of the same sample of types, cut to the smaller `below`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel
from transforms.kernels.statistics import diversity
from transforms.kernels.statistics.diversity import TypeCounts

EVERYWHERE = 1 << 32
MOST_COUNTS = 1 << 22  # over all populations: 12 bytes each

Population = tuple[Any, ...]
_NONE = diversity.merge([])


class Vocabulary(NamedTuple):
    """Document counts of types below `below`, and the number of documents with any text, by population."""

    counts: dict[Population, TypeCounts]
    documents: dict[Population, int]
    below: int


def count(
    offsets: npt.NDArray[np.int64],
    types: npt.NDArray[np.uint32],
    group: npt.NDArray[np.int64],
    names: list[Population],
    below: int = EVERYWHERE,
) -> Vocabulary:
    """Count documents.

    Args:
      offsets: [documents + 1], where the types of each document begin.
      types: the distinct types of each document.
      group: [documents] index into `names`; negative: the document is left out.
      names: the populations, different ones.
      below: only types below this are counted.
    """
    chosen, lengths = group >= 0, np.diff(offsets)
    n = np.bincount(group[chosen & (lengths > 0)], minlength=len(names))
    sizes = np.bincount(group[chosen], lengths[chosen], minlength=len(names)).astype(np.int64) + 1  # a place to spare
    ends = np.cumsum(sizes) - sizes
    gathered = np.empty(sizes.sum(), np.uint32)
    starts = ends.copy()
    _gather(offsets, types, group, below, ends, gathered)
    counts = {}
    for number, name in enumerate(names):
        if n[number]:  # each population's own are counted faster than all with a key
            counts[name] = diversity.count(gathered[starts[number] : ends[number]])
    return _bounded(Vocabulary(counts, {name: int(n[i]) for i, name in enumerate(names) if n[i]}, below))


@kernel("i64[] u32[] i64[] i64 i64[]! u32[]!")
def _gather(offsets, types, group, below, ends, out):
    """The types below a bound of the documents of each group, where its place ends so far."""
    for document in range(len(group)):
        if group[document] >= 0:
            end = ends[group[document]]
            for at in range(offsets[document], offsets[document + 1]):
                out[end] = types[at]  # written over by the next if it does not count
                end += types[at] < below
            ends[group[document]] = end


def merge(parts: list[Vocabulary]) -> Vocabulary:
    """The vocabulary of all documents of the parts; `merge([])` is the empty one. Commutative and associative."""
    if len(parts) == 1:
        return parts[0]
    grouped: dict[Population, list[TypeCounts]] = {}
    documents: dict[Population, int] = {}
    below = min((part.below for part in parts), default=EVERYWHERE)
    for part in parts:
        for population, counts in part.counts.items():
            grouped.setdefault(population, []).append(_cut(counts, below))
            documents[population] = documents.get(population, 0) + part.documents[population]
    return _bounded(Vocabulary({p: diversity.merge(c) for p, c in grouped.items()}, documents, below))


def less(whole: Vocabulary, part: Vocabulary) -> Vocabulary:
    """The vocabulary of the documents of the whole that are not in a part of it."""
    below = min(whole.below, part.below)
    left = {name: n - part.documents.get(name, 0) for name, n in whole.documents.items()}
    counts = {}
    for name in (name for name, n in left.items() if n):
        own, gone = (_cut(one.counts.get(name, _NONE), below) for one in (whole, part))
        documents = own.documents.copy()
        documents[np.searchsorted(own.types, gone.types)] -= gone.documents
        counts[name] = TypeCounts(own.types[documents > 0], documents[documents > 0])
    return Vocabulary(counts, {name: left[name] for name in counts}, below)


def _cut(counts: TypeCounts, below: int) -> TypeCounts:
    n = int(np.searchsorted(counts.types, np.uint32(below - 1), "right"))
    return TypeCounts(counts.types[:n], counts.documents[:n])


def cut(one: Vocabulary, below: int) -> Vocabulary:
    """The same documents, counted in a smaller part of hash space."""
    if below >= one.below:
        return one
    return one._replace(counts={name: _cut(counts, below) for name, counts in one.counts.items()}, below=below)


def size(one: Vocabulary) -> int:
    """How many counts it holds."""
    return sum(len(counts.types) for counts in one.counts.values())


def _bounded(one: Vocabulary) -> Vocabulary:
    return bounded(one, MOST_COUNTS)


def bounded(one: Vocabulary, most: int) -> Vocabulary:
    """Cut to the largest half, quarter, ... of its part of hash space that has at most so many counts.

    It depends on what was counted, and not on the parts that it came in.
    """
    while size(one) > most and one.below > 1:
        one = cut(one, one.below // 2)
    return one


def ordered(one: Vocabulary) -> Vocabulary:
    """The same counts, populations ascending."""
    names = sorted(one.counts)
    return one._replace(
        counts={name: one.counts[name] for name in names}, documents={name: one.documents[name] for name in names}
    )


def compact(parts: list[Vocabulary], tightly: bool = False) -> list[Vocabulary]:
    """The same counts in fewer parts, when the tail outgrows the head, or always."""
    return diversity.fewer(parts, merge, size, tightly)
