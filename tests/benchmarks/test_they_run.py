"""Every benchmark from its command line to its table, on next to nothing: a merge that breaks one breaks a test.

How quick anything is, is not tested. What a table counts is: its rows, and figures that follow from what was put in.
"""

import importlib.util
import json
import pathlib
import re
import runpy
import sys
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stores
import warm
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks import growth
from transforms.kernels.models.bytes_model import bits_per_byte
from transforms.kernels.text.columns import text_buffers
from transforms.measures.yardstick import read_yardstick

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"
ELSEWHERE = {  # whose command line is run by another test
    "byte_fitting": "../transforms/kernels/models/test_bytes_model.py",
    "topic_fitting": "../transforms/kernels/statistics/test_topics.py",
    "corpus": "test_corpus.py",
    "crash_matrix": "test_crash_matrix.py",
    "minhash_vs_peers": "test_minhash_vs_peers.py",
    "rensa_peer": "test_minhash_vs_peers.py",
    "phrases": "test_phrases.py",
    "way_out": "test_way_out.py",
    "detector_figures": "test_detector_figures.py",
    "fuzz_readers": "../transforms/ingest/test_fuzz.py",
}
VERBS = ("sees", "carries", "mends", "paints", "counts", "loses", "finds", "sells")
THINGS = ("boat", "lamp", "garden", "ladder", "window", "letter", "kettle", "bridge", "orchard", "engine")

Printed = Callable[..., str]


def text(number: int, machine: bool) -> str:
    """Fifteen sentences; a machine begins some of them in a way of its own."""
    out = []
    for at in range(15):
        n = number * 7919 + at * (3 + number % 5)
        start = "Moreover, it is important that" if machine and n % 3 == 0 else "Then"
        out.append(f"{start} she {VERBS[n % 8]} the {THINGS[n // 8 % 10]} {n % 101} beside a {THINGS[n // 80 % 10]}.")
    return " ".join(out)


def rows(source: str, language: str, domain: str, first: int, n: int) -> list[dict[str, str]]:
    half = [(first + i, i % 2 == 1) for i in range(n)]
    return [
        {"text": text(number, machine) + ("港口" * 40 if language == "zh" else ""), "label": "ai" if machine else "human",
         "source": source, "source_dataset": source, "language": language, "domain": domain, "attack": "",
         "generator": ("gpt-4", "claude")[number // 2 % 2] if machine else ""}
        for number, machine in half
    ]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of labelled Parquet files: two English sources, two Chinese ones, and one that nothing is trained on."""
    folder = tmp_path_factory.mktemp("data")
    for number, (name, language, domain) in enumerate(
        [("one", "en", "news"), ("two", "en", "tales"), ("three", "zh", "news"), ("four", "zh", "tales"),
         ("liang_bias", "en", "nonnative:toefl91")]
    ):  # fmt: skip
        pq.write_table(
            pa.Table.from_pylist(rows(name, language, domain, number * 1000, 120)), folder / f"{name}.parquet"
        )
    return folder


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> Printed:
    """What `python -m benchmarks.NAME ARGUMENTS` prints. The processes that it measures here have imported it all."""
    monkeypatch.setattr(sys, "executable", warm.executable(str(tmp_path / "python")))

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.chdir(FOLDER.parent)
        monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)  # another test may have imported it
        capfd.readouterr()
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
        return capfd.readouterr().out

    return run


@pytest.fixture
def corpus(data: pathlib.Path, printed: Printed, tmp_path: pathlib.Path) -> pathlib.Path:
    """Of `benchmarks.corpus`: 400 documents in three files."""
    said = printed("corpus", data, tmp_path / "corpus", "--documents", 400, "--files", 3)
    assert said.startswith("400 documents, ")
    return tmp_path / "corpus"


def cells(table: str) -> dict[str, list[str]]:
    """A Markdown table by its first column."""
    lines = [[one.strip() for one in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    return {line[0]: line[1:] for line in lines if not set(line[-1]) <= {"-", ":"}}


def test_no_benchmark_is_left_out() -> None:
    here = pathlib.Path(__file__).read_text()
    for path in FOLDER.glob("*.py"):
        there = ELSEWHERE.get(path.stem)
        if there:
            assert path.stem in (pathlib.Path(__file__).parent / there).read_text()
        else:
            assert f'"{path.stem}"' in here.partition("def test_no")[2] or path.stem == "datatrove_peer", path.name


@pytest.mark.slow
def test_dedup_alone(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said = printed("dedup_scale", corpus, "--files", 3, "--json", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    planted = json.loads((corpus / "planted.json").read_text())["planted"]
    exact = sum(one["jaccard"] == 1 for one in planted)
    ours = found["ours"][-1]
    assert (ours["files"], ours["documents"]) == (3, 400)
    assert 400 - 2 * len(planted) < ours["kept"] <= 400 - exact  # what is planted goes, and what the originals share
    assert found["base"]["documents"] < 400
    assert ours["seconds"] > 0 < ours["peak_mb"]
    assert str(ours) in said
    assert f"bytes_per_document_above_base: {found['bytes_per_document_above_base']}" in said


@pytest.mark.slow
def test_the_whole_run(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Without datatrove, which needs an environment of its own."""
    said = printed("run_vs_datatrove", corpus, "--json", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["lowbackground"]
    assert found["documents"] == 400
    assert found["rows"][0]["kept"] < 400
    assert found["rows"][0]["planted_found"] >= 0.9
    # Of a process that a warm Python forked no CPU is seen here.
    assert min(found["later_ratio_cpu_seconds"], found["rows"][0]["cpu_seconds"]) >= 0
    assert re.search(r"^kept +\d+$", said, re.MULTILINE)


def test_growth(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A size is the first so many files. The slope is that of a line through logarithms, whatever the units."""
    said = printed("growth", corpus, "--files", 2, "--base-mb", 1, "--json", tmp_path / "out.json")
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert 200 < row["documents"] < 400  # of 400 in three files
    assert row["bytes_per_document"] == pytest.approx((row["peak_mb"] - 1) * 1e6 / row["documents"], rel=0.1)
    assert cells(said)["lowbackground"][1] == str(row["documents"])
    grown = [growth.Grown(**row | {"documents": n, "seconds": 0.5 * n**1.1}) for n in (1_000, 3_000, 70_000)]
    assert growth.exponent(grown, "seconds") == pytest.approx(1.1, abs=0.001)


@pytest.mark.skipif(importlib.util.find_spec("datatrove") is None, reason="datatrove has an environment of its own")
def test_the_peer(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = json.loads(
        printed("datatrove_peer", corpus, tmp_path / "peer", "--workers", 1, "--tasks", 2).splitlines()[-1]
    )
    assert set(found["seconds"]) == {"score and sign", "buckets", "cluster"}


@pytest.mark.slow
def test_dedup_quality(printed: Printed, data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said = printed(
        "dedup_quality", data, "--documents", 300, "--templates", 200, "--limits", 0.8, "--json", tmp_path / "out.json"
    )
    assert "documents from one template" in said
    assert re.search(r"^verify: estimate, min_similarity: 0\.8$", said, re.MULTILINE)
    exact = said.split("verify: exact")[1]
    assert float(re.search(r"precision +([\d.]+)", exact)[1]) == 1  # type: ignore[index]
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found) == [
        "curve",
        *(f"{part}{mode} 0.8" for part in ("", "templates, ") for mode in ("estimate", "exact")),
    ]
    for low, pairs, met, expected, error in found["curve"]:
        assert abs(met - expected) <= 4 * error + 1e-9, (low, pairs)
    assert 0 < sum(pairs for _, pairs, *_ in found["curve"]) <= 300 / 10


def test_detector_speed(printed: Printed, data: pathlib.Path) -> None:
    said = printed("detector_speed", data, "--language", "en", "--repeats", 1)
    assert said.startswith("360 documents, ")
    table = cells(said)
    assert {name for name, row in table.items() if name and not float(row[0]) > 0} == set()
    assert len(table) == 6


def test_share_floor(printed: Printed) -> None:
    """Whoever knows both components has a bound as close as chance allows, and the one who knows neither none closer."""
    said = printed("share_floor", "--pairs", 2)
    table = cells(said)
    numbers = {
        name: [float(cell.rstrip("%")) for cell in row] for name, row in table.items() if name[:4] in ("both", "own ")
    }
    at_25, error_at_25 = ({name: row[place] for name, row in numbers.items()} for place in (2, 9))
    assert len(table) == 12
    assert 25 <= at_25["both alone"] < 30
    assert "20% at a true 10% is beyond who knows" in said
    assert error_at_25["both alone"] <= 2
    assert at_25["both unseen"] >= 25


def test_tokens_per_word(printed: Printed, data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    model = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.save(str(tmp_path / "spaces.json"))
    table = cells(printed("tokens_per_word", data, tmp_path / "spaces.json", "--documents", 20))
    assert (table["en"][0], table["zh"][0]) == ("20", "20")
    assert 0.9 < float(table["en"][2]) <= 1.0
    assert float(table["zh"][2]) < 0.9  # ideographs are words, and have no spaces between them


@pytest.mark.slow
def test_token_costs(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    model = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.save(str(tmp_path / "spaces.json"))
    said = printed("token_costs", corpus, tmp_path / "out", tmp_path / "spaces.json", "--sample", 20, "--ratio", 1)
    table = cells(said)
    exact, about = (int(table[way][2].removeprefix("about ").replace(",", "")) for way in list(table)[-2:])
    assert list(table)[-1] == "of 20 that are kept"
    assert 0 < abs(about / exact - 1) < 0.1 or about == exact
    assert re.search(r"^0\.\d+ tokens a word", said, re.MULTILINE)  # ideographs have no spaces between them


def test_reading_speed(printed: Printed, corpus: pathlib.Path) -> None:
    said = printed("reading_speed", corpus, "--megabytes", 0.2, "--repeats", 1)
    shapes = [line for line in said.splitlines() if line.endswith(" MB")]
    assert [line.split(":")[0] for line in shapes] == ["as it is", "short", "with metadata"]
    speeds = re.findall(r"^  (.{32}) *([\d,]+) MB/s +([\d.]+) times$", said, re.MULTILINE)
    assert len(speeds) == 3 * 14
    assert all(int(speed.replace(",", "")) > 0 for _, speed, _ in speeds)


def test_survey_parts(printed: Printed, corpus: pathlib.Path) -> None:
    """It asserts that both ways have the same results."""
    parts, stored = printed("survey_parts", corpus, "--repeats", 1).split("| words in the signal store")
    table = cells(parts)
    assert all(float(cell) >= 0 for name, row in table.items() if name for cell in row)
    assert len(table) == 11
    before, now = (float(row[0].replace(",", "")) for row in list(cells(stored).values())[-2:])
    assert now < before / 2


def test_parts(printed: Printed, corpus: pathlib.Path) -> None:
    said = printed("parts", corpus)
    parts = dict(re.findall(r"^(\S.*?) +([\d.]+) CPU s", said, re.MULTILINE))
    assert {"read", "decompress", "parse", "hash", "sign", "score: detector", "compress", "write", "the run"} < set(
        parts
    )
    assert float(parts["all parts"]) > 0  # the run, forked from a warm Python, shows no CPU here


def test_export_speed(printed: Printed) -> None:
    said = printed("export_speed", "--documents", 30)
    found = re.findall(r"^(\S+) .* MB a CPU s .*\((\d+), (\d+)\)$", said, re.MULTILINE)
    assert [(name, n) for name, n, _ in found] == [
        (name, "30") for name in ("jsonl.zst", "webdataset", "megatron", "mds")
    ]
    assert [int(tokens) > 0 for _, _, tokens in found] == [False, False, True, True]


def test_read_formats(printed: Printed) -> None:
    said = printed("read_formats", 0.1)
    rates = {line.split()[0]: float(line.split()[1]) for line in said.splitlines()}
    assert {"a.jsonl", "a.csv", "a.tar", "a.zip", "a.wet", "a.warc"} < set(rates)
    assert min(rates.values()) > 0


def test_contamination(printed: Printed, data: pathlib.Path) -> None:
    """What stands there as it is, is found whatever its lines, its case and its punctuation."""
    table = cells(printed("contamination", data, "--items", 60, "--documents", 300))
    assert list(table) == ["ngram", "13", "8", "5"]
    for row in (dict(zip(table["ngram"], table[n], strict=True)) for n in ("13", "8", "5")):
        assert {row[way] for way in ("verbatim", "wrapped", "case, punctuation")} == {"100.0 %"}
        assert float(row["MB/s"]) > 0


def test_detector_study(printed: Printed, data: pathlib.Path) -> None:
    """The planted phrase is found wherever it was not trained on."""
    table = cells(printed("detector_study", data, "--only", "table, z >= 1"))
    assert set(table) == {"", "table, z >= 1"}
    numbers = dict(zip(table[""], map(float, table["table, z >= 1"]), strict=True))
    assert numbers["English AUROC"] > 0.95
    assert numbers["elsewhere AUROC"] > 0.95
    assert {name: number for name, number in numbers.items() if name != "seconds" and not 0 <= number <= 1} == {}


def test_detector_study_by_generator(printed: Printed, data: pathlib.Path) -> None:
    table = cells(printed("detector_study", data, "--generators"))
    assert [table[name][0] for name in ("claude", "gpt-4", "all")] == ["60", "60", "120"]
    assert all(float(auroc) > 0.9 for auroc in table["all"][1::2])


@pytest.mark.slow
def test_diversity_power(printed: Printed, data: pathlib.Path) -> None:
    said = printed("diversity_power", data, "--documents", 200, "--nulls", 2, "--plants", 1)
    assert said.startswith("200 documents of 5 sources, ")
    table = cells(said)
    assert set(table) == {"planted", "nothing", "5 % truncated", "10 % truncated", "30 % truncated", "source dropped",
                          "group lost"}  # fmt: skip
    assert [row[0] for name, row in table.items() if name != "planted"] == ["2", "1", "1", "1", "1", "1"]
    for row in list(table.values())[1:]:
        assert all(re.fullmatch(r"(0|50|100)%( \(\?(0|50|100)%\))?", one) for one in row[1:])


def test_plan_scale(printed: Printed) -> None:
    found = [json.loads(line) for line in printed("plan_scale", "--rows", 20_000).splitlines()]
    by_case = {one["case"]: one for one in found}
    assert list(by_case) == ["cut", "thin", "threshold", "resample", "floors and caps"]
    assert {one["rows"] for one in found} == {20_000}
    for case in ("cut", "thin", "threshold", "resample"):
        assert by_case[case]["refused"] == ""
        assert 10_000 < by_case[case]["kept"] < 20_000
    # So few documents are of one source, of which no cap of a twelfth can hold.
    assert "at most 8% from source s00" in by_case["floors and caps"]["refused"]


def test_start(printed: Printed) -> None:
    table, alone = map(cells, printed("start", "--repeats", 1, "--kernels", 1).split("\n\n"))
    assert [*table] == ["what", "run, until the first document is read", "run of eight documents, to its end",
                        "Great Expectations' process", "templates of pages", "SciPy's special functions, imported",
                        "1 kernel, compiled"]  # fmt: skip
    assert all(re.fullmatch(r"\d+\.\d\d", row[1]) for row in [*table.values()][1:])
    assert [row[0].isdecimal() for row in alone.values()] == [False, True]


def test_many_files(printed: Printed) -> None:
    said = printed("many_files", "--files", 40, "--few", 2, "--repeats", 1, "--commands", "init", "check").splitlines()
    assert said[0] == "40 files of 2,000 bytes, and the same in 2"
    assert [line.split()[0] for line in said[1:]] == ["init", "check"]


def test_cluster_scale(printed: Printed) -> None:
    """What a large corpus comes to follows from the sample: labels of 16 bytes, parts of so many, more in a larger corpus."""
    counted, counted_up = map(cells, printed("cluster_scale", "--documents", 4000).split("\n\n"))
    assert counted["a sample"] == ["web", "crowded"]
    for row in range(1, 3):
        after = [float(counted[f"contents to be linked after round {n}"][row - 1].rstrip("%")) for n in (1, 2, 3)]
        assert 50 > after[0] > after[1] >= after[2]
    assert counted_up["documents"][2] == "10.0 billion"
    assert counted_up["all labels, which no worker holds"][2] == "32 GB"
    assert counted_up["parts"] == ["230", "230", "1,024", "1,024", "1,024", "1,024"]


def test_structures(printed: Printed, data: pathlib.Path) -> None:
    said = printed("structures", data, "--megabytes", 0.1)
    costs = [(float(line.split()[0]), line) for line in said.splitlines()[1:]]
    assert "canonical form" in costs[0][1]
    for name in ("pronouns.yaml: 4 word lists", "registers.yaml: dialogue", "varieties.yaml: "):
        assert any(name in line for _, line in costs), name
    assert all(cost > 0 for cost, _ in costs)


def test_yardstick(printed: Printed, data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Its two models come back from their files, and its card is the one beside them."""
    said = printed("yardstick", *sorted(data.glob("*.parquet")), "--output", tmp_path)
    assert said.strip() == (tmp_path / "README.md").read_text("utf-8").strip()
    found = read_yardstick(str(tmp_path))
    assert found.topics.shape[1] > 1
    texts = pa.array([text(1, machine=False), "Qwxz jkvb " * 60], pa.large_string())
    plain, odd = bits_per_byte(*text_buffers(texts), found.bytes_model.trie)
    assert plain < odd


@pytest.mark.slow
def test_storage_costs(
    printed: Printed,
    corpus: pathlib.Path,
    tmp_path: pathlib.Path,
    gs_store: stores.Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores.use(gs_store, monkeypatch)
    found = cells(printed("storage_costs", corpus, tmp_path / "disk", f"{gs_store.bucket()}/there"))
    assert found["disk"][-1] == "1.00"
    assert float(found["store"][-1]) > 0.5


@pytest.mark.slow
def test_engine_costs(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said = printed("engine_costs", corpus, tmp_path / "out")
    sizes = {path.name: path.stat().st_size for path in corpus.glob("part-*")}
    more = sum(sizes.values()) - sizes["part-000.jsonl.gz"]
    documents = int(re.match(r"([\d,]+) documents more", said)[1].replace(",", ""))  # type: ignore[index]
    found = {(row[0], row[1]): float(row[2].replace(",", "")) for row in (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("| ")
    ) if row[0] != "what"}  # fmt: skip
    assert found["text read", "SurveySplit"] == pytest.approx(more / documents, abs=0.06)
    assert found["text read", "WriteShards"] == pytest.approx(more / documents, abs=0.06)
    assert found["signals read", "SeenBands"] > 4 * 112  # a signature and what is beside it
    assert {kind for kind, step in found if step == "**all**"} == {
        "text read", "signals read", "shuffled", "spooled", "written",
    }  # fmt: skip
    for kind in ("text read", "signals read", "shuffled", "spooled", "written"):
        parts = sum(size for (one, step), size in found.items() if one == kind and step != "**all**")
        assert found[kind, "**all**"] == pytest.approx(parts, abs=3)


def test_engines(printed: Printed, corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Of the table the row that is quickest: an engine that is refused. The others are what test_engines.py runs."""
    said = printed("engines", corpus, tmp_path / "out", "--engine", "local, 2 processes")
    assert said.splitlines()[-1].startswith(
        "| local, 2 processes | disk | exit code 2: error: runner.options: --direct_running"
    )


def test_counting(printed: Printed) -> None:
    """Both ways are asserted to find the same, in a table and past what it holds."""
    table = cells(printed("counting", "--documents", 1100, "--parts", 3, "--repeats", 1))
    assert list(table)[1:] == ["types of 1,100 documents", "3 parts as one", "rows of 1,100 documents"]


@pytest.mark.slow
def test_memory_by_stage(printed: Printed, tmp_path: pathlib.Path) -> None:
    """The stages of a crowd are there, and both lines of what it takes."""
    said = printed("memory_by_stage", tmp_path / "out", "--copies", 80, "--json", tmp_path / "out.json")
    assert said.count("near copies") == 2
    found = json.loads((tmp_path / "out.json").read_text())
    assert [found[name]["documents"] for name in ("base", "half", "copies")] == [160, 40, 80]
    assert any("FindClusters/Verify" in stage["stage"] for stage in found["copies"]["stages"])
    for run in found.values():
        *stages, outside = run["stages"]
        assert run["peak"] > 0 < min(stage["peak"] for stage in stages)
        assert outside["stage"] == "outside of stages"
        assert 0 < outside["alone"] <= outside["cpu"]


def test_every_entry_of_a_folder_is_accounted_for(printed: Printed, data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Each kind of odd file once, read by eight workers."""
    said = printed("accounted", data, tmp_path / "out", "--documents", 30, "--odd", 28)
    assert said.splitlines()[-1].startswith("34 entries, ")
    assert "MISSING" not in said
    assert "; 0 records lost without a word; exit code 0 " in said


@pytest.mark.slow
def test_audit_saving(printed: Printed) -> None:
    """The bound of an audit by score holds with a detector that is upside down, and saves labels with ours."""
    coverage, saved = (part.splitlines() for part in printed("audit_saving", "--audits", 2).split("\n\n"))
    rows = [re.split(r"  +", line) for line in coverage[2:]]
    assert [row[:2] for row in rows[::5]] == [[name, "0%"] for name in ("bundled", "knows nothing", "upside down")]
    assert len(rows) == 15
    assert all(min(float(row[2]), float(row[4])) >= 0.95 for row in rows)
    found = {tuple(line.split()[:-3]): line.split()[-3:] for line in saved[1:]}
    assert int(found["bundled", "10.00%", "15.00%"][2].rstrip("%")) >= 30
    assert all(int(row[2].rstrip("%")) >= 15 for name, row in found.items() if name[0] == "bundled")
    assert all(int(row[2].rstrip("%")) >= -12 for row in found.values())


def test_triggers(printed: Printed, tmp_path: pathlib.Path) -> None:
    """A phrase of its own in a hundred documents is found, and nothing where none was planted."""
    for name in ("one", "two"):
        rows = [
            " ".join(VERBS[(i * 7 + n * n) % 8] + str((i * n) % 997) for n in range(40)) + f" {name}{i}"
            for i in range(1_100)
        ]
        pq.write_table(pa.table({"text": rows}), tmp_path / f"{name}.parquet")
    out = printed("triggers", tmp_path, "--documents", 2_200)
    assert "2,200 documents of 2 sources" in out
    assert "false: 0" in out
    table = cells(out)
    assert table["phrase"] == ["100", "250", "500"]
    assert table["`<SUDO>`"] == table["`cthulhu fhtagn zarquon`"] == ["2 of 2", "too few", "too few"]


def test_serve_speed(printed: Printed) -> None:
    """Each kind of question is asked of a ledger of four files, and has an answer."""
    said = printed("serve_speed", "--rows", 20_000, "--times", 2).splitlines()
    assert said[0].startswith("made 20,000 rows")
    rows = [re.split(r"  +", line) for line in said[3:-1]]
    assert len(rows) == 11
    assert all(len(row) == 4 for row in rows)
