"""Signals -> why a document may not be in a release, if it may not. Told before dedup, which lets nothing stand for it.

Of several reasons the first of these counts: nothing is left of the text; it was withdrawn; its licence is not allowed; it holds
items of an evaluation set.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from transforms.engine.staged import Staged
from transforms.kernels.text.columns import EMPTY_HASH


@dataclasses.dataclass(frozen=True)
class Exclusions(Staged):
    """What a recipe keeps out of a release."""

    @property
    def needed(self) -> list[str]:
        """The columns of SIGNALS that `of` looks at."""
        return ["content_hash"]

    def of(self, signals: dict[str, pa.Array]) -> npt.NDArray[np.int8]:
        """Why each document may not be in the release, an index into `contracts.REASONS`; 0: it may. int8[n].

        Args:
          signals: the columns `needed`.
        """
        content = signals["content_hash"]
        # Nothing is left of it in canonical form: white space and invisible characters.
        empty = pc.equal(content, pa.scalar(EMPTY_HASH, contracts.HASH)).to_numpy(zero_copy_only=False)
        return np.where(empty, contracts.REASONS.index("empty_text"), 0).astype(np.int8)
