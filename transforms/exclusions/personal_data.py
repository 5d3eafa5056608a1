"""What looks personal: counted in what was read and in what is left of it, and masked in all text that a run writes.

A document stays the one that was read: its id, its hashes and signature, its tokens, its duplicates and its evidence are of the
text as it stood there, so that lists of removals, labels and other releases know it, masked or not. Whoever writes text masks it
first: the shards, the review queue, the examples of the report.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from expectations.loading import Strict
from transforms.kernels.text.masking import mask
from transforms.kernels.text.personal import KINDS, Kind, count

FIGURES = pa.binary(3 * 2 * len(KINDS))  # of a document: `Figures`, one row after the other, uint16 each, little-endian


class PersonalDataConfig(Strict):
    """Addresses, numbers of phones, cards and accounts, and keys (docs/exclusions.md); `personal_data: true` counts them."""

    count: bool = Field(False, description="count them, by kind and source; what is masked is counted in any case")
    mask: tuple[Kind, ...] = Field(
        (), description="kinds of which released text has a placeholder, such as `<EMAIL>`, instead"
    )

    @property
    def is_counted(self) -> bool:
        """Whether the survey looks for them."""
        return self.count or bool(self.mask)


class Figures(NamedTuple):
    """How many of each kind documents have: as they were read, masked, and in what is left. uint16[n, KINDS] each."""

    read: npt.NDArray[np.uint16]
    masked: npt.NDArray[np.uint16]
    left: npt.NDArray[np.uint16]


def look(texts: pa.LargeStringArray, kinds: Sequence[Kind]) -> pa.FixedSizeBinaryArray:
    """The column `personal` of SIGNALS, if these kinds are masked."""
    read = count(texts)
    left, masked = read, np.zeros_like(read)
    if kinds:
        without, masked = mask(texts, kinds)
        changed = np.flatnonzero(masked.any(axis=1))
        left = read.copy()
        left[changed] = count(without.take(pa.array(changed)))
    figures = np.ascontiguousarray(np.stack([read, masked, left], axis=1), "<u2")
    return pa.FixedSizeBinaryArray.from_buffers(FIGURES, len(texts), [None, pa.py_buffer(figures)])


def unpack(column: pa.FixedSizeBinaryArray) -> Figures | None:
    """What `look` found; None where it was not asked for."""
    if column.null_count or not len(column):
        return None
    width = FIGURES.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width : (column.offset + len(column)) * width]
    return Figures(*data.view("<u2").reshape(len(column), 3, len(KINDS)).swapaxes(0, 1))


def masked_in_words(masked: npt.NDArray[np.uint16]) -> pa.StringArray:
    """`masked` of the ledger: "email:2 phone:1"; null where nothing was."""
    different, which = np.unique(masked, axis=0, return_inverse=True)
    words = [" ".join(f"{kind}:{n}" for kind, n in zip(KINDS, row, strict=True) if n) for row in different.tolist()]
    return pa.array([word or None for word in words], pa.string()).take(pa.array(which.ravel()))


def sum_of(words: pa.ChunkedArray | pa.Array) -> Counter[str]:
    """By kind what rows of the ledger or of a release say that was masked."""
    total: Counter[str] = Counter()
    for row in words.value_counts().to_pylist():
        for kind, n in numbers_in(row["values"]).items():
            total[kind] += n * row["counts"]
    return total


def numbers_in(word: str | None) -> dict[str, int]:
    """What one says, by kind.

    Raises:
      ValueError: it is not of that form.
    """
    pairs = (part.partition(":") for part in (word or "").split())
    return {kind: int(n) for kind, _, n in pairs}
