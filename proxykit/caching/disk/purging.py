"""What one store on disk purges, and what it hears that others have purged."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from ..purging import Purged
from .changes import Purge
from .glance import Glance
from .index import OWNER_SIZE, Index
from .pending import PendingChanges
from .purges import Purges


class Purging:
    """Has the clerk purge, and tells a store's own purges from those of others.

    :ivar owner: the store's name, under which its purges stand in the index.
    :ivar under_way: those that the clerk has not done yet.
    """

    __slots__ = ("_clock", "_give", "_glance", "_heard", "_pending", "owner", "under_way")

    def __init__(
        self,
        give: Callable[[Any, Callable[[Any], None]], None],
        pending: PendingChanges,
        glance: Glance,
        clock: Callable[[], float],
    ) -> None:
        """Begin; nothing was heard yet.

        :param give: hands a purge to the clerk, with what is called with how many it took.
        :param clock: gives the seconds since 1970.
        """
        self.owner = os.urandom(OWNER_SIZE)
        self.under_way = Purges()
        self._give = give
        self._pending = pending
        self._glance = glance
        self._clock = clock
        self._heard: int | None = None

    def purge(self, by: str, what: bytes, *, soft: bool) -> Deferred[int]:
        """Purge; who asks for what it may take waits from now on until it is done.

        :param by: see ``changes.Purge``.
        """
        purge = self._made(by, what, soft=soft)
        self._pending.forget(purge)
        self.under_way.add(purge)
        result: Deferred[int] = Deferred()
        self._give(purge, partial(self._was_done, purge, result))
        return result

    def note(self, key: bytes, *, soft: bool) -> Deferred[int]:
        """Let others know of a purge of a URI that takes nothing: nobody has to wait for it."""
        result: Deferred[int] = Deferred()
        self._give(self._made("key", key, soft=soft), lambda count: result.callback(count or 0))
        return result

    def _made(self, by: str, what: bytes, *, soft: bool) -> Purge:
        return Purge(by, what, soft, self._clock(), self.owner)

    def _was_done(self, purge: Purge, result: Deferred[int], count: int | None) -> None:
        self.under_way.done(purge)
        result.callback(count or 0)

    def begin_anew(self) -> None:
        """Forget what was heard: another index may be opened next."""
        self._heard = None

    def hear(self, index: Index) -> Sequence[Purged]:
        """Give what others have purged since this was called last; nothing the first time."""
        newer = self._glance.purges_since(index, self._heard or 0, self.owner)
        if newer is None:
            return ()
        first = self._heard is None
        self._heard, found = newer
        return () if first else found

    def last_heard(self, index: Index | None) -> int:
        """Give the number of the last purge by others that was heard of."""
        if self._heard is None and index is not None:
            self.hear(index)
        return self._heard or 0
