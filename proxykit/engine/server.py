"""The server side of HTTP/1.1: reads a client's requests, writes the responses.

A connection's life is one enum (``State``) and ``_advance``, which reads as far as the state
allows. Requests that are pipelined wait in the reader until the one before is answered.

What one read of an upstream connection brings is gathered in ``_out`` and written at once: head
and content of a small response are one ``send`` (benchmark ``reverse-1k``).
"""

from __future__ import annotations

import enum
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import BadRequest, ClientTooSlow, ProxykitError
from ..http1.reader import EndOfMessage, RequestReader
from ..http1.writer import chunk, last_chunk, status_line
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import CHUNKED, Framing, Length, NoContent, UntilClose
from ..message.request import Request
from ..message.response import Response
from ..net.buffering import USUAL_BUFFER, limit_unsent, unsent
from ..net.files import FileRegion, send_file
from ..net.original_destination import Destination
from ..net.proxy_protocol import ProxyHeader, header_of
from ..net.sweeper import NEVER
from ..net.tunnel import Tunnel
from ..upstream.connection import UpstreamConnection
from .admission import ask_connection_filters
from .answers import error_answer
from .exchange import Exchange
from .forwarding import Direction
from .relay import Relay

if TYPE_CHECKING:
    from .listener import Listener

# What a client may send ahead, behind the request that is being answered, before it is not read
# any more. It has to be some, or a client that goes away would not be noticed.
_MOST_PIPELINED = 64 * 1024
# Below this, copying pieces together costs less than another send.
_JOIN_BELOW = 64 * 1024


class State(enum.Enum):
    """Where a client's connection is in its life."""

    ASKED = "asked"  # a connection filter has been asked and has not answered
    IDLE = "idle"  # nothing of a request was read
    HEAD = "head"  # a head is being read
    EXCHANGE = "exchange"
    TUNNEL = "tunnel"
    LINGERING = "lingering"  # the last response was sent; what still comes is read over
    CLOSED = "closed"


# Why a client is not read. Plain numbers, for those of an enum.IntFlag cost 1 µs an exchange.
_HELD_BY_UPSTREAM = 1
_HELD_BY_PIPELINING = 2
_HELD_BY_FILTER = 4


@implementer(IPushProducer, IHalfCloseableProtocol)
class ServerProtocol(Protocol):
    """A client's connection.

    :ivar state: where it is in its life.
    :ivar peer_address: the peer's IP address, ``""`` for a UNIX socket.
    :ivar identity: all that the rendering of a request's fields depends on besides the fields:
        the rules, the client, the scheme. Connections of one client share what was rendered.
    :ivar destination: where an intercepted client meant to connect to.
    :ivar deadline: see ``net.sweeper``.
    """

    transport: Any
    destination: Destination | None = None

    def __init__(
        self, listener: Listener, peer_address: str, told: ProxyHeader | None = None
    ) -> None:
        """Make one that is not connected yet.

        :param told: what a trusted proxy told of the client in front of the connection.
        """
        self._listener = listener
        self._reader = RequestReader(listener.head_limits)
        self._relay: Relay | None = None
        self._tunnel: Tunnel | None = None
        self._pipeline = listener.pipeline
        self._request_complete = True
        self._response_complete = True
        self._persistent = True
        self._chunked = False
        self._advancing = False
        self._full = False
        self._unsent = 0  # when it was last looked at whether the client takes what it is sent
        self._hold = 0
        self._told = told
        self._scheme = "http"
        self._served = 0
        self._out: list[bytes] = []
        self.identity: object = (self._pipeline.rules, peer_address, self._scheme)
        self.state = State.IDLE
        self.peer_address = peer_address
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<ServerProtocol {self.peer_address} {self.state.value} served {self._served}>"

    @property
    def is_busy(self) -> bool:
        """See ``listener.Connection``."""
        return self._relay is not None

    # --- reading ------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """A client connected."""
        transport = self.transport
        # What a forward proxy is asked for says its own scheme, however the client came.
        reverse = self._pipeline.rules.direction is Direction.REVERSE
        if reverse and ISSLTransport.providedBy(transport):
            self._scheme = "https"
            self.identity = (self._pipeline.rules, self.peer_address, self._scheme)
        self._listener.opened(self)
        transport.registerProducer(self, True)
        if self._pipeline.response_buffer != USUAL_BUFFER:
            limit_unsent(transport, self._pipeline.response_buffer)
        if self._pipeline.chain.connection:
            self.state = State.ASKED
            self._hold_back(_HELD_BY_FILTER)
            ask_connection_filters(
                self._pipeline.chain.connection, self.peer_address, self._admitted
            )
        else:
            # A client that connects and says nothing has as long as for a head.
            self.deadline = monotonic() + self._pipeline.times.head

    def _admitted(self, accepted: bool) -> None:
        """Go on with what the connection filters say."""
        if not accepted:
            self.abort()
        elif self.state is State.ASKED:
            self.state = State.IDLE
            self.deadline = monotonic() + self._pipeline.times.head
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
        relay = self._relay = Relay(exchange, self)
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
        self._relay = Relay(exchange, self)
        name = pipeline.rules.pseudonym.decode("ascii")
        self._relay.refuse(error_answer(error, exchange, name))

    # --- relay.Client -------------------------------------------------------------------------

    def proxied_for(self) -> ProxyHeader:
        """See ``relay.Client``."""
        return self._told or header_of(self.transport.getPeer(), self.transport.getHost())

    def send_interim(self, head: bytes) -> None:
        """See ``relay.Client``."""
        self._out.append(head)

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """See ``relay.Client``: choose the framing towards this client and write the head."""
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

    def _rest_is_here(self, request: Request) -> bool:
        """Say whether the request's content was read already, so that nothing is in doubt."""
        framing = request.framing
        return isinstance(framing, Length) and len(self._reader.buffered) >= framing.size

    def send_content(self, data: bytes) -> None:
        """See ``relay.Client``."""
        self._out.append(chunk(data) if self._chunked else data)

    def send_file(self, region: FileRegion) -> None:
        """Send all content of a response out of a file; see ``Relay.send_stored``."""
        out, self._out = self._out, []
        head = b"".join(out)
        sent = send_file(self.transport, head, region)
        if sent < 0:
            self._out = [head, region.read()]
        elif sent < region.size:
            self._out = [region.read(sent)]

    def end_response(self, trailers: FieldSection) -> None:
        """See ``relay.Client``."""
        if self._chunked:
            self._out.append(last_chunk(trailers))
        self.flush()
        self._response_complete = True
        if self._request_complete:
            self._next()
        elif not self._persistent:
            self._linger()

    def flush(self) -> None:
        """See ``relay.Client``."""
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
        """See ``relay.Client``: end without the length or the last chunk that were promised."""
        self.flush()
        relay = self._relay
        self._relay = None
        if relay is not None and not relay.exchange.request.version and not self._chunked:
            # An HTTP/1.0 client without a length takes an orderly end for the content's.
            self.abort()
            return
        self._close()

    def hold_request(self, hold: bool) -> None:
        """See ``relay.Client``; who is not read cannot be too slow."""
        if hold:
            if not self._full:
                self.deadline = NEVER
            self._hold_back(_HELD_BY_UPSTREAM)
        else:
            if self.state is State.EXCHANGE and not (self._request_complete or self._full):
                self.deadline = monotonic() + self._pipeline.times.body
            self._let_go(_HELD_BY_UPSTREAM)

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """See ``relay.Client``."""
        relay = self._relay
        assert relay is not None
        relay.exchange.status = relay.exchange.status or 200
        self._out.append(head)
        self.flush()
        self.state = State.TUNNEL
        self.deadline = NEVER
        self.transport.unregisterProducer()
        limit_unsent(self.transport, USUAL_BUFFER)
        other = upstream.detach()
        tunnel = relay.make_tunnel(
            self.transport, other, self._listener.sweeper, self._pipeline.times.tunnel, self._ended
        )
        self._tunnel = tunnel
        self.dataReceived = tunnel.client_received  # type: ignore[method-assign]
        upstream.join(tunnel)
        if data:
            tunnel.upstream_received(data)
        early = self._reader.take_buffer()
        if early:
            tunnel.client_received(early)

    def _ended(self, tunnel: Tunnel) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.tunnel_ended(tunnel.from_client_bytes, tunnel.from_upstream_bytes, tunnel.reason)

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

    def _close(self) -> None:
        """Close when what was written is sent."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._unsent = unsent(self.transport)
        self.deadline = monotonic() + self._pipeline.times.body
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def drain(self) -> None:
        """Close now if idle, else after the exchange; the listener says ``draining``."""
        if self.state in (State.IDLE, State.HEAD, State.ASKED):
            self._close()
        elif self._tunnel is not None:
            return  # it has the grace that everything has

    def abort(self) -> None:
        """Close at once."""
        self.state = State.CLOSED
        self.transport.abortConnection()

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

    def _takes_what_it_was_sent(self) -> bool:
        """Say whether the client has taken anything since this was last asked."""
        before, self._unsent = self._unsent, unsent(self.transport)
        return self._unsent < before

    # --- the transport's side -----------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """The client will send no more.

        In a tunnel that is one way's end. Elsewhere it is the client's leave, as nginx and Squid
        take it: from one that is gone it cannot be told.
        """
        if self._tunnel is not None:
            self._tunnel.client_ended()
            return
        if self.state is not State.CLOSED:
            self._client_gone()
            self._close()

    def writeConnectionLost(self) -> None:
        """Our own half-close was sent; nothing is to be done."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._tunnel is not None:
            self._tunnel.client_lost()
        self._client_gone()
        self.state = State.CLOSED
        self.deadline = NEVER
        self._listener.closed(self)

    def _client_gone(self) -> None:
        relay, self._relay = self._relay, None
        self._out = []
        if relay is not None:
            relay.client_lost()

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
            if self._reader.buffered and not self._advancing:
                self._let_go(_HELD_BY_PIPELINING)
                self._advance()

    def stopProducing(self) -> None:
        """The connection is being lost; ``connectionLost`` does what there is to do."""

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
