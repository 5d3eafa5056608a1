"""A file is what its first bytes say: one sentence for it, and no blame for its records."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import zstandard

from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece, Source, Split

TABLE = pa.table({"text": ["one", "two"]})
LINES = b'{"text": "one"}\n{"text": "two"}\n'


def read(path, content, format="jsonl", compression=""):
    path.write_bytes(content)
    piece = Piece(str(path), format, compression, len(content), "x")
    texts, bad = [], []
    for documents, quarantine in read_split(Split(0, 0, (piece,), 1), Source(name="s", path=str(path)), ReadLimits()):
        texts += documents["text"].to_pylist()
        bad += quarantine.to_pylist()
    return texts, bad


def written(write) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def parquet() -> bytes:
    return written(lambda sink: pq.write_table(TABLE, sink))


def arrow_stream() -> bytes:
    def write(sink):
        with pa.ipc.new_stream(sink, TABLE.schema) as writer:
            writer.write_table(TABLE)

    return written(write)


def tar() -> bytes:
    def write(sink):
        with tarfile.open(fileobj=sink, mode="w") as file:
            for name in ("one", "two"):
                info = tarfile.TarInfo(f"{name}.txt")
                info.size = 3
                file.addfile(info, io.BytesIO(name.encode()))

    return written(write)


def zipped() -> bytes:
    def write(sink):
        with zipfile.ZipFile(sink, "w") as file:
            file.writestr("a.jsonl", LINES)

    return written(write)


def sqlite() -> bytes:
    with sqlite3.connect(":memory:") as db:
        db.execute("create table documents (body text)")
        return db.serialize()


OTHERS = [
    (parquet, "text", "set format: parquet"),
    (tar, "text", "set format: tar"),
    (sqlite, "jsonl", "sqlite3 -json"),
    (lambda: b"%PDF-1.7\n" + b"x" * 600, "text", "pdftotext"),
    (lambda: LINES.decode().encode("utf-16"), "jsonl", "iconv -f UTF-16"),
    (lambda: LINES.decode().encode("utf-16-le"), "jsonl", "iconv -f UTF-16LE"),
    (lambda: LINES.decode().encode("utf-32"), "lines", "iconv -f UTF-32"),
    (lambda: "one".encode("utf-16"), "text", "iconv -f UTF-16"),
    (lambda: b"<!DOCTYPE html><html>Not found", "jsonl", "error page"),
    (lambda: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "parquet", "error message"),
    (lambda: b"../../blobs/0123abcd", "jsonl", "cp -L"),
    (lambda: gzip.compress(gzip.compress(LINES, mtime=0)), "jsonl", "gzip -d"),
]


@pytest.mark.parametrize(("content", "format", "advice"), OTHERS)
def test_what_is_not_read_is_named_once_with_what_helps(tmp_path, content, format, advice):
    texts, bad = read(tmp_path / "a", content(), format)
    assert texts == []
    assert [(row["row"], row["reason"]) for row in bad] == [(-1, "other_format")]
    assert bad[0]["detail"].startswith("this is ")
    assert advice in bad[0]["detail"]


@pytest.mark.parametrize(
    ("content", "format", "compression", "what"),
    [
        (gzip.compress(LINES, mtime=0), "jsonl", "", "gzip"),
        (gzip.compress(LINES, mtime=0), "jsonl", "zstd", "gzip"),
        (zstandard.compress(LINES), "jsonl", "gzip", "zstd"),
        (bz2.compress(LINES), "jsonl", "", "bzip2"),
        (b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstandard.compress(LINES), "jsonl", "", "zstd"),
        (LINES, "jsonl", "gzip", "not compressed"),
        (b"\xef\xbb\xbf\n" + LINES, "jsonl", "bz2", "not compressed"),
        (LINES, "parquet", "", "JSON Lines"),
        (parquet(), "jsonl", "", "Parquet"),
        (parquet(), "lines", "gzip", "Parquet"),
        (gzip.compress(LINES, mtime=0), "parquet", "", "gzip"),
        (written(lambda sink: pa.feather.write_feather(TABLE, sink)), "jsonl", "", "an Arrow or Feather file"),
        (arrow_stream(), "jsonl", "", "an Arrow stream"),
        (written(lambda sink: pa.orc.write_table(TABLE, sink)), "jsonl", "", "an ORC file"),
        (lzma.compress(LINES), "jsonl", "", "xz"),
        (tar(), "jsonl", "", "a tar file"),
        (gzip.compress(tar()), "jsonl", "", "a tar file"),
        (zipped(), "parquet", "", "a zip file"),
        (zstandard.compress(parquet()), "parquet", "", "Parquet"),
        (b'[{"text": "one"}, {"text": "two"}]', "jsonl", "gzip", "JSON that is not one object a line"),
    ],
)
def test_what_can_be_read_is_read_whatever_it_is_called(tmp_path, content, format, compression, what):
    texts, [remark] = read(tmp_path / "a", content, format, compression)
    assert texts == ["one", "two"]
    assert (remark["reason"], remark["records"]) == ("misnamed_file", 0)
    assert f"the file is {what}, whatever its name says" in remark["detail"]


@pytest.mark.parametrize(
    "content", [b"PAR1 is a magic word", b"ORCHARDS", b"BZh9 is another", b"FEA1", b"../up/and/away", b"<html>", b"{}"]
)
def test_text_may_begin_like_something_else(tmp_path, content):
    texts, bad = read(tmp_path / "a", content, "text")
    assert (texts, bad) == ([content.decode()], [])


def test_a_text_file_may_be_compressed_whatever_its_name_says(tmp_path):
    assert read(tmp_path / "a", gzip.compress(b"one", mtime=0), "text")[0] == ["one"]
    assert read(tmp_path / "a", b"one", "text", "gzip")[0] == ["one"]


@pytest.mark.parametrize(
    ("content", "texts", "bad"),
    [
        (b'[{"text": "a"}, {"text": "b"}]', ["a", "b"], []),
        (b' [\n{"text": "a"}]\n', ["a"], []),
        (b"[" + b'{"text": "a"},' * 20_000 + b"{}]", ["a"] * 20_000, [(20_000, "missing_text")]),
        (b"[]", [], []),
    ],
)
def test_a_json_array_is_its_objects(tmp_path, content, texts, bad):
    found, records = read(tmp_path / "a.json", content)
    assert (found, [(row["row"], row["reason"]) for row in records]) == (texts, bad)
    remarks = read(tmp_path / "a.jsonl", content)[1]
    assert remarks[0]["reason"] == "misnamed_file"


def test_a_line_that_is_an_array_is_a_bad_line(tmp_path):
    texts, bad = read(tmp_path / "a", b"[1]\n" + LINES)
    assert (texts, [(row["row"], row["reason"]) for row in bad]) == (["one", "two"], [(0, "not_an_object")])


@pytest.mark.parametrize("between", [b"", b" ", b"\r", b"\x1e", b"\0"])
def test_documents_on_one_line_are_lost_each_for_itself(tmp_path, between):
    """Concatenated JSON, line ends of an old Mac, record separators: one line, and sixty documents."""
    documents = [json.dumps({"text": f"}}{{ \\frac{{a}}{{b}} {i}", "n": "{}"}).encode() for i in range(60)]
    texts, [bad] = read(tmp_path / "a", LINES + between.join(documents) + b"\n")
    assert (texts, bad["row"], bad["reason"], bad["records"]) == (["one", "two"], 2, "bad_json", 60)
    assert "60 JSON values on one line" in bad["detail"]
    cut = b"".join(documents)[:-5]
    assert read(tmp_path / "a", LINES + cut)[1][0]["records"] == 60


def test_a_line_with_more_documents_than_are_counted_is_weighed_by_its_bytes(tmp_path):
    texts, [bad] = read(tmp_path / "a", LINES + b'{"text": "\xc3\xa4"}' * 200_000)
    assert (texts, bad["records"]) == (["one", "two"], pytest.approx(200_000, rel=1e-4))


@pytest.mark.parametrize(("line", "records"), [(b'[{"text": "a"}, {"text": "b"}]', 2), (b"[1, 2, 3]", 1), (b"[]", 1)])
def test_a_line_that_is_an_array_counts_for_the_objects_in_it(tmp_path, line, records):
    _, [bad] = read(tmp_path / "a", LINES + line)
    assert (bad["reason"], bad["records"]) == ("not_an_object", records)


def test_of_a_file_that_is_one_object_around_the_documents_they_are_read(tmp_path):
    content = json.dumps({"version": 1, "data": [{"text": str(i)} for i in range(60)]}).encode()
    assert read(tmp_path / "a", content) == ([str(i) for i in range(60)], [])
    late = json.dumps({"about": "x" * 2000, "data": [{"text": "a"}]}).encode()  # it cannot be told from its first bytes
    texts, [bad] = read(tmp_path / "a", late)
    assert (texts, bad["row"], bad["reason"], bad["records"]) == ([], -1, "bad_json", 1)
    assert "set format: json" in bad["detail"]
    # Beside other lines it is one that has no text: a chat, perhaps.
    for lines in (LINES + content, content + b"\n" + LINES):
        texts, [bad] = read(tmp_path / "a", lines)
        assert (texts, bad["reason"], bad["records"]) == (["one", "two"], "missing_text", 1)


def test_a_pointer_says_how_long_the_file_is(tmp_path):
    content = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    for format in ("jsonl", "parquet", "lines"):
        texts, [bad] = read(tmp_path / "a", content, format)
        assert (texts, bad["records"], bad["n_bytes"]) == ([], None, 12345)


def test_a_long_window_is_said(tmp_path):
    packed = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(3, window_log=29)
    )
    sink = io.BytesIO()
    with packed.stream_writer(
        sink, closefd=False
    ) as writer:  # of unknown length, so that the window stands in the header
        writer.write(LINES)
    texts, bad = read(tmp_path / "a", sink.getvalue(), "jsonl", "zstd")
    assert texts in ([], ["one", "two"])
    assert bad == [] or "zstd --long" in bad[0]["detail"]


def test_nested_and_long_numbers_are_rows_and_no_faults(tmp_path):
    lines = [{"text": "good"}]
    content = json.dumps(lines[0]).encode() + b"\n"
    content += b'{"text": "deep", "id": ' + b"[" * 900 + b"]" * 900 + b"}\n"
    content += b'{"text": "deeper", "id": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}\n"
    content += b'{"text": "long", "id": ' + b"9" * 5000 + b"}\n"
    texts, bad = read(tmp_path / "a", content)
    assert texts[0] == "good"
    assert len(texts) + sum(row["records"] for row in bad) == 4
