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
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from pydantic import Field

from expectations.loading import Strict
from expectations.wording import message
from transforms.engine.files import is_local
from transforms.engine.staged import Staged
from transforms.ingest.listing import UNREAD, Entry, Listing, Unread, is_regular, list_path

Format = Literal["auto", "jsonl", "parquet", "text", "lines"]

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
    ".text": "text",
}
COMPRESSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
# They describe a data set and are never part of it.
DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"}
NAMES_OF_DESCRIPTIONS = {"LICENSE", "LICENCE", "COPYING", "NOTICE", "README", "CITATION.CFF", "SHA256SUMS", "MD5SUMS"}
SPLIT_BYTES = 8 << 20  # small files are read together up to this size in storage
SPLITS = ("train", "validation", "test")
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


class InputError(Exception):
    """A source cannot be used. The message says what, where, and what to do."""


class Fields(Strict):
    """Names of the input's columns; null: the well-known names are tried (transforms/ingest/columns.py).

    A dot reaches into a nested object: `metadata.text`.
    """

    id: str | None = None
    text: str | None = None
    created: str | None = None
    language: str | None = None
    url: str | None = None
    origin: str | None = None
    generator: str | None = None
    kind: str | None = None
    stratum: str | None = None
    author: str | None = None
    licence: str | None = None


class Source(Strict):
    """One source of a recipe.

    Attributes:
      name: unique in the recipe.
      path: files, folders (taken with all below them) or globs (`*` stays in a folder, `**` does not), on any of
        Beam's filesystems. Links are followed.
      splits: of a data set, those to read: train, validation, test, as file or folder names say; empty: every file.
      format: `auto` goes by the extension; `text` takes a file as one document, `lines` a line.
      fields: which column is which.
      origin: declared for every row; a row says otherwise only in a column that `fields.origin` names.
      generator: of the synthetic rows; one names another only in a column that `fields.generator` names.
      kind: likewise, the kind of synthetic text: rephrased, textbook, translation, or any other word.
      licence: as the source states it; of rows that say nothing of their own.
      trust: 0 to 1, how far to believe this source about itself; between duplicates the more trusted survives.
      protected: never dropped to reach a ratio.
      trust_dates: whether `created` is when a document was written; then those older than `evidence.date_cutoff` are human,
        but for a part that depends on the year. Not for dates that the crawler or an editing system may have set.
      collected: the day on which the source was crawled or exported; text without a date counts as of that day when it is asked
        whether the detector knows the machines of its time.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    path: str | Annotated[tuple[str, ...], Field(min_length=1)]
    splits: tuple[Literal["train", "validation", "test"], ...] = ()
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
      fingerprint: changes when the file does: see `fingerprint_of`.
      row_groups: first and end of the range; None: the whole file.
      folder: that a relative path is in: the launcher's own, which need not be a worker's.
    """

    path: str
    format: str
    compression: str
    size: int
    fingerprint: str
    row_groups: tuple[int, int] | None = None
    folder: str = dataclasses.field(default="", compare=False, repr=False)

    @property
    def place(self) -> str:
        """Where a worker finds the file. `path` is what it is called, wherever it is shown or named."""
        return posixpath.join(self.folder, self.path) if self.folder else self.path

    @property
    def key(self) -> tuple[object, ...]:
        """All that its content depends on."""
        return self.path, self.format, self.compression, self.size, self.fingerprint, self.row_groups


EARLIER = -1  # the number of the source that a document of an earlier release has


@dataclasses.dataclass(frozen=True)
class Split:
    """What one task reads: pieces of one source, of about the target size together."""

    index: int
    source: int  # its number in the recipe
    pieces: tuple[Piece, ...]
    n_bytes: int  # in storage


class Splits(Staged, tuple[Split, ...]):
    """All splits of a run, in order: the one at `i` has index `i`. Workers read them from one file."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found of a source.

    Attributes:
      pieces: its files, sorted by path.
      unread: every entry of its folders and patterns that is not read, sorted by path.
    """

    pieces: tuple[Piece, ...]
    unread: tuple[Unread, ...]


@dataclasses.dataclass(frozen=True)
class InputPlan:
    """What is read in which tasks, and what was found of each source."""

    splits: Splits
    found: tuple[Found, ...]


def plan_splits(sources: Sequence[Source], target_bytes: int = SPLIT_BYTES) -> list[Split]:
    """The splits of `plan`, for who needs no more."""
    return list(plan(sources, target_bytes).splits)


def plan(sources: Sequence[Source], target_bytes: int = SPLIT_BYTES) -> InputPlan:
    """Find the files of every source and pack them into splits of about `target_bytes` of storage.

    Small files share a split, in the order of their paths; a Parquet file larger than the target is cut at row groups;
    any other file is read as a whole.

    Raises:
      InputError: a source matches no file of a known format, or cannot be listed.
    """
    splits: list[Split] = []
    found = tuple(find_files(source) for source in sources)
    for number, files in enumerate(found):
        pieces = (part for piece in files.pieces for part in _cut(piece, target_bytes))
        for pack in _packs(pieces, target_bytes):
            splits.append(Split(len(splits), number, tuple(pack), sum(piece.size for piece in pack)))
    return InputPlan(Splits(splits), found)


def find_files(source: Source) -> Found:
    """Every file of a source, sorted by path, and every entry of its folders and patterns that is not read.

    One that two patterns match counts once, and so does one that has several names by links.

    Raises:
      InputError: a path matches no file of a known format, or cannot be listed.
    """
    by_path: dict[str, Piece] = {}
    real: dict[str, str] = {}
    unread: dict[str, str] = {}
    for path in (source.path,) if isinstance(source.path, str) else source.path:
        listing = _listed(source, path)
        pieces, others = _sorted_out(source, listing)
        if not pieces:
            raise InputError(_nothing(source, path, [*others, *listing.unread]))
        for piece in pieces:
            if not _is_text(piece.path):
                raise InputError(
                    f"source {source.name}: the file name {piece.path!a} cannot be written down; rename it"
                )
        by_path.update((piece.path, piece) for piece in pieces)
        real.update((entry.path, entry.real) for entry in listing.entries)
        unread.update((one.path, one.reason) for one in (*others, *listing.unread))
    chosen: dict[str, str] = {}
    # Of several names of one file, one that needs no link.
    for path in sorted(by_path, key=lambda path: (os.path.abspath(path) != real[path], path)):
        if chosen.setdefault(real[path], path) != path:
            del by_path[path]
            unread[path] = "linked_again"
    pieces = [by_path[path] for path in sorted(by_path)]
    rest = [Unread(path, reason) for path, reason in sorted(unread.items()) if path not in by_path]
    return Found(tuple(pieces), tuple(rest))


def find_pieces(source: Source) -> list[Piece]:
    """The files of a source that are read, as `find_files`."""
    return list(find_files(source).pieces)


def _is_text(path: str) -> bool:
    """Whether a name is UTF-8: a ledger keeps it as it is, and where it is shown it is escaped."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def ending_of(path: str) -> str:
    """`.txt`, `.txt.gz`, or nothing."""
    stem, ending = posixpath.splitext(posixpath.basename(path).lower())
    return posixpath.splitext(stem)[1] + ending if ending in COMPRESSIONS else ending


def split_of(path: str, source: Source) -> str:
    """Which split of a data set a file is of, by its name or that of a folder below the source's: one of `SPLITS`, or ""."""
    tops = (source.path,) if isinstance(source.path, str) else source.path
    below = next((path[len(top) :] for top in tops if path.startswith(top.rstrip("/") + "/")), posixpath.basename(path))
    for part in reversed(below.lower().split("/")):
        for word in re.split(r"[^a-z]+", part):
            if word in _SPLIT_WORDS:
                return _SPLIT_WORDS[word]
    return ""


def splits_of(source: Source, paths: Iterable[str]) -> dict[str, int]:
    """How many of a source's files are of which split of a data set; "": their names do not say."""
    parts = collections.Counter(split_of(path, source) for path in paths)
    return {part: parts[part] for part in (*SPLITS, "") if parts[part]}


def _sorted_out(source: Source, listing: Listing) -> tuple[list[Piece], list[Unread]]:
    """The files that are read, and the others with their reasons."""
    pieces: list[Piece] = []
    others: list[Unread] = []
    for entry in listing.entries:
        piece, reason = _piece(source, entry, listing.kind)
        if piece:
            pieces.append(piece)
        else:
            others.append(Unread(entry.path, reason))
    if listing.kind != "file" and source.format == "auto" and any(p.format != "text" for p in pieces):
        others += [Unread(p.path, "text_beside_data") for p in pieces if p.format == "text"]
        pieces = [p for p in pieces if p.format != "text"]
    if source.splits:
        others += [Unread(p.path, "other_split") for p in pieces if split_of(p.path, source) not in source.splits]
        pieces = [p for p in pieces if split_of(p.path, source) in source.splits]
    return pieces, others


def _listed(source: Source, path: str) -> Listing:
    try:
        return list_path(path)
    except (OSError, ValueError) as error:  # BeamIOError is an OSError; an unknown scheme is a ValueError
        raise InputError(
            f"source {source.name}: cannot list {path!r} ({message(error)}); check the path and your rights"
        ) from error


def _piece(source: Source, entry: Entry, kind: str) -> tuple[Piece | None, str]:
    """The file as a piece; or nothing, and why it is not data of the source's format."""
    format, name = source.format, posixpath.basename(entry.path)
    stem, extension = posixpath.splitext(entry.path.lower())
    compression = COMPRESSIONS.get(extension, "")
    known = FORMATS.get(posixpath.splitext(stem)[1] if compression else extension, "")
    if known == "parquet" and compression:
        known = ""
    reason = "other_format"
    if kind != "file" and (name in DESCRIPTIONS or name.upper() in NAMES_OF_DESCRIPTIONS):
        reason = "describes_data"
    elif entry.size is None:
        reason = "dangling_link"
    if format == "auto":
        if not known or reason == "describes_data":
            return None, reason
    elif kind == "folder" and known != ("text" if format == "lines" else format):
        return None, reason  # a folder may hold other things; a file or pattern is taken at the recipe's word
    # A link to nothing that is called like data is a lost file: it is the reader's to report.
    chosen = known if format == "auto" else format
    if entry.size == 0 and not compression and chosen in ("jsonl", "lines"):
        return (
            None,
            "empty_file",
        )  # no line is in it, and nobody would miss it otherwise; of a compressed one not even the header came
    fingerprint = fingerprint_of(entry.path) or f"{entry.size or 0}-{entry.changed!r}"
    at = "" if not is_local(entry.path) or os.path.isabs(entry.path) else os.getcwd()
    packed = "" if chosen == "parquet" else compression
    return Piece(entry.path, chosen, packed, entry.size or 0, fingerprint, folder=at), ""


def fingerprint_of(path: str) -> str:
    """What changes when a local file does; nothing of one in an object store, whose time of change nobody sets back.

    The time of change of the inode is set by the system alone: it tells an edit that keeps the size and sets the time back.
    """
    try:
        found = os.stat(path)
    except OSError:  # not local, or gone: for the reader to say
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def unchanged(split: Split) -> None:
    """Refuse a split with a file that changed since the run was planned.

    Raises:
      InputError: it has one.
    """
    for piece in split.pieces:
        now = fingerprint_of(piece.place)
        if now and now != piece.fingerprint:
            raise InputError(f"{piece.path} changed while the run was going; run again")


def _cut(piece: Piece, target_bytes: int) -> Iterator[Piece]:
    """Cut a large Parquet file at row groups, by its footer. A footer that cannot be read is the reader's to report."""
    if piece.format != "parquet" or piece.size <= target_bytes:
        yield piece
        return
    try:
        if not is_regular(piece.path):
            raise OSError
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


def _nothing(source: Source, path: str, unread: list[Unread]) -> str:
    start = f"source {source.name}: {path!r}"
    others = [one.path for one in unread if one.reason not in ("hidden", "link_loop", "linked_again")]
    if not others:
        return f"{start} matches no file; correct `path` (hidden files and names that start with '_' are skipped)"
    if any(one.reason == "other_split" for one in unread):
        there = {split_of(one.path, source) for one in unread if one.reason == "other_split"} - {""}
        names = ", ".join(split for split in SPLITS if split in there) or "no split's name"
        return f"{start} has no file of splits: {', '.join(source.splits)}; its files are of {names}"
    if all(one.reason == "empty_file" for one in unread if one.path in others):
        return f"{start} matches {len(others)} files, all of them of 0 bytes; fetch them again"
    if len(others) == 1 and unread[0].reason == "not_a_file":
        return f"{start} is {UNREAD['not_a_file']}; name a file or folder"
    extensions = sorted({posixpath.splitext(other)[1] or "none" for other in others})
    return (
        f"{start} matches {len(others)} files, none in a known format (extensions: {', '.join(extensions[:8])}); "
        f"known are {', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)}; for other names set `format`"
    )
