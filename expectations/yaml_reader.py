"""YAML as a plain value, from the events of a parser: what the language leaves open is refused, with the line.

Nothing is recursive. An alias is a copy, so that what is changed changes once, and counts as all that it stands for, so that 500
bytes cannot become a gigabyte.
"""

import copy
import dataclasses
import math
from typing import Any

import yaml

MAX_VALUES = 300_000  # of a file, aliases written out
MAX_DEPTH = 40
MAX_INTEGER = 2**63 - 1  # what a recipe's fingerprint, a manifest and Arrow can hold
MAX_DIGITS = 40  # characters of a number

_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}
_NUMBERS = {f"{_TAG}int", f"{_TAG}float"}
_COLLECTIONS = {None, "!", f"{_TAG}map", f"{_TAG}seq"}
_MERGE = f"{_TAG}merge"

Place = tuple[str | int, ...]


class RefusedError(Exception):
    """A file says something that is refused; no ValueError, which is what parsers' own errors are."""


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


class YamlReader:
    """Events of a parser -> a value, and where each part of it stands: `lines`, the line of each key and item, from 1."""

    def __init__(self) -> None:
        self.value: Any = None
        self.lines: dict[Place, int] = {}
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.size = 0
        self.documents = 0
        self.resolver = yaml.resolver.Resolver()
        self.constructor = yaml.constructor.SafeConstructor()

    def take(self, event: Any) -> None:
        """The next event.

        Raises:
          RefusedError: it says something that is refused.
        """
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
                raise _refused(line, "a second document begins here (`---`); a file has one")

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
            raise _refused(line, _unknown_tag(tag))
        if tag in _NUMBERS and len(text) > MAX_DIGITS:
            raise _refused(line, f"a number of length {len(text):,}; put it in quotes if it is a word")
        if "\0" in text:
            raise _refused(line, "a text with the character U+0000, which no name has")
        try:
            text.encode()
            value = self.constructor.yaml_constructors[tag](self.constructor, yaml.ScalarNode(tag, text))
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
            what = "date" if tag.endswith("timestamp") else "text" if tag.endswith("str") else tag.removeprefix(_TAG)
            raise _refused(line, f"{text[:60]!r} is no {what}; put it in quotes if it is a word") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(line, f"{text!r} is no number that can be used; put it in quotes if it is a word")
        if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise _refused(line, f"{text[:60]!r} is beyond 64 bits; put it in quotes if it is a word")
        return value

    def _open(self, event: Any, line: int) -> None:
        if event.tag not in _COLLECTIONS:
            raise _refused(line, _unknown_tag(event.tag))
        if len(self.stack) >= MAX_DEPTH:
            raise _refused(line, f"nested too deeply (more than {MAX_DEPTH} levels)")
        if self.stack and isinstance(self.stack[-1].value, dict) and not self.stack[-1].has_key:
            raise _refused(line, "a key must be a word, not a list or a mapping")
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
            raise _refused(line, f"*{name[:60]} stands for nothing that was named before it")
        value, size = self.anchors[name]
        self._grow(size, line)
        return copy.deepcopy(value), 0

    def _grow(self, size: int, line: int) -> None:
        self.size += size
        if self.size > MAX_VALUES:
            raise _refused(
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
            if top.key is YamlReader:
                self._merge(top, value, line)
            else:
                top.value[top.key] = value
            top.key, top.has_key = None, False

    def _key(self, top: _Open, value: Any, line: int, is_merge: bool) -> None:
        if isinstance(value, list | dict):
            raise _refused(line, "a key must be a word, not a list or a mapping")
        key = YamlReader if is_merge else value  # the class stands for `<<`, which no text can be
        if key in top.keys:
            name = "<<" if is_merge else value
            raise _refused(line, f"{name!r} is given twice (first in line {top.keys[key]}); leave one of the two out")
        top.keys[key] = line
        top.key, top.has_key = key, True
        self._mark((*top.place, str(value)), line)

    def _merge(self, top: _Open, value: Any, line: int) -> None:
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in given):
            raise _refused(line, "`<<` takes a mapping, or a list of them")
        top.merged += given


def _unknown_tag(tag: str) -> str:
    return f"the tag {tag.removeprefix(_TAG)[:60]!r} is not known here; leave it out"


def _refused(line: int, what: str) -> RefusedError:
    return RefusedError(f"line {line}: {what}")
