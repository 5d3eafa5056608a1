"""What the scores of a detector mean: `calibration.json`, which travels with the model that it was measured for.

An expert's score is measured against human text of the same language and length, and the highest of the experts counts: that is
the `Scale` of a language, smooth in the length and rising with the score. What a share is estimated from is kept by *band*: a
language, a range of lengths, and a *lead*, which says what the highest score alone does not: which expert gave it, and how far
below the others are.
"""

import dataclasses
import datetime
import functools
import json
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.language_tags import is_known
from transforms.detector.fasttext_file import DetectorError
from transforms.kernels.statistics import share_bound
from transforms.kernels.text import language
from transforms.kernels.text.text import Tokens

FORMAT, READ = 6, (5, 6)  # the bands of format 5 have no lead
RAISED = (0.5, 1.0)  # z from which an expert is raised, and from which by all that its scale says
FAR = 0.4  # z by which an expert leads the others far
Histogram = npt.NDArray[np.int64]  # [share_bound.BINS]


class Scores(NamedTuple):
    """What a detector makes of a batch of documents."""

    log_odds: npt.NDArray[np.float32]  # [documents] of machine origin; NaN: it cannot judge the document
    band: npt.NDArray[np.int8]  # [documents] index into `Calibration.bands`, 0 without a calibration; -1 where NaN


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
class Allowance:
    """How far limits of a share lay off where writers and generators were left out of the reference, learned when calibrating.

    A bound is the largest planted share at which corpora like it had a limit no higher than its own (a Neyman bound). So it is
    learned, for each planted share, what limit three quarters of the corpora of every generator had; at the largest, all of them.

    Attributes:
      shares: that were planted, rising, each in (0, 1).
      limits: of the profile likelihood that they reached at each share; nowhere falling.
      own_limits: the same for corpora with human text of the same kind that is known to be human.
      human: how much of a share may be human text that writes unlike the reference, in [0, 1].
      corpora: how many of each share were judged; 0: there are too few kinds of text to say, and no bound can be given.
      why: no bound can be given, in words; "" if one can.
    """

    shares: tuple[float, ...]
    limits: tuple[float, ...]
    own_limits: tuple[float, ...]
    human: float
    corpora: int
    why: str

    def wording(self) -> str:
        """From which limits to which bounds, in per cent, without and with own human text."""
        both = (("", self.limits), (" with own human text", self.own_limits))
        return ", ".join(
            " ".join(f"{limit:.1%}>{share:.0%}" for limit, share in zip(known, self.shares, strict=True)) + what
            for what, known in both
        )

    def of(self, limit: float, own: bool = False) -> float:
        """The bound that a limit of the profile likelihood is worth, in [limit, 1].

        Between planted shares it is linear, and no bound is under the smallest of them: what lies below was not judged.

        Args:
          limit: of the share.
          own: human text of the same corpus is known, and most human text is like it.
        """
        known = np.array(self.own_limits if own else self.limits)
        shares = np.r_[self.shares, 1.0]
        at = int(np.searchsorted(known, limit, "right"))  # the last of equal limits counts: the largest share
        if at == 0:
            return max(limit, self.shares[0] if self.shares else 0.0)
        low, high = known[at - 1], known[at] if at < len(known) else 1.0
        part = (limit - low) / (high - low) if high > low else 1.0
        return float(min(1.0, max(limit, shares[at - 1] + part * (shares[at] - shares[at - 1]))))


@dataclasses.dataclass(frozen=True)
class Scale:
    """From the scores of the experts to log-odds of machine origin, in one language.

    Each score becomes z = (score - middle) / spread, by human documents of about the same length: 0 at half of them, 1 at 98 %.
    The highest z of the experts is mapped to log-odds where half of all text is a machine's, and so p = 1 / (1 + exp(-log-odds)).

    Attributes:
      lengths: words, rising, at which middle and spread are given; between them they are linear in the logarithm.
      middle, spread: for each expert, at each length.
      z, log_odds: knots of the map, both rising; beyond them it goes on as between the last two.
      threshold: log-odds at or above which a document is called synthetic.
      newest: the newest generator of the calibration, and `until` the day that it came out, as 2026-11-01; "" if not known.
      allowance: of shares in this language.
      raised: for each expert, by how much its high z are raised, at least 0: it has more of the false alarms. (): none is.
    """

    lengths: tuple[float, ...]
    middle: tuple[tuple[float, ...], ...]
    spread: tuple[tuple[float, ...], ...]
    z: tuple[float, ...]
    log_odds: tuple[float, ...]
    threshold: float
    newest: str
    until: str
    allowance: Allowance
    raised: tuple[float, ...] = ()

    def standardised(self, scores: npt.NDArray[np.float32], n_tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Z of each document by each expert, float64[documents, experts]; NaN stays NaN."""
        at, knots = np.log(np.maximum(n_tokens, 1)), np.log(self.lengths)
        columns = [
            (scores[:, k] - np.interp(at, knots, self.middle[k])) / np.interp(at, knots, self.spread[k])
            for k in range(scores.shape[1])
        ]
        z = np.stack(columns, axis=1).astype(np.float64)
        # What most text has is left as it is, because shares are estimated from it.
        return (
            z + np.clip((z - RAISED[0]) / (RAISED[1] - RAISED[0]), 0, 1) * np.array(self.raised) if self.raised else z
        )

    def judged(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Log-odds of each document, float32[documents]; NaN where no expert has a score. `z` is `standardised`."""
        return self.mapped(np.fmax.reduce(z, axis=1)).astype(np.float32)

    def leads(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        """Twice the number of the expert with the highest z, and one more if it leads the others far: int8[documents].

        0 where no expert has a score, and everywhere if there is but one. `z` is `standardised`.
        """
        if z.shape[1] < 2:
            return np.zeros(len(z), np.int8)
        z = np.nan_to_num(z, nan=-np.inf)
        second, first = np.sort(z, axis=1)[:, -2:].T
        return (2 * np.argmax(z, axis=1) + (first >= second + FAR) * (first > second)).astype(np.int8)

    def mapped(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Log-odds of each z."""
        found = np.interp(z, self.z, self.log_odds)
        if len(self.z) > 1:
            first = (self.log_odds[1] - self.log_odds[0]) / (self.z[1] - self.z[0])
            last = (self.log_odds[-1] - self.log_odds[-2]) / (self.z[-1] - self.z[-2])
            found = found + first * np.minimum(z - self.z[0], 0) + last * np.maximum(z - self.z[-1], 0)
        return np.where(np.isnan(z), np.nan, found)


@dataclasses.dataclass(frozen=True)
class Family:
    """Held-out documents of one generator, or of human documents of one kind, in one band.

    Attributes:
      name: of the generator, or the domain.
      flagged, n: how many are called synthetic, of how many.
      histogram: their log-odds in the bins of `kernels.statistics.share_bound`.
    """

    name: str
    flagged: int
    n: int
    histogram: Histogram


@dataclasses.dataclass(frozen=True)
class Band:
    """Held-out documents of one language, range of lengths and lead.

    Attributes:
      language: index into `Calibration.scales`; 0 where texts of any language are scored.
      shortest: words and ideographs that a text of the band has at least.
      lead: which expert gave the highest score, and whether by far (`Scale.leads`).
      humans: held-out human documents by domain.
      families: held-out machine documents by generator.
    """

    language: int
    shortest: int
    lead: int
    humans: tuple[Family, ...]
    families: tuple[Family, ...]

    @property
    def human(self) -> Counts:
        """Flagged human documents, of all."""
        return Counts("human", sum(f.flagged for f in self.humans), sum(f.n for f in self.humans))

    @property
    def human_histogram(self) -> Histogram:
        """Scores of all human documents, in bins."""
        return _pooled(self.humans)

    @property
    def machine_histogram(self) -> Histogram:
        """Scores of all machine documents, in bins."""
        return _pooled(self.families)


def _pooled(families: tuple[Family, ...]) -> Histogram:
    return sum((f.histogram for f in families), np.zeros(share_bound.BINS, np.int64))


def p_synthetic(log_odds: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Probability of machine origin where half of all text is a machine's, float32; NaN stays NaN. It ranks as log-odds do."""
    clipped = np.clip(np.asarray(log_odds, np.float64), -50, 50)
    return (1 / (1 + np.exp(-clipped))).astype(np.float32)


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
      target_fpr: the fraction of held-out human documents that the thresholds were chosen to flag.
      experts: names of what the model's scores are by, in their order.
      languages: those that were measured; a text in any other has no score. Empty: texts of any language are scored.
      scales: what scores mean in each language; one if there are no languages.
      bands: by language, then by length, then by lead: every length has all leads; a text in none, because it is too short,
        has no score.
      uncovered: held-out documents of generators that were excluded from training; no bound holds for their like.
      strata: false alarms by language, source, domain and length.
      basis: how the held-out scores came about, in a sentence.
    """

    model_sha256: str
    target_fpr: float
    experts: tuple[str, ...]
    languages: tuple[Language, ...]
    scales: tuple[Scale, ...]
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
    def leads(self) -> int:
        """How many leads every length has: 2 for each expert; 1 if there is but one."""
        return 1 + max(band.lead for band in self.bands)

    @property
    def lengths(self) -> tuple[tuple[Band, ...], ...]:
        """The bands of each language and length, one for each lead."""
        return tuple(self.bands[at : at + self.leads] for at in range(0, len(self.bands), self.leads))

    def counts(self, language: int, side: str) -> dict[str, npt.NDArray[np.int64]]:
        """The histograms of all `humans`, or `families`, of a language by name, each int64[lengths, leads, BINS]."""
        bands = [band for band in self.bands if band.language == language]
        found: dict[str, npt.NDArray[np.int64]] = {}
        for number, band in enumerate(bands):
            for family in getattr(band, side):
                sums = found.setdefault(family.name, np.zeros((len(bands), share_bound.BINS), np.int64))
                sums[number] += family.histogram
        return {name: found[name].reshape(-1, self.leads, share_bound.BINS) for name in sorted(found)}

    @functools.cached_property
    def language_of_band(self) -> npt.NDArray[np.int64]:
        """The language of each band, int64[bands]."""
        return np.array([band.language for band in self.bands])

    @functools.cached_property
    def threshold_of_band(self) -> npt.NDArray[np.float64]:
        """The log-odds from which documents of each band are called synthetic, float64[bands]."""
        return np.array([self.scales[band.language].threshold for band in self.bands])

    def judged(
        self, scores: npt.NDArray[np.float32], first: npt.NDArray[np.int8], n_tokens: npt.NDArray[np.int32]
    ) -> Scores:
        """What the scores of a model, float32[documents, experts], mean.

        Args:
          scores: of the model.
          first: the first band of each document, from `bands_of`.
          n_tokens: words and ideographs of each.
        """
        log_odds, band = np.full(len(first), np.nan, np.float32), first.copy()
        language = np.append(self.language_of_band, -1)[first]
        for number in np.unique(language[language >= 0]):
            own, scale = language == number, self.scales[number]
            z = scale.standardised(scores[own], n_tokens[own])
            log_odds[own] = scale.judged(z)
            if self.leads > 1:
                band[own] += scale.leads(z)
        band[np.isnan(log_odds)] = -1
        return Scores(log_odds, band)

    @functools.cached_property
    def _lists(self) -> language.WordLists:
        return language.word_lists([known.words for known in self.languages])

    def bands_of(
        self, tokens: Tokens, n_tokens: npt.NDArray[np.int32], languages: pa.StringArray | None = None
    ) -> npt.NDArray[np.int8]:
        """The first band of each document's length, int8[documents]; -1 where it has none: too short, or in another language.

        Its frequent words must be those of the band's language, and its tag, where it has one that is known, must be too.
        """
        number = np.zeros(len(n_tokens), np.int8)
        if self.languages:
            least = np.array([known.least for known in self.languages], np.float32)
            number = language.language_of(language.covered(tokens, self._lists), least)
        found = np.full(len(n_tokens), -1, np.int8)
        for index, band in enumerate(self.bands):  # a language's bands are in order of length
            if not band.lead:
                found[(number == band.language) & (n_tokens >= band.shortest)] = index
        if languages is not None and self.languages:
            found[~self._agree(languages, number)] = -1
        return found

    def _agree(self, languages: pa.StringArray, number: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
        """Where a tag does not name another language than the words do. bool[documents]."""
        tags = languages.dictionary_encode()
        names = [known.name for known in self.languages]
        said = [
            -1 if not is_known(tag) else names.index(tag) if tag in names else len(names)
            for tag in tags.dictionary.to_pylist()
        ]
        at = tags.indices.fill_null(len(said)).to_numpy()
        theirs = np.array([*said, -1])[at]
        return np.asarray((theirs < 0) | (theirs == number))


def calibration_json(calibration: Calibration) -> bytes:
    """`calibration.json`: the same bytes for the same calibration."""
    fields = dataclasses.asdict(calibration)
    for band in fields["bands"]:
        for holder in (*band["humans"], *band["families"]):
            bins = holder["histogram"]
            holder["histogram"] = [[int(at), int(bins[at])] for at in np.flatnonzero(bins)]
    bins = {"bins": share_bound.BINS, "lowest": share_bound.LOWEST, "highest": share_bound.HIGHEST}
    document = json.dumps({"format": FORMAT, **fields, "histogram": bins}, ensure_ascii=False, separators=(",", ":"))
    return (document.replace('{"language":', '\n{"language":').replace('{"name":', '\n{"name":') + "\n").encode()


def parse_calibration(data: bytes, path: str) -> Calibration:
    """Read `calibration.json`.

    Raises:
      DetectorError: it is not one, or its numbers contradict each other.
    """
    try:
        return _parsed(data)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"[:160]
        raise DetectorError(
            f"{path}: not a calibration of format {FORMAT} ({what}). Calibrate the detector again, with "
            "`lowbackground detector calibrate`"
        ) from None


@functools.lru_cache(8)  # every stage that scores or counts loads its detector
def _parsed(data: bytes) -> Calibration:
    return _parse(json.loads(data))


def _parse(fields: dict[str, Any]) -> Calibration:
    if fields["format"] not in READ:
        raise ValueError(f"format {fields['format']}")
    if fields["histogram"] != {"bins": share_bound.BINS, "lowest": share_bound.LOWEST, "highest": share_bound.HIGHEST}:
        raise ValueError("other histogram bins")
    calibration = Calibration(
        model_sha256=str(fields["model_sha256"]),
        target_fpr=_fraction(fields["target_fpr"]),
        experts=tuple(map(str, fields["experts"])),
        languages=tuple(
            Language(str(known["name"]), tuple(map(str, known["words"])), _fraction(known["least"]))
            for known in fields["languages"]
        ),
        scales=tuple(map(_scale, fields["scales"])),
        bands=tuple(map(_band, fields["bands"])),
        uncovered=tuple(map(_counts, fields["uncovered"])),
        strata=tuple(map(_stratum, fields["strata"])),
        basis=str(fields["basis"]),
    )
    places = sorted({(band.language, band.shortest) for band in calibration.bands})
    leads = 1 + max((band.lead for band in calibration.bands), default=0)
    if not places or min(shortest for _, shortest in places) < 1 or leads not in (1, 2 * len(calibration.experts)):
        raise ValueError("there are no such bands")
    if [(b.language, b.shortest, b.lead) for b in calibration.bands] != [
        (*at, n) for at in places for n in range(leads)
    ]:
        raise ValueError("the bands are not in order")
    if {language for language, _ in places} - {band.language for band in calibration.bands if band.humans}:
        raise ValueError("a language without human documents")
    if len(calibration.scales) != max(1, len(calibration.languages)):
        raise ValueError("a language has no scale")
    if not 0 <= min(places)[0] <= max(places)[0] < len(calibration.scales):
        raise ValueError("a band of no language")
    if any(len(scale.middle) != len(calibration.experts) for scale in calibration.scales) or any(
        len(scale.raised) not in (0, len(calibration.experts)) for scale in calibration.scales
    ):
        raise ValueError("an expert has no scale")
    if len(calibration.bands) > 127 or len(calibration.languages) > language.MOST:
        raise ValueError("too many bands or languages")
    return calibration


def _scale(fields: dict[str, Any]) -> Scale:
    def numbers(name: str) -> tuple[float, ...]:
        return tuple(map(_finite, fields[name]))

    scale = Scale(
        lengths=numbers("lengths"),
        middle=tuple(tuple(map(_finite, row)) for row in fields["middle"]),
        spread=tuple(tuple(map(_finite, row)) for row in fields["spread"]),
        z=numbers("z"),
        log_odds=numbers("log_odds"),
        threshold=_finite(fields["threshold"]),
        newest=str(fields["newest"]),
        until=str(fields["until"]),
        allowance=_allowance(fields["allowance"]),
        raised=tuple(map(_finite, fields["raised"])),
    )
    if scale.until:
        datetime.date.fromisoformat(scale.until)
    for name, knots in (("lengths", scale.lengths), ("z", scale.z), ("log_odds", scale.log_odds)):
        if not knots or (np.diff(knots) <= 0).any():
            raise ValueError(f"{name} does not rise")
    if scale.lengths[0] <= 0 or len(scale.z) != len(scale.log_odds) or len(scale.middle) != len(scale.spread):
        raise ValueError("a scale has knots that do not belong together")
    if any(len(row) != len(scale.lengths) for row in scale.middle + scale.spread):
        raise ValueError("a scale has knots that do not belong together")
    if any(by < 0 for by in scale.raised):
        raise ValueError("an expert is lowered")
    if any(width <= 0 for row in scale.spread for width in row):
        raise ValueError("a spread is out of range")
    return scale


def _allowance(fields: dict[str, Any]) -> Allowance:
    shares, limits, own = (tuple(map(_fraction, fields[name])) for name in ("shares", "limits", "own_limits"))
    corpora, why = int(fields["corpora"]), str(fields["why"])
    if not len(shares) == len(limits) == len(own) or corpora < 0 or not (shares or why):
        raise ValueError("an allowance has knots that do not belong together")
    if (np.diff(shares) <= 0).any() or (np.diff(limits) < 0).any() or (np.diff(own) < 0).any():
        raise ValueError("an allowance does not rise")
    return Allowance(shares, limits, own, _fraction(fields["human"]), corpora, why)


def _band(fields: dict[str, Any]) -> Band:
    humans, families = (tuple(map(_family, fields[name])) for name in ("humans", "families"))
    return Band(int(fields["language"]), int(fields["shortest"]), int(fields.get("lead", 0)), humans, families)


def _family(fields: dict[str, Any]) -> Family:
    counts = _counts(fields)
    family = Family(counts.name, counts.flagged, counts.n, _histogram(fields["histogram"]))
    if family.n != int(family.histogram.sum()) or not family.n:
        raise ValueError("a histogram does not hold its documents")
    return family


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
    histogram = np.zeros(share_bound.BINS, np.int64)
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
