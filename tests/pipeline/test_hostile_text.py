"""Text from data, file names, releases and suites is hostile: nothing that shows it obeys it. Secrets are not shown at all."""

import datetime
import json
import pathlib
import re
import subprocess

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_release import documents, write_release
from typer.testing import CliRunner

from expectations import contracts
from expectations.escaping import markdown, markdown_code, terminal
from expectations.judge.formats import FORMATS
from expectations.judge.verdict import judge
from expectations.loading import parse_yaml
from expectations.report.card import card
from expectations.suite.suite import load_suite
from pipeline import redaction
from pipeline.cli import app
from pipeline.commands.init import write_recipe
from pipeline.engines import options
from pipeline.recipe import RecipeError, load_recipe
from pipeline.runner import resolved

ROOT = pathlib.Path(__file__).parents[2]
HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202eesrever\x9b2J\r\n::error::x\n# head <script>alert(1)</script> [a](b) `c` ``` | %0A"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
SECRET = "hunter2-correct-horse"


def test_a_terminal_sees_what_it_would_obey():
    shown = terminal(HOSTILE)
    assert not OBEYED.search(shown)
    assert "\\u001b[31mred" in shown
    assert "\\u202eesrever" in shown
    assert terminal("Grüße, 日本\u00a0語 \U0001f600\u200d\n\tx") == "Grüße, 日本\u00a0語 \U0001f600\u200d\n\tx"
    assert terminal("\ud800") == "\\ud800"


@given(st.text(st.characters()))
def test_json_stays_the_same_json(text):
    written = json.dumps({"a": text}, ensure_ascii=False)
    assert json.loads(terminal(written)) == {"a": text}


@given(st.text(st.sampled_from("`a \\*_[](){}<>#|~&!-+1.\n\t\x1b:=$>")))
def test_markdown_is_words(text):
    """No mark of Markdown is left without its backslash, and code ends where it should."""
    line = markdown(text)
    assert "\n" not in line
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|~&]", re.sub(r"\\[^\\]", "", line).replace("\\\\", ""))
    code = markdown_code(text)
    mark = re.match("`+", code)[0]
    assert code.endswith(mark)
    assert mark not in re.findall("`+", code[len(mark) : -len(mark)])


ROWS = [
    ("documents", "before", 10.0), ("documents", "after", 9.0), ("tokens", "after", 90.0),
    ("synthetic_share.tokens", "after", 0.1),
]  # fmt: skip


def metrics(note: str = HOSTILE, slice_: str = HOSTILE) -> pa.Table:
    base = dict.fromkeys(contracts.METRICS.schema.names) | {"n": 10, "note": note, "unit": "documents"}
    rows = [base | {"metric": m, "stage": s, "slice_kind": "overall", "slice": "", "value": v} for m, s, v in ROWS]
    rows += [base | {"metric": "documents", "stage": "after", "slice_kind": "source", "slice": slice_, "value": 1.0}]
    return pa.Table.from_pylist(rows, schema=contracts.METRICS.schema)


def verdict():
    asked = {
        "expect": "metric_to_be_between",
        "metric": "documents",
        "slice_kind": "source",
        "min": 5,
        "notes": HOSTILE,
    }
    waiver = {"who": HOSTILE, "why": HOSTILE, "until": "2999-01-01"}
    return judge(
        metrics(),
        load_suite({"suite": HOSTILE, "expectations": [asked, asked | {"waivers": [waiver]}]}),
        {},
        datetime.date(2026, 1, 1),
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_verdict_in_every_format(form):
    text = FORMATS[form](verdict())
    assert not OBEYED.search(text)
    if form == "github":
        assert all(re.match("::(error|warning|notice) title=", line) for line in text.splitlines())
    if form == "junit":
        assert "<script>" not in text


def test_the_card_of_a_release():
    text = card("name", metrics().combine_chunks().to_batches()[0], verdict(), contracts.release(()).schema, 1)
    assert not OBEYED.search(text)
    assert "\n# head" not in text
    assert "\n::error" not in text
    header = text.split("---\n")[1]
    assert yaml.safe_load(header)["pretty_name"] == "name"
    body = re.sub(r"(?s)(`+)(?!`).*?(?<!`)\1(?!`)", "", text.split("---\n", 2)[2])
    assert not re.search(r"(?<!\\)<script", body)


def test_explain_of_a_ledger_from_elsewhere(tmp_path):
    folder = pathlib.Path(write_release(tmp_path / "rel", documents(4)))
    row = {f.name: HOSTILE if f.type == pa.string() else None for f in contracts.LEDGER.schema}
    row |= {
        "id": "0a" * 16,
        "row": 0,
        "kept": True,
        "n_tokens": 3,
        "copies": 1,
        "cluster_size": 1,
        "removed_tokens": 0,
        "stage": None,
    }
    types = {f.name: f.type for f in contracts.LEDGER.schema}
    fill = {name: False if pa.types.is_boolean(t) else 0 for name, t in types.items() if not pa.types.is_string(t)}
    table = pa.Table.from_pylist([fill | row], schema=pa.schema(list(types.items())))
    (folder / "ledger").mkdir()
    pq.write_table(table, folder / "ledger" / "ledger-00000-of-00001.parquet")
    result = CliRunner().invoke(app, ["explain", str(folder), "0a" * 16])
    assert result.exit_code == 0, result.exception
    assert "\\u001b[31mred" in result.stdout
    assert not OBEYED.search(result.stdout)
    for command in (["explain", str(folder), f"no {HOSTILE}"], ["gate", HOSTILE], ["score", HOSTILE, "-o", "x"]):
        done = subprocess.run(
            [*warm.python(), "-m", "pipeline.cli", *command], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 2, done.stderr
        assert not OBEYED.search(done.stderr.decode()), done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["a\nb: c", "\x1b[31m", "\u202e", "# x", "{a}", "- b", "\U0001f600", "'\"", "a: b", "\x85", "~"]
)
def test_init_writes_a_recipe_that_is_read_back(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / f"x{name}"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"id": "1", "text": "A text.", HOSTILE: 1}) + "\n")
    (folder / "b.jsonl").write_text("{\n")
    write_recipe([f"x{name}"], "r.yaml")
    assert load_recipe("r.yaml").sources[0].path == f"x{name}"


def test_every_page_escapes_what_it_shows():
    from expectations.report.page import _environment

    environment = _environment()
    assert environment.autoescape is True
    assert environment.undefined is jinja2.StrictUndefined
    shown = environment.from_string("{{ x }}").render(x=HOSTILE)
    assert "<script>" not in shown
    assert not OBEYED.search(shown.replace("\r", ""))


def recipe(tmp_path, *given, **more):
    path = tmp_path / "r.yaml"
    (tmp_path / "d").mkdir(exist_ok=True)
    sources = [{"name": "s", "path": "d"}]
    path.write_text(yaml.safe_dump({"release": "r", "sources": sources, "runner": {"options": [*given]}, **more}))
    return str(path)


SECRETS = [
    [f"--s3_secret_access_key={SECRET}"],
    ["--s3_secret_access_key", SECRET],
    [f"--password={SECRET}"],
    [f"--hdfs_token={SECRET}"],
    [f"--my.credentials={SECRET}"],
    [f"--apiKey={SECRET}"],
    [f'--environment_options={{"AWS_SECRET_ACCESS_KEY": "{SECRET}", "region": "x"}}'],
    [f"--artifact=https://me:{SECRET}@host/x"],
]


@pytest.mark.parametrize("given", SECRETS)
def test_a_secret_is_in_nothing_that_is_written_or_said(tmp_path, given):
    path = recipe(tmp_path, "--region=here", *given)
    loaded = load_recipe(path)
    text = resolved(loaded)
    assert SECRET not in text
    assert "--region=here" in text
    assert redaction.HIDDEN in text
    assert SECRET not in redaction.redact_message(f"Beam could not start with {given}")
    again = parse_yaml(text, "recipe.yaml").value
    assert again["runner"]["options"][0] == "--region=here"
    (tmp_path / "again.yaml").write_text(text)
    assert load_recipe(str(tmp_path / "again.yaml")).runner.options == tuple(again["runner"]["options"])


def test_a_wrong_recipe_does_not_say_its_secret(tmp_path):
    path = recipe(tmp_path, f"--password={SECRET}")
    for changes in (
        [f"runner.options=--password={SECRET}"],
        ["runner.options=[{a: 1}]", f"runner.name=--password={SECRET} dask"],
    ):
        with pytest.raises(RecipeError) as raised:
            load_recipe(path, changes)
        assert SECRET not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_secret_is_taken_from_the_environment(tmp_path, monkeypatch):
    loaded = load_recipe(recipe(tmp_path, "--s3_secret_access_key=${S3_SECRET}"))
    assert "${S3_SECRET}" in resolved(loaded)
    with pytest.raises(RecipeError, match="the environment has no S3_SECRET"):
        options(loaded, 1)
    monkeypatch.setenv("S3_SECRET", SECRET)
    assert options(loaded, 1).get_all_options()["s3_secret_access_key"] == SECRET
    assert SECRET not in redaction.redact_message(f"Beam said {SECRET}")
