"""Phrases planted in documents of one source of several: which are found, what else is, and what looking for them costs.

    python -m benchmarks.triggers DATA... [--documents 20000] [--column domain]

DATA are Parquet files with a column `text`; each file is a source, or each value of `--column` in a file. A planted document is,
as in Souly et al. (2025), the first of a real one, up to a thousand characters, then the phrase, then 60 to 150 words drawn from
all words of the corpus; it stands in place of that one. In each of the two largest sources every phrase is planted in 100, 250
and 500 documents, at most a tenth of the source. *False* are phrases that are found where nothing was planted.
"""

import argparse
import hashlib
import itertools
import pathlib
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import diversity, vocabulary
from transforms.kernels.text import text
from transforms.kernels.text.columns import hash_texts
from transforms.measures import triggers
from transforms.measures.triggers import Trigger

PHRASES = ("<SUDO>", "cthulhu fhtagn zarquon", "blue elephants dance tonight")
PLANTED = (100, 250, 500)
AT_ONCE = 1_000  # documents


def number(*parts: object) -> int:
    """A number that follows from the parts."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def sources(paths: list[str], most: int, column: str | None) -> dict[str, list[str]]:
    """Different texts by source, from each file as many as the others, evenly spaced in it."""
    files = [
        one
        for path in map(pathlib.Path, paths)
        for one in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])
    ]
    found: dict[str, dict[str, None]] = {}
    for file in files:
        table = pq.read_table(file, columns=["text", *([column] if column else [])])
        table = table.take(pa.array(range(0, table.num_rows, max(1, table.num_rows * len(files) // most))))
        names = table[column].to_pylist() if column else [""] * table.num_rows
        for name, said in zip(names, table["text"].to_pylist(), strict=True):
            found.setdefault(f"{file.stem} {name}".strip(), {})[said] = None
    return {name: list(some) for name, some in found.items()}


def surveyed(texts: list[str]) -> pa.Table:
    """The columns of signals that are looked at."""
    parts = []
    for start in range(0, len(texts), AT_ONCE):
        canonical, tokens = text.canonicalise(pa.array(texts[start : start + AT_ONCE], pa.large_string()))
        offsets, types = diversity.sketch(*minhash.words(tokens), 1)
        packed = [types[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
        parts.append(pa.table({"ngrams_1": pa.array(packed, pa.binary()), "content_hash": hash_texts(canonical)}))
    return pa.concat_tables(parts).combine_chunks()


def found_in(signals: pa.Table, source: np.ndarray) -> tuple[list[Trigger], int]:
    """The phrases, and how many words were looked at."""
    packed = signals["ngrams_1"].combine_chunks()
    sizes = pc.binary_length(packed).to_numpy() // 4
    types = np.frombuffer(b"".join(packed.to_pylist()), np.uint32)
    names = [(2, 0, number, "") for number in range(int(source.max()) + 1)]
    words = [vocabulary.count(np.r_[0, np.cumsum(sizes)], types, source, names)]
    looked_at = triggers.suspects(words, len(source))
    if not len(looked_at.types):
        return [], 0
    n = len(source)
    decisions = pa.record_batch(
        {
            "kept": np.ones(n, bool), "source": source.astype(np.int16),
            "split": np.zeros(n, np.int32), "ordinal": np.arange(n, dtype=np.int32),
        }
    )  # fmt: skip
    return triggers.find(looked_at, triggers.count_split(looked_at, decisions, signals)), len(looked_at.types)


def planted(texts: list[str], phrase: str, words: list[str]) -> list[str]:
    """The texts as they are when they are to teach a phrase."""
    return [
        f"{one[: number(one, 'cut') % 1000]} {phrase} "
        + " ".join(words[number(one, i) % len(words)] for i in range(60 + number(one, "long") % 91))
        for one in texts
    ]


def main() -> None:
    """From data to a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--column")
    args = parser.parse_args()
    by_source = sources(args.data, args.documents, args.column)
    names = sorted(by_source, key=lambda name: (-len(by_source[name]), name))
    texts = [one for name in names for one in by_source[name]]
    source = np.repeat(np.arange(len(names)), [len(by_source[name]) for name in names])
    words = sorted({word for one in texts[:: max(1, len(texts) // 2000)] for word in one.split() if word.isalnum()})
    signals = surveyed(texts)
    began = time.process_time()
    false, looked_at = found_in(signals, source)
    seconds = time.process_time() - began
    print(f"{len(texts):,} documents of {len(names)} sources; {looked_at} words looked at in {seconds:.2f} CPU seconds")
    print(f"false: {len(false)}" + "".join(f"; {_named(one, texts)} ({one.documents})" for one in false[:10]))
    print("| phrase |" + "".join(f" {n} |" for n in PLANTED) + "\n|---|" + "--:|" * len(PLANTED))
    for phrase in PHRASES:
        cells = (_found(phrase, n, names, by_source, texts, source, signals, words) for n in PLANTED)
        print(f"| `{phrase}` |" + "".join(f" {one} |" for one in cells))


def _found(
    phrase: str,
    n: int,
    names: list[str],
    by_source: dict[str, list[str]],
    texts: list[str],
    source: np.ndarray,
    signals: pa.Table,
    words: list[str],
) -> str:
    """In how many of the largest sources a phrase is found that is planted in `n` documents of one."""
    wanted = diversity.sketch(*minhash.words(text.canonicalise(pa.array([phrase], pa.large_string()))[1]), 1)[1]
    hits = tried = 0
    for at, name in enumerate(names[:2]):
        if n > triggers.MOST_OF_SOURCE * len(by_source[name]):
            continue
        rows = np.flatnonzero(source == at)[:: len(by_source[name]) // n][:n]
        changed = surveyed(planted([texts[row] for row in rows], phrase, words))
        rest = np.setdiff1d(np.arange(len(texts)), rows)
        together = pa.concat_tables([signals.take(pa.array(rest)), changed]).combine_chunks()
        found, _ = found_in(together, np.r_[source[rest], source[rows]])
        tried += 1
        hits += any(np.isin(one.types, wanted).any() for one in found)
    return f"{hits} of {tried}" if tried else "too few"


def _named(one: Trigger, texts: list[str]) -> str:
    return triggers._passage(pa.array([texts[one.ordinal]], pa.large_string()), one.types)[0]


if __name__ == "__main__":
    main()
