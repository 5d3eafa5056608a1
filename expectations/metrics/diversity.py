"""How diverse it is: words, meanings, templates, surprise, structures, by themselves and against a reference."""

from collections.abc import Iterator

from expectations.metrics.metric import COUNT, DOCUMENTS, DOWN, NUMBER, SHARE, SPLITS, UP, Metric, Noise

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


DIVERSITY = (
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
)
