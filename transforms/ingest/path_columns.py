"""What the path of a file says of its rows: the values of Hive's folders (`lang=de/year=2020`), the named groups of the source's
`path_pattern`, and, of a file that is one document, its id. A row that has a column of that name itself is believed first.
"""

import functools
import posixpath
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.ingest.columns import Columns
from transforms.ingest.computed import made
from transforms.ingest.data_set_splits import below
from transforms.ingest.formats import FORMATS
from transforms.ingest.sources import Piece, Source

_HIVE = re.compile(r"([A-Za-z_][\w.-]*)=(.*)")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def values_of(source: Source, piece: Piece) -> dict[str, str]:
    """The columns that the path of a file gives, and their value."""
    is_document = FORMATS[piece.format].one_document
    if not is_document and source.path_pattern is None and "=" not in piece.path:
        return {}  # as of most, and there may be very many
    return dict(_values(source.paths, source.path_pattern, piece.path, is_document))


@functools.lru_cache(4096)
def _values(tops: tuple[str, ...], pattern: str | None, path: str, is_document: bool) -> tuple[tuple[str, str], ...]:
    inside = below(path, tops)
    found = {"id": inside} if is_document else {}
    for part in posixpath.dirname(inside).split("/") if "=" in inside else ():
        if (match := _HIVE.fullmatch(part)) and match[2] != _HIVE_NULL:
            found[match[1]] = unquote(match[2])
    if pattern and (groups := re.search(pattern, inside)):
        found |= {name: value for name, value in groups.groupdict().items() if value}
    return tuple(found.items())


class PathColumns:
    """Rows of an input, and what the paths of their files say of them."""

    def __init__(self, inner: Columns, file: npt.NDArray[np.int32], values: dict[int, dict[str, str]]) -> None:
        self.inner, self.file, self.values = inner, file, values

    def get(self, name: str) -> Sequence[Any] | pa.Array | None:
        """The column of the input or, if there is none, of the path."""
        found = None if "{" in name else self.inner.get(name)
        return self._of_path(name) if found is None else found

    def text(self, name: str) -> pa.StringArray | None:
        """The same as text; what a row does not say its path does."""
        if "{" in name:
            return made(name, self.get, self.text)
        found, given = self.inner.text(name), self._of_path(name)
        if found is None or given is None:
            return given if found is None else found
        return pc.coalesce(found, given.cast(found.type))

    def where(self, mask: npt.NDArray[np.bool_]) -> "PathColumns":
        """The rows where `mask` is true."""
        return PathColumns(self.inner.where(mask), self.file[mask], self.values)

    def take(self, rows: npt.NDArray[np.int64]) -> "PathColumns":
        """Some rows, in any order, also several times."""
        return PathColumns(self.inner.take(rows), self.file[rows], self.values)

    def _of_path(self, name: str) -> pa.StringArray | None:
        if "{" in name:
            return made(name, self.get, self.text)
        if not any(name in one for one in self.values.values()):
            return None
        files, at = np.unique(self.file, return_inverse=True)
        return pa.array([self.values[int(file)].get(name) for file in files], pa.string()).take(pa.array(at))
