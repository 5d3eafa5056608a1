"""Make a benchmark corpus from labelled Parquet files: real documents, with planted duplicates.

    python -m benchmarks.corpus DATA_DIR OUT_DIR --documents 100000 --files 16

Originals use up the real documents first, each in one original only, one to three put end to end; then they are mixtures of
passages of about 150 to 400 characters from different real documents, so that a million documents are not a few read many
times. About one document in ten is a near duplicate of an original, one in fifty a copy, half of these in other letters.
OUT_DIR gets `part-*.jsonl.gz` and `planted.json`. The same data gives the same files.
"""

import argparse
import gzip
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator

import pyarrow.parquet as pq

UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+|\s+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
# Edits per unit (word or ideograph). One edit breaks five 5-grams, so Jaccard is near s / (2 - s), s = (1 - rate) ** 5.
RATES = (0.004, 0.01, 0.02, 0.04)
MIN_UNITS = 30  # an original shorter than this is copied whole: one edit would be most of it


def number(*parts: object) -> int:
    """A number that depends on the parts only."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def shingles(text: str) -> set[tuple[str, ...]]:
    """The 5-grams of words and ideographs, in small letters."""
    units = [unit for unit in UNIT.findall(text.lower()) if not unit.isspace()]
    return {tuple(units[at : at + 5]) for at in range(max(1, len(units) - 4))}


def jaccard(one: str, other: str) -> float:
    """Shingles in both over shingles in either."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def near(text: str, key: int) -> str:
    """A near duplicate: units replaced by others of the same text, or dropped, at a rate of `RATES`; at least one."""
    units = UNIT.findall(text)
    places = [at for at, unit in enumerate(units) if not unit.isspace()]
    per_million = int(RATES[key % len(RATES)] * 1e6)
    chosen = [at for at in places if number("edit", key, at) % 1_000_000 < per_million]
    for at in chosen or [places[number("one", key) % len(places)]]:
        other = units[places[number("other", key, at) % len(places)]]
        units[at] = "" if number("drop", key, at) % 3 == 0 or other == units[at] else other
    return "".join(units)


class Originals:
    """Originals by number, each made when asked for: a corpus is never in memory."""

    def __init__(self, texts: list[str]):
        self.texts = texts
        self.groups: list[tuple[int, int]] = []
        start = 0
        while start < len(texts):
            stop = min(len(texts), start + (1, 1, 1, 1, 1, 1, 1, 2, 2, 3)[number("parts", start) % 10])
            self.groups.append((start, stop))
            start = stop

    def __getitem__(self, at: int) -> str:
        if at < len(self.groups):
            return "\n\n".join(self.texts[slice(*self.groups[at])])
        wanted = 500 + number("length", at) % 1800
        passages: list[str] = []
        while sum(map(len, passages)) < wanted:
            passages.append(self.passage(at, len(passages)))
        return "\n\n".join(passages)

    def passage(self, *key: int) -> str:
        """Sentences that follow each other in one real document, from a place chosen by hash."""
        sentences = [one for one in SENTENCE_END.split(self.texts[number("text", *key) % len(self.texts)]) if one]
        at = number("sentence", *key) % len(sentences)
        taken = sentences[at]
        for sentence in sentences[at + 1 :]:
            if len(taken) >= 150:
                break
            taken += " " + sentence
        return taken[:400]


def documents(originals: Originals, wanted: int) -> Iterator[tuple[str, str, dict[str, object] | None]]:
    """(id, text, what was planted). A duplicate is always of an original, never of another duplicate."""
    made = 0
    for at in range(wanted):
        roll = number("kind", at) % 50
        if made < 2 or roll > 5:
            yield f"original-{made}", originals[made], None
            made += 1
            continue
        of = number("of", at) % made
        source = originals[of]
        kind = "near"
        if roll == 0 or len(UNIT.findall(source)) < 2 * MIN_UNITS:
            kind = ("copy", "recased")[number("letters", at) % 2]
        text = near(source, at) if kind == "near" else source if kind == "copy" else "  " + source.upper()
        alike = round(jaccard(source, text), 4) if kind == "near" else 1.0
        yield f"{kind}-{at}", text, {"id": f"{kind}-{at}", "kind": kind, "of": f"original-{of}", "jaccard": alike}


def read(data: pathlib.Path, language: str | None) -> list[str]:
    """The distinct texts of a folder, in the order of their hashes."""
    filters = [("language", "=", language)] if language else None
    texts = {
        text
        for path in sorted(data.glob("*.parquet"))
        for text in pq.read_table(path, columns=["text"], filters=filters)["text"].to_pylist()
        if text and text.strip()
    }
    if not texts:
        raise SystemExit(f"{data}: no documents; give a folder of Parquet files with a column text")
    return sorted(texts, key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest())


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="folder of Parquet files with a column text")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--language", help="only documents with this in their column language")
    args = parser.parse_args()
    originals = Originals(read(args.data, args.language))
    args.out.mkdir(parents=True, exist_ok=True)
    files = [gzip.GzipFile(args.out / f"part-{i:03d}.jsonl.gz", "wb", 6, mtime=0) for i in range(args.files)]
    planted, n_bytes = [], 0
    for name, text, plant in documents(originals, args.documents):
        files[number("file", name) % len(files)].write(json.dumps({"id": name, "text": text}).encode() + b"\n")
        n_bytes += len(text.encode())
        if plant:
            planted.append(plant)
    for file in files:
        file.close()
    summary = {"documents": args.documents, "text_bytes": n_bytes, "planted": planted}
    (args.out / "planted.json").write_text(json.dumps(summary))
    print(f"{args.documents:,} documents, {n_bytes:,} bytes of text, {len(planted):,} planted duplicates")


if __name__ == "__main__":
    main()
