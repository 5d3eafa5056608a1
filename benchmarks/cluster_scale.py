"""Labels of duplicates at ten billion documents: a sample is labelled by the product's own steps, and counted up from there.

    python -m benchmarks.cluster_scale [--documents N]

The sample is documents in clusters, around a template each, that they agree with in 80 to 100 % of the rows of their
signatures; how many clusters are of which size falls with a power of the size. Their band keys meet, and pairs that are alike
become edges, as in `transforms/dedup/candidates.py`. Every document is in a split with few others that it is like, as in a large
corpus, so what a round leaves is a fraction that does not depend on how many documents there are; the largest cluster does.

Shuffles are made in memory. What is printed is counted, but for the second table, which is arithmetic on the first.
docs/scale.md has it.
"""

import argparse
import collections
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.dedup import clusters
from transforms.dedup.candidates import DedupConfig
from transforms.dedup.clusters import EDGE, LABELS, ForestFn, Keyed
from transforms.engine.coders import RecordBatchCoder
from transforms.kernels.similarity import components, lsh
from transforms.kernels.similarity.minhash import mixed
from transforms.kernels.text.columns import partition, split_by

CONFIG = DedupConfig()
IN_CLUSTERS = 5  # one document in so many is in a cluster
BYTES_OF_DOCUMENT = 708  # in storage, as in docs/scale.md
BYTES_TO_SURVIVE = 1500  # of a document of a cluster, while survivors are chosen
SPLIT = 64 << 20
SIZES = {"1 TB": 1.4e9, "7 TB": 1e10, "100 TB": 1.41e11}
SHAPES = {"web": 2.5, "crowded": 2.2}


class Shuffle(NamedTuple):
    """What crossed in one."""

    rows: int
    batches: int
    largest: int  # rows of the part with most
    nodes: int  # contents of the graph that is left


def edges_of(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Those that are links."""
    return pa.Table.from_batches([batch for batch in batches if batch.schema == EDGE], EDGE)


def shuffled(rows: Iterable[Keyed]) -> tuple[dict[int, list[pa.RecordBatch]], Shuffle]:
    """Batches by key, and what they were."""
    groups: dict[int, list[pa.RecordBatch]] = collections.defaultdict(list)
    for key, batch in rows:
        groups[key].append(batch)
    sizes = [sum(batch.num_rows for batch in group) for group in groups.values()]
    left = np.unique(edges_of(batch for group in groups.values() for batch in group)["left"].to_numpy())
    return groups, Shuffle(sum(sizes), sum(map(len, groups.values())), max(sizes, default=0), len(left))


def labelled(edges: Iterable[pa.RecordBatch], parts: int) -> tuple[pa.Table, list[Shuffle]]:
    """LABELS of some batches of EDGE, ascending by content, by the steps of `LabelClusters`; and its shuffles."""
    first = clusters._Forests(parts)
    rows = [keyed for batch in edges for keyed in first.work(batch)]
    shuffles = []
    for number in range(clusters.ROUNDS):
        groups, shuffle = shuffled(rows)
        shuffles.append(shuffle)
        meet = clusters._Meet(parts, number == 0)
        rows = [keyed for group in groups.items() for keyed in meet.work(group)]
    forest = ForestFn(clusters.MOST_LEFT)
    accumulator = forest.create_accumulator()
    for batch in (batch for keyed in rows for batch in clusters._Left().process(keyed)):
        accumulator = forest.add_input(accumulator, batch)
    left = clusters._Spread(parts).process(forest.extract_output(accumulator))
    so_far = [keyed for one in rows for keyed in clusters._SoFar().process(one)]
    groups, shuffle = shuffled([*so_far, *left])
    last = clusters._Meet(parts, False)
    found = [batch for group in groups.items() for _, batch in last.work(group)]
    return pa.Table.from_batches(found, LABELS).sort_by("content"), [*shuffles, shuffle]


def fractions(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """In [0, 1), a hash of each number."""
    return np.asarray((mixed(numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def sample(documents: int, power: float) -> tuple[npt.NDArray[np.int64], list[pa.RecordBatch]]:
    """The sizes of the clusters, and the edges by the split of their larger content."""
    sizes = (2 * (1 - fractions(np.arange(documents, dtype=np.uint64))) ** (-1 / (power - 1))).astype(np.int64)
    sizes = sizes[np.cumsum(np.minimum(sizes, documents)) <= documents]
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    content = mixed(np.arange(1, len(cluster) + 1, dtype=np.uint64))
    like = 0.8 + 0.2 * fractions(content)
    keys, contents = [], []
    for band in range(CONFIG.bands):
        same = fractions(content ^ np.uint64(band * 7919 + 13)) < like**CONFIG.rows
        keys.append(mixed(cluster[same].astype(np.uint64) * np.uint64(CONFIG.bands) + np.uint64(band)))
        contents.append(np.flatnonzero(same))
    place = np.concatenate(contents)
    left, right = lsh.candidate_pairs(np.concatenate(keys), content[place])
    left, right = place[left], place[right]
    alike = like[left] * like[right] >= CONFIG.min_similarity
    pair = np.sort(np.stack([content[left[alike]], content[right[alike]]]), axis=0)
    edges = pa.RecordBatch.from_arrays([pa.array(side) for side in np.unique(pair, axis=1)], schema=EDGE)
    splits = partition(mixed(edges["right"].to_numpy()), max(1, documents // 4))
    return sizes, [batch for _, batch in split_by(splits, edges)]


def counted_table(documents: int) -> tuple[list[str], dict[str, list[Shuffle]], dict[str, int]]:
    """Lines of what the samples are and come to; their shuffles; and how many contents have a label."""
    columns: dict[str, list[str]] = {}
    shuffles: dict[str, list[Shuffle]] = {}
    contents: dict[str, int] = {}
    for name, power in SHAPES.items():
        sizes, edges = sample(documents, power)
        labels, shuffles[name] = labelled(edges, clusters.MOST_PARTS)
        sides = [np.concatenate([batch.column(side).to_numpy() for batch in edges]) for side in (0, 1)]
        nodes, roots = components.forest(*sides)
        assert np.array_equal(labels["content"].to_numpy(), nodes), "not what union-find says"
        assert np.array_equal(labels["cluster"].to_numpy(), roots), "not what union-find says"
        contents[name] = n = len(nodes)
        by_range = np.bincount(partition(roots, clusters.MOST_PARTS)).max() / n
        mixed_up = np.bincount(partition(mixed(roots), clusters.MOST_PARTS)).max() / n
        columns[name] = [
            f"{n:,}", f"{len(sides[0]) / n:.1f}", f"{sizes.max():,}",
            *(f"{one.rows / n:.2f}" for one in shuffles[name]),
            *(f"{one.nodes / n:.4%}" for one in shuffles[name][1:]),
            f"{by_range:.1%}", f"{mixed_up:.1%}", f"{np.bincount(np.unique(roots, return_inverse=True)[1]).max() / n:.1%}",
        ]  # fmt: skip
    rounds = range(1, clusters.ROUNDS + 1)
    names = [
        "contents with a label", "edges a content", "largest cluster, documents",
        *(f"rows a content that cross in round {n}" for n in rounds), "rows a content that cross the last time",
        *(f"contents to be linked after round {n}" for n in rounds),
        "largest part, if parts are ranges of clusters", "largest part, as they are", "largest cluster",
    ]  # fmt: skip
    lines = [f"| a sample | {' | '.join(SHAPES)} |", f"|---|{'--:|' * len(SHAPES)}"]
    lines += [
        f"| {name} | {' | '.join(row)} |" for name, row in zip(names, zip(*columns.values(), strict=True), strict=True)
    ]
    return lines, shuffles, contents


def counted_up(shuffles: dict[str, list[Shuffle]], contents: dict[str, int]) -> Iterator[str]:
    """Lines: what the samples come to in corpora of some sizes."""
    overhead = len(RecordBatchCoder().encode(pa.RecordBatch.from_arrays([pa.array([], pa.uint64())] * 2, schema=EDGE)))
    yield f"| input, shape | {' | '.join(f'{size}, {shape}' for size in SIZES for shape in SHAPES)} |"
    yield f"|---|{'--:|' * len(SIZES) * len(SHAPES)}"
    columns = []
    for documents in SIZES.values():
        size = documents * BYTES_OF_DOCUMENT
        parts, splits, n = (
            int(min(clusters.MOST_PARTS, size // clusters.BYTES_OF_PART)),
            size / SPLIT,
            documents / IN_CLUSTERS,
        )
        for shape, power in SHAPES.items():
            found = shuffles[shape]
            rows = [one.rows / contents[shape] * n for one in found]
            batches = [min(rows[0], splits * parts), *(min(one, 2 * parts**2) for one in rows[1:])]
            asked = documents * 12 + 2 * overhead * splits * parts + n * 16
            crossed = sum(16 * row + overhead * batch for row, batch in zip(rows, batches, strict=True)) + asked
            left = max(3, found[-1].nodes) / contents[shape] * n  # of none in a sample there may be three
            largest = min(n, 2 * (n / np.mean([2, 4])) ** (1 / (power - 1)))
            columns.append([
                f"{documents / 1e9:,.1f} billion", f"{n / 1e9:,.1f} billion", f"{parts:,}", f"{crossed / documents:,.0f}",
                f"{rows[0] * 16 / parts / 1e6:,.0f} MB", f"{documents * 12 / parts / 1e6:,.0f} MB",
                f"{16 * n / 1e9:,.0f} GB", f"{left:,.0f}", f"{left * 190 / 1e9:,.2f} GB",
                f"{largest / 1e6:,.1f} million", f"{largest * 16 / 1e9:,.2f} GB", f"{largest * BYTES_TO_SURVIVE / 1e9:,.0f} GB",
            ])  # fmt: skip
    names = [
        "documents", "of them with a label", "parts", "bytes that cross for labels, a document", "a part in round 1",
        "a part while documents ask", "all labels, which no worker holds", "contents that one place links in the end, at most",
        "its memory", "largest cluster, documents", "its labels, in one part", "its documents, while survivors are chosen",
    ]  # fmt: skip
    for name, row in zip(names, zip(*columns, strict=True), strict=True):
        yield f"| {name} | {' | '.join(row)} |"


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=400_000, help="in clusters, in a sample")
    asked = parser.parse_args()
    lines, shuffles, contents = counted_table(asked.documents)
    print(*lines, "", *counted_up(shuffles, contents), sep="\n")


if __name__ == "__main__":
    main()
