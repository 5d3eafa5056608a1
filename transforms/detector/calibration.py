"""What the scores of a detector mean: `calibration.json`, which travels with the model that it was measured for.

Scores of short texts spread more than those of long ones, and another language has other scores, so everything is
measured by *band*: a language and a range of lengths.
"""

import dataclasses
import functools
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.detector.fasttext_file import DetectorError
from transforms.kernels.statistics import share
from transforms.kernels.text import language
from transforms.kernels.text.text import Tokens

FORMAT = 2
Histogram = npt.NDArray[np.int64]  # [share.BINS]


@dataclasses.dataclass(frozen=True)
class Counts:
    """Flagged, that is at or above the threshold, of how many held-out documents."""

    name: str
    flagged: int
    n: int


@dataclasses.dataclass(frozen=True)
class Language:
    """How texts of a language are known.

    Attributes:
      name: as the labelled data called it.
      words: its most frequent words, as tokens of canonical text.
      least: the fraction of a text's words that must be among them.
    """

    name: str
    words: tuple[str, ...]
    least: float


@dataclasses.dataclass(frozen=True)
class Family:
    """Held-out documents of one generator in one band: flagged, of how many, and their scores in bins."""

    name: str
    flagged: int
    n: int
    histogram: Histogram


@dataclasses.dataclass(frozen=True)
class Band:
    """What scores mean for the texts of one language and range of lengths.

    Attributes:
      language: index into `Calibration.languages`; 0 where texts of any language are scored.
      shortest: words and ideographs that a text of the band has at least.
      threshold: log-odds at or above which a document is called synthetic.
      human_below: log-odds below which it is called human; between the two it is unknown.
      log_odds, p_synthetic: knots of the piecewise linear map to p_synthetic, both rising, for a prior of 1/2.
      human: flagged held-out human documents, of all.
      human_histogram: their scores in the bins of `kernels.share`.
      families: held-out machine documents by generator.
    """

    language: int
    shortest: int
    threshold: float
    human_below: float
    log_odds: tuple[float, ...]
    p_synthetic: tuple[float, ...]
    human: Counts
    human_histogram: Histogram
    families: tuple[Family, ...]


@dataclasses.dataclass(frozen=True)
class Stratum:
    """False alarms among human documents of one kind.

    Attributes:
      kind, name: which: "domain" and "nonnative:toefl91".
      flagged, n: human documents.
      elsewhere: the data was only evaluated on, neither trained nor calibrated with.
    """

    kind: str
    name: str
    flagged: int
    n: int
    elsewhere: bool


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the scores of a model mean, measured on documents of sources that it was not trained on.

    Attributes:
      model_sha256: of the `model.bin` it was measured for.
      target_fpr: the fraction of held-out human documents of a band that its threshold was chosen to flag.
      languages: those that were measured; a text in any other has no score. Empty: texts of any language are scored.
      bands: by language, then by length; a text in none, because it is too short, has no score.
      uncovered: held-out documents of generators that were excluded from training; no bound holds for their like.
      strata: false alarms by language, source, domain and length.
      basis: how the held-out scores came about, in a sentence.
    """

    model_sha256: str
    target_fpr: float
    languages: tuple[Language, ...]
    bands: tuple[Band, ...]
    uncovered: tuple[Counts, ...]
    strata: tuple[Stratum, ...]
    basis: str

    @property
    def min_tokens(self) -> int:
        """Documents with fewer words and ideographs are in no band."""
        return min(band.shortest for band in self.bands)

    @property
    def human(self) -> Counts:
        """Flagged held-out human documents, of all bands."""
        return Counts("human", sum(b.human.flagged for b in self.bands), sum(b.human.n for b in self.bands))

    def families(self, language: int | None = None) -> tuple[Counts, ...]:
        """Held-out machine documents by generator, of all bands or of those of a language, by name."""
        found: dict[str, list[int]] = {}
        for band in self.bands:
            for family in band.families if language in (None, band.language) else ():
                sums = found.setdefault(family.name, [0, 0])
                sums[0] += family.flagged
                sums[1] += family.n
        return tuple(Counts(name, *found[name]) for name in sorted(found))

    @functools.cached_property
    def language_of_band(self) -> npt.NDArray[np.int64]:
        """The language of each band, int64[bands]."""
        return np.array([band.language for band in self.bands])

    @functools.cached_property
    def _lists(self) -> language.WordLists:
        return language.word_lists([known.words for known in self.languages])

    def bands_of(self, tokens: Tokens, n_tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
        """The band of each document, int8[documents]; -1 where it has none: too short, or in another language."""
        number = np.zeros(len(n_tokens), np.int8)
        if self.languages:
            least = np.array([known.least for known in self.languages], np.float32)
            number = language.language_of(language.covered(tokens, self._lists), least)
        found = np.full(len(n_tokens), -1, np.int8)
        for index, band in enumerate(self.bands):  # a language's bands are in order of length
            found[(number == band.language) & (n_tokens >= band.shortest)] = index
        return found


def calibration_json(calibration: Calibration) -> bytes:
    """`calibration.json`: the same bytes for the same calibration."""
    fields = dataclasses.asdict(calibration)
    for band in fields["bands"]:
        for holder in (band, *band["families"]):
            name = "human_histogram" if holder is band else "histogram"
            holder[name] = [[int(at), int(holder[name][at])] for at in np.flatnonzero(holder[name])]
    bins = {"bins": share.BINS, "lowest": share.LOWEST, "highest": share.HIGHEST}
    document = json.dumps({"format": FORMAT, **fields, "histogram": bins}, ensure_ascii=False, separators=(",", ":"))
    return (document.replace('{"language":', '\n{"language":').replace('{"name":', '\n{"name":') + "\n").encode()


def parse_calibration(data: bytes, path: str) -> Calibration:
    """Read `calibration.json`.

    Raises:
      DetectorError: it is not one, or its numbers contradict each other.
    """
    try:
        return _parse(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"[:160]
        raise DetectorError(
            f"{path}: not a calibration of format {FORMAT} ({what}). Calibrate the detector again, with "
            "`lowbackground detector calibrate`"
        ) from None


def _parse(fields: dict[str, Any]) -> Calibration:
    if fields["format"] != FORMAT:
        raise ValueError(f"format {fields['format']}")
    if fields["histogram"] != {"bins": share.BINS, "lowest": share.LOWEST, "highest": share.HIGHEST}:
        raise ValueError("other histogram bins")
    calibration = Calibration(
        model_sha256=str(fields["model_sha256"]),
        target_fpr=_fraction(fields["target_fpr"]),
        languages=tuple(
            Language(str(known["name"]), tuple(map(str, known["words"])), _fraction(known["least"]))
            for known in fields["languages"]
        ),
        bands=tuple(map(_band, fields["bands"])),
        uncovered=tuple(map(_counts, fields["uncovered"])),
        strata=tuple(map(_stratum, fields["strata"])),
        basis=str(fields["basis"]),
    )
    places = [(band.language, band.shortest) for band in calibration.bands]
    if not places or places != sorted(set(places)) or min(shortest for _, shortest in places) < 1:
        raise ValueError("the bands are not in order")
    if not 0 <= min(places)[0] <= max(places)[0] < max(1, len(calibration.languages)):
        raise ValueError("a band of no language")
    if len(places) > 127 or len(calibration.languages) > language.MOST:
        raise ValueError("too many bands or languages")
    return calibration


def _band(fields: dict[str, Any]) -> Band:
    band = Band(
        language=int(fields["language"]),
        shortest=int(fields["shortest"]),
        threshold=_finite(fields["threshold"]),
        human_below=_finite(fields["human_below"]),
        log_odds=tuple(map(_finite, fields["log_odds"])),
        p_synthetic=tuple(map(_fraction, fields["p_synthetic"])),
        human=_counts(fields["human"]),
        human_histogram=_histogram(fields["human_histogram"]),
        families=tuple(
            Family(counts.name, counts.flagged, counts.n, _histogram(family["histogram"]))
            for family in fields["families"]
            for counts in [_counts(family)]
        ),
    )
    knots, p = np.array(band.log_odds), np.array(band.p_synthetic)
    if not len(knots) or len(knots) != len(p) or (np.diff(knots) <= 0).any() or (np.diff(p) < 0).any():
        raise ValueError("the calibration map does not rise")
    if band.human_below > band.threshold:
        raise ValueError("human_below is above the threshold")
    totals = [(band.human.n, band.human_histogram), *((family.n, family.histogram) for family in band.families)]
    if any(n != int(histogram.sum()) or not n for n, histogram in totals):
        raise ValueError("a histogram does not hold its documents")
    return band


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a finite number")
    return number


def _fraction(value: Any) -> float:
    number = _finite(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value} is not between 0 and 1")
    return number


def _histogram(pairs: list[list[int]]) -> Histogram:
    histogram = np.zeros(share.BINS, np.int64)
    for at, count in pairs:
        if at < 0 or count < 0:
            raise ValueError("a histogram has a negative number")
        histogram[at] += count
    return histogram


def _counts(fields: dict[str, Any]) -> Counts:
    counts = Counts(str(fields["name"]), int(fields["flagged"]), int(fields["n"]))
    if not 0 <= counts.flagged <= counts.n:
        raise ValueError(f"{counts.name}: {counts.flagged} flagged of {counts.n}")
    return counts


def _stratum(fields: dict[str, Any]) -> Stratum:
    counts = _counts(fields)
    return Stratum(str(fields["kind"]), counts.name, counts.flagged, counts.n, bool(fields["elsewhere"]))
