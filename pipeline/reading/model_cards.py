"""Cards of models that say that they were trained on a release, or made of a model that was.

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
from collections.abc import Sequence
from typing import Any

from expectations.loading import LoadError, parse_yaml, read_text
from expectations.paths import is_local
from expectations.wording import message, one_line
from pipeline.recipe import RecipeError
from transforms.ingest.listing import UNREAD, Unread, list_path

_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_HUB = re.compile(r"^(?:hf://|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)?(?:datasets/|models/)?")
_REVISION = re.compile(r"(?:[@?#]|/(?:tree|blob|resolve|commit)/).*$", re.DOTALL)
_HUBS_CACHE = re.compile(r"(?:^|/)models--(.+?)--(.+?)/snapshots/")

Name = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NamedRelease:
    """A release that a card may name.

    Attributes:
      sha256: of its manifest.
      names: of it, of its folder, and of the repositories that it was pushed to.
      about: what it is, in words.
    """

    sha256: str
    names: tuple[str, ...]
    about: str


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
class _Card:
    """A card, and what its header names."""

    path: str
    names: tuple[str, ...]
    datasets: tuple[str, ...]
    bases: tuple[str, ...]
    hashes: frozenset[str]


def models_of(folder: str, releases: Sequence[NamedRelease]) -> dict[str, Any]:
    """What the cards of a folder say of releases and of each other.

    Args:
      folder: of models' cards.
      releases: that cards may name.

    Returns:
      `models`, `silent` and `cards`, as a `Descent` has them.

    Raises:
      RecipeError: the folder has no cards.
    """
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
    known = [(one, {*map(_parts, one.names)}) for one in releases]
    why = {}
    for card in read:
        for one, names in known:
            if one.sha256 in card.hashes:
                why[card.path] = f"its card has the hash of {one.about}"
            elif said := next((name for name in card.datasets if any(_same(_parts(name), by) for by in names)), None):
                why[card.path] = f"`datasets` has {said}: {one.about}"
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
