"""Manners of the command line: what every good one does, as a person or a program at the other end sees it. Real processes."""

import json
import os
import pathlib
import pty
import resource
import subprocess
import sys

import pytest
import typer
import warm

from pipeline import cli, log
from pipeline.advice.remedy import rules_of
from pipeline.console import application
from pipeline.recipe import parse_recipe
from pipeline.runner import suite_params

WORDS = "the quick brown fox jumps over the lazy dog and runs back to its den before the rain begins to fall again "
RECIPE = "release: small\nsources:\n  - {name: data, path: data}\noutput: {path: out}\n"


def lowbackground(*args: object, cwd: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*warm.python(), "-m", "pipeline.cli", *map(str, args)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def write_corpus(folder: pathlib.Path) -> None:
    (folder / "data").mkdir()
    records = [{"id": f"page-{n}", "text": f"{n} {n * 7} {WORDS} {n * 13} {n * 17}"} for n in range(40)]
    records += [{"id": f"copy-{n}", "text": records[n]["text"]} for n in range(8)]
    lines = [json.dumps({**record, "origin": "human"}) for record in records]
    (folder / "data" / "part.jsonl").write_text("\n".join([*lines, "{broken"]))
    (folder / "recipe.yaml").write_text(RECIPE)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder in which `run --json` has made a release; what it said is in run.json, and its log in run.log."""
    folder = tmp_path_factory.mktemp("manners")
    write_corpus(folder)
    ran = lowbackground("run", "recipe.yaml", "-q", "--json", "--log-file", "logs/run.log", cwd=folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    (folder / "run.json").write_text(ran.stdout)
    return folder


def ids(folder: pathlib.Path, *args: object) -> list[dict[str, object]]:
    answer = lowbackground("explain", "out/small", "--json", *args, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["documents"]


# What needs no input


@pytest.mark.parametrize("asked", ["--version", "--help", "-h"])
def test_help_and_version_take_no_time(asked: str, tmp_path: pathlib.Path) -> None:
    used = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", asked], cwd=tmp_path, capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (said.returncode, said.stderr) == (0, b"")
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used) < 0.5  # 0.15 s on an idle machine; importing Beam alone takes more than one


def test_the_version_is_one_line(tmp_path: pathlib.Path) -> None:
    assert lowbackground("--version", cwd=tmp_path).stdout.split()[0] == "lowbackground"


def commands(group, name: str = ""):
    for key, command in group.commands.items():
        full = f"{name} {key}".strip()
        yield from commands(command, full) if hasattr(command, "commands") else [(full, command)]


COMMANDS = dict(commands(typer.main.get_command(cli.app)))


def test_help_names_every_command_in_a_section_and_cuts_nothing_off(tmp_path: pathlib.Path) -> None:
    said = lowbackground("-h", cwd=tmp_path, COLUMNS="80").stdout
    assert "..." not in said.replace("ARGS]...", "")
    assert [title for title in application.SECTIONS if f"\n{title}:\n" in said] == list(application.SECTIONS)
    assert "\nCommands:\n" not in said  # a command in no section
    for name in {name.split()[0] for name in COMMANDS}:
        assert f"\n  {name} " in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_the_command_line_takes(name: str) -> None:
    example = COMMANDS[name].help.partition("Example: lowbackground ")[2].split()
    assert " ".join(example).startswith(name)
    COMMANDS[name].make_context(name, example[len(name.split()) :], resilient_parsing=False).close()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["run", "r.yaml", "-v"], ["-v", "run", "r.yaml"]),
        (["run", "--log-file", "a.log", "r.yaml", "-q"], ["--log-file", "a.log", "-q", "run", "r.yaml"]),
        (["run", "--log-file=a.log"], ["--log-file=a.log", "run"]),
        (["explain", "out", "--", "-v"], ["explain", "out", "--", "-v"]),  # a document may be called so
        (["run", "--log-file"], ["--log-file", "run"]),
    ],
)
def test_options_of_every_command_may_stand_anywhere(given: list[str], taken: list[str]) -> None:
    assert application._general_first(given) == taken


def test_quiet_and_verbose_exclude_each_other(tmp_path: pathlib.Path) -> None:
    said = lowbackground("schema", "recipe", "-q", "-v", cwd=tmp_path)
    assert (said.returncode, said.stdout, "exclude each other" in said.stderr) == (2, "", True)


def test_completion_is_shown_and_installed_with_exit_code_0(tmp_path: pathlib.Path) -> None:
    def in_bash(option: str) -> subprocess.CompletedProcess[str]:
        """It is for the shell that it is called from, which a process sees by whose child it is."""
        command = ["bash", "-c", '"$@"; exit $?', "bash", sys.executable, "-m", "pipeline.cli", option]
        home = {**os.environ, "HOME": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True, check=False)

    shown = in_bash("--show-completion")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "complete -o default" in shown.stdout
    installed = in_bash("--install-completion")
    assert (installed.returncode, "completion installed" in installed.stdout) == (0, True)
    assert (tmp_path / ".bashrc").exists()


# Colour, progress and logs


def on_a_terminal(*args: object, cwd: pathlib.Path, **environment: str) -> bytes:
    """What a command writes to a terminal that knows colours."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", **environment}
    with subprocess.Popen(
        [*warm.python(), "-m", "pipeline.cli", *map(str, args)], cwd=cwd, env=environment, stdout=its, stderr=its
    ) as process:
        os.close(its)
        said = b""
        while True:
            try:
                said += (some := os.read(ours, 4096))
            except OSError:  # Linux: the other end is closed
                break
            if not some:
                break
        process.wait()
    os.close(ours)
    return said


def test_no_color_is_respected(tmp_path: pathlib.Path) -> None:
    assert b"\x1b[31m" in on_a_terminal(
        "gate", "nowhere", cwd=tmp_path, NO_COLOR=""
    )  # no-color.org: empty counts as unset
    plain = on_a_terminal("gate", "nowhere", cwd=tmp_path, NO_COLOR="1")
    assert (b"\x1b" in plain, plain.startswith(b"error: nowhere")) == (False, True)
    assert b"\x1b" not in on_a_terminal("run", cwd=tmp_path, NO_COLOR="1")  # the command line library's own message


def test_a_quiet_run_writes_its_progress_to_the_log_with_times(released: pathlib.Path) -> None:
    lines = (released / "logs" / "run.log").read_text().splitlines()
    assert lines[0] + "\n" == log.MARK
    assert all(line[:2] == "20" and line[10] == "T" and line[19] == "." for line in lines[1:]), lines
    assert any(" INFO    lowbackground: " in line and "of 1 file" in line for line in lines)  # what -q left out
    assert any(" apache_beam." in line for line in lines)  # what the engine says
    assert lines[-1].endswith("exit code 0")


def test_verbose_shows_what_the_engine_says_once_and_only_if_asked(tmp_path: pathlib.Path) -> None:
    write_corpus(tmp_path)
    ran = lowbackground("run", "recipe.yaml", "-v", cwd=tmp_path)
    beam = [line for line in ran.stderr.splitlines() if "apache_beam.runners.worker.statecache" in line]
    assert ran.returncode == 0
    assert len(beam) == 1
    assert beam[0].startswith("INFO    apache_beam.")
    assert "apache_beam" not in ran.stdout


def test_a_log_is_added_to_and_has_the_trace_of_what_broke(released: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "gate.log"
    for _ in range(2):
        assert lowbackground("gate", "out/small", "--log-file", path, cwd=released).returncode == 0
    assert path.read_text().splitlines()[1:][0].endswith("exit code 0")
    assert path.read_text().count("exit code 0") == 2
    assert path.read_text().count(log.MARK) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["gate", "out/small", "--log-file", "recipe.yaml"], "it is no log of ours"),
        (["run", "recipe.yaml", "--log-file", "data/more.jsonl"], "is inside of data"),
        (["gate", "out/small", "--log-file", "out/small/gate.log"], "out/small"),
        (["init", "data", "-o", "new.yaml", "--log-file", "data/init.log"], "is inside of data"),
    ],
)
def test_a_log_is_written_over_nothing_and_into_no_input(released: pathlib.Path, args: list[str], said: str) -> None:
    before = {path: path.stat().st_size for path in released.rglob("*") if path.is_file()}
    refused = lowbackground(*args, cwd=released)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert {path: path.stat().st_size for path in released.rglob("*") if path.is_file()} == before


# Answers for programs


def test_run_as_json(released: pathlib.Path) -> None:
    said = json.loads((released / "run.json").read_text())
    assert (said["format"], said["folder"], said["exit_code"], said["remedy"]) == (
        "lowbackground.run/1", "out/small", 0, None,
    )  # fmt: skip
    assert said["verdict"] == json.loads((released / "out" / "small" / "verdict.json").read_text())
    assert (said["counts"]["documents_in"], said["counts"]["quarantined"]) == (48, 1)


def test_check_as_json(released: pathlib.Path) -> None:
    answer = lowbackground("check", "recipe.yaml", "--json", cwd=released)
    said = json.loads(answer.stdout)
    assert said["recipe"]["release"] == "small"
    assert [(one["source"], one["files"], one["tried_bad_records"]) for one in said["sources"]] == [("data", 1, 1)]
    wrong = lowbackground("check", "recipe.yaml", "--json", "--set", "ratoi.unit=tokens", cwd=released)
    assert (wrong.returncode, wrong.stdout) == (2, "")  # an error is no answer


def test_verify_as_json_names_all_that_is_wrong(released: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert json.loads(lowbackground("verify", "out/small", "--json", cwd=released).stdout)["good"] is True
    subprocess.run(["cp", "-r", released / "out" / "small", tmp_path / "copy"], check=True)
    (tmp_path / "copy" / "suite.yaml").unlink()
    (tmp_path / "copy" / "stray").write_text("?")
    answer = lowbackground("verify", "copy", "--json", cwd=tmp_path)
    said = json.loads(answer.stdout)
    assert (answer.returncode, said["good"], len(said["wrong"])) == (1, False, 2)


def test_score_as_json(released: pathlib.Path, tmp_path: pathlib.Path) -> None:
    answer = lowbackground("score", "data", "-o", tmp_path / "s.parquet", "--json", cwd=released)
    said = json.loads(answer.stdout)
    assert (said["documents"], said["unreadable_records"], sum(said["origins"].values())) == (48, 1, 48)


def test_json_is_short_for_a_format_and_contradicts_others(released: pathlib.Path) -> None:
    short = lowbackground("gate", "out/small", "--json", cwd=released)
    assert short.stdout == lowbackground("gate", "out/small", "--format", "json", cwd=released).stdout
    both = lowbackground("gate", "out/small", "--json", "--format", "junit", cwd=released)
    assert (both.returncode, both.stdout, "exclude each other" in both.stderr) == (2, "", True)


# explain


def test_explain_finds_a_document_by_the_beginning_of_its_id(released: pathlib.Path) -> None:
    (row,) = ids(released, "page-3")
    assert [one["input_id"] for one in ids(released, row["id"][:12])] == ["page-3"]
    assert [one["input_id"] for one in ids(released, row["id"][:12].upper())] == ["page-3"]


def test_explain_says_what_was_meant(released: pathlib.Path) -> None:
    said = lowbackground("explain", "out/small", "pgae-3", cwd=released)
    assert (said.returncode, "did you mean 'page-3" in said.stderr) == (2, True), said.stderr
    said = lowbackground("explain", "out/small", "--reason", "exact_duplicat", cwd=released)
    assert (said.returncode, "did you mean 'exact_duplicate'?" in said.stderr) == (2, True)
    said = lowbackground("explain", "out/small", cwd=released)
    assert (said.returncode, "--reason to find some" in said.stderr) == (2, True)


def test_explain_lists_documents_that_were_dropped_for_a_reason(released: pathlib.Path) -> None:
    found = ids(released, "--reason", "exact_duplicate", "--n", 3)
    assert [row["reason"] for row in found] == ["exact_duplicate"] * 3
    assert len(ids(released, "--reason", "exact_duplicate")) == 8
    listed = lowbackground("explain", "out/small", "--reason", "exact_duplicate", "--n", 3, cwd=released).stdout
    assert [line.split()[0] for line in listed.splitlines()] == [row["id"] for row in found]


# init


def folders(top: pathlib.Path, n: int) -> None:
    for number in range(n):
        (top / f"site-{number:03d}").mkdir(parents=True)
        (top / f"site-{number:03d}" / "a.jsonl").write_text(json.dumps({"text": WORDS}) + "\n")


@pytest.mark.parametrize(("n", "sources"), [(3, 3), (20, 20), (21, 1), (300, 1)])
def test_init_makes_one_source_of_many_folders(tmp_path: pathlib.Path, n: int, sources: int) -> None:
    folders(tmp_path / "corpus", n)
    said = lowbackground("init", "corpus", "-o", "mine.yaml", cwd=tmp_path)
    found = parse_recipe((tmp_path / "mine.yaml").read_text(), "mine.yaml").sources
    assert len(found) == sources, said.stderr
    assert (f"{n:,} folders are one source" in said.stdout) == (sources == 1)


def test_init_does_not_multiply_sources_over_levels(tmp_path: pathlib.Path) -> None:
    for number in range(6):
        folders(tmp_path / "corpus" / f"year-{number}", 6)
    assert lowbackground("init", "corpus", "-o", "mine.yaml", cwd=tmp_path).returncode == 0
    found = parse_recipe((tmp_path / "mine.yaml").read_text(), "mine.yaml").sources
    assert [source.name for source in found] == ["corpus"]


def test_init_takes_the_format_of_files_whose_names_do_not_say_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "odd" / "below").mkdir(parents=True)
    for name in ("part-1", "below/part-2"):
        (tmp_path / "odd" / name).write_text(json.dumps({"text": WORDS}) + "\n")
    said = lowbackground("init", "odd", "-o", "guessed.yaml", cwd=tmp_path).stdout
    assert "2 files without an ending look like JSON Lines: read so (guessed by their first bytes)" in said
    assert lowbackground("init", "odd", "--format", "jsnl", cwd=tmp_path).stderr.strip().endswith("mean 'jsonl'?")
    assert lowbackground("init", "odd", "--format", "jsonl", cwd=tmp_path).returncode == 0
    checked = json.loads(lowbackground("check", "recipe.yaml", "--json", cwd=tmp_path).stdout)
    assert [(one["files"], one["tried_documents"]) for one in checked["sources"]] == [(2, 2)]


def test_init_is_not_silent_for_long(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text(json.dumps({"text": WORDS}) + "\n")
    # A second step that waits, in the real command: listing a bucket takes as long.
    slow = (
        "import time, pipeline.commands.init as init; found_of = init.found_of\n"
        "def wait(*how, **named):\n    time.sleep(3)\n    return found_of(*how, **named)\n"
        "init.found_of = wait\nimport sys; sys.argv = ['lowbackground', 'init', 'data']\nfrom pipeline.cli import main; main()"
    )
    said = subprocess.run([*warm.python(), "-c", slow], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0
    assert "s  listing files" in said.stderr


@pytest.mark.parametrize("words", [("clean", ""), ("score", "", "-o", "x.parquet"), ("init", "data", "-o", "")])
def test_an_empty_word_is_no_folder(tmp_path: pathlib.Path, words: tuple[str, ...]) -> None:
    """It was `/` to `clean`, and the folder that one is in to `score`."""
    said = lowbackground(*words, cwd=tmp_path)
    assert (said.returncode, said.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert said.stderr == "error: a word of the command is empty; was a variable of the shell not set?\n"


def test_links_that_lead_back_are_followed_once(tmp_path: pathlib.Path) -> None:
    """Each of two loops doubled what `**` stood for, in the check of what would be written."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jsonl").write_text(json.dumps({"text": WORDS}) + "\n")
    for name, to in (("loop", "."), ("up", "..")):
        (tmp_path / "real" / name).symlink_to(to)
    said = lowbackground("init", "**/a.jsonl", "-o", "recipe.yaml", cwd=tmp_path)
    assert (said.returncode, "with 1 source" in said.stdout) == (0, True), said.stderr


# The last line of a failure


def last_line(folder: pathlib.Path, *args: object) -> str:
    gated = lowbackground("gate", "out/small", *args, cwd=folder)
    assert gated.returncode in (1, 3), gated.stderr
    return gated.stdout.splitlines()[-1]


@pytest.mark.parametrize("key", ["ingest.max_bad_fraction"])
def test_the_limit_that_a_failure_proposes_passes(released: pathlib.Path, key: str) -> None:
    said = last_line(released, "--set", f"{key}=0.0001")
    assert said.startswith("failed: a rule of every run (and 1 more): The share of unreadable records")
    assert "To mend it, repair what out/small/quarantine/ names" in said  # before it is said how to do without it
    proposed = said.partition("--set ")[2].removesuffix(".")
    assert proposed == f"{key}=0.021"  # 1 of 49
    assert lowbackground("gate", "out/small", "--set", proposed, cwd=released).returncode == 0


def test_a_failure_names_its_place_in_the_suite_and_a_waiver(released: pathlib.Path) -> None:
    suite = released / "many.yaml"
    asked = "{expect: size_to_be_at_least, min: 1}\n  - {expect: size_to_be_at_least, min: 1000%s}\n"
    suite.write_text("expectations:\n  - " + asked % "")
    said = last_line(released, "--suite", "many.yaml")
    assert said.startswith("failed: expectations[1] of suite many: The number of documents in the release is 40, below")
    assert "lowbackground explain out/small --reason exact_duplicate" in said  # what most were dropped for
    assert "waivers: [{who: NAME, why: REASON, until: DATE}]" in said
    suite.write_text("expectations:\n  - " + asked % ", waivers: [{who: Ada, why: a test, until: 2999-01-01}]")
    assert lowbackground("gate", "out/small", "--suite", "many.yaml", cwd=released).returncode == 0


def test_a_failure_for_a_program_keeps_standard_output_clean(released: pathlib.Path) -> None:
    gated = lowbackground("gate", "out/small", "--json", "--set", "ingest.max_bad_fraction=0.001", cwd=released)
    assert json.loads(gated.stdout)["status"] == "failed"
    assert gated.stderr.splitlines()[-1].startswith("failed: a rule of every run")


@pytest.mark.slow
def test_a_failed_run_ends_with_what_would_mend_it(tmp_path: pathlib.Path) -> None:
    write_corpus(tmp_path)
    wrong = lowbackground("run", "recipe.yaml", "--set", "ingest.max_bad_fraction=0.001", cwd=tmp_path)
    last = wrong.stdout.splitlines()[-1]
    assert (wrong.returncode, "run again with --set ingest.max_bad_fraction=0.021" in last) == (3, True)
    again = lowbackground("run", "recipe.yaml", "--set", "ingest.max_bad_fraction=0.021", "-q", cwd=tmp_path)
    assert again.returncode == 0
    assert "failed:" not in again.stdout


def test_every_parameter_of_a_suite_has_a_key_of_the_recipe() -> None:
    from pipeline.advice.remedy import KEYS

    recipe = parse_recipe(RECIPE, "recipe.yaml")
    assert set(KEYS) == set(suite_params(recipe))
    for name, key in KEYS.items():
        section, field = key.split(".")
        assert getattr(getattr(recipe, section), field) == suite_params(recipe)[name]
    assert len(rules_of(recipe)) >= 5
