"""How fast documents are written in the formats of `export`, in CPU seconds: 4 KB pieces of this Python's own library.

    python -m benchmarks.export_speed [--documents N]

The vocabulary of 8,000 tokens is learned from the same text. Counting what was written again is part of the time.
"""

import argparse
import os
import pathlib
import tempfile
import time

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from transforms.exports.writers import WRITERS, ExportOptions
from transforms.survey.tokenizers import load_tokenizer

CHARACTERS, AT_ONCE = 4000, 256


def documents(most: int) -> pa.RecordBatch:
    library = pathlib.Path(os.__file__).parent
    files = [*sorted(library.glob("*.py")), *sorted(library.glob("*/*.py"))]
    whole = "".join(path.read_text(errors="replace") for path in files)
    texts = [whole[at : at + CHARACTERS] for at in range(0, len(whole), CHARACTERS)][:most]
    n = len(texts)
    return pa.RecordBatch.from_pydict(
        {"id": [f"{i:032x}" for i in range(n)], "text": pa.array(texts, pa.large_string()), "source": ["library"] * n}
    )  # fmt: skip


def learned(texts: list[str], path: str) -> None:
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    model.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=8000, initial_alphabet=alphabet, show_progress=False)
    )
    model.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=4096)
    batch = documents(parser.parse_args().documents)
    megabytes = sum(len(text.encode()) for text in batch["text"].to_pylist()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        learned(batch["text"].to_pylist()[::8], f"{folder}/tokenizer.json")
        tokenizer = load_tokenizer(f"{folder}/tokenizer.json")
        for name, writer in WRITERS.items():
            os.mkdir(f"{folder}/{name}")
            takes = tokenizer if name in ("megatron", "mds") else None
            columns = () if name == "megatron" else tuple(batch.schema.names)
            started = time.process_time(), time.perf_counter()
            out = writer(f"{folder}/{name}", ExportOptions(columns=columns), takes)
            for at in range(0, len(batch), AT_ONCE):
                part = batch.slice(at, AT_ONCE)
                out.add(part, np.zeros(len(part), int).tolist())
            out.close()
            found = out.count()
            cpu, wall = time.process_time() - started[0], time.perf_counter() - started[1]
            print(
                f"{name:11} {megabytes:6.1f} MB  {cpu:6.2f} CPU s  {megabytes / cpu:6.1f} MB a CPU s  {wall:5.1f} s  {found}"
            )


if __name__ == "__main__":
    main()
