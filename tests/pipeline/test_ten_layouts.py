"""One recipe over ten layouts at once: proposed by `init`, every record accounted for, released, and read back."""

import json
import pathlib
import subprocess

import duckdb
import layouts
import pyarrow.parquet as pq
import pytest
import warm
import yaml
import zstandard

from pipeline.reading.document_text import input_text, released_recipe
from transforms.release.read_release import read_manifest


def lowbackground(*args: object, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*warm.python(), "-m", "pipeline.cli", *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def proposed(tmp_path_factory):
    """The folder, what `init` said, and its recipe."""
    folder = tmp_path_factory.mktemp("ten")
    layouts.ten(folder / "data")
    done = lowbackground("init", "data", "-o", "recipe.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, yaml.safe_load((folder / "recipe.yaml").read_text())


def test_init_proposes_a_source_for_each_and_says_what_it_guessed(proposed):
    _, said, recipe = proposed
    names = ["array", "chat", "crawl", "hive", "packed", "parquet", "plain", "samples", "saved", "table"]
    assert [source["name"] for source in recipe["sources"]] == names
    by_name = {source["name"]: source for source in recipe["sources"]}
    assert by_name["plain"]["format"] == "text"
    assert by_name["table"]["fields"] == {"text": "passage"}
    for line in (
        "source plain: 24 files without an ending look like text, a file a document: read so (guessed by their first bytes)",
        "source table: text from `passage` (guessed: its values are the longest)",
        "data/table/a.csv is CSV with semicolons between values",
        "source chat: a conversation in `messages` is one document of unknown origin",
        "source hive: columns from the names of folders and files: `lang` (2 values, such as de), ",
        "source crawl: read as warc in gzip (1 file)",
        "could not read some of the first records of data/array/a.json: missing_text: no text",
    ):
        assert line in said, said


@pytest.fixture(scope="module")
def released(proposed):
    """The folder of a release by that recipe, with what a person would add to it."""
    folder, _, recipe = proposed
    for source in recipe["sources"]:
        if source["name"] == "chat":
            source |= {
                "turns": "apart",
                "roles": {"user": "human", "assistant": "synthetic"},
                "generator": "some-model",
            }
        else:
            source["origin"] = "human"
        if source["name"] == "table":
            source["fields"] = {"text": "passage", "created": "published"}
    recipe |= {
        "release": "ten",
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
    }
    recipe["ingest"] = {"max_bad_fraction": 0.1}
    recipe["output"]["keep"] = ["role", "year", "url"]
    (folder / "mine.yaml").write_text(json.dumps(recipe))
    done = lowbackground("run", "mine.yaml", "--set", "runner.workers=2", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "releases" / "ten", done.stdout


def test_every_record_is_accounted_for(released):
    folder, said = released
    turns = layouts.EACH  # a document more for each conversation
    counts = read_manifest(str(folder))[0]["counts"]
    assert counts["documents_in"] == 10 * layouts.EACH + turns
    bad = pq.read_table(folder / "quarantine").to_pylist()
    assert [(row["source"], row["row"], row["reason"], row["records"]) for row in bad if row["records"]] == [
        ("array", layouts.EACH, "missing_text", 1)
    ]
    assert "1 record is no document: warcinfo 1" in said
    verified = lowbackground("verify", folder, cwd=folder)
    assert "good: every byte and every document is accounted for" in verified.stdout
    assert verified.returncode == 0


def test_what_was_written_is_read_back(released):
    folder, _ = released
    rows = duckdb.sql(
        f"select source, text, origin, generator, language, url, role, year from '{folder}/data/*.parquet'"
    ).fetchall()
    ledger = duckdb.sql(f"select count(*) from '{folder}/ledger/*.parquet'").fetchall()
    assert ledger == [(11 * layouts.EACH,)]
    released = {source: {row[1] for row in rows if row[0] == source} for source in {row[0] for row in rows}}
    whole = {"array": 0, "table": 1, "samples": 2, "saved": 5, "packed": 6, "plain": 7, "parquet": 8, "hive": 9}
    for source, number in whole.items():
        assert released[source] <= set(layouts.texts(number))
        assert len(released[source]) >= layouts.EACH - 4  # the documentation repeats itself
    assert len(released["crawl"]) >= layouts.EACH - 4
    assert {row[5] for row in rows if row[0] == "crawl"} <= {f"http://x/{i}" for i in range(layouts.EACH)}
    assert {(row[6], row[2], row[3]) for row in rows if row[0] == "chat"} == {
        ("user", "human", None),
        ("assistant", "synthetic", "some-model"),
    }
    assert {(row[4], row[7]) for row in rows if row[0] == "hive"} == {("de", "2020"), ("en", "2020")}


def test_what_is_exported_is_read_back_too(released, tmp_path):
    """Every document of the ten layouts, once, with its text and its columns."""
    folder, _ = released
    done = lowbackground("export", str(folder), "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = b"".join(
        zstandard.ZstdDecompressor().stream_reader(path.open("rb")).readall() for path in exported(tmp_path)
    )
    columns = ("id", "text", "source", "origin", "role", "year", "url")
    back = sorted(tuple(row[name] for name in columns) for row in map(json.loads, lines.splitlines()))
    there = duckdb.sql(f"select {', '.join(columns)} from '{folder}/data/*.parquet' order by id").fetchall()
    assert back == there
    assert {row[2] for row in back} == {path.name for path in (folder.parent.parent / "data").iterdir()}


def exported(folder):
    return sorted((folder / "out").rglob("*.jsonl.zst"))


def test_a_text_is_found_again_in_the_input_by_its_path(released):
    """The file's place below its source is a part of the document's id."""
    folder, _ = released
    [row] = (
        duckdb.sql(f"select * from '{folder}/ledger/*.parquet' where input_id = '1/7-1'")
        .fetch_arrow_table()
        .to_pylist()
    )
    top = folder.parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        found = input_text(row, "releases/ten", released_recipe("releases/ten"))
        assert found == layouts.texts(7)[1]
        patch.chdir(top / "releases")
        assert input_text(row, "ten", released_recipe("ten")) == found


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_the_release_is_the_same_whatever_the_workers(released, workers):
    folder, _ = released
    top = folder.parent.parent
    out = f"releases-{workers}"
    done = lowbackground(
        "run", "mine.yaml", "--set", f"runner.workers={workers}", "--set", f"output.path={out}", cwd=top
    )
    assert done.returncode == 0, done.stderr
    first, again = (read_manifest(str(top / one / "ten"))[0]["files"] for one in ("releases", out))
    shown = [
        {one["path"]: one["sha256"] for one in files if one["path"].startswith(("data/", "ledger/"))}
        for files in (first, again)
    ]
    assert shown[0] == shown[1]
    assert len(shown[0]) >= 2
