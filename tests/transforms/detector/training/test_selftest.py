"""Planted shares: the estimate is right where the reference knows the writers, and the bound holds."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.detector.training.labelled import TrainingError, read_labelled
from transforms.detector.training.selftest import IN_FAMILY, LEFT_OUT, REPEATS, SHARES, WITH_OWN, selftest, table

FAMILIES = {"": 0.0, "easy": 6.0, "fair": 4.0}  # mean of the scores; human text has none


def words(seed: str) -> str:
    """Sixty words that no other text has in this order."""
    digest = hashlib.sha512(seed.encode()).digest()
    return " ".join(f"w{byte % 50}" for byte in digest[:60])


ONE = ("model",)  # the only expert


def labelled(folder, n: int = 1500, families: dict[str, float] = FAMILIES):
    """Texts, and scores of one expert."""
    rows = [
        {"text": words(f"{name} {i}"), "label": "ai" if name else "human", "generator": name,
         "source_dataset": f"source{i % 4}", "domain": "letters"}
        for name in families
        for i in range(n)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "labelled.parquet")
    found = read_labelled([str(folder / "labelled.parquet")])
    generator = np.random.default_rng(3)  # a test may draw; the product hashes
    means = np.array([families[name] for name in found.group("generator")])
    return found, generator.normal(means - 2, 1.5).astype(np.float32)[:, None]


def test_in_family_the_estimate_is_right(tmp_path):
    rows = [row for row in selftest(*labelled(tmp_path), ONE) if row.family == IN_FAMILY]
    assert [row.share for row in rows] == list(SHARES)
    for row in rows:
        assert row.runs == REPEATS
        assert row.error <= (0.02 if row.share <= 0.25 else 0.06)
        assert abs(row.bias) <= row.error + 1e-12
        assert row.covered >= 0.95
        assert row.bound == 1  # two generators are too few for a bound


def test_a_source_and_a_generator_that_are_left_out_are_reported_apart(tmp_path):
    """Three generators and four sources, so there is an allowance; the hard one would be missed without it."""
    rows = {
        (row.family, row.share): row for row in selftest(*labelled(tmp_path, families=FAMILIES | {"hard": 2.5}), ONE)
    }
    assert {family for family, _ in rows} - {WITH_OWN} == {
        IN_FAMILY,
        LEFT_OUT,
    }  # own text takes 200 documents of a kind
    for what in {family for family, _ in rows} - {IN_FAMILY}:
        assert [share for family, share in rows if family == what] == list(SHARES)
        assert rows[what, 0.0].covered == 1
        assert rows[what, 0.0].bound < rows[what, 0.25].bound


def test_languages_are_planted_alike_and_reported_apart(tmp_path):
    """In the weak language little is known, so it says so there, and the whole is still right."""
    documents, scores = labelled(tmp_path)
    languages = np.where(documents.key % np.uint64(3) == 0, "xx", "yy").astype(object)
    own = {"xx": ["le", "la", "et"], "yy": ["the", "and", "of"]}
    spoken = [
        f"{text} {' '.join(own[name] * 12)}"
        for text, name in zip(documents.canonical.to_pylist(), languages, strict=True)
    ]
    columns = {
        "text": spoken,
        "label": ["ai" if machine else "human" for machine in documents.machine],
        "generator": documents.group("generator").tolist(),
        "language": languages.tolist(),
    }
    pq.write_table(pa.table(columns), tmp_path / "two.parquet")
    found = read_labelled([str(tmp_path / "two.parquet")])
    assert (found.machine == documents.machine).all()  # in the same order
    weak = np.where((languages == "xx")[:, None], scores / 4, scores).astype(np.float32)
    rows = {(row.family, row.share): row for row in selftest(found, weak, ONE)}
    assert {family for family, _ in rows if family.startswith(IN_FAMILY)} == {
        IN_FAMILY, f"{IN_FAMILY}, language xx", f"{IN_FAMILY}, language yy"
    }  # fmt: skip
    assert rows[IN_FAMILY, 0.1].error <= 0.02
    assert rows[f"{IN_FAMILY}, language yy", 0.1].error <= 0.02


def test_it_is_the_same_every_time_and_whatever_the_order(tmp_path):
    documents, scores = labelled(tmp_path, n=900)
    assert selftest(documents, scores, ONE) == selftest(documents, scores, ONE)


def test_documents_that_are_too_short_are_left_out(tmp_path):
    documents, scores = labelled(tmp_path, n=900)
    scores[::7] = np.nan
    assert all(np.isfinite(row.bias) for row in selftest(documents, scores, ONE))


def test_too_few_documents_are_refused_in_one_line(tmp_path):
    with pytest.raises(TrainingError, match=r"\d+ human documents .* at least 200 are needed"):
        selftest(*labelled(tmp_path, n=150), ONE)


def test_the_table_is_read_by_people(tmp_path):
    lines = list(table(selftest(*labelled(tmp_path, n=900), ONE)))
    assert lines[0] == f"{IN_FAMILY}: {REPEATS} corpora a line"
    assert all(len(line) < 80 for line in lines)
