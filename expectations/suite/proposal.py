"""A suite from reference releases: every limit comes from their own spread, and says how sure it is.

Several references: a one-sided normal tolerance limit (Krishnamoorthy & Mathew 2009, ch. 2), widened to every reference.
One: its own noise, as between two such releases (expectations/noise.py). Where neither is known,
nothing is proposed.
"""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from expectations import wording
from expectations.metrics import declared
from expectations.noise import SIGMAS, Key, Row, key_of, noise_of
from expectations.wording import plural

CONTENT, CONFIDENCE = 0.95, 0.95  # that a limit holds for so many of such releases, with so much confidence
DIGITS = 4  # of a limit, rounded away from the references


@dataclasses.dataclass(frozen=True)
class Proposed:
    """One expectation, and what it rests on."""

    sign: str
    metric: str
    stage: str
    bound: Literal["value", "upper"]
    min: float | None
    max: float | None
    min_documents: int
    severity: Literal["critical", "warning"]
    seen: tuple[float, ...]
    basis: str

    def expectation(self) -> dict[str, Any]:
        """As a suite says it, without what is the default."""
        item: dict[str, Any] = {"expect": "metric_to_be_between", "metric": self.metric}
        item |= {"stage": self.stage} if self.stage != "after" else {}
        item |= {"bound": self.bound} if self.bound != "value" else {}
        item |= {side: limit for side, limit in (("min", self.min), ("max", self.max)) if limit is not None}
        item |= {"min_documents": self.min_documents} if self.min_documents else {}
        return item | {"severity": self.severity}


class NoLimitError(Exception):
    """Nothing is proposed for a metric; the message says why."""


def proposals(tables: Sequence[Sequence[Row]], same_detector: bool = True) -> tuple[list[Proposed], dict[str, str]]:
    """What is proposed for the whole of a release, early signs first, and why other metrics are left out.

    Args:
      tables: rows of `contracts.METRICS` of each reference, one or more.
      same_detector: whether all were scored alike.
    """
    by_key = [{key_of(row): row for row in rows if row["slice_kind"] == "overall"} for rows in tables]
    released = {key[0] for table in by_key for key in table if key[1] == "after"}
    keys = {key for table in by_key for key in table if key[1] == "after" or key[0] not in released}
    found, left_out = [], {}
    for key in sorted(keys, key=lambda k: (declared.find(k[0]).rank, k)):
        try:
            found.append(_proposed(key, by_key, same_detector))
        except NoLimitError as reason:
            left_out[key[0]] = str(reason)
    return found, left_out


def _proposed(key: Key, tables: Sequence[Mapping[Key, Row]], same_detector: bool) -> Proposed:
    metric, stage = key[:2]
    about = declared.find(metric)
    sign, worse, form = about.sign, about.worse, about.form
    share = metric in ("synthetic_share.tokens", "synthetic_share.documents")
    bound: Literal["value", "upper"] = "upper" if share else "value"
    rows = [table[key] for table in tables if table.get(key, {}).get(bound) is not None]
    _refuse(metric, worse, len(rows), len(tables), share and not same_detector)
    seen = [float(wording.stable(row[bound]) or 0.0) for row in rows]
    below, above, basis = _spread(key, rows, seen, tables)
    low = None if worse == "up" else _rounded(min(seen) - below, math.floor)
    high = None if worse == "down" else _rounded(max(seen) + above, math.ceil)
    least = max(0.0, about.range[0])  # at or below which no release is, so that such a limit could not fail
    low = None if low is not None and low <= least <= min(seen) else low
    high = None if high is not None and form == "share" and high >= 1 else high
    if low is high is None:
        raise NoLimitError(f"{basis}: so wide that no limit could fail")
    needed = min(int(row["n"] or 0) for row in rows) // 2
    severity: Literal["critical", "warning"] = "critical" if share else "warning"
    return Proposed(sign, metric, stage, bound, low, high, needed, severity, tuple(seen), basis)


def _refuse(metric: str, worse: str, measured: int, references: int, other_detector: bool) -> None:
    if metric not in declared.METRICS:
        raise NoLimitError("a metric that this version does not know")
    if measured < references:
        raise NoLimitError(f"not measured in {references - measured} of {references}")
    if declared.find(metric).form == "count" and not worse:
        raise NoLimitError("a count, which is what it is")
    if declared.find(metric).sign == "other":
        raise NoLimitError("nobody says which way is worse")
    if other_detector:
        raise NoLimitError("the references were not scored by the same detector")
    if declared.find(metric).grows:
        raise NoLimitError("it grows with the corpus")


def _spread(
    key: Key, rows: Sequence[Row], seen: Sequence[float], tables: Sequence[Mapping[Key, Row]]
) -> tuple[float, float, str]:
    """How far below the least and above the greatest reference the limits lie, and why."""
    if len(rows) > 1 and (sd := statistics.stdev(seen)) > 0:
        factor, mean = tolerance_factor(len(rows)), statistics.fmean(seen)
        below, above = (max(0.0, factor * sd - (mean - min(seen))), max(0.0, factor * sd - (max(seen) - mean)))
        basis = f"{plural(len(rows), 'reference')}: {CONTENT:.0%} of such releases with {CONFIDENCE:.0%} confidence"
        return (
            below,
            above,
            f"{basis}, if their numbers are normally spread (mean and {factor:.3g} standard deviations)",
        )
    limits, basis = noise_of(key, rows[0], rows[0], [tables[0], tables[0]], True)
    if limits is None:
        alike = f"the same in all {plural(len(rows), 'reference')}, and " if len(rows) > 1 else "one reference, and "
        raise NoLimitError(alike + (basis or "a count has no noise"))
    return *limits, f"one number's own noise, {SIGMAS:g} standard errors of a difference ({basis})"


def tolerance_factor(n: int) -> float:
    """The factor of a one-sided normal tolerance limit from `n` observations: mean + factor x standard deviation."""
    from scipy import stats  # late: it is slow to import

    return float(stats.nct.ppf(CONFIDENCE, n - 1, stats.norm.ppf(CONTENT) * math.sqrt(n)) / math.sqrt(n))


def _rounded(limit: float, towards: Any) -> float:
    if limit == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(limit))) - DIGITS + 1)
    return float(f"{towards(limit / unit) * unit:.12g}")


def suite_yaml(found: Sequence[Proposed], left_out: Mapping[str, str], names: Sequence[str], suite: str) -> str:
    """The suite as commented YAML, which `suite.load_suite` reads."""
    what = ", ".join(map(wording.one_line, names))
    several = plural(len(names), "reference") if len(names) > 1 else "one reference"
    lines = [
        f"# Proposed by `lowbackground propose` from {several}: {what}.",
        "# Every reference passes it. A limit says where such releases lie, not what is good: read each, and make critical",
        "# what must never happen. min_documents is half of what the smallest reference had; with fewer a number only warns.",
    ]
    if len(names) == 1:
        lines.append(
            "# One reference says nothing of how releases differ from each other: expect false alarms, or give more of them."
        )
    lines += [
        f"suite: {json.dumps(suite)}",
        f"description: {json.dumps(f'Proposed from {several}: {what}.')}",
        "expectations:",
    ]
    for one in found:
        form = declared.find(one.metric).form
        seen = ", ".join(wording.number(value, form, 4) for value in one.seen)
        lines += ["", f"  # {one.sign}: {wording.title(one.metric)}. Seen: {seen}.", f"  # {one.basis}."]
        for at, (key, value) in enumerate(one.expectation().items()):
            # Without an exponent, which YAML would read as a word.
            said = np.format_float_positional(value, trim="0") if isinstance(value, float) else str(value)
            lines.append(f"  {'-' if at == 0 else ' '} {key}: {said}")
        lines.append(f"    notes: {json.dumps(f'Proposed: {one.basis}. Seen: {seen}.')}")
    if left_out:
        lines += [
            "",
            "# Left out:",
            *(f"#   {wording.one_line(f'{metric}: {why}')}" for metric, why in left_out.items()),
        ]
    return "\n".join(lines) + "\n"
