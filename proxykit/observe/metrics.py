"""Counts finished exchanges, for Prometheus.

An exchange costs a few additions in plain objects here, about half a microsecond; the counters of
prometheus-client, each with a lock of its own, cost two at the best and six where labels are looked
up. What was counted is given to that library when somebody asks (``observe.exposition``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from attrs import define, field
from zope.interface import implementer

from ..engine.record import ExchangeRecord
from ..interfaces import IExchangeObserver

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper ends of the histogram's buckets, in seconds; a last one has none."""

# Exchanges that no status was sent for come first.
STATUS_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


@define(slots=True, eq=False)
class ListenerCounts:
    """What was counted of one listener.

    :ivar statuses: exchanges, by ``STATUS_CLASSES``.
    :ivar durations: exchanges that were no tunnels, by ``BOUNDS``.
    :ivar seconds: how long these took together.
    :ivar tunnels: exchanges that became tunnels.
    :ivar results: exchanges by their route and what its cache did.
    :ivar errors: exchanges by their Proxy-Status error type.
    """

    statuses: list[int] = field(factory=lambda: [0] * len(STATUS_CLASSES))
    durations: list[int] = field(factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    tunnels: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    results: Counter[tuple[str, str]] = field(factory=Counter)
    errors: Counter[str] = field(factory=Counter)


@implementer(IExchangeObserver)
class Metrics:
    """Counts exchanges by their listeners; its size is bounded by the configuration's.

    :ivar listeners: what was counted, by the listeners' names.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.listeners: dict[str, ListenerCounts] = {}

    def finished(self, record: ExchangeRecord) -> None:
        """See ``IExchangeObserver``."""
        counts = self.listeners.get(record.listener)
        if counts is None:
            counts = self.listeners[record.listener] = ListenerCounts()
        # A server may send any three digits.
        status_class = record.status // 100
        counts.statuses[status_class if status_class < 6 else 5] += 1
        counts.received_bytes += record.received_bytes
        counts.sent_bytes += record.sent_bytes
        if record.tunnel:
            counts.tunnels += 1
        else:
            duration = record.duration_seconds
            counts.seconds += duration
            counts.durations[bisect_left(BOUNDS, duration)] += 1
        if record.cache:
            counts.results[record.route, record.cache] += 1
        if record.error_type:
            counts.errors[record.error_type] += 1
