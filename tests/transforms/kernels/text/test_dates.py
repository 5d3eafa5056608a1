from datetime import UTC, date, datetime, timedelta, timezone

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
    assert found is None or abs(found.year - int(text.strip()[:4])) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "2019-02-29",
        "2019-13-01",
        "2019-00-10",
        "0000-01-01",
        "2019",
        "20190513",
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


@pytest.mark.parametrize("number", [0, -1, 2019, 20190513, float("nan"), float("inf"), -1e300])
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
