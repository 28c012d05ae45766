"""What a process has at hand of a store on disk: contents in memory, and files that are open.

Every entry is good only as long as the index says the same of its key as it did when the entry was
made; who asks compares that. So what another process purges is gone here, too.
"""

from __future__ import annotations

import resource
from collections import OrderedDict

from ..eviction import Entry, S3Fifo
from ..stored import StoredResponse

_ENTRY_BYTES = 800
_RESPONSE_BYTES = 1500


class FrontEntry(Entry):
    """All responses under one key.

    :ivar value: what the index's ``keys`` held.
    :ivar responses: the newest first.
    :ivar in_memory: whether all their content is.
    :ivar promoting: whether it is being read into memory, or is not worth that.
    :ivar period: when its being asked for was noted last, see ``DiskStore``.
    """

    __slots__ = ("in_memory", "period", "promoting", "responses", "value")

    def __init__(self, key: bytes, value: bytes, responses: tuple[StoredResponse, ...]) -> None:
        """Make one that is in no queue."""
        contents = [each.body.content for each in responses]
        content = sum(each.size for each in contents if each is not None)
        heads = sum(_RESPONSE_BYTES + each.head.size for each in responses)
        super().__init__(key, _ENTRY_BYTES + 2 * len(key) + heads + content)
        self.value = value
        self.responses = responses
        self.in_memory = all(each is not None for each in contents)
        self.promoting = False
        self.period = -1


class Front:
    """See above.

    :ivar memory: how many bytes contents in memory may take, their heads and keys counted.
    """

    def __init__(self, memory: int, most_files: int) -> None:
        """Begin empty.

        :param most_files: how many files may be kept open.
        """
        self.memory = memory
        self._most_files = most_files
        self._entries: dict[bytes, FrontEntry] = {}
        self._in_memory = S3Fifo(memory)
        self._with_files: OrderedDict[bytes, FrontEntry] = OrderedDict()
        self._files = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used(self) -> int:
        """How much of the memory is taken, in bytes."""
        return self._in_memory.used

    def get(self, key: bytes) -> FrontEntry | None:
        """Give an entry, and note that it was asked for."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.in_memory:
            if entry.frequency < 3:
                entry.frequency += 1
        else:
            self._with_files.move_to_end(key)
        return entry

    def put(self, key: bytes, value: bytes, responses: tuple[StoredResponse, ...]) -> FrontEntry:
        """Take an entry, in the place of what was there."""
        self.drop(key)
        entry = FrontEntry(key, value, responses)
        self._entries[key] = entry
        if entry.in_memory and entry.size <= self.memory // 8:
            for each in responses:
                each.body.file = None
            self._in_memory.add(entry)
            for evicted in self._in_memory.evict():
                del self._entries[evicted.key]
            return entry
        entry.in_memory = False
        for each in responses:
            if each.body.file is not None:
                each.body.content = None
        self._with_files[key] = entry
        self._files += len(responses)
        while self._files > self._most_files and len(self._with_files) > 1:
            self.drop(next(iter(self._with_files)))
        return entry

    def is_worth_memory(self, entry: FrontEntry) -> bool:
        """Say whether an entry without its contents in memory may have them there."""
        size = entry.size + sum(each.body.size for each in entry.responses)
        return not entry.in_memory and not entry.promoting and size <= self.memory // 8

    def drop(self, key: bytes) -> None:
        """Forget an entry; who reads its contents goes on."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.in_memory:
            self._in_memory.remove(entry)
        else:
            del self._with_files[key]
            self._files -= len(entry.responses)


def most_files() -> int:
    """Give how many files to keep open: connections need descriptors more."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(1024, soft // 8))
