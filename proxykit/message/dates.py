"""HTTP dates (RFC 9110 section 5.6.7): read in three forms, written in one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun",
         b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"),
        1,
    )
}  # fmt: skip
_TIME = rb"(?P<hour>[0-2][0-9]):(?P<minute>[0-5][0-9]):(?P<second>[0-6][0-9])"
_MONTH = rb"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DAY_NAME = rb"(?:mon|tue|wed|thu|fri|sat|sun)"
# RFC 9111 section 4.2 has caches match the names case-insensitively. UTC is what many programs
# write for GMT; for expiration it does not count, see ``caching.policy``.
_FORMS = tuple(
    re.compile(form + rb"\Z", re.IGNORECASE)
    for form in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        _DAY_NAME + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME
        + rb" (?:GMT|UTC)",
        # RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
        rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>[0-9]{2})-" + _MONTH
        + rb"-(?P<short>[0-9]{2}) " + _TIME + rb" (?:GMT|UTC)",
        # asctime: Sun Nov  6 08:49:37 1994
        _DAY_NAME + rb" " + _MONTH + rb" (?P<day>[0-9 ][0-9]) " + _TIME + rb" (?P<year>[0-9]{4})",
    )
)  # fmt: skip
_LONGEST = 40


# A server says the same Date many times a second, and the same Last-Modified for ever.
@lru_cache(maxsize=1024)
def _parse(value: bytes, this_year: int) -> int | None:
    for form in _FORMS:
        match = form.match(value)
        if match is not None:
            break
    else:
        return None
    groups = match.groupdict()
    short = groups.get("short")
    if short is None:
        year = int(groups["year"])
    else:
        # RFC 9110 section 5.6.7: what seems to be more than 50 years ahead is the most recent
        # year in the past with the same last two digits.
        year = this_year - this_year % 100 + int(short)
        if year > this_year + 50:
            year -= 100
    second = int(groups["second"])
    try:
        moment = datetime(
            year,
            _MONTHS[groups["month"].lower()],
            int(groups["day"]),
            int(groups["hour"]),
            int(groups["minute"]),
            min(second, 59),  # a leap second is the one before it: never later than it says
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int(moment.timestamp()) if second <= 60 else None


def parse_date(value: bytes | None) -> int | None:
    """Parse an HTTP date.

    :param value: the field's value; ``None`` when there is no such field.
    :returns: seconds since 1970, or ``None`` for what is none of the three forms.
    """
    if value is None or len(value) > _LONGEST:
        return None
    return _parse(value, datetime.now(UTC).year)


@lru_cache(maxsize=64)
def _format(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")


def format_date(seconds: float) -> bytes:
    """Write a date as an IMF-fixdate.

    :param seconds: since 1970; a fraction is cut off.
    """
    return _format(int(seconds))
