"""Every command with addresses of an object store for paths: it does its work there, or says in one line what to do."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stores
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from pipeline import api, cli
from tests.pipeline.test_object_stores import put_inputs, run
from tests.pipeline.test_outputs import commands
from tests.pipeline.test_withdrawn import ASKED
from transforms.engine import files

# What it is given ({top} is a bucket, {rel} a release in it, {id} a document), how it ends, and what it says or writes.
DOES = {
    "check": (["{top}/recipe.yaml"], 0, "The recipe is good"),
    "plan": (["{top}/recipe.yaml"], 0, "topics human"),
    "run": (["{top}/recipe.yaml", "--set", "release=second"], 0, "{top}/out/second/MANIFEST.json"),
    "status": (["{top}/out/.staging/none"], 2, "{top}/out/.staging/none is no job that was sent"),
    "init": (["{top}/corpus", "--output", "{top}/new.yaml"], 0, "{top}/new.yaml"),
    "verify": (["{rel}"], 0, "as the manifest says"),
    "gate": (["{rel}", "--output", "{top}/verdict.txt"], 0, "{top}/verdict.txt"),
    "sign": (["{rel}", "--key", "{top}/key.pem"], 0, "signed {rel}"),
    "provenance": (["{id}", "{rel}"], 0, "{id}"),
    "diff": (["{rel}", "{rel}", "--html", "{top}/diff.html"], 0, "{top}/diff.html"),
    "history": (["{rel}", "{rel}", "--html", "{top}/history.html"], 0, "{top}/history.html"),
    "propose": (["{rel}", "--output", "{top}/proposed.yaml"], 0, "{top}/proposed.yaml"),
    "explain": (["{rel}", "{id}"], 0, "kept"),
    "export": (["{rel}", "{top}/exported", "--format", "jsonl.zst"], 2, "must be a folder of this machine"),
    "push": (["{rel}", "{top}/pushed"], 2, "give hf://datasets/"),
    "papers": (["{rel}", "--output", "{top}/papers"], 0, "{top}/papers/croissant.json"),
    "report-upstream": (["{rel}", "topics", "--output", "{top}/issue.md"], 0, "{top}/issue.md"),
    "schema": (["suite", "--output", "{top}/suite.json"], 0, "{top}/suite.json"),
    "score": (["{top}/corpus/part-*.jsonl", "--output", "{top}/scores.parquet"], 0, "{top}/scores.parquet"),
    "audit sample": (["{rel}", "--all", "--n", "12", "--output", "{top}/sample.parquet"], 0, "{top}/sample.parquet"),
    "review serve": (["{top}/sample.parquet", "--labels", "{top}/answers.jsonl"], 2, "this machine"),
    "audit certify": (["{top}/sample.parquet", "{top}/labels.jsonl", "-o", "{top}/paper.json"], 1, "{top}/paper.json"),
    "audit export": (["{top}/sample.parquet", "{top}/labels.jsonl", "-o", "{top}/gold.parquet"], 0, "{top}/gold.parquet"),
    "detector train": (["{top}/gold.parquet", "--output", "{top}/made"], 2, "must be a folder of this machine"),
    "detector words": (["{top}/gold.parquet", "--output", "{top}/made"], 2, "must be a folder of this machine"),
    "detector evaluate": (["{top}/gold.parquet"], 2, "are read from this machine; copy the files here"),
    "detector calibrate": (["{top}/made", "{top}/gold.parquet", "-o", "{top}/two"], 2, "a folder of this machine"),
    "detector card": (["--model", "{top}/made"], 2, "{top}/made/model.bin: not found"),
    "detector selftest": (["{top}/gold.parquet"], 2, "are read from this machine; copy the files here"),
    "withdraw": (["{rel}", "{top}/removals.jsonl", "--name", "third"], 0, "{top}/out/third/MANIFEST.json"),
    "serve": (["{top}/out/demo"], 2, "copy it to a folder first"),
    "clean": (["{top}/out"], 0, "nothing to clean"),
    "demo": (["{top}/demo"], 2, "must be a folder of this machine"),
}  # fmt: skip


def test_every_command_is_in_the_table():
    assert {name for name, _ in commands(typer.main.get_command(cli.app))} == DOES.keys()


@pytest.mark.slow
def test_each_does_its_work_in_a_store_or_says_in_one_line_what_to_do(s3_store, capsys, monkeypatch):
    stores.use(s3_store, monkeypatch)
    top = s3_store.bucket()
    known = {"top": top, "rel": run(put_inputs(top, 60)).folder}
    known["id"] = api.open_release(known["rel"]).documents().head(1)["id"][0].as_py()
    key = ed25519.Ed25519PrivateKey.generate()
    forms = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files.write(f"{top}/key.pem", key.private_bytes(*forms))
    files.write(f"{top}/removals.jsonl", json.dumps({"id": known["id"], **ASKED}).encode())
    wrong = []
    for name, (words, code, expected) in DOES.items():
        monkeypatch.setattr(sys, "argv", ["lowbackground", *name.split(), *(word.format(**known) for word in words)])
        found, said, expected = cli._code_of_command(), "".join(capsys.readouterr()), expected.format(**known)
        there = expected in said or (expected.startswith(top) and files.exists(expected))
        if not there or (found, said.count("error: ")) != (code, code == 2):
            wrong.append((name, found, said))
        if name == "audit sample":
            sample = pq.read_table(pa.BufferReader(files.read(f"{top}/sample.parquet")))
            answers = [
                {"content_hash": one.as_py(), "label": "human", "reviewer": "a"} for one in sample["content_hash"]
            ]
            files.write(f"{top}/labels.jsonl", "\n".join(map(json.dumps, answers)).encode())
    assert wrong == []
