"""What an object store costs beside a disk: one run with input, signals and output in each, in CPU seconds of this process.

    AWS_ENDPOINT_URL=http://127.0.0.1:5000 python -m benchmarks.storage_costs CORPUS OUTPUT s3://bucket/there

CORPUS is a folder from `benchmarks.corpus`, OUTPUT a new folder of this machine, the last a place in a store that is empty. The
server is another process, and is not counted. Both are run twice; the first is to compile, to load and to connect.
"""

import argparse
import gzip
import io
import json
import pathlib
import time
from collections.abc import Iterator

from rich.console import Console

from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.engine import files


def measured(top: str, name: str) -> tuple[float, int]:
    """CPU seconds of a run of the recipe in a folder, and the documents in it."""
    files.write(f"{top}/recipe.yaml", json.dumps(recipe(name)).encode())
    before = time.process_time()
    result = runner.run(
        load := load_recipe(f"{top}/recipe.yaml"), runner.prepare(load, top), Console(file=io.StringIO())
    )
    return time.process_time() - before, result.counts["documents_in"]


def recipe(name: str) -> dict[str, object]:
    """A run from `corpus/` into `name/`, paths relative to the recipe."""
    return {
        "release": "costs",
        "sources": [{"name": "corpus", "path": "corpus"}],
        "ratio": {"max_synthetic_share": 0.3},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": name},
    }


def table(disk: float, store: float, documents: int) -> Iterator[str]:
    """CPU of both, a document, and their ratio."""
    yield f"{documents:,} documents"
    yield "| where | CPU s | microseconds a document | ratio |"
    yield "|---|--:|--:|--:|"
    for where, seconds in (("disk", disk), ("store", store)):
        yield f"| {where} | {seconds:.1f} | {1e6 * seconds / documents:,.0f} | {seconds / disk:.2f} |"


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("store")
    asked = parser.parse_args()
    places = (str(asked.output.absolute()), asked.store.rstrip("/"))
    for part in sorted(asked.corpus.glob("part-*")):
        for top in places:
            files.write(f"{top}/corpus/{part.stem}", gzip.decompress(part.read_bytes()))  # moto spoils what ends in .gz
    costs = [[measured(top, name) for top in places] for name in ("warm", "counted")][-1]
    for line in table(costs[0][0], costs[1][0], costs[0][1]):
        print(line)


if __name__ == "__main__":
    main()
