"""Hosts, ports and datagrams as SOCKS writes them."""

from __future__ import annotations

import ipaddress
import re

from attrs import frozen

from .words import MalformedSocks

# RFC 1928 section 5 knows names of up to 255 bytes; the characters are those of a request target's
# host (message.target), so that no name means one thing here and another there.
_NAME = re.compile(rb"[A-Za-z0-9._~-]{1,253}\Z")

IPV4, DOMAIN, IPV6 = 1, 3, 4
"""The types of addresses."""


def host_of(name: bytes) -> str:
    """Give a name in lower case; one that is an address is that address.

    :raises MalformedSocks: when it is neither.
    """
    try:
        # A zone (RFC 4007 section 11) may hold anything: line ends, which a parent would be sent.
        if b"%" in name:
            raise ValueError
        return str(ipaddress.ip_address(name.decode("ascii").strip("[]")))
    except ValueError:
        if not _NAME.match(name):
            raise MalformedSocks("the destination is neither a name nor an address") from None
        return name.decode("ascii").lower()


def decode_address(data: bytes, start: int) -> tuple[str, int, int] | None:
    """Read ``ATYP ADDR PORT`` (RFC 1928 section 5).

    :returns: host, port, and where it ends; ``None`` when more has to come.
    :raises MalformedSocks: when it is none.
    """
    if len(data) <= start:
        return None
    kind = data[start]
    start += 1
    if kind == DOMAIN:
        if len(data) <= start:
            return None
        size = data[start]
        start += 1
    elif kind in (IPV4, IPV6):
        size = 4 if kind == IPV4 else 16
    else:
        raise MalformedSocks(f"{kind} is not a type of address")
    end = start + size + 2
    if len(data) < end:
        return None
    raw = bytes(data[start : start + size])
    host = host_of(raw) if kind == DOMAIN else str(ipaddress.ip_address(raw))
    return host, int.from_bytes(data[end - 2 : end], "big"), end


def encode_address(host: str, port: int) -> bytes:
    """Write ``ATYP ADDR PORT`` (RFC 1928 section 5).

    :param host: an IP address or a name of at most 255 bytes.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii")
        return bytes((DOMAIN, len(name))) + name + port.to_bytes(2, "big")
    kind = IPV4 if address.version == 4 else IPV6
    return bytes((kind,)) + address.packed + port.to_bytes(2, "big")


@frozen(slots=True)
class Datagram:
    """A datagram between a client and its relay (RFC 1928 section 7).

    :ivar host: where it goes to, or where it came from.
    """

    host: str
    port: int
    data: bytes


def decode_datagram(data: bytes) -> Datagram | None:
    """Read a datagram.

    :returns: ``None`` for a fragment: "an implementation that does not support fragmentation MUST
        drop any datagram whose FRAG field is other than X'00'".
    :raises MalformedSocks: when it is none.
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise MalformedSocks("the datagram has no header")
    if data[2]:
        return None
    found = decode_address(data, 3)
    if found is None:
        raise MalformedSocks("the datagram's header is cut short")
    host, port, end = found
    return Datagram(host, port, data[end:])


def encode_datagram(datagram: Datagram) -> bytes:
    """Write a datagram."""
    return b"\0\0\0" + encode_address(datagram.host, datagram.port) + datagram.data
