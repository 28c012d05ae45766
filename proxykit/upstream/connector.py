"""Ways to make a connection to a server: over TCP with its addresses raced, over UNIX, with TLS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet._resolver import HostResolution
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    _WrappingProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IHostnameResolver,
    IOpenSSLClientConnectionCreator,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.protocol import Factory, Protocol
from zope.interface import directlyProvides, implementer

from .resolution import Addresses, Resolver

# RFC 8305 section 5 recommends 250 ms between attempts.
_ATTEMPT_DELAY_SECONDS = 0.25


@implementer(IHostnameResolver)
class _Pinned:
    """Resolves to addresses that were found, and judged, before.

    Twisted's ``HostnameEndpoint`` races addresses as RFC 8305 asks, but resolves by itself; given
    this, what is connected to is what the policy saw, whatever the name says by then.
    """

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Resolve at once."""
        resolution = HostResolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        for address in self._addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


class _PinnedReactor:
    """The reactor as an endpoint sees it, with pinned names."""

    def __init__(self, reactor: Any, addresses: Addresses) -> None:
        self.nameResolver = _Pinned(addresses)
        self.connectTCP = reactor.connectTCP
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        directlyProvides(self, IReactorPluggableNameResolver)


class _OneProtocol(Factory):
    """A factory for one connection that makes what it is told to."""

    noisy = False

    def __init__(self, build: Callable[[], Protocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: object) -> Protocol:
        """Make the protocol."""
        return self._build()


class TcpConnector:
    """Connects to a host and port, straight or with TLS.

    :ivar pinned: the addresses that may be used, set by who judged them; ``None`` to resolve.
    """

    def __init__(
        self,
        reactor: Any,
        resolver: Resolver,
        host: str,
        port: int,
        tls: IOpenSSLClientConnectionCreator | None = None,
        connect_seconds: float = 10.0,
    ) -> None:
        """Describe the way.

        :param tls: what makes the TLS connection, name verification included.
        :param connect_seconds: for all attempts together.
        """
        self._reactor = reactor
        self._resolver = resolver
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_seconds = connect_seconds
        self.pinned: Addresses | None = None

    def connect(self, build: Callable[[], Protocol]) -> Deferred[Any]:
        """Connect.

        :param build: makes the protocol.
        :returns: the protocol once its connection is made, or fails as Twisted fails.
        """
        if self.pinned is not None:
            return self._connect_to(self.pinned, build)
        known = self._resolver.known(self._host)
        if known:
            return self._connect_to(known, build)
        return self._resolver.resolve(self._host).addCallback(self._connect_to, build)

    def _connect_to(self, addresses: Addresses, build: Callable[[], Protocol]) -> Deferred[Any]:
        endpoint: Any = HostnameEndpoint(
            _PinnedReactor(self._reactor, addresses),
            "pinned.invalid",
            self._port,
            timeout=self._connect_seconds,
            attemptDelay=_ATTEMPT_DELAY_SECONDS,
        )
        if self._tls is not None:
            endpoint = wrapClientTLS(self._tls, endpoint)
        connecting: Deferred[Any] = endpoint.connect(_OneProtocol(build))
        return connecting.addCallback(_unwrapped)


def _unwrapped(protocol: Protocol) -> Protocol:
    """Take away what stood between a transport and its protocol while it was connecting.

    Twisted's endpoints leave it there; all it would do from here on is to pass each call on.
    """
    transport: Any = protocol.transport
    if isinstance(getattr(transport, "protocol", None), _WrappingProtocol):
        transport.protocol = protocol
    return protocol


class UnixConnector:
    """Connects to a UNIX socket."""

    def __init__(self, reactor: Any, path: str, connect_seconds: float = 10.0) -> None:
        """Describe the way.

        :param path: of the socket.
        """
        self._endpoint = UNIXClientEndpoint(reactor, path, timeout=connect_seconds)

    def connect(self, build: Callable[[], Protocol]) -> Deferred[Any]:
        """See ``TcpConnector.connect``."""
        connecting: Deferred[Any] = self._endpoint.connect(_OneProtocol(build))
        return connecting.addCallback(_unwrapped)


Connector = TcpConnector | UnixConnector
