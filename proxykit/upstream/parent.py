"""A parent proxy: its address with its credentials, and the ways that lead through it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from attrs import evolve, field, frozen

from ..errors import BadRequest
from ..message.target import Authority, parse_authority
from ..net.socks.client import ClientHandshake
from .connector import Connector, TcpConnector
from .handshakes import ConnectHandshake, Handshake
from .parent_connector import ParentConnector

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks4": 1080}
# curl's names for SOCKS with the names resolved at the proxy, which is what is always done here.
_ALIASES = {"socks5h": "socks5", "socks4a": "socks4"}
_EXPECTED = (
    'expected a parent such as "http://parent:3128", "https://parent:3129", '
    '"socks5://user:password@parent:1080" or "socks4://parent:1080"'
)
# RFC 1929 section 2 has one byte for a length; nobody's HTTP credentials are longer either.
_MOST_CREDENTIAL = 255


@frozen(slots=True)
class ParentAddress:
    """Where a parent is and who asks it.

    :ivar scheme: ``http``, ``https``, ``socks4`` or ``socks5``.
    :ivar user: ``b""`` for none.
    """

    scheme: str
    host: str
    port: int
    user: bytes = field(default=b"", repr=False)
    password: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """What logs call it: its URL without credentials."""
        return f"{self.scheme}://{Authority(self.host, self.port).text()}"

    def __str__(self) -> str:
        return self.name

    @property
    def takes_requests(self) -> bool:
        """Whether it is an HTTP proxy, which is sent requests in absolute-form."""
        return self.scheme in ("http", "https")

    def with_password(self, password: bytes) -> ParentAddress:
        """Give the same parent, asked with another password.

        :raises ValueError: for one that cannot be sent.
        """
        _check_credential(password, "password")
        return evolve(self, password=password)

    @property
    def fields(self) -> bytes:
        """The field lines that an HTTP parent is sent with each request."""
        if not self.user:
            return b""
        token = b64encode(self.user + b":" + self.password)
        return b"Proxy-Authorization: Basic " + token + b"\r\n"


def parse_parent(value: object) -> ParentAddress:
    """Parse a parent's URL.

    No message repeats the URL, for it may hold a password.

    :raises ValueError: when it is none.
    """
    if isinstance(value, ParentAddress):
        return value
    if not isinstance(value, str):
        raise ValueError(_EXPECTED)
    try:
        parts = urlsplit(value)
        scheme = _ALIASES.get(parts.scheme, parts.scheme)
        port = parts.port if parts.port is not None else _PORTS.get(scheme, 0)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        authority = parse_authority(f"{host}:{port}".encode("ascii"))
    except (ValueError, BadRequest):
        raise ValueError(_EXPECTED) from None
    if scheme not in _PORTS or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(_EXPECTED)
    user = unquote_to_bytes(parts.username or "")
    password = unquote_to_bytes(parts.password or "")
    _check_credential(user, "user")
    _check_credential(password, "password")
    if parts.password is not None and not user:
        raise ValueError("a password needs a user")
    if scheme in ("http", "https") and b":" in user:
        raise ValueError("an HTTP parent's user cannot hold a colon")
    if scheme == "socks4" and password:
        raise ValueError("SOCKS4 has no password")
    return ParentAddress(scheme, authority.host, port, user, password)


def _check_credential(value: bytes, what: str) -> None:
    if len(value) > _MOST_CREDENTIAL:
        raise ValueError(f"the {what} is longer than {_MOST_CREDENTIAL} bytes")
    if any(byte < 0x20 or byte == 0x7F for byte in value):
        raise ValueError(f"the {what} holds a control character")


class ParentWays:
    """The ways through one parent.

    :ivar address: the parent's.
    """

    def __init__(
        self, address: ParentAddress, reactor: Any, connector: TcpConnector, seconds: float
    ) -> None:
        """Describe them.

        :param connector: connects to the parent itself, with TLS where it speaks that.
        :param seconds: for the whole of a handshake.
        """
        self.address = address
        self._reactor = reactor
        self._connector = connector
        self._seconds = seconds

    def to_parent(self) -> Connector:
        """Give the way to an HTTP parent that is sent requests in absolute-form."""
        if self.address.scheme == "http":
            return self._connector
        # With TLS, a connection is good when the certificate was verified and not before.
        return self._through(None)

    def to(self, host: str, port: int, fields: bytes = b"") -> Connector:
        """Give the way through the parent to a destination.

        :param host: a name, which the parent resolves, or an address.
        :param fields: more field lines that an HTTP parent is sent.
        """
        address = self.address
        if address.takes_requests:
            return self._through(
                partial(ConnectHandshake, Authority(host, port).text(), address.fields + fields)
            )
        version = 5 if address.scheme == "socks5" else 4
        return self._through(
            partial(ClientHandshake, version, host, port, address.user, address.password)
        )

    def _through(self, begin: Callable[[], Handshake] | None) -> Connector:
        return ParentConnector(
            self._connector, begin, self.address.name, self._reactor, self._seconds
        )
