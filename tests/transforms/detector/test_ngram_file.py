"""`ngrams.bin` is read back as it was written, and nothing else is."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.detector.fasttext_file import DetectorError
from transforms.detector.ngram_file import NgramFile, read_ngrams, write_ngrams

WEIGHT = np.array([[0.5, 0], [-1, 1], [0, 2]], np.float32)
FILE = NgramFile(("older", "2026"), np.array([3, 5, 2**63], np.uint64), WEIGHT, 3, np.array([-0.25, 1.0]), 0.5)
DATA = write_ngrams(FILE)


def test_what_was_written_is_read():
    again = read_ngrams(DATA, "ngrams.bin")
    for field in dataclasses.fields(NgramFile):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(FILE, field.name))
    assert len(DATA) == 32 + len("older\n2026") + 2 * 8 + 3 * (8 + 2 * 4)
    assert write_ngrams(again) == DATA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.where(WEIGHT == 2, np.nan, WEIGHT)}, "out of range"),
        ({"hash64": np.array([3, 3, 4], np.uint64)}, "out of range"),
        ({"longest": 0}, "out of range"),
        ({"longest": 9}, "out of range"),
        ({"bias": np.array([0, np.inf])}, "out of range"),
        ({"experts": ("one", "one")}, "out of range"),
        ({"experts": ("one", "\x1b[2J")}, "no name that can be shown"),
        ({"fasttext_weight": -1.0}, "out of range"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(DetectorError, match=message):
        read_ngrams(write_ngrams(dataclasses.replace(FILE, **changes)), "ngrams.bin")


def test_another_version_is_refused():
    with pytest.raises(DetectorError, match="version 3"):
        read_ngrams(DATA[:4] + b"\3" + DATA[5:], "ngrams.bin")


@given(st.one_of(st.binary(max_size=60), st.integers(0, len(DATA) - 1).map(lambda n: DATA[:n])))
def test_anything_else_is_refused_in_one_line(data):
    with pytest.raises(DetectorError, match=r"^ngrams\.bin: ") as raised:
        read_ngrams(data, "ngrams.bin")
    assert "\n" not in str(raised.value)
