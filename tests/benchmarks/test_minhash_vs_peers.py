"""The comparison of MinHash: every way is measured, on the same documents; how quick each is, is not tested."""

import importlib.util
import json
import pathlib
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm

from benchmarks.minhash_vs_peers import sample
from benchmarks.rensa_peer import shingles

ROOT = pathlib.Path(__file__).parents[2]
TEXTS = [" ".join(f"word{at * n % 97} of {n}" for n in range(20)) for at in range(30)]


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.table({"text": TEXTS[:20], "language": ["en"] * 20}), folder / "a.parquet")
    pq.write_table(pa.table({"text": [*TEXTS[20:], None], "language": ["zh"] * 11}), folder / "b.parquet")
    return folder


def test_every_way_is_measured(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    command = [
        *warm.python(),
        "-m",
        "benchmarks.minhash_vs_peers",
        data,
        "--repeat",
        "1",
        "--json",
        tmp_path / "out.json",
    ]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["documents"], found["bytes"]) == (30, sum(map(len, TEXTS)))
    has_rensa = importlib.util.find_spec("rensa") is not None
    for rates in found["megabytes_per_second"].values():
        assert {name.split()[1].strip(",") for name in rates} == {
            "ours",
            "datasketch",
            *(["rensa"] if has_rensa else []),
        }
        assert all(rate > 0 and name in printed for name, rate in rates.items())


def test_a_sample_is_whole_documents_of_one_language(data: pathlib.Path) -> None:
    assert sorted(sample(data, 1, "en").to_pylist()) == sorted(TEXTS[:20])
    assert sorted(sample(data, 1, None).to_pylist()) == sorted(TEXTS)
    few = sample(data, 0.002, None).to_pylist()
    assert set(few) < set(TEXTS)
    assert sum(map(len, few)) <= 2000


def test_shingles_are_of_five_words() -> None:
    assert shingles("A b  c\nD e F") == ["a b c d e", "b c d e f"]
    assert shingles("a b c d") == []
