"""Connected components against SciPy, and the laws that make the forest a combiner."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from transforms.kernels.similarity import components

edges = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def forest(found: list[tuple[int, int]]) -> dict[int, int]:
    left, right = (np.array([e[side] for e in found], np.uint64) for side in (0, 1))
    nodes, roots = components.forest(left, right)
    return dict(zip(nodes.tolist(), roots.tolist(), strict=True))


@given(edges)
def test_equals_scipy_and_the_root_is_the_smallest_node(found: list[tuple[int, int]]) -> None:
    labels = forest(found)
    graph = coo_matrix((np.ones(len(found)), ([a for a, _ in found], [b for _, b in found])), shape=(31, 31))
    _, oracle = connected_components(graph, directed=False)
    assert set(labels) == {node for edge in found for node in edge}
    for node, root in labels.items():
        assert root == min(n for n in labels if oracle[n] == oracle[node])


@given(edges, st.integers(0, 60))
def test_the_forest_of_two_forests_is_the_forest_of_all_edges(found: list[tuple[int, int]], at: int) -> None:
    parts = [forest(found[:at]), forest(found[at:])]
    assert forest([edge for part in parts for edge in part.items()]) == forest(found)


@given(edges, st.randoms(use_true_random=False))
def test_order_does_not_matter(found: list[tuple[int, int]], random) -> None:
    mixed = [edge[::-1] for edge in found]
    random.shuffle(mixed)
    assert forest(mixed) == forest(found)


def test_a_long_path_is_one_component() -> None:
    path = np.arange(5000, dtype=np.uint64)
    _, roots = components.forest(path[:-1], path[1:])
    assert (roots == 0).all()


def test_label_leaves_contents_without_duplicates_alone() -> None:
    labels = components.forest(np.array([5], np.uint64), np.array([9], np.uint64))
    found, known = components.label(np.array([9, 7, 5, 2**64 - 1], np.uint64), labels)
    assert (found.tolist(), known.tolist()) == ([5, 7, 5, 2**64 - 1], [True, False, True, False])
    none = components.forest(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    assert [one.tolist() for one in components.label(np.array([3], np.uint64), none)] == [[3], [False]]
