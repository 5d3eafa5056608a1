"""What is spent before the first document is read, and on compiling: CPU seconds, each old way beside the new.

    python -m benchmarks.start [--repeats 3] [--kernels 12]

The first line is a process of its own that runs a recipe of eight documents until the first is read, with its kernels on disk.
SciPy's special functions are imported by a process that has Beam already, as a run does. Kernels are compiled here, in
turns, in the state of garbage collection that a run has, and before that as Numba does it by itself. Of each the least of the
repeats is printed; then what each kernel takes alone, the dearest first, what it calls being there already.
"""

import argparse
import contextlib
import gc
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from unittest import mock

from numba.core.codegen import CPUCodeLibrary
from numba.core.inline_closurecall import InlineWorker
from numba.core.types.functions import BaseFunction

from expectations.wording import plural
from transforms.kernels import compiled
from transforms.survey import text_to_signals  # noqa: F401 (whose kernels are compiled)

# What `compiled` does in another way than Numba.
DONE_OTHERWISE = (
    (BaseFunction, "get_call_type"),
    (InlineWorker, "run_untyped_passes"),
    (CPUCodeLibrary, "_optimize_functions"),
    (CPUCodeLibrary, "_optimize_final_module"),
)
# Whatever a run sets before it imports, as `pipeline.cli.main` does.
BEGIN = """
import gc, os, sys, time
from pipeline import cli, heap
from expectations import imports
heap.keep_one()
gc.set_threshold(1_000_000, 50, 100)
imports.lean()
"""
FIRST = f"""{BEGIN}
from transforms.survey import text_to_signals
def first(*_, **__):
    os.write(1, b"%f" % time.process_time())
    os._exit(0)
text_to_signals.survey_split = first
sys.argv = ["lowbackground", "run", sys.argv[1]]
cli.main()
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
    with contextlib.ExitStack() as before:
        before.enter_context(mock.patch.object(compiled, "_no_search_for_garbage", contextlib.nullcontext))
        for owner, name in DONE_OTHERWISE:
            before.enter_context(mock.patch.object(owner, name, getattr(owner, name).__wrapped__))
        return compiling(kernels)


def recipe(folder: pathlib.Path) -> str:
    """One of eight documents."""
    lines = [json.dumps({"text": f"The {n}th letter says that the boat came home late. " * 20}) for n in range(8)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    asked = {"release": "first", "sources": [{"name": "one", "path": ["corpus.jsonl"]}], "output": {"path": "out"}}
    asked |= {"ratio": {"max_synthetic_share": 1}, "expectations": "mixed"}
    (folder / "recipe.yaml").write_text(json.dumps(asked))
    return str(folder / "recipe.yaml")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kernels", type=int, default=12)
    args = parser.parse_args()
    kernels = compiled.KERNELS[: args.kernels]
    with tempfile.TemporaryDirectory() as temporary:
        at = recipe(pathlib.Path(temporary))
        compiling(kernels[:1])  # what only compiling imports
        rows: list[tuple[str, Callable[[], float] | None, Callable[[], float]]] = [
            ("run, until the first document is read", None, lambda: child(FIRST, at)),
            ("SciPy's special functions, imported", lambda: child(SPECIAL, "before"), lambda: child(SPECIAL, "now")),
            (
                f"{plural(len(kernels), 'kernel')}, compiled",
                lambda: compiling_as_before(kernels),
                lambda: compiling(kernels),
            ),
        ]
        print("| what | before | now | ratio |")
        print("|---|--:|--:|--:|")
        for what, before, now in rows:
            took = [(before() if before else float("nan"), now()) for _ in range(args.repeats)]
            old, new = (min(column) for column in zip(*took, strict=True))
            said = f"{old:.2f} | {new:.2f} | {old / max(new, 1e-6):.2f}" if before else f"– | {new:.2f} | –"
            print(f"| {what} | {said} |")
    print("\n| kernel | CPU ms |\n|---|--:|")
    alone = {known: min(compiling([known]) for _ in range(args.repeats)) for known in kernels}
    for known in sorted(kernels, key=alone.__getitem__, reverse=True):
        print(f"| `{known.__module__.rpartition('.')[2]}.{known.__name__}` | {1000 * alone[known]:.0f} |")


if __name__ == "__main__":
    main()
