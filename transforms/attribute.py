"""SURVEYED -> CANDIDATE: what is known of each document's origin, and from what.

A declaration of the source or the row comes first. Without one, the detector speaks: above its threshold *synthetic*,
clearly below it *human*, and *unknown* between, or where the text is too short to score. Nothing declared never means
human.
"""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from expectations import contracts
from transforms.detector import Detector, load_detector


@dataclasses.dataclass(eq=False)
class Attribute(beam.PTransform):
    """SURVEYED -> CANDIDATE: add origin, its basis and p_synthetic."""

    detector: str | None

    def expand(self, surveyed: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """Row by row; no shuffle."""
        return surveyed | "Origin" >> beam.ParDo(_Attribute(self.detector))


class _Attribute(beam.DoFn):
    def __init__(self, detector: str | None) -> None:
        self.path = detector

    def setup(self) -> None:
        self.detector = load_detector(self.path)

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield attribute(batch, self.detector)


def attribute(batch: pa.RecordBatch, detector: Detector) -> pa.RecordBatch:
    """SURVEYED -> CANDIDATE.

    `p_synthetic` is always the detector's, also beside a declaration: where the two disagree, both can be seen.
    """
    declared = batch["declared_origin"].to_numpy()
    score = batch["detector_score"].to_numpy(zero_copy_only=False).astype(np.float32)  # null becomes NaN
    p_synthetic = detector.p_synthetic(score)
    is_declared = declared != contracts.UNKNOWN
    origin = np.where(is_declared, declared, detector.origin(score)).astype(np.int8)
    basis = np.where(
        is_declared,
        contracts.BASIS_DECLARED,
        np.where(np.isnan(score), contracts.BASIS_NONE, contracts.BASIS_DETECTOR),
    ).astype(np.int8)
    same = ("doc_id", "split", "ordinal", "source", "content_hash", "n_tokens", "n_bytes", "created", "empty")
    return contracts.CANDIDATE.batch(
        {
            **{name: batch[name] for name in same},
            "origin": origin,
            "origin_basis": basis,
            "p_synthetic": pa.array(p_synthetic, pa.float32(), mask=np.isnan(p_synthetic)),
        }
    )
