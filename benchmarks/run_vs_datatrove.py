"""The whole run beside datatrove's, on the same files, in one go.

    python -m benchmarks.run_vs_datatrove CORPUS_DIR [--datatrove-python PYTHON --peer-model model.bin] [--later KIND ...]

CORPUS_DIR comes from `benchmarks.corpus`. PYTHON is the interpreter of an environment of its own with
`datatrove[processing,io]`, `spacy` and `fasttext-numpy2-wheel`; without it only ours is measured. The peer scores with a
fastText model, ours with the bundled detector and its cross-check, or `--model`; both get two cores. Times are wall clock from
starting the process to its end, CPU seconds those of its process tree; memory is the largest sum of resident sizes over the tree,
sampled every 50 ms (pages that processes share count for each of them). Ours runs twice before, on a small corpus: to compile
its kernels, and to measure the memory of a run that does nothing much; the first of these times is printed too. After that come
later runs of the same corpus, by default with another ratio; `--later gate increment` asks another suite, and adds 5 % new text.
Their CPU is a share of the first run's, with and without what a run of next to nothing costs.
What the rest of the machine did meanwhile is printed as CPU seconds: beside other work only the CPU seconds of the two can be
compared.
"""

import argparse
import dataclasses
import gzip
import json
import pathlib
import shutil
import sys
import tempfile
import time

import psutil
import pyarrow.dataset as ds

from transforms.detector.detector import BUNDLED

RECIPE = """\
release: {release}
sources:
  - {{name: bench, path: [{path}]}}
detector: {{model: {model}}}
expectations:
  suite: permissive
  expectations:
    - {{expect: metric_to_be_between, metric: documents, min: {fewest}}}
ratio: {{max_synthetic_share: {ratio}}}
output: {{path: {out}}}
"""
LATER = {
    "ratio": {"ratio": 0.5},
    "gate": {"fewest": 2},
    "increment": {"more": True},
}  # what `ours` is told of a later run


@dataclasses.dataclass
class Measured:
    """What a command cost: seconds, CPU seconds, bytes, CPU seconds of all other processes meanwhile, and what it printed."""

    seconds: float
    cpu: float
    peak: int
    others: float
    out: str


def busy() -> float:
    """CPU seconds that the machine has spent so far."""
    spent = psutil.cpu_times()
    return spent.user + spent.nice + spent.system


def look(process: psutil.Process, cpu: dict[int, float]) -> int:
    """Resident bytes of a process tree now; notes the CPU seconds of each process. One that has just ended is left out."""
    total = 0
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for one in tree:
        try:
            total += one.memory_info().rss
            cpu[one.pid] = sum(one.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def measured(command: list[str], cwd: pathlib.Path, log: pathlib.Path, cores: int | None = None) -> Measured:
    """Run a command and look at its processes every 50 ms; what it says goes to files, so that no pipe can fill.

    Of the machine's cores it has all, or the first so many.
    """
    out = log.with_suffix(".out")
    with log.open("w") as errors, out.open("w") as output:
        before, started, peak = busy(), time.perf_counter(), 0
        cpu: dict[int, float] = {}
        process = psutil.Popen(command, cwd=cwd, stdout=output, stderr=errors)
        if cores:
            process.cpu_affinity(process.cpu_affinity()[:cores])  # before it has a second thread
        while process.poll() is None:
            peak = max(peak, look(process, cpu))
            time.sleep(0.05)
        seconds = time.perf_counter() - started
    if process.returncode:
        last = (log.read_text().strip().splitlines() or ["it said nothing"])[-1]
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}: {last}")
    spent = sum(cpu.values())
    return Measured(seconds, spent, peak, max(0.0, busy() - before - spent), out.read_text())


def ours(
    corpus: pathlib.Path,
    work: pathlib.Path,
    name: str,
    model: pathlib.Path,
    release: str = "bench",
    ratio: float = 1.0,
    fewest: int = 1,
    more: bool = False,
    cores: int | None = None,
) -> Measured:
    """Run lowbackground on a corpus: another release of the same name finds what the one before left."""
    recipe = work / f"{name}.yaml"
    said = {"release": release, "ratio": ratio, "fewest": fewest}
    path = f"{corpus}/*.jsonl.gz" + (f", {work}/more/*.jsonl.gz" if more else "")
    recipe.write_text(RECIPE.format(path=path, out=work / name, model=model, **said))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe)]
    return measured(command, pathlib.Path.cwd(), work / f"{name}.log", cores)


def peer(corpus: pathlib.Path, work: pathlib.Path, python: str, model: pathlib.Path) -> tuple[Measured, set[str]]:
    """Run datatrove on the same corpus; and the ids of what it kept."""
    script = pathlib.Path(__file__).resolve().with_name("datatrove_peer.py")
    command = [python, str(script), str(corpus), str(work / "peer"), "--model", str(model.resolve())]
    run = measured(command, work, work / "peer.log")
    kept = {
        json.loads(line)["id"]
        for path in (work / "peer" / "kept").glob("*.jsonl.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    }
    return run, kept


def small(corpus: pathlib.Path, folder: pathlib.Path, documents: int) -> None:
    """The first documents of a corpus, in as many files."""
    folder.mkdir()
    files = sorted(corpus.glob("*.jsonl.gz"))
    for path in files:
        with gzip.open(path) as file:
            lines = [line for line, _ in zip(file, range(max(1, documents // len(files))), strict=False)]
        (folder / path.name).write_bytes(gzip.compress(b"".join(lines)))


def linked(files: list[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    """A folder of some files of a corpus, and of nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in files:
        (folder / path.name).symlink_to(path)
    return folder


def new(corpus: pathlib.Path, folder: pathlib.Path, documents: int) -> None:
    """Documents that a corpus does not have, of its words in the order from last to first, in one file."""
    folder.mkdir()
    with gzip.open(min(corpus.glob("*.jsonl.gz")), "rt") as file, gzip.open(folder / "new.jsonl.gz", "wt") as out:
        for line, number in zip(file, range(max(1, documents)), strict=False):
            words = json.loads(line)["text"].split()
            out.write(json.dumps({"id": f"new-{number}", "text": " ".join(reversed(words))}) + "\n")


def found(planted: list[dict], kept: set[str]) -> float:  # type: ignore[type-arg]
    """Share of the planted pairs, 0.8 alike or more, of which not both documents were kept."""
    pairs = [plant for plant in planted if plant["jaccard"] >= 0.8]
    return sum(plant["id"] not in kept or plant["of"] not in kept for plant in pairs) / len(pairs)


def above(later: Measured, base: Measured, run: Measured) -> float:
    """CPU of a later run over the first's, both without what a run of next to nothing costs: as of a corpus without end."""
    return round((later.cpu - base.cpu) / max(run.cpu - base.cpu, 0.01), 3)


def report(name: str, run: Measured, documents: int, planted: list[dict], kept: set[str]) -> dict[str, object]:  # type: ignore[type-arg]
    """One row of the table."""
    return {
        "name": name,
        "seconds": round(run.seconds, 1),
        "cpu_seconds": round(run.cpu, 1),
        "documents_per_second": round(documents / run.seconds),
        "peak_mb": round(run.peak / 1e6),
        "kept": len(kept),
        "planted_found": round(found(planted, kept), 4),
        "other_cpu_seconds": round(run.others, 1),
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--datatrove-python")
    parser.add_argument("--peer-model", type=pathlib.Path, help="a fastText classifier, model.bin")
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path(BUNDLED), help="folder of a detector")
    parser.add_argument(
        "--later", nargs="*", choices=LATER, default=["ratio"], help="runs of the same corpus after that"
    )
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    args = parser.parse_args()
    if args.datatrove_python and not args.peer_model:
        parser.error("--datatrove-python needs --peer-model: what it scores with")
    corpus, model = args.corpus.resolve(), args.model.resolve()
    truth = json.loads((corpus / "planted.json").read_text())
    documents, planted = truth["documents"], truth["planted"]
    work = pathlib.Path(tempfile.mkdtemp(prefix="lowbackground-bench-"))
    try:
        small(corpus, work / "small", 160)
        first = ours(work / "small", work, "first", model)
        base = ours(work / "small", work, "base", model)
        run = ours(corpus, work, "ours", model)
        ids = ds.dataset(work / "ours" / "bench" / "data").to_table(columns=["input_id"])["input_id"].to_pylist()
        new(corpus, work / "more", documents // 20)
        later = {kind: ours(corpus, work, "ours", model, kind, **LATER[kind]) for kind in args.later}
        theirs = peer(corpus, work, args.datatrove_python, args.peer_model) if args.datatrove_python else None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    rows = [report("lowbackground", run, documents, planted, set(ids))]
    result = {
        "documents": documents,
        "rows": rows,
        "first_small_run_seconds": round(first.seconds, 1),
        **{f"later_{kind}_cpu_seconds": round(one.cpu, 1) for kind, one in later.items()},
        **{f"later_{kind}_share": round(one.cpu / max(run.cpu, 0.01), 3) for kind, one in later.items()},
        "base_cpu_seconds": round(base.cpu, 1),
        **{f"later_{kind}_share_above_base": above(one, base, run) for kind, one in later.items()},
        "base_mb": round(base.peak / 1e6),
        "bytes_per_document_above_base": round((run.peak - base.peak) / documents),
    }
    if theirs:
        rows.append(report("datatrove", theirs[0], documents, planted, theirs[1]))
        result["rate_ratio"] = round(theirs[0].seconds / run.seconds, 2)
        result["cpu_ratio"] = round(theirs[0].cpu / run.cpu, 2)
        result["datatrove_stages"] = json.loads(theirs[0].out.splitlines()[-1])["seconds"]
    for column in rows[0]:
        print(f"{column:22}" + "".join(f"{row[column]!s:>16}" for row in rows))
    print(*(f"{key}: {value}" for key, value in result.items() if key != "rows"), sep="\n")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
