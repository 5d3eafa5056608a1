"""What a document costs an engine: bytes read, shuffled and written, by step, counted in two runs of the real graph.

    python -m benchmarks.engine_costs CORPUS OUT_DIR

CORPUS is a folder from `benchmarks.corpus`. One run reads half of its files, another all, and what is printed is the difference
of the two by the difference of their documents: what a document more costs, without what any run costs. Reads of the signal
store are the stored bytes of the columns that a step asks for. docs/scale.md counts with this table.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor as Pool
from typing import Any
from unittest import mock

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.runners.portability.fn_api_runner import execution
from rich.console import Console

from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.engine import files
from transforms.signals import store
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore

Costs = collections.Counter[tuple[str, str]]  # by (kind, step)
LOCK = threading.Lock()
HELPS = threading.local()  # `step`: whose work a thread of a pool does
KINDS = ("text read", "signals read", "shuffled", "spooled", "written")


def step() -> str:
    """The step whose work this is, by the stack of this thread, or of the one that gave it the work."""
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, (beam.DoFn, beam.CombineFn)) and type(owner).__module__.split(".")[0] in (
            "transforms",
            "pipeline",
        ):
            return type(owner).__name__.strip("_")
        frame = frame.f_back  # type: ignore[assignment]
    return getattr(HELPS, "step", "the launcher")


def stored(path: str, columns: list[str] | None) -> int:
    """Bytes in storage of some columns of a Parquet file."""
    footer = pq.read_metadata(path)
    chunks = (footer.row_group(i).column(j) for i in range(footer.num_row_groups) for j in range(footer.num_columns))
    wanted = None if columns is None else set(columns)
    return sum(c.total_compressed_size for c in chunks if wanted is None or c.path_in_schema.split(".")[0] in wanted)


def count(found: Costs, kind: str, where: str, size: int) -> None:
    """Add to a cost. Steps work on several threads."""
    with LOCK:
        found[kind, where] += size


def helping(submit: Callable[..., Any]) -> Callable[..., Any]:
    """A pool's `submit` whose thread knows for whom it works."""

    def given(pool: Pool, work: Callable[..., Any], *words: Any, **named: Any) -> Any:
        where = step()

        def helped() -> Any:
            HELPS.step = where
            return work(*words, **named)

        return submit(pool, helped)

    return given


@contextlib.contextmanager
def counting(found: Costs) -> Iterator[None]:
    """Count what the run in the block reads, shuffles and writes."""
    read, read_text, replace, place = SignalStore.read, Corpus.read, os.replace, files.second_name
    read_whole, get_buffer = store.read_parquet, execution.BundleContextManager.get_buffer
    list_append, group_append = execution.ListBuffer.append, execution.GroupingBuffer.append

    def signals(self: SignalStore, split: Any, columns: list[str]) -> Any:
        count(found, "signals read", step(), stored(self.path(split), columns))
        return read(self, split, columns)

    def whole(path: str, columns: list[str] | None = None) -> Any:
        count(found, "signals read", step(), stored(path, columns))
        return read_whole(path, columns)

    def text(self: Corpus, split: Any, keep: tuple[str, ...] = ()) -> Any:
        count(found, "text read", step(), split.n_bytes)
        return read_text(self, split, keep)

    def rename(source: str, destination: str) -> None:
        count(found, "written", step(), os.path.getsize(source))
        replace(source, destination)

    def copy(source: str, destination: str) -> None:
        count(found, "written", "PublishRelease", os.path.getsize(source))  # in an object store it is a copy
        place(source, destination)

    def buffer(self: Any, buffer_id: bytes, transform_id: str) -> Any:
        made = get_buffer(self, buffer_id, transform_id)
        made.named = buffer_id.decode()
        return made

    def append(below: Any) -> Any:
        def counted(self: Any, data: bytes) -> None:
            kind, _, name = getattr(self, "named", "other:").partition(":")
            where = re.sub(r"^ref_AppliedPTransform_|(-ReshufflePerKey)?-Group(ByKey)?_\d+$|_\d+$", "", name)
            where = "what waits for side inputs" if where.startswith("ref_PCollection") else where
            count(found, "shuffled" if kind == "group" else "spooled", where, len(data))
            below(self, data)

        return counted

    with contextlib.ExitStack() as patches:
        for owner, name, new in (
            (SignalStore, "read", signals), (Corpus, "read", text), (os, "replace", rename), (files, "second_name", copy),
            (Pool, "submit", helping(Pool.submit)),
            (execution.BundleContextManager, "get_buffer", buffer),
            (execution.ListBuffer, "append", append(list_append)),
            (execution.GroupingBuffer, "append", append(group_append)),
        ):  # fmt: skip
            patches.enter_context(mock.patch.object(owner, name, new))
        for module in [m for n, m in sys.modules.items() if n.startswith("transforms.")]:
            if getattr(module, "read_parquet", None) is read_whole:
                patches.enter_context(mock.patch.object(module, "read_parquet", whole))
        yield


def measured(inputs: list[pathlib.Path], folder: pathlib.Path) -> tuple[Costs, dict[str, float]]:
    """One run over some files: its costs, and how large it was."""
    folder.mkdir(parents=True)
    recipe_path = folder / "recipe.yaml"
    recipe_path.write_text(json.dumps({
        "release": "costs",
        "sources": [{"name": "corpus", "path": [str(path.absolute()) for path in inputs]}],
        "ratio": {"max_synthetic_share": 1.0},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": "out"},
        "runner": {"workers": 1},
    }))  # fmt: skip
    recipe = load_recipe(str(recipe_path))
    job = runner.prepare(recipe, str(folder))
    found: Costs = collections.Counter()
    start = time.process_time()
    with counting(found):
        result = runner.run(recipe, job, Console(file=sys.stderr))
    about = {
        "documents": result.counts["documents_in"],
        "kept": result.counts["kept"],
        "splits": len(job.splits),
        "input bytes": sum(split.n_bytes for split in job.splits),
        "cpu seconds": time.process_time() - start,
    }
    return found, about


def table(half: tuple[Costs, dict[str, float]], whole: tuple[Costs, dict[str, float]]) -> Iterator[str]:
    """Lines: bytes a document by kind and step, those of a tenth of a byte or more; and the sums."""
    more = {name: whole[1][name] - half[1][name] for name in whole[1]}
    documents = more["documents"]
    yield f"{documents:,.0f} documents more, of {more['input bytes'] / documents:,.0f} bytes each in storage"
    yield f"{more['kept'] / documents:.1%} of them kept; {1e6 * more['cpu seconds'] / documents:,.0f} CPU microseconds each"
    yield ""
    yield "| what | step | bytes a document |"
    yield "|---|---|--:|"
    for kind in KINDS:
        rows = {name: (whole[0][k, name] - half[0][k, name]) / documents for k, name in whole[0] if k == kind}
        for name, size in sorted(rows.items(), key=lambda row: -row[1]):
            if size >= 0.1:
                yield f"| {kind} | {name} | {size:,.1f} |"
        yield f"| {kind} | **all** | {sum(rows.values()):,.1f} |"


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    asked = parser.parse_args()
    parts = sorted(asked.corpus.glob("part-*"))
    measured(parts[:1], asked.output / "warm")  # kernels are compiled, models loaded
    half = measured(parts[: len(parts) // 2], asked.output / "half")
    whole = measured(parts, asked.output / "whole")
    for line in table(half, whole):
        print(line)


if __name__ == "__main__":
    main()
