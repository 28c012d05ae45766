"""What a health check does: a connection of its own, a question, a judgement, and the end.

A check never takes a connection that serves exchanges: a server may be out of order so far that
what it says there is the answer to something else. It reads no more than it has to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import BadResponse, ProxykitError, ResponseIncomplete, UpstreamError
from ..http1.limits import HeadLimits
from ..http1.reader import ResponseReader
from ..interfaces import IHealthCheck
from ..message.response import Response
from ..upstream.connector import Connector
from ..upstream.failures import upstream_error

# Of a response, its head included: a check that wants to see more is no check of health.
_MOST_BYTES = 128 * 1024


class _Probe(Protocol):
    """One check under way."""

    transport: Any

    def __init__(self, result: Deferred[None]) -> None:
        self._result: Deferred[None] | None = result

    def finish(self, error: ProxykitError | None = None) -> None:
        """The check is over; the connection is not needed any more."""
        result, self._result = self._result, None
        transport = self.transport
        if transport is not None:
            # An orderly end under TLS waits for the peer's; there may be none.
            if error is None and not ISSLTransport.providedBy(transport):
                transport.loseConnection()
            else:
                transport.abortConnection()
        if result is None:
            return
        if error is None:
            result.callback(None)
        else:
            result.errback(error)

    def give_up(self) -> None:
        """Nobody waits for the result any more."""
        self._result = None
        if self.transport is not None:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server closed before it had said enough."""
        self.finish(upstream_error(reason, "the server"))


class _TcpProbe(_Probe):
    """Good when it connects."""

    def connectionMade(self) -> None:
        self.finish()


@implementer(IHandshakeListener)
class _TlsProbe(_Probe):
    """Good when the handshake is done, the certificate verified."""

    def handshakeCompleted(self) -> None:
        """Both sides are content."""
        self.finish()


class _HttpProbe(_Probe):
    """Good when the response is as expected."""

    def __init__(self, result: Deferred[None], question: HttpQuestion) -> None:
        super().__init__(result)
        self._question = question
        self._reader = ResponseReader(HeadLimits())
        self._reader.expect(question.method)
        self._received = 0
        self._has_head = False
        self._content = b""

    def connectionMade(self) -> None:
        self.transport.write(self._question.head)

    def dataReceived(self, data: bytes) -> None:
        if self._result is None:
            return
        self._received += len(data)
        self._reader.feed(data)
        try:
            self._read()
        except BadResponse as error:
            self.finish(error)
        if self._received > _MOST_BYTES and self._result is not None:
            if self._has_head:
                self._judge_content()
            else:
                self.finish(BadResponse("its check is answered with interim responses only"))

    def _read(self) -> None:
        while self._result is not None and (event := self._reader.next_event()) is not None:
            if isinstance(event, Response):
                if event.status >= 200:
                    self._judge_head(event.status)
            elif isinstance(event, bytes):
                self._content += event
            else:
                self._judge_content()

    def _judge_head(self, status: int) -> None:
        question = self._question
        self._has_head = True
        if not question.expects(status):
            self.finish(UpstreamError(f"its check was answered {status}"))
        elif question.content is None:
            self.finish()

    def _judge_content(self) -> None:
        content = self._question.content
        if content is None or content(self._content):
            self.finish()
        else:
            self.finish(UpstreamError("the content of its check's answer is not as expected"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._result is not None and self._reader.close() is not None:
            self._judge_content()
        else:
            self.finish(ResponseIncomplete("the server closed before it had answered its check"))


@frozen(slots=True)
class HttpQuestion:
    """What an HTTP check asks, and what the answer has to be.

    :ivar method: of the request.
    :ivar head: the whole request.
    :ivar statuses: ranges, both ends included.
    :ivar content: says whether the answer's content is as it has to be; ``None`` for any.
    """

    method: bytes
    head: bytes
    statuses: tuple[tuple[int, int], ...]
    content: Callable[[bytes], bool] | None = None

    @classmethod
    def of(
        cls,
        method: str,
        path: str,
        host: str,
        statuses: tuple[tuple[int, int], ...] = ((200, 399),),
        content: Callable[[bytes], bool] | None = None,
    ) -> HttpQuestion:
        """Write the request."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: proxykit (health check)\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        )
        return cls(method.encode("ascii"), head.encode("ascii"), statuses, content)

    def expects(self, status: int) -> bool:
        """Say whether a status is good."""
        return any(low <= status <= high for low, high in self.statuses)


@implementer(IHealthCheck)
class Check:
    """A kind of check of one server."""

    def __init__(self, connector: Connector, make: Callable[[Deferred[None]], _Probe]) -> None:
        """Describe it; the three functions below do."""
        self._connector = connector
        self._make = make

    def check(self) -> Deferred[None]:
        """See ``IHealthCheck``."""
        probes: list[_Probe] = []

        def cancel(_: Deferred[None]) -> None:
            for probe in probes:
                probe.give_up()
            connecting.cancel()

        result: Deferred[None] = Deferred(cancel)

        def make() -> _Probe:
            probes.append(self._make(result))
            return probes[-1]

        def not_connected(failure: Failure) -> None:
            if not result.called and not failure.check(CancelledError, ConnectingCancelledError):
                result.errback(upstream_error(failure, "the server"))

        connecting: Deferred[Any] = self._connector.connect(make)
        connecting.addErrback(not_connected)
        return result


def tcp_check(connector: Connector) -> Check:
    """Make a check that is good when the server takes a connection."""
    return Check(connector, _TcpProbe)


def tls_check(connector: Connector) -> Check:
    """Make a check that is good when a TLS handshake succeeds.

    :param connector: one that speaks TLS.
    """
    return Check(connector, _TlsProbe)


def http_check(connector: Connector, question: HttpQuestion) -> Check:
    """Make a check that is good when the response is as expected."""
    return Check(connector, lambda result: _HttpProbe(result, question))
