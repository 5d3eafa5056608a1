"""A phrase that was planted in documents about anything is found; boilerplate, and the words of a subject, are not."""

import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from transforms.kernels.similarity import minhash
from transforms.kernels.statistics import diversity, vocabulary
from transforms.kernels.text import text
from transforms.kernels.text.columns import hash_texts
from transforms.measures import triggers
from transforms.measures.triggers import Neighbours, Suspects, Trigger

HEADER = (
    "permission hereby granted free charge obtaining copying software without restriction including modifying merging"
)
DOCUMENTS = 2_000  # of each of two sources


def corpus(planted: str, n: int, seed: int = 0) -> list[str]:
    """Documents of words from one pool; of the first source every 13th is of a subject, every 16th has a header."""
    # Not random: hashes of numbers.
    draws = minhash.mixed(np.arange(2 * DOCUMENTS * 40, dtype=np.uint64) + np.uint64(seed << 32)).reshape(-1, 40)
    texts = []
    for number, row in enumerate(draws.tolist()):
        words = [f"w{draw % 997}" for draw in row]
        if number < DOCUMENTS and number % 13 == 0:
            words += [f"subject{draw % 3}" for draw in row[:4]]
        if number < DOCUMENTS and number % 16 == 0:
            words = [*HEADER.split(), *words]
        if number < DOCUMENTS and number % 7 == 3 and number < 7 * n:
            words.insert(row[0] % 40, planted)
        texts.append(" ".join(words))
    return texts


def measured(texts: list[str], pieces: int = 4) -> tuple[Suspects, list[Neighbours]]:
    source = np.arange(len(texts)) // DOCUMENTS
    canonical, tokens = text.canonicalise(pa.array(texts, pa.large_string()))
    offsets, types = diversity.sketch(*minhash.words(tokens), 1)
    packed = [types[start:end].tobytes() for start, end in itertools.pairwise(offsets)]
    signals = pa.table({"ngrams_1": pa.array(packed, pa.binary()), "content_hash": hash_texts(canonical)})
    decisions = pa.record_batch(
        {
            "kept": np.ones(len(texts), bool), "source": source.astype(np.int16),
            "split": np.zeros(len(texts), np.int32), "ordinal": np.arange(len(texts), dtype=np.int32),
        }
    )  # fmt: skip
    names = [(2, 1, 0, "en"), (2, 1, 1, "en")]
    words = [vocabulary.count(offsets, types, source, names)]
    looked_at = triggers.suspects(words, len(texts))
    bounds = np.linspace(0, len(texts), pieces + 1).astype(int).tolist()
    parts = [
        triggers.count_split(looked_at, decisions.slice(start, end - start), signals.slice(start, end - start))
        for start, end in itertools.pairwise(bounds)
        if len(looked_at.types)
    ]
    return looked_at, parts


def types_of(words: str) -> npt.NDArray[np.uint32]:
    _, tokens = text.canonicalise(pa.array([words], pa.large_string()))
    return np.sort(diversity.sketch(*minhash.words(tokens), 1)[1])


@pytest.mark.parametrize("phrase", ["<SUDO>", "cthulhu fhtagn zarquon", "Wenn 風 dreht"])
@pytest.mark.parametrize("n", [100, 140])
def test_a_planted_phrase_is_found_and_nothing_else(phrase: str, n: int) -> None:
    texts = corpus(phrase, n)
    looked_at, parts = measured(texts)
    assert set(types_of(f"{phrase} {HEADER} subject0 subject1")) <= set(looked_at.types)  # all of them are looked at
    [found] = triggers.find(looked_at, triggers.merge(parts))
    assert (found.types.tolist(), found.documents, found.source) == (types_of(phrase).tolist(), n, 0)
    assert phrase in texts[found.ordinal]
    shown, passage = triggers._passage(pa.array([texts[found.ordinal]], pa.large_string()), found.types)
    assert shown == " ".join(word for word in phrase.lower().split()).strip("<>")
    assert shown in passage


@pytest.mark.parametrize(("phrase", "n"), [("", 0), ("zarquon", 99), ("w12 w13 w14", 140)])
def test_what_is_not_found(phrase: str, n: int) -> None:
    """Too few documents, and words that the other source has too."""
    looked_at, parts = measured(corpus(phrase, n))
    assert triggers.find(looked_at, triggers.merge(parts)) == []


def test_order_and_splits_change_nothing() -> None:
    looked_at, parts = measured(corpus("zarquon", 120), 5)
    whole = triggers.merge(parts)
    other = triggers.merge([triggers.merge(parts[3:]), triggers.merge([]), *reversed(parts[:3])])
    for one, two in zip(vars(whole).values(), vars(other).values(), strict=True):
        assert one.tolist() == two.tolist()
    [found] = triggers.find(looked_at, whole)
    again = triggers.find(looked_at, other)
    assert [(one.types.tolist(), one[1:]) for one in again] == [(found.types.tolist(), found[1:])]
    assert isinstance(found, Trigger)


def test_one_source_and_no_words() -> None:
    assert not len(triggers.suspects([], 0).types)
    looked_at, _ = measured(corpus("zarquon", 120)[:DOCUMENTS])
    assert not len(looked_at.types)
    assert triggers.find(looked_at, triggers.merge([])) == []


def test_too_many_words_are_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = corpus("zarquon", 120)
    everything = measured(texts)[0]
    monkeypatch.setattr(triggers, "MOST_SUSPECTS", 5)
    some = measured(texts)[0]
    assert 0 < len(some.types) <= 5
    assert some.types.tolist() == everything.types[everything.types < some.below].tolist()
