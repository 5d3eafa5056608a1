"""From signals to origin: every basis, the cut-off of dates and the prior that it leaves."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from expectations import contracts
from expectations.contracts import BASES, HUMAN, ORIGINS, SYNTHETIC
from transforms.detector.detector import load_detector
from transforms.ingest.sources import Split
from transforms.kernels.choosing.evidence import in_words, say
from transforms.origin.attribute import NEEDED, attribute
from transforms.origin.witnesses import CHATGPT, EvidenceConfig, dated, priors

DETECTOR = load_detector()
assert DETECTOR.calibration is not None
BAND = DETECTOR.calibration.bands[0]
THRESHOLD = DETECTOR.calibration.scales[BAND.language].threshold
MACHINE, BETWEEN, LOW = THRESHOLD + 1, THRESHOLD - 0.1, THRESHOLD - 30


def when(*days: str | None) -> pa.TimestampArray:
    moments = [
        None if day is None else datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC) for day in days
    ]
    return pa.array(moments, contracts.WHEN)


def signals(score: float | None = None, declared: int = 0, shown: int = 0, created: str | None = None) -> pa.Table:
    columns = {
        "doc_id": [b"d" * 16], "n_tokens": [100], "n_bytes": [500], "created": when(created), "content_hash": [b"c" * 16],
        "detector_score": [score], "detector_band": [-1 if score is None else 0], "declared_origin": [declared],
        "evidence": [shown], "removed_tokens": [0],
    }  # fmt: skip
    schema = contracts.signals(8).schema
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in NEEDED})


def decided(cutoff: datetime.date | None = CHATGPT, **known: object) -> tuple[str, str, str, int]:
    row = attribute(signals(**known), Split(0, 0, (), 0), DETECTOR, cutoff)  # type: ignore[arg-type]
    words = in_words(row["evidence"].to_numpy())[0].as_py()
    origin, basis = ORIGINS[row["origin"][0].as_py()], BASES[row["origin_basis"][0].as_py()]
    return origin, basis, words, row["machine_prior"][0].as_py()


def shown(basis: int) -> int:
    return int(say(basis, np.array([SYNTHETIC]))[0])


CREDENTIAL, WATERMARK, BOILERPLATE = (
    shown(basis) for basis in (contracts.BASIS_CREDENTIAL, contracts.BASIS_WATERMARK, contracts.BASIS_BOILERPLATE)
)


@pytest.mark.parametrize(
    ("known", "origin", "basis", "words"),
    [
        ({}, "unknown", "none", ""),
        ({"score": MACHINE}, "synthetic", "detector", "detector:synthetic"),
        ({"score": LOW}, "unknown", "detector", ""),  # never human: it is only unlike the machines that are known
        ({"score": BETWEEN}, "unknown", "detector", ""),
        ({"score": LOW, "shown": BOILERPLATE}, "synthetic", "boilerplate", "boilerplate:synthetic"),
        ({"score": MACHINE, "created": "2019-05-01"}, "human", "date", "date:human detector:synthetic"),
        ({"shown": BOILERPLATE, "created": "2019-05-01"}, "human", "date", "date:human boilerplate:synthetic"),
        ({"shown": WATERMARK, "created": "2019-05-01"}, "synthetic", "watermark", "watermark:synthetic date:human"),
        ({"shown": WATERMARK, "declared": HUMAN}, "human", "declared", "declared:human watermark:synthetic"),
        ({"declared": SYNTHETIC, "created": "2019-05-01"}, "synthetic", "declared", "declared:synthetic date:human"),
        ({"shown": CREDENTIAL, "declared": HUMAN}, "synthetic", "credential",
         "credential:synthetic:unverified declared:human"),
        ({"shown": contracts.CREDENTIAL_SILENT}, "unknown", "none", "credential:unverified"),
        ({"shown": contracts.CREDENTIAL_MALFORMED, "score": LOW}, "unknown", "detector", "credential:malformed"),
        ({"score": MACHINE, "created": "2099-05-01"}, "synthetic", "detector", "detector:synthetic detector:out_of_time"),
        ({"created": "2099-05-01"}, "unknown", "none", "detector:out_of_time"),
        ({"created": "2099-05-01", "declared": HUMAN}, "human", "declared", "declared:human"),
    ],
)  # fmt: skip
def test_who_is_believed_and_what_is_kept_of_the_others(known: dict, origin: str, basis: str, words: str) -> None:
    assert decided(**known)[:3] == (origin, basis, words)


def test_nothing_declared_never_means_human() -> None:
    assert decided(declared=0, created="2024-01-01")[:2] == ("unknown", "none")
    assert decided(declared=0, created=None)[:2] == ("unknown", "none")


def test_a_date_counts_only_where_dates_are_trusted() -> None:
    assert decided(None, created="2019-05-01")[:2] == ("unknown", "none")


def test_the_cut_off_is_a_day_in_utc() -> None:
    days = when("2022-11-29T23:59:59", "2022-11-30", None, "0987-01-01", "1970-01-01", "1970-01-02", "2030-01-01")
    assert dated(days, CHATGPT).tolist() == [
        HUMAN,
        0,
        0,
        HUMAN,
        0,
        HUMAN,
        0,
    ]  # the very start of 1970 is a missing date
    assert dated(days, datetime.date(2000, 1, 1)).tolist() == [0, 0, 0, HUMAN, 0, HUMAN, 0]
    assert dated(days, None).tolist() == [0] * 7


def test_the_prior_is_its_years() -> None:
    years = when("0987-01-01", "2019-12-31", "2020-01-01", "2021-06-01", "2022-11-29", None)
    assert priors(years).tolist() == [50, 50, 75, 100, 150, 0]
    assert decided(created="2021-06-01")[3] == 100
    assert decided(created="2021-06-01", declared=HUMAN)[3] == 0  # it does not rest on its date


def test_no_later_cut_off_is_taken() -> None:
    with pytest.raises(ValueError, match="less than or equal to 2022-11-30"):
        EvidenceConfig(date_cutoff="2023-01-01")  # type: ignore[arg-type]
