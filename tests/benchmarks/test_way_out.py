"""The benchmark of the ways out: real passages whose truth only their ids know; a run that is not refused is said to be none."""

import json
import pathlib
import pydoc_data.topics
import sys
from importlib import resources

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm

from benchmarks import way_out


@pytest.fixture
def data(tmp_path: pathlib.Path) -> str:
    human = sorted(pydoc_data.topics.topics.values())[:60]
    lines = (resources.files("pipeline.commands") / "demo_machine.jsonl").read_text().splitlines()
    machine = [json.loads(line)["text"] for line in lines]
    folder = tmp_path / "data"
    folder.mkdir()
    labels = ["human"] * len(human) + ["ai"] * len(machine)
    pq.write_table(pa.table({"text": [*human, *machine], "label": labels}), folder / "data.parquet")
    return str(folder)


def test_passages_are_the_text_in_pieces() -> None:
    text = " ".join(f"word{i}" for i in range(400))
    pieces = list(way_out.passages(text))
    assert " ".join(pieces) == text
    assert all(way_out.PASSAGE * 0.5 <= len(piece) <= way_out.PASSAGE * 1.6 for piece in pieces)


@pytest.mark.slow
def test_a_run_that_is_not_refused_is_no_way_out(
    data: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", warm.executable(str(tmp_path / "python")))
    given = [data, str(tmp_path / "out"), "--documents", "300", "--limit", "1.0"]
    assert way_out.main(given) == 1
    said = capsys.readouterr().out
    assert "$ lowbackground run recipe.yaml --replace\n  exit code 0" in said
    assert said.endswith("The run was not refused.\n")
    release = tmp_path / "out" / "out" / "mixed"
    ids = pq.read_table(release / "data", columns=["input_id"])["input_id"].to_pylist()
    by = {name: sum(one.startswith(name) for one in ids) for name in ("human-web", "human-library", "machine-")}
    assert min(by.values()) > 0
    assert sum(by.values()) == len(ids)
    assert by["human-web"] > 4 * by["human-library"]
    assert 0 < way_out.truth(release) < 0.2
