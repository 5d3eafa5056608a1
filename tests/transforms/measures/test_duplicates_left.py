"""Near duplicates that are left, as the tally counts them: by stage, and by slices of the release."""

import numpy as np
import pyarrow as pa
import pytest
from small_sets import planted

from expectations import contracts
from transforms.kernels.similarity import duplicate_rate
from transforms.kernels.text.columns import packed
from transforms.measures import duplicates_left as residual
from transforms.measures.duplicates_left import count_split, residual_rows
from transforms.measures.tally import Tally, compact, merge

SOURCES = ("one", "two")


def flat(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, sets)]).astype(np.int64)
    return offsets, np.array([h for one in sets for h in sorted(one)], np.uint32)


def counted(kept: list[bool], deduplicated: list[bool], source: list[int], n_shingles: list[int] | None = None) -> dict:
    """By (stage, slice), the rows of 300 documents, each with a duplicate: the one behind it."""
    n = len(kept)
    sets = [one for one in planted(1, n // 2, 0) for _ in range(2)]
    sets = sets if n_shingles is None else [set() for _ in n_shingles]
    some = np.flatnonzero([bool(one) for one in sets])
    signals = pa.table({"trace": packed(*duplicate_rate.packed(*flat(sets), some))})
    stage = [contracts.STAGES.index("balance" if one else "dedup") for one in deduplicated]
    decisions = pa.record_batch(
        {
            "doc_id": pa.array([number.to_bytes(8) * 2 for number in range(n)], contracts.HASH),
            "kept": kept,
            "stage": pa.array(stage, pa.int8()),
            "reason": pa.array([0] * n, pa.int8()),
            "source": pa.array(source, pa.int16()),
            "origin": pa.array([contracts.HUMAN] * n, pa.int8()),
            "origin_basis": pa.array([0] * n, pa.int8()),
        }
    )
    rows = residual_rows(count_split(decisions, signals), SOURCES, 0.8)
    return {(row["stage"], row.get("slice", "")): row for row in rows}


def test_a_reader_sees_what_each_stage_left() -> None:
    """Every document has its duplicate; dedup leaves 100 pairs of 300, and the mixture one of each of these."""
    n = 600
    found = counted(
        kept=[row < 200 and row % 2 == 0 for row in range(n)],
        deduplicated=[row < 200 or row % 2 == 0 for row in range(n)],
        source=[row % 2 for row in range(n)],
    )
    assert found["before", ""]["value"] == 1
    assert found["deduplicated", ""]["value"] == pytest.approx(200 / 400)
    assert found["after", ""]["value"] == 0
    assert found["after", ""]["upper"] > 0.01, "100 documents do not say that there is none"
    assert {name for stage, name in found if stage == "after"} == {"", "human", "one"}


def test_one_source_may_repeat_another() -> None:
    """All of the second is in the first, and the first has as much again."""
    n = 800
    found = counted([row % 2 == 0 or row < 400 for row in range(n)], [True] * n, [row % 2 for row in range(n)])
    assert found["after", "two"]["value"] == 1
    assert found["after", "one"]["value"] == pytest.approx(0.5)
    assert found["after", "one"]["n"] == 400


def test_documents_without_shingles_are_not_alike() -> None:
    """They have no trace."""
    found = counted([True] * 4, [True] * 4, [0] * 4, [0] * 4)
    assert found["after", ""]["n"] == 0
    assert np.isnan(found["after", ""]["value"])


def gathered(seen: duplicate_rate.Traces, rows: np.ndarray) -> duplicate_rate.KinByStage:
    """Every other one is of two stages."""
    names = rows.astype(np.uint64)
    mark, at = np.zeros(len(rows), np.int32), (rows % 2).astype(np.int8)
    return duplicate_rate.gather(seen.take(rows), names, mark, at, 2)


def test_parts_are_brought_together_before_there_are_many() -> None:
    seen = duplicate_rate.traces(*flat(planted(1, 200, 0)))
    one = gathered(seen, np.arange(200))
    parts = [one]
    for _ in range(60):
        parts = residual.compact([*parts, one])
    merged, beside = 200 * duplicate_rate.MEMBERS, 2 * duplicate_rate.GROUPS + 200
    assert sum(len(part.of) for part in parts) <= merged + beside
    assert residual.compact(parts, tightly=True)[0].documents[0].sum() == 61 * 200


def test_a_tally_of_parts_has_the_groups_of_the_whole() -> None:
    """Through the merging of tallies, in parts and the other way round."""
    seen = duplicate_rate.traces(*flat([one for one in planted(1, 100, 0) for _ in range(2)]))
    halves = [np.arange(120), np.arange(120, 121), np.arange(121, 200)]
    parts = [Tally(kin=[gathered(seen, half)]) for half in halves]
    whole = gathered(seen, np.arange(200))
    for order in (parts, parts[::-1]):
        (found,) = compact(merge([merge(order[:2]), Tally(), *order[2:]]), tightly=True).kin
        for stage in range(2):
            for mine, theirs in zip(found.of_stage(stage), whole.of_stage(stage), strict=True):
                assert (mine == theirs).all()
