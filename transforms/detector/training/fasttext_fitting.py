"""Fit one fastText model to labelled text."""

import dataclasses
import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from transforms.detector.fasttext_file import FastTextFile, read_fasttext
from transforms.detector.training.labelled import Labelled, TrainingError, compared

MOST_REPEATS = 8
SEED = 1


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a detector is trained and calibrated.

    Attributes:
      experts: files of the data whose machine text trains an expert of its own, by their names without the suffix; all other
        machine text trains the first expert.
      ngrams: the longest n-gram, in tokens.
      ngram_min_documents: fewest documents that an n-gram is in.
      ngram_min_z: least significance of its difference between the classes (`kernels.ngrams.separation`).
      pair_min_documents, pair_min_z, pair_epochs, pair_decay: the same for experts that are trained on pairs, of which there
        are few.
      ngram_epochs, ngram_rate, ngram_decay: passes over the documents, learning rate and decay of its weights.
      most_in_cell: machine documents of a source, domain and language that are used; more only take time.
      fasttext_weight: what fastText's log-odds are multiplied by before they are added to the first expert's; 0: no fastText.
      word_ngrams, dim, epochs, learning_rate, buckets, min_count: fastText's own; see its documentation.
      crop_tokens: longer documents are cut into pieces of about this many tokens for fastText; 0: they are not.
      exclude: documents that are neither trained on nor calibrated with, as "column=value" (a column of
        `labelled.GROUPS`): text whose label is doubtful. They are still evaluated on.
      min_tokens: documents with fewer words and ideographs are not scored.
      target_fpr: fraction of held-out human documents to flag.
      least_found: the part of its own age's held-out text that an expert is to find; one that finds less gets more of the false
        alarms, at the cost of the others.
    """

    experts: tuple[str, ...] = ()
    ngrams: int = 3
    ngram_min_documents: int = 8
    ngram_min_z: float = 2.0
    pair_min_documents: int = 3
    pair_min_z: float = 1.0
    pair_epochs: int = 40
    pair_decay: float = 1e-4
    ngram_epochs: int = 12
    ngram_rate: float = 0.3
    ngram_decay: float = 3e-4
    most_in_cell: int = 2000
    fasttext_weight: float = 0.0
    word_ngrams: int = 3
    dim: int = 16
    epochs: int = 5
    learning_rate: float = 0.5
    buckets: int = 1_000_000
    min_count: int = 20
    crop_tokens: int = 0
    exclude: tuple[str, ...] = ("attack=polish",)
    min_tokens: int = 50
    target_fpr: float = 0.0118
    least_found: float = 0.51


def fit(labelled: Labelled, chosen: npt.NDArray[np.bool_], settings: TrainingSettings) -> FastTextFile:
    """Train one fastText model on the chosen documents, the smaller class of each cell repeated."""
    import fasttext  # late: a worker that only scores does not need it

    with tempfile.TemporaryDirectory(prefix="lowbackground-") as folder:
        lines, model = os.path.join(folder, "train.txt"), os.path.join(folder, "model.bin")
        with open(lines, "w", encoding="utf-8", newline="\n") as out:
            out.writelines(_lines(labelled, chosen, settings))
        try:
            # One thread and a seed: fastText's threads race for the same weights.
            trained = fasttext.train_supervised(
                lines,
                loss="softmax",
                thread=1,
                seed=SEED,
                minn=0,
                maxn=0,
                verbose=0,
                dim=settings.dim,
                epoch=settings.epochs,
                lr=settings.learning_rate,
                wordNgrams=settings.word_ngrams,
                bucket=settings.buckets,
                minCount=settings.min_count,
            )
        except (ValueError, RuntimeError) as error:
            raise TrainingError(f"fastText: {str(error).splitlines()[0]}") from None
        trained.save_model(model)
        with open(model, "rb") as written:
            return read_fasttext(written.read(), model)


def _lines(labelled: Labelled, chosen: npt.NDArray[np.bool_], settings: TrainingSettings) -> Iterator[str]:
    """Lines of fastText's training format, in an order given by the hash of the text."""
    used, cell = compared(labelled, chosen)
    rows = np.flatnonzero(used)
    copies = _copies(cell[rows], labelled.machine[rows])
    texts = labelled.canonical.take(rows).to_pylist()
    pieces = []
    for row, text, n_copies in zip(rows.tolist(), texts, copies.tolist(), strict=True):
        label = "__label__synthetic " if labelled.machine[row] else "__label__human "
        key = int(labelled.key[row])
        for number, piece in enumerate(_pieces(text, settings.crop_tokens)):
            for copy in range(n_copies):
                order = hashlib.blake2b(b"%d %d %d" % (key, number, copy), digest_size=8).digest()
                pieces.append((order, label + piece + "\n"))
    pieces.sort()
    return (line for _, line in pieces)


def _pieces(text: str, crop_tokens: int) -> list[str]:
    tokens = text.split(" ")
    n = max(1, round(len(tokens) / crop_tokens)) if crop_tokens else 1
    bounds = [len(tokens) * i // n for i in range(n + 1)]
    return [" ".join(tokens[a:b]) for a, b in itertools.pairwise(bounds)]


def _copies(cell: npt.NDArray[np.int64], machine: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How often each document is repeated, so that a source or domain does not give its class away."""
    counts = np.stack([np.bincount(cell[machine == side], minlength=cell.max() + 1) for side in (False, True)])
    own, other = counts[machine.astype(int), cell], counts[1 - machine.astype(int), cell]
    return np.clip(np.rint(other / own), 1, MOST_REPEATS).astype(np.int64)
