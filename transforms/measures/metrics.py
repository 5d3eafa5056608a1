"""Tally -> METRICS: the arithmetic behind every number of a release.

The synthetic share has a file of its own, `synthetic_share.py`.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from expectations import contracts
from expectations.metrics.declared import find
from expectations.metrics.row import Row
from expectations.wording import TOKENS, WORDS, plural
from transforms.detector.detector import Detector
from transforms.engine.staged import Staged
from transforms.engine.threads import spread
from transforms.exclusions.contamination import Items
from transforms.kernels.choosing import evidence
from transforms.kernels.statistics import diversity, hill
from transforms.kernels.text import paragraphs, personal
from transforms.kernels.text.prose import KINDS
from transforms.measures.against_reference import reference_rows
from transforms.measures.bursts import burst_rows
from transforms.measures.duplicates_left import residual_rows
from transforms.measures.excess_words import excess_rows
from transforms.measures.false_alarms import false_alarms
from transforms.measures.items_found import found_rows
from transforms.measures.lineage import lineage_rows
from transforms.measures.reference import NO_REFERENCE, AskedReference, Reference
from transforms.measures.sample import sample_rows
from transforms.measures.scores import score_rows
from transforms.measures.sites import site_rows
from transforms.measures.subwords import subword_rows
from transforms.measures.synthetic_share import REASONS_OF, cross_check, known_of, shares
from transforms.measures.tally import DUPLICATE_OR_EMPTY, GROUP, Tally, total_of
from transforms.measures.unread_input import NotRead, loss_rows, unread_rows
from transforms.measures.vocabulary import lexical_rows
from transforms.structures.find import NO_SYSTEMS, Systems
from transforms.structures.shares import structure_rows


@dataclasses.dataclass(frozen=True)
class MeasureConfig(Staged):
    """What a recipe says that decides how a corpus is measured.

    Attributes:
      detector: a folder or file; None: the bundled one. Its calibration turns scores into shares.
      cross_check: another detector; None: there is no other.
      systems: of structures that were looked for.
      undecided_below: up to which similarity to its survivor an estimate does not decide whether a document is a duplicate.
      near: similarity of near duplicates.
      reference: what the release is held against, if anything.
      unread: what lies beside the input and is not read.
      against: evaluation sets that were looked for, if any.
      unit: what tokens are called: "words" without a tokenizer.
      lineage: whether what synthetic text was made of is counted.
      mask: kinds of personal data that are masked in the release.
    """

    detector: str | None = None
    cross_check: str | None = None
    systems: Systems = NO_SYSTEMS
    undecided_below: float = 0.0
    near: float = 0.8
    reference: AskedReference = NO_REFERENCE
    unread: tuple[NotRead, ...] = ()
    against: Items | None = None
    unit: str = WORDS
    lineage: bool = False
    mask: tuple[personal.Kind, ...] = ()


def metrics_table(
    tally: Tally,
    sources: tuple[str, ...],
    detector: Detector,
    config: MeasureConfig = MeasureConfig(),
    checker: Detector | None = None,
    reference: Reference | None = None,
) -> pa.RecordBatch:
    """All measures of a corpus, as METRICS: all but what the ratio came to, and phrases.

    Args:
      tally: of every document that was read.
      sources: names, by number.
      detector: the one that `config` names.
      config: how it is measured.
      checker: the cross-check that `config` names, if it does.
      reference: what `config.reference` found for this corpus, if anything.
    """
    parts: tuple[Iterable[Row], ...] = (
        sample_rows(tally.sampled, tally.sample_below, sources),  # they take longest
        _counts(tally, sources),
        _quarantine(tally, sources),
        _not_understood(tally, sources),
        unread_rows(config.unread, sources),
        shares(tally, sources, detector),
        (site_rows(tally.sites, known_of(tally, detector)) if tally.addresses else ()),
        cross_check(tally, sources, detector, checker),
        score_rows(tally, detector),
        false_alarms(tally, detector),
        _conflicts(tally, sources),
        _credentials(tally, sources),
        _duplicates(tally, sources, config.undecided_below),
        residual_rows(tally.kin, sources, config.near),
        _paragraphs(tally, sources),
        _concentration(tally, sources, config.unit),
        (_subwords(tally) if config.unit == WORDS else ()),
        _by_licence_and_year(tally),
        _personal(tally, sources, config.mask),
        _text(tally, config.unit),
        lexical_rows(tally.ngrams, sources),
        excess_rows(tally.dated_words, [tally.heads[key] for key in sorted(tally.heads)]),
        reference_rows(tally, sources, reference),
        structure_rows(tally.patterns, config.systems),
        burst_rows(tally.bursts),
        lineage_rows(tally.lineage),
        _kinds(tally),
        found_rows(tally.contaminated, config.against, sources),
    )
    rows = [row for part in spread(list, iter(parts)) for row in part]  # those that take long, beside each other
    return in_table(rows, config.unit)


NOTHING = "there is no document of the kind to measure it on"
OF_DOCUMENTS = {
    "duplicates",
    "length",
    "lexical",
    "lm",
    "origin",
    "paragraphs",
    "repetition",
    "semantic",
    "synthetic_share",
    "topic",
}


def in_table(rows: list[Row], unit: str = WORDS) -> pa.RecordBatch:
    """Rows as METRICS, sorted; what a row does not say is overall, of the release, without bounds, in its metric's unit.

    `unit` is what tokens are called: "words" without a tokenizer.
    """
    template = dict.fromkeys(contracts.METRICS.schema.names) | {"stage": "after", "slice_kind": "overall", "slice": ""}
    whole: list[dict[str, Any]] = [{**template, "unit": find(row["metric"]).unit, **row} for row in rows]
    unsaid = sorted({row["metric"] for row in whole if not row["unit"]})
    assert not unsaid, f"neither expectations/metrics/ nor the row says the unit of {', '.join(unsaid)}"
    for row in whole:
        row["unit"] = unit if row["unit"] == TOKENS else row["unit"]
    whole.sort(key=lambda row: tuple(str(row[k]) for k in ("metric", "stage", "slice_kind", "slice")))
    for row in whole:
        for name in ("value", "lower", "upper"):
            row[name] = None if row[name] is None or not np.isfinite(row[name]) else float(row[name])
        said = row["note"] or ""
        if row["value"] is None and row["n"] == 0 and (not said or row["metric"].split(".")[0] in OF_DOCUMENTS):
            # Where there is a number a note says what it is; where there is none, why.
            row["note"] = said if said.startswith(("no ", "nothing ")) else NOTHING
    return contracts.METRICS.batch({name: [row[name] for row in whole] for name in template})


def _words(name: str, value: int | str, sources: tuple[str, ...]) -> str:
    if name == "source":
        return sources[int(value)]
    if name == "origin":
        return contracts.ORIGINS[int(value)]
    if name == "origin_basis":
        return contracts.BASES[int(value)]
    return str(value)


def _counts(tally: Tally, sources: tuple[str, ...]) -> Iterator[Row]:
    total = sum(tally.groups.values())
    for metric in ("documents", "tokens"):
        for stage, where in (("before", {}), ("after", {"reason": 0})):
            # A document of the release is one row of it, however often it counts; its tokens count as often as it does.
            counts = tally.groups if metric == "documents" else tally.counts(metric, stage)
            row: Row = {"metric": metric, "stage": stage, "n": total}
            yield row | {"value": total_of(counts, **where)}
            for name in ("source", "language", "origin", "generator"):
                values = {key[GROUP.index(name)] for key in counts} - {""}
                if name == "source" and stage == "before":
                    values = set(range(len(sources)))  # a source that gave nothing is not left out
                for value in values:
                    n = total_of(counts, **where, **{name: value})
                    yield row | {"slice_kind": name, "slice": _words(name, value, sources), "value": n}
            for first, second in (("source", "origin"), ("origin", "origin_basis")):
                at = GROUP.index(first), GROUP.index(second)
                for pair in {(key[at[0]], key[at[1]]) for key in counts}:
                    n = total_of(counts, **where, **{first: pair[0], second: pair[1]})
                    slice_ = f"{_words(first, pair[0], sources)}/{_words(second, pair[1], sources)}"
                    kind = "source_origin" if first == "source" else "origin_basis"
                    yield row | {"slice_kind": kind, "slice": slice_, "value": n}
    for number, fingerprint in tally.fingerprints.items():
        yield Row(
            metric="input.fingerprint",
            stage="before",
            slice_kind="source",
            slice=sources[number],
            value=None,
            unit="hash",
            n=total_of(tally.groups, source=number),
            note=f"{fingerprint:016x}",
        )
    yield {"metric": "documents.with_address", "stage": "before", "n": total, "value": tally.addresses}
    yield from _no_prose(tally)
    dropped: Row = {"metric": "documents.dropped", "n": total}
    yield dropped | {"value": total - total_of(tally.groups, reason=0)}
    for number, reason in enumerate(contracts.REASONS[1:], 1):
        yield dropped | {"slice_kind": "reason", "slice": reason, "value": total_of(tally.groups, reason=number)}
        for source in {key[0] for key in tally.groups}:
            n = total_of(tally.groups, reason=number, source=source)
            if n:
                name = f"{sources[int(source)]}/{reason}"
                yield dropped | {"slice_kind": "source_reason", "slice": name, "value": n}
    scored = total_of(tally.groups, origin_basis=contracts.BASIS_DETECTOR)
    undeclared = scored + total_of(tally.groups, origin_basis=contracts.BASIS_NONE)
    yield Row(
        metric="origin.scored_fraction",
        stage="before",
        value=scored / undeclared if undeclared else None,
        n=undeclared,
        note="of the documents whose origin nothing else settles",
    )


def _no_prose(tally: Tally) -> Iterator[Row]:
    """Documents that are no prose, and so have no score, by kind."""
    for stage, reasons in (("before", range(len(contracts.REASONS))), ("after", (0,))):
        found = [sum(tally.text_kinds[kind, reason] for reason in reasons) for kind in range(1, len(KINDS))]
        row: Row = {"metric": "documents.no_prose", "stage": stage, "n": sum(tally.groups.values())}
        yield row | {"value": sum(found)}
        for name, n in zip(KINDS[1:], found, strict=True):
            yield row | {"slice_kind": "text_kind", "slice": name, "value": n}


def _quarantine(tally: Tally, sources: tuple[str, ...]) -> Iterator[Row]:
    bad = sum(tally.quarantined.values())
    row: Row = {"stage": "before", "n": bad + sum(tally.groups.values())}
    yield row | {"metric": "documents.quarantined", "value": bad}
    by_reason: Counter[str] = Counter()
    for (_, reason), n in tally.quarantined.items():
        by_reason[reason] += n
    for reason, n in by_reason.items():
        if n:
            yield row | {"metric": "documents.quarantined", "slice_kind": "reason", "slice": reason, "value": n}
    documents = {number: total_of(tally.groups, source=number) for number in range(len(sources))}
    yield from loss_rows(tally.inputs, documents, sources)


def _not_understood(tally: Tally, sources: tuple[str, ...]) -> Iterator[Row]:
    """Declared values that say nothing to us: an origin that is no word for one, a date that is none."""
    total = sum(tally.groups.values())
    row: Row = {"metric": "input.not_understood", "stage": "before", "n": total}
    yield row | {"value": sum(count for count, _ in tally.not_understood.values())}
    for (source, field), (count, example) in sorted(tally.not_understood.items()):
        one: Row = {"slice_kind": "source_field", "slice": f"{sources[source]}/{field}", "value": count}
        yield row | one | {"n": total_of(tally.groups, source=source), "note": f"for example {example!r}"}


def _conflicts(tally: Tally, sources: tuple[str, ...]) -> Iterator[Row]:
    """Documents about which two disagree, of those that are not empty, by source and by who says what."""
    note = "one says human and another synthetic; a detector that says human contradicts nobody"
    for stage, reasons in (("before", REASONS_OF["read"]), ("after", {0})):
        found = {key: n for key, n in tally.conflicts.items() if key[2] in reasons}
        slices = [("overall", "", set(range(len(sources))), set(range(len(evidence.CONFLICTS))))]
        slices += [("source", name, {number}, slices[0][3]) for number, name in enumerate(sources)]
        slices += [
            ("conflict", evidence.CONFLICT_WORDS[kind], slices[0][2], {kind})
            for kind in sorted({kind for _, kind, _ in found})
        ]
        for slice_kind, name, members, kinds in slices:
            n = total_of(tally.groups, source=members, reason=reasons)
            value = sum(m for (source, kind, _), m in found.items() if source in members and kind in kinds)
            row: Row = {"stage": stage, "slice_kind": slice_kind, "slice": name, "n": n, "note": note}
            yield row | {"metric": "origin.conflicts", "value": value}
            if n or slice_kind == "overall":
                yield row | {"metric": "origin.conflict_rate", "value": value / n if n else None}


def _credentials(tally: Tally, sources: tuple[str, ...]) -> Iterator[Row]:
    """Documents whose text has a content credential: in all, by what it says, and by source where there are some."""
    note = "C2PA manifests in texts, not verified; they stay in the release; none is looked for with evidence.credentials: false"
    for stage, reasons in (("before", set(range(len(contracts.REASONS)))), ("after", {0})):
        found = {key: n for key, n in tally.credentials.items() if key[2] in reasons}
        n = total_of(tally.groups, reason=reasons)
        row = Row(metric="credentials.documents", stage=stage, note=note)
        yield row | {"value": sum(found.values()), "n": n}
        for at, kind, names in ((1, "credential", evidence.CREDENTIALS), (0, "source", sources)):
            for number in sorted({key[at] for key in found}):
                value = sum(m for key, m in found.items() if key[at] == number)
                of = total_of(tally.groups, reason=reasons, source=number) if kind == "source" else n
                yield row | {"slice_kind": kind, "slice": names[number], "value": value, "n": of}


def _duplicates(tally: Tally, sources: tuple[str, ...], undecided_below: float) -> Iterator[Row]:
    number = {reason: contracts.REASONS.index(reason) for reason in DUPLICATE_OR_EMPTY}
    n = sum(tally.groups.values()) - total_of(tally.groups, reason=number["empty_text"])
    row: Row = {"stage": "before", "n": n}
    for name in ("exact", "near"):
        found = total_of(tally.groups, reason=number[f"{name}_duplicate"])
        yield row | {"metric": f"duplicates.{name}_fraction", "value": found / n if n else None}
    removed = {number[reason] for reason in contracts.DUPLICATE}
    found = total_of(tally.groups, reason=removed)
    yield row | {"metric": "duplicates.removed_fraction", "value": found / n if n else None}
    for source in sorted({int(key[0]) for key in tally.groups}):
        own = total_of(tally.groups, source=source) - total_of(tally.groups, source=source, reason=number["empty_text"])
        found = total_of(tally.groups, source=source, reason=removed)
        yield row | Row(
            metric="duplicates.removed_fraction",
            slice_kind="source",
            slice=sources[source],
            n=own,
            value=found / own if own else 0.0,
        )
    yield from _likeness(tally, row, undecided_below)
    sizes = diversity.merge(tally.clusters)
    largest = int(sizes.types.max()) if len(sizes.types) else 1
    yield row | {"metric": "duplicates.largest_cluster", "value": largest if n else None}
    yield row | {"metric": "duplicates.clusters", "value": int(sizes.documents.sum())}
    for size, clusters in zip(sizes.types.tolist(), sizes.documents.tolist(), strict=True):
        label = f"{size:09d}"  # sorts by size
        yield row | {"metric": "duplicates.clusters", "slice_kind": "cluster_size", "slice": label, "value": clusters}


def _likeness(tally: Tally, row: Row, undecided_below: float) -> Iterator[Row]:
    """How like their survivors the near duplicates are, and what met in one cluster."""
    near = int(tally.similarity.sum())
    values = np.arange(101) / 100
    q = diversity.quantiles(np.arange(101), tally.similarity, [0.01, 0.05, 0.5]) if near else [None] * 3
    for name, value in zip(("q01", "q05", "q50"), q, strict=True):
        yield row | Row(
            metric=f"duplicates.similarity_{name}",
            n=near,
            note="of near duplicates, Jaccard to the survivor, rounded down to hundredths",
            value=None if value is None else float(value) / 100,
        )
    below = math.ceil(100 * undecided_below - 1e-9)  # in hundredths, as they are counted
    undecided = int(tally.similarity[:below].sum())
    note = f"similarity under {below / 100:.2f}, within three standard errors of the limit"
    yield row | Row(metric="duplicates.undecided", n=near, value=undecided, note=note if below else "the texts decided")
    for low in range(0, 100, 5):
        count = int(tally.similarity[low : low + 5 + (low == 95)].sum())
        if count:
            yield row | Row(
                metric="duplicates.by_similarity",
                slice_kind="similarity",
                slice=f"{values[low]:.2f}-{values[low + 5]:.2f}",
                value=count,
                n=near,
            )
    crossed, lost = tally.crossed.tolist()
    yield row | Row(
        metric="duplicates.cross_origin", value=crossed, note="clusters with a human and a synthetic member"
    )
    yield row | Row(metric="duplicates.cross_origin_lost", value=lost, note="those of them whose survivor is not human")


def _paragraphs(tally: Tally, sources: tuple[str, ...]) -> Iterator[Row]:
    what = f"paragraphs of {paragraphs.MIN_TOKENS} words or more"
    for stage, where in (("before", {}), ("after", {"reason": 0})):
        all_sources = set(range(len(sources)))
        for kind, name, members in (
            ("overall", "", all_sources),
            *(("source", name, {number}) for number, name in enumerate(sources)),
        ):
            repeats = [sums for (at, number), sums in tally.repeats.items() if at == stage and number in members]
            repeated, removed, words = (sum(int(sums[i]) for sums in repeats) for i in (1, 2, 3))
            part = Row(
                stage=stage, slice_kind=kind, slice=name, note=what, n=total_of(tally.groups, source=members, **where)
            )
            nothing: Row = {"value": None, "note": "no text is left to measure it on"}
            if words or kind == "overall":
                value: Row = {"value": repeated / words} if words else nothing
                yield part | {"metric": "paragraphs.repeated_within"} | value
            read = words + removed
            if read or kind == "overall":
                value = {"value": removed / read} if read else nothing
                yield part | {"metric": "paragraphs.removed_tokens"} | value
        counts = paragraphs.merge(tally.paragraph_counts.get(stage, []))
        found = sum(int(sums[0]) for (at, _), sums in tally.repeats.items() if at == stage)
        row: Row = {
            "stage": stage,
            "n": total_of(tally.groups, **where),
            "note": f"{what}; from {counts.documents.sum():,} of {found:,} that were sampled by their hash: of the few "
            "that are in very many documents, one may be missed",
        }
        yield row | {"metric": "paragraphs.repeated_across", "value": paragraphs.repeated_across(counts)}
        most = int(counts.documents.max()) if len(counts.documents) else None
        yield row | {"metric": "paragraphs.most_documents", "value": most}


def _kinds(tally: Tally) -> Iterator[Row]:
    """Human text that is new, and synthetic text by kind."""
    counts, n = tally.counts("tokens", "after"), total_of(tally.groups, reason=0)
    tokens = total_of(counts, reason=0)
    note = "human, and in no release of dedup.against" if tokens else "nothing is released"
    fresh = Row(n=n, note=note)
    yield fresh | {"metric": "tokens.fresh_human", "value": tally.fresh_human}
    yield fresh | {"metric": "fresh_human.share", "value": tally.fresh_human / tokens if tokens else None}
    for kind, found in sorted(tally.kinds.items()):
        yield Row(metric="kind.share", slice_kind="kind", slice=kind, value=found / tokens, n=n)


def _subwords(tally: Tally) -> Iterator[Row]:
    """What a model would count, by the languages of all that was read and of the release."""
    words: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    for stage, found in words.items():
        for key, n in tally.counts("tokens", stage).items():
            if stage == "before" or key[GROUP.index("reason")] == 0:
                found[str(key[GROUP.index("language")])] += n
    yield from subword_rows(words, sum(tally.groups.values()))


def _by_licence_and_year(tally: Tally) -> Iterator[Row]:
    """Tokens of the release by licence, and by the year of their documents."""
    n = total_of(tally.groups, reason=0)
    for kind, counts in (("licence", tally.licences), ("year", tally.years)):
        for name, tokens in sorted(counts.items()):
            yield {"metric": "tokens", "slice_kind": kind, "slice": name, "value": tokens, "n": n}


def _personal(tally: Tally, sources: tuple[str, ...], mask: tuple[personal.Kind, ...]) -> Iterator[Row]:
    """What looks personal, by kind and source; nothing if it was not counted. Of the release what is left in its text."""
    note = f"found by pattern and checksum, at most {personal.MOST:,} of a kind in a document; names are not looked for"
    whose = [("", set(range(len(sources)))), *((name, {number}) for number, name in enumerate(sources))]
    for stage in ("before", "after") if tally.personal else ():
        where = {} if stage == "before" else {"reason": 0}
        for name, members in whose:
            parts = [n for (source, kept), n in tally.personal.items() if source in members and (kept or not where)]
            sums = np.sum([np.zeros((2, 3, len(personal.KINDS)), np.int64), *parts], axis=0)
            documents, found = sums[:, 2 if where else 0].tolist()
            n = total_of(tally.groups, source=members, **where)
            for kind, having, times, masked in zip(personal.KINDS, documents, found, sums[1, 1].tolist(), strict=True):
                row: Row = {
                    "stage": stage,
                    "n": n,
                    "note": note,
                    "slice": f"{name}/{kind}" if name else kind,
                    "slice_kind": "source_personal" if name else "personal",
                }
                yield row | {"metric": "personal.found", "value": times}
                yield row | {"metric": "personal.rate", "value": having / n if n else None}
                if kind in mask and where:
                    yield row | {"metric": "personal.masked", "value": masked, "note": "placeholders in their place"}


def _concentration(tally: Tally, sources: tuple[str, ...], unit: str) -> Iterator[Row]:
    """How much of the release's text is of one source, language, licence, year or generator."""
    row: Row = {"n": total_of(tally.groups, reason=0)}
    found: dict[str, Counter[str]] = {name: Counter() for name in ("source", "language", "generator")}
    for key, n in tally.counts("tokens", "after").items():
        if key[GROUP.index("reason")] != 0:
            continue
        for name in ("source", "language", "generator"):
            if key[GROUP.index(name)] != "":
                found[name][_words(name, key[GROUP.index(name)], sources)] += n
    for name, tokens in (found | {"year": tally.years, "licence": tally.licences}).items():
        total = sum(tokens.values())
        shares = np.array(sorted(n / total for n in tokens.values() if n)) if total else np.zeros(0)
        of = f"of synthetic {unit}" if name == "generator" else f"of {unit}"
        note = of if total else f"nothing is released that has a {name}: it is a share {of}"
        yield row | {"metric": f"{name}.max_share", "value": shares.max() if len(shares) else None, "note": note}
        # Hill numbers: order 1 is e to the Shannon entropy, order 2 the inverse of the Herfindahl index (Hill 1973).
        for metric, value in zip(("effective_number", "effective_number_2"), hill.of_shares(shares), strict=False):
            yield row | {"metric": f"{name}.{metric}", "value": value, "note": note}


def _text(tally: Tally, unit: str) -> Iterator[Row]:
    kept = total_of(tally.groups, reason=0)
    keys = [key for key in sorted(tally.heads) if key < tally.sample_below]
    ratio = diversity.compression_ratio([tally.heads[key] for key in keys])
    note = f"zlib, first {diversity.HEAD_CHARS} characters of {plural(len(keys), 'sampled document')}"
    yield {"metric": "repetition.compression_ratio", "value": ratio, "n": len(keys), "note": note}
    lengths = diversity.merge(tally.lengths)
    q = (0.05, 0.25, 0.5, 0.75, 0.95)
    values: Iterable[float] = diversity.quantiles(lengths.types.astype(np.int64), lengths.documents, list(q))
    for fraction, value in zip(q, values, strict=True):
        name = f"length.q{round(100 * fraction):02d}"
        yield {"metric": name, "value": value, "n": kept}
    yield Row(
        metric="length.effective_documents",
        value=None if tally.more else _kish(lengths),
        n=kept,
        note="documents are copied" if tally.more else f"(sum of {unit})^2 / sum of their squares",
    )


def _kish(lengths: diversity.TypeCounts) -> float | None:
    """How many documents of equal length the tokens are worth (Kish 1965); None if there are none."""
    tokens, documents = lengths.types.astype(np.float64), lengths.documents.astype(np.float64)
    squares = float(tokens**2 @ documents)
    return float(tokens @ documents) ** 2 / squares if squares else None
