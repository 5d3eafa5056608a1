"""What a corpus holds: how much, of which sources, languages, licences and years, what was unreadable, what must not be in it."""

from collections.abc import Iterator

from expectations.metrics.metric import COUNT, DOCUMENTS, DOWN, NUMBER, SHARE, TOKENS, UP, Metric


def _effective() -> Iterator[Metric]:
    for what in ("source", "language", "generator", "licence", "year", "topic"):
        sign = "meaning" if what == "topic" else "concentration"
        yield Metric(
            f"{what}.effective_number_2", f"Effective number of frequent {what}s", NUMBER, f"{what}s", sign, DOWN
        )


CONTENTS = (
    Metric("documents", "Number of documents", COUNT, "documents", sign="size"),
    Metric("documents.dropped", "Number of dropped documents", COUNT, "documents"),
    Metric("documents.quarantined", "Number of quarantined records", COUNT, "records"),
    Metric("documents.with_address", "Number of documents with an address", COUNT, "documents"),
    Metric("documents.no_prose", "Number of documents that are no prose, and so have no score", COUNT, "documents"),
    Metric("tokens", "Number of tokens", COUNT, "tokens", sign="size"),
    Metric("tokens.fresh_human", "Number of human tokens that no earlier release has", COUNT, "tokens", sign="size"),
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
    *_effective(),
)
