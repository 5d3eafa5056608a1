"""Split -> its signals: read the text once and turn each document into numbers, kept in the signal store.

What leaves this stage is the split itself: whoever needs signals
reads the columns it needs from the store, so that they cross no shuffle and wait in nobody's memory.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.detector import languages
from transforms.detector.detector import Detector, load_detector
from transforms.engine import counted
from transforms.engine.progress import TALLY
from transforms.engine.stage import Stage
from transforms.engine.staged import Staged
from transforms.engine.threads import Beside, ahead
from transforms.exclusions import personal_data
from transforms.exclusions.contamination import Items
from transforms.exclusions.licences import normalise
from transforms.ingest.paragraph_removal import MaybeUnwanted, Unwanted, as_sides, cut
from transforms.ingest.quarantine import may_heal
from transforms.ingest.sources import Split, unchanged
from transforms.kernels.similarity import duplicate_rate, minhash, overlap
from transforms.kernels.statistics import diversity, repetition
from transforms.kernels.text import paragraphs, prose, text
from transforms.kernels.text.columns import distinct_numbers, first_half, hash_texts, joined, numbers, packed
from transforms.kernels.text.personal import Kind
from transforms.kernels.text.urls import canonical_urls, hash_canonical, hosts
from transforms.origin.witnesses import EvidenceConfig, Witnesses, load_witnesses, look
from transforms.signals.corpus import Corpus
from transforms.signals.store import write_parquet
from transforms.structures.find import NO_SYSTEMS, Systems, comply
from transforms.survey.tokenizers import shared_tokenizer


@dataclasses.dataclass(frozen=True)
class SurveyConfig(Staged):
    """What the survey looks for. Signals depend on this and their split, and not on `few_splits`."""

    detector: str | None  # folder or file; None: the bundled one
    cross_check: str | None  # another detector; None: there is no other
    evidence: EvidenceConfig
    ngram: int
    num_perm: int
    systems: Systems = NO_SYSTEMS  # of structures that are looked for
    against: Items | None = None  # evaluation sets that are looked for
    tokenizer: tuple[str, str] | None = None  # name and digest of what counts tokens; None: words are counted
    personal_data: bool = False  # whether what looks personal is counted
    mask: tuple[Kind, ...] = ()  # and what of it is masked in the text that is released
    few_splits: bool = False  # fewer than cores: each task then reads on a thread of its own


Detectors = tuple[Detector, Detector | None]  # the recipe's, and its cross-check


def load_detectors(config: SurveyConfig) -> Detectors:
    """The detectors that a survey asks.

    Raises:
      DetectorError: one of them cannot be loaded.
    """
    return load_detector(config.detector), load_detector(config.cross_check) if config.cross_check else None


@dataclasses.dataclass(eq=False)
class Survey(Stage):
    """(Split, paragraphs that are removed) -> the same split, once its signals are in the store.

    One that has them already is not read.
    """

    config: SurveyConfig
    corpus: Corpus

    def expand(self, inputs: tuple[beam.PCollection[Split], MaybeUnwanted]) -> beam.PCollection[Split]:
        """Survey every split; each is one task."""
        splits, unwanted = inputs
        survey = _SurveySplit(self.config, self.corpus.without_splits())
        return splits | "SurveySplit" >> counted.ParDo("splits to survey", survey, *as_sides(unwanted))


@beam.typehints.with_output_types(Split)
class _SurveySplit(Beside[Split, Split]):
    def __init__(self, config: SurveyConfig, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus

    def setup(self) -> None:
        self.detectors = load_detectors(self.config)
        self.witnesses = load_witnesses(self.config.evidence)

    def work(self, split: Split, *sides: Any) -> tuple[Split]:
        if not self.corpus.store.was_surveyed(split, removed(*sides)):
            survey_split(split, self.corpus, self.config, self.detectors, self.witnesses, *sides)
        TALLY.add(files=len(split.pieces), input_bytes=split.n_bytes, documents=self.corpus.store.count(split))
        return (split,)


def survey_split(
    split: Split,
    corpus: Corpus,
    config: SurveyConfig,
    detectors: Detectors,
    witnesses: Witnesses,
    unwanted: Unwanted = None,
) -> None:
    """Read a split's text once, in batches, and leave its signals and its quarantine in the store."""
    rejected: list[pa.RecordBatch] = []

    def documents() -> Iterator[pa.RecordBatch]:
        read = corpus.read(split, config.systems.columns)
        for batch, quarantine in ahead(read) if config.few_splits else read:
            if quarantine.num_rows:
                rejected.append(quarantine)
            if batch.num_rows:
                yield batch
            TALLY.add(documents_read=batch.num_rows)
        unchanged(split)
        # Before the signals get their name, because a split whose signals are there is never read again.
        path, lasts = corpus.store.quarantine_path(split), not any(map(may_heal, rejected))
        write_parquet(path, rejected, contracts.QUARANTINE.schema, lasts=lasts, sync=False)

    sample = HeadSample()
    loaded, source = (detectors, witnesses), corpus.source(split).name
    signals = (measure_documents(batch, config, *loaded, sample, unwanted, source) for batch in documents())
    schema = contracts.signals(config.num_perm).schema
    corpus.store.write(split, signals, schema, made_of=removed(unwanted), thinned=sample.thinned)


def removed(unwanted: Unwanted = None) -> str:
    """A digest of the paragraphs that are removed. They are of the whole corpus, of which a file may have been missing."""
    return "" if unwanted is None else hashlib.sha256(unwanted.tobytes()).hexdigest()


class HeadSample:
    """Which documents keep their head, and which their trace: those whose keys may be among the smallest of a split."""

    def __init__(self) -> None:
        self.smallest = np.zeros(0, np.uint64)
        self.traced = np.zeros(0, np.uint64)

    def trace(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The rows of the next documents that keep their trace."""
        self.traced = distinct_numbers(np.r_[self.traced, keys])[: duplicate_rate.GROUPS + 1]
        return np.flatnonzero(keys < duplicate_rate.below(self.traced))

    def mask(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Of the next documents, by their sample keys: bool[n]. Which come first changes only how many more are kept."""
        self.smallest = distinct_numbers(np.r_[self.smallest, keys])[: diversity.SAMPLE_PER_SPLIT + 1]
        return keys < diversity.sample_below(self.smallest)

    def thinned(self, signals: pa.Table) -> pa.Table:
        """SIGNALS without what is kept of documents that are no more among the smallest, now that more have been looked at."""
        content = joined(signals["content_hash"])
        heads = diversity.sample_keys(first_half(content)) < diversity.sample_below(self.smallest)
        packed = duplicate_rate.Packed.of(*numbers(joined(signals["trace"])))
        some = np.flatnonzero(packed.size)
        traces = np.zeros(signals.num_rows, bool)
        traces[some] = packed.among(some).key < duplicate_rate.below(self.traced)
        for name, mask, nothing in (("trace", traces, b""), ("first_words", heads, []), ("head", heads, None)):
            field = signals.schema.field(name)
            left = pc.if_else(pa.array(mask), signals[name], pa.scalar(nothing, field.type))
            signals = signals.set_column(signals.schema.get_field_index(name), field, left)
        return signals


AS_READ = (
    "doc_id",
    "id",
    "file",
    "row",
    "created",
    "language",
    "url",
    "declared_origin",
    "generator",
    "kind",
    "stratum",
    "derived_from",
    "verifier",
    "author",
    "not_understood",
)


def measure_documents(
    documents: pa.RecordBatch,
    config: SurveyConfig,
    detectors: Detectors,
    witnesses: Witnesses,
    sample: HeadSample,
    unwanted: Unwanted = None,
    source: str = "",
) -> pa.RecordBatch:
    """DOCUMENT -> SIGNALS: everything that is ever computed from a text, in one pass over the batch.

    Behind DOCUMENT's columns stand those of `config.systems`; `source` is the name of theirs.

    With `unwanted` paragraphs, of the text that is left without them (paragraph_removal.py), but for what witnesses a model:
    what it leaves in many texts is among the first to be removed.
    """
    shown = look(documents["text"], witnesses)
    documents, removed_tokens = cut(documents, unwanted)
    canonical, tokens = text.canonicalise(documents["text"])
    word_offsets, words = minhash.words(tokens)
    n_words = np.diff(word_offsets).astype(np.int32)  # as `text.count_words`
    n_tokens = shared_tokenizer(*config.tokenizer).count(documents["text"]) if config.tokenizer else n_words
    content_hash = hash_texts(canonical)
    shingle_offsets, shingles = minhash.shingles(word_offsets, words, config.ngram)
    traced = sample.trace(duplicate_rate.keys(shingle_offsets, shingles))
    kinds = prose.kind_of(documents["text"])
    language, confidence = languages.spoken(documents["language"], documents["text"], kinds == 0)
    documents = documents.set_column(documents.schema.get_field_index("language"), "language", language)
    scored = documents["text"], tokens, n_words, kinds, language
    score, band = detectors[0].score(*scored)
    undecided = (band >= 0) & (documents["declared_origin"].to_numpy() == contracts.UNKNOWN)
    sketches = {f"ngrams_{order}": packed(*diversity.sketch(word_offsets, words, order)) for order in diversity.ORDERS}
    repeats = paragraphs.find(documents["text"])
    sampled = sample.mask(diversity.sample_keys(first_half(content_hash)))
    of_sampled = pc.if_else(pa.array(sampled), documents["text"], None)
    return contracts.signals(config.num_perm).batch(
        {
            **{name: documents[name] for name in AS_READ},
            **shown,
            "language_confidence": confidence,
            "text_kind": kinds,
            "content_hash": content_hash,
            **_addresses(documents["url"]),
            "licence": normalise(documents["licence"]),
            "signature": _fixed(minhash.sign(shingle_offsets, shingles, config.num_perm)),
            "n_shingles": np.diff(shingle_offsets),
            "trace": packed(*duplicate_rate.packed(shingle_offsets, shingles, traced)),
            "n_tokens": n_tokens,
            "n_words": n_words,
            "n_chars": pc.utf8_length(documents["text"]),
            "n_bytes": pc.binary_length(documents["text"]),
            "detector_score": pa.array(score, mask=np.isnan(score)),
            "detector_band": band,
            **_cross_check(detectors[1], scored, undecided),
            **sketches,
            "paragraphs": packed(repeats.offsets, repeats.hashes),
            "n_paragraphs": repeats.n_paragraphs,
            # The two are counted on either side of NFKC, and a part is never more than the whole.
            "repeated_tokens": np.minimum(repeats.repeated_tokens, n_words),
            "removed_tokens": removed_tokens,
            **_contamination(word_offsets, words, config.against),
            "personal": personal_data.look(documents["text"], config.mask)
            if config.personal_data
            else pa.nulls(len(n_words), personal_data.FIGURES),
            "compliance": comply(documents, tokens, source, config.systems),
            "first_words": packed(*repetition.first_words(word_offsets, words, sampled)),
            "head": pc.utf8_slice_codeunits(of_sampled, 0, diversity.HEAD_CHARS),
        }
    )


def _cross_check(
    checker: Detector | None, scored: tuple[Any, ...], undecided: npt.NDArray[np.bool_]
) -> dict[str, pa.Array | npt.NDArray[np.int8]]:
    """The columns of SIGNALS from a second detector: it is asked where an origin may rest on the first, and read nowhere else."""
    if checker is None or not undecided.any():
        return {
            "check_score": pa.nulls(len(undecided), pa.float32()),
            "check_band": np.full(len(undecided), -1, np.int8),
        }
    score, band = checker.score(*scored)
    band[~undecided] = -1
    return {"check_score": pa.array(score, mask=band < 0), "check_band": band}


def _contamination(
    word_offsets: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], against: Items | None
) -> dict[str, pa.Array]:
    """The columns of SIGNALS that say what a document has of evaluation sets."""
    n = len(word_offsets) - 1
    if against is None:
        return {"contamination": pa.nulls(n, pa.float32()), "contaminated_by": pa.repeat(pa.scalar(b""), n)}
    found = overlap.overlaps(word_offsets, words, against.grams, against.min_overlap)
    pairs = np.ascontiguousarray(np.stack([found.items, found.parts], axis=1)).reshape(-1)
    return {"contamination": pa.array(found.largest), "contaminated_by": packed(2 * found.offsets, pairs)}


def _addresses(urls: pa.StringArray) -> dict[str, pa.Array]:
    """The columns of SIGNALS that say where a document is from."""
    if urls.null_count == len(urls):
        return {"url_hash": pa.nulls(len(urls), pa.uint64()), "host": pa.nulls(len(urls), pa.string())}
    canonical = canonical_urls(urls)
    return {"url_hash": hash_canonical(canonical), "host": hosts(canonical)}


def _fixed(rows: npt.NDArray[np.uint32]) -> pa.FixedSizeBinaryArray:
    dtype = pa.binary(4 * rows.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(dtype, len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])
