"""What `init` proposes for some input: which sources there are, how each is read, and which columns hold what."""

import collections
import dataclasses
import glob
import os
import posixpath
import re
from collections.abc import Iterator, Sequence

import pyarrow.compute as pc

from expectations.wording import plural
from transforms.ingest import columns as documents
from transforms.ingest.computed import TURNS
from transforms.ingest.decompress import DamageError, chunks, open_stored
from transforms.ingest.first_bytes import LOOK_BYTES, kind_of, told_format
from transforms.ingest.first_rows import FirstRows, first_rows
from transforms.ingest.formats import FORMATS, has_ending, is_description, named
from transforms.ingest.listing import Entry, Listing, list_path
from transforms.ingest.path_columns import values_of
from transforms.ingest.sources import Fields, Piece, Source
from transforms.ingest.tables import SNIFFED_BYTES, shown_dialect
from transforms.measures.unread_input import printable

FOLDERS = 20  # with more folders below it than these, a folder is one source
LOOKED_AT = 5  # files of an ending that nobody knows
MOST_NAMED = 100  # files that a recipe names one by one
FEW_TEXTS = 3  # so many texts beside data are taken for READMEs
LEAST_CHARS = 40  # a column whose values are shorter on average is no text
# Folders of such names are parts of one source, and not sources.
_PARTS = re.compile(
    r"[A-Za-z_][\w.-]*=.*|\d+|\d{4}-\d{2}(-\d{2})?|[0-9a-f]{2}|[A-Za-z]|(part|shard|chunk|batch)[-_]?\d+|CC-MAIN-\d{4}-\d{2}"
    r"|train|training|validation|valid|val|dev|test|testing|eval|evaluation"
)
_LANGUAGES = frozenset(
    re.findall(
        "..",
        "afarazbebgbnbscacscydadeeleneoeseteufafifrgaglguhehihrhuhyidisitjakakkkmknkokulalblolt"
        "lvmgmkmlmnmrmsmtmynbnenlnnnopaplpsptrorusasdsiskslsosqsrsvswtatetgthtktltrttukuruzvixhyiyozhzu",
    )
)  # of ISO 639-1
WITH_COLUMNS = ("jsonl", "json", "csv", "parquet", "arrow", "orc")  # the others know themselves what their text is
# Layouts of instructions, by the columns that they have: the first of which a file has all.
TEMPLATES = (
    ("instruction", "input", "output"),
    ("instruction", "context", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("title", "abstract"),
)


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A source, and what is to be said of it.

    Attributes:
      source: as the recipe has it.
      said: what was found and guessed, a line each.
      listing: what its path stands for, if that was asked.
      n_folders: that its folder holds, if nothing else is in it.
    """

    source: Source
    said: tuple[str, ...] = ()
    listing: Listing | None = None
    n_folders: int = 0


# --- Which sources -----------------------------------------------------------------------------------------------------


def sources_of(path: str) -> list[Proposal]:
    """The sources of a path: of a folder that holds a few folders of data, one for each; and one more for what is read
    otherwise.
    """
    return [proposal for source, folders in _by_folder(path) for proposal in _by_kind(source, folders)]


def _folders_in(path: str) -> list[str]:
    """The folders in a folder that holds nothing else; none if there is anything else, or no folder."""
    if not os.path.isdir(path):  # nor of one in a store
        return []
    folders = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if not name.startswith((".", "_")) and not is_description(name):
                if not entry.is_dir():
                    return []
                folders.append(entry.path)
    return sorted(folders)


def _by_folder(path: str) -> list[tuple[Source, list[str]]]:
    """Sources by their folders alone, and the folders in each that holds nothing else."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", posixpath.basename(path.rstrip("/")) or "corpus").strip("-.*") or "corpus"
    folders = _folders_in(path)
    if 1 < len(folders) <= FOLDERS and not _are_parts(folders):
        below = [source for folder in folders for source in _by_folder(folder)]
        if len(below) <= FOLDERS:
            return below
    return [(Source(name=name, path=path), folders)]


def _are_parts(folders: Sequence[str]) -> bool:
    """Whether the folders of a folder are parts of one source, by their names."""
    return all(map(_PARTS.fullmatch, map(posixpath.basename, folders))) or _are_languages(folders)


def _are_languages(folders: Sequence[str]) -> bool:
    names = map(posixpath.basename, folders)
    return len(folders) > 1 and all(
        re.split("[-_]", name)[0].lower() in _LANGUAGES and len(name) <= 7 for name in names
    )


def _by_kind(source: Source, folders: Sequence[str]) -> Iterator[Proposal]:
    """A source as it is, if its files have known endings; what else can be read is a source of its own."""
    path = str(source.path)
    try:
        listing = list_path(path)
    except (OSError, ValueError):
        yield Proposal(source, n_folders=len(folders))  # the plan says it
        return
    entries = [entry for entry in listing.entries if entry.size and not is_description(entry.path)]
    forms = [named(entry.path)[0] for entry in entries]
    by_format = collections.Counter(forms)
    data = sum(n for form, n in by_format.items() if form and not FORMATS[form].one_document)
    if _are_languages(folders):
        source = source.model_copy(update={"path_pattern": "^(?P<language>[A-Za-z]{2})[-_/]"})
    strange: dict[str, list[Entry]] = collections.defaultdict(list)
    for entry, form in zip(entries, forms, strict=True):
        if not form:
            strange[posixpath.splitext(entry.path)[1].lower() if has_ending(entry.path) else ""].append(entry)
    known = any(by_format[form] for form in FORMATS)
    told = {ending: form for ending, some in strange.items() if (form := _told(some))}
    found = [Proposal(source)] if known or not told else []
    if data and listing.kind == "folder":
        for form in ("text", "html"):
            if by_format[form] > FEW_TEXTS:
                said = (
                    f"{plural(by_format[form], 'file')} of {FORMATS[form].what} lie beside data, a source of their own"
                )
                found.append(
                    Proposal(source.model_copy(update={"name": f"{source.name}-{form}", "format": form}), (said,))
                )
    found += [*_of_endings(source, listing.kind, strange, told, is_all=not known)]
    lost = tuple(_not_possible(ending, some) for ending, some in sorted(strange.items()) if ending not in told)
    found[0] = Proposal(found[0].source, (*found[0].said, *lost))
    for one in found:
        is_same = one.source.path == path
        yield dataclasses.replace(one, listing=listing, n_folders=len(folders)) if is_same else one


def _of_endings(
    source: Source, kind: str, strange: dict[str, list[Entry]], told: dict[str, str], is_all: bool
) -> Iterator[Proposal]:
    """Sources for files whose endings nobody knows, by what they begin with."""
    alone = is_all and len(told) == 1
    for ending, form in sorted(told.items()):
        entries = strange[ending]
        what = f"{plural(len(entries), 'file')} {f'that end in {ending}' if ending else 'without an ending'}"
        said = (f"{what} look like {FORMATS[form].what}: read so (guessed by their first bytes)",)
        if alone and (kind != "folder" or not ending):
            yield Proposal(source.model_copy(update={"format": form}), said)
        elif kind == "folder" and ending[1:].isalnum():  # else a pattern would mean another thing
            path = posixpath.join(glob.escape(str(source.path)), f"**{glob.escape(ending)}")
            name = source.name if alone else f"{source.name}-{ending[1:]}"
            yield Proposal(source.model_copy(update={"name": _name(name), "path": path, "format": form}), said)
        else:
            paths = tuple(entry.path for entry in entries[:MOST_NAMED])
            more = (f"only the first {MOST_NAMED:,} of them are named; name the others by a pattern",)
            source_of = source.model_copy(update={"name": f"{source.name}-other", "path": paths, "format": form})
            yield Proposal(source_of, (*said, *(more if len(entries) > MOST_NAMED else ())))


def _not_possible(ending: str, entries: Sequence[Entry]) -> str:
    """What cannot be read, with what helps."""
    first = entries[0].path
    head = _head(first)
    kind = kind_of(head, "jsonl") if head else None
    what = f"{kind.what}; {kind.advice}" if kind and kind.advice else "in a format that is not known"
    return (
        f"could not read {plural(len(entries), 'file')} {ending or 'without an ending'}: {printable(first)} is {what}"
    )


def _name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


def _told(entries: Sequence[Entry]) -> str:
    """The format of some files, by the first bytes of a few; "": they are of several, or of none."""
    at = sorted({len(entries) * i // LOOKED_AT for i in range(LOOKED_AT)})
    forms = {told_format(head) for i in at if (head := _head(entries[i].path))}
    return forms.pop() if len(forms) == 1 else ""


def _head(path: str) -> bytes:
    try:
        with open_stored(Piece(path, "jsonl", "", 0, "")) as raw:
            return raw.read(LOOK_BYTES)
    except (DamageError, OSError):
        return b""


# --- Which columns -----------------------------------------------------------------------------------------------------


def mapped(proposal: Proposal, pieces: Sequence[Piece]) -> Proposal:
    """The proposal with the columns that are guessed, and what was found in files and paths."""
    source, said = proposal.source, list(proposal.said)
    some = [pieces[at] for at in sorted({0, len(pieces) // 2, len(pieces) - 1}) if 0 <= at < len(pieces)]
    said += _of_formats(pieces)
    said += [f"{printable(piece.path)} is {_dialect(piece, source)}" for piece in some[:1] if piece.format == "csv"]
    said += _of_paths(source, pieces)
    tables = [piece for piece in some if piece.format in WITH_COLUMNS]
    rows = [found for piece in tables if (found := _rows(piece, source)) and found.columns is not None]
    names = {name for found in rows for name in found.names}
    texts = documents.names(source.fields, "text")
    if any(name in names for name in texts) or not rows:
        return dataclasses.replace(proposal, said=tuple(said))
    chats = [name for name in texts if name.startswith(TURNS) and any(_has(found, name) for found in rows)]
    if chats:
        column = chats[0].removeprefix(TURNS)
        line = f"a conversation in `{column}` is one document of unknown origin; say `roles` if you know who wrote the turns"
        return dataclasses.replace(proposal, said=(*said, line))
    template = next((one for one in TEMPLATES if all(name in names for name in one)), None)
    text = "\n\n".join(f"{{{name}}}" for name in template) if template else _longest(rows)
    if text is None:
        return dataclasses.replace(
            proposal, said=(*said, f"no column looks like a text (there is: {', '.join(sorted(names)[:12])})")
        )
    why = "a layout of instructions" if template else "its values are the longest"
    shown = text.replace("\n", "\\n")
    fields = Fields(**{**source.fields.model_dump(), "text": text})
    source = source.model_copy(update={"fields": fields})
    return dataclasses.replace(proposal, source=source, said=(*said, f"text from `{shown}` (guessed: {why})"))


def _of_formats(pieces: Sequence[Piece]) -> Iterator[str]:
    """Which formats a source has, if they are not the usual one."""
    counts = collections.Counter(
        piece.format + (f" in {piece.compression}" if piece.compression else "") for piece in pieces
    )
    if len(counts) > 1 or any(piece.format not in ("jsonl", "parquet", "text") for piece in pieces):
        yield "read as " + ", ".join(f"{form} ({plural(n, 'file')})" for form, n in counts.most_common())


def _of_paths(source: Source, pieces: Sequence[Piece]) -> Iterator[str]:
    """Which columns the names of folders and files give, and how many values each."""
    values: dict[str, set[str]] = collections.defaultdict(set)
    for piece in pieces:
        for name, value in values_of(source, piece).items():
            values[name].add(value)
    found = [
        f"`{name}` ({plural(len(some), 'value')}, such as {printable(min(some))[:40]})"
        for name, some in values.items()
        if name != "id"
    ]
    if found:
        yield f"columns from the names of folders and files: {', '.join(found)}"


def _dialect(piece: Piece, source: Source) -> str:
    try:
        return shown_dialect(next(chunks(piece, SNIFFED_BYTES), b""), source, piece.path)
    except DamageError as damage:
        return f"CSV that cannot be read: {damage.detail}"


def _rows(piece: Piece, source: Source) -> FirstRows | None:
    try:
        return first_rows(piece, source)
    except OSError:
        return None


def _has(found: FirstRows, name: str) -> bool:
    return found.columns is not None and found.columns.get(name) is not None


def _longest(rows: Sequence[FirstRows]) -> str | None:
    """The column whose values are the longest on average; None: none is long."""
    lengths: dict[str, float] = {}
    for found in rows:
        for name in found.names:
            texts = found.columns.text(name) if found.columns is not None and "{" not in name else None
            if texts is not None and texts.null_count < len(texts) and not _is_json(texts):
                mean = pc.mean(pc.utf8_length(texts)).as_py()
                lengths[name] = max(lengths.get(name, 0.0), mean)
    best = max(sorted(lengths), key=lambda name: lengths[name], default=None)
    return best if best is not None and lengths[best] >= LEAST_CHARS else None


def _is_json(texts: object) -> bool:
    """Whether the text of values shows that they are lists or objects."""
    return bool(pc.all(pc.match_substring_regex(texts, r"^[\[{]")).as_py())
