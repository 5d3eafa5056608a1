"""Is every file of a folder accounted for? Large real files with a hundred odd ones beside them, one run, any number of workers.

    python -m benchmarks.accounted DATA_DIR OUT_DIR [--documents 60000] [--workers 8]

OUT_DIR gets four large JSONL files (over 16 MB each by default) and two large Parquet files of the texts of DATA_DIR, and
100 odd entries: compressed under wrong names, cut, empty, other formats, other text columns, links, hidden files, a FIFO.
Then `lowbackground run` reads the folder, and for each entry it is asked: are its documents in the ledger, or is it named as
lost, misnamed or not read? Each record is counted too. Prints a table; exit code 1 if anything is not accounted for.
"""

import argparse
import bz2
import collections
import gzip
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import yaml
import zstandard

LARGE_JSON, LARGE_PARQUET, ODD_DOCUMENTS = 4, 2, 20
RECIPE = {
    "release": "all",
    "ratio": {"max_synthetic_share": 1.0},
    "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
    "ingest": {"max_bad_fraction": 1.0},  # so that what is lost is counted, not refused
}


def texts(data: pathlib.Path) -> Iterator[str]:
    """The texts of all Parquet files of a folder, file by file."""
    for path in sorted(data.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(1024, columns=["text"]):
            yield from (text for text in batch["text"].to_pylist() if text)


def lines(name: str, some: list[str], key: str = "text") -> bytes:
    """Texts as JSONL, with ids that name their file."""
    return b"".join(json.dumps({"id": f"{name}-{n}", key: text}).encode() + b"\n" for n, text in enumerate(some))


def table(name: str, some: list[str], key: str = "text") -> pa.Table:
    """Texts as a table, with ids that name their file."""
    return pa.table({"id": [f"{name}-{n}" for n in range(len(some))], key: some})


def tarred(path: pathlib.Path, content: bytes) -> None:
    """One file in a tar archive."""
    inner = path.with_suffix(".inner")
    inner.write_bytes(content)
    with tarfile.open(path, "w") as archive:
        archive.add(inner, "a.jsonl")
    inner.unlink()


def zipped(path: pathlib.Path, content: bytes) -> None:
    """One file in a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jsonl", content)


def cut(path: pathlib.Path, whole: pa.Table) -> None:
    """A Parquet file without its footer."""
    pq.write_table(whole, path)
    path.write_bytes(path.read_bytes()[:-100])


Make = Callable[[pathlib.Path, str, list[str]], None]
KINDS: dict[str, Make] = {
    # read, whatever they are called
    "{}.jsonl": lambda p, n, t: p.write_bytes(lines(n, t)) and None,
    "{}.jsonl.gz": lambda p, n, t: p.write_bytes(gzip.compress(lines(n, t))) and None,
    "{}.jsonl.zst": lambda p, n, t: p.write_bytes(zstandard.compress(lines(n, t))) and None,
    "{}.jsonl.bz2": lambda p, n, t: p.write_bytes(bz2.compress(lines(n, t))) and None,
    "{}.JSONL.GZ": lambda p, n, t: p.write_bytes(gzip.compress(lines(n, t))) and None,
    "{}-really-gzip.jsonl": lambda p, n, t: p.write_bytes(gzip.compress(lines(n, t))) and None,
    "{}-really-plain.jsonl.gz": lambda p, n, t: p.write_bytes(lines(n, t)) and None,
    "{}.parquet": lambda p, n, t: pq.write_table(table(n, t), p),
    "{} with\u00a0space.jsonl": lambda p, n, t: p.write_bytes(lines(n, t)) and None,
    "{}.csv": lambda p, n, t: csv.write_csv(table(n, t), p),
    "{}.jsonl.xz": lambda p, n, t: p.write_bytes(lzma.compress(lines(n, t))) and None,
    "{}.tar": lambda p, n, t: tarred(p, lines(n, t)),
    "{}.zip": lambda p, n, t: zipped(p, lines(n, t)),
    "{}.feather": lambda p, n, t: feather.write_feather(table(n, t), p),
    # lost, or a part of it
    "{}-cut.jsonl.gz": lambda p, n, t: p.write_bytes(gzip.compress(lines(n, t))[:-200]) and None,
    "{}-cut.parquet": lambda p, n, t: cut(p, table(n, t)),
    "{}-renamed.parquet": lambda p, n, t: pq.write_table(table(n, t, "article"), p),
    "{}-renamed.jsonl": lambda p, n, t: p.write_bytes(lines(n, t, "article")) and None,
    "{}-array.jsonl": lambda p, n, t: p.write_text(json.dumps([{"text": one} for one in t], indent=1)) and None,
    "{}-utf16.jsonl": lambda p, n, t: p.write_bytes(lines(n, t).decode().encode("utf-16")) and None,
    "{}-lfs.jsonl": lambda p, n, t: p.write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 123456\n") and None,
    "{}-torn.jsonl": lambda p, n, t: p.write_bytes(lines(n, t)[:-30]) and None,
    "{}-empty.jsonl": lambda p, n, t: p.write_bytes(b"") and None,
    "{}-garbage.jsonl.gz": lambda p, n, t: p.write_bytes(bytes(range(256)) * 8) and None,
    # not read, and said
    ".{}-hidden.jsonl": lambda p, n, t: p.write_bytes(lines(n, t)) and None,
    "{}-fifo.jsonl": lambda p, n, t: os.mkfifo(p),
    "{}-dangling.jsonl": lambda p, n, t: p.symlink_to(p.parent / "gone"),
    "{}-README.md": lambda p, n, t: p.write_text("# about\n") and None,
}  # fmt: skip


def build(data: pathlib.Path, corpus: pathlib.Path, documents: int, odd: int) -> dict[str, int]:
    """Make the folder. Returns entry -> how many records were written to it (0: nobody can say)."""
    corpus.mkdir(parents=True)
    source, written = texts(data), {}
    share = documents // (LARGE_JSON + LARGE_PARQUET)
    for n in range(LARGE_JSON + LARGE_PARQUET):
        some = [text for text, _ in zip(source, range(share), strict=False)]
        name = f"large-{n}.jsonl" if n < LARGE_JSON else f"large-{n}.parquet"
        path = corpus / name
        path.write_bytes(lines(name, some)) if n < LARGE_JSON else pq.write_table(
            table(name, some), path, compression="none"
        )
        written[name] = len(some)
    kinds = list(KINDS.items())
    for n in range(odd):
        form, make = kinds[n % len(kinds)]
        folder = corpus / ("odd" if n % 2 else f"odd/deep-{n % 7}")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / form.format(f"odd-{n:03d}")
        some = [text for text, _ in zip(source, range(ODD_DOCUMENTS), strict=False)]
        make(path, f"odd-{n:03d}", some)
        written[str(path.relative_to(corpus))] = len(some)
    return written


def judge(out: pathlib.Path, corpus: pathlib.Path, written: dict[str, int]) -> tuple[list[tuple[str, str, str]], int]:
    """(entry, what was made of it, words) for every entry, and how many records were lost without a word."""
    folder = next(path for path in (out / "releases" / "all", out / "releases" / "all.rejected") if path.exists())
    ledger = collections.Counter(pq.read_table(folder / "ledger", columns=["path"])["path"].to_pylist())
    bad: collections.Counter[str] = collections.Counter()
    reasons: dict[str, str] = {}
    for path in sorted((folder / "quarantine").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            bad[row["path"]] += 1 if row["records"] is None else row["records"]
            reasons.setdefault(row["path"], row["reason"])
    named: dict[str, str] = {}
    for row in pq.read_table(folder / "metrics.parquet").to_pylist():
        if row["metric"].startswith("input.") and row["slice_kind"] == "file":
            named[row["slice"]] = f"{row['metric'].removeprefix('input.')}: {row['note']}"
    found, silent = [], 0
    for entry, records in written.items():
        path = str(corpus / entry)
        said = named.get(path) or next((words for name, words in named.items() if name == ascii(path)[1:-1]), "")
        read, lost = ledger.get(path, 0), bad.get(path, 0)
        if read + lost >= records and read:
            found.append((entry, "read", f"{read} documents, {lost} quarantined"))
        elif said or path in reasons:
            found.append((entry, "named", f"{read} documents; {said or reasons[path]}"))
        else:
            found.append((entry, "MISSING", f"{read} of {records} documents and no word"))
            silent += records - read
    return found, silent


def main() -> int:
    """Build, run, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, help="folder of Parquet files with a column text")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--odd", type=int, default=100)
    parser.add_argument("--workers", type=int, default=8)
    asked = parser.parse_args()
    out = asked.out.absolute()
    if out.exists():
        parser.error(f"{out} exists; name a new folder")
    written = build(asked.data, out / "corpus", asked.documents, asked.odd)
    recipe = RECIPE | {
        "sources": [{"name": "all", "path": str(out / "corpus")}],
        "output": {"path": str(out / "releases")},
        "runner": {"workers": asked.workers},
    }
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", str(out / "recipe.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    found, silent = judge(out, out / "corpus", written)
    for entry, what, words in found:
        if not entry.startswith("large") or what != "read":
            sys.stdout.write(f"{what:8} {ascii(entry)[1:-1]:44} {words[:110]}\n")
    sizes = [(out / "corpus" / name).stat().st_size for name in written if name.startswith("large")]
    counts = collections.Counter(what for _, what, _ in found)
    sys.stdout.write(
        f"{len(found)} entries, {min(sizes) / 1e6:.1f} to {max(sizes) / 1e6:.1f} MB the large ones; {dict(counts)}; "
        f"{silent} records lost without a word; exit code {ran.returncode} after {time.perf_counter() - began:.0f} s\n"
    )
    if ran.returncode not in (0, 1, 3):
        sys.stdout.write(ran.stderr[-2000:])
    return int(bool(counts["MISSING"]) or ran.returncode not in (0, 1, 3))


if __name__ == "__main__" and (code := main()):
    sys.exit(code)
