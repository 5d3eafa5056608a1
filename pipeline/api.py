"""Low Background from Python: in a notebook, in a job of your own.

    from pipeline import api

    recipe = api.load("recipe.yaml", {"ratio.max_synthetic_share": 0.1})
    release = api.run(recipe)
    release.verdict.passed
    release.metrics().to_pandas()

A recipe is the same file that the command line takes; nothing can be said here that a recipe cannot say. Errors are those of the
command line, one sentence that says what, where and what to do: an `expectations.errors.UserError` is yours to mend, a
`BrokenError` is a run that broke.
"""

import dataclasses
import io
import os
import posixpath
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import yaml
from rich.console import Console

from expectations.judge.verdict import Verdict
from expectations.storage import arrow_paths
from pipeline import runner
from pipeline.commands.papers import write_asked
from pipeline.recipe import Recipe, load_recipe
from transforms.release.read_release import METRICS, QUARANTINE, ReleaseError, by_id, files_of, read_table, read_verdict


@dataclasses.dataclass(frozen=True)
class Release:
    """A release, or a rejection: what a run left in `folder`.

    A rejection has a verdict, metrics and a ledger, and no documents.
    """

    folder: str

    @property
    def verdict(self) -> Verdict:
        """Every expectation with its limit, what was measured, and whether it holds.

        Raises:
          ReleaseError: this is not a release, or it is damaged.
        """
        return read_verdict(self.folder)

    def metrics(self) -> pa.Table:
        """Every number in long form (docs/reference/metrics.md): `.to_pandas()` makes a frame of it."""
        return read_table(posixpath.join(self.folder, METRICS))

    def documents(self) -> ds.Dataset:
        """The released documents, as a dataset that is read by columns and in batches; DuckDB and Polars take it as it is.

        Raises:
          ReleaseError: it was rejected, so there are none.
        """
        return self._dataset("data", "was it rejected? Its verdict says why")

    def ledger(self) -> ds.Dataset:
        """One row for each input document: kept or not, stage, reason, survivor. Its `id` is that of `documents()`."""
        ledger = self._dataset("ledger", "it is no release")
        if "id" in ledger.schema.names:
            return ledger
        return ds.dataset(by_id(ledger.to_table()))  # of an earlier version: it is renamed in memory

    def quarantine(self) -> pa.Table:
        """Records that could not be read: where, why, and their first bytes."""
        tables = [read_table(path) for path in files_of(self.folder, QUARANTINE)]
        return pa.concat_tables(tables) if tables else pa.table({})

    def _dataset(self, name: str, hint: str) -> ds.Dataset:
        if not (paths := files_of(self.folder, name)):
            raise ReleaseError(f"{self.folder} has no {name}/; {hint}")
        system, at = arrow_paths(paths)
        return ds.dataset(at, format="parquet", filesystem=system)


def load(path: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe, with some of its keys changed, as `--set` does.

    Args:
      path: a YAML file; relative paths in it are relative to its folder.
      changes: dotted key -> value.

    Raises:
      RecipeError: it cannot be read, or says something that is not a recipe.
    """
    return load_recipe(
        path, [f"{key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in (changes or {}).items()]
    )


def run(recipe: Recipe, base_dir: str = ".", replace: bool = False, progress: bool = False) -> Release:
    """Run a recipe to its end.

    Args:
      recipe: what `load` gave.
      base_dir: folder that the paths of suites and structures are relative to.
      replace: a release of the same name.
      progress: show it on standard error.

    Returns:
      The release or, where the gate failed, the rejection: ask `.verdict.passed`.

    Raises:
      RecipeError, InputError, SuiteError and others of the command line: it cannot be run as it is.
      RunError: a worker failed.
    """
    console = Console(stderr=True) if progress else Console(file=io.StringIO())
    result = runner.run(recipe, runner.prepare(recipe, base_dir), console, replace)
    write_asked(recipe, result)
    return Release(result.folder)


def open_release(folder: str | os.PathLike[str]) -> Release:
    """What an earlier run left in a folder.

    Raises:
      ReleaseError: it is neither a release nor a rejection.
    """
    release = Release(os.fspath(folder))
    _ = release.verdict
    return release
