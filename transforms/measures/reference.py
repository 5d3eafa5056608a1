"""What a release is held against: the sketches of an earlier one, or its own human part."""

import dataclasses
import hashlib
import posixpath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts, parquet
from expectations.loading import parse_json
from expectations.paths import open_for_reading
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine.files import exists
from transforms.ingest.sources import InputError
from transforms.kernels.similarity.embedding import DIMENSIONS, Points
from transforms.kernels.statistics import diversity, vocabulary
from transforms.kernels.statistics.diversity import TypeCounts
from transforms.kernels.statistics.vocabulary import Population, Vocabulary
from transforms.measures import sample, yardstick
from transforms.measures.tally import SKETCHES, Tally
from transforms.signals.populations import EVERYONE, HUMAN

FILE = "sketches.parquet"
HUMAN_SUBSET = "human_subset"
MOST_WRITTEN = 1 << 17  # counts by order: about half a megabyte each
MOST_POINTS = 4096  # 256 bytes each
BITS_IN_ONE = 10_000  # bits per byte are written as whole numbers of so small a part
Column = npt.NDArray[np.uint32] | npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What is known of the documents of a reference.

    Attributes:
      name: how it is called where it is spoken of.
      ngrams: by order, documents of types by (how far, whose, source, language, fold).
      points, fold: documents of a sample by hash, in its order (transforms/kernels/similarity/embedding.py), and their folds.
      topic, bits: of the same documents, what the yardstick reads; empty where it was another yardstick, or none.
      own: it is the human part of the very corpus that is judged.
    """

    name: str
    ngrams: dict[int, Vocabulary]
    points: Points
    fold: npt.NDArray[np.int8]
    topic: npt.NDArray[np.int16]
    bits: npt.NDArray[np.float64]
    own: bool = False


@dataclasses.dataclass(frozen=True)
class AskedReference:
    """What a recipe names as its reference: nothing, the human part, or a release, already read, and its sketches' digest."""

    human_subset: bool = False
    release: Reference | None = None
    sha256: str = ""

    def found(self, tally: Tally, sources: tuple[str, ...]) -> Reference | None:
        """The reference, once everything is counted."""
        if not self.human_subset:
            return self.release
        human = {order: _of(one, 1, (HUMAN,)) for order, one in folded(tally, sources).items()}
        name = "the human documents that dedup kept, by declaration or evidence"
        return Reference(name, human, *sampled(tally, 1, (HUMAN,)), own=True)


NO_REFERENCE = AskedReference()


def folded(tally: Tally, sources: tuple[str, ...]) -> dict[int, Vocabulary]:
    """The counts by fold, with the names of sources."""
    found = {}
    for order in diversity.ORDERS:
        one = vocabulary.merge(tally.folded.get(order, []))
        names = {p: (p[0], p[1], sources[p[2]], *p[3:]) for p in one.counts}
        found[order] = Vocabulary(
            {names[p]: c for p, c in one.counts.items()}, {names[p]: n for p, n in one.documents.items()}, one.below
        )
    return found


class Sampled(NamedTuple):
    """Documents of a sample, in its order."""

    points: Points
    fold: npt.NDArray[np.int8]
    topic: npt.NDArray[np.int16]
    bits: npt.NDArray[np.float64]


def sampled(tally: Tally, at: int, whose: tuple[int, ...] = EVERYONE) -> Sampled:
    """The sampled documents that came at least so far."""
    chosen = sample.reached(sample.merge(tally.sampled), at, tally.sample_below)
    chosen = chosen.filter(pa.array(np.isin(chosen["whose"].to_numpy(), whose)))
    fold, topic, bits = (chosen[name].to_numpy() for name in ("fold", "topic", "bits"))
    return Sampled(sample.points_of(chosen), fold, topic, bits)


def _of(one: Vocabulary, at: int, whose: tuple[int, ...] | None = None) -> Vocabulary:
    chosen = [p for p in one.counts if p[0] >= at and (whose is None or p[1] in whose)]
    return Vocabulary({p: one.counts[p] for p in chosen}, {p: one.documents[p] for p in chosen}, one.below)


def sketches(tally: Tally, sources: tuple[str, ...]) -> pa.Table:
    """SKETCHES of the release: what a later one needs to be held against it."""
    parts, counted = [], folded(tally, sources)
    for order, name in zip(diversity.ORDERS, SKETCHES, strict=True):
        one = vocabulary.bounded(_of(counted[order], 2), MOST_WRITTEN)
        for population in sorted(one.counts):
            types, documents = one.counts[population]
            parts.append(_rows(name, population, one.below, types, documents))
            n = np.array([one.documents[population]])
            parts.append(_rows(f"documents_{order}", population, one.below, np.zeros(1, np.uint32), n))
    chosen = sampled(tally, 2)
    parts.append(_vectors(chosen.points, chosen.fold))
    parts.extend(_readings(chosen))
    return pa.Table.from_batches(parts)


def _vectors(points: Points, fold: npt.NDArray[np.int8]) -> pa.RecordBatch:
    n = min(MOST_POINTS, len(points))
    vectors = [one.tobytes() for one in points[:n]]
    zeros = np.zeros(n, np.int64)
    return contracts.SKETCHES.batch(
        {
            "sketch": pa.repeat("vector", n),
            "source": pa.repeat("", n),
            "language": pa.repeat("", n),
            "whose": zeros.astype(np.int8),
            "fold": pa.array(fold[:n]),
            "type": np.arange(n, dtype=np.uint32),
            "count": zeros + 1,
            "below": zeros,
            "vector": vectors,
        }
    )


def _readings(chosen: Sampled) -> list[pa.RecordBatch]:
    """What the yardstick reads of the same documents: `below` says which yardstick it was."""
    n = min(MOST_POINTS, len(chosen.fold))
    zeros = np.zeros(n, np.int64)
    same = {
        "source": pa.repeat("", n),
        "language": pa.repeat("", n),
        "whose": zeros.astype(np.int8),
        "fold": pa.array(chosen.fold[:n]),
        "type": np.arange(n, dtype=np.uint32),
        "below": zeros + yardstick.bundled().number,
        "vector": pa.nulls(n, pa.binary()),
    }
    bits = np.rint(np.nan_to_num(chosen.bits[:n], nan=-1 / BITS_IN_ONE) * BITS_IN_ONE).astype(np.int64)
    return [
        contracts.SKETCHES.batch(same | {"sketch": pa.repeat(name, n), "count": counts})
        for name, counts in (("topic", chosen.topic[:n].astype(np.int64)), ("bits", bits))
    ]


def _rows(sketch: str, population: Population, below: int, types: Column, counts: Column) -> pa.RecordBatch:
    n = len(types)
    _, who, source, language, fold = population
    return contracts.SKETCHES.batch(
        {
            "sketch": pa.repeat(sketch, n),
            "source": pa.repeat(source, n),
            "language": pa.repeat(language, n),
            "whose": pa.repeat(pa.scalar(who, pa.int8()), n),
            "fold": pa.repeat(pa.scalar(fold, pa.int8()), n),
            "type": types,
            "count": counts,
            "below": pa.repeat(pa.scalar(below, pa.int64()), n),
            "vector": pa.nulls(n, pa.binary()),
        }
    )


def load_reference(asked: str | None, output: str) -> AskedReference:
    """What a recipe's `reference:` names.

    Args:
      asked: `human_subset`, the folder of a release, or the name of one in `output`; None: there is none.
      output: the folder of releases.

    Raises:
      InputError: there is no such release, it has no sketches, or they are damaged or of another form.
    """
    if asked is None or asked == HUMAN_SUBSET:
        return AskedReference(human_subset=asked is not None)
    places = [asked, posixpath.join(output, posixpath.basename(asked))]
    folder = next((place for place in places if exists(posixpath.join(place, MANIFEST))), None)
    if folder is None:
        raise InputError(
            f"reference: {asked} is not a release (it has no {MANIFEST}); give the folder of one, its name, or {HUMAN_SUBSET}"
        )
    with open_for_reading(posixpath.join(folder, MANIFEST)) as file:
        try:
            manifest = parse_json(file.read(), MANIFEST)
            digest = next((entry["sha256"] for entry in manifest["files"] if entry["path"] == FILE), None)
            form = manifest.get("sketches")
        except (ValueError, LookupError, TypeError, AttributeError):
            raise InputError(f"reference: {folder}/{MANIFEST} is damaged; restore the release") from None
    if digest is None or form != contracts.SKETCHES_FORM:
        raise InputError(
            f"reference: {folder} has no sketches that can be compared with those of this version; make that release again"
        )
    with open_for_reading(posixpath.join(folder, FILE)) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError(
            f"reference: {folder}/{FILE} is not the file that the release was published with (its SHA-256 differs); restore it"
        )
    read = from_table(parquet.read(pa.py_buffer(data)), posixpath.basename(folder.rstrip("/")))
    return AskedReference(release=read, sha256=digest)


def from_table(table: pa.Table, name: str) -> Reference:
    """A reference from the SKETCHES of its release."""
    groups = ["sketch", "source", "language", "whose", "fold", "below"]
    found: dict[int, Vocabulary] = {}
    for order, sketch in zip(diversity.ORDERS, SKETCHES, strict=True):
        counts: dict[Population, TypeCounts] = {}
        documents: dict[Population, int] = {}
        below = vocabulary.EVERYWHERE
        own = table.filter(pc.is_in(table["sketch"], pa.array([sketch, f"documents_{order}"])))
        lists = (
            own.group_by(groups, use_threads=False).aggregate([("type", "list"), ("count", "list")])
            if len(own)
            else own
        )
        for row in range(len(lists)):
            one = {key: lists[key][row].as_py() for key in groups}
            below = one["below"]
            population = (2, one["whose"], one["source"], one["language"], one["fold"])
            types, n = (lists[key][row].values.to_numpy() for key in ("type_list", "count_list"))
            if one["sketch"] == sketch:
                counts[population] = TypeCounts(types, n)
            else:
                documents[population] = int(n[0])
        found[order] = Vocabulary(counts, documents, below)
    vectors = table.filter(pc.equal(table["sketch"], "vector")).sort_by("type").combine_chunks()
    points = np.frombuffer(b"".join(vectors["vector"].to_pylist()), np.int8).reshape(-1, DIMENSIONS)
    topic, bits = (_reading(table, sketch) for sketch in ("topic", "bits"))
    return Reference(
        f"the release {name}",
        found,
        points,
        vectors["fold"].to_numpy(),
        topic.astype(np.int16),
        np.where(bits < 0, np.nan, bits / BITS_IN_ONE),
    )


def _reading(table: pa.Table, sketch: str) -> npt.NDArray[np.int64]:
    """What this yardstick read of the sampled documents, in their order; nothing if it was another."""
    known = pc.and_(pc.equal(table["sketch"], sketch), pc.equal(table["below"], yardstick.bundled().number))
    found: npt.NDArray[np.int64] = table.filter(known).sort_by("type")["count"].to_numpy()
    return found
