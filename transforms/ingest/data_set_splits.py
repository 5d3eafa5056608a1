"""Which split of a data set a file is of: train, validation or test, as its name or that of a folder says."""

import collections
import functools
import os
import posixpath
import re
from collections.abc import Iterable

SPLITS = ("train", "validation", "test")
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
# One of these is in whatever says a split.
_MAY_SAY_SPLIT = [word for word in _SPLIT_WORDS if not any(one in word and one != word for one in _SPLIT_WORDS)]


def below(path: str, tops: tuple[str, ...]) -> str:
    """A path from a source's folder on, or from the first folder of its pattern that is one; else the file's name."""
    for start in _starts(tops):
        if path.startswith(start):
            return path[len(start) :]
    return posixpath.basename(path)


@functools.lru_cache(256)  # one source may have a million files
def _starts(tops: tuple[str, ...]) -> tuple[str, ...]:
    """What stands before the names below a source's folders, the first that fits."""
    starts: list[str] = []
    for top in tops:
        special = re.search(r"[*?\[]", top)
        fixed = top[: special.start()].rpartition("/")[0] if special and not os.path.lexists(top) else top
        starts += [start.rstrip("/") + "/" for start in (fixed, os.path.normpath(fixed))]
        if special and not fixed:
            starts.append("")
    return tuple(dict.fromkeys(starts))


def split_of(path: str, tops: tuple[str, ...]) -> str:
    """Which split of a data set a file is of, by its name or a folder's below a source's `tops`: one of `SPLITS`, or ""."""
    if not _may_say_split(path):
        return ""
    for part in reversed(below(path, tops).lower().split("/")):
        for word in re.split(r"[^a-z]+", part):
            if word in _SPLIT_WORDS:
                return _SPLIT_WORDS[word]
    return ""


def splits_of(paths: Iterable[str], tops: tuple[str, ...]) -> dict[str, int]:
    """How many of a source's files are of which split of a data set; "": their names do not say."""
    paths = tuple(paths)
    says = _may_say_split("\n".join(paths))
    parts = collections.Counter(split_of(path, tops) for path in paths) if says else {"": len(paths)}
    return {part: parts[part] for part in (*SPLITS, "") if parts.get(part)}


def _may_say_split(text: str) -> bool:
    """Whether a word for a split is in a path, or in one of many."""
    text = text.lower()
    return any(word in text for word in _MAY_SAY_SPLIT)
