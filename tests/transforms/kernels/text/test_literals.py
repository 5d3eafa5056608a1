"""The quick search finds every string wherever it begins, and next to nothing else."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text.literals import compile_literals, search

FAR = 10**9
GROUPS = [(FAR, ("as an ai model", "language model")), (FAR, ("语言模型",)), (12, ("certainly! here",)), (FAR, ())]
LITERALS = compile_literals(GROUPS)


def found(*texts: str) -> list[list[bool]]:
    return search(pa.array(texts, pa.large_string()), LITERALS).tolist()


def folded(text: str) -> bytes:
    return bytes(byte | 0x20 for byte in text.encode())


def by_brute_force(text: str) -> list[bool]:
    data = folded(text)
    places = [[data.find(folded(one)) for one in group] for _, group in GROUPS]
    return [any(0 <= at < limit for at in here) for here, (limit, _) in zip(places, GROUPS, strict=True)]


PIECES = [
    "As an AI model",
    "LANGUAGE MODEL",
    "语言模型",
    "Certainly! Here",
    "language",
    " ",
    "é",
    "x" * 7,
    "",
    "语",
    "mode",
]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), max_size=8))
def test_it_is_a_search(texts: list[str]) -> None:
    assert found(*texts) == [by_brute_force(text) for text in texts]


@pytest.mark.parametrize("shift", range(9))
def test_wherever_a_string_begins(shift: int) -> None:
    texts = ["x" * shift + "a LANGUAGE Model", "", "语" * shift + "语言模型" + "x" * (shift % 3), "y"]
    expected = [[True, False, False, False], [False] * 4, [False, True, False, False], [False] * 4]
    assert found(*texts) == expected
    whole = pa.array(["z" * shift, *texts], pa.large_string())
    assert search(whole.slice(1, 3), LITERALS).tolist() == expected[:3]


def test_a_string_does_not_cross_into_the_next_document() -> None:
    assert found("language mod", "el", "as an ai", " model") == [[False] * 4] * 4


def test_a_group_may_be_wanted_near_the_start_only() -> None:
    assert found("x" * 11 + "certainly! here", "x" * 12 + "certainly! here") == [
        [False, False, True, False],
        [False] * 4,
    ]


def test_nothing_to_look_in_or_for() -> None:
    assert search(pa.array([], pa.large_string()), LITERALS).shape == (0, 4)
    assert search(pa.array(["a"], pa.large_string()), compile_literals([])).shape == (1, 0)
    assert not search(pa.array(["", "", ""], pa.large_string()), LITERALS).any()
    assert not np.any(search(pa.array(["abc"], pa.large_string()), LITERALS))


def test_a_short_string_is_refused() -> None:
    with pytest.raises(ValueError, match="'an ai' has fewer than 7 bytes"):
        compile_literals([(FAR, ("an ai",))])
