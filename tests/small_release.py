"""A small release on disk, as `publish` leaves it, without a run: documents in shards, and a manifest."""

import hashlib
import json
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from expectations import contracts


def documents(n: int, **columns: list[Any]) -> list[dict[str, Any]]:
    """Undeclared documents of two sources, scored between 0 and 1, each with a text of its own."""
    rows = [
        {
            "id": hashlib.blake2b(f"id {i}".encode(), digest_size=16).hexdigest(),
            "text": f"Document number {i} speaks of {'many ' * (i % 7)}things.",
            "source": ("books", "web")[i % 2],
            "language": "en",
            "n_tokens": 6 + i % 7,
            "origin": "unknown",
            "origin_basis": "detector",
            "p_synthetic": (i % 101) / 100,
            "cluster_size": 1 + i % 3,
            "copies": 1,
        }
        for i in range(n)
    ]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def write_release(folder: pathlib.Path, rows: list[dict[str, Any]], shards: int = 2, row_group: int = 16) -> str:
    """Put documents into shards of small row groups. Returns the folder."""
    schema = contracts.release(()).schema
    entries = []
    for number in range(shards):
        mine = rows[number::shards]
        arrays = [pa.array([row.get(f.name, None if f.nullable else "") for row in mine], f.type) for f in schema]
        path = folder / "data" / f"train-{number:05d}-of-{shards:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, row_group_size=row_group)
        entries.append(
            {"path": f"data/{path.name}", "rows": len(mine), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        )
    (folder / "MANIFEST.json").write_text(json.dumps({"release": folder.name, "files": entries}))
    return str(folder)
