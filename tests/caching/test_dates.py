"""HTTP dates: three forms (RFC 9110 section 5.6.7), and nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.message.dates import format_date, parse_date

NOVEMBER_1994 = 784111777


@pytest.mark.parametrize(
    "text",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"sun, 06 NOV 1994 08:49:37 gmt",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Sun Nov 06 08:49:37 1994",
    ],
)
def test_the_three_forms_in_any_case_are_dates(text):
    assert parse_date(text) == NOVEMBER_1994


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"0",
        b"-1",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 EST",
        b"Sun, 06 Nov 1994 08:49:37 +0100",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        b"1994-11-06T08:49:37Z",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(text):
    assert parse_date(text) is None


def test_a_year_of_two_digits_is_never_more_than_fifty_years_ahead():
    year = datetime.now(UTC).year
    for ahead in (49, 51):
        parsed = parse_date(b"Sunday, 06-Nov-%02d 08:49:37 GMT" % ((year + ahead) % 100))
        wanted = year + ahead - (100 if ahead > 50 else 0)
        assert datetime.fromtimestamp(parsed, UTC).year == wanted


def test_a_leap_second_is_not_later_than_it_says():
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == parse_date(
        b"Sat, 31 Dec 2016 23:59:59 GMT"
    )


def test_the_local_time_zone_has_no_say(monkeypatch):
    texts = (
        b"Sun, 06 Nov 1994 08:49:38 GMT",
        b"Sunday, 06-Nov-94 08:49:38 GMT",
        b"Sun Nov  6 08:49:38 1994",
    )
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert [parse_date(text) for text in texts] == [NOVEMBER_1994 + 1] * 3
        assert format_date(NOVEMBER_1994 + 1) == texts[0]
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.integers(0, 4_000_000_000))
def test_what_is_written_is_read_back(seconds):
    assert parse_date(format_date(seconds)) == seconds
    assert format_date(seconds) == formatdate(seconds, usegmt=True).encode()


@given(st.binary(max_size=60))
def test_no_bytes_make_the_parser_fail(data):
    parsed = parse_date(data)
    assert parsed is None or isinstance(parsed, int)
