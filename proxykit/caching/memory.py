"""The store in memory: bounded in bytes, keys and heads counted, resistant to scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from time import time
from typing import Any

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import ICacheInspection, ICacheStore, ICacheStoreFactory, ICacheWriter
from ..options import BuildContext, Options, Size
from .eviction import Entry, S3Fifo
from .keys import PARTS
from .pieces import Pieces
from .stored import StoredHead, StoredResponse, StoreStatistics

# What an entry and a response cost beside the bytes that they hold, the note that stays of an
# entry and the rendering of a response among it: measured by ``benchmarks/cache_trace.py`` as what
# a process takes, and held to the truth by ``tests/caching/test_memory.py``.
_ENTRY_BYTES = 900
_RESPONSE_BYTES = 1300

_MOST_VARIANTS = 64


class _Slot(Entry):
    """All responses under one key.

    :ivar responses: the newest first.
    """

    __slots__ = ("responses",)

    def __init__(self, key: bytes, responses: tuple[StoredResponse, ...]) -> None:
        super().__init__(key, _slot_size(key, responses))
        self.responses = responses


def _slot_size(key: bytes, responses: Iterable[StoredResponse]) -> int:
    return (
        _ENTRY_BYTES
        + 2 * len(key)
        + sum(_RESPONSE_BYTES + each.head.size + int(each.body.size) for each in responses)
    )


@implementer(ICacheStore, ICacheInspection)
class MemoryStore:
    """Keeps responses in this process.

    :ivar size: the limit in bytes, for all that is stored and all that is being written.
    """

    at_once = True

    def __init__(self, size: int, clock: Callable[[], float] = time) -> None:
        """Begin empty.

        :param clock: gives the seconds since 1970.
        """
        self.size = size
        self._clock = clock
        self._slots: dict[bytes, _Slot] = {}
        self._queues = S3Fifo(size)
        self._tags: dict[bytes, set[bytes]] = {}
        self._ruled: dict[bytes, set[bytes]] = {}
        self._writing = 0
        self._evicted = 0

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._slots)} entries {self.used} of {self.size} bytes>"

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def used(self) -> int:
        """How many bytes are taken."""
        return self._queues.used + self._writing

    def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """See ``ICacheStore``."""
        slot = self._slots.get(key)
        if slot is None:
            return ()
        if slot.frequency < 3:
            slot.frequency += 1
        return slot.responses

    def begin(self, key: bytes, size: int | None) -> _MemoryWriter | None:
        """See ``ICacheStore``."""
        # What is being written cannot be evicted: a crowd of large objects must not push out all
        # that is stored.
        if self._writing + (size or 0) > self.size // 2:
            return None
        return _MemoryWriter(self, key)

    def update(self, key: bytes, stored: StoredResponse, head: StoredHead) -> None:
        """See ``ICacheStore``."""
        slot = self._slots.get(key)
        if slot is not None and stored in slot.responses:
            self._untag(slot)
            stored.head = head
            self._replace(slot, slot.responses)

    def remove(self, key: bytes, stored: StoredResponse) -> None:
        """See ``ICacheStore``."""
        slot = self._slots.get(key)
        if slot is not None and stored in slot.responses:
            self._untag(slot)
            self._replace(slot, tuple(each for each in slot.responses if each is not stored))

    def purge(self, key: bytes, *, soft: bool) -> int:
        """See ``ICacheStore``."""
        return self._purge([key, *self._ruled.get(key, ())], soft=soft)

    def purge_tag(self, tag: bytes, *, soft: bool) -> int:
        """See ``ICacheStore``."""
        return self._purge(
            list(self._tags.get(tag, ())), soft=soft, only=lambda head: tag in head.tags
        )

    def purge_prefix(self, prefix: bytes, *, soft: bool) -> int:
        """See ``ICacheStore``; looks at every key."""
        return self._purge([key for key in self._slots if key.startswith(prefix)], soft=soft)

    def statistics(self) -> StoreStatistics:
        """See ``ICacheInspection``."""
        return StoreStatistics(len(self._slots), self.used, self.size, self._evicted)

    def entries(
        self, prefix: bytes, limit: int
    ) -> Sequence[tuple[bytes, Sequence[StoredResponse]]]:
        """See ``ICacheInspection``; may look at every key."""
        found = (slot for key, slot in self._slots.items() if key.startswith(prefix))
        return [(slot.key, slot.responses) for slot in islice(found, limit)]

    def close(self) -> None:
        """See ``ICacheStore``."""
        for slot in list(self._slots.values()):
            self._drop(slot)

    # --- called by writers --------------------------------------------------------------------

    def reserve(self, change: int) -> bool:
        """Count what is being written; say whether there is room for it."""
        if change > 0 and self._writing + change > self.size // 2:
            return False
        self._writing += change
        if change > 0:
            self._evict()
        return True

    def put(self, key: bytes, new: StoredResponse, replaces: Callable[[StoredHead], bool]) -> None:
        """Take a response whose content is complete."""
        slot = self._slots.get(key)
        if slot is None:
            slot = _Slot(key, (new,))
            self._slots[key] = slot
            uri, parts, _ = key.partition(PARTS)
            if parts:
                self._ruled.setdefault(uri, set()).add(key)
            self._tag(slot)
            self._queues.add(slot)
            self._evict()
            return
        self._untag(slot)
        kept = [each for each in slot.responses if not replaces(each.head)]
        self._replace(slot, (new, *kept[: _MOST_VARIANTS - 1]))

    # --- parts --------------------------------------------------------------------------------

    def _replace(self, slot: _Slot, responses: tuple[StoredResponse, ...]) -> None:
        """Put other responses into a slot whose tags were taken out."""
        if not responses:
            self._drop(slot)
            return
        slot.responses = responses
        self._tag(slot)
        self._queues.resize(slot, _slot_size(slot.key, responses))
        self._evict()

    def _evict(self) -> None:
        for slot in self._queues.evict(self._writing):
            assert isinstance(slot, _Slot)
            self._evicted += 1
            self._forget(slot)

    def _drop(self, slot: _Slot) -> None:
        self._queues.remove(slot)
        self._forget(slot)

    def _forget(self, slot: _Slot) -> None:
        del self._slots[slot.key]
        self._untag(slot)
        uri, parts, _ = slot.key.partition(PARTS)
        if parts:
            _discard(self._ruled, uri, slot.key)

    def _tag(self, slot: _Slot) -> None:
        for response in slot.responses:
            for tag in response.head.tags:
                self._tags.setdefault(tag, set()).add(slot.key)

    def _untag(self, slot: _Slot) -> None:
        for response in slot.responses:
            for tag in response.head.tags:
                _discard(self._tags, tag, slot.key)

    def _purge(
        self,
        keys: Iterable[bytes],
        *,
        soft: bool,
        only: Callable[[StoredHead], bool] = lambda head: True,
    ) -> int:
        count = 0
        now = self._clock()
        for key in keys:
            slot = self._slots.get(key)
            for response in slot.responses if slot is not None else ():
                if not only(response.head):
                    continue
                count += 1
                if soft:
                    response.head = response.head.expired(now)
                else:
                    self.remove(key, response)
        return count


def _discard(index: dict[bytes, set[bytes]], name: bytes, key: bytes) -> None:
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]


@implementer(ICacheWriter)
class _MemoryWriter:
    """An entry that is being written."""

    __slots__ = ("_key", "_store", "body")

    def __init__(self, store: MemoryStore, key: bytes) -> None:
        self._store = store
        self._key = key
        self.body = Pieces()

    def write(self, data: bytes) -> bool:
        """See ``ICacheWriter``."""
        if not self._store.reserve(len(data)):
            return False
        self.body.append(data)
        return True

    def commit(self, head: StoredHead, replaces: Callable[[StoredHead], bool]) -> None:
        """See ``ICacheWriter``."""
        self.body.finish()
        self._store.reserve(-self.body.size)
        self._store.put(self._key, StoredResponse(head, self.body), replaces)

    def abort(self) -> None:
        """See ``ICacheWriter``."""
        self._store.reserve(-self.body.size)


class MemoryOptions(Options):
    """The store in memory."""

    size: Size = Field(
        default=256 * 1024 * 1024,
        ge=64 * 1024,
        description="All that is stored: content, heads, keys and what they cost.",
        validate_default=False,
    )


@implementer(IPlugin, ICacheStoreFactory)
class MemoryStoreFactory:
    """See ``ICacheStoreFactory``."""

    name = "memory"
    description = "keeps responses in this process's memory"
    options = MemoryOptions

    def build(self, options: MemoryOptions, context: BuildContext) -> Any:
        """See ``ICacheStoreFactory``."""
        return MemoryStore(options.size)
