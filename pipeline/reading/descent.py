"""What descends from a release: releases made with it, and models whose cards say that they were trained on one of these.

A model's card is a Markdown file with a YAML header, as model hubs have them: `datasets` names what the model was trained on,
`base_model` what it was made of. What is found is shown with the words that say so, since names are all there is to go by. A name
is also the end of a longer one, `laws` that of `org/laws`: a card that is named in error costs a look, one that is not named
leaves a model that nobody looks for.
"""

import collections
import dataclasses
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from expectations.loading import LoadError, parse_yaml, read_text
from expectations.paths import is_local
from expectations.wording import message, one_line, plural
from pipeline.reading.document_text import released_recipe
from pipeline.recipe import RecipeError
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files
from transforms.engine.folders import names_in
from transforms.ingest.listing import UNREAD, Unread, list_path
from transforms.release.read_release import ReleaseError, is_there, ledger_batches, ledger_files, read_manifest

PUSHED = ".pushed.jsonl"
FORMAT = "lowbackground.pushed/1"
SHOWN_CARDS = 20  # of those that say nothing
_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_HUB = re.compile(r"^(?:hf://|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)?(?:datasets/|models/)?")
_REVISION = re.compile(r"(?:[@?#]|/(?:tree|blob|resolve|commit)/).*$", re.DOTALL)
_HUBS_CACHE = re.compile(r"(?:^|/)models--(.+?)--(.+?)/snapshots/")

Name = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NamedModel:
    """A model that was trained on a release, or made of one that was.

    Attributes:
      card: its file.
      name: by its place below the folder of cards.
      why: what its card says.
    """

    card: str
    name: str
    why: str


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


def pushed_path(release: str) -> str:
    """Where it is written to which hub a release went: beside it, since a release is what its manifest lists."""
    return release.rstrip("/") + PUSHED


def read_pushed(release: str) -> list[dict[str, str]]:
    """Where a release was pushed to, the first time first.

    Raises:
      RecipeError: the file beside it is none of ours.
    """
    try:
        found = [orjson.loads(line) for line in files.read(pushed_path(release)).splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RecipeError(f"{pushed_path(release)}: {message(error)}; move it away") from None
    if not all(isinstance(one, dict) and one.get("format") == FORMAT for one in found):
        raise RecipeError(f"{pushed_path(release)}: is no list of where a release was pushed to; move it away")
    return found


def note_pushed(release: str, repository: str, revision: str) -> None:
    """Write beside a release that a hub has it.

    Raises:
      OSError: it cannot be written.
    """
    line = {
        "format": FORMAT,
        "repository": repository,
        "revision": revision,
        "manifest_sha256": read_manifest(release)[1],
    }
    lines = [*read_pushed(release), line]
    files.write(pushed_path(release), b"".join(orjson.dumps(one) + b"\n" for one in lines))


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
    return dataclasses.replace(of_releases, **_of_cards(cards, about))


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


@dataclasses.dataclass(frozen=True)
class _Card:
    """A card, and what its header names."""

    path: str
    names: tuple[str, ...]
    datasets: tuple[str, ...]
    bases: tuple[str, ...]
    hashes: frozenset[str]


def _of_cards(folder: str, releases: Sequence[tuple[_Release, str]]) -> dict[str, Any]:
    """What the cards of a folder say of releases and of each other."""
    listing = list_path(folder, hidden=True)
    inside = posixpath.join(os.path.normpath(folder) if is_local(folder) else folder, "")
    entries = {entry.path.removeprefix(inside): entry.size for entry in listing.entries}
    paths = [name for name in sorted(entries) if _is_card(name)] if listing.kind == "folder" else []
    unread = {one.path: UNREAD[one.reason] for one in listing.unread if _may_hide_cards(one, inside)}
    if not paths and not unread:
        raise RecipeError(f"--cards {folder}: has no cards; give the folder of models, each with a README.md")
    read, silent = [], {path: f"is {why}" for path, why in unread.items()}
    for name in paths:
        card = _read_card(folder, name) if entries[name] is not None else f"is {UNREAD['dangling_link']}"
        read.append(card) if isinstance(card, _Card) else silent.update({posixpath.join(folder, name): card})
    known = [(one, about, {*map(_parts, (*one.names, *_repositories(one.folder)))}) for one, about in releases]
    why = {}
    for card in read:
        for one, about, names in known:
            if one.sha256 in card.hashes:
                why[card.path] = f"its card has the hash of {about}"
            elif said := next((name for name in card.datasets if any(_same(_parts(name), by) for by in names)), None):
                why[card.path] = f"`datasets` has {said}: {about}"
            if card.path in why:
                break
    _follow(read, why)
    models = tuple(NamedModel(card.path, card.names[0], one_line(why[card.path])) for card in read if card.path in why)
    return {"models": models, "silent": silent, "cards": len(paths)}


def _is_card(name: str) -> bool:
    return name.lower().endswith(".md") and not any(part.startswith(".") for part in name.split("/"))


def _may_hide_cards(one: Unread, inside: str) -> bool:
    """Whether there may be a card in what is not read: a folder that cannot be listed, or something with the name of a card."""
    name = one.path.removeprefix(inside)
    return (one.reason == "cannot_list" and _is_card(f"{name}/README.md")) or (
        one.reason == "not_a_file" and _is_card(name)
    )


def _follow(cards: Sequence[_Card], why: dict[str, str]) -> None:
    """Add the models that are made of those that are there, and so on; each once, so a circle ends."""
    made_of: dict[str, list[tuple[_Card, str]]] = collections.defaultdict(list)
    for card in cards:
        for base in card.bases:
            made_of[_parts(base)[-1]].append((card, base))
    waiting = collections.deque(card for card in cards if card.path in why)
    while waiting:
        parent = waiting.popleft()
        for name in parent.names:
            for card, base in made_of[_parts(name)[-1]]:
                if card.path not in why and _same(_parts(name), _parts(base)):
                    why[card.path] = f"`base_model` has {base}: {parent.names[0]}"
                    waiting.append(card)


def _repositories(release: str) -> Iterator[str]:
    try:
        yield from (one["repository"] for one in read_pushed(release))
    except (RecipeError, KeyError):  # of another hand: the release is known by its other names
        return


def _read_card(folder: str, name: str) -> _Card | str:
    """A card, or on one line why it says nothing."""
    path = posixpath.join(folder, name)
    try:
        text = read_text(path)
        header = _HEADER.match(text)
        about = parse_yaml(header[1], "its header").value if header else None
    except (LoadError, OSError) as error:
        return one_line(message(error).removeprefix(path).lstrip(":, "))
    hashes = frozenset(re.findall(r"\b[0-9a-f]{64}\b", text))
    if not isinstance(about, dict):
        if not hashes:
            return "has no header that names what the model was trained on"
        about = {}
    cached = _HUBS_CACHE.search(path)
    stem = posixpath.splitext(name)[0]
    if posixpath.basename(stem).lower() == "readme":
        stem = posixpath.dirname(stem) or posixpath.basename(os.path.abspath(folder))
    index = [one.get("name") for one in _listed(about.get("model-index")) if isinstance(one, dict)]
    own = (f"{cached[1]}/{cached[2]}" if cached else stem, about.get("model_name"), *index)
    names = tuple(one for one in own if isinstance(one, str) and _parts(one))
    return _Card(path, names, _words(about.get("datasets")), _words(about.get("base_model")), hashes)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _words(value: Any) -> tuple[str, ...]:
    """All names in a part of a header, which people write as a text, as a list, and as mappings."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return tuple(word for one in value for word in _words(one))
    return (value,) if isinstance(value, str) and _parts(value) else ()


def _parts(name: str) -> Name:
    """The parts of a name, without the hub and the revision."""
    bare = _REVISION.sub("", _HUB.sub("", name.strip().casefold()))
    return tuple(part for part in bare.split("/") if part and part != ".")


def _same(one: Name, other: Name) -> bool:
    n = min(len(one), len(other))
    return n > 0 and one[-n:] == other[-n:]


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
