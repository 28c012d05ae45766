"""A hedge: a second attempt beside the first, for the sake of a response that comes in time."""

from __future__ import annotations

from typing import Protocol

from ..errors import ProxykitError, Unavailable
from ..message.fields import FieldSection
from ..message.response import Response
from ..net.proxy_protocol import ProxyHeader
from ..upstream.connection import ResponseTaker, UpstreamConnection
from ..upstream.server import Server
from .exchange import Exchange


class Hedged(ResponseTaker, Protocol):
    """Whose request is sent a second time, and who then takes the response: the relay.

    :ivar exchange: the one that both attempts are for.
    """

    exchange: Exchange

    def head(self, server: Server, connection: UpstreamConnection) -> bytes:
        """Write the request's head as a server is to get it on a connection."""

    def proxied_for(self) -> ProxyHeader:
        """Give the client's and this side's address, as the PROXY protocol tells a server."""

    def take_over(self, server: Server, connection: UpstreamConnection) -> None:
        """Go on with a hedge that has answered, in the place of the slower attempt."""


class Hedging(Protocol):
    """Who makes a hedge, and knows what became of the first attempt."""

    def hedge_may_answer(self, response: Response) -> bool:
        """Say whether a hedge's response is wanted: the first server may do better."""

    def is_failure(self, response: Response) -> bool:
        """Say whether a response counts against its server."""

    def hedge_won(self) -> None:
        """The hedge has answered first: from here on it is the exchange's own attempt."""

    def hedge_lost(self, server: Server) -> None:
        """The hedge has failed; the first server may answer still."""


class Hedge:
    """A second attempt beside the first.

    When it answers first it becomes the exchange's own: then it hands on all that its connection
    says. It takes a connection and a response like the relay does.

    :ivar server: which it asks.
    """

    __slots__ = ("_attempts", "_connection", "_is_over", "_relay", "_won", "server")

    def __init__(self, attempts: Hedging, relay: Hedged, server: Server) -> None:
        """Make one that has not asked yet."""
        self._attempts = attempts
        self._relay = relay
        self._connection: UpstreamConnection | None = None
        self._won = False
        self._is_over = False
        self.server = server

    def start(self) -> None:
        """Ask."""
        exchange = self._relay.exchange
        exchange.attempts += 1
        self.server.began()
        self.server.acquire(self, key=exchange.client_address)

    def stop(self, *, failed: bool) -> None:
        """Give up.

        :param failed: whether that counts against the server.
        """
        self._is_over = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()
        else:
            self.server.cancel(self)
        if failed:
            self.server.failed()
        self.server.ended(None)

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        self._connection = connection
        request = self._relay.exchange.request
        connection.begin(
            self, request.method, self._relay.head(self.server, connection), content=False
        )

    def proxied_for(self) -> ProxyHeader:
        """See ``upstream.ConnectionTaker``."""
        return self._relay.proxied_for()

    def connection_failed(self, error: ProxykitError) -> None:
        """There is no connection."""
        self._lose(failed=not isinstance(error, Unavailable))

    def interim_received(self, response: Response) -> None:
        """Interim responses are of the attempt that is passed on, which is not known yet."""

    def response_received(self, response: Response) -> None:
        """Become the exchange's own attempt, for this is the first answer."""
        if not self._attempts.hedge_may_answer(response):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.abandon()
            self._lose(failed=self._attempts.is_failure(response))
            return
        assert self._connection is not None
        self._won = True
        self._attempts.hedge_won()
        self._relay.take_over(self.server, self._connection)
        self._relay.response_received(response)

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There is no response, or no more of it."""
        if self._won:
            self._relay.response_failed(error, untouched=False)
        else:
            self._connection = None
            self._lose(failed=not untouched)

    def _lose(self, *, failed: bool) -> None:
        if not self._is_over:
            self._is_over = True
            if failed:
                self.server.failed()
            self.server.ended(None)
            self._attempts.hedge_lost(self.server)

    def content_received(self, data: bytes) -> None:
        """Hand on."""
        self._relay.content_received(data)

    def response_ended(self, trailers: FieldSection) -> None:
        """Hand on."""
        self._relay.response_ended(trailers)

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """Nobody asked for one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()
        self._lose(failed=True)

    def flush(self) -> None:
        """Hand on."""
        if self._won:
            self._relay.flush()

    def pause_sending(self) -> None:
        """There is no content."""

    def resume_sending(self) -> None:
        """There is no content."""
