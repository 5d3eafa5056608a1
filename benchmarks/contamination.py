"""Evaluation items planted in real text, in seven ways: which are found, what else is, and what looking for them costs.

    python -m benchmarks.contamination DATA... [--items 2000] [--documents 20000] [--json F]

DATA are Parquet files, or folders of them, with a column `text`. Items are passages of 40 to 80 words, each of its own document;
every second one has the same 25 words of instructions before it. Half of the items are planted, each in another document, in one
of the ways below; the other half is nowhere. The documents that items are of are not among those that are searched.

Under each way is the share of its items that are found in their document. *There before* counts the documents in which an item is
found that was not planted there and of which half or more stands in it in a row: real text is not clean. *False* counts those
where less does; precision is all others over all that were found. Speed is megabytes of UTF-8 over CPU seconds of one thread, the
best of five passes over batches of about a megabyte, beside that of the canonical form, which every document takes anyway.
"""

import argparse
import hashlib
import itertools
import json
import pathlib
import re
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.kernels.similarity import minhash, overlap
from transforms.kernels.text import text

FORM = (
    "Read the following question with care and then choose the one answer among the four given below that you hold to be the "
    "most likely to be right"
)
NGRAMS = (13, 8, 5)
LEAST = 0.5
BATCH_BYTES = 1 << 20


def number(*parts: object) -> int:
    """A number that follows from the parts."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def verbatim(words: list[str], seed: int) -> str:
    """As it is."""
    return " ".join(words)


def wrapped(words: list[str], seed: int) -> str:
    """A line break after every seven words, and an indent."""
    return "\n    ".join(" ".join(words[i : i + 7]) for i in range(0, len(words), 7))


def shouted(words: list[str], seed: int) -> str:
    """In capitals, and with other punctuation."""
    return re.sub(r"[,.;:]", " -- ", " ".join(words).upper()) + " ..."


def renumbered(words: list[str], seed: int) -> str:
    """Another number before it, and every number in it another one."""
    return f"{seed % 90 + 7}) " + " ".join(re.sub(r"[0-9]{1,9}", lambda n: str(int(n[0]) + 7), word) for word in words)


def numbered(words: list[str], seed: int) -> str:
    """In lines of ten words, each with its number."""
    return "\n".join(f"({i // 10 + 1}) {' '.join(words[i : i + 10])}" for i in range(0, len(words), 10))


def reworded(words: list[str], seed: int, one_in: int = 12) -> str:
    """One word in twelve is another one, by hash: a light paraphrase."""
    return " ".join(
        f"other{number(seed, i) % 1000}" if number(seed, i, "at") % one_in == 0 else word
        for i, word in enumerate(words)
    )


def paraphrased(words: list[str], seed: int) -> str:
    """One word in six."""
    return reworded(words, seed, 6)


WAYS = {
    "verbatim": verbatim, "wrapped": wrapped, "case, punctuation": shouted, "renumbered": renumbered,
    "numbered lines": numbered, "one word in 12": reworded, "one word in 6": paraphrased,
}  # fmt: skip


def texts(paths: list[str], n: int) -> list[str]:
    """The first `n` different texts of at least 120 words."""
    found: dict[str, None] = {}
    for path in map(pathlib.Path, paths):
        for file in sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]:
            for batch in pq.ParquetFile(file).iter_batches(columns=["text"]):
                for one in batch["text"].to_pylist():
                    if one and len(one.split()) >= 120:
                        found.setdefault(one)
                if len(found) >= n:
                    return list(found)[:n]
    return list(found)


def made(own: list[str]) -> list[list[str]]:
    """An item of each text, by words."""
    items = []
    for i, one in enumerate(own):
        words = one.split()
        start, length = number(i, "start") % (len(words) - 80), 40 + number(i, "length") % 41
        passage = words[start : start + length]
        items.append([*FORM.split(), *passage] if i % 2 else passage)
    return items


def tokens_of(some: list[str]) -> text.Tokens:
    """Of each text, in canonical form."""
    return text.canonicalise(pa.array(some, pa.large_string()))[1]


def planted(documents: list[str], items: list[list[str]]) -> tuple[list[str], dict[int, tuple[int, str]]]:
    """Documents with every second item in the middle of one, and which item, in which way, is where."""
    out, where = list(documents), {}
    step = len(documents) // (len(items) // 2)
    for place, item in enumerate(range(0, len(items), 2)):
        way = list(WAYS)[place % len(WAYS)]
        source = item + place % 2  # with and without instructions
        at = place * step
        words = out[at].split(" ")
        middle = len(words) // 2
        out[at] = " ".join([*words[:middle], WAYS[way](items[source], source), *words[middle:]])
        where[at] = source, way
    return out, where


def in_a_row(item: list[int], document: list[int]) -> bool:
    """Whether half of an item's words or more stand in a document in a row."""
    half = (len(item) + 1) // 2
    runs = {tuple(item[i : i + half]) for i in range(len(item) - half + 1)}
    return any(tuple(document[i : i + half]) in runs for i in range(len(document) - half + 1))


def batches(some: list[str]) -> Iterator[pa.LargeStringArray]:
    """Runs of documents of about a megabyte."""
    held: list[str] = []
    size = 0
    for one in some:
        held.append(one)
        size += len(one.encode())
        if size >= BATCH_BYTES:
            yield pa.array(held, pa.large_string())
            held, size = [], 0
    if held:
        yield pa.array(held, pa.large_string())


def best(seconds: list[float]) -> float:
    """Of several passes."""
    return max(min(seconds), 1e-9)


def speed(documents: list[str], grams: overlap.Grams) -> tuple[float, float]:
    """Megabytes a CPU second of one thread: of looking for items, and of the canonical form."""
    parts = list(batches(documents))
    size = sum(part.nbytes for part in parts) / 1e6
    looking, forming = [], []
    for _ in range(5):
        start = time.thread_time()
        found = [minhash.words(text.canonicalise(part)[1]) for part in parts]
        middle = time.thread_time()
        for offsets, words in found:
            overlap.overlaps(offsets, words, grams, LEAST)
        forming.append(middle - start)
        looking.append(time.thread_time() - middle)
    return size / best(looking), size / best(forming)


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--json")
    asked = parser.parse_args()
    pool = texts(asked.data, asked.items + asked.documents)
    items, clean = made(pool[: asked.items]), pool[asked.items :]
    documents, where = planted(clean, items)
    said = [" ".join(item) for item in items]
    print(
        f"{len(items):,} items, {len(where):,} of them planted in {len(documents):,} documents, min_overlap {LEAST}\n"
    )
    print("| ngram | " + " | ".join(WAYS) + " | there before | false | precision | MB/s | canonical form MB/s |")
    print("|---" * (len(WAYS) + 6) + "|")
    item_words = minhash.words(tokens_of(said))
    own_words = [item_words[1][a:b].tolist() for a, b in itertools.pairwise(item_words[0].tolist())]
    rows = []
    for ngram in NGRAMS:
        grams = overlap.build(*item_words, ngram)
        found: list[list[int]] = []
        for part in batches(documents):
            own = overlap.overlaps(*minhash.words(text.canonicalise(part)[1]), grams, LEAST)
            found += [own.items[a:b].tolist() for a, b in itertools.pairwise(own.offsets.tolist())]
        recall = {}
        for way in WAYS:
            planted_so = [(at, item) for at, (item, how) in where.items() if how == way]
            recall[way] = sum(item in found[at] for at, item in planted_so) / max(1, len(planted_so))
        extra = [(at, item) for at, own in enumerate(found) for item in own if where.get(at, (-1,))[0] != item]
        of = {at: minhash.words(tokens_of([documents[at]]))[1].tolist() for at, _ in extra}
        there = sum(in_a_row(own_words[item], of[at]) for at, item in extra)
        false, n_found = len(extra) - there, sum(map(len, found))
        precision = 1 - false / n_found if n_found else 1.0
        looking, forming = speed(documents[:4000], grams)
        rows.append(
            {"ngram": ngram, "recall": recall, "there_before": there, "false": false, "precision": precision,
             "mb_per_second": looking, "canonical_mb_per_second": forming}
        )  # fmt: skip
        shown = [f"{100 * one:.1f} %" for one in recall.values()]
        print(
            f"| {ngram} | "
            + " | ".join(shown)
            + f" | {there} | {false} | {100 * precision:.1f} % | {looking:.0f} | {forming:.0f} |"
        )
    if asked.json:
        pathlib.Path(asked.json).write_text(json.dumps({"rows": rows}, indent=2))


if __name__ == "__main__":
    main()
