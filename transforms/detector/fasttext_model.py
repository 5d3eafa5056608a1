"""The model of a detector: a table of n-grams with the weights of several experts, or fastText's linear score, or both."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.detector.fasttext_file import DetectorError, FastTextFile, read_fasttext
from transforms.detector.ngram_file import NgramFile, read_ngrams
from transforms.kernels.models import linear
from transforms.kernels.similarity import ngrams
from transforms.kernels.text.text import Tokens


class LinearExperts(NamedTuple):
    """What turns tokens into a score for each expert. Nothing in it says what they mean: see `calibration`.

    Attributes:
      experts: their names.
      fasttext: a weight per word and bucket; None: there is only the table.
      table: n-grams and their weights for each expert; None: fastText's log-odds are the score of the only one.
      fasttext_weight: what fastText's log-odds are multiplied by before they are added to the first expert's.
    """

    experts: tuple[str, ...]
    fasttext: linear.LinearModel | None
    table: ngrams.NgramModel | None = None
    fasttext_weight: float = 1.0

    def scores(self, texts: pa.LargeStringArray, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Log-odds by each expert, float32[documents, experts]; NaN for a document that fastText sees nothing in."""
        if self.table is None:
            assert self.fasttext is not None, "a model of nothing"
            return linear.score(tokens, self.fasttext)[:, None]
        found = ngrams.score(tokens, self.table)
        if self.fasttext is not None:
            found[:, 0] += np.float32(self.fasttext_weight) * linear.score(tokens, self.fasttext)
        return found


def model_of(fasttext: FastTextFile | None, table: NgramFile | None, path: str) -> LinearExperts:
    """The model of a fastText file, of a table of n-grams, or of both that were trained together."""
    read = linear_of(fasttext, path) if fasttext is not None else None
    if table is None:
        return LinearExperts(("fasttext",), read)
    built = ngrams.ngram_model(table.hash64, table.weight, table.longest, table.bias)
    return LinearExperts(table.experts, read, built, table.fasttext_weight)


def parse_model(fasttext: bytes | None, table: bytes | None, path: str, table_path: str) -> LinearExperts:
    """Read a model from the bytes of `model.bin` and `ngrams.bin`, which messages call `path` and `table_path`.

    Raises:
      DetectorError: one of them is damaged or of another kind.
    """
    read = read_fasttext(fasttext, path) if fasttext is not None else None
    return model_of(read, read_ngrams(table, table_path) if table is not None else None, path)


def linear_of(file: FastTextFile, path: str) -> linear.LinearModel:
    """The linear model of a fastText file."""
    weights, n_words = file.weights(), len(file.words)
    # In a pruned model NaN says that a bucket is no feature; words and what is infinite are never pruned.
    if not np.isfinite(weights[:n_words]).all() or np.isinf(weights).any():
        raise DetectorError(f"{path}: its weights overflow. Train the detector again")
    try:
        return linear.linear_model(file.words, weights[:n_words], weights[n_words:], file.word_ngrams)
    except ValueError as error:
        raise DetectorError(f"{path}: {error}. Copy it again or train the detector again") from None
