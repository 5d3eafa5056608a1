"""Vocabularies -> METRICS: how diverse words, pairs and triples are, of whom, and which stage takes the diversity."""

from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from expectations.metrics.row import Row
from transforms.kernels.statistics import diversity, hill, vocabulary
from transforms.kernels.statistics.hill import Spectrum
from transforms.kernels.statistics.vocabulary import Population, Vocabulary
from transforms.signals.populations import OF_ORIGIN, STAGES

MIN_LANGUAGE = 100  # documents: of fewer, nothing is said by language
# A type is sampled by its hash, so the few most frequent ones of a language are always in the sample or never.
OF_SAMPLED = {
    "1": "the most frequent types are in the sample or not: several per cent off, the same way for corpora of one language",
    "2": "the most frequent types are in the sample or not: ten per cent off and more, the same way for corpora of one language",
    "inf": "of the most frequent type of the sample, which is rarer than that of the corpus",
}
Chosen = Callable[[Population], bool]


def slices(one: Vocabulary, sources: tuple[str, ...]) -> list[tuple[str, str, Chosen]]:
    """The slices that are measured, with what chooses their populations (how far, whose, source, language, ...)."""
    languages: dict[str, int] = {}
    for population, n in one.documents.items():
        languages[population[3]] = languages.get(population[3], 0) + n
    spoken = sorted(name for name, n in languages.items() if n >= MIN_LANGUAGE)
    return [
        ("overall", "", lambda _: True),
        *(("origin", name, _among(1, who)) for name, who in OF_ORIGIN.items()),
        *(("source", name, _among(2, (number,))) for number, name in enumerate(sources)),
        *(("language", name, _among(3, (name,))) for name in spoken),
    ]


def _among(at: int, values: Container[object]) -> Chosen:
    return lambda population: population[at] in values


def one_in(order: int, below: int) -> float:
    """One n-gram type in so many is counted."""
    return diversity.RATES[diversity.ORDERS.index(order)] * vocabulary.EVERYWHERE / below


class _Stage(NamedTuple):
    """What documents of a slice come to that came at least so far."""

    documents: int
    spectrum: Spectrum
    distinct: float
    entropy: float


def _stages(whole: Vocabulary, names: tuple[Population, ...], rate: float) -> list[_Stage]:
    """Some populations by stage; the last is counted first, because its documents are in all of them."""
    found: list[_Stage] = []
    counts, documents = diversity.merge([]), 0
    for at in reversed(range(len(STAGES))):
        own = [name for name in names if name[0] == at]
        counts = diversity.merge([counts, *(whole.counts[name] for name in own)])
        documents += sum(whole.documents[name] for name in own)
        spectrum = hill.spectrum(counts.documents, rate)
        found.append(_Stage(documents, spectrum, diversity.distinct(counts), diversity.entropy(counts, rate)))
    return found[::-1]


def lexical_rows(ngrams: dict[int, list[Vocabulary]], sources: tuple[str, ...]) -> Iterator[Row]:
    """All lexical measures: by order, slice and stage."""
    for order in diversity.ORDERS:
        whole = vocabulary.merge(ngrams.get(order, []))
        rate = one_in(order, whole.below)
        note = f"document frequency, first {diversity.WINDOW} words" + (f", 1 type in {rate:g}" if rate > 1 else "")
        known: dict[tuple[Population, ...], list[_Stage]] = {}  # of one source a slice is there twice
        for kind, name, which in slices(whole, sources):
            names = tuple(population for population in whole.counts if which(population))
            if names not in known:
                known[names] = _stages(whole, names, rate)
            for stage, one in zip(STAGES, known[names], strict=True):
                row: Row = {"stage": stage, "slice_kind": kind, "slice": name, "n": one.documents, "note": note}
                if one.documents or (kind == "overall" and stage == "after"):
                    yield from _stage(one, order, row)
            yield from _kept(known[names], order, {"slice_kind": kind, "slice": name})


def _stage(one: _Stage, order: int, row: Row) -> Iterator[Row]:
    found = one.spectrum
    yield row | {"metric": f"lexical.distinct_{order}", "value": one.distinct}
    yield row | {"metric": f"lexical.entropy_{order}", "value": one.entropy}
    for q, value in zip(hill.ORDERS, hill.profile(found), strict=True):
        note = row["note"] if found.one_in == 1 or q == "0" else f"{row['note']}; {OF_SAMPLED[q]}"
        yield row | {"metric": f"lexical.hill_{q}_{order}", "value": value, "note": note}
    yield row | {"metric": f"lexical.coverage_{order}", "value": hill.coverage(found)}
    if order == 1:
        note = f"maximum likelihood, ranks {hill.ZIPF_RANKS[0]:,} to {hill.ZIPF_RANKS[1]:,}"
        yield row | {"metric": "lexical.zipf_slope", "value": hill.zipf_slope(found), "note": note}


def _kept(seen: list[_Stage], order: int, row: Row) -> Iterator[Row]:
    """What each stage left of the diversity that it was given: at one budget, so that less text alone changes nothing."""
    for at in range(1, len(STAGES)):
        given, left = seen[at - 1], seen[at]
        if not left.documents:
            continue
        before, after = given.spectrum, left.spectrum
        kept = hill.occurrences(after) / hill.occurrences(before)
        ratios = hill.profile(after) / hill.profile(before, kept)
        note = f"against {STAGES[at - 1]}, at one number of occurrences; counted, not estimated"
        for q, value in list(zip(hill.ORDERS, ratios, strict=True))[:-1]:
            yield row | Row(
                metric=f"lexical.stage_hill_{q}_{order}", stage=STAGES[at], value=value, n=given.documents, note=note
            )
