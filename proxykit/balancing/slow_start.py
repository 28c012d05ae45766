"""Slow start: a server that came back gets its share little by little."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from twisted.internet.interfaces import IDelayedCall

_STEPS = 20
_SHORTEST_STEP_SECONDS = 0.1


class SlowStart:
    """Warms the servers of one pool: their effective weight rises linearly from a small share.

    It rises in steps, so that it costs nothing between them, and nothing at all when no server is
    being warmed. Servers that are there from the beginning are warm: a proxy that was just
    started, or reloaded, must not send all it has to a few.
    """

    def __init__(self, reactor: Any, seconds: float) -> None:
        """Begin without servers.

        :param seconds: how long it takes from cold to warm.
        """
        self._reactor = reactor
        self._seconds = seconds
        self._step = max(seconds / _STEPS, _SHORTEST_STEP_SECONDS)
        self._usable: Collection[Any] | None = None
        self._began: dict[Any, float] = {}
        self._timer: IDelayedCall | None = None
        self._changed: Callable[[], None] | None = None

    def watch(self, changed: Callable[[], None]) -> None:
        """Say who is told that effective weights have changed."""
        self._changed = changed

    def usable(self, servers: Collection[Any]) -> None:
        """Take note of who is usable now; who was not before is warmed from here on."""
        before, self._usable = self._usable, servers
        if before is None:
            return
        now = self._reactor.seconds()
        for server in servers:
            if server not in before:
                self._began[server] = now
                server.warmth = self._share(0.0)
        for server in before:
            if server not in servers and self._began.pop(server, None) is not None:
                server.warmth = 1.0
        if self._began and self._timer is None:
            self._timer = self._reactor.callLater(self._step, self._rise)

    def stop(self) -> None:
        """Leave all as they are."""
        self._began.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rise(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        for server, began in list(self._began.items()):
            server.warmth = share = self._share(now - began)
            if share == 1.0:
                del self._began[server]
        if self._began:
            self._timer = self._reactor.callLater(self._step, self._rise)
        if self._changed is not None:
            self._changed()

    def _share(self, elapsed: float) -> float:
        return min(max(elapsed / self._seconds, 1.0 / _STEPS), 1.0)
