"""What lies in a folder or matches a pattern: every entry is a file that may be read, or is named with the reason why not.

On this machine's file systems links are followed (the cache of Hugging Face is links), each folder is walked once, and
nothing that is no regular file is ever opened: a FIFO would wait for ever. An object
store lists what begins with a name.
"""

import operator
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from apache_beam.io.filesystem import FileSystem

from expectations import storage
from expectations.paths import is_local

# Why an entry is not read, and how it is said.
UNREAD = {
    "other_format": "in another format, by its ending",
    "text_beside_data": "text beside data, taken for a README",
    "describes_data": "describes a data set",
    "other_split": "of a split of the data set that is not chosen",
    "hidden": "hidden, or its name starts with '_'",
    "linked_again": "a link to what is read under another name",
    "link_loop": "a link back to a folder that it is in",
    "dangling_link": "a link to nothing",
    "empty_file": "of 0 bytes",
    "not_a_file": "a FIFO, socket or device",
    "cannot_list": "a folder that cannot be listed",
}
_SPECIAL = re.compile(r"[*?\[]")
_NAME = operator.attrgetter("name")


class Unread(NamedTuple):
    """An entry that is not read; of a folder that is not entered, the folder."""

    path: str
    reason: str  # of UNREAD


class Entry(NamedTuple):
    """A regular file, or a link to nothing (`size` None)."""

    path: str
    size: int | None
    fingerprint: str  # changes when the file does: see `fingerprint`
    real: str  # the same for every name of a file that links give it


class Listing(NamedTuple):
    """What a path stands for."""

    kind: Literal["file", "folder", "pattern"]
    entries: list[Entry]
    unread: list[Unread]


def list_path(path: str, hidden: bool = False) -> Listing:
    """List a file, a folder with all below it, or a pattern (`*` stays in a folder, `**` does not).

    Args:
      path: what to list.
      hidden: of a folder, whether what starts with `.` or `_` is listed as well.

    Raises:
      OSError: it cannot be listed, or a folder below it cannot.
      StorageError: its store cannot be asked.
    """
    return _list_local(os.path.normpath(path), hidden) if is_local(path) else _list_remote(path, hidden)


def is_regular(path: str) -> bool:
    """Whether a path can be opened without waiting for somebody to write: false of a FIFO, a socket, a device.

    Raises:
      OSError: there is nothing.
    """
    return not is_local(path) or stat.S_ISREG(os.stat(path).st_mode)


def fingerprint(found: os.stat_result) -> str:
    """What changes when a file of this machine does.

    The time of change of the inode is set by the system alone: it tells an edit that keeps the size and sets the time back.
    """
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def fingerprint_of(path: str) -> str:
    """The fingerprint of a file of this machine; nothing of one in an object store, whose time of change nobody sets back."""
    try:
        return fingerprint(os.stat(path))
    except OSError:  # not local, or gone: for the reader to say
        return ""


def _list_local(path: str, hidden: bool) -> Listing:
    unread: list[Unread] = []
    if os.path.isdir(path):
        return Listing("folder", list(_walk(path, unread, hidden)), unread)
    if os.path.lexists(path):
        entry = _file(path, os.path.realpath(path), lambda: os.stat(path), unread)
        return Listing("file", [entry] if entry else [], unread)
    special = _SPECIAL.search(path)
    if special is None:
        return Listing("folder", [], [])
    folder = path[: special.start()].rpartition("/")[0] or ("/" if path.startswith("/") else ".")
    if not os.path.isdir(folder):
        return Listing("pattern", [], [])
    wanted = re.compile(FileSystem.translate_pattern(path))
    depth = None if "**" in path else path.count("/")
    hidden = posixpath.basename(path).startswith(("_", "."))
    entries = [e for e in _walk(folder, unread, hidden, depth) if wanted.match(e.path)]
    return Listing("pattern", entries, [one for one in unread if wanted.match(one.path)])


def _walk(top: str, unread: list[Unread], hidden: bool, depth: int | None = None) -> Iterator[Entry]:
    """Regular files below a folder; what is none is added to `unread`.

    Folders first that are there without a link, so that what has a name of its own is read under it.
    """
    folders = [(top, os.path.realpath(top))]
    links: list[tuple[str, str]] = []
    visited: set[str] = set()
    while folders or links:
        if not folders:
            links.sort(reverse=True)
            folders.append(links.pop())
        folder, real = folders.pop()
        if real in visited:
            unread.append(Unread(folder, "linked_again"))
            continue
        visited.add(real)
        inside, really = "" if folder == "." else folder.rstrip("/") + "/", real.rstrip("/") + "/"
        for entry in _entries(folder, unread, folder == top):
            name = entry.name
            path, is_link = inside + name, entry.is_symlink()
            if not hidden and name.startswith((".", "_")):
                unread.append(Unread(path, "hidden"))
            elif not _is_folder(entry):
                if found := _file(path, os.path.realpath(path) if is_link else really + name, entry.stat, unread):
                    yield found
            elif depth is not None and path.count("/") >= depth:
                continue  # deeper than a pattern looks
            elif not is_link:
                folders.append((path, really + name))
            else:
                target = os.path.realpath(path)
                loops = (real + "/").startswith(target.rstrip("/") + "/")
                unread.append(Unread(path, "link_loop")) if loops else links.append((path, target))


def _entries(folder: str, unread: list[Unread], is_top: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        if is_top:
            raise
        unread.append(Unread(folder, "cannot_list"))
        return []
    if len(found) > 1:
        found.sort(key=_NAME)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; the system is asked again of links only."""
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _file(path: str, real: str, look: Callable[[], os.stat_result], unread: list[Unread]) -> Entry | None:
    """A file as it is, looked at once; a link to nothing without size; anything else is unread."""
    try:
        status = look()
    except OSError:  # nothing is there, a loop of links, or no right to look
        return Entry(path, None, _by_time(None, 0.0), os.path.abspath(path))
    if not stat.S_ISREG(status.st_mode):
        unread.append(Unread(path, "not_a_file"))
        return None
    return Entry(path, status.st_size, fingerprint(status), real)


def _list_remote(path: str, hidden: bool) -> Listing:
    path = storage.pinned(path)
    found = storage.find(path)
    if found is not None and not found.is_folder:
        return Listing("file", [_entry(found)], [])
    special = _SPECIAL.search(path)
    if found is not None or special is None:
        inside = path.rstrip("/") + "/"
        below = [_entry(one) for one in storage.below(path)]
        return Listing("folder", below, []) if hidden else Listing("folder", *_without_hidden(below, inside))
    fixed = path[: special.start()].rpartition("/")[0]
    wanted = re.compile(FileSystem.translate_pattern(path))
    matched = [_entry(one) for one in storage.below(fixed) if wanted.match(one.path)]
    if posixpath.basename(path).startswith(("_", ".")):
        return Listing("pattern", matched, [])
    return Listing("pattern", *_without_hidden(matched, fixed))


def _entry(file: storage.StoredObject) -> Entry:
    return Entry(file.path, file.size, _by_time(file.size, file.changed), file.path)


def _by_time(size: int | None, changed: float) -> str:
    """The fingerprint of what the system of this machine does not know."""
    return f"{size or 0}-{changed!r}"


def _without_hidden(entries: list[Entry], below: str) -> tuple[list[Entry], list[Unread]]:
    shown, unread = [], []
    for entry in entries:
        if any(part.startswith((".", "_")) for part in entry.path.removeprefix(below).strip("/").split("/")):
            unread.append(Unread(entry.path, "hidden"))
        else:
            shown.append(entry)
    return shown, unread
