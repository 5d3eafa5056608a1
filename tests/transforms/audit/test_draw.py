"""The sample of a release: who is in it, with what chance, in what order, and what it does not depend on."""

import collections
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_release import documents, write_release

from expectations import contracts
from transforms.audit.draw import METADATA, AuditError, Design, design_of, draw
from transforms.audit.gold import GoldError, read_gold
from transforms.kernels.statistics import sampling
from transforms.kernels.text.columns import from_hexadecimal, halves, hash_texts
from transforms.kernels.text.text import canonicalise
from transforms.release.read_release import ReleaseError, open_release


def stream(sample: pa.Table, name: str) -> list[dict]:
    return [row for row in sample.to_pylist() if row["stream"] == name]


@pytest.fixture
def release(tmp_path: pathlib.Path) -> str:
    bases = ["declared" if i % 4 == 0 else "credential" if i % 16 == 1 else "detector" for i in range(400)]
    return write_release(tmp_path / "mine", documents(400, origin_basis=bases))


def test_the_audit_stream_is_the_first_of_the_undeclared_in_hash_order(release):
    sample = draw(release, Design(n=40, active=0, salt="pepper"), None)
    undeclared = [row["id"] for i, row in enumerate(documents(400)) if i % 4 and i % 16 != 1]
    place = sampling.places(halves(from_hexadecimal(pa.array(undeclared))), "pepper", "audit").u
    expected = [undeclared[i] for i in np.argsort(place)[:40]]
    rows = sorted(stream(sample, "audit"), key=lambda row: row["draws"])
    assert [row["id"] for row in rows] == expected
    assert [row["draws"] for row in rows] == [[i] for i in range(40)]
    about = design_of(sample)
    assert (about["documents"], about["n"], about["population"]) == (len(undeclared), 40, "undeclared")
    assert {row["inclusion"] for row in rows} == {40 / len(undeclared)}


def test_everything_of_a_document_is_as_it_was_released(release):
    sample = draw(release, Design(n=30, active=10), None)
    released = {row["id"]: row for row in documents(400)}
    for row in sample.to_pylist():
        one = released[row["id"]]
        assert all(row[name] == one[name] for name in ("text", "source", "language", "n_tokens"))
        assert row["p_synthetic"] == pytest.approx(one["p_synthetic"])
        canonical, _ = canonicalise(pa.array([one["text"]], pa.large_string()))
        assert row["content_hash"] == hash_texts(canonical)[0].as_py().hex()
    assert sample.schema.remove_metadata().equals(contracts.AUDIT.schema)


@pytest.mark.parametrize("by", ["documents", "tokens"])
def test_it_does_not_depend_on_shards_or_their_order(tmp_path, by):
    design = Design(n=25, by=by, active=10, salt="s")
    one = draw(write_release(tmp_path / "a", documents(300)), design, None)
    other = draw(write_release(tmp_path / "b", documents(300)[::-1], shards=5, row_group=7), design, None)
    assert one.replace_schema_metadata(None).equals(other.replace_schema_metadata(None))


def test_the_salt_is_the_manifests_unless_one_is_given(release):
    about = design_of(draw(release, Design(n=10, active=0), None))
    assert about["salt"] == about["manifest_sha256"] == open_release(release).manifest_sha256
    one, other = (draw(release, Design(n=10, active=0, salt=salt), None)["id"] for salt in ("x", "y"))
    assert one != other


def test_by_tokens_every_draw_is_there_once_and_long_documents_more_often(tmp_path):
    rows = documents(50, n_tokens=[1] * 49 + [500])
    sample = draw(write_release(tmp_path / "r", rows), Design(n=100, by="tokens", active=0), None)
    audit = stream(sample, "audit")
    assert sorted(d for row in audit for d in row["draws"]) == list(range(100))
    longest = next(row for row in audit if row["n_tokens"] == 500)
    assert len(longest["draws"]) > 80
    assert longest["inclusion"] == pytest.approx(1)
    assert min(row["inclusion"] for row in audit) == pytest.approx(1 - (1 - 1 / 549) ** 100)


def test_the_active_stream_is_the_best_with_no_source_over_its_part(tmp_path):
    rows = documents(600, source=["abcdefghij"[min(i % 30, 9)] for i in range(600)])
    sample = draw(write_release(tmp_path / "r", rows), Design(n=20, active=50), None)
    active = stream(sample, "active")
    assert len(active) == 50
    assert max(collections.Counter(row["source"] for row in active).values()) == 10  # a fifth
    audited = {row["id"] for row in stream(sample, "audit")}
    assert not audited & {row["id"] for row in active}
    of_j = sorted((row["informative"] for row in active if row["source"] == "j"), reverse=True)
    mean = np.mean([row["p_synthetic"] for row in rows if row["source"] == "j"])
    scores = [
        -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) * (1 + abs(p - mean)) / np.sqrt(row["cluster_size"])
        for row in rows
        if row["source"] == "j" and row["id"] not in audited and 0 < (p := row["p_synthetic"]) < 1
    ]
    assert of_j == pytest.approx(sorted(scores, reverse=True)[: len(of_j)], rel=1e-4)


def gold_file(path: pathlib.Path, n: int) -> str:
    lines = [{"text": f"known text {i}", "label": ("human", "ai")[i % 2]} for i in range(n)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return str(path)


def test_gold_is_mixed_in_evenly_and_half_of_each_kind(release, tmp_path):
    gold = read_gold(gold_file(tmp_path / "gold.jsonl", 60))
    sample = draw(release, Design(n=120, active=30), gold)
    count = collections.Counter(sample["stream"].to_pylist())
    assert count["gold"] / sample.num_rows >= 0.15
    assert (count["gold"] - 1) / (sample.num_rows - 1) < 0.15
    labels = collections.Counter(row["gold_label"] for row in stream(sample, "gold"))
    assert abs(labels["human"] - labels["synthetic"]) <= 1
    places = [i for i, name in enumerate(sample["stream"].to_pylist()) if name == "gold"]
    thirds = np.histogram(places, 3, (0, sample.num_rows))[0]
    assert thirds.min() >= count["gold"] / 3 - 2
    audit = [row["draws"][0] for row in stream(sample, "audit")]
    assert audit == sorted(audit)  # whoever stops early has labelled a prefix


def test_an_items_name_says_nothing_and_is_the_only_one(release, tmp_path):
    sample = draw(release, Design(n=50, active=20), read_gold(gold_file(tmp_path / "g.jsonl", 60)))
    names = sample["item"].to_pylist()
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {16}


def test_gold_that_is_in_the_release_is_no_gold(release, tmp_path):
    """Its label would be asked twice and could not be told apart."""
    texts = [row["text"] for row in documents(400)]
    path = tmp_path / "gold.parquet"
    pq.write_table(pa.table({"text": texts, "label": ["human"] * 400}), path)
    sample = draw(release, Design(n=40, active=0), read_gold(str(path)))
    contents = sample["content_hash"].to_pylist()
    assert len(set(contents)) == len(contents)


def test_too_little_gold_is_said(release, tmp_path):
    with pytest.raises(GoldError, match="9 gold items are needed and 5 are there"):
        draw(release, Design(n=50, active=0), read_gold(gold_file(tmp_path / "g.jsonl", 5)))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"text": "a"}', "no column 'label'"),
        ('{"text": "a", "label": "perhaps"}', "unknown label 'perhaps'"),
        ('{"text": "a b", "label": "ai"}\n{"text": " A  b", "label": "human"}', "both human and synthetic"),
        ("{", "cannot be read"),
    ],
)
def test_bad_gold_is_refused(tmp_path, content, what):
    path = tmp_path / "gold.jsonl"
    path.write_text(content)
    with pytest.raises(GoldError, match=what):
        read_gold(str(path))
    with pytest.raises(GoldError, match="no such file"):
        read_gold(str(tmp_path / "none.jsonl"))


def test_a_small_population_is_taken_whole(tmp_path):
    sample = draw(write_release(tmp_path / "r", documents(20)), Design(n=311, active=100), None)
    assert design_of(sample)["n"] == 20
    assert {row["inclusion"] for row in sample.to_pylist()} == {1.0}


def test_what_cannot_be_drawn_is_said(tmp_path):
    declared = write_release(tmp_path / "d", documents(5, origin_basis=["declared"] * 5))
    with pytest.raises(AuditError, match=r"no document of undeclared origin.*--all"):
        draw(declared, Design(), None)
    assert draw(declared, Design(population="all"), None).num_rows == 5
    with pytest.raises(AuditError, match="no document, so"):
        draw(write_release(tmp_path / "e", []), Design(population="all"), None)
    with pytest.raises(AuditError, match="no document has a token"):
        draw(write_release(tmp_path / "f", documents(3, n_tokens=[0] * 3)), Design(by="tokens"), None)
    with pytest.raises(AuditError, match="a first look after 5 of 5"):
        draw(declared, Design(population="all", first_look=5), None)


def test_a_damaged_release_is_said(tmp_path, release):
    with pytest.raises(ReleaseError, match="is not a release"):
        open_release(str(tmp_path))
    manifest = pathlib.Path(release, "MANIFEST.json")
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"rows": 200', '"rows": 199', 1))
    with pytest.raises(ReleaseError, match="has 200 documents, the manifest says 199"):
        draw(release, Design(), None)
    manifest.write_text("{}")
    with pytest.raises(ReleaseError, match="damaged"):
        draw(release, Design(), None)
    manifest.write_text(whole)
    next(pathlib.Path(release, "data").iterdir()).write_bytes(b"no parquet")
    with pytest.raises(ReleaseError, match="is damaged"):
        draw(release, Design(), None)


def test_what_is_no_sample_is_refused(release):
    with pytest.raises(AuditError, match="not a sample"):
        design_of(pa.table({"text": ["a"]}))
    sample = draw(release, Design(n=5, active=0), None)
    with pytest.raises(AuditError, match="not the columns"):
        design_of(sample.drop(["draws"]))
    with pytest.raises(AuditError, match="another version"):
        design_of(sample.replace_schema_metadata({METADATA: b"{}"}))


def test_only_text_of_the_chosen_is_read(tmp_path, monkeypatch):
    """Row groups that hold none are left alone."""
    folder = write_release(tmp_path / "r", documents(640), shards=1, row_group=8)
    asked = []
    original = pq.ParquetFile.iter_batches

    def spy(self, *args, **named):
        asked.append(named)
        return original(self, *args, **named)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    draw(folder, Design(n=6, active=0), None)
    with_text = [named for named in asked if "text" in named["columns"]]
    assert 1 <= len(with_text) <= 6
    assert all(len(named["row_groups"]) == 1 for named in with_text)


def test_a_source_is_drawn_from_on_its_own(release):
    sample = draw(release, Design(n=40, active=10, source="web", salt="s"), None)
    assert {row["source"] for row in sample.to_pylist()} == {"web"}
    rows = [dict(row, declared=i % 4 == 0 or i % 16 == 1) for i, row in enumerate(documents(400))]
    web = [row for row in rows if row["source"] == "web"]
    undeclared = sum(not row["declared"] for row in web)
    one = design_of(sample)
    assert (one["source"], one["documents"]) == ("web", undeclared)
    assert one["whole"] == {"all": 200, "declared": 200 - undeclared, "synthetic": 0, "audited": undeclared}
    assert one["others"]["all"] == 200
    assert one["others"]["audited"] == 0
    with pytest.raises(AuditError, match=r"keeps no document of source 'wob', so .*; did you mean 'web'\?"):
        draw(release, Design(source="wob"), None)


@pytest.mark.parametrize("by", ["documents", "tokens"])
def test_by_score_three_of_twenty_draws_are_of_the_top(tmp_path, by):
    """A document that counts twice is drawn twice as often, as the share counts it."""
    copies = [1 + (i % 5 == 0) for i in range(600)]
    rows = documents(600, copies=copies)
    sample = draw(write_release(tmp_path / "r", rows), Design(n=200, by=by, active=0, by_score=True), None)
    one = design_of(sample)
    weight = {row["id"]: row["copies"] * (row["n_tokens"] if by == "tokens" else 1) for row in rows}
    top = {row["id"] for row in rows if row["p_synthetic"] >= one["top"]["p_synthetic"]}
    assert (
        0 < one["top"]["weight"] == sum(weight[name] for name in top) < one["whole"]["audited"] == sum(weight.values())
    )
    hits = [(draw_, row) for row in stream(sample, "audit") for draw_ in row["draws"]]
    assert len(hits) == 200
    assert sum(row["id"] in top for _, row in hits) == 30
    copied = sum(weight[row["id"]] > row["n_tokens"] * (by == "tokens") + (by != "tokens") for _, row in hits)
    assert 40 < copied < 95  # a third of the weight
    for _, row in hits:
        n, whole = (
            (30, one["top"]["weight"]) if row["id"] in top else (170, one["whole"]["audited"] - one["top"]["weight"])
        )
        assert row["inclusion"] == pytest.approx(1 - (1 - weight[row["id"]] / whole) ** n)


def test_scores_that_tell_nothing_leave_the_draw_uniform(tmp_path):
    same = draw(
        write_release(tmp_path / "r", documents(300, p_synthetic=[0.5] * 300)), Design(n=20, by_score=True), None
    )
    assert design_of(same)["top"] is None
