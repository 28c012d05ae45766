"""Drives one exchange along the road: filters, route, upstream, filters, client.

What waits is written with callbacks, what does not wait is plain calls: an exchange without
filters makes no Deferred. ``Relay`` is called from two sides, by the client's connection (what the
client sent) and by the upstream connection (what the server sent); each call either moves the
exchange on or ends it, and after the end nothing does anything.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import (
    BadResponse,
    BodyTooLarge,
    NoRoute,
    ParentCredentialsRefused,
    ProxykitError,
    ResponseIncomplete,
    Unavailable,
)
from ..http1.writer import chunk, last_chunk, status_line
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import CHUNKED, NO_CONTENT, Framing, Length, NoContent
from ..message.response import Response
from ..message.source import ContentSource
from ..net.proxy_protocol import ProxyHeader
from ..net.sweeper import NEVER, Sweeper
from ..net.tunnel import Tunnel
from ..upstream.connection import UpstreamConnection
from ..upstream.retries import IDEMPOTENT, RetryPolicy
from ..upstream.server import Server
from .answers import error_answer
from .attempts import Attempts
from .cache import ResponseSource
from .client import Client
from .exchange import Exchange
from .forwarding import absolute_target, framing_line, upgrade_lines
from .max_forwards import last_recipient
from .pacing import ExchangePacing
from .pipeline import Chain, Route
from .transforms import Transforms

_log = Logger()

NO_RETRIES = RetryPolicy(retries=0)


class Stage(enum.IntEnum):
    """How far an exchange has come; a retry goes back to ``CONNECTING``, all else goes on."""

    FILTERING = 0
    CONNECTING = 1
    WAITING = 2  # the request was sent, or is being sent
    ANSWERED = 3  # bytes of a response are the client's, or are being filtered: no other attempt
    RESPONDING = 4
    ENDED = 5


class Relay:
    """One exchange on its way.

    :ivar server: which one has been given the exchange, ``None`` when none has.
    """

    __slots__ = (
        "_attempts",
        "_body_size",
        "_chain",
        "_client",
        "_connection",
        "_held",
        "_latency",
        "_pacing",
        "_policy",
        "_replaced",
        "_request_framing",
        "_request_transforms",
        "_response_transforms",
        "_sending_paused",
        "_source",
        "_taps",
        "exchange",
        "server",
        "stage",
        "watch",
    )

    def __init__(self, exchange: Exchange, client: Client) -> None:
        """Begin; call ``start`` next."""
        self.exchange = exchange
        self.stage = Stage.FILTERING
        self._client = client
        self._chain: Chain = exchange.pipeline.chain
        self._connection: UpstreamConnection | None = None
        self.server: Server | None = None
        self._attempts: Attempts | None = None
        self._policy = NO_RETRIES
        self._latency: float | None = None
        self._sending_paused = False  # the server does not take more of the content
        self._request_framing: Framing = exchange.request.framing
        # Content that came before there was a connection to send it on, its end as None.
        self._held: list[bytes | FieldSection] | None = None
        self._request_transforms: Transforms | None = None
        self._response_transforms: Transforms | None = None
        # Sees the head of what upstream answers: a cache's, where it did not take the exchange.
        self.watch: Callable[[Response], None] | None = None
        self._replaced = False  # a filter answered: what comes from upstream is thrown away
        self._source: ContentSource | None = None  # of an answer made here, if it has one
        self._body_size: int | None = None  # the limit, once the route that sets it was chosen
        self._taps: list[Any] | None = None
        self._pacing: ExchangePacing | None = None

    # --- the road, outward --------------------------------------------------------------------

    def start(self) -> None:
        """Send the exchange on its way."""
        exchange = self.exchange
        request = exchange.request
        try:
            values = request.section.values
            if b"via" in values:
                exchange.pipeline.rules.check_loop(request.section)
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
            self._wait(result, partial(self._filtered, steps, index, then))
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
        route = self.exchange.pipeline.choose(self.exchange)
        if isinstance(route, Route):
            self._route_chosen(route)
        else:
            self._wait(route, self._route_chosen)

    def _route_chosen(self, route: Route) -> None:
        self.exchange.route = route
        self._chain = route.chain
        if route.inner.request:
            self._run_filters(route.inner.request, 0, self._take_route)
        else:
            self._take_route()

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

    # --- attempts at servers ------------------------------------------------------------------

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

    def leave_server(self, seconds: float | None = None) -> None:
        """Let go of the server that was asked, whatever it does.

        :param seconds: how long it took or had, ``None`` when that says nothing about it.
        """
        connection, self._connection = self._connection, None
        server, self.server = self.server, None
        if connection is not None:
            connection.abandon()
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

    def _limit_content(self, route: Route) -> None:
        """Hold the route's limit on content, or the listener's, from now on and for what came.

        :raises BodyTooLarge: when the request says, or has shown, that it is over it.
        """
        exchange = self.exchange
        limit = exchange.pipeline.body_size if route.body_size is None else route.body_size
        if limit is None:
            return
        self._body_size = limit
        framing = exchange.request.framing
        size = framing.size if isinstance(framing, Length) else exchange.received_bytes
        if size > limit:
            raise _too_large(limit)

    def _wait(self, waitable: Awaitable[Any], then: Callable[[Any], None]) -> None:
        """Go on with a result when it is there; the client is held back until then."""
        deferred: Deferred[Any]
        if isinstance(waitable, Deferred):
            deferred = waitable
        else:
            deferred = Deferred.fromCoroutine(_await(waitable))

        def go_on(result: Any) -> None:
            if self.stage is not Stage.ENDED:
                then(result)

        def fail(failure: Failure) -> None:
            if self.stage is not Stage.ENDED:
                self._raised(failure.value, self.exchange, failure)

        deferred.addCallback(go_on).addErrback(fail)

    # --- called by a cache --------------------------------------------------------------------

    @property
    def identity(self) -> object:
        """The identity of the client: see ``Client``."""
        return self._client.identity

    @property
    def is_filtered(self) -> bool:
        """Whether filters have to see the response or its content, or set its pace."""
        chain = self._chain
        return bool(chain.response or chain.response_body or self._pacing is not None)

    def wait(self, waitable: Awaitable[Any], then: Callable[[Any], None]) -> None:
        """Go on with a result when it is there, unless the exchange has ended by then."""
        self._wait(waitable, then)

    def attach(self, source: ResponseSource) -> None:
        """Take the response from a source, which calls as an upstream connection does."""
        self.stage = Stage.WAITING
        # It is asked for no more than a source can: there is no request to send on it.
        self._connection = cast(UpstreamConnection, source)

    def detach(self) -> None:
        """Let go of a source that has not given anything."""
        self._connection = None

    def send_stored(self, response: Response, fields: bytes, content: bytes) -> None:
        """Answer with what is stored: nothing filters it, and nothing has to be waited for.

        :param response: is not changed, and may be shared by any number of exchanges.
        :param fields: the field lines, Content-Length among them.
        """
        exchange = self.exchange
        exchange.response = response
        exchange.status = response.status
        self.stage = Stage.RESPONDING
        client = self._client
        client.send_response(response, fields, response.framing)
        if content and exchange.request.method != b"HEAD":
            exchange.sent_bytes += len(content)
            client.send_content(content)
        self._finish()
        client.end_response(EMPTY_SECTION)

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
            self._open_taps()
        if content and self._attempts is not None:
            self._send_kept(connection, self._attempts)
        if self._held is not None:
            held, self._held = self._held, None
            for piece in held:
                if isinstance(piece, bytes):
                    self._pass_content(connection, piece)
                else:
                    self.request_ended(piece)
            if self._pacing is None:
                self._client.hold_request(self._sending_paused)
            elif not self._pacing.request.holds:
                self._client.hold_request(False)

    def _send_kept(self, connection: UpstreamConnection, attempts: Attempts) -> None:
        """Send content again that a server before this one was sent."""
        kept, trailers = attempts.kept()
        self._sending_paused = False
        if self._pacing is not None:
            self._pacing.request.block(False)
        for data in kept:
            connection.write(data)
        if trailers is not None:
            self._finish_request(connection, trailers)
        elif kept and self._held is None and self._pacing is None:
            self._client.hold_request(self._sending_paused)

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

    def _open_taps(self) -> None:
        """Show the request to those who watch what is sent."""
        self._taps = []
        for step in self._chain.taps:
            try:
                tap = step(self.exchange)
            except Exception:
                _log.failure("a tap failed; the exchange goes on without it")
                continue
            if tap is not None:
                self._taps.append(tap)
        if isinstance(self._request_framing, NoContent):
            self._tell_taps("ended")

    def _tell_taps(self, what: str, *arguments: Any) -> None:
        """Tell the taps something; one that fails is told no more, and breaks nothing."""
        taps = self._taps
        if not taps:
            return
        for tap in taps[:]:
            try:
                getattr(tap, what)(*arguments)
            except Exception:
                _log.failure("a tap failed; the exchange goes on without it")
                taps.remove(tap)
        if what != "feed":
            taps.clear()

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

    def request_content(self, data: bytes) -> None:
        """Take content that the client sent."""
        exchange = self.exchange
        exchange.received_bytes += len(data)
        if self.stage is Stage.ENDED or exchange.error_type:
            return
        limit = self._body_size
        if limit is not None and exchange.received_bytes > limit:
            self.fail(_too_large(limit))
            return
        connection = self._connection
        if connection is None:
            if self._held is None:
                self._held = []
                self._client.hold_request(True)
            self._held.append(data)
            return
        self._pass_content(connection, data)

    def _pass_content(self, connection: UpstreamConnection, data: bytes) -> None:
        """Send content of the request, at its pace if it has one."""
        if self._pacing is None:
            self._send_content(connection, data)
            return
        flow = self._pacing.request
        flow.feed(data)
        if flow.kept:
            connection.deadline = NEVER  # it is not the server who is slow

    def _send_content(self, connection: UpstreamConnection | None, data: bytes) -> None:
        """Transform content and send it.

        :param connection: ``None`` between two attempts; what is kept is sent by the next one.
        """
        if self._request_transforms:
            data = self._request_transforms.feed(data)
        if data:
            self._send_transformed(connection, data)

    def _send_transformed(self, connection: UpstreamConnection | None, data: bytes) -> None:
        if self._taps:
            self._tell_taps("feed", data)
        if self._request_framing is CHUNKED:
            data = chunk(data)
        if self._attempts is not None:
            self._attempts.keep(data)
        if connection is not None:
            connection.write(data)

    def request_ended(self, trailers: FieldSection) -> None:
        """The client's request is complete."""
        if self.stage is Stage.ENDED:
            return
        connection = self._connection
        if connection is None:
            if self._held is None:
                self._held = []
            self._held.append(trailers)
        elif self._pacing is None:
            self._end_request(trailers)
        else:
            self._pacing.request.end(partial(self._end_request, trailers))

    def _end_request(self, trailers: FieldSection) -> None:
        connection = self._connection
        if self._request_transforms:
            data = self._request_transforms.finish()
            assert isinstance(data, bytes)  # IBodyFilter: only a response's may have to wait
            if data:
                self._send_transformed(connection, data)
        self._tell_taps("ended")
        if self._attempts is not None:
            self._attempts.keep_end(trailers)
        if connection is not None:
            self._finish_request(connection, trailers)

    def _finish_request(self, connection: UpstreamConnection, trailers: FieldSection) -> None:
        connection.finish(last_chunk(trailers) if self._request_framing is CHUNKED else b"")

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

    def fail(self, error: ProxykitError) -> None:
        """End the exchange with an error: as an answer, or by cutting the response short."""
        if self.stage is Stage.ENDED:
            return
        exchange = self.exchange
        exchange.error_type = error.error_type
        exchange.detail = str(error)
        self._leave_upstream()
        if self.stage is Stage.RESPONDING:
            self._finish()
            self._client.abort_response()
        else:
            response = error_answer(error, exchange, exchange.pipeline.rules.pseudonym.decode())
            route = exchange.route
            if route is not None and route.error_page is not None:
                response = route.error_page(exchange, response)
            self.answer(response)

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
            if response.status == 407 and connection.parent_fields is not None:
                # Meant for this proxy (RFC 9110 section 11.7.1), not for its client.
                self.fail(ParentCredentialsRefused("the parent asks for credentials, or others"))
                return False
            self._latency = seconds = now - connection.asked
            # Below 400 a response says that the server can.
            if response.status < 400:
                server.answered(seconds)
            elif self._is_unwelcome(response, server, seconds):
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

    def _filter_response(self, response: Response, index: int) -> None:
        steps = self._chain.response
        try:
            while index < len(steps):
                result = steps[index](self.exchange, response)
                index += 1
                if result is None:
                    continue
                if isinstance(result, Response):
                    response = self._replace(response, result)
                    continue
                self._hold_response()
                self._wait(result, partial(self._response_filtered, response, index))
                return
        except Exception as error:
            self._raised(error, self.exchange)
            return
        self._respond(response)

    def _hold_response(self) -> None:
        """Take no content from upstream while a filter waits."""
        if self._connection is not None:
            self._connection.hold()

    def _response_filtered(self, response: Response, index: int, result: Response | None) -> None:
        if result is not None:
            response = self._replace(response, result)
        connection = self._connection
        self._filter_response(response, index)
        if connection is not None and self._connection is connection:
            connection.unhold()

    def _replace(self, old: Response, new: Response) -> Response:
        """Put another response in the place of one, of which the rest is not wanted."""
        if new is not old:
            self._leave_upstream()
            self._source = new.source
        return new

    def _respond(self, response: Response) -> None:
        """Send a response's head on; its content follows, unless the proxy made it."""
        exchange = self.exchange
        if self._connection is None:
            self._send_own(response)
            return
        exchange.response = response
        exchange.status = response.status
        self.stage = Stage.RESPONDING
        framing: Framing = response.framing
        transformed = False
        if self._chain.response_body and _has_content(exchange, response):
            transforms = Transforms.made_by(self._chain.response_body, exchange, response)
            transformed = transforms is not None
            if transformed and type(framing) is not NoContent:
                self._response_transforms = transforms
                framing = CHUNKED
        fields = exchange.pipeline.rules.response_fields(response, content_length=not transformed)
        self._client.send_response(response, fields, framing)

    def content_received(self, data: bytes) -> None:
        """Pass content of the response on."""
        if self._response_transforms:
            data = self._response_transforms.feed(data)
            if not data:
                return
        self._send_response_content(data)

    def _send_response_content(self, data: bytes) -> None:
        if self._pacing is not None:
            self._pacing.response.feed(data)
            return
        self.exchange.sent_bytes += len(data)
        self._client.send_content(data)

    def response_ended(self, trailers: FieldSection) -> None:
        """The response is complete; its connection, if it came on one, is back in its pool."""
        self._connection = self._source = None
        if self._response_transforms:
            data = self._response_transforms.finish()
            if isinstance(data, bytes):
                self._end_response(trailers, data)
            else:
                self._wait(data, partial(self._end_response, trailers))
        elif self._pacing is None:
            self._complete(trailers)
        else:
            self._end_response(trailers, b"")

    def _end_response(self, trailers: FieldSection, data: bytes) -> None:
        """Send what the transforms gave last, and end."""
        if data:
            self._send_response_content(data)
        if self._pacing is None:
            self._complete(trailers)
        else:
            self._pacing.request.close()  # what is left of the request, nobody takes any more
            self._pacing.response.end(partial(self._complete, trailers))

    def _complete(self, trailers: FieldSection) -> None:
        self._finish()
        self._client.end_response(trailers)

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
            self.fail(BadResponse("the server switched protocols without being asked"))
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

    def flush(self) -> None:
        """All that one read of the upstream connection brought was handed over."""
        self._client.flush()

    def pause_sending(self) -> None:
        """The server does not take more for now."""
        self._sending_paused = True
        if self._pacing is None:
            self._client.hold_request(True)
        else:
            self._pacing.request.block(True)

    def resume_sending(self) -> None:
        """The server takes more again."""
        self._sending_paused = False
        if self._pacing is None:
            self._client.hold_request(False)
        else:
            self._pacing.request.block(False)

    def refuse(self, response: Response) -> None:
        """Answer what could not be read: no filter has a say in that."""
        self._chain = self._chain.observers_only()
        self._respond(response)

    # --- pacing.Outlets -----------------------------------------------------------------------

    def request_may_go(self, data: bytes) -> None:
        """See ``pacing.Outlets``."""
        connection = self._connection
        self._send_content(connection, data)
        if connection is not None and self._pacing is not None and self._pacing.request.kept:
            connection.deadline = NEVER

    def response_may_go(self, data: bytes) -> None:
        """See ``pacing.Outlets``."""
        self.exchange.sent_bytes += len(data)
        self._client.send_content(data)
        self._client.flush()

    def hold_client(self, hold: bool) -> None:
        """See ``pacing.Outlets``."""
        self._client.hold_request(hold)

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

    def make_tunnel(
        self,
        client: Any,
        upstream: Any,
        sweeper: Sweeper,
        idle_seconds: float,
        ended: Callable[[Tunnel], None],
    ) -> Tunnel:
        """Make the tunnel that this exchange becomes; see ``net.tunnel``."""
        make = Tunnel if self._pacing is None else self._pacing.tunnel
        return make(client, upstream, sweeper, idle_seconds, ended)

    # --- answers and the end ------------------------------------------------------------------

    def answer(self, response: Response) -> None:
        """Answer with a response that was made here; it too passes the response filters."""
        self._leave_upstream()
        self._source = response.source
        if self._chain.response:
            self._filter_response(response, 0)
        else:
            self._respond(response)

    def _send_own(self, response: Response) -> None:
        if response.source is not None:
            self._stream_own(response, response.source)
            return
        exchange = self.exchange
        exchange.response = response
        exchange.status = response.status
        body = response.body
        framing: Framing = Length(len(body)) if body else response.framing
        fields = exchange.pipeline.rules.response_fields(response, content_length=False)
        if response.status not in (204, 304):
            fields += b"Content-Length: %d\r\n" % len(body)
        self.stage = Stage.RESPONDING
        without_content = exchange.request.method == b"HEAD" or not body
        self._client.send_response(response, fields, framing)
        if not without_content:
            exchange.sent_bytes += len(body)
            self._client.send_content(body)
        self._finish()
        self._client.end_response(EMPTY_SECTION)

    def _stream_own(self, response: Response, source: ContentSource) -> None:
        """Send an answer whose content comes piece by piece; see ``message.source``."""
        exchange = self.exchange
        exchange.response = response
        exchange.status = response.status
        self.stage = Stage.RESPONDING
        size = source.size
        framing = response.framing
        without_content = exchange.request.method == b"HEAD" or isinstance(framing, NoContent)
        if self._chain.response_body and not without_content:
            self._response_transforms = Transforms.made_by(
                self._chain.response_body, exchange, response
            )
            if self._response_transforms:
                framing, size = CHUNKED, None
        fields = exchange.pipeline.rules.response_fields(response, content_length=False)
        if size is not None:
            fields += b"Content-Length: %d\r\n" % size
        self._client.send_response(response, fields, NO_CONTENT if without_content else framing)
        if without_content:
            self._leave_upstream()
            self._finish()
            self._client.end_response(EMPTY_SECTION)
        else:
            source.start(self)

    def _raised(
        self, error: BaseException | None, exchange: Exchange, failure: Failure | None = None
    ) -> None:
        """Answer for an exception that a filter, a router or a balancer raised."""
        if not isinstance(error, ProxykitError):
            _log.failure(
                "exchange {id} failed inside the proxy", failure or Failure(error), id=exchange.id
            )
            error = ProxykitError("the proxy failed inside; its log says how")
        # The response filters may be what failed: the answer goes out without them.
        self._chain = self._chain.observers_only()
        self.fail(error)

    def _leave_upstream(self) -> None:
        """Nothing is wanted of servers, or of a source, any more."""
        source, self._source = self._source, None
        if source is not None:
            source.stop()
        if self._attempts is not None:
            self._attempts.stop()
        self.leave_server(self._latency)

    def _finish(self) -> None:
        """End, once, and hand the record to the observers."""
        if self.stage is Stage.ENDED:
            return
        self.stage = Stage.ENDED
        if self._pacing is not None:
            self._pacing.close()
        if self._taps:
            self._tell_taps("abandoned")
        server, self.server = self.server, None
        if server is not None:
            server.ended(self._latency)
        self._tell_observers()

    def _tell_observers(self) -> None:
        exchange = self.exchange
        observers = exchange.pipeline.observers
        if self._chain.observers:
            observers += self._chain.observers
        if observers:
            record = exchange.record(monotonic())
            for finished in observers:
                try:
                    finished(record)
                except Exception:
                    _log.failure("an observer failed")

    def tunnel_ended(self, received: int, sent: int, reason: str) -> None:
        """The tunnel that this exchange became is closed."""
        exchange = self.exchange
        exchange.tunnel = True
        exchange.received_bytes += received
        exchange.sent_bytes += sent
        if reason != "closed":
            exchange.detail = f"tunnel ended: {reason}"
        self._finish()


async def _await(waitable: Awaitable[Any]) -> Any:
    return await waitable


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the content is larger than {limit} bytes")


def _has_content(exchange: Exchange, response: Response) -> bool:
    """Say whether a response has content, or is a HEAD's whose GET would have some.

    RFC 9110 section 9.3.2: the fields of both should be the same, so body filters are asked for
    both; what they would do to a HEAD's length is all that is used of them.
    """
    if type(response.framing) is not NoContent:
        return True
    return exchange.request.method == b"HEAD" and response.status not in (204, 304)
