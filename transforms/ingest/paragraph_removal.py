"""DOCUMENT -> DOCUMENT without repeated paragraphs, if the recipe asks for it: the one place where text is changed.

The survey, the exact comparison of duplicates and `emit` read the text each for themselves and cut it here, so all see the
same. Ids are made before, from the text as it was read. Which paragraphs go: transforms/dedup/repeated_paragraphs.py.
"""

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from expectations.loading import Strict
from transforms.kernels.text.paragraph_removal import without


class ParagraphsConfig(Strict):
    """What becomes of paragraphs that repeat: a line of eight words or more; case and spacing make no difference."""

    remove: bool = Field(
        False,
        description="remove, with its line feed, every paragraph that its document already had, and from all documents "
        "each that is in more than max_documents of them, but where such paragraphs are more than half of a document; the "
        "text is read once more for that",
    )
    max_documents: int = Field(
        10,
        ge=1,
        description="a paragraph in more documents than this, of all that were read (copies of a document count too), is "
        "boilerplate",
    )


Unwanted = npt.NDArray[np.uint64] | None


# The input of a stage that cuts: one collection of one array, or none where nothing is removed.
MaybeUnwanted = tuple[beam.PCollection[np.ndarray], ...]


def as_sides(unwanted: MaybeUnwanted) -> tuple[beam.pvalue.AsSingleton, ...]:
    """The side inputs of a stage that cuts."""
    return tuple(map(beam.pvalue.AsSingleton, unwanted))


def cut(documents: pa.RecordBatch, unwanted: Unwanted) -> tuple[pa.RecordBatch, npt.NDArray[np.int32]]:
    """The documents without repeated paragraphs; all else about them stays.

    Args:
      documents: DOCUMENT, with or without further columns.
      unwanted: hashes of the paragraphs that go from the documents of which they are at most half, unique, ascending;
        None: nothing is removed, not even what a document repeats.

    Returns:
      The batch, and the tokens that each document lost, int32[n].
    """
    if unwanted is None:
        return documents, np.zeros(documents.num_rows, np.int32)
    text, removed = without(documents["text"], unwanted)
    at = documents.schema.get_field_index("text")
    return documents.set_column(at, documents.schema.field(at), text), removed
