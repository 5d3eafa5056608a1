"""How close a bound of the synthetic share can be with the scores there are: what it would be if more were known.

    python -m benchmarks.share_floor [--detector FOLDER] [--language en] [--pairs N]

Corpora of one kind of human text and one generator are made from the held-out histograms of a calibration, as expected counts of
3,000 documents. Each is bounded with more and more left out of what the reference knows. The bound of a row is the best that its
limits can give: the share at which 95 % of these very corpora have such a limit or a higher one. So a row is a floor for whoever
knows no more than it says, with one number per text and this way of fitting; what a release is held to is learned without the
corpus that is judged, and lies a little higher.
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
    """The mean bound at each of `SHOWN`, and the mean error of the estimate there."""
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
    allowance = Judged(("",) * len(found), np.stack([learned, learned]), 0.0, "").allowance()
    for q in SHOWN:
        yield float(np.mean([allowance.of(limit) for limit in found[:, at.index(q)]]))
    off = np.array(errors).reshape(found.shape)
    yield from (float(off[:, at.index(q)].mean()) for q in SHOWN)


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
    shown = [f"{q:.0%}" for q in SHOWN]
    print(f"| what is known | bound at {' | at '.join(shown)} | error of the estimate at {' | at '.join(shown)} |")
    print("|---|" + "--:|" * 2 * len(SHOWN))
    for name, human, machine in ROWS:
        numbers = " | ".join(f"{value:.1%}" for value in row(calibration, language, human, machine, chosen))
        print(f"| {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
