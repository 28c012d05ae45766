"""What the connections of one listener share: its policy, its limits, who is connected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger

from ..http1.limits import HeadLimits
from ..net.proxy_protocol import ProxyHeader
from ..net.sweeper import Sweeper
from .pipeline import Pipeline

_log = Logger()


class Connection(Protocol):
    """A client's connection, whatever protocol it speaks.

    :ivar peer_address: the client's IP address, ``""`` for a UNIX socket.
    :ivar deadline: see ``net.sweeper``.
    """

    peer_address: str
    deadline: float

    @property
    def is_busy(self) -> bool:
        """Whether it carries an exchange or a tunnel."""

    def deadline_passed(self) -> None:
        """See ``net.sweeper``."""

    def drain(self) -> None:
        """Close if idle, else after the exchange."""

    def abort(self, why: str = "") -> None:
        """Close at once.

        :param why: for the log of what is under way.
        """


class Listener(Factory):
    """Makes the server side of a listener's connections, and counts them.

    :ivar pipeline: the policy for the exchanges that begin from now on; a reload replaces it.
    :ivar draining: whether connections are closed after the exchange that they carry.
    :ivar accepted: how many connections there were so far.
    :ivar refused: how many were one too many.
    """

    noisy = False

    def __init__(
        self,
        pipeline: Pipeline,
        sweeper: Sweeper,
        head_limits: HeadLimits,
        protocol: Callable[[Any, str, ProxyHeader | None], Any],
        connections: int = 10_000,
        connections_per_client: int = 256,
    ) -> None:
        """Make a listener without connections.

        :param protocol: makes a connection's protocol of the listener, the client's address, and
            what a trusted proxy told in front of it, ``None`` if none did.
        :param connections: how many there may be at a time.
        :param connections_per_client: and from one address.
        """
        self.pipeline = pipeline
        self.sweeper = sweeper
        self.head_limits = head_limits
        self.draining = False
        self._most = connections
        self._most_per_client = connections_per_client
        self._protocol = protocol
        self._open: set[Connection] = set()
        self._clients: Counter[str] = Counter()
        self.accepted = 0
        self.refused = 0
        self._next_warning = 0.0
        self._drained: Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<Listener {self.pipeline.name} {len(self._open)} connections>"

    def limit(self, connections: int, connections_per_client: int) -> None:
        """Set the limits on connections; what is open stays open."""
        self._most = connections
        self._most_per_client = connections_per_client

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another connection."""
        return len(self._open) >= self._most

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """How many of them carry an exchange or a tunnel; looks at each."""
        return sum(1 for connection in self._open if connection.is_busy)

    def buildProtocol(self, addr: IAddress | None) -> TwistedProtocol | None:
        """Make a connection's protocol, or none when that would be one too many."""
        address = getattr(addr, "host", "")  # a UNIX socket's address has none
        if self.is_full:
            self.refuse("the limit on connections is reached")
            return None
        if address and self._clients[address] >= self._most_per_client:
            self.refuse(f"{address} has too many connections")
            return None
        self.accepted += 1
        protocol: TwistedProtocol = self._protocol(self, address, getattr(addr, "told", None))
        return protocol

    def refuse(self, why: str) -> None:
        """Say why a connection is refused, once a second: a flood must not flood the log too."""
        self.refused += 1
        now = monotonic()
        if now >= self._next_warning:
            self._next_warning = now + 1.0
            _log.warn(
                "{listener}: {why}; {count} connections refused so far",
                listener=self,
                why=why,
                count=self.refused,
            )

    def opened(self, connection: Connection) -> None:
        """Count a connection that was made."""
        self._open.add(connection)
        self._clients[connection.peer_address] += 1
        self.sweeper.add(connection)

    def closed(self, connection: Connection) -> None:
        """Count a connection that is gone; nothing happens if it is not counted any more."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self.sweeper.discard(connection)
        address = connection.peer_address
        self._clients[address] -= 1
        if not self._clients[address]:
            del self._clients[address]
        if self._drained is not None and not self._open:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def drain(self) -> Deferred[Any]:
        """Close idle connections now and the others after their exchange.

        :returns: fires when none is left.
        """
        self.draining = True
        for connection in list(self._open):
            connection.drain()
        if not self._open:
            return succeed(None)
        if self._drained is None:
            self._drained = Deferred()
        return self._drained

    def abort(self, why: str) -> None:
        """Close every connection, whatever it carries.

        :param why: for the log.
        """
        for connection in list(self._open):
            connection.abort(why)
