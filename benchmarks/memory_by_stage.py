"""What each stage of a run costs this machine: CPU seconds, how many cores could share them, and memory.

    python -m benchmarks.memory_by_stage OUT_DIR [--corpus CORPUS] [--copies 40000] [--json F]

CORPUS is a folder from `benchmarks.corpus`; `--copies` makes so many near copies of one text, which are one cluster, and half
as many. Each is run in a process of its own, on the local runner, which does one stage after the other. Of each stage it is
printed which CPU seconds all threads took, and which of them were taken alone, while no other thread of the run had work: those
it would last however many cores there are. For that Linux is asked every 20 ms which threads run or wait for a core, so it is
the same on a busy machine. Two cores then take half of the rest and all of that; what it comes to is said at the end. Memory is
the process's resident bytes before the stage, at its peak (looked at every 10 ms) and behind it. The last line is of the whole
process tree, Great Expectations' process among them, less what a run of next to nothing takes. Run anything before: what has to
be compiled is in no line of its own.
"""

import argparse
import contextlib
import hashlib
import json
import os
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

from benchmarks.run_vs_datatrove import measured
from expectations.judge import gx_process
from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.ingest.sources import SPLIT_BYTES

LEAST_SECONDS, LEAST_MB = 0.05, 8.0  # of a stage that has a line of its own


def resident() -> float:
    """MB of this process in memory."""
    return float(psutil.Process().memory_info().rss / 1e6)


Look = tuple[float, float, int]  # when, CPU seconds since the last one, threads that ran or waited for a core


def tasks_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The threads of a process and of those that it has begun, as folders of /proc."""
    with contextlib.suppress(OSError):  # it may end meanwhile
        for task in (folder / "task").iterdir():
            yield task
            for child in (task / "children").read_text().split():
                yield from tasks_below(pathlib.Path("/proc", child))


@contextlib.contextmanager
def looked_at(looks: list[Look]) -> Iterator[None]:
    """Note what the processes do that are begun in the block."""
    over, before = threading.Event(), dict[str, int]()
    own = {task.name for task in pathlib.Path("/proc/self/task").iterdir()}

    def look() -> None:
        own.add(str(threading.get_native_id()))
        while not over.wait(0.02):
            spent = running = 0
            for task in tasks_below(pathlib.Path("/proc", str(os.getpid()))):
                with contextlib.suppress(OSError):
                    if task.name not in own:
                        so_far = int((task / "schedstat").read_text().split()[0])  # nanoseconds
                        running += (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD"
                        spent += so_far - before.get(task.name, 0)
                        before[task.name] = so_far
            looks.append((time.monotonic(), spent / 1e9, running))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def with_alone(stages: list[dict[str, Any]], looks: list[Look]) -> list[dict[str, Any]]:
    """The stages, with the CPU seconds of each in which no other thread had work; and what was done outside of stages."""
    outside = {"stage": "outside of stages", "cpu": 0.0} | dict.fromkeys(("before", "peak", "after"), 0.0)
    rows = [*stages, outside]
    for row in rows:
        row["alone"] = 0.0
    for at, spent, running in looks:
        row = next((one for one in stages if one["begun"] <= at < one["begun"] + one["seconds"]), outside)
        row["alone"] += spent if running <= 1 else 0.0
        if row is outside:
            row["cpu"] += spent
    return rows


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
        cpu, begun, before = time.process_time(), time.monotonic(), resident()
        peak[0] = before
        result = below(self, context, bundle, data)
        rows.append(
            {
                "stage": name_of(bundle.stage),
                "begun": begun,
                "seconds": time.monotonic() - begun,
                "cpu": time.process_time() - cpu,
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


def alone(folder: pathlib.Path) -> None:
    """A run of the recipe in a folder, in this process; its stages go to a file beside it."""
    recipe = load_recipe(str(folder / "recipe.yaml"))
    gx_process.start()
    job = runner.prepare(recipe, str(folder))
    rows: list[dict[str, Any]] = []
    with watched(rows):
        result = runner.run(recipe, job, Console(file=sys.stderr))
    found = {"documents": result.counts["documents_in"], "splits": len(job.splits), "stages": rows}
    (folder / "stages.json").write_text(json.dumps(found))


def one(files: list[pathlib.Path], folder: pathlib.Path, split_bytes: int = SPLIT_BYTES) -> dict[str, Any]:
    """Run some files as the command line does: what `alone` found, and the peak of the process tree in MB."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(json.dumps({
        "release": "memory",
        "sources": [{"name": "corpus", "path": [str(path.absolute()) for path in files]}],
        "ingest": {"split_bytes": split_bytes},
        "ratio": {"max_synthetic_share": 1.0},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": str((folder / "out").absolute())},
    }))  # fmt: skip
    # `pipeline/heap.py` does this first of all, which is too late here.
    heap = ["env", "MALLOC_ARENA_MAX=1", "ARROW_DEFAULT_MEMORY_POOL=system"]
    command = [*heap, sys.executable, "-m", "benchmarks.memory_by_stage", "--alone", str(folder.absolute())]
    looks: list[Look] = []
    with looked_at(looks):
        run = measured(command, pathlib.Path.cwd(), folder / "run.log")
    found = json.loads((folder / "stages.json").read_text())
    return found | {"peak": run.peak / 1e6, "stages": with_alone(found["stages"], looks)}  # type: ignore[no-any-return]


def copies(folder: pathlib.Path, documents: int, files: int = 4) -> list[pathlib.Path]:
    """Near copies of one text of 300 words, three of which are others in each."""
    folder.mkdir(parents=True)

    def number(*of: int) -> int:
        return int.from_bytes(hashlib.blake2b(repr(of).encode(), digest_size=8).digest(), "big")

    words = [f"w{number(at) % 5000}" for at in range(300)]
    paths = [folder / f"part-{file:03d}.jsonl" for file in range(files)]
    for file, path in enumerate(paths):
        with path.open("w") as lines:
            for document in range(file, documents, files):
                own = words.copy()
                for change in range(3):
                    own[number(document, change) % 300] = f"n{number(document, change, 1)}"
                lines.write(json.dumps({"id": str(document), "text": " ".join(own)}) + "\n")
    return paths


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines: the stages in their order; those that take next to nothing together."""
    yield "| stage | CPU s | alone | MB before | peak | after |"
    yield "|---|--:|--:|--:|--:|--:|"
    rest = [0.0, 0.0]
    for row in rows:
        if row["cpu"] < LEAST_SECONDS and row["peak"] - row["before"] < LEAST_MB:
            rest = [rest[0] + row["cpu"], rest[1] + row["alone"]]
            continue
        memory = " | ".join(f"{row[when]:,.0f}" for when in ("before", "peak", "after"))
        yield f"| {row['stage']} | {row['cpu']:.2f} | {row['alone']:.2f} | {memory} |"
    yield f"| all others | {rest[0]:.2f} | {rest[1]:.2f} | | | |"
    cpu, alone = (sum(row[name] for row in rows) for name in ("cpu", "alone"))
    yield f"| **all** | {cpu:.2f} | {alone:.2f} | | | |"
    two, eight = (cpu / (alone + (cpu - alone) / cores) for cores in (2, 8))
    yield f"two cores would be {two:.2f} times as fast as one, eight {eight:.2f}"


def said(name: str, run: dict[str, Any], base: dict[str, Any]) -> str:
    """One line: how large a run was, and what a document of it took."""
    above = 1e6 * (run["peak"] - base["peak"]) / max(1, run["documents"] - base["documents"])
    size = f"{run['documents']:,} documents, peak {run['peak']:,.0f} MB"
    return f"{name}: {size}, {above:,.0f} bytes a document above {base['peak']:,.0f} MB"


def main() -> None:
    """Run on the command line."""
    if sys.argv[1:2] == ["--alone"]:
        alone(pathlib.Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--corpus", type=pathlib.Path)
    parser.add_argument("--split-bytes", type=int, default=SPLIT_BYTES, help="of the corpus: few of them, many splits")
    parser.add_argument("--copies", type=int, help="near copies in one cluster")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    asked = parser.parse_args()
    few = copies(asked.output / "few", 160)
    runs = {"base": one(few, asked.output / "base")}
    if asked.corpus:
        runs["corpus"] = one(sorted(asked.corpus.glob("part-*")), asked.output / "corpus", asked.split_bytes)
        print(*table(runs["corpus"]["stages"]), sep="\n")
        print(said("corpus", runs["corpus"], runs["base"]))
    if asked.copies:
        half, whole = (
            one(copies(asked.output / f"{n}", n), asked.output / f"{n} copies")
            for n in (asked.copies // 2, asked.copies)
        )
        print(*table(whole["stages"]), sep="\n")
        print(said("near copies", whole, runs["base"]))
        print(said("near copies, the second half", whole, half))
        runs |= {"half": half, "copies": whole}
    if asked.json:
        asked.json.write_text(json.dumps(runs))


if __name__ == "__main__":
    main()
