"""A flow that waits for tokens: what makes bytes go slower than they could.

A ``Flow`` is one direction of one exchange. What is fed to it goes on at once while every bucket
of it has tokens and nobody waits for them. Else it is kept, its source is held back, and the flow
waits in the queue of one bucket, the first that stands in its way. A flow whose other buckets are
spent when it is served goes on to wait there, so that all of them hold at once and no tokens are
left lying while somebody could use them. Pieces are cut to the tokens that there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.logger import Logger

from .pacing import Bucket

_log = Logger()

# What a flow keeps before its source is held back: less than one read, so that the source is never
# far ahead, and enough not to run dry between two beats.
_KEPT = 64 * 1024
_MOST_KEPT = 512.0 * 1024


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
        """See ``pacing.Waiter``."""
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
