"""A quantised model is read without fastText and scores as fastText scores it."""

import contextlib

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.detector.detector import load_detector
from transforms.detector.fasttext_file import DetectorError, read_fasttext
from transforms.detector.fasttext_model import linear_of
from transforms.kernels.text.text import canonicalise

HUMAN, MACHINE = (f"{side}%d" for side in ("mill", "delve"))


def line(label: str, word: str, i: int) -> str:
    return f"__label__{label} " + " ".join(
        (word % ((i * k) % 200)) if k % 3 else f"both{(i + k) % 40}" for k in range(1, 15)
    )


@pytest.fixture(scope="module", params=["whole", "norms", "pruned", "no n-gram kept"])
def quantised(request, tmp_path_factory):
    """A model that fastText itself has quantised, and its bytes."""
    folder = tmp_path_factory.mktemp("ftz")
    lines = [line(label, word, i) for i in range(300) for label, word in (("human", HUMAN), ("synthetic", MACHINE))]
    (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    trained = fasttext.train_supervised(
        str(folder / "train.txt"),
        dim=7,
        epoch=10,
        lr=0.5,
        wordNgrams=2,
        bucket=500,
        minn=0,
        maxn=0,
        thread=1,
        verbose=0,
    )
    options = {
        "whole": {},
        "norms": {"qnorm": True},
        "pruned": {"qnorm": True, "cutoff": 600},
        "no n-gram kept": {"cutoff": 260},
    }[request.param]
    trained.quantize(input=str(folder / "train.txt"), retrain=False, thread=1, **options)
    trained.save_model(str(folder / "model.ftz"))
    return fasttext.load_model(str(folder / "model.ftz")), folder / "model.ftz"


def test_the_score_is_that_of_fasttext(quantised):
    theirs, path = quantised
    from transforms.kernels.models import linear

    texts = [line("x", word, i).split(" ", 1)[1] for i in range(40) for word in (HUMAN, MACHINE)] + [
        "",
        "new words",
        "mill3",
    ]
    canonical, tokens = canonicalise(pa.array(texts, pa.large_string()))
    ours = linear.score(tokens, linear_of(read_fasttext(path.read_bytes(), "model.ftz"), "model.ftz"))
    expected = [
        dict(zip(*theirs.predict(text, k=2), strict=True))["__label__synthetic"] for text in canonical.to_pylist()
    ]
    np.testing.assert_allclose(1 / (1 + np.exp(-ours)), expected, atol=1e-4)


def test_it_loads_as_a_bare_detector(quantised):
    detector = load_detector(str(quantised[1]))
    assert detector.name == "model.ftz"
    assert detector.calibration is None


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_one_is_refused_or_read_and_nothing_else(quantised, data):
    whole = quantised[1].read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=8))
    with contextlib.suppress(DetectorError):
        linear_of(read_fasttext(whole[:at] + damage + whole[at + len(damage) :], "bad.ftz"), "bad.ftz")
    with pytest.raises(DetectorError, match=r"^cut\.ftz: "):
        read_fasttext(whole[:at], "cut.ftz")
