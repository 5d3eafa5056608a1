"""`explain` on real releases: the texts are found, compared, shown harmlessly, and missed politely."""

import gzip
import json
import pathlib
import re
import subprocess
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm
from rich.cells import cell_len
from rich.console import Console

from pipeline import runner
from pipeline.commands.explain import explain_document
from pipeline.reading.text_similarity import alike
from pipeline.recipe import load_recipe
from transforms.dedup.candidates import DedupConfig

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
HOSTILE = "\x1b[31mred\x1b[0m \u202eesrever\u202c \x07 :smile: [bold]b[/bold]\rover"


def text(topic: str, words: int = 300) -> list[str]:
    return [f"{topic}{n * n % 293}" if n % 3 else f"common{n}" for n in range(words)]


def records() -> tuple[list[dict], list[dict]]:
    """What a gzipped JSONL file and a Parquet file hold."""
    first = [{"id": f"d{n}", "created": "2020-01-01", "text": " ".join(text(f"topic{n}x"))} for n in range(12)]
    near = text("topic1x")
    near[60] = HOSTILE
    second = [
        {"id": "copy", "text": "\n  " + " ".join(text("topic0x")).upper()},
        {"id": "near", "text": " ".join(near[:-20])},  # without a date: the other one survives
        {"id": "tiny1", "text": "two words"},
        {"id": "tiny2", "text": "Two  Words"},
        {"id": "twice", "text": " ".join(text("twice"))},
        {"id": "twice", "text": " ".join(text("twice"))},
    ]
    return first, second


def build(folder: pathlib.Path, extra: Sequence[dict] = (), **changes: object) -> runner.Result:
    first, second = records()
    first += extra
    (folder / "data").mkdir()
    (folder / "data" / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, first)).encode()))
    pq.write_table(pa.Table.from_pylist(second), folder / "data" / "b.parquet", row_group_size=2)
    recipe = {
        "release": "small",
        "sources": [{"name": "data", "path": "data", "origin": "human"}],
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": "out"},
        **changes,
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(loaded, runner.prepare(loaded, str(folder)), QUIET)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> runner.Result:
    return build(tmp_path_factory.mktemp("explain"))


def dropped(folder: str, *ids: str) -> str:
    """Which of some documents was dropped as a duplicate."""
    paths = sorted(pathlib.Path(folder, "ledger").glob("*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return next(row["input_id"] for row in rows if row["input_id"] in ids and row["stage"] == "dedup")


def test_a_near_duplicate_is_shown_beside_its_survivor(released: runner.Result) -> None:
    said = explain_document(released.folder, "near")
    assert "reason near_duplicate" in said
    like = alike(records()[0][1]["text"], records()[1][1]["text"], DedupConfig())
    assert like is not None
    assert 0.8 <= like.estimated < 1
    assert f"{like.estimated:.3f} estimated" in said
    assert f"{like.exact:.3f} exact: {like.shared} shingles shared" in said
    assert "this document's from the input, the survivor's from the release" in said
    assert "[-\\x1b[31mred" in said
    assert "\\u202eesrever" in said
    assert re.search(r"│.*\{\+common60\+\}", said)
    assert re.search(r"\[\.\.\. \d+ words \.\.\.\]", said)
    assert "\n\n" in said


def test_the_exact_similarity_is_that_of_the_sets() -> None:
    """Against sets of tuples of words, made without any kernel."""
    one, other = records()[0][1]["text"], " ".join(records()[0][1]["text"].split()[:-20] + ["tail"] * 12)
    sets = [{tuple(words[n : n + 5]) for n in range(len(words) - 4)} for words in (one.split(), other.split())]
    found = alike(one, other, DedupConfig())
    assert found is not None
    assert found.distinct == (len(sets[0]), len(sets[1]))
    assert found.shared == len(sets[0] & sets[1])
    assert found.exact == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    assert found.estimated == pytest.approx(found.exact, abs=0.15)


def test_the_ends_of_a_chain_do_not_stand_for_each_other(tmp_path: pathlib.Path) -> None:
    """Each link is like the next one, the ends are not alike: who is dropped is like the document that it is dropped for."""
    words = text("chain")
    chain = [
        {"id": f"link{n}", "created": f"20{10 + n}-01-01", "text": " ".join(words[12 * n : 12 * n + 200])}
        for n in range(5)
    ]
    folder = build(tmp_path, extra=chain).folder
    said = {n: explain_document(folder, f"link{n}", texts=False) for n in range(5)}
    assert "reason near_duplicate" in said[1]
    assert "  kept" in said[4] or "  kept" in said[3]
    for one in said.values():
        if "reason near_duplicate" in one:
            assert float(re.search(r"(0\.\d+) seen by the run", one)[1]) >= 0.8


def test_an_exact_duplicate_and_texts_without_shingles(released: runner.Result) -> None:
    said = explain_document(released.folder, dropped(released.folder, "copy", "d0"))
    assert "1.000 estimated: 112 of 112" in said
    assert "1.000 exact" in said
    tiny = explain_document(released.folder, dropped(released.folder, "tiny1", "tiny2"))
    assert "too short for shingles of 5 words" in tiny
    assert "Two" in tiny.partition("┼")[2]


def test_the_same_record_twice_and_a_kept_document_have_no_second_text(released: runner.Result) -> None:
    assert "the same record once more" in explain_document(released.folder, "twice")
    for document in ("twice", "d5"):
        assert "┼" not in explain_document(released.folder, document)


def test_a_survivor_that_a_limit_dropped_is_not_said_to_be_kept(tmp_path: pathlib.Path) -> None:
    """Half of the documents go for a limit of the mixture, and with them survivors of duplicates."""
    twins = [{"id": f"twin{n}", "text": " ".join(text(f"topic{n}x")).title()} for n in range(12)]
    folder = build(tmp_path, twins, ratio={"size": 6, "unit": "documents"}).folder
    rows = [row for path in sorted(pathlib.Path(folder, "ledger").iterdir()) for row in pq.read_table(path).to_pylist()]
    by_id = {row["id"]: row for row in rows if row["stage"] != "dedup"}
    duplicates = [row for row in rows if row["reason"] == "exact_duplicate" and row["survivor_id"] != row["id"]]
    fates = {by_id[row["survivor_id"]]["kept"] for row in duplicates}
    assert fates == {True, False}
    for row in duplicates:
        said, survivor = explain_document(folder, row["id"]), by_id[row["survivor_id"]]
        sentence = said.splitlines()[1]
        if survivor["kept"]:
            assert "is kept instead" in sentence
            assert "│ survivor, kept" in said
            continue
        assert "was chosen instead, and then dropped as well [stage dedup, reason exact_duplicate]" in sentence
        why = "dropped: past the cut that keeps a limit of the mixture"
        assert f"  survivor    {row['survivor_id']} (input id {survivor['input_id']!r}): {why}" in said
        assert "[stage balance, reason over_limit]" in said
        assert "│ survivor, dropped as well" in said
        assert "survivor, kept" not in said


def test_no_text_leaves_the_texts_out_and_width_is_kept(released: runner.Result) -> None:
    said = explain_document(released.folder, "near", texts=False)
    assert "exact" in said
    assert "┼" not in said
    for width in (20, 61, 200):
        shown = explain_document(released.folder, "near", width).partition("\n\n")[2]
        assert max(map(cell_len, shown.splitlines())) <= width


def test_a_rejected_run_has_no_shards_and_takes_both_texts_from_the_input(tmp_path: pathlib.Path) -> None:
    suite = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1000}]}
    result = build(tmp_path, expectations=suite, ingest={"split_bytes": 2000})
    assert result.exit_code == runner.FAILED
    said = explain_document(result.folder, "near")
    assert "the survivor's from the input" in said
    assert "{+common60+}" in said
    (tmp_path / "data" / "a.jsonl.gz").unlink()
    assert "the survivor's cannot be shown: no such file" in explain_document(result.folder, "near")


def test_input_that_is_gone_or_changed_is_one_plain_line(tmp_path: pathlib.Path) -> None:
    folder = build(tmp_path).folder
    changed = pa.Table.from_pylist([{"id": "near", "text": "something else"}])
    pq.write_table(changed, tmp_path / "data" / "b.parquet")
    said = explain_document(folder, "near").splitlines()[-1]
    assert "this document's cannot be shown" in said
    assert "is not what the run read" in said
    (tmp_path / "data" / "b.parquet").write_bytes(b"no parquet")
    assert "cannot be shown" in explain_document(folder, "near").splitlines()[-1]
    (tmp_path / "data" / "b.parquet").unlink()
    assert "no such file" in explain_document(folder, "near").splitlines()[-1]
    pathlib.Path(folder, "recipe.yaml").write_text("[")
    said = explain_document(folder, "near")
    assert "recipe.yaml, line 2: not YAML" in said.splitlines()[-1]
    assert "reason near_duplicate" in said


def test_a_damaged_shard_is_no_reason_to_give_up(tmp_path: pathlib.Path) -> None:
    folder = build(tmp_path).folder
    for shard in pathlib.Path(folder, "data").iterdir():
        shard.write_bytes(b"PAR1 damaged PAR1")
    assert "the survivor's from the input" in explain_document(folder, "near")


def test_what_the_run_saw_is_shown_and_an_unknown_reason_is_no_bug(tmp_path: pathlib.Path) -> None:
    """Ledgers of later versions may have more reasons."""
    folder = build(tmp_path).folder
    for path in pathlib.Path(folder, "ledger").iterdir():
        table = pq.read_table(path)
        rows = [row | {"similarity": 0.875, "reason": row["reason"] and "unheard_of"} for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    said = explain_document(folder, "near")
    assert "0.875 seen by the run" in said
    assert "reason unheard_of" in said
    assert "┼" in said


@pytest.mark.slow
def test_the_command_prints_no_control_character_wherever_it_is_run(tmp_path: pathlib.Path) -> None:
    """With relative paths in the recipe, from the folder of the run and from another one."""

    def cli(folder: pathlib.Path, *args: str) -> subprocess.CompletedProcess[bytes]:
        command = [*warm.python(), "-m", "pipeline.cli", *args]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False)

    build(tmp_path)
    ran = cli(tmp_path, "run", "recipe.yaml", "--replace")
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "elsewhere").mkdir()
    for folder, release in ((tmp_path, "out/small"), (tmp_path / "elsewhere", "../out/small/")):
        explained = cli(folder, "explain", release, "near", "--width", "90")
        assert explained.returncode == 0, explained.stderr
        said = explained.stdout.decode()
        assert said.replace("\n", "").isprintable()
        assert ":smile:" in said
        assert "[bold]b[/bold]" in said
        assert "┼" in said
    assert "┼" not in cli(tmp_path, "explain", "out/small", "near", "--no-text").stdout.decode()
    assert cli(tmp_path, "explain", "out/small", "near", "--width", "5").returncode == 2
