"""Which documents a measure speaks of: how far they came, whose they are, and which fold of hash space they lie in."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts

# How far a document came: one that is at a number is also at those below it.
STAGES = ("before", "deduplicated", "after")
# Whose it is. Nobody is human by the detector's word, so its blind spots cannot become the norm of a reference.
UNKNOWN, HUMAN, SYNTHETIC = range(3)
OF_ORIGIN = {"human": (HUMAN,), "synthetic": (SYNTHETIC,), "unknown": (UNKNOWN,)}
EVERYONE = (UNKNOWN, HUMAN, SYNTHETIC)

FOLDS = 16  # a power of two


def how_far(decisions: pa.RecordBatch) -> npt.NDArray[np.int8]:
    """How far each document came, an index into `STAGES`."""
    stage = np.where(decisions["stage"].to_numpy() > contracts.STAGES.index("dedup"), 1, 0).astype(np.int8)
    stage[decisions["kept"].to_numpy(zero_copy_only=False)] = 2
    return stage


def whose(decisions: pa.RecordBatch) -> npt.NDArray[np.int8]:
    """Whose each document is: an index into `EVERYONE`."""
    return decisions["origin"].to_numpy()


def textless(decisions: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Whether a document has no text: it is a document of nothing that is measured."""
    found: npt.NDArray[np.bool_] = decisions["reason"].to_numpy() == contracts.REASONS.index("empty_text")
    return found


def folds(content: npt.NDArray[np.uint64]) -> npt.NDArray[np.int8]:
    """The fold of each content, by the high bits of its hash: copies of a content are in one fold. int8[n]."""
    return (content >> np.uint64(64 - (FOLDS - 1).bit_length())).astype(np.int8)
