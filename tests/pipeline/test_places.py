"""Where the product is run from: read-only installs without a home, odd paths, odd file names, and exit codes that say so."""

import json
import os
import pathlib
import pickle
import posixpath
import shutil
import stat
import subprocess
import sys

import pytest
import warm

from pipeline.commands.init import write_recipe
from pipeline.recipe import IngestConfig, load_recipe
from transforms.engine import cache_folder
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Source, find_pieces, plan_splits

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("pipeline", "transforms", "expectations")


def run(
    code: str, cwd: pathlib.Path, *, python: list[str] | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    known = {
        key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TMPDIR")
    }
    command = [*(python or [sys.executable]), "-c", code]
    return subprocess.run(command, cwd=cwd, env=known | env, capture_output=True, text=True, check=False)


@pytest.fixture
def install(tmp_path):
    """A copy of the package that cannot be written: a file stands where the folder of compiled code would be."""
    folder = tmp_path / "install"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in [*(folder / "transforms").rglob("*")]:
        if path.is_dir():
            (path / "__pycache__").write_text("")
    return folder


COMPILES = (
    "from transforms.kernels.text import text\nimport pyarrow as pa, os\n"
    "text.canonicalise(pa.array(['A text.'], pa.large_string()))\n"
    "from transforms.engine import cache_folder\nprint(os.environ['NUMBA_CACHE_DIR'])\nprint(cache_folder.note)"
)


@pytest.mark.slow
@pytest.mark.parametrize("home", [True, False])
def test_a_read_only_install_compiles_and_says_where_once(install, tmp_path, home):
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    env = {
        "PYTHONPATH": str(install),
        "HOME": str(tmp_path / "home") if home else "/dev/null/nobody",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    first, second = (run(COMPILES, tmp_path, **env) for _ in range(2))
    assert first.returncode == 0, first.stderr
    folder, said = first.stdout.splitlines()
    assert folder.startswith(str(tmp_path / ("home/.cache/lowbackground" if home else "tmp/lowbackground-")))
    assert folder in said
    assert [*pathlib.Path(folder).rglob("*.nbc")]
    assert second.stdout.splitlines() == [folder, ""], "the second time it is nothing new"
    if not home:
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_folder_that_somebody_else_may_write_to_is_not_used(tmp_path, monkeypatch):
    """What is in it is run."""
    monkeypatch.setattr(cache_folder, "_temporary_folders", lambda: [str(tmp_path)])
    mine = cache_folder._temporary()
    assert cache_folder._temporary() == mine
    os.chmod(mine, 0o777)
    other = cache_folder._temporary()
    assert other != mine
    assert stat.S_IMODE(os.stat(other).st_mode) == 0o700
    os.rmdir(mine)
    os.symlink(other, mine)
    assert cache_folder._temporary() not in (mine, other)


def test_what_a_user_chose_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    cache_folder.choose()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "chosen")


CLI = "import sys; sys.argv = ['lowbackground', *{args!r}]\nfrom pipeline import cli\n{before}\ncli.main()"
RAISES = "def broken(*_): raise {error}\nimport pipeline.commands.schema as s; s.schema_of = broken"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("KeyboardInterrupt", "Stopped."),
        ("SystemExit(0)", "a library ended the command"),
        ("SystemExit(1)", "a library ended the command"),
        ("SystemExit('no')", "a library ended the command"),
        ("MemoryError", "there is not enough memory"),
        ("RecursionError('x')", "This is a bug"),
        ("AssertionError('x')", "This is a bug"),
        ("BrokenPipeError(32, 'Broken pipe')", ""),
        ("OSError(28, 'No space left on device', 'f')", "error: No space left on device: f"),
        ("GeneratorExit", "a library ended the command"),
        ("EOFError", "Stopped."),
    ],
)
def test_what_is_no_verdict_ends_in_4(tmp_path, error, said):
    code = CLI.format(args=["schema", "suite"], before=RAISES.format(error=error))
    done = run(code, tmp_path, python=warm.python())
    assert done.returncode == 4, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_that_cannot_be_written_is_no_pass(tmp_path):
    code = CLI.format(args=["schema", "suite"], before="")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    assert done.returncode == 4
    assert "No space left on device" in done.stderr


def test_a_machine_without_any_folder_to_write_says_so(install, tmp_path):
    before = (
        "import os, tempfile\nreal = os.makedirs, os.mkdir\n"
        "def full(*a, **k): raise OSError(30, 'Read-only file system')\n"
        "os.makedirs = os.mkdir = full\ntempfile.TemporaryFile = full"
    )
    done = run(CLI.format(args=["schema", "suite"], before=before), tmp_path, PYTHONPATH=str(install))
    assert done.returncode == 4, done.stderr
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert len(done.stderr.splitlines()) == 1


RECIPE = "release: r\nsources: [{name: s, path: data}]\nevidence: {phrases: p.yaml}\nreview: {labels: [l.jsonl]}\n"


def test_a_recipe_is_the_same_wherever_it_is_run_from(tmp_path, monkeypatch):
    """Its fingerprint is in the metadata of every shard."""
    (tmp_path / "deep").mkdir()
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    ways = ["recipe.yaml", "./recipe.yaml", str(path), "deep/../recipe.yaml"]
    found = [load_recipe(way) for way in ways]
    monkeypatch.chdir(tmp_path / "deep")
    found.append(load_recipe("../recipe.yaml"))
    assert len({one.fingerprint() for one in found}) == 1
    assert len({one.sources[0].path for one in found}) == 3
    assert found[0].fingerprint() != load_recipe(str(path), ["salt=x"]).fingerprint()
    assert pickle.loads(pickle.dumps(found[0])).fingerprint() == found[0].fingerprint()


def test_lines_may_be_as_long_as_their_text_needs():
    assert IngestConfig().limits.max_line_bytes == 64_000_000
    assert IngestConfig(max_text_bytes=100_000_000).limits.max_line_bytes == 604_000_000


LINES = "".join(json.dumps({"id": str(n), "text": f"Text number {n} speaks of rivers."}) + "\n" for n in range(3))


def test_a_dot_is_the_folder(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text(LINES)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.jsonl").write_text(LINES)
    (tmp_path / ".hidden.jsonl").write_text(LINES)
    monkeypatch.chdir(tmp_path)
    found = [[piece.path for piece in find_pieces(Source(name="s", path=path))] for path in (".", "./", "deep/..")]
    assert found == [["a.jsonl", "deep/b.jsonl"]] * 3
    write_recipe(["."], "recipe.yaml")
    assert load_recipe("recipe.yaml").sources[0].path == "."


@pytest.mark.parametrize("name", ["000", "2024-01-01", "null", "1e3", "0x1F"])
def test_a_folder_whose_name_is_a_number_to_yaml_gets_a_recipe_that_loads(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.txt").write_text("One text.")
    monkeypatch.chdir(tmp_path)
    write_recipe([name], "recipe.yaml")
    recipe = load_recipe("recipe.yaml")
    assert (recipe.sources[0].name, recipe.salt, recipe.release) == (name, name, f"{name}-v1")


@pytest.mark.parametrize("name", ["no\xa0break", "a\u202eb", "new\nline", "tab\t", "\u200b"])
def test_odd_file_names_are_read(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{name}.jsonl").write_text(LINES)
    found = find_pieces(Source(name="s", path=str(tmp_path / "in")))
    assert [posixpath.basename(piece.path) for piece in found] == [f"{name}.jsonl"]
    assert sum(d.num_rows for split in plan_splits([Source(name="s", path=str(tmp_path / "in"))])
               for d, _ in read_split(split, Source(name="s", path="x"), ReadLimits())) == 3  # fmt: skip
