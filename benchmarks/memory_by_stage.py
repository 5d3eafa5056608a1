"""What each stage of a run costs this machine: CPU seconds, how many cores could share them, and memory.

    python -m benchmarks.memory_by_stage CORPUS OUT_DIR [--json F]

CORPUS is a folder from `benchmarks.corpus`. The run is the product's own on the local runner, which does one stage after the
other. Of each stage it is printed which CPU seconds all threads took and which the busiest thread: by those the stage would last
however many cores there are. Memory is this process's resident bytes before the stage, at its peak (looked at every 10 ms) and
behind it. Great Expectations' process and what both start with are printed before and after the table.
"""

import argparse
import contextlib
import json
import pathlib
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import psutil
from apache_beam.runners.portability.fn_api_runner import fn_runner
from rich.console import Console

from expectations.judge import gx_process
from pipeline import runner
from pipeline.recipe import load_recipe

LEAST_SECONDS, LEAST_MB = 0.05, 8.0  # of a stage that has a line of its own


def resident() -> float:
    """MB of this process in memory."""
    return psutil.Process().memory_info().rss / 1e6


def by_thread() -> dict[int, float]:
    """CPU seconds of each thread so far."""
    return {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}


def name_of(stage: Any) -> str:
    """The steps of a fused stage that are ours, the first two parts of each name."""
    steps = [re.sub(r"/(Send\d*|Arrive|Count)\b.*", "", one.unique_name) for one in stage.transforms]
    parts = ["/".join(step.split("/")[:2]) for step in steps if not step.startswith("ref_")]
    return " ".join(dict.fromkeys(part for part in parts if part)) or stage.name


@contextlib.contextmanager
def watched(rows: list[dict[str, Any]]) -> Iterator[None]:
    """Note each bundle of the local runner that runs in the block."""
    below = fn_runner.FnApiRunner._execute_bundle
    peak = [0.0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], resident())

    def execute(self: Any, context: Any, bundle: Any, data: Any) -> Any:
        threads, cpu, start, before = by_thread(), time.process_time(), time.perf_counter(), resident()
        peak[0] = before
        result = below(self, context, bundle, data)
        after = by_thread()
        spent = time.process_time() - cpu
        rows.append(
            {
                "stage": name_of(bundle.stage),
                "seconds": time.perf_counter() - start,
                "cpu": spent,
                "busiest": max(after[one] - threads.get(one, 0.0) for one in after),
                "before": before,
                "peak": max(peak[0], resident()),
                "after": resident(),
            }
        )
        return result

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        with mock.patch.object(fn_runner.FnApiRunner, "_execute_bundle", execute):
            yield
    finally:
        over.set()
        thread.join()


def measured(files: list[pathlib.Path], folder: pathlib.Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """One run over some files: its stages, and how large it was."""
    folder.mkdir(parents=True)
    recipe_path = folder / "recipe.yaml"
    recipe_path.write_text(json.dumps({
        "release": "memory",
        "sources": [{"name": "corpus", "path": [str(path.absolute()) for path in files]}],
        "ratio": {"max_synthetic_share": 1.0},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": "out"},
    }))  # fmt: skip
    recipe = load_recipe(str(recipe_path))
    gx_process.start()
    job = runner.prepare(recipe, str(folder))
    rows: list[dict[str, Any]] = []
    base, start = resident(), time.process_time()
    with watched(rows):
        result = runner.run(recipe, job, Console(file=sys.stderr))
    about = {
        "documents": result.counts["documents_in"],
        "base": base,
        "cpu": time.process_time() - start,
        "splits": len(job.splits),
    }
    return rows, about


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines: the stages in their order; those that take next to nothing together."""
    yield "| stage | CPU s | busiest thread | MB before | peak | after |"
    yield "|---|--:|--:|--:|--:|--:|"
    rest = [0.0, 0.0]
    for row in rows:
        if row["cpu"] < LEAST_SECONDS and row["peak"] - row["before"] < LEAST_MB:
            rest = [rest[0] + row["cpu"], rest[1] + row["busiest"]]
            continue
        memory = " | ".join(f"{row[when]:,.0f}" for when in ("before", "peak", "after"))
        yield f"| {row['stage']} | {row['cpu']:.2f} | {row['busiest']:.2f} | {memory} |"
    yield f"| all others | {rest[0]:.2f} | {rest[1]:.2f} | | | |"
    yield f"| **all** | {sum(r['cpu'] for r in rows):.2f} | {sum(r['busiest'] for r in rows):.2f} | | | |"


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--files", type=int, help="only so many files")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    asked = parser.parse_args()
    files = sorted(asked.corpus.glob("part-*"))[: asked.files]
    rows, about = measured(files, asked.output)
    print(json.dumps(about))
    for line in table(rows):
        print(line)
    if asked.json:
        asked.json.write_text(json.dumps({"about": about, "stages": rows}))


if __name__ == "__main__":
    main()
