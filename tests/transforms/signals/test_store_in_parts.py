"""A split's signals are read in parts of whole row groups, each of enough documents but the last."""

import pathlib

import pyarrow as pa
import pytest

from transforms.ingest.sources import EARLIER, Piece, Split
from transforms.signals import store
from transforms.signals.store import SignalStore, write_parquet

DOCUMENTS = 95


@pytest.mark.parametrize("batches", [0, 1, 19])
@pytest.mark.parametrize("documents", [1, 12, 1000])
def test_parts_are_the_whole(
    batches: int, documents: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROW_GROUP_BYTES", 1)  # each batch is a row group
    path = str(tmp_path / "signals.parquet")
    rows = pa.RecordBatch.from_pydict({"n": list(range(DOCUMENTS)), "word": [str(n) for n in range(DOCUMENTS)]})
    step = DOCUMENTS // batches if batches else 1
    write_parquet(path, [rows.slice(at * step, step) for at in range(batches)], rows.schema)
    split = Split(0, EARLIER, (Piece(path, "parquet", "", 0, ""),), 0)
    signals = SignalStore(str(tmp_path), ())

    parts = list(signals.parts(split, ["n"], documents))
    assert pa.concat_tables(parts).equals(signals.read(split, ["n"]))
    assert all(part.num_rows >= documents for part in parts[:-1])
    assert (len(parts) > 1) == (batches * step > documents and batches > 1)
