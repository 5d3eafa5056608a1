"""The model card of a trained detector, in Markdown: a function of the data, the settings and the numbers."""

import dataclasses
import math

import numpy as np

from transforms.detector import Calibration
from transforms.evaluation import Evaluation
from transforms.labelled import Labelled

KINDS = {
    "all": "",
    "source_dataset": "source",
    "language": "language",
    "length": "length",
    "generator": "generator",
    "attack": "attack",
    "domain": "domain",
}
USE = """A score is evidence, not proof. Use it to measure and bound the share of machine text in a corpus, to rank
documents for review, and to thin out a corpus. Never use it to judge a person or a single document: at the threshold
about one human document in a hundred is called synthetic, more in some groups (see the tables).
"""
LIMITS = """- Unseen generators, paraphrased and edited text are missed more often than the tables say.
- A kind of human text that is not in the training data may be flagged more often than the threshold promises. Check the
  false positives on human text of your own before you drop anything.
- Languages other than those of the training data are not covered: there a score means nothing.
- Short documents have no score; they are of unknown origin, not human.
- The map to p_synthetic holds where half of all text is a machine's.
"""


def render(
    labelled: Labelled,
    settings: object,
    calibration: Calibration,
    held_out: Evaluation,
    other: Labelled | None = None,
    elsewhere: Evaluation | None = None,
) -> str:
    """The card.

    Args:
      labelled: what the detector was trained on.
      settings: `training.TrainingSettings`.
      calibration: of the detector.
      held_out: how held-out documents of the training data did.
      other: text that was only evaluated on.
      elsewhere: how it did there.
    """
    parts = [
        "# Model card: detector of machine text\n",
        "A two-class fastText model over words and word n-grams of the canonical text, reduced to one weight per "
        "feature.\n",
        f"## Intended use\n\n{USE}",
        f"## Known limits\n\n{LIMITS}",
        f"## Training data\n\n{_data(labelled)}",
        f"## Settings\n\n{_settings(settings)}",
        f"## Thresholds\n\n{_thresholds(calibration)}",
        f"## Held-out numbers\n\nHow they came about: {calibration.basis}.\n\n{_table(held_out)}",
    ]
    if other and elsewhere:
        names = ", ".join(f"`{file.name}`" for file in other.files)
        parts.append(f"## On text that was only evaluated on: {names}\n\n{_table(elsewhere)}")
    return "\n".join(parts)


def _data(labelled: Labelled) -> str:
    lines = ["| file | rows | sha256 |", "|---|--:|---|"]
    lines += [f"| `{_cell(file.name)}` | {file.rows:,} | `{file.sha256}` |" for file in labelled.files]
    sources, licences = labelled.group("source_dataset"), labelled.group("licence")
    lines += ["", "| source | licence | human | machine |", "|---|---|--:|--:|"]
    for source in sorted(set(sources)):
        here = sources == source
        licence = ", ".join(sorted(set(licences[here]) - {""})) or "not stated"
        machine = int((here & labelled.machine).sum())
        lines.append(f"| {_cell(source) or '-'} | {_cell(licence)} | {int(here.sum()) - machine:,} | {machine:,} |")
    lines.append(f"\n{labelled.dropped:,} rows were dropped: empty, or the same as another in canonical form.")
    return "\n".join(lines) + "\n"


def _settings(settings: object) -> str:
    rows = dataclasses.asdict(settings).items()  # type: ignore[call-overload]
    lines = ["| setting | value |", "|---|---|"]
    lines += [f"| {name} | {', '.join(value) if isinstance(value, tuple) else value} |" for name, value in rows]
    lines.append(
        "\nTrained with one thread and a fixed seed: the same files, settings and build of fastText give the same "
        "`model.bin`, byte for byte. To train it again: `lowbackground detector train FILE... --output FOLDER`."
    )
    return "\n".join(lines) + "\n"


def _thresholds(calibration: Calibration) -> str:
    human = calibration.human
    lines = [
        f"- Called synthetic at log-odds {calibration.threshold:.4f} or more, which {human.flagged:,} of {human.n:,} "
        f"held-out human documents reach ({human.flagged / human.n:.2%}).",
        f"- Called human below {calibration.human_below:.4f}; unknown between the two.",
        f"- Documents of fewer than {calibration.min_tokens} words and ideographs have no score.",
        "",
        "| generator | flagged | held-out documents | fraction |",
        "|---|--:|--:|--:|",
    ]
    lines += [f"| {_cell(f.name)} | {f.flagged:,} | {f.n:,} | {f.flagged / f.n:.3f} |" for f in calibration.families]
    return "\n".join(lines) + "\n"


def _table(evaluation: Evaluation) -> str:
    lines = [
        "| | | human | machine | too short | AUROC | TPR at 1 % FPR of its own | FPR at the threshold | TPR at it |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in sorted(evaluation, key=lambda r: list(KINDS).index(r.kind)):
        numbers = " | ".join(_number(x) for x in (r.auroc, r.tpr_at_1_fpr, r.fpr, r.tpr))
        counts = f"{r.human:,} | {r.machine:,} | {r.unscored:,}"
        lines.append(f"| {KINDS[r.kind]} | {_cell(r.name)} | {counts} | {numbers} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{np.float64(value):.3f}"


def _cell(text: str) -> str:
    """Text of the data, safe inside a Markdown table."""
    return (
        "".join(c if c.isprintable() else " " for c in text)[:80].replace("|", "/").replace("<", "(").replace("`", "'")
    )
