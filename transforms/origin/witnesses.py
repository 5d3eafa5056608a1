"""What a text and its date show of its origin, beside what is declared and what the detector makes of it.

A credential, a watermark and a phrase are looked for by the survey, in the text as it was read, and kept in its signals. Who
is believed is decided when origin is (transforms/origin/attribute.py), from `contracts.AUTHORITY`; so is the date, which needs no
text.
"""

import datetime
import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from expectations import contracts
from expectations.contracts import HUMAN, SYNTHETIC, UNKNOWN
from expectations.loading import Strict
from transforms.kernels.choosing import evidence
from transforms.kernels.text import credentials
from transforms.kernels.text import phrases as search
from transforms.origin import phrase_files as phrases
from transforms.origin import watermarks
from transforms.origin.watermarks import Plugin, WatermarkConfig

CHATGPT = datetime.date(2022, 11, 30)
# How many of 10,000 texts of a year a machine wrote all the same: output of the GPT-2 age, spun and machine-translated text.
# 50 is what reference work takes for text before language models were in everyone's hands; what is added from 2020 on, when
# GPT-3 could be had, is policy: nobody has measured it. (first year, prior), rising; the first holds for all years before.
PRIORS = ((0, 50), (2020, 75), (2021, 100), (2022, 150))


class EvidenceConfig(Strict):
    """What speaks of origin beside declarations and the detector."""

    credentials: bool = Field(True, description="believe content credentials (C2PA) that say a machine wrote the text")
    boilerplate: bool = Field(True, description="look for phrases that models leave in text")
    phrases: str | None = Field(
        None, description="a YAML file with phrases of your own, like transforms/origin/phrases.yaml"
    )
    watermarks: tuple[WatermarkConfig, ...] = Field((), description="watermark detectors, by entry point")
    date_cutoff: datetime.date = Field(
        CHATGPT,
        le=CHATGPT,
        description="older text counts as human, but for its year's prior, in sources with trust_dates",
    )
    queue: int = Field(
        100, ge=0, description="put at most so many documents of each kind of conflict into review/queue.parquet"
    )


class Witnesses(NamedTuple):
    """All that looks at texts, loaded. It can be pickled only if the plug-ins can; workers load their own."""

    config: EvidenceConfig
    entries: tuple[phrases.PhraseEntry, ...]
    phrases: search.Phrases
    plugins: tuple[Plugin, ...]

    def fingerprint(self) -> str:
        """SHA-256 of what the evidence of a text depends on; other evidence means other signals."""
        config = self.config
        content = {
            "credentials": config.credentials,
            "phrases": phrases.fingerprint(self.entries),
            "watermarks": watermarks.fingerprint(self.plugins),
            "options": [plugin.config.options for plugin in self.plugins],
        }
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def load_witnesses(config: EvidenceConfig) -> Witnesses:
    """Load the phrases and the plug-ins that a recipe asks for.

    Raises:
      PhraseError, WatermarkError: one of them cannot be used.
    """
    entries = phrases.load_phrases(config.phrases) if config.boilerplate else ()
    plugins = tuple(watermarks.load_watermark(one) for one in config.watermarks)
    return Witnesses(config, entries, phrases.compiled(entries), plugins)


def look(text: pa.LargeStringArray, witnesses: Witnesses) -> dict[str, pa.Array]:
    """The evidence columns of SIGNALS: `evidence`, `boilerplate`, `watermark`, `watermark_p`.

    Args:
      text: large_string, no nulls, as it was read.
      witnesses: who looks at it.
    """
    n = len(text)
    code = np.zeros(n, np.int32)
    if witnesses.config.credentials:
        wrapper = credentials.find(text)
        code |= evidence.say(contracts.BASIS_CREDENTIAL, _synthetic(wrapper == credentials.MACHINE_MADE))
        code[wrapper == credentials.SILENT] |= contracts.CREDENTIAL_SILENT
        code[wrapper == credentials.MALFORMED] |= contracts.CREDENTIAL_MALFORMED
    phrase = search.find(text, witnesses.phrases)
    code |= evidence.say(contracts.BASIS_BOILERPLATE, _synthetic(phrase != search.NONE))
    marked = watermarks.look(text, witnesses.plugins)
    code |= evidence.say(contracts.BASIS_WATERMARK, _synthetic(marked.hit))
    ids = pa.array([entry.id for entry in witnesses.entries], pa.string())
    return {
        "evidence": pa.array(code),
        "boilerplate": ids.take(pa.array(phrase, mask=phrase == search.NONE)),
        "watermark": marked.name,
        "watermark_p": pa.array(marked.p_value, mask=np.isnan(marked.p_value)),
    }


def _synthetic(hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    return np.where(hit, SYNTHETIC, UNKNOWN).astype(np.int8)


def dated(created: pa.TimestampArray, cutoff: datetime.date | None) -> npt.NDArray[np.int8]:
    """HUMAN where a document is older than the cut-off, else UNKNOWN. int8[n].

    Args:
      created: timestamp[us, UTC]; null is unknown.
      cutoff: None if the source's dates are not trusted.
    """
    if cutoff is None:
        return np.full(len(created), UNKNOWN, np.int8)
    first = pa.scalar(datetime.datetime(cutoff.year, cutoff.month, cutoff.day, tzinfo=datetime.UTC), contracts.WHEN)
    zero = pa.scalar(datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), contracts.WHEN)
    # The very moment that a computer's clock starts at is how a missing date looks.
    older = pc.and_(pc.less(created, first), pc.not_equal(created, zero)).fill_null(False)
    return np.where(older.to_numpy(zero_copy_only=False), HUMAN, UNKNOWN).astype(np.int8)


def priors(created: pa.TimestampArray) -> npt.NDArray[np.int32]:
    """How many of `contracts.PRIOR_UNIT` documents of each one's year a machine wrote; 0 without a date. int32[n]."""
    years = pc.year(created).fill_null(-1).to_numpy()
    first, parts = (np.array(column, np.int64) for column in zip(*PRIORS, strict=True))
    found = parts[np.searchsorted(first, np.maximum(years, 0), side="right") - 1]
    return np.where(years < 0, 0, found).astype(np.int32)
