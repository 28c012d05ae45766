"""A server that is told by the PROXY protocol for whom each connection is."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from ..net.proxy_protocol import NOBODY, ProxyHeader, Version, encode
from .connection import UpstreamConnection
from .failures import upstream_error
from .server import ConnectionTaker, Server


class TellingServer(Server):
    """A server whose every connection begins with a PROXY protocol header.

    The header says for whom a connection is, so it serves that client's connection and no other:
    it is made for one taker, and used again only for one who is told of in the same words. Where
    all connections are taken, an idle one of another client is closed to make room.
    """

    def __init__(self, *arguments: Any, version: Version, **more: Any) -> None:
        """Make a server without connections.

        :param version: of the PROXY protocol.
        """
        super().__init__(*arguments, **more)
        self._version = version
        self._begun: set[ConnectionTaker] = set()
        self._told: dict[UpstreamConnection, ProxyHeader] = {}
        # Who connects for no client, a health check, says so.
        self.connector.preface = encode(NOBODY, version)

    def acquire(self, taker: ConnectionTaker, *, fresh: bool = False, **more: Any) -> None:
        """See ``Server.acquire``."""
        if not fresh:
            header = taker.proxied_for()
            for connection in reversed(self._idle):
                if self._told.get(connection) == header:
                    self._idle.remove(connection)
                    taker.connection_ready(connection)
                    return
        super().acquire(taker, fresh=True, **more)

    def released(self, connection: UpstreamConnection) -> None:
        """See ``connection.Owner``."""
        if self._retired or self._waiting:
            # Whoever waits is another client: its connection can be made when this one is closed.
            connection.abandon()
        else:
            self._idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """See ``connection.Owner``."""
        self._told.pop(connection, None)
        super().lost(connection)

    def _connect(self) -> None:
        """Connect for the first who waits and for whom nobody connects yet."""
        for waiting in self._waiting:
            taker = waiting.taker
            if taker not in self._begun:
                break
        else:
            return
        header = taker.proxied_for()
        self._begun.add(taker)
        self._connecting += 1
        connecting = self.connector.connect(
            lambda: UpstreamConnection(self), encode(header, self._version)
        )
        connecting.addCallbacks(
            self._made, self._not_made, callbackArgs=(taker, header), errbackArgs=(taker,)
        )

    def _made(
        self, connection: UpstreamConnection, taker: ConnectionTaker, header: ProxyHeader
    ) -> None:
        self._connecting -= 1
        self._open += 1
        self._sweeper.add(connection)
        self._begun.discard(taker)
        self._told[connection] = header
        if self._waits(taker):
            self.cancel(taker)  # it waits no longer
            taker.connection_ready(connection)
        else:
            self.released(connection)

    def _not_made(self, failure: Failure, taker: ConnectionTaker) -> None:
        self._connecting -= 1
        self._begun.discard(taker)
        if self._waits(taker):
            self.cancel(taker)
            taker.connection_failed(upstream_error(failure, self.name))
        self._connect_for_waiting()

    def _waits(self, taker: ConnectionTaker) -> bool:
        return any(waiting.taker is taker for waiting in self._waiting)
