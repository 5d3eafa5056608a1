"""A release -> the documents that people are asked to label (`contracts.AUDIT`).

Three streams, kept apart. *audit*, drawn by hash, is what certifies; by request three of twenty draws are of the
documents with the highest scores (transforms/kernels/statistics/two_strata.py). *active* are the documents from which a
label tells most; they certify nothing. *gold* are items of known origin, by which the reviewers are measured. They are
shown mixed, in an order that keeps the audit stream's own, so that whoever stops early has labelled a prefix of it.

The release is read by columns, in batches; text is read of the chosen documents only.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.errors import UserError
from expectations.loading import LoadError, nearest, parse_json
from expectations.wording import plural
from transforms.audit.gold import GoldItems
from transforms.kernels.statistics import draws, sampling, share_bound, two_strata
from transforms.kernels.text.columns import from_hexadecimal, halves, hash_texts, hexadecimal
from transforms.kernels.text.text import canonicalise, count_words
from transforms.release.read_release import Released, ReleaseError, open_release, read_signed

METADATA = b"lowbackground.audit"
FORMAT = "lowbackground.audit/2"
MAX_SOURCE_SHARE = 0.2  # of the active stream; more where there are fewer than five sources
FACTS = ["id", "source", "n_tokens", "origin", "origin_basis", "p_synthetic", "cluster_size", "copies"]
SHOWN = ["id", "text", "source", "language", "n_tokens", "p_synthetic"]


class AuditError(UserError):
    """An audit cannot be made: what is wrong, what to do. One line."""


@dataclasses.dataclass(frozen=True)
class Design:
    """How a sample is drawn.

    Attributes:
      n: draws of the audit stream; fewer if the population has fewer documents.
      by: "documents" or "tokens": what the certified share is a share of.
      population: "undeclared" (kept documents whose origin nobody declared) or "all" kept documents.
      first_look: draws after which a verdict is allowed before all are labelled; None: only one look, at the end.
      active: documents of the active stream, at most.
      gold_share: gold items among all items, at least, if there are any.
      salt: of the draw; None: the hash of the release's manifest, which nobody could know while the release was made.
      source: only documents of this source; None: of all.
      by_score: draw more where scores are high, if there are scores that tell documents apart.
    """

    n: int = 311
    by: str = "documents"
    population: str = "undeclared"
    first_look: int | None = None
    active: int = 100
    gold_share: float = 0.15
    salt: str | None = None
    source: str | None = None
    by_score: bool = False


@dataclasses.dataclass
class _Survey:
    """What two passes over the facts find: the population, and who was drawn.

    Attributes:
      documents, tokens: of the population, each document once.
      weights: by source, what there is in the unit of the share, every copy of a document counted: in all, declared, declared
        synthetic, and audited. int64[4].
      bins: the audited weight by score. int64[share_bound.BINS].
      copied: whether some document of the population counts more than once.
      sources: sum of p, and scored documents, of the population.
      top: where the top begins, a bin of the score; None: the draw is uniform.
      top_weight: the audited weight of the top.
      chosen: the position of each draw's document.
    """

    documents: int = 0
    tokens: int = 0
    weights: dict[str, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    bins: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(share_bound.BINS, np.int64))
    copied: bool = False
    sources: dict[str, npt.NDArray[np.float64]] = dataclasses.field(default_factory=dict)
    top: int | None = None
    top_weight: int = 0
    chosen: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def weight(self) -> int:
        """Of the population."""
        return sum(int(sums[3]) for sums in self.weights.values())


def draw(folder: str, design: Design, gold: GoldItems | None) -> pa.Table:
    """The sample of a release, as AUDIT in the order it is shown, with its design in the metadata.

    Raises:
      AuditError, ReleaseError, GoldError: there is no release, nothing to draw from, or too few gold items.
    """
    release = open_release(folder)
    salt = design.salt or release.manifest_sha256
    survey = _survey(release, design, salt)
    _check(survey, design)
    audit = np.unique(survey.chosen)
    active, informative = _active(release, design, salt, survey, audit)
    masked = [name for name in release.columns() if name == "masked"]  # not in older releases
    documents = release.take(np.r_[audit, active], [*SHOWN, "copies", *masked])
    contents = _contents(folder, documents)
    documents = documents.drop_columns(masked)
    hits = [np.flatnonzero(survey.chosen == position).tolist() for position in audit]
    rows = documents.drop_columns(["copies"]).to_pydict()
    rows |= {
        "stream": ["audit"] * len(audit) + ["active"] * len(active),
        "draws": [*hits, *([[]] * len(active))],
        "inclusion": [*_inclusion(documents, len(audit), survey, design), *([None] * len(active))],
        "content_hash": contents.to_pylist(),
        "informative": [*([None] * len(audit)), *informative.tolist()],
        "gold_label": [None] * documents.num_rows,
    }
    if gold is not None:
        rows = _with_gold(rows, gold, design, salt)
    return _mixed(rows, salt).replace_schema_metadata({METADATA: _about(release, design, salt, survey)})


def _contents(folder: str, documents: pa.Table) -> pa.StringArray:
    """What labels are keyed by: of a text that was masked the content that was read, which the signatures know."""
    canonical, _ = canonicalise(documents["text"].combine_chunks())
    found = hexadecimal(hash_texts(canonical))
    if "masked" not in documents.column_names or documents["masked"].null_count == documents.num_rows:
        return found
    if (signed := read_signed(folder)) is None:
        return found
    at = pc.index_in(documents["id"].combine_chunks(), hexadecimal(signed["doc_id"].combine_chunks()))
    read = hexadecimal(signed["content_hash"].combine_chunks()).take(at)
    return pc.if_else(pc.and_(documents["masked"].combine_chunks().is_valid(), at.is_valid()), read, found)


def design_of(sample: pa.Table) -> dict[str, Any]:
    """How a sample was drawn, as `draw` wrote it.

    Raises:
      AuditError: it is no sample.
    """
    try:
        about = parse_json((sample.schema.metadata or {})[METADATA], "the sample")
    except (KeyError, LoadError):
        raise AuditError("not a sample; `lowbackground audit sample RELEASE -o FILE` writes one") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise AuditError(f"a sample of another version ({about!r:.60}); draw it again")
    if not sample.schema.equals(contracts.AUDIT.schema):
        raise AuditError("not the columns of a sample; draw it again")
    return about


def _about(release: Released, design: Design, salt: str, survey: _Survey) -> bytes:
    mine, others = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for name, sums in survey.weights.items():
        if design.source in (None, name):
            mine += sums
        else:
            others += sums
    names = ("all", "declared", "synthetic", "audited")
    about = {
        "format": FORMAT,
        "release": release.name,
        "manifest_sha256": release.manifest_sha256,
        "by": design.by,
        "population": design.population,
        "source": design.source,
        "documents": survey.documents,
        "tokens": survey.tokens,
        "unit": release.unit,
        "whole": dict(zip(names, mine.tolist(), strict=True)),
        "others": dict(zip(names, others.tolist(), strict=True)),
        "copied": survey.copied,
        "top": None if survey.top is None else {"weight": survey.top_weight, "p_synthetic": _least_p(survey.top)},
        "n": len(survey.chosen),
        "first_look": design.first_look,
        "salt": salt,
    }
    return orjson.dumps(about, option=orjson.OPT_SORT_KEYS)


def _least_p(top: int) -> float:
    return round(
        1 / (1 + math.exp(-(share_bound.LOWEST + top * (share_bound.HIGHEST - share_bound.LOWEST) / share_bound.BINS))),
        9,
    )


def _survey(release: Released, design: Design, salt: str) -> _Survey:
    survey = _Survey()
    for _, batch in release.batches(FACTS):
        _weigh(survey, batch, design)
    with_replacement = design.by == "tokens" or survey.copied
    if design.by_score:
        survey.top, survey.top_weight = _cut(survey)
    of_top = two_strata.of_top(design.n) if survey.top is not None else np.zeros(design.n, bool)
    best, seeds = draws.no_best(design.n), draws.seeds(design.n, salt)
    u, high, low = (np.zeros(0, np.uint64) for _ in range(3))
    at = np.zeros(0, np.int64)
    for first, batch in release.batches(FACTS):
        rows = _population(batch, design)
        batch, position = batch.take(pa.array(rows)), first + rows
        ids = _ids(batch)
        if with_replacement or survey.top is not None:
            weight, top = (
                _weight(batch, design),
                _bins(batch) >= (share_bound.BINS if survey.top is None else survey.top),
            )
            for stratum in (True, False):
                mine, turn = top == stratum, of_top == stratum
                part = draws.Best(*(column[turn] for column in best))
                draws.race(
                    part, (ids[0][mine], ids[1][mine]), weight[mine].astype(np.float64), position[mine], seeds[turn]
                )
                for column, found in zip(best, part, strict=True):
                    column[turn] = found
            continue
        place = sampling.places(ids, salt, "audit")
        u, high, low, at = np.r_[u, place.u], np.r_[high, place.high], np.r_[low, place.low], np.r_[at, position]
        first_in_order = draws.smallest(sampling.Place(u, high, low), design.n)
        u, high, low, at = (part[first_in_order] for part in (u, high, low, at))
    survey.chosen = best.at[best.at >= 0] if with_replacement or survey.top is not None else at
    return survey


def _weight(batch: pa.RecordBatch, design: Design) -> npt.NDArray[np.int64]:
    """Of each document, in the unit of the share: with every copy, as the share counts it."""
    copies = np.maximum(batch["copies"].to_numpy().astype(np.int64), 1)
    return copies * batch["n_tokens"].to_numpy() if design.by == "tokens" else copies


def _bins(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """The bin of each document's score; -1: it has none."""
    p = batch["p_synthetic"].to_numpy(zero_copy_only=False).astype(np.float64)
    with np.errstate(divide="ignore"):
        return share_bound.bin_of(np.log(p / (1 - p)).astype(np.float32))


def _weigh(survey: _Survey, batch: pa.RecordBatch, design: Design) -> None:
    """Count one batch."""
    weight, rows = _weight(batch, design), _population(batch, design)
    audited = np.zeros(batch.num_rows, bool)
    audited[rows] = True
    declared = ~audited & _is_declared(batch)
    synthetic = declared & pc.equal(batch["origin"], "synthetic").to_numpy(zero_copy_only=False)
    names, source, _ = _by_source(batch)
    parts = (np.ones_like(audited), declared, synthetic, audited)
    sums = np.stack([np.bincount(source, weight * part, len(names)) for part in parts], axis=1).astype(np.int64)
    for name, row in zip(names, sums, strict=True):
        survey.weights[name] = survey.weights.get(name, np.zeros(4, np.int64)) + row
    drawn = batch.take(pa.array(rows))
    survey.documents += len(rows)
    survey.tokens += int(drawn["n_tokens"].to_numpy().sum(dtype=np.int64))
    survey.copied |= bool((drawn["copies"].to_numpy() > 1).any())
    bins = _bins(drawn)
    np.add.at(survey.bins, bins[bins >= 0], weight[rows][bins >= 0])
    _add_sources(survey.sources, drawn)


def _cut(survey: _Survey) -> tuple[int | None, int]:
    """Where the top begins, and its weight; None where scores leave nothing to choose."""
    found = two_strata.cut_by_scores(survey.bins, survey.weight - int(survey.bins.sum()))
    return (None, 0) if found is None else (found.at, int(survey.bins[found.at :].sum()))


def _population(batch: pa.RecordBatch, design: Design) -> npt.NDArray[np.int64]:
    """The rows of a batch that are audited."""
    wanted = np.ones(batch.num_rows, bool) if design.population == "all" else ~_is_declared(batch)
    if design.source is not None:
        wanted &= pc.equal(batch["source"], design.source).to_numpy(zero_copy_only=False)
    return np.flatnonzero(wanted)


def _is_declared(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.is_in(batch["origin_basis"], pa.array(contracts.DECLARED_BASES)).to_numpy(
        zero_copy_only=False
    )
    return found


def _ids(batch: pa.RecordBatch) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    try:
        return halves(from_hexadecimal(batch["id"]))
    except ValueError as error:
        raise ReleaseError(f"a document's id is none ({error}); restore the release") from None


def _by_source(batch: pa.RecordBatch) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The sources of a batch, the source of each document, and its p_synthetic (NaN: not scored)."""
    encoded = batch["source"].dictionary_encode()
    p = batch["p_synthetic"].to_numpy(zero_copy_only=False).astype(np.float64)
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64), p


def _add_sources(sums: dict[str, npt.NDArray[np.float64]], batch: pa.RecordBatch) -> None:
    names, source, p = _by_source(batch)
    scored = ~np.isnan(p)
    # Sums of whole 2^-32ths: they come out the same in any order.
    parts = np.round(np.where(scored, p, 0) * 2**32)
    totals = (np.bincount(source, part, len(names)) for part in (parts, scored.astype(np.float64)))
    for name, *total in zip(names, *totals, strict=True):
        sums[name] = sums.get(name, np.zeros(2)) + total


def _check(survey: _Survey, design: Design) -> None:
    if not survey.documents:
        what, hint = "no document", ""
        if design.source is not None:
            what, hint = (
                f"no document of source {design.source!r}",
                f"; {nearest(design.source, sorted(survey.weights))}",
            )
        if design.population == "undeclared" and design.source in (None, *survey.weights):
            what = "no document of undeclared origin" + (f" of source {design.source!r}" if design.source else "")
            hint = "; --all audits declared ones as well"
        raise AuditError(f"the release keeps {what}, so there is nothing to audit{hint}")
    if not len(survey.chosen):
        raise AuditError("no document has a token, so none can be drawn by tokens; draw by documents")
    if design.first_look is not None and not 0 < design.first_look < len(survey.chosen):
        raise AuditError(f"a first look after {design.first_look} of {plural(len(survey.chosen), 'draw')} is none")


def _active(
    release: Released, design: Design, salt: str, survey: _Survey, audit: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Positions and scores of the most informative documents that are not in the audit stream anyway.

    Deduplication has left one document of a cluster, so no two of a cluster can be chosen.
    """
    codes = {name: code for code, name in enumerate(sorted(survey.sources))}
    means = np.array(
        [total[0] / 2**32 / total[1] if total[1] else np.nan for _, total in sorted(survey.sources.items())]
    )
    most = max(math.ceil(MAX_SOURCE_SHARE * design.active), math.ceil(design.active / max(1, len(codes))))
    at, group = np.zeros(0, np.int64), np.zeros(0, np.int64)
    score, place = np.zeros(0), np.zeros(0, np.uint64)
    for first, batch in release.batches(FACTS) if design.active else ():
        rows = _population(batch, design)
        rows = rows[~np.isin(first + rows, audit)]
        batch = batch.take(pa.array(rows))
        names, source, p = _by_source(batch)
        source = np.array([codes[name] for name in names], np.int64)[source]
        found = draws.informative(p, batch["cluster_size"].to_numpy(), means[source])
        at, group, score = np.r_[at, first + rows], np.r_[group, source], np.r_[score, found]
        place = np.r_[place, sampling.places(_ids(batch), salt, "active").u]
        best = draws.first_of_each(group, score, place, most)
        at, group, score, place = (part[best] for part in (at, group, score, place))
    return at[: design.active], score[: design.active]


def _inclusion(documents: pa.Table, audited: int, survey: _Survey, design: Design) -> list[float]:
    """The chance of each document of the audit stream to be in it."""
    n = len(survey.chosen)
    if survey.top is None and design.by == "documents" and not survey.copied:
        return [n / survey.documents] * audited
    batch = documents.slice(0, audited).combine_chunks().to_batches()
    if not batch:
        return []
    top = _bins(batch[0]) >= (share_bound.BINS if survey.top is None else survey.top)
    of_top, of_rest = (0, n) if survey.top is None else two_strata.draws_of(n)
    whole = np.where(top, survey.top_weight, survey.weight - survey.top_weight)
    part = np.minimum(_weight(batch[0], design) / whole, 1 - 1e-16)
    return (-np.expm1(np.where(top, of_top, of_rest) * np.log1p(-part))).tolist()


def _with_gold(rows: dict[str, list[Any]], gold: GoldItems, design: Design, salt: str) -> dict[str, list[Any]]:
    others = len(rows["text"])
    n = math.ceil(design.gold_share * others / (1 - design.gold_share))
    taken = pa.array([bytes.fromhex(content) for content in rows["content_hash"]], pa.binary())
    chosen = gold.choose(n, salt, taken)
    known = {
        "stream": ["gold"] * n,
        "draws": [[]] * n,
        "content_hash": hexadecimal(chosen.content_hash).to_pylist(),
        "text": chosen.text.to_pylist(),
        "n_tokens": count_words(canonicalise(chosen.text)[1]).tolist(),
        "gold_label": [contracts.ORIGINS[origin] for origin in chosen.origin.tolist()],
    }
    return {name: values + known.get(name, [None] * n) for name, values in rows.items()}


def _mixed(rows: dict[str, list[Any]], salt: str) -> pa.Table:
    """The items in the order they are shown: each stream in its own order, all of them spread evenly, by hash."""
    names = [hash_ or content for hash_, content in zip(rows["id"], rows["content_hash"], strict=True)]
    items = sampling.places(halves(from_hexadecimal(pa.array(names, pa.string()))), salt, "item").u
    assert len(np.unique(items)) == len(items), "two items of one name"
    stream = np.array(rows["stream"])
    turn = np.array([min(hits, default=-1) for hits in rows["draws"]], np.float64)
    when = np.zeros(len(items))
    for name in contracts.STREAMS:
        mine = stream == name
        order = turn[mine] if name == "audit" else np.argsort(np.argsort(items[mine])).astype(np.float64)
        when[mine] = (order + items[mine] / 2**64) / (order.max(initial=0) + 1)
    rows = rows | {"item": [f"{item:016x}" for item in items.tolist()]}
    batch = contracts.AUDIT.batch({name: rows[name] for name in contracts.AUDIT.schema.names})
    return pa.Table.from_batches([batch]).take(pa.array(np.lexsort((items, when))))
