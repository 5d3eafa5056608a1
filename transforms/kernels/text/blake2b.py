"""BLAKE2b of every text of a column, in one compiled call (RFC 7693).

The standard library has it; but one text at a time, holding the interpreter's lock, and for a text above 2 KB giving it up and
waiting for it afterwards. Here eight texts are hashed at once, each in a lane of its own, and one instruction does a step of
several lanes: two to three times the bytes a second of one after the other. A long text, beside which the other lanes would have
nothing to do, is the standard library's. The tests hold this against it, bit for bit.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel

DIGEST_BYTES = 16
LONG = 1 << 16  # bytes of a text that is hashed alone
_BLOCK = np.uint64(128)
_IV = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    np.uint8,
)
_FIRST = _IV[0] ^ np.uint64(0x01010000 ^ DIGEST_BYTES)  # no key, one leaf
_NO, _YES = np.uint64(0), ~np.uint64(0)
_32, _24, _16, _63 = (np.uint64(n) for n in (32, 24, 16, 63))
_40, _48, _1 = (np.uint64(64 - n) for n in (24, 16, 63))
# The memory that is worked in has rows of a number for each lane: 16 that are mixed, 16 of the block, the same in the order of
# a round, 8 of the state, and how many bytes were read, and whether they were the last (all ones). It is one array with fixed
# places in it, for of several LLVM could not know that they do not overlap, and would make no vectors.
_LANES = np.uint64(8)
_READ, _ORDERED, _STATE, _LENGTH, _LAST, _END = (_LANES * np.uint64(row) for row in (16, 32, 48, 56, 57, 58))


@kernel("u64 u64 u64 u64 u64 u64")  # LLVM inlines it; Numba would type each of its eight uses anew
def _mix(a, b, c, d, x, y):
    """G of section 3.1."""
    a = a + b + x
    d ^= a
    d = (d >> _32) | (d << _32)
    c += d
    b ^= c
    b = (b >> _24) | (b << _40)
    a = a + b + y
    d ^= a
    d = (d >> _16) | (d << _48)
    c += d
    b ^= c
    b = (b >> _63) | (b << _1)
    return a, b, c, d


@kernel("u64[]!")
def _mix_lanes(w):
    """The eight mixings of a round, in every lane."""
    for i in range(8):
        v0, v1, v2, v3 = w[i], w[8 + i], w[16 + i], w[24 + i]
        v4, v5, v6, v7 = w[32 + i], w[40 + i], w[48 + i], w[56 + i]
        v8, v9, v10, v11 = w[64 + i], w[72 + i], w[80 + i], w[88 + i]
        v12, v13, v14, v15 = w[96 + i], w[104 + i], w[112 + i], w[120 + i]
        v0, v4, v8, v12 = _mix(v0, v4, v8, v12, w[256 + i], w[264 + i])
        v1, v5, v9, v13 = _mix(v1, v5, v9, v13, w[272 + i], w[280 + i])
        v2, v6, v10, v14 = _mix(v2, v6, v10, v14, w[288 + i], w[296 + i])
        v3, v7, v11, v15 = _mix(v3, v7, v11, v15, w[304 + i], w[312 + i])
        v0, v5, v10, v15 = _mix(v0, v5, v10, v15, w[320 + i], w[328 + i])
        v1, v6, v11, v12 = _mix(v1, v6, v11, v12, w[336 + i], w[344 + i])
        v2, v7, v8, v13 = _mix(v2, v7, v8, v13, w[352 + i], w[360 + i])
        v3, v4, v9, v14 = _mix(v3, v4, v9, v14, w[368 + i], w[376 + i])
        w[i], w[8 + i], w[16 + i], w[24 + i] = v0, v1, v2, v3
        w[32 + i], w[40 + i], w[48 + i], w[56 + i] = v4, v5, v6, v7
        w[64 + i], w[72 + i], w[80 + i], w[88 + i] = v8, v9, v10, v11
        w[96 + i], w[104 + i], w[112 + i], w[120 + i] = v12, v13, v14, v15


@kernel("u64[]!")
def _compress(w):
    """F of section 3.2: work the block of every lane into its state."""
    for i in range(np.uint64(64)):
        w[i] = w[_STATE + i]
        w[64 + i] = _IV[i // _LANES]
    for i in range(_LANES):
        w[96 + i] ^= w[_LENGTH + i]
        w[112 + i] ^= w[_LAST + i]
    for r in range(12):
        for i in range(np.uint64(16)):
            a, b = _READ + _LANES * np.uint64(_SIGMA[r, i]), _ORDERED + _LANES * i
            # All are read before one is written, or LLVM would copy them one by one.
            x0, x1, x2, x3, x4, x5, x6, x7 = w[a], w[a + 1], w[a + 2], w[a + 3], w[a + 4], w[a + 5], w[a + 6], w[a + 7]
            w[b], w[b + 1], w[b + 2], w[b + 3], w[b + 4], w[b + 5], w[b + 6], w[b + 7] = x0, x1, x2, x3, x4, x5, x6, x7
        _mix_lanes(w)
    for i in range(np.uint64(64)):
        w[_STATE + i] ^= w[i] ^ w[64 + i]


@inlined
def _fill(block, first, heads, head, head_end, data, at, end):
    """Write the next bytes of a text into its block, and zeros behind the last: how many of its head, and how many others."""
    # Unsigned, so that no index can count from the end: Numba would ask at each.
    filled = min(head_end - head, _BLOCK)
    for i in range(filled):
        block[first + i] = heads[head + i]
    more = min(end - at, _BLOCK - filled)
    if more == _BLOCK:
        for i in range(_BLOCK):
            block[first + i] = data[at + i]
    else:
        for i in range(more):
            block[first + filled + i] = data[at + i]
        for i in range(filled + more, _BLOCK):
            block[first + i] = 0
    return filled, more


@kernel("u8[] i64[] u8[] i64[] i64[] u8[]! u64[] u64[]! i64[]! u64[]! u64[]! u64[,]!")
def _digests(heads, head_offsets, data, offsets, texts, block, words, w, text_of, head_of, at_of, out):
    taken = 0
    text_of[:] = -1
    while True:
        idle = np.uint64(0)
        for lane in range(_LANES):
            if text_of[lane] < 0:
                if taken == len(texts):
                    idle += 1
                    continue
                d = texts[taken]
                taken += 1
                text_of[lane], head_of[lane], at_of[lane] = d, head_offsets[d], offsets[d]
                for i in range(np.uint64(8)):
                    w[_STATE + _LANES * i + lane] = _IV[i]
                w[_STATE + lane], w[_LENGTH + lane] = _FIRST, 0
            d, head, at = text_of[lane], head_of[lane], at_of[lane]
            head_end, end = np.uint64(head_offsets[d + 1]), np.uint64(offsets[d + 1])
            filled, more = _fill(block, _BLOCK * lane, heads, head, head_end, data, at, end)
            head_of[lane], at_of[lane] = head + filled, at + more
            w[_LENGTH + lane] += filled + more
            # So the last block is never empty, unless all is.
            w[_LAST + lane] = _YES if head + filled == head_end and at + more == end else _NO
        if idle == _LANES:
            break
        for i in range(np.uint64(16)):
            for lane in range(_LANES):
                w[_READ + _LANES * i + lane] = words[np.uint64(16) * lane + i]
        _compress(w)
        for lane in range(_LANES):
            if text_of[lane] >= 0 and w[_LAST + lane]:
                out[text_of[lane], 0], out[text_of[lane], 1] = w[_STATE + lane], w[_STATE + _LANES + lane]
                text_of[lane] = -1


Column = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def digests(column: Column, heads: Column | None = None) -> npt.NDArray[np.uint64]:
    """`hashlib.blake2b(head[i] + text[i], digest_size=16)` of each i, as two little-endian numbers each.

    Args:
      column: bytes, and where each text begins and the last one ends (`columns.text_buffers`).
      heads: what goes before each text, likewise; none: nothing does.

    Returns:
      uint64[n, 2]; its bytes are the digests one after the other.
    """
    data, offsets = column
    n = len(offsets) - 1
    heads = (np.zeros(1, np.uint8), np.zeros(n + 1, np.int64)) if heads is None else heads
    out = np.empty((n, 2), np.uint64)
    is_long = np.diff(offsets) > LONG
    words, lanes = np.zeros(int(_BLOCK * _LANES) // 8, np.uint64), int(_LANES)
    memory = words.view(np.uint8), words, np.zeros(int(_END), np.uint64), np.empty(lanes, np.int64)
    _digests(*heads, *column, np.flatnonzero(~is_long), *memory, *(np.empty(lanes, np.uint64) for _ in range(2)), out)
    for i in np.flatnonzero(is_long).tolist():
        hashed = hashlib.blake2b(heads[0][heads[1][i] : heads[1][i + 1]].data, digest_size=DIGEST_BYTES)
        hashed.update(data[offsets[i] : offsets[i + 1]].data)
        out[i] = np.frombuffer(hashed.digest(), "<u8")
    return out
