"""Ten layouts that people have their text in, written into a folder, and one record that cannot be read."""

import csv
import gzip
import io
import json
import lzma
import pathlib
import pydoc_data.topics
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

EACH = 24  # documents of a layout
TEXTS = [text[at : at + 600] for _, text in sorted(pydoc_data.topics.topics.items()) for at in range(0, len(text), 600)]


def texts(number: int) -> list[str]:
    """The documents of a layout."""
    return TEXTS[number * EACH : (number + 1) * EACH]


def write(folder: pathlib.Path, name: str, content: bytes) -> None:
    """A file with the folders that it needs."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def warc_record(kind: str, body: bytes, content_type: str, uri: str) -> bytes:
    """A record of WARC 1.0."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uri}>\r\nWARC-Date: 2019-05-13T10:00:00Z\r\n"
        f"WARC-Target-URI: {uri}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def page(text: str, number: int) -> bytes:
    """A page of HTML, with what a page has beside its text, as a server sent it."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    head, beside = f"<head><title>{number}</title></head>", "<nav><a href='/'>Home</a></nav>"
    html = f"<html>{head}<body>{beside}<article><p>{escaped}</p></article></body></html>"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()


def ten(folder: pathlib.Path) -> None:
    """Write them: `EACH` documents in each of ten folders, and one record that cannot be read in the first."""
    rows = [[{"id": f"{n}-{i}", "text": text} for i, text in enumerate(texts(n))] for n in range(10)]
    write(folder, "array/a.json", json.dumps([*rows[0], {"id": "no text"}], indent=1).encode())

    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, ["id", "passage", "published"], delimiter=";")
    writer.writeheader()
    writer.writerows({"id": r["id"], "passage": r["text"], "published": "2015/05/05"} for r in rows[1])
    write(folder, "table/a.csv", sink.getvalue().encode())

    members = io.BytesIO()
    with tarfile.open(fileobj=members, mode="w") as tar:
        for row in rows[2]:
            for ending, content in (("txt", row["text"].encode()), ("json", json.dumps({"id": row["id"]}).encode())):
                info = tarfile.TarInfo(f"{row['id']}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    write(folder, "samples/shard-0.tar", members.getvalue())

    pages = [warc_record("warcinfo", b"software: test", "application/warc-fields", "about:warc")]
    for i, row in enumerate(rows[3]):
        pages.append(
            warc_record("response", page(row["text"], i), "application/http; msgtype=response", f"http://x/{i}")
        )
    write(folder, "crawl/a.warc.gz", b"".join(gzip.compress(one) for one in pages))

    chats = []
    for row in rows[4]:
        asked, said = row["text"][:300], row["text"][300:]
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        chats.append({"id": row["id"], "messages": turns})
    write(folder, "chat/a.jsonl", b"".join(json.dumps(chat).encode() + b"\n" for chat in chats))

    stream = io.BytesIO()
    table = pa.Table.from_pylist(rows[5])
    with pa.ipc.new_stream(stream, table.schema) as arrow:
        arrow.write_table(table, max_chunksize=10)
    write(folder, "saved/data-00000-of-00001.arrow", stream.getvalue())
    write(folder, "saved/dataset_info.json", b"{}")
    write(folder, "saved/state.json", b"{}")

    write(folder, "packed/a.jsonl.xz", lzma.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows[6])))

    for i, row in enumerate(rows[7]):
        write(folder, f"plain/{i % 3}/{row['id']}", row["text"].encode())

    for i in range(2):
        half = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows[8][i::2]), half)
        write(folder, f"parquet/{i}.parquet", half.getvalue())

    for i, language in enumerate(("de", "en")):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows[9][i::2])
        write(folder, f"hive/lang={language}/year=2020/a.jsonl", lines)
