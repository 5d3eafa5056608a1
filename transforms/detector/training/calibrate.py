"""Held-out scores -> what they mean: thresholds, the map to p_synthetic, and the references of a share, by band."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.detector.calibration import Allowance, Band, Calibration, Counts, Family, Language, Scale, Stratum
from transforms.detector.training.allowance import learned
from transforms.detector.training.fasttext_fitting import TrainingSettings
from transforms.detector.training.generators import released
from transforms.detector.training.labelled import Labelled, TrainingError
from transforms.kernels.statistics import share_bound
from transforms.kernels.text import language

KNOTS = 12
LENGTHS = (50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 1000.0, 2000.0)  # words, where scales have knots
SMOOTH = 0.4  # how far documents of other lengths count at a knot, in the logarithm of the length
RAISES = tuple(step / 20 for step in range(1, 21))  # spreads that an expert may be raised by
WORTH = 0.1  # of what is found by another expert
HIGH = 0.98  # the quantile of human text that is one spread above the middle
STEEPNESS = 0.05  # least rise of log-odds with z, so that p_synthetic ranks as z does
MOST_OF_A_KIND = 400  # human documents of a domain that count, so that a large set is not the whole measure
POOLED, ENOUGH = (
    2000.0,
    5,
)  # documents of all languages that count in a language's threshold, until it has five times as many
FREQUENT = 50  # words that a language is known by
LEAST = 0.75  # of the fraction of them that 95% of its texts have
EDGES = (100, 200, 400, 1000)  # words and ideographs, where bands may begin
BAND_HUMAN, BAND_MACHINE = 500, 300  # documents that a band needs; one with fewer joins its neighbour
FEWEST = 50  # documents of each class that a model is trained or calibrated on
SMALLEST_DOMAIN = 100  # human documents of a language; smaller domains are counted together
SMALLEST_FAMILY = 100  # documents of a language; smaller families are counted together
SMALLEST_STRATUM = 100  # human documents


def calibrate(
    labelled: Labelled,
    usable: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    experts: tuple[str, ...],
    settings: TrainingSettings,
    basis: str,
    model_sha256: str,
) -> Calibration:
    """What held-out scores say about the thresholds, the map to p_synthetic and the share of a corpus.

    Args:
      labelled: documents that the scoring model was not trained on.
      usable: those to calibrate with; the others are only reported.
      scores: of the model, float32[documents, experts]; NaN where there is none.
      experts: their names.
      settings: min_tokens and target_fpr.
      basis: how the scores came about, in a sentence.
      model_sha256: of the model.

    Raises:
      TrainingError: too few documents are long enough to be scored.
    """
    calibration = measured(labelled, usable, scores, experts, settings, basis, model_sha256)
    scales = tuple(
        dataclasses.replace(scale, allowance=learned(calibration, index))
        for index, scale in enumerate(calibration.scales)
    )
    calibration = dataclasses.replace(calibration, scales=scales)
    known_as = calibration.judged(scores, calibration.bands_of(labelled.tokens, labelled.n_tokens), labelled.n_tokens)
    flagged, in_band = flag(*known_as, calibration), known_as.band >= 0
    return dataclasses.replace(
        calibration,
        uncovered=_uncovered(labelled, ~usable & labelled.machine & in_band, flagged),
        strata=strata(labelled, ~labelled.machine & in_band & usable, flagged, elsewhere=False),
    )


def measured(
    labelled: Labelled,
    usable: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    experts: tuple[str, ...],
    settings: TrainingSettings,
    basis: str,
    model_sha256: str,
) -> Calibration:
    """The scales and bands, before an allowance is learned from them. Arguments and errors as for `calibrate`."""
    known = ~np.isnan(scores).all(axis=1)
    scored = usable & known & (labelled.n_tokens >= settings.min_tokens)
    check_enough(labelled, scored, f"documents of {settings.min_tokens} tokens or more")
    languages = languages_of(labelled, scored)
    number = _language_numbers(labelled, languages)
    own = [scored & (number == index) for index in range(max(1, len(languages)))]
    enough = [min(o[labelled.machine].sum(), o[~labelled.machine].sum()) >= FEWEST for o in own]
    if not any(enough):
        raise TrainingError(f"no language has {FEWEST} documents of each class that are long enough to be scored")
    standards = [_standard(labelled, o & ~labelled.machine, scores) for o in own]
    age = expert_of(labelled, experts)
    standards = [_shared(labelled, o, scores, s, age, settings) for o, s in zip(own, standards, strict=True)]
    highest = np.full(len(scores), np.nan)
    for o, scale in zip(own, standards, strict=True):
        highest[o] = np.fmax.reduce(scale.standardised(scores[o], labelled.n_tokens[o]), axis=1)
    scales = tuple(
        _scale(labelled, o, highest, scale) if good else scale
        for o, scale, good in zip(own, _thresholds(labelled, own, highest, standards, settings), enough, strict=True)
    )
    judged, leads = np.full(len(scores), np.nan, np.float32), np.zeros(len(scores), np.int8)
    for o, scale in zip(own, scales, strict=True):
        judged[o] = scale.mapped(highest[o])
        leads[o] = scale.leads(scale.standardised(scores[o], labelled.n_tokens[o]))
    bands: list[Band] = []
    for index, (o, good) in enumerate(zip(own, enough, strict=True)):
        if good:
            bands += _bands(labelled, o, index, judged, leads, len(experts), scales[index].threshold, settings)
    return Calibration(model_sha256, settings.target_fpr, experts, languages, scales, tuple(bands), (), (), basis)


NOTHING_LEARNED = Allowance((), (), (), 0.0, 0, "nothing was calibrated")


def _standard(labelled: Labelled, human: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]) -> Scale:
    """Middle and spread of each expert's scores by length, among human documents; the map is still the identity."""
    weight = _of_a_kind(labelled, human)
    rows = _in_order(labelled, human)
    length = np.log(np.maximum(labelled.n_tokens[rows], 1))
    middle, spread = np.full((scores.shape[1], len(LENGTHS)), 1e6), np.ones((scores.shape[1], len(LENGTHS)))
    for expert in range(scores.shape[1]):
        known = ~np.isnan(scores[rows, expert])
        if not known.any():
            continue  # an expert that knows nothing of the language is never the highest
        order = np.argsort(scores[rows[known], expert], kind="stable")
        values = scores[rows[known], expert][order].astype(np.float64)
        for at, knot in enumerate(np.log(LENGTHS)):
            near = np.exp(-0.5 * ((length[known] - knot) / SMOOTH) ** 2) * weight[rows[known]]
            mass = np.cumsum((near + 1e-9)[order])
            low, high = values[np.searchsorted(mass, np.array([0.5, HIGH]) * mass[-1])]
            middle[expert, at], spread[expert, at] = low, max(high - low, 1e-3)
    return Scale(
        LENGTHS,
        tuple(map(tuple, middle.tolist())),
        tuple(map(tuple, spread.tolist())),
        (0.0,),
        (0.0,),
        np.inf,
        "",
        "",
        NOTHING_LEARNED,
    )


def expert_of(labelled: Labelled, experts: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Whose age each document is of: the number of the expert that is named as its file, else of the first. int64[documents]."""
    stems = np.array([os.path.splitext(name)[0] for name in labelled.group("file")], object)
    return np.array([experts.index(stem) if stem in experts[1:] else 0 for stem in stems], np.int64)


def _shared(
    labelled: Labelled,
    own: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
    scale: Scale,
    age: npt.NDArray[np.int64],
    settings: TrainingSettings,
) -> Scale:
    """The scale with the false alarms shared between experts by what they find.

    At equal standing the highest of the experts gives each as many false alarms. An expert that finds less than `least_found` of
    its own age is raised until it does, as long as all others still do and it gains `WORTH` of what any of them loses.
    """
    human = own & ~labelled.machine & ~np.isnan(scores).all(axis=1)
    ages = [own & labelled.machine & (age == number) for number in range(scores.shape[1])]
    if not human.any() or scores.shape[1] < 2 or min(int(theirs.sum()) for theirs in ages) < FEWEST:
        return scale

    def found(raised: tuple[float, ...]) -> list[float]:
        z = dataclasses.replace(scale, raised=raised).standardised(scores[own], labelled.n_tokens[own])
        highest = np.fmax.reduce(z, axis=1)
        at = np.quantile(highest[human[own]], 1 - settings.target_fpr, method="higher")
        return [float((highest[theirs[own]] > at).mean()) for theirs in ages]

    raised = [0.0] * scores.shape[1]
    for number in range(1, scores.shape[1]):
        now = np.array(found(tuple(raised)))
        floors = np.minimum(settings.least_found, now)
        others = np.arange(len(now)) != number
        for step in RAISES:
            if now[number] >= settings.least_found:
                break
            after = np.array(found((*raised[:number], step, *raised[number + 1 :])))
            if (after < floors)[others].any():
                break
            if after[number] - now[number] > WORTH * max(0.0, float((now - after)[others].max())):
                raised[number], now = step, after
    return dataclasses.replace(scale, raised=tuple(raised))


def _in_order(labelled: Labelled, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Places of the chosen documents, in an order that does not depend on that of the files: sums come out the same."""
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(labelled.key[rows], kind="stable")]


def _of_a_kind(labelled: Labelled, human: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """What each human document counts: one of a domain that has very many counts less."""
    names = np.array(["\0".join(row) for row in zip(*map(labelled.group, ("source_dataset", "domain")), strict=True)])
    _, kind = np.unique(names, return_inverse=True)
    return np.minimum(1.0, MOST_OF_A_KIND / np.maximum(np.bincount(kind[human], minlength=kind.max() + 1), 1))[kind]


def _thresholds(
    labelled: Labelled,
    own: list[npt.NDArray[np.bool_]],
    highest: npt.NDArray[np.float64],
    scales: list[Scale],
    settings: TrainingSettings,
) -> list[Scale]:
    """The scales with the z from which text is called synthetic; a language with few documents is drawn to all of them."""

    def quantile(human: npt.NDArray[np.bool_]) -> float:
        at = np.quantile(highest[human], 1 - settings.target_fpr, method="higher")
        return float(np.nextafter(at, np.inf))

    human = [o & ~labelled.machine for o in own]
    pooled = quantile(np.any(human, axis=0))
    found = []
    for theirs, scale in zip(human, scales, strict=True):
        n = float(theirs.sum())
        drawn = max(0.0, POOLED - n / ENOUGH)
        z = (n * quantile(theirs) + drawn * pooled) / (n + drawn) if n else pooled
        if len(own) == 1:
            z = pooled
        found.append(dataclasses.replace(scale, threshold=z))
    return found


def _scale(
    labelled: Labelled,
    own: npt.NDArray[np.bool_],
    highest: npt.NDArray[np.float64],
    scale: Scale,
) -> Scale:
    """The scale of a language: its map to log-odds, its threshold on that map, and the newest generator it knows."""
    human, machine = _in_order(labelled, own & ~labelled.machine), _in_order(labelled, own & labelled.machine)
    family = _families(labelled, own)[machine]
    _, of, counts = np.unique(family, return_inverse=True, return_counts=True)
    kind = _of_a_kind(labelled, own & ~labelled.machine)[human]
    z, log_odds = calibration_map(highest[human], kind, highest[machine], 1 / np.sqrt(counts)[of])
    mapped = dataclasses.replace(scale, z=z, log_odds=log_odds)
    # Log-odds are kept as float32: the next one above is never flagged by rounding.
    threshold = float(np.nextafter(np.float32(mapped.mapped(np.array([scale.threshold]))[0]), np.float32(np.inf)))
    generator, date = labelled.group("generator"), labelled.group("date")
    days = {(released(str(g), str(d)), str(g)) for g, d in zip(generator[machine], date[machine], strict=True)}
    until, newest = max(days)
    return dataclasses.replace(mapped, threshold=threshold, newest=newest if until else "", until=until)


def flag(
    log_odds: npt.NDArray[np.float32], bands: npt.NDArray[np.int8], calibration: Calibration
) -> npt.NDArray[np.bool_]:
    """Whether the log-odds of each document reach the threshold of its band; not where it has none. bool[documents]."""
    return np.asarray(log_odds, np.float64) >= np.append(calibration.threshold_of_band, np.inf)[bands]


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
    judged: npt.NDArray[np.float32],
    leads: npt.NDArray[np.int8],
    experts: int,
    threshold: float,
    settings: TrainingSettings,
) -> list[Band]:
    """The bands of one language, shortest first, and of each length by lead."""
    starts = [settings.min_tokens]
    for edge in EDGES:  # a band is closed when it and what follows have enough
        last = own & (labelled.n_tokens >= starts[-1])
        if (
            edge > starts[-1]
            and _enough(labelled, last & (labelled.n_tokens < edge))
            and _enough(labelled, last & (labelled.n_tokens >= edge))
        ):
            starts.append(edge)
    family, domain = _families(labelled, own), _domains(labelled, own)
    bands = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        long = own & (labelled.n_tokens >= start) & (labelled.n_tokens < (end or np.inf))
        for lead in range(2 * experts if experts > 1 else 1):
            here = long & (leads == lead)
            humans, machines = (
                tuple(
                    _counted(str(name), judged[side & (names == name)], threshold) for name in sorted(set(names[side]))
                )
                for side, names in ((here & ~labelled.machine, domain), (here & labelled.machine, family))
            )
            bands.append(Band(number, start, lead, humans, machines))
    return bands


def _counted(name: str, judged: npt.NDArray[np.float32], threshold: float) -> Family:
    return Family(name, int((judged >= threshold).sum()), len(judged), share_bound.histogram(judged))


def _enough(labelled: Labelled, chosen: npt.NDArray[np.bool_]) -> bool:
    return bool((chosen & ~labelled.machine).sum() >= BAND_HUMAN and (chosen & labelled.machine).sum() >= BAND_MACHINE)


def calibration_map(
    human: npt.NDArray[np.float64],
    human_weight: npt.NDArray[np.float64],
    machine: npt.NDArray[np.float64],
    machine_weight: npt.NDArray[np.float64],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of log-odds(machine | z) for a prior of 1/2: from the machine's part of each bin's mass, made to rise (isotonic).

    Bins hold equal mass when both classes weigh the same, and a half document more of each class, so that none are infinite.
    They rise by `STEEPNESS` at least, so that no two z have the same.
    """
    from scipy.optimize import isotonic_regression  # late: it is slow to import, and a run reads what was calibrated

    pooled = np.concatenate([human, machine])
    shares = [weight / weight.sum() for weight in (human_weight, machine_weight)]
    weight = np.concatenate(shares) / 2
    order = np.argsort(pooled, kind="stable")
    below = np.cumsum(weight[order])
    # More bins at the top, where the verdict is.
    marks = np.r_[np.arange(1, KNOTS) / KNOTS, 1 - np.array([0.5, 0.25, 0.1]) / KNOTS]
    edges = np.unique(pooled[order][np.minimum(np.searchsorted(below, marks), len(order) - 1)])
    bins = len(edges) + 1
    counts = []
    for z, w, part in ((human, human_weight, shares[0]), (machine, machine_weight, shares[1])):
        worth = w.sum() ** 2 / (w**2).sum()  # documents of equal weight
        mass = np.bincount(np.searchsorted(edges, z, "right"), part, bins)
        counts.append((worth * mass + 0.5) / (worth + 0.5 * bins))
    h, m = counts
    weighed = np.bincount(np.searchsorted(edges, pooled, "right"), weight * pooled, bins)
    filled = np.bincount(np.searchsorted(edges, pooled, "right"), weight, bins)
    there = filled > 0
    centre, h, m = weighed[there] / filled[there], h[there], m[there]
    if len(centre) < 2 or (np.diff(centre) <= 0).any():  # all scores are the same: a line through one point says so
        return (float(pooled[0]), float(pooled[0]) + 1), (0.0, STEEPNESS)
    rest = np.log(m / h) - STEEPNESS * centre
    rising = isotonic_regression(rest, weights=h + m).x + STEEPNESS * centre
    return tuple(centre.tolist()), tuple(rising.tolist())


def _domains(labelled: Labelled, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """The kind of each human document, "source/domain"; "other" for a small one."""
    names = np.array(
        [
            f"{source}/{domain}"
            for source, domain in zip(*map(labelled.group, ("source_dataset", "domain")), strict=True)
        ]
    )
    found, counts = np.unique(names[own & ~labelled.machine], return_counts=True)
    return np.where(np.isin(names, found[counts >= SMALLEST_DOMAIN]), names, "other")


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
