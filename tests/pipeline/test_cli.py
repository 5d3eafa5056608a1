"""The command line as a user meets it: what it prints, and its exit codes. Real processes (one by itself), real files."""

import json
import pathlib
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm

WORDS = "the quick brown fox jumps over the lazy dog and runs back to its den before the rain begins to fall again "


def lowbackground(
    *args: object, cwd: pathlib.Path, python: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [*(python or warm.python()), "-m", "pipeline.cli", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def corpus(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "data").mkdir()
    records = [
        {"id": f"d{n}", "text": f"{n} {n * 7} {WORDS} {n * 13} {n * 17}", "origin": "human", "page": n}
        for n in range(40)
    ]
    (tmp_path / "data" / "part.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    return tmp_path


@pytest.fixture
def recipe(corpus: pathlib.Path) -> pathlib.Path:
    path = corpus / "recipe.yaml"
    path.write_text("release: small\nsources:\n  - {name: data, path: data}\noutput: {path: out}\n")
    return path


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    # The first run of a machine compiles kernels, and says so, before it sees what is wrong.
    lines = [line for line in result.stderr.strip().splitlines() if not line.startswith("compiling kernels")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_init_check_run_explain_gate_clean(corpus: pathlib.Path) -> None:
    assert lowbackground("init", "data", "-o", "mine.yaml", cwd=corpus).returncode == 0
    checked = lowbackground("check", "mine.yaml", cwd=corpus)
    assert checked.returncode == 0, checked.stderr
    assert "0.80                   0.924" in checked.stdout  # the S-curve
    assert "max_synthetic_share: 0.3" in checked.stdout
    ran = lowbackground("run", "mine.yaml", cwd=corpus, python=[sys.executable])  # as a user's, with nothing imported
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "verdict: passed" in ran.stdout
    explained = lowbackground("explain", "releases/data-v1", "d1", cwd=corpus)
    assert explained.returncode == 0
    assert "input id 'd1'" in explained.stdout
    assert lowbackground("gate", "releases/data-v1", cwd=corpus).returncode == 0
    verified = lowbackground("verify", "releases/data-v1", cwd=corpus)
    assert (verified.returncode, verified.stdout.splitlines()[-1][:5]) == (0, "good:")
    strict = corpus / "suite.yaml"
    strict.write_text("expectations:\n  - {expect: metric_to_be_between, metric: documents, min: 1000}\n")
    assert lowbackground("gate", "releases/data-v1", "--suite", "suite.yaml", cwd=corpus).returncode == 1
    assert "nothing to clean" in lowbackground("clean", "releases", cwd=corpus).stdout
    (corpus / "releases" / "data-v1" / "suite.yaml").unlink()
    verified = lowbackground("verify", "releases/data-v1", cwd=corpus)
    assert (verified.returncode, "suite.yaml is gone" in verified.stdout) == (1, True)
    assert lowbackground("verify", "nowhere", cwd=corpus).returncode == 2


def test_files_that_are_not_read_are_said(corpus: pathlib.Path) -> None:
    for name in ("one.txt", "two.txt", "three.md"):
        (corpus / "data" / name).write_text("A text that somebody wrote.")
    for name in ("four.xyz", "[red]five.[red]"):
        (corpus / "data" / name).write_bytes(b"\0\1\2\3")
    made = lowbackground("init", "data", "-o", "mine.yaml", cwd=corpus)
    checked = lowbackground("check", "mine.yaml", cwd=corpus)
    for said in (
        "not read: 1 .[red], 1 .xyz: in another format, by its ending (data/[red]five.[red])",
        "not read: 1 .md, 2 .txt: text beside data, taken for a README (data/three.md; to read it, give it a source",
    ):
        assert f"data: {said}" in made.stdout
        assert f"\n    {said}" in checked.stdout
    for path in (corpus / "data").glob("*.*"):
        path.unlink() if path.suffix != ".jsonl" else None
    assert "not read" not in lowbackground("check", "mine.yaml", cwd=corpus).stdout


@pytest.mark.slow
def test_a_release_is_judged_again_by_its_own_suite_wherever_it_stands(recipe: pathlib.Path) -> None:
    """Its suite was a file beside the recipe, which nobody needs any more."""
    folder = recipe.parent
    (folder / "mine.yaml").write_text("expectations:\n  - {expect: metric_to_be_between, metric: documents, min: 2}\n")
    ran = lowbackground("run", recipe, "--set", "expectations=mine.yaml", cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (folder / "mine.yaml").unlink()
    (folder / "out" / "small").rename(folder / "moved")
    again = lowbackground("gate", "moved", cwd=folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "at least 2 is asked for" in again.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ratio.max_synthetic_shere=0.1",
            "unknown key 'ratio.max_synthetic_shere'; did you mean 'max_synthetic_share'?",
        ),
        ("rato.unit=tokens", "unknown key 'rato'; did you mean 'ratio'?"),
        ("dedup.bands=none", "dedup.bands"),
        ("expectations=mixd", "mixd"),
        ("sources.0.path=nowhere/*.jsonl", "nowhere"),
        ("sources.0.fields={txt: body}", "did you mean 'text'?"),
        ("runner.name=DaskRunner", "loses data silently"),
        ("detector.model=nowhere.bin", "nowhere.bin"),
        ("release=../elsewhere", "must be letters"),
        ("sources=[]", "sources: is empty; name at least one source"),
        ("output.path=data/part.jsonl", "data/part.jsonl is a file; name a folder for releases"),
        ("output.path=data/part.jsonl/out", "would be inside of"),
    ],
)
def test_a_wrong_recipe_is_one_line_and_exit_code_2(recipe: pathlib.Path, change: str, said: str) -> None:
    result = lowbackground("check", recipe, "--set", change, cwd=recipe.parent)
    assert result.returncode == 2
    assert said in one_line(result)


def test_a_missing_recipe_and_a_wrong_command_are_exit_code_2(tmp_path: pathlib.Path) -> None:
    result = lowbackground("run", "nowhere.yaml", cwd=tmp_path)
    assert (result.returncode, "lowbackground init" in one_line(result)) == (2, True)
    assert lowbackground("rum", cwd=tmp_path).returncode == 2
    assert lowbackground("run", cwd=tmp_path).returncode == 2


def test_too_many_bad_records_are_exit_code_3(recipe: pathlib.Path) -> None:
    (recipe.parent / "data" / "bad.jsonl").write_text("not json\n" * 40)
    result = lowbackground("run", recipe, cwd=recipe.parent)
    assert result.returncode == 3
    assert not (recipe.parent / "out" / "small").exists()


def test_piped_progress_is_plain_lines(recipe: pathlib.Path) -> None:
    result = lowbackground("run", recipe, cwd=recipe.parent)
    assert "survey" in result.stderr
    assert "\x1b" not in result.stderr + result.stdout


@pytest.mark.slow
def test_a_killed_run_leaves_no_release_and_the_next_one_succeeds(recipe: pathlib.Path) -> None:
    folder = recipe.parent
    line = json.dumps({"text": WORDS * 20, "origin": "human"})
    for part in range(8):
        (folder / "data" / f"more-{part}.jsonl").write_text(
            "\n".join(line.replace("fox", f"fox{part}x{n}") for n in range(60))
        )
    # Killed as its first signals are there: whoever looks from outside may look too late.
    code = (
        "import os, signal, sys\nreplace = os.replace\n"
        "def killed(one, other):\n    replace(one, other)\n"
        "    if other.endswith('.parquet'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = killed\nsys.argv = ['lowbackground', *sys.argv[1:]]\nfrom pipeline.cli import main; main()"
    )
    words = ["run", str(recipe), "--set", "ingest.split_bytes=1000"]
    killed = subprocess.run([*warm.python(), "-c", code, *words], cwd=folder, capture_output=True, check=False)
    assert killed.returncode == 128 + signal.SIGKILL, killed.stderr
    assert list((folder / "out" / ".signals").glob("*.parquet"))
    assert not (folder / "out" / "small").exists()
    result = lowbackground("run", recipe, "--set", "ingest.split_bytes=1000", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (folder / "out" / "small" / "MANIFEST.json").exists()
    lowbackground("clean", "out", "--signals", cwd=folder)
    assert {path.name for path in (folder / "out").iterdir()} == {"small"}


def test_score_keeps_ids_and_columns(corpus: pathlib.Path) -> None:
    result = lowbackground("score", "data", "-o", "scores.parquet", "--keep", "page", cwd=corpus)
    assert result.returncode == 0, result.stderr
    table = pq.read_table(corpus / "scores.parquet")
    assert table["id"].to_pylist() == [f"d{n}" for n in range(40)]
    assert table["page"].to_pylist() == [str(n) for n in range(40)]
    assert set(table["origin"].to_pylist()) <= {"human", "synthetic", "unknown"}
    url = lowbackground("score", "data", "-o", "url.parquet", "--keep", "url", cwd=corpus)
    assert (url.returncode, "--keep url: is no column of the input" in one_line(url)) == (2, True)
    clash = lowbackground("score", "data", "-o", "again.parquet", "--keep", "origin", cwd=corpus)
    assert (clash.returncode, "has a column of that name" in one_line(clash)) == (2, True)


def test_detector_evaluate_and_selftest_print_tables_or_one_line(tmp_path: pathlib.Path) -> None:
    rows = [
        {"text": f"{words} number {i} of {i * i} and the {i % 7} others " * 8, "label": label, "generator": label}
        for label, words in (("human", "an old man told of"), ("ai", "it is important to note"))
        for i in range(30)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "labelled.parquet")
    evaluated = lowbackground("detector", "evaluate", "labelled.parquet", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "AUROC" in evaluated.stdout
    refused = lowbackground("detector", "selftest", "labelled.parquet", cwd=tmp_path)
    assert (refused.returncode, "at least 200 are needed" in one_line(refused)) == (2, True)
