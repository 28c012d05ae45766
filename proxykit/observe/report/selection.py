"""Which exchanges a report is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from time import time

from attrs import frozen

from ...options import parse_duration
from .entries import Entry


@frozen(slots=True)
class Selection:
    """What an exchange must be to count; ``None`` asks for nothing.

    :ivar since: not before that, in seconds since 1970.
    :ivar until: and before that.
    :ivar user: by this user.
    :ivar client: from this address.
    :ivar host: for this host, ``.a.example`` for it and all below, ``*.a.example`` for all below.
    """

    since: float | None = None
    until: float | None = None
    user: str | None = None
    client: str | None = None
    host: str | None = None

    def matcher(self) -> Callable[[Entry], bool]:
        """Compile it."""
        tests: list[Callable[[Entry], bool]] = []
        since, until, user, client = self.since, self.until, self.user, self.client
        if since is not None:
            tests.append(lambda entry: entry.time >= since)
        if until is not None:
            tests.append(lambda entry: entry.time < until)
        if user is not None:
            tests.append(lambda entry: entry.user == user)
        if client is not None:
            tests.append(lambda entry: entry.client == client)
        if self.host is not None:
            tests.append(_host_test(self.host))
        return lambda entry: all(test(entry) for test in tests)


def _host_test(pattern: str) -> Callable[[Entry], bool]:
    pattern = pattern.lower().rstrip(".")
    if not pattern.startswith((".", "*.")):
        return lambda entry: entry.host.rstrip(".") == pattern
    below = pattern.removeprefix("*")
    itself = below[1:] if pattern.startswith(".") else None

    def matches(entry: Entry) -> bool:
        host = entry.host.rstrip(".")
        return host.endswith(below) or host == itself

    return matches


def parse_moment(text: str, *, utc: bool, end: bool, now: Callable[[], float] = time) -> float:
    """Parse a point in time.

    :param text: ``2026-05-01``, ``2026-05-01T13:00``, either with an offset from UTC if wanted, or
        a duration such as ``24h``, which is so long ago.
    :param utc: whether a time without an offset is UTC, or else local.
    :param end: whether a day stands for its end, or else for its beginning.
    :returns: seconds since 1970.
    :raises ValueError: when it is none of these.
    """
    try:
        return now() - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        if end and _is_day(text):
            moment += timedelta(days=1)
        if moment.tzinfo is None and utc:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f'expected a time such as "2026-05-01", "2026-05-01T13:00" or "24h", got {text!r}'
        ) from None


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
