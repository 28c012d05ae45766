"""A client's connection, whatever it speaks: how its life begins, and how it ends."""

from __future__ import annotations

import enum
from time import monotonic
from typing import Any, ClassVar

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..net.proxy_protocol import ProxyHeader, header_of
from ..net.sweeper import NEVER
from ..net.tunnel import Joint, Tunnel
from ..upstream.connection import UpstreamConnection
from .admission import ask_connection_filters
from .listener import Listener
from .relay import Relay


class State(enum.Enum):
    """Where a client's connection is in its life."""

    ASKED = "asked"  # a connection filter has been asked and has not answered
    IDLE = "idle"  # HTTP: nothing of a request was read
    HEAD = "head"  # HTTP: a head is being read
    HANDSHAKE = "handshake"  # SOCKS: the client says what it wants
    JUDGING = "judging"  # SOCKS: its user and password are being judged
    EXCHANGE = "exchange"
    TUNNEL = "tunnel"
    ASSOCIATION = "association"  # SOCKS: datagrams are carried as long as the connection is there
    LINGERING = "lingering"  # HTTP: the last response was sent; what still comes is read over
    CLOSED = "closed"


_NOTHING_UNDER_WAY = frozenset({State.ASKED, State.IDLE, State.HEAD, State.HANDSHAKE})


@implementer(IHalfCloseableProtocol)
class ClientConnection(Protocol):
    """A client's connection, as far as that does not depend on the protocol.

    :cvar at_first: the state of one that was admitted.
    :ivar state: where it is in its life.
    :ivar peer_address: the peer's IP address, ``""`` for a UNIX socket.
    :ivar identity: all that the rendering of a request's fields depends on besides the fields:
        the rules, the client, the scheme. Connections of one client share what was rendered.
    :ivar deadline: see ``net.sweeper``.
    """

    at_first: ClassVar[State]
    transport: Any

    def __init__(
        self, listener: Listener, peer_address: str, told: ProxyHeader | None = None
    ) -> None:
        """Make one that is not connected yet.

        :param told: what a trusted proxy told of the client in front of the connection.
        """
        self._listener = listener
        self._pipeline = listener.pipeline
        self._told = told
        self._scheme = "http"
        self._relay: Relay | None = None
        self._tunnel: Tunnel | None = None
        self.identity: object = (self._pipeline.rules, peer_address, self._scheme)
        self.state = self.at_first
        self.peer_address = peer_address
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peer_address} {self.state.value}>"

    @property
    def is_busy(self) -> bool:
        """See ``listener.Connection``."""
        return self._relay is not None

    # --- its beginning ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """A client connected."""
        self._listener.opened(self)
        steps = self._pipeline.chain.connection
        if steps:
            self.state = State.ASKED
            ask_connection_filters(steps, self.peer_address, self._admitted)
        else:
            self._welcome()

    def _admitted(self, accepted: bool) -> None:
        """Go on with what the connection filters say."""
        if not accepted:
            self.abort()
        elif self.state is State.ASKED:
            self._welcome()

    def _welcome(self) -> None:
        """Hear what the client wants; if it says nothing, it has as long as for a head."""
        self.state = self.at_first
        self.deadline = monotonic() + self._pipeline.times.head

    # --- engine.client.Client -----------------------------------------------------------------

    def proxied_for(self) -> ProxyHeader:
        """See ``engine.client.Client``."""
        return self._told or header_of(self.transport.getPeer(), self.transport.getHost())

    def _become_tunnel(
        self, upstream: UpstreamConnection, other: Any, data: bytes, early: bytes
    ) -> None:
        """Join this connection to another; from now on the tunnel reads.

        :param other: the transport of ``upstream``, detached from it.
        :param data: what was read of the other connection already.
        :param early: what was read of this one and is not the protocol's any more.
        """
        relay = self._relay
        assert relay is not None
        self.state = State.TUNNEL
        self.deadline = NEVER
        seconds = self._pipeline.times.tunnel
        joint = Joint(self.transport, other, self._listener.sweeper, seconds, self._tunnel_ended)
        tunnel = self._tunnel = relay.make_tunnel(joint)
        self.dataReceived = tunnel.client_received  # type: ignore[method-assign]
        upstream.join(tunnel)
        if data:
            tunnel.upstream_received(data)
        if early:
            tunnel.client_received(early)

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.tunnel_ended(tunnel.from_client_bytes, tunnel.from_upstream_bytes, tunnel.reason)

    # --- its end ------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close when what was written is sent."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.deadline = monotonic() + self._pipeline.times.linger
            self.transport.loseConnection()

    def drain(self) -> None:
        """Close now if nothing is under way, else after it; the listener says ``draining``.

        Tunnels and relays of datagrams have the grace that everything has.
        """
        if self.state in _NOTHING_UNDER_WAY:
            self._close()

    def abort(self, why: str = "") -> None:
        """Close at once; see ``listener.Connection``."""
        if self._relay is not None:
            exchange = self._relay.exchange
            exchange.detail = exchange.detail or why
        self.state = State.CLOSED
        self.transport.abortConnection()

    def deadline_passed(self) -> None:
        """Called by the sweeper: the client is too slow."""
        raise NotImplementedError

    def readConnectionLost(self) -> None:
        """The client will send no more.

        In a tunnel that is one way's end. Elsewhere it is the client's leave, as nginx and Squid
        take it: from one that is gone it cannot be told.
        """
        if self._tunnel is not None:
            self._tunnel.client_ended()
        elif self.state is not State.CLOSED:
            self._client_gone()
            self._close()

    def writeConnectionLost(self) -> None:
        """Our own half-close was sent; nothing is to be done."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, and with it what was done for the client."""
        if self._tunnel is not None:
            self._tunnel.client_lost()
        self._client_gone()
        self.state = State.CLOSED
        self.deadline = NEVER
        self._listener.closed(self)

    def _client_gone(self) -> None:
        """End what is done for the client."""
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.client_lost()
