"""Train a model: a table of n-grams with the weights of one expert for each age of generators, and fastText if it is asked for.

One model cannot hold two ages: the older one has far more text, and what gives the newer away is lost in it. So the machine text
of a file that is named as an expert trains a model of its own, within pairs: each text against the human document that it was
asked about. The table holds the n-grams of all experts.
"""

import copy
import os

import numpy as np
import numpy.typing as npt

from transforms.detector.fasttext_file import FastTextFile
from transforms.detector.fasttext_model import LinearExperts, model_of
from transforms.detector.ngram_file import NgramFile
from transforms.detector.training.fasttext_fitting import TrainingSettings, fit
from transforms.detector.training.labelled import Labelled, TrainingError, compared, thinned
from transforms.kernels.similarity import ngrams
from transforms.kernels.text.text import hash_token

CELL_WEIGHT = 1000  # documents: a larger cell weighs as much as one of this size
RARER = 4
FEWEST_PAIRS = 8  # pairs of one source and language
FIRST = "older"  # the expert of all machine text that has no other
# What chat models mark up with and people's pairs do not hold: an n-gram with one of these says nothing of the writer.
MARKS = ("*", "**", "***", "#", "##", "###", "`", "|", "_", "__", "___", "~", "~~", ">", "-")
MARKUP = np.sort(np.array([hash_token(mark)[0] for mark in MARKS], np.uint64))


def importance_of(
    cell: npt.NDArray[np.int64], machine: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Weights with which both classes weigh the same in every cell, and no cell more than its rarer class can bear.

    A cell weighs as many documents as it has, but at most `CELL_WEIGHT`, and `RARER` times those of its rarer class: thirty human
    essays beside thousands of a machine's would teach that essays are a machine's.
    """
    side = 2 * cell + machine
    counts = np.bincount(side[rows], minlength=2 * int(cell.max(initial=0)) + 2).reshape(-1, 2)
    worth = np.minimum(np.minimum(counts.sum(axis=1), CELL_WEIGHT), RARER * counts.min(axis=1))
    weight = worth[:, None] / 2 / np.maximum(counts, 1)
    importance = weight.ravel()[side]
    return importance * (len(rows) / importance[rows].sum())


class Training:
    """Trains the experts of a model on a choice of the same documents, again and again."""

    def __init__(self, labelled: Labelled, settings: TrainingSettings) -> None:
        """Of some labelled documents.

        Raises:
          TrainingError: an expert's file is not among the data.
        """
        self._labelled, self._settings = labelled, settings
        self.experts = (FIRST, *settings.experts)
        stems = np.array([os.path.splitext(name)[0] for name in labelled.group("file")], object)
        self._expert = np.zeros(len(labelled.machine), np.int64)
        for number, name in enumerate(settings.experts, 1):
            own = labelled.machine & (stems == name)
            if not own.any():
                raise TrainingError(f"expert {name}: no file of this name in the data has text by a machine")
            self._expert[own] = number
        self._features = ngrams.features(labelled.tokens, settings.ngrams, settings.ngram_min_documents, MARKUP)

    def under(self, settings: TrainingSettings, labelled: Labelled) -> "Training":
        """The same n-grams of the same texts under other settings or other groups."""
        other = copy.copy(self)
        other._settings, other._labelled = settings, labelled
        return other

    def of_expert(self, number: int) -> npt.NDArray[np.bool_]:
        """The machine documents that train an expert. bool[documents]."""
        return self._labelled.machine & (self._expert == number)

    def table(self, chosen: npt.NDArray[np.bool_]) -> NgramFile:
        """The table, trained on the chosen documents; the bias of an expert that has too few of them is NaN."""
        data, settings = self._features, self._settings
        weights, biases = (
            np.zeros((len(data.hash64), len(self.experts)), np.float32),
            np.full(len(self.experts), np.nan),
        )
        for number in range(len(self.experts)):
            used, cell, paired = self._compared(chosen, number)
            rows = np.flatnonzero(used)
            if not len(rows):
                continue
            rows = rows[np.argsort(self._labelled.key[rows], kind="stable")]
            z, documents = ngrams.separation(data, rows, cell, self._labelled.machine)
            least, fewest, epochs, decay = (
                (settings.pair_min_z, settings.pair_min_documents, settings.pair_epochs, settings.pair_decay)
                if paired
                else (settings.ngram_min_z, settings.ngram_min_documents, settings.ngram_epochs, settings.ngram_decay)
            )
            kept = (np.abs(z) >= least) & (documents >= fewest)
            importance = importance_of(cell, self._labelled.machine, rows)
            weights[kept, number], biases[number] = ngrams.fit(
                data,
                kept,
                rows,
                self._labelled.machine,
                importance,
                epochs,
                settings.ngram_rate,
                decay,
            )
        held = (weights != 0).any(axis=1)
        return NgramFile(
            self.experts, data.hash64[held], weights[held], settings.ngrams, biases, settings.fasttext_weight
        )

    def _compared(
        self, chosen: npt.NDArray[np.bool_], number: int
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], bool]:
        """What an expert learns from, what each document is compared within, and whether that is pairs."""
        labelled = self._labelled
        own = chosen & self.of_expert(number)
        pairs = np.flatnonzero(own & (labelled.pair >= 0))
        pairs = pairs[chosen[labelled.pair[pairs]]]
        if not number or not len(pairs):
            # What is too short to be scored teaches nothing but that machines write more; what is no prose, what code looks like.
            long = (own | (chosen & ~labelled.machine)) & (labelled.n_tokens >= self._settings.min_tokens)
            long &= labelled.prose
            used, cell = compared(labelled, thinned(labelled, long, self._settings.most_in_cell))
            return used & (used & own).any(), cell, False
        used = np.zeros(len(chosen), bool)
        used[pairs] = used[labelled.pair[pairs]] = True
        names = ["\0".join(row) for row in zip(labelled.origin_source, labelled.group("language"), strict=True)]
        cell = np.unique(names, return_inverse=True)[1].astype(np.int64)
        return used & (np.bincount(cell[pairs], minlength=cell.max() + 1) >= FEWEST_PAIRS)[cell], cell, True

    def files(self, chosen: npt.NDArray[np.bool_]) -> tuple[FastTextFile | None, NgramFile]:
        """fastText, if the settings ask for it, and the table.

        Raises:
          TrainingError: an expert has too few documents.
        """
        table = self.table(chosen)
        for name, bias in zip(table.experts, table.bias.tolist(), strict=True):
            if np.isnan(bias):
                raise TrainingError(
                    f"expert {name}: too little text that can be compared; give at least {FEWEST_PAIRS} texts of a machine with "
                    "their human documents (pair_id is the id of one) in one source and language"
                )
        return self._fasttext(chosen), table

    def model(self, chosen: npt.NDArray[np.bool_]) -> LinearExperts:
        """Both, ready to score; an expert that has too few of the chosen documents gives NaN."""
        return model_of(self._fasttext(chosen), self.table(chosen), "the model")

    def _fasttext(self, chosen: npt.NDArray[np.bool_]) -> FastTextFile | None:
        return (
            fit(self._labelled, chosen & (self._expert == 0), self._settings)
            if self._settings.fasttext_weight
            else None
        )
