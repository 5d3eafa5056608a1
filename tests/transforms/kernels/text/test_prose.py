"""Sentences are prose; code, markup, data, logs and lists of links are not, and are called so."""

import inspect
import json
import pathlib

import pyarrow as pa
import pytest

from transforms.kernels.text import prose
from transforms.kernels.text.prose import KINDS, kind_of, shares

PROSE = {
    "story": 'The mill stood by the river, and nobody in the village (not even the priest) knew who built it. "It stood '
    'there," said Mary; her father had said the same in 1897. On 3 May they closed it: 14 people lost their work.\n',
    "verse": "    The wind was cold upon the hill,\n    And all the birds were gone;\n    The miller's wheel stood still,\n"
    "    The night was coming on.\n",
    "talk": '- "Where is he?" asked Tom.\n- "Gone," she said, "and he took the keys with him..."\n- "All of them?"\n- "All."\n',
    "chinese": "他们在星期二开会,讨论这座桥(建于1957年)的情况。大家都说它不安全,所以不能再让人和车过去了,没有办法。\n",
    "law": "See City of Lakewood v. Plain Dealer Publ'g Co., 486 U.S. 750, 757 (1988); the court held that it was not final.\n",
    "marked up": "## What to do\n\n- **First** close the bridge, then *call* the mayor.\n- Second, ask who built it and when.\n",
    "reviews": "Great little camera,I bought it for my wife.She loves it!!! Would buy again,thanks :) A+ seller,fast shipping.\n",
}
NO_PROSE = {
    "code": inspect.getsource(prose),
    "data": json.dumps([{"id": i, "path": "a/b", "size": i * 977, "tags": ["x", "y"]} for i in range(30)], indent=1),
    "links": "".join(f"https://www.node{i}.example/the/path/of/{i * 31}\n" for i in range(30)),
    "log": "".join(f"2021-03-{i:02d} 10:52:40 INFO the index of node is {i * 7} ms, was 20\n" for i in range(1, 29)),
    "markup": "".join(f'<div class="size"><a href="/count/{i}">the value</a><span>{i * 9}</span></div>\n' for i in range(20)),
}  # fmt: skip
OTHERS = {
    "latex": "".join(f"\\begin{{equation}} \\int_{{{i}}}^{{\\infty}} x^{{1}} e^{{-ax}} dx = \\frac{{8}}{{9}} \\end{{equation}}\n"
                     for i in range(15)),
    "numbers": " ".join(f"{i * 7919 % 1000}.{i % 97:02d}" for i in range(200)),
    "csv": "".join(f"item,{i * 977 % 991},0.{i},end\n" for i in range(60)),
    "emoji": "😞😥😇😉😰😂" * 40,
    "base64": ("GszVv11xNFoPRG4ure7Tp0Q3dfxAXCCddHqGTzeyTMMp3BltTPErL2FKUhkAHawDRaoM4XpYcp+y" * 6 + "\n") * 4,
    "c": "static int total(int *row, size_t n) {\n  int sum = 0;\n  for (size_t i = 0; i < n; i++) sum += row[i];\n}\n" * 5,
}  # fmt: skip


def kinds(texts):
    return [KINDS[kind] for kind in kind_of(pa.array(texts, pa.large_string()))]


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_prose(name):
    assert kinds([PROSE[name], PROSE[name] * 9]) == ["", ""]


def test_what_nobody_sees_says_nothing():
    hidden = "".join(chr(0xE0100 + byte) for byte in b"a manifest of some length" * 9)
    assert kinds([PROSE["story"] + hidden, PROSE["law"] * 3 + hidden]) == ["", ""]


@pytest.mark.parametrize("name", NO_PROSE)
def test_what_is_none_is_called_by_its_kind(name):
    assert kinds([NO_PROSE[name]]) == [name]


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none_is_told_whatever_it_is_called(name):
    assert kinds([OTHERS[name]]) != [""]


def test_modules_of_this_repository_are_code_and_pages_of_its_docs_are_not():
    root = pathlib.Path(prose.__file__).parents[3]
    modules = [path.read_text(encoding="utf-8") for path in sorted((root / "transforms").rglob("*.py"))]
    told = kinds([text for text in modules if len(text) > 1000])
    assert told.count("code") / len(told) > 0.85  # some are docstrings, for the most part
    pages = [path.read_text(encoding="utf-8") for path in sorted((root / "docs" / "decisions").glob("*.md"))]
    assert kinds(pages).count("") / len(pages) > 0.8


def test_shares_are_counted_and_a_text_does_not_depend_on_its_neighbours():
    texts = ["a.b c 12 \"d\"", "", "  \n\n ", "x\n  y;\nz\nw {\n"]  # fmt: skip
    found = shares(pa.array(texts, pa.large_string()))
    assert found[0, prose.ODD] == pytest.approx(3 / 7)  # a.b, of a.b c "d"
    assert found[0, prose.FIGURES] == pytest.approx(2 / 9)
    assert found[0, prose.QUOTES] == pytest.approx(2 / 9)
    assert not found[1:3].any()
    assert found[3, prose.ENDS] == pytest.approx(2 / 4)
    assert found[3, prose.INDENTED] == pytest.approx(1 / 4)
    alone = [shares(pa.array([text], pa.large_string()))[0] for text in texts]
    assert (found == alone).all()
