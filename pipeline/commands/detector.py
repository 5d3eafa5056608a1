"""`detector train | words | calibrate | evaluate | selftest | card`: a detector made, measured and described."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from expectations.wording import plural
from pipeline.reading.outputs import check_folder
from transforms.detector.detector import BUNDLED, DetectorError, load_detector
from transforms.detector.plugins import PREFIX
from transforms.detector.training.labelled import read_labelled
from transforms.detector.training.selftest import selftest, table
from transforms.detector.training.train import TrainingError, TrainingSettings, count, evaluate, recalibrate, train

MARK = "calibration.json"  # a folder with it is a detector's


def train_detector(
    data: Sequence[str],
    output: str,
    evaluate_on: Sequence[str],
    exclude: Sequence[str],
    console: Console,
    force: bool = False,
    experts: Sequence[str] = (),
) -> str:
    """Train a detector and say how good it is; each file of `experts` is data too, and its machine text trains an expert.

    Raises:
      RecipeError: the folder must not be written (`outputs.check_folder`).
      TrainingError: the data or the settings will not do.
    """
    wrong = next((item for item in exclude if "=" not in item), None)
    if wrong is not None:
        raise TrainingError(f"--exclude {wrong}: write it as COLUMN=VALUE, for example --exclude attack=polish")
    check_folder(output, [*data, *experts, *evaluate_on], force, MARK)
    settings = TrainingSettings(experts=tuple(pathlib.Path(path).stem for path in experts))
    settings = dataclasses.replace(settings, exclude=tuple(exclude)) if exclude else settings
    detector = train(
        [*data, *experts], output, settings, tuple(evaluate_on), lambda line: console.print(line, markup=False)
    )
    return f"wrote {output}: ngrams.bin, calibration.json and README.md (its card). Detector {detector.sha256[:12]}."


def count_detector(
    data: Sequence[str],
    output: str,
    evaluate_on: Sequence[str],
    exclude: Sequence[str],
    console: Console,
    force: bool = False,
) -> str:
    """Count a table of words and say how good it is as a detector.

    Raises:
      RecipeError: the folder must not be written (`outputs.check_folder`).
      TrainingError: the data or the settings will not do.
    """
    check_folder(output, [*data, *evaluate_on], force, MARK)
    settings = TrainingSettings(exclude=tuple(exclude)) if exclude else TrainingSettings()
    detector = count(list(data), output, settings, tuple(evaluate_on), lambda line: console.print(line, markup=False))
    return f"wrote {output}: words.parquet, calibration.json and README.md (its card). Detector {detector.sha256[:12]}."


def calibrate_detector(
    model: str,
    data: Sequence[str],
    output: str,
    evaluate_on: Sequence[str],
    exclude: Sequence[str],
    min_tokens: int,
    target_fpr: float,
    force: bool = False,
) -> str:
    """Measure what the scores of a model mean, and write it with its calibration and card.

    Raises:
      RecipeError: the folder must not be written (`outputs.check_folder`).
      TrainingError, DetectorError: the data or the model cannot be used.
    """
    check_folder(output, [*data, *evaluate_on, *([] if model.startswith(PREFIX) else [model])], force, MARK)
    settings = TrainingSettings(exclude=tuple(exclude), min_tokens=min_tokens, target_fpr=target_fpr)
    detector = recalibrate(model, list(data), output, settings, tuple(evaluate_on))
    assert detector.calibration
    human, bands = detector.calibration.human, len(detector.calibration.lengths)
    return (
        f"wrote {output}: the model, calibration.json and README.md (its card). Detector {detector.sha256[:12]}. Bands: {bands}. "
        f"Called synthetic: {human.flagged:,} of {plural(human.n, 'human document')}."
    )


def card_of(model: str | None) -> str:
    """The model card in a detector's folder, with control characters taken out.

    Raises:
      DetectorError: there is no such detector.
    """
    load_detector(model)  # a card of a detector that does not load is of no use
    try:
        card = (pathlib.Path(model or BUNDLED) / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise DetectorError(
            f"{model}: has no README.md; `lowbackground detector calibrate` writes one beside the calibration"
        ) from None
    return "".join(c if c.isprintable() or c == "\n" else " " for c in card)


def evaluate_detector(data: Sequence[str], model: str | None) -> str:
    """A table of how a detector does on labelled text, in all and by group.

    Raises:
      TrainingError, DetectorError: the data or the detector cannot be used.
    """
    detector = load_detector(model)
    labelled = read_labelled(list(data))
    lines = [
        f"detector {detector.name!r} on {plural(len(labelled.machine), 'document')}",
        "Only text that it was not trained on says anything about other text.",
        "",
        f"{'group':44}{'human':>8}{'machine':>9}{'short':>7}{'AUROC':>8}{'TPR@1%':>8}{'FPR':>8}{'TPR':>8}",
    ]
    for row in evaluate(detector, labelled):
        name = row.name if row.kind == "all" else f"{row.kind} {row.name}"
        rates = (row.auroc, row.tpr_at_1_fpr, row.fpr, row.tpr)
        numbers = "".join(f"{'-' if np.isnan(rate) else format(rate, '.3f'):>8}" for rate in rates)
        lines.append(f"{name[:43]:44}{row.human:8,}{row.machine:9,}{row.unscored:7,}{numbers}")
    return "\n".join(lines)


def selftest_detector(data: Sequence[str], model: str | None) -> str:
    """A table of how well planted shares are estimated and bounded with a detector.

    Raises:
      TrainingError, DetectorError: the data or the detector cannot be used.
    """
    detector = load_detector(model)
    labelled = read_labelled(list(data))
    scores = detector.model.scores(labelled.texts, labelled.tokens)
    scores[labelled.n_tokens < detector.min_tokens] = np.nan
    lines = [
        f"detector {detector.name!r}; half of the labelled text is the reference, corpora are drawn from the other half",
        "",
    ]
    return "\n".join([*lines, *table(selftest(labelled, scores, detector.model.experts))])
