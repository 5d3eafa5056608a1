"""What every stage of the graph is: a PTransform whose types Beam checks, and whose settings a runner's page shows."""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pydantic
from apache_beam.typehints.decorators import IOTypeHints
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

LONGEST = 200  # characters of a setting that is shown
OF_ALL = "corpus"  # a field that most stages have, and that says the same of each: not shown


class Stage(beam.PTransform):
    """A PTransform with one input or several, and one output or several: collections, tuples or NamedTuples of them.

    Beam by itself takes its types from `expand` where there is one collection, and ignores them, with a warning that a run
    hides, where there are more. Here it gets those of each.
    """

    def default_type_hints(self) -> IOTypeHints:
        """The types of all collections that `expand` takes and gives, as its annotations say."""
        said = typing.get_type_hints(type(self).expand)
        given = next(hint for name, hint in said.items() if name != "return")
        return IOTypeHints.empty().with_input_types(*_types(given)).with_output_types(*_types(said["return"]))

    def display_data(self) -> dict[str, str]:
        """The stage's settings, and how many of what it has many of: in one line, for Beam has 100 bytes for each."""
        said = [f"{name}={value}" for name, value in _settings(self)]
        return {"settings": ", ".join(said)} if said else {}


def _types(hint: Any) -> list[Any]:
    """The element types in a hint: of a collection its own, of a tuple each part's."""
    if typing.get_origin(hint) is beam.PCollection:
        return [convert_to_beam_type(typing.get_args(hint)[0])]
    fields = getattr(hint, "_fields", None)
    parts = [typing.get_type_hints(hint)[name] for name in fields] if fields else typing.get_args(hint)
    assert parts, f"{hint} is no collection, and no tuple of collections"
    # A part may itself be a tuple of collections of one type, `tuple[PCollection[T], ...]`.
    return [_types(part)[0] for part in parts if part is not Ellipsis]


def _settings(one: Any, before: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    """What is said in a sentence of a value's fields, by dotted name."""
    is_model = isinstance(one, pydantic.BaseModel)
    for name in type(one).model_fields if is_model else (field.name for field in dataclasses.fields(one)):
        value = getattr(one, name)
        if name == OF_ALL:
            continue
        if isinstance(value, bool | int | float | str):
            if len(str(value)) <= LONGEST:
                yield before + name, value
        elif isinstance(value, tuple):
            yield before + name, f"{len(value)}"
        elif depth and (dataclasses.is_dataclass(value) or isinstance(value, pydantic.BaseModel)):
            yield from _settings(value, f"{before}{name}.", depth - 1)
