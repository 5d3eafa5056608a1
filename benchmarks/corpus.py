"""Make a benchmark corpus from labelled Parquet files: real documents, with planted duplicates.

    python -m benchmarks.corpus DATA_DIR OUT_DIR --documents 100000 --files 16

Every document is one to three real documents put end to end, chosen by hash, so that lengths are like those of web text.
In every ten documents one is a near duplicate of another (a few words replaced or dropped, a sentence appended) and in
every fifty one is an exact copy in other letters. OUT_DIR gets `part-*.jsonl.gz` and `planted.json`. The same data gives
the same files.
"""

import argparse
import gzip
import hashlib
import json
import pathlib

import pyarrow.parquet as pq


def number(*parts: object) -> int:
    """A number that depends on the parts only."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def near(text: str, key: int) -> str:
    """A near duplicate: one word in a hundred replaced, one in two hundred dropped, a sentence at the end."""
    words = text.split(" ")
    kept = []
    for at, word in enumerate(words):
        chance = number("edit", key, at) % 200
        if chance < 2:
            kept.append(words[number("other", key, at) % len(words)])
        elif chance > 2:
            kept.append(word)
    return " ".join(kept) + f" This copy was edited {key % 1000} times."


def documents(texts: list[str], wanted: int):  # type: ignore[no-untyped-def]
    """(id, text, kind, id of the original)."""
    for at in range(wanted):
        roll = number("kind", at) % 50
        if at > 100 and roll < 6:
            original = number("of", at) % (at - 1)
            text = compose(texts, original)
            kind = "exact" if roll == 0 else "near"
            yield f"d{at}", "  " + text.upper() if kind == "exact" else near(text, at), kind, f"d{original}"
        else:
            yield f"d{at}", compose(texts, at), "original", None


def compose(texts: list[str], at: int) -> str:
    """Document number `at`: itself, and up to two more real documents beyond the first pass over the texts."""
    parts = [texts[at % len(texts)]]
    parts += [texts[number("part", at, i) % len(texts)] for i in range(number("parts", at) % 3)]
    return "\n\n".join(parts)


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="folder of Parquet files with a column text")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=16)
    args = parser.parse_args()
    texts = [
        text
        for path in sorted(args.data.glob("*.parquet"))
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist()
    ]
    texts.sort(key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest())
    args.out.mkdir(parents=True, exist_ok=True)
    files = [gzip.GzipFile(args.out / f"part-{i:03d}.jsonl.gz", "wb", 6, mtime=0) for i in range(args.files)]
    planted, n_bytes = [], 0
    for at, (name, text, kind, original) in enumerate(documents(texts, args.documents)):
        files[number("file", at) % len(files)].write(json.dumps({"id": name, "text": text}).encode() + b"\n")
        n_bytes += len(text.encode())
        if kind != "original":
            planted.append({"id": name, "kind": kind, "of": original})
    for file in files:
        file.close()
    summary = {"documents": args.documents, "text_bytes": n_bytes, "planted": planted}
    (args.out / "planted.json").write_text(json.dumps(summary))
    print(f"{args.documents:,} documents, {n_bytes:,} bytes of text, {len(planted):,} planted duplicates")


if __name__ == "__main__":
    main()
