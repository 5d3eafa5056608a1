"""Engines against storage: who starts, ends, gives the same bytes, survives what befalls it, and for how much CPU.

    python -m benchmarks.engines CORPUS OUT_DIR [--engine NAME ...] [--store disk s3] [--kill [STEP ...]]

CORPUS is a folder from `benchmarks.corpus`. Every run is a command of its own; its CPU seconds are those of all its processes,
of the engine and of workers elsewhere too. Bytes are the same if every file of the release is that of the first engine and
storage, but for those that name the runner, and for the place of the input in the ledger's paths. What befalls it: on this
machine the command is killed while it is at work, on Prism with LOOPBACK workers the engine.
It has survived if it ended in time with exit code 4 and one line, nothing was released, no process stayed, and the next run
gives the same bytes. Prism is needed (tests/workers.py), and `moto` for s3.

`--kill` prints a table of its own: on Prism, with all kinds of dedup and labels in parts, the one worker elsewhere is killed
after each step of the graph (or after those that are named), each time in a run from nothing; the next run is local.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import engines, runner
from pipeline.graph import build
from pipeline.recipe import load_recipe
from tests.stores import s3_server
from tests.workers import ROOT, environment, prism, prisms_of, seen, worker_pool
from transforms.engine import files
from transforms.engine.job_graph import JobGraph

NAMES_THE_RUNNER = ("recipe.yaml", "report/index.html")
BOUND = 1800  # seconds that a run with a fault may take, on a machine that is busy
EVERYTHING = {
    "dedup": {"paragraphs": {"remove": True}, "verify": "exact", "url": True}, "runner": {"dedup_parts": 2},
    "evidence": {"queue": 5},
}  # fmt: skip
LAUNCH = """
import sys
from pipeline.cli import main
from tests.workers import spread_over
with spread_over(int(sys.argv.pop(1))):
    main()
"""


@dataclasses.dataclass(frozen=True)
class Engine:
    """One way to run the graph: a runner, and how many worker processes elsewhere it has."""

    runner: str
    options: tuple[str, ...] = ()
    workers: int | None = None
    elsewhere: int = 0


ENGINES = {
    "local": Engine("FnApiRunner", workers=1),
    "local, 2 tasks": Engine("FnApiRunner", workers=2),
    "local, 2 processes": Engine("FnApiRunner", ("--direct_running_mode=multi_processing", "--direct_num_workers=2")),
    "Prism, LOOPBACK": Engine("PrismRunner"),
    "Prism, 1 elsewhere": Engine("PrismRunner", elsewhere=1),
    "Prism, 2 elsewhere": Engine("PrismRunner", elsewhere=2),
    "Prism, 4 elsewhere": Engine("PrismRunner", elsewhere=4),
}


@dataclasses.dataclass
class Ran:
    """What came of a command."""

    code: int
    said: str
    cpu: float
    seconds: float
    orphans: int


def cpu_of_children() -> float:
    """CPU seconds of all that this process has started: of those that have ended, and of those still there."""
    done = os.times()
    alive = [sum(times[:4]) for _, times in seen(psutil.Process.cpu_times)]
    return done.children_user + done.children_system + sum(alive)


@contextlib.contextmanager
def elsewhere(engine: Engine, folder: pathlib.Path, dies_after: str | None) -> Iterator[tuple[str, ...]]:
    """The options of an engine, while its workers are there."""
    options = (*engine.options, *([f"--prism_location={prism()}"] if engine.runner == "PrismRunner" else []))
    if not engine.elsewhere:
        yield options
        return
    with worker_pool(folder, dies_after) as address:
        yield (*options, "--environment_type=EXTERNAL", f"--environment_config={address}")


def at_work(recipe: str) -> bool:
    """Whether the job of a recipe of this machine, of which nothing was kept, has written the signals of a split."""
    return any(pathlib.Path(recipe).parent.glob("out/.signals/*.parquet"))


def run(engine: Engine, recipe: str, pools: pathlib.Path, dies_after: str | None = None, killed: str = "") -> Ran:
    """One run as a command; `killed` names the process that is killed when the job is at work."""
    pool = pools / f"pool-{time.monotonic_ns()}"
    before, begun = cpu_of_children(), time.monotonic()
    with elsewhere(engine, pool, dies_after) as options:
        changes = [f"runner.name={engine.runner}", f"runner.options={json.dumps(options)}"]
        changes += [f"runner.workers={engine.workers}"] if engine.workers else []
        words = [word for change in changes for word in ("--set", change)]
        command = [sys.executable, "-c", LAUNCH, str(max(engine.elsewhere, 1)), "run", recipe, "--replace", *words]
        its = environment(PYTHONPATH=str(ROOT))
        job = subprocess.Popen(command, env=its, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if killed:
            while not at_work(recipe) and job.poll() is None and time.monotonic() < begun + BOUND:
                time.sleep(0.01)  # an engine that dies before it has a job is started again by Beam
            for one in [psutil.Process(job.pid)] if killed == "command" else prisms_of(job.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        try:
            said = job.communicate(timeout=BOUND)[1]
        except subprocess.TimeoutExpired:
            job.kill()
            said = f"not at its end after {BOUND} s"
        seconds, orphans = time.monotonic() - begun, len(prisms_of(os.getpid()))
        cpu = cpu_of_children() - before
    return Ran(job.returncode, said.strip(), cpu, seconds, orphans)


def bytes_of(recipe: str) -> dict[str, str]:
    """The checksum of every file of a recipe's release, but for those that name its runner, or where its input lies.

    The ledger says of each document which file it is from: its bytes are those of what it says with the place left out.
    """
    folder = recipe.rpartition("/")[0]
    release = f"{folder}/out/bench"
    manifest = json.loads(files.read(f"{release}/MANIFEST.json"))
    found = {one["path"]: one["sha256"] for one in manifest["files"] if one["path"] not in NAMES_THE_RUNNER}
    for name in [name for name in found if name.startswith("ledger/")]:
        ledger = pq.read_table(pa.BufferReader(files.read(f"{release}/{name}")))
        at = ledger.schema.get_field_index("path")
        paths = pc.replace_substring(ledger["path"].cast(pa.string()), folder.rpartition("/")[0], "")
        plain, sink = ledger.set_column(at, "path", paths).combine_chunks(), pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, plain.schema) as writer:
            writer.write_table(plain)
        found[name] = hashlib.sha256(sink.getvalue()).hexdigest()
    return found


def recipe_in(place: str, name: str, **more: object) -> str:
    """Write a recipe beside a corpus, with paths that are relative: it is the same wherever it lies. Returns its path."""
    recipe = f"{place}/{name}/recipe.yaml"
    said = {
        "release": "bench", "sources": [{"name": "corpus", "path": "../in/part-*"}], "ratio": {"max_synthetic_share": 1.0},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": "out"}, **more,
    }  # fmt: skip
    files.write(recipe, json.dumps(said).encode())
    return recipe


def faults(engine: Engine, recipe: str, pools: pathlib.Path, same: dict[str, str]) -> str:
    """Whether a run from nothing survives that its command, or its engine, is killed; and what it said, if not."""
    if engine.elsewhere:
        return ""
    one = run(engine, recipe, pools, killed="engine" if prism_of(engine) else "command")
    if has_survived(one, engine, recipe, run(engine, recipe, pools), same):
        return "yes"
    return f"NO: exit code {one.code}, {one.said[-200:]}"


def steps_of(recipe: str) -> list[str]:
    """The steps of a recipe's graph, in their order: a stage that is new is among them."""
    loaded = load_recipe(recipe)
    root = JobGraph(options=engines.options(loaded, 1))
    build(root, runner.prepare(loaded, os.path.dirname(recipe)))
    return [one.full_label for one in root.transforms_stack[0].parts]


def deaths(place: str, pools: pathlib.Path, asked: list[str]) -> Iterator[list[str]]:
    """By step of the graph: how a run ends whose worker is killed after it, and whether that does no harm."""
    local, engine, recipe = ENGINES["local"], ENGINES["Prism, 1 elsewhere"], recipe_in(place, "unharmed", **EVERYTHING)
    steps = asked or steps_of(recipe)
    first = run(local, recipe, pools)
    if first.code != 0:
        raise SystemExit(first.said)
    same = bytes_of(recipe)
    for step in steps:
        recipe = recipe_in(place, f"after-{step}", **EVERYTHING)
        one = run(engine, recipe, pools, dies_after=step)
        released = files.exists(f"{os.path.dirname(recipe)}/out/bench")
        survived = not released and has_survived(one, engine, recipe, run(local, recipe, pools), same)
        yield [step, str(one.code), f"{one.seconds:.0f}", "yes" if survived else f"NO: {one.said[-200:]}"]


def has_survived(one: Ran, engine: Engine, recipe: str, again: Ran, same: dict[str, str]) -> bool:
    """Whether a run that met with a fault ended as it should, and the next one gave the same bytes."""
    return ended_well(one, engine) and again.code == 0 and bytes_of(recipe) == same


def prism_of(engine: Engine) -> bool:
    """Whether an engine is a process of its own."""
    return engine.runner == "PrismRunner"


def ended_well(one: Ran, engine: Engine) -> bool:
    """Whether a run that met with a fault ended as it should: a killed command by the kill, all else with one line."""
    if one.orphans or one.seconds > BOUND:
        return False
    if not prism_of(engine):
        return one.code == -9
    lines = [line for line in one.said.splitlines() if line.startswith("error: ")]
    return one.code == 4 and len(lines) == 1 and "Traceback" not in one.said


def rows(corpus: pathlib.Path, out: pathlib.Path, asked: argparse.Namespace) -> Iterator[list[str]]:
    """The table, row by row."""
    parts = sorted(corpus.glob("part-*"))
    first: Ran | None = None
    same: dict[str, str] = {}
    for store in asked.store:
        with s3_server() if store == "s3" else contextlib.nullcontext() as server:
            if server is not None:
                os.environ.update(server.environment)
            place = server.bucket() if server is not None else str(out / "disk")
            for path in parts:
                files.write(f"{place}/in/{path.name}", path.read_bytes())
            for number, name in enumerate(asked.engine):
                engine, recipe = ENGINES[name], recipe_in(place, str(number))
                found = run(engine, recipe, out)
                if found.code != 0:
                    yield [name, store, f"exit code {found.code}: {found.said.splitlines()[-1][:90]}", "", "", "", ""]
                    continue
                if first is None:
                    recipe = recipe_in(place, "again")  # for that one may have compiled kernels
                    first = found = run(engine, recipe, out)
                    same = bytes_of(recipe)
                made = bytes_of(recipe)
                other = sorted(name for name in {*made, *same} if made.get(name) != same.get(name))
                survived = faults(engine, recipe_in(place, f"killed-{number}"), out, same) if store == "disk" else ""
                is_same = f"NO: {', '.join(other[:3])}" if other else "yes"
                yield [name, store, "yes", is_same, f"{found.cpu:.1f}", f"{found.cpu / first.cpu:.2f}", survived]


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--store", nargs="+", choices=("disk", "s3"), default=["disk"])
    parser.add_argument("--kill", nargs="*", metavar="STEP", help="kill a worker after each step, or after these")
    asked = parser.parse_args()
    print("| engine | storage | ends | same bytes | CPU s | to the first | faults survived |")
    print("|---|---|---|---|--:|--:|---|")
    for row in rows(asked.corpus, asked.output.absolute(), asked):
        print("| " + " | ".join(row) + " |", flush=True)
    if asked.kill is not None:
        print("\n| killed after | exit code | s | survived |\n|---|--:|--:|---|")
        for row in deaths(str(asked.output.absolute() / "disk"), asked.output.absolute(), asked.kill):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
