"""A forward proxy's parents: which takes an exchange, and who comes next when one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..engine.exchange import Exchange
from ..errors import NotReachedByParent, ProxykitError, QueueFull, Unavailable
from ..message.target import Authority
from ..net.proxy_protocol import ProxyHeader
from ..upstream.connection import UpstreamConnection
from ..upstream.connector import Connector
from ..upstream.failures import upstream_error
from ..upstream.parent import ParentWays
from ..upstream.server import ConnectionTaker, PoolLimits, Server
from .health import Health
from .rules import Rule
from .table import ServerTable

_log = Logger()


@frozen(slots=True, eq=False)
class Journey:
    """What a way has to know of an exchange.

    :ivar tunnel: whether bytes go through it, and not requests.
    :ivar outgoing: the local addresses to go out by, none for the kernel's choice.
    """

    exchange: Exchange
    authority: Authority
    tunnel: bool
    outgoing: tuple[str, ...] = ()


class Way(Protocol):
    """One way to a destination.

    :ivar name: for the log.
    :ivar health: ``None`` where there is nothing to pass over.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def health(self) -> Health | None:
        """See above."""

    def server(self, journey: Journey) -> Deferred[Server]:
        """Give the server to ask; fails with a ``ProxykitError``."""


MakeServer = Callable[[str, Connector], Server]


@frozen(slots=True, eq=False)
class Parent:
    """A parent.

    :ivar rule: the exchanges that it is for.
    :ivar ways: through it, by the local addresses to go out by.
    :ivar make_server: makes a server out of a name and a connector.
    """

    name: str
    rule: Rule
    ways: Callable[[tuple[str, ...]], ParentWays]
    make_server: MakeServer
    health: Health
    _servers: ServerTable[Any, None] = field(factory=ServerTable)

    def server(self, journey: Journey) -> Deferred[Server]:
        """See ``Way``: the parent itself for a request that it takes, else a way through it."""
        authority = journey.authority
        ways = self.ways(journey.outgoing)
        straight = ways.address.takes_requests and not journey.tunnel
        via = b""
        if ways.address.takes_requests and not straight:
            # Without it, proxies that are each other's parents would not know a CONNECT again.
            exchange = journey.exchange
            via = exchange.pipeline.rules.via_line(exchange.request.section)
        key = (None if straight else authority, journey.outgoing, via)
        entry = self._servers.get(key)
        if entry is None:
            if straight:
                server = self.make_server(self.name, ways.to_parent())
                server.parent_fields = ways.address.fields
            else:
                assert authority.port is not None
                connector = ways.to(authority.host, authority.port, via)
                server = self.make_server(f"{authority.text()} by {self.name}", connector)
            entry = (None, server)
            self._servers.put(key, None, server)
        return succeed(entry[1])

    def retire(self) -> None:
        """Close what is idle; the parent will not be asked again."""
        self._servers.retire()


class Parents:
    """Chooses the ways of exchanges."""

    def __init__(
        self,
        parents: Sequence[Parent],
        reactor: Any,
        sweeper: Any,
        *,
        direct: bool | None = None,
    ) -> None:
        """Take parents in the order of preference.

        :param direct: whether destinations may be reached without a parent: ``None`` for those
            that no parent is for, ``True`` for all when their parents do not work, ``False`` for
            none.
        """
        self._parents = tuple(parents)
        self._reactor = reactor
        self._sweeper = sweeper
        self._direct = direct

    def takes(self, exchange: Exchange) -> bool:
        """Say whether an exchange must not simply go straight to its destination."""
        return self._direct is False or any(each.rule.takes(exchange) for each in self._parents)

    def server(self, journey: Journey, direct: Way) -> Server:
        """Give the server of an exchange that is to go through a parent.

        :param direct: the way without a parent, taken only where that is allowed.
        :raises Unavailable: when no parent is for the destination.
        """
        ways: list[Way] = [each for each in self._parents if each.rule.takes(journey.exchange)]
        if not ways:
            raise Unavailable(
                f"no parent is for {journey.authority.host}, and nothing goes straight from here"
            )
        if self._direct:
            ways.append(direct)
        return Failover(journey, ways, self._reactor, self._sweeper)

    def retire(self) -> None:
        """Close what is idle; the parents will not be asked again."""
        for each in self._parents:
            each.retire()


class Failover(Server):
    """The server of one exchange, that is reached by the first of several ways that works.

    It has no connections of its own; it asks one way's server after the other.
    """

    def __init__(self, journey: Journey, ways: Sequence[Way], reactor: Any, sweeper: Any) -> None:
        """Make one for an exchange.

        :param ways: in the order of preference, never none.
        """
        nowhere: Any = None
        super().__init__(ways[0].name, nowhere, PoolLimits(), reactor, sweeper)
        self._journey = journey
        self._ways = tuple(ways)
        self._left: list[Way] = []
        self._way: Way | None = None
        self._asked: Server | None = None
        self._taker: ConnectionTaker | None = None
        self._fresh = False
        self._more: dict[str, Any] = {}

    def acquire(self, taker: ConnectionTaker, *, fresh: bool = False, **more: Any) -> None:
        """See ``Server.acquire``."""
        self._taker = taker
        self._fresh = fresh
        self._more = more
        usable = [way for way in self._ways if not way.health or not way.health.wait]
        # Where nothing else is left, those that failed are tried all the same: a parent that is
        # back must not be kept waiting for by a proxy that has no other.
        self._left = usable or sorted(self._ways, key=_wait)
        self._next()

    def cancel(self, taker: ConnectionTaker) -> None:
        """See ``Server.cancel``."""
        self._taker = None
        if self._way is not None and self._way.health is not None:
            self._way.health.given_up()
        if self._asked is not None:
            self._asked.cancel(self)

    def _next(self) -> None:
        way = self._way = self._left.pop(0)
        self._journey.exchange.upstream = way.name or self._journey.authority.text()
        if way.health is not None:
            way.health.begin()
        way.server(self._journey).addCallbacks(self._ask, self._no_server)

    def _ask(self, server: Server) -> None:
        if self._taker is not None:
            self._asked = server
            server.acquire(self, fresh=self._fresh, **self._more)

    def _no_server(self, failure: Failure) -> None:
        self.connection_failed(upstream_error(failure, self._journey.authority.host))

    # --- upstream.ConnectionTaker -------------------------------------------------------------

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """Hand the connection on."""
        way, taker = self._way, self._taker
        if way is not None and way.health is not None:
            way.health.worked()
        if taker is None:
            connection.abandon()
            return
        self._taker = None
        taker.connection_ready(connection)

    def connection_failed(self, error: ProxykitError) -> None:
        """Go on with the next way, if it was the parent that failed and not what is behind it."""
        way, taker = self._way, self._taker
        health = way.health if way is not None else None
        if health is not None and way is not None:
            if isinstance(error, NotReachedByParent):
                health.worked()
                self._left = []
            elif isinstance(error, QueueFull):
                health.given_up()
            elif health.failed():
                _log.warn(
                    "the parent {name} fails and is passed over: {error}",
                    name=way.name,
                    error=str(error),
                )
        if taker is None:
            return
        if self._left:
            self._next()
        else:
            self._taker = None
            taker.connection_failed(error)

    def proxied_for(self) -> ProxyHeader:
        """See ``upstream.ConnectionTaker``."""
        assert self._taker is not None
        return self._taker.proxied_for()


def _wait(way: Way) -> float:
    return way.health.wait if way.health is not None else 0.0
