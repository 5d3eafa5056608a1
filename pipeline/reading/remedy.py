"""The last line of a release that was rejected: which expectation failed first, by how much, and what would mend it."""

import decimal
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from decimal import Decimal

from expectations import metrics
from expectations.judge.verdict import Outcome, Verdict
from expectations.suite.suite import Suite, load_suite, presets
from expectations.wording import one_line
from pipeline.assembly import SUITE, counts
from pipeline.recipe import Recipe, load_recipe
from transforms.release.gate import NO_ITEMS, rules
from transforms.release.read_release import read_metrics

# The numbers that a suite may name, and the keys of the recipe that they come from: `runner.suite_params`.
KEYS = {
    "max_synthetic_share": "ratio.max_synthetic_share",
    "max_bad_fraction": "ingest.max_bad_fraction",
    "max_source_loss": "dedup.max_source_loss",
}
_PARAMETER = re.compile(r"\((?:.*, )?\$(\w+)(?: \* ([0-9.]+))?\)$")
STEP = Decimal("0.001")  # that limits are proposed in


def of_release(verdict: Verdict, release: str, suite: str | None, overrides: Sequence[str]) -> str:
    """The same for a release that was judged again, by another suite perhaps; arguments as for `gate.judge_again`."""
    if verdict.passed:
        return ""
    own = load_suite(suite, os.getcwd()) if suite else load_suite(SUITE, release, kept=True)
    return _line(verdict, release, load_recipe(os.path.join(release, "recipe.yaml"), overrides), own, "gate")


def remedy(verdict: Verdict, folder: str, recipe: Recipe) -> str:
    """One line; empty if the release passed.

    Args:
      verdict: on a release.
      folder: of the release, or of its rejection.
      recipe: that it was made by.
    """
    return "" if verdict.passed else _line(verdict, folder, recipe, load_suite(SUITE, folder, kept=True), "run")


def _line(verdict: Verdict, folder: str, recipe: Recipe, own: Suite, command: str) -> str:
    failed = [outcome for outcome in verdict.expectations if outcome.rejects]
    first = failed[0]
    place, is_own = _place(verdict.expectations.index(first), recipe, own)
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    ways = [*_knobs(first, folder, recipe, command), *([_waiver(folder, own)] if is_own else [])]
    mend = f"To mend it, {'; or '.join(ways[:2])}." if ways else f"{folder}/report/index.html says more."
    return one_line(f"failed: {place}{more}: {first.message} {mend}")


def _place(index: int, recipe: Recipe, own: Suite) -> tuple[str, bool]:
    """Where an expectation is written, and whether it is the suite's own; the verdict counts rules of every run before it."""
    before = len(rules_of(recipe))
    if index < before:
        return "a rule of every run", False
    if index < before + len(own.expectations):
        return f"expectations[{index - before}] of suite {own.suite}", True
    return "a rule of the reference or of a system of structures", False


def rules_of(recipe: Recipe) -> Sequence[object]:
    """The rules that stand before the expectations of a suite."""
    found = rules(
        recipe.ratio.on_shortage == "fail", recipe.dedup.on_source_loss == "fail", not recipe.ratio.is_budget_only
    )
    return [*found, NO_ITEMS] if recipe.contamination.on_match == "fail" and recipe.contamination.against else found


def _knobs(outcome: Outcome, folder: str, recipe: Recipe, command: str) -> Iterator[str]:
    """What to turn, the nearest first."""
    where = shlex.quote(folder)
    limit = limit_that_holds(outcome)
    if (found := _PARAMETER.search(outcome.threshold)) and limit is not None and found[1] in KEYS:
        value = _rounded(Decimal(repr(limit)) / Decimal(found[2] or 1), up=outcome.max is not None)
        if 0 <= value <= 1:
            yield f"{command} again with --set {KEYS[found[1]]}={value}"
    if outcome.metric.startswith("synthetic_share.") and outcome.stage == "after" and outcome.max is not None:
        cut = f"run again with --set ratio.max_synthetic_share={outcome.max:g}, which drops what synthetic documents it can"
        cuts = [cut] if not found and outcome.max < recipe.ratio.max_synthetic_share else []
        declare = ["declare `origin` of the sources that you know"] if outcome.bound == "upper" else []
        # A bound above the limit with an estimate within it comes of what undeclared text may hide, and nothing else.
        hides = outcome.worst is not None and outcome.worst.value is not None and outcome.worst.value <= outcome.max
        yield from (*declare, *cuts) if hides else (*cuts, *declare)
    if outcome.metric == "ratio.dropped":
        yield "run again with --set ratio.on_shortage=shrink"
    if outcome.metric == "ratio.conflicts":
        yield "change one of the limits that are in conflict; `lowbackground plan` shows what each would give"
    if outcome.metric.startswith("input."):
        yield f"read {where}/quarantine/, which has the reason of each record"
    if (outcome.metric, outcome.stage) == ("documents", "before"):
        yield "see with `lowbackground check` whether its path and its fields are right"
    if outcome.metric in ("documents", "tokens") and outcome.stage == "after" and (reason := _main_reason(folder)):
        yield f"see with `lowbackground explain {where} --reason {reason}` what was dropped"
    if outcome.metric.startswith("duplicates."):
        yield f"see with `lowbackground explain {where} --reason near_duplicate` what was dropped"


def _waiver(folder: str, own: Suite) -> str:
    """How somebody answers for a release until a day; a suite of ours is copied first, for nobody can write into it."""
    copy = f"copy {shlex.quote(folder)}/{SUITE}, and " if own.suite in presets() else ""
    return f"{copy}waive it in the suite: waivers: [{{who: NAME, why: REASON, until: DATE}}]"


def limit_that_holds(outcome: Outcome) -> float | None:
    """The nearest round limit that what was seen would not break; None if nothing was seen, or it has two limits."""
    if outcome.worst is None or outcome.worst.observed is None or (outcome.min is None) == (outcome.max is None):
        return None
    up = outcome.max is not None
    if metrics.find(outcome.metric).form == "count":
        return float(Decimal(repr(outcome.worst.observed)).to_integral_value(_towards(up)))
    return float(_rounded(Decimal(repr(outcome.worst.observed)), up))


def _rounded(value: Decimal, up: bool) -> Decimal:
    return value.quantize(STEP, _towards(up)).normalize() + 0


def _towards(up: bool) -> str:
    return decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR


def _main_reason(folder: str) -> str:
    """What most documents of a release were dropped for; empty if none was."""
    dropped = {n: name for name, n in counts(read_metrics(folder)).items() if name.startswith("dropped.") and n}
    return dropped[max(dropped)].removeprefix("dropped.") if dropped else ""
