"""The estimated share and its bound: right where the references are right, wide where little is known."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.detector.calibration import Allowance, Band, Calibration, Family, Language, Scale
from transforms.detector.share_estimate import FEWEST_OWN, Composition
from transforms.kernels.statistics import share_bound


def added(by: float, human: float = 0.0, own: float | None = None) -> Allowance:
    """An allowance that adds about as much to every limit from a tenth of a per cent on; another one with own human text."""
    shares = (0.001, 0.05, 0.1, 0.25, 0.5, 0.9)
    plain, with_own = (tuple(max(0.0, q - more) for q in shares) for more in (by, by if own is None else own))
    return Allowance(shares, plain, with_own, human, 40, "")


FREE = added(0.0)
SCALE = Scale((50.0,), ((0.0,),), ((1.0,),), (0.0, 1.0), (0.0, 1.0), 1.5, "", "", FREE)


def normal(n: int, mean: float, sd: float = 1.5) -> np.ndarray:
    """n scores at the quantiles of a normal distribution, in bins."""
    from scipy.stats import norm

    return share_bound.histogram(norm.ppf((np.arange(n) + 0.5) / n, mean, sd).astype(np.float32))


def family(name: str, mean: float, n: int = 2000) -> Family:
    scores = normal(n, mean)
    return Family(name, int(scores[round((SCALE.threshold + 20) * 5) :].sum()), n, scores)


def band(language: int, shortest: int, humans: dict[str, float], machines: dict[str, float]) -> Band:
    sides = (tuple(family(name, mean) for name, mean in side.items()) for side in (humans, machines))
    return Band(language, shortest, 0, *sides)


PEOPLE, MACHINES = {"news": -3.0, "essays": -2.0, "law": -1.0}, {"a": 1.0, "b": 2.5, "c": 4.0}
SHORT, LONG = (
    band(0, 50, PEOPLE, MACHINES),
    band(0, 200, {k: m - 1 for k, m in PEOPLE.items()}, {k: m + 1 for k, m in MACHINES.items()}),
)


def calibrated(*bands: Band, allowances: tuple[Allowance, ...] = (FREE,)) -> Calibration:
    languages = tuple(Language(str(i), ("a",), 0.1) for i in range(len(allowances))) if len(allowances) > 1 else ()
    scales = tuple(dataclasses.replace(SCALE, allowance=allowance) for allowance in allowances)
    return Calibration("", 0.01, ("one",), languages, scales, bands, (), (), "made up")


TWO = calibrated(SHORT, LONG)


def corpus(q: float, mix: tuple[int, int] = (2000, 2000), human: float = -2.0, machine: float = 2.5) -> np.ndarray:
    """Documents by band and bin: long ones lie further apart."""
    rows = []
    for place, n in enumerate(mix):
        k = round(n * q)
        rows.append(normal(n - k, human - place) + (normal(k, machine + place) if k else 0))
    return np.stack(rows)


@pytest.mark.parametrize("q", [0, 0.02, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("mix", [(2000, 2000), (3600, 400), (400, 3600)])
@pytest.mark.parametrize("human", [-3.0, -2.0, -1.0])
def test_the_estimate_depends_neither_on_the_lengths_nor_on_the_kind_of_text(q, mix, human):
    scores = corpus(q, mix, human)
    composition = Composition(TWO)
    assert composition.estimate(scores) == pytest.approx(q, abs=0.03)
    low, high = composition.interval(scores)
    assert low <= q + 1e-3
    assert q - 1e-3 <= high < q + 0.08


@pytest.mark.parametrize("short", [0.02, 0.5, 0.9])
def test_a_machine_may_write_texts_of_other_lengths_than_people(short):
    """One share for all lengths was 13, 7 and 1 points off here."""
    people, machine = (
        corpus(0.0, (3000, 600), human=-1.5),
        corpus(1.0, (round(1200 * short), 1200 - round(1200 * short))),
    )
    composition = Composition(TWO)
    assert composition.estimate(people + machine) == pytest.approx(0.25, abs=0.015)
    low, high = composition.interval(people + machine)
    assert low <= 0.25 <= high < 0.3


@pytest.mark.parametrize("q", [0, 0.1, 0.5])
@pytest.mark.parametrize("machine", [1.0, 2.5, 4.0])
def test_with_its_allowance_the_bound_holds_whoever_wrote_it(q, machine):
    """Also for the generator that is hardest to find, though half of each component is what all have in common."""
    scores = corpus(q, machine=machine)
    allowed = Composition(calibrated(SHORT, LONG, allowances=(added(0.05),)))
    bound = allowed.bound(np.array([round(4000 * q)]), scores)
    assert q <= bound.share[0] + 1e-3
    assert bound.share[0] < 1.3 * q + 0.15
    assert 0 <= bound.residual[0] <= 1


@pytest.mark.parametrize("documents", [1, 2, 5, 40, 400])
@pytest.mark.parametrize("at", [-1.0, 0.5, 3.0])
@pytest.mark.parametrize("part", [0, 0.5])
def test_what_is_taken_to_be_flagged_was_flagged(documents, at, part):
    """One document that was not flagged had a share of 99 % and a bound of 18 %: most of it counted as found and gone."""
    flagged = int(part * documents)
    scores = np.stack([normal(documents, at), np.zeros(share_bound.BINS, np.int64)])
    composition = Composition(calibrated(SHORT, LONG, allowances=(added(0.05),)))
    bound = composition.bound(np.array([flagged]), scores)
    hidden = flagged + bound.residual[0] * (documents - flagged)
    assert hidden >= bound.share[0] * documents - 1e-9
    assert composition.estimate(scores) <= bound.share[0] <= 1


def test_an_allowance_widens_the_bound_and_without_one_all_of_it_may_be_synthetic():
    scores = corpus(0.2)
    plain = Composition(TWO).bound(np.zeros(1, np.int64), scores).share[0]
    wide = Composition(calibrated(SHORT, LONG, allowances=(added(0.04, 0.03),)))
    assert wide.bound(np.zeros(1, np.int64), scores).share[0] == pytest.approx(plain + 0.04)
    assert wide.interval(scores)[0] == pytest.approx(max(0, Composition(TWO).interval(scores)[0] - 0.03))
    none = Composition(calibrated(SHORT, LONG, allowances=(Allowance((), (), (), 0.0, 0, "one generator"),)))
    assert none.bound(np.zeros(1, np.int64), scores).share[0] == 1
    assert none.interval(scores) == (0, 1)


def test_the_allowance_with_own_human_text_holds_where_the_undeclared_text_is_like_it():
    """Known text of another kind is no ground for a closer bound: the fit says that hardly any of the rest is like it."""
    scores = corpus(0.1, human=-2.0)
    composition = Composition(calibrated(SHORT, LONG, allowances=(added(0.2, own=0.02),)))
    nothing = np.zeros(1, np.int64)
    alike, unlike = corpus(0.0, (600, 600), human=-2.0), corpus(0.0, (600, 600), human=-7.0)
    bounds = [composition.bound(nothing, scores, own).share[0] for own in (None, alike, unlike)]
    assert bounds[1] < bounds[0] - 0.1
    assert bounds[2] > bounds[1] + 0.1


@given(
    st.lists(st.floats(0, 0.99), min_size=2, max_size=6, unique=True),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_bound_is_no_smaller_than_its_limit_nor_than_any_share_that_reaches_it(shares, limits, limit, more):
    shares = sorted(shares)
    limits = sorted(limits)[: len(shares)]
    allowance = Allowance(tuple(shares), tuple(limits), tuple(limits), 0.0, 40, "")
    bound = allowance.of(limit)
    assert limit <= bound <= 1
    assert all(bound >= share - 1e-12 for share, reached in zip(shares, limits, strict=True) if reached <= limit)
    assert allowance.of(min(1.0, limit + more)) >= bound - 1e-12


def leading(mean: float, leads: tuple[float, ...], n: int = 2000) -> np.ndarray:
    """Scores by lead: [leads, BINS]."""
    return np.stack([normal(round(n * part), mean) for part in leads])


PERSON, OLD, NEW = (0.4, 0.1, 0.4, 0.1), (0.2, 0.6, 0.15, 0.05), (0.15, 0.05, 0.2, 0.6)  # who has the highest score


def by_lead(generators: dict[str, tuple[float, ...]], machine: float = 0.0) -> Calibration:
    """Two experts; every generator has the scores of the others, but not the lead."""
    bands = []
    for lead in range(4):
        humans, machines = (
            tuple(
                Family(name, 0, int(scores.sum()), scores)
                for name, (mean, leads) in side.items()
                if (scores := leading(mean, leads)[lead]).any()
            )
            for side in (
                {name: (mean, PERSON) for name, mean in PEOPLE.items()},
                {name: (machine, leads) for name, leads in generators.items()},
            )
        )
        bands.append(Band(0, 50, lead, humans, machines))
    return dataclasses.replace(calibrated(*bands), experts=("old", "new"))


def test_who_gave_the_highest_score_tells_more_than_the_score():
    """People's text that scores as a machine's does: two bounds of the same corpus, with leads and without."""
    corpus = np.rint(0.8 * leading(-2.0, PERSON) + 0.2 * leading(-1.0, PERSON)).astype(np.int64)
    nothing = np.zeros(1, np.int64)
    known = by_lead({"a": OLD, "b": OLD, "c": (0.25, 0.55, 0.15, 0.05)}, machine=-1.0)
    (with_leads,) = Composition(known).bound(nothing, corpus).share
    pooled = calibrated(band(0, 50, PEOPLE, dict.fromkeys("abc", -1.0)))
    (without,) = Composition(pooled).bound(nothing, corpus.sum(axis=0)[None]).share
    assert with_leads < 0.1 < 0.2 < without


def test_a_generator_that_only_the_other_expert_finds_is_found_though_none_like_it_is_known():
    corpus = np.rint(0.7 * leading(-2.0, PERSON) + 0.3 * leading(0.0, NEW)).astype(np.int64)
    composition = Composition(by_lead(dict.fromkeys("abc", OLD)))
    assert composition.estimate(corpus) == pytest.approx(0.3, abs=0.04)
    assert composition.bound(np.zeros(1, np.int64), corpus).share[0] >= 0.3
    assert composition.posterior(corpus).shape == corpus.shape


def test_human_text_of_the_same_corpus_tells_new_writers_from_machines():
    """Text that scores higher than any known kind looks like a machine's in part, until some of it is known."""
    scores = corpus(0.0, human=0.4)
    composition = Composition(TWO)
    assert composition.estimate(scores) > 0.1
    own = corpus(0.0, (300, 300), human=0.4)
    assert composition.estimate(scores, own) < 0.03
    assert composition.estimate(scores, own // 600 * 0) == composition.estimate(scores)  # too little of it says nothing
    assert own.sum() >= FEWEST_OWN
    bounds = [composition.bound(np.zeros(1, np.int64), scores, known).share[0] for known in (None, own)]
    assert bounds[1] < bounds[0]


def test_every_language_is_on_its_own_and_the_chance_of_error_is_divided():
    other = band(1, 50, {"law": -1.0}, {"a": 1.0})
    both = Composition(calibrated(SHORT, LONG, other, allowances=(FREE, FREE)))
    scores = np.concatenate([corpus(0.25), normal(1500, -1.0)[None]])
    found = both.fit(scores)
    assert found[0] == pytest.approx(0.25, abs=0.02)
    assert found[1] == pytest.approx(0, abs=0.02)
    assert both.estimate(scores) == pytest.approx(0.25 * 4000 / 5500, abs=0.02)
    bound = both.bound(np.zeros(2, np.int64), scores)
    alone = Composition(TWO).bound(np.zeros(1, np.int64), corpus(0.25)).share[0]
    assert bound.share[0] >= alone
    scored = np.array([4000, 1500])
    assert bound.of_mix(scored) == pytest.approx(float(bound.share @ scored) / 5500)
    assert np.isnan(both.fit(scores * 0)).all()


def test_the_posterior_sums_to_the_estimate():
    scores = corpus(0.3)
    composition = Composition(TWO)
    posterior = composition.posterior(scores)
    assert (scores * posterior).sum() / scores.sum() == pytest.approx(composition.estimate(scores), abs=0.005)
    assert ((posterior >= 0) & (posterior <= 1)).all()


def test_what_is_not_flagged_holds_what_the_bound_leaves():
    scores = corpus(0.25)
    flagged = int(scores[:, round((SCALE.threshold + 20) * 5) :].sum())
    bound = Composition(TWO).bound(np.array([flagged]), scores)
    assert bound.residual[0] < bound.share[0]
    truth = sum(normal(500, 2.5 + place)[: round((SCALE.threshold + 20) * 5)].sum() for place in (0, 1)) / (
        4000 - flagged
    )
    assert truth <= bound.residual[0]


def test_tokens_are_worth_fewer_documents():
    scores = corpus(0.1)
    composition = Composition(TWO)
    low, high = composition.interval(100 * scores, documents=400)
    closer = composition.interval(100 * scores, documents=4000)
    assert low < closer[0]
    assert closer[1] < high
