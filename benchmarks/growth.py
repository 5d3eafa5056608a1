"""How the whole run grows: seconds, CPU and memory at several sizes, one core beside all of them, and datatrove's rate.

    python -m benchmarks.growth CORPUS_DIR [--files 8 16 32 64 128] [--one-core 8] [--json result.json]
        [--datatrove-python PYTHON --peer-model model.bin --datatrove-files 8]

CORPUS_DIR comes from `benchmarks.corpus`; a size is the first so many of its files. Each run is that of
`benchmarks.run_vs_datatrove`, from nothing, with compiled kernels. The exponents are the slopes of log seconds, and of log CPU
seconds, over log documents by least squares, start-up included. Memory is the peak of the process tree; bytes a document are
what that is above a run of 160. `--one-core` runs one of the sizes once more on one core of the machine's. `times datatrove` is
the largest run's rate over that of datatrove on one of the sizes.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import pyarrow.dataset as ds

from benchmarks.run_vs_datatrove import Measured, linked, ours, peer, small
from transforms.detector.detector import BUNDLED


@dataclasses.dataclass
class Grown:
    """One run: a row of the table."""

    name: str
    cores: int
    documents: int
    seconds: float
    cpu_seconds: float
    documents_per_second: int
    peak_mb: int
    bytes_per_document: int
    other_cpu_seconds: float

    @classmethod
    def of(cls, name: str, cores: int, documents: int, run: Measured, base: int) -> "Grown":
        """What was measured. `base`: bytes of a run of next to nothing."""
        rate, more = round(documents / run.seconds), round((run.peak - base) / documents)
        peak = round(run.peak / 1e6)
        return cls(
            name, cores, documents, round(run.seconds, 1), round(run.cpu, 1), rate, peak, more, round(run.others, 1)
        )


def show(row: Grown) -> Grown:
    """Print it as a row of Markdown."""
    sys.stdout.write("".join(f"| {cell:,} " if isinstance(cell, int) else f"| {cell} " for cell in vars(row).values()))
    sys.stdout.write("|\n")
    sys.stdout.flush()
    return row


def exponent(rows: list[Grown], column: str) -> float:
    """The slope of a column's logarithm over that of documents."""
    n, seconds = np.array([(row.documents, max(getattr(row, column), 1e-9)) for row in rows]).T
    return round(float(np.polyfit(np.log(n), np.log(seconds), 1)[0]), 3)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--files", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--base-mb", type=float, help="as an earlier call printed it: it is not measured again")
    parser.add_argument("--one-core", type=int, metavar="FILES", help="run this size once more on one core")
    parser.add_argument("--datatrove-python")
    parser.add_argument("--peer-model", type=pathlib.Path, help="a fastText classifier, model.bin")
    parser.add_argument("--datatrove-files", type=int, metavar="FILES", help="its size; the first, if it is not said")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    args = parser.parse_args()
    if args.datatrove_python and not args.peer_model:
        parser.error("--datatrove-python needs --peer-model: what it scores with")
    files, all_cores, model = (
        sorted(args.corpus.resolve().glob("*.jsonl.gz")),
        os.cpu_count() or 1,
        pathlib.Path(BUNDLED),
    )
    of_peer = args.datatrove_files or args.files[0]
    if not {args.one_core or of_peer, of_peer} <= set(args.files) or max(args.files) > len(files):
        parser.error(f"--one-core and --datatrove-files are sizes of --files, and there are {len(files)} files")
    work = pathlib.Path(tempfile.mkdtemp(prefix="lowbackground-growth-"))

    def whole(size: int, cores: int) -> Grown:
        """A run over the first files."""
        run = ours(linked(files[:size], work / "corpus"), work, "ours", model, cores=cores)
        documents = ds.dataset(work / "ours" / "bench" / "ledger").count_rows()
        shutil.rmtree(work / "ours")
        return show(Grown.of("lowbackground", cores, documents, run, base))

    try:
        base = round((args.base_mb or 0) * 1e6)
        if not base:
            small(args.corpus, work / "small", 160)
            base = min(ours(work / "small", work, name, model).peak for name in ("first", "base"))  # the first compiles
        columns = [field.name.replace("_", " ") for field in dataclasses.fields(Grown)]
        sys.stdout.write(f"| {' | '.join(columns)} |\n|---{'|--:' * (len(columns) - 1)}|\n")
        sizes = {size: whole(size, all_cores) for size in args.files}
        rows, result = list(sizes.values()), {"base MB": base / 1e6}
        if len(rows) > 1:
            result |= {
                f"exponent of {name.replace('_', ' ')}": exponent(rows, name) for name in ("seconds", "cpu_seconds")
            }
        if args.one_core:
            rows.append(whole(args.one_core, 1))
            result[f"{all_cores} cores over one"] = rows[-1].seconds / sizes[args.one_core].seconds
        if args.datatrove_python:
            theirs, _ = peer(linked(files[:of_peer], work / "corpus"), work, args.datatrove_python, args.peer_model)
            rows.append(show(Grown.of("datatrove", all_cores, sizes[of_peer].documents, theirs, 0)))
            largest = max(sizes.values(), key=lambda row: row.documents)
            result["times datatrove"] = largest.documents_per_second / rows[-1].documents_per_second
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write("".join(f"{name}: {value:.2f}\n" for name, value in result.items()))
    if args.json:
        args.json.write_text(json.dumps({"rows": [*map(dataclasses.asdict, rows)], **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
