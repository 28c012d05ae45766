"""Connects through a parent proxy: first to it, then the handshake, then the bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import ConnectTimeout, ProxykitError, UpstreamError
from ..net.handover import hand_over
from .connector import Connector
from .failures import upstream_error
from .handshakes import Handshake, in_proxys_words


@implementer(IHandshakeListener)
class _Handshaking(Protocol):
    """A connection to a parent, until its handshake is done."""

    def __init__(self, handshake: Handshake | None, name: str) -> None:
        """Make one that is not connected yet.

        :param handshake: ``None`` when there is only TLS's.
        """
        self._handshake = handshake
        self._name = name
        self.done: Deferred[_Handshaking] = Deferred()

    @property
    def rest(self) -> bytes:
        """What came behind the handshake."""
        handshake = self._handshake
        return (handshake.rest or b"") if handshake is not None else b""

    def connectionMade(self) -> None:
        """The parent is there."""
        if self._handshake is not None:
            self._step(self._handshake.begin)

    def dataReceived(self, data: bytes) -> None:
        """Take what the parent says."""
        handshake = self._handshake
        if handshake is None or self.done.called:
            return
        self._step(lambda: handshake.received(data))
        if handshake.rest is not None and not self.done.called:
            self.done.callback(self)

    def handshakeCompleted(self) -> None:
        """TLS is there, and the certificate was verified."""
        if self._handshake is None and not self.done.called:
            self.done.callback(self)

    def _step(self, step: Callable[[], bytes]) -> None:
        transport: Any = self.transport
        try:
            data = step()
        except Exception as error:
            found = in_proxys_words(error, self._name)
            if found is None:
                raise
            self.fail(found)
            return
        if data:
            transport.write(data)

    def fail(self, error: ProxykitError) -> None:
        """Give up."""
        if not self.done.called:
            self.done.errback(error)
            transport: Any = self.transport
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The parent ended the connection."""
        if not self.done.called:
            error = upstream_error(reason, f"the parent {self._name}")
            if error.error_type == "http_response_incomplete":
                error = UpstreamError(f"the parent {self._name} ended the connection")
            self.done.errback(error)


class ParentConnector:
    """Connects through a parent.

    :ivar preface: see ``TcpConnector``.
    """

    def __init__(
        self,
        connector: Connector,
        begin: Callable[[], Handshake] | None,
        name: str,
        reactor: Any,
        seconds: float,
    ) -> None:
        """Describe the way.

        :param connector: connects to the parent itself.
        :param begin: makes a handshake; ``None`` when there is only TLS's.
        :param name: the parent's, without credentials.
        :param seconds: for the whole of a handshake.
        """
        self._connector = connector
        self._begin = begin
        self._name = name
        self._reactor = reactor
        self._seconds = seconds
        self.preface = b""

    def connect(self, build: Callable[[], Protocol], preface: bytes | None = None) -> Deferred[Any]:
        """See ``TcpConnector.connect``; fails with a ``ProxykitError``."""
        outcome: Deferred[Any] = Deferred()
        begin, name = self._begin, self._name

        def connected(handshaking: _Handshaking) -> Deferred[_Handshaking]:
            error = ConnectTimeout(f"the parent {name} did not make the connection in time")
            timer = self._reactor.callLater(self._seconds, handshaking.fail, error)

            def stop(result: Any) -> Any:
                if timer.active():
                    timer.cancel()
                return result

            return handshaking.done.addBoth(stop)

        def shaken(handshaking: _Handshaking) -> None:
            connection = build()
            hand_over(handshaking.transport, connection)
            outcome.callback(connection)
            # Only now has the connection somebody to take what the destination said already.
            if handshaking.rest:
                connection.dataReceived(handshaking.rest)

        def failed(failure: Failure) -> None:
            outcome.errback(upstream_error(failure, f"the parent {name}"))

        connecting = self._connector.connect(
            lambda: _Handshaking(begin() if begin is not None else None, name),
            self.preface if preface is None else preface,
        )
        connecting.addCallback(connected).addCallbacks(shaken, failed)
        return outcome
