"""The last line of a release that was rejected: which expectation failed first, by how much, and what would mend it."""

import decimal
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from expectations.judge.verdict import Outcome, Verdict
from expectations.metrics import declared
from expectations.suite.suite import Suite, idle_limit, load_suite, presets
from expectations.wording import one_line
from pipeline.recipe import Recipe, load_recipe
from transforms.release.gate import NO_ITEMS, rules
from transforms.release.read_release import SUITE, read_metrics

# The numbers that a suite may name, and the keys of the recipe that they come from: `runner.suite_params`.
KEYS = {
    "max_synthetic_share": "ratio.max_synthetic_share",
    "max_bad_fraction": "ingest.max_bad_fraction",
    "max_source_loss": "dedup.max_source_loss",
}
_PARAMETER = re.compile(r"\((?:.*, )?\$(\w+)(?: \* ([0-9.]+))?\)$")
# Shares that a limit of the mixture can hold down, and what the limit is for each of.
CAPPED = {"source.max_share": "source", "language.max_share": "language", "generator.max_share": "generator"}
# What to do about a metric, by how its name and stage begin.
WAYS = {
    "ratio.dropped": "run again with --set ratio.on_shortage=shrink",
    "ratio.conflicts": "change one of the limits that are in conflict; `lowbackground plan` shows what each would give",
    "contamination.items": "run again with --set contamination.on_match=drop",
    "input.unread_files": "name what should be read as a source of its own (`sources`), or move it out of the folder",
    "input.": "repair what {where}/quarantine/ names, with the reason of each record",
    "documents before": "see with `lowbackground check` whether its path and its fields are right",
    "origin.scored_fraction": "declare `origin` of the sources that you know: what is declared needs no score",
    "origin.conflict": "look at {where}/review/queue.parquet; where the declaration is wrong, correct `origin` of the source",
    "duplicates.": "see with `lowbackground explain {where} --reason near_duplicate` what was dropped",
}
# More of these should be allowed only when it is known what they were.
LOSSES = ("input.", "duplicates.removed_fraction")
LONGEST_SIGNATURE = 2048  # of `dedup.bands` x `dedup.rows`
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
    dropped = dropped_by(read_metrics(folder).to_pylist())
    ways = [*_knobs(first, folder, recipe, dropped, command), *([_waiver(folder, own)] if is_own else [])]
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


def mends(outcome: Outcome, folder: str, recipe: Recipe, dropped: Mapping[str, float]) -> Iterator[str]:
    """What would mend an expectation that does not hold, the nearest first: keys of the recipe, and the suite's own limit.

    Args:
      outcome: what became of it.
      folder: of the release or of its rejection, as commands name it.
      recipe: that it was made by.
      dropped: documents by reason.
    """
    yield from _knobs(outcome, folder, recipe, dropped, "run")
    limit, side = limit_that_holds(outcome), "min" if outcome.max is None else "max"
    said = _PARAMETER.search(outcome.threshold) or limit is None or idle_limit(outcome.metric, side, limit, False)
    if outcome.status == "fail" and not said:
        yield f"or ask for less in the suite: it holds at `{side}: {limit:g}`"
    if outcome.slice_kind != "overall" and outcome.worst is not None and outcome.status == "fail":
        one = json.dumps(outcome.worst.slice, ensure_ascii=False)
        yield f"or answer for it in the suite: `waivers: [{{slice: {one}, who: NAME, why: REASON, until: DATE}}]`"


def _knobs(outcome: Outcome, folder: str, recipe: Recipe, dropped: Mapping[str, float], command: str) -> Iterator[str]:
    """What to turn, the nearest first."""
    where = shlex.quote(folder)
    limit = limit_that_holds(outcome)
    of_share = outcome.metric.startswith("synthetic_share.")
    # One source is no reason to allow the whole corpus more.
    for_whole = outcome.slice_kind == "overall" or not of_share
    most = max(dropped, key=lambda one: (dropped[one], one)) if dropped else ""
    of_metric = [*_of_metric(outcome, recipe, where, most)]
    is_loss = outcome.metric.startswith(LOSSES)
    if is_loss:
        yield from of_metric
    if (found := _PARAMETER.search(outcome.threshold)) and limit is not None and found[1] in KEYS and for_whole:
        value = _rounded(Decimal(repr(limit)) / Decimal(found[2] or 1), up=outcome.max is not None)
        if 0 <= value <= 1:
            yield f"{command} again with --set {KEYS[found[1]]}={value}"
    if of_share and for_whole and outcome.stage == "after" and outcome.max is not None:
        cut = f"run again with --set ratio.max_synthetic_share={outcome.max:g}, which drops what synthetic documents it can"
        cuts = [cut] if not found and outcome.max < recipe.ratio.max_synthetic_share else []
        declare = ["declare `origin` of the sources that you know"] if outcome.bound == "upper" else []
        # A bound above the limit with an estimate within it comes of what undeclared text may hide, and nothing else.
        hides = outcome.worst is not None and outcome.worst.value is not None and outcome.worst.value <= outcome.max
        yield from (*declare, *cuts) if hides else (*cuts, *declare)
    if not is_loss:
        yield from of_metric


def _of_metric(outcome: Outcome, recipe: Recipe, where: str, reason: str) -> Iterator[str]:
    """What to turn because of what was measured, whatever the limit. `reason`: what most were dropped for; or empty."""
    metric = outcome.metric
    dedup = recipe.dedup
    if metric in CAPPED and outcome.max is not None:
        cap = f"ratio.limits=[{{each: {CAPPED[metric]}, max: {outcome.max:g}}}]"
        yield f"run again with --set {shlex.quote(cap)}, which drops what is over it"
    elif metric == "duplicates.residual_rate" and 2 * dedup.num_perm <= LONGEST_SIGNATURE:
        yield f"run again with --set dedup.bands={2 * dedup.bands}, which compares more pairs"
    elif metric.startswith("paragraphs.") and not dedup.paragraphs.remove:
        yield "run again with --set dedup.paragraphs.remove=true"
    elif metric in ("documents", "tokens") and outcome.stage == "after" and reason:
        yield f"see with `lowbackground explain {where} --reason {reason}` what was dropped"
    else:
        known = (words for start, words in WAYS.items() if f"{metric} {outcome.stage}".startswith(start))
        yield from (words.format(where=where) for words in itertools.islice(known, 1))


def _waiver(folder: str, own: Suite) -> str:
    """How somebody answers for a release until a day; a suite of ours is copied first, for nobody can write into it."""
    copy = f"copy {shlex.quote(folder)}/{SUITE}, and " if own.suite in presets() else ""
    return f"{copy}waive it in the suite: waivers: [{{who: NAME, why: REASON, until: DATE}}]"


def limit_that_holds(outcome: Outcome) -> float | None:
    """The nearest round limit that what was seen would not break; None if nothing was seen, or it has two limits."""
    if outcome.worst is None or outcome.worst.observed is None or (outcome.min is None) == (outcome.max is None):
        return None
    up = outcome.max is not None
    if declared.find(outcome.metric).form == "count":
        return float(Decimal(repr(outcome.worst.observed)).to_integral_value(_towards(up)))
    return float(_rounded(Decimal(repr(outcome.worst.observed)), up))


def _rounded(value: Decimal, up: bool) -> Decimal:
    return value.quantize(STEP, _towards(up)).normalize() + 0


def _towards(up: bool) -> str:
    return decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR


def dropped_by(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Documents by the reason that they were dropped for, by the rows of METRICS; reasons without any are left out."""
    return {
        row["slice"]: row["value"]
        for row in rows
        if row["metric"] == "documents.dropped" and row["slice_kind"] == "reason" and row["value"]
    }
