"""The model card of a trained detector, in Markdown: a function of the data, the settings and the numbers."""

import dataclasses
import math
import shlex
from collections.abc import Collection, Sequence

import numpy as np

from expectations import escaping
from expectations.versions import version
from expectations.wording import plural
from transforms.detector.calibration import Calibration, Counts
from transforms.detector.training.evaluation import Evaluation
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.labelled import Labelled
from transforms.detector.training.selftest import Planted, table
from transforms.kernels.statistics.share_bound import clopper_pearson_lower, clopper_pearson_upper

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
one or two human documents in a hundred are called synthetic, more in some groups (see the tables).
"""
EXPERTS = (
    "A table of word n-grams with the weights of several experts (`ngrams.bin`), each a logistic "
    "regression\ntrained on the generators of one age. It holds n-grams whose use differs between human and machine text of the "
    "same source,\ndomain and language. The highest of the experts counts, each measured against human text of the same length.\n"
    "Which one it is, and by how much, helps to tell the share of a corpus (docs/decisions/0062).\n"
    "An expert that finds less than `least_found` of its own\nage gets more of the false alarms (docs/decisions/0039)."
)
FASTTEXT = (
    "A two-class fastText model over words and word n-grams of the canonical text, reduced to one weight per feature."
)
PLUGIN = "A detector of somebody else: what its plugin.json names."
PLANTED = """Known shares of held-out machine text were planted in held-out human text, and estimated and bounded from the same
held-out scores: half of the data is the reference, half makes corpora. Where source and generator are left out, the
reference is all data of other sources, without the generator, and the allowance was learned from it: neither has seen
any text of the corpus, nor like it. Human text that is known to be human is half of what there is of its kind.
"""
LIMITS = """- Unseen generators, paraphrased and edited text are missed more often than the tables say.
- Human text that is formal, or of a kind that is not in the training data, may be flagged more often than the threshold
  promises. See the false positives by source and domain, and check human text of your own before you drop anything.
- A detector ages. It knows generators up to the day in the table of thresholds; text by later ones is mostly missed, and the
  bound of a share does not vouch for it.
- A low score never says that a person wrote a text.
- The generators listed as not covered are hardly ever found, and no upper bound of a corpus share holds for their like.
- Texts in languages other than those of the calibration have no score. A language is known by its frequent words, and by the
  tag that the input or lid.176 gives it; one that is very like another (Galician, Portuguese) may still be taken for it.
- Text that is no prose (code, markup, data, logs, lists of links) has no score, and none was trained or calibrated on.
- Short documents have no score; they are of unknown origin, not human.
- The map to p_synthetic holds where half of all text is a machine's.
"""


def render(
    labelled: Labelled,
    settings: TrainingSettings,
    calibration: Calibration,
    held_out: Evaluation,
    other: Labelled | None = None,
    elsewhere: Evaluation | None = None,
    trained: bool = True,
    planted: Sequence[Planted] = (),
    what: str = FASTTEXT,
    gained: Sequence[str] = (),
) -> str:
    """The card.

    Args:
      labelled: what the detector was trained on.
      settings: how it was trained.
      calibration: of the detector.
      held_out: how held-out documents of the training data did.
      other: text that was only evaluated on.
      elsewhere: how it did there.
      trained: the model was trained on `labelled`; else it was only calibrated with it.
      planted: how well planted shares were estimated and bounded with the held-out scores.
      what: the model is.
      gained: what each expert adds, a sentence each.
    """
    data = "Training data" if trained else "Calibration data"
    parts = [
        "# Model card: detector of machine text\n",
        f"{what}\n",
        f"## Intended use\n\n{USE}",
        f"## Known limits\n\n{LIMITS}",
        f"## {data}\n\n{_data(labelled)}",
        *([f"## Settings\n\n{_settings(settings, labelled)}"] if trained else []),
        f"## Thresholds\n\n{_thresholds(calibration)}",
        f"## False alarms\n\n{_strata(calibration)}",
        f"## Held-out numbers\n\nHow they came about: {calibration.basis}.\n\n{_table(held_out)}",
    ]
    if gained:
        parts.append("## Experts\n\n" + "".join(f"- {line}.\n" for line in gained))
    if planted:
        lines = "\n".join(table(planted))
        parts.append(f"## Planted shares\n\n{PLANTED}\n```\n{lines}\n```\n")
    if other and elsewhere:
        names = ", ".join(f"`{file.name}`" for file in other.files)
        parts.append(f"## On text that was only evaluated on: {names}\n\n{_table(elsewhere)}")
    return "\n".join(parts)


def of_model(files: Collection[str]) -> str:
    """What a model of these files is."""
    return EXPERTS if "ngrams.bin" in files else FASTTEXT if "model.bin" in files else PLUGIN


def _data(labelled: Labelled) -> str:
    lines = ["| file | rows | sha256 |", "|---|--:|---|"]
    lines += [f"| {_file(file.name)} | {file.rows:,} | `{file.sha256}` |" for file in labelled.files]
    sources, licences = labelled.group("source_dataset"), labelled.group("licence")
    lines += ["", "| source | licence | human | machine |", "|---|---|--:|--:|"]
    for source in sorted(set(sources)):
        here = sources == source
        licence = ", ".join(sorted(set(licences[here]) - {""})) or "not stated"
        machine = int((here & labelled.machine).sum())
        lines.append(f"| {_cell(source) or '-'} | {_cell(licence)} | {int(here.sum()) - machine:,} | {machine:,} |")
    lines.append(f"\nDropped: {plural(labelled.dropped, 'row')}, empty, or the same as another in canonical form.")
    return "\n".join(lines) + "\n"


def _settings(settings: TrainingSettings, labelled: Labelled) -> str:
    rows = dataclasses.asdict(settings).items()
    lines = ["| setting | value |", "|---|---|"]
    lines += [
        f"| {name} | {_cell(', '.join(value), 1000) if isinstance(value, tuple) else value} |" for name, value in rows
    ]
    lines.append(f"| build of fastText | fasttext-community {version('fasttext-community')} |")
    own = [file.name for file in labelled.files if file.name.rsplit(".", 1)[0] in settings.experts]
    files = " ".join(shlex.quote(file.name) for file in labelled.files if file.name not in own)
    files += "".join(f" --expert {shlex.quote(name)}" for name in own)
    excluded = "".join(f" --exclude {shlex.quote(exclusion)}" for exclusion in settings.exclude)
    lines.append(
        "\nTrained with one thread and a fixed seed: the same files, settings and build of fastText give the same "
        "model, byte for byte, on the same kind of processor. To train it again:\n\n"
        f"    lowbackground detector train {files}{excluded} --output FOLDER"
    )
    return "\n".join(lines) + "\n"


def _thresholds(calibration: Calibration) -> str:
    lines = [
        f"Chosen so that {calibration.target_fpr:.1%} of the held-out human documents are called synthetic, at any length.",
        f"A text of fewer than {calibration.min_tokens} words and ideographs, or in another language, has no score. The",
        "allowance says which limit of the likelihood is which bound: of corpora whose source and generator were left out, three",
        "quarters of those of every generator had that limit or a higher one; at the largest share, all of them.",
        "",
        "| language | synthetic from log-odds | knows generators until | the newest | allowance |",
        "|---|--:|---|---|---|",
    ]
    for number, scale in enumerate(calibration.scales):
        allowance = scale.allowance.why or f"{scale.allowance.wording()} ({scale.allowance.corpora} corpora)"
        lines.append(
            f"| {_language(calibration, number)} | {scale.threshold:.3f} | {scale.until or 'not known'} | {_cell(scale.newest)} "
            f"| {_cell(allowance, 300)} |"
        )
    lines += [
        "",
        "| language | words | human, called synthetic | of | machine, called synthetic | of |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for bands in calibration.lengths:
        sides = ([band.human for band in bands], [family for band in bands for family in band.families])
        cells = [
            f"{sum(c.flagged for c in of) / n:.3f} | {n:,}" if (n := sum(c.n for c in of)) else " | 0" for of in sides
        ]
        lines.append(
            f"| {_language(calibration, bands[0].language)} | from {bands[0].shortest:,} | {' | '.join(cells)} |"
        )
    lines += ["", "| language | generator | flagged | held-out documents | fraction |", "|---|---|--:|--:|--:|"]
    for number in sorted({band.language for band in calibration.bands}):
        name = _language(calibration, number)
        lines += [f"| {name} {_counts_row(family.name, family)}" for family in calibration.families(number)]
    lines += [f"| {_counts_row(f'{family.name} (not covered)', family)}" for family in calibration.uncovered]
    return "\n".join(lines) + "\n"


def _language(calibration: Calibration, number: int) -> str:
    return _cell(calibration.languages[number].name) if calibration.languages else "any"


def _strata(calibration: Calibration) -> str:
    lines = [
        "Human documents that are called synthetic, in kinds with enough of them. The limits are exact (Clopper-Pearson, 95%",
        "one-sided each).",
        "",
        "| | | called synthetic | of | fraction | at least | at most |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for s in calibration.strata:
        low, high = clopper_pearson_lower(s.flagged, s.n, 0.05), clopper_pearson_upper(s.flagged, s.n, 0.05)
        kind = KINDS.get(s.kind, s.kind) + (", only evaluated on" if s.elsewhere else "")
        lines.append(
            f"| {kind} | {_cell(s.name)} | {s.flagged:,} | {s.n:,} | {s.flagged / s.n:.3f} | {low:.3f} | {high:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _counts_row(name: str, counts: Counts) -> str:
    return f"| {_cell(name)} | {counts.flagged:,} | {counts.n:,} | {counts.flagged / counts.n:.3f} |"


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


def _file(name: str) -> str:
    """The name of a file, as code in a table, where a bar ends the cell even there."""
    return escaping.markdown_code(name[:80]).replace("|", r"\|")


def _cell(text: str, longest: int = 80) -> str:
    """Text of the data, safe inside a Markdown table."""
    return escaping.markdown(text[:longest])
