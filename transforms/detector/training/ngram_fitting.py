"""Train a model: fastText, and the n-grams that stand beside it."""

import numpy as np
import numpy.typing as npt

from transforms.detector.fasttext_file import FastTextFile
from transforms.detector.fasttext_model import FastTextModel, model_of
from transforms.detector.ngram_file import NgramFile
from transforms.detector.training.fasttext_fitting import TrainingSettings, fit
from transforms.detector.training.labelled import Labelled, compared
from transforms.kernels.similarity import ngrams

CELL_WEIGHT = 1000  # documents: a larger cell weighs as much as one of this size


def fit_ngrams(
    labelled: Labelled, chosen: npt.NDArray[np.bool_], data: ngrams.Features, settings: TrainingSettings
) -> NgramFile:
    """Train a table on the chosen documents, as far as they can be compared (`labelled.compared`)."""
    used, cell = compared(labelled, chosen)
    rows = np.flatnonzero(used)
    rows = rows[np.argsort(labelled.key[rows], kind="stable")]
    z, documents = ngrams.separation(data, rows, cell, labelled.machine)
    kept = (np.abs(z) >= settings.ngram_min_z) & (documents >= settings.ngram_min_documents)
    importance = importance_of(cell, labelled.machine, rows)
    weight, bias = ngrams.fit(
        data, kept, rows, labelled.machine, importance, settings.ngram_epochs, settings.ngram_rate
    )
    return NgramFile(data.hash64[kept], weight, settings.ngrams, bias, settings.fasttext_weight)


def importance_of(
    cell: npt.NDArray[np.int64], machine: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Weights with which both classes weigh the same in every cell, and no cell more than `CELL_WEIGHT` documents."""
    side = 2 * cell + machine
    counts = np.bincount(side[rows], minlength=2 * int(cell.max(initial=0)) + 2).reshape(-1, 2)
    weight = np.minimum(counts.sum(axis=1), CELL_WEIGHT)[:, None] / 2 / np.maximum(counts, 1)
    importance = weight.ravel()[side]
    return importance * (len(rows) / importance[rows].sum())


class Training:
    """Trains both parts of a model on a choice of the same documents, again and again."""

    def __init__(self, labelled: Labelled, settings: TrainingSettings) -> None:
        self._labelled, self._settings = labelled, settings
        self._features = (
            ngrams.features(labelled.tokens, settings.ngrams, settings.ngram_min_documents) if settings.ngrams else None
        )

    def files(self, chosen: npt.NDArray[np.bool_]) -> tuple[FastTextFile, NgramFile | None]:
        """The two parts; the second is None if the settings ask for no n-grams."""
        fasttext = fit(self._labelled, chosen, self._settings)
        if self._features is None:
            return fasttext, None
        return fasttext, fit_ngrams(self._labelled, chosen, self._features, self._settings)

    def model(self, chosen: npt.NDArray[np.bool_]) -> FastTextModel:
        """The two parts, ready to score."""
        return model_of(*self.files(chosen), "the model")
