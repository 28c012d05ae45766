"""What the admin API sees and does, told of what runs: see ``observe.admin.control``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from time import monotonic, time
from typing import Any, Protocol

from .. import __version__
from ..caching.keys import PARTS, url_key
from ..caching.stored import StoreStatistics
from ..engine.listener import Listener
from ..engine.pipeline import Pipeline
from ..errors import BadRequest, ConfigurationError
from ..interfaces import ICacheInspection
from ..observe.admin.control import (
    CacheStatus,
    Entries,
    EntryStatus,
    ListenerStatus,
    PoolStatus,
    Purge,
    Refused,
    Reloads,
    ServerStatus,
    Status,
    WarmUp,
    WarmUpStatus,
)
from ..observe.metrics import Metrics
from ..reverse.member import Fault, Member
from ..reverse.pool import Pool
from ..upstream.latency import remembered
from .compilation import CachePlan, ListenerPlan, Plan
from .explain import chosen_pipeline
from .inspection import entry_status
from .warming import WarmUps

_MOST_SHOWN = 64


class Running(Protocol):
    """What runs, as the service knows it.

    :ivar plan: by what configuration.
    :ivar reloads: how that was reloaded.
    """

    @property
    def plan(self) -> Plan:
        """See ``plan``."""

    @property
    def reloads(self) -> Reloads:
        """See ``reloads``."""

    def listeners(self) -> Iterable[tuple[ListenerPlan, Listener]]:
        """Give every endpoint that is open."""

    def reload(self) -> Sequence[str]:
        """See ``Control.reload``."""


class ServiceControl:
    """See ``observe.admin.control.Control``."""

    def __init__(self, running: Running, metrics: Metrics, reactor: Any) -> None:
        """Begin the clock.

        :param reactor: an ``IReactorTime``.
        """
        self._running = running
        self._metrics = metrics
        self._started_at = time()
        self._started = monotonic()
        self._warm_ups = WarmUps(reactor)

    def stop(self) -> None:
        """End what runs by itself."""
        self._warm_ups.stop()

    # --- what is ------------------------------------------------------------------------------

    def status(self) -> Status:
        """See ``Control``."""
        listeners = [_listener(*each) for each in self._running.listeners()]
        return Status(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            uptime=monotonic() - self._started,
            in_flight=sum(each.in_flight for each in listeners),
            reloads=self._running.reloads,
            listeners=listeners,
        )

    def pools(self) -> Sequence[PoolStatus]:
        """See ``Control``."""
        now = monotonic()
        return [
            PoolStatus(name, pool.requests, [_server(member, now) for member in pool.members])
            for name, pool in self._running.plan.pools.items()
        ]

    async def caches(self) -> Sequence[CacheStatus]:
        """See ``Control``."""
        results = self._results()
        return [
            await _cache(name, cache, results.get(name, Counter()))
            for name, cache in self._running.plan.caches.items()
        ]

    def _results(self) -> dict[str, Counter[str]]:
        """Sum up what routes' caches did, by the caches that these routes use now."""
        uses = self._running.plan.cache_uses
        sums: dict[str, Counter[str]] = {}
        for listener, counts in self._metrics.listeners.items():
            for (route, result), count in counts.results.items():
                name = uses.get((listener, route)) or uses.get((listener, ""))
                if name is not None:
                    sums.setdefault(name, Counter())[result] += count
        return sums

    # --- servers ------------------------------------------------------------------------------

    def drain(self, pool: str, server: str, *, drained: bool) -> None:
        """See ``Control``."""
        if not self._pool(pool).drain(server, drained=drained):
            raise Refused(f"the pool {pool} has no server {server}", 404)

    def set_weight(self, pool: str, server: str, weight: float) -> None:
        """See ``Control``."""
        try:
            self._pool(pool).set_weight(server, weight)
        except LookupError as error:
            raise Refused(str(error.args[0]), 404) from error

    def _pool(self, name: str) -> Pool:
        pool = self._running.plan.pools.get(name)
        if pool is None:
            raise Refused(f"there is no pool {name}", 404)
        return pool

    # --- caches -------------------------------------------------------------------------------

    async def entries(self, cache: str, prefix: str, limit: int) -> Entries:
        """See ``Control``."""
        plan = self._cache(cache)
        store = self._inspected(cache, plan)
        found: list[tuple[bytes, Any]] = []
        # One more than is shown, to know whether there is more.
        for key in _keys(plan, prefix) if prefix else [b""]:
            found += await _entries_of(cache, store, key, limit + 1 - len(found))
            if len(found) > limit:
                break
        shown = _entries(found[:limit], with_fields=False)
        return Entries(shown, len(found) > limit)

    async def entry(self, cache: str, url: str) -> Entries:
        """See ``Control``."""
        plan = self._cache(cache)
        store = plan.shared.store
        found: list[tuple[bytes, Any]] = []
        for key in _keys(plan, url):
            key = plan.shared.aliases.resolve(key)
            found.append((key, await _result(store.lookup(key))))
            if ICacheInspection.providedBy(store):
                found += await _entries_of(cache, store, key + PARTS, _MOST_SHOWN + 1)
        shown = _entries(found, with_fields=True)
        if not shown:
            raise Refused(f"the cache {cache} holds nothing for {url}", 404)
        return Entries(shown[:_MOST_SHOWN], len(shown) > _MOST_SHOWN)

    async def purge(self, cache: str, purge: Purge) -> int:
        """See ``Control``."""
        plan = self._cache(cache)
        shared, soft = plan.shared, purge.soft
        results: list[Any]
        if purge.all:
            results = [shared.purge_prefix(b"", soft=soft)]
        elif purge.tag is not None:
            results = [shared.purge_tag(purge.tag.encode("utf-8"), soft=soft)]
        elif purge.prefix is not None:
            results = [shared.purge_prefix(key, soft=soft) for key in _keys(plan, purge.prefix)]
        else:
            results = [shared.purge(key, soft=soft) for key in _keys(plan, purge.url or "")]
        return sum([await _result(each) for each in results])

    def set_offline(self, cache: str, *, offline: bool) -> None:
        """See ``Control``."""
        self._cache(cache).shared.offline = offline

    def _cache(self, name: str) -> CachePlan:
        cache = self._running.plan.caches.get(name)
        if cache is None:
            raise Refused(f"there is no cache {name}", 404)
        return cache

    def _inspected(self, name: str, plan: CachePlan) -> Any:
        if not ICacheInspection.providedBy(plan.shared.store):
            raise Refused(f"the store of the cache {name} cannot list what it holds", 501)
        return plan.shared.store

    # --- the rest -----------------------------------------------------------------------------

    def reload(self) -> Sequence[str]:
        """See ``Control``."""
        return self._running.reload()

    def warm(self, what: WarmUp) -> WarmUpStatus:
        """See ``Control``."""
        name = what.listener
        if name is None and what.cache is not None:
            listeners = sorted(self._cache(what.cache).listeners)
            if len(listeners) != 1:
                users = ", ".join(listeners) or "none"
                raise Refused(f"say which listener: the cache {what.cache} is used by {users}")
            name = listeners[0]
        listener = self._pipeline(name).name
        return self._warm_ups.begin(what, listener, lambda: self._pipeline(listener))

    def _pipeline(self, name: str | None) -> Pipeline:
        try:
            return chosen_pipeline(self._running.plan, name)
        except ConfigurationError as error:
            raise Refused(str(error).replace("with --listener", "by its name")) from error

    def warm_up(self, number: str) -> WarmUpStatus:
        """See ``Control``."""
        return self._warm_ups.status(number)


def _listener(plan: ListenerPlan, listener: Listener) -> ListenerStatus:
    protocol = "socks" if plan.socks else "http" if plan.tls is None else "https"
    return ListenerStatus(
        name=plan.pipeline.name,
        endpoint=plan.endpoint,
        protocol=protocol,
        connections=listener.connections,
        in_flight=listener.in_flight,
        accepted=listener.accepted,
        refused=listener.refused,
    )


def _server(member: Member, now: float) -> ServerStatus:
    server = member.server
    latency = None
    if server.latency:
        latency = remembered(server.latency, now - server.latency_at)
    return ServerStatus(
        name=server.name,
        url=member.found.url,
        weight=server.weight,
        effective_weight=server.effective_weight,
        backup=server.backup,
        active=server.active,
        latency=latency,
        failures=server.failures,
        usable=not member.faults,
        drained=bool(member.faults & Fault.DRAINED),
        health=None if member.watch is None else member.watch.state.health.value,
        breaker=None if member.breaker is None else member.breaker.state.value,
        faults=[str(fault.name).lower() for fault in member.faults],
    )


async def _cache(name: str, plan: CachePlan, results: Counter[str]) -> CacheStatus:
    shared = plan.shared
    found: StoreStatistics | None = None
    if ICacheInspection.providedBy(shared.store):
        found = await _result(shared.store.statistics())
    return CacheStatus(
        name=name,
        listeners=sorted(plan.listeners),
        entries=None if found is None else found.entries,
        bytes=None if found is None else found.bytes,
        limit=None if found is None else found.limit,
        evicted=None if found is None else found.evicted,
        stored=shared.commits,
        fetching=len(shared.fetches),
        results=dict(results),
        offline=shared.offline,
    )


async def _entries_of(
    name: str, store: Any, prefix: bytes, limit: int
) -> Sequence[tuple[bytes, Any]]:
    """Give what a store says of its entries.

    :raises Refused: when it cannot say it now.
    """
    found: Sequence[tuple[bytes, Any]] | None = await _result(store.entries(prefix, limit))
    if found is None:
        raise Refused(f"the store of the cache {name} cannot be asked now", 503)
    return found


def _keys(plan: CachePlan, url: str) -> list[bytes]:
    """Give the keys of a URL, one for each name space of a cache; or what they begin with.

    :raises Refused: when it is none.
    """
    try:
        return [url_key(namespace, url) for namespace in sorted(plan.namespaces)]
    except BadRequest as error:
        raise Refused(f"{url}: {error}") from error


def _entries(found: Iterable[tuple[bytes, Any]], *, with_fields: bool) -> list[EntryStatus]:
    now = time()
    return [
        entry_status(key, stored, now, with_fields=with_fields)
        for key, responses in found
        for stored in responses
    ]


async def _result(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value
