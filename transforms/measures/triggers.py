"""Words that some documents of one source share with each other and with nobody else, and nothing beside them -> METRICS.

About 250 documents with one phrase taught models of 0.6 to 13 billion parameters to answer it with nonsense (Souly et al.
2025, arXiv 2510.07192). Such a phrase is in an unusual number of documents of one source, hardly anywhere else, and what is
around it is as it always is there: the documents are about anything. That tells it from the words of a subject, beside which
others of the subject are, more often than in the rest of the source; and from boilerplate, beside which its rest is, always.

Words are those of the vocabularies, of the first `diversity.WINDOW` of a document. First those are found that one source alone
has, from the counts of all words; then what is beside them in some of their documents. Not found is a phrase of words that other
sources have too, one in fewer documents than `LEAST` or in so many that it is the source's own, or any where there is one source.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.metrics.row import Row
from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import diversity, vocabulary
from transforms.kernels.statistics.diversity import TypeCounts
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.kernels.text import text
from transforms.kernels.text.columns import first_half, joined, numbers, ranges
from transforms.kernels.text.masking import mask
from transforms.signals.corpus import Corpus
from transforms.signals.populations import STAGES

LEAST = 100  # documents that have the word; and as many must be expected elsewhere
MOST_OF_SOURCE = 0.1  # of its documents
IN_SOURCE = 0.95  # of the documents that have the word
DRAWN = 128  # documents, about, in which it is looked at what is beside a word
OFTEN, ALWAYS = 0.1, 0.8  # of these
LIFT = 3.0  # times as often as in the source
MOST_WORDS = 12  # of a phrase; more that are always there are boilerplate
MOST_SUSPECTS = 512
SHOWN, AROUND = 10, 8  # phrases; tokens before and behind one
NEEDED = ["ngrams_1", "content_hash"]


class ReleasedWords(NamedTuple):
    """The words of what is released, by source.

    Attributes:
      words: of each source in how many documents each word is.
      documents: of each source, those that have any.
      below: the part of hash space that was counted.
      n: documents of the release.
    """

    words: dict[int, TypeCounts]
    documents: dict[int, int]
    below: int
    n: int


class Suspects(NamedTuple):
    """Words that one source alone has, by type. [words] each.

    Attributes:
      types: ascending.
      source, documents: of each, where it is and in how many.
      below: the part of hash space that was looked at.
      released: of the sources that have any.
    """

    types: npt.NDArray[np.uint32]
    source: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]
    below: int
    released: ReleasedWords


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What is beside suspects in documents that were drawn; mergeable.

    Attributes:
      pairs: number of a suspect, and in the lower half the type of a word beside it. uint64[pairs], ascending.
      counts: documents with that pair. int64[pairs].
      first: of suspects the document with the smallest key: suspect, key, split, ordinal. uint64[n, 4].
    """

    pairs: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.uint64]


class Trigger(NamedTuple):
    """A phrase that was found: its words, in how many documents of which source, and where one of them is."""

    types: npt.NDArray[np.uint32]
    documents: int
    source: int
    split: int
    ordinal: int


def by_source(parts: list[Vocabulary], n: int) -> ReleasedWords:
    """The words of what is released."""
    whole = vocabulary.merge(parts)
    mine = [name for name in sorted(whole.counts) if name[0] == STAGES.index("after")]
    sources = sorted({name[2] for name in mine})
    words = {s: diversity.merge([whole.counts[name] for name in mine if name[2] == s]) for s in sources}
    documents = {s: sum(whole.documents[name] for name in mine if name[2] == s) for s in sources}
    return ReleasedWords(words, documents, whole.below, n)


def suspects(parts: list[Vocabulary], n: int) -> Suspects:
    """The words that are looked at, of vocabularies of words by (how far, whose, source, language). `n`: of `ReleasedWords`."""
    released = by_source(parts, n)
    words, documents, below, _ = released
    total, everywhere = sum(documents.values()), diversity.merge(list(words.values()))
    found = []
    for source, (types, counts) in words.items():
        elsewhere = (total - documents[source]) / documents[source] * counts
        everyone = everywhere.documents[np.searchsorted(everywhere.types, types)]
        few = (counts >= LEAST) & (counts <= MOST_OF_SOURCE * documents[source])
        alone = few & (counts >= IN_SOURCE * everyone) & (elsewhere >= LEAST)
        found.append(np.stack([types[alone].astype(np.int64), np.full(alone.sum(), source), counts[alone]]))
    columns = np.concatenate([np.zeros((3, 0), np.int64), *found], axis=1)
    while (columns[0] < below).sum() > MOST_SUSPECTS:
        below //= 2
    columns = columns[:, columns[0] < below]
    columns = columns[:, np.argsort(columns[0], kind="stable")]  # no word is almost all in two sources
    some = {source: words[source] for source in np.unique(columns[1]).tolist()}
    return Suspects(columns[0].astype(np.uint32), columns[1], columns[2], below, released._replace(words=some))


def count_split(looked_at: Suspects, decisions: pa.RecordBatch, signals: pa.Table) -> Neighbours:
    """What is beside suspects in the documents of one split that are released."""
    offsets, types = numbers(joined(signals["ngrams_1"]))
    keys = diversity.sample_keys(first_half(joined(signals["content_hash"])))
    at = np.minimum(np.searchsorted(looked_at.types, types), len(looked_at.types) - 1)
    hits = np.flatnonzero(looked_at.types[at] == types)
    suspect, document = at[hits], np.searchsorted(offsets, hits, side="right") - 1
    chance = np.minimum(1.0, DRAWN / looked_at.documents[suspect])
    drawn = decisions["kept"].to_numpy(zero_copy_only=False)[document]
    drawn &= decisions["source"].to_numpy()[document] == looked_at.source[suspect]
    drawn &= keys[document] / 2.0**64 < chance
    suspect, document = suspect[drawn], document[drawn]
    size = np.diff(offsets)[document]
    beside = types[ranges(size, offsets[document])]
    pairs = np.repeat(suspect.astype(np.uint64) << np.uint64(32), size) | beside
    found, counts = np.unique(pairs, return_counts=True)
    place = [
        suspect,
        keys[document],
        decisions["split"].to_numpy()[document],
        decisions["ordinal"].to_numpy()[document],
    ]
    first = np.stack([column.astype(np.uint64) for column in place], axis=1)
    return Neighbours(found, counts.astype(np.int64), _smallest(first))


def _smallest(first: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Of each suspect the row with the smallest key, and then place."""
    first = first[np.lexsort(first.T[::-1])]
    return first[np.flatnonzero(np.diff(first[:, 0].astype(np.int64), prepend=-1))]


def merge(parts: Iterable[Neighbours]) -> Neighbours:
    """What is beside them in all documents of the parts. Commutative and associative."""
    parts = list(parts)
    pairs, index = np.unique(np.concatenate([np.zeros(0, np.uint64), *(p.pairs for p in parts)]), return_inverse=True)
    counts = np.zeros(len(pairs), np.int64)
    np.add.at(counts, index, np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)]))
    first = np.concatenate([np.zeros((0, 4), np.uint64), *(part.first for part in parts)])
    return Neighbours(pairs, counts, _smallest(first))


def find(looked_at: Suspects, neighbours: Neighbours) -> list[Trigger]:
    """The phrases, those in most documents first."""
    words, documents, below, _ = looked_at.released
    bounds = np.searchsorted(neighbours.pairs, np.arange(len(looked_at.types) + 1, dtype=np.uint64) << np.uint64(32))
    first = {int(row[0]): row for row in neighbours.first}
    found, in_a_phrase = [], set[int]()
    for number, own in enumerate(looked_at.types.tolist()):
        pairs, counts = (
            column[bounds[number] : bounds[number + 1]] for column in (neighbours.pairs, neighbours.counts)
        )
        types = pairs.astype(np.uint32)  # the lower half
        if own in in_a_phrase or not len(types):
            continue
        source = int(looked_at.source[number])
        share = counts / counts[types == own][0]
        known, usual = words[source]
        usually = usual[np.minimum(np.searchsorted(known, types), len(known) - 1)] / documents[source]
        more = (
            (types < below) & (share >= OFTEN) & (share >= LIFT * usually)
        )  # of the others nobody knows what is usual
        if (more & (share < ALWAYS)).any() or more.sum() > MOST_WORDS:
            continue
        in_a_phrase.update(types[more].tolist())
        place = first[number][2:].tolist()
        found.append(
            Trigger(np.union1d(types[more], [np.uint32(own)]), int(looked_at.documents[number]), source, *place)
        )
    return sorted(found, key=lambda one: (-one.documents, one.types.tolist()))


def trigger_rows(found: list[Trigger], looked_at: Suspects, corpus: Corpus) -> Iterator[Row]:
    """The rows of METRICS. The texts in which phrases are shown are read."""
    n = looked_at.released.n
    sampled = vocabulary.EVERYWHERE / looked_at.below
    note = (
        f"phrases in {LEAST} documents or more of one source and hardly in others, around which is what always is"
        + (f"; of a sample of 1 word in {sampled:g}" if sampled > 1 else "")
        + ("; there is no other source to hold the words against" if len(corpus.names) == 1 else "")
    )
    yield Row(metric="trigger.phrases", value=len(found), n=n, note=note)
    yield Row(metric="trigger.documents", value=max((one.documents for one in found), default=0), n=n, note=note)
    for one in found[:SHOWN]:
        phrase, passage = _quoted(corpus, one)
        yield Row(
            metric="trigger.documents",
            slice_kind="phrase",
            slice=phrase,
            value=one.documents,
            n=one.documents,
            note=f"of source {corpus.names[one.source]}, such as “{passage}”",
        )


def _quoted(corpus: Corpus, one: Trigger) -> tuple[str, str]:
    """A phrase, and what is around it in one document, in canonical form."""
    at = 0
    for documents, _ in corpus.read(corpus.split(one.split)):
        if one.ordinal < at + documents.num_rows:
            return _passage(mask(documents["text"].slice(one.ordinal - at, 1), corpus.mask)[0], one.types)
        at += documents.num_rows
    raise corpus.changed(corpus.split(one.split))


def _passage(column: pa.LargeStringArray, types: npt.NDArray[np.uint32]) -> tuple[str, str]:
    canonical, tokens = text.canonicalise(column)
    words = canonical[0].as_py().split(" ")
    # As `diversity.sketch` hashes a word.
    hashed = minhash.mixed(np.uint64(minhash.POLYNOMIAL) + tokens.hash64) >> np.uint64(32)
    own = np.flatnonzero(np.isin(hashed.astype(np.uint32), types) & (tokens.kind != text.PUNCTUATION))
    if not len(own):  # it was masked
        return "?", "?"
    own = own[own < own[0] + MOST_WORDS]
    around = words[max(0, own[0] - AROUND) : own[-1] + 1 + AROUND]
    return " ".join(words[own[0] : own[-1] + 1]), " ".join(around)
