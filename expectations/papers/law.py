"""The forms that laws ask of who trains on a corpus: the EU's public summary of training content, California's AB 2013.

Sources, in our words: Template for the Public Summary of Training Content for general-purpose AI models, AI Office,
24 July 2025, adopted as communication C(2025) 8311 (Article 53(1)(d) of Regulation (EU) 2024/1689); California Civil Code
section 3111(a), items 1 to 12 (Assembly Bill 2013 of 2024). Questions about a model, a provider or a purpose cannot be
answered from a release, and are left open.
"""

from collections.abc import Callable, Sequence

from expectations.metrics.declared import find
from expectations.papers.facts import PaperCounts, ReleasedPaper
from expectations.papers.form import UNKNOWN, Cell, FormField, LawForm
from expectations.wording import number, plural

BILLION, TRILLION = 10**9, 10**12
TEXT_RANGES = ((BILLION, "Less than 1 billion tokens"), (10 * TRILLION, "1 billion to 10 trillion tokens"))
LARGEST_RANGE = "More than 10 trillion tokens"
TOP_DOMAINS = 0.10
TOKENS_PER_WORD = (
    9  # the most that was measured of a language (decision 59); where it changes the range, the form says so
)
WORDS = "Tokens are counted as words and ideographs; a model's own tokens are more."
ASK = "A release does not say it: who publishes the form answers."

Rows = tuple[tuple[Cell, ...], ...]


def text_range(tokens: int) -> str:
    """The template's range of an amount of text."""
    return next((said for below, said in TEXT_RANGES if tokens < below), LARGEST_RANGE)


def eu_summary(releases: Sequence[ReleasedPaper], counts: PaperCounts) -> LawForm:
    """The EU's public summary of training content."""
    general, listed, processed = "1. General information", "2. List of data sources", "3. Data processing"
    fields = (
        FormField(general, "1.1", "Provider: name and contact; authorised representative", note=ASK),
        FormField(
            general, "1.2", "Model: versioned names, models it depends on, date of placing on the market", note=ASK
        ),
        *_modalities(general, releases, counts),
        _latest(general, releases, counts),
        _languages(general, counts),
        *_declared_sources(listed, releases, counts),
        FormField(listed, "2.2.1", "Data licensed commercially by rightsholders or their representatives", note=ASK),
        FormField(listed, "2.2.2", "Private data obtained from other third parties", note=ASK),
        *_crawled(listed, counts),
        FormField(listed, "2.4", "Data of users of the provider's services and models", note=ASK),
        _synthetic(listed, "2.5", counts),
        FormField(listed, "2.6", "Other sources of data", note=ASK),
        *_rights(processed, releases),
        FormField(processed, "3.2", "Measures to avoid or remove illegal content", note=ASK),
        _processing(processed, "3.3", releases),
    )
    law = (
        "After the AI Office's template of July 2025 for the public summary of training content, "
        "Article 53(1)(d) of Regulation (EU) 2024/1689."
    )
    return LawForm("eu-summary", "Public summary of training content", law, _names(releases), fields)


def ab_2013(releases: Sequence[ReleasedPaper], counts: PaperCounts) -> LawForm:
    """California's twelve items."""
    title = "Datasets used to develop the system"
    fields = (
        _sources(title, "1", "Sources or owners of the datasets", releases, counts),
        FormField(title, "2", "How the datasets further the intended purpose of the system", note=ASK),
        FormField(
            title,
            "3",
            "Number of data points",
            f"{plural(counts.documents, 'document')}, {plural(counts.tokens, 'token')}",
            note=f"{_counted(releases)} A document that several releases hold counts once.",
        ),
        _types(title, counts),
        _copyright(title, counts),
        FormField(title, "6", "Whether the datasets were purchased or licensed", note=ASK),
        _personal(title, releases),
        FormField(title, "8", "Whether there is aggregate consumer information in the datasets", note=ASK),
        _processing(title, "9", releases),
        _collected(title, releases, counts),
        FormField(title, "11", "When the datasets were first used in the development of the system", note=ASK),
        _synthetic(title, "12", counts),
    )
    law = "California Civil Code section 3111(a), of Assembly Bill 2013 (2024): training data transparency."
    return LawForm("ab-2013", "Training data transparency", law, _names(releases), fields)


FORMS: dict[str, Callable[[Sequence[ReleasedPaper], PaperCounts], LawForm]] = {
    "eu-summary": eu_summary,
    "ab-2013": ab_2013,
}


def _names(releases: Sequence[ReleasedPaper]) -> tuple[tuple[str, str], ...]:
    return tuple((release.name, release.sha256) for release in releases)


def _counted(releases: Sequence[ReleasedPaper]) -> str:
    """What a token is in these releases, in a sentence."""
    names = {(release.manifest.get("tokenizer") or {}).get("name") for release in releases}
    if names <= {None}:
        return WORDS
    by = ", ".join(sorted(name for name in names if name))
    return (
        f"Tokens are counted by the tokenizer {by}."
        if None not in names
        else f"Tokens are counted by {by}, or as words."
    )


def _modalities(section: str, releases: Sequence[ReleasedPaper], counts: PaperCounts) -> tuple[FormField, ...]:
    tokens, top = counts.tokens, text_range(counts.tokens * TOKENS_PER_WORD)
    words = any(not release.manifest.get("tokenizer") for release in releases)
    note = _counted(releases) + (
        f" With a model's tokens it may be: {top}." if words and top != text_range(tokens) else ""
    )
    return (
        FormField(
            section,
            "1.3",
            "Text: size of the training data",
            f"{text_range(tokens)} ({plural(tokens, 'token')} in {plural(counts.documents, 'document')})",
            note=f"{note} A document that several releases hold counts once.",
        ),
        FormField(section, "1.3", "Image, audio, video: size", "None in these releases: they hold text alone."),
        FormField(section, "1.3", "Types of content", note=ASK),
    )


def _latest(section: str, releases: Sequence[ReleasedPaper], counts: PaperCounts) -> FormField:
    question = "Latest date of acquisition or collection of the data"
    days = _declared(releases, "collected")
    open_ = sorted(name for name, told in days.items() if None in told)
    known = sorted(day for told in days.values() for day in told if day is not None)
    newest = max((str(last.date()) for _, last in counts.span.values()), default=None)
    note = f"The newest date that a document itself bears: {newest}." if newest else "No document bears a date."
    if not known:
        return FormField(section, "1.3", question, note=f"No source declares when it was collected. {note}")
    left = f" Not known of: {', '.join(open_)}." if open_ else ""
    answer = f"{known[-1]}, of the sources that declare it." if open_ else f"{known[-1]}."
    return FormField(section, "1.3", question, answer + left, note=note)


def _languages(section: str, counts: PaperCounts) -> FormField:
    rows = _rows(counts, "language")
    known = [row for row in rows if row[0] is not None]
    answer = f"Languages of documents, as the input says or as they were found: {len(known)}." if known else None
    return FormField(section, "1.3", "Linguistic characteristics", answer, ("language", "documents", "tokens"), rows)


def _declared_sources(section: str, releases: Sequence[ReleasedPaper], counts: PaperCounts) -> tuple[FormField, ...]:
    table = _sources(section, "2", "All sources of the releases", releases, counts)
    ask = (
        "A recipe names sources and files, and does not say which of them are public datasets; the table above has all."
    )
    return table, FormField(section, "2.1", "Publicly available datasets", note=ask)


def _crawled(section: str, counts: PaperCounts) -> tuple[FormField, ...]:
    largest, hosts = counts.largest_hosts(TOP_DOMAINS)
    bearing = sum(n for host, (n, _) in counts.hosts.items() if host is not None)
    crawler = FormField(section, "2.3", "Crawlers: names, purposes, behaviour, period of collection", note=ASK)
    question = "Top 10 % of domain names by size of content"
    if not hosts:
        return crawler, FormField(section, "2.3", question, note="No document of these releases bears a web address.")
    answer = f"{len(largest):,} of {hosts:,} domain names; {bearing:,} of {plural(counts.documents, 'document')} bear an address."
    note = (
        "Of the hosts of documents' addresses without www., by tokens. Who collected them, the provider or the maker "
        "of a dataset, is not known."
    )
    return crawler, FormField(section, "2.3", question, answer, ("domain", "documents", "tokens"), tuple(largest), note)


def _synthetic(section: str, number_: str, counts: PaperCounts) -> FormField:
    question = "Synthetic data: how much, and by which models"
    found = counts.by("generator", "origin_basis", "source", origin="synthetic")
    documents, tokens = sum(n for _, n, _ in found), sum(t for _, _, t in found)
    undeclared = sum(
        n for (origin, basis), n, _ in counts.by("origin", "origin_basis") if basis in ("detector", "none")
    )
    note = (
        f"The origin of {plural(undeclared, 'document')} rests on a detector or on nothing; a detector's word is "
        "evidence, no proof. Whether the provider's own models made any of it is not known."
    )
    if not documents and undeclared:
        return FormField(section, number_, question, note=f"No document is known to be synthetic. {note}")
    share = number(tokens / counts.tokens if counts.tokens else None, "share")
    answer = (
        f"{plural(documents, 'document')}, {plural(tokens, 'token')} ({share} of all tokens)."
        if documents
        else "None that is known."
    )
    rows = tuple((*key, n, of) for key, n, of in found)
    return FormField(
        section, number_, question, answer, ("model", "basis", "source", "documents", "tokens"), rows, note
    )


def _rights(section: str, releases: Sequence[ReleasedPaper]) -> tuple[FormField, ...]:
    removals = sum(len(release.manifest.get("removals") or []) for release in releases)
    question = "Respect of reservations of rights from text and data mining (opt-out)"
    done = f"{removals} lists of removals were applied (`removals` of the recipes); " if removals else ""
    licences = sorted({str(one) for r in releases for one in (r.recipe.get("licences") or {}).get("deny") or []})
    done += f"documents under these licences are not let in: {', '.join(licences)}; " if licences else ""
    note = f"{ASK} Codes of practice, protocols such as robots.txt, and what crawlers did are not known here."
    return (FormField(section, "3.1", question, f"{done[0].upper()}{done[1:-2]}." if done else None, note=note),)


def _processing(section: str, number_: str, releases: Sequence[ReleasedPaper]) -> FormField:
    question = "Cleaning, processing and other changes of the data"
    rows: list[tuple[Cell, ...]] = []
    for release in releases:
        dropped = {name: row["value"] for name, row in release.rows("documents.dropped", "after", "reason").items()}
        rows += [(release.name, reason, int(n)) for reason, n in sorted(dropped.items()) if n]
        unreadable = release.rows("documents.quarantined", "before", "overall").get("", {}).get("value")
        rows += [(release.name, "could not be read", int(unreadable))] if unreadable else []
    done = "Documents were dropped for these reasons; each is in the ledger." if rows else "No document was dropped."
    answer = f"{done} To what end in relation to the system is not known."
    return FormField(section, number_, question, answer, ("release", "reason", "documents"), tuple(rows))


def _sources(
    section: str, number_: str, question: str, releases: Sequence[ReleasedPaper], counts: PaperCounts
) -> FormField:
    told = {key: _declared(releases, key) for key in ("licence", "origin", "collected")}
    held = {str(key[0]): (n, tokens) for key, n, tokens in counts.by("source")}
    names = sorted(told["licence"].keys() | held.keys(), key=lambda one: (-held.get(one, (0, 0))[1], one))
    rows = tuple(
        (name, *(_together(of.get(name, [])) for of in told.values()), *held.get(name, (0, 0))) for name in names
    )
    header = ("source", "licence", "origin", "collected", "documents", "tokens")
    note = "Licence, origin and day of collection as the recipes declare them for a whole source. Owners are not known."
    return FormField(section, number_, question, f"Sources: {len(rows)}.", header, rows, note)


def _types(section: str, counts: PaperCounts) -> FormField:
    note = f"{find('documents').title} by origin, as declared, shown by the text itself, or estimated by a detector."
    header = ("origin", "basis", "documents", "tokens")
    rows = tuple((*key, n, tokens) for key, n, tokens in counts.by("origin", "origin_basis"))
    answer = "Documents of plain text, each labelled with its origin: human, synthetic or unknown."
    return FormField(section, "4", "Types of data points", answer, header, rows, note)


def _copyright(section: str, counts: PaperCounts) -> FormField:
    question = "Whether data are protected by copyright, trademark or patent, or all in the public domain"
    rows = _rows(counts, "licence")
    known = [row for row in rows if row[0] is not None]
    note = "Licences in SPDX's words, as rows or sources state them. Of trademarks and patents nothing is known."
    if not known:
        return FormField(section, "5", question, note=note, header=("licence", "documents", "tokens"), rows=rows)
    answer = f"Licences that are stated: {len(known)}. A licence presumes that there is a right to give."
    return FormField(section, "5", question, answer, ("licence", "documents", "tokens"), rows, note)


def _personal(section: str, releases: Sequence[ReleasedPaper]) -> FormField:
    question = "Whether there is personal information in the datasets"
    rows: list[tuple[Cell, ...]] = []
    silent = []
    for release in releases:
        found = release.rows("personal.found", "after", "personal")
        silent += [] if found else [release.name]
        masked = release.rows("personal.masked", "after", "personal")
        rows += [
            (release.name, kind, *(None if row is None or row["value"] is None else int(row["value"]) for row in both))
            for kind, both in ((kind, (row, masked.get(kind))) for kind, row in found.items())
        ]
    note = "Found by pattern and checksum; names are not looked for, so that nothing was found proves nothing."
    if silent:
        note += f" Not counted in: {', '.join(silent)} (`personal_data: true` in the recipe counts)."
    found_any = any(row[2] for row in rows)
    answer = "Text that looks like personal information was found, by pattern." if found_any else None
    return FormField(section, "7", question, answer, ("release", "kind", "found", "masked"), tuple(rows), note)


def _collected(section: str, releases: Sequence[ReleasedPaper], counts: PaperCounts) -> FormField:
    question = "When the data were collected, and whether collection goes on"
    declared = _declared(releases, "collected")
    rows: list[tuple[Cell, ...]] = []
    for name in sorted(declared.keys() | counts.span.keys()):
        first, last = (str(one.date()) for one in counts.span[name]) if name in counts.span else (None, None)
        rows.append((name, _together(declared.get(name, [])), first, last))
    days = sorted(day for told in declared.values() for day in told if day is not None)
    answer = f"Declared: {days[0]} to {days[-1]}. Whether collection goes on is not known." if days else None
    header = ("source", "collected", "first date of a document", "last date of a document")
    return FormField(
        section, "10", question, answer, header, tuple(rows), "A document's own date is no date of collection."
    )


def _declared(releases: Sequence[ReleasedPaper], key: str) -> dict[str, list[str | None]]:
    """What the recipes declare of each source; of one that stands in several of them, every different word, None among them."""
    found: dict[str, list[str | None]] = {}
    for release in releases:
        for source in release.sources:
            value = source.get(key)
            said = None if value is None else str(value)
            had = found.setdefault(str(source["name"]), [])
            had += [] if said in had else [said]
    return found


def _together(told: list[str | None]) -> str | None:
    if all(one is None for one in told):
        return None
    return "; ".join(UNKNOWN if one is None else one for one in told)


def _rows(counts: PaperCounts, name: str) -> Rows:
    """Documents and tokens by a column, the most tokens first; what is not known is one row."""
    found: dict[str | None, tuple[int, int]] = {}
    for (value,), documents, tokens in counts.by(name):
        key = None if value == "unknown" else value
        had = found.get(key, (0, 0))
        found[key] = (had[0] + documents, had[1] + tokens)
    return tuple((key, *both) for key, both in sorted(found.items(), key=lambda one: (-one[1][1], str(one[0]))))
