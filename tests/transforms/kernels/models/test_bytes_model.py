"""Bits per byte: those of the model as it is defined, of a real code, and of what was fitted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.byte_fitting import DISCOUNT, fit_bytes
from transforms.kernels.models.bytes_model import BITS, START, UNIFORM, Trie, bits_after, bits_per_byte, coded

TEXTS = [
    "the cat sat on the mat",
    "the cats sat",
    "a mat on a cat ",
    "Ça va? Ça va.",
    "猫在垫子上",
    "\n\nthe end\n",
    "",
] * 3
LONGEST = 4
documents = st.lists(st.text(st.sampled_from("thecasmn \nÇ猫"), max_size=30), min_size=1, max_size=5)


def encoded(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def said(texts: list[str], trie: Trie) -> list[float]:
    """Bits per byte of each text."""
    parts = encoded(texts)
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    data = np.frombuffer(b"".join(parts) or b"\0", np.uint8)
    return bits_per_byte(data, offsets, trie).tolist()


def unpacked(trie: Trie, longest: int) -> tuple[dict[bytes, float], dict[bytes, float]]:
    """Costs of the stored n-grams, and weights of contexts."""
    ngrams, level, costs, weights = [b""], [b""], {}, {}
    at = 1
    for depth in range(longest):
        following = []
        for context in level:
            node = len(weights)
            weights[context] = BITS[trie.weight[node]]
            for _ in range(trie.children[node]):
                following.append(context + bytes([trie.symbol[at]]))
                costs[following[-1]] = BITS[trie.cost[at]]
                at += 1
        level = following
        ngrams += following
        assert all(len(one) == depth + 1 for one in following)
    assert at == len(trie.symbol)
    return costs, weights


def by_definition(text: bytes, costs: dict[bytes, float], weights: dict[bytes, float], longest: int) -> float:
    before, bits = bytes([START]), 0.0
    for byte in text:
        for size in range(min(longest - 1, len(before)), -1, -1):
            context = before[len(before) - size :]
            if context + bytes([byte]) in costs:
                bits += costs[context + bytes([byte])]
                break
            bits += weights.get(context, 0.0) if context in costs or not context else 0.0
        else:
            bits += UNIFORM
        before += bytes([byte])
    return bits / len(text) if text else math.nan


@given(texts=documents, most=st.integers(3, 200))
def test_bits_are_those_of_the_longest_ngram_that_is_stored(texts: list[str], most: int) -> None:
    trie = fit_bytes(encoded(TEXTS), LONGEST, most)
    costs, weights = unpacked(trie, LONGEST)
    expected = [by_definition(text, costs, weights, LONGEST) for text in encoded(texts)]
    assert said(texts, trie) == pytest.approx(expected, nan_ok=True)


@given(context=st.text(st.sampled_from("thecasmn \nÇ猫"), max_size=6), most=st.integers(3, 400))
def test_no_context_gives_out_more_than_there_is(context: str, most: int) -> None:
    """So that a text has as many bits as some code for it; and rounding costs little."""
    trie = fit_bytes(encoded(TEXTS), LONGEST, most)
    before = int.from_bytes(context.encode()[-(LONGEST - 1) :].rjust(LONGEST - 1, b"x"))
    keys = np.array([before << 8 | byte for byte in range(256)], np.uint64)
    total = (2.0 ** -bits_after(keys, LONGEST, trie)).sum()
    assert 0.85 < total <= 1 + 1e-9


def test_with_every_ngram_kept_it_is_absolute_discounting() -> None:
    """Against counts in a dictionary (Ney et al. 1994), up to what rounding adds; it takes from what is backed off to."""
    trie = fit_bytes(encoded(TEXTS), LONGEST, 10**6)
    counts: dict[bytes, dict[int, int]] = {}
    for text in encoded(TEXTS):
        whole = bytes([START]) + text
        for at in range(len(whole)):
            for size in range(min(at, LONGEST - 1) + 1):
                following = counts.setdefault(whole[at - size : at], {})
                following[whole[at]] = following.get(whole[at], 0) + 1

    def chance(context: bytes, byte: int) -> float:
        lower = chance(context[1:], byte) if context else 1 / 256
        following = counts.get(context)
        if not following:
            return lower
        total = sum(following.values())
        return (max(0.0, following.get(byte, 0) - DISCOUNT) + DISCOUNT * len(following) * lower) / total

    for text in ("the cat sat", "a mouse", "Ça 猫", "the end\nof it"):
        before, bits = bytes([START]), 0.0
        for byte in text.encode():
            bits -= math.log2(chance(before[-(LONGEST - 1) :], byte))
            before += bytes([byte])
        (found,) = said([text], trie)
        assert found == pytest.approx(bits / len(text.encode()), rel=0.03, abs=0.05)


def test_text_like_what_it_learned_is_easier() -> None:
    trie = fit_bytes(encoded(TEXTS), LONGEST, 100)
    same, other, strange = said(["the cat on the mat", "mnemonic tests", "zzyzx qqq"], trie)
    assert same < other < strange
    assert strange <= UNIFORM + 3 * 20, "a byte that nothing knows costs no more than all weights and 8 bits"


def test_fewer_ngrams_say_less() -> None:
    sizes = [10, 40, 400]
    tries = [fit_bytes(encoded(TEXTS), LONGEST, most) for most in sizes]
    assert [len(trie.symbol) - 1 <= most for trie, most in zip(tries[1:], sizes[1:], strict=True)] == [True, True]
    bits = [np.nanmean(said(TEXTS, trie)) for trie in tries]
    assert bits[0] > bits[1] > bits[2]


def test_codes_never_cost_less_than_they_stand_for() -> None:
    bits = np.linspace(0, 20, 5000)
    coded_bits = BITS[coded(bits)]
    assert (coded_bits >= bits - 1e-6).all()
    assert (coded_bits - bits).max() < 0.16
    assert coded(np.array([0.0, 99.0])).tolist() == [0, 255]


def test_an_impossible_length_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 7"):
        fit_bytes([b"a"], 8, 10)
