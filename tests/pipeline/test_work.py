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
from pipeline.commands import init
from pipeline.reading import summary
from pipeline.recipe import load_recipe
from transforms.ingest import decompress, listing, readers
from transforms.ingest.json_columns import SHOWN_LINES, ColumnReader
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, plan_splits
from transforms.kernels.compiled import n_compiled
from transforms.kernels.similarity import duplicate_rate
from transforms.kernels.statistics import diversity
from transforms.signals import store
from transforms.survey import text_to_signals
from transforms.survey.text_to_signals import HeadSample

QUIET = Console(file=open(os.devnull, "w"))  # noqa: SIM115 (it lives as long as the tests)
FILES, DOCUMENTS, BLOCK = 2, 3000, 1 << 20
MANY = 300
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


class Looks(NamedTuple):
    """How often the file system was asked."""

    listed: list[str]  # folders
    looked_at: list[int]  # inodes of files that a listing finds
    asked: list[str]  # paths, of anything else
    opened: list[str]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    found = Looks([], [], [], [])
    scandir, look, opens = os.scandir, listing.fingerprint, decompress.open_for_reading
    monkeypatch.setattr(os, "scandir", lambda folder: (found.listed.append(str(folder)), scandir(folder))[1])
    monkeypatch.setattr(listing, "fingerprint", lambda one: (found.looked_at.append(one.st_ino), look(one))[1])
    monkeypatch.setattr(decompress, "open_for_reading", lambda path: (found.opened.append(path), opens(path))[1])
    for name, status in (("stat", os.stat), ("lstat", os.lstat)):
        asks = lambda path, status=status, **how: (found.asked.append(str(path)), status(path, **how))[1]  # noqa: E731
        monkeypatch.setattr(os, name, asks)
    return found


@pytest.mark.parametrize("command", ["init", "check", "check beside a release"])
def test_of_many_files_each_is_looked_at_once_and_few_are_opened(
    command: str, tmp_path: pathlib.Path, looks: Looks
) -> None:
    for number in range(MANY):
        (tmp_path / "laws" / f"law {number}").mkdir(parents=True)
        (tmp_path / "laws" / f"law {number}" / "act.jsonl").write_text(json.dumps({"text": text(number)}) + "\n")
    if command == "init":
        init.write_recipe([str(tmp_path / "laws")], str(tmp_path / "recipe.yaml"))
    else:
        (tmp_path / "recipe.yaml").write_text("{release: r, sources: [{name: s, path: laws}], output: {path: out}}")
        recipe = load_recipe(str(tmp_path / "recipe.yaml"))
        if command != "check":
            (tmp_path / "out" / "r").mkdir(parents=True)  # what is read may be a link into it
        summary.checked(recipe, runner.prepare(recipe, str(tmp_path)))
    of_input = [folder for folder in looks.listed if "/law" in folder]
    assert len(set(of_input)) == MANY + 1
    assert len(of_input) <= MANY + 2  # the top once more, to see which folders there are
    assert len(looks.looked_at) == len(set(looks.looked_at)) == MANY
    assert 0 < len(looks.opened) < MANY / 4  # the samples, more than once
    asked = 2 * MANY if command == "check beside a release" else 0  # each file and each folder, whether it is a link
    assert sum("/law" in path for path in looks.asked) - asked < MANY / 4  # of what is opened


def test_small_files_are_opened_once_when_they_are_read(tmp_path: pathlib.Path, looks: Looks) -> None:
    for number in range(MANY):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps({"text": text(number)}) + "\n")
    source = Source(name="s", path=str(tmp_path))
    batches = [batch for split in plan_splits([source]) for batch, _ in readers.read_split(split, source, ReadLimits())]
    assert sum(batch.num_rows for batch in batches) == len(looks.opened) == MANY
    assert sum(path.endswith(".jsonl") for path in looks.asked) == MANY  # that it is no FIFO


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
