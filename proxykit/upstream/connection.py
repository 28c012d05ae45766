"""One HTTP/1.1 connection to a server: carries one exchange after the other."""

from __future__ import annotations

import enum
from time import monotonic
from typing import Any, Protocol, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import BadResponse, ProxykitError, ResponseTimeout
from ..http1.limits import HeadLimits
from ..http1.reader import EndOfMessage, ResponseReader
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import NoContent, UntilClose
from ..message.response import Response
from ..net.sweeper import NEVER
from ..net.tunnel import Tunnel
from .failures import upstream_error
from .unwanted import Unwanted, is_short

# Interim responses to one request. They are sent on as they come, so what a client does not read
# of them is heaped up here. Precedent: HTTP/1 in Go took 5 for long.
_MOST_INTERIM = 64


class State(enum.Enum):
    """Where a connection is in its life."""

    IDLE = "idle"
    ACTIVE = "active"
    TUNNEL = "tunnel"
    CLOSED = "closed"


class ResponseTaker(Protocol):
    """Who sent a request and takes its response."""

    def interim_received(self, response: Response) -> None:
        """A 1xx response other than 101 came."""

    def response_received(self, response: Response) -> None:
        """The final response's head came."""

    def content_received(self, data: bytes) -> None:
        """A piece of the response's content came."""

    def response_ended(self, trailers: FieldSection) -> None:
        """The response is complete; the connection is no longer this exchange's."""

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There will be no response, or no more of it.

        :param untouched: not a byte of a response came, and the connection had served before: the
            server may have closed it just as the request was sent.
        """

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """The server switched protocols; ``data`` came behind its head."""

    def flush(self) -> None:
        """Everything that one read brought was handed over."""

    def pause_sending(self) -> None:
        """The server does not take more for now."""

    def resume_sending(self) -> None:
        """The server takes more again."""


class Owner(Protocol):
    """The server whose connection it is."""

    name: str
    head_limits: HeadLimits
    response_seconds: float
    idle_seconds: float
    parent_fields: bytes | None

    def released(self, connection: UpstreamConnection) -> None:
        """The connection is idle and may be used again."""

    def lost(self, connection: UpstreamConnection) -> None:
        """The connection is gone, or is never to be used again."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class UpstreamConnection(TwistedProtocol):
    """A connection to a server.

    :ivar state: where it is in its life.
    :ivar served: how many requests were sent on it.
    :ivar peer: the address that it goes to, ``""`` for a UNIX socket.
    :ivar asked: when the last request was sent, on the clock of ``time.monotonic``, in seconds.
    :ivar deadline: see ``net.sweeper``.
    """

    transport: Any

    def __init__(self, owner: Owner) -> None:
        """Make one that is not connected yet.

        :param owner: is told when it is idle again and when it is gone.
        """
        self._owner = owner
        self._reader = ResponseReader(owner.head_limits)
        self._taker: ResponseTaker | None = None
        self._tunnel: Tunnel | None = None
        self._method = b""
        self._sending = False  # content of the request is still to come
        self._persistent = False  # the response allows another request
        self._touched = False  # a byte of the response came
        self._held = False  # the taker wants nothing for now
        self._end_held = False  # a response without content ended while it was held
        self._end: Failure | None = None  # the connection ended while it was held
        self._interim = (0, 0)  # the request that interim responses came for, and how many
        self.state = State.IDLE
        self.served = 0
        self.peer = ""
        self.asked = 0.0
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self._owner.name} {self.state.value} served {self.served}>"

    @property
    def parent_fields(self) -> bytes | None:
        """See ``Server``."""
        return self._owner.parent_fields

    # --- the exchange's side ------------------------------------------------------------------

    def begin(self, taker: ResponseTaker, method: bytes, head: bytes, *, content: bool) -> None:
        """Send a request's head.

        :param content: whether content will follow, through ``write`` and ``finish``.
        """
        self.state = State.ACTIVE
        self.served += 1
        self._taker = taker
        self._method = method
        self._sending = content
        self._touched = self._held = self._end_held = False
        self._reader.expect(method)
        self.asked = now = monotonic()
        self.deadline = now + self._owner.response_seconds
        self.transport.write(head)

    def write(self, data: bytes) -> None:
        """Send content of the request, framed already."""
        self.deadline = monotonic() + self._owner.response_seconds
        self.transport.write(data)

    def finish(self, data: bytes = b"") -> None:
        """The request is complete.

        :param data: the last bytes of its content, framed already.
        """
        self._sending = False
        if data:
            self.write(data)

    def pause(self) -> None:
        """Read no more for now: the client is slower."""
        self.deadline = NEVER
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        self.deadline = monotonic() + self._owner.response_seconds
        self.transport.resumeProducing()

    def hold(self) -> None:
        """Hand over nothing for now, not even what was read: the taker has to wait."""
        self._held = True
        self.pause()

    def unhold(self) -> None:
        """Hand over what was held, and go on."""
        self._held = False
        self.resume()
        taker = self._taker
        if taker is None:
            return
        if self._end_held:
            self._end_held = False
            self._ended(taker, EMPTY_SECTION)
        else:
            self._advance(taker)
        if self._end is not None:
            self._connection_ended(self._end)

    def abandon(self) -> None:
        """Nobody wants the response any more: close at once."""
        self._taker = None
        self._close()

    def read_over(self, response: Response) -> None:
        """Nobody wants a response whose head has just come: be used again if there is little more.

        Called by the taker, while it takes that head.
        """
        if self._sending or not self._persistent or not is_short(response):
            self.abandon()
        else:
            self._taker = Unwanted(self.abandon)

    def join(self, tunnel: Tunnel) -> None:
        """Become one end of a tunnel; the producer was unregistered by ``detach``."""
        self._tunnel = tunnel
        self.dataReceived = tunnel.upstream_received  # type: ignore[method-assign]

    def detach(self) -> Any:
        """Leave HTTP: give the transport, free of this protocol's producer."""
        self.state = State.TUNNEL
        self.deadline = NEVER
        self._taker = None
        self.transport.unregisterProducer()
        return self.transport

    # --- the transport's side -----------------------------------------------------------------

    def connectionMade(self) -> None:
        """The connection is there."""
        self.peer = getattr(self.transport.getPeer(), "host", "")
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Read what came; all of it is handed over before the taker is told to flush."""
        taker = self._taker
        if taker is None:
            # Nobody asked. Whatever this is, the next request's response would be read wrongly.
            self._close()
            return
        self._touched = True
        self.deadline = monotonic() + self._owner.response_seconds
        self._reader.feed(data)
        self._advance(taker)

    def _advance(self, taker: ResponseTaker) -> None:
        reader = self._reader
        try:
            while not self._held and (event := reader.next_event()) is not None:
                if type(event) is bytes:
                    taker.content_received(event)
                elif isinstance(event, Response):
                    self._head_received(taker, event)
                else:
                    self._ended(taker, cast(EndOfMessage, event).trailers)
                if self._taker is not taker:
                    if isinstance(self._taker, Unwanted):
                        self._advance(self._taker)
                    return
        except BadResponse as error:
            self._fail(error)
            return
        taker.flush()

    def _head_received(self, taker: ResponseTaker, response: Response) -> None:
        status = response.status
        if status == 101 or (self._method == b"CONNECT" and 200 <= status < 300):
            taker.tunnel_offered(response, self._reader.take_buffer())
            return
        if status < 200:
            self._count_interim()
            taker.interim_received(response)
            return
        section = response.section
        self._persistent = (
            b"close" not in section.options
            if response.version
            else b"keep-alive" in section.options
        )
        framing = response.framing
        if isinstance(framing, UntilClose):
            self._persistent = False
        taker.response_received(response)
        # The taker's, or of what it has left its place to.
        if isinstance(framing, NoContent) and self._taker is not None:
            if self._held:
                self._end_held = True
            else:
                self._ended(self._taker, EMPTY_SECTION)

    def _count_interim(self) -> None:
        """Count an interim response; for the others, nothing is counted or set back.

        :raises BadResponse: when there are too many.
        """
        request, number = self._interim
        number = number + 1 if request == self.served else 1
        if number > _MOST_INTERIM:
            raise BadResponse(f"there are more than {_MOST_INTERIM} interim responses")
        self._interim = (self.served, number)

    def _ended(self, taker: ResponseTaker, trailers: FieldSection) -> None:
        self._taker = None
        # Bytes behind a response nobody asked for, or a request that was not sent to its end:
        # in doubt, a connection is not used again.
        if self._persistent and not self._sending and not self._reader.buffered:
            self.state = State.IDLE
            self.deadline = monotonic() + self._owner.idle_seconds
            self._owner.released(self)
        else:
            self._close()
        taker.response_ended(trailers)

    def _fail(self, error: ProxykitError) -> None:
        taker, self._taker = self._taker, None
        untouched = self.served > 1 and not self._touched
        self._close()
        if taker is not None:
            taker.response_failed(error, untouched=untouched)

    def _close(self) -> None:
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.deadline = NEVER
            self._owner.lost(self)
        if self._end is None:
            self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """The server will send no more: the end of a tunnel's one way, else of everything."""
        if self._tunnel is not None:
            self._tunnel.upstream_ended()
            return
        self._connection_ended(Failure(connectionDone.value))
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our own half-close was sent; nothing is to be done."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._tunnel is not None:
            self._tunnel.upstream_lost()
        self._connection_ended(reason)

    def _connection_ended(self, reason: Failure) -> None:
        taker = self._taker
        if taker is not None and self._held:
            # What was read before is the taker's still, when it wants it. TLS tells of the end
            # with the last of it, however little was wanted.
            if self._end is None:
                self._end = reason
                self._persistent = False
                self.transport.abortConnection()
        elif taker is not None:
            # RFC 9112 section 8: only an orderly end is the end of content that lasts until then.
            # A server that was killed resets its connections.
            end = self._reader.close() if reason.check(ConnectionDone) else None
            if end is not None:
                self._taker = None
                taker.response_ended(end.trailers)
            else:
                self._fail(upstream_error(reason, self._owner.name))
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.deadline = NEVER
            self._owner.lost(self)

    def deadline_passed(self) -> None:
        """Called by the sweeper: idle for too long, or the server is too slow."""
        if self._taker is None:
            self._close()
        else:
            self._fail(ResponseTimeout(f"{self._owner.name} did not answer in time"))

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        if self._taker is not None:
            self._taker.pause_sending()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        if self._taker is not None:
            self._taker.resume_sending()

    def stopProducing(self) -> None:
        """The connection is being lost; ``connectionLost`` does what there is to do."""
