"""How far a share is off where the writers are new: learned by leaving human sources and generators out of the reference.

Corpora are composed of one kind of human text and one generator, at known shares; what is estimated and bounded is told from
everything but that source and that generator. Scores are held out in any case. No corpus is drawn: the expected counts serve, so
that the same calibration learns the same allowance.
"""

import dataclasses
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from expectations.wording import plural
from transforms.detector.calibration import Allowance, Band, Calibration
from transforms.detector.share_estimate import ALPHA, Composition
from transforms.kernels.statistics import share_bound

SHARES = (0.01, 0.05, 0.10, 0.25, 0.50)
DOCUMENTS = 3000
FEWEST = 100  # documents of a kind of human text or of a generator that a corpus is made of
FEWEST_IN_BAND = 20  # documents of a generator and a length, where its histogram stands for its text
FEWEST_FAMILIES, FEWEST_KINDS = 3, 3  # that a language needs for a bound
MISSED = 0.25  # of the corpora of any one generator, at most
HELD = 0.95  # of the kinds of human text, none of whose text is taken for a machine's any more
PARTNERS = 3  # generators that each kind of human text is judged with, and the other way round


@dataclasses.dataclass(frozen=True)
class Judged:
    """The corpora of one language that were judged without knowing their source and generator.

    Attributes:
      generators: of each corpus.
      limits: of its share, without and with human text of its kind that is known, float64[2, corpora, len(SHARES)].
      human: how much of human text is taken for a machine's at most, but for one kind in twenty.
      why: there are too few to judge by, in words; "" if not.
    """

    generators: tuple[str, ...]
    limits: npt.NDArray[np.float64]
    human: float
    why: str

    def allowance(self, unseen: Collection[str] = ()) -> Allowance:
        """What the corpora of all generators but some say."""
        if self.why:
            return Allowance((), (), (), 0.0, 0, self.why)
        kept = np.array([name not in unseen for name in self.generators])
        plain, own = (_reached(limits[kept], np.array(self.generators)[kept]) for limits in self.limits)
        return Allowance(SHARES, plain, own, self.human, int(kept.sum()), "")


def learned(calibration: Calibration, language: int) -> Allowance:
    """The allowance of one language."""
    return judged(calibration, language).allowance()


def judged(calibration: Calibration, language: int) -> Judged:
    """Corpora of one kind of human text and one generator each, in one language."""
    bands = [band for band in calibration.bands if band.language == language]
    kinds, generators = named(bands, "humans"), named(bands, "families")
    if len(generators) < FEWEST_FAMILIES or len(kinds) < FEWEST_KINDS:
        return Judged(
            (),
            np.zeros((2, 0, len(SHARES))),
            0.0,
            f"{plural(len(generators), 'generator')} and {plural(len(kinds), 'kind')} of human text have {FEWEST} "
            f"held-out documents in it; a bound takes {FEWEST_FAMILIES} of each: labelled text of more would give "
            "one, or an audit",
        )
    human = []
    for kind in kinds:
        rest = Composition(without(calibration, language, kind))
        human.append(rest.fit(expected(calibration, language, kind, "", 0.0))[language])
    names, limits = [], []
    for kind, generator in pairs_of(kinds, generators, PARTNERS):
        corpora = [expected(calibration, language, kind, generator, q) for q in SHARES]
        if not corpora[0].sum():
            continue  # there is too little of one of them
        rest = Composition(without(calibration, language, kind, (generator,)))
        fits = [
            rest.fits(corpus, own, bounding=True)[language]
            for own in (None, expected(calibration, language, kind, "", 0.0))
            for corpus in corpora
        ]
        names.append(generator)
        limits.append([share_bound.limits(*fit, alpha=ALPHA)[0].q if fit else 0.0 for fit in fits])
    shaped = np.array(limits).reshape(len(limits), 2, len(SHARES)).swapaxes(0, 1)
    return Judged(tuple(names), shaped, float(np.clip(np.nanquantile(human, HELD), 0, 1)), "")


def _reached(limits: npt.NDArray[np.float64], generators: npt.NDArray[np.str_]) -> tuple[float, ...]:
    """The limit at each share that all but a quarter of the corpora of any one generator reached; at the largest share, all.

    Counted by generator, because a new one is as unlike the others as they are unlike each other, in all of its corpora. At the
    largest share that is most of what differs, so the hardest corpus counts there.
    """
    hardest = np.min(
        [
            np.quantile(limits[generators == name], MISSED, axis=0, method="lower")
            for name in sorted(set(generators.tolist()))
        ],
        axis=0,
    )
    hardest[-1] = limits[:, -1].min()
    return tuple(np.maximum.accumulate(hardest).tolist())


def pairs_of(kinds: list[str], generators: list[str], partners: int) -> list[tuple[str, str]]:
    """Each kind of human text with some generators, and each generator with some kinds, in turn."""
    steps = range(partners)
    by_kind = {
        (kind, generators[(place * partners + step) % len(generators)])
        for place, kind in enumerate(kinds)
        for step in steps
    }
    return sorted(
        by_kind
        | {
            (kinds[(place * partners + step) % len(kinds)], generator)
            for place, generator in enumerate(generators)
            for step in steps
        }
    )


def named(bands: list[Band], side: str) -> list[str]:
    """Kinds of human text (side "humans") or generators ("families") that have enough held-out documents."""
    counts: dict[str, int] = {}
    for band in bands:
        for family in getattr(band, side):
            counts[family.name] = counts.get(family.name, 0) + family.n
    return sorted(name for name, n in counts.items() if n >= FEWEST and name != "other")


def without(calibration: Calibration, language: int, kind: str, generators: Collection[str] = ()) -> Calibration:
    """A calibration that does not know the source of a kind of human text (of none for ""), nor some generators."""
    source = kind.split("/")[0] or None
    bands = []
    for band in calibration.bands:
        if band.language == language:
            humans = tuple(f for f in band.humans if f.name.split("/")[0] != source)
            families = tuple(f for f in band.families if f.name not in generators)
            band = dataclasses.replace(band, humans=humans, families=families)
        bands.append(band)
    if not any(band.humans for band in bands if band.language == language):  # there is one source: it stays
        bands = [dataclasses.replace(b, humans=known.humans) for b, known in zip(bands, calibration.bands, strict=True)]
    return dataclasses.replace(calibration, bands=tuple(bands))


def expected(
    calibration: Calibration, language: int, kind: str, generator: str, q: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Expected documents by band and bin, each side in the lengths that its text has; those of a few texts are left out.

    None where that leaves too few human documents, or no machine ones: such a corpus would be an accident of a few texts.
    """
    found = np.zeros((len(calibration.bands), share_bound.BINS))
    human = calibration.counts(language, "humans")[kind]
    if human.sum() < FEWEST / 2:
        return found
    parts = [((1 - q), human)]
    if q:
        machine = calibration.counts(language, "families").get(generator, np.zeros_like(human))
        parts.append((q, machine * (machine.sum(axis=(1, 2), keepdims=True) >= FEWEST_IN_BAND)))
    if all(side.any() for _, side in parts):
        whole = sum(part * side / side.sum() for part, side in parts)
        found[calibration.language_of_band == language] = DOCUMENTS * whole.reshape(-1, share_bound.BINS)
    return found
