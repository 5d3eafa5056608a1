"""A release -> the documents that people are asked to label (`contracts.AUDIT`).

Three streams, kept apart. *audit*, drawn by hash, is what certifies. *active* are the documents from which a label tells
most; they certify nothing. *gold* are items of known origin, by which the reviewers are measured. They are shown mixed, in
an order that keeps the audit stream's own, so that whoever stops early has labelled a prefix of it.

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
from expectations.loading import LoadError, parse_json
from transforms.audit.gold import GoldItems
from transforms.kernels.statistics import draws, sampling
from transforms.kernels.text.columns import from_hexadecimal, halves, hash_texts, hexadecimal
from transforms.kernels.text.text import canonicalise, count_words
from transforms.release.read_release import Released, ReleaseError, open_release

METADATA = b"lowbackground.audit"
FORMAT = "lowbackground.audit/1"
MAX_SOURCE_SHARE = 0.2  # of the active stream; more where there are fewer than five sources
FACTS = ["id", "source", "n_tokens", "origin_basis", "p_synthetic", "cluster_size"]
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
    """

    n: int = 311
    by: str = "documents"
    population: str = "undeclared"
    first_look: int | None = None
    active: int = 100
    gold_share: float = 0.15
    salt: str | None = None


@dataclasses.dataclass
class _Survey:
    """What one pass over the facts finds: the population, and who was drawn."""

    documents: int = 0
    tokens: int = 0
    chosen: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))  # one a draw
    sources: dict[str, npt.NDArray[np.float64]] = dataclasses.field(default_factory=dict)  # sum of p, scored documents


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
    documents = release.take(np.r_[audit, active], SHOWN)
    canonical, _ = canonicalise(documents["text"].combine_chunks())
    hits = [np.flatnonzero(survey.chosen == position).tolist() for position in audit]
    rows = documents.rename_columns({"id": "doc_id"}).to_pydict()
    rows |= {
        "stream": ["audit"] * len(audit) + ["active"] * len(active),
        "draws": [*hits, *([[]] * len(active))],
        "inclusion": [*_inclusion(documents, len(audit), survey, design), *([None] * len(active))],
        "content_hash": hexadecimal(hash_texts(canonical)).to_pylist(),
        "informative": [*([None] * len(audit)), *informative.tolist()],
        "gold_label": [None] * documents.num_rows,
    }
    if gold is not None:
        rows = _with_gold(rows, gold, design, salt)
    return _mixed(rows, salt).replace_schema_metadata({METADATA: _about(release, design, salt, survey)})


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
    about = {
        "format": FORMAT,
        "release": release.name,
        "manifest_sha256": release.manifest_sha256,
        "by": design.by,
        "population": design.population,
        "documents": survey.documents,
        "tokens": survey.tokens,
        "n": len(survey.chosen),
        "first_look": design.first_look,
        "salt": salt,
    }
    return orjson.dumps(about, option=orjson.OPT_SORT_KEYS)


def _survey(release: Released, design: Design, salt: str) -> _Survey:
    survey = _Survey()
    best, seeds = draws.no_best(design.n), draws.seeds(design.n, salt)
    u, high, low = (np.zeros(0, np.uint64) for _ in range(3))
    at = np.zeros(0, np.int64)
    for first, batch in release.batches(FACTS):
        rows = _population(batch, design)
        batch, position = batch.take(pa.array(rows)), first + rows
        ids, n_tokens = _ids(batch), batch["n_tokens"].to_numpy()
        survey.documents += len(rows)
        survey.tokens += int(n_tokens.sum(dtype=np.int64))
        _add_sources(survey.sources, batch)
        if design.by == "tokens":
            draws.race(best, ids, n_tokens.astype(np.float64), position, seeds)
            continue
        place = sampling.places(ids, salt, "audit")
        u, high, low, at = np.r_[u, place.u], np.r_[high, place.high], np.r_[low, place.low], np.r_[at, position]
        first_in_order = draws.smallest(sampling.Place(u, high, low), design.n)
        u, high, low, at = (part[first_in_order] for part in (u, high, low, at))
    survey.chosen = best.at[best.at >= 0] if design.by == "tokens" else at
    return survey


def _population(batch: pa.RecordBatch, design: Design) -> npt.NDArray[np.int64]:
    """The rows of a batch that are audited."""
    if design.population == "all":
        return np.arange(batch.num_rows)
    declared = pc.is_in(batch["origin_basis"], pa.array(contracts.DECLARED_BASES))
    return np.flatnonzero(~declared.to_numpy(zero_copy_only=False))


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
        if design.population == "undeclared":
            what, hint = "no document of undeclared origin", "; --all audits declared ones as well"
        raise AuditError(f"the release keeps {what}, so there is nothing to audit{hint}")
    if not len(survey.chosen):
        raise AuditError("no document has a token, so none can be drawn by tokens; draw by documents")
    if design.first_look is not None and not 0 < design.first_look < len(survey.chosen):
        raise AuditError(f"a first look after {design.first_look} of {len(survey.chosen)} draws is none")


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
    if design.by == "documents":
        return [n / survey.documents] * audited
    share = documents["n_tokens"].to_numpy()[:audited] / survey.tokens
    return (-np.expm1(n * np.log1p(-np.minimum(share, 1 - 1e-16)))).tolist()


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
    names = [hash_ or content for hash_, content in zip(rows["doc_id"], rows["content_hash"], strict=True)]
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
