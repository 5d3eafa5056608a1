"""JSON of any layout as lines, held against the parser of the standard library."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text.json_values import JsonValues

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
LAYOUTS = st.sampled_from([None, 0, 2, "\t"])


def lines(content, around=False, step=7):
    """The lines of a file that comes in chunks, and how it ends."""
    values = JsonValues(around)
    found = b"".join(values.lines(content[at : at + step]) for at in range(0, len(content), step))
    return found.split(b"\n")[:-1], found.rpartition(b"\n")[2], values.end


@given(st.lists(OBJECTS), LAYOUTS, st.booleans(), st.integers(1, 50))
def test_each_element_of_an_array_is_a_line(objects, indent, ascii, step):
    content = json.dumps(objects, indent=indent, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    found, rest, end = lines(content, step=step)
    assert [json.loads(line) for line in found] == objects
    assert (rest, end) == (b"", (False, len(objects), 0))


@given(st.lists(VALUES))
def test_elements_of_any_kind_are_lines(values):
    found, _, _ = lines(json.dumps(values, indent=1).encode())
    assert [json.loads(line) for line in found] == values


@given(st.lists(OBJECTS), LAYOUTS, st.sampled_from(["", "\n", " \r\n "]))
def test_each_of_objects_that_follow_one_another_is_a_line(objects, indent, between):
    found, rest, end = lines(between.join(json.dumps(one, indent=indent) for one in objects).encode())
    assert [json.loads(line) for line in found] == objects
    assert (rest, end.is_open, end.values) == (b"", False, len(objects))


@pytest.mark.slow
@given(st.dictionaries(st.text(), st.lists(OBJECTS, min_size=1) | VALUES.filter(lambda v: not isinstance(v, list))))
def test_of_an_object_around_documents_each_object_in_its_lists_is_a_line(record):
    found, _, end = lines(json.dumps(record).encode(), around=True)
    wanted = [one for value in record.values() if isinstance(value, list) for one in value]
    assert [json.loads(line) for line in found] == wanted
    assert not end.is_open


def test_a_list_of_words_of_an_object_around_documents_says_something_of_them():
    content = b'{"version": "1.0", "tags": ["a", {"b": 1}], "none": [], "data": [{"text": "[x]"}, 7]}'
    assert lines(content, around=True)[0] == [b'{"text": "[x]"}', b"7"]


@given(st.lists(OBJECTS, min_size=1), st.data())
def test_what_was_cut_off_is_open_and_the_values_before_it_are_whole(objects, data):
    content = json.dumps(objects).encode()
    cut = data.draw(st.integers(1, len(content) - 1))
    found, _, end = lines(content[:cut])
    assert [json.loads(line) for line in found] == objects[: len(found)]
    assert end.is_open
    assert end.values == len(found)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[]", []),
        (b" [ ] ", []),
        (b'["a", 1, true, [2, {"b": 3}]]', [b'"a"', b"1", b"true", b'[2, {"b": 3}]']),
        (b'[{"a": 1}] [{"a": 2}]\n{"a": 3}', [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}']),
        (b'[{"a": "x\ny"}]', [b'{"a": "x\x01y"}']),  # wrong before, and wrong after
        (b'[{"a": "\\"]}"}]', [b'{"a": "\\"]}"}']),
        (b'{"a": 1}} {"a": 2}\n', [b'{"a": 1}', b"}", b'{"a": 2}']),
    ],
)
def test_layouts_by_hand(content, found):
    for step in (1, 3, 100):
        assert lines(content, step=step)[0] == found
