"""Files of phrases: read, checked and put together.

The shipped file (`phrases.yaml`) says in its head what an entry is. A recipe may name one more
(`evidence.phrases`); an entry of it replaces the shipped one of the same id.
"""

import functools
import hashlib
import importlib.resources
import json
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, ValidationError

from expectations.errors import UserError
from expectations.loading import MAX_BYTES, LoadError, Strict, as_text, parse_yaml
from expectations.paths import open_for_reading
from transforms.kernels.text import phrases
from transforms.kernels.text.literals import MIN_BYTES
from transforms.kernels.text.phrases import Phrase, Phrases

SHIPPED = "phrases.yaml"


class PhraseError(UserError):
    """A file of phrases cannot be used. The message is one line: the file, the entry, what is wrong, what to do."""


class PhraseEntry(Strict):
    """One entry of a file."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    language: str
    proves: str
    where: Literal["start", "line", "anywhere"]
    contains: Annotated[tuple[str, ...], Field(min_length=1)]
    pattern: Annotated[str, Field(min_length=1)]
    example: str


def load_phrases(path: str | None = None) -> tuple[PhraseEntry, ...]:
    """The shipped entries and those of a file, in this order, none twice.

    Raises:
      PhraseError: the file cannot be read, or an entry of it is wrong.
    """
    shipped = (importlib.resources.files("transforms.origin") / SHIPPED).read_text("utf-8")
    entries = {entry.id: entry for entry in parse_phrases(shipped, SHIPPED, is_ours=True)}
    if path is not None:
        entries |= {entry.id: entry for entry in parse_phrases(_read(path), path)}
    return tuple(entries.values())


def compiled(entries: tuple[PhraseEntry, ...]) -> Phrases:
    """Entries as the kernel takes them."""
    return phrases.compile_phrases(tuple(Phrase(e.id, e.where, e.contains, e.pattern) for e in entries))


def fingerprint(entries: tuple[PhraseEntry, ...]) -> str:
    """SHA-256 of all that decides what is found."""
    content = [entry.model_dump(mode="json", exclude={"proves", "language", "example"}) for entry in entries]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.lru_cache(maxsize=4)  # launcher and worker are often one process
def parse_phrases(text: str, path: str, is_ours: bool = False) -> tuple[PhraseEntry, ...]:
    """Read and check a file of phrases. Whether ours find their examples is tested, and not asked in every run.

    Raises:
      PhraseError: what is wrong, and with which entry.
    """
    try:
        loaded = parse_yaml(text, path)
    except LoadError as error:
        raise PhraseError(str(error)) from None
    data = loaded.value
    if not isinstance(data, dict) or set(data) != {"entries"} or not isinstance(data["entries"], list):
        raise PhraseError(f"{path}: a file of phrases is a mapping with one key, `entries`, and a list under it")
    found: list[PhraseEntry] = []
    for number, item in enumerate(data["entries"]):
        name = item.get("id", number) if isinstance(item, dict) else number
        where = f"{loaded.at(('entries', number))}: entry {name!r}"
        entry = _entry(item, where)
        if not is_ours:
            _refuse_what_cannot_find(entry, where)
        if any(entry.id == other.id for other in found):
            raise PhraseError(f"{path}: two entries are called {entry.id!r}; give each its own id")
        found.append(entry)
    return tuple(found)


def _entry(item: object, where: str) -> PhraseEntry:
    try:
        entry = PhraseEntry.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the entry"
        raise PhraseError(
            f"{where}: {place}: {first['msg'].lower()}; known keys: {', '.join(PhraseEntry.model_fields)}"
        ) from None
    return entry


def _refuse_what_cannot_find(entry: PhraseEntry, where: str) -> None:
    if (why := phrases.refused(entry.pattern)) is not None:
        raise PhraseError(
            f"{where}: RE2 does not take its pattern ({why[:200]}); it has no look-around and no back-references"
        )
    wrong = next((literal for literal in entry.contains if literal != literal.lower()), None)
    if wrong is not None:
        raise PhraseError(f"{where}: contains: write {wrong!r} in lower case")
    short = next((literal for literal in entry.contains if len(literal.encode()) < MIN_BYTES), None)
    if short is not None:
        raise PhraseError(f"{where}: contains: {short!r} is too short to search for; give {MIN_BYTES} bytes or more")
    if phrases.find(pa.array([entry.example], pa.large_string()), compiled((entry,)))[0] == phrases.NONE:
        raise PhraseError(
            f"{where}: does not find its own example; either the pattern does not match where it says ({entry.where}), or "
            "the match holds none of `contains`, or it stands in quotation marks"
        )


def _read(path: str) -> str:
    try:
        with open_for_reading(path) as file:
            data: bytes = file.read(MAX_BYTES + 1)
        return as_text(data, path)
    except LoadError as error:
        raise PhraseError(str(error)) from None
    except (OSError, ValueError) as error:
        why = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read ({type(error).__name__})"
        raise PhraseError(f"{path}: {why}; give the path of a YAML file of phrases, relative to the recipe") from None
