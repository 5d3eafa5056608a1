"""The judging rule alone, without Great Expectations: each status for the reason that it is given for."""

import math

import pytest

from expectations.judge.rule import compare


def row(value: float | None = 0.2, lower: float | None = None, upper: float | None = None, n: int = 100, **more):
    return {
        "slice": "",
        "value": value,
        "lower": lower,
        "upper": upper,
        "n": n,
        "unit": "fraction",
        "note": None,
        **more,
    }


@pytest.mark.parametrize(
    ("rows", "asked", "status"),
    [
        ([row(0.2)], {"high": 0.3}, "pass"),
        ([row(0.4)], {"high": 0.3}, "fail"),
        ([row(0.2)], {"low": 0.3}, "fail"),
        ([row(0.2, 0.1, 0.4)], {"bound": "upper", "high": 0.3}, "fail"),
        ([row(0.2, 0.1, 0.4)], {"bound": "upper", "high": 0.3, "unsure": "inconclusive"}, "inconclusive"),
        ([row(0.4, n=5)], {"high": 0.3, "min_documents": 10}, "inconclusive"),
        ([row(0.6, 0.5, 0.7, n=5)], {"high": 0.3, "min_documents": 10}, "fail"),  # even its lower bound is outside
        ([row(0.2, n=5)], {"high": 0.3, "min_documents": 10}, "inconclusive"),  # few documents never pass
        ([row(0.2, needed=200)], {"high": 0.3}, "inconclusive"),
        ([row(None)], {"high": 0.3}, "error"),
        ([row(math.nan)], {"high": 0.3}, "error"),
        ([], {"high": 0.3}, "error"),  # nothing to compare is never a pass
        ([row(0.2), row(0.4)], {"high": 0.3}, "fail"),
        ([row(0.2), row(None)], {"high": 0.3}, "error"),
    ],
)
def test_the_worst_row_decides(rows, asked, status) -> None:
    asked = {"bound": "value", "low": None, "high": None} | asked
    assert compare(rows, **asked)["status"] == status
