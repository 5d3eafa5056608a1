"""Types as steps between numbers: every document gets back the set that it had, however documents come in batches."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.kernels.statistics.type_steps import MOST, Numbering, Steps, types_of

# Some begin with the same bits, so that they are after each other in the table.
some = st.sampled_from([0, 1, 2, 7 << 15, (7 << 15) + 1, 2**32 - 1, 2**31]) | st.integers(0, 2**32 - 1)
documents = st.lists(st.sets(some, max_size=8).map(list), max_size=12)


def flat(sets: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return offsets, np.array([one for each in sets for one in each], np.uint32)


def joined(parts: list[Steps]) -> Steps:
    """Of batches one after the other."""
    new_offsets, offsets = (
        np.cumsum(np.concatenate([[0], *(np.diff(one) for one in column)]), dtype=np.int64)
        for column in ([part.new_offsets for part in parts], [part.offsets for part in parts])
    )
    new, low, high = (np.concatenate([part[at] for part in parts]) for at in (1, 3, 4))
    return Steps(new_offsets, new, offsets, low, high)


def sets_of(offsets: np.ndarray, types: np.ndarray) -> list[list[int]]:
    return [sorted(types[start:end].tolist()) for start, end in itertools.pairwise(offsets)]


@settings(max_examples=50)
@given(documents, st.integers(0, 12))
def test_documents_get_their_types_back(sets: list[list[int]], at: int) -> None:
    numbering = Numbering()
    whole = joined([numbering.steps(*flat(part)) for part in (sets[:at], sets[at:])])
    assert sets_of(*types_of(whole)) == [sorted(one) for one in sets]
    assert whole.new.tolist() == list(dict.fromkeys(one for each in sets for one in each))  # each once


@pytest.mark.parametrize("beyond", [0, 5])
def test_a_type_behind_the_last_number_is_new_each_time(beyond: int) -> None:
    types = np.arange(MOST + beyond, dtype=np.uint32) * np.uint32(0x9E3779B1)
    sets = [types.tolist(), types[::-7].tolist(), [int(types[0]), int(types[MOST - 1])], types[-3:].tolist()]
    steps = Numbering().steps(*flat(sets))
    assert np.diff(steps.new_offsets).tolist() == [
        len(types), sum(1 for one in range(len(types))[::-7] if one >= MOST), 0, min(beyond, 3),
    ]  # fmt: skip
    assert sets_of(*types_of(steps)) == [sorted(one) for one in sets]
