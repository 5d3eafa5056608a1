"""Overlaps of documents with items against a brute-force count of n-grams, and what they do not depend on."""

import fractions
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.kernels.similarity import minhash, overlap
from transforms.kernels.text import text

Words = list[str]


def words_of(texts: list[Words]) -> tuple[np.ndarray, np.ndarray]:
    _, tokens = text.canonicalise(pa.array([" ".join(words) for words in texts], pa.large_string()))
    return minhash.words(tokens)


def grams(words: Words, n: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def brute_force(
    items: list[Words], documents: list[Words], n: int, least: float
) -> tuple[list[fractions.Fraction], list[list[tuple[int, int]]]]:
    df = Counter(gram for item in items for gram in grams(item, n))
    weight = {gram: max(1, (2 * overlap.SCALE + count) // (2 * count)) for gram, count in df.items()}
    largest, found = [], []
    for document in documents:
        own, best, held = grams(document, n), fractions.Fraction(0), []
        for number, item in enumerate(items):
            total = sum(weight[gram] for gram in grams(item, n))
            have = sum(weight[gram] for gram in grams(item, n) & own)
            if have:
                best = max(best, fractions.Fraction(have, total))
                if have >= least * total:
                    held.append((number, have * overlap.PARTS // total))
        largest.append(best)
        found.append(held)
    return largest, found


def listed(found: overlap.Overlaps) -> list[list[tuple[int, int]]]:
    pairs = list(zip(found.items.tolist(), found.parts.tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(found.offsets[:-1].tolist(), found.offsets[1:].tolist(), strict=True)]


texts = st.lists(st.lists(st.sampled_from("abcd"), max_size=14), min_size=1, max_size=8)


@settings(max_examples=200)
@given(texts, texts, st.integers(1, 5), st.sampled_from([0.01, 0.3, 0.5, 0.75, 1.0]))
def test_equals_brute_force(items: list[Words], documents: list[Words], n: int, least: float) -> None:
    found = overlap.overlaps(*words_of(documents), overlap.build(*words_of(items), n), least)
    largest, held = brute_force(items, documents, n, least)
    assert found.largest.tolist() == [np.float32(float(one)) for one in largest]
    assert listed(found) == held


@given(texts, texts, st.integers(1, 4), st.data())
def test_batches_and_the_order_of_documents_change_nothing(
    items: list[Words], documents: list[Words], n: int, data: st.DataObject
) -> None:
    built = overlap.build(*words_of(items), n)
    whole = listed(overlap.overlaps(*words_of(documents), built, 0.5))
    cut = data.draw(st.integers(0, len(documents)))
    parts = [overlap.overlaps(*words_of(part), built, 0.5) for part in (documents[:cut], documents[cut:]) if part]
    assert [row for part in parts for row in listed(part)] == whole
    assert listed(overlap.overlaps(*words_of(documents[::-1]), built, 0.5)) == whole[::-1]


def test_what_every_item_has_hardly_counts() -> None:
    """A hundred questions with the same instructions before them: a document with the instructions alone has none of them."""
    said = [f"instruction{i}" for i in range(30)]
    items = [[*said, *(f"q{number}w{i}" for i in range(10))] for number in range(100)]
    built = overlap.build(*words_of(items), 5)
    found = overlap.overlaps(*words_of([said, items[7], items[7][30:]]), built, 0.5)
    assert listed(found)[0] == []
    assert found.largest[0] < 0.03
    assert listed(found)[1] == [(7, overlap.PARTS)]
    assert [item for item, _ in listed(found)[2]] == [7]
    assert found.largest[2] > 0.55


def test_more_items_than_there_is_room_for_at_first() -> None:
    items = [[f"w{i}", f"w{i + 1}"] for i in range(3000)]
    document = [f"w{i}" for i in range(3001)]
    found = overlap.overlaps(*words_of([document, ["other"], document]), overlap.build(*words_of(items), 2), 1.0)
    everything = [(i, overlap.PARTS) for i in range(3000)]
    assert listed(found) == [everything, [], everything]


def test_nothing_to_look_for_and_nothing_to_look_at() -> None:
    nothing = overlap.build(*words_of([["too", "short"]]), 3)
    assert nothing.total.tolist() == [0]
    assert listed(overlap.overlaps(*words_of([["a", "b", "c", "d"]]), nothing, 0.5)) == [[]]
    something = overlap.build(*words_of([["a", "b", "c"]]), 3)
    assert listed(overlap.overlaps(np.zeros(1, np.int64), np.zeros(0, np.uint64), something, 0.5)) == []


def test_n_grams_are_found_where_they_end() -> None:
    built = overlap.build(*words_of([["b", "c"], ["c", "d"]]), 2)
    at = overlap.find(*words_of([["a", "b", "c", "d"], ["d", "b", "c"]]), built)
    of = [set(built.items[built.offsets[g] : built.offsets[g + 1]].tolist()) if g >= 0 else None for g in at.tolist()]
    assert of == [None, None, {0}, {1}, None, None, {0}]
