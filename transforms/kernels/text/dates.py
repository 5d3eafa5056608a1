"""Dates as people write them -> timestamps in UTC. What cannot be read is null, never a guess.

A date decides whether a text is older than language models, so a wrong one is worse than none. A day is its start; a month or a
year, which is no moment, is its last microsecond, so that it is never older than it may be, and shows what it was.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WHEN = pa.timestamp("us", tz="UTC")
SECOND = 1_000_000  # microseconds

_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?:[Zz]|UTC?|GMT|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?(?:\s*\([A-Z]+\))?"
)
# ISO 8601 in its extended form and its near relations: a space for the T, a zone without colon, "UTC" for Z, slashes; then its
# basic form. A time has two digits for the hour in all of them.
ISO = rf"^\s*(?P<year>\d{{4}})(?P<between>[-/])(?P<month>\d{{2}})[-/](?P<day>\d{{2}})(?:[Tt ]{_TIME})?\s*$"
BASIC = (
    r"^\s*(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:[Tt](?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?[Zz]?)?\s*$"
)
# RFC 2822, as mails and feeds have it, with or without the day of the week and the time; hyphens as in Reuters' files.
NAMED = (
    r"^\s*(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?(?P<day>\d{1,2})[ -](?P<name>[A-Za-z]{3})[a-z]*\.?[ -]"
    rf"(?P<year>\d{{4}})(?:[, ]\s*{_TIME})?\s*$"
)
PERIOD = r"^\s*(?P<year>\d{4})(?:[-/](?P<month>\d{2}))?\s*$"  # a month, or a year
DIGITS = r"^\s*(-?\d{9,19})(?:\.\d+)?\s*$"  # a number that was written as text
# 2019-05-13, 2019-05-13T10:00:00 and the same with a Z, by their bytes: of these sizes Arrow takes nothing else.
PLAIN = {10: pa.timestamp("us"), 19: pa.timestamp("us"), 20: WHEN}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LIKELY_YEARS = 1000, 2999  # of a date that is nothing but digits: else it is as likely a number
FIRST, LAST = np.array(["0001-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999"], "datetime64[us]").astype(np.int64)

# Numbers this near to zero are as likely a year (2019) or "missing" (0, -1) as a moment about 1970.
AMBIGUOUS_BELOW = 1e8
# Seconds up to here (the year 5138), then milli-, micro- and nanoseconds.
UNITS = ((1e11, SECOND), (1e14, SECOND / 1e3), (1e17, 1.0), (np.inf, 1e-3))

TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # per second


def from_strings(values: pa.StringArray) -> pa.TimestampArray:
    """Dates and times; without a zone they are UTC, without a time the start of the day. timestamp[us, UTC][n]."""
    if (found := _plain(values)) is not None:
        return found
    found = pa.nulls(len(values), WHEN)
    for read in (_iso, _basic, _named, _period, _digits):
        if values.null_count == len(values):
            break
        found = pc.coalesce(found, read(values))
        values = pc.if_else(found.is_valid(), None, values)  # the next looks at what is left
    return found


def _plain(values: pa.StringArray) -> pa.TimestampArray | None:
    """The moments of a column that Arrow reads as we do, in a tenth of the time; None: it may not."""
    sizes = pc.min_max(pc.binary_length(values)).as_py()
    if sizes["min"] != sizes["max"] or sizes["min"] not in PLAIN:
        return None
    try:
        found = values.cast(PLAIN[sizes["min"]]).cast(pa.int64())
    except pa.ArrowInvalid:  # one of them is no such date
        return None
    return found.cast(WHEN) if len(found) == found.null_count or pc.min(found).as_py() >= FIRST else None


def _iso(values: pa.StringArray) -> pa.TimestampArray:
    return _moments(pc.extract_regex(values, ISO))


def _basic(values: pa.StringArray) -> pa.TimestampArray:
    return _likely(_moments(pc.extract_regex(values, BASIC)))


def _named(values: pa.StringArray) -> pa.TimestampArray:
    found = pc.extract_regex(values, NAMED)
    if found.null_count == len(found):
        return pa.nulls(len(found), WHEN)
    name = pc.utf8_lower(pc.struct_field(found, "name"))
    month = pc.fill_null(pc.add(pc.index_in(name, value_set=pa.array(MONTHS)), 1), 0).cast(pa.int64())
    return _moments(found, month.to_numpy(zero_copy_only=False))


def _period(values: pa.StringArray) -> pa.TimestampArray:
    """The last microsecond of a month, or of a year."""
    found = pc.extract_regex(values, PERIOD)
    if found.null_count == len(found):
        return pa.nulls(len(found), WHEN)
    year, month = (_number(found, name) for name in ("year", "month"))
    has_month = pc.fill_null(pc.not_equal(pc.struct_field(found, "month"), ""), False).to_numpy(zero_copy_only=False)
    valid = found.is_valid().to_numpy(zero_copy_only=False) & (year >= LIKELY_YEARS[0]) & (year <= LIKELY_YEARS[1])
    valid &= ~has_month | ((month >= 1) & (month <= 12))
    months = np.where(valid, (year - 1970) * 12 + np.where(has_month, month, 12), 0).astype("datetime64[M]")
    return _timestamps(months.astype("datetime64[us]").astype(np.int64) - 1, valid)


def _digits(values: pa.StringArray) -> pa.TimestampArray:
    """Seconds since 1970 and their parts, by their size."""
    return from_numbers(pc.if_else(pc.match_substring_regex(values, DIGITS), values, None).cast(pa.float64()))


def _likely(found: pa.TimestampArray) -> pa.TimestampArray:
    year = pc.year(found)
    return pc.if_else(
        pc.and_(pc.greater_equal(year, LIKELY_YEARS[0]), pc.less_equal(year, LIKELY_YEARS[1])), found, None
    )


def _number(found: pa.StructArray, name: str) -> npt.NDArray[np.int64]:
    """A group of a pattern as a number, 0 where it is empty or not there."""
    if found.type.get_field_index(name) < 0:
        return np.zeros(len(found), np.int64)
    digits = pc.struct_field(found, name)
    digits = pc.if_else(pc.equal(digits, ""), None, digits)
    return pc.fill_null(digits.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)


def _moments(found: pa.StructArray, month: npt.NDArray[np.int64] | None = None) -> pa.TimestampArray:
    """The groups of a pattern as moments; `month` where it is not written in digits."""
    if found.null_count == len(found):
        return pa.nulls(len(found), WHEN)
    month = _number(found, "month") if month is None else month
    year, day = _number(found, "year"), _number(found, "day")
    hour, minute, second = _number(found, "hour"), _number(found, "minute"), _number(found, "second")
    zone_hour, zone_minute = _number(found, "zone_hour"), _number(found, "zone_minute")
    fraction = np.zeros(len(found), np.int64)
    east = np.zeros(len(found), bool)
    if found.type.get_field_index("fraction") >= 0:
        padded = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(found, "fraction"), 6, "0"), 0, 6)
        fraction = pc.fill_null(padded.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        east = pc.fill_null(pc.equal(pc.struct_field(found, "sign"), "+"), False).to_numpy(zero_copy_only=False)

    valid = found.is_valid().to_numpy(zero_copy_only=False) & (year >= 1) & (month >= 1) & (month <= 12)
    valid &= (hour < 24) & (minute < 60) & (second <= 60) & (zone_hour < 24) & (zone_minute < 60)  # 60: a leap second
    months = np.where(valid, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    start = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - start
    valid &= (day >= 1) & (day <= length)
    zone = (zone_hour * 3600 + zone_minute * 60) * np.where(east, 1, -1)
    seconds = (start + day - 1) * 86400 + hour * 3600 + minute * 60 + second - zone
    return _timestamps(seconds * SECOND + fraction, valid)


def from_numbers(values: pa.Array) -> pa.TimestampArray:
    """Seconds since 1970, or by their size milli-, micro- or nanoseconds; or a day, 20150505. timestamp[us, UTC][n]."""
    numbers = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    size = np.abs(numbers)
    scale = np.select([size < below for below, _ in UNITS], [factor for _, factor in UNITS], np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        moments = numbers * scale
        valid = (size >= AMBIGUOUS_BELOW) & (moments >= FIRST) & (moments <= LAST)
    found = _timestamps(np.where(valid, moments, 0).round().astype(np.int64), valid)
    days = (numbers >= LIKELY_YEARS[0] * 1e4) & (numbers < AMBIGUOUS_BELOW) & (numbers == np.trunc(numbers))
    if not days.any():
        return found
    # A number that reads as a day of the calendar is one, and no moment of 1970.
    spelled = pa.array(np.where(days, numbers, 0).astype(np.int64)).cast(pa.string())
    return pc.coalesce(found, _basic(pc.if_else(pa.array(days), spelled, None)))


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
