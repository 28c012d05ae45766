"""Token buckets, and flows that wait for them: what makes bytes go slower than they could.

A ``Flow`` is one direction of one exchange. What is fed to it goes on at once while every bucket
of it has tokens and nobody waits for them. Else it is kept, its source is held back, and the flow
waits in the queue of one bucket, the first that stands in its way. A bucket serves its queue in
turn, to each flow the same share, so flows are equal whatever the size of what they were fed; a
flow whose other buckets are spent goes on to wait there, so that all of them hold at once and no
tokens are left lying while somebody could use them.

No token is ever borrowed: pieces are cut to what there is. Over any time a bucket lets through what
its rate gives in that time and its burst, at most, and no less while somebody waits for it.

No flow has a timer. A ``Pacemaker`` beats while somebody waits for one of its buckets, and does
nothing else.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

_log = Logger()

BEAT = 0.05
"""Seconds between two beats while somebody waits."""

BURST_SECONDS = 0.2
"""What a bucket holds when nothing else is said, in seconds of its rate: four late beats are made
up for, and ten seconds from a full bucket are over the rate by 2 %."""

_SOON = 0.005
# Smaller pieces cost more to send than they are worth, where the rate allows larger ones.
_LEAST_PIECE = 512
# What a flow keeps before its source is held back: less than one read, so that the source is never
# far ahead, and enough not to run dry between two beats.
_KEPT = 64 * 1024
_MOST_KEPT = 512.0 * 1024


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
        self.waiting: OrderedDict[Flow, None] = OrderedDict()
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

    def wait(self, flow: Flow) -> None:
        """Queue a flow."""
        self.waiting[flow] = None
        self._pacemaker.watch(self)

    def leave(self, flow: Flow) -> None:
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


class Flow:
    """One direction of an exchange, on its way through its buckets.

    :ivar kept: how many bytes were fed to it and have not gone on.
    """

    __slots__ = (
        "_blocked",
        "_buckets",
        "_closed",
        "_deliver",
        "_end",
        "_hold",
        "_holding",
        "_offset",
        "_pieces",
        "_queued",
        "_wanting",
        "kept",
    )

    def __init__(
        self,
        buckets: Sequence[Bucket],
        deliver: Callable[[bytes], None],
        hold: Callable[[bool], None],
    ) -> None:
        """Begin with nothing kept.

        :param deliver: is given what may go on.
        :param hold: told ``True`` to hold the source back and ``False`` to let it go on.
        """
        # The narrowest first, so that all flows meet their buckets in one order and wait for the
        # one that most of them share last of all.
        self._buckets = tuple(sorted(buckets, key=_rate))
        self._deliver = deliver
        self._hold = hold
        self._pieces: deque[bytes] = deque()
        self._offset = 0  # how much of the first piece is gone
        self._queued: Bucket | None = None  # in whose queue it stands
        self._wanting = False  # it is counted among those who wait
        self._blocked = False  # whoever takes what is delivered wants nothing for now
        self._holding = False
        self._closed = False
        self._end: Callable[[], None] | None = None
        self.kept = 0
        for bucket in self._buckets:
            bucket.users += 1

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a bucket."""
        return self._queued is not None

    @property
    def holds(self) -> bool:
        """Whether it holds its source back."""
        return self._holding

    # --- its source's side --------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take a piece: it goes on now, or later, in order."""
        if self._closed:
            return
        if not self.kept and not self._blocked and self._pays(len(data)):
            self._deliver(data)
            return
        self._pieces.append(data)
        self.kept += len(data)
        if self._queued is None and not self._blocked:
            self._go_on()
        self._settle()

    def end(self, then: Callable[[], None]) -> None:
        """There is no more: call ``then`` when all is delivered, which may be now."""
        if self._closed:
            return
        self._end = then
        self._settle()

    def close(self) -> None:
        """Throw away what is kept: nobody wants it, or has any use for it, any more."""
        if self._closed:
            return
        self._closed = True
        self._end = None
        self._pieces.clear()
        self.kept = 0
        self._leave_queue()
        self._count_wanting()
        for bucket in self._buckets:
            bucket.users -= 1

    # --- its taker's side ---------------------------------------------------------------------

    def block(self, blocked: bool) -> None:
        """Whoever takes what is delivered wants no more for now, or wants more again.

        A flow that is blocked takes no tokens from others.
        """
        self._blocked = blocked
        if blocked:
            self._leave_queue()
        elif self.kept and self._queued is None:
            self._go_on()
        self._settle()

    def drain(self) -> None:
        """Deliver all that is kept now, whatever the buckets say."""
        self._leave_queue()
        if self.kept:
            self._deliver(self._cut(self.kept))
        self._settle()

    # --- its buckets' side --------------------------------------------------------------------

    def turn(self, bucket: Bucket, share: float, now: float) -> None:
        """Be served by the bucket in whose queue it stood.

        :param share: what it may take of that.
        """
        self._queued = None
        obstacle = self._obstacle(now, bucket)
        if obstacle is not None:
            self._queue(obstacle)
            return
        try:
            self._release(share, bucket)
            if self.kept and not self._blocked and self._queued is None:
                self._queue(bucket)
            self._settle()
        except Exception:
            # The others in the queue must not suffer for it.
            _log.failure("a paced flow failed")
            self.close()

    def _pays(self, size: int) -> bool:
        """Pay for a piece, if every bucket has as many tokens and nobody waits for them."""
        buckets = self._buckets
        if buckets:
            now = buckets[0].now()
            for bucket in buckets:
                if bucket.waiting:
                    return False
                bucket.reckon(now)
                if bucket.tokens < size:
                    return False
            for bucket in buckets:
                bucket.tokens -= size
        return True

    def _obstacle(self, now: float, served_by: Bucket | None) -> Bucket | None:
        """Give the first bucket that is in the way: spent, or others wait there.

        :param served_by: whose queue it has come through: those before it need not be queued at
            again, but must have tokens.
        """
        has_waited = served_by is not None
        for bucket in self._buckets:
            if bucket is served_by:
                has_waited = False
                continue
            bucket.reckon(now)
            if bucket.tokens < bucket.least or (bucket.waiting and not has_waited):
                return bucket
        return None

    def _go_on(self) -> None:
        """Deliver what can be delivered now, and queue for the rest."""
        now = self._buckets[0].now() if self._buckets else 0.0
        while self.kept and not self._blocked:
            obstacle = self._obstacle(now, None)
            if obstacle is not None:
                self._queue(obstacle)
                return
            self._release(self.kept, None)

    def _release(self, most: float, served_by: Bucket | None) -> None:
        """Pay for a piece and deliver it; every bucket has some tokens.

        :param most: what the bucket that serves it gives it.
        """
        size = min(most, self.kept)
        for bucket in self._buckets:
            if bucket is not served_by:
                size = min(size, bucket.share)
            size = min(size, bucket.tokens)
        size = int(size)
        for bucket in self._buckets:
            bucket.tokens -= size
        self._deliver(self._cut(size))

    def _cut(self, size: int) -> bytes:
        """Take a piece off what is kept."""
        self.kept -= size
        parts: list[bytes] = []
        while size:
            first = self._pieces[0]
            part = first[self._offset : self._offset + size]
            parts.append(part)
            size -= len(part)
            self._offset += len(part)
            if self._offset == len(first):
                self._pieces.popleft()
                self._offset = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _settle(self) -> None:
        """Hold the source or let it go; tell the end when it is reached."""
        self._count_wanting()
        if self._end is not None:
            if not self.kept:
                end, self._end = self._end, None
                end()
            return
        wanted = self._blocked or (self.kept > _KEPT and self.kept > self._room())
        if wanted is not self._holding and not self._closed:
            self._holding = wanted
            self._hold(wanted)

    def _room(self) -> float:
        """Give how much is kept before the source is held, where the rate allows much: two shares.

        All flows of a bucket together then keep what it lets through in two beats.
        """
        room = _MOST_KEPT
        for bucket in self._buckets:
            room = min(room, 2 * bucket.share)
        return room

    def _count_wanting(self) -> None:
        wanting = self._queued is not None
        if wanting is not self._wanting:
            self._wanting = wanting
            change = 1 if wanting else -1
            for bucket in self._buckets:
                bucket.wanting += change

    def _queue(self, bucket: Bucket) -> None:
        self._queued = bucket
        bucket.wait(self)

    def _leave_queue(self) -> None:
        if self._queued is not None:
            self._queued.leave(self)
            self._queued = None


def _rate(bucket: Bucket) -> float:
    return bucket.rate
