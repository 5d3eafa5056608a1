"""Watermark detectors of others: a small protocol, found by entry point.

A generator's watermark can be seen by whoever has its key. A package that has one declares, in the entry point group
`lowbackground.watermarks`, something that is called with the recipe's options and returns a `WatermarkDetector`; the recipe
names it with the false positive rate that it may have. A hit is near to a proof; a miss says nothing.

    [project.entry-points."lowbackground.watermarks"]
    acme = "acme_watermark:Detector"
"""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from expectations.errors import UserError
from expectations.loading import Strict
from expectations.wording import named, plural

GROUP = "lowbackground.watermarks"


class WatermarkError(UserError):
    """A watermark detector cannot be used. The message is one line: which, what is wrong, what to do."""


class WatermarkConfig(Strict):
    """One watermark detector."""

    name: str = Field(description=f"of an entry point in the group {GROUP} of an installed package")
    max_fpr: float = Field(
        gt=0, le=0.01, description="accepted false positive rate: a p-value at or below it is a hit, for example 1e-6"
    )
    options: dict[str, Any] = Field({}, description="given to the plug-in as keyword arguments, such as its key")


class Detection(NamedTuple):
    """What a detector says of a batch of texts; each has one value a text."""

    score: npt.NDArray[np.floating[Any]]  # on its own scale
    p_value: npt.NDArray[
        np.floating[Any]
    ]  # of the score if the text has no watermark; NaN: cannot say, as of short text
    key_id: Sequence[str]  # which key it looked with, or found; a name, not the key


class WatermarkDetector(Protocol):
    """What a plug-in is. Several threads call `detect` at a time, so a call must leave nothing behind.

    Attributes:
      version: changes whenever what `detect` says may change; signals that were kept from another version are not used.
    """

    version: str

    def detect(self, texts: pa.LargeStringArray) -> Detection:
        """Look at texts as they were read, before any normalisation. The same texts get the same answer, in any batch."""


class WatermarkFound(NamedTuple):
    """The most telling detector of each text."""

    hit: npt.NDArray[np.bool_]
    name: pa.StringArray  # plug-in and key of the hit; null: no hit
    p_value: npt.NDArray[np.float32]  # the smallest of all detectors; NaN: none could say


class Plugin(NamedTuple):
    """A loaded detector, and how the recipe wants it used."""

    config: WatermarkConfig
    detector: WatermarkDetector
    version: str


def load_watermark(config: WatermarkConfig) -> Plugin:
    """Find, import and make a detector.

    Raises:
      WatermarkError: there is none of this name, it does not start, or it is not a detector.
    """
    points = importlib.metadata.entry_points(group=GROUP)
    if config.name not in points.names:
        known = ", ".join(sorted(points.names)) or "none"
        raise WatermarkError(
            f"watermark {config.name!r}: no installed package declares it in {GROUP} (there is: {known})"
        )
    try:
        detector = points[config.name].load()(**config.options)
    except Exception as error:  # a plug-in may do anything
        raise WatermarkError(f"watermark {config.name!r}: does not start: {named(error)}; see its options") from error
    version = getattr(detector, "version", None)
    if not callable(getattr(detector, "detect", None)) or not isinstance(version, str) or not version:
        raise WatermarkError(
            f"watermark {config.name!r}: is no detector: it needs `version`, a string, and `detect(texts)`"
        )
    return Plugin(config, detector, version)


def look(text: pa.LargeStringArray, plugins: Sequence[Plugin]) -> WatermarkFound:
    """Ask every detector about every text.

    Raises:
      WatermarkError: one of them raises, or answers what is no answer.
    """
    n = len(text)
    smallest = np.full(n, np.nan, np.float64)
    hit, names = np.zeros(n, np.bool_), np.full(n, None, object)
    for plugin in plugins:
        p_value, key_id = _ask(plugin, text)
        better = ~(smallest <= p_value) & ~np.isnan(p_value)
        mine = (p_value <= plugin.config.max_fpr) & (better | ~hit)
        names[mine] = plugin.config.name + "/" + key_id[mine]
        hit |= mine
        smallest[better] = p_value[better]
    return WatermarkFound(hit, pa.array(names, pa.string()), smallest.astype(np.float32))


def _ask(plugin: Plugin, text: pa.LargeStringArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """The p-values and key ids of one detector, checked."""
    where = f"watermark {plugin.config.name!r} (version {plugin.version})"
    try:
        answer = plugin.detector.detect(text)
        score, p_value = np.asarray(answer[0], np.float64), np.asarray(answer[1], np.float64)
        key_id = np.array(list(answer[2]), object)
    except Exception as error:  # a plug-in may do anything
        raise WatermarkError(
            f"{where}: failed on {plural(len(text), 'text')}: {named(error)}; ask its makers"
        ) from error
    if not len(score) == len(p_value) == len(key_id) == len(text) or score.ndim != 1 or p_value.ndim != 1:
        shapes = f"{score.shape}, {p_value.shape} and {key_id.shape}"
        raise WatermarkError(f"{where}: answered {shapes} for {plural(len(text), 'text')}; it must give one value each")
    wrong = (p_value < 0) | (p_value > 1)
    if wrong.any():
        raise WatermarkError(f"{where}: {p_value[wrong][0]} is no p-value; it must lie between 0 and 1")
    if not all(isinstance(key, str) for key in key_id):
        raise WatermarkError(f"{where}: a key id is no string")
    return p_value, key_id


def fingerprint(plugins: Sequence[Plugin]) -> list[Mapping[str, Any]]:
    """What the answers depend on, for the signal store's key and the manifest; not the options, which may hold a secret."""
    return [{"name": p.config.name, "version": p.version, "max_fpr": p.config.max_fpr} for p in plugins]
