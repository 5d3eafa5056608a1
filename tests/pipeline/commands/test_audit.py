"""From a release to labels, a certificate, a gate, and the next run that believes the labels. Real runs, real commands."""

import contextlib
import dataclasses
import json
import pathlib
import pydoc_data.topics
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from importlib import resources

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.testing

from pipeline import cli
from transforms.detector.training.labelled import read_labelled


@dataclasses.dataclass
class Done:
    """What a command came to."""

    returncode: int | None
    stdout: str
    error: str


def lowbackground(*args: object, cwd: pathlib.Path) -> Done:
    """A command, in this process: forty of them, and the engine is slow to import."""
    with contextlib.chdir(cwd):
        result = typer.testing.CliRunner().invoke(cli.app, [str(arg) for arg in args])
    if result.exception is None or isinstance(result.exception, SystemExit):
        return Done(result.exit_code, result.stdout, "")
    return Done(cli._exit_code_of(result.exception), result.stdout, str(result.exception))


def one_line(result: Done) -> str:
    assert result.returncode == 2, result.stdout + result.error
    (line,) = result.error.splitlines()
    return line


def corpus() -> list[dict]:
    """People's text and a machine's that say nothing of themselves, one in ten a machine's, and some that do."""
    human = [
        {"id": f"h-{name}-{start}", "text": text[start : start + 1500]}
        for name, text in sorted(pydoc_data.topics.topics.items())
        for start in range(0, min(len(text) - 500, 6000), 1500)
    ][:220]
    lines = (resources.files("pipeline.commands") / "demo_machine.jsonl").read_text().splitlines()[:30]
    machine = [{"id": f"m-{number}", "text": json.loads(line)["text"]} for number, line in enumerate(lines)]
    declared = [{**record, "origin": "human"} for record in human[:20]]
    return [*declared, *human[20:], *machine]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a release, a sample of it with gold items, and labels by one who knows the answers."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "corpus").mkdir()
    (folder / "corpus" / "all.jsonl").write_text("\n".join(map(json.dumps, corpus())))
    (folder / "recipe.yaml").write_text(
        "release: one\nsources: [{name: web, path: corpus}]\nratio: {max_synthetic_share: 1.0}\noutput: {path: out}\n"
        "expectations: {expectations: [{expect: metric_to_be_between, metric: documents, min: 1}]}\n"
    )
    ran = lowbackground("run", "recipe.yaml", cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.error
    gold = [{"text": f"Gold item {n} of the test.", "label": ("human", "ai")[n % 2]} for n in range(120)]
    (folder / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))
    drawn = lowbackground("audit", "sample", "out/one", "-o", "s.parquet", "--n", 120, "--active", 5, "--gold", "gold.jsonl",
                          "--gold-share", 0.4, cwd=folder)  # fmt: skip
    assert drawn.returncode == 0, drawn.error
    label(folder, truth(folder))
    return folder


def sample(folder: pathlib.Path) -> list[dict]:
    return pq.read_table(folder / "s.parquet").to_pylist()


def released(folder: pathlib.Path, name: str = "one") -> dict[str, dict]:
    tables = [pq.read_table(path) for path in (folder / "out" / name / "data").glob("*.parquet")]
    return {row["id"]: row for row in pa.concat_tables(tables).to_pylist()}


def truth(folder: pathlib.Path) -> dict[str, str]:
    """Item -> who wrote it."""
    documents = released(folder)
    return {
        row["item"]: row["gold_label"] or ("human" if documents[row["id"]]["input_id"][0] == "h" else "synthetic")
        for row in sample(folder)
    }


def label(folder: pathlib.Path, labels: dict[str, str], name: str = "labels.jsonl", reviewer: str = "ada") -> None:
    rows = [
        {"content_hash": row["content_hash"], "item": row["item"], "label": labels[row["item"]], "reviewer": reviewer}
        for row in sample(folder)
    ]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_labels_are_certified(folder):
    said = lowbackground("audit", "certify", "s.parquet", "labels.jsonl", "--limit", 0.4, cwd=folder)
    assert said.returncode == 0, said.stdout + said.error
    assert "certified: at most 40% of these documents are synthetic" in said.stdout
    one = json.loads((folder / "certificate.json").read_text())
    known = truth(folder)
    audited = [row for row in sample(folder) if row["stream"] == "audit"]
    assert one["n"] == 120
    assert one["synthetic"] == sum(known[row["item"]] == "synthetic" for row in audited) > 3
    documents = released(folder).values()
    share = [row["input_id"][0] == "m" for row in documents if row["origin_basis"] != "declared"]
    assert one["documents"] == len(share)
    assert one["share"]["lower"] <= sum(share) / len(share) <= one["share"]["upper"] <= 0.4
    assert one["gold"]["sensitivity"] == one["gold"]["specificity"] == 1


def test_a_limit_that_is_not_certified_is_exit_code_1_and_the_same_certificate_twice(folder):
    for name in ("a.json", "b.json"):
        said = lowbackground("audit", "certify", "s.parquet", "labels.jsonl", "-o", name, cwd=folder)
        assert said.returncode == 1
        assert "not certified: at most 5% of these documents are synthetic" in said.stdout
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
    assert json.loads((folder / "a.json").read_text())["certified"] is False


def test_the_same_release_gives_the_same_sample(folder):
    again = lowbackground("audit", "sample", "out/one", "-o", "s2.parquet", "--n", 120, "--active", 5, "--gold", "gold.jsonl",
                          "--gold-share", 0.4, cwd=folder)  # fmt: skip
    assert again.returncode == 0
    assert (folder / "s2.parquet").read_bytes() == (folder / "s.parquet").read_bytes()


def test_the_gate_passes_where_audit_and_estimate_meet(folder):
    lowbackground("audit", "certify", "s.parquet", "labels.jsonl", cwd=folder)
    gated = lowbackground("gate", "out/one", "--audit", "certificate.json", cwd=folder)
    assert gated.returncode == 0, gated.stdout + gated.error
    assert re.search(
        r"ok +The distance between the synthetic share that people found and the estimate .* is 0%", gated.stdout
    )
    assert "audit" not in lowbackground("gate", "out/one", cwd=folder).stdout


def test_the_gate_fails_where_they_do_not(folder):
    """Reviewers who see a machine in everything a person wrote, and know it in gold."""
    known = truth(folder)
    turned = {row["item"]: known[row["item"]] if row["stream"] == "gold" else "synthetic" for row in sample(folder)}
    label(folder, turned, "turned.jsonl")
    assert (
        lowbackground("audit", "certify", "s.parquet", "turned.jsonl", "-o", "turned.json", cwd=folder).returncode == 1
    )
    gated = lowbackground("gate", "out/one", "--audit", "turned.json", cwd=folder)
    assert gated.returncode == 1
    assert re.search(r"FAIL +The distance between .* above the limit of 0%", gated.stdout)


def test_a_void_audit_fails_the_gate(folder):
    label(folder, dict.fromkeys(truth(folder), "human"), "lazy.jsonl")
    lowbackground("audit", "certify", "s.parquet", "labels.jsonl", "lazy.jsonl", "-o", "void.json", cwd=folder)
    (folder / "lazy.jsonl").write_text((folder / "lazy.jsonl").read_text().replace('"ada"', '"bob"'))
    said = lowbackground("audit", "certify", "s.parquet", "labels.jsonl", "lazy.jsonl", "-o", "void.json", cwd=folder)
    assert said.returncode == 1
    assert "VOID         reviewers do not agree" in said.stdout
    gated = lowbackground("gate", "out/one", "--audit", "void.json", cwd=folder)
    assert gated.returncode == 1
    assert "could not be measured: the audit is void" in gated.stdout


def test_labels_override_the_detector_in_the_next_run(folder):
    ran = lowbackground(
        "run", "recipe.yaml", "--set", "release=two", "--set", "review.labels=[labels.jsonl]", cwd=folder
    )
    assert ran.returncode == 0, ran.stdout + ran.error
    before, after, known = released(folder), released(folder, "two"), truth(folder)
    asked = {row["id"]: known[row["item"]] for row in sample(folder) if row["id"]}
    assert len(asked) == 125
    for doc_id, row in after.items():
        if doc_id in asked:
            assert (row["origin"], row["origin_basis"]) == (asked[doc_id], "reviewed")
        else:
            assert (row["origin"], row["origin_basis"]) == (before[doc_id]["origin"], before[doc_id]["origin_basis"])
        assert row["p_synthetic"] == before[doc_id]["p_synthetic"]  # what the detector thinks can still be seen
    assert {row["origin_basis"] for row in after.values()} > {"declared", "reviewed"}
    manifests = [json.loads((folder / "out" / name / "MANIFEST.json").read_text()) for name in ("one", "two")]
    assert [len(manifest["labels_sha256"]) for manifest in manifests] == [0, 1]
    assert manifests[0]["recipe_sha256"] != manifests[1]["recipe_sha256"]
    metrics = pq.read_table(folder / "out" / "two" / "metrics.parquet").to_pylist()
    (share,) = (
        row for row in metrics
        if (row["metric"], row["stage"], row["slice_kind"]) == ("synthetic_share.documents", "after", "overall")
    )  # fmt: skip
    found = sum(row["origin"] == "synthetic" and row["origin_basis"] == "reviewed" for row in after.values())
    assert share["value"] >= found / len(after) > 0  # what people found counts in full


def test_a_declaration_is_believed_before_a_label(folder):
    declared = next(row for row in released(folder).values() if row["origin_basis"] == "declared")
    everything = lowbackground("audit", "sample", "out/one", "-o", "all.parquet", "--all", "--n", 1000, cwd=folder)
    assert everything.returncode == 0
    (row,) = (row for row in pq.read_table(folder / "all.parquet").to_pylist() if row["id"] == declared["id"])
    line = {"content_hash": row["content_hash"], "item": row["item"], "label": "synthetic", "reviewer": "ada"}
    (folder / "one.jsonl").write_text(json.dumps(line) + "\n")
    ran = lowbackground(
        "run", "recipe.yaml", "--set", "release=three", "--set", "review.labels=[one.jsonl]", cwd=folder
    )
    assert ran.returncode == 0, ran.stdout + ran.error
    after = released(folder, "three")[declared["id"]]
    assert (after["origin"], after["origin_basis"]) == ("human", "declared")


def test_a_certificate_of_another_release_is_refused(folder):
    lowbackground("audit", "certify", "s.parquet", "labels.jsonl", cwd=folder)
    ran = lowbackground("run", "recipe.yaml", "--set", "release=four", "--set", "salt=other", cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.error
    said = one_line(lowbackground("gate", "out/four", "--audit", "certificate.json", cwd=folder))
    assert "certificate.json is of release 'one'" in said
    assert "audit this one" in said


@pytest.mark.slow
def test_what_a_run_proposes_settles_it(folder):
    """Run, label, certify, gate: by the commands that the run itself prints, and nothing else."""
    (folder / "few").mkdir()
    (folder / "few" / "all.jsonl").write_text("\n".join(map(json.dumps, corpus()[:-27])))  # three are a machine's
    (folder / "strict.yaml").write_text(
        "release: five\nsources: [{name: web, path: few}]\nratio: {max_synthetic_share: 0.08}\noutput: {path: out}\n"
        "expectations: mixed\ndedup: {on_source_loss: warn}\n"
    )
    ran = lowbackground("run", "strict.yaml", cwd=folder)
    assert "say `origin: human` of source web" in ran.stdout, ran.stdout + ran.error
    commands = [shlex.split(line)[1:] for line in ran.stdout.splitlines() if line.startswith("  lowbackground ")]
    assert [" ".join(one[:2]) for one in commands] == [
        "run strict.yaml", "audit sample", "review serve", "audit certify", "gate out/five-to-label",
    ]  # fmt: skip
    for command in commands[:2]:
        done = lowbackground(*command, cwd=folder)
        assert done.returncode == 0, done.stdout + done.error
    documents = released(folder, "five-to-label")
    assert len(documents) > 140
    rows = pq.read_table(folder / "sample.parquet").to_pylist()
    assert {row["stream"] for row in rows} == {"audit"}
    said = [{"content_hash": row["content_hash"], "item": row["item"], "reviewer": "ada",
             "label": "human" if documents[row["id"]]["input_id"][0] == "h" else "synthetic"} for row in rows]  # fmt: skip
    (folder / "labels_of_five.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    commands[3][commands[3].index("labels.jsonl")] = "labels_of_five.jsonl"
    commands[3] += ["-o", "five.json"]
    commands[4][commands[4].index("certificate.json")] = "five.json"
    without = [part for part in commands[4] if part not in ("--audit", "five.json")]
    assert lowbackground(*without, cwd=folder).returncode == 1  # the detector's bound is above the limit
    assert lowbackground(*commands[3], cwd=folder).returncode == 0
    gated = lowbackground(*commands[4], cwd=folder)
    assert gated.returncode == 0, gated.stdout
    assert re.search(
        r"ok +The synthetic share of words .* upper bound of .* \(certified: people labelled", gated.stdout
    )


def test_labelled_text_is_exported_as_the_detector_reads_it(folder):
    said = lowbackground("audit", "export", "s.parquet", "labels.jsonl", "-o", "labelled.parquet", cwd=folder)
    assert said.returncode == 0, said.error
    known = truth(folder)
    audited = [known[row["item"]] for row in sample(folder) if row["stream"] == "audit"]
    table = pq.read_table(folder / "labelled.parquet")
    assert table.column_names == ["text", "label", "source_dataset", "language"]
    assert sorted(table["label"].to_pylist()) == sorted(audited)  # no gold, nothing that was chosen
    labelled = read_labelled([str(folder / "labelled.parquet")])
    assert int(labelled.machine.sum()) == audited.count("synthetic")
    assert set(labelled.group("source_dataset").tolist()) == {"web"}
    more = lowbackground("audit", "export", "s.parquet", "labels.jsonl", "-o", "more.parquet", "--active", cwd=folder)
    assert more.returncode == 0
    assert pq.read_table(folder / "more.parquet").num_rows == 125


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("audit sample nowhere -o x.parquet", "nowhere is not a release"),
        ("audit sample out/one -o x.parquet --gold none.jsonl", "none.jsonl: no such file"),
        ("audit sample out/one -o x.parquet --n 10 --first-look 10", "a first look after 10 of 10 draws is none"),
        ("audit certify none.parquet labels.jsonl", "none.parquet: no such file"),
        ("audit certify gold.jsonl labels.jsonl", "gold.jsonl: cannot be read"),
        ("audit certify labelled_wrong.parquet labels.jsonl", "labelled_wrong.parquet: not a sample"),
        ("audit certify s.parquet none.jsonl", "none.jsonl: No such file"),
        ("audit certify s.parquet recipe.yaml", "recipe.yaml, line 1: not JSON"),
        ("audit certify s.parquet empty.jsonl", "the first of 120 audited documents has no label"),
        ("audit certify s.parquet labels.jsonl --look 2", "the sample was drawn for one look"),
        ("audit export s.parquet empty.jsonl -o x.parquet", "no document of it has a label"),
        ("review serve none.parquet", "none.parquet: no such file"),
        ("review serve s.parquet --labels recipe.yaml", "recipe.yaml, line 1: not JSON"),
        ("gate out/one --audit none.json", "none.json: No such file"),
        ("gate out/one --audit gold.jsonl", "gold.jsonl: not JSON"),
        ("run recipe.yaml --set review.labels=[none.jsonl]", "none.jsonl: No such file"),
        ("run recipe.yaml --set review.labls=[a]", "did you mean 'labels'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, command, what):
    (folder / "empty.jsonl").write_text("")
    pq.write_table(pa.table({"text": ["a"]}), folder / "labelled_wrong.parquet")
    assert what in one_line(lowbackground(*command.split(), cwd=folder))


def test_the_page_is_served_until_it_is_stopped(folder):
    command = [sys.executable, "-u", "-m", "pipeline.cli", "review", "serve", "s.parquet", "--labels", "served.jsonl"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert "items of s.parquet; answers go to served.jsonl" in process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.stdout.readline())[0]
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"Who wrote this?" in opener.open(address).read()
        process.send_signal(2)
        time.sleep(0)
        assert process.wait(60) == 0
    assert (folder / "served.jsonl").read_bytes() == b""
