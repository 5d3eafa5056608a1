"""How far a share is off where the writers are new: learned by leaving human sources and generators out of the reference.

Corpora are composed of one kind of human text and one generator, at known shares; what is estimated and bounded is told from
everything but that source and that generator. Scores are held out in any case. No corpus is drawn: the expected counts serve, so
that the same calibration learns the same allowance.
"""

import dataclasses

import numpy as np

from expectations.wording import plural
from transforms.detector.calibration import Allowance, Band, Calibration
from transforms.detector.share_estimate import ALPHA, Composition
from transforms.kernels.statistics import share_bound

SHARES = (0.05, 0.10, 0.25, 0.50)
DOCUMENTS = 3000
FEWEST = 100  # documents of a kind of human text or of a generator that a corpus is made of
FEWEST_FAMILIES, FEWEST_KINDS = 3, 3  # that a language needs for a bound
HELD = 0.95  # the part of the corpora whose bound is to hold
PARTNERS = 1  # generators that each kind of human text is judged with, and the other way round


def learned(calibration: Calibration, language: int) -> Allowance:
    """The allowance of one language."""
    bands = [band for band in calibration.bands if band.language == language]
    kinds = _names(bands, "humans")
    generators = _names(bands, "families")
    if len(generators) < FEWEST_FAMILIES or len(kinds) < FEWEST_KINDS:
        return Allowance(
            0.0,
            0.0,
            0,
            f"{plural(len(generators), 'generator')} and {plural(len(kinds), 'kind')} of human text have {FEWEST} "
            f"held-out documents in it; a bound takes {FEWEST_FAMILIES} of each: labelled text of more would give one, or "
            "an audit",
        )
    roots: dict[float, list[float]] = {q: [] for q in SHARES}
    human = []
    for kind in kinds:
        rest = Composition(without(calibration, language, kind, ""))
        human.append(rest.fit(_corpus(calibration, language, kind, "", 0.0))[language])
    pairs = {
        (kind, generators[(place * PARTNERS + step) % len(generators)])
        for place, kind in enumerate(kinds)
        for step in range(PARTNERS)
    } | {
        (kinds[(place * PARTNERS + step) % len(kinds)], generator)
        for place, generator in enumerate(generators)
        for step in range(PARTNERS)
    }
    for kind, generator in sorted(pairs):
        rest = Composition(without(calibration, language, kind, generator))
        for q in SHARES:
            fitted = rest.fits(_corpus(calibration, language, kind, generator, q), bounding=True)[language]
            if fitted is not None:
                (high,) = share_bound.limits(*fitted, alpha=ALPHA)
                roots[q].append((q - high.q) / max(high.q, 1e-3) ** 0.5)
    worst = max(float(np.quantile(found, HELD)) for found in roots.values() if found)
    human_off = float(np.clip(np.nanquantile(human, HELD), 0, 1))
    return Allowance(max(0.0, worst), human_off, sum(map(len, roots.values())), "")


def _names(bands: list[Band], side: str) -> list[str]:
    counts: dict[str, int] = {}
    for band in bands:
        for family in getattr(band, side):
            counts[family.name] = counts.get(family.name, 0) + family.n
    return sorted(name for name, n in counts.items() if n >= FEWEST and name != "other")


def without(calibration: Calibration, language: int, kind: str, generator: str) -> Calibration:
    """A calibration that does not know the source of a kind of human text, nor a generator."""
    source = kind.split("/")[0]
    bands = []
    for band in calibration.bands:
        if band.language == language:
            humans = tuple(f for f in band.humans if f.name.split("/")[0] != source)
            families = tuple(f for f in band.families if f.name != generator)
            band = dataclasses.replace(band, humans=humans or band.humans, families=families)
        bands.append(band)
    return dataclasses.replace(calibration, bands=tuple(bands))


def _corpus(
    calibration: Calibration, language: int, kind: str, generator: str, q: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Expected documents by band and bin: both sides in the lengths of the human text, where the generator has any."""
    found = np.zeros((len(calibration.bands), share_bound.BINS))
    for number, band in enumerate(calibration.bands):
        if band.language != language:
            continue
        human = [f for f in band.humans if f.name == kind]
        machine = [f for f in band.families if f.name == generator]
        if human and (machine or not q):
            found[number] = (1 - q) * human[0].histogram
            found[number] += q * human[0].n * machine[0].histogram / machine[0].n if q else 0
    return found * (DOCUMENTS / max(found.sum(), 1e-9))
