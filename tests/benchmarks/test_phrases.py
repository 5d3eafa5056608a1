"""The benchmark of phrases counts what is there, and its intervals are Clopper and Pearson's."""

import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import phrases


def test_it_counts(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [
        "As an AI language model, I cannot know.",
        "Plain text.",
        "Plain text again.",
        "As an AI model, I think so.",
    ]
    table = pa.table({"text": texts, "label": ["ai", "ai", "human", "ai"], "language": ["en", "de", None, "en"]})
    pq.write_table(table, tmp_path / "data.parquet")
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["phrases", str(tmp_path), "--json", str(out)])
    phrases.main()
    found = json.loads(out.read_text())
    assert found["human/all"] == [0, 1]
    assert found["machine/all"] == [2, 3]
    assert found["machine/en"] == [2, 2]
    assert "en-as-an-ai" in capsys.readouterr().out


def test_its_intervals() -> None:
    assert phrases.interval(0, 59)[1] == pytest.approx(1 - 0.025 ** (1 / 59))  # nothing found: in closed form
    assert phrases.interval(59, 59)[0] == pytest.approx(0.025 ** (1 / 59))
    assert phrases.interval(0, 10)[0] == 0
    assert phrases.interval(10, 10)[1] == 1


def test_batches_are_the_column() -> None:
    text = pa.array(["x" * 300_000] * 9 + ["", "y"], pa.large_string()).slice(1)
    parts = phrases.batches(text)
    assert len(parts) > 1
    assert pa.concat_arrays(parts).equals(text)
