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

from transforms.detector.calibration import Band, Calibration, Family
from transforms.detector.detector import load_detector
from transforms.detector.share_estimate import ALPHA, Composition
from transforms.detector.training.allowance import PARTNERS, SHARES, Judged, expected, named, pairs_of, without
from transforms.kernels.statistics import share_bound

SHOWN = (0.0, 0.10, 0.25)
BARS = (0.06, 0.20, 0.38)  # of the mean bound at these shares
ROWS = (  # what is known of the human text, and of the generator; one in how many of the other kinds and generators is known
    ("both alone", "alone", "alone", 1, 1),
    ("all but the generator", "alone", "unseen", 1, 1),
    ("all but the kind of human text", "unseen", "alone", 1, 1),
    ("own human text, the generator among others", "own", "among", 1, 1),
    ("own human text, the generator unseen", "own", "unseen", 1, 1),
    ("own human text, the generator unseen, half of the others known", "own", "unseen", 1, 2),
    ("the kind among others, the generator unseen", "among", "unseen", 1, 1),
    ("the kind unseen, the generator among others", "unseen", "among", 1, 1),
    ("both unseen", "unseen", "unseen", 1, 1),
    ("both unseen, half of the other generators known", "unseen", "unseen", 1, 2),
    ("both unseen, half of the other kinds known", "unseen", "unseen", 2, 1),
)


def alone(calibration: Calibration, kind: str, generator: str) -> Calibration:
    """A calibration that knows nothing else, of one for ""; a length without one of them has all text of that side instead."""
    bands = list(calibration.bands)
    for side, name in (("humans", kind), ("families", generator)):
        for first in range(0, len(bands) if name else 0, calibration.leads):
            theirs = range(first, first + calibration.leads)
            there = any(f.name == name for at in theirs for f in getattr(bands[at], side))
            for at in theirs:
                families = getattr(bands[at], side)
                pool = Family(name, 0, sum(f.n for f in families), np.sum([f.histogram for f in families], axis=0))
                own = tuple(f for f in families if f.name == name)
                bands[at] = with_side(bands[at], side, own if there else (pool,) if families else ())
    return dataclasses.replace(calibration, bands=tuple(bands))


def fewer(calibration: Calibration, language: int, kinds: int, generators: int) -> Calibration:
    """A calibration of one in so many kinds of human text and generators."""
    bands = calibration.bands
    for side, step in (("humans", kinds), ("families", generators)):
        kept = {*list(calibration.counts(language, side))[::step]}
        bands = tuple(
            with_side(band, side, tuple(f for f in getattr(band, side) if f.name in kept or band.language != language))
            for band in bands
        )
    return dataclasses.replace(calibration, bands=bands)


def with_side(band: Band, side: str, families: tuple[Family, ...]) -> Band:
    """A band with other `humans` or `families`."""
    return (
        dataclasses.replace(band, humans=families) if side == "humans" else dataclasses.replace(band, families=families)
    )


def pairs(calibration: Calibration, language: int) -> list[tuple[str, str]]:
    """Kinds of human text and generators that have lengths in common."""
    bands = [band for band in calibration.bands if band.language == language]
    both = pairs_of(named(bands, "humans"), named(bands, "families"), PARTNERS)
    return [pair for pair in both if expected(calibration, language, *pair, SHARES[0]).sum()]


def row(
    calibration: Calibration,
    language: int,
    known: tuple[str, str],
    parts: tuple[int, int],
    chosen: list[tuple[str, str]],
) -> Iterator[float]:
    """The numbers of a row: at each of `SHOWN` the mean floor and mean bound held out; how many of these hold; mean errors."""
    human, machine = known
    limits, errors = [], []
    for kind, generator in chosen:
        left = kind if human in ("own", "unseen") else ""
        rest = without(calibration, language, left, (generator,) if machine == "unseen" else ())
        rest = fewer(rest, language, *parts)
        rest = alone(rest, kind if human == "alone" else "", generator if machine == "alone" else "")
        own = expected(calibration, language, kind, "", 0.0) if human == "own" else None
        composition = Composition(rest)
        theirs = []
        for q in sorted({*SHARES, *SHOWN}):
            corpus = expected(calibration, language, kind, generator, q)
            fitted = composition.fits(corpus, own, bounding=True)[language]
            theirs.append(share_bound.limits(*fitted, alpha=ALPHA)[0].q if fitted else 1.0)
            errors.append(abs(composition.fit(corpus, own)[language] - q))
        limits.append(theirs)
    at = sorted({*SHARES, *SHOWN})
    found = np.array(limits)
    learned = found[:, [at.index(q) for q in SHARES]]
    sources, generators = (np.array(names) for names in zip(*((k.split("/")[0], g) for k, g in chosen), strict=True))
    floor, held = np.zeros((2, *found.shape))
    everything = np.ones(len(found), bool)
    for number, theirs in enumerate(found):
        others = (sources != sources[number]) & (generators != generators[number])
        for into, rows in ((floor, everything), (held, others if others.any() else everything)):
            allowance = Judged(tuple(generators[rows]), np.stack([learned[rows]] * 2), 0.0, "").allowance()
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
    floors = {}
    for name, human, machine, kinds, generators in ROWS:
        numbers = list(row(calibration, language, (human, machine), (kinds, generators), chosen))
        floors[name] = numbers[: len(SHOWN)]
        print(f"| {name} | {' | '.join(f'{value:.1%}' for value in numbers)} |", flush=True)
    print()
    for place, (q, bar) in enumerate(zip(SHOWN, BARS, strict=True)):
        over = [name for name, found in floors.items() if found[place] > bar]
        print(f"{bar:.0%} at a true {q:.0%} is beyond who knows: {'; '.join(over) or 'nothing'}")


if __name__ == "__main__":
    main()
