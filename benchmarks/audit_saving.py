"""How many labels an audit by score saves against a uniform one, and that its bound holds whatever the detector is worth.

    python -m benchmarks.audit_saving [--audits N]

Corpora are made of the held-out scores of the bundled calibration: human text of all its domains, machine text of all its
generators, in parts of 0 to 25 %. Each is audited with 200 labels in both ways. *coverage* is the chance that the upper
limit is not below the truth, worked out exactly; the mean bound is of N audits at even steps of chance. Three
detectors: the bundled one; one that knows nothing (machine text has the scores of human text); and one that is upside
down (machine text has the scores of the lower half of human text). `labels` is what certifies a limit with a chance of
nine in ten.
"""

import argparse
import functools
import sys

import numpy as np
import numpy.typing as npt
import scipy

from transforms.detector.detector import load_detector
from transforms.kernels.statistics import two_strata
from transforms.kernels.statistics.certify import labels_needed
from transforms.kernels.statistics.share_bound import clopper_pearson_upper
from transforms.kernels.statistics.two_strata import Cut

F64 = npt.NDArray[np.float64]
ALPHA, LIKELY = 0.05, 0.9
SHARES = (0.0, 0.01, 0.05, 0.1, 0.25)
LIMITS = ((0.0125, 0.05), (0.02, 0.05), (0.0025, 0.01), (0.025, 0.1), (0.05, 0.1), (0.1, 0.15), (0.25, 0.3))
LABELS = 200
limits = functools.cache(two_strata.limits)


def components() -> tuple[F64, F64]:
    """The scores of human and of machine text of the first language of the bundled calibration, [BINS] each, summing to 1."""
    calibration = load_detector(None).calibration
    assert calibration is not None
    human, machine = (
        np.sum([counts.sum(axis=(0, 1)) / counts.sum() for counts in calibration.counts(0, side).values()], axis=0)
        for side in ("humans", "families")
    )
    return human / human.sum(), machine / machine.sum()


def detectors() -> dict[str, tuple[F64, F64]]:
    """By name: the scores of human and of machine text."""
    human, machine = components()
    lower = np.where(np.cumsum(human) <= 0.5, human, 0.0)
    return {"bundled": (human, machine), "knows nothing": (human, human), "upside down": (human, lower / lower.sum())}


def laid(human: F64, machine: F64, q: float, documents: int = 1_000_000) -> tuple[Cut | None, tuple[float, float]]:
    """Where `audit sample` would cut such a corpus, and the true shares of the two strata."""
    bins = np.rint(documents * ((1 - q) * human + q * machine)).astype(np.int64)
    cut = two_strata.cut_by_scores(bins, 0)
    if cut is None:
        return None, (q, q)
    of_top = q * machine[cut.at :].sum()
    return cut, (of_top / cut.top, (q - of_top) / (1 - cut.top))


def audited(
    cut: Cut | None, truth: tuple[float, float], q: float, audits: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(coverage, mean bound) of a uniform audit and of one by score."""
    step = (np.arange(audits) + 0.5) / audits
    other = np.modf(np.arange(audits) * (np.sqrt(5) - 1) / 2 + 0.5)[0]  # as even, and of another order
    k = np.arange(LABELS + 1)
    held = np.array([clopper_pearson_upper(int(one), LABELS, ALPHA) for one in k]) >= q - 1e-12
    uniform = [clopper_pearson_upper(int(one), LABELS, ALPHA) for one in scipy.stats.binom.ppf(step, LABELS, q)]
    first = float(scipy.stats.binom.pmf(k, LABELS, q)[held].sum()), float(np.mean(uniform))
    if cut is None:
        return first, first
    n = two_strata.draws_of(LABELS)
    pairs = zip(*(scipy.stats.binom.ppf(u, m, p).astype(int).tolist() for u, m, p in zip((step, other), n, truth, strict=True)),
                strict=True)  # fmt: skip
    bounds = [limits(pair, n, cut.top, ALPHA)[1] for pair in pairs]
    # What certifies a limit of just the truth is below it: an audit that is wrong.
    wrong = two_strata.passes(Cut(cut.at, cut.top, truth), LABELS, q, ALPHA) if q else 0.0
    return first, (1 - wrong, float(np.mean(bounds)))


def uniform_labels(q: float, limit: float) -> int:
    """What certifies `limit` with a chance of `LIKELY` by a uniform draw."""
    k = 0
    while scipy.special.bdtr(k, labels_needed(k, limit, ALPHA), q) < LIKELY:
        k += 1
    return labels_needed(k, limit, ALPHA)


def main(arguments: list[str]) -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--audits", type=int, default=400)
    audits = parser.parse_args(arguments).audits
    out = sys.stdout.write
    out(f"{LABELS} labels\n")
    out("detector       truth   uniform: coverage  mean bound   by score: coverage  mean bound\n")
    for name, (human, machine) in detectors().items():
        for q in SHARES:
            one, other = audited(*laid(human, machine, q), q, audits)
            out(f"{name:<14} {q:>5.0%} {one[0]:>19.3f} {one[1]:>11.2%} {other[0]:>20.3f} {other[1]:>11.2%}\n")
    out("\nlabels         truth   limit   uniform   by score   saved\n")
    for name, (human, machine) in detectors().items():
        for q, limit in LIMITS:
            cut, truth = laid(human, machine, q)
            n = uniform_labels(q, limit)
            by_score = (
                None
                if cut is None
                else two_strata.labels_needed(Cut(cut.at, cut.top, truth), limit, ALPHA, LIKELY, 2 * n)
            )
            saved = "" if by_score is None else f"{1 - by_score / n:.0%}"
            out(f"{name:<14} {q:>5.2%} {limit:>7.2%} {n:>9} {by_score or '-':>10} {saved:>7}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
