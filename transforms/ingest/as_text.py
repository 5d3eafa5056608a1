"""One table from a value's type to its text, for ids, kept columns and every other field that is text.

The same for every format, so that a row has the same id in JSON and in Parquet:

| value | text |
|---|---|
| text | as it is |
| whole number, of any size | its digits |
| number of a double or float | as ECMAScript spells it (RFC 8785): `60`, `0.1`, `1e-7`, `NaN`, `Infinity` |
| decimal | its digits, with the places of its scale: `1.10` |
| number in JSON | the digits that stand there; a double's spelling (`60.0`, `1e3`) as above |
| boolean | `true`, `false` |
| date, time, moment | ISO 8601 with a space for the T; a moment with a zone in UTC, with `Z` |
| duration | its number of units |
| UUID | with hyphens |
| bytes | as text where they are valid UTF-8; else, and always where all have one width, in hexadecimal |
| list, struct, map, object | JSON whose numbers are spelled as above; what JSON cannot hold is its text in quotes |
| null | null |
"""

import decimal
import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

EXACT_BELOW = 2.0**53  # whole doubles below this are spelled by their digits at once
POSITIONAL = 1e-6, 1e21  # ECMAScript spells doubles from here to there without an exponent
_NOT_POSITIONAL_IN_ARROW = 1e15
_NUMBER = re.compile(rb"\s*:\s*(-?[0-9][0-9.eE+-]*)")


def is_bytes_or_text(dtype: pa.DataType) -> bool:
    """Whether values of this type are text, as characters or as bytes."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary)
    more = (pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(kind(dtype) for kind in (*kinds, *more))


def texts(values: pa.Array) -> pa.StringArray:
    """Values of any Arrow type as text. string[n]."""
    dtype = values.type
    if isinstance(dtype, pa.BaseExtensionType):
        return _of_extension(values)
    if pa.types.is_dictionary(dtype):
        return texts(values.dictionary).take(values.indices)
    if pa.types.is_run_end_encoded(dtype):
        return texts(pc.run_end_decode(values))
    if pa.types.is_union(dtype):
        return _strings([texts(pa.array([v.value.as_py()], v.value.type))[0].as_py() for v in values])
    if pa.types.is_nested(dtype) or pa.types.is_interval(dtype):
        return _strings([None if value is None else _json(value) for value in _plain(values)])
    return _of_leaves(values)


def _of_leaves(values: pa.Array) -> pa.StringArray:
    """Values that hold no others."""
    dtype = values.type
    if pa.types.is_fixed_size_binary(dtype):
        return _strings([None if value is None else value.hex() for value in values.to_pylist()])
    if is_bytes_or_text(dtype):
        return _of_bytes(values)
    if pa.types.is_floating(dtype):
        return _of_floats(values)
    if pa.types.is_decimal(dtype):
        return _of_decimals(values)
    if pa.types.is_timestamp(dtype) and dtype.tz is not None:
        return pc.binary_join_element_wise(texts(values.cast(pa.timestamp(dtype.unit))), pa.scalar("Z"), "")
    if pa.types.is_duration(dtype):
        return values.cast(pa.int64()).cast(pa.string())
    if pa.types.is_temporal(dtype):
        return _of_moments(values)
    return values.cast(pa.string())  # whole numbers, booleans, null


def _strings(values: Sequence[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())


def _of_extension(values: pa.ExtensionArray) -> pa.StringArray:
    if isinstance(values.type, pa.UuidType):
        bare = texts(values.storage)
        parts = [pc.utf8_slice_codeunits(bare, start, stop) for start, stop in _PARTS_OF_UUID]
        return pc.binary_join_element_wise(*parts, "-")
    if isinstance(values.type, pa.Bool8Type):
        return values.storage.cast(pa.bool_()).cast(pa.string())
    return texts(values.storage)


_PARTS_OF_UUID = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def _of_bytes(values: pa.Array) -> pa.StringArray:
    binary = values.cast(pa.large_binary())
    try:
        return binary.cast(pa.string())
    except pa.ArrowInvalid:
        return _strings([None if value is None else _decoded(value) for value in binary.to_pylist()])


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _of_floats(values: pa.Array) -> pa.StringArray:
    numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    size = np.abs(numbers.astype(np.float64))
    whole = (size < EXACT_BELOW) & (np.trunc(numbers) == numbers)
    digits = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
    if whole.all():
        return pc.if_else(values.is_valid(), digits, None)
    odd = ~whole & (~np.isfinite(numbers) | (size >= _NOT_POSITIONAL_IN_ARROW))
    odd |= ~whole & (values.type == pa.float16())  # Arrow spells these with digits that they do not have
    found = pc.if_else(pa.array(whole), digits, values.cast(pa.string()))
    if odd.any():
        spelled = [spelled_number(number) for number in numbers[odd]]
        found = pc.replace_with_mask(found, pa.array(odd), pa.array(spelled))
    return pc.if_else(values.is_valid(), found, None)


def spelled_number(value: Any) -> str:
    """A number of a double (or of a numpy float, with its digits) as ECMAScript's `Number::toString` spells it."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    if POSITIONAL[0] <= abs(float(value)) < POSITIONAL[1]:
        return np.format_float_positional(value, unique=True, trim="-")
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=1)


def _of_decimals(values: pa.Array) -> pa.StringArray:
    if 0 <= values.type.scale <= 6:  # Arrow turns to exponents for smaller numbers
        return values.cast(pa.string())
    return _strings([None if value is None else format(value, "f") for value in values.to_pylist()])


def _of_moments(values: pa.Array) -> pa.StringArray:
    found = values.cast(pa.string())
    beyond = pc.fill_null(pc.starts_with(found, "<"), False)  # a year that no calendar of Arrow's has
    if not pc.any(beyond).as_py():
        return found
    width = pa.int32() if values.type.bit_width == 32 else pa.int64()
    return pc.if_else(beyond, values.cast(width).cast(pa.string()), found)


def _plain(values: pa.Array) -> list[Any]:
    """Values of any Arrow type as what `orjson` writes: numbers already spelled, and text."""
    dtype = values.type
    if isinstance(dtype, pa.BaseExtensionType) and not isinstance(dtype, pa.UuidType | pa.Bool8Type):
        return _plain(values.storage)
    if pa.types.is_dictionary(dtype):
        return _plain(values.dictionary_decode())
    if pa.types.is_struct(dtype):
        children = [_plain(child) for child in values.flatten()]
        names = [dtype.field(i).name for i in range(dtype.num_fields)]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*children, strict=True)] or [{}] * len(values)
        return _where(values, rows)
    if pa.types.is_map(dtype):
        return _where(values, _maps(values))
    if _is_list(dtype):
        ends = np.cumsum(pc.fill_null(pc.list_value_length(values), 0).to_numpy(), dtype=np.int64).tolist()
        items = _plain(values.flatten())
        return _where(values, [items[start:end] for start, end in zip([0, *ends], ends, strict=False)])
    if pa.types.is_union(dtype):
        return [_plain(pa.array([v.value.as_py()], v.value.type))[0] if v.is_valid else None for v in values]
    if pa.types.is_interval(dtype):
        return [None if value is None else list(value) for value in values.to_pylist()]
    if pa.types.is_boolean(dtype) or isinstance(dtype, pa.Bool8Type):
        return [None if value is None else value == "true" for value in texts(values).to_pylist()]
    found = texts(values).to_pylist()
    if pa.types.is_integer(dtype) or pa.types.is_decimal(dtype):
        return [None if value is None else orjson.Fragment(value) for value in found]
    if pa.types.is_floating(dtype):
        return [None if v is None else v if v[-1] in "Ny" else orjson.Fragment(v) for v in found]
    return found


def _where(values: pa.Array, found: list[Any]) -> list[Any]:
    return [one if valid else None for one, valid in zip(found, values.is_valid().to_pylist(), strict=True)]


def _is_list(dtype: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    views = (pa.types.is_list_view, pa.types.is_large_list_view)
    return any(kind(dtype) for kind in (*kinds, *views))


def _maps(values: pa.MapArray) -> list[Any]:
    """Maps as objects; one in which a key is twice as a list of pairs."""
    offsets = values.offsets.to_pylist()
    first, last = offsets[0], offsets[-1]
    keys = texts(values.keys.slice(first, last - first)).to_pylist()
    items = _plain(values.items.slice(first, last - first))
    found: list[Any] = []
    for start, end in itertools.pairwise(offsets):
        pairs = list(zip(keys[start - first : end - first], items[start - first : end - first], strict=True))
        found.append(dict(pairs) if len(dict(pairs)) == len(pairs) else [list(pair) for pair in pairs])
    return found


def _json(value: Any) -> str | None:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper than orjson goes
        return None


def json_texts(values: Sequence[Any], lines: Sequence[bytes], name: str) -> pa.StringArray:
    """Values of one key of parsed JSON objects as text.

    Args:
      values: by object; None where the key is not there.
      lines: the objects as they were written: a number that `orjson` made a double of is looked up there.
      name: the key; dots reach into nested objects.

    Returns:
      string[n].
    """
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # not all of them are strings
        pass
    return _strings([_json_text(value, line, name) for value, line in zip(values, lines, strict=True)])


def _json_text(value: Any, line: bytes, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number_text(value, line, name)
    if not _has_double(value):
        return _json(value)
    again = _as_written(line, name, _fragment)
    return _json(value if again is None else again)


def _number_text(value: float, line: bytes, name: str) -> str:
    quoted = b'"%b"' % name.encode() if name.isascii() else orjson.dumps(name)
    if line.count(quoted) == 1:  # nearly always: then nothing need be parsed again
        found = _NUMBER.match(line, line.find(quoted) + len(quoted))
        if found and float(found[1]) == value:
            return number_text(found[1].decode())
    again = _as_written(line, name, _Literal)
    return number_text(again) if isinstance(again, _Literal) else spelled_number(value)


class _Literal(str):
    """A number of JSON as it was written."""


def _fragment(literal: str) -> orjson.Fragment:
    return orjson.Fragment(number_text(literal))


def _as_written(line: bytes, name: str, number: Callable[[str], Any]) -> Any:
    """The value of a key, each number in it made by `number`; None where the line is nested beyond measure."""
    try:
        record = json.loads(line, parse_float=number, parse_int=number)
    except RecursionError:
        return None
    found = record.get(name)
    return reach(record, name.split(".")) if found is None else found


def reach(record: dict[str, Any], keys: Sequence[str]) -> Any:
    """The value at the end of a path of keys, or None."""
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _has_double(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float):
            return True
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False


def number_text(literal: str) -> str:
    """A number of JSON as text: its digits, but for what is only another spelling of the same double (`60.0`, `1e3`)."""
    plain = "e" not in literal and "E" not in literal
    if plain and "." not in literal:
        return literal
    value = float(literal)
    if plain and not literal.endswith("0") and repr(value) == literal:  # nearly always, and both spell it alike
        return literal
    if plain and literal.endswith("0") and not re.fullmatch(r"-?[0-9]+\.0", literal):
        return literal  # 1.10: who writes it so means it
    try:
        same = np.isfinite(value) and decimal.Decimal(literal) == decimal.Decimal(repr(value))
    except decimal.InvalidOperation:  # an exponent beyond measure
        same = False
    return spelled_number(value) if same else literal
