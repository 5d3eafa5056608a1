"""What looking for structures costs: CPU milliseconds a megabyte of text, beside the canonical form that the survey makes anyway.

    python -m benchmarks.structures DATA_DIR [--megabytes 20] [--systems examples/structures]

DATA_DIR is a folder of Parquet files with a column `text`. Best of five times, on one core.
"""

import argparse
import pathlib
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.minhash_vs_peers import sample
from expectations.structures.structure import Regex
from expectations.structures.systems_file import load_systems
from transforms.kernels.text import lexicon
from transforms.kernels.text.text import canonicalise
from transforms.structures.find import Systems


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--systems", type=pathlib.Path, default=pathlib.Path("examples/structures"))
    asked = parser.parse_args()
    texts = sample(asked.data, asked.megabytes, None)
    megabytes = pc.sum(pc.binary_length(texts)).as_py() / 1e6
    print(f"{len(texts):,} documents, {megabytes:.1f} MB")
    print(f"{best(lambda: canonicalise(texts)) / megabytes:8.2f} ms/MB  canonical form")
    _, tokens = canonicalise(texts)
    for path in sorted(asked.systems.glob("*.yaml")):
        systems = Systems(load_systems([path.name], str(path.parent)))
        words = systems.words
        if words is not None:
            cost = best(lambda words=words: lexicon.find(tokens, words)) / megabytes
            print(f"{cost:8.2f} ms/MB  {path.name}: {len(words.needed)} word lists, {len(words.owner)} terms")
        for one in (one for system in systems.systems for one in system.structures if isinstance(one, Regex)):
            print(f"{best(lambda one=one: matched(texts, one)) / megabytes:8.2f} ms/MB  {path.name}: {one.id}")


def matched(texts: pa.LargeStringArray, one: Regex) -> pa.BooleanArray:
    """As the survey does it."""
    return pc.match_substring_regex(texts, pattern=one.pattern, ignore_case=one.ignore_case)


def best(work: Callable[[], object]) -> float:
    """CPU milliseconds, once compiled."""
    work()
    times = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
