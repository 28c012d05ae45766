"""The client's connection in HTTP/1.1, as far as responses are written to it.

What one read of an upstream connection brings is gathered in ``_out`` and written at once: head
and content of a small response are one ``send`` (benchmark ``reverse-1k``).
"""

from __future__ import annotations

from time import monotonic

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ..http1.writer import chunk, status_line
from ..message.framing import CHUNKED, Framing, UntilClose
from ..message.request import Request
from ..message.response import Response
from ..net.buffering import unsent
from ..net.files import FileRegion, send_file
from ..net.proxy_protocol import ProxyHeader
from ..net.sweeper import NEVER
from .connection import ClientConnection, State
from .listener import Listener

# Below this, copying pieces together costs less than another send.
_JOIN_BELOW = 64 * 1024


@implementer(IPushProducer)
class Responding(ClientConnection):
    """Writes responses, and holds back who sends more than the client takes.

    ``engine.server.ServerProtocol`` adds the requests.
    """

    def __init__(
        self, listener: Listener, peer_address: str, told: ProxyHeader | None = None
    ) -> None:
        """See ``ClientConnection``."""
        super().__init__(listener, peer_address, told)
        self._request_complete = True
        self._persistent = True
        self._chunked = False
        self._full = False
        self._unsent = 0  # when it was last looked at whether the client takes what it is sent
        self._out: list[bytes] = []

    # --- what is known of requests ------------------------------------------------------------

    def _rest_is_here(self, request: Request) -> bool:
        """Say whether the request's content was read already, so that nothing is in doubt."""
        raise NotImplementedError

    def _all_taken(self) -> None:
        """The client has taken its last response, and what it wants next may be done."""
        raise NotImplementedError

    # --- engine.client.Client -----------------------------------------------------------------

    def send_interim(self, head: bytes) -> None:
        """See ``engine.client.Client``."""
        self._out.append(head)

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """See ``engine.client.Client``: choose the framing for this client and write the head."""
        relay = self._relay
        assert relay is not None
        request = relay.exchange.request
        self._chunked = False
        end = b"\r\n"
        if framing is CHUNKED or isinstance(framing, UntilClose):
            if request.version:
                self._chunked = True
                end = b"Transfer-Encoding: chunked\r\n\r\n"
            else:
                self._persistent = False
        if self._listener.draining or not (self._request_complete or self._rest_is_here(request)):
            self._persistent = False
        if not self._persistent:
            end = b"Connection: close\r\n" + end
        elif not request.version:
            end = b"Connection: keep-alive\r\n" + end
        self._out.append(status_line(response.status, response.reason) + fields + end)

    def send_content(self, data: bytes) -> None:
        """See ``engine.client.Client``."""
        self._out.append(chunk(data) if self._chunked else data)

    def send_file(self, region: FileRegion) -> None:
        """See ``engine.client.Client``."""
        out, self._out = self._out, []
        head = b"".join(out)
        sent = send_file(self.transport, head, region)
        if sent < 0:
            self._out = [head, region.read()]
        elif sent < region.size:
            self._out = [region.read(sent)]

    def flush(self) -> None:
        """See ``engine.client.Client``."""
        out = self._out
        if not out:
            return
        self._out = []
        if len(out) == 1:
            self.transport.write(out[0])
        elif sum(map(len, out)) < _JOIN_BELOW:
            self.transport.write(b"".join(out))
        else:
            self.transport.writeSequence(out)

    def abort_response(self) -> None:
        """See ``engine.client.Client``: end without the length or last chunk that was promised."""
        self.flush()
        relay = self._relay
        self._relay = None
        if relay is not None and not relay.exchange.request.version and not self._chunked:
            # An HTTP/1.0 client without a length takes an orderly end for the content's.
            self.abort()
            return
        self._close()

    # --- a client that is slow ----------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The transport's buffer is full: the client is slower than the server."""
        self._full = True
        self._unsent = unsent(self.transport)
        self.deadline = monotonic() + self._pipeline.times.body
        if self._relay is not None:
            self._relay.pause_upstream()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        self._full = False
        self.deadline = NEVER
        if self._relay is not None:
            self._relay.resume_upstream()
        elif self.state is State.IDLE or self.state is State.EXCHANGE:
            self.deadline = monotonic() + self._pipeline.times.idle
            self._all_taken()

    def stopProducing(self) -> None:
        """The connection is being lost; ``connectionLost`` does what there is to do."""

    def _takes_what_it_was_sent(self) -> bool:
        """Say whether the client has taken anything since this was last asked."""
        before, self._unsent = self._unsent, unsent(self.transport)
        return self._unsent < before

    # --- its end ------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close when what was written is sent; a slow client has as long for it as for content."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._unsent = unsent(self.transport)
        self.deadline = monotonic() + self._pipeline.times.body
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _client_gone(self) -> None:
        """See ``ClientConnection``."""
        self._out = []
        super()._client_gone()
