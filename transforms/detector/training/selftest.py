"""How far the estimated share of synthetic text can be trusted: known shares are planted, estimated, and compared.

Half of the labelled documents serve as the reference that a calibration would be, the other half as corpora to be judged,
and documents that quote each other are in the same half. In each run a share of machine documents is mixed with human ones, and
the estimate and its upper bound are held against it: with text of the kinds that the reference knows, in all and by language; and
as life has it, with one kind of human text and one generator, or all kinds of a source and several generators, left out of the
reference and of what the allowance was learned from, without and with human text of the same corpus that is known to be human.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from transforms.detector.calibration import Calibration
from transforms.detector.share_estimate import FEWEST_OWN, Composition
from transforms.detector.training.allowance import FEWEST_FAMILIES, Judged, judged, without
from transforms.detector.training.calibrate import calibrate, flag
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.labelled import Labelled, Links, TrainingError
from transforms.kernels.statistics import share_bound

SHARES = (0.0, 0.01, 0.02, 0.05, 0.10, 0.25, 0.50)
REPEATS = 10
MOST = 3000  # documents in a planted corpus
FEWEST = 200  # documents of a class in each half
FEWEST_LEFT_OUT = 100  # of a kind of human text, and of a generator, that make corpora of their own
PARTNERS = 2  # generators for each kind of human text
IN_FAMILY = "kinds of text and generators that the reference knows"
LEFT_OUT = "source and generator left out of the reference"
WITH_OWN = "the same, with human text of the same kind that is known to be human"
MIXED = "all kinds of a source and several generators left out of the reference"
MIXED_OWN = "the same kinds and generators, with human text of the source that is known to be human"
FAMILIES = {(False, False): LEFT_OUT, (False, True): WITH_OWN, (True, False): MIXED, (True, True): MIXED_OWN}
SEVERAL = 3  # generators


@dataclasses.dataclass(frozen=True)
class Planted:
    """What became of the runs with one planted share.

    Attributes:
      family: which text was planted in which, in words.
      share: planted, a fraction of documents.
      runs, documents: how many corpora, and how many documents in each, on average.
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

    @classmethod
    def of(cls, family: str, share: float, documents: float, runs: list[tuple[float, float, float]]) -> "Planted":
        """From the estimate, the bound and the truth of each run."""
        estimate, bound, truth = np.array(runs).T
        off = estimate - truth
        errors = float(off.mean()), float(np.abs(off).mean())
        return cls(
            family, share, len(runs), round(documents), *errors, float(bound.mean()), float((bound >= truth).mean())
        )


@dataclasses.dataclass(frozen=True)
class _Estimator:
    """A calibration, and what it needs of each document of the other half."""

    composition: Composition
    bands: npt.NDArray[np.int8]
    bins: npt.NDArray[np.int64]
    flagged: npt.NDArray[np.bool_]
    languages: npt.NDArray[np.int64]  # -1: in no band

    @classmethod
    def of(cls, labelled: Labelled, scores: npt.NDArray[np.float32], calibration: Calibration) -> "_Estimator":
        bands = calibration.bands_of(labelled.tokens, labelled.n_tokens)
        judged = calibration.judged(scores, bands, labelled.n_tokens)
        bands = np.where(np.isnan(judged), -1, bands).astype(np.int8)
        languages = np.append(calibration.language_of_band, -1)[bands]
        flagged = flag(judged, bands, calibration)
        return cls(Composition(calibration), bands, share_bound.bin_of(judged), flagged, languages)

    def counts(self, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Some documents by band and bin of score."""
        counts = np.zeros((len(self.composition.language_of_band), share_bound.BINS), np.int64)
        np.add.at(counts, (self.bands[drawn], self.bins[drawn]), 1)
        return counts

    def estimate(self, drawn: npt.NDArray[np.int64], own: npt.NDArray[np.int64] | None = None) -> tuple[float, float]:
        """Estimate and upper bound of the share of machine documents among some, and known human ones of the same corpus."""
        composition, counts = self.composition, self.counts(drawn)
        known = None if own is None else self.counts(own)
        by_band = np.bincount(self.bands[drawn][self.flagged[drawn]], minlength=len(counts))
        bound = composition.bound(composition.by_language(by_band), counts, known)
        return composition.estimate(counts, known), bound.of_mix(composition.by_language(counts.sum(axis=1)))


def selftest(
    labelled: Labelled,
    scores: npt.NDArray[np.float32],
    experts: tuple[str, ...],
    settings: TrainingSettings | None = None,
) -> tuple[Planted, ...]:
    """Plant shares in labelled text, estimate them, and say how it went.

    Args:
      labelled: text that the model which made the scores was not trained on.
      scores: of the model, float32[documents, experts]; NaN where a document is too short.
      experts: their names.
      settings: how the reference half is calibrated.

    Raises:
      TrainingError: there are too few documents to make corpora of.
    """
    scored = ~np.isnan(scores).all(axis=1)
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
    calibration = calibrate(labelled, reference, scores, experts, settings, "", "")
    known = _Estimator.of(labelled, scores, calibration)
    reference &= known.bands >= 0
    target &= known.bands >= 0
    human = ~labelled.machine
    rows = [_runs(IN_FAMILY, q, known, labelled.key, target & human, target & labelled.machine) for q in SHARES]
    languages = calibration.languages
    for number, language in enumerate(languages if len(languages) > 1 else ()):
        own = target & (known.languages == number)
        if min((own & human).sum(), (own & labelled.machine).sum()) >= FEWEST:
            name = f"{IN_FAMILY}, language {language.name}"
            rows += [_runs(name, q, known, labelled.key, own & human, own & labelled.machine) for q in SHARES]
    for number, scale in enumerate(calibration.scales):
        if not scale.allowance.why:
            rows += _left_out(labelled, calibration, known, reference, target, number)
    return tuple(row for row in rows if row)


def _left_out(
    labelled: Labelled,
    calibration: Calibration,
    known: _Estimator,
    reference: npt.NDArray[np.bool_],
    target: npt.NDArray[np.bool_],
    language: int,
) -> list[Planted | None]:
    """Corpora of human text and generators that the reference does not know."""
    own = target & (known.languages == language)
    kinds = np.array(
        ["/".join(row) for row in zip(*map(labelled.group, ("source_dataset", "domain")), strict=True)], object
    )
    generator = labelled.group("generator")

    def large(names: npt.NDArray[np.object_], of: npt.NDArray[np.bool_]) -> list[str]:
        found, counts = np.unique(names[of].astype(str), return_counts=True)
        return [str(name) for name in found[counts >= FEWEST_LEFT_OUT] if name]

    generators = large(generator, own & labelled.machine)
    found: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    sizes: dict[tuple[str, float], list[int]] = {}
    corpora = [
        (kind, kinds == kind, [generators[(place * PARTNERS + step) % len(generators)]])
        for place, kind in enumerate(large(kinds, own & ~labelled.machine))
        for step in range(min(PARTNERS, len(generators)))
    ]
    sources = labelled.group("source_dataset")
    corpora += [
        (f"{source}/", sources == source, [generators[(first + step) % len(generators)] for step in range(SEVERAL)])
        for source in large(sources, own & ~labelled.machine)
        for first in range(0, len(generators), SEVERAL)
        if len(generators) > SEVERAL + FEWEST_FAMILIES
        and len(set(kinds[own & ~labelled.machine & (sources == source)])) > 1
    ]
    of_source: dict[str, Judged] = {}
    for kind, of_kind, unseen in corpora:
        source = kind.split("/")[0]
        if source not in of_source:
            of_source[source] = judged(without(calibration, language, kind), language)
        rest = without(calibration, language, kind, unseen)
        allowance = of_source[source].allowance(unseen)
        scales = tuple(
            dataclasses.replace(scale, allowance=allowance) if number == language else scale
            for number, scale in enumerate(rest.scales)
        )
        judge = dataclasses.replace(known, composition=Composition(dataclasses.replace(rest, scales=scales)))
        humans = np.flatnonzero(own & ~labelled.machine & of_kind)
        machines = [np.flatnonzero(own & labelled.machine & (generator == name)) for name in unseen]
        theirs = np.flatnonzero(reference & ~labelled.machine & of_kind)
        for q in SHARES:
            n = min(MOST, len(humans) / (1 - q), len(machines) * min(map(len, machines)) / q if q else MOST)
            parts = [round(q * n / len(machines)) for _ in machines]
            k = sum(parts)
            drawn = np.concatenate(
                [
                    _drawn(humans, labelled.key, round(n) - k, f"{kind} {q}"),
                    *(
                        _drawn(places, labelled.key, part, f"{name} {q}")
                        for name, places, part in zip(unseen, machines, parts, strict=True)
                    ),
                ]
            )
            for what, more in ((False, None), *([(True, theirs)] if len(theirs) >= FEWEST_OWN else [])):
                family = FAMILIES[len(unseen) > 1, what]
                found.setdefault((family, q), []).append((*judge.estimate(drawn, more), k / len(drawn)))
                sizes.setdefault((family, q), []).append(len(drawn))
    suffix = f", language {calibration.languages[language].name}" if len(calibration.languages) > 1 else ""
    return [
        Planted.of(family + suffix, q, float(np.mean(sizes[family, q])), found[family, q])
        for family in FAMILIES.values()
        for q in (SHARES if (family, 0.0) in found else ())
    ]


def _halves(labelled: Labelled) -> npt.NDArray[np.bool_]:
    """Whether each document is of the reference half: by hash, and those that quote each other together."""
    groups = Links(labelled).groups()
    key = np.full(groups.max() + 1, np.iinfo(np.uint64).max)
    np.minimum.at(key, groups, labelled.key)
    return (key[groups] >> np.uint64(40)) % np.uint64(2) == 0


def _runs(
    family: str,
    planted: float,
    judge: _Estimator,
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
    found = []
    for repeat in range(REPEATS):
        salt = f"{family} {planted} {repeat}"
        drawn, machine_drawn = [], 0
        for humans, machines in strata:
            size = round(n * len(humans) / total)
            k = round(planted * size)
            drawn += [_drawn(humans, key, size - k, salt), _drawn(machines, key, k, salt)]
            machine_drawn += k
        together = np.concatenate(drawn)
        found.append((*judge.estimate(together), machine_drawn / len(together)))
    return Planted.of(family, planted, n, found)


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
