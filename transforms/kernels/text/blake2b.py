"""BLAKE2b of every text of a column, in one compiled call (RFC 7693).

Several texts are hashed side by side, the same word of each in one vector of the processor: three times as fast as one after the
other (docs/decisions/0080). The standard library takes one text at a time and holds the interpreter's lock, or gives it up and
waits for it afterwards. The tests hold this against it, bit for bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.core.extending import intrinsic

from transforms.kernels.compiled import inlined, kernel

DIGEST_BYTES = 16
LANES = 4  # texts that are hashed side by side, one number of each in a vector: the last one left is as fast as without
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
_MORE, _LAST = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_NEXT = np.uint64(1)
# What is known of each lane: its text; where it is in the head and in the text, and where they end; the address of its
# block; bytes that it has read; all ones where its block is the last.
_TEXT, _HEAD, _HEAD_END, _AT, _END, _PLACE, _LENGTH, _IS_LAST = range(8)
# Which words of the state each use of G in a round works on.
_COLUMNS = (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)
_DIAGONALS = (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)
_U64 = ir.IntType(64)
_VECTOR = ir.VectorType(_U64, LANES)


def _rotated(make: Any, value: Any, by: int) -> Any:
    """Code that turns each number of a vector right."""
    down, up = (ir.Constant(_VECTOR, [n] * LANES) for n in (by, 64 - by))
    return make.or_(make.lshr(value, down), make.shl(value, up))


def _mix(make: Any, v: list[Any], words: tuple[int, ...], x: Any, y: Any) -> None:
    """Code of G of section 3.1."""
    a, b, c, d = words
    for addend, by_d, by_b in ((x, 32, 24), (y, 16, 63)):
        v[a] = make.add(make.add(v[a], v[b]), addend)
        v[d] = _rotated(make, make.xor(v[d], v[a]), by_d)
        v[c] = make.add(v[c], v[d])
        v[b] = _rotated(make, make.xor(v[b], v[c]), by_b)


@intrinsic
def _compress(typingctx: Any, h: Any, places: Any, length: Any, last: Any) -> Any:
    """F of section 3.2 in every lane: work the block at an address into the state `h`, u64[8, LANES].

    `places`: the addresses; `length`: bytes read so far; `last`: all ones for the last block of a text; u64[LANES] each. Vectors
    are spelled out to LLVM, which finds none in loops over so few lanes.
    """

    def generate(context: Any, make: Any, signature: Any, arguments: Any) -> Any:
        def vectors(i: int, n: int) -> list[Any]:
            array = context.make_array(signature.args[i])(context, make, arguments[i])
            begin = make.bitcast(array.data, _VECTOR.as_pointer())
            return [make.gep(begin, [ir.Constant(_U64, at)]) for at in range(n)]

        def word(i: int) -> Any:
            found = ir.Constant(_VECTOR, ir.Undefined)
            for k, block in enumerate(blocks):
                one = make.load(make.gep(block, [ir.Constant(_U64, i)]), align=1)
                found = make.insert_element(found, one, ir.Constant(ir.IntType(32), k))
            return found

        state = vectors(0, 8)
        addresses, so_far, is_last = (make.load(vectors(i, 1)[0], align=8) for i in (1, 2, 3))
        lanes = [make.extract_element(addresses, ir.Constant(ir.IntType(32), k)) for k in range(LANES)]
        blocks = [make.inttoptr(one, _U64.as_pointer()) for one in lanes]
        words = [word(i) for i in range(16)]
        before = [make.load(place, align=8) for place in state]
        v = before + [ir.Constant(_VECTOR, [int(one)] * LANES) for one in _IV]
        v[12], v[14] = make.xor(v[12], so_far), make.xor(v[14], is_last)
        for order in _SIGMA:
            for i, mixed in enumerate((*_COLUMNS, *_DIAGONALS)):
                _mix(make, v, mixed, words[order[2 * i]], words[order[2 * i + 1]])
        for i, place in enumerate(state):
            make.store(make.xor(before[i], make.xor(v[i], v[i + 8])), place, align=8)
        return context.get_dummy_value()

    return types.void(h, places, length, last), generate


@inlined
def _begin(head_offsets, offsets, h, lanes, k, text):
    """Let a lane begin a text."""
    lanes[_TEXT, k] = text
    lanes[_HEAD, k], lanes[_HEAD_END, k] = head_offsets[text], head_offsets[text + _NEXT]
    lanes[_AT, k], lanes[_END, k] = offsets[text], offsets[text + _NEXT]
    lanes[_LENGTH, k] = lanes[_IS_LAST, k] = _MORE
    for i in range(8):
        h[i, k] = _IV[i]
    h[0, k] = _FIRST


@inlined
def _fill(heads, data, block, lanes, k):
    """Put together a block that is not whole in the data: it has a part of the head, or is the last."""
    filled = min(lanes[_HEAD_END, k] - lanes[_HEAD, k], _BLOCK)
    for i in range(filled):
        block[k, i] = heads[lanes[_HEAD, k] + i]
    more = min(lanes[_END, k] - lanes[_AT, k], _BLOCK - filled)
    for i in range(more):
        block[k, filled + i] = data[lanes[_AT, k] + i]
    lanes[_HEAD, k] += filled
    lanes[_AT, k] += more
    lanes[_LENGTH, k] += filled + more
    # So the last block is never empty, unless all is.
    if lanes[_HEAD, k] == lanes[_HEAD_END, k] and lanes[_AT, k] == lanes[_END, k]:
        lanes[_IS_LAST, k] = _LAST
        for i in range(filled + more, _BLOCK):
            block[k, i] = 0


@kernel("u8[] i64[] u8[] i64[] u64 u8[,]! u64 u64[,]! u64[,]! u64[,]!")
def _digests(heads, head_offsets, data, offsets, data_place, block, block_place, h, lanes, out):
    # Numbers are unsigned, so that no index can count from the end: Numba would ask at each.
    begun, none = np.uint64(0), np.uint64(len(out))
    lanes[_TEXT] = none
    lanes[_PLACE] = block_place
    while True:
        busy = False
        for k in range(LANES):
            if lanes[_TEXT, k] == none:
                if begun == none:
                    continue  # the lane has no work left: whatever it does is for nothing
                _begin(head_offsets, offsets, h, lanes, k, begun)
                begun += _NEXT
            busy = True
            if lanes[_HEAD, k] == lanes[_HEAD_END, k] and lanes[_END, k] - lanes[_AT, k] > _BLOCK:
                lanes[_PLACE, k] = data_place + lanes[_AT, k]
                lanes[_AT, k] += _BLOCK
                lanes[_LENGTH, k] += _BLOCK
            else:
                _fill(heads, data, block, lanes, k)
                lanes[_PLACE, k] = block_place + np.uint64(k) * _BLOCK
        if not busy:
            return
        _compress(h, lanes[_PLACE], lanes[_LENGTH], lanes[_IS_LAST])
        for k in range(LANES):
            if lanes[_TEXT, k] != none and lanes[_IS_LAST, k]:
                out[lanes[_TEXT, k], 0], out[lanes[_TEXT, k], 1] = h[0, k], h[1, k]
                lanes[_TEXT, k] = none


Column = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def digests(column: Column, heads: Column | None = None) -> npt.NDArray[np.uint64]:
    """`hashlib.blake2b(head[i] + text[i], digest_size=16)` of each i, as two little-endian numbers each.

    Args:
      column: bytes, and where each text begins and the last one ends (`columns.text_buffers`).
      heads: what goes before each text, likewise; none: nothing does.

    Returns:
      uint64[n, 2]; its bytes are the digests one after the other.
    """
    n = len(column[1]) - 1
    heads = (np.zeros(1, np.uint8), np.zeros(n + 1, np.int64)) if heads is None else heads
    out = np.empty((n, 2), np.uint64)
    block, h, lanes = np.empty((LANES, 128), np.uint8), np.empty((8, LANES), np.uint64), np.empty((8, LANES), np.uint64)
    _digests(*heads, *column, column[0].ctypes.data, block, block.ctypes.data, h, lanes, out)
    return out
