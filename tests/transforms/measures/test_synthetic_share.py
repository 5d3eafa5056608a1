"""What counts how in the synthetic share: settled text as what it is, dated text by its prior, the rest by the estimate."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from expectations import contracts
from expectations.contracts import BASES, ORIGINS
from transforms.detector.detector import load_detector
from transforms.ingest.sources import Source
from transforms.kernels.choosing import evidence
from transforms.measures import metrics
from transforms.measures.synthetic_share import shares as shares_of
from transforms.measures.tally import NEEDED as SIGNALS_NEEDED
from transforms.measures.tally import Tally, merge, tally_split
from transforms.mixture.balance import Rule, mix
from transforms.mixture.config import RatioConfig
from transforms.mixture.left_by_dedup import FROM_SIGNALS, offer

Row = tuple[str, str, int, int]  # origin, basis, tokens, prior
DETECTOR = load_detector()


def decisions(rows: list[Row], conflict: int = 0) -> pa.RecordBatch:
    n = len(rows)
    nothing = dict.fromkeys(contracts.DECISION.schema.names, np.zeros(n, np.int32))
    ids = [number.to_bytes(16, "big") for number in range(n)]
    return contracts.DECISION.batch(
        {
            **nothing,
            "doc_id": ids, "survivor_id": ids, "kept": np.ones(n, bool), "cluster_size": np.ones(n, np.int32),
            "origin": [ORIGINS.index(row[0]) for row in rows], "origin_basis": [BASES.index(row[1]) for row in rows],
            "n_tokens": [row[2] for row in rows], "machine_prior": [row[3] for row in rows],
            "evidence": np.full(n, conflict, np.int32),
            "similarity": pa.nulls(n, pa.float32()), "earlier_id": pa.nulls(n, pa.binary()),
            "p_synthetic": pa.nulls(n, pa.float32()),
        }
    )  # fmt: skip


def tally(rows: list[Row], conflict: int = 0) -> Tally:
    schema = contracts.signals(8).schema
    n = len(rows)
    columns = {}
    for name in SIGNALS_NEEDED:
        field = schema.field(name)
        blank = {contracts.HASH: b"\0" * 16, pa.binary(): b"", pa.string(): ""}
        plain = blank.get(field.type, 0)
        columns[name] = pa.nulls(n, field.type) if field.nullable else pa.array([plain] * n, field.type)
    return tally_split(decisions(rows, conflict), pa.table(columns))


def shares(rows: list[Row]) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    found = shares_of(tally(rows), ("one",), DETECTOR)
    return {
        (row["metric"].rpartition(".")[2], row["stage"]): (row["value"], row["upper"])
        for row in found
        if row["slice_kind"] == "overall" and row["metric"] in ("synthetic_share.tokens", "synthetic_share.documents")
    }


@pytest.mark.parametrize("basis", [BASES[basis] for basis in contracts.SETTLED])
@pytest.mark.parametrize("stage", ["before", "after"])
def test_text_whose_origin_is_settled_counts_as_what_it_is(basis: str, stage: str) -> None:
    found = shares([("synthetic", basis, 30, 0), ("human", "declared", 70, 0)])
    assert found["tokens", stage] == (pytest.approx(0.3), pytest.approx(0.3))
    assert found["documents", stage] == (0.5, 0.5)


@pytest.mark.parametrize("stage", ["before", "after"])
def test_dated_text_counts_as_human_but_for_its_prior(stage: str) -> None:
    found = shares([("human", "date", 600, 50), ("human", "date", 200, 150), ("synthetic", "declared", 200, 0)])
    assert found["tokens", stage] == (pytest.approx(0.2 + 0.6 * 0.005 + 0.2 * 0.015),) * 2
    assert found["documents", stage] == (pytest.approx((1 + 0.005 + 0.015) / 3),) * 2


def test_a_prior_adds_to_the_bound_of_the_rest() -> None:
    unknown: list[Row] = [("unknown", "none", 100, 0)]
    found = shares([*unknown, ("human", "declared", 100, 0)])["tokens", "after"]
    dated = shares([*unknown, ("human", "date", 100, 100)])["tokens", "after"]
    assert dated[1] == pytest.approx(found[1] + 0.5 * 0.01)


def test_the_cut_counts_what_the_share_counts() -> None:
    """So that a release which is cut to its limit is within it."""
    rows: list[Row] = [("human", "date", 999, 50), ("human", "declared", 500, 0), ("synthetic", "credential", 100, 0)]
    rule = Rule.of(RatioConfig(), (Source(name="one", path="x"),), "salt", None)

    def offered(some: list[Row]) -> pa.RecordBatch:
        schema = contracts.signals(8).schema
        return offer(
            decisions(some), pa.table({name: pa.nulls(len(some), schema.field(name).type) for name in FROM_SIGNALS})
        )

    whole = mix([offered(rows)], rule)
    assert (whole.real, whole.available, whole.taken) == (1499, 100, 100)
    assert whole.hidden == 5  # 4.995, rounded up
    for some in itertools.permutations(rows):
        parts = mix([offered([row]) for row in some], rule)
        assert (parts.real, parts.available, parts.hidden) == (1499, 100, 5)


def test_priors_of_parts_add_up() -> None:
    rows: list[Row] = [("human", "date", 10 * number, 50) for number in range(1, 5)]
    total = merge([tally(rows[:1]), merge([tally(rows[1:3]), Tally(), tally(rows[3:])])])
    assert {key: sums.tolist() for key, sums in total.dated.items()} == {(0, "unknown", 0): [200, 5000]}


def test_conflicts_are_counted_by_kind_and_by_source() -> None:
    code = int(
        evidence.say(contracts.BASIS_DECLARED, np.array([1]))[0]
        | evidence.say(contracts.BASIS_BOILERPLATE, np.array([2]))[0]
    )
    agreed, disputed = tally([("human", "declared", 10, 0)] * 3), tally([("human", "declared", 10, 0)], code)
    found = list(metrics._conflicts(merge([agreed, disputed]), ("one",)))
    for stage in ("before", "after"):
        values = {(row["metric"], row["slice"]): row["value"] for row in found if row["stage"] == stage}
        assert values["origin.conflicts", ""] == values["origin.conflicts", "one"] == 1
        assert values["origin.conflict_rate", "one"] == 0.25
        assert values["origin.conflicts", "declared/boilerplate"] == 1
    assert [row["value"] for row in metrics._conflicts(Tally(), ("one",)) if row["slice_kind"] == "overall"] == [
        0,
        None,
    ] * 2
