"""How long `serve` takes to answer each kind of question about a ledger of ten million documents.

    python -m benchmarks.serve_speed [--rows N] [--times T]

The ledger is made in a temporary folder, as a run leaves one: a file for each 5,000 documents, not compressed, without
statistics. Each question is asked through the page that asks it, every time with other values, so that no answer is kept
from before; the median and the longest of T times are printed in seconds of wall time, and of CPU. The load before and
after stands below. The bar is one second on a machine with nothing else to do.
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from expectations import contracts
from expectations.judge.verdict import Verdict
from pipeline.commands.serve import Browsing
from pipeline.reading.local_server import PageRequest

U64 = npt.NDArray[np.uint64]
FILE_ROWS = 5_000
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def mixed(x: U64) -> U64:
    """Numbers that look like chance, by splitmix64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hexadecimal(*parts: U64) -> pa.Array:
    """Sixteen digits of each part, behind each other."""
    digits = np.stack(parts, axis=1).astype(">u8").view(np.uint8).reshape(len(parts[0]), -1)
    out = np.empty((len(digits), digits.shape[1] * 2), np.uint8)
    out[:, 0::2], out[:, 1::2] = _HEX[digits >> 4], _HEX[digits & 15]
    ends = np.arange(len(out) + 1, dtype=np.int32) * out.shape[1]
    return pa.StringArray.from_buffers(len(out), pa.py_buffer(ends), pa.py_buffer(out.tobytes()))


def words(of: list[str], hashes: U64) -> pa.Array:
    """One of some words for each hash."""
    return pa.array(of).take(pa.array((hashes % np.uint64(len(of))).astype(np.int32)))


def part(first: int, n: int) -> pa.Table:
    """Documents of a ledger: seven of ten are kept, the others are duplicates or over the share."""
    i = np.arange(first, first + n, dtype=np.uint64)
    h, g = mixed(i), mixed(mixed(i))
    dropped = h % np.uint64(10) >= 7
    ids = hexadecimal(h, g)
    reasons = words(["exact_duplicate", "near_duplicate", "over_synthetic_share"], g).to_numpy(zero_copy_only=False)
    scores = ((g >> np.uint64(40)) / 2**24).astype(np.float32)
    columns = {
        "id": ids,
        "input_id": hexadecimal(i),
        "source": words([f"source-{k}" for k in range(40)], g >> np.uint64(8)),
        "path": words([f"corpus/part-{first // FILE_ROWS:05d}.jsonl.gz"], i),
        "row": pa.array(i.astype(np.int64) - first),
        "kept": pa.array(~dropped),
        "stage": pa.array(np.where(dropped, "dedup", ""), mask=~dropped),
        "reason": pa.array(reasons, mask=~dropped),
        "cluster_id": hexadecimal(h >> np.uint64(1)),
        "cluster_size": pa.array((g % np.uint64(3) + np.uint64(1)).astype(np.int32)),
        "survivor_id": ids,
        "copies": pa.array(np.ones(n, np.int32)),
        "n_tokens": pa.array((g % np.uint64(900)).astype(np.int32)),
        "removed_tokens": pa.array(np.zeros(n, np.int32)),
        "origin": words(["unknown", "human", "synthetic"], h >> np.uint64(20)),
        "origin_basis": words(["none", "declared", "detector"], h >> np.uint64(20)),
        "evidence": words(["", "declared:human", "detector:synthetic"], h >> np.uint64(20)),
        "language": words(["en", "de", "fr", "zh", "ar"], g >> np.uint64(30)),
        "url": pa.array(np.char.add("https://example.org/page/", i.astype(str))),
        "licence": words(["CC-BY-4.0", "unknown"], g >> np.uint64(15)),
        "p_synthetic": pa.array(scores, mask=h % np.uint64(7) == 0),
    }
    schema = contracts.LEDGER.schema
    return pa.Table.from_arrays(
        [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema], schema=schema
    )


def make(folder: pathlib.Path, rows: int) -> None:
    """A rejection with so many documents, for a release would need shards."""
    (folder / "ledger").mkdir()
    verdict = Verdict("failed", (), (), "none", "", {}, ())
    (folder / "verdict.json").write_text(verdict.to_json())
    metrics = pa.Table.from_batches([contracts.METRICS.empty()])
    pq.write_table(metrics, folder / "metrics.parquet")
    files = -(-rows // FILE_ROWS)
    at_once = 50  # files whose rows are made together
    for start in range(0, files, at_once):
        first = start * FILE_ROWS
        table = part(first, min(at_once * FILE_ROWS, rows - first))
        for number in range(start, min(start + at_once, files)):
            path = folder / "ledger" / f"ledger-{number:05d}-of-{files:05d}.parquet"
            mine = table.slice((number - start) * FILE_ROWS, FILE_ROWS)
            pq.write_table(mine, path, compression="NONE", write_statistics=False)


def questions(rows: int) -> Iterator[tuple[str, Callable[[int], dict[str, str]]]]:
    """What is asked, and the address's query by the number of the time."""
    middle = -(-rows // FILE_ROWS) // 2
    yield "everything", lambda _: {}
    yield "a source, counted", lambda k: {"source": f"source-{k}"}
    yield "two values", lambda k: {"source": f"source-{k}", "reason": "near_duplicate"}
    yield "a range of scores", lambda k: {"low": str(0.1 + k / 1000), "high": "0.5"}
    yield "highest scores first", lambda k: {"order": "score", "source": f"source-{k + 20}"}
    yield "a page in the middle", lambda k: {"language": "de", "no": "reason", "after": f"{middle + k}.{k}"}
    yield "words in the address", lambda k: {"column": "url", "words": f"page/{rows // 2 + k}"}
    yield "words in the id", lambda k: {"column": "id", "words": np.base_repr(70_000_000 + k, 16).lower()}
    yield (
        "the same, counted",
        lambda k: {"column": "id", "words": np.base_repr(80_000_000 + k, 16).lower(), "count": "1"},
    )
    yield "a document, by its place", lambda k: {"at": f"{middle + k}.{k * 7}"}
    yield "a document, by its id", lambda k: {"id": part(rows // 2 + k, 1)["id"][0].as_py()}


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "big.rejected"
        folder.mkdir()
        began = time.monotonic()
        make(folder, asked.rows)
        print(f"made {asked.rows:,} rows in {time.monotonic() - began:.0f} s; load {load()}")
        began = time.monotonic()
        browsing = Browsing([str(folder)])
        print(f"ready after {time.monotonic() - began:.2f} s")
        print(f"{'question':28}{'median s':>10}{'longest s':>11}{'CPU s':>9}")
        for name, query in questions(asked.rows):
            walls, cpus = [], []
            for k in range(asked.times):
                wanted = {"release": "0", "table": "ledger"} | query(k)
                path = "/document" if {"at", "id"} & wanted.keys() else "/documents"
                began, cpu = time.monotonic(), time.process_time()
                answer = browsing.answer(PageRequest(path, wanted))
                walls.append(time.monotonic() - began)
                cpus.append(time.process_time() - cpu)
                if answer.status != 200:
                    raise SystemExit(f"{name}: {answer.body.decode()[-400:]}")
            print(f"{name:28}{statistics.median(walls):10.2f}{max(walls):11.2f}{statistics.median(cpus):9.2f}")
        print(f"load {load()}")


def load() -> str:
    """Processes that wanted to run, over the last minute."""
    return f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"


if __name__ == "__main__":
    main(sys.argv[1:])
