"""What became of a document, in words, by its row of the ledger: its fate, what is known of it, and who said so."""

from collections.abc import Iterator
from typing import Any

from expectations.wording import amount, plural
from transforms.origin.phrase_files import load_phrases

SENTENCES = {
    None: "kept",
    "empty_text": "dropped: nothing is left of its text but white space and invisible characters",
    "in_earlier_release": "dropped: an earlier release (dedup.against) has this text, or one that shares most of its shingles",
    "over_synthetic_share": "dropped: synthetic, and past the cut that keeps the release's synthetic share in its limit",
    "over_limit": "dropped: past the cut that keeps a limit of the mixture (ratio.limits and its neighbours in the recipe)",
    "contaminated": "dropped: it holds items of an evaluation set (contamination in the recipe)",
    "withdrawn": "dropped: it is on a list of removals, or like a document that is (removals in the recipe)",
    "licence": "dropped: the recipe does not allow its licence (licences in the recipe)",
}

DUPLICATES = {
    "exact_duplicate": "the same text, but for case, spacing and punctuation marks' style,",
    "near_duplicate": "a text that shares most of its shingles",
    "same_url": "a document with the same address",
}

SAYS = {
    "credential:synthetic:unverified": "a content credential says that a machine wrote it; its signature was not verified",
    "credential:unverified": "a content credential that names no machine; nobody verified its signature, so it says nothing",
    "credential:malformed": "a content credential that is damaged, so it counts for nothing",
    "date:human": "it is older than evidence.date_cutoff, in a source whose dates are trusted",
}


def fate_of(row: dict[str, Any], survivor: dict[str, Any] | None) -> str:
    """What became of a document. A later stage may have dropped its survivor as well, and then nothing is kept for it."""
    if row["reason"] in DUPLICATES:
        lost = survivor is not None and not survivor["kept"]
        what = "was chosen instead, and then dropped as well" if lost else "is kept instead"
        return f"dropped: {DUPLICATES[row['reason']]} {what}"
    return SENTENCES.get(row["reason"], "dropped")


def fate(row: dict[str, Any], survivor: dict[str, Any] | None = None) -> str:
    """The same, and where."""
    where = f" [stage {row['stage']}, reason {row['reason']}]" if row["reason"] else ""
    return fate_of(row, survivor) + where


def named(row: dict[str, Any]) -> str:
    """Its id, and the input's own."""
    return row["id"] + (f" (input id {row['input_id']!r})" if row["input_id"] is not None else "")


def beside_title(row: dict[str, Any], survivor: dict[str, Any] | None) -> str:
    """Of the column beside a duplicate's own text."""
    if row["reason"] == "in_earlier_release":
        return "in the earlier release"
    return "survivor, kept" if survivor is None or survivor["kept"] else "survivor, dropped as well"


def facts(row: dict[str, Any], unit: str) -> Iterator[tuple[str, str]]:
    """What a row of the ledger says by itself: (label, words); an empty label goes on from the one before."""
    yield "read from", f"source {row['source']!r}, {row['path']}, row {row['row']}"
    p = "not scored" if row["p_synthetic"] is None else f"p_synthetic {row['p_synthetic']:.3f}"
    yield "origin", f"{row['origin']}, basis {row['origin_basis'] or 'none'}; {p}"
    yield from _evidence(row)
    yield "length", amount(row["n_tokens"], unit)
    if row.get("removed_tokens"):
        yield "removed", f"{plural(row['removed_tokens'], 'word')} more, in repeated paragraphs, before all else"
    if row.get("masked"):
        yield "masked", f"{row['masked']}, in the text that is released"


def _evidence(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each that spoke of its origin, the highest authority first; releases of earlier versions do not say."""
    phrases = {entry.id: entry.proves for entry in load_phrases()}
    for place, word in enumerate((row.get("evidence") or "").split()):
        basis, _, says = word.partition(":")
        sentence = SAYS.get(word, f"{basis} says {says}")
        if basis == "boilerplate":
            name = row["boilerplate"]
            sentence += f": phrase {name!r}" + (f" ({phrases[name]})" if name in phrases else "")
        elif basis == "watermark":
            sentence += f": {row['watermark']!r}, p-value {row['watermark_p']:.3g}"
        yield "" if place else "evidence", sentence
    if row.get("watermark_p") is not None and row["watermark"] is None:
        yield "", f"no watermark: the smallest p-value is {row['watermark_p']:.3g}, which says nothing"
