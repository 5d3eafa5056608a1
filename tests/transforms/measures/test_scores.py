"""Scores of undeclared text beside the calibration's: shares that sum to one, the reference weighed as the corpus is."""

import dataclasses

import numpy as np
import pytest

from transforms.detector.detector import load_detector
from transforms.kernels.statistics import share_bound
from transforms.measures.scores import ENDS, score_rows
from transforms.measures.tally import Tally


def scored(*scores: float, band: int = 0, reason: int = 0) -> Tally:
    bins = np.zeros((2, share_bound.BINS), np.int64)
    np.add.at(bins[0], share_bound.bin_of(np.array(scores, np.float32)), 1)
    return Tally(scores={(0, "en", reason, band): bins})


def of(rows: list, name: str, stage: str = "before") -> dict[int, float]:
    own = [row for row in rows if row["stage"] == stage and row["slice"].startswith(f"{name}/")]
    return {int(row["slice"].partition("/")[2]): row["value"] for row in own}


def test_each_score_is_in_its_step_and_the_ends_hold_what_is_beyond() -> None:
    rows = list(score_rows(scored(-0.5, 0.0, 0.99, 1.0, -19.0, 19.0), load_detector()))
    assert of(rows, "undeclared") == pytest.approx({-1: 1 / 6, 0: 2 / 6, 1: 1 / 6, -ENDS: 1 / 6, ENDS - 1: 1 / 6})
    for name in ("undeclared", "human", "machine"):
        assert sum(of(rows, name).values()) == pytest.approx(1)
    assert all(-ENDS <= step < ENDS for step in of(rows, "human"))


def test_the_reference_is_that_of_the_bands_that_the_corpus_has() -> None:
    detector = load_detector()
    assert detector.calibration is not None
    n_bands = len(detector.calibration.bands)
    assert n_bands > 1
    first, last = (of(list(score_rows(scored(1.0, band=at), detector)), "human") for at in (0, n_bands - 1))
    assert first != last


def test_what_is_dropped_is_read_and_not_released_and_nothing_scored_gives_no_row() -> None:
    rows = list(score_rows(scored(1.0, reason=4), load_detector()))
    assert (of(rows, "undeclared"), of(rows, "undeclared", "after")) == ({1: 1.0}, {})
    assert list(score_rows(Tally(), load_detector())) == []
    without = dataclasses.replace(load_detector(), calibration=None)
    assert list(score_rows(scored(1.0), without)) == []
