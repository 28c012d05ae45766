"""A circuit breaker: a server that fails is not asked at all for a while, then tried with few.

Where outlier detection compares servers and always leaves some in, a breaker judges one server by
itself: when every server of a pool is broken, requests are answered 503 at once and not one after
the other after a time-out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall


class BreakerState(enum.Enum):
    """Whether exchanges pass."""

    CLOSED = "closed"  # all do
    OPEN = "open"  # none does
    HALF_OPEN = "half-open"  # a few do, to see


@frozen(slots=True)
class BreakerSettings:
    """When a breaker opens and closes; times in seconds.

    :ivar failures: in a row, 0 for any number.
    :ivar failure_share: of the exchanges in a window; ``None`` for any share.
    :ivar fewest: exchanges in a window before the share says anything.
    :ivar window: how long exchanges are counted together.
    :ivar open_seconds: how long it stays open the first time; twice as long each time that a trial
        fails.
    :ivar open_most: but not longer.
    :ivar trials: how many exchanges at a time pass when it is half-open.
    :ivar successes: how many of them in a row close it.
    """

    failures: int = 5
    failure_share: float | None = 0.5
    fewest: int = 20
    window: float = 10.0
    open_seconds: float = 5.0
    open_most: float = 60.0
    trials: int = 1
    successes: int = 2


class Breaker:
    """The breaker of one server; its ``Judge``, and while half-open its ``Trial``.

    :ivar state: whether exchanges pass.
    """

    def __init__(
        self, settings: BreakerSettings, clock: Any, changed: Callable[[Breaker], None]
    ) -> None:
        """Make a closed one.

        :param clock: an ``IReactorTime``.
        :param changed: called after each change of ``state`` or of ``admits``.
        """
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._failures = 0  # in a row
        self._successes = 0  # in a row, of trials
        self._exchanges = self._failed = 0  # in this window
        self._window_began = clock.seconds()
        self._trials = 0  # that are not over
        self._opened = 0  # times in a row
        self._timer: IDelayedCall | None = None
        self.state = BreakerState.CLOSED

    @property
    def admits(self) -> bool:
        """Whether another exchange may pass now."""
        if self.state is BreakerState.HALF_OPEN:
            return self._trials < self._settings.trials
        return self.state is BreakerState.CLOSED

    def answered(self, seconds: float) -> None:
        """See ``upstream.server.Judge``."""
        if self.state is BreakerState.CLOSED:
            self._failures = 0
            self._count(failed=False)
        elif self.state is BreakerState.HALF_OPEN:
            self._successes += 1
            if self._successes >= self._settings.successes:
                self._close()

    def failed(self) -> None:
        """See ``upstream.server.Judge``."""
        if self.state is BreakerState.HALF_OPEN:
            self._open()
        elif self.state is BreakerState.CLOSED:
            self._failures += 1
            too_many = 0 < self._settings.failures <= self._failures
            if self._count(failed=True) or too_many:
                self._open()

    def began(self) -> None:
        """See ``upstream.server.Trial``."""
        self._trials += 1
        if self.state is BreakerState.HALF_OPEN and not self.admits:
            self._changed(self)

    def ended(self) -> None:
        """See ``upstream.server.Trial``."""
        # What began before the breaker opened may end now; it was never counted.
        admitted = self.admits
        self._trials = max(0, self._trials - 1)
        if self.admits and not admitted:
            self._changed(self)

    def stop(self) -> None:
        """Change by itself no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def inherit(self, before: Breaker) -> None:
        """Take over the state under the configuration before this one."""
        if before.state is not BreakerState.CLOSED:
            self._opened = max(0, before._opened - 1)
            self._open()

    def _count(self, *, failed: bool) -> bool:
        """Count an exchange; give whether too large a share of this window's failed."""
        share = self._settings.failure_share
        if share is None:
            return False
        now = self._clock.seconds()
        if now - self._window_began >= self._settings.window:
            self._window_began = now
            self._exchanges = self._failed = 0
        self._exchanges += 1
        self._failed += failed
        return (
            failed
            and self._exchanges >= self._settings.fewest
            and self._failed >= share * self._exchanges
        )

    def _open(self) -> None:
        self.stop()
        self._opened += 1
        seconds = self._settings.open_seconds * 2 ** min(self._opened - 1, 16)
        self._timer = self._clock.callLater(min(seconds, self._settings.open_most), self._half_open)
        self._move(BreakerState.OPEN)

    def _half_open(self) -> None:
        self._timer = None
        self._successes = 0
        self._trials = 0
        self._move(BreakerState.HALF_OPEN)

    def _close(self) -> None:
        self._opened = self._failures = 0
        self._exchanges = self._failed = 0
        self._window_began = self._clock.seconds()
        self._move(BreakerState.CLOSED)

    def _move(self, state: BreakerState) -> None:
        self.state = state
        self._changed(self)
