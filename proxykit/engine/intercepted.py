"""The server side of connections that were meant for others and were led here by the network.

The client knows nothing of a proxy. It speaks HTTP as to an origin server, or TLS, which passes as
a tunnel whose exchange looks like a CONNECT to filters, observers and the router.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, ClassVar

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import WrongListener
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import NO_CONTENT, Framing
from ..message.request import Request
from ..message.response import Response
from ..message.target import Authority, parse_target
from ..net.client_hello import ClientHello, HelloReader, NotClientHello, begins_tls
from ..net.files import FileRegion
from ..net.original_destination import Destination, canonical, is_local
from ..net.proxy_protocol import ProxyHeader
from ..upstream.connection import UpstreamConnection
from .connection import State
from .listener import Listener
from .server import ServerProtocol

_log = Logger()

# RFC 8446 section 6: fatal alerts, which a client understands before it has any keys.
_ALERT = b"\x15\x03\x03\x00\x02\x02"
_ACCESS_DENIED = _ALERT + b"\x31"
_INTERNAL_ERROR = _ALERT + b"\x50"


class InterceptedProtocol(ServerProtocol):
    """A client's connection that was intercepted."""

    # The near ends of our own tunnels, in this process: what comes from one of them was led back
    # here by the network, and would go round for ever. (HTTP shows that by its Via.)
    _tunnels: ClassVar[set[Destination]] = set()

    def __init__(
        self,
        listener: Listener,
        peer_address: str,
        told: ProxyHeader | None = None,
        *,
        find_destination: Callable[[Any], Destination | None],
        own_port: int,
    ) -> None:
        """Make one that is not connected yet.

        :param find_destination: tells by the transport where it was meant to go.
        :param own_port: where the network leads connections.
        """
        super().__init__(listener, peer_address, told)
        self._find_destination = find_destination
        self._own_port = own_port
        self._begun = False  # it is known what the client speaks
        self._hello = bytearray()  # as it came, for whoever the tunnel leads to
        self._hello_reader = HelloReader()
        self._secured = False
        self._own_end: Destination | None = None

    def connectionMade(self) -> None:
        """A client connected, it thinks to somebody else."""
        destination = self._find_destination(self.transport)
        # Who was meant for this very port was not intercepted, and would be sent to it again.
        if destination is None or (destination[1] == self._own_port and is_local(destination[0])):
            self._listener.refuse(f"{self.peer_address} was not intercepted")
            self.state = State.CLOSED
            self.transport.abortConnection()
            return
        self.destination = destination
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Find out what the client speaks, then read that."""
        if self._begun or self.destination is None:
            super().dataReceived(data)
        elif self._hello or begins_tls(data):
            self._hello += data
            self._read_hello(data)
        else:
            self._begun = True
            super().dataReceived(data)

    def _read_hello(self, data: bytes) -> None:
        try:
            hello = self._hello_reader.feed(data)
        except NotClientHello:
            self._listener.refuse(f"{self.peer_address} speaks neither HTTP nor TLS")
            self.abort()
            return
        if hello is None:
            return
        if canonical(self.transport.getPeer()) in self._tunnels:
            self._listener.refuse("our own connections are led back here")
            self.abort()
            return
        self._begun = self._secured = True
        # What becomes a tunnel is taken out of the reader again.
        self._reader.feed(bytes(self._hello))
        self._hello.clear()
        self._begin(self._as_request(hello))

    def _as_request(self, hello: ClientHello) -> Request:
        """Give the request that a client of a proxy would have made."""
        assert self.destination is not None
        address, port = self.destination
        host = hello.server_name.rstrip(".") or address
        target = Authority(host, port).text().encode("ascii")
        parsed = parse_target(b"CONNECT", target)
        return Request(b"CONNECT", target, 1, EMPTY_SECTION, NO_CONTENT, parsed)

    def _begin(self, request: Request) -> None:
        """Send a request on its way.

        :raises WrongListener: for a CONNECT: who is intercepted does not know that there is a
            proxy to ask.
        """
        if request.method == b"CONNECT" and not self._secured:
            raise WrongListener("clients are intercepted here, CONNECT is not for them")
        super()._begin(request)

    # --- engine.client.Client: who speaks TLS is not answered in HTTP -------------------------

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """See ``engine.client.Client``."""
        if not self._secured:
            super().send_response(response, fields, framing)
            return
        denied = 400 <= response.status < 500
        self._out.append(_ACCESS_DENIED if denied else _INTERNAL_ERROR)

    def send_content(self, data: bytes) -> None:
        """See ``engine.client.Client``."""
        if not self._secured:
            super().send_content(data)

    def send_file(self, region: FileRegion) -> None:
        """See ``engine.client.Client``."""
        if not self._secured:
            super().send_file(region)

    def end_response(self, trailers: FieldSection) -> None:
        """See ``engine.client.Client``."""
        if not self._secured:
            super().end_response(trailers)
            return
        self.flush()
        self._relay = None
        self._close()

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """See ``engine.client.Client``."""
        if self._secured:
            self._own_end = canonical(upstream.transport.getHost())
            self._tunnels.add(self._own_end)
            head = b""
        super().start_tunnel(head, upstream, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._own_end is not None:
            self._tunnels.discard(self._own_end)
        super().connectionLost(reason)

    def deadline_passed(self) -> None:
        """Called by the sweeper."""
        if self._hello and self.state is State.IDLE:
            self.deadline = monotonic() + self._pipeline.times.linger
            self.abort()
        else:
            super().deadline_passed()
