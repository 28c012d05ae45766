"""The way out of one exchange: filters, route, and one server after the other until one answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, cast

from ..errors import NoRoute, ProxykitError, Unavailable
from ..message.fields import EMPTY_SECTION
from ..message.framing import CHUNKED, NoContent
from ..message.response import Response
from ..net.files import FileRegion
from ..net.proxy_protocol import ProxyHeader
from ..upstream.connection import UpstreamConnection
from ..upstream.retries import IDEMPOTENT, RetryPolicy
from ..upstream.server import Server
from .attempts import Attempts
from .cache import ResponseSource
from .client import Client
from .exchange import Exchange
from .forwarding import absolute_target, framing_line, upgrade_lines
from .max_forwards import last_recipient
from .pacing import ExchangePacing
from .pipeline import Pipeline, Route
from .sending import Sending
from .stage import Stage
from .taps import Taps
from .transforms import Transforms

NO_RETRIES = RetryPolicy(retries=0)


class Road(Sending):
    """An exchange on its way to a server.

    :ivar server: which one has been given the exchange, ``None`` when none has.
    :ivar watch: sees the head of what upstream answers: a cache's, where it did not take the
        exchange.
    """

    __slots__ = ("_latency", "_policy", "server", "watch")

    def __init__(self, pipeline: Pipeline, exchange: Exchange, client: Client) -> None:
        """See ``Returning``."""
        Sending.__init__(self, pipeline, exchange, client)  # not super(): see there
        self.server: Server | None = None
        self.watch: Callable[[Response], None] | None = None
        self._policy = NO_RETRIES
        self._latency: float | None = None

    # --- what is done with a response, which is the relay's -----------------------------------

    def interim_received(self, response: Response) -> None:
        """See ``upstream.ResponseTaker``."""
        raise NotImplementedError

    def response_received(self, response: Response) -> None:
        """See ``upstream.ResponseTaker``."""
        raise NotImplementedError

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """See ``upstream.ResponseTaker``."""
        raise NotImplementedError

    # --- filters and the route ----------------------------------------------------------------

    def start(self) -> None:
        """Send the exchange on its way."""
        exchange = self.exchange
        request = exchange.request
        try:
            values = request.section.values
            if b"via" in values:
                self._pipeline.rules.check_loop(request.section)
            if b"max-forwards" in values and (answer := last_recipient(request)) is not None:
                self.answer(answer)
            elif self._chain.request:
                self._run_filters(self._chain.request, 0, self._choose_route)
            else:
                self._choose_route()
        except Exception as error:
            self._raised(error, exchange)

    def _run_filters(
        self, steps: tuple[Callable[[Exchange], Any], ...], index: int, then: Callable[[], None]
    ) -> None:
        """Run request filters from one on; one that has to wait goes on from here later."""
        exchange = self.exchange
        while index < len(steps):
            result = steps[index](exchange)
            index += 1
            if result is None:
                continue
            if isinstance(result, Response):
                self.answer(result)
                return
            self.wait(result, partial(self._filtered, steps, index, then))
            return
        then()

    def _filtered(
        self,
        steps: tuple[Callable[[Exchange], Any], ...],
        index: int,
        then: Callable[[], None],
        result: Response | None,
    ) -> None:
        if result is not None:
            self.answer(result)
        else:
            self._run_filters(steps, index, then)

    def _choose_route(self) -> None:
        route = self._pipeline.choose(self.exchange)
        if isinstance(route, Route):
            self._route_chosen(route)
        else:
            self.wait(route, self._route_chosen)

    def _route_chosen(self, route: Route) -> None:
        self.exchange.route = self._route = route
        self._chain = route.chain
        if route.inner.request:
            self._run_filters(route.inner.request, 0, self._take_route)
        else:
            self._take_route()

    def _take_route(self) -> None:
        """Go where the route leads that was chosen."""
        exchange = self.exchange
        route = self._route
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
        route = self._route
        assert route.upstream is not None
        if route.rewrite is not None:
            request = exchange.request
            request.origin_target = route.rewrite(request.origin_target)
        self._limit_content()
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

    # --- cache.Answerable ---------------------------------------------------------------------

    @property
    def identity(self) -> object:
        """The identity of the client: see ``Client``."""
        return self._client.identity

    @property
    def is_filtered(self) -> bool:
        """Whether filters have to see the response or its content, or set its pace."""
        chain = self._chain
        return bool(chain.response or chain.response_body or self._pacing is not None)

    def send_stored(self, response: Response, fields: bytes, content: bytes | FileRegion) -> None:
        """See ``cache.Answerable``."""
        exchange = self.exchange
        exchange.response = response
        exchange.status = response.status
        self.stage = Stage.RESPONDING
        client = self._client
        client.send_response(response, fields, response.framing)
        if content and exchange.request.method != b"HEAD":
            exchange.sent_bytes += len(content)
            if isinstance(content, bytes):
                client.send_content(content)
            else:
                client.send_file(content)
        self._finish()
        client.end_response(EMPTY_SECTION)

    def attach(self, source: ResponseSource) -> None:
        """Take the response from a source, which calls as an upstream connection does."""
        self.stage = Stage.WAITING
        # It is asked for no more than a source can: there is no request to send on it.
        self._connection = cast(UpstreamConnection, source)

    def detach(self) -> None:
        """Let go of a source that has not given anything."""
        self._connection = None

    # --- servers ------------------------------------------------------------------------------

    def ask(self, server: Server) -> None:
        """Give the exchange to a server."""
        exchange = self.exchange
        self.server = server
        exchange.upstream = server.name
        exchange.attempts += 1
        self.stage = Stage.CONNECTING
        if self._attempts is not None:
            self._attempts.arm()
        server.began()
        # A tunnel needs a connection that was never used: it will never be given back.
        server.acquire(self, fresh=self._route.tunnel, key=exchange.client_address)

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
            upstream = self._route.upstream
            assert upstream is not None
            attempts = self._attempts = Attempts(self, upstream, self._policy)
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

    # --- upstream.ConnectionTaker -------------------------------------------------------------

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """Send the request on a connection."""
        self._connection = connection
        self.stage = Stage.WAITING
        exchange = self.exchange
        exchange.reused = connection.served > 0
        assert self.server is not None
        if self._route.tunnel:
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
        fields = self._pipeline.rules.request_fields(exchange, self._client.identity, server.host)
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

    # --- the end ------------------------------------------------------------------------------

    def _leave_upstream(self) -> None:
        """Nothing is wanted of servers, or of a source, any more."""
        source, self._source = self._source, None
        if source is not None:
            source.stop()
        if self._attempts is not None:
            self._attempts.stop()
        self.leave_server(self._latency)

    def _ended(self) -> None:
        """See ``Returning``."""
        if self._taps is not None:
            self._taps.abandoned()
        server, self.server = self.server, None
        if server is not None:
            server.ended(self._latency)
