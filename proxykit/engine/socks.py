"""The server side of SOCKS: a CONNECT is an exchange like any other, and ends in a tunnel.

A SOCKS client's request takes HTTP's form, method CONNECT and its user and password as Basic
credentials, so the filters of a listener judge it as they judge every other.
"""

from __future__ import annotations

import enum
import ipaddress
from base64 import b64encode
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..message.fields import Field, FieldSection
from ..message.framing import Framing, NoContent
from ..message.request import Request
from ..message.response import Response
from ..message.target import Authority, Form, Target
from ..net.proxy_protocol import ProxyHeader, header_of
from ..net.socks import (
    Command,
    Credentials,
    Greeting,
    MalformedSocks,
    Method,
    Reply,
    ServerHandshake,
    SocksRequest,
)
from ..net.sweeper import NEVER
from ..net.tunnel import Tunnel
from ..upstream.connection import UpstreamConnection
from .admission import ask_connection_filters
from .association import Association
from .exchange import Exchange
from .judgement import Judgement, tell_observers
from .pipeline import Chain, Pipeline, Route
from .relay import Relay

if TYPE_CHECKING:
    from .listener import Listener

# What a client may send ahead, before its tunnel is there. It has to be some, or a client that
# goes away would not be noticed.
_MOST_AHEAD = 64 * 1024

# What an exchange's end is in SOCKS's words. Dante's for a time-out is "TTL expired" too.
_REPLIES = {
    "connection_refused": Reply.REFUSED,
    "connection_timeout": Reply.TTL_EXPIRED,
    "dns_error": Reply.HOST_UNREACHABLE,
    "destination_ip_unroutable": Reply.HOST_UNREACHABLE,
    "destination_ip_prohibited": Reply.NOT_ALLOWED,
    "http_request_denied": Reply.NOT_ALLOWED,
}


class State(enum.Enum):
    """Where a client's connection is in its life."""

    ASKED = "asked"  # a connection filter has been asked and has not answered
    HANDSHAKE = "handshake"
    JUDGING = "judging"  # the user and password are being judged
    EXCHANGE = "exchange"
    TUNNEL = "tunnel"
    ASSOCIATION = "association"  # datagrams are carried for as long as this connection is there
    CLOSED = "closed"


@implementer(IHalfCloseableProtocol)
class SocksProtocol(Protocol):
    """A SOCKS client's connection.

    :ivar state: where it is in its life.
    :ivar peer_address: the client's IP address, ``""`` for a UNIX socket.
    :ivar identity: see ``engine.client.Client``.
    :ivar deadline: see ``net.sweeper``.
    """

    transport: Any

    def __init__(
        self, listener: Listener, peer_address: str, told: ProxyHeader | None = None
    ) -> None:
        """Make one that is not connected yet; see ``ServerProtocol``."""
        self._listener = listener
        self._pipeline = listener.pipeline
        self._handshake = ServerHandshake()
        self._told = told
        self._authorization = b""
        self._judgement: Judgement | None = None
        self._relay: Relay | None = None
        self._tunnel: Tunnel | None = None
        self._association: Association | None = None
        self._paused = False
        self.identity: object = (self._pipeline.rules, peer_address, "http")
        self.state = State.HANDSHAKE
        self.peer_address = peer_address
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<SocksProtocol {self.peer_address} {self.state.value}>"

    @property
    def is_busy(self) -> bool:
        """See ``listener.Connection``."""
        return self._relay is not None or self.state is State.ASSOCIATION

    # --- reading ------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """A client connected."""
        self._listener.opened(self)
        steps = self._pipeline.chain.connection
        if steps:
            self.state = State.ASKED
            ask_connection_filters(steps, self.peer_address, self._admitted)
        else:
            self._wait_for_client()

    def _admitted(self, accepted: bool) -> None:
        """Go on with what the connection filters say."""
        if not accepted:
            self.abort()
        elif self.state is State.ASKED:
            self.state = State.HANDSHAKE
            self._wait_for_client()
            self._advance()

    def _wait_for_client(self) -> None:
        """Give the client as long as for a head."""
        self.deadline = monotonic() + self._pipeline.times.head

    def dataReceived(self, data: bytes) -> None:
        """Read what the client sent."""
        if self.state in (State.CLOSED, State.ASSOCIATION):
            return
        self._handshake.feed(data)
        if self.state is State.HANDSHAKE:
            self._advance()
        elif self._handshake.buffered > _MOST_AHEAD:
            self._paused = True
            self.transport.pauseProducing()

    def _advance(self) -> None:
        """Read as far as the state allows."""
        try:
            while self.state is State.HANDSHAKE:
                event = self._handshake.next_event()
                if event is None:
                    return
                if isinstance(event, Greeting):
                    self._greeted(event)
                elif isinstance(event, Credentials):
                    self._identified(event)
                else:
                    self._asked(event)
        except MalformedSocks as error:
            self._refuse(400, "http_request_error", str(error))
            self._close()

    def _greeted(self, greeting: Greeting) -> None:
        """Choose how the client authenticates."""
        offered = greeting.methods
        wanted = bool(self._pipeline.chain.authentication)
        method = Method.NOT_ACCEPTABLE
        if Method.NONE in offered and not wanted:
            method = Method.NONE
        elif Method.PASSWORD in offered:
            method = Method.PASSWORD
        self.transport.write(self._handshake.select(method))
        if method is Method.NOT_ACCEPTABLE:
            why = "the client offers no way to authenticate that is taken here"
            self._refuse(407 if wanted else 400, "http_request_denied", why)
            self._close()

    def _identified(self, credentials: Credentials) -> None:
        """Have a user and a password judged, by the filters that do that."""
        if b":" in credentials.user:  # RFC 7617 section 2: there is no such user in Basic
            self._judged(None, 407)
            return
        pair = credentials.user + b":" + credentials.password
        self._authorization = b"Basic " + b64encode(pair)
        steps = self._pipeline.chain.authentication
        if not steps:
            self.transport.write(self._handshake.judge(accepted=True))
            return
        self.state = State.JUDGING
        self.deadline = NEVER
        ahead = evolve(self._pipeline, choose=_let_pass, chain=Chain(request=steps), observers=())
        exchange = self._exchange(ahead, b"CONNECT", None)
        self._judgement = Judgement(exchange, partial(self._judged, exchange))
        self._judgement.start()

    def _judged(self, exchange: Exchange | None, status: int) -> None:
        """Tell the client whether its user and password are right (RFC 1929 section 2)."""
        self._judgement = None
        if self.state is State.CLOSED:
            return
        accepted = status < 300
        self.transport.write(self._handshake.judge(accepted=accepted))
        if not accepted:
            if exchange is None:
                self._refuse(status, "http_request_denied", "a user cannot hold a colon")
            else:
                tell_observers(self._pipeline, exchange)
            self._close()
        elif self.state is State.JUDGING:
            self.state = State.HANDSHAKE
            self._wait_for_client()
            self._advance()

    def _asked(self, request: SocksRequest) -> None:
        """Do what the client asks for."""
        if request.command == Command.CONNECT and request.port:
            self._connect(request)
        elif (
            request.command == Command.UDP_ASSOCIATE
            and request.version == 5
            and self._pipeline.datagrams is not None
            and self.peer_address
        ):
            self._associate(request)
        else:
            supported = request.command == Command.CONNECT
            reply = Reply.NOT_ALLOWED if supported else Reply.COMMAND_NOT_SUPPORTED
            why = "there is no port 0" if supported else "only CONNECT is served here"
            self._refuse(400 if supported else 501, "http_request_error", why)
            self._reply(reply)
            self._close()

    def _connect(self, request: SocksRequest) -> None:
        """Send the request on its way."""
        self.state = State.EXCHANGE
        self.deadline = NEVER
        authority = Authority(request.host, request.port)
        exchange = self._exchange(self._pipeline, b"CONNECT", authority)
        relay = self._relay = Relay(exchange, self)
        relay.start()

    def _exchange(self, pipeline: Pipeline, method: bytes, authority: Authority | None) -> Exchange:
        """Put what the client asks for in HTTP's form.

        :param authority: ``None`` when it did not say yet where it wants to go.
        """
        raw = authority.text().encode("ascii") if authority is not None else b"-"
        fields: list[Field] = [(b"Host", raw)] if authority is not None else []
        if self._authorization:
            fields.append((b"Proxy-Authorization", self._authorization))
        target = Target(raw, Form.AUTHORITY, raw, "", authority or Authority("", None))
        request = Request(method, raw, 1, FieldSection(tuple(fields)), NoContent(), target)
        address = self.peer_address
        exchange = Exchange(pipeline, request, address, address, "http", monotonic())
        exchange.protocol = f"SOCKS{self._handshake.version or ''}"
        return exchange

    def _refuse(self, status: int, error_type: str, why: str) -> None:
        """Log what never became an exchange."""
        exchange = self._exchange(self._pipeline, b"-", None)
        exchange.status = status
        exchange.error_type = error_type
        exchange.detail = why
        tell_observers(self._pipeline, exchange)

    def _reply(self, reply: Reply, address: Any = None) -> None:
        """Answer the client's request.

        :param address: an ``IAddress`` that the client is told, ``None`` for none.
        """
        host, port = getattr(address, "host", None), getattr(address, "port", 0)
        try:
            host = str(ipaddress.ip_address(str(host).partition("%")[0]))
        except ValueError:
            host, port = "0.0.0.0", 0
        self.transport.write(self._handshake.reply(reply, host, port))

    # --- datagrams ----------------------------------------------------------------------------

    def _associate(self, request: SocksRequest) -> None:
        """Open a relay of datagrams (RFC 1928 section 7)."""
        policy = self._pipeline.datagrams
        assert policy is not None
        host = self.transport.getHost()
        association = Association(
            self._pipeline,
            policy,
            self.peer_address,
            lambda pipeline, method, name, port: self._exchange(
                pipeline, method, Authority(name, port)
            ),
            self._datagram_passed,
        )
        # A client behind a NAT does not know its address; then it says none, or a wrong one.
        port = request.port if request.host == self.peer_address else 0
        try:
            if not policy.has_room(self.peer_address):
                raise CannotListenError(host.host, 0, "too many relays of datagrams")
            association.open(host.host, port)
        except CannotListenError as error:
            self._refuse(503, "connection_limit_reached", str(error))
            self._reply(Reply.FAILED)
            self._close()
            return
        self.state = State.ASSOCIATION
        self._association = association
        self._datagram_passed()
        self._reply(Reply.SUCCEEDED, evolve(host, port=association.port))

    def _datagram_passed(self) -> None:
        self.deadline = monotonic() + self._pipeline.times.tunnel

    # --- engine.client.Client -----------------------------------------------------------------

    def proxied_for(self) -> ProxyHeader:
        """See ``engine.client.Client``."""
        return self._told or header_of(self.transport.getPeer(), self.transport.getHost())

    def send_interim(self, head: bytes) -> None:
        """There is nothing like it in SOCKS."""

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """Say why there will be no tunnel."""
        relay = self._relay
        assert relay is not None
        reply = _REPLIES.get(relay.exchange.error_type)
        if reply is None:
            reply = Reply.NOT_ALLOWED if 400 <= response.status < 500 else Reply.FAILED
        self._reply(reply)

    def send_content(self, data: bytes) -> None:
        """There is no place for content in SOCKS."""

    def end_response(self, trailers: FieldSection) -> None:
        """The client was told; RFC 1928 section 6 gives it ten seconds at most."""
        self._relay = None
        self._close()

    def flush(self) -> None:
        """All was written."""

    def abort_response(self) -> None:
        """Nothing was promised that could be cut short."""
        self._relay = None
        self.abort()

    def hold_request(self, hold: bool) -> None:
        """There is no content."""

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """Say that the connection is there, and join the two."""
        relay = self._relay
        assert relay is not None
        relay.exchange.status = 200
        other = upstream.detach()
        self._reply(Reply.SUCCEEDED, other.getHost())
        self.state = State.TUNNEL
        tunnel = self._tunnel = relay.make_tunnel(
            self.transport, other, self._listener.sweeper, self._pipeline.times.tunnel, self._ended
        )
        self.dataReceived = tunnel.client_received  # type: ignore[method-assign]
        upstream.join(tunnel)
        if data:
            tunnel.upstream_received(data)
        early = self._handshake.rest()
        if early:
            tunnel.client_received(early)
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def _ended(self, tunnel: Tunnel) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.tunnel_ended(tunnel.from_client_bytes, tunnel.from_upstream_bytes, tunnel.reason)

    # --- the end ------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close when what was written is sent."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.deadline = monotonic() + self._pipeline.times.linger
            self.transport.loseConnection()

    def drain(self) -> None:
        """Close if nothing is under way; tunnels and relays have the grace that all has."""
        if self.state in (State.ASKED, State.HANDSHAKE):
            self._close()

    def abort(self) -> None:
        """Close at once."""
        self.state = State.CLOSED
        self.transport.abortConnection()

    def deadline_passed(self) -> None:
        """Called by the sweeper: the client is too slow, its relay idle, or it does not close."""
        if self.state is State.HANDSHAKE:
            self._refuse(408, "http_request_error", "the handshake did not come in time")
            self._close()
        elif self.state is State.ASSOCIATION:
            self._close()
        else:
            self.abort()

    def readConnectionLost(self) -> None:
        """The client will send no more: one way's end in a tunnel, else its leave."""
        if self._tunnel is not None:
            self._tunnel.client_ended()
            return
        self._client_gone()
        self._close()

    def writeConnectionLost(self) -> None:
        """Our own half-close was sent; nothing is to be done."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, and with it what was done for the client."""
        if self._tunnel is not None:
            self._tunnel.client_lost()
        self._client_gone()
        self.state = State.CLOSED
        self.deadline = NEVER
        self._listener.closed(self)

    def _client_gone(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.client_lost()
        judgement, self._judgement = self._judgement, None
        if judgement is not None:
            judgement.give_up()
        association, self._association = self._association, None
        if association is not None:
            association.close()


def _let_pass(exchange: Exchange) -> Route:
    """The end of the road for credentials that are judged ahead of a request."""
    return Route("", answer=lambda exchange: Response(204))
