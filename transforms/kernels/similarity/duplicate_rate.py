"""How many documents still have a near duplicate, from a sample that keeps both of a pair and knows nothing of what decided.

A *trace* of a document is made by hashes of its shingles that no signature uses: its key, the smallest of them, and its
shingles by another hash. Two documents of Jaccard J share their key with chance J. So documents are drawn by their keys: all
that have one of the `GROUPS` smallest, in groups that share it. Of a pair, both are drawn or none with chance J, where drawing
documents alone would keep both as seldom as the rate squared. In a group J is counted on the shingles: exactly, for documents
of at most `MOST`; longer ones keep those of a part of hash space, and are compared in the smaller part of the two.

What dedup missed is what its signatures are wrong about, so they cannot say how much that is.

The groups with the smallest keys of the whole are among those of every part that has them, so parts merge exactly. A group
may be as large as boilerplate makes it: it is counted whole, and `MEMBERS` of its documents are compared.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.similarity.minhash import mix64
from transforms.kernels.statistics.share_bound import clopper_pearson_lower, clopper_pearson_upper
from transforms.kernels.text.columns import distinct_numbers

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
GROUPS = 2048
MEMBERS = 32
MOST = 512  # shingles of a document that are kept
ALPHA = 0.05  # of each limit
_SALT, _OTHER = np.uint64(0x6B696E6472656421), np.uint64(0x7472616365732121)
_HEAD = (
    3  # numbers of a packed trace before its shingles: the halves of its key, and how often its hash space was halved
)
_BYTE, _U1, _U2, _S32, _LOW32 = (np.uint64(n) for n in (255, 1, 2, 32, 0xFFFFFFFF))


class Traces(NamedTuple):
    """What documents look like to who was not there when it was decided which are duplicates.

    Attributes:
      key: uint64[documents].
      halved: how often the part of hash space was halved that its shingles are kept of, int64[documents].
      size: how many are kept, int64[documents].
      shingles: of all documents, one after the other, rising in each, uint32[sum of sizes].
    """

    key: U64
    halved: I64
    size: I64
    shingles: U32

    def take(self, rows: I64) -> "Traces":
        """Some of them."""
        start, size = np.cumsum(self.size) - self.size, self.size[rows]
        return Traces(self.key[rows], self.halved[rows], size, _slices(self.shingles, start[rows], size))


def _slices(numbers: U32, start: I64, size: I64) -> U32:
    """Some slices of a column, one after the other, by Arrow: places to take numbers from would be twice as large as they are."""
    parts = pa.LargeListViewArray.from_arrays(pa.array(start), pa.array(size), pa.array(numbers))
    return np.asarray(parts.flatten().to_numpy())


NONE = Traces(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint32))


@kernel("i64[] u32[] i64[] u64 u64[]!")
def _keys(offsets, shingles, rows, salt, out):
    for i in range(len(rows)):
        least = ~np.uint64(0)
        for s in range(np.uint64(offsets[rows[i]]), np.uint64(offsets[rows[i] + 1])):
            least = min(least, mix64(np.uint64(shingles[s]) ^ salt))
        out[i] = least


def keys(offsets: I64, shingles: U32, rows: I64 | None = None) -> U64:
    """The key of each document, uint64[documents]; the largest number of one without shingles.

    Args:
      offsets: where the shingles of each document begin, and the last one's end.
      shingles: of all documents, one after the other.
      rows: which documents; none: all.
    """
    rows = np.arange(len(offsets) - 1) if rows is None else rows
    found = np.empty(len(rows), np.uint64)
    _keys(offsets, shingles, rows, _SALT, found)
    return found


def below(known: U64) -> np.uint64:
    """The bound that the keys of the `GROUPS` smallest groups are below."""
    smallest = distinct_numbers(known)
    return smallest[GROUPS] if len(smallest) > GROUPS else np.uint64(2**64 - 1)


def traces(offsets: I64, shingles: U32) -> Traces:
    """The trace of each document; arguments as of `keys`."""
    rows = np.arange(len(offsets) - 1)
    return Packed.of(*packed(offsets, shingles, rows)).take(rows)


@inlined
def _by_byte(values, n, shift, counts, out):
    """The first `n` values in the order of one of their bytes, else as they were."""
    for i in range(np.uint64(len(counts))):
        counts[i] = 0
    for i in range(n):
        counts[(values[i] >> shift) & _BYTE] += 1
    before = np.uint64(0)
    for i in range(np.uint64(len(counts))):
        own = counts[i]
        counts[i] = before
        before += own
    for i in range(n):
        place = (values[i] >> shift) & _BYTE
        out[counts[place]] = values[i]
        counts[place] += 1


@kernel("i64[] u32[] i64[] i64[] u64[] u64[]! u64[]! u64[]! u32[]! i64[]!")
def _pack(offsets, shingles, rows, halved, key, one, other, counts, numbers, sizes):
    """A sort by bytes takes the same time whatever the text, and compiles in a third of the time of NumPy's."""
    w = np.uint64(0)
    for i in range(len(rows)):
        start, end = np.uint64(offsets[rows[i]]), np.uint64(offsets[rows[i] + 1])
        below = np.uint64(1 << 32) >> np.uint64(halved[i])
        n = np.uint64(0)
        for s in range(start, end):
            one[n] = mix64(np.uint64(shingles[s]) ^ _OTHER) >> _S32
            n += np.uint64(one[n] < below)
        for byte in range(np.uint64(4)):
            _by_byte(one, n, byte << np.uint64(3), counts, other)
            one, other = other, one
        first = w
        numbers[w], numbers[w + _U1], numbers[w + _U2] = key[i] & _LOW32, key[i] >> _S32, halved[i]
        w += np.uint64(_HEAD)
        before = ~np.uint64(0)
        for s in range(n):
            numbers[w] = one[s]  # written over by the next if it was there before
            w += np.uint64(one[s] != before)
            before = one[s]
        sizes[rows[i]] = w - first


def packed(offsets: I64, shingles: U32, rows: I64) -> tuple[I64, U32]:
    """The traces of some documents as `(offsets, numbers)`: of each its key and halvings, and then its shingles.

    Args:
      offsets, shingles: as of `keys`.
      rows: the documents, rising; the others have no numbers.
    """
    n = np.diff(offsets)[rows]
    halved = np.ceil(np.log2(np.maximum(n, 1) / MOST)).clip(0).astype(np.int64)
    memory = [np.empty(int(n.max(initial=0)) + 1, np.uint64) for _ in range(2)]
    numbers, sizes = np.empty(int(n.sum()) + _HEAD * len(rows) + 1, np.uint32), np.zeros(len(offsets) - 1, np.int64)
    counts = np.empty(256, np.uint64)
    _pack(offsets, shingles, rows, halved, keys(offsets, shingles, rows), *memory, counts, numbers, sizes)
    bounds = np.r_[0, np.cumsum(sizes)]
    return bounds, numbers[: bounds[-1]].copy()  # a copy, for there was room for all shingles


class Packed(NamedTuple):
    """Traces as `packed` made them, of which only those that are asked for are unpacked.

    Attributes:
      start, size: where the numbers of each begin, and how many they are, int64[documents].
      numbers: of all, uint32.
    """

    start: I64
    size: I64
    numbers: U32

    @classmethod
    def of(cls, offsets: I64, numbers: U32) -> "Packed":
        """What `packed` gave."""
        return cls(offsets[:-1], np.diff(offsets), numbers)

    @property
    def key(self) -> U64:
        """As of `Traces`."""
        low, high = (self.numbers[self.start + place].astype(np.uint64) for place in (0, 1))
        return low | high << np.uint64(32)

    def among(self, rows: I64) -> "Packed":
        """Some of them, still packed."""
        return Packed(self.start[rows], self.size[rows], self.numbers)

    def take(self, rows: I64) -> Traces:
        """Some of them."""
        some = self.among(rows)
        size = some.size - _HEAD
        shingles = _slices(self.numbers, some.start + _HEAD, size)
        return Traces(some.key, self.numbers[some.start + 2].astype(np.int64), size, shingles)


class Kin(NamedTuple):
    """Documents by groups that share a key.

    Attributes:
      group: keys, uint64[groups], rising.
      documents: in each group, int64[groups].
      of: the group of each member that is kept, uint64[members], rising.
      member: their names, uint64[members], rising in a group.
      mark: what the caller wants to know of them, int32[members].
      halved, size, shingles: of their traces.
    """

    group: U64
    documents: I64
    of: U64
    member: U64
    mark: npt.NDArray[np.int32]
    halved: I64
    size: I64
    shingles: U32


class Rate(NamedTuple):
    """The share of documents that have a near duplicate."""

    value: float
    lower: float
    upper: float
    documents: int  # that were drawn
    crowded: int  # of them, in groups of which not all were compared
    undecided: (
        int  # of those that were seen, long ones whose similarity is less than two standard errors above the least
    )


class KinByStage(NamedTuple):
    """The groups of documents by how far they came, each member once: most of a stage are of the next one too.

    Attributes:
      group, documents: of each stage, as of `Kin`.
      at: how far each member came, int8[members]; it is of that stage and of all before.
      of, member, mark, halved, size, shingles: as of `Kin`.
    """

    group: tuple[U64, ...]
    documents: tuple[I64, ...]
    at: npt.NDArray[np.int8]
    of: U64
    member: U64
    mark: npt.NDArray[np.int32]
    halved: I64
    size: I64
    shingles: U32

    def of_stage(self, number: int) -> Kin:
        """The groups of the documents that came at least so far."""
        if not self.group:
            return Kin(self.of, np.zeros(0, np.int64), *self[3:])
        rows = _few(self.group[number], number, self.at, self.of, self.member)
        few = Traces(self.of, self.halved, self.size, self.shingles).take(rows)
        return Kin(self.group[number], self.documents[number], few.key, self.member[rows], self.mark[rows], *few[1:])


_NOBODY = KinByStage((), (), np.zeros(0, np.int8), NONE.key, np.zeros(0, np.uint64), np.zeros(0, np.int32), *NONE[1:])


def gather(
    some: Traces | Packed, member: U64, mark: npt.NDArray[np.int32], at: npt.NDArray[np.int8], stages: int
) -> KinByStage:
    """The groups of some documents.

    Args:
      some: of documents that have shingles.
      member: names of the documents, by which those that are compared are chosen, uint64[documents].
      mark: what to remember of each, int32[documents].
      at: the stage that each came to, from 0, int8[documents].
      stages: how many there are.
    """
    key, groups = some.key, []
    for stage in range(stages):
        own = key[at >= stage]
        groups.append(np.unique(own[own < below(own)] if len(own) > GROUPS else own, return_counts=True))
    return _kept(groups, some, at, key, member, mark)


def _few(group: U64, stage: int, at: npt.NDArray[np.int8], of: U64, member: U64) -> I64:
    """The rows of the `MEMBERS` first members of each group of a stage, by group and name."""
    rows = np.flatnonzero((at >= stage) & (of <= group[-1])) if len(group) else np.zeros(0, np.int64)
    rows = rows[np.lexsort((member[rows], of[rows]))]
    place = np.arange(len(rows)) - np.searchsorted(of[rows], of[rows])
    return rows[place < MEMBERS]


def _kept(
    groups: list[tuple[U64, I64]],
    some: Traces | Packed,
    at: npt.NDArray[np.int8],
    of: U64,
    member: U64,
    mark: npt.NDArray[np.int32],
) -> KinByStage:
    """The groups of each stage with their documents, and of all that may be members those that are in one of them."""
    chosen = np.zeros(len(at), bool)
    for stage, (group, _) in enumerate(groups):
        chosen[_few(group, stage, at, of, member)] = True
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((member[rows], of[rows]))]
    few = some.take(rows)
    names, documents = tuple(group for group, _ in groups), tuple(n for _, n in groups)
    return KinByStage(names, documents, at[rows], few.key, member[rows], mark[rows], *few[1:])


def merge(parts: list[KinByStage]) -> KinByStage:
    """The groups of all documents of the parts. Commutative and associative; `merge([])` has none."""
    parts = [part for part in parts if part.group]
    if len(parts) < 2:
        return parts[0] if parts else _NOBODY
    groups = []
    for stage in range(len(parts[0].group)):
        group, index = np.unique(np.concatenate([part.group[stage] for part in parts]), return_inverse=True)
        documents = np.zeros(len(group), np.int64)
        np.add.at(documents, index, np.concatenate([part.documents[stage] for part in parts]))
        groups.append((group[:GROUPS], documents[:GROUPS]))
    at, of, member, mark, *rest = (np.concatenate(column) for column in zip(*(part[2:] for part in parts), strict=True))
    return _kept(groups, Traces(of, *rest), at, of, member, mark)


@kernel("i64[] i64[] i64[] u32[] f64[]!")
def _nearest(start, begin, halved, shingles, best):
    for g in range(len(start) - 1):
        for i in range(start[g], start[g + 1]):
            for j in range(i + 1, start[g + 1]):
                end = np.int64(1 << 32) >> max(halved[i], halved[j])
                a, b = begin[i], begin[j]
                both = either = 0
                while True:
                    one = np.int64(shingles[a]) if a < begin[i + 1] else end
                    other = np.int64(shingles[b]) if b < begin[j + 1] else end
                    if min(one, other) >= end:
                        break
                    either += 1
                    both += one == other
                    a += one <= other
                    b += other <= one
                if either > 0:
                    best[i] = max(best[i], both / either)
                    best[j] = max(best[j], both / either)


def nearest(kin: Kin) -> npt.NDArray[np.float64]:
    """Similarity of each kept member to the likest other one of its group, 0 if it is alone. float64[members]."""
    start = np.r_[np.searchsorted(kin.of, kin.group), len(kin.of)]
    best = np.zeros(len(kin.of))
    _nearest(start, np.r_[0, np.cumsum(kin.size)], kin.halved, kin.shingles, best)
    return best


def rate(
    kin: Kin, similarity: npt.NDArray[np.float64], least: float, chosen: npt.NDArray[np.bool_] | None = None
) -> Rate:
    """The share of documents with another one at least so similar; NaN if none was drawn.

    A drawn document with one near duplicate is seen to have it with chance J, so each that is seen counts 1 / J. One that has
    several is seen more often and counts too much, by at most 1 / `least`: seen documents are a lower bound of the share, and
    `1 / least` times as many an upper one. The limits are those of Clopper and Pearson about these two, one-sided
    95 %, for as many independent documents as the groups are worth (linearised variance of a ratio; never more than half, because
    a pair is drawn together).

    Args:
      kin: the groups.
      similarity: of each kept member (`nearest`).
      least: similarity of near duplicates.
      chosen: members that are asked about, among all that they may be like; none: all. bool[members].
    """
    at = np.searchsorted(kin.group, kin.of)
    kept = np.bincount(at, minlength=len(kin.group))
    weight = (kin.documents / np.maximum(1, kept))[at]
    weight = weight if chosen is None else weight * chosen
    n = float(weight.sum())
    if not n:
        return Rate(np.nan, np.nan, np.nan, 0, 0, 0)
    seen = weight * (similarity >= least)
    share = float(seen.sum()) / n
    residual = np.bincount(at, seen - share * weight, minlength=len(kin.group))
    spread = n * share * (1 - share)
    apart = n / max(2.0, float(residual @ residual) / spread if spread > 0 else 2.0)
    effective = max(1, int(apart))
    k = share * effective
    error = 2 * np.sqrt(least * (1 - least) / (MOST / 2))
    close = (seen > 0) & (similarity < least + error) & (kin.halved > 0)
    return Rate(
        min(1.0, float((seen / np.maximum(similarity, least)).sum()) / n),
        clopper_pearson_lower(k, effective, ALPHA),
        min(1.0, clopper_pearson_upper(k, effective, ALPHA) / least),
        round(n),
        round(float(weight[(kin.documents > kept)[at]].sum())),
        int(close.sum()),
    )
