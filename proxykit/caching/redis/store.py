"""The store in Redis or Valkey. See ``ICacheStore``.

What stands there under which name, see ``redis.names``. Nothing needs more than one of these to be
true: whatever is missing, or is not what was written, is a miss. Commands go out on one connection,
in order, so this process sees what it did.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import time
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ...interfaces import ICacheInspection, ICacheStore, ISharedCacheStore
from ..packing import checksum
from ..pieces import Pieces
from ..purging import Purged, hardest
from ..stored import StoredHead, StoredResponse, StoreStatistics
from .client import RedisAway, RedisClient, RedisRefused, as_nothing
from .content import RedisBody, RedisWriter, cut_in_chunks
from .inspection import list_entries, sum_up
from .memory import ServerMemory
from .names import Names
from .purges import PurgeList
from .purging import Purging
from .reading import Reading, newest_first
from .records import NAME_SIZE
from .writing import Writing

_MOST_VARIANTS = 64
_MOST_IN_MEMORY = 64 * 1024 * 1024  # content that is arriving, or was sent and not answered yet

_Shown = TypeVar("_Shown")


@implementer(ICacheStore, ISharedCacheStore, ICacheInspection)
class RedisStore:
    """Keeps responses in a server that several machines share.

    :ivar client: the connection.
    """

    at_once = False

    def __init__(
        self,
        client: RedisClient,
        prefix: bytes,
        size: int | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """Make one.

        :param prefix: of every key in the server.
        :param size: store nothing more while the server uses more memory than that, in bytes.
        :param clock: gives the seconds since 1970.
        """
        self.client = client
        self._names = Names(prefix)
        self._purges = PurgeList(self._names.purges)
        self._writing = Writing(client, self._names, clock)
        self._reading = Reading(client, self._names, self._writing)
        self._purging = Purging(
            client, self._names, self._purges, self._reading, self._writing, clock
        )
        self._size = size
        self._in_memory = 0
        self._memory = ServerMemory(client, size)

    def __repr__(self) -> str:
        return f"<RedisStore {self.client!r}>"

    # --- ICacheStore --------------------------------------------------------------------------

    def lookup(self, key: bytes) -> Any:
        """See ``ICacheStore``; nothing at once when the server is away."""
        if not self.client.is_usable:
            return ()
        purges, found = self.client.send_together(
            self._purges.reading(), (b"HGETALL", self._names.entry(key))
        )
        purges.addCallbacks(self._purges.take, as_nothing)
        return found.addCallbacks(partial(self._reading.found, key), as_nothing)

    def hear(self) -> Sequence[Purged]:
        """See ``ISharedCacheStore``: what was read with every lookup."""
        return self._purges.hear()

    def begin(self, key: bytes, size: int | None) -> RedisWriter | None:
        """See ``ICacheStore``."""
        if not self.client.is_usable or self._in_memory + (size or 0) > _MOST_IN_MEMORY:
            return None
        if self._memory.is_full():
            return None
        body = RedisBody(self._reading, key, os.urandom(NAME_SIZE), content=Pieces())
        return RedisWriter(self, body)

    def update(self, key: bytes, stored: StoredResponse, head: StoredHead) -> None:
        """See ``ICacheStore``."""
        stored.head = head
        body: RedisBody = stored.body
        # A record that is gone is not made anew: its content is gone, too.
        self.client.send(b"HEXISTS", self._names.entry(key), body.name).addCallbacks(
            lambda there: self._writing.write(key, body, head, ()) if there else None, as_nothing
        )

    def remove(self, key: bytes, stored: StoredResponse) -> None:
        """See ``ICacheStore``."""
        self._writing.remove(stored.body)

    def purge(self, key: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        return self._purging.by_key(key, soft=soft) if self.client.is_usable else 0

    def purge_tag(self, tag: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        return self._purging.by_tag(tag, soft=soft) if self.client.is_usable else 0

    def purge_prefix(self, prefix: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``; looks at every key of the server."""
        return self._purging.by_prefix(prefix, soft=soft) if self.client.is_usable else 0

    async def statistics(self) -> StoreStatistics | None:
        """See ``ICacheInspection``; some of it is the server's, whoever else uses that."""
        return await self._inspect(sum_up(self.client, self._names.entry(b""), self._size))

    async def entries(
        self, prefix: bytes, limit: int
    ) -> Sequence[tuple[bytes, Sequence[StoredResponse]]] | None:
        """See ``ICacheInspection``; of a very large database not all of it is searched."""
        return await self._inspect(
            list_entries(self.client, self._reading, self._names, prefix, limit)
        )

    async def _inspect(self, asking: Awaitable[_Shown]) -> _Shown | None:
        try:
            return await asking
        except (RedisAway, RedisRefused, TypeError, ValueError):
            return None

    def close(self) -> None:
        """See ``ICacheStore``."""
        self.client.close()

    # --- called by writers ---------------------------------------------------------------------

    def reserve(self, change: int) -> bool:
        """Count content in memory; say whether there is room for it."""
        if change > 0 and self._in_memory + change > _MOST_IN_MEMORY:
            return False
        self._in_memory += change
        return True

    def put(
        self, body: RedisBody, head: StoredHead, replaces: Callable[[StoredHead], bool]
    ) -> None:
        """Take a response whose content is complete."""
        content = body.content
        assert content is not None
        chunks = cut_in_chunks(content)
        body.checksums = b"".join(map(checksum, chunks))
        client = self.client
        if not client.is_usable:
            return
        # Evaluated against what is there now: nobody waits for it.
        client.send(b"HGETALL", self._names.entry(body.key)).addCallbacks(
            lambda raw: self._replace(body.key, raw, replaces, head), as_nothing
        )
        self._in_memory += body.size

        def sent(_: Any) -> None:
            self._in_memory -= body.size

        written = self._writing.write(body.key, body, head, chunks)
        (written or succeed(None)).addBoth(sent)
        # Who purged before it was there did not find it, and stands in the list by now; who
        # purges later finds it.
        client.send(*self._purges.reading()).addCallbacks(
            partial(self._judge, body, head, self._purges.newest), as_nothing
        )

    def _judge(self, body: RedisBody, head: StoredHead, known: bytes | None, answer: Any) -> None:
        """Give up what others purged while it was on its way here."""
        purges = self._purges.since(known, answer)
        if purges and hardest(purges, body.key, head.tags) is not None:
            # Lookups that were sent meanwhile are answered behind this, and may still find it.
            self._reading.withdrawn.add(body.name)
            removed = self._writing.remove(body)
            (removed or succeed(None)).addBoth(lambda _: self._reading.withdrawn.discard(body.name))

    def _replace(
        self, key: bytes, raw: Any, replaces: Callable[[StoredHead], bool], new: StoredHead
    ) -> None:
        """Remove what a new response takes the place of, and what is too much."""
        kept = 0
        for each in newest_first(list(self._reading.parsed(key, raw))):
            same = new.span is None and each.head.selecting == new.selecting
            if same or replaces(each.head) or kept >= _MOST_VARIANTS - 1:
                self._writing.remove(each.body)
            else:
                kept += 1
