"""Ledger and metrics of a release as two Delta tables, for queries over many releases."""

import posixpath
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from expectations.wording import plural
from transforms.exports.writers import ExportError
from transforms.release.read_release import LEDGER, ledger_batches, ledger_files, read_metrics
from transforms.survey.tokenizers import EXTRA

METRICS_TABLE = "metrics"


def write_delta(release: str, name: str, manifest_sha256: str, folder: str) -> dict[str, Any]:
    """Write `ledger` and `metrics` below a folder; each row says of which release it is.

    Times and file names in the tables are their own: these bytes are not the same twice.

    Returns:
      `tables`: rows of each, as the tables say when they are read again.

    Raises:
      ExportError: the package is not installed, or a table has not all the rows.
      ReleaseError: ledger or metrics are damaged.
    """
    try:
        from deltalake import DeltaTable, write_deltalake
    except ImportError:
        raise ExportError(f"--format delta needs the package deltalake; {EXTRA}") from None
    ledger = (batch for path in ledger_files(release) for batch in ledger_batches(path))
    metrics = read_metrics(release)
    rows = {}
    for table, batches in ((LEDGER, ledger), (METRICS_TABLE, iter([metrics]))):
        counted = [0]
        named = _named(batches, name, manifest_sha256, counted)
        first = next(named)
        where = posixpath.join(folder, table)
        stream = pa.RecordBatchReader.from_batches(first.schema, _again(first, named))
        write_deltalake(where, stream, name=table, description=f"{table} of releases by lowbackground")
        rows[table] = DeltaTable(where).count()
        if rows[table] != counted[0]:
            raise ExportError(f"the table {table} holds {plural(rows[table], 'row')}, and {counted[0]:,} were written")
    return {"tables": rows}


def _again(first: pa.RecordBatch, more: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from more


def _named(
    batches: Iterator[pa.RecordBatch], name: str, manifest_sha256: str, counted: list[int]
) -> Iterator[pa.RecordBatch]:
    """Batches with the release's name and manifest in front."""
    for batch in batches:
        counted[0] += batch.num_rows
        n = batch.num_rows
        front = [pa.repeat(pa.scalar(value), n) for value in (name, manifest_sha256)]
        names = [pa.field(column, pa.string(), nullable=False) for column in ("release", "manifest_sha256")]
        schema = pa.schema([*names, *batch.schema])
        yield pa.RecordBatch.from_arrays([*front, *batch.columns], schema=schema)
