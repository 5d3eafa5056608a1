"""False alarms are shared between experts by what they find, and what is estimated from most text stays as it is."""

import dataclasses
import types

import numpy as np
import pytest

from transforms.detector.calibration import RAISED, Allowance, Scale
from transforms.detector.training.calibrate import _shared
from transforms.detector.training.fasttext_fitting import TrainingSettings

N = 2000
SCALE = Scale(
    (50.0,),
    ((0.0,), (0.0,)),
    ((1.0,), (1.0,)),
    (0.0, 1.0),
    (0.0, 1.0),
    1.0,
    "",
    "",
    Allowance((), (), (), 0.0, 0, "none"),
)
SETTINGS = TrainingSettings(target_fpr=0.01, least_found=0.5)


def spread(low: float, high: float, step: int) -> np.ndarray:
    """N numbers between two, in an order of no meaning."""
    return low + (high - low) * ((step * np.arange(N)) % N) / N


def ages(first: float, second: float) -> tuple[object, np.ndarray, np.ndarray]:
    """Human text, text of the first age and of the second, whose own experts give it up to so much; and the scores."""
    nothing = spread(-1, 0.6, 7)
    old = np.r_[spread(-1, 1.25, 3), spread(0.5, first, 11), nothing]
    new = np.r_[spread(-1, 1.05, 13), nothing, spread(0.5, second, 17)]
    labelled = types.SimpleNamespace(machine=np.arange(3 * N) >= N, n_tokens=np.full(3 * N, 100, np.int32))
    return labelled, np.stack([old, new], axis=1).astype(np.float32), np.repeat([0, 0, 1], N)


def found(scale: Scale, labelled: object, scores: np.ndarray) -> tuple[float, float]:
    highest = scale.standardised(scores, labelled.n_tokens).max(axis=1)
    at = np.quantile(highest[:N], 0.99)
    return float((highest[N : 2 * N] > at).mean()), float((highest[2 * N :] > at).mean())


def test_an_expert_that_finds_too_little_of_its_age_gets_more_of_the_false_alarms():
    labelled, scores, age = ages(4.0, 1.8)
    everything = np.ones(3 * N, bool)
    shared = _shared(labelled, everything, scores, SCALE, age, SETTINGS)
    (old, new), (old_after, new_after) = found(SCALE, labelled, scores), found(shared, labelled, scores)
    assert new < 0.5 <= new_after
    assert 0.5 <= old_after <= old
    assert shared.raised[0] == 0 < shared.raised[1]
    less = dataclasses.replace(shared, raised=(0.0, shared.raised[1] - 0.05))
    assert found(less, labelled, scores)[1] < 0.5  # in the least steps


def test_an_expert_that_finds_enough_is_left_alone_and_so_is_one_whose_gain_would_cost_the_others_too_much():
    for first, second in ((4.0, 2.6), (1.9, 1.27)):
        labelled, scores, age = ages(first, second)
        before = found(SCALE, labelled, scores)
        shared = _shared(labelled, np.ones(3 * N, bool), scores, SCALE, age, SETTINGS)
        after = found(shared, labelled, scores)
        assert after[0] >= min(0.5, before[0])
        assert second < 2 or shared.raised == (0.0, 0.0)


def test_a_raise_moves_high_scores_only_and_keeps_their_order():
    raised = dataclasses.replace(SCALE, raised=(0.0, 0.4))
    z = np.linspace(-3, 3, 601).astype(np.float32)
    scores, n_tokens = np.stack([z, z], axis=1), np.full(601, 100, np.int32)
    plain, moved = SCALE.standardised(scores, n_tokens), raised.standardised(scores, n_tokens)
    assert (moved[:, 0] == plain[:, 0]).all()
    assert (moved[z <= RAISED[0], 1] == plain[z <= RAISED[0], 1]).all()
    assert moved[z >= RAISED[1], 1] == pytest.approx(plain[z >= RAISED[1], 1] + 0.4)
    assert (np.diff(moved[:, 1]) > 0).all()
    assert np.isnan(raised.standardised(np.full((1, 2), np.nan, np.float32), n_tokens[:1])).all()
