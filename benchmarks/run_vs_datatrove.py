"""The whole run beside datatrove's, on the same files, in one go.

    python -m benchmarks.run_vs_datatrove CORPUS_DIR --datatrove-python PYTHON [--documents-as-base 160]

CORPUS_DIR comes from `benchmarks.corpus`. PYTHON is the interpreter of an environment of its own with
`datatrove[processing,io]` and `fasttext-numpy2-wheel`. Both get the same detector model and two cores. Times are wall clock from
starting the process to its end; memory is the largest sum of resident sizes over the process tree, sampled every 50 ms (pages
that processes share count for each of them). Ours runs once before, on a small corpus, to compile its kernels and to
measure the memory of a run that does nothing much; that run's time is printed too.
"""

import argparse
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import psutil

from transforms.detector import BUNDLED

RECIPE = """\
release: bench
sources:
  - {{name: bench, path: {path}}}
expectations:
  suite: permissive
  expectations:
    - {{expect: metric_to_be_between, metric: documents, min: 1}}
ratio: {{max_synthetic_share: 1.0}}
output: {{path: {out}}}
"""


def measured(command: list[str], cwd: pathlib.Path) -> tuple[float, int, str]:
    """Seconds, peak bytes over the process tree, and standard output of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            total = 0
            try:
                for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                    total += one.memory_info().rss
            except psutil.Error:
                continue
            peak = max(peak, total)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    seconds = time.perf_counter() - started
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{command[0]} failed with exit code {process.returncode}")
    return seconds, peak, out


def ours(corpus: pathlib.Path, work: pathlib.Path, name: str) -> tuple[float, int, str]:
    """Run lowbackground on a corpus, nothing surveyed before."""
    recipe = work / f"{name}.yaml"
    recipe.write_text(RECIPE.format(path=corpus / "*.jsonl.gz", out=work / name))
    return measured([sys.executable, "-m", "pipeline.cli", "run", str(recipe)], pathlib.Path.cwd())


def small(corpus: pathlib.Path, folder: pathlib.Path, documents: int) -> None:
    """The first documents of a corpus, in as many files."""
    folder.mkdir()
    files = sorted(corpus.glob("*.jsonl.gz"))
    for path in files:
        with gzip.open(path) as file:
            lines = [line for line, _ in zip(file, range(max(1, documents // len(files))), strict=False)]
        (folder / path.name).write_bytes(gzip.compress(b"".join(lines)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--datatrove-python", required=True)
    args = parser.parse_args()
    corpus = args.corpus.resolve()
    documents = json.loads((corpus / "planted.json").read_text())["documents"]
    work = pathlib.Path(tempfile.mkdtemp(prefix="lowbackground-bench-"))
    try:
        small(corpus, work / "small", 160)
        first, _, _ = ours(work / "small", work, "first")
        _, base, _ = ours(work / "small", work, "base")
        seconds, peak, out = ours(corpus, work, "ours")
        peer = pathlib.Path(__file__).with_name("datatrove_peer.py")
        command = [args.datatrove_python, str(peer), str(corpus), str(work / "peer"), "--model", f"{BUNDLED}/model.bin"]
        peer_seconds, peer_peak, peer_out = measured(command, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    kept = next(line.split()[1] for line in out.splitlines() if line.strip().startswith("kept"))
    theirs = json.loads(peer_out.splitlines()[-1])
    print(f"first run on 160 documents, kernels compiled if they were not: {first:.1f} s")
    print(f"{'':14}{'seconds':>9}{'documents/s':>13}{'peak MB':>9}{'kept':>10}")
    print(f"{'lowbackground':14}{seconds:9.1f}{documents / seconds:13,.0f}{peak / 1e6:9,.0f}{kept:>10}")
    print(
        f"{'datatrove':14}{peer_seconds:9.1f}{documents / peer_seconds:13,.0f}{peer_peak / 1e6:9,.0f}{theirs['kept']:10,}"
    )
    print(f"rate: {peer_seconds / seconds:.1f} x datatrove's")
    print(
        f"memory above that of the small run: {(peak - base) / documents:,.0f} bytes a document (base {base / 1e6:,.0f} MB)"
    )
    print(f"datatrove, seconds by stage: {theirs['seconds']}")


if __name__ == "__main__":
    main()
