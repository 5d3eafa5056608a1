"""Which sources and languages of a reference a release still has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.measures.against_reference import _mix
from transforms.measures.reference import Reference
from transforms.measures.vocabulary import MIN_LANGUAGE


def documents(sizes: dict[str, int]) -> Vocabulary:
    """As many documents of each source, all in English and in two folds."""
    halves = {(2, 0, name, "en", fold): (n + fold) // 2 for name, n in sizes.items() for fold in (0, 1)}
    return Vocabulary({}, halves, 1 << 32)


def shares(release: dict[str, int], reference: dict[str, int]) -> dict[tuple[str, str], dict]:
    nothing = np.zeros(0)
    against = Reference("the release first", {1: documents(reference)}, nothing, nothing, nothing, nothing)
    return {(row["slice_kind"], row["slice"]): row for row in _mix(documents(release), against)}


def test_a_source_that_is_gone_has_nothing_left_and_surely_so() -> None:
    found = shares({"web": 900}, {"web": 800, "books": 200})
    assert found["source", "books"]["value"] == 0
    assert found["source", "books"]["upper"] < 0.05
    assert found["source", "web"]["value"] == pytest.approx(1 / 0.8)
    assert found["language", "en"]["value"] == 1


def test_of_a_source_with_few_documents_nothing_is_said() -> None:
    assert ("source", "tiny") not in shares({"web": 900}, {"web": 800, "tiny": MIN_LANGUAGE - 1})


def test_a_new_source_is_no_loss_of_its_own() -> None:
    assert ("source", "new") not in shares({"web": 500, "new": 500}, {"web": 1000})


def test_an_empty_release_is_not_compared() -> None:
    assert shares({}, {"web": 1000}) == {}


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=5), st.lists(st.integers(0, 5000), min_size=5, max_size=5))
def test_shares_are_what_they_say_and_lie_within_their_limits(mine: list[int], theirs: list[int]) -> None:
    release = {f"s{i}": n for i, n in enumerate(mine)}
    reference = {f"s{i}": n for i, n in enumerate(theirs)}
    found = shares(release, reference)
    for (kind, name), row in found.items():
        assert row["lower"] <= row["value"] <= row["upper"]
        if kind == "source":
            of = release.get(name, 0) / sum(release.values()), reference[name] / sum(reference.values())
            assert row["value"] == pytest.approx(of[0] / of[1])
