"""The benchmark corpus: the same bytes every time, and duplicates that are what planted.json says."""

import gzip
import json
import pathlib
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm

from benchmarks.corpus import Originals, documents, jaccard, near

ROOT = pathlib.Path(__file__).parents[2]


def sentence(at: int, n: int) -> str:
    return f"Sentence {n} of document {at} speaks of {at * 7919 % 997} ships and {n * 31 % 89} harbours near {at}."


TEXTS = [" ".join(sentence(at, n) for n in range(12)) for at in range(80)]


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, part in (("a", TEXTS[:50]), ("b", TEXTS[50:])):
        pq.write_table(pa.table({"text": part, "label": ["human"] * len(part)}), folder / f"{name}.parquet")
    return folder


def make(data: pathlib.Path, out: pathlib.Path) -> dict[str, bytes]:
    command = [*warm.python(), "-m", "benchmarks.corpus", str(data), str(out), "--documents", "400", "--files", "3"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_two_makings_are_the_same_bytes(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first, second = make(data, tmp_path / "one"), make(data, tmp_path / "two")
    assert sorted(first) == ["part-000.jsonl.gz", "part-001.jsonl.gz", "part-002.jsonl.gz", "planted.json"]
    assert first == second


def test_what_is_written_is_what_planted_says(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    files = make(data, tmp_path / "out")
    summary = json.loads(files.pop("planted.json"))
    rows = [json.loads(line) for file in files.values() for line in gzip.decompress(file).splitlines()]
    texts = {row["id"]: row["text"] for row in rows}
    assert len(rows) == len(texts) == summary["documents"] == 400
    assert sum(len(text.encode()) for text in texts.values()) == summary["text_bytes"]
    planted = {plant["id"]: plant for plant in summary["planted"]}
    assert {plant["kind"] for plant in planted.values()} == {"near", "copy", "recased"}
    assert 0.07 < len(planted) / 400 < 0.17
    for plant in planted.values():
        copy, original = texts[plant["id"]], texts[plant["of"]]
        assert plant["of"] not in planted
        assert plant["jaccard"] == pytest.approx(jaccard(original, copy), abs=1e-4)
        assert {"near": copy != original, "copy": copy == original, "recased": copy.strip() == original.upper()}[
            plant["kind"]
        ]


@pytest.mark.slow
def test_originals_beyond_the_real_documents_are_not_duplicates() -> None:
    """Three times as many originals as real documents: none equals another, nor is near another."""
    originals = Originals(TEXTS)
    made = [originals[at] for at in range(3 * len(TEXTS))]
    assert len(set(made)) == len(made)
    assert max(jaccard(one, other) for at, one in enumerate(made) for other in made[:at]) < 0.7


def test_every_real_document_is_whole_in_one_original() -> None:
    originals = Originals(TEXTS)
    made = [originals[at] for at in range(len(originals.groups))]
    assert [sum(text in one for one in made) for text in TEXTS] == [1] * len(TEXTS)


@pytest.mark.parametrize("key", range(40))
def test_a_near_duplicate_differs_and_is_near(key: int) -> None:
    for text in (
        TEXTS[key],
        "这是一个关于港口和船只的文档，" * 3 + f"编号{key}。" + "".join(chr(0x4E00 + 7 * i) for i in range(80)),
    ):
        edited = near(text, key)
        assert edited != text
        assert 0.3 < jaccard(text, edited) < 1


def test_a_duplicate_is_never_of_a_duplicate() -> None:
    plants = [plant for _, _, plant in documents(Originals(TEXTS), 500) if plant]
    assert plants
    assert all(str(plant["of"]).startswith("original-") for plant in plants)
