r"""Columns that are made of others: a text template, and the turns of a chat as one text.

A name is a template if it has braces: `{instruction}\n\n{output}`. A value that is null or empty leaves out itself and what
stands before it, so that no label is left without its value. Braces that are meant as such are doubled.
"""

import functools
import string
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.ingest.turns import holds_turns, turns_of

TURNS = "turns:"  # before the name of a column that holds chats
Texts = Callable[[str], pa.Array | None]


def is_computed(name: str) -> bool:
    """Whether a name stands for a column that is made of others."""
    return name.startswith(TURNS) or "{" in name


def parts(name: str) -> tuple[str, ...]:
    """The columns that a column is made of; of one that is not made, itself."""
    if name.startswith(TURNS):
        return (name.removeprefix(TURNS),)
    return tuple(dict.fromkeys(column for _, column in template(name) if column)) if "{" in name else (name,)


@functools.cache
def template(name: str) -> tuple[tuple[str, str | None], ...]:
    """What stands before each column of a template, and the column; None: nothing more comes.

    Raises:
      ValueError: the braces do not match, or nothing is in them.
    """
    found: list[tuple[str, str | None]] = []
    before = ""
    for literal, column, form, conversion in string.Formatter().parse(name):
        before += literal
        if column is None:
            continue  # a doubled brace, or the end
        if not column or form or conversion:
            raise ValueError(f"in {name!r} stand braces without the name of a column alone; write {{column}}")
        found.append((before, column))
        before = ""
    if not found:
        raise ValueError(f"{name!r} names no column; write {{column}}")
    return (*found, (before, None))


def type_of(name: str, dtype: Callable[[str], pa.DataType | None]) -> pa.DataType | None:
    """The type of a made column where the columns have the types that `dtype` gives; None: there is nothing to make it of."""
    there = [found for part in parts(name) if (found := dtype(part)) is not None]
    if name.startswith(TURNS):
        there = [one for one in there if holds_turns(one)]
    return pa.large_string() if there else None


def made(name: str, get: Callable[[str], Sequence[Any] | pa.Array | None], text: Texts) -> pa.LargeStringArray | None:
    """A made column of some rows, of what `get` gives of others, or `text` as text; None if nothing of it is there."""
    if name.startswith(TURNS):
        values = get(name.removeprefix(TURNS))
        turns = None if values is None else turns_of(values)
        return None if turns is None else turns.together()
    return _filled(name, text)


def _filled(name: str, text: Texts) -> pa.LargeStringArray | None:
    found: pa.Array | None = None
    *fields, (end, _) = template(name)
    for before, column in fields:
        values = text(column or "")
        if values is None:
            continue
        values = values.cast(pa.large_string())
        values = pc.if_else(pc.equal(values, ""), None, values)
        if found is None:
            found = pa.nulls(len(values), pa.large_string())
        first = _joined(pa.scalar(before.lstrip() if column != fields[0][1] else before, pa.large_string()), values)
        later = _joined(found, pa.scalar(before, pa.large_string()), values)
        found = pc.coalesce(later, pc.if_else(found.is_null(), first, None), found)
    return None if found is None else _joined(found, pa.scalar(end, pa.large_string()))


def _joined(*strings: pa.Array | pa.Scalar) -> pa.LargeStringArray:
    """Null where one of them is."""
    return pc.binary_join_element_wise(*strings, pa.scalar("", pa.large_string()))
