"""Every file that a command reads back from a release, damaged: one line with the path, never a trace, never a verdict."""

import hashlib
import json
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from small_release import documents, write_release

from expectations import contracts
from expectations.judge.verdict import VerdictError, judge
from expectations.structures.system import StructuresError
from expectations.suite.suite import SuiteError, load_suite
from pipeline.commands.audit import certify_sample, read_sample, sample_release
from pipeline.commands.diff import difference
from pipeline.commands.explain import explain_document
from pipeline.commands.gate import judge_again
from pipeline.commands.history import history
from pipeline.commands.propose import propose
from pipeline.reading.checksums import check_release
from pipeline.recipe import RecipeError, load_recipe
from pipeline.runner import resolved
from transforms.audit.certificate import Certificate, Terms
from transforms.audit.draw import AuditError, Design
from transforms.ingest.sources import InputError
from transforms.measures.reference import load_reference
from transforms.origin.label_file import LabelError
from transforms.release.read_release import ReleaseError

SAID = (RecipeError, SuiteError, VerdictError, AuditError, ReleaseError, InputError, LabelError, StructuresError)
QUIET = Console(quiet=True)
DOC = documents(1)[0]["id"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A release with every file that commands read, made without a run."""
    top = tmp_path_factory.mktemp("damaged")
    folder = pathlib.Path(write_release(top / "rel", documents(40)))
    (top / "in").mkdir()
    (top / "recipe.yaml").write_text("release: rel\nsources: [{name: books, path: in}, {name: web, path: in}]\n")
    (folder / "recipe.yaml").write_text(resolved(load_recipe(str(top / "recipe.yaml"))))
    (folder / "suite.yaml").write_text(
        "suite: s\nexpectations:\n- {expect: metric_to_be_between, metric: documents, min: 1}\n"
    )
    base = dict.fromkeys(contracts.METRICS.schema.names) | {
        "unit": "documents",
        "n": 40,
        "slice_kind": "overall",
        "slice": "",
    }
    rows = [base | {"metric": "documents", "stage": stage, "value": 40.0} for stage in ("before", "after")]
    metrics = pa.Table.from_pylist(rows, schema=contracts.METRICS.schema)
    pq.write_table(metrics, folder / "metrics.parquet")
    (folder / "verdict.json").write_text(judge(metrics, load_suite("suite.yaml", str(folder))).to_json())
    ledger = [
        {"id": d["id"], "input_id": None, "source": d["source"], "path": "in/a", "row": n, "kept": True, "n_tokens": 6,
         "origin": "unknown", "cluster_size": 1}
        for n, d in enumerate(documents(40))
    ]  # fmt: skip
    schema = contracts.LEDGER.schema
    empty = {f.name: None if f.nullable else "" if pa.types.is_string(f.type) else 0 for f in schema}
    (folder / "ledger").mkdir()
    part = pa.Table.from_pylist([empty | row for row in ledger], schema=schema)
    pq.write_table(part, folder / "ledger" / "ledger-00000-of-00001.parquet")
    files = [
        {"path": str(path.relative_to(folder)), "bytes": path.stat().st_size, "rows": 20,
         "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "MANIFEST.json"
    ]  # fmt: skip
    (folder / "MANIFEST.json").write_text(json.dumps({"release": "rel", "files": files}, indent=1))
    sample_release(str(folder), str(top / "sample.parquet"), Design(n=5, active=0), None)
    hashes = pq.read_table(top / "sample.parquet")["content_hash"].to_pylist()
    (top / "labels.jsonl").write_text(
        "".join(f'{{"content_hash": "{h}", "label": "human", "reviewer": "a"}}\n' for h in hashes)
    )
    certify_sample(str(top / "sample.parquet"), [str(top / "labels.jsonl")], str(top / "certificate.json"), Terms())
    return top


def readers(top):
    """What reads a release and what lies beside it."""
    release, sample, labels = str(top / "rel"), str(top / "sample.parquet"), [str(top / "labels.jsonl")]
    certificate = top / "certificate.json"
    return {
        "gate": lambda: (check_release(release, True, QUIET), judge_again(release, None, ())),
        "gate, taken as it is": lambda: judge_again(release, None, ()),
        "gate --audit": lambda: judge_again(release, None, (), str(certificate)),
        "explain": lambda: explain_document(release, DOC),
        "diff": lambda: difference(release, release, "json"),
        "history": lambda: history([release, release], "json"),
        "propose": lambda: propose([release], str(top / "new.yaml")),
        "audit sample": lambda: sample_release(release, str(top / "s2.parquet"), Design(n=5, active=0), None, True),
        "review": lambda: read_sample(sample),
        "certify": lambda: certify_sample(sample, labels, str(top / "c2.json"), Terms(), True),
        "certificate": lambda: Certificate.from_json(certificate.read_bytes(), str(certificate)),
        "reference": lambda: load_reference(release, str(top)),
    }


BESIDE = {  # files beside the release, and who reads them
    "sample.parquet": {"review", "certify"},
    "labels.jsonl": {"certify"},
    "certificate.json": {"certificate", "gate --audit"},
}


def readers_of(top, name):
    return {command: read for command, read in readers(top).items() if command in BESIDE.get(name, {command})}


def test_who_reads_the_release_only_needs_nothing_beside_it(whole, tmp_path):
    shutil.copytree(whole / "rel", tmp_path / "rel")
    for command, read in readers(tmp_path).items():
        if command not in set.union(*BESIDE.values()) | {"propose", "reference"}:
            read()


def test_whole_it_is_read(whole):
    for name, read in readers(whole).items():
        if name in (
            "propose",
            "reference",
        ):  # two documents' worth of numbers propose nothing, and there are no sketches
            with pytest.raises((RecipeError, InputError)):
                read()
        else:
            read()


FILES = [
    "rel/MANIFEST.json", "rel/verdict.json", "rel/recipe.yaml", "rel/suite.yaml", "rel/metrics.parquet",
    "rel/ledger/ledger-00000-of-00001.parquet", "rel/data/train-00000-of-00002.parquet", "sample.parquet", "labels.jsonl",
    "certificate.json",
]  # fmt: skip
JUNK = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"3",
    b'"',
    b"[" * 3000,
    b"PAR1",
    b"9" * 5000,
    b"\n\n",
    b"- a",
    b"a: &a [*a]",
]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_damaged_it_is_one_line(whole, tmp_path, name, data):
    """Cut, with bytes changed, with pieces of it twice, or something else altogether: read, or refused in one line."""
    good = (whole / name).read_bytes()
    how = data.draw(st.sampled_from(["cut", "flip", "twice", "junk", "number"]))
    at = data.draw(st.integers(0, len(good) - 1))
    if how == "cut":
        bad = good[:at]
    elif how == "flip":
        bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    elif how == "twice":
        bad = good[:at] + good[max(0, at - data.draw(st.integers(1, 200))) :]
    elif how == "number":
        bad = good.replace(b"1", data.draw(st.sampled_from([b"9" * 30, b"-1", b"1e99", b'"x"', b"null"])), 1)
    else:
        bad = data.draw(st.sampled_from(JUNK))
    top = tmp_path / "top"
    if not top.exists():
        shutil.copytree(whole, top)
    (top / name).write_bytes(bad)
    for command, read in readers_of(top, name).items():
        try:
            read()
        except SAID as error:
            assert "\n" not in str(error), (command, str(error))  # noqa: PT017 (most are read)
            assert len(str(error)) < 1500, command  # noqa: PT017


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("junk", [b"", b"\xff\xfe\x00", b"{}"])
def test_something_else_in_its_place_is_said_with_its_path(whole, tmp_path, name, junk):
    shutil.copytree(whole, tmp_path / "top")
    (tmp_path / "top" / name).write_bytes(junk)
    said = []
    for command, read in readers_of(tmp_path / "top", name).items():
        try:
            read()
        except SAID as error:
            if command not in ("propose", "reference"):
                said.append(str(error))
    if name == "labels.jsonl" and not junk:
        return  # no label yet
    assert said
    assert any(pathlib.Path(name).name in one for one in said), said
