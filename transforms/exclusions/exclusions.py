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
from transforms.exclusions.licences import LicenceConfig
from transforms.exclusions.removals import NEEDED, Removals
from transforms.kernels.text.columns import EMPTY_HASH


@dataclasses.dataclass(frozen=True)
class Exclusions(Staged):
    """What a recipe keeps out of a release.

    Attributes:
      contaminated: whether documents that hold an item of an evaluation set are dropped.
      removals: what was asked to be taken out.
      licences: which may be in it.
    """

    contaminated: bool = False
    removals: Removals | None = None
    licences: LicenceConfig | None = None

    @property
    def needed(self) -> list[str]:
        """The columns of SIGNALS that `of` looks at."""
        more = [*(NEEDED if self.removals else ()), *(["contaminated_by"] if self.contaminated else [])]
        return sorted({"content_hash", *more, *(["licence"] if self.licences and self.licences.asks else [])})

    def of(self, signals: dict[str, pa.Array], source: str) -> npt.NDArray[np.int8]:
        """Why each document may not be in the release, an index into `contracts.REASONS`; 0: it may. int8[n].

        Args:
          signals: the columns `needed`.
          source: whose documents they are.
        """
        content = signals["content_hash"]
        # Nothing is left of it in canonical form: white space and invisible characters.
        empty = pc.equal(content, pa.scalar(EMPTY_HASH, contracts.HASH)).to_numpy(zero_copy_only=False)
        found = {"empty_text": empty}
        if self.removals:
            found["withdrawn"] = self.removals.of(signals, source)
        if self.licences and self.licences.asks:
            found["licence"] = self.licences.of(signals["licence"])
        if self.contaminated:
            found["contaminated"] = pc.binary_length(signals["contaminated_by"]).to_numpy() > 0
        reasons = [contracts.REASONS.index(name) for name in found]
        return np.select(list(found.values()), reasons, 0).astype(np.int8)


NO_EXCLUSIONS = Exclusions()
