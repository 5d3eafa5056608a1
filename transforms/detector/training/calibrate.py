"""Held-out scores -> what they mean: thresholds, the map to p_synthetic, and the references of a share, by band."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.detector.calibration import Band, Calibration, Counts, Family, Language, Stratum
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.labelled import Labelled, TrainingError
from transforms.kernels.statistics import share
from transforms.kernels.text import language

KNOTS = 12
FREQUENT = 50  # words that a language is known by
LEAST = 0.75  # of the fraction of them that 95% of its texts have
EDGES = (100, 200, 400, 1000)  # words and ideographs, where bands may begin
BAND_HUMAN, BAND_MACHINE = 500, 300  # documents that a band needs; one with fewer joins its neighbour
FEWEST = 50  # documents of each class that a model is trained or calibrated on
SMALLEST_FAMILY = 100  # documents of a language; smaller families are counted together
SMALLEST_STRATUM = 100  # human documents


def calibrate(
    labelled: Labelled,
    usable: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    settings: TrainingSettings,
    basis: str,
    model_sha256: str,
) -> Calibration:
    """What held-out scores say about the thresholds, the map to p_synthetic and the share of a corpus.

    Args:
      labelled: documents that the scoring model was not trained on.
      usable: those to calibrate with; the others are only reported.
      scores: log-odds, float32[documents]; NaN where there is none.
      settings: min_tokens, target_fpr and missed_as_human.
      basis: how the scores came about, in a sentence.
      model_sha256: of the model.

    Raises:
      TrainingError: too few documents are long enough to be scored.
    """
    scored = usable & ~np.isnan(scores) & (labelled.n_tokens >= settings.min_tokens)
    check_enough(labelled, scored, f"documents of {settings.min_tokens} tokens or more")
    languages = languages_of(labelled, scored)
    number = _language_numbers(labelled, languages)
    bands: list[Band] = []
    for index in range(max(1, len(languages))):
        own = scored & (number == index)
        if min(own[labelled.machine].sum(), own[~labelled.machine].sum()) >= FEWEST:
            bands += _bands(labelled, own, index, scores, settings)
    if not bands:
        raise TrainingError(f"no language has {FEWEST} documents of each class that are long enough to be scored")
    calibration = Calibration(model_sha256, settings.target_fpr, languages, tuple(bands), (), (), basis)
    band_of = calibration.bands_of(labelled.tokens, labelled.n_tokens)
    flagged, in_band = flag(scores, band_of, calibration), ~np.isnan(scores) & (band_of >= 0)
    return dataclasses.replace(
        calibration,
        uncovered=_uncovered(labelled, ~usable & labelled.machine & in_band, flagged),
        strata=strata(labelled, ~labelled.machine & in_band & usable, flagged, elsewhere=False),
    )


def flag(
    scores: npt.NDArray[np.float32], bands: npt.NDArray[np.int8], calibration: Calibration
) -> npt.NDArray[np.bool_]:
    """Whether each score reaches the threshold of its band; not where it has none. bool[documents]."""
    thresholds = np.array([band.threshold for band in calibration.bands] + [np.inf])
    return np.asarray(scores, np.float64) >= thresholds[bands]


def check_enough(labelled: Labelled, chosen: npt.NDArray[np.bool_], what: str) -> None:
    """Raise `TrainingError` if there are too few chosen documents of a class."""
    for name, side in (("human", ~labelled.machine), ("machine", labelled.machine)):
        n = int((chosen & side).sum())
        if n < FEWEST:
            raise TrainingError(f"{what}: {n} distinct {name} documents, at least {FEWEST} are needed")


def languages_of(labelled: Labelled, scored: npt.NDArray[np.bool_]) -> tuple[Language, ...]:
    """The languages with enough documents of both classes, and how they are known; none if the data does not tell."""
    column = labelled.group("language")
    names = [
        str(name)
        for name in sorted(set(column) - {""})
        if min((scored & (column == name) & side).sum() for side in (labelled.machine, ~labelled.machine)) >= FEWEST
    ]
    words = [
        frequent_words(labelled.canonical.filter(pa.array(scored & (column == name) & ~labelled.machine)))
        for name in names
    ]
    fractions = language.covered(labelled.tokens, language.word_lists(words))
    least = [
        LEAST * float(np.quantile(fractions[scored & (column == name), index], 0.05, method="lower"))
        for index, name in enumerate(names)
    ]
    return tuple(
        Language(name, tuple(listed), enough) for name, listed, enough in zip(names, words, least, strict=True)
    )


def frequent_words(canonical: pa.LargeStringArray) -> list[str]:
    """The most frequent words or ideographs of some canonical texts, those of equal frequency in code point order."""
    tokens = pc.list_flatten(pc.split_pattern(canonical, " "))
    counts = pc.value_counts(tokens.filter(pc.match_substring_regex(tokens, r"^[\p{L}\p{M}']+$")))
    table = pa.table({"word": counts.field("values"), "n": counts.field("counts")})
    order = pc.sort_indices(table, [("n", "descending"), ("word", "ascending")])[:FREQUENT]
    return [str(word) for word in table["word"].take(order).to_pylist()]


def _language_numbers(labelled: Labelled, languages: Sequence[Language]) -> npt.NDArray[np.int8]:
    if not languages:
        return np.zeros(len(labelled.machine), np.int8)
    lists = language.word_lists([known.words for known in languages])
    least = np.array([known.least for known in languages], np.float32)
    return language.language_of(language.covered(labelled.tokens, lists), least)


def _bands(
    labelled: Labelled,
    own: npt.NDArray[np.bool_],
    number: int,
    scores: npt.NDArray[np.float32],
    settings: TrainingSettings,
) -> list[Band]:
    """The bands of one language, shortest first."""
    starts = [settings.min_tokens]
    for edge in EDGES:  # a band is closed when it and what follows have enough
        last = own & (labelled.n_tokens >= starts[-1])
        if edge > starts[-1] and _enough(labelled, last & (labelled.n_tokens < edge)) and _enough(
            labelled, last & (labelled.n_tokens >= edge)
        ):  # fmt: skip
            starts.append(edge)
    family = _families(labelled, own)
    others = own & labelled.machine & (family == "other")
    if others.sum() < FEWEST:  # too few to bound how often they are flagged
        own = own & ~others
    bands = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        here = own & (labelled.n_tokens >= start) & (labelled.n_tokens < (end or np.inf))
        bands.append(_one_band(number, start, scores[here], labelled.machine[here], family[here], settings))
    return bands


def _enough(labelled: Labelled, chosen: npt.NDArray[np.bool_]) -> bool:
    return bool((chosen & ~labelled.machine).sum() >= BAND_HUMAN and (chosen & labelled.machine).sum() >= BAND_MACHINE)


def _one_band(
    number: int,
    shortest: int,
    scores: npt.NDArray[np.float32],
    is_machine: npt.NDArray[np.bool_],
    family: npt.NDArray[np.str_],
    settings: TrainingSettings,
) -> Band:
    human, machine = scores[~is_machine], scores[is_machine]
    # The next float32 above a score, because scores are float32: that one is not flagged and those above it are.
    highest = np.quantile(human, 1 - settings.target_fpr, method="higher")
    threshold = float(np.nextafter(highest, np.float32(np.inf)))
    knots, p_synthetic = calibration_map(human, machine)
    families = []
    for name in sorted(set(family[is_machine].tolist())):
        theirs = scores[is_machine & (family == name)]
        families.append(Family(name, int((theirs >= threshold).sum()), len(theirs), share.histogram(theirs)))
    return Band(
        language=number,
        shortest=shortest,
        threshold=threshold,
        human_below=min(threshold, float(np.quantile(machine, settings.missed_as_human, method="lower"))),
        log_odds=knots,
        p_synthetic=p_synthetic,
        human=Counts("human", int((human >= threshold).sum()), len(human)),
        human_histogram=share.histogram(human),
        families=tuple(families),
    )


def calibration_map(
    human: npt.NDArray[np.float32], machine: npt.NDArray[np.float32]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of p(machine | score) for a prior of 1/2: the machine's part of each bin's mass, made to rise (isotonic).

    Bins hold equal mass when both classes weigh the same; 1/2 is added to each count, so that p is never 0 or 1.
    """
    from scipy.optimize import isotonic_regression  # late: it is slow to import, and a run reads what was calibrated

    human, machine = human.astype(np.float64), machine.astype(np.float64)
    pooled = np.concatenate([human, machine])
    weight = np.repeat([0.5 / len(human), 0.5 / len(machine)], [len(human), len(machine)])
    order = np.argsort(pooled, kind="stable")
    mass = np.cumsum(weight[order])
    inner = pooled[order][np.searchsorted(mass, np.arange(1, KNOTS) / KNOTS)]
    edges = np.unique(inner)
    centres = np.unique(np.r_[pooled.min(), (edges[1:] + edges[:-1]) / 2, pooled.max()])
    bins = len(edges) + 1
    h = (np.bincount(np.searchsorted(edges, human, "right"), minlength=bins) + 0.5) / (len(human) + 0.5 * bins)
    m = (np.bincount(np.searchsorted(edges, machine, "right"), minlength=bins) + 0.5) / (len(machine) + 0.5 * bins)
    rising = isotonic_regression(m / (h + m), weights=h + m).x
    if len(centres) != bins:  # all scores are the same: one knot says so
        return (float(pooled[0]),), (float(rising.mean()),)
    return tuple(centres.tolist()), tuple(rising.tolist())


def _families(labelled: Labelled, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """The generator of each document (its source where no generator is given); "other" for a small family."""
    generator, source = labelled.group("generator"), labelled.group("source_dataset")
    names = np.where(generator == "", source, generator).astype(str)
    found, counts = np.unique(names[own & labelled.machine], return_counts=True)
    return np.where(np.isin(names, found[(counts >= SMALLEST_FAMILY) & (found != "")]), names, "other")


def _uncovered(
    labelled: Labelled, machine: npt.NDArray[np.bool_], flagged: npt.NDArray[np.bool_]
) -> tuple[Counts, ...]:
    """By generator and attack, because a generator may be excluded for one attack only."""
    generator, attack = labelled.group("generator"), labelled.group("attack")
    plain = np.isin(attack.astype(str), ("", "none"))
    names = np.where(plain, generator, generator + ", " + attack)[machine].astype(str)
    found, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    found = np.where((counts < SMALLEST_FAMILY) | (found == ""), "other", found)
    names = found[inverse]
    own = flagged[machine]
    return tuple(
        Counts(name, int(own[names == name].sum()), int((names == name).sum())) for name in sorted(set(found.tolist()))
    )


def strata(
    labelled: Labelled, human: npt.NDArray[np.bool_], flagged: npt.NDArray[np.bool_], elsewhere: bool
) -> tuple[Stratum, ...]:
    """False alarms by language, source and domain, of the strata with enough human documents.

    Args:
      labelled: the documents.
      human: the human ones that have a score.
      flagged: whether each is at or above its threshold.
      elsewhere: they were neither trained nor calibrated with.
    """
    found = []
    for kind in ("language", "source_dataset", "domain"):
        column = labelled.group(kind)
        for name in sorted(set(column[human]) - {""}):
            own = human & (column == name)
            if own.sum() >= SMALLEST_STRATUM or (elsewhere and own.sum() >= SMALLEST_STRATUM // 2):
                found.append(Stratum(kind, str(name), int((own & flagged).sum()), int(own.sum()), elsewhere))
    return tuple(found)
