"""The model of a detector: fastText's linear score, and a table of n-grams beside it if it has one."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.detector.fasttext_file import DetectorError, FastTextFile, read_fasttext
from transforms.detector.ngram_file import NgramFile, read_ngrams
from transforms.kernels.models import linear
from transforms.kernels.similarity import ngrams
from transforms.kernels.text.text import Tokens


class FastTextModel(NamedTuple):
    """What turns tokens into log-odds. Nothing in it says what they mean: see `calibration`.

    Attributes:
      fasttext: a weight per word and bucket.
      table: n-grams and their weights; None: fastText's log-odds are the score.
      fasttext_weight: what fastText's log-odds are multiplied by before the table's are added.
    """

    fasttext: linear.LinearModel
    table: ngrams.NgramModel | None = None
    fasttext_weight: float = 1.0

    def log_odds(self, texts: pa.LargeStringArray, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Of machine origin, float32[documents]; NaN for a document that fastText sees nothing in."""
        log_odds = linear.score(tokens, self.fasttext)
        if self.table is None:
            return log_odds
        return np.float32(self.fasttext_weight) * log_odds + ngrams.score(tokens, self.table)


def model_of(fasttext: FastTextFile, table: NgramFile | None, path: str) -> FastTextModel:
    """The model of a fastText file and, if there is one, of the table that was trained with it."""
    if table is None:
        return FastTextModel(linear_of(fasttext, path))
    built = ngrams.ngram_model(table.hash64, table.weight, table.longest, table.bias)
    return FastTextModel(linear_of(fasttext, path), built, table.fasttext_weight)


def parse_model(fasttext: bytes, table: bytes | None, path: str, table_path: str) -> FastTextModel:
    """Read a model from the bytes of `model.bin` and `ngrams.bin`, which messages call `path` and `table_path`.

    Raises:
      DetectorError: one of them is damaged or of another kind.
    """
    return model_of(read_fasttext(fasttext, path), read_ngrams(table, table_path) if table is not None else None, path)


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
