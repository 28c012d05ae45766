"""What the relay needs of the client's side of an exchange, whatever protocol that speaks."""

from __future__ import annotations

from typing import Protocol

from ..message.fields import FieldSection
from ..message.framing import Framing
from ..message.response import Response
from ..net.files import FileRegion
from ..net.proxy_protocol import NOBODY, ProxyHeader
from ..upstream.connection import UpstreamConnection


class Client(Protocol):
    """The client's side of an exchange.

    :ivar identity: equal for requests whose fields may be rendered alike; see
        ``engine.forwarding``.
    """

    identity: object

    def proxied_for(self) -> ProxyHeader:
        """Give the client's and this side's address, as the PROXY protocol tells a server."""

    def send_interim(self, head: bytes) -> None:
        """Send an interim response (1xx)."""

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """Send the final response's head."""

    def send_content(self, data: bytes) -> None:
        """Send content of the response."""

    def send_file(self, region: FileRegion) -> None:
        """Send all content of the response, which lies in a file."""

    def end_response(self, trailers: FieldSection) -> None:
        """The response is complete."""

    def flush(self) -> None:
        """Give the transport what was sent."""

    def abort_response(self) -> None:
        """The response cannot be completed: make sure that the client can tell."""

    def hold_request(self, hold: bool) -> None:
        """Read no more of the request's content for now, or read again."""

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """Send ``head`` and join this connection to the other one."""


class UnseenClient:
    """The client's side of an exchange of the proxy's own: what it gets is thrown away.

    Who makes one says what is to be done when the response is complete, and when it breaks off.
    """

    identity: object = None

    def proxied_for(self) -> ProxyHeader:
        """See ``Client``: no server is told of a client, for there is none."""
        return NOBODY

    def send_interim(self, head: bytes) -> None:
        """See ``Client``."""

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """See ``Client``."""

    def send_content(self, data: bytes) -> None:
        """See ``Client``."""

    def send_file(self, region: FileRegion) -> None:
        """See ``Client``."""

    def end_response(self, trailers: FieldSection) -> None:
        """See ``Client``."""
        raise NotImplementedError

    def flush(self) -> None:
        """See ``Client``."""

    def abort_response(self) -> None:
        """See ``Client``."""
        raise NotImplementedError

    def hold_request(self, hold: bool) -> None:
        """See ``Client``; there is no content, unless a subclass has some."""

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """See ``Client``: nobody asked for a tunnel, so what was offered is closed."""
        upstream.abandon()
