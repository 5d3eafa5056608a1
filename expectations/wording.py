"""How metrics are called and said: names, units and plain sentences. What a person reads is worded here.

`MEASURES` is also the list of the metric names that a suite may use: `expectations/measures.py` produces them.
"""

import dataclasses
import math

from expectations import contracts


@dataclasses.dataclass(frozen=True)
class Measure:
    """What a metric is called in a sentence, and how its numbers are written."""

    title: str
    form: str  # "share" (a fraction, said in per cent), "count" or "number"


_WORDS = {1: "words", 2: "word pairs", 3: "word triples"}
_HILL = {
    "0": "Number of different {}",
    "1": "Effective number of {}",
    "2": "Effective number of frequent {}",
    "inf": "Effective number of {} by the most frequent one",
}  # Hill numbers of order 0, 1, 2, infinity
_LEXICAL = {
    f"lexical.hill_{q}_{n}": Measure(title.format(words), "count")
    for n, words in _WORDS.items()
    for q, title in _HILL.items()
}
_LEXICAL |= {
    f"lexical.stage_hill_{q}_{n}": Measure(
        f"{_HILL[q].format(words)} that the stage left, as a fraction of what it was given", "share"
    )
    for n, words in _WORDS.items()
    for q in ("0", "1", "2")
}
_LEXICAL |= {
    f"lexical.coverage_{n}": Measure(f"Chance that the next of its {words} was seen before", "share")
    for n, words in _WORDS.items()
}
_LEXICAL |= {
    f"reference.hill_{q}_{n}": Measure(f"{_HILL[q].format(words)} as a fraction of the reference's", "share")
    for n, words in _WORDS.items()
    for q in ("0", "1", "2")
}

MEASURES = {
    "documents": Measure("Number of documents", "count"),
    "documents.dropped": Measure("Number of dropped documents", "count"),
    "documents.quarantined": Measure("Number of quarantined records", "count"),
    "documents.with_address": Measure("Number of documents with an address", "count"),
    "tokens": Measure("Number of tokens", "count"),
    "input.bad_fraction": Measure("Share of unreadable records", "share"),
    "input.unreadable_files": Measure("Number of unreadable files", "count"),
    "synthetic_share.tokens": Measure("Synthetic share of tokens", "share"),
    "synthetic_share.documents": Measure("Synthetic share of documents", "share"),
    "synthetic_share.interval.tokens": Measure("Estimated synthetic share of tokens", "share"),
    "synthetic_share.interval.documents": Measure("Estimated synthetic share of documents", "share"),
    "synthetic_share.out_of_time.tokens": Measure(
        "Share of tokens later than the machines that the detector knows", "share"
    ),
    "synthetic_share.out_of_time.documents": Measure(
        "Share of documents later than the machines that the detector knows", "share"
    ),
    "synthetic_share.cross_check": Measure("Synthetic share of undeclared documents, by a second detector", "share"),
    "synthetic_share.cross_check_difference": Measure("How far the two detectors' shares lie apart", "share"),
    "detector.false_alarm_rate": Measure("Share of human text that the detector calls synthetic", "share"),
    "detector.false_alarm_disparity": Measure(
        "Ratio of the highest of the detector's rates of false alarms to that of all text", "number"
    ),
    "audit.share": Measure("Synthetic share that people found", "share"),
    "audit.disagreement": Measure("Distance between the synthetic share that people found and the estimate", "share"),
    "origin.scored_fraction": Measure("Share of the undeclared documents that the detector could score", "share"),
    "origin.conflicts": Measure("Number of documents whose evidence of origin disagrees", "count"),
    "origin.conflict_rate": Measure("Share of documents whose evidence of origin disagrees", "share"),
    "duplicates.exact_fraction": Measure("Share of exact duplicates", "share"),
    "duplicates.near_fraction": Measure("Share of near duplicates", "share"),
    "duplicates.removed_fraction": Measure("Share of documents dropped as duplicates", "share"),
    "duplicates.residual_rate": Measure("Share of documents that still have a near duplicate", "share"),
    "duplicates.similarity_q01": Measure(
        "Similarity to the survivor that 1% of the near duplicates stay under", "number"
    ),
    "duplicates.similarity_q05": Measure(
        "Similarity to the survivor that 5% of the near duplicates stay under", "number"
    ),
    "duplicates.similarity_q50": Measure("Median similarity of near duplicates to the survivor", "number"),
    "duplicates.by_similarity": Measure("Number of near duplicates", "count"),
    "duplicates.undecided": Measure("Number of near duplicates that an estimate leaves undecided", "count"),
    "duplicates.cross_origin": Measure("Number of clusters with human and synthetic members", "count"),
    "duplicates.cross_origin_lost": Measure("Number of such clusters whose survivor is not human", "count"),
    "duplicates.clusters": Measure("Number of duplicate clusters", "count"),
    "ratio.dropped": Measure("Synthetic text dropped for the ratio", "count"),
    "ratio.conflicts": Measure("Number of the mixture's limits that cannot be kept together", "count"),
    "ratio.copied": Measure("Text that counts again because it is copied", "count"),
    "ratio.limit": Measure("Share that a limit of the mixture is about", "number"),
    "ratio.weight": Measure("Weight of a favoured stratum or structure", "number"),
    "ratio.missing": Measure("Real text missing for all synthetic text", "count"),
    "duplicates.largest_cluster": Measure("Size of the largest duplicate cluster", "count"),
    "paragraphs.repeated_within": Measure("Share of tokens in paragraphs that their document already had", "share"),
    "paragraphs.repeated_across": Measure("Share of paragraphs that other documents have too", "share"),
    "paragraphs.most_documents": Measure("Documents that have the most frequent sampled paragraph", "count"),
    "paragraphs.removed_tokens": Measure("Share of tokens that went with removed paragraphs", "share"),
    **{
        f"{name}.effective_number_2": Measure(f"Effective number of frequent {name}s", "number")
        for name in ("source", "language", "generator", "licence", "year", "topic")
    },
    "licence.max_share": Measure("Share of the most frequent licence", "share"),
    "licence.effective_number": Measure("Effective number of licences", "number"),
    "year.max_share": Measure("Share of the most frequent year", "share"),
    "year.effective_number": Measure("Effective number of years", "number"),
    "source.max_share": Measure("Share of the largest source", "share"),
    "source.effective_number": Measure("Effective number of sources", "number"),
    "language.max_share": Measure("Share of the largest language", "share"),
    "language.effective_number": Measure("Effective number of languages", "number"),
    "generator.max_share": Measure("Share of the largest generator in the synthetic text", "share"),
    "generator.effective_number": Measure("Effective number of generators", "number"),
    "lexical.distinct_1": Measure("Ratio of distinct words to words", "number"),
    "lexical.distinct_2": Measure("Ratio of distinct word pairs to word pairs", "number"),
    "lexical.distinct_3": Measure("Ratio of distinct word triples to word triples", "number"),
    "lexical.entropy_1": Measure("Entropy of words, in bits", "number"),
    "lexical.entropy_2": Measure("Entropy of word pairs, in bits", "number"),
    "lexical.entropy_3": Measure("Entropy of word triples, in bits", "number"),
    **_LEXICAL,
    "lexical.zipf_slope": Measure("Exponent of word frequency against rank", "number"),
    "excess.words": Measure("Number of words that a year has in excess", "count"),
    "excess.delta_max": Measure(
        "Share of documents by which the word most in excess exceeds what was expected", "share"
    ),
    "lexical.mattr": Measure("Ratio of distinct words to words in windows of 500", "number"),
    "semantic.vendi_1": Measure("Effective number of documents by their words (Vendi score)", "number"),
    "semantic.vendi_inf": Measure("Effective number of documents by the most common direction", "number"),
    "semantic.mean_distance": Measure("Mean distance of two documents by their words", "number"),
    "repetition.self_repetition": Measure("Self-repetition between documents", "number"),
    "repetition.template_rate": Measure("Share of documents with a phrase that others have too", "share"),
    "reference.vendi_1": Measure("Effective number of documents as a fraction of the reference's", "share"),
    "reference.vendi_inf": Measure(
        "Effective number of documents by the most common direction as a fraction of the reference's", "share"
    ),
    "reference.tail_mass": Measure("Share of rare words as a fraction of the reference's", "share"),
    "reference.tail_types": Measure("Rare words of the reference that are left", "share"),
    "reference.share": Measure("Share of the documents as a fraction of what it was in the reference", "share"),
    "reference.distance": Measure("Distance of the words from the reference's, in bits", "number"),
    "reference.bpb_sd": Measure("Spread of bits per byte as a fraction of the reference's", "share"),
    "reference.bpb_tail": Measure("Share of hard documents as a fraction of the reference's", "share"),
    "reference.bpb_low": Measure("Ratio of the share of easy documents to the reference's", "number"),
    "reference.topic_hill_1": Measure("Effective number of topics as a fraction of the reference's", "share"),
    "reference.topic_hill_2": Measure("Effective number of frequent topics as a fraction of the reference's", "share"),
    "reference.topic_distance": Measure("Distance of the topics from the reference's, in bits", "number"),
    "lm.bpb_mean": Measure("Mean of bits per byte under the yardstick", "number"),
    "lm.bpb_sd": Measure("Standard deviation of bits per byte", "number"),
    "lm.bpb_q05": Measure("Bits per byte that 5% of the documents stay under", "number"),
    "lm.bpb_q50": Measure("Median of bits per byte", "number"),
    "lm.bpb_q95": Measure("Bits per byte that 95% of the documents stay under", "number"),
    "lm.bpb_tail": Measure("Share of documents that are harder than 95% of human text", "share"),
    "lm.bpb_low": Measure("Share of documents that are easier than 95% of human text", "share"),
    "topic.max_share": Measure("Share of the largest topic", "share"),
    "topic.effective_number": Measure("Effective number of topics", "number"),
    "repetition.compression_ratio": Measure("Compression ratio", "number"),
    "length.q05": Measure("Length that 5% of the documents stay under, in tokens", "number"),
    "length.q25": Measure("Length that 25% of the documents stay under, in tokens", "number"),
    "length.q50": Measure("Median length in tokens", "number"),
    "length.q75": Measure("Length that 75% of the documents stay under, in tokens", "number"),
    "length.q95": Measure("Length that 95% of the documents stay under, in tokens", "number"),
    "length.effective_documents": Measure("Documents of equal length that its tokens are worth", "count"),
    "structure.core": Measure("Core", "share"),
    "structure.found": Measure("Core by the classifier's word", "share"),
    "structure.reference": Measure("Core of the reference", "share"),
    "structure.retention": Measure("Retention of the core", "share"),
    "structure.retention_at_mix": Measure("Retention of the core at the reference's mix of sources", "share"),
    "structure.stage_retention": Measure("Retention of the core by the stage", "share"),
    "structure.expected_deviance": Measure("Expected deviance", "number"),
    "structure.deviance_variance": Measure("Variance of the deviance", "number"),
    "structure.mean_square_deviance": Measure("Mean square of the deviance", "number"),
    "structure.core_entropy": Measure("Entropy of the core, in nats", "number"),
    "structure.effective_number": Measure("Effective number of structures", "number"),
    "structure.effective_number_2": Measure("Effective number of structures, order 2", "number"),
    "structure.expected_deviance_ratio": Measure("Expected deviance as a fraction of the reference's", "share"),
    "structure.effective_number_ratio": Measure(
        "Effective number of structures as a fraction of the reference's", "share"
    ),
    "structure.divergence": Measure("Distance from the target distribution, in bits", "number"),
    "structure.association": Measure("Risk ratio of the association", "number"),
    "structure.documents": Measure("Number of documents that a system speaks of", "count"),
    "structure.pattern": Measure("Share of documents with exactly these structures", "share"),
}
STAGES = {"before": "what was read", "deduplicated": "what dedup kept", "after": "the release"}
SLICE_KINDS = {
    "overall": "",
    "source": "source",
    "language": "language",
    "generator": "generator",
    "origin": "origin",
    "reason": "reason",
    "kind_of_text": "kind of text",  # "<column of the labelled data>/<its value>"
    "origin_basis": "origin and basis",  # "<origin>/<basis>", or the basis alone
    "conflict": "who says human and who synthetic",  # "<basis>/<basis>"
    "cluster_size": "cluster size",
    "similarity": "similarity",  # "0.80-0.85", to the survivor
    "limit": "limit",
    "stratum": "stratum",
    "source_reason": "source and reason",  # "<source>/<reason>"
    "source_origin": "source and origin",  # "<source>/<origin>"
    "year": "year",
    "band": "band of frequency",  # "1e-06 to 1e-05", in the reference
    "system": "system",  # of structures, by its id
    "structure": "structure",  # "<system>/<structure>"
    "structure_origin": "structure and origin",  # "<system>/<structure>/<origin>"
    "group": "group of structures",  # "<system>/<structure>+<structure>"
    "association": "association",  # "<system>/<structure> given <structure> against <structure>"
    "pattern": "pattern",  # "<system>/<structures that a document has, joined by +>"
}
REASONS = {
    "empty_text": "Empty text",
    "exact_duplicate": "Exact duplicate",
    "near_duplicate": "Near duplicate",
    "over_synthetic_share": "Over the synthetic limit",
    "same_url": "Same address",
    "in_earlier_release": "In an earlier release",
    "over_limit": "Over a limit of the mixture",
}
assert set(REASONS) == set(contracts.REASONS) - {""}, "a reason has no words"


def form_of(metric: str) -> str:
    """How the numbers of `metric` are written; plain numbers for a metric this version does not know."""
    return MEASURES[metric].form if metric in MEASURES else "number"


def title_of(metric: str) -> str:
    """What `metric` is called; its own name if this version does not know it."""
    return MEASURES[metric].title if metric in MEASURES else metric


def stable(value: float | None) -> float | None:
    """`value` to 12 significant digits, so that the last bits of a sum never decide; None if it is not finite."""
    return float(f"{value:.12g}") if value is not None and math.isfinite(value) else None


def number(value: float | None, form: str = "number", digits: int = 3) -> str:
    """`value` as a person writes it: 24.8%, 1,234,567, 0.0123; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if form == "share":
        return f"{plain(100 * value, digits)}%"
    if form == "count" and value == int(value):
        return f"{int(value):,}"
    return plain(value, digits)


def plain(value: float, digits: int) -> str:
    """`value` to `digits` significant digits, never with an exponent; all digits before the point are kept."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def told_apart(value: float, limit: float, form: str) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to see that they differ: 30.01% against 30%, not 30% against 30%."""
    for digits in range(3, 13):
        pair = number(value, form, digits), number(limit, form, digits)
        if value == limit or pair[0] != pair[1]:
            return pair
    return repr(value), repr(limit)


def one_line(text: str) -> str:
    """`text` on one line, with a mark for what a terminal would obey, hide or turn around."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def subject(metric: str, stage: str, slice_kind: str, slice_: str | None) -> str:
    """What was measured, to start a sentence with: `The synthetic share of tokens in the release (source "wiki")`."""
    title = title_of(metric)
    words = f"The {title[0].lower()}{title[1:]} in {STAGES.get(stage, stage)}"
    if slice_kind == "overall":
        return words
    kind = SLICE_KINDS.get(slice_kind, slice_kind)
    return f"{words} (every {kind})" if slice_ is None else f'{words} ({kind} "{slice_}")'


def unmeasured(about: str, reason: str | None) -> str:
    """The sentence for a number that is not there."""
    return f"{about} could not be measured: {(reason or 'no reason was recorded').rstrip('.')}."


def inconclusive(about: str, value: float | None, n: int, needed: int, form: str) -> str:
    """The sentence for a number that too few documents stand behind."""
    seen = "" if value is None else f" (seen: {number(value, form)})"
    return f"{about} is inconclusive: it rests on {n:,} documents, and it takes {needed:,} to judge it{seen}"


def unsure(about: str, value: float | None, observed: float, bound: str, asked: str, form: str) -> str:
    """The sentence for a number whose bound is outside the limits while it is within."""
    seen, at = number(value, form), number(observed, form)
    return f"{about} is inconclusive: it is {seen}, its {bound} bound is {at}, and {asked} is asked for"


def limits(low: float | None, high: float | None, form: str) -> str:
    """The threshold in words: "at most 30%", "at least 1", "between 2 and 5"."""
    if low is None:
        return f"at most {number(high, form, 12)}"
    if high is None:
        return f"at least {number(low, form, 12)}"
    return f"between {number(low, form, 12)} and {number(high, form, 12)}"


def comparison(observed: float, low: float | None, high: float | None, form: str) -> str:
    """How `observed` stands to its threshold: "24.8%, at most 30% is allowed" or "31%, above the limit of 30%"."""
    if high is not None and observed > high:
        value, limit = told_apart(observed, high, form)
        return f"{value}, above the limit of {limit}"
    if low is not None and observed < low:
        value, limit = told_apart(observed, low, form)
        return f"{value}, below the limit of {limit}"
    return f"{number(observed, form)}, and {limits(low, high, form)} is asked for"
