"""A release on disk, read by columns and in batches: what is asked of it after it was published."""

import contextlib
import dataclasses
import hashlib
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations import contracts, parquet
from expectations.errors import UserError
from expectations.judge.verdict import Verdict, VerdictError
from expectations.loading import LoadError, parse_json
from expectations.wording import EITHER
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files

METRICS, VERDICT, LEDGER, QUARANTINE = "metrics.parquet", "verdict.json", "ledger", "quarantine"
SUITE, STRUCTURES = "suite.yaml", "structures.yaml"
ROWS_AT_ONCE = 1 << 16
TEXTS_AT_ONCE = 256
_IN_EVERY_LEDGER = (
    "id",
    "input_id",
    "source",
    "path",
    "row",
    "kept",
    "stage",
    "reason",
    "survivor_id",
    "cluster_id",
    "cluster_size",
    "origin",
    "origin_basis",
    "p_synthetic",
    "n_tokens",
)
_BEFORE = "doc_id"  # what ledgers, queues and samples of earlier versions call `id`
RESTORE = "restore the release, or make it again"
# What readers raise of a file that is not what it should be. Blocks that catch it do nothing but read.
_UNREADABLE = (OSError, pa.ArrowException, VerdictError, LoadError, LookupError, ValueError, TypeError)


class ReleaseError(UserError):
    """A release cannot be read: which file, what is wrong, what to do. One line."""


@dataclasses.dataclass(frozen=True)
class Released:
    """A release as its manifest describes it.

    Attributes:
      name: of the release.
      manifest_sha256: what names exactly this release: the manifest has the checksums of all its files.
      shards: path and rows of each.
      unit: what it calls its tokens.
    """

    name: str
    manifest_sha256: str
    shards: tuple[tuple[str, int], ...]
    unit: str = EITHER

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The position of the first document of each shard, and the number of all. int64[shards + 1]."""
        return np.cumsum([0, *(rows for _, rows in self.shards)])

    def columns(self) -> list[str]:
        """What the shards hold of each document; nothing where there are none.

        Raises:
          ReleaseError: the first of them is damaged.
        """
        for path, rows in self.shards[:1]:
            with _opened(path, rows) as shard:
                return list(shard.schema_arrow.names)
        return []

    def batches(self, columns: list[str], rows_at_once: int = ROWS_AT_ONCE) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Some columns of all documents, each batch with the position of its first document.

        Raises:
          ReleaseError: a shard is not what the manifest says.
        """
        for (path, rows), start in zip(self.shards, self.starts.tolist(), strict=False):
            at = start
            with _opened(path, rows, columns) as shard:
                for batch in shard.iter_batches(rows_at_once, columns=columns):
                    yield at, batch
                    at += batch.num_rows

    def take(self, positions: npt.NDArray[np.int64], columns: list[str]) -> pa.Table:
        """Some columns of some documents, in the order of `positions`. Row groups without any are not read.

        Raises:
          ReleaseError: a shard is not what the manifest says.
        """
        order = np.argsort(positions, kind="stable")
        wanted = positions[order]
        found: list[pa.RecordBatch] = []
        for (path, rows), start in zip(self.shards, self.starts.tolist(), strict=False):
            mine = wanted[(wanted >= start) & (wanted < start + rows)] - start
            if len(mine):
                with _opened(path, rows, columns) as shard:
                    found += _rows_of(shard, mine, columns)
        table = pa.Table.from_batches(found).combine_chunks()
        return table.take(pa.array(np.argsort(order, kind="stable")))


def _rows_of(shard: pq.ParquetFile, rows: npt.NDArray[np.int64], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some rows of a shard, ascending."""
    at = 0
    for group in range(shard.num_row_groups):
        size = shard.metadata.row_group(group).num_rows
        if not ((rows >= at) & (rows < at + size)).any():
            at += size
            continue
        for batch in shard.iter_batches(TEXTS_AT_ONCE, row_groups=[group], columns=columns):
            mine = rows[(rows >= at) & (rows < at + batch.num_rows)] - at
            if len(mine):
                yield batch.take(pa.array(mine))
            at += batch.num_rows


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Say which file of a release it is, and what to do, where what is read in this block is not there or damaged.

    Raises:
      ReleaseError: it is.
    """
    try:
        yield
    except FileNotFoundError:
        raise ReleaseError(f"{path} is gone; {RESTORE}") from None
    except _UNREADABLE as error:
        raise ReleaseError(f"{path} is damaged ({_why(error)}); {RESTORE}") from None


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    said = (
        (str(error).splitlines() or [""])[0].removeprefix(f"{VERDICT}: ").removeprefix(f"{MANIFEST}: ").split("; ")[0]
    )
    said = re.sub(r"^Could not open Parquet input source '[^']*': ", "", said).split(". ")[0]
    return said[:120].strip(" .:") or "it ends too early"


def read_signed(folder: str) -> pa.Table | None:
    """`doc_id`, `content_hash` and `url_hash` of a release's documents; None if it has no signatures.

    Raises:
      ReleaseError: they are damaged.
    """
    columns = ["doc_id", "content_hash", "url_hash"]
    parts = [read_table(path, columns) for path in files_of(folder, SIGNATURES)]
    return pa.concat_tables(parts) if parts else None


def is_there(folder: str, name: str) -> bool:
    """Whether a folder has a file."""
    return files.exists(posixpath.join(folder, name))


def read_manifest(folder: str) -> tuple[dict[str, Any], str]:
    """A release's manifest, whose `files` have paths inside of the release, and its SHA-256.

    Raises:
      ReleaseError: there is no release, or its manifest is damaged.
    """
    path = posixpath.join(folder, MANIFEST)
    if not is_there(folder, MANIFEST):
        raise ReleaseError(f"{folder} is not a release (it has no {MANIFEST}); give the folder of one")
    with reading(path):
        data = files.read(path)
        manifest = parse_json(data, MANIFEST)
        if not isinstance(manifest, dict):
            raise ValueError("it is no mapping")
        if not isinstance(manifest["release"], str):
            raise ValueError("its release has no name")
        for entry in manifest["files"]:
            if not _is_inside(entry["path"]):
                raise ValueError(f"it lists {str(entry['path'])[:60]!r}, which is no file of a release")
            if any(type(entry.get(name, 0)) is not int or entry.get(name, 0) < 0 for name in ("bytes", "rows")):
                raise ValueError(f"it gives {entry['path']!r} a size that is no number")
    return manifest, hashlib.sha256(data).hexdigest()


def open_release(folder: str) -> Released:
    """Read what a release's manifest says of its shards.

    Raises:
      ReleaseError: there is no release, or its manifest is damaged.
    """
    manifest, digest = read_manifest(folder)
    with reading(posixpath.join(folder, MANIFEST)):
        shards = tuple(
            (posixpath.join(folder, entry["path"]), int(entry["rows"]))
            for entry in manifest["files"]
            if entry["path"].startswith("data/")
        )
    return Released(manifest["release"], digest, shards, manifest.get("unit", EITHER))


def read_verdict(folder: str) -> Verdict:
    """The verdict of a release or a rejection.

    Raises:
      ReleaseError: there is none, or it is damaged.
    """
    path = _of_release(folder, VERDICT)
    with reading(path):
        return Verdict.from_json(files.read(path))


def read_metrics(folder: str) -> pa.RecordBatch:
    """The metrics of a release or a rejection, as METRICS.

    Raises:
      ReleaseError: there are none, or they are damaged.
    """
    path = _of_release(folder, METRICS)
    with reading(path):
        table = parquet.read(path)
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        columns.setdefault("needed", pa.nulls(table.num_rows, pa.int64()))  # a release from before it was written
        return contracts.METRICS.batch(columns)


def counts(metrics: pa.RecordBatch) -> dict[str, int]:
    """Documents in, kept, dropped by reason, quarantined; and kept ones with a content credential, if there are any."""
    found: Counter[str] = Counter()
    for row in metrics.to_pylist():
        if row["metric"] == "documents" and row["slice_kind"] == "overall":
            found["documents_in" if row["stage"] == "before" else "kept"] = int(row["value"])
        elif row["metric"] == "documents.dropped" and row["slice_kind"] == "reason":
            found[f"dropped.{row['slice']}"] = int(row["value"])
        elif row["metric"] == "documents.quarantined" and row["slice_kind"] == "overall":
            found["quarantined"] = int(row["value"])
        elif (row["metric"], row["slice_kind"], row["stage"]) == ("credentials.documents", "overall", "after") and row[
            "value"
        ]:
            found["credentials"] = int(row["value"])
    return dict(found)


def masked(metrics: pa.RecordBatch) -> dict[str, int] | None:
    """How many placeholders of each kind the text of a release has; None: nothing is masked."""
    rows = metrics.to_pylist()
    found = (row for row in rows if row["metric"] == "personal.masked" and row["slice_kind"] == "personal")
    return {row["slice"]: int(row["value"]) for row in found} or None


def ledger_files(folder: str) -> list[str]:
    """The parts of the ledger of a release or a rejection, in their order; their names say how many there are.

    Raises:
      ReleaseError: there is no ledger, or a part of it is gone.
    """
    paths = files_of(folder, LEDGER)
    if not paths and (is_there(folder, MANIFEST) or is_there(folder, VERDICT)):
        raise ReleaseError(f"{posixpath.join(folder, LEDGER)} is gone or empty; {RESTORE}")
    if not paths:
        raise ReleaseError(f"{folder}: it has no ledger; give the folder of a release or of a rejection")
    names = {posixpath.basename(path) for path in paths}
    if numbered := re.fullmatch(r"ledger-\d+-of-(\d+)\.parquet", posixpath.basename(paths[0])):
        for number in range(int(numbered[1])):
            name = f"ledger-{number:05d}-of-{numbered[1]}.parquet"
            if name not in names:
                raise ReleaseError(f"{posixpath.join(folder, LEDGER, name)} is gone; {RESTORE}")
    return paths


def by_id(table: pa.Table) -> pa.Table:
    """A table of an earlier version with its documents' ids under `id`, as shards have them; one of today as it is."""
    names = table.column_names
    if "id" in names or _BEFORE not in names:
        return table
    renamed = table.rename_columns(["id" if name == _BEFORE else name for name in names])
    return renamed.replace_schema_metadata(table.schema.metadata)


def parquet_files(folder: str) -> list[str]:
    """The names of the Parquet files right in a folder, in order."""
    return [name for name in files.below(folder) if name.endswith(".parquet") and "/" not in name]


def files_of(folder: str, part: str) -> list[str]:
    """The paths of the Parquet files of a part of a release, such as `data`, in order; none if it has no such part."""
    return [posixpath.join(folder, part, name) for name in parquet_files(posixpath.join(folder, part))]


@contextlib.contextmanager
def opened(path: str) -> Iterator[pq.ParquetFile]:
    """A file of a release, in a block that does nothing but read it.

    Raises:
      ReleaseError: it is gone or damaged.
    """
    with reading(path), parquet.opened(path) as file:
        yield file


def read_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A file of a release, or some of its columns.

    Raises:
      ReleaseError: it is gone or damaged, or has not these columns.
    """
    with reading(path):
        return parquet.read(path, columns)


def ledger_rows(path: str) -> int:
    """How many documents a part of the ledger has.

    Raises:
      ReleaseError: it is damaged.
    """
    with opened(path) as file:
        return int(file.metadata.num_rows)


def ledger_batches(
    path: str, columns: Sequence[str] | None = None, rows: int = 1 << 17, newer: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Some columns of a part of the ledger, or all that it has; those that are `newer` only if it has them.

    Raises:
      ReleaseError: it is damaged, or has not these columns.
    """
    with opened(path) as part:
        names = part.schema_arrow.names
        old = "id" not in names and _BEFORE in names
        stored = [_BEFORE if old and name == "id" else name for name in columns or ("id", "kept")]
        parquet.check_columns(part, stored)
        stored += [name for name in newer if name in names]
        for batch in part.iter_batches(batch_size=rows, columns=None if columns is None else stored):
            batch.validate(full=True)  # also that its texts are UTF-8
            yield batch.rename_columns(["id" if n == _BEFORE else n for n in batch.schema.names]) if old else batch


def read_ledger(path: str) -> pa.Table:
    """A part of the ledger.

    Raises:
      ReleaseError: it is damaged.
    """
    with reading(path):
        table = by_id(parquet.read(path))
        table.validate(full=True)  # also that its texts are UTF-8
        for name in _IN_EVERY_LEDGER:
            table.schema.field(name)
        for field in contracts.LEDGER.schema:
            if field.name in table.column_names and not field.nullable and table[field.name].null_count:
                raise ValueError(f"{field.name} has no value in some rows")
        if not pc.all(pc.match_substring_regex(table["id"], "^[0-9a-f]{2,}$")).as_py() and table.num_rows:
            raise ValueError("id is not hexadecimal in some rows")
    return table


def _of_release(folder: str, name: str) -> str:
    """The path of a file that each release has; where there is none, it matters whether there is a release."""
    if (
        not is_there(folder, name)
        and not is_there(folder, MANIFEST)
        and not (name != VERDICT and is_there(folder, VERDICT))
    ):
        raise ReleaseError(f"{folder}: no release there (it has no {name}); give the folder of one")
    return posixpath.join(folder, name)


def _is_inside(path: object) -> bool:
    """Whether a path of a manifest stays inside of the release: nothing else is read for it."""
    return (
        isinstance(path, str) and posixpath.normpath(path) == path and path[:1] not in ("/", ".") and "://" not in path
    )


@contextlib.contextmanager
def _opened(path: str, rows: int, columns: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    with opened(path) as shard:
        if shard.metadata.num_rows != rows:
            raise ValueError(f"it has {shard.metadata.num_rows} documents, the manifest says {rows}")
        parquet.check_columns(shard, columns)
        yield shard
