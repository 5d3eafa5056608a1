"""A release held against an earlier one, and against its own human part, through the whole flow."""

import hashlib
import json
import pathlib

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from expectations import contracts
from pipeline import runner
from pipeline.commands.gate import judge_again
from pipeline.recipe import load_recipe
from transforms.ingest.sources import InputError

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
RANKS = 4000


def word(*parts: object) -> int:
    """A rank by Zipf's law (density 1 / rank), the same for the same parts."""
    draw = int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest(), "little") / 2**48
    return int(RANKS**draw)


def document(seed: str, number: int, most: int = RANKS) -> dict:
    """Words by Zipf's law; those beyond `most` are replaced by frequent ones, as truncated sampling does."""
    ranks = [word(seed, number, i) for i in range(120)]
    return {
        "id": f"{seed}{number}",
        "text": " ".join(f"w{r if r < most else r % 50 + 1}" for r in ranks),
        "language": "en",
    }


HUMAN = [document("a", n) | {"origin": "human"} for n in range(700)]
SAME = [document("b", n) | {"origin": "human"} for n in range(700)]
MACHINE = [document("c", n, most=300) | {"origin": "synthetic", "generator": "x"} for n in range(700)]


def run(folder: pathlib.Path, release: str, records: list[dict], **changes: object) -> runner.Result:
    (folder / f"{release}-corpus").mkdir()
    for part in range(2):
        (folder / f"{release}-corpus" / f"{part}.jsonl").write_text("\n".join(map(json.dumps, records[part::2])))
    asked = [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]
    data = {
        "release": release,
        "sources": [{"name": "web", "path": f"{release}-corpus/*"}],
        "ratio": {"max_synthetic_share": 1.0},
        "expectations": {"expectations": asked},
        "output": {"path": "out"},
        **changes,
    }
    (folder / f"{release}.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(folder / f"{release}.yaml"))
    return runner.run(recipe, runner.prepare(recipe, str(folder)), QUIET)


def numbers(result: runner.Result) -> dict:
    rows = runner.read_metrics(result.folder).to_pylist()
    found = {}
    for row in rows:
        if row["metric"].startswith(("reference.", "lexical.")):
            found[row["metric"].removeprefix("reference."), row["stage"], row["slice"]] = row
    return found


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("reference")
    assert run(folder, "first", HUMAN).exit_code == 0
    return folder


def test_a_release_of_the_same_kind_holds_its_own(releases: pathlib.Path) -> None:
    result = run(releases, "second", SAME, reference="first")  # by its name
    found = numbers(result)
    for metric in ("hill_0_1", "hill_1_1", "hill_2_1", "hill_1_2", "tail_types", "vendi_1", "vendi_inf"):
        row = found[metric, "after", ""]
        assert row["lower"] < row["value"] < row["upper"]
        assert row["value"] == pytest.approx(1, abs=0.06), metric
        assert "the release first" in row["note"]
    assert found["distance", "after", ""]["value"] < 0.01
    assert ("hill_1_1", "after", "web") in found


@pytest.mark.slow
def test_text_without_a_tail_is_told_apart_and_its_own_human_part_shows_whose_it_is(releases: pathlib.Path) -> None:
    result = run(releases, "third", SAME + MACHINE, reference="human_subset", expectations="mixed")
    said = {outcome.metric: outcome for outcome in result.verdict.expectations}
    assert said["reference.hill_1_1"].status == "fail"
    assert said["reference.hill_1_1"].severity == "warning"
    again, _ = judge_again(result.folder, None, ())
    assert [(o.metric, o.status) for o in again.expectations] == [
        (o.metric, o.status) for o in result.verdict.expectations
    ]
    found = numbers(result)
    assert found["hill_1_1", "after", ""]["upper"] < 0.6
    assert found["hill_0_1", "after", "synthetic"]["value"] < 0.2
    assert found["hill_0_1", "after", "human"]["value"] == pytest.approx(1, abs=1e-9)
    assert found["tail_types", "after", "synthetic"]["value"] < 0.2
    assert found["tail_mass", "after", "human"]["value"] == pytest.approx(1, abs=1e-9)
    assert found["distance", "after", "synthetic"]["value"] > 0.1
    assert found["vendi_1", "after", ""]["value"] < 1
    before = {name: found["lexical.hill_1_1", "before", name]["value"] for name in ("", "human", "synthetic")}
    assert before["synthetic"] < before[""] < before["human"] * 1.05


def test_the_sketches_are_small_hashed_and_whole(releases: pathlib.Path) -> None:
    release = releases / "out" / "first"
    manifest = json.loads((release / "MANIFEST.json").read_text())
    (entry,) = (e for e in manifest["files"] if e["path"] == "sketches.parquet")
    data = (release / "sketches.parquet").read_bytes()
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(data) < 4_000_000
    table = pq.read_table(release / "sketches.parquet")
    assert table.schema.names == contracts.SKETCHES.schema.names
    assert manifest["sketches"] == contracts.SKETCHES_FORM


def test_what_is_no_reference_is_refused_before_any_work(releases: pathlib.Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a release"):
        run(releases, "a", HUMAN, reference="nowhere")
    sketches = releases / "out" / "first" / "sketches.parquet"
    whole = sketches.read_bytes()
    sketches.write_bytes(whole[:-9] + b"123456789")
    with pytest.raises(InputError, match="is not the file that the release was published with"):
        run(releases, "b", HUMAN, reference="first")
    sketches.write_bytes(whole)
    manifest = releases / "out" / "first" / "MANIFEST.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"sketches": "1"', '"sketches": "0"'))
    with pytest.raises(InputError, match="make that release again"):
        run(releases, "c", HUMAN, reference="first")
    manifest.write_text(text)
