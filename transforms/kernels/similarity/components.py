"""Connected components by union-find over 64-bit node names."""

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
