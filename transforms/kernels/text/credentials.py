r"""Content credentials in text: the C2PA text manifest wrapper (C2PA 2.3, A.7), found before anything is normalised.

A wrapper is U+FEFF and then variation selectors, one for each byte: bytes 0 to 15 are U+FE00 to U+FE0F, 16 to 255 are U+E0100
to U+E01EF. The bytes are `C2PATXT\0`, the version 1, the length of the manifest (uint32, big-endian), the manifest (a JUMBF
box), and whatever pads the wrapper.

Nothing is verified: neither the signature, nor that the manifest belongs to this text. So a manifest is believed when it
says that a machine wrote, for which nobody has a reason to lie and which can only take text out of a release, and never when
it says anything else. A machine is what one of `MACHINE` names, anywhere in the manifest; a compressed manifest is not
unpacked, and says nothing.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import kernel
from transforms.kernels.text.columns import text_buffers

NO_WRAPPER, MALFORMED, SILENT, MACHINE_MADE = range(4)
MAGIC = b"C2PATXT\0"
# The last words of IPTC's and C2PA's digital source types of text that a trained model wrote, or wrote part of.
MACHINE = (b"trainedAlgorithmicMedia", b"compositeWithTrainedAlgorithmicMedia", b"trainedAlgorithmicData")
_HEADER = len(MAGIC) + 1 + 4
_MAGIC = np.frombuffer(MAGIC, np.uint8)
_NEEDLES = np.frombuffer(b"".join(MACHINE), np.uint8)
_NEEDLE_ENDS = np.cumsum([0, *map(len, MACHINE)])
_JUMB = np.frombuffer(b"jumb", np.uint8)
_FIRST = 0xF3  # byte of most variation selectors; in valid UTF-8 no other than a very rare character begins so
_BLOCK = 64


def find(text: pa.LargeStringArray) -> npt.NDArray[np.uint8]:
    """The most telling wrapper of each text: NO_WRAPPER, MALFORMED, SILENT or MACHINE_MADE. uint8[n].

    A wrapper may stand anywhere in a text, and there may be several. Text without one costs a search for one byte.
    """
    data, offsets = text_buffers(text)
    if not (data[offsets[0] : offsets[-1]] == _FIRST).any():
        return np.zeros(len(text), np.uint8)  # nearly always, and then the rest need not even be compiled
    bytes_of = np.empty((offsets[-1] - offsets[0]) // 3 + 1, np.uint8)  # a selector takes three bytes or four
    return _find(data, offsets, np.zeros(len(text), np.uint8), bytes_of)


@kernel("u8[] i64 i64")
def _next(data, at, end):
    """The next byte that is `_FIRST` at or after `at`; `end` if there is none."""
    while at + _BLOCK <= end:
        found = False
        for i in range(np.uint64(_BLOCK)):  # without a branch, so that it becomes a vector loop
            found |= data[np.uint64(at) + i] == _FIRST
        if found:
            break
        at += _BLOCK
    while at < end and data[at] != _FIRST:
        at += 1
    return at


@kernel("u8[] i64 i64")
def _selector(data, at, end):
    """The byte that the variation selector at `at` stands for, and its length; (0, 0) if there is none."""
    if at + 4 <= end and data[at] == 0xF3 and data[at + 1] == 0xA0 and 0x84 <= data[at + 2] <= 0x87:
        value = ((np.int64(data[at + 2]) - 0x84) << 6) | (np.int64(data[at + 3]) & 0x3F)
        return (value + 16, 4) if value < 240 else (0, 0)
    if at + 3 <= end and data[at] == 0xEF and data[at + 1] == 0xB8 and 0x80 <= data[at + 2] <= 0x8F:
        return np.int64(data[at + 2]) - 0x80, 3
    return 0, 0


@kernel("u8[] i64 i64")
def _starts_with_magic(data, at, end):
    for i in range(len(_MAGIC)):
        value, size = _selector(data, at, end)
        if size == 0 or value != _MAGIC[i]:
            return False
        at += size
    return True


@kernel("u8[] i64 i64")
def _run(data, at, end):
    """How many variation selectors follow each other from `at`, and where they end."""
    count = 0
    _, size = _selector(data, at, end)
    while size > 0:
        count += 1
        at += size
        _, size = _selector(data, at, end)
    return count, at


@kernel("u8[] i64 i64 i64 u8[]!")
def _judge(data, at, end, count, manifest):
    """What the `count` bytes of a wrapper from `at` amount to; they start with the magic. They are put into `manifest`."""
    if count < _HEADER:
        return MALFORMED
    for i in range(count):
        value, size = _selector(data, at, end)
        manifest[i] = value
        at += size
    length = 0
    for i in range(9, 13):
        length = length << 8 | np.int64(manifest[i])
    if manifest[8] != 1 or length < 8 or length > count - _HEADER:
        return MALFORMED
    manifest = manifest[_HEADER : _HEADER + length]
    for i in range(4):
        if manifest[4 + i] != _JUMB[i]:
            return MALFORMED
    for n in range(len(_NEEDLE_ENDS) - 1):
        if _holds(manifest, _NEEDLE_ENDS[n], _NEEDLE_ENDS[n + 1]):
            return MACHINE_MADE
    return SILENT


@kernel("u8[] i64 i64")
def _holds(data, first, last):
    for start in range(len(data) - (last - first) + 1):
        same = 0
        while same < last - first and data[start + same] == _NEEDLES[first + same]:
            same += 1
        if same == last - first:
            return True
    return False


@kernel("u8[] i64[] u8[]! u8[]!")
def _find(data, offsets, found, manifest):
    n_docs = len(offsets) - 1
    last = offsets[n_docs]
    at = _next(data, offsets[0], last)
    d = 0
    while at < last:
        while offsets[d + 1] <= at:
            d += 1
        end = offsets[d + 1]
        if not _starts_with_magic(data, at, end):
            at = _next(data, at + 1, last)
            continue
        count, behind = _run(data, at, end)
        marked = at - 3 >= offsets[d] and data[at - 3] == 0xEF and data[at - 2] == 0xBB and data[at - 1] == 0xBF
        judged = _judge(data, at, end, count, manifest) if marked else MALFORMED
        found[d] = max(found[d], judged)
        at = _next(data, behind, last)
    return found
