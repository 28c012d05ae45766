"""Connections that a trusted proxy makes for clients, as the PROXY protocol tells."""

from __future__ import annotations

from time import monotonic
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..net.handover import hand_over
from ..net.proxy_protocol import HeaderReader, MalformedHeader, ProxyHeader
from ..net.sweeper import NEVER
from .listener import Listener


@implementer(IAddress)
@frozen(slots=True)
class ToldAddress:
    """A client's address as a trusted proxy told it.

    :ivar told: the whole of what it told.
    """

    host: str
    port: int
    told: ProxyHeader


class ProxiedFactory(Factory):
    """Reads the header in front of a listener's protocol, TLS and all, from trusted proxies only.

    Whoever else connects is refused: the listener's clients come through a proxy, and one that
    does not cannot be told from one that lies.
    """

    noisy = False

    def __init__(self, listener: Listener, inner: Any) -> None:
        """Stand in front of a listener.

        :param listener: knows who is trusted and counts the connections.
        :param inner: makes the protocols behind the header: the listener, or TLS around it.
        """
        self.listener = listener
        self.inner: IProtocolFactory = inner

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make the protocol that reads the header, or none for who is not trusted."""
        peer = getattr(addr, "host", None)
        listener = self.listener
        # A UNIX socket has no addresses to judge; who may connect is the file system's affair.
        if peer is not None and not listener.pipeline.rules.is_trusted(peer):
            listener.refuse(f"{peer} is no trusted proxy")
            return None
        if listener.is_full:
            listener.refuse("the limit on connections is reached")
            return None
        return _HeaderProtocol(self, addr)


class _HeaderProtocol(Protocol):
    """Reads the header, then leaves the connection to the listener's protocol.

    :ivar peer_address: nobody's: the limit for one client is not the proxy's.
    :ivar deadline: see ``net.sweeper``.
    """

    transport: Any
    is_busy = False

    def __init__(self, factory: ProxiedFactory, address: IAddress | None) -> None:
        """Make one that is not connected yet."""
        self._factory = factory
        self._address = address
        self._reader = HeaderReader()
        self._gone = False
        self.peer_address = ""
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<a connection before its PROXY header, {self._address}>"

    def connectionMade(self) -> None:
        """The proxy is there; the header has as long as a head has."""
        listener = self._factory.listener
        self.deadline = monotonic() + listener.pipeline.times.head
        listener.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """Read the header."""
        if self._gone:
            return
        try:
            header = self._reader.feed(data)
        except MalformedHeader as error:
            self._factory.listener.refuse(f"{getattr(self._address, 'host', 'unix:')}: {error}")
            self.abort()
            return
        if header is not None:
            self._go_on(header)

    def _go_on(self, header: ProxyHeader) -> None:
        """Build what stands behind the header, for the client that was told of."""
        self._leave()
        address: Any = self._address
        if header.source is not None:
            address = ToldAddress(*header.source, header)
        protocol: Any = self._factory.inner.buildProtocol(address)
        if protocol is None or getattr(protocol, "wrappedProtocol", protocol) is None:
            self.transport.abortConnection()
            return
        rest = self._reader.rest()
        hand_over(self.transport, protocol)
        if rest:
            protocol.dataReceived(rest)

    def _leave(self) -> None:
        self._gone = True
        self.deadline = NEVER
        self._factory.listener.closed(self)

    def drain(self) -> None:
        """Close: no exchange is under way."""
        self.abort()

    def abort(self, why: str = "") -> None:
        """Close at once."""
        self._gone = True
        self.transport.abortConnection()

    def deadline_passed(self) -> None:
        """Called by the sweeper: the header did not come."""
        self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone before its header was there."""
        self._leave()
