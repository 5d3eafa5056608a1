"""The first rows of a file of any format, read as a run reads them: which columns there are, and what they hold."""

import dataclasses
import itertools
from collections.abc import Iterator

import pyarrow as pa

from transforms.ingest import columns as documents
from transforms.ingest.path_columns import PathColumns, values_of
from transforms.ingest.quarantine import SeenColumns
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece, Source, Split

ROWS = 1000  # whose keys are looked at
_PAIRS = 3  # batches of a file that are read, at most: the first may hold only bad records
LIMITS = ReadLimits(batch_bytes=1 << 18)


@dataclasses.dataclass(frozen=True)
class FirstRows:
    """What a file begins with.

    Attributes:
      names: of its columns, with dots for what is inside others.
      columns: some rows; None: there is none, or no text in any.
    """

    names: tuple[str, ...]
    columns: documents.Columns | None


def first_rows(piece: Piece, source: Source, limits: ReadLimits = LIMITS) -> FirstRows:
    """The columns of a file and its first rows. What cannot be read has none; the reader says what is wrong with it.

    Raises:
      OSError: the storage failed.
    """
    sample = SeenColumns()
    alone = Split(0, 0, (piece,), piece.size)
    for _ in itertools.islice(read_split(alone, source, limits, (), sample), _PAIRS):
        if sample.columns is not None:
            break
    inner = sample.columns.inner if isinstance(sample.columns, PathColumns) else sample.columns
    found = [*_of_schema(sample.schema)] if sample.schema is not None else [*_of_columns(inner)]
    return FirstRows(tuple(dict.fromkeys([*found, *values_of(source, piece)])), sample.columns)


def _of_columns(columns: documents.Columns | None) -> Iterator[str]:
    if isinstance(columns, documents.JsonColumns):
        for record in columns.records[:ROWS]:
            for key, value in record.items():
                yield key
                if isinstance(value, dict):
                    yield from (f"{key}.{inner}" for inner in value)
    elif isinstance(columns, documents.ArrowColumns):
        yield from _of_schema(columns.batch.schema)


def _of_schema(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        yield from _nested(field, "")


def _nested(field: pa.Field, above: str) -> Iterator[str]:
    name = above + field.name
    yield name
    if pa.types.is_struct(field.type):
        for at in range(field.type.num_fields):
            yield from _nested(field.type.field(at), f"{name}.")
