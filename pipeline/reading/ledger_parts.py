"""Rows of ledgers that are too many to be held at once: a part of them at a time, cut by the first two digits of the id."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_PARTS = 256


def n_parts(rows: int, at_once: int) -> int:
    """How many parts it takes to hold at most about so many rows at once."""
    return min(MOST_PARTS, max(1, -(-rows // at_once)))


@contextlib.contextmanager
def in_parts(batches: Iterable[pa.RecordBatch], schema: pa.Schema, parts: int) -> Iterator[Iterator[pa.Table]]:
    """Some rows part by part, one that has none of them too. All of one id are in one part, in their order.

    Args:
      batches: of the schema; read once, into temporary files unless there is one part.
      schema: with a column `id`, of hexadecimal digits.
      parts: how many, as `n_parts` says.
    """
    if parts == 1:
        yield iter([pa.Table.from_batches(batches, schema)])
        return
    with tempfile.TemporaryDirectory(prefix="lowbackground-ledger-") as scratch:
        paths = [f"{scratch}/{part}.arrow" for part in range(parts)]
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(pa.ipc.new_file(path, schema)) for path in paths]
            for batch in batches:
                digits = pc.utf8_slice_codeunits(pc.fill_null(batch["id"], ""), 0, 2).dictionary_encode()
                numbers = np.array([_number(two) % parts for two in digits.dictionary.to_pylist()], np.int64)
                part_of = pa.array(numbers[digits.indices.to_numpy()])
                for part, writer in enumerate(writers):
                    writer.write_batch(batch.filter(pc.equal(part_of, part)))
        yield map(_read, paths)


def _number(digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError:  # none of our ids, which anyone may have written into a ledger: any part will do
        return 0


def _read(path: str) -> pa.Table:
    with pa.memory_map(path) as file:
        return pa.ipc.open_file(file).read_all()
