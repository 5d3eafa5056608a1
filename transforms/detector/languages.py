"""In which language a text is written: fastText's `lid.176`, read by our own reader.

`bundled/languages/lid.176.ftz` knows 176 languages and is a megabyte (its README.md says who made it, and under which licence).
The first bytes of a text are enough; with too little sureness the language is unknown.
"""

import os

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.language_tags import normal_tag
from transforms.detector.fasttext_file import read_labels
from transforms.kernels.models.subwords import SubwordModel, best_label
from transforms.kernels.once import once

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundled", "languages", "lid.176.ftz")
FIRST = 400  # bytes of a text that are looked at
SURE = 0.5  # the least chance that a language has


@once()
def _model() -> tuple[pa.StringArray, SubwordModel]:
    with open(FILE, "rb") as file:
        labels, model = read_labels(file.read(), FILE)
    return pa.array([normal_tag(label) for label in labels], pa.string()), model


def find_languages(
    texts: pa.LargeStringArray, asked: npt.NDArray[np.bool_] | None = None
) -> tuple[pa.StringArray, npt.NDArray[np.float32]]:
    """The language of each text, null where none is sure enough; and the chance of the likeliest one, in [0, 1].

    Args:
      texts: as they were read.
      asked: of which texts, bool[texts]; none: of all.
    """
    tags, model = _model()
    label, chance = best_label(texts, model, FIRST, asked)
    return tags.take(pa.array(label, mask=chance < SURE)), chance


def spoken(
    declared: pa.StringArray, texts: pa.LargeStringArray, prose: npt.NDArray[np.bool_]
) -> tuple[pa.StringArray, pa.FloatArray]:
    """The language of each text, as its input says and else as it is found, and how sure the finding is.

    Args:
      declared: normal tags; null where the input says nothing.
      texts: as they were read.
      prose: which texts are prose; nothing is found of the others.

    Returns:
      string[n], null where it is unknown; float32[n], null where the language was not looked for.
    """
    asked = declared.is_null().to_numpy(zero_copy_only=False) & prose
    if not asked.any():
        return declared, pa.nulls(len(texts), pa.float32())
    found, chance = find_languages(texts, asked)
    return pc.coalesce(declared, found), pa.array(chance, mask=~asked)
