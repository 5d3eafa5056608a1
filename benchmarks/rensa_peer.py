"""What rensa needs for a sample of texts; run by `benchmarks.minhash_vs_peers` with an interpreter that has rensa.

Reads from standard input, as JSON: `texts`, the strings; `hashes` and `offsets`, the shingle hashes of all of them and where
each text's begin; `num_perms`; `repeat`. Writes, as JSON: for each of `num_perms`, for each way, the least CPU seconds.
"""

import array
import itertools
import json
import sys
import time
from collections.abc import Callable


def shingles(text: str, ngram: int = 5) -> list[str]:
    """The word n-grams of a text, as a user of a Python MinHash makes them."""
    words = text.lower().split()
    return [" ".join(words[at : at + ngram]) for at in range(len(words) - ngram + 1)]


def least(work: Callable[[], object], repeat: int) -> float:
    """CPU seconds of the quickest of `repeat` times."""
    best = float("inf")
    for _ in range(repeat):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def main() -> None:
    import rensa

    given = json.load(sys.stdin)
    texts, repeat = given["texts"], given["repeat"]
    # As 64-bit hashes: all bits of a 32-bit one, spread by an odd factor, because rensa uses them as they come.
    flat = array.array("Q", (h * 0x9E3779B97F4A7C15 % 2**64 for h in given["hashes"]))
    offsets = array.array("Q", given["offsets"])
    rows = [flat[start:end].tolist() for start, end in itertools.pairwise(offsets)]
    r, c, seed = rensa.RMinHash, rensa.CMinHash, 1
    found = {}
    for k in given["num_perms"]:
        ways: dict[str, Callable[[], object]] = {
            "text: RMinHash": lambda k=k: r.digest_matrix_from_token_sets(map(shingles, texts), k, seed),
            "text: CMinHash": lambda k=k: c.digests64_from_token_sets(map(shingles, texts), k, seed),
            "text: Rho": lambda k=k: r.digest_matrix_from_token_sets_rho(map(shingles, texts), k, seed),
            "hashes: RMinHash": lambda k=k: r.digest_matrix_from_flat_token_hashes(flat, offsets, k, seed),
            "hashes: CMinHash": lambda k=k: c.digests64_from_token_hash_sets(rows, k, seed),
            "hashes: Rho": lambda k=k: r.digest_matrix_from_flat_token_hashes_rho(flat, offsets, k, seed),
        }
        found[str(k)] = {name: least(way, repeat) for name, way in ways.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
