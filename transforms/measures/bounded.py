"""Counts by a key in bounded memory: tables of sums whose keys are a sample by hash once there are too many, each of them whole.

A part keeps the keys whose hash is below a bound, which is halved while the part has too many rows. So parts can be merged in any
order and any tree, and what comes out is what one reading of everything would have left.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.statistics import diversity

ALL = 1 << 32  # of hash space


class BoundedPart(NamedTuple):
    """Some rows, one for each value of the key."""

    rows: pa.Table
    below: int  # the part of hash space that was counted

    @property
    def one_in(self) -> float:
        """Of how many keys one was counted."""
        return ALL / self.below


@dataclasses.dataclass(frozen=True)
class Bounded:
    """How rows are summed, and which go.

    Attributes:
      schema: of the rows.
      key: the columns that rows differ in.
      sums: of the other columns, how two rows become one: "sum", "min" or "max".
      hashes: of rows, by the one column that decides what is sampled: uint64[rows], below `ALL`.
      most: rows of a part.
    """

    schema: pa.Schema
    key: tuple[str, ...]
    sums: dict[str, str]
    hashes: Callable[[pa.Table], npt.NDArray[np.uint64]]
    most: int

    def none(self) -> BoundedPart:
        """Nothing."""
        return BoundedPart(self.schema.empty_table(), ALL)

    def count(self, table: pa.Table) -> BoundedPart:
        """Rows with any number of each key."""
        return self._bounded(self._summed(table), ALL)

    def merge(self, parts: Iterable[BoundedPart]) -> BoundedPart:
        """The counts of all parts. Commutative and associative."""
        parts = [part for part in parts if part.rows.num_rows or part.below < ALL]
        if len(parts) < 2:
            return parts[0] if parts else self.none()
        below = min(part.below for part in parts)
        return self._bounded(self._summed(pa.concat_tables([self._cut(part, below).rows for part in parts])), below)

    def compact(self, parts: list[BoundedPart], tightly: bool = False) -> list[BoundedPart]:
        """The same counts in fewer parts, when there are many rows, or always."""
        return diversity.fewer(parts, self.merge, lambda part: part.rows.num_rows, tightly)

    def _summed(self, table: pa.Table) -> pa.Table:
        sums = table.group_by(list(self.key), use_threads=False).aggregate(list(self.sums.items()))
        named = sums.rename_columns([*self.key, *self.sums]).select(self.schema.names).cast(self.schema)
        return named.sort_by([(name, "ascending") for name in self.key]).combine_chunks()

    def _cut(self, part: BoundedPart, below: int) -> BoundedPart:
        if below >= part.below:
            return part
        return BoundedPart(part.rows.filter(pa.array(self.hashes(part.rows) < below)), below)

    def _bounded(self, rows: pa.Table, below: int) -> BoundedPart:
        part = BoundedPart(rows, below)
        while part.rows.num_rows > self.most and part.below > 1:
            part = self._cut(part, part.below // 2)
        return part
