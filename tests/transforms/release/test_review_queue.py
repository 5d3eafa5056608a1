"""The review queue: a bounded choice by hash, the same whatever the order, of documents that nobody has judged."""

import hashlib
import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts
from expectations.contracts import HUMAN, SYNTHETIC
from transforms.kernels.choosing import evidence
from transforms.release.review_queue import DISPUTED, FirstFn, disputed, first


def code(**said: int) -> int:
    return int(sum(evidence.say(contracts.BASES.index(name), np.array([origin]))[0] for name, origin in said.items()))


BY_DETECTOR = code(declared=HUMAN, detector=SYNTHETIC)
BY_PHRASE = code(declared=HUMAN, boilerplate=SYNTHETIC, detector=SYNTHETIC)


def decisions(*rows: tuple[int, str]) -> pa.RecordBatch:
    """DECISION of documents by (evidence, reason)."""
    n = len(rows)
    numbers = dict.fromkeys(contracts.DECISION.schema.names, np.zeros(n, np.int32))
    ids = [hashlib.blake2b(str(row).encode(), digest_size=16).digest() for row in range(n)]
    return contracts.DECISION.batch(
        {
            **numbers,
            "doc_id": ids, "survivor_id": ids, "kept": [reason == "" for _, reason in rows],
            "ordinal": np.arange(n), "evidence": [code for code, _ in rows],
            "reason": [contracts.REASONS.index(reason) for _, reason in rows],
            "similarity": pa.nulls(n, pa.float32()), "earlier_id": pa.nulls(n, pa.binary()),
            "p_synthetic": pa.nulls(n, pa.float32()),
        }
    )  # fmt: skip


def test_who_is_asked_about() -> None:
    rows = disputed(
        decisions(
            (BY_DETECTOR, ""),
            (BY_PHRASE, "over_synthetic_share"),
            (BY_DETECTOR, "near_duplicate"),  # its survivor stands for it
            (BY_DETECTOR, "empty_text"),
            (code(declared=SYNTHETIC, detector=HUMAN), ""),  # a miss of the detector
            (code(detector=SYNTHETIC, boilerplate=SYNTHETIC), ""),
            (BY_DETECTOR | code(reviewed=HUMAN), ""),  # judged already
        )
    )
    assert rows["ordinal"].to_pylist() == [0, 1]
    words = [evidence.CONFLICT_WORDS[number] for number in rows["conflict"].to_pylist()]
    assert words == ["declared/detector", "declared/boilerplate"]


MANY = disputed(decisions(*((BY_DETECTOR if number % 3 else BY_PHRASE, "") for number in range(60))))


def test_each_kind_has_its_number_and_the_more_telling_comes_first() -> None:
    queue = first(MANY, "salt", 5)
    words = [evidence.CONFLICT_WORDS[number] for number in queue["conflict"].to_pylist()]
    assert words == ["declared/boilerplate"] * 5 + ["declared/detector"] * 5
    assert queue["place"].to_pylist() == list(range(10))
    assert first(MANY, "salt", 0).num_rows == 0


def test_a_longer_queue_begins_with_the_shorter_one_and_the_salt_decides() -> None:
    def ids(salt: str, most: int) -> list[int]:
        queue = first(MANY, salt, most)
        return queue.filter(pa.array(queue["conflict"].to_numpy() == queue["conflict"].to_numpy().max()))[
            "ordinal"
        ].to_pylist()

    assert ids("salt", 9)[:5] == ids("salt", 5)
    assert ids("salt", 20) != ids("pepper", 20)
    assert sorted(ids("salt", 40)) == sorted(ids("pepper", 40))


@given(st.permutations(range(MANY.num_rows)), st.lists(st.integers(0, MANY.num_rows), max_size=4), st.integers(0, 30))
def test_the_choice_does_not_depend_on_order_or_parts(order: list[int], cuts: list[int], most: int) -> None:
    combine = FirstFn("salt", most)
    shuffled = MANY.take(pa.array(order))
    bounds = sorted({0, *cuts, len(order)})
    parts = [shuffled.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
    accumulators = [combine.add_input(combine.create_accumulator(), part) for part in parts]
    merged = combine.merge_accumulators([*accumulators, combine.create_accumulator()])
    assert combine.extract_output(merged).equals(first(MANY, "salt", most))


def test_nothing_to_ask() -> None:
    assert first(pa.RecordBatch.from_pylist([], schema=DISPUTED), "salt", 5).num_rows == 0
