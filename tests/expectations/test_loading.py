"""One strict way to read YAML and JSON: what is ambiguous or costs too much is refused in one line, with the line."""

import json
import resource
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from expectations.loading import MAX_BYTES, LoadError, nearest, parse_json, parse_yaml, read_text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "f, line 3: 'a' is given twice (first in line 1); leave one of the two out"),
        ("a: {b: 1,\n b: 2}", "f, line 2: 'b' is given twice (first in line 1); leave one of the two out"),
        ("<<: {a: 1}\n<<: {b: 1}", "f, line 2: '<<' is given twice (first in line 1); leave one of the two out"),
        ("a:\n" + "- " * 60, "f, line 2: nested too deeply (more than 40 levels)"),
        ("[" * 1_000_000, "f, line 1: nested too deeply"),
        ("a: &a [*a]", "f, line 1: *a stands for nothing that was named before it"),
        ("a: &x 1\nb: &x [*x]", "f, line 2: *x stands for nothing that was named before it"),
        ("a: " + "9" * 5000, "f, line 1: a number of length 5,000; put it in quotes if it is a word"),
        (
            "a: 9223372036854775808",
            "f, line 1: '9223372036854775808' is beyond 64 bits; put it in quotes if it is a word",
        ),
        (
            "a: -0xffffffffffffffff",
            "f, line 1: '-0xffffffffffffffff' is beyond 64 bits; put it in quotes if it is a word",
        ),
        ("a: .inf", "f, line 1: '.inf' is no number that can be used; put it in quotes if it is a word"),
        ("a: 2026-02-31", "f, line 1: '2026-02-31' is no date; put it in quotes if it is a word"),
        (
            "a: !!python/object/apply:os.system [id]",
            "f, line 1: the tag 'python/object/apply:os.system' is not known here",
        ),
        ("a: !mine b", "f, line 1: the tag '!mine' is not known here; leave it out"),
        ("a: !!int x", "f, line 1: 'x' is no int; put it in quotes if it is a word"),
        ("? [a]\n: b", "f, line 1: a key must be a word, not a list or a mapping"),
        ("a: 1\n---\nb: 2", "f, line 2: a second document begins here (`---`); a file has one"),
        ("a: 1\nb: \x07", "f, line 2: not YAML: the character U+0007 is not allowed"),
        ('a: "\\0"', "f, line 1: a text with the character U+0000, which no name has"),
        ("a: [", "f, line 2: not YAML: did not find expected node content"),
        ("<<: 3", "f, line 1: `<<` takes a mapping, or a list of them"),
    ],
)
def test_what_yaml_leaves_open_is_refused_with_its_line(text, said):
    with pytest.raises(LoadError) as raised:
        parse_yaml(text, "f")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "f: 'c' is given twice"),
        (b"[" * 900 + b"]" * 900, "f: nested too deeply (more than 40 levels)"),
        (b"[" * 100_000, "f: not JSON"),
        (b'{"a": NaN}', "f: not JSON"),
        (b'{"a": 1e999}', "f: not JSON"),
        (b'{"a": ' + b"1" * 300 + b"}", "f: a number of length 300"),
        (b'{"a": "\\ud800"}', "f: not JSON"),
        (b"\xff", "f: not JSON"),
        (b"", "f: not JSON"),
    ],
)
def test_what_json_leaves_open_is_refused(data, said):
    with pytest.raises(LoadError) as raised:
        parse_json(data, "f")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_where_each_part_stands_is_known():
    loaded = parse_yaml("a: 1\nb:\n- c: 1\n- d:\n    e: 2\n", "f")
    assert [loaded.at(place) for place in ([], ["a"], ["b", 0, "c"], ["b", 1, "d", "e"], ["b", 1, "x"], ["z"])] == [
        "f", "f, line 1", "f, line 3", "f, line 5", "f, line 4", "f",
    ]  # fmt: skip


def test_an_alias_is_a_copy_and_a_merge_gives_way_to_what_is_said():
    value = parse_yaml("a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, l: 3}\nd: {<<: [{k: 4}, *x]}", "f").value
    assert value == {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 2}, "c": {"k": 1, "l": 3}, "d": {"k": 4, "l": 2}}
    value["a"]["k"] = 9
    assert value["b"]["k"] == 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_plain_is_read_as_others_read_it(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    try:
        assert parse_yaml(text, "f").value == yaml.safe_load(text)
    except LoadError as error:
        assert "U+0000" in str(error)  # noqa: PT017 (the one thing that is refused)
    assert parse_json(json.dumps(value).encode(), "f") == value


PIECES = st.sampled_from(
    ["a: ", "- ", "[", "]", "{", "}", ", ", "\n", "  ", "&a ", "*a", "<<: ", "? ", ": ", "!!int ", "!!set ", "'", '"', "\\",
     "|\n", ">", "---\n", "...\n", "#", "%", "1e5", "0x", "1:2:3", "2026-13-01", "~", "yes", "\t", "\u2028", "\ufeff", "é", "b"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_no_text_ends_in_a_trace(text):
    try:
        parse_yaml(text, "f")
    except LoadError as error:
        assert "\n" not in str(error)  # noqa: PT017


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"1", b"-", b"e9"])).map(b"".join)
)
def test_no_bytes_end_in_a_trace(data):
    try:
        parse_json(data, "f")
    except LoadError as error:
        assert "\n" not in str(error)  # noqa: PT017


BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)),
    "merges": "a: &a {x: 1}\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join(['*' + chr(97 + i)] * 9)}]}}\n" for i in range(20)),
    "flow": "[" * 8_000_000,
    "items": "- a\n" * 2_000_000,
    "keys": "".join(f"{n}: 1\n" for n in range(1_000_000)),
    "anchors": "".join(f"- &a{n} {n}\n" for n in range(800_000)),
    "quotes": "a: '" + "'" * 9_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_within_200_mb(tmp_path, bomb):
    (tmp_path / "bomb.yaml").write_text(BOMBS[bomb])
    code = (
        "import sys; from expectations.loading import *\n"
        "try: parse_yaml(read_text(sys.argv[1]), 'f')\n"
        "except LoadError as error: print(error)"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(*[l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')])",
         str(tmp_path / "bomb.yaml")],
        capture_output=True, text=True, check=True, preexec_fn=limited,
    )  # fmt: skip
    *said, peak = done.stdout.splitlines()
    assert len(said) == 1
    assert said[0].startswith("f")
    assert int(peak) < 200 << 10


def test_a_file_that_is_too_large_or_no_file_is_one_line(tmp_path):
    (tmp_path / "big").write_bytes(b" " * (MAX_BYTES + 1))
    (tmp_path / "latin").write_bytes(b"a: b\nc: caf\xe9")
    for path, said in (
        ("big", "is larger than 16 MB"),
        ("latin", "line 2: is not UTF-8"),
        (".", "Is a directory"),
        ("\0", "null"),
    ):
        with pytest.raises(LoadError, match=said):
            read_text(tmp_path / path)
    with pytest.raises(LoadError, match="is larger than"):
        read_text("/dev/zero")


def test_nearest():
    assert nearest("ratoi", ["ratio", "dedup"]) == "did you mean 'ratio'?"
    assert nearest("xyz", ["ratio", "dedup"]) == "known: ratio, dedup"


def test_nearest_of_very_many_is_no_page():
    """Of SPDX's licences it was a line of tens of kilobytes."""
    said = nearest("xyz", [f"licence-{n}" for n in range(700)])
    assert said.startswith("known: licence-0, licence-1, ")
    assert said.endswith(", licence-59 and 640 more")
