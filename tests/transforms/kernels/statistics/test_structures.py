"""Cores, deviance and their limits: the worked example of the reference, plain Python, and exact coverage."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transforms.kernels.statistics import structures as cores
from transforms.kernels.statistics.structures import Interval, PatternCounts

# Documents by (woman, man, nonbinary), 1000 each: invented counts for stories, see docs/decisions/0013.
REFERENCE = {"100": 340, "010": 380, "001": 25, "110": 120, "000": 135}
CANDIDATE = {"100": 780, "010": 130, "001": 2, "110": 40, "000": 48}


def counted(documents: dict[str, int], tokens: int = 10) -> PatternCounts:
    patterns = [int(bits[::-1], 2) for bits, n in documents.items() for _ in range(n)]
    content = np.random.default_rng(7).integers(0, 2**64, len(patterns), np.uint64)  # a hash is as good as chance
    return cores.count(np.array(patterns, np.uint16), content, np.full(len(patterns), tokens))


@pytest.mark.parametrize(
    ("documents", "core", "deviance", "square", "entropy", "d1", "d2"),
    [
        (REFERENCE, (0.460, 0.500, 0.025), (0.415, 0.002, 0.417), 0.174, 0.793, 2.21, 2.10),
        (CANDIDATE, (0.820, 0.170, 0.002), (0.243, 0.038, 0.281), 0.097, 0.472, 1.60, 1.40),
    ],
)
def test_the_worked_example(documents, core, deviance, square, entropy, d1, d2) -> None:
    found = cores.summarise(counted(documents), 3)
    assert tuple(round(one.value, 3) for one in found.core) == core
    expected, variance = found.expected_deviance.value, found.deviance_variance
    assert tuple(round(value, 3) for value in (expected, variance, expected + variance)) == deviance
    assert round(found.mean_square_deviance, 3) == square
    assert math.isclose(found.mean_square_deviance, expected**2 + variance)
    assert (round(found.entropy, 3), round(found.effective_number.value, 2)) == (entropy, d1)
    assert round(found.effective_number_2, 2) == d2


def test_the_worked_example_against_its_reference() -> None:
    one, other = (cores.summarise(counted(documents), 3) for documents in (CANDIDATE, REFERENCE))
    retention = [cores.ratio(a, b) for a, b in zip(one.core, other.core, strict=True)]
    assert [round(r.value, 2) for r in retention] == [1.78, 0.34, 0.08]
    assert retention[2].upper < 0.8  # 2 of 1000 against 25: few, but plain
    assert round(cores.ratio(one.expected_deviance, other.expected_deviance).value, 2) == 0.59
    ratio = cores.ratio(one.effective_number, other.effective_number).value
    assert round(ratio, 4) == 0.7256  # the reference's .72 is 1.60 / 2.21, of rounded numbers


def test_variance_alone_misleads_and_so_do_scores_for_exploration() -> None:
    """The two cautions: Var rises while one norm takes over, and a bad release 'explores' far from where it was."""
    one, other = (cores.summarise(counted(documents), 3) for documents in (CANDIDATE, REFERENCE))
    assert one.deviance_variance > 10 * other.deviance_variance
    assert one.expected_deviance.value < 0.6 * other.expected_deviance.value
    moved = np.array([a.value - b.value for a, b in zip(one.core, other.core, strict=True)])
    assert round(float(np.sqrt((moved**2).mean())), 3) == 0.282


documents = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 2**64 - 1), st.integers(0, 50)), min_size=1, max_size=30
)


def of(rows: list[tuple[int, int, int]]) -> PatternCounts:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    return cores.count(np.array(columns[0], np.uint16), np.array(columns[1], np.uint64), np.array(columns[2], np.int64))


@given(documents, st.integers(1, 30), st.integers(0, 9))
def test_order_and_parts_change_nothing(rows, size, seed) -> None:
    whole = of(rows)
    shuffled = random.Random(seed).sample(rows, len(rows))
    parts = [of(shuffled[at : at + size]) for at in range(0, len(rows), size)]
    for merged in (cores.merge(parts), cores.merge([cores.merge(parts[:1]), cores.merge(parts[1:]), of([])])):
        assert (merged.keys == whole.keys).all()
        assert (merged.sums == whole.sums).all()
    assert whole.sums[:, 0].sum() == len(rows)


@given(documents, st.sampled_from(["docs", "tokens"]))
def test_like_plain_python(rows, weight) -> None:
    found = cores.summarise(of(rows), 3, weight)
    weights = [1 if weight == "docs" else tokens for _, _, tokens in rows]
    total = sum(weights)
    if not total:
        assert math.isnan(found.expected_deviance.value)
        return
    has = [[pattern >> i & 1 for i in range(3)] for pattern, _, _ in rows]
    core = [sum(w * a[i] for w, a in zip(weights, has, strict=True)) / total for i in range(3)]
    far = [math.sqrt(sum((a[i] - core[i]) ** 2 for i in range(3)) / 3) for a in has]
    mean = sum(w * d for w, d in zip(weights, far, strict=True)) / total
    variance = sum(w * (d - mean) ** 2 for w, d in zip(weights, far, strict=True)) / total
    assert found.n == len(rows)
    assert [one.value for one in found.core] == pytest.approx(core)
    assert found.expected_deviance.value == pytest.approx(mean)
    assert found.deviance_variance == pytest.approx(variance, abs=1e-12)
    assert found.mean_square_deviance == pytest.approx(mean**2 + variance)
    for one in (*found.core, found.expected_deviance, found.effective_number):
        assert not one.lower > one.value
        assert not one.value > one.upper
    p = [c / sum(core) for c in core if c] if sum(core) else []
    assert found.effective_number.value == pytest.approx(math.exp(-sum(x * math.log(x) for x in p)) if p else 0)


def test_one_binary_structure_deviates_as_gini_and_simpson_say() -> None:
    """E|d| = 2 m (1 - m), the most at one half (appendix B.1 of the paper)."""
    found = cores.summarise(counted({"1": 30, "0": 70}), 1)
    assert found.expected_deviance.value == pytest.approx(2 * 0.3 * 0.7)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (10, 10), (25, 1000), (999, 1000)])
def test_wilson_as_scipy_has_it(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(0.9, "wilson")
    assert cores.wilson(k / n, n) == pytest.approx((k / n, theirs.low, theirs.high))


def test_equal_weights_are_documents() -> None:
    by_tokens, by_docs = (cores.summarise(counted(REFERENCE), 3, weight) for weight in ("tokens", "docs"))
    assert by_tokens.core == by_docs.core
    for one, other in zip(by_tokens[2:], by_docs[2:], strict=True):
        assert one == pytest.approx(other)


@pytest.mark.parametrize(("p", "n"), [(0.1, 200), (0.3, 100), (0.02, 600)])
@pytest.mark.parametrize("true", [0.5, 0.8, 1.0])
def test_the_limits_of_a_ratio_hold_as_often_as_they_say(p: float, n: int, true: float) -> None:
    """Exact coverage: every pair of counts, with its chance."""
    counts = np.arange(n + 1)
    one, other = stats.binom.pmf(counts, n, p * true), stats.binom.pmf(counts, n, p)
    at = [np.flatnonzero(chance > 1e-5) for chance in (one, other)]
    missed = {"lower": 0.0, "upper": 0.0}
    for x in at[0]:
        for y in at[1][at[1] > 0]:
            found = cores.ratio(cores.wilson(x / n, n), cores.wilson(y / n, n))
            missed["lower"] += one[x] * other[y] * (found.lower > true)
            missed["upper"] += one[x] * other[y] * (found.upper < true)
    assert max(missed.values()) < 0.07  # 5 %, and what is lost to counts being whole


def test_a_ratio_to_nothing_is_not_known() -> None:
    assert np.isnan(cores.ratio(cores.wilson(0.5, 10), cores.wilson(0.0, 10)).value)
    gone = cores.ratio(cores.wilson(0.0, 1000), cores.wilson(0.3, 1000))
    assert (gone.value, gone.lower) == (0, 0)
    assert 0 < gone.upper < 0.02
    assert cores.ratio(Interval(1, 1, 1), Interval(2, 2, 2)) == (0.5, 0.5, 0.5)


def test_the_jackknife_is_as_sure_as_a_mean_is() -> None:
    """Of a core, leaving out blocks must give what Wilson's limits give, near enough at many documents."""
    many = counted({"1": 4000, "0": 6000})
    share = cores.summarise(many, 1).core[0]
    patterns, sums = cores.by_pattern(many)
    blocks = cores._without_each_block(many, patterns, 0, sums[:, 0].astype(float))[1]
    limits = cores.jackknife(0.4, blocks[:, 1] / blocks.sum(axis=1))
    assert limits.upper - limits.lower == pytest.approx(share.upper - share.lower, rel=0.25)


def test_divergence_from_a_target() -> None:
    p, q = np.array([1.0, 0.0]), np.array([0.0, 3.0])
    assert cores.divergence(p, q) == 1
    assert cores.divergence(p, 7 * p) == 0
    assert np.isnan(cores.divergence(p, 0 * p))
    found = cores.divergence_from(counted(CANDIDATE), 3, 0, [0, 1, 2], np.array([0.46, 0.5, 0.025]))
    assert found.lower < found.value < found.upper
    m = np.array([0.82, 0.17, 0.002]) / 0.992
    other = np.array([0.46, 0.5, 0.025]) / 0.985
    theirs = (stats.entropy(m, (m + other) / 2, 2) + stats.entropy(other, (m + other) / 2, 2)) / 2
    assert found.value == pytest.approx(theirs)


def test_what_occurs_together() -> None:
    documents, share = cores.given(counted(REFERENCE), 0, 1, 0)
    assert (documents, share.value) == (460, 120 / 460)
    assert cores.given(counted({"000": 5}), 0, 1, 0)[0] == 0


def test_how_many_documents_it_takes_shrinks_with_the_square_of_the_change() -> None:
    sure = Interval(1.0, 0.9, 1.1)
    assert cores.documents_to_tell(sure, 1000, 0.1) == pytest.approx(
        4 * cores.documents_to_tell(sure, 1000, 0.2), rel=0.01
    )
    assert cores.documents_to_tell(cores.UNKNOWN, 7, 0.2) == 8


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 200), st.integers(0, 50)), min_size=1, max_size=5))
def test_a_share_at_another_mix(strata: list[tuple[int, int, int]]) -> None:
    """By copying documents: every stratum as often as the mix asks for."""
    k, n, mix = (np.array(column, float) for column in zip(*strata, strict=True))
    k = np.minimum(k, n)
    value, lower, upper = cores.at_mix(k / n, n, mix)
    if not mix.sum():
        assert np.isnan(value)
        return
    copies = [k_s / n_s for k_s, n_s, m in zip(k, n, mix, strict=True) for _ in range(int(m))]
    assert value == pytest.approx(np.mean(copies))
    assert 0 <= lower <= value <= upper <= 1
    same = cores.at_mix(k / n, n, n)
    assert same.value == pytest.approx(k.sum() / n.sum())
    plain = cores.wilson(same.value, n.sum())
    assert same.lower == pytest.approx(plain.lower, abs=1e-9)  # strata only take variance away, and that is not used
    assert same.upper == pytest.approx(plain.upper, abs=1e-9)


def test_a_stratum_without_documents_leaves_the_share_unknown() -> None:
    assert np.isnan(cores.at_mix(np.array([0.5, 0.0]), np.array([10.0, 0.0]), np.array([1.0, 1.0])).value)
    assert cores.at_mix(np.array([0.5, 0.0]), np.array([10.0, 0.0]), np.array([1.0, 0.0])).value == 0.5


def test_limits_at_another_mix_are_right_as_often_as_they_say() -> None:
    draw = np.random.default_rng(5)  # a test may draw; the product hashes
    share, n, mix = np.array([0.05, 0.4, 0.7]), np.array([400, 100, 60]), np.array([0.2, 0.5, 0.3])
    found = np.array([cores.at_mix(draw.binomial(n, share) / n, n.astype(float), mix) for _ in range(2000)])
    assert (found[:, 1] <= mix @ share).mean() >= 0.95
    assert (found[:, 2] >= mix @ share).mean() >= 0.95
