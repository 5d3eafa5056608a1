"""How the detector's scores of undeclared text lie, beside those of the text that it was calibrated on.

A corpus whose scores lie where neither human nor machine text of the calibration has any is one that the detector was not
made for, whatever share its estimate gives. The reference is weighed by language and length as the corpus is.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from expectations.metrics.row import Row
from transforms.detector.detector import Detector
from transforms.kernels.statistics import share_bound
from transforms.measures.synthetic_share import OF_STAGE, REASONS_OF
from transforms.measures.tally import Tally

WIDTH = 1  # of a step, in log-odds
ENDS = 10  # the first and the last step hold all beyond
NOTE = "log-odds of machine origin, from this number on; the first and the last step hold what is beyond"


def score_rows(tally: Tally, detector: Detector) -> Iterator[Row]:
    """The share of documents in each step of scores: undeclared ones as read and released, and the calibration's own."""
    calibration = detector.calibration
    if calibration is None:
        return
    read = (
        _by_band(tally, "before", len(calibration.bands)).reshape(-1, calibration.leads, share_bound.BINS).sum(axis=1)
    )
    weights = read.sum(axis=1)
    if not weights.any():
        return
    known = {
        "human": [sum(band.human_histogram for band in bands) for bands in calibration.lengths],
        "machine": [sum(band.machine_histogram for band in bands) for bands in calibration.lengths],
    }
    curves = [("undeclared", stage, _by_band(tally, stage, len(calibration.bands)).sum(axis=0)) for stage in OF_STAGE]
    for name, bands in known.items():
        parts = [
            weight * np.asarray(one) / np.sum(one) for weight, one in zip(weights, bands, strict=True) if np.sum(one)
        ]
        curves.append((name, "before", np.sum(parts, axis=0) if parts else np.zeros(share_bound.BINS)))
    for name, stage, bins in curves:
        steps = _steps(bins)
        total = steps.sum()
        for step in np.flatnonzero(steps).tolist():
            yield Row(
                metric="detector.scores",
                stage=stage,
                slice_kind="score",
                slice=f"{name}/{WIDTH * step - ENDS}",
                value=float(steps[step] / total),
                n=round(float(total)),
                note=NOTE,
            )


def _by_band(tally: Tally, stage: str, bands: int) -> npt.NDArray[np.float64]:
    """Undeclared documents of a stage, float64[bands, bins]."""
    found = np.zeros((bands, share_bound.BINS))
    for (_, _, reason, band), counts in sorted(tally.scores.items(), key=lambda one: str(one[0])):
        if reason in REASONS_OF[OF_STAGE[stage]]:
            found[int(band)] += counts[0]
    return found


def _steps(bins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fine bins as steps of `WIDTH` between the ends."""
    lowest = (
        share_bound.LOWEST + np.arange(share_bound.BINS) * (share_bound.HIGHEST - share_bound.LOWEST) / share_bound.BINS
    )
    place = np.clip(np.floor((lowest + 1e-9 + ENDS) / WIDTH), 0, 2 * ENDS / WIDTH - 1).astype(np.int64)
    return np.bincount(place, weights=bins, minlength=2 * ENDS // WIDTH).astype(np.float64)
