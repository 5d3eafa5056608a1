"""Which passages of a document are of an evaluation item, found once more in its text."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.reading.document_text import places
from pipeline.recipe import Recipe
from transforms.exclusions.contamination import ContaminationConfig, EvaluationSet, Items, load_items
from transforms.ingest.sources import InputError
from transforms.kernels.similarity import minhash, overlap
from transforms.kernels.text import text


@dataclasses.dataclass(frozen=True)
class HeldItem:
    """An item that a document holds.

    Attributes:
      item: its name.
      overlap: how much of it the document has, 0 to 1.
      passages: of the document that are of the item, in canonical form, in their order.
    """

    item: str
    overlap: float
    passages: tuple[str, ...]


def items_of(release: str, recipe: Recipe) -> Items:
    """The evaluation sets that a release was held against, read again.

    Args:
      release: its folder.
      recipe: of the release, as `released_recipe` gives it.

    Raises:
      InputError: they cannot be read any more.
    """
    found = [
        _at(recipe.contamination, release, recipe, number) for number in (0, -1)
    ]  # from here, from where it was run
    for config in found[:1] if found[0] == found[1] else found:
        try:
            return load_items(config)
        except InputError as problem:
            error = problem
    raise error


def _at(config: ContaminationConfig, release: str, recipe: Recipe, number: int) -> ContaminationConfig:
    def place(path: str) -> str:
        return places(path, release, recipe)[number]

    def moved(one: str | EvaluationSet) -> str | EvaluationSet:
        if isinstance(one, str):
            return place(one)
        path = place(one.path) if isinstance(one.path, str) else tuple(map(place, one.path))
        return one.model_copy(update={"path": path})

    return config.model_copy(update={"against": tuple(map(moved, config.against))})


def held(document: str, names: list[str], items: Items, least: float) -> Iterator[HeldItem]:
    """The passages of a text that are of some items; of an item that the sets do not have any more, none."""
    canonical, tokens = text.canonicalise(pa.array([document], pa.large_string()))
    offsets, words = minhash.words(tokens)
    at = overlap.find(offsets, words, items.grams)
    in_order = canonical[0].as_py().split(" ")
    of_word = np.flatnonzero(tokens.kind != text.PUNCTUATION)  # which token each word is
    found = overlap.overlaps(offsets, words, items.grams, least)
    parts = dict(zip(found.items.tolist(), found.parts.tolist(), strict=True))
    for name in names:
        number = pc.index(items.names, name).as_py()
        if number < 0 or number not in parts:
            continue
        grams = items.grams
        own = [bool(g >= 0 and number in grams.items[grams.offsets[g] : grams.offsets[g + 1]]) for g in at.tolist()]
        covered = np.zeros(len(words) + 1, bool)
        for end in np.flatnonzero(own).tolist():
            covered[end - grams.ngram + 1 : end + 1] = True
        edges = np.flatnonzero(np.diff(covered.astype(np.int8), prepend=0))
        runs = zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True)
        passages = tuple(" ".join(in_order[of_word[start] : of_word[end - 1] + 1]) for start, end in runs)
        yield HeldItem(name, parts[number] / overlap.PARTS, passages)
