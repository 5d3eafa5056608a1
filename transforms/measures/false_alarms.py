"""Whose human text does the detector call a machine's? False alarms by kind of text, as the calibration measured them.

A filter that drops what a detector flags also drops the people whom it flags wrongly: non-native writers, a register, a
language (Liang et al. 2023, arXiv 2304.02819). So a release that rests on a detector says how unequal its errors are.
"""

from collections.abc import Iterator

from expectations import contracts
from expectations.metrics.row import Row
from transforms.detector.detector import Detector
from transforms.kernels.statistics.share_bound import clopper_pearson_lower, clopper_pearson_upper
from transforms.measures.tally import Tally, total_of

ALPHA = 0.05
NOTE = (
    "human documents of the calibration that are called synthetic; exact limits, 95 % one-sided for all kinds together"
)


def false_alarms(tally: Tally, detector: Detector) -> Iterator[Row]:
    """The rate in each kind of text, and how many times the overall rate the highest of them is.

    The disparity is 1 where no origin of the corpus rests on the detector, and unknown without a calibration.
    """
    row: Row = {"stage": "before", "note": NOTE}
    calibration = detector.calibration
    strata = calibration.strata if calibration else ()
    level = ALPHA / max(1, len(strata))
    lowest, highest = 0.0, 0.0
    everyone = calibration.human if calibration else None
    overall = max(everyone.flagged, 0.5) / everyone.n if everyone else 0.0
    for s in strata:
        lower, upper = clopper_pearson_lower(s.flagged, s.n, level), clopper_pearson_upper(s.flagged, s.n, level)
        yield row | Row(
            metric="detector.false_alarm_rate",
            slice_kind="kind_of_text",
            slice=f"{s.kind}/{s.name}",
            value=s.flagged / s.n,
            lower=lower,
            upper=upper,
            n=s.n,
        )
        lowest, highest = max(lowest, lower / overall), max(highest, s.flagged / s.n / overall)
    used = total_of(tally.groups, origin_basis=contracts.BASIS_DETECTOR)
    ratio: Row = row | {"metric": "detector.false_alarm_disparity", "n": everyone.n if everyone else 0}
    if not used:
        yield ratio | {"value": 1.0, "lower": 1.0, "note": "nothing here rests on the detector"}
    elif strata:
        yield ratio | {"value": highest, "lower": lowest}
    else:
        yield ratio | {"value": None, "note": "the detector's calibration says nothing of kinds of text"}
