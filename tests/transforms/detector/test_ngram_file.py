"""`ngrams.bin` is read back as it was written, and nothing else is."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.detector.fasttext_file import DetectorError
from transforms.detector.ngram_file import NgramFile, read_ngrams, write_ngrams

FILE = NgramFile(np.array([3, 5, 2**63], np.uint64), np.array([0.5, -1, 2], np.float32), 3, -0.25, 0.5)
DATA = write_ngrams(FILE)


def test_what_was_written_is_read():
    again = read_ngrams(DATA, "ngrams.bin")
    for field in dataclasses.fields(NgramFile):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(FILE, field.name))
    assert len(DATA) == 32 + 12 * 3
    assert write_ngrams(again) == DATA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.array([0.5, np.nan, 2], np.float32)}, "out of range"),
        ({"hash64": np.array([3, 3, 4], np.uint64)}, "out of range"),
        ({"longest": 0}, "out of range"),
        ({"longest": 9}, "out of range"),
        ({"bias": float("inf")}, "out of range"),
        ({"fasttext_weight": -1.0}, "out of range"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(DetectorError, match=message):
        read_ngrams(write_ngrams(dataclasses.replace(FILE, **changes)), "ngrams.bin")


def test_another_version_is_refused():
    with pytest.raises(DetectorError, match="version 2"):
        read_ngrams(DATA[:4] + b"\2" + DATA[5:], "ngrams.bin")


@given(st.one_of(st.binary(max_size=60), st.integers(0, len(DATA) - 1).map(lambda n: DATA[:n])))
def test_anything_else_is_refused_in_one_line(data):
    with pytest.raises(DetectorError, match=r"^ngrams\.bin: ") as raised:
        read_ngrams(data, "ngrams.bin")
    assert "\n" not in str(raised.value)
