"""The table of n-grams: each kernel against a slow reference in plain Python."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.similarity import ngrams
from transforms.kernels.text.text import Tokens, canonicalise, hash_token

WORDS = st.sampled_from(["a", "the", "mill", "rain", ",", "delve", "\u6c34"])
TEXTS = st.lists(st.lists(WORDS, max_size=30).map(" ".join), min_size=1, max_size=12)


def tokens_of(texts: list[str]) -> Tokens:
    return canonicalise(pa.array(texts, pa.large_string()))[1]


def hash_of(words: list[int]) -> int:
    h = int(ngrams._START)
    for word in words:
        h = ((((h << 23) | (h >> 41)) % 2**64) ^ word) * int(ngrams._PRIME) % 2**64
    return h


def slow_counts(tokens: Tokens, longest: int) -> list[Counter]:
    """How often each n-gram, by its hash, is in each document."""
    documents = []
    for start, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        words = tokens.hash64[start:end].tolist()
        spans = [words[t : t + n] for t in range(len(words)) for n in range(1, longest + 1) if t + n <= len(words)]
        documents.append(Counter(hash_of(span) for span in spans))
    return documents


def slow_score(counts: Counter, weights: dict[int, float], bias: float) -> float:
    x = {h: 1 + math.log(min(n, ngrams.MOST)) for h, n in counts.items() if h in weights}
    norm = math.sqrt(sum(value * value for value in x.values()))
    return bias + (sum(weights[h] * value for h, value in x.items()) / norm if x else 0.0)


@given(TEXTS, st.integers(1, 4), st.integers(1, 3))
def test_features_are_the_n_grams_that_enough_documents_hold(texts, longest, min_documents):
    tokens = tokens_of(texts)
    data = ngrams.features(tokens, longest, min_documents)
    slow = slow_counts(tokens, longest)
    documents = Counter(h for counts in slow for h in counts)
    assert data.hash64.tolist() == sorted(h for h, n in documents.items() if n >= min_documents)
    for d, counts in enumerate(slow):
        mine = slice(data.offsets[d], data.offsets[d + 1])
        found = dict(zip(data.hash64[data.number[mine]].tolist(), data.tf[mine].tolist(), strict=True))
        expected = {h: 1 + math.log(n) for h, n in counts.items() if documents[h] >= min_documents}
        assert found == pytest.approx(expected, rel=1e-6)


def test_an_n_gram_that_holds_a_mark_that_is_left_out_is_no_feature():
    texts = ["a * b c", "a b * c"]
    marked = ngrams.features(tokens_of(texts), 2, 1, np.array([hash_token("*")[0]], np.uint64))
    left = ngrams.features(tokens_of(["a b c", "b c", "a b"]), 2, 1)
    assert set(marked.hash64.tolist()) == set(left.hash64.tolist())


@given(TEXTS, st.integers(1, 4), st.data())
def test_a_score_is_bias_and_weights_times_the_unit_vector(texts, longest, data):
    tokens = tokens_of(texts)
    slow = slow_counts(tokens, longest)
    held = sorted({h for counts in slow for h in counts if data.draw(st.booleans())})
    # Two experts: to the second, a third of the n-grams are none of its own.
    weight = np.array([[((i * 37) % 11 - 5.5) / 3, i % 3 * 0.7] for i in range(len(held))], np.float32).reshape(-1, 2)
    model = ngrams.ngram_model(np.array(held, np.uint64), weight, longest, np.array([-0.5, 1.0]))
    found = ngrams.score(tokens, model)
    for expert, bias in enumerate((-0.5, 1.0)):
        own = {h: w[expert] for h, w in zip(held, weight.tolist(), strict=True) if w[expert]}
        np.testing.assert_allclose(found[:, expert], [slow_score(counts, own, bias) for counts in slow], atol=1e-5)


def test_a_document_scores_the_same_in_any_company():
    texts = ["a mill , a mill", "rain " * 600, "", "the rain delve"]
    hashes = ngrams.features(tokens_of(texts), 2, 1).hash64
    weight = np.linspace(-1, 1, len(hashes)).astype(np.float32)[:, None]
    model = ngrams.ngram_model(hashes, weight, 2, np.array([0.1]))
    together = ngrams.score(tokens_of(texts), model)
    alone = [ngrams.score(tokens_of([text]), model)[0] for text in texts]
    np.testing.assert_array_equal(together, np.float32(alone))
    assert together[1, 0] == pytest.approx(ngrams.score(tokens_of(["rain " * 900]), model)[0, 0])  # counted up to MOST
    assert together[2, 0] == np.float32(0.1)


def slow_separation(holds: np.ndarray, cell: np.ndarray, machine: np.ndarray) -> float:
    difference = variance = 0.0
    for c in set(cell.tolist()):
        own = cell == c
        n, n1, m1 = own.sum(), (own & machine).sum(), (own & holds).sum()
        if n < 2:
            continue
        difference += (own & machine & holds).sum() - n1 * m1 / n
        variance += n1 * (n - n1) * m1 * (n - m1) / (n * n * (n - 1))
    return difference / math.sqrt(variance + ngrams.CONTINUITY)


@given(TEXTS.filter(lambda texts: len(texts) > 3))
def test_separation_is_that_of_mantel_and_haenszel(texts):
    tokens = tokens_of(texts)
    data = ngrams.features(tokens, 2, 1)
    machine, cell = np.arange(len(texts)) % 2 == 0, np.arange(len(texts)) // 2 % 2
    rows = np.arange(1, len(texts))  # the first document has no say
    z, documents = ngrams.separation(data, rows, cell, machine)
    slow = slow_counts(tokens, 2)
    for i, h in enumerate(data.hash64.tolist()):
        holds = np.array([h in counts for counts in slow])
        assert documents[i] == holds[1:].sum()
        assert z[i] == pytest.approx(slow_separation(holds[1:], cell[1:], machine[1:]))


def test_what_tells_cells_apart_does_not_separate_the_classes():
    texts = ["rain mill"] * 90 + ["rain"] * 10 + ["delve"] * 10 + ["delve mill"] * 0 + ["delve"] * 90
    machine = np.array([True] * 80 + [False] * 20 + [True] * 20 + [False] * 80)  # rain is the machines' subject
    cell = np.array([0] * 100 + [1] * 100)
    tokens = tokens_of(texts)
    data = ngrams.features(tokens, 1, 1)
    z, _ = ngrams.separation(data, np.arange(200), cell, machine)
    pooled, _ = ngrams.separation(data, np.arange(200), np.zeros(200, np.int64), machine)
    rain = data.hash64.tolist().index(hash_of([int(tokens.hash64[0])]))
    assert pooled[rain] > 5
    assert abs(z[rain]) < 1e-9


def slow_fit(data, kept, rows, machine, importance, epochs, rate, decay):
    weight, squares = np.zeros(len(kept)), np.full(len(kept), 1e-3)
    bias, bias_squares = 0.0, 1e-3
    passes = []
    for _ in range(epochs):
        for d in rows:
            own = [i for i in range(data.offsets[d], data.offsets[d + 1]) if kept[data.number[i]]]
            x = data.tf[own].astype(float) / max(np.linalg.norm(data.tf[own].astype(float)), 1e-300)
            f = data.number[own]
            error = (1 / (1 + math.exp(-(bias + weight[f] @ x))) - machine[d]) * importance[d]
            bias_squares += error**2
            bias -= rate / 10 * error / math.sqrt(bias_squares)
            step = error * x + decay * weight[f]
            squares[f] += step**2
            weight[f] -= rate * step / np.sqrt(squares[f])
        passes.append((weight[kept], bias))
    second = passes[epochs // 2 :]
    return np.mean([w for w, _ in second], axis=0), np.mean([b for _, b in second])


@given(TEXTS)
def test_weights_are_the_mean_of_adagrads_later_passes(texts):
    data = ngrams.features(tokens_of(texts), 2, 1)
    machine = np.arange(len(texts)) % 2 == 1
    importance = 0.5 + np.arange(len(texts)) / 3
    rows, kept = np.arange(len(texts))[::-1].copy(), data.hash64 % np.uint64(3) > 0
    weight, bias = ngrams.fit(data, kept, rows, machine, importance, 3, 0.3, 0.01)
    expected, expected_bias = slow_fit(data, kept, rows, machine, importance, 3, 0.3, 0.01)
    np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)
    assert bias == pytest.approx(expected_bias)
