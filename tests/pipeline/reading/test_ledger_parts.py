"""Rows of ledgers, a part at a time: all of one id together, whatever somebody wrote there as an id."""

import pyarrow as pa
import pytest

from pipeline.reading.ledger_parts import in_parts

SCHEMA = pa.schema([("id", pa.string()), ("row", pa.int64())])
IDS = ["00a", "ffb", "00a", "7f", "", None, "zz", "ž", None, "zz", "7f"]


@pytest.mark.parametrize("parts", [1, 3, 256])
def test_rows_of_an_id_are_in_one_part_in_their_order(parts: int) -> None:
    batches = [pa.RecordBatch.from_pylist([{"id": one, "row": row}], SCHEMA) for row, one in enumerate(IDS)]
    with in_parts(batches, SCHEMA, parts) as cut:
        found = [[(row["id"], row["row"]) for row in part.to_pylist()] for part in cut]
    assert len(found) == parts
    assert sorted(row for part in found for _, row in part) == list(range(len(IDS)))
    for one in IDS:
        (rows,) = [own for part in found if (own := [row for name, row in part if name == one])]
        assert rows == [row for row, name in enumerate(IDS) if name == one]
