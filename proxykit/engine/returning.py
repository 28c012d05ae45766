"""The way back of one exchange: a response, the filters that see it, the end.

The response is a server's, or an answer that was made here. What waits is written with callbacks,
what does not wait is plain calls: an exchange without filters makes no Deferred.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import ProxykitError
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import CHUNKED, NO_CONTENT, Framing, Length, NoContent
from ..message.response import Response
from ..message.source import ContentSource
from ..upstream.connection import UpstreamConnection
from .answers import error_answer
from .client import Client
from .exchange import Exchange
from .pacing import ExchangePacing
from .pipeline import NO_ROUTE, Chain, Pipeline, Route
from .stage import Stage
from .transforms import Transforms

_log = Logger()


class Returning:
    """An exchange, as far as its response goes.

    ``Sending``, ``Road`` and ``Relay`` add the rest; each call either moves the exchange on or ends
    it, and after the end nothing does anything.

    :ivar stage: how far it has come.
    """

    __slots__ = (
        "_chain",
        "_client",
        "_connection",
        "_pacing",
        "_pipeline",
        "_response_transforms",
        "_route",
        "_source",
        "exchange",
        "stage",
    )

    def __init__(self, pipeline: Pipeline, exchange: Exchange, client: Client) -> None:
        """Begin; call ``start`` next.

        :param pipeline: the exchange's.
        """
        self.exchange = exchange
        self.stage = Stage.FILTERING
        self._client = client
        self._pipeline = pipeline
        self._chain: Chain = pipeline.chain
        self._route: Route = NO_ROUTE
        # What brings the response: a server's connection, or what a cache has in its place.
        self._connection: UpstreamConnection | None = None
        self._response_transforms: Transforms | None = None
        self._source: ContentSource | None = None  # of an answer made here, if it has one
        self._pacing: ExchangePacing | None = None

    # --- what is done with servers, of which nothing is known here ----------------------------

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There will be no more of the response; see ``upstream.ResponseTaker``."""
        raise NotImplementedError

    def _leave_upstream(self) -> None:
        """Nothing is wanted of servers, or of a source, any more."""
        raise NotImplementedError

    def _ended(self) -> None:
        """The exchange is over."""

    # --- filters ------------------------------------------------------------------------------

    def wait(self, waitable: Awaitable[Any], then: Callable[[Any], None]) -> None:
        """Go on with a result when it is there, unless the exchange has ended by then.

        The client is held back until then.
        """
        deferred: Deferred[Any]
        if isinstance(waitable, Deferred):
            deferred = waitable
        else:
            deferred = Deferred.fromCoroutine(_await(waitable))

        def go_on(result: Any) -> None:
            if self.stage is not Stage.ENDED:
                then(result)
            elif isinstance(result, Response) and result.source is not None:
                result.source.stop()  # an answer that came too late

        def fail(failure: Failure) -> None:
            if self.stage is not Stage.ENDED:
                self._raised(failure.value, self.exchange, failure)

        deferred.addCallback(go_on).addErrback(fail)

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
                self.wait(result, partial(self._response_filtered, response, index))
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

    # --- a server's response ------------------------------------------------------------------

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
        fields = self._pipeline.rules.response_fields(response, content_length=not transformed)
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

    def flush(self) -> None:
        """All that one read of the upstream connection brought was handed over."""
        self._client.flush()

    def response_ended(self, trailers: FieldSection) -> None:
        """The response is complete; its connection, if it came on one, is back in its pool."""
        self._connection = self._source = None
        if self._response_transforms:
            data = self._response_transforms.finish()
            if isinstance(data, bytes):
                self._end_response(trailers, data)
            else:
                self.wait(data, partial(self._end_response, trailers))
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

    # --- answers ------------------------------------------------------------------------------

    def answer(self, response: Response) -> None:
        """Answer with a response that was made here; it too passes the response filters."""
        self._leave_upstream()
        self._source = response.source
        if self._chain.response:
            self._filter_response(response, 0)
        else:
            self._respond(response)

    def refuse(self, response: Response) -> None:
        """Answer what could not be read: no filter has a say in that."""
        self._chain = self._chain.observers_only()
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
        fields = self._pipeline.rules.response_fields(response, content_length=False)
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
        fields = self._pipeline.rules.response_fields(response, content_length=False)
        if size is not None:
            fields += b"Content-Length: %d\r\n" % size
        self._client.send_response(response, fields, NO_CONTENT if without_content else framing)
        if without_content:
            self._leave_upstream()
            self._finish()
            self._client.end_response(EMPTY_SECTION)
        else:
            source.start(self)

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
            response = error_answer(error, exchange, self._pipeline.rules.pseudonym.decode())
            error_page = self._route.error_page
            if error_page is not None:
                response = error_page(exchange, response)
            self.answer(response)

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

    # --- pacing.Outlets -----------------------------------------------------------------------

    def response_may_go(self, data: bytes) -> None:
        """See ``pacing.Outlets``."""
        self.exchange.sent_bytes += len(data)
        self._client.send_content(data)
        self._client.flush()

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

    def _finish(self) -> None:
        """End, once, and hand the record to the observers."""
        if self.stage is Stage.ENDED:
            return
        self.stage = Stage.ENDED
        if self._pacing is not None:
            self._pacing.close()
        self._ended()
        self._tell_observers()

    def _tell_observers(self) -> None:
        exchange = self.exchange
        observers = self._pipeline.observers
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
            exchange.detail = exchange.detail or f"tunnel ended: {reason}"
        self._finish()


async def _await(waitable: Awaitable[Any]) -> Any:
    return await waitable


def _has_content(exchange: Exchange, response: Response) -> bool:
    """Say whether a response has content, or is a HEAD's whose GET would have some.

    RFC 9110 section 9.3.2: the fields of both should be the same, so body filters are asked for
    both; what they would do to a HEAD's length is all that is used of them.
    """
    if type(response.framing) is not NoContent:
        return True
    return exchange.request.method == b"HEAD" and response.status not in (204, 304)
