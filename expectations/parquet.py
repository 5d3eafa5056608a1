"""Files of Parquet, wherever they are, read whole or by columns.

Not as a data set of Arrow's (its `read_table`): threads of that hold on to the file for a moment after they have given the
last row. A process that ends in that moment aborts, after all its work is done, for they let go of a Python object that is
no more (docs/decisions/0092).
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from expectations.paths import is_local, open_for_reading


@contextlib.contextmanager
def opened(source: str | pa.Buffer, mapped: bool = False) -> Iterator[pq.ParquetFile]:
    """A file of Parquet that is open until the block ends.

    Args:
      source: a path, or the file's bytes.
      mapped: read a local file in place, without a copy: only what nobody cuts short while it is read.

    Raises:
      OSError: it cannot be opened.
      pa.ArrowInvalid: it is no Parquet.
      StorageError: its store cannot be asked.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, pa.Buffer):
            file = pa.BufferReader(source)
        elif is_local(source):
            path = os.fsencode(source)  # Arrow would encode as UTF-8 what need not be that
            file = stack.enter_context(pa.memory_map(path) if mapped else pa.OSFile(path))
        else:
            file = pa.PythonFile(stack.enter_context(open_for_reading(source)), mode="r")
        yield pq.ParquetFile(file, pre_buffer=False)


def read(source: str | pa.Buffer, columns: Sequence[str] | None = None, mapped: bool = False) -> pa.Table:
    """All columns of a file of Parquet, or these in this order. Arguments and errors beside are those of `opened`.

    Raises:
      KeyError: as of `check_columns`.
    """
    with opened(source, mapped) as file:
        if columns is None:
            return file.read(use_threads=False)
        check_columns(file, columns)
        return file.read(list(columns), use_threads=False).select(list(columns))


def check_columns(file: pq.ParquetFile, columns: Iterable[str]) -> None:
    """Hold a file against the columns that are to be read.

    Raises:
      KeyError: it has no column of this name.
    """
    for name in columns:
        if name not in file.schema_arrow.names:
            raise KeyError(name)
