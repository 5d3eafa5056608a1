"""Labels of duplicates made in parts are those of union-find in one place, whatever the graph, its batches and the parts."""

import collections
import itertools
import pathlib

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cluster_scale import labelled
from expectations import contracts
from tests.transforms.measures.test_tally import filled
from transforms.dedup import clusters
from transforms.dedup.clusters import (
    EDGE,
    LABELS,
    JoinLabels,
    LabelClusters,
    TooManyLeftError,
    candidates_and_labels,
    dedup_parts,
)
from transforms.engine import counted
from transforms.ingest.sources import Split, Splits
from transforms.kernels.similarity import components
from transforms.kernels.similarity.minhash import mixed
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore

N = 100_000  # contents of a skewed graph
Sides = tuple[np.ndarray, np.ndarray]


def edges(left: np.ndarray, right: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(side.astype(np.uint64)) for side in (left, right)], schema=EDGE)


def expected(batches: list[pa.RecordBatch]) -> list[list[int]]:
    sides = [np.concatenate([batch.column(side).to_numpy() for batch in batches]) for side in (0, 1)]
    return [column.tolist() for column in components.forest(*sides)]


def columns(labels: pa.Table | pa.RecordBatch) -> list[list[int]]:
    return [column.to_pylist() for column in labels.columns]


node = st.integers(0, 40).map(lambda n: n * (2**64 - 1) // 40)
some_edges = st.lists(st.lists(st.tuples(node, node), min_size=1, max_size=12), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(batches=some_edges, parts=st.integers(2, 50), rounds=st.integers(1, 4))
def test_labels_are_those_of_union_find(batches: list[list[tuple[int, int]]], parts: int, rounds: int) -> None:
    """However many rounds: what they leave is linked in the end."""
    dealt = [edges(*np.array(batch, np.uint64).T) for batch in batches]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "ROUNDS", rounds)
        found, shuffles = labelled(dealt, parts)
    assert columns(found) == expected(dealt)
    assert len(shuffles) == rounds + 1


content = mixed(np.arange(1, N + 1, dtype=np.uint64))
SKEWED: dict[str, Sides] = {
    "star": (np.full(N - 1, content.min()), content[content != content.min()]),
    "star around its largest": (np.full(N - 1, content.max()), content[content != content.max()]),
    "chain": (content[:-1], content[1:]),
    "chain in order": (np.sort(content)[:-1], np.sort(content)[1:]),
    "giant": (content[1:], content[(mixed(content[1:]) % np.arange(1, N, dtype=np.uint64)).astype(np.int64)]),
    "grid": (np.r_[content[:-1], content[:-316]], np.r_[content[1:], content[316:]]),
    "pairs": (content[::2], content[1::2]),
    "stars": (content.reshape(-1, 100).min(axis=1).repeat(100), content),
}


@pytest.mark.parametrize("graph", SKEWED)
def test_skewed_graphs_shrink_with_each_round(graph: str) -> None:
    """Every edge by itself, or with some others of its larger content, as in a corpus of very many splits."""
    left, right = np.sort(np.stack(SKEWED[graph]), axis=0)
    dealt = np.argsort(mixed(right) % np.uint64(1000), kind="stable")
    batches = [edges(left[part], right[part]) for part in np.array_split(dealt, 1000)]
    found, shuffles = labelled(batches, 31)
    assert columns(found) == expected(batches)
    left_over = [shuffle.nodes for shuffle in shuffles]
    if graph == "chain in order":  # each is the root of the next: only what is in one part by accident is linked
        assert left_over[-1] > 0.5 * N  # and what is left is linked in the end
        return
    if graph in ("star", "stars", "pairs"):  # what dedup makes of a bucket: all in it are linked to its smallest
        assert left_over[1:] == [0, 0, 0]
    assert all(after <= 0.8 * before for before, after in itertools.pairwise(left_over)), left_over
    assert max(shuffle.rows for shuffle in shuffles) <= 3 * len(left)


def test_more_than_one_place_can_link_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [edges(*sides) for sides in zip(*(np.array_split(side, 500) for side in SKEWED["chain"]), strict=True)]
    monkeypatch.setattr(clusters, "MOST_LEFT", 10)
    with pytest.raises(
        TooManyLeftError, match=r"^after 3 rounds .* one worker links 10; raise dedup\.min_similarity, or"
    ):
        labelled(batches, 7)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_each_split_is_told_the_labels_of_its_own_documents(parts: int, tmp_path: pathlib.Path) -> None:
    """Through the graph. A content may be in many splits, and more than once in one; a split may have none, or no label."""
    held = {0: [3, 5, 3, 9], 1: [5, 8], 2: [77, 78], 3: [100], 4: [1, 3, 9]}
    linked = [edges(*np.array(pairs, np.uint64).T) for pairs in ([(3, 5)], [(8, 9), (5, 9)], [(100, 101)])]
    documents = [
        filled(contracts.CANDIDATE, len(of), content=of, split=[split] * len(of)) for split, of in held.items()
    ]

    def in_one(found: list[pa.RecordBatch]) -> None:
        (labels,) = found
        assert columns(labels) == [[3, 5, 8, 9, 100, 101], [3, 3, 3, 3, 100, 100]]

    def joined(found: list[tuple[int, list[pa.RecordBatch]]]) -> None:
        told = {split: candidates_and_labels(group) for split, group in found}
        assert {split: candidates["content"].to_pylist() for split, (candidates, _) in told.items()} == held
        labels = {split: dict(zip(*columns(labels), strict=True)) for split, (_, labels) in told.items()}
        assert labels == {0: {3: 3, 5: 3, 9: 3}, 1: {5: 3, 8: 3}, 2: {}, 3: {100: 100}, 4: {3: 3, 9: 3}}

    root = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    labels = root | "Edges" >> counted.Create("edges", linked, pa.RecordBatch) | LabelClusters(parts, 3)
    candidates = root | "Rows" >> counted.Create("rows", documents, pa.RecordBatch)
    if parts == 1:
        assert_that(labels, in_one)
    else:
        assert_that((candidates, labels) | JoinLabels(parts), joined)
    root | "Total" >> counted.Total(str(tmp_path / "counts"))
    root.run().wait_until_finish()
    found = counted.counts(str(tmp_path / "counts"))
    counted.check(found, {"edges": 3, "rows": 5})
    assert len(found) == 3 if parts == 1 else len(found) >= 8


def test_no_part_is_that_of_all_large_clusters() -> None:
    """The smallest of many contents is a small one: parts of ranges would give the first of them every large cluster."""
    roots = np.array([mixed(np.arange(n * 500, n * 500 + 500, dtype=np.uint64)).min() for n in range(200)])
    batch = pa.RecordBatch.from_arrays([pa.array(roots)] * 2, schema=LABELS)
    sizes = collections.Counter({part: rows.num_rows for part, rows in clusters.by_part(roots, batch, 10)})
    assert max(sizes.values()) < 40
    assert sum(sizes.values()) == 200


@pytest.mark.parametrize(
    ("size", "asked", "parts"),
    [(31 << 30, None, 1), (32 << 30, None, 8), (99 << 40, None, 1024), (1, 7, 7), (99 << 40, 1, 1)],
)
def test_parts_follow_the_size_of_the_input(size: int, asked: int | None, parts: int) -> None:
    corpus = Corpus((), Splits([Split(0, 0, (), size)]), SignalStore("nowhere", ()))
    assert dedup_parts(corpus, asked) == parts
