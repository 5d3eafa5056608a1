"""Examples of dropped documents: both texts with what differs marked, without what may not be shown or is gone."""

import json
import pathlib

import pyarrow as pa
import pytest

from expectations import contracts
from pipeline.advice import examples as advice
from pipeline.advice.examples import EACH, WORDS, examples
from transforms.ingest.sources import Source, Splits, plan_splits
from transforms.release.ledger import Recorded
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, write_parquet

TEXTS = {
    "kept": "the river runs through the old town and under the stone bridge",
    "near": "the river runs through the new town and under the stone bridge \u202e",
    "loud": "THE RIVER runs through the old town and under the stone bridge",
    "gone": "a secret that somebody asked to be forgotten",
    "sold": "text under a licence that is not allowed",
    "long": "word " * 5000,
}
REASONS = {
    "near": "near_duplicate",
    "loud": "exact_duplicate",
    "gone": "withdrawn",
    "sold": "licence",
    "long": "over_limit",
}


@pytest.fixture
def made(tmp_path: pathlib.Path) -> tuple[Corpus, Recorded]:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in TEXTS.items()))
    source = Source(name="web", path=str(path))
    corpus = Corpus((source,), Splits(tuple(plan_splits((source,), 1 << 20))), SignalStore("", ()))
    documents = [row for batch, _ in corpus.read(corpus.split(0)) for row in batch.to_pylist()]
    ids = {row["id"]: row["doc_id"].hex() for row in documents}
    rows = []
    for at, name in enumerate(TEXTS):
        dedup = name in ("near", "loud")
        values = {
            "id": ids[name], "input_id": name, "source": "web", "path": str(path), "row": at, "kept": name == "kept",
            "stage": "dedup" if dedup else None, "reason": REASONS.get(name), "survivor_id": ids["kept" if dedup else name],
            "similarity": 0.9 if dedup else None, "cluster_id": "00", "cluster_size": 1, "copies": 0, "n_tokens": 9,
            "removed_tokens": 0, "origin": "human", "origin_basis": "declared", "evidence": "", "licence": "unknown",
        }  # fmt: skip
        empty = {field.name: None if field.nullable else 0 for field in contracts.LEDGER.schema}
        rows.append({**empty, **values})
    ledger = tmp_path / "ledger.parquet"
    write_parquet(str(ledger), [pa.RecordBatch.from_pylist(rows, contracts.LEDGER.schema)], contracts.LEDGER.schema)
    return corpus, Recorded(0, str(ledger), len(rows), 1, 9)


def test_both_texts_are_shown_and_what_differs_is_marked(made: tuple[Corpus, Recorded]) -> None:
    corpus, recorded = made
    found = {one["reason"]: one for one in examples(corpus, [recorded])}
    assert list(found) == [reason for reason in contracts.REASONS if reason in REASONS.values()]
    near = found["near_duplicate"]
    assert [words for words, differs in near["text"] if differs] == ["new", "\\u202e"]
    assert [words for words, differs in near["survivor"]["text"] if differs] == ["old"]
    assert not [words for words, differs in found["exact_duplicate"]["text"] if differs], "case is no difference"
    long = found["over_limit"]
    assert (long["survivor"], len(long["text"][0][0].split()), long["text"][1]) == (None, WORDS, ("…", False))


def test_what_a_split_begins_with_is_shown_first(
    made: tuple[Corpus, Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that little is read; a duplicate is as far behind as its survivor."""
    monkeypatch.setattr(advice, "BLOCK", 3)
    rows = advice._rows([made[1]])
    first, last = rows["id"][0].as_py(), rows["id"][5].as_py()
    reason = pa.array(["near_duplicate"] * 4 + [None, None])
    survivor = pa.array([last, first, first, first, first, last])
    for name, column in (("reason", reason), ("survivor_id", survivor)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    assert sorted(row["ordinal"] for row in advice._of_reason(rows, "near_duplicate")) == [1, 2]


def test_what_may_not_be_shown_has_no_text(made: tuple[Corpus, Recorded]) -> None:
    shown = examples(made[0], [made[1]])
    assert {one["reason"] for one in shown if one["text"] is None} == {"withdrawn", "licence"}
    assert "forgotten" not in json.dumps(shown)


def test_an_input_that_is_gone_costs_the_texts_and_not_the_run(made: tuple[Corpus, Recorded]) -> None:
    corpus, recorded = made
    pathlib.Path(str(corpus.sources[0].path)).unlink()
    found = examples(corpus, [recorded])
    assert len(found) == len(REASONS)
    assert {one["text"] for one in found} == {None}
    assert examples(corpus, []) == []
    assert max(sum(one["reason"] == reason for one in found) for reason in REASONS.values()) <= EACH
