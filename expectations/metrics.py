"""Every metric of a release, declared once: what it is called, how it is written, of what it is a sign, its noise.

Whoever needs a fact about a metric looks it up here: suites and their JSON Schema, verdict, report, card, `diff`, `history`,
`propose`, the reference pages of the docs. A metric of another version, which is not here, has the facts of `unknown`.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Literal, TypedDict

Form = Literal["share", "count", "number"]
SHARE: Form = "share"  # a fraction, said in per cent
COUNT: Form = "count"
NUMBER: Form = "number"
CERTIFIED = "certified"  # how the note of a number begins that people found, and not the detector

Direction = Literal["up", "down", ""]
UP: Direction = "up"
DOWN: Direction = "down"

# What limits of a difference rest on where a row has none (expectations/release_diff.py).
Noise = Literal["", "documents", "tokens", "splits"]
DOCUMENTS: Noise = "documents"  # a fraction of `n` documents or records, each in it or not
TOKENS: Noise = "tokens"  # a share of the tokens of `n` documents
SPLITS: Noise = "splits"  # a Hill number of words: as between splits of English text

# In the order in which signs of model collapse are seen in data (docs/decisions/0022). "other" is a sign of nothing.
SIGNS = (
    "tails",
    "words",
    "templates",
    "redundancy",
    "meaning",
    "spread",
    "distance",
    "synthetic share",
    "concentration",
    "input",
    "size",
    "other",
)
EARLY = SIGNS[:7]


class Row(TypedDict, total=False):
    """A row of METRICS (expectations/contracts.py), as the measures make it: what is left out is null."""

    metric: str
    stage: str  # "before" (all that was read), "deduplicated" or "after" (the release)
    slice_kind: str
    slice: str
    value: float | None
    lower: float | None
    upper: float | None
    unit: str
    n: int
    note: str | None
    needed: int | None


@dataclasses.dataclass(frozen=True)
class Metric:
    """What is known of a metric, whatever release it is of.

    Attributes:
      name: in metrics.parquet and in suites.
      title: in a sentence.
      form: how its numbers are written.
      unit: of its rows; empty: a row says so itself.
      sign: one of SIGNS.
      worse: which way is worse, as a sign of collapse; empty: neither.
      noise: what limits of a difference rest on where a row has none.
      grows: with the corpus, so that it is compared only between releases of one size.
    """

    name: str
    title: str
    form: Form
    unit: str = ""
    sign: str = "other"
    worse: Direction = ""
    noise: Noise = ""
    grows: bool = False

    @property
    def of_tokens(self) -> bool:
        """Whether it counts tokens (words, without a tokenizer), or is a share of them."""
        weighed = self.noise == TOKENS and not self.name.startswith("paragraphs.")  # which are words in any case
        return weighed or self.unit == "tokens" or self.name.endswith((".tokens", ".effective_documents"))

    @property
    def rank(self) -> int:
        """Its sign's place in SIGNS."""
        return SIGNS.index(self.sign)

    @property
    def is_relative(self) -> bool:
        """Whether it is held against something else's, so that it may be above 1 though it is written as a share."""
        kept = self.name.startswith("structure.") and ("retention" in self.name or self.name.endswith("_ratio"))
        return kept or self.name.startswith(("reference.", "lexical.stage_"))

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most that it can be; a share is a part of a whole, and of one thing there is one at least."""
        if self.is_relative or self.sign == "distance" or self.unit == "exponent":
            return -math.inf, math.inf  # limits of what is estimated against something may lie below 0
        lowest = 1.0 if ".effective_number" in self.name else 0.0
        return lowest, 1.0 if self.form == SHARE else math.inf


_WORDS = {1: "words", 2: "word pairs", 3: "word triples"}
_HILL = {
    "0": "Number of different {}",
    "1": "Effective number of {}",
    "2": "Effective number of frequent {}",
    "inf": "Effective number of {} by the most frequent one",
}  # Hill numbers of order 0, 1, 2, infinity


SAMPLED = (
    "estimated from a sample of them"  # a frequent pair is in it or not: the higher the order, the more that decides
)


def _lexical() -> Iterator[Metric]:
    for n, words in _WORDS.items():
        for q, title in _HILL.items():
            called, sign = title.format(words), "tails" if q == "0" else "words"
            called += f", {SAMPLED}" if n > 1 else ""
            noise: Noise = SPLITS if n == 1 and q != "inf" else ""
            yield Metric(f"lexical.hill_{q}_{n}", called, COUNT, "types", sign, DOWN, noise, grows=True)
            if q != "inf":
                left = f"{title.format(words)} that the stage left, as a fraction of what it was given"
                yield Metric(f"lexical.stage_hill_{q}_{n}", left, SHARE, "fraction")
                yield Metric(
                    f"reference.hill_{q}_{n}",
                    f"{title.format(words)} as a fraction of the reference's",
                    SHARE,
                    "fraction",
                    sign,
                    DOWN,
                )
        seen = f"Chance that the next of its {words} was seen before"
        yield Metric(f"lexical.coverage_{n}", seen, SHARE, "fraction", "tails", UP, grows=True)


def _effective() -> Iterator[Metric]:
    for what in ("source", "language", "generator", "licence", "year", "topic"):
        sign = "meaning" if what == "topic" else "concentration"
        yield Metric(
            f"{what}.effective_number_2", f"Effective number of frequent {what}s", NUMBER, f"{what}s", sign, DOWN
        )


_DECLARED = (
    Metric("documents", "Number of documents", COUNT, "documents", sign="size"),
    Metric("documents.dropped", "Number of dropped documents", COUNT, "documents"),
    Metric("documents.quarantined", "Number of quarantined records", COUNT, "records"),
    Metric("documents.with_address", "Number of documents with an address", COUNT, "documents"),
    Metric("documents.no_prose", "Number of documents that are no prose, and so have no score", COUNT, "documents"),
    Metric("tokens", "Number of tokens", COUNT, "tokens", sign="size"),
    Metric("tokens.fresh_human", "Number of human tokens that no earlier release has", COUNT, "tokens", sign="size"),
    Metric("fresh_human.share", "Share of tokens that are human and in no earlier release", SHARE, "fraction"),
    Metric("kind.share", "Share of tokens that are synthetic and of a kind", SHARE, "fraction"),
    Metric("lineage.known", "Share of synthetic tokens that name what they were made of", SHARE, "fraction"),
    Metric("lineage.fan_out_mean", "Mean number of documents made of one source document", NUMBER, "documents"),
    Metric("lineage.fan_out_max", "Largest number of documents made of one source document", COUNT, "documents"),
    Metric("lineage.seeds", "Number of source documents that others were made of", COUNT, "documents"),
    Metric(
        "lineage.effective_seeds", "Effective number of source documents that others were made of", COUNT, "documents"
    ),
    Metric("lineage.both_kept", "Share of documents whose source document is released too", SHARE, "fraction"),
    Metric("lineage.deep_share", "Share of documents that were made of synthetic ones", SHARE, "fraction"),
    Metric(
        "lineage.generator_max_share", "Share of the largest generator in what was made of others", SHARE, "fraction"
    ),
    Metric(
        "lineage.generator_effective_number",
        "Effective number of generators of what was made of others",
        NUMBER,
        "generators",
    ),
    Metric("verifier.share", "Share of synthetic tokens that a verifier accepted", SHARE, "fraction"),
    Metric("verifier.same_family", "Share of them whose verifier is of the generator's family", SHARE, "fraction"),
    Metric("verifier.max_share", "Share of the largest verifier", SHARE, "fraction"),
    Metric("burst.sites", "Number of sites whose documents came all at once", COUNT, "sites"),
    Metric("burst.documents", "Largest number of documents of a site that came all at once", COUNT, "documents"),
    Metric(
        "trigger.phrases",
        "Number of phrases that some documents of one source share and nothing else",
        COUNT,
        "phrases",
    ),
    Metric(
        "trigger.documents",
        "Largest number of documents of one source that share a phrase and nothing else",
        COUNT,
        "documents",
    ),
    Metric("tokens.of_a_model", "Number that a model's tokenizer would count, about", COUNT, "subwords"),
    Metric(
        "input.bad_fraction", "Share of unreadable records", SHARE, "fraction", sign="input", worse=UP, noise=DOCUMENTS
    ),
    Metric("input.unreadable_files", "Number of unreadable files", COUNT, sign="input", worse=UP),
    Metric("input.unread_files", "Number of files beside the input that are not read", COUNT, "files"),
    Metric("input.misnamed_files", "Number of files that are not what their name says", COUNT, "files"),
    Metric("input.not_documents", "Number of files that hold other things beside documents", COUNT, "files"),
    Metric("input.not_understood", "Number of declared values that were not understood", COUNT, "values"),
    Metric("synthetic_share.tokens", "Synthetic share of tokens", SHARE, "fraction", sign="synthetic share", worse=UP),
    Metric(
        "synthetic_share.documents", "Synthetic share of documents", SHARE, "fraction", sign="synthetic share", worse=UP
    ),
    Metric("sites", "Number of sites", COUNT, "sites"),
    Metric("site.mean_share.documents", "Mean synthetic share of sites, in documents", SHARE, "fraction"),
    Metric("site.mean_share.tokens", "Mean synthetic share of sites, in tokens", SHARE, "fraction"),
    Metric("site.synthetic_share.documents", "Synthetic share of the documents of a site", SHARE, "fraction"),
    Metric("site.synthetic_share.tokens", "Synthetic share of the tokens of a site", SHARE, "fraction"),
    Metric("synthetic_share.interval.tokens", "Estimated synthetic share of tokens", SHARE, "fraction"),
    Metric("synthetic_share.interval.documents", "Estimated synthetic share of documents", SHARE, "fraction"),
    Metric(
        "synthetic_share.out_of_time.tokens",
        "Share of tokens later than the machines that the detector knows",
        SHARE,
        "fraction",
    ),
    Metric(
        "synthetic_share.out_of_time.documents",
        "Share of documents later than the machines that the detector knows",
        SHARE,
        "fraction",
    ),
    Metric(
        "synthetic_share.cross_check",
        "Synthetic share of undeclared documents, by a second detector",
        SHARE,
        "fraction",
    ),
    Metric("synthetic_share.cross_check_difference", "How far the two detectors' shares lie apart", SHARE, "fraction"),
    Metric("detector.scores", "Share of the scored documents with such a score", SHARE, "fraction"),
    Metric(
        "detector.false_alarm_rate",
        "Share of human text that the detector calls synthetic",
        SHARE,
        "fraction",
        sign="input",
        worse=UP,
    ),
    Metric(
        "detector.false_alarm_disparity",
        "Ratio of the highest of the detector's rates of false alarms to that of all text",
        NUMBER,
        "ratio",
        sign="input",
        worse=UP,
    ),
    Metric("audit.share", "Synthetic share that people found", SHARE, "fraction"),
    Metric(
        "audit.disagreement",
        "Distance between the synthetic share that people found and the estimate",
        SHARE,
        "fraction",
    ),
    Metric(
        "origin.scored_fraction",
        "Share of the undeclared documents that the detector could score",
        SHARE,
        "fraction",
        sign="input",
        worse=DOWN,
        noise=DOCUMENTS,
    ),
    Metric("origin.conflicts", "Number of documents whose evidence of origin disagrees", COUNT, "documents"),
    Metric(
        "origin.conflict_rate",
        "Share of documents whose evidence of origin disagrees",
        SHARE,
        "fraction",
        noise=DOCUMENTS,
    ),
    Metric("credentials.documents", "Number of documents with a content credential in their text", COUNT, "documents"),
    Metric(
        "duplicates.exact_fraction",
        "Share of exact duplicates",
        SHARE,
        "fraction",
        sign="input",
        worse=UP,
        noise=DOCUMENTS,
        grows=True,
    ),
    Metric(
        "duplicates.near_fraction",
        "Share of near duplicates",
        SHARE,
        "fraction",
        sign="input",
        worse=UP,
        noise=DOCUMENTS,
        grows=True,
    ),
    Metric(
        "duplicates.removed_fraction",
        "Share of documents dropped as duplicates",
        SHARE,
        "fraction",
        sign="input",
        worse=UP,
        noise=DOCUMENTS,
        grows=True,
    ),
    Metric(
        "duplicates.residual_rate",
        "Share of documents that still have a near duplicate",
        SHARE,
        "fraction",
        sign="input",
        worse=UP,
    ),
    Metric(
        "duplicates.similarity_q01",
        "Similarity to the survivor that 1% of the near duplicates stay under",
        NUMBER,
        "jaccard",
    ),
    Metric(
        "duplicates.similarity_q05",
        "Similarity to the survivor that 5% of the near duplicates stay under",
        NUMBER,
        "jaccard",
    ),
    Metric("duplicates.similarity_q50", "Median similarity of near duplicates to the survivor", NUMBER, "jaccard"),
    Metric("duplicates.by_similarity", "Number of near duplicates", COUNT, "documents"),
    Metric("duplicates.undecided", "Number of near duplicates that an estimate leaves undecided", COUNT, "documents"),
    Metric("duplicates.cross_origin", "Number of clusters with human and synthetic members", COUNT, "clusters"),
    Metric("duplicates.cross_origin_lost", "Number of such clusters whose survivor is not human", COUNT, "clusters"),
    Metric("duplicates.clusters", "Number of duplicate clusters", COUNT, "clusters"),
    Metric("ratio.dropped", "Synthetic text dropped for the ratio", COUNT),
    Metric("ratio.conflicts", "Number of the mixture's limits that cannot be kept together", COUNT, "limits"),
    Metric("ratio.way_out", "What one change of the recipe would have to be for the limits to be kept", NUMBER),
    Metric("ratio.copied", "Text that counts again because it is copied", COUNT),
    Metric("ratio.available", "Text that there is for the mixture", COUNT),
    Metric("ratio.taken", "Text that the mixture takes, with every copy", COUNT),
    Metric("ratio.hidden", "Undeclared text that counts as synthetic", COUNT),
    Metric("ratio.real", "Real text that there is for the mixture", COUNT),
    Metric("ratio.real_taken", "Real text that the mixture takes", COUNT),
    Metric("ratio.limit", "Share that a limit of the mixture is about", NUMBER),
    Metric("ratio.weight", "Weight of a favoured stratum or structure", NUMBER, "ratio"),
    Metric("ratio.missing", "Real text missing for all synthetic text", COUNT),
    Metric("duplicates.largest_cluster", "Size of the largest duplicate cluster", COUNT, "documents"),
    Metric(
        "paragraphs.repeated_within",
        "Share of words in paragraphs that their document already had",
        SHARE,
        "fraction",
        sign="templates",
        worse=UP,
        noise=TOKENS,
    ),
    Metric(
        "paragraphs.repeated_across",
        "Share of paragraphs that other documents have too",
        SHARE,
        "fraction",
        sign="templates",
        worse=UP,
        grows=True,
    ),
    Metric("paragraphs.most_documents", "Documents that have the most frequent sampled paragraph", COUNT, "documents"),
    Metric(
        "paragraphs.removed_tokens",
        "Share of words that went with removed paragraphs",
        SHARE,
        "fraction",
        noise=TOKENS,
    ),
    Metric(
        "licence.max_share",
        "Share of the most frequent licence",
        SHARE,
        "fraction",
        sign="concentration",
        worse=UP,
        noise=TOKENS,
    ),
    Metric(
        "licence.effective_number", "Effective number of licences", NUMBER, "licences", sign="concentration", worse=DOWN
    ),
    Metric(
        "year.max_share",
        "Share of the most frequent year",
        SHARE,
        "fraction",
        sign="concentration",
        worse=UP,
        noise=TOKENS,
    ),
    Metric("year.effective_number", "Effective number of years", NUMBER, "years", sign="concentration", worse=DOWN),
    Metric(
        "source.max_share",
        "Share of the largest source",
        SHARE,
        "fraction",
        sign="concentration",
        worse=UP,
        noise=TOKENS,
    ),
    Metric(
        "source.effective_number", "Effective number of sources", NUMBER, "sources", sign="concentration", worse=DOWN
    ),
    Metric(
        "language.max_share",
        "Share of the largest language",
        SHARE,
        "fraction",
        sign="concentration",
        worse=UP,
        noise=TOKENS,
    ),
    Metric(
        "language.effective_number",
        "Effective number of languages",
        NUMBER,
        "languages",
        sign="concentration",
        worse=DOWN,
    ),
    Metric(
        "generator.max_share",
        "Share of the largest generator in the synthetic text",
        SHARE,
        "fraction",
        sign="concentration",
        worse=UP,
        noise=TOKENS,
    ),
    Metric(
        "generator.effective_number",
        "Effective number of generators",
        NUMBER,
        "generators",
        sign="concentration",
        worse=DOWN,
    ),
    Metric(
        "lexical.distinct_1",
        "Ratio of distinct words to words",
        NUMBER,
        "fraction",
        sign="tails",
        worse=DOWN,
        grows=True,
    ),
    Metric(
        "lexical.distinct_2",
        "Ratio of distinct word pairs to word pairs",
        NUMBER,
        "fraction",
        sign="tails",
        worse=DOWN,
        grows=True,
    ),
    Metric(
        "lexical.distinct_3",
        "Ratio of distinct word triples to word triples",
        NUMBER,
        "fraction",
        sign="tails",
        worse=DOWN,
        grows=True,
    ),
    Metric(
        "lexical.entropy_1",
        "Entropy of words, in bits",
        NUMBER,
        "bits",
        sign="words",
        worse=DOWN,
        noise=SPLITS,
        grows=True,
    ),
    Metric("lexical.entropy_2", "Entropy of word pairs, in bits", NUMBER, "bits", sign="words", worse=DOWN, grows=True),
    Metric(
        "lexical.entropy_3", "Entropy of word triples, in bits", NUMBER, "bits", sign="words", worse=DOWN, grows=True
    ),
    Metric(
        "lexical.zipf_slope",
        "Exponent of word frequency against rank",
        NUMBER,
        "exponent",
        sign="tails",
        worse=UP,
        grows=True,
    ),
    Metric("excess.words", "Number of words that a year has in excess", COUNT, "words"),
    Metric(
        "excess.delta_max",
        "Share of documents by which the word most in excess exceeds what was expected",
        SHARE,
        "fraction",
    ),
    Metric(
        "lexical.mattr",
        "Ratio of distinct words to words in windows of 500",
        NUMBER,
        "fraction",
        sign="words",
        worse=DOWN,
    ),
    Metric(
        "semantic.vendi_1",
        "Effective number of documents by their words (Vendi score)",
        NUMBER,
        "documents",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "semantic.vendi_inf",
        "Effective number of documents by the most common direction",
        NUMBER,
        "documents",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "semantic.mean_distance",
        "Mean distance of two documents by their words",
        NUMBER,
        "distance",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "repetition.self_repetition",
        "Self-repetition between documents",
        NUMBER,
        "score",
        sign="templates",
        worse=UP,
        grows=True,
    ),
    Metric(
        "repetition.template_rate",
        "Share of documents with a phrase that others have too",
        SHARE,
        "fraction",
        sign="templates",
        worse=UP,
        noise=DOCUMENTS,
        grows=True,
    ),
    Metric(
        "reference.vendi_1",
        "Effective number of documents as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "reference.vendi_inf",
        "Effective number of documents by the most common direction as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "reference.tail_mass",
        "Share of rare words as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="tails",
        worse=DOWN,
    ),
    Metric(
        "reference.tail_types", "Rare words of the reference that are left", SHARE, "ratio", sign="tails", worse=DOWN
    ),
    Metric("reference.share", "Share of the documents as a fraction of what it was in the reference", SHARE, "ratio"),
    Metric(
        "reference.distance",
        "Distance of the words from the reference's, in bits",
        NUMBER,
        "bits",
        sign="distance",
        worse=UP,
    ),
    Metric(
        "reference.bpb_sd",
        "Spread of bits per byte as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="spread",
        worse=DOWN,
    ),
    Metric(
        "reference.bpb_tail",
        "Share of hard documents as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="spread",
        worse=DOWN,
    ),
    Metric(
        "reference.bpb_low",
        "Ratio of the share of easy documents to the reference's",
        NUMBER,
        "ratio",
        sign="spread",
        worse=UP,
    ),
    Metric(
        "reference.topic_hill_1",
        "Effective number of topics as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "reference.topic_hill_2",
        "Effective number of frequent topics as a fraction of the reference's",
        SHARE,
        "ratio",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "reference.topic_distance",
        "Distance of the topics from the reference's, in bits",
        NUMBER,
        "bits",
        sign="distance",
        worse=UP,
    ),
    Metric("lm.bpb_mean", "Mean of bits per byte under the yardstick", NUMBER, "bits", sign="spread"),
    Metric("lm.bpb_sd", "Standard deviation of bits per byte", NUMBER, "bits", sign="spread", worse=DOWN),
    Metric("lm.bpb_q05", "Bits per byte that 5% of the documents stay under", NUMBER, "bits", sign="spread"),
    Metric("lm.bpb_q50", "Median of bits per byte", NUMBER, "bits", sign="spread"),
    Metric("lm.bpb_q95", "Bits per byte that 95% of the documents stay under", NUMBER, "bits", sign="spread"),
    Metric(
        "lm.bpb_tail",
        "Share of documents that are harder than 95% of human text",
        SHARE,
        "fraction",
        sign="spread",
        worse=DOWN,
        noise=DOCUMENTS,
    ),
    Metric(
        "lm.bpb_low",
        "Share of documents that are easier than 95% of human text",
        SHARE,
        "fraction",
        sign="spread",
        worse=UP,
        noise=DOCUMENTS,
    ),
    Metric(
        "topic.max_share",
        "Share of the largest topic",
        SHARE,
        "fraction",
        sign="concentration",
        worse=UP,
        noise=DOCUMENTS,
    ),
    Metric("topic.effective_number", "Effective number of topics", NUMBER, "topics", sign="meaning", worse=DOWN),
    Metric("repetition.compression_ratio", "Compression ratio", NUMBER, "ratio", sign="redundancy", worse=UP),
    Metric("length.q05", "Length that 5% of the documents stay under, in tokens", NUMBER, "tokens", sign="spread"),
    Metric("length.q25", "Length that 25% of the documents stay under, in tokens", NUMBER, "tokens", sign="spread"),
    Metric("length.q50", "Median length in tokens", NUMBER, "tokens", sign="spread"),
    Metric("length.q75", "Length that 75% of the documents stay under, in tokens", NUMBER, "tokens", sign="spread"),
    Metric("length.q95", "Length that 95% of the documents stay under, in tokens", NUMBER, "tokens", sign="spread"),
    Metric(
        "length.effective_documents",
        "Documents of equal length that its tokens are worth",
        COUNT,
        "documents",
        sign="spread",
    ),
    Metric("personal.found", "Number of addresses, numbers and keys that look personal", COUNT, "matches"),
    Metric("personal.masked", "Number of addresses, numbers and keys that were masked", COUNT, "matches"),
    Metric("personal.rate", "Share of documents with what looks personal", SHARE, "fraction"),
    Metric("contamination.documents", "Number of documents that hold items of evaluation sets", COUNT, "documents"),
    Metric("contamination.items", "Share of the items of evaluation sets that are found", SHARE, "fraction"),
    Metric("contamination.too_short", "Number of evaluation items that are too short to be looked for", COUNT, "items"),
    Metric("contamination.overlap", "Largest overlap of a document with an evaluation item", SHARE, "fraction"),
    Metric("structure.core", "Core", SHARE, "fraction"),
    Metric("structure.found", "Core by the classifier's word", SHARE, "fraction"),
    Metric("structure.reference", "Core of the reference", SHARE, "fraction"),
    Metric("structure.retention", "Retention of the core", SHARE, "fraction", sign="tails", worse=DOWN),
    Metric("structure.retention_at_mix", "Retention of the core at the reference's mix of sources", SHARE, "fraction"),
    Metric("structure.stage_retention", "Retention of the core by the stage", SHARE, "fraction"),
    Metric("structure.expected_deviance", "Expected deviance", NUMBER, "distance", sign="meaning", worse=DOWN),
    Metric("structure.deviance_variance", "Variance of the deviance", NUMBER, "distance", sign="spread"),
    Metric("structure.mean_square_deviance", "Mean square of the deviance", NUMBER, "distance"),
    Metric("structure.core_entropy", "Entropy of the core, in nats", NUMBER, "nats"),
    Metric(
        "structure.effective_number", "Effective number of structures", NUMBER, "structures", sign="meaning", worse=DOWN
    ),
    Metric(
        "structure.effective_number_2",
        "Effective number of structures, order 2",
        NUMBER,
        "structures",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "structure.expected_deviance_ratio",
        "Expected deviance as a fraction of the reference's",
        SHARE,
        "fraction",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "structure.effective_number_ratio",
        "Effective number of structures as a fraction of the reference's",
        SHARE,
        "fraction",
        sign="meaning",
        worse=DOWN,
    ),
    Metric(
        "structure.divergence",
        "Distance from the target distribution, in bits",
        NUMBER,
        "bits",
        sign="distance",
        worse=UP,
    ),
    Metric("structure.association", "Risk ratio of the association", NUMBER, "ratio"),
    Metric("structure.documents", "Number of documents that a system speaks of", COUNT, "documents"),
    Metric("structure.pattern", "Share of documents with exactly these structures", SHARE, "fraction"),
    *_lexical(),
    *_effective(),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _DECLARED}
assert len(METRICS) == len(_DECLARED), "a metric is declared twice"


def find(name: str) -> Metric:
    """What is known of a metric; of one that this version does not know, nothing but its name."""
    return METRICS.get(name) or Metric(name, name, NUMBER)
