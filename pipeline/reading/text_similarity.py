"""How alike two texts are: as the run estimates it, and exactly."""

import dataclasses

import numpy as np
import pyarrow as pa

from transforms.dedup.candidates import DedupConfig
from transforms.kernels.similarity import minhash
from transforms.kernels.text import text


@dataclasses.dataclass(frozen=True)
class Alike:
    """The similarity of two texts that both have shingles.

    Attributes:
      estimated: fraction of equal signature values, 0 to 1, as in the run.
      exact: Jaccard index of the two sets of shingles, 0 to 1.
      shared: distinct shingles that both have.
      distinct: distinct shingles of the one and of the other.
    """

    estimated: float
    exact: float
    shared: int
    distinct: tuple[int, int]


def alike(one: str, other: str, config: DedupConfig) -> Alike | None:
    """Compare two texts with a recipe's shingles and signatures; None if one is too short to have a shingle."""
    _, tokens = text.canonicalise(pa.array([one, other], pa.large_string()))
    offsets, shingles = minhash.shingles(*minhash.words(tokens), config.ngram)
    one_set, other_set = (np.unique(shingles[offsets[d] : offsets[d + 1]]) for d in (0, 1))
    if not len(one_set) or not len(other_set):
        return None
    signatures = minhash.sign(offsets, shingles, config.num_perm)
    estimated = float(minhash.similarity(signatures[:1], signatures[1:])[0])
    shared = len(np.intersect1d(one_set, other_set, assume_unique=True))
    sizes = len(one_set), len(other_set)
    return Alike(estimated, shared / (sum(sizes) - shared), shared, sizes)
