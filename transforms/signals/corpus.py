"""A corpus: what its documents are read from, in which tasks, and where their signals are. Every stage is given one.

Documents are named by split and ordinal. A corpus and its list of splits are in files of the run (transforms/engine/staged.py),
so that the graph is as large for a million splits as for one. Stages whose elements are splits need no list of them: they are
sent the corpus `without_splits`, and their workers never read that file.
"""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from transforms.engine.staged import Staged
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import InputError, Source, Split, Splits
from transforms.kernels.text.columns import split_by
from transforms.kernels.text.personal import Kind
from transforms.signals.store import SignalStore, changed


class BySplit(beam.DoFn):
    """Rows about documents -> (split, its rows)."""

    def process(self, rows: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        """By the column `split`."""
        yield from split_by(rows["split"].to_numpy(), rows)


@dataclasses.dataclass(frozen=True)
class Corpus(Staged):
    """Where documents and their signals are.

    Attributes:
      sources: in the recipe's order; a split and a document name theirs by number.
      splits: what each task reads, in order: the one at `i` has index `i`.
      store: of the signals.
      limits: what a record may cost.
      mask: kinds of personal data that no text which is written out has (transforms/exclusions/personal_data.py).
    """

    sources: tuple[Source, ...]
    splits: Splits
    store: SignalStore
    limits: ReadLimits = dataclasses.field(default_factory=ReadLimits)
    mask: tuple[Kind, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names, by number."""
        return tuple(source.name for source in self.sources)

    @property
    def n_bytes(self) -> int:
        """Bytes in storage."""
        return sum(split.n_bytes for split in self.splits)

    def with_earlier(self, splits: Splits) -> "Corpus":
        """This corpus and behind it the splits of earlier releases, of which there are only signatures."""
        return dataclasses.replace(self, splits=Splits((*self.splits, *splits))) if splits else self

    def without_splits(self) -> "Corpus":
        """As it is sent to those whose elements are splits."""
        return dataclasses.replace(self, splits=Splits())

    def split(self, number: int) -> Split:
        """The split with this index."""
        return self.splits[number]

    def source(self, split: Split) -> Source:
        """Whose the documents of a split are. Those of an earlier release have no source."""
        return self.sources[split.source]

    def read(self, split: Split, keep: tuple[str, ...] = ()) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """Read the text of a split: `readers.read_split`.

        Yields:
          (DOCUMENT and the columns `keep` of the input, QUARANTINE), in the order of the split.

        Raises:
          OSError: the storage failed.
        """
        return read_split(split, self.source(split), self.limits, keep)

    def signals(self, split: Split, columns: list[str]) -> pa.Table:
        """Some columns of a split's signals, in the order of its documents.

        Raises:
          DamagedError: the file is not what was written.
        """
        return self.store.read(split, columns)

    def changed(self, split: Split) -> InputError:
        """The error of a split that is not what the survey read, once its signals are gone: else no later run would help."""
        return changed(self.source(split).name, split, self.store)
