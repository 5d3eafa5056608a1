"""False alarms by kind of text: what the calibration says, and an alarm only where the numbers bear it."""

import dataclasses
from collections import Counter

import pytest

from expectations import contracts
from transforms.detector.calibration import Stratum
from transforms.detector.detector import load_detector
from transforms.measures.false_alarms import false_alarms
from transforms.measures.tally import Tally

USED = (0, "en", "", contracts.HUMAN, contracts.BASIS_DETECTOR, 0, 0)
DECLARED = (0, "en", "", contracts.HUMAN, contracts.BASIS_DECLARED, 0, -1)


def detector(*strata: Stratum):
    bundled = load_detector()
    return dataclasses.replace(bundled, calibration=dataclasses.replace(bundled.calibration, strata=strata))


def disparity(found):
    return next(row for row in found if row["metric"] == "detector.false_alarm_disparity")


def test_a_kind_that_is_flagged_far_more_often_raises_the_alarm_if_there_is_enough_of_it():
    often = Stratum("domain", "letters", 400, 2000, False)  # 20 % beside 1.5 % in all
    by_chance = Stratum("domain", "poems", 1, 10, True)
    rows = list(false_alarms(Tally(groups=Counter({USED: 5})), detector(often, by_chance)))
    assert {row["slice"]: round(row["value"], 3) for row in rows if "slice" in row} == {
        "domain/letters": 0.2, "domain/poems": 0.1
    }  # fmt: skip
    human = load_detector().calibration.human
    times = 0.2 / (human.flagged / human.n)
    assert disparity(rows)["value"] == pytest.approx(times)
    assert 0.75 * times < disparity(rows)["lower"] < times
    alone = disparity(false_alarms(Tally(groups=Counter({USED: 5})), detector(by_chance)))
    assert alone["value"] == pytest.approx(times / 2)
    assert alone["lower"] < 1  # one of ten proves nothing


def test_where_nothing_rests_on_the_detector_its_errors_do_not_matter():
    often = Stratum("domain", "letters", 400, 2000, False)
    row = disparity(false_alarms(Tally(groups=Counter({DECLARED: 5})), detector(often)))
    assert (row["value"], row["lower"]) == (1, 1)


def test_without_strata_it_is_unknown():
    assert disparity(false_alarms(Tally(groups=Counter({USED: 5})), detector()))["value"] is None
    bare = dataclasses.replace(load_detector(), calibration=None)
    assert disparity(false_alarms(Tally(groups=Counter({USED: 5})), bare))["value"] is None


def test_the_bundled_detector_is_not_flagged_on_non_native_writers():
    strata = {(s.kind, s.name): s for s in load_detector().calibration.strata}
    toefl = strata["domain", "nonnative:toefl91"]
    assert toefl.elsewhere
    assert toefl.flagged / toefl.n <= 0.02
