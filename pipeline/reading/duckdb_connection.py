"""DuckDB, which may read the folders of some releases and nothing else, loads no extension, and stops when its time is over."""

import os
import posixpath
import tempfile
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expectations.errors import UserError
from expectations.paths import is_local
from transforms.release.read_release import RESTORE, ReleaseError

if TYPE_CHECKING:
    import duckdb

NEEDS = "serve needs the package duckdb; pip install 'lowbackground[serve]'"
SECONDS = 20.0  # that a question may take
MEMORY = "1GB"  # what is sorted or joined beyond it goes to a temporary folder

Row = dict[str, Any]


class SlowError(UserError):
    """An answer took too long, and was stopped. One line."""


def connect(folders: Sequence[str]) -> "duckdb.DuckDBPyConnection":
    """DuckDB, which may read these folders and nothing else of this machine or any other.

    Raises:
      ReleaseError: it is not installed, or a folder is not of this machine.
    """
    for folder in folders:
        if not is_local(folder):
            raise ReleaseError(f"{folder}: serve reads releases of this machine; copy it to a folder first")
    try:
        import duckdb
    except ImportError:
        raise ReleaseError(NEEDS) from None
    scratch = tempfile.TemporaryDirectory(prefix="lowbackground-serve-")
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "temp_directory": scratch.name,
            "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("set parquet_metadata_cache = true")
    allowed = [posixpath.join(os.path.abspath(folder), "") for folder in folders]
    connection.execute("set allowed_directories = ?", [[*allowed, posixpath.join(scratch.name, "")]])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    _scratch[id(connection)] = scratch
    return connection


_scratch: dict[int, tempfile.TemporaryDirectory[str]] = {}  # removed when the process ends


def ask(
    connection: "duckdb.DuckDBPyConnection", where: str, sql: str, values: Sequence[Any], seconds: float = SECONDS
) -> list[Row]:
    """The rows of an answer, by name; stopped when the time is over.

    Args:
      connection: shared by many threads, of which each asks for itself.
      where: the folder that is told in a message.
      sql: with a question mark for each value.
      values: what is bound.
      seconds: that it may take.

    Raises:
      SlowError: it took longer.
      ReleaseError: a file is gone or damaged.
    """
    import duckdb

    cursor = connection.cursor()
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.start()
    try:
        found = cursor.execute(sql, values)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    except duckdb.InterruptException:
        raise SlowError(
            f"{where}: this took more than {seconds:.0f} s and was stopped; ask for less, as one source or reason"
        ) from None
    except duckdb.OutOfMemoryException:
        raise SlowError(f"{where}: this takes more memory than {MEMORY}; ask for less, as one source") from None
    except duckdb.Error as error:
        why = str(error).splitlines()[0][:160]
        raise ReleaseError(f"{where}: a file is gone or damaged ({why}); {RESTORE}") from None
    finally:
        timer.cancel()
        cursor.close()
