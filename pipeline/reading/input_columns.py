"""Which columns an input has: to refuse a name that none of its files knows, with the nearest one that they do."""

from collections.abc import Sequence

from transforms.ingest.first_rows import first_rows
from transforms.ingest.sources import Source, Split

FILES = 100  # that are looked at
TABLES = ("parquet", "csv", "arrow", "orc")  # whose beginning names all of their columns


def columns_of(splits: Sequence[Split], sources: Sequence[Source]) -> tuple[list[str], bool]:
    """The names of columns in the beginnings of some files, and whether there can be no others."""
    pieces = {piece.path: (piece, sources[split.source]) for split in splits for piece in split.pieces}
    names: dict[str, None] = {}
    for piece, source in list(pieces.values())[:FILES]:
        try:
            names |= dict.fromkeys(first_rows(piece, source).names)
        except OSError:  # the reader says it
            continue
    return list(names), len(pieces) <= FILES and all(piece.format in TABLES for piece, _ in pieces.values())
