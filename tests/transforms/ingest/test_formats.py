"""Every format is read, a torn or damaged file is quarantined and counted, and no record is lost or read twice."""

import bz2
import csv
import gzip
import io
import json
import lzma
import pathlib
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import zstandard

from expectations import contracts
from transforms.ingest.formats import FORMATS
from transforms.ingest.readers import READERS, read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Fields, Source, plan_splits

RECORDS = [{"id": f"r{i}", "text": f'Text {i}, with ünïcode, a "quote"\nand a line.', "lang": "en"} for i in range(40)]
TABLE = pa.Table.from_pylist(RECORDS)


def read(path, keep=(), limits=None, **source):
    """Documents and quarantined records; the places of documents differ, and rows ascend."""
    source = Source(name="s", path=str(path), **source)
    good, bad = [], []
    for split in plan_splits([source]):
        for documents, quarantine in read_split(split, source, limits or ReadLimits(), keep):
            documents.validate(full=True)
            good += [
                row | {"declared_origin": contracts.ORIGINS[row["declared_origin"]]} for row in documents.to_pylist()
            ]
            bad += quarantine.to_pylist()
    places = [(row["file"], row["row"]) for row in good]
    assert places == sorted(set(places))
    return good, bad


def written(write) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def as_csv(delimiter=",", records=RECORDS) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, list(records[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return sink.getvalue().encode()


def as_stream(table=TABLE) -> bytes:
    def write(sink):
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=10)

    return written(write)


def as_lines(records=RECORDS) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def as_tar(members, mode="w") -> bytes:
    def write(sink):
        with tarfile.open(fileobj=sink, mode=mode) as file:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))

    return written(write)


def as_zip(members) -> bytes:
    def write(sink):
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)

    return written(write)


SAMPLES = {
    f"{record['id']}.{ending}": content
    for record in RECORDS
    for ending, content in (
        ("txt", record["text"].encode()),
        ("json", json.dumps({"lang": "en"}).encode()),
    )
}

FILES = {
    "array.json": json.dumps(RECORDS).encode(),
    "indented.json": json.dumps(RECORDS, indent=2).encode(),
    "around.json": json.dumps({"version": "1.0", "tags": ["a"], "data": RECORDS}).encode(),
    "around_indented.json": json.dumps({"version": "1.0", "tags": ["a"], "data": RECORDS}, indent=1).encode(),
    "one_after_another.json": b"\n".join(json.dumps(one, indent=2).encode() for one in RECORDS),
    "a.csv": as_csv(),
    "semicolon.csv": as_csv(";"),
    "a.tsv": as_csv("\t"),
    "a.arrow": as_stream(),
    "a.feather": written(lambda sink: pa.feather.write_feather(TABLE, sink, chunksize=10)),
    "a.orc": written(lambda sink: pa.orc.write_table(TABLE, sink)),
    "a.parquet": written(lambda sink: pq.write_table(TABLE, sink, row_group_size=10)),
    "samples.tar": as_tar(SAMPLES),
    "texts.tar": as_tar({f"{one['id']}": b"" for one in ()} | {f"{r['id']}.txt": r["text"].encode() for r in RECORDS}),
    "lines.tar": as_tar({"a.jsonl": as_lines(RECORDS[:15]), "b/c.csv": as_csv(records=RECORDS[15:])}),
    "packed.tar": as_tar({"a.jsonl.gz": gzip.compress(as_lines(RECORDS[:15])), "b.json": json.dumps(RECORDS[15:]).encode()}),
    "records.tar": as_tar({f"{one['id']}.json": json.dumps(one).encode() for one in RECORDS}),
    "lines.zip": as_zip({"a/a.jsonl": as_lines(RECORDS[:15]), "b.tsv": as_csv("\t", RECORDS[15:])}),
    "parquet.zip": as_zip({"a.parquet": written(lambda sink: pq.write_table(TABLE, sink))}),
}  # fmt: skip


def lz4(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


PACK = {
    "": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": zstandard.compress,
    ".lz4": lz4,
}  # fmt: skip


def test_every_format_but_those_of_one_document_has_a_reader():
    assert set(READERS) == {one.name for one in FORMATS.values() if not one.one_document}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_format_gives_the_same_documents(tmp_path, name, packed):
    (tmp_path / (name + packed)).write_bytes(PACK[packed](FILES[name]))
    good, bad = read(tmp_path)
    assert bad == []
    assert [row["text"] for row in good] == [one["text"] for one in RECORDS]
    names = {one: f"{one}.txt" for one in (r["id"] for r in RECORDS)} if name in ("samples.tar", "texts.tar") else {}
    assert [row["id"] for row in good] == [names.get(one["id"], one["id"]) for one in RECORDS]
    if name != "texts.tar":
        assert {row["language"] for row in good} == {"en"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.94])
@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
def test_a_file_that_is_cut_off_is_quarantined_and_keeps_what_is_before_the_cut(tmp_path, name, share, packed):
    content = PACK[packed](FILES[name])
    (tmp_path / (name + packed)).write_bytes(content[: int(len(content) * share)])
    good, bad = read(tmp_path)
    assert [row["text"] for row in good] == [one["text"] for one in RECORDS[: len(good)]]
    lost = [one for one in bad if one["records"] != 0]
    assert lost or len(good) == len(RECORDS), "a loss that nobody is told of"  # a tar file ends in zeros
    assert all(one["detail"] for one in lost)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_damaged_raises_nothing_and_accounts_for_every_record(tmp_path, name):
    content = FILES[name]
    for step in range(1, 60):
        at = len(content) * step // 60
        damaged = content[:at] + bytes([content[at] ^ 0xFF, 0]) + content[at + 2 :]
        (tmp_path / name).write_bytes(damaged)
        good, bad = read(tmp_path)
        lost = [one for one in bad if one["records"] != 0]
        known = all(one["records"] is not None for one in lost)
        is_told = any(one["reason"] == "not_documents" for one in bad)  # a damaged name is of a format that is not read
        is_line = len(lost) == 1 and len(lost[0]["raw"]) > 500  # an array without its bracket is one line, and wrong
        assert is_told or is_line or not known or len(good) + sum(one["records"] for one in lost) >= len(RECORDS) - 1, (
            step,
            bad,
        )


def test_a_folder_of_save_to_disk_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(RECORDS).save_to_disk(str(tmp_path / "set"), num_shards=2)
    good, bad = read(tmp_path / "set")
    assert (len(good), bad) == (40, [])


def test_a_reuters_like_file_without_an_ending_is_read_as_the_recipe_says(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}").write_text(f"story {number}")
    (tmp_path / "page.html").write_text("<p>no</p>")
    good, bad = read(tmp_path, format="text")
    assert [(row["id"], row["text"]) for row in good] == [(str(n), f"story {n}") for n in range(5)]
    assert bad == []


def test_the_id_of_a_file_that_is_one_document_is_its_path_below_the_source(tmp_path):
    for name in ("a/x.txt", "b/x.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    for path in (tmp_path, f"{tmp_path}/", f"{tmp_path}/**.txt", f"{tmp_path}/*/x.txt"):
        assert [row["id"] for row in read(path)[0]] == ["a/x.txt", "b/x.txt"]
    assert [row["id"] for row in read(tmp_path / "a/x.txt")[0]] == ["x.txt"]


def test_a_page_of_html_is_its_text(tmp_path):
    page = (
        "<html><head><title>T</title></head><body><nav><a href=/>Home</a></nav><article><p>Main ä.</p></article></body>"
    )
    (tmp_path / "a.html").write_bytes(page.encode())
    (tmp_path / "b.htm").write_bytes(b"<html><body><script>x()</script></body></html>")
    good, [bad] = read(tmp_path)
    assert [(row["id"], row["text"]) for row in good] == [("a.html", "Main ä.")]
    assert (pathlib.Path(bad["path"]).name, bad["reason"]) == ("b.htm", "missing_text")


# --- CSV ---------------------------------------------------------------------------------------------------------------


def test_rows_of_csv_keep_their_numbers_beside_bad_ones(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,a\n2,b,c\n3,"x\ny"\n4\n5,\xff\n,\n')
    good, bad = read(tmp_path)
    assert [(row["row"], row["id"], row["text"]) for row in good] == [(0, "1", "a"), (2, "3", "x\ny"), (5, None, "")]
    assert [(one["row"], one["reason"]) for one in bad] == [(1, "bad_row"), (3, "bad_row"), (4, "invalid_utf8")]


def test_bytes_that_are_not_utf_8_cost_their_row_only(tmp_path):
    good_mark = "\U0010f700 is a character like others and so is ä"
    (tmp_path / "a.csv").write_bytes(b"id,text\n1,a\n2,\xe8\xff,c\n3,\xe4\n\xfc,d\n5," + good_mark.encode() + b"\n")
    good, bad = read(tmp_path, limits=ReadLimits(batch_bytes=64))
    assert [(row["row"], row["id"], row["text"]) for row in good] == [
        (0, "1", "a"),
        (3, "fc", "d"),
        (4, "5", good_mark),
    ]
    assert [(one["row"], one["reason"], one["raw"]) for one in bad] == [
        (1, "bad_row", b"2,\xe8\xff,c"),
        (2, "invalid_utf8", b"\xe4"),
    ]


def test_a_quote_that_is_not_closed_takes_no_rows_with_it_unseen(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,"a"\n2,"b\n3,c\n4,d\n')
    good, [bad] = read(tmp_path)
    assert [row["text"] for row in good] == ["a"]
    assert (bad["row"], bad["reason"], bad["records"]) == (1, "bad_row", 3)


def test_tabs_without_quotes_are_told_by_the_rows_that_then_fit(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b'id\ttext\n1\t"Hello\n2\tshe "said"\n3\tx\n')
    good, bad = read(tmp_path)
    assert ([row["text"] for row in good], bad) == (['"Hello', 'she "said"', "x"], [])


def test_csv_without_a_header_has_its_columns_named_in_the_recipe(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1|a\n2|b\n")
    good, _ = read(tmp_path, dialect={"columns": ["id", "text"]})
    assert [(row["id"], row["text"]) for row in good] == [("1", "a"), ("2", "b")]
    good, [bad] = read(tmp_path)
    assert (good, bad["reason"]) == ([], "missing_text")


# --- Archives ----------------------------------------------------------------------------------------------------------


def test_members_that_are_no_documents_are_counted_and_cost_nothing(tmp_path):
    members = {
        "README.md": b"about",
        "__MACOSX/x.txt": b"x",
        "1.txt": b"one",
        "1.jpg": b"\xff\xd8",
        "1.cls": b"3",
        "2.txt": b"two",
    }
    for name, content in (("a.tar", as_tar(members)), ("a.zip", as_zip(members))):
        (tmp_path / name).write_bytes(content)
        good, [remark] = read(tmp_path / name)
        assert [(row["row"], row["id"]) for row in good] == [(0, "1.txt"), (1, "2.txt")]
        assert (remark["reason"], remark["records"]) == ("not_documents", 0)
        assert "4 members are no documents: .cls 1, .jpg 1, description 1, hidden 1" in remark["detail"]


def test_a_bad_member_costs_itself_and_is_named(tmp_path):
    members = {"a.jsonl": b'{"text": "a"}\nnot json\n', "b.txt": b"\xff", "c.parquet": b"PAR1 no", "d.txt": b"d"}
    (tmp_path / "a.tar").write_bytes(as_tar(members))
    good, bad = read(tmp_path)
    assert [(row["row"], row["text"]) for row in good] == [(0, "a"), (3, "d")]
    assert sorted(one["detail"].split(":")[0] for one in bad) == ["member a.jsonl", "member b.txt", "member c.parquet"]


def test_a_tar_file_without_its_end_mark_is_truncated(tmp_path):
    content = as_tar({"a.txt": b"x" * 512, "b.txt": b"y" * 512})
    (tmp_path / "a.tar").write_bytes(content[:1024])
    good, [bad] = read(tmp_path)
    assert (len(good), bad["reason"], bad["records"]) == (1, "truncated_file", None)


def test_a_zip_file_that_would_be_large_is_read_as_a_stream(tmp_path):
    """200 kB in storage, 200 MB unpacked: nothing is written for it, and the line is as long as is looked at."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("a.jsonl", "w", force_zip64=True) as member:
            member.write(b'{"text": "good"}\n{"text": "')
            for _ in range(200):
                member.write(b"x" * (1 << 20))
            member.write(b'"}\n')
        file.writestr("b.jsonl", b'{"text": "also good"}\n')
    good, [bad] = read(tmp_path, limits=ReadLimits(max_line_bytes=1 << 20))
    assert [row["text"] for row in good] == ["good", "also good"]
    assert (bad["row"], bad["reason"], bad["detail"].split(":")[0]) == (1, "line_too_long", "member a.jsonl")


def test_an_archive_in_an_archive_is_named_and_not_read(tmp_path):
    (tmp_path / "a.zip").write_bytes(as_zip({"b.tar": as_tar({"c.txt": b"c"}), "d.txt": b"d"}))
    good, [remark] = read(tmp_path)
    assert [row["text"] for row in good] == ["d"]
    assert ".tar 1" in remark["detail"]


# --- WARC --------------------------------------------------------------------------------------------------------------


def record(kind, body, content_type, uri="http://x/1"):
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uri}>\r\nWARC-Date: 2019-05-13T10:00:00Z\r\n"
        f"WARC-Target-URI: {uri}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def response(page, status="200 OK", content_type="text/html; charset=utf-8", uri="http://x/1"):
    http = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n\r\n".encode() + page
    return record("response", http, "application/http; msgtype=response", uri)


PAGE = "<html><body><article><p>Page ä {}.</p></article></body></html>"
WARC = (
    record("warcinfo", b"software: x", "application/warc-fields")
    + b"".join(
        record("request", b"GET / HTTP/1.1\r\n\r\n", "application/http; msgtype=request", f"http://x/{i}")
        + response(PAGE.format(i).encode(), uri=f"http://x/{i}")
        for i in range(5)
    )
    + response(b"<p>gone</p>", "404 Not Found")
    + response(b"\x89PNG", content_type="image/png")
)


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
def test_pages_of_a_warc_file_are_documents_with_address_and_date(tmp_path, packed):
    content = WARC if packed != ".gz" else b"".join(gzip.compress(one) for one in (WARC[:700], WARC[700:]))
    (tmp_path / f"a.warc{packed}").write_bytes(PACK[packed](content) if packed == ".xz" else content)
    good, [remark] = read(tmp_path)
    assert [row["text"] for row in good] == [f"Page ä {i}." for i in range(5)]
    assert [row["url"] for row in good] == [f"http://x/{i}" for i in range(5)]
    assert [row["row"] for row in good] == [2, 4, 6, 8, 10]
    assert {str(row["created"]) for row in good} == {"2019-05-13 10:00:00+00:00"}
    assert (remark["reason"], remark["records"]) == ("not_documents", 0)
    assert "request 5" in remark["detail"]
    assert "response with status 404 1" in remark["detail"]


def test_text_of_a_wet_file_is_taken_as_it_is(tmp_path):
    texts = [f"Zeile ä {i}\nund noch eine" for i in range(3)]
    content = b"".join(record("conversion", one.encode(), "text/plain", f"http://x/{i}") for i, one in enumerate(texts))
    (tmp_path / "a.warc.wet.gz").write_bytes(gzip.compress(content))
    good, bad = read(tmp_path)
    assert ([row["text"] for row in good], bad) == (texts, [])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_warc_file_that_is_cut_off_says_so(tmp_path, share):
    content = WARC[: int(len(WARC) * share)]
    (tmp_path / "a.warc").write_bytes(content)
    good, bad = read(tmp_path)
    assert [row["text"] for row in good] == [f"Page ä {i}." for i in range(len(good))]
    assert [one["reason"] for one in bad if one["records"] != 0][-1:] == ["truncated_file"]


def test_a_warc_file_is_lost_from_where_it_is_damaged(tmp_path):
    at = WARC.index(b"WARC/1.0", len(WARC) // 2)
    (tmp_path / "a.warc").write_bytes(WARC[:at] + b"JUNK\r\n" + WARC[at:])
    good, bad = read(tmp_path)
    assert 0 < len(good) < 5
    [lost] = [one for one in bad if one["records"] != 0]
    assert (lost["reason"], lost["records"]) == ("corrupt_file", None)
    assert lost["n_bytes"] > 0


# --- Layouts -----------------------------------------------------------------------------------------------------------


def test_a_template_makes_the_text_of_several_columns(tmp_path):
    rows = [
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        {"instruction": "Sing.", "input": "", "output": "La."},
        {"instruction": None, "input": None, "output": "Only."},
        {"other": "nothing"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pq.write_table(
        pa.Table.from_pylist(rows, pa.schema({name: pa.string() for name in ("instruction", "input", "output")})),
        tmp_path / "a.parquet",
    )
    fields = Fields(text="Q: {instruction}\n{input}\n\nA: {output}")
    for name in ("a.json", "a.parquet"):
        good, [bad] = read(tmp_path / name, fields=fields)
        assert [row["text"] for row in good] == ["Q: Add.\n1 and 2\n\nA: 3", "Q: Sing.\n\nA: La.", "A: Only."]
        assert (bad["row"], bad["reason"]) == (3, "missing_text")


@pytest.mark.parametrize("wrong", ["{}", "{a", "{a:>5}", "{a!r}", "a}{b}"])
def test_a_template_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"brace|column|encountered|expected|Single"):
        Fields(text=wrong)


CHATS = [
    {
        "id": "a",
        "model": "gpt-4",
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    },
    {"id": "b", "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hm"}]},
    {"id": "c", "messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url"}]}]},
    {"id": "d", "messages": []},
]
ROLES = {"user": "human", "assistant": "synthetic"}


def chats(folder):
    (folder / "a.jsonl").write_bytes(as_lines(CHATS))
    return folder / "a.jsonl"


def test_a_chat_is_one_document_and_synthetic_as_soon_as_one_turn_is(tmp_path):
    good, [bad] = read(chats(tmp_path), roles=ROLES)
    assert [row["text"] for row in good] == [
        "user: Hi\n\nassistant: Hello",
        "system: Be kind\n\nuser: Hm",
        "user: Look",
    ]
    assert [(row["declared_origin"], row["generator"]) for row in good] == [
        ("synthetic", "gpt-4"),
        ("human", None),
        ("human", None),
    ]
    assert (bad["row"], bad["reason"]) == (3, "missing_text")


def test_without_roles_nothing_is_known_of_who_wrote_a_chat(tmp_path):
    assert {row["declared_origin"] for row in read(chats(tmp_path))[0]} == {"unknown"}


def test_turns_apart_are_documents_of_one_author_each(tmp_path):
    good, [bad] = read(chats(tmp_path), roles=ROLES, turns="apart", keep=("role", "turn"))
    assert [
        (row["id"], row["text"], row["declared_origin"], row["generator"], row["role"], row["row"]) for row in good
    ] == [
        ("a#0", "Hi", "human", None, "user", 0),
        ("a#1", "Hello", "synthetic", "gpt-4", "assistant", 1),
        ("b#0", "Be kind", "unknown", None, "system", 1000),
        ("b#1", "Hm", "human", None, "user", 1001),
        ("c#0", "Look", "human", None, "user", 2000),
    ]
    assert (bad["row"], bad["reason"]) == (3000, "missing_text")


def test_a_chat_is_the_same_in_parquet_and_in_sharegpt_s_layout(tmp_path):
    pairs = [[("human", "Hi"), ("gpt", "Hello")], [("human", "Hm")]]
    rows = [
        {"id": str(n), "conversations": [{"from": a, "value": b} for a, b in turns]} for n, turns in enumerate(pairs)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for turns in ("together", "apart"):
        one, two = (read(tmp_path / name, roles=ROLES, turns=turns)[0] for name in ("a.parquet", "a.json"))
        assert one == two
        assert len(one) == (2 if turns == "together" else 3)


def test_folders_of_hive_and_groups_of_the_path_are_columns(tmp_path):
    for name in ("lang=de/year=2020/a.jsonl", "lang=fr/year=__HIVE_DEFAULT_PARTITION__/b.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b'{"text": "a"}\n{"text": "b", "lang": "en"}\n')
    good, bad = read(tmp_path, keep=("year",), path_pattern="(?P<generator>[a-z])[.]jsonl$", origin="synthetic")
    assert [(row["language"], row["year"], row["generator"]) for row in good] == [
        ("de", "2020", "a"), ("en", "2020", "a"), ("fr", None, "b"), ("en", None, "b"),
    ]  # fmt: skip
    assert bad == []


def test_a_pattern_of_the_path_must_name_columns():
    for wrong in ("[a-z]+", "(?P<a"):
        with pytest.raises(ValueError, match="path_pattern"):
            Source(name="s", path="x", path_pattern=wrong)


LINE_BYTES = 20_000


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz", "a.csv.gz"])
def test_a_member_that_is_longer_than_a_record_may_be_is_read_to_its_end(kind, name, tmp_path):
    """A record is held in memory and so has a limit; a file of a thousand records in an archive is none."""
    records = [{"text": f"{i} " + "x" * 100} for i in range(1000)]
    lines = [json.dumps(one).encode() for one in records]
    content = b"[" + b",".join(lines) + b"]" if ".json" in name and ".jsonl" not in name else b"\n".join(lines)
    content = b"text\n" + b"\n".join(one["text"].encode() for one in records) if ".csv" in name else content
    members = {
        "before.txt": b"before",
        name: gzip.compress(content) if name.endswith(".gz") else content,
        "z.txt": b"z",
    }
    (tmp_path / f"a.{kind}").write_bytes(as_tar(members) if kind == "tar" else as_zip(members))
    source = Source(name="s", path=str(tmp_path / f"a.{kind}"))
    limits = ReadLimits(max_line_bytes=LINE_BYTES, max_text_bytes=1000)
    assert len(content) > 5 * LINE_BYTES
    pairs = [pair for split in plan_splits([source]) for pair in read_split(split, source, limits)]
    assert [row for _, bad in pairs for row in bad.to_pylist()] == []
    texts = [text for good, _ in pairs for text in good["text"].to_pylist()]
    assert sorted(texts) == sorted([*(one["text"] for one in records), "before", "z"])
    rows = [row for good, _ in pairs for row in good["row"].to_pylist()]
    assert sorted(rows) == list(range(1002))
