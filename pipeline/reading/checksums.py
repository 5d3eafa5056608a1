"""Whether a release is what its manifest says: every file there in its size (but the card, which people go on writing), and
what a verdict rests on byte for byte.

Shards and ledger are not read unless they are asked for. Where Git LFS left a pointer in a file's place, it is held against
the manifest instead: it names the file's SHA-256 and size.
"""

import dataclasses
import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from expectations.paths import open_for_reading
from expectations.wording import plural
from pipeline.progress import read_so_far
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine.files import exists, size_of
from transforms.release.read_release import (
    LEDGER,
    METRICS,
    RESTORE,
    STRUCTURES,
    SUITE,
    VERDICT,
    ReleaseError,
    is_there,
    parquet_files,
    read_manifest,
    read_verdict,
    reading,
)

RESTS_ON = (METRICS, VERDICT, "recipe.yaml", SUITE)
CARD = "README.md"  # people go on writing it
CHUNK_BYTES = 1 << 20
POINTER_BYTES = 1024  # a longer file is no pointer
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n?"
)
NO_MANIFEST = "a rejection has no manifest to hold its files against, so they are taken as they are"


@dataclasses.dataclass(frozen=True)
class File:
    """A file as the manifest lists it."""

    name: str
    path: str
    size: int
    sha256: str


def check_release(folder: str, every_checksum: bool, console: Console) -> None:
    """Hold a release against its manifest; say of a rejection that it has none.

    Args:
      folder: of a release or a rejection.
      every_checksum: also of shards and ledger, which reads them all.
      console: where progress and remarks go.

    Raises:
      ReleaseError: there is no release, or a file of it is gone, changed, or not in its manifest.
    """
    if not is_there(folder, MANIFEST):
        check_rejection(folder)
        console.print(f"note: {folder}: {NO_MANIFEST}", markup=False)
        return
    files = [file for file in listed(folder) if file.name != CARD]
    wrong = [*_unlisted(folder, files), *filter(None, map(_size_differs, files))]
    _refuse(wrong)
    rests_on = [file for file in files if file.name in (*RESTS_ON, STRUCTURES)]
    _refuse([said for file in rests_on if (said := _differs(file))])
    if every_checksum:
        with read_so_far(console, sum(file.size for file in files)) as read:
            _refuse([said for file in files if (said := _differs(file, read))])
        console.print(f"checksums   {plural(len(files), 'file')} as the manifest says", markup=False)


def check_rejection(folder: str) -> None:
    """Without a manifest a folder is a rejection, which holds no shard, or not a whole release.

    Raises:
      ReleaseError: it is no rejection, or a file of it is gone.
    """
    if not is_there(folder, VERDICT):
        raise ReleaseError(f"{folder}: no release there (it has no {MANIFEST}); give the folder of one")
    if read_verdict(folder).passed or _files(folder, "data"):
        raise ReleaseError(f"{posixpath.join(folder, MANIFEST)} is gone, so this is no whole release; {RESTORE}")
    _refuse([f"{posixpath.join(folder, name)} is gone" for name in RESTS_ON if not is_there(folder, name)])


def listed(folder: str) -> list[File]:
    """The files of a release, as its manifest lists them.

    Raises:
      ReleaseError: the manifest is gone or damaged.
    """
    path = posixpath.join(folder, MANIFEST)
    manifest, _ = read_manifest(folder)
    with reading(path):
        files = [_file(folder, entry) for entry in manifest["files"]]
        names = {file.name for file in files}
        for name in RESTS_ON:
            if name not in names:
                raise ValueError(f"it does not list {name}")
    return files


def _file(folder: str, entry: dict[str, Any]) -> File:
    return File(entry["path"], posixpath.join(folder, entry["path"]), int(entry["bytes"]), str(entry["sha256"]))


def _files(folder: str, under: str) -> list[str]:
    return [f"{under}/{name}" for name in parquet_files(posixpath.join(folder, under))]


def _unlisted(folder: str, files: list[File]) -> Iterator[str]:
    """Whoever loads the shards of a folder would load these as well."""
    names = {file.name for file in files}
    for name in sorted({*_files(folder, "data"), *_files(folder, LEDGER)} - names):
        yield f"{posixpath.join(folder, name)} is not in the manifest"


def _size_differs(file: File) -> str | None:
    if not exists(file.path):
        return f"{file.path} is gone"
    with reading(file.path):
        size = size_of(file.path)
    if size == file.size:
        return None
    if pointer := _pointer(file.path, size):
        return None if pointer == (file.sha256, file.size) else f"{file.path} is a Git LFS pointer to another file"
    return f"{file.path} has a size of {plural(size, 'byte')}, and the manifest says {file.size:,}"


def differs(files: list[File], console: Console) -> Iterator[tuple[File, str]]:
    """Read every byte of some files, and say which are not what the manifest says. A pointer of Git LFS is not the file."""
    with read_so_far(console, sum(file.size for file in files)) as read:
        for file in files:
            try:
                said = _size_differs(file) or _differs(file, read, pointers=False)
            except ReleaseError as error:
                said = str(error)
            if said:
                yield file, said


def _differs(file: File, read: Callable[[int], None] = lambda _: None, pointers: bool = True) -> str | None:
    """What is wrong with a file of the right size; of a pointer, that it is one, if the file itself is needed."""
    found, size = hashlib.sha256(), 0
    with reading(file.path), open_for_reading(file.path) as opened:
        while chunk := opened.read(CHUNK_BYTES):
            found.update(chunk)
            size += len(chunk)
            read(len(chunk))
    if found.hexdigest() == file.sha256:
        return None
    if _pointer(file.path, size):
        return (
            None
            if pointers and file.name not in RESTS_ON
            else f"{file.path} is a Git LFS pointer (`git lfs pull` brings the file)"
        )
    return f"{file.path} is not the file that the release was published with (its SHA-256 differs)"


def _pointer(path: str, size: int) -> tuple[str, int] | None:
    """The SHA-256 and the size of the file that Git LFS has in another place, if this is a pointer to one."""
    if size > POINTER_BYTES:
        return None
    with reading(path), open_for_reading(path) as file:
        found = _POINTER.fullmatch(file.read())
    return (found[1].decode(), int(found[2])) if found else None


def _refuse(wrong: list[str]) -> None:
    if wrong:
        more = f" (and {len(wrong) - 1:,} more like it)" if len(wrong) > 1 else ""
        raise ReleaseError(f"{wrong[0]}{more}; {RESTORE}")
