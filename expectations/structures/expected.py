"""What systems expect, as expectations about the metrics table, and what its rows are called there."""

import math
from collections.abc import Iterator
from typing import Any

from expectations.structures.rules import (
    STAGE_AFTER,
    Association,
    Avoid,
    CoreEffectiveNumber,
    ExpectedDevianceRatio,
    MaxCore,
    MinShare,
    Retention,
    StageDelta,
    TargetDistribution,
)
from expectations.structures.system import System
from expectations.suite.suite import Expectation


def documents_needed(core: float) -> int:
    """Documents on each side that it takes to see a fifth of a structure go (one-sided 95 %, power 80 %): 280 (1 - m) / m."""
    return math.ceil(280 * (1 - core) / core - 1e-9) if core > 0 else 2**62


def rules(systems: tuple[System, ...]) -> Iterator[Expectation]:
    """What systems expect, as expectations about the metrics table (transforms/structures/shares.py makes its rows)."""
    for system in systems:
        for rule in system.expectations:
            for asked in _asked(system, rule):
                why = f"{system.id}, owned by {system.owner.team}: {rule.notes or system.rationale}"
                yield Expectation(
                    expect="metric_to_be_between", severity=rule.severity, notes=why, unsure="inconclusive", **asked
                )


def _asked(system: System, rule: Any) -> Iterator[dict[str, Any]]:
    """Each rule reads the bound that speaks against the release; a stage's own effect is counted, if no classifier errs in it.

    A rule passes if that bound is within the limit and fails if the value is not. Between the two it is inconclusive: at
    the least data, a release that lost nothing would else fail one time in five.
    """
    about: dict[str, Any] = {"slice_kind": "structure"}
    whole = {"slice_kind": "system", "slice": system.id, "bound": "lower"}
    match rule:
        case MinShare() | MaxCore() | Avoid():
            yield from _about_core(system, rule)
        case Retention():
            for slice_ in _slices(system, rule.structures):
                yield about | {"metric": "structure.retention", "slice": slice_, "bound": "lower", "min": rule.min}
        case StageDelta():
            each = system.names if rule.structures == "all" and system.classifiers else rule.structures
            for slice_ in _slices(system, each):
                one = about | {"metric": "structure.stage_retention", "slice": slice_, "stage": STAGE_AFTER[rule.stage]}
                corrected = {"bound": "lower"} if slice_.partition("/")[2] in system.classifiers else {}
                yield one | corrected | {"min": 1 - rule.max_retention_loss}
        case ExpectedDevianceRatio():
            yield whole | {"metric": "structure.expected_deviance_ratio", "min": rule.min}
        case CoreEffectiveNumber():
            yield whole | {"metric": "structure.effective_number_ratio", "min": rule.min_ratio}
        case TargetDistribution():
            one = {"metric": "structure.divergence", "slice_kind": "group", "slice": group_slice(system, rule)}
            yield one | {"bound": "upper", "max": rule.max}
        case Association():
            one = {"metric": "structure.association", "slice_kind": "association", "bound": "upper"}
            yield one | {"slice": association_slice(system, rule), "max": rule.max_risk_ratio}


def _about_core(system: System, rule: Any) -> Iterator[dict[str, Any]]:
    low, high = getattr(rule, "min", None), getattr(rule, "max", None)
    slices = _slices(system, rule.structures if isinstance(rule, MaxCore) else (rule.structure,))
    needed = system.min_documents if isinstance(rule, MaxCore) else documents_needed(low or high or 1)
    about = {"metric": "structure.core", "slice_kind": "structure", "min_documents": needed}
    for slice_ in slices:
        yield (
            about
            | ({"bound": "upper", "max": high} if low is None else {"bound": "lower", "min": low})
            | {"slice": slice_}
        )


def _slices(system: System, structures: Any) -> list[str]:
    return [f"{system.id}/*"] if structures == "all" else [f"{system.id}/{name}" for name in structures]


def group_slice(system: System, rule: TargetDistribution) -> str:
    """What the rows of a target distribution are called; targets that differ are different rows."""
    target = "" if rule.target == "reference" else "=" + ",".join(f"{rule.target[name]:g}" for name in rule.group)
    return f"{system.id}/{'+'.join(rule.group)}{target}"


def association_slice(system: System, rule: Association) -> str:
    """What the row of an association is called."""
    return f"{system.id}/{rule.then} given {rule.given} against {rule.vs_given}"
