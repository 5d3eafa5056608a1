"""Phrases and credentials: how often human and machine text has them, and what looking for them costs.

    python -m benchmarks.phrases DATA... [--phrases OWN.yaml] [--json F]

DATA are Parquet files, or folders of them, with columns `text` and `label` (`human`, anything else is a machine's) and, if there
is one, `language`. Of a rate the 95 % Clopper-Pearson interval is shown. Speed is megabytes of UTF-8 over CPU seconds of one
thread, the best of five passes over batches of about a megabyte, as the survey has them; of the human text, which has next to
no hit, and of all.
"""

import argparse
import collections
import itertools
import json
import pathlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import stats

from transforms.kernels.text import credentials
from transforms.kernels.text import phrases as search
from transforms.kernels.text.literals import search as quick
from transforms.origin.phrase_files import compiled, load_phrases

BATCH_BYTES = 1 << 20


def tables(paths: list[str]) -> Iterator[pa.Table]:
    """The columns of every file."""
    for path in map(pathlib.Path, paths):
        for file in sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]:
            names = [name for name in ("text", "label", "language") if name in pq.read_schema(file).names]
            table = pq.read_table(file, columns=names)
            if "language" not in names:
                table = table.append_column("language", pa.array(["-"] * table.num_rows))
            yield table.cast(
                pa.schema([("text", pa.large_string()), ("label", pa.string()), ("language", pa.string())])
            )


def interval(hits: int, n: int) -> tuple[float, float]:
    """Clopper-Pearson, 95 %."""
    low = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def batches(text: pa.LargeStringArray) -> list[pa.LargeStringArray]:
    """Runs of documents of about a megabyte."""
    ends = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    cuts = np.unique(np.searchsorted(ends, np.arange(ends[0], ends[-1] + BATCH_BYTES, BATCH_BYTES)))
    cuts = np.unique(np.minimum(np.append(cuts, len(text)), len(text)))
    return [text.slice(a, b - a) for a, b in itertools.pairwise(cuts.tolist())]


def speed(work: Callable[[pa.LargeStringArray], object], parts: list[pa.LargeStringArray], n_bytes: int) -> float:
    """Megabytes a second, the best of five."""
    seconds = []
    for _ in range(5):
        start = time.thread_time()
        for part in parts:
            work(part)
        seconds.append(time.thread_time() - start)
    return n_bytes / 1e6 / min(seconds)


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--phrases")
    parser.add_argument("--json")
    args = parser.parse_args()
    table = pa.concat_tables(tables(args.data)).combine_chunks()
    text = table["text"].combine_chunks()
    text = text.chunk(0) if isinstance(text, pa.ChunkedArray) else text
    human = np.array(table["label"].to_pylist()) == "human"
    language = np.array(table["language"].fill_null("-").to_pylist())
    entries = load_phrases(args.phrases)
    known = compiled(entries)
    found = search.find(text, known)
    result: dict[str, object] = {}
    for name, members in (("human", human), ("machine", ~human)):
        for one in ("all", *sorted(set(language))):
            rows = members if one == "all" else members & (language == one)
            n, hits = int(rows.sum()), int((rows & (found != search.NONE)).sum())
            if n:
                low, high = interval(hits, n)
                print(f"{name:8} {one:6} {hits:6,} of {n:7,}  {hits / n:8.4%}  [{low:.4%}, {high:.4%}]")
                result[f"{name}/{one}"] = [hits, n]
    counts = collections.Counter(zip(found.tolist(), human.tolist(), strict=True))
    print(f"\n{'entry':28}{'human':>8}{'machine':>9}")
    for number, entry in enumerate(entries):
        print(f"{entry.id:28}{counts[number, True]:8,}{counts[number, False]:9,}")
    print()
    works: dict[str, Callable[[pa.LargeStringArray], object]] = {
        "phrases": lambda part: search.find(part, known),
        "of it the quick search": lambda part: quick(part, known.literals),
        "credentials": credentials.find,
    }
    for of, part in (("human text", text.filter(pa.array(human))), ("all text", text)):
        parts = batches(part)
        n_bytes = pc.sum(pc.binary_length(part)).as_py()
        for name, work in works.items():
            result[f"{name}, {of}, MB/s"] = rate = speed(work, parts, n_bytes)
            print(f"{name:24}{of:12}{rate:8,.0f} MB/s")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
