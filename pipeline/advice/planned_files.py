"""The files of each source, as a run's plan has them; and those that two sources read."""

import collections
import functools
import itertools
import os
import posixpath
from collections.abc import Iterator, Sequence

from expectations.paths import is_local
from expectations.wording import plural
from transforms.ingest.sources import Piece, Source, Split
from transforms.measures.unread_input import printable

Files = dict[str, list[Piece]]


def planned_files(splits: Sequence[Split], number: int) -> Files:
    """The pieces of each file of a source, by its path, in their order. A large Parquet file is in several.

    Args:
      splits: of the plan.
      number: of the source in the recipe.
    """
    files: Files = {}
    for split in splits:
        for piece in split.pieces if split.source == number else ():
            files.setdefault(piece.path, []).append(piece)
    return files


def bytes_of(files: Files) -> int:
    """How much of storage they take; of a file in several pieces about."""
    return sum(piece.size for pieces in files.values() for piece in pieces)


def read_twice(sources: Sequence[Source], splits: Sequence[Split]) -> Iterator[str]:
    """A warning for each two sources that read the same files, whatever their folders are called; a link to a file is another."""
    real = functools.cache(lambda folder: os.path.realpath(folder) if is_local(folder) else folder)
    readers: dict[tuple[str, str], dict[int, str]] = collections.defaultdict(dict)
    for number in range(len(sources)) if len(sources) > 1 else ():
        for path in planned_files(splits, number):
            folder, name = posixpath.split(path)
            readers[real(folder), name][number] = path
    both: dict[tuple[int, int], list[dict[int, str]]] = collections.defaultdict(list)
    for paths in readers.values():
        for pair in itertools.combinations(paths, 2):
            both[pair].append(paths)
    for (one, other), found in both.items():
        names = [f"{sources[at].name} ({printable(found[0][at])})" for at in (one, other)]
        more = f", and {plural(len(found) - 1, 'more file')}" if len(found) > 1 else ""
        yield f"warning: sources {' and '.join(names)} read the same file{more}; name it in one of them, or its documents"
        yield "  are read twice, and dedup decides which source keeps them"
