"""How well scores tell machine text from human text, in all and by group."""

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from transforms.detector.training.labelled import Labelled

LENGTH_BANDS = ((50, 200), (200, 1000), (1000, None))  # words and ideographs


@dataclasses.dataclass(frozen=True)
class GroupEvaluation:
    """One group's numbers; NaN where the group has no document of a class.

    Attributes:
      kind, name: which group: "source_dataset" and "l2r".
      human, machine: scored documents.
      unscored: documents too short to score.
      auroc: the chance that a machine document scores higher than a human one of the group.
      tpr_at_1_fpr: machine documents above the group's own human 99th percentile.
      fpr, tpr: human and machine documents that the detector calls synthetic, in [0, 1].
    """

    kind: str
    name: str
    human: int
    machine: int
    unscored: int
    auroc: float
    tpr_at_1_fpr: float
    fpr: float
    tpr: float


Evaluation = tuple[GroupEvaluation, ...]


def auroc(human: npt.NDArray[np.float32], machine: npt.NDArray[np.float32]) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic, ties counted half. NaN if a class is empty."""
    if not len(human) or not len(machine):
        return float("nan")
    ranks = rankdata(np.concatenate([human, machine]))[len(human) :]
    return float((ranks.sum() - len(machine) * (len(machine) + 1) / 2) / (len(human) * len(machine)))


def tpr_at_fpr(human: npt.NDArray[np.float32], machine: npt.NDArray[np.float32], fpr: float) -> float:
    """Fraction of machine scores above the threshold that at most `fpr` of the human ones pass. NaN if one is empty."""
    if not len(human) or not len(machine):
        return float("nan")
    return float((machine > np.quantile(human, 1 - fpr, method="higher")).mean())


def evaluate_scores(labelled: Labelled, scores: npt.NDArray[np.float32], flagged: npt.NDArray[np.bool_]) -> Evaluation:
    """The numbers of all documents; of each source, language, generator, domain and attack; of each length band.

    A group by generator or attack is the machine documents of it against all human documents.

    Args:
      labelled: the documents.
      scores: log-odds, float32[documents]; NaN where there is none.
      flagged: whether the detector calls each synthetic.
    """
    everyone = np.ones(len(scores), bool)
    results = [_result("all", "all", labelled, scores, flagged, everyone)]
    for kind in ("source_dataset", "language", "domain", "generator", "attack"):
        column = labelled.group(kind)
        of_machine = kind in ("generator", "attack")
        for name in sorted(set(column[labelled.machine] if of_machine else column) - {""}):
            chosen = column == name
            if of_machine:
                chosen = (chosen & labelled.machine) | ~labelled.machine
            results.append(_result(kind, str(name), labelled, scores, flagged, chosen))
    for low, high in LENGTH_BANDS:
        chosen = (labelled.n_tokens >= low) & (labelled.n_tokens < (high or np.inf))
        name = f"{low}-{high - 1} tokens" if high else f"{low} tokens or more"
        results.append(_result("length", name, labelled, scores, flagged, chosen))
    return tuple(results)


def _result(
    kind: str,
    name: str,
    labelled: Labelled,
    scores: npt.NDArray[np.float32],
    flagged: npt.NDArray[np.bool_],
    chosen: npt.NDArray[np.bool_],
) -> GroupEvaluation:
    scored = chosen & ~np.isnan(scores)
    human, machine = scores[scored & ~labelled.machine], scores[scored & labelled.machine]
    return GroupEvaluation(
        kind=kind,
        name=name,
        human=len(human),
        machine=len(machine),
        unscored=int(chosen.sum() - scored.sum()),
        auroc=auroc(human, machine),
        tpr_at_1_fpr=tpr_at_fpr(human, machine, 0.01),
        fpr=float(flagged[scored & ~labelled.machine].mean()) if len(human) else float("nan"),
        tpr=float(flagged[scored & labelled.machine].mean()) if len(machine) else float("nan"),
    )
