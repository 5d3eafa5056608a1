"""The parts of a run measured alone, beside the run: CPU seconds, one thread each.

    python -m benchmarks.parts CORPUS_DIR [--json result.json]

CORPUS_DIR comes from `benchmarks.corpus`. A part does its one thing to the whole corpus, once, with what the run does it with,
and what it needs is there already. The run is that of `benchmarks.run_vs_datatrove`, with compiled kernels; it does much that is
no part: it starts, measures, compares, judges, reads all text twice. `times the parts` is the run over their sum.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from benchmarks.reading_speed import KEYS, blocks_of
from benchmarks.run_vs_datatrove import ours
from pipeline.execution import give_memory_back
from transforms.detector import languages
from transforms.detector.detector import BUNDLED, load_detector
from transforms.ingest.columns import document_ids
from transforms.ingest.json_columns import Block, ColumnReader
from transforms.kernels.similarity import minhash
from transforms.kernels.text import text
from transforms.kernels.text.columns import hash_texts
from transforms.release.shards import COMPRESSION

NGRAM, NUM_PERM = 5, 112


def compressed(release: pa.Table) -> None:
    """As a shard is."""
    pq.write_table(release, pa.BufferOutputStream(), **COMPRESSION)


def measured(files: list[pathlib.Path], folder: pathlib.Path) -> dict[str, float]:
    """CPU seconds by part, of all files one after the other."""
    seconds: dict[str, float] = {}

    def part(name: str, work: Callable[..., Any], *what: Any) -> Any:
        begun = time.thread_time()
        done = work(*what)
        seconds[name] = seconds.get(name, 0.0) + time.thread_time() - begun
        return done

    reader, written = ColumnReader(("text",), KEYS[1:]), folder / "written"
    models = {"detector": load_detector(None), "cross-check": load_detector("words")}
    for path in files:
        data = part("decompress", igzip.decompress, part("read", path.read_bytes))
        for block in map(Block, blocks_of(data)):
            found = part("parse", reader.read, block)
            if found is None:  # the last lines of a file may be too few
                continue
            texts, ids = found[0], found[1].text("id")
            canonical, tokens = part("canonical form and tokens", text.canonicalise, texts)
            part("hash", document_ids, "s", ids, texts)
            part("hash", hash_texts, canonical)
            shingles = part("sign", minhash.shingles, *part("sign", minhash.words, tokens), NGRAM)
            signed = part("sign", minhash.sign, *shingles, NUM_PERM)
            n_tokens, kinds = text.count_words(tokens), np.zeros(len(texts), np.int8)
            tags, _ = part("score: language", languages.find_languages, texts)
            for name, model in models.items():
                part(f"score: {name}", model.score, texts, tokens, n_tokens, kinds, tags)
            part("compress", compressed, pa.table({"id": ids, "text": texts}))
            part("write", written.write_bytes, signed.tobytes())
    return seconds


def main() -> None:
    """Measure and show a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    asked = parser.parse_args()
    corpus = asked.corpus.resolve()
    files, size = sorted(corpus.glob("*.jsonl.gz")), json.loads((corpus / "planted.json").read_text())["text_bytes"]
    give_memory_back()  # as a local run does
    work = pathlib.Path(tempfile.mkdtemp(prefix="lowbackground-parts-"))
    try:
        measured(files[:1], work)  # compiles, and loads what is loaded once
        seconds = measured(files, work)
        run = max(
            1e-9, ours(corpus, work, "run", pathlib.Path(BUNDLED)).cpu
        )  # nothing is seen of a process that was forked
    finally:
        shutil.rmtree(work, ignore_errors=True)
    parts = sum(seconds.values())
    for name, one in {**seconds, "all parts": parts, "the run": run}.items():
        sys.stdout.write(f"{name:28}{one:8.2f} CPU s{size / 1e6 / max(one, 1e-9):9,.0f} MB/s{one / run:8.1%}\n")
    sys.stdout.write(f"times the parts: {run / parts:.2f}\n")
    if asked.json:
        asked.json.write_text(json.dumps({"parts": seconds, "run": run, "times": run / parts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
