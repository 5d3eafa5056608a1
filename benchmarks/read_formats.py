"""How fast each format is read: megabytes of text for a second of CPU, on documents of this machine's Python documentation.

python benchmarks/read_formats.py [MB]
"""

import csv
import gzip
import io
import json
import lzma
import pathlib
import pydoc_data.topics
import sys
import tarfile
import tempfile
import time
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import execution
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits


def main() -> None:
    """Write each format, read it, and print a table."""
    execution.give_memory_back()  # as a local run does
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 20) * 1e6)
    pages = [text for _, text in sorted(pydoc_data.topics.topics.items()) if len(text) > 800]
    texts: list[str] = []
    total = 0
    while total < size:
        texts.append(f"{len(texts)} {pages[len(texts) % len(pages)]}")
        total += len(texts[-1].encode())
    rows = [{"id": f"doc-{i}", "text": text} for i, text in enumerate(texts)]
    for name, write in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / name).write_bytes(write(rows))
            source = Source(name="s", path=folder)
            splits = plan_splits([source])
            seconds = float("inf")
            for _ in range(4):  # the first time kernels are compiled
                begin, documents = time.process_time(), 0
                for split in splits:
                    for batch, bad in read_split(split, source, ReadLimits()):
                        documents += batch.num_rows
                        assert not any(bad["records"].to_pylist())
                seconds = min(seconds, time.process_time() - begin)
            assert documents == len(rows), (name, documents)
            print(f"{name:<16} {total / 1e6 / seconds:8.0f} MB/s  {len(rows) / seconds:10,.0f} documents/s")


def lines(rows: list[dict]) -> bytes:
    """JSON Lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def table(rows: list[dict]) -> bytes:
    """CSV."""
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, ["id", "text"])
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def parquet(rows: list[dict]) -> bytes:
    """Parquet."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def arrow(rows: list[dict]) -> bytes:
    """An Arrow stream."""
    sink, whole = io.BytesIO(), pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole, max_chunksize=1000)
    return sink.getvalue()


def tar(rows: list[dict]) -> bytes:
    """A tar file, a member a document."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as file:
        for row in rows:
            info = tarfile.TarInfo(f"{row['id']}.txt")
            info.size = len(content := row["text"].encode())
            file.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def zipped(rows: list[dict]) -> bytes:
    """A zip file of one file of JSON Lines."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.jsonl", lines(rows))
    return sink.getvalue()


def record(row: dict, body: bytes, kind: str, content_type: str) -> bytes:
    """A record of WARC."""
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{row['id']}>\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def wet(rows: list[dict]) -> bytes:
    """WET."""
    return b"".join(record(row, row["text"].encode(), "conversion", "text/plain") for row in rows)


def warc(rows: list[dict]) -> bytes:
    """WARC with pages of HTML."""
    found = []
    for row in rows:
        shown = row["text"].replace("&", "&amp;").replace("<", "&lt;").replace("\n\n", "</p><p>")
        page = f"<html><body><nav><a href=/>x</a></nav><article><p>{shown}</p></article></body></html>"
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page.encode()
        found.append(record(row, http, "response", "application/http; msgtype=response"))
    return b"".join(found)


def chats(rows: list[dict]) -> bytes:
    """Chats of two turns."""
    halves = [(row["id"], row["text"][: len(row["text"]) // 2], row["text"][len(row["text"]) // 2 :]) for row in rows]
    turns = [
        {"id": n, "messages": [{"role": "user", "content": a}, {"role": "assistant", "content": b}]}
        for n, a, b in halves
    ]
    return lines(turns)


FORMATS = {
    "a.jsonl": lines,
    "a.json": lambda rows: json.dumps(rows).encode(),
    "indented.json": lambda rows: json.dumps({"data": rows}, indent=2).encode(),
    "a.jsonl.gz": lambda rows: gzip.compress(lines(rows)),
    "a.jsonl.xz": lambda rows: lzma.compress(lines(rows), preset=1),
    "a.csv": table,
    "a.parquet": parquet,
    "a.arrow": arrow,
    "a.tar": tar,
    "a.zip": zipped,
    "a.wet": wet,
    "a.warc": warc,
    "chats.jsonl": chats,
}

if __name__ == "__main__":
    main()
