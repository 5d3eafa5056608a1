"""One tag for each language, whatever a data set calls it: en, eng, eng_Latn, en-US, EN, English and ["en"] are `en`.

The tag is that of ISO 639-1 where the language has one. `language_tags.tsv` has a line for each: the tag, the codes of ISO
639-2 and 639-3 that mean it (those of a part that data sets use for the whole among them: cmn is Chinese), and its names in
English. Script and region are left out. What is in no line stays as it is.
"""

import functools
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "language_tags.tsv")
UNKNOWN = "unknown"
_SAYS_NOTHING = ("", UNKNOWN, "und", "none", "null", "nan", "[]")
_LIST = re.compile(r"""\[\s*["']?([^"',\]]+)["']?\s*,?\s*\]""")  # of one
# After the code a script, a region or a variant of BCP 47, or a number of the United Nations' for a region.
_SUBTAGS = re.compile(r"(?:[-_](?:[a-z]{4}|[a-z]{2}|\d{3}|[a-z0-9]{5,8}|\d[a-z0-9]{3}))+")


@functools.cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    """The tag of each code, and that of each name."""
    codes, names = {}, {}
    with open(FILE, encoding="utf-8") as lines:
        for line in lines:
            tag, others, called = line.rstrip("\n").split("\t")
            codes.update(dict.fromkeys([tag, *others.split()], tag))
            names.update(dict.fromkeys(called.split(", "), tag))
    return codes, names


@functools.lru_cache(1 << 14)
def normal_tag(said: str) -> str:
    """The tag of a language by any of its names; "" where nothing is said, and what is in no table as it is."""
    codes, names = _table()
    plain = said.strip().lower()
    if one := _LIST.fullmatch(plain):
        plain = one[1].strip()
    plain = plain.removeprefix("__label__")
    if plain in _SAYS_NOTHING:
        return ""
    if (found := codes.get(plain) or names.get(plain)) is not None:
        return found
    code = re.match(r"[a-z]{2,3}(?=[-_])", plain)
    if code and code[0] in codes and _SUBTAGS.fullmatch(plain, code.end()):
        return codes[code[0]]
    return said.strip()


def is_known(tag: str) -> bool:
    """Whether a tag is one of the table's."""
    return _table()[0].get(tag) == tag


def normal_tags(column: "pa.StringArray") -> "pa.StringArray":
    """The tag of each row, string[n]; null where nothing is said."""
    import pyarrow as pa  # late: the process that judges goes without it (expectations/judge/gx_process.py)

    if column.null_count == len(column):
        return column
    said = column.dictionary_encode()
    tags = pa.array(
        [normal_tag(one) or None if one is not None else None for one in said.dictionary.to_pylist()], pa.string()
    )
    return tags.take(said.indices)
