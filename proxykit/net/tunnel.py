"""Two transports joined: what CONNECT, Upgrade and SOCKS end in."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import ISSLTransport

from .buffering import unsent
from .sweeper import Sweeper

# How long a side that is being closed may take nothing of what it was sent; see ``Times.body``.
_LEAVING_SECONDS = 60.0


@frozen(slots=True, eq=False)
class Joint:
    """Two transports that a tunnel is to join; neither may have a producer registered.

    :ivar client: the client's transport.
    :ivar upstream: the other side's transport.
    :ivar idle_seconds: how long neither side may send anything.
    :ivar ended: called once, just before both transports are closed.
    """

    client: Any
    upstream: Any
    sweeper: Sweeper
    idle_seconds: float
    ended: Callable[[Tunnel], None]


class Tunnel:
    """Carries bytes both ways between two transports until both ways have ended.

    Half-close is kept: when one side ends its way, the other side is told and may go on with its
    own. Whoever is slower holds back the faster, for each transport is the other's producer.

    :ivar from_client_bytes: what the client has sent so far.
    :ivar from_upstream_bytes: what the other side has sent so far.
    :ivar reason: why it ended: ``"closed"``, ``"idle"``, ``"client lost"``, ``"upstream lost"``.
    """

    def __init__(self, joint: Joint) -> None:
        """Join two transports."""
        self._client = joint.client
        self._upstream = joint.upstream
        self._sweeper = joint.sweeper
        self._idle_seconds = joint.idle_seconds
        self._ended: Callable[[Tunnel], None] | None = joint.ended
        self._client_done = self._upstream_done = False
        self._connected = [joint.client, joint.upstream]
        self._unsent = 0  # when it was last looked at whether they take what they were sent
        self.from_client_bytes = 0
        self.from_upstream_bytes = 0
        self.reason = ""
        self.deadline = monotonic() + joint.idle_seconds
        joint.sweeper.add(self)
        self._register_producers()

    def _register_producers(self) -> None:
        self._client.registerProducer(self._upstream, True)
        self._upstream.registerProducer(self._client, True)

    def client_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self.from_client_bytes += len(data)
        self.deadline = monotonic() + self._idle_seconds
        self._upstream.write(data)

    def upstream_received(self, data: bytes) -> None:
        """Take what the other side sent."""
        self.from_upstream_bytes += len(data)
        self.deadline = monotonic() + self._idle_seconds
        self._client.write(data)

    def client_ended(self) -> None:
        """The client will send no more."""
        self._client_done = True
        self._pass_end(self._upstream)

    def upstream_ended(self) -> None:
        """The other side will send no more."""
        self._upstream_done = True
        self._pass_end(self._client)

    def client_lost(self) -> None:
        """The client's connection is gone."""
        self._gone(self._client)
        self._end("closed" if self._upstream_done else "client lost")

    def upstream_lost(self) -> None:
        """The other connection is gone."""
        self._gone(self._upstream)
        self._end("closed" if self._client_done else "upstream lost")

    def deadline_passed(self) -> None:
        """Called by the sweeper."""
        if self._ended is not None:
            self._end("idle")
            return
        before, self._unsent = self._unsent, sum(map(unsent, self._connected))
        if self._unsent < before:
            self._watch_leaving()
            return
        # A peer that reads no more would keep its connection, and our end of it, for ever.
        for transport in self._connected:
            transport.abortConnection()

    def close(self, reason: str) -> None:
        """End both ways now.

        :param reason: for the log.
        """
        self._end(reason)

    def _pass_end(self, transport: Any) -> None:
        if self._client_done and self._upstream_done:
            self._end("closed")
        elif ISSLTransport.providedBy(transport):
            # TLS under Twisted cannot close one direction, and closing TCP's under it would be
            # seen as an attack; so the end of one way ends both.
            self._end("closed")
        else:
            transport.loseWriteConnection()

    def _end(self, reason: str) -> None:
        ended = self._ended
        if ended is None:
            return
        self._ended = None
        self.reason = reason
        # First, for a transport whose way out is closed already is lost as soon as it is told to.
        ended(self)
        for transport in (self._client, self._upstream):
            transport.unregisterProducer()
            transport.loseConnection()
            # A transport that was held back must read again, or it will not see its peer's end.
            transport.resumeProducing()
        self._unsent = sum(map(unsent, self._connected))
        self._watch_leaving()

    def _watch_leaving(self) -> None:
        self.deadline = monotonic() + min(_LEAVING_SECONDS, self._idle_seconds)

    def _gone(self, transport: Any) -> None:
        """Take note of a transport that is lost; with the last, nothing is left to watch."""
        if transport in self._connected:
            self._connected.remove(transport)
        if not self._connected:
            self._sweeper.discard(self)
