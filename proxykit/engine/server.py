"""The server side of HTTP/1.1: reads a client's requests, one after the other.

A connection's life is one enum (``State``) and ``_advance``, which reads as far as the state
allows. Requests that are pipelined wait in the reader until the one before is answered.

``ServerProtocol`` is a ``Responding``, which writes the responses, and that is a
``ClientConnection``, which begins and ends as every client's does.
"""

from __future__ import annotations

from time import monotonic
from typing import cast

from twisted.internet.interfaces import ISSLTransport

from ..errors import BadRequest, ClientTooSlow, ProxykitError
from ..http1.reader import EndOfMessage, RequestReader
from ..http1.writer import last_chunk
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import Length, NoContent
from ..message.request import Request
from ..net.buffering import USUAL_BUFFER, limit_unsent, unsent
from ..net.original_destination import Destination
from ..net.proxy_protocol import ProxyHeader
from ..net.sweeper import NEVER
from ..upstream.connection import UpstreamConnection
from .answers import error_answer
from .connection import State
from .exchange import Exchange
from .forwarding import Direction
from .listener import Listener
from .relay import Relay
from .responding import Responding

# What a client may send ahead, behind the request that is being answered, before it is not read
# any more. It has to be some, or a client that goes away would not be noticed.
_MOST_PIPELINED = 64 * 1024

# Why a client is not read. Plain numbers, for those of an enum.IntFlag cost 1 µs an exchange.
_HELD_BY_UPSTREAM = 1
_HELD_BY_PIPELINING = 2
_HELD_BY_FILTER = 4


class ServerProtocol(Responding):
    """A client's connection.

    :ivar destination: where an intercepted client meant to connect to.
    """

    at_first = State.IDLE
    destination: Destination | None = None

    def __init__(
        self, listener: Listener, peer_address: str, told: ProxyHeader | None = None
    ) -> None:
        """See ``ClientConnection``."""
        super().__init__(listener, peer_address, told)
        self._reader = RequestReader(listener.head_limits)
        self._response_complete = True
        self._advancing = False
        self._hold = 0
        self._served = 0

    def __repr__(self) -> str:
        return f"<ServerProtocol {self.peer_address} {self.state.value} served {self._served}>"

    # --- reading ------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """A client connected."""
        transport, pipeline = self.transport, self._pipeline
        # What a forward proxy is asked for says its own scheme, however the client came.
        reverse = pipeline.rules.direction is Direction.REVERSE
        if reverse and ISSLTransport.providedBy(transport):
            self._scheme = "https"
            self.identity = (pipeline.rules, self.peer_address, self._scheme)
        transport.registerProducer(self, True)
        if pipeline.response_buffer != USUAL_BUFFER:
            limit_unsent(transport, pipeline.response_buffer)
        if pipeline.chain.connection:
            self._hold_back(_HELD_BY_FILTER)
        super().connectionMade()

    def _welcome(self) -> None:
        """See ``ClientConnection``."""
        super()._welcome()
        self._let_go(_HELD_BY_FILTER)

    def dataReceived(self, data: bytes) -> None:
        """Read what the client sent."""
        state = self.state
        if state is State.LINGERING or state is State.CLOSED:
            return
        self._reader.feed(data)
        if not self._advancing:
            self._advance()

    def _advance(self) -> None:
        """Read as far as the state allows."""
        self._advancing = True
        try:
            while self.state is not State.LINGERING and self.state is not State.CLOSED:
                relay = self._relay
                if relay is None and not self._full:
                    event = self._reader.next_event()
                    if event is None:
                        self._wait_for_head()
                        break
                    self._begin(cast(Request, event))
                elif relay is None or self._request_complete:
                    # While the client has yet to take its last response, the next is not begun:
                    # who pipelines and does not read would have them all heaped up here.
                    if len(self._reader.buffered) > _MOST_PIPELINED:
                        self._hold_back(_HELD_BY_PIPELINING)
                    break
                elif not self._read_content(relay):
                    break
        except BadRequest as error:
            self._refuse(error)
        finally:
            self._advancing = False
        if self._out:
            self.flush()

    def _wait_for_head(self) -> None:
        """Set the clock for the head that comes next."""
        times = self._pipeline.times
        if self._reader.buffered:
            if self.state is not State.HEAD:
                self.state = State.HEAD
                self.deadline = monotonic() + times.head
        elif self.state is State.EXCHANGE:
            self.state = State.IDLE
            if self._listener.draining:
                self._close()
            else:
                self.deadline = monotonic() + times.idle

    def _begin(self, request: Request) -> None:
        """Send a request on its way."""
        now = monotonic()
        pipeline = self._listener.pipeline
        if pipeline is not self._pipeline:
            # A reload: the next exchange is under the new policy.
            self._pipeline = pipeline
            self.identity = (pipeline.rules, self.peer_address, self._scheme)
        self._served += 1
        section = request.section
        options = section.options
        if request.version:
            persistent = b"close" not in options
        else:
            persistent = b"keep-alive" in options and isinstance(request.framing, NoContent)
        self._persistent = persistent and self._served < pipeline.requests_per_connection
        peer = client = self.peer_address
        scheme = self._scheme
        rules = pipeline.rules
        if rules.trusted and rules.is_trusted(peer):
            client = rules.client_address(peer, section)
            if section.values.get(b"x-forwarded-proto", b"").lower() == b"https":
                scheme = "https"
        exchange = Exchange(pipeline, request, client, peer, scheme, now)
        if self.destination is not None:
            exchange.destination = self.destination
            exchange.addresses = (self.destination[0],)
        self.state = State.EXCHANGE
        self._request_complete = isinstance(request.framing, NoContent)
        self._response_complete = False
        self.deadline = NEVER if self._request_complete else now + pipeline.times.body
        relay = self._relay = Relay(pipeline, exchange, self)
        relay.start()

    def _read_content(self, relay: Relay) -> bool:
        """Read one event of a request's content; give whether there was one."""
        if self._hold & _HELD_BY_UPSTREAM:
            return False
        event = self._reader.next_event()
        if event is None:
            return False
        if isinstance(event, bytes):
            if self.deadline is not NEVER:
                self.deadline = monotonic() + self._pipeline.times.body
            relay.request_content(event)
        else:
            self._request_complete = True
            if not self._full:
                self.deadline = NEVER
            relay.request_ended(cast(EndOfMessage, event).trailers)
            if self._response_complete:
                self._next()
        return True

    def _refuse(self, error: ProxykitError) -> None:
        """Answer what cannot be read, and close."""
        self._persistent = False
        relay = self._relay
        if relay is not None:
            # The head was fine, its content is not.
            relay.fail(error)
            return
        pipeline = self._listener.pipeline
        request = Request(b"-", b"/", 1, EMPTY_SECTION, NoContent())
        exchange = Exchange(
            pipeline, request, self.peer_address, self.peer_address, self._scheme, monotonic()
        )
        exchange.error_type = error.error_type
        exchange.detail = str(error)
        self._response_complete = False
        self._request_complete = False  # for what follows cannot be read
        self.state = State.EXCHANGE
        self._relay = Relay(pipeline, exchange, self)
        name = pipeline.rules.pseudonym.decode("ascii")
        self._relay.refuse(error_answer(error, exchange, name))

    def _rest_is_here(self, request: Request) -> bool:
        """See ``Responding``."""
        framing = request.framing
        return isinstance(framing, Length) and len(self._reader.buffered) >= framing.size

    # --- engine.client.Client -----------------------------------------------------------------

    def end_response(self, trailers: FieldSection) -> None:
        """See ``engine.client.Client``."""
        if self._chunked:
            self._out.append(last_chunk(trailers))
        self.flush()
        self._response_complete = True
        if self._request_complete:
            self._next()
        elif not self._persistent:
            self._linger()

    def hold_request(self, hold: bool) -> None:
        """See ``engine.client.Client``; who is not read cannot be too slow."""
        if hold:
            if not self._full:
                self.deadline = NEVER
            self._hold_back(_HELD_BY_UPSTREAM)
        else:
            if self.state is State.EXCHANGE and not (self._request_complete or self._full):
                self.deadline = monotonic() + self._pipeline.times.body
            self._let_go(_HELD_BY_UPSTREAM)

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """See ``engine.client.Client``."""
        relay = self._relay
        assert relay is not None
        relay.exchange.status = relay.exchange.status or 200
        self._out.append(head)
        self.flush()
        self.transport.unregisterProducer()
        limit_unsent(self.transport, USUAL_BUFFER)
        if self._hold:
            # For what it sent ahead; from now on it is the tunnel that holds it back.
            self._hold = 0
            self.transport.resumeProducing()
        self._become_tunnel(upstream, upstream.detach(), data, self._reader.take_buffer())

    # --- between exchanges, and the end -------------------------------------------------------

    def _next(self) -> None:
        """Go on with the next request, or close."""
        self._relay = None
        if not self._persistent:
            self._linger()
            return
        if self._hold:
            self._let_go(_HELD_BY_PIPELINING | _HELD_BY_UPSTREAM)
        if self._advancing:
            return
        if self._reader.buffered:
            self._advance()
        else:
            self._wait_for_head()

    def _linger(self) -> None:
        """Close so that the client gets to read the last response.

        A socket that is closed with unread bytes resets the connection, and the reset may overtake
        the response. So only the way to the client is closed, and what still comes is read over.
        """
        self._relay = None
        if self._request_complete or ISSLTransport.providedBy(self.transport):
            self._close()
            return
        self.state = State.LINGERING
        self._reader.take_buffer()
        self._unsent = unsent(self.transport)
        self.deadline = monotonic() + self._pipeline.times.linger
        self._let_go(_HELD_BY_PIPELINING | _HELD_BY_UPSTREAM)
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def deadline_passed(self) -> None:
        """Called by the sweeper: the client is too slow, or idle for too long."""
        state = self.state
        if state is State.HEAD:
            self._refuse(ClientTooSlow("the head did not come in time"))
        elif state is State.EXCHANGE and not self._full and self._relay is not None:
            self._persistent = False
            self.deadline = NEVER
            self._relay.fail(ClientTooSlow("the content did not come in time"))
        elif (self._full or state is not State.IDLE) and self._takes_what_it_was_sent():
            self.deadline = monotonic() + self._pipeline.times.body
        elif state is State.IDLE:
            self._close()
        else:
            # It takes nothing of what it was sent, or does not close.
            relay = self._relay
            if relay is not None:
                relay.exchange.detail = "the client stopped reading"
            self.abort()

    # --- holding the client back --------------------------------------------------------------

    def _all_taken(self) -> None:
        """See ``Responding``."""
        if self._reader.buffered and not self._advancing:
            self._let_go(_HELD_BY_PIPELINING)
            self._advance()

    def _hold_back(self, why: int) -> None:
        if not self._hold:
            self.transport.pauseProducing()
        self._hold |= why

    def _let_go(self, why: int) -> None:
        if not self._hold:
            return
        self._hold &= ~why
        if not self._hold:
            self.transport.resumeProducing()
            if self.state is State.EXCHANGE and not self._request_complete:
                # Content that was read before the hold may lie in the reader still.
                self._resume_content()

    def _resume_content(self) -> None:
        if not self._advancing and self._relay is not None:
            self._advance()
