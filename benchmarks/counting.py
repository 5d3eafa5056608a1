"""Counting, beside the library call that does the same: what a tally does for every split, and for every two of them.

    python -m benchmarks.counting [--documents 6000] [--parts 16] [--repeats 5] [--json F]

Documents have 130 different words each, drawn by their ranks from 60,000 as words of a language are: of hashes, not by chance.
CPU seconds of the best of the repeats, both ways in turns; both are asserted to find the same.
"""

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.kernels.similarity.minhash import mixed
from transforms.kernels.statistics import diversity
from transforms.kernels.statistics.diversity import TypeCounts
from transforms.kernels.text.columns import distinct_rows

WORDS, OF_EACH = 60_000, 130


def words(documents: int, part: int) -> npt.NDArray[np.uint32]:
    """The types of some documents, one after the other."""
    number = np.arange(part * documents * OF_EACH, (part + 1) * documents * OF_EACH, dtype=np.uint64)
    rank = np.exp(mixed(number) / 2.0**64 * np.log(WORDS)).astype(np.uint64)
    return (mixed(rank) >> np.uint64(32)).astype(np.uint32)


def added(parts: list[TypeCounts]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Counts of parts as NumPy adds them up."""
    types, which = np.unique(np.concatenate([part.types for part in parts]), return_inverse=True)
    sums = np.zeros(len(types), np.int64)
    np.add.at(sums, which, np.concatenate([part.documents for part in parts]))
    return types, sums


def cheapest(ways: tuple[Callable[..., Any], ...], repeats: int, *given: Any) -> list[float]:
    """Milliseconds of each way, in turns."""
    first = [way(*given) for way in ways]
    for mine, theirs in zip(*first, strict=True):
        assert np.array_equal(mine, theirs), "both ways find the same"
    best = [float("inf") for _ in ways]
    for _ in range(repeats):
        for at, way in enumerate(ways):
            before = time.process_time()
            way(*given)
            best[at] = min(best[at], 1000 * (time.process_time() - before))
    return best


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=6000, help="of a part")
    parser.add_argument("--parts", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    asked = parser.parse_args()
    one = words(asked.documents, 0)
    parts = [diversity.count(words(asked.documents, part)) for part in range(asked.parts)]
    numbers = mixed(np.arange(4 * asked.documents, dtype=np.uint64)).reshape(4, -1)
    columns = [(column % np.uint64(9)).astype(np.int8) for column in numbers]
    rows = {
        f"types of {asked.documents:,} documents": cheapest(
            (diversity.count, lambda types: np.unique(types, return_counts=True)), asked.repeats, one
        ),
        f"{asked.parts} parts as one": cheapest((diversity.merge, added), asked.repeats, parts),
        f"rows of {asked.documents:,} documents": cheapest(
            (distinct_rows, lambda *c: np.unique(np.stack(c, 1), axis=0, return_inverse=True)),
            asked.repeats,
            *columns,
        ),
    }
    print("| what is counted | CPU ms | NumPy's | times as fast |\n|---|--:|--:|--:|")
    for name, (mine, theirs) in rows.items():
        print(f"| {name} | {mine:.2f} | {theirs:.2f} | {theirs / max(mine, 1e-9):.1f} |")
    if asked.json:
        asked.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
