"""A verdict in Great Expectations' own JSON: the suite, and the validation of a metrics table by it.

Written without importing Great Expectations, which takes seconds, and without its times and batch names, so that the same
verdict is the same bytes; tests/expectations/judge/test_gx_json.py holds it against what the library itself reads and writes.
"""

import dataclasses
from typing import Any

from expectations.judge.verdict import Outcome, Verdict
from expectations.versions import version

TYPE = "expect_metric_to_be_between"


def suite(verdict: Verdict) -> dict[str, Any]:
    """The suite that was judged by, thresholds resolved, as an `ExpectationSuite`.

    Load it after `expectations.judge.gx.register()`. Great Expectations knows no waivers: here they are in `meta`.
    """
    return {
        "name": verdict.suite,
        "id": None,
        "expectations": [_configuration(outcome) for outcome in verdict.expectations],
        "meta": _meta(verdict),
        "notes": None,
    }


def validation(verdict: Verdict) -> dict[str, Any]:
    """What was found, as an `ExpectationSuiteValidationResult`.

    Its `success` is Great Expectations' own: false if anything does not hold, also a warning, also what is waived. The
    verdict is in `meta.lowbackground`.
    """
    results = [_result(outcome) for outcome in verdict.expectations]
    held = sum(result["success"] for result in results)
    return {
        "success": held == len(results),
        "results": results,
        "suite_name": verdict.suite,
        "suite_parameters": {},
        "statistics": {
            "evaluated_expectations": len(results),
            "successful_expectations": held,
            "unsuccessful_expectations": len(results) - held,
            "success_percent": 100 * held / len(results) if results else None,
        },
        "meta": _meta(verdict),
        "id": None,
    }


def _meta(verdict: Verdict) -> dict[str, Any]:
    about = {"verdict": verdict.status, "suite_sha256": verdict.suite_sha256, "judged_on": verdict.judged_on}
    return {"great_expectations_version": version("great_expectations"), "lowbackground": about}


def _configuration(outcome: Outcome) -> dict[str, Any]:
    kwargs = {
        "metric": outcome.metric,
        "stage": outcome.stage,
        "slice_kind": outcome.slice_kind,
        "slice": outcome.slice,
        "bound": outcome.bound,
        "min_value": outcome.min,
        "max_value": outcome.max,
        "min_documents": outcome.min_documents,
        "unsure": outcome.unsure,
    }
    return {
        "type": TYPE,
        "kwargs": {key: value for key, value in kwargs.items() if value is not None},
        "meta": {"key": outcome.key, "waivers": [dataclasses.asdict(waiver) for waiver in outcome.waivers]},
        "severity": outcome.severity,
        "notes": outcome.notes or None,
    }


def _result(outcome: Outcome) -> dict[str, Any]:
    rows = list(map(dataclasses.asdict, outcome.not_held or ([outcome.worst] if outcome.worst else [])))
    details = {"status": outcome.status, "message": outcome.message, "waived": outcome.waived, "rows": rows}
    return {
        "success": outcome.status == "pass",
        "expectation_config": _configuration(outcome),
        "result": {"details": details},
        "meta": {},
        "exception_info": {"raised_exception": False, "exception_traceback": None, "exception_message": None},
    }
