"""The request target (RFC 9112 section 3.2): four forms, parsed once."""

from __future__ import annotations

import enum
import ipaddress
import re
from functools import lru_cache

from attrs import field, frozen

from ..errors import BadRequest

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}

# RFC 3986 section 3.2.2, without the percent-encodings: nobody resolves such a name, and decoding
# one is how two programs come to see two hosts. Underscores are no host's but many a service's.
_HOST = rb"(?:\[(?P<literal>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._~-]{1,253}))"
_AUTHORITY = re.compile(_HOST + rb"(?::(?P<port>[0-9]{0,5}))?\Z")
_ABSOLUTE = re.compile(
    rb"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30}+)://(?P<authority>[^/?]++)(?P<rest>[/?].*+)?\Z"
)


class Form(enum.Enum):
    """The form of a request target."""

    ORIGIN = "origin-form"
    ABSOLUTE = "absolute-form"
    AUTHORITY = "authority-form"
    ASTERISK = "asterisk-form"


@frozen(slots=True)
class Authority:
    """A host and a port (RFC 9110 section 4.2).

    :ivar host: in lower case, an IPv6 address without its brackets and in its canonical text.
    :ivar port: a number, or ``None`` when none was written.
    """

    host: str
    port: int | None

    def text(self, default_port: int | None = None) -> str:
        """Write it as a Host field does.

        :param default_port: is left out.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port is None or self.port == default_port:
            return host
        return f"{host}:{self.port}"


# Few names are asked for again and again; each request names one twice.
@lru_cache(maxsize=1024)
def parse_authority(value: bytes) -> Authority:
    """Parse ``host[:port]`` as it stands in a Host field or in a target.

    :raises BadRequest: when it is anything else; user information above all, which RFC 9110
        section 4.2.4 tells to treat as an error.
    """
    match = _AUTHORITY.match(value)
    if match is None:
        raise BadRequest("the authority is not a host and a port")
    literal, name, digits = match["literal"], match["name"], match["port"]
    if literal is not None:
        try:
            host = str(ipaddress.IPv6Address(literal.decode("ascii")))
        except ValueError as error:
            raise BadRequest("the authority is not an IPv6 address") from error
    else:
        host = name.decode("ascii").lower()
    if not digits:
        return Authority(host, None)
    port = int(digits)
    if not 0 < port < 65536:
        raise BadRequest("the authority's port is not a port")
    return Authority(host, port)


@frozen(slots=True)
class Target:
    """A request target, parsed.

    :ivar raw: as it was received, but for user information: it is not for logs.
    :ivar form: which of the four forms it has.
    :ivar scheme: of the absolute form, in lower case, or ``""``.
    :ivar authority: of the absolute and the authority form, else ``None``.
    :ivar userinfo: of an ``ftp`` target, which alone may have it, percent-encodings and all.
    :ivar origin: what an origin server is asked for: path and query, ``*`` for the asterisk form.
    """

    raw: bytes
    form: Form
    origin: bytes
    scheme: str = ""
    authority: Authority | None = field(default=None)
    userinfo: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The path as it was received, percent-encodings and all, without the query."""
        return self.origin.partition(b"?")[0].decode("ascii")

    @property
    def query(self) -> str:
        """The query as it was received, without its question mark."""
        return self.origin.partition(b"?")[2].decode("ascii")


# What is longer is not remembered, so that the memory for it stays small.
_REMEMBERED_BYTES = 256


def parse_target(method: bytes, raw: bytes) -> Target:
    """Parse a request target by its method (RFC 9112 section 3.2).

    :param raw: visible ASCII, which the grammar of the request line sees to.
    :raises BadRequest: when the target has no form that its method allows.
    """
    if len(raw) > _REMEMBERED_BYTES or b"@" in raw:  # nor are passwords
        return _parse_target(method, raw)
    return _known_target(method, raw)


def _parse_target(method: bytes, raw: bytes) -> Target:
    if method == b"CONNECT":
        authority = parse_authority(raw)
        if authority.port is None:
            # RFC 9110 section 9.3.6: "There is no default port".
            raise BadRequest("CONNECT needs a host and a port")
        return Target(raw, Form.AUTHORITY, raw, "", authority)
    if raw[0] == 0x2F:
        return Target(raw, Form.ORIGIN, raw)
    if raw == b"*":
        if method != b"OPTIONS":
            raise BadRequest("only OPTIONS may ask for *")
        return Target(raw, Form.ASTERISK, raw)
    match = _ABSOLUTE.match(raw)
    if match is None:
        raise BadRequest("the request target has none of the four forms")
    rest = match["rest"] or b""
    if method == b"OPTIONS" and not rest:
        origin = b"*"  # RFC 9112 section 3.2.4: OPTIONS for a whole server
    else:
        origin = rest if rest.startswith(b"/") else b"/" + rest
    scheme = match["scheme"].decode("ascii").lower()
    host, userinfo = match["authority"], b""
    if scheme == "ftp":
        # RFC 1738 section 3.2.1: who logs in may stand there. RFC 9110 section 4.2.4 forbids it
        # for http and https, whose URLs would be taken for another host's.
        userinfo, _, host = host.rpartition(b"@")
        raw = raw.replace(userinfo + b"@", b"", 1) if userinfo else raw
    return Target(raw, Form.ABSOLUTE, origin, scheme, parse_authority(host), userinfo)


# Clients ask for the same again and again (benchmark forward-1k: 2 µs less).
_known_target = lru_cache(maxsize=1024)(_parse_target)
