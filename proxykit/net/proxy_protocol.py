"""The PROXY protocol, versions 1 and 2: how one proxy tells the next for whom it connects.

Sans-io. The specification is HAProxy's "The PROXY protocol", sections 2.1 (version 1, a line of
text) and 2.2 (version 2, binary). A header is what a connection begins with; what follows is the
connection's own.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Any, Literal

from attrs import frozen

Version = Literal["v1", "v2"]
Endpoint = tuple[str, int]
"""An IP address and a port; the port is 0 when nobody knows it."""

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_MOST = 107  # section 2.1: "107 chars" with its CRLF, the longest that there can be
# A version 2 header may be 64 KiB long, for what extensions may need. Precedent: nginx takes 4 KiB.
_V2_MOST = 4096
_V1_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})\Z"
)
_V2_HEAD = struct.Struct("!12sBBH")
_INET, _INET6 = 1, 2
_STREAM = 1


class MalformedHeader(Exception):
    """What a connection begins with is no PROXY protocol header; the message says why."""


@frozen(slots=True)
class ProxyHeader:
    """For whom a connection was made.

    :ivar source: the client; ``None`` when the proxy connects for itself (LOCAL) or cannot tell
        (UNKNOWN): then the connection's own addresses stand.
    :ivar destination: where the client connected to.
    """

    source: Endpoint | None = None
    destination: Endpoint | None = None


NOBODY = ProxyHeader()
"""The header of a connection that is made for no client, a health check's for instance."""


def header_of(peer: Any, host: Any) -> ProxyHeader:
    """Make a header of a transport's two ``IAddress``; a UNIX socket's tells nothing."""
    if getattr(peer, "host", None) is None or getattr(host, "host", None) is None:
        return NOBODY
    return ProxyHeader((peer.host, peer.port), (host.host, host.port))


# --- reading ----------------------------------------------------------------------------------


class HeaderReader:
    """Reads the header that a connection begins with."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Take what came.

        :returns: the header once it is complete, else ``None``. Then ``rest`` gives what follows.
        :raises MalformedHeader: when it is none.
        """
        self._buffer += data
        buffer = self._buffer
        if buffer[:12] == _SIGNATURE[: len(buffer)]:
            return self._read_v2()
        if buffer[:6] == b"PROXY "[: len(buffer)]:
            return self._read_v1()
        raise MalformedHeader("the connection does not begin with a PROXY protocol header")

    def rest(self) -> bytes:
        """Give what came behind the header, once it was read."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return rest

    def _read_v1(self) -> ProxyHeader | None:
        end = self._buffer.find(b"\r\n", 0, _V1_MOST)
        if end < 0:
            if len(self._buffer) >= _V1_MOST:
                raise MalformedHeader("the PROXY line does not end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
            return NOBODY
        match = _V1_LINE.match(line)
        if match is None:
            raise MalformedHeader("the PROXY line is malformed")
        version = 4 if match[1] == b"TCP4" else 6
        return ProxyHeader(
            (_text_address(match[2], version), _port(match[4])),
            (_text_address(match[3], version), _port(match[5])),
        )

    def _read_v2(self) -> ProxyHeader | None:
        if len(self._buffer) < _V2_HEAD.size:
            return None
        _, version_command, family, length = _V2_HEAD.unpack_from(self._buffer)
        if version_command >> 4 != 2 or version_command & 0xF > 1:
            raise MalformedHeader("the PROXY header's version or command is unknown")
        if length > _V2_MOST:
            raise MalformedHeader(f"the PROXY header is larger than {_V2_MOST} bytes")
        end = _V2_HEAD.size + length
        if len(self._buffer) < end:
            return None
        block = bytes(self._buffer[_V2_HEAD.size : end])
        del self._buffer[:end]
        if version_command & 0xF == 0:
            return NOBODY  # LOCAL: "the receiver must accept this connection as valid"
        return _v2_addresses(family, block)


def _v2_addresses(family: int, block: bytes) -> ProxyHeader:
    """Read the addresses of a block; the TLVs behind them are skipped (section 2.2)."""
    size = {_INET: 4, _INET6: 16}.get(family >> 4)
    if size is None or family & 0xF != _STREAM:
        return NOBODY  # UNSPEC and UNIX: "the receiver should ignore the address information"
    if len(block) < 2 * size + 4:
        raise MalformedHeader("the PROXY header is too short for its addresses")
    source_port, destination_port = struct.unpack_from("!HH", block, 2 * size)
    return ProxyHeader(
        (_packed_address(block[:size]), source_port),
        (_packed_address(block[size : 2 * size]), destination_port),
    )


def _packed_address(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    return str(getattr(address, "ipv4_mapped", None) or address)


def _text_address(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError as error:
        raise MalformedHeader("the PROXY line has an address that is none") from error
    if address.version != version:
        raise MalformedHeader("the PROXY line's address is not of its family")
    return str(getattr(address, "ipv4_mapped", None) or address)


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 65535 or (len(digits) > 1 and digits.startswith(b"0")):
        raise MalformedHeader("the PROXY line has a port that is none")
    return port


# --- writing ----------------------------------------------------------------------------------


def encode(header: ProxyHeader, version: Version) -> bytes:
    """Write a header.

    A source and a destination of two families are both written as IPv6, the IPv4 one mapped.
    """
    if header.source is None or header.destination is None:
        return b"PROXY UNKNOWN\r\n" if version == "v1" else _V2_HEAD.pack(_SIGNATURE, 0x20, 0, 0)
    source, destination = (
        ipaddress.ip_address(host.partition("%")[0])
        for host in (header.source[0], header.destination[0])
    )
    if source.version != destination.version:
        source, destination = _as_ipv6(source), _as_ipv6(destination)
    ports = header.source[1], header.destination[1]
    if version == "v1":
        text = f"PROXY TCP{source.version} {source} {destination} {ports[0]} {ports[1]}\r\n"
        return text.encode("ascii")
    block = source.packed + destination.packed + struct.pack("!HH", *ports)
    family = _INET if source.version == 4 else _INET6
    return _V2_HEAD.pack(_SIGNATURE, 0x21, family << 4 | _STREAM, len(block)) + block


def _as_ipv6(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
