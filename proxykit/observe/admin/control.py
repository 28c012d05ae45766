"""What the admin API sees of what runs, and can do to it: values, and one protocol.

Their fields are the keys of the API's JSON, so what is renamed here is renamed there. Times are in
seconds; ``*_at`` is since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen


class Refused(Exception):
    """What was asked for cannot be done; the message says why, for the operator.

    :ivar status: the HTTP status that says so.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        """Say why."""
        super().__init__(message)
        self.status = status


@frozen(slots=True)
class ListenerStatus:
    """One endpoint that is listened on.

    :ivar name: the listener's, ``reverse.site`` for instance; it may have several endpoints.
    :ivar endpoint: as a Twisted endpoint description.
    :ivar protocol: ``http``, ``https`` or ``socks``.
    :ivar connections: how many are open.
    :ivar in_flight: how many of them carry an exchange or a tunnel.
    :ivar accepted: how many there were since the endpoint was opened.
    :ivar refused: how many were one too many.
    """

    name: str
    endpoint: str
    protocol: str
    connections: int
    in_flight: int
    accepted: int
    refused: int


@frozen(slots=True)
class Reloads:
    """How the configuration was reloaded since the process began.

    :ivar error: what was wrong at the last attempt, ``""`` when nothing was.
    """

    succeeded: int = 0
    failed: int = 0
    last_at: float | None = None
    error: str = ""


@frozen(slots=True)
class Status:
    """The process."""

    version: str
    pid: int
    started_at: float
    uptime: float
    in_flight: int
    reloads: Reloads
    listeners: Sequence[ListenerStatus]


@frozen(slots=True)
class ServerStatus:
    """A server of a pool.

    :ivar weight: as it is set now.
    :ivar effective_weight: what balancers go by.
    :ivar active: exchanges in flight on it, those that wait for a connection among them.
    :ivar latency: the peak average in seconds, ``None`` when unknown.
    :ivar failures: how many exchanges in a row failed.
    :ivar usable: whether exchanges may go there.
    :ivar drained: whether an operator has it drained.
    :ivar health: ``up``, ``down``, ``unknown``, or ``None`` without health checks.
    :ivar breaker: ``closed``, ``open``, ``half-open``, or ``None`` without a circuit breaker.
    :ivar faults: why it is not used.
    """

    name: str
    url: str
    weight: float
    effective_weight: float
    backup: bool
    active: int
    latency: float | None
    failures: int
    usable: bool
    drained: bool
    health: str | None
    breaker: str | None
    faults: Sequence[str]


@frozen(slots=True)
class PoolStatus:
    """A pool and its servers.

    :ivar requests: how many exchanges were given to it under this configuration.
    """

    name: str
    requests: int
    servers: Sequence[ServerStatus]


@frozen(slots=True)
class CacheStatus:
    """A cache.

    :ivar listeners: what uses it.
    :ivar entries: how many keys it holds; this and the next three are ``None`` where its store does
        not know.
    :ivar bytes: how much they take.
    :ivar limit: how much they may take.
    :ivar evicted: how many gave way to others.
    :ivar stored: how many responses were stored so far.
    :ivar fetching: how many are being fetched.
    :ivar results: how many exchanges it had a part in, by what it did.
    :ivar offline: whether an operator has it answer with what is stored, however stale.
    """

    name: str
    listeners: Sequence[str]
    entries: int | None
    bytes: int | None
    limit: int | None
    evicted: int | None
    stored: int
    fetching: int
    results: dict[str, int]
    offline: bool = False


@frozen(slots=True)
class EntryStatus:
    """A stored response. Of what identifies a user only the names are shown, never the contents.

    :ivar namespace: keeps what several listeners store under one URL apart.
    :ivar key: what rules add to the URL in its key.
    :ivar vary: the request's fields that select this response, by their names.
    :ivar size: of its content, in bytes.
    :ivar age: in seconds.
    :ivar ttl: how long it stays fresh; negative when it is stale.
    :ivar fields: the stored fields, ``None`` in a list.
    """

    namespace: str
    url: str
    key: Sequence[str]
    vary: dict[str, str | None]
    status: int
    size: int
    age: float
    ttl: float
    tags: Sequence[str]
    fields: Sequence[tuple[str, str]] | None = None


@frozen(slots=True)
class Entries:
    """Some of what a cache holds.

    :ivar more: whether there is more than was listed.
    """

    entries: Sequence[EntryStatus]
    more: bool


@frozen(slots=True)
class Purge:
    """What is to be purged: one of the first four is given.

    :ivar soft: only make it stale.
    """

    url: str | None = None
    prefix: str | None = None
    tag: str | None = None
    all: bool = False
    soft: bool = False


@frozen(slots=True)
class WarmUp:
    """What is to be asked for, so that a cache holds it.

    :ivar listener: through whose pipeline; ``None`` when ``cache`` says it.
    :ivar cache: the one listener that uses this cache is meant.
    :ivar fields: field lines of the requests, as name and value.
    :ivar concurrency: how many at a time.
    """

    urls: Sequence[str]
    listener: str | None = None
    cache: str | None = None
    fields: Sequence[tuple[str, str]] = ()
    concurrency: int = 4


@frozen(slots=True)
class WarmUpStatus:
    """How a warm-up goes.

    :ivar results: how many requests by what the cache did; ``none`` where it had no part.
    :ivar statuses: how many by their status.
    :ivar failures: some of the URLs that failed, with the reason.
    """

    id: str
    listener: str
    total: int
    done: int
    failed: int
    bytes: int
    running: bool
    results: dict[str, int]
    statuses: dict[str, int]
    failures: Sequence[tuple[str, str]]


class Control(Protocol):
    """What runs, as an operator sees it and changes it.

    Every method may raise ``Refused``.
    """

    def status(self) -> Status:
        """Say how the process does."""

    def pools(self) -> Sequence[PoolStatus]:
        """Say how the servers do."""

    def drain(self, pool: str, server: str, *, drained: bool) -> None:
        """Give a server nothing new, or give it its share again."""

    def set_weight(self, pool: str, server: str, weight: float) -> None:
        """Change a server's weight, until the next reload."""

    async def caches(self) -> Sequence[CacheStatus]:
        """Say what the caches hold and did."""

    async def entries(self, cache: str, prefix: str, limit: int) -> Entries:
        """List some of what a cache holds.

        :param prefix: of the URLs; ``""`` for any.
        """

    async def entry(self, cache: str, url: str) -> Entries:
        """Show what a cache holds for a URL, with the stored fields."""

    async def purge(self, cache: str, purge: Purge) -> int:
        """Forget stored responses, or make them stale.

        :returns: how many there were.
        """

    def set_offline(self, cache: str, *, offline: bool) -> None:
        """Have a cache answer with what is stored, however stale, or no longer."""

    def reload(self) -> Sequence[str]:
        """Reload the configuration.

        :returns: what is wrong with it; nothing when it was taken over.
        """

    def warm(self, what: WarmUp) -> WarmUpStatus:
        """Begin a warm-up."""

    def warm_up(self, number: str) -> WarmUpStatus:
        """Say how a warm-up goes."""
