"""The job graph is as large for a hundred thousand splits as for ten: what grows with the corpus lies in files of the run."""

import dataclasses
import hashlib
import json
import os
import pathlib
import pickle
import subprocess
import sys
from unittest import mock

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import engines, runner
from pipeline.graph import Job, build
from tests.pipeline.test_flow import corpus, read, recipe_in, run, write
from tests.pipeline.test_kept import STRUCTURES
from tests.pipeline.test_lost_rows import EVERYTHING
from transforms.engine import counted, staged
from transforms.engine.job_graph import JobGraph
from transforms.ingest.sources import Piece, Split, Splits

MOST_BYTES = 200_000  # some 370 transforms; engines take 10 MB and more


def of_splits(job: Job, n: int) -> Job:
    """The same job with so many splits, of files that nobody has."""
    size = 8 << 20
    pieces = (Piece(f"/corpus/part-{i:06d}.jsonl.gz", "jsonl", "gzip", size, f"{size}-{i}-{i}-{i}") for i in range(n))
    many = dataclasses.replace(job.corpus, splits=Splits(Split(i, 0, (piece,), size) for i, piece in enumerate(pieces)))
    return dataclasses.replace(job, corpus=many, publication=dataclasses.replace(job.publication, corpus=many))


def size_of_graph(folder: pathlib.Path, n: int, **changes: object) -> int:
    recipe = recipe_in(folder, **changes)
    job = of_splits(runner.prepare(recipe, str(folder)), n)
    names: dict[bytes, str] = {}

    def name_of(data: bytes) -> str:
        """As good as any, and the same for every n, as the folder is: they stand in each step, and some are compressed better."""
        return names.setdefault(data, hashlib.sha256(b"%d" % len(names)).hexdigest()[:32])

    with mock.patch.object(staged, "_name_of", name_of), staged.staging(str(folder / "graph")):
        root = JobGraph(options=engines.options(recipe, 1))
        build(root, job)
        root | "Counts" >> counted.Total(str(folder / "counts"))
        size = len(root.to_runner_api().SerializeToString())
    (folder / "graph").rename(folder / f"graph{n:06}")
    return size


ALL = {
    "dedup": EVERYTHING, "runner": {"dedup_parts": 8}, "personal_data": {"mask": ["email"]}, "evidence": {"queue": 5},
    "sources": [{"name": "topics", "path": "corpus/*", "fields": {"derived_from": "seed", "verifier": "judge"}}],
    "structures": ["structures.yaml"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"dedup": EVERYTHING}, ALL], ids=["plain", "everything", "in parts"])
def test_the_graph_of_many_splits_is_no_larger(changes: dict, tmp_path: pathlib.Path) -> None:
    """In a folder whose path, which stands in every step, is of 140 characters, wherever tests run."""
    folder = tmp_path / "f".ljust(139 - len(str(tmp_path)), "0")
    assert len(str(folder)) == 140
    write(folder / "corpus", corpus()[:30], files=2)
    (folder / "structures.yaml").write_text(json.dumps(STRUCTURES))
    few, more, most, many = (
        size_of_graph(folder, n, **changes) for n in (10, counted.FAN_OUT_FROM - 1, counted.FAN_OUT_FROM, 100_000)
    )
    assert abs(more - few) < 1000
    assert many < most + 1000  # it has no table of keys
    assert max(most, many) < MOST_BYTES  # groups are merged first, and labels are in parts, which is some steps more
    files = [path.stat().st_size for path in (folder / "graph100000").iterdir()]
    assert max(files) > 400_000  # there they are, once
    assert sum(size > 400_000 for size in files) == 1


def test_what_the_launcher_has_is_unfolded_by_the_workers_and_counted(tmp_path: pathlib.Path) -> None:
    many = Splits(Split(i, 0, (), i) for i in range(3000))
    with staged.staging(str(tmp_path)):
        root = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
        root | counted.Create("splits", many, Split) | counted.RowsOf("sizes", "sent", lambda split: split.n_bytes)
        root | "None" >> counted.Create("nothing", Splits(), Split)
        assert len(root.to_runner_api().SerializeToString()) < 30_000
        root | "Total" >> counted.Total(str(tmp_path / "counts"))
        root.run()
    found = counted.counts(str(tmp_path / "counts"))
    counted.check({"splits": found["splits"]}, {"splits": 3000, "nothing": 0})
    assert found["sizes"]["sent", "rows"] == sum(range(3000))
    with pytest.raises(counted.LostRowsError, match="splits: 3,001 elements went in and 3,000 came out"):
        counted.check({"splits": found["splits"]}, {"splits": 3001})


class Forgetful(dict):
    def __contains__(self, key: object) -> bool:
        return False


def test_a_run_that_reads_everything_from_its_files_gives_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker on another machine does: nothing is there but the files."""
    write(tmp_path / "corpus", corpus()[:60], files=3)
    first = run(tmp_path, release="here", dedup=EVERYTHING)
    read_back: list[str] = []
    below = staged._read
    monkeypatch.setattr(staged, "_held", Forgetful())
    monkeypatch.setattr(staged, "_read", lambda path: (read_back.append(path), below(path))[1])
    there = run(tmp_path, release="there", dedup=EVERYTHING)
    assert len(set(read_back)) > 5
    assert read(first.folder, "ledger").equals(read(there.folder, "ledger"))
    assert not list((tmp_path / "out").glob(".staging/*"))


def test_a_split_of_many_files_is_small_on_its_way() -> None:
    pieces = [Piece(f"folder-{i}/a.txt", "text", "", 2000 + i, f"{i * 7919}") for i in range(4000)]
    split = Split(0, 0, tuple(pieces), 1)
    coder = beam.coders.registry.get_coder(Split)
    assert coder.decode(coder.encode(split)) == split
    assert len(coder.encode(split)) < len(pickle.dumps(split)) / 3


class Value(staged.Staged):
    def __init__(self, name: str, inside: object = None) -> None:
        self.name, self.inside = name, inside


def test_a_value_is_a_file_once_and_only_while_a_run_is_staging(tmp_path: pathlib.Path) -> None:
    inner = Value("x" * 100_000)
    outer = Value("outer", inner)
    assert len(pickle.dumps(outer)) > 100_000
    with staged.staging(str(tmp_path)):
        data = pickle.dumps([outer, inner, outer])
        assert len(data) < 1000
        assert len(os.listdir(tmp_path)) == 2
        one, two, three = pickle.loads(data)
        assert one is outer
        assert two is inner
        assert three is outer
    one, two, three = pickle.loads(data)  # as a worker does
    assert (one.name, two.name, one.inside is two, one is three) == ("outer", inner.name, True, True)
    assert one is not outer
    assert len(pickle.dumps(one)) < 1000  # a worker of Beam's pickles each stage again
    assert pickle.loads(pickle.dumps([one, two])) == [one, two]


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_worker_that_cannot_read_it_says_so(how: str, tmp_path: pathlib.Path) -> None:
    with staged.staging(str(tmp_path)):
        data = pickle.dumps(Value("x"))
    (path,) = tmp_path.iterdir()
    path.unlink() if how == "gone" else path.write_bytes(b"other")
    words = "every worker sees it under the same name" if how == "gone" else "is not what the launcher wrote"
    with pytest.raises(staged.StagedError, match=words) as error:
        pickle.loads(data)
    assert str(path) in str(error.value)


@pytest.mark.slow
def test_relative_paths_are_the_launchers(tmp_path: pathlib.Path) -> None:
    """The release of a run in another folder than the recipe's has the paths as they are written, and is found all the same."""
    write(tmp_path / "corpus", corpus()[:40], files=2)
    recipe_in(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    code = """
import os, sys
from pipeline import runner
from pipeline.recipe import load_recipe
from rich.console import Console
recipe = load_recipe("recipe.yaml")
job = runner.prepare(recipe, ".")
below = runner.build
def build(root, job):
    made = below(root, job)
    os.chdir("elsewhere")  # where the workers work
    return made
runner.build = build
execute = runner.execute
def back(*args):
    execute(*args)
    os.chdir("..")
runner.execute = back
runner.run(recipe, job, Console(stderr=True))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())
    paths = set(read(str(tmp_path / "out" / "test"), "ledger")["path"].to_pylist())
    assert paths == {"corpus/part-000.jsonl.gz", "corpus/part-001.jsonl.gz"}
