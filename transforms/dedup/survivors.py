"""CANDIDATE + labels -> DECISION: which document of each set of duplicates stays, and how like it the others are.

A connected component is only where to look. In it the documents are taken in the order of the recipe's policy, and one is
dropped if it resembles a document that was kept before it (`kernels/similarity/cover.py`): a chain of small differences
never drops a document for one that it has little in common with, and every component keeps one.

Signatures of documents that have a duplicate travel with them. In `exact` mode their shingle sets do, made from the text,
which is read again for these documents only.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.wording import plural
from transforms.dedup.candidates import DedupConfig, partitions
from transforms.dedup.clusters import JoinLabels, by_part, candidates_and_labels
from transforms.engine import counted
from transforms.engine.stage import Stage
from transforms.engine.threads import Beside
from transforms.ingest.paragraph_removal import MaybeUnwanted, Unwanted, as_sides, cut
from transforms.ingest.sources import EARLIER, InputError, Source, Split
from transforms.kernels.similarity import components, minhash
from transforms.kernels.similarity.cover import SAME_URL, Nodes, cover
from transforms.kernels.text import text
from transforms.kernels.text.columns import halves, joined, numbers, packed
from transforms.signals.corpus import Corpus


def _reason(name: str) -> int:
    return contracts.REASONS.index(name)


WITHDRAWN = _reason("withdrawn")
LABELLED = contracts.CANDIDATE.schema  # and the columns below
for _field in (
    pa.field("cluster", pa.uint64()),  # the component
    pa.field("signature", pa.binary()),  # null where nothing else can resemble the document
    pa.field("url", pa.uint64()),
    pa.field("shingles", pa.binary()),  # uint64[], ascending; in exact mode
):
    LABELLED = LABELLED.append(_field)


@dataclasses.dataclass(eq=False)
class ChooseSurvivors(Stage):
    """(CANDIDATE, labels, paragraphs that are removed) -> DECISION: one document of each cluster is kept.

    What is excluded is dropped for its own reason and stands for nothing that stays; with a withdrawn document goes all that
    is like it.
    """

    config: DedupConfig
    corpus: Corpus  # and the splits of earlier releases
    parts: int = 1  # of the labels; of one part they are one batch

    def expand(
        self,
        inputs: tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch], MaybeUnwanted],
    ) -> beam.PCollection[pa.RecordBatch]:
        """One shuffle by component; and where labels are in parts, two that bring them to their documents."""
        candidates, labels, unwanted = inputs
        if self.config.verify != "exact":
            unwanted = ()  # no text is read
        how = self.config, self.corpus, partitions(self.corpus)
        waiting, label, sides = candidates, _Label(*how), [beam.pvalue.AsSingleton(labels)]
        if self.parts > 1:
            waiting, label, sides = (candidates, labels) | "Join" >> JoinLabels(self.parts), _LabelJoined(*how), []
        standings = tuple(Standing.of(source, self.config) for source in self.corpus.sources)
        return (
            waiting
            | "Label" >> counted.ParDo("candidates to their labels", label, *sides, *as_sides(unwanted))
            | "ByCluster" >> counted.GroupByKey("candidates by cluster")
            | "Survivors" >> beam.ParDo(_Survivors(self.config, standings))
        )


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _Label(Beside[pa.RecordBatch, tuple[int, pa.RecordBatch]]):
    def __init__(self, config: DedupConfig, corpus: Corpus, parts: int) -> None:
        self.config, self.corpus, self.parts = config, corpus, parts

    def work(self, batch: pa.RecordBatch, *sides: Any) -> list[tuple[int, pa.RecordBatch]]:
        labels, *unwanted = sides
        if not batch.num_rows:
            return []
        split = self.corpus.split(batch["split"][0].as_py())
        content = batch["content"].to_numpy()
        cluster, linked = components.label(content, (labels["content"].to_numpy(), labels["cluster"].to_numpy()))
        signals = self.corpus.signals(split, ["signature", "url_hash", "n_shingles"])
        signed = pa.array(linked & (signals["n_shingles"].to_numpy() > 0))
        signature = pc.if_else(signed, joined(signals["signature"]).cast(pa.binary()), pa.scalar(None, pa.binary()))
        with_url = pa.array(linked & self.config.url)
        url = pc.if_else(with_url, joined(signals["url_hash"]), pa.scalar(None, pa.uint64()))
        if self.config.verify == "exact" and split.source != EARLIER:
            try:
                shingles = shingles_of(split, self.corpus, self.config.ngram, linked, *unwanted)
            except InputError:
                raise self.corpus.changed(split) from None
        else:
            shingles = pa.nulls(len(content), pa.binary())
        columns = [*batch.columns, pa.array(cluster), signature, url, shingles]
        labelled = pa.RecordBatch.from_arrays(columns, schema=LABELLED)
        return by_part(cluster, labelled, self.parts)


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _LabelJoined(_Label):
    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *sides: Any) -> list[tuple[int, pa.RecordBatch]]:  # type: ignore[override]
        return super().work(*candidates_and_labels(group[1]), *sides)


def shingles_of(
    split: Split, corpus: Corpus, ngram: int, wanted: npt.NDArray[np.bool_], unwanted: Unwanted = None
) -> pa.BinaryArray:
    """The shingle sets of some documents of a split, read again: packed uint64, ascending; null for the others.

    With `unwanted` paragraphs, of the text that is left without them.

    Raises:
      InputError: the split has not as many documents as the survey read.
    """
    parts = []
    at = 0
    for documents, _ in corpus.read(split) if wanted.any() else ():
        here = wanted[at : at + documents.num_rows]
        at += documents.num_rows
        if at > len(wanted):
            break
        documents, _ = cut(documents.filter(pa.array(here)), unwanted)
        _, tokens = text.canonicalise(documents["text"])
        offsets, sets = minhash.shingle_sets(*minhash.words(tokens), ngram)
        parts.append(pc.replace_with_mask(pa.nulls(len(here), pa.binary()), pa.array(here), packed(offsets, sets)))
    if wanted.any() and at != len(wanted):
        raise InputError(f"{plural(at, 'document')}, not {len(wanted):,}")
    return pa.concat_arrays(parts) if parts else pa.nulls(len(wanted), pa.binary())


@beam.typehints.with_output_types(pa.RecordBatch)
class _Survivors(Beside[tuple[int, Iterable[pa.RecordBatch]], pa.RecordBatch]):
    def __init__(self, config: DedupConfig, standings: tuple["Standing", ...]) -> None:
        self.config, self.standings = config, standings

    def work(self, group: tuple[int, Iterable[pa.RecordBatch]], *_: object) -> tuple[pa.RecordBatch]:
        return (decide(pa.concat_batches(list(group[1])), self.standings, self.config),)


@dataclasses.dataclass(frozen=True)
class Standing:
    """What counts of a source when one of its documents meets another's."""

    protected: bool = False
    trust: float = 0.5
    place: int = 0  # in `source_order`; the sources that are not in it come behind

    @classmethod
    def of(cls, source: Source, config: DedupConfig) -> "Standing":
        """The standing of a source of a recipe."""
        order = config.source_order
        place = order.index(source.name) if source.name in order else len(order)
        return cls(source.protected, source.trust, place)


def decide(candidates: pa.RecordBatch, standings: tuple[Standing, ...], config: DedupConfig) -> pa.RecordBatch:
    """LABELLED, whole components -> DECISION for each document of this run, in any order.

    The preferred of two documents is the first by the recipe's policy; where that says nothing, the one with the smaller
    id. Identical records (same id, same content) are told apart by their place at last, which changes nothing in what is
    kept.

    Args:
      candidates: every member of each component that occurs, those of earlier releases among them, and what was withdrawn
        from those.
      standings: of the sources, by number.
      config: policy and limits.
    """
    new = candidates["source"].to_numpy() != EARLIER
    if new.all():
        return _decided(candidates, standings, config, None)
    matched = _Stars.of(candidates, standings, config)
    behind = pa.array(
        matched.survivor, mask=new[matched.survivor]
    )  # the earlier document that each duplicates, or null
    earlier = candidates["doc_id"].cast(pa.binary()).take(behind)
    if config.on_match == "drop":
        return _decided(candidates, standings, config, earlier, matched)
    mask = pa.array(new | (candidates["excluded"].to_numpy() == WITHDRAWN))  # what was withdrawn stays so
    return _decided(candidates.filter(mask), standings, config, earlier.filter(mask))


class _Stars:
    """For each document the survivor that stands for it (a row number), how like it, and how that was found."""

    def __init__(
        self, survivor: npt.NDArray[np.int64], similarity: npt.NDArray[np.float64], how: npt.NDArray[np.int8]
    ) -> None:
        self.survivor, self.similarity, self.how = survivor, similarity, how

    @classmethod
    def of(cls, candidates: pa.RecordBatch, standings: tuple[Standing, ...], config: DedupConfig) -> "_Stars":
        """Cover each component with stars of contents, the preferred document of a content at its head."""
        order = preference(candidates, standings, config)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        _, member = np.unique(candidates["content"].to_numpy(), return_inverse=True)
        first = np.full(
            member.max(initial=-1) + 1, len(order), np.int64
        )  # the rank of each content's preferred document
        np.minimum.at(first, member, rank)
        by_preference = np.argsort(first)
        heads = order[first[by_preference]]
        place = np.empty(len(heads), np.int64)
        place[by_preference] = np.arange(len(heads))
        survivor, similarity, how = cover(
            _nodes(candidates.select(_COMPARED).take(pa.array(heads)), config.num_perm),
            config.bands,
            config.rows,
            config.least_to_survivor,
        )
        node = place[member]
        return cls(heads[survivor[node]], similarity[node], how[node])


def preference(
    candidates: pa.RecordBatch, standings: tuple[Standing, ...], config: DedupConfig
) -> npt.NDArray[np.int64]:
    """Row numbers by component, and in it by preference.

    Withdrawn documents come first, then those of earlier releases, because what is like them is dropped for them; other
    excluded ones come last, because nothing is.
    """
    source = candidates["source"].to_numpy()
    id_high, id_low = halves(candidates["doc_id"])
    keys = [_KEYS[name](candidates, standings, source) for name in config.policy]
    places = (candidates["split"].to_numpy(), candidates["ordinal"].to_numpy())
    excluded = candidates["excluded"].to_numpy()
    order = np.select([excluded == WITHDRAWN, source == EARLIER, excluded == 0], [0, 1, 2], 3)
    last_first = [candidates["cluster"].to_numpy(), order, *keys, id_high, id_low, *places][::-1]
    return np.lexsort(last_first)


def _declared_human(candidates: pa.RecordBatch, *_: Any) -> npt.NDArray[np.bool_]:
    human = candidates["origin"].to_numpy() == contracts.HUMAN
    return ~(human & (candidates["origin_basis"].to_numpy() == contracts.BASIS_DECLARED))


def _earliest(candidates: pa.RecordBatch, *_: Any) -> npt.NDArray[np.int64]:
    return candidates["created"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()


def _latest(candidates: pa.RecordBatch, *_: Any) -> npt.NDArray[np.int64]:
    return -candidates["created"].cast(pa.int64()).fill_null(-np.iinfo(np.int64).max).to_numpy()


def _by_standing(name: str, sign: float) -> Callable[..., npt.NDArray[np.float64]]:
    def key(
        _: pa.RecordBatch, standings: tuple[Standing, ...], source: npt.NDArray[np.int16]
    ) -> npt.NDArray[np.float64]:
        return np.array([sign * getattr(s, name) for s in (*standings, Standing())])[source]  # the last: earlier

    return key


# Smaller is preferred.
_KEYS: dict[str, Callable[..., npt.NDArray[Any]]] = {
    "source": _by_standing("place", 1),
    "protected": _by_standing("protected", -1),
    "trusted": _by_standing("trust", -1),
    "declared_human": _declared_human,
    "earliest": _earliest,
    "latest": _latest,
    "least_synthetic": lambda candidates, *_: candidates["p_synthetic"].fill_null(0.5).to_numpy(),
    "longest": lambda candidates, *_: -candidates["n_tokens"].to_numpy(),
    "shortest": lambda candidates, *_: candidates["n_tokens"].to_numpy(),
}


_COMPARED = ["cluster", "signature", "url", "shingles", "source", "excluded"]


def _nodes(heads: pa.RecordBatch, num_perm: int) -> Nodes:
    """The preferred document of each content, in order, as the kernel takes it."""
    cluster = heads["cluster"].to_numpy()
    signed = heads["signature"].is_valid().to_numpy(zero_copy_only=False)
    rows = numbers(heads["signature"])[1].reshape(-1, num_perm)  # a null has none
    if not signed.all():
        of_all = np.zeros((heads.num_rows, num_perm), np.uint32)
        of_all[signed] = rows
        rows = of_all
    offsets, halves_of_shingles = numbers(heads["shingles"])
    starts = np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1], True])
    return Nodes(
        starts if heads.num_rows else np.zeros(1, np.int64),
        np.require(rows, requirements="A"),
        signed,
        heads["url"].fill_null(0).to_numpy(),
        (heads["source"].to_numpy() == EARLIER) | (heads["excluded"].to_numpy() == WITHDRAWN),
        offsets // 2,
        np.require(halves_of_shingles.view(np.uint64), requirements="A"),
    )


def _decided(
    candidates: pa.RecordBatch,
    standings: tuple[Standing, ...],
    config: DedupConfig,
    earlier: pa.BinaryArray | None,
    stars: _Stars | None = None,
) -> pa.RecordBatch:
    """DECISION of the documents of this run among `candidates`, and for each the earlier one it duplicates, or null."""
    stars = stars or _Stars.of(candidates, standings, config)
    n, survivor = candidates.num_rows, stars.survivor
    content, origin = candidates["content"].to_numpy(), candidates["origin"].to_numpy()
    excluded = candidates["excluded"].to_numpy()
    out = (excluded != 0) | (excluded[survivor] == WITHDRAWN)
    itself = survivor == np.arange(n)
    exact = content == content[survivor]
    in_earlier = candidates["source"].to_numpy()[survivor] == EARLIER
    reason = np.select(
        [excluded != 0, out, itself, in_earlier, exact, stars.how == SAME_URL],
        [excluded, WITHDRAWN, 0, _reason("in_earlier_release"), _reason("exact_duplicate"), _reason("same_url")],
        _reason("near_duplicate"),
    )
    kept = itself & ~out
    own_stage = np.where(excluded == _reason("empty_text"), _stage("ingest"), _stage("exclusions"))
    stage = np.select([excluded != 0, kept], [own_stage, 0], _stage("dedup"))
    members = np.bincount(survivor[~out], minlength=n)
    origins = np.zeros(n, np.int8)
    np.bitwise_or.at(origins, survivor[~out], np.array([0, 1, 2], np.int8)[origin[~out]])
    stands = np.where(excluded != 0, np.arange(n), survivor)
    known = ("origin", "origin_basis", "detector_band", "p_synthetic", "evidence", "machine_prior")
    same = ("doc_id", "split", "ordinal", "source", "n_tokens", "n_bytes", *known)
    similarity = np.where(exact, 1.0, stars.similarity)
    decisions = contracts.DECISION.batch(
        {
            **{name: candidates[name] for name in same},
            "kept": kept,
            "stage": stage.astype(np.int8),
            "reason": reason.astype(np.int8),
            "cluster": content[stands],
            "cluster_size": np.where(out, 1, members[survivor]).astype(np.int32),
            "cluster_origins": np.where(out, 0, origins[survivor]).astype(np.int8),
            "survivor_id": candidates["doc_id"].take(pa.array(stands)),
            "similarity": pa.array(similarity, pa.float32(), mask=itself | (excluded != 0) | np.isnan(similarity)),
            "earlier_id": pa.nulls(n, pa.binary()) if earlier is None else earlier,
            "copies": kept.astype(np.int32),
        }
    )
    return decisions.filter(pa.array(candidates["source"].to_numpy() != EARLIER))


def _stage(name: str) -> int:
    return contracts.STAGES.index(name)
