"""The header of a dataset card says what the hub's own tools would say of the same shards."""

import datasets
import huggingface_hub
import pytest
import yaml

from expectations import contracts
from expectations.report.hub_header import hub_header


def row(metric: str, value: float, kind: str = "overall", slice_: str = "", stage: str = "after") -> dict:
    return {"metric": metric, "stage": stage, "slice_kind": kind, "slice": slice_, "value": value}


ROWS = [
    row("documents", 40_000),
    row("documents", 90_000, stage="before"),
    row("documents", 7, "language", "zh-TW"),
    row("documents", 9, "language", "en"),
    row("documents", 9, "language", "unknown"),
    row("documents", 0, "language", "fr"),
    row("documents", 3, "origin", "synthetic"),
    row("tokens", 3, "licence", "CC-BY-4.0"),
    row("tokens", 3, "licence", "PSF-2.0"),
    row("tokens", 0, "licence", "MIT"),
]
SCHEMA = contracts.release(("url",)).schema


def header(rows=ROWS, schema=SCHEMA, name: str = "mix-v1") -> dict:
    text = hub_header(name, rows, schema, 1234) + "\n\n# Card\n"
    return huggingface_hub.DatasetCard(text).data.to_dict()


def test_features_are_those_that_datasets_reads_from_the_shards() -> None:
    theirs = datasets.Features.from_arrow_schema(SCHEMA)
    assert header()["dataset_info"]["features"] == theirs._to_yaml_list()


def test_it_says_what_is_in_the_release_and_nothing_that_is_not() -> None:
    found = header()
    assert found["language"] == ["en", "zh"]
    assert found["license"] == ["cc-by-4.0", "other"]
    assert found["size_categories"] == ["10K<n<100K"]
    info = datasets.DatasetInfo._from_yaml_dict(found["dataset_info"])
    assert (info.splits["train"].num_examples, info.splits["train"].num_bytes, info.download_size) == (
        40_000,
        1234,
        1234,
    )
    assert found["tags"] == ["lowbackground", "synthetic"]


def test_of_an_empty_release_it_says_no_shards() -> None:
    found = header([row("documents", 0)], None)
    assert {"configs", "dataset_info", "language"}.isdisjoint(found)
    assert (found["license"], found["size_categories"]) == (["unknown"], ["n<1K"])


@pytest.mark.parametrize("name", ["a: b", "- x", "yes", "2026", "名\n---\nlicense: mit", "'\"#"])
def test_a_name_is_a_text_whatever_is_in_it(name) -> None:
    text = hub_header(name, ROWS, SCHEMA, 1)
    assert yaml.safe_load(text[4:-3])["pretty_name"] == name
    assert text.count("\n---") == 1
