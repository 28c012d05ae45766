"""Connections that were meant for others: how Linux tells where to, and how to listen for them.

With REDIRECT, netfilter changes the destination and remembers it (``SO_ORIGINAL_DST``). With TPROXY
nothing is changed: the connection's own address is the destination, and the listening socket may
accept for addresses that are not this machine's (``IP_TRANSPARENT``, which needs CAP_NET_ADMIN).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from zope.interface import implementer

Destination = tuple[str, int]
"""An address and a port."""

# linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h; the same number for both.
_SO_ORIGINAL_DST = 80
# linux/in.h, linux/in6.h; Python's socket module does not know them all.
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_IPV4 = struct.Struct("!2xH4s8x")
_IPV6 = struct.Struct("!2xH4x16s4x")


def redirected_from(transport: Any) -> Destination | None:
    """Give where a redirected connection was meant to go, ``None`` when it was not redirected."""
    connection = transport.getHandle()
    try:
        if ":" in canonical_host(transport.getHost().host):
            found = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, _IPV6.size)
            port, packed = _IPV6.unpack(found)
        else:
            found = connection.getsockopt(socket.IPPROTO_IP, _SO_ORIGINAL_DST, _IPV4.size)
            port, packed = _IPV4.unpack(found)
    except OSError:
        return None  # netfilter knows nothing of it
    return str(ipaddress.ip_address(packed)), port


def local_address(transport: Any) -> Destination:
    """Give where a connection went that TPROXY handed over: to its own address."""
    return canonical(transport.getHost())


def canonical(address: Any) -> Destination:
    """Give the one way to write a Twisted address; one that maps an IPv4 address is that."""
    return canonical_host(address.host), address.port


def canonical_host(host: str) -> str:
    """Give the one way to write an IP address; one that maps an IPv4 address is that."""
    parsed = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def is_local(address: str) -> bool:
    """Say whether an address is one of this machine's: it can be bound to then."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


@implementer(IStreamServerEndpoint)
class TransparentEndpoint:
    """Listens for connections to any address that the system hands over (TPROXY)."""

    def __init__(self, reactor: Any, interface: str, port: int) -> None:
        """Describe where.

        :param interface: an address of this machine, ``""`` for all that IPv4 has, ``::`` for all
            there are.
        """
        self._reactor = reactor
        self._interface = interface or "0.0.0.0"
        self._port = port

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """See ``IStreamServerEndpoint``; fails with ``PermissionError`` without CAP_NET_ADMIN."""
        return maybeDeferred(self._listen, protocolFactory)

    def _listen(self, factory: Any) -> IListeningPort:
        is_ipv6 = ":" in self._interface
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_ipv6:
                listening.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            else:
                listening.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
            listening.bind((self._interface, self._port))
            listening.listen(1024)
            listening.setblocking(False)
            # The reactor makes a descriptor of its own.
            port: IListeningPort = self._reactor.adoptStreamPort(
                listening.fileno(), family, factory
            )
            return port
