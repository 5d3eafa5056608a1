"""The tally of the whole is that of its parts, in whatever order and splits they come: what it says of paragraphs."""

import dataclasses
import functools
import random
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import contracts, wording
from transforms.detector.detector import load_detector
from transforms.kernels.text import paragraphs
from transforms.measures import metrics
from transforms.measures.metrics import metrics_table
from transforms.measures.tally import NEEDED, Tally, compact, merge, tally_split
from transforms.origin.witnesses import EvidenceConfig, load_witnesses
from transforms.survey import text_to_signals

EVIDENCE = EvidenceConfig()
CONFIG = text_to_signals.SurveyConfig(None, "words", EVIDENCE, ngram=5, num_perm=8)
SOURCES = ("one", "two")


def filled(contract: contracts.Contract, n: int, **columns: object) -> pa.RecordBatch:
    """A batch of `n` rows in which only some columns matter."""
    zeros = {f.name: pa.nulls(n, f.type) for f in contract.schema if f.nullable}
    for f in contract.schema:
        if not f.nullable:
            plain = {contracts.HASH: b"\0" * 16, pa.bool_(): False}.get(f.type)
            text = "" if pa.types.is_string(f.type) or pa.types.is_large_string(f.type) else 0
            zeros[f.name] = pa.array([text if plain is None else plain] * n, f.type)
    return contract.batch(zeros | {k: pa.array(v, contract.schema.field(k).type) for k, v in columns.items()})


@functools.cache
def loaded() -> tuple[Any, Any]:
    """Once: a tally of ten documents takes less time than this."""
    return text_to_signals.load_detectors(CONFIG), load_witnesses(EVIDENCE)


def tally(rows: list[tuple[str, bool, int]]) -> Tally:
    """Of documents (text, kept, source), as the survey and the decisions would have it."""
    values = [row[0] for row in rows]
    documents = filled(contracts.DOCUMENT, len(rows), text=values)
    signals = text_to_signals.measure_documents(documents, CONFIG, *loaded(), text_to_signals.HeadSample())
    decisions = filled(
        contracts.DECISION,
        len(rows),
        kept=[row[1] for row in rows],
        reason=[0 if row[1] else contracts.REASONS.index("near_duplicate") for row in rows],
        source=[row[2] for row in rows],
        n_tokens=signals["n_tokens"].to_pylist(),
    )
    return tally_split(decisions, pa.table(signals).select(NEEDED))


def said(total: Tally) -> list[dict]:
    return list(metrics._paragraphs(total, SOURCES))


def words(total: Tally) -> str:
    """In which no number is equal to no number."""
    return repr(said(total))


line = st.integers(0, 40).map(lambda i: f"{i} b c d e f g h")
document = st.lists(line, max_size=5).map("\n".join)
rows = st.lists(st.tuples(document, st.booleans(), st.integers(0, 1)), min_size=1, max_size=12)


@pytest.mark.parametrize("most", [1 << 20, 2])
@given(rows=rows, size=st.integers(1, 12), seed=st.integers(0, 9))
def test_order_and_splits_change_nothing(most: int, rows: list[tuple[str, bool, int]], size: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paragraphs, "MOST_TYPES", most)
        whole = words(merge([tally(rows)]))
        shuffled = random.Random(seed).sample(rows, len(rows))
        parts = [tally(shuffled[at : at + size]) for at in range(0, len(rows), size)]
        half = compact(merge(parts[: len(parts) // 2]), tightly=True)
        assert words(merge([half, *parts[len(parts) // 2 :], Tally()])) == whole
        assert words(merge([merge([Tally(), part]) for part in parts[::-1]])) == whole


def test_the_numbers_by_hand() -> None:
    seen = [f"{i} b c d e f g h" for i in range(400)]
    sampled = [one for one in seen if len(paragraphs.find(pa.array([one], pa.large_string())).hashes)]
    a, b, c, d = sampled[:4]
    total = tally(
        [
            (f"{a}\n{b}\n{a}", True, 0),  # 24 tokens, 8 repeated
            (f"{a}\nshort\n{c}", True, 1),  # 17 tokens
            (f"{a}\n{d}\n{d}\n{d}", False, 1),  # 32 tokens, 16 repeated
        ]
    )
    found = {(r["metric"].split(".")[1], r["stage"], r.get("slice", "")): r["value"] for r in said(merge([total]))}
    assert found == {
        ("repeated_within", "before", ""): 24 / 73,
        ("repeated_within", "before", "one"): 8 / 24,
        ("repeated_within", "before", "two"): 16 / 49,
        ("repeated_within", "after", ""): 8 / 41,
        ("repeated_within", "after", "one"): 8 / 24,
        ("repeated_within", "after", "two"): 0.0,
        ("repeated_across", "before", ""): 3 / 6,
        ("repeated_across", "after", ""): 2 / 4,
        ("most_documents", "before", ""): 3,
        ("most_documents", "after", ""): 2,
    } | {("removed_tokens", stage, name): 0.0 for stage in ("before", "after") for name in ("", "one", "two")}


def test_nothing_is_unmeasured() -> None:
    for row in said(Tally()):
        assert row["value"] is None or np.isnan(row["value"])


def test_where_there_is_no_number_the_note_says_why() -> None:
    """And not what it would be a number of: "could not be measured: of the sampled documents" says nothing."""
    rows = metrics_table(Tally(), (), load_detector(None)).to_pylist()
    unmeasured = [row for row in rows if row["value"] is None]
    assert len(unmeasured) > 50
    for row in unmeasured:
        sentence = wording.unmeasured("It", row["note"])
        assert re.match(r"It could not be measured: (no|nothing|there is no|no reason) ", sentence), (
            row["metric"],
            sentence,
        )
        assert "no reason was recorded" not in sentence, row["metric"]


@pytest.mark.parametrize(
    ("declared", "words", "asked", "found"),
    [
        ([contracts.HUMAN, contracts.SYNTHETIC], 120, 0, [False, False]),
        ([contracts.UNKNOWN, contracts.HUMAN], 120, 2, [True, False]),
        ([contracts.UNKNOWN, contracts.UNKNOWN], 20, 0, [False, False]),  # too short for a score
    ],
)
def test_a_second_detector_is_asked_only_where_an_origin_may_rest_on_the_first(declared, words, asked, found):
    first, second = text_to_signals.load_detectors(CONFIG)
    texts = []

    class Counting:
        experts = second.model.experts

        def scores(self, of, tokens):
            texts.extend(of.to_pylist())
            return second.model.scores(of, tokens)

    sentence = (
        "The committee met on Tuesday to discuss the state of the bridge, and it was decided that it would be closed. "
    )
    documents = filled(contracts.DOCUMENT, 2, text=[sentence * (words // 20)] * 2, declared_origin=declared)
    loaded = (first, dataclasses.replace(second, model=Counting())), load_witnesses(EVIDENCE)
    signals = text_to_signals.measure_documents(documents, CONFIG, *loaded, text_to_signals.HeadSample())
    assert len(texts) == asked
    assert (
        signals["check_score"].is_valid().to_pylist()
        == found
        == [band >= 0 for band in signals["check_band"].to_pylist()]
    )
