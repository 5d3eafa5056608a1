"""Our MinHash beside datasketch's and rensa's: megabytes of text a second, on one core, in one run.

    python -m benchmarks.minhash_vs_peers DATA_DIR [--megabytes 50] [--language en] [--rensa-python PYTHON] [--json FILE]

DATA_DIR is a folder of Parquet files with a column `text`. PYTHON is an interpreter that has rensa; without it this one is
asked, and if it has none rensa is left out. Ours signs all of the sample, in batches; the peers, so much slower, every n-th
document of it. A rate is bytes of UTF-8 over CPU seconds of the process, all of its threads, best of `--repeat` times.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasketch import MinHash

from benchmarks.rensa_peer import least, shingles
from transforms.kernels.similarity import minhash
from transforms.kernels.text import text

PEER = pathlib.Path(__file__).with_name("rensa_peer.py")
NUM_PERMS = (112, 128)
NGRAM = 5
BATCH = 1000  # documents


def sample(folder: pathlib.Path, megabytes: float, language: str | None) -> pa.LargeStringArray:
    """Documents of all the files, spread evenly over them, that are at most so much UTF-8 together."""
    columns = []
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path, columns=["text", "language"] if language else ["text"])
        if language:
            table = table.filter(pc.equal(table["language"], language))
        columns += table["text"].drop_null().cast(pa.large_string()).chunks
    texts = pa.concat_arrays(columns)
    texts = texts.take(pa.array(np.random.default_rng(0).permutation(len(texts))))
    ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False))
    return texts.slice(0, max(1, int(np.searchsorted(ends, megabytes * 1e6, "right"))))


def n_bytes(texts: pa.LargeStringArray) -> int:
    return int(pc.sum(pc.binary_length(texts)).as_py())


def ours(texts: pa.LargeStringArray, num_perm: int, repeat: int) -> dict[str, float]:
    """CPU seconds from the text, and from the shingle hashes."""
    # Copies, because a slice would have the kernels reserve room for the whole column.
    batches = [pa.concat_arrays([texts.slice(at, BATCH)]) for at in range(0, len(texts), BATCH)]

    def hashed(batch: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        return minhash.shingles(*minhash.words(text.canonicalise(batch)[1]), NGRAM)

    def each(work: Callable[..., object], inputs: list) -> Callable[[], None]:
        def run() -> None:
            for one in inputs:
                work(one)

        return run

    ready = [hashed(batch) for batch in batches]  # and the kernels are compiled
    minhash.sign(*ready[0], num_perm)
    return {
        "text": least(each(lambda batch: minhash.sign(*hashed(batch), num_perm), batches), repeat),
        "hashes": least(each(lambda one: minhash.sign(*one, num_perm), ready), repeat),
    }


def datasketch(texts: list[str], hashes: list[list[int]], num_perm: int, repeat: int) -> dict[str, float]:
    """CPU seconds of `update_batch` and `bulk`, with datasketch's own hash and with the quickest of the standard library."""
    options = {"num_perm": num_perm, "scheme": minhash.SCHEME, "seed": minhash.SEED}

    def encoded(value: str) -> list[bytes]:
        return [one.encode() for one in shingles(value)]

    def one_by_one() -> None:
        for value in texts:
            MinHash(**options).update_batch(encoded(value))

    return {
        "text: update_batch, SHA-1": least(one_by_one, repeat),
        "text: bulk, SHA-1": least(lambda: MinHash.bulk(map(encoded, texts), **options), repeat),
        "text: bulk, CRC-32": least(lambda: MinHash.bulk(map(encoded, texts), hashfunc=zlib.crc32, **options), repeat),
        "hashes: bulk": least(lambda: MinHash.bulk(hashes, hashfunc=int, **options), repeat),
    }


def rensa(python: str | None, given: dict) -> dict[str, dict[str, float]]:
    """What the peer's process found, or nothing if there is no rensa."""
    if python is None and importlib.util.find_spec("rensa") is None:
        return {}
    done = subprocess.run(
        [python or sys.executable, PEER],
        input=json.dumps(given),
        env={**os.environ, "RAYON_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def measure(texts: pa.LargeStringArray, peer_megabytes: float, python: str | None, repeat: int) -> dict:
    """Rates in MB/s: `{num_perm: {name: rate}}`, and how much text it was."""
    every = max(1, round(n_bytes(texts) / (peer_megabytes * 1e6)))
    few = texts.take(pa.array(np.arange(0, len(texts), every)))
    offsets, flat = minhash.shingles(*minhash.words(text.canonicalise(few)[1]), NGRAM)
    hashes = [part.tolist() for part in np.split(flat, offsets[1:-1])]
    strings = few.to_pylist()
    given = {"texts": strings, "hashes": flat.tolist(), "offsets": offsets.tolist()}
    peer = rensa(python, {**given, "num_perms": NUM_PERMS, "repeat": repeat})
    rates = {}
    for k in NUM_PERMS:
        mine = {f"{start}: ours": n_bytes(texts) / took / 1e6 for start, took in ours(texts, k, repeat).items()}
        seconds = [("datasketch", datasketch(strings, hashes, k, repeat)), ("rensa", peer.get(str(k), {}))]
        others = [(way.replace(": ", f": {who} "), took) for who, found in seconds for way, took in found.items()]
        rates[k] = {**mine, **{name: n_bytes(few) / took / 1e6 for name, took in others}}
    return {"bytes": n_bytes(texts), "documents": len(texts), "peer_bytes": n_bytes(few), "megabytes_per_second": rates}


def table(found: dict) -> str:
    lines = [
        f"{found['documents']} documents, {found['bytes'] / 1e6:.1f} MB; the peers: {found['peer_bytes'] / 1e6:.1f} MB",
        "MB of text a second, one core; how many times as fast ours is",
        f"{'':36}" + "".join(f"{f'{k} values':>20}" for k in NUM_PERMS),
    ]
    rates = found["megabytes_per_second"]
    for name in sorted(rates[NUM_PERMS[0]], key=lambda name: (not name.startswith("text"), -rates[NUM_PERMS[0]][name])):
        start = name.split(":")[0]
        cells = [f"{rates[k][name]:10.2f} {rates[k][f'{start}: ours'] / rates[k][name]:8.1f}x" for k in NUM_PERMS]
        lines.append(f"{'from ' + name:36}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--peer-megabytes", type=float, default=4)
    parser.add_argument("--language")
    parser.add_argument("--rensa-python")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    texts = sample(options.data, options.megabytes, options.language)
    found = measure(texts, options.peer_megabytes, options.rensa_python, options.repeat)
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
