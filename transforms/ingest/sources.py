"""Where documents come from, and how the reading is cut into tasks.

A recipe names sources; `plan_splits` looks at their files once, before the run, and packs them into splits. Its answer
depends on the files alone: sources in the recipe's order, paths sorted.
"""

import collections
import dataclasses
import datetime
import functools
import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam import coders
from pydantic import Field, field_validator, model_validator

from expectations.errors import UserError
from expectations.loading import Strict
from expectations.paths import is_local, open_for_reading
from expectations.storage import StorageError
from expectations.wording import message, plural
from transforms.engine.coders import CompressedCoder
from transforms.engine.staged import Staged
from transforms.engine.threads import spread
from transforms.ingest.computed import template
from transforms.ingest.data_set_splits import SPLITS, split_of
from transforms.ingest.formats import COMPRESSIONS, ENDINGS, FORMATS, has_ending, is_description, named
from transforms.ingest.listing import UNREAD, Entry, Listing, Unread, fingerprint_of, is_regular, list_path

FormatName = Literal[
    "auto", "jsonl", "json", "csv", "parquet", "arrow", "orc", "text", "lines", "html", "warc", "tar", "zip"
]
SPLIT_BYTES = 8 << 20  # small files are read together up to this size in storage
NOTHING_LISTED: Mapping[str, Listing] = MappingProxyType({})


class InputError(UserError):
    """A source cannot be used. The message says what, where, and what to do."""


class Fields(Strict):
    r"""Names of the input's columns; null: the well-known names are tried (transforms/ingest/columns.py).

    A dot reaches into a nested object: `metadata.text`. Braces make a template of several: `{instruction}\n\n{output}`; a value
    that is null or empty leaves out itself and what stands before it. `turns` is a column of chats: lists of objects with
    `role` and `content`, or `from` and `value`.
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
    derived_from: str | None = None
    verifier: str | None = None
    author: str | None = None
    licence: str | None = None
    turns: str | None = None

    @model_validator(mode="after")
    def _templates_name_columns(self) -> "Fields":
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None and "{" in value:
                template(value)
        if self.turns is not None and self.text is not None:
            raise ValueError("text and turns are both named; a document is the one or the other")
        return self


Origin = Literal["human", "synthetic"]


class Roles(Strict):
    """Who wrote the turns of a chat, by role; null: not declared."""

    user: Origin | None = None
    assistant: Origin | None = None
    system: Origin | None = None
    tool: Origin | None = None

    def said(self) -> bool:
        """Whether anything is declared."""
        return any(getattr(self, role) for role in type(self).model_fields)


class Dialect(Strict):
    """How a file of CSV is written; null: found in its beginning.

    Attributes:
      delimiter: between values, one character.
      quote: around values, one character; empty: none.
      columns: their names, where the first line holds none.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote: Annotated[str, Field(max_length=1)] | None = None
    columns: tuple[str, ...] = ()


class Source(Strict):
    """One source of a recipe.

    Attributes:
      name: unique in the recipe.
      path: files, folders (taken with all below them) or globs (`*` stays in a folder, `**` does not), of this
        machine, where links are followed, or `s3://`, `gs://`, `hf://datasets/`.
      splits: of a data set, those to read: train, validation, test, as file or folder names say; empty: every file.
      format: `auto` goes by the ending, and each file is read as what its first bytes say; `text` and `html` take a file as one
        document, `lines` a line. Of a folder, files with an ending of the format are read, and those that have none.
      fields: which column is which.
      path_pattern: a regular expression that is looked for in a file's path below the source's; its named groups are columns, as
        Hive's folders (`lang=de`) are anyway: `(?P<language>[a-z]{2})/(?P<year>[0-9]{4})`.
      dialect: of files of CSV.
      turns: of a chat: `together` is one document, synthetic as soon as one of its turns is declared so; `apart` makes a document
        of each turn, with `role` and `turn` as columns and `#` and its number behind the id.
      roles: who wrote the turns of chats: `{user: human, assistant: synthetic}`.
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
    format: FormatName = "auto"
    fields: Fields = Fields()
    path_pattern: str | None = None
    dialect: Dialect = Dialect()
    turns: Literal["together", "apart"] = "together"
    roles: Roles = Roles()
    origin: Origin | None = None
    generator: str | None = None
    kind: str | None = None
    licence: str | None = None
    trust: Annotated[float, Field(ge=0, le=1)] = 0.5
    protected: bool = False
    trust_dates: bool = False
    collected: datetime.date | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """What `path` names, one or several."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @field_validator("path_pattern")
    @classmethod
    def _has_named_groups(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and not re.compile(pattern).groupindex:
                raise ValueError(f"{pattern!r} names no group; write (?P<language>[a-z]+) for a column language")
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return pattern


@dataclasses.dataclass(frozen=True)
class Piece:
    """A file, or a range of row groups of a Parquet file.

    Attributes:
      path: of the file.
      format: one of `formats.FORMATS`.
      compression: "", or one of `formats.COMPRESSIONS`.
      size: bytes in storage of this piece.
      fingerprint: changes when the file does: see `listing.fingerprint`.
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

    @functools.cached_property
    def key(self) -> str:
        """A digest of all that its content depends on. It is pickled with the split, which may have thousands of pieces."""
        return hashlib.blake2b(json.dumps([piece.key for piece in self.pieces]).encode(), digest_size=16).hexdigest()


coders.registry.register_coder(
    Split, CompressedCoder
)  # one may have thousands of files, and Beam's own takes bzip2 for them


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


def files_by_source(splits: Iterable[Split], sources: Sequence[Source]) -> list[list[Piece]]:
    """The files of each source that splits of a plan have, each whole, in the order of the splits."""
    found: list[dict[str, Piece]] = [{} for _ in sources]
    for split in splits:
        files = found[split.source]
        for piece in split.pieces:
            if piece.row_groups is not None:  # a part
                size = piece.size + (files[piece.path].size if piece.path in files else 0)
                piece = dataclasses.replace(piece, size=size, row_groups=None)
            files[piece.path] = piece
    return [list(files.values()) for files in found]


def plan_splits(sources: Sequence[Source], target_bytes: int = SPLIT_BYTES) -> list[Split]:
    """The splits of `plan`, for who needs no more."""
    return list(plan(sources, target_bytes).splits)


def plan(sources: Sequence[Source], target_bytes: int = SPLIT_BYTES) -> InputPlan:
    """Find the files of every source and pack them into splits of about `target_bytes` of storage.

    Sources are listed, and footers of Parquet files read, on a thread for each core.
    Small files share a split, in the order of their paths; a Parquet file larger than the target is cut at row groups;
    any other file is read as a whole.

    Raises:
      InputError: a source matches no file of a known format, or cannot be listed.
    """
    splits: list[Split] = []
    found = found_of(sources)
    for number, files in enumerate(found):
        large = [
            piece
            for piece in files.pieces
            if piece.format == "parquet" and not piece.compression and piece.size > target_bytes
        ]
        parts = dict(
            zip(
                (piece.path for piece in large),
                spread(lambda piece: _cut(piece, target_bytes), iter(large)),
                strict=True,
            )
        )
        pieces = [part for piece in files.pieces for part in parts.get(piece.path, (piece,))] if parts else files.pieces
        for pack in _packs(pieces, target_bytes):
            splits.append(Split(len(splits), number, tuple(pack), sum(piece.size for piece in pack)))
    return InputPlan(Splits(splits), found)


def found_of(sources: Sequence[Source], listed: Mapping[str, Listing] = NOTHING_LISTED) -> tuple[Found, ...]:
    """The files of every source, as `find_files`, on a thread for each core. What another source reads is not called unread.

    Raises:
      InputError: a source matches no file of a known format, or cannot be listed.
    """
    found = tuple(spread(lambda source: find_files(source, listed), iter(sources)))
    unread = {one.path for files in found for one in files.unread}
    read = {piece.path for files in found for piece in files.pieces if piece.path in unread} if unread else unread
    return tuple(Found(files.pieces, tuple(one for one in files.unread if one.path not in read)) for files in found)


def find_files(source: Source, listed: Mapping[str, Listing] = NOTHING_LISTED) -> Found:
    """Every file of a source, sorted by path, and every entry of its folders and patterns that is not read.

    One that two patterns match counts once, and so does one that has several names by links.

    Args:
      source: whose files.
      listed: what some paths stand for, where that was asked before.

    Raises:
      InputError: a path matches no file of a known format, or cannot be listed.
    """
    by_path: dict[str, Piece] = {}
    real: dict[str, str] = {}
    unread: dict[str, str] = {}
    for path in source.paths:
        listing = listed.get(path) or _listed(source, path)
        here = "" if not is_local(path) or os.path.isabs(path) else os.getcwd()
        pieces, others = _sorted_out(source, listing, here)
        if not pieces:
            raise InputError(_nothing(source, path, [*others, *listing.unread]))
        for piece in pieces:
            if not piece.path.isascii() and not _is_text(piece.path):
                raise InputError(
                    f"source {source.name}: the file name {piece.path!a} cannot be written down; rename it"
                )
        by_path.update({piece.path: piece for piece in pieces})
        real.update({entry.path: entry.real for entry in listing.entries})
        unread.update((one.path, one.reason) for one in (*others, *listing.unread))
    for path in _other_names(by_path, real):
        del by_path[path]
        unread[path] = "linked_again"
    pieces = [by_path[path] for path in sorted(by_path)]
    rest = [Unread(path, reason) for path, reason in sorted(unread.items()) if path not in by_path]
    return Found(tuple(pieces), tuple(rest))


def _other_names(paths: Iterable[str], real: dict[str, str]) -> list[str]:
    """Of the names that a file has by links all but one, that needs no link. `real`: by path, the same for all of a file."""
    if len(set(real.values())) == len(real):
        return []
    names_of: dict[str, list[str]] = collections.defaultdict(list)
    for path in paths:
        names_of[real[path]].append(path)
    return [
        path
        for file, names in names_of.items()
        for path in sorted(names, key=lambda path: (os.path.abspath(path) != file, path))[1:]
    ]


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


def _sorted_out(source: Source, listing: Listing, folder: str) -> tuple[list[Piece], list[Unread]]:
    """The files that are read, and the others with their reasons. `folder`: that their paths, if relative, are in."""
    pieces: list[Piece] = []
    others: list[Unread] = []
    for entry in listing.entries:
        piece, reason = _piece(source, entry, listing.kind, folder)
        if piece:
            pieces.append(piece)
        else:
            others.append(Unread(entry.path, reason))
    if listing.kind != "file" and source.format == "auto" and not all(map(_is_remark, pieces)):
        others += [Unread(p.path, "text_beside_data") for p in pieces if _is_remark(p)]
        pieces = [p for p in pieces if not _is_remark(p)]
    if source.splits:
        others += [Unread(p.path, "other_split") for p in pieces if split_of(p.path, source.paths) not in source.splits]
        pieces = [p for p in pieces if split_of(p.path, source.paths) in source.splits]
    return pieces, others


def _is_remark(piece: Piece) -> bool:
    """Whether a file beside data is taken for a README: text of its own. Nobody compresses a README."""
    return FORMATS[piece.format].one_document and not piece.compression


def _listed(source: Source, path: str) -> Listing:
    try:
        return list_path(path)
    except StorageError as error:
        raise InputError(f"source {source.name}: {error}") from error
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise InputError(
            f"source {source.name}: cannot list {path!r} ({message(error)}); check the path and your rights"
        ) from error


def _piece(source: Source, entry: Entry, kind: str, folder: str) -> tuple[Piece | None, str]:
    """The file as a piece; or nothing, and why it is not data of the source's format."""
    format = source.format
    path, size = entry.path, entry.size
    known, compression = named(path)
    reason = "other_format"
    if kind != "file" and is_description(path):
        reason = "describes_data"
    elif size is None:
        reason = "dangling_link"
    if format == "auto":
        if not known or reason == "describes_data":
            return None, reason
    elif kind == "folder" and not _is_meant(format, known, path):
        return None, reason  # a folder may hold other things; a file or pattern is taken at the recipe's word
    # A link to nothing that is called like data is a lost file: it is the reader's to report.
    chosen = known if format == "auto" else format
    if size == 0 and not compression and not FORMATS[chosen].one_document and not FORMATS[chosen].seeks:
        return (
            None,
            "empty_file",
        )  # no line is in it, and nobody would miss it otherwise; of a compressed one not even the header came
    return Piece(path, chosen, compression, size or 0, entry.fingerprint, None, folder), ""


def _is_meant(format: str, known: str, path: str) -> bool:
    """Whether a file of a folder is of the format that the recipe names: by its ending, or because it has none."""
    alike = {"lines": "text", "json": "jsonl"}
    return known == alike.get(format, format) or (not known and not has_ending(path))


def unchanged(split: Split) -> None:
    """Refuse a split with a file that changed since the run was planned.

    Raises:
      InputError: it has one.
    """
    for piece in split.pieces:
        now = fingerprint_of(piece.place)
        if now and now != piece.fingerprint:
            raise InputError(f"{piece.path} changed while the run was going; run again")


def _cut(piece: Piece, target_bytes: int) -> list[Piece]:
    """Cut a large Parquet file at row groups, by its footer. A footer that cannot be read is the reader's to report."""
    try:
        if not is_regular(piece.place):
            raise OSError
        with open_for_reading(piece.place) as raw:
            footer = pq.read_metadata(pa.PythonFile(raw, mode="r"))
            sizes = _row_group_sizes(footer, piece.size)
    except (pa.ArrowException, OSError, ValueError):
        return [piece]
    parts, start = [], 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sum(sizes[start : end + 1]) > target_bytes:
            parts.append(dataclasses.replace(piece, size=sum(sizes[start:end]), row_groups=(start, end)))
            start = end
    return parts or [piece]


def _row_group_sizes(footer: pq.FileMetaData, size: int) -> list[int]:
    """Bytes of each row group in storage, about: the file's size by their sizes when decoded.

    The exact ones are in the columns' metadata, and asking for those of a damaged footer ends the process (pyarrow 25).
    """
    decoded = [max(footer.row_group(i).total_byte_size, 1) for i in range(footer.num_row_groups)]
    total = sum(decoded)
    sizes = [size * one // total for one in decoded]
    return [*sizes[:-1], size - sum(sizes[:-1])] if sizes else []


def _packs(pieces: Iterable[Piece], target_bytes: int) -> Iterator[list[Piece]]:
    """Pieces in their order. A pack ends where the next piece would make it larger than the target, and behind a piece that says
    so itself: then what comes after a file that is new is packed as it was, and its signals are still there.
    """
    pack: list[Piece] = []
    size = 0
    for piece in pieces:
        if pack and size + piece.size > target_bytes:
            yield pack
            pack, size = [], 0
        pack.append(piece)
        size += piece.size
        if _ends_a_pack(piece, target_bytes):
            yield pack
            pack, size = [], 0
    if pack:
        yield pack


def _ends_a_pack(piece: Piece, target_bytes: int) -> bool:
    """About once in `target_bytes` of storage; by its name and size alone, wherever its folder is."""
    said = f"{piece.path[piece.path.rfind('/') + 1 :]}\0{piece.size}\0{piece.row_groups}".encode()
    number = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "little")
    return number * target_bytes < piece.size << 64


def _nothing(source: Source, path: str, unread: list[Unread]) -> str:
    start = f"source {source.name}: {path!r}"
    others = [one.path for one in unread if one.reason not in ("hidden", "link_loop", "linked_again")]
    if not others:
        return f"{start} matches no file; correct `path` (hidden files and names that start with '_' are skipped)"
    if any(one.reason == "other_split" for one in unread):
        there = {split_of(one.path, source.paths) for one in unread if one.reason == "other_split"} - {""}
        names = ", ".join(split for split in SPLITS if split in there) or "no split's name"
        return f"{start} has no file of splits: {', '.join(source.splits)}; its files are of {names}"
    if all(one.reason == "empty_file" for one in unread if one.path in others):
        return f"{start} matches {plural(len(others), 'file')}, all of them of 0 bytes; fetch them again"
    if len(others) == 1 and unread[0].reason == "not_a_file":
        return f"{start} is {UNREAD['not_a_file']}; name a file or folder"
    extensions = sorted({posixpath.splitext(other)[1] or "none" for other in others})
    return (
        f"{start} matches {plural(len(others), 'file')}, none in a known format (extensions: {', '.join(extensions[:8])}); "
        f"known are {', '.join(ENDINGS)}, also with {', '.join(COMPRESSIONS)}; for other names set `format`"
    )
