"""A release against its reference -> METRICS: ratios of what is diverse, what is left of the tail, and how far words moved."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from expectations.metrics.row import Row
from expectations.wording import plural
from transforms.kernels.similarity import embedding
from transforms.kernels.statistics import diversity, vocabulary, vocabulary_distance
from transforms.kernels.statistics import structures as cores
from transforms.kernels.statistics.hill import Floats
from transforms.kernels.statistics.structures import Interval
from transforms.kernels.statistics.vocabulary import Population, Vocabulary
from transforms.kernels.statistics.vocabulary_distance import Side
from transforms.kernels.text.columns import distinct_numbers
from transforms.measures import sample, yardstick
from transforms.measures.reference import Reference, Sampled, folded, sampled
from transforms.measures.tally import Tally
from transforms.measures.vocabulary import MIN_LANGUAGE, one_in
from transforms.signals.populations import FOLDS, OF_ORIGIN

Chosen = Callable[[Population], bool]

MOST_COMPARED = 1 << 20  # counts of either side
LEAST_DOCUMENTS = 300  # with fewer, limits by fold are no limits
CHANGE = 0.1  # of a ratio: what there must be enough documents to see
MOVED = 0.03  # bits: the same for the distance
HALF = 0.5  # the same for the share that a source or a language has
OF_TAIL = 0.4  # the same for the share of the hardest and of the easiest documents
ODD = 0.005  # of the reference: beyond its outermost, documents count as hard, or easy, as these
OF_TOPICS = 0.15  # the same for topics
OUTER = 0.05  # of the reference: its hardest documents, or its easiest
BANDS = ((1e-7, 1e-6), (1e-6, 1e-5), (1e-5, 1e-4))
LIMITS = f"limits by leaving out each of {FOLDS} parts of either side"


def reference_rows(tally: Tally, sources: tuple[str, ...], reference: Reference | None) -> Iterator[Row]:
    """All that is said of the release against its reference; nothing if there is none."""
    if reference is None:
        return
    release = folded(tally, sources)
    documents = sampled(tally, 2)
    yield from _semantic(documents, reference)
    yield from _hardness(documents, reference)
    yield from _topics(documents, reference)
    yield from _mix(release[1], reference)
    for order in diversity.ORDERS:
        one, other = (vocabulary.bounded(side, MOST_COMPARED) for side in (release[order], reference.ngrams[order]))
        below = min(one.below, other.below)
        one, other = vocabulary.cut(one, below), vocabulary.cut(other, below)
        for kind, name, mine, theirs in _slices(one, other, reference.own):
            if order == 1 or kind == "overall":
                row: Row = {
                    "slice_kind": kind,
                    "slice": name,
                    "note": f"against {reference.name}; {_limits(reference)}",
                }
                yield from _compared(one, other, mine, theirs, order, row)


def _limits(reference: Reference) -> str:
    """Where the limits come from."""
    return LIMITS + ("; they share documents, so rather too wide" if reference.own else "")


def _semantic(mine: Sampled, reference: Reference) -> Iterator[Row]:
    """Vendi scores over the reference's, of equally many documents."""
    n = min(len(mine.points), len(reference.points))
    sides = [sample.by_fold(side.points[:n], side.fold[:n]) for side in (mine, reference)]
    limits = []
    for side in sides:
        whole = embedding.add(side)
        values = embedding.vendi(whole)
        without = np.array([embedding.vendi(embedding.less(whole, part)) for part in side if part.n])
        limits.append([cores.jackknife(v, left) for v, left in zip(values, without.reshape(-1, 2).T, strict=True)])
    note = f"against {reference.name}, of {plural(n, 'document')} each, sampled by hash; {_limits(reference)}"
    row: Row = {"slice_kind": "overall", "slice": "", "n": n, "note": note}
    for name, one, other in zip(("vendi_1", "vendi_inf"), *limits, strict=True):
        yield _row(name, cores.ratio(one, other), row, CHANGE)


def _by_stick(metrics: tuple[str, ...], n: int, reference: Reference) -> tuple[Row, list[Row]]:
    """What rows of a yardstick share; and where there is nothing to compare, these rows, which say why."""
    note = f"against {reference.name}, of {plural(n, 'document')} each, sampled by hash; {_limits(reference)}"
    row: Row = {"slice_kind": "overall", "slice": "", "n": n, "note": f"{note}; yardstick {yardstick.bundled().name}"}
    known = len(reference.topic) > 0
    unread = f"{reference.name} was not read by this yardstick; make that release again, or take another reference"
    why = "no document of one side is long enough" if known else unread
    nothing = Interval(np.nan, np.nan, np.nan)
    return row, [] if n else [_row(metric, nothing, row | {"note": why}, CHANGE) for metric in metrics]


def _hardness(mine: Sampled, reference: Reference) -> Iterator[Row]:
    """How bits per byte spread, over the reference's: the hard tail goes early when models learn from models."""
    said = np.flatnonzero(~np.isnan(mine.bits)), np.flatnonzero(~np.isnan(reference.bits))
    n = min(len(one) for one in said)
    names = ("bpb_sd", "bpb_tail", "bpb_low")
    row, nothing = _by_stick(names, n, reference)
    if nothing:
        yield from nothing
        return
    one, fold = mine.bits[said[0]][:n], mine.fold[said[0]][:n]
    other, theirs = reference.bits[said[1]][:n], reference.fold[said[1]][:n]
    left = [
        [_spread(one[fold != k], other) for k in _several(fold)],
        [_spread(one, other[theirs != k]) for k in _several(theirs)],
    ]
    changes = (CHANGE, OF_TAIL, OF_TAIL)
    for name, number, change in zip(
        names, vocabulary_distance.limited(_spread(one, other), left), changes, strict=True
    ):
        yield _row(name, number, row, change)


def _spread(one: Floats, other: Floats) -> Floats:
    """Standard deviation, and shares beyond the other side's outermost twentieths, over the other side's. float64[3]."""
    low, high = np.quantile(other, [OUTER, 1 - OUTER])
    # A few documents that are no prose at all would decide the spread.
    ends = np.quantile(other, [ODD, 1 - ODD])
    numbers = [(np.clip(side, *ends).std(), (side > high).mean(), (side < low).mean()) for side in (one, other)]
    return np.array([mine / theirs if theirs else np.nan for mine, theirs in zip(*numbers, strict=True)])


def _several(folds: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The folds that documents are in; none if it is one, without which there is nothing."""
    found: npt.NDArray[np.int8] = np.unique(folds)
    return found if len(found) > 1 else found[:0]


def _topics(mine: Sampled, reference: Reference) -> Iterator[Row]:
    """The effective number of topics over the reference's, and how far the mix of topics moved."""
    n = min(len(mine.topic), len(reference.topic))
    a, b = (sample.topic_counts(side.topic[:n], side.fold[:n]) for side in (mine, reference))
    names = ("topic_hill_1", "topic_hill_2", "topic_distance")
    row, nothing = _by_stick(names, n if min(a.sum(), b.sum()) else 0, reference)
    if nothing:
        yield from nothing
        return

    def numbers(x: vocabulary_distance.Matrix, y: vocabulary_distance.Matrix) -> Floats:
        one, other = (sample.concentration(side.sum(axis=1))[1:] for side in (x, y))
        return np.r_[one / other, vocabulary_distance.distance(x, y)]

    *ratios, moved = vocabulary_distance.jackknifed(numbers, a, b)
    for name, number in zip(names, ratios, strict=False):
        yield _row(name, number, row, OF_TOPICS)
    yield _row(names[-1], Interval(*(max(0.0, end) for end in moved)), row, MOVED)


def _slices(one: Vocabulary, other: Vocabulary, own: bool) -> Iterator[tuple[str, str, Chosen, Chosen]]:
    """Slices that both sides have, with what chooses the populations of each."""
    yield "overall", "", _everything, _everything
    for name, who in OF_ORIGIN.items():

        def written(p: Population, who: tuple[int, ...] = who) -> bool:
            return p[1] in who

        yield "origin", name, written, _everything if own else written
    for kind, place in (("source", 2), ("language", 3)):
        sizes = [
            {name: _documents(side, kind_is(place, name), at) for name in {p[place] for p in side.documents}}
            for side, at in ((one, 2), (other, 1))
        ]
        for name in sorted(set(sizes[0]) & set(sizes[1])):
            if min(size[name] for size in sizes) >= MIN_LANGUAGE:
                yield kind, name, kind_is(place, name), kind_is(place, name)


def _mix(release: Vocabulary, reference: Reference) -> Iterator[Row]:
    """How much of the release each source and language of the reference makes up, over what it made up there; 0: it is gone."""
    theirs = reference.ngrams[1]
    every = [_documents(side, _everything, at) for side, at in ((release, 2), (theirs, 1))]
    for kind, place in (("source", 2), ("language", 3)):
        for name in sorted({str(p[place]) for p in theirs.documents}):
            own = [_documents(side, kind_is(place, name), at) for side, at in ((release, 2), (theirs, 1))]
            if own[1] < MIN_LANGUAGE or not every[0]:
                continue
            number = cores.ratio(*(cores.wilson(n / of, of) for n, of in zip(own, every, strict=True)))
            note = f"against {reference.name}; share of the documents, taken as drawn one by one"
            yield _row("share", number, {"slice_kind": kind, "slice": name, "n": min(every), "note": note}, HALF)


def _everything(_: Population) -> bool:
    return True


def kind_is(place: int, name: str) -> Chosen:
    """What chooses the populations of one source or language."""

    def chosen(p: Population) -> bool:
        return bool(p[place] == name)

    return chosen


def _documents(side: Vocabulary, chosen: Chosen, at: int) -> int:
    return sum(n for p, n in side.documents.items() if p[0] >= at and chosen(p))


def _side(one: Vocabulary, chosen: Chosen, at: int, order: int) -> Side:
    counts = [(p[4], c) for p, c in one.counts.items() if p[0] >= at and chosen(p)]
    types = distinct_numbers(np.concatenate([np.zeros(0, np.uint32), *(c.types for _, c in counts)]))
    matrix = np.zeros((len(types), FOLDS), np.int64)
    for fold, c in counts:
        matrix[np.searchsorted(types, c.types), fold] += c.documents
    return Side(types, matrix, one_in(order, one.below))


def _compared(one: Vocabulary, other: Vocabulary, mine: Chosen, theirs: Chosen, order: int, row: Row) -> Iterator[Row]:
    n, n_reference = _documents(one, mine, 2), _documents(other, theirs, 1)
    if row["slice_kind"] != "overall" and not min(n, n_reference):
        return
    sides = vocabulary_distance.aligned(_side(one, mine, 2, order), _side(other, theirs, 1, order))
    a, b, rate = sides[0].counts, sides[1].counts, sides[0].one_in
    row = row | {"n": min(n, n_reference)}

    def ratios(x: vocabulary_distance.Matrix, y: vocabulary_distance.Matrix) -> Floats:
        return vocabulary_distance.hill_ratios(x, y, rate)

    for q, number in enumerate(vocabulary_distance.jackknifed(ratios, a, b)):
        yield _row(f"hill_{q}_{order}", number, row, CHANGE)
    if order > 1:
        return
    for low, high in ((0.0, vocabulary_distance.TAIL), *(BANDS if row["slice_kind"] == "overall" else ())):
        yield from _tail(a, b, rate, low, high, row)
    (moved,) = vocabulary_distance.jackknifed(lambda x, y: [vocabulary_distance.distance(x, y)], a, b)
    positive = Interval(*(max(0.0, end) for end in moved))
    yield _row("distance", positive, row, MOVED)


def _tail(
    a: vocabulary_distance.Matrix, b: vocabulary_distance.Matrix, rate: float, low: float, high: float, row: Row
) -> Iterator[Row]:
    mass, types = vocabulary_distance.jackknifed(lambda x, y: vocabulary_distance.tail(x, y, rate, low, high)[:2], a, b)
    found = vocabulary_distance.tail(a, b, rate, low, high)[2]
    if low and not found:
        return  # the corpus is too small to have such types
    if low:
        row = row | {"slice_kind": "band", "slice": f"{low:.0e} to {high:.0e}"}
    row = row | {
        "note": f"{row['note']}; {plural(found, 'type')} rarer than {high:.0e}"
        + (f", at least {low:.0e}" if low else "")
    }
    yield _row("tail_mass", mass, row, CHANGE)
    yield _row("tail_types", types, row, CHANGE)


def _row(metric: str, number: Interval, row: Row, change: float) -> Row:
    number = Interval(number.value, max(0.0, number.lower), number.upper)
    needed = max(LEAST_DOCUMENTS, cores.documents_to_tell(number, row["n"], change))
    return row | Row(
        metric=f"reference.{metric}", value=number.value, lower=number.lower, upper=number.upper, needed=needed
    )
