"""Reading of JSON Lines by parts, beside what else could parse it: from bytes to documents, megabytes a second of CPU.

    python -m benchmarks.reading_speed CORPUS_DIR [--megabytes 40] [--repeats 5]

CORPUS_DIR comes from `benchmarks.corpus`. Each part runs alone on the same blocks, in turns with the others, and the best turn
counts. `times` is how much of the whole reading a part takes. The rows come in three shapes: the corpus as it is, cut into
short texts, and short texts with metadata that nobody asked for.
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import igzip

from pipeline import execution
from transforms.ingest import columns
from transforms.ingest.json_columns import FEWEST_LINES, NO_NUMBER, Block, ColumnReader, has_no_number
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece, Source, Split
from transforms.release.earlier_texts import VerifiedShard
from transforms.release.shards import COMPRESSION

BLOCK = 2 << 20
KEYS = ("text", "id", "created", "url")
SHORT = 150  # characters
METADATA = {"created": "2019-05-13T00:00:00Z", "url": "http://example.org/", "added": "2020-01-01", "score": 0.25,
            "metadata": {"of": [1, 2, 3], "digest": "x" * 40, "n": 7, "languages": {"en": 0.99, "de": 0.01}}}  # fmt: skip


def shapes(folder: pathlib.Path, n_bytes: int) -> dict[str, bytes]:
    """The same texts as lines of three shapes, about `n_bytes` of each."""
    records: list[dict[str, Any]] = []
    size = 0
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path) as file:
            for line in file:
                if size < n_bytes:
                    records.append(orjson.loads(line))
                    size += len(line)
    cut = [{"id": f"{one['id']}-{at}", "text": one["text"][at : at + SHORT]}
           for one in records for at in range(0, len(one["text"]), SHORT)]  # fmt: skip
    more = [{**one, **METADATA} for one in cut[: max(1, len(cut) // 4)]]
    made = {"as it is": records, "short": cut, "with metadata": more}
    return {name: b"".join(json.dumps(one).encode() + b"\n" for one in some) for name, some in made.items()}


def blocks_of(data: bytes) -> list[bytes]:
    """Whole lines, about a megabyte at a time, without the last end."""
    found, at = [], 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + BLOCK)
        end = len(data) - 1 if end < 0 else end
        found.append(data[at:end])
        at = end + 1
    return found


def by_orjson(block: bytes) -> None:
    """A call a line."""
    records = [orjson.loads(line) for line in block.split(b"\n")]
    for key in KEYS:
        pa.array([record.get(key) for record in records], pa.large_string())


def by_orjson_joined(block: bytes) -> None:
    """One call for a block that is made one array."""
    records = orjson.loads(b"[" + block.replace(b"\n", b",") + b"]")
    for key in KEYS:
        pa.array([record.get(key) for record in records], pa.large_string())


def by_polars(block: bytes) -> None:
    """Polars' reader, told the types."""
    import polars as pl

    pl.read_ndjson(io.BytesIO(block), schema=dict.fromkeys(KEYS, pl.String))


def by_columns(block: bytes) -> None:
    """Ours: Arrow's reader, and all that makes sure of its answer."""
    found = ColumnReader(("text",), KEYS[1:]).read(Block(block))
    assert found or block.count(b"\n") < FEWEST_LINES, "the block was read line by line"


def released(shard: pathlib.Path, split: Split, source: Source) -> Callable[[], None]:
    """Reading the same from a shard, which is verified first."""
    documents = pa.Table.from_batches([good for good, _ in read_split(split, source, ReadLimits())])
    pq.write_table(documents.select(["id", "text"]), shard, row_group_size=8192, use_dictionary=False, **COMPRESSION)
    sha256 = hashlib.sha256(shard.read_bytes()).hexdigest()
    return lambda: VerifiedShard(str(shard), sha256, ["id", "text"]).rows(0, documents.num_rows) and None


def parts(data: bytes, path: str) -> dict[str, Callable[[], None]]:
    """What is measured."""
    blocks = blocks_of(data)
    packed = gzip.compress(data, 6)
    texts = [ColumnReader(("text",), ("id",)).read(Block(block)) for block in blocks]
    split = Split(0, 0, (Piece(path, "jsonl", "", len(data), "x"),), len(data))
    source = Source(name="s", path=path)

    def over(work: Callable[[bytes], None]) -> Callable[[], None]:
        return lambda: [work(block) for block in blocks] and None

    def ids() -> None:
        for found in filter(None, texts):
            own = found[1].text("id")
            columns.document_ids("s", pa.nulls(len(found[0]), pa.string()) if own is None else own, found[0])

    def ids_by_hashlib() -> None:
        for found in filter(None, texts):
            for one in found[0].cast(pa.large_binary()).to_pylist():
                hashlib.blake2b(one, digest_size=16).digest()

    def whole() -> None:
        for _ in read_split(split, source, ReadLimits()):
            pass

    def by_lines() -> None:
        with mock.patch.object(ColumnReader, "read", return_value=None):
            whole()

    def read() -> None:
        with open(path, "rb") as file:
            while file.read(BLOCK):
                pass

    return {
        "read the file": read,
        "gunzip (not in the whole)": lambda: igzip.decompress(packed) and None,
        "find the lines": over(lambda block: len(Block(block)) and None),
        "parse: orjson, a line a call": over(by_orjson),
        "parse: orjson, one array": over(by_orjson_joined),
        "parse: polars": over(by_polars),
        "parse: ours, by columns": over(by_columns),
        "odd numbers: one expression": over(
            lambda block: pc.match_substring_regex(pa.array([block]), NO_NUMBER) and None
        ),
        "odd numbers: ours, by vectors": over(lambda block: has_no_number(Block(block)) and None),
        "ids: hashlib, a text a call": ids_by_hashlib,
        "ids: ours, eight texts at a time": ids,
        "all, line by line": by_lines,
        "all, from an earlier release": released(pathlib.Path(path).with_suffix(".parquet"), split, source),
        "all": whole,
    }


def main() -> None:
    """Measure and show a table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    execution.give_memory_back()  # as a local run does
    with tempfile.TemporaryDirectory() as folder:
        for name, data in shapes(asked.corpus, int(asked.megabytes * 1e6)).items():
            path = pathlib.Path(folder, "a.jsonl")
            path.write_bytes(data)
            measured = parts(data, str(path))
            measured["all"]()  # compiles
            seconds = dict.fromkeys(measured, np.inf)
            for _ in range(asked.repeats):
                for part, work in measured.items():
                    begun = time.process_time()
                    work()
                    seconds[part] = min(seconds[part], time.process_time() - begun)
            sys.stdout.write(f"{name}: {data.count(10):,} lines, {len(data) / 1e6:.1f} MB\n")
            for part, one in seconds.items():
                speed = len(data) / 1e6 / max(one, 1e-9)
                sys.stdout.write(f"  {part:32}{speed:8,.0f} MB/s  {one / seconds['all']:6.2f} times\n")


if __name__ == "__main__":
    main()
