"""Which columns an input has: to refuse a name that none of its files knows, with the nearest one that they do."""

from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.ingest.decompress import DamageError, chunks
from transforms.ingest.sources import Piece, Split
from transforms.signals.store import open_for_reading

FILES = 100  # that are looked at
BYTES = 1 << 20  # of the beginning of a file of JSON


def columns_of(splits: Sequence[Split]) -> tuple[list[str], bool]:
    """The names of columns in the footers and first records of some files, and whether there can be no others."""
    pieces = {piece.path: piece for split in splits for piece in split.pieces}
    names: dict[str, None] = {}
    for piece in list(pieces.values())[:FILES]:
        names |= dict.fromkeys(_names(piece))
    return list(names), len(pieces) <= FILES and all(piece.format == "parquet" for piece in pieces.values())


def _names(piece: Piece) -> list[str]:
    """What cannot be read has no columns; the reader says what is wrong with it."""
    try:
        if piece.format == "parquet":
            with open_for_reading(piece.path) as file:
                return [name for field in pq.read_schema(pa.PythonFile(file, mode="r")) for name in _nested(field)]
        if piece.format == "jsonl":
            lines = next(iter(chunks(piece, BYTES)), b"").split(b"\n")
            return [name for line in lines for name in _keys(line)]
    except (OSError, ValueError, pa.ArrowException, DamageError):
        return []
    return []


def _nested(field: pa.Field, above: str = "") -> list[str]:
    name = above + field.name
    inner = [field.type.field(at) for at in range(field.type.num_fields)] if pa.types.is_struct(field.type) else []
    return [name, *(deeper for one in inner for deeper in _nested(one, f"{name}."))]


def _keys(line: bytes) -> list[str]:
    try:
        record: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(record, dict):
        return []
    return [*record, *(f"{key}.{inner}" for key, value in record.items() if isinstance(value, dict) for inner in value)]
