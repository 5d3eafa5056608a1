"""Who wrote it: the synthetic share and how it is known, the detector, audits, and what synthetic text was made of."""

from expectations.metrics.metric import COUNT, DOCUMENTS, DOWN, NUMBER, SHARE, UP, Metric

ORIGINS = (
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
)
