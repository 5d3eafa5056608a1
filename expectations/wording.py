"""How numbers of a release are said: stages, slices, reasons, and plain sentences. What a person reads is worded here."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from expectations.metrics import declared

WORDS, TOKENS = "words", "tokens"  # what `n_tokens` counts: words and ideographs, or a model's tokens by `tokenizer:`
EITHER = f"{WORDS} or {TOKENS}"  # where no release is at hand that says which
NOTHING, LITTLE = 1e-9, 1e-4  # a share under the first is said to be 0%, one under the second to be less than that
STAGES = {"before": "what was read", "deduplicated": "what dedup kept", "after": "the release"}
SLICE_KINDS = {
    "overall": "",
    "source": "source",
    "language": "language",
    "site": "site",  # the host of an address
    "phrase": "phrase",  # in canonical form, as a document has it
    "generator": "generator",
    "licence": "licence",
    "origin": "origin",
    "reason": "reason",
    "kind_of_text": "kind of text",  # "<column of the labelled data>/<its value>"
    "text_kind": "kind of text that is no prose",  # of transforms/kernels/text/prose.py
    "origin_basis": "origin and basis",  # "<origin>/<basis>", or the basis alone
    "conflict": "who says human and who synthetic",  # "<basis>/<basis>"
    "credential": "what the credential says",  # "synthetic", "unverified" or "malformed"
    "cluster_size": "cluster size",
    "similarity": "similarity",  # "0.80-0.85", to the survivor
    "limit": "limit",
    "way_out": "what is changed",  # "<knob>/<source or limit>"
    "stratum": "stratum",
    "kind": "kind of synthetic text",
    "depth": "depth",  # of what synthetic text was made of: "1" or "2 or more"
    "verifier": "verifier",
    "source_reason": "source and reason",  # "<source>/<reason>"
    "source_field": "source and field",  # "<source>/<field>"
    "source_origin": "source and origin",  # "<source>/<origin>"
    "file": "file",  # its path
    "year": "year",
    "band": "band of frequency",  # "1e-06 to 1e-05", in the reference
    "score": "whose, and score from",  # "<undeclared, human or machine>/<log-odds>"
    "personal": "kind of personal data",  # email, phone, card, iban, ip, key
    "source_personal": "source and kind of personal data",  # "<source>/<kind>"
    "evaluation_set": "evaluation set",  # its name
    "item": "item",  # "<evaluation set>/<item>"
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
    "over_synthetic_share": "Over the synthetic share",
    "same_url": "Same address",
    "in_earlier_release": "In an earlier release",
    "over_limit": "Over a limit of the mixture",
    "contaminated": "Holds items of an evaluation set",
    "withdrawn": "Withdrawn, or like what is",
    "licence": "Licence that is not allowed",
}


def plural(n: float, one: str, many: str = "") -> str:
    """So many of a thing: "1 file", "2 files", "1,234 queries"; `many` where it is not `one` with an s."""
    return f"{n:,.0f} {one if n == 1 else many or f'{one}s'}"


def amount(n: float, unit: str) -> str:
    """So much of what `n_tokens` counts: "1 word", "2 tokens"."""
    return plural(n, unit if unit == EITHER else unit.removesuffix("s"), unit)


def estimate(value: float | None, upper: float | None) -> str:
    """A share and its upper bound: "4.1%, at most 5%"; what was not measured is said once, and not as a limit."""
    point = "not measured" if value is None else number(value, "share")
    return point if upper is None else f"{point}, {at_most(upper)}"


def at_most(upper: float) -> str:
    """An upper bound of a share: "at most 5%", "less than 0.01%"."""
    said = number(upper, "share")
    return said if said.startswith("less than") else f"at most {said}"


def points(change: float, digits: int = 2) -> str:
    """A change of a share, in points of per cent with its sign: "+5.3 points"."""
    text = plain(100 * abs(change), digits)
    sign = "+" if change > 0 else "-" if change < 0 else ""
    return f"{sign}{text} point{'' if text == '1' else 's'}"


# How a growing number is said to grow, by its ratio; the inverse of each is how a shrinking one shrinks.
_GROWTH = (
    (3.2, "more than tripled", "fell to less than a third"),
    (2.8, "about tripled", "fell to about a third"),
    (2.1, "more than doubled", "more than halved"),
    (1.95, "doubled", "halved"),
    (1.75, "nearly doubled", "nearly halved"),
    (1.0, "rose", "fell"),
)


def moved(before: float, after: float, form: str) -> str:
    """How one number became another: "nearly doubled, from 6.2% to 11.5%"; the digits that differ are shown."""
    if before == after:
        return f"stayed at {number(after, form)}"
    one, other = told_apart(before, after, form)
    verb = "rose" if after > before else "fell"
    if min(before, after) > 0:
        ratio = max(before, after) / min(before, after)
        verb = next((up if after > before else down) for least, up, down in _GROWTH if ratio >= least)
    return f"{verb}, from {one} to {other}" if verb not in ("rose", "fell") else f"{verb} from {one} to {other}"


def stable(value: float | None) -> float | None:
    """`value` to 12 significant digits, so that the last bits of a sum never decide; None if it is not finite."""
    return float(f"{value:.12g}") if value is not None and math.isfinite(value) else None


def number(value: float | None, form: str = "number", digits: int = 3) -> str:
    """`value` as a person writes it: 24.8%, less than 0.01%, 1,234,567, 0.0123; an en dash where there is none.

    A share that is given more than three digits is said exactly, however small.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if form == "share":
        if digits <= 3 and abs(value) < NOTHING:  # what an iteration leaves of nothing is nothing
            return "0%"
        return (
            f"less than {100 * LITTLE:g}%" if digits <= 3 and 0 < value < LITTLE else f"{plain(100 * value, digits)}%"
        )
    if form == "count" and value == int(value):
        return f"{int(value):,}"
    return plain(value, digits)


def span(low: float | None, high: float | None, form: str = "number") -> str:
    """Two ends in words: "4.1% to 4.9%"; one number where both read the same."""
    ends = number(low, form), number(high, form)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


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


def message(error: BaseException) -> str:
    """What an error says, on one line of bounded length."""
    return " ".join(str(error).split())[:200]


def named(error: BaseException) -> str:
    """The same behind the name of its kind, for errors of other libraries."""
    return f"{type(error).__name__}: {message(error)}"


def unit_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """What `n_tokens` counts in a release, "words" or "tokens", by its rows of METRICS."""
    return next(
        (row["unit"] for row in rows if row["metric"] == "tokens" and row.get("unit") in (WORDS, TOKENS)), EITHER
    )


def of_a_model(rows: Iterable[Mapping[str, Any]]) -> str:
    """What a model's tokenizer would count of a release in words: "1,200 to 1,400 tokens of a model"; empty: it is not known."""
    row = next((r for r in rows if (r["metric"], r["stage"]) == ("tokens.of_a_model", "after")), None)
    if row is None or row["lower"] is None or row["upper"] is None:
        return ""
    low, high = (float(f"{row[end]:.3g}") for end in ("lower", "upper"))
    return f"about {span(low, high, 'count')} {TOKENS} of a model"


def title(metric: str, unit: str = EITHER) -> str:
    """A metric's name in a sentence, where `n_tokens` counts `unit`: "Synthetic share of words"."""
    known = declared.METRICS.get(metric)
    return known.title.replace(TOKENS, unit) if known else declared.find(metric).title


def subject(metric: str, stage: str, slice_kind: str, slice_: str | None, unit: str = EITHER) -> str:
    """What was measured, to start a sentence with: `The synthetic share of words in the release (source "wiki")`."""
    called = title(metric, unit)
    words = f"The {called[0].lower()}{called[1:]} in {STAGES.get(stage, stage)}"
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
    return f"{about} is inconclusive: it rests on {plural(n, 'document')}, and it takes {needed:,} to judge it{seen}"


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
