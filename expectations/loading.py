"""One strict way to read a file of YAML or JSON, whoever wrote it: recipes, suites, structures, phrases, labels, releases.

What YAML and JSON leave open is refused, with the line: a key given twice (the last one would silently win), tags of other
programs, values nested deeper or numbers longer than anyone means.
"""

import dataclasses
import difflib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import orjson
import pydantic
import yaml

from expectations.paths import open_for_reading
from expectations.yaml_reader import MAX_DEPTH, MAX_DIGITS, Place, RefusedError, YamlReader

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 16 << 20
MOST_NAMED = 60  # words that one message lists
MAX_JSON_BYTES = 256 << 20  # a manifest lists every file of a release

Share = Annotated[float, pydantic.Field(ge=0, le=1, strict=True, allow_inf_nan=False)]


class LoadError(ValueError):
    """A file cannot be read as what it should be. The message is one line: the file, the line, what is wrong."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A file's content, and where each part of it stands.

    Attributes:
      value: what it says.
      where: the file, as the user named it.
      lines: the line of each key and list item, from 1, by its place: `("sources", 0, "name")`.
    """

    value: Any
    where: str
    lines: Mapping[Place, int]

    def at(self, place: Sequence[str | int]) -> str:
        """The file, and the line of a place in it or of the nearest thing around it."""
        parts = tuple(place)
        while parts and parts not in self.lines:
            parts = parts[:-1]
        return f"{self.where}, line {self.lines[parts]}" if parts else self.where


class Strict(pydantic.BaseModel):
    """A part of a file that people write: nothing of it is ignored, and nothing changes it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)  # most are parts of others


def as_yaml(value: Any) -> str:
    """Plain values as YAML, keys in their order."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))  # libyaml folds some hostile lines elsewhere


def first_complaint(error: pydantic.ValidationError) -> Any:
    """The one of pydantic's complaints to tell. A misspelt key is also a missing one: the misspelling says more."""
    return min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")


def in_sentence(complaint: Any, place: Sequence[str | int], keys: Iterable[str] = (), wanted: str = "") -> str:
    """A complaint on one line: `path: what is wrong; what would be right`.

    Args:
      complaint: pydantic's.
      place: where in the file.
      keys: that are known there.
      wanted: what should be there; empty: in pydantic's words.
    """
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    given, kind = complaint["input"], complaint["type"]
    if kind == "extra_forbidden":
        said = f"unknown key; {nearest(str(complaint['loc'][-1]), keys)}"
    elif kind == "missing":
        said = "is missing"
    elif kind == "value_error":
        said = str(complaint["ctx"]["error"])
    elif isinstance(given, bool) and not wanted:
        said = f"YAML read this as {str(given).lower()}; put the word in quotes, or write a number"
    else:
        said = wanted or f"{complaint['msg'].lower()}, got {str(given)[:80]!r}"
    return f"{path}: {said}".removeprefix(": ").replace("\n", " ")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the one that was meant, or all there are, of very many the first."""
    names = list(known)
    close = closest(word, names)
    if close is not None:
        return f"did you mean {close!r}?"
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return f"known: {', '.join(names[:MOST_NAMED])}{more}"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None if none is near."""
    return next(iter(difflib.get_close_matches(word[:200], list(known), n=1, cutoff=0.5)), None)


def read_text(path: str | os.PathLike[str]) -> str:
    """A small file of text.

    Raises:
      FileNotFoundError: there is none, and the caller knows what to do about it.
      StorageError: its store cannot be asked.
      LoadError: it cannot be read, is too large to be what it should be, or is not UTF-8.
    """
    try:
        with open_for_reading(os.fspath(path)) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise LoadError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return as_text(data, str(path))


def as_text(data: bytes, where: str) -> str:
    """Bytes as text.

    Raises:
      LoadError: they are too many, or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise LoadError(f"{where}: is larger than {MAX_BYTES >> 20} MB; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LoadError(f"{where}, line {line}: is not UTF-8 text") from None


def parse_yaml(text: str, where: str) -> Loaded:
    """One document of YAML.

    Raises:
      LoadError: it is none, or says something that is refused here.
    """
    reader = YamlReader()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            reader.take(event)
    except RefusedError as error:
        raise LoadError(f"{where}, {error}") from None
    except yaml.reader.ReaderError as error:
        line = text.encode("utf-8", "replace")[: error.position].count(b"\n") + 1
        raise LoadError(f"{where}, line {line}: not YAML: the character U+{_code(error):04X} is not allowed") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{where}, line {mark.line + 1}" if mark else where
        why = " ".join(str(getattr(error, "problem", None) or error).split())
        why = "nested too deeply" if "nesting depth" in why else f"not YAML: {why}"
        raise LoadError(f"{at}: {why}") from None
    except UnicodeEncodeError:
        raise LoadError(f"{where}: not YAML: it has half of a character (a lone surrogate)") from None
    return Loaded(reader.value, where, reader.lines)


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(str(error.character)[:1] or "\0")


def parse_json(data: bytes, where: str) -> Any:
    """A value of JSON.

    Raises:
      LoadError: it is none, or says something that is refused here.
    """
    if len(data) > MAX_JSON_BYTES:
        raise LoadError(f"{where}: is larger than {MAX_JSON_BYTES >> 20} MB; is it the right file?")
    try:
        orjson.loads(data)  # takes no NaN, no half of a character, no bytes that are not UTF-8, and no endless nesting
        value = json.loads(data, object_pairs_hook=_once, parse_int=_integer, parse_float=_number)
    except RefusedError as error:
        raise LoadError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        why = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise LoadError(f"{where}: not JSON ({why})") from None
    _not_too_deep(value, where)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedError(f"{twice[:60]!r} is given twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise RefusedError(f"a number of length {len(text):,}")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RefusedError(f"{text[:60]} is no number that can be used")
    return value


def _not_too_deep(value: Any, where: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise LoadError(f"{where}: nested too deeply (more than {MAX_DEPTH} levels)")
