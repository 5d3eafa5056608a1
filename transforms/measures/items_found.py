"""How much of evaluation sets is in a corpus: documents that hold items, items that are found, and by which documents."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.metrics.row import Row
from transforms.exclusions.contamination import Items, unpack_items
from transforms.kernels.similarity.overlap import PARTS
from transforms.kernels.text.columns import joined

NEEDED = ["contaminated_by"]
SHOWN = 100  # items of each set that have a row of their own: those that most documents hold


@dataclasses.dataclass(frozen=True, eq=False)
class ItemCounts:
    """Items that documents hold.

    Attributes:
      items: numbers, ascending, uint32[items].
      documents: that hold each, int64[items].
      parts: the largest overlap with each, in parts of `PARTS`, uint32[items].
    """

    items: npt.NDArray[np.uint32]
    documents: npt.NDArray[np.int64]
    parts: npt.NDArray[np.uint32]

    @classmethod
    def of(
        cls, items: npt.NDArray[np.uint32], documents: npt.NDArray[np.int64], parts: npt.NDArray[np.uint32]
    ) -> "ItemCounts":
        """The same counts, each item once."""
        unique, at = np.unique(items, return_inverse=True)
        n, most = np.zeros(len(unique), np.int64), np.zeros(len(unique), np.uint32)
        np.add.at(n, at, documents)
        np.maximum.at(most, at, parts)
        return cls(unique, n, most)


NONE = ItemCounts(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.uint32))


@dataclasses.dataclass
class ItemsFound:
    """What was found of evaluation sets; mergeable.

    Attributes:
      documents: that hold an item, by (source, whether kept).
      of_set: likewise by (source, number of the set, whether kept).
      before, after: items that documents hold, of all that was read and of the release.
    """

    documents: collections.Counter[tuple[int, bool]] = dataclasses.field(default_factory=collections.Counter)
    of_set: collections.Counter[tuple[int, int, bool]] = dataclasses.field(default_factory=collections.Counter)
    before: ItemCounts = NONE
    after: ItemCounts = NONE


def merge(parts: Iterable[ItemsFound]) -> ItemsFound:
    """What was found in all documents of the parts."""
    parts, total = list(parts), ItemsFound()
    for part in parts:
        total.documents.update(part.documents)
        total.of_set.update(part.of_set)
    for stage in ("before", "after"):
        counts: list[ItemCounts] = [getattr(part, stage) for part in parts]
        if sum(bool(len(one.items)) for one in counts):
            columns = [
                np.concatenate([getattr(one, name) for one in counts]) for name in ("items", "documents", "parts")
            ]
            setattr(total, stage, ItemCounts.of(*columns))
    return total


def count_split(decisions: pa.RecordBatch, signals: pa.Table, set_of: npt.NDArray[np.int32]) -> ItemsFound:
    """Count one split.

    Args:
      decisions: DECISION for every document of the split, by ordinal.
      signals: the columns `NEEDED`, in the same order.
      set_of: the number of each item's set.
    """
    found = ItemsFound()
    offsets, pairs = unpack_items(joined(signals["contaminated_by"]))
    document = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    source, kept = decisions["source"].to_numpy(), decisions["kept"].to_numpy(zero_copy_only=False)
    for d in np.unique(document).tolist():
        found.documents[int(source[d]), bool(kept[d])] += 1
    for d, of in np.unique(np.stack([document, set_of[pairs[:, 0]]], axis=1), axis=0).tolist():
        found.of_set[int(source[d]), of, bool(kept[d])] += 1
    for stage, chosen in (("before", np.ones(len(pairs), bool)), ("after", kept[document])):
        own = pairs[chosen]
        setattr(found, stage, ItemCounts.of(own[:, 0], np.ones(len(own), np.int64), own[:, 1]))
    return found


def found_rows(found: ItemsFound, items: Items | None, sources: tuple[str, ...]) -> Iterator[Row]:
    """The rows of METRICS; none if nothing was looked for."""
    if items is None:
        return
    words = f"n-grams of {items.grams.ngram} words, weighed by in how few items they are"
    looked_for = ~items.too_short
    sets = [("overall", "", np.ones(len(items.set_of), bool))]
    sets += [("evaluation_set", name, items.set_of == number) for number, name in enumerate(items.sets)]
    for kind, name, own in sets:
        n = int((own & looked_for).sum())
        yield Row(
            metric="contamination.too_short",
            stage="before",
            slice_kind=kind,
            slice=name,
            value=int(own.sum()) - n,
            n=int(own.sum()),
            note="items that are not looked for",
        )
        for stage in ("before", "after"):
            counts: ItemCounts = getattr(found, stage)
            share = int(own[counts.items].sum()) / n if n else None
            yield Row(
                metric="contamination.items",
                stage=stage,
                slice_kind=kind,
                slice=name,
                value=share,
                n=n,
                note=words if n else "no item is long enough to be looked for",
            )
    for stage in ("before", "after"):
        kept = (True, False) if stage == "before" else (True,)
        row: Row = {"metric": "contamination.documents", "stage": stage, "note": words}
        by_source = [sum(found.documents[number, one] for one in kept) for number in range(len(sources))]
        yield row | {"value": sum(by_source), "n": sum(by_source)}
        for name, value in zip(sources, by_source, strict=True):
            yield row | {"slice_kind": "source", "slice": name, "value": value, "n": value}
        for at, name in enumerate(items.sets):
            value = sum(n for (_, of, one), n in found.of_set.items() if of == at and one in kept)
            yield row | {"slice_kind": "evaluation_set", "slice": name, "value": value, "n": value}
    yield from _most_found(found.before, items)


def _most_found(counts: ItemCounts, items: Items) -> Iterator[Row]:
    """Of each set the items that most documents hold, each with the largest overlap that one has."""
    order = np.lexsort((counts.items, -counts.documents, items.set_of[counts.items]))
    of = items.set_of[counts.items[order]]
    for at in order[np.arange(len(order)) - np.searchsorted(of, of) < SHOWN].tolist():
        n = int(counts.documents[at])
        yield Row(
            metric="contamination.overlap",
            stage="before",
            slice_kind="item",
            n=n,
            slice=items.names[int(counts.items[at])].as_py(),
            value=int(counts.parts[at]) / PARTS,
            note=f"of each set the {SHOWN} items that most documents hold",
        )
