"""The mixture as a whole: what it promises of every budget, floor and cap, whatever the documents and their order."""

import dataclasses
import hashlib
import itertools
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
from expectations.structures.system import StructuresError, System
from transforms.detector.detector import load_detector
from transforms.ingest.sources import Source
from transforms.kernels.choosing import order
from transforms.kernels.statistics import certify
from transforms.kernels.statistics.structures import IN_SLICE
from transforms.mixture.balance import mix
from transforms.mixture.cells import (
    DECLARED,
    DOUBTFUL,
    FLAGGED,
    REAL,
    SPARED,
    Rule,
    ScoreCounts,
    View,
    Weighed,
    cells_of,
    count_scores,
    opinion,
    rarest,
    weigh,
)  # fmt: skip
from transforms.mixture.config import RatioConfig
from transforms.mixture.selection import Mixture, take
from transforms.mixture.ways_out import BY_SCORE, Auditable, labels_for
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


def uncalibrated(**config: Any) -> Rule:
    """A detector that knows no rates: all undeclared text may be a machine's, and a score is a chance by itself."""
    return dataclasses.replace(rule(**config), calibration=None)


def rule(protected: tuple[str, ...] = (), earlier: int = 0, **config: Any) -> Rule:
    sources = tuple(Source(name=name, path="x", protected=name in protected) for name in SOURCES)
    return Rule.of(RatioConfig.model_validate(config), sources, "salt", CALIBRATION, earlier, (OTHER, VOICES))


def chosen(documents: list[Doc], by: Rule) -> tuple[Mixture, dict[int, int]]:
    """The mixture, and how often each document counts."""
    mixture = mix([offer(documents)], by)
    copies, _ = take(offer(documents), by, mixture)
    return mixture, dict(zip([d.name for d in documents], copies.tolist(), strict=True))


WHAT = ("human", "human", "synthetic", "flagged", "scored", "short")
HAS = (None, *(names for n in range(5) for names in itertools.combinations(("river", "road", "slur", "song"), n)))


@st.composite
def corpora(draw: st.DrawFn, most: int = 60) -> list[Doc]:
    """Declared and undeclared documents of several sources, languages and generators. Bytes: one draw, not ten a document."""
    documents = []
    drawn = draw(st.integers(1, most).flatmap(lambda n: st.binary(min_size=9 * n, max_size=9 * n)))
    rows = np.frombuffer(drawn, np.uint8).reshape(-1, 9).tolist()
    for name, (tokens, source, language, what, score, generator, kind, again, has) in enumerate(rows):
        what = WHAT[what % len(WHAT)]
        documents.append(Doc(
            name, 1 + tokens * tokens % 2000,
            {"human": HUMAN, "synthetic": SYNTHETIC, "flagged": SYNTHETIC}.get(what, UNKNOWN),
            {"human": contracts.BASIS_DECLARED, "synthetic": contracts.BASIS_DECLARED,
             "short": contracts.BASIS_NONE}.get(what, contracts.BASIS_DETECTOR),
            {"flagged": 3.0, "scored": -score / 32}.get(what), source % 4, ("en", "sw", None)[language % 3],
            ("gpt", "claude", None)[generator % 3] if what == "synthetic" else None,
            ("textbook", "rephrased", None)[kind % 3] if what == "synthetic" else None,
            again=again % 2 == 1, has=HAS[has % len(HAS)],
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
by_one_order = st.sampled_from(["thin", "threshold", "resample"])  # `cut` chooses between two: see the loop above
counts = st.sampled_from(["upper_bound", "estimate", "labelled"])
units = st.sampled_from(["tokens", "documents"])


@settings(max_examples=100, deadline=None)
@given(corpora(), limits, counts, units)
def test_the_cut_is_what_a_loop_over_documents_finds(documents: list[Doc], limit: float, count: str, unit: str) -> None:
    """First what is flagged goes, then undeclared text that hides much, if that saves declared text and half of all stays;
    else declared text alone goes. If nothing holds, no labelled text stays and the mixture says that it is not what was asked.
    """
    by = rule(max_synthetic_share=limit, count=count, unit=unit)
    mixture, copies = chosen(documents, by)
    view, thought = View(offer(documents), by), mixture.opinion
    parts, key, rank = view.counted(thought), view.keys(thought)[0], view.rank(thought)

    def holds(rows: list[int]) -> bool:
        weight = view.weight[rows]
        return Fraction(int((weight * parts[rows]).sum()), order.UNITS) <= by.config.max_share * int(weight.sum())

    def longest(ranks: tuple[int, ...], whole: tuple[int, ...]) -> list[int] | None:
        rows = sorted(
            (i for i in range(len(documents)) if rank[i] in ranks), key=lambda i: (ranks.index(rank[i]), key[i])
        )
        least = sum(rank[i] in whole for i in rows)
        return next((rows[:n] for n in range(len(rows), least - 1, -1) if holds(rows[:n])), None)

    known, declared = (REAL, SPARED, DECLARED, DOUBTFUL), (rank == DECLARED).any()
    best = longest((*known, FLAGGED), known) if len(documents) else []
    if best is None and declared:
        best = longest(known, (REAL, SPARED))
        if best is not None and 2 * view.weight[best].sum() < view.weight.sum():
            best = None
    if best is None:
        best = longest((REAL, SPARED, DOUBTFUL, DECLARED), (REAL, SPARED, DOUBTFUL))
    assert bool(mixture.conflict) == (best is None)
    if best is None:
        best = [i for i in range(len(documents)) if rank[i] not in (DECLARED, FLAGGED)]
    assert {i for i, d in enumerate(documents) if copies[d.name]} == set(best)


def test_undeclared_text_goes_by_its_score_before_declared_text() -> None:
    """A tenth may be synthetic. Leaving out the undeclared text with the highest scores leaves all declared text in."""
    documents = [Doc(i, 100, source=1) for i in range(700)] + [
        Doc(2000 + i, 100, SYNTHETIC, source=2) for i in range(70)
    ]
    documents += [Doc(3000 + i, 100, UNKNOWN, contracts.BASIS_DETECTOR, -3 + i / 25) for i in range(150)]
    by = uncalibrated(max_synthetic_share=0.1, count="estimate")
    mixture, copies = chosen(documents, by)
    web = [d for d in documents if d.source == 0]
    kept = [d.score for d in web if copies[d.name]]
    gone = [d.score for d in web if not copies[d.name]]
    assert all(copies[d.name] for d in documents if d.source != 0)
    assert kept
    assert gone
    assert max(kept) < min(gone) + 0.15  # levels are an eighth of log-odds wide
    assert {way.knob for way in mixture.ways} == {"limit", "declare"}  # too much of it is estimated to be a machine's
    assert take(offer(documents), by, mixture)[1][[not copies[d.name] for d in documents]].all()  # for the share


def undeclared(n: int, first: int = 0, source: int = 0) -> list[Doc]:
    """Documents of which the detector says nothing much."""
    return [Doc(first + i, 100, UNKNOWN, contracts.BASIS_DETECTOR, -6.0 - i % 50 / 50, source) for i in range(n)]


@pytest.mark.parametrize("declared", [0, 5])
def test_a_limit_that_cannot_be_met_names_a_change_in_each_knob_that_does(declared: int) -> None:
    documents = undeclared(900) + undeclared(5, 5000, 3) + [Doc(2000 + i, 100, source=1) for i in range(300)]
    documents += [Doc(9000 + i, 100, SYNTHETIC, source=2) for i in range(declared)]
    by = uncalibrated(max_synthetic_share=0.05)
    mixture, copies = chosen(documents, by)
    assert mixture.conflict == ("at most 5% synthetic (labelled or hidden)",)
    assert all(copies[d.name] for d in documents if d.origin != SYNTHETIC)
    assert "Any one of these would do: cap the undeclared text of source web" in mixture.refusal()
    ways = {way.knob: way for way in mixture.ways}
    limit = ways["limit"].setting.removeprefix("ratio.max_synthetic_share=")
    wider, copies = chosen(documents, uncalibrated(max_synthetic_share=float(limit)))
    assert not wider.conflict
    assert all(copies.values())
    cap = {"source": "web", "kind": "undeclared", "max": ways["cap"].value}
    assert ways["cap"].setting == f"ratio.limits=[{{source: web, kind: undeclared, max: {ways['cap'].value:g}}}]"
    capped, copies = chosen(documents, uncalibrated(max_synthetic_share=0.05, limits=[cap]))
    assert not capped.conflict
    stay = sum(copies[d.name] for d in documents if d.source == 0)
    assert 0 < stay <= ways["cap"].value * sum(copies.values())
    assert all(copies[d.name] for d in documents if d.source != 0)
    assert ways["declare"].about == "web"
    as_people = [
        dataclasses.replace(d, origin=HUMAN, basis=contracts.BASIS_DECLARED) if d.source == 0 else d for d in documents
    ]
    said, copies = chosen(as_people, by)
    assert not said.conflict
    assert all(copies.values())
    n, most = int(ways["audit"].value), ways["audit"].limit
    assert most is not None
    k = next(k for k in range(50) if f"at most {k} are a machine's, at most {100 * most:g}%" in ways["audit"].said)
    assert certify.limits(k, n, 0.05)[1] <= most < certify.limits(k + 1, n, 0.05)[1]
    assert declared + most * 905 <= 0.05 * len(documents)


def test_limits_in_conflict_name_what_would_do_for_each_alone() -> None:
    documents = undeclared(100) + [Doc(2000 + i, 100, source=1) for i in range(900)]
    floor = {"source": "web", "min": 0.2}
    mixture, _ = chosen(documents, uncalibrated(max_synthetic_share=0.05, limits=[floor]))
    assert len(mixture.conflict) == 2
    said = {way.knob: way for way in mixture.ways}
    assert [way.said for way in mixture.ways if way.knob == "limit"] == [
        "“at most 5% synthetic (labelled or hidden)” becomes 20%",
        "“at least 20% from source web” becomes 5%",
    ]
    assert said["declare"].about == "web"
    assert said["audit"].limit == pytest.approx(0.25, abs=0.01)  # a quarter of a fifth is a twentieth


FAVOURS = st.sampled_from(["source", "language", "structure"])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    corpora(),
    FAVOURS,
    st.floats(0, 0.9),
    st.integers(1, 3),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.integers(500, 40_000),
    counts,
)
def test_what_is_favoured_never_loses_by_it(
    documents: list[Doc], what: str, power: float, most: int, limit: float, size: int, count: str
) -> None:
    """Against the same programme with all weights 1, no stratum that weighs more has less, but for a document at each cut."""
    more = {"system": "voices"} if what == "structure" else {}
    asked: dict[str, Any] = {"max_synthetic_share": limit, "size": size, "count": count}
    favoured = rule(**asked, favour={"by": what, "power": power, "max_copies": most, **more})
    mixture, copies = chosen(documents, favoured)
    bare, without = chosen(documents, rule(**asked, favour={"by": what, "power": 1.0, **more}))
    assert bool(mixture.conflict) == bool(bare.conflict)
    if mixture.conflict:
        return
    cells, number = cells_of(View(offer(documents), favoured), mixture.opinion)
    by_name: dict[str, list[int]] = {}
    for document, at in zip(documents, number.tolist(), strict=True):
        name = getattr(cells[at], what)
        by_name.setdefault(name, []).append(document.tokens * (copies[document.name] - without[document.name]))
    for name, gained in by_name.items():
        if mixture.lifts.get(name, 1.0) > 1:
            at_cuts = 2 * max(d.tokens for d in documents) * sum(getattr(cell, what) == name for cell in cells)
            assert sum(gained) >= -at_cuts


def test_a_weight_is_a_ratio_of_chances_whatever_the_detector_says() -> None:
    """A ninth of the text is of a rare source, half of it undeclared: it keeps three times the fraction of the others."""
    documents = [Doc(i, 10, source=1) for i in range(9000)]
    documents += [Doc(20_000 + i, 10, source=0) for i in range(500)] + [
        dataclasses.replace(d, tokens=10) for d in undeclared(500, 30_000)
    ]
    by = rule(size=20_000, favour={"by": "source", "power": 0.5})
    mixture, copies = chosen(documents, by)
    assert mixture.lifts == {"books": 1.0, "web": pytest.approx(3.0)}
    kept = {basis: sum(copies[d.name] for d in documents if d.source == 0 and d.basis == basis) / 500
            for basis in (contracts.BASIS_DECLARED, contracts.BASIS_DETECTOR)}  # fmt: skip
    books = sum(copies[d.name] for d in documents if d.source == 1) / 9000
    assert books == pytest.approx(2000 / 12_000, rel=0.02)
    assert all(part == pytest.approx(3 * books, rel=0.05) for part in kept.values())


def test_copies_are_made_only_to_reach_a_floor() -> None:
    """The cap on web is 70 %: a copy of safety would make room for two documents of web, but its floor is reached without."""
    documents = [Doc(i, 100) for i in range(900)] + [Doc(1000 + i, 100, source=3) for i in range(100)]
    asked = [{"source": "web", "max": 0.7}, {"source": "safety", "min": 0.05, "max_copies": 4}]
    mixture, copies = chosen(documents, rule(count="labelled", limits=asked))
    assert mixture.copied == 0
    assert max(copies.values()) == 1
    _, copies = chosen(documents, rule(count="labelled", limits=[{"source": "safety", "min": 0.2, "max_copies": 4}]))
    assert sum(copies[d.name] for d in documents if d.source == 3) in (225, 226)  # a fifth of 900 + 225


def test_the_ledger_says_which_limit_kept_a_document_out() -> None:
    """The size binds, and the share has room: declared text that is left out is over a limit and not over the share."""
    documents = [Doc(i, 100) for i in range(500)] + [Doc(1000 + i, 100, SYNTHETIC, source=2) for i in range(50)]
    for asked, for_share in (({"size": 52_000}, False), ({"max_synthetic_share": 0.05}, True)):
        by = rule(count="labelled", **asked)
        mixture, copies = chosen(documents, by)
        gone = np.array([not copies[d.name] for d in documents])
        assert 0 < gone.sum() < 50
        assert (take(offer(documents), by, mixture)[1][gone] == for_share).all()


@settings(max_examples=150, deadline=None)
@given(corpora(), limits, by_one_order, counts, units)
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


FORCED_BINS = {"thin": 1 << 19, "threshold": 1 << 12, "resample": 1 << 8}


@settings(max_examples=80, deadline=None)
@given(corpora(), limits, limits, by_one_order, counts)
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    # Copies of safety reach its floor and go no further: with 200 books T = 200 + (0.4 + 0.3 + 0.05) T = 800.
    assert total == {0: 320, 1: 200, 2: 240, 3: 41}  # 41 of 801: 40 would be less than a twentieth
    assert {copies[d.name] for d in documents if d.source == 3} == {2, 3}


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
        "at least 90% of the earlier releases' human text (5,400 words)",
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    scores = ScoreCounts.merge(count_scores(offer(parts[i]), by) for i in to)
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


def test_a_cap_is_named_where_only_declared_text_is_too_much_for_it() -> None:
    """A tenth is known to be human, and as much is declared synthetic: under 10 % that fits only if most of it goes."""
    documents = undeclared(900) + [Doc(2000 + i, 100, source=1) for i in range(100)]
    documents += [Doc(9000 + i, 100, SYNTHETIC, source=2) for i in range(100)]
    mixture, _ = chosen(documents, uncalibrated(max_synthetic_share=0.1))
    assert mixture.conflict
    (way,) = (way for way in mixture.ways if way.knob == "cap")
    assert "of it and of the 10,000 words that are labelled synthetic stays what fits" in way.said
    cap = {"source": "web", "kind": "undeclared", "max": way.value}
    capped, copies = chosen(documents, uncalibrated(max_synthetic_share=0.1, limits=[cap]))
    assert not capped.conflict
    assert all(copies[d.name] for d in documents if d.source == 1)
    assert sum(copies[d.name] for d in documents if d.source != 1) > 0


def test_an_audit_is_drawn_by_score_where_that_takes_fewer_labels_and_names_the_one_source() -> None:
    scores = np.zeros(200, np.int64)
    scores[60:100], scores[150:190] = 2400, 100
    one = labels_for(0.1, "tokens", Auditable(scores, int(scores.sum()), ("web",)), seen=0.04)
    other = labels_for(0.1, "tokens", Auditable(0 * scores, int(scores.sum()), ("web", "books")), seen=0.04)
    assert one is not None
    assert other is not None
    assert one.value < 0.8 * other.value
    assert (one.about, other.about) == (BY_SCORE, "")
    assert f"label {int(one.value)} documents of source web" in one.said
    assert f"`audit sample --by tokens --n {int(one.value)} --by-score`" in one.said
    assert (
        f"label {int(other.value)} documents of undeclared origin (`audit sample --by tokens --n {int(other.value)}`)"
        in other.said
    )
