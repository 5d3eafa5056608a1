"""How many tokens a tokenizer makes of a word, by language, and how quickly they are counted beside words.

    python -m benchmarks.tokens_per_word DATA_DIR TOKENIZER... [--documents N]

DATA_DIR has Parquet files with `text` and `language`; of each language the first N documents are taken. A tokenizer is what a
recipe may name: a tokenizer.json or tiktoken:NAME. Rates are bytes of UTF-8 over CPU seconds of this process, all its threads.
"""

import argparse
import glob
import os
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.kernels.text.text import canonicalise, count_words
from transforms.survey.tokenizers import load_tokenizer


def texts_of(data_dir: str, most: int) -> dict[str, pa.LargeStringArray]:
    """The first texts of each language, over all files of a folder; of people, where the files say who wrote them."""
    tables = []
    for path in sorted(glob.glob(os.path.join(data_dir, "*.parquet"))):
        names = pq.read_schema(path).names
        table = pq.read_table(path, columns=["text", "language", *({"label"} & set(names))])
        if "label" in names:
            table = table.filter(pc.equal(table["label"], "human"))
        tables.append(table.select(["text", "language"]))
    whole = pa.concat_tables(tables)
    languages = sorted(pc.unique(whole["language"]).drop_null().to_pylist())
    chosen = {name: whole.filter(pc.equal(whole["language"], name))["text"].drop_null() for name in languages}
    # Of the whole of it, not of its first file.
    return {
        name: texts.take(pa.array(range(0, len(texts), max(1, len(texts) // most)))[:most])
        .cast(pa.large_string())
        .combine_chunks()
        for name, texts in chosen.items()
        if len(texts)
    }


def main() -> None:
    """Print the factors and the rates as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("tokenizer", nargs="+")
    parser.add_argument("--documents", type=int, default=1000)
    args = parser.parse_args()
    tokenizers = [load_tokenizer(name) for name in args.tokenizer]
    names = [os.path.basename(one.name) for one in tokenizers]
    print(
        "| language | documents | words | " + " | ".join(f"{name}, a word | MB/s" for name in names) + " | words MB/s |"
    )
    print("|---" * (4 + 2 * len(names)) + "|")
    count_words(canonicalise(pa.array(["compiled"], pa.large_string()))[1])
    for language, texts in texts_of(args.data_dir, args.documents).items():
        size = pc.sum(pc.binary_length(texts)).as_py() / 1e6
        started = time.process_time()
        words = int(count_words(canonicalise(texts)[1]).sum())
        cells, of_words = [], size / (time.process_time() - started)
        for one in tokenizers:
            started = time.process_time()
            tokens = int(one.count(texts).sum())
            cells.append(f"{tokens / words:.2f} | {size / (time.process_time() - started):.1f}")
        print(f"| {language} | {len(texts):,} | {words:,} | {' | '.join(cells)} | {of_words:.0f} |")


if __name__ == "__main__":
    main()
