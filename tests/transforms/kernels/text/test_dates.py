import email.utils
from datetime import UTC, date, datetime, timedelta, timezone
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text import dates

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


def one(text):
    return dates.from_strings(pa.array([text], pa.string()))[0].as_py()


@given(moment=MOMENTS, separator=st.sampled_from("T "), minutes=st.integers(-14 * 60, 14 * 60))
def test_every_iso_moment_is_read_as_python_writes_it(moment, separator, minutes):
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert one(local.isoformat(sep=separator)) == moment


@given(st.dates(date(1, 1, 1)))
def test_a_day_is_its_start_in_utc(day):
    assert one(day.isoformat()) == datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(st.text(alphabet="0123456789-T: Z+.", max_size=30))
def test_a_text_is_a_date_near_its_own_year_or_null(text):
    found = one(text)
    is_number = (
        text.strip().replace(".", "", 1).lstrip("-").isdigit() and len(text.strip().split(".")[0].lstrip("-")) > 8
    )
    assert found is None or is_number or abs(found.year - int(text.strip()[:4])) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "2019-02-29",
        "2019-13-01",
        "2019-00-10",
        "0000-01-01",
        "0099",
        "20191301",
        "00190513",
        "2019-13",
        "13/05/2019",  # or the fifth of a thirteenth month: nobody knows which comes first
        "05/06/2019",
        "31 Feb 2019",
        "5 Foo 2019",
        "12345678",
        "2019-05-13T24:00:00Z",
        "2019-05-13T10:61",
        "yesterday",
        "",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_a_wrong_date_is_null(text):
    assert one(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1931-07-04", datetime(1931, 7, 4, tzinfo=UTC)),
        ("2013-05-18T05:48:54Z", datetime(2013, 5, 18, 5, 48, 54, tzinfo=UTC)),
        ("2013-05-18 05:48", datetime(2013, 5, 18, 5, 48, tzinfo=UTC)),
        ("2013-05-18 05:48:54.123456789 UTC", datetime(2013, 5, 18, 5, 48, 54, 123456, tzinfo=UTC)),
        ("2013-05-18T05:48:54.5+0530", datetime(2013, 5, 18, 0, 18, 54, 500000, tzinfo=UTC)),
        ("2013-05-18T05:48:54+02", datetime(2013, 5, 18, 3, 48, 54, tzinfo=UTC)),
    ],
)
def test_near_relations_of_iso(text, moment):
    assert one(text) == moment


@given(moment=st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
@pytest.mark.parametrize("per_second", [1, 1000, 1_000_000])
def test_a_number_is_of_seconds_or_less_by_its_size(moment, per_second):
    moment = moment.replace(microsecond=0)
    found = dates.from_numbers(pa.array([int(moment.timestamp()) * per_second]))[0].as_py()
    assert found == moment


@pytest.mark.parametrize("number", [0, -1, 2019, 20191313, 20190230, 20190513.5, float("nan"), float("inf"), -1e300])
def test_a_number_that_may_mean_something_else_is_null(number):
    assert dates.from_numbers(pa.array([float(number)]))[0].as_py() is None


def test_numbers_reach_back_before_1970():
    assert dates.from_numbers(pa.array([-1_500_000_000])).to_pylist() == [datetime(1922, 6, 20, 21, 20, tzinfo=UTC)]


@pytest.mark.parametrize(
    "dtype",
    [
        pa.timestamp("s"),
        pa.timestamp("ms", "Europe/Paris"),
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns"),
        pa.date32(),
        pa.date64(),
    ],
)
def test_arrow_s_own_dates(dtype):
    values = pa.array(
        [datetime(1931, 7, 4, tzinfo=UTC), None, datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")
    )
    assert dates.from_timestamps(values.cast(dtype)).to_pylist() == values.to_pylist()


def test_a_timestamp_beyond_the_calendar_is_null():
    assert dates.from_timestamps(pa.array([2**62, 0], pa.timestamp("s"))).null_count == 1


@given(moment=st.datetimes(datetime(1000, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)))
def test_every_date_of_a_mail_is_read_as_python_writes_it(moment):
    moment = moment.replace(microsecond=0)
    assert one(email.utils.format_datetime(moment)) == moment


@given(st.dates(date(1000, 1, 1), date(2999, 1, 1)))
def test_a_day_without_hyphens_or_with_slashes_is_the_day_with_them(day):
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert [one(form) for form in (f"{day:%Y/%m/%d}".zfill(10), day.isoformat().replace("-", ""))] == [moment, moment]
    number = int(day.isoformat().replace("-", ""))
    assert dates.from_numbers(pa.array([number])).to_pylist() == [moment]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Tue, 05 May 2015 10:00:00 +0200", datetime(2015, 5, 5, 8, tzinfo=UTC)),
        ("5 May 2015", datetime(2015, 5, 5, tzinfo=UTC)),
        ("Tue, 5 May 2015 9:05 GMT", datetime(2015, 5, 5, 9, 5, tzinfo=UTC)),
        ("Wed, 02 Oct 2002 13:00:00 +0000 (UTC)", datetime(2002, 10, 2, 13, tzinfo=UTC)),
        ("26-FEB-1987 15:01:01.79", datetime(1987, 2, 26, 15, 1, 1, 790000, tzinfo=UTC)),
        ("2015/05/05", datetime(2015, 5, 5, tzinfo=UTC)),
        ("2015/05/05 12:30", datetime(2015, 5, 5, 12, 30, tzinfo=UTC)),
        ("20150505T123000Z", datetime(2015, 5, 5, 12, 30, tzinfo=UTC)),
        ("2015-05", datetime(2015, 5, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2015/12", datetime(2015, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2015", datetime(2015, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("1430820000", datetime(2015, 5, 5, 10, tzinfo=UTC)),
        ("1430820000000", datetime(2015, 5, 5, 10, tzinfo=UTC)),
        ("1430820000.25", datetime(2015, 5, 5, 10, 0, 0, 250000, tzinfo=UTC)),
    ],
)
def test_forms_that_people_have(text, moment):
    assert one(text) == moment


def test_a_month_is_never_older_than_it_may_be():
    """A text of November 2022 may be of its last day, on which ChatGPT was there."""
    assert one("2022-11") > datetime(2022, 11, 30, tzinfo=UTC)


@given(
    st.lists(st.from_regex(r"[0-2][0-9]{3}[-/][01][0-9]-[0-3][0-9]", fullmatch=True), min_size=1, max_size=4),
    st.sampled_from(
        ["", "T10:00:59", " 10:00:00", "t23:59:60", "T10:00:00Z", " 24:00:00Z", "T10:00:00 ", "T10:00+0130"]
    ),
)
def test_dates_that_arrow_reads_are_what_the_patterns_say(days: list[str], time: str) -> None:
    values = pa.array([*(day + time for day in days), None], pa.string())
    quick = dates.from_strings(values)
    with mock.patch.object(dates, "_plain", return_value=None):
        assert quick.equals(dates.from_strings(values))
    if "/" not in "".join(days) and time in ("", "T10:00:00Z") and quick.null_count == 1:
        assert dates._plain(values) is not None or min(days) < "0001"
