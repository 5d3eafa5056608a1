"""The input's own columns -> DOCUMENT: which column is which, and what its values mean.

Where the recipe names no column, the well-known names are tried in order and, row by row, the first that says something
counts. They cover Dolma, FineWeb, DCLM, RedPajama, C4 and our own releases. A name is a guess: it never overrules what the
recipe declares of the source.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.language_tags import normal_tags
from transforms.ingest import as_text, computed, turns
from transforms.ingest.sources import Fields, Source
from transforms.kernels.text import dates
from transforms.kernels.text.columns import hash_texts

# Not `added` (Dolma): that is when a collector took a document in.
WELL_KNOWN = {
    "text": ("text", "content", "raw_content", "document", "body"),
    "id": ("id", "doc_id", "uuid", "_id"),
    "created": ("created", "created_at", "date", "timestamp", "crawl_date"),
    "language": ("language", "lang"),
    "url": ("url", "metadata.url"),
    "origin": ("origin", "declared_origin", "label"),
    "generator": ("generator", "model"),
    "kind": ("kind", "synthetic_kind"),
    "author": ("author", "metadata.author"),
    "licence": ("licence", "license", "metadata.licence", "metadata.license"),
    "stratum": (),  # only where the recipe says so, as the next two
    "derived_from": (),
    "verifier": (),
}
ORIGIN_WORDS = {
    **dict.fromkeys(("human", "human-written", "human_written", "real"), contracts.HUMAN),
    **dict.fromkeys(
        ("synthetic", "ai", "ai-generated", "ai_generated", "machine", "machine-generated", "machine_generated", "llm"),
        contracts.SYNTHETIC,
    ),
}
# A column that happens to be called so may be about another thing: in fake-news sets a "real" label means true.
NOT_AS_LABEL = ("real",)
SAYS_NOTHING = ("", "unknown")  # of an origin or a date; everything else that is no origin or date is not understood
SHOWN_CHARS = 60  # of a value that is not understood


class Columns(Protocol):
    """Some rows of an input, by column."""

    def get(self, name: str) -> Sequence[Any] | pa.Array | None:
        """The values of a column (dots reach into nested objects), or None if there is no such column."""

    def text(self, name: str) -> pa.StringArray | None:
        """The same as text, by the table in transforms/ingest/as_text.py."""

    def where(self, mask: npt.NDArray[np.bool_]) -> "Columns":
        """The rows where `mask` (bool[n]) is true."""

    def take(self, rows: npt.NDArray[np.int64]) -> "Columns":
        """Some rows, in any order, also several times."""


class JsonColumns:
    """Parsed JSON objects by column, and the lines that they were parsed from. A key that a record lacks is None in it."""

    def __init__(self, records: list[dict[str, Any]], lines: list[bytes]) -> None:
        self.records, self.lines = records, lines
        self.keys = set(itertools.chain.from_iterable(records))  # most of the names that are tried are in no record

    def get(self, name: str) -> list[Any] | None:
        """The value of every record; a key that holds the dots itself goes first."""
        if computed.is_computed(name):
            found = computed.made(name, self.get, self.text)
            return None if found is None else found.to_pylist()
        if name not in self.keys and name.split(".")[0] not in self.keys:
            return None
        values = [record.get(name) for record in self.records]
        if "." in name:
            keys = name.split(".")
            values = [as_text.reach(r, keys) if v is None else v for r, v in zip(self.records, values, strict=True)]
        return None if values.count(None) == len(values) else values

    def text(self, name: str) -> pa.StringArray | None:
        """The values as text, their numbers with the digits that stand in the lines."""
        values = self.get(name)
        return None if values is None else as_text.json_texts(values, self.lines, name)

    def where(self, mask: npt.NDArray[np.bool_]) -> "JsonColumns":
        """The records where `mask` is true."""
        chosen = mask.tolist()
        return JsonColumns(list(itertools.compress(self.records, chosen)), list(itertools.compress(self.lines, chosen)))

    def take(self, rows: npt.NDArray[np.int64]) -> "JsonColumns":
        """Some records."""
        return JsonColumns([self.records[row] for row in rows], [self.lines[row] for row in rows])


class ArrowColumns:
    """A record batch by column. An empty one (`NO_COLUMNS`) is an input that has none."""

    def __init__(self, batch: pa.RecordBatch, mask: npt.NDArray[np.bool_] | None = None) -> None:
        self.batch = batch
        self.mask = mask
        self.names = frozenset(batch.schema.names)

    def get(self, name: str) -> pa.Array | None:
        """The column, or the child of a struct column."""
        if computed.is_computed(name):
            return computed.made(name, self.get, self.text)
        if not may_be_in(self.names, name):
            return None
        if column_type(self.batch.schema, name) is None:
            return None
        if name in self.names:
            column = self.batch[name]
        else:
            top, *rest = name.split(".")
            column = pc.struct_field(self.batch[top], rest)
        if self.mask is None:
            return column
        try:
            return column.filter(pa.array(self.mask))
        except pa.ArrowNotImplementedError:  # views, alone or nested
            return pa.array(itertools.compress(column.to_pylist(), self.mask.tolist()), column.type)

    def text(self, name: str) -> pa.StringArray | None:
        """The values as text."""
        values = self.get(name)
        return None if values is None else as_text.texts(values)

    def where(self, mask: npt.NDArray[np.bool_]) -> "ArrowColumns":
        """The rows where `mask` is true."""
        return ArrowColumns(self.batch, mask)

    def take(self, rows: npt.NDArray[np.int64]) -> "ArrowColumns":
        """Some rows."""
        chosen = rows if self.mask is None else np.flatnonzero(self.mask)[rows]
        return ArrowColumns(self.batch.take(pa.array(chosen)))


NO_COLUMNS = ArrowColumns(pa.record_batch({}))


def may_be_in(names: frozenset[str], name: str) -> bool:
    """Whether one of the names of columns is this one, or has it by dots. Most names that are tried are put aside so."""
    return not names.isdisjoint((name, name.split(".")[0]))


def column_type(schema: pa.Schema, name: str) -> pa.DataType | None:
    """The type of a column or, by dots, of a child of struct columns; None if there is none, or two."""
    if computed.is_computed(name):
        return computed.type_of(name, lambda part: column_type(schema, part))
    if name in schema.names:
        return schema.field(name).type if schema.names.count(name) == 1 else None
    top, *rest = name.split(".")
    if schema.names.count(top) != 1:
        return None
    dtype = schema.field(top).type
    for key in rest:
        if not pa.types.is_struct(dtype) or dtype.get_field_index(key) < 0:
            return None
        dtype = dtype.field(key).type
    return dtype


def names(fields: Fields, field: str) -> tuple[str, ...]:
    """The columns to try for a field, in order."""
    chosen = getattr(fields, field)
    if field != "text" or chosen is not None:
        return WELL_KNOWN[field] if chosen is None else (chosen,)
    if fields.turns is not None:
        return (computed.TURNS + fields.turns,)
    return (*WELL_KNOWN[field], *(computed.TURNS + name for name in turns.COLUMNS))


def columns_for(fields: Fields, field: str) -> tuple[str, ...]:
    """The columns of the input that those names are made of."""
    return tuple(dict.fromkeys(part for name in names(fields, field) for part in computed.parts(name)))


def tried(source: Source, field: str) -> tuple[str, ...]:
    """The columns to try for a field of a source: none where the recipe declares it and names no column."""
    declared = getattr(source, field, None) if field in ("origin", "generator", "kind") else None
    return () if declared is not None and getattr(source.fields, field) is None else names(source.fields, field)


def beside_text(source: Source, keep: tuple[str, ...] = ()) -> tuple[str, ...]:
    """All columns that are asked for beside the text."""
    known = [name for field in WELL_KNOWN if field != "text" for name in names(source.fields, field)]
    return tuple(dict.fromkeys(part for name in (*known, *keep) for part in computed.parts(name)))


def schema(keep: tuple[str, ...] = ()) -> pa.Schema:
    """DOCUMENT, and behind it the input's own columns that the recipe keeps."""
    return pa.schema([*contracts.DOCUMENT.schema, *(pa.field(kept_as(name), pa.string()) for name in keep)])


def kept_as(name: str) -> str:
    """What the input's own column is called in a batch: DOCUMENT may have another of its name."""
    return f"kept:{name}" if name in contracts.DOCUMENT.schema.names else name


def build(
    source: Source,
    keep: tuple[str, ...],
    file: npt.NDArray[np.int32],
    row: npt.NDArray[np.int64],
    text: pa.LargeStringArray,
    columns: Columns,
) -> pa.RecordBatch:
    """Rows whose text is good -> DOCUMENT. `file`, `row` and `text` have one value per row of `columns`."""
    n = len(text)

    def first(field: str) -> pa.StringArray:
        return _first_text(columns, tried(source, field), n)

    ids = first("id")
    if isinstance(columns, TurnColumns):
        ids = columns.ids(ids)
    origin, strange_origin = _origins(source, columns, n)
    created, strange_date = _dates(names(source.fields, "created"), columns, n)
    generator, kind = first("generator"), pc.utf8_lower(pc.utf8_trim_whitespace(first("kind")))
    synthetic = pc.equal(origin, contracts.SYNTHETIC)
    if isinstance(columns, TurnColumns):  # the model of a conversation wrote its own turns only
        generator = pc.if_else(pc.equal(origin, contracts.HUMAN), None, generator)
    if source.generator is not None:
        generator = pc.coalesce(generator, pc.if_else(synthetic, pa.scalar(source.generator, pa.string()), None))
    if source.kind is not None:
        kind = pc.coalesce(kind, pa.scalar(source.kind.strip().lower(), pa.string()))
    kind = pc.if_else(synthetic, kind, None)  # human text that happens to have such a column has none
    licence = first("licence")
    if source.licence is not None:
        licence = pc.coalesce(licence, pa.scalar(source.licence, pa.string()))
    kept = [_first_text(columns, (name,), n) for name in keep]
    arrays = [
        document_ids(source.name, ids, text),
        pa.array(file, pa.int32()),
        pa.array(row, pa.int64()),
        ids,
        text,
        created,
        normal_tags(first("language")),
        first("url"),
        origin,
        generator,
        kind,
        first("stratum"),
        pc.if_else(pc.equal(origin, contracts.HUMAN), None, first("derived_from")),
        pc.if_else(pc.equal(origin, contracts.HUMAN), None, first("verifier")),
        first("author"),
        licence,
        _not_understood({"created": strange_date, "origin": strange_origin}),
    ]
    return pa.RecordBatch.from_arrays([*arrays, *kept], schema=schema(keep))


def document_ids(source: str, ids: pa.StringArray, text: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """BLAKE2b of source name, the input's id and the raw text: never of where it was read. binary(16)[n].

    Lengths go before what is measured, so no two different triples feed the same bytes.
    """
    name = source.encode()
    prefix = len(name).to_bytes(8, "little") + name
    own = ids.cast(pa.large_binary())
    lengths = np.where(
        own.is_null().to_numpy(zero_copy_only=False), -1, pc.fill_null(pc.binary_length(own), 0).to_numpy()
    )
    lengths = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(own), [None, pa.py_buffer(lengths.astype("<i8"))])
    parts = pa.scalar(prefix, pa.large_binary()), lengths.cast(pa.large_binary()), own.fill_null(b"")
    return hash_texts(text, pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary())))


def _first_text(columns: Columns, candidates: tuple[str, ...], n: int) -> pa.StringArray:
    """Row by row, the first candidate column that says something. string[n]."""
    found = pa.nulls(n, pa.string())
    for name in candidates:
        if found.null_count and (more := columns.text(name)) is not None:
            found = pc.coalesce(found, more)
    return found


def _dates(candidates: tuple[str, ...], columns: Columns, n: int) -> tuple[pa.TimestampArray, pa.StringArray]:
    """Row by row the first candidate that is a date, and else the first that is none but says something."""
    found, strange = pa.nulls(n, contracts.WHEN), pa.nulls(n, pa.string())
    for name in candidates:
        if found.null_count and (values := columns.get(name)) is not None:
            more = as_timestamps(values)
            if more.null_count > (values.null_count if isinstance(values, pa.Array) else values.count(None)):
                strange = pc.coalesce(strange, _unread(columns.text(name), more))
            found = pc.coalesce(found, more)
    return found, pc.if_else(found.is_valid(), None, strange)


def _origins(source: Source, columns: Columns, n: int) -> tuple[pa.Int8Array, pa.StringArray]:
    """Index into ORIGINS, and what a column of that name says of it that is no origin."""
    found, strange = pa.nulls(n, pa.int8()), pa.nulls(n, pa.string())
    for name in tried(source, "origin"):
        if not found.null_count or (said := columns.text(name)) is None:
            continue
        is_label = source.fields.origin is None and name == "label"  # as likely a class, so it need not be an origin
        words = {w: o for w, o in ORIGIN_WORDS.items() if not (is_label and w in NOT_AS_LABEL)}
        at = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(said)), value_set=pa.array(list(words)))
        more = pc.take(pa.array(list(words.values()), pa.int8()), at)
        if not is_label and more.null_count > said.null_count:
            strange = pc.coalesce(strange, _unread(said, more))
        found = pc.coalesce(found, more)
    strange = pc.if_else(found.is_valid(), None, strange)
    if source.roles.said():
        found = pc.coalesce(found, _by_roles(source, columns, n))
    declared = contracts.UNKNOWN if source.origin is None else contracts.ORIGINS.index(source.origin)
    return pc.coalesce(found, pa.scalar(declared, pa.int8())), strange


def _by_roles(source: Source, columns: Columns, n: int) -> pa.Int8Array:
    """Of each chat: synthetic if a turn of it is, human if all whose author is declared are; null where nobody's is."""
    found = pa.nulls(n, pa.int8())
    if isinstance(columns, TurnColumns):
        said = columns.role
        spoken = turns.Turns(np.arange(n + 1), said, said)
        return _of_turns(source, spoken)
    for name in names(source.fields, "text"):
        values = columns.get(name.removeprefix(computed.TURNS)) if name.startswith(computed.TURNS) else None
        if values is not None and (spoken_in := turns.turns_of(values)) is not None:
            found = pc.coalesce(found, _of_turns(source, spoken_in))
    return found


def spoken_in(source: Source, columns: Columns, text: pa.LargeStringArray) -> turns.Turns:
    """The turns of some documents: of each that is a chat, those in it; else its text as one turn of nobody's."""
    lists: list[list[tuple[str | None, str]]] = [[(None, one)] for one in text.to_pylist()]
    for name in reversed(names(source.fields, "text")):
        values = columns.get(name.removeprefix(computed.TURNS)) if name.startswith(computed.TURNS) else None
        found = None if values is None else turns.turns_of(values)
        if found is None:
            continue
        own = [pc.equal(found.together(), text).to_pylist()]
        pairs = list(zip(found.role.to_pylist(), found.content.to_pylist(), strict=True))
        for i, is_chat in enumerate(own[0]):
            if is_chat:
                lists[i] = pairs[found.offsets[i] : found.offsets[i + 1]]
    offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    flat = list(itertools.chain.from_iterable(lists))
    role, content = pa.array([r for r, _ in flat], pa.string()), pa.array([c for _, c in flat], pa.large_string())
    return turns.Turns(offsets, role, content)


def _of_turns(source: Source, spoken: turns.Turns) -> pa.Int8Array:
    said = [None if role is None else getattr(source.roles, role) for role in spoken.known_role()]
    conversation, n = spoken.conversation, len(spoken.offsets) - 1
    synthetic = np.zeros(n, bool)
    synthetic[conversation[[one == "synthetic" for one in said]]] = True
    human = np.zeros(n, bool)
    human[conversation[[one == "human" for one in said]]] = True
    origin = np.where(synthetic, contracts.SYNTHETIC, contracts.HUMAN).astype(np.int8)
    return pa.array(origin, pa.int8(), mask=~(synthetic | human))


class TurnColumns:
    """The turns of chats, a row each: the columns of their conversations, and `role` and `turn` of their own."""

    def __init__(self, inner: Columns, role: pa.StringArray, number: npt.NDArray[np.int64]) -> None:
        self.inner, self.role, self.number = inner, role, number

    def get(self, name: str) -> Sequence[Any] | pa.Array | None:
        """A column of the conversation, or `role`, or `turn`."""
        return self.role if name == "role" else pa.array(self.number) if name == "turn" else self.inner.get(name)

    def text(self, name: str) -> pa.StringArray | None:
        """The same as text."""
        own = self.get(name) if name in ("role", "turn") else None
        return self.inner.text(name) if own is None else as_text.texts(own)

    def where(self, mask: npt.NDArray[np.bool_]) -> "TurnColumns":
        """The turns where `mask` is true."""
        return TurnColumns(self.inner.where(mask), self.role.filter(pa.array(mask)), self.number[mask])

    def take(self, rows: npt.NDArray[np.int64]) -> "TurnColumns":
        """Some turns."""
        return TurnColumns(self.inner.take(rows), self.role.take(pa.array(rows)), self.number[rows])

    def ids(self, ids: pa.StringArray) -> pa.StringArray:
        """Of each turn: the id of its conversation and its number."""
        return pc.binary_join_element_wise(ids, pa.array(self.number).cast(pa.string()), "#")


def _unread(said: pa.StringArray, understood: pa.Array) -> pa.StringArray:
    """What was said where nothing was understood."""
    silent = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(said)), pa.array([*SAYS_NOTHING, "nan"]))
    return pc.if_else(pc.or_(understood.is_valid(), pc.fill_null(silent, True)), None, said)


def _not_understood(strange: dict[str, pa.StringArray]) -> pa.StringArray:
    """By row one line, `field: value`, for each value that was not understood; null where there is none."""
    said = {field: values for field, values in strange.items() if values.null_count < len(values)}
    if not said:
        return pa.nulls(len(next(iter(strange.values()))), pa.string())
    parts = [
        pc.binary_join_element_wise(
            f"{field}: ",
            pc.replace_substring_regex(pc.utf8_slice_codeunits(values, 0, SHOWN_CHARS), r"[\p{C}\s]+", " "),
            "",
        )
        for field, values in said.items()
    ]
    found = parts[0]
    for part in parts[1:]:  # not with null_handling="skip", which loses rows in which all are null (pyarrow 25)
        both = pc.binary_join_element_wise(found, part, "\n")
        found = pc.coalesce(both, found, part)
    return found


def as_timestamps(values: Sequence[Any] | pa.Array) -> pa.TimestampArray:
    """Any column as moments in UTC; null where it is not a date. timestamp[us, UTC][n]."""
    if not isinstance(values, pa.Array):
        try:
            return dates.from_strings(pa.array(values, pa.string()))
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # not all of them are strings
            strings = pa.array([v if isinstance(v, str) else None for v in values], pa.string())
        numbers = [float(v) if isinstance(v, int | float) and not isinstance(v, bool) else None for v in values]
        return pc.coalesce(dates.from_strings(strings), dates.from_numbers(pa.array(numbers, pa.float64())))
    dtype = values.type
    if pa.types.is_dictionary(dtype):
        return as_timestamps(values.dictionary).take(values.indices)
    if isinstance(dtype, pa.BaseExtensionType):
        return as_timestamps(values.storage)
    if is_text(dtype):
        return dates.from_strings(as_text.texts(values))
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        return dates.from_timestamps(values)
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return dates.from_numbers(values)
    return pa.nulls(len(values), contracts.WHEN)


def is_text(dtype: pa.DataType) -> bool:
    """Whether a column of this type may hold text, as characters or as bytes."""
    return as_text.is_bytes_or_text(dtype.value_type if pa.types.is_dictionary(dtype) else dtype)


def valid_text(values: pa.Array) -> pa.LargeStringArray:
    """Text in any of Arrow's types; null where it is not valid UTF-8 (Parquet readers do not look). large_string[n]."""
    binary = values.cast(pa.large_binary())
    try:
        return binary.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array([None if v is None else _decoded(v) for v in binary.to_pylist()], pa.large_string())


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
