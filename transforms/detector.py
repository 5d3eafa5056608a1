"""The detector: how likely a text is to come from a machine. A score is evidence, not proof.

A detector is a folder with

- `model.bin`: a two-class fastText model, in fastText's own format (see `fasttext_file`);
- `calibration.json`: what its scores mean, measured on held-out sources (see `Calibration`);
- `README.md`: its model card.

A bare `.bin` will do: then p_synthetic is the model's own softmax, a document is called synthetic above 1/2, and no
upper bound of a corpus share can be given.
"""

import dataclasses
import hashlib
import json
import math
import os
import posixpath
from typing import Any

import numpy as np
import numpy.typing as npt
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from expectations import contracts
from transforms.fasttext_file import DetectorError, FastTextFile, read_fasttext
from transforms.kernels import linear, share
from transforms.kernels.text import Tokens

__all__ = ["Calibration", "Counts", "Detector", "DetectorError", "load_detector"]

BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "detectors", "default")
FORMAT = 1
MIN_TOKENS = 50  # where no calibration says otherwise


@dataclasses.dataclass(frozen=True)
class Counts:
    """Flagged, that is at or above the threshold, of how many held-out documents."""

    name: str
    flagged: int
    n: int


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the scores of a model mean, measured on documents of sources that it was not trained on.

    Attributes:
      model_sha256: of the `model.bin` it was measured for.
      min_tokens: documents with fewer words and ideographs have no score.
      threshold: log-odds at or above which a document is called synthetic.
      target_fpr: the fraction of held-out human documents that the threshold was chosen to flag.
      human_below: log-odds below which a scored document is called human; between the two it is unknown.
      log_odds, p_synthetic: knots of the piecewise linear map to p_synthetic, both rising, for a prior of 1/2.
      human_histogram, machine_histogram: held-out scores in the bins of `kernels.share`, int64[BINS].
      human: held-out human documents in all.
      families: held-out machine documents by generator: what an upper bound of a corpus share rests on.
      uncovered: held-out documents of generators that were excluded from training; no bound holds for their like.
      basis: how the held-out scores came about, in a sentence.
    """

    model_sha256: str
    min_tokens: int
    threshold: float
    target_fpr: float
    human_below: float
    log_odds: tuple[float, ...]
    p_synthetic: tuple[float, ...]
    human_histogram: npt.NDArray[np.int64]
    machine_histogram: npt.NDArray[np.int64]
    human: Counts
    families: tuple[Counts, ...]
    uncovered: tuple[Counts, ...]
    basis: str


@dataclasses.dataclass(frozen=True)
class Detector:
    """A model that scores documents, and what its scores mean. Made once per worker; it can be pickled.

    Attributes:
      name: the folder's or the file's name, for people.
      sha256: of `model.bin`, and `calibration.json` after it if there is one: as of the two files concatenated.
      model: a weight per feature.
      calibration: None for a bare `.bin`.
    """

    name: str
    sha256: str
    model: linear.LinearModel
    calibration: Calibration | None

    @property
    def min_tokens(self) -> int:
        """Documents with fewer words and ideographs have no score."""
        return self.calibration.min_tokens if self.calibration else MIN_TOKENS

    @property
    def threshold(self) -> float:
        """Log-odds at or above which a document is called synthetic."""
        return self.calibration.threshold if self.calibration else 0.0

    def score(self, tokens: Tokens, n_tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Log-odds of machine origin, float32[documents]; NaN for documents too short to score."""
        scores = linear.score(tokens, self.model)
        scores[n_tokens < self.min_tokens] = np.nan
        return scores

    def p_synthetic(self, log_odds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Calibrated probability of machine origin where half of all text is a machine's, float32; NaN stays NaN."""
        scores = np.asarray(log_odds, np.float64)
        if self.calibration is None:
            return (1 / (1 + np.exp(-np.clip(scores, -50, 50)))).astype(np.float32)
        return np.interp(scores, self.calibration.log_odds, self.calibration.p_synthetic).astype(np.float32)

    def origin(self, log_odds: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """What to call each document, int8: SYNTHETIC, HUMAN, or UNKNOWN between the two and for NaN (`contracts`)."""
        human_below = self.calibration.human_below if self.calibration else 0.0
        called = np.full(np.shape(log_odds), contracts.UNKNOWN, np.int8)
        called[np.asarray(log_odds) < human_below] = contracts.HUMAN
        called[np.asarray(log_odds) >= self.threshold] = contracts.SYNTHETIC
        return called


_models: dict[bytes, linear.LinearModel] = {}  # by the SHA-256 of their file


def load_detector(path: str | None = None) -> Detector:
    """Load a detector; of its files nothing is executed and nothing is trusted.

    Args:
      path: a folder with `model.bin` and `calibration.json`, or a bare `.bin`; None for the bundled detector.

    Raises:
      DetectorError: a file cannot be read, is damaged, or the two do not belong together.
    """
    folder = path or BUNDLED
    bare = folder.endswith(".bin")
    model_path = folder if bare else posixpath.join(folder, "model.bin")
    data = _read(model_path)
    digest = hashlib.sha256(data)
    model = _models.get(digest.digest())
    if model is None:  # every stage that needs the detector asks for it again
        model = _models[digest.digest()] = linear_of(read_fasttext(data, model_path), model_path)
    calibration = None
    if not bare:
        calibration_path = posixpath.join(folder, "calibration.json")
        text = _read(calibration_path)
        calibration = parse_calibration(text, calibration_path)
        if calibration.model_sha256 != digest.hexdigest():
            raise DetectorError(
                f"{calibration_path}: made for another model.bin (its sha256 differs). Use the two that were written "
                "together, or calibrate again"
            )
        digest.update(text)
    name = posixpath.basename(folder.rstrip("/")) if path else "default"
    return Detector(name, digest.hexdigest(), model, calibration)


def linear_of(file: FastTextFile, path: str) -> linear.LinearModel:
    """The linear model of a fastText file."""
    weights, n_words = file.weights(), len(file.words)
    if not np.isfinite(weights).all():
        raise DetectorError(f"{path}: its weights overflow. Train the detector again")
    try:
        return linear.linear_model(file.words, weights[:n_words], weights[n_words:], file.word_ngrams)
    except ValueError as error:
        raise DetectorError(f"{path}: {error}. Copy it again or train the detector again") from None


def _read(path: str) -> bytes:
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as source:
            return source.read()
    except Exception as error:  # Beam's filesystems raise all kinds
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read ({type(error).__name__})"
        raise DetectorError(f"{path}: {reason}. A detector is a folder with model.bin and calibration.json") from None


def calibration_json(calibration: Calibration) -> bytes:
    """`calibration.json`: the same bytes for the same calibration."""
    fields = {field.name: getattr(calibration, field.name) for field in dataclasses.fields(calibration)}
    fields["human"] = dataclasses.asdict(calibration.human)
    for kind in ("families", "uncovered"):
        fields[kind] = [dataclasses.asdict(family) for family in fields[kind]]
    for side in ("human", "machine"):
        fields[f"{side}_histogram"] = fields[f"{side}_histogram"].tolist()
    bins = {"bins": share.BINS, "lowest": share.LOWEST, "highest": share.HIGHEST}
    return (json.dumps({"format": FORMAT, **fields, "histogram": bins}, indent=1) + "\n").encode()


def parse_calibration(data: bytes, path: str) -> Calibration:
    """Read `calibration.json`.

    Raises:
      DetectorError: it is not one, or its numbers contradict each other.
    """
    try:
        calibration = _parse(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"[:160]
        raise DetectorError(
            f"{path}: not a calibration of format {FORMAT} ({what}). Calibrate the detector again"
        ) from None
    return calibration


def _parse(fields: dict[str, Any]) -> Calibration:
    if fields["format"] != FORMAT:
        raise ValueError(f"format {fields['format']}")
    if fields["histogram"] != {"bins": share.BINS, "lowest": share.LOWEST, "highest": share.HIGHEST}:
        raise ValueError("other histogram bins")
    calibration = Calibration(
        model_sha256=str(fields["model_sha256"]),
        min_tokens=int(fields["min_tokens"]),
        threshold=_finite(fields["threshold"]),
        target_fpr=_finite(fields["target_fpr"]),
        human_below=_finite(fields["human_below"]),
        log_odds=tuple(map(_finite, fields["log_odds"])),
        p_synthetic=tuple(map(_finite, fields["p_synthetic"])),
        human_histogram=_counts(fields["human_histogram"]),
        machine_histogram=_counts(fields["machine_histogram"]),
        human=_flagged(fields["human"]),
        families=tuple(map(_flagged, fields["families"])),
        uncovered=tuple(map(_flagged, fields["uncovered"])),
        basis=str(fields["basis"]),
    )
    knots, p = np.array(calibration.log_odds), np.array(calibration.p_synthetic)
    if not len(knots) or len(knots) != len(p) or (np.diff(knots) <= 0).any() or (np.diff(p) < 0).any():
        raise ValueError("the calibration map does not rise")
    if p[0] < 0 or p[-1] > 1 or calibration.human_below > calibration.threshold or calibration.min_tokens < 1:
        raise ValueError("a number is out of range")
    return calibration


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a finite number")
    return number


def _counts(values: list[int]) -> npt.NDArray[np.int64]:
    counts = np.array(values, np.int64)
    if counts.shape != (share.BINS,) or (counts < 0).any():
        raise ValueError("a histogram has the wrong shape or a negative count")
    return counts


def _flagged(fields: dict[str, Any]) -> Counts:
    counts = Counts(str(fields["name"]), int(fields["flagged"]), int(fields["n"]))
    if not 0 <= counts.flagged <= counts.n:
        raise ValueError(f"{counts.name}: {counts.flagged} flagged of {counts.n}")
    return counts
