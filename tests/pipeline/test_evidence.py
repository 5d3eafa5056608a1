"""Evidence of origin in whole runs: every basis, who is believed, what is shown, asked and gated."""

import json
import pathlib
import pydoc_data.topics
import re
import sys
from collections.abc import Iterator

import c2pa_text
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from expectations import contracts
from pipeline import runner
from pipeline.cli import _exit_code_of
from pipeline.commands.explain import explain_document
from pipeline.recipe import RecipeError, load_recipe
from tests.pipeline.test_store import signals_in
from transforms.origin.phrase_files import PhraseError
from transforms.origin.watermarks import WatermarkError
from transforms.signals.beginnings import TEXT_CHARS

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
PLUGINS = pathlib.Path(__file__).parent.parent / "plugins"
PHRASE = "As an AI language model, I do not have a favourite season."
MANIFEST = b"\0\0\0\x20jumb digitalSourceType trainedAlgorithmicMedia"
TOPICS = [text[:1500] for _, text in sorted(pydoc_data.topics.topics.items()) if len(text) > 1500]
# Written by a model, for this test: what the bundled detector knows best.
GENERATED = [
    "It is important to note that in today's rapidly evolving world, technology plays a crucial role in shaping our lives. "
    "Furthermore, it offers numerous benefits that can enhance our overall well-being. In conclusion, by embracing innovation "
    "and fostering collaboration, we can create a brighter future for generations to come. Moreover, it is essential to "
    "navigate potential challenges with care, ensuring that everyone has the opportunity to thrive.",
    "In recent years, sustainable agriculture has emerged as a vital solution to the pressing issue of food security. "
    "Additionally, this approach not only promotes environmental stewardship but also supports local communities. "
    "Furthermore, it is crucial to recognize the significant impact of education and awareness in driving meaningful change. "
    "Overall, a comprehensive strategy that fosters resilience and inclusivity is essential for long-term success.",
    "Effective communication is a fundamental aspect of building strong and meaningful relationships in the workplace. "
    "Moreover, active listening plays a pivotal role in fostering mutual respect and understanding among team members. "
    "Additionally, it is essential to cultivate an environment that encourages open dialogue and diverse perspectives. "
    "In conclusion, by prioritizing empathy and transparency, organizations can enhance productivity and overall well-being.",
]


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """The plug-in of tests/plugins, as installed."""
    sys.path.insert(0, str(PLUGINS))
    yield
    sys.path.remove(str(PLUGINS))


def corpus() -> dict[str, dict[str, dict]]:
    """By source and id: every basis, alone and against another."""
    import greenlist_watermark

    text = iter(TOPICS)
    words = sorted(set(re.findall("[a-z]+", " ".join(TOPICS[:3]).lower())))
    credential = c2pa_text.encode_wrapper(MANIFEST)
    return {
        "books": {  # declared human
            "plain": {"text": next(text)},
            "credential": {"text": next(text) + credential},
            "phrase": {"text": PHRASE + "\n" + next(text)},
            "quoting": {"text": next(text) + f'\n"{PHRASE}" is how they used to begin.'},
            "marked": {"text": greenlist_watermark.write("k1", words, 200, seed="books")},
        },
        "web": {  # not declared
            "unscored": {"text": "Too short to say."},
            "scored": {"text": next(text)},
            "webphrase": {"text": next(text) + "\n" + PHRASE},
            "webmarked": {"text": greenlist_watermark.write("k1", words, 200, seed="web")},
            "malformed": {"text": next(text) + credential[:-1]},
            "silent": {"text": next(text) + c2pa_text.encode_wrapper(MANIFEST.replace(b"trained", b"........"))},
            "saysso": {"text": next(text), "origin": "human", "created": "2015-01-01"},
        },
        "archive": {  # dates are trusted
            "old": {"text": next(text), "created": "2015-07-01"},
            "oldphrase": {"text": next(text) + "\n" + PHRASE, "created": "2021-07-01"},
            "oldmarked": {"text": greenlist_watermark.write("k1", words, 200, seed="old"), "created": "2015-07-01"},
            "new": {"text": next(text), "created": "2024-01-01"},
            "epoch": {"text": next(text), "created": "1970-01-01"},
            "oldgenerated": {"text": next(text), "created": "2015-07-01", "origin": "synthetic"},
        },
        "machine": {f"m{number}": {"text": text} for number, text in enumerate(GENERATED)},  # declared human
    }


def run(folder: pathlib.Path, data: dict[str, dict[str, dict]], files: int = 1, **changes: object) -> runner.Result:
    settings: dict[str, dict] = {
        "books": {"origin": "human"},
        "archive": {"trust_dates": True},
        "machine": {"origin": "human"},
    }
    for source, records in data.items():
        (folder / source).mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"id": name, **record}) for name, record in records.items()]
        for number in range(files):
            path, text = folder / source / f"{number}.jsonl", "\n".join(lines[number::files])
            if not path.exists() or path.read_text() != text:  # a file that changes is read again
                path.write_text(text)
    recipe = {
        "release": "test",
        "sources": [{"name": name, "path": name, **settings.get(name, {})} for name in data],
        "ratio": {"max_synthetic_share": 1},
        "evidence": {"watermarks": [{"name": "greenlist", "max_fpr": 1e-6, "options": {"key": "k1"}}]},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": "out"},
        **changes,
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(loaded, runner.prepare(loaded, str(folder)), QUIET, replace=True)


def read(result: runner.Result, what: str) -> list[dict]:
    files = sorted(pathlib.Path(result.folder, what).glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in files]).to_pylist()


def metric(result: runner.Result, name: str, stage: str, slice_: str = "") -> float | None:
    rows = pq.read_table(f"{result.folder}/metrics.parquet").to_pylist()
    return next(r["value"] for r in rows if (r["metric"], r["stage"], r["slice"]) == (name, stage, slice_))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> runner.Result:
    """One run that the tests below look at from all sides."""
    return run(tmp_path_factory.mktemp("evidence"), corpus())


EXPECTED = {
    "plain": ("human", "declared", {"declared:human"}),
    "credential": ("synthetic", "credential", {"credential:synthetic:unverified", "declared:human"}),
    "phrase": ("human", "declared", {"declared:human", "boilerplate:synthetic"}),
    "quoting": ("human", "declared", {"declared:human"}),
    "marked": ("human", "declared", {"declared:human", "watermark:synthetic"}),
    "unscored": ("unknown", "none", set()),
    "scored": (None, "detector", set()),
    "webphrase": ("synthetic", "boilerplate", {"boilerplate:synthetic"}),
    "webmarked": ("synthetic", "watermark", {"watermark:synthetic"}),
    "malformed": (None, "detector", {"credential:malformed"}),
    "silent": (None, "detector", {"credential:unverified"}),
    "saysso": ("human", "declared", {"declared:human"}),  # this source's dates are not trusted
    "old": ("human", "date", {"date:human"}),
    "oldphrase": ("human", "date", {"date:human", "boilerplate:synthetic"}),
    "oldmarked": ("synthetic", "watermark", {"watermark:synthetic", "date:human"}),
    "new": (None, "detector", set()),
    "epoch": (None, "detector", set()),
    "oldgenerated": ("synthetic", "declared", {"declared:synthetic", "date:human"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_who_is_believed(released: runner.Result, name: str) -> None:
    origin, basis, evidence = EXPECTED[name]
    row = next(row for row in read(released, "ledger") if row["input_id"] == name)
    assert row["origin_basis"] == basis
    assert row["origin"] == origin or origin is None
    assert set(row["evidence"].split()) - {"detector:synthetic"} == evidence
    assert row["boilerplate"] == ("en-as-an-ai" if "boilerplate:synthetic" in evidence else None)
    assert row["watermark"] == ("greenlist/key-2" if "watermark:synthetic" in evidence else None)


def test_every_basis_but_that_of_reviewers_occurs(released: runner.Result) -> None:
    assert {row["origin_basis"] for row in read(released, "ledger")} == set(contracts.BASES) - {"reviewed"}


def test_a_release_says_what_its_rows_rest_on_and_leaves_the_text_alone(released: runner.Result) -> None:
    records = {name: record for source in corpus().values() for name, record in source.items()}
    ledger = {row["id"]: row for row in read(released, "ledger")}
    for row in read(released, "data"):
        assert row["text"] == records[row["input_id"]]["text"]  # with its credential, whole or broken
        assert (row["evidence"], row["origin_basis"]) == tuple(
            ledger[row["id"]][k] for k in ("evidence", "origin_basis")
        )


def test_credentials_are_counted_and_stay(released: runner.Result) -> None:
    """What C2PA's own library says of the texts that went in, and of those that came out."""
    records = [record for source in corpus().values() for record in source.values()]
    whole = sum(c2pa_text.extract_manifest(record["text"])[0] is not None for record in records)
    broken = sum(
        c2pa_text.extract_manifest(record["text"])[0] is None and "\ufeff" in record["text"] for record in records
    )
    assert metric(released, "credentials.documents", "before") == whole + broken > broken > 0
    assert metric(released, "credentials.documents", "before", "malformed") == broken
    out = [row["text"] for row in read(released, "data")]
    kept = sum("\ufeff" in text for text in out)
    assert metric(released, "credentials.documents", "after") == kept > 0
    assert json.loads(pathlib.Path(released.folder, "MANIFEST.json").read_bytes())["counts"]["credentials"] == kept
    page = pathlib.Path(released.folder, "report", "index.html").read_text()
    assert "a content credential (C2PA) in the text" in page


def test_conflicts_are_counted_asked_about_and_shown(released: runner.Result) -> None:
    disputed = {
        row["input_id"]: row
        for row in read(released, "ledger")
        if {"declared:human", "date:human"} & {*row["evidence"].split()} and ":synthetic" in row["evidence"]
    }
    assert {"credential", "phrase", "marked", "oldphrase", "oldmarked", "oldgenerated"} <= set(disputed)
    assert {"m0", "m1", "m2"} <= set(disputed)  # machine text that is declared human
    kept = [row for row in disputed.values() if row["kept"]]
    assert metric(released, "origin.conflicts", "before") == len(disputed)
    assert metric(released, "origin.conflicts", "after") == len(kept)
    books = sum(row["source"] == "books" for row in disputed.values())
    assert metric(released, "origin.conflicts", "before", "books") == books == 3
    assert metric(released, "origin.conflict_rate", "before", "books") == books / 5
    assert metric(released, "origin.conflicts", "before", "date/boilerplate") == 1
    page = pathlib.Path(released.folder, "report", "index.html").read_text()
    assert "Where the evidence disagrees" in page

    table = pq.read_table(f"{released.folder}/review/queue.parquet")
    assert table.schema.equals(contracts.REVIEW.schema)
    queue = table.to_pylist()
    assert {row["id"] for row in queue} == {row["id"] for row in disputed.values() if row["stage"] != "dedup"}
    by_id = {row["id"]: row for row in disputed.values()}
    records = {name: record for source in corpus().values() for name, record in source.items()}
    for row in queue:
        ledger = by_id[row["id"]]
        assert row["text"] == records[ledger["input_id"]]["text"][:TEXT_CHARS]
        same = ("source", "evidence", "p_synthetic", "n_tokens")
        assert [row[name] for name in same] == [ledger[name] for name in same]
    reasons = list(dict.fromkeys(row["reason"] for row in queue))
    assert reasons == [r for r in ("declared/credential", "date/declared", "declared/watermark", "date/watermark",
                                   "declared/boilerplate", "date/boilerplate", "declared/detector") if r in reasons]  # fmt: skip
    assert len(reasons) == 7


def test_the_queue_is_bounded_and_does_not_depend_on_files(released: runner.Result, tmp_path: pathlib.Path) -> None:
    watermarks = [{"name": "greenlist", "max_fpr": 1e-6, "options": {"key": "k1"}}]
    short = run(
        tmp_path, corpus(), files=3, evidence={"watermarks": watermarks, "queue": 2}, ingest={"split_bytes": 2000}
    )
    queue, whole = (pq.read_table(f"{r.folder}/review/queue.parquet").to_pylist() for r in (short, released))
    first: list[dict] = []
    for row in whole:
        if sum(other["reason"] == row["reason"] for other in first) < 2:
            first.append(row)
    assert len(first) < len(whole)
    assert queue == first


def test_explain_says_who_said_what(released: runner.Result) -> None:
    said = explain_document(released.folder, "marked", texts=False)
    assert "declared says human" in said
    assert "watermark says synthetic: 'greenlist/key-2', p-value" in said
    assert "phrase 'en-as-an-ai' (an assistant speaks of itself)" in explain_document(released.folder, "webphrase")
    assert "its signature was not verified" in explain_document(released.folder, "credential")
    assert "is damaged" in explain_document(released.folder, "malformed")
    assert "older than evidence.date_cutoff" in explain_document(released.folder, "old")
    assert "no watermark: the smallest p-value is" in explain_document(released.folder, "plain")


def test_a_gate_may_forbid_conflicts(tmp_path: pathlib.Path) -> None:
    expectation = {"expect": "metric_to_be_between", "metric": "origin.conflict_rate", "stage": "before",
                   "slice_kind": "source", "max": 0.5}  # fmt: skip
    books = {"books": corpus()["books"]}
    assert run(tmp_path, books, expectations={"expectations": [expectation]}).exit_code == runner.FAILED
    assert pq.read_table(tmp_path / "out" / "test.rejected" / "review" / "queue.parquet").num_rows == 3
    phrases = expectation | {"slice_kind": "conflict", "slice": "declared/boilerplate", "max": 0.25}
    assert run(tmp_path, books, expectations={"expectations": [phrases]}).exit_code == runner.PASSED


def test_what_a_removed_paragraph_said_still_counts(tmp_path: pathlib.Path) -> None:
    """What a model leaves in many texts is a paragraph that many texts have."""
    phrase = "As an AI language model, I do not have a favourite season of the year."
    data = {"web": {str(n): {"text": phrase + "\n" + TOPICS[n]} for n in range(4)}}
    result = run(tmp_path, data, dedup={"paragraphs": {"remove": True, "max_documents": 2}})
    assert {row["origin_basis"] for row in read(result, "ledger")} == {"boilerplate"}
    assert not any("favourite season" in row["text"] for row in read(result, "data"))


@pytest.mark.slow
def test_what_is_switched_off_is_silent_and_other_evidence_is_looked_for_again(tmp_path: pathlib.Path) -> None:
    data = {"web": corpus()["web"], "books": corpus()["books"]}
    off = run(tmp_path, data, evidence={"credentials": False, "boilerplate": False, "queue": 0})
    assert {row["origin_basis"] for row in read(off, "ledger")} == {"none", "declared", "detector"}
    before = signals_in(tmp_path)
    own = {"entries": [{"id": "mine", "language": "en", "proves": "a test", "where": "anywhere", "contains": ["too short"],
                        "pattern": "^too short to", "example": "Too short to say."}]}  # fmt: skip
    (tmp_path / "own.yaml").write_text(json.dumps(own))
    found = run(tmp_path, data, evidence={"phrases": "own.yaml"})
    assert next(r for r in read(found, "ledger") if r["input_id"] == "unscored")["boilerplate"] == "mine"
    after = signals_in(tmp_path)
    assert len(after) == 2 * len(before)
    run(tmp_path, data, evidence={"phrases": "own.yaml", "date_cutoff": "2000-01-01", "queue": 7})
    assert signals_in(tmp_path) == after  # nothing was read again


def test_a_worker_that_meets_a_broken_plug_in_says_so(tmp_path: pathlib.Path) -> None:
    broken = {"watermarks": [{"name": "broken", "max_fpr": 0.01, "options": {"how": "large"}}]}
    with pytest.raises(runner.RunError, match=r"watermark 'broken' \(version 0\): 1\.5 is no p-value"):
        run(tmp_path, {"web": corpus()["web"]}, evidence=broken)


def test_wrong_evidence_settings_are_refused_in_one_line(tmp_path: pathlib.Path) -> None:
    web = {"web": corpus()["web"]}
    with pytest.raises(PhraseError, match=r"none\.yaml: not found") as no_file:
        run(tmp_path, web, evidence={"phrases": "none.yaml"})
    with pytest.raises(WatermarkError, match="no installed package declares it") as no_plugin:
        run(tmp_path, web, evidence={"watermarks": [{"name": "gone", "max_fpr": 0.01}]})
    assert _exit_code_of(no_file.value) == _exit_code_of(no_plugin.value) == 2
    with pytest.raises(RecipeError, match=r"evidence\.watermarks\.0\.max_fpr' is missing"):
        run(tmp_path, web, evidence={"watermarks": [{"name": "greenlist"}]})
    with pytest.raises(RecipeError, match=r"evidence\.date_cutoff: .*less than or equal to 2022-11-30"):
        run(tmp_path, web, evidence={"date_cutoff": "2024-01-01"})
