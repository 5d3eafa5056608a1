"""The signal store over several runs: nothing that failed, was damaged or was edited is taken for the truth."""

import json
import os
import pathlib

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import runner
from pipeline.commands.plan import plan_mixture
from pipeline.recipe import Recipe, load_recipe
from transforms.ingest import decompress, readers
from transforms.measures.kept_vocabularies import VOCABULARIES
from transforms.mixture.left_by_dedup import DECISIONS, OFFER
from transforms.release.earlier_shards import SHARDS
from transforms.release.earlier_texts import PLACES
from transforms.release.kept_measures import MEASURES
from transforms.release.ledger import PART
from transforms.signals.beginnings import TEXTS
from transforms.survey import text_to_signals

QUIET = Console(file=open(os.devnull, "w"))  # noqa: SIM115 (it lives as long as the tests)
TEXT = "It is asked to lose nothing. {}."


def recipe_in(folder: pathlib.Path, release: str, **changes: object) -> Recipe:
    data = {
        "release": release,
        "sources": [{"name": "s", "path": "in", "origin": "human"}],
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "ingest": {"max_bad_fraction": 1, "split_bytes": 1},
        "output": {"path": "out"},
        **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return load_recipe(str(folder / "recipe.yaml"))


def run(folder: pathlib.Path, release: str, **changes: object) -> runner.Result:
    recipe = recipe_in(folder, release, **changes)
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def shards(result: runner.Result) -> list[list]:
    """The rows of every shard, without the release's own name."""
    return [pq.read_table(path).to_pylist() for path in sorted(pathlib.Path(result.folder, "data").iterdir())]


@pytest.fixture
def corpus(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "in").mkdir()
    for file in range(3):
        texts = [" ".join(f"word{(31 * file + 7 * i + 3 * k * k) % 997}" for k in range(40)) for i in range(5)]
        rows = [{"id": f"{file}-{i}", "text": TEXT.format(text)} for i, text in enumerate(texts)]
        (tmp_path / "in" / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were surveyed, and not found in the store."""
    found: list[str] = []
    below = text_to_signals.survey_split

    def noted(split, *rest):  # type: ignore[no-untyped-def]
        found.extend(os.path.basename(piece.path) for piece in split.pieces)
        return below(split, *rest)

    monkeypatch.setattr(text_to_signals, "survey_split", noted)
    return found


def stored(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / "out" / ".signals").glob("*.parquet"))


def signals_in(folder: pathlib.Path) -> set[pathlib.Path]:
    """What the survey left in the store, and not what later stages keep there."""
    later = (DECISIONS, MEASURES, OFFER, PART, PLACES, SHARDS, TEXTS, VOCABULARIES)
    return {path for path in stored(folder) if path.suffixes[0].strip(".") not in later}


@pytest.mark.slow
def test_an_increment_surveys_what_is_new_and_little_else(tmp_path: pathlib.Path, surveyed: list[str]) -> None:
    """A file before all others, in splits of about five files: a few neighbours are read with it, and no other text."""
    (tmp_path / "in").mkdir()

    def add(name: str) -> int:
        text = "".join(
            json.dumps({"id": f"{name}-{i}", "text": TEXT.format(f"{name} {i}" * 9)}) + "\n" for i in range(3)
        )
        return (tmp_path / "in" / name).write_text(text)

    sizes = {f"{n:02}.jsonl": add(f"{n:02}.jsonl") for n in range(60)}
    changes = {"ingest": {"max_bad_fraction": 1, "split_bytes": 5 * sizes["00.jsonl"]}}
    run(tmp_path, "one", **changes)
    assert sorted(surveyed) == sorted(sizes)
    surveyed.clear()
    sizes |= {"00-new.jsonl": add("00-new.jsonl")}
    result = run(tmp_path, "two", **changes)
    assert "00-new.jsonl" in surveyed
    assert sum(sizes[name] for name in surveyed) < 0.25 * sum(sizes.values())
    assert result.counts["documents_in"] == 3 * len(sizes)


@pytest.mark.slow
def test_every_kind_of_damage_to_every_file_of_the_store_heals_by_itself(
    corpus: pathlib.Path, surveyed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    remove = {"dedup": {"paragraphs": {"remove": True, "max_documents": 2}}}
    expected = shards(run(corpus, "a", **remove))
    assert sorted(surveyed) == ["0.jsonl", "1.jsonl", "2.jsonl"]
    surveyed.clear()
    assert shards(run(corpus, "b", **remove)) == expected
    assert surveyed == []
    # Paragraphs, signals, quarantine, decisions, offers, parts of the ledger, places of texts; measures, shards, vocabularies.
    assert len(stored(corpus)) == 7 * 3 + 3
    for number, path in enumerate(stored(corpus)):
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 4
        path.write_bytes([bytes(data), b"", data[: len(data) // 2]][number % 3])
    assert shards(run(corpus, "c", **remove)) == expected
    said = "\n".join(caplog.messages)
    assert all(path.name in said for path in stored(corpus) if "offer" not in path.name and "quarantine" in path.name)
    caplog.clear()
    surveyed.clear()
    assert shards(run(corpus, "d", **remove)) == expected
    assert (surveyed, caplog.messages) == ([], [])


@pytest.mark.slow
def test_a_file_that_could_not_be_opened_once_is_read_the_next_time(
    corpus: pathlib.Path, surveyed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shards(run(corpus, "whole", output={"path": "elsewhere"}))
    opened = decompress.open_for_reading

    def broken(path, *rest, **more):  # type: ignore[no-untyped-def]
        if path.endswith("1.jsonl"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest, **more)

    remove = {"dedup": {"paragraphs": {"remove": True, "max_documents": 2}}}
    removed = shards(run(corpus, "removed", output={"path": "elsewhere"}, **remove))
    for release, changes, expected in (("a", {}, whole), ("b", remove, removed)):
        with monkeypatch.context() as patch:
            patch.setattr(decompress, "open_for_reading", broken)
            first = run(corpus, release, **changes)
        assert first.counts["quarantined"] == 1
        recipe = recipe_in(corpus, release + "2", **changes)
        assert '"documents":15' in plan_mixture(
            recipe, runner.prepare(recipe, str(corpus)), QUIET, ["source"], "json"
        ).text.replace(" ", "")  # not from what dedup left of two files
        surveyed.clear()
        second = run(corpus, release + "2", **changes)
        assert "quarantined" not in second.counts or not second.counts["quarantined"]
        assert shards(second) == expected


@pytest.mark.slow
def test_an_edit_that_keeps_size_and_time_is_seen(corpus: pathlib.Path, surveyed: list[str]) -> None:
    run(corpus, "a")
    surveyed.clear()
    path = corpus / "in" / "1.jsonl"
    before, text = os.stat(path), path.read_text()
    path.write_text(text.replace("lose nothing", "keep secrets").replace("nothing", "secrets"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (os.stat(path).st_size, os.stat(path).st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    result = run(corpus, "b")
    assert surveyed == ["1.jsonl"]
    assert sum("keep secrets" in row["text"] for rows in shards(result) for row in rows) == 5


@pytest.mark.slow
def test_signals_of_another_text_are_found_out_and_running_again_helps(
    corpus: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that does not tell of the edit at all."""
    monkeypatch.setattr("transforms.ingest.listing.fingerprint", lambda found: "the same")
    run(corpus, "a")
    path = corpus / "in" / "1.jsonl"
    path.write_text(path.read_text().replace("lose nothing", "keep secrets"))
    other = {
        "output": {"path": "out", "keep": ["title"]}
    }  # or the shards of `a`, of what was surveyed, would be copied
    with pytest.raises(runner.RunError, match=r"1\.jsonl.* is not what the survey read; run again"):
        run(corpus, "b", **other)
    assert any("keep secrets" in row["text"] for rows in shards(run(corpus, "b", **other)) for row in rows)


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    corpus: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = readers._read_together

    def grown(files, reader):  # type: ignore[no-untyped-def]
        yield from below(files, reader)
        for job, _ in files:
            with open(job.piece.place, "a") as file:
                file.write("\n")

    monkeypatch.setattr(readers, "_read_together", grown)
    with pytest.raises(runner.RunError, match=r"jsonl changed while the run was going; run again"):
        run(corpus, "a")
    assert not [path for path in stored(corpus) if "quarantine" not in path.name]
