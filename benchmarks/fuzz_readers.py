"""Mutated files through the readers: whatever is in a file, every record of it is a document, or named with a reason.

    python benchmarks/fuzz_readers.py --count 1000000 --state fuzz.json

Small good files of every format and compression are changed (bits, cuts, repeats, splices, names) by a generator that is
seeded with the number of the case, and read in this process. What is checked of each: nothing is raised, no document has a
place of another, and what was read adds up: lines for JSON Lines and lines, rows of the footer for Parquet, one for a text.
Cases run in blocks in a child process, so that one that ends the process is found and named. The state is written after
each block: started again, the run goes on.
"""

import argparse
import bz2
import collections
import csv
import gzip
import io
import json
import lzma
import multiprocessing
import os
import pathlib
import random
import resource
import signal
import sys
import tarfile
import tempfile
import time
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import zstandard

from transforms.ingest.first_bytes import JSON, LOOK_BYTES, MAYBE_JSON, kind_of
from transforms.ingest.quarantine import WHOLE_FILE
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece, Source, Split

BLOCK = 2_000
SECONDS = 20  # that one case may take
MEMORY = 6 << 30  # bytes of address space
LIMITS = ReadLimits(max_text_bytes=2_000, max_line_bytes=8_000, batch_bytes=4_096)
KEEP = ("doc", "score")
COMPRESS = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}


def seeds() -> list[tuple[str, str, bytes]]:
    """Good files: format, compression, content."""
    records = [
        {"text": f"Text {i} with ünïcode and a quote \" in it.", "id": i if i % 3 else f"id-{i}", "created": "2019-05-13",
         "url": f"http://x/{i}", "origin": "ai" if i % 5 == 0 else "human", "meta": {"n": [i, i + 1]}, "score": i / 7}
        for i in range(12)
    ]  # fmt: skip
    plain = [
        {"text": record["text"], "id": record["id"]} for record in records
    ]  # quicker by far: most cases are of these
    full, lines = (b"".join(json.dumps(one).encode() + b"\n" for one in some) for some in (records, plain))
    odd = b'{"text": "a", "id": %s}\n{"text": "b", "x": %s}\n' % (b"9" * 50, b"[" * 90 + b"]" * 90)
    found = [("jsonl", "", full + odd)]
    found += [("jsonl", name, pack(lines + odd)) for name, pack in COMPRESS.items()]
    found += [("lines", name, pack(lines)) for name, pack in COMPRESS.items()]
    found += [("text", name, pack("One text.\nOf two lines: ü.".encode())) for name, pack in COMPRESS.items()]
    table = pa.Table.from_pylist([{**record, "id": str(record["id"])} for record in records])
    nested = table.append_column("doc", pa.array([{"body": r["text"], "tags": ["a", "b"]} for r in records]))
    coded = table.set_column(0, "text", table["text"].combine_chunks().dictionary_encode())
    for content in (nested, table.select(["text", "id"]), coded.select(["text", "id"])):
        for options in (
            {},
            {"use_dictionary": False, "compression": "zstd"},
            {"write_page_checksum": True},
            {"version": "1.0"},
        ):
            sink = io.BytesIO()
            pq.write_table(content, sink, row_group_size=5, **options)
            found.append(("parquet", "", sink.getvalue()))
    return found + _other_formats(plain, table.select(["text", "id"]))


def _other_formats(records: list[dict[str, object]], table: pa.Table) -> list[tuple[str, str, bytes]]:
    """Good files of the other formats, each with all records."""
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in records)
    stream, feather, orc, tar, zipped = (io.BytesIO() for _ in range(5))
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    pa.feather.write_feather(table, feather, chunksize=5)
    pa.orc.write_table(table, orc)
    rows = io.StringIO(newline="")
    csv.writer(rows).writerows([["text", "id"], *([str(one["text"]), str(one["id"])] for one in records)])
    members = {f"{n}.txt": str(one["text"]).encode() for n, one in enumerate(records[:6])} | {"a.jsonl": lines}
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    page = "<html><body><p>Text {} of a page, and ünïcode.</p></body></html>"
    pages = [page.format(n).encode() for n in range(6)]
    http = [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + one for one in pages]
    warc = b"".join(
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:%d>\r\nWARC-Target-URI: http://x/%d\r\n"
        b"Content-Type: application/http\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (n, n, len(one), one)
        for n, one in enumerate(http)
    )
    around = json.dumps({"version": 1, "data": records}, indent=1).encode()
    chats = [{"id": n, "messages": [{"role": "user", "content": one["text"]}]} for n, one in enumerate(records)]
    found = [
        ("json", "", json.dumps(records).encode()),
        ("json", "", around),
        ("jsonl", "", json.dumps(records).encode()),
        ("jsonl", "", b"".join(json.dumps(one).encode() + b"\n" for one in chats)),
        ("csv", "", rows.getvalue().encode()),
        ("arrow", "", stream.getvalue()),
        ("arrow", "", feather.getvalue()),
        ("orc", "", orc.getvalue()),
        ("tar", "", tar.getvalue()),
        ("zip", "", zipped.getvalue()),
        ("warc", "", warc),
        ("html", "", pages[0]),
    ]
    return found + [(form, name, COMPRESS[name](content)) for form, _, content in found for name in ("gzip", "xz")]


# An archive loses its members one by one, and of these formats nobody else says how many records a file has.
UNCOUNTED = ("json", "csv", "arrow", "orc", "tar", "zip", "warc", "html")


def mutated(case: int, files: list[tuple[str, str, bytes]]) -> tuple[str, str, bytes]:
    """The file of a case: format, compression and content, each of which may be wrong."""
    chance = random.Random(case)
    format, compression, content = chance.choice(files)
    data = bytearray(content)
    in_place = (
        format not in ("jsonl", "lines", "text") or compression
    ) and chance.random() < 0.7  # a shift of bytes is soon told from a file
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(data) + 1)
        kind = chance.choice((0, 1, 8)) if in_place else chance.randrange(9)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = chance.choice((0, 1, 10, 34, 92, 127, 128, 255, chance.randrange(256)))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + chance.randrange(1, 64)]
        elif kind == 4:
            data[at:at] = chance.randbytes(chance.randrange(1, 32))
        elif kind == 5:
            data[at:at] = data[at : at + chance.randrange(1, 200)]
        elif kind == 6:
            other = chance.choice(files)[2]
            data[at:] = other[chance.randrange(len(other)) :]
        elif kind == 7:
            data[at:at] = chance.choice(
                (b"\n", b"[", b"{", b'"', b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"null", b"1e999", b"-0")
            )
        elif kind == 8 and data:  # a number of a footer or a header
            data[at % len(data)] = chance.randrange(256)
            data[(at + 1) % len(data)] = chance.randrange(256)
    return (*_named(chance, format, compression), bytes(data))


def _named(chance: random.Random, format: str, compression: str) -> tuple[str, str]:
    """What a file is said to be: now and then something else."""
    if chance.random() < 0.1:
        format = chance.choice(("jsonl", "lines", "text", "parquet", *UNCOUNTED))
    if chance.random() < 0.1:
        compression = chance.choice(tuple(COMPRESS))
    return format, compression


def outcome(format: str, compression: str, content: bytes, path: str) -> str:
    """Read a file and say what became of it.

    Raises:
      AssertionError: records are missing, or there are too many.
    """
    with open(path, "wb") as file:
        file.write(content)
    piece = Piece(path, format, compression, len(content), "x")
    source = Source(name="s", path=path, format=format if format != "jsonl" else "auto")
    rows: list[int] = []
    bad: list[dict[str, object]] = []
    for documents, quarantine in read_split(Split(0, 0, (piece,), len(content)), source, LIMITS, KEEP):
        documents.validate(full=True)
        rows += documents["row"].to_pylist()
        bad += quarantine.to_pylist()
    assert len(set(rows)) == len(rows), "two documents have one place"
    assert rows == sorted(rows), "documents are out of order"
    remarks = [row for row in bad if row["records"] == 0]
    bad = [row for row in bad if row["records"] != 0]
    whole = [row for row in bad if row["row"] == WHOLE_FILE]
    uncounted = [row for row in bad if row["records"] is None]
    places = {row["row"] for row in bad} - {WHOLE_FILE}
    assert not places & set(rows), "a record is both read and bad"
    assert len(whole) <= 1 or format in ("tar", "zip") or remarks, "a file is lost twice"
    assert not whole or not rows or uncounted or format in ("tar", "zip") or remarks, (
        "a file that is lost whole has documents"
    )
    if not uncounted:
        n = len(rows) + sum(int(str(row["records"])) for row in bad)
        expected = _records(format, compression, content, bool(remarks))
        # A bad line may hold several values, each of which is a lost record: then every line is named exactly once.
        lines_named = format == "jsonl" and len(rows) + len(bad) == expected < n
        assert expected is None or n == expected or lines_named, f"{n} records of {expected}"
    what = "remark, " if remarks else ""
    return what + (str(sorted({str(row["reason"]) for row in bad})) if bad else "all read")


def _records(format: str, compression: str, content: bytes, misnamed: bool) -> int | None:
    """How many records a file has, by another way than the readers'; None: it cannot be said."""
    if format == "text":
        return 1
    if misnamed or compression or format in UNCOUNTED or kind_of(content[:LOOK_BYTES], "jsonl") in (JSON, MAYBE_JSON):
        return None
    if format == "parquet":
        try:
            return pq.read_metadata(io.BytesIO(content)).num_rows
        except Exception:
            return None
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if format == "lines":
        return len(lines) - (lines[-1] == b"")
    return sum(bool(line.strip()) for line in lines)


def run_block(first: int, count: int, folder: str) -> None:
    """Run some cases; leaves what came of them in `folder`, and the number of the case at hand."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_slow)
    files, found = seeds(), collections.Counter[str]()
    faults: list[tuple[int, str]] = []
    at = os.open(os.path.join(folder, "at"), os.O_RDWR | os.O_CREAT)
    for case in range(first, first + count):
        os.pwrite(at, case.to_bytes(8, "little"), 0)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        format, compression, content = mutated(case, files)
        try:
            found[f"{format:8}{outcome(format, compression, content, os.path.join(folder, 'file'))}"] += 1
        except Exception as error:
            faults.append((case, f"{format}: {type(error).__name__}: {error}"[:300]))
        signal.setitimer(signal.ITIMER_REAL, 0)
    pathlib.Path(folder, "found.json").write_text(json.dumps([found, faults]))


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"slower than {SECONDS} s")


def fuzz(
    first: int, count: int, say: bool = False, state: str | None = None
) -> tuple[collections.Counter[str], list[tuple[int, str]]]:
    """Run cases `first` to `first + count`; returns counts by outcome, and the cases at fault."""
    found, faults, done = collections.Counter[str](), [], first
    if state and os.path.exists(state):
        saved = json.loads(pathlib.Path(state).read_text())
        found, faults, done = collections.Counter(saved["found"]), saved["faults"], saved["done"]
    context = multiprocessing.get_context("forkserver")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        while done < first + count:
            block = min(BLOCK, first + count - done)
            child = context.Process(target=run_block, args=(done, block, folder))
            child.start()
            child.join()
            if child.exitcode == 0:
                some, wrong = json.loads(pathlib.Path(folder, "found.json").read_text())
                found.update(some)
                faults += wrong
                done += block
            else:  # the rest of the block is run without the case that ended the process
                case = int.from_bytes(pathlib.Path(folder, "at").read_bytes(), "little")
                faults.append((case, f"ended the process: exit code {child.exitcode}"))
                if case > done:
                    again = context.Process(target=run_block, args=(done, case - done, folder))
                    again.start()
                    again.join()
                    if again.exitcode == 0:
                        found.update(json.loads(pathlib.Path(folder, "found.json").read_text())[0])
                done = case + 1
            if state:
                pathlib.Path(state).write_text(json.dumps({"done": done, "found": found, "faults": faults}))
            if say:
                sys.stderr.write(f"{done:,} cases, {len(faults)} faults, {time.monotonic() - begun:.0f} s\n")
    return found, faults


def main() -> None:
    """Run and show a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--state", help="file to go on from")
    asked = parser.parse_args()
    found, faults = fuzz(asked.first, asked.count, say=True, state=asked.state)
    sys.stdout.write("\n".join(f"{n:>10,}  {what}" for what, n in found.most_common()) + "\n")
    sys.stdout.write(f"{sum(found.values()):,} cases, {len(faults)} faults\n")
    sys.stdout.writelines(f"  case {case}: {what}\n" for case, what in faults)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
