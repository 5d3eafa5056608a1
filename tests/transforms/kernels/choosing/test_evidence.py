"""Who is believed, and where two disagree: the whole table, against rules written out once more."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.contracts import (
    AUTHORITY,
    BASES,
    BASIS_NONE,
    CREDENTIAL_MALFORMED,
    CREDENTIAL_SILENT,
    HUMAN,
    ORIGINS,
    SYNTHETIC,
    UNKNOWN,
)
from transforms.kernels.choosing import evidence

ORDER = ("credential", "declared", "watermark", "reviewed", "date", "boilerplate", "detector")
statements = st.dictionaries(st.sampled_from(ORDER), st.sampled_from((HUMAN, SYNTHETIC)))
notes = st.sampled_from((0, CREDENTIAL_SILENT, CREDENTIAL_MALFORMED, CREDENTIAL_SILENT | CREDENTIAL_MALFORMED))


def code(said: dict[str, int], note: int = 0) -> np.ndarray:
    parts = [evidence.say(BASES.index(name), np.array([origin])) for name, origin in said.items()]
    return np.bitwise_or.reduce([np.array([note], np.int32), *parts])


def test_the_order_of_authority_is_the_documented_one() -> None:
    assert tuple(BASES[basis] for basis in AUTHORITY) == ORDER


@pytest.mark.parametrize(("higher", "lower"), itertools.combinations(ORDER, 2))
def test_of_two_the_higher_authority_is_believed(higher: str, lower: str) -> None:
    for first, second in ((HUMAN, SYNTHETIC), (SYNTHETIC, HUMAN)):
        origin, basis = evidence.settle(code({lower: second, higher: first}))
        assert (origin[0], BASES[basis[0]]) == (first, higher)


@given(statements, notes)
def test_the_highest_that_speaks_is_believed(said: dict[str, int], note: int) -> None:
    origin, basis = evidence.settle(code(said, note))
    speaks = [name for name in ORDER if name in said]
    if not speaks:
        assert (origin[0], basis[0]) == (UNKNOWN, BASIS_NONE)
    else:
        assert (origin[0], BASES[basis[0]]) == (said[speaks[0]], speaks[0])


@given(statements, notes)
def test_two_disagree_if_one_who_can_know_says_human_and_another_synthetic(said: dict[str, int], note: int) -> None:
    number = evidence.conflict(code(said, note))[0]
    humans = [name for name in ("declared", "reviewed", "date") if said.get(name) == HUMAN]
    machines = [name for name in ORDER if said.get(name) == SYNTHETIC]
    if humans and machines:
        assert evidence.CONFLICT_WORDS[number] == f"{humans[0]}/{machines[0]}"
    else:
        assert number == 0


def test_a_detector_that_calls_a_text_human_contradicts_nobody() -> None:
    assert evidence.conflict(code({"declared": SYNTHETIC, "detector": HUMAN}))[0] == 0


@given(statements, notes)
def test_the_words_say_all_of_it_and_nothing_else(said: dict[str, int], note: int) -> None:
    words = evidence.in_words(code(said, note))[0].as_py().split()
    expected = [f"{name}:{ORIGINS[said[name]]}" for name in ORDER if name in said]
    expected = [word + ":unverified" if word.startswith("credential") else word for word in expected]
    expected += ["credential:unverified"] * bool(note & CREDENTIAL_SILENT)
    assert words == expected + ["credential:malformed"] * bool(note & CREDENTIAL_MALFORMED)


def test_nothing_is_said_of_no_document() -> None:
    nothing = np.zeros(0, np.int32)
    assert (
        len(evidence.in_words(nothing)) == len(evidence.conflict(nothing)) == len(evidence.settle(nothing).origin) == 0
    )
