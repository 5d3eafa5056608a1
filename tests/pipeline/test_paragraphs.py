"""Planted paragraphs are found again by a whole run, in the numbers that were planted."""

import collections
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.kernels.text import paragraphs

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)


def is_sampled(line: str) -> bool:
    return len(paragraphs.find(pa.array([line], pa.large_string())).hashes) == 1


def words(seed: int, n: int) -> str:
    """Words that no other seed has."""
    return " ".join(f"w{seed}x{i}" for i in range(n))


BANNER = next(words(10**6 + i, 12) for i in range(100) if is_sampled(words(10**6 + i, 12)))


def corpus() -> dict[str, list[str]]:
    """300 documents of six paragraphs of their own and: a banner, paragraphs in two documents, and within one; 20 copies."""
    documents = {f"d{d}": [words(100 * d + p, 10 + p) for p in range(6)] for d in range(300)}
    for d in range(0, 300, 6):
        documents[f"d{d}"].insert(0, BANNER)
    for d in range(0, 200, 2):
        documents[f"d{d + 1}"].append(documents[f"d{d}"][3])
    for d in range(0, 300, 5):
        documents[f"d{d}"] += [documents[f"d{d}"][2].upper()] * 2
        documents[f"d{d}"] += ["too short to count"] * 3
    for d in range(20):
        documents[f"copy{d}"] = documents[f"d{d}"]
    return documents


def expected(documents: list[list[str]]) -> dict[str, float]:
    """The three numbers by plain counting; across documents of what the sample holds."""
    tokens = repeated = 0
    seen: collections.Counter[str] = collections.Counter()
    for lines in documents:
        own: set[str] = set()
        for line in lines:
            n = len(line.split())
            tokens += n
            if n >= paragraphs.MIN_TOKENS:
                repeated += n if line.lower() in own else 0
                own.add(line.lower())
        seen.update(line for line in own if is_sampled(line))
    return {
        "paragraphs.repeated_within": repeated / tokens,
        "paragraphs.repeated_across": sum(n for n in seen.values() if n > 1) / seen.total(),
        "paragraphs.most_documents": max(seen.values()),
    }


@pytest.mark.parametrize("end", ["\n", "\r\n\r\n"])
def test_planted_paragraphs_are_counted_exactly(tmp_path: pathlib.Path, end: str) -> None:
    documents = corpus()
    (tmp_path / "corpus").mkdir()
    for part in range(3):
        records = [{"id": name, "text": end.join(lines)} for name, lines in list(documents.items())[part::3]]
        (tmp_path / "corpus" / f"{part}.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    recipe = {
        "release": "test",
        "sources": [{"name": "planted", "path": "corpus/*", "origin": "human"}],
        "expectations": {
            "expectations": [
                {"expect": "metric_to_be_between", "metric": "paragraphs.most_documents", "max": 50},
                {"expect": "metric_to_be_between", "metric": "paragraphs.repeated_within", "max": 0.5},
            ]
        },
        "output": {"path": "out"},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(tmp_path / "recipe.yaml"))
    result = runner.run(loaded, runner.prepare(loaded, str(tmp_path)), QUIET)
    assert result.exit_code == runner.PASSED

    rows = [r for r in pq.read_table(f"{result.folder}/metrics.parquet").to_pylist() if r["slice_kind"] == "overall"]
    found = {(r["metric"], r["stage"]): r["value"] for r in rows if r["metric"].startswith("paragraphs.")}
    ledger = pa.concat_tables([pq.read_table(path) for path in pathlib.Path(result.folder, "ledger").glob("*.parquet")])
    kept = [documents[row["input_id"]] for row in ledger.to_pylist() if row["kept"]]
    assert len(kept) == 300
    for stage, members in (("before", list(documents.values())), ("after", kept)):
        for metric, value in expected(members).items():
            assert found[metric, stage] == pytest.approx(value, rel=1e-12), (metric, stage)
    assert found["paragraphs.most_documents", "after"] == 50
    page = next(pathlib.Path(result.folder, "report").glob("*.html")).read_text()
    assert "Repeated paragraphs" in page
    assert "<b>50</b> in the release, 54 as read" in page
