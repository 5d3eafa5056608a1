"""Papers of a release: every number in a form is one of the release, and what the release does not say is "not known"."""

import dataclasses
import datetime
import gzip
import hashlib
import html.parser
import http.server
import io
import json
import pathlib
import re
import shutil
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from expectations.papers import form as forms
from expectations.papers.croissant import croissant
from expectations.papers.facts import COLUMNS, PaperCounts, ReleasedPaper, StandardInput, first_of_each
from expectations.papers.law import FORMS, LARGEST_RANGE, text_range
from expectations.papers.spdx import spdx
from expectations.papers.upstream import FAULTS, as_issue, as_machine_report
from pipeline import api, runner
from pipeline.cli import app
from pipeline.commands import papers
from pipeline.commands.report_upstream import _cut, upstream_report
from pipeline.recipe import PaperName, RecipeError, load_recipe
from transforms.release.read_release import ReleaseError

QUIET = Console(quiet=True)
HOSTILE = "<script>alert(1)</script>|`x`"


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> pathlib.Path:
    """A real run: a site's pages of people, a machine's book, a blank document and a line that is no JSON."""
    top = tmp_path_factory.mktemp("papers")
    pages = [
        {
            "id": f"w{i}",
            "text": f"Page {i} speaks of gardens, rivers and {'old ' * (i % 9)}stories of {1900 + i}. Ask a{i}@example.org.",
            "url": f"https://site{i % 12}.org/p/{i}",
            "created": f"2019-04-{1 + i % 9:02d}",
        }
        for i in range(36)
    ]
    book = [{"id": f"b{i}", "text": f"Chapter {i} of item {i * 7} has {'many ' * (i % 5)}words."} for i in range(20)]
    book += [{"id": f"{HOSTILE}{i}", "text": f"Chapter 3 of item 21 has many many many words{'.' * i}"} for i in (1, 2)]
    book.append({"id": "blank", "text": " "})
    for name, rows, end in (("web", pages, "not json\n"), ("books", book, "")):
        (top / "in" / name).mkdir(parents=True)
        (top / "in" / name / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + end)
    data = {
        "release": "v1",
        "personal_data": True,
        "sources": [
            {"name": "web", "path": "in/web", "origin": "human", "licence": "CC-BY-4.0", "collected": "2020-01-01"},
            {"name": "books", "path": "in/books", "origin": "synthetic", "generator": HOSTILE, "kind": "textbook"},
        ],
        "ratio": {"max_synthetic_share": 0.9},
        "output": {"path": "releases", "shard_bytes": 1500},  # several of them
        "ingest": {"max_bad_fraction": 0.2},
        "expectations": {"expectations": [{"expect": "size_to_be_at_least", "min": 1}]},
    }
    (top / "recipe.yaml").write_text(json.dumps(data))
    recipe = load_recipe(str(top / "recipe.yaml"))
    return pathlib.Path(runner.run(recipe, runner.prepare(recipe, str(top)), QUIET).folder)


@pytest.fixture(scope="module")
def kept(release):
    """What the ledger says was kept, read by nothing of ours."""
    rows = pa.concat_tables(pq.read_table(path) for path in sorted((release / "ledger").glob("*.parquet"))).to_pylist()
    return [row for row in rows if row["kept"]]


def written(release: pathlib.Path, tmp_path: pathlib.Path, *more: pathlib.Path) -> dict[str, dict]:
    """The JSON of all forms, by their names."""
    folder = str(tmp_path / "out")
    files = papers.write_papers([str(release), *map(str, more)], folder, list(FORMS), "2026-11-27")
    return {pathlib.Path(f).stem: json.loads(pathlib.Path(f).read_text()) for f in files if f.endswith(".json")}


def field(answer: dict, number: str, question: str = "") -> dict:
    return next(one for one in answer["fields"] if one["number"] == number and question in one["question"])


def test_the_forms_say_what_the_ledger_says(release, kept, tmp_path) -> None:
    made = written(release, tmp_path)
    eu, california = made["eu-summary"], made["ab-2013"]
    tokens = sum(row["n_tokens"] for row in kept)
    assert field(california, "3")["answer"] == f"{len(kept)} documents, {tokens} tokens".replace(
        str(tokens), f"{tokens:,}"
    )
    assert field(eu, "1.3", "Text")["answer"].startswith("Less than 1 billion tokens (")
    by_source = {row["source"]: (row["licence"], row["documents"]) for row in field(eu, "2")["table"]}
    assert by_source == {
        "web": ("CC-BY-4.0", 36),
        "books": (None, sum(row["source"] == "books" for row in kept)),
    }
    hosts: dict[str, int] = {}
    for row in kept:
        if row["host"]:
            hosts[row["host"]] = hosts.get(row["host"], 0) + row["n_tokens"]
    largest = sorted(hosts, key=lambda host: (-hosts[host], host))[:2]  # a tenth of twelve, rounded up
    assert [row["domain"] for row in field(eu, "2.3", "Top 10")["table"]] == largest
    machine = [row for row in field(eu, "2.5")["table"] if row["basis"] == "declared"]
    assert [(row["model"], row["documents"]) for row in machine] == [(HOSTILE, by_source["books"][1])]
    assert {row["kind"]: row["found"] for row in field(california, "7")["table"]}["email"] == 36
    assert field(california, "10")["answer"].startswith("Declared: 2020-01-01")


def test_what_is_not_known_says_so_in_every_form(release, tmp_path) -> None:
    for name, answer in written(release, tmp_path).items():
        left = [one for one in answer["fields"] if not one["known"]]
        assert left
        assert all(one["answer"] is None for one in left)
        text = (tmp_path / "out" / f"{name}.md").read_text()
        assert text.count(f"**{forms.UNKNOWN}**") == len(left)
        assert (tmp_path / "out" / f"{name}.html").read_text().count(f"<strong>{forms.UNKNOWN}</strong>") == len(left)
    assert len(written_fields("ab-2013", tmp_path)) == 12  # the law's twelve


def written_fields(name: str, tmp_path: pathlib.Path) -> list[dict]:
    return json.loads((tmp_path / "out" / f"{name}.json").read_text())["fields"]


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.found.add(tag)


def test_text_of_a_release_is_words_in_a_form_and_nothing_else(release, tmp_path) -> None:
    written(release, tmp_path)
    page, text = ((tmp_path / "out" / f"eu-summary.{form}").read_text() for form in ("html", "md"))
    tags = _Tags()
    tags.feed(page)
    assert "script" not in tags.found
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?<!\\)<script", text)
    row = next(line for line in text.splitlines() if "alert" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6  # five cells, whatever stands in them


def test_a_document_of_several_releases_counts_once(release, kept, tmp_path) -> None:
    """The same release again is one; a copy of it under another name is a second, with no new document."""
    other = tmp_path / "v2"
    shutil.copytree(release, other)
    manifest = json.loads((other / "MANIFEST.json").read_text()) | {"release": "v2"}
    (other / "MANIFEST.json").write_text(json.dumps(manifest))
    assert [one.name for one in papers.read_papers([str(release), str(release), str(other)]).values()] == ["v1", "v2"]
    once, both = papers.count_documents([str(release)]), papers.count_documents([str(release), str(other)])
    assert both == once
    assert once.documents == len(kept)


def test_parts_come_to_the_same(release, monkeypatch) -> None:
    whole = papers.count_documents([str(release)])
    monkeypatch.setattr(papers, "PART_ROWS", 7)
    assert papers.count_documents([str(release)]) == whole


def test_two_recipes_that_differ_are_both_told() -> None:
    sources = (
        ({"name": "web", "licence": "MIT"}, {"name": "web", "licence": None}),
        ({"name": "web", "licence": "CC0-1.0"},),
    )
    releases = [ReleasedPaper(f"v{n}", "0", {"files": []}, {"sources": list(of)}, ()) for n, of in enumerate(sources)]
    form = FORMS["ab-2013"](releases, PaperCounts())
    assert form.fields[0].rows[0][1] == "MIT; not known; CC0-1.0"


def test_the_first_of_each_id_is_taken() -> None:
    table = pa.table({"id": ["b", "a", "b", "c", "a"], "n": [0, 1, 2, 3, 4]})
    assert first_of_each(table)["n"].to_pylist() == [0, 1, 3]


def test_hosts_without_a_name_are_no_domain() -> None:
    day = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    rows = [dict.fromkeys(COLUMNS) | {"id": str(i), "source": "s", "n_tokens": 10, "created": day} for i in range(3)]
    rows[0]["host"] = "a.org"
    counts = PaperCounts()
    counts.add(pa.Table.from_pylist(rows))
    assert counts.largest_hosts(0.1) == ([("a.org", 1, 10)], 1)
    assert counts.span == {"s": (day, day)}


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (0, "Less than 1 billion tokens"),
        (10**9 - 1, "Less than 1 billion tokens"),
        (10**9, "1 billion to 10 trillion tokens"),
        (10**13, LARGEST_RANGE),
    ],
)
def test_ranges_are_the_template_s(tokens: int, said: str) -> None:
    assert text_range(tokens) == said


def test_what_cannot_be_written_is_said(release, tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"--form eu: .*eu-summary"):
        papers.write_papers([str(release)], str(tmp_path / "p"), ["eu"], "2026-11-27")
    with pytest.raises(RecipeError, match="which this command reads"):
        papers.write_papers([str(release)], str(release / "papers"), [], "2026-11-27")
    with pytest.raises(ReleaseError, match="is not a release"):
        papers.write_papers([str(tmp_path)], str(tmp_path / "p"), [], "2026-11-27")
    papers.write_papers([str(release)], str(tmp_path / "p"), ["ab-2013"], "2026-11-27")
    with pytest.raises(RecipeError, match="is there already"):
        papers.write_papers([str(release)], str(tmp_path / "p"), ["ab-2013"], "2026-11-27")
    (tmp_path / "lame").mkdir()
    shutil.copy(release / "MANIFEST.json", tmp_path / "lame")
    with pytest.raises(ReleaseError, match=r"recipe\.yaml is gone"):
        papers.read_papers([str(tmp_path / "lame")])


def test_the_command_names_what_it_wrote(release, tmp_path) -> None:
    out = str(tmp_path / "p")
    done = CliRunner().invoke(app, ["papers", str(release), "-o", out, "--form", "ab-2013"])
    assert done.exit_code == 0
    assert done.output.split("written to ")[1:] == [f"{out}/ab-2013.{form}\n" for form in ("md", "html", "json")]


def standard(release: pathlib.Path, tmp_path: pathlib.Path, name: str) -> pathlib.Path:
    (path,) = papers.write_papers([str(release)], str(tmp_path / "out"), [name], "2026-11-27")
    return pathlib.Path(path)


def test_croissant_loads_the_records(release, kept, tmp_path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(standard(release, tmp_path, "croissant")))
    assert not dataset.metadata.issues.errors
    assert dataset.metadata.ctx.is_v1_1()
    assert "36 email" in str(dataset.metadata.to_json())
    read = {}
    for records in dataset.metadata.record_sets:
        for row in dataset.records(records.uuid):
            read[row[f"{records.uuid}/id"].decode()] = row[f"{records.uuid}/text"].decode()
    assert read.keys() == {row["id"] for row in kept}
    paths = list((release / "data").glob("*.parquet"))
    assert len(paths) > 1
    shards = pa.concat_tables(map(pq.read_table, paths)).to_pylist()
    assert {row["id"]: row["text"] for row in shards} == read


def test_croissant_finds_a_damaged_shard(release, tmp_path) -> None:
    """By the checksum that it was given."""
    import mlcroissant

    copy = tmp_path / "v1"
    shutil.copytree(release, copy)
    path = standard(copy, tmp_path, "croissant")
    shard = min((copy / "data").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-8] + b"12345678")
    with pytest.raises(mlcroissant.GenerationError, match=r"Download\(data/train-00000") as error:
        list(mlcroissant.Dataset(jsonld=str(path)).records("documents-00000"))
    assert "hash" in str(error.value.__cause__).lower()


def test_prov_is_read_by_the_prov_package(release, kept, tmp_path) -> None:
    from prov.model import ProvDerivation, ProvDocument, ProvEntity

    with open(standard(release, tmp_path, "prov")) as file:
        document = ProvDocument.deserialize(file, format="json")
    labels = {str(entity.label) for entity in document.get_records(ProvEntity)}
    assert labels == {"v1", "recipe.yaml", "web", "books"}
    assert len(list(document.get_records(ProvDerivation))) == 2
    (made,) = (entity for entity in document.get_records(ProvEntity) if str(entity.label) == "v1")
    assert len(kept) in {value for _, value in made.attributes}
    assert ProvDocument.deserialize(content=document.serialize(format="json"), format="json") == document


def test_openlineage_events_reach_a_receiver(release, kept, tmp_path) -> None:
    """Sent by the standard's own client to a server that is there; the assertions are the verdict's."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.generated.data_quality_assertions_dataset import (
        Assertion,
        DataQualityAssertionsDatasetFacet,
    )
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    received = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(json.loads(body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *said) -> None:
            pass

    events = json.loads(standard(release, tmp_path, "openlineage").read_text())
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        client = OpenLineageClient(
            transport=HttpTransport(HttpConfig(url=f"http://127.0.0.1:{server.server_port}", timeout=120))
        )
        for event in events:
            facets = [one.get("inputFacets", {}).get("dataQualityAssertions") for one in event["inputs"]]
            quality = [
                DataQualityAssertionsDatasetFacet(assertions=[Assertion(**one) for one in facet["assertions"]])
                for facet in facets
                if facet
            ]
            client.emit(
                RunEvent(
                    eventType=RunState[event["eventType"]],
                    eventTime=event["eventTime"],
                    run=Run(runId=event["run"]["runId"]),
                    job=Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
                    producer=event["producer"],
                    inputs=[
                        InputDataset(
                            namespace=one["namespace"],
                            name=one["name"],
                            inputFacets={"dataQualityAssertions": quality[0]} if quality else {},
                        )
                        for one in event["inputs"]
                    ],
                    outputs=[OutputDataset(namespace=one["namespace"], name=one["name"]) for one in event["outputs"]],
                )
            )
        client.close(10)
    finally:
        server.shutdown()
        server.server_close()
    assert [one["job"]["name"] for one in received] == ["v1.run", "v1.gate"]
    assert {one["name"] for one in received[0]["inputs"]} == {"web", "books"}
    sent = received[1]["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    verdict = json.loads((release / "verdict.json").read_text())["expectations"]
    assert [one["success"] for one in sent] == [one["status"] == "pass" for one in verdict]
    assert events[0]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == len(kept)


def test_spdx_is_valid_by_its_own_model(release, tmp_path) -> None:
    from spdx_python_model import v3_0_1 as model

    objects = model.SHACLObjectSet()
    with open(standard(release, tmp_path, "spdx"), "rb") as file:
        model.JSONLDDeserializer().read(file, objects)
    model.JSONLDSerializer().write(objects, io.BytesIO())  # which refuses what lacks a mandatory property
    (dataset,) = objects.foreach_type(model.dataset_DatasetPackage)
    assert dataset.name == "v1"
    assert "36 email" in dataset.comment
    files = list(objects.foreach_type(model.software_File))
    shards = {
        f"data/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in (release / "data").iterdir()
    }
    assert {file.name: file.verifiedUsing[0].hashValue for file in files} == shards
    assert objects.missing_ids == set()
    # Books have no licence that is known, so nothing is asserted of the whole.
    (declared,) = (one for one in objects.foreach_type(model.Relationship) if "License" in one.relationshipType)
    assert "NoAssertionLicense" in str(declared.to[0])
    assert list(objects.foreach_type(model.simplelicensing_LicenseExpression)) == []


def test_a_licence_is_said_of_the_whole_only_if_all_of_it_has_one() -> None:
    def given(*licences: str | None) -> StandardInput:
        rows = [
            dict.fromkeys(COLUMNS) | {"source": "s", "n_tokens": 9 - i, "licence": of} for i, of in enumerate(licences)
        ]
        schema = pa.schema([("source", pa.string()), ("n_tokens", pa.int64()), ("licence", pa.string())])
        for name in COLUMNS:
            schema = schema if name in schema.names else schema.append(pa.field(name, pa.string()))
        counts = PaperCounts()
        counts.add(pa.Table.from_pylist(rows, schema=schema))
        release = ReleasedPaper("v1", "0" * 64, {"files": []}, {"sources": []}, ())
        return StandardInput(release, counts, {}, (), "v1", "2026-11-27")

    assert croissant(given("MIT", "CC0-1.0"))["license"] == ["MIT", "CC0-1.0"]
    expressions = [one.get("simplelicensing_licenseExpression") for one in spdx(given("MIT", "A OR B"))["@graph"]]
    assert "(MIT) AND (A OR B)" in expressions
    for lacking in (None, "unknown"):
        assert "license" not in croissant(given("MIT", lacking))
        assert "not known (1 document)" in given("MIT", lacking).about


def test_each_release_gets_its_own_standards(release, tmp_path) -> None:
    other = tmp_path / "v2"
    shutil.copytree(release, other)
    manifest = json.loads((other / "MANIFEST.json").read_text())
    (other / "MANIFEST.json").write_text(json.dumps(manifest | {"release": "v2"}))
    both = [str(release), str(other)]
    made = papers.write_papers(both, str(tmp_path / "p"), ["prov", "ab-2013"], "2026-11-27")
    names = ["ab-2013.md", "ab-2013.html", "ab-2013.json", "prov-v1.json", "prov-v2.json"]
    assert [pathlib.Path(path).name for path in made] == names
    (other / "MANIFEST.json").write_text(json.dumps(manifest | {"salt": "other"}))
    with pytest.raises(RecipeError, match="one name"):
        papers.write_papers(both, str(tmp_path / "q"), ["prov"], "2026-11-27")


def test_a_report_upstream_counts_what_is_wrong_with_a_source(release) -> None:
    ledger = pa.concat_tables(
        pq.read_table(path) for path in sorted((release / "ledger").glob("*.parquet"))
    ).to_pylist()
    owner = {row["id"]: row["source"] for row in ledger}
    wrong: dict[str, int] = {}
    for row in ledger:
        if row["source"] == "books" and row["reason"] in FAULTS:
            own = owner.get(row["survivor_id"]) == "books" or not row["reason"].endswith("_duplicate")
            wrong[row["reason"]] = wrong.get(row["reason"], 0) + own
    books = upstream_report(str(release), "books")
    assert books.faults == wrong
    assert {"empty_text", "near_duplicate"} <= set(wrong)
    assert books.documents == sum(row["source"] == "books" for row in ledger)
    web = upstream_report(str(release), "web")
    assert web.unreadable == {"bad_json": 1}
    (example,) = web.examples
    assert (example.path, example.row, example.text) == ("a.jsonl", 36, "not json")


def test_a_report_upstream_shows_text_cut_and_escaped(release, tmp_path) -> None:
    text = as_issue(upstream_report(str(release), "books"))
    assert HOSTILE in text.replace("\\u0060", "`").replace("`` ", "").replace(" ``", "")  # it is there, as code
    assert "<script" not in re.sub(r"(`+).*?\1", "", text.split("```json")[0])
    machine = json.loads(text.split("```json\n")[1].split("\n```")[0])
    assert machine == json.loads(as_machine_report(upstream_report(str(release), "books")))
    assert str(tmp_path.parent) not in text  # no path of this machine
    hidden = upstream_report(str(release), "books", with_text=False)
    assert {one.text for one in hidden.examples} == {None}
    long = dataclasses.replace(hidden.examples[0], text=_cut("x" * 1000))
    assert "x" * 201 not in as_issue(dataclasses.replace(hidden, examples=(long,)))


def test_the_command_reports_upstream_or_says_what_is_there(release, tmp_path) -> None:
    out = tmp_path / "issue.md"
    done = CliRunner().invoke(app, ["report-upstream", str(release), "web", "-o", str(out)])
    assert done.exit_code == 0
    assert "| bad\\_json | 1 | cannot be read |" in out.read_text()
    with pytest.raises(RecipeError, match=r"has no source 'wep'.*web"):
        upstream_report(str(release), "wep")


def test_a_release_s_name_leads_nowhere(release, tmp_path) -> None:
    """Whatever its manifest says that it is called."""
    other = tmp_path / "v2"
    shutil.copytree(release, other)
    manifest = json.loads((other / "MANIFEST.json").read_text())
    (other / "MANIFEST.json").write_text(json.dumps(manifest | {"release": "../../x"}))
    made = papers.write_papers([str(release), str(other)], str(tmp_path / "p"), ["prov"], "2026-11-27")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["prov-..-..-x.json", "prov-v1.json"]
    assert len(made) == 2


@pytest.mark.slow
def test_a_recipe_asks_for_papers_of_each_release_that_passes(release, tmp_path) -> None:
    path = release.parent.parent / "recipe.yaml"
    asked = ["papers=[prov, ab-2013]", f"output.path={tmp_path}", "release=v2"]
    for changes, made in ((["ratio.max_synthetic_share=0.9"], True), (["ingest.max_bad_fraction=0.001"], False)):
        recipe = load_recipe(str(path), [*asked, *changes])
        found = api.run(recipe, str(path.parent), replace=True)
        assert found.verdict.passed == made
        assert len(list((tmp_path / "v2.papers").iterdir())) == 4  # a rejection touches none
    with pytest.raises(RecipeError, match="did you mean 'croissant'"):
        load_recipe(str(path), ["papers=crossant"])
    assert recipe.fingerprint() == load_recipe(str(path), [*asked[1:], *changes]).fingerprint()


def test_a_recipe_names_every_paper() -> None:
    assert set(PaperName.__args__) == set(papers.PAPERS)
