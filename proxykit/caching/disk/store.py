"""The store on disk, as the reactor's thread sees it. See ``ICacheStore``.

What was changed and is not in the index yet is *pending*: this process sees it at once. All else
that is said of a key is said by the index, which every worker of the machine shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import lmdb
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ...interfaces import ICacheInspection, ICacheStore, ISharedCacheStore
from ..purging import Purged
from ..stored import StoredHead, StoredResponse, StoreStatistics
from .asked import Asked
from .body import DiskBody
from .changes import Put, Remove, Update
from .complaint import Complaint
from .files import OpenFile, open_body
from .front import Front, most_files
from .glance import Glance
from .index import Index
from .inspection import list_entries, sum_up
from .loading import Loaded, Loader
from .opened import OpenedDirectory
from .pending import PendingChanges
from .promotion import Promotion
from .purging import Purging
from .records import LONGEST_KEY, index_key, unpack_references
from .room import Room
from .transaction import Limits
from .writer import DiskWriter

_log = Logger()

_MOST_VARIANTS = 64


@implementer(ICacheStore, ISharedCacheStore, ICacheInspection)
class DiskStore:
    """Keeps responses on disk, and what is asked for often in memory.

    :ivar size: the limit in bytes of all files, the index among them.
    """

    at_once = True

    def __init__(
        self,
        reactor: Any,
        path: Path,
        size: int,
        memory: int,
        min_free: int = 0,
        clock: Callable[[], float] = time,
    ) -> None:
        """Make one; the directory is opened when it is first used, in a thread.

        :param memory: how many bytes of contents are kept in memory.
        :param min_free: what is left free of the file system, in bytes.
        :param clock: gives the seconds since 1970.
        """
        self.size = size
        self._reactor = reactor
        self._path = path
        # What is being written is no entry yet; it has the last eighth for itself: see ``_room``.
        self._limits = Limits(size - size // 8)
        self._min_free = min_free
        self._disk: OpenedDirectory | None = None
        self._closed = False
        self._front = Front(memory, most_files())
        self._promotion = Promotion(self._front)
        self._pending = PendingChanges(self.give, self._changed)
        self._complaint = Complaint(f"the index of the cache in {path} cannot be read")
        self._glance = Glance(self._complaint)
        self._purging = Purging(self.give, self._pending, self._glance, clock)
        self._purges = self._purging.under_way
        self._loader = Loader(self, self._loaded)
        self._room = Room(size // 8)
        self._asked = Asked(reactor, self.give)

    def __repr__(self) -> str:
        return f"<DiskStore {self._path} {len(self._front)} at hand {len(self._pending)} pending>"

    @property
    def _index(self) -> Index | None:
        """The index, ``None`` while it is not open."""
        return None if self._disk is None else self._disk.index

    # --- ICacheStore --------------------------------------------------------------------------

    def lookup(self, key: bytes) -> Any:
        """See ``ICacheStore``: at once where it is known without the disk, later where not."""
        disk = self._disk
        if disk is None or disk.index is None:
            return self._lookup_when_open(key)
        pending = self._pending.by_key.get(key)
        if pending is not None:
            return pending.responses
        if self._purges and (purged := self._purges.wait(key)) is not None:
            return purged.addCallback(lambda nothing: self._lookup_later(key))
        entry = self._front.get(key)
        if entry is None:
            return self._look_up_on_disk(key)
        # What is at hand was asked for lately, and so was its page of the index.
        try:
            value = disk.index.get(key if len(key) <= LONGEST_KEY else index_key(key))
        except lmdb.Error as error:
            return self._glance.unreadable(error)
        if entry.value != value:
            return self._look_up_on_disk(key)
        if entry.period != self._asked.period:
            self._asked.note(entry)
        if not (entry.in_memory or entry.promoting):
            self._promotion.begin(disk, entry)
        return entry.responses

    def begin(self, key: bytes, size: int | None) -> DiskWriter | None:
        """See ``ICacheStore``."""
        disk = self._disk
        if disk is None or disk.index is None or disk.clerk.is_full or b"\x00" in key:
            return None
        if not self._room.is_for(size or 0):
            return None
        number = disk.numbers.take()
        return None if number is None else DiskWriter(self, key, number)

    def update(self, key: bytes, stored: StoredResponse, head: StoredHead) -> None:
        """See ``ICacheStore``."""
        view = self._view(key)
        found = _with_number(view, stored.body.number)
        stored.head = head
        if found is not None:
            found.head = head
            self._change(key, view, Update(key, found.body.number, head))

    def remove(self, key: bytes, stored: StoredResponse) -> None:
        """See ``ICacheStore``."""
        view = self._view(key)
        found = _with_number(view, stored.body.number)
        if found is not None:
            left = tuple(each for each in view if each is not found)
            self._change(key, left, Remove(key, found.body.number))

    def purge(self, key: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        index = self._index
        if index is not None and not self._pending and not self._glance.may_hold(index, key):
            # An unsafe request purges what is seldom there: then no lookup has to wait.
            return self._purging.note(key, soft=soft)
        return self._purge("key", key, soft=soft)

    def hear(self) -> Sequence[Purged]:
        """See ``ISharedCacheStore``: a microsecond out of the page cache."""
        index = self._index
        return () if index is None else self._purging.hear(index)

    def purge_tag(self, tag: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        return self._purge("tag", tag, soft=soft)

    def purge_prefix(self, prefix: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        return self._purge("prefix", prefix, soft=soft)

    # --- ICacheInspection ---------------------------------------------------------------------

    async def statistics(self) -> StoreStatistics | None:
        """See ``ICacheInspection``."""
        found: StoreStatistics | None = await self._inspect(sum_up, self.size)
        return found

    async def entries(
        self, prefix: bytes, limit: int
    ) -> Sequence[tuple[bytes, Sequence[StoredResponse]]] | None:
        """See ``ICacheInspection``; what the clerk has not written yet is not among them."""
        found: Sequence[Any] | None = await self._inspect(list_entries, prefix, limit)
        return found

    async def _inspect(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call something with the index in a thread; give ``None`` when that cannot be had."""
        opening = self._open()
        if opening is not None:
            await opening
        disk, index = self._disk, self._index
        if disk is None or index is None:
            return None
        try:
            return await disk.in_thread(call, index, *arguments)
        except lmdb.Error as error:
            self._complaint.say(error)
            return None

    def close(self) -> None:
        """See ``ICacheStore``."""
        self._reactor.callFromThread(self._close)

    def _close(self) -> None:
        self._closed = True
        disk, self._disk = self._disk, None
        if disk is not None:
            disk.leave()

    # --- called by writers --------------------------------------------------------------------

    def give(self, change: Any, done: Callable[[Any], None] | None = None) -> None:
        """Give the clerk something to do."""
        if self._disk is not None:
            self._disk.clerk.give(change, done)

    def reserve(self, size: int) -> bool:
        """Count what is being written; say whether there is room for it."""
        return self._room.reserve(size)

    def release_memory(self, size: int) -> None:
        """Count what is in memory no more."""
        self._room.unwritten -= size

    def settle(self, body: DiskBody, result: Any = None) -> None:
        """Count what is written, or will never be."""
        self._room.writing -= body.size
        if self._disk is not None:
            self._disk.numbers.settle(body.number)

    def put(
        self, writer: DiskWriter, head: StoredHead, replaces: Callable[[StoredHead], bool]
    ) -> None:
        """Take a response whose content is complete."""
        body = writer.body
        view = self._view(body.key)
        kept = tuple(each for each in view if not replaces(each.head))[: _MOST_VARIANTS - 1]
        new = StoredResponse(head, body)
        put = Put(
            body.key,
            body.number,
            head,
            body.size,
            writer.written,
            writer.rest,
            known=frozenset(each.body.number for each in view),
            replaced=frozenset(each.body.number for each in view if each not in kept),
            owner=self._purging.owner,
            heard=self._purging.last_heard(self._index),
        )
        rest = sum(map(len, writer.rest))
        self._change(body.key, (new, *kept), put, partial(self._was_put, put, body, rest))

    def _was_put(self, put: Put, body: DiskBody, rest: int, value: bytes | None) -> None:
        self.release_memory(rest)
        self.settle(body)
        if value is None or not put.stored:
            return
        body.checksums = put.checksums
        if put.in_file:
            body.file = put.written.file
            body.in_file = body.size
            body.pieces = None

    # --- called by bodies ---------------------------------------------------------------------

    def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """See ``body.Disk``."""
        if self._disk is None:
            return succeed(b"")
        return self._disk.in_thread(call, *arguments)

    def open_file(self, number: int, size: int) -> OpenFile:
        """See ``body.Disk``."""
        disk = self._disk
        if disk is None or disk.layout is None:
            raise OSError("the store is closed")
        return open_body(disk.layout, number, size)

    def lost(self, body: DiskBody, error: Exception) -> None:
        """See ``body.Disk``."""
        _log.warn(
            "a response of {size} bytes is lost to the cache: {error}",
            size=body.size,
            error=str(error),
        )
        for each in self._view(body.key):
            if each.body.number == body.number:
                self.remove(body.key, each)

    # --- looking up ---------------------------------------------------------------------------

    def _lookup_when_open(self, key: bytes) -> Any:
        opening = self._open()
        if opening is None:
            return self._lookup_later(key)
        return opening.addCallback(lambda nothing: self._lookup_later(key))

    def _open(self) -> Deferred[None] | None:
        """Have the directory opened; give what fires when it is, ``None`` when nothing will."""
        if self._closed:
            return None
        if self._disk is not None and self._disk.may_be_tried_again:
            # The disk may have been full, or not mounted yet.
            self._disk.leave()
            self._disk = None
        if self._disk is None:
            self._purging.begin_anew()
            self._disk = OpenedDirectory.of(self._reactor, self._path, self._limits, self._min_free)
        return self._disk.when_open()

    def _lookup_later(self, key: bytes) -> Any:
        return () if self._index is None else self.lookup(key)

    def _look_up_on_disk(self, key: bytes) -> Any:
        disk = self._disk
        assert disk is not None
        assert disk.index is not None
        if not self._glance.is_cold and self._glance.value(disk.index, key) is None:
            return ()
        return self._loader.load(disk, key)

    def _loaded(self, key: bytes, loaded: Loaded) -> tuple[StoredResponse, ...]:
        """Keep what was read at hand; give what is the answer by now."""
        pending = self._pending.by_key.get(key)
        if pending is not None:
            return pending.responses
        if loaded.bad:
            for number in loaded.bad:
                self._change(key, loaded.good, Remove(key, number))
        elif loaded.value is not None and loaded.good:
            self._asked.note(self._front.put(key, loaded.value, loaded.good))
        return loaded.good

    # --- changing -----------------------------------------------------------------------------

    def _view(self, key: bytes) -> tuple[StoredResponse, ...]:
        """Give what is under a key, pending changes done; contents may not be open yet."""
        pending = self._pending.by_key.get(key)
        if pending is not None:
            return pending.responses
        index = self._index
        if index is None or self._purges.concern(key):
            return ()
        value = self._glance.value(index, key)
        if value is None:
            return ()
        entry = self._front.get(key)
        if entry is not None and entry.value == value:
            return entry.responses
        found = self._glance.records(index, key)
        responses = [self._loader.response(key, *each) for each in found]
        return tuple(each for each in responses if each is not None)

    def _change(
        self,
        key: bytes,
        responses: tuple[StoredResponse, ...],
        change: Put | Update | Remove,
        done: Callable[[bytes | None], None] | None = None,
    ) -> None:
        """Have a key changed; this process sees it from now on."""
        if self._disk is not None:
            self._pending.add(key, responses, change, done)

    def _changed(
        self, key: bytes, responses: tuple[StoredResponse, ...], value: bytes | None
    ) -> None:
        """Have what was pending at hand, if it is what the index holds now."""
        self._front.drop(key)
        numbers = [each.number for each in unpack_references(value)]
        if value is not None and numbers == [each.body.number for each in responses]:
            if all(_is_at_hand(each) for each in responses):
                self._front.put(key, value, responses)

    def _purge(self, by: str, what: bytes, *, soft: bool) -> int | Deferred[int]:
        if self._index is None:
            opening = self._open()
            if opening is not None:
                return opening.addCallback(lambda nothing: self._purge(by, what, soft=soft))
            if self._index is None:
                return 0
        return self._purging.purge(by, what, soft=soft)


def _is_at_hand(response: StoredResponse) -> bool:
    return response.body.content is not None or response.body.file is not None


def _with_number(view: Sequence[StoredResponse], number: int) -> StoredResponse | None:
    return next((each for each in view if each.body.number == number), None)
