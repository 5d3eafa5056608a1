"""Earlier releases that a run is compared with: their signatures, once it is sure that they can be compared."""

import posixpath
from collections.abc import Sequence
from typing import Any

import orjson
from apache_beam.io.filesystems import FileSystems

from transforms.sources import EARLIER, InputError, Piece, Split
from transforms.store import open_for_reading

MANIFEST = "MANIFEST.json"  # written last: a folder without it is no release
FOLDER = "signatures"


def plan_earlier(releases: Sequence[str], signature: dict[str, Any], first: int) -> list[Split]:
    """A split for each file of signatures of some releases, numbered from `first`.

    Args:
      releases: folders.
      signature: how the signatures of this run are made; those of a release must be made the same way.
      first: the number of the first split.

    Raises:
      InputError: there is no such release, it has no signatures, or they cannot be compared.
    """
    splits: list[Split] = []
    for release in releases:
        path = posixpath.join(release, MANIFEST)
        if not FileSystems.exists(path):
            raise InputError(
                f"dedup.against: {release} is not a release (it has no {MANIFEST}); give the folder of one"
            )
        with open_for_reading(path) as file:
            try:
                manifest = orjson.loads(file.read())
                theirs, files = manifest["signature"], manifest["files"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise InputError(f"dedup.against: {path} is damaged; restore the release or leave it out") from None
        for key in sorted(signature.keys() | theirs.keys()):
            if signature.get(key) != theirs.get(key):
                raise InputError(
                    f"dedup.against: the signatures of {release} were made with {key} {theirs.get(key)!r}, those of this run "
                    f"with {signature.get(key)!r}, so they cannot be compared; make one of the two again"
                )
        own = [entry for entry in files if entry["path"].startswith(FOLDER + "/")]
        if not own and manifest["counts"].get("kept"):
            raise InputError(
                f"dedup.against: {release} was written without signatures (output.signatures was false); make it again"
            )
        for entry in own:
            place = posixpath.join(release, entry["path"])
            if not FileSystems.exists(place):
                raise InputError(f"dedup.against: {place} is gone; restore the release or leave it out")
            piece = Piece(place, "signatures", "", entry["bytes"], entry["sha256"])
            splits.append(Split(first + len(splits), EARLIER, (piece,), entry["bytes"]))
    return splits
