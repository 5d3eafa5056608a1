"""A block of JSON Lines -> the columns that are wanted of it, in native code; or nothing, and it is read line by line.

Arrow's reader makes columns of the keys that it is told, and an object of none. It is given only what it reads exactly as
`orjson` reads a line, so that how a block was read never shows: strings, whole numbers and booleans under keys that are wanted,
each line one object that begins it and ends it. What a few lines of a block hold says which types to expect, and a value of
another type is an error. Of what is not wanted Arrow looks at the syntax alone, and takes more than JSON there: a block with
such a value, or one that only may have it, is no block for this.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from transforms.ingest.columns import ArrowColumns, may_be_in
from transforms.kernels.text.json_lines import odd_numbers

SHOWN_LINES = 8  # of a block that say which types it has
FEWEST_LINES = 8  # for fewer it is not worth it
DEEPEST = 1000  # brackets on a line that may all be open at once; `orjson` goes to 1024
# Where Arrow takes for a number what is none in JSON or too large for a double, and `orjson` does not.
NO_NUMBER = r"[:,\[\s-]((NaN|Inf(inity)?)\s*[,}\]]|[0-9.]+[eE]\+?[0-9]{3}|[0-9]{200})"
_SPELLED_KEY = r"\\u00[2-7][^\"]*\"\s*:"  # a letter of a key by its number
_NEWLINE, _RETURN, _OPEN, _CLOSE = b"\n\r{}"
_Path = tuple[str, ...]  # keys, each of an object under the one before


class Block:
    """Whole lines, the last of them without its end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.data = np.frombuffer(content, np.uint8)
        ends = np.flatnonzero(self.data == _NEWLINE)
        self.ends = np.append(ends, len(content))
        self.starts = np.append(0, ends + 1)

    def __len__(self) -> int:
        return len(self.ends)

    def line(self, i: int) -> bytes:
        """One line, without its end."""
        return self.content[self.starts[i] : self.ends[i]]

    @property
    def longest(self) -> int:
        """Bytes of the longest line."""
        return int((self.ends - self.starts).max())


class ColumnReader:
    """Reads blocks of lines by the columns that are wanted.

    Args:
      texts: names of the columns that may hold the text, what is said first counts. Dots reach into nested objects.
      others: names of all other columns that are wanted.
    """

    def __init__(self, texts: tuple[str, ...], others: tuple[str, ...]) -> None:
        self.texts, self.others = texts, others
        names = (*texts, *others)
        self.paths = list(dict.fromkeys([(name,) for name in names] + [tuple(name.split(".")) for name in names]))
        self.tops = {path[0] for path in self.paths}
        self.found: set[str] = set()  # of these, what stands in some block, perhaps within what is not wanted

    def read(self, block: Block) -> tuple[pa.LargeStringArray, ArrowColumns] | None:
        """The text of every line of a block, null where it has none, and the other columns; None: read it line by line."""
        if len(block) < FEWEST_LINES:
            return None
        try:
            return self._read(block)
        except (orjson.JSONDecodeError, pa.ArrowException, _OddError):
            return None

    def _read(self, block: Block) -> tuple[pa.LargeStringArray, ArrowColumns]:
        if not _one_object_a_line(block):
            raise _OddError
        _as_one_value(block).cast(pa.large_string())  # an error if it is not UTF-8
        places = np.unique(np.linspace(0, len(block) - 1, SHOWN_LINES).astype(np.int64)).tolist()
        table = self._table(block, [orjson.loads(block.line(i)) for i in places])
        if table.num_rows != len(block):  # some line has two objects
            raise _OddError
        batch = table.combine_chunks().to_batches()[0]
        texts = [found for name in self.texts if (found := _column(batch, name)) is not None]
        text = _first_given(texts) if texts else pa.nulls(len(block), pa.large_string())
        if text.type != pa.large_string():
            raise _OddError
        present = frozenset(batch.schema.names)
        asked = [name for name in self.others if may_be_in(present, name)]
        others = {name: found for name in asked if (found := _column(batch, name)) is not None}
        return text, ArrowColumns(pa.RecordBatch.from_arrays(list(others.values()), names=list(others)))

    def _table(self, block: Block, shown: list[dict[str, Any]]) -> pa.Table:
        """All that is wanted.

        Raises:
          _OddError: a wanted value is of a type that is not read here, or one that is not wanted may be none of JSON.
          ArrowInvalid: it is not JSON, or holds what the lines `shown` have not.
        """
        keys = set().union(*shown)
        if keys <= self.tops:
            try:  # what is not wanted is an error then, so nothing need be asked of it
                return _parsed(block, _fields([path for path in self.paths if path[0] in keys], shown), "error")
            except pa.ArrowInvalid:
                pass
        if _may_be_too_deep(block) or has_no_number(block):
            raise _OddError
        whole = _as_one_value(block)
        rare = self.tops - keys - self.found  # each column costs time, also an empty one
        pattern = "|".join(map(re.escape, sorted(rare)))
        if not pattern.isascii() or _has(whole, _SPELLED_KEY) or _has(whole, f'"({pattern})"'):
            self.found |= {key for key in rare if orjson.dumps(key) in block.content}
            rare = set()
        return _parsed(block, _fields([path for path in self.paths if path[0] not in rare], shown), "ignore")


class _OddError(Exception):
    """A value of a type that is not read by columns."""


def _one_object_a_line(block: Block) -> bool:
    """Whether every line begins and ends as an object does. Then none goes on in the next line: no value has `}{` in it."""
    starts, last = block.starts, block.ends - 1
    if (block.ends - starts).min() < 3:
        return False
    last = last - (block.data[last] == _RETURN)
    return bool((block.data[starts] == _OPEN).all() and (block.data[last] == _CLOSE).all())


def _as_one_value(block: Block) -> pa.LargeBinaryArray:
    offsets = np.array([0, len(block.content)], np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block.content)]
    return pa.Array.from_buffers(pa.large_binary(), 1, buffers)


def has_no_number(block: Block) -> bool:
    """Whether a line holds what Arrow takes for a number and `orjson` does not."""
    odd = odd_numbers(block.data, block.starts, block.ends)
    if not odd.any():
        return False
    buffers = [None, pa.py_buffer(np.append(block.starts, len(block.content))), pa.py_buffer(block.content)]
    return _has(pa.Array.from_buffers(pa.large_binary(), len(block), buffers).filter(pa.array(odd)), NO_NUMBER)


def _has(values: pa.LargeBinaryArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())


def _parsed(block: Block, fields: list[pa.Field], unexpected: str) -> pa.Table:
    return arrow_json.read_json(
        pa.BufferReader(block.content),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block.content) + 1),
        parse_options=arrow_json.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior=unexpected),
    )


def _fields(paths: Sequence[_Path], records: Sequence[dict[str, Any]]) -> list[pa.Field]:
    """A field for the first key of every path, by what records have under it."""
    fields = []
    for key in dict.fromkeys(path[0] for path in paths):
        values = [value for record in records if (value := record.get(key)) is not None]
        below = [path[1:] for path in paths if path[0] == key and len(path) > 1]
        kinds = set(map(type, values))
        if below and (kinds == {dict} or (not kinds and (key,) not in paths)):
            if (key,) in paths:
                raise _OddError
            fields.append(pa.field(key, pa.struct(_fields(below, values))))
        elif kinds <= {str}:
            fields.append(pa.field(key, pa.large_string()))
        elif kinds == {int} or kinds == {bool}:
            fields.append(pa.field(key, pa.int64() if kinds == {int} else pa.bool_()))
        else:
            raise _OddError
    return fields


def _may_be_too_deep(block: Block) -> bool:
    """Whether a line has so many opening brackets that `orjson` may refuse it."""
    if block.longest <= DEEPEST:
        return False
    at = np.flatnonzero((block.data & 0xDF) == ord("["))  # or {
    if not (at[DEEPEST:] - at[:-DEEPEST] < block.longest).any():
        return False
    return bool(np.diff(np.searchsorted(at, np.append(block.starts, len(block.data)))).max() > DEEPEST)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """What every object has under a name; None: nothing. A key that holds the dots itself goes first."""
    top, *rest = name.split(".")
    found = [batch[name]] if name in batch.schema.names else []
    if rest and top in batch.schema.names and pa.types.is_struct(batch[top].type):
        found.append(pc.struct_field(batch[top], rest))
    found = [column for column in found if column.null_count < len(column)]
    return _first_given(found) if found else None


def _first_given(columns: Sequence[pa.Array]) -> pa.Array:
    """Row by row, the first that is not null.

    Raises:
      _OddError: they are of several types.
    """
    if len({column.type for column in columns}) > 1:
        raise _OddError
    return columns[0] if len(columns) == 1 else pc.coalesce(*columns)
