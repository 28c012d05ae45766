"""S3-FIFO: which entries stay (Yang and others, "FIFO queues are all you need", SOSP 2023).

Three first-in-first-out queues. What is new waits in a small one; what was asked for again by the
time it leaves goes on to the main one, the rest is forgotten but for a note of its key. What comes
back while it is noted goes to the main queue at once. In the main queue an entry that was asked
for is put back to the end, one time for each of the last three times.

A scan, each of its objects asked for once, passes through the small queue and displaces nothing
else. A hit costs an increment and moves nothing. No policy of libCacheSim's finds more on the
traces of ``benchmarks/cache_trace.py``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

SMALL_PART = 0.05
"""How much of the capacity the small queue may take. The paper has a tenth; a twentieth found more
on every trace that was tried."""

MOST_FREQUENT = 3
"""How often asked for counts at the most."""


class Entry:
    """Something of a size, under a key.

    :ivar key: what it is found by.
    :ivar size: in whatever unit the capacity is in.
    :ivar frequency: how often it was asked for since it was last judged; who answers a hit adds
        to it while it is below three (``touch``).
    """

    __slots__ = ("frequency", "key", "main", "size")

    def __init__(self, key: bytes, size: int) -> None:
        """Make one that is in no queue."""
        self.key = key
        self.size = size
        self.frequency = 0
        self.main = False

    def touch(self) -> None:
        """Note that it was asked for."""
        if self.frequency < MOST_FREQUENT:
            self.frequency += 1


class S3Fifo:
    """The three queues.

    :ivar capacity: how large all entries together may be.
    :ivar used: how large they are.
    """

    def __init__(self, capacity: int) -> None:
        """Begin empty."""
        self.capacity = capacity
        self.used = 0
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._noted: OrderedDict[int, None] = OrderedDict()
        self._small_used = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __iter__(self) -> Iterator[Entry]:
        yield from self._small.values()
        yield from self._main.values()

    def get(self, key: bytes) -> Entry | None:
        """Give an entry, without noting that it was asked for."""
        return self._small.get(key) or self._main.get(key)

    def add(self, entry: Entry) -> None:
        """Take an entry that is in no queue; call ``evict`` next."""
        self.used += entry.size
        note = hash(entry.key)
        if note in self._noted:
            del self._noted[note]
            entry.main = True
            self._main[entry.key] = entry
        else:
            entry.main = False
            self._small[entry.key] = entry
            self._small_used += entry.size

    def resize(self, entry: Entry, size: int) -> None:
        """Note that an entry has another size now; call ``evict`` next."""
        change = size - entry.size
        entry.size = size
        self.used += change
        if not entry.main:
            self._small_used += change

    def remove(self, entry: Entry) -> None:
        """Take an entry out; nothing happens when it is not in."""
        queue = self._main if entry.main else self._small
        if queue.get(entry.key) is not entry:
            return
        del queue[entry.key]
        self.used -= entry.size
        if not entry.main:
            self._small_used -= entry.size

    def evict(self, reserved: int = 0) -> Iterator[Entry]:
        """Take out entries until the rest fits; each is given once it is out.

        :param reserved: how much of the capacity is used by what is in no queue.
        """
        while self.used + reserved > self.capacity and (self._small or self._main):
            if self._small and (self._small_used > self.capacity * SMALL_PART or not self._main):
                evicted = self._evict_small()
            else:
                evicted = self._evict_main()
            if evicted is not None:
                yield evicted

    def _evict_small(self) -> Entry | None:
        key, entry = self._small.popitem(last=False)
        self._small_used -= entry.size
        if entry.frequency > 0:
            entry.frequency = 0
            entry.main = True
            self._main[key] = entry
            return None
        self.used -= entry.size
        self._noted[hash(key)] = None
        while len(self._noted) > max(len(self._main), 64):
            self._noted.popitem(last=False)
        return entry

    def _evict_main(self) -> Entry | None:
        key, entry = self._main.popitem(last=False)
        if entry.frequency > 0:
            entry.frequency -= 1
            self._main[key] = entry
            return None
        self.used -= entry.size
        return entry
