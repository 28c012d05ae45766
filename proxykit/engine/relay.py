"""Drives one exchange along the whole road: filters, route, upstream, filters, client.

``Relay`` is called from two sides, by the client's connection (what the client sent) and by the
upstream connection (what the server sent). It is a ``Sending``, which has the request's content,
and that is a ``Road``, which has all that needs no server.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import cast

from ..errors import (
    BadResponse,
    NoRoute,
    ParentCredentialsRefused,
    ProxykitError,
    ResponseIncomplete,
    Unavailable,
)
from ..http1.writer import status_line
from ..message.framing import CHUNKED, NoContent
from ..message.response import Response
from ..net.proxy_protocol import ProxyHeader
from ..net.tunnel import Joint, Tunnel
from ..upstream.connection import UpstreamConnection
from ..upstream.retries import IDEMPOTENT, RetryPolicy
from ..upstream.server import Server
from .attempts import Attempts
from .cache import ResponseSource
from .client import Client
from .exchange import Exchange
from .forwarding import absolute_target, framing_line, upgrade_lines
from .pacing import ExchangePacing
from .sending import Sending
from .stage import Stage
from .taps import Taps
from .transforms import Transforms

NO_RETRIES = RetryPolicy(retries=0)


class Relay(Sending):
    """One exchange on its way.

    :ivar server: which one has been given the exchange, ``None`` when none has.
    :ivar watch: sees the head of what upstream answers: a cache's, where it did not take the
        exchange.
    """

    __slots__ = ("_latency", "_policy", "server", "watch")

    def __init__(self, exchange: Exchange, client: Client) -> None:
        """Begin; call ``start`` next."""
        super().__init__(exchange, client)
        self.server: Server | None = None
        self.watch: Callable[[Response], None] | None = None
        self._policy = NO_RETRIES
        self._latency: float | None = None

    # --- attempts at servers ------------------------------------------------------------------

    def _take_route(self) -> None:
        exchange = self.exchange
        route = exchange.route
        assert route is not None
        if self._chain.pacers:
            self._pacing = ExchangePacing.made_by(self._chain.pacers, exchange, self)
        if route.answer is not None:
            self.answer(route.answer(exchange))
            return
        if route.upstream is None:
            raise NoRoute("no route takes this request")
        if route.cache is not None and route.cache.take(self):
            return
        self.ask_upstream()

    def ask_upstream(self) -> None:
        """Send the request to its route's upstream: no cache answers it."""
        exchange = self.exchange
        route = exchange.route
        assert route is not None
        assert route.upstream is not None
        if route.rewrite is not None:
            request = exchange.request
            request.origin_target = route.rewrite(request.origin_target)
        self._limit_content(route)
        if self._chain.request_body and not isinstance(self._request_framing, NoContent):
            self._request_transforms = Transforms.made_by(self._chain.request_body, exchange)
            if self._request_transforms:
                self._request_framing = CHUNKED
        policy = self._policy = route.upstream.policy
        if policy.is_timed or (
            type(self._request_framing) is not NoContent
            and policy.retries
            and exchange.request.method in IDEMPOTENT
        ):
            self._attempts = Attempts(self, route.upstream, policy)
        self.ask(route.upstream.choose(exchange))

    def ask(self, server: Server) -> None:
        """Give the exchange to a server."""
        exchange = self.exchange
        route = exchange.route
        assert route is not None
        self.server = server
        exchange.upstream = server.name
        exchange.attempts += 1
        self.stage = Stage.CONNECTING
        if self._attempts is not None:
            self._attempts.arm()
        server.began()
        # A tunnel needs a connection that was never used: it will never be given back.
        server.acquire(self, fresh=route.tunnel, key=exchange.client_address)

    @property
    def is_answered(self) -> bool:
        """Whether a response has begun, so that no other server can be asked."""
        return self.stage >= Stage.ANSWERED

    @property
    def is_sent(self) -> bool:
        """Whether a server may have got anything of the request."""
        return self.stage >= Stage.WAITING

    def leave_server(
        self, seconds: float | None = None, *, unwanted: Response | None = None
    ) -> None:
        """See ``attempts.Attempting``."""
        connection, self._connection = self._connection, None
        server, self.server = self.server, None
        if connection is not None:
            if unwanted is None:
                connection.abandon()
            else:
                connection.read_over(unwanted)
        elif server is not None and self.stage is Stage.CONNECTING:
            server.cancel(self)
        if server is not None:
            server.ended(seconds)

    def fail_server(self, now: float) -> None:
        """Let go of a server that was too slow."""
        connection, server = self._connection, self.server
        if server is not None:
            server.failed()
        self.leave_server(now - connection.asked if connection is not None else None)

    def take_over(self, server: Server, connection: UpstreamConnection) -> None:
        """Make a hedge that has answered this exchange's attempt, in the place of a slower one."""
        slower = self._connection
        self.leave_server(monotonic() - slower.asked if slower is not None else None)
        self.server = server
        self._connection = connection
        self.stage = Stage.WAITING
        self.exchange.upstream = server.name
        self.exchange.reused = connection.served > 1

    def _all_attempts(self) -> Attempts:
        """Give what is known of the servers that were asked, once that is needed."""
        attempts = self._attempts
        if attempts is None:
            route = self.exchange.route
            assert route is not None
            assert route.upstream is not None
            attempts = self._attempts = Attempts(self, route.upstream, self._policy)
        return attempts

    def _attempt_failed(self, error: ProxykitError, *, sent: bool) -> None:
        """Go on to another server where that is safe, or end the exchange."""
        server, self.server = self.server, None
        assert server is not None
        server.ended(None)
        self._all_attempts().failed(server, error, sent=sent)

    def _is_unwelcome(self, response: Response, server: Server, seconds: float) -> bool:
        """Take note of a response that may say that the server cannot.

        :returns: whether another server was asked instead.
        """
        policy = self._policy
        if response.status in policy.failures:
            server.failed()
        else:
            server.answered(seconds)
        return response.status in policy.statuses and self._all_attempts().pass_over(
            server, response
        )

    def _repeat_on_new_connection(self, server: Server) -> bool:
        """Ask the same server anew, whose connection was closed just as the request was sent.

        RFC 9112 section 9.3.1: a client may do that by itself for idempotent requests.
        """
        attempts = self._all_attempts()
        if attempts.is_stale_spent or not attempts.may_repeat(sent=True):
            return False
        attempts.is_stale_spent = True
        self.stage = Stage.CONNECTING
        self.exchange.attempts += 1
        server.acquire(self, fresh=True, key=self.exchange.client_address)
        return True

    # --- called by a cache --------------------------------------------------------------------

    def attach(self, source: ResponseSource) -> None:
        """Take the response from a source, which calls as an upstream connection does."""
        self.stage = Stage.WAITING
        # It is asked for no more than a source can: there is no request to send on it.
        self._connection = cast(UpstreamConnection, source)

    def detach(self) -> None:
        """Let go of a source that has not given anything."""
        self._connection = None

    # --- upstream.ConnectionTaker -------------------------------------------------------------

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """Send the request on a connection."""
        self._connection = connection
        self.stage = Stage.WAITING
        exchange = self.exchange
        exchange.reused = connection.served > 0
        route = exchange.route
        assert route is not None
        assert self.server is not None
        if route.tunnel:
            self.stage = Stage.ANSWERED
            self._client.start_tunnel(
                b"HTTP/1.1 200 Connection established\r\n\r\n", connection, b""
            )
            return
        request = exchange.request
        content = type(self._request_framing) is not NoContent
        connection.begin(self, request.method, self.head(self.server, connection), content=content)
        if self._chain.taps and self._taps is None:
            self._taps = Taps.opened_by(self._chain.taps, exchange)
            if self._taps is not None and not content:
                self._taps.ended()
        if content and self._attempts is not None:
            self._send_kept(connection, self._attempts)
        if self._held is not None:
            self._send_held(connection, self._held)

    def head(self, server: Server, connection: UpstreamConnection) -> bytes:
        """Write the request's head as a server is to get it on a connection."""
        exchange = self.exchange
        request = exchange.request
        fields = exchange.pipeline.rules.request_fields(
            exchange, self._client.identity, server.host
        )
        if self._policy.deadline_field and self._attempts is not None:
            fields += self._attempts.deadline_line()
        target = request.origin_target
        if connection.parent_fields is not None:
            target = absolute_target(exchange)
            fields += connection.parent_fields
        return b"%s %s HTTP/1.1\r\n%s%s%s\r\n" % (
            request.method,
            target,
            fields,
            framing_line(request, self._request_framing),
            upgrade_lines(request.section) if request.section.options else b"",
        )

    def connection_failed(self, error: ProxykitError) -> None:
        """There is no connection, and nothing was sent."""
        if self.server is not None and not isinstance(error, Unavailable):
            self.server.failed()
        self._attempt_failed(error, sent=False)

    def proxied_for(self) -> ProxyHeader:
        """See ``upstream.ConnectionTaker``: the client, as trusted proxies told it."""
        header = self._client.proxied_for()
        address = self.exchange.client_address
        if header.source is None or address in ("", header.source[0]):
            return header
        return ProxyHeader((address, 0), header.destination)

    # --- called by the client's side ----------------------------------------------------------

    def client_lost(self) -> None:
        """The client is gone: end at once what is done for it."""
        if self.stage is Stage.ENDED:
            return
        self.exchange.detail = self.exchange.detail or "the client closed the connection"
        self._leave_upstream()
        self._finish()

    def pause_upstream(self) -> None:
        """The client does not take more for now."""
        if self.stage is not Stage.RESPONDING:
            return
        if self._pacing is not None:
            self._pacing.response.block(True)
        elif self._connection is not None:
            self._connection.pause()
        elif self._source is not None:
            self._source.pause()

    def resume_upstream(self) -> None:
        """The client takes more again."""
        if self.stage is not Stage.RESPONDING:
            return
        if self._pacing is not None:
            self._pacing.response.block(False)
        elif self._connection is not None:
            self._connection.resume()
        elif self._source is not None:
            self._source.resume()

    # --- upstream.ResponseTaker ---------------------------------------------------------------

    def interim_received(self, response: Response) -> None:
        """Pass an interim response on (RFC 9110 section 15.2), unless the client is too old."""
        if self.exchange.request.version:
            self._response_begun()
            fields = self.exchange.pipeline.rules.response_fields(response, content_length=False)
            self._client.send_interim(
                status_line(response.status, response.reason) + fields + b"\r\n"
            )

    def response_received(self, response: Response) -> None:
        """Take the final response's head."""
        if not self._accepts(response):
            return
        if self.watch is not None:
            self.watch(response)
        if self._chain.response:
            # Content must not overtake filters that wait.
            self._filter_response(response, 0)
        else:
            self._respond(response)

    def _accepts(self, response: Response) -> bool:
        """Take note of what a response says of the server that sent it.

        :returns: whether the response is the exchange's; else another server was asked, or it was
            not meant for the client.
        """
        self.exchange.responded = now = monotonic()
        server, connection = self.server, self._connection
        if server is not None and connection is not None:
            self._latency = seconds = now - connection.asked
            # Below 400 a response says that the server can.
            if response.status < 400:
                server.answered(seconds)
            elif self._is_unwelcome(response, server, seconds):
                return False
            elif response.status == 407 and connection.parent_fields is not None:
                # Meant for this proxy (RFC 9110 section 11.7.1), not for its client.
                self.fail(ParentCredentialsRefused("the parent asks for credentials, or others"))
                return False
        self._response_begun(well=response.status not in self._policy.failures)
        return True

    def _response_begun(self, *, well: bool = True) -> None:
        """From here on no other server can be asked.

        :param well: whether the response says nothing against its server.
        """
        self.stage = Stage.ANSWERED
        if self._attempts is not None:
            self._attempts.answered(self._latency, well=well)

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There will be no more of the response; ask again where that is safe."""
        self._connection = None
        server = self.server
        if server is None:
            self.fail(error)
            return
        is_stale = untouched and isinstance(error, ResponseIncomplete)
        if is_stale and self._repeat_on_new_connection(server):
            return
        if not is_stale:
            server.failed()
        if self.stage < Stage.ANSWERED:
            self._attempt_failed(error, sent=True)
        elif self._pacing is not None and self.stage is Stage.RESPONDING:
            # The client sees the part that came before, at its pace.
            self._pacing.response.end(partial(self.fail, error))
        else:
            self.fail(error)

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """Join the two connections: the server switched protocols, as the client asked."""
        connection = self._connection
        section = self.exchange.request.section
        if connection is None or not upgrade_lines(section):
            if connection is not None:
                connection.abandon()
            error = BadResponse("the server switched protocols without being asked")
            self.response_failed(error, untouched=False)
            return
        if self._pacing is not None:
            self._pacing.request.drain()
        exchange = self.exchange
        exchange.responded = now = monotonic()
        exchange.status = response.status
        self._latency = now - connection.asked
        if self.server is not None:
            self.server.answered(self._latency)
        self._response_begun()
        fields = exchange.pipeline.rules.response_fields(response, content_length=False)
        upgrade = response.section.values.get(b"upgrade", b"")
        head = b"%s%sConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % (
            status_line(response.status, response.reason),
            fields,
            upgrade,
        )
        self._client.start_tunnel(head, connection, data)

    # --- pacing.Outlets -----------------------------------------------------------------------

    def hold_response(self, hold: bool) -> None:
        """See ``pacing.Outlets``."""
        connection, source = self._connection, self._source
        if connection is not None:
            if hold:
                connection.hold()
            else:
                connection.unhold()
        elif source is not None:
            if hold:
                source.pause()
            else:
                source.resume()

    # --- the end ------------------------------------------------------------------------------

    def make_tunnel(self, joint: Joint) -> Tunnel:
        """Make the tunnel that this exchange becomes; see ``net.tunnel``."""
        return Tunnel(joint) if self._pacing is None else self._pacing.tunnel(joint)

    def _leave_upstream(self) -> None:
        """Nothing is wanted of servers, or of a source, any more."""
        source, self._source = self._source, None
        if source is not None:
            source.stop()
        if self._attempts is not None:
            self._attempts.stop()
        self.leave_server(self._latency)

    def _ended(self) -> None:
        """See ``Road``."""
        if self._taps is not None:
            self._taps.abandoned()
        server, self.server = self.server, None
        if server is not None:
            server.ended(self._latency)
