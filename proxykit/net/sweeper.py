"""Time-outs without a timer for each of them."""

from __future__ import annotations

from time import monotonic
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

NEVER = float("inf")

_log = Logger()


class Expiring(Protocol):
    """Something that has to have got somewhere by a point in time.

    :ivar deadline: on the clock of ``time.monotonic``, in seconds; ``NEVER`` for no time-out.
    """

    deadline: float

    def deadline_passed(self) -> None:
        """Called once a second while the deadline lies in the past."""


class Sweeper:
    """Looks at all that can time out, once a second.

    :ivar clock: what it waits with.

    A ``callLater`` for each request costs more than the request's parsing; noting a number costs
    nothing, and no time-out here means anything at a finer grain than a second.
    """

    def __init__(self, clock: Any) -> None:
        """Make one that does nothing yet.

        :param clock: the ``IReactorTime`` to wait with.
        """
        self.clock: IReactorTime = clock
        self._things: set[Expiring] = set()
        self._call: IDelayedCall | None = None
        self.add = self._things.add
        self.discard = self._things.discard

    def start(self) -> None:
        """Begin to sweep."""
        self._call = self.clock.callLater(1.0, self._sweep)

    def stop(self) -> None:
        """Stop sweeping."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _sweep(self) -> None:
        self._call = self.clock.callLater(1.0, self._sweep)
        now = monotonic()
        for thing in [thing for thing in self._things if thing.deadline < now]:
            try:
                thing.deadline_passed()
            except Exception:
                _log.failure("a time-out of {thing!r} failed", thing=thing)
