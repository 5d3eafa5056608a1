"""Split -> CANDIDATE: what is known of each document's origin, and from what; and whether it may be in a release.

Whoever says anything is heard, the highest authority is believed (`contracts.AUTHORITY`), and what the others said is kept
beside it. The detector comes last: from its threshold on *synthetic*, else *unknown*. It never says human: a low score says that
a text is not like the machines that it knows. Nothing declared never means human.
"""

import dataclasses
import datetime

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts
from transforms.detector import calibration
from transforms.detector.detector import Detector, Scores, load_detector
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.exclusions.exclusions import NO_EXCLUSIONS, Exclusions
from transforms.exclusions.removals import TOMBSTONES
from transforms.ingest.sources import EARLIER, Source, Split
from transforms.kernels.choosing.evidence import say, settle
from transforms.kernels.text.columns import first_half, joined
from transforms.origin.review_labels import Reviewed
from transforms.origin.witnesses import dated, priors
from transforms.signals.corpus import Corpus


@dataclasses.dataclass(eq=False)
class Attribute(Stage):
    """Split -> CANDIDATE: from its signals to origin, basis and p_synthetic."""

    corpus: Corpus
    detector: str | None
    date_cutoff: datetime.date
    reviewed: Reviewed | None = None
    exclusions: Exclusions = NO_EXCLUSIONS

    def expand(self, surveyed: beam.PCollection[Split]) -> beam.PCollection[pa.RecordBatch]:
        """Row by row; no shuffle."""
        cutoff = cutoffs(self.corpus.sources, self.date_cutoff)
        collected = tuple(source.collected for source in self.corpus.sources)
        own = _Attribute(self.corpus.without_splits(), self.detector, cutoff, collected, self.reviewed, self.exclusions)
        return surveyed | "Origin" >> beam.ParDo(own)


@beam.typehints.with_output_types(pa.RecordBatch)
class _Attribute(Beside[Split, pa.RecordBatch]):
    def __init__(
        self,
        corpus: Corpus,
        detector: str | None,
        cutoffs: tuple[datetime.date | None, ...],
        collected: tuple[datetime.date | None, ...],
        reviewed: Reviewed | None,
        exclusions: Exclusions,
    ) -> None:
        self.corpus, self.path, self.cutoffs, self.collected = corpus, detector, cutoffs, collected
        self.reviewed, self.exclusions = reviewed, exclusions

    def setup(self) -> None:
        self.detector = load_detector(self.path)

    def work(self, split: Split, *_: object) -> tuple[pa.RecordBatch]:
        if split.source == EARLIER:
            return (earlier(self.corpus.signals(split, ["doc_id", "content_hash"]), split),)
        when = self.cutoffs[split.source], self.collected[split.source]
        signals = self.corpus.signals(split, sorted({*NEEDED, *self.exclusions.needed}))
        source = self.corpus.source(split).name
        return (attribute(signals, split, self.detector, *when, self.reviewed, self.exclusions, source),)


def attributed(candidates: pa.RecordBatch) -> int:
    """How many documents of this run, and not of an earlier release, are among CANDIDATE of one split."""
    return int((candidates["source"].to_numpy() != EARLIER).sum())


def cutoffs(sources: tuple[Source, ...], date_cutoff: datetime.date) -> tuple[datetime.date | None, ...]:
    """The cut-off of each source; None where its dates are not trusted."""
    return tuple(date_cutoff if source.trust_dates else None for source in sources)


def earlier(signed: pa.Table, split: Split) -> pa.RecordBatch:
    """SIGNED of an earlier release -> CANDIDATE; of such a document nothing counts but that it is there, or was withdrawn."""
    n = signed.num_rows
    zeros = np.zeros(n, np.int32)
    numbers = ("n_tokens", "n_bytes", "origin", "origin_basis", "detector_band", "evidence", "machine_prior")
    nothing = dict.fromkeys(numbers, zeros)
    return contracts.CANDIDATE.batch(
        {
            **nothing,
            "doc_id": joined(signed["doc_id"]),
            "split": np.full(n, split.index, np.int32),
            "ordinal": np.arange(n, dtype=np.int32),
            "source": np.full(n, EARLIER, np.int16),
            "content": first_half(joined(signed["content_hash"])),
            "created": pa.nulls(n, contracts.WHEN),
            "p_synthetic": pa.nulls(n, pa.float32()),
            "excluded": np.full(n, WITHDRAWN if split.pieces[0].format == TOMBSTONES else 0, np.int8),
        }
    )


WITHDRAWN = contracts.REASONS.index("withdrawn")
SAME = ("doc_id", "n_tokens", "n_bytes", "created")
NEEDED = [*SAME, "content_hash", "detector_score", "detector_band", "declared_origin", "evidence"]


def attribute(
    signals: pa.Table,
    split: Split,
    detector: Detector,
    cutoff: datetime.date | None = None,
    collected: datetime.date | None = None,
    reviewed: Reviewed | None = None,
    exclusions: Exclusions = NO_EXCLUSIONS,
    source: str = "",
) -> pa.RecordBatch:
    """SIGNALS of one split -> CANDIDATE.

    `p_synthetic` is always the detector's, also beside a declaration: where the two disagree, both can be seen.

    Args:
      signals: the columns `NEEDED`.
      split: where they are from.
      detector: what the scores mean.
      cutoff: documents older than this are human; None: the source's dates are not trusted.
      collected: the day that text without a date counts as of; None: nothing is known of it.
      reviewed: what people said of texts; None: nothing.
      exclusions: what may not be in the release.
      source: the name of the split's source.
    """
    n = signals.num_rows
    column = {name: joined(signals[name]) for name in {*NEEDED, *exclusions.needed}}
    score = column["detector_score"].to_numpy(zero_copy_only=False).astype(np.float32)  # null becomes NaN
    scores = Scores(score, column["detector_band"].to_numpy())
    p_synthetic = calibration.p_synthetic(scores.log_odds)
    evidence = (
        column["evidence"].to_numpy()
        | say(contracts.BASIS_DECLARED, column["declared_origin"].to_numpy())
        | say(contracts.BASIS_DATE, dated(column["created"], cutoff))
        | say(contracts.BASIS_DETECTOR, detector.origin(scores))
    )
    if reviewed is not None:
        evidence |= say(contracts.BASIS_REVIEWED, reviewed.of(column["content_hash"]))
    origin, basis = settle(evidence)
    # A score below the threshold is still what an origin rests on: unknown, and counted by the estimate.
    rests = (basis == contracts.BASIS_NONE) & ~np.isnan(score)
    basis = np.where(rests, contracts.BASIS_DETECTOR, basis).astype(np.int8)
    late = np.isin(basis, contracts.GUESSED) & out_of_time(column["created"], collected, scores.band, detector)
    evidence |= np.where(late, contracts.OUT_OF_TIME, 0).astype(np.int32)
    return contracts.CANDIDATE.batch(
        {
            **{name: column[name] for name in SAME},
            "content": first_half(column["content_hash"]),
            "split": np.full(n, split.index, np.int32),
            "ordinal": np.arange(n, dtype=np.int32),
            "source": np.full(n, split.source, np.int16),
            "origin": origin,
            "origin_basis": basis,
            "detector_band": column["detector_band"],
            "p_synthetic": pa.array(p_synthetic, pa.float32(), mask=np.isnan(p_synthetic)),
            "evidence": evidence,
            "machine_prior": np.where(basis == contracts.BASIS_DATE, priors(column["created"]), 0).astype(np.int32),
            "excluded": exclusions.of(column, source),
        }
    )


def out_of_time(
    created: pa.Array, collected: datetime.date | None, band: npt.NDArray[np.int8], detector: Detector
) -> npt.NDArray[np.bool_]:
    """Which documents are of a day after the newest generator that the detector knows in their language.

    One without a language of the calibration is held against the newest of all.
    """
    scales = detector.calibration.scales if detector.calibration else ()
    days = np.array([scale.until or "NaT" for scale in scales] or ["NaT"], "datetime64[D]")
    if np.isnat(days).all():
        return np.zeros(len(band), bool)  # nothing is known of the detector's age
    assert detector.calibration
    known = np.append(days[detector.calibration.language_of_band], days[~np.isnat(days)].max())[band]
    written = created.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False).astype("datetime64[D]")
    if collected is not None:
        written = np.where(np.isnat(written), np.datetime64(collected), written)
    return np.asarray(written > known)  # NaT is after nothing
