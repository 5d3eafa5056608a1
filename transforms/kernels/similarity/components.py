"""Connected components over 64-bit node names: by union-find in one place, or in rounds over parts of the graph."""

import numpy as np
import numpy.typing as npt

from transforms.kernels.compiled import kernel

Forest = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]


@kernel("i64[]! i64[] i64[]")
def _roots(parent, left, right):
    for e in range(len(left)):
        x, y = left[e], right[e]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x < y:  # the smaller index is the root, so a root is the smallest node of its component
            parent[y] = x
        else:
            parent[x] = y
    for i in range(len(parent)):
        x = i
        while parent[x] != x:
            x = parent[x]
        parent[i] = x


def forest(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> Forest:
    """Label every node of an edge list with the smallest node of its component.

    Args:
      left, right: edges, uint64[edges].

    Returns:
      `(nodes, roots)`, uint64[nodes] each, nodes ascending and unique. It is an edge list itself: the forest of the
      concatenation of two forests is the forest of all their edges, which makes this a combiner.
    """
    nodes, index = np.unique(np.concatenate([left, right]), return_inverse=True)
    parent = np.arange(len(nodes))
    _roots(parent, index[: len(left)], index[len(left) :])
    return nodes, nodes[parent]


def meet(
    nodes: npt.NDArray[np.uint64], roots: npt.NDArray[np.uint64]
) -> tuple[Forest, tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]]:
    """Put together what several forests say of the same nodes: one round of a contraction.

    A node stands for itself no longer but for its smallest root; what else it was linked to is linked to that one. So the
    graph of the links has components where the one of the forests had, its nodes are roots only, and the label of a node is that
    of its smallest root. However the edges were dealt out to the forests, it is right; how fast it shrinks depends on that
    (Lacki, Mirrokni, Wlodarczyk 2018, Connected Components at Scale via Local Contractions).

    Args:
      nodes, roots: rows of some forests, uint64[n]; all there are of each node.

    Returns:
      `((nodes, smallest), (left, right))`: the nodes ascending, each once, with its smallest root; and the links, each once.
    """
    order = np.lexsort((roots, nodes))
    nodes, roots = nodes[order], roots[order]
    new = np.ones(len(nodes), bool)
    new[1:] = nodes[1:] != nodes[:-1]
    smallest = roots[new]
    left = smallest[np.cumsum(new) - 1]
    links = np.unique(np.stack([left, roots])[:, left != roots], axis=1)
    return (nodes[new], smallest), (links[0], links[1])


def label(content: npt.NDArray[np.uint64], labels: Forest) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The component of each content (its root where `labels` knows it, itself elsewhere), and whether it is known.

    Returns:
      `(component, known)`, uint64 and bool [len(content)].
    """
    nodes, roots = labels
    if not len(nodes):
        return content.copy(), np.zeros(len(content), bool)
    at = np.minimum(np.searchsorted(nodes, content), len(nodes) - 1)
    known = nodes[at] == content
    return np.where(known, roots[at], content), known
