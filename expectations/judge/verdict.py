"""The verdict on a release: every expectation with what was seen, what was allowed, and a sentence about it.

Great Expectations says whether a suite "succeeded", and counts a failed warning as a failure; here only a critical
expectation rejects a release, and one that could not be measured rejects it too.
"""

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pydantic

from expectations import contracts, wording
from expectations.errors import UserError
from expectations.judge import gx_process
from expectations.judge.blind_spots import blind_spots
from expectations.loading import LoadError, parse_json
from expectations.metrics import declared
from expectations.metrics.row import CERTIFIED
from expectations.suite.suite import Expectation, Suite, SuiteError
from expectations.suite.waivers import State

SHOWN_SLICES = 20  # slices that did not hold, kept per expectation; the metrics table has them all
_BADNESS = {"fail": 0, "error": 1, "inconclusive": 2, "pass": 3}


class VerdictError(UserError):
    """A stored verdict cannot be read. The message is one line."""


@dataclasses.dataclass(frozen=True)
class SliceOutcome:
    """One row of the metrics table, held against an expectation. A number that could not be measured is None."""

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(extra="forbid")

    slice: str
    observed: float | None  # the number that was compared: value, lower or upper
    value: float | None
    lower: float | None
    upper: float | None
    n: int  # documents it rests on
    status: Literal["pass", "fail", "inconclusive", "error"]
    note: str | None = None
    needed: int = 0  # documents that it takes to judge it
    waived: bool = False


@dataclasses.dataclass(frozen=True)
class WaiverOutcome:
    """A waiver of an expectation, and what it did."""

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(extra="forbid")

    who: str
    why: str
    until: str  # the last day on which it counts
    slice: str | None  # None: all slices
    state: State


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one expectation."""

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(extra="forbid")

    key: str  # its path in the suite: "expectations[0]"
    metric: str
    stage: str
    slice_kind: str
    slice: str | None  # None: every slice of the kind
    bound: str  # which number was compared: "value", "lower" or "upper"
    min: float | None  # resolved
    max: float | None
    threshold: str  # the same in words, with the parameter it came from
    severity: Literal["critical", "warning", "info"]
    status: Literal["pass", "fail", "inconclusive", "error"]
    message: str
    notes: str
    unit: str | None
    worst: SliceOutcome | None  # the slice that decided; None: there was none
    slices: int  # how many were looked at
    not_held: tuple[SliceOutcome, ...]  # at most SHOWN_SLICES, worst first
    waived: bool = False  # everything that does not hold is waived; `status` still says that it does not
    waivers: tuple[WaiverOutcome, ...] = ()
    min_documents: int = 0
    unsure: str = "fail"

    @property
    def rejects(self) -> bool:
        """Whether it alone keeps a release from being published."""
        return self.severity == "critical" and self.status in ("fail", "error") and not self.waived


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a suite says about a release."""

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(extra="forbid")

    status: Literal["passed", "failed"]
    reasons: tuple[str, ...]  # the message of every critical expectation that did not hold
    warnings: tuple[str, ...]  # and of every warning, and of every critical one that is inconclusive
    suite: str
    suite_sha256: str
    params: dict[str, float | None]
    expectations: tuple[Outcome, ...]  # in the order of the suite
    waived: tuple[str, ...] = ()  # the message of every expectation that does not hold and is waived
    judged_on: str | None = None  # the day that waivers were held against; None: the suite has none
    blind_spots: tuple[str, ...] = ()  # which documents nothing in the suite looks at
    format: Literal["lowbackground.verdict/1"] = "lowbackground.verdict/1"

    @property
    def passed(self) -> bool:
        """Whether the release may be published."""
        return self.status == "passed"

    def to_json(self) -> str:
        """Strict JSON, sorted keys, no time: the same verdict is the same bytes."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Verdict":
        """Read what `to_json` wrote.

        Raises:
          VerdictError: it is not a verdict.
        """
        try:
            parse_json(text if isinstance(text, bytes) else text.encode(), "verdict.json")
            return pydantic.TypeAdapter(cls).validate_json(text)
        except LoadError as error:
            raise VerdictError(f"{error}; restore the file, or make the release again") from error
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise VerdictError(
                f"verdict.json: {place}: {first['msg']}; restore the file, or make the release again"
            ) from error


def judge(
    metrics: pa.Table,
    suite: Suite,
    params: Mapping[str, float | None] | None = None,
    today: datetime.date | None = None,
) -> Verdict:
    """Judge a release by its metrics.

    Args:
      metrics: `contracts.METRICS`.
      suite: what must be true.
      params: the numbers behind `$name` in the suite, such as {"max_synthetic_share": 0.3}.
      today: the day that waivers are held against. Without waivers the verdict is the same on every day.

    Returns:
      The verdict: "failed" if a critical expectation failed or could not be measured, else "passed". One that is
      inconclusive, because there is too little data, is a warning.

    Raises:
      SuiteError: a parameter of the suite is not set, or it has waivers and there is no day to hold them against.
      ContractError: `metrics` is not the metrics table.
    """
    contracts.METRICS.check(metrics)
    params = dict(params or {})
    resolved = suite.resolve(params)
    dated = any(item.waivers for item in suite.expectations)
    if dated and today is None:
        raise SuiteError(f"suite {suite.suite}: it has waivers, so it takes a day to judge by it")
    results = gx_process.validate(metrics, resolved)
    unit = wording.unit_of(metrics.select(["metric", "unit"]).to_pylist())
    outcomes = tuple(
        _outcome(item, written, result, today, unit)
        for item, written, result in zip(resolved.expectations, suite.expectations, results, strict=True)
    )
    reasons = tuple(item.message for item in outcomes if item.rejects)
    open_ = [item for item in outcomes if item.status != "pass" and not item.waived]
    warnings = tuple(item.message for item in open_ if item.severity != "info")
    return Verdict(
        status="failed" if reasons else "passed",
        reasons=reasons,
        warnings=tuple(message for message in warnings if message not in reasons),
        suite=suite.suite,
        suite_sha256=suite.sha256(),
        params={name: wording.stable(value) for name, value in sorted(params.items())},
        expectations=outcomes,
        waived=tuple(item.message for item in outcomes if item.waived),
        judged_on=str(today) if dated else None,
        blind_spots=blind_spots(resolved.expectations, metrics.to_pylist()),
    )


def _outcome(
    item: Expectation, written: Expectation, result: dict[str, Any], today: datetime.date | None, unit: str
) -> Outcome:
    units = [row.pop("unit") for row in result["rows"]]
    slices = [SliceOutcome(**row) for row in result["rows"]]
    slices, waivers, said = _waived(item, slices, result["status"], today)
    slices.sort(key=lambda one: _order(one, item))
    status, left = result["status"], {one.status for one in slices if not one.waived}
    waived = status != "pass" and left <= {"pass"} and any(waiver.state == "applies" for waiver in waivers)
    if not waived and left:  # what is left to decide is what is not waived
        status = min(left, key=lambda one: _BADNESS[one])
    return Outcome(
        key=result["key"],
        metric=item.metric,
        stage=item.stage,
        slice_kind=item.slice_kind,
        slice=item.slice,
        bound=item.bound,
        min=_float(item.min),
        max=_float(item.max),
        threshold=_threshold(item, written),
        severity=item.severity,
        status=status,
        message=_message(item, status, result["error"], slices, unit) + said,
        notes=item.notes,
        unit=units[0] if units else None,
        worst=slices[0] if slices else None,
        slices=len(slices),
        not_held=tuple(one for one in slices if one.status != "pass")[:SHOWN_SLICES],
        waived=waived,
        waivers=waivers,
        min_documents=item.min_documents,
        unsure=item.unsure,
    )


def _waived(
    item: Expectation, slices: list[SliceOutcome], status: str, today: datetime.date | None
) -> tuple[list[SliceOutcome], tuple[WaiverOutcome, ...], str]:
    """The slices with those marked that a waiver speaks of, what became of each waiver, and what is said of them."""
    not_held = {one.slice for one in slices if one.status != "pass"} or ({""} if status != "pass" else set())
    looked_at = {one.slice for one in slices}
    marked, found, said = slices, [], ""
    for waiver in item.waivers:
        assert today is not None, item
        state = waiver.state(today, not_held, looked_at)
        found.append(WaiverOutcome(waiver.who, waiver.why, str(waiver.until), waiver.slice, state))
        said += waiver.sentence(state, looked_at)
        if state == "applies":
            marked = [
                dataclasses.replace(one, waived=True)
                if one.status != "pass" and waiver.slice in (None, one.slice)
                else one
                for one in marked
            ]
    return marked, tuple(found), said


def _order(one: SliceOutcome, item: Expectation) -> tuple[bool, bool, int, float, str]:
    """Sorts what decides first; then failures and, among equals, the number that is furthest over (or least under) its limit."""
    low, high = _float(item.min), _float(item.max)
    room = 0.0
    if one.observed is not None:
        room = min(math.inf if low is None else one.observed - low, math.inf if high is None else high - one.observed)
    return one.waived or one.status == "pass", one.status == "pass", _BADNESS[one.status], room, one.slice


def _float(limit: float | str | None) -> float | None:
    assert not isinstance(limit, str), limit  # the suite was resolved
    return limit


def _threshold(item: Expectation, written: Expectation) -> str:
    words = wording.limits(_float(item.min), _float(item.max), declared.find(item.metric).form)
    parameters = [limit for limit in (written.min, written.max) if isinstance(limit, str)]
    return f"{words} ({', '.join(parameters)})" if parameters else words


def _message(item: Expectation, status: str, error: str | None, slices: list[SliceOutcome], unit: str) -> str:
    """One sentence: what, what was seen, what was allowed."""
    form = declared.find(item.metric).form
    low, high = _float(item.min), _float(item.max)
    if status == "error":
        about = wording.subject(item.metric, item.stage, item.slice_kind, item.slice, unit)
        reason = slices[0].note if len(slices) == 1 and slices[0].note else error
        return wording.unmeasured(about, reason)
    worst = slices[0]
    about = wording.subject(item.metric, item.stage, item.slice_kind, worst.slice or None, unit)
    if status == "inconclusive":
        sentence = wording.inconclusive(about, worst.value, worst.n, worst.needed, form)
        if worst.n >= worst.needed and worst.observed is not None:
            asked = wording.limits(low, high, form)
            sentence = wording.unsure(about, worst.value, worst.observed, item.bound, asked, form)
    else:
        assert worst.observed is not None, item
        verb = "is" if item.bound == "value" else f"has {'an' if item.bound == 'upper' else 'a'} {item.bound} bound of"
        sentence = f"{about} {verb} {wording.comparison(worst.observed, low, high, form)}"
    if worst.note and worst.note.startswith(f"{CERTIFIED}:"):
        sentence += f" ({worst.note})"
    many = sum(one.status != "pass" for one in slices)
    if len(slices) > 1:
        sentence += f"; {len(slices) - many} of {len(slices)} hold"
    return sentence + "."
