"""DOCUMENT -> compliance: which structures of each system a document has, as bits, found while its text is read."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.language_tags import normal_tag
from expectations.structures.structure import Classifier, Column, Lexicon, Regex
from expectations.structures.system import StructuresError, System
from transforms.engine.staged import Staged
from transforms.kernels.statistics.structures import IN_SLICE, Cores
from transforms.kernels.text import lexicon
from transforms.kernels.text.columns import packed
from transforms.kernels.text.text import Tokens
from transforms.structures.classify import judge

# Columns of DOCUMENT that a structure may ask for; any other is one of the input's own. `source` is the split's.
KNOWN = ("language", "generator", "url", "id")


@dataclasses.dataclass(frozen=True)
class Systems(Staged):
    """Systems of structures, and the columns and word lists that they take.

    Attributes:
      systems: in the order of a document's patterns.
      references: what an earlier release says of each, in the same order; None where the reference is another.
    """

    systems: tuple[System, ...] = ()
    references: tuple[Cores | None, ...] = ()

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """The input's own columns that have to be read for them, sorted."""
        asked = {name for system in self.systems for name in system.slice.columns}
        structures = [one for system in self.systems for one in system.structures]
        asked |= {one.column for one in structures if isinstance(one, Column | Classifier) and one.column is not None}
        return tuple(sorted(asked - {*KNOWN, "source"}))

    @functools.cached_property
    def words(self) -> lexicon.TermTable | None:
        """The word lists of all lexicons, in order; None: there is none.

        Raises:
          StructuresError: nothing of a term is left in canonical form.
        """
        lists = [one for system in self.systems for one in system.structures if isinstance(one, Lexicon)]
        try:
            return lexicon.build([one.terms for one in lists], [one.min_terms for one in lists]) if lists else None
        except ValueError as error:
            raise StructuresError(f"structures: the term {error} has no visible character; leave it out") from None

    def key(self) -> str:
        """What compliance depends on: a run with other owners, expectations or slices reads no text again."""
        return " ".join(system.looked_for() for system in self.systems)


NO_SYSTEMS = Systems()


def comply(documents: pa.RecordBatch, tokens: Tokens, source: str, systems: Systems) -> pa.Array:
    """The patterns of some documents.

    Args:
      documents: DOCUMENT, and behind it `systems.columns`.
      tokens: of the canonical texts.
      source: the name of the source of all of them.
      systems: what to look for.

    Returns:
      binary[documents]: one little-endian uint16 a system, bit i for structure i, and `IN_SLICE` where the columns that its
      slice names have the right values and its classifiers can judge. All null if there are no systems.
    """
    if not systems.systems:
        return pa.nulls(documents.num_rows, pa.binary())
    found: Iterator[npt.NDArray[np.bool_]] = iter(lexicon.find(tokens, systems.words) if systems.words else ())
    patterns = np.zeros((documents.num_rows, len(systems.systems)), np.uint16)
    own = documents.columns[len(contracts.DOCUMENT.schema) :]
    columns = {name: documents[name] for name in KNOWN} | dict(zip(systems.columns, own, strict=True))

    def is_one_of(name: str, values: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        if name == "source":
            return np.full(documents.num_rows, source in values)
        if name == "language":
            values = tuple(map(normal_tag, values))
        return pc.is_in(columns[name], value_set=pa.array(values, pa.string())).to_numpy(zero_copy_only=False)

    for at, system in enumerate(systems.systems):
        inside = np.ones(documents.num_rows, np.bool_)
        for name, values in system.slice.columns.items():
            inside &= is_one_of(name, values)
        for bit, structure in enumerate(system.structures):
            if isinstance(structure, Lexicon):
                has = next(found)
            elif isinstance(structure, Regex):
                matched = pc.match_substring_regex(
                    documents["text"], pattern=structure.pattern, ignore_case=structure.ignore_case
                )
                has = matched.to_numpy(zero_copy_only=False)
            elif isinstance(structure, Classifier):
                column = columns[structure.column] if structure.column is not None else None
                has, judged = judge(structure, tokens, column)
                inside &= judged
            else:
                assert isinstance(structure, Column), structure
                has = is_one_of(structure.column, structure.values)
            patterns[:, at] |= has.astype(np.uint16) << np.uint16(bit)
        patterns[:, at] |= inside * IN_SLICE
    return pack(patterns)


def pack(patterns: npt.NDArray[np.uint16]) -> pa.BinaryArray:
    """uint16[documents, systems] as a column of bytes."""
    return packed(np.arange(len(patterns) + 1) * patterns.shape[1], np.ascontiguousarray(patterns, "<u2"))


def unpack(column: pa.BinaryArray, systems: int) -> npt.NDArray[np.uint16]:
    """The patterns of a column, uint16[documents, systems]."""
    if not len(column):
        return np.zeros((0, systems), np.uint16)
    start = np.frombuffer(column.buffers()[1], np.int32)[column.offset]
    width = 2 * systems
    data = np.frombuffer(column.buffers()[2], np.uint8)[start : start + width * len(column)]
    return data.view("<u2").reshape(len(column), systems)
