"""Which addresses a forward proxy may connect to."""

from __future__ import annotations

import ipaddress
import socket

from ..errors import DestinationProhibited
from ..upstream.resolution import Addresses

# Networks that `ipaddress` does not count as private and that lead inside all the same.
_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # RFC 6598: a carrier's inside
        "192.0.0.0/24",  # RFC 6890 section 2.2.2: not global, and a cloud's metadata are there
        "fec0::/10",  # RFC 3879: site-local addresses, where they are still in use
        "64:ff9b::/96",  # RFC 6052: IPv4 addresses, private ones too, through NAT64
        "64:ff9b:1::/48",  # RFC 8215
        "2002::/16",  # RFC 3056: 6to4, the same
        "2001::/32",  # RFC 4380: Teredo, the same
    )
)


def is_private(address: str) -> bool:
    """Say whether an address is of this machine, of a private network, or none to connect to.

    An IPv6 address that maps an IPv4 address is judged by that.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    return (
        not parsed.is_global
        or parsed.is_multicast
        or parsed.is_reserved
        or any(parsed in network for network in _INSIDE if network.version == parsed.version)
    )


def public_only(host: str, addresses: Addresses) -> Addresses:
    """Leave out addresses that may not be reached.

    It is the resolved addresses that are judged, and the connection goes to what is left and
    nowhere else: a name that resolves to something else a moment later gains nothing.

    :raises DestinationProhibited: when none is left.
    """
    allowed = tuple(address for address in addresses if not is_private(address))
    if not allowed:
        raise DestinationProhibited(
            f"{host} is a loopback, private or link-local destination, which is not allowed here"
        )
    return allowed


def check_unresolved(host: str) -> None:
    """Judge a destination whose name is not resolved here but at a parent.

    Addresses are judged, in every form that a resolver takes for one, and the names of this
    machine. What any other name means is the parent's to know and to judge.

    :raises DestinationProhibited: when it may not be reached.
    """
    name = host.rstrip(".")
    address = _literal(name)
    # RFC 6761 section 6.3: localhost and all below it mean loopback.
    if name == "localhost" or name.endswith(".localhost") or (address and is_private(address)):
        raise DestinationProhibited(
            f"{host} is a loopback, private or link-local destination, which is not allowed here"
        )


def _literal(host: str) -> str | None:
    """Give the address that a host is; ``127.1`` and ``0x7f000001`` are some too, to inet_aton."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None
