"""Active health checks: when a server is asked, and what its answers mean."""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import uniform
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..errors import ProxykitError


class Health(enum.Enum):
    """What the checks say of a server."""

    UNKNOWN = "unknown"  # nothing yet: it counts as usable
    UP = "up"
    DOWN = "down"


@frozen(slots=True)
class HealthSettings:
    """How often servers are checked; times in seconds.

    :ivar interval: between two checks of a server whose state is settled.
    :ivar fast_interval: while checks contradict its state, or exchanges with it have just failed.
    :ivar jitter: each wait is this share longer or shorter, by chance, so that proxies that were
        started together do not check together.
    :ivar timeout: for one check, from the connection on.
    :ivar rise: so many good checks in a row bring a server up.
    :ivar fall: so many bad ones take it down.
    """

    interval: float = 2.0
    fast_interval: float = 0.5
    jitter: float = 0.1
    timeout: float = 2.0
    rise: int = 2
    fall: int = 3


class RiseAndFall:
    """What a row of good and bad checks means.

    The first check of all settles the state: a server that was never seen to work is not given the
    benefit of ``fall`` failures.

    :ivar health: what the checks say so far.
    """

    def __init__(self, rise: int, fall: int) -> None:
        """Begin with nothing known."""
        self._rise = rise
        self._fall = fall
        self._against = 0  # checks in a row that contradict the state
        self.health = Health.UNKNOWN

    @property
    def is_in_doubt(self) -> bool:
        """Whether the latest checks contradict the state."""
        return self._against > 0

    def checked(self, *, good: bool) -> bool:
        """Take the result of a check.

        :returns: whether the state has changed.
        """
        if self.health is (Health.UP if good else Health.DOWN):
            self._against = 0
            return False
        self._against += 1
        needed = self._rise if good else self._fall
        if self.health is not Health.UNKNOWN and self._against < needed:
            return False
        self._against = 0
        self.health = Health.UP if good else Health.DOWN
        return True

    def inherit(self, before: RiseAndFall) -> None:
        """Take over what was known under other settings."""
        self.health = before.health


class HealthWatch:
    """Checks one server again and again, never twice at a time.

    :ivar state: what the checks say.
    :ivar is_pressing: whether few servers of the pool are usable, so that one that comes back has
        to be seen soon.
    """

    def __init__(
        self,
        settings: HealthSettings,
        check: Callable[[], Deferred[Any]],
        clock: Any,
        changed: Callable[[Health, str], None],
        checked: Callable[[bool], None] | None = None,
    ) -> None:
        """Make a watch that does not run yet.

        :param check: begins a check; its result fires if the server is well, and fails if not.
            When it is cancelled it lets go of its connection.
        :param clock: an ``IReactorTime``.
        :param changed: told of each change, and why.
        :param checked: told of each check, whether it was good.
        """
        self._checked = checked
        self._settings = settings
        self._check = check
        self._clock = clock
        self._changed = changed
        self._next: IDelayedCall | None = None
        self._checking: Deferred[Any] | None = None
        self._time_out: IDelayedCall | None = None
        self._is_running = False
        self.is_pressing = False
        self.state = RiseAndFall(settings.rise, settings.fall)

    def start(self) -> None:
        """Check at once, and from then on."""
        self._is_running = True
        self._begin()

    def stop(self) -> None:
        """Check no more; a check under way is given up."""
        self._is_running = False
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._checking is not None:
            self._checking.cancel()

    def hurry(self) -> None:
        """An exchange has failed: check soon."""
        if self._next is not None and (self.is_pressing or self.state.health is not Health.DOWN):
            soon = self._clock.seconds() + self._settings.fast_interval
            if self._next.getTime() > soon:
                self._next.reset(self._settings.fast_interval)

    def press(self, is_pressing: bool) -> None:
        """Say whether this server is sorely needed, if it is down."""
        if is_pressing != self.is_pressing:
            self.is_pressing = is_pressing
            if is_pressing and self.state.health is Health.DOWN:
                self.hurry()

    def _begin(self) -> None:
        self._next = None
        self._time_out = self._clock.callLater(self._settings.timeout, self._took_long)
        self._checking = checking = maybeDeferred(self._check)
        checking.addCallbacks(self._good, self._bad)

    def _took_long(self) -> None:
        self._time_out = None
        if self._checking is not None:
            self._checking.cancel()

    def _good(self, _: object) -> None:
        self._done(good=True, why="its check is good")

    def _bad(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            why = f"no answer in {self._settings.timeout:g} s"
        elif failure.check(ProxykitError):
            why = str(failure.value)
        else:
            why = f"{type(failure.value).__name__}: {failure.value}"[:200]
        self._done(good=False, why=why)

    def _done(self, *, good: bool, why: str) -> None:
        self._checking = None
        if self._time_out is not None:
            self._time_out.cancel()
            self._time_out = None
        if not self._is_running:
            return
        if self._checked is not None:
            self._checked(good)
        changed = self.state.checked(good=good)
        settings = self._settings
        is_down = self.state.health is Health.DOWN
        is_fast = self.state.is_in_doubt or (is_down and self.is_pressing)
        wait = settings.fast_interval if is_fast else settings.interval
        self._next = self._clock.callLater(
            wait * uniform(1 - settings.jitter, 1 + settings.jitter), self._begin
        )
        if changed:
            self._changed(self.state.health, why)
