"""The Parquet files of a release, wherever it lies: which there are, and what is in one."""

import contextlib
import posixpath
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from expectations import parquet
from transforms.release.read_release import parquet_files, reading

QUARANTINE = "quarantine"


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
