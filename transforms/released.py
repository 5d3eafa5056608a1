"""A release on disk, read by columns and in batches: what is asked of it after it was published."""

import dataclasses
import hashlib
import posixpath
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.earlier import MANIFEST
from transforms.store import open_for_reading

ROWS_AT_ONCE = 1 << 16
TEXTS_AT_ONCE = 256


class ReleaseError(Exception):
    """A release cannot be read: which file, what is wrong, what to do. One line."""


@dataclasses.dataclass(frozen=True)
class Released:
    """A release as its manifest describes it.

    Attributes:
      name: of the release.
      manifest_sha256: what names exactly this release: the manifest has the checksums of all its files.
      shards: path and rows of each.
    """

    name: str
    manifest_sha256: str
    shards: tuple[tuple[str, int], ...]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The position of the first document of each shard, and the number of all. int64[shards + 1]."""
        return np.cumsum([0, *(rows for _, rows in self.shards)])

    def batches(self, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Some columns of all documents, each batch with the position of its first document.

        Raises:
          ReleaseError: a shard is not what the manifest says.
        """
        for (path, rows), start in zip(self.shards, self.starts.tolist(), strict=False):
            at = start
            for batch in _opened(path, rows).iter_batches(ROWS_AT_ONCE, columns=columns):
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
                found += _rows_of(_opened(path, rows), mine, columns)
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


def open_release(folder: str) -> Released:
    """Read a release's manifest.

    Raises:
      ReleaseError: there is no release, or its manifest is damaged.
    """
    path = posixpath.join(folder, MANIFEST)
    try:
        with open_for_reading(path) as file:
            data = file.read()
    except OSError:
        raise ReleaseError(f"{folder} is not a release (it has no {MANIFEST}); give the folder of one") from None
    try:
        manifest = orjson.loads(data)
        shards = tuple(
            (posixpath.join(folder, entry["path"]), int(entry["rows"]))
            for entry in manifest["files"]
            if entry["path"].startswith("data/")
        )
        return Released(str(manifest["release"]), hashlib.sha256(data).hexdigest(), shards)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ReleaseError(f"{path} is damaged; restore the release") from None


def _opened(path: str, rows: int) -> pq.ParquetFile:
    try:
        shard = pq.ParquetFile(pa.PythonFile(open_for_reading(path), mode="r"))
    except (OSError, pa.ArrowException) as error:
        raise ReleaseError(f"{path} cannot be read ({str(error).splitlines()[0][:120]}); restore the release") from None
    if shard.metadata.num_rows != rows:
        raise ReleaseError(
            f"{path} has {shard.metadata.num_rows} documents, the manifest says {rows}; restore the release"
        )
    return shard
