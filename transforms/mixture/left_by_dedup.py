"""(split, DECISION...) -> the same in order, and kept: what dedup decided on the split, and what it left for the mixture.

The latter is called its offer. Both are narrow, and depend on what attribution and dedup do (`transforms/signals/kept.py`): a
later run with another ratio, or `lowbackground plan`, finds them.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from expectations import contracts
from expectations.structures.system import System
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.ingest.sources import InputError, Split
from transforms.kernels.text.columns import joined
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept, digest_of
from transforms.signals.store import is_usable
from transforms.structures.find import pack
from transforms.structures.shares import patterns_in_slice

DECISIONS, OFFER = "decisions", "offer"  # kinds of what is kept
FROM_SIGNALS = ["detector_score", "language", "generator", "kind", "stratum"]
OF_SYSTEMS = ["compliance", "created"]  # and from these, where structures are looked for
FROM_DECISIONS = ("doc_id", "ordinal", "source", "n_tokens", "origin", "origin_basis", "detector_band", "machine_prior")


def was_decided(kept: Kept, split: Split) -> bool:
    """Whether dedup decided on this split before, on what is still the truth."""
    signals = digest_of([kept.signals.path(split)])
    return kept.has(DECISIONS, signals, split) and kept.has(OFFER, signals, split)


def offer_of(kept: Kept, split: Split) -> pa.RecordBatch:
    """OFFER of a split, by ordinal. Errors as for `Kept.read`."""
    return kept.read(OFFER, contracts.OFFER.schema, split)


def decisions_of(kept: Kept, splits: Iterable[Split]) -> str | None:
    """What dedup decided on splits, as `digest_of` says it: what is made of all decisions is made of this."""
    return digest_of(kept.path(DECISIONS, split) for split in splits)


@dataclasses.dataclass(eq=False)
class Offer(Stage):
    """((split, DECISION...), splits) -> (split, DECISION), by ordinal, once it is kept."""

    kept: Kept
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
            _WriteOffer(self.kept, self.corpus, self.systems),
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
    def __init__(self, kept: Kept, corpus: Corpus, systems: tuple[System, ...]) -> None:
        self.kept, self.corpus, self.systems = kept, corpus, systems

    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *sides: Any) -> list[tuple[int, pa.RecordBatch]]:
        number, batches = group
        (missed,) = sides
        split, decisions = self.corpus.split(number), in_order(batches)
        # Always: one that is there may be of a run in which a file could not be read, in this split or in another.
        signals = self.corpus.signals(split, FROM_SIGNALS + (OF_SYSTEMS if self.systems else []))
        offered = offer(decisions, signals, self.systems, self.corpus.source(split).name)
        of = None if missed else digest_of([self.corpus.store.path(split)])
        self.kept.write(DECISIONS, decisions, of, split, plain=("doc_id", "cluster"))
        self.kept.write(OFFER, offered, of, split, plain=("doc_id",))
        return [(number, decisions)]


@dataclasses.dataclass(eq=False)
class DecidedBefore(Stage):
    """Split -> (split, DECISION), as `Offer` kept it in an earlier run."""

    kept: Kept

    def expand(self, surveyed: beam.PCollection[Split]) -> beam.PCollection[tuple[int, pa.RecordBatch]]:
        """Row by row; no shuffle."""
        return surveyed | "Read" >> beam.ParDo(_ReadDecided(self.kept))


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _ReadDecided(Beside[Split, tuple[int, pa.RecordBatch]]):
    """The launcher saw that all are there; signals that were damaged then have been made anew since."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    def work(self, split: Split, *_: Any) -> list[tuple[int, pa.RecordBatch]]:
        if not was_decided(self.kept, split):
            raise InputError(
                f"{self.kept.path(DECISIONS, split)} is not of the signals that {split.pieces[0].path} has now; run again"
            )
        return [(split.index, self.kept.read(DECISIONS, contracts.DECISION.schema, split))]


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
    columns |= {name: joined(signals[name]).filter(kept) for name in FROM_SIGNALS}
    columns["structures"] = pa.nulls(len(columns["doc_id"]), pa.binary())
    if systems:
        asked = {name: joined(signals[name]) for name in ("language", *OF_SYSTEMS)}
        columns["structures"] = pack(patterns_in_slice(decisions, asked, systems, source)).filter(kept)
    again = decisions["earlier_id"].filter(kept).is_valid()
    return contracts.OFFER.batch({**columns, "again": np.asarray(again)})
