"""Shards that an earlier release in the same folder has already: they are copied, and their text is not read again.

What was written of which splits is kept in the signal store (`transforms/signals/kept.py`) as the checksums of its files, under a
digest of all that went into them: the signals and the ledger of the splits, by name and checksum, the settings of the writer,
and the code. Releases have files of these checksums in their manifests; a release itself says nothing of where it was made. A
copy is verified while it is made, and counted like what is written. Whatever is amiss, the shards are written anew.
"""

import dataclasses
import hashlib
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from expectations.paths import is_local, open_for_reading
from expectations.storage import StorageError
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files, folders
from transforms.engine.checksums import DamagedError
from transforms.engine.staged import Staged
from transforms.release.read_release import ReleaseError, read_manifest
from transforms.signals.kept import Kept

SHARDS = "shards"  # the kind of what is kept
LATEST = 8  # releases that are looked at


class ShardFile(NamedTuple):
    """A file that was written: what a manifest says of it. `folder` is within the release."""

    folder: str
    rows: int
    tokens: int
    bytes: int
    sha256: str


FILES = pa.schema(
    [
        ("folder", pa.string()),
        *((name, pa.int64()) for name in ("rows", "tokens", "bytes")),
        ("sha256", pa.string()),
    ]
)


@dataclasses.dataclass(frozen=True)
class ReleasedFiles(Staged):
    """Where files of earlier releases are, by SHA-256."""

    places: Mapping[str, str] = dataclasses.field(default_factory=dict)


NO_FILES = ReleasedFiles()


def find_files(output: str) -> ReleasedFiles:
    """What the latest releases in a folder say that they have. One that cannot be read has nothing."""
    places: dict[str, str] = {}
    try:
        found = [posixpath.join(output, name) for name in folders.names_in(output) if not name.startswith(".")]
    except (OSError, StorageError):
        found = []
    for folder in sorted(found, key=lambda place: (_changed(place), place), reverse=True)[:LATEST]:
        try:
            entries = read_manifest(folder)[0]["files"]
            own = {str(entry["sha256"]): posixpath.join(folder, entry["path"]) for entry in entries}
        except (ReleaseError, OSError, StorageError, LookupError):
            continue
        places = {sha256: files.absolute(path) for sha256, path in own.items()} | places
    return ReleasedFiles(places)


def _changed(folder: str) -> float:
    """When a release was made, where that is known at once."""
    try:
        return os.stat(posixpath.join(folder, MANIFEST)).st_mtime if is_local(folder) else 0.0
    except OSError:
        return 0.0


def keep_files(kept: Kept, written: Sequence[ShardFile]) -> None:
    """Keep what was written under what `kept` depends on."""
    columns = [pa.array(column, field.type) for column, field in zip(zip(*written, strict=True), FILES, strict=True)]
    kept.write(SHARDS, pa.RecordBatch.from_arrays(columns, schema=FILES), kept.depends_on)


def forget_files(kept: Kept) -> None:
    """Keep nothing of it."""
    kept.forget(SHARDS)


def kept_files(kept: Kept) -> list[ShardFile]:
    """What was written of this before, if anything was."""
    if not kept.has(SHARDS, kept.depends_on):
        return []
    return [ShardFile(**row) for row in kept.read(SHARDS, FILES).to_pylist()]


def copy_file(file: ShardFile, released: ReleasedFiles, target: str) -> bool:
    """Copy a file of an earlier release, if there is one with these very bytes. Says whether it did."""
    digest = hashlib.sha256()
    try:
        with files.whole(target) as copy, open_for_reading(released.places[file.sha256]) as original:
            while block := original.read(1 << 20):
                digest.update(block)
                copy.write(block)
            if digest.hexdigest() != file.sha256:
                raise DamagedError(target)  # and the copy never has its name
    except (KeyError, OSError, StorageError, DamagedError):
        return False
    return True
