"""A server that exchanges are sent to, with its pool of connections."""

from __future__ import annotations

from time import monotonic
from typing import Any, Protocol

from attrs import define, frozen
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..errors import ProxykitError, QueueFull, ServerNotUsable
from ..http1.limits import HeadLimits
from ..net.proxy_protocol import ProxyHeader
from ..net.sweeper import Sweeper
from .connection import UpstreamConnection
from .connector import Connector
from .failures import upstream_error
from .latency import after_failure, observed
from .queue import FairQueue


class ConnectionTaker(Protocol):
    """Who asked for a connection."""

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """Here it is."""

    def connection_failed(self, error: ProxykitError) -> None:
        """There will be none."""

    def proxied_for(self) -> ProxyHeader:
        """Say for whom the connection is, as the PROXY protocol tells a server."""


@frozen(slots=True)
class PoolLimits:
    """What one server may be asked for; times in seconds.

    :ivar connections: at most so many at a time.
    :ivar queue: at most so many exchanges wait for one.
    :ivar queue_seconds: and each so long.
    :ivar response_seconds: how long a server may send nothing while it is its turn.
    :ivar idle_seconds: how long an idle connection is kept.
    """

    connections: int = 100
    queue: int = 1000
    queue_seconds: float = 5.0
    response_seconds: float = 30.0
    idle_seconds: float = 60.0


class Judge(Protocol):
    """Who draws conclusions from how a server answers: outlier detection, circuit breakers."""

    def answered(self, seconds: float) -> None:
        """A response came that says nothing against the server.

        :param seconds: from the request to the response's head.
        """

    def failed(self) -> None:
        """The server could not be reached, did not answer, or answered that it cannot."""


class Trial(Protocol):
    """Who counts the exchanges of a server that is being tried: a half-open circuit breaker."""

    def began(self) -> None:
        """An exchange was given to the server."""

    def ended(self) -> None:
        """It is over, however it went."""


@define(slots=True, eq=False)
class _Waiting:
    taker: ConnectionTaker
    key: str
    timer: IDelayedCall | None = None


class Server:
    """One server and its connections: idle ones, active ones, and who waits for one.

    :ivar name: ``host:port`` or the socket's path, for logs and records.
    :ivar host: what Host says, in bytes; ``None`` when the client's is kept.
    :ivar backup: whether it is for when no other server of its pool is usable.
    :ivar connector: the way to it.
    :ivar effective_weight: what balancers go by: ``weight``, or less of it in a slow start.
    :ivar limit: how many exchanges can have a connection at a time.
    :ivar active: exchanges in flight on it, those among them that wait for a connection.
    :ivar latency: the peak average of its latency in seconds, 0.0 when unknown; it was observed
        at ``latency_at`` on the clock of ``time.monotonic`` and has faded since, see
        ``upstream.latency``.
    :ivar failures: how many exchanges in a row failed at it.
    :ivar judge: is told how each exchange went, ``None`` when nothing depends on that.
    :ivar trial: is told when each begins and ends, ``None`` when nothing depends on that.
    :ivar parent_fields: for an HTTP proxy, which is sent requests in absolute-form: the field
        lines to add; ``None`` for an origin.
    :ivar attempt_seconds: how long it may take to begin its response while another server can be
        asked; ``None`` for what the retry policy says, of which ``times_servers`` is set if not.
    """

    parent_fields: bytes | None = None
    attempt_seconds: float | None = None

    def __init__(
        self,
        name: str,
        connector: Connector,
        limits: PoolLimits,
        reactor: Any,
        sweeper: Sweeper,
        head_limits: HeadLimits | None = None,
        weight: float = 1,
        host: bytes | None = None,
        *,
        backup: bool = False,
    ) -> None:
        """Make a server without connections."""
        self.name = name
        self.host = host
        self.backup = backup
        self.effective_weight = self._weight = weight
        self._warmth = 1.0
        self.active = 0
        self.latency = 0.0
        self.latency_at = 0.0
        self.limit = limits.connections
        self.failures = 0
        self.judge: Judge | None = None
        self.trial: Trial | None = None
        self.connector = connector
        self.head_limits = head_limits or HeadLimits()
        self.response_seconds = limits.response_seconds
        self.idle_seconds = limits.idle_seconds
        self._limits = limits
        self._reactor = reactor
        self._sweeper = sweeper
        self._idle: list[UpstreamConnection] = []
        self._open = 0  # idle and active ones
        self._connecting = 0
        self._waiting: FairQueue[_Waiting] = FairQueue(limits.queue)
        self._retired = False

    def __repr__(self) -> str:
        idle = len(self._idle)
        return (
            f"<Server {self.name} {self.active} active {idle} idle {self._open - idle} busy "
            f"{self._connecting} connecting {len(self._waiting)} waiting>"
        )

    @property
    def is_unused(self) -> bool:
        """Whether it has no connection and nobody waits for one."""
        return not (self._open or self._connecting or self._waiting)

    @property
    def weight(self) -> float:
        """Its share in its pool, 0 for none; who changes it tells its pool to ``refresh``."""
        return self._weight

    @weight.setter
    def weight(self, weight: float) -> None:
        self._weight = weight
        self.effective_weight = weight * self._warmth

    @property
    def warmth(self) -> float:
        """How much of its weight counts: above 0, and 1 when no slow start is under way."""
        return self._warmth

    @warmth.setter
    def warmth(self, warmth: float) -> None:
        self._warmth = warmth
        self.effective_weight = self._weight * warmth

    # --- the accounts -------------------------------------------------------------------------

    def began(self) -> None:
        """An exchange is given to this server."""
        self.active += 1
        if self.trial is not None:
            self.trial.began()

    def answered(self, seconds: float) -> None:
        """A response came that says nothing against this server.

        :param seconds: from the request to the response's head.
        """
        self.failures = 0
        if self.judge is not None:
            self.judge.answered(seconds)

    def failed(self) -> None:
        """It could not be reached, did not answer, or answered that it cannot."""
        self.failures += 1
        now = monotonic()
        self.latency = after_failure(self.latency, now - self.latency_at)
        self.latency_at = now
        if self.judge is not None:
            self.judge.failed()

    def ended(self, seconds: float | None) -> None:
        """An exchange that was given to this server is over, or has gone on to another.

        :param seconds: from the request to the response's head, ``None`` when there is nothing to
            learn from it.
        """
        self.active -= 1
        if seconds is not None:
            now = monotonic()
            self.latency = observed(self.latency, now - self.latency_at, seconds)
            self.latency_at = now
        if self.trial is not None:
            self.trial.ended()

    # --- connections --------------------------------------------------------------------------

    def acquire(self, taker: ConnectionTaker, *, fresh: bool = False, key: str = "") -> None:
        """Ask for a connection; the taker is called at once when one is idle.

        :param fresh: one that has not served before.
        :param key: who asks. When connections are scarce, keys take turns.
        """
        if self._idle and not fresh:
            # The one used last: the others may then grow old and be closed.
            taker.connection_ready(self._idle.pop())
            return
        if fresh and self._idle and self._open >= self.limit:
            self._idle.pop().abandon()
        can_connect = self._open + self._connecting < self.limit
        if not can_connect and not self._has_place(key):
            taker.connection_failed(QueueFull(f"the queue for {self.name} is full"))
            return
        waiting = _Waiting(taker, key)
        self._waiting.append(key, waiting)
        if can_connect:
            self._connect()
        else:
            waiting.timer = self._reactor.callLater(
                self._limits.queue_seconds, self._waited_long, waiting
            )

    def _has_place(self, key: str) -> bool:
        """Say whether one more may wait; for the sake of ``key``, who has most may lose one."""
        if len(self._waiting) - self._connecting < self._waiting.most:
            return True
        greedy = self._waiting.make_room(key)
        if greedy is None:
            return False
        _stop(greedy)
        greedy.taker.connection_failed(QueueFull(f"others wait for {self.name} too"))
        return True

    def cancel(self, taker: ConnectionTaker) -> None:
        """Forget a taker that waits; a connection that was begun for it is kept."""
        for waiting in self._waiting:
            if waiting.taker is taker:
                self._waiting.remove(waiting.key, waiting)
                _stop(waiting)
                return

    def send_away(self) -> None:
        """Tell all who wait that there will be no connection: the server is not to be used now."""
        for waiting in list(self._waiting):
            self._waiting.remove(waiting.key, waiting)
            _stop(waiting)
            waiting.taker.connection_failed(ServerNotUsable(f"{self.name} is not usable any more"))

    def retire(self) -> None:
        """Close what is idle, and each other connection after its exchange.

        Exchanges that were given to it already, those that wait for a connection too, are served.
        """
        self._retired = True
        for connection in self._idle[:]:
            connection.abandon()

    # --- called by connections ----------------------------------------------------------------

    def released(self, connection: UpstreamConnection) -> None:
        """See ``connection.Owner``."""
        if self._waiting:
            waiting = self._waiting.popleft()
            _stop(waiting)
            waiting.taker.connection_ready(connection)
        elif self._retired:
            connection.abandon()
        else:
            self._idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """See ``connection.Owner``."""
        self._sweeper.discard(connection)
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._connect_for_waiting()

    # --- connecting ---------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connecting += 1
        connecting = self.connector.connect(lambda: UpstreamConnection(self))
        connecting.addCallbacks(self._connected, self._not_connected)

    def _connected(self, connection: UpstreamConnection) -> None:
        self._connecting -= 1
        self._open += 1
        self._sweeper.add(connection)
        self.released(connection)

    def _not_connected(self, failure: Failure) -> None:
        self._connecting -= 1
        if self._waiting:
            waiting = self._waiting.popleft()
            _stop(waiting)
            waiting.taker.connection_failed(upstream_error(failure, self.name))
        self._connect_for_waiting()

    def _connect_for_waiting(self) -> None:
        if len(self._waiting) > self._connecting and self._open + self._connecting < self.limit:
            self._connect()

    def _waited_long(self, waiting: _Waiting) -> None:
        waiting.timer = None
        self._waiting.remove(waiting.key, waiting)
        waiting.taker.connection_failed(
            QueueFull(f"no connection to {self.name} became free in time")
        )


def _stop(waiting: _Waiting) -> None:
    if waiting.timer is not None:
        waiting.timer.cancel()
        waiting.timer = None
