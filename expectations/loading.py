"""One strict way to read a file of YAML or JSON, whoever wrote it: recipes, suites, structures, phrases, labels, releases.

What YAML and JSON leave open is refused, with the line: a key given twice (the last one would silently win), tags of other
programs, values nested deeper or numbers longer than anyone means. What costs more than it looks is bounded: an alias counts
as all that it stands for, so 500 bytes cannot become a gigabyte.
"""

import copy
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

MAX_BYTES = 16 << 20
MAX_VALUES = 300_000  # of a file, aliases written out
MAX_DEPTH = 40
MAX_INTEGER = 2**63 - 1  # what a recipe's fingerprint, a manifest and Arrow can hold
MAX_DIGITS = 40  # characters of a number
MOST_NAMED = 60  # words that one message lists
MAX_JSON_BYTES = 256 << 20  # a manifest lists every file of a release

_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}
_NUMBERS = {f"{_TAG}int", f"{_TAG}float"}
_COLLECTIONS = {None, "!", f"{_TAG}map", f"{_TAG}seq"}
_MERGE = f"{_TAG}merge"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]
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
    reader = _YamlReader(where)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            reader.take(event)
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


@dataclasses.dataclass
class _Open:
    """A mapping or list that is being read."""

    value: Any
    place: Place
    anchor: str | None
    size_before: int
    key: Any = None
    has_key: bool = False
    merged: list[Any] = dataclasses.field(default_factory=list)
    keys: dict[Any, int] = dataclasses.field(default_factory=dict)  # and the line of each


class _YamlReader:
    """Events of a parser -> a value. Nothing is recursive, and an alias is a copy: what is changed changes once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.value: Any = None
        self.lines: dict[Place, int] = {}
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.size = 0
        self.documents = 0
        self.resolver = yaml.resolver.Resolver()
        self.constructor = yaml.constructor.SafeConstructor()

    def take(self, event: Any) -> None:
        """The next event."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, line)
            self._name(event.anchor, value, 1)
            self._put(value, line, 1, is_merge=self._is_merge(event))
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(line)
        elif isinstance(event, yaml.AliasEvent):
            value, size = self._alias(event.anchor, line)
            self._put(value, line, size)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._error(line, "a second document begins here (`---`); a file has one")

    def _error(self, line: int, what: str) -> LoadError:
        return LoadError(f"{self.where}, line {line}: {what}")

    def _is_merge(self, event: yaml.ScalarEvent) -> bool:
        top = self.stack[-1] if self.stack else None
        return top is not None and isinstance(top.value, dict) and not top.has_key and self._tag(event) == _MERGE

    def _tag(self, event: yaml.ScalarEvent) -> str:
        if event.tag is not None and event.tag != "!":
            return str(event.tag)
        return str(self.resolver.resolve(yaml.ScalarNode, event.value, event.implicit))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Any:
        tag, text = self._tag(event), event.value
        if tag in (_MERGE, f"{_TAG}value"):
            return text
        if tag not in _SCALARS:
            raise self._error(line, _unknown_tag(tag))
        if tag in _NUMBERS and len(text) > MAX_DIGITS:
            raise self._error(line, f"a number of length {len(text):,}; put it in quotes if it is a word")
        if "\0" in text:
            raise self._error(line, "a text with the character U+0000, which no name has")
        try:
            text.encode()
            value = self.constructor.yaml_constructors[tag](self.constructor, yaml.ScalarNode(tag, text))
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
            what = "date" if tag.endswith("timestamp") else "text" if tag.endswith("str") else tag.removeprefix(_TAG)
            raise self._error(line, f"{text[:60]!r} is no {what}; put it in quotes if it is a word") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(line, f"{text!r} is no number that can be used; put it in quotes if it is a word")
        if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise self._error(line, f"{text[:60]!r} is beyond 64 bits; put it in quotes if it is a word")
        return value

    def _open(self, event: Any, line: int) -> None:
        if event.tag not in _COLLECTIONS:
            raise self._error(line, _unknown_tag(event.tag))
        if len(self.stack) >= MAX_DEPTH:
            raise self._error(line, f"nested too deeply (more than {MAX_DEPTH} levels)")
        if self.stack and isinstance(self.stack[-1].value, dict) and not self.stack[-1].has_key:
            raise self._error(line, "a key must be a word, not a list or a mapping")
        if event.anchor is not None:
            self.anchors.pop(event.anchor, None)  # an alias of it inside of it is none of an earlier one
        place = self._place()
        self._mark(place, line)
        empty: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Open(empty, place, event.anchor, self.size))

    def _place(self) -> Place:
        if not self.stack:
            return ()
        top = self.stack[-1]
        return (*top.place, str(top.key) if isinstance(top.value, dict) else len(top.value))

    def _mark(self, place: Place, line: int) -> None:
        if place:
            self.lines.setdefault(place, line)

    def _close(self, line: int) -> None:
        done = self.stack.pop()
        for one in done.merged:
            for key, value in one.items():
                done.value.setdefault(key, value)
        size = self.size - done.size_before + 1
        self._name(done.anchor, done.value, size)
        self._put(done.value, line, 1)

    def _name(self, anchor: str | None, value: Any, size: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, size)

    def _alias(self, name: str, line: int) -> tuple[Any, int]:
        if name not in self.anchors:
            raise self._error(line, f"*{name[:60]} stands for nothing that was named before it")
        value, size = self.anchors[name]
        self._grow(size, line)
        return copy.deepcopy(value), 0

    def _grow(self, size: int, line: int) -> None:
        self.size += size
        if self.size > MAX_VALUES:
            raise self._error(
                line, f"comes to more than {MAX_VALUES:,} values, aliases written out; is it the right file?"
            )

    def _put(self, value: Any, line: int, size: int, is_merge: bool = False) -> None:
        """A value that is whole: into what is open, or as the file's own."""
        self._grow(size, line)
        if not self.stack:
            self.value = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            self._mark((*top.place, len(top.value)), line)
            top.value.append(value)
        elif not top.has_key:
            self._key(top, value, line, is_merge)
        else:
            if top.key is _YamlReader:
                self._merge(top, value, line)
            else:
                top.value[top.key] = value
            top.key, top.has_key = None, False

    def _key(self, top: _Open, value: Any, line: int, is_merge: bool) -> None:
        if isinstance(value, list | dict):
            raise self._error(line, "a key must be a word, not a list or a mapping")
        key = _YamlReader if is_merge else value  # the class stands for `<<`, which no text can be
        if key in top.keys:
            name = "<<" if is_merge else value
            raise self._error(
                line, f"{name!r} is given twice (first in line {top.keys[key]}); leave one of the two out"
            )
        top.keys[key] = line
        top.key, top.has_key = key, True
        self._mark((*top.place, str(value)), line)

    def _merge(self, top: _Open, value: Any, line: int) -> None:
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in given):
            raise self._error(line, "`<<` takes a mapping, or a list of them")
        top.merged += given


def _unknown_tag(tag: str) -> str:
    return f"the tag {tag.removeprefix(_TAG)[:60]!r} is not known here; leave it out"


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
    except _RefusedError as error:
        raise LoadError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        why = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise LoadError(f"{where}: not JSON ({why})") from None
    _not_too_deep(value, where)
    return value


class _RefusedError(Exception):
    """JSON that says something that is refused; not a ValueError, which is what JSON's own errors are."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"{twice[:60]!r} is given twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _RefusedError(f"a number of length {len(text):,}")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(f"{text[:60]} is no number that can be used")
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
