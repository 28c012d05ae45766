"""What the routes of one cache share: the store, who is fetching, what is not for the cache."""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic
from typing import Any

from attrs import define, field

from ..interfaces import ISharedCacheStore
from ..net.sweeper import Sweeper
from .no_vary_search import Aliases
from .partial import Combiner
from .purging import Purged, PurgeLog
from .under_way import FetchTable

_MOST_PRIVATE = 8192
_PRIVATE_SECONDS = 60.0
_MOST_COMMITS = 1024


@define(slots=True, eq=False, weakref_slot=True)
class SharedCache:
    """A cache, whichever routes use it; it outlives a reload that does not change it.

    :ivar store: an ``ICacheStore``.
    :ivar max_object_size: what is larger is not stored, in bytes.
    :ivar lock_seconds: how long one client waits for another one's request.
    :ivar offline: whether it is as if all rules were ``offline``: an operator says so for a while.
    :ivar aliases: what No-Vary-Search said.
    :ivar commits: how many responses were stored so far.
    :ivar fetches: who asks a server right now, and may be waited for.
    :ivar purges: what was purged lately, by whomever.
    :ivar parts: stores parts of a whole.
    """

    store: Any
    sweeper: Sweeper
    max_object_size: int
    lock_seconds: float = 5.0
    offline: bool = False
    fetches: FetchTable = field(factory=FetchTable)
    aliases: Aliases = field(factory=Aliases)
    purges: PurgeLog = field(factory=PurgeLog)
    commits: int = 0
    _committed: dict[bytes, int] = field(factory=dict)
    _private: dict[bytes, float] = field(factory=dict)
    parts: Combiner = field(init=False)
    _is_shared: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        """See whether others purge what is stored, too."""
        self.parts = Combiner(self.store, self.sweeper.clock, self.max_object_size)
        self._is_shared = ISharedCacheStore.providedBy(self.store)

    # --- purging ------------------------------------------------------------------------------

    def purge(self, key: bytes, *, soft: bool) -> int | Awaitable[int]:
        """Purge what is under the key of a URI; see ``ICacheStore.purge``.

        Every purge goes through here, and through the next two: what is being fetched for a request
        that came before it is then not stored.
        """
        stored_key = self.aliases.resolve(key)
        for each in {key, stored_key}:
            self.purges.add(Purged.of("key", each, soft=soft))
        count: int | Awaitable[int] = self.store.purge(stored_key, soft=soft)
        return count

    def purge_tag(self, tag: bytes, *, soft: bool) -> int | Awaitable[int]:
        """Purge what carries a tag."""
        self.purges.add(Purged.of("tag", tag, soft=soft))
        count: int | Awaitable[int] = self.store.purge_tag(tag, soft=soft)
        return count

    def purge_prefix(self, prefix: bytes, *, soft: bool) -> int | Awaitable[int]:
        """Purge what is under keys that begin so."""
        self.purges.add(Purged.of("prefix", prefix, soft=soft))
        count: int | Awaitable[int] = self.store.purge_prefix(prefix, soft=soft)
        return count

    def moment(self) -> int:
        """Give the moment at which a request is about to be sent, for ``purged_since``."""
        self._hear()
        return self.purges.now

    def purged_since(self, moment: int, key: bytes, tags: frozenset[bytes] | None) -> Purged | None:
        """Say whether what was asked for at a moment was purged since, by anybody.

        :param tags: the response's, ``None`` while nobody knows them.
        :returns: the purge, one that is not soft before others.
        """
        self._hear()
        return self.purges.since(moment, key, tags)

    def _hear(self) -> None:
        if self._is_shared:
            for purged in self.store.hear():
                self.purges.add(purged)

    # --- storing ------------------------------------------------------------------------------

    def note_commit(self, key: bytes) -> None:
        """Note that something was stored under a key just now."""
        self.commits += 1
        self._committed.pop(key, None)
        self._committed[key] = self.commits
        if len(self._committed) > _MOST_COMMITS:
            del self._committed[next(iter(self._committed))]

    def committed_since(self, key: bytes, commits: int) -> bool:
        """Say whether a lookup may have begun just before there was more to be found.

        :param commits: as it was when the lookup began.
        """
        return self._committed.get(key, 0) > commits

    def mark_private(self, key: bytes) -> None:
        """Note that what is under a key is not stored, or not for long: nobody gains by waiting."""
        private = self._private
        if len(private) >= _MOST_PRIVATE:
            del private[next(iter(private))]
        private.pop(key, None)
        private[key] = monotonic() + _PRIVATE_SECONDS

    def is_private(self, key: bytes) -> bool:
        """Say whether a key was noted lately."""
        until = self._private.get(key)
        if until is None:
            return False
        if until > monotonic():
            return True
        del self._private[key]
        return False

    def unmark_private(self, key: bytes) -> None:
        """Forget the note: something was stored."""
        self._private.pop(key, None)
