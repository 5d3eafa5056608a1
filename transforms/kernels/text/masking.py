"""Texts with a placeholder, `<EMAIL>` or another, where something looks personal. What does: personal.py.

With what is found goes the rest of its word, so that no half of a number is left and nothing that is left begins or ends
where it did not before. Where two overlap, one placeholder stands for both. Masking may show what a neighbour hid, as a card's
number does behind one of a phone: it is done until nothing is found any more. No placeholder looks like anything.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.text.columns import text_buffers
from transforms.kernels.text.personal import KINDS, MOST, Kind, Spans, may_hold, spans

PLACEHOLDERS = pa.array([f"<{kind.upper()}>" for kind in KINDS], pa.large_string())
PASSES = 8  # in the last one checksums are not asked for, and what looks like something goes: then nothing can be left
_SUREST: tuple[Kind, ...] = ("key", "email", "iban", "card", "ip", "phone")  # whose name an overlap gets
_IN_WORDS = np.isin(np.arange(256), [ord("_"), *(b for b in range(128) if chr(b).isalnum())])


def mask(text: pa.LargeStringArray, kinds: Sequence[Kind]) -> tuple[pa.LargeStringArray, npt.NDArray[np.uint16]]:
    """The texts without what looks personal, and how many placeholders of each kind each got, at most `MOST`.

    Args:
      text: large_string, no nulls.
      kinds: that are masked.

    Returns:
      large_string, and uint16[n, KINDS].
    """
    masked = np.zeros((len(text), len(KINDS)), np.int64)
    if not kinds:
        return text, masked.astype(np.uint16)
    numbers = [KINDS.index(kind) for kind in _SUREST if kind in kinds]
    rows = np.flatnonzero(may_hold(text)[:, numbers].any(axis=1))
    for number in range(PASSES):
        if not len(rows):
            break
        some = text.take(pa.array(rows))
        found, kind = _found(some, numbers, checked=number < PASSES - 1)
        np.add.at(masked, (rows[found.document], kind), 1)
        hit = np.zeros(len(text), bool)
        hit[rows[found.document]] = True
        changed = _replaced(some, found, kind).filter(pa.array(hit[rows]))
        text = pc.replace_with_mask(text, pa.array(hit), changed)
        rows = np.flatnonzero(hit)
    return text, np.minimum(masked, MOST).astype(np.uint16)


def _found(text: pa.LargeStringArray, numbers: list[int], checked: bool) -> tuple[Spans, npt.NDArray[np.int64]]:
    """What is masked, in order and apart from each other, and the kind of each. `numbers`: the surest kind first."""
    parts = [spans(text, KINDS[number], checked) for number in numbers]
    rank = np.repeat(np.arange(len(parts)), [len(part.start) for part in parts])
    document, start, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    start, end = _whole_words(text, document, start, end)
    order = np.lexsort((rank, start))
    document, start, end, rank = document[order], start[order], end[order], rank[order]
    reach = np.maximum.accumulate(end)
    first = np.flatnonzero(np.r_[True, start[1:] >= reach[:-1]][: len(start)])
    if not len(first):
        return Spans(document, start, end), rank
    surest = np.minimum.reduceat(rank, first)
    return Spans(document[first], start[first], np.maximum.reduceat(end, first)), np.array(numbers)[surest]


def _whole_words(
    text: pa.LargeStringArray,
    document: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Spans that begin or end inside of a word, as letters, digits and `_` make one, with the rest of it."""
    data, offsets = text_buffers(text)
    offsets = offsets - offsets[0]
    in_words = _IN_WORDS[data[text_buffers(text)[1][0] :][: offsets[-1]]]
    edges = np.r_[-1, np.flatnonzero(~in_words), offsets[-1]]
    before = edges[np.searchsorted(edges, start, side="left") - 1] + 1
    behind = edges[np.searchsorted(edges, end, side="left")]
    wide_start = np.where(in_words[start], np.maximum(before, offsets[document]), start)
    wide_end = np.where(in_words[end - 1], np.minimum(behind, offsets[document + 1]), end)
    return wide_start, wide_end


def _replaced(text: pa.LargeStringArray, found: Spans, kind: npt.NDArray[np.int64]) -> pa.LargeStringArray:
    """The texts with a placeholder at each span: cut at its ends, the piece between them changed, and joined by offsets alone."""
    values, offsets = text.buffers()[2], text_buffers(text)[1]
    n, first = len(text), offsets[0]
    cuts = np.concatenate([offsets, found.start + first, found.end + first])
    # At one place a span ends before a text does, before the next text begins, before a span begins in that.
    tie = np.repeat([1, 2, 0], [len(offsets), len(kind), len(kind)])
    order = np.lexsort((tie, cuts))
    is_span = (order >= len(offsets)) & (order < len(offsets) + len(kind))
    pieces = pa.LargeStringArray.from_buffers(len(cuts) - 1, pa.py_buffer(cuts[order]), values)
    which = np.zeros(len(cuts) - 1, np.int64)
    which[is_span[:-1]] = kind
    pieces = pc.if_else(pa.array(is_span[:-1]), PLACEHOLDERS.take(pa.array(which)), pieces)
    begins = np.flatnonzero(order < len(offsets))  # of each text, its first piece; the last of all has none
    joined = text_buffers(pieces)[1][begins]
    return pa.LargeStringArray.from_buffers(n, pa.py_buffer(np.ascontiguousarray(joined)), pieces.buffers()[2])
