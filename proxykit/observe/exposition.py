"""What was counted and what is, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .admin.control import CacheStatus, PoolStatus, Status
from .metrics import BOUNDS, STATUS_CLASSES, ListenerCounts, Metrics

_LISTENER = ("listener",)
_ENDPOINT = ("listener", "endpoint")
_SERVER = ("pool", "server")
_CACHE = ("cache",)


@frozen(slots=True)
class Scrape:
    """What is, at one moment, beside what was counted."""

    status: Status
    pools: Sequence[PoolStatus]
    caches: Sequence[CacheStatus]


def exposition(metrics: Metrics, scrape: Scrape, accept: str) -> tuple[bytes, str]:
    """Write everything.

    :param accept: what the client's Accept says.
    :returns: the content, and its media type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(metrics, scrape))
    ProcessCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


@frozen(slots=True, eq=False)
class _Collected(Collector):
    metrics: Metrics
    scrape: Scrape

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        yield from _process(self.scrape.status)
        yield from _exchanges(self.metrics)
        yield from _listeners(self.scrape.status)
        yield from _servers(self.scrape.pools)
        yield from _caches(self.scrape.caches)


def _process(status: Status) -> Iterator[Metric]:
    yield _gauge("build_info", "The version that runs.", ("version",), [((status.version,), 1)])
    reloads = status.reloads
    yield _counter(
        "reloads",
        "Reloads of the configuration.",
        ("result",),
        [(("succeeded",), reloads.succeeded), (("failed",), reloads.failed)],
    )


def _exchanges(metrics: Metrics) -> Iterator[Metric]:
    counted = metrics.listeners.items()
    yield _counter(
        "exchanges",
        "Finished exchanges.",
        ("listener", "status"),
        [
            ((name, status_class), count)
            for name, counts in counted
            for status_class, count in zip(STATUS_CLASSES, counts.statuses, strict=True)
        ],
    )
    yield _counter(
        "errors",
        "Exchanges that went wrong, by their Proxy-Status error type.",
        ("listener", "error"),
        [((name, kind), n) for name, counts in counted for kind, n in counts.errors.items()],
    )
    each: list[tuple[str, str, Callable[[ListenerCounts], float]]] = [
        ("received_bytes", "Content from clients.", lambda counts: counts.received_bytes),
        ("sent_bytes", "Content to clients.", lambda counts: counts.sent_bytes),
        ("tunnels", "Exchanges that became tunnels.", lambda counts: counts.tunnels),
    ]
    for name, text, of in each:
        values = [((listener,), of(counts)) for listener, counts in counted]
        yield _counter(name, text, _LISTENER, values)
    durations = HistogramMetricFamily(
        "proxykit_exchange_duration_seconds",
        "From a request's head to the last byte of the response; no tunnels.",
        labels=_LISTENER,
    )
    for name, counts in counted:
        durations.add_metric([name], _buckets(counts.durations), counts.seconds)
    yield durations


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets


def _listeners(status: Status) -> Iterator[Metric]:
    each = [((listener.name, listener.endpoint), listener) for listener in status.listeners]
    yield _gauge(
        "connections",
        "Clients' connections that are open.",
        _ENDPOINT,
        [(labels, listener.connections) for labels, listener in each],
    )
    yield _gauge(
        "exchanges_in_flight",
        "Exchanges and tunnels under way.",
        _ENDPOINT,
        [(labels, listener.in_flight) for labels, listener in each],
    )
    yield _counter(
        "connections_accepted",
        "Clients' connections so far.",
        _ENDPOINT,
        [(labels, listener.accepted) for labels, listener in each],
    )
    yield _counter(
        "connections_refused",
        "Connections that were one too many.",
        _ENDPOINT,
        [(labels, listener.refused) for labels, listener in each],
    )


def _servers(pools: Sequence[PoolStatus]) -> Iterator[Metric]:
    # Two servers of a pool may share a name (one host's, by http and by https): the last counts.
    each = {(pool.name, server.name): server for pool in pools for server in pool.servers}.items()
    yield _counter(
        "pool_requests",
        "Exchanges given to a pool since its configuration was loaded.",
        ("pool",),
        [((pool.name,), pool.requests) for pool in pools],
    )
    yield _gauge(
        "server_up",
        "Whether exchanges may go to a server.",
        _SERVER,
        [(labels, int(server.usable)) for labels, server in each],
    )
    yield _gauge(
        "server_drained",
        "Whether an operator has it drained.",
        _SERVER,
        [(labels, int(server.drained)) for labels, server in each],
    )
    yield _gauge(
        "server_active",
        "Exchanges in flight on it.",
        _SERVER,
        [(labels, server.active) for labels, server in each],
    )
    yield _gauge(
        "server_weight",
        "What balancers go by.",
        _SERVER,
        [(labels, server.effective_weight) for labels, server in each],
    )
    yield _gauge(
        "server_latency_seconds",
        "The peak average of its latency.",
        _SERVER,
        [(labels, server.latency) for labels, server in each if server.latency is not None],
    )


def _caches(caches: Sequence[CacheStatus]) -> Iterator[Metric]:
    yield _counter(
        "cache_results",
        "Exchanges by what a cache did.",
        ("cache", "result"),
        [((cache.name, result), n) for cache in caches for result, n in cache.results.items()],
    )
    yield _counter(
        "cache_stored",
        "Responses that were stored.",
        _CACHE,
        [((cache.name,), cache.stored) for cache in caches],
    )
    known = [cache for cache in caches if cache.entries is not None]
    yield _gauge(
        "cache_entries",
        "Keys that a cache holds.",
        _CACHE,
        [((cache.name,), cache.entries or 0) for cache in known],
    )
    yield _gauge(
        "cache_bytes",
        "How much they take.",
        _CACHE,
        [((cache.name,), cache.bytes or 0) for cache in known],
    )


def _counter(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = CounterMetricFamily(f"proxykit_{name}", text, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _gauge(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = GaugeMetricFamily(f"proxykit_{name}", text, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family
