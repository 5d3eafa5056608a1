"""A release against its reference -> METRICS: ratios of what is diverse, what is left of the tail, and how far words moved."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from transforms import sample, yardstick
from transforms.kernels import cores, diversity, embedding, likeness, vocabulary
from transforms.kernels.cores import Interval
from transforms.kernels.hill import Floats
from transforms.kernels.likeness import Side
from transforms.kernels.vocabulary import Population, Vocabulary
from transforms.lexis import MIN_LANGUAGE, one_in
from transforms.populations import FOLDS, OF_ORIGIN
from transforms.reference import Reference, Sampled, folded, sampled
from transforms.tally import Tally

Row = dict[str, Any]
Chosen = Callable[[Population], bool]

MOST_COMPARED = 1 << 20  # counts of either side
LEAST_DOCUMENTS = 300  # with fewer, limits by fold are no limits
CHANGE = 0.1  # of a ratio: what there must be enough documents to see
MOVED = 0.03  # bits: the same for the distance
OF_TAIL = 0.3  # the same for the share of the hardest and of the easiest documents
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
    for order in diversity.ORDERS:
        one, other = (vocabulary.bounded(side, MOST_COMPARED) for side in (release[order], reference.ngrams[order]))
        below = min(one.below, other.below)
        one, other = vocabulary.cut(one, below), vocabulary.cut(other, below)
        for kind, name, mine, theirs in _slices(one, other, reference.own):
            if order == 1 or kind == "overall":
                note = f"against {reference.name}; {LIMITS}" + (
                    "; they share documents, so rather too wide" if reference.own else ""
                )
                row: Row = {"slice_kind": kind, "slice": name, "note": note}
                yield from _compared(one, other, mine, theirs, order, row)


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
    wide = "; they share documents, so rather too wide" if reference.own else ""
    note = f"against {reference.name}, of {n:,} documents each, sampled by hash; {LIMITS}{wide}"
    row: Row = {"slice_kind": "overall", "slice": "", "n": n, "note": note}
    for name, one, other in zip(("vendi_1", "vendi_inf"), *limits, strict=True):
        yield _row(name, cores.ratio(one, other), row, CHANGE)


def _by_stick(n: int, reference: Reference) -> Row:
    wide = "; they share documents, so rather too wide" if reference.own else ""
    note = f"against {reference.name}, of {n:,} documents each, sampled by hash; {LIMITS}{wide}; "
    return {"slice_kind": "overall", "slice": "", "n": n, "note": f"{note}yardstick {yardstick.bundled().name}"}


def _hardness(mine: Sampled, reference: Reference) -> Iterator[Row]:
    """How bits per byte spread, over the reference's: the hard tail goes early when models learn from models."""
    sides = [
        (side.bits[~np.isnan(side.bits)], side.fold[: len(side.bits)][~np.isnan(side.bits)])
        for side in (mine, reference)
    ]
    n = min(len(bits) for bits, _ in sides)
    if not n:
        return
    (one, of_one), (other, of_other) = ((bits[:n], fold[:n]) for bits, fold in sides)

    def ratios(a: Floats, b: Floats) -> Floats:
        low, high = np.quantile(b, [OUTER, 1 - OUTER])
        # A few documents that are no prose at all would decide the spread.
        a, b = (np.clip(side, *np.quantile(b, [ODD, 1 - ODD])) for side in (a, b))
        spread = b.std()
        return np.array(
            [
                a.std() / spread if spread else np.nan,
                *_over((a > high).mean(), (b > high).mean()),
                *_over((a < low).mean(), (b < low).mean()),
            ]
        )

    row = _by_stick(n, reference)
    left = [[ratios(one[of_one != k], other) for k in np.unique(of_one) if (of_one != k).any()],
            [ratios(one, other[of_other != k]) for k in np.unique(of_other) if (of_other != k).any()]]  # fmt: skip
    for name, number, change in zip(
        ("bpb_sd", "bpb_tail", "bpb_low"),
        likeness.limited(ratios(one, other), left),
        (CHANGE, OF_TAIL, OF_TAIL),
        strict=True,
    ):
        yield _row(name, number, row, change)


def _over(share: float, reference: float) -> list[float]:
    return [share / reference if reference else np.nan]


def _topics(mine: Sampled, reference: Reference) -> Iterator[Row]:
    """The effective number of topics over the reference's, and how far the mix of topics moved."""
    n = min(len(mine.topic), len(reference.topic))
    a, b = (sample.topic_counts(side.topic[:n], side.fold[:n]) for side in (mine, reference))
    if not min(a.sum(), b.sum()):
        return

    def numbers(x: likeness.Matrix, y: likeness.Matrix) -> Floats:
        one, other = (sample.concentration(side.sum(axis=1))[1:] for side in (x, y))
        return np.r_[one / other, likeness.distance(x, y)]

    *ratios, moved = likeness.jackknifed(numbers, a, b)
    row = _by_stick(n, reference)
    for order, number in enumerate(ratios, 1):
        yield _row(f"topic_hill_{order}", number, row, OF_TOPICS)
    yield _row("topic_distance", Interval(*(max(0.0, end) for end in moved)), row, MOVED, unit="bits")


def _slices(one: Vocabulary, other: Vocabulary, own: bool) -> Iterator[tuple[str, str, Chosen, Chosen]]:
    """Slices that both sides have, with what chooses the populations of each."""

    def everything(_: Population) -> bool:
        return True

    yield "overall", "", everything, everything
    for name, who in OF_ORIGIN.items():

        def written(p: Population, who: tuple[int, ...] = who) -> bool:
            return p[1] in who

        yield "origin", name, written, everything if own else written
    for kind, place in (("source", 2), ("language", 3)):
        sizes = [{name: _documents(side, kind_is(place, name), at) for name in {p[place] for p in side.documents}}
                 for side, at in ((one, 2), (other, 1))]  # fmt: skip
        for name in sorted(set(sizes[0]) & set(sizes[1])):
            if min(size[name] for size in sizes) >= MIN_LANGUAGE:
                yield kind, name, kind_is(place, name), kind_is(place, name)


def kind_is(place: int, name: str) -> Chosen:
    """What chooses the populations of one source or language."""

    def chosen(p: Population) -> bool:
        return bool(p[place] == name)

    return chosen


def _documents(side: Vocabulary, chosen: Chosen, at: int) -> int:
    return sum(n for p, n in side.documents.items() if p[0] >= at and chosen(p))


def _side(one: Vocabulary, chosen: Chosen, at: int, order: int) -> Side:
    counts = [(p[4], c) for p, c in one.counts.items() if p[0] >= at and chosen(p)]
    types = np.unique(np.concatenate([np.zeros(0, np.uint32), *(c.types for _, c in counts)]))
    matrix = np.zeros((len(types), FOLDS), np.int64)
    for fold, c in counts:
        matrix[np.searchsorted(types, c.types), fold] += c.documents
    return Side(types, matrix, one_in(order, one.below))


def _compared(one: Vocabulary, other: Vocabulary, mine: Chosen, theirs: Chosen, order: int, row: Row) -> Iterator[Row]:
    n, n_reference = _documents(one, mine, 2), _documents(other, theirs, 1)
    if row["slice_kind"] != "overall" and not min(n, n_reference):
        return
    sides = likeness.aligned(_side(one, mine, 2, order), _side(other, theirs, 1, order))
    a, b, rate = sides[0].counts, sides[1].counts, sides[0].one_in
    row = row | {"n": min(n, n_reference)}

    def ratios(x: likeness.Matrix, y: likeness.Matrix) -> Floats:
        return likeness.hill_ratios(x, y, rate)

    for q, number in enumerate(likeness.jackknifed(ratios, a, b)):
        yield _row(f"hill_{q}_{order}", number, row, CHANGE)
    if order > 1:
        return
    for low, high in ((0.0, likeness.TAIL), *(BANDS if row["slice_kind"] == "overall" else ())):
        yield from _tail(a, b, rate, low, high, row)
    (moved,) = likeness.jackknifed(lambda x, y: [likeness.distance(x, y)], a, b)
    positive = Interval(*(max(0.0, end) for end in moved))
    yield _row("distance", positive, row, MOVED, unit="bits")


def _tail(a: likeness.Matrix, b: likeness.Matrix, rate: float, low: float, high: float, row: Row) -> Iterator[Row]:
    mass, types = likeness.jackknifed(lambda x, y: likeness.tail(x, y, rate, low, high)[:2], a, b)
    found = likeness.tail(a, b, rate, low, high)[2]
    if low and not found:
        return  # the corpus is too small to have such types
    if low:
        row = row | {"slice_kind": "band", "slice": f"{low:.0e} to {high:.0e}"}
    row = row | {
        "note": f"{row['note']}; {found:,} types rarer than {high:.0e}" + (f", at least {low:.0e}" if low else "")
    }
    yield _row("tail_mass", mass, row, CHANGE)
    yield _row("tail_types", types, row, CHANGE)


def _row(metric: str, number: Interval, row: Row, change: float, unit: str = "fraction") -> Row:
    number = Interval(number.value, max(0.0, number.lower), number.upper)
    needed = max(LEAST_DOCUMENTS, cores.documents_to_tell(number, row["n"], change))
    return row | {"metric": f"reference.{metric}", "value": number.value, "lower": number.lower, "upper": number.upper,
                  "unit": unit, "needed": needed}  # fmt: skip
