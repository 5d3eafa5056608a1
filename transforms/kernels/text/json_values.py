"""JSON of any layout -> one value a line, in one pass over its bytes and without a tree.

Of `[{...}, {...}]` each object becomes a line, and so does each of objects that follow one another, over however many lines
they are written. Of `{"version": 1, "data": [{...}, {...}]}`, read as one that is around its documents, those in its lists do.
Nothing is parsed: what is wrong inside a value is for who parses the line.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel

_DEPTH, _STRING, _ESCAPED, _INSIDE, _BASE, _AROUND, _PENDING, _VALUES, _LAST = range(9)
# depth: of open brackets. base: how many of them are around the values. inside: a value is being copied. pending: a list of
# an object around documents has just begun. values: that were copied whole. last: bytes up to the end of the last of them.


class JsonValues:
    """The bytes of a file, chunk by chunk, as lines. What is open at the end was cut off."""

    def __init__(self, around: bool) -> None:
        self._state = np.zeros(9, np.int64)
        self._state[_AROUND] = around
        self.n_bytes = 0  # that were taken

    def lines(self, chunk: bytes) -> bytes:
        """What the next bytes add: each value is ended by a line feed."""
        data = np.frombuffer(chunk, np.uint8)
        out = np.empty(2 * len(data) + 1, np.uint8)
        n = _lines(data, self.n_bytes, self._state, out)
        self.n_bytes += len(data)
        return out[:n].tobytes()

    @property
    def end(self) -> "End":
        """Where it stands."""
        depth, string, values, last = (int(self._state[i]) for i in (_DEPTH, _STRING, _VALUES, _LAST))
        return End(bool(depth or string), values, self.n_bytes - last)


class End(NamedTuple):
    """The end of what was read."""

    is_open: bool  # a bracket or a string was not closed
    values: int  # that were whole
    n_bytes: int  # behind the last of them


@kernel("u8[] i64 i64[]! u8[]!")
def _lines(data: npt.NDArray[np.uint8], before: int, state: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> int:  # noqa: C901  one automaton
    depth, string, escaped, inside = state[0], state[1], state[2], state[3]
    base, around, pending, values, last = state[4], state[5], state[6], state[7], state[8]
    n = 0
    for i in range(len(data)):
        c = data[i]
        if string:
            if escaped:
                escaped = 0
            elif c == 92:
                escaped = 1
            elif c == 34:
                string = 0
            if inside:
                out[n] = (
                    1 if c == 10 else c
                )  # no string holds a raw line feed: the line stays one and is wrong as before
                n += 1
            continue
        blank = c == 32 or c == 10 or c == 13 or c == 9
        opens, closes = c == 123 or c == 91, c == 125 or c == 93
        if inside:
            whole = False
            if depth > base or not (blank or c == 44 or (closes and base > 0)):
                out[n] = 32 if blank else c
                n += 1
                string = 1 if c == 34 else 0
                whole = closes and depth == base + 1
                depth += opens
                if closes and depth > base:
                    depth -= 1
            else:  # a number or a word has no end of its own
                whole = True
                if closes:
                    depth -= 1
                    base = 0
            if whole:
                out[n] = 10
                n += 1
                inside, values, last = 0, values + 1, before + i + 1
            continue
        if blank or (c == 44 and (depth > 0 or values > 0)):
            continue
        if pending:
            pending = 0
            if c == 123:
                base = 2  # a list of objects: the documents
            else:
                base = 0  # of anything else: it says something of them
        here = depth == base and (base > 0 or depth == 0)
        if closes and depth > 0:
            depth -= 1
            last = before + i + 1
            base = 0
        elif here and not (base == 0 and (c == 91 or (around and c == 123))):
            inside = 1
            out[n] = c
            n += 1
            string = 1 if c == 34 else 0
            depth += opens
        elif here:  # what is around the values
            depth = 1
            base = 1 if c == 91 else 0
        else:  # between the lists of an object around documents
            if c == 34:
                string = 1
            depth += opens
            pending = 1 if around and c == 91 and depth == 2 else 0
    state[0], state[1], state[2], state[3] = depth, string, escaped, inside
    state[4], state[5], state[6], state[7], state[8] = base, around, pending, values, last
    return n
