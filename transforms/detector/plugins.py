"""Detectors of others: a small protocol, found by entry point.

A package that has a detector declares, in the entry point group `lowbackground.detectors`, something that is called without
arguments and returns a `Scorer`. A recipe names it as `detector: {model: "plugin:NAME"}`; `lowbackground detector calibrate
plugin:NAME DATA -o FOLDER` measures what its scores mean, and the folder that it writes is a detector like any other.

    [project.entry-points."lowbackground.detectors"]
    acme = "acme_detector:Detector"
"""

import importlib.metadata
import json
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.loading import parse_json
from expectations.wording import named, plural
from transforms.detector.fasttext_file import DetectorError
from transforms.kernels.text.text import Tokens

GROUP = "lowbackground.detectors"
PREFIX = "plugin:"
FORMAT = 1


class Scorer(Protocol):
    """What a plug-in is. Several threads call `score` at a time, so a call must leave nothing behind.

    Attributes:
      version: changes whenever a score may change; kept signals and calibrations of another version are not used.
    """

    version: str

    def score(self, texts: pa.LargeStringArray) -> npt.NDArray[np.floating]:
        """Score a batch of texts, as they were read. The same text gets the same score, in whatever batch.

        Returns:
          One number a text, higher for machine text; best log-odds, between -20 and 20. NaN: it cannot judge the text.
        """


class PluginModel(NamedTuple):
    """A plug-in, as the model of a `Detector`."""

    name: str
    scorer: Scorer

    @property
    def experts(self) -> tuple[str, ...]:
        """The plug-in alone."""
        return (self.name,)

    def scores(self, texts: pa.LargeStringArray, tokens: Tokens) -> npt.NDArray[np.float32]:
        """What the plug-in says of each text, float32[texts, 1].

        Raises:
          DetectorError: it fails, or its answer is not one number a text.
        """
        where = f"detector {PREFIX}{self.name} (version {self.scorer.version})"
        try:
            scores = np.asarray(self.scorer.score(texts), np.float32)
        except Exception as error:  # a plug-in may do anything
            raise DetectorError(
                f"{where}: failed on {plural(len(texts), 'text')}: {named(error)}; ask its makers"
            ) from error
        if scores.shape != (len(texts),):
            raise DetectorError(
                f"{where}: answered {scores.shape} for {plural(len(texts), 'text')}; it must give one number each"
            )
        if np.isinf(scores).any():
            raise DetectorError(f"{where}: a score is infinite; it must be a number, or NaN where it cannot judge")
        return scores[:, None]


def load_plugin(name: str) -> tuple[PluginModel, bytes]:
    """Find, import and make a detector; and what stands for it in a detector's folder (`plugin.json`).

    Raises:
      DetectorError: there is none of this name, it does not start, or it is not a detector.
    """
    points = importlib.metadata.entry_points(group=GROUP)
    if name not in points.names:
        known = ", ".join(sorted(points.names)) or "none"
        raise DetectorError(f"detector {PREFIX}{name}: no installed package declares it in {GROUP} (there is: {known})")
    try:
        scorer = points[name].load()()
    except Exception as error:  # a plug-in may do anything
        raise DetectorError(f"detector {PREFIX}{name}: does not start: {named(error)}") from error
    version = getattr(scorer, "version", None)
    if not callable(getattr(scorer, "score", None)) or not isinstance(version, str) or not version:
        raise DetectorError(
            f"detector {PREFIX}{name}: is no detector: it needs `version`, a string, and `score(texts)`"
        )
    described = {"format": FORMAT, "plugin": name, "version": version}
    return PluginModel(name, scorer), (json.dumps(described, indent=1) + "\n").encode()


def parse_plugin(data: bytes, path: str) -> tuple[PluginModel, bytes]:
    """The plug-in that a `plugin.json` names, if the one that is installed is of the same version.

    Raises:
      DetectorError: it is not a `plugin.json`, or the plug-in is missing or of another version.
    """
    try:
        fields = parse_json(data, path)
        name, version = str(fields["plugin"]), str(fields["version"])
        if fields["format"] != FORMAT:
            raise ValueError(f"format {fields['format']}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DetectorError(f"{path}: does not name a plug-in ({named(error)}). Calibrate the detector again") from None
    model, installed = load_plugin(name)
    if model.scorer.version != version:
        raise DetectorError(
            f"{path}: made with version {version} of {PREFIX}{name}, but {model.scorer.version} is installed. Install that "
            "one, or calibrate again"
        )
    return model, installed
