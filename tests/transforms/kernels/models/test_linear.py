"""The kernel gives fastText's own log-odds on any text."""

import math

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.detector.fasttext_file import read_fasttext
from transforms.kernels.models import linear
from transforms.kernels.text.text import canonicalise, hash_token

HUMAN = "we walked to the old harbour and it rained, so we didn't stay long ; 今天 下雨 naïve café"
MACHINE = "in conclusion, it is important to note that the tapestry of life is vibrant ! 总之 重要 überblick"


def lines() -> list[str]:
    """A few hundred lines of words drawn from two small vocabularies, without chance."""
    out = []
    for label, source in (("human", HUMAN), ("synthetic", MACHINE)):
        (canonical,) = canonicalise(pa.array([source], pa.large_string()))[0].to_pylist()
        words = canonical.split(" ")
        picks = [[words[(i * k + k * k) % len(words)] for k in range(1, 9)] for i in range(150)]
        out += [f"__label__{label} {' '.join(pick)}" for pick in picks]
    return out


@pytest.fixture(scope="module", params=[(1, 0), (2, 1000), (3, 1000), (5, 77)], ids=lambda p: f"{p[0]}-grams")
def model(request, tmp_path_factory):
    """A real fastText model and its linear form."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "train.txt").write_text("\n".join(lines()) + "\n", encoding="utf-8")
    n, bucket = request.param
    trained = fasttext.train_supervised(
        str(folder / "train.txt"), dim=8, epoch=20, lr=0.5, wordNgrams=n, bucket=bucket, minCount=2,
        minn=0, maxn=0, thread=1, verbose=0,
    )  # fmt: skip
    trained.save_model(str(folder / "model.bin"))
    file = read_fasttext((folder / "model.bin").read_bytes(), "model.bin")
    weights, n_words = file.weights(), len(file.words)
    return trained, linear.linear_model(file.words, weights[:n_words], weights[n_words:], file.word_ngrams)


def predicted(trained, text: str) -> float:
    """fastText's own log-odds, from its two softmax outputs."""
    labels, p = trained.predict(text, k=2)
    by_label = dict(zip(labels, map(float, p), strict=True))
    return math.log(by_label["__label__synthetic"] / by_label["__label__human"])


def assert_as_fasttext(trained, model, texts: list[str]) -> None:
    canonical, tokens = canonicalise(pa.array(texts, pa.large_string()))
    ours = linear.score(tokens, model)
    theirs = [predicted(trained, text) for text in canonical.to_pylist()]
    # fastText adds 1e-5 to each output, which shows where one is small: compare the probabilities.
    np.testing.assert_allclose(1 / (1 + np.exp(-ours)), 1 / (1 + np.exp(-np.array(theirs))), atol=1e-4)
    certain = np.abs(ours) < 2
    np.testing.assert_allclose(ours[certain], np.array(theirs)[certain], atol=2e-4)


VOCABULARY = st.lists(st.sampled_from([*HUMAN.split(), *MACHINE.split(), "unseen", "</s>", "__label__human"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(), VOCABULARY.map(" ".join)), min_size=1, max_size=5))
def test_the_kernel_scores_any_text_as_fasttext_does(model, texts):
    assert_as_fasttext(*model, texts)


def test_long_and_empty_documents(model):
    assert_as_fasttext(*model, ["", " ", (HUMAN + " " + MACHINE + " strange ") * 500, MACHINE * 30])


def test_documents_of_a_batch_do_not_see_each_other(model):
    texts = [HUMAN, "", MACHINE, "unseen words only"]
    together = linear.score(canonicalise(pa.array(texts, pa.large_string()))[1], model[1])
    alone = [linear.score(canonicalise(pa.array([t], pa.large_string()))[1], model[1])[0] for t in texts]
    np.testing.assert_array_equal(together, np.array(alone))


def hand_made(**changes) -> linear.LinearModel:
    parts = {
        "words": [b"cat", b"</s>"],
        "word_weights": np.array([2.0, 0.5], np.float32),
        "ngram_weight": np.zeros(4, np.float32),
        "word_ngrams": 2,
    }
    return linear.linear_model(**{**parts, **changes})


def score_one(text: str, model: linear.LinearModel) -> float:
    return float(linear.score(canonicalise(pa.array([text], pa.large_string()))[1], model)[0])


def test_the_score_is_the_mean_weight_of_the_features():
    # Features of "cat dog": the word cat, the end of the line, and the pairs "cat dog" and "dog </s>". dog is unknown.
    assert score_one("cat dog", hand_made()) == (2.0 + 0.5) / 4
    assert score_one("cat dog", hand_made(word_ngrams=1)) == (2.0 + 0.5) / 2
    assert score_one("cat dog", hand_made(ngram_weight=np.full(1, 4.0, np.float32))) == (2.0 + 0.5 + 2 * 4.0) / 4


def test_a_document_without_a_known_feature_has_no_score():
    model = hand_made(words=[b"cat"], word_weights=np.array([2.0], np.float32), word_ngrams=1)
    assert math.isnan(score_one("dog", model))
    assert score_one("dog cat", model) == 2.0


def test_words_are_hashed_as_the_tokens_are():
    words = ["cat", "naïve", "今", "</s>", ""]
    assert linear.hash_words([w.encode() for w in words]).tolist() == [int(hash_token(w)[0]) for w in words]
    assert len(linear.hash_words([])) == 0


def test_a_word_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="word number 1 of the vocabulary is there twice"):
        hand_made(words=[b"cat", b"cat"])


def test_ngrams_without_buckets_are_refused():
    with pytest.raises(ValueError, match="no bucket"):
        hand_made(ngram_weight=np.zeros(0, np.float32))


def test_the_empty_vocabulary_scores():
    model = hand_made(words=[], word_weights=np.zeros(0, np.float32))
    assert score_one("cat", model) == 0.0
