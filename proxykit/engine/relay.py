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

from ..errors import BadResponse, BodyTooLarge, NoRoute, ProxykitError
from ..http1.writer import chunk, last_chunk, status_line
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import CHUNKED, Framing, Length, NoContent
from ..message.response import Response
from ..net.files import FileRegion
from ..upstream.connection import UpstreamConnection
from ..upstream.server import Server
from .answers import error_answer
from .cache import ResponseSource
from .client import Client
from .exchange import Exchange
from .forwarding import framing_line, upgrade_lines
from .max_forwards import last_recipient
from .pipeline import Chain, Route
from .transforms import Transforms

_log = Logger()

# RFC 9110 section 9.2.2: what may be sent again when nobody knows whether it arrived.
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class Stage(enum.IntEnum):
    """How far an exchange has come; it only ever goes on."""

    FILTERING = 0
    CONNECTING = 1
    WAITING = 2  # the request was sent, or is being sent
    RESPONDING = 3
    ENDED = 4


class Relay:
    """One exchange on its way."""

    __slots__ = (
        "_chain",
        "_client",
        "_connection",
        "_held",
        "_replaced",
        "_request_framing",
        "_request_transforms",
        "_response_transforms",
        "_retries",
        "_server",
        "exchange",
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
        self._server: Server | None = None
        self._retries = 0
        self._request_framing: Framing = exchange.request.framing
        # Content that came before there was a connection to send it on, its end as None.
        self._held: list[bytes | FieldSection] | None = None
        self._request_transforms: Transforms | None = None
        self._response_transforms: Transforms | None = None
        # Sees the head of what upstream answers: a cache's, where it did not take the exchange.
        self.watch: Callable[[Response], None] | None = None
        self._replaced = False  # a filter answered: what comes from upstream is thrown away

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
        if route.strip_prefix:
            _strip_prefix(exchange, route.strip_prefix)
        if self._chain.request_body and not isinstance(self._request_framing, NoContent):
            self._request_transforms = Transforms.made_by(self._chain.request_body, exchange)
            if self._request_transforms:
                self._request_framing = CHUNKED
        self._retries = route.upstream.retries
        server = route.upstream.choose(exchange)
        self._server = server
        exchange.upstream = server.name
        self.stage = Stage.CONNECTING
        # A tunnel needs a connection that was never used: it will never be given back.
        server.acquire(self, fresh=route.tunnel)

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
        """Whether filters have to see the response or its content."""
        chain = self._chain
        return bool(chain.response or chain.response_body)

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

    def send_stored(self, response: Response, fields: bytes, content: bytes | FileRegion) -> None:
        """Answer with what is stored: nothing filters it, and nothing has to be waited for.

        :param response: is not changed, and may be shared by any number of exchanges.
        :param fields: the field lines, Content-Length among them.
        :param content: out of a file, if the client's side can send that.
        """
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
            elif (send_file := getattr(client, "send_file", None)) is not None:
                send_file(content)
            else:
                client.send_content(content.read())
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
        assert self._server is not None
        if route.tunnel:
            self._client.start_tunnel(
                b"HTTP/1.1 200 Connection established\r\n\r\n", connection, b""
            )
            return
        request = exchange.request
        fields = exchange.pipeline.rules.request_fields(
            exchange, self._client.identity, self._server.host
        )
        framing = self._request_framing
        head = b"%s %s HTTP/1.1\r\n%s%s%s\r\n" % (
            request.method,
            request.origin_target,
            fields,
            framing_line(request, framing),
            upgrade_lines(request.section) if request.section.options else b"",
        )
        connection.begin(self, request.method, head, content=type(framing) is not NoContent)
        if self._held is not None:
            held, self._held = self._held, None
            for piece in held:
                if isinstance(piece, bytes):
                    self.request_content(piece)
                else:
                    self.request_ended(piece)
            self._client.hold_request(False)

    def connection_failed(self, error: ProxykitError) -> None:
        """There is no connection."""
        self.fail(error)

    # --- called by the client's side ----------------------------------------------------------

    def request_content(self, data: bytes) -> None:
        """Take content that the client sent."""
        exchange = self.exchange
        exchange.received_bytes += len(data)
        if self.stage is Stage.ENDED or exchange.error_type:
            return
        limit = exchange.pipeline.body_size
        if limit is not None and exchange.received_bytes > limit:
            self.fail(BodyTooLarge(f"the content is larger than {limit} bytes"))
            return
        connection = self._connection
        if connection is None:
            if self._held is None:
                self._held = []
                self._client.hold_request(True)
            self._held.append(data)
            return
        if self._request_transforms:
            data = self._request_transforms.feed(data)
        if data:
            connection.write(chunk(data) if self._request_framing is CHUNKED else data)

    def request_ended(self, trailers: FieldSection) -> None:
        """The client's request is complete."""
        if self.stage is Stage.ENDED:
            return
        connection = self._connection
        if connection is None:
            if self._held is None:
                self._held = []
            self._held.append(trailers)
            return
        if self._request_transforms:
            data = self._request_transforms.finish()
            if data:
                connection.write(chunk(data))
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
        if self._connection is not None and self.stage is Stage.RESPONDING:
            self._connection.pause()

    def resume_upstream(self) -> None:
        """The client takes more again."""
        if self._connection is not None and self.stage is Stage.RESPONDING:
            self._connection.resume()

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
            self.answer(error_answer(error, exchange, exchange.pipeline.rules.pseudonym.decode()))

    # --- upstream.ResponseTaker ---------------------------------------------------------------

    def interim_received(self, response: Response) -> None:
        """Pass an interim response on (RFC 9110 section 15.2), unless the client is too old."""
        if self.exchange.request.version:
            fields = self.exchange.pipeline.rules.response_fields(response, content_length=False)
            self._client.send_interim(
                status_line(response.status, response.reason) + fields + b"\r\n"
            )

    def response_received(self, response: Response) -> None:
        """Take the final response's head."""
        exchange = self.exchange
        exchange.responded = monotonic()
        if self.watch is not None:
            self.watch(response)
        if self._chain.response:
            # Content must not overtake filters that wait.
            self._filter_response(response, 0)
        else:
            self._respond(response)

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
        """Put another response in the place of upstream's, of which the rest is not wanted."""
        if new is not old and self._connection is not None:
            self._leave_upstream()
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
        if self._chain.response_body and type(framing) is not NoContent:
            self._response_transforms = Transforms.made_by(
                self._chain.response_body, exchange, response
            )
            if self._response_transforms:
                framing = CHUNKED
        fields = exchange.pipeline.rules.response_fields(
            response, content_length=self._response_transforms is None
        )
        self._client.send_response(response, fields, framing)

    def content_received(self, data: bytes) -> None:
        """Pass content of the response on."""
        if self._response_transforms:
            data = self._response_transforms.feed(data)
            if not data:
                return
        self.exchange.sent_bytes += len(data)
        self._client.send_content(data)

    def response_ended(self, trailers: FieldSection) -> None:
        """The response is complete, and the connection is back in its pool."""
        self._connection = None
        if self._response_transforms:
            data = self._response_transforms.finish()
            if data:
                self.exchange.sent_bytes += len(data)
                self._client.send_content(data)
        self._finish()
        self._client.end_response(trailers)

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There will be no more of the response; ask again where that is safe."""
        self._connection = None
        exchange = self.exchange
        request = exchange.request
        if (
            untouched
            and self._retries > 0
            and request.method in _IDEMPOTENT
            and isinstance(self._request_framing, NoContent)
            and self._server is not None
        ):
            self._retries -= 1
            self.stage = Stage.CONNECTING
            self._server.acquire(self, fresh=True)
            return
        self.fail(error)

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """Join the two connections: the server switched protocols, as the client asked."""
        connection = self._connection
        section = self.exchange.request.section
        if connection is None or not upgrade_lines(section):
            self.fail(BadResponse("the server switched protocols without being asked"))
            return
        exchange = self.exchange
        exchange.responded = monotonic()
        exchange.status = response.status
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
        self._client.hold_request(True)

    def resume_sending(self) -> None:
        """The server takes more again."""
        self._client.hold_request(False)

    def refuse(self, response: Response) -> None:
        """Answer what could not be read: no filter has a say in that."""
        self._chain = self._chain.observers_only()
        self._respond(response)

    # --- answers and the end ------------------------------------------------------------------

    def answer(self, response: Response) -> None:
        """Answer with a response that was made here; it too passes the response filters."""
        self._leave_upstream()
        if self._chain.response:
            self._filter_response(response, 0)
        else:
            self._respond(response)

    def _send_own(self, response: Response) -> None:
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
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()
        elif self.stage is Stage.CONNECTING and self._server is not None:
            self._server.cancel(self)

    def _finish(self) -> None:
        """End, once, and hand the record to the observers."""
        if self.stage is Stage.ENDED:
            return
        self.stage = Stage.ENDED
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


def _strip_prefix(exchange: Exchange, prefix: bytes) -> None:
    target = exchange.request.origin_target
    if target.startswith(prefix):
        rest = target[len(prefix) :]
        exchange.request.origin_target = rest if rest.startswith(b"/") else b"/" + rest
