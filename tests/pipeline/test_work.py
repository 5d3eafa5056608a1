"""How much work a run does, counted and not timed: what is read and written, how often, what is parsed one by one, what compiled.

And the quick ways give what the slow ways give: the same documents, the same figures, the same bytes.
"""

import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.ingest import readers
from transforms.ingest.json_columns import SHOWN_LINES, ColumnReader
from transforms.kernels.compiled import n_compiled
from transforms.kernels.similarity import duplicate_rate
from transforms.kernels.statistics import diversity
from transforms.signals import store
from transforms.survey import text_to_signals
from transforms.survey.text_to_signals import HeadSample

QUIET = Console(file=open(os.devnull, "w"))  # noqa: SIM115 (it lives as long as the tests)
FILES, DOCUMENTS, BLOCK = 2, 3000, 1 << 20
WORDS = (
    "harbour",
    "lamp",
    "boat",
    "letter",
    "garden",
    "winter",
    "ladder",
    "engine",
    "window",
    "bridge",
    "market",
    "river",
)


def text(number: int) -> str:
    """Some sixty words; one document in ten is nearly the one before it."""
    own = number - (number % 10 == 9)
    words = [WORDS[(own * own + 7 * own + 3 * k * k + k * own) % 12] + str((own * k) % 23) for k in range(60)]
    return " ".join(words[: 60 - (number % 10 == 9)]) + "."


class Work(NamedTuple):
    """What a run did."""

    folder: pathlib.Path
    parsed: int  # lines, one by one
    read: int  # bytes of the input
    compiled: int


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "in").mkdir()
    for file in range(FILES):
        of_file = range(file * DOCUMENTS, (file + 1) * DOCUMENTS)
        lines = [json.dumps({"id": str(number), "text": text(number)}) + "\n" for number in of_file]
        (folder / "in" / f"{file}.jsonl").write_text("".join(lines))
    return folder


def work(corpus: pathlib.Path, release: str, output: str, share: float = 1.0) -> Work:
    recipe = {
        "release": release,
        "sources": [{"name": "s", "path": "in", "origin": "human"}],
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "ratio": {"max_synthetic_share": share},
        "output": {"path": output},
    }
    (corpus / "recipe.yaml").write_text(json.dumps(recipe))
    before, parsed, read = n_compiled()[0], [0], [0]
    loads, chunks = orjson.loads, readers.chunks

    def counted_loads(line: bytes) -> object:
        parsed[0] += sys._getframe(1).f_globals["__name__"].startswith("transforms.ingest.")
        return loads(line)

    def counted_chunks(*asked: object) -> Iterator[bytes]:
        for chunk in chunks(*asked):
            read[0] += len(chunk)
            yield chunk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers.orjson, "loads", counted_loads)
        patch.setattr(readers, "chunks", counted_chunks)
        recipe = load_recipe(str(corpus / "recipe.yaml"))
        result = runner.run(recipe, runner.prepare(recipe, str(corpus)), QUIET)
    assert result.exit_code == runner.PASSED
    return Work(pathlib.Path(result.folder), parsed[0], read[0], n_compiled()[0] - before)


@pytest.fixture(scope="module")
def first(corpus: pathlib.Path) -> Work:
    return work(corpus, "first", "out")


def size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_run_reads_its_input_twice_and_hardly_a_line_by_itself(corpus: pathlib.Path, first: Work) -> None:
    once = size(corpus / "in")
    # Once more up to the documents that the report shows; and the beginning, line by line, to see which columns there are.
    assert 2 * once <= first.read <= 3 * once + BLOCK
    blocks = 3 * (once / BLOCK + 2 * FILES)
    assert first.parsed <= blocks * SHOWN_LINES + BLOCK / (once / (FILES * DOCUMENTS))


def test_a_run_writes_no_more_of_a_document_than_its_signals_and_its_text(corpus: pathlib.Path, first: Work) -> None:
    documents = FILES * DOCUMENTS
    assert size(corpus / "out" / ".signals") < 2000 * documents  # of 60 words, and nearly half of them sampled
    assert size(first.folder / "data") < size(corpus / "in") / 2
    assert size(first.folder / "signatures") < 600 * documents


def test_another_ratio_surveys_nothing_and_compiles_nothing(corpus: pathlib.Path, first: Work) -> None:
    second = work(corpus, "second", "out", 0.5)
    assert second.read <= 2 * size(corpus / "in") + BLOCK  # to write the release; and as above
    assert second.compiled == 0


def test_the_quick_ways_give_what_the_slow_ways_give(
    corpus: pathlib.Path, first: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ColumnReader, "read", lambda self, block: None)  # line by line
    monkeypatch.setattr(HeadSample, "thinned", lambda self, signals: signals)
    monkeypatch.setattr(store, "ROW_GROUP_BYTES", 1 << 16)
    for module in (duplicate_rate, diversity, text_to_signals):
        monkeypatch.setattr(module, "distinct_numbers", np.unique)
    slow = work(corpus, "first", "slow")
    assert slow.parsed >= 2 * FILES * DOCUMENTS > 5 * first.parsed
    for name in ("data", "ledger", "signatures", "metrics.parquet", "sketches.parquet"):
        ours, theirs = (pq.read_table(one.folder / name) for one in (first, slow))
        assert ours.num_rows > 0
        assert ours.equals(theirs), name
