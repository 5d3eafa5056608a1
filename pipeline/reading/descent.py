"""What descends from a release: releases made with it, and models whose cards say that they were trained on one of these."""

import collections
import dataclasses
import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.wording import plural
from pipeline.reading.document_text import released_recipe
from pipeline.reading.model_cards import NamedModel, NamedRelease, models_of
from pipeline.reading.pushed import read_pushed
from pipeline.recipe import RecipeError
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine.folders import names_in
from transforms.release.read_release import ReleaseError, is_there, ledger_batches, ledger_files, read_manifest

SHOWN_CARDS = 20  # of those that say nothing


@dataclasses.dataclass(frozen=True)
class Descent:
    """What comes of a release, as far as it can be seen from here.

    Attributes:
      still_there: releases beside it that hold documents that go, and how many.
      descend: releases beside it that were made with it, or with one that was, and with which.
      unread: releases beside it that cannot be read.
      models: by their cards; None: no cards were given.
      silent: cards that cannot be read or have no header, and why.
      cards: how many there are.
    """

    still_there: dict[str, int]
    descend: dict[str, str]
    unread: tuple[str, ...]
    models: tuple[NamedModel, ...] | None = None
    silent: dict[str, str] = dataclasses.field(default_factory=dict)
    cards: int = 0


@dataclasses.dataclass(frozen=True)
class _Release:
    folder: str
    names: tuple[str, ...]
    sha256: str
    parents: frozenset[str]
    holds: int


def descent(release: str, gone: pa.StringArray, cards: str | None) -> Descent:
    """What comes of a release.

    Args:
      release: its folder.
      gone: ids of the documents that go, in hexadecimal.
      cards: folder of models' cards; None: models are not looked for.

    Raises:
      RecipeError: the folder has no cards.
    """
    release = release.rstrip("/")
    manifest, sha256 = read_manifest(release)
    output = posixpath.dirname(release) or "."
    first = _Release(release, (manifest["release"], posixpath.basename(release)), sha256, frozenset(), 0)
    found: list[_Release] = []
    unread: list[str] = []
    seen = {os.path.realpath(release)}
    for folder in sorted(_beside(output), key=lambda path: (os.path.islink(path), path)):
        if (real := os.path.realpath(folder)) in seen:  # as `latest` is, a link
            continue
        seen.add(real)
        try:
            found.append(_release(folder, gone))
        except (ReleaseError, RecipeError):
            unread.append(folder)
    made_with = _made_with(first, found)
    still = {one.folder: one.holds for one in found if one.holds}
    descend = {folder: made_with[folder] for folder in sorted(made_with)}
    of_releases = Descent(still, descend, tuple(unread))
    if cards is None:
        return of_releases
    named = {one.folder: one for one in found}
    about = [(first, "the release")]
    about += [
        (named[folder], f"{posixpath.basename(folder)}, made with {parent}") for folder, parent in descend.items()
    ]
    about += [
        (named[folder], f"{posixpath.basename(folder)}, which holds {n:,} of the documents")
        for folder, n in still.items()
        if folder not in descend
    ]
    releases = [NamedRelease(one.sha256, (*one.names, *_repositories(one.folder)), said) for one, said in about]
    return dataclasses.replace(of_releases, **models_of(cards, releases))


def _beside(output: str) -> Iterator[str]:
    """Folders of releases that lie in a folder, or that links in it lead to: some have their old ones on another disk."""
    for name in names_in(output):
        if not name.startswith(".") and is_there(posixpath.join(output, name), MANIFEST):
            yield posixpath.join(output, name)


def _release(folder: str, gone: pa.StringArray) -> _Release:
    parts = [rows for path in ledger_files(folder) for rows in ledger_batches(path, ["id", "kept"])]
    recipe, (manifest, sha256) = released_recipe(folder), read_manifest(folder)
    held = [pc.sum(pc.and_(pc.is_in(rows["id"], gone), rows["kept"])).as_py() or 0 for rows in parts]
    parents = {posixpath.basename(one.rstrip("/")) for one in (*recipe.dedup.against, recipe.reference or "")}
    parents |= {(manifest.get("withdrawn_from") or {}).get("release", "")}
    names = (manifest["release"], posixpath.basename(folder))
    return _Release(folder, names, sha256, frozenset(parents - {""}), sum(held))


def _made_with(first: _Release, others: Sequence[_Release]) -> dict[str, str]:
    """Folder of each release that descends from the first, and the name of what it was made with."""
    made_with: dict[str, str] = {}
    waiting = collections.deque([first])
    while waiting:
        parent = waiting.popleft()
        for one in others:
            if one.folder not in made_with and one.parents & set(parent.names):
                made_with[one.folder] = parent.names[0]
                waiting.append(one)
    return made_with


def _repositories(release: str) -> Iterator[str]:
    try:
        yield from (one["repository"] for one in read_pushed(release))
    except (RecipeError, KeyError):  # of another hand: the release is known by its other names
        return


def said_of(found: Descent) -> dict[str, Any]:
    """What a receipt keeps of it: names, and no places of this machine."""
    releases = {posixpath.basename(folder) for folder in (*found.still_there, *found.descend)}
    said: dict[str, Any] = {"releases": sorted(releases)}
    if found.models is not None:
        said |= {"models": [{"name": one.name, "why": one.why} for one in found.models], "cards": found.cards}
        said["cards_without_a_word"] = len(found.silent)
    return said


def descent_lines(found: Descent, release: str) -> Iterator[str]:
    """The same for a person."""
    for folder, n in found.still_there.items():
        yield f"  {folder} holds {n:,} of them as well: withdraw them there too"
    for folder, parent in found.descend.items():
        yield f"  {folder} was made with {parent}"
    for folder in found.unread:
        yield f"  {folder} cannot be read, so whether it holds any is not known"
    if found.models is None:
        return
    verb = "descends" if len(found.models) == 1 else "descend"
    yield f"  {plural(len(found.models), 'model')} of {plural(found.cards, 'card')} {verb} from {release}"
    for model in found.models:
        yield f"  {model.card}: {model.why}"
    shown = sorted(found.silent.items())
    for path, why in shown[:SHOWN_CARDS]:
        yield f"  {path}: {why}; look at it yourself"
    if len(shown) > SHOWN_CARDS:
        yield f"  and {len(shown) - SHOWN_CARDS:,} cards more say nothing"
