"""The mixture as a whole: what it promises of every budget, floor and cap, whatever the documents and their order."""

import dataclasses
import hashlib
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from expectations import contracts
from expectations.structures import StructuresError, System
from transforms.detector.detector import load_detector
from transforms.ingest.sources import Source
from transforms.kernels.choosing import order
from transforms.kernels.statistics.structures import IN_SLICE
from transforms.mixture.balance import mix
from transforms.mixture.cells import Rule, Scores, View, Weighed, cells_of, count_scores, opinion, rarest, weigh
from transforms.mixture.config import RatioConfig
from transforms.mixture.last_documents import Mixture, take
from transforms.structures.find import pack

CALIBRATION = load_detector().calibration
SOURCES = ("web", "books", "machine", "safety")
HUMAN, SYNTHETIC, UNKNOWN = contracts.HUMAN, contracts.SYNTHETIC, contracts.UNKNOWN


@dataclasses.dataclass(frozen=True)
class Doc:
    """One document of a test."""

    name: int
    tokens: int
    origin: int = HUMAN
    basis: int = contracts.BASIS_DECLARED
    score: float | None = None
    source: int = 0
    language: str | None = None
    generator: str | None = None
    kind: str | None = None
    again: bool = False
    prior: int = 0
    has: tuple[str, ...] | None = ()  # structures of VOICES; None: outside of its slice


VOICES = System.model_validate({
    "id": "voices", "owner": {"team": "us"}, "rationale": "Rare voices stay.",
    "structures": [
        {"id": name, "kind": "lexicon", "terms": [name]} for name in ("river", "road", "slur", "song", "nobody")
    ],
    "expectations": [{"kind": "avoid", "structure": "slur", "max": 0.01}],
})  # fmt: skip
OTHER = VOICES.model_copy(update={"id": "other"})


def offer(documents: list[Doc]) -> pa.RecordBatch:
    ids = [hashlib.blake2b(str(d.name).encode(), digest_size=16).digest() for d in documents]
    return contracts.OFFER.batch({
        "doc_id": pa.array(ids, contracts.HASH), "ordinal": list(range(len(documents))),
        "source": [d.source for d in documents], "n_tokens": [d.tokens for d in documents],
        "origin": [d.origin for d in documents], "origin_basis": [d.basis for d in documents],
        "machine_prior": [d.prior for d in documents],
        "detector_score": [d.score for d in documents], "detector_band": [0 if d.score is not None else -1 for d in documents],
        "language": [d.language for d in documents],
        "generator": [d.generator for d in documents], "kind": [d.kind for d in documents],
        "stratum": pa.nulls(len(documents), pa.string()),
        "structures": pack(np.array([_pattern(d) for d in documents], np.uint16).reshape(-1, 2)),
        "again": [d.again for d in documents],
    })  # fmt: skip


def _pattern(document: Doc) -> np.ndarray:
    """Of OTHER every document has all; VOICES comes behind it."""
    own = sum(1 << VOICES.names.index(name) for name in document.has or ())
    return np.array([0x801F, own if document.has is None else own | IN_SLICE], np.uint16)


def rule(protected: tuple[str, ...] = (), earlier: int = 0, **config: Any) -> Rule:
    sources = tuple(Source(name=name, path="x", protected=name in protected) for name in SOURCES)
    return Rule.of(RatioConfig.model_validate(config), sources, "salt", CALIBRATION, earlier, (OTHER, VOICES))


def chosen(documents: list[Doc], by: Rule) -> tuple[Mixture, dict[int, int]]:
    """The mixture, and how often each document counts."""
    mixture = mix([offer(documents)], by)
    copies, _ = take(offer(documents), by, mixture)
    return mixture, dict(zip([d.name for d in documents], copies.tolist(), strict=True))


@st.composite
def corpora(draw: st.DrawFn, most: int = 60) -> list[Doc]:
    """Declared and undeclared documents of several sources, languages and generators."""
    documents = []
    for name in range(draw(st.integers(1, most))):
        tokens = draw(st.integers(1, 2000))
        source, language = draw(st.integers(0, 3)), draw(st.sampled_from(["en", "sw", None]))
        what = draw(st.sampled_from(["human", "human", "synthetic", "flagged", "scored", "short"]))
        score = {"flagged": 3.0, "scored": draw(st.floats(-8, 0))}.get(what)
        documents.append(Doc(
            name, tokens, {"human": HUMAN, "synthetic": SYNTHETIC, "flagged": SYNTHETIC}.get(what, UNKNOWN),
            {"human": contracts.BASIS_DECLARED, "synthetic": contracts.BASIS_DECLARED,
             "short": contracts.BASIS_NONE}.get(what, contracts.BASIS_DETECTOR),
            score, source, language,
            draw(st.sampled_from(["gpt", "claude", None])) if what == "synthetic" else None,
            draw(st.sampled_from(["textbook", "rephrased", None])) if what == "synthetic" else None,
            again=draw(st.booleans()),
            has=draw(st.none() | st.sets(st.sampled_from(("river", "road", "slur", "song"))).map(lambda s: tuple(sorted(s)))),
        ))  # fmt: skip
    return documents


def counted(documents: list[Doc], by: Rule) -> np.ndarray:
    """What each document counts as, with all weights: float64[documents]."""
    view = View(offer(documents), by)
    thought = opinion(count_scores(offer(documents), by), by)
    return view.weight * view.counted(thought) / order.UNITS


def share(documents: list[Doc], copies: dict[int, int], by: Rule) -> float:
    times = np.array([copies[d.name] for d in documents])
    weight = np.array([d.tokens if by.config.unit == "tokens" else 1 for d in documents])
    return float((counted(documents, by) * times).sum() / max(1, (weight * times).sum()))


limits = st.fractions(0, 1, max_denominator=20).map(float)
selects = st.sampled_from(["cut", "thin", "threshold", "resample"])
counts = st.sampled_from(["upper_bound", "estimate", "labelled"])
units = st.sampled_from(["tokens", "documents"])


@settings(max_examples=150, deadline=None)
@given(corpora(), limits, counts, units)
def test_the_cut_is_what_a_loop_over_hash_order_finds(
    documents: list[Doc], limit: float, count: str, unit: str
) -> None:
    """All that is not labelled stays; labelled documents in hash order, as many as keep the limit in a row."""
    by = rule(max_synthetic_share=limit, count=count, unit=unit)
    _, copies = chosen(documents, by)
    view = View(offer(documents), by)
    parts = view.counted(opinion(count_scores(offer(documents), by), by))
    key = view.keys(opinion(count_scores(offer(documents), by), by))[0]
    late = np.flatnonzero(view.labelled)
    kept, best = set(np.flatnonzero(~view.labelled).tolist()), set()
    best = set(kept)
    for row in late[np.argsort(key[late])].tolist():
        kept.add(row)
        rows = np.array(sorted(kept))
        weight = view.weight[rows]
        if Fraction(int((weight * parts[rows]).sum()), order.UNITS) <= by.config.max_share * int(weight.sum()):
            best = set(kept)
    assert {i for i, d in enumerate(documents) if copies[d.name]} == best


@settings(max_examples=150, deadline=None)
@given(corpora(), limits, selects, counts, units)
def test_the_limit_holds_and_one_more_document_would_break_it(
    documents: list[Doc], limit: float, select: str, count: str, unit: str
) -> None:
    by = rule(max_synthetic_share=limit, select=select, count=count, unit=unit)
    mixture, copies = chosen(documents, by)
    view = View(offer(documents), by)
    thought = mixture.opinion
    parts, keys = view.counted(thought), view.keys(thought)
    entries = sorted((int(key[i]), i) for key in keys for i in range(len(documents)))
    taken = sum(copies.values())
    forced = sum(order.bin_of(np.array([k], np.uint64))[0] < FORCED_BINS[select] for k, _ in entries)

    def holds(first: int) -> bool:
        rows = np.array([i for _, i in entries[:first]], np.int64)
        weight = int(view.weight[rows].sum())
        synthetic = Fraction(int((view.weight[rows] * parts[rows]).sum()), order.UNITS)
        most = Fraction(3, 2) * int(view.weight.sum()) if select == "resample" else weight
        return synthetic <= by.config.max_share * weight and weight <= most

    assert {i for _, i in entries[:taken]} == {i for i, d in enumerate(documents) if copies[d.name]}
    assert taken >= forced
    assert taken == forced or holds(taken)
    assert taken == len(entries) or not holds(taken + 1) or not holds(taken) or taken == forced


FORCED_BINS = {"cut": 1 << 19, "thin": 1 << 19, "threshold": 1 << 12, "resample": 1 << 8}


@settings(max_examples=80, deadline=None)
@given(corpora(), limits, limits, selects, counts)
def test_a_lower_limit_keeps_a_subset(documents: list[Doc], one: float, other: float, select: str, count: str) -> None:
    low, high = sorted((one, other))
    _, less = chosen(documents, rule(max_synthetic_share=low, select=select, count=count))
    _, more = chosen(documents, rule(max_synthetic_share=high, select=select, count=count))
    assert all(less[name] <= more[name] for name in less)


RICH = {
    "limits": [
        {"source": "safety", "min": 0.05, "max_copies": 4},
        {"each": "language", "max": 0.9},
        {"each": "generator", "max": 0.8},
    ],
    "kinds": {"textbook": 0.1, "undeclared": 0.4},
    "favour": {"by": "language", "power": 0.5, "max_copies": 2},
}


BY_STRUCTURE = {"by": "structure", "system": "voices", "power": 0.3, "max_copies": 3}
VOICED = RICH | {"favour": BY_STRUCTURE}  # the same limits, with rare structures instead of rare languages
BARE = {"favour": BY_STRUCTURE}


@settings(max_examples=60, deadline=None)
@given(corpora(), st.sampled_from([{}, RICH, VOICED, BARE]), selects, st.randoms(use_true_random=False))
def test_order_and_sharding_change_nothing(documents: list[Doc], asked: dict, select: str, random: Any) -> None:
    more = dict(asked)
    if select == "resample":  # it makes its own copies
        more.pop("limits", None)
        more["favour"] = {**more.get("favour", {}), "max_copies": 1}
    by = rule(max_synthetic_share=0.4, select=select, **more)
    expected, copies = chosen(documents, by)
    shuffled = random.sample(documents, len(documents))
    at = sorted(random.randrange(len(documents) + 1) for _ in range(3))
    parts = [offer(shuffled[a:b]) for a, b in zip([0, *at], [*at, len(shuffled)], strict=True)]
    mixture = mix(parts, by)
    assert mixture.cuts == expected.cuts
    again = np.concatenate([take(part, by, mixture)[0] for part in parts])
    assert dict(zip([d.name for d in shuffled], again.tolist(), strict=True)) == copies


def plain(n: int, first: int = 0) -> list[Doc]:
    """Half human, half synthetic, of 50 to 149 tokens."""
    return [
        Doc(i, 50 + i * 7919 % 100, SYNTHETIC if i % 2 else HUMAN, generator="gpt" if i % 2 else None)
        for i in range(first, first + n)
    ]


def test_new_documents_change_choices_only_near_the_cut() -> None:
    by = rule(max_synthetic_share=0.3)
    _, before = chosen(plain(4000), by)
    _, after = chosen(plain(4000) + plain(40, first=10_000), by)
    changed = [name for name in before if before[name] != after[name]]
    assert len(changed) <= 20  # one per cent more of both kinds; the place of the cut moves by its noise
    key = {
        d.name: int(k)
        for d, k in zip(
            plain(4000), View(offer(plain(4000)), by).keys(mix([offer(plain(4000))], by).opinion)[0], strict=True
        )
    }
    at = max(key[name] for name in before if before[name] and name % 2)
    assert all(abs(key[name] - at) < 2**63 * 0.02 for name in changed)


def test_protected_documents_are_never_dropped_for_their_score() -> None:
    documents = [Doc(i, 100, SYNTHETIC, source=3) for i in range(5)] + [
        Doc(10 + i, 100, UNKNOWN, contracts.BASIS_DETECTOR, 2.0, source=3) for i in range(5)
    ] + [Doc(20 + i, 100, SYNTHETIC) for i in range(20)] + [Doc(50 + i, 100) for i in range(10)]  # fmt: skip
    for select in ("cut", "thin", "threshold", "resample"):
        _, copies = chosen(documents, rule(("safety",), max_synthetic_share=0.2, select=select, count="labelled"))
        assert all(copies[name] >= 1 for name in (*range(5), *range(10, 15))), select
    _, copies = chosen(documents, rule(("safety",), max_synthetic_share=0.5, limits=[{"each": "source", "max": 0.9}]))
    assert all(copies[name] == 1 for name in (*range(5), *range(10, 15)))


@settings(max_examples=80, deadline=None)
@given(corpora(), st.sampled_from(["cut", "thin", "threshold"]), counts, units, st.sampled_from([RICH, VOICED]))
def test_floors_and_caps_hold_exactly_or_are_refused(
    documents: list[Doc], select: str, count: str, unit: str, asked: dict
) -> None:
    by = rule(max_synthetic_share=0.35, select=select, count=count, unit=unit, **asked)
    mixture, copies = chosen(documents, by)
    if mixture.conflict:
        assert mixture.change
        assert all(n == 1 for n in copies.values())  # nothing was chosen
        return
    held = [d for d in documents for _ in range(copies[d.name])]

    def weight(some: list[Doc]) -> int:
        return sum(d.tokens for d in some) if unit == "tokens" else len(some)

    total = weight(held)
    assert share(documents, copies, by) <= 0.35 + 1e-9
    assert weight([d for d in held if d.source == 3]) >= 0.05 * total - 1e-9
    for language in ("en", "sw", None):
        assert weight([d for d in held if d.language == language]) <= 0.9 * total + 1e-9
    labelled = [d for d in held if d.origin == SYNTHETIC]
    for generator in ("gpt", "claude", None):
        assert weight([d for d in labelled if d.generator == generator]) <= 0.8 * weight(labelled) + 1e-9
    textbook = [d for d in labelled if d.kind == "textbook" and d.basis == contracts.BASIS_DECLARED]
    assert weight(textbook) <= 0.1 * total + 1e-6
    for d in documents:
        assert copies[d.name] <= (1 if d.origin == SYNTHETIC else 4)


def test_a_large_corpus_meets_its_targets_to_a_document() -> None:
    """A cap that binds, a floor that needs copies, and a budget: what is taken is the programme's answer, less a document."""
    documents = [Doc(i, 100, source=0) for i in range(600)] + [Doc(1000 + i, 100, source=1) for i in range(200)]
    documents += [Doc(2000 + i, 100, SYNTHETIC, source=2, generator="gpt") for i in range(900)]
    documents += [Doc(4000 + i, 100, source=3) for i in range(20)]
    by = rule(
        max_synthetic_share=0.3, count="labelled",
        limits=[{"source": "safety", "min": 0.05, "max_copies": 4}, {"source": "web", "max": 0.4}],
    )  # fmt: skip
    _, copies = chosen(documents, by)
    total = {number: sum(copies[d.name] for d in documents if d.source == number) for number in range(4)}
    # Books and four times safety are 280; with web at most 0.4 T and machine 0.3 T, T = 280 + 0.7 T = 933.3, of which
    # machine has 280 and web 373.3. In whole documents: 280 of machine would need T = 934.
    assert total == {0: 372, 1: 200, 2: 279, 3: 80}
    assert {copies[d.name] for d in documents if d.source == 3} == {4}


def test_a_copy_is_made_only_if_it_brings_in_more_than_itself() -> None:
    """A fifth may be synthetic: a copy of real text would make room for a quarter of a document, and is not worth it."""
    documents = [Doc(i, 100, source=i % 10 // 9 * 3) for i in range(100)]
    documents += [Doc(1000 + i, 100, SYNTHETIC, source=2) for i in range(100)]
    floor = {"source": "safety", "max_copies": 4}
    mixture, copies = chosen(
        documents, rule(max_synthetic_share=0.2, count="labelled", limits=[{**floor, "min": 0.05}])
    )
    assert mixture.copied == 0
    assert sum(copies[d.name] for d in documents if d.source == 2) == 25
    # A floor of a fifth: 90 + s + m with s and m a fifth each is 150.
    mixture, copies = chosen(documents, rule(max_synthetic_share=0.2, count="labelled", limits=[{**floor, "min": 0.2}]))
    assert sum(copies[d.name] > 0 for d in documents if d.source != 2) == 100
    assert 30 <= sum(copies[d.name] for d in documents if d.source == 3) <= 31
    assert 29 <= sum(copies[d.name] for d in documents if d.source == 2) <= 30


def test_fresh_and_retained_human_text() -> None:
    documents = [Doc(i, 100, again=i < 60) for i in range(100)]
    mixture, copies = chosen(documents, rule(fresh_human=0.6, count="labelled"))
    kept_again = sum(copies[i] for i in range(60))
    assert not mixture.conflict
    assert sum(copies[i] for i in range(60, 100)) == 40
    assert kept_again == 26  # 40 of 66 is 0.606, 40 of 67 is 0.597
    mixture, _ = chosen(documents, rule(earlier=6000, fresh_human=0.6, retain_human=0.9, count="labelled"))
    assert set(mixture.conflict) == {
        "at least 60% fresh human text",
        "at least 90% of the earlier releases' human text (5,400 tokens)",
    }
    mixture, copies = chosen(documents, rule(earlier=6000, size=8000, retain_human=0.9, count="labelled"))
    assert not mixture.conflict
    assert 54 <= sum(copies[i] for i in range(60)) <= 60
    assert sum(copies.values()) == 80


def test_a_conflict_names_the_limits_and_a_change_that_does() -> None:
    documents = [Doc(i, 100) for i in range(90)] + [Doc(100 + i, 100, SYNTHETIC, source=2) for i in range(10)]
    asked = {"limits": [{"source": "machine", "min": 0.5}, {"source": "web", "min": 0.2}], "count": "labelled"}
    mixture, _ = chosen(documents, rule(max_synthetic_share=0.3, **asked))
    assert mixture.conflict == ("at most 30% synthetic (labelled)", "at least 50% from source machine")
    assert mixture.refusal().startswith("these cannot be kept together: “at most 30% synthetic (labelled)”; ")
    assert mixture.change in (
        ("“at most 30% synthetic (labelled)” becomes 50%",),
        ("“at least 50% from source machine” becomes 30%",),
    )
    mixture, _ = chosen(documents, rule(limits=[{"source": "safety", "min": 0.01}]))
    assert mixture.conflict == ("at least 1% from source safety",)
    assert mixture.change == ("“at least 1% from source safety” becomes 0%",)


def test_the_rare_are_favoured() -> None:
    documents = [Doc(i, 100, language="en") for i in range(900)] + [
        Doc(1000 + i, 100, language="sw") for i in range(100)
    ]
    favour = {"by": "language", "power": 0.5}
    mixture, copies = chosen(documents, rule(size=50_000, favour=favour, count="labelled"))
    assert mixture.lifts == {"en": 1.0, "sw": pytest.approx(3.0)}
    english = sum(copies[d.name] for d in documents if d.language == "en")
    assert english in (400, 401)
    assert sum(copies.values()) in (500, 501)  # all of Swahili: three times English's fraction is more than there is
    _, copies = chosen(documents, rule(favour={**favour, "max_copies": 2}, count="labelled"))
    assert {copies[d.name] for d in documents if d.language == "sw"} == {2}
    assert {copies[d.name] for d in documents if d.language == "en"} == {1}


def lifts(documents: list[Doc], favour: dict[str, Any], weight: str = "tokens") -> dict[str, float]:
    """The weights of structures, by a loop over documents: (A / A_i)^(1 - power), capped."""
    inside = [(d.tokens if weight == "tokens" else 1, d.has) for d in documents if d.has is not None]
    total = sum(w for w, _ in inside)
    found = {}
    for name in favour.get("structures", ("river", "road", "song", "nobody")):
        own = sum(w for w, has in inside if name in has)
        lift = (total / own) ** (1 - favour["power"]) if own else 1.0
        found[f"voices/{name}"] = min(favour.get("max_weight", 4.0), lift)
    return found


@settings(max_examples=60, deadline=None)
@given(corpora(), units, st.sampled_from([BY_STRUCTURE, BY_STRUCTURE | {"structures": ["slur"], "max_weight": 2}]))
def test_a_structure_weighs_by_how_rare_it_is_in_its_slice(documents: list[Doc], unit: str, favour: dict) -> None:
    """And a document by its rarest. What the system wants rare (`avoid`) is lifted only if it is named."""
    by = rule(favour=favour, unit=unit)
    mixture, _ = chosen(documents, by)
    expected = lifts(documents, favour, unit)
    assert mixture.lifts == pytest.approx(expected)
    names = rarest(View(offer(documents), by), mixture.opinion).to_pylist()
    for document, name in zip(documents, names, strict=True):
        own = [expected[one] for one in expected if one.removeprefix("voices/") in (document.has or ())]
        assert (name == "(none)") == (not own)
        assert not own or expected[name] == pytest.approx(max(own))


@settings(max_examples=60, deadline=None)
@given(corpora(), limits, counts, units)
def test_what_is_favoured_counts_no_more_often_than_its_weight_allows(
    documents: list[Doc], limit: float, count: str, unit: str
) -> None:
    """Copies are of real text, of documents with a rare structure, at most `max_copies`; and the limit holds."""
    by = rule(max_synthetic_share=limit, count=count, unit=unit, **BARE)
    mixture, copies = chosen(documents, by)
    if mixture.conflict:
        return
    assert share(documents, copies, by) <= limit + 1e-9
    weights = lifts(documents, BY_STRUCTURE, unit)
    for d in documents:
        own = max([weights[f"voices/{name}"] for name in d.has or () if f"voices/{name}" in weights], default=1.0)
        most = math.ceil(min(own, 3) - 1e-9)
        assert copies[d.name] <= (1 if d.origin == SYNTHETIC else most)


def test_documents_with_a_rare_structure_are_favoured() -> None:
    """Of a thousand documents 40 sing; 10 of those and 240 more know the road. The root of 25 is 5, capped at 4."""
    documents = [
        Doc(i, 100, has=(("song",) if i < 40 else ()) + (("road",) if 30 <= i < 280 else ())) for i in range(1000)
    ]
    documents += [Doc(5000 + i, 100, has=None) for i in range(500)]  # of which the system says nothing
    favour = {"by": "structure", "system": "voices"}
    half = rule(size=75_000, favour=favour, count="labelled")
    mixture, copies = chosen(documents, half)
    assert mixture.lifts == {
        "voices/river": 1.0,
        "voices/road": pytest.approx(2.0),
        "voices/song": 4.0,
        "voices/nobody": 1.0,
    }
    sing = [copies[d.name] for d in documents if "song" in (d.has or ())]
    road = [copies[d.name] for d in documents if d.has == ("road",)]
    rest = [copies[d.name] for d in documents if not d.has]
    # All that sing, and of those that know the road twice the fraction of the rest: 40 + 240 (2 f) + 1220 f = 750.
    fraction = 710 / 1700
    assert sing == [1] * 40
    assert sum(road) in range(round(480 * fraction) - 1, round(480 * fraction) + 2)
    assert sum(rest) in range(round(1220 * fraction) - 1, round(1220 * fraction) + 2)
    _, copies = chosen(documents, rule(favour={**favour, "max_copies": 3}, count="labelled"))
    assert {copies[d.name] for d in documents if "song" in (d.has or ())} == {3}
    assert {copies[d.name] for d in documents if d.has == ("road",)} == {2}
    assert {copies[d.name] for d in documents if not d.has} == {1}


@settings(max_examples=40, deadline=None)
@given(corpora(), st.integers(1, 30_000), st.integers(1, 30_000))
def test_in_a_cell_less_text_is_a_subset_of_more(documents: list[Doc], one: int, other: int) -> None:
    """Nested inside each cell: of what is alike in the eyes of limits and favour, a smaller size keeps a part."""
    small, large = sorted((one, other))
    favour = {"favour": {"by": "structure", "system": "voices"}, "count": "labelled", "max_synthetic_share": 1.0}
    taken = []
    for size in (small, large):
        by = rule(size=size, **favour)
        mixture, copies = chosen(documents, by)
        if mixture.conflict:  # a size that is next to nothing
            return
        cells, number = cells_of(View(offer(documents), by), mixture.opinion)
        taken.append({cell: {d.name for d, at in zip(documents, number, strict=True) if cells[at] == cell and copies[d.name]}
                      for cell in cells})  # fmt: skip
        assert sum(d.tokens * copies[d.name] for d in documents) <= size
    for cell in taken[0]:
        assert taken[0][cell] <= taken[1][cell] or taken[1][cell] <= taken[0][cell]


@pytest.mark.parametrize(
    ("favour", "words"),
    [
        ({"by": "structure", "system": "voice"}, "did you mean 'voices'"),
        ({"by": "structure", "system": "voices", "structures": ["rivr"]}, "did you mean 'river'"),
    ],
)
def test_a_structure_that_is_not_there_is_refused(favour: dict, words: str) -> None:
    with pytest.raises(StructuresError, match=words):
        rule(favour=favour)
    with pytest.raises(StructuresError, match="name its file under `structures`"):
        Rule.of(RatioConfig.model_validate({"favour": favour}), (), "salt", None)


def test_what_a_classifier_says_is_lifted_only_by_name() -> None:
    sample = {"positives": 9, "found": 9, "negatives": 9, "alarmed": 0}
    warm = {"id": "warm", "kind": "classifier", "column": "score", "threshold": 0.5, "sample": sample}
    one = VOICES.model_validate(VOICES.model_dump() | {"structures": [warm], "expectations": []})
    by = {"by": "structure", "system": "voices"}
    with pytest.raises(StructuresError, match="nothing of voices is lifted unless it is named; it has warm"):
        Rule.of(RatioConfig.model_validate({"favour": by}), (), "salt", None, 0, (one,))
    named = Rule.of(RatioConfig.model_validate({"favour": by | {"structures": ["warm"]}}), (), "salt", None, 0, (one,))
    assert named.favoured
    assert named.favoured.names == ("voices/warm",)


def test_resampling_copies_what_is_surely_human_and_stays_within_its_size() -> None:
    human = [Doc(i, 100) for i in range(300)]
    doubtful = [Doc(1000 + i, 100, UNKNOWN, contracts.BASIS_DETECTOR, 5.0 + i / 100) for i in range(300)]
    by = rule(select="resample", count="estimate", max_synthetic_share=0.5)
    _, copies = chosen(human + doubtful, by)
    assert sum(copies.values()) * 100 <= 1.5 * 60_000
    assert max(copies.values()) == 3
    assert sum(copies[d.name] for d in human) > 2 * sum(copies[d.name] for d in doubtful)


def test_what_is_settled_by_other_evidence_counts_as_settled() -> None:
    for basis in set(range(len(contracts.BASES))) - set(contracts.GUESSED):
        documents = [Doc(0, 100, HUMAN, basis), Doc(1, 100, SYNTHETIC, basis)]
        assert counted(documents, rule()).tolist() == [0, 100]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"real_to_synthetic": "7"}, "is not a ratio"),
        ({"real_to_synthetic": 423}, "in quotes"),  # what YAML makes of 7:3 without quotes
        ({"real_to_synthetic": "7:3", "max_synthetic_share": 0.2}, "give one of the two"),
        ({"limits": [{"min": 0.1}]}, "names either"),
        ({"limits": [{"source": "a"}]}, "needs a min"),
        ({"limits": [{"source": "a", "min": 0.5, "max": 0.1}]}, "is above max"),
        ({"limits": [{"generator": "a", "min": 0.5, "max_copies": 2}]}, "is for real text"),
        ({"select": "resample", "favour": {"max_copies": 2}}, "makes its own copies"),
        ({"favour": {"by": "structure"}}, "names the system"),
        ({"favour": {"by": "language", "system": "voices"}}, "belong to by: structure"),
        ({"favour": {"by": "structure", "system": "voices", "structures": []}}, "is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RatioConfig.model_validate(config)


def test_a_ratio_is_a_share_exactly() -> None:
    assert RatioConfig(real_to_synthetic="7:3").max_share == Fraction(3, 10)
    assert RatioConfig(real_to_synthetic="2:1").max_share == Fraction(1, 3)
    assert RatioConfig(real_to_synthetic="2:1").max_synthetic_share == 1 / 3
    again = RatioConfig.model_validate(RatioConfig(real_to_synthetic="2:1").model_dump(mode="json"))
    assert again.max_share == Fraction(1, 3)


@settings(max_examples=40, deadline=None)
@given(corpora(), st.integers(0, 60), st.permutations(range(3)), st.sampled_from([RICH, VOICED]))
def test_what_is_weighed_adds_up_in_any_order(documents: list[Doc], at: int, to: list[int], asked: dict) -> None:
    by = rule(**asked)
    parts = [documents[:at], documents[at:], []]
    scores = Scores.merge(count_scores(offer(parts[i]), by) for i in to)
    whole = count_scores(offer(documents), by)
    for name in ("flagged", "bins", "structures"):
        assert getattr(scores, name).tolist() == getattr(whole, name).tolist()
    thought = opinion(whole, by)
    one = weigh(offer(documents), by, thought)
    many = Weighed.merge([weigh(offer(parts[i]), by, thought) for i in to])
    assert one.cells.keys() == many.cells.keys()
    for cell, profiles in one.cells.items():
        merged = order.merge(many.cells[cell])
        assert merged.bins.tolist() == order.merge(profiles).bins.tolist()
        assert merged.sums.tolist() == order.merge(profiles).sums.tolist()
    assert dataclasses.replace(one, cells={}) == dataclasses.replace(many, cells={})
