import bz2
import gzip
import json
import os
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts
from transforms.ingest import columns as documents
from transforms.ingest.readers import RAW_BYTES, REASONS, read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Fields, Source, plan_splits

COMPRESS = {"gz": gzip.compress, "zst": zstandard.compress, "bz2": bz2.compress}
LIMITS = ReadLimits()


def read(path, limits=LIMITS, keep=(), target=32 << 20, **source):
    """All documents and all quarantined records of a file or folder, as rows."""
    source = Source(name="s", path=path if isinstance(path, list) else str(path), **source)
    good, bad = [], []
    for split in plan_splits([source], target):
        for one, other in read_split(split, source, limits, keep):
            assert one.num_rows or other.num_rows
            assert one.schema.equals(documents.schema(keep))
            contracts.QUARANTINE.check(other)
            one.validate(full=True)
            good += one.to_pylist()
            bad += other.to_pylist()
    assert {record["reason"] for record in bad} <= set(REASONS)
    assert all(record["detail"] and "\n" not in record["detail"] for record in bad)
    return good, bad


def jsonl(folder, *lines, name="a.jsonl", compress=bytes):
    path = folder / name
    path.write_bytes(
        compress(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    )
    return path


def texts(rows):
    return [row["text"] for row in rows]


def reasons(rows):
    return [(row["row"], row["reason"]) for row in rows]


# --- What a document is -----------------------------------------------------------------------------------------------


def test_a_dolma_record(tmp_path):
    record = {
        "id": "cc-1", "text": "Hello.", "source": "cc", "added": "2024-01-01", "created": "2019-05-13T10:00:00.000Z",
        "metadata": {"lang": "en", "n": 3},
    }  # fmt: skip
    path = jsonl(tmp_path, record, name="a.json.gz", compress=gzip.compress)
    [row], bad = read(path, keep=("source", "metadata", "metadata.n", "none"), fields=Fields(language="metadata.lang"))
    assert bad == []
    assert len(row.pop("doc_id")) == 16
    assert row == {
        "file": 0, "row": 0, "id": "cc-1", "text": "Hello.", "created": datetime(2019, 5, 13, 10, tzinfo=UTC),
        "language": "en", "url": None, "declared_origin": contracts.UNKNOWN, "generator": None,
        "licence": None, "author": None,
        "kind": None, "stratum": None, "not_understood": None, "derived_from": None, "verifier": None,
        "source": "cc", "metadata": '{"lang":"en","n":3}', "metadata.n": "3", "none": None,
    }  # fmt: skip


def test_a_fineweb_record_is_the_same_in_parquet_and_in_json(tmp_path):
    record = {
        "text": "Héllo.", "id": "<urn:uuid:1>", "dump": "CC-MAIN-2013-20", "url": "http://x",
        "date": "2013-05-18T05:48:54Z",
        "file_path": "s3://y", "language": "en", "language_score": 0.9, "token_count": 3,
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
    keep = ("dump", "token_count", "language_score")
    rows, _ = read(tmp_path / "a.parquet", keep=keep)
    assert rows == read(jsonl(tmp_path, record), keep=keep)[0]
    assert rows[0]["created"] == datetime(2013, 5, 18, 5, 48, 54, tzinfo=UTC)
    assert (rows[0]["token_count"], rows[0]["language_score"]) == ("3", "0.9")


def test_row_by_row_the_first_well_known_name_that_says_something_counts(tmp_path):
    path = jsonl(
        tmp_path, {"content": "a", "_id": 7}, {"text": None, "body": "b", "id": "x"}, {"text": "c", "body": "d"}
    )
    rows, bad = read(path)
    assert (texts(rows), [row["id"] for row in rows], bad) == (["a", "b", "c"], ["7", "x", None], [])


def test_a_field_that_the_recipe_names_is_the_only_one(tmp_path):
    path = jsonl(tmp_path, {"text": "a", "deep": {"body": "b"}, "id": 1}, {"text": "a"}, {"deep.body": "c", "deep": 1})
    rows, bad = read(path, fields=Fields(text="deep.body", id="none"))
    assert texts(rows) == ["b", "c"]
    assert [row["id"] for row in rows] == [None, None]
    assert reasons(bad) == [(1, "missing_text")]
    assert "deep.body" in bad[0]["detail"]
    assert "fields.text" in bad[0]["detail"]


@pytest.mark.parametrize(
    ("record", "source", "origin", "generator"),
    [
        ({}, {}, "unknown", None),
        ({}, {"origin": "human", "generator": "m"}, "human", None),
        ({}, {"origin": "synthetic", "generator": "m"}, "synthetic", "m"),
        # What a guessed name says never overrules the recipe; a column that the recipe names does.
        ({"model": "n"}, {"origin": "synthetic", "generator": "m"}, "synthetic", "m"),
        ({"model": "n"}, {"origin": "synthetic"}, "synthetic", "n"),
        ({"by": "n"}, {"origin": "synthetic", "generator": "m", "fields": Fields(generator="by")}, "synthetic", "n"),
        ({"origin": " AI "}, {"origin": "human", "generator": "m"}, "human", None),
        (
            {"origin": " AI "},
            {"origin": "human", "generator": "m", "fields": Fields(origin="origin")},
            "synthetic",
            "m",
        ),
        ({"label": "ai"}, {"origin": "human"}, "human", None),
        ({"origin": "Real"}, {"origin": "synthetic"}, "synthetic", None),
        ({"origin": "Real"}, {"origin": "synthetic", "fields": Fields(origin="origin")}, "human", None),
        ({"label": "human"}, {}, "human", None),
        ({"label": "machine"}, {}, "synthetic", None),
        ({"label": "real"}, {}, "unknown", None),  # as likely of news as of authors
        ({"label": "real"}, {"fields": Fields(origin="label")}, "human", None),
        ({"label": 0}, {}, "unknown", None),
        ({"origin": "France"}, {}, "unknown", None),
        ({"origin": "France", "label": "ai"}, {}, "synthetic", None),
        ({"origin": {"x": 1}}, {"origin": "synthetic"}, "synthetic", None),
        ({"origin": "unknown"}, {"origin": "human"}, "human", None),
    ],
)
def test_who_wrote_it(tmp_path, record, source, origin, generator):
    [row], _ = read(jsonl(tmp_path, {"text": "a", **record}), **source)
    assert (contracts.ORIGINS[row["declared_origin"]], row["generator"]) == (origin, generator)


@pytest.mark.parametrize(
    ("created", "moment"),
    [
        (1_557_741_600, datetime(2019, 5, 13, 10, tzinfo=UTC)),
        (1_557_741_600_000.0, datetime(2019, 5, 13, 10, tzinfo=UTC)),
        ("1931-07-04", datetime(1931, 7, 4, tzinfo=UTC)),
        (True, None),
        (2019, None),
        ({"year": 2019}, None),
        ("soon", None),
    ],
)
def test_a_bad_date_is_no_date(tmp_path, created, moment):
    rows, bad = read(jsonl(tmp_path, {"text": "a", "created": created}, {"text": "b", "date": "2020-01-01"}))
    assert [row["created"] for row in rows] == [moment, datetime(2020, 1, 1, tzinfo=UTC)]
    assert bad == []


def test_the_identity_is_of_source_id_and_text_and_not_of_the_place(tmp_path):
    def identity(record, name="s", folder="x", before=()):
        (tmp_path / folder).mkdir(exist_ok=True)
        source = Source(name=name, path=str(jsonl(tmp_path / folder, *before, record)))
        [split] = plan_splits([source])
        return next(read_split(split, source, LIMITS))[0]["doc_id"][-1].as_py()

    one = identity({"id": "1", "text": "ab"})
    assert one == identity({"text": "ab", "id": 1, "url": "u"}, folder="y", before=({"text": "x"},))
    others = [
        identity({"id": "1", "text": "ac"}),
        identity({"id": "1a", "text": "b"}),
        identity({"id": "", "text": "ab"}),
        identity({"text": "ab"}),
        identity({"text": "1ab"}),
        identity({"id": "1", "text": "ab"}, name="t"),
    ]
    assert len({one, *others}) == 7


def test_an_empty_text_and_a_nul_are_text(tmp_path):
    rows, bad = read(jsonl(tmp_path, {"text": ""}, {"text": " \n"}, {"text": "a\0b"}))
    assert (texts(rows), bad) == (["", " \n", "a\0b"], [])


def test_of_two_equal_keys_the_last_counts(tmp_path):
    assert texts(read(jsonl(tmp_path, b'{"text":"a","text":"b"}\n'))[0]) == ["b"]


# --- Lines ------------------------------------------------------------------------------------------------------------


def test_blank_lines_and_byte_order_marks_are_nothing_but_lines_count(tmp_path):
    path = jsonl(tmp_path, b"\xef\xbb\xbf", {"text": "a"}, b"\n", b"  \r\n", b'{"text":"b"}\r\n', b'{"text":"c"}')
    rows, bad = read(path)
    assert ([(row["row"], row["text"]) for row in rows], bad) == ([(0, "a"), (3, "b"), (4, "c")], [])


BAD_LINES = [
    (b'{"text": "a', "bad_json"),
    (b'{"text": NaN}', "bad_json"),
    (b"[" * 5000, "bad_json"),
    (b"[1]", "not_an_object"),
    (b"null", "not_an_object"),
    (b"{}", "missing_text"),
    (b'{"text": null}', "missing_text"),
    (b'{"text": 5}', "text_not_string"),
    (b'{"text": ["a"]}', "text_not_string"),
    (b'{"text": "\xff"}', "invalid_utf8"),
    (b'{"text": "\xed\xa0\x80"}', "invalid_utf8"),
    (b'{"text": "\\ud800"}', "invalid_utf8"),
    (b'{"text": "\\udc00"}', "invalid_utf8"),
    (b'{"text": "a", "other": "\\ud800x"}', "invalid_utf8"),
    (b'{"text": "' + b"x" * 2001 + b'"}', "text_too_long"),
    (b'{"text": "' + b"x" * 9000 + b'"}', "line_too_long"),
]
TIGHT = {"max_text_bytes": 2000, "max_line_bytes": 8000}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_line_costs_itself_only(tmp_path, line, reason):
    good = [{"text": f"text {i}", "id": i, "created": "2019-01-01", "label": "ai"} for i in range(4)]
    alone, _ = read(jsonl(tmp_path, *good))
    rows, bad = read(jsonl(tmp_path, *good[:2], line + b"\n", *good[2:]), ReadLimits(**TIGHT))
    assert [{**row, "row": 0} for row in rows] == [{**row, "row": 0} for row in alone]
    assert [row["row"] for row in rows] == [0, 1, 3, 4]
    assert reasons(bad) == [(2, reason)]
    assert bad[0]["raw"] == line[:RAW_BYTES]
    assert bad[0]["path"] == str(tmp_path / "a.jsonl")


@given(
    lines=st.lists(
        st.sampled_from([line for line, _ in BAD_LINES] + [b"", b" "])
        | st.builds(
            lambda text, id: json.dumps({"text": text, "id": id}).encode(),
            st.text(max_size=300),
            st.integers() | st.none(),
        ),
        max_size=30,
    ),
    batch_bytes=st.integers(1, 3000),
    extension=st.sampled_from(["jsonl", "jsonl.gz", "jsonl.zst", "jsonl.bz2"]),
)
def test_batches_do_not_change_what_is_read(tmp_path_factory, lines, batch_bytes, extension):
    folder = tmp_path_factory.mktemp("lines")
    compress = COMPRESS.get(extension.split(".")[-1], bytes)
    path = jsonl(folder, {"text": "first"}, b"\n".join(lines), name=f"a.{extension}", compress=compress)
    whole = read(path, ReadLimits(**TIGHT))
    assert read(path, ReadLimits(batch_bytes=batch_bytes, **TIGHT)) == whole
    assert len(whole[0]) + len(whole[1]) == 1 + sum(bool(line.strip()) for line in lines)


def test_a_batch_holds_about_as_much_as_was_asked(tmp_path):
    path = jsonl(tmp_path, *({"text": "x" * 1000} for _ in range(2000)))
    source = Source(name="s", path=str(path))
    [split] = plan_splits([source])
    sizes = [good["text"].nbytes for good, _ in read_split(split, source, ReadLimits(batch_bytes=100_000))]
    assert all(100_000 <= size < 220_000 for size in sizes[:-1])


@pytest.mark.parametrize(
    "content", [b'[\n  {"text": "a"},\n  {"text": "b"}\n]', b'[{"text": "a"},\n{"text": "b"}]', b'\n{\n "text": "a"\n}']
)
def test_json_over_many_lines_is_read(tmp_path, content):
    rows, bad = read(jsonl(tmp_path, content, name="a.json"))
    assert texts(rows) == ["a", "b"][: len(rows)]
    assert (len(rows), bad) == (content.count(b"text"), [])


def test_lines_of_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(
        "\ufeffone\r\n\nthrée\n".encode() + b"\xff\n" + b"x" * 2001 + b"\n" + b"y" * 9000 + b"\nlast"
    )
    rows, bad = read(tmp_path, ReadLimits(batch_bytes=64, **TIGHT), format="lines")
    assert [(row["row"], row["text"]) for row in rows] == [(0, "one"), (1, ""), (2, "thrée"), (6, "last")]
    assert reasons(bad) == [(3, "invalid_utf8"), (4, "text_too_long"), (5, "line_too_long")]


# --- Files of one document --------------------------------------------------------------------------------------------


def test_many_small_files_are_few_batches(tmp_path):
    for i in range(300):
        (tmp_path / f"{i:03}.txt").write_text(f"line {i}\nline\n")
    (tmp_path / "100.txt").write_bytes(b"\xff")
    (tmp_path / "200.txt").write_bytes(b"x" * 3000)
    source = Source(name="s", path=str(tmp_path), origin="human")
    [split] = plan_splits([source])
    [(good, bad)] = read_split(split, source, ReadLimits(**TIGHT))
    assert good["file"].to_pylist() == [i for i in range(300) if i not in (100, 200)]
    assert good["text"][7].as_py() == "line 7\nline\n"
    assert set(good["declared_origin"].to_pylist()) == {contracts.HUMAN}
    assert bad["reason"].to_pylist() == ["invalid_utf8", "text_too_long"]
    assert bad["raw"].to_pylist() == [b"\xff", b"x" * RAW_BYTES]
    assert read(tmp_path, ReadLimits(batch_bytes=100, **TIGHT), origin="human") == (good.to_pylist(), bad.to_pylist())


def test_a_folder_of_several_formats_keeps_the_order_of_its_paths(tmp_path):
    jsonl(tmp_path, {"text": "a"}, name="a.jsonl")
    pq.write_table(pa.table({"text": ["b"]}), tmp_path / "b.parquet")
    jsonl(tmp_path, {"text": "c"}, name="c.jsonl.gz", compress=gzip.compress)
    rows, _ = read(tmp_path)
    assert [(row["file"], row["text"]) for row in rows] == [(0, "a"), (1, "b"), (2, "c")]


def test_a_file_that_is_gone_is_quarantined(tmp_path):
    for name in "abc":
        jsonl(tmp_path, {"text": name}, name=f"{name}.jsonl")
    source = Source(name="s", path=str(tmp_path))
    [split] = plan_splits([source])
    os.remove(tmp_path / "b.jsonl")
    [(good, bad)] = read_split(split, source, LIMITS)
    assert good["text"].to_pylist() == ["a", "c"]
    assert reasons(bad.to_pylist()) == [(-1, "unreadable_file")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.txt", "a.parquet"])
def test_a_folder_in_the_place_of_a_file_is_quarantined(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    source = Source(name="s", path=str(tmp_path / name))
    [split] = plan_splits([source])
    os.remove(tmp_path / name)
    os.mkdir(tmp_path / name)
    [(good, bad)] = read_split(split, source, LIMITS)
    assert (good.num_rows, reasons(bad.to_pylist())) == (0, [(-1, "unreadable_file")])


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.txt.gz"])
def test_a_compressed_file_of_0_bytes_is_a_lost_file(tmp_path, name):
    """Without documents it would be some bytes long: a full disk, or a download that never began, left this."""
    (tmp_path / name).write_bytes(b"")
    jsonl(tmp_path, {"text": "a"}, name="whole.jsonl")
    rows, [bad] = read([str(tmp_path / name), str(tmp_path / "whole.jsonl")])
    assert (texts(rows), bad["row"], bad["reason"]) == (["a"], -1, "truncated_file")
    assert "the file has 0 bytes" in bad["detail"]


# --- Compression ------------------------------------------------------------------------------------------------------


def noise(n):
    """Records that no compressor shrinks much."""
    return [{"text": np.random.default_rng(i).bytes(600).hex()} for i in range(n)]


@pytest.mark.parametrize("extension", COMPRESS)
def test_a_file_of_several_compressed_parts_is_read_whole(tmp_path, extension):
    compress, records = COMPRESS[extension], noise(20)
    body = [json.dumps(record).encode() + b"\n" for record in records]
    path = tmp_path / f"a.jsonl.{extension}"
    path.write_bytes(compress(b"".join(body[:7])) + compress(b"".join(body[7:]) + b"\n"))
    rows, bad = read(path)
    assert (texts(rows), bad) == (texts(records), [])


@pytest.mark.parametrize("extension", COMPRESS)
@pytest.mark.parametrize("lost", [1, 5, 20_000, 110_000])
def test_a_cut_file_gives_all_whole_lines_before_the_cut(tmp_path, extension, lost):
    records = noise(200)
    path = jsonl(tmp_path, *records, name=f"a.jsonl.{extension}", compress=COMPRESS[extension])
    data = path.read_bytes()[:-lost]
    path.write_bytes(data)
    reader = {
        "gz": lambda f: gzip.GzipFile(fileobj=f),
        "bz2": bz2.BZ2File,
        "zst": lambda f: zstandard.ZstdDecompressor().stream_reader(f),
    }[extension]
    before = b""
    with open(path, "rb") as file, reader(file) as stream:
        try:
            while some := stream.read1(4096) if extension != "zst" else stream.read(4096):
                before += some
        except EOFError:
            pass
    whole, rest = before.count(b"\n"), before[before.rfind(b"\n") + 1 :]
    rows, bad = read(path)
    assert texts(rows) == texts(records[:whole])
    assert reasons(bad) == [(whole, "truncated_file")]
    assert bad[0]["raw"] == rest[:RAW_BYTES]
    assert read(path, ReadLimits(batch_bytes=5000)) == (rows, bad)


@pytest.mark.parametrize("tail", [b"\0" * 100, b"garbage", b"\x1f\x8b"], ids=["zeros", "garbage", "half a header"])
def test_what_follows_a_gzip_file_costs_none_of_its_documents(tmp_path, tail):
    """Padding with zeros is allowed (gzip's manual, "Tapes"); anything else is damage behind the last document."""
    records = noise(30)
    path = jsonl(tmp_path, *records, name="a.jsonl.gz", compress=lambda data: gzip.compress(data) + tail)
    rows, bad = read(path)
    assert texts(rows) == texts(records)
    assert reasons(bad) in ([], [(30, "corrupt_file")], [(30, "truncated_file")])
    assert (bad == []) == (not tail.strip(b"\0"))


@pytest.fixture(scope="module")
def long_gzip(tmp_path_factory):
    records = noise(4000)
    return records, jsonl(tmp_path_factory.mktemp("long"), *records, name="a.jsonl.gz", compress=gzip.compress)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9, "checksum"])
def test_a_flipped_bit_of_a_gzip_file_loses_what_is_behind_it_only(tmp_path, long_gzip, place):
    records, whole = long_gzip
    path, data = tmp_path / whole.name, bytearray(whole.read_bytes())
    at = len(data) - 8 if place == "checksum" else int(place * len(data))
    data[at] ^= 0b1000
    path.write_bytes(data)
    rows, bad = read(path)
    assert len(bad) >= 1
    assert bad[-1]["reason"] in ("corrupt_file", "truncated_file", "bad_json")
    sure = 0 if place == "checksum" else int(at / len(data) * len(records)) - 3000
    assert texts(rows)[: max(0, sure)] == texts(records)[: max(0, sure)]
    assert read(path, ReadLimits(batch_bytes=50_000)) == (rows, bad)  # in 80 batches or so


@pytest.mark.parametrize("extension", COMPRESS)
def test_what_is_not_compressed_at_all_is_read_if_it_is_plain_and_else_corrupt(tmp_path, extension):
    rows, bad = read(jsonl(tmp_path, {"text": "a"}, name=f"a.jsonl.{extension}"))
    assert (texts(rows), reasons(bad)) == (["a"], [(-1, "misnamed_file")])
    rows, bad = read(jsonl(tmp_path, b"garbage", name=f"a.jsonl.{extension}"))
    assert (rows, reasons(bad)) == ([], [(0, "corrupt_file")])


@pytest.mark.parametrize("extension", COMPRESS)
def test_a_cut_file_of_one_document_is_no_document(tmp_path, extension):
    text = b"".join(json.dumps(record).encode() for record in noise(5))
    (tmp_path / f"a.txt.{extension}").write_bytes(COMPRESS[extension](text)[:-10])
    (tmp_path / f"b.txt.{extension}").write_bytes(COMPRESS[extension](text))
    rows, bad = read(tmp_path)
    assert (texts(rows), reasons(bad)) == ([text.decode()], [(-1, "truncated_file")])


def test_a_small_file_that_swells_is_stopped_at_the_limit(tmp_path):
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(b'{"text": "' + b"x" * 300_000_000))
    pa.default_memory_pool().release_unused()
    rows, bad = read(tmp_path, ReadLimits(max_line_bytes=1_000_000))
    assert (rows, reasons(bad)) == ([], [(0, "line_too_long")])


# --- Parquet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_text_in_any_of_arrow_s_types(tmp_path, dtype):
    values = pa.array(["one", None, "thrée"])
    values = values.dictionary_encode() if pa.types.is_dictionary(dtype) else values.cast(dtype)
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
    rows, bad = read(tmp_path)
    assert [(row["row"], row["text"]) for row in rows] == [(0, "one"), (2, "thrée")]
    assert reasons(bad) == [(1, "missing_text")]


@pytest.mark.parametrize("dtype", [pa.string(), pa.binary()], ids=str)
def test_text_that_is_not_utf8_is_quarantined_and_another_column_s_is_hexadecimal(tmp_path, dtype):
    values = pa.array([b"good", b"\xffbad", b"x" * 2001], pa.binary()).view(dtype)
    pq.write_table(pa.table({"text": values, "id": values, "language": values}), tmp_path / "a.parquet")
    rows, bad = read(tmp_path, ReadLimits(**TIGHT))
    assert texts(rows) == ["good"]
    assert reasons(bad) == [(1, "invalid_utf8"), (2, "text_too_long")]
    assert bad[0]["raw"] == b"\xffbad"
    pq.write_table(pa.table({"text": ["a"], "id": values[1:2]}), tmp_path / "a.parquet")
    assert read(tmp_path)[0][0]["id"] == b"\xffbad".hex()


def test_columns_of_every_kind_become_strings(tmp_path):
    table = pa.table(
        {
            "doc": [{"body": "a"}, None, {"body": None}],
            "id": [1, 2, 3],
            "created": pa.array([0, 1, 2], pa.date32()),
            "tags": [["x"], [], None],
            "score": [0.5, None, 1.0],
            "when": pa.array([0, 1, 2], pa.timestamp("s")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    keep = ("tags", "score", "when", "doc")
    [row], bad = read(tmp_path, keep=keep, fields=Fields(text="doc.body"))
    assert (row["text"], row["id"], row["created"]) == ("a", "1", datetime(1970, 1, 1, tzinfo=UTC))
    assert [row[name] for name in keep] == ['["x"]', "0.5", "1970-01-01 00:00:00.000", '{"body":"a"}']
    assert reasons(bad) == [(1, "missing_text"), (2, "missing_text")]


def test_no_text_column_names_those_that_are_there_and_the_key_to_set(tmp_path):
    pq.write_table(pa.table({"title": ["a"], "story": ["b"]}), tmp_path / "a.parquet")
    rows, [bad] = read(tmp_path)
    assert (rows, bad["row"], bad["reason"]) == ([], -1, "missing_text")
    assert "title, story" in bad["detail"]
    assert "fields.text of source s" in bad["detail"]


def test_a_text_column_of_numbers(tmp_path):
    pq.write_table(pa.table({"text": [1]}), tmp_path / "a.parquet")
    assert reasons(read(tmp_path)[1]) == [(-1, "text_not_string")]


def parquet(folder, n=100, **options):
    records = noise(n)
    path = folder / "a.parquet"
    pq.write_table(pa.Table.from_pylist(records), path, row_group_size=n // 10, use_dictionary=False, **options)
    return path, texts(records)


@pytest.mark.parametrize("batch_bytes", [1, 5000, 8 << 20])
def test_row_numbers_go_on_over_the_splits_of_a_file(tmp_path, batch_bytes):
    path, expected = parquet(tmp_path)
    assert len(plan_splits([Source(name="s", path=str(path))], 20_000)) > 3
    rows, bad = read(path, ReadLimits(batch_bytes=batch_bytes), target=20_000)
    assert [(row["row"], row["text"]) for row in rows] == list(enumerate(expected))
    assert bad == []


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip"])
@pytest.mark.parametrize("held", [True, False])
def test_a_damaged_row_group_is_lost_whole_and_alone(tmp_path, monkeypatch, compression, held):
    path, expected = parquet(tmp_path, compression=compression, write_page_checksum=True)
    chunk = pq.read_metadata(path).row_group(3).column(0)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 500] ^= 0xFF
    path.write_bytes(data)
    if not held:
        monkeypatch.setattr("transforms.ingest.parquet._HELD_BYTES", 0)
    rows, bad = read(path)
    assert texts(rows) == expected[:30] + expected[40:]
    assert reasons(bad) == [(30, "corrupt_file")]
    assert "row group 3 with its 10 rows" in bad[0]["detail"]
    assert read(path, ReadLimits(batch_bytes=2000)) == (rows, bad)


@pytest.mark.parametrize("left", [4, 3000, -1, -4, -100])
def test_a_cut_parquet_file_is_named_once(tmp_path, left):
    path, _ = parquet(tmp_path)
    path.write_bytes(path.read_bytes()[:left])
    rows, bad = read(path, target=1000)
    assert (rows, reasons(bad)) == ([], [(-1, "truncated_file")])


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 9])
def test_what_is_not_parquet_is_corrupt(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    assert reasons(read(tmp_path)[1]) == [(-1, "other_format" if content else "corrupt_file")]


@pytest.mark.slow
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_no_damage_to_a_file_is_an_exception(tmp_path_factory, position, flip):
    folder = tmp_path_factory.mktemp("damage")
    path, expected = parquet(folder, n=20, compression="snappy", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= flip
    path.write_bytes(data)
    rows, bad = read(path, target=3000)
    assert bad or len(rows) == len(expected)
    assert read(path, ReadLimits(batch_bytes=700), target=3000) == (rows, bad)


def test_a_kind_is_of_synthetic_text_and_a_stratum_is_any_column(tmp_path):
    records = [
        {"text": "one", "origin": "synthetic", "kind": " Textbook ", "meta": {"topic": "law"}},
        {"text": "two", "origin": "synthetic"},
        {"text": "three", "origin": "human", "kind": "essay", "meta": {"topic": 7}},
    ]
    rows, bad = read(jsonl(tmp_path, *records), kind="rephrased", fields={"kind": "kind", "stratum": "meta.topic"})
    assert bad == []
    assert [(row["kind"], row["stratum"]) for row in rows] == [("textbook", "law"), ("rephrased", None), (None, "7")]
