"""How close a bound of the synthetic share can be with the scores there are: what it would be if more were known.

    python -m benchmarks.share_floor [--detector FOLDER] [--language en] [--pairs N]

Corpora of one kind of human text and one generator are made from the held-out histograms of a calibration, as expected counts
of 3,000 documents. Each is bounded with more and more left out of what the reference knows. The floor of a row is the best bound
that its limits can give: the share at which 95 % of these very corpora have such a limit or a higher one. Nobody who knows no
more comes closer, with one number per text and this way of fitting. Then the same learned from corpora of other sources and
other generators, and how many of those bounds hold; and how far the estimate is off. Own human text is the histogram of its kind,
without chance.
"""

import argparse
import dataclasses
from collections.abc import Iterator

import numpy as np

from transforms.detector.calibration import Calibration, Family
from transforms.detector.detector import load_detector
from transforms.detector.share_estimate import ALPHA, Composition
from transforms.detector.training.allowance import PARTNERS, SHARES, Judged, expected, named, pairs_of, without
from transforms.kernels.statistics import share_bound

SHOWN = (0.0, 0.10, 0.25)
ROWS = (  # what is known of the human text, and of the generator
    ("both alone", "alone", "alone"),
    ("own human text, the generator among others", "own", "among"),
    ("own human text, the generator unseen", "own", "unseen"),
    ("both among others", "among", "among"),
    ("the kind unseen, the generator among others", "unseen", "among"),
    ("the kind among others, the generator unseen", "among", "unseen"),
    ("both unseen", "unseen", "unseen"),
)


def alone(calibration: Calibration, kind: str, generator: str) -> Calibration:
    """A calibration that knows nothing else; a band without one of them has all text of that side instead."""

    def one(families: tuple[Family, ...], name: str) -> tuple[Family, ...]:
        own = tuple(f for f in families if f.name == name)
        pool = Family(name, 0, sum(f.n for f in families), np.sum([f.histogram for f in families], axis=0))
        return own or (pool,)

    bands = tuple(
        dataclasses.replace(band, humans=one(band.humans, kind), families=one(band.families, generator))
        for band in calibration.bands
    )
    return dataclasses.replace(calibration, bands=bands)


def pairs(calibration: Calibration, language: int) -> list[tuple[str, str]]:
    """Kinds of human text and generators that have lengths in common."""
    bands = [band for band in calibration.bands if band.language == language]
    both = pairs_of(named(bands, "humans"), named(bands, "families"), PARTNERS)
    return [pair for pair in both if expected(calibration, language, *pair, SHARES[0]).sum()]


def row(
    calibration: Calibration, language: int, human: str, machine: str, chosen: list[tuple[str, str]]
) -> Iterator[float]:
    """The numbers of a row: at each of `SHOWN` the mean floor and mean bound held out; how many of these hold; mean errors."""
    limits, errors = [], []
    for kind, generator in chosen:
        if human == "alone":
            rest = alone(calibration, kind, generator)
        else:
            left = kind if human in ("own", "unseen") else ""
            rest = without(calibration, language, left, (generator,) if machine == "unseen" else ())
        known = expected(calibration, language, kind, "", 0.0) if human == "own" else None
        composition = Composition(rest)
        theirs = []
        for q in sorted({*SHARES, *SHOWN}):
            corpus = expected(calibration, language, kind, generator, q)
            fitted = composition.fits(corpus, known, bounding=True)[language]
            theirs.append(share_bound.limits(*fitted, alpha=ALPHA)[0].q if fitted else 1.0)
            errors.append(abs(composition.fit(corpus, known)[language] - q))
        limits.append(theirs)
    at = sorted({*SHARES, *SHOWN})
    found = np.array(limits)
    learned = found[:, [at.index(q) for q in SHARES]]
    sources, generators = (np.array(names) for names in zip(*((k.split("/")[0], g) for k, g in chosen), strict=True))
    floor, held = np.zeros((2, *found.shape))
    for number, theirs in enumerate(found):
        others = (sources != sources[number]) & (generators != generators[number])
        for into, rows in ((floor, learned), (held, learned[others] if others.any() else learned)):
            allowance = Judged(("",) * len(rows), np.stack([rows, rows]), 0.0, "").allowance()
            into[number] = [allowance.of(limit) for limit in theirs]
    shown = [at.index(q) for q in SHOWN]
    planted = [at.index(q) for q in SHARES]
    yield from floor.mean(axis=0)[shown]
    yield from held.mean(axis=0)[shown]
    yield float((held[:, planted] >= np.array(SHARES)).mean())
    yield from np.array(errors).reshape(found.shape).mean(axis=0)[shown]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", help="folder; default: the bundled one")
    parser.add_argument("--language", default="en")
    parser.add_argument("--pairs", type=int, help="how many corpora; default: all")
    args = parser.parse_args()
    calibration = load_detector(args.detector).calibration
    assert calibration, "it has a calibration"
    language = [known.name for known in calibration.languages].index(args.language) if calibration.languages else 0
    chosen = pairs(calibration, language)[: args.pairs]
    shown = " | ".join(f"{q:.0%}" for q in SHOWN)
    print(f"| what is known | floor at {shown} | held out at {shown} | holds | error of the estimate at {shown} |")
    print("|---|" + "--:|" * (3 * len(SHOWN) + 1))
    for name, human, machine in ROWS:
        numbers = " | ".join(f"{value:.1%}" for value in row(calibration, language, human, machine, chosen))
        print(f"| {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
