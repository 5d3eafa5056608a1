"""Train a detector: labelled text -> `ngrams.bin` (and `model.bin`), `calibration.json`, `README.md`.

What the scores mean is measured on text of sources that the scoring model was not trained on: one model is trained for
each source left out, and the held-out scores are pooled. A machine's text about a human document is left out with that document's
source. The model that is shipped is trained on everything.
"""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from expectations import contracts
from expectations.wording import plural
from transforms.detector import model_card as detector_card
from transforms.detector import words
from transforms.detector.calibration import Calibration, calibration_json
from transforms.detector.detector import Detector, Model, load_detector, read_model
from transforms.detector.fasttext_file import collapse, write_fasttext
from transforms.detector.ngram_file import write_ngrams
from transforms.detector.training.calibrate import FEWEST, calibrate, check_enough, flag, strata
from transforms.detector.training.evaluation import Evaluation, evaluate_scores
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.labelled import GROUPS, Labelled, Links, TrainingError, read_labelled
from transforms.detector.training.ngram_fitting import Training
from transforms.detector.training.selftest import selftest
from transforms.engine import files

FOLDS = 5  # where there are no sources to leave out

__all__ = ["TrainingError", "TrainingSettings", "count", "evaluate", "recalibrate", "train"]

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
    check_enough(labelled, usable, "the data")
    training = Training(labelled, settings)
    scores, basis = held_out_scores(labelled, usable, settings, progress, training.model)
    progress("Training the final model")
    fasttext, table = training.files(usable)
    model = {"ngrams.bin": write_ngrams(table)}
    if fasttext is not None:
        model["model.bin"] = write_fasttext(collapse(fasttext))
    return _calibrated(
        out_dir,
        model,
        training.experts,
        labelled,
        usable,
        scores,
        basis,
        settings,
        other,
        trained=True,
        gained=lambda calibration: gains(calibration, labelled, scores, training, usable),
        progress=progress,
    )


def gains(
    calibration: Calibration,
    labelled: Labelled,
    scores: npt.NDArray[np.float32],
    training: Training,
    usable: npt.NDArray[np.bool_],
) -> list[str]:
    """What each expert after the first adds: how much of its age's held-out text is found with it and without it, in words."""
    band = calibration.bands_of(labelled.tokens, labelled.n_tokens)
    human = usable & ~labelled.machine & (band >= 0)
    lines = []
    for number, name in enumerate(training.experts):
        if not number:
            continue
        own = training.of_expert(number) & (band >= 0)
        found = {}
        for what, hidden in (("without", scores.copy()), ("with", scores)):
            if what == "without":
                hidden[:, number] = np.nan
            judged = calibration.judged(hidden, band, labelled.n_tokens).log_odds
            known = human & ~np.isnan(judged)
            # At the same false alarms, because fewer experts raise fewer.
            at = np.quantile(judged[known], 1 - calibration.target_fpr, method="higher")
            found[what] = float((judged[own] > at).mean()) if own.any() else float("nan")
        lines.append(
            f"Expert {name}: of {plural(int(own.sum()), 'held-out text')} of its age {found['with']:.0%} are found with it, "
            f"{found['without']:.0%} without it, at {calibration.target_fpr:.1%} false alarms"
        )
    return lines


def count(
    data: Sequence[str],
    out_dir: str,
    settings: TrainingSettings | None = None,
    evaluate_on: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> Detector:
    """Count words instead of training (`words`), and write a detector's folder. Arguments and errors as for `train`."""
    settings = dataclasses.replace(settings or TrainingSettings(), min_tokens=words.FIRST)
    labelled = read_labelled(data)
    other = read_labelled(evaluate_on) if evaluate_on else None
    usable = usable_documents(labelled, settings)

    def counted(chosen: npt.NDArray[np.bool_]) -> Model:
        return words.read_words(words.count_words(labelled, chosen), "the table")

    scores, basis = held_out_scores(labelled, usable, settings, progress, counted)
    table = words.count_words(labelled, usable)
    return _calibrated(
        out_dir, {words.FILE: table}, ("words",), labelled, usable, scores, basis, settings, other, trained=False
    )


def recalibrate(
    model: str,
    data: Sequence[str],
    out_dir: str,
    settings: TrainingSettings | None = None,
    evaluate_on: Sequence[str] = (),
) -> Detector:
    """Measure what a model's scores mean on labelled text that it was not trained on, and write both as a folder.

    Args:
      model: a folder with `model.bin`, a bare `.bin`, or "plugin:NAME".
      data, out_dir, settings, evaluate_on: as for `train`.

    Returns:
      The detector, loaded from the folder.

    Raises:
      TrainingError: the data cannot be used.
      DetectorError: the model cannot.
    """
    settings = settings or TrainingSettings()
    scorer, files = read_model(model)
    labelled = read_labelled(data)
    other = read_labelled(evaluate_on) if evaluate_on else None
    usable = usable_documents(labelled, settings)
    scores = scorer.scores(labelled.texts, labelled.tokens).copy()
    scores[~labelled.prose | (labelled.n_tokens < settings.min_tokens)] = np.nan
    basis = "scored by the model as it is, on text that whoever calibrated it says it was not trained on"
    return _calibrated(out_dir, files, scorer.experts, labelled, usable, scores, basis, settings, other, trained=False)


def _calibrated(
    out_dir: str,
    model: dict[str, bytes],
    experts: tuple[str, ...],
    labelled: Labelled,
    usable: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    basis: str,
    settings: TrainingSettings,
    other: Labelled | None,
    trained: bool,
    gained: Callable[[Calibration], list[str]] = lambda _: [],
    progress: Progress = lambda _: None,
) -> Detector:
    """Write a model with its calibration and card, and load it from there."""
    calibration = calibrate(
        labelled, usable, scores, experts, settings, basis, hashlib.sha256(b"".join(model.values())).hexdigest()
    )
    os.makedirs(out_dir, exist_ok=True)
    for name in {"model.bin", "ngrams.bin"} - set(model):
        if os.path.exists(os.path.join(out_dir, name)):
            os.remove(os.path.join(out_dir, name))  # of the detector that was there before
    for name, content in model.items():
        files.write(os.path.join(out_dir, name), content)
    files.write(os.path.join(out_dir, "calibration.json"), calibration_json(calibration))
    if other:  # false alarms there are part of what is known of the detector
        scored = load_detector(out_dir).score(other.texts, other.tokens, other.n_tokens)
        human = ~other.machine & (scored.band >= 0)
        found = strata(other, human, flag(*scored, calibration), elsewhere=True)
        calibration = dataclasses.replace(calibration, strata=calibration.strata + found)
        files.write(os.path.join(out_dir, "calibration.json"), calibration_json(calibration))
    detector = load_detector(out_dir)
    judged = calibration.judged(scores, calibration.bands_of(labelled.tokens, labelled.n_tokens), labelled.n_tokens)
    held_out = evaluate_scores(labelled, judged.log_odds, flag(*judged, calibration))
    elsewhere = evaluate(detector, other) if other else None
    try:
        planted = selftest(labelled, np.where(usable[:, None], scores, np.float32(np.nan)), experts, settings)
    except TrainingError:  # too few documents to make corpora of
        planted = ()
    what = words.CARD if words.FILE in model else detector_card.of_model(model)
    added = gained(calibration)
    for line in added:
        progress(line)
    card = detector_card.render(
        labelled, settings, calibration, held_out, other, elsewhere, trained, planted, what, added
    )
    files.write(os.path.join(out_dir, "README.md"), card.encode())
    return detector


def evaluate(detector: Detector, data: Sequence[str] | Labelled) -> Evaluation:
    """How a detector does on labelled text that it was not trained on, in all and by group.

    Raises:
      TrainingError: the data cannot be used.
    """
    labelled = data if isinstance(data, Labelled) else read_labelled(data)
    scores = detector.score(labelled.texts, labelled.tokens, labelled.n_tokens)
    return evaluate_scores(labelled, scores.log_odds, detector.origin(scores) == contracts.SYNTHETIC)


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


def held_out_scores(
    labelled: Labelled,
    usable: npt.NDArray[np.bool_],
    settings: TrainingSettings,
    progress: Progress,
    make: Callable[[npt.NDArray[np.bool_]], Model],
) -> tuple[npt.NDArray[np.float32], str]:
    """Score each document by a model that saw neither its source nor text that it shares.

    Returns:
      Scores, float32[documents, experts], NaN where too short or no prose; and how they came about, in a sentence.
    """
    found: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]] = []
    left_out, basis = folds(labelled, usable)
    for number, (name, out, rest) in enumerate(left_out, 1):
        progress(f"Without {name} ({number} of {len(left_out)})")
        check_enough(labelled, rest, f"the data without {name}")
        found.append((out, make(rest).scores(labelled.texts, labelled.tokens)[out]))
    scores = np.full((len(labelled.machine), found[0][1].shape[1]), np.nan, np.float32)
    for out, theirs in found:
        scores[out] = theirs
    scores[~labelled.prose | (labelled.n_tokens < settings.min_tokens)] = np.nan
    return scores, basis


Fold = tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]  # name, left out, trained on


def folds(labelled: Labelled, usable: npt.NDArray[np.bool_]) -> tuple[list[Fold], str]:
    """What to leave out in turn: each source if every rest has enough of both classes, else parts by hash."""
    links = Links(labelled)

    def fold(name: str, out: npt.NDArray[np.bool_]) -> Fold:
        return name, out, usable & ~out & ~links.to(out)

    sources = labelled.origin_source
    names = sorted(set(sources))
    if len(names) > 1:
        by_source = [fold(str(name) or "(no source)", sources == name) for name in names]
        classes = [(rest & labelled.machine, rest & ~labelled.machine) for _, _, rest in by_source]
        if min(int(side.sum()) for sides in classes for side in sides) >= FEWEST:
            return by_source, (
                f"leave-one-source-out over {plural(len(names), 'source')}: each document was scored by a model that was trained "
                "without its source and without documents that quote it"
            )
    part = labelled.key % np.uint64(FOLDS)
    return [fold(f"part {i + 1}", part == i) for i in range(FOLDS)], (
        f"{FOLDS}-fold by hash of the text: there are no sources to leave out, so these numbers are better than those "
        "on text from elsewhere will be"
    )
