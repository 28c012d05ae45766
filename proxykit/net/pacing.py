"""Token buckets, and the beat at which those who wait for their tokens are served.

A bucket serves its queue in turn, to each flow (``net.flow``) the same share, so flows are equal
whatever the size of what they were fed. No token is ever borrowed: over any time a bucket lets
through what its rate gives in that time and its burst, at most, and no less while somebody waits
for it.

No flow has a timer. A ``Pacemaker`` beats while somebody waits for one of its buckets, and does
nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

BEAT = 0.05
"""Seconds between two beats while somebody waits."""

BURST_SECONDS = 0.2
"""What a bucket holds when nothing else is said, in seconds of its rate: four late beats are made
up for, and ten seconds from a full bucket are over the rate by 2 %."""

_SOON = 0.005
# Smaller pieces cost more to send than they are worth, where the rate allows larger ones.
_LEAST_PIECE = 512


class Pacemaker:
    """Beats for a number of buckets for as long as somebody waits for one of them."""

    def __init__(self, clock: Any, now: Callable[[], float] = monotonic) -> None:
        """Make one that does not beat.

        :param clock: the ``IReactorTime`` to wait with.
        :param now: a clock that never goes back, in seconds.
        """
        self._clock = clock
        self.now = now
        self._waited_for: dict[Bucket, None] = {}
        self._call: IDelayedCall | None = None

    def watch(self, bucket: Bucket) -> None:
        """Serve a bucket's queue at each beat until it is empty."""
        self._waited_for[bucket] = None
        if self._call is None:
            self._schedule(BEAT)

    def _beat(self) -> None:
        self._call = None
        now = self.now()
        for bucket in list(self._waited_for):
            bucket.serve(now)
        self._waited_for = {bucket: None for bucket in self._waited_for if bucket.waiting}
        if self._waited_for:
            # Some had less to send than their share. What they left is the others', but not before
            # their own sources had the time to bring more.
            soon = any(bucket.can_serve for bucket in self._waited_for)
            self._schedule(_SOON if soon else BEAT)

    def _schedule(self, seconds: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call = self._clock.callLater(seconds, self._beat)


class Waiter(Protocol):
    """Who waits for tokens: a ``net.flow.Flow``."""

    def turn(self, bucket: Bucket, share: float, now: float) -> None:
        """Be served by the bucket in whose queue it stood.

        It waits no more; it may queue again, here or elsewhere.

        :param share: what it may take of that bucket's tokens.
        """


class Bucket:
    """Tokens, one a byte, that come at a rate and are kept up to a burst.

    :ivar rate: in bytes a second.
    :ivar least: the smallest piece for which a flow is served, unless it has no more to send.
    :ivar tokens: how many there were when that was last reckoned up.
    :ivar waiting: the flows that wait for this bucket, in the order in which they are served.
    :ivar users: how many flows go by it.
    :ivar wanting: how many of these wait, for this bucket or for another.
    :ivar share: what each of them may take of the tokens that there were at the last beat.
    """

    __slots__ = (
        "_burst",
        "_pacemaker",
        "_reckoned",
        "least",
        "rate",
        "share",
        "tokens",
        "users",
        "waiting",
        "wanting",
    )

    def __init__(self, rate: float, burst: float | None, pacemaker: Pacemaker) -> None:
        """Make a full bucket.

        :param rate: in bytes a second, at least 1.
        :param burst: in bytes; ``None`` for ``BURST_SECONDS`` of the rate. A bucket holds what
            comes in two beats at the least, or some of it would be lost.
        """
        self.rate = rate
        self._burst = max(rate * BURST_SECONDS if burst is None else burst, 2 * BEAT * rate, 1.0)
        self.least = max(1.0, min(_LEAST_PIECE, rate * BEAT, self._burst))
        self.tokens = self._burst
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()
        self.users = 0
        self.wanting = 0
        self.share = self.tokens
        self._pacemaker = pacemaker
        self._reckoned = pacemaker.now()

    def __repr__(self) -> str:
        return f"<Bucket {self.tokens:.0f} at {self.rate:.0f}/s, {len(self.waiting)} waiting>"

    def now(self) -> float:
        """Give the time on the clock that it goes by."""
        return self._pacemaker.now()

    def reckon(self, now: float) -> None:
        """Add the tokens that have come since."""
        if now != self._reckoned:
            self.tokens = min(self._burst, self.tokens + (now - self._reckoned) * self.rate)
            self._reckoned = now
            self.share = max(self.least, self.tokens / (self.wanting or 1))

    def is_at_rest(self, now: float) -> bool:
        """Say whether it is full and nobody goes by it, so that a new one would be the same."""
        if self.users or self.waiting:
            return False
        self.reckon(now)
        return self.tokens >= self._burst

    def wait(self, flow: Waiter) -> None:
        """Queue a flow."""
        self.waiting[flow] = None
        self._pacemaker.watch(self)

    def leave(self, flow: Waiter) -> None:
        """Take a flow out of the queue."""
        self.waiting.pop(flow, None)

    def serve(self, now: float) -> None:
        """Give those who wait a turn each, while there are tokens."""
        self.reckon(now)
        waiting = self.waiting
        share = max(self.least, self.tokens / (len(waiting) or 1))
        for _ in range(len(waiting)):
            if not self.can_serve:
                return
            flow, _ = waiting.popitem(last=False)
            flow.turn(self, share, now)

    @property
    def can_serve(self) -> bool:
        """Whether somebody waits and there are tokens."""
        return bool(self.waiting) and self.tokens >= self.least
