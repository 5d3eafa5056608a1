"""How far the estimated share of synthetic text can be trusted: known shares are planted, estimated, and compared.

Half of the labelled documents serve as the reference that a calibration would be, the other half as corpora to be judged,
and documents that quote each other are in the same half. In each run a share of machine documents is mixed with human ones, and
the estimate and its upper bound (`estimate`) are held against it: with machine documents of the families that the reference
knows, in all and by language, and with each family left out of the reference in turn, where the bound's assumption may not hold.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from transforms.detector.calibration import Calibration
from transforms.detector.share_estimate import Mixture, Reference
from transforms.detector.training.calibrate import calibrate, flag
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.labelled import Labelled, Links, TrainingError
from transforms.kernels.statistics import share

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
      family: IN_FAMILY, with or without a language; or which generator was left out of the reference, and planted.
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
class _Judge:
    """A calibration from the reference half, and what it needs of each document of the other half."""

    calibration: Calibration
    mixture: Mixture
    reference: Reference
    bands: npt.NDArray[np.int8]
    bins: npt.NDArray[np.int64]
    flagged: npt.NDArray[np.bool_]
    languages: npt.NDArray[np.int64]  # -1: in no band

    @classmethod
    def of(
        cls,
        labelled: Labelled,
        scores: npt.NDArray[np.float32],
        known: npt.NDArray[np.bool_],
        settings: TrainingSettings,
    ) -> "_Judge":
        calibration = calibrate(labelled, known, scores, settings, "", "")
        bands = np.where(np.isnan(scores), -1, calibration.bands_of(labelled.tokens, labelled.n_tokens)).astype(np.int8)
        reference = Reference.of(calibration)
        assert reference
        flagged = flag(scores, bands, calibration)
        languages = np.append(calibration.language_of_band, -1)[bands]
        return cls(calibration, Mixture(calibration), reference, bands, share.bin_of(scores), flagged, languages)

    def estimate(self, drawn: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Estimate and upper bound of the share of machine documents among some."""
        bands = self.bands[drawn]
        counts = np.zeros((len(self.calibration.bands), share.BINS), np.int64)
        np.add.at(counts, (bands, self.bins[drawn]), 1)
        scored = self.reference.by_language(np.bincount(bands, minlength=len(counts)))
        flagged = self.reference.by_language(np.bincount(bands[self.flagged[drawn]], minlength=len(counts)))
        bound = self.reference.bound(flagged, scored).of_mix(scored)
        return self.mixture.estimate(counts), bound


def selftest(
    labelled: Labelled, scores: npt.NDArray[np.float32], settings: TrainingSettings | None = None
) -> tuple[Planted, ...]:
    """Plant shares in labelled text, estimate them, and say how it went.

    Args:
      labelled: text that the model which made the scores was not trained on.
      scores: log-odds, float32[documents]; NaN where a document is too short.
      settings: how the reference half is calibrated.

    Raises:
      TrainingError: there are too few documents to make corpora of.
    """
    scored = ~np.isnan(scores)
    family = families(labelled, scored)
    settings = settings or TrainingSettings()
    half = _halves(labelled)
    reference, target = scored & half, scored & ~half
    for side, what in ((reference, "reference"), (target, "corpora")):
        for of, name in ((~labelled.machine, "human"), (labelled.machine, "machine")):
            n = int((side & of).sum())
            if n < FEWEST:
                raise TrainingError(
                    f"selftest: {n} {name} documents long enough to score for the {what} half, at least {FEWEST} are needed"
                )
    known = _Judge.of(labelled, scores, reference, settings)
    target &= known.bands >= 0
    human = ~labelled.machine
    rows = [_runs(IN_FAMILY, q, known, labelled.key, target & human, target & labelled.machine) for q in SHARES]
    languages = known.calibration.languages
    for number, language in enumerate(languages if len(languages) > 1 else ()):
        own = target & (known.languages == number)
        if min((own & human).sum(), (own & labelled.machine).sum()) >= FEWEST:
            name = f"{IN_FAMILY}, language {language.name}"
            rows += [_runs(name, q, known, labelled.key, own & human, own & labelled.machine) for q in SHARES]
    for name in sorted(set(family.tolist()) - {"", "other"}):
        own = target & (family == name)
        rest = reference & (family != name)
        if own.sum() >= FEWEST and (rest & labelled.machine).sum() >= FEWEST:
            without = _Judge.of(labelled, scores, rest, settings)
            what = f"{name}, left out of the reference"
            ours = target & (without.bands >= 0)
            rows += [_runs(what, q, without, labelled.key, ours & human, ours & own) for q in SHARES_OF_ONE]
    return tuple(row for row in rows if row)


def _halves(labelled: Labelled) -> npt.NDArray[np.bool_]:
    """Whether each document is of the reference half: by hash, and those that quote each other together."""
    groups = Links(labelled).groups()
    key = np.full(groups.max() + 1, np.iinfo(np.uint64).max)
    np.minimum.at(key, groups, labelled.key)
    return (key[groups] >> np.uint64(40)) % np.uint64(2) == 0


def families(labelled: Labelled, scored: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """The generator of each machine document, "other" for the small ones, "" for human text. str[documents]."""
    names = np.where(labelled.machine, labelled.group("generator").astype(str), "")
    found, counts = np.unique(names[scored & labelled.machine], return_counts=True)
    large = found[(counts >= FEWEST) & (found != "")]
    return np.where(labelled.machine & ~np.isin(names, large), "other", names)


def _runs(
    family: str,
    planted: float,
    judge: _Judge,
    key: npt.NDArray[np.uint64],
    human: npt.NDArray[np.bool_],
    machine: npt.NDArray[np.bool_],
) -> Planted | None:
    """Corpora in which every language has the planted share, in the mix of the human documents; None if that is not possible."""
    strata = []
    for number in np.unique(judge.languages[human]).tolist():
        humans, machines = (np.flatnonzero(side & (judge.languages == number)) for side in (human, machine))
        if len(machines) >= FEWEST // 2:
            strata.append((humans, machines))
    total = sum(len(humans) for humans, _ in strata)
    if not total:
        return None
    # Half of what there is at most, so that runs differ.
    n = min(MOST, int(total / 2 / (1 - planted)))
    if planted:
        n = min(n, *(int(len(machines) / 2 / planted / (len(humans) / total)) for humans, machines in strata))
    found, truth = [], 0.0
    for repeat in range(REPEATS):
        salt = f"{family} {planted} {repeat}"
        drawn, machine_drawn = [], 0
        for humans, machines in strata:
            size = round(n * len(humans) / total)
            k = round(planted * size)
            drawn += [_drawn(humans, key, size - k, salt), _drawn(machines, key, k, salt)]
            machine_drawn += k
        together = np.concatenate(drawn)
        truth = machine_drawn / len(together)
        found.append(judge.estimate(together))
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
            yield f"{family}: {row.runs} corpora a line"
            yield "  planted  documents     bias    error  mean bound  bound holds"
        yield (
            f"  {100 * row.share:6.1f}%  {row.documents:9,}  {100 * row.bias:+6.2f}%  {100 * row.error:6.2f}%"
            f"  {100 * row.bound:9.1f}%  {100 * row.covered:10.0f}%"
        )
