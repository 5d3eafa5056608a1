"""Texts that an earlier release in the same folder has: they are read there, by columns, and not from the input once more.

Where a split's documents are is kept in the signal store (`transforms/signals/kept.py`) under all that their text depends on:
its signals, by name and checksum, which say what was read, what was removed of it and masked; the input's columns that are
asked for; the code. A shard is held against its checksum before anything of it is used, and looked at behind each reading. The
batches are the input's own: whatever is amiss, the input is read from the next one on, and a release has the same bytes.
"""

import bisect
import hashlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.paths import is_local
from transforms.engine.checksums import DamagedError, as_it_is
from transforms.engine.threads import THREADS
from transforms.ingest.sources import Split
from transforms.release.earlier_shards import ReleasedFiles
from transforms.signals.kept import Kept, digest_of

PLACES = "places"  # the kind of what is kept
COLUMNS = ("id", "input_id", "text", "created", "generator", "kind")  # of a release, that come with the text
ROWS = pa.schema(
    [("batch", pa.int64()), ("sha256", pa.string()), ("row", pa.int64()), ("ordinals", pa.list_(pa.int64()))]
)


class TextPlace(NamedTuple):
    """Where documents of a batch are that was read from the input.

    Attributes:
      batch: its number in the split.
      sha256: of the shard.
      row: of the first of them in the shard; the others follow.
      ordinals: in the split, rising. int64[n].
    """

    batch: int
    sha256: str
    row: int
    ordinals: npt.NDArray[np.int64]


class EarlierTexts:
    """The earlier shards that a task reads, on any thread: each verified once, and a row group that splits share decoded once.

    Args:
      kept: where it is kept where the documents of splits are.
      released: where shards are.
      keeps: columns of the input that are asked for.
    """

    def __init__(self, kept: Kept, released: ReleasedFiles, keeps: tuple[str, ...]) -> None:
        self.keeps, self._kept, self._released = keeps, kept, released
        self._shards: dict[str, _VerifiedShard | None] = {}
        self._lock = threading.Lock()

    def keep(self, split: Split, places: Sequence[TextPlace]) -> None:
        """Keep where all documents of a split are, if a later run may take its signals for the truth."""
        if (made_of := self._made_of(split)) is not None:
            columns = zip(zip(*places, strict=True), ROWS, strict=True)
            rows = [pa.array(column, field.type) for column, field in columns]
            self._kept.write(PLACES, pa.RecordBatch.from_arrays(rows, schema=ROWS), made_of, split)

    def read(
        self, split: Split, wanted: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], pa.RecordBatch]]:
        """Some documents of a split: none if not all of them are known, and no more once something is amiss.

        Args:
          split: of which its signals are those of the documents.
          wanted: ordinals, rising.

        Yields:
          The number of a batch, which of the wanted were in it, and `COLUMNS` and what is kept of the input.
        """
        places = self._places(split)
        chosen = [np.isin(place.ordinals, wanted, assume_unique=True) for place in places]
        if sum(map(np.count_nonzero, chosen)) < len(wanted):
            return
        for place, some in zip(places, chosen, strict=True):
            if some.any():
                try:
                    rows = self._rows(place).filter(pa.array(some)).combine_chunks()
                except (KeyError, OSError, DamagedError, pa.ArrowException):
                    return
                yield place.batch, place.ordinals[some], rows.to_batches()[0]

    def _made_of(self, split: Split) -> str | None:
        """What is kept of a split is made of; None: nothing is, as in an object store: to verify a shard there costs more than
        to read the input.
        """
        return digest_of([self._kept.signals.path(split)]) if is_local(self._kept.signals.folder) else None

    def _places(self, split: Split) -> list[TextPlace]:
        """Where the documents of a split are, if that is known. A run that cleans the store may be at work."""
        try:
            is_known = self._kept.has(PLACES, self._made_of(split), split)
            rows = self._kept.read(PLACES, ROWS, split) if is_known else ROWS.empty_table()
        except (DamagedError, FileNotFoundError):
            return []
        ordinals = (one.values.to_numpy() for one in rows["ordinals"])
        return list(map(TextPlace, *(rows[name].to_pylist() for name in ROWS.names[:3]), ordinals))

    def _rows(self, place: TextPlace) -> pa.Table:
        with self._lock:
            if place.sha256 not in self._shards:
                if len(self._shards) > THREADS:  # each is an open file, and what is held of it
                    del self._shards[next(iter(self._shards))]
                self._shards[place.sha256] = (
                    None  # if something is amiss, it is not looked at once more for every split
                )
                path = self._released.places[place.sha256]
                self._shards[place.sha256] = _VerifiedShard(path, place.sha256, [*COLUMNS, *self.keeps])
            shard = self._shards[place.sha256]
            if shard is None:
                raise DamagedError(place.sha256)
            return shard.rows(place.row, len(place.ordinals))


class _VerifiedShard:
    """A shard that is what its manifest says.

    Raises:
      OSError: it cannot be read.
      DamagedError: it is another.
    """

    def __init__(self, path: str, sha256: str, columns: list[str]) -> None:
        self.path, self.columns, self.found = path, columns, as_it_is(path)
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DamagedError(path)
        self.file = pq.ParquetFile(path)
        sizes = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self.begins = [0, *itertools.accumulate(sizes)]
        self.held: dict[int, pa.Table] = {}

    def rows(self, first: int, n: int) -> pa.Table:
        """So many rows from one on."""
        low, high = (bisect.bisect_right(self.begins, row) - 1 for row in (first, first + n - 1))
        groups = [self._group(number) for number in range(low, high + 1)]
        return pa.concat_tables(groups).slice(first - self.begins[low], n)

    def _group(self, number: int) -> pa.Table:
        if number not in self.held:
            if len(self.held) > THREADS:
                del self.held[min(self.held)]
            group = self.file.read_row_group(number, self.columns, use_threads=False)
            if as_it_is(self.path) != self.found:
                raise DamagedError(self.path)
            self.held[number] = group
        return self.held[number]
