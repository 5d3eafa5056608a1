"""What a person can do where a mixture is not what was asked, or leaves undeclared text out; and the audit, to copy."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from expectations.wording import plural
from pipeline.recipe import Recipe
from transforms.mixture.ways_out import BY_SCORE


def refused(refusal: str, ways: Sequence[str]) -> Iterator[str]:
    """Which limits cannot be kept, and one line for each change that would do."""
    asked, _, _ = refusal.partition(" Any one of these would do: ")
    yield f"The mixture is not what was asked: {asked}"
    if ways:
        yield "Any one of these would do:"
        yield from (f"  - {words}" for words in ways)


def left_out(ways: Sequence[str]) -> Iterator[str]:
    """That undeclared text was left out for what it may hide, and what would keep it in."""
    yield "Undeclared text is left out for what it may hide, by score from the top. Any one of these would keep it in:"
    yield from (f"  - {words}" for words in ways)


def audit(recipe: Recipe, path: str, way: Mapping[str, Any]) -> Iterator[str]:
    """The commands from a release to label to its verdict, to copy.

    Args:
      recipe: of the run.
      path: the recipe's file.
      way: the row of METRICS: how many documents are to be labelled, and the limit of their synthetic share to certify.
    """
    labels, limit, by = int(way["value"]), way["upper"], recipe.ratio.unit
    name, share = f"{recipe.release}-to-label", f"ratio.max_synthetic_share={recipe.ratio.max_synthetic_share:g}"
    anything = "ratio.max_synthetic_share=1"
    if recipe.ratio.real_to_synthetic is not None:
        share, anything = f'ratio.real_to_synthetic="{recipe.ratio.real_to_synthetic}"', 'ratio.real_to_synthetic="0:1"'
    release = f"{recipe.output.path.rstrip('/')}/{name}"
    yield f"To settle it with {plural(labels, 'label')}: make a release of everything, label some of it, and judge that release"
    yield "by the certificate instead of the detector's bound:"
    sample = ["audit", "sample", release, "-o", "sample.parquet", "--by", by, "--n", str(labels)]
    by_score = ["--by-score"] if way["slice"] == f"audit/{BY_SCORE}" else []
    commands = (
        ["run", path, "--set", f"release={name}", "--set", anything],
        [*sample, *by_score, "--active", "0"],
        ["review", "serve", "sample.parquet", "--labels", "labels.jsonl"],
        ["audit", "certify", "sample.parquet", "labels.jsonl", "--limit", f"{limit:g}"],
        ["gate", release, "--audit", "certificate.json", "--set", share],
    )
    for command in commands:
        yield f"  lowbackground {shlex.join(command)}"


def of_metrics(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of METRICS that hold what would do."""
    return [row for row in rows if row["metric"] == "ratio.way_out"]
