"""Days and months, in local time."""

from __future__ import annotations

import time

from attrs import frozen


@frozen(slots=True)
class Span:
    """One day or one month.

    :ivar name: ``2025-06-01`` or ``2025-06``.
    :ivar ends: when the next one begins, in seconds since 1970.
    """

    name: str
    ends: float


def span_of(period: str, now: float) -> Span:
    """Give the day or the month that a time lies in.

    :param period: ``"day"`` or ``"month"``.
    :param now: in seconds since 1970.
    """
    local = time.localtime(now)
    year, month, day = local.tm_year, local.tm_mon, local.tm_mday
    # mktime takes the 32nd of a month and the 13th month, and knows when clocks are changed.
    if period == "day":
        ends = time.mktime((year, month, day + 1, 0, 0, 0, 0, 0, -1))
        return Span(f"{year:04}-{month:02}-{day:02}", ends)
    ends = time.mktime((year, month + 1, 1, 0, 0, 0, 0, 0, -1))
    return Span(f"{year:04}-{month:02}", ends)
