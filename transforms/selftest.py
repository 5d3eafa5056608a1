"""How far the estimated share of synthetic text can be trusted: known shares are planted, estimated, and compared.

Half of the labelled documents serve as the reference that a calibration would be, the other half as corpora to be judged,
and no document of one half quotes one of the other. In each run a share of machine documents is mixed with human ones, and
the estimate and its upper bound (`kernels.share`) are held against it. Twice: with machine documents of the families that
the reference knows, and with each family left out of the reference in turn, where the bound's assumption may not hold.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from transforms.kernels import share
from transforms.labelled import Labelled, Links, TrainingError

SHARES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50)
SHARES_OF_ONE = (0.05, 0.25)  # with a family left out
REPEATS = 20
MOST = 5000  # documents in a planted corpus
FEWEST = 200  # documents of a class in each half, and of a family that is left out
IN_FAMILY = "families that the reference knows"


@dataclasses.dataclass(frozen=True)
class Planted:
    """What became of the runs with one planted share.

    Attributes:
      family: IN_FAMILY, or the generator that was left out of the reference and planted.
      share: planted, a fraction of documents.
      runs, documents: how many corpora, and how many documents in each.
      bias: mean of estimate minus truth.
      error: mean of its absolute value.
      bound: mean of the upper bound.
      covered: fraction of runs in which the bound was not below the truth.
    """

    family: str
    share: float
    runs: int
    documents: int
    bias: float
    error: float
    bound: float
    covered: float


@dataclasses.dataclass(frozen=True)
class _Reference:
    human: npt.NDArray[np.int64]
    machine: npt.NDArray[np.int64]
    threshold: float
    human_flagged: tuple[int, int]
    families: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, scores: npt.NDArray[np.float32], family: npt.NDArray[np.str_], target_fpr: float) -> "_Reference":
        human, machine = scores[family == ""], scores[family != ""]
        threshold = float(np.quantile(human, 1 - target_fpr, method="higher"))
        counts = []
        for name in sorted(set(family.tolist()) - {""}):
            own = scores[family == name]
            counts.append((int((own > threshold).sum()), len(own)))
        flagged = (int((human > threshold).sum()), len(human))
        return cls(share.histogram(human), share.histogram(machine), threshold, flagged, tuple(counts))

    def judge(self, scores: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Estimate and upper bound of the share of machine documents among some."""
        estimate = share.estimate_share(share.histogram(scores), self.human, self.machine)
        flagged = int((scores > self.threshold).sum())
        return estimate, share.share_upper(flagged, len(scores), *self.human_flagged, self.families)[0]


def selftest(labelled: Labelled, scores: npt.NDArray[np.float32], target_fpr: float = 0.01) -> tuple[Planted, ...]:
    """Plant shares in labelled text, estimate them, and say how it went.

    Args:
      labelled: text that the model which made the scores was not trained on.
      scores: log-odds, float32[documents]; NaN where a document is too short.
      target_fpr: the false alarms that the threshold is chosen for, in [0, 1].

    Raises:
      TrainingError: there are too few documents to make corpora of.
    """
    scored = ~np.isnan(scores)
    family = families(labelled, scored)
    reference = scored & ((labelled.key >> np.uint64(40)) % np.uint64(2) == 0)
    target = scored & ~reference
    links = Links(labelled)
    # From both halves, because documents that are quoted elsewhere are of other kinds than the rest.
    reference, target = reference & ~links.to(target), target & ~links.to(reference)
    for half, what in ((reference, "reference"), (target, "corpora")):
        for side, name in ((~labelled.machine, "human"), (labelled.machine, "machine")):
            n = int((half & side).sum())
            if n < FEWEST:
                raise TrainingError(
                    f"selftest: {n} {name} documents long enough to score for the {what} half, at least {FEWEST} are needed"
                )
    known = _Reference.of(scores[reference], family[reference], target_fpr)
    rows = [_runs(IN_FAMILY, q, known, labelled.key, scores, target & ~labelled.machine, target & labelled.machine)
            for q in SHARES]  # fmt: skip
    for name in sorted(set(family.tolist()) - {"", "other"}):
        own = target & (family == name)
        rest = reference & (family != name)
        if own.sum() >= FEWEST and (rest & labelled.machine).sum() >= FEWEST:
            without = _Reference.of(scores[rest], family[rest], target_fpr)
            humans = target & ~labelled.machine
            rows += [_runs(name, q, without, labelled.key, scores, humans, own) for q in SHARES_OF_ONE]
    return tuple(rows)


def families(labelled: Labelled, scored: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """The generator of each machine document, "other" for the small ones, "" for human text. str[documents]."""
    names = np.where(labelled.machine, labelled.group("generator").astype(str), "")
    found, counts = np.unique(names[scored & labelled.machine], return_counts=True)
    large = found[(counts >= FEWEST) & (found != "")]
    return np.where(labelled.machine & ~np.isin(names, large), "other", names)


def _runs(
    family: str,
    planted: float,
    reference: _Reference,
    key: npt.NDArray[np.uint64],
    scores: npt.NDArray[np.float32],
    human: npt.NDArray[np.bool_],
    machine: npt.NDArray[np.bool_],
) -> Planted:
    humans, machines = np.flatnonzero(human), np.flatnonzero(machine)
    # Half of what there is at most, so that runs differ.
    n = min(MOST, int(len(humans) / 2 / (1 - planted)), int(len(machines) / 2 / planted) if planted else MOST)
    k = round(planted * n)
    truth = k / n
    found = []
    for repeat in range(REPEATS):
        salt = f"{family} {planted} {repeat}"
        drawn = np.r_[_drawn(humans, key, n - k, salt), _drawn(machines, key, k, salt)]
        found.append(reference.judge(scores[drawn]))
    estimate, bound = np.array(found).T
    return Planted(
        family,
        planted,
        REPEATS,
        n,
        float((estimate - truth).mean()),
        float(np.abs(estimate - truth).mean()),
        float(bound.mean()),
        float((bound >= truth).mean()),
    )


def _drawn(places: npt.NDArray[np.int64], key: npt.NDArray[np.uint64], n: int, salt: str) -> npt.NDArray[np.int64]:
    """`n` of the places, by salted hash."""
    digest = hashlib.blake2b(salt.encode(), digest_size=8).digest()
    mixed = (key[places] ^ np.frombuffer(digest, "<u8")[0]) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    return places[np.argsort(mixed * np.uint64(0xBF58476D1CE4E5B9), kind="stable")[:n]]


def table(rows: Sequence[Planted]) -> Iterator[str]:
    """The rows as lines of text; shares in per cent."""
    family = ""
    for row in rows:
        if row.family != family:
            family = row.family
            what = family if family == IN_FAMILY else f"{family}, left out of the reference"
            yield f"{what}: {row.runs} corpora a line"
            yield "  planted  documents     bias    error  mean bound  bound holds"
        yield (
            f"  {100 * row.share:6.1f}%  {row.documents:9,}  {100 * row.bias:+6.2f}%  {100 * row.error:6.2f}%"
            f"  {100 * row.bound:9.1f}%  {100 * row.covered:10.0f}%"
        )
