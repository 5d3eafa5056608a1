"""The table from a value's type to its text, over every type of Arrow's and every value of JSON's."""

import datetime
import decimal
import json
import math
import pathlib
import uuid

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.ingest.as_text import json_texts, number_text, texts
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits

D = decimal.Decimal
DAY, NOON = datetime.date(2015, 5, 5), 1_430_827_200  # and that day at noon, in seconds since 1970
U = uuid.UUID(int=7)


def ecmascript(value: float) -> str:
    """`Number::toString` as ECMA-262 writes it down, from the shortest digits of a double."""
    if math.isnan(value):
        return "NaN"
    if value == 0:
        return "0"
    if value < 0:
        return "-" + ecmascript(-value)
    if math.isinf(value):
        return "Infinity"
    _, digits, exponent = D(repr(value)).normalize().as_tuple()
    s, k = "".join(map(str, digits)), len(digits)
    n = exponent + k
    if k <= n <= 21:
        return s + "0" * (n - k)
    if 0 < n <= 21:
        return f"{s[:n]}.{s[n:]}"
    if -6 < n <= 0:
        return "0." + "0" * -n + s
    e = f"e{'+' if n > 0 else '-'}{abs(n - 1)}"
    return s[0] + (f".{s[1:]}" if k > 1 else "") + e


def extension(dtype: pa.DataType, storage: list, of: pa.DataType) -> pa.Array:
    return pa.ExtensionArray.from_storage(dtype, pa.array(storage, of))


def moments(unit: str, tz: str | None = None) -> pa.Array:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return pa.array([NOON * per_second], pa.timestamp(unit, tz))


PAIR = pa.struct(
    [("a", pa.int64()), ("b", pa.decimal128(5, 2)), ("c", pa.date32()), ("d", pa.bool_()), ("e", pa.binary())]
)
LISTED = [["a"], None, ["b", None], []]
LISTS_SAY = ['["a"]', None, '["b",null]', "[]"]

TABLE = [
    *((pa.array([0, 7, None], t), ["0", "7", None]) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *((pa.array([0, 7, None], t), ["0", "7", None]) for t in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    (pa.array([-(2**63), 2**63 - 1]), ["-9223372036854775808", "9223372036854775807"]),
    (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    *(
        (pa.array(np.array([60, 0.1, -0.0, 1.5, math.nan, math.inf, -math.inf], t)),
         ["60", "0.1", "0", "1.5", "NaN", "Infinity", "-Infinity"])
        for t in (np.float16, np.float32, np.float64)
    ),
    (pa.array([60.0, None, 1e15, 1430784000000000.0, 2.0**53, 1e21, 5e-324, 1e-7]),
     ["60", None, "1000000000000000", "1430784000000000", "9007199254740992", "1e+21", "5e-324", "1e-7"]),
    (pa.array([True, False, None]), ["true", "false", None]),
    *(
        (pa.array([D("1.10"), D("-0.50"), None], t), ["1.10", "-0.50", None])
        for t in (pa.decimal32(5, 2), pa.decimal64(9, 2), pa.decimal128(20, 2), pa.decimal256(60, 2))
    ),
    (pa.array([D("1E-10")], pa.decimal128(30, 10)), ["0.0000000001"]),
    (pa.array([D(1200)], pa.decimal128(10, -2)), ["1200"]),
    (pa.array([10**37 + 1], pa.decimal128(38, 0)), [str(10**37 + 1)]),
    (pa.array([DAY, None], pa.date32()), ["2015-05-05", None]),
    (pa.array([DAY, None], pa.date64()), ["2015-05-05", None]),
    (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), ["2147483647"]),  # in no calendar
    (moments("s"), ["2015-05-05 12:00:00"]),
    (moments("ms"), ["2015-05-05 12:00:00.000"]),
    (moments("us"), ["2015-05-05 12:00:00.000000"]),
    (moments("ns"), ["2015-05-05 12:00:00.000000000"]),
    *((moments("s", tz), ["2015-05-05 12:00:00Z"]) for tz in ("UTC", "Europe/Berlin", "+02:00", "No/Where")),
    *((pa.array([5, None], pa.duration(unit)), ["5", None]) for unit in ("s", "ms", "us", "ns")),
    (pa.array([5], pa.time32("s")), ["00:00:05"]),
    (pa.array([5], pa.time32("ms")), ["00:00:00.005"]),
    (pa.array([5], pa.time64("us")), ["00:00:00.000005"]),
    (pa.array([5], pa.time64("ns")), ["00:00:00.000000005"]),
    (pa.array([pa.MonthDayNano([1, 2, 3]), None]), ["[1,2,3]", None]),
    *((pa.array(["thrée", "", None], t), ["thrée", "", None]) for t in (pa.string(), pa.large_string(), pa.string_view())),
    *(
        (pa.array(["é".encode(), b"\xff\x00", None], t), ["é", "ff00", None])
        for t in (pa.binary(), pa.large_binary(), pa.binary_view())
    ),
    (pa.array([bytes(range(16)), None], pa.binary(16)), ["000102030405060708090a0b0c0d0e0f", None]),
    (pa.array([b"sixteen letters!"], pa.binary(16)), [b"sixteen letters!".hex()]),  # whatever the row: all of them alike
    (pa.array([U.bytes, None], pa.uuid()), [str(U), None]),
    (extension(pa.bool8(), [1, 0, None], pa.int8()), ["true", "false", None]),
    (extension(pa.json_(), ['{"a":1}', None], pa.string()), ['{"a":1}', None]),
    (extension(pa.opaque(pa.int64(), "x", "y"), [7, None], pa.int64()), ["7", None]),
    (extension(pa.fixed_shape_tensor(pa.int32(), [2]), [[1, 2]], pa.list_(pa.int32(), 2)), ["[1,2]"]),
    (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    (pa.array([7, None]).dictionary_encode(), ["7", None]),
    (pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", None])), ["x", None, None]),
    (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["x", None])), ["x", "x", None]),
    *(
        (pa.array(LISTED, t), LISTS_SAY)
        for t in (pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_view(pa.string()), pa.large_list_view(pa.string()))
    ),
    (pa.array([["a", "b"], None], pa.list_(pa.string(), 2)), ['["a","b"]', None]),
    (pa.array([[1.5, 60.0, math.nan, None]], pa.list_(pa.float32())), ['[1.5,60,"NaN",null]']),
    (pa.array([{"a": 1, "b": D("1.10"), "c": DAY, "d": True, "e": b"\xff"}, None], PAIR),
     ['{"a":1,"b":1.10,"c":"2015-05-05","d":true,"e":"ff"}', None]),
    (pa.array([{}], pa.struct([])), ["{}"]),
    (pa.array([[("k", 1)], None, [("a", 1), ("a", 2)], []], pa.map_(pa.string(), pa.int64())),
     ['{"k":1}', None, '[["a",1],["a",2]]', "{}"]),
    (pa.nulls(2), [None, None]),
    (pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([5, 6]), pa.array(["x", "y"])]), ["5", "y"]),
    (pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([5]), pa.array(["x"])]),
     ["5", "x"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), TABLE, ids=[str(values.type)[:40] for values, _ in TABLE])
def test_a_value_of_any_arrow_type_as_text(values: pa.Array, expected: list) -> None:
    assert texts(values).to_pylist() == expected
    if not pa.types.is_run_end_encoded(values.type):
        for start in range(len(values)):  # a slice is what it shows, not what lies beneath
            assert texts(values[start:]).to_pylist() == expected[start:]
    assert texts(values[:0]).to_pylist() == []
    if not pa.types.is_union(values.type):  # and inside of another value, which is JSON
        nested = texts(pa.StructArray.from_arrays([values], names=["v"])).to_pylist()
        for said, alone in zip(nested, expected, strict=True):
            inside = json.loads(said, parse_float=str, parse_int=str)["v"]
            assert inside is None if alone is None else inside is not None


def test_no_type_of_arrow_is_left_out() -> None:
    seen = {values.type.id for values, _ in TABLE}
    names = [name for name in dir(pa.lib) if name.startswith("Type_") and name != "Type_INTERVAL_MONTHS"]
    left = {name for name in names if getattr(pa.lib, name) not in seen}
    assert left <= {"Type_INTERVAL_DAY_TIME"}, left  # pyarrow can make no array of these two


@given(st.lists(st.floats() | st.none() | st.integers(-(2**60), 2**60).map(float)))
def test_a_double_is_spelled_as_ecmascript_does(values: list) -> None:
    expected = [None if value is None else ecmascript(value) for value in values]
    assert texts(pa.array(values, pa.float64())).to_pylist() == expected
    spelled = [value for value in values if value is not None and math.isfinite(value)]
    lines = [orjson.dumps({"v": value}) for value in spelled]
    assert json_texts(spelled, lines, "v").to_pylist() == [ecmascript(value) for value in spelled]


@given(st.lists(st.floats(width=32) | st.none()))
def test_a_float_has_no_more_digits_than_it_has(values: list) -> None:
    whole = [v is not None and v == math.floor(v) if v is not None and math.isfinite(v) else False for v in values]
    expected = [
        None if v is None else str(int(v)) if w and abs(v) < 2**53 else ecmascript(float(str(np.float32(v))))
        for v, w in zip(values, whole, strict=True)
    ]
    assert texts(pa.array(values, pa.float32())).to_pylist() == expected


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("1234567890123456789012", None), ("-18446744073709551617", None), ("18446744073709551615", None), ("-7", None),
        ("1.10", None), ("60.00", None), ("0.12345678901234567890123", None), ("60.0", "60"), ("6e1", "60"), ("1E3", "1000"),
        ("1e-07", "1e-7"), ("0.000001", None), ("0.0000001", "1e-7"), ("1.5", None), ("-0.0", "0"),
        ("1e-999999999999999999999", None), ("12345678901234567890.5", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "line",
    ['{{"v":{}}}', '{{"v" : {} ,"w":"v"}}', '{{"\\u0076":{}}}', '{{"a":{{"v":1.5}},"v":{}}}', '{{"v":2.5,"v":{}}}'],
)
def test_a_number_of_json_keeps_its_digits(literal: str, text: str | None, line: str) -> None:
    raw = line.format(literal).encode()
    assert json_texts([orjson.loads(raw)["v"]], [raw], "v").to_pylist() == [text or literal]
    inside = f'{{"v":[{literal},"{literal}",{{"w":{literal}}}]}}'.encode()
    again = f'[{text or literal},"{literal}",{{"w":{text or literal}}}]'
    assert json_texts([orjson.loads(inside)["v"]], [inside], "v").to_pylist() == [again]


@given(
    st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-(10**30), max_value=10**30)
)
def test_a_number_as_text_is_the_same_number(number: int | D) -> None:
    assert D(number_text(format(number, "f") if isinstance(number, D) else str(number))) == number


def test_json_that_is_nested_beyond_measure_loses_no_record() -> None:
    line = b'{"v":' + b"[" * 900 + b"1.5" + b"]" * 900 + b"}"
    [found] = json_texts([orjson.loads(line)["v"]], [line], "v").to_pylist()
    assert found is None or found.count("[") == 900


def read(path: pathlib.Path) -> list[dict]:
    source = Source(name="s", path=str(path))
    keep = ("n", "nested")
    [split] = plan_splits([source])
    return [row for good, _ in read_split(split, source, ReadLimits(), keep) for row in good.to_pylist()]


VALUE = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans()


@given(st.lists(st.tuples(VALUE, st.none() | st.lists(st.integers(-5, 5) | st.none()), st.integers(0, 3)), min_size=1))
def test_the_same_rows_in_json_and_in_parquet(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    kind = type(rows[0][0])
    rows = [{"text": f"t{i}", "n": value, "nested": nested, "id": at} for i, (value, nested, at) in enumerate(rows)
            if type(value) is kind]  # fmt: skip
    folder = tmp_path_factory.mktemp("both")
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("nested", pa.list_(pa.int64())),
            ("id", pa.int64()),
            ("n", pa.array([rows[0]["n"]]).type),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "a.parquet")
    (folder / "a.jsonl").write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    assert read(folder / "a.jsonl") == read(folder / "a.parquet")
