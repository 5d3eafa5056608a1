"""Where documents come from, and how the reading is cut into tasks.

A recipe names sources; `plan_splits` looks at their files once, before the run, and packs them into splits. Its answer
depends on the files alone: sources in the recipe's order, paths sorted.
"""

import collections
import dataclasses
import datetime
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ConfigDict, Field

Format = Literal["auto", "jsonl", "parquet", "text", "lines"]

FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet", ".txt": "text", ".md": "text",
    ".text": "text",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
# They describe a data set and are never part of it.
DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"}


class InputError(Exception):
    """A source cannot be used. The message says what, where, and what to do."""


class Fields(BaseModel):
    """Names of the input's columns; null: the well-known names are tried (transforms/ingest/columns.py).

    A dot reaches into a nested object: `metadata.text`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = None
    text: str | None = None
    created: str | None = None
    language: str | None = None
    url: str | None = None
    origin: str | None = None
    generator: str | None = None
    kind: str | None = None
    stratum: str | None = None


class Source(BaseModel):
    """One source of a recipe.

    Attributes:
      name: unique in the recipe.
      path: files, folders (taken with all below them) or globs (`*` stays in a folder, `**` does not), on any of
        Beam's filesystems.
      format: `auto` goes by the extension; `text` takes a file as one document, `lines` a line.
      fields: which column is which.
      origin: declared for every row that does not say otherwise itself.
      generator: of the synthetic rows that do not name one themselves.
      kind: likewise, the kind of synthetic text: rephrased, textbook, translation, or any other word.
      licence: as the source states it.
      trust: 0 to 1, how far to believe this source about itself; between duplicates the more trusted survives.
      protected: never dropped to reach a ratio.
      trust_dates: whether `created` is when a document was written; then those older than `evidence.date_cutoff` are human,
        but for a part that depends on the year. Not for dates that the crawler or an editing system may have set.
      collected: the day on which the source was crawled or exported; text without a date counts as of that day when it is asked
        whether the detector knows the machines of its time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    path: str | Annotated[tuple[str, ...], Field(min_length=1)]
    format: Format = "auto"
    fields: Fields = Fields()
    origin: Literal["human", "synthetic"] | None = None
    generator: str | None = None
    kind: str | None = None
    licence: str | None = None
    trust: Annotated[float, Field(ge=0, le=1)] = 0.5
    protected: bool = False
    trust_dates: bool = False
    collected: datetime.date | None = None


@dataclasses.dataclass(frozen=True)
class Piece:
    """A file, or a range of row groups of a Parquet file.

    Attributes:
      path: of the file.
      format: jsonl, parquet, text or lines.
      compression: "", gzip, zstd or bz2.
      size: bytes in storage of this piece.
      fingerprint: changes when the file does: its size and time of change.
      row_groups: first and end of the range; None: the whole file.
    """

    path: str
    format: str
    compression: str
    size: int
    fingerprint: str
    row_groups: tuple[int, int] | None = None


EARLIER = -1  # the number of the source that a document of an earlier release has


@dataclasses.dataclass(frozen=True)
class Split:
    """What one task reads: pieces of one source, of about the target size together."""

    index: int
    source: int  # its number in the recipe
    pieces: tuple[Piece, ...]
    n_bytes: int  # in storage


def plan_splits(sources: Sequence[Source], target_bytes: int = 32 << 20) -> list[Split]:
    """Find the files of every source and pack them into splits of about `target_bytes` of storage.

    Small files share a split, in the order of their paths; a Parquet file larger than the target is cut at row groups;
    any other file is read as a whole.

    Raises:
      InputError: a source matches no file of a known format, or cannot be listed.
    """
    splits: list[Split] = []
    for number, source in enumerate(sources):
        pieces = (part for piece in find_pieces(source) for part in _cut(piece, target_bytes))
        for pack in _packs(pieces, target_bytes):
            splits.append(Split(len(splits), number, tuple(pack), sum(piece.size for piece in pack)))
    return splits


def find_pieces(source: Source) -> list[Piece]:
    """Every file of a source, sorted by path; one that two patterns match counts once.

    Raises:
      InputError: as `plan_splits`.
    """
    found: dict[str, Piece] = {}
    for path, files, pieces in _found(source):
        if not pieces:
            raise InputError(_nothing(source, path, files))
        for piece in pieces:
            if not piece.path.isprintable():
                raise InputError(
                    f"source {source.name}: the file name {piece.path!a} cannot be written down; rename it"
                )
        found.update((piece.path, piece) for piece in pieces)
    return [found[path] for path in sorted(found)]


def find_unread(source: Source) -> dict[str, int]:
    """Files that a source's folders and patterns match and that are not read, by ending (`.md`, `.txt.gz`; "": none), in order.

    Files that are hidden or describe a data set do not count.
    """
    matched: set[str] = set()
    read: set[str] = set()
    for _, files, pieces in _found(source):
        matched.update(file.path for file in files if posixpath.basename(file.path) not in DESCRIPTIONS)
        read.update(piece.path for piece in pieces)
    return dict(sorted(collections.Counter(map(_ending, matched - read)).items()))


def _ending(path: str) -> str:
    """`.txt`, `.txt.gz`, or nothing."""
    stem, ending = posixpath.splitext(path.lower())
    return posixpath.splitext(stem)[1] + ending if ending in COMPRESSIONS else ending


def _found(source: Source) -> Iterator[tuple[str, list[FileMetadata], list[Piece]]]:
    """For each path of a source the files that it stands for, and those of them that are read."""
    for path in (source.path,) if isinstance(source.path, str) else source.path:
        files, kind = _list(source, path)
        pieces = [p for p in (_piece(source.format, file, kind) for file in files) if p]
        if kind != "file" and source.format == "auto" and any(p.format != "text" for p in pieces):
            # Beside data, a text file is a README or a licence.
            pieces = [p for p in pieces if p.format != "text"]
        yield path, files, pieces


def _list(source: Source, path: str) -> tuple[list[FileMetadata], str]:
    """The files that a path stands for, and what it is: a file, a folder or a pattern."""
    if "://" not in path:
        path = os.path.normpath(path)
    try:
        exists = FileSystems.exists(path)
        if exists or not re.search(r"[*?\[]", path):
            # Patterns cannot quote: let a special character match any, and compare.
            inside = path.rstrip("/") + "/"
            below = _match(re.sub(r"[*?\[]", "?", inside) + "**")
            files = [file for file in below if file.path.startswith(inside) and not _hidden(file.path, inside)]
            if exists and not below and not os.path.isdir(path):
                return [FileSystems.get_filesystem(path).metadata(path)], "file"
            return files, "folder"
        fixed = path[: re.search(r"[*?\[]", path).start()].rpartition("/")[0]  # type: ignore[union-attr]
        wanted = posixpath.basename(path).startswith(("_", "."))
        return [file for file in _match(path) if wanted or not _hidden(file.path, fixed)], "pattern"
    except (OSError, ValueError) as error:  # BeamIOError is an OSError; an unknown scheme is a ValueError
        raise InputError(
            f"source {source.name}: cannot list {path!r} ({_one_line(error)}); check the path and your rights"
        ) from error


def _match(pattern: str) -> list[FileMetadata]:
    bare = "/" not in pattern  # Beam lists nothing for a pattern without a folder
    files = FileSystems.match([f"./{pattern}" if bare else pattern])[0].metadata_list
    return [
        file
        if "://" in file.path
        else FileMetadata(os.path.normpath(file.path), file.size_in_bytes, file.last_updated_in_seconds)
        for file in files
    ]


def _hidden(path: str, below: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.removeprefix(below).strip("/").split("/"))


def _piece(format: Format, file: FileMetadata, kind: str) -> Piece | None:
    """The file as a piece, or None if it is not data of this format."""
    stem, extension = posixpath.splitext(file.path.lower())
    compression = COMPRESSIONS.get(extension, "")
    known = FORMATS.get(posixpath.splitext(stem)[1] if compression else extension, "")
    if known == "parquet" and compression:
        known = ""
    if format == "auto":
        if not known or (kind != "file" and posixpath.basename(file.path) in DESCRIPTIONS):
            return None
    elif kind == "folder" and known != ("text" if format == "lines" else format):
        return None  # a folder may hold other things; a file or pattern is taken at the recipe's word
    fingerprint = f"{file.size_in_bytes}-{file.last_updated_in_seconds!r}"
    chosen = known if format == "auto" else format
    return Piece(file.path, chosen, "" if chosen == "parquet" else compression, file.size_in_bytes, fingerprint)


def _cut(piece: Piece, target_bytes: int) -> Iterator[Piece]:
    """Cut a large Parquet file at row groups, by its footer. A footer that cannot be read is the reader's to report."""
    if piece.format != "parquet" or piece.size <= target_bytes:
        yield piece
        return
    try:
        with FileSystems.open(piece.path, compression_type=CompressionTypes.UNCOMPRESSED) as raw:
            footer = pq.read_metadata(pa.PythonFile(raw, mode="r"))
            sizes = _row_group_sizes(footer, piece.size)
    except (pa.ArrowException, OSError, ValueError):
        yield piece
        return
    start = 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sum(sizes[start : end + 1]) > target_bytes:
            yield dataclasses.replace(piece, size=sum(sizes[start:end]), row_groups=(start, end))
            start = end
    if not sizes:
        yield piece


def _row_group_sizes(footer: pq.FileMetaData, size: int) -> list[int]:
    """Bytes of each row group in storage, about: the file's size by their sizes when decoded.

    The exact ones are in the columns' metadata, and asking for those of a damaged footer ends the process (pyarrow 25).
    """
    decoded = [max(footer.row_group(i).total_byte_size, 1) for i in range(footer.num_row_groups)]
    total = sum(decoded)
    return [size * one // total for one in decoded]


def _packs(pieces: Iterable[Piece], target_bytes: int) -> Iterator[list[Piece]]:
    pack: list[Piece] = []
    size = 0
    for piece in pieces:
        if pack and size + piece.size > target_bytes:
            yield pack
            pack, size = [], 0
        pack.append(piece)
        size += piece.size
    if pack:
        yield pack


def _nothing(source: Source, path: str, files: list[FileMetadata]) -> str:
    start = f"source {source.name}: {path!r}"
    if not files:
        return f"{start} matches no file; correct `path` (hidden files and names that start with '_' are skipped)"
    extensions = sorted({posixpath.splitext(file.path)[1] or "none" for file in files})
    return (
        f"{start} matches {len(files)} files, none in a known format (extensions: {', '.join(extensions[:8])}); "
        f"known are {', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)}; for other names set `format`"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
