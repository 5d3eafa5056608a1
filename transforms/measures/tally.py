"""What is counted of a corpus: one mergeable accumulator for every measure.

Each field is a sum, an exact histogram, or a bottom-k sample by hash, so tallies of parts merge into the tally of the
whole in any order (the laws are tested).
"""

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.exclusions.personal_data import unpack
from transforms.kernels.choosing import evidence
from transforms.kernels.similarity.duplicate_rate import KinByStage
from transforms.kernels.statistics import diversity, share_bound, vocabulary
from transforms.kernels.statistics import structures as cores
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.kernels.text import paragraphs
from transforms.kernels.text.columns import distinct_rows, first_half, halves, joined, numbers
from transforms.measures import bursts, items_found, lineage, sample, sites
from transforms.measures import duplicates_left as residual
from transforms.measures.bounded import BoundedPart
from transforms.measures.bursts import Dated
from transforms.measures.lineage import Lineage
from transforms.measures.unread_input import Inputs
from transforms.signals.populations import FOLDS, STAGES, folds, how_far, whose

GROUP = ("source", "language", "generator", "origin", "origin_basis", "reason", "detector_band")
SKETCHES = tuple(f"ngrams_{order}" for order in diversity.ORDERS)
# Words and n-grams by fold as well, which says how sure a number is, are counted in so small a part of hash space.
FOLDED_BELOW = (1 << 30, 1 << 31, 1 << 30)
PARAGRAPHS = ("paragraphs", "n_paragraphs", "repeated_tokens", "removed_tokens", "n_words")
NEEDED = [
    "content_hash",
    "url_hash",
    "host",
    "created",
    "language",
    "generator",
    "kind",
    "licence",
    "personal",
    "not_understood",
    "detector_score",
    "check_score",
    "check_band",
    "text_kind",
    *SKETCHES,
    "head",
    "first_words",
    *PARAGRAPHS,
]

Key = tuple[int | str, ...]


@dataclasses.dataclass
class Tally:
    """Counts of decided documents.

    Attributes:
      groups, group_tokens: documents and tokens by `GROUP`; reason 0 is kept.
      more, more_tokens: likewise what kept documents add by counting more than once.
      conflicts: documents by (source, number in `evidence.CONFLICTS`, reason), of those whose evidence disagrees.
      credentials: documents by (source, number in `evidence.CREDENTIALS`, reason), of those whose text has a credential.
      dated: by (source, language, reason): [documents, tokens] times `machine_prior`, of those that are human by their date.
      more_dated: likewise what kept documents add by counting more than once.
      late: by (source, language, reason): [documents, tokens] that are out of the detector's time, then the same with every copy.
      years: tokens of kept documents by year of `created`; "unknown" where there is none.
      licences: tokens of kept documents by licence, with every copy.
      scores: by (source, language, reason, band): [documents, tokens] x score bins, of documents whose origin rests on the
        detector.
      more_scores: likewise what kept documents add by counting more than once.
      own: by (reason, band): documents x score bins, of those that are known to be human.
      squares: by (source, language, reason): of the same documents, the sum of their squared tokens.
      checked: by (source, reason, band): of the same documents, their scores by the second detector.
      ngrams: by order, documents of n-grams by (how far, whose, source, language); a list of parts, compacted now and then.
      folded: the same of fewer types, by fold too.
      dated_words: documents of words of kept documents by (year,), of those that have a date.
      lengths: kept documents by number of tokens, likewise.
      clusters: clusters by size, likewise.
      similarity: near duplicates by their similarity to the survivor, in hundredths, rounded down.
      crossed: clusters with human and with synthetic members, and those of them whose survivor is not human.
      addresses: documents that have one.
      text_kinds: documents that are no prose by (kind, reason); reason 0 is kept.
      heads: of the kept documents with the smallest sample keys: key -> first characters.
      sampled: of what dedup kept, documents with the smallest sample keys, by how far they came; a list of parts.
      kin: documents in groups that share a component of their signatures: transforms/measures/duplicates_left.py.
      sites: hosts of documents by what is known of their origin, a list of parts: transforms/measures/sites.py.
      sample_below: only keys below this were sampled everywhere.
      fingerprints: by source, the sum of its document ids mod 2^64: the same documents in other files have the same.
      paragraph_counts: by stage, document counts of sampled paragraphs, likewise; all documents before, kept ones after.
      repeats: by (stage, source): [different paragraphs of each document, words in those that repeat within theirs,
        words in those that were removed, words of all that is left].
      patterns: by (system, how far the documents came, whose they are), patterns of structures: transforms/structures/shares.py.
      not_understood: declared values that say nothing to us by (source, field): how many, and the first of them by its letters.
      quarantined: records by (source, reason); of a row that stands for nobody knows how many, one.
      inputs: what of the files could not be read: transforms/measures/unread_input.py.
      personal: by (source, whether kept): documents that have some, how many they have; as read, masked and left, of each kind;
        where it was counted. int64[2, 3, KINDS].
      lineage: from what synthetic text was made: transforms/measures/lineage.py.
      bursts: sites and dates: transforms/measures/bursts.py.
      fresh_human: tokens of the release, with every copy, that are human and in no earlier release.
      kinds: tokens of the release, with every copy, that are synthetic, by kind.
      contaminated: what was found of evaluation sets: transforms/measures/items_found.py.
    """

    groups: collections.Counter[Key] = dataclasses.field(default_factory=collections.Counter)
    group_tokens: collections.Counter[Key] = dataclasses.field(default_factory=collections.Counter)
    conflicts: collections.Counter[tuple[int, int, int]] = dataclasses.field(default_factory=collections.Counter)
    credentials: collections.Counter[tuple[int, int, int]] = dataclasses.field(default_factory=collections.Counter)
    dated: dict[Key, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    more_dated: dict[Key, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    late: dict[Key, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    more: collections.Counter[Key] = dataclasses.field(default_factory=collections.Counter)
    more_tokens: collections.Counter[Key] = dataclasses.field(default_factory=collections.Counter)
    years: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    licences: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    scores: dict[Key, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    more_scores: dict[Key, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    own: dict[Key, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    squares: collections.Counter[Key] = dataclasses.field(default_factory=collections.Counter)
    checked: dict[tuple[int, int, int], npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    ngrams: dict[int, list[Vocabulary]] = dataclasses.field(default_factory=dict)
    folded: dict[int, list[Vocabulary]] = dataclasses.field(default_factory=dict)
    dated_words: list[Vocabulary] = dataclasses.field(default_factory=list)
    lengths: list[diversity.TypeCounts] = dataclasses.field(default_factory=list)
    clusters: list[diversity.TypeCounts] = dataclasses.field(default_factory=list)
    similarity: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(101, np.int64))
    crossed: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(2, np.int64))
    addresses: int = 0
    text_kinds: collections.Counter[tuple[int, int]] = dataclasses.field(default_factory=collections.Counter)
    heads: dict[int, str] = dataclasses.field(default_factory=dict)
    sampled: list[pa.RecordBatch] = dataclasses.field(default_factory=list)
    kin: list[KinByStage] = dataclasses.field(default_factory=list)
    sites: list[BoundedPart] = dataclasses.field(default_factory=list)
    sample_below: int = 2**64 - 1
    fingerprints: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    paragraph_counts: dict[str, list[paragraphs.ParagraphCounts]] = dataclasses.field(default_factory=dict)
    repeats: dict[tuple[str, int], npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    patterns: dict[cores.Population, cores.PatternCounts] = dataclasses.field(default_factory=dict)
    not_understood: dict[tuple[int, str], tuple[int, str]] = dataclasses.field(default_factory=dict)
    quarantined: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)
    inputs: Inputs = dataclasses.field(default_factory=Inputs)
    personal: dict[tuple[int, bool], npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    lineage: Lineage = dataclasses.field(default_factory=Lineage)
    bursts: Dated = dataclasses.field(default_factory=Dated)
    fresh_human: int = 0
    kinds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    contaminated: items_found.ItemsFound = dataclasses.field(default_factory=items_found.ItemsFound)

    def counts(self, unit: str, stage: str) -> collections.Counter[Key]:
        """Documents or tokens by `GROUP`: all that was read once, what is released with every copy."""
        one, more = (self.groups, self.more) if unit == "documents" else (self.group_tokens, self.more_tokens)
        return one if stage == "before" else one + more


def total_of(counts: collections.Counter[Key], **where: object) -> int:
    """The sum of the groups that match; a value may be a set of accepted ones."""
    return sum(n for _, n in _matching(counts, where))


def totals_by(counts: collections.Counter[Key], name: str, **where: object) -> collections.Counter[int | str]:
    """The sums of the groups that match, by what one of `GROUP` is in them."""
    at = GROUP.index(name)
    sums: collections.Counter[int | str] = collections.Counter()
    for key, n in _matching(counts, where):
        sums[key[at]] += n
    return sums


def _matching(counts: collections.Counter[Key], where: dict[str, object]) -> Iterable[tuple[Key, int]]:
    found: Iterable[tuple[Key, int]] = counts.items()
    for name, value in where.items():
        at, accepted = GROUP.index(name), value if isinstance(value, set) else {value}
        found = [one for one in found if one[0][at] in accepted]
    return found


def merge(tallies: list[Tally]) -> Tally:
    """The tally of all documents of the parts."""
    total = Tally()
    for tally in tallies:
        total.groups.update(tally.groups)
        total.group_tokens.update(tally.group_tokens)
        total.more.update(tally.more)
        total.more_tokens.update(tally.more_tokens)
        total.years.update(tally.years)
        total.licences.update(tally.licences)
        total.squares.update(tally.squares)
        total.kinds.update(tally.kinds)
        total.fresh_human += tally.fresh_human
        total.quarantined.update(tally.quarantined)
        total.inputs.update(tally.inputs)
        total.conflicts.update(tally.conflicts)
        total.credentials.update(tally.credentials)
        total.not_understood = _with_more(total.not_understood, tally.not_understood)
        for source, fingerprint in tally.fingerprints.items():
            total.fingerprints[source] = (total.fingerprints[source] + fingerprint) % 2**64
        for name in ("scores", "more_scores", "own", "dated", "more_dated", "late", "personal"):
            own, theirs = getattr(total, name), getattr(tally, name)
            for key, bins in theirs.items():
                own[key] = own[key] + bins if key in own else bins
        for band, bins in tally.checked.items():
            total.checked[band] = total.checked[band] + bins if band in total.checked else bins
        for whole, part in ((total.ngrams, tally.ngrams), (total.folded, tally.folded)):
            for order, vocabularies in part.items():
                whole.setdefault(order, []).extend(vocabularies)
        for stage, repeated in tally.paragraph_counts.items():
            total.paragraph_counts.setdefault(stage, []).extend(repeated)
        total.kin.extend(tally.kin)
        for group, sums in tally.repeats.items():
            total.repeats[group] = total.repeats[group] + sums if group in total.repeats else sums
        for population, counts in tally.patterns.items():
            known = total.patterns.get(population)
            total.patterns[population] = counts if known is None else cores.merge([known, counts])
        total.lengths.extend(tally.lengths)
        total.similarity = total.similarity + tally.similarity
        total.crossed = total.crossed + tally.crossed
        total.addresses += tally.addresses
        total.text_kinds.update(tally.text_kinds)
        total.clusters.extend(tally.clusters)
        total.heads.update(tally.heads)
        total.sampled.extend(tally.sampled)
        total.sites.extend(tally.sites)
        total.dated_words.extend(tally.dated_words)
        total.sample_below = min(total.sample_below, tally.sample_below)
    total.lineage = lineage.merge(tally.lineage for tally in tallies)
    total.bursts = bursts.merge(tally.bursts for tally in tallies)
    total.contaminated = items_found.merge(tally.contaminated for tally in tallies)
    return compact(total)


def _with_more(
    some: dict[tuple[int, str], tuple[int, str]], more: dict[tuple[int, str], tuple[int, str]]
) -> dict[tuple[int, str], tuple[int, str]]:
    """The counts of both, each with the first of its examples."""
    together = dict(some)
    for at, (count, example) in more.items():
        before, first = together.get(at, (0, example))
        together[at] = before + count, min(first, example)
    return together


def compact(tally: Tally, tightly: bool = False) -> Tally:
    """The same counts in less space: heads cut to the sample, parts merged when the tail outgrows the head, or all."""
    for vocabularies in (*tally.ngrams.values(), *tally.folded.values(), tally.dated_words):
        vocabularies[:] = vocabulary.compact(vocabularies, tightly)
    for parts in (tally.lengths, tally.clusters):
        parts[:] = diversity.fewer(parts, diversity.merge, lambda part: len(part.types), tightly)
    for counts in tally.paragraph_counts.values():
        counts[:] = diversity.fewer(counts, paragraphs.merge, lambda part: len(part.types), tightly)
    tally.sampled = sample.compact(tally.sampled, tightly)
    tally.sites = sites.SITES.compact(tally.sites, tightly)
    tally.kin = residual.compact(tally.kin, tightly)
    if len(tally.heads) > diversity.SAMPLE_DOCUMENTS:
        smallest = sorted(tally.heads)[: diversity.SAMPLE_DOCUMENTS]
        tally.heads = {key: tally.heads[key] for key in smallest}
    return tally


def ordered(tally: Tally) -> Tally:
    """The same tally, every part of it in one order, and so the same whatever the order that tallies were merged in.

    Counts are whole numbers and add up in any order, but a mapping remembers in which order its keys came, and what is
    computed from one (an entropy, a sum of shares) has its last digits from there.
    """
    tally = compact(tally, tightly=True)
    for field in dataclasses.fields(tally):
        value = getattr(tally, field.name)
        if isinstance(value, dict):
            setattr(tally, field.name, type(value)({key: value[key] for key in sorted(value)}))
    for vocabularies in (*tally.ngrams.values(), *tally.folded.values(), tally.dated_words):
        vocabularies[:] = map(vocabulary.ordered, vocabularies)
    return tally


def tally_split(decisions: pa.RecordBatch, signals: pa.Table, words_of_all: bool = True) -> Tally:
    """Count one split.

    Args:
      decisions: DECISION for every document of the split, by ordinal.
      signals: the columns `NEEDED` of the split's signals, in the same order.
      words_of_all: false: words and n-grams are counted of what the mixture drops alone (`kept_vocabularies.complete`).
    """
    tally = Tally()
    columns = {name: joined(signals[name]) for name in NEEDED}
    _count_groups(tally, decisions, columns)
    _count_evidence(tally, decisions, columns["language"])
    kept = decisions["kept"].to_numpy(zero_copy_only=False)
    reason = decisions["reason"].to_numpy()
    _count_scores(tally, decisions, columns)
    _count_known_humans(tally, decisions, columns)
    high, source = halves(decisions["doc_id"])[0], decisions["source"].to_numpy()
    for number in np.unique(source).tolist():
        tally.fingerprints[number] = int(high[source == number].sum(dtype=np.uint64))
    tally.addresses = decisions.num_rows - columns["url_hash"].null_count
    kinds = columns["text_kind"].to_numpy()
    odd = np.flatnonzero(kinds)
    tally.text_kinds = collections.Counter(zip(kinds[odd].tolist(), reason[odd].tolist(), strict=True))
    tally.not_understood = _not_understood(columns["not_understood"], source)
    _count_ngrams(tally, decisions, columns, words_of_all)
    _count_personal(tally, columns["personal"], kept, source)
    _count_paragraphs(tally, columns, kept, source)
    tally.bursts = bursts.count_split(decisions["kept"], columns["host"], columns["created"])
    tally.lengths = [diversity.count(decisions["n_tokens"].to_numpy()[kept].astype(np.uint32))]
    size = decisions["cluster_size"].to_numpy()
    _count_likeness(tally, decisions)
    dropped_earlier = np.isin(reason, [contracts.REASONS.index(r) for r in DUPLICATE_OR_EMPTY])
    tally.clusters = [diversity.count(size[~dropped_earlier & (size > 1)].astype(np.uint32))]
    keys = diversity.sample_keys(first_half(columns["content_hash"]))
    below = diversity.sample_below(keys)
    tally.sample_below = int(below)
    sampled = np.flatnonzero(kept & (keys < below))
    smallest = sampled[np.argsort(keys[sampled])][: diversity.SAMPLE_DOCUMENTS]
    tally.sites = [sites.count_split(decisions, columns["host"], columns["detector_score"])]
    tally.sampled = [sample.take(decisions, columns, keys, keys < below)]
    heads = columns["head"].take(pa.array(smallest)).to_pylist()
    tally.heads = dict(zip(keys[smallest].tolist(), heads, strict=True))
    return tally


DUPLICATE_OR_EMPTY = (*contracts.DUPLICATE, "empty_text")


def _not_understood(lines: pa.StringArray, source: npt.NDArray[np.int16]) -> dict[tuple[int, str], tuple[int, str]]:
    """By (source, field), from lines of `field: value`, one or more a document."""
    said = lines.is_valid()
    values = pc.split_pattern(lines.filter(said), "\n")
    of_source = pa.array(source).filter(said).take(pc.list_parent_indices(values))
    parts = pc.extract_regex(values.flatten(), r"(?s)^(?P<field>\w+): (?P<value>.*)$")
    table = pa.table({"source": of_source, **dict(zip(("field", "value"), parts.flatten(), strict=True))})
    groups = table.group_by(["source", "field"]).aggregate([("value", "count"), ("value", "min")]).to_pylist()
    return {(row["source"], row["field"]): (row["value_count"], row["value_min"]) for row in groups}


def _count_likeness(tally: Tally, decisions: pa.RecordBatch) -> None:
    reason = decisions["reason"].to_numpy()
    near = decisions["similarity"].filter(pa.array(reason == contracts.REASONS.index("near_duplicate"))).drop_null()
    # float32 numbers a hair under a hundredth belong to it.
    hundredths = np.floor(100 * near.to_numpy().astype(np.float64) + 1e-4).astype(np.int64)
    tally.similarity = np.bincount(hundredths, minlength=101)
    survives = ~np.isin(reason, [contracts.REASONS.index(r) for r in DUPLICATE_OR_EMPTY])
    crossed = survives & (decisions["cluster_origins"].to_numpy() == contracts.HUMAN + contracts.SYNTHETIC)
    lost = crossed & (decisions["origin"].to_numpy() != contracts.HUMAN)
    tally.crossed = np.array([crossed.sum(), lost.sum()], np.int64)


def _count_groups(tally: Tally, decisions: pa.RecordBatch, columns: dict[str, pa.Array]) -> None:
    origin = decisions["origin"].to_numpy()
    # A generator is what wrote synthetic text; what a row of human text says there is not one.
    generator = pc.if_else(pa.array(origin == contracts.SYNTHETIC), columns["generator"].fill_null("unknown"), "")
    more = np.maximum(decisions["copies"].to_numpy().astype(np.int64) - 1, 0)
    table = pa.table(
        {
            **{name: decisions[name] for name in ("source", "origin", "origin_basis", "reason", "detector_band")},
            "language": columns["language"].fill_null("unknown"),
            "generator": generator,
            "n_tokens": decisions["n_tokens"].cast(pa.int64()),
            "more": more,
            "more_tokens": more * decisions["n_tokens"].to_numpy(),
        }
    )
    sums = [("n_tokens", "count"), ("n_tokens", "sum"), ("more", "sum"), ("more_tokens", "sum")]
    grouped = table.group_by(list(GROUP)).aggregate(sums).to_pylist()
    for row in grouped:
        key = tuple(row[name] for name in GROUP)
        tally.groups[key] += row["n_tokens_count"]
        tally.group_tokens[key] += row["n_tokens_sum"]
        if row["more_sum"]:
            tally.more[key] += row["more_sum"]
            tally.more_tokens[key] += row["more_tokens_sum"]
    year = pc.fill_null(_year(columns), "unknown")
    n_tokens = pc.add(table["n_tokens"], table["more_tokens"])
    released = np.where(decisions["kept"], n_tokens, 0)
    fresh = pc.and_(pc.equal(decisions["origin"], contracts.HUMAN), decisions["earlier_id"].is_null())
    tally.fresh_human = int(released[np.asarray(fresh)].sum())
    synthetic = pc.and_(decisions["kept"], pc.equal(decisions["origin"], contracts.SYNTHETIC))
    if pc.any(synthetic).as_py():
        guessed = pc.equal(decisions["origin_basis"], contracts.BASIS_DETECTOR)
        kind = pc.if_else(guessed, "undeclared", columns["kind"].fill_null("unspecified"))
        of_kind = pa.table({"kind": kind, "n_tokens": released}).filter(synthetic)
        for row in of_kind.group_by("kind").aggregate([("n_tokens", "sum")]).to_pylist():
            tally.kinds[row["kind"]] = row["n_tokens_sum"]
    kept = pa.table({"year": year, "licence": columns["licence"], "n_tokens": n_tokens}).filter(decisions["kept"])
    for name, counts in (("year", tally.years), ("licence", tally.licences)):
        for row in kept.group_by(name).aggregate([("n_tokens", "sum")]).to_pylist():
            counts[row[name]] = row["n_tokens_sum"]


def _count_evidence(tally: Tally, decisions: pa.RecordBatch, language: pa.StringArray) -> None:
    source, codes, reason = (decisions[name].to_numpy() for name in ("source", "evidence", "reason"))
    for counter, kind in (
        (tally.conflicts, evidence.conflict(codes)),
        (tally.credentials, evidence.credential(codes)),
    ):
        found = kind != 0
        counter.update(zip(*(column[found].tolist() for column in (source, kind, reason)), strict=True))
    late = codes & contracts.OUT_OF_TIME != 0
    copies = np.maximum(decisions["copies"].to_numpy().astype(np.int64), 1)
    of_late = pa.table(
        {
            **{name: decisions[name] for name in ("source", "reason")},
            "language": language.fill_null("unknown"),
            "documents": np.ones_like(copies),
            "tokens": decisions["n_tokens"].cast(pa.int64()),
            "copied_documents": copies,
            "copied_tokens": copies * decisions["n_tokens"].to_numpy(),
        }
    ).filter(pa.array(late))
    counted = ("documents", "tokens", "copied_documents", "copied_tokens")
    grouped = of_late.group_by(["source", "language", "reason"]).aggregate([(name, "sum") for name in counted])
    for row in grouped.to_pylist():
        sums = [row[f"{name}_sum"] for name in counted]
        tally.late[row["source"], row["language"], row["reason"]] = np.array(sums, np.int64)
    prior = decisions["machine_prior"].cast(pa.int64())
    table = pa.table(
        {
            **{name: decisions[name] for name in ("source", "reason")},
            "language": language.fill_null("unknown"),
            "documents": prior,
            "tokens": pc.multiply(prior, decisions["n_tokens"].cast(pa.int64())),
            "more": np.maximum(decisions["copies"].to_numpy().astype(np.int64) - 1, 0),
        }
    ).filter(pc.greater(prior, 0))
    for name in ("documents", "tokens"):
        table = table.append_column(f"more_{name}", pc.multiply(table["more"], table[name]))
    columns = ("documents", "tokens", "more_documents", "more_tokens")
    sums = table.group_by(["source", "language", "reason"]).aggregate([(name, "sum") for name in columns])
    for row in sums.to_pylist():
        at = row["source"], row["language"], row["reason"]
        once = [row[f"{name}_sum"] for name in columns]
        tally.dated[at] = np.array(once[:2], np.int64)
        if any(once[2:]):
            tally.more_dated[at] = np.array(once[2:], np.int64)


def _count_known_humans(tally: Tally, decisions: pa.RecordBatch, columns: dict[str, pa.Array]) -> None:
    bins = share_bound.bin_of(columns["detector_score"].to_numpy(zero_copy_only=False).astype(np.float32))
    human = (decisions["origin"].to_numpy() == contracts.HUMAN) & (bins >= 0)
    human &= decisions["origin_basis"].to_numpy() != contracts.BASIS_DETECTOR
    groups, which = distinct_rows(*(decisions[name].to_numpy()[human] for name in ("reason", "detector_band")))
    counts = np.zeros((len(groups), share_bound.BINS), np.int64)
    np.add.at(counts, (which, bins[human]), 1)
    for number, (why, at) in enumerate(groups.tolist()):
        tally.own[why, at] = counts[number]


def _count_scores(tally: Tally, decisions: pa.RecordBatch, columns: dict[str, pa.Array]) -> None:
    rests = decisions["origin_basis"].to_numpy() == contracts.BASIS_DETECTOR
    language = columns["language"].fill_null("unknown").filter(pa.array(rests)).dictionary_encode()
    score = columns["detector_score"].filter(pa.array(rests)).to_numpy(zero_copy_only=False).astype(np.float32)
    keys = [decisions[name].to_numpy()[rests] for name in ("source", "reason", "detector_band")]
    tokens = decisions["n_tokens"].to_numpy()[rests].astype(np.int64)
    bins = share_bound.bin_of(score)  # all of these have a score, so a bin
    names = language.dictionary.to_pylist()
    groups, which = distinct_rows(*keys, language.indices.to_numpy())
    copies = decisions["copies"].to_numpy()[rests].astype(np.int64)
    counts, more = np.zeros((2, 2, len(groups), share_bound.BINS), np.int64)
    for into, times in ((counts, np.ones_like(copies)), (more, np.maximum(copies - 1, 0))):
        np.add.at(into[0], (which, bins), times)
        np.add.at(into[1], (which, bins), times * tokens)
    squares = np.zeros(len(groups), np.int64)
    np.add.at(squares, which, tokens**2)
    for number, (source, reason, band, at) in enumerate(groups.tolist()):
        tally.scores[source, names[at], reason, band] = counts[:, number]
        if more[:, number].any():
            tally.more_scores[source, names[at], reason, band] = more[:, number]
        tally.squares[source, names[at], reason] += int(squares[number])
    band = columns["check_band"].to_numpy()
    rests = rests & (band >= 0)
    checked = columns["check_score"].filter(pa.array(rests)).to_numpy(zero_copy_only=False)
    bins = share_bound.bin_of(checked.astype(np.float32))
    found, which = distinct_rows(*(decisions[name].to_numpy()[rests] for name in ("source", "reason")), band[rests])
    for number, (source, reason, at) in enumerate(found.tolist()):
        own = bins[which == number]
        tally.checked[source, reason, at] = np.bincount(own, minlength=share_bound.BINS).astype(np.int64)


def _year(columns: dict[str, pa.Array]) -> pa.StringArray:
    return pc.year(columns["created"].cast(pa.timestamp("us"))).cast(pa.string())


def _count_ngrams(tally: Tally, decisions: pa.RecordBatch, columns: dict[str, pa.Array], of_all: bool) -> None:
    language = columns["language"].fill_null("unknown").dictionary_encode()
    fold = folds(first_half(columns["content_hash"])).astype(np.int64)
    parts = [how_far(decisions), whose(decisions), decisions["source"].to_numpy(), language.indices.to_numpy()]
    groups, group = distinct_rows(*parts)
    words = language.dictionary.to_pylist()
    names = [(at, who, source, words[number]) for at, who, source, number in groups.tolist()]
    by_fold = [(*name, number) for name in names for number in range(FOLDS)]
    counted = of_all | (parts[0] == STAGES.index("deduplicated"))
    group = np.where(counted, group, -1)
    fold = np.where(counted, group * FOLDS + fold, -1)
    for order, sketch, below in zip(diversity.ORDERS, SKETCHES, FOLDED_BELOW, strict=True):
        offsets, types = numbers(columns[sketch])
        tally.ngrams[order] = [vocabulary.count(offsets, types, group, names)]
        if order == 1 and columns["created"].null_count < len(fold):
            dates = _year(columns).filter(decisions["kept"]).dictionary_encode()
            years = [(year,) for year in dates.dictionary.to_pylist()]
            of_year = np.full(len(fold), -1, np.int64)
            of_year[decisions["kept"].to_numpy(zero_copy_only=False)] = dates.indices.fill_null(-1).to_numpy()
            tally.dated_words = [vocabulary.count(offsets, types, of_year, years)]
        tally.folded[order] = [vocabulary.count(offsets, types, fold, by_fold, below)]


def _count_personal(
    tally: Tally, packed: pa.FixedSizeBinaryArray, kept: npt.NDArray[np.bool_], source: npt.NDArray[np.int16]
) -> None:
    figures = unpack(packed)
    if figures is None:
        return
    counts = np.stack(figures, axis=1).astype(np.int64)
    for number in np.unique(source).tolist():
        for stays in (False, True):
            own = counts[(source == number) & (kept == stays)]
            tally.personal[number, stays] = np.stack([(own > 0).sum(axis=0), own.sum(axis=0)])


def _count_paragraphs(
    tally: Tally, columns: dict[str, pa.Array], kept: npt.NDArray[np.bool_], source: npt.NDArray[np.int16]
) -> None:
    sums = np.stack([columns[name].to_numpy().astype(np.int64) for name in PARAGRAPHS[1:]])
    for stage, members in (("before", np.ones_like(kept)), ("after", kept)):
        hashes = numbers(columns["paragraphs"].filter(pa.array(members)))[1].view(np.uint64)
        tally.paragraph_counts[stage] = [paragraphs.count(hashes)]
        for number in np.unique(source).tolist():
            tally.repeats[stage, number] = sums[:, members & (source == number)].sum(axis=1)
