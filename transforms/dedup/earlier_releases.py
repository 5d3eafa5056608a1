"""Earlier releases that a run is compared with: their signatures, once it is sure that they can be compared."""

import dataclasses
import hashlib
import posixpath
from collections.abc import Sequence
from typing import Any

from expectations.loading import parse_json
from expectations.paths import open_for_reading
from transforms.engine import files
from transforms.exclusions.removals import TOMBSTONES, is_tombstones
from transforms.ingest.sources import EARLIER, InputError, Piece, Split

MANIFEST = "MANIFEST.json"  # written last: a folder without it is no release
FOLDER = "signatures"
CHUNK_BYTES = 1 << 22


def plan_earlier(releases: Sequence[str], signature: dict[str, Any], first: int) -> list[Split]:
    """A split for each file of signatures of some releases, and of tombstones of what was withdrawn, numbered from `first`.

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
        if not files.exists(path):
            raise InputError(
                f"dedup.against: {release} is not a release (it has no {MANIFEST}); give the folder of one"
            )
        with open_for_reading(path) as file:
            try:
                manifest = parse_json(file.read(), MANIFEST)
                theirs = dict(manifest["signature"])
                own = [_piece(release, entry) for entry in manifest["files"] if entry["path"].startswith(FOLDER + "/")]
                gone = [_piece(release, entry) for entry in manifest["files"] if is_tombstones(entry["path"])]
                kept = manifest["counts"]["kept"]
            except (ValueError, LookupError, TypeError, AttributeError):
                raise InputError(f"dedup.against: {path} is damaged; restore the release or leave it out") from None
        for key in sorted(signature.keys() | theirs.keys()):
            if signature.get(key) != theirs.get(key):
                raise InputError(
                    f"dedup.against: the signatures of {release} were made with {key} {theirs.get(key)!r}, those of this run "
                    f"with {signature.get(key)!r}, so they cannot be compared; make one of the two again"
                )
        if not own and kept:
            raise InputError(
                f"dedup.against: {release} was written without signatures (output.signatures was false); make it again"
            )
        for piece in own + [dataclasses.replace(piece, format=TOMBSTONES) for piece in gone]:
            if piece.format == TOMBSTONES and any(piece.fingerprint == one.pieces[0].fingerprint for one in splits):
                continue  # another of the releases carries it on
            _is_whole(piece)
            splits.append(Split(first + len(splits), EARLIER, (piece,), piece.size))
    return splits


def _piece(release: str, entry: dict[str, Any]) -> Piece:
    path = posixpath.join(files.absolute(release), entry["path"])
    return Piece(path, "signatures", "", int(entry["bytes"]), str(entry["sha256"]))


def _is_whole(piece: Piece) -> None:
    """Refuse a file that is not what the manifest says: an altered signature is a duplicate missed, or one made up."""
    if not files.exists(piece.path):
        raise InputError(f"dedup.against: {piece.path} is gone; restore the release or leave it out")
    found = hashlib.sha256()
    with open_for_reading(piece.path) as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    if found.hexdigest() != piece.fingerprint:
        raise InputError(
            f"dedup.against: {piece.path} is not the file that the release was published with (its SHA-256 differs); restore "
            "the release or leave it out"
        )
