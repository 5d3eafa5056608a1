"""Documents as sets of shingles, some of them near duplicates of others: several tests stand on it."""

import hashlib

import numpy as np

from transforms.kernels.similarity import minhash

NUM_PERM = 112


def hashed(*parts: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest())


def planted(seed: int, documents: int, pairs: int, boilerplate: int = 0) -> list[set[int]]:
    """Sets of 120 shingles; the first `2 * pairs` are pairs of Jaccard 0.6 to 1, and some documents share 60 shingles."""
    found = []
    for number in range(pairs):
        one = [hashed(seed, number, i) for i in range(120)]
        apart = number * 31 // max(1, pairs)  # of 120 on either side: Jaccard (120 - apart) / (120 + apart)
        found += [set(one), {*one[apart:], *(hashed(seed, number, i, 1) for i in range(apart))}]
    for number in range(documents - 2 * pairs):
        own = [hashed(seed, -1 - number, i) for i in range(120)]
        found.append({*own[60:], *(hashed(seed, i) for i in range(60))} if number < boilerplate else set(own))
    return found


def signed(sets: list[set[int]]) -> np.ndarray:
    offsets = np.cumsum([0, *map(len, sets)]).astype(np.int64)
    return minhash.sign(offsets, np.array([h for one in sets for h in sorted(one)], np.uint32), NUM_PERM)
