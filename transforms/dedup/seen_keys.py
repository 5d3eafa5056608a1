"""Split -> which keys may occur twice in the corpus: a table of bits that keeps the others out of a shuffle.

It is one table, of which every worker has a copy. In parts it would be of no use: to look its own keys up a split would have to
send them to all parts, which is the shuffle that the table is to spare. So where it would be full it is left out.
"""

import functools
from collections.abc import Iterable

import apache_beam as beam
import numpy as np

from transforms.engine import counted
from transforms.ingest.sources import Split
from transforms.kernels.similarity import lsh

MOST_BITS = 30  # 256 MiB, "once" and "twice" together


def bits(keys: int) -> int | None:
    """Size of the table: some two slots for each of about so many keys, up to 2^30. None where four keys would share a slot:
    nearly all would be taken for keys that occur twice.
    """
    return None if keys > 4 << MOST_BITS else min(MOST_BITS, max(16, (2 * keys).bit_length()))


def seen_twice(
    splits: beam.PCollection[Split], label: str, crossing: str, fn: "SeenFn", most: int
) -> tuple[beam.pvalue.AsSingleton, ...]:
    """The table of what `fn` finds, as a side input; none where there is no table."""
    if fn.bits is None:
        return ()
    seen = splits | label >> counted.CombineGlobally(crossing, fn, without_defaults=True, most=most)
    return (beam.pvalue.AsSingleton(seen),)


@beam.typehints.with_input_types(Split)
@beam.typehints.with_output_types(np.ndarray)
class SeenFn(beam.CombineFn):
    """Split -> which keys may occur twice or more: one bit a slot, uint8[2^bits / 8]."""

    def __init__(self, bits: int | None) -> None:
        self.bits = bits

    def keys(self, split: Split) -> Iterable[np.ndarray]:
        """The keys of a split, uint64[n] each; one that is in two of the arrays occurs twice."""
        raise NotImplementedError

    def create_accumulator(self) -> np.ndarray:
        """No key."""
        assert self.bits is not None  # or `seen_twice` leaves it out
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
