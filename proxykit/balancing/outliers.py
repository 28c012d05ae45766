"""Outlier detection: servers that do worse than the others of their pool are left out for a while.

Passive: it learns from the exchanges that are served anyway. Precedents: Envoy's outlier
detection, nginx's ``max_fails``.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Protocol

from attrs import define, frozen
from twisted.internet.interfaces import IDelayedCall


@frozen(slots=True)
class OutlierSettings:
    """When a server is an outlier; times in seconds.

    :ivar errors: failures in a row, 0 for any number.
    :ivar error_share: failures of its exchanges in an interval; ``None`` for any share.
    :ivar latency_factor: its mean time to the first byte beside the median of the others'; ``None``
        for any.
    :ivar latency_least: differences below this are none.
    :ivar fewest: exchanges in an interval, before shares and means say anything.
    :ivar interval: how often shares and means are looked at.
    :ivar eject_seconds: how long a server is left out the first time; the second time twice as
        long, and so on.
    :ivar eject_most: but not longer.
    :ivar most_ejected: never more than this share of the pool.
    """

    errors: int = 5
    error_share: float | None = 0.5
    latency_factor: float | None = None
    latency_least: float = 0.1
    fewest: int = 20
    interval: float = 10.0
    eject_seconds: float = 10.0
    eject_most: float = 60.0
    most_ejected: float = 0.5


class Ejected(Protocol):
    """Who is told of changes."""

    def __call__(self, server: Any, is_ejected: bool, why: str) -> None:
        """A server is left out from now on, or used again."""


@define(slots=True, eq=False)
class OutlierRecord:
    """What is known of one server in this interval; a ``upstream.server.Judge``.

    :ivar times: how often it was ejected, less one for each good interval since.
    :ivar good_checks: of its health, in a row, since it was ejected.
    """

    server: Any
    owner: Outliers
    in_a_row: int = 0
    exchanges: int = 0
    failures: int = 0
    seconds: float = 0.0
    times: int = 0
    good_checks: int = 0
    is_ejected: bool = False
    timer: IDelayedCall | None = None

    def answered(self, seconds: float) -> None:
        """See ``upstream.server.Judge``."""
        self.in_a_row = 0
        self.exchanges += 1
        self.seconds += seconds

    def failed(self) -> None:
        """See ``upstream.server.Judge``."""
        self.in_a_row += 1
        self.exchanges += 1
        self.failures += 1
        errors = self.owner.settings.errors
        if errors and self.in_a_row >= errors:
            self.owner.eject(self, f"{self.in_a_row} exchanges in a row failed")

    @property
    def mean(self) -> float:
        """Its mean time to the first byte."""
        return self.seconds / max(1, self.exchanges - self.failures)

    def forget(self) -> None:
        """Begin a new interval."""
        self.exchanges = self.failures = 0
        self.seconds = 0.0


class Outliers:
    """The outlier detection of one pool.

    :ivar settings: its rules.
    """

    def __init__(self, settings: OutlierSettings, clock: Any, changed: Ejected) -> None:
        """Begin without servers.

        :param clock: an ``IReactorTime``.
        :param changed: told of each change.
        """
        self.settings = settings
        self._clock = clock
        self._changed = changed
        self._records: list[OutlierRecord] = []
        self._timer: IDelayedCall | None = None

    def add(self, server: Any) -> OutlierRecord:
        """Take a server; give what is to be told of its exchanges."""
        record = OutlierRecord(server, self)
        self._records.append(record)
        return record

    def remove(self, record: OutlierRecord) -> None:
        """Forget a server."""
        self._records.remove(record)
        _stop(record)

    def start(self) -> None:
        """Begin to look at shares and means."""
        self._timer = self._clock.callLater(self.settings.interval, self._look)

    def stop(self) -> None:
        """Look no more; what is ejected stays so."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for record in self._records:
            _stop(record)

    def eject(self, record: OutlierRecord, why: str) -> bool:
        """Leave a server out, unless too many are.

        :returns: whether it is left out.
        """
        ejected = sum(each.is_ejected for each in self._records)
        most = int(self.settings.most_ejected * len(self._records) + 1e-9)
        if record.is_ejected or ejected >= min(most, len(self._records) - 1):
            return False
        record.is_ejected = True
        record.times += 1
        record.good_checks = 0
        seconds = min(self.settings.eject_seconds * record.times, self.settings.eject_most)
        record.timer = self._clock.callLater(seconds, self._time_is_over, record)
        self._changed(record.server, True, f"{why}; it is left out for {seconds:g} s")
        return True

    def checked(self, record: OutlierRecord, needed: int, *, good: bool) -> None:
        """Take the result of an active check: good ones bring a server back before its time.

        :param needed: so many in a row the first time, then twice as many.
        """
        if record.is_ejected:
            record.good_checks = record.good_checks + 1 if good else 0
            if record.good_checks >= needed * min(record.times, 2):
                self.readmit(record, "its checks are good")

    def inherit(self, record: OutlierRecord, before: OutlierRecord) -> None:
        """Take over what was known of a server under the configuration before this one."""
        if before.is_ejected:
            self.eject(record, "it was left out before the reload")
        record.times = max(record.times, before.times)

    def readmit(self, record: OutlierRecord, why: str = "its time is over") -> None:
        """Use a server again; one that is not left out is no fault."""
        if record.is_ejected:
            _stop(record)
            record.is_ejected = False
            record.in_a_row = 0
            record.forget()
            self._changed(record.server, False, why)

    def _time_is_over(self, record: OutlierRecord) -> None:
        record.timer = None
        self.readmit(record)

    def _look(self) -> None:
        self._timer = self._clock.callLater(self.settings.interval, self._look)
        settings = self.settings
        known = [r for r in self._records if not r.is_ejected and r.exchanges >= settings.fewest]
        judged: list[tuple[float, OutlierRecord, str]] = []
        for record in known:
            share = record.failures / record.exchanges
            if settings.error_share is not None and share >= settings.error_share:
                judged.append((1 + share, record, f"{share:.0%} of its exchanges failed"))
            elif settings.latency_factor is not None and self._is_slow(record, known):
                why = f"its first byte takes {record.mean:.3f} s, others' do not"
                judged.append((0.0, record, why))
        # The worst first, for there may not be room for all of them.
        for _, record, why in sorted(judged, key=lambda each: (-each[0], -each[1].mean)):
            self.eject(record, why)
        for record in self._records:
            if not record.is_ejected:
                record.times = max(0, record.times - 1)
            record.forget()

    def _is_slow(self, record: OutlierRecord, known: list[OutlierRecord]) -> bool:
        others = [each.mean for each in known if each is not record]
        if not others or self.settings.latency_factor is None:
            return False
        usual = median(others)
        return (
            record.mean > usual * self.settings.latency_factor
            and record.mean - usual >= self.settings.latency_least
        )


def _stop(record: OutlierRecord) -> None:
    if record.timer is not None:
        record.timer.cancel()
        record.timer = None
