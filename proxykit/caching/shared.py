"""What the routes of one cache share: the store, who is fetching, what is not for the cache."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ..net.sweeper import Sweeper
from .no_vary_search import Aliases

if TYPE_CHECKING:
    from .fetch import Fetch

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
    :ivar fetches: who asks a server right now, by key and what else matters.
    """

    store: Any
    sweeper: Sweeper
    max_object_size: int
    lock_seconds: float = 5.0
    offline: bool = False
    fetches: dict[Any, Fetch] = field(factory=dict)
    aliases: Aliases = field(factory=Aliases)
    commits: int = 0
    _committed: dict[bytes, int] = field(factory=dict)
    _private: dict[bytes, float] = field(factory=dict)

    def note_commit(self, key: bytes) -> None:
        """Note that something was stored under a key just now."""
        self.commits += 1
        self._committed.pop(key, None)
        self._committed[key] = self.commits
        if len(self._committed) > _MOST_COMMITS:
            del self._committed[next(iter(self._committed))]

    def committed_since(self, key: bytes, commits: int) -> bool:
        """Say whether a lookup that found nothing may have begun just before there was something.

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
