"""However a block of JSON Lines is read, by columns or line by line, the documents and the bad records are the same."""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import tempfile
from unittest import mock

import hypothesis.strategies as st
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings

from transforms.ingest import decompress, json_columns, readers
from transforms.ingest.json_columns import DEEPEST, FEWEST_LINES, Block, ColumnReader
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Piece, Source, Split

KEEP = ("score", "meta", "a.b", "meta.n", "text")
LIMITS = ReadLimits(max_text_bytes=400, max_line_bytes=9_000, batch_bytes=1 << 16)

GOOD = ['"a text"', '"tëxt"', '"tab\\t, quote \\" and \\\\"', '"\\u00e9\\ud83d\\ude00\\u0000"', '""', "null"]
NUMBERS = [
    "0", "7", "-0", "-12", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 40, "9" * 309,
    "9" * 400, "1.5", "1.50", "60.0", "1e3", "1E+2", "1e400", "-1e400", "1e-400", "2e308", "0.1e310", "9" * 250 + "e99",
    "9" * 250 + ".5e99", "-0.0", "1e0400", "0.1",
]  # fmt: skip
NO_JSON = ["NaN", "-NaN", "Infinity", "-Infinity", "Inf", "-Inf", "nan", "01", "1.", ".5", "+1", "-", "1e", "0x1", "True", "",
           "nul", '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\x"', "'a'", '"a\x01"', '"a\tb"', '"\x00"', '"\udcff"',
           "[1,]", '{"b":1,}', "/**/1", "1 //", '"not closed', "\x0b1"]  # fmt: skip
NESTED = [
    "[]", "{}", "[1, 2.50, null]", '{"b": "x"}', '{"b": 1, "n": 2}', '{"b": {"c": 1e3}}', '{"b": 1, "b": "2"}', '{"url": "u"}',
    '{"n": [NaN]}', '{"n": [1e400]}', '{"n": -Infinity}', '{"\\ud800": 1}', '{"n": [Inf ,1]}', '{"b": ",NaN], Infinity}"}',
    "[" * 90 + "]" * 90, "[" * 1023 + "]" * 1023, "[" * 1100 + "]" * 1100, '{"b":' * 1100 + "1" + "}" * 1100,
]  # fmt: skip
DATES = ['"2019-05-13"', '"2019-05-13T01:02:03Z"', "1557705600", "1557705600.5", '"2019"', '"no date"', "20190513"]
VALUES = [*GOOD, *NUMBERS, *NO_JSON, *NESTED, *DATES, "true", "false", '"human"', '"ai"', '"' + "x" * 500 + '"']
KEYS = ['"text"', '"content"', '"id"', '"created"', '"label"', '"origin"', '"url"', '"metadata"', '"metadata.url"', '"meta"',
        '"score"', '"a"', '"a.b"', '"te\\u0078t"', '"\\u0069d"', '"x"', '"y"', '"sc\\u006fre"', '"\\u003cx\\u003e"', '""',
        '"\udcff"', '"x\\"y"']  # fmt: skip
LINES = ["", " ", "\r", "null", "[]", "3", '"text"', '{"text": "a"} {"text": "b"}', '{"text": "a"}{"text": "b"}', '{"text":',
         '"c"}', '{"a": [{}', "{}]}", '{"text": "a"', "}", "{", " {\"text\": \"in\"}", '{"text": "out"} ', "\ufeff{}", "{}",
         '{"text": "a"}\x00', '{"text": "a"},', '[{"text": "a"}]', "x" * 9_001, '{"text": "' + "x" * 8_990 + '"}',
         '{"x": [{"text": 1}]}', '{"text": "crlf"}\r']  # fmt: skip


def record(members: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in members) + "}"


members = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES))
ordinary = st.tuples(
    st.sampled_from(KEYS[:14]), st.sampled_from([*GOOD, *DATES, "3", "true", '{"url": "u", "n": [1.5]}'])
)
odd_lines = st.one_of(st.sampled_from(LINES), st.lists(members, max_size=4).map(record))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Lines of one make, as files have them, and among them none to three that are odd."""
    shape = draw(st.lists(ordinary, min_size=1, max_size=5, unique_by=lambda member: member[0]))
    texts = draw(st.lists(st.sampled_from(GOOD), min_size=12, max_size=24))
    lines = [record([('"text"', text), *shape]) for text in texts]
    for at, odd in draw(st.lists(st.tuples(st.integers(0, 24), odd_lines), max_size=3)):
        lines.insert(at, odd)
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n"]))
    return (end.join(lines) + draw(st.sampled_from(["", end]))).encode("utf-8", "surrogateescape")


def read(content: bytes, limits: ReadLimits = LIMITS, **source: object) -> tuple[list[dict], list[dict]]:
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(content)
        file.flush()
        split = Split(0, 0, (Piece(file.name, "jsonl", "", len(content), "x"),), len(content))
        pairs = list(read_split(split, Source.model_validate({"name": "s", "path": "s", **source}), limits, KEEP))
        for good, _ in pairs:
            good.validate(full=True)
        bad = [{**row, "path": ""} for _, bad in pairs for row in bad.to_pylist()]
        return [row for good, _ in pairs for row in good.to_pylist()], bad


def by_lines(content: bytes, *args: ReadLimits, **source: object) -> tuple[list[dict], list[dict]]:
    with mock.patch.object(ColumnReader, "read", return_value=None):
        return read(content, *args, **source)


def filled(*odd: str) -> bytes:
    """Odd lines among good ones."""
    good = [json.dumps({"id": f"{i}", "text": f"text {i}", "x": 1.5}) for i in range(20)]
    return "\n".join([*good[:10], *odd, *good[10:]]).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("key", ['"x"', '"text"', '"id"', '"score"', '"metadata"', '"created"'])
def test_every_odd_value_under_every_kind_of_key(key: str) -> None:
    for value in VALUES:
        content = filled(record([('"text"', '"t"'), (key, value)] if key != '"text"' else [(key, value)]))
        assert read(content) == by_lines(content), value
        content = "\n".join([record([('"text"', '"t"'), (key, value)])] * 12).encode("utf-8", "surrogateescape")
        assert read(content) == by_lines(content), value


@pytest.mark.parametrize("line", LINES)
def test_every_odd_line(line: str) -> None:
    for content in (filled(line), filled(line, line), "\n".join([line] * 12).encode("utf-8", "surrogateescape")):
        assert read(content) == by_lines(content)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=files(), batch=st.sampled_from([64, 300, 1 << 16]))
@example(content=filled('{"text": "a"}{"text": "b"}', '{"text":', '"c"}'), batch=1 << 16)
def test_both_ways_agree_on_files_of_one_make_with_odd_lines(content: bytes, batch: int) -> None:
    limits = ReadLimits(LIMITS.max_text_bytes, LIMITS.max_line_bytes, batch)
    assert read(content, limits) == by_lines(content, LIMITS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(odd_lines, min_size=8, max_size=20))
def test_both_ways_agree_on_nothing_but_odd_lines(lines: list[str]) -> None:
    content = "\n".join(lines).encode("utf-8", "surrogateescape")
    assert read(content, fields={"text": "text"}) == by_lines(content, fields={"text": "text"})


def lines_read_one_by_one(content: bytes, limits: ReadLimits = LIMITS) -> int:
    with mock.patch.object(readers, "_records", wraps=readers._records) as asked:
        read(content, limits)
    return sum(len(call.args[2]) for call in asked.call_args_list)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"id": 7, "label": True},
        {"created": "2019-05-13", "url": None},
        {"metadata": {"url": "u", "lang": "en", "of": [1, {"lang": 0.5}]}},
        {"metadata": "not an object", "quality": 0.25, "tags": ["a"]},
        {"a": {"b": 3}, "<html>": "\u007f"},
    ],
    ids=str,
)
def test_no_document_of_clean_input_is_parsed_by_itself(more: dict[str, object]) -> None:
    records = [{"text": f"text {i} of some, 1e99 NaN words and {{brackets}}", **more} for i in range(1000)]
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    assert lines_read_one_by_one(content) == 0
    assert [row["text"] for row in read(content)[0]] == [record["text"] for record in records]


def test_a_bad_line_costs_its_block_and_no_more() -> None:
    block = "".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(2000)).encode()
    assert 0 < lines_read_one_by_one(block + b'{"text": NaN}\n' + block * 9) < 8000


def test_a_file_of_odd_types_is_tried_three_times() -> None:
    lines = [json.dumps({"text": f"text {i}", "score": i / 7}) for i in range(9000)]
    with mock.patch.object(json_columns, "_one_object_a_line", wraps=json_columns._one_object_a_line) as tried:
        rows, bad = read("\n".join(lines).encode())
    assert tried.call_count == readers.MISSES
    assert (len(rows), bad) == (9000, [])


def test_brackets_of_a_line_and_not_of_a_block_are_counted() -> None:
    deep = b"[" * (DEEPEST + 1)
    assert json_columns._may_be_too_deep(Block(b"x\n" + deep + b"\ny"))
    assert not json_columns._may_be_too_deep(Block(b"\n".join([deep[: DEEPEST // 2]] * 50)))
    assert not json_columns._may_be_too_deep(Block(b"\n".join([deep[:-1], deep[:-1]])))


def test_a_key_that_holds_the_dots_itself_goes_before_a_nested_one() -> None:
    one = '{"text": "t", "metadata.url": "flat", "metadata": {"url": "nested"}}'
    two = '{"text": "t", "metadata": {"url": "nested"}}'
    text, columns = ColumnReader(("text",), ("metadata.url",)).read(Block("\n".join([one, two] * 5).encode()))
    assert columns.get("metadata.url").to_pylist() == ["flat", "nested"] * 5
    assert text.to_pylist() == ["t"] * 10


def test_few_lines_are_not_worth_it() -> None:
    block = Block(b'{"text": "a"}\n' * (FEWEST_LINES - 2) + b'{"text": "b"}')
    assert ColumnReader(("text",), ()).read(block) is None


def test_names_of_any_characters() -> None:
    names = ("te.xt", "a|b", 'quo"te', "ünï", "[x]", "back\\slash", "(")
    lines = [json.dumps({"text": "t", "more": 0.5, name: name}, ensure_ascii=False) for name in names for _ in range(9)]
    text, columns = ColumnReader(("text",), names).read(Block("\n".join(lines).encode()))
    assert [columns.get(name).to_pylist().count(name) for name in names] == [9] * len(names)
    assert text.type == pa.large_string()


small_files = st.lists(
    st.one_of(
        st.lists(ordinary, min_size=1, max_size=4).map(record).map(lambda line: line + "\n"),
        st.lists(odd_lines, max_size=3).map("\n".join),
        st.sampled_from(["", "\n", "\n\n", "\ufeff", '\ufeff{"text": "a"}\n', '{\n"text": "a"\n}', '[{"text": "a"},\n{}]',
                         '\n{"x": [{"text": 1}]}\n', '{"text": "a"}\n\n{"text": "b"}', "x" * 9_001, "\x1f\ufffd"]),
    ),
    min_size=2,
    max_size=30,
)  # fmt: skip


def read_all(folder: pathlib.Path, contents: list[bytes], limits: ReadLimits) -> tuple[list[dict], list[dict]]:
    paths = [folder / f"{i:03}.jsonl{'.gz' if i % 5 == 4 else ''}" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" and content[:1] != b"x" else content)
    pieces = [Piece(str(p), "jsonl", "gzip" if p.suffix == ".gz" else "", p.stat().st_size, "x") for p in paths]
    source = Source(name="s", path=str(folder))
    pairs = list(read_split(Split(0, 0, tuple(pieces), 1), source, limits, KEEP))
    return [row for good, _ in pairs for row in good.to_pylist()], [row for _, bad in pairs for row in bad.to_pylist()]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=small_files, batch=st.sampled_from([64, 1 << 16]))
@example(texts=['{"text": "a"}\n'] * 20, batch=1 << 16)
def test_small_files_are_read_together_as_each_by_itself(texts: list[str], batch: int) -> None:
    contents = [text.encode("utf-8", "surrogateescape") for text in texts]
    limits = ReadLimits(LIMITS.max_text_bytes, LIMITS.max_line_bytes, batch)
    with tempfile.TemporaryDirectory() as folder:
        together = read_all(pathlib.Path(folder), contents, limits)
        with mock.patch.object(readers, "SMALL_BYTES", -1):
            assert read_all(pathlib.Path(folder), contents, limits) == together


def test_many_small_files_are_one_batch(tmp_path: pathlib.Path) -> None:
    contents = [json.dumps({"text": f"text {i}", "score": i / 7 if i % 2 else None}).encode() for i in range(300)]
    with mock.patch.object(readers, "finish", wraps=readers.finish) as finished:
        rows, bad = read_all(tmp_path, [*contents, b"", b"no JSON"], ReadLimits())
    assert ([row["file"] for row in rows], {row["row"] for row in rows}) == ([*range(300)], {0})
    assert [row["reason"] for row in bad] == ["bad_json"]
    assert finished.call_count <= 3


class Dribble(io.BytesIO):
    """A file that gives three bytes at a time, as a file over a network may."""

    def read(self, n: int | None = -1) -> bytes:
        return super().read(min(3, 3 if n is None or n < 0 else n))


@pytest.mark.parametrize("compression", ["", "gzip", "zstd", "bz2", "xz", "lz4"])
def test_a_small_file_is_whole_however_little_a_read_gives(tmp_path: pathlib.Path, compression: str) -> None:
    pack = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}
    content = b'{"text": "a"}\n' * 900
    stored = pack[compression](content) if compression in pack else pa.compress(content, "lz4", asbytes=True)
    piece = Piece("a.jsonl", "jsonl", compression, len(stored), "x")
    with mock.patch.object(decompress, "open_stored", side_effect=lambda _: Dribble(stored)):
        found = decompress.whole_content(piece, 1 << 16)
        assert decompress.whole_content(piece, len(content) - 1) is None
    assert found == (content, False)
    if compression:
        with mock.patch.object(decompress, "open_stored", side_effect=lambda _: Dribble(stored[:-9])):
            assert decompress.whole_content(piece, 1 << 16) is None
