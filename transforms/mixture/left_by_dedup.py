"""(split, DECISION...) -> the same in order, and what dedup left of the split in the signal store, for the mixture.

An offer is narrow, and named by everything that attribution and dedup depend on: a later run with another ratio, or
`lowbackground plan`, finds it there.
"""

import dataclasses
import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from expectations import contracts
from expectations.structures import System
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.staged import Staged
from transforms.engine.threads import Beside
from transforms.ingest.sources import Split
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, is_usable, read_parquet, write_parquet
from transforms.structures.find import pack
from transforms.structures.shares import patterns_in_slice

VERSION = 2  # raise it when attribution or dedup decide otherwise
FROM_SIGNALS = ["detector_score", "language", "generator", "kind", "stratum"]
OF_SYSTEMS = ["compliance", "created"]  # and from these, where structures are looked for
FROM_DECISIONS = ("doc_id", "ordinal", "source", "n_tokens", "origin", "origin_basis", "detector_band", "machine_prior")


@dataclasses.dataclass(frozen=True)
class OfferStore(Staged):
    """Where the offers are: in the signal store's folder.

    Attributes:
      signals: the store of the splits' signals.
      depends_on: a digest of all that the decisions before the mixture depend on.
    """

    signals: SignalStore
    depends_on: str

    def path(self, split: Split) -> str:
        """The file of a split's offer."""
        name = f"{VERSION}\0{self.depends_on}\0{posixpath.basename(self.signals.path(split))}"
        digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        return posixpath.join(self.signals.folder, f"{digest}.offer.parquet")

    def has(self, split: Split) -> bool:
        """Whether dedup decided on this split before, on what is still the truth."""
        return is_usable(self.path(split))

    def read(self, split: Split) -> pa.RecordBatch:
        """OFFER of a split, by ordinal.

        Raises:
          DamagedError: the file is not what was written.
        """
        table = read_parquet(self.path(split))
        return contracts.OFFER.batch({name: table[name].combine_chunks() for name in contracts.OFFER.schema.names})


@dataclasses.dataclass(eq=False)
class Offer(Stage):
    """((split, DECISION...), splits) -> (split, DECISION), by ordinal, once its offer is in the store."""

    store: OfferStore
    corpus: Corpus
    systems: tuple[System, ...] = ()

    def expand(
        self, inputs: tuple[beam.PCollection[tuple[int, Iterable[pa.RecordBatch]]], beam.PCollection[Split]]
    ) -> beam.PCollection[tuple[int, pa.RecordBatch]]:
        """One file per split. It waits until all are surveyed: dedup decided on all splits together."""
        decisions, surveyed = inputs
        missed = (
            surveyed
            | "Missed" >> beam.ParDo(_Missed(self.corpus.without_splits()))
            | "AllMissed" >> counted.ToList("splits of which a file could not be read")
        )
        return decisions | "WriteOffer" >> counted.ParDo(
            "decisions to their offers",
            _WriteOffer(self.store, self.corpus, self.systems),
            beam.pvalue.AsSingleton(missed),
        )


class _Missed(beam.DoFn):
    """The splits that a later run has to read again, by number."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def process(self, split: Split) -> Iterator[int]:
        if not is_usable(self.corpus.store.quarantine_path(split)):
            yield split.index


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _WriteOffer(Beside[tuple[int, Iterable[pa.RecordBatch]], tuple[int, pa.RecordBatch]]):
    def __init__(self, store: OfferStore, corpus: Corpus, systems: tuple[System, ...]) -> None:
        self.store, self.corpus, self.systems = store, corpus, systems

    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *sides: Any) -> list[tuple[int, pa.RecordBatch]]:
        number, batches = group
        (missed,) = sides
        split, decisions = self.corpus.split(number), in_order(batches)
        # Always: one that is there may be of a run in which a file could not be read, in this split or in another.
        signals = self.corpus.signals(split, FROM_SIGNALS + (OF_SYSTEMS if self.systems else []))
        offered = offer(decisions, signals, self.systems, self.corpus.source(split).name)
        path, schema = self.store.path(split), contracts.OFFER.schema
        write_parquet(path, [offered], schema, plain=("doc_id",), lasts=not missed, sync=False)
        return [(number, decisions)]


def in_order(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """All decisions of one split, one for each of its documents, by ordinal.

    Raises:
      LostRowsError: a document has none, or two.
    """
    decisions = pa.concat_batches(list(batches))
    decisions = decisions.take(pa.array(np.argsort(decisions["ordinal"].to_numpy())))
    if (decisions["ordinal"].to_numpy() != np.arange(decisions.num_rows)).any():
        raise counted.LostRowsError("a document has no decision, or two; run again")
    return decisions


def offer(
    decisions: pa.RecordBatch, signals: pa.Table, systems: tuple[System, ...] = (), source: str = ""
) -> pa.RecordBatch:
    """What is kept so far of a split.

    Args:
      decisions: DECISION, by ordinal.
      signals: `FROM_SIGNALS`, and `OF_SYSTEMS` if there are any, in the same order.
      systems: those that the signals were made with.
      source: the name of the split's source.

    Returns:
      OFFER.
    """
    kept = decisions["kept"]
    columns = {name: decisions[name].filter(kept) for name in FROM_DECISIONS}
    columns |= {name: signals[name].combine_chunks().filter(kept) for name in FROM_SIGNALS}
    columns["structures"] = pa.nulls(len(columns["doc_id"]), pa.binary())
    if systems:
        asked = {name: signals[name].combine_chunks() for name in ("language", *OF_SYSTEMS)}
        columns["structures"] = pack(patterns_in_slice(decisions, asked, systems, source)).filter(kept)
    again = decisions["earlier_id"].filter(kept).is_valid()
    return contracts.OFFER.batch({**columns, "again": np.asarray(again)})
