"""How quickly the bundled detector scores, all experts in one pass, and how quickly languages and kinds of text are told.

    python -m benchmarks.detector_speed DATA_DIR [--language en]

Every rate is bytes of UTF-8 over CPU seconds of this process, one thread, the best of `--repeats`.
"""

import argparse
import glob
import os
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.detector.detector import load_detector
from transforms.detector.languages import find_languages
from transforms.kernels.text.prose import kind_of
from transforms.kernels.text.text import canonicalise, count_words

BATCH = 4096  # documents


def texts_of(data_dir: str, language: str | None) -> pa.LargeStringArray:
    """The texts of all Parquet files of a folder, of one language if it is given."""
    columns = ["text", *(["language"] if language else [])]
    tables = [pq.read_table(path, columns=columns) for path in sorted(glob.glob(os.path.join(data_dir, "*.parquet")))]
    table = pa.concat_tables(tables)
    if language:
        table = table.filter(pc.equal(table["language"], language))
    return table["text"].drop_null().cast(pa.large_string()).combine_chunks()


def best(repeats: int, work: Callable[[], object]) -> float:
    """The fewest CPU seconds that the work took, once its kernels are compiled."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    """Print the rates and their ratios as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("--language")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    texts = texts_of(args.data_dir, args.language)
    batches = [texts.slice(start, BATCH) for start in range(0, len(texts), BATCH)]
    size = pc.sum(pc.binary_length(texts)).as_py()
    detector = load_detector()
    tokens = [canonicalise(batch)[1] for batch in batches]
    counts = [count_words(batch) for batch in tokens]
    scored = list(zip(batches, tokens, counts, strict=True))

    def whole() -> None:
        for batch in batches:
            _, found = canonicalise(batch)
            detector.score(batch, found, count_words(found))

    def models() -> None:
        for batch, found, _ in scored:
            detector.model.scores(batch, found)

    seconds = {
        "canonical form, tokens and score": best(args.repeats, whole),
        "score of tokens": best(args.repeats, lambda: [detector.score(*batch) for batch in scored]),
        "whether it is prose, which is in both": best(args.repeats, lambda: [kind_of(batch) for batch in batches]),
        "language, where the input does not say": best(args.repeats, lambda: [find_languages(b) for b in batches]),
        f"the {len(detector.model.experts)} experts in it": best(args.repeats, models),
    }
    print(f"{len(texts):,} documents, {size / 1e6:.1f} MB\n\n| | MB/s |\n|---|--:|")
    for name, taken in seconds.items():
        print(f"| {name} | {size / 1e6 / taken:.0f} |")


if __name__ == "__main__":
    main()
