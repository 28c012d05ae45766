"""A store on disk without a running reactor: its threads are real, its turns are taken by hand."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue

from twisted.internet.defer import Deferred

from proxykit.caching.disk.store import DiskStore
from proxykit.caching.policy import Terms
from proxykit.caching.stored import StoredHead
from proxykit.message.fields import FieldSection

NOW = 1_800_000_000.0
MIB = 1024 * 1024


class Turns:
    """What a store needs of a reactor."""

    def __init__(self):
        self._calls = SimpleQueue()
        self.later = []

    def callFromThread(self, call, *arguments):
        self._calls.put((call, arguments))

    def callLater(self, seconds, call, *arguments):
        self.later.append((call, arguments))

    def addSystemEventTrigger(self, *_):
        return object()

    def removeSystemEventTrigger(self, _):
        pass

    def run_until(self, condition, seconds=10.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            try:
                call, arguments = self._calls.get(timeout=0.05)
            except Empty:
                continue
            call(*arguments)

    def run_later(self):
        later, self.later = self.later, []
        for call, arguments in later:
            call(*arguments)


class Stores:
    """Stores on one directory, and plain calls of what they do later."""

    def __init__(self, directory):
        self.directory = directory / "cache"
        self.turns = Turns()
        self.open = []

    def make(self, size=64 * MIB, memory=0, min_free=0):
        store = DiskStore(self.turns, self.directory, size, memory, min_free, lambda: NOW + 10)
        self.open.append(store)
        self.lookup(store, b"opens it")
        return store

    def close(self, store):
        self.open.remove(store)
        disk = store._disk
        store.close()
        self.turns.run_until(lambda: store._disk is None)
        self.turns.run_until(lambda: disk.users or not disk.clerk.thread.is_alive())

    def close_all(self):
        for store in self.open[:]:
            self.close(store)

    def now(self, result):
        """Give the result of something that may be there later."""
        if not isinstance(result, Deferred):
            return result
        results = []
        result.addBoth(results.append)
        self.turns.run_until(lambda: results)
        return results[0]

    def lookup(self, store, key):
        return self.now(store.lookup(key))

    def put(self, store, key, content=b"content", replaces=lambda other: False, **more):
        # No more at once than a store takes: these servers are faster than any.
        self.turns.run_until(lambda: store._room.writing + len(content) < store.size // 16)
        writer = store.begin(key, len(content))
        if writer is None:  # the next numbers are on their way
            self.settle(store)
            writer = store.begin(key, len(content))
        for start in range(0, len(content), 100_000):
            assert writer.write(content[start : start + 100_000])
        writer.commit(head(size=len(content), **more), replaces)

    def settle(self, store):
        self.turns.run_until(lambda: not store._pending and not store._room.writing)

    def read(self, stored):
        """Give all content of a stored response, the way readers get it."""
        whole = b""
        while len(whole) < stored.body.size:
            piece = self.now(stored.body.read(len(whole), 256 * 1024))
            if not piece:
                break
            whole += piece
        return whole

    def contents(self, store, key):
        return [self.read(each) for each in self.lookup(store, key)]


def head(tags=(), selecting=(), lifetime=60.0, size=None, fields=((b"Content-Type", b"a/b"),)):
    return StoredHead(
        200,
        b"OK",
        1,
        FieldSection(tuple(fields)),
        NOW,
        0.0,
        Terms(lifetime),
        selecting=selecting,
        tags=frozenset(tags),
        complete=size,
    )
