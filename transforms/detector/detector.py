"""The detector: how likely a text is to come from a machine. A score is evidence, not proof.

A detector is a folder with

- `ngrams.bin`: a table of n-grams with the weights of one expert or more, each trained on the generators of one age (see
  `ngram_file`); or `model.bin`: a two-class fastText model, in fastText's own format (see `fasttext_file`); or both, when
  fastText's log-odds are added to the first expert's; or `plugin.json`: the name of one of somebody else's (see `plugins`);
- `calibration.json`: what its scores mean, measured on held-out sources (see `Calibration`);
- `README.md`: its model card.

A bare `.bin` or the name of a plug-in will do: then p_synthetic is the model's own softmax, a document is called synthetic
above 1/2, and no upper bound of a corpus share can be given.
"""

import dataclasses
import hashlib
import os
import posixpath
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import contracts
from expectations.paths import open_for_reading
from transforms.detector.calibration import Calibration, Scores, parse_calibration
from transforms.detector.fasttext_file import DetectorError
from transforms.detector.fasttext_model import LinearExperts, parse_model
from transforms.detector.plugins import PREFIX, load_plugin, parse_plugin
from transforms.detector.words import BUNDLED as WORDS
from transforms.detector.words import FILE, read_words
from transforms.engine.files import exists
from transforms.kernels.text import prose
from transforms.kernels.text.text import Tokens

__all__ = ["Calibration", "Detector", "DetectorError", "Scores", "load_detector"]

BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundled", "default")
BARE = (".bin", ".ftz")
MIN_TOKENS = 50  # where no calibration says otherwise


class Model(Protocol):
    """What turns texts into scores, higher for machine text."""

    @property
    def experts(self) -> tuple[str, ...]:
        """Who scores: the names, in their order."""

    def scores(self, texts: pa.LargeStringArray, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Of each text by each expert, float32[texts, experts]; NaN where it cannot judge. `tokens` are of the canonical form."""


@dataclasses.dataclass(frozen=True)
class Detector:
    """A model that scores documents, and what its scores mean. Made once per worker; it can be pickled.

    Attributes:
      name: the folder's or the file's name, for people.
      sha256: of the model's files and `calibration.json`, those that there are, as of one file.
      model: what scores.
      calibration: None for a bare `.bin` or `.ftz`.
    """

    name: str
    sha256: str
    model: Model
    calibration: Calibration | None

    @property
    def min_tokens(self) -> int:
        """Documents with fewer words and ideographs have no score."""
        return self.calibration.min_tokens if self.calibration else MIN_TOKENS

    def score(
        self,
        texts: pa.LargeStringArray,
        tokens: Tokens,
        n_tokens: npt.NDArray[np.int32],
        kinds: npt.NDArray[np.int8] | None = None,
        languages: pa.StringArray | None = None,
    ) -> Scores:
        """Score a batch; a document that is too short, no prose, or in a language that was not calibrated has no score.

        Args:
          texts: as they were read.
          tokens: of their canonical form.
          n_tokens: words and ideographs of each.
          kinds: what each is, index into `prose.KINDS`; None: it is looked for.
          languages: the tag of each, null where it is unknown: a text in another language than that of its band has no score.
            None: words alone tell.
        """
        scores = self.model.scores(texts, tokens)
        kinds = prose.kind_of(texts) if kinds is None else kinds
        if self.calibration is None:
            band = np.where(n_tokens < MIN_TOKENS, -1, 0).astype(np.int8)
            band[kinds > 0] = -1
            log_odds = scores[:, 0].copy()
        else:
            band = self.calibration.bands_of(tokens, n_tokens, languages)
            band[kinds > 0] = -1
            log_odds, band = self.calibration.judged(scores, band, n_tokens)
        band[np.isnan(log_odds)] = -1
        log_odds[band < 0] = np.nan
        return Scores(log_odds, band)

    def origin(self, scores: Scores) -> npt.NDArray[np.int8]:
        """What to call each document, int8: SYNTHETIC, or UNKNOWN below the threshold and for NaN (`contracts`).

        Never human: a low score says that a text is not like the machines that the detector knows.
        """
        thresholds = self.calibration.threshold_of_band if self.calibration else np.zeros(1)
        flagged = scores.log_odds >= np.append(thresholds, np.inf)[scores.band]  # band -1 takes the last entry
        return np.where(flagged, contracts.SYNTHETIC, contracts.UNKNOWN).astype(np.int8)


_models: dict[tuple[bytes, ...], LinearExperts] = {}  # by the SHA-256 of their files


def load_detector(path: str | None = None) -> Detector:
    """Load a detector; of its files nothing is executed and nothing is trusted.

    Args:
      path: a folder with `ngrams.bin` or `model.bin` (or `words.parquet`, or `plugin.json`) and `calibration.json`, a bare
        `.bin` or `.ftz`,
        "plugin:NAME", or "words" for the bundled word counts; None for the bundled detector.

    Raises:
      DetectorError: a file cannot be read, is damaged, or they do not belong together.
    """
    folder = WORDS if path == "words" else path or BUNDLED
    model, files = read_model(folder)
    digest = hashlib.sha256(b"".join(files.values()))
    calibration = None
    if not _is_bare(folder):
        calibration_path = posixpath.join(folder, "calibration.json")
        text = _read(calibration_path)
        calibration = parse_calibration(text, calibration_path)
        if calibration.model_sha256 != digest.hexdigest():
            raise DetectorError(
                f"{calibration_path}: made for another model (the sha256 of {' and '.join(files)} differs). Use the files "
                "that were written together, or calibrate again"
            )
        if calibration.experts != model.experts:
            raise DetectorError(f"{calibration_path}: names other experts than the model has. Calibrate it again")
        digest.update(text)
    return Detector(
        posixpath.basename(folder.rstrip("/")) if path else "default", digest.hexdigest(), model, calibration
    )


def _is_bare(path: str) -> bool:
    """Whether a path is a model alone, without a calibration."""
    return path.endswith(BARE) or path.startswith(PREFIX)


def read_model(path: str) -> tuple[Model, dict[str, bytes]]:
    """The model of a detector's folder, of a bare `.bin` or `.ftz`, or of a plug-in; and its files, by name, the main one first.

    Raises:
      DetectorError: it cannot be read or is damaged, or there is no such plug-in.
    """
    if path.startswith(PREFIX):
        plugin, data = load_plugin(path.removeprefix(PREFIX))
        return plugin, {"plugin.json": data}
    bare = path.endswith(BARE)
    plugin_path = posixpath.join(path, "plugin.json")
    if not bare and exists(plugin_path):
        plugin, data = parse_plugin(_read(plugin_path), plugin_path)
        return plugin, {"plugin.json": data}
    words_path = posixpath.join(path, FILE)
    if not bare and exists(words_path):
        data = _read(words_path)
        return read_words(data, words_path), {FILE: data}
    model_path = path if bare else posixpath.join(path, "model.bin")
    table_path = posixpath.join(path, "ngrams.bin")
    files = {}
    if not bare and exists(table_path):
        files["ngrams.bin"] = _read(table_path)
    if not files or exists(model_path):
        files["model.bin"] = _read(model_path)
    digests = tuple(hashlib.sha256(content).digest() for content in files.values())
    model = _models.get(digests)
    if model is None:  # every stage that needs the detector asks for it again
        model = parse_model(files.get("model.bin"), files.get("ngrams.bin"), model_path, table_path)
        _models[digests] = model
    return model, files


def _read(path: str) -> bytes:
    try:
        with open_for_reading(path) as source:
            return source.read()
    except (OSError, ValueError) as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read ({type(error).__name__})"
        raise DetectorError(
            f"{path}: {reason}. A detector is a folder with ngrams.bin or model.bin, and calibration.json"
        ) from None
