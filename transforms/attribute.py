"""Split -> CANDIDATE: what is known of each document's origin, and from what.

A declaration of the source or the row comes first, then what people said of the text (`review.labels`). Without either, the
detector speaks: above its threshold *synthetic*, clearly below it *human*, and *unknown* between, or where the text is too
short to score. Nothing declared never means human.
"""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.detector import Detector, Scores, load_detector
from transforms.kernels.columns import EMPTY_HASH, first_half
from transforms.reviewed import Reviewed
from transforms.sources import EARLIER, Split
from transforms.store import SignalStore


@dataclasses.dataclass(eq=False)
class Attribute(beam.PTransform):
    """Split -> CANDIDATE: from its signals to origin, basis and p_synthetic."""

    store: SignalStore
    detector: str | None
    reviewed: Reviewed | None = None

    def expand(self, surveyed: beam.PCollection[Split]) -> beam.PCollection[pa.RecordBatch]:
        """Row by row; no shuffle."""
        return surveyed | "Origin" >> beam.ParDo(_Attribute(self.store, self.detector, self.reviewed))


class _Attribute(beam.DoFn):
    def __init__(self, store: SignalStore, detector: str | None, reviewed: Reviewed | None) -> None:
        self.store, self.path, self.reviewed = store, detector, reviewed

    def setup(self) -> None:
        self.detector = load_detector(self.path)

    def process(self, split: Split) -> Iterator[pa.RecordBatch]:
        if split.source == EARLIER:
            yield earlier(self.store.read(split, ["doc_id", "content_hash"]), split)
            return
        yield attribute(self.store.read(split, NEEDED), split, self.detector, self.reviewed)


def earlier(signed: pa.Table, split: Split) -> pa.RecordBatch:
    """SIGNED of an earlier release -> CANDIDATE; of such a document nothing counts but that it is there."""
    n = signed.num_rows
    zeros = np.zeros(n, np.int32)
    nothing = dict.fromkeys(("n_tokens", "n_bytes", "origin", "origin_basis", "detector_band"), zeros)
    return contracts.CANDIDATE.batch(
        {
            **nothing,
            "doc_id": signed["doc_id"].combine_chunks(),
            "split": np.full(n, split.index, np.int32),
            "ordinal": np.arange(n, dtype=np.int32),
            "source": np.full(n, EARLIER, np.int16),
            "content": first_half(signed["content_hash"].combine_chunks()),
            "created": pa.nulls(n, contracts.WHEN),
            "p_synthetic": pa.nulls(n, pa.float32()),
            "empty": np.zeros(n, bool),
        }
    )


SAME = ("doc_id", "n_tokens", "n_bytes", "created")
NEEDED = [*SAME, "content_hash", "detector_score", "detector_band", "declared_origin"]


def attribute(signals: pa.Table, split: Split, detector: Detector, reviewed: Reviewed | None = None) -> pa.RecordBatch:
    """SIGNALS of one split -> CANDIDATE.

    `p_synthetic` is always the detector's, also beside a declaration: where the two disagree, both can be seen.
    """
    n = signals.num_rows
    column = {name: signals[name].combine_chunks() for name in NEEDED}
    declared = column["declared_origin"].to_numpy()
    score = column["detector_score"].to_numpy(zero_copy_only=False).astype(np.float32)  # null becomes NaN
    scores = Scores(score, column["detector_band"].to_numpy())
    p_synthetic = detector.p_synthetic(scores)
    is_declared = declared != contracts.UNKNOWN
    origin = np.where(is_declared, declared, detector.origin(scores)).astype(np.int8)
    basis = np.where(
        is_declared,
        contracts.BASIS_DECLARED,
        np.where(np.isnan(score), contracts.BASIS_NONE, contracts.BASIS_DETECTOR),
    ).astype(np.int8)
    if reviewed is not None:
        said = reviewed.of(column["content_hash"])
        is_reviewed = ~is_declared & (said != contracts.UNKNOWN)
        origin, basis = np.where(is_reviewed, said, origin), np.where(is_reviewed, contracts.BASIS_REVIEWED, basis)
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
            # Nothing is left of it in canonical form: white space and invisible characters.
            "empty": pc.equal(column["content_hash"], pa.scalar(EMPTY_HASH, contracts.HASH)),
        }
    )
