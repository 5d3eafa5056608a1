"""Split -> its signals: read the text once and turn each document into numbers, kept in the signal store.

Text is read here and again in `emit`, and nowhere else. What leaves this stage is the split itself: whoever needs signals
reads the columns it needs from the store, so that they cross no shuffle and wait in nobody's memory.
"""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.ahead import ahead, spread
from transforms.detector import Detector, load_detector
from transforms.kernels import diversity, minhash, text
from transforms.kernels.columns import first_half, hash_texts
from transforms.memory import give_back
from transforms.progress import TALLY
from transforms.readers import ReadLimits, read_split
from transforms.sources import Source, Split
from transforms.store import SignalStore, write_parquet

HEADS_PER_SPLIT = 4 << 20  # bytes of input per split from which heads are sampled


@dataclasses.dataclass(frozen=True)
class SurveyConfig:
    """All that the survey needs to know. Its signals depend on nothing else."""

    sources: tuple[Source, ...]
    limits: ReadLimits
    store: SignalStore
    detector: str | None  # folder or file; None: the bundled one
    ngram: int
    num_perm: int


@dataclasses.dataclass(eq=False)
class Survey(beam.PTransform):
    """Split -> the same split, once its signals are in the store; one that has them already is not read."""

    config: SurveyConfig

    def expand(self, splits: beam.PCollection[Split]) -> beam.PCollection[Split]:
        """Survey every split; each is one task."""
        return splits | "SurveySplit" >> beam.ParDo(_SurveySplit(self.config))


class _SurveySplit(beam.DoFn):
    def __init__(self, config: SurveyConfig) -> None:
        self.config = config

    def setup(self) -> None:
        self.detector = load_detector(self.config.detector)

    def process(self, split: Split) -> Iterator[Split]:
        if not self.config.store.has(split):
            survey_split(split, self.config, self.detector)
            give_back()
        TALLY.add(files=len(split.pieces), input_bytes=split.n_bytes, documents=self.config.store.count(split))
        yield split


def survey_split(split: Split, config: SurveyConfig, detector: Detector) -> None:
    """Read a split's text once, in batches, and leave its signals and its quarantine in the store."""
    rejected: list[pa.RecordBatch] = []

    def documents() -> Iterator[pa.RecordBatch]:
        for batch, quarantine in ahead(read_split(split, config.sources[split.source], config.limits)):
            if quarantine.num_rows:
                rejected.append(quarantine)
            if batch.num_rows:
                yield batch
            TALLY.add(documents_read=batch.num_rows)
        # Before the signals get their name, because a split whose signals are there is never read again.
        write_parquet(quarantine_path(config.store, split), rejected, contracts.QUARANTINE.schema)

    def measure(batch: pa.RecordBatch) -> pa.RecordBatch:
        return measure_documents(batch, config, detector, sample_below(split))

    config.store.write(split, spread(measure, documents()), contracts.signals(config.num_perm).schema)


def quarantine_path(store: SignalStore, split: Split) -> str:
    """Where the store keeps the records of a split that could not be read."""
    return store.path(split).removesuffix(".parquet") + ".quarantine.parquet"


def sample_below(split: Split) -> np.uint64:
    """Documents whose sample key is below this keep their head; a power of two, smaller for larger splits."""
    halvings = max(0, int(split.n_bytes // HEADS_PER_SPLIT).bit_length() - 1)
    return np.uint64((2**64 - 1) >> halvings)


def measure_documents(
    documents: pa.RecordBatch, config: SurveyConfig, detector: Detector, below: np.uint64
) -> pa.RecordBatch:
    """DOCUMENT -> SIGNALS: everything that is ever computed from a text, in one pass over the batch."""
    canonical, tokens = text.canonicalise(documents["text"])
    n_tokens = text.count_words(tokens)
    content_hash = hash_texts(canonical)
    word_offsets, words = minhash.words(tokens)
    shingle_offsets, shingles = minhash.shingles(word_offsets, words, config.ngram)
    score = detector.score(tokens, n_tokens)
    sketches = {f"ngrams_{order}": _packed(*diversity.sketch(word_offsets, words, order)) for order in diversity.ORDERS}
    sampled = pa.array(diversity.sample_keys(first_half(content_hash)) < below)
    heads = pc.if_else(sampled, pc.utf8_slice_codeunits(documents["text"], 0, diversity.HEAD_CHARS), None)
    return contracts.signals(config.num_perm).batch(
        {
            **{name: documents[name] for name in ("doc_id", "id", "file", "row", "created", "language", "generator")},
            "declared_origin": documents["declared_origin"],
            "content_hash": content_hash,
            "signature": _fixed(minhash.sign(shingle_offsets, shingles, config.num_perm)),
            "n_shingles": np.diff(shingle_offsets),
            "n_tokens": n_tokens,
            "n_chars": pc.utf8_length(documents["text"]),
            "n_bytes": pc.binary_length(documents["text"]),
            "detector_score": pa.array(score, mask=np.isnan(score)),
            **sketches,
            "head": heads,
        }
    )


def _packed(offsets: npt.NDArray[np.int64], values: npt.NDArray[np.uint32]) -> pa.BinaryArray:
    bounds = (4 * offsets).astype(np.int32)
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(offsets) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(values)]
    )


def _fixed(rows: npt.NDArray[np.uint32]) -> pa.FixedSizeBinaryArray:
    dtype = pa.binary(4 * rows.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(dtype, len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])
