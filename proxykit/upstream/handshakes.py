"""What is said to a parent before a connection through it is the destination's: sans-io."""

from __future__ import annotations

from typing import Protocol

from ..errors import (
    BadResponse,
    DeniedByParent,
    NotReachedByParent,
    ParentCredentialsRefused,
    ProxykitError,
    RefusedBehindParent,
    SlowBehindParent,
    UnroutableBehindParent,
)
from ..http1.limits import HeadLimits
from ..http1.reader import ResponseReader
from ..message.response import Response
from ..net.socks.client import CredentialsRefused, RequestRefused
from ..net.socks.words import MalformedSocks, Reply


class Handshake(Protocol):
    """One handshake.

    :ivar rest: what came behind it, ``None`` while it is not complete.
    """

    rest: bytes | None

    def begin(self) -> bytes:
        """Give what is sent first."""

    def received(self, data: bytes) -> bytes:
        """Take what came, give what to send now."""


class ConnectHandshake:
    """CONNECT (RFC 9110 section 9.3.6).

    :ivar rest: see ``Handshake``.
    """

    def __init__(self, authority: str, fields: bytes = b"") -> None:
        """Describe what is asked for.

        :param authority: host and port of the destination.
        :param fields: more field lines, the credentials above all.
        """
        self._authority = authority.encode("ascii")
        self._fields = fields
        self._reader = ResponseReader(HeadLimits())
        self.rest: bytes | None = None

    def begin(self) -> bytes:
        """See ``Handshake``."""
        self._reader.expect(b"CONNECT")
        return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (
            self._authority,
            self._authority,
            self._fields,
        )

    def received(self, data: bytes) -> bytes:
        """See ``Handshake``.

        :raises ProxykitError: when the parent does not make the tunnel.
        """
        self._reader.feed(data)
        response = self._reader.next_event()
        while isinstance(response, Response) and response.status < 200:
            if response.status == 101:
                raise BadResponse("the parent switched protocols without being asked")
            response = self._reader.next_event()
        if isinstance(response, Response):
            if response.status >= 300:
                raise _refused(response.status)
            self.rest = self._reader.take_buffer()
        return b""


def _refused(status: int) -> ProxykitError:
    """Say what a parent's answer to CONNECT means."""
    if status == 407:
        return ParentCredentialsRefused("it asks for credentials, or for others (407)")
    if status == 504:
        return SlowBehindParent("it did not reach the destination in time (504)")
    if 400 <= status < 500:
        return DeniedByParent(f"it does not connect to the destination ({status})")
    return NotReachedByParent(f"it cannot connect to the destination ({status})")


_SOCKS_ERRORS: dict[Reply, type[NotReachedByParent]] = {
    Reply.NOT_ALLOWED: DeniedByParent,
    Reply.NETWORK_UNREACHABLE: UnroutableBehindParent,
    Reply.HOST_UNREACHABLE: UnroutableBehindParent,
    Reply.REFUSED: RefusedBehindParent,
    Reply.TTL_EXPIRED: SlowBehindParent,
}


def in_proxys_words(error: Exception, name: str) -> ProxykitError | None:
    """Say in the proxy's words why a handshake failed; ``None`` for what no handshake raises.

    :param name: of the parent.
    """
    if isinstance(error, ProxykitError):
        return type(error)(f"the parent {name}: {error}")
    if isinstance(error, RequestRefused):
        kind = _SOCKS_ERRORS.get(error.reply, NotReachedByParent)
        return kind(f"the parent {name} does not connect to the destination: {error}")
    if isinstance(error, CredentialsRefused):
        return ParentCredentialsRefused(f"the parent {name}: {error}")
    if isinstance(error, MalformedSocks):
        return BadResponse(f"the parent {name} does not speak SOCKS: {error}")
    return None
