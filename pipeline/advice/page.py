"""What the report is told of a run: its numbers, and all that the terminal says, in the words that it says it in."""

import dataclasses
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import yaml

from expectations.judge.verdict import Verdict
from pipeline.advice.remarks import hint, remarks
from pipeline.advice.remedy import dropped_by, mends
from pipeline.recipe import Recipe, RecipeError, parse_recipe
from transforms.ingest.sources import InputError, Split

_SET = re.compile(r"run again with (--set (?:'[^']*'|[^ ,;]+))")
RECIPE = "recipe.yaml"  # in a release, and the copy of it that commands on the page are about


@dataclasses.dataclass(frozen=True)
class Told:
    """What is known of a release that its metrics and its verdict do not say.

    Attributes:
      recipe: that it was made by, resolved, as YAML; empty: not known.
      release: its name.
      about: what the manifest says: `versions`, `inputs`, `limit`.
      structures: systems of structures as YAML; empty: there are none.
      files: path of each, and what it is.
      quarantine: examples: path, row, reason, detail.
      examples: of dropped documents, as `advice/examples.py` gives them.
      splits: of the run's plan.
    """

    recipe: str
    release: str
    about: Mapping[str, Any]
    structures: str
    files: Sequence[tuple[str, str]]
    quarantine: Sequence[Mapping[str, Any]]
    examples: Sequence[Mapping[str, Any]] = ()
    splits: Sequence[Split] = ()


def report_input(told: Told, verdict: Verdict, metrics: pa.RecordBatch) -> dict[str, Any]:
    """What `expectations.report.report.render` shows."""
    rows = metrics.to_pylist()
    sizes = {int(r["slice"]): int(r["value"]) for r in rows if r["slice_kind"] == "cluster_size"}
    notes = {r["note"] for r in rows if r["metric"] == "synthetic_share.tokens" and r["note"]}
    return {
        "release": told.release,
        "verdict": orjson.loads(verdict.to_json()),
        "metrics": rows,
        "quarantine": list(told.quarantine),
        "recipe": told.recipe,
        "versions": told.about["versions"],
        "inputs": told.about["inputs"],
        "files": [{"path": path, "what": what} for path, what in told.files],
        "assumptions": sorted({part for note in notes for part in note.split(": ", 1)[-1].split("; ")}),
        "limit": told.about["limit"],
        "clusters": {"size_counts": sizes},
        "systems": (yaml.safe_load(told.structures) or {}).get("systems", []) if told.structures else [],
        "examples": list(told.examples),
        **(_by_recipe(told, verdict, rows) if told.recipe else {}),
    }


def _by_recipe(told: Told, verdict: Verdict, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What takes the recipe to say: remarks, ways out, what would mend each expectation, and commands to copy."""
    try:
        recipe = parse_recipe(told.recipe, RECIPE)
    except (
        RecipeError
    ):  # an older version's, or one that takes this machine's environment: the page has the numbers all the same
        return {}
    folder = posixpath.join(recipe.output.path, told.release + ("" if verdict.passed else ".rejected"))
    asked = {
        one.key: [*mends(one, folder, recipe, dropped_by(rows))] for one in verdict.expectations if one.status != "pass"
    }
    decide = [way for one in verdict.expectations if one.rejects for way in asked[one.key]]
    keys = dict.fromkeys(found[1] for way in decide if (found := _SET.match(way)))
    return {
        "folder": folder,
        "remarks": joined(_remarks(rows, recipe, told.splits)),
        "help": joined(hint(rows, verdict, recipe, RECIPE)),
        "mends": asked,
        "commands": [*_commands(folder, verdict, rows, told.examples, keys)],
    }


def _remarks(rows: Sequence[Mapping[str, Any]], recipe: Recipe, splits: Sequence[Split]) -> list[str]:
    try:
        return [*remarks(rows, recipe, splits)]
    except (InputError, OSError, pa.ArrowException):  # an input that is gone since is no reason to lose a release
        return [*remarks(rows, recipe.model_copy(update={"sources": ()}))]


def joined(lines: Iterable[str]) -> list[str]:
    """Lines of which those that begin with two spaces go on from the one before, unless they are items or commands."""
    found: list[str] = []
    for line in lines:
        text = line.strip()
        goes_on = line.startswith("  ") and not text.startswith(("- ", "lowbackground "))
        if goes_on and found:
            found[-1] += f" {text}"
        elif text:
            found.append(text)
    return found


def _commands(
    folder: str,
    verdict: Verdict,
    rows: Sequence[Mapping[str, Any]],
    examples: Sequence[Mapping[str, Any]],
    keys: Iterable[str],
) -> Iterable[tuple[str, str]]:
    """(what it is for, the command): they run in the folder that the run was started in, of a rejection as of a release."""
    where = shlex.quote(folder)
    dropped = dropped_by(rows)
    if not verdict.passed:
        yield "Take the recipe as it was run, to change it and run it again", f"cp {where}/{RECIPE} {RECIPE}"
        yield "Run it again, changed", f"lowbackground run {RECIPE}{''.join(f' {key}' for key in keys)}"
        yield "Judge it by another suite", f"lowbackground gate {where} --suite mixed"
    else:
        yield "Check that every byte is as it was published", f"lowbackground verify {where}"
    if dropped:
        reason = max(dropped, key=lambda one: (dropped[one], one))
        yield "See what was dropped, by reason", f"lowbackground explain {where} --reason {reason}"
    doc_id = examples[0]["id"] if examples else "DOC_ID"
    yield "See why one document was kept or dropped, by its id", f"lowbackground explain {where} {shlex.quote(doc_id)}"
    if verdict.passed:
        yield "Hold it against an earlier release", f"lowbackground diff OLD {where}"
