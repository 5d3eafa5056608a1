"""MinHash signatures: datasketch's `affine32` scheme over word shingles, one compiled pass per batch.

A shingle is `ngram` consecutive words or ideographs of the canonical text (punctuation is not part of it). A document
with fewer words than that has no shingle and no signature: it can be an exact duplicate only.

The scheme (datasketch 2.0, minhash.py): h' = fmix32(h); value k = (a_k h' + b_k) mod 2^32; the signature holds the
minimum of each over the shingles. The permutations come from datasketch itself, and so does the oracle of the tests.
"""

import functools

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.text.text import PUNCTUATION, Tokens

SCHEME = "affine32"
SEED = 1
FORM = 3  # raise it when the canonical form or the shingles change: signatures of two forms cannot be compared
MAX_NGRAM = 16

_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
POLYNOMIAL = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing
_S33, _S32, _U1 = np.uint64(33), np.uint64(32), np.uint64(1)


@functools.cache
def permutations(num_perm: int, seed: int = SEED) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The multipliers `a` (odd) and offsets `b` of datasketch's affine32 scheme, uint32[num_perm] each.

    They are drawn here as it draws them: importing it takes half as long as importing Beam. NumPy keeps this stream as it is
    for ever (NEP 19), and a test holds them against datasketch's own.
    """
    drawn = np.random.RandomState(seed)
    a = drawn.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, drawn.randint(0, 1 << 32, num_perm, dtype=np.uint32)


@inlined
def mix64(h):
    """MurmurHash3's 64-bit finaliser: a bijection that spreads every bit over all."""
    h = (h ^ (h >> _S33)) * _MIX1
    h = (h ^ (h >> _S33)) * _MIX2
    return h ^ (h >> _S33)


def mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """`mix64` of each. uint64[n]."""
    found: npt.NDArray[np.uint64] = mix64.py_func(values)
    return found


@kernel("i64[] u8[] u64[] u64[]! i64[]!")
def _words(offsets, kind, hash64, words, word_offsets):
    """Drop the punctuation: offsets and hashes of the words and ideographs."""
    n = np.uint64(0)
    for d in range(len(offsets) - 1):
        for t in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            words[n] = hash64[t]  # written over by the next if it is punctuation: no branch to guess
            n += np.uint64(kind[t] != PUNCTUATION)
        word_offsets[d + 1] = n
    return n


@kernel("i64[] u64[] i64 u32[]! i64[]!")
def _shingles(word_offsets, words, ngram, out, out_offsets):
    """One hash per shingle: a polynomial in the hashes of its words, mixed. uint32, and the offsets per document."""
    size = np.uint64(ngram)
    power = np.uint64(1)
    for _ in range(ngram):
        power *= POLYNOMIAL
    n = np.uint64(0)
    for d in range(len(word_offsets) - 1):
        start, end = np.uint64(word_offsets[d]), np.uint64(word_offsets[d + 1])
        if end - start >= size:
            h = size  # Horner's rule from this start, so that shingles of different length differ
            for t in range(start, start + size):
                h = h * POLYNOMIAL + words[t]
            out[n] = np.uint32(mix64(h) >> _S32)
            n += _U1
            for t in range(start + size, end):  # the next word comes in, and the first with its power goes out
                h = h * POLYNOMIAL + words[t] - (words[t - size] + size * (POLYNOMIAL - _U1)) * power
                out[n] = np.uint32(mix64(h) >> _S32)
                n += _U1
        out_offsets[d + 1] = n
    return n


@kernel("u32[] i64 i64")  # LLVM inlines it; Numba would type and lower each of its eight uses anew
def _mixed(shingles, s, last):
    """MurmurHash3's 32-bit finaliser of shingle `s`, or of the last one if `s` is beyond it."""
    h = shingles[min(s, last)]
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return h ^ (h >> np.uint32(16))


@kernel("u32 u32 u32 u32")
def _less(a, b, one, other):
    """The smaller of two shingles under one permutation."""
    return min(np.uint32(a * one + b), np.uint32(a * other + b))


@kernel("i64[] u32[] u32[] u32[] u32[,]!")
def _sign(shingle_offsets, shingles, a, b, signatures):
    """Eight shingles at a time, so that a signature's entry is read and written an eighth as often.

    The last shingle fills the last eight: a minimum does not mind. Written out by hand, so that LLVM makes the loop over the
    permutations the vector one.
    """
    n_docs, num_perm = len(shingle_offsets) - 1, len(a)
    for d in range(n_docs):
        row = signatures[d]
        last = shingle_offsets[d + 1] - 1
        for s in range(shingle_offsets[d], last + 1, 8):
            h0, h1 = _mixed(shingles, s, last), _mixed(shingles, s + 1, last)
            h2, h3 = _mixed(shingles, s + 2, last), _mixed(shingles, s + 3, last)
            h4, h5 = _mixed(shingles, s + 4, last), _mixed(shingles, s + 5, last)
            h6, h7 = _mixed(shingles, s + 6, last), _mixed(shingles, s + 7, last)
            for k in range(num_perm):
                low = min(_less(a[k], b[k], h0, h1), _less(a[k], b[k], h2, h3))
                high = min(_less(a[k], b[k], h4, h5), _less(a[k], b[k], h6, h7))
                row[k] = min(row[k], low, high)


def words(tokens: Tokens) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """`(offsets, hash64)` of the words and ideographs, without the punctuation."""
    found, offsets = np.empty(len(tokens.hash64), np.uint64), np.zeros(len(tokens.offsets), np.int64)
    n = _words(tokens.offsets, tokens.kind, tokens.hash64, found, offsets)
    return offsets, found[:n]


def shingles(
    word_offsets: npt.NDArray[np.int64], word_hashes: npt.NDArray[np.uint64], ngram: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """`(offsets, hash32)` of the shingles of each document; repeated shingles are repeated."""
    if not 1 <= ngram <= MAX_NGRAM:
        raise ValueError(f"ngram must be between 1 and {MAX_NGRAM}, got {ngram}")
    out, offsets = np.empty(len(word_hashes), np.uint32), np.zeros(len(word_offsets), np.int64)
    n = _shingles(word_offsets, word_hashes, ngram, out, offsets)
    return offsets, out[:n]


@kernel("i64[] u64[] i64", allocates=True)
def _shingle_sets(word_offsets, words, ngram):
    out = np.empty(len(words), np.uint64)
    out_offsets = np.zeros(len(word_offsets), np.int64)
    n = 0
    for d in range(len(word_offsets) - 1):
        start = n
        for t in range(word_offsets[d], word_offsets[d + 1] - ngram + 1):
            h = np.uint64(ngram)
            for i in range(ngram):
                h = h * POLYNOMIAL + words[t + i]
            out[n] = mix64(h)
            n += 1
        out[start:n] = np.sort(out[start:n])
        end = n
        n = start
        for i in range(start, end):
            if i == start or out[i] != out[n - 1]:
                out[n] = out[i]
                n += 1
        out_offsets[d + 1] = n
    return out_offsets, out[:n].copy()


def shingle_sets(
    word_offsets: npt.NDArray[np.int64], word_hashes: npt.NDArray[np.uint64], ngram: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """`(offsets, hash64)` of the distinct shingles of each document, ascending.

    With 64 bits a shingle, sets of a million shingles have a false common one with a chance of about 1 in 20 million.
    """
    return _shingle_sets(word_offsets, word_hashes, ngram)


def sign(
    shingle_offsets: npt.NDArray[np.int64], shingle_hashes: npt.NDArray[np.uint32], num_perm: int
) -> npt.NDArray[np.uint32]:
    """Signatures, uint32[documents, num_perm]. A document without shingles gets all ones, as datasketch's empty MinHash.

    Equal bit for bit to `datasketch.MinHash(num_perm, scheme="affine32")` updated with the same 32-bit hashes.
    """
    signatures = np.full((len(shingle_offsets) - 1, num_perm), 0xFFFFFFFF, np.uint32)
    _sign(shingle_offsets, shingle_hashes, *permutations(num_perm), signatures)
    return signatures


def similarity(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Estimated Jaccard similarity of signature pairs: the fraction of equal entries, row by row.

    Unbiased under min-wise hashing, with standard error sqrt(J (1 - J) / num_perm) (Broder 1997, section 3). The
    permutations here are 2-universal, not min-wise: the error is measured in the tests, not proven.

    Args:
      one, other: signatures, uint32[pairs, num_perm], of one scheme and seed.

    Returns:
      Similarities in [0, 1], float64[pairs].
    """
    return (one == other).mean(axis=1)
