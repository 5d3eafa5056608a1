"""`gate`: judge a release again, on its own metrics, without the corpus."""

import os
import posixpath
from collections.abc import Sequence

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from expectations.structures import load_systems
from expectations.suite import load_suite
from expectations.verdict import Verdict, judge
from pipeline.publish import STRUCTURES, SUITE
from pipeline.recipe import RecipeError, load_recipe
from pipeline.runner import exit_code, read_metrics, suite_params
from transforms.gate import with_rules


def judge_again(release: str, suite: str | None, overrides: Sequence[str]) -> tuple[Verdict, int]:
    """The verdict of a suite on a release that is there already, and its exit code.

    Args:
      release: folder of a release or a rejection.
      suite: a preset or a YAML file, from the current folder; None: the one that the release was judged by.
      overrides: changes to the release's recipe, such as `ratio.max_synthetic_share=0.1`.

    Raises:
      RecipeError, SuiteError: there is no release, or the suite is wrong.
    """
    path = posixpath.join(release, "recipe.yaml")
    if not FileSystems.exists(path):
        raise RecipeError(f"{release}: no release there (it has no recipe.yaml)")
    recipe = load_recipe(path, overrides)
    loaded = load_suite(suite, os.getcwd()) if suite else load_suite(SUITE, release)
    # As they were, whatever their files say by now: the metrics are of those.
    systems = load_systems([STRUCTURES], release) if recipe.structures else ()
    metrics = pa.Table.from_batches([read_metrics(release)])
    verdict = judge(
        metrics,
        with_rules(loaded, recipe.ratio.on_shortage == "fail", recipe.dedup.on_source_loss == "fail", systems),
        suite_params(recipe),
    )
    return verdict, exit_code(verdict)
