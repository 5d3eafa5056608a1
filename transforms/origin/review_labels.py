"""`review.labels` of a recipe: what most reviewers said of a text overrides the detector. Keyed by content hash.

`undetermined` is no answer: such a document keeps the origin that the other evidence gives it.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from expectations.contracts import UNKNOWN
from expectations.loading import Strict
from transforms.engine.staged import Staged
from transforms.kernels.statistics.certify import most_votes
from transforms.origin.label_file import Labels, look_up, read_labels


class ReviewConfig(Strict):
    """What people said of documents."""

    labels: tuple[str, ...] = Field((), description="files of labels, as `lowbackground review serve` writes them")


@dataclasses.dataclass(frozen=True, eq=False)
class Reviewed(Staged):
    """The documents that people know the origin of.

    Attributes:
      content_hash: sorted, 16 bytes each, S16[contents].
      origin: human or synthetic, int8[contents].
      sha256: of the files of labels.
    """

    content_hash: npt.NDArray[np.bytes_]
    origin: npt.NDArray[np.int8]
    sha256: tuple[str, ...]

    def of(self, content_hash: pa.FixedSizeBinaryArray) -> npt.NDArray[np.int8]:
        """The reviewed origin of each document, int8[documents]; unknown where there is none."""
        at, found = look_up(self.content_hash, as_bytes(content_hash))
        return np.where(found, self.origin[at] if len(self.origin) else UNKNOWN, UNKNOWN).astype(np.int8)


def reviewed(labels: Labels) -> Reviewed:
    """What the most votes say; ties and undetermined documents are left out."""
    origin = most_votes(labels.total)
    decided = origin > UNKNOWN
    return Reviewed(labels.content_hash[decided], origin[decided], tuple(digest for _, digest in labels.files))


def read_reviewed(config: ReviewConfig) -> Reviewed | None:
    """The reviewed documents of a recipe; None if it names no labels.

    Raises:
      LabelError: a file cannot be used.
    """
    return reviewed(read_labels(config.labels)) if config.labels else None


def as_bytes(hashes: pa.FixedSizeBinaryArray) -> npt.NDArray[np.bytes_]:
    """A column of 16-byte hashes as S16, without a copy."""
    data = np.frombuffer(hashes.buffers()[1], "S16") if len(hashes) else np.zeros(0, "S16")
    return data[hashes.offset : hashes.offset + len(hashes)]
