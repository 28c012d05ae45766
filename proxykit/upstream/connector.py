"""Ways to make a connection to a server: over TCP with its addresses raced, over UNIX, with TLS.

The way through a parent proxy is in ``upstream.parent_connector``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet._resolver import HostResolution
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, _WrappingProtocol
from twisted.internet.interfaces import (
    IHostnameResolver,
    IOpenSSLClientConnectionCreator,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides, implementer

from ..errors import DestinationUnroutable
from ..net.handover import hand_over
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
    """The reactor as an endpoint sees it, with pinned names and addresses to go out by."""

    def __init__(self, reactor: Any, addresses: Addresses, outgoing: Addresses) -> None:
        self.nameResolver = _Pinned(addresses)
        self.connectTCP = _going_out_by(reactor, outgoing) if outgoing else reactor.connectTCP
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        directlyProvides(self, IReactorPluggableNameResolver)


def _going_out_by(reactor: Any, outgoing: Addresses) -> Callable[..., Any]:
    """Connect from the address whose family is the destination's."""

    def connect_tcp(
        host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> Any:
        local = next(each for each in outgoing if (":" in each) == (":" in host))
        return reactor.connectTCP(host, port, factory, timeout, (local, 0))

    return connect_tcp


class _Prefaced(Protocol):
    """Sends what a connection begins with, and leaves it to another protocol."""

    def __init__(self, preface: bytes, inner: Protocol) -> None:
        self._preface = preface
        self.inner = inner

    def connectionMade(self) -> None:
        """The connection is there."""
        transport: Any = self.transport
        transport.write(self._preface)
        hand_over(transport, self.inner)


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
    :ivar preface: what a connection begins with, before TLS, unless ``connect`` is told otherwise.
    """

    def __init__(
        self,
        reactor: Any,
        resolver: Resolver,
        host: str,
        port: int,
        tls: IOpenSSLClientConnectionCreator | None = None,
        connect_seconds: float = 10.0,
        outgoing: Addresses = (),
    ) -> None:
        """Describe the way.

        :param tls: what makes the TLS connection, name verification included.
        :param connect_seconds: for all attempts together.
        :param outgoing: local addresses to go out by, at most one a family; then a destination's
            addresses of another family are not tried. None: the kernel chooses.
        """
        self._reactor = reactor
        self._resolver = resolver
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._outgoing = outgoing
        self.pinned: Addresses | None = None
        self.preface = b""

    def connect(self, build: Callable[[], Protocol], preface: bytes | None = None) -> Deferred[Any]:
        """Connect.

        :param build: makes the protocol.
        :param preface: what the connection begins with, before TLS; ``None`` for the usual.
        :returns: the protocol once its connection is made, or fails as Twisted fails.
        """
        preface = self.preface if preface is None else preface
        if self.pinned is not None:
            return self._connect_to(self.pinned, build, preface)
        known = self._resolver.known(self._host)
        if known:
            return self._connect_to(known, build, preface)
        resolving = self._resolver.resolve(self._host)
        return resolving.addCallback(self._connect_to, build, preface)

    def _connect_to(
        self, addresses: Addresses, build: Callable[[], Protocol], preface: bytes
    ) -> Deferred[Any]:
        if self._outgoing:
            families = {":" in each for each in self._outgoing}
            addresses = tuple(each for each in addresses if (":" in each) in families)
            if not addresses:
                return fail(
                    DestinationUnroutable(f"{self._host} has no address of the family to go out by")
                )
        endpoint = HostnameEndpoint(
            _PinnedReactor(self._reactor, addresses, self._outgoing),
            "pinned.invalid",
            self._port,
            timeout=self._connect_seconds,
            attemptDelay=_ATTEMPT_DELAY_SECONDS,
        )
        return _connect(endpoint, build, preface, self._tls)


def _unwrapped(protocol: Protocol) -> Protocol:
    """Take away what stood between a transport and its protocol while it was connecting.

    Twisted's endpoints leave it there; all it would do from here on is to pass each call on.
    """
    transport: Any = protocol.transport
    if isinstance(getattr(transport, "protocol", None), _WrappingProtocol):
        transport.protocol = protocol
    return protocol


class UnixConnector:
    """Connects to a UNIX socket.

    :ivar preface: see ``TcpConnector``.
    """

    def __init__(self, reactor: Any, path: str, connect_seconds: float = 10.0) -> None:
        """Describe the way.

        :param path: of the socket.
        """
        self._endpoint = UNIXClientEndpoint(reactor, path, timeout=connect_seconds)
        self.preface = b""

    def connect(self, build: Callable[[], Protocol], preface: bytes | None = None) -> Deferred[Any]:
        """See ``TcpConnector.connect``."""
        return _connect(self._endpoint, build, self.preface if preface is None else preface)


def _connect(
    endpoint: Any,
    build: Callable[[], Protocol],
    preface: bytes,
    tls: IOpenSSLClientConnectionCreator | None = None,
) -> Deferred[Any]:
    """Connect an endpoint: first the preface, then TLS, then the protocol."""
    factory: Any = _OneProtocol(build)
    if tls is not None:
        factory = TLSMemoryBIOFactory(tls, True, factory)
    if not preface:
        connecting: Deferred[Any] = endpoint.connect(factory)
        connecting.addCallback(_unwrapped)
    else:
        begin = _OneProtocol(lambda: _Prefaced(preface, factory.buildProtocol(None)))
        connecting = endpoint.connect(begin)
        connecting.addCallback(lambda prefaced: prefaced.inner)
    if tls is not None:
        connecting.addCallback(lambda protocol: protocol.wrappedProtocol)
    return connecting


class Connector(TypingProtocol):
    """A way to make connections to a server.

    :ivar preface: see ``TcpConnector``.
    """

    preface: bytes

    def connect(self, build: Callable[[], Protocol], preface: bytes | None = None) -> Deferred[Any]:
        """See ``TcpConnector.connect``."""
