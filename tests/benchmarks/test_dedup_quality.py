"""Dedup against all pairs of 5,000 real documents and 500 edited copies: what `benchmarks/dedup_quality.py` prints."""

import numpy as np
import pytest

from benchmarks import dedup_quality as quality


@pytest.fixture(scope="module")
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "PACKAGES", ("numpy", "scipy"))  # these have enough; to read all takes half a minute
        documents, pairs = quality.corpus(None, 5000)
    assert len(documents) >= 5500
    return documents, pairs, *quality.shingle_matrix(documents)


@pytest.mark.slow
def test_the_truth_is_the_truth(measured):
    """The sparse product against sets of words, for the planted pairs."""
    documents, pairs, matrix, _ = measured
    for left, right in pairs[:40]:
        one, other = (quality.shingle_matrix([documents[number]])[0].nnz for number in (left, right))
        assert (one, other) == (matrix[left].nnz, matrix[right].nnz)
    left, right, similarity = quality.all_pairs(matrix, 0.5)
    found = dict(zip(zip(left.tolist(), right.tolist(), strict=True), similarity.tolist(), strict=True))
    for pair in pairs:
        exact = quality.jaccard(matrix, *pair)
        assert found.get(pair, 0.0) == pytest.approx(exact if exact >= 0.5 else 0.0, abs=1e-6)


def test_candidates_follow_the_s_curve():
    """3,000 pairs of texts with words of their own, so that each is another draw: in every bin of exact Jaccard similarity from
    0.5 to 1 they share a band as often as the S-curve says, within 4 standard errors."""
    generator = np.random.default_rng(11)  # a test may draw; the product hashes
    documents = []
    for pair in range(3000):
        words = [f"w{pair}x{i}" for i in range(160)]
        other = words.copy()
        for place in generator.choice(160, generator.integers(0, 12), replace=False):
            other[place] = f"other{pair}x{place}"
        documents += [" ".join(words), " ".join(other)]
    matrix, signature = quality.shingle_matrix(documents)
    for low, n, met, expected, error in quality.curve(matrix, signature, [(2 * p, 2 * p + 1) for p in range(3000)]):
        assert n > 100, low
        assert abs(met - expected) <= 4 * error + 1e-9, (low, n, met, expected)


@pytest.mark.slow
def test_exact_mode_is_exact(measured):
    documents, _, matrix, _ = measured
    ledger = quality.ledger_of(documents, verify="exact", min_similarity=0.85)
    found = quality.judged(ledger, matrix, 0.85)
    assert found["pairs at 0.85"] > 200
    assert found["near duplicates dropped"] > 100
    assert found["precision"] == 1
    assert found["recall at 0.85"] >= 0.99
    for number, row in ledger.items():  # what the ledger says is what is so
        if row["reason"] == "near_duplicate":
            assert row["similarity"] == pytest.approx(quality.jaccard(matrix, number, row["survivor"]), abs=1e-6)


@pytest.mark.slow
def test_estimates_are_as_good_as_they_say(measured):
    documents, _, matrix, signature = measured
    ledger = quality.ledger_of(documents)
    found = quality.judged(ledger, matrix, 0.8)
    assert found["recall at 0.90"] >= 0.99
    assert found["recall at 0.85"] >= 0.97
    near = [(number, row["survivor"]) for number, row in ledger.items() if row["reason"] == "near_duplicate"]
    exact = np.array([quality.jaccard(matrix, *pair) for pair in near])
    assert (exact >= 0.8 - 4 * np.sqrt(0.8 * 0.2 / signature.shape[1])).all()


@pytest.mark.slow
def test_of_a_template_family_estimates_drop_too_much_and_exact_mode_does_not():
    """What README says of the default: errors that all pairs share, three standard errors at the most."""
    family = quality.template_family(600)
    matrix, signature = quality.shingle_matrix(family)
    assert {value.split()[:200] == family[0].split()[:200] for value in family} == {True}
    assert {len(value.split()) for value in family} == set(range(210, 241))
    by_texts = quality.judged(quality.ledger_of(family, verify="exact"), matrix, 0.8)
    by_estimate = quality.judged(quality.ledger_of(family), matrix, 0.8)
    assert by_texts["near duplicates dropped"] > 200
    assert by_texts["precision"] == 1
    assert by_estimate["precision"] < 1
    assert by_estimate["least similar to its survivor"] >= 0.8 - 3 * np.sqrt(0.8 * 0.2 / signature.shape[1])
