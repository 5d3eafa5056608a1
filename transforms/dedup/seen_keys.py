"""Split -> which keys may occur twice in the corpus: a table of bits that keeps the others out of a shuffle."""

import functools
from collections.abc import Iterable

import apache_beam as beam
import numpy as np

from transforms.ingest.sources import Split
from transforms.kernels.similarity import lsh


def bits(keys: int) -> int:
    """Size of the table: some two slots for each of about so many keys; at most 256 MiB for the two tables."""
    return min(30, max(16, (2 * keys).bit_length()))


@beam.typehints.with_input_types(Split)
@beam.typehints.with_output_types(np.ndarray)
class SeenFn(beam.CombineFn):
    """Split -> which keys may occur twice or more: one bit a slot, uint8[2^bits / 8]."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def keys(self, split: Split) -> Iterable[np.ndarray]:
        """The keys of a split, uint64[n] each; one that is in two of the arrays occurs twice."""
        raise NotImplementedError

    def create_accumulator(self) -> np.ndarray:
        """No key."""
        return lsh.no_keys(self.bits)

    def add_input(self, seen: np.ndarray, split: Split) -> np.ndarray:
        """Note the keys of a split, in place."""
        for keys in self.keys(split):
            lsh.note_keys(seen, keys)
        return seen

    def merge_accumulators(self, tables: Iterable[np.ndarray]) -> np.ndarray:
        """The table of all."""
        return functools.reduce(lsh.merge_seen, tables)

    def extract_output(self, seen: np.ndarray) -> np.ndarray:
        """One bit a slot: was it seen twice?"""
        return seen[1]
