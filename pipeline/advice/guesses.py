"""Which columns of the input decide something because of their names alone: the recipe does not name them."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow.compute as pc

from expectations import contracts
from expectations.wording import plural
from pipeline.recipe import Recipe
from transforms.ingest import columns as documents
from transforms.ingest.computed import parts
from transforms.ingest.first_rows import first_rows
from transforms.ingest.formats import FORMATS
from transforms.ingest.sources import InputError, Piece, Source, find_pieces

LOOKED_AT = 3  # files of a source: the first, the middle and the last
FIELDS = ("text", "id", "created", "language", "url", "origin", "generator", "kind")
LOOSE = ("label",)  # names that are as likely of another thing


def guessed(
    what: Recipe | Sequence[Source], files: Sequence[Sequence[Piece]] = (), only_origin: bool = False
) -> Iterator[str]:
    """One line for each source and field that is read from a column of a well-known name, by some rows of some files.

    `text`, `id`, `created`, `language` and `url` share one line, which is left out with `only_origin`:
    only an origin, generator or kind changes what a row counts as. `files` are those of each source: without them it is listed
    anew.
    """
    for number, source in enumerate(what.sources if isinstance(what, Recipe) else what):
        samples = [
            sample
            for piece in _chosen(source, files[number] if files else ())
            if (sample := _sample(piece, source)) is not None
        ]
        found = {field: _used(source, field, samples) for field in FIELDS}
        plain = [
            f"{field} from `{parts(names[0])[0]}`" for field, names in found.items() if names and field not in DECIDES
        ]
        if plain and not only_origin:
            yield f"source {source.name}: {', '.join(plain)} (guessed by name)"
        for field in DECIDES:
            for name in found[field]:
                declared = getattr(source, field)
                if declared is not None:
                    yield (
                        f"source {source.name}: column `{name}` is not read: the recipe says {field} {declared}; "
                        f"to read it, set fields.{field}: {name}"
                    )
                else:
                    yield (
                        f"source {source.name}: {field} is read from column `{name}` (guessed){_says(field, name, samples)}; "
                        f"if it means another thing, declare {field} in the recipe"
                    )


DECIDES = ("origin", "generator", "kind")


def _chosen(source: Source, files: Sequence[Piece]) -> list[Piece]:
    try:
        pieces = [piece for piece in files or find_pieces(source) if not FORMATS[piece.format].one_document]
    except InputError:
        return []
    return [pieces[at] for at in sorted({0, len(pieces) // 2, len(pieces) - 1}) if 0 <= at < len(pieces)][:LOOKED_AT]


def _sample(piece: Piece, source: Source) -> documents.Columns | None:
    """The first rows of a file; None if they cannot be read, which the run says in its own words."""
    try:
        return first_rows(piece, source).columns
    except OSError:
        return None


def _used(source: Source, field: str, samples: list[documents.Columns]) -> list[str]:
    """The well-known names of a field that say something somewhere, in the order in which they are tried."""
    if getattr(source.fields, field) is not None or (field == "text" and source.fields.turns is not None):
        return []
    found = []
    for name in documents.names(source.fields, field):
        texts = [text for sample in samples if (text := sample.text(name)) is not None]
        if not any(text.null_count < len(text) for text in texts):
            continue
        if name in LOOSE and not sum(_words(name, samples).values()):
            continue  # a class of another kind, which says nothing of an origin
        found.append(name)
    return found


def _words(name: str, samples: list[documents.Columns]) -> Counter[str]:
    """Values of a column that are words for an origin, and how often they are there."""
    counts: Counter[str] = Counter()
    for sample in samples:
        if (text := sample.text(name)) is not None:
            for row in pc.value_counts(pc.utf8_lower(pc.utf8_trim_whitespace(text))).to_pylist():
                if row["values"] in documents.ORIGIN_WORDS and not (
                    name in LOOSE and row["values"] in documents.NOT_AS_LABEL
                ):
                    counts[row["values"]] += row["counts"]
    return counts


def _says(field: str, name: str, samples: list[documents.Columns]) -> str:
    if field != "origin":
        return ""
    rows = max((sum(len(text) for s in samples if (text := s.text(name)) is not None)), 0)
    words = _words(name, samples).most_common(4)
    parts = [f"{count:,} `{word}` count as {contracts.ORIGINS[documents.ORIGIN_WORDS[word]]}" for word, count in words]
    return f": of the first {plural(rows, 'row')} {', '.join(parts) or 'none says anything'}"
