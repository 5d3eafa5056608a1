"""Train a detector: labelled text -> `model.bin`, `calibration.json`, `README.md`.

What the scores mean is measured on text of sources that the scoring model was not trained on: one model is trained for
each source left out, and the held-out scores are pooled. The model that is shipped is trained on everything.
"""

import hashlib
import os
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from transforms import detector_card
from transforms.detector import Calibration, Counts, Detector, calibration_json, linear_of, load_detector
from transforms.evaluation import Evaluation, evaluate_scores
from transforms.fasttext_file import collapse, write_fasttext
from transforms.fitting import TrainingSettings, fit
from transforms.kernels import linear, share
from transforms.labelled import GROUPS, Labelled, Links, TrainingError, read_labelled

FOLDS = 5  # where there are no sources to leave out
KNOTS = 12
SMALLEST_FAMILY = 100  # documents; smaller ones are counted together
FEWEST = 50  # documents of each class that a model is trained or calibrated on

__all__ = ["TrainingError", "TrainingSettings", "evaluate", "train"]

Progress = Callable[[str], None]


def train(
    data: Sequence[str],
    out_dir: str,
    settings: TrainingSettings | None = None,
    evaluate_on: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> Detector:
    """Train a detector and write it as a folder; the same data and settings give the same bytes.

    Args:
      data: Parquet files or glob patterns with columns text and label; see `labelled.GROUPS` for what else is used.
      out_dir: the folder to write, made if it is not there.
      settings: how.
      evaluate_on: Parquet files that are only evaluated on, for the model card.
      progress: told in a sentence what happens now.

    Returns:
      The detector, loaded from the folder.

    Raises:
      TrainingError: the data cannot be used.
    """
    settings = settings or TrainingSettings()
    progress("Reading the data")
    labelled = read_labelled(data)
    other = read_labelled(evaluate_on) if evaluate_on else None
    usable = usable_documents(labelled, settings)
    _check_enough(labelled, usable, "the data")
    scores, basis = held_out_scores(labelled, usable, settings, progress)
    progress("Training the final model")
    model = write_fasttext(collapse(fit(labelled, usable, settings)))
    calibration = calibrate(labelled, usable, scores, settings, basis, hashlib.sha256(model).hexdigest())
    os.makedirs(out_dir, exist_ok=True)
    _write(os.path.join(out_dir, "model.bin"), model)
    _write(os.path.join(out_dir, "calibration.json"), calibration_json(calibration))
    detector = load_detector(out_dir)
    held_out = evaluate_scores(labelled, scores, calibration.threshold)
    elsewhere = evaluate(detector, other) if other else None
    card = detector_card.render(labelled, settings, calibration, held_out, other, elsewhere)
    _write(os.path.join(out_dir, "README.md"), card.encode())
    return detector


def evaluate(detector: Detector, data: Sequence[str] | Labelled) -> Evaluation:
    """How a detector does on labelled text that it was not trained on, in all and by group.

    Raises:
      TrainingError: the data cannot be used.
    """
    labelled = data if isinstance(data, Labelled) else read_labelled(data)
    return evaluate_scores(labelled, detector.score(labelled.tokens, labelled.n_tokens), detector.threshold)


def usable_documents(labelled: Labelled, settings: TrainingSettings) -> npt.NDArray[np.bool_]:
    """Which documents to train and calibrate on: all but the excluded ones. bool[documents].

    Raises:
      TrainingError: an exclusion is not "column=value" with a known column.
    """
    usable = np.ones(len(labelled.machine), bool)
    for exclusion in settings.exclude:
        column, equals, value = exclusion.partition("=")
        if not equals or column not in GROUPS:
            raise TrainingError(f"exclude {exclusion!r}: write column=value, with a column of {', '.join(GROUPS)}")
        usable &= labelled.group(column) != value
    return usable


def _check_enough(labelled: Labelled, chosen: npt.NDArray[np.bool_], what: str) -> None:
    for name, side in (("human", ~labelled.machine), ("machine", labelled.machine)):
        n = int((chosen & side).sum())
        if n < FEWEST:
            raise TrainingError(f"{what}: {n} distinct {name} documents, at least {FEWEST} are needed")


def held_out_scores(
    labelled: Labelled, usable: npt.NDArray[np.bool_], settings: TrainingSettings, progress: Progress
) -> tuple[npt.NDArray[np.float32], str]:
    """Score each document by a model that saw neither its source nor text that it shares.

    Returns:
      Log-odds, float32[documents], NaN where too short; and how they came about, in a sentence.
    """
    scores = np.full(len(labelled.machine), np.nan, np.float32)
    left_out, basis = _folds(labelled, usable)
    for number, (name, out, rest) in enumerate(left_out, 1):
        progress(f"Training without {name} ({number} of {len(left_out)})")
        _check_enough(labelled, rest, f"the data without {name}")
        model = linear_of(fit(labelled, rest, settings), name)
        scores[out] = linear.score(labelled.tokens, model)[out]
    scores[labelled.n_tokens < settings.min_tokens] = np.nan
    return scores, basis


Fold = tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]  # name, left out, trained on


def _folds(labelled: Labelled, usable: npt.NDArray[np.bool_]) -> tuple[list[Fold], str]:
    """What to leave out in turn: each source if every rest has enough of both classes, else parts by hash."""
    links = Links(labelled)

    def fold(name: str, out: npt.NDArray[np.bool_]) -> Fold:
        return name, out, usable & ~out & ~links.to(out)

    sources = labelled.group("source_dataset")
    names = sorted(set(sources))
    if len(names) > 1:
        by_source = [fold(str(name) or "(no source)", sources == name) for name in names]
        classes = [(rest & labelled.machine, rest & ~labelled.machine) for _, _, rest in by_source]
        if min(int(side.sum()) for sides in classes for side in sides) >= FEWEST:
            return by_source, (
                f"leave-one-source-out over {len(names)} sources: each document was scored by a model that was trained "
                "without its source and without documents that quote it"
            )
    part = labelled.key % np.uint64(FOLDS)
    return [fold(f"part {i + 1}", part == i) for i in range(FOLDS)], (
        f"{FOLDS}-fold by hash of the text: there are no sources to leave out, so these numbers are better than those "
        "on text from elsewhere will be"
    )


def calibrate(
    labelled: Labelled,
    usable: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    settings: TrainingSettings,
    basis: str,
    model_sha256: str,
) -> Calibration:
    """What held-out scores say about the threshold, the map to p_synthetic and the share of a corpus.

    Raises:
      TrainingError: too few documents are long enough to be scored.
    """
    scored = usable & ~np.isnan(scores)
    _check_enough(labelled, scored, f"documents of {settings.min_tokens} tokens or more")
    human, machine = scores[scored & ~labelled.machine], scores[scored & labelled.machine]
    # The next float32 above a score, because scores are float32: that one is not flagged and those above it are.
    highest = np.quantile(human, 1 - settings.target_fpr, method="higher")
    threshold = float(np.nextafter(highest, np.float32(np.inf)))
    human_below = min(threshold, float(np.quantile(machine, settings.missed_as_human, method="lower")))
    knots, p_synthetic = _calibration_map(human, machine)
    return Calibration(
        model_sha256=model_sha256,
        min_tokens=settings.min_tokens,
        threshold=threshold,
        target_fpr=settings.target_fpr,
        human_below=human_below,
        log_odds=knots,
        p_synthetic=p_synthetic,
        human_histogram=share.histogram(human),
        machine_histogram=share.histogram(machine),
        human=Counts("human", int((human >= threshold).sum()), len(human)),
        families=_families(labelled, scored & labelled.machine, scores >= threshold),
        uncovered=_uncovered(labelled, ~usable & labelled.machine & ~np.isnan(scores), scores >= threshold),
        basis=basis,
    )


def _calibration_map(
    human: npt.NDArray[np.float32], machine: npt.NDArray[np.float32]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of p(machine | score) for a prior of 1/2: the machine's part of each bin's mass, made to rise (isotonic).

    Bins hold equal mass when both classes weigh the same; 1/2 is added to each count, so that p is never 0 or 1.
    """
    human, machine = human.astype(np.float64), machine.astype(np.float64)
    pooled = np.concatenate([human, machine])
    weight = np.repeat([0.5 / len(human), 0.5 / len(machine)], [len(human), len(machine)])
    order = np.argsort(pooled, kind="stable")
    mass = np.cumsum(weight[order])
    inner = pooled[order][np.searchsorted(mass, np.arange(1, KNOTS) / KNOTS)]
    edges = np.unique(inner)
    centres = np.unique(np.r_[pooled.min(), (edges[1:] + edges[:-1]) / 2, pooled.max()])
    bins = len(edges) + 1
    h = (np.bincount(np.searchsorted(edges, human, "right"), minlength=bins) + 0.5) / (len(human) + 0.5 * bins)
    m = (np.bincount(np.searchsorted(edges, machine, "right"), minlength=bins) + 0.5) / (len(machine) + 0.5 * bins)
    rising = isotonic_regression(m / (h + m), weights=h + m).x
    if len(centres) != bins:  # all scores are the same: one knot says so
        return (float(pooled[0]),), (float(rising.mean()),)
    return tuple(centres.tolist()), tuple(rising.tolist())


def _families(labelled: Labelled, machine: npt.NDArray[np.bool_], flagged: npt.NDArray[np.bool_]) -> tuple[Counts, ...]:
    """Flagged of how many, by generator (by source where no generator is given); small families are put together."""
    generator, source = labelled.group("generator"), labelled.group("source_dataset")
    return _count(np.where(generator == "", source, generator)[machine], flagged[machine])


def _uncovered(
    labelled: Labelled, machine: npt.NDArray[np.bool_], flagged: npt.NDArray[np.bool_]
) -> tuple[Counts, ...]:
    """The same by generator and attack, because a generator may be excluded for one attack only."""
    generator, attack = labelled.group("generator"), labelled.group("attack")
    plain = np.isin(attack.astype(str), ("", "none"))
    return _count(np.where(plain, generator, generator + ", " + attack)[machine], flagged[machine])


def _count(names: npt.NDArray[np.object_], flagged: npt.NDArray[np.bool_]) -> tuple[Counts, ...]:
    found, inverse, counts = np.unique(names.astype(str), return_inverse=True, return_counts=True)
    found = np.where((counts < SMALLEST_FAMILY) | (found == ""), "other", found)
    names = found[inverse]
    kept = sorted(set(found.tolist()))
    return tuple(Counts(name, int(flagged[names == name].sum()), int((names == name).sum())) for name in kept)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as out:
        out.write(data)
