"""What a run of nothing costs, and compiling: CPU seconds, each old way beside the new.

    python -m benchmarks.start [--repeats 3] [--kernels 12]

The first two lines are a run of eight documents with its kernels on disk: its process until the first is read, and all its
processes to the end. Great Expectations' process is asked one question, with all that it imports by itself and with what our
suite needs. Templates of all pages are compiled, and read as they were kept. SciPy's special functions are imported by a process
that has Beam already, as a run does. Kernels are compiled here, in turns, in the state of garbage collection that a run has, and
before that as Numba does it by itself. Of each the least of the repeats is printed; then what each kernel takes alone, the
dearest first, what it calls being there already.
"""

import argparse
import contextlib
import gc
import json
import math
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from unittest import mock

import pyarrow as pa

from expectations import contracts
from expectations.judge import gx_process
from expectations.suite.suite import load_suite
from expectations.wording import plural
from transforms.kernels import compiled
from transforms.survey import text_to_signals  # noqa: F401 (whose kernels are compiled)

# Whatever a run sets before it imports, as `pipeline.cli.main` does.
BEGIN = """
import gc, os, sys, time
from pipeline import cli, heap
from expectations import imports
heap.keep_one()
gc.set_threshold(1_000_000, 50, 100)
imports.lean()
"""
RULE = {"expect": "metric_to_be_between", "metric": "documents", "min": 1}
RUN = f"""{BEGIN}
from transforms.survey import text_to_signals
survey, path = text_to_signals.survey_split, sys.argv[2]
def first(*args, **named):
    with open(path, "w") as file:
        file.write(str(time.process_time()))
    survey(*args, **named)
text_to_signals.survey_split = first
sys.argv = ["lowbackground", "run", sys.argv[1]]
cli.main()
"""
JUDGE = """
import sys
from expectations import imports
from expectations.judge import gx_process
if sys.argv[1] == "before":
    imports.LATE_OF_GX = ("altair", "jsonschema", "scipy")
gx_process._answer()
"""
PAGE = """
import os, sys, time
from expectations.report import page
found = page._environment()
if sys.argv[1] == "before":
    found.bytecode_cache = None
begun = time.process_time()
for name in found.list_templates(["j2"]):
    found.get_template(name)
os.write(1, b"%f" % (time.process_time() - begun))
"""
SPECIAL = f"""{BEGIN}
import pipeline.runner
if sys.argv[1] == "before":
    sys.meta_path[:] = [one for one in sys.meta_path if getattr(one, "name", "") != imports.STAR]
begun = time.process_time()
import scipy.special
os.write(1, b"%f" % (time.process_time() - begun))
"""


def child(code: str, word: str) -> float:
    """What a process says that it took."""
    done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, check=True)
    return float(done.stdout)


def whole(code: str, *words: str, question: bytes = b"") -> float:
    """What a process took, with those that it started."""
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, *words], input=question, capture_output=True, check=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime


def run() -> tuple[float, float]:
    """Until the first document is read, and to the end."""
    with tempfile.TemporaryDirectory() as folder:
        first = pathlib.Path(folder, "first")
        took = whole(RUN, recipe(pathlib.Path(folder)), str(first))
        return float(first.read_text()), took


def question() -> bytes:
    """One row of metrics, and one rule."""
    row = dict.fromkeys(contracts.METRICS.schema.names) | {"metric": "documents", "stage": "after"}
    row |= {"slice_kind": "overall", "slice": "", "value": 10.0, "unit": "documents", "n": 10}
    table = pa.Table.from_pylist([row], contracts.METRICS.schema)
    return gx_process._question(table, load_suite({"expectations": [RULE]}))


def compiling(kernels: list[compiled.Kernel]) -> float:
    """CPU seconds of compiling these, none of which is looked for on disk."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(2_000, 10, 10)  # as `execution.execute`
    begun = time.process_time()
    for known in kernels:
        new = compiled.Kernel(known.py_func, targetoptions=known.targetoptions)
        new.declared = known.declared
        new.ready()
    took = time.process_time() - begun
    gc.set_threshold(*usual)
    gc.unfreeze()
    return took


def compiling_as_before(kernels: list[compiled.Kernel]) -> float:
    """The same as Numba does it, with the search for garbage that a run has."""
    with mock.patch.object(compiled, "quickly", contextlib.nullcontext):
        return compiling(kernels)


def recipe(folder: pathlib.Path) -> str:
    """One of eight documents."""
    lines = [json.dumps({"text": f"The {n}th letter says that the boat came home late. " * 20}) for n in range(8)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    asked = {"release": "first", "sources": [{"name": "one", "path": ["corpus.jsonl"]}], "output": {"path": "out"}}
    asked |= {"ratio": {"max_synthetic_share": 1}, "expectations": {"expectations": [RULE]}}
    (folder / "recipe.yaml").write_text(json.dumps(asked))
    return str(folder / "recipe.yaml")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kernels", type=int, default=12)
    args = parser.parse_args()
    kernels = compiled.KERNELS[: args.kernels]
    compiling(kernels[:1])  # what only compiling imports
    rule, nothing = question(), float("nan")
    runs = [run() for _ in range(args.repeats)]
    firsts, wholes = (iter(column) for column in zip(*runs, strict=True))
    rows: list[tuple[str, Callable[[str], float]]] = [
        ("run, until the first document is read", lambda word: next(firsts) if word == "now" else nothing),
        ("run of eight documents, to its end", lambda word: next(wholes) if word == "now" else nothing),
        ("Great Expectations' process", lambda word: whole(JUDGE, word, question=rule)),
        ("templates of pages", lambda word: child(PAGE, word)),
        ("SciPy's special functions, imported", lambda word: child(SPECIAL, word)),
        (
            f"{plural(len(kernels), 'kernel')}, compiled",
            lambda word: (compiling_as_before if word == "before" else compiling)(kernels),
        ),
    ]
    print("| what | before | now | ratio |")
    print("|---|--:|--:|--:|")
    for what, took in rows:
        old, new = (
            min(column) for column in zip(*[(took("before"), took("now")) for _ in range(args.repeats)], strict=True)
        )
        said = f"– | {new:.2f} | –" if math.isnan(old) else f"{old:.2f} | {new:.2f} | {old / max(new, 1e-6):.2f}"
        print(f"| {what} | {said} |")
    print("\n| kernel | CPU ms |\n|---|--:|")
    alone = {known: min(compiling([known]) for _ in range(args.repeats)) for known in kernels}
    for known in sorted(kernels, key=alone.__getitem__, reverse=True):
        print(f"| `{known.__module__.rpartition('.')[2]}.{known.__name__}` | {1000 * alone[known]:.0f} |")


if __name__ == "__main__":
    main()
