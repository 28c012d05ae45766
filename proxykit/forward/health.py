"""Whether a parent works, as the exchanges that are sent through it show."""

from __future__ import annotations

from collections.abc import Callable

# After its first failure a parent is left alone for a second, then twice as long each time.
# Precedents: HAProxy's and Envoy's ejection times grow too; Squid's dead peers wait 10 s or more.
_FIRST_SECONDS = 1.0
_MOST_SECONDS = 60.0
# How long one that tries a parent again has, before another may try too.
_TRIAL_SECONDS = 15.0


class Health:
    """One parent's.

    A parent that failed is passed over for a while. Then one exchange tries it, the others pass it
    over still; if that one gets through, all may.

    :ivar failures: how often it failed since it last worked.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with a parent that works.

        :param now: the clock, in seconds.
        """
        self._now = now
        self._down_until = 0.0
        self._tried_until = 0.0
        self.failures = 0

    def __repr__(self) -> str:
        return f"<Health {self.failures} failures, {self.wait:.1f} s to wait>"

    @property
    def wait(self) -> float:
        """For how many seconds it is to be passed over, 0 when it is usable."""
        if not self.failures:
            return 0.0
        return max(self._down_until - self._now(), self._tried_until - self._now(), 0.0)

    def begin(self) -> None:
        """An exchange is sent through it."""
        if self.failures:
            self._tried_until = self._now() + _TRIAL_SECONDS

    def worked(self) -> None:
        """It works."""
        self.failures = 0

    def failed(self) -> bool:
        """It does not.

        :returns: whether that is news; the exchanges that were under way fail all at once, which
            counts as one failure.
        """
        now = self._now()
        self._tried_until = 0.0
        if now < self._down_until:
            return False
        self.failures += 1
        self._down_until = now + min(_FIRST_SECONDS * 2 ** (self.failures - 1), _MOST_SECONDS)
        return True

    def given_up(self) -> None:
        """The exchange that was sent through it ended before that could tell anything."""
        self._tried_until = 0.0
