"""Dates as people write them -> timestamps in UTC. What cannot be read is null, never a guess.

A date decides whether a text is older than language models, so a wrong one is worse than none.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WHEN = pa.timestamp("us", tz="UTC")
SECOND = 1_000_000  # microseconds

# ISO 8601 in its extended form and its near relations: a space for the T, a zone without colon, "UTC" for Z.
ISO = (
    r"^\s*(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?:[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?)?\s*$"
)
FIRST, LAST = np.array(["0001-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999"], "datetime64[us]").astype(np.int64)

# Numbers this near to zero are as likely a year (2019), a day (20190513) or "missing" (0, -1) as a moment about 1970.
AMBIGUOUS_BELOW = 1e8
# Seconds up to here (the year 5138), then milli-, micro- and nanoseconds.
UNITS = ((1e11, SECOND), (1e14, SECOND / 1e3), (1e17, 1.0), (np.inf, 1e-3))

TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # per second


def from_strings(values: pa.StringArray) -> pa.TimestampArray:
    """ISO dates and times; without a zone they are UTC, without a time the start of the day. timestamp[us, UTC][n]."""
    found = pc.extract_regex(values, ISO)
    if found.null_count == len(found):
        return pa.nulls(len(found), WHEN)

    def number(name: str, otherwise: int = 0) -> npt.NDArray[np.int64]:
        digits = pc.struct_field(found, name)
        digits = pc.if_else(pc.equal(digits, ""), None, digits)
        return pc.fill_null(digits.cast(pa.int64()), otherwise).to_numpy(zero_copy_only=False)

    year, month, day = number("year"), number("month"), number("day")
    hour, minute, second = number("hour"), number("minute"), number("second")
    zone_hour, zone_minute = number("zone_hour"), number("zone_minute")
    padded = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(found, "fraction"), 6, "0"), 0, 6)
    fraction = pc.fill_null(padded.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)

    valid = found.is_valid().to_numpy(zero_copy_only=False) & (year >= 1) & (month >= 1) & (month <= 12)
    valid &= (hour < 24) & (minute < 60) & (second <= 60) & (zone_hour < 24) & (zone_minute < 60)  # 60: a leap second
    months = np.where(valid, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    start = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - start
    valid &= (day >= 1) & (day <= length)
    east = pc.fill_null(pc.equal(pc.struct_field(found, "sign"), "+"), False).to_numpy(zero_copy_only=False)
    zone = (zone_hour * 3600 + zone_minute * 60) * np.where(east, 1, -1)
    seconds = (start + day - 1) * 86400 + hour * 3600 + minute * 60 + second - zone
    return _timestamps(seconds * SECOND + fraction, valid)


def from_numbers(values: pa.Array) -> pa.TimestampArray:
    """Seconds since 1970, or by their size milli-, micro- or nanoseconds. timestamp[us, UTC][n]."""
    numbers = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    size = np.abs(numbers)
    scale = np.select([size < below for below, _ in UNITS], [factor for _, factor in UNITS], np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        moments = numbers * scale
        valid = (size >= AMBIGUOUS_BELOW) & (moments >= FIRST) & (moments <= LAST)
    return _timestamps(np.where(valid, moments, 0).round().astype(np.int64), valid)


def from_timestamps(values: pa.Array) -> pa.TimestampArray:
    """Arrow dates and timestamps of any unit; without a zone they are UTC. timestamp[us, UTC][n]."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    per_second = TICKS[values.type.unit]
    ticks = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    valid &= (ticks // per_second >= FIRST // SECOND) & (ticks // per_second <= LAST // SECOND)
    ticks = np.where(valid, ticks, 0)
    return _timestamps(
        ticks * (SECOND // per_second) if per_second <= SECOND else ticks // (per_second // SECOND), valid
    )


def _timestamps(moments: npt.NDArray[np.int64], valid: npt.NDArray[np.bool_]) -> pa.TimestampArray:
    valid = valid & (moments >= FIRST) & (moments <= LAST)
    return pa.array(moments, pa.int64(), mask=~valid).cast(WHEN)
