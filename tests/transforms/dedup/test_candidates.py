"""Pairs cross with each left document's signature once, and give the edges that every pair by itself would give."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from transforms.dedup import candidates
from transforms.dedup.candidates import BAND, VERIFIED, _distinct, by_right_splits, verified
from transforms.dedup.clusters import EDGE
from transforms.engine.coders import RecordBatchCoder
from transforms.ingest.sources import Split, Splits
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore

PERMUTATIONS = 16
SPLITS, DOCUMENTS = 3, 12


def signature_column(numbers: np.ndarray) -> pa.FixedSizeBinaryArray:
    rows = [row.astype("<u4").tobytes() for row in numbers]
    return pa.array(rows, pa.binary(4 * PERMUTATIONS))


def pairs_of(rows: list[tuple[int, int, int, bool]]) -> pa.RecordBatch:
    """Pairs whose left document is in split 0: (left ordinal, right split, right ordinal, sure). A content is its place."""
    left, split, right, sure = (np.array(column) for column in zip(*rows, strict=True))
    return pa.RecordBatch.from_pydict(
        {
            "left": left.astype(np.uint64),
            "right": (split * 1000 + right + 500).astype(np.uint64),
            "left_ordinal": left.astype(np.int32),
            "right_split": split.astype(np.int32),
            "right_ordinal": right.astype(np.int32),
            "sure": pa.array(sure.astype(bool)),
        }
    )


def found_of(pairs: pa.RecordBatch, signatures: np.ndarray, least: float, together: int) -> set[tuple[int, int]]:
    """The edges of pairs that cross to so many right splits together."""
    coder, found = RecordBatchCoder(), set()
    for number, batch in by_right_splits(pairs, signature_column(signatures[0]), together):
        crossed = coder.decode(coder.encode(batch))
        places = list(zip(crossed["right_split"].to_pylist(), crossed["left"].to_pylist(), strict=True))
        assert len(set(places)) == len(places)  # each signature once
        assert {split // together for split, _ in places} == {number}
        edge = verified([crossed], lambda split: signature_column(signatures[split]), least)
        assert edge.schema == EDGE
        found |= set(zip(*edge.to_pydict().values(), strict=True))
    return found


one_pair = st.tuples(
    st.integers(0, DOCUMENTS - 1), st.integers(0, SPLITS - 1), st.integers(0, DOCUMENTS - 1), st.booleans()
)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(one_pair, min_size=1, max_size=80),
    salt=st.integers(0, 50),
    least=st.sampled_from([0.0, 0.5, 1.0]),
    together=st.integers(1, SPLITS),
)
def test_edges_are_those_of_every_pair_by_itself(
    rows: list[tuple[int, int, int, bool]], salt: int, least: float, together: int
) -> None:
    at = np.arange(SPLITS * DOCUMENTS * PERMUTATIONS, dtype=np.uint64) + np.uint64(salt * 10_007)
    signatures = (at * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(2)
    signatures = signatures.reshape(SPLITS, DOCUMENTS, PERMUTATIONS).astype(np.uint32)
    expected = {
        (left, split * 1000 + right + 500)
        for left, split, right, sure in rows
        if sure or (signatures[0][left] == signatures[split][right]).mean() >= least
    }
    assert found_of(_distinct(pairs_of(rows)), signatures, least, together) == expected


@given(rows=st.lists(one_pair, min_size=1, max_size=80))
def test_a_pair_that_was_found_often_is_one_and_sure_if_any_is(rows: list[tuple[int, int, int, bool]]) -> None:
    found = _distinct(pairs_of([*rows, *rows])).to_pydict()
    sure: dict[tuple[int, int], bool] = {}
    for left, split, right, is_sure in rows:
        place = (left, split * 1000 + right + 500)
        sure[place] = sure.get(place, False) or is_sure
    assert dict(zip(zip(found["left"], found["right"], strict=True), found["sure"], strict=True)) == sure
    assert len(found["left"]) == len(sure)


def test_a_star_of_many_pairs_carries_one_signature_and_is_verified_to_its_end() -> None:
    n = 2 * VERIFIED + 3
    signatures = np.zeros((2, n, PERMUTATIONS), np.uint32)
    signatures[1, ::2] = 1
    pairs = pairs_of([(0, 1, i, False) for i in range(n)])
    ((_, batch),) = by_right_splits(pairs, signature_column(signatures[0]), 2)
    assert len(RecordBatchCoder().encode(batch)) < 15 * n
    assert found_of(pairs, signatures, 1.0, 2) == {(0, 1500 + i) for i in range(1, n, 2)}


def test_pairs_are_grouped_by_split_and_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of one split is several groups; whatever their size, the pairs are the same."""
    n = 40
    at = np.arange(n)
    bands = pa.RecordBatch.from_arrays(
        [
            pa.array(np.repeat(np.uint64(7), n)),
            pa.array(at.astype(np.uint64) * np.uint64(1_000_003)),
            pa.array((at % 2).astype(np.int32)),
            pa.array((at // 2).astype(np.int32)),
            pa.array(np.zeros(n, bool)),
        ],
        schema=BAND,
    )
    found = {}
    blocks = (1, 8, candidates.BLOCK)
    for block in blocks:
        monkeypatch.setattr(candidates, "BLOCK", block)
        groups = candidates._CandidatePairs().work((0, [bands]))
        rows = []
        for number, batch in groups:
            split, part = number >> 32, number & 0xFFFFFFFF
            assert {ordinal // block for ordinal in batch["left_ordinal"].to_pylist()} == {part}
            rows += [(split, *row.values()) for row in batch.to_pylist()]
        assert len({number for number, _ in groups}) == len(groups)
        found[block] = sorted(rows)
        assert (len(groups) > 2) == (block < blocks[-1])
    assert found[1] == found[8] == found[blocks[-1]]
    assert len(found[1]) >= n - 1


@pytest.mark.parametrize("n_splits", [1, 16, 300, 5_000])
def test_what_is_shuffled_between_splits_is_few_batches(n_splits: int) -> None:
    """A batch costs the engine the same whether it has a row or a thousand, and each split may have one for each part."""
    splits = Splits(Split(number, 0, (), 8 << 20) for number in range(n_splits))
    corpus = Corpus((), splits, SignalStore("nowhere", ()))
    parts = candidates.partitions(corpus)
    assert parts <= max(8, n_splits / 16)
    assert (n_splits - 1) // candidates.splits_together(corpus) < parts
