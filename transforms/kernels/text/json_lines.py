"""Lines of JSON that a quick look cannot clear of numbers that only some readers take for numbers, in one compiled pass."""

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import inlined, kernel

LONG = 200  # digits of a number that a double may be too small for
_DIGITS, _APART = np.uint8(10), 33  # positions of a run of so many digits that are looked at
_U8 = np.uint8


@inlined
def _digit(x):
    return _U8(_U8(x - _U8(48)) < _DIGITS)


@kernel("u8[] i64[] i64[] bool[]!")
def _odd_numbers(data, starts, ends, out):
    for k in range(len(out)):
        line = data[starts[k] : ends[k]]
        # All in bytes and without a branch: so LLVM looks at 16 to 64 places at a time.
        found = _U8(0)
        for i in range(len(line) - 4):
            a, b, c, d, e = line[i], line[i + 1], line[i + 2], line[i + 3], line[i + 4]
            exponent = (_digit(a) | _U8(a == 46)) & _U8(_U8(b | _U8(32)) == 101) & (_digit(c) | _U8(c == 43))
            exponent &= _digit(d) & _digit(e)  # 0e100, .E+10
            before = _U8(a == 58) | _U8(a == 44) | _U8(a == 91) | _U8(a == 45) | _U8(a <= 32)  # :,[- and blanks
            nan = _U8(b == 78) & _U8(c == 97) & _U8(d == 78)
            inf = _U8(b == 73) & _U8(c == 110) & _U8(d == 102)
            found = _U8(found | exponent | (before & (nan | inf)))
        for i in range(len(line) - LONG + 1):
            run = _digit(line[i + LONG - 1])
            for n in range(0, LONG, _APART):
                run &= _digit(line[i + n])
            found = _U8(found | run)
        out[k] = found != 0


def odd_numbers(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which lines may hold NaN, Infinity, an exponent of three digits or `LONG` digits in a row. Others hold none of these.

    Args:
      data: bytes of the lines. uint8[bytes].
      starts: where each begins. int64[n].
      ends: where it ends. int64[n].

    Returns:
      bool[n].
    """
    out = np.empty(len(starts), bool)
    _odd_numbers(data, starts, ends, out)
    return out
