"""The server side of SOCKS: a CONNECT is an exchange like any other, and ends in a tunnel.

A SOCKS client's request takes HTTP's form, method CONNECT and its user and password as Basic
credentials, so the filters of a listener judge it as they judge every other.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from functools import partial
from time import monotonic
from typing import Any

from attrs import evolve
from twisted.internet.error import CannotListenError

from ..message.fields import Field, FieldSection
from ..message.framing import Framing, NoContent
from ..message.request import Request
from ..message.response import Response
from ..message.target import Authority, Form, Target
from ..net.files import FileRegion
from ..net.proxy_protocol import ProxyHeader
from ..net.socks.server import Credentials, Greeting, ServerHandshake, SocksRequest
from ..net.socks.words import Command, MalformedSocks, Method, Reply
from ..net.sweeper import NEVER
from ..upstream.connection import UpstreamConnection
from .association import Association
from .connection import ClientConnection, State
from .exchange import Exchange
from .judgement import Judgement, tell_observers
from .listener import Listener
from .pipeline import Chain, Pipeline, Route
from .relay import Relay

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


class SocksProtocol(ClientConnection):
    """A SOCKS client's connection."""

    at_first = State.HANDSHAKE

    def __init__(
        self, listener: Listener, peer_address: str, told: ProxyHeader | None = None
    ) -> None:
        """See ``ClientConnection``."""
        super().__init__(listener, peer_address, told)
        self._handshake = ServerHandshake()
        self._authorization = b""
        self._judgement: Judgement | None = None
        self._association: Association | None = None
        self._paused = False

    @property
    def is_busy(self) -> bool:
        """See ``listener.Connection``."""
        return super().is_busy or self.state is State.ASSOCIATION

    # --- reading ------------------------------------------------------------------------------

    def _welcome(self) -> None:
        """See ``ClientConnection``; what was sent ahead is read."""
        super()._welcome()
        self._advance()

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
        self._judgement = Judgement(ahead, exchange, partial(self._judged, exchange))
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
            self._welcome()

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
        relay = self._relay = Relay(self._pipeline, exchange, self)
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

    def send_file(self, region: FileRegion) -> None:
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
        self._become_tunnel(upstream, other, data, self._handshake.rest())
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    # --- the end ------------------------------------------------------------------------------

    def deadline_passed(self) -> None:
        """Called by the sweeper: the client is too slow, its relay idle, or it does not close."""
        if self.state is State.HANDSHAKE:
            self._refuse(408, "http_request_error", "the handshake did not come in time")
            self._close()
        elif self.state is State.ASSOCIATION:
            self._close()
        else:
            self.abort()

    def _client_gone(self) -> None:
        """See ``ClientConnection``."""
        super()._client_gone()
        judgement, self._judgement = self._judgement, None
        if judgement is not None:
            judgement.give_up()
        association, self._association = self._association, None
        if association is not None:
            association.close()


def _let_pass(exchange: Exchange) -> Route:
    """The end of the road for credentials that are judged ahead of a request."""
    return Route("", answer=lambda exchange: Response(204))
