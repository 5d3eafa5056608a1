"""How far the estimated share of synthetic text can be trusted: known shares are planted, estimated, and compared.

In each run a share of machine documents is mixed with human ones, and the estimate and its upper bound are held against it.
With text of the kinds that the reference knows, in all and by language, half of the labelled documents serve as the reference
that a calibration would be, and documents that quote each other are in the same half. And as life has it, with one kind of human
text and one generator, or all kinds of a source and several generators: then the reference is all documents of other sources, and
neither it nor what the allowance was learned from knows the generators, and half of the human text is known to be human, or none.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from transforms.detector.calibration import Calibration
from transforms.detector.share_estimate import FEWEST_OWN, Composition
from transforms.detector.training.allowance import FEWEST_FAMILIES, judged, without
from transforms.detector.training.calibrate import calibrate, flag, measured
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.labelled import Labelled, Links, TrainingError
from transforms.kernels.statistics import share_bound

SHARES = (0.0, 0.01, 0.02, 0.05, 0.10, 0.25, 0.50)
REPEATS = 10
MOST = 3000  # documents in a planted corpus
FEWEST = 200  # documents of a class in each half
FEWEST_LEFT_OUT = 100  # of a kind of human text, and of a generator, that make corpora of their own
PARTNERS = 5  # generators for each kind of human text
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
        first = calibration.bands_of(labelled.tokens, labelled.n_tokens)
        known = calibration.judged(scores, first, labelled.n_tokens)
        languages = np.append(calibration.language_of_band, -1)[known.band]
        flagged = flag(*known, calibration)
        return cls(Composition(calibration), known.band, share_bound.bin_of(known.log_odds), flagged, languages)

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
            rows += _left_out(
                labelled, scores, experts, settings, calibration, scored & (known.languages == number), number
            )
    return tuple(row for row in rows if row)


def _left_out(
    labelled: Labelled,
    scores: npt.NDArray[np.float32],
    experts: tuple[str, ...],
    settings: TrainingSettings,
    calibration: Calibration,
    own: npt.NDArray[np.bool_],
    language: int,
) -> list[Planted | None]:
    """Corpora of human text and generators that the reference does not know, of a language's documents."""
    sources, generator = labelled.group("source_dataset"), labelled.group("generator")
    kinds = np.array(["/".join(row) for row in zip(sources, labelled.group("domain"), strict=True)], object)
    human, scored = own & ~labelled.machine, ~np.isnan(scores).all(axis=1)

    def large(names: npt.NDArray[np.object_], of: npt.NDArray[np.bool_]) -> list[str]:
        found, counts = np.unique(names[of].astype(str), return_counts=True)
        return [str(name) for name in found[counts >= FEWEST_LEFT_OUT] if name]

    generators = large(generator, own & labelled.machine)
    corpora = [
        (kind.split("/")[0], kind, kinds == kind, [generators[(place * PARTNERS + step) % len(generators)]])
        for place, kind in enumerate(large(kinds, human))
        for step in range(min(PARTNERS, len(generators)))
    ]
    corpora += [
        (source, source, sources == source, [generators[(first + step) % len(generators)] for step in range(SEVERAL)])
        for source in large(sources, human)
        for first in range(0, len(generators), SEVERAL)
        if len(generators) > SEVERAL + FEWEST_FAMILIES and len(set(kinds[human & (sources == source)])) > 1
    ]
    found: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    sizes: dict[tuple[str, float], list[int]] = {}
    for source in sorted({source for source, *_ in corpora}):
        try:
            rest = measured(labelled, scored & (sources != source), scores, experts, settings, "", "")
        except TrainingError:
            continue  # there is nothing else
        name = calibration.languages[language].name if calibration.languages else ""
        here = [known.name for known in rest.languages].index(name) if rest.languages else 0
        corpora_of_rest = judged(rest, here)
        if corpora_of_rest.why:
            continue
        estimator = _Estimator.of(labelled, scores, rest)
        for _, kind, of_kind, unseen in (corpus for corpus in corpora if corpus[0] == source):
            scales = list(rest.scales)
            scales[here] = dataclasses.replace(scales[here], allowance=corpora_of_rest.allowance(unseen))
            known = dataclasses.replace(without(rest, here, "", unseen), scales=tuple(scales))
            judge = dataclasses.replace(estimator, composition=Composition(known))
            ours = own & (estimator.languages == here)
            humans = np.flatnonzero(ours & ~labelled.machine & of_kind)
            machines = [np.flatnonzero(ours & labelled.machine & (generator == name)) for name in unseen]
            known_human = _drawn(humans, labelled.key, len(humans) // 2, f"{kind} known")
            others = np.setdiff1d(humans, known_human)
            for planted in SHARES:
                for with_own in (False, True) if len(known_human) >= FEWEST_OWN else (False,):
                    drawn, truth = _mixed(others if with_own else humans, machines, labelled.key, planted, kind)
                    told = judge.estimate(drawn, known_human if with_own else None)
                    family = FAMILIES[len(unseen) > 1, with_own]
                    found.setdefault((family, planted), []).append((*told, truth))
                    sizes.setdefault((family, planted), []).append(len(drawn))
    suffix = f", language {calibration.languages[language].name}" if len(calibration.languages) > 1 else ""
    return [
        Planted.of(family + suffix, q, float(np.mean(sizes[family, q])), found[family, q])
        for family in FAMILIES.values()
        for q in (SHARES if (family, 0.0) in found else ())
    ]


def _mixed(
    humans: npt.NDArray[np.int64],
    machines: list[npt.NDArray[np.int64]],
    key: npt.NDArray[np.uint64],
    planted: float,
    salt: str,
) -> tuple[npt.NDArray[np.int64], float]:
    """A corpus as large as there is text for, with as many documents of each generator; and its share of machine documents."""
    n = min(MOST, len(humans) / (1 - planted))
    if planted:
        n = min(n, len(machines) * min(map(len, machines)) / planted)
    parts = [round(planted * n / len(machines)) for _ in machines]
    drawn = [_drawn(humans, key, round(n) - sum(parts), f"{salt} {planted}")]
    for number, (places, part) in enumerate(zip(machines, parts, strict=True)):
        drawn.append(_drawn(places, key, part, f"{salt} {planted} {number}"))
    together = np.concatenate(drawn)
    return together, sum(parts) / max(1, len(together))


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
