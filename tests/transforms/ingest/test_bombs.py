"""Small files that would be large: memory stays bounded, and what is not listed is counted."""

import gzip
import io
import pathlib
import subprocess
import sys
import tarfile
import textwrap
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.ingest import parquet as reader
from transforms.ingest.html import DEEPEST, page_text
from transforms.ingest.quarantine import LISTED
from transforms.ingest.readers import HOPELESS, read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits

READ = textwrap.dedent("""
    import resource, sys
    from transforms.ingest.readers import ReadLimits, read_split
    from transforms.ingest.sources import Source, plan_splits
    source = Source(name="s", path=sys.argv[1])
    used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    before, documents, listed, counted = used(), 0, 0, 0
    for split in plan_splits([source]):
        for good, bad in read_split(split, source, ReadLimits()):
            documents += good.num_rows
            listed += bad.num_rows
            counted += sum(n for n in bad["records"].to_pylist() if n)
    print(documents, listed, counted, used() - before)
""")


def cost(path: pathlib.Path) -> tuple[int, int, int, int]:
    """Documents, rows of quarantine, records in them, and megabytes, in a process of its own."""
    folder = pathlib.Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True, cwd=folder
    )
    documents, listed, counted, megabytes = map(int, done.stdout.split())
    return documents, listed, counted, megabytes


@pytest.mark.parametrize("as_dictionary", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_value_that_stands_in_every_row_is_decoded_a_few_rows_at_a_time(tmp_path, as_dictionary):
    """Some kB of Parquet, 600 MB of text: a dictionary page holds the value once."""
    values = pa.array(["x" * 1_000_000]).dictionary_encode()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 600, pa.int32()), values.dictionary)
    schema = None if as_dictionary else pa.schema({"text": pa.string()})
    table = pa.table({"text": column}) if schema is None else pa.table({"text": column.dictionary_decode()})
    pq.write_table(table, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    documents, _, _, megabytes = cost(tmp_path / "a.parquet")
    assert documents == 600
    assert megabytes < 450


@pytest.mark.slow
def test_millions_of_bad_lines_are_a_few_rows_and_the_rest_is_not_read(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"x\n" * 2_100_000))
    assert (tmp_path / "a.jsonl.gz").stat().st_size < 8_000
    documents, listed, counted, megabytes = cost(tmp_path)
    assert (documents, listed, counted) == (0, LISTED + 2, HOPELESS)
    assert megabytes < 200


@pytest.mark.slow
def test_bad_lines_behind_a_document_are_all_counted(tmp_path):
    n = HOPELESS + 50_000
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one"}\n' + b"x\n" * n))
    documents, listed, counted, _ = cost(tmp_path)
    assert (documents, listed, counted) == (1, LISTED + 1, n)


@pytest.mark.parametrize("batch_bytes", [1 << 12, 1 << 20])
def test_where_a_hopeless_file_ends_does_not_depend_on_batches(tmp_path, monkeypatch, batch_bytes):
    monkeypatch.setattr("transforms.ingest.readers.HOPELESS", 1000)
    (tmp_path / "a.jsonl").write_bytes(b"x\n" * 999 + b'{"text": "one"}\n' + b"x\n" * 5000)
    (tmp_path / "b.jsonl").write_bytes(b"x\n" * 1000 + b'{"text": "one"}\n' + b"x\n" * 5000)
    source = Source(name="s", path=str(tmp_path))
    [split] = plan_splits([source])
    rows, bad = [], []
    for good, other in read_split(split, source, ReadLimits(batch_bytes=batch_bytes)):
        rows += good.select(["file", "row"]).to_pylist()
        bad += other.to_pylist()
    assert rows == [{"file": 0, "row": 999}]
    assert [
        sum(row["records"] or 0 for row in bad if row["path"].endswith(name)) for name in ("a.jsonl", "b.jsonl")
    ] == [5999, 1000]
    assert bad[-1]["reason"] == "no_documents"


def test_a_row_group_that_is_larger_than_is_held_is_the_same(tmp_path, monkeypatch):
    texts = [f"text {i} " * (1 + i % 50) for i in range(2000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=700)
    source = Source(name="s", path=str(tmp_path))
    [split] = plan_splits([source])
    for held in (reader._HELD_BYTES, 1000):
        monkeypatch.setattr(reader, "_HELD_BYTES", held)
        assert [t for good, _ in read_split(split, source, ReadLimits()) for t in good["text"].to_pylist()] == texts


def test_a_wrong_index_of_a_dictionary_is_one_lost_row_group(tmp_path):
    indices = pa.array([0, 1, 2, 0], pa.int32())
    good = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b", "c"]))
    with pq.ParquetWriter(tmp_path / "a.parquet", pa.schema({"text": good.type}), use_dictionary=True) as writer:
        for _ in range(2):
            writer.write_table(pa.table({"text": good}))
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    chunk = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0)
    source, lost = Source(name="s", path=str(tmp_path)), 0
    for at in range(chunk.data_page_offset, chunk.dictionary_page_offset + chunk.total_compressed_size):
        changed = data.copy()
        changed[at] ^= 0x55
        (tmp_path / "a.parquet").write_bytes(changed)
        [split] = plan_splits([source])
        documents = bad = 0
        for one, other in read_split(split, source, ReadLimits()):
            documents += one.num_rows
            bad += sum(other["records"].to_pylist())
        assert documents + bad == 8
        lost += bad > 0
    assert lost


@pytest.mark.parametrize("closed", [False, True])
def test_a_page_of_elements_within_each_other_is_read_in_time_by_its_length(closed: bool) -> None:
    times = 100_000  # the main content of it would take minutes
    began = time.process_time()
    assert page_text(b"<div>" * times + b"deep text" + b"</div>" * times * closed) == "deep text"
    assert time.process_time() - began < 10


def test_the_main_content_of_a_page_of_many_elements_is_still_found() -> None:
    menu = b"<nav>" + b"<a href=x>menu</a>" * DEEPEST + b"</nav>"
    story = b"<main><article><p>" + b"It rained for a week, and the river rose. " * 20 + b"</p></article></main>"
    assert (page_text(b"<html><body>" + menu + story + b"</body></html>") or "").count("menu") == 0


def test_a_member_or_a_file_that_must_be_unpacked_is_bounded_on_disk(tmp_path):
    """Ten members of 1 MB in a tar.gz of 12 kB, and Parquet in gzip: what is over the limit is lost by name, the rest is read."""
    line = b'{"text": "' + b"x" * 100 + b'"}\n'
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        for name, lines in (("small", 10), ("large", 10_000), ("last", 10)):
            info = tarfile.TarInfo(f"{name}.jsonl")
            info.size = lines * len(line)
            file.addfile(info, io.BytesIO(lines * line))
    pq.write_table(pa.table({"text": ["x" * 900_000]}), tmp_path / "b.parquet", use_dictionary=False, compression=None)
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "b.parquet").read_bytes()))
    limits = ReadLimits(max_unpacked_bytes=500_000)
    found = {}
    for name in ("a.tar.gz", "b.parquet.gz"):
        source = Source(name="s", path=str(tmp_path / name))
        pairs = [pair for split in plan_splits([source]) for pair in read_split(split, source, limits)]
        found[name] = sum(good.num_rows for good, _ in pairs), [row for _, bad in pairs for row in bad.to_pylist()]
    documents, (lost,) = found["a.tar.gz"]
    assert (documents, lost["reason"], lost["records"]) == (20, "file_too_large", None)
    assert lost["detail"].startswith("member large.jsonl: it takes more than 500,000 bytes of temporary disk")
    documents, (lost,) = found["b.parquet.gz"]
    assert (documents, lost["reason"]) == (0, "file_too_large")
    assert "ingest.max_unpacked_bytes" in lost["detail"]
