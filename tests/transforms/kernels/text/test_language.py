"""Languages by their frequent words: against counting in Python, and on real sentences of languages that are not listed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.detector.detector import load_detector
from transforms.kernels.text.language import covered, language_of, word_lists
from transforms.kernels.text.text import canonicalise

LISTS = [["the", "of", "and"], ["de", "la", "and"], ["的", "是"]]
WORDS = st.sampled_from(["the", "of", "and", "de", "la", "的", "是", "人", "mill", ",", ".", "42"])


def tokens_of(texts):
    return canonicalise(pa.array(texts, pa.large_string()))


@given(st.lists(st.lists(WORDS, max_size=20), max_size=6))
def test_fractions_are_those_counted_by_hand(documents):
    canonical, tokens = tokens_of([" ".join(words) for words in documents])
    fractions = covered(tokens, word_lists(LISTS))
    assert fractions.shape == (len(documents), 3)
    for text, row in zip(canonical.to_pylist(), fractions, strict=True):
        words = [word for word in text.split(" ") if word not in ("", ",", ".")]
        expected = [sum(w in listed for w in words) / len(words) if words else 0 for listed in LISTS]
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_the_best_covered_language_is_taken_if_it_is_covered_enough():
    fractions = np.float32([[0.3, 0.1], [0.1, 0.3], [0.2, 0.2], [0.1, 0.05], [0, 0]])
    assert language_of(fractions, np.float32([0.2, 0.25])).tolist() == [0, 1, 0, -1, -1]
    assert language_of(np.zeros((2, 0), np.float32), np.zeros(0, np.float32)).tolist() == [-1, -1]


def test_many_words_and_many_languages():
    lists = [[f"w{i}x{j}" for j in range(50)] for i in range(32)]
    _, tokens = tokens_of([" ".join(words) for words in lists])
    np.testing.assert_array_equal(covered(tokens, word_lists(lists)), np.eye(32, dtype=np.float32))
    with pytest.raises(ValueError, match="at most 32"):
        word_lists([*lists, ["one"]])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The committee met on Tuesday to discuss the state of the bridge, and it was decided that it would be closed.", "en"),
        ("El comité se reunió el martes para hablar del estado del puente y se decidió que no era seguro para los coches.", "es"),
        ("A comissão reuniu na terça-feira para falar do estado da ponte e decidiu que não era segura para os carros.", "pt"),
        ("他们在星期二开会，讨论这座桥的情况，大家都说它不安全，所以我们不能再让人和车过去了，这是没有办法的事。", "zh"),
        ("Der Ausschuss trat am Dienstag zusammen, um über den Zustand der Brücke zu sprechen.", None),
        ("Le comité s'est réuni mardi pour parler de l'état du pont et il a été décidé qu'il n'était plus sûr.", None),
        ("委員会は火曜日に集まり、橋の状態について話し合い、安全ではないので閉鎖することになりました。", None),
        ("De commissie kwam dinsdag bijeen om de staat van de brug te bespreken en besloot dat hij niet meer veilig was.", None),
    ],
)  # fmt: skip
def test_the_bundled_detector_knows_its_four_languages_and_leaves_the_others_alone(text, language):
    calibration = load_detector().calibration
    fractions = covered(tokens_of([text])[1], word_lists([known.words for known in calibration.languages]))
    (number,) = language_of(fractions, np.float32([known.least for known in calibration.languages]))
    assert (calibration.languages[number].name if number >= 0 else None) == language
